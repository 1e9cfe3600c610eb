#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# sysbench's scripts against three nodes: each is prepared through one node, run through another, with statements prepared and
# as texts, and cleaned up through the third; between them the tables are what the script says they are.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;

my $sysbench = '/usr/bin/sysbench';
plan skip_all => 'sysbench is not here' unless -x $sysbench;
my $c = Meridian::Test::Cluster->new(nodes => 3);

sub sysbench {    # (exit status, what it said)
    my ($node, $script, @args) = @_;
    my ($host, $port) = split /:/, $c->{node}{$node}{sql};
    my $pid = open(my $f, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or die;
        exec 'timeout', '60', $sysbench, $script, '--db-driver=pgsql', "--pgsql-host=$host", "--pgsql-port=$port", '--pgsql-user=meridian',
          '--pgsql-db=meridian', '--threads=2', @args;
        die "exec: $!";
    }
    local $/;
    my $out = <$f> // '';
    close $f;
    return ($? >> 8, $out);
}

my @rows = ('--tables=2', '--table-size=300');
my %args = map { $_ => \@rows } qw(oltp_read_write oltp_read_only oltp_point_select oltp_insert oltp_update_index oltp_update_non_index
  oltp_delete oltp_write_only);
$args{$_} = ['--table-size=300'] for qw(select_random_points select_random_ranges);
$args{bulk_insert} = [];

for my $script (sort keys %args) {
    subtest $script => sub {
        my ($status, $out) = sysbench(1, $script, @{ $args{$script} }, 'prepare');
        is($status, 0, 'prepare') or return diag $out;
        is($c->psql("select count(*), min(id), max(id) from sbtest1", node => 2), '300|1|300', 'the rows are there') unless $script eq 'bulk_insert';
        my $events = $script eq 'bulk_insert' ? 20000 : 40;
        for my $ps ($script eq 'bulk_insert' ? 'auto' : qw(auto disable)) {
            ($status, $out) = sysbench(2, $script, @{ $args{$script} }, '--time=0', "--events=$events", "--db-ps-mode=$ps", 'run');
            is($status, 0, "run, prepared statements: $ps") or diag $out;
            my ($done) = $out =~ /transactions: +(\d+)/;
            cmp_ok($done // 0, '>=', $events, 'every transaction') or diag $out;
            unlike($out, qr/FATAL|ALERT/, 'without an error that ends it');
        }
        if ($script eq 'bulk_insert') {
            is($c->psql('select (select count(*) from sbtest1) + (select count(*) from sbtest2)', node => 3), '20000', 'all rows are there');
        } elsif ($script =~ /read_write|write_only/) {    # a row that is deleted is inserted again
            is($c->psql('select (select count(*) from sbtest1) + (select count(*) from sbtest2)', node => 3), '600', 'no row is lost');
        } elsif ($script eq 'oltp_insert') {
            is($c->psql('select (select count(*) from sbtest1) + (select count(*) from sbtest2)', node => 3), '680', 'all new rows are there');
        }
        # The index holds what the table holds.
        is($c->psql('select count(*) from sbtest1 a where not exists (select 1 from sbtest1 b where b.k = a.k and b.id = a.id)', node => 1),
            '0', 'index and table agree');
        ($status, $out) = sysbench(3, $script, @{ $args{$script} }, 'cleanup');
        is($status, 0, 'cleanup') or diag $out;
        is($c->psql("select count(*) from pg_class where relname like 'sbtest%'", node => 1), '0', 'nothing is left');
    };
}
done_testing;
