-- Statements that analyse_expected.pl asks PostgreSQL about, one a line.
-- literals and names of columns
SELECT 1
SELECT 1, 'a', NULL, true, 1.5, 3000000000, 99999999999999999999, 1e3
SELECT -1, +1, -2147483648, -3000000000
SELECT 'a' AS x, 'b' y
SELECT a, t.a, public.t.a FROM t
SELECT * FROM t
SELECT t.* FROM t
SELECT t.*, u.x FROM t, u
SELECT tt.b FROM t tt
SELECT x FROM t AS s(x)
SELECT * FROM t AS s(x, y)
SELECT a AS "A b" FROM t
SELECT a::int8, b::varchar(3), c::text, d::date FROM t
SELECT int8 '5', date '2020-01-01', '1'::int, cast('2' AS smallint), float8(3), text(5), numeric '1.5'
SELECT 1 + 1, 1 + 1.5, 1 + 1.5::float8, 1::int2 + 1::int8, 1::int2 + 1, 2::int8 * 3
SELECT a + 1, a * 1.0, a / 2, a % 2, -a, +a FROM t
SELECT x + a FROM u
SELECT z + x, z * 2, x / a FROM u
SELECT c + 1, c * 1.5, c / 2, -c FROM t
SELECT 1 = 1, 1 < 2.0, 'a' = 'b', a = 5, b = 'x', b <> 'y', b < 'z' FROM t
SELECT a > 1 AND a < 5 OR NOT e FROM t
SELECT a IS NULL, b IS NOT NULL, e IS TRUE, e IS NOT FALSE, e IS UNKNOWN FROM t
SELECT a BETWEEN 1 AND 5, a NOT BETWEEN 1 AND 5, a BETWEEN SYMMETRIC 5 AND 1 FROM t
SELECT a IN (1, 2, 3), a NOT IN (1, 2), b IN ('x', 'y'), a IN (1, 2.5) FROM t
SELECT x IN (1, 2) FROM u
SELECT a IS DISTINCT FROM 1, a IS NOT DISTINCT FROM NULL FROM t
SELECT CASE WHEN a > 1 THEN 'x' ELSE b END FROM t
SELECT CASE a WHEN 1 THEN 1 WHEN 2 THEN 2.5 END FROM t
SELECT CASE WHEN e THEN 1 END FROM t
SELECT CASE WHEN e THEN a ELSE 1.5 END, CASE WHEN e THEN NULL ELSE 3 END FROM t
SELECT COALESCE(a, 1), COALESCE(b, 'x'), COALESCE(NULL, 2), COALESCE(NULL, NULL) FROM t
SELECT NULLIF(a, 1), NULLIF(b, 'x') FROM t
SELECT GREATEST(1, 2.5), LEAST(a, 3) FROM t
SELECT (a, b) = (1, 'x'), (a, b) < (1, 'x'), (a, b) <> (2, 'y') FROM t
SELECT (1, 2) IN ((1, 2), (3, 4))
SELECT ROW(1, 2) IS NULL
-- arrays
SELECT ARRAY[1, 2, 3], ARRAY['a', 'b'], ARRAY[1, 2.5], ARRAY[]::int[], ARRAY['1']::int[]
SELECT ARRAY[[1, 2], [3, 4]]
SELECT n[1], t[2] FROM arr
SELECT a = ANY ('{1,2}'), a = ANY (ARRAY[1, 2]), a <> ALL ('{1}'::int[]) FROM t
SELECT 1 = ANY (n), 'x' = ANY (t) FROM arr
SELECT a = ANY ($1) FROM t
-- parameters
SELECT $1
SELECT $1::int
SELECT $1 + 1
SELECT a FROM t WHERE a = $1
SELECT a FROM t WHERE b = $1 AND a > $2
SELECT x FROM u WHERE x = $1
SELECT $1 || 'x'
SELECT $1 = $2
SELECT COALESCE($1, 5)
SELECT CASE WHEN $1 THEN $2 ELSE 3 END
SELECT a FROM t LIMIT $1 OFFSET $2
SELECT $2::text
SELECT $1 IS NULL
SELECT $1::int, $1
SELECT a FROM t WHERE a IN ($1, $2)
SELECT a FROM t WHERE a BETWEEN $1 AND $2
INSERT INTO t (a, b, c) VALUES ($1, $2, $3)
UPDATE t SET b = $1, c = c + $2 WHERE a = $3
DELETE FROM t WHERE a = $1
SELECT $0
SELECT $1::int = $1::text
-- joins
SELECT * FROM t JOIN u ON t.a = u.a
SELECT * FROM t JOIN u USING (a)
SELECT a FROM t JOIN u USING (a)
SELECT * FROM t NATURAL JOIN u
SELECT * FROM t LEFT JOIN u ON t.a = u.a
SELECT * FROM t FULL JOIN u USING (a)
SELECT a FROM t RIGHT JOIN u USING (a)
SELECT * FROM t CROSS JOIN u
SELECT t.a, u.a FROM t JOIN u USING (a) WHERE a > 1
SELECT j.x FROM (t JOIN u ON t.a = u.a) AS j (x)
SELECT * FROM t JOIN (u JOIN arr ON u.x = arr.id) ON t.a = u.a
SELECT * FROM t a JOIN t b ON a.a = b.a JOIN t c ON b.a = c.a
SELECT * FROM t, LATERAL (SELECT u.x FROM u WHERE u.a = t.a) s
SELECT * FROM t LEFT JOIN LATERAL (SELECT t.a + 1 AS n) s ON true
SELECT * FROM (SELECT a, b FROM t) s
SELECT s.n FROM (SELECT a + 1 AS n FROM t) s WHERE s.n > 3
SELECT * FROM (VALUES (1, 'x'), (2, 'y')) v(n, s)
VALUES (1, 'a'), (2, NULL)
VALUES (1), (2.5)
SELECT * FROM nokey
-- subqueries
SELECT (SELECT max_a FROM (SELECT a AS max_a FROM t) s LIMIT 1)
SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a)
SELECT a FROM t WHERE a IN (SELECT a FROM u)
SELECT a FROM t WHERE a NOT IN (SELECT x FROM u)
SELECT a FROM t WHERE (a, b) IN (SELECT a, y FROM u)
SELECT a FROM t WHERE a > ALL (SELECT a FROM u)
SELECT a FROM t WHERE a = ANY (SELECT a FROM u)
SELECT ARRAY(SELECT a FROM t)
SELECT (SELECT u.y FROM u WHERE u.a = t.a) FROM t
SELECT EXISTS (SELECT FROM t)
SELECT a FROM t WHERE a = (SELECT 1)
-- aggregates
SELECT count(*), count(a), sum(a), min(b), max(c) FROM t
SELECT a, count(*) FROM t GROUP BY a
SELECT b, sum(c) FROM t GROUP BY b HAVING sum(c) > 10
SELECT a, b FROM t GROUP BY a
SELECT a + 1, count(*) FROM t GROUP BY a + 1
SELECT b AS x, count(*) FROM t GROUP BY x
SELECT b, count(*) FROM t GROUP BY 1 ORDER BY 2 DESC
SELECT count(DISTINCT a), sum(a) FILTER (WHERE a > 1) FROM t
SELECT t.a, t.b, count(*) FROM t JOIN u ON t.a = u.a GROUP BY t.a
SELECT count(*) FROM t HAVING count(*) > 1
SELECT sum(x), sum(z), sum(a) FROM u
SELECT k1, v FROM p GROUP BY k1, k2
SELECT max(a) FROM t GROUP BY ()
SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS ((a), (b), ())
SELECT a, b, grouping(a, b) FROM t GROUP BY ROLLUP (a, b)
SELECT a, b FROM t GROUP BY CUBE (a, b)
-- order, distinct, limit
SELECT a FROM t ORDER BY b, a DESC NULLS LAST
SELECT a AS x FROM t ORDER BY x + 1
SELECT a AS x FROM t ORDER BY x
SELECT DISTINCT b FROM t ORDER BY b
SELECT DISTINCT ON (b) a, b FROM t ORDER BY b, a
SELECT a FROM t ORDER BY 1 LIMIT 10 OFFSET 5
SELECT a FROM t LIMIT ALL
SELECT a FROM t FETCH FIRST 3 ROWS ONLY
SELECT a FROM t FOR UPDATE
SELECT a FROM t FOR SHARE NOWAIT
SELECT t.a FROM t, u FOR UPDATE OF t SKIP LOCKED
-- set operations
SELECT a FROM t UNION SELECT a FROM u
SELECT a FROM t UNION ALL SELECT x FROM u ORDER BY 1
SELECT a, 'x' FROM t UNION SELECT a, y FROM u
SELECT 1 UNION SELECT 2.5 UNION SELECT 3::float8
SELECT NULL UNION SELECT 1
SELECT a FROM t INTERSECT SELECT a FROM u EXCEPT SELECT 3
(SELECT a FROM t LIMIT 1) UNION (SELECT a FROM u ORDER BY x LIMIT 1)
SELECT a AS n FROM t UNION SELECT x FROM u ORDER BY n LIMIT 3
-- WITH
WITH s AS (SELECT a, b FROM t) SELECT * FROM s
WITH s(x) AS (SELECT a FROM t), r AS (SELECT x + 1 AS y FROM s) SELECT * FROM r JOIN s ON true
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT * FROM r
WITH s AS MATERIALIZED (SELECT 1 AS o) SELECT * FROM s, s s2
-- INSERT
INSERT INTO t VALUES (1)
INSERT INTO t VALUES (1, 'x', 2.5, '2020-01-01', true)
INSERT INTO t (a) SELECT a FROM u RETURNING *
INSERT INTO p (k1, k2) VALUES (1, 'a') RETURNING v, w
INSERT INTO p DEFAULT VALUES
INSERT INTO p (k1, k2, v) VALUES (1, 'a', DEFAULT)
INSERT INTO ident (v) VALUES ('x') RETURNING id
INSERT INTO ident (id, v) OVERRIDING SYSTEM VALUE VALUES (1, 'x')
INSERT INTO ident (d, v) VALUES (1, 'x')
INSERT INTO t (a, b) VALUES (1, 'x') ON CONFLICT DO NOTHING
INSERT INTO t (a, b) VALUES (1, 'x') ON CONFLICT (a) DO UPDATE SET b = excluded.b
INSERT INTO t (a, b) VALUES (1, 'x') ON CONFLICT (a) DO UPDATE SET b = t.b || excluded.b WHERE t.a > 0 RETURNING b
INSERT INTO q (id, code) VALUES (1, 'x') ON CONFLICT (code) DO NOTHING
INSERT INTO q (id, code) VALUES (1, 'x') ON CONFLICT ON CONSTRAINT q_pkey DO NOTHING
INSERT INTO q (id, code) VALUES (1, 'x') ON CONFLICT ON CONSTRAINT q_code_key DO NOTHING
INSERT INTO q (id, n) VALUES (1, 2) ON CONFLICT (n) WHERE n > 0 DO NOTHING
INSERT INTO p (k1, k2) VALUES (1, 'x') ON CONFLICT (k2, k1) DO NOTHING
INSERT INTO u SELECT a, a FROM t
INSERT INTO u (a, x) SELECT 1, 2 UNION SELECT 3, 4
INSERT INTO t AS tt (a) VALUES (1) RETURNING tt.a
-- UPDATE, DELETE
UPDATE t SET b = 'x'
UPDATE t SET b = b || 'x', c = DEFAULT WHERE a = 1 RETURNING a, b
UPDATE t SET (b, c) = ('x', 1) WHERE a = 1
UPDATE t SET (b, c) = (SELECT y, x FROM u WHERE u.a = t.a)
UPDATE t SET b = u.y FROM u WHERE u.a = t.a
UPDATE t AS tt SET b = 'x' WHERE tt.a = 1
UPDATE u SET x = a, y = 5, z = 1
DELETE FROM t
DELETE FROM t USING u WHERE t.a = u.a RETURNING t.a, u.x
DELETE FROM t tt WHERE tt.a = 1
-- errors: names
SELECT nope
SELECT nope FROM t
SELECT t.nope FROM t
SELECT nope.a FROM t
SELECT a FROM nope
SELECT a FROM public.nope
SELECT a FROM nowhere.nope
SELECT a FROM t, u
SELECT t.a FROM t tt
SELECT * FROM t, t
SELECT * FROM t JOIN u ON t.a = v.a
SELECT * FROM t, u JOIN arr ON t.a = arr.id
SELECT * FROM t JOIN u USING (nope)
SELECT *
SELECT nope.* FROM t
SELECT s.nope FROM (SELECT a FROM t) s
SELECT * FROM t AS s(a, b, c, d, e, f)
SELECT * FROM t, (SELECT t.a) s
SELECT (SELECT a FROM t, u)
SELECT a AS x, b AS x FROM t ORDER BY x
INSERT INTO nope VALUES (1)
INSERT INTO t (nope) VALUES (1)
INSERT INTO t (a, a) VALUES (1, 1)
UPDATE t SET nope = 1
UPDATE t SET a = 1, a = 2
UPDATE nope SET a = 1
DELETE FROM nope
DELETE FROM t WHERE nope = 1
-- errors: types
SELECT 1 + 'x'
SELECT 1 + true
SELECT true + true
SELECT a + b FROM t
SELECT b = a FROM t
SELECT -b FROM t
SELECT a || a FROM t
SELECT 'x'::int
SELECT '2020-13-01'::date
SELECT true::date
SELECT a::uuid FROM t
SELECT a FROM t WHERE a
SELECT a FROM t WHERE 'x'
SELECT a FROM t WHERE b
SELECT NOT a FROM t
SELECT a AND e FROM t
SELECT a FROM t WHERE a = 'x'
SELECT a FROM t HAVING 1
SELECT CASE WHEN a THEN 1 END FROM t
SELECT CASE WHEN e THEN 1 ELSE 'x' END FROM t
SELECT CASE WHEN e THEN a ELSE b END FROM t
SELECT COALESCE(a, b) FROM t
SELECT COALESCE(a, 'x') FROM t
SELECT GREATEST(a, b) FROM t
SELECT NULLIF(a, b) FROM t
SELECT a IN ('x') FROM t
SELECT a IN (1, b) FROM t
SELECT ARRAY[1, 'x']
SELECT ARRAY[a, b] FROM t
SELECT ARRAY[]
SELECT a[1] FROM t
SELECT n['x'] FROM arr
SELECT a = ANY (1) FROM t
SELECT a = ANY (b) FROM t
SELECT (a, b) = (1) FROM t
SELECT (a, b) = (1, 2, 3) FROM t
SELECT (1, 2) IN ((1, 2, 3))
SELECT nope(1)
SELECT abs('x', 1)
SELECT abs()
SELECT abs(b) FROM t
SELECT sum(b) FROM t
SELECT count() FROM t
SELECT 1::nope
SELECT 1::public.nope
SELECT 1::varchar(0)
SELECT 1::numeric(2000)
SELECT 1::numeric(5, 2000)
SELECT 1::int(5)
SELECT 1 LIMIT 'x'
SELECT a FROM t LIMIT a
SELECT a FROM t LIMIT true
SELECT a FROM t UNION SELECT b FROM t
SELECT a FROM t UNION SELECT a, b FROM t
SELECT a, b FROM t UNION SELECT a FROM t
SELECT a FROM t UNION SELECT a FROM u ORDER BY a + 1
SELECT a FROM t UNION SELECT a FROM u ORDER BY nope
SELECT (SELECT a, b FROM t)
SELECT a FROM t WHERE a IN (SELECT a, b FROM t)
SELECT a FROM t WHERE (a, b) IN (SELECT a FROM t)
SELECT a FROM t WHERE a IN (SELECT b FROM t)
VALUES (1), (1, 2)
VALUES (1), ('x')
VALUES (DEFAULT)
SELECT DEFAULT
SELECT * FROM t JOIN u ON t.a
SELECT * FROM t JOIN arr ON t.b = arr.id
INSERT INTO t (a) VALUES ('x')
INSERT INTO t (a) VALUES (true)
INSERT INTO t (a, b) VALUES (1)
INSERT INTO t (a) VALUES (1, 2)
INSERT INTO t VALUES (1, 2, 3, '2020-01-01', true, 6)
INSERT INTO t (a) SELECT b FROM t
INSERT INTO t (a, b) SELECT a FROM t
INSERT INTO t (a) SELECT a, b FROM t
INSERT INTO ident (id) VALUES (1)
INSERT INTO t (a) VALUES (1) ON CONFLICT (nope) DO NOTHING
INSERT INTO t (a) VALUES (1) ON CONFLICT ON CONSTRAINT nope DO NOTHING
INSERT INTO t (a) VALUES (1) ON CONFLICT DO UPDATE SET b = 'x'
INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = a
INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = b
INSERT INTO t (a) VALUES (1) RETURNING excluded.a
UPDATE t SET a = 'x'
UPDATE t SET a = b
UPDATE t SET e = 1
UPDATE t SET (a, b) = (1)
UPDATE t SET (a, b) = (1, 2, 3)
UPDATE t SET (a, b) = (SELECT 1)
UPDATE ident SET id = 5
UPDATE t SET a = u.a FROM u
-- errors: aggregates and places
SELECT a, count(*) FROM t
SELECT b, count(*) FROM t GROUP BY a + 1
SELECT a FROM t GROUP BY b
SELECT a FROM t WHERE count(*) > 1
SELECT count(*) FROM t GROUP BY count(*)
SELECT sum(count(*)) FROM t
SELECT count(*) FROM t WHERE sum(a) > 1
SELECT * FROM t JOIN u ON count(*) > 1
SELECT a FROM t ORDER BY count(*)
SELECT count(*) FROM t ORDER BY a
SELECT a FROM t HAVING count(*) > 1
SELECT (SELECT t.b) FROM t GROUP BY e
INSERT INTO t (a) VALUES (count(*))
UPDATE t SET a = count(*)
DELETE FROM t WHERE count(*) > 1
INSERT INTO t (a) VALUES (1) RETURNING count(*)
SELECT abs(DISTINCT a) FROM t
SELECT abs(a) FILTER (WHERE true) FROM t
SELECT abs(*) FROM t
SELECT DISTINCT a FROM t ORDER BY b
SELECT DISTINCT ON (a) a, b FROM t ORDER BY b
SELECT a FROM t ORDER BY 2
SELECT a FROM t ORDER BY 0
SELECT a FROM t GROUP BY 5
SELECT a FROM t ORDER BY 'x'
SELECT a FROM t ORDER BY 1.5
SELECT a FROM t FOR UPDATE OF nope
SELECT count(*) FROM t FOR UPDATE
SELECT DISTINCT a FROM t FOR UPDATE
SELECT a FROM t GROUP BY a FOR UPDATE
SELECT a FROM t UNION SELECT a FROM t FOR UPDATE
WITH s AS (SELECT 1), s AS (SELECT 2) SELECT 1
WITH s(a, b) AS (SELECT 1) SELECT * FROM s
WITH s AS (SELECT * FROM r), r AS (SELECT 1) SELECT * FROM s
WITH RECURSIVE r AS (SELECT * FROM r) SELECT * FROM r
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1.5 FROM r) SELECT * FROM r
-- windows
SELECT row_number() OVER (ORDER BY a) FROM t
SELECT rank() OVER (PARTITION BY b ORDER BY a DESC), sum(a) OVER () FROM t
SELECT sum(c) OVER w, count(*) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY a)
SELECT sum(a) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (ORDER BY a)
SELECT lag(a) OVER (ORDER BY a), lead(b, 1) OVER (ORDER BY a), first_value(b) OVER (ORDER BY a) FROM t
SELECT b, sum(sum(a)) OVER (ORDER BY b) FROM t GROUP BY b
SELECT count(*) FILTER (WHERE a > 1) OVER () FROM t
SELECT row_number() FROM t
SELECT a FROM t WHERE row_number() OVER () = 1
SELECT sum(row_number() OVER ()) FROM t
SELECT row_number() OVER (ORDER BY row_number() OVER ()) FROM t
SELECT sum(a) OVER nope FROM t
SELECT sum(a) OVER w FROM t WINDOW w AS (ORDER BY a), w AS (ORDER BY b)
SELECT abs(a) OVER () FROM t
SELECT sum(DISTINCT a) OVER () FROM t
SELECT sum(a) OVER (w PARTITION BY b) FROM t WINDOW w AS (ORDER BY a)
SELECT sum(a) OVER (w ORDER BY b) FROM t WINDOW w AS (ORDER BY a)
SELECT sum(a) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM t
SELECT sum(a) OVER (GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM t
SELECT sum(a) OVER (ORDER BY a ROWS a PRECEDING) FROM t
SELECT b, row_number() OVER (ORDER BY a) FROM t GROUP BY b
-- more aggregates
SELECT avg(a), avg(c), avg(x), avg(z), stddev(a), variance(z) FROM t, u
SELECT string_agg(b, ',' ORDER BY a DESC), array_agg(a ORDER BY b), array_agg(DISTINCT b) FROM t
SELECT bool_and(e), bool_or(a > 1), every(e) FROM t
SELECT min(d), max(dt), min(ts), max(iv) FROM t, q
SELECT string_agg(DISTINCT b, ',' ORDER BY a) FROM t
SELECT count(a, b) FROM t
SELECT max(e) FROM t
SELECT sum(DISTINCT a + 1) FROM t GROUP BY b HAVING max(a) > 1 AND b = 'x'
SELECT (SELECT count(*) FROM u WHERE u.a = t.a) FROM t
SELECT a FROM t GROUP BY a ORDER BY max(b)
SELECT a FROM t GROUP BY a ORDER BY b
SELECT b FROM t GROUP BY b ORDER BY c
SELECT 1 FROM t HAVING true
SELECT a FROM t GROUP BY t.a, b, 1
SELECT t.b FROM t GROUP BY (a, b)
SELECT coalesce(b, 'x'), count(*) FROM t GROUP BY coalesce(b, 'x')
SELECT CASE WHEN a > 1 THEN 'x' END, count(*) FROM t GROUP BY 1
SELECT b || 'x' FROM t GROUP BY b || 'y'
SELECT count(*) AS b FROM t GROUP BY b
SELECT grouping(c) FROM t GROUP BY a
SELECT a, grouping(a) FROM t
-- text functions
SELECT lower(b), upper(y), length(b), substr(b, 2), substring(b, 1, 2), replace(b, 'a', 'b') FROM t, u
SELECT substring(b FROM 2 FOR 3), trim(b), trim(both 'x' from b), ltrim(b), position('a' IN b), overlay(b placing 'x' from 2) FROM t
SELECT b || y, b || 1, 1 || b, b || NULL, 'a' || 'b', a || b FROM t, u
SELECT concat(a, b, NULL), concat_ws(',', a, b), left(b, 2), right(b, 2), lpad(b, 5), repeat(b, 3), reverse(b) FROM t
SELECT b LIKE 'x%', b NOT LIKE '_', b ILIKE 'X%', b ~ 'x', b !~ 'x', b ~* 'X', b LIKE 'a!%' ESCAPE '!' FROM t
SELECT split_part(b, ',', 1), strpos(b, 'x'), initcap(b), md5(b), ascii(b), chr(65) FROM t
SELECT y = b, y = 'x', y || y, upper(y) FROM t, u WHERE y LIKE 'a%'
SELECT ch || 'x', ch = 'a', ch = b, length(ch), upper(ch) FROM q, t
SELECT lower(1)
SELECT length(a) FROM t
SELECT substr(b) FROM t
SELECT lower(b, 1) FROM t
SELECT b LIKE 1 FROM t
SELECT b SIMILAR TO 'x%' FROM t
-- numbers
SELECT abs(-1), abs(-1.5), abs(x), round(1.5), round(c, 1), ceil(z), floor(c), sqrt(2), power(2, 3), mod(5, 3) FROM u, t
SELECT 5 / 2, 5.0 / 2, 5 % 2, 2 ^ 3, |/ 4, @ -1, 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 2
SELECT 1::float4 + 1, 1::float4 + 1::float8, 1.5 + 1::float4
SELECT trunc(c), sign(a), exp(1), ln(2), log(10), random() FROM t
SELECT a::text || 'x', c::int, z::int, '5'::int8 + 1 FROM t, u
SELECT 2147483648, -2147483649, 9223372036854775807, 9223372036854775808
SELECT 1 = 1.0, 1 = 1::float8, 1::int2 = 1::int8, 'a' = 'a'::varchar
SELECT a = '5', a = '5.5' FROM t
SELECT x = a, x > z, c = a, c = z, s = a FROM t, u, p
-- conversions
SELECT 5::bool, 'yes'::bool, true::int, true::text
SELECT a::bool FROM t
SELECT 'x'::bytea, E'\\x01'::bytea
SELECT NULL::int, NULL + 1, NULL || 'x', NULL = NULL
SELECT CAST(NULL AS numeric(5,2)), CAST('1.239' AS numeric(5,2)), '1.5'::numeric(3)
SELECT a::varchar(5), b::char(3), y::text, 'abc'::varchar FROM t, u
SELECT '{1,2}'::int[], '{a,b}'::text[], ARRAY[1,2]::text[], n::int8[] FROM arr
SELECT '{1,x}'::int[]
SELECT 1::text::int, '1'::text::numeric
SELECT b::int, b::date FROM t
SELECT e::int, a::float8, x::int2 FROM t, u
SELECT d::text, d::date, dt::timestamp, ts::timestamptz FROM t, q
SELECT '00000000-0000-0000-0000-000000000000'::uuid, u::text FROM q
SELECT 'x'::uuid
SELECT a::timestamp FROM t
SELECT 99999999999::int
SELECT '99999999999'::int
SELECT 1.5::int, 1e10::int8
-- dates
SELECT now(), current_date, current_timestamp, localtimestamp, current_timestamp(3)
SELECT d + interval '1 day', d - d, dt + 1, dt - dt, ts - ts, dt + interval '1 day', iv * 2 FROM t, q
SELECT extract(year FROM d), date_part('month', dt), date_trunc('day', d), date_trunc('hour', ts) FROM t, q
SELECT d > now(), dt = '2020-01-01', ts < current_timestamp, d BETWEEN '2020-01-01' AND '2021-01-01' FROM t, q
SELECT d AT TIME ZONE 'UTC', ts AT TIME ZONE 'UTC' FROM t, q
SELECT interval '1 day', interval '1' day, '1 day'::interval, interval '5' hour
SELECT date '2020-01-01' + 5, timestamp '2020-01-01 00:00', timestamptz '2020-01-01 00:00Z'
SELECT to_char(d, 'YYYY'), age(d), make_date(2020, 1, 1) FROM t
SELECT 'a' + 'b'
SELECT - 'x'
SELECT dt + dt FROM q
-- functions in FROM
SELECT * FROM generate_series(1, 10)
SELECT g FROM generate_series(1, 10) g
SELECT g.x FROM generate_series(1, 10) AS g(x)
SELECT * FROM generate_series(1, 10) WITH ORDINALITY
SELECT * FROM generate_series(1, 10) WITH ORDINALITY AS g(v, n)
SELECT * FROM unnest(ARRAY[1, 2]) u, t
SELECT e FROM arr, unnest(n) AS e
SELECT x, o FROM arr, unnest(arr.t) WITH ORDINALITY AS q(x, o)
SELECT generate_series(1, 3)
SELECT unnest(n) FROM arr
SELECT a FROM t WHERE generate_series(1, 2) = 1
SELECT * FROM abs(1)
SELECT * FROM generate_series('a', 'b')
SELECT * FROM nope(1)
SELECT generate_series(1::int8, 5), generate_series(1, 2.5)
SELECT array_length(n, 1), array_upper(n, 1), cardinality(n), array_to_string(n, ','), n || 1, n || n, array_append(n, 1) FROM arr
SELECT n = n, n @> ARRAY[1], n = '{1}' FROM arr
SELECT array_position(n, 1), string_to_array('a,b', ',') FROM arr
-- session
SELECT current_user, session_user, current_database(), current_schema, version()
SELECT current_setting('x'), set_config('a', 'b', false), pg_backend_pid()
SELECT nextval('ser_id_seq'), currval('ser_id_seq'), lastval(), setval('ser_id_seq', 5)
SELECT nextval('nope_seq')
SELECT gen_random_uuid()
SELECT pg_typeof(1), pg_typeof(a) FROM t
SELECT 't'::regclass, 'nope'::regclass
SELECT 'nope'::regclass
SELECT 'int4'::regtype, 16384::regclass
SELECT oid::regclass FROM pg_class WHERE oid = 't'::regclass
SELECT relname FROM pg_class WHERE relname = 't' AND relkind IN ('r', 'v')
SELECT typname::text, typlen FROM pg_type WHERE typname LIKE 'i%'
-- INSERT, UPDATE: types
INSERT INTO q (id, ch, dt, ts, iv, u) VALUES (1, 'abc', '2020-01-01', now(), '1 day', '00000000-0000-0000-0000-000000000000')
INSERT INTO q (id, ch) VALUES (1, 5)
INSERT INTO t (a, c, d) VALUES (1.5, 1, '2020-01-01')
INSERT INTO t (a, d) VALUES (1, 5)
INSERT INTO t (a, e) VALUES (1, 1)
INSERT INTO u (a, z) VALUES (1, 1.5), (2, 3)
INSERT INTO u (a, y) VALUES (1, a)
INSERT INTO arr VALUES (1, '{1,2}', ARRAY['a'])
INSERT INTO arr VALUES (1, ARRAY['a'], ARRAY[1])
UPDATE q SET dt = now(), ts = current_date, iv = '1 day'
UPDATE t SET c = a, b = a
UPDATE arr SET n = n || 1, t = NULL
INSERT INTO ser (v) VALUES ($1) RETURNING id
INSERT INTO ser VALUES (DEFAULT, 'x')
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, 1, 1, CURRENT_TIMESTAMP)
INSERT INTO t (a) VALUES ((SELECT max(a) + 1 FROM t))
INSERT INTO t (a) SELECT count(*) FROM u
INSERT INTO t (a) SELECT generate_series(1, 10)
INSERT INTO t (a, b) SELECT $1, $2
INSERT INTO t (a, b) SELECT DISTINCT $1, $2
INSERT INTO t (a) WITH s AS (SELECT 1 AS n) SELECT n FROM s
WITH s AS (SELECT 1 AS n) INSERT INTO t (a) SELECT n FROM s
WITH s AS (SELECT 1 AS n) UPDATE t SET a = s.n FROM s
WITH s AS (SELECT 1 AS n) DELETE FROM t USING s WHERE a = s.n
INSERT INTO t (a) VALUES (1), (2, 3)
INSERT INTO t (a, b) VALUES (1, 'x'), (2)
INSERT INTO t SELECT * FROM t
INSERT INTO t SELECT * FROM u
DELETE FROM t WHERE a IN (SELECT a FROM u) RETURNING *
UPDATE t SET a = (SELECT 1, 2)
UPDATE t SET b = t2.b FROM t t2 WHERE t.a = t2.a
UPDATE t SET t.b = 'x'
DELETE FROM t USING t WHERE a = 1
-- places
SELECT a FROM t JOIN LATERAL (SELECT t.b) s ON true RIGHT JOIN u ON true
SELECT * FROM u RIGHT JOIN LATERAL (SELECT u.a) s ON true
SELECT * FROM t x, t y WHERE x.a = y.a AND b = 'x'
SELECT count(*) c FROM t ORDER BY c
SELECT a FROM t ORDER BY (SELECT 1)
SELECT a, a FROM t ORDER BY a
SELECT b AS a, a AS b FROM t ORDER BY a
SELECT a b FROM t GROUP BY b
SELECT t.a FROM t ORDER BY t.b DESC NULLS FIRST, 1
SELECT a FROM t LIMIT 1 + 1
SELECT a FROM t LIMIT (SELECT 1)
SELECT a FROM t LIMIT NULL OFFSET NULL
SELECT a FROM t OFFSET 5
SELECT DISTINCT a, b FROM t ORDER BY a, b DESC
SELECT DISTINCT ON (a, b) a, c FROM t ORDER BY b, a, c
SELECT DISTINCT ON (1) a FROM t
SELECT DISTINCT a + 1 FROM t ORDER BY a + 1
SELECT * FROM (SELECT 1 UNION SELECT 2) s
SELECT x.* FROM (VALUES (1), (2)) x
SELECT x.column1 FROM (VALUES (1), (2)) x
SELECT (VALUES (1))
SELECT a FROM t WHERE a = (VALUES (1))
SELECT a FROM t WHERE EXISTS (VALUES (1))
SELECT 1 WHERE 1 > 2
SELECT
SELECT FROM t
SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a
SELECT 1 UNION SELECT 'x'
SELECT 1 UNION SELECT '2'
SELECT 'a' UNION SELECT 'b'
SELECT NULL UNION SELECT NULL
SELECT y FROM u UNION SELECT b FROM t
SELECT ch FROM q UNION SELECT b FROM t
SELECT a FROM t EXCEPT ALL SELECT a FROM u INTERSECT ALL SELECT 1
SELECT $1 UNION SELECT 1
SELECT a FROM t UNION SELECT a FROM t ORDER BY t.a
SELECT e FROM t ORDER BY e
SELECT "a" FROM "t"
SELECT "A" FROM t
SELECT a FROM "T"
SELECT T.A FROM T
SELECT pg_catalog.lower('X')
SELECT public.lower('X')
SELECT pg_catalog.nope('X')
SELECT 1 OPERATOR(pg_catalog.+) 2
SELECT 1 OPERATOR(public.+) 2
SELECT a ++ b FROM t
SELECT a FROM t WHERE (a, b) > (1, 'x') ORDER BY a, b LIMIT 5
SELECT a FROM t WHERE (a, b) IN (VALUES (1, 'x'))
SELECT b COLLATE "nope" FROM t
SELECT a COLLATE "C" FROM t
SELECT b FROM t WHERE b IN ('x', NULL)
SELECT a FROM t WHERE a NOT IN (1, NULL)
SELECT a FROM t WHERE NOT (a = 1 OR b IS NULL)
SELECT coalesce(), 1
SELECT nullif(1, 'x')
SELECT nullif('a', 'b'), nullif(1.5, 1)
SELECT greatest('a', b), least(d, now()) FROM t
SELECT CASE WHEN true THEN 1 WHEN false THEN 2 END, CASE b WHEN 'x' THEN 1 END FROM t
SELECT CASE 1 WHEN 'x' THEN 1 END
SELECT CASE WHEN 1 THEN 1 END
SELECT CASE WHEN true THEN now() ELSE '2020-01-01' END
SELECT 1 IS TRUE
SELECT a ISNULL, b NOTNULL FROM t
SELECT true AND NULL, NULL OR false, NOT NULL
SELECT 'x' AND true
SELECT -a::int2, -5::int2, - - 5 FROM t
SELECT a.b.c.d.e FROM t
SELECT t.a.b FROM t
SELECT nope.t.a FROM t
-- views
SELECT * FROM v
SELECT v.n, x.label FROM v JOIN v x ON v.n = x.n WHERE EXISTS (SELECT 1 FROM v y WHERE y.n = v.n)
SELECT q.z FROM v AS q(z, w) WHERE q.w = $1
SELECT a FROM v
WITH t AS (SELECT 1 AS o) SELECT n FROM v, t
-- more of FROM
SELECT k, v, o FROM arr, unnest(n, arr.t) WITH ORDINALITY AS u(k, v, o)
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a'])
SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS r(a, b)
-- the catalog as drivers ask it
SELECT c.relname, CASE WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END, obj_description(c.oid, 'pg_class') FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_table_is_visible(c.oid)
SELECT a.attname, NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AS nullable, pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '' FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN pg_type t ON a.atttypid = t.oid JOIN pg_class c ON a.attrelid = c.oid WHERE c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped
SELECT c.conname, ARRAY(SELECT attname FROM unnest(c.conkey) WITH ORDINALITY cols(colid, place) JOIN pg_attribute ca ON cols.colid = ca.attnum WHERE ca.attrelid = c.conrelid ORDER BY cols.place), c.contype, (SELECT fc.relname || '.' || fa.attname FROM pg_attribute fa JOIN pg_class fc ON fa.attrelid = fc.oid WHERE fa.attrelid = c.confrelid AND fa.attnum = c.confkey[1]) FROM pg_constraint c JOIN pg_class cl ON c.conrelid = cl.oid WHERE cl.relname = 't'
SELECT i.relname, array_agg(attname ORDER BY place), indisunique FROM (SELECT c2.relname, x.indisunique, a.attname, x.place FROM (SELECT * FROM pg_index i, unnest(i.indkey, i.indoption) WITH ORDINALITY koi(key, opt, place)) x JOIN pg_class c2 ON x.indexrelid = c2.oid LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.key) i GROUP BY i.relname, indisunique
SELECT t.oid, t.typname, t.typarray, t.typelem FROM pg_type t JOIN pg_namespace n ON t.typnamespace = n.oid WHERE t.typname = ANY ($1) AND n.nspname = ANY (current_schemas(true))
SELECT n.nspname, c.relname FROM pg_class c, pg_namespace n WHERE c.relnamespace = n.oid AND c.oid = $1::regclass
SELECT 'public.t'::regclass::oid, $1::regclass::oid
SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum = ANY ((SELECT indkey FROM pg_index WHERE indrelid = 't'::regclass AND indisprimary)::int2[])
SELECT oid, typname FROM pg_type WHERE oid IN (SELECT atttypid FROM pg_attribute WHERE attrelid = 't'::regclass) ORDER BY oid
SELECT pg_get_serial_sequence('ser', 'id'), currval(pg_get_serial_sequence('ser', 'id'))
SELECT setting FROM pg_settings WHERE name = 'server_version'
SELECT typinput = 'array_in'::regproc FROM pg_type LIMIT 1
-- found by random statements: where an expression begins, what IN puts together, modifiers
SELECT CASE WHEN 6::int8 THEN 1 END
SELECT a FROM t WHERE (b || 'x')::text AND e
INSERT INTO q (ts) VALUES (($1 - 1e3))
UPDATE t SET a = (a || 'x'::char(2))
UPDATE t SET d = (ARRAY['a']) IS NULL
SELECT ARRAY[c, ('2020-01-01') IS NULL] FROM t
SELECT '{1,2}' @> $2
SELECT n IN ('x', 2.5, a) FROM q, t
SELECT a IN (1, c), a IN (b) FROM t
SELECT a IN (c, x, 1, 2), a NOT IN (x, 1) FROM t, (SELECT x FROM u) u
SELECT ARRAY[1, 2] = ANY ($2)
SELECT c::numeric, c::numeric(10,2), c::numeric(12,3), y::varchar, y::varchar(10), y::text FROM t, u
SELECT CASE WHEN e THEN c ELSE 1.5 END, COALESCE(c, c), COALESCE(c, 2::numeric(5,1)) FROM t
SELECT c FROM t UNION ALL SELECT c::numeric(12,4) FROM t
SELECT ($2) IS NULL
SELECT cardinality('x')
UPDATE t SET e = ARRAY[ARRAY[1,2], $2]
SELECT count(*) AS k FROM t GROUP BY k
SELECT b, sum(a) OVER () FROM t GROUP BY 1, 2
SELECT b, max(a) FROM t GROUP BY 1, 2
SELECT b, row_number() OVER (ORDER BY c), e FROM t GROUP BY 1
SELECT * FROM (SELECT DISTINCT a FROM t) s FOR UPDATE
SELECT * FROM (SELECT a FROM t) s, u FOR UPDATE OF u
SELECT a FROM t UNION (SELECT a FROM u FOR UPDATE)
SELECT a FROM t GROUP BY b FOR UPDATE
UPDATE t SET a = b WHERE NOT c
UPDATE t SET a = $1 WHERE b = $1
SELECT a FROM t WHERE grouping(nope) > 1
SELECT sum(grouping(a)) FROM t GROUP BY a
SELECT oid::regclass FROM pg_class ORDER BY 1
SELECT oid::regclass AS r, relname FROM pg_class ORDER BY r DESC, relname LIMIT 3
SELECT DISTINCT relnamespace::regnamespace FROM pg_class
SELECT oid::regclass FROM pg_class UNION SELECT oid::regclass FROM pg_class
