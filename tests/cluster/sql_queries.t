#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The scripts of tests/sql/queries through psql, on a cluster of three nodes whose tables are split: the answers are PostgreSQL's.
use strict;
use warnings;
use lib 'tests/lib/perl', 'tests/sql';
use Meridian::Test::Cluster;
use Queries;
use Test::More;

my $c = Meridian::Test::Cluster->new(nodes => 3);
my $node = 0;

# QUERY_SCRIPT=name runs one; of the random ones only the first 200 are for every day.
for my $file (grep { !$ENV{QUERY_SCRIPT} || m{/$ENV{QUERY_SCRIPT}\.sql$} } sort glob 'tests/sql/queries/*.sql') {
    my ($setup, $splits, $statements) = Queries::script($file);
    my ($name) = $file =~ m{(\w+)\.sql$};
    splice @$statements, $ENV{QUERY_STATEMENTS} // 200 if @$statements > ($ENV{QUERY_STATEMENTS} // 200);
    my @expected = Queries::expected($file =~ s/sql$/expected/r);
    my $n = 1 + $node++ % 3;
    is($c->psql(join("\n", "CREATE SCHEMA q_$name;", "SET search_path = q_$name;", @$setup), node => $n), '', "$name: tables");
    for my $split (@$splits) {    # again, while another one moves the table
        my $said;
        $c->poll_until(sub {
            $said = $c->psql("SELECT meridian.split('q_$name.$split->[0]'::regclass, '$split->[1]')", node => $n);
            return $said =~ /was split at/;
        }, "$name: split $split->[0] at $split->[1]");
    }
    my $output = $c->psql(Queries::to_psql(["SET search_path = q_$name;"], $statements), node => $n, options => ['-v', 'VERBOSITY=default']);
    $output =~ s/^(ERROR|NOTICE|DETAIL|HINT|LINE \d+):.*\n(?: +\^\n)?//mg;
    my @got = Queries::answers("$output\n", $statements);
    is(scalar @got, scalar @$statements, "$name: all statements were answered") or diag substr($output, -500), $c->log_tail($n);
    my $wrong = 0;
    for my $i (0 .. $#got) {
        next if $got[$i] eq $expected[$i];
        diag "$statements->[$i]\n--- got\n$got[$i]--- PostgreSQL\n$expected[$i]" if $wrong++ < 5;
    }
    is($wrong, 0, "$name: PostgreSQL's answers");
}

# A gateway whose plan of a commit is from before a split writes to both halves.
for my $i (1 .. 9) {
    my $n    = 1 + $i % 3;
    my $said = $c->psql("create table h$i (id int primary key, n int); select meridian.split('h$i'::regclass, '3');
        insert into h$i values (1,1),(2,2),(3,3),(4,4); update h$i set n = n + 1; select id, n from h$i order by id;", node => $n);
    $said =~ s/^.*tablet.*\n//mg;
    is($said, "1|2\n2|3\n3|4\n4|5", "all rows are there, node $n");
}

done_testing;
