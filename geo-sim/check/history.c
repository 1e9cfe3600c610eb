/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.c: the record, and the replay by timestamps: registers and lists in one map from key to its present contents;
 * a range is read from the same map by key, since histories that are checked use small key spaces.
 */
#include "geo-sim/check/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/check/history_internal.h"
#include "truetime/base/map.h"

void *hist_room(void *array, size_t count, size_t *cap, size_t size) {
    if (count < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 256;
    array = realloc(array, *cap * size);
    CHECK(array);
    return array;
}

bool hist_verdict(struct hist_verdict *v, const char *anomaly, const char *fmt, ...) {
    va_list ap;
    if (!v)
        return false;
    snprintf(v->anomaly, sizeof v->anomaly, "%s", anomaly);
    va_start(ap, fmt);
    vsnprintf(v->text, sizeof v->text, fmt, ap);
    va_end(ap);
    return false;
}

struct history *hist_new(void) {
    struct history *h = calloc(1, sizeof *h);
    CHECK(h);
    return h;
}

void hist_free(struct history *h) {
    if (!h)
        return;
    free(h->txn);
    free(h->op);
    free(h->value);
    free(h->pair);
    free(h);
}

size_t hist_count(const struct history *h) {
    return h->txns;
}

uint32_t hist_begin(struct history *h, uint32_t session, int64_t begin_ns) {
    h->txn = hist_room(h->txn, h->txns, &h->txn_cap, sizeof *h->txn);
    h->txn[h->txns] = (struct hist_txn){.session = session, .begin_ns = begin_ns, .end_ns = INT64_MAX};
    return (uint32_t)h->txns++;
}

static struct hist_op *op_add(struct history *h, uint32_t t, enum hist_kind kind, uint64_t key, int64_t value) {
    CHECK(t < h->txns && h->txn[t].status == HIST_OPEN);
    h->op = hist_room(h->op, h->ops, &h->op_cap, sizeof *h->op);
    h->op[h->ops] = (struct hist_op){.kind = kind, .txn = t, .key = key, .value = value};
    uint32_t at = (uint32_t)++h->ops;
    if (h->txn[t].last_op)
        h->op[h->txn[t].last_op - 1].next = at;
    else
        h->txn[t].first_op = at;
    h->txn[t].last_op = at;
    return &h->op[at - 1];
}

void hist_read(struct history *h, uint32_t t, uint64_t key, int64_t value) {
    op_add(h, t, HIST_READ, key, value);
}

void hist_write(struct history *h, uint32_t t, uint64_t key, int64_t value) {
    CHECK(value != 0);
    op_add(h, t, HIST_WRITE, key, value);
}

void hist_append(struct history *h, uint32_t t, uint64_t key, int64_t element) {
    CHECK(element != 0);
    op_add(h, t, HIST_APPEND, key, element);
}

void hist_read_list(struct history *h, uint32_t t, uint64_t key, const int64_t *elements, size_t count) {
    struct hist_op *o = op_add(h, t, HIST_READ_LIST, key, 0);
    o->first = h->values;
    o->count = count;
    for (size_t i = 0; i < count; i++) {
        h->value = hist_room(h->value, h->values, &h->value_cap, sizeof *h->value);
        h->value[h->values++] = elements[i];
    }
}

void hist_read_range(struct history *h, uint32_t t, uint64_t first, uint64_t last, const struct hist_pair *pairs,
                     size_t count) {
    struct hist_op *o = op_add(h, t, HIST_READ_RANGE, first, 0);
    o->last = last;
    o->first = h->pairs;
    o->count = count;
    for (size_t i = 0; i < count; i++) {
        h->pair = hist_room(h->pair, h->pairs, &h->pair_cap, sizeof *h->pair);
        h->pair[h->pairs++] = pairs[i];
    }
}

static void end(struct history *h, uint32_t t, enum hist_status status, int64_t ts, int64_t end_ns) {
    CHECK(t < h->txns && h->txn[t].status == HIST_OPEN);
    h->txn[t].status = status;
    h->txn[t].ts = ts;
    h->txn[t].end_ns = end_ns;
}

void hist_commit(struct history *h, uint32_t t, int64_t ts, int64_t end_ns) {
    end(h, t, HIST_COMMITTED, ts, end_ns);
}

void hist_commit_read_only(struct history *h, uint32_t t, int64_t ts, bool stale, int64_t end_ns) {
    end(h, t, HIST_COMMITTED, ts, end_ns);
    h->txn[t].read_only = true;
    h->txn[t].stale = stale;
}

void hist_commit_untimed(struct history *h, uint32_t t, int64_t end_ns) {
    end(h, t, HIST_COMMITTED, 0, end_ns);
    h->txn[t].read_only = h->txn[t].untimed = true;
}

void hist_abort(struct history *h, uint32_t t, int64_t end_ns) {
    end(h, t, HIST_ABORTED, 0, end_ns);
}

void hist_unknown(struct history *h, uint32_t t) {
    end(h, t, HIST_UNKNOWN, 0, INT64_MAX);
}

/* ---- replay ------------------------------------------------------------------------------------------------------ */

struct cell {
    struct map_node by_key;
    uint64_t key;
    int64_t value, own; /* own: written by the transaction that is being replayed */
    uint32_t owner;     /* whose own; + 1 */
    int64_t *list;
    size_t count, cap;
    uint32_t writer; /* + 1 */
};

struct replay {
    struct history *h;
    struct map cells;
    struct hist_verdict *v;
};

static struct cell *cell_of(struct replay *r, uint64_t key) {
    for (struct map_node *n = map_first(&r->cells, hash_u64(key)); n; n = map_next(n))
        if (container_of(n, struct cell, by_key)->key == key)
            return container_of(n, struct cell, by_key);
    struct cell *c = calloc(1, sizeof *c);
    CHECK(c);
    c->key = key;
    map_put(&r->cells, &c->by_key, hash_u64(key));
    return c;
}

static int64_t value_now(const struct cell *c, uint32_t t) {
    return c->owner == t + 1 ? c->own : c->value;
}

static bool read_differs(struct replay *r, uint32_t t, uint64_t key, int64_t got, const struct cell *c) {
    return hist_verdict(r->v, "replay",
                        "transaction %u (ts %lld) read %lld at key %llu; at its time it was %lld, by %d", t,
                        (long long)r->h->txn[t].ts, (long long)got, (unsigned long long)key, (long long)value_now(c, t),
                        (int)c->writer - 1);
}

static bool replay_list(struct replay *r, uint32_t t, const struct hist_op *o) {
    struct cell *c = cell_of(r, o->key);
    if (c->count == o->count &&
        (o->count == 0 || memcmp(c->list, &r->h->value[o->first], o->count * sizeof *c->list) == 0))
        return true;
    return hist_verdict(
        r->v, "replay",
        "transaction %u (ts %lld) read %zu elements at list %llu (the last %lld); at its time there were "
        "%zu (the last %lld)",
        t, (long long)r->h->txn[t].ts, o->count, (unsigned long long)o->key,
        (long long)(o->count ? r->h->value[o->first + o->count - 1] : 0), c->count,
        (long long)(c->count ? c->list[c->count - 1] : 0));
}

static bool replay_range(struct replay *r, uint32_t t, const struct hist_op *o) {
    for (uint64_t key = o->key; key <= o->last; key++) {
        struct cell *c = cell_of(r, key);
        int64_t got = 0;
        for (size_t i = 0; i < o->count; i++)
            if (r->h->pair[o->first + i].key == key)
                got = r->h->pair[o->first + i].value;
        if (got != value_now(c, t))
            return read_differs(r, t, key, got, c);
    }
    return true;
}

static bool replay_txn(struct replay *r, uint32_t t) {
    HIST_EACH_OP(r->h, t, o) {
        struct cell *c = o->kind == HIST_READ_RANGE ? NULL : cell_of(r, o->key);
        switch (o->kind) {
        case HIST_READ:
            if (o->value != value_now(c, t))
                return read_differs(r, t, o->key, o->value, c);
            break;
        case HIST_WRITE:
            c->own = o->value;
            c->owner = t + 1;
            break;
        case HIST_APPEND:
            c->list = hist_room(c->list, c->count, &c->cap, sizeof *c->list);
            c->list[c->count++] = o->value;
            break;
        case HIST_READ_LIST:
            if (!replay_list(r, t, o))
                return false;
            break;
        case HIST_READ_RANGE:
            if (!replay_range(r, t, o))
                return false;
            break;
        }
    }
    HIST_EACH_OP(r->h, t, o)
    if (o->kind == HIST_WRITE) {
        struct cell *c = cell_of(r, o->key);
        c->value = c->own;
        c->writer = t + 1;
    }
    return true;
}

struct place {
    int64_t at; /* ts, or real time */
    bool later; /* read-only ones behind the writers of the same ts; begins before ends at one instant */
    uint32_t t;
};

static int place_cmp(const void *pa, const void *pb) {
    const struct place *a = pa, *b = pb;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    if (a->later != b->later)
        return a->later ? 1 : -1;
    return a->t == b->t ? 0 : a->t < b->t ? -1 : 1;
}

/* Who began after a writer had ended has the larger timestamp; a reader may have the very one. A reader itself binds
 * nobody: its timestamp may lie ahead of what it could see (that is read at now().latest), and what it saw is in the
 * replay. */
static bool check_real_time(struct history *h, struct hist_verdict *v) {
    size_t n = 0;
    struct place *p = calloc(2 * h->txns + 1, sizeof *p);
    bool ok = true;
    int64_t written = INT64_MIN; /* the largest timestamp among those that have ended */
    uint32_t writer = 0;
    CHECK(p);
    for (uint32_t t = 0; t < h->txns; t++)
        if (h->txn[t].status == HIST_COMMITTED) {
            p[n++] = (struct place){h->txn[t].begin_ns, false, t};
            p[n++] = (struct place){h->txn[t].end_ns, true, t};
        }
    qsort(p, n, sizeof *p, place_cmp);
    for (size_t i = 0; i < n && ok; i++) {
        const struct hist_txn *x = &h->txn[p[i].t];
        if (x->stale || x->untimed)
            continue;
        if (p[i].later && !x->read_only && x->ts > written) {
            written = x->ts;
            writer = p[i].t;
        } else if (!p[i].later && (x->read_only ? x->ts < written : x->ts <= written)) {
            ok = hist_verdict(v, "real time", "transaction %u (ts %lld) began after %u (ts %lld) had ended", p[i].t,
                              (long long)x->ts, writer, (long long)written);
        }
    }
    free(p);
    return ok;
}

bool hist_check_replay(struct history *h, struct hist_verdict *ret) {
    struct replay r = {.h = h, .v = ret};
    struct place *p = calloc(h->txns + 1, sizeof *p);
    size_t n = 0;
    bool ok = true;
    CHECK(p);
    map_init(&r.cells);
    for (uint32_t t = 0; t < h->txns; t++)
        if (h->txn[t].status == HIST_COMMITTED && !h->txn[t].untimed)
            p[n++] = (struct place){h->txn[t].ts, h->txn[t].read_only, t};
    qsort(p, n, sizeof *p, place_cmp);
    for (size_t i = 0; i < n && ok; i++)
        ok = replay_txn(&r, p[i].t);
    map_for_each(it, &r.cells) {
        struct cell *c = container_of(it, struct cell, by_key);
        free(c->list);
        free(c);
    }
    map_done(&r.cells);
    free(p);
    return ok && check_real_time(h, ret);
}
