#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes what PostgreSQL 15 answers to the scripts of tests/sql/queries: beside each X.sql an X.expected.
#     tests/lib/pg15.sh perl tests/sql/expected.pl [X.sql ...]
# A script holds directives, one a line, and statements, which end with ";" at the end of a line:
#     table NAME | COLUMNS | KEY            KEY may be empty
#     index TABLE | NAME | COLUMNS | unique, or nothing
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
use File::Temp;

sub script {
    my $file = shift;
    my (@setup, @statements, $open);
    open my $in, '<:utf8', $file or die "$file: $!";
    while (<$in>) {
        if (!defined $open) {
            next if /^\s*(--.*)?$/ || /^split /;
            if (/^table (\w+) \| (.*?) \| (.*?)\s*$/) {
                my ($name, $columns, $key) = ($1, $2, $3);
                s/ desc\b//g for $key;
                push @setup, "CREATE TABLE $name ($columns" . ($key eq '' ? '' : ", PRIMARY KEY ($key)") . ");";
                next;
            }
            if (/^index (\w+) \| (\w+) \| (.*?) \| *(unique)?\s*$/) {
                push @setup, 'CREATE ' . ($4 // '') . " INDEX $2 ON $1 ($3);";
                next;
            }
            if (/^virtual (\w+) \| (.*?)\s*$/) {
                push @setup, "CREATE TABLE $1 ($2);";
                next;
            }
            if (/^row (\w+) \| (.*?)\s*$/) {
                my ($name, @v) = ($1, split / *\| */, $2, -1);
                push @setup, "INSERT INTO $name VALUES (" . join(', ', map { $_ eq 'NULL' ? $_ : "'$_'" } @v) . ");";
                next;
            }
            if (/^check (\w+) \| (\w+) \| (.*?)\s*$/) {
                push @setup, "ALTER TABLE $1 ADD CONSTRAINT $2 CHECK ($3);";
                next;
            }
            $open = '';
        }
        $open .= $_;
        if (/;\s*$/) {
            chomp $open;
            push @statements, $open;
            undef $open;
        }
    }
    die "$file: a statement without its end\n" if defined $open;
    return (\@setup, \@statements);
}

for my $file (@ARGV ? @ARGV : sort glob "$FindBin::Bin/queries/*.sql") {
    my ($setup, $statements) = script($file);
    my $tmp = File::Temp->new(SUFFIX => '.sql');
    binmode $tmp, ':utf8';
    print $tmp "\\pset format unaligned\n\\pset tuples_only on\n\\pset null NULL\n\\pset fieldsep '|'\n",
        "SET client_min_messages = error;\nSET timezone = 'UTC';\nCREATE SCHEMA s;\nSET search_path = s;\n\\set ON_ERROR_STOP on\n",
        join("\n", @$setup), "\n\\set ON_ERROR_STOP off\n";
    for my $i (0 .. $#$statements) {
        print $tmp "\\echo '\@\@$i'\n$statements->[$i]\n",
            "\\if :ERROR\n\\echo '!' :SQLSTATE :LAST_ERROR_MESSAGE\n\\else\n\\echo '=' :ROW_COUNT\n\\endif\n";
    }
    print $tmp "DROP SCHEMA s CASCADE;\n";
    close $tmp;
    open my $out, '-|:utf8', "psql -X -q -f $tmp 2>/tmp/expected.$$.err" or die;
    my @answer;
    while (<$out>) {
        if (/^\@\@(\d+)$/) { push @answer, []; next }
        push @{ $answer[-1] }, $_ if @answer;
    }
    close $out;
    die "$file: " . `cat /tmp/expected.$$.err` if @answer != @$statements;
    (my $to = $file) =~ s/\.sql$/.expected/;
    open my $write, '>:utf8', $to or die "$to: $!";
    print $write "# written by PostgreSQL 15 (tests/lib/pg15.sh perl tests/sql/expected.pl); do not edit\n";
    for my $i (0 .. $#$statements) {
        my @lines = @{ $answer[$i] };
        my $end = pop @lines;
        @lines = sort @lines unless $statements->[$i] =~ /order\s+by(?!.*\)\s*as\s+unordered)/is;
        print $write map({ "> $_\n" } split /\n/, $statements->[$i]), @lines, $end;
    }
    close $write;
    unlink "/tmp/expected.$$.err";
}
