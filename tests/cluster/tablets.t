#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# pgbench goes on while its tablets are split, moved to a fourth node and led from elsewhere, while a node is killed, and after a
# replica's file was damaged: what was acknowledged is there, and the sums are right.
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

sub tablets {
    my $l = $c->json('tablet', 'ls') or return [];
    return $l->{tablets};
}

sub sums {
    my ($node) = @_;
    return $c->psql('select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history),
        (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history),
        (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history),
        (select count(*) from pgbench_accounts)', node => $node);
}

my ($pid, $log) = run_bench(1, '-i', '-q', '-s', 1);
waitpid $pid, 0;
is($?, 0, 'pgbench -i') or diag text($log);

# Splits under load, of whatever is there; leaders and replicas go elsewhere.
$c->start(4, '--join', $c->{node}{1}{rpc});
($pid, $log) = run_bench(2, '-n', '-c', 2, '-T', 12, '--max-tries=0');
my ($splits, $moves) = (0, 0);
for my $round (1 .. 2) {
    for my $t (@{ tablets() }) {
        next if $t->{tablet} < 2;
        my ($status, $text) = $c->meridian('tablet', 'split', $t->{tablet});
        $splits++ if $status == 0;
        my ($from) = grep { $_ != $t->{leader} } map { $_->{node} } grep { $_->{voter} } @{ $t->{members} };
        ($status, $text) = $c->meridian('tablet', 'move', $t->{tablet}, '--from', $from, '--to', 4);
        $moves++ if $status == 0;
        $c->meridian('tablet', 'transfer-leader', $t->{tablet}, '--to', 1 + int rand 4);
    }
}
cmp_ok($splits, '>=', 2, "$splits splits under load");
cmp_ok($moves, '>=', 1, "$moves moves under load");
$c->kill9(3);
select undef, undef, undef, 1;
$c->restart(3);
waitpid $pid, 0;
my $done = text($log) =~ m{actually processed: (\d+)} ? $1 : 0;
cmp_ok($done, '>', 0, "$done transactions meanwhile") or diag text($log);
is(sums(2), 't|t|t|100000', 'the sums are right');

# Every tablet goes to a fourth and a fifth node under load, while one is stopped for longer than a lease, one killed, one restarted.
$c->start(5, '--join', $c->{node}{2}{rpc});
($pid, $log) = run_bench(2, '-n', '-c', 2, '-T', 20, '--max-tries=0');
$c->pause(1);
select undef, undef, undef, 4;
$c->unpause(1);
$c->kill9(3);
$c->restart(3);
is($c->stop(4), 0, 'the fourth node stops');
$c->restart(4);
ok($c->poll_until(sub {
    my $left = 0;
    for my $t (@{ tablets() // return 0 }) {
        my %at = map { $_->{node} => 1 } grep { $_->{voter} } @{ $t->{members} };
        my ($to)   = grep { !$at{$_} } 4, 5;
        my ($from) = grep { $_ < 4 && $_ != $t->{leader} } sort keys %at;
        next unless $to;
        $left++;
        $c->meridian('tablet', 'move', $t->{tablet}, '--from', $from, '--to', $to) if $from;
    }
    return !$left;
}, 'every tablet on both', 150), 'every tablet is on the fourth and the fifth node');
waitpid $pid, 0;
$done = text($log) =~ m{actually processed: (\d+)} ? $1 : 0;
cmp_ok($done, '>', 0, "$done transactions meanwhile") or diag text($log);
is(sums($_), 't|t|t|100000', "the sums are right on node $_") for 4, 5;

# Every key is in one tablet.
my @t = sort { $a->{start} eq '' ? -1 : $b->{start} eq '' ? 1 : 0 } @{ tablets() };
my %start = map { $_->{start} => 1 } @t;
is(scalar(grep { $_->{end} ne '' && !$start{ $_->{end} } } @t), 0, 'where one tablet ends another one begins');
is(scalar(grep { $_->{end} eq '' } @t), 1, 'and one has the rest');

# A file that SQLite cannot read: named, and replaced from the others.
ok($c->poll_until(sub { my $x = $c->json('node', 'ls'); $x && $x->{fully_replicated} }, 'replicated'), 'all tablets have their voters');
is($c->stop(3), 0, 'a node stops');
my @files = grep { !m{/T1\.} } glob "$c->{node}{3}{data}/store0/tablets/T*.db";
ok(scalar @files, 'it has tablets') or done_testing, exit;
open my $f, '+<', $files[0] or die;
print $f 'this is no database at all' x 40;
close $f;
$c->restart(3);
my ($name) = $files[0] =~ m{/(T[^/]*)$};
ok($c->poll_until(sub { text("$c->{dir}/n3.log") =~ /\Q$name\E/ && text("$c->{dir}/n3.log") =~ /a damaged replica was replaced/ },
    'the damage'), 'the damaged file is named and its replica replaced');
ok($c->poll_until(sub { my $x = $c->json('node', 'ls'); $x && $x->{fully_replicated} }, 'replicated', 120), 'all tablets have their voters again')
    or diag text("$c->{dir}/n3.log") =~ s/^(?:.*\n)*?(?=(?:.*\n){0,60}\z)//r;
is(sums(3), 't|t|t|100000', 'the sums are right there too');

done_testing;
