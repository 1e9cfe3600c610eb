#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Anomalies that weaker isolation lets through, tried by workers on all nodes at once: lost updates, write skew, phantoms, reads that
# see half a transaction, reads that miss what was acknowledged before. The rows are on several tablets.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

eval { require DBI; require DBD::Pg; 1 } or plan skip_all => 'DBD::Pg is not here';
my $c = Meridian::Test::Cluster->new(nodes => 3);

sub connect_to {
    my ($n) = @_;
    my ($host, $port) = split /:/, $c->{node}{$n}{sql};
    return DBI->connect("dbi:Pg:host=$host;port=$port;dbname=meridian", 'meridian', '', { RaiseError => 1, PrintError => 0, PrintWarn => 0 });
}

# Runs the transaction until it commits; dies of anything but 40001.
sub transact {
    my ($db, $what) = @_;
    for (1 .. 200) {
        my $r = eval { $db->begin_work; my $x = $what->(); $db->commit; [$x] };
        return $r->[0] if $r;
        my ($state, $why) = ($db->state, $@);
        eval { $db->rollback unless $db->{AutoCommit} };
        die $why unless $state eq '40001';
    }
    die 'it never commits';
}

# Workers, each a process with a connection of its own; how many of them failed.
sub workers {
    my ($n, $what) = @_;
    my @pids;
    for my $i (1 .. $n) {
        my $pid = fork() // die;
        if (!$pid) {
            srand $i;
            my $ok = eval { my $db = connect_to(1 + $i % 3); $what->($db, $i); 1 };
            print STDERR "# worker $i: $@" unless $ok;
            require POSIX;
            POSIX::_exit($ok ? 0 : 1);
        }
        push @pids, $pid;
    }
    return scalar grep { waitpid($_, 0); $? } @pids;
}

my $db = connect_to(1);
$db->do('create table acc (id int primary key, v int not null)');
$db->do('insert into acc select g, 100 from generate_series(1, 10) g');
$db->do('create table doc (id int primary key, on_call bool not null)');
$db->do('insert into doc values (1, true), (2, true)');
$db->do('create table seat (id int primary key, who int, room int not null)');
$db->selectrow_array("select meridian.split('acc', 5)");
$db->selectrow_array("select meridian.split('doc', 2)");
ok($c->poll_until(sub { $db->selectrow_array('select count(*) from meridian.tablets') >= 4 }, 'split'), 'rows are on several tablets');

# Lost updates: read, think, write.
is(workers(4, sub {
    my ($db, $i) = @_;
    for (1 .. 8) {
        transact($db, sub {
            my ($v) = $db->selectrow_array('select v from acc where id = 1');
            $db->do('update acc set v = ? where id = 1', undef, $v + 1);
        });
    }
}), 0, 'counters');
is($db->selectrow_array('select v from acc where id = 1'), 132, 'no update is lost');

# A statement that stands alone is repeated by its gateway: nobody gets 40001.
is(workers(4, sub {
    my ($db) = @_;
    $db->do('update acc set v = v + 1 where id in (1, 10)') for 1 .. 8;
}), 0, 'single statements always come through');
is_deeply($db->selectcol_arrayref('select v from acc where id in (1, 10) order by id'), [ 164, 132 ], 'each of them once');
$db->do('update acc set v = case id when 1 then 132 else 100 end where id in (1, 10)');

# Transfers between tablets, while others look at the sum.
is(workers(4, sub {
    my ($db, $i) = @_;
    for (1 .. 8) {
        if ($i % 2) {
            my ($x, $y) = (2 + int rand 4, 6 + int rand 4);
            transact($db, sub {
                $db->do('update acc set v = v - 7 where id = ?', undef, $x);
                $db->do('update acc set v = v + 7 where id = ?', undef, $y);
            });
        } else {
            my ($sum) = $db->selectrow_array('select sum(v) from acc');
            die "a sum of $sum was seen" if $sum != 1032;
        }
    }
}), 0, 'nobody sees half a transfer');
is($db->selectrow_array('select sum(v) from acc'), 1032, 'the sum is the same');

# Write skew: one of two must stay.
my $bad = 0;
for (1 .. 4) {
    $db->do('update doc set on_call = true');
    $bad += workers(2, sub {
        my ($db, $i) = @_;
        transact($db, sub {
            my ($n) = $db->selectrow_array('select count(*) from doc where on_call');
            $db->do('update doc set on_call = false where id = ?', undef, $i) if $n >= 2;
        });
    });
    $bad++ if $db->selectrow_array('select count(*) from doc where on_call') != 1;
}
is($bad, 0, 'no write skew');

# Phantoms: at most three seats in a room, counted before each is taken.
is(workers(4, sub {
    my ($db, $i) = @_;
    for my $k (1 .. 4) {
        transact($db, sub {
            my ($n) = $db->selectrow_array('select count(*) from seat where room = 1');
            $db->do('insert into seat values (?, ?, 1)', undef, $i * 100 + $k, $i) if $n < 3;
        });
    }
}), 0, 'seats');
is($db->selectrow_array('select count(*) from seat where room = 1'), 3, 'no phantom makes a fourth seat');

# What was acknowledged on one node is seen on the others at once.
my @on = map { connect_to($_) } 1 .. 3;
my $missed = 0;
for my $k (1 .. 30) {
    my ($w, $r) = ($k % 3, ($k + 1) % 3);
    $on[$w]->do('update acc set v = ? where id = 10', undef, 1000 + $k);
    $missed++ if $on[$r]->selectrow_array('select v from acc where id = 10') != 1000 + $k;
}
is($missed, 0, 'reads see every write that was acknowledged before they began');

# The past stays as it was.
my $ts = $on[0]->selectrow_array('select meridian.commit_timestamp()');
$on[0]->do('update acc set v = 5 where id = 10');
my $then = $on[0]->selectrow_array('select meridian.commit_timestamp()');
$on[1]->do("set meridian.read_staleness = 'at $ts'");
is($on[1]->selectrow_array('select v from acc where id = 10'), 1030, 'a read of the past');
$on[1]->do("set meridian.read_staleness = 'since $then'");
is($on[1]->selectrow_array('select v from acc where id = 10'), 5, 'a read since a commit');
done_testing();
