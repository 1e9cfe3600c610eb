#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The scripts of tests/sql/schema, which make and change what they then use: each statement outside of a block comes by way of another
# of three nodes, so what one gateway has changed the next one must know; tables are cut as soon as they are there. The answers
# are PostgreSQL's.
use strict;
use warnings;
use lib 'tests/lib/perl', 'tests/sql';
use Meridian::Test::Cluster;
use Queries;
use Test::More;

my $c = Meridian::Test::Cluster->new(nodes => 3);

# SCHEMA_SCRIPT=name runs one.
for my $file (grep { !$ENV{SCHEMA_SCRIPT} || m{/$ENV{SCHEMA_SCRIPT}\.sql$} } sort glob 'tests/sql/schema/*.sql') {
    my ($setup, undef, $statements) = Queries::script($file);
    my ($name) = $file =~ m{(\w+)\.sql$};
    my @expected = Queries::expected($file =~ s/sql$/expected/r);
    my $schema = "sc_$name";
    my ($block, @text) = (0);
    my $path = "SET search_path = $schema;\nSET client_min_messages = error;\nSET timezone = 'UTC';\n";
    for my $i (0 .. $#$statements) {
        my $s = $statements->[$i];
        if (!$block) {
            my ($host, $port) = split /:/, $c->{node}{ 1 + $i % 3 }{sql};
            push @text, "\\c - - $host $port\n$path";
        }
        $block = 1 if $s =~ /^\s*begin\b/i;
        $block = 0 if $s =~ /^\s*(commit|rollback)\s*;/i;
        push @text, "\\echo '\@\@$i'\n$s\n\\if :ERROR\n\\echo '!' :SQLSTATE :LAST_ERROR_MESSAGE\n\\else\n\\echo '=' :ROW_COUNT\n\\endif\n";
        push @text, "\\o /dev/null\nSELECT meridian.split('$1'::regclass, '3');\n\\o\n" if !$block && $s =~ /^\s*create table (\w+) \(\w+ int/i;
    }
    my $output = $c->psql("\\pset format unaligned\n\\pset tuples_only on\n\\pset null NULL\n\\pset fieldsep '|'\nCREATE SCHEMA $schema;\n"
          . join("\n", $path, @$setup)
          . join('', @text), node => 1, options => ['-v', 'VERBOSITY=default']);
    $output =~ s/^(?:psql:\S+ )?(?:ERROR|NOTICE|WARNING|DETAIL|HINT|LINE \d+|INFO):.*\n(?: +\^\n)?//mg;
    $output =~ s/^(?:view|table|constraint|default|drop cascades to) .* (?:depends on|to) .*\n//mg;
    my @got = Queries::answers("$output\n", $statements);
    is(scalar @got, scalar @$statements, "$name: all statements were answered") or diag substr($output, -500), $c->log_tail(1);
    my $wrong = 0;
    for my $i (0 .. $#got) {
        next if $got[$i] eq ($expected[$i] // '');
        diag "$statements->[$i]\n--- got\n$got[$i]--- PostgreSQL\n$expected[$i]" if $wrong++ < 8;
    }
    is($wrong, 0, "$name: PostgreSQL's answers");
}
done_testing;
