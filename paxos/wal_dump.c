/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_dump.c: the log for people: every segment, every record, and what is wrong with it.
 *
 * It judges nothing that wal_replay.c does not, but goes on behind damage: it looks for the next valid record at each multiple
 * of 8 and says how many bytes it left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"

enum { LINE_BYTES = 400, PREVIEW_BYTES = 24, FILES_MAX = WAL_SEGMENTS_MAX };

struct dump_file {
    char name[16];
    enum head_status status;
    struct wal_head head;
    int64_t size;
};

struct dump {
    struct env *env;
    const char *dir;
    void (*line)(void *ctx, const char *text);
    void *ctx;
    struct err *err;
    struct dump_file *file;
    size_t count, cap;
    enum rc rc;
};

static void say(struct dump *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct dump *d, const char *fmt, ...) {
    char text[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->line(d->ctx, text);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static void put_ballot(struct buf *b, const char *name, const struct px_ballot *x) {
    buf_printf(b, " %s=%" PRIu64 ".%" PRIu64 ".%" PRIu64, name, x->round, x->store, x->incarnation);
}

static const char *kind_name(enum px_kind kind) {
    static const char *const names[] = {
        [PX_START] = "start", [PX_COMMAND] = "command", [PX_CONFIG] = "config", [PX_RELEASE] = "release"};
    return names[kind];
}

static void put_entry(struct buf *b, const struct wal_rec *r) {
    struct px_entry e;
    if (entry_decode(r, false, &e)) {
        buf_printf(b, " makes no sense");
        return;
    }
    const uint8_t *p = r->payload, *data = p + WAL_ENTRY_HEADER_BYTES;
    size_t bytes = r->length - WAL_ENTRY_HEADER_BYTES;
    struct px_ballot origin = {get_u64le(p + 32), get_u64le(p + 40), get_u64le(p + 48)};
    buf_printf(b, " slot=%" PRIu64, e.slot);
    put_ballot(b, "ballot", &e.ballot);
    if (px_ballot_cmp(&origin, &e.ballot) != 0)
        put_ballot(b, "origin", &origin);
    buf_printf(b, " %s ts=%" PRId64 " bytes=%zu", kind_name((enum px_kind)get_u32le(p + 64)),
               (int64_t)get_u64le(p + 56), bytes);
    if (bytes)
        buf_puts(b, " \"");
    for (size_t i = 0; i < bytes && i < PREVIEW_BYTES; i++)
        buf_putc(b, data[i] >= ' ' && data[i] < 127 && data[i] != '"' ? data[i] : '.');
    if (bytes)
        buf_puts(b, bytes > PREVIEW_BYTES ? "\"..." : "\"");
}

static void put_store(struct buf *b, const struct wal_rec *r) {
    struct wal_store s;
    if (store_decode(r, &s)) {
        buf_puts(b, " makes no sense");
        return;
    }
    buf_printf(b, " store=%" PRIu64 " incarnation=%" PRIu64 " lease_ns_max=%" PRId64 " sole_lease_ns_max=%" PRId64,
               s.store, s.incarnation, s.lease_ns_max, s.sole_lease_ns_max);
    if (s.clean_until)
        buf_printf(b, " clean_until=%" PRId64, s.clean_until);
}

static void put_payload(struct buf *b, const struct wal_rec *r) {
    struct px_ballot ballot;
    px_slot slot;
    uint32_t first;
    if (r->type == WAL_STORE)
        put_store(b, r);
    else if (r->type == WAL_ENTRY)
        put_entry(b, r);
    else if (r->type == WAL_PROMISE && ballot_decode(r, &ballot) == RC_OK)
        put_ballot(b, "ballot", &ballot);
    else if ((r->type == WAL_VOID || r->type == WAL_TRUNCATE) && slot_decode(r, &slot) == RC_OK)
        buf_printf(b, " slot=%" PRIu64, slot);
    else if (r->type == WAL_FIRST && first_decode(r, &first) == RC_OK)
        buf_printf(b, " generation=%u", first);
    else if (r->type != WAL_FORGET || r->length)
        buf_puts(b, " makes no sense");
}

static void say_record(struct dump *d, const struct wal_rec *r) {
    static const char *const names[WAL_TYPES] = {
        [WAL_STORE] = "store",       [WAL_PROMISE] = "promise", [WAL_ENTRY] = "entry", [WAL_VOID] = "void",
        [WAL_TRUNCATE] = "truncate", [WAL_FORGET] = "forget",   [WAL_FIRST] = "first"};
    const char *name = r->type < WAL_TYPES && names[r->type] ? names[r->type] : "unknown";
    struct buf b;
    buf_init(&b, LINE_BYTES);
    buf_printf(&b, "%9u batch=%" PRIu64, r->at, r->batch);
    if (r->type != WAL_STORE && r->type != WAL_FIRST)
        buf_printf(&b, " group=%" PRIu64, r->group);
    buf_printf(&b, " %s", name);
    put_payload(&b, r);
    const char *text = buf_cstr(&b);
    d->line(d->ctx, text ? text : "(out of memory)");
    buf_done(&b);
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

/* The next valid record of this use at or behind at; `bytes` if there is none. */
static size_t next_valid(const uint8_t *p, size_t bytes, size_t at, wal_use use) {
    struct wal_rec r;
    for (; at + WAL_RECORD_HEADER_BYTES <= bytes; at += 8)
        if (get_u64le(p + at + 8) == use && rec_parse(p, bytes, at, &r))
            return at;
    return bytes;
}

static void dump_tail(struct dump *d, const struct wal_walk *k, uint32_t end) {
    struct wal_rec r;
    size_t torn_end;
    if (end && k->at < end)
        say(d, "%9zu DAMAGED: the segment after this one says that it goes on until %u", k->at, end);
    else if (end)
        say(d, "%9zu end", k->at);
    else if (walk_tail(k, &r, &torn_end) == TAIL_TORN)
        say(d, "%9zu end; torn: the rest of the batch was never acknowledged", k->at);
    else
        say(d, "%9zu end", k->at);
}

static void dump_records(struct dump *d, const uint8_t *p, const struct dump_file *f, uint32_t end) {
    struct wal_walk k;
    struct wal_rec r;
    size_t bytes = end ? end : f->head.bytes;
    walk_init(&k, p, bytes, &f->head);
    for (;;) {
        while (walk_next(&k, &r))
            say_record(d, &r);
        struct wal_rec evidence;
        size_t torn_end;
        if (!end && walk_tail(&k, &evidence, &torn_end) != TAIL_CORRUPT)
            break;
        size_t next = next_valid(p, bytes, k.at, f->head.use);
        if (next == bytes)
            break;
        CHECK(rec_parse(p, bytes, next, &r));
        if (next > k.at)
            say(d, "%9zu DAMAGED: %zu bytes", k.at, next - k.at);
        else
            say(d, "%9zu DAMAGED: batch %" PRIu64 " cannot follow here", k.at, r.batch);
        say_record(d, &r);
        k.any = true; /* go on behind it */
        k.batch = r.batch;
        k.begin = r.begin;
        k.at = next + rec_bytes(r.length);
    }
    dump_tail(d, &k, end);
}

/* The whole segment, what the file lacks as zeros; NULL: d->rc. */
static uint8_t *load(struct dump *d, const struct dump_file *f) {
    char path[ENV_PATH_BYTES];
    struct env_file *file = NULL;
    size_t got = 0;
    uint8_t *p = calloc(1, f->head.bytes);
    int n = snprintf(path, sizeof path, "%s/%s", d->dir, f->name);
    d->rc = !p || n < 0 || (size_t)n >= sizeof path ? err_set(d->err, RC_NOMEM, "out of memory") : RC_OK;
    if (!d->rc)
        d->rc = env_file_open(d->env, path, ENV_OPEN_READONLY, &file, d->err);
    if (!d->rc)
        d->rc = env_file_read(file, p, f->head.bytes, 0, &got, d->err);
    env_file_close(file);
    if (!d->rc)
        return p;
    free(p);
    return NULL;
}

/* The first generation that the newest segment needs. */
static uint32_t needed_first(struct dump *d, const struct dump_file *newest) {
    uint32_t needed = newest->head.first_needed, first;
    struct wal_walk k;
    struct wal_rec r;
    uint8_t *p = load(d, newest);
    if (!p)
        return needed;
    walk_init(&k, p, newest->head.bytes, &newest->head);
    while (walk_next(&k, &r))
        if (r.type == WAL_FIRST && first_decode(&r, &first) == RC_OK && first > needed)
            needed = first;
    free(p);
    return needed;
}

static void dump_segment(struct dump *d, const struct dump_file *f, const struct dump_file *next, bool needed) {
    static const char *const what[] = {[HEAD_BLANK] = "unused", [HEAD_BAD] = "DAMAGED header"};
    if (f->status != HEAD_VALID) {
        say(d, "%s: %s, %" PRId64 " bytes", f->name, what[f->status], f->size);
        return;
    }
    const struct wal_head *h = &f->head;
    say(d, "%s: generation %u, tag %08x, %u bytes, store %" PRIu64 ", first batch %" PRIu64 ", needed from %u%s",
        f->name, use_generation(h->use), (uint32_t)h->use, h->bytes, h->store, h->first_batch, h->first_needed,
        needed ? "" : "; free");
    if (!needed)
        return;
    uint8_t *p = load(d, f);
    if (p)
        dump_records(d, p, f, next && next->head.prior_end <= h->bytes ? next->head.prior_end : 0);
    free(p);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void on_name(void *ctx, const char *name) {
    struct dump *d = ctx;
    size_t n = strlen(name);
    if (d->rc || n != 12 || strcmp(name + 8, ".wal") != 0 || strspn(name, "0123456789") != 8)
        return;
    if (d->count == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 16;
        struct dump_file *v = cap <= FILES_MAX * 2u ? realloc(d->file, cap * sizeof *v) : NULL;
        if (!v) {
            d->rc = err_set(d->err, RC_NOMEM, "out of memory");
            return;
        }
        d->file = v;
        d->cap = cap;
    }
    struct dump_file *f = &d->file[d->count++];
    *f = (struct dump_file){.size = 0};
    memcpy(f->name, name, n + 1);
}

static enum rc read_head(struct dump *d, struct dump_file *f) {
    char path[ENV_PATH_BYTES];
    uint8_t head[WAL_HEADER_BYTES];
    struct env_file *file = NULL;
    size_t got = 0;
    int n = snprintf(path, sizeof path, "%s/%s", d->dir, f->name);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(d->err, RC_LIMIT, "path too long: %.100s", d->dir);
    enum rc rc = env_file_open(d->env, path, ENV_OPEN_READONLY, &file, d->err);
    if (!rc)
        rc = env_file_size(file, &f->size, d->err);
    if (!rc)
        rc = env_file_read(file, head, sizeof head, 0, &got, d->err);
    if (!rc)
        f->status = head_decode(head, got, &f->head);
    env_file_close(file);
    return rc;
}

static int by_generation(const void *a, const void *b) {
    const struct dump_file *x = a, *y = b;
    bool vx = x->status == HEAD_VALID, vy = y->status == HEAD_VALID;
    if (vx != vy)
        return vx ? 1 : -1;
    if (!vx || x->head.use == y->head.use)
        return strcmp(x->name, y->name);
    return x->head.use < y->head.use ? -1 : 1;
}

enum rc wal_dump(struct env *env, const char *dir, void (*line)(void *ctx, const char *text), void *ctx,
                 struct err *err) {
    struct dump d = {.env = env, .dir = dir, .line = line, .ctx = ctx, .err = err};
    enum rc rc = env_dir_list(env, dir, on_name, &d, err);
    rc = rc ? rc : d.rc;
    for (size_t i = 0; i < d.count && !rc; i++)
        rc = read_head(&d, &d.file[i]);
    if (!rc && d.count == 0)
        rc = err_set(err, RC_NOTFOUND, "there is no log in %s", dir);
    if (!rc)
        qsort(d.file, d.count, sizeof *d.file, by_generation);
    uint32_t needed = !rc && d.file[d.count - 1].status == HEAD_VALID ? needed_first(&d, &d.file[d.count - 1]) : 0;
    rc = rc ? rc : d.rc;
    for (size_t i = 0; i < d.count && !rc; i++) {
        const struct dump_file *f = &d.file[i], *next = i + 1 < d.count ? f + 1 : NULL;
        bool valid = f->status == HEAD_VALID;
        if (valid && next && use_generation(next->head.use) != use_generation(f->head.use) + 1)
            next = NULL; /* what lies between is missing, or both are of old */
        dump_segment(&d, f, next, valid && use_generation(f->head.use) >= needed);
        rc = d.rc;
    }
    free(d.file);
    return rc;
}
