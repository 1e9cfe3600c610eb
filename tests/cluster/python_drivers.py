# SPDX-License-Identifier: Apache-2.0
# python_drivers.t runs this: NAME PORT: one driver's tests, as TAP. Exit status 77: the driver is not here.
import asyncio, datetime, decimal, sys, uuid

name, port = sys.argv[1], int(sys.argv[2])
count = 0
utc = datetime.timezone.utc
how = dict(host='127.0.0.1', port=port, user='meridian')


def same(got, want, what):
    global count
    count += 1
    if got != want:
        print(f'# {what}: {got!r}, not {want!r}')
    print(f"{'ok' if got == want else 'not ok'} {count} - {name}: {what}")


# Type, value: the same comes back.
types = [
    ('int2', 3), ('int4', -70000), ('int8', 1 << 40), ('float4', 1.5), ('float8', 0.1), ('numeric', decimal.Decimal('123456789012345678901.250')),
    ('text', "x'\"ä"), ('varchar(20)', 'v'), ('bool', True), ('date', datetime.date(2024, 2, 29)),
    ('timestamp', datetime.datetime(2024, 2, 29, 12, 0, 0, 500000)), ('timestamptz', datetime.datetime(2024, 2, 29, 12, tzinfo=utc)),
    ('time', datetime.time(10, 30)), ('interval', datetime.timedelta(days=3, hours=4, microseconds=7)), ('bytea', b'\0\x01\xff'),
    ('uuid', uuid.UUID('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')), ('int4[]', [1, 2, 3]), ('text[]', ['a', 'b,"c']),
]


def create(table):
    return f"create table {table} (id serial primary key, {', '.join(f'c{i} {t[0]}' for i, t in enumerate(types))})"


def insert(table, place):
    return f"insert into {table} ({', '.join(f'c{i}' for i in range(len(types)))}) values ({', '.join(place(i) for i in range(len(types)))}) returning id"


def plain(v):
    return bytes(v) if isinstance(v, memoryview) else v


def psycopg2_():
    import psycopg2, psycopg2.extras
    psycopg2.extras.register_uuid()
    c = psycopg2.connect(dbname='meridian', **how)
    k = c.cursor()
    k.execute(create('p2'))
    k.execute(insert('p2', lambda i: f'%s::{types[i][0]}'), [t[1] for t in types])
    same(k.fetchone()[0], 1, 'RETURNING')
    c.commit()
    k.execute('select * from p2')
    row = k.fetchone()
    for i, (t, v) in enumerate(types):
        same(plain(row[i + 1]), v, t)
    psycopg2.extras.execute_values(k, 'insert into p2 (c1) values %s', [(i,) for i in range(100)])
    s = c.cursor('named')
    s.execute('select c1 from p2 order by id')
    same((len(s.fetchmany(10)), len(s.fetchall())), (10, 91), 'a named cursor')
    c.rollback()
    try:
        k.execute('insert into p2 (id) values (1)')
    except psycopg2.errors.UniqueViolation as e:
        same(e.diag.constraint_name, 'p2_pkey', 'an error')
    c.rollback()
    c.set_session(isolation_level='SERIALIZABLE', readonly=True)
    try:
        k.execute('delete from p2')
    except psycopg2.errors.ReadOnlySqlTransaction as e:
        same(e.pgcode, '25006', 'read only')
    c.rollback()
    c.close()


def psycopg3_():
    import psycopg
    with psycopg.connect(dbname='meridian', **how) as c:
        c.execute(create('p3'))
        for binary in (False, True):
            k = c.cursor(binary=binary)
            k.execute(insert('p3', lambda i: f"%{'b' if binary else 't'}"), [t[1] for t in types])
            i = k.fetchone()[0]
            k.execute('select * from p3 where id = %s', [i])
            row = k.fetchone()
            for i, (t, v) in enumerate(types):
                same(plain(row[i + 1]), v, f"{t}, {'binary' if binary else 'text'}")
        with c.cursor().copy('copy p3 (c1, c6) from stdin') as copy:
            for i in range(10):
                copy.write_row((i, 'a\tb'))
        columns = [i for i, t in enumerate(types) if '(' not in t[0]]
        names = ', '.join(f'c{i}' for i in columns)
        with c.cursor().copy(f'copy (select {names} from p3 where id <= 2) to stdout (format binary)') as copy:
            copy.set_types([types[i][0] for i in columns])
            rows = list(copy.rows())
        same([tuple(plain(v) for v in r) for r in rows], [tuple(types[i][1] for i in columns)] * 2, 'COPY out in binary')
        with c.cursor().copy(f'copy p3 ({names}) from stdin (format binary)') as copy:
            copy.set_types([types[i][0] for i in columns])
            for r in rows:
                copy.write_row(r)
        same(c.execute(f'select count(*) from p3 a, p3 b where a.id = 1 and b.id > 12 and a.c5 = b.c5 and a.c6 = b.c6 and a.c16 = b.c16').fetchone()[0], 2, 'COPY in in binary')
        with c.pipeline():
            same([x.fetchone()[0] for x in [c.execute('select %s::int', (i,)) for i in range(5)]], [0, 1, 2, 3, 4], 'a pipeline')
        with c.transaction():
            try:
                with c.transaction():
                    c.execute('select 1/0')
            except psycopg.errors.DivisionByZero as e:
                same(e.sqlstate, '22012', 'a savepoint')
        with c.cursor(name='x') as s:
            s.execute('select generate_series(1, 100)')
            same(len(s.fetchmany(10)) + len(s.fetchall()), 100, 'a server-side cursor')
        for i in range(10):
            c.execute('select %s::int', (i,), prepare=True)
        same(c.execute('select count(*) > 0 from p3').fetchone()[0], True, 'prepared statements')


def asyncpg_():
    import asyncpg

    async def main():
        c = await asyncpg.connect(database='meridian', **how)
        await c.execute(create('ap'))
        await c.fetch(insert('ap', lambda i: f'${i + 1}'), *[t[1] for t in types])
        row = await c.fetchrow('select * from ap')
        for i, (t, v) in enumerate(types):
            same(row[i + 1], v, t)
        async with c.transaction():
            same(len([r async for r in c.cursor('select generate_series(1, 100)', prefetch=10)]), 100, 'a portal in pieces')
        same(await c.copy_records_to_table('ap', records=[(i, 'x') for i in range(10)], columns=['c1', 'c6']), 'COPY 10', 'COPY in binary')
        await c.executemany('insert into ap (c1) values ($1)', [(i,) for i in range(20)])
        st = await c.prepare('select * from ap')
        same([a.name for a in st.get_attributes()][:2], ['id', 'c0'], 'attributes')
        try:
            await c.fetch('select pg_sleep(60)', timeout=0.5)
        except asyncio.TimeoutError:
            same(await c.fetchval('select 1'), 1, 'a timeout cancels the statement')
        await c.close()
        pool = await asyncpg.create_pool(database='meridian', min_size=2, max_size=4, **how)
        for i in range(6):
            async with pool.acquire() as d:
                await d.fetchval('select 1')
        async with pool.acquire() as d:
            same(await d.fetchval('select count(*) from ap'), 31, 'a pool')
        await pool.close()

    asyncio.run(main())


def pg8000_():
    import pg8000
    c = pg8000.connect(database='meridian', **how)
    k = c.cursor()
    k.execute('create table p8 (a int primary key, b text, c numeric, d timestamp, e bytea, f bool)')
    row = (1, 'x', decimal.Decimal('1.50'), datetime.datetime(2024, 2, 29, 12), b'\0a', True)
    k.execute('insert into p8 values (%s, %s, %s, %s, %s, %s)', row)
    c.commit()
    k.execute('select * from p8')
    same(tuple(k.fetchall()[0]), row, 'a row there and back')
    c.close()


def sqlalchemy_():
    from sqlalchemy import ARRAY, Column, DateTime, Index, Integer, Numeric, String, create_engine, func, ForeignKey
    from sqlalchemy.orm import Session, declarative_base, relationship
    e = create_engine(f'postgresql+psycopg2://meridian@127.0.0.1:{port}/meridian')
    base = declarative_base()

    class Person(base):
        __tablename__ = 'sa_person'
        id = Column(Integer, primary_key=True)
        name = Column(String(50), nullable=False, unique=True)
        n = Column(Numeric(10, 2), server_default='0')
        made = Column(DateTime(timezone=True), server_default=func.now())
        tags = Column(ARRAY(Integer))
        pets = relationship('Pet')
        __table_args__ = (Index('sa_ix', 'n'),)

    class Pet(base):
        __tablename__ = 'sa_pet'
        id = Column(Integer, primary_key=True)
        person = Column(ForeignKey('sa_person.id'))

    base.metadata.create_all(e)
    with Session(e) as s:
        s.add_all([Person(name='a', tags=[1], pets=[Pet(), Pet()]), Person(name='b')])
        s.commit()
        same([(u.name, u.n, u.tags, len(u.pets)) for u in s.query(Person).order_by(Person.id)],
             [('a', decimal.Decimal(0), [1], 2), ('b', decimal.Decimal(0), None, 0)], 'objects')
        u = s.query(Person).filter(Person.name == 'a').with_for_update().one()
        u.n = 5
        s.commit()
        same(s.query(func.count(Person.id), func.sum(Person.n)).one(), (2, decimal.Decimal(5)), 'aggregates')
    base.metadata.create_all(e)
    base.metadata.drop_all(e)
    same(True, True, 'create_all and drop_all')


try:
    {'psycopg2': psycopg2_, 'psycopg': psycopg3_, 'asyncpg': asyncpg_, 'pg8000': pg8000_, 'sqlalchemy': sqlalchemy_}[name]()
except ModuleNotFoundError as e:
    print(f'# {e}')
    sys.exit(77)
print(f'1..{count}')
