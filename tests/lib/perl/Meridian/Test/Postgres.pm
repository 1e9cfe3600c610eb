# SPDX-License-Identifier: Apache-2.0
#
# Meridian::Test::Postgres: a PostgreSQL 15 of one's own to compare with, alone or with two synchronous standbys of which one must answer.
#
#     my $pg = Meridian::Test::Postgres->new(standbys => 2);     $pg->{port}, user postgres, database postgres, no password
#
# It lives in a temporary directory and ends with the object, by pid.
package Meridian::Test::Postgres;
use strict;
use warnings;
use File::Temp ();
use IO::Socket::INET;
use Time::HiRes qw(sleep);

our $bin = '/usr/lib/postgresql/15/bin';

sub here { return -x "$bin/initdb" }

sub new {
    my ($class, %how) = @_;
    my $self = bless { dir => File::Temp->newdir('test-pg-XXXXXX', TMPDIR => 1), pids => [] }, $class;
    my $dir  = "$self->{dir}";
    if ($> == 0) {
        my ($uid, $gid) = (getpwnam 'postgres')[ 2, 3 ];
        chown $uid, $gid, $dir;
    }
    chmod 0755, $dir;
    $self->quiet($self->as("$bin/initdb", '-D', "$dir/main", '-U', 'postgres', '-A', 'trust', '--no-sync'));
    open my $conf, '>>', "$dir/main/postgresql.conf" or die "postgresql.conf: $!";
    print $conf "wal_level = replica\nmax_wal_senders = 10\nhot_standby = on\nmax_connections = 200\nshared_buffers = 256MB\n" .
      "max_pred_locks_per_transaction = 2000\n";
    close $conf;
    $self->{port} = free_port();
    $self->run("$dir/main", $self->{port});
    $self->standby($_) for 1 .. $how{standbys} // 0;
    $self->wait_for_standbys($how{standbys}) if $how{standbys};
    return $self;
}

sub free_port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "port: $!";
    return $s->sockport;
}

# PostgreSQL does not run as root.
sub as { my ($self, @cmd) = @_; return $> == 0 ? ('setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', @cmd) : @cmd }

sub quiet {
    my ($self, @cmd) = @_;
    my $pid = fork() // die "fork: $!";
    if (!$pid) {
        chdir '/';
        open STDOUT, '>',  '/dev/null';
        open STDERR, '>>', "$self->{dir}/log";
        exec @cmd;
        exit 127;
    }
    waitpid $pid, 0;
    $? == 0 or die "@cmd failed: " . `tail -n 5 $self->{dir}/log`;
}

sub run {    # a server process in the background
    my ($self, $data, $port) = @_;
    my $pid = fork() // die "fork: $!";
    if (!$pid) {
        chdir '/';
        open STDOUT, '>>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        exec $self->as("$bin/postgres", '-D', $data, '-p', $port, '-k', "$self->{dir}", '-h', '127.0.0.1');
        exit 127;
    }
    push @{ $self->{pids} }, $pid;
    for (1 .. 300) {
        return if system("$bin/pg_isready -q -h 127.0.0.1 -p $port") == 0;
        sleep 0.1;
    }
    die 'PostgreSQL does not answer: ' . `tail -n 5 $self->{dir}/log`;
}

sub standby {
    my ($self, $n) = @_;
    my $data = "$self->{dir}/s$n";
    $self->quiet($self->as("$bin/pg_basebackup", '-h', '127.0.0.1', '-p', $self->{port}, '-U', 'postgres', '-D', $data, '-R', '--no-sync', '-c', 'fast'));
    open my $auto, '>>', "$data/postgresql.auto.conf" or die "postgresql.auto.conf: $!";
    print $auto "primary_conninfo = 'host=127.0.0.1 port=$self->{port} user=postgres application_name=s$n'\n";
    close $auto;
    $self->run($data, free_port());
}

sub wait_for_standbys {
    my ($self, $n) = @_;
    my $names = join ', ', map { "s$_" } 1 .. $n;
    $self->quiet("$bin/psql", '-qX', '-h', '127.0.0.1', '-p', $self->{port}, '-U', 'postgres', '-c', $_)
      for "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ($names)'", 'SELECT pg_reload_conf()';
    for (1 .. 100) {
        return if `$bin/psql -qXAt -h 127.0.0.1 -p $self->{port} -U postgres -c "select count(*) from pg_stat_replication where sync_state = 'quorum'"` == $n;
        sleep 0.1;
    }
    die "PostgreSQL's standbys are not synchronous";
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!);
    kill INT => @{ $self->{pids} } if @{ $self->{pids} };
    waitpid $_, 0 for @{ $self->{pids} };
}

1;
