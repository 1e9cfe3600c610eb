#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes decimal.expected: what PostgreSQL 15 says to arithmetic on numeric.
#     tests/lib/pg15.sh tests/unit/store/decimal_expected.pl > tests/unit/store/decimal.expected
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use PgExpected;

srand 1;
my @cases;
sub q1 { PgExpected::quote($_[0]) . '::numeric' }

sub add {
    my ($op, $sql, @words) = @_;
    push @cases, [[$op, @words], $sql];
}

# as COPY and parameters do it: the input function rounds
sub typmod {
    my ($t, $mod) = @_;
    my ($p, $s) = split /,/, $mod;
    add('typmod', sprintf("numeric_in(%s, 0, %d)", PgExpected::quote($t), ($p << 16 | $s & 0x7ff) + 4), $t, $mod);
}

# ---- text
my @texts = (
    qw(0 -0 0.0 -0.000 1 +1 -1 1. .5 -.5 . 00012.500 1e5 1E5 1e+5 1e-5 1.5e3 1.5e-3 12e 1e+ e5 1e5.5 1_000 0x1F 1e99999
      1e131071 1e131072 9e131071 1e-16383 1e-16384 0e200000 0e-16383 0e-16384 1e1073741822 1e1073741823 1e-1073741823
      1e2147483648 1e-99999999999999999999 NaN nan NAN +NaN -NaN Infinity -Infinity +Infinity inf -inf +inf INF infinit
      Infinityx 1a --1 +-1 1-1 ۱),
    '', ' ', ' 1 ', "1 2", ' NaN ', ' -inf ', '1 e5', "\x0b1\x0c",
);
for my $t (@texts) {
    add('parse', q1($t), $t);
    typmod($t, $_) for ('5,2', '3,-2', '2,4', '20,5');
}
for my $n (qw(0.5 0.05 0.005 0.995 9.995 99.995 999.995 999.994999 -999.995 1234.5 49 50 51 149 150 99950 99949 0.00005 0.00995
    0.009949 1e-400 1e-2000000 1e200 123456789012345678 99999999999999999.99 0.4444 0.5555)) {
    typmod($n, $_) for ('5,2', '3,-2', '2,4', '3,0', '1,1', '1,0', '18,2', '18,18', '19,2', '1000,1000', '1000,-1000', '40,10');
}

# ---- operands: edges, and random digits with random places of the point
my @edge = qw(0 0.00 1 1.0 -1 2 3 7 9999 10000 10001 0.0001 0.00001 9999.9999 -0.5 1.50 99999999999999999999 1e20 1e-20 12345678.9
  NaN Infinity -Infinity 0.1 1e50 123.456000 3e-30);
sub digits { my $n = shift; join '', map { int rand 10 } 1 .. $n }
sub random_number {
    my $whole = digits(int rand(rand() < .2 ? 60 : 12));
    my $frac  = digits(int rand(rand() < .2 ? 40 : 8));
    $whole = '' if rand() < .2;
    $frac =~ s/^./0/ if rand() < .3;
    $frac = '0000' . $frac if rand() < .1;
    my $t = ($whole eq '' ? '0' : $whole) . ($frac eq '' ? '' : ".$frac");
    return rand() < .4 ? "-$t" : $t;
}
my @pairs;
for my $a (@edge) { push @pairs, [$a, $_] for @edge }
push @pairs, [random_number(), random_number()] for 1 .. 300;
my %binary = (
    add => '%s + %s', sub => '%s - %s', mul => '%s * %s', div => '%s / %s', mod => '%s %% %s', divw => 'div(%s, %s)',
    cmp => '(%1$s > %2$s)::int - (%1$s < %2$s)::int',
);
for my $op (sort keys %binary) {
    add($op, sprintf($binary{$op}, q1($_->[0]), q1($_->[1])), @$_) for @pairs;
}
my $big = '9' x 131072;
add('add', 'repeat(\'9\', 131072)::numeric + ' . q1($_), 'BIG', $_) for qw(0 1 -1 0.5 1e131071);
add('mul', 'repeat(\'9\', 131072)::numeric * ' . q1($_), 'BIG', $_) for qw(0 2 1e-16383 Infinity);
add('mul', q1('1e-10000') . ' * ' . q1('5e-9000'), '1e-10000', '5e-9000');
add('mul', q1('1e-10000') . ' * ' . q1('5e-6383'), '1e-10000', '5e-6383');
add('mul', q1('1e-10000') . ' * ' . q1('5e-6384'), '1e-10000', '5e-6384');

# ---- one operand
my @ones = (@edge, map { random_number() } 1 .. 150);
my %unary = (neg => '-%s', abs => 'abs(%s)', ceil => 'ceil(%s)', floor => 'floor(%s)', trim => 'trim_scale(%s)', send =>
      'numeric_send(%s)', int8 => '%s::int8', int4 => '%s::int4', int2 => '%s::int2', float8 => '%s::float8::numeric',
      float4 => '%s::float4::numeric', sqrt => 'sqrt(%s)', exp => 'exp(%s)', ln => 'ln(%s)');
push @ones, qw(9223372036854775807 9223372036854775807.4 9223372036854775807.5 -9223372036854775808 -9223372036854775808.5
  2147483647.5 -2147483648.5 32767.5 -32768.49 1e308 1.8e308 1e-307 1e-310 1e-324 2e-324 1e-330 1e400 123456789012345678);
for my $op (sort keys %unary) {
    my @list = $op =~ /exp|ln/ ? grep({ length $_ < 25 } @ones) : @ones;
    add($op, sprintf($unary{$op}, q1($_)), $_) for @list;
}
for my $n (@ones) {
    add('round', "round(" . q1($n) . ", $_)", $n, $_) for (0, 1, 3, 25, -1, -2, -5);
    add('trunc', "trunc(" . q1($n) . ", $_)", $n, $_) for (0, 2, -1, -3);
}
add('round', "round(repeat('9', 131072)::numeric, -1)", 'BIG', -1);
add('round', "round(1.5, 3000)", '1.5', 3000);
add('trunc', "trunc(1234.5, -3000)", '1234.5', -3000);

# ---- functions
add('sqrt', 'sqrt(' . q1($_) . ')', $_) for qw(2 4 0.25 1e30 1e31 1e-30 1e-31 99980001 2.0000000000000000000000000000 1e200 1e-200);
add('exp', 'exp(' . q1($_) . ')', $_)
  for qw(1 -1 10 -10 100 1000 5999 6000 6001 -5999 -6000 0.000001 1.0000000000000000000000000000000001 -32.5);
add('ln', 'ln(' . q1($_) . ')', $_)
  for qw(2 10 1.05 0.95 1.00000001 0.99999999 1e1000 1e-1000 0.9 1.1 2.718281828459045 1.0000000000000000000000000001);
my @logs = qw(2 10 1 0.5 100 1024 1.01 1e100 0 -1 NaN Infinity -Infinity 3.00000);
for my $a (@logs) { add('log', "log(" . q1($a) . ", " . q1($_) . ")", $a, $_) for @logs }
my @bases = qw(0 1 -1 2 -2 10 0.5 1.01 -1.5 100.0 1e10 1e-5 0.00 NaN Infinity -Infinity 3.14159 1.000000001);
my @powers = qw(0 1 -1 2 3 -2 0.5 -0.5 10 100 -100 1000 2.0 2.5 1e5 -1e5 3.000 4000 1e10 NaN Infinity -Infinity 0.333333333);
for my $a (@bases) { add('power', "power(" . q1($a) . ", " . q1($_) . ")", $a, $_) for @powers }
add('power', "power(" . q1($_->[0]) . ", " . q1($_->[1]) . ")", @$_) for
  (['10', '131071'], ['10', '131072'], ['2', '400000'], ['2', '436000'], ['-3', '2147483648'], ['1.00000000001', '10000000000'],
   ['1.0000001', '2147483647'], ['0.99', '100000'], ['-0.5', '33'], ['7', '-33'], ['1.5', '-200'], ['123.45', '67.89'],
   ['0.0012', '-3.7'], ['1e-100', '0.01'], ['1e100', '-0.01'], ['-1', '1e20'], ['-1', '100000000000000000001']);

# ---- the binary form, from hostile bytes too
for my $h (qw(0000000000000000 00000000c0000000 00000000d0000020 00000000f0000000 00000000d0000000 00000000e0000000
    0001000000000000 000100000000000003e8 000100000000000027102710 0001000000000000270f 00010000000000002710 0001000040000000000f
    000100000000400000010001 0002000000000000000100020003 000200000000000000010002 0002000000000002000113ba 0002ffff00000002000113ba
    0003000000000000000000000005 00037fff00000000000100000000 00017fff00000000270f 0001800000003fff0001 00010000800000000001
    0001f00100003fff0001 0001f00000003fff0001 0001f00000003ffe0001 ffff0000000000000001 00020000c00000000001000f))
{
    add('recv', "pg_temp.recv('numeric', '$h')", $h);
    add('recv52', "pg_temp.recv('numeric(5,2)', '$h')", $h);
}
PgExpected::write_results(\@cases);
