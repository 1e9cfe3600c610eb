#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The drivers of Python that Debian has (python_drivers.py): psycopg 2 and 3 on libpq, asyncpg and pg8000 with protocols of their own,
# SQLAlchemy above them.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

my $python = '/usr/bin/python3';
plan skip_all => "$python is not here" unless -x $python;
my $c = Meridian::Test::Cluster->new(nodes => 1, no_wait => 1, stores => 2);
my ($port) = $c->{node}{1}{sql} =~ /:(\d+)$/;
for my $driver (qw(psycopg2 psycopg asyncpg pg8000 sqlalchemy)) {
    subtest $driver => sub {
        open my $f, '-|', "timeout 100 $python tests/cluster/python_drivers.py $driver $port 2>&1" or die "python: $!";
        my ($planned, @said);
        while (<$f>) {
            chomp;
            if (/^(not )?ok \d+ - (.*)/) { ok(!$1, $2) }
            elsif (/^1\.\.(\d+)/)        { $planned = $1 }
            else                         { push @said, $_ }
        }
        close $f;
        plan skip_all => "@said" if $? >> 8 == 77;
        ok($? == 0 && $planned, "$driver: to the end") or diag join "\n", @said;
        diag join "\n", grep { /^#/ } @said if grep { /^#/ } @said;
    };
}
is($c->stop(1), 0, 'the node stops');
done_testing;
