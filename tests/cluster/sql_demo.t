#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# meridian demo: SQL that is piped in runs on a cluster of three; nothing is left behind.
use strict;
use warnings;
use File::Temp ();
use Test::More;

my $meridian = $ENV{MERIDIAN} // 'build/dev/bin/meridian';
my $tmp      = File::Temp->newdir;
$ENV{TMPDIR} = "$tmp";

sub demo {
    my ($sql, @how) = @_;
    my $script = File::Temp->new;
    print $script $sql;
    close $script;
    my $text = `$meridian demo --quiet @how -- -A -t -q < $script 2>&1`;
    return ($? >> 8, $text);
}

my ($status, $text) = demo("create table t (a int primary key);\ninsert into t select generate_series(1, 10);\nselect sum(a) from t;\n");
is($status, 0, 'it ends well');
like($text, qr/^55$/m, 'and answers') or diag $text;
is_deeply([ glob "$tmp/*" ], [], 'its directory is gone');
($status, $text) = demo("select count(*) from meridian.nodes;\n", '--nodes', 3, '--wait');
like($text, qr/^3$/m, 'three nodes') or diag $text;
($status, $text) = demo("select 1;\n", '--nodes', 77);
is($status, 1, 'a wrong option');
like($text, qr/--nodes wants 1 to 9/, 'is named');
is(`pgrep -f $tmp`, '', 'no process is left');
done_testing();
