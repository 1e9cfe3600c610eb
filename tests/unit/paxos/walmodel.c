/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/paxos/walmodel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct model_entry *get(const struct model_group *g, px_slot slot) {
    const struct model_entry *e = &g->entry[slot % MODEL_SLOTS];
    return e->slot == slot && e->nonce && slot > g->truncated && slot <= g->last ? e : NULL;
}

static void drop(struct model_group *g, px_slot slot) {
    if (get(g, slot))
        g->entry[slot % MODEL_SLOTS].nonce = 0;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static px_slot between(struct rng *rng, px_slot lo, px_slot hi) {
    return lo + rng_below(rng, hi - lo + 1);
}

struct model_op model_next(const struct model *m, const struct model_mix *mix, struct rng *rng, uint64_t nonce) {
    struct model_op op = {.group = (unsigned)rng_below(rng, mix->groups), .nonce = nonce};
    const struct model_group *g = &m->group[op.group];
    uint64_t dice = rng_below(rng, 100), count = g->last - g->truncated;
    if (dice < 1) {
        op.type = WAL_STORE;
        op.round = m->incarnation + 1;
    } else if (dice < 10 || !g->promised) {
        op.type = WAL_PROMISE;
        op.round = g->promised + 1;
    } else if (dice < 11) {
        op.type = WAL_FORGET;
    } else if (dice < 14 && count) {
        op.type = WAL_VOID;
        op.slot = between(rng, g->truncated + 1, g->last);
    } else if (count >= MODEL_SLOTS - 1 || (count && dice < (count > mix->keep ? 50u : 16u))) {
        op.type = WAL_TRUNCATE;
        op.slot = between(rng, g->truncated + 1, g->last);
    } else {
        op.type = WAL_ENTRY;
        /* mostly the next slot, now and then one again */
        op.slot = count && rng_chance(rng, 0.15) ? between(rng, g->truncated + 1, g->last) : g->last + 1;
        op.round = g->promised;
        op.bytes = rng_chance(rng, 0.1) ? rng_below(rng, mix->bytes_max + 1) : rng_below(rng, 100);
        op.bytes = op.bytes < mix->bytes_max ? op.bytes : mix->bytes_max;
    }
    return op;
}

static void drop_from(struct model_group *g, px_slot slot) {
    for (px_slot s = slot > g->truncated ? slot : g->truncated + 1; s <= g->last; s++)
        drop(g, s);
    while (g->last > g->truncated && !get(g, g->last))
        g->last--;
}

void model_apply(struct model *m, const struct model_op *op) {
    struct model_group *g = &m->group[op->group];
    switch (op->type) {
    case WAL_STORE:
        m->incarnation = op->round;
        break;
    case WAL_PROMISE:
        g->promised = op->round;
        break;
    case WAL_ENTRY:
        g->entry[op->slot % MODEL_SLOTS] = (struct model_entry){op->slot, op->nonce, op->round, op->bytes};
        g->last = op->slot > g->last ? op->slot : g->last;
        break;
    case WAL_VOID:
        drop_from(g, op->slot);
        break;
    case WAL_TRUNCATE:
        g->truncated = op->slot > g->truncated ? op->slot : g->truncated;
        g->last = g->last > g->truncated ? g->last : g->truncated;
        break;
    case WAL_FORGET:
        memset(g, 0, sizeof *g);
        break;
    case WAL_FIRST:
    case WAL_TYPES:
        CHECK(false);
    }
}

/* Group numbers that differ in every byte. */
static uint64_t number(unsigned group) {
    return UINT64_C(0x00f1e2d3c4b50000) + group;
}

static void fill(struct px_value *v, uint64_t nonce) {
    for (size_t i = 0; i < v->bytes; i++)
        v->data[i] = (uint8_t)(nonce >> (i % 8 * 8)) ^ (uint8_t)i;
}

static enum rc put_entry(struct wal *w, const struct model_op *op, struct wal_ticket *t) {
    struct px_value *v = px_value_new(PX_COMMAND, NULL, op->bytes);
    if (!v)
        return RC_NOMEM;
    v->ts = (int64_t)op->nonce;
    v->origin = (struct px_ballot){op->round, MODEL_STORE, op->nonce};
    fill(v, op->nonce);
    struct px_entry e = {op->slot, {op->round, MODEL_STORE, 7}, v};
    enum rc rc = wal_put_entry(w, number(op->group), &e, t);
    px_value_unref(v);
    return rc;
}

enum rc model_put(struct wal *w, const struct model_op *op, struct wal_ticket *t) {
    struct wal_store s = {.store = MODEL_STORE, .incarnation = op->round, .lease_ns_max = (int64_t)op->round * 3};
    struct px_ballot b = {op->round, MODEL_STORE, 7};
    switch (op->type) {
    case WAL_STORE:
        return wal_put_store(w, &s, t);
    case WAL_PROMISE:
        return wal_put_promise(w, number(op->group), &b, t);
    case WAL_ENTRY:
        return put_entry(w, op, t);
    case WAL_VOID:
        return wal_put_void(w, number(op->group), op->slot, t);
    case WAL_TRUNCATE:
        return wal_put_truncate(w, number(op->group), op->slot, t);
    case WAL_FORGET:
        return wal_put_forget(w, number(op->group), t);
    case WAL_FIRST:
    case WAL_TYPES:
        break;
    }
    return RC_INVAL;
}

/* ---- what the log gives back ------------------------------------------------------------------------------------- */

static bool group_of(uint64_t n, unsigned *ret) {
    *ret = (unsigned)(n - number(0));
    return n >= number(0) && n < number(MODEL_GROUPS);
}

static enum rc take_entry(const struct px_entry *e, struct model_entry *ret) {
    const struct px_value *v = e->value;
    uint64_t nonce = (uint64_t)v->ts;
    for (size_t i = 0; i < v->bytes; i++)
        if (v->data[i] != (uint8_t)((uint8_t)(nonce >> (i % 8 * 8)) ^ (uint8_t)i))
            return RC_CORRUPT;
    if (v->origin.incarnation != nonce || v->origin.store != MODEL_STORE || v->kind != PX_COMMAND ||
        e->ballot.store != MODEL_STORE || e->ballot.incarnation != 7 || v->origin.round != e->ballot.round)
        return RC_CORRUPT;
    *ret = (struct model_entry){e->slot, nonce, e->ballot.round, v->bytes};
    return RC_OK;
}

static enum rc apply(void *ctx, uint64_t group, struct model_op op) {
    if (!group_of(group, &op.group))
        return RC_CORRUPT;
    model_apply(ctx, &op);
    return RC_OK;
}

static enum rc on_store(void *ctx, const struct wal_store *s) {
    struct model *m = ctx;
    m->incarnation = s->incarnation;
    return s->store == MODEL_STORE && s->lease_ns_max == (int64_t)s->incarnation * 3 ? RC_OK : RC_CORRUPT;
}

static enum rc on_promise(void *ctx, uint64_t group, const struct px_ballot *b) {
    return apply(ctx, group, (struct model_op){.type = WAL_PROMISE, .round = b->round});
}

static enum rc on_entry(void *ctx, uint64_t group, const struct px_entry *e) {
    struct model_entry got;
    struct model *m = ctx;
    unsigned g;
    if (take_entry(e, &got) || !group_of(group, &g))
        return RC_CORRUPT;
    if (e->slot <= m->group[g].truncated)
        return RC_OK;
    return apply(ctx, group,
                 (struct model_op){
                     .type = WAL_ENTRY, .slot = e->slot, .round = got.round, .nonce = got.nonce, .bytes = got.bytes});
}

static enum rc on_void(void *ctx, uint64_t group, px_slot slot) {
    return apply(ctx, group, (struct model_op){.type = WAL_VOID, .slot = slot});
}

static enum rc on_truncate(void *ctx, uint64_t group, px_slot slot) {
    return apply(ctx, group, (struct model_op){.type = WAL_TRUNCATE, .slot = slot});
}

static enum rc on_forget(void *ctx, uint64_t group) {
    return apply(ctx, group, (struct model_op){.type = WAL_FORGET});
}

struct wal_replay model_replay(struct model *m) {
    memset(m, 0, sizeof *m);
    return (struct wal_replay){on_store, on_promise, on_entry, on_void, on_truncate, on_forget, m};
}

struct asking {
    struct wal *w;
    struct model *m;
    struct err *err;
    enum rc rc;
};

static void ask_group(void *ctx, const struct wal_group *d) {
    struct asking *a = ctx;
    struct px_entry e[7];
    unsigned n;
    size_t seen = 0, count;
    if (a->rc)
        return;
    if (!group_of(d->group, &n)) {
        a->rc = err_set(a->err, RC_CORRUPT, "group %" PRIx64, d->group);
        return;
    }
    struct model_group *g = &a->m->group[n];
    g->promised = d->promised.round;
    g->truncated = d->truncated;
    g->last = d->entries ? d->last : d->truncated;
    for (px_slot s = d->first; d->entries && s <= d->last && !a->rc;) {
        enum rc rc = wal_read(a->w, d->group, s, 300, e, 7, &count, a->err);
        if (rc == RC_NOTFOUND) { /* a void may leave holes */
            s++;
            continue;
        }
        a->rc = rc;
        for (size_t i = 0; !rc && i < count; i++, s++, seen++) {
            if (e[i].slot != s || take_entry(&e[i], &g->entry[s % MODEL_SLOTS]))
                a->rc = err_set(a->err, RC_CORRUPT, "group %u slot %" PRIu64, n, s);
            px_value_unref(e[i].value);
        }
    }
    if (!a->rc && seen != d->entries)
        a->rc = err_set(a->err, RC_CORRUPT, "group %u: %zu entries, %zu could be read", n, d->entries, seen);
}

enum rc model_ask(struct wal *w, struct model *m, struct err *err) {
    struct asking a = {.w = w, .m = m, .err = err};
    struct wal_store s;
    memset(m, 0, sizeof *m);
    if (wal_get_store(w, &s))
        m->incarnation = s.incarnation;
    wal_each(w, ask_group, &a);
    return a.rc;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static bool group_equal(const struct model_group *a, const struct model_group *b, unsigned n, char *why, size_t bytes) {
    if (a->promised != b->promised || a->truncated != b->truncated) {
        snprintf(why, bytes, "group %u: promised %" PRIu64 ", %" PRIu64 "; truncated %" PRIu64 ", %" PRIu64, n,
                 a->promised, b->promised, a->truncated, b->truncated);
        return false;
    }
    px_slot last = a->last > b->last ? a->last : b->last;
    for (px_slot s = a->truncated + 1; s <= last; s++) {
        const struct model_entry *x = get(a, s), *y = get(b, s);
        if (!x != !y || (x && (x->nonce != y->nonce || x->bytes != y->bytes || x->round != y->round))) {
            snprintf(why, bytes, "group %u slot %" PRIu64 ": %" PRIu64 ", %" PRIu64, n, s, x ? x->nonce : 0,
                     y ? y->nonce : 0);
            return false;
        }
    }
    return true;
}

bool model_equal(const struct model *a, const struct model *b, char *why, size_t bytes) {
    if (a->incarnation != b->incarnation) {
        snprintf(why, bytes, "incarnation %" PRIu64 ", %" PRIu64, a->incarnation, b->incarnation);
        return false;
    }
    for (unsigned n = 0; n < MODEL_GROUPS; n++)
        if (!group_equal(&a->group[n], &b->group[n], n, why, bytes))
            return false;
    return true;
}

size_t model_bytes(const struct model *m) {
    size_t sum = m->incarnation ? 80 : 0;
    for (unsigned n = 0; n < MODEL_GROUPS; n++) {
        const struct model_group *g = &m->group[n];
        sum += (g->promised ? 64u : 0) + (g->truncated ? 48u : 0);
        for (px_slot s = g->truncated + 1; s <= g->last; s++)
            if (get(g, s))
                sum += (WAL_RECORD_HEADER_BYTES + WAL_ENTRY_HEADER_BYTES + get(g, s)->bytes + 7) & ~(size_t)7;
    }
    return sum;
}
