#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# libmeridian as its user meets it: a program linked with the shared and with the static library, names that do not leave them,
# and the program `meridian` that tells the same version.
set -u
lib=build/release/lib
[ -f $lib/libmeridian.a ] || { echo "1..0 # SKIP no release build"; exit 0; }
count=0
bad=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

ok() { # ok STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        bad=1
        [ -s "$dir/out" ] && sed 's/^/# /' "$dir/out" >&2
    fi
}

version=$(sed -n 's/^project(meridian VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
cat >"$dir/user.c" <<'C'
#include "txn/api/meridian.h"
#include <stdio.h>

/* names of our own that the library uses inside, too */
int buf_init(void);
int err_set(void);
int buf_init(void) { return 1; }
int err_set(void) { return 2; }

int main(void) {
    printf("%s\n", meridian_version());
    return buf_init() + err_set() - 3;
}
C

for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    $cc -std=c99 -Wall -Wextra -Werror -pedantic -I. "$dir/user.c" -o "$dir/shared" -L$lib -lmeridian >"$dir/out" 2>&1
    ok $? "$cc links the shared library"
    [ "$(LD_LIBRARY_PATH=$lib "$dir/shared")" = "$version" ]
    ok $? "and it tells version $version"
    libs=$(sed -n 's/^Libs.private: //p' build/release/meridian.pc)
    # shellcheck disable=SC2086
    $cc -std=c99 -I. "$dir/user.c" -o "$dir/static" $lib/libmeridian.a $libs -lm -pthread >"$dir/out" 2>&1
    ok $? "$cc links the static library"
    [ "$("$dir/static")" = "$version" ]
    ok $? "and it tells version $version"
done

nm -D --defined-only $lib/libmeridian.so | awk '$2 ~ /[A-Z]/ && $2 != "A" && $3 !~ /^meridian_/' >"$dir/out"
[ ! -s "$dir/out" ]
ok $? "the shared library shows meridian_* only"
nm --defined-only $lib/libmeridian.a 2>/dev/null | awk '$2 ~ /[A-Z]/ && $3 !~ /^meridian_/' >"$dir/out"
[ ! -s "$dir/out" ]
ok $? "the static library shows meridian_* only"

for arg in version --version; do
    [ "$(build/release/bin/meridian $arg)" = "meridian $version" ]
    ok $? "meridian $arg"
done
build/release/bin/meridian --help >"$dir/out" && grep -q '^  version ' "$dir/out"
ok $? "meridian --help"
build/release/bin/meridian nonsense >"$dir/out" 2>&1
[ $? -eq 1 ] && grep -q 'there is no command "nonsense"' "$dir/out"
ok $? "a command that is not there"
echo "1..$count"
exit $bad
