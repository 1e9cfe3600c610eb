-- INSERT, UPDATE, DELETE, their errors, RETURNING, ON CONFLICT, indexes.
table t | id int4 not null, u int4, name varchar(5), price numeric(8,2) default 1, note text not null default 'none' | id
index t | t_u | u | unique
index t | t_name | name |
check t | t_price_check | price > 0
table p | a int4 not null, b text not null, c int4 | a, b
table log | id int4 not null, what text | id
split t | 5
split p | 3
INSERT INTO t VALUES (1, 10, 'one', 1.25, 'x'), (2, 20, 'two', 2, 'y');
INSERT INTO t (id, u) VALUES (3, 30);
INSERT INTO t (id, u, name) VALUES (9, 90, 'nine') RETURNING id, name, price, note;
INSERT INTO t (id) VALUES (11), (12), (13) RETURNING *;
SELECT * FROM t ORDER BY id;
INSERT INTO t (id, u) VALUES (1, 99);
INSERT INTO t (id, u) VALUES (4, 20);
INSERT INTO t (id, u) VALUES (4, 40), (4, 41);
INSERT INTO t (id, u) VALUES (4, 40), (5, 40);
SELECT count(*) FROM t;
INSERT INTO t (id, name) VALUES (4, 'toolong');
INSERT INTO t (id, note) VALUES (4, NULL);
INSERT INTO t (id, price) VALUES (4, -1);
INSERT INTO t (id, price) VALUES (4, 123456789);
INSERT INTO t (id, u) VALUES (NULL, 4);
INSERT INTO t (id, u) VALUES (99999999999, 4);
UPDATE t SET u = u + 1;
SELECT id, u FROM t WHERE u = 21;
SELECT id, u FROM t ORDER BY u, id;
UPDATE t SET u = 21 WHERE id = 1;
UPDATE t SET price = -5 WHERE id = 1;
UPDATE t SET note = NULL WHERE id = 2;
UPDATE t SET id = id + 100 WHERE id = 3 RETURNING id, u;
UPDATE t SET id = 2 WHERE id = 1;
SELECT id FROM t WHERE u = 31;
UPDATE t SET name = 'abc', price = price * 2, note = note || '+' WHERE id IN (1, 9) RETURNING id, name, price, note;
UPDATE t SET u = NULL WHERE id = 2;
INSERT INTO t (id, u) VALUES (20, 21);
DELETE FROM t WHERE id = 20 RETURNING u, name, note;
INSERT INTO t (id, u) VALUES (21, 21);
DELETE FROM t WHERE u = 21;
SELECT id, u, name, price, note FROM t ORDER BY id;
SELECT id FROM t WHERE name = 'abc' ORDER BY id;
INSERT INTO p VALUES (1, 'x', 1), (1, 'y', 2), (5, 'x', 3);
INSERT INTO p VALUES (1, 'x', 7) ON CONFLICT (a, b) DO UPDATE SET c = p.c + excluded.c RETURNING *;
INSERT INTO p VALUES (1, 'x', 7), (2, 'z', 8) ON CONFLICT DO NOTHING;
INSERT INTO p VALUES (2, 'z', 1), (9, 'z', 1) ON CONFLICT (a, b) DO UPDATE SET c = 100 WHERE p.c > 50 RETURNING a, c;
INSERT INTO p VALUES (7, 'q', 1), (7, 'q', 2) ON CONFLICT (a, b) DO UPDATE SET c = 0;
INSERT INTO p VALUES (7, 'q', 1), (7, 'q', 2) ON CONFLICT DO NOTHING;
SELECT * FROM p ORDER BY a, b;
INSERT INTO t (id, u) VALUES (50, 11) ON CONFLICT (u) DO UPDATE SET note = 'met ' || excluded.id::text RETURNING id, u, note;
INSERT INTO t (id, u) VALUES (51, 11) ON CONFLICT DO NOTHING;
INSERT INTO p SELECT a + 10, b, c FROM p;
SELECT count(*), sum(a) FROM p;
UPDATE p SET c = t.u FROM t WHERE t.id = p.a RETURNING p.a, p.b, p.c, t.note;
DELETE FROM p USING t WHERE t.id = p.a AND t.id > 5;
DELETE FROM p WHERE a = 1 AND b = 'y';
DELETE FROM p WHERE a IN (SELECT a FROM p WHERE c > 50);
SELECT * FROM p ORDER BY a, b;
UPDATE p SET c = (SELECT max(id) FROM t) WHERE a = 1;
UPDATE p SET a = 2, b = 'new' WHERE a = 1;
SELECT * FROM p ORDER BY a, b;
INSERT INTO log SELECT id, name FROM t WHERE id > 1000;
INSERT INTO log VALUES (1, 'a') RETURNING id + 1, upper(what), 'k';
DELETE FROM log;
DELETE FROM log;
SELECT count(*) FROM log;
INSERT INTO log SELECT g, 'row ' || g FROM generate_series(1, 40) AS g;
UPDATE log SET what = what || '!' WHERE id % 2 = 0;
DELETE FROM log WHERE id > 30 OR id IN (1, 2, 3, 4, 5, 6, 7);
UPDATE log SET id = id + 500 WHERE id > 25 RETURNING id;
SELECT * FROM log ORDER BY id;
WITH w AS (SELECT id FROM log WHERE id < 20) DELETE FROM log USING w WHERE w.id = log.id AND w.id > 15;
WITH w AS (SELECT 100 AS a, 'from with' AS b) INSERT INTO log SELECT a, b FROM w;
WITH w AS (SELECT max(id) AS m FROM log) UPDATE log SET what = 'max' FROM w WHERE w.m = log.id RETURNING log.id, log.what;
INSERT INTO log DEFAULT VALUES;
UPDATE log SET what = (SELECT name FROM t WHERE t.id = log.id % 10) WHERE id < 22 RETURNING id, what;
DELETE FROM log WHERE EXISTS (SELECT 1 FROM t WHERE t.id = log.id - 20);
UPDATE t SET u = -u WHERE u IS NOT NULL;
UPDATE t SET name = NULL, u = u * 2;
SELECT id, u, name FROM t ORDER BY id;
SELECT id FROM t WHERE u < 0 ORDER BY u;
DELETE FROM t;
SELECT count(*) FROM t WHERE u < 0;
INSERT INTO t (id, u, name) SELECT g, g % 3, 'n' || g % 4 FROM generate_series(1, 3) AS g;
SELECT id FROM t WHERE u = 2;
SELECT id, name FROM t WHERE name = 'n1' OR name = 'n2' ORDER BY id;
SELECT id, name FROM t WHERE name IN ('n1', 'n2', 'n9') ORDER BY id;
SELECT count(*) FROM log;
