#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# `meridian sql file:DIR`: the shell over a database in its own process, as a script and at a terminal: \trace in colours and narrow,
# the terminal made narrower and wider, Ctrl-C, Ctrl-D, the pager, wide characters, completion behind JOIN and WHERE.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;

my $bin = 'build/dev/bin/meridian';
plan skip_all => "no $bin" unless -x $bin;
my $dir = tempdir(CLEANUP => 1);
$ENV{LC_ALL} = 'C.UTF-8';
delete @ENV{qw(NO_COLOR COLUMNS)};

sub run {
    my ($input, @args) = @_;
    open my $f, '>', "$dir/in" or die;
    print $f $input;
    close $f;
    my $pid = fork // die;
    if (!$pid) {
        open STDIN,  '<', "$dir/in"  or die;
        open STDOUT, '>', "$dir/out" or die;
        open STDERR, '>&', \*STDOUT or die;
        exec $bin, 'sql', '-X', "file:$dir/db", @args or die;
    }
    waitpid $pid, 0;
    my $status = $? >> 8;
    open $f, '<', "$dir/out" or die;
    local $/;
    return (scalar(<$f>) // '', $status);
}

my ($out, $status) = run(<<'SQL');
CREATE TABLE customers (customer_id int PRIMARY KEY, full_name text);
CREATE TABLE orders (order_id int PRIMARY KEY, customer_ref int, amount_paid int);
INSERT INTO customers VALUES (1, '日本語'), (2, 'plain'), (3, 'emoji 👍'), (4, E'e\u0301');
SELECT * FROM customers ORDER BY 1;
SQL
is($status, 0, 'a script on a directory');
is($out, "CREATE TABLE\nCREATE TABLE\nINSERT 0 4\n customer_id | full_name \n-------------+-----------\n           1 | 日本語\n           2 | plain\n           3 | emoji 👍\n           4 | e\x{cc}\x{81}\n(4 rows)\n\n",
    'wide characters stand where they should');
is((run('', '-Atc', 'SELECT count(*) FROM customers'))[0], "4\n", 'it is there the next time');
is((run('', '-c', 'SELECT bad'))[1], 1, 'exit code of -c that failed');
is((run("SELECT bad;\nSELECT 1;\n", '-v', 'ON_ERROR_STOP=1'))[1], 3, 'of a script that stops');
is((run("SELECT bad;\nSELECT 1;\n"))[1], 0, 'of one that goes on');
is(system("$bin sql file:/proc/nowhere -c 'SELECT 1' >$dir/o 2>&1") >> 8, 2, 'of a directory that cannot be');
like((run("\\conninfo\n"))[0], qr/connected to database "meridian" as user "meridian" in this process/, '\conninfo');
like((run("\\dt\n\\d orders\n"))[0], qr/ public \| customers \| table .*Table "public.orders"/s, '\d');
like((run("INSERT INTO orders VALUES (1, 1, 5);\n\\trace\n"))[0], qr/Last transaction: .*\n\ntransaction .*commit .*Paxos round .*fsync /s, '\trace');
is((run("\\copy orders to '$dir/o.csv' with (format csv, header)\n\\copy orders from '$dir/o.csv' with (format csv, header)\nSELECT count(*) FROM orders;\n", '-At'))[0],
    "COPY 1\nERROR:  duplicate key value violates unique constraint \"orders_pkey\"\nDETAIL:  Key (order_id)=(1) already exists.\n1\n", '\copy with options');
my $rows = join '', map { "INSERT INTO orders SELECT g, g, g FROM generate_series(" . (10 + 1000 * $_) . ', ' . (9 + 1000 * ($_ + 1)) . ") g;\n" } 0 .. 4;
like((run("$rows\\set FETCH_COUNT 100\n\\t\nSELECT order_id FROM orders ORDER BY 1;\n", '-q'))[0], qr/\A +1\n +10\n(?: +\d+\n){4999}\n\z/, 'FETCH_COUNT gives all rows');

SKIP: {
    skip 'expect is not installed', 1 unless `sh -c 'command -v expect'`;
    $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (), 'detect_leaks=0';    # libedit's, see shell_tty.t
    open my $f, '>', "$dir/t.exp" or die;
    print $f "set timeout 30\nlog_user 0\nset env(MERIDIAN_HISTORY) $dir/history\nset env(PAGER) {sed s/^/paged:/}\nset env(TERM) vt100\nset bin {$bin}\nset db {file:$dir/db}\n", <<'EXP';
set stty_init "rows 50 columns 100"
set out [open [lindex $argv 0] w]
fconfigure $out -buffering line
set n 0
proc ok {name} { global n out; incr n; puts $out "ok $n - $name" }
proc bad {name} {
    global n out expect_out
    incr n
    puts $out "not ok $n - $name"
    expect -re {.+}
    if {[info exists expect_out(buffer)]} { puts $out "# [string map {\n {\n} \r {\r}} $expect_out(buffer)]" }
    exit 1
}
proc await {name pattern} { expect -re $pattern { ok $name } timeout { bad $name } eof { bad "$name (it ended)" } }
proc step {name text pattern} { send -- $text; await $name $pattern }
proc is {name yes} { if {$yes} { ok $name } else { bad $name } }
proc widest {text} { set w 0; foreach l [split $text "\n"] { regsub -all "\033\\\[\[0-9;\]*m" $l {} l; set k [string length [string trimright $l "\r"]]; if {$k > $w} { set w $k } }; return $w }
spawn $bin sql -X $db
await "a prompt" {meridian=# $}
step "a write" "UPDATE customers SET full_name = 'x' WHERE customer_id = 2;\r" {UPDATE 1\r\nmeridian=# }
send "\\trace\r"
expect -re {Last transaction.*\r\n\r\nmeridian=# $} { set t $expect_out(buffer) } timeout { bad "\\trace" }
is "\\trace has colours on a terminal" [regexp "\033\\\[3\[0-9\]m" $t]
is "and fits" [expr {[widest $t] <= 100}]
stty rows 50 columns 60 < $spawn_out(slave,name)
step "a write" "UPDATE customers SET full_name = 'y' WHERE customer_id = 2;\r" {UPDATE 1\r\n.*meridian=# $}
send "\\trace\r"
expect -re {Last transaction(.*)\r\n\r\nmeridian=# $} { set t $expect_out(1,string) } timeout { bad "\\trace, narrow" }
is "in 60 columns, too ([widest $t])" [expr {[widest $t] <= 60}]
step "expanded when it is too wide" "\\x auto\r" {used automatically.*meridian=# $}
step "it is" "SELECT repeat('w', 50) AS a, repeat('v', 30) AS b;\r" {-\[ RECORD 1 \].*meridian=# $}
stty rows 50 columns 200 < $spawn_out(slave,name)
step "not on a wider terminal" "SELECT repeat('w', 50) AS a, repeat('v', 30) AS b;\r" {\(1 row\)\r\n\r\nmeridian=# $}
step "wrapped" "\\x off\r" {off.*meridian=# $}
step "lines that are too long" "\\pset format wrapped\r" {wrapped.*meridian=# $}
stty rows 50 columns 40 < $spawn_out(slave,name)
step "are cut" "SELECT repeat('w', 50) AS a;\r" {w{30,}\.\r\n.*\.w+.*\(1 row\)\r\n\r\nmeridian=# $}
stty rows 10 columns 100 < $spawn_out(slave,name)
step "the pager" "SELECT g FROM generate_series(1, 20) g;\r" {paged: +20 *\r\n.*meridian=# $}
step "with FETCH_COUNT" "\\set FETCH_COUNT 7\r" {meridian=# $}
step "in one piece" "SELECT g FROM generate_series(1, 20) g;\r" {paged: +g.*paged: +20 *\r\n.*\(20 rows\)\r\n.*meridian=# $}
step "without" "\\set FETCH_COUNT 0\r" {meridian=# $}
step "a column behind JOIN" "SELECT 1 AS j FROM customers JOIN orders ON amou\t= customer_id LIMIT 0;\r" {\n +j.*\(0 rows\).*meridian=# $}
step "a column behind WHERE" "SELECT 1 AS w FROM customers c JOIN orders o ON true WHERE full_n\tIS NULL;\r" {\n +w.*\(0 rows\).*meridian=# $}
step "a column of an alias" "SELECT 1 AS l FROM customers c JOIN orders o ON true WHERE o.amou\tIS NULL;\r" {\n +l.*\(0 rows\).*meridian=# $}
step "a table behind UPDATE" "UPDATE cust\tSET full_name = full_name WHERE false;\r" {UPDATE 0.*meridian=# $}
step "a backslash command" "\\cross\t" {view }
step "given up" "\003" {\^C\r\nmeridian=# $}
step "a setting" "\\pset borde\t2\r" {Border style is 2.*meridian=# $}
send "SELECT pg_sleep(60);\r"
expect -re {60\);\r\n}
after 500
step "Ctrl-C cancels" "\003" {canceling statement due to user request\r\n.*meridian=# $}
step "and it goes on" "SELECT 'ali' || 've';\r" {alive.*meridian=# $}
step "a password" "\\password meridian\r" {Enter new password for user "meridian": $}
step "is asked for twice" "secret\r" {Enter it again: $}
send "secret\r"
expect -re {(.*)meridian=# $} { set t $expect_out(1,string) } timeout { bad "the second one" }
is "and not shown" [expr {![string match *secret* $t] && ![string match *ERROR* $t]}]
step "two that differ" "\\password\r" {Enter new password for user "meridian": $}
step "are refused" "one\r" {again: $}
step "with a word" "two\r" {Passwords didn't match.*meridian=# $}
send "\004"
expect eof { ok "Ctrl-D ends it" } timeout { bad "Ctrl-D ends it" }
is "with 0" [expr {[lindex [wait] 3] == 0}]
set env(NO_COLOR) 1
spawn $bin sql -X $db
await "again" {meridian=# $}
step "a write" "UPDATE customers SET full_name = 'z' WHERE customer_id = 2;\r" {UPDATE 1\r\nmeridian=# }
send "\\trace\r"
expect -re {Last transaction(.*)\r\n\r\nmeridian=# $} { set t $expect_out(1,string) } timeout { bad "\\trace, without colours" }
is "NO_COLOR" [expr {![regexp "\033\\\[3\[0-9\]m" $t]}]
send "exit\r"
expect eof { ok "exit ends it" } timeout { bad "exit ends it" }
puts $out "1..$n"
EXP
    close $f;
    system('timeout', '150', 'expect', '-f', "$dir/t.exp", "$dir/tap");
    open my $tap, '<', "$dir/tap" or die;
    chomp(my @lines = <$tap>);
    ok(scalar(grep { /^1\.\.\d+$/ } @lines), 'expect ran to its end') or diag(join "\n", @lines);
    for (@lines) {
        if (/^(not )?ok \d+ - (.*)/) { ok(!$1, $2) }
        elsif (/^# (.*)/)            { diag($1) }
    }
}
done_testing();
