#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: tests/lib/pg15.sh COMMAND...
# Runs a command beside a PostgreSQL 15 of its own (Debian's postgresql-15, as user postgres, on a Unix socket in a temporary
# directory, gone afterwards). The command finds it through PGHOST, PGUSER and PGDATABASE. Only what writes files of expected
# results needs it; tests read those files.
set -eu
bin=/usr/lib/postgresql/15/bin
[ -x $bin/initdb ] || { echo "install postgresql-15 first" >&2; exit 1; }
dir=$(mktemp -d /tmp/pg15.XXXXXX)
as=()
if [ "$(id -u)" = 0 ]; then
    chown postgres "$dir"
    as=(runuser -u postgres --)
fi
stop() {
    "${as[@]}" $bin/pg_ctl -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
cd "$dir"
"${as[@]}" $bin/initdb -D "$dir/data" -U postgres -A trust --locale=C.UTF-8 --encoding=UTF8 >"$dir/log" 2>&1 ||
    { cat "$dir/log" >&2; exit 1; }
"${as[@]}" $bin/pg_ctl -D "$dir/data" -l "$dir/server.log" -w -o "-c listen_addresses='' -k $dir -c fsync=off" start >/dev/null ||
    { cat "$dir/server.log" >&2; exit 1; }
cd "$OLDPWD"
PGHOST=$dir PGUSER=postgres PGDATABASE=postgres "$@"
