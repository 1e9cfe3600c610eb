#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes types.expected: what PostgreSQL 15 reads and prints of every type.
#     tests/lib/pg15.sh perl tests/unit/sql/types_expected.pl > tests/unit/sql/types.expected
# Left out, because we refuse what PostgreSQL happens to take: "1999-01-08-", "1999-01-08 epoch", "... utc+3", "P1", "day 1".
# Lines: "in TYPE TEXT result", by the type's input function with the type's modifier; "send TYPE TEXT bytes"; "recv TYPE BYTES
# result"; "zone ZONE TEXT result" of a timestamptz.
use strict;
use warnings;
no warnings 'redundant'; # not every input function takes a modifier
use utf8;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use PgExpected;

srand 2;
my @cases;
sub lit { PgExpected::quote($_[0]) }

my %input = (bool => 'boolin(%s)', int2 => 'int2in(%s)', int4 => 'int4in(%s)', int8 => 'int8in(%s)', oid => 'oidin(%s)',
    float4 => 'float4in(%s)', float8 => 'float8in(%s)', text => 'textin(%s)', bytea => 'byteain(%s)', uuid => 'uuid_in(%s)',
    json => 'json_in(%s)', date => 'date_in(%s)', time => 'time_in(%s, 0, %d)', timestamp => 'timestamp_in(%s, 0, %d)',
    timestamptz => 'timestamptz_in(%s, 0, %d)', interval => 'interval_in(%s, 0, %d)', varchar => 'varcharin(%s, 0, %d)',
    char => 'bpcharin(%s, 0, %d)', numeric => 'numeric_in(%s, 0, %d)');
my %element = (int4 => 23, text => 25, bool => 16, float8 => 701, numeric => 1700, date => 1082, timestamptz => 1184);
my %fields = (year => 0x4, month => 0x2, day => 0x8, hour => 0x400, minute => 0x800, second => 0x1000, 'year to month' => 0x6,
    'day to hour' => 0x408, 'day to minute' => 0xc08, 'day to second' => 0x1c08, 'hour to minute' => 0xc00,
    'hour to second' => 0x1c00, 'minute to second' => 0x1800);

# name, modifier: "numeric(5,2)", "interval day to second"
sub split_type {
    my $type = shift;
    return ($1, $fields{$2} << 16 | 0xffff) if $type =~ /^(interval) ([a-z ]+)$/;
    return ($type, -1) if $type !~ /^(\w+)\((\d+)(?:,(-?\d+))?\)$/;
    return ($1, ($2 << 16 | $3 & 0x7ff) + 4) if $1 eq 'numeric';
    return ($1, $2 + 4) if $1 eq 'varchar' || $1 eq 'char';
    return ($1, 0x7fff << 16 | $2) if $1 eq 'interval';
    return ($1, $2);
}

sub from_text {
    my ($type, @texts) = @_;
    for my $t (@texts) {
        my $sql;
        if ($type =~ /^(\w+)\[\]$/) { $sql = sprintf 'array_in(%s, %d, -1)', lit($t), $element{$1} }
        else {
            my ($name, $mod) = split_type($type);
            $sql = sprintf $input{$name}, lit($t), $mod;
        }
        push @cases, [['in', $type, $t], $sql];
    }
}
sub to_binary {
    my ($type, $send, @texts) = @_;
    push @cases, [['send', $type, $_], "$send(" . lit($_) . "::$type)"] for @texts;
}
sub from_binary {
    my ($type, @hex) = @_;
    my $sql = $type;
    push @cases, [['recv', $type, $_], "pg_temp.recv('$sql', '$_')"] for @hex;
}
sub zone {
    my ($zone, @texts) = @_;
    push @cases, [['zone', $zone, $_], "pg_temp.zoned('$zone', " . lit($_) . ')'] for @texts;
}

from_text('bool', qw(t f true false TRUE tr tru yes no y n on off of o 1 0 10 2 truex yess), '', ' ', ' t ', "on ");
from_text($_, qw(0 -0 +5 -5 32767 32768 -32768 -32769 2147483647 2147483648 -2147483648 -2147483649 9223372036854775807
    9223372036854775808 -9223372036854775808 -9223372036854775809 99999999999999999999 1.5 1e3 0x10 - + abc 1a --1 007), '', ' ', ' 12 ',
  '1 2') for qw(int2 int4 int8);
from_text('oid', qw(0 1 4294967295 4294967296 -1 abc), '', ' 7 ');
my @floats = qw(0 -0 1 -1 1.5 .5 5. . 1e5 1E-5 1e+5 1e 1e400 -1e400 1e-400 1e-324 2e-324 3e-324 5e-324 4.9e-324 1e308 1.8e308
    1.7976931348623157e308 1.7976931348623159e308 2.2250738585072014e-308 2.2250738585072011e-308 NaN nan -nan inf -inf +Infinity
    infinity infinit 1e15 1e14 123456789012345 1234567890123456 0.0001 0.00001 0.1 0.2 0.30000000000000004 1e22 1e23 9007199254740993
    9007199254740992.5 100 1000000 1e6 123456 1234567 3.4028235e38 3.4028236e38 3.40282356e38 1.17549435e-38 1.4e-45 7e-46
    7.1e-46 16777217 0.1e1 1_0 1..5 1e1.5 abc 5e-1x 4.35 0.000123 1e-5 123e-7 8.5e-310);
push @floats, map { 2 ** $_ } (-60, -44, -30, -10, 10, 44, 50, 53, 60, 63, 64, 70, 100);
push @floats, map { sprintf '%.17g', (rand() - .5) * 10 ** int(rand(40) - 20) } 1 .. 120;
push @floats, map { sprintf '%.*g', 1 + int rand 9, (rand() - .5) * 10 ** int(rand(70) - 35) } 1 .. 120;
push @floats, map { sprintf '%.17g', unpack 'd', pack 'L2', int rand 2**32, int rand 2**32 } 1 .. 150;
from_text($_, @floats, '', ' ', ' 1.5 ', '1 2') for qw(float4 float8);
from_text('numeric', qw(0 -1.50 1e5 NaN -Infinity abc), '');
from_text('numeric(5,2)', qw(0 1.005 999.994 999.995 NaN Infinity -1));
from_text('text', 'abc', '', ' äöü ', 'x' x 300);
from_text('varchar(3)', 'abc', 'abcd', 'abc  ', 'ab  d', 'äöü', 'äöü€', '', '   ', '     ');
from_text('char(3)', 'abc', 'abcd', 'abc  ', 'a', '', 'äö', 'äöü€', '  a');
from_text('bytea', '', '\x', '\x00ff', '\xABcd', '\x1', '\x1g', '\x 1 2', '\x12 34', 'abc', 'a\\\\b', '\001\377', '\400', '\8', '\\', 'äx', '\x€',
  '\x1 2', '\12');
from_text('uuid', qw(a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11 {a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}
    a0eebc999c0b4ef8bb6d6bb9bd380a11 a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11 {a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11
    a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11} a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1 a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111 g0eebc999c0b4ef8bb6d6bb9bd380a11
    a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11- a-0eebc999c0b4ef8bb6d6bb9bd380a11), '');
from_text('json', '{}', '[]', '{"a": 1}', '[1,2, 3]', '"a"', 'null', 'true', '-1.5e+3', '01', '1.', '.5', '{"a"}', '{"a":}', '{a:1}', '[1,]', '[,1]',
  '{"a":1,}', '', ' ', ' 1 ', '1 2', '"\u00e4"', '"\u00g4"', '"\x"', 'nul', 'truex', '[[[]]]', '{"a":[{"b":null}]}', '[1}', '{"a":1]', '"', '-', '+1',
  '1e', "[true, false]");

my @dates = ('1999-01-08', '2000-02-29', '1999-02-29', '1900-02-29', '1999-13-01', '1999-01-32', '1999-00-01', '1999-01-00', '0000-01-01',
    '0001-01-01', '0001-01-01 BC', '4714-11-24 BC', '4714-11-23 BC', '4713-01-01 BC', '5874897-12-31', '5874898-01-01', '294276-12-31',
    '294277-01-01', '10000-01-01', '99999-12-31', '99-01-08', '1/8/1999', '01/08/99', '1/18/1999', '18/1/1999', '1-8-1999', '1.8.1999',
    '1999.01.08', '1999/1/8', '1999-1-8', 'Jan 8, 1999', 'January 8, 1999', 'Jan 8 1999', 'Jan-08-1999', '08-Jan-1999', '8-Jan-99', '8 Jan 1999',
    '1999-Jan-08', '1999 Jan 8', 'Sep 8 1999', 'Sept 8 1999', 'Foo 8 1999', 'Mon Jan 8 1999', 'Monday, January 8, 1999', '19990108', '990108',
    '1999-01-08 BC', 'Jan 8, 99 BC', 'J2451187', 'julian2451187', 'J0', 'infinity', '-infinity', '+infinity', 'Infinity', 'epoch', 'EPOCH', '', ' ',
    'abc', '1999', '1999-01', '1999-01-08 04:05:06', '1999-01-08T04:05:06', '1999-01-08 04:05:06+02', '1999-01-08 25:00', ' 1999-01-08 ',
    '1999-01-08x', '12/31/69', '12/31/70', '2000-06-31', '1999-01-08 AD', '1 Jan 2000', 'Feb 30 2000', '20000230',
    '1999-1-8-3', 'infinity 1999-01-01', 'January', '8', '1999-01-08,', '24:00', '123-1-1', '00-01-01', '1-Jan-0001', '31-Dec-9999');
from_text('date', @dates);
my @times = ('04:05', '04:05:06', '04:05:06.789', '04:05:06.7890005', '04:05:06.9999995', '04:05:06.9999994', '040506', '0405', '04:05 AM', '04:05 PM',
    '12:00 AM', '12:00 PM', '13:00 PM', '00:30 PM', '24:00', '24:00:00', '24:00:01', '23:59:60', '23:59:61', '23:60', '25:00', '4:5:6', '4:5',
    '04:05:06-08', '04:05:06-08:00', '040506-08', '04:05:06 PST', '04:05:06 z', '2003-04-12 04:05:06', '2003-04-12 04:05:06 BC', 'allballs', '', 'abc', '04',
    '04:', ':05', '04:05:', '04:05:06.', '04:05.5', '23:59:59.9999999', '040506.789', 'T040506', 'T04:05', '1999-01-08', '04:05:06+99', '04:05 am pm',
    '04 PM', '1:2:3.0000005', '1:2:3.0000015');
from_text('time', @times);
from_text('time(2)', '04:05:06.785', '04:05:06.784999', '23:59:59.995', '04:05:06.785001');
my @stamps = ('1999-01-08 04:05:06', '1999-01-08T04:05:06', '1999-01-08 04:05', '1999-01-08', '1999-01-08 04:05:06.789', '1999-01-08 04:05:06.1234567',
    '1999-01-08 04:05:06.1234565', '1999-01-08 04:05:06.1234575', '1999-01-08 24:00:00', '1999-12-31 23:59:60', '1999-12-31 23:59:59.9999999',
    '19990108T040506', '19990108 040506', '19990108T0405', '19990108T040506.5', '1999-01-08 040506', '1999-01-08 04:05:06 BC',
    'Jan 8 1999 04:05:06', 'Jan 8 04:05:06 1999', 'Jan 8 04:05:06 1999 PST', 'Fri Jan  8 04:05:06 1999', '04:05:06 1999-01-08',
    '04:05:06 Jan 8 1999', '1/8/1999 04:05 PM', '1999-01-08 04:05:06+02', '1999-01-08 04:05:06 +02', '1999-01-08 04:05:06-0530',
    '1999-01-08 04:05:06+05:30', '1999-01-08 04:05:06+05:30:15', '1999-01-08 04:05:06+15:59', '1999-01-08 04:05:06+16', '1999-01-08 04:05:06-16:00',
    '1999-01-08 04:05:06+15:60', '1999-01-08 04:05:06Z', '1999-01-08T04:05:06Z', '1999-01-08 04:05:06 UTC', '1999-01-08 04:05:06 EST',
    '1999-01-08 04:05:06 CEST', '1999-01-08 04:05:06 America/New_York', '1999-07-08 04:05:06 America/New_York', '1999-07-08 04:05:06 Europe/Berlin',
    '1999-01-08 04:05:06 America/Nowhere', '1999-01-08 04:05:06 FOO', '1999-01-08 04:05:06.5 PM', '1999-01-08 13:05 PM', '1999-01-08 25:00:00',
    '1999-01-08 04:60:00', '1999-01-08 04:05:61', '4714-11-24 00:00:00 BC', '4714-11-23 23:59:59 BC', '294276-12-31 23:59:59.999999', '294277-01-01',
    '294276-12-31 23:59:59.9999999', '0001-01-01 00:00:00 BC', '0044-03-15 12:00:00 BC', '10000-01-01 00:00:00', 'infinity', '-infinity', 'epoch', '', 'abc',
    '2000-01-01 00:00:00.000001', '1999-12-31 23:59:59.999999', '1969-12-31 23:59:59.5', '1999-01-08 04:05:06 04:05',
    '1999-01-08 1999-01-08', '1999-01-08 04', '1999-01-08 04 AM', '1999-01-08-04:05:06', '1999-01-08 04:05:06+', '1999-01-08 04:05:06 + 02',
    'J2451187 04:05:06', '1999-01-08 allballs', '1999-01-08+02', '1999-01-08 04:05:06 +0200 PST', '1999-01-08 at 04:05:06', 'January 8, 1999 at 04:05:06 PM',
    '1883-11-18 12:00:00', '1883-11-18 12:00 America/New_York', '2038-01-19 03:14:08', '2500-07-01 12:00 America/New_York', '2500-01-01 12:00 Europe/Berlin',
    '1999-01-08 04:05:06.789 -8:00', '1999-01-08 04:05:06.789-8', '  1999-01-08   04:05:06  ', "1999-01-08 04:05:06 etc/gmt+5",
    '1999-01-08 00:00:00 America/New_York BC');
from_text($_, @stamps, @dates[0 .. 30]) for qw(timestamp timestamptz);
from_text("$_(0)", '1999-12-31 23:59:59.5', '1999-12-31 23:59:59.499999', '1999-01-01 00:00:00.5', 'infinity', '1969-12-31 23:59:59.5',
  '1969-12-31 23:59:58.5') for qw(timestamp timestamptz);
from_text("$_(3)", '1999-12-31 23:59:59.9995', '1999-12-31 23:59:59.1234', '1969-12-31 23:59:59.1235') for qw(timestamp timestamptz);

my @intervals = ('1 day', '1 days', '1 day 2 hours', '1 day 2 hours 3 minutes 4 seconds', '1 year 2 months 3 days', '1-2', '-1-2', '+1-2', '1-12', '1-11', '3 4:05:06',
    '4:05:06', '4:05', '-4:05:06', '4:05:06.789', '1 day -4:05:06', '-1 day +4:05:06', '-1 day 4:05:06', 'P1Y2M3DT4H5M6S', 'P1Y', 'PT1S', 'PT1.5S', 'P1W',
    'P1Y2M3W4DT5H6M7.8S', 'P-1Y', 'P', 'PT', 'P1YT', 'PT1Y', 'p1y', 'P1.5Y', 'P1.5M', 'P1.5D', 'PT1.5H', 'P0.5W', '1.5 years', '1.5 months', '1.5 weeks',
    '1.5 days', '1.5 hours', '1.5 minutes', '1.5 seconds', '-1.5 months', '-0.5 days', '0.1 months', '0.33 years', '1.33 months', '0.999999 days', '1 week',
    '1 decade', '1 century', '1 millennium', '2 centuries', '1.5 decades', '1 dec', '1 c', '1 mil', '1 ms', '1 us', '1500 milliseconds', '1 microsecond',
    '0.5 us', '1.5 ms', '1 hour ago', '1 day 2 hours ago', '@ 1 minute', '@ 1 minute ago', 'ago', '1', '1.5', '-1', '1 2', '1 day 2', '1 day 1 day',
    '1 hour 1:00', '1 sec 1 ms', '1.5 sec 1 ms', '1 min 30', '', ' ', 'abc', '1 foo', '1 day foo', '1day', '1d2h3m4s', '1y2mon3d', '- 1 day', '+ 1 day',
    '2147483647 days', '2147483648 days', '-2147483648 days', '178956970 years', '178956970 years 7 months', '178956970 years 8 months', '178956971 years', '2147483647 months',
    '2147483648 months', '9223372036854775807 us', '9223372036854775808 us', '2562047788 hours', '2562047789 hours', '2562047788:00:54.775807',
    '2562047788:00:54.775808', '1:60', '1:00:60', '1:00:61', '100:00:00', '1:2:3:4', '1-2 3 4:05:06', '1-2 -3 -4:05:06', '1 mon -1 days', '-1 mons +1 day -00:00:01',
    '13 months', '-13 months', '25 hours', '60 seconds', '0', '0 days', '00:00:00', '1 quarter', '1 month 1.5 days', '0.000001 sec', '0.0000005 sec', '0.0000015 sec',
    '1e3 days', '1,5 days', '.5 days', '5. days', '1 d 2 days', '4:05.5', '1 year 1 y', '1 hours 2 mins 3 secs 4 msecs 5 usecs', '1 hr', '2 yrs', '3 mons',
    'infinity', '-infinity', '1:-2', '1 day 2:03:04 ago', '1-2 ago', '99999999999999999999 days', '1.99999999999 months', '365.25 days');
from_text('interval', @intervals);
for my $f (sort keys %fields) { from_text("interval $f", '1', '1-2', '1 2', '1:2', '1:2:3', '1 year 2 mons 3 days 4:05:06.7', '-1 year -2 mons -3 days -4:05:06.7', '1 2:03:04.5') }
from_text('interval(2)', '1.005 sec', '1.006 sec', '-1.005 sec', '1 day 0.999');

from_text('int4[]', '{}', '{1,2,3}', '{1, 2 ,3}', '{ 1 }', '{NULL}', '{null,1}', '{{1,2},{3,4}}', '{{1,2},{3}}', '{1,{2}}', '{{1},2}', '{', '}', '{1', '{1,}', '{,1}', '{1,,2}', '',
  '1,2', '{1} x', ' {1} ', '{a}', '{"1"}', '{"1",2}', '[0:1]={1,2}', '[2]={1,2}', '[0:2]={1,2}', '[1:0]={}', '[-1:0][2:3]={{1,2},{3,4}}', '{{}}', '{{},{}}', '{{1,2},{}}',
  '{{{{{{1}}}}}}', '{{{{{{{1}}}}}}}', '{2147483648}', '[1:2={1,2}', '[a]={1}', '{1}{2}', '{{1}{2}}', '[0:1]{1,2}', '{{1,2},{3,4},{5,6}}', '{{{1},{2}},{{3},{4}}}');
from_text('text[]', '{a,b}', '{"a b",c}', '{"a\"b"}', '{"a\\\\b"}', '{a\b}', '{a\,b}', '{"",x}', '{"NULL",NULL}', '{a b}', '{ a b , c }', '{a"b"}', '{"a"b}', '{"a" }', '{ä,€}', '{"{x}"}',
  '{"a,b"}', '{a', '{"a', '{"a"', '{\}', '{nUlL}', '{"x	y"}' =~ s/\t/ /r, '{[]}', '{a=b}', '{""}');
from_text('bool[]', '{t,f,NULL}', '{true,off}', '{x}');
from_text('float8[]', '{1.5,NaN,-Infinity,1e300}');
from_text('numeric[]', '{1.50,NaN,-0.1}');
from_text('date[]', '{1999-01-08,infinity}');
from_text('timestamptz[]', '{"1999-01-08 04:05:06+02",2000-01-01}');

zone('America/New_York', '1999-01-08 04:05:06', '1999-07-08 04:05:06', '2024-03-10 02:30:00', '2024-03-10 01:59:59', '2024-03-10 03:00:00', '2024-11-03 01:30:00',
  '2024-11-03 00:59:59', '2024-11-03 02:00:00', '2024-03-10 07:30:00Z', '2024-11-03 05:30:00Z', '2024-11-03 06:30:00Z', '1883-11-18 12:03:57', '1883-11-18 12:03:58',
  '1800-01-01 00:00', '2037-12-31 00:00', '2038-07-01 12:00', '2400-07-01 12:00', '2400-12-25', '2500-03-14 02:30', '1999-01-08 04:05:06 BC', '294276-12-31 23:59:59', '294276-12-31 12:00', 'infinity',
  '4714-11-24 00:00:00+00 BC', '1945-08-14 19:00');
zone('Europe/Berlin', '1999-01-08 04:05:06', '2024-03-31 02:30:00', '2024-10-27 02:30:00', '2024-10-27 01:59', '2024-10-27 03:00', '1893-04-01 00:00', '1893-03-31 23:59', '1945-05-24 02:30', '1980-04-06 02:30',
  '2045-07-01', '2045-03-26 02:30');
zone('Asia/Kolkata', '1999-01-08 04:05:06', '1854-06-28', '1800-01-01', '2100-01-01');
zone('Australia/Lord_Howe', '2024-04-07 01:45', '2024-10-06 02:15', '2050-01-01', '2050-07-01', '1981-03-01');
zone('Asia/Kathmandu', '1985-12-31 23:59', '1986-01-01 00:05', '2020-01-01');
zone('America/St_Johns', '1988-04-03 00:30', '1988-10-30 00:30', '2006-10-29 00:30', '2040-06-01');
zone('Pacific/Apia', '2011-12-29 23:59', '2011-12-30 12:00', '2011-12-31 00:00');
zone('Africa/Casablanca', '2024-03-10 02:30', '2024-07-01', '2080-01-01', '2090-01-01');
zone('UTC', '1999-01-08 04:05:06', '2024-03-10 02:30');

to_binary('bool', 'boolsend', qw(t f));
to_binary('int2', 'int2send', qw(1 -2 32767));
to_binary('int4', 'int4send', qw(1 -2 2147483647));
to_binary('int8', 'int8send', qw(1 -2 9223372036854775807));
to_binary('oid', 'oidsend', qw(1 4294967295));
to_binary('float4', 'float4send', qw(1.5 -0 Infinity 1e-45));
to_binary('float8', 'float8send', qw(1.5 -0 -Infinity 5e-324 0.1));
to_binary('numeric', 'numeric_send', qw(0 1.50 -12345.678 NaN));
to_binary('text', 'textsend', 'abc', 'äx');
to_binary('char(5)', 'bpcharsend', 'ab');
to_binary('bytea', 'byteasend', '\x00ff');
to_binary('date', 'date_send', '1999-01-08', 'infinity', '-infinity', '4714-11-24 BC');
to_binary('time', 'time_send', '04:05:06.789', '24:00');
to_binary('timestamp', 'timestamp_send', '1999-01-08 04:05:06.789', 'infinity', '-infinity');
to_binary('timestamptz', 'timestamptz_send', '1999-01-08 04:05:06.789+02', 'infinity');
to_binary('interval', 'interval_send', '1 year 2 mons 3 days 04:05:06', '-1 us');
to_binary('uuid', 'uuid_send', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
to_binary('json', 'json_send', '{"a": 1}');
to_binary('int4[]', 'array_send', '{}', '{1,NULL,3}', '{{1,2},{3,4}}', '[0:1]={7,8}');
to_binary('text[]', 'array_send', '{a,"b c",NULL,""}');

from_binary('bool', '01', '00', '02', '', '0101');
from_binary('int2', '0001', 'ffff', '00', '000001');
from_binary('int4', '7fffffff', '80000000', '01', '0000000001');
from_binary('int8', '7fffffffffffffff', 'ffffffffffffffff', '00000001');
from_binary('float4', '3fc00000', '7fc00000', 'ff800000', '00000001', '3f');
from_binary('float8', '3ff8000000000000', 'fff8000000000001', '7ff0000000000000', '8000000000000000', '3ff8');
from_binary('text', '616263', '', 'c3a4', 'ff', 'c3', 'e28241', '6100', 'eda080', 'f4908080', 'f8');
from_binary('varchar(3)', '616263', '61626364', '61626320', 'c3a4c3b6c3bc', 'c3a4c3b6c3bc61');
from_binary('char(3)', '61', '61626364', '6120202020');
from_binary('date', '00000000', 'ffffffff', '7fffffff', '80000000', 'ffda979c', '7fda979d', 'ffda9767', 'ffda9766', '7fda9d0c', '7fda9d0d', '00');
from_binary('time', '0000000000000000', '000000141dd76000', '000000141dd76001', 'ffffffffffffffff', '00');
from_binary($_, '0000000000000000', '7fffffffffffffff', '8000000000000000', '7fffffffffff0000', 'fd0f7a1f9a000000', '00') for qw(timestamp timestamptz);
from_binary('timestamp(0)', '000000000007a120', '000000000007a11f', 'fffffffffff85ee0', '7fffffffffffffff');
from_binary('interval', '00000000000000000000000100000002', 'ffffffffffffffffffffffffffffffff', '00000000000000000000000100', '0000000000000000000000010000000200');
from_binary('uuid', 'a0eebc999c0b4ef8bb6d6bb9bd380a11', 'a0eebc99', 'a0eebc999c0b4ef8bb6d6bb9bd380a1100');
from_binary('bytea', '00ff', '');
from_binary('json', '7b7d', '7b', 'ff');
from_binary('int4[]', '000000000000000000000017', '000000010000000000000017000000020000000100000004000000010000000400000002',
  '00000001000000010000001700000002000000010000000400000001ffffffff', '00000001000000000000001700000001000000010000000200010000', '0000000100000000000000170000000200000001000000040000000100000004',
  '000000070000000000000017', '000000010000000200000017', '000000010000000000000019000000000000000001', '000000010000000000000017ffffffff00000001',
  '0000000100000000000000177fffffff00000001', '0000000100000000000000170000000000000001', '00000001000000000000001700000001000000010000000400000001ff',
  '00000001000000000000001700000001fffffffe0000000400000009', '000000010000000000000017000000017fffffff0000000400000009', '0000000100000000000000170000000100000001000000050000000100',
  '00000002000000000000001700000001000000010000000200000001000000040000000100000004', '00000000');
from_binary('text[]', '000000010000000000000019000000020000000100000001610000000120', '000000010000000000000019000000010000000100000001ff');
PgExpected::write_results(\@cases);
