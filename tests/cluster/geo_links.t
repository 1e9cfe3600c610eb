#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The lines of a world as SQL sees and changes them: meridian.links, set_link(), partition(), heal(). Once where nodes hold back what
# they send (no privileges needed), and once with a network, where that can be had.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(time sleep);

my $bin = $ENV{MERIDIAN_BIN_DIR} // 'build/dev/bin';
plan skip_all => "no $bin/meridian-geo" unless -x "$bin/meridian-geo" && -x "$bin/meridian";

my $dir    = tempdir(CLEANUP => 1);
my $main   = $$;
my @worlds = map { "l$_$$" } qw(a b);
END {
    my $status = $?;
    if (defined $main && $$ == $main) {
        system("$bin/meridian-geo down --world $_ >/dev/null 2>&1") for @worlds;
    }
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
link us eu rtt 20ms
END
close $t;

my ($port, $user) = (0, 'meridian');

sub sql {
    my ($text) = @_;
    $text =~ s/'/'\\''/g;
    my $out = `$bin/meridian sql --url postgres://$user\@127.0.0.1:$port/meridian --format csv -c '$text' 2>&1 </dev/null`;
    chomp $out;
    return $out;
}

sub row { my ($from, $columns) = @_; return (split /\n/, sql("SELECT $columns FROM meridian.links WHERE from_place = '$from'"))[1] // '' }

sub poll {
    my ($sub) = @_;
    for (my $end = time + 30; time < $end; sleep 0.2) {
        return 1 if $sub->();
    }
    return 0;
}

sub story {
    my ($world, $backend) = @_;
    my $up = `$bin/meridian-geo up $dir/two.topo --backend $backend --world $world --data $dir/data 2>&1 </dev/null`;
    is($?, 0, "$backend: up") or do { diag $up; return };
    ($port) = $up =~ /us-1\s+psql -h 127\.0\.0\.1 -p (\d+)/;
    is(sql('SELECT count(*) FROM meridian.links'), "count\n2", "$backend: a row for each direction");
    is(row('us', 'to_place, delay_ms, jitter_ms, loss_percent, state'), 'eu,10,0,0,open', "$backend: what the topology asks for");
    my ($rtt, $how) = split /,/, row('us', 'measured_rtt_ms, back_end');
    is($how, $backend, "$backend: which back end");
    cmp_ok($rtt, '>=', 19, "$backend: and what is measured") or diag $rtt;
    like(sql("SELECT meridian.set_link('us', 'eu', 'rtt=60ms')"), qr/^set_link\nset us eu rtt=60ms$/, "$backend: set_link");
    is(row('eu', 'delay_ms'), 30, "$backend: is seen at once, in both directions");
    cmp_ok((split /,/, row('us', 'measured_rtt_ms'))[0], '>=', 58, "$backend: and measured");
    like(sql("SELECT meridian.set_link('us', 'eu', 'delay=15ms', true)"), qr/one-way/, "$backend: one direction");
    is(row('us', 'delay_ms') . ' ' . row('eu', 'delay_ms'), '15 30', "$backend: the other stays");
    like(sql("SELECT meridian.partition('eu')"), qr/partition eu/, "$backend: partition");
    is(row('us', 'state, measured_rtt_ms'), 'cut,', "$backend: it is cut");
    like(`$bin/meridian-geo links --world $world`, qr/\bus\s+eu\s.*cut/, "$backend: the command line sees it too");
    like(sql('SELECT meridian.heal()'), qr/heal/, "$backend: heal");
    is(row('us', 'state'), 'open', "$backend: it is open");
    like(sql("SELECT meridian.set_link('us', 'nowhere', 'rtt=1ms')"), qr/nowhere/, "$backend: a place that is not there");
    like(sql("SELECT meridian.set_link('us', 'eu', 'rtt=lots')"), qr/22023|duration/, "$backend: nonsense is refused");
    like(sql("SELECT meridian.partition('--all')"), qr/names of regions/, "$backend: nor is anything an option");
    is(row('us', 'delay_ms'), 15, "$backend: what was refused changed nothing");
    ok(poll(sub { sql('CREATE ROLE someone LOGIN') =~ /CREATE ROLE|exists/ }), "$backend: another role");
    $user = 'someone';
    like(sql("SELECT meridian.partition('eu')"), qr/only superusers/, "$backend: changes are for superusers");
    like(sql('SELECT * FROM meridian.links'), qr/permission denied/, "$backend: as is the view");
    $user = 'meridian';
    is(system("$bin/meridian-geo down --world $world >/dev/null 2>&1"), 0, "$backend: down");
}

story($worlds[0], 'loopback');
SKIP: {
    skip 'a network needs root and /dev/net/tun', 1 if $> != 0 || !-w '/dev/net/tun';
    story($worlds[1], 'tun');
}

# A node that stands nowhere.
my $pid = open(my $node, '-|', "$bin/meridian start --data $dir/alone --bootstrap --sql 127.0.0.1:0 --rpc 127.0.0.1:0 --http 127.0.0.1:0 --log warn") // die;
my $ready = <$node> // '';
($port) = $ready =~ /sql=127\.0\.0\.1:(\d+)/;
SKIP: {
    ok($port, 'a node by itself') or skip 'it does not serve', 3;
    is(sql('SELECT count(*) FROM meridian.links'), "count\n0", 'it has no lines');
    my $said = sql("SELECT meridian.partition('eu')");
    like($said, qr/stands in no simulated world/, 'and says so');
    like($said, qr/meridian geo up/, 'with what would help');
}
kill 'TERM', $pid;
close $node;
done_testing();
