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
my ($pid, $from, $addr);
sub start {
    my @more = @_;
    $pid = open($from, '-|') // die;
    if (!$pid) {
        open STDERR, '>', "$dir/log" or die;
        exec $bin, 'start', '--data', "$dir/n1", '--sql', '127.0.0.1:0', '--rpc', '127.0.0.1:0', '--http', 'none', '--stores', 2, '--log', 'error', @more or die;
    }
    ($addr) = (readline($from) // '') =~ /sql=(\S+)/;
}
sub stop {
    kill 'TERM', $pid;
    close $from;    # waits for it
    undef $pid;
    return $?;
}
END { local $?; kill 'KILL', $pid if $pid }
start('--bootstrap');
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
like(sql("INSERT INTO s VALUES (9);\n\\trace\n"), qr/Last transaction: \d+\.\d+ ms\n\ntransaction +\d+\.\d+ (?:.*\n)+.*parse and plan .*\n(?:.*\n)*.*commit .*\n(?:.*\n)*.*Paxos round /, '\trace draws where the time went');
is(sql("\\trace\n"), "there is no transaction to show yet\n", 'and says so where there was none');
is(sql("CREATE ROLE alice LOGIN SUPERUSER PASSWORD 'wonder land';\n"), "CREATE ROLE\n", 'a role with a password');
is(stop(), 0, 'the node ends');

# ---- passwords and TLS -----------------------------------------------------------------------------------------------------
sub openssl { system("openssl @_ >$dir/openssl.log 2>&1") == 0 or die "openssl @_" }
openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $dir/ca.key -out $dir/ca.crt -subj /CN=ca -days 2");
openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $dir/n.key -out $dir/n.csr -subj /CN=localhost");
openssl("x509 -req -in $dir/n.csr -CA $dir/ca.crt -CAkey $dir/ca.key -CAcreateserial -out $dir/n.crt -days 2");
start('--sql-auth', 'scram', '--tls-cert', "$dir/n.crt", '--tls-key', "$dir/n.key", '--tls-ca', "$dir/ca.crt");
ok($addr, 'it comes back with TLS and passwords') or BAIL_OUT('no node');
my ($port) = $addr =~ /:(\d+)$/;
sub as { my ($user, $options) = @_; return scalar `$bin sql --url 'meridian://$user\@localhost:$port/meridian?$options' -Atc 'SELECT 6 * 7' -c '\\conninfo' 2>&1` }
like(as('alice:wonder%20land', "sslmode=verify-full&sslrootcert=$dir/ca.crt"), qr/^42\n.*as user "alice" on host "localhost".*\nSSL connection \(TLSv1\.[23], /, 'TLS with a checked name, and SCRAM');
like(as('alice:wrong', 'sslmode=require'), qr/password authentication failed/, 'a wrong password');
like(as('meridian', 'sslmode=require'), qr/error: .*password/, 'none');
like(as('alice:wonder%20land', "sslmode=verify-full&sslrootcert=$dir/n.crt"), qr/error: .*certificate/i, 'another authority');
is(stop(), 0, 'and ends');
done_testing();
