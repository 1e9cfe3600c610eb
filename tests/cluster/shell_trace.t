#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# \trace over three regions with distances: the tree of a commit in the gateway's region, in another one, and in two phases over two; its
# spans lie within each other and add up to the latency, the quorum's round trip is in the Paxos round, regions have their names.
use strict;
use warnings;
use lib 'tests/lib/perl';
use File::Temp qw(tempdir);
use Meridian::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $dir = tempdir(CLEANUP => 1);
my %rtt = ('us-east eu-west' => 90, 'us-east ap-ne' => 165, 'ap-ne eu-west' => 242);
open my $links, '>', "$dir/links" or die;
print $links "format 1\n", "region us-east 1\nregion eu-west 2\nregion ap-ne 3\n", map { "link $_ rtt $rtt{$_}ms\n" } sort keys %rtt;
close $links;
my $c = Meridian::Test::Cluster->new(nodes => 3, regions => [qw(us-east eu-west ap-ne)], how => ['--test-links', "$dir/links"]);

# What the shell prints on a node for this input, as wide as that.
sub shell {
    my ($node, $input, $columns) = @_;
    open my $f, '>', "$dir/in" or die;
    print $f $input;
    close $f;
    local $ENV{COLUMNS} = $columns // 120;
    local $ENV{LC_ALL} = 'C.UTF-8';
    return scalar `$Meridian::Test::Cluster::binary sql --url meridian://$c->{node}{$node}{sql}/meridian -q <$dir/in 2>&1`;
}

# meridian.trace after these statements: rows as hashes.
sub trace {
    my ($node, $sql) = @_;
    my $out = shell($node, "\\o /dev/null\n$sql\n\\o\n\\t\n\\a\nSELECT seq, parent, cause, region, coalesce(peer, ''), start_ns / 1e6, duration_ns / 1e6, coalesce(detail, '') FROM meridian.trace ORDER BY seq;\n");
    my (@rows, %by);
    for (split /\n/, $out) {
        my @v = split /\|/, $_, -1;
        next if @v != 8;
        my %r;
        @r{qw(seq parent cause region peer from ms detail)} = @v;
        $r{to} = $r{from} + $r{ms};
        $by{ $r{seq} } = \%r;
        push @rows, \%r;
    }
    my @bad = grep { my $up = $by{ $_->{parent} }; $up && ($_->{from} < $up->{from} - 0.001 || $_->{to} > $up->{to} + 0.001) } @rows;
    is_deeply([ map { "$_->{cause} in $by{$_->{parent}}{cause}" } @bad ], [], 'every span lies within its parent') or diag($out);
    $_->{path} = join ' / ', reverse do { my ($r, @p) = $_; while ($r) { unshift @p, $r->{cause}; $r = $by{ $r->{parent} } } reverse @p } for @rows;
    return @rows;
}
sub span { my ($path, @rows) = @_; my ($r) = grep { $_->{path} =~ m{$path} } @rows; return $r // { cause => 'none', region => 'none', peer => 'none', ms => -1, from => -1, to => -1, detail => '' } }

# At least what the speed of the links demands; how much more is the busy machine's affair.
sub about { my ($ms, $want, $name) = @_; ok($ms >= $want * 0.97 && $ms < $want + 3000, $name) or diag("$ms ms, about $want ms wanted") }

# The same until the gateway itself was not kept waiting by other work on this machine: then the spans are the latency.
sub quiet_trace {
    my @rows;
    for (1 .. 6) {
        @rows = trace(@_);
        last if leaf_sum(@rows) > 0.9 * span('^transaction$', @rows)->{ms};
    }
    return @rows;
}

sub leaf_sum {
    my (@rows) = @_;
    my %inner = map { $_->{parent} => 1 } @rows;
    my ($at, $sum) = (0, 0);
    for (sort { $a->{from} <=> $b->{from} } grep { !$inner{ $_->{seq} } } @rows) {    # beside each other counts once
        my $from = $_->{from} > $at ? $_->{from} : $at;
        next if $_->{to} <= $from;
        $sum += $_->{to} - $from;
        $at = $_->{to};
    }
    return $sum;
}

is(shell(1, "SELECT meridian.set_placement('us', '', 'us-east', 3), meridian.set_placement('eu', '', 'eu-west', 3) \\gset\nCREATE TABLE u (id int PRIMARY KEY, v int) WITH (placement = 'us'); CREATE TABLE e (id int PRIMARY KEY, v int) WITH (placement = 'eu');\n"
      . "INSERT INTO u VALUES (1, 0); INSERT INTO e VALUES (1, 0);\n"), '', 'tables in America and Europe');
my $leader = "SELECT n.region FROM meridian.tables t JOIN meridian.tablets s ON s.start_key LIKE t.table_group || '%' JOIN meridian.nodes n ON n.node = s.leader WHERE t.table_name = ";
ok($c->poll_until(sub { $c->psql("$leader 'e'") eq 'eu-west' && $c->psql("$leader 'u'") eq 'us-east' }, 'leaders', 60), 'each is led from home')
  or BAIL_OUT('no leaders');
shell(1, "SELECT * FROM u; SELECT * FROM e;\n");    # where everything is, is known from here on

# ---- one tablet, here ----
my $began = time;
my @t = quiet_trace(1, 'UPDATE u SET v = v + 1 WHERE id = 1;');
my $all = span('^transaction$', @t);
is($all->{region}, 'us-east', 'the gateway has a region');
my $quorum = span('commit / Paxos round / quorum$', @t);
about(span('commit / Paxos round$', @t)->{ms}, 90, 'the Paxos round is the round trip to Europe');
cmp_ok($quorum->{ms}, '>', 5, 'most of it waits for the quorum');    # all that the own disk, at work beside it, leaves
is($quorum->{region}, 'us-east', 'and its leader is here');
like(span('Paxos round$', @t)->{detail}, qr/^voters in (?=.*us-east)(?=.*eu-west)(?=.*ap-ne)/, 'the voters are told');
ok(!grep({ $_->{cause} eq 'network' } @t), 'nothing else went over the line');
cmp_ok(leaf_sum(@t), '>', 0.9 * $all->{ms}, 'the spans add up to the latency');

# ---- one tablet, there ----
@t = quiet_trace(1, 'UPDATE e SET v = v + 1 WHERE id = 1;');
$all = span('^transaction$', @t);
about($all->{ms}, 180, 'a commit in Europe: there and back, and its quorum');
my ($out, $back) = grep { $_->{cause} eq 'network' } @t;
is("$out->{region} > $out->{peer}", 'us-east > eu-west', 'the way there has its ends');
about($out->{ms}, 45, 'and its time');
is(span('commit / Paxos round$', @t)->{region}, 'eu-west', 'the Paxos round is there');
about(span('commit / Paxos round$', @t)->{ms}, 90, 'and takes its round trip');
cmp_ok(span('commit / Paxos round$', @t)->{from}, '>=', $out->{to} - 1, 'after the way there');
my $last = (sort { $b->{to} <=> $a->{to} } grep { $_->{cause} eq 'network' } @t)[0];
is("$last->{region} > $last->{peer}", 'eu-west > us-east', 'the last is the way back');
cmp_ok(leaf_sum(@t), '>', 0.9 * $all->{ms}, 'the spans add up to the latency');
cmp_ok(leaf_sum(@t), '<', 1.001 * $all->{ms}, 'and not to more');

# ---- two phases, from Asia ----
my $two = "BEGIN;\nUPDATE u SET v = v + 1 WHERE id = 1;\nUPDATE e SET v = v + 1 WHERE id = 1;\nCOMMIT;";
@t = quiet_trace(3, $two);
$all = span('^transaction$', @t);
is($all->{region}, 'ap-ne', 'from Asia');
about(span('statement 1 / read$', @t)->{ms}, 165, 'the first statement asks America');
is(span('statement 2 / read$', @t)->{region}, 'eu-west', 'the second asks Europe');
about(span('statement 2 / read$', @t)->{ms}, 242, 'which takes as long as that is far');
my $commit = span('commit$', @t);
my $prepare = span('commit / prepare$', @t);
my $home = $commit->{region};
my $other = $home eq 'us-east' ? 'eu-west' : 'us-east';
is($prepare->{region}, $other, 'one coordinates, the other prepares');
my $vote = span('commit / prepare / network$', reverse @t);
is("$vote->{region} > $vote->{peer}", "$other > $home", 'its vote goes from the one to the other');
about($vote->{ms}, 45, 'which takes half a round trip');
about(span('commit / prepare / Paxos round$', @t)->{ms}, 90, 'the prepare has a Paxos round');
my $record = span('commit / Paxos round$', @t);
is($record->{region}, $home, 'the commit record another one');
cmp_ok($record->{from}, '>=', $prepare->{to} - 2, 'after the vote');
cmp_ok(leaf_sum(@t), '>', 0.9 * $all->{ms}, 'the spans add up to the latency');

# ---- a lock that somebody else has ----
my $addr = $c->{node}{1}{sql};
my $pid = open(my $holder, '|-', "$Meridian::Test::Cluster::binary sql -q --url meridian://$addr/meridian >/dev/null 2>&1") // die;
syswrite $holder, "BEGIN;\nSELECT * FROM u WHERE id = 1 FOR UPDATE;\n\\! touch $dir/held\n";
ok($c->poll_until(sub { -e "$dir/held" }, 'the lock'), 'somebody holds a lock');
syswrite $holder, "SELECT pg_sleep(1.0);\nCOMMIT;\n";
@t = trace(1, 'UPDATE u SET v = v + 1 WHERE id = 1;');
close $holder;
my $wait = span('lock wait$', @t);
cmp_ok($wait->{ms}, '>', 300, 'whoever waits for it sees how long');
is($wait->{region}, 'us-east', 'and where');

# ---- drawn ----
my $drawn = shell(3, "\\o /dev/null\n$two\n\\o\n\\trace\n", 120);
like($drawn, qr/^Last transaction: \d+\.\d{3} ms\n\ntransaction +ap-ne +\d+\.\d{3} (?:\xe2\x96\x88){10}/, 'the whole on top');
like($drawn, qr/\n\xe2\x94\x94\xe2\x94\x80 commit .*\n(?:   .*\n)*   \xe2\x94\x9c\xe2\x94\x80 prepare +$other /, 'the prepare is a branch of the commit');
like($drawn, qr/ +$other > $home +\d+\.\d{3}  {10,}\xe2\x96\x88/, 'bars begin where their time does');
unlike($drawn, qr/\033/, 'without colours, where there is no terminal');
require Encode;
my @wide = grep { length > 60 } split /\n/, Encode::decode('UTF-8', shell(3, "\\o /dev/null\n$two\n\\o\n\\trace\n", 60));
is_deeply(\@wide, [], 'and 60 columns are enough');
done_testing();
