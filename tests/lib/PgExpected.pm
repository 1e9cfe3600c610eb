# SPDX-License-Identifier: Apache-2.0
# Expected results written by a PostgreSQL: each case is a line of words and the SQL expression that it stands for.
#
#     use lib 'tests/lib';
#     use PgExpected;
#     PgExpected::write_results([["add", "1", "2.0"], "1::numeric + 2.0::numeric"], ...);
#
# prints "add<TAB>1<TAB>2.0<TAB>3.0"; an error is "!SQLSTATE message"; of a long result there are length, start and end.
# Words hold no tabs or line ends. pg_temp.recv(type, hex) is the value of a binary form. The server is the one that psql
# finds: run under tests/lib/pg15.sh.
package PgExpected;
use strict;
use warnings;
use File::Temp;

sub quote {
    my $s = shift;
    $s =~ s/'/''/g;
    return "'$s'";
}

sub write_results {
    my ($cases, %how) = @_;
    my $tmp = File::Temp->new(SUFFIX => '.sql');
    binmode $tmp, ':utf8';
    print $tmp <<'SQL';
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE OR REPLACE FUNCTION pg_temp.outcome(e text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
    EXECUTE 'SELECT format(''%s'', (' || e || '))' INTO r; -- the output function, not a cast
    RETURN CASE WHEN r IS NULL THEN 'NULL' WHEN length(r) <= 400 THEN r
           ELSE '#' || length(r) || ' ' || left(r, 100) || ' ' || right(r, 100) END;
EXCEPTION WHEN OTHERS THEN
    RETURN '!' || SQLSTATE || ' ' || SQLERRM;
END $$;
-- a value from its binary form, through COPY, since SQL cannot call a receive function
CREATE OR REPLACE FUNCTION pg_temp.recv(t text, h text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
    EXECUTE format('CREATE TEMP TABLE received(v %s)', t);
    EXECUTE format('COPY received FROM PROGRAM %L (FORMAT binary)', 'perl -e ''print pack(q(H*), q('
        || '5047434f50590aff0d0a0000000000000000000001' || lpad(to_hex(length(h) / 2), 8, '0') || h || 'ffff))''');
    EXECUTE 'SELECT format(''%s'', v) FROM received' INTO r;
    EXECUTE 'DROP TABLE received';
    RETURN r;
END $$;
-- a timestamptz read and printed in another time zone
CREATE OR REPLACE FUNCTION pg_temp.zoned(zone text, t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
    PERFORM set_config('timezone', zone, true);
    r := t::timestamptz::text;
    PERFORM set_config('timezone', 'UTC', true);
    RETURN r;
END $$;
CREATE TEMP TABLE cases(id serial, e text);
SQL
    print $tmp "SET timezone = ", quote($how{timezone} // 'UTC'), ";\n";
    print $tmp "COPY cases(e) FROM stdin;\n";
    for my $c (@$cases) {
        my $e = $c->[1];
        $e =~ s/\\/\\\\/g;
        $e =~ s/\t/\\t/g;
        $e =~ s/\n/\\n/g;
        print $tmp "$e\n";
    }
    print $tmp "\\.\nSELECT replace(replace(pg_temp.outcome(e), E'\\n', '\\n'), E'\\t', '\\t') FROM cases ORDER BY id;\n";
    close $tmp;
    open my $out, '-|:encoding(UTF-8)', 'psql', '-X', '-q', '-f', "$tmp" or die "psql: $!";
    my @lines = <$out>;
    close $out or die "psql failed\n";
    chomp @lines;
    @lines == @$cases or die scalar(@lines), " results for ", scalar(@$cases), " cases\n";
    binmode STDOUT, ':utf8';
    print "# written by PostgreSQL 15 (tests/lib/pg15.sh $0); do not edit\n";
    print join("\t", @{$cases->[$_][0]}, $lines[$_]), "\n" for 0 .. $#lines;
}

1;
