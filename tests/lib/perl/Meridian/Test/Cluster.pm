# SPDX-License-Identifier: Apache-2.0
#
# Meridian::Test::Cluster: real nodes for tests: processes on loopback, in a directory of their own.
#
#     my $c = Meridian::Test::Cluster->new(nodes => 3);     ready, fully replicated
#     $c->kill9(1); $c->restart(1); $c->stop(2); $c->meridian('tablet', 'ls', '--json');
#     $c->poll_until(sub { ... }, 'what is waited for');
#
# Every process it started ends with the object, by pid.
package Meridian::Test::Cluster;
use strict;
use warnings;
use File::Temp ();
use JSON::PP   ();
use Time::HiRes qw(sleep time);

our $binary = $ENV{MERIDIAN} // 'build/dev/bin/meridian';

sub new {
    my ($class, %how) = @_;
    my $self = bless {
        nodes   => $how{nodes} // 3,
        stores  => $how{stores} // 1,
        regions => $how{regions} // [],
        how     => $how{how} // [],
        dir     => File::Temp->newdir('meridian-test-XXXXXX', TMPDIR => 1),
        node    => {},
    }, $class;
    $self->start(1, '--bootstrap');
    $self->start($_, '--join', $self->{node}{1}{rpc}) for 2 .. $self->{nodes};
    $self->wait_replicated unless $how{no_wait};
    return $self;
}

# Starts node n (the n-th that was asked for; the cluster gives numbers of its own) and waits for its ready line.
sub start {
    my ($self, $n, @how) = @_;
    my $data   = "$self->{dir}/n$n";
    my $region = $self->{regions}[$n - 1] // "region$n";
    my $old    = $self->{node}{$n};
    my @addr   = map { ("--$_", $old ? $old->{$_} : '127.0.0.1:0') } qw(rpc http sql);
    pipe(my $out, my $in) or die "pipe: $!";
    my $pid = fork() // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>&', $in or die;
        open STDERR, '>>', "$data.log" or die;
        exec $binary, 'start', '--data', $data, @addr, '--clock', 'host', '--stores', $self->{stores}, '--region', $region, @{ $self->{how} }, @how;
        die "exec: $!";
    }
    close $in;
    $self->{node}{$n} = { pid => $pid, out => $out, data => $data, $old ? %$old{qw(rpc http sql)} : () };
    my $line = eval {
        local $SIG{ALRM} = sub { die "late\n" };
        alarm 60;
        my $l = <$out>;
        alarm 0;
        $l;
    };
    if (!defined $line || $line !~ /^ready: sql=(\S+) rpc=(\S+) http=(\S+)$/) {
        die "node $n did not start: " . $self->log_tail($n);
    }
    @{ $self->{node}{$n} }{qw(sql rpc http)} = ($1, $2, $3);
    return $self;
}

sub log_tail {
    my ($self, $n) = @_;
    my $log = "$self->{dir}/n$n.log";
    return '' unless -f $log;
    open my $f, '<', $log or return '';
    my @lines = <$f>;
    return join '', splice(@lines, $#lines > 20 ? -20 : 0);
}

# For whoever has to understand a failure: who is there, who holds what, and what the nodes said last.
sub state_of_things {
    my ($self) = @_;
    my $text = '';
    for my $n ($self->running) {
        $text .= "---- node $n\n" . ($self->meridian_on($n, @$_))[1] for ['node', 'ls'], ['tablet', 'ls'];
        $text .= $self->log_tail($n);
    }
    return $text;
}

sub running {
    my ($self) = @_;
    return grep { $self->{node}{$_}{pid} } sort keys %{ $self->{node} };
}

sub finish {    # its exit status
    my ($self, $n) = @_;
    my $node = $self->{node}{$n};
    waitpid $node->{pid}, 0;
    my $status = $?;
    delete $node->{pid};
    close delete $node->{out};
    return $status;
}

sub kill9   { my ($self, $n) = @_; kill KILL => $self->{node}{$n}{pid}; $self->finish($n); return $self }
sub stop    { my ($self, $n) = @_; kill TERM => $self->{node}{$n}{pid}; return $self->finish($n) >> 8 }
sub pause   { my ($self, $n) = @_; kill STOP => $self->{node}{$n}{pid}; return $self }
sub unpause { my ($self, $n) = @_; kill CONT => $self->{node}{$n}{pid}; return $self }
sub restart { my ($self, $n) = @_; return $self->start($n) }

# Runs meridian COMMAND against some node that runs; (exit status, what it printed).
sub meridian {
    my ($self, @args) = @_;
    my ($n) = $self->running;
    return $self->meridian_on($n, @args);
}

sub meridian_on {
    my ($self, $n, @args) = @_;
    my $text = '';
    my $pid  = open(my $f, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or die;
        exec $binary, @args, '--rpc', $self->{node}{$n}{rpc};
        die "exec: $!";
    }
    { local $/; $text = <$f> // ''; }
    close $f;
    return ($? >> 8, $text);
}

sub json {
    my ($self, @args) = @_;
    my ($status, $text) = $self->meridian(@args, '--json');
    return undef if $status;
    return eval { JSON::PP->new->decode($text) };
}

sub poll_until {
    my ($self, $sub, $what, $seconds) = @_;
    my $end = time + ($seconds // 30);
    while (time < $end) {
        my $x = $sub->();
        return $x if $x;
        sleep 0.1;
    }
    return undef;
}

sub wait_replicated {
    my ($self) = @_;
    my $want = $self->{nodes};
    $self->poll_until(sub {
        my $l = $self->json('node', 'ls');
        return $l && $l->{fully_replicated} && @{ $l->{nodes} } == $want;
    }, 'fully replicated', 60) or die "the cluster was not fully replicated in 60 s\n" . $self->state_of_things;
    return $self;
}

# Runs SQL through psql on a node (the first that runs): what it printed, unaligned, errors with their SQLSTATE among it.
sub psql {
    my ($self, $sql, %how) = @_;
    my ($host, $port) = split /:/, $self->{node}{ $how{node} // ($self->running)[0] }{sql};
    my @how = @{ $how{options} // [] };
    my $pid = open(my $f, '-|') // die "fork: $!";
    if (!$pid) {
        $ENV{PGCONNECT_TIMEOUT} = 20;
        open STDERR, '>&', \*STDOUT or die;
        open my $tmp, '+>', undef or die;
        print $tmp $sql;
        seek $tmp, 0, 0;
        open STDIN, '<&', $tmp or die;
        exec 'psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose', '-h', $host, '-p', $port, '-U', $how{user} // 'meridian', '-d',
          $how{database} // 'meridian', @how;
        die "exec: $!";
    }
    local $/;
    my $text = <$f> // '';
    close $f;
    $text =~ s/^LOCATION:.*\n?//mg;
    $text =~ s/\n\z//;
    return $text;
}

# GET from a node's HTTP port: (status code, body).
sub http {
    my ($self, $n, $path) = @_;
    require IO::Socket::INET;
    my $s = IO::Socket::INET->new(PeerAddr => $self->{node}{$n}{http}, Timeout => 10) or return (0, "$!");
    print $s "GET $path HTTP/1.1\r\nHost: test\r\n\r\n";
    local $/;
    my $all = <$s> // '';
    my ($head, $body) = split /\r\n\r\n/, $all, 2;
    return ($head =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0, $body // '');
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    for my $n ($self->running) {
        kill KILL => $self->{node}{$n}{pid};
        waitpid $self->{node}{$n}{pid}, 0;
    }
}

1;
