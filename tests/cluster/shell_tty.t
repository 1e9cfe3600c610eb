#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# `meridian sql` at a terminal, typed into by expect: editing, history, completion, Ctrl-C, prompts, the pager, \e, \watch.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;

my $bin = 'build/dev/bin/meridian';
plan skip_all => "no $bin" unless -x $bin;
plan skip_all => 'postgresql-15 is not installed' unless -x '/usr/lib/postgresql/15/bin/initdb';
plan skip_all => 'expect is not installed' unless `sh -c 'command -v expect'`;
if (!$ENV{SHELL_UNDER_PG}) {
    $ENV{SHELL_UNDER_PG} = 1;
    exec 'tests/lib/pg15.sh', $^X, $0 or die;
}
# libedit now and then loses a few lines of its history (history_end and el_end are called: sql/shell/edit.c), and finding the names for
# that report takes longer than anybody waits for a shell to end. Leaks of the shell itself are shell.t's to find.
$ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (), 'detect_leaks=0';
my $dir = tempdir(CLEANUP => 1);
system('psql', '-Xq', '-c', 'CREATE TABLE customers (customer_id int, full_name text); CREATE TABLE cupboards (x int)') == 0 or BAIL_OUT('psql');
open my $ed, '>', "$dir/editor" or die;
print $ed "#!/bin/sh\necho \"SELECT 'edited' || 1;\" >\"\$1\"\n";
close $ed;
chmod 0755, "$dir/editor";
my $url = "postgres:///postgres?host=$ENV{PGHOST}&user=postgres";
open my $f, '>', "$dir/t.exp" or die;
print $f <<"EXP";
set timeout 15
log_user 0
set env(MERIDIAN_HISTORY) $dir/history
set env(MERIDIAN_EDITOR) $dir/editor
set env(PAGER) "sed s/^/paged:/"
set env(TERM) vt100
set env(LC_ALL) C.UTF-8
EXP
print $f "set bin {$bin}\nset url {$url}\n", <<'EXP';
set stty_init "rows 24 columns 100"
set out [open [lindex $argv 0] w]
fconfigure $out -buffering line
set n 0
proc ok {name} { global n out; incr n; puts $out "ok $n - $name" }
# Whoever types on after something unexpected only waits for ever.
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
spawn $bin sql --url $url
await "a prompt" {postgres=# $}
step "a statement"             "SELECT 40 + 2 AS n;\r"          {\n +42\r\n\(1 row\)\r\n\r\npostgres=# }
step "the second prompt"       "SELECT (1\r"                    {postgres\(# }
step "a statement on two lines" "+ 1) AS two;\r"                {\n +2\r\n\(1 row\)\r\n\r\npostgres=# }
step "an open quote"           "SELECT 'a\r"                    {postgres'# }
step "Ctrl-C forgets it"       "\003"                           {\^C\r\npostgres=# }
step "the prompt of a block"   "BEGIN;\r"                       {postgres=\*# }
step "of a failed block"       "SELECT 1/0;\r"                  {division by zero.*postgres=!# }
step "rolled back"             "ROLLBACK;\r"                    {ROLLBACK\r\npostgres=# }
step "history"                 "\033\[A\033\[A\033\[A\033\[A\033\[A\r"    {\n +42\r\n\(1 row\)}
await "history, done"          {postgres=# }
step "editing in the line"     "SELECT 11 AS x;\001\006\006\006\006\006\006\0062\r" {\n +211\r\n}
await "editing, done"          {postgres=# }
step "a keyword is completed"  "SEL\t"                          {ECT }
step "a table is completed"    "customer_id FROM cus\t;\r"      {\n customer_id .*\(0 rows\)\r\n}
await "completing, done"       {postgres=# }
step "what is possible"        "SELECT * FROM cu\t\t"           {cupboards +customers}
step "given up"                "\003"                           {\^C\r\npostgres=# }
step "a column is completed"   "SELECT 1 AS c FROM customers WHERE customer_\tIS NULL;\r"  {\n c .*\(0 rows\)\r\n}
await "a column, done"         {postgres=# }
step "after \\d, too"          "\\d cus\t\r"                    {Table "public.customers".*full_name}
await "\\d, done"              {postgres=# }
send "SELECT pg_sleep(60);\r"
expect -re {60\);\r\n}
after 500
step "Ctrl-C cancels"          "\003"                           {Cancel request sent.*canceling statement due to user request\r\n}
await "cancelled, done"        {postgres=# }
step "and it goes on"          "SELECT 'ali' || 've';\r"        {alive\r\n\(1 row\)}
await "goes on, done"          {postgres=# }
step "the pager"               "SELECT g FROM generate_series(1, 60) g;\r" {paged: +60\r\npaged:\(60 rows\)}
await "the pager, done"        {postgres=# }
step "the editor"              "\\e\r"                          {edited1\r\n\(1 row\)}
await "the editor, done"       {postgres=# }
step "\\watch"                 "SELECT 'ti' || 'ck' \\watch 0.1\r"  {every 0.1s.*tick.*every 0.1s.*tick}
step "until Ctrl-C"            "\003"                           {postgres=# $}
step "COPY from the terminal"  "COPY cupboards FROM STDIN;\r"   {End with a backslash.*>> }
step "its end"                 "5\r\\.\r"                       {COPY 1\r\n}
await "COPY, done"             {postgres=# }
step "help"                    "help\r"                         {for help with SQL}
await "help, done"             {postgres=# }
send "\\q\r"
expect eof { ok "\\q ends it" } timeout { bad "\\q ends it" }
spawn $bin sql --url $url
await "again" {postgres=# }
step "history is kept"         "\033\[A\033\[A\033\[A"          {cupboards}
step "and given up"            "\003"                           {\^C\r\npostgres=# }
send "\\q\r"
expect eof { } timeout { close }
spawn $bin sql --url $url
await "a third time" {postgres=# }
send "\004"
expect eof { ok "Ctrl-D ends it" } timeout { bad "Ctrl-D ends it" }
puts $out "1..$n"
EXP
close $f;
system('timeout', '120', 'expect', '-f', "$dir/t.exp", "$dir/tap");
open my $tap, '<', "$dir/tap" or die;
chomp(my @out = <$tap>);
ok(scalar(grep { /^1\.\.\d+$/ } @out), 'expect ran to its end') or diag(join "\n", @out);
for (@out) {
    if (/^(not )?ok \d+ - (.*)/) { ok(!$1, $2) }
    elsif (/^# (.*)/)            { diag($1) }
}
done_testing();
