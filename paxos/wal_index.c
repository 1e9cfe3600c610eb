/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_index.c: what counts in the log, by group and slot, and where it lies.
 *
 * The index follows the order of appending; a place is PENDING until its batch is durable. Replay builds it with the same
 * functions. Each segment knows how many bytes in it count: what is replaced, voided, truncated or forgotten is taken off.
 */
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"

enum { ENTRIES_MIN = 8 };

static void counts(struct wal *w, wal_at at) {
    w->segment[at_segment(at)]->live += at_bytes(at);
    w->live_bytes += at_bytes(at);
}

static void counts_no_more(struct wal *w, wal_at at) {
    if (!at_durable(at))
        return;
    struct wal_segment *s = w->segment[at_segment(at)];
    CHECK(s->live >= at_bytes(at) && w->live_bytes >= at_bytes(at));
    s->live -= at_bytes(at);
    w->live_bytes -= at_bytes(at);
}

static void place(struct wal *w, wal_at *where, wal_at at) {
    counts_no_more(w, *where);
    *where = at;
    if (at_durable(at))
        counts(w, at);
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

struct wal_gr *index_find(const struct wal *w, uint64_t group) {
    for (struct map_node *n = map_first(&w->groups, hash_u64(group)); n; n = map_next(n)) {
        struct wal_gr *g = container_of(n, struct wal_gr, node);
        if (g->id == group)
            return g;
    }
    return NULL;
}

struct wal_gr *index_get(struct wal *w, uint64_t group) {
    struct wal_gr *g = index_find(w, group);
    if (g)
        return g;
    g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->id = group;
    ilist_init(&g->link);
    ilist_push_back(&w->group_list, &g->link);
    map_put(&w->groups, &g->node, hash_u64(group));
    return g;
}

static void group_free(struct wal *w, struct wal_gr *g) {
    move_group_gone(w, g);
    map_del(&w->groups, &g->node);
    ilist_del(&g->link);
    free(g->v);
    free(g);
}

void index_forget(struct wal *w, struct wal_gr *g) {
    index_void(w, g, 0);
    counts_no_more(w, g->promise_at);
    counts_no_more(w, g->truncate_at);
    group_free(w, g);
}

void index_done(struct wal *w) {
    for (struct ilist *n; (n = w->group_list.next) != &w->group_list;)
        group_free(w, ilist_entry(n, struct wal_gr, link));
    map_done(&w->groups);
}

void index_promise(struct wal *w, struct wal_gr *g, const struct px_ballot *b, wal_at at) {
    g->promised = *b;
    place(w, &g->promise_at, at);
}

void index_store(struct wal *w, const struct wal_store *s, wal_at at) {
    w->store = *s;
    place(w, &w->store_at, at);
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

uint32_t index_lower(const struct wal_gr *g, px_slot slot) {
    uint32_t lo = g->head, hi = g->head + g->count;
    if (g->count && slot > g->v[hi - 1].slot)
        return hi; /* nearly always */
    if (g->count && slot - g->v[lo].slot < g->count && g->v[lo + (slot - g->v[lo].slot)].slot == slot)
        return lo + (uint32_t)(slot - g->v[lo].slot); /* no holes before it */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (g->v[mid].slot < slot)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool index_room(struct wal_gr *g) {
    if (g->head + g->count < g->cap)
        return true;
    if (g->head > g->cap / 2) {
        memmove(g->v, g->v + g->head, g->count * sizeof *g->v);
        g->head = 0;
        return true;
    }
    uint32_t cap = g->cap ? g->cap * 2 : ENTRIES_MIN;
    struct slot_at *v = cap > g->cap ? realloc(g->v, cap * sizeof *v) : NULL;
    if (!v)
        return false;
    g->v = v;
    g->cap = cap;
    return true;
}

/* An idle group keeps no memory for entries that it had. */
static void shrink(struct wal_gr *g) {
    if (g->count == 0) {
        free(g->v);
        g->v = NULL;
        g->cap = g->head = 0;
    } else if (g->cap > ENTRIES_MIN && g->count < g->cap / 4) {
        memmove(g->v, g->v + g->head, g->count * sizeof *g->v);
        g->head = 0;
        struct slot_at *v = realloc(g->v, g->cap / 2 * sizeof *v);
        if (v) {
            g->v = v;
            g->cap /= 2;
        }
    }
}

void index_entry(struct wal *w, struct wal_gr *g, px_slot slot, wal_at at) {
    if (slot <= g->truncated)
        return;
    uint32_t i = index_lower(g, slot), end = g->head + g->count;
    if (i < end && g->v[i].slot == slot) {
        place(w, &g->v[i].at, at);
        return;
    }
    CHECK(end < g->cap); /* index_room */
    memmove(g->v + i + 1, g->v + i, (end - i) * sizeof *g->v);
    g->v[i] = (struct slot_at){slot, 0};
    g->count++;
    place(w, &g->v[i].at, at);
}

void index_void(struct wal *w, struct wal_gr *g, px_slot slot) {
    uint32_t keep = g->count ? index_lower(g, slot) - g->head : 0;
    for (uint32_t i = keep; i < g->count; i++)
        counts_no_more(w, g->v[g->head + i].at);
    g->count = keep;
    shrink(g);
}

void index_truncate(struct wal *w, struct wal_gr *g, px_slot slot, wal_at at) {
    if (slot < g->truncated)
        return; /* the record that said more is the one that counts */
    place(w, &g->truncate_at, at);
    g->truncated = slot;
    while (g->count && g->v[g->head].slot <= slot) {
        counts_no_more(w, g->v[g->head].at);
        g->head++;
        g->count--;
    }
    shrink(g);
}

void index_settle(struct wal *w, const uint8_t *p, uint64_t seq, wal_at at) {
    wal_at pending = WAL_AT_PENDING | seq;
    if (rec_type(p) == WAL_STORE && w->store_at == pending)
        place(w, &w->store_at, at);
    if (rec_type(p) != WAL_PROMISE && rec_type(p) != WAL_TRUNCATE && rec_type(p) != WAL_ENTRY)
        return;
    struct wal_gr *g = index_find(w, rec_group(p));
    if (!g)
        return;
    if (rec_type(p) == WAL_PROMISE && g->promise_at == pending)
        place(w, &g->promise_at, at);
    if (rec_type(p) == WAL_TRUNCATE && g->truncate_at == pending)
        place(w, &g->truncate_at, at);
    if (rec_type(p) == WAL_ENTRY && g->count) {
        px_slot slot = get_u64le(p + WAL_RECORD_HEADER_BYTES);
        uint32_t i = index_lower(g, slot);
        if (i < g->head + g->count && g->v[i].at == pending) /* a number is one record's: the slot is right */
            place(w, &g->v[i].at, at);
    }
}

/* ---- for others -------------------------------------------------------------------------------------------------- */

static struct wal_group describe(const struct wal_gr *g) {
    return (struct wal_group){.group = g->id,
                              .promised = g->promised,
                              .truncated = g->truncated,
                              .first = g->count ? g->v[g->head].slot : 0,
                              .last = g->count ? g->v[g->head + g->count - 1].slot : 0,
                              .entries = g->count};
}

/* Not just made for a record that then failed. */
static bool known(const struct wal_gr *g) {
    return g && (g->promise_at || g->truncate_at || g->count);
}

bool wal_find(const struct wal *w, uint64_t group, struct wal_group *ret) {
    const struct wal_gr *g = index_find(w, group);
    if (known(g))
        *ret = describe(g);
    return known(g);
}

void wal_each(const struct wal *w, void (*fn)(void *ctx, const struct wal_group *g), void *ctx) {
    ilist_for_each(it, &w->group_list) {
        const struct wal_gr *g = ilist_entry(it, struct wal_gr, link);
        struct wal_group d = describe(g);
        if (known(g))
            fn(ctx, &d);
    }
}

bool wal_get_store(const struct wal *w, struct wal_store *ret) {
    if (w->store_at)
        *ret = w->store;
    return w->store_at != 0;
}

bool wal_want_truncate(const struct wal *w, uint64_t *ret_group, px_slot *ret_slot) {
    uint64_t soft = (uint64_t)w->conf.segments_soft * w->conf.segment_bytes, most = 0;
    const struct wal_segment *oldest = ilist_first(&w->used, struct wal_segment, link);
    if (!oldest || oldest == w->current || (w->used_bytes <= soft && !w->nospace))
        return false;
    ilist_for_each(it, &w->group_list) {
        const struct wal_gr *g = ilist_entry(it, struct wal_gr, link);
        uint64_t bytes = 0;
        px_slot slot = 0;
        for (uint32_t i = g->head; i < g->head + g->count; i++)
            if (at_durable(g->v[i].at) && at_segment(g->v[i].at) == oldest->index) {
                bytes += at_bytes(g->v[i].at);
                slot = g->v[i].slot;
            }
        if (bytes > most) {
            most = bytes;
            *ret_group = g->id;
            *ret_slot = slot;
        }
    }
    return most > 0;
}
