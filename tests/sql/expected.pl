#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes what PostgreSQL 15 answers to the scripts of tests/sql/queries and tests/sql/schema: beside each X.sql an X.expected.
#     tests/lib/pg15.sh perl tests/sql/expected.pl [X.sql ...]
# A script holds directives, one a line, and statements, which end with ";" at the end of a line:
#     table NAME | COLUMNS | KEY            KEY may be empty
#     index TABLE | NAME | COLUMNS | unique, or nothing [| CONDITION]
#     check TABLE | NAME | EXPRESSION
#     split TABLE | VALUE                   where a run over many tablets cuts the table (by the first column of its key)
#     virtual NAME | COLUMNS                a relation whose rows come from the gateway (here a table)
#     row NAME | VALUE | VALUE ...          one of them; NULL is NULL
#     -- a comment
# For each statement the expected file has its text behind "> ", its rows (sorted, unless it says ORDER BY), and "= ROWS" or
# "! SQLSTATE MESSAGE".
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use File::Temp;
use Queries;

for my $file (@ARGV ? @ARGV : sort glob "$FindBin::Bin/{queries,schema}/*.sql") {
    my ($setup, $splits, $statements) = Queries::script($file);
    my $tmp = File::Temp->new(SUFFIX => '.sql');
    my $err = File::Temp->new;
    binmode $tmp, ':utf8';
    print $tmp Queries::to_psql(['CREATE SCHEMA s;', 'SET search_path = s;', @$setup], $statements), "DROP SCHEMA s CASCADE;\n";
    close $tmp;
    open my $out, '-|:utf8', "psql -X -q -f $tmp 2>$err" or die;
    my @answer = Queries::answers(do { local $/; <$out> }, $statements);
    close $out;
    die "$file: " . `cat $err` if @answer != @$statements;
    (my $to = $file) =~ s/\.sql$/.expected/;
    open my $write, '>:utf8', $to or die "$to: $!";
    print $write "# written by PostgreSQL 15 (tests/lib/pg15.sh perl tests/sql/expected.pl); do not edit\n";
    for my $i (0 .. $#$statements) {
        print $write map({ "> $_\n" } split /\n/, $statements->[$i]), $answer[$i];
    }
    close $write;
}
