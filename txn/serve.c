/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c: a request at its tablet.
 *
 * What waits (locks) comes before what changes (the overlay), and what changes is all done or not at all, so a request that was
 * refused half-way leaves nothing but locks. Between the two nothing waits, and behind each wait the host is looked at again:
 * the tablet may have gone, its leadership with it.
 */
#include "txn/serve.h"

#include <stdlib.h>

#include "shard/store/rowbatch.h"
#include "txn/host_internal.h"
#include "txn/spans.h"

struct write {
    uint64_t seq;
    uint8_t kind;
    struct table *table; /* of rows: the tablet's, good until a wait; of WRITE_TABLE: decoded, to be unreferenced */
    uint64_t table_id;
    uint32_t version;
    const struct value *values;
    uint16_t n;
    struct span key; /* of rows */
};

struct exec {
    struct txn_hosts *hs;
    const struct exec_ask *ask;
    struct exec_answer *ret;
    struct txn_host *h;
    struct arena a;
    struct write *w;
    size_t n_writes;
    int64_t deadline;
    bool in_request;
    exec_on_batch *on_batch;
    void *ctx;
};

/* ---- checks ---------------------------------------------------------------------------------------------------------- */

static enum rc check_tablet(struct exec *e, struct err *err) {
    const struct exec_ask *ask = e->ask;
    struct tablet *t = tablets_find(e->hs->store->tablets, ask->tablet);
    if (!t)
        return err_set(err, RC_MOVED, "tablet %llu is not on this store", (unsigned long long)ask->tablet);
    e->ret->leader = replica_leader(tablet_replica(t));
    enum rc rc = tablet_check(t, ask->generation, err);
    if (rc)
        return rc;
    struct txn_host *h = tablet_upper(t);
    if (!h)
        return err_set(err, RC_NOT_LEADER, "tablet %llu is being opened", (unsigned long long)ask->tablet);
    if (ask->ref && !host_leads(h))
        return err_set(err, RC_NOT_LEADER, "this replica does not lead tablet %llu", (unsigned long long)ask->tablet);
    if (ask->generation && site_generation(h->site) != ask->generation)
        return err_set(err, RC_MOVED, "tablet %llu is being split", (unsigned long long)ask->tablet);
    e->h = h;
    e->ret->generation = site_generation(h->site);
    e->ret->term = site_term(h->site);
    return RC_OK;
}

static enum rc check_table(const struct exec *e, uint64_t id, uint32_t version, const struct table **ret,
                           struct err *err) {
    const struct table *t = mvcc_table(tablet_mvcc(e->h->tablet), id);
    if (!t || (t->version != version && !env_mutant(e->hs->env, "H-4: a plan for another version will do")))
        return err_set(err, RC_STALE, "table %llu has version %u on tablet %llu, not %u", (unsigned long long)id,
                       t ? t->version : 0, (unsigned long long)e->h->id, version);
    *ret = t;
    return RC_OK;
}

static enum rc check_tables(const struct exec *e, struct err *err) {
    const struct table *t;
    enum rc rc = RC_OK;
    for (size_t i = 0; i < e->ask->n_tables && !rc; i++)
        rc = check_table(e, e->ask->tables[i].id, e->ask->tables[i].version, &t, err);
    return rc;
}

/* After a wait: is the host what it was? */
static enum rc still_there(struct exec *e, struct err *err) {
    uint32_t requests;
    if (e->h->closed || !host_leads(e->h) || site_term(e->h->site) != e->ret->term) {
        e->ret->lost = true;
        return err_set(err, RC_ABORTED, "the leader that held the transaction's locks leads no more");
    }
    if (!site_active(e->h->site, &e->ask->ref->id, &requests)) { /* the site knows why */
        struct txn_facts f = host_facts(e->h);
        e->ret->lost = true;
        enum rc rc = site_request(e->h->site, e->ask->ref, UINT32_MAX, &f, err);
        CHECK(rc != RC_OK);
        return rc == RC_ABORTED ? rc : err_set(err, RC_ABORTED, "the transaction is over on this tablet");
    }
    return RC_OK;
}

/* The same, and it has all the keys that the request was made for. */
static enum rc still_whole(struct exec *e, struct err *err) {
    enum rc rc = still_there(e, err);
    if (!rc && site_generation(e->h->site) != e->ret->generation)
        rc = err_set(err, RC_MOVED, "tablet %llu was split", (unsigned long long)e->h->id);
    return rc;
}

/* ---- writes, from bytes ------------------------------------------------------------------------------------------------ */

static enum rc bad_writes(struct err *err) {
    return err_set(err, RC_PROTOCOL, "a transaction's writes cannot be read");
}

static enum rc take_row(struct exec *e, struct rd *r, struct write *w, struct err *err) {
    const struct table *t;
    uint64_t id = varint_get(r), version = varint_get(r), n = varint_get(r);
    if (r->bad || n > TABLE_COLUMNS_MAX || version > UINT32_MAX)
        return bad_writes(err);
    enum rc rc = check_table(e, id, (uint32_t)version, &t, err);
    if (rc)
        return rc;
    bool deletes = w->kind == TXN_DELETE + 1;
    struct value *v = arena_array(&e->a, n + 1, sizeof *v);
    if (!v)
        return err_set(err, RC_NOMEM, "out of memory");
    for (uint64_t i = 0; i < n && !rc; i++)
        rc = value_get(r, &v[i]);
    if (rc || n != (deletes ? t->n_key : t->n_cols))
        return bad_writes(err);
    struct value key[TABLE_KEY_MAX];
    for (uint16_t i = 0; i < t->n_key; i++)
        key[i] = v[deletes ? i : t->key[i].col];
    struct buf b;
    struct span point;
    buf_init(&b, 0);
    rc = table_key_put(&b, t, key, t->n_key, err);
    if (!rc && (span_point(&e->a, key_of_buf(&b), &point) || span_copy(&e->a, point, &w->key)))
        rc = err_set(err, RC_NOMEM, "out of memory");
    buf_done(&b);
    w->table_id = id;
    w->version = (uint32_t)version;
    w->values = v;
    w->n = (uint16_t)n;
    return rc;
}

/* The table may become what w says. */
static enum rc check_change(const struct exec *e, const struct write *w, struct err *err) {
    const struct table *is = mvcc_table(tablet_mvcc(e->h->tablet), w->table_id);
    if (!is)
        return RC_OK;
    if (table_same(is, w->table))
        return RC_OK; /* confirmed: from then on it counts as it is */
    if (is->version >= w->table->version)
        return err_set(err, RC_STALE, "table %llu has version %u already", (unsigned long long)w->table_id,
                       is->version);
    return table_follows(is, w->table, err);
}

static enum rc take_table(struct exec *e, struct rd *r, struct write *w, struct err *err) {
    struct mvcc_bytes bytes;
    if (w->kind == WRITE_DROP) {
        w->table_id = varint_get(r);
        return r->bad ? bad_writes(err) : RC_OK;
    }
    enum rc rc = command_bytes(r, TABLE_BYTES_MAX, &bytes, NULL);
    if (rc || table_decode(bytes.p, bytes.n, &w->table, err))
        return bad_writes(err);
    w->table_id = w->table->id;
    return check_change(e, w, err);
}

static enum rc take_writes(struct exec *e, struct err *err) {
    struct rd r;
    size_t cap = 0;
    rd_init(&r, e->ask->writes.p, e->ask->writes.n);
    while (rd_left(&r) > 0) {
        if (e->n_writes == cap) {
            cap = cap ? 2 * cap : 16;
            struct write *v = cap <= 2 * EXEC_WRITES_MAX ? arena_array(&e->a, cap, sizeof *v) : NULL;
            if (!v)
                return err_set(err, RC_NOMEM, "out of memory for a transaction's writes");
            if (e->n_writes)
                memcpy(v, e->w, e->n_writes * sizeof *v);
            e->w = v;
        }
        struct write *w = &e->w[e->n_writes];
        *w = (struct write){.seq = varint_get(&r)};
        w->kind = rd_u8(&r);
        if (r.bad)
            return bad_writes(err);
        enum rc rc = w->kind >= TXN_PUT + 1 && w->kind <= TXN_DELETE + 1 ? take_row(e, &r, w, err)
                     : w->kind == WRITE_TABLE || w->kind == WRITE_DROP   ? take_table(e, &r, w, err)
                                                                         : bad_writes(err);
        e->n_writes++;
        if (rc)
            return rc;
    }
    return RC_OK;
}

/* ---- locks -------------------------------------------------------------------------------------------------------------- */

/* f: facts, read anew whenever something waited. */
static enum rc lock_one(struct exec *e, struct span span, enum lock_mode mode, bool no_wait, struct txn_facts *f,
                        struct err *err) {
    struct txn_host *h = e->h;
    const struct txn_id *id = &e->ask->ref->id;
    struct txn_span range = site_range(h->site), s = {{span.start.p, span.start.bytes}, {span.end.p, span.end.bytes}},
                    cut;
    if (!span_meet(&s, &range, &cut))
        return RC_OK; /* another tablet's */
    int64_t deadline = no_wait ? LOCK_NO_WAIT : e->deadline;
    if (e->ask->lock_wait_ns > 0 && !no_wait) {
        int64_t until = reactor_deadline(e->hs->reactor, e->ask->lock_wait_ns);
        deadline = until < deadline ? until : deadline;
    }
    bool waited = false;
    enum rc rc = host_lock(h, id, &cut, mode, deadline, f, &waited, &e->ret->lock_ns, err);
    if (rc == RC_TIMEOUT && deadline < e->deadline && err)
        err_state(err, "55P03"); /* lock_timeout or NOWAIT, not the statement's */
    if (!rc && !waited)
        return RC_OK;
    enum rc over = rc && rc != RC_ABORTED ? RC_OK : still_whole(e, err); /* it knows why */
    if (!over && !rc)
        *f = host_facts(h);
    return over ? over : rc;
}

/* *ret_skips: somebody else has what is asked for, and the fragment is to find nothing. */
static enum rc lock_all(struct exec *e, bool *ret_skips, struct err *err) {
    const struct exec_ask *ask = e->ask;
    struct txn_facts f = host_facts(e->h);
    bool no_wait = ask->wait == TXN_NO_WAIT || ask->wait == TXN_SKIP;
    enum rc rc = RC_OK;
    for (size_t i = 0; i < ask->n_spans && !rc && ask->wait != TXN_UNLOCKED && !*ret_skips &&
                       !env_mutant(e->hs->env, "K-5: reads take no locks");
         i++) {
        rc = lock_one(e, ask->spans[i], ask->lock == LOCK_NONE ? LOCK_SHARED : ask->lock, no_wait, &f, err);
        if (rc == RC_TIMEOUT && ask->wait == TXN_SKIP) {
            err_clear(err);
            rc = RC_OK;
            *ret_skips = true;
        }
    }
    for (size_t i = 0; i < e->n_writes && !rc; i++)
        if (e->w[i].kind < WRITE_TABLE)
            rc = lock_one(e, e->w[i].key, LOCK_EXCLUSIVE, false, &f, err);
    return rc || (ask->n_spans == 0 && e->n_writes == 0) ? rc : still_whole(e, err);
}

/* ---- rows --------------------------------------------------------------------------------------------------------------- */

static enum rc on_pin(int64_t slot, void *ctx, struct err *err) {
    struct exec *e = ctx;
    (void)slot;
    return still_whole(e, err);
}

static enum rc on_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct exec *e = ctx;
    return e->on_batch(batch, last, e->ctx, err);
}

static enum rc run(struct exec *e, const struct fragment *f, const struct value *params, uint64_t rows_max,
                   exec_on_batch *batch, void *ctx, struct err *err) {
    struct guest *g = guest_find(e->h, &e->ask->ref->id);
    struct guest_rows *rows = g ? guest_pin(g) : NULL;
    struct fragment_result result = {0};
    struct fragment_run how = {.fragment = f,
                               .params = params,
                               .ts = FRAGMENT_LATEST,
                               .overlay = rows ? txn_overlay_base(rows->overlay) : NULL,
                               .batch_bytes = e->ask->batch_bytes,
                               .batch_rows = e->ask->batch_rows,
                               .rows_max = rows_max,
                               .on_pin = on_pin,
                               .on_batch = on_batch,
                               .ctx = e};
    exec_on_batch *before = e->on_batch;
    void *before_ctx = e->ctx;
    int64_t began = env_now_ns(e->hs->env);
    e->on_batch = batch;
    e->ctx = ctx;
    enum rc rc = fragment_run(tablet_mvcc(e->h->tablet), &how, &result, err);
    e->on_batch = before;
    e->ctx = before_ctx;
    e->ret->sqlite_ns += env_now_ns(e->hs->env) - began;
    guest_rows_unref(rows);
    if (!rc)
        rc = still_there(e, err);
    if (!rc && batch == before)
        e->ret->rows = result.rows;
    return rc;
}

/* The table as it is in this turn. */
static enum rc now_table(struct exec *e, struct write *w, struct err *err) {
    const struct table *t;
    if (w->kind >= WRITE_TABLE)
        return w->kind == WRITE_TABLE ? check_change(e, w, err) : RC_OK;
    enum rc rc = check_table(e, w->table_id, w->version, &t, err);
    if (!rc)
        w->table = (struct table *)(uintptr_t)t; /* counted where it is kept */
    return rc;
}

/* INSERTs: which keys have a row in the file? Own writes come later. */
static enum rc look_for_rows(struct exec *e, struct mvcc_probe **ret, struct err *err) {
    size_t n = 0, keys = 0;
    for (size_t i = 0; i < e->n_writes; i++) {
        bool inserts = e->w[i].kind == TXN_INSERT + 1;
        n += inserts;
        keys += inserts ? e->w[i].table->n_key : 0;
    }
    *ret = NULL;
    if (n == 0)
        return RC_OK;
    struct mvcc_probe *p = arena_array(&e->a, n, sizeof *p);
    struct value *key = arena_array(&e->a, keys, sizeof *key);
    if (!p || !key)
        return err_set(err, RC_NOMEM, "out of memory for the keys of inserted rows");
    *ret = p;
    for (size_t i = 0; i < e->n_writes; i++) {
        const struct write *w = &e->w[i];
        if (w->kind != TXN_INSERT + 1)
            continue;
        *p++ = (struct mvcc_probe){.table = w->table_id, .version = w->version, .key = key};
        for (uint16_t k = 0; k < w->table->n_key; k++)
            *key++ = w->values[w->table->key[k].col];
    }
    int64_t began = env_now_ns(e->hs->env);
    enum rc rc = mvcc_rows_there(tablet_mvcc(e->h->tablet), *ret, n, err);
    e->ret->sqlite_ns += env_now_ns(e->hs->env) - began;
    return rc ? rc : still_whole(e, err);
}

/* Is there a row with w's key, own writes included? p: what the file says. */
static bool row_is_there(const struct guest *g, const struct write *w, const struct mvcc_probe *p) {
    struct overlay *own = g->rows ? txn_overlay_base(g->rows->overlay) : NULL;
    struct overlay_row row;
    return own && own->ops->get(own, w->table, p->key, &row) ? !row.deleted : p->there;
}

/* From here on nothing waits. */
static enum rc write_one(struct exec *e, struct guest *g, const struct write *w, const struct mvcc_probe *p,
                         struct err *err) {
    if (w->kind >= WRITE_TABLE)
        return guest_change_table(g, w->seq, w->table_id, w->kind == WRITE_TABLE ? w->table : NULL)
                   ? err_set(err, RC_NOMEM, "out of memory")
                   : RC_OK;
    if (p && row_is_there(g, w, p)) {
        e->ret->conflict = w->seq;
        return err_set(err, RC_EXISTS, "a row with that key is there already");
    }
    return guest_write(e->h, g, w->seq, w->table, w->kind == TXN_DELETE + 1, w->values, w->n, err);
}

static enum rc now_tables(struct exec *e, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < e->n_writes && !rc; i++)
        rc = now_table(e, &e->w[i], err);
    return rc;
}

/* All of them, or none: what the tablet had before is what it has after an error. */
static enum rc write_all(struct exec *e, struct err *err) {
    struct mvcc_probe *probe = NULL;
    struct guest *g = NULL;
    enum rc rc = now_tables(e, err);
    if (!rc)
        rc = look_for_rows(e, &probe, err);
    if (!rc && probe) /* it may have waited */
        rc = now_tables(e, err);
    if (!rc && e->n_writes && !(g = guest_get(e->h, &e->ask->ref->id)))
        rc = err_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < e->n_writes && !rc; i++)
        rc = write_one(e, g, &e->w[i], e->w[i].kind == TXN_INSERT + 1 ? probe++ : NULL, err);
    if (rc && g)
        guest_undo(e->h, g, e->w[0].seq - 1);
    e->ret->wrote = !rc;
    return rc;
}

/* ---- the request ---------------------------------------------------------------------------------------------------------- */

/* The message that comes with the request, to the site here. */
static void say(struct exec *e) {
    struct txn_host *h = e->h;
    struct txn_msg *m = e->ask->then;
    struct txn_part mine;
    struct txn_facts f = host_facts(h);
    uint32_t requests = 0;
    if (e->ask->then_fill && site_active(h->site, &e->ask->ref->id, &requests)) {
        struct guest *g = guest_find(h, &e->ask->ref->id);
        mine = (struct txn_part){.span = site_range(h->site),
                                 .generation = site_generation(h->site),
                                 .term = site_term(h->site),
                                 .requests = requests,
                                 .writes = g && (g->seqs || g->n_tables)};
        m->parts = &mine;
        m->n_parts = 1;
    }
    note_arrival(h->all, h->id, &m->ref.id);
    site_message(h->site, m, &f);
    host_drain(h);
    host_poke(h);
    if (e->ask->then_fill)
        m->parts = NULL;
}

static enum rc in_transaction(struct exec *e, struct err *err) {
    const struct exec_ask *ask = e->ask;
    struct txn_host *h = e->h;
    struct txn_facts f = host_facts(h);
    uint32_t requests;
    enum rc rc = site_request(h->site, ask->ref, ask->seq, &f, err);
    host_drain(h);
    if (rc) {
        e->ret->lost = rc == RC_ABORTED;
        return rc == RC_UNREACHABLE ? RC_NOT_LEADER : rc;
    }
    if (ask->then)
        site_request_commits(h->site, &ask->ref->id);
    counter_inc(&e->hs->stats.requests);
    host_poke(h);
    e->ret->executed = true;
    e->ret->requests = ask->seq + 1;
    struct guest *g = ask->undo ? guest_find(h, &ask->ref->id) : NULL;
    if (g)
        guest_undo(h, g, ask->undo_to);
    bool skips = false;
    rc = lock_all(e, &skips, err);
    if (!rc) /* what was checked before the wait may have changed in it */
        rc = check_tables(e, err);
    if (!rc)
        rc = write_all(e, err);
    if (!rc && ask->fragment && !skips)
        rc = run(e, ask->fragment, ask->params, ask->rows_max, e->on_batch, e->ctx, err);
    if (!rc && ask->then) { /* what does not fit into an entry goes into the log now */
        rc = host_spill(h, &ask->ref->id, e->deadline, err);
        if (!rc)
            rc = still_whole(e, err);
    }
    if (!h->closed) {
        f = host_facts(h);
        if (rc && ask->then) {
            if (env_mutant(e->hs->env, "T-1: a failed commit request counts"))
                site_request_end(h->site, &ask->ref->id, &f);
            else
                site_request_void(h->site, &ask->ref->id, &f);
            e->ret->requests = ask->seq;
        } else {
            site_request_end(h->site, &ask->ref->id, &f);
        }
        if (!rc && ask->then)
            say(e);
        else
            e->ret->lost = !site_active(h->site, &ask->ref->id, &requests);
        host_drain(h);
    }
    e->ret->lost |= rc == RC_ABORTED;
    return rc;
}

static enum rc read_only(struct exec *e, struct err *err) {
    const struct exec_ask *ask = e->ask;
    struct fragment_result result = {0};
    struct fragment_table *tables = arena_array(&e->a, ask->n_tables + 1, sizeof *tables);
    if (!tables)
        return err_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < ask->n_tables; i++)
        tables[i] = (struct fragment_table){ask->tables[i].id, ask->tables[i].version};
    struct tablet_read how = {
        .mode = ask->mode,
        .ts = ask->ts,
        .generation = ask->generation,
        .wait_ns = ask->wait_ns,
        .run = {.fragment = ask->fragment,
                .params = ask->params,
                .batch_bytes = ask->batch_bytes,
                .batch_rows = ask->batch_rows,
                .rows_max = ask->rows_max,
                .tables = tables, /* checked already; but a replica that is behind waits before it reads */
                .n_tables = ask->n_tables,
                .on_batch = on_batch,
                .ctx = e}};
    if (ask->n_spans) { /* from the first to the last: what lies between costs a wait at worst */
        how.start = (struct mvcc_bytes){ask->spans[0].start.p, ask->spans[0].start.bytes};
        how.end = (struct mvcc_bytes){ask->spans[ask->n_spans - 1].end.p, ask->spans[ask->n_spans - 1].end.bytes};
    }
    enum rc rc = tablet_read(e->hs->store->tablets, ask->tablet, &how, e->deadline, &e->ret->ts, &result, err);
    e->ret->rows = result.rows;
    e->ret->executed = !rc;
    return rc;
}

static enum rc check_spans(const struct exec *e, struct err *err) {
    struct txn_span range = site_range(e->h->site);
    for (size_t i = 0; i < e->ask->n_spans; i++) {
        const struct span *s = &e->ask->spans[i];
        struct txn_span span = {{s->start.p, s->start.bytes}, {s->end.p, s->end.bytes}};
        if (e->ask->whole && !txn_span_covers(&range, &span))
            return err_set(err, RC_MOVED, "the keys are not all in tablet %llu", (unsigned long long)e->h->id);
    }
    return RC_OK;
}

/* A row that belongs to another tablet would be taken and never be seen again. */
static enum rc check_keys(const struct exec *e, struct err *err) {
    struct txn_span range = site_range(e->h->site);
    for (size_t i = 0; i < e->n_writes; i++) {
        const struct span *s = &e->w[i].key;
        struct txn_span key = {{s->start.p, s->start.bytes}, {s->end.p, s->end.bytes}};
        if (e->w[i].kind < WRITE_TABLE && !txn_span_covers(&range, &key))
            return err_set(err, RC_MOVED, "a row does not belong to tablet %llu", (unsigned long long)e->h->id);
    }
    return RC_OK;
}

enum rc serve_exec(struct txn_hosts *hs, const struct exec_ask *ask, exec_on_batch *batch, void *ctx, int64_t deadline,
                   struct exec_answer *ret, struct err *err) {
    struct exec e = {.hs = hs, .ask = ask, .ret = ret, .deadline = deadline, .on_batch = batch, .ctx = ctx};
    int64_t began = env_now_ns(hs->env), before = fiber_deadline(hs->reactor);
    *ret = (struct exec_answer){.executed = false};
    if (!hs->store->tablets || hs->stopping)
        return err_set(err, RC_NOT_LEADER, "this store is not open");
    arena_init(&e.a, 0);
    enum rc rc = check_tablet(&e, err);
    if (!rc)
        rc = check_spans(&e, err);
    if (!rc)
        rc = check_tables(&e, err);
    if (!rc && ask->ref)
        rc = take_writes(&e, err);
    if (!rc)
        rc = check_keys(&e, err);
    if (e.h)
        host_ref(e.h);
    if (deadline < before)
        (void)fiber_set_deadline(hs->reactor, deadline);
    if (!rc)
        rc = ask->ref ? in_transaction(&e, err) : read_only(&e, err);
    (void)fiber_set_deadline(hs->reactor, before);
    for (size_t i = 0; i < e.n_writes; i++)
        if (e.w[i].kind == WRITE_TABLE)
            table_unref(e.w[i].table);
    if (e.h)
        host_unref(e.h);
    arena_done(&e.a);
    ret->host_ns = env_now_ns(hs->env) - began;
    if (!ask->ref) /* there is next to nothing else: one look at the clock less */
        ret->sqlite_ns = ret->host_ns;
    return rc;
}
