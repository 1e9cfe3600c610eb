#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# `meridian log dump` on logs that this script writes itself, from the byte tables of docs/formats.md.
use strict;
use warnings;
use Test::More;
use File::Path qw(make_path);
use File::Temp qw(tempdir);

my $bin = $ENV{MERIDIAN_BIN} // 'build/dev/bin/meridian';
plan skip_all => "no $bin" unless -x $bin;
my $dir = tempdir(CLEANUP => 1);

sub crc32c {
    my $crc = 0xffffffff;
    for my $byte (unpack 'C*', $_[0]) {
        $crc ^= $byte;
        $crc = $crc & 1 ? ($crc >> 1) ^ 0x82f63b78 : $crc >> 1 for 1 .. 8;
    }
    return $crc ^ 0xffffffff;
}

sub header {    # tag, generation, first batch, end of the one before, bytes, store
    my ($tag, $generation, $batch, $prior_end, $bytes, $store) = @_;
    my $h = 'MRDNWAL1' . pack('VVQ<VVQ<VQ<', $tag, $generation, $batch, $prior_end, $bytes, $store, 1, 0);
    $h .= pack 'V', crc32c($h);
    return $h . "\0" x (512 - length $h);
}

sub record {
    my ($generation, $tag, $batch, $at, $begin, $group, $type, $payload) = @_;
    my $r = pack('VVVQ<VVQ<', length $payload, $tag, $generation, $batch, $at, $begin, $group | $type << 56) . $payload;
    $r = pack('V', crc32c($r)) . $r;
    return $r . "\0" x (-length($r) % 8);
}

sub segment {
    my ($path, @records) = @_;
    my $text = header(9, 1, 1, 0, 4096, 65537);
    for (@records) {
        my ($batch, $begin, @rest) = @$_;
        $text .= record(1, 9, $batch, length $text, $begin // length $text, @rest);
    }
    make_path($path);
    open my $f, '>:raw', "$path/00000001.wal" or die;
    print $f $text . "\0" x (4096 - length $text);
    close $f;
}

sub run {
    my $out = `$bin log @_ 2>$dir/err`;
    my $status = $? >> 8;
    open my $e, '<', "$dir/err" or die;
    local $/;
    return ($status, $out, scalar <$e>);
}

my @records = (
    [1, undef, 0, 1, pack 'Q<5', 65537, 4, 3_000_000_000, 5_000_000_000, 0],
    [1, 512, 7, 2, pack 'Q<3', 3, 65537, 4],
    [2, undef, 7, 3, pack('Q<Q<3Q<3q<VV', 1, 3, 65537, 4, 2, 131073, 1, 1767225600000000000, 2, 0) . 'insert "x"'],
    [2, 656, 7, 4, pack 'Q<', 2],
    [3, undef, 7, 5, pack 'Q<', 1],
    [3, 832, 8, 6, ''],
    [4, undef, 0, 7, pack 'VV', 1, 0],
);
segment("$dir/log", @records);

my ($status, $out) = run("dump $dir/log");
is $status, 0, 'a whole log';
is $out, <<"END", 'every record is shown';
00000001.wal: generation 1, tag 00000009, 4096 bytes, store 65537, first batch 1, needed from 1
      512 batch=1 store store=65537 incarnation=4 lease_ns_max=3000000000 sole_lease_ns_max=5000000000
      592 batch=1 group=7 promise ballot=3.65537.4
      656 batch=2 group=7 entry slot=1 ballot=3.65537.4 origin=2.131073.1 command ts=1767225600000000000 bytes=10 "insert .x."
      784 batch=2 group=7 void slot=2
      832 batch=3 group=7 truncate slot=1
      880 batch=3 group=8 forget
      920 batch=4 first generation=1
      968 end
END

# A data directory with two logs in it.
segment("$dir/data/store-0/log", $records[0]);
segment("$dir/data/store-1/log", @records[0, 1]);
($status, $out) = run("dump $dir/data");
is $status, 0, 'a data directory';
like $out, qr{^== \S+/store-0/log\n.*^== \S+/store-1/log\n}ms, 'each log under its path';

# One bit.
open my $f, '+<:raw', "$dir/log/00000001.wal" or die;
seek $f, 700, 0;
print $f '?';
close $f;
($status, $out) = run("dump $dir/log");
is $status, 2, 'damage is told by the exit status';
like $out, qr/^ +656 DAMAGED: 128 bytes$/m, '... and by a line';
like $out, qr/^ +784 batch=2 group=7 void/m, '... and what is behind it is shown';

($status, undef, my $err) = run("dump $dir/nowhere");
is $status, 1, 'no directory';
like $err, qr/nowhere/, '... is named';
make_path("$dir/empty");
($status, undef, $err) = run("dump $dir/empty");
is $status, 1, 'no log';
like $err, qr/there is no log/, '... is said';
($status, undef, $err) = run('');
is $status, 1, 'no verb';
like $err, qr/usage/, '... shows how';
($status, $out) = run('--help');
is $status, 0, 'help';
like $out, qr/log dump DIR/, '... tells the verbs';

done_testing();
