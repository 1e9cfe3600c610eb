/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_scan.c: a fragment on all tablets that its spans touch.
 *
 * A scan has a leg for each tablet. The only leg, and the legs of an ordered scan, run one after the other where the rows are
 * wanted, into a small buffer: most fragments give few rows. A leg whose rows do not fit begins anew on a fiber of its own, which
 * stops when the buffer is full and goes on when rows were taken, so memory stays bounded and a LIMIT above stops it early.
 * Legs of an unordered scan run at once, each on its fiber.
 *
 * A leg whose tablet has moved or was split becomes the legs that its spans need now; it gave no rows before it knew.
 */
#include <stdlib.h>

#include "shard/store/rowbatch.h"
#include "txn/client_internal.h"

enum { INLINE_BYTES = 256 << 10, WINDOW_BYTES = 1 << 20, AT_ONCE = 16, NEAR_TRIES = 3 };
static const int64_t DOUBTFUL_NS = 250000000;

enum leg_state { LEG_NEW, LEG_RUNS, LEG_DONE };

struct leg {
    struct txn_scan *s;
    enum leg_state state;
    bool beside;       /* on a fiber of its own */
    bool full, stream; /* its rows did not fit: they come as a stream if from afar */
    struct route route;
    struct span *spans;
    size_t n_spans;
    uint64_t delivered; /* rows */
};

struct batch {
    struct ilist link;
    uint64_t tablet;
    size_t n;
    uint8_t data[];
};

struct txn_scan {
    struct txn *t;
    struct ilist link;
    struct txn_scan_conf conf;
    struct arena a; /* of what was given, and of the legs */
    struct leg **legs;
    size_t n_legs, legs_cap, running;
    uint32_t replans;
    struct ilist queue;
    size_t queued;
    struct batch *taken;
    struct waitq room, news;
    struct fiber_group fibers;
    bool stopped, read_ts_open;
    enum rc rc;
    struct err err;
    struct txn_scan_stats stats;
    int64_t began;
};

/* ---- planning ------------------------------------------------------------------------------------------------------------ */

static struct leg *leg_new(struct txn_scan *s, size_t at) {
    if (s->n_legs == s->legs_cap) {
        size_t cap = s->legs_cap ? 2 * s->legs_cap : 8;
        struct leg **v = realloc(s->legs, cap * sizeof(*v));
        if (!v)
            return NULL;
        s->legs = v;
        s->legs_cap = cap;
    }
    struct leg *l = arena_new(&s->a, struct leg);
    if (!l)
        return NULL;
    l->s = s;
    memmove(&s->legs[at + 1], &s->legs[at], (s->n_legs - at) * sizeof(*s->legs));
    s->legs[at] = l;
    s->n_legs++;
    return l;
}

/* Legs for these spans, from place `at` on. */
static enum rc plan(struct txn_scan *s, size_t at, const struct span *spans, size_t n, struct err *err) {
    struct leg *l = NULL;
    for (size_t i = 0; i < n;) {
        struct span rest = spans[i];
        for (;;) {
            if (!l || !span_has(l->route.range, rest.start)) {
                struct route r;
                enum rc rc = route_find(s->t->c, rest.start, 0, txn_deadline(s->t), &s->a, &r, err);
                if (rc)
                    return rc;
                if (s->conf.whole && l)
                    return err_set(err, RC_MOVED, "the rows that are joined do not lie on one tablet any more");
                l = leg_new(s, at++);
                if (!l)
                    return err_set(err, RC_NOMEM, "out of memory");
                l->route = r;
                l->spans = arena_array(&s->a, n - i + 1, sizeof *l->spans);
                if (!l->spans)
                    return err_set(err, RC_NOMEM, "out of memory");
            }
            struct span here = span_intersect(rest, l->route.range);
            l->spans[l->n_spans++] = here;
            if (!l->route.range.end.bytes || (rest.end.bytes && key_compare(rest.end, l->route.range.end) <= 0))
                break;
            if (s->conf.whole)
                return err_set(err, RC_MOVED, "the rows that are joined do not lie on one tablet any more");
            rest.start = l->route.range.end;
        }
        i++;
    }
    return RC_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

static enum rc on_batch(struct mvcc_bytes rows, bool last, void *ctx, struct err *err) {
    struct leg *l = ctx;
    struct txn_scan *s = l->s;
    struct rowbatch_reader r;
    (void)last;
    enum rc rc = rowbatch_open(&r, rows.p, rows.n, err);
    if (rc || r.n_rows == 0)
        return rc;
    while (l->beside && s->queued >= WINDOW_BYTES && !s->stopped) {
        rc = waitq_wait(s->t->c->reactor, &s->room, DEADLINE_NONE);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    if (s->stopped)
        return err_set(err, RC_CANCELLED, "the scan was closed");
    if (!l->beside && s->queued + rows.n > INLINE_BYTES && s->queued) {
        l->full = true;
        return err_set(err, RC_LIMIT, "more rows than fit here");
    }
    struct batch *b = malloc(sizeof *b + rows.n);
    if (!b)
        return err_set(err, RC_NOMEM, "out of memory for rows");
    *b = (struct batch){.tablet = l->route.tablet, .n = rows.n};
    memcpy(b->data, rows.p, rows.n);
    ilist_init(&b->link);
    ilist_push_back(&s->queue, &b->link);
    s->queued += rows.n;
    s->stats.rows += r.n_rows;
    s->stats.bytes += rows.n;
    s->stats.batches++;
    l->delivered += r.n_rows;
    if (!s->stats.first_ns)
        s->stats.first_ns = env_now_ns(s->t->c->env) - s->began;
    waitq_wake_all(&s->news, RC_OK);
    return RC_OK;
}

/* What an inline leg gave is thrown away: it begins anew beside. */
static void take_back(struct txn_scan *s, struct leg *l) {
    ilist_for_each(it, &s->queue) {
        struct batch *b = ilist_entry(it, struct batch, link);
        s->queued -= b->n;
        s->stats.bytes -= b->n;
        s->stats.batches--;
        ilist_del(&b->link);
        free(b);
    }
    s->stats.rows -= l->delivered;
    l->delivered = 0;
}

/* ---- a leg --------------------------------------------------------------------------------------------------------------- */

static enum lock_mode lock_of(const struct txn_scan *s) {
    enum lock_mode m = s->conf.lock == LOCK_NONE ? LOCK_SHARED : s->conf.lock;
    return s->conf.locked && m < LOCK_UPDATE ? LOCK_UPDATE : m;
}

static void fill(struct leg *l, struct call *call) {
    struct txn_scan *s = l->s;
    struct txn *t = s->t;
    const struct txn_scan_conf *c = &s->conf;
    uint64_t rows_max = c->rows_max;
    if (c->ordered && rows_max)
        rows_max -= s->stats.rows < rows_max ? s->stats.rows : rows_max;
    *call = (struct call){.t = t,
                          .route = l->route,
                          .take_pending = true,
                          .bytes_max = INLINE_BYTES,
                          .on_batch = on_batch,
                          .ctx = l,
                          .early = l->beside,
                          .stream = l->stream};
    call->ask = (struct exec_ask){.tables = c->tables,
                                  .n_tables = c->n_tables,
                                  .spans = l->spans,
                                  .n_spans = l->n_spans,
                                  .lock = lock_of(s),
                                  .wait = c->wait,
                                  .fragment = c->fragment,
                                  .params = c->params,
                                  .whole = true,
                                  .rows_max = rows_max,
                                  .batch_rows = c->batch_rows,
                                  .batch_bytes = c->batch_bytes};
    if (txn_is_read_only(t)) {
        call->ask.mode = t->read_ts ? TABLET_READ_AT : TABLET_READ_STRONG;
        call->ask.ts = t->read_ts;
    }
}

/* Somebody else may know: it does not answer, or does not know so far yet; it may also lag behind a split. */
static bool others_may_know(enum rc rc) {
    return rc_did_nothing(rc) || rc == RC_MOVED || rc == RC_CLOSED || rc == RC_TIMEOUT;
}

static bool does_not_answer(enum rc rc) {
    return rc == RC_UNREACHABLE || rc == RC_CLOSED || rc == RC_TIMEOUT || rc == RC_SHUTDOWN;
}

/* The nearest replica, then the next one if that does not answer. False: the leader is to be asked. */
static bool run_near(struct leg *l, struct call *call, enum rc *ret, struct err *err) {
    struct txn_client *c = l->s->t->c;
    px_store leader = call->route.store, near = leader;
    for (int i = 0; i < NEAR_TRIES; i++) {
        call->route.store = leader;
        near = route_nearest(c, &call->route);
        if (near == leader)
            return false;
        call->route.store = near;
        call->until = route_doubtful(c, near) ? reactor_deadline(c->reactor, DOUBTFUL_NS) : 0;
        enum rc rc = *ret = call_once(call, err);
        call->until = 0;
        bool silent = does_not_answer(rc) && call->remote;
        if (silent || (call->remote && !rc))
            route_answered(c, near, !silent);
        if (rc == RC_OK) {
            counter_inc(&c->stats.reads_follower);
            l->s->stats.followers++;
        }
        if (rc == RC_OK || !others_may_know(rc) || l->delivered || env_now_ns(c->env) >= txn_deadline(l->s->t))
            return true;
        if (!silent)
            break;
    }
    call->route.store = leader;
    return false;
}

/* A read at a timestamp goes to the nearest replica, and where that cannot know yet to the leader. */
static enum rc run_call(struct leg *l, struct call *call, struct err *err) {
    struct txn *t = l->s->t;
    struct txn_client *c = t->c;
    enum rc rc;
    if (txn_is_read_only(t) && call->ask.mode == TABLET_READ_AT && t->opt.mode != TXN_READ_STRONG &&
        run_near(l, call, &rc, err))
        return rc;
    err_clear(err);
    if (txn_is_read_only(t))
        counter_inc(&c->stats.reads_leader);
    return call_run(call, err);
}

static enum rc leg_run(struct leg *l, struct err *err) {
    struct call call;
    l->state = LEG_RUNS;
    l->full = false;
    fill(l, &call);
    enum rc rc = run_call(l, &call, err);
    l->full |= call.more;
    if (!rc && !l->full) {
        l->s->stats.tablets++;
        l->s->stats.remote += call.remote;
    }
    return rc;
}

static size_t place_of(const struct txn_scan *s, const struct leg *l) {
    size_t i = 0;
    while (s->legs[i] != l)
        i++;
    return i;
}

static enum rc run_beside(struct leg *l);

/* Runs l to its end, or to where others go on for it. */
static enum rc leg_do(struct leg *l, struct err *err) {
    struct txn_scan *s = l->s;
    enum rc rc = leg_run(l, err);
    if (l->full) {
        if (!l->beside)
            take_back(s, l);
        err_clear(err);
        l->stream = true;
        if (!l->beside)
            return run_beside(l);
        rc = leg_run(l, err);
    }
    l->state = LEG_DONE;
    if (rc == RC_MOVED && !l->delivered && s->replans < MOVES_MAX && !(rc = route_pause(s->t->c, s->replans++, err)))
        rc = plan(s, place_of(s, l) + 1, l->spans, l->n_spans, err);
    return rc;
}

static void scan_failed(struct txn_scan *s, enum rc rc, const struct err *err) {
    if (!s->rc && !s->stopped) {
        s->rc = rc;
        s->err = *err;
    }
    waitq_wake_all(&s->news, RC_OK);
}

static void leg_main(void *arg) {
    struct leg *l = arg;
    struct txn_scan *s = l->s;
    struct err err = {0};
    enum rc rc = leg_do(l, &err);
    s->running--;
    if (rc)
        scan_failed(s, rc, &err);
    waitq_wake_all(&s->news, RC_OK);
}

static enum rc run_beside(struct leg *l) {
    struct txn_scan *s = l->s;
    l->beside = true;
    l->state = LEG_RUNS;
    s->running++;
    enum rc rc = fiber_spawn(s->t->c->reactor, &s->fibers, FIBER_LARGE, "txn scan", leg_main, l);
    if (rc)
        s->running--;
    return rc;
}

/* ---- the scan -------------------------------------------------------------------------------------------------------------- */

static struct leg *next_leg(struct txn_scan *s) {
    for (size_t i = 0; i < s->n_legs; i++) {
        size_t at = s->conf.ordered && s->conf.reverse ? s->n_legs - 1 - i : i;
        if (s->legs[at]->state == LEG_NEW)
            return s->legs[at];
    }
    return NULL;
}

static size_t legs_left(const struct txn_scan *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_legs; i++)
        n += s->legs[i]->state == LEG_NEW;
    return n;
}

static bool has_enough(const struct txn_scan *s) {
    return s->conf.ordered && s->conf.rows_max && s->stats.rows >= s->conf.rows_max;
}

/* Something goes on, or nothing is left to do. */
static enum rc drive(struct txn_scan *s, struct err *err) {
    struct leg *l;
    size_t at_once = s->conf.ordered ? 1 : AT_ONCE;
    if (has_enough(s))
        return RC_OK;
    while (s->running < at_once && (l = next_leg(s))) {
        if (s->running == 0 && (s->conf.ordered || legs_left(s) == 1))
            return leg_do(l, err);
        enum rc rc = run_beside(l);
        if (rc)
            return err_set(err, rc, "no fiber for a scan: %s", rc_text(rc));
    }
    return RC_OK;
}

static enum rc copy_conf(struct txn_scan *s, const struct txn_scan_conf *how, struct err *err) {
    struct txn_table *tables = arena_copy(&s->a, how->tables, how->n_tables * sizeof *tables);
    struct span *spans = arena_array(&s->a, how->n_spans + 1, sizeof *spans);
    enum rc rc = tables && spans ? RC_OK : RC_NOMEM;
    s->conf = *how;
    for (size_t i = 0; i < how->n_spans && !rc; i++)
        rc = span_copy(&s->a, how->spans[i], &spans[i]);
    s->conf.tables = tables;
    s->conf.spans = spans;
    return rc ? err_set(err, rc, "out of memory") : RC_OK;
}

static void scan_free(struct txn_scan *s) {
    struct ilist *l;
    while ((l = ilist_pop_front(&s->queue)))
        free(ilist_entry(l, struct batch, link));
    free(s->taken);
    free(s->legs);
    arena_done(&s->a);
    ilist_del(&s->link);
    free(s);
}

static void scan_stop(struct txn_scan *s) {
    struct reactor *r = s->t->c->reactor;
    s->stopped = true;
    waitq_wake_all(&s->room, RC_OK);
    if (!s->fibers.count)
        return;
    fiber_group_cancel(&s->fibers);
    fiber_shield_begin(r); /* they use the scan */
    IGNORE(fiber_group_join(r, &s->fibers, DEADLINE_NONE));
    fiber_shield_end(r);
}

void txn_stop_scans(struct txn *t) {
    ilist_for_each(it, &t->scans)
        scan_stop(ilist_entry(it, struct txn_scan, link));
}

enum rc txn_scan_open(struct txn *t, const struct txn_scan_conf *how, struct txn_scan **ret, struct err *err) {
    enum rc rc = txn_enter(t, err);
    if (rc)
        return rc;
    if (how->n_spans > TXN_SCAN_SPANS_MAX || how->n_tables > TXN_SCAN_TABLES_MAX)
        return txn_leave(t, err_set(err, RC_LIMIT, "a scan of %zu spans and %zu tables", how->n_spans, how->n_tables));
    if (!how->fragment && txn_is_read_only(t))
        return txn_leave(t, err_set(err, RC_INVAL, "a scan without a fragment"));
    struct txn_scan *s = calloc(1, sizeof *s);
    if (!s)
        return txn_leave(t, err_set(err, RC_NOMEM, "out of memory"));
    s->t = t;
    s->began = t->call_began;
    arena_init(&s->a, 0);
    ilist_init(&s->queue);
    ilist_init(&s->link);
    waitq_init(&s->room);
    waitq_init(&s->news);
    fiber_group_init(&s->fibers);
    ilist_push_back(&t->scans, &s->link);
    rc = copy_conf(s, how, err);
    if (!rc)
        rc = plan(s, 0, s->conf.spans, s->conf.n_spans, err);
    if (!rc && txn_is_read_only(t) && !t->read_ts)
        rc = scan_choose_ts(s, err);
    if (!rc)
        rc = drive(s, err);
    if (rc) {
        scan_stop(s);
        scan_free(s);
        return txn_leave(t, rc);
    }
    *ret = s;
    return txn_leave(t, RC_OK);
}

static enum rc next(struct txn_scan *s, struct txn_batch *ret, struct err *err) {
    struct reactor *r = s->t->c->reactor;
    free(s->taken);
    s->taken = NULL;
    for (;;) {
        struct ilist *l = ilist_pop_front(&s->queue);
        if (l) {
            s->taken = ilist_entry(l, struct batch, link);
            s->queued -= s->taken->n;
            waitq_wake_all(&s->room, RC_OK);
            *ret = (struct txn_batch){.rows = {s->taken->data, s->taken->n}, .tablet = s->taken->tablet};
            return RC_OK;
        }
        if (s->rc) {
            *err = s->err;
            return s->rc;
        }
        if (s->stopped)
            return err_set(err, RC_INVAL, "the scan was ended by the transaction's end");
        enum rc rc = drive(s, err);
        if (rc)
            return rc;
        if (!ilist_empty(&s->queue) || s->rc || (next_leg(s) && !has_enough(s) && !s->running))
            continue;
        if (!s->running) {
            s->stats.total_ns = env_now_ns(s->t->c->env) - s->began;
            *ret = (struct txn_batch){.end = true};
            return RC_OK;
        }
        rc = waitq_wait(r, &s->news, DEADLINE_NONE);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
}

enum rc txn_scan_next(struct txn_scan *s, struct txn_batch *ret, struct err *err) {
    enum rc rc = txn_enter(s->t, err);
    return rc ? rc : txn_leave(s->t, next(s, ret, err));
}

void txn_scan_close(struct txn_scan *s) {
    if (!s)
        return;
    scan_stop(s);
    scan_free(s);
}

const struct txn_scan_stats *txn_scan_stats(const struct txn_scan *s) {
    return &s->stats;
}

/* ---- without rows ------------------------------------------------------------------------------------------------------------ */

enum rc txn_on_one_tablet(struct txn *t, const struct span *spans, size_t n, bool *ret, struct err *err) {
    struct arena a;
    struct route r;
    enum rc rc = txn_enter(t, err);
    if (rc)
        return rc;
    arena_init(&a, 0);
    *ret = true;
    if (n)
        rc = route_find(t->c, spans[0].start, 0, txn_deadline(t), &a, &r, err);
    for (size_t i = 0; i < n && !rc && *ret; i++)
        *ret = span_covers(r.range, spans[i]);
    arena_done(&a);
    return txn_leave(t, rc);
}

enum rc txn_lock_spans(struct txn *t, const struct span *spans, size_t n, enum lock_mode mode, struct err *err) {
    struct txn_scan_conf how = {.spans = spans, .n_spans = n, .lock = mode, .ordered = true};
    struct txn_batch batch = {.end = false};
    struct txn_scan *s;
    if (txn_is_read_only(t))
        return err_sql(err, "25006", "cannot lock in a read-only transaction");
    enum rc rc = txn_scan_open(t, &how, &s, err);
    if (rc)
        return rc;
    while (!rc && !batch.end)
        rc = txn_scan_next(s, &batch, err);
    txn_scan_close(s);
    return rc;
}

/* ---- at which time ----------------------------------------------------------------------------------------------------------- */

static int64_t safe_of(struct txn_scan *s, const struct leg *l) {
    struct txn_client *c = s->t->c;
    px_store at = route_nearest(c, &l->route);
    struct arena a;
    ProtobufCMessage *m = NULL;
    int64_t safe = 0, deadline = reactor_deadline(c->reactor, SAFE_ASK_NS);
    arena_init(&a, 0);
    Serve__SafeAsk *ask = arena_new(&a, Serve__SafeAsk);
    Serve__Span *spans = arena_array(&a, l->n_spans, sizeof *spans);
    Serve__Span **list = arena_array(&a, l->n_spans, sizeof(*list));
    if (!ask || !spans || !list) {
        arena_done(&a);
        return 0;
    }
    serve__safe_ask__init(ask);
    ask->tablet = l->route.tablet;
    for (size_t i = 0; i < l->n_spans; i++) {
        struct span copy;
        serve__span__init(&spans[i]);
        if (span_copy(&a, l->spans[i], &copy))
            break;
        spans[i].start = (ProtobufCBinaryData){copy.start.bytes, (uint8_t *)(uintptr_t)copy.start.p};
        spans[i].end = (ProtobufCBinaryData){copy.end.bytes, (uint8_t *)(uintptr_t)copy.end.p};
        list[ask->n_spans++] = &spans[i];
    }
    ask->spans = list;
    if (route_doubtful(c, at))
        deadline = reactor_deadline(c->reactor, DOUBTFUL_NS);
    enum rc rc = rpc_call(c->store->rpc, px_store_addr(at), HOST_TYPE_SAFE, &ask->base, &a, deadline, &m, NULL);
    if (rc == RC_OK && m)
        safe = ((const Serve__Safe *)m)->ts;
    if (at != client_self(c) && (rc == RC_OK || does_not_answer(rc)))
        route_answered(c, at, rc == RC_OK);
    arena_done(&a);
    return safe;
}

enum rc scan_choose_ts(struct txn_scan *s, struct err *err) {
    struct txn *t = s->t;
    tt_interval now = tt_now(&t->c->store->clock);
    int64_t safe = INT64_MAX;
    if (t->opt.mode == TXN_READ_STRONG && t->opt.single && s->n_legs == 1)
        return RC_OK; /* the tablet chooses (N-8) */
    if (!tt_is_known(now))
        return err_set(err, RC_UNSYNCED, "the clock is not synchronised: no time to read at can be chosen");
    if (t->opt.mode == TXN_READ_STRONG) {
        t->read_ts = t->strong_from; /* of its beginning: everything acknowledged by then is below */
        return RC_OK;
    }
    for (size_t i = 0; i < s->n_legs; i++)
        safe = ts_min(safe, safe_of(s, s->legs[i]));
    int64_t least = t->opt.mode == TXN_READ_SINCE ? t->opt.ts : now.latest - t->opt.staleness_ns;
    t->read_ts = ts_min(ts_max(safe, least), ts_max(now.latest, least));
    return RC_OK;
}
