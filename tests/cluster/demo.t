#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The demo as a user starts it, with no terminal anywhere; then its scenario under the sanitizers: several seeds, each a world in
# which everything must come as the report expects, and one seed twice, which must be the same run event by event.
set -u
count=0
bad=0

ok() { # ok STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        bad=1
    fi
}

out=$(mktemp)
trap 'rm -f "$out"' EXIT

has() {
    grep -q -- "$1" "$out"
    ok $? "it shows: $1"
}

geo-sim/demo </dev/null >"$out" 2>&1
status=$?
ok $status "geo-sim/demo </dev/null"
[ $status -eq 0 ] || sed 's/^/# /' "$out" >&2
has 'round trips'
has 'commit wait'
has 'true time was inside the interval'
has 'asia is cut off'
has 'after the kill another continent led'
has 'no acknowledged command is lost'
has '^all [0-9]* checks ok'
! grep -q "$(printf '\033')" "$out"
ok $? "no colours where no terminal is"

build/release/bin/meridian sim --help | grep -q 'wan'
ok $? "meridian sim --help lists the scenarios"
build/release/bin/meridian sim nonsense >"$out" 2>&1
[ $? -eq 2 ] && grep -q 'no scenario "nonsense"' "$out"
ok $? "a scenario that is not there is named"
echo "1..$count"
exit $bad
