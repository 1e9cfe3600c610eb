#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Every shipped scenario on the virtual back end, under the sanitizers: what has to hold holds; a run is a function of its seed; the
# results are one JSON text; and a scenario whose expectation cannot come true fails.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $sim = $ENV{MERIDIAN_SIM_BIN} // 'build/dev/bin/meridian-sim';
plan skip_all => "no $sim" unless -x $sim;
my $dir = tempdir(CLEANUP => 1);

sub play {
    my (@args) = @_;
    my $out = `$sim @args 2>&1 </dev/null`;
    return ($? >> 8, $out);
}

sub slurp { open my $f, '<', $_[0] or die "$_[0]: $!"; local $/; return scalar <$f> }

my @stories = map { s,.*/,,r =~ s,\.scenario$,,r } sort glob 'geo-sim/scenarios/stories/*.scenario';
cmp_ok(scalar @stories, '>=', 9, 'nine scenarios are shipped');
my ($code, $help) = play('--help');
like($help, qr/^  \Q$_\E +\w/m, "meridian sim --help lists $_") for @stories;

my %trace;
for my $s (@stories) {
    my ($status, $out) = play($s, '--seed', 1, '--out', "$dir/$s.json");
    is($status, 0, "$s") or diag $out;
    like($out, qr/no acknowledged write is lost: [1-9]\d+ of them/, 'it wrote, and nothing is lost');
    ($trace{$s}) = $out =~ /trace ([0-9a-f]+)/;
    my $r = eval { decode_json(slurp("$dir/$s.json")) };
    ok($r && $r->{passed} && $r->{scenario} eq $s, 'and its results are JSON') or diag $@;
}
my ($again) = (play('leader-region-loss', '--seed', 1))[1] =~ /trace ([0-9a-f]+)/;
is($again, $trace{'leader-region-loss'}, 'the same seed is the same run');
my ($other) = (play('leader-region-loss', '--seed', 2))[1] =~ /trace ([0-9a-f]+)/;
isnt($other, $trace{'leader-region-loss'}, 'another one is another');

# Rules of the database that are broken on purpose are found in what clients saw.
for (
    [ 'K-5: reads take no locks', 'leader-region-loss', qr/FAILED  the history is NOT strictly serializable: lost update: / ],
    [ 'P-1: speak as before the restart', 'leader-region-loss', qr/FAILED  no acknowledged write is lost: .* was written later/ ],
    [ 'R-1: a follower believes that it has everything', 'leader-region-loss', qr/FAILED  replayed in the order of their timestamps/ ],
) {
    my ($rule, $story, $says) = @$_;
    local $ENV{SIM_MUTANT} = $rule;
    my ($status, $out, $seed) = (0, '', 0);
    ($status, $out) = play($story, '--seed', $seed) while $status == 0 && ++$seed <= 4; # one seed may be lucky
    is($status, 1, "broken: $rule (seed $seed)");
    like($out, $says, 'is caught');
}

# What the results tell.
my $r = decode_json(slurp("$dir/leader-region-loss.json"));
my %led;
$led{ $_->{text} }++ for grep { $_->{kind} eq 'leader' } @{ $r->{timeline}{events} };
cmp_ok(scalar keys %led, '>=', 2, 'another region led when the first was lost');
my ($write) = grep { $_->{region} eq 'eu-west' && $_->{operation} eq 'write' } @{ $r->{latency} };
cmp_ok($write->{p50_ms}, '>', 80,  'a write from another region takes a round trip');
cmp_ok($write->{p50_ms}, '<', 500, 'and not many');
my $sum = 0;
$sum += $_ for values %{ $write->{causes_ms} };
cmp_ok(abs($sum - $write->{p50_ms}), '<', $write->{p50_ms}, 'its time is told by cause');
for (@{ $r->{rtt} }) {
    cmp_ok(abs($_->{measured_ms} - $_->{asked_ms}), '<=', $_->{asked_ms} * 0.02 > 1 ? $_->{asked_ms} * 0.02 : 1,
        "$_->{from} - $_->{to}: the simulated round trip is as asked for");
}

# Expectations can fail, and what is wrong is said with its place.
sub file {
    my ($name, $text) = @_;
    open my $f, '>', "$dir/$name" or die;
    print $f $text;
    close $f;
    return "$dir/$name";
}
my $story = slurp('geo-sim/scenarios/stories/leader-region-loss.scenario');
my ($status, $out) = play(file('hasty.scenario', $story =~ s/expect gap 5s/expect gap 1s/r));
is($status, 1, 'an expectation that cannot come true');
like($out, qr/FAILED  the longest time without a write/, 'fails, and says which');
($status, $out) = play(file('wrong.scenario', "format 1\ntitle x\nfrob\n"));
is($status, 2, 'a text that is no scenario');
like($out, qr/wrong\.scenario:3: /, 'is named with its line');
($status, $out) = play('leader-region-loss', '--topology', 'mars');
is($status, 2, 'a topology that is not there is refused');
done_testing();
