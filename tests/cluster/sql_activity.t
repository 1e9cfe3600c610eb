#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What goes on, seen from any node: sessions, transactions, locks and replicas of all nodes; statements and sessions ended from another
# node, also by a cancel request that reaches the wrong one; a node that is dead or hangs is named and not waited for.
use strict;
use warnings;
use lib 'tests/lib/perl';
use IO::Socket::INET;
use Meridian::Test::Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

eval { require DBI; require DBD::Pg; 1 } or plan skip_all => 'DBD::Pg is not here';
my $c = Meridian::Test::Cluster->new(nodes => 3, stores => 2);

sub connect_to {
    my ($n, %how) = @_;
    my ($host, $port) = split /:/, $c->{node}{$n}{sql};
    return DBI->connect("dbi:Pg:host=$host;port=$port;dbname=meridian;application_name=" . ($how{name} // "on$n"), $how{user} // 'meridian', '',
        { AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0 });
}

my %on = map { $_ => connect_to($_) } 1 .. 3;
$on{1}->do('create table act (a int primary key, b int)');
$on{1}->do('insert into act select i, 0 from generate_series(1, 100) i');

# Numbers of sessions.
my %pid;
for my $n (1 .. 3) {
    $pid{$n} = $on{$n}{pg_pid};
    is($on{$n}->selectrow_array('select pg_backend_pid()'), $pid{$n}, "node $n: pg_backend_pid() is what the client was told");
}
is(scalar keys %{ { map { $_ => 1 } values %pid } }, 3, 'no two sessions have the same number');
my $activity = "select application_name from pg_stat_activity where application_name like 'on_' order by 1";
is_deeply($on{$_}->selectcol_arrayref($activity), [qw(on1 on2 on3)], "pg_stat_activity on node $_ shows all") for 1 .. 3;
is_deeply($on{2}->selectcol_arrayref('select pid from meridian.sessions order by pid'), [ sort { $a <=> $b } values %pid ], 'meridian.sessions');
is_deeply($on{3}->selectall_arrayref('select node, query from meridian.statements'), [ [ 3, 'select node, query from meridian.statements' ] ],
    'meridian.statements: what runs now');

# Transactions and locks.
$on{1}->begin_work;
$on{1}->do('update act set b = 1 where a = 1');
is_deeply($on{2}->selectall_arrayref('select node, pid, mode, state from meridian.transactions where pid = ?', undef, $pid{1}), [ [ 1, $pid{1}, 'read write', 'open' ] ],
    'meridian.transactions');
is_deeply($on{3}->selectall_arrayref('select pid, granted from meridian.locks'), [ [ $pid{1}, 1 ] ], 'meridian.locks');
$on{2}->do("set application_name = 'waiter'");
$on{2}->do('update act set b = 2 where a = 1', { pg_async => DBD::Pg::PG_ASYNC() });
my $waits = $c->poll_until(sub { my @r = $on{3}->selectrow_array("select wait_event_type, state from pg_stat_activity where pid = $pid{2}"); ($r[0] // '') eq 'Lock' && $r[1] eq 'active' }, 'it waits', 10);
ok($waits, 'pg_stat_activity tells that it waits for a lock');
is_deeply($on{3}->selectall_arrayref("select relation::regclass::text, pid, granted from pg_locks order by granted desc"),
    [ [ 'act', $pid{1}, 1 ], [ 'act', $pid{2}, 0 ] ], 'pg_locks: who holds and who waits');

# Statements are cancelled from another node.
ok($on{3}->selectrow_array("select pg_cancel_backend($pid{2})"), 'pg_cancel_backend on another node');
eval { $on{2}->pg_result };
is($on{2}->state, '57014', 'the statement ends') or diag $@;
is($on{2}->selectrow_array('select 1'), 1, 'the session goes on');
$on{1}->rollback;
is($on{3}->selectrow_array('select count(*) from meridian.locks'), 0, 'no lock is left');

# A cancel request that comes to another node.
my $secret;
{
    my ($host, $port) = split /:/, $c->{node}{1}{sql};
    my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 10) or die "connect: $!";
    my $b = "user\0meridian\0database\0meridian\0\0";
    print $s pack('NN', 8 + length $b, 196608) . $b;
    $s->flush;
    my $got = '';
    while ($got !~ /Z\0\0\0\x05I$/s) { sysread($s, $got, 4096, length $got) or die 'closed' }
    my ($pid, $key) = $got =~ /K\0\0\0\x0c(....)(....)/s or die 'no key';
    print $s 'Q' . pack('N', 4 + length "select pg_sleep(30)\0") . "select pg_sleep(30)\0";
    $s->flush;
    sleep 0.3;
    for my $wrong (1, 0) {
        ($host, $port) = split /:/, $c->{node}{3}{sql};
        my $k = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 10) or die "connect: $!";
        print $k pack('NNa4a4', 16, 80877102, $pid, $wrong ? 'nope' : $key);
        $k->flush;
        sysread $k, my $nothing, 1;
        if ($wrong) {
            sleep 0.2;
            my $r = '';
            vec($r, fileno $s, 1) = 1;
            is(select($r, undef, undef, 0), 0, 'a cancel request with a wrong secret does nothing');
        }
    }
    $got = '';
    my $began = time;
    while ($got !~ /Z\0\0\0\x05I$/s) { sysread($s, $got, 4096, length $got) or die 'closed' }
    like($got, qr/C57014\0/, 'a cancel request that came to another node');
    cmp_ok(time - $began, '<', 15, 'ends the statement soon');
}

# Sessions are ended.
ok($on{1}->selectrow_array("select pg_terminate_backend($pid{2})"), 'pg_terminate_backend, an idle session of another node');
eval { $on{2}->selectrow_array('select 1') };
like($@, qr/terminating connection due to administrator command/, 'it is told why');
$on{2} = connect_to(2);
$on{2}->do('select pg_sleep(30)', { pg_async => DBD::Pg::PG_ASYNC() });
ok($on{1}->selectrow_array("select meridian.kill($on{2}{pg_pid})"), 'meridian.kill, a session at work');
eval { $on{2}->pg_result };
like($@, qr/terminating connection due to administrator command/, 'it ends');
ok(!$on{1}->selectrow_array('select pg_cancel_backend(12345)'), 'nobody has that number');
eval { $on{1}->do('select pg_terminate_backend(pg_backend_pid())') };
like($@, qr/terminating connection/, 'a session may end itself');
$on{1} = connect_to(1);
$on{2} = connect_to(2);

# Tablets, replicas, leases: as they are after a split and a move of leadership.
my $before = $on{1}->selectrow_array('select count(*) from meridian.tablets');
$on{1}->do("select meridian.split('act', 50)");
ok($c->poll_until(sub { $on{3}->selectrow_array('select count(*) from meridian.tablets') == $before + 1 }, 'tablets', 10), 'meridian.tablets after a split');
my $tablet = $on{1}->selectrow_array('select max(tablet) from meridian.tablets');
ok($c->poll_until(sub { $on{2}->selectrow_array("select count(*) from meridian.replicas where tablet = $tablet") == 3 }, 'replicas', 20), 'meridian.replicas: three of it');
my $leader = $on{1}->selectrow_array("select node from meridian.replicas where tablet = $tablet and leads");
my ($to)   = grep { $_ != $leader } 1 .. 3;
$on{1}->do("select meridian.transfer_leader($tablet, $to)");
ok($c->poll_until(sub { my @r = $on{3}->selectrow_array("select node, left_ms > 0 from meridian.leases where tablet = $tablet"); @r && $r[0] == $to && $r[1] }, 'lease', 20),
    'meridian.leases: the new leader has it');
is_deeply($on{1}->selectcol_arrayref('select region from meridian.regions order by 1'), [qw(region1 region2 region3)], 'meridian.regions');
is($on{1}->selectrow_array('select sum(leaders) from meridian.regions'), $before + 1, 'each tablet has one leader');

is($on{1}->selectrow_array('select count(*) from (select oid from pg_class group by oid having count(*) > 1) x'), 0, 'no two relations have one number');
is($on{1}->selectrow_array("select count(*) from meridian.replicas where tablet = $tablet and votes"), 3, 'meridian.replicas: who votes');

# A node that hangs, and one that is dead.
$c->pause(3);
my @warned;
my $dbh = $on{1};
local $SIG{__WARN__} = sub { push @warned, @_ };
$dbh->{PrintWarn} = 1;
my $began = time;
my $seen  = $dbh->selectcol_arrayref('select distinct node from meridian.sessions order by 1');
my $took  = time - $began;
is_deeply($seen, [ 1, 2 ], 'while a node hangs, the others are shown');
like("@warned", qr/node 3 does not answer/, 'and it is named');
cmp_ok($took, '<', 12, sprintf 'it is not waited for (%.1f s)', $took);
$c->unpause(3);
$c->kill9(3);
@warned = ();
ok($c->poll_until(sub { my $n = eval { $dbh->selectrow_array("select count(*) from meridian.leases where node <> 3") }; defined $n && $n == $before + 1 }, 'leases', 30),
    'after kill -9 the leases are elsewhere');
like("@warned", qr/node 3 does not answer/, 'and the dead node is named');
is($c->stop(2), 0, 'node 2 stops');
done_testing();
