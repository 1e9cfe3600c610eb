/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_segment.c: the files of the log: made ahead, used, used again.
 *
 *   MAKING -> FREE -> USED -> FREE -> ...
 *
 * A new one is filled with zeros under a name of its own ("00000007.new"), step by step on the bulk lane so that commits never
 * queue behind it, then gets its name ("00000007.wal"), and is free once that name is durable. So whoever opens the log finds
 * whole files only, and a file half filled is nobody's. The disk being full is no failure: what gathers waits, entries are
 * refused while there is still room for what must always find some, and it is tried again every second.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"

enum { TABLE_MIN = 16 };

enum rc segment_path(const struct wal *w, uint32_t number, bool made, char *to, size_t cap, struct err *err) {
    int n = snprintf(to, cap, "%s/%08u.%s", w->dir, number, made ? "wal" : "new");
    return n < 0 || (size_t)n >= cap ? err_set(err, RC_LIMIT, "path too long: %.100s", w->dir) : RC_OK;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static uint32_t table_slot(const struct wal *w) {
    uint32_t i = 0;
    while (i < w->segments && w->segment[i])
        i++;
    return i;
}

struct wal_segment *segment_new(struct wal *w) {
    uint32_t i = table_slot(w);
    if (i == w->segments) {
        uint32_t cap = w->segments ? w->segments * 2 : TABLE_MIN;
        cap = cap > WAL_SEGMENTS_MAX ? WAL_SEGMENTS_MAX : cap;
        struct wal_segment **v = cap > w->segments ? realloc(w->segment, cap * sizeof *w->segment) : NULL;
        if (!v)
            return NULL;
        memset(v + w->segments, 0, (cap - w->segments) * sizeof *w->segment);
        w->segment = v;
        w->segments = cap;
    }
    struct wal_segment *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->index = i;
    s->state = SEG_MAKING;
    ilist_init(&s->link);
    w->segment[i] = s;
    return s;
}

static void leave_list(struct wal *w, struct wal_segment *s) {
    if (s->state == SEG_FREE)
        w->free_bytes -= s->bytes - WAL_HEADER_BYTES;
    if (s->state == SEG_USED) {
        w->used_bytes -= s->bytes;
        gauge_add(&w->stats.segments, -1);
    }
    ilist_del(&s->link);
}

void segment_drop(struct wal *w, struct wal_segment *s) {
    CHECK(s->live == 0 || w->closing || w->live_bytes == 0);
    leave_list(w, s);
    env_file_close(s->file);
    w->segment[s->index] = NULL;
    free(s);
}

void segment_to_free(struct wal *w, struct wal_segment *s) {
    CHECK(s->live == 0 && s != w->current);
    leave_list(w, s);
    s->state = SEG_FREE;
    w->free_bytes += s->bytes - WAL_HEADER_BYTES;
    ilist_push_back(&w->free, &s->link);
}

void segment_to_used(struct wal *w, struct wal_segment *s, wal_use use) {
    leave_list(w, s);
    s->state = SEG_USED;
    s->use = use;
    s->end = WAL_HEADER_BYTES;
    w->used_bytes += s->bytes;
    gauge_add(&w->stats.segments, 1);
    ilist_push_back(&w->used, &s->link);
}

struct wal_segment *segment_pick(struct wal *w, size_t record_bytes) {
    ilist_for_each(it, &w->free) {
        struct wal_segment *s = ilist_entry(it, struct wal_segment, link);
        if (s->bytes - WAL_HEADER_BYTES >= record_bytes)
            return s;
    }
    return NULL;
}

/* ---- how many ---------------------------------------------------------------------------------------------------- */

/* The size of the next one. */
static uint32_t growth(const struct wal *w) {
    uint64_t bytes = w->current ? (uint64_t)w->current->bytes * WAL_GROW : WAL_FIRST_BYTES;
    return bytes < w->conf.segment_bytes ? (uint32_t)bytes : w->conf.segment_bytes;
}

/* So much should be free. */
static uint64_t wanted(const struct wal *w) {
    return (uint64_t)growth(w) + w->conf.reserve_bytes;
}

void segment_released(struct wal *w, struct wal_segment *s) {
    char path[ENV_PATH_BYTES];
    counter_inc(&w->stats.recycled);
    if (w->free_bytes >= wanted(w) && segment_path(w, s->number, true, path, sizeof path, NULL) == RC_OK &&
        env_unlink(w->env, path, NULL) == RC_OK) {
        env_probe(w->env, "wal: a segment was given back");
        segment_drop(w, s);
    } else {
        segment_to_free(w, s);
    }
}

enum rc file_zeros(struct env_file *f, int64_t from, int64_t to, struct err *err) {
    static const uint8_t zeros[64 << 10];
    enum rc rc = RC_OK;
    while (from < to && !rc) {
        size_t n = to - from < (int64_t)sizeof zeros ? (size_t)(to - from) : sizeof zeros;
        rc = env_file_write(f, zeros, n, from, err);
        from += (int64_t)n;
    }
    return rc;
}

enum rc segment_first(struct wal *w, struct err *err) {
    char path[ENV_PATH_BYTES];
    enum rc rc = segment_path(w, w->number_max + 1, true, path, sizeof path, err);
    if (rc)
        return rc;
    struct wal_segment *s = segment_new(w);
    if (!s)
        return err_set(err, RC_NOMEM, "out of memory");
    rc = env_file_open(w->env, path, ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &s->file, err);
    s->bytes = growth(w);
    if (!rc)
        rc = file_zeros(s->file, 0, s->bytes, err); /* durable with the first batch */
    if (rc) {
        if (s->file)
            IGNORE(env_unlink(w->env, path, NULL)); /* the next opening takes it as it is */
        segment_drop(w, s);
        return rc;
    }
    s->number = ++w->number_max;
    segment_to_free(w, s);
    return RC_OK;
}

/* ---- making one more --------------------------------------------------------------------------------------------- */

static void make_on(struct wal *w);

static void on_retry(void *ctx) {
    struct wal *w = ctx;
    segment_make(w);
}

/* The file does not become a segment. lost: what was to be durable is not. */
static void make_failed(struct wal *w, enum rc rc, bool lost) {
    char path[ENV_PATH_BYTES];
    struct wal_segment *s = w->making;
    w->making = NULL;
    w->number_max--; /* there are only so many names */
    if (s->file && segment_path(w, s->number, w->make_names, path, sizeof path, NULL) == RC_OK)
        IGNORE(env_unlink(w->env, path, NULL)); /* what stays is nobody's, and goes when the log is opened */
    segment_drop(w, s);
    if (lost && (rc == RC_IO || rc == RC_SHUTDOWN)) {
        wal_die(w, rc, "a new segment");
        return;
    }
    if (rc == RC_NOSPACE && !w->nospace) {
        w->nospace = true;
        env_probe(w->env, "wal: no space for a segment");
        diag_warn(&w->env->diag, "wal: disk full", "free=%llu", (unsigned long long)w->free_bytes);
    }
    timer_init(&w->retry, on_retry, w);
    env_timer_set(w->env, &w->retry, env_now_ns(w->env) + WAL_RETRY_NS);
}

static void made(struct wal *w) {
    struct wal_segment *s = w->making;
    w->making = NULL;
    segment_to_free(w, s);
    w->want = 0;
    if (w->nospace)
        diag_info(&w->env->diag, "wal: there is space again", "free=%llu", (unsigned long long)w->free_bytes);
    w->nospace = false;
    wal_kick(w);
    segment_make(w);
}

static enum rc make_named(struct wal *w) {
    char from[ENV_PATH_BYTES], to[ENV_PATH_BYTES];
    enum rc rc = segment_path(w, w->making->number, false, from, sizeof from, NULL);
    if (!rc)
        rc = segment_path(w, w->making->number, true, to, sizeof to, NULL);
    if (!rc)
        rc = env_rename(w->env, from, to, NULL);
    w->make_names = !rc;
    return rc;
}

static void on_made_step(struct env_io *io) {
    struct wal *w = io->ctx;
    enum rc rc = io->rc;
    if (w->closing || w->dead) {
        segment_drop(w, w->making); /* the next opening removes the file */
        w->making = NULL;
    } else if (rc) {
        make_failed(w, rc, true);
    } else if (io->kind == ENV_IO_DIR_SYNC) {
        made(w);
    } else {
        w->made += (uint32_t)io->bytes;
        if (w->made == w->making->bytes)
            rc = make_named(w);
        if (rc)
            make_failed(w, rc, false);
        else
            make_on(w);
    }
    wal_leave(w);
}

static void make_on(struct wal *w) {
    uint32_t left = w->making->bytes - w->made;
    w->make_io = (struct env_io){.on_done = on_made_step, .ctx = w, .lane = ENV_LANE_BULK};
    if (left) {
        w->make_io.kind = ENV_IO_ALLOCATE;
        w->make_io.file = w->making->file;
        w->make_io.off = w->made;
        w->make_io.bytes = left < WAL_ALLOCATE_STEP ? left : WAL_ALLOCATE_STEP;
    } else {
        w->make_io.kind = ENV_IO_DIR_SYNC;
        w->make_io.path = w->dir;
    }
    w->under_way++;
    env_io_submit(w->env, &w->make_io);
}

void segment_make(struct wal *w) {
    char path[ENV_PATH_BYTES];
    size_t need = (w->want + WAL_HEADER_BYTES + WAL_SECTOR_ALIGN - 1) & ~(size_t)(WAL_SECTOR_ALIGN - 1);
    bool fits = w->want && segment_pick(w, w->want);
    if (w->making || w->dead || w->closing || timer_is_set(&w->retry))
        return;
    if (w->free_bytes >= wanted(w) && (!w->want || fits)) {
        w->nospace = false;
        return;
    }
    struct wal_segment *s = segment_new(w);
    if (!s)
        return; /* at the next occasion */
    s->number = ++w->number_max;
    s->bytes = growth(w) > need ? growth(w) : (uint32_t)need;
    w->making = s;
    w->made = 0;
    w->make_names = false;
    enum rc rc = segment_path(w, s->number, false, path, sizeof path, NULL);
    if (!rc)
        rc = env_file_open(w->env, path, ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &s->file, NULL);
    if (rc)
        make_failed(w, rc, false);
    else
        make_on(w);
}
