#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Errors: SQLSTATE, words, details and hints of statements that fail, as PostgreSQL 15 gives them.
#
#     tests/lib/pg15.sh tests/cluster/sql_errors.t --write      lets PostgreSQL write sql_errors.expected anew
use strict;
use warnings;
use lib 'tests/lib/perl';
use File::Temp ();
use Meridian::Test::Cluster;
use Test::More;

my $dir = 'tests/cluster';

# Each statement, then what psql shows of it.
sub run_all {
    my ($user, $database, @to) = @_;
    my $script = File::Temp->new;
    open my $f, '<', "$dir/sql_errors.sql" or die;
    while (my $line = <$f>) {
        next if $line =~ /^--/;
        chomp $line;
        (my $shown = $line) =~ s/'/\\'/g;
        print $script "\\echo @@ $shown\n$line\n";
    }
    close $script;
    local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
    my $text = '';
    my $pid  = open(my $out, '-|') // die;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or die;
        exec 'psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose', '-U', $user, '-d', $database, @to, '-f', "$script";
        die;
    }
    { local $/; $text = <$out> // '' }
    close $out;
    $text =~ s/^psql:\S+ //mg;
    $text =~ s/^LOCATION.*\n//mg;
    $text =~ s/^LINE \d.*\n.*\^\n?//mg;
    my %said;
    my @order;
    for my $part (split /^@@ /m, $text) {
        next unless length $part;
        my ($statement, $rest) = split /\n/, $part, 2;
        push @order, $statement unless exists $said{$statement};
        $said{$statement} = $rest // '';
    }
    return (\@order, \%said);
}

if (@ARGV && $ARGV[0] eq '--write') {
    my ($order, $said) = run_all($ENV{PGUSER}, $ENV{PGDATABASE});
    open my $f, '>', "$dir/sql_errors.expected" or die;
    print $f "@@ $_\n$said->{$_}" for @$order;
    exit 0;
}

my $c = Meridian::Test::Cluster->new(nodes => 1, no_wait => 1, stores => 2);
my ($host, $port) = split /:/, $c->{node}{1}{sql};
my (undef, $said) = run_all('meridian', 'meridian', '-h', $host, '-p', $port);
open my $f, '<', "$dir/sql_errors.expected" or die;
my %want = do { local $/; map { my ($s, $r) = split /\n/, $_, 2; ($s => $r) } grep { length } split /^@@ /m, <$f> };
my @bad;
for my $s (sort keys %want) {
    push @bad, "$s\n  PostgreSQL: $want{$s}  here:       " . ($said->{$s} // '(nothing)') if ($said->{$s} // '') ne $want{$s};
}
is(scalar @bad, 0, scalar(keys %want) . ' statements say what PostgreSQL says') or diag join "\n", @bad;
cmp_ok(scalar(grep { /ERROR:/ } values %want), '>=', 130, 'most of them are errors');
is($c->stop(1), 0, 'the node is well');
done_testing();
