#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Three processes replicate registers on loopback, under load, while they are killed, stopped and restarted one after another:
# no acknowledged command is lost, and all replicas come to the same checksums.
#   PX_KILL_SECONDS=600 for more than the ordinary run's 8 s of trouble; PX_KILL_SEED=n for the same order of trouble.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time sleep);

my $bin = $ENV{PX_NODE} // 'build/dev/tests/cluster/programs/px_node';
plan skip_all => "no $bin" unless -x $bin;

use constant { NODES => 3, GROUPS => 4, CLIENTS => 4, PATIENCE => 120 };
my $seconds = $ENV{PX_KILL_SECONDS} // 8;
my $seed    = $ENV{PX_KILL_SEED}    // int(time);
srand $seed;
my $dir = tempdir(CLEANUP => 1);
my (@addr, %pid, %stopped);

my @held = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) // die "port: $!" } 1 .. NODES;
@addr = map { '127.0.0.1:' . $_->sockport } @held;
close $_ for @held;

sub start {
    my ($n) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>>', "$dir/log.$n" or die;
        exec $bin, $n, "$dir/n$n", GROUPS, CLIENTS, @addr or die "exec: $!";
    }
    $pid{$n} = $pid;
}

# Signals by pid; waits for the end.
sub stop_node {
    my ($n, $signal) = @_;
    my $pid = delete $pid{$n} or return 0;
    kill 'CONT', $pid if delete $stopped{$n};
    kill $signal, $pid;
    my $end = time + PATIENCE;
    while (time < $end) {
        return $? if waitpid($pid, WNOHANG) == $pid;
        sleep 0.01;
    }
    kill 'KILL', $pid;
    die "node $n does not end";
}

END {
    kill 'KILL', grep { $_ } values %pid;
}

sub lines {
    my ($n, $want) = @_;
    my @all;
    open my $f, '<', "$dir/n$n/events" or return;
    while (my $line = <$f>) {
        # A kill may tear a line: what is not whole was not written.
        push @all, [split ' ', $line] if $line =~ /^$want [0-9]+ [0-9]+ [0-9a-f]{16}\n$/;
    }
    return @all;
}

sub poll_until {
    my ($what, $fn) = @_;
    my $end = time + PATIENCE;
    while (time < $end) {
        return 1 if $fn->();
        sleep 0.1;
    }
    diag "waited in vain until $what";
    return 0;
}

sub acks {
    my $n = 0;
    $n += () = lines($_, 'ack') for 1 .. NODES;
    return $n;
}

start($_) for 1 .. NODES;
ok(poll_until('commands are acknowledged', sub { acks() > 50 }), 'three nodes acknowledge commands') or BAIL_OUT('no cluster');

# Trouble: at most one node at a time is away, so commands go on being acknowledged.
my %done = (KILL => 0, TERM => 0, STOP => 0);
my $end  = time + $seconds;
while (time < $end) {
    my $n    = 1 + int rand NODES;
    my $what = ('KILL', 'KILL', 'TERM', 'STOP')[int rand 4];
    sleep 0.2 + rand 0.6;
    $done{$what}++;
    if ($what eq 'STOP') {
        kill 'STOP', $pid{$n};
        $stopped{$n} = 1;
        sleep rand($seconds > 60 ? 5 : 1.5);
        kill 'CONT', $pid{$n};
        delete $stopped{$n};
    } else {
        my $status = stop_node($n, $what);
        is($status, 0, "node $n ends well after SIGTERM") if $what eq 'TERM';
        sleep rand 0.5;
        start($n);
    }
}
my $before = acks();
ok(poll_until('commands are acknowledged again', sub { acks() > $before + 50 }), 'commands are acknowledged after the trouble');

# No more commands; all replicas come to rest at the same place.
kill 'USR1', $_ for values %pid;
my %last;
my $rest = poll_until(
    'all replicas stand at the same slot',
    sub {
        for my $n (1 .. NODES) {
            $last{$n} = {};
            $last{$n}{ $_->[1] } = "$_->[2] $_->[3]" for lines($n, 'app');
        }
        for my $g (1 .. GROUPS) {
            my %at = map { ($last{$_}{$g} // '') => 1 } 1 .. NODES;
            return 0 if keys %at != 1;
        }
        return 1;
    }
);
ok($rest, 'all replicas end at the same slot with the same checksum');
for my $g (1 .. GROUPS) {
    note "group $g: " . join ', ', map { $last{$_}{$g} // '-' } 1 .. NODES;
}
is(stop_node($_, 'TERM'), 0, "node $_ stops cleanly") for 1 .. NODES;

# Every slot has one checksum everywhere, and each acknowledgement is of that history.
my (%sum, %final, @torn, @lost);
for my $n (1 .. NODES) {
    for my $l (lines($n, 'app')) {
        my (undef, $g, $slot, $sum) = @$l;
        push @torn, "group $g slot $slot" if ($sum{$g}{$slot} //= $sum) ne $sum;
        $final{$g} = $slot if $slot > ($final{$g} // 0);
    }
}
is(scalar @torn, 0, 'one history on all replicas') or diag join ', ', @torn[0 .. ($#torn < 9 ? $#torn : 9)];
my $acked = 0;
for my $n (1 .. NODES) {
    for my $l (lines($n, 'ack')) {
        my (undef, $g, $slot, $sum) = @$l;
        $acked++;
        push @lost, "group $g slot $slot" if $slot > $final{$g} || ($sum{$g}{$slot} // '') ne $sum;
    }
}
is(scalar @lost, 0, "none of $acked acknowledged commands is lost") or diag join ', ', @lost[0 .. ($#lost < 9 ? $#lost : 9)];
note "seed $seed: kills=$done{KILL} clean_stops=$done{TERM} pauses=$done{STOP}";
system "cat $dir/log.*" if !Test::More->builder->is_passing;
done_testing();
