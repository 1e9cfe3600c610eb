#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes pg_catalog.tsv and psql.sql: tables and columns of pg_catalog, and what psql's \d and the like really send.
#     tests/lib/pg15.sh tests/unit/sql/pg_catalog.sh
set -eu
here=$(dirname "$0")
psql() { command psql -X -q "$@"; }
psql -A -t >"$here/pg_catalog.tsv" <<'SQL'
SELECT '# Columns of pg_catalog, as far as our types go (name and "char" are text): written by tests/unit/sql/pg_catalog.sh';
WITH t(name, ours) AS (VALUES ('name', 'text'), ('char', 'text'), ('pg_node_tree', 'text'), ('aclitem', 'text'),
    ('inet', 'text'), ('pg_lsn', 'text'), ('pg_ndistinct', 'text'), ('pg_dependencies', 'text'), ('pg_mcv_list', 'text'),
    ('regproc', 'oid'), ('xid', 'oid'), ('regtype', 'oid'), ('int2vector', 'int2[]'), ('oidvector', 'oid[]'),
    ('anyarray', 'text[]'), ('pg_statistic', 'text'))
SELECT 'pg_catalog.' || c.relname || E'\t' || string_agg(quote_ident(a.attname) || ' ' ||
    CASE WHEN y.typname LIKE '\_%' THEN coalesce((SELECT ours FROM t WHERE '_' || t.name = y.typname), substr(y.typname, 2)) || '[]'
         ELSE coalesce((SELECT ours FROM t WHERE t.name = y.typname), y.typname) END, ', ' ORDER BY attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type y ON y.oid = a.atttypid
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v') AND attnum > 0
GROUP BY c.relname ORDER BY c.relname;
SQL
psql <<'SQL'
CREATE TABLE t(a int4 PRIMARY KEY, b text DEFAULT 'x', c numeric(10,2) CHECK (c > 0), d timestamptz, e bool);
CREATE TABLE fk(id serial PRIMARY KEY, a int REFERENCES t(a));
CREATE INDEX t_b ON t(b) WHERE c > 1;
CREATE VIEW v AS SELECT 1;
SQL
{
    echo '-- What psql sends: written by tests/unit/sql/pg_catalog.sh'
    psql -E 2>&1 <<'SQL' | perl -0777 -ne 'while (/\*{9} QUERY \*{10}\n(.*?);?\n\*{26}/sg) { my $q = $1; $q =~ s/\s+/ /g; $q =~ s/^ | $//g; print "$q\n" unless $seen{$q}++ }'
\d
\d t
\d+ t
\d fk
\d fk_id_seq
\d t_pkey
\dt
\dt+
\dt public.*
\di+
\dv
\ds
\l
\l+
\du+
\dn
\dn+
\df now
\dT
\dT+ int4
\dp
\db
\dx
\dD
\dy
\do =
\da count
\dC
\dO
\dL
\ddp
\drds
SQL
} >"$here/psql.sql"
command psql -X -q -c 'DROP VIEW v; DROP TABLE fk, t'
