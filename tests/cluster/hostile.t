#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Clients that are broken or mean: whatever they send, they get a clear error or a closed session; a healthy session beside them
# goes on being served all the while, and the node's memory is bounded.
use strict;
use warnings;
use lib 'tests/lib/perl';
use IO::Select;
use IO::Socket::INET;
use Meridian::Test::Cluster;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';
my $c = Meridian::Test::Cluster->new(nodes => 1, no_wait => 1, stores => 1);
my ($host, $port) = split /:/, $c->{node}{1}{sql};

# ---- a client, message by message ------------------------------------------------------------------------------------

sub msg     { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }
sub startup { my %p = (user => 'meridian', database => 'meridian', @_); my $b = join('', map { "$_\0$p{$_}\0" } sort keys %p) . "\0"; return pack('NN', 8 + length $b, 196608) . $b }
sub dial    { return IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 20) // die "connect: $!" }

sub send_all {    # false: the other side would not have it
    my ($s, $bytes) = @_;
    for (my $at = 0; $at < length $bytes;) {
        my $n = syswrite $s, $bytes, length($bytes) - $at, $at;
        return 0 unless $n;
        $at += $n;
    }
    return 1;
}

sub read_n {
    my ($s, $n) = @_;
    my $data = '';
    local $SIG{ALRM} = sub { die "nothing came for 60 s\n" };
    alarm 60;
    while (length $data < $n) {
        my $got = sysread $s, $data, $n - length $data, length $data;
        if (!$got) { alarm 0; return undef }
    }
    alarm 0;
    return $data;
}

sub get {
    my ($s) = @_;
    my $head = read_n($s, 5) // return undef;
    my ($type, $len) = unpack 'aN', $head;
    my $body = $len > 4 ? read_n($s, $len - 4) : '';
    return defined $body ? [ $type, $body ] : undef;
}

sub until_ready {
    my ($s) = @_;
    my @all;
    while (my $m = get($s)) {
        push @all, $m;
        last if $m->[0] eq 'Z';
    }
    return @all;
}
sub fields { my ($m) = @_; return { map { substr($_, 0, 1) => substr($_, 1) } grep { length } split /\0/, $m->[1] } }
sub codes  { return join ' ', map { $_->[0] eq 'E' ? fields($_)->{C} : () } @_ }        # SQLSTATEs of what went wrong
sub rows   { return scalar grep { $_->[0] eq 'D' } @_ }
sub ends   { return @_ && $_[-1][0] eq 'Z' ? 'ready' : 'closed' }

sub session {
    my $s = dial();
    send_all($s, startup(@_));
    my @m = until_ready($s);
    return wantarray ? ($s, @m) : $s;
}
sub query    { my ($s, $q) = @_; send_all($s, msg('Q', "$q\0")); return until_ready($s) }
sub Parse    { my ($name, $q, @oids) = @_; return msg('P', "$name\0$q\0" . pack('n N*', scalar @oids, @oids)) }
sub Bind     { my ($portal, $name, @p) = @_; return msg('B', "$portal\0$name\0" . pack('nn', 0, scalar @p) . join('', map { pack('N', length $_) . $_ } @p) . pack('n', 0)) }
sub Execute  { return msg('E', "$_[0]\0" . pack('N', $_[1] // 0)) }
my $Sync = msg('S', '');
sub ask      { my ($s, @msgs) = @_; send_all($s, join '', @msgs, $Sync); return until_ready($s) }

# ---- the healthy one ---------------------------------------------------------------------------------------------------

# A process of its own runs statement after statement; asked, it tells how many, and the longest since it was last asked.
pipe(my $child_in, my $to_child) or die "pipe: $!";
pipe(my $from_child, my $child_out) or die "pipe: $!";
my $setup = session();
query($setup, 'create table healthy (id int primary key, v int); insert into healthy values (1, 0)');
my $child = fork() // die "fork: $!";
if (!$child) {
    close $_ for $to_child, $from_child, $setup;
    my ($mine, $turns, $slowest, $wrong) = (scalar session(), 0, 0, '');
    my $asked = IO::Select->new($child_in);
    while (1) {
        my $began = time;
        my @m = eval { query($mine, 'update healthy set v = v + 1 where id = 1 returning v') };
        my $took = time - $began;
        my ($v) = map { $_->[0] eq 'D' ? substr($_->[1], 6) : () } @m;
        $slowest = $took if $took > $slowest;
        $wrong ||= 'it got ' . ($v // codes(@m)) . " $@" if ($v // -1) != ++$turns;
        next unless $asked->can_read(0.002);
        sysread $child_in, my $line, 1 or POSIX::_exit(0);
        syswrite $child_out, "$turns $slowest $wrong\n";
        $slowest = 0;
    }
}
close $_ for $child_in, $child_out;
my ($last_turns, $slowest, $step) = (0, 0, time);

sub healthy {    # after NAME: it was served all the while, and how long it waited at most
    my ($after) = @_;
    syswrite $to_child, '?';
    my ($turns, $longest, $wrong) = split / /, scalar(readline $from_child), 3;
    chomp $wrong;
    $slowest = $longest if $longest > $slowest;
    ok($turns > $last_turns && !$wrong, sprintf '%s (%.1f s): others are served, after %.0f ms at most', $after, time - $step, $longest * 1000)
      or diag "$turns turns after $last_turns, $wrong";
    ($last_turns, $step) = ($turns, time);
}

sub rss { open my $f, '<', "/proc/$c->{node}{1}{pid}/statm" or return 0; return (split ' ', <$f>)[1] * 4096 >> 20 }
my $asan = `grep -c libasan /proc/$c->{node}{1}{pid}/maps` + 0 || `grep -c asan /proc/$c->{node}{1}{pid}/maps` + 0;
my $base = rss();
healthy('at first');

# ---- statements that are too much -------------------------------------------------------------------------------------------

my $s = session();
my %long = (
    '1+1+... of 1 MB'             => [ 'select 1' . '+1' x 524288,                               '54001' ],
    'a deep cast chain'           => [ 'select 1' . '::int' x 200000,                            '54001' ],
    '|| of 1 MB'                  => [ "select 'a'" . "||'a'" x 200000,                          '54001' ],
    '100,000 parentheses'         => [ 'select ' . '(' x 100000 . '1' . ')' x 100000,            '54001' ],
    '10,000 nested selects'       => [ 'select ' . '(select ' x 10000 . '1' . ')' x 10000,       '54001' ],
    '20,000 UNIONs'               => [ 'select 1' . ' union all select 1' x 20000,               '54001' ],
    '50,000 NOTs'                 => [ 'select ' . 'not ' x 50000 . 'true',                      '54001' ],
    '50,000 minus signs'          => [ 'select ' . '- ' x 50000 . '1',                           '54001' ],
    '20,000 CASEs in each other'  => [ 'select ' . 'case when true then ' x 20000 . '1' . ' end' x 20000, '54001' ],
    '20,000 brackets'             => [ 'select ' . 'array[' x 20000 . '1' . ']' x 20000,         '54001' ],
    'an open comment of 1 MB'     => [ '/*' x 524288,                                            '54000' ],
    'an open string of 10 MB'     => [ "select '" . 'x' x (10 << 20),                            '42601' ],
    '2,000 columns'               => [ 'select ' . join(',', (1) x 2000),                        '54011' ],
    'bad UTF-8'                   => [ "select '\xff\xfe'",                                      '22021' ],
    'half a character'            => [ "select '\xc3",                                           '22021' ],
    'a surrogate'                 => [ "select '\xed\xa0\x80'",                                  '22021' ],
);
for my $name (sort keys %long) {
    my ($text, $want) = @{ $long{$name} };
    my $began = time;
    my @m = query($s, $text);
    is(ends(@m), 'ready', sprintf('%s: the session lives (%.0f ms)', $name, (time - $began) * 1000)) or ($s = session());
    is(codes(@m), $want, "$name: $want") or diag explain [ map { $_->[0] eq 'E' ? fields($_) : $_->[0] } @m[ 0 .. ($#m > 5 ? 5 : $#m) ] ];
}
healthy('statements that are too much');
my @m = query($s, "select length('" . 'x' x (10 << 20) . "')");
is(rows(@m), 1, 'a statement of 10 MB is one like others') or diag codes(@m);
@m = query($s, 'select count(*) from healthy where id in (' . join(',', 1 .. 100_000) . ')');
is(rows(@m), 1, 'a list of 100,000 is fine') or diag codes(@m);
@m = query($s, 'select ' . join(' and ', ('true') x 100_000));
like(codes(@m), qr/^(54001)?$/, '100,000 ANDs') or diag explain fields($m[0]);
healthy('large statements');

# ---- parameters ----------------------------------------------------------------------------------------------------------------

query($s, 'create table wide (a int primary key, b int, c int, d int, e int)');
@m = ask($s, Parse('', 'insert into wide values ' . join(',', map { my $i = $_; '(' . join(',', map { '$' . (5 * $i + $_) } 1 .. 5) . ')' } 0 .. 13_106)),
    Bind('', '', 1 .. 65_535), Execute(''));
is(codes(@m), '', 'an INSERT of 65,535 parameters') or diag explain [ map { $_->[0] eq 'E' ? fields($_) : $_->[0] } @m ];
for my $n (10_000, 65_000) {
    @m = ask($s, Parse('', 'select count(*) from healthy where id in (' . join(',', map { "\$$_" } 1 .. $n) . ')'), Bind('', '', 1 .. $n), Execute(''));
    is(rows(@m), 1, "$n parameters") or diag explain [ map { $_->[0] eq 'E' ? fields($_) : $_->[0] } @m ];
}
@m = ask($s, Parse('', 'select $65536'));
is(codes(@m), '42P02', 'parameter 65,536') or diag explain [ map { $_->[0] eq 'E' ? fields($_) : $_->[0] } @m ];
@m = ask($s, Parse('', 'select $99999999999'));
like(codes(@m), qr/^42(P02|601)$/, 'a parameter beyond numbers');
@m = ask($s, Parse('', 'select $1::int'), msg('B', "\0\0" . pack('nn', 0, 65535) . pack('N', 0xffffffff) x 65535 . pack('n', 0)));
is(codes(@m), '08P01', 'more parameters than asked for');
@m = ask($s, Parse('', 'select 1', (23) x 65535));
is(ends(@m), 'ready', 'more types than parameters');
@m = ask($s, Parse('', 'select $1::text'), msg('B', "\0\0" . pack('nn', 0, 1) . pack('N', 0x7fffffff) . 'x' . pack('n', 0)));
is(codes(@m), '08P01', 'a parameter whose length lies');
@m = ask($s, Parse('', 'select $1::text'), msg('B', "\0\0" . pack('nn', 0, 1) . pack('N', 0xfffffff0) . 'x' . pack('n', 0)));
is(codes(@m), '08P01', 'one with a negative length');
@m = ask($s, Parse('', 'select $1::text'), Bind('', '', "a\0b"));
is(codes(@m), '22021', 'a NUL in a parameter');
@m = ask($s, Parse('', 'select $1::int[]'), Bind('', '', '{' x 100_000));
like(codes(@m), qr/^(22P02|54000)$/, 'an array of brackets');
@m = ask($s, Parse('', 'select length(($1::jsonb)::text)'), Bind('', '', '[' x 990 . ']' x 990), Execute(''));
is(rows(@m), 1, 'JSON 990 deep') or ($s = session());
@m = ask($s, Parse('', 'select length(($1::jsonb)::text)'), Bind('', '', '[' x 200_000), Execute(''));
is(codes(@m), '54001', 'JSON 200,000 deep: a limit says so') or ($s = session());
healthy('parameters');

# ---- names in masses -------------------------------------------------------------------------------------------------------------

{
    my $t = session();
    my $many = join '', map { Parse("s$_", "select $_") } 1 .. 12_000;
    send_all($t, $many . $Sync);
    my @all = until_ready($t);
    like(codes(@all), qr/^54000$/, '12,000 prepared statements: a limit says so') or diag substr(codes(@all), 0, 80);
    is(ends(@all), 'ready', 'the session lives');
    is(codes(ask($t, Parse('', 'select 1'), Bind('', '', ), Execute(''))), '', 'and goes on');
    my $u = session();
    query($u, 'begin');
    send_all($u, join('', Parse('p', 'select 1'), map { Bind("c$_", 'p') } 1 .. 2_000) . $Sync);
    @all = until_ready($u);
    is(codes(@all), '54000', '2,000 portals: a limit says so');
    my $v = session();
    my $name = 'n' x 100_000;
    @all = ask($v, Parse($name, 'select 1'));
    is(ends(@all), 'ready', 'a name of 100,000 bytes') or diag explain \@all;
    # Large texts under many names: bounded by bytes, not only by number.
    my $text = "select '" . 'x' x (1 << 20) . "'";
    my ($fine, $code) = (0, '');
    for (1 .. 400) {
        @all = ask($v, Parse("big$_", $text));
        $code = codes(@all);
        last if $code;
        $fine++;
    }
    like($code, qr/^5[34]...$/, "large prepared statements: refused after $fine of 1 MB") or diag $code;
    healthy('names in masses');
}

# ---- bytes that are no messages ----------------------------------------------------------------------------------------------------

for my $case ([ 'an unknown message', "\x01\0\0\0\4" ], [ 'a length below four', 'Q' . pack('N', 3) ], [ 'a length of 2 GB', 'Q' . pack('N', 0x7fffffff) ],
    [ 'a negative length', 'Q' . pack('N', 0xffffffff) ], [ 'a Sync of a gigabyte', 'S' . pack('N', 1 << 30) ], [ 'HTTP', "GET / HTTP/1.1\r\nHost: x\r\n\r\n" ]) {
    my $t = session();
    send_all($t, $case->[1]);
    my $m = get($t);
    is($m ? fields($m)->{C} : 'closed', '08P01', "$case->[0]: 08P01");
    is(get($t), undef, "$case->[0]: closed");
}
for my $case ([ 'HTTP at the start', "GET / HTTP/1.1\r\nHost: x\r\n\r\n" ], [ 'random bytes', join '', map { chr(($_ * 73 + 41) % 256) } 1 .. 5000 ],
    [ 'a TLS hello that was not asked for', "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . 'x' x 500 ], [ 'nothing but zeros', "\0" x 1000 ],
    [ 'a start of 1 GB', pack('NN', 1 << 30, 196608) . 'user' ], [ 'a thousand settings', startup(map { ("x$_", 'y') } 1 .. 1000) ],
    [ 'a NUL too few', pack('NN', 12, 196608) . 'user' ]) {
    my $t = dial();
    send_all($t, $case->[1]);
    my $m = eval { get($t) };
    ok(!$m || $m->[0] eq 'E', "$case->[0]: an error or the door");
    close $t;
}
{    # TLS is asked for again and again; garbage follows the yes
    my $t = dial();
    send_all($t, pack('NN', 8, 80877103));
    my $yes = read_n($t, 1);
    send_all($t, 'not a hello at all' x 100) if $yes eq 'S';
    send_all($t, pack('NN', 8, 80877103) x 3) if $yes eq 'N';
    my $m = get($t);
    ok(!$m || $m->[0] eq 'E' || $m->[0] eq 'N', 'TLS nonsense');
}
healthy('bytes that are no messages');

# ---- half of it, then nothing ------------------------------------------------------------------------------------------------------

my @halves;
for my $bytes ('', "\0", pack('N', 20), pack('NN', 50, 196608) . "user\0me") {
    my $t = dial();
    send_all($t, $bytes);
    push @halves, $t;
}
for (1 .. 50) {    # promises 60 MB each and sends a little
    my $t = session();
    send_all($t, 'Q' . pack('N', 60 << 20) . 'select 1' x 100);
    push @halves, $t;
}
healthy('50 halves of 60 MB');
cmp_ok(rss() - $base, '<', $asan ? 1500 : 700, 'what was promised takes no memory');
{    # byte by byte
    my $t = dial();
    my $bytes = startup() . msg('Q', "select 'slowly'\0");
    for (split //, $bytes) { send_all($t, $_); sleep 0.001 }
    my @all = until_ready($t);
    @all = until_ready($t);
    is(rows(@all), 1, 'a client that writes byte by byte');
}
close $_ for @halves;
healthy('halves that went away');

# ---- slow readers ----------------------------------------------------------------------------------------------------------------------

my $before_slow = rss();
my @slow = map { my $t = session(); send_all($t, msg('Q', "select i, repeat('x', 1000) from generate_series(1, 3000000) i\0")); $t } 1 .. 8;
sleep 0.5;
healthy("eight that do not read");
my $held = rss() - $before_slow;
cmp_ok($held, '<', $asan ? 1500 : 600, "their rows do not pile up ($held MiB)");
{
    my $t = session();    # one that never reads, and pipelines
    $t->blocking(0);
    my $one = Parse('', "select repeat('x', 100000)") . Bind('', '') . Execute('') . $Sync;
    for (1 .. 2000) { my $n = syswrite $t, $one; last unless $n }
    healthy('one that only writes');
    close $t;
}
close $_ for @slow;
healthy('slow readers that left');

# ---- COPY ------------------------------------------------------------------------------------------------------------------------------

query($s, 'create table cp (a int primary key, b text)');
send_all($s, msg('Q', "copy cp from stdin\0"));
is(get($s)->[0], 'G', 'COPY begins');
send_all($s, msg('d', "1\t" . 'x' x (1 << 20))) for 1 .. 20;    # one line of 20 MB without an end
send_all($s, msg('c', ''));
@m = until_ready($s);
isnt(codes(@m), '', 'a COPY line of 20 MB: ' . codes(@m));
is(ends(@m), 'ready', 'the session lives');
send_all($s, msg('Q', "copy cp from stdin\0"));
get($s);
send_all($s, msg('d', 'x' x (1 << 20))) for 1 .. 150;
send_all($s, msg('c', ''));
@m = until_ready($s);
isnt(codes(@m), '', 'one of 150 MB: ' . codes(@m));
send_all($s, msg('Q', "copy cp from stdin\0"));
get($s);
send_all($s, msg('Q', "select 1\0"));
@m = until_ready($s);
is(codes(@m), '08P01', 'a query in the middle of a COPY');
$s = session() unless ends(@m) eq 'ready';
is(rows(query($s, 'select 1')), 1, 'and the next statement is fine') or ($s = session());
{
    my $t = session();
    send_all($t, msg('Q', "copy cp from stdin\0"));
    get($t);
    send_all($t, msg('d', "7\tseven\n"));
    close $t;    # gone in the middle
}
is(codes(query($s, 'select count(*) from cp')), '', 'COPY');
healthy('COPY');

# ---- in masses ---------------------------------------------------------------------------------------------------------------------------

sub cancel { my ($pid, $secret) = @_; my $k = dial(); send_all($k, pack 'NNNN', 16, 80877102, $pid, $secret); return $k }
{
    my ($t, @start) = session();
    my ($pid, $secret) = unpack 'NN', (grep { $_->[0] eq 'K' } @start)[0][1];
    my @storm = map { cancel($pid, $secret ^ ($_ % 3)) } 1 .. 600;
    send_all($t, msg('Q', "select pg_sleep(20)\0"));
    sleep 0.1;
    push @storm, map { cancel($pid, $secret) } 1 .. 5;
    @m = until_ready($t);
    is(codes(@m), '57014', 'a storm of cancel requests');
    sleep 0.2;
    is(rows(query($t, 'select 1')), 1, 'and the session goes on') or is(rows(query($t, 'select 1')), 1, 'at the second try');
    close $_ for @storm;
}
healthy('a storm of cancel requests');
my @idle = map { dial() } 1 .. 2000;
healthy('2,000 connections that say nothing');
send_all($_, startup()) for @idle;
my $ready = 0;
for (@idle) { my @all = until_ready($_); $ready++ if ends(@all) eq 'ready' }
is($ready, 2000, '2,000 sessions at once');
healthy('2,000 sessions');
cmp_ok(rss() - $base, '<', $asan ? 2500 : 1200, '2,000 sessions fit');
close $_ for @idle;
healthy('2,000 that left at once');
ok((grep { session() } 1 .. 300), '300 that come and go');
healthy('300 that come and go');

cmp_ok($slowest, '<', 20, sprintf 'the healthy session never waited long (%.2f s at most)', $slowest);
close $to_child;
waitpid $child, 0;
my $left = $c->poll_until(sub { my $n = $c->psql('select count(*) from pg_stat_activity'); $n =~ /^\d+$/ && $n < 20 }, 'sessions end');
ok($left, 'no session is left behind');
diag sprintf 'memory at first %d MiB, at the end %d MiB', $base, rss();
is($c->stop(1), 0, 'the node ends in good order');
done_testing;
