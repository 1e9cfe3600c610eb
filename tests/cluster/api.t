#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The C API's remote engine against PostgreSQL 15: the whole suite, nodes that go away, SCRAM, TLS.
# (Real nodes of ours: api_meridian.t.)
use strict;
use warnings;
use lib 'tests/lib/perl';
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Test::More;

my $programs = 'build/dev/tests/cluster/programs';
plan skip_all => "no $programs/api_suite" unless -x "$programs/api_suite";
plan skip_all => 'postgresql-15 is not installed' unless -x '/usr/lib/postgresql/15/bin/initdb';
if (!$ENV{PGHOST} || !$ENV{API_UNDER_PG}) {
    $ENV{API_UNDER_PG} = 1;
    exec 'tests/lib/pg15.sh', $^X, $0 or die;
}
my $pg_socket = "$ENV{PGHOST}/.s.PGSQL.5432";

# A node that is only a way to the server: killing it cuts what goes through it.
my @children;
sub node {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8, ReuseAddr => 1) or die;
    my $port   = $listen->sockport;
    my $pid    = fork // die;
    if (!$pid) {
        my $sel = IO::Select->new($listen);
        my %peer;
        while (my @ready = $sel->can_read) {
            for my $s (@ready) {
                if ($s == $listen) {
                    my $a = $listen->accept // next;
                    my $b = IO::Socket::UNIX->new(Peer => $pg_socket) or die;
                    @peer{ $a, $b } = ($b, $a);
                    $sel->add($a, $b);
                    next;
                }
                next if !$peer{$s};    # closed with the other end
                my $n = sysread $s, my $data, 65536;
                my $to = $peer{$s};
                if ($n) { syswrite $to, $data; next }
                $sel->remove($s, $to);
                delete @peer{ $s, $to };
                close $_ for $s, $to;
            }
        }
        exit 0;
    }
    close $listen;
    push @children, $pid;
    return ($port, $pid);
}
END { local $?; kill 'KILL', @children if @children }

sub run_tap {
    my ($name, @cmd) = @_;
    my $out = `@cmd`;
    my $status = $?;
    my @lines = split /\n/, $out;
    is($status, 0, "$name exits with 0");
    ok($out =~ /^1\.\.[1-9]/m, "$name has a plan");
    is_deeply([ grep { /^not ok/ } @lines ], [], "$name: all of " . (grep { /^ok/ } @lines) . ' tests');
}

run_tap('the suite', "$programs/api_suite", "'postgres:///postgres?host=$ENV{PGHOST}&user=postgres'");

my @nodes = map { [node()] } 1 .. 8;
my @hosts = map { "127.0.0.1:$_->[0]" } @nodes;
run_tap('failover', "$programs/api_failover", "'meridian://postgres@" . join(',', @hosts) . "/postgres?application_name=fo'", map { $_->[1] } @nodes[0 .. 6]);

done_testing();
