-- Alternatives that are ranges of one column: by key and by index, ascending and descending, overlapping, empty, open, of NULL.
table r | id int4 not null, k int4, s text, n numeric(10,2) | id
table p | a int4 not null, b int4 not null, v text | a, b desc
index r | r_k | k |
index r | r_s | s desc |
index r | r_n | n |
split r | 30
split r | 60
split p | 3
INSERT INTO r SELECT i, (i * 37) % 100, 's' || lpad(((i * 7) % 50)::text, 2, '0'), (i % 20) / 4.0 FROM generate_series(1, 90) i;
INSERT INTO r VALUES (91, NULL, NULL, NULL), (92, 50, NULL, 1.5);
INSERT INTO p SELECT i % 5, i, 'v' || i FROM generate_series(1, 50) i;
SELECT id FROM r WHERE id BETWEEN 3 AND 5 OR id BETWEEN 28 AND 32 OR id = 77 ORDER BY id;
SELECT id FROM r WHERE id BETWEEN 28 AND 32 OR id BETWEEN 3 AND 5 OR id BETWEEN 4 AND 8 ORDER BY id DESC;
SELECT id FROM r WHERE id < 3 OR id > 90 ORDER BY id;
SELECT id FROM r WHERE id <= 3 OR id >= 90 ORDER BY id LIMIT 4;
SELECT count(k) FROM r WHERE k BETWEEN 10 AND 14 OR k BETWEEN 50 AND 54 OR k BETWEEN 90 AND 94;
SELECT id, k FROM r WHERE k BETWEEN 10 AND 14 OR k BETWEEN 12 AND 20 OR k = 50 ORDER BY k, id;
SELECT count(*) FROM r WHERE k BETWEEN 20 AND 10 OR k BETWEEN 1 AND 0;
SELECT count(*) FROM r WHERE k BETWEEN 20 AND NULL OR k = 33;
SELECT count(*) FROM r WHERE k = NULL OR k = NULL;
SELECT count(*) FROM r WHERE (k < 5 OR k > 95) AND id > 40;
SELECT count(*) FROM r WHERE (k < 5 OR k > 95 OR s = 's01');
SELECT count(*) FROM r WHERE (k < 5 OR k IS NULL);
SELECT count(*) FROM r WHERE (k > 5 AND id < 10) OR (k < 3 AND id > 80);
SELECT id, s FROM r WHERE s BETWEEN 's01' AND 's03' OR s >= 's48' ORDER BY s DESC, id;
SELECT id FROM r WHERE s < 's02' OR s > 's47' ORDER BY id;
SELECT id FROM r WHERE n BETWEEN 1 AND 1.5 OR n = 4.75 ORDER BY id;
SELECT a, b FROM p WHERE a = 2 AND (b BETWEEN 10 AND 20 OR b > 40) ORDER BY a, b DESC;
SELECT a, b FROM p WHERE a IN (1, 4) AND (b < 8 OR b = 49 OR b BETWEEN 21 AND 31) ORDER BY a, b;
SELECT a, b FROM p WHERE (a = 1 OR a BETWEEN 3 AND 3) AND b < 20 ORDER BY a, b;
SELECT a, b FROM p WHERE (a < 1 OR a > 3) AND b BETWEEN 20 AND 30 ORDER BY b;
UPDATE r SET s = 'moved' WHERE id BETWEEN 1 AND 2 OR id BETWEEN 58 AND 62 RETURNING id;
DELETE FROM r WHERE k < 2 OR k BETWEEN 40 AND 42 RETURNING id, k;
SELECT count(*), sum(k) FROM r;
