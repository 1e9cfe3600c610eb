# SPDX-License-Identifier: Apache-2.0
# Scripts of tests/sql/queries (expected.pl tells their form): to psql's input, and psql's output to what expected files hold.
package Queries;
use strict;
use warnings;

# [statements that make the tables], [splits: table, value], [statements]
sub script {
    my $file = shift;
    my (@setup, @splits, @statements, $open);
    open my $in, '<:utf8', $file or die "$file: $!";
    while (<$in>) {
        if (!defined $open) {
            next if /^\s*(--.*)?$/;
            if (/^split (\w+) \| (.*?)\s*$/) {
                push @splits, [$1, $2];
                next;
            }
            if (/^table (\w+) \| (.*?) \| (.*?)\s*$/) {
                my ($name, $columns, $key) = ($1, $2, $3);
                s/ desc\b//g for $key;
                push @setup, "CREATE TABLE $name ($columns" . ($key eq '' ? '' : ", PRIMARY KEY ($key)") . ");";
                next;
            }
            if (/^index (\w+) \| (\w+) \| (.*?) \| *(unique)?(?: *\| (.*?))?\s*$/) {
                push @setup, 'CREATE ' . ($4 // '') . " INDEX $2 ON $1 ($3)" . ($5 ? " WHERE $5;" : ';');
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
    return (\@setup, \@splits, \@statements);
}

# What psql is to do: @before come first and must work; each statement's answer ends with "= ROWS" or "! SQLSTATE MESSAGE".
sub to_psql {
    my ($before, $statements) = @_;
    my $text = "\\pset format unaligned\n\\pset tuples_only on\n\\pset null NULL\n\\pset fieldsep '|'\n\\set ON_ERROR_STOP on\n"
        . "SET client_min_messages = error;\nSET timezone = 'UTC';\n" . join("\n", @$before) . "\n\\set ON_ERROR_STOP off\n";
    for my $i (0 .. $#$statements) {
        $text .= "\\echo '\@\@$i'\n$statements->[$i]\n"
            . "\\if :ERROR\n\\echo '!' :SQLSTATE :LAST_ERROR_MESSAGE\n\\else\n\\echo '=' :ROW_COUNT\n\\endif\n";
    }
    return $text;
}

# psql's standard output as one text for each statement: rows (sorted, unless it says ORDER BY), then the end.
sub answers {
    my ($output, $statements) = @_;
    my @answer;
    for (split /^/, $output) {
        if (/^\@\@(\d+)$/) { push @answer, []; next }
        push @{ $answer[-1] }, $_ if @answer;
    }
    return map {
        my @lines = @{ $answer[$_] };
        my $end = pop @lines // '';
        @lines = sort @lines unless $statements->[$_] =~ /order\s+by/i;
        join '', @lines, $end;
    } 0 .. $#answer;
}

# The texts of an expected file, one for each statement.
sub expected {
    my $file = shift;
    my @answer = ('');
    open my $in, '<:utf8', $file or die "$file: $!";
    while (<$in>) {
        next if /^[#>]/;
        $answer[-1] .= $_;
        push @answer, '' if /^[=!] /;
    }
    pop @answer;
    return @answer;
}

1;
