#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A scenario on real nodes, over SQL: the leader's region is killed and comes back under clients of three regions, on plain loopback
# with distances; nothing acknowledged is lost, the history is strictly serializable, and the same report is made of it.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $bin = $ENV{MERIDIAN_BIN_DIR} // 'build/dev/bin';
plan skip_all => "no $bin/meridian-geo" unless -x "$bin/meridian-geo" && -x "$bin/meridian";

my $world = 'r' . $$;
my $dir   = tempdir(CLEANUP => 1);
my $main  = $$;
END {
    my $status = $?;
    system("$bin/meridian-geo down --world $world >/dev/null 2>&1") if defined $main && $$ == $main;
    $? = $status;
}
$SIG{$_} = sub { exit 1 }
  for qw(INT TERM HUP);

sub geo {
    my ($verb, @args) = @_;
    my $out = `$bin/meridian-geo $verb --world $world @args 2>&1 </dev/null`;
    return ($? >> 8, $out);
}

sub file {
    my ($name, $text) = @_;
    open my $f, '>', "$dir/$name" or die;
    print $f $text;
    close $f;
    return "$dir/$name";
}

my ($status, $out) = geo('run', 'leader-region-loss');
is($status, 1, 'no run without a world');
like($out, qr/is not up/, 'and it says so');
my $topo = file('small.topo', <<'END');
format 1
region us 1 at 37.37 -79.82
region eu 2 at 52.37 4.90
region ap 3 at 35.68 139.77
default jitter 0
link us eu rtt 20ms
link us ap rtt 30ms
link eu ap rtt 40ms
END
($status, $out) = geo('up', $topo, '--backend', 'loopback', '--data', "$dir/data");
is($status, 0, 'up') or diag $out, map { `tail -n 5 $_` } glob "/run/meridian-geo/$world/*.log";
like($out, qr/SELECT 1 is answered everywhere/, 'up means that SQL is answered in each region');

my $story = file('short.scenario', <<'END');
format 1
title The leader's region is lost, shortly
topology three-regions
home us
duration 16s
clients 2
keys 24
think 80ms
mix write 30 read 25 stale 15 rmw 15 transfer 15
staleness 1s
at 4s kill leader
at 9s restart dead
expect gap 9s
expect progress
END
($status, $out) = geo('run', $story, '--seed', 3, '--out', "$dir/r.json");
is($status, 0, 'the scenario passes') or diag $out;
like($out, qr/no acknowledged write is lost: [1-9]\d* of them/, 'it wrote, and nothing is lost');
like($out, qr/strictly serializable: \d+ transactions, no cycle/, 'nobody saw what cannot be');
open my $f, '<', "$dir/r.json" or die;
my $r = do { local $/; decode_json(<$f>) };
ok($r->{passed}, 'its results say so');
is($r->{backend}, 'real: loopback, --test-links', 'and on what it was played');
my %led = map { $_->{text} => 1 } grep { $_->{kind} eq 'leader' } @{ $r->{timeline}{events} };
cmp_ok(scalar keys %led, '>=', 2, 'another region led');
my ($write) = grep { $_->{region} eq 'ap' && $_->{operation} eq 'write' } @{ $r->{latency} };
cmp_ok($write->{p50_ms}, '>=', 30, 'a write takes a round trip to another region at least');
my ($past) = grep { $_->{region} eq 'ap' && $_->{operation} eq 'stale read' } @{ $r->{latency} };
cmp_ok($past->{p50_ms}, '<', 30, 'a read of the past does not');
cmp_ok(scalar @{ $r->{clock} }, '==', 3, 'intervals of every region were seen');
ok(-s "$dir/r.html" > 20_000, 'and there is a page');
is((geo('down'))[0], 0, 'down');
done_testing();
