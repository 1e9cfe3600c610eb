#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# `meridian geo` for real: namespaces, links with the delays asked for, changes while they are used, partitions one way and both,
# and nothing left behind, whatever dies. Needs root and /dev/net/tun (or a kernel with netem); everything happens in namespaces
# of a world of its own.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time sleep);

my $bin = $ENV{MERIDIAN_GEO_BIN} // 'build/dev/bin/meridian-geo';
plan skip_all => "no $bin" unless -x $bin;

my $world = 't' . $$;
my $dir   = tempdir(CLEANUP => 1);
my ($last, $out, $err) = (0, '', '');

sub geo {
    my ($verb, @args) = @_;
    unshift @args, '--no-nodes' if $verb eq 'up';    # nodes: geo_cluster.t
    my @command = ($bin, $verb, '--world', $world, @args);
    open my $keep, '>&', \*STDERR or die;
    open STDERR, '>', "$dir/err" or die;
    my $pid = open(my $o, '-|', @command) // die;
    local $/;
    $out = <$o> // '';
    close $o;
    $last = $? >> 8;
    open STDERR, '>&', $keep or die;
    open my $e, '<', "$dir/err" or die;
    $err = <$e> // '';
    return $last;
}

sub file {
    my ($name, $text) = @_;
    open my $f, '>', "$dir/$name" or die;
    print $f $text;
    close $f;
    return "$dir/$name";
}

my $topo = file('three.topo', <<'END');
format 1
region us 1 zones a b
region eu 2
region ap 3 nodes 2
default jitter 1% rate 1gbit
zone-rtt 2ms
link us eu rtt 20ms
link us ap rtt 70ms
link eu ap rtt 36ms
END

# ---- words: these need no privileges
is(geo('up'), 1, 'up without a topology');
like($err, qr/up wants one topology/, 'says so');
is(geo('up', "$dir/none.topo"), 1, 'a file that is not there');
like($err, qr/No such file/, 'says so');
is(geo('up', file('bad.topo', "format 1\nregion us 1\nlink us mars rtt 1ms\n")), 1, 'a topology that is wrong');
like($err, qr/bad\.topo:3:9: there is no region or zone "mars"/, 'is named with line and column');
is(geo('up', '--print', '--backend', 'netem', $topo), 0, '--print');
like($out, qr/netem limit 100000 delay 10000us 100us distribution normal loss 0\.0000% rate 1000000000bit$/m, 'shows commands');
is(geo('status'), 1, 'status of a world that is not up');
like($err, qr/world $world is not up/, 'says so');
for (['frob'], ['status', '--speed'], ['set', 'us', 'eu'], ['verify', '--rounds', '1'], ['exec'], ['partition']) {
    is(geo(@$_), 1, "misuse: @$_");
    like($err, qr/^meridian geo: ./, 'one sentence');
}

sub able {
    return 'needs root' if $> != 0;
    return 'ip (iproute2) is not installed' unless grep { -x "$_/ip" } split /:/, $ENV{PATH};
    return 'no /dev/net/tun' unless -c '/dev/net/tun';
    return 'network namespaces are not allowed here' if system("ip netns add geo-$world-0able 2>/dev/null");
    system("ip netns del geo-$world-0able");
    return undef;
}
my $unable = able();
if ($unable) {
    SKIP: { skip "the real network: $unable", 1 }
    done_testing();
    exit 0;
}

my %child;
END {
    my $status = $?;
    if (!$unable && defined $world) {
        kill 'KILL', $_ for keys %child;
        system("$bin down --world $world >/dev/null 2>&1");
    }
    $? = $status;
}
$SIG{$_} = sub { exit 1 }
  for qw(INT TERM HUP);

sub left {    # namespaces of ours that are there
    return join ' ', map { s,.*/,,r } glob "/run/netns/geo-$world-*";
}

sub in_place {    # runs Perl in a place; its output comes through the handle
    my ($place, $code) = @_;
    my $pid = open(my $o, '-|', $bin, 'exec', '--world', $world, $place, $^X, '-MIO::Socket::INET', '-MTime::HiRes=time,sleep',
        '-e', $code) // die;
    return $o;
}

# ---- up
my $began = time;
is(geo('up', $topo), 0, 'up') or diag($out, $err);
ok(time - $began < 20, 'in reasonable time');
like($out, qr/6 of 6 round trips are as asked for/, 'with a ping matrix that fits');
my ($backend) = $out =~ /netem/ ? 'netem' : 'tun';
diag(join ' ', 'links by', $backend);
is(geo('up', $topo), 1, 'a second time');
like($err, qr/world $world is up already/, 'is refused');
is(geo('status', '--json'), 0, 'status --json');
my $st = decode_json($out);
is($st->{backend}, $backend, 'the back end in force');
is_deeply([map { $_->{name} } @{ $st->{places} }], [qw(us.a us.b eu ap)], 'places');
is_deeply($st->{places}[3]{nodes}, [qw(10.77.3.1 10.77.3.2)],               'addresses');
is(scalar(@{ $st->{links} }),       12,                                      'a link for each direction');
is(geo('exec', 'mars', 'true'),     1,                                       'exec in no place');
is(geo('exec', 'eu', 'sh', '-c', 'exit 7'), 7, 'exec returns what its command returned');

# TCP between two regions, with real sockets: connect takes one round trip.
sub connect_ms {
    my ($from, $to, $addr, $timeout) = @_;
    my $server = in_place($to, qq{
        \$s = IO::Socket::INET->new(LocalAddr => '$addr', LocalPort => 7000, Listen => 5, ReuseAddr => 1) or die;
        \$| = 1; print "ready\\n"; alarm 20; while (\$c = \$s->accept) { close \$c } });
    <$server>;
    my $client = in_place($from, qq{
        for (1 .. 5) {
            \$t = time; \$c = IO::Socket::INET->new(PeerAddr => '$addr:7000', Timeout => $timeout) or print("failed\\n"), exit;
            printf "%.3f\\n", 1000 * (time - \$t); close \$c } });
    my @ms = sort { $a <=> $b } map { chomp; $_ eq 'failed' ? 1e9 : $_ } <$client>;
    close $client;
    return ($server, $ms[$#ms / 2]);
}
my ($server, $ms) = connect_ms('us.b', 'ap', '10.77.3.2', 5);
cmp_ok($ms, '>=', 69, "a TCP connection takes a round trip, $ms ms of 70");
cmp_ok($ms, '<=', 90, 'and not two');

# ---- changes while it is used
is(geo('set', 'us', 'eu', 'rtt=50ms', 'jitter=0'), 0, 'set');
is(geo('set', '--one-way', 'ap', 'eu', 'delay=30ms'), 0, 'set one way');
is(geo('verify', '--rounds', '9'), 0, 'verify after it') or diag($out);
like($out, qr/^us\.a +eu +50\.000 ms +(49|50|51)\./m, 'the new round trip');
like($out, qr/^eu +ap +48\.000 ms/m,                  'and that of the one way');
is(geo('set', 'us', 'eu', 'rtt=-1ms'), 1, 'nonsense');
like($err, qr/rtt: a duration/, 'is refused');
geo('status', '--json');
my ($link) = grep { $_->{from} eq 'us.a' && $_->{to} eq 'eu' } @{ decode_json($out)->{links} };
is($link->{delay_ns}, 25_000_000, 'and changes nothing');

# ---- partitions: one way, then both
sub udp_one_way {    # how many of 5 datagrams come: all, or those that came until a while after they had left
    my ($from, $to, $addr, $port) = @_;
    my $hear = in_place($to, qq{
        \$s = IO::Socket::INET->new(LocalAddr => '$addr', LocalPort => $port, Proto => 'udp') or die;
        \$| = 1; print "ready\\n"; \$n = 0; vec(\$r, fileno \$s, 1) = 1; \$until = time + 10;
        while (\$n < 5 && time < \$until) {
            select(\$q = \$r, undef, undef, 0.02) > 0 and \$s->recv(\$x, 9), \$n++;
            -e '$dir/$port' and \$until > time + 1 and \$until = time + 0.3 }
        print "\$n\\n" });
    <$hear>;
    geo('exec', $from, $^X, '-MIO::Socket::INET', '-e',
        qq{\$s = IO::Socket::INET->new(PeerAddr => '$addr:$port', Proto => 'udp'); \$s->send('x') for 1 .. 5});
    file($port, '');
    my $n = <$hear>;
    close $hear;
    chomp $n;
    return $n;
}
is(geo('partition', '--one-way', 'us', 'eu'), 0, 'partition one way');
is(udp_one_way('us.a', 'eu',   '10.77.2.1', 7100), 0, 'nothing comes that way');
is(udp_one_way('us.b', 'eu',   '10.77.2.1', 7101), 0, 'from the other zone neither');
is(udp_one_way('eu',   'us.a', '10.77.1.1', 7102), 5, 'everything the other way');
is(udp_one_way('us.a', 'ap',   '10.77.3.1', 7103), 5, 'and to others');
is(geo('verify', '--rounds', '5'), 0, 'the matrix knows what is cut') or diag($out);
like($out, qr/^us\.a +eu .* ok \(cut\)$/m, 'and says so');
is(geo('heal'),            0, 'heal');
is(geo('partition', 'ap'), 0, 'partition of a region from everybody');
is(udp_one_way('us.a', 'ap',   '10.77.3.1',  7104), 0, 'nothing in');
is(udp_one_way('ap',   'us.a', '10.77.1.1',  7105), 0, 'nothing out');
is(udp_one_way('us.a', 'us.b', '10.77.1.33', 7106), 5, 'the others go on');
is(geo('partition', '*'), 1, 'of everybody from nobody');
is(geo('heal', 'ap'), 0, 'heal it');
is(geo('verify', '--rounds', '9'), 0, 'all is as it was') or diag($out);
geo('status');
diag($1) if $out =~ /^(lateness .*)$/m;

# ---- loss
is(geo('set', 'us', 'eu', 'loss=100%'), 0, 'a line that loses everything');
is(udp_one_way('us.a', 'eu', '10.77.2.1', 7107), 0, 'does');
is(geo('set', 'us', 'eu', 'loss=0'), 0, 'and is mended');

# ---- what dies
my $sleeper = fork // die;
if ($sleeper == 0) {
    exec $bin, 'exec', '--world', $world, 'eu', 'sleep', '600';
}
$child{$sleeper} = 1;
SKIP: {
    skip 'the kernel carries the packets', 5 if $backend eq 'netem';
    geo('status', '--json');
    my $pid = decode_json($out)->{emulator}{pid};
    ok($pid > 1 && decode_json($out)->{emulator}{alive}, 'the emulator lives');
    kill 'KILL', $pid;
    for (1 .. 100) { last unless kill 0, $pid; sleep 0.05 }
    is(geo('status'), 0, 'status with a dead emulator');
    like($out, qr/DEAD/, 'says so');
    is(geo('set', 'us', 'eu', 'rtt=1ms'), 1, 'and nothing can be set');
    is(geo('verify', '--rounds', '3'), 1, 'or verified');
}
is(geo('down'), 0, 'down') or diag($err);
like($out, qr/removed [45] namespaces, [1-9]\d* processes/, 'removes namespaces and who lives in them');
is(waitpid($sleeper, 0), $sleeper, 'the process in a namespace has ended');
delete $child{$sleeper};
is(left(), '', 'nothing is left');
ok(!-e "/run/meridian-geo/$world", 'nor a directory');
is(geo('down'), 0, 'down again');
like($out, qr/nothing was there/, 'finds nothing');

# ---- what a crash in the middle of up leaves
system("ip netns add geo-$world-us");
mkdir '/run/meridian-geo';
mkdir "/run/meridian-geo/$world";
is(geo('up', $topo), 1, 'up over leftovers');
like($err, qr/something of it is left\n +hint: meridian geo down --world $world/, 'is refused, with the way out');
is(geo('down'), 0, 'down');
is(left(), '', 'removes them');
my $up = fork // die;
if ($up == 0) {
    open STDOUT, '>', '/dev/null';
    exec $bin, 'up', '--no-nodes', '--world', $world, $topo;
}
for (1 .. 500) {
    last if left() =~ /geo-\S+ geo-/;
    sleep 0.005;
}
kill 'KILL', $up;
waitpid $up, 0;
is(geo('down'), 0, 'down after up was killed in the middle') or diag($err);
is(left(), '', 'removes what was made');
is(geo('up', $topo), 0, 'and up works again') or diag($out, $err);
is(geo('down'), 0, 'to the end');
is(left(), '', 'nothing is left');
done_testing();
