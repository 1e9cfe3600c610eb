#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A world whose nodes ask an unmodified chronyd, one in each region: it follows the region's time masters and leaves the system clock
# alone; a lying master is outvoted by it; without it a clock holds over; and nothing of it is left, also after kill -9.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time sleep);

my $bin = $ENV{MERIDIAN_BIN_DIR} // 'build/dev/bin';
plan skip_all => "no $bin/meridian-geo" unless -x "$bin/meridian-geo" && -x "$bin/meridian";
plan skip_all => 'chronyd is not installed: apt-get install chrony'
  unless grep { -x } qw(/usr/sbin/chronyd /usr/local/sbin/chronyd /sbin/chronyd);

my $dir   = tempdir(CLEANUP => 1);
my $world = "k$$";
my $main  = $$;
END {
    my $status = $?;
    system("$bin/meridian-geo down --world $world >/dev/null 2>&1") if defined $main && $$ == $main;
    $? = $status;
}
$SIG{$_} = sub { exit 1 }
  for qw(INT TERM HUP);

open my $t, '>', "$dir/two.topo" or die;
print $t <<'END';
format 1
region us 1
region eu 2
default jitter 0
link us eu rtt 10ms
master us 3 period 250ms jitter 100us err 500us
master eu 3 period 250ms jitter 100us err 500us
clock eu by masters
END
close $t;

sub geo { my $out = `$bin/meridian-geo @_ --world $world 2>&1 </dev/null`; return ($? >> 8, $out) }
sub status { my ($code, $out) = geo('status', '--json'); return decode_json($out) }

sub poll {
    my ($sub) = @_;
    for (my $end = time + 40; time < $end; sleep 0.3) {
        return 1 if $sub->();
    }
    return 0;
}

my ($code, $out) = geo('up', "$dir/two.topo", '--backend', 'loopback', '--data', "$dir/data", '--clocks', 'sundial');
is($code, 1, 'a clock that is none');
like($out, qr/--clocks wants masters or chronyd/, 'is refused');
($code, $out) = geo('up', "$dir/two.topo", '--backend', 'loopback', '--data', "$dir/data", '--clocks', 'chronyd');
is($code, 0, 'up') or diag $out, map { `tail -n 5 $_` } glob "/run/meridian-geo/$world/*.log";
my ($port) = $out =~ /us-1\s+psql -h 127\.0\.0\.1 -p (\d+)/;

sub clock {
    my ($node) = @_;
    my $rows = `$bin/meridian sql --url postgres://meridian\@127.0.0.1:$port/meridian --format csv -c 'SELECT node, state, half_width_ns FROM meridian.clocks ORDER BY node' 2>&1 </dev/null`;
    my @f = split /,/, (split /\n/, $rows)[$node] // '';
    return ($f[1] // '', $f[2] || 0);
}

my $s = status();
is_deeply([sort map { $_->{region} } @{ $s->{chronyds} }], ['eu', 'us'], 'a chronyd in each region');
is((grep { !$_->{alive} } @{ $s->{chronyds} }), 0, 'and it runs');
my %pid = map { $_->{region} => $_->{pid} } @{ $s->{chronyds} };
my $args = do { open my $f, '<', "/proc/$pid{us}/cmdline" or die; local $/; <$f> };
like($args, qr/chronyd\0-x\0/, 'it never touches the system clock');
ok(poll(sub { my ($state, $half) = clock(1); $state eq 'SYNC' && $half < 20_000_000 }), 'nodes take the time from it')
  or diag join ' ', clock(1);
like(`$bin/meridian-geo status --world $world 2>&1`, qr/us\s+a chronyd, pid $pid{us}, runs/, 'status names it');

is((geo('skew', 'us', 'offset=30ms', 'masters=1'))[0], 0, 'one of its three masters lies');
sleep 3;
my ($state, $half) = clock(1);
is($state, 'SYNC', 'it is outvoted') or diag $half;
is((geo('skew', 'us', 'offset=0'))[0], 0, 'and tells the truth again');

kill 'KILL', $pid{us};
ok(poll(sub { (clock(1))[0] eq 'HOLDOVER' }), 'without chronyd the clock holds over') or diag join ' ', clock(1);
is((clock(2))[0], 'SYNC', 'the other region does not notice');

is((geo('down'))[0], 0, 'down');
ok(!-e "/proc/$pid{eu}" || do { sleep 1; !-e "/proc/$pid{eu}" }, 'no chronyd is left');
ok(!-e "$dir/data/geo-$world", 'nor its directory');
done_testing();
