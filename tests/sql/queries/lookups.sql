-- Joins that look rows up by key: one at a time, many at once, and when the whole table is cheaper; = ANY; partial indexes.
table big | id int not null, grp int, name text, n numeric(10,2) | id
table pair | a int not null, b int not null, note text | a, b
table outerr | k int not null, ref int, ref2 bigint, x numeric(10,2), pad text | k
table few | id int not null, t text | id
table amounts | amount numeric(10,2) not null, what text | amount
index big | big_part | grp | | grp > 90
index big | big_name | name | unique | name IS NOT NULL
split big | 700
split big | 1900
split pair | 40
split outerr | 300
split few | 3

INSERT INTO big SELECT x, x % 100, CASE WHEN x % 10 > 0 THEN 'name ' || x END, x * 0.25 FROM generate_series(1, 3000) x;
INSERT INTO pair SELECT x / 10, x % 10, 'pair ' || x FROM generate_series(0, 999) x;
INSERT INTO outerr SELECT x, CASE WHEN x % 7 > 0 THEN x * 5 % 3300 END, x * 3, x * 0.5, repeat('p', x % 50) FROM generate_series(1, 800) x;
INSERT INTO few SELECT x, 'few ' || x FROM generate_series(1, 6) x;
INSERT INTO amounts SELECT x * 0.50, 'amount ' || x FROM generate_series(1, 400, 3) x;

SELECT count(*), sum(b.id), min(b.name), max(b.name) FROM outerr o JOIN big b ON b.id = o.ref;
SELECT o.k, b.name FROM outerr o JOIN big b ON b.id = o.ref WHERE o.k BETWEEN 290 AND 310 ORDER BY o.k;
SELECT o.k, o.ref, b.id FROM outerr o LEFT JOIN big b ON b.id = o.ref WHERE o.k % 90 = 0 ORDER BY o.k;
SELECT count(*), count(b.id), sum(o.k) FROM outerr o LEFT JOIN big b ON b.id = o.ref AND b.grp < 50;
SELECT count(*), count(b.id) FROM outerr o LEFT JOIN big b ON b.id = o.ref2;
SELECT count(*), sum(p.b) FROM outerr o JOIN pair p ON p.a = o.k;
SELECT count(*), min(p.note), max(p.note) FROM outerr o JOIN pair p ON p.a = o.k AND p.b = o.k % 10;
SELECT o.k, p.note FROM outerr o JOIN pair p ON p.a = o.k AND p.b = o.ref WHERE o.k < 100 ORDER BY 1, 2;
SELECT o.k, p.b, p.note FROM outerr o JOIN pair p ON p.a = o.k WHERE o.k IN (12, 39, 40, 41) AND p.b > 7 ORDER BY 1, 2;
SELECT count(*), sum(f.id) FROM outerr o JOIN few f ON f.id = o.k % 9;
SELECT count(*), count(DISTINCT f.t) FROM big b JOIN few f ON f.id = b.grp;
SELECT count(*), sum(a.amount) FROM outerr o JOIN amounts a ON a.amount = o.x;
SELECT o.k, a.what FROM outerr o LEFT JOIN amounts a ON a.amount = o.x WHERE o.k < 12 ORDER BY 1;
SELECT count(*), sum(b2.id) FROM outerr o JOIN big b ON b.id = o.ref JOIN big b2 ON b2.id = b.grp;
SELECT count(*), sum(b2.id), sum(p.b) FROM outerr o JOIN big b ON b.id = o.ref JOIN big b2 ON b2.id = o.ref2 JOIN pair p ON p.a = b.grp AND p.b = 3;
SELECT count(*), sum(b.id) FROM outerr o JOIN big b ON b.id = o.ref OR b.id = o.k;
SELECT o.k, b.id FROM outerr o JOIN big b ON b.id = o.ref OR b.id = o.k WHERE o.k IN (1, 7, 200, 600) ORDER BY 1, 2;
SELECT o.k, (SELECT b.name FROM big b WHERE b.id = o.ref) FROM outerr o WHERE o.k > 790 ORDER BY 1;
SELECT count(*) FROM outerr o WHERE EXISTS (SELECT 1 FROM big b WHERE b.id = o.ref AND b.grp > 10);
SELECT count(*) FROM outerr o WHERE NOT EXISTS (SELECT 1 FROM big b WHERE b.id = o.ref);
SELECT count(*) FROM outerr o WHERE o.ref IN (SELECT id FROM big WHERE grp = 5);
SELECT o.k, b.id FROM outerr o JOIN big b ON b.id = o.ref ORDER BY o.k LIMIT 3;
SELECT o.k, b.id, p.b FROM outerr o JOIN big b ON b.id = o.ref LEFT JOIN pair p ON p.a = b.grp AND p.b < 2 WHERE o.k > 770 ORDER BY 1, 2, 3;
SELECT count(*), sum(x.id) FROM (SELECT b.id FROM outerr o JOIN big b ON b.id = o.ref WHERE o.k < 100) x JOIN big y ON y.id = x.id;
SELECT count(*) FROM outerr o FULL JOIN big b ON b.id = o.ref;
SELECT count(*), count(o.k) FROM outerr o RIGHT JOIN few f ON f.id = o.ref;
UPDATE outerr SET pad = b.name FROM big b WHERE b.id = outerr.ref AND outerr.k <= 60;
SELECT count(*), min(pad), max(pad) FROM outerr WHERE pad LIKE 'name%';
DELETE FROM outerr USING big b WHERE b.id = outerr.ref AND b.grp = 35;
SELECT count(*) FROM outerr;

SELECT id, name FROM big WHERE id = ANY ('{5,700,701,9999,NULL,5}') ORDER BY id;
SELECT count(*) FROM big WHERE id = ANY ('{}'::int[]);
SELECT count(*) FROM big WHERE id = ANY (NULL::int[]);
SELECT count(*) FROM big WHERE NOT (id = ANY ('{1,NULL}'));
SELECT count(*) FROM big WHERE NOT (id = ANY ('{1,2}'));
SELECT count(*) FROM big WHERE name = ANY ('{name 7,name 8,name 10}');
SELECT a, b FROM pair WHERE a = ANY ('{3,77}') AND b = ANY (ARRAY[1, 9]) ORDER BY 1, 2;
SELECT id, id = ANY ('{4,NULL}') FROM big WHERE id IN (4, 5) ORDER BY 1;
SELECT count(*) FROM amounts WHERE amount = ANY ('{0.5,2.0,3.00}'::numeric[]);

SELECT count(*), min(id), max(id) FROM big WHERE grp > 90 AND grp < 93;
SELECT count(*), min(id) FROM big WHERE grp > 90 AND grp = 95;
SELECT count(*) FROM big WHERE grp = 95;
SELECT count(*) FROM big WHERE grp = 5;
SELECT id FROM big WHERE name IS NOT NULL AND name = 'name 2999';
SELECT id FROM big WHERE name = 'name 2999';
UPDATE big SET grp = 99 WHERE id < 4;
SELECT id, grp FROM big WHERE grp > 90 AND grp = 99 ORDER BY id LIMIT 5;
DELETE FROM big WHERE grp > 90 AND grp = 99;
SELECT count(*) FROM big WHERE grp > 90;
