#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The scenarios wan and register under the sanitizers: several seeds, each a world in which everything must come as the report
# expects, and one seed twice, which must be the same run event by event.
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

sim=build/dev/bin/meridian-sim
[ -x $sim ] || {
    echo "1..0 # SKIP no $sim"
    exit 0
}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

has() {
    grep -q -- "$1" "$out"
    ok $? "it shows: $1"
}

play() { # play NAME ARGUMENT...
    local name=$1
    shift
    $sim "$@" </dev/null >"$out" 2>&1
    local status=$?
    ok $status "$name"
    [ $status -eq 0 ] || sed 's/^/# /' "$out" >&2
}

trace() { sed -n 's/.*trace \([0-9a-f]*\)$/\1/p' "$out"; }

play "wan" wan
has 'round trips'
has 'commit wait'
has 'true time was inside the interval'
has 'asia is cut off'
has '^all [0-9]* checks ok'
! grep -q "$(printf '\033')" "$out"
ok $? "no colours where no terminal is"
for seed in 2 3 4 5 6; do
    play "wan, seed $seed" wan --seed $seed
done
first=$(trace)
play "the same seed again" wan --seed 6
[ -n "$first" ] && [ "$first" = "$(trace)" ]
ok $? "is the same run: trace $first"
play "another seed" wan --seed 7
[ "$first" != "$(trace)" ]
ok $? "is another run"
for seed in 1 2 3; do
    play "register, seed $seed" register --seed $seed
done
has 'after the kill another continent led'
has 'no acknowledged command is lost'
$sim --help | grep -q '^  wan '
ok $? "meridian sim --help lists the scenarios"
$sim nonsense >"$out" 2>&1
[ $? -eq 2 ] && grep -q 'no scenario "nonsense"' "$out"
ok $? "a scenario that is not there is named"
echo "1..$count"
exit $bad
