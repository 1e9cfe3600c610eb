#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The scripts of tests/sql/schema, which make and change what they then use: each statement outside of a block comes by way of another
# of three nodes, so what one gateway has changed the next one must know; tables are cut as soon as they are there. The answers
# are PostgreSQL's.
use strict;
use warnings;
use lib 'tests/lib/perl', 'tests/sql';
use Meridian::Test::Cluster;
use IPC::Open2;
use POSIX ();
use Queries;
use Test::More;

my $c = Meridian::Test::Cluster->new(nodes => 3);

# SCHEMA_SCRIPT=name runs one.
for my $file (grep { !$ENV{SCHEMA_SCRIPT} || m{/$ENV{SCHEMA_SCRIPT}\.sql$} } sort glob 'tests/sql/schema/*.sql') {
    my ($setup, undef, $statements) = Queries::script($file);
    my ($name) = $file =~ m{(\w+)\.sql$};
    my @expected = Queries::expected($file =~ s/sql$/expected/r);
    my $schema = "sc_$name";
    my ($block, @text) = (0);
    my $path = "SET search_path = $schema;\nSET client_min_messages = error;\nSET timezone = 'UTC';\n";
    for my $i (0 .. $#$statements) {
        my $s = $statements->[$i];
        if (!$block) {
            my ($host, $port) = split /:/, $c->{node}{ 1 + $i % 3 }{sql};
            push @text, "\\c - - $host $port\n$path";
        }
        $block = 1 if $s =~ /^\s*begin\b/i;
        $block = 0 if $s =~ /^\s*(commit|rollback)\s*;/i;
        push @text, "\\echo '\@\@$i'\n$s\n\\if :ERROR\n\\echo '!' :SQLSTATE :LAST_ERROR_MESSAGE\n\\else\n\\echo '=' :ROW_COUNT\n\\endif\n";
        push @text, "\\o /dev/null\nSELECT meridian.split('$1'::regclass, '3');\n\\o\n" if !$block && $s =~ /^\s*create table (\w+) \(\w+ int/i;
    }
    my $output = $c->psql("\\pset format unaligned\n\\pset tuples_only on\n\\pset null NULL\n\\pset fieldsep '|'\nCREATE SCHEMA $schema;\n"
          . join("\n", $path, @$setup)
          . join('', @text), node => 1, options => ['-v', 'VERBOSITY=default']);
    $output =~ s/^(?:psql:\S+ )?(?:ERROR|NOTICE|WARNING|DETAIL|HINT|LINE \d+|INFO):.*\n(?: +\^\n)?//mg;
    $output =~ s/^(?:view|table|constraint|default|drop cascades to) .* (?:depends on|to) .*\n//mg;
    my @got = Queries::answers("$output\n", $statements);
    is(scalar @got, scalar @$statements, "$name: all statements were answered") or diag substr($output, -500), $c->log_tail(1);
    my $wrong = 0;
    for my $i (0 .. $#got) {
        next if $got[$i] eq ($expected[$i] // '');
        diag "$statements->[$i]\n--- got\n$got[$i]--- PostgreSQL\n$expected[$i]" if $wrong++ < 8;
    }
    is($wrong, 0, "$name: PostgreSQL's answers");
}
# Rows that refer come while rows that they refer to go, by way of three gateways: nobody slips in between.
if (!$ENV{SCHEMA_SCRIPT} || $ENV{SCHEMA_SCRIPT} eq 'race') {
    $c->psql('CREATE TABLE race_p (id int PRIMARY KEY); CREATE TABLE race_c (id serial PRIMARY KEY, p int REFERENCES race_p);'
          . 'INSERT INTO race_p SELECT generate_series(1, 20)', node => 1);
    $c->psql("SELECT meridian.split('race_p'::regclass, '10')", node => 1);
    my @worker = map {
        my $w = $_;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            srand(17 + $w);
            my @s = map {
                my $k = 1 + int rand 20;
                $w % 2 ? "INSERT INTO race_c (p) VALUES ($k);" : "DELETE FROM race_p WHERE id = $k;\nDELETE FROM race_c WHERE p = $k;\n"
                  . "DELETE FROM race_p WHERE id = $k;\nINSERT INTO race_p VALUES ($k) ON CONFLICT DO NOTHING;"
            } 1 .. ($w % 2 ? 60 : 20);
            $c->psql(join("\n", @s), node => 1 + $w % 3);
            POSIX::_exit(0);
        }
        $pid;
    } 1 .. 6;
    waitpid $_, 0 for @worker;
    is($c->psql('SELECT count(*) FROM race_c c WHERE NOT EXISTS (SELECT 1 FROM race_p p WHERE p.id = c.p)', node => 2), '0',
        'no row refers to what is not there');
    isnt($c->psql('SELECT count(*) FROM race_c', node => 3), '0', 'some rows were written');
}

# A session that stays open, with plans of before, hears of what another gateway has changed.
if (!$ENV{SCHEMA_SCRIPT} || $ENV{SCHEMA_SCRIPT} eq 'stale') {
    my ($host, $port) = split /:/, $c->{node}{2}{sql};
    my $pid = open2(my $from, my $to, "exec psql -X -q -A -t -h $host -p $port -U meridian -d meridian 2>&1");
    my $ask = sub {
        my ($sql, $text) = ($_[0], '');
        print $to "$sql\n\\echo \@\@\n";
        $to->flush;
        while (<$from>) { last if /^\@\@/; $text .= $_ if !/^(DETAIL|HINT)/ }
        return $text;
    };
    $c->psql('CREATE TABLE st_p (id int PRIMARY KEY, n int); INSERT INTO st_p SELECT g, g FROM generate_series(1, 9) g;'
          . 'CREATE VIEW st_v AS SELECT id FROM st_p', node => 1);
    is($ask->('SELECT count(*) FROM st_v;'), "9\n", 'the view');
    is($ask->("DELETE FROM st_p WHERE id = 1;\nPREPARE d (int) AS DELETE FROM st_p WHERE id = \$1;\nEXECUTE d (2);"), '', 'rows go');
    is($c->psql('CREATE TABLE st_c (p int REFERENCES st_p); INSERT INTO st_c VALUES (3), (4)', node => 1), '', 'a table that refers to it');
    like($ask->('DELETE FROM st_p WHERE id = 3;'), qr/violates foreign key constraint "st_c_p_fkey" on table "st_c"/, 'an old text keeps the key');
    like($ask->('EXECUTE d (4);'), qr/violates foreign key constraint "st_c_p_fkey" on table "st_c"/, 'an old plan keeps it');
    is($c->psql('CREATE OR REPLACE VIEW st_v AS SELECT id FROM st_p WHERE id > 7', node => 3), '', 'the view is replaced');
    is($ask->('SELECT count(*) FROM st_v;'), "2\n", 'the new view');
    is($c->psql('DROP VIEW st_v', node => 1), '', 'the view is dropped');
    like($ask->('SELECT count(*) FROM st_v;'), qr/relation "st_v" does not exist/, 'no view');
    is($c->psql('DROP TABLE st_c', node => 3), '', 'nothing refers to it any more');
    is($ask->('EXECUTE d (4);'), '', 'and rows go again');
    close $to;
    waitpid $pid, 0;
}
done_testing;
