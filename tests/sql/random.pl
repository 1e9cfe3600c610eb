#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes a script of random statements for tests/sql/expected.pl:
#     perl tests/sql/random.pl SEED STATEMENTS > tests/sql/queries/random.sql
#     perl tests/sql/random.pl SEED STATEMENTS wide > tests/sql/queries/wide.sql    LATERAL, GROUPING SETS, jsonb, WITH that writes
# What it asks has one answer: every query is ordered by all that it gives, or is compared as a set.
use strict;
use warnings;

my ($seed, $count, $wide) = @ARGV;
die "usage: random.pl SEED STATEMENTS [wide]\n" unless $seed && $count;
srand $seed;
sub pick { $_[ rand @_ ] }
sub maybe { rand() < $_[0] }

# name -> columns: name -> kind (i integer, s text, n numeric, b boolean, f real)
my %table = (
    r1 => { id => 'i', a => 'i', b => 'i', s => 's', n => 'n' },
    r2 => { k  => 's', i => 'i', v => 'n', a => 'i' },
    r3 => { id => 'i', r1_id => 'i', flag => 'b', f => 'f' },
);
my @words = ('', 'a', 'ab', 'b', 'ba', 'Zoe', 'zz', 'm', 'q', 'na ve');

sub literal {
    my $kind = shift;
    return pick(-1 .. 12) if $kind eq 'i';
    return "'" . pick(@words) . "'" if $kind eq 's';
    return pick('0', '1', '1.5', '-2.25', '3.00', '7.1', '10') if $kind eq 'n';
    return pick('true', 'false') if $kind eq 'b';
    return pick("'0.5'::float8", "'2'::float8", "'-1'::float8");
}

sub value { maybe(0.12) ? 'NULL' : literal($_[0]) }

# a column of that kind among [alias, table] pairs, or undef
sub column {
    my ($from, $kind) = @_;
    my @c;
    for my $f (@$from) {
        push @c, map { "$f->[0].$_" } grep { $table{ $f->[1] }{$_} eq $kind } sort keys %{ $table{ $f->[1] } };
    }
    return @c ? pick(@c) : undef;
}

sub scalar_of {
    my ($from, $kind, $depth) = @_;
    my $c = column($from, $kind) // literal($kind);
    return $c if $depth <= 0 || maybe(0.5);
    my $x = scalar_of($from, $kind, $depth - 1);
    if ($kind eq 'i') {
        return pick("($x + $c)", "($x - $c)", "($x * 2)", "coalesce($x, $c)", "nullif($x, $c)", "(-$x)", "greatest($x, $c)",
            "CASE WHEN " . condition($from, $depth - 1) . " THEN $x ELSE $c END", "abs($x)");
    }
    if ($kind eq 's') {
        return pick("($x || $c)", "upper($x)", "coalesce($x, 'none')", "substr($x, 1, 2)", "lower($x)");
    }
    return pick("($x + $c)", "($x * $c)", "coalesce($x, 0)", "round($x, 1)") if $kind eq 'n';
    return pick("(NOT $x)", "($x AND $c)", "($x OR $c)") if $kind eq 'b';
    return $c;
}

sub condition {
    my ($from, $depth) = @_;
    my $kind = pick(qw(i i i s n b));
    my $c = column($from, $kind) // return 'true';
    my $p = rand;
    if ($depth > 0) {
        return '(' . condition($from, $depth - 1) . pick(' AND ', ' OR ') . condition($from, $depth - 1) . ')' if $p < 0.25;
        return '(NOT ' . condition($from, $depth - 1) . ')' if $p < 0.3;
        return subquery_condition($from, $depth - 1) if $p < 0.42;
    }
    return "$c IS " . pick('', 'NOT ') . 'NULL' if $p < 0.5;
    return $c if $kind eq 'b';
    return "$c " . pick('=', '=', '<', '>', '<=', '>=', '<>') . ' ' . literal($kind) if $p < 0.75;
    return "$c BETWEEN " . literal($kind) . ' AND ' . literal($kind) if $p < 0.8;
    return "$c " . pick('', 'NOT ') . 'IN (' . join(', ', map { literal($kind) } 1 .. 3) . ')' if $p < 0.88;
    return "$c IS DISTINCT FROM " . scalar_of($from, $kind, 0) if $p < 0.91;
    return "$c LIKE '" . pick('a%', '%a', '%', 'z_') . "'" if $kind eq 's';
    return scalar_of($from, $kind, 1) . ' ' . pick('=', '<', '>=') . ' ' . scalar_of($from, $kind, 1);
}

my $alias = 0;

sub subquery_condition {
    my ($from, $depth) = @_;
    my $t = pick(sort keys %table);
    my $q = 'q' . ++$alias;
    my @inner = ([$q, $t]);
    my $in = column(\@inner, 'i');
    my $out = column($from, 'i') // return 'true';
    my $where = condition(\@inner, $depth > 0 ? 1 : 0);
    return pick('', 'NOT ') . "EXISTS (SELECT 1 FROM $t $q WHERE $in = $out AND $where)" if maybe(0.35);
    return "$out " . pick('', 'NOT ') . "IN (SELECT $in FROM $t $q WHERE $where)" if maybe(0.5);
    return "$out " . pick('<', '>=', '=') . " (SELECT " . pick('max', 'min', 'count') . "($in) FROM $t $q WHERE $where)" if maybe(0.7);
    return "$out " . pick('<', '>') . pick(' ALL', ' ANY') . " (SELECT $in FROM $t $q WHERE $where)";
}

sub from_clause {
    my $n = pick(1, 1, 1, 2, 2, 3);
    my (@from, $text);
    for my $i (1 .. $n) {
        my $t = pick(sort keys %table);
        my $name = 't' . ++$alias;
        my @one = ([$name, $t]);
        if ($i == 1) {
            $text = "$t $name";
        } else {
            my $x = column(\@one, 'i');
            my $y = column(\@from, 'i');
            my $on = "$x = $y" . (maybe(0.3) ? ' AND ' . condition([@from, @one], 0) : '');
            $text .= ' ' . pick('JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN') . " $t $name ON $on";
            $text =~ s/ON .* AND .*$/ON $x = $y/ if $text =~ /FULL JOIN $t $name/;
        }
        push @from, @one;
    }
    return ($text, \@from);
}

sub select_rows {
    my ($text, $from) = from_clause();
    my $n = pick(1 .. 4);
    my @targets = map { scalar_of($from, pick(qw(i i s n b)), 2) } 1 .. $n;
    my $sql = 'SELECT ' . (maybe(0.2) ? 'DISTINCT ' : '') . join(', ', @targets) . " FROM $text";
    $sql .= ' WHERE ' . condition($from, 2) if maybe(0.8);
    my $order = ' ORDER BY ' . join(', ', map { $_ . pick('', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST') } 1 .. $n);
    $sql .= $order if maybe(0.6);
    $sql .= ' LIMIT ' . pick(0 .. 9) . (maybe(0.3) ? ' OFFSET ' . pick(1 .. 5) : '') if $sql =~ /ORDER BY/ && maybe(0.4);
    return $sql;
}

sub aggregate {
    my $from = shift;
    my $i = scalar_of($from, 'i', 1);
    my $n = scalar_of($from, 'n', 1);
    my $f = maybe(0.15) ? ' FILTER (WHERE ' . condition($from, 0) . ')' : '';
    return pick("count(*)$f", "count($i)$f", "sum($i)$f", "min($i)", "max($i)", "sum($n)$f", "min($n)", "max($n)", "count(DISTINCT $i)",
        'bool_or(' . condition($from, 0) . ')', 'max(' . scalar_of($from, 's', 0) . ')', 'avg(' . $i . ')');
}

sub select_groups {
    my ($text, $from) = from_clause();
    my @keys = map { scalar_of($from, pick(qw(i s b n)), 1) } 1 .. pick(0, 1, 1, 2);
    @keys = grep { /t\d/ } @keys; # a key without a column is a constant
    my @aggs = map { aggregate($from) } 1 .. pick(1, 2, 3);
    my $sql = 'SELECT ' . join(', ', @keys, @aggs) . " FROM $text";
    $sql .= ' WHERE ' . condition($from, 1) if maybe(0.6);
    $sql .= ' GROUP BY ' . join(', ', @keys) if @keys;
    $sql .= ' HAVING ' . aggregate($from) . ' IS NOT NULL' if @keys && maybe(0.2);
    $sql .= ' ORDER BY ' . join(', ', 1 .. @keys + @aggs) if maybe(0.6);
    $sql .= ' LIMIT ' . pick(1 .. 5) if $sql =~ / ORDER BY [\d, ]+$/ && maybe(0.3);
    return $sql;
}

sub select_set {
    my $kind = pick(qw(i s));
    my @side = map {
        my $t = pick(sort keys %table);
        my $q = 'u' . ++$alias;
        my @f = ([$q, $t]);
        'SELECT ' . scalar_of(\@f, $kind, 0) . ", $q." . pick(grep { $table{$t}{$_} eq 'i' } sort keys %{ $table{$t} }) . " FROM $t $q WHERE " . condition(\@f, 1);
    } 1 .. 2;
    my $sql = join ' ' . pick('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL', 'INTERSECT ALL') . ' ', @side;
    return $sql . (maybe(0.5) ? ' ORDER BY 1, 2' : '');
}

sub change {
    my $t = pick(sort keys %table);
    my @f = ([$t, $t]);
    my @cols = grep { !/^(id|k|i)$/ } sort keys %{ $table{$t} };
    my $c = pick(@cols);
    my $where = condition(\@f, 1);
    if (maybe(0.55)) {
        my $to = $table{$t}{$c} eq 'n' ? literal('n') : maybe(0.5) ? value($table{$t}{$c}) : column(\@f, $table{$t}{$c});
        return "UPDATE $t SET $c = $to WHERE $where" . (maybe(0.5) ? ' RETURNING ' . join(', ', sort keys %{ $table{$t} }) : '');
    }
    my $key = join ' AND ', map { "$_ = " . literal($table{$t}{$_}) } $t eq 'r2' ? qw(k i) : 'id';
    return "DELETE FROM $t WHERE " . (maybe(0.6) ? $key : "$where AND " . (column(\@f, 'i')) . ' = ' . pick(0 .. 12)) . (maybe(0.3) ? ' RETURNING *' : '');
}

my $next = 1000;

sub insert {
    my $t = pick(sort keys %table);
    my @c = sort keys %{ $table{$t} };
    my @v = map { /^(id|i)$/ ? $next++ : $_ eq 'k' ? literal('s') : value($table{$t}{$_}) } @c;
    if (maybe(0.4)) {
        my @id = $t eq 'r2' ? ("'" . pick(@words) . "'", pick(1 .. 6)) : pick(1 .. 40);
        my %key = $t eq 'r2' ? (k => $id[0], i => $id[1]) : (id => $id[0]);
        @v = map { $key{$_} // value($table{$t}{$_}) } @c;
        my $set = pick(grep { !$key{$_} } @c);
        return "INSERT INTO $t (" . join(', ', @c) . ') VALUES (' . join(', ', @v) . ') ON CONFLICT '
            . (maybe(0.5) ? 'DO NOTHING' : '(' . join(', ', sort { $b cmp $a } keys %key) . ") DO UPDATE SET $set = excluded.$set")
            . (maybe(0.5) ? ' RETURNING *' : '');
    }
    return "INSERT INTO $t (" . join(', ', @c) . ') VALUES (' . join(', ', @v) . ')';
}

# A subquery for each row of what stands before it.
sub select_lateral {
    my ($text, $from) = from_clause();
    my $t = pick(sort keys %table);
    my $q = 'q' . ++$alias;
    my @inner = ([$q, $t]);
    my ($x, $y) = (column(\@inner, 'i'), column($from, 'i'));
    return aggregate_of_nothing() unless $x && $y;
    my $where = "$x " . pick('=', '=', '<', '>=') . " $y" . (maybe(0.4) ? ' AND ' . condition(\@inner, 0) : '');
    my $sub = pick(
        "SELECT count(*) AS c, max($x) AS m FROM $t $q WHERE $where",
        "SELECT $x AS c, " . scalar_of(\@inner, 'i', 1) . " AS m FROM $t $q WHERE $where ORDER BY 1 DESC NULLS LAST, 2 LIMIT " . pick(1, 2, 3),
        "SELECT $x + $y AS c, $y AS m FROM $t $q WHERE $where",
        "SELECT DISTINCT $x AS c, 1 AS m FROM $t $q WHERE $where",
        "SELECT c, m FROM (VALUES ($y, 1), ($y * 2, 2)) v(c, m) WHERE c IS NOT NULL");
    my $l = 'l' . ++$alias;
    my $join = maybe(0.5) ? ", LATERAL ($sub) $l" : ' ' . pick('LEFT JOIN', 'JOIN') . " LATERAL ($sub) $l ON " . pick('true', 'true', "$l.m > 0");
    $join = ' CROSS JOIN LATERAL (' . "$sub) $l" if $text =~ /JOIN/ && $join =~ /^,/;
    return "SELECT " . scalar_of($from, 'i', 0) . ", $l.c, $l.m FROM $text$join" . (maybe(0.5) ? ' WHERE ' . condition($from, 1) : '')
        . ($sub =~ /ORDER BY/ || maybe(0.6) ? ' ORDER BY 1, 2, 3' : ''); # answers are sorted only where nothing says ORDER BY
}

sub aggregate_of_nothing { return 'SELECT count(*) FROM r1' }

sub select_sets {
    my ($text, $from) = from_clause();
    my @k = grep { defined } map { column($from, $_) } pick('i', 's'), pick('i', 'b'), 'i';
    my %once;
    @k = grep { !$once{$_}++ } @k;
    my $by = @k > 1
        ? pick('ROLLUP (' . join(', ', @k) . ')', 'CUBE (' . join(', ', @k[0, 1]) . ')', "GROUPING SETS (($k[0]), ($k[1]), ())",
            "GROUPING SETS ((" . join(', ', @k) . "), ($k[-1]))")
        : "ROLLUP ($k[0])";
    my @shown = grep { index($by, $_) >= 0 } @k;
    my @aggs = map { aggregate($from) } 1 .. pick(1, 2);
    my $where = condition($from, 1);
    $where = 'true' if $where =~ / = /; # PostgreSQL 15 takes a group that WHERE makes constant for constant in every set, and sorts wrongly
    return 'SELECT ' . join(', ', @shown, 'grouping(' . join(', ', @shown) . ')', @aggs) . " FROM $text"
        . (maybe(0.5) ? " WHERE $where" : '') . " GROUP BY $by"
        . (maybe(0.3) ? ' HAVING ' . aggregate($from) . ' IS NOT NULL' : '')
        . (maybe(0.6) ? ' ORDER BY ' . join(', ', 1 .. @shown + 1 + @aggs) : '');
}

sub select_json {
    my ($text, $from) = from_clause();
    my $o = 'jsonb_build_object(' . join(', ', map { "'" . pick('a' .. 'f') . $_ . "', " . scalar_of($from, pick(qw(i s n b)), 1) } 1 .. pick(1, 2, 3)) . ')';
    my $where = maybe(0.6) ? ' WHERE ' . condition($from, 1) : '';
    return "SELECT $o AS o FROM $text$where" . (maybe(0.5) ? ' ORDER BY 1' : '') if maybe(0.3);
    return "SELECT $o -> 'a1', $o ->> 'b1', $o ? 'c1', $o \@> '{\"a1\": 1}' FROM $text$where" if maybe(0.3);
    return "SELECT key, count(*), max(value::text) FROM $text, jsonb_each($o) $where GROUP BY key ORDER BY key" if maybe(0.4);
    my $x = column($from, 'i') // 1;
    return "SELECT jsonb_agg($x ORDER BY $x), percentile_disc(0.5) WITHIN GROUP (ORDER BY $x), mode() WITHIN GROUP (ORDER BY $x) FROM $text$where";
}

sub with_change {
    my $change = maybe(0.6) ? change() : insert();
    $change =~ s/ RETURNING .*//;
    my ($t) = $change =~ /^(?:UPDATE|DELETE FROM|INSERT INTO) (\w+)/;
    my $c = pick(grep { $table{$t}{$_} eq 'i' } sort keys %{ $table{$t} });
    my $other = pick(sort keys %table);
    my $i = pick(grep { $table{$other}{$_} eq 'i' } sort keys %{ $table{$other} });
    return "WITH w AS ($change RETURNING $c AS c) " . pick("SELECT count(*), min(c), max(c) FROM w", "SELECT c FROM w ORDER BY 1",
        "SELECT count(*) FROM $other o LEFT JOIN w ON w.c = o.$i", "SELECT count(*) FROM $t", "SELECT (SELECT count(*) FROM w), (SELECT count(*) FROM $other)");
}

print "-- Written by tests/sql/random.pl $seed $count" . ($wide ? " wide" : "") . ".\n";
print "table r1 | id int4 not null, a int4, b int8, s text, n numeric(8,2) | id\nindex r1 | r1_a | a, s |\n";
print "table r2 | k text not null, i int4 not null, v numeric, a int4 | k, i\n";
print "table r3 | id int8 not null, r1_id int4, flag bool, f float8 | id\nindex r3 | r3_r1 | r1_id |\n";
print "split r1 | 12\nsplit r1 | 25\nsplit r2 | m\nsplit r3 | 20\nsplit r3 | 30\n";
print "INSERT INTO r1 VALUES ", join(', ', map { "($_, " . join(', ', map { value($_) } qw(i i s n)) . ')' } 1 .. 36), ";\n";
my %seen;
print "INSERT INTO r2 VALUES ",
    join(', ', map { "('$_->[0]', $_->[1], " . value('n') . ', ' . value('i') . ')' } grep { !$seen{"@$_"}++ } map { [pick(@words), pick(1 .. 6)] } 1 .. 36), ";\n";
print "INSERT INTO r3 VALUES ", join(', ', map { "($_, " . join(', ', map { value($_) } qw(i b f)) . ')' } 1 .. 38), ";\n";
for (1 .. $count) {
    my $p = rand;
    if ($wide) {
        print $p < 0.35 ? select_lateral() : $p < 0.6 ? select_sets() : $p < 0.8 ? select_json() : with_change(), ";\n";
        next;
    }
    print $p < 0.45 ? select_rows() : $p < 0.68 ? select_groups() : $p < 0.78 ? select_set() : $p < 0.92 ? change() : insert(), ";\n";
}
