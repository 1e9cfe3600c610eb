#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# `meridian geo` with nodes in it, on plain loopback (no privileges needed): a cluster with distances comes up, its regions die, are
# cut off, stopped and come back, its time masters lie and end; and nothing is left, also after kill -9 of whoever made it.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(time sleep);

my $bin = $ENV{MERIDIAN_GEO_BIN} // 'build/dev/bin/meridian-geo';
plan skip_all => "no $bin" unless -x $bin;

my $world = 'c' . $$;
my $dir   = tempdir(CLEANUP => 1);
my ($out, $err) = ('', '');

sub geo {
    my ($verb, @args) = @_;
    open my $keep, '>&', \*STDERR or die;
    open STDERR, '>', "$dir/err" or die;
    my $pid = open(my $o, '-|', $bin, $verb, '--world', $world, @args) // die;
    local $/;
    $out = <$o> // '';
    close $o;
    my $status = $? >> 8;
    open STDERR, '>&', $keep or die;
    open my $e, '<', "$dir/err" or die;
    $err = <$e> // '';
    return $status;
}

my $main = $$;
END {
    my $status = $?;
    if (defined $world && $$ == $main) {
        kill 'KILL', $_ for ours();
        system("$bin down --world $world >/dev/null 2>&1");
    }
    $? = $status;
}
$SIG{$_} = sub { exit 1 }
  for qw(INT TERM HUP);

sub status { return geo('status', '--json') ? undef : decode_json($out) }

sub node_of {
    my ($name) = @_;
    my $s = status() or return {};
    return (grep { $_->{name} eq $name } @{ $s->{nodes} })[0] // {};
}

sub poll {
    my ($sub) = @_;
    for (my $end = time + 30; time < $end; sleep 0.2) {
        return 1 if $sub->();
    }
    return 0;
}

# Everything that carries this world's mark: what down must find.
sub ours {
    my @pids;
    for my $p (glob '/proc/[0-9]*') {
        open my $f, '<', "$p/environ" or next;
        local $/;
        my $env = <$f> // '';
        push @pids, $p =~ s,.*/,,r if $env =~ m{(?:^|\0)MERIDIAN_GEO_WORLD=[^\0]*/$world(?:\0|$)};
    }
    return @pids;
}

open my $f, '>', "$dir/small.topo" or die;
print $f <<'END';
format 1
region us 1
region eu 2
region ap 3
default jitter 0
link us eu rtt 30ms
link us ap rtt 50ms
link eu ap rtt 70ms
master us 3 period 100ms jitter 20us err 200us
master eu 3 period 100ms jitter 20us err 200us
master ap 3 period 100ms jitter 20us err 200us
END
close $f;

# What a node says of a file of links that it cannot read.
my $meridian = $bin =~ s/-geo$//r;
for (["region us 1\nlink us mars rtt 1ms\n", qr/links:2: two regions or zones are wanted that the file has/],
    ["frob\n", qr/links:1: a statement of a topology is wanted/], ["region us 1\nregion eu 2\nlink us eu rtt far\n", qr/links:3: a duration/]) {
    open my $l, '>', "$dir/links" or die;
    print $l $_->[0];
    close $l;
    my $said = `$meridian start --data $dir/none --test-links $dir/links --bootstrap 2>&1`;
    is($? >> 8, 1, 'links that are none are refused');
    like($said, $_->[1], 'with the line');
}
ok(!-e "$dir/none", 'before anything is made');

# Ctrl-C in the middle: nothing stays.
my $making = fork // die;
if (!$making) {
    open STDOUT, '>', "$dir/interrupted";
    open STDERR, '>&', \*STDOUT;
    exec $bin, 'up', '--world', $world, "$dir/small.topo", '--backend', 'loopback', '--data', "$dir/data" or exit 9;
}
ok(poll(sub { ours() > 9 }), 'a world is being made') or diag `cat $dir/interrupted`;
kill 'INT', $making;
waitpid $making, 0;
is($? >> 8, 1, 'interrupted');
like(`cat $dir/interrupted`, qr/interrupted; what was made of world $world was removed again/, 'and says what became of it');
is(scalar ours(), 0, 'no process is left');
ok(!-e "$dir/data/geo-$world", 'nor its data');

is(geo('up', "$dir/small.topo", '--backend', 'loopback', '--data', "$dir/data"), 0, 'up') or diag($out, $err, map { `tail -n 5 $_` } glob "/run/meridian-geo/$world/*.log");
like($out, qr/plain loopback: the nodes hold back what they send/, 'says how distances are made');
like($out, qr/3 nodes serve, every tablet has its voters/, 'and that it is there');
my $s = status();
is(scalar @{ $s->{nodes} }, 3, 'three nodes');
is(scalar @{ $s->{masters} }, 9, 'three time masters in each region');
is((grep { $_->{alive} && $_->{clock} eq 'SYNC' } @{ $s->{nodes} }), 3, 'alive and synchronised');
is_deeply([ map { $_->{region} } @{ $s->{nodes} } ], [qw(us eu ap)], 'each where it belongs');
my ($leader) = grep { $_->{leads} } @{ $s->{nodes} };
ok($leader, 'somebody leads');
for my $n (@{ $s->{nodes} }) {
    my $h = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$n->{http_port}", Timeout => 10);
    print {$h} "GET /healthz HTTP/1.0\r\n\r\n" if $h;
    my $answer = $h ? <$h> : '';
    like($answer, qr/ 200 OK/, "$n->{name} answers on the host's loopback");
}
is(geo('up', "$dir/small.topo", '--backend', 'loopback'), 1, 'a second time');
like($err, qr/is up already/, 'is refused');

# A region dies; others lead; it comes back as who it was.
my $where = $leader->{region};
is(geo('kill', $where), 0, 'kill a region');
ok(!node_of($leader->{name})->{alive}, 'it is dead');
ok(poll(sub { my $x = status(); $x && grep { $_->{leads} && $_->{region} ne $where } @{ $x->{nodes} } }), 'another leads');
is(geo('restart', $leader->{name}), 0, 'restart, by the name of the node') or diag $err;
my $back = node_of($leader->{name});
ok($back->{alive} && $back->{pid} != $leader->{pid}, 'it runs again');
is($back->{node}, $leader->{node}, 'under the number it had');
is($back->{sql_port}, $leader->{sql_port}, 'on the port it had');

# A region is cut off, by what its nodes hold back.
my ($now) = grep { $_->{leads} } @{ status()->{nodes} };
is(geo('partition', $now->{region}), 0, 'partition the region that leads');
ok(poll(sub { my $x = status(); $x && grep { $_->{leads} && $_->{region} ne $now->{region} } @{ $x->{nodes} } }),
    'another leads') or diag $out;
is(geo('heal'), 0, 'heal');
is(geo('set', 'us', 'eu', 'rtt=80ms'), 0, 'set');
is((grep { $_->{from} eq 'us' && $_->{to} eq 'eu' } @{ status()->{links} })[0]{delay_ns}, 40_000_000, 'is remembered');

# Stopped and let go.
is(geo('pause', 'ap'), 0, 'pause');
ok(node_of('ap-1')->{paused}, 'is shown');
is(geo('resume', 'ap'), 0, 'resume');
ok(!node_of('ap-1')->{paused}, 'too');

# Time masters.
is(geo('skew', 'eu', 'offset=3ms', 'masters=1'), 0, 'one master lies');
is((grep { $_->{offset_ns} == 3_000_000 && $_->{region} eq 'eu' } @{ status()->{masters} }), 1, 'one, by 3 ms');
is(geo('skew', 'eu', 'stop'), 0, 'all masters of a region end');
is((grep { !$_->{alive} && $_->{region} eq 'eu' } @{ status()->{masters} }), 3, 'all three');
ok(poll(sub { (node_of('eu-1')->{clock} // '') ne 'SYNC' }), 'its clock can vouch for nothing any more');
is(geo('skew', 'eu', 'offset=0'), 0, 'they come back');
ok(poll(sub { (node_of('eu-1')->{clock} // '') eq 'SYNC' }), 'and so does its clock') or diag $out;
# The system clocks of a region's machines, and their oscillators: time is measured, not read from there.
is(geo('skew', 'ap', 'clock=-5s', 'drift=150ppm'), 0, 'the system clock of a region is set back');
ok(poll(sub { `cat /run/meridian-geo/$world/ap-1.log 2>/dev/null` =~ /the system clock jumped by=-5\.000 s|jumped by=-4\.99/ || $> != 0 }), 'its node sees it');
sleep 1;
is(node_of('ap-1')->{clock}, 'SYNC', 'and knows the time all the same');
is(geo('skew', 'ap', 'drift=-900ppm'), 0, 'its oscillator breaks');
ok(poll(sub { (node_of('ap-1')->{clock} // '') eq 'FAULT' }), 'its clock vouches for nothing') or diag $out;
is(geo('skew', 'ap', 'drift=0'), 0, 'and is mended');
for (['kill'], ['kill', 'mars'], ['skew', 'us'], ['skew', 'mars', 'stop'], ['skew', 'us', 'offset=much'], ['skew', 'us', 'clock=far'],
    ['skew', 'us', 'drift=fast'], ['skew', 'us', 'masters=1'], ['restart', 'us', 'eu']) {
    is(geo(@$_), 1, "misuse: @$_");
    like($err, qr/^meridian geo: ./, 'one sentence');
}

is(scalar ours(), 12, 'nodes and masters carry the name of the world');
is(geo('down'), 0, 'down') or diag $err;
like($out, qr/removed 0 namespaces, 12 processes/, 'ends them all');
is(scalar ours(), 0, 'nobody is left');
ok(!-e "$dir/data/geo-$world", 'nor their data');
is(geo('down'), 0, 'down again');
like($out, qr/nothing was there/, 'finds nothing');

# up is killed in the middle.
my $up = fork // die;
if ($up == 0) {
    open STDOUT, '>', '/dev/null';
    exec $bin, 'up', '--world', $world, "$dir/small.topo", '--backend', 'loopback', '--data', "$dir/data";
}
ok(poll(sub { ours() >= 10 }), 'up starts processes');
kill 'KILL', $up;
waitpid $up, 0;
is(geo('up', "$dir/small.topo", '--backend', 'loopback'), 1, 'up over leftovers is refused');
is(geo('down'), 0, 'down');
is(scalar ours(), 0, 'nobody is left');
done_testing();
