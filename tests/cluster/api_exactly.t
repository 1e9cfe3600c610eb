#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# meridian_run does a thing exactly once: nodes are killed while it runs, in a loop and exactly between COMMIT and its answer.
use strict;
use warnings;
use lib 'tests/lib/perl';
use IO::Select;
use IO::Socket::INET;
use Meridian::Test::Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $program = 'build/dev/tests/cluster/programs/api_exactly';
plan skip_all => "no $program" unless -x $program;
my $seconds = $ENV{EXACTLY_SECONDS} // 10;
my $c = Meridian::Test::Cluster->new(nodes => 3, regions => [qw(a b c)]);

# Two tables on two tablets, so that what is counted commits in two phases.
$c->psql("select meridian.set_placement('two', '', 'b', 3)");
$c->psql("create table counter (id int primary key, n int not null); insert into counter values (1, 0)");
$c->psql("create table marks (who int, seq int, primary key (who, seq)) with (placement = 'two')");
is($c->psql('select n from counter'), 0, 'nothing is counted yet');

sub hosts { return join ',', map { $c->{node}{$_}{sql} } 1 .. 3 }
sub counted { return $c->psql('select (select n from counter), (select count(*) from marks)') }
sub result { my ($text) = @_; my %r = $text =~ /(acknowledged|unknown|failed|attempts|slowest_ms) (\d+)/g; return \%r }
my $sum = 0;

# ---- between COMMIT and its answer ---------------------------------------------------------------------------------------
# A way to a node that looks at what passes. When the client's COMMIT comes by it does what it is told:
#     lost      the node never gets it
#     answered  the node gets it, and its answer gets no further
# and then the node, too, is killed.
sub way {
    my ($node, $what) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8, ReuseAddr => 1) or die;
    my ($pid, $port, $armed) = (fork // die, $listen->sockport, 0);
    return ($pid, "127.0.0.1:$port") if $pid;
    my $in = $listen->accept or die;
    close $listen;    # whoever comes back is to go elsewhere
    my $out = IO::Socket::INET->new($c->{node}{$node}{sql}) or die;
    my $sel = IO::Select->new($in, $out);
    while (my @ready = $sel->can_read) {
        for my $s (@ready) {
            sysread($s, my $data, 65536) or do { kill 9, $$ };
            $armed = 1 if $s == $in && $data =~ /\0?COMMIT\0/;
            if ($armed && ($what eq 'lost' || $s == $out)) {
                kill 9, $c->{node}{$node}{pid};
                kill 9, $$;
            }
            syswrite $s == $in ? $out : $in, $data;
        }
    }
    kill 9, $$;
}

for my $what (qw(lost answered)) {
    for my $victim ($what eq 'lost' ? 2 : (1, 2)) {
        my ($pid, $addr) = way($victim, $what);
        my @others = map { $c->{node}{$_}{sql} } grep { $_ != $victim } 1 .. 3;
        my $began = time;
        my $r = result(my $text = `$program one $addr,@{[join ',', @others]}`);
        waitpid $pid, 0;
        $c->finish($victim);
        is("$r->{acknowledged} $r->{unknown} $r->{failed}", '1 0 0', "COMMIT $what, node $victim dies: it is known in the end") or diag($text);
        is($r->{attempts}, $what eq 'lost' ? 2 : 1, $what eq 'lost' ? 'and it was done again' : 'and it was not done again') or diag($text);
        cmp_ok(time - $began, '<', 60, sprintf 'after %.1f s', time - $began);
        $sum++;
        is(counted(), "$sum|$sum", 'it is there once');
        $c->restart($victim);
        $c->wait_replicated;
    }
}

# ---- one after the other, under load -------------------------------------------------------------------------------------
my $pid = open(my $load, '-|', $program, 'load', hosts(), 6, $seconds) // die;
my ($end, $kills, $victim) = (time + $seconds - 2, 0, 0);
while (time < $end) {
    sleep 1 + rand 0.5;
    $victim = $victim % 3 + 1;
    $c->kill9($victim);
    $kills++;
    sleep rand 1.0;
    $c->restart($victim);
    $c->wait_replicated if $kills % 2;
}
my $text = do { local $/; <$load> } // '';
close $load;
my $r = result($text);
note("$kills kills: $text");
cmp_ok($kills, '>=', 2, 'nodes were killed');
cmp_ok($r->{acknowledged}, '>', 2, 'things were counted');
is($r->{unknown}, 0, 'of none it is not known whether it happened') or diag($text);
is($r->{failed}, 0, 'and none failed') or diag($text);
$sum += $r->{acknowledged};
is(counted(), "$sum|$sum", 'what was acknowledged is what is there, each once') or diag($text);
done_testing();
