-- Relations whose rows come from the gateway, alone and with tables; the shapes of psql's questions.
virtual cls | oid oid, relname text, relkind text, nsp oid, tuples float4
row cls | 100 | accounts | r | 1 | 10
row cls | 101 | branches | r | 1 | 0
row cls | 102 | accounts_pkey | i | 1 | -1
row cls | 103 | pg_thing | r | 2 | NULL
row cls | 104 | seq | S | 1 | 1
virtual nsp | oid oid, nspname text
row nsp | 1 | public
row nsp | 2 | pg_catalog
row nsp | 3 | empty
virtual att | relid oid, num int2, attname text, must bool
row att | 100 | 1 | aid | t
row att | 100 | 2 | bid | f
row att | 101 | 1 | bid | t
row att | 103 | 1 | x | NULL
table note | id int4 not null, rel int4, what text | id
split note | 3
INSERT INTO note VALUES (1, 100, 'big'), (2, 101, 'small'), (3, 100, 'hot'), (4, 999, 'nothing');
SELECT * FROM cls ORDER BY oid;
SELECT oid FROM cls WHERE relname = 'accounts';
SELECT oid FROM cls WHERE oid = 101;
SELECT count(*) FROM cls;
SELECT n.nspname, c.relname, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' END
 FROM cls c LEFT JOIN nsp n ON n.oid = c.nsp WHERE c.relkind IN ('r', 'S', '') AND n.nspname <> 'pg_catalog' ORDER BY 1, 2;
SELECT c.relname, (SELECT count(*) FROM att a WHERE a.relid = c.oid) FROM cls c ORDER BY c.oid;
SELECT a.attname, a.must FROM att a JOIN cls c ON c.oid = a.relid WHERE c.relname ~ '^(accounts)$' ORDER BY a.num;
SELECT n.nspname, count(c.oid) FROM nsp n LEFT JOIN cls c ON c.nsp = n.oid GROUP BY n.nspname ORDER BY 1;
SELECT n.nspname FROM nsp n WHERE NOT EXISTS (SELECT 1 FROM cls c WHERE c.nsp = n.oid);
SELECT c.relname, string_agg(a.attname, ', ' ORDER BY a.num) FROM cls c JOIN att a ON a.relid = c.oid GROUP BY c.relname ORDER BY 1;
SELECT c.relname, o.what FROM cls c JOIN note o ON o.rel = c.oid::int4 ORDER BY o.id;
SELECT o.id, c.relname FROM note o LEFT JOIN cls c ON c.oid::int4 = o.rel WHERE o.id > 1 ORDER BY o.id;
SELECT c.oid, n.oid FROM cls c FULL JOIN nsp n ON n.oid = c.nsp ORDER BY c.oid, n.oid;
SELECT relname FROM cls WHERE tuples > 0 UNION SELECT what FROM note WHERE id < 3 ORDER BY 1;
SELECT c1.oid, c2.oid FROM cls c1, cls c2 WHERE c1.nsp = c2.nsp AND c1.relkind = c2.relkind AND c1.oid < c2.oid ORDER BY 1, 2;
INSERT INTO note SELECT oid::int4, oid::int4, relname FROM cls WHERE relkind = 'i';
UPDATE note SET what = c.relname FROM cls c WHERE c.oid::int4 = note.rel AND note.id < 3 RETURNING note.id, note.what;
DELETE FROM note WHERE rel NOT IN (SELECT oid::int4 FROM cls);
SELECT * FROM note ORDER BY id;
