#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Placements by SQL: a table's rows and its indexes go where its placement says, led from the region that it prefers.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

my $c = Meridian::Test::Cluster->new(nodes => 3, regions => [qw(us eu ap)], sql => 1);

sub leaders {    # of the tablets that a table and its indexes lie in alone
    my ($table) = @_;
    return $c->psql("select string_agg(distinct n.region, ',') from meridian.tables t join meridian.tablets s on s.start_key like t.table_group || '%' "
          . "join meridian.nodes n on n.node = s.leader where t.table_name like '$table%'");
}

is($c->psql("select meridian.set_placement('home', '', 'eu', 3)"), 'home', 'a placement is made');
is($c->psql("create table far (id int primary key) with (placement = 'nowhere')") =~ /42704/ ? 1 : 0, 1, 'one that is not there is 42704');
is($c->psql("create table h (id int primary key, v text) with (placement = 'home')"), '', 'a table with a placement');
is($c->psql("insert into h select i, 'v' || i from generate_series(1, 100) i"), '', 'rows');
ok($c->poll_until(sub { leaders('h') eq 'eu' }, 'the leader comes over', 60), 'it is led from its region');
is($c->psql('select count(*) from h'), '100', 'nothing is lost on the way');
is($c->psql('truncate h'), '', 'truncated');
is($c->psql("insert into h values (1, 'a')"), '', 'and used');
ok($c->poll_until(sub { leaders('h') eq 'eu' }, 'its new keys come over', 60), 'it keeps its placement');
is($c->psql('create table g (id int primary key)'), '', 'a table without');
is($c->psql("select meridian.set_placement('asia', '', 'ap', 3); select meridian.place('g', 'asia')"), "asia\nasia", 'is placed later');
ok($c->poll_until(sub { leaders('g') eq 'ap' }, 'it comes over', 60), 'and comes over');
is($c->psql("select meridian.set_placement('bad', '', '', 99)") =~ /22023/ ? 1 : 0, 1, 'nonsense is refused');
is($c->psql("select meridian.set_placement('copies', '', 'us', 1, 'eu, ap')"), 'copies', 'one voter, and copies to read from');
is($c->psql("select * from meridian.placements where name = 'copies'"), 'copies||us|1|eu,ap', 'a view shows it');
is($c->psql("select meridian.set_placement('alone', 'us', '', 1, 'none'); select read_replicas from meridian.placements where name = 'alone'"),
    "alone\nnone", 'and one that wants none');
done_testing();
