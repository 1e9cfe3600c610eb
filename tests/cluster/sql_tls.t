#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Clients over TLS: who the server is (verify-full), passwords bound to the channel (SCRAM-SHA-256-PLUS), password files, several hosts;
# and what does not pass: another CA, another name, a man in the middle who hides the binding, wrong passwords in masses, nonsense.
use strict;
use warnings;
use lib 'tests/lib/perl';
use IO::Socket::INET;
use Meridian::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'psql is not here'    unless -x '/usr/bin/psql';
plan skip_all => 'openssl is not here' unless -x '/usr/bin/openssl';
$SIG{PIPE} = 'IGNORE';
my $c = Meridian::Test::Cluster->new(nodes => 1, no_wait => 1, stores => 2);
my ($host, $port) = split /:/, $c->{node}{1}{sql};
my $d = "$c->{dir}";

sub openssl { my @cmd = @_; open my $f, '-|', "cd $d && openssl @cmd 2>&1" or die; local $/; my $out = <$f>; close $f or die "openssl @cmd: $out" }

for my $ca (qw(ca other)) {
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $ca.key -out $ca.crt -days 30 -subj /CN=$ca");
}
open my $ext, '>', "$d/ext" or die;
print $ext "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
close $ext;
openssl('req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=localhost');
openssl('x509 -req -sha384 -in s.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out s.crt -days 30 -extfile ext');

is($c->psql("create role app login password 'secret'; create role ro login password 'x y'"), '', 'roles');
is($c->stop(1), 0, 'the node stops');
$c->start(1, '--sql-auth', 'scram', '--tls-cert', "$d/s.crt", '--tls-key', "$d/s.key", '--tls-ca', "$d/ca.crt");

sub psql {    # (exit status, what it said)
    my ($how, $sql, %env) = @_;
    local %ENV = (%ENV, PGCONNECT_TIMEOUT => 30, PGPASSFILE => '/nonexistent', %env);
    delete $ENV{PGPASSWORD} unless $env{PGPASSWORD};
    my $pid = open(my $f, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or die;
        open STDIN, '<', '/dev/null' or die;
        exec 'psql', '-X', '-w', '-A', '-t', '-c', $sql, "dbname=meridian port=$port $how";
        die "exec: $!";
    }
    local $/;
    my $out = <$f> // '';
    close $f;
    return ($? >> 8, $out);
}

my $root = "sslrootcert=$d/ca.crt";
my $app  = "host=localhost user=app password=secret";
my ($status, $out) = psql("$app sslmode=verify-full $root channel_binding=require", 'select current_user');
is($out, "app\n", 'verify-full, and the password bound to the channel');
($status, $out) = psql("$app sslmode=verify-full $root channel_binding=disable", 'select current_user');
is($out, "app\n", 'without binding, where the client does not want it');
($status, $out) = psql("host=127.0.0.1 user=app password=secret sslmode=verify-full $root", 'select 1');
is($out, "1\n", 'by address');
($status, $out) = psql("$app sslmode=verify-full sslrootcert=$d/other.crt", 'select 1');
like($out, qr/certificate verify failed/, 'another CA');
($status, $out) = psql("host=elsewhere hostaddr=127.0.0.1 user=app password=secret sslmode=verify-full $root", 'select 1');
like($out, qr/does not match host name/, 'another name');
($status, $out) = psql("$app sslmode=disable", 'select 1');
is($out, "1\n", 'plain, on loopback');
($status, $out) = psql("$app sslmode=disable channel_binding=require", 'select 1');
isnt($status, 0, 'there is nothing to bind to without TLS');
($status, $out) = psql("host=localhost user=app password=wrong sslmode=require channel_binding=require", 'select 1');
like($out, qr/password authentication failed for user "app"/, 'a wrong password over the bound channel');

# A file of passwords; blanks and all.
open my $pass, '>', "$d/pgpass" or die;
print $pass "localhost:$port:*:app:secret\nlocalhost:$port:meridian:ro:x y\n";
close $pass;
chmod 0600, "$d/pgpass";
for my $user (qw(app ro)) {
    ($status, $out) = psql("host=localhost user=$user", 'select current_user', PGPASSFILE => "$d/pgpass");
    is($out, "$user\n", "a password file: $user");
}

# Several hosts.
my $dead = do { my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die; $s->sockport };
for my $attrs (qw(any read-write primary prefer-standby)) {
    ($status, $out) = psql("host=127.0.0.1,127.0.0.1 port=$dead,$port user=app password=secret target_session_attrs=$attrs", 'select 1');
    is($out, "1\n", "the second of two hosts, target_session_attrs=$attrs");
}
($status, $out) = psql("$app target_session_attrs=standby", 'select 1');
like($out, qr/not in hot standby/, 'no node is a standby');
($status, $out) = psql("$app target_session_attrs=read-write options='-c default_transaction_read_only=on'", 'select 1');
like($out, qr/session is read-only/, 'a session that is read-only is told so');

# Nonsense where a handshake should be, and a handshake that stops.
sub dial { return IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 20) // die "connect: $!" }
my @halves;
for my $bytes ('', "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . 'x' x 200, 'no hello at all' x 1000) {
    my $s = dial();
    syswrite $s, pack('NN', 8, 80877103);
    sysread $s, my $yes, 1;
    is($yes, 'S', 'TLS is offered') if !@halves;
    syswrite $s, $bytes;
    push @halves, $s;
}
{    # Bytes behind the request, in the clear, must not pass for something that came encrypted.
    my $s = dial();
    my $b = "user\0app\0database\0meridian\0\0";
    syswrite $s, pack('NN', 8, 80877103) . pack('NN', 8 + length $b, 196608) . $b;
    my $got = '';
    local $SIG{ALRM} = sub { die "late\n" };
    eval { alarm 20; while (sysread $s, $got, 100, length $got) { } alarm 0 };
    unlike(substr($got, 1), qr/^R/, 'what was stuffed behind the request is not answered');
}
# Wrong passwords in masses.
my $began = time;
my @kids;
for (1 .. 8) {
    my $pid = fork // die;
    if (!$pid) { psql("host=localhost user=app password=wrong$_ sslmode=disable", 'select 1') for 1 .. 10; POSIX::_exit(0) if require POSIX }
    push @kids, $pid;
}
my $slowest = 0;
for (1 .. 10) {
    my $t0 = time;
    ($status, $out) = psql("$app sslmode=verify-full $root", 'select 1');
    $slowest = time - $t0 if time - $t0 > $slowest;
    last if $out ne "1\n";
}
is($out, "1\n", sprintf 'the right password is taken all the while (%.0f ms at most)', $slowest * 1000);
waitpid $_, 0 for @kids;
is($c->stop(1), 0, 'the node stops in good order, handshakes under way');
done_testing;
