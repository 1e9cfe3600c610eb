#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# FOR UPDATE NOWAIT and SKIP LOCKED between sessions on different nodes: nobody waits, and nobody has what another one has.
use strict;
use warnings;
use lib 'tests/lib/perl';
use Meridian::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

eval { require DBI; require DBD::Pg; 1 } or plan skip_all => 'DBD::Pg is not here';
my $c = Meridian::Test::Cluster->new(nodes => 3);

sub connect_to {
    my ($node) = @_;
    my ($host, $port) = split /:/, $c->{node}{$node}{sql};
    return DBI->connect("dbi:Pg:host=$host;port=$port;dbname=meridian", 'meridian', '', { AutoCommit => 1, RaiseError => 0, PrintError => 0 });
}

my ($one, $two, $three) = map { connect_to($_) } 1 .. 3;

sub rows {
    my ($db, $sql) = @_;
    my $all = $db->selectall_arrayref($sql);
    return $all ? join(' ', map { join('|', map { $_ // '' } @$_) } @$all) : 'ERROR ' . $db->state;
}

$one->do('create table jobs (id int primary key, state text not null, priority int)') or die $one->errstr;
$one->do("insert into jobs select i, case when i % 10 = 0 then 'done' else 'new' end, i % 3 from generate_series(1, 30) i");
$c->poll_until(sub { rows($one, "select meridian.split('jobs'::regclass, '5')") =~ /was split at/ }, 'the table is split');
$one->do('create index jobs_priority on jobs (priority)');

# NOWAIT
$one->begin_work;
is(rows($one, 'select id from jobs where id = 7 for update'), '7', 'one has a row');
$two->begin_work;
my $began = time;
is(rows($two, 'select id from jobs where id = 7 for update nowait'), 'ERROR 55P03', 'two does not wait for it');
is($two->errstr =~ s/\n.*//sr, 'ERROR:  could not obtain lock on row in relation "jobs"', 'in these words');
cmp_ok(time - $began, '<', 5, 'at once');
$two->rollback;
is(rows($two, 'select id from jobs where id = 8 for update nowait'), '8', 'another row can be had');
is(rows($two, 'select id from jobs where id > 3 for update nowait'), 'ERROR 55P03', 'rows with it among them');
is(rows($two, 'select j.id from jobs j join jobs k on k.id = j.id where j.id = 7 for update nowait'), 'ERROR 55P03', 'in a join');
is(rows($two, 'select id from jobs where priority = 1 and state = $$new$$ order by id limit 1 for update nowait'), 'ERROR 55P03', 'through an index');
$two->do("set lock_timeout = '10s'");
is(rows($two, 'select id from jobs where id = 7 for update nowait'), 'ERROR 55P03', 'lock_timeout is for those that wait');
like($two->errstr, qr/could not obtain lock/, 'and NOWAIT keeps its words');
ok($one->do('update jobs set priority = 7 where id = 7'), 'one was not wounded by any of them');
ok($one->commit, 'and commits');
is(rows($two, 'select priority from jobs where id = 7 for update nowait'), '7', 'then the row is free');

# SKIP LOCKED
my $next = "select id from jobs where state = 'new' order by id limit 1 for update skip locked";
$_->begin_work for $one, $two, $three;
is(rows($one,   $next), '1', 'the first job');
is(rows($two,   $next), '2', 'the second one has the next');
is(rows($three, $next), '3', 'and so on');
is(rows($two, $next), '2', 'what a session has locked itself it finds again');
is(rows($two, 'select id from jobs where id < 7 and state = $$new$$ order by id desc for update skip locked'), '6 5 4 2', 'all the others');
is(rows($three, $next), '3', 'three has only its own there');
is(rows($three, 'select id from jobs order by id limit 2 offset 1 for update skip locked'), '7 8', 'OFFSET and LIMIT count what is free');
ok($one->do("update jobs set state = 'done' where id = 1"), 'one does its job');
ok($one->commit, 'and commits');
$one->begin_work;
is(rows($one, $next), '9', 'the first that is free and to be done');
$_->commit for $one, $two, $three;
is(rows($one, $next), '2', 'a job that is done is no job; those let go are free');

my $best = "select id, priority from jobs where state = 'new' order by priority desc, id limit 1 for update skip locked";
$_->begin_work for $one, $two, $three;
is(rows($one,   $best), '7|7', 'sorted otherwise');
is(rows($two,   $best), '2|2', 'only what came out is locked');
is(rows($three, $best), '5|2', 'by each');
$_->commit for $one, $two, $three;
my $index = 'select id from jobs where priority = 0 for update skip locked';
$_->begin_work for $one, $two;
is(rows($one, "$index"), '3 6 9 12 15 18 21 24 27 30', 'through an index');
is(rows($two, "$index"), '', 'nothing is left');
$_->commit for $one, $two;

$one->do('create table heap (a int, b text)');
$one->do("insert into heap select i, 'b' || i from generate_series(1, 3) i");
$_->begin_work for $one, $two;
is(rows($one, 'select a, b from heap where a = 2 for update skip locked'), '2|b2', 'a table without a primary key');
is(rows($two, 'select a, b from heap order by a for update skip locked'), '1|b1 3|b3', 'has rows to lock too');
$_->commit for $one, $two;

# A row that changes between the look and the lock is looked at again: own writes and a sort count.
$one->begin_work;
$one->do("update jobs set state = 'mine' where id = 2");
is(rows($one, $next), '3', 'its own changes count');
$one->rollback;
is(rows($one, 'select id from jobs where id = 3 fetch first 0 rows only for update skip locked'), '', 'no rows wanted');
my $prepared = $one->prepare('select id from jobs where state = $1 and id > $2 order by id limit $3 for share skip locked');
$prepared->execute('new', 20, 2);
is(join(' ', map { @$_ } @{$prepared->fetchall_arrayref}), '21 22', 'with parameters, FOR SHARE');
like(rows($one, "explain select id from jobs order by id limit 1 for update skip locked"), qr/nobody else has locked.*Found without locks/, 'EXPLAIN says it');
is(rows($one, 'select j.id from jobs j, jobs k where j.id = k.id for update skip locked'), 'ERROR 0A000', 'joins are refused');
like($one->errstr, qr/LINE 1/, 'with a position');
is(rows($one, 'update jobs set state = $$x$$ where id = (select id from jobs limit 1 for update skip locked) returning id'), 'ERROR 0A000', 'in a subquery too');
like($one->errstr, qr/LINE 1/, 'with a position');

is(rows($one, "select pg_advisory_$_"), 'ERROR 0A000', "pg_advisory_$_") and like($one->errstr, qr/LINE 1/, 'with a position')
    for 'lock(1)', 'xact_lock_shared(1, 2)', 'unlock(7)';
is(rows($one, 'select pg_advisory_unlock_all()'), '', 'there are none to let go');

# Workers at once: each job is done once.
$one->do('create table queue (id int primary key, seen int not null default 0)');
$one->do('insert into queue select i from generate_series(1, 40) i');
my @pids;
for my $node (1 .. 3) {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $_->{InactiveDestroy} = 1 for $one, $two, $three;
        my $db = connect_to($node);
        my $tries = 0;
        while ($tries++ < 500) {
            $db->begin_work;
            my $id = rows($db, 'select id from queue where seen = 0 order by id limit 1 for update skip locked');
            my $done = $id =~ /^\d+$/ && $db->do("update queue set seen = seen + 1 where id = $id");
            if ($done) { $db->commit } else { $db->rollback }
            last if $id eq '' && rows($db, 'select count(*) from queue where seen = 0') eq '0';
        }
        require POSIX;
        POSIX::_exit(0);
    }
    push @pids, $pid;
}
waitpid $_, 0 for @pids;
is(rows($one, 'select seen, count(*) from queue group by seen'), '1|40', 'three workers have done each job once');

done_testing;
