/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_append.c: records gather, and go to the disk one batch at a time.
 *
 * A record is put into a block of memory with its payload; where it will lie is not known yet. When the disk is free, what has
 * gathered becomes a batch: each record gets its place and its checksum, and the blocks go out in one write with one sync. So
 * whatever gathers during a sync shares the next one, and alone a record never waits: there are no timers.
 *
 * After a batch the tickets are answered, the fibers that they wake run, and at the end of that turn (a post to ourselves) the
 * next batch is written: what the answered do next is in it.
 *
 * The first flush after an opening makes durable what replay found (wal.h): the directory's names, then the last batch; and
 * where a torn one was cut off, zeros.
 */
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"

static void pump(struct wal *w);

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void tickets_answer(struct wal *w, uint64_t upto, enum rc rc) {
    while (w->ticket_first && w->ticket_first->seq <= upto) {
        struct wal_ticket *t = w->ticket_first;
        w->ticket_first = t->next;
        if (!w->ticket_first)
            w->ticket_last = &w->ticket_first;
        t->on_done(t, rc);
    }
}

void wal_die(struct wal *w, enum rc rc, const char *what) {
    if (w->dead)
        return;
    w->dead = rc == RC_SHUTDOWN ? RC_SHUTDOWN : RC_IO;
    if (w->dead == RC_IO)
        diag_error(&w->env->diag, "wal: dead", "after=\"%s\" error=%s", what, rc_name(rc));
    env_timer_cancel(w->env, &w->retry);
    w->completing = true;
    tickets_answer(w, UINT64_MAX, w->dead);
    w->completing = false;
}

static void blocks_free(struct wal_block *b) {
    for (struct wal_block *next; b; b = next) {
        next = b->next;
        free(b);
    }
}

static void wal_free(struct wal *w) {
    for (uint32_t i = 0; i < w->segments; i++)
        if (w->segment[i])
            segment_drop(w, w->segment[i]);
    index_done(w);
    blocks_free(w->first);
    blocks_free(w->spare);
    free(w->segment);
    free(w->heal);
    free(w->scratch);
    void (*on_closed)(void *) = w->on_closed;
    void *ctx = w->closed_ctx;
    free(w);
    if (on_closed)
        on_closed(ctx);
}

void wal_leave(struct wal *w) {
    CHECK(w->under_way > 0);
    if (--w->under_way == 0 && w->closing)
        wal_free(w);
}

static void on_closed_post(struct env_post *p) {
    wal_leave(container_of(p, struct wal, closed));
}

void wal_close(struct wal *w, void (*on_closed)(void *ctx), void *ctx) {
    if (!w)
        return;
    CHECK(!w->closing);
    w->closing = true;
    w->on_closed = on_closed;
    w->closed_ctx = ctx;
    env_timer_cancel(w->env, &w->retry);
    tickets_answer(w, UINT64_MAX, RC_SHUTDOWN);
    w->under_way++;
    w->closed.fn = on_closed_post;
    env_post(w->env, &w->closed);
}

const struct wal_stats *wal_stats(const struct wal *w) {
    return &w->stats;
}

int64_t wal_stalled_ns(const struct wal *w) {
    return w->began_ns ? env_now_ns(w->env) - w->began_ns : 0;
}

static void stalls(struct wal *w) {
    if (!w->began_ns)
        w->began_ns = env_now_ns(w->env);
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

/* A young log keeps a smaller reserve: it has few groups. */
static int64_t reserve(const struct wal *w) {
    int64_t all = (int64_t)(w->current ? w->current->bytes : 0) + (int64_t)w->free_bytes;
    return (int64_t)w->conf.reserve_bytes < all / 4 ? (int64_t)w->conf.reserve_bytes : all / 4;
}

int64_t wal_space(const struct wal *w) {
    int64_t tail = w->current ? (int64_t)w->current->bytes - w->tail : 0;
    return tail + (int64_t)w->free_bytes - (int64_t)w->gather_bytes;
}

/* What entries may still take; negative: nothing. */
static int64_t room(const struct wal *w) {
    return wal_space(w) - reserve(w);
}

enum rc wal_health(const struct wal *w) {
    if (w->dead)
        return w->dead;
    if (w->nospace && room(w) < reserve(w))
        return RC_NOSPACE;
    return w->gather_bytes > w->conf.gather_bytes_max / 2 || room(w) < reserve(w) / 2 ? RC_OVERLOAD : RC_OK;
}

/* An entry of so many bytes may gather. */
static enum rc entry_fits(struct wal *w, size_t bytes) {
    bool tail = w->current && w->current->bytes - w->tail >= bytes + w->gather_bytes;
    size_t waste = bytes; /* what may stay unused at the end of a segment */
    if ((tail || segment_pick(w, bytes)) && room(w) >= (int64_t)(bytes + (tail ? 0 : waste)))
        return RC_OK;
    w->want = w->want > bytes ? w->want : bytes;
    w->room_due = true;
    segment_make(w);
    return w->nospace ? RC_NOSPACE : RC_OVERLOAD;
}

/* ---- putting ----------------------------------------------------------------------------------------------------- */

static struct wal_block *block_new(struct wal *w, size_t bytes) {
    struct wal_block *b = w->spare;
    if (bytes <= WAL_BLOCK_BYTES && b) {
        w->spare = b->next;
        w->spares--;
        *b = (struct wal_block){.cap = WAL_BLOCK_BYTES};
        return b;
    }
    size_t cap = bytes > WAL_BLOCK_BYTES ? bytes : WAL_BLOCK_BYTES;
    b = malloc(sizeof *b + cap);
    if (b)
        *b = (struct wal_block){.cap = cap};
    return b;
}

static void block_done(struct wal *w, struct wal_block *b) {
    if (b->cap != WAL_BLOCK_BYTES || w->spares >= WAL_BLOCKS_KEPT) {
        free(b);
        return;
    }
    b->next = w->spare;
    w->spare = b;
    w->spares++;
}

uint8_t *put_reserve(struct wal *w, enum wal_type type, uint64_t group, size_t length, bool entry, enum rc *ret_rc) {
    size_t bytes = rec_bytes(length);
    enum rc rc = w->dead ? w->dead : w->closing ? RC_SHUTDOWN : RC_OK;
    if (!rc && (length > WAL_RECORD_BYTES_MAX || bytes > w->conf.segment_bytes - WAL_HEADER_BYTES || group >> 56))
        rc = RC_LIMIT;
    if (!rc && w->gather_bytes + bytes > w->conf.gather_bytes_max) {
        w->room_due = true;
        rc = RC_OVERLOAD;
    }
    if (!rc && entry)
        rc = entry_fits(w, bytes);
    if (!rc && (!w->last || w->last->cap - w->last->used < bytes)) {
        struct wal_block *b = block_new(w, bytes);
        if (!b)
            rc = RC_NOMEM;
        else if (w->last)
            w->last = w->last->next = b;
        else
            w->first = w->last = b;
    }
    *ret_rc = rc;
    if (rc)
        return NULL;
    uint8_t *p = w->last->data + w->last->used;
    rec_begin(p, type, group, length);
    return p;
}

uint64_t put_commit(struct wal *w, struct wal_ticket *t) {
    size_t bytes = rec_bytes(rec_length(w->last->data + w->last->used));
    w->last->used += bytes;
    w->gather_bytes += bytes;
    w->seq++;
    if (t) {
        t->seq = w->seq;
        t->next = NULL;
        *w->ticket_last = t;
        w->ticket_last = &t->next;
    }
    return w->seq;
}

enum rc wal_put_store(struct wal *w, const struct wal_store *s, struct wal_ticket *t) {
    enum rc rc;
    CHECK(s->store == w->conf.store);
    uint8_t *p = put_reserve(w, WAL_STORE, 0, WAL_STORE_BYTES, false, &rc);
    if (!p)
        return rc;
    store_encode(s, p + WAL_RECORD_HEADER_BYTES);
    index_store(w, s, WAL_AT_PENDING | put_commit(w, t));
    return RC_OK;
}

enum rc wal_put_promise(struct wal *w, uint64_t group, const struct px_ballot *b, struct wal_ticket *t) {
    enum rc rc;
    uint8_t *p = put_reserve(w, WAL_PROMISE, group, WAL_BALLOT_BYTES, false, &rc);
    struct wal_gr *g = p ? index_get(w, group) : NULL;
    if (!g)
        return p ? RC_NOMEM : rc;
    ballot_encode(b, p + WAL_RECORD_HEADER_BYTES);
    index_promise(w, g, b, WAL_AT_PENDING | put_commit(w, t));
    return RC_OK;
}

enum rc wal_put_entry(struct wal *w, uint64_t group, const struct px_entry *e, struct wal_ticket *t) {
    enum rc rc;
    if (e->value->bytes > WAL_RECORD_BYTES_MAX - WAL_ENTRY_HEADER_BYTES)
        return RC_LIMIT;
    uint8_t *p = put_reserve(w, WAL_ENTRY, group, WAL_ENTRY_HEADER_BYTES + e->value->bytes, true, &rc);
    struct wal_gr *g = p ? index_get(w, group) : NULL;
    if (!g || !index_room(g))
        return p ? RC_NOMEM : rc;
    if (e->slot <= g->truncated) /* slot 0 too */
        return RC_INVAL;
    entry_encode(e, p + WAL_RECORD_HEADER_BYTES);
    index_entry(w, g, e->slot, WAL_AT_PENDING | put_commit(w, t));
    return RC_OK;
}

static enum rc put_slot(struct wal *w, enum wal_type type, uint64_t group, px_slot slot, struct wal_ticket *t,
                        uint64_t *ret_seq) {
    enum rc rc;
    uint8_t *p = put_reserve(w, type, group, sizeof slot, false, &rc);
    if (!p)
        return rc;
    set_u64le(p + WAL_RECORD_HEADER_BYTES, slot);
    *ret_seq = put_commit(w, t);
    return RC_OK;
}

enum rc wal_put_void(struct wal *w, uint64_t group, px_slot slot, struct wal_ticket *t) {
    uint64_t seq;
    enum rc rc = put_slot(w, WAL_VOID, group, slot, t, &seq);
    struct wal_gr *g = rc ? NULL : index_find(w, group);
    if (g)
        index_void(w, g, slot);
    return rc;
}

enum rc wal_put_truncate(struct wal *w, uint64_t group, px_slot slot, struct wal_ticket *t) {
    uint64_t seq;
    struct wal_gr *g = index_get(w, group);
    enum rc rc = g ? put_slot(w, WAL_TRUNCATE, group, slot, t, &seq) : RC_NOMEM;
    if (!rc)
        index_truncate(w, g, slot, WAL_AT_PENDING | seq);
    return rc;
}

enum rc wal_put_forget(struct wal *w, uint64_t group, struct wal_ticket *t) {
    enum rc rc;
    uint8_t *p = put_reserve(w, WAL_FORGET, group, 0, false, &rc);
    if (!p)
        return rc;
    put_commit(w, t);
    struct wal_gr *g = index_find(w, group);
    if (g)
        index_forget(w, g);
    return RC_OK;
}

/* ---- a batch ----------------------------------------------------------------------------------------------------- */

/* Records of block b from its `written` on get their places, as many as fit; true: all of them did. */
static bool seal_block(struct wal *w, struct wal_block *b) {
    b->taken = b->written;
    while (b->taken < b->used) {
        uint8_t *p = b->data + b->taken;
        size_t bytes = rec_bytes(rec_length(p));
        bool large = w->batch_records && w->batch_end - w->batch_begin + bytes > WAL_BATCH_BYTES_MAX;
        if (large || bytes > w->current->bytes - w->batch_end)
            return false;
        rec_seal(p, w->current->use, w->batch, w->batch_end, w->batch_begin);
        w->batch_end += (uint32_t)bytes;
        w->batch_records++;
        b->taken += bytes;
    }
    return true;
}

static int compose(struct wal *w) {
    int n = 0;
    bool all = true;
    if (w->batch_begin == WAL_HEADER_BYTES) /* the first batch of a segment brings its header */
        w->iov[n++] = (struct iovec){w->head, sizeof w->head};
    w->batch_end = w->batch_begin;
    w->batch_records = 0;
    for (struct wal_block *b = w->first; b && all && n < WAL_BATCH_BLOCKS_MAX; b = b->next) {
        all = seal_block(w, b);
        if (b->taken > b->written)
            w->iov[n++] = (struct iovec){b->data + b->written, b->taken - b->written};
    }
    CHECK(w->batch_records > 0);
    w->batch_seq = w->durable_seq + w->batch_records;
    w->gather_bytes -= w->batch_end - w->batch_begin;
    return n;
}

/* The next segment takes over. Its header is written with its first batch: one sync for both. */
static void begin_segment(struct wal *w, struct wal_segment *s) {
    const struct wal_segment *before = w->current;
    CHECK(w->generation < UINT32_MAX);
    wal_use use = (uint64_t)(w->generation + 1) << 32 | (uint32_t)env_random(w->env);
    segment_to_used(w, s, use);
    const struct wal_segment *oldest = ilist_first(&w->used, struct wal_segment, link);
    struct wal_head h = {.use = use,
                         .first_batch = w->batch,
                         .store = w->conf.store,
                         .prior_end = before ? before->end : 0,
                         .bytes = s->bytes,
                         .first_needed = use_generation(oldest->use)};
    head_encode(&h, w->head);
    w->generation++;
    w->current = s;
    w->tail = WAL_HEADER_BYTES;
}

static void settle(struct wal *w) {
    uint64_t seq = w->durable_seq;
    uint32_t at = w->batch_begin;
    for (struct wal_block *b = w->first; b && seq < w->batch_seq; b = b->next)
        while (b->written < b->taken) {
            const uint8_t *p = b->data + b->written;
            size_t bytes = rec_bytes(rec_length(p));
            index_settle(w, p, ++seq, at_make(w->current->index, at, bytes));
            at += (uint32_t)bytes;
            b->written += bytes;
        }
    CHECK(seq == w->batch_seq && at == w->batch_end);
    while (w->first && w->first->written == w->first->used) {
        struct wal_block *b = w->first;
        w->first = b->next;
        if (!w->first)
            w->last = NULL;
        block_done(w, b);
    }
    w->current->end = w->batch_end;
    w->durable_seq = seq;
    w->batch++;
}

static void count(struct wal *w) {
    counter_inc(&w->stats.batches);
    counter_add(&w->stats.records, w->batch_records);
    counter_add(&w->stats.bytes, w->batch_end - w->batch_begin);
    hist_add(&w->stats.batch_records, (int64_t)w->batch_records);
    hist_add(&w->stats.sync_ns, env_now_ns(w->env) - w->submit_ns);
    gauge_set(&w->stats.live_bytes, (int64_t)w->live_bytes);
}

static void say_room(struct wal *w) {
    if (w->room_due && wal_health(w) == RC_OK && !w->dead) {
        w->room_due = false;
        if (w->conf.on_room)
            w->conf.on_room(w->conf.ctx);
    }
}

static void on_written(struct env_io *io) {
    struct wal *w = io->ctx;
    w->writing = false;
    if (io->rc == RC_IO && env_mutant(w->env, "P-30"))
        io->rc = RC_OK;
    if (io->rc && !w->closing)
        wal_die(w, io->rc, w->what == LOG_IO_DIR ? "sync of the directory" : "write and sync of a batch");
    if (!w->closing && !w->dead) {
        w->completing = true;
        if (w->what == LOG_IO_DIR) {
            w->dir_due = false;
        } else if (w->what == LOG_IO_HEAL) {
            free(w->heal);
            w->heal = NULL;
        } else {
            settle(w);
            move_settled(w);
            count(w);
            w->began_ns = 0;
            tickets_answer(w, w->durable_seq, RC_OK);
        }
        w->completing = false;
    }
    if (!w->closing && !w->dead) {
        if (w->what != LOG_IO_BATCH)
            pump(w);
        else
            wal_kick(w);
    }
    wal_leave(w);
}

static void submit(struct wal *w, enum log_io what, struct env_io io) {
    stalls(w);
    w->submit_ns = env_now_ns(w->env);
    w->what = what;
    w->writing = true;
    w->io = io;
    w->io.on_done = on_written;
    w->io.ctx = w;
    w->io.lane = ENV_LANE_LOG;
    w->under_way++;
    env_io_submit(w->env, &w->io);
}

static void submit_heal(struct wal *w) {
    w->iov[0] = (struct iovec){w->heal, w->heal_bytes};
    submit(w, LOG_IO_HEAL,
           (struct env_io){
               .kind = ENV_IO_WRITE_SYNC, .file = w->current->file, .off = w->heal_at, .iov = w->iov, .iov_count = 1});
}

static size_t first_bytes(const struct wal *w) {
    const struct wal_block *b = w->first;
    while (b->written == b->used)
        b = b->next;
    return rec_bytes(rec_length(b->data + b->written));
}

static void submit_batch(struct wal *w) {
    size_t need = first_bytes(w);
    if (!w->current || w->current->bytes - w->tail < need) {
        struct wal_segment *s = segment_pick(w, need);
        if (!s) {
            env_probe(w->env, "wal: waited for a segment");
            stalls(w);
            w->want = w->want > need ? w->want : need;
            segment_make(w);
            return;
        }
        begin_segment(w, s);
    }
    w->batch_begin = w->tail;
    int n = compose(w);
    w->tail = w->batch_end;
    submit(w, LOG_IO_BATCH,
           (struct env_io){.kind = ENV_IO_WRITE_SYNC,
                           .file = w->current->file,
                           .off = w->batch_begin == WAL_HEADER_BYTES ? 0 : w->batch_begin,
                           .iov = w->iov,
                           .iov_count = n});
    segment_make(w);
    if (env_mutant(w->env, "P-2"))
        tickets_answer(w, w->batch_seq, RC_OK);
}

static void pump(struct wal *w) {
    if (w->writing || w->dead || w->closing)
        return;
    if (!w->gather_bytes && !move_wanted(w)) {
        w->began_ns = 0;
        return;
    }
    if (env_mutant(w->env, "P-31"))
        w->dir_due = false;
    if (w->dir_due) {
        submit(w, LOG_IO_DIR, (struct env_io){.kind = ENV_IO_DIR_SYNC, .path = w->dir});
    } else if (w->heal && !env_mutant(w->env, "N-10.heal")) {
        submit_heal(w);
    } else {
        move_step(w);
        if (w->gather_bytes)
            submit_batch(w);
    }
}

static void on_kick(struct env_post *p) {
    struct wal *w = container_of(p, struct wal, kick);
    w->kicked = false;
    if (!w->closing)
        pump(w);
    if (!w->closing)
        say_room(w);
    wal_leave(w);
}

void wal_kick(struct wal *w) {
    if (w->kicked || w->closing || w->dead)
        return;
    w->kicked = true;
    w->under_way++;
    w->kick.fn = on_kick;
    env_post(w->env, &w->kick);
}

void wal_flush(struct wal *w) {
    if (w->completing) /* from a ticket: there is more to come in this turn */
        wal_kick(w);
    else
        pump(w);
}
