#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes agg.expected: what PostgreSQL 15 answers to its aggregates.
#     tests/lib/pg15.sh perl tests/unit/sql/agg_expected.pl > tests/unit/sql/agg.expected
# A line: aggregate, "", "distinct", "asc" or "desc" (ORDER BY the first argument), then for each argument "type:value;value;..."
# (! is NULL), result.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use PgExpected;

my @cases;

sub values_of {
    my ($type, $list) = $_[0] =~ /^([a-z0-9]+(?:\[\])?):(.*)$/s or die "argument $_[0]\n";
    return ($type, map { $_ eq '!' ? "NULL::$type" : PgExpected::quote($_) . "::$type" } split /;/, $list, -1);
}

sub agg {
    my ($name, $how, @args) = @_;
    my (@column, @row);
    for my $i (0 .. $#args) {
        my ($type, @v) = values_of($args[$i]);
        push @column, "c$i";
        push @{$row[$_]}, $v[$_] for 0 .. $#v;
    }
    my $from = join ', ', map { '(' . join(', ', $_, @{$row[$_]}) . ')' } 0 .. $#row;
    my $list = @args ? join(', ', @column) : '*';
    $list = "DISTINCT $list" if $how eq 'distinct';
    my $order = $how eq 'asc' || $how eq 'desc' ? " ORDER BY c0 $how, i" : $how eq 'distinct' ? '' : @args ? ' ORDER BY i' : '';
    my $columns = join ', ', 'i', @column;
    my $sql = "(SELECT $name($list$order) FROM (VALUES $from) AS v($columns))";
    push @cases, [[$name, $how, @args], "CASE WHEN $sql IS NULL THEN 'NULL' ELSE format('%s', $sql) END"];
}

my %numbers = (
    int2 => ['1;2;3', '32767;32767;1', '-5', '!;!', '7;!;7;-7;0'],
    int4 => ['1;2;3', '2147483647;2147483647', '-2147483648;!', '!', '7;7;8;-1;5;5', '1000000007;999999937;3;3;1'],
    int8 => ['1;2;4', '9223372036854775807;9223372036854775807;1', '-9223372036854775808;9', '!', '5;3;5',
        '9223372036854775807;-9223372036854775807;9223372036854775807;4'],
    numeric => ['1;2.50;3.125', '0.1;0.2;!', '99999999999999999999.5;0.5;-1', 'NaN;1', 'Infinity;1', 'Infinity;-Infinity', '!',
        '1e20;1;-1e20', '1.0;1.00;1.000', '0.000000000000000001;123456789012345678', '12345678901234567890.123;3', '5'],
    float4 => ['1;2.5;3.25', '0.1;0.2', 'NaN;1', '!', '1e38;1e38;1e38'],
    float8 => ['1;2.5;3.25', '0.1;0.2;0.3', 'NaN;1', 'Infinity;1', 'Infinity;-Infinity', '!', '1e308;1e308', '1e200;-1e200;7',
        '5', '3;3;3'],
);
for my $type (sort keys %numbers) {
    for my $list (@{$numbers{$type}}) {
        agg($_, '', "$type:$list") for qw(count sum avg min max variance var_pop var_samp stddev stddev_pop stddev_samp array_agg);
        agg($_, 'distinct', "$type:$list") for qw(count sum avg array_agg);
        agg('array_agg', $_, "$type:$list") for qw(asc desc);
    }
}
for my $type (qw(int2 int4 int8)) {
    agg($_, '', "$type:12;10;!;9") for qw(bit_and bit_or bit_xor);
    agg($_, '', "$type:!") for qw(bit_and bit_or bit_xor);
}
for my $list ('t;t', 't;f', 'f;!', '!', 'f;f;t') {
    agg($_, '', "bool:$list") for qw(bool_and bool_or every count array_agg);
}
for my $list ('a;b;c', '!;x;!', '!', ';a', 'b;a;b;é') {
    agg($_, '', "text:$list") for qw(count min max array_agg);
    agg($_, 'distinct', "text:$list") for qw(count array_agg);
    agg('array_agg', $_, "text:$list") for qw(asc desc);
}
agg('string_agg', '', 'text:a;b;c', "text:,;-;+");
agg('string_agg', '', 'text:!;b;!;c', "text:,;-;+;!");
agg('string_agg', '', 'text:!', "text:,");
agg('string_agg', $_, 'text:b;a;c;a', "text:,;,;,;,") for ('', 'asc', 'desc');
agg('string_agg', '', 'bytea:\x01;\x0203', 'bytea:\x;\xff');
agg('count', '') for 1;
agg($_, '', 'date:2020-01-02;!;2019-05-06') for qw(count min max array_agg);
agg($_, '', 'timestamptz:2020-01-02 03:04:05+00;2019-05-06 00:00:00+00') for qw(min max array_agg);
agg($_, '', 'time:03:04:05;!') for qw(min max);
agg($_, '', 'interval:1 day;24 hours;1 mon') for qw(count min max array_agg);
agg('array_agg', 'distinct', 'interval:1 day;24 hours;1 mon');
agg($_, '', 'interval:1 day;2 hours;1 mon 3 days') for qw(sum avg);
agg($_, '', 'interval:!') for qw(sum avg);
agg($_, '', 'oid:5;7;!') for qw(count min max);
agg('array_agg', '', 'int4[]:{1,2};{3,NULL}');
agg('array_agg', '', 'int4[]:{1,2};{3}');
agg('array_agg', '', 'int4[]:{}');
agg('array_agg', '', 'int4[]:{1};!');
agg($_, '', 'int4[]:{1,2};{1,3};{1}') for qw(min max);
for my $y ('1;2;4;8', '1;1;1;1', '!;2;3;5', 'NaN;1;2;3') {
    agg($_, '', "float8:$y", 'float8:1;2;3;5')
        for qw(corr covar_pop covar_samp regr_count regr_sxx regr_syy regr_sxy regr_avgx regr_avgy regr_r2 regr_slope regr_intercept);
}
agg($_, '', 'float8:1', 'float8:2') for qw(corr covar_samp regr_slope regr_r2);
@cases = grep { !($_->[0][0] eq 'count' && @{$_->[0]} == 2) } @cases;
PgExpected::write_results(\@cases);
