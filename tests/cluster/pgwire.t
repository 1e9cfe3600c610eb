#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The PostgreSQL protocol from outside, message by message, over a toy engine (pg_toy.c); and with psql where it is installed.
use strict;
use warnings;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

my $bin = 'build/dev/tests/cluster/programs/pg_toy';
plan skip_all => "no $bin" unless -x $bin;

sub toy {
    my @args = @_;
    pipe(my $child_in, my $to) or die;
    pipe(my $from, my $child_out) or die;
    my $pid = fork // die;
    if (!$pid) {
        open STDIN,  '<&', $child_in  or die;
        open STDOUT, '>&', $child_out or die;
        close $_ for $to, $from;
        exec $bin, @args or die;
    }
    close $_ for $child_in, $child_out;
    chomp(my $addr = <$from> // '');
    return { pid => $pid, to => $to, addr => $addr };
}

sub end {
    my ($t) = @_;
    close $t->{to};
    waitpid $t->{pid}, 0;
    return $?;
}

# ---- a client --------------------------------------------------------------------------------------------------------

sub dial { return IO::Socket::INET->new(PeerAddr => $_[0]{addr}, Timeout => 10) // die "connect: $!" }
sub send_raw { my ($s, $bytes) = @_; local $SIG{PIPE} = 'IGNORE'; my $n = syswrite $s, $bytes; return $n }
sub msg { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }
sub startup { my %p = (user => 'me', @_); return pack('NN', 8 + 1 + length(join '', map { "$_\0$p{$_}\0" } sort keys %p), 196608) . join('', map { "$_\0$p{$_}\0" } sort keys %p) . "\0" }

sub read_n {
    my ($s, $n) = @_;
    my $data = '';
    local $SIG{ALRM} = sub { die "timeout\n" };
    alarm 20;
    while (length $data < $n) {
        my $got = sysread $s, $data, $n - length $data, length $data;
        if (!$got) { alarm 0; return undef }
    }
    alarm 0;
    return $data;
}

sub get {    # [type, body], or undef at the end
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

sub types { return join '', map { $_->[0] } @_ }
sub fields { my ($m) = @_; return { map { substr($_, 0, 1) => substr($_, 1) } grep { length } split /\0/, $m->[1] } }

my $t = toy();
like($t->{addr}, qr/^127\.0\.0\.1:\d+$/, 'it listens');

sub session {
    my $s = dial($t);
    send_raw($s, startup(@_));
    my @m = until_ready($s);
    return ($s, @m);
}

my ($s, @m) = session(application_name => 'test', options => '-c geqo=off --search_path=a\ b');
is(types(@m), 'RSSSSSKZ', 'trust: AuthenticationOk, parameters, key, ready');
is($m[4][1], "geqo\0off\0", 'options are settings') or diag explain \@m;
is($m[5][1], "search_path\0a b\0", 'with blanks escaped');

sub query { my ($s, $q) = @_; send_raw($s, msg('Q', "$q\0")); return until_ready($s) }

@m = query($s, 'rows 5');
is(types(@m), 'TDDDDDCZ', 'a simple query');
is($m[0][1], pack('n', 2) . "n\0" . pack('NnNnNn', 0, 0, 23, 4, 0xffffffff, 0) . "text\0" . pack('NnNnNn', 0, 0, 25, 0xffff, 0xffffffff, 0), 'RowDescription');
is($m[2][1], pack('nN', 2, 1) . '1' . pack('N', 5) . 'row 1', 'a row in text');
is($m[4][1], pack('nN', 2, 1) . '3' . pack('N', 0xffffffff), 'NULL');
is($m[6][1], "SELECT 5\0", 'the tag');
is(types(query($s, '')), 'IZ', 'an empty query');
is(types(query($s, ' ; ')), 'IZ', 'only blanks');
is(types(query($s, 'rows 1; rows 1; begin')), 'TDCTDCCZ', 'several statements');
is((query($s, 'notice'))[0][0], 'N', 'a notice');

@m = query($s, 'fail');
is(types(@m), 'EZ', 'an error');
is_deeply(fields($m[0]), { S => 'ERROR', V => 'ERROR', C => '23505', M => 'duplicate key value violates unique constraint "t_pkey"',
    D => 'Key (a)=(1) already exists.', H => 'Take another one.', P => 7, s => 'public', t => 't', c => 'a', n => 't_pkey' }, 'all its fields');
is($m[1][1], 'E', 'the block has failed');
is(fields((grep { $_->[0] eq 'E' } query($s, 'rows 1'))[0])->{C}, '25P02', 'and refuses statements');
is((query($s, 'rollback'))[1][1], 'I', 'until its end');
is(fields((query($s, 'syntax'))[0])->{P}, 1, 'a syntax error has its place');
is(types(query($s, 'rows 2; fail; rows 2')), 'TDDCEZ', 'an error ends the string');

# ---- extended ----------------------------------------------------------------------------------------------------------

sub Parse    { my ($name, $q, @oids) = @_; return msg('P', "$name\0$q\0" . pack('n N*', scalar @oids, @oids)) }
sub Bind     { my ($portal, $name, $f, $p, $r) = @_; return msg('B', "$portal\0$name\0" . pack('n n*', scalar @$f, @$f) . pack('n', scalar @$p) . join('', map { defined $_ ? pack('N', length $_) . $_ : pack('N', 0xffffffff) } @$p) . pack('n n*', scalar @$r, @$r)) }
sub Describe { return msg('D', "$_[0]$_[1]\0") }
sub Execute  { return msg('E', "$_[0]\0" . pack('N', $_[1] // 0)) }
sub Close    { return msg('C', "$_[0]$_[1]\0") }
my $Sync = msg('S', '');

sub ask { my ($s, @msgs) = @_; send_raw($s, join '', @msgs, $Sync); return until_ready($s) }

@m = ask($s, Parse('', 'echo'), Describe('S', ''), Bind('', '', [], [ '42', 'hello' ], []), Describe('P', ''), Execute(''));
is(types(@m), '1tT2TDCZ', 'Parse, Describe, Bind, Describe, Execute, Sync');
is($m[1][1], pack('nNN', 2, 23, 25), 'its parameters');
is($m[5][1], pack('nN', 2, 2) . '42' . pack('N', 5) . 'hello', 'its row');
@m = ask($s, Bind('', '', [1], [ pack('N', 7), 'x' ], [1]), Execute(''));
is($m[1][1], pack('nNNN', 2, 4, 7, 1) . 'x', 'binary in and out');
@m = ask($s, Bind('', '', [ 1, 0 ], [ pack('N', 7), undef ], [ 0, 1 ]), Execute(''));
is($m[1][1], pack('nN', 2, 1) . '7' . pack('N', 0xffffffff), 'one format each, and NULL');

@m = ask($s, Parse('p', 'rows 5'), Bind('c1', 'p', [], [], []), Bind('c2', 'p', [], [], []), Execute('c1', 2), Execute('c2', 1), Execute('c1', 2), Execute('c1', 2));
is(types(@m), '122DDsDsDDsDCZ', 'two portals at once, in pieces');
is(fields((ask($s, Execute('c1')))[0])->{C}, '34000', 'portals end with the transaction');
is(fields((ask($s, Parse('p', 'rows 1')))[0])->{C}, '42P05', 'a name in use');
is(types(ask($s, Close('S', 'p'), Close('S', 'p'), Parse('p', 'rows 1'))), '331Z', 'Close frees it, twice is fine');
is(types(ask($s, Parse('', ''), Bind('', '', [], [], []), Describe('P', ''), Execute(''))), '12nIZ', 'an empty statement');

@m = ask($s, Parse('x', 'fail'), Bind('', 'x', [], [], []), Execute(''), Execute(''), Parse('y', 'rows 1'));
is(types(@m), '12EZ', 'after an error everything is skipped to Sync');
is(fields((ask($s, Bind('', 'y', [], [], [])))[0])->{C}, '26000', 'also the Parse');
for my $bad ([ 'too few parameters', Bind('', 'p2', [], ['1'], []), '08P01' ], [ 'no number', Bind('', 'p2', [], [ 'x', 'y' ], []), '22P02' ],
    [ 'a format code', Bind('', 'p2', [ 2, 0 ], [ '1', 'y' ], []), '22023' ], [ 'bad UTF-8', Bind('', 'p2', [], [ '1', "\xff" ], []), '22021' ],
    [ 'binary too short', Bind('', 'p2', [ 1, 0 ], [ 'x', 'y' ], []), '08P01' ], [ 'too large', Bind('', 'p2', [], [ '99999999999', 'y' ], []), '22003' ],
    [ 'cut off', msg('B', "\0p2\0" . pack('nnN', 0, 2, 5) . 'x'), '08P01' ], [ 'several commands', Parse('', 'rows 1; rows 2'), '42601' ],
    [ 'Describe what', msg('D', "Xp2\0"), '08P01' ], [ 'Execute cut', msg('E', "x"), '08P01' ]) {
    @m = ask($s, Close('S', 'p2'), Parse('p2', 'echo'), $bad->[1]);
    is(fields($m[2])->{C}, $bad->[2], $bad->[0]) or diag explain fields($m[2]);
}
is(types(ask($s, Parse('', 'rows 1'))), '1Z', 'and the session lives');
send_raw($s, join '', (Parse('', 'rows 1') . Bind('', '', [], [], []) . Execute('') . $Sync) x 200);
my $ok = 0;
$ok += types(until_ready($s)) eq '12DCZ' for 1 .. 200;
is($ok, 200, 'two hundred requests in one go');
send_raw($s, Parse('', 'rows 1') . msg('H', ''));
is(get($s)->[0], '1', 'Flush brings what is there');
is(types(ask($s)), 'Z', 'Sync ends it');
is(fields((query($s, 'nonsense'))[0])->{C}, '42601', 'errors of statements');
send_raw($s, msg('F', pack('N', 1)));
is(fields((until_ready($s))[0])->{C}, '0A000', 'function calls are refused');

# ---- COPY ------------------------------------------------------------------------------------------------------------------

send_raw($s, msg('Q', "copy in\0"));
is(get($s)->[0], 'G', 'CopyInResponse');
send_raw($s, msg('d', "1\tone\n") . msg('d', "2\ttwo\n") . msg('c', ''));
is((until_ready($s))[0][1], "COPY 12\0", 'all bytes came');
send_raw($s, msg('Q', "copy in\0"));
get($s);
send_raw($s, msg('d', "1\n") . msg('f', "no more\0"));
is(fields((until_ready($s))[0])->{C}, '57014', 'CopyFail');
send_raw($s, msg('Q', "copy in\0"));
get($s);
send_raw($s, msg('d', "bad\n") . msg('d', "x\n") x 10 . msg('c', ''));
is(fields((until_ready($s))[0])->{C}, '22P04', 'an error in the middle');
is(types(query($s, 'rows 1')), 'TDCZ', 'what was still on its way is dropped');
@m = query($s, 'copy out 3');
is(types(@m), 'HdddcCZ', 'COPY out');

# ---- cancel ------------------------------------------------------------------------------------------------------------------

my ($z, @zm) = session();
my ($key) = grep { $_->[0] eq 'K' } @zm;
my ($pid, $secret) = unpack 'NN', $key->[1];
send_raw($z, msg('Q', "sleep\0"));
sleep 0.1;
{ my $k = dial($t); send_raw($k, pack 'NNNN', 16, 80877102, $pid, $secret ^ 1); is(get($k), undef, 'a wrong key gets no answer') }
sleep 0.1;
{ my $k = dial($t); send_raw($k, pack 'NNNN', 16, 80877102, $pid, $secret); get($k) }
@m = until_ready($z);
is(fields($m[0])->{C}, '57014', 'the statement is cancelled');
is(fields($m[0])->{M}, 'canceling statement due to user request', 'in PostgreSQL\'s words');
is(types(query($z, 'rows 1')), 'TDCZ', 'the session goes on');

# ---- starts that are wrong ------------------------------------------------------------------------------------------------------

sub begins { my ($bytes) = @_; my $x = dial($t); send_raw($x, $bytes); my $m = get($x); return ($m, $x) }
is(fields((begins(startup(database => 'nowhere')))[0])->{R} // 'R', 'R', 'authentication first');
{ my ($d, @dm) = session(database => 'nowhere'); is(fields($dm[-1])->{C}, '3D000', 'no such database') }
is(fields((begins(pack('NN', 8, 2 << 16)))[0])->{C}, '0A000', 'protocol 2');
is(fields((begins(pack('NN', 20000, 196608)))[0])->{C}, '08P01', 'too long a packet');
is(fields((begins(pack('NN', 9, 196608) . "\0"))[0])->{C}, '28000', 'no user');
is(fields((begins(pack('NN', 13, 196608) . "user\0"))[0])->{C}, '08P01', 'no terminator');
{ my $x = dial($t); send_raw($x, pack('NN', 8, 80877103)); is(read_n($x, 1), 'N', 'TLS is declined'); send_raw($x, startup()); is(types(until_ready($x)), 'RSSKZ', 'and the session goes on plain') }
{ my ($x, @xm) = session(); send_raw($x, "\x01\0\0\0\4"); is(fields(get($x))->{C}, '08P01', 'an unknown message'); is(get($x), undef, 'ends the session') }
{ my ($x, @xm) = session(); send_raw($x, 'Q' . pack('N', 3)); is(fields(get($x))->{C}, '08P01', 'a length that cannot be') }
{ my ($x, @xm) = session(); send_raw($x, 'S' . pack('N', 1 << 30)); is(fields(get($x))->{C}, '08P01', 'a length beyond all bounds') }
{ my ($x, @xm) = session(); send_raw($x, 'Q' . pack('N', 100) . 'rows'); close $x; pass('half a message, then nothing') }
{ my ($x, @xm) = session(); send_raw($x, msg('X', '')); is(get($x), undef, 'goodbye') }

# A reader that does not read is waited for, and nobody else is.
{
    my ($x, @xm) = session();
    send_raw($x, msg('Q', "rows 3000000\0"));
    sleep 0.3;
    my $began = time;
    is(types(query($s, 'rows 1')), 'TDCZ', 'another session is served meanwhile');
    cmp_ok(time - $began, '<', 5, 'soon');
    my $rss = do { open my $f, '<', "/proc/$t->{pid}/statm" or die; (split ' ', <$f>)[1] * 4096 };
    cmp_ok($rss, '<', 400 << 20, 'and nothing piles up');
    close $x;
}
my @idle = map { (session())[0] } 1 .. 200;
is(scalar(grep { defined } @idle), 200, 'two hundred idle sessions');
is(types(query($idle[-1], 'rows 1')), 'TDCZ', 'the last of them works');
close $_ for @idle;
is(types(query($s, 'rows 1')), 'TDCZ', 'after all that the first session works');
is(end($t), 0, 'it ends in good order, a session still open');

# ---- psql, passwords --------------------------------------------------------------------------------------------------------------

SKIP: {
    skip 'no psql', 6 unless -x '/usr/bin/psql';
    my $p = toy('--scram');
    my ($host, $port) = split /:/, $p->{addr};
    my $run = sub {
        my ($user, $password, $sql) = @_;
        local %ENV = (%ENV, PGPASSWORD => $password, PGCONNECT_TIMEOUT => 10);
        my $out = `psql -X -h $host -p $port -U $user -d db -At -c '$sql' 2>&1`;
        return ($? >> 8, $out);
    };
    my ($status, $out) = $run->('me', 'secret', 'rows 3');
    is($out, "0|row 0\n1|row 1\n2|row 2\n", 'psql logs in with SCRAM and reads rows');
    ($status, $out) = $run->('me', 'wrong', 'rows 3');
    like($out, qr/password authentication failed for user "me"/, 'a wrong password');
    ($status, $out) = $run->('nobody', 'secret', 'rows 3');
    like($out, qr/password authentication failed for user "nobody"/, 'somebody without one');
    ($status, $out) = $run->('locked', 'secret', 'rows 3');
    isnt($status, 0, 'a role that may not log in');
    ($status, $out) = $run->('me', 'secret', 'fail');
    like($out, qr/ERROR:  duplicate key.*DETAIL:  Key \(a\)=\(1\) already exists/s, 'errors as psql shows them');
    is(end($p), 0, 'it ends in good order');
}
done_testing;
