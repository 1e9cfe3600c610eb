/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the log, as docs/formats.md has them; what is no record; what the end of a log tells (N-10). */
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"
#include "tests/lib/tap.h"

/* Checksums in these were computed by another program, bit by bit. */
static const char head_bytes[] = "4d52444e57414c31d4c3b2a1050000004d00000000000000c80f000000000100"
                                 "010001000000000003000000000000000000000083a080ad";
static const char entry_bytes[] = "9e061a8b4d000000d4c3b2a1050000004e0000000000000000040000c0030000"
                                  "4200000000000003090000000000000003000000000000000100020000000000"
                                  "0200000000000000020000000000000001000100000000000100000000000000"
                                  "0100faed51728618020000000000000068656c6c6f000000";
static const char store_bytes[] = "7837929b28000000d4c3b2a1050000004d000000000000000002000000020000"
                                  "000000000000000101000100000000000400000000000000005ed0b200000000"
                                  "00f2052a010000000200faed51728618";
static const char promise_bytes[] = "9f60dc0918000000d4c3b2a1050000004d000000000000005002000000020000"
                                    "4200000000000002030000000000000001000200000000000200000000000000";

enum { CAP = 4096 };
static const wal_use use = UINT64_C(5) << 32 | 0xa1b2c3d4;
static const struct wal_head head = {UINT64_C(5) << 32 | 0xa1b2c3d4, 77, 65537, 4040, 65536, 3};

static size_t unhex(const char *text, uint8_t *to) {
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 | (strchr(digits, text[2 * i + 1]) - digits));
    return n;
}

static void golden_header(void) {
    uint8_t want[WAL_HEADER_BYTES] = {0}, got[WAL_HEADER_BYTES];
    struct wal_head back;
    EQ_INT(unhex(head_bytes, want), 56);
    head_encode(&head, got);
    EQ_MEM(got, sizeof got, want, sizeof want);
    EQ_INT(head_decode(want, sizeof want, &back), HEAD_VALID);
    OK(back.use == head.use && back.first_batch == 77 && back.store == 65537 && back.prior_end == 4040 &&
       back.bytes == 65536 && back.first_needed == 3);
    for (size_t i = 0; i < 56; i++) {
        want[i] ^= 4;
        EQ_INT(head_decode(want, sizeof want, &back), HEAD_BAD);
        want[i] ^= 4;
    }
    EQ_INT(head_decode(want, WAL_HEADER_BYTES - 1, &back), HEAD_BAD);
    memset(want, 0, sizeof want);
    EQ_INT(head_decode(want, sizeof want, &back), HEAD_BLANK);
    EQ_INT(head_decode(want, 0, &back), HEAD_BLANK);
}

/* With a right checksum, and yet nothing that a log has. */
static void senseless_headers(void) {
    static const struct wal_head bad[] = {
        {.use = 1, .first_batch = 1, .store = 1, .bytes = 4096, .first_needed = 1},          /* generation 0 */
        {.use = 1ull << 32, .first_batch = 0, .store = 1, .bytes = 4096, .first_needed = 1}, /* no batch */
        {.use = 1ull << 32, .first_batch = 1, .store = 1, .bytes = 4096, .first_needed = 2}, /* needs later ones */
        {.use = 1ull << 32, .first_batch = 1, .store = 1, .bytes = 4096, .first_needed = 0},
        {.use = 1ull << 32, .first_batch = 1, .store = 1, .bytes = 100, .first_needed = 1},      /* too small */
        {.use = 1ull << 32, .first_batch = 1, .store = 1, .bytes = 1u << 31, .first_needed = 1}, /* too large */
        {.use = 1ull << 32, .first_batch = 1, .store = 1, .bytes = 4097, .first_needed = 1},
        {.use = 2ull << 32, .first_batch = 1, .store = 1, .bytes = 4096, .first_needed = 1}, /* no end before */
        {.use = 2ull << 32, .first_batch = 1, .store = 1, .bytes = 4096, .first_needed = 1, .prior_end = 513},
        {.use = 1ull << 32, .first_batch = 1, .store = 1, .bytes = 4096, .first_needed = 1, .prior_end = 512},
    };
    uint8_t p[WAL_HEADER_BYTES];
    struct wal_head back;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        head_encode(&bad[i], p);
        OKF(head_decode(p, sizeof p, &back) == HEAD_BAD, "%zu", i);
    }
}

static void golden_entry(void) {
    uint8_t want[CAP], got[CAP];
    size_t n = unhex(entry_bytes, want);
    struct px_value *v = px_value_new(PX_COMMAND, "hello", 5);
    CHECK(v);
    v->ts = 1767225600000000001;
    v->origin = (struct px_ballot){2, 65537, 1};
    struct px_entry e = {9, {3, 131073, 2}, v}, back;
    memset(got, 0xee, sizeof got);
    rec_begin(got, WAL_ENTRY, 0x42, WAL_ENTRY_HEADER_BYTES + 5);
    entry_encode(&e, got + WAL_RECORD_HEADER_BYTES);
    rec_seal(got, use, 78, 1024, 960);
    EQ_MEM(got, rec_bytes(WAL_ENTRY_HEADER_BYTES + 5), want, n);
    px_value_unref(v);
    struct wal_rec r;
    OK(rec_parse_at(want, n, 1024, &r));
    OK(r.type == WAL_ENTRY && r.group == 0x42 && r.batch == 78 && r.begin == 960 && r.use == use);
    EQ_INT(entry_decode(&r, true, &back), RC_OK);
    OK(back.slot == 9 && back.ballot.round == 3 && back.value->bytes == 5 && back.value->ts == 1767225600000000001 &&
       back.value->origin.round == 2 && memcmp(back.value->data, "hello", 5) == 0);
    px_value_unref(back.value);
}

static void golden_store_and_promise(void) {
    uint8_t want[CAP], got[CAP];
    size_t n = unhex(store_bytes, want);
    struct wal_store s = {65537, 4, 3000000000, 5000000000, 1767225600000000002}, back;
    struct px_ballot b = {3, 131073, 2}, b2;
    struct wal_rec r;
    rec_begin(got, WAL_STORE, 0, WAL_STORE_BYTES);
    store_encode(&s, got + WAL_RECORD_HEADER_BYTES);
    rec_seal(got, use, 77, 512, 512);
    EQ_MEM(got, rec_bytes(WAL_STORE_BYTES), want, n);
    OK(rec_parse_at(want, n, 512, &r));
    EQ_INT(store_decode(&r, &back), RC_OK);
    OK(back.store == s.store && back.incarnation == 4 && back.lease_ns_max == s.lease_ns_max &&
       back.sole_lease_ns_max == s.sole_lease_ns_max && back.clean_until == s.clean_until);
    n = unhex(promise_bytes, want);
    rec_begin(got, WAL_PROMISE, 0x42, WAL_BALLOT_BYTES);
    ballot_encode(&b, got + WAL_RECORD_HEADER_BYTES);
    rec_seal(got, use, 77, 592, 512);
    EQ_MEM(got, rec_bytes(WAL_BALLOT_BYTES), want, n);
    OK(rec_parse_at(want, n, 592, &r));
    EQ_INT(ballot_decode(&r, &b2), RC_OK);
    OK(px_ballot_cmp(&b, &b2) == 0);
    EQ_INT(store_decode(&r, &back), RC_CORRUPT);
}

/* Any bit flipped, another place, too few bytes: no record. */
static void no_record(void) {
    uint8_t p[CAP];
    size_t n = unhex(entry_bytes, p), covered = WAL_RECORD_HEADER_BYTES + WAL_ENTRY_HEADER_BYTES + 5;
    struct wal_rec r;
    for (size_t bit = 0; bit < covered * 8; bit++) {
        p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        OKF(!rec_parse_at(p, n, 1024, &r), "bit %zu", bit);
        p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    OK(rec_parse_at(p, n, 1024, &r));
    OK(!rec_parse_at(p, n, 1032, &r));
    for (size_t k = 0; k < n; k++)
        OK(!rec_parse_at(p, k, 1024, &r));
    OK(!rec_parse(p, n, n + 8, &r));
    OK(!rec_parse(p, n, 4, &r));
}

/* ---- the end of a log ---- */

struct log {
    uint8_t p[CAP];
    size_t at[16];
    unsigned n;
    struct wal_head head;
};

/* Promises; batches[i] is the batch of record i. */
static void log_make(struct log *l, const uint64_t *batches, unsigned n) {
    static const struct px_ballot b = {1, 1, 1};
    size_t at = WAL_HEADER_BYTES, begin = at;
    memset(l, 0, sizeof *l);
    l->head = (struct wal_head){.use = use, .first_batch = batches[0], .bytes = CAP};
    for (unsigned i = 0; i < n; i++) {
        begin = i && batches[i] == batches[i - 1] ? begin : at;
        l->at[l->n++] = at;
        rec_begin(l->p + at, WAL_PROMISE, i, WAL_BALLOT_BYTES);
        ballot_encode(&b, l->p + at + WAL_RECORD_HEADER_BYTES);
        rec_seal(l->p + at, use, batches[i], (uint32_t)at, (uint32_t)begin);
        at += rec_bytes(WAL_BALLOT_BYTES);
    }
    l->at[l->n] = at;
}

/* Records `bad` (bits) do not survive; how far the walk comes, and its verdict. */
static enum tail end_of(const uint64_t *batches, unsigned n, unsigned bad, unsigned *ret_records) {
    struct log l;
    struct wal_walk k;
    struct wal_rec r;
    log_make(&l, batches, n);
    for (unsigned i = 0; i < n; i++)
        if (bad & 1u << i)
            l.p[l.at[i] + 45] ^= 1;
    walk_init(&k, l.p, CAP, &l.head);
    for (*ret_records = 0; walk_next(&k, &r); ++*ret_records)
        ;
    size_t end;
    enum tail tail = walk_tail(&k, &r, &end);
    if (tail == TAIL_CLEAN)
        EQ_INT(end, k.at);
    if (tail == TAIL_TORN)
        OK(end > k.at && end <= l.at[n]);
    return tail;
}

static void torn_or_damaged(void) {
    static const uint64_t batches[] = {7, 7, 8, 8, 8, 9, 9};
    unsigned n;
    EQ_INT(end_of(batches, 7, 0, &n), TAIL_CLEAN);
    EQ_INT(n, 7);
    EQ_INT(end_of(batches, 7, 1 << 6, &n), TAIL_CLEAN); /* the last record of the last batch: nothing is behind it */
    EQ_INT(n, 6);
    EQ_INT(end_of(batches, 7, 1 << 5, &n), TAIL_TORN); /* the first of it: one of the same batch is behind */
    EQ_INT(n, 5);
    EQ_INT(end_of(batches, 7, 1 << 5 | 1 << 6, &n), TAIL_CLEAN);
    EQ_INT(end_of(batches, 7, 1 << 4, &n), TAIL_CORRUPT); /* the last of a batch that has a successor */
    EQ_INT(n, 4);
    EQ_INT(end_of(batches, 7, 1 << 3, &n), TAIL_CORRUPT);
    EQ_INT(end_of(batches, 7, 1 << 2, &n), TAIL_CORRUPT);
    EQ_INT(end_of(batches, 7, 0x1c, &n), TAIL_CORRUPT); /* a whole batch in the middle */
    EQ_INT(n, 2);
    EQ_INT(end_of(batches, 7, 0x3c, &n), TAIL_CORRUPT); /* and one record is left behind */
    EQ_INT(end_of(batches, 7, 0x7c, &n), TAIL_CLEAN);   /* everything from there on: as if it had never been */
    EQ_INT(end_of(batches, 7, 1, &n), TAIL_CORRUPT);
    EQ_INT(n, 0);
    EQ_INT(end_of(batches, 2, 1, &n), TAIL_TORN); /* the first batch of all */
    EQ_INT(n, 0);
}

/* Records of another use are not there. */
static void another_use(void) {
    static const uint64_t batches[] = {7, 7, 8};
    struct log l;
    struct wal_walk k;
    struct wal_rec r;
    log_make(&l, batches, 3);
    rec_seal(l.p + l.at[2], use + 1, 8, (uint32_t)l.at[2], (uint32_t)l.at[2]);
    walk_init(&k, l.p, CAP, &l.head);
    OK(walk_next(&k, &r) && walk_next(&k, &r) && !walk_next(&k, &r));
    size_t end;
    EQ_INT(walk_tail(&k, &r, &end), TAIL_CLEAN);
    EQ_INT(end, k.at);
}

int main(void) {
    RUN(golden_header);
    RUN(senseless_headers);
    RUN(golden_entry);
    RUN(golden_store_and_promise);
    RUN(no_record);
    RUN(torn_or_damaged);
    RUN(another_use);
    return tap_done();
}
