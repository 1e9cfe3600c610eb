#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# EXPLAIN (FORMAT JSON): one valid document that has every line of the text.
use strict;
use warnings;
use lib 'tests/lib/perl';
use JSON::PP;
use Meridian::Test::Cluster;
use Test::More;

my $c = Meridian::Test::Cluster->new(nodes => 1, no_wait => 1);
is($c->psql(q{create table t (id int primary key, x int, "m""ü" text); create index tx on t (x); create unique index tm on t ("m""ü");
    insert into t select i, i / 3, 'n' || i from generate_series(1, 20) i}), '', 'a table');

# Titles, and properties as "key: value".
sub lines {
    my ($node) = @_;
    my @all;
    for my $key (sort keys %$node) {
        my $v = $node->{$key};
        push @all, $key eq 'Plan' ? lines($v) : $key eq 'Plans' ? map { lines($_) } @$v : $key eq 'Node Type' ? $v
            : map { "$key: $_" } ref $v ? @$v : $v;
    }
    return @all;
}

my $long = join ' or ', map { qq{"m""ü" = 'größe $_'} } 1 .. 40;
for my $query (
    'select 1',
    'select * from t where id = 3',
    'select * from t where x = 3 order by id limit 2',
    'select count(*) from t join t s using (id) where s.x = 1',
    'select x, count(*) from t group by x order by 2 fetch first 2 rows with ties',
    'select id from t order by x limit 1 for update skip locked',
    'select * from pg_class where relname = $$t$$',
    'insert into t values (100, 1) on conflict do nothing',
    'update t set x = 4 where id = 5',
    'delete from t where x = 2 returning *',
    "select $long from t",
) {
    my $name = substr $query, 0, 60;
    my @text = map { s/^\s*(->  )?//r } split /\n/, $c->psql("explain $query");
    my $said = $c->psql("explain (format json) $query");
    my $doc  = eval { decode_json($said) };
    ok($doc, "$name: is JSON") or diag $said;
    is(scalar @{ $doc // [] }, 1, 'of one statement');
    my @json = map { utf8::encode(my $s = $_); $s } lines($doc->[0]);
    is_deeply([sort @json], [sort @text], 'with the lines of the text');
    $doc = eval { decode_json($c->psql("explain (analyze, verbose, format json) $query")) };
    ok($doc, 'and with what happened');
    next if $query eq 'select 1' || $query =~ /pg_class|insert/;
    like(join("\n", lines($doc->[0])), qr/^Actual: rows=[1-9]\d* batches=/m, 'rows were counted') if $query !~ /^delete|größe/;
    like(join("\n", lines($doc->[0])), qr/^Time in the transaction: /m, 'and the time');
}
is($c->psql('explain (format json) select 1 \gdesc'), 'QUERY PLAN|json', 'of type json');
like($c->psql('explain (format yaml) select 1'), qr/0A000.*\n.*\^/s, 'other formats are refused');
like($c->psql('explain (format nothing) select 1'), qr/22023/, 'or not known');
is($c->psql('explain (format text) select 1'), 'Result: 1 row, computed on the gateway', 'text is text');
done_testing;
