/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_txn.c: any bytes as messages, log records and snapshots of the
 * transaction layer. The first byte chooses. What decodes encodes again, and
 * decodes to the same bytes; and messages go, one after the other, into a site
 * that leads: whatever comes, none of its invariants may break.
 */
#include <string.h>

#include "txn/site.h"

enum { ARENA_BYTES = 1 << 20 };
static const int64_t T0 = INT64_C(1767225600000000000);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void writes(void *ctx, const struct txn_id *id, struct buf *to) {
    (void)ctx;
    if (id->counter & 1)
        buf_puts(to, "images");
}

enum { SHAPE_BYTES = 10 };

/* A message that makes sense, from SHAPE_BYTES bytes: random ones seldom get
 * past the decoder. */
static void shape(const uint8_t *b, struct arena *a, struct txn_msg *ret) {
    static const uint8_t keys[] = "abcdefghmz";
    struct txn_part *parts = arena_array(a, 3, sizeof *parts);
    CHECK(parts);
    *ret = (struct txn_msg){.type = (enum txn_msg_type)(1 + b[0] % (TXN_MSG_TYPES - 1))};
    ret->ref = (struct txn_ref){.id = {1, 1, b[1] % 8}, .age = {b[1] % 8, 1, b[1] % 8}, .began = T0 - (b[2] & 1)};
    ret->anchor = (struct txn_key){&keys[b[3] % 10], 1};
    ret->span = (struct txn_span){{&keys[b[4] % 10], 1}, {NULL, 0}};
    ret->verdict = (enum txn_verdict)(b[5] % TXN_VERDICTS);
    ret->read_only = b[5] & 64;
    ret->s_min = T0 + (int64_t)b[6] * 1000;
    ret->s_allowed = b[7] & 1 ? INT64_MAX : T0 + (int64_t)b[7] * 10000;
    ret->token = (struct txn_token){ret->ref.id, b[7] & 2 ? INT64_MAX : T0 + (int64_t)b[7] * 1000};
    ret->parts = parts;
    ret->n_parts = b[8] % 4;
    for (size_t i = 0; i < ret->n_parts; i++) {
        parts[i] = (struct txn_part){.term = 1, .requests = 1, .generation = 1};
        parts[i].span.start = (struct txn_key){&keys[i * 3], 1};
        parts[i].span.end = (struct txn_key){&keys[i * 3 + 3], 1};
        parts[i].requests += (b[9] & 15) == i;
    }
}

/* Messages of a length byte and so many bytes each, or shaped ones; between
 * them transactions begin and take locks. */
static void to_site(const uint8_t *data, size_t size, bool shaped) {
    struct site_init init = {.generation = 1, .writes = writes, .limits = {.coordinating = 8, .done = 8, .out = 256}};
    struct txn_facts f = {.mono_ns = 1, .tt = {T0, T0 + 1000}, .lease_end = T0 + 1000000, .schema_until = INT64_MAX};
    struct site *s;
    if (site_new(&init, &s) || site_lead_begin(s, 1, &f, NULL))
        return;
    for (unsigned i = 0; i < 4; i++) {
        struct txn_ref ref = {.id = {1, 1, i}, .age = {i, 1, i}, .began = T0};
        uint8_t key[2] = {(uint8_t)('a' + i), 0};
        struct txn_span span = {{key, 1}, {key, 2}};
        bool waits;
        if (site_request(s, &ref, 0, &f, NULL) == RC_OK) {
            IGNORE(site_lock(s, &ref.id, &span, LOCK_EXCLUSIVE, i, INT64_MAX, &f, &waits, NULL));
            site_request_end(s, &ref.id, &f);
        }
    }
    while (size > SHAPE_BYTES) {
        size_t n = shaped ? SHAPE_BYTES : data[0] < size - 1 ? data[0] : size - 1;
        struct arena a;
        struct txn_msg m;
        struct site_out o;
        arena_init(&a, ARENA_BYTES);
        if (shaped)
            shape(data + 1, &a, &m);
        if (shaped || txn_msg_decode(data + 1, n, &a, &m, NULL) == RC_OK)
            site_message(s, &m, &f);
        while (site_next(s, &o)) {
            struct txn_record r;
            struct site_effect e;
            struct arena b;
            arena_init(&b, 0);
            if (o.type == SITE_OUT_PROPOSE && data[0] & 1) { /* not taken */
                struct txn_id id = o.id;
                site_refused(s, &id, o.record, &f);
            } else if (o.type == SITE_OUT_PROPOSE && txn_record_decode(o.bytes, o.n, &b, &r, NULL) == RC_OK) {
                CHECK(site_apply(s, &r, o.ts, &f, &e, NULL) == RC_OK); /* what we propose we can apply */
            }
            arena_done(&b);
        }
        arena_done(&a);
        f.mono_ns += (int64_t)data[0] * 1000000;
        f.tt.earliest += data[0] * 100;
        f.tt.latest += data[0] * 100;
        f.floor = site_floor(s);
        site_tick(s, &f);
        site_check(s);
        data += n + 1;
        size -= n + 1;
    }
    site_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct buf one, two;
    struct txn_msg m;
    struct txn_record r;
    struct txn_state st;
    enum rc rc;
    if (size == 0)
        return 0;
    int kind = data[0] & 3;
    if (kind == 3) {
        to_site(data + 1, size - 1, data[0] & 4);
        return 0;
    }
    arena_init(&a, ARENA_BYTES);
    buf_init(&one, 0);
    buf_init(&two, 0);
    rc = kind == 0   ? txn_msg_decode(data + 1, size - 1, &a, &m, NULL)
         : kind == 1 ? txn_record_decode(data + 1, size - 1, &a, &r, NULL)
                     : txn_state_decode(data + 1, size - 1, &a, &st, NULL);
    CHECK(rc == RC_OK || rc == RC_PROTOCOL || rc == RC_CORRUPT || rc == RC_NOMEM);
    if (rc == RC_OK) {
        struct arena b;
        arena_init(&b, 0);
        rc = kind == 0   ? txn_msg_encode(&m, &b, &one)
             : kind == 1 ? txn_record_encode(&r, &b, &one)
                         : txn_state_encode(&st, &b, &one);
        CHECK(rc == RC_OK);
        rc = kind == 0   ? txn_msg_decode(one.data, one.len, &b, &m, NULL)
             : kind == 1 ? txn_record_decode(one.data, one.len, &b, &r, NULL)
                         : txn_state_decode(one.data, one.len, &b, &st, NULL);
        CHECK(rc == RC_OK);
        rc = kind == 0   ? txn_msg_encode(&m, &b, &two)
             : kind == 1 ? txn_record_encode(&r, &b, &two)
                         : txn_state_encode(&st, &b, &two);
        CHECK(rc == RC_OK && one.len == two.len && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0));
        arena_done(&b);
    }
    buf_done(&one);
    buf_done(&two);
    arena_done(&a);
    return 0;
}
