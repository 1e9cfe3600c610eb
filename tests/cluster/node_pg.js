// SPDX-License-Identifier: Apache-2.0
// node_pg.t runs this: PORTs of two nodes. Prints TAP.
'use strict';
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');
const QueryStream = require('pg-query-stream');
const assert = require('assert');

const [port, other] = process.argv.slice(2).map(Number);
const how = { host: '127.0.0.1', port, user: 'meridian', database: 'meridian' };
let n = 0;
const same = (got, want, what) => {
  let ok = true;
  try { assert.deepStrictEqual(got, want); } catch (e) { ok = false; console.log(e.message.replace(/^/gm, '# ')); }
  console.log(`${ok ? 'ok' : 'not ok'} ${++n} - ${what}`);
};
const code = (p) => p.then(() => 'no error', (e) => e.code);

(async () => {
  const c = new Client(how);
  await c.connect();
  const types = [ // type, what goes in, what comes out
    ['int2', 1, 1], ['int4', -2, -2], ['int8', '9007199254740993', '9007199254740993'], ['float4', 1.5, 1.5], ['float8', 0.1, 0.1],
    ['numeric', '12345678901234567890.50', '12345678901234567890.50'], ['text', 'tä "x" \'y\'', 'tä "x" \'y\''],
    ['varchar(9)', 'v', 'v'], ['char(3)', 'c', 'c  '], ['bytea', Buffer.from([0, 1, 255]), Buffer.from([0, 1, 255])],
    ['timestamptz', '2024-02-29T12:00:00Z', new Date('2024-02-29T12:00:00Z')], ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ['bool', true, true], ['int[]', [1, 2], [1, 2]], ['text[]', ['a"b', 'c,d'], ['a"b', 'c,d']], ['time', '10:00', '10:00:00'],
  ];
  await c.query(`create table nt (id serial primary key, ${types.map((t, i) => `c${i} ${t[0]}`).join(', ')})`);
  const put = `insert into nt (${types.map((t, i) => `c${i}`).join(', ')}) values (${types.map((t, i) => `$${i + 1}`).join(', ')}) returning *`;
  const row = (await c.query(put, types.map((t) => t[1]))).rows[0];
  types.forEach((t, i) => same(row[`c${i}`], t[2], `${t[0]} there and back`));
  const none = (await c.query(put, types.map(() => null))).rows[0];
  same(types.map((t, i) => none[`c${i}`]), types.map(() => null), 'NULLs');

  const named = { name: 'st', text: 'select $1::int + 1 as x' };
  same([(await c.query({ ...named, values: [41] })).rows[0].x, (await c.query({ ...named, values: [42] })).rows[0].x], [42, 43], 'a named statement, twice');
  same(await Promise.all([1, 2, 3].map((i) => c.query('select $1::int as i', [i]))).then((r) => r.map((x) => x.rows[0].i)), [1, 2, 3], 'queries in a row');
  same((await c.query('select 1 as a; select 2 as b')).map((r) => r.rows.length), [1, 1], 'several statements in one query');
  const e = await c.query('insert into nt (id) values (1)').catch((x) => x);
  same([e.code, e.constraint, e.table, e.detail], ['23505', 'nt_pkey', 'nt', 'Key (id)=(1) already exists.'], 'an error and its fields');
  same((await c.query('select 1, nope').catch((x) => x)).position, '11', 'its position');

  const cursor = c.query(new Cursor('select generate_series(1, 100) as n'));
  same([(await cursor.read(10)).length, (await cursor.read(1000)).length], [10, 90], 'a portal, read in pieces');
  await cursor.close();
  let rows = 0;
  for await (const r of c.query(new QueryStream('select generate_series(1, 1000) as n', [], { batchSize: 50 }))) rows += r.n > 0;
  same(rows, 1000, 'a stream of rows');

  await c.query('begin');
  await c.query('update nt set c1 = 5');
  same(await code(c.query('select 1/0')), '22012', 'an error in a block');
  same(await code(c.query('select 1')), '25P02', 'fails the block');
  await c.query('rollback');
  same((await c.query('select c1 from nt where id = 1')).rows[0].c1, -2, 'rollback');
  same(await code(c.query('listen x')), '0A000', 'LISTEN is not supported, and says so');

  const c2 = new Client({ ...how, port: other });
  await c2.connect();
  const slow = code(c.query('select pg_sleep(60)'));
  await c2.query('select pg_sleep(0.2)');
  same((await c2.query('select pg_cancel_backend($1) as done', [c.processID])).rows[0].done, true, 'cancelled from another node');
  same(await slow, '57014', 'the statement ends');
  same((await c.query('select 1 as a')).rows[0].a, 1, 'the session goes on');
  await c2.end();
  await c.end();

  const pool = new Pool({ ...how, max: 4, statement_timeout: 500 });
  same((await Promise.all([...Array(20).keys()].map((i) => pool.query('select $1::int as i', [i])))).map((r) => r.rows[0].i), [...Array(20).keys()], 'a pool');
  same(await code(pool.query('select pg_sleep(60)')), '57014', 'statement_timeout');
  await pool.end();
  console.log(`1..${n}`);
})().catch((e) => { console.log(`Bail out! ${e.stack}`); process.exit(1); });
