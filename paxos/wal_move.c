/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_move.c: empties the oldest segment, so that it can be used again.
 *
 *   pick the oldest -> append what counts in it again, group by group -> append a WAL_FIRST -> that is durable: it is free
 *
 * Only the oldest is ever emptied, so the segments in use are consecutive generations. What voids, truncates or forgets a record
 * comes after it, hence lies in the same segment or a later one, and need not be kept itself when that record's segment goes
 * (a truncation is kept all the same: it tells a replica where its log begins). Whether a record counts is asked when it is
 * moved, and its old place is given up only when everything appended up to then is durable.
 *
 * How much: with each batch about as much as is gathered for it, so that emptying keeps pace with filling and never adds more
 * than that to a commit. How soon: when nothing counts in it; or when moving costs little, that is while what counts is at most
 * a quarter of what is in use (half, beyond the soft limit or on a full disk). So moving can never feed on itself.
 */
#include "paxos/wal_internal.h"

bool move_wanted(const struct wal *w) {
    if (w->victim)
        return w->release_seq == 0;
    const struct wal_segment *s = ilist_first(&w->used, struct wal_segment, link);
    if (w->move_broken || !s || s == w->current)
        return false;
    if (s->live == 0)
        return true;
    uint64_t soft = (uint64_t)w->conf.segments_soft * w->conf.segment_bytes;
    if ((w->used_bytes > soft || w->nospace) && 2 * w->live_bytes <= w->used_bytes &&
        wal_space(w) / 2 > (int64_t)s->live)
        return true;
    return w->used_bytes > WAL_SEGMENTS_SMALL * (uint64_t)w->current->bytes && 4 * w->live_bytes <= w->used_bytes;
}

static bool in_victim(const struct wal *w, wal_at at) {
    return at_durable(at) && at_segment(at) == w->victim->index;
}

void move_group_gone(struct wal *w, struct wal_gr *g) {
    if (w->victim && w->move_group == &g->link) {
        w->move_group = g->link.next;
        w->move_slot = 0;
    }
}

static bool move_store(struct wal *w) {
    enum rc rc;
    uint8_t *p = put_reserve(w, WAL_STORE, 0, WAL_STORE_BYTES, false, &rc);
    if (!p)
        return false;
    store_encode(&w->store, p + WAL_RECORD_HEADER_BYTES);
    struct wal_store s = w->store;
    index_store(w, &s, WAL_AT_PENDING | put_commit(w, NULL));
    return true;
}

static bool move_promise(struct wal *w, struct wal_gr *g) {
    enum rc rc;
    uint8_t *p = put_reserve(w, WAL_PROMISE, g->id, WAL_BALLOT_BYTES, false, &rc);
    if (!p)
        return false;
    struct px_ballot b = g->promised;
    ballot_encode(&b, p + WAL_RECORD_HEADER_BYTES);
    index_promise(w, g, &b, WAL_AT_PENDING | put_commit(w, NULL));
    return true;
}

static bool move_truncate(struct wal *w, struct wal_gr *g) {
    enum rc rc;
    uint8_t *p = put_reserve(w, WAL_TRUNCATE, g->id, sizeof g->truncated, false, &rc);
    if (!p)
        return false;
    set_u64le(p + WAL_RECORD_HEADER_BYTES, g->truncated);
    index_truncate(w, g, g->truncated, WAL_AT_PENDING | put_commit(w, NULL));
    return true;
}

static bool move_entry(struct wal *w, struct wal_gr *g, const struct slot_at *e) {
    struct wal_rec r;
    struct err err = {0};
    enum rc rc = record_read(w, e->at, &r, &err);
    if (rc) {
        w->move_broken = rc != RC_NOMEM;
        diag_error(&w->env->diag, "wal: what counts cannot be read", "group=%llu slot=%llu error=\"%s\"",
                   (unsigned long long)g->id, (unsigned long long)e->slot, err_message(&err));
        return false;
    }
    uint8_t *p = put_reserve(w, WAL_ENTRY, g->id, r.length, false, &rc);
    if (!p)
        return false;
    memcpy(p + WAL_RECORD_HEADER_BYTES, r.payload, r.length);
    index_entry(w, g, e->slot, WAL_AT_PENDING | put_commit(w, NULL));
    return true;
}

/* False: not all of the group could be moved now. */
static bool move_group(struct wal *w, struct wal_gr *g, size_t *budget, uint32_t *scan) {
    if (in_victim(w, g->promise_at) && !move_promise(w, g))
        return false;
    if (in_victim(w, g->truncate_at) && !move_truncate(w, g))
        return false;
    *budget -= *budget < 64 ? *budget : 64;
    for (uint32_t i = index_lower(g, w->move_slot); i < g->head + g->count; i++) {
        w->move_slot = g->v[i].slot;
        if (!*budget || !*scan)
            return false;
        --*scan;
        if (!in_victim(w, g->v[i].at))
            continue;
        size_t bytes = at_bytes(g->v[i].at);
        if (!move_entry(w, g, &g->v[i]))
            return false;
        counter_inc(&w->stats.moved);
        *budget -= bytes < *budget ? bytes : *budget;
    }
    return true;
}

static void move_begin(struct wal *w) {
    w->victim = ilist_first(&w->used, struct wal_segment, link);
    w->move_group = w->group_list.next;
    w->move_slot = 0;
    w->release_seq = 0;
    if (w->victim->live == 0)
        w->move_group = &w->group_list;
}

/* Everything that counts is somewhere else, or on its way there. */
static void move_end(struct wal *w) {
    enum rc rc;
    CHECKF(w->victim->live == 0, "%llu bytes of generation %u count and were not moved",
           (unsigned long long)w->victim->live, use_generation(w->victim->use));
    uint8_t *p = put_reserve(w, WAL_FIRST, 0, 8, false, &rc);
    if (!p)
        return;
    set_u32le(p + WAL_RECORD_HEADER_BYTES, use_generation(w->victim->use) + 1);
    set_u32le(p + WAL_RECORD_HEADER_BYTES + 4, 0);
    w->release_seq = put_commit(w, NULL);
}

static void release(struct wal *w) {
    struct wal_segment *s = w->victim;
    w->victim = NULL;
    w->release_seq = 0;
    segment_released(w, s);
}

void move_step(struct wal *w) {
    if (!move_wanted(w))
        return;
    if (!w->victim)
        move_begin(w);
    size_t budget = w->gather_bytes > WAL_MOVE_BYTES ? w->gather_bytes : WAL_MOVE_BYTES;
    uint32_t scan = WAL_MOVE_SCAN;
    if (in_victim(w, w->store_at) && !move_store(w))
        return;
    while (w->move_group != &w->group_list) {
        if (!move_group(w, ilist_entry(w->move_group, struct wal_gr, link), &budget, &scan))
            break;
        w->move_group = w->move_group->next;
        w->move_slot = 0;
    }
    if (w->move_broken)
        w->victim = NULL; /* it stays as it is; the next opening says what is wrong with it */
    else if (w->move_group == &w->group_list)
        move_end(w);
    if (w->release_seq && env_mutant(w->env, "N-10.first"))
        release(w);
}

void move_settled(struct wal *w) {
    if (w->victim && w->release_seq && w->durable_seq >= w->release_seq)
        release(w);
}
