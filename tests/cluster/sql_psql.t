#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What psql's \d family shows, information_schema, meridian.*, and the SQL in a session that drivers ask for.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

my $c = Meridian::Test::Cluster->new(nodes => 1, no_wait => 1);

sub says {
    my ($sql, $want, $name, %how) = @_;
    my $got = $c->psql($sql, %how);
    return ref $want ? like($got, $want, $name) : is($got, $want, $name);
}

is($c->psql(<<'SQL'), '', 'a few tables');
create table t (a int primary key, b text not null default 'x', c numeric(10,2), check (c > 0));
create index t_b on t (b desc);
create table s (id serial primary key, n text unique, w timestamptz);
comment on table t is 'the first';
comment on column t.b is 'a text';
create schema other;
create table other.o (x int[], y varchar(7));
SQL

says('\dt', "public|s|table|meridian\npublic|t|table|meridian", '\dt');
says('\di', "public|s_n_key|index|meridian|s\npublic|s_pkey|index|meridian|s\npublic|t_b|index|meridian|t\npublic|t_pkey|index|meridian|t", '\di');
says('\ds', 'public|s_id_seq|sequence|meridian', '\ds');
says("\\t off\n\\d t", qr/\na\|integer\|\|not null\|\nb\|text\|\|not null\|'x'\nc\|numeric\(10,2\)\|\|\|\n.*"t_pkey" PRIMARY KEY, btree \(a\)\n.*"t_b" btree \(b DESC\)\n.*"t_c_check" CHECK \(c > 0\)/s, '\d table');
says("\\t off\n\\d s", qr/\nid\|integer\|\|not null\|nextval\('public.s_id_seq'::regclass\)\n.*"s_n_key" UNIQUE CONSTRAINT, btree \(n\)/s, '\d table with a serial');
says('\d+ t', qr/b\|text\|\|not null\|'x'\|extended\|\|\|a text/, '\d+ table shows comments');
says('\dt+', qr/public\|t\|table\|meridian\|permanent\|heap\|[^|]*\|the first/, '\dt+');
says('\d other.o', qr/^x\|integer\[\]\|\|\|\ny\|character varying\(7\)\|\|\|$/, '\d of another schema');
says('\dn', "meridian|meridian\nother|meridian\npublic|meridian", '\dn');
says('\du', qr/^meridian\|Superuser/, '\du');
says('\l', qr/^meridian\|meridian\|UTF8\|C\|C/, '\l');
says('\conninfo', qr/connected to database "meridian" as user "meridian"/, '\conninfo');

says("select column_name, data_type, is_nullable from information_schema.columns where table_name = 't' order by ordinal_position",
    "a|integer|NO\nb|text|NO\nc|numeric|YES", 'information_schema.columns');
says("select table_schema, table_name from information_schema.tables where table_schema in ('public', 'other') order by 2",
    "other|o\npublic|s\npublic|t", 'information_schema.tables');
says("select k.column_name from information_schema.table_constraints c join information_schema.key_column_usage k using (constraint_name) where c.table_name = 't' and c.constraint_type = 'PRIMARY KEY'",
    'a', 'key_column_usage');
says("select 't'::regclass, 'other.o'::regclass, 't_b'::regclass, 'int4'::regtype", 't|other.o|t_b|integer', 'regclass, regtype');
says("select relname from pg_class where oid = 't'::regclass", 't', 'an oid from a name');
says("select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey) where i.indrelid = 't'::regclass and i.indisprimary",
    'a', 'the primary key as ORMs ask for it');
says("select nextval('s_id_seq') > 0, currval('s_id_seq') > 0", 't|t', 'sequences');
says("select setval('s_id_seq', 500); select last_value, is_called from s_id_seq", "500\n500|t", 'a sequence as a relation');
says("select pg_get_serial_sequence('s', 'id')", 'public.s_id_seq', 'pg_get_serial_sequence');
says("select current_user, session_user, current_database(), current_schema()", 'meridian|meridian|meridian|public', 'who and where');
says('select version()', qr/^PostgreSQL 15\.0 \(Meridian /, 'version()');
says("select set_config('app.x', 'y', false), current_setting('app.x')", 'y|y', 'set_config');
says("select current_setting('nosuch.x')", qr/42704/, 'an unknown setting');
says("select count(*) from pg_settings where name = 'TimeZone' and setting = 'UTC'", '1', 'pg_settings');
says("select state from pg_stat_activity where query like 'select state%'", 'active', 'pg_stat_activity');
says("select count(*) > 100 from pg_proc", 't', 'pg_proc');

says('select node, region from meridian.nodes', '1|region1', 'meridian.nodes');
says('select tablet, leader from meridian.tablets order by tablet', "1|1\n2|1", 'meridian.tablets');
says('select node, state from meridian.clocks', '1|SYNC', 'meridian.clocks');
says("begin; insert into t values (1, 'a', 1); select count(*) from meridian.transactions; commit", '1', 'meridian.transactions');
says("begin; update t set b = 'z' where a = 1; select count(*) > 0 from meridian.locks where mode in ('update', 'exclusive'); commit", 't', 'meridian.locks');
says("insert into t select g, 'r', 1 from generate_series(2, 200) g; select meridian.split('t', 100) is not null", 't', 'meridian.split');
ok($c->poll_until(sub { $c->psql('select count(*) from meridian.tablets') eq '3' }, 'split'), 'the right half shows');
says('select count(*), min(a), max(a) from t', '200|1|200', 'and nothing is lost');
says('explain select * from t where a = 5', qr/\S/, 'EXPLAIN');
says('explain analyze select count(*) from t', qr/\S/, 'EXPLAIN ANALYZE');
says('explain analyze select * from t limit 1', qr/Actual: rows=1 /, '... with a limit, of what was read');
is($c->stop(1), 0, 'it stops cleanly');
done_testing();
