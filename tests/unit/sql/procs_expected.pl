#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes procs.expected: PostgreSQL 15's own table of functions.
#     tests/lib/pg15.sh perl tests/unit/sql/procs_expected.pl > tests/unit/sql/procs.expected
# A line: OID, name, number of arguments, kind (f, a, w), strict, volatility (i, s, v), variadic, gives rows, operators.
use strict;
use warnings;

my $sql = <<'SQL';
SELECT p.oid, proname, pronargs, prokind, proisstrict, provolatile, provariadic <> 0, proretset,
    coalesce((SELECT string_agg(DISTINCT oprname, ' ' ORDER BY oprname) FROM pg_operator WHERE oprcode = p.oid), '')
FROM pg_proc p
WHERE p.oid < 10000 AND NOT EXISTS (SELECT FROM unnest(proargtypes || prorettype) t WHERE t = 2281) -- no internal ones
ORDER BY p.oid
SQL
open my $out, '-|', 'psql', '-X', '-At', '-F', "\t", '-c', $sql or die "psql: $!";
my @lines = <$out>;
close $out or die "psql failed\n";
print "# written by PostgreSQL 15 (tests/lib/pg15.sh $0); do not edit\n", @lines;
