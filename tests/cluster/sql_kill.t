#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# pgbench on three nodes while nodes are killed: whatever was acknowledged is there, and the sums are right.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

my $pgbench = (grep { -x } glob '/usr/lib/postgresql/*/bin/pgbench')[0] // 'pgbench';
my $c       = Meridian::Test::Cluster->new(nodes => 3);

sub run_bench {    # pid, log
    my ($node, @how) = @_;
    my ($host, $port) = split /:/, $c->{node}{$node}{sql};
    my $log = "$c->{dir}/bench." . int(rand 1e9);
    my $pid = fork() // die;
    if (!$pid) {
        open STDOUT, '>', $log or die;
        open STDERR, '>&', \*STDOUT or die;
        exec $pgbench, '-h', $host, '-p', $port, '-U', 'meridian', @how, 'meridian';
        die;
    }
    return ($pid, $log);
}

sub text { open my $f, '<', $_[0] or return ''; local $/; return scalar(<$f>) // '' }

my ($pid, $log) = run_bench(1, '-i', '-q', '-s', 1);
waitpid $pid, 0;
is($?, 0, 'pgbench -i') or diag text($log);
is($c->psql('select count(*) from pgbench_accounts'), 100000, 'its rows');

my $done = 0;
for my $mode (qw(simple prepared)) {
    ($pid, $log) = run_bench(1, '-n', '-M', $mode, '-c', 2, '-t', 20, '--max-tries=20');
    waitpid $pid, 0;
    is($?, 0, "pgbench -M $mode") or diag text($log);
    $done += text($log) =~ m{actually processed: (\d+)} ? $1 : 0;
}
is($done, 80, 'all transactions came through');

sub sums {
    return $c->psql('select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history),
        (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history),
        (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)', node => 2);
}
is(sums(), 't|t|t', 'the sums are right');

# Nodes die under load that comes through another one.
my $seen = 0;
for my $victim (1, 3) {
    ($pid, $log) = run_bench(2, '-n', '-M', 'simple', '-c', 2, '-T', 6, '--max-tries=0');
    select undef, undef, undef, 1.5;
    $c->kill9($victim);
    select undef, undef, undef, 1.5;
    $c->restart($victim);
    waitpid $pid, 0;
    my $t = text($log);
    $seen += $t =~ m{actually processed: (\d+)} ? $1 : 0;
    my $alive = $c->poll_until(sub { $c->psql('select count(*) > 0 from pgbench_history', node => 2) eq 't' }, 'answers', 60);
    ok($alive, "the cluster goes on after node $victim died");
    is(sums(), 't|t|t', 'the sums are right') or diag $t;
}
cmp_ok($c->psql('select count(*) from pgbench_history', node => 2), '>=', $done + $seen, 'what was acknowledged is there');
done_testing();
