#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# `meridian clock` from outside: masters, a daemon whose page other processes read, status in its forms, and what becomes of
# readers when the daemon is stopped, killed and started again. True time is the system clock plus 37 ms: the masters say so.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(clock_gettime CLOCK_REALTIME sleep);

my $bin = $ENV{MERIDIAN_BIN} // 'build/dev/bin/meridian';
plan skip_all => "no $bin" unless -x $bin;

use constant KEY       => 0x4e545030;
use constant PATIENCE  => 60;
use constant OFFSET_NS => 37_000_000;
my $dir = tempdir(CLEANUP => 1);
my (%child, @units);

# Units from 100 on that nobody uses.
for (my $u = 100 + $$ % 100; @units < 3; $u++) {
    push @units, $u unless defined shmget(KEY + $u, 0, 0);
}

sub start {
    my @args = @_;
    my $pid  = fork // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>>', "$dir/log" or die;
        exec $bin, 'clock', @args or die "exec: $!";
    }
    $child{$pid} = 1;
    return $pid;
}

sub finish {
    my ($pid, $signal) = @_;
    kill $signal, $pid;
    waitpid $pid, 0;
    delete $child{$pid};
    return $?;
}

END {
    my $status = $?;
    kill 'KILL', $_ for keys %child;
    waitpid $_, 0 for keys %child;
    for (@units) {
        my $id = shmget(KEY + $_, 0, 0);
        shmctl($id, 0, 0) if defined $id;    # IPC_RMID
    }
    $? = $status;
}
$SIG{$_} = sub { exit 1 }
  for qw(INT TERM HUP);

sub run {    # status, standard output, standard error
    my @args = @_;
    open my $keep, '>&', \*STDERR or die;
    open STDERR, '>', "$dir/err" or die;
    my $pid = open(my $out, '-|', $bin, 'clock', @args) // die;
    local $/;
    my $text = <$out>;
    close $out;
    my $status = $? >> 8;
    open STDERR, '>&', $keep or die;
    open my $e, '<', "$dir/err" or die;
    return ($status, $text, scalar <$e>);
}

sub status {
    my ($code, $text) = run('status', '--page', "$dir/page", '--json');
    my $st = eval { decode_json($text) } // { status => "no JSON: $text" };
    return ($st, $code);
}

sub until_status {
    my ($want, $name) = @_;
    my ($st, $code);
    for (1 .. PATIENCE * 10) {
        ($st, $code) = status();
        last if $want->($st);
        sleep 0.1;
    }
    ok($want->($st), $name) or diag(encode_json($st));
    return ($st, $code);
}

# ---- words
my ($code, $out, $err) = run('--help');
is($code, 0, '--help');
like($out, qr/usage: meridian clock \[status\]/, 'tells the usage');
for (
    [['--clock', 'shm'],             qr/no such source/],
    [['--clock', 'shm:1;shm:2;f=2'], qr/f must be smaller/],
    [['--speed', '3'],               qr/no option "--speed"/],
    [['frobnicate'],                 qr/there is no "frobnicate"/],
    [['master'],                     qr/wants --shm/],
    [['master', '--shm', '999'],     qr/--shm: "999"/],
    [['master', '--shm', '120', '--offset', '5'], qr/--offset: "5"/],
    [['daemon', '--json'],                        qr/no option "--json"/],
    [['status', '--page', "$dir/none"],           qr/No such file/],
    [['status', '--page', '/etc/passwd', '--clock', 'host'], qr/not both/],
  )
{
    ($code, $out, $err) = run(@{ $_->[0] });
    is($code, 1, "exit status of: @{$_->[0]}");
    like($err, $_->[1], 'and the sentence');
}

# ---- masters, a daemon, a reader
my @masters = map { start('master', '--shm', $_, '--offset', '37ms', '--jitter', '40us', '--mode', '600') } @units;
my $spec    = join ';', map { "shm:$_" } @units;
my $daemon  = start('daemon', '--clock', $spec, '--page', "$dir/page");
my ($st)    = until_status(sub { $_[0]{status} eq 'SYNC' && $_[0]{fresh} == 3 }, 'three masters make a clock');
is_deeply([map { $_->{name} } @{ $st->{sources} }], [map { "shm:$_" } @units], 'the sources, as in the SPEC');
is_deeply([grep { $_->{status} ne 'agrees' } @{ $st->{sources} }], [], 'agree');
ok(!(grep { !exists $st->{$_} } qw(status earliest_ns latest_ns half_width_ns sources)), 'the promised keys');
ok(!(grep { my $s = $_; grep { !exists $s->{$_} } qw(name status offset_ns bound_ns age_ns) } @{ $st->{sources} }),
    'of each source too');

my $misses = 0;
for (1 .. ($ENV{CLOCK_READINGS} // 40)) {
    my $before = clock_gettime(CLOCK_REALTIME) * 1e9 + OFFSET_NS;
    my ($s) = status();
    my $after = clock_gettime(CLOCK_REALTIME) * 1e9 + OFFSET_NS;
    next unless defined $s->{earliest_ns};    # a stalled machine may know nothing for a moment
    $misses++ if $s->{earliest_ns} > $after + 1000 || $s->{latest_ns} < $before - 1000;    # doubles round
}
is($misses, 0, 'every reading holds true time');

($code, $out) = run('status', '--page', "$dir/page");
like($out, qr/^clock     (SYNC|HOLDOVER|UNSYNCED): /, 'the table');
like($out, qr/^shm:$units[0] +\w+ +3[67]\.\d+ ms/m, 'a row for a source');

($code, $out, $err) = run('daemon', '--clock', $spec, '--page', "$dir/page");
is($code, 1, 'a second daemon for the same page');
like($err, qr/is written by another process/, 'is told why not');

# ---- one begins to lie
finish($masters[2], 'TERM');
$masters[2] = start('master', '--shm', $units[2], '--offset', '67ms', '--mode', '600');
until_status(sub { $_[0]{sources}[2]{status} eq 'falseticker' && $_[0]{status} eq 'SYNC' }, 'the liar is named');

# ---- a stopped daemon, a dead one, its successor
my $inode = (stat "$dir/page")[1];
kill 'STOP', $daemon;
($st, $code) = until_status(sub { $_[0]{status} eq 'UNSYNCED' }, 'a stopped daemon is not believed');
like($st->{reason}, qr/last spoke/, 'and the reason says so');
is($code, 3, 'exit status: no time');
ok(!defined $st->{earliest_ns}, 'no interval');
kill 'CONT', $daemon;
($st, $code) = until_status(sub { $_[0]{status} eq 'SYNC' }, 'it goes on');
is($code, 0, 'exit status: time');
my $earliest = $st->{earliest_ns};

finish($daemon, 'KILL');
until_status(sub { $_[0]{status} eq 'UNSYNCED' }, 'nor is a dead one');
$daemon = start('daemon', '--clock', $spec, '--page', "$dir/page");
my $epoch = $st->{epoch};
($st) = until_status(sub { $_[0]{status} eq 'SYNC' }, 'its successor is');
is((stat "$dir/page")[1], $inode, 'in the same file');
is($st->{epoch}, $epoch + 1, 'in a new epoch');
cmp_ok($st->{earliest_ns}, '>=', $earliest, 'time did not go back');

# ---- a drawing, and the in-process forms
($code, $out) = run('status', '--page', "$dir/page", '--plot', "$dir/plot.svg", '--for', '300ms');
my $svg = do { local (@ARGV, $/) = "$dir/plot.svg"; <> };
like($svg, qr/^<svg .*half-width of the interval.*<\/svg>\n\z/s, 'a plot');
($code, $out) = run('--clock', $spec, '--json', '--watch', '--for', '2500ms');
my @lines = split /\n/, $out;
ok(@lines >= 1 && !(grep { !eval { decode_json($_) } } @lines), '--watch --json: an object a line');
($code, $out) = run('--clock', 'host', '--json');
is($code, 0, 'the host clock');
cmp_ok(decode_json($out)->{half_width_ns} // 1e9, '<=', 1000, 'is narrower than a microsecond');
($code, $out) = run('--clock', 'fixed:5ms', '--json');
is(decode_json($out)->{status}, 'ASSUMED', 'what is only assumed is called so');

is(finish($daemon, 'TERM'), 0, 'SIGTERM ends the daemon in good order');
is(finish($_, 'TERM'), 0, 'and a master') for @masters;
done_testing();
