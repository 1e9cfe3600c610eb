-- aggregates in parts on several tablets, and functions of every type in filters, groups and orders
table t | id int4 not null, g int4, n numeric(12,3), m numeric, f float8, r float4, i2 int2, i8 int8, s text, c varchar(5), b bool, d date, ts timestamp, iv interval, by bytea, a int4[] | id
split t | 11
split t | 25
INSERT INTO t SELECT x, x % 3, x * 1.5, x / 7.0, x * 0.25, x * 0.5, x, x * 1000000000000::bigint, 'row ' || x, 'c' || x, x % 2 = 0, '2024-01-01'::date + x, '2024-01-01'::timestamp + x * interval '7 hours', x * interval '90 minutes', decode(lpad(to_hex(x), 4, '0'), 'hex'), ARRAY[x, x * 2] FROM generate_series(1, 40) x;
INSERT INTO t (id, g) VALUES (41, 1), (42, NULL);
SELECT count(*), count(n), count(DISTINCT g), sum(i2), sum(id), sum(i8), sum(n), sum(m), sum(f), sum(r), sum(iv) FROM t;
SELECT avg(i2), avg(id), avg(i8), avg(n), avg(m), avg(f), avg(r), avg(iv) FROM t;
SELECT min(n), max(n), min(m), max(m), min(f), max(s), min(d), max(ts), min(iv), max(a) FROM t;
SELECT var_pop(id), var_samp(i8), stddev(n), stddev_pop(i2), variance(m) FROM t;
SELECT bool_and(b), bool_or(b), every(id > 0), bit_and(i2), bit_or(id), bit_xor(i8) FROM t;
SELECT string_agg(s, ',' ORDER BY id DESC), array_agg(id ORDER BY id), array_agg(DISTINCT g ORDER BY g) FROM t WHERE id < 15 OR id > 38;
SELECT g, count(*), sum(n), avg(m), max(s), min(id) FROM t GROUP BY g ORDER BY g NULLS FIRST;
SELECT g, b, sum(n), array_agg(id ORDER BY id) FROM t WHERE id % 5 = 0 GROUP BY g, b HAVING count(*) > 1 ORDER BY g, b;
SELECT sum(n) FILTER (WHERE b), count(*) FILTER (WHERE g = 1), sum(DISTINCT i2 % 4), count(DISTINCT s) FROM t;
SELECT sum(n), count(*), max(s), avg(i8), bool_and(b), array_agg(id), string_agg(s, ','), stddev(m) FROM t WHERE id > 1000;
SELECT date_trunc('month', ts) AS month, count(*), sum(iv), round(avg(n), 2) FROM t WHERE ts IS NOT NULL GROUP BY 1 ORDER BY 1;
SELECT id, sum(n) OVER (PARTITION BY g ORDER BY id), avg(i8) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW), rank() OVER (ORDER BY g), lag(s, 1, 'none') OVER (ORDER BY id) FROM t WHERE id BETWEEN 9 AND 13 ORDER BY id;
SELECT id, max(s) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), sum(m) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM t WHERE id BETWEEN 20 AND 28 ORDER BY id;
SELECT id FROM t WHERE s LIKE 'row 1%' AND s !~ '[2-8]$' ORDER BY id;
SELECT id FROM t WHERE n * 2 > 100 AND round(m) = 5 ORDER BY id;
SELECT id FROM t WHERE extract(dow FROM d) = 1 AND ts < '2024-01-10 12:00' ORDER BY id;
SELECT id FROM t WHERE iv >= interval '50 hours' OR a @> ARRAY[5] ORDER BY id;
SELECT id FROM t WHERE id = ANY (ARRAY[3, 12, 30]) OR by IN ('\x0005', '\x001f', '\x0020', '\x0021') ORDER BY id;
SELECT id, upper(s) || c || '|', substr(s, 5)::int + 1, to_char(ts, 'YYYY-MM-DD HH24'), encode(by, 'hex'), a[2] FROM t WHERE id IN (1, 20, 40) ORDER BY id;
SELECT CASE WHEN id < 3 THEN 'low' WHEN id > 40 THEN NULL ELSE coalesce(nullif(g, 1)::text, 'one') END, count(*) FROM t GROUP BY 1 ORDER BY 1;
SELECT sum(i8 * 1000000) FROM t;
SELECT sum(1 / (id - 30)) FROM t;
SELECT s::int FROM t WHERE id = 12;
