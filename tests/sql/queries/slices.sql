-- Slices of arrays.
table a | id int, n int[], t text[], m int[], d numeric(6,2)[], k int | id
split a | 3
INSERT INTO a VALUES (1, '{10,20,30,40,50}', '{a,b,NULL,d}', '{{1,2,3},{4,5,6},{7,8,9}}', '{1.50,2.25,3.00}', 2), (2, '[3:6]={1,2,3,4}', '{}', '[0:1][2:3]={{1,2},{3,4}}', '{0.10}', 4), (3, NULL, '{x}', NULL, NULL, NULL), (4, '{NULL,NULL,7}', '{"p q","r,s"}', '{{NULL,1}}', '{9.99,NULL}', 1);
SELECT id, n[1:2], n[2:3], n[4:4], n[3:100] FROM a ORDER BY id;
SELECT id, n[:2], n[2:], n[:] FROM a ORDER BY id;
SELECT id, n[3:2], n[0:0], n[-5:1], n[100:200] FROM a ORDER BY id;
SELECT id, t[1:2], t[2:4], t[3:3] FROM a ORDER BY id;
SELECT id, m[1:2], m[1:2][1:2], m[2:3][2:3], m[:][2:], m[2:][:] FROM a ORDER BY id;
SELECT id, m[1:2][2], m[2][1:1], m[2][2:3], m[0:0][2:2] FROM a ORDER BY id;
SELECT id, n[1:2][1:2], m[1:1][1:1][1:1] FROM a ORDER BY id;
SELECT id, d[1:2], d[2:3] FROM a ORDER BY id;
SELECT id, n[k:k + 1], n[NULL:2], n[1:NULL], n[k:] FROM a ORDER BY id;
SELECT id, array_dims(n[2:3]), array_dims(m[2:3][2:3]), array_lower(n[4:5], 1), cardinality(n[1:4]) FROM a ORDER BY id;
SELECT id, (n[2:4])[1], (n[2:4])[3], (m[2:2][1:3])[1][2] FROM a ORDER BY id;
SELECT id, n[1:2] || n[4:5], array_length(t[1:2], 1), array_to_string(t[1:2], '-', '?') FROM a ORDER BY id;
SELECT id FROM a WHERE n[1:2] = '{10,20}' OR t[1:1] = ARRAY['x'] ORDER BY id;
SELECT id FROM a WHERE 30 = ANY (n[2:4]) ORDER BY id;
SELECT id, u FROM a, unnest(n[1:3]) u ORDER BY id, u;
SELECT (ARRAY[1, 2, 3, 4])[2:3], ('{a,b,c}'::text[])[:2], (ARRAY['x', 'y'])[2:], (string_to_array('a b c d', ' '))[2:3];
SELECT (array_agg(id ORDER BY id))[1:2] FROM a;
SELECT n['1':'2'], n[1.4:2.6] FROM a WHERE id = 1;
SELECT n[1:'x'] FROM a;
SELECT n[true:2] FROM a;
SELECT k[1:2] FROM a;
SELECT n[1][1][1][1][1][1][1] FROM a;
UPDATE a SET n = n[2:3], t = t[:1] WHERE id = 1;
SELECT n, t FROM a WHERE id = 1;
