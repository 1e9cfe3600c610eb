#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The installed package, in a clean prefix: the examples are built against it by pkg-config and by CMake, shared and static, and
# run (against PostgreSQL 15); man pages are there; a program may bring names and a SQLite of its own.
set -u
[ -f build/release/lib/libmeridian.a ] || { echo "1..0 # SKIP no release build"; exit 0; }
if [ -z "${INSTALL_UNDER_PG:-}" ] && [ -x /usr/lib/postgresql/15/bin/initdb ]; then
    INSTALL_UNDER_PG=1 exec tests/lib/pg15.sh bash "$0"
fi
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
        sed 's/^/# /' "$dir/out" >&2
    fi
}

cmake --install build/release --prefix "$dir/usr" >"$dir/out" 2>&1
ok $? "it is installed"
pc=$(find "$dir/usr" -name meridian.pc -printf '%h')
lib=$(dirname "$pc")
export PKG_CONFIG_PATH=$pc LD_LIBRARY_PATH=$lib
version=$(sed -n 's/^project(meridian VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ "$(pkg-config --modversion meridian)" = "$version" ]
ok $? "pkg-config knows version $version"

examples=$(find "$dir/usr" -type d -name examples)
for name in bank past; do
    # shellcheck disable=SC2046
    gcc -std=gnu99 -Wall -Wextra -Werror "$examples/$name.c" $(pkg-config --cflags --libs meridian) -pthread -o "$dir/$name" \
        >"$dir/out" 2>&1
    ok $? "$name is built with pkg-config"
done
cmake -S "$examples" -B "$dir/build" -DCMAKE_PREFIX_PATH="$dir/usr" >"$dir/out" 2>&1 && cmake --build "$dir/build" >"$dir/out" 2>&1
ok $? "and with CMake, one of them with the static library"

cat >"$dir/own.c" <<'C'
#include <meridian.h>
#include <stdio.h>
#include <string.h>
/* Names that the library has inside, and a SQLite of the program's own. */
int map_get(void), err_wrap(void), buf_init(void), lex_next(void), sqlite3_libversion_number(void), api_step(void);
int map_get(void) { return 1; }
int err_wrap(void) { return 2; }
int buf_init(void) { return 3; }
int lex_next(void) { return 4; }
int api_step(void) { return 5; }
int sqlite3_libversion_number(void) { return 6; }
int main(void) {
    meridian *db;
    if (meridian_open("nonsense", &db) != MERIDIAN_MISUSE || !strstr(meridian_errmsg(db), "URL"))
        return 1;
    meridian_close(db);
    printf("%d\n", map_get() + err_wrap() + buf_init() + lex_next() + api_step() + sqlite3_libversion_number());
    return 0;
}
C
for how in "$(pkg-config --cflags --libs meridian)" "$(pkg-config --cflags meridian) $lib/libmeridian.a $(pkg-config --static --libs meridian | sed 's/-lmeridian//')"; do
    # shellcheck disable=SC2086
    gcc "$dir/own.c" $how -o "$dir/own" >"$dir/out" 2>&1 && [ "$("$dir/own")" = 21 ]
    ok $? "a program with names of its own"
done
printf '#include <meridian.h>\nint main() { return meridian_abi() == MERIDIAN_ABI ? 0 : 1; }\n' >"$dir/plus.cc"
# shellcheck disable=SC2046
g++ -Wall -Wextra -Werror "$dir/plus.cc" $(pkg-config --cflags --libs meridian) -o "$dir/plus" >"$dir/out" 2>&1 && "$dir/plus"
ok $? "C++ takes the header"

if [ -n "${INSTALL_UNDER_PG:-}" ]; then
    url="postgres:///postgres?host=$PGHOST&user=postgres"
    "$dir/bank" "$url" >"$dir/out" 2>&1
    ok $? "bank: no money is lost"
    "$dir/past" "$url" >"$dir/out" 2>&1
    [ $? -eq 2 ] && grep -q 'not Meridian' "$dir/out"
    ok $? "past: PostgreSQL cannot, and is not asked to"
    "$dir/build/past_static" "$url" >"$dir/out" 2>&1
    [ $? -eq 2 ]
    ok $? "with the static library, too"
    [ "$("$dir/usr/bin/meridian" sql --url "$url" -Atc 'SELECT 6 * 7')" = 42 ]
    ok $? "the installed shell"
fi
"$dir/bank" "file:$dir/bankdb" >"$dir/out" 2>&1
ok $? "bank, with the database in its own process"
for past in "$dir/past" "$dir/build/past_static"; do
    "$past" "file:$dir/pastdb" >"$dir/out" 2>&1 &&
        sed 1d "$dir/out" | diff - <(printf 'now: never upon again\nthen: once upon\nthe newest that is near: never upon again\n') >&2
    ok $? "past, likewise"
done
for page in man1/meridian.1 man3/meridian.h.3; do
    f=$(find "$dir/usr" -path "*/$page")
    [ -n "$f" ] && ! { command -v man >/dev/null && MANROFFSEQ='' man --warnings -l "$f" 2>&1 >/dev/null | grep .; } >"$dir/out"
    ok $? "$page"
done
echo "1..$count"
exit $bad
