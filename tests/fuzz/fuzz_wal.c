/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_wal.c: any bytes as the segments of a log: dumped, opened, and where that succeeds appended to and opened again.
 *
 * Either as they are; or as orders what to write, with headers and checksums put right, so that the fuzzer gets past them: what
 * the records say may then be what no store ever wrote, damaged here and there. Nothing may crash; what is found after an append
 * must be found again.
 */
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"
#include "tests/unit/paxos/memenv.h"

enum { STORE = 1, FILES = 3, SEGMENT = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one segment hands to the next. */
struct chain {
    uint32_t generation, end;
    uint64_t batch;
};

static size_t payload(uint8_t *p, uint8_t type, const uint8_t *d) {
    static const size_t bytes[WAL_TYPES] = {[WAL_STORE] = WAL_STORE_BYTES,
                                            [WAL_PROMISE] = WAL_BALLOT_BYTES,
                                            [WAL_ENTRY] = 88,
                                            [WAL_VOID] = 8,
                                            [WAL_TRUNCATE] = 8,
                                            [WAL_FIRST] = 8};
    size_t n = type < WAL_TYPES ? bytes[type] : 16;
    memset(p, 0, n + 1);
    p[0] = d[2] & 15;
    if (type == WAL_STORE)
        p[0] = STORE;
    if (type == WAL_ENTRY)
        p[64] = 1 + d[2] / 64;
    return d[3] & 64 ? n : n + (d[3] >> 7); /* now and then one too many */
}

/* A segment with a right header, of records and bytes as the input says: four bytes each; returns the bytes taken. */
static size_t build(uint8_t *p, const uint8_t *d, size_t n, struct chain *c, unsigned flags) {
    struct wal_head h = {.use = (uint64_t)++c->generation << 32 | 7,
                         .first_batch = c->batch,
                         .store = STORE,
                         .prior_end = c->generation > 1 ? c->end : 0,
                         .bytes = SEGMENT,
                         .first_needed = flags & c->generation & 1 ? c->generation : 1};
    uint64_t batch = c->batch;
    uint32_t at = WAL_HEADER_BYTES, begin = at;
    size_t took = 0;
    memset(p, 0, SEGMENT);
    head_encode(&h, p);
    for (; took + 4 <= n && at + 200 <= SEGMENT; took += 4) {
        const uint8_t *x = d + took;
        if (x[0] == 255) /* the next segment */
            break;
        if (x[0] >= 240) { /* bytes that are no record, or a hole */
            memcpy(p + at, x, 4);
            at += x[0] & 8;
            continue;
        }
        if ((x[3] & 3) == 1 && at > begin) {
            batch += 1 + (x[3] == 9);
            begin = at;
        }
        uint8_t type = (uint8_t)(1 + x[0] % (WAL_TYPES - 1) + (x[0] == 239));
        size_t length = payload(p + at + WAL_RECORD_HEADER_BYTES, type, x);
        rec_begin(p + at, (enum wal_type)type, x[1] & 3, length);
        rec_seal(p + at, h.use + (x[3] == 77), batch, at + (x[3] == 78) * 8, begin);
        if ((x[3] & 0x3c) == 0x3c)
            p[at + x[2] % 60] ^= 1; /* damaged */
        at += (uint32_t)rec_bytes(length);
    }
    c->end = at;
    c->batch = batch + 1;
    return took + 4 < n ? took + 4 : n;
}

static void ignore_line(void *ctx, const char *text) {
    CHECK(strlen(text) < 1000);
    (*(unsigned *)ctx)++;
}

static enum rc on_entry(void *ctx, uint64_t group, const struct px_entry *e) {
    (void)group;
    *(uint64_t *)ctx += e->value->bytes;
    return RC_OK;
}

static void count(void *ctx, const struct wal_group *g) {
    uint64_t *sum = ctx;
    uint64_t x = g->group + 1;
    x = hash_u64(x * 31 + g->promised.round);
    x = hash_u64(x * 31 + g->truncated);
    x = hash_u64(x * 31 + g->first + 1000 * g->last + 1000000 * g->entries);
    *sum += x; /* their order is that of the oldest records, which may go */
}

/* What the log holds, as a number; false: it does not open. */
static bool open_once(struct memenv *e, bool append, uint64_t *ret) {
    uint64_t bytes = 0;
    struct wal_conf conf = {.store = STORE, .segment_bytes = SEGMENT};
    struct wal_replay replay = {.on_entry = on_entry, .ctx = &bytes};
    struct wal_damage damage = {0};
    struct err err = {0};
    struct wal *w = NULL;
    enum rc rc = wal_open(&e->env, "log", &conf, &replay, &w, &damage, &err);
    CHECK(rc == RC_OK || rc == RC_CORRUPT || rc == RC_INVAL);
    if (rc)
        return false;
    if (append) {
        struct px_ballot b = {1, STORE, 1};
        CHECK(wal_put_promise(w, 5, &b, NULL) == RC_OK);
        CHECK(wal_put_void(w, 6, 1, NULL) == RC_OK);
        wal_flush(w);
        memenv_run(e);
        CHECK(wal_health(w) != RC_IO);
    }
    *ret = 1;
    wal_each(w, count, ret);
    wal_close(w, NULL, NULL);
    memenv_run(e);
    return true;
}

static void look(struct memenv *e) {
    unsigned lines = 0;
    uint64_t first, second;
    enum rc rc = wal_dump(&e->env, "log", ignore_line, &lines, NULL);
    CHECK(rc == RC_OK || rc == RC_NOTFOUND);
    if (open_once(e, true, &first)) {
        CHECK(open_once(e, false, &second));
        CHECK(first == second);
    }
}

static const char *const names[FILES] = {"log/00000001.wal", "log/00000002.wal", "log/00000003.wal"};

static void as_they_are(const uint8_t *data, size_t size) {
    struct memenv e;
    memenv_init(&e);
    for (size_t i = 0; i < FILES && size; i++) {
        size_t n = size < SEGMENT ? size : SEGMENT;
        memenv_put(&e, names[i], data, n);
        data += n;
        size -= n;
    }
    look(&e);
    memenv_done(&e);
}

static void as_segments(const uint8_t *data, size_t size, unsigned flags) {
    struct chain c = {.batch = 1};
    uint8_t p[SEGMENT];
    struct memenv e;
    memenv_init(&e);
    for (size_t i = 0; i < FILES && size; i++) {
        size_t n = build(p, data, size, &c, flags);
        memenv_put(&e, names[i], p, flags & 2 && i == FILES - 1 ? SEGMENT / 2 : SEGMENT);
        data += n;
        size -= n;
    }
    look(&e);
    memenv_done(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    if (data[0] & 128)
        as_they_are(data + 1, size - 1);
    else
        as_segments(data + 1, size - 1, data[0]);
    return 0;
}
