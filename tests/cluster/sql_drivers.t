#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A driver (DBD::Pg, on libpq): parameters of every type there and back, errors, transactions, COPY; passwords; cancel; timeouts.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

eval { require DBI; require DBD::Pg; 1 } or plan skip_all => 'DBD::Pg is not here';
my $c = Meridian::Test::Cluster->new(nodes => 1, no_wait => 1, stores => 2);

sub connect_to {
    my ($n, $user, $password, %how) = @_;
    my ($host, $port) = split /:/, $c->{node}{$n}{sql};
    return DBI->connect("dbi:Pg:host=$host;port=$port;dbname=meridian", $user, $password,
        { AutoCommit => 1, RaiseError => 1, PrintError => 0, %how });
}

my $db = connect_to(1, 'meridian', '');
ok($db, 'connected');

my @types = (
    [ bool      => 1,                              '1' ],
    [ int2      => -5,                             '-5' ],
    [ int4      => 123456,                         '123456' ],
    [ int8      => '9007199254740993',             '9007199254740993' ],
    [ float4    => 1.5,                            '1.5' ],
    [ float8    => 0.1,                            '0.1' ],
    [ numeric   => '12345678901234567890.12345',   '12345678901234567890.12345' ],
    [ text      => "h\x{e4}llo 'w'",               "h\x{e4}llo 'w'" ],
    [ 'varchar(9)' => 'abc',                       'abc' ],
    [ 'char(3)' => 'a',                            'a  ' ],
    [ date      => '2024-02-29',                   '2024-02-29' ],
    [ timestamp => '2024-02-29 12:00:00.5',        '2024-02-29 12:00:00.5' ],
    [ timestamptz => '2024-02-29 12:00:00+02',     '2024-02-29 10:00:00+00' ],
    [ time      => '10:30:00.25',                  '10:30:00.25' ],
    [ interval  => '1 year 2 days 3 hours',        '1 year 2 days 03:00:00' ],
    [ json      => '{"a": [1, null]}',             '{"a": [1, null]}' ],
    [ jsonb     => '{"b":1, "a": [1,null]}',       '{"a": [1, null], "b": 1}' ],
    [ uuid      => 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' ],
);
$db->do('create table every (id int primary key, ' . join(', ', map { "c$_ $types[$_][0]" } 0 .. $#types) . ', arr int[], bin bytea)');
my $insert = $db->prepare('insert into every values (' . join(', ', ('?') x (@types + 3)) . ')');
$insert->bind_param(@types + 3, "\x00\x01\xff", { pg_type => DBD::Pg::PG_BYTEA() });
$insert->execute(1, (map { $_->[1] } @types), [ 1, 2, 3 ], "\x00\x01\xff");
my $row = $db->selectrow_arrayref('select * from every where id = ?', undef, 1);
is($row->[ $_ + 1 ], $types[$_][2], "$types[$_][0] there and back") for 0 .. $#types;
is_deeply($row->[ @types + 1 ], [ 1, 2, 3 ], 'arrays');
is($row->[ @types + 2 ], "\x00\x01\xff", 'bytea');
$insert->execute(2, (undef) x (@types + 2));
is_deeply([ (undef) x (@types + 2) ], [ @{ $db->selectrow_arrayref('select * from every where id = 2') }[ 1 .. @types + 2 ] ], 'NULLs');

# Errors as drivers branch on them.
eval { $db->do('insert into every(id) values (1)') };
is($db->state, '23505', 'SQLSTATE');
is($db->{pg_error_field_constraint} // $db->pg_error_field('pg_diag_constraint_name'), 'every_pkey', 'the constraint\'s name') if $db->can('pg_error_field');

# Transactions.
$db->begin_work;
$db->do('update every set c2 = 7 where id = 1');
$db->rollback;
is($db->selectrow_array('select c2 from every where id = 1'), 123456, 'rollback');
$db->begin_work;
$db->pg_savepoint('s');
$db->do('delete from every');
$db->pg_rollback_to('s');
$db->commit;
is($db->selectrow_array('select count(*) from every'), 2, 'savepoints');

# COPY.
$db->do('create table cp (a int primary key, b text)');
$db->do('copy cp from stdin');
$db->pg_putcopydata("$_\trow $_\n") for 1 .. 1000;
$db->pg_putcopyend;
is($db->selectrow_array('select count(*) from cp'), 1000, 'COPY in');
$db->do('copy cp to stdout');
my ($n, $line) = (0, '');
$n++ while $db->pg_getcopydata($line) >= 0;
is($n, 1000, 'COPY out');

# What drivers ask of the catalog.
is(scalar @{ $db->column_info(undef, 'public', 'every', '%')->fetchall_arrayref }, @types + 3, 'column_info()');
is(scalar @{ $db->table_info(undef, 'public', '%', 'TABLE')->fetchall_arrayref }, 2, 'table_info()');
ok($db->ping, 'ping');

# Time: statements that wait end.
my $began = time;
$db->do("set statement_timeout = '300ms'");
eval { $db->do('select pg_sleep(30)') };
is($db->state, '57014', 'statement_timeout');
cmp_ok(time - $began, '<', 10, 'in time');
$db->do('reset statement_timeout');
my $other = connect_to(1, 'meridian', '');
$other->begin_work;
$other->do('update every set c2 = 1 where id = 1');
$db->do("set lock_timeout = '200ms'");
$db->begin_work;
eval { $db->do('update every set c2 = 2 where id = 1') };
ok($db->err, 'lock_timeout ends a wait') and is($db->state, '55P03', 'and says so');
$db->rollback;
$other->rollback;

# A cancel request.
$db->do('select pg_sleep(30)', { pg_async => DBD::Pg::PG_ASYNC() });
select undef, undef, undef, 0.3;
$began = time;
eval { $db->pg_cancel };
cmp_ok(time - $began, '<', 10, 'a cancelled statement ends');
is($db->selectrow_array('select 1'), 1, 'and the session goes on');

# Passwords.
$db->do("create role app login password 'secret'");
$db->do("create role nobody password 'x'");
undef $insert;
$_->disconnect for $db, $other;
is($c->stop(1), 0, 'the node stops');
$c->start(1, '--sql-auth', 'scram');
ok(connect_to(1, 'app', 'secret'), 'the right password');
ok(!eval { connect_to(1, 'app', 'wrong') }, 'a wrong one') and like($@, qr/password authentication failed for user "app"/, 'says so');
ok(!eval { connect_to(1, 'nobody', 'x') }, 'a role that may not log in');
ok(!eval { connect_to(1, 'ghost', 'x') }, 'a role that is not there');
is($c->stop(1), 0, 'and stops again');
done_testing();
