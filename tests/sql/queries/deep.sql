-- Statements that SQLite cannot take, or only just.
table a | id int4 not null, x int4 | id
split a | 2
INSERT INTO a VALUES (1, 1), (2, 2), (3, NULL);
SELECT 1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1;
SELECT x+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1 FROM a ORDER BY id;
SELECT id FROM a WHERE ((((((((((((((((((((((((((((((((((((((id = 1 AND x > -1) OR x = 1) AND x > 1) OR x = 3) AND x > 0) OR x = 1) AND x > -1) OR x = 3) AND x > 1) OR x = 1) AND x > 0) OR x = 3) AND x > -1) OR x = 1) AND x > 1) OR x = 3) AND x > 0) OR x = 1) AND x > -1) OR x = 3) AND x > 1) OR x = 1) AND x > 0) OR x = 3) AND x > -1) OR x = 1) AND x > 1) OR x = 3) AND x > 0) OR x = 1) AND x > -1) OR x = 3) AND x > 1) OR x = 1) AND x > 0) OR x = 3) AND x > -1) OR x = 1) ORDER BY id;
SELECT id FROM a WHERE id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1 OR id = 1;
SELECT coalesce(x, (SELECT (SELECT (SELECT max(id) FROM a a3 WHERE a3.id <= a2.id) FROM a a2 WHERE a2.id = a1.id) FROM a a1 WHERE a1.id = a.id)) FROM a ORDER BY id;
