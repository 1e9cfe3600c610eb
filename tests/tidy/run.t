#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# tests/run and geo-sim/demo themselves: what they answer to a wrong call, and where packages are missing. Nothing is built or
# installed here: stand-ins for dpkg-query, id and apt-get play the machine.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);

my $bin = tempdir(CLEANUP => 1);

sub stand_in {    # a command of that name, first in the path
    my ($name, $script) = @_;
    open my $f, '>', "$bin/$name" or die;
    print $f "#!/bin/sh\n$script\n";
    close $f;
    chmod 0755, "$bin/$name";
    return;
}

sub run {    # what it prints on both outputs, and its status
    my @command = @_;
    local $ENV{PATH} = "$bin:$ENV{PATH}";
    my $pid = open(my $out, '-|') // die;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or die;
        open STDIN, '<', '/dev/null' or die;
        exec @command or die;
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($text, $? >> 8);
}

my ($text, $status) = run('tests/run', '--help');
is($status, 0, '--help is no failure');
like($text, qr/tests\/run mutants/, 'and tells of all it can do');
($text, $status) = run('tests/run', '--nonsense');
is($status, 2, 'an option that is not there');
like($text, qr/no option "--nonsense"/, 'is named');
($text, $status) = run('tests/run', 'fiber_test', '--list');
is($status, 2, 'an option behind a name is not taken for a name');
($text, $status) = run('tests/run', 'long', 'nonsense');
is($status, 1, 'a long run that is not there');
like($text, qr/no long run "nonsense"; there are: .*truetime/, 'is named, with those that are');
($text, $status) = run('tests/run', '--list', 'tidy');
is($status, 0, '--list');
like($text, qr{^tests/tidy/run\.t$}m, 'shows the tests of a folder');
unlike($text, qr{unit/}, 'and no others');

# Packages are missing, and we may not install any.
stand_in('dpkg-query', 'for last; do :; done; [ "$last" != cppcheck ] && [ "$last" != cmake ] && echo "install ok installed"');
stand_in('id', 'echo 1000');
stand_in('apt-get', "echo called >>$bin/called; exit 0");
($text, $status) = run('tests/run', 'fiber_test');
is($status, 1, 'tests/run where packages are missing, not as root');
like($text, qr/^ +apt-get install -y --no-install-recommends cmake cppcheck $/m, 'prints the command that installs them');
SKIP: {
    skip 'there is no demo', 2 unless -x 'geo-sim/demo';
    ($text, $status) = run('geo-sim/demo');
    is($status, 1, 'geo-sim/demo likewise');
    like($text, qr/^ +apt-get install -y --no-install-recommends cmake $/m, 'and it wants no more than it needs');
}
ok(!-e "$bin/called", 'and nothing was installed');

# The same as root, with an apt-get that fails.
stand_in('id', 'echo 0');
stand_in('apt-get', 'echo "no such mirror" >&2; exit 100');
($text, $status) = run('tests/run', 'fiber_test');
is($status, 1, 'apt-get fails');
like($text, qr/no such mirror.*apt-get failed/s, 'and what it said is shown');

done_testing();
