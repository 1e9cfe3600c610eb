-- Set-returning functions, windows, arrays, dates.
table a | id int4 not null, x int4, s text, n numeric(10,2), d date | id
table b | id int4 not null, a_id int4, v numeric, f float8 | id
table c | k text not null, k2 int4 not null, flag bool | k, k2
split a | 4
split a | 8
split b | 5
split c | m
INSERT INTO a VALUES (1, 10, 'one', 1.50, '2024-01-01'), (2, 20, 'two', 2.25, '2024-01-02'), (3, NULL, 'three', NULL, NULL),
 (4, 10, 'four', 4.00, '2023-12-31'), (5, 50, NULL, -5.55, '2024-02-29'), (6, 20, 'six', 6.10, '2024-01-01'),
 (7, 70, 'seven', 0, '1999-12-31'), (8, NULL, 'Eight', 8.88, '2024-01-03'), (9, 10, 'nine', 9.99, '2024-01-09'), (10, 20, '', 10, NULL);
INSERT INTO b VALUES (1, 1, 1.0, 1.5), (2, 1, 1.00, -2.5), (3, 2, 3.333, 'NaN'), (4, NULL, 4, 0), (5, 9, 12345678901234567890.123, 'Infinity'),
 (6, 9, -1, NULL), (7, 77, NULL, 1e10), (8, 4, 2, 2), (9, 4, 2.0, 2), (10, 5, 'NaN', -0.0);
INSERT INTO c VALUES ('apple', 1, true), ('apple', 2, false), ('melon', 1, NULL), ('pear', 3, true), ('zebra', 9, false);
SELECT * FROM generate_series(1, 5) AS g ORDER BY g;
SELECT g, a.s FROM generate_series(1, 12, 4) AS g LEFT JOIN a ON a.id = g ORDER BY g;
SELECT x, sum(id) OVER (ORDER BY id), row_number() OVER (PARTITION BY x ORDER BY id) FROM a ORDER BY id;
SELECT id, lag(id) OVER (ORDER BY id), lead(s, 2, 'end') OVER (ORDER BY id), rank() OVER (ORDER BY x) FROM a ORDER BY id;
SELECT array_agg(id ORDER BY id) FROM a WHERE x = 20;
SELECT x, array_agg(DISTINCT id % 3) FROM a GROUP BY x ORDER BY x;
SELECT id FROM a WHERE d >= '2024-01-01' AND d < '2024-01-03' ORDER BY d, id;
SELECT d + 1, d - '2024-01-01'::date FROM a WHERE d IS NOT NULL ORDER BY d, id;
SELECT generate_series(1, 3);
SELECT generate_series(3, 1, -1) AS g ORDER BY g DESC;
SELECT id, generate_series(1, id) FROM a WHERE id < 4 ORDER BY 1, 2;
SELECT generate_series(1, 0);
SELECT count(*), sum(g) FROM generate_series(1, 1000) AS g;
SELECT g, g * g FROM generate_series(1, 10) AS g WHERE g % 3 = 0 ORDER BY g;
SELECT a.id, g FROM a, generate_series(1, a.id) AS g WHERE a.id < 4 ORDER BY 1, 2;
SELECT a.id, g FROM a LEFT JOIN generate_series(9, 11) AS g ON g = a.id WHERE a.id > 7 ORDER BY 1, 2;
SELECT * FROM unnest(ARRAY[5, 6, NULL, 7]) WITH ORDINALITY AS u(v, n) ORDER BY n;
SELECT unnest(ARRAY['x', 'y']);
SELECT * FROM unnest('{1.5,2.25}'::numeric[]) AS u ORDER BY u;
SELECT id FROM a WHERE id IN (SELECT unnest(ARRAY[2, 3, 99])) ORDER BY id;
SELECT * FROM generate_series('2024-01-01'::timestamp, '2024-01-03'::timestamp, '12 hours') AS t ORDER BY t;
SELECT * FROM generate_series(1.0, 2.0, 0.5) AS n ORDER BY n;
SELECT i, (ARRAY['a', 'b', 'c'])[i] FROM generate_subscripts(ARRAY['a', 'b', 'c'], 1) AS i ORDER BY i;
SELECT upper(u) FROM upper('abc') AS u;
SELECT id, row_number() OVER (ORDER BY x DESC, id), dense_rank() OVER (ORDER BY x), ntile(3) OVER (ORDER BY id) FROM a ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w, count(*) OVER w FROM a WINDOW w AS (PARTITION BY x ORDER BY id) ORDER BY id;
SELECT id, avg(n) OVER (ORDER BY id ROWS 2 PRECEDING), max(s) OVER (PARTITION BY x) FROM a ORDER BY id;
SELECT x, sum(sum(id)) OVER (ORDER BY x) FROM a GROUP BY x ORDER BY x;
SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY x ORDER BY id) AS r FROM a) q WHERE r = 1 ORDER BY id;
SELECT array_agg(s ORDER BY s DESC), array_agg(DISTINCT x) FROM a;
SELECT id, ARRAY(SELECT b.id FROM b WHERE b.a_id = a.id ORDER BY b.id) FROM a ORDER BY id;
SELECT array_to_string(array_agg(id ORDER BY id), '/') FROM a;
SELECT extract(year FROM d), count(*) FROM a GROUP BY 1 ORDER BY 1;
SELECT id FROM a WHERE d = '2024-01-01' ORDER BY id;
SELECT id FROM a WHERE d BETWEEN '2024-01-01' AND '2024-01-05' ORDER BY id;
SELECT date_trunc('month', d::timestamp), min(id) FROM a GROUP BY 1 ORDER BY 1;
SELECT d - interval '1 day' FROM a WHERE id = 1;
SELECT id FROM a WHERE d::timestamp + interval '1 month' > '2024-02-01' ORDER BY id;
SELECT now() = now(), now()::date = current_date, count(*) FROM a WHERE d < now();
SELECT id FROM a WHERE d > 'nosuch';
INSERT INTO a(id, s, d) SELECT g, 'g' || g, '2020-01-01'::date + g FROM generate_series(101, 130) AS g;
SELECT count(*), min(d), max(d), max(s) FROM a WHERE id > 100;
DELETE FROM a WHERE id = ANY (SELECT generate_series(101, 110));
SELECT count(*) FROM a WHERE id = ANY (ARRAY[1, 2, 111, 3]);
SELECT k, count(*) OVER (PARTITION BY k) FROM c ORDER BY k, k2;
SELECT i FROM (VALUES ('1 day'::interval), ('23 hours'), ('-1 month'), ('30 days 1 second'), ('1 month'), ('2 years')) AS v(i) ORDER BY i;
SELECT a FROM (VALUES (ARRAY[1, 2]), (ARRAY[1]), (ARRAY[1, NULL]), (ARRAY[]::int4[]), (ARRAY[2]), (ARRAY[-5, 7]), (NULL)) AS v(a) ORDER BY a;
SELECT a, count(*) FROM (VALUES (ARRAY['x', 'y']), (ARRAY['x']), (ARRAY['x', 'y']), (ARRAY['a', 'b', 'c'])) AS v(a) GROUP BY a ORDER BY a DESC;
SELECT id FROM a ORDER BY ARRAY[x, -id];
SELECT id, rank() OVER (ORDER BY d - '2024-01-01'::timestamp) FROM a WHERE d IS NOT NULL ORDER BY 2, 1;
