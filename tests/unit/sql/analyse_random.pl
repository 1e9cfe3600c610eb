#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Prints random statements over the tables of tests/lib/sqltree.c, one a line: what a hand would not think of.
#     perl tests/unit/sql/analyse_random.pl SEED COUNT > /tmp/random.sql
#     tests/lib/pg15.sh perl tests/unit/sql/analyse_expected.pl /tmp/random.sql > /tmp/random.expected
#     ANALYSE_EXPECTED=/tmp/random.expected build/dev/tests/unit/analyse_test
# Most are in error somewhere, and which error is told first matters too. What may differ: functions that we do not have, and which of
# several errors comes first where windows are concerned.
use strict;
use warnings;
no warnings 'qw'; # commas belong to types and arrays

my ($seed, $count) = @ARGV;
die "usage: analyse_random.pl SEED COUNT\n" unless defined $count;
srand $seed;
my %table = (t => [qw(a b c e)], u => [qw(a x y z)], p => [qw(k1 k2 v w)], q => [qw(id code n dt)], arr => [qw(id n t)]);
my @columns = qw(a b c d e x y z s w n id ch dt ts iv u code t.a t.b);
my @literals = qw(1 2.5 'x' '5' NULL true '2020-01-01' $1 $2 3000000000 1e3 '{1,2}' -7 now() '' 5::int2 6::int8 1.5::float4 ARRAY[1,2]
    ARRAY['a'] 'x'::char(2) 'a'::varchar(3));
my @operators = ('IS DISTINCT FROM', qw(+ - * / % = <> < > || ~ LIKE AND OR ^ & | << @> && !~* ILIKE));
my @types = qw(int text int8 int2 numeric numeric(5,2) varchar(3) varchar bool date timestamptz timestamp float8 float4 char(2) interval
    uuid int[] text[] bytea time oid);
my @functions = qw(abs lower length substr round greatest sum count max min avg date_trunc concat replace mod power ceil sqrt left
    sign trunc age bool_and upper btrim lpad strpos int4 float8 text unnest generate_series row_number lag stddev chr repeat
    array_append array_agg string_agg md5 split_part justify_days);
my $aliases = 0;

sub one { return $_[rand @_] }
sub maybe { return rand() < shift }

# Any types at all.
sub any {
    my $d = shift;
    return one(maybe(0.55) ? @columns : @literals) if $d <= 0 || maybe(0.28);
    my $e = sub { any($d - 1) };
    my $k = int rand 13;
    return '(' . $e->() . ' ' . one(@operators) . ' ' . $e->() . ')' if $k < 4;
    return '(' . $e->() . ')::' . one(@types) if $k < 6;
    return one(@functions) . '(' . join(', ', map { $e->() } 1 .. one(0, 1, 1, 2, 2, 3)) . ')' . (maybe(0.05) ? ' OVER ()' : '')
        if $k < 9;
    return 'CASE WHEN ' . $e->() . ' THEN ' . $e->() . ' ELSE ' . $e->() . ' END' if $k == 9;
    return $e->() . ' IN (' . $e->() . ', ' . $e->() . ')' if $k == 10;
    return $e->() . ' BETWEEN ' . $e->() . ' AND ' . $e->() if $k == 11;
    return one('(' . $e->() . ') IS NULL', 'NOT ' . $e->(), '- ' . $e->(), 'ARRAY[' . $e->() . ', ' . $e->() . ']',
        '(SELECT ' . $e->() . ')', 'NULLIF(' . $e->() . ', ' . $e->() . ')', 'COALESCE(' . $e->() . ', ' . $e->() . ')',
        '(' . $e->() . ' = ANY (' . $e->() . '))');
}

# Columns of what FROM has: $env is a list of [alias, columns].
sub name {
    my $env = shift;
    return one('nope', 't.nope', 'zz.a') if maybe(0.03);
    return '1' unless @$env;
    my ($alias, $columns) = @{one(@$env)};
    my $c = one(@$columns);
    return maybe(0.6) ? "$alias.$c" : $c;
}
sub value {
    my ($env, $d) = @_;
    return maybe(0.8) ? name($env) : one(1, 2, "'x'", 'NULL', '$1', 'true') if $d <= 0 || maybe(0.5);
    my $e = sub { value($env, $d - 1) };
    my $n = sub { value($env, 0) };
    return one($e->() . ' + ' . $e->(), 'coalesce(' . $e->() . ', ' . $e->() . ')', $e->() . ' = ' . $e->(), '(SELECT ' . $e->() . ')',
        '(SELECT max(m) FROM (SELECT ' . $n->() . ' AS m FROM t) s)', 'lower(' . $e->() . ')', 'count(' . one('*', $n->()) . ')',
        'sum(' . $e->() . ')', 'max(' . $e->() . ')', 'row_number() OVER (ORDER BY ' . $n->() . ')',
        'sum(' . $n->() . ') OVER (PARTITION BY ' . $n->() . ')');
}
sub condition {
    my $env = shift;
    my $n = sub { value($env, 0) };
    return one($n->() . ' = ' . $n->(), value($env, 1) . ' > ' . $n->(), $n->() . ' IN (SELECT ' . one(qw(a x z nope t.a)) . ' FROM u)',
        'EXISTS (SELECT 1 FROM u uu WHERE uu.a = ' . $n->() . ')', $n->() . ' IS NULL', $n->(),
        '(' . $n->() . ', ' . $n->() . ') IN (SELECT a, y FROM u)', 'NOT (' . $n->() . ' = ' . $n->() . ')', 'true');
}
sub relation {
    my $d = shift;
    my $alias = 'r' . ++$aliases;
    if ($d <= 0 || maybe(0.6)) {
        my $n = one(sort keys %table);
        return maybe(0.4) ? ("$n $alias", [$alias, $table{$n}]) : ($n, [$n, $table{$n}]);
    }
    if (maybe(0.3)) {
        my ($sql, $names) = query($d - 1);
        return ("($sql) $alias", [$alias, $names]);
    }
    return ("(VALUES (1, 'a'), (2, NULL)) $alias(m, o)", [$alias, ['m', 'o']]) if maybe(0.2);
    my ($left, @l) = relation($d - 1);
    my ($right, @r) = relation($d - 1);
    my $join = one('JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN', 'CROSS JOIN', 'NATURAL JOIN');
    return ("($left $join $right)", @l, @r) if $join =~ /CROSS|NATURAL/;
    return ("($left $join $right " . (maybe(0.3) ? 'USING (' . one(qw(a id k1)) . ')' : 'ON ' . condition([@l, @r])) . ')', @l, @r);
}
sub query {
    my $d = shift;
    my (@from, @env, @targets, @names);
    for (1 .. one(1, 1, 1, 2)) {
        my ($sql, @e) = relation($d);
        push @from, $sql;
        push @env, @e;
    }
    for (1 .. one(1, 1, 2, 3)) {
        my $v = value(\@env, one(0, 0, 1, 2));
        my $as = maybe(0.35) ? one(qw(a b k m n2)) : undef;
        push @targets, defined $as ? "$v AS $as" : $v;
        push @names, $as // ($v =~ /^(?:\w+\.)?([a-z]\w*)$/ ? $1 : 'zz');
    }
    my $n = sub { value(\@env, 0) };
    my $sql = 'SELECT ' . one('', '', '', '', 'DISTINCT ', 'DISTINCT ON (' . $n->() . ') ') . join(', ', @targets) . ' FROM ' . join(', ', @from);
    $sql .= ' WHERE ' . condition(\@env) if maybe(0.5);
    $sql .= ' GROUP BY ' . one($n->(), $n->() . ', ' . $n->(), 1, '1, 2', one(@names), 'ROLLUP (' . $n->() . ', ' . $n->() . ')') if maybe(0.3);
    $sql .= ' HAVING ' . one('count(*) > 1', condition(\@env)) if maybe(0.1);
    $sql .= ' ORDER BY ' . one(1, 2, one(@names), value(\@env, 1), one(@names) . ' DESC, ' . $n->()) if maybe(0.3);
    $sql .= ' LIMIT ' . one(1, '$1', $n->()) if maybe(0.1);
    $sql .= ' FOR UPDATE' if maybe(0.05);
    return ($sql, \@names);
}
sub statement {
    my $all = ' FROM t, (SELECT x, y, z FROM u) u, (SELECT w, s FROM p) p, q';
    my $tu = [['t', $table{t}], ['u', $table{u}]];
    my $k = rand;
    return 'SELECT ' . any(one(1, 2, 2, 3)) . $all . (maybe(0.2) ? ' WHERE ' . any(2) : '') if $k < 0.4;
    return 'UPDATE t SET ' . one(qw(a b c d e)) . ' = ' . any(2) if $k < 0.44;
    return 'INSERT INTO q (' . one(qw(id code n ch dt ts iv u)) . ') VALUES (' . any(1) . ')' if $k < 0.48;
    my ($sql, $names) = query(2);
    return $sql if $k < 0.8;
    return "($sql) " . one('UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT') . ' (' . (query(1))[0] . ')' . one('', ' ORDER BY 1', " ORDER BY $names->[0]")
        if $k < 0.87;
    return 'WITH w' . one('', '(a)', '(a, b)') . " AS ($sql) SELECT " . one('*', 'w.a', 'a', 'count(*)') . ' FROM w' . one('', ', t') if $k < 0.92;
    return 'INSERT INTO ' . one(qw(t u p q)) . ' ' . one('', '(a)', '(a, b)', '(id, code)') . " $sql " . one('', 'RETURNING *') if $k < 0.95;
    return 'UPDATE t SET ' . one(qw(a b c)) . ' = ' . value($tu, 1) . ' FROM u WHERE ' . condition($tu) . one('', ' RETURNING t.a, x') if $k < 0.98;
    return 'DELETE FROM t USING u WHERE ' . condition($tu) . one('', ' RETURNING t.*');
}
print statement(), "\n" for 1 .. $count;
