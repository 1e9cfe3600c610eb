#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The C API's remote engine and the shell against a node of ours.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;

my $bin      = 'build/dev/bin/meridian';
my $programs = 'build/dev/tests/cluster/programs';
plan skip_all => "no $bin" unless -x $bin && -x "$programs/api_suite";
my $dir = tempdir(CLEANUP => 1);
my $pid = open(my $from, '-|') // die;
if (!$pid) {
    open STDERR, '>', "$dir/log" or die;
    exec $bin, 'start', '--data', "$dir/n1", '--sql', '127.0.0.1:0', '--rpc', '127.0.0.1:0', '--http', 'none', '--bootstrap', '--stores', 2, '--log', 'error' or die;
}
END { local $?; kill 'KILL', $pid if $pid }
my ($addr) = (readline($from) // '') =~ /sql=(\S+)/;
ok($addr, 'a node serves') or BAIL_OUT('no node');

my @suite = split /\n/, `$programs/api_suite meridian://$addr/meridian meridian`;
is($?, 0, 'the suite exits with 0');
ok((grep { /^1\.\.[1-9]/ } @suite) == 1, 'it has a plan');
is_deeply([ grep { /^not ok/ } @suite ], [], 'all of ' . (grep { /^ok/ } @suite) . ' tests');

sub sql {
    my ($input) = @_;
    open my $f, '>', "$dir/in" or die;
    print $f $input;
    close $f;
    return scalar `$bin sql --url meridian://$addr/meridian <$dir/in 2>&1`;
}
is(sql("CREATE TABLE s (k int PRIMARY KEY, v text);\nINSERT INTO s VALUES (1, 'one'), (2, NULL);\nTABLE s;\n"),
    "CREATE TABLE\nINSERT 0 2\n k |  v  \n---+-----\n 1 | one\n 2 | \n(2 rows)\n\n", 'the shell');
is(sql("SELECT nothing FROM s;\n"), qq{ERROR:  column "nothing" does not exist\nLINE 1: SELECT nothing FROM s;\n               ^\n}, 'its errors');
like(sql("\\dt\n"), qr/ public \| s +\| table \| meridian\n\(1 row\)/, '\dt');
like(sql("\\regions\n"), qr/Nodes by region.*\n +1 \|/s, '\regions');
like(sql("\\tablets\n"), qr/Tablets.*\n +1 \|/s, '\tablets');
like(sql("\\tablets s\n"), qr/Tablets of s.*\n +2 \|.*\n\(1 row\)/s, '\tablets of a table');
is(sql("\\tablets nope\n"), qq{Did not find any table named "nope".\n}, '\tablets of none');
is(sql("\\d s\n"), <<'OUT', '\d s');
                 Table "public.s"
 Column |  Type   | Collation | Nullable | Default 
--------+---------+-----------+----------+---------
 k      | integer |           | not null | 
 v      | text    |           |          | 
Indexes:
    "s_pkey" PRIMARY KEY, btree (k)

OUT
like(sql("\\l\n\\du\n\\dn\n\\di\n"), qr/List of databases.* meridian .*List of roles.* meridian .*Superuser.*List of schemas.* public .*List of relations.* s_pkey /s, '\l \du \dn \di');
like(sql("\\clock\n"), qr/Clocks.*\n +1 \| SYNC/s, '\clock');
like(sql("\\staleness exact 1s\n\\staleness\n"), qr/^SET\nReads are "exact 1s"/, '\staleness');
like(sql("\\explain SELECT * FROM s WHERE k = 1\n"), qr/QUERY PLAN/, '\explain');
like(sql("INSERT INTO s VALUES (9);\n\\trace\n"), qr/Last transaction: \d+\.\d+ ms.*\n transaction .*\xe2\x96\x88.*\n   \w+ +\|.*\xe2\x96\x88/s, '\trace draws where the time went');
is(sql("\\trace\n"), "there is no transaction to show yet\n", 'and says so where there was none');
kill 'TERM', $pid;
waitpid $pid, 0;
is($?, 0, 'the node ends');
undef $pid;
done_testing();
