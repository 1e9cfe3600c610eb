-- The statements of pgbench's built-in scripts.
table pgbench_branches | bid int4 not null, bbalance int4, filler char(88) | bid
table pgbench_tellers | tid int4 not null, bid int4, tbalance int4, filler char(84) | tid
table pgbench_accounts | aid int4 not null, bid int4, abalance int4, filler char(84) | aid
table pgbench_history | hid int8 not null, tid int4, bid int4, aid int4, delta int4, mtime timestamp, filler char(22) | hid
split pgbench_accounts | 30
split pgbench_accounts | 60
split pgbench_tellers | 6
INSERT INTO pgbench_branches(bid, bbalance) VALUES (1, 0), (2, 0);
INSERT INTO pgbench_tellers(tid, bid, tbalance) WITH RECURSIVE g(t) AS (SELECT 1 UNION ALL SELECT t + 1 FROM g WHERE t < 10) SELECT t, (t - 1) / 5 + 1, 0 FROM g;
INSERT INTO pgbench_accounts(aid, bid, abalance, filler) WITH RECURSIVE g(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM g WHERE a < 100) SELECT a, (a - 1) / 50 + 1, 0, '' FROM g;
SELECT count(*) FROM pgbench_branches;
SELECT abalance FROM pgbench_accounts WHERE aid = 42;
SELECT abalance FROM pgbench_accounts WHERE aid = 4200;
UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = 42;
SELECT abalance FROM pgbench_accounts WHERE aid = 42;
UPDATE pgbench_tellers SET tbalance = tbalance + 17 WHERE tid = 7;
UPDATE pgbench_branches SET bbalance = bbalance + 17 WHERE bid = 1;
INSERT INTO pgbench_history (hid, tid, bid, aid, delta, mtime) VALUES (1, 7, 1, 42, 17, '2026-01-02 03:04:05');
SELECT * FROM pgbench_history;
SELECT sum(abalance), count(*), min(aid), max(aid) FROM pgbench_accounts;
SELECT bid, count(*), sum(abalance) FROM pgbench_accounts GROUP BY bid ORDER BY bid;
SELECT aid FROM pgbench_accounts ORDER BY aid LIMIT 5;
SELECT aid FROM pgbench_accounts ORDER BY aid DESC LIMIT 5 OFFSET 38;
SELECT aid FROM pgbench_accounts WHERE aid BETWEEN 28 AND 33 ORDER BY aid;
SELECT aid, filler FROM pgbench_accounts WHERE aid IN (1, 31, 61, 99, 1000) ORDER BY aid;
SELECT aid FROM pgbench_accounts WHERE aid = ANY('{5,65,5}'::int4[]) ORDER BY aid;
SELECT t.tid, b.bbalance FROM pgbench_tellers t JOIN pgbench_branches b USING (bid) WHERE t.tid > 4 ORDER BY t.tid;
DELETE FROM pgbench_accounts WHERE aid > 95;
SELECT count(*) FROM pgbench_accounts;
UPDATE pgbench_accounts SET abalance = aid WHERE aid % 10 = 0;
SELECT aid, abalance FROM pgbench_accounts WHERE abalance <> 0 ORDER BY abalance DESC, aid LIMIT 4;
