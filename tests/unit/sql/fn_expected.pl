#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes fn.expected: what PostgreSQL 15 answers to calls of its functions, operators and casts.
#     tests/lib/pg15.sh perl tests/unit/sql/fn_expected.pl > tests/unit/sql/fn.expected
# A line: function or operator, arguments "type:text" ("type!" is NULL), result. "::int4" is a cast. Cases are in fn_cases/*.cases,
# one call a line: NAME ARGUMENT | ARGUMENT ...; an argument {a;b;c} stands for each of these in turn.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use PgExpected;

my @cases;

sub literal {
    my $word = shift;
    my ($type, $how, $text) = $word =~ /^([a-z0-9]+(?:\[\])?)([:!])(.*)$/s or die "argument $word\n";
    $type = 'bpchar' if $type eq 'char';
    return "NULL::$type" if $how eq '!';
    return PgExpected::quote($text) . "::$type";
}

sub call {
    my ($name, @words) = @_;
    my @args = map { literal($_) } @words;
    my $sql
        = $name =~ /^::(.*)/   ? "$args[0]::" . ($1 eq 'char' ? 'bpchar' : $1)
        : $name =~ /^(current_|now$)/ ? $name
        : $name =~ /^\w/       ? "pg_catalog.\"$name\"(" . join(', ', @args) . ')'
        : @args == 1           ? "$name ($args[0])"
        :                        "($args[0]) $name ($args[1])";
    my $sets = qr/^(generate_series|generate_subscripts|unnest|regexp_matches|regexp_split_to_table|string_to_table)$/;
    $sql = "(SELECT string_agg(format('%s', x), ' ') FROM $sql AS x)" if $name =~ $sets; # all rows, with blanks between
    push @cases, [[$name, @words], "CASE WHEN ($sql) IS NULL THEN 'NULL' ELSE format('%s', ($sql)) END"];
}

# {type:a;b;c} -> type:a, type:b, type:c
sub expand {
    my ($name, $done, @rest) = @_;
    return call($name, @$done) if !@rest;
    my $first = shift @rest;
    if ($first =~ /^\{([a-z0-9]+(?:\[\])?)(?::(.*))?\}$/s) {
        my ($type, $list) = ($1, $2);
        expand($name, [@$done, $_ eq '!' ? "$type!" : "$type:$_"], @rest) for split /;/, $list, -1;
    } else {
        expand($name, [@$done, $first], @rest);
    }
}

for my $file (sort glob "$FindBin::Bin/fn_cases/*.cases") {
    open my $f, '<:encoding(UTF-8)', $file or die "$file: $!";
    while (my $line = <$f>) {
        chomp $line;
        next if $line =~ /^\s*(#|$)/;
        my ($name, $args) = $line =~ /^(\S+)(?: (.*))?$/ or die "$file: $line\n";
        expand($name, [], defined $args ? split(/ \| /, $args, -1) : ());
    }
}
PgExpected::write_results(\@cases);
