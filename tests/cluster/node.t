#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Nodes as processes: a cluster grows, loses nodes, gets them back; operators move leaders and replicas; wrong starts are told.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

my $c = Meridian::Test::Cluster->new(nodes => 3);

sub tablet {
    my ($id) = @_;
    my $l = $c->json('tablet', 'ls') or return {};
    my ($t) = grep { $_->{tablet} == $id } @{ $l->{tablets} };
    return $t // {};
}

sub voters {
    my ($t) = @_;
    return join ',', sort map { $_->{node} } grep { $_->{voter} } @{ $t->{members} // [] };
}

my $l = $c->json('node', 'ls');
is(scalar @{ $l->{nodes} }, 3, 'three nodes');
ok($l->{fully_replicated}, 'fully replicated');
like($l->{cluster}, qr/^[0-9a-f]{32}$/, 'a cluster id');
is(voters(tablet(1)), '1,2,3', 'the system tablet has three voters');
is(voters(tablet(2)), '1,2,3', 'the first tablet has three voters');
is_deeply([ sort map { $_->{clock} } @{ $l->{nodes} } ], [qw(SYNC SYNC SYNC)], 'all clocks are synchronised');

my ($code, $body) = $c->http(1, '/healthz');
is($code, 200, '/healthz') or diag $body;
($code, $body) = $c->http(2, '/metrics');
like($body, qr/^# TYPE meridian_\w+ counter$/m, '/metrics speaks Prometheus');
is(($c->http(1, '/nothing'))[0], 404, 'no other page');

# Leadership goes where it is told to go.
my $leader = tablet(2)->{leader};
my ($to)   = grep { $_ != $leader } 1 .. 3;
my $moved  = $c->poll_until(sub {
    $c->meridian('tablet', 'transfer-leader', 2, '--to', $to);
    return tablet(2)->{leader} == $to;
}, 'transfer');
ok($moved, 'leadership was handed over');
my ($status, $text) = $c->meridian('tablet', 'transfer-leader', 2, '--to', 77);
is($status, 1, 'not to a node that has no voter');
like($text, qr/node 77 has no voter of tablet 2/, 'and it says why');

# A node dies; the others go on; it comes back as who it was.
$c->kill9(1);
ok($c->poll_until(sub { my $t = tablet(1); $t->{leader} && $t->{leader} != 1 && tablet(2)->{leader} != 1 }, 'new leaders'),
    'other nodes lead when one is killed');
my $down = $c->json('node', 'ls');
is((grep { !$_->{up} } @{ $down->{nodes} })[0]{node}, 1, 'node ls shows who is down');
$c->restart(1);
ok($c->poll_until(sub { my $n = $c->json('node', 'ls'); $n && !grep { !$_->{up} } @{ $n->{nodes} } }, 'it is back'),
    'it comes back under its number');

# A clean stop hands over and ends with 0.
is($c->stop(2), 0, 'a clean stop exits 0');
ok($c->poll_until(sub { tablet(1)->{leader} }, 'a leader'), 'somebody leads without it');
$c->restart(2);

# A fourth node: replicas can be moved onto it.
$c->start(4, '--join', $c->{node}{1}{rpc});
my $four = $c->poll_until(sub { my ($n) = grep { $_->{rpc} eq $c->{node}{4}{rpc} } @{ $c->json('node', 'ls')->{nodes} }; $n && $n->{node} }, 'node 4');
ok($four, 'a fourth node joined');
my $t2     = tablet(2);
my ($from) = grep { $_ != $t2->{leader} } map { $_->{node} } @{ $t2->{members} };
($status, $text) = $c->meridian('tablet', 'move', 2, '--from', $from, '--to', $four);
is($status, 0, 'a replica moves') or diag $text;
ok($c->poll_until(sub { my $v = voters(tablet(2)); $v =~ /\b$four\b/ && $v !~ /\b$from\b/ }, 'moved'),
    'the directory knows where it went');

# A tablet is split where it is told to, with its replicas beside each other.
($status, $text) = $c->meridian('tablet', 'split', 2);
is($status, 1, 'an empty tablet has no middle');
like($text, qr/tablet 2 is empty/, 'and it says so');
($status, $text) = $c->meridian('tablet', 'split', 2, '--key', '999');
like($text, qr/does not lie inside of tablet 2/, 'not outside of it');
($status, $text) = $c->meridian('tablet', 'split', 2, '--key', q{5000/1/'x});
like($text, qr/is no key/, 'not at what is no key');
($status, $text) = $c->meridian('tablet', 'split', 2, '--key', '5000');
is($status, 0, 'a tablet is split') or diag $text;
my ($right) = $text =~ /tablet (\d+) holds the rest/;
ok($c->poll_until(sub { my $r = tablet($right); $r->{leader} && tablet(2)->{end} eq '5000' }, 'the directory'), 'both halves are led');
is(tablet($right)->{start}, '5000', 'the right one begins at the key');
is(tablet($right)->{end}, '', 'and holds the rest');
is(voters(tablet($right)), voters(tablet(2)), 'on the same nodes');

# All at once, from disk.
$c->kill9($_) for $c->running;
my @again = map { my $n = $_; [ $n, $c->{node}{$n} ] } 1 .. 4;
for my $n (1 .. 4) {    # a quorum must be up before one is ready: start them side by side
    my $pid = fork() // die;
    if (!$pid) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>>', "$c->{dir}/n$n.log";
        my $node = $c->{node}{$n};
        exec $Meridian::Test::Cluster::binary, 'start', '--data', $node->{data}, '--rpc', $node->{rpc}, '--http', $node->{http}, '--sql', $node->{sql},
            '--clock', 'host', '--stores', 1, '--repair-after', 5;
        die;
    }
    $c->{node}{$n}{pid} = $pid;
    open $c->{node}{$n}{out}, '<', '/dev/null';
}
ok($c->poll_until(sub { my $x = $c->json('node', 'ls'); $x && $x->{fully_replicated} && !grep { !$_->{up} } @{ $x->{nodes} } }, 'all back'),
    'a whole cluster comes back from disk');
ok($c->poll_until(sub { tablet($right)->{leader} && tablet(2)->{leader} }, 'leaders'), 'both halves with it');
is($c->json('node', 'ls')->{cluster}, $l->{cluster}, 'it is the same cluster');

# One that stays dead is replaced by the one that is left over.
$c->kill9(2);
ok($c->poll_until(sub { my %v = map { $_ => voters(tablet($_)) } 1, 2, $right; !grep { $_ !~ /^(?!.*\b2\b)\d+,\d+,\d+$/ } values %v }, 'three voters', 90),
    'a dead node\'s voters are replaced on others');
ok($c->poll_until(sub { grep { (($c->http($_, '/metrics'))[1] // '') =~ /^meridian_node_voters_replaced_total\{store="0"\} [1-9]/m } 1, 3, 4 }, 'counted'),
    'and counted');

# Wrong starts.
sub wrong {
    my @args = @_;
    my $out  = `$Meridian::Test::Cluster::binary start @args 2>&1`;
    return ($? >> 8, $out);
}
($status, $text) = wrong('--data', "$c->{dir}/empty", '--rpc', '127.0.0.1:0', '--http', 'none', '--sql', 'none', '--clock', 'host', '--log', 'off');
is($status, 1, 'an empty directory wants to know how');
like($text, qr/is empty: give --bootstrap for the first node or --join HOST:PORT/, 'and says so');
($status, $text) = wrong('--data', $c->{node}{1}{data}, '--rpc', '127.0.0.1:0', '--http', 'none', '--sql', 'none', '--clock', 'host', '--log', 'off', '--stores', 1);
is($status, 1, 'a directory in use is refused');
($status, $text) = wrong('--data', $c->{node}{1}{data}, '--stores', 3, '--clock', 'host', '--log', 'off');
like($text, qr/number is fixed at the first start/, 'the number of stores is fixed');
($status, $text) = wrong('--nonsense', 1);
is($status, 1, 'an unknown option is refused');
($status, $text) = wrong('--repair-after', '5m');
like($text, qr/--repair-after wants a number of seconds/, 'nor is what is no number of seconds');
$c->stop($_) for $c->running;
open my $f, '+<', "$c->{node}{1}{data}/identity" or die;
seek $f, 20, 0;
print $f 'x';
close $f;
($status, $text) = wrong('--data', $c->{node}{1}{data}, '--clock', 'host', '--log', 'off', '--stores', 1);
is($status, 2, 'a damaged identity is not guessed at');
like($text, qr/identity is damaged/, 'and it says so');

done_testing;
