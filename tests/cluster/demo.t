#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The demo as a user starts it, with no terminal anywhere: a database over three regions with a small world in it; SQL that is piped
# in runs, and its exit status is the demo's; what it started is gone afterwards. Without root and with a package missing it names
# the command that installs it.
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

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
out=$dir/out
err=$dir/err

shows() { # shows FILE TEXT
    grep -q -- "$2" "$1"
    ok $? "it shows: $2"
}

geo-sim/demo --backend loopback >"$out" 2>"$err" <<'SQL'
SELECT count(*) AS cities FROM cities;
SELECT c.region, count(*) FROM customers u JOIN cities c ON c.id = u.city GROUP BY c.region ORDER BY 1;
UPDATE customers SET balance = 0 WHERE id = 1;
SELECT 'balance ' || balance FROM customers WHERE id = 1;
SQL
status=$?
ok $status "SQL piped into geo-sim/demo"
[ $status -eq 0 ] || sed 's/^/# /' "$err" "$out" >&2
shows "$err" 'on plain loopback: the nodes hold back what they send (--test-links)'
shows "$err" '3 nodes serve, every tablet has its voters, SELECT 1 is answered everywhere'
shows "$err" 'loaded: regions, cities, products, customers, orders, order_lines'
shows "$out" '^ *60$'
shows "$out" '^ us-east *| *[1-9]'
shows "$out" '^ balance 0.00$'
! grep -q 'building\|installing' "$out"
ok $? "standard output is the SQL's own"
build/release/bin/meridian geo status --world demo >/dev/null 2>"$err"
[ $? -eq 1 ] && grep -q 'world demo is not up' "$err"
ok $? "nothing is left of it"

echo 'SELECT nothing FROM nowhere' | geo-sim/demo --backend loopback --no-data >"$out" 2>"$err"
[ $? -eq 3 ] && grep -q 'relation "nowhere" does not exist' "$err"
ok $? "SQL that fails: the exit status is the shell's"

geo-sim/demo --nonsense >"$out" 2>&1
[ $? -eq 1 ] && grep -q 'there is no option --nonsense' "$out"
ok $? "an option that is not there"
geo-sim/demo --help | grep -q -- '--backend auto'
ok $? "--help"
a=$(geo-sim/world_data 50 100 | cksum)
b=$(geo-sim/world_data 50 100 | cksum)
[ "$a" = "$b" ]
ok $? "the world is the same each time"

# A dpkg that misses something, and a user who may not install it (nor read this checkout, perhaps: it may be root's).
mkdir "$dir/bin"
cat >"$dir/bin/dpkg-query" <<'SH'
#!/bin/sh
case "$*" in *libgmp-dev*) exit 1 ;; *) echo 'install ok installed' ;; esac
SH
chmod 755 "$dir/bin" "$dir/bin/dpkg-query"
if [ "$(id -u)" -eq 0 ]; then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
else
    as=(env)
fi
cp -r --parents geo-sim/demo tests/lib/packages.sh tests/packages "$dir/"
chmod -R a+rX "$dir/geo-sim" "$dir/tests"
"${as[@]}" env PATH="$dir/bin:$PATH" "$dir/geo-sim/demo" >"$out" 2>&1 </dev/null
[ $? -eq 1 ] && grep -q '^ *apt-get install -y --no-install-recommends libgmp-dev *$' "$out"
ok $? "without root, a missing package is named with the line that installs it"
echo "1..$count"
exit $bad
