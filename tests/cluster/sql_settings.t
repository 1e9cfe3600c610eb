#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Settings as clients see them: what the server tells of them (ParameterStatus), how they last and go back, what they do; and where an
# error is, counted in characters.
use strict;
use warnings;
use lib 'tests/lib/perl';
use IO::Socket::INET;
use Meridian::Test::Cluster;
use Test::More;
use utf8;
use Encode qw(encode decode);

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output todo_output);
my $c = Meridian::Test::Cluster->new(nodes => 1, no_wait => 1);
my ($host, $port) = split /:/, $c->{node}{1}{sql};

sub read_n {
    my ($s, $n) = @_;
    my $data = '';
    local $SIG{ALRM} = sub { die "nothing came for 30 s\n" };
    alarm 30;
    while (length $data < $n) { sysread($s, $data, $n - length $data, length $data) or die 'closed' }
    alarm 0;
    return $data;
}

# What a session is told until it is ready: { settings => {}, rows => [], errors => [] }.
sub told {
    my ($s) = @_;
    my %r = (settings => {}, rows => [], errors => []);
    while (1) {
        my ($type, $len) = unpack 'aN', read_n($s, 5);
        my $body = $len > 4 ? read_n($s, $len - 4) : '';
        if ($type eq 'S') { my ($n, $v) = split /\0/, $body; $r{settings}{$n} = $v // '' }
        elsif ($type eq 'D') {
            my ($n, @row) = (unpack 'n', $body);
            for (my $at = 2; @row < $n;) {
                my $bytes = unpack 'l>', substr $body, $at, 4;
                push @row, $bytes < 0 ? undef : decode('UTF-8', substr $body, $at + 4, $bytes);
                $at += 4 + ($bytes > 0 ? $bytes : 0);
            }
            push @{ $r{rows} }, \@row;
        }
        elsif ($type eq 'E') { push @{ $r{errors} }, { map { substr($_, 0, 1) => decode('UTF-8', substr $_, 1) } grep { length } split /\0/, $body } }
        return \%r if $type eq 'Z';
    }
}

sub session {
    my %p = (user => 'meridian', database => 'meridian', @_);
    my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 10) // die "connect: $!";
    my $b = join('', map { "$_\0$p{$_}\0" } sort keys %p) . "\0";
    syswrite $s, pack('NN', 8 + length $b, 196608) . $b;
    return ($s, told($s));
}

sub query { my ($s, $q) = @_; $q = encode('UTF-8', $q); syswrite $s, 'Q' . pack('N', 5 + length $q) . "$q\0"; return told($s) }
sub shows { my ($s, $name) = @_; return query($s, "show $name")->{rows}[0][0] }

my ($s, $r) = session(application_name => 'tests', options => '-c TimeZone=Europe/Berlin -c statement_timeout=5s --search_path=a,public', DateStyle => 'ISO');
my %want = (application_name => 'tests', client_encoding => 'UTF8', DateStyle => 'ISO, MDY', default_transaction_read_only => 'off', in_hot_standby => 'off',
    integer_datetimes => 'on', IntervalStyle => 'postgres', is_superuser => 'on', server_encoding => 'UTF8', server_version => '15.0',
    session_authorization => 'meridian', standard_conforming_strings => 'on', TimeZone => 'Europe/Berlin');
is($r->{settings}{$_}, $want{$_}, "told at the start: $_") for sort keys %want;
is(shows($s, 'statement_timeout'), '5s', 'options at the start');
is(shows($s, 'search_path'), 'a,public', 'in the other form');

# Each change is told once, whatever makes it.
is_deeply(query($s, "set timezone = 'Asia/Tokyo'")->{settings}, { TimeZone => 'Asia/Tokyo' }, 'SET is told');
is_deeply(query($s, "set timezone = 'Asia/Tokyo'")->{settings}, {}, 'what changes nothing is not');
is_deeply(query($s, "set work_mem = '8MB'")->{settings}, {}, 'what clients need not know is not');
is_deeply(query($s, "select set_config('application_name', 'other', false)")->{settings}, { application_name => 'other' }, 'set_config');
query($s, 'begin');
is_deeply(query($s, "set local timezone = 'UTC'")->{settings}, { TimeZone => 'UTC' }, 'SET LOCAL');
is_deeply(query($s, 'commit')->{settings}, { TimeZone => 'Asia/Tokyo' }, 'goes back with the commit');
query($s, 'begin');
query($s, "set timezone = 'UTC'; set application_name = 'third'");
is_deeply(query($s, 'rollback')->{settings}, { TimeZone => 'Asia/Tokyo', application_name => 'other' }, 'SET goes back with a rollback');
is_deeply(query($s, 'reset all')->{settings}, { TimeZone => 'Europe/Berlin', application_name => 'tests' }, 'RESET ALL: as at the start');
query($s, "set application_name = 'x'; prepare p as select 1");
is_deeply(query($s, 'discard all')->{settings}, { application_name => 'tests' }, 'DISCARD ALL');
is(query($s, 'execute p')->{errors}[0]{C}, '26000', 'and it forgets statements');
# Statements that the protocol prepared are SQL's to free as well: drivers and poolers do so.
sub msg     { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }
sub prepare { my ($s, $name, $q) = @_; syswrite $s, msg('P', "$name\0$q\0\0\0") . msg('S', ''); return told($s)->{errors}[0]{C} // 'fine' }
sub run_one { my ($s, $name) = @_; syswrite $s, msg('B', "\0$name\0\0\0\0\0\0\0") . msg('E', "\0\0\0\0\0") . msg('S', ''); my $r = told($s); return $r->{errors}[0]{C} // $r->{rows}[0][0] }
is(prepare($s, 'one', 'select 1'), 'fine', 'a statement of the protocol');
is(query($s, 'deallocate one')->{errors}[0], undef, 'DEALLOCATE frees it');
is(run_one($s, 'one'), '26000', 'it is gone');
is(query($s, 'deallocate one')->{errors}[0]{C}, '26000', 'and not there twice');
prepare($s, 'one', 'select 1');
prepare($s, 'two', 'select 2');
prepare($s, '', 'select 3');
is(query($s, 'begin')->{errors}[0], undef, 'in a block');
is(prepare($s, 'all', 'deallocate all'), 'fine', 'one that frees them all');
is(run_one($s, 'all'), undef, 'and itself, while it runs');
is(run_one($s, 'two'), '26000', 'they are gone');
query($s, 'rollback');
prepare($s, 'three', 'select 3');
query($s, 'discard all');
is(prepare($s, 'three', 'select 4'), 'fine', 'DISCARD ALL frees their names');
is(run_one($s, 'three'), '4', 'for others');

is(query($s, 'begin; discard all')->{errors}[0]{C}, '25001', 'not in a block');
query($s, 'rollback');

# What they do.
is(query($s, "select '2024-07-01 12:00+00'::timestamptz")->{rows}[0][0], '2024-07-01 14:00:00+02', 'TimeZone, summer');
is(query($s, "select '2024-01-01 12:00'::timestamptz at time zone 'America/New_York'")->{rows}[0][0], '2024-01-01 06:00:00', 'AT TIME ZONE');
my $i = "select interval '1 year -2 mons 3 days 4:05:06.7', interval '2 days 3:00', interval '-1 mon', interval '0', interval '-4:05:06.07'";
# As PostgreSQL 15 prints them.
my %styles = (
    postgres         => [ '10 mons 3 days 04:05:06.7',                    '2 days 03:00:00',   '-1 mons',     '00:00:00', '-04:05:06.07' ],
    postgres_verbose => [ '@ 10 mons 3 days 4 hours 5 mins 6.7 secs',     '@ 2 days 3 hours',  '@ 1 mon ago', '@ 0',      '@ 4 hours 5 mins 6.07 secs ago' ],
    sql_standard     => [ '+0-10 +3 +4:05:06.7',                          '2 3:00:00',         '-0-1',        '0',        '-4:05:06.07' ],
    iso_8601         => [ 'P10M3DT4H5M6.7S',                              'P2DT3H',            'P-1M',        'PT0S',     'PT-4H-5M-6.07S' ],
);
for my $style (sort keys %styles) {
    my $set = query($s, "set intervalstyle = $style");
    is_deeply($set->{settings}, { IntervalStyle => $style }, "IntervalStyle $style is told") unless $style eq 'postgres' && !%{ $set->{settings} };
    is_deeply(query($s, $i)->{rows}[0], $styles{$style}, "intervals, $style");
}
query($s, 'reset intervalstyle');
is_deeply(query($s, $i)->{rows}[0], $styles{postgres}, 'the same text again, in the style that is');
query($s, 'set bytea_output = escape');
is(query($s, "select '\\x0102ff5c41'::bytea")->{rows}[0][0], '\001\002\377\\\\A', 'bytea_output');

# What cannot be is refused in clear words.
for my $bad ([ "set client_encoding = 'LATIN1'", '0A000' ], [ "set datestyle = 'SQL'", '0A000' ], [ 'set standard_conforming_strings = off', '0A000' ],
    [ "set timezone = 'Nowhere/Town'", '22023' ], [ "set statement_timeout = 'long'", '22023' ], [ 'set nonsense = 1', '42704' ],
    [ "set server_version = '16'", '55P02' ], [ "set intervalstyle = 'mine'", '22023' ]) {
    is(query($s, $bad->[0])->{errors}[0]{C}, $bad->[1], "$bad->[0]: $bad->[1]");
}

# Errors are where characters are, not bytes: PostgreSQL 15's positions.
query($s, "create table pz (a int primary key, b text, c int)");
for my $e ([ "select 'äöü', nope from pz", 15 ], [ "select 'äöü', b + 1 from pz", 17 ], [ "select 'äöü', 'x'::int", 15 ], [ "select 'äöü' from nope", 19 ],
    [ "insert into pz (a, nope) values (1, 'äöü')", 20 ], [ "update pz set b = 'ä', nope = 1", 24 ], [ "select 'äöü' fro pz group", 18 ],
    [ "select 'äöü', sum(c), b from pz", 23 ], [ "select '世界', \"ü\" from pz", 14 ], [ "prepare ä as select 'ö', \$1 + nope", 31 ]) {
    is(query($s, $e->[0])->{errors}[0]{P}, $e->[1], "the place in: $e->[0]");
}
my $ours = query($s, "select 'äöü', (select array(select x from pz p2 where p2.a = pz.a)) from pz, generate_series(1, 'ä')")->{errors}[0];
ok($ours, 'an error of any kind');
is($c->stop(1), 0, 'the node stops');
done_testing;
