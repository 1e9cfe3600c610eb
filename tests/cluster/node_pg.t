#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# node-postgres (node_pg.js), a driver that speaks the protocol by itself: types, errors, portals, cancelling, a pool. It is found where
# Debian installs it, or where tests/run has unpacked it (tests/lib/packages.sh).
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

my ($node) = grep { -x } map { "$_/node" } split /:/, $ENV{PATH};
my @places = ('/usr/share/nodejs', 'build/unpacked/usr/share/nodejs');
my ($place) = grep { -d "$_/pg" } @places;
plan skip_all => 'node is not here'          unless $node;
plan skip_all => 'node-postgres is not here' unless $place;
my $c = Meridian::Test::Cluster->new(nodes => 2, stores => 2);
$ENV{NODE_PATH} = join ':', map { m{^/} ? $_ : do { require Cwd; Cwd::getcwd() . "/$_" } } grep { -d } @places;
my @ports = map { $c->{node}{$_}{sql} =~ /:(\d+)$/ } 1, 2;
open my $f, '-|', 'timeout', '100', $node, 'tests/cluster/node_pg.js', @ports or die "node: $!";
my $planned;
while (<$f>) {
    chomp;
    if (/^(not )?ok \d+ - (.*)/) { ok(!$1, $2) }
    elsif (/^1\.\.(\d+)/)        { $planned = $1 }
    else                         { diag $_ }
}
close $f;
is($?, 0, 'node ends in good order');
ok($planned, 'and said all that it had to say');
is($c->stop(2), 0, 'a node stops');
done_testing;
