-- Joins, grouping, order, set operations, subqueries.
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
SELECT 1;
SELECT 1 + 1 AS two, 'x' || 'y', NULL, true;
SELECT * FROM a ORDER BY id;
SELECT id FROM a WHERE x = 10 ORDER BY id;
SELECT id, x FROM a ORDER BY x, id;
SELECT id, x FROM a ORDER BY x DESC, id DESC;
SELECT id, x FROM a ORDER BY x NULLS FIRST, id;
SELECT id, x FROM a ORDER BY x DESC NULLS LAST, id LIMIT 4;
SELECT DISTINCT x FROM a ORDER BY x;
SELECT x, count(*), count(s), sum(n), avg(n), min(d), max(s) FROM a GROUP BY x ORDER BY x;
SELECT x, count(*) FROM a GROUP BY x HAVING count(*) > 2 ORDER BY 1;
SELECT count(*), sum(x), avg(x), min(s), max(n), count(DISTINCT x) FROM a;
SELECT count(*), sum(x) FROM a WHERE id > 100;
SELECT count(*) FROM a WHERE false;
SELECT id FROM a WHERE id = NULL;
SELECT a.id, b.id, b.v FROM a JOIN b ON b.a_id = a.id ORDER BY a.id, b.id;
SELECT a.id, b.id FROM a LEFT JOIN b ON b.a_id = a.id ORDER BY a.id, b.id;
SELECT a.id, b.id FROM a RIGHT JOIN b ON b.a_id = a.id ORDER BY a.id, b.id;
SELECT a.id, b.id FROM a FULL JOIN b ON b.a_id = a.id ORDER BY a.id, b.id;
SELECT a.id, b.id FROM a LEFT JOIN b ON b.a_id = a.id AND b.v > 1 WHERE a.id < 6 ORDER BY a.id, b.id;
SELECT count(*) FROM a CROSS JOIN b;
SELECT count(*) FROM a, b WHERE a.id = b.a_id;
SELECT a.id, (SELECT count(*) FROM b WHERE b.a_id = a.id) FROM a ORDER BY a.id;
SELECT id FROM a WHERE id IN (SELECT a_id FROM b) ORDER BY id;
SELECT id FROM a WHERE id NOT IN (SELECT a_id FROM b) ORDER BY id;
SELECT id FROM a WHERE id NOT IN (SELECT a_id FROM b WHERE a_id IS NOT NULL) ORDER BY id;
SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id AND b.v < 3) ORDER BY id;
SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id) ORDER BY id;
SELECT id FROM a WHERE x > ALL (SELECT x FROM a WHERE id IN (1, 2)) ORDER BY id;
SELECT id FROM a WHERE x >= ANY (SELECT x FROM a WHERE id IN (2, 5)) ORDER BY id;
SELECT id FROM a WHERE n < ANY (SELECT v FROM b WHERE a_id = 1) ORDER BY id;
SELECT (SELECT id FROM a WHERE x = 10);
SELECT (SELECT max(id) FROM a WHERE x = 10);
SELECT v FROM b ORDER BY v, id;
SELECT DISTINCT v FROM b WHERE id IN (1, 2, 8, 9) ORDER BY v;
SELECT count(DISTINCT v), sum(v), min(v), max(v) FROM b WHERE id <= 9;
SELECT v, count(*) FROM b GROUP BY v ORDER BY v;
SELECT f FROM b ORDER BY f, id;
SELECT f, id FROM b WHERE f = 'NaN' OR f = 0 ORDER BY id;
SELECT id FROM a WHERE n = 4 ORDER BY id;
SELECT id FROM a WHERE n > 4.001 ORDER BY id;
SELECT a.id, b.id FROM a JOIN b ON a.n = b.v ORDER BY 1, 2;
SELECT id, n * 2, n + 0.001, -n FROM a WHERE n IS NOT NULL ORDER BY n;
SELECT x FROM a UNION SELECT a_id FROM b ORDER BY 1;
SELECT x FROM a WHERE x = 10 UNION ALL SELECT a_id FROM b WHERE a_id = 1 ORDER BY 1;
SELECT id FROM a INTERSECT SELECT a_id FROM b ORDER BY 1;
SELECT id FROM a EXCEPT SELECT a_id FROM b ORDER BY 1;
SELECT x FROM a EXCEPT ALL SELECT 10 ORDER BY 1;
SELECT x FROM a INTERSECT ALL SELECT x FROM a WHERE id < 5 ORDER BY 1;
SELECT n FROM a WHERE id < 3 UNION SELECT v FROM b WHERE id IN (1, 3) ORDER BY 1;
(SELECT id FROM a ORDER BY id LIMIT 2) UNION ALL (SELECT id FROM a ORDER BY id DESC LIMIT 2) ORDER BY 1;
SELECT 1 UNION SELECT 2 INTERSECT SELECT 2 ORDER BY 1;
WITH w AS (SELECT id, x FROM a WHERE x IS NOT NULL) SELECT w1.id, w2.id FROM w w1 JOIN w w2 ON w1.x = w2.x AND w1.id < w2.id ORDER BY 1, 2;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 5) SELECT i FROM r ORDER BY i;
WITH RECURSIVE r AS (SELECT id, 0 AS depth FROM a WHERE id = 1 UNION ALL SELECT a.id, r.depth + 1 FROM a JOIN r ON a.id = r.id + 1 WHERE r.depth < 3) SELECT * FROM r ORDER BY id;
VALUES (1, 'a'), (2, 'b') ORDER BY 1;
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(n, t) ORDER BY n DESC;
SELECT k, k2 FROM c ORDER BY k, k2;
SELECT k, k2 FROM c ORDER BY k DESC, k2 DESC;
SELECT k, k2 FROM c ORDER BY k, k2 DESC;
SELECT k2 FROM c WHERE k = 'apple' ORDER BY k2;
SELECT k FROM c WHERE k > 'apple' AND k <= 'pear' ORDER BY k;
SELECT k FROM c WHERE k = 'apple' AND k2 > 1;
SELECT k FROM c WHERE flag ORDER BY k;
SELECT k FROM c WHERE NOT flag ORDER BY k;
SELECT k FROM c WHERE flag IS NULL;
SELECT k FROM c WHERE flag IS NOT TRUE ORDER BY k;
SELECT k FROM c WHERE k LIKE 'a%' ORDER BY k2;
SELECT DISTINCT ON (x) x, id FROM a ORDER BY x, id DESC;
SELECT id, CASE WHEN x = 10 THEN 'ten' WHEN x IS NULL THEN 'none' ELSE x::text END FROM a ORDER BY id;
SELECT coalesce(s, 'nothing'), nullif(x, 10), greatest(x, 15), least(x, id) FROM a ORDER BY id;
SELECT id, CASE WHEN id > 5 THEN (SELECT max(v) FROM b WHERE a_id = a.id) ELSE 0 END FROM a ORDER BY id;
SELECT id, sum(x) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM a ORDER BY id;
SELECT string_agg(s, ',' ORDER BY id DESC) FROM a;
SELECT ARRAY(SELECT id FROM a WHERE x = 20 ORDER BY id DESC);
SELECT count(*) FILTER (WHERE x = 10), bool_and(id > 0), bool_or(x > 60) FROM a;
SELECT id FROM a WHERE (x, id) = (10, 4);
SELECT id FROM a WHERE (x, id) IN ((10, 4), (20, 2)) ORDER BY id;
SELECT id FROM a ORDER BY id OFFSET 8;
SELECT id FROM a ORDER BY id LIMIT 0;
SELECT id FROM a ORDER BY id LIMIT NULL OFFSET 9;
SELECT id FROM a LIMIT -1;
SELECT 1 / (id - 3) FROM a ORDER BY id;
SELECT id FROM a WHERE id / (id - id) = 1;
SELECT nosuch FROM a;
SELECT max(id) FROM a WHERE id < 9 AND s IS DISTINCT FROM 'seven';
SELECT a1.id FROM a a1 JOIN (SELECT x, max(id) AS m FROM a GROUP BY x) q ON q.m = a1.id ORDER BY a1.id;
SELECT q.x, q.c FROM (SELECT x, count(*) AS c FROM a GROUP BY x) q WHERE q.c > 1 ORDER BY q.x;
SELECT upper(s), length(s), s || '!' FROM a ORDER BY upper(s), id;
SELECT id FROM a FOR UPDATE;
SELECT a.id, b.id, b.v FROM a JOIN b ON b.id = a.id WHERE a.id = 4;
SELECT a.id, b.id FROM a LEFT JOIN b ON b.id = a.id WHERE a.id = 4;
SELECT a.id, b.id FROM a JOIN b ON b.id = a.id JOIN c ON c.k2 = b.id WHERE c.k2 = 3;
SELECT a.id, c.k FROM a JOIN c ON c.k = a.s WHERE a.s = 'apple';
SELECT a.id FROM a JOIN b ON b.id = a.id AND b.id = 100;
SELECT DISTINCT x, s IS NULL FROM a ORDER BY 1, 2;
SELECT DISTINCT x % 20 FROM a ORDER BY 1 DESC;
SELECT id, x FROM a ORDER BY x % 7, id LIMIT 3 OFFSET 2;
SELECT x % 20 AS m, count(*) + 1, max(n) * 2 FROM a GROUP BY x % 20 HAVING sum(id) > 3 ORDER BY m;
SELECT id + 1, count(*) FROM a GROUP BY id + 1 ORDER BY 1;
SELECT id, s, count(*) FROM a GROUP BY id ORDER BY id;
SELECT avg(n), sum(v), bool_or(x > 50) FROM a LEFT JOIN b ON b.a_id = a.id;
SELECT avg(n), bool_or(x > 50), string_agg(s, '-' ORDER BY s) FROM a WHERE id > 99;
SELECT stddev(x), variance(n) FROM a;
