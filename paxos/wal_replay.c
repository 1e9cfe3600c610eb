/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_replay.c: opening: which segments there are, whether they are whole, and what they hold.
 *
 *   1. read the header of each file; the valid one with the highest generation is the newest segment
 *   2. walk the newest: it says which generation is needed first, and where its records end: torn or damaged (wal_format.c)
 *   3. the files that are not needed must not hold anything newer (a header that was lost would hide acknowledged records)
 *   4. walk the needed ones, oldest first, each up to the end which its successor states, and hand out what they hold
 *   5. only then change anything: half-made files go, the newest is made ready to go on
 *
 * The log goes on where it ended. Behind the end there may be valid records of a torn batch, which must never be taken for the
 * continuation of a new one: they are overwritten with zeros before anything else is written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"

enum { FILES_MAX = WAL_SEGMENTS_MAX, NAME_DIGITS = 8 };

struct found {
    uint32_t number;
    uint32_t bytes; /* of the file, as far as a segment may use it */
    struct env_file *file;
    enum head_status status;
    struct wal_head head;
    bool needed;
};

struct opening {
    struct wal *w;
    const struct wal_replay *replay;
    struct wal_damage *damage;
    struct err *err;
    struct found *found;
    size_t count, cap;
    uint32_t *unmade; /* numbers of half-made files */
    size_t unmade_count, unmade_cap;
    enum rc rc; /* of gathering names */
    uint8_t *buf;
    size_t buf_bytes;
    struct found *newest;
    uint32_t first_needed;
    struct wal_walk end; /* where the newest ended */
    size_t torn_end;     /* records of a torn batch may be there up to here */
    uint8_t *heal;       /* the last batch, or the header if that is all; then zeros */
    uint32_t heal_at, heal_bytes;
};

/* ---- what people are told ---------------------------------------------------------------------------------------- */

static enum rc damaged(struct opening *o, const struct found *f, uint32_t generation, uint64_t batch, size_t offset,
                       const char *fmt, ...) PRINTF_LIKE(6, 7);
static enum rc damaged(struct opening *o, const struct found *f, uint32_t generation, uint64_t batch, size_t offset,
                       const char *fmt, ...) {
    struct wal_damage d = {.generation = generation, .batch = batch, .offset = (uint32_t)offset};
    va_list ap;
    if (f)
        snprintf(d.segment, sizeof d.segment, "%08u.wal", f->number);
    va_start(ap, fmt);
    vsnprintf(d.what, sizeof d.what, fmt, ap);
    va_end(ap);
    if (o->damage)
        *o->damage = d;
    err_set(o->err, RC_CORRUPT, "log segment %s, generation %u, offset %zu: %s", f ? d.segment : "(missing)",
            generation, offset, d.what);
    err_hint(o->err, "the replicas of this store must be rebuilt from their peers");
    return RC_CORRUPT;
}

static enum rc no_memory(struct opening *o) {
    return err_set(o->err, RC_NOMEM, "out of memory");
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* "00000007.wal" */
static bool name_parse(const char *name, const char *ending, uint32_t *ret) {
    uint32_t n = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(name[i] - '0');
    }
    *ret = n;
    return strcmp(name + NAME_DIGITS, ending) == 0;
}

static bool grow(void *v, size_t size, size_t count, size_t *cap) {
    void **array = v;
    if (count < *cap)
        return true;
    size_t n = *cap ? *cap * 2 : 16;
    void *p = n <= FILES_MAX * 2u ? realloc(*array, n * size) : NULL;
    if (!p)
        return false;
    *array = p;
    *cap = n;
    return true;
}

static void on_name(void *ctx, const char *name) {
    struct opening *o = ctx;
    uint32_t n;
    if (o->rc)
        return;
    if (name_parse(name, ".wal", &n)) {
        if (!grow(&o->found, sizeof *o->found, o->count, &o->cap))
            o->rc = no_memory(o);
        else
            o->found[o->count++] = (struct found){.number = n};
    } else if (name_parse(name, ".new", &n)) {
        if (!grow(&o->unmade, sizeof *o->unmade, o->unmade_count, &o->unmade_cap))
            o->rc = no_memory(o);
        else
            o->unmade[o->unmade_count++] = n;
    } else {
        return;
    }
    if (n > o->w->number_max)
        o->w->number_max = n;
}

static enum rc found_open(struct opening *o, struct found *f) {
    char path[ENV_PATH_BYTES];
    uint8_t head[WAL_HEADER_BYTES];
    int64_t size = 0;
    size_t got = 0;
    enum rc rc = segment_path(o->w, f->number, true, path, sizeof path, o->err);
    if (!rc)
        rc = env_file_open(o->w->env, path, 0, &f->file, o->err);
    if (!rc)
        rc = env_file_size(f->file, &size, o->err);
    if (!rc)
        rc = env_file_read(f->file, head, sizeof head, 0, &got, o->err);
    if (rc)
        return rc;
    size = size < WAL_SEGMENT_BYTES_MAX ? size : WAL_SEGMENT_BYTES_MAX;
    f->bytes = (uint32_t)size & ~(uint32_t)(WAL_SECTOR_ALIGN - 1);
    f->status = head_decode(head, got, &f->head);
    if (f->status == HEAD_VALID && f->head.store != o->w->conf.store)
        return err_set(o->err, RC_INVAL, "%s is the log of store %llu, not of %llu", path,
                       (unsigned long long)f->head.store, (unsigned long long)o->w->conf.store);
    return RC_OK;
}

/* Reads the first `bytes` bytes; what the file does not have reads as zeros. */
static enum rc load(struct opening *o, const struct found *f, size_t bytes) {
    size_t got = 0;
    if (bytes > o->buf_bytes || !o->buf) {
        free(o->buf);
        o->buf_bytes = 0;
        o->buf = malloc(bytes ? bytes : 1);
        if (!o->buf)
            return no_memory(o);
        o->buf_bytes = bytes;
    }
    enum rc rc = env_file_read(f->file, o->buf, bytes, 0, &got, o->err);
    if (!rc)
        memset(o->buf + got, 0, bytes - got);
    return rc;
}

/* ---- the newest segment ------------------------------------------------------------------------------------------ */

static void find_newest(struct opening *o) {
    for (size_t i = 0; i < o->count; i++) {
        struct found *f = &o->found[i];
        if (f->status == HEAD_VALID && (!o->newest || f->head.use > o->newest->head.use))
            o->newest = f;
    }
}

static enum rc keep_last_batch(struct opening *o) {
    bool head = o->end.begin == WAL_HEADER_BYTES;
    o->heal_at = head ? 0 : (uint32_t)o->end.begin;
    bool leave = env_mutant(o->w->env, "N-10.torn");
    o->heal_bytes = (uint32_t)(leave ? o->end.at : o->torn_end) - o->heal_at;
    o->heal = calloc(1, o->heal_bytes);
    if (!o->heal)
        return no_memory(o);
    memcpy(o->heal, o->buf + o->heal_at, o->end.at - o->heal_at);
    return RC_OK;
}

static enum rc walk_newest(struct opening *o) {
    struct found *f = o->newest;
    struct wal_rec r;
    uint32_t first = 0, generation = use_generation(f->head.use);
    enum rc rc = load(o, f, f->head.bytes);
    if (rc)
        return rc;
    o->first_needed = f->head.first_needed;
    walk_init(&o->end, o->buf, f->head.bytes, &f->head);
    while (walk_next(&o->end, &r))
        if (r.type == WAL_FIRST) {
            if (first_decode(&r, &first))
                return damaged(o, f, generation, r.batch, r.at, "a record that makes no sense");
            o->first_needed = first > o->first_needed ? first : o->first_needed;
        }
    enum tail tail = walk_tail(&o->end, &r, &o->torn_end);
    if (tail == TAIL_TORN)
        env_probe(o->w->env, "wal: a torn batch was cut off");
    if (tail == TAIL_CORRUPT)
        return damaged(o, f, generation, o->end.batch, o->end.at, "damaged: batch %llu follows at %u",
                       (unsigned long long)r.batch, r.at);
    return keep_last_batch(o);
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

/*
 * A file that is not needed was about to become the next segment, if anything. Its header comes with its first batch, in one
 * write; sectors are written whole. So there may be records of the first batch without a header; but if there are any of a
 * later batch, or if the header is neither the old one nor blank, then the header has been lost since, and with it what was
 * acknowledged.
 */
static enum rc check_unneeded(struct opening *o, const struct found *f) {
    uint32_t newest = o->newest ? use_generation(o->newest->head.use) : 0;
    enum rc rc = load(o, f, f->bytes);
    for (size_t at = WAL_HEADER_BYTES; !rc && at + WAL_RECORD_HEADER_BYTES <= f->bytes; at += 8) {
        struct wal_rec r;
        if (get_u32le(o->buf + at + 12) <= newest || !rec_parse(o->buf, f->bytes, at, &r))
            continue;
        if (f->status == HEAD_BAD || r.begin != WAL_HEADER_BYTES)
            rc = damaged(o, f, use_generation(r.use), 0, 0, "the header is lost, batch %llu is there",
                         (unsigned long long)r.batch);
    }
    return rc;
}

static struct found *of_generation(struct opening *o, uint32_t generation) {
    for (size_t i = 0; i < o->count; i++)
        if (o->found[i].status == HEAD_VALID && use_generation(o->found[i].head.use) == generation)
            return &o->found[i];
    return NULL;
}

static enum rc check_files(struct opening *o) {
    enum rc rc = RC_OK;
    for (uint32_t g = o->first_needed; o->newest && g <= use_generation(o->newest->head.use); g++) {
        struct found *f = of_generation(o, g);
        if (!f)
            return damaged(o, NULL, g, 0, 0, "the segment of a generation that is needed is not there");
        f->needed = true;
    }
    for (size_t i = 0; i < o->count && !rc; i++) {
        const struct found *f = &o->found[i];
        uint32_t g = use_generation(f->head.use);
        if (!f->needed && f->status == HEAD_VALID && g >= o->first_needed)
            return damaged(o, f, g, 0, 0, "there is another segment of this generation");
        if (!f->needed)
            rc = check_unneeded(o, f);
    }
    return rc;
}

/* ---- handing out ------------------------------------------------------------------------------------------------- */

#define HAND(o, fn, ...) ((o)->replay && (o)->replay->fn ? (o)->replay->fn((o)->replay->ctx, __VA_ARGS__) : RC_OK)

static enum rc hand_entry(struct opening *o, const struct wal_rec *r, struct wal_gr *g, wal_at at) {
    struct px_entry e;
    enum rc rc = entry_decode(r, o->replay && o->replay->on_entry, &e);
    if (rc)
        return rc;
    if (!index_room(g)) {
        px_value_unref(e.value);
        return RC_NOMEM;
    }
    index_entry(o->w, g, e.slot, at);
    rc = HAND(o, on_entry, r->group, &e);
    px_value_unref(e.value);
    return rc;
}

static enum rc hand_group(struct opening *o, const struct wal_rec *r, wal_at at) {
    struct px_ballot b;
    px_slot slot;
    if (r->type == WAL_FORGET) {
        struct wal_gr *gone = index_find(o->w, r->group);
        if (gone)
            index_forget(o->w, gone);
        return r->length ? RC_CORRUPT : HAND(o, on_forget, r->group);
    }
    struct wal_gr *g = index_get(o->w, r->group);
    if (!g)
        return RC_NOMEM;
    if (r->type == WAL_ENTRY)
        return hand_entry(o, r, g, at);
    if (r->type == WAL_PROMISE) {
        if (ballot_decode(r, &b))
            return RC_CORRUPT;
        index_promise(o->w, g, &b, at);
        return HAND(o, on_promise, r->group, &b);
    }
    if (slot_decode(r, &slot))
        return RC_CORRUPT;
    if (r->type == WAL_VOID) {
        index_void(o->w, g, slot);
        return HAND(o, on_void, r->group, slot);
    }
    index_truncate(o->w, g, slot, at);
    return HAND(o, on_truncate, r->group, slot);
}

static enum rc hand(struct opening *o, const struct wal_rec *r, wal_at at) {
    struct wal_store s;
    switch (r->type) {
    case WAL_STORE:
        if (store_decode(r, &s) || s.store != o->w->conf.store)
            return RC_CORRUPT;
        index_store(o->w, &s, at);
        return HAND(o, on_store, &s);
    case WAL_PROMISE:
    case WAL_ENTRY:
    case WAL_VOID:
    case WAL_TRUNCATE:
    case WAL_FORGET:
        return hand_group(o, r, at);
    case WAL_FIRST:
        return RC_OK;
    default:
        return RC_CORRUPT;
    }
}

static struct wal_segment *adopt(struct opening *o, struct found *f) {
    struct wal_segment *s = segment_new(o->w);
    if (!s)
        return NULL;
    s->number = f->number;
    s->bytes = f->needed ? f->head.bytes : f->bytes;
    s->file = f->file;
    f->file = NULL;
    return s;
}

/* One segment up to `end`. */
static enum rc replay_segment(struct opening *o, struct found *f, size_t end) {
    struct wal_walk k;
    struct wal_rec r;
    uint32_t generation = use_generation(f->head.use);
    if (end > f->head.bytes)
        return damaged(o, f, generation, 0, end, "it ends before its successor says");
    enum rc rc = load(o, f, end);
    struct wal_segment *s = rc ? NULL : adopt(o, f);
    if (!s)
        return rc ? rc : no_memory(o);
    segment_to_used(o->w, s, f->head.use);
    walk_init(&k, o->buf, end, &f->head);
    while (k.at < end && !rc) {
        if (!walk_next(&k, &r))
            return damaged(o, f, generation, k.batch, k.at, "damaged: the log goes on until %zu", end);
        rc = hand(o, &r, at_make(s->index, r.at, rec_bytes(r.length)));
        if (rc == RC_CORRUPT)
            return damaged(o, f, generation, r.batch, r.at, "a record that makes no sense, of type %u", r.type);
        if (rc)
            return err_set(o->err, rc, "replay of %08u.wal, offset %u: %s", f->number, r.at, rc_text(rc));
    }
    s->end = (uint32_t)end;
    o->w->batch = k.batch + 1;
    return rc;
}

static enum rc replay_all(struct opening *o) {
    uint64_t batch = 0;
    enum rc rc = RC_OK;
    if (!o->newest)
        return RC_OK;
    for (uint32_t g = o->first_needed; g <= use_generation(o->newest->head.use) && !rc; g++) {
        struct found *f = of_generation(o, g);
        const struct found *next = f == o->newest ? NULL : of_generation(o, g + 1);
        if (batch && f->head.first_batch != batch)
            return damaged(o, f, g, batch - 1, 0, "it begins with batch %llu", (unsigned long long)f->head.first_batch);
        rc = replay_segment(o, f, next ? next->head.prior_end : o->end.at);
        batch = o->w->batch;
    }
    return rc;
}

/* ---- getting ready ----------------------------------------------------------------------------------------------- */

static enum rc ready_current(struct opening *o) {
    struct wal *w = o->w;
    int64_t size = 0;
    struct wal_segment *s = ilist_entry(w->used.prev, struct wal_segment, link);
    w->current = s;
    w->generation = use_generation(s->use);
    w->tail = s->end;
    w->heal = o->heal;
    w->heal_at = o->heal_at;
    w->heal_bytes = o->heal_bytes;
    o->heal = NULL;
    head_encode(&o->newest->head, w->head);
    enum rc rc = env_file_size(s->file, &size, o->err);
    if (!rc && size < s->bytes) /* the power went before its length was durable */
        rc = file_zeros(s->file, size, s->bytes, o->err);
    return rc;
}

static enum rc get_ready(struct opening *o) {
    struct wal *w = o->w;
    char path[ENV_PATH_BYTES];
    enum rc rc = o->newest ? ready_current(o) : RC_OK;
    for (size_t i = 0; i < o->unmade_count && !rc; i++) {
        rc = segment_path(w, o->unmade[i], false, path, sizeof path, o->err);
        if (!rc)
            rc = env_unlink(w->env, path, o->err);
    }
    for (size_t i = 0; i < o->count && !rc; i++) {
        struct found *f = &o->found[i];
        if (!f->file)
            continue; /* adopted */
        if (f->bytes < WAL_SEGMENT_BYTES_MIN || f->bytes > w->conf.segment_bytes) {
            rc = segment_path(w, f->number, true, path, sizeof path, o->err);
            if (!rc)
                rc = env_unlink(w->env, path, o->err);
            continue;
        }
        struct wal_segment *s = adopt(o, f);
        if (!s)
            return no_memory(o);
        segment_to_free(w, s);
    }
    if (!rc && !w->current && ilist_empty(&w->free))
        rc = segment_first(w, o->err);
    w->dir_due = true;
    return rc;
}

static enum rc open_all(struct opening *o) {
    enum rc rc = env_dir_list(o->w->env, o->w->dir, on_name, o, o->err);
    rc = rc ? rc : o->rc;
    for (size_t i = 0; i < o->count && !rc; i++)
        rc = found_open(o, &o->found[i]);
    if (!rc)
        find_newest(o);
    if (!rc && o->newest)
        rc = walk_newest(o);
    if (!rc)
        rc = check_files(o);
    if (!rc)
        rc = replay_all(o);
    return rc ? rc : get_ready(o);
}

static enum rc conf_fill(struct wal *w, const struct wal_conf *conf, struct err *err) {
    struct wal_conf *c = &w->conf;
    *c = *conf;
    c->segment_bytes = c->segment_bytes ? c->segment_bytes : WAL_SEGMENT_BYTES;
    c->segments_soft = c->segments_soft ? c->segments_soft : 8;
    c->gather_bytes_max = c->gather_bytes_max ? c->gather_bytes_max : 64 << 20;
    if (!c->reserve_bytes)
        c->reserve_bytes = c->segment_bytes / 4 < 4 << 20 ? c->segment_bytes / 4 : 4 << 20;
    if (c->segment_bytes < WAL_SEGMENT_BYTES_MIN || c->segment_bytes > WAL_SEGMENT_BYTES_MAX ||
        c->segment_bytes % WAL_SECTOR_ALIGN)
        return err_set(err, RC_INVAL, "%u is no size for a log segment", c->segment_bytes);
    return RC_OK;
}

static void wal_undo(struct wal *w) {
    w->closing = true; /* nothing is under way yet */
    for (uint32_t i = 0; i < w->segments; i++)
        if (w->segment[i])
            segment_drop(w, w->segment[i]);
    index_done(w);
    free(w->segment);
    free(w->heal);
    free(w);
}

enum rc wal_open(struct env *env, const char *dir, const struct wal_conf *conf, const struct wal_replay *replay,
                 struct wal **ret, struct wal_damage *ret_damage, struct err *err) {
    struct wal *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, RC_NOMEM, "out of memory");
    w->env = env;
    w->batch = 1;
    w->ticket_last = &w->ticket_first;
    ilist_init(&w->used);
    ilist_init(&w->free);
    ilist_init(&w->group_list);
    map_init(&w->groups);
    struct opening o = {.w = w, .replay = replay, .damage = ret_damage, .err = err};
    enum rc rc =
        strlen(dir) < sizeof w->dir ? conf_fill(w, conf, err) : err_set(err, RC_LIMIT, "path too long: %s", dir);
    if (!rc) {
        memcpy(w->dir, dir, strlen(dir) + 1);
        rc = open_all(&o);
    }
    for (size_t i = 0; i < o.count; i++)
        env_file_close(o.found[i].file);
    free(o.found);
    free(o.unmade);
    free(o.buf);
    free(o.heal);
    if (rc) {
        wal_undo(w);
        return rc;
    }
    gauge_set(&w->stats.live_bytes, (int64_t)w->live_bytes);
    *ret = w;
    return RC_OK;
}
