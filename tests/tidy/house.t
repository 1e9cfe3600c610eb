#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The rules of the house that a machine can check:
#   dependencies point down; outside effects only in the envs; no mutable globals; every header tells its story and compiles
#   alone; every source file belongs to a target; one licence line in each file; nothing left unfinished.
use strict;
use warnings;
use Test::More;

my @files = grep { -f } split /\n/, `git ls-files`;
my @c     = grep { /\.[ch]$/ } @files;

sub slurp {
    open my $f, '<', $_[0] or die "$_[0]: $!";
    local $/;
    return scalar <$f>;
}
my %text = map { $_ => slurp($_) } @c;

sub bare {    # without comments and strings
    my $t = shift;
    $t =~ s{/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'}{ my $m = $&; $m =~ s/[^\n]//g; $m }gse;
    return $t;
}
my %bare = map { $_ => bare($text{$_}) } @c;

sub verdict {
    my ($name, @bad) = @_;
    ok(!@bad, $name) or diag(join "\n", @bad[0 .. ($#bad < 20 ? $#bad : 20)]);
}

# Dependencies point down. tests/ may include anything.
my @floors = qw(truetime paxos shard txn sql geo-sim);
my %floor  = map { $floors[$_] => $_ } 0 .. $#floors;
my @up;
for my $f (@c) {
    my ($folder) = $f =~ m{^([^/]+)/};
    next unless exists $floor{$folder};
    while ($text{$f} =~ /^#include "([^"\/]+)\//mg) {
        push @up, "$f includes from $1/" if !exists $floor{$1} || $floor{$1} > $floor{$folder};
    }
}
verdict('includes point down', @up);

# Outside effects go through the env; these files are the envs and the programs' edges.
my %edge = map { $_ => 1 } grep { m{^shard/runtime/env_real|^sql/main/|^sql/shell/|/main\.c$|^geo-sim/netns/|^docs/examples/} } @c;
my @banned = (
    qw(time gettimeofday clock_gettime rand srand random open openat creat read write pread pwrite fsync fdatasync socket
      send sendto recv recvfrom connect accept listen bind sleep usleep nanosleep getenv system popen fork execv
      pthread_create strcpy strcat sprintf vsprintf gets strtok alloca fopen atoi)
);
my $banned = join '|', @banned;
my %excuse = (    # where the rule does not fit, and why
    'truetime/base/check.c'      => 'writes the last words of a broken process',
    'shard/runtime/fiber.c'      => 'maps stacks',
    'geo-sim/sim/sim_env.c'      => 'borrows the stack of a thread that it waits for',
    'tests/lib/tap.c'            => 'is the edge of a test program',
    'txn/api/run.c'              => 'waits in the process of the caller, which has no env',
);
my @calls;
for my $f (grep { !m{^tests/} } @c) {
    next if $edge{$f} || $excuse{$f};
    my $n = 0;
    for my $line (split /\n/, $bare{$f}) {
        $n++;
        push @calls, "$f:$n: $1()" if $line =~ /(?<![\w.>])($banned)\s*\((?!\*)/;
    }
}
verdict('no outside effect but through an env', @calls);

# No mutable globals: nothing of ours in .data or .bss of the release build.
SKIP: {
    my @libs = glob 'build/release/*/lib*.a';
    skip 'no release build', 1 unless @libs;
    my @globals;
    for my $lib (grep { !m{/tests/|/lib/libmeridian\.a$} } @libs) {    # that one is the others again, and libpg_query
        for (split /\n/, `objdump -t $lib 2>/dev/null`) {
            next unless /\sO\s+\.(data|bss)(\.\S+)?\s+[0-9a-f]+\s+(?:\.hidden\s+)?(\S+)$/;
            my ($section, $rest, $name) = ($1, $2 // '', $3);
            next if "$section$rest" =~ /^data\.rel\.ro/;
            push @globals, "$lib: $name in .$section$rest";
        }
    }
    verdict('no mutable globals', @globals);
}

# Headers: guard, story, and they compile alone.
my @headers = grep { /\.h$/ } @c;
verdict('headers have a guard and a story',
    grep { $text{$_} !~ m{\A/\* SPDX.*?\*/\s*/\*.{40,}?\*/}s || $text{$_} !~ /^#ifndef MERIDIAN_/m } @headers);
my @alone;
my $cflags = '-std=gnu11 -fsyntax-only -D_GNU_SOURCE -I. -Ibuild/dev/gen -Ibuild/release/gen -Wall -Wno-unused-function -x c';
for my $h (@headers) {
    my $out = `gcc $cflags $h 2>&1`;
    $out =~ s/.*pragma once in main file.*//g;
    push @alone, "$h: " . (split /\n/, $out)[0] if $out =~ /error|warning: (?!.*main file)/;
}
verdict('headers compile alone', @alone);

# Every source file belongs to a target.
SKIP: {
    skip 'no build', 1 unless -f 'build/fuzz/compile_commands.json';
    my $commands = slurp('build/fuzz/compile_commands.json');
    verdict('every .c file is built', grep { /\.c$/ && index($commands, "/$_\"") < 0 } @c);
}

# One licence line in each file that can carry one.
verdict('SPDX line in each file', grep {
    my $f = $_;
    $f =~ /\.(c|h|pl|pm|t|sh|cmake|proto|S|yml|md)$|CMakeLists|^tests\/run$|^\.ci\/run$|demo$/
      && (-s $f) && substr(slurp($f), 0, 400) !~ /SPDX-License-Identifier: Apache-2\.0/
} grep { !/\.md$/ } @files);

verdict('nothing left unfinished', grep { bare_todo($_) } @c);

sub bare_todo {
    my $f = shift;
    return $text{$f} =~ /\b(TODO|FIXME|XXX|HACK)\b/;
}

# Files and functions stay readable.
my @long;
for my $f (grep { /\.c$/ } @c) {
    my $lines = () = $text{$f} =~ /\n/g;
    push @long, "$f: $lines lines" if $lines > 1500;
    while ($text{$f} =~ /^(?!static const|struct|enum|typedef)[a-z][^\n;]*\n?[^\n;{]*\)\s*\{\n(.*?)^\}/msg) {
        my $n = () = $1 =~ /\n/g;
        push @long, "$f: a function of $n lines" if $n > 150;
    }
}
verdict('no file over 1500 lines, no function over 150', @long);

# Nothing of the machine that it was written on.
verdict('no machine paths', grep {
    !m{^tests/tidy/} && slurp($_) =~ m{(?<![\w.])/(work|root|home)/\w}
} grep { -T $_ } @files);

done_testing();
