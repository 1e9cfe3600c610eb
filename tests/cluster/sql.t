#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# SQL through psql on three nodes: tables, rows, transactions, settings, COPY; what one node does the others see at once.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

my $c = Meridian::Test::Cluster->new(nodes => 3);

sub on { my ($node, $sql, %how) = @_; return $c->psql($sql, node => $node, %how) }

sub says {
    my ($sql, $want, $name, %how) = @_;
    my $got = on($how{node} // 1, $sql, %how);
    return ref $want ? like($got, $want, $name) : is($got, $want, $name);
}

says('select 1', '1', 'the first answer');
says('select 1', qr/FATAL:  3D000?|database "nowhere" does not exist/, 'an unknown database', database => 'nowhere');

# Tables, and that all gateways know them.
says("create table t (a int primary key, b text not null default 'x', c numeric(10,2));", '', 'CREATE TABLE');
says("insert into t values (1,'one',1.5),(2,'two',2.25)", '', 'INSERT on another node', node => 2);
says('insert into t(a) values (3) returning a, b, c', '3|x|', 'RETURNING, defaults');
says('select * from t order by a', "1|one|1.50\n2|two|2.25\n3|x|", 'what was written is read on a third node', node => 3);
says("update t set b = b || '!' where a >= 2; select b from t order by a", "one\ntwo!\nx!", 'UPDATE');
says('delete from t where a = 3; select a from t order by a', "1\n2", 'DELETE');
says('create table if not exists t (x int)', qr/NOTICE:  42P07: relation "t" already exists, skipping/, 'IF NOT EXISTS');
says('create table t (x int)', qr/ERROR:  42P07: relation "t" already exists/, 'SQLSTATE 42P07');
says('create table u (a int, a text)', qr/ERROR:  42701: column "a" specified more than once/, 'SQLSTATE 42701');
says('create table u (a int primary key, b int primary key)', qr/ERROR:  42P16: multiple primary keys/, 'SQLSTATE 42P16');
says('create table u (a int, primary key (z))', qr/ERROR:  42703: column "z" named in key does not exist/, 'SQLSTATE 42703');
says('create table nosuch.u (a int)', qr/ERROR:  3F000: schema "nosuch" does not exist/, 'SQLSTATE 3F000');
says('create table u (a int references t); drop table u', '', 'a foreign key');
says('select * from nosuch', qr/ERROR:  42P01: relation "nosuch" does not exist/, 'SQLSTATE 42P01');
says('drop table nosuch', qr/ERROR:  42P01: table "nosuch" does not exist/, 'DROP TABLE of nothing');
says('drop table if exists nosuch', qr/NOTICE:  00000: table "nosuch" does not exist, skipping/, 'IF EXISTS');

# Constraints.
says("insert into t values (1,'again',0)", qr/ERROR:  23505: duplicate key value violates unique constraint "t_pkey"/, 'SQLSTATE 23505');
says('insert into t values (9, null, 0)', qr/ERROR:  23502: null value in column "b" of relation "t" violates not-null constraint/, 'SQLSTATE 23502');
says("create table k (id int primary key, name text unique, n int, constraint pos check (n > 0), check (length(name) > 1))", '', 'CHECK, UNIQUE');
says("insert into k values (1,'ab',1),(2,'cd',2)", '', 'rows that keep the rules');
says("insert into k values (3,'ab',1)", qr/ERROR:  23505: duplicate key value violates unique constraint "k_name_key"/, 'UNIQUE holds');
says("insert into k values (3,'ef',0)", qr/ERROR:  23514: new row for relation "k" violates check constraint "pos"/, 'CHECK holds');
says("insert into k values (3,'e',1)", qr/ERROR:  23514: .*"k_name_check"/, 'a check without a name has one');

# A table without a key.
says('create table h (x int, y int); insert into h values (1,2),(1,2); select * from h', "1|2\n1|2", 'rows that are equal');

# Transactions.
says("begin; insert into t values (10,'ten',1); select a from t where a = 10; rollback; select a from t where a = 10",
    '10', 'ROLLBACK');
says("begin; insert into t values (11,'x',1); savepoint s; insert into t values (12,'x',1); rollback to s;
      insert into t values (13,'x',1); commit; select a from t where a > 10 order by a", "11\n13", 'ROLLBACK TO');
says("begin; insert into t values (20,'x',1); select 1/0; select 1; commit; select a from t where a = 20",
    qr/22012: division by zero.*25P02: current transaction is aborted/s, '25P02 in a failed block');
says("begin; savepoint s; select 1/0; rollback to s; insert into t values (21,'x',1); commit; select a from t where a = 21",
    qr/22012.*\n21$/s, 'a savepoint saves a block');
says('commit', qr/WARNING:  25P01: there is no transaction in progress/, 'SQLSTATE 25P01');
says('begin; begin; commit', qr/WARNING:  25001: there is already a transaction in progress/, 'SQLSTATE 25001');
says("begin read only; select count(*) from t; insert into t values (30,'x',1); commit",
    qr/25006: cannot execute .* in a read-only transaction/, 'SQLSTATE 25006');
says('begin isolation level repeatable read; show transaction_isolation; commit', 'repeatable read', 'isolation levels are taken');
says('insert into t values (40,$$x$$,1); select a from t where a = 40; insert into t values (40,$$x$$,1)',
    qr/^40\n.*23505/s, 'each statement of psql stands alone');
is(on(1, '', options => [ '-c', "insert into t values (41,'x',1); select 1/0" ]) =~ /22012/ ? on(1, 'select a from t where a = 41') : '?',
    '', 'statements of one message share a transaction');

# DDL in a block.
says("begin; create table b (a int primary key); insert into b values (1),(2); select a from b order by a; rollback; select * from b",
    qr/^1\n2\n.*42P01/s, 'CREATE TABLE and rows, rolled back');
says("begin; create table b (a int primary key); insert into b values (1); commit; select a from b", '1', 'and committed');
says("begin; create table bi (a int primary key, b text); insert into bi values (1,'x'),(2,'y'); create unique index bi_b on bi (b);
      select a from bi where b = 'y'; alter table bi rename column b to c; commit; select a from bi where c = 'x'; insert into bi values (3,'y')",
    qr/^2\n1\n.*23505: .*"bi_b"/s, 'an index and a new name for a table of the same block, with its rows');
says("begin; insert into bi values (4,'z'); create unique index bi_c on bi (c, a); commit; insert into bi values (4,'z')", qr/23505/,
    'an index sees what its block has written');
says("alter table bi add column d int default 5, add column e int, alter column d set not null, drop column e; select a, c, d from bi order by a",
    "1|x|5\n2|y|5\n4|z|5", 'several changes at once');
says('begin; alter table bi add column f int; select * from bi', qr/0A000: a table that this transaction has changed/, 'what a block changed waits for its commit');
says('drop table b, k, h, bi', '', 'several tables at once');
says('select * from h', qr/42P01/, 'they are gone on another node', node => 2);

# Indexes, new columns, other names.
says('create index on t (b); create unique index t_c on t (c) ', qr/23505: could not create unique index "t_c"/, 'a unique index that cannot be');
says("create index t_bi on t (b desc); select a from t where b = 'one'", '1', 'CREATE INDEX on a filled table');
says('drop index t_bi', '', 'DROP INDEX');
says("alter table t add column d int default 7; select d from t where a = 1", '7', 'ADD COLUMN DEFAULT');
says('alter table t rename column d to e; select e from t where a = 2', '7', 'RENAME COLUMN', node => 2);
says('select d from t', qr/42703/, 'the old name is gone', node => 3);
says('alter table t drop column e; select e from t', qr/42703/, 'DROP COLUMN');
says('alter table t rename to t2; select count(a) from t2 where a = 1', '1', 'RENAME TO');
says('alter table t2 rename to t', '', 'and back');
says('create table p (a int, b text); insert into p values (1,$$x$$),(2,$$y$$); alter table p add primary key (a); insert into p values (1,$$z$$)',
    qr/23505: .*"p_pkey"/, 'a primary key for a filled table');
says('select a, b from p order by a', "1|x\n2|y", 'its rows are still there', node => 3);
says('truncate p; select * from p', '', 'TRUNCATE');

# Settings.
says("set statement_timeout = '5s'; show statement_timeout", '5s', 'SET, SHOW');
says("begin; set local timezone = 'Europe/Paris'; show timezone; commit; show timezone", "Europe/Paris\nUTC", 'SET LOCAL');
says("set timezone = 'Nowhere/Atall'", qr/22023: invalid value for parameter "TimeZone"/, 'SQLSTATE 22023');
says('set nosuch = 1', qr/42704: unrecognized configuration parameter "nosuch"/, 'SQLSTATE 42704');
says("prepare q(int) as select b from t where a = \$1; execute q(1); deallocate q; execute q(1)", qr/^one\n.*26000/s, 'PREPARE, EXECUTE');
says("begin; declare c cursor for select a from t order by a; fetch 2 from c; fetch 1 from c; close c; commit", "1\n2\n11", 'cursors');

# COPY.
says("create table cp (a int primary key, b text); copy cp from stdin;\n1\tone\n2\t\\N\n3\ta\\tb\n\\.\nselect * from cp order by a",
    "1|one\n2|\n3|a\tb", 'COPY FROM STDIN');
says("copy cp to stdout (format csv, header)", "a,b\n1,one\n2,\n3,a\tb", 'COPY TO STDOUT');
says("copy (select a from cp where a > 1 order by a) to stdout", "2\n3", 'COPY (query)');
says("copy cp from stdin (format csv);\n4,\"x,\"\"y\"\n\\.\nselect b from cp where a = 4", 'x,"y', 'CSV');
says("copy cp from stdin;\n5\n\\.\n", qr/22P04: missing data for column "b"/, 'SQLSTATE 22P04');
says("copy cp from stdin;\nx\ty\n\\.\n", qr/22P02: invalid input syntax for type integer: "x"/, 'SQLSTATE 22P02');
says("begin; truncate cp; copy cp from stdin with (freeze on);\n7\tseven\n\\.\ncommit; select * from cp", '7|seven', 'COPY FREEZE');
says("begin; truncate cp; copy cp from stdin with (freeze on);\n8\teight\n\\.\nrollback; select * from cp", '7|seven', 'and rolled back');

# Statistics.
says("create table st (a int primary key, b text); insert into st select x, 'x' from generate_series(1, 1234) x; analyze st", '', 'ANALYZE');
says("select reltuples from pg_class where relname in ('st', 'pg_class') order by 1", "-1\n1234", 'pg_class knows what was counted');
says("delete from st where a > 1000; vacuum (analyze) st; select reltuples from pg_class where relname = 'st'", '1000', 'VACUUM ANALYZE');
says('analyze nosuch', qr/42P01: relation "nosuch" does not exist/, 'ANALYZE of nothing');

# What does not fit into memory.
my $rows = "(select repeat(md5(i::text), 30) x from generate_series(1, 20000) i) q";
says("set work_mem = '256kB'; select count(*), max(n) from (select x, row_number() over (order by x) n from $rows) z", '20000|20000',
    'a sort of 19 MB with 256 kB');
says("set work_mem = '256kB'; set temp_file_limit = '2MB'; select x from $rows order by x offset 19999",
    qr/53400: the statement's temporary files exceed temp_file_limit \(2048 kB\)/, 'SQLSTATE 53400');

# Databases, schemas, roles.
says('create schema s; create table s.x (a int primary key); insert into s.x values (5); set search_path = s, public; select a from x',
    '5', 'schemas and the search path');
says('drop schema s', qr/2BP01: cannot drop schema s because other objects depend on it/, 'SQLSTATE 2BP01');
says('drop schema s cascade', '', 'CASCADE');
says('create database d', '', 'CREATE DATABASE');
says('select * from t', qr/42P01/, 'another database has its own tables', database => 'd', node => 2);
says('create database d', qr/42P04/, 'SQLSTATE 42P04');
says('drop database d', '', 'DROP DATABASE');
says("create role r login password 'secret'; create role r", qr/42710: role "r" already exists/, 'CREATE ROLE');
says('drop role r; drop role r', qr/42704: role "r" does not exist/, 'DROP ROLE');

# A node is killed: the others go on, and it comes back with everything.
$c->kill9(1);
ok($c->poll_until(sub { on(2, "insert into t values (50,'fifty',1) on conflict do nothing; select b from t where a = 50") =~ /fifty$/ }, 'go on'),
    'two of three nodes go on');
$c->restart(1);
is($c->poll_until(sub { on(1, 'select b from t where a = 50') eq 'fifty' }, 'back'), 1, 'the third comes back and knows it');
is($c->stop($_), 0, "node $_ stops cleanly") for 3, 2, 1;
done_testing();
