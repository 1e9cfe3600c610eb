#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Five real nodes in five regions, whose distances they hold back themselves: every region reads the past at home, three from a voter,
# two from a replica that only serves reads. By ratios to the lines: a machine that is busy makes a read slow, but not two hundred
# times. The death of such a replica costs nobody a write; a table whose placement wants none is read over the line.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

my $bin = $ENV{MERIDIAN_BIN_DIR} // 'build/dev/bin';
plan skip_all => "no $bin/meridian-geo" unless -x "$bin/meridian-geo" && -x "$bin/meridian";

my $world = 'f' . $$;
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

sub poll_until {
    my ($sub, $seconds) = @_;
    for (my $end = time + $seconds; time < $end; sleep 0.3) {
        my $x = $sub->();
        return $x if $x;
    }
    return undef;
}

my ($status, $out) = geo('up', 'five-regions', '--backend', 'loopback', '--data', "$dir/data");
is($status, 0, 'five regions are up') or do { diag $out; done_testing(); exit };
my $s = decode_json((geo('status', '--json'))[1]);
my %port = map { $_->{region} => $_->{sql_port} } @{ $s->{nodes} };
is(scalar keys %port, 5, 'a node in each');
my %out = ('us-east' => 73, 'us-west' => 73, 'eu-west' => 90, 'ap-ne' => 109, 'sa-east' => 120);    # to the nearest other region, ms

sub sql {
    my ($region, @sql) = @_;
    my @how = map { ('-c', $_) } @sql;
    open my $f, '-|', 'psql', '-qAtX', '-v', 'VERBOSITY=sqlstate', '-h', '127.0.0.1', '-p', $port{$region}, '-U', 'meridian', 'meridian', @how
      or die "psql: $!";
    local $/;
    my $text = <$f> // '';
    close $f;
    return $text =~ s/\n\z//r;
}

# What one read of three seconds ago takes in one session, in ms: the median of eleven, as the server's clients see it.
sub past {
    my ($region, $table) = @_;
    my $text = sql($region, "SET meridian.read_staleness = 'exact 3s'", '\timing on', map { "SELECT count(*) FROM $table" } 1 .. 11);
    my @ms = sort { $a <=> $b } $text =~ /^Time: ([\d.]+) ms/mg;
    my ($count) = $text =~ /^(\d+)$/m;
    return (@ms == 11 ? $ms[5] : 1e9, $count // "none: $text");
}

sub complete {
    my ($ls) = `$bin/meridian node ls --json --rpc $s->{nodes}[0]{rpc} 2>/dev/null`;
    my $j = eval { decode_json($ls) } // return 0;
    return $j->{fully_replicated} && $j->{read_replicas_complete};
}

is(sql('us-east', 'CREATE TABLE notes (id int PRIMARY KEY, body text)', "INSERT INTO notes SELECT i, 'note ' || i FROM generate_series(1, 200) i"),
    '', 'a table with rows');
ok(poll_until(\&complete, 60), 'every region has a replica');
my $members = sql('eu-west', "SELECT string_agg(DISTINCT replicas, ' ') FROM meridian.tablets WHERE tablet >= 2");
is(() = $members =~ /read-only/g, 2, 'two of them only serve reads') or diag $members;
sleep 4;
for my $region (sort keys %port) {
    my ($ms, $count) = past($region, 'notes');
    is($count, 200, "$region reads the rows of three seconds ago");
    cmp_ok($ms, '<', $out{$region} / 3, sprintf('within the region: %.1f ms; the nearest other one is %d ms away', $ms, $out{$region}));
}

# The scenario checks the same, with clients that write, and the history of all.
open my $f, '>', "$dir/short.scenario" or die;
print $f <<'END';
format 1
title Reads of the past are near, shortly
topology five-regions
home us-east
duration 6s
clients 2
think 60ms
mix write 10 read 0 stale 90 rmw 0 transfer 0
staleness 2s
expect near stale
END
close $f;
($status, $out) = geo('run', "$dir/short.scenario", '--out', "$dir/r.json");
is($status, 0, 'the scenario follower-reads, shortly') or diag $out;
is(() = $out =~ /the past is read inside of/g, 5, 'each region is looked at');

# One that only serves reads dies: the others write as before.
my ($number) = $members =~ /\b(\d+)\.\d+ \(read-only\)/;
my $far = sql('us-east', "SELECT region FROM meridian.nodes WHERE node = $number");
is((geo('kill', $far))[0], 0, "$far is killed");
is(sql('us-east', "INSERT INTO notes VALUES (1000, 'without it')"), '', 'a write without a replica that only serves reads');
geo('restart', $far);
ok(poll_until(sub { sql($far, 'SELECT count(*) FROM notes') eq '201' }, 60), 'it comes back');
my ($ms, $count);
ok(poll_until(sub { ($ms, $count) = past($far, 'notes'); $count eq '201' && $ms < $out{$far} / 3 }, 60), 'and reads the past at home again')
  or diag "$ms ms, $count";

# A placement that wants none.
is(sql('us-east', "SELECT meridian.set_placement('near', '', 'us-east', 3, 'none')"), 'near', 'a placement without read replicas');
is(sql('us-east', "CREATE TABLE homely (id int PRIMARY KEY) WITH (placement = 'near')", 'INSERT INTO homely SELECT generate_series(1, 7)'),
    '', 'and a table that has it');
ok(poll_until(sub {
    sql('us-east', "SELECT string_agg(s.replicas, ' ') FROM meridian.tables t JOIN meridian.tablets s ON s.start_key LIKE t.table_group || '%' "
          . "WHERE t.table_name = 'homely'") =~ /^[\d.,]+$/
}, 60), 'its tablet has voters only');
sleep 4;
my @slow = grep { (past($_, 'homely'))[0] > 0.9 * $out{$_} } sort keys %port;
is(scalar @slow, 2, "two regions read it over the line: @slow");
is((geo('down'))[0], 0, 'down');
done_testing();
