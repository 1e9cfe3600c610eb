#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The C API's embedded engine: the whole suite, one process a directory, and processes that are killed with -9 in the middle of
# their work: what was acknowledged is there, and nothing is torn. KILLS=500 tests/run embedded.t for more of them.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(time);

my $programs = 'build/dev/tests/cluster/programs';
plan skip_all => "no $programs/api_embed" unless -x "$programs/api_embed";
my $dir = tempdir(CLEANUP => 1);
$ENV{ASAN_OPTIONS} = join ':', grep { defined && length } $ENV{ASAN_OPTIONS}, 'allocator_may_return_null=1';

my @suite = split /\n/, `$programs/api_suite file:$dir/suite meridian`;
is($?, 0, 'the suite exits with 0');
ok((grep { /^1\.\.[1-9]/ } @suite) == 1, 'it has a plan');
is_deeply([ grep { /^not ok/ } @suite ], [], 'all of ' . (grep { /^ok/ } @suite) . ' tests');

# The suite calls every function that there is.
my %called = map { $_ => 1 } slurp('tests/cluster/api_suite.c') =~ /\b(meridian_\w+)\(/g;
my @functions = slurp('txn/api/meridian.h') =~ /^MERIDIAN_API [^;]*?\b(meridian_\w+)\(/gm;
cmp_ok(scalar @functions, '>', 60, 'meridian.h has functions');
is_deeply([ grep { !$called{$_} } @functions ], [], 'and the suite calls each of them');

sub slurp {
    my ($file) = @_;
    open(my $in, '<', $file) or die "$file: $!";
    local $/;
    return <$in>;
}

sub begin {
    my @args = @_;
    pipe(my $child_in, my $to) or die;
    my $pid = open(my $from, '-|') // die;
    if (!$pid) {
        open STDIN, '<&', $child_in or die;
        close $to;
        exec "$programs/api_embed", @args or die;
    }
    close $child_in;
    return { pid => $pid, to => $to, from => $from };
}

my $holder = begin('hold', "$dir/kept");
is(readline $holder->{from}, "open\n", 'a directory is opened');
like(`$programs/api_embed check $dir/kept 0`, qr/^open: MERIDIAN_BUSY: .*in use/, 'a second process is told that it is in use');
close $holder->{to};
close $holder->{from};
is($?, 0, 'the first one closes it');
like(`$programs/api_embed check $dir/kept 0 2>&1`, qr/^-1\n/, 'and another one can open it: there are no tables yet');
like(`$programs/api_embed check /proc/none/such 0`, qr/^open: MERIDIAN_\w+: \S/, 'a directory that cannot be');

is(`$programs/api_embed reopen $dir/reopened 4 2>&1`, '', 'opened again and again: timestamps rise, rows are there');

my ($acknowledged, $told) = (0, 0);    # the last row, and the last timestamp that was told
my ($bad, $all) = ('', 0);
srand($ENV{SIM_SEED} // 1);
for my $round (1 .. $ENV{KILLS} // 4) {
    my $w = begin('write', "$dir/killed");
    my $lines = 1 + int rand 40;
    while ($lines-- > 0 && defined(my $line = readline $w->{from})) {
        if   ($line =~ /^(\d+) (\d+)$/) { ($acknowledged, $told) = ($1, $2) }
        else                            { $bad = $line; last }
    }
    kill 'KILL', $w->{pid};
    while (defined(my $line = readline $w->{from})) { ($acknowledged, $told) = ($1, $2) if $line =~ /^(\d+) (\d+)\n$/ }
    close $w->{from};
    my $out = `$programs/api_embed check $dir/killed $acknowledged $told 2>&1`;
    if ($? || $bad) { $bad .= "round $round: $out"; last }
    $all++;
}
is($bad, '', "$all kills, $acknowledged transactions: none was lost, time never went back");
cmp_ok($acknowledged, '>=', $all, 'each round has done something');
done_testing();
