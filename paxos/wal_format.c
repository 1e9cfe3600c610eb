/* SPDX-License-Identifier: Apache-2.0 */
/* wal_format.c: the bytes of segments and records (the tables are in wal.h), and N-10: what the end of a log tells. */
#include <string.h>

#include "paxos/wal_internal.h"
#include "truetime/base/crc32c.h"

enum { HEAD_CRC_AT = 52, GROUP_MAX_BITS = 56 };

void head_encode(const struct wal_head *h, uint8_t to[WAL_HEADER_BYTES]) {
    memset(to, 0, WAL_HEADER_BYTES);
    memcpy(to, WAL_MAGIC, 8);
    set_u64le(to + 8, h->use);
    set_u64le(to + 16, h->first_batch);
    set_u32le(to + 24, h->prior_end);
    set_u32le(to + 28, h->bytes);
    set_u64le(to + 32, h->store);
    set_u32le(to + 40, h->first_needed);
    set_u32le(to + HEAD_CRC_AT, crc32c(0, to, HEAD_CRC_AT));
}

static bool all_zero(const uint8_t *p, size_t n) {
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

enum head_status head_decode(const uint8_t *p, size_t bytes, struct wal_head *ret) {
    if (all_zero(p, bytes < WAL_HEADER_BYTES ? bytes : WAL_HEADER_BYTES))
        return HEAD_BLANK;
    if (bytes < WAL_HEADER_BYTES || memcmp(p, WAL_MAGIC, 8) != 0 ||
        get_u32le(p + HEAD_CRC_AT) != crc32c(0, p, HEAD_CRC_AT))
        return HEAD_BAD;
    struct wal_head h = {.use = get_u64le(p + 8),
                         .first_batch = get_u64le(p + 16),
                         .store = get_u64le(p + 32),
                         .prior_end = get_u32le(p + 24),
                         .bytes = get_u32le(p + 28),
                         .first_needed = get_u32le(p + 40)};
    uint32_t generation = use_generation(h.use);
    if (generation == 0 || h.first_needed == 0 || h.first_needed > generation || h.first_batch == 0)
        return HEAD_BAD;
    if (h.bytes < WAL_SEGMENT_BYTES_MIN || h.bytes > WAL_SEGMENT_BYTES_MAX || h.bytes % WAL_SECTOR_ALIGN != 0)
        return HEAD_BAD;
    if (h.prior_end % 8 != 0 || h.prior_end > WAL_SEGMENT_BYTES_MAX ||
        (generation > 1) != (h.prior_end >= WAL_HEADER_BYTES))
        return HEAD_BAD;
    *ret = h;
    return HEAD_VALID;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

void rec_begin(uint8_t *p, enum wal_type type, uint64_t group, size_t length) {
    CHECK(length <= WAL_RECORD_BYTES_MAX && group >> GROUP_MAX_BITS == 0);
    set_u32le(p + 4, (uint32_t)length);
    set_u64le(p + 32, group | (uint64_t)type << GROUP_MAX_BITS);
    size_t end = WAL_RECORD_HEADER_BYTES + length;
    memset(p + end, 0, rec_bytes(length) - end);
}

void rec_seal(uint8_t *p, wal_use use, uint64_t batch, uint32_t at, uint32_t begin) {
    set_u64le(p + 8, use);
    set_u64le(p + 16, batch);
    set_u32le(p + 24, at);
    set_u32le(p + 28, begin);
    set_u32le(p, crc32c(0, p + 4, WAL_RECORD_HEADER_BYTES - 4 + rec_length(p)));
}

bool rec_parse_at(const uint8_t *r, size_t bytes, size_t at, struct wal_rec *ret) {
    if (bytes < WAL_RECORD_HEADER_BYTES)
        return false;
    uint32_t length = rec_length(r);
    if (get_u32le(r + 24) != at || length > WAL_RECORD_BYTES_MAX || rec_bytes(length) > bytes)
        return false;
    if (get_u32le(r) != crc32c(0, r + 4, WAL_RECORD_HEADER_BYTES - 4 + length))
        return false;
    *ret = (struct wal_rec){.length = length,
                            .at = (uint32_t)at,
                            .begin = get_u32le(r + 28),
                            .use = get_u64le(r + 8),
                            .batch = get_u64le(r + 16),
                            .group = rec_group(r),
                            .type = (uint8_t)rec_type(r),
                            .payload = r + WAL_RECORD_HEADER_BYTES};
    return ret->begin <= at && ret->begin >= WAL_HEADER_BYTES;
}

bool rec_parse(const uint8_t *p, size_t bytes, size_t at, struct wal_rec *ret) {
    return at % 8 == 0 && at <= bytes && rec_parse_at(p + at, bytes - at, at, ret);
}

/* ---- payloads ---------------------------------------------------------------------------------------------------- */

void store_encode(const struct wal_store *s, uint8_t *to) {
    set_u64le(to, s->store);
    set_u64le(to + 8, s->incarnation);
    set_u64le(to + 16, (uint64_t)s->lease_ns_max);
    set_u64le(to + 24, (uint64_t)s->sole_lease_ns_max);
    set_u64le(to + 32, (uint64_t)s->clean_until);
}

void ballot_encode(const struct px_ballot *b, uint8_t *to) {
    set_u64le(to, b->round);
    set_u64le(to + 8, b->store);
    set_u64le(to + 16, b->incarnation);
}

static struct px_ballot ballot_at(const uint8_t *p) {
    return (struct px_ballot){get_u64le(p), get_u64le(p + 8), get_u64le(p + 16)};
}

void entry_encode(const struct px_entry *e, uint8_t *to) {
    set_u64le(to, e->slot);
    ballot_encode(&e->ballot, to + 8);
    ballot_encode(&e->value->origin, to + 32);
    set_u64le(to + 56, (uint64_t)e->value->ts);
    set_u32le(to + 64, e->value->kind);
    set_u32le(to + 68, 0);
    if (e->value->bytes)
        memcpy(to + WAL_ENTRY_HEADER_BYTES, e->value->data, e->value->bytes);
}

enum rc store_decode(const struct wal_rec *r, struct wal_store *ret) {
    if (r->length != WAL_STORE_BYTES)
        return RC_CORRUPT;
    *ret = (struct wal_store){get_u64le(r->payload), get_u64le(r->payload + 8), (int64_t)get_u64le(r->payload + 16),
                              (int64_t)get_u64le(r->payload + 24), (int64_t)get_u64le(r->payload + 32)};
    return RC_OK;
}

enum rc ballot_decode(const struct wal_rec *r, struct px_ballot *ret) {
    if (r->length != WAL_BALLOT_BYTES)
        return RC_CORRUPT;
    *ret = ballot_at(r->payload);
    return RC_OK;
}

enum rc slot_decode(const struct wal_rec *r, px_slot *ret) {
    if (r->length != 8)
        return RC_CORRUPT;
    *ret = get_u64le(r->payload);
    return RC_OK;
}

enum rc first_decode(const struct wal_rec *r, uint32_t *ret) {
    if (r->length != 8 || get_u32le(r->payload) == 0 || get_u32le(r->payload) > use_generation(r->use))
        return RC_CORRUPT;
    *ret = get_u32le(r->payload);
    return RC_OK;
}

enum rc entry_decode(const struct wal_rec *r, bool value, struct px_entry *ret) {
    const uint8_t *p = r->payload;
    if (r->length < WAL_ENTRY_HEADER_BYTES || get_u64le(p) == 0 || get_u32le(p + 64) < PX_START ||
        get_u32le(p + 64) > PX_RELEASE)
        return RC_CORRUPT;
    *ret = (struct px_entry){.slot = get_u64le(p), .ballot = ballot_at(p + 8)};
    if (!value)
        return RC_OK;
    ret->value =
        px_value_new((enum px_kind)get_u32le(p + 64), p + WAL_ENTRY_HEADER_BYTES, r->length - WAL_ENTRY_HEADER_BYTES);
    if (!ret->value)
        return RC_NOMEM;
    ret->value->origin = ballot_at(p + 32);
    ret->value->ts = (int64_t)get_u64le(p + 56);
    return RC_OK;
}

/* ---- one after the other ----------------------------------------------------------------------------------------- */

void walk_init(struct wal_walk *k, const uint8_t *p, size_t bytes, const struct wal_head *head) {
    *k = (struct wal_walk){.p = p, .bytes = bytes, .head = *head, .at = WAL_HEADER_BYTES, .begin = WAL_HEADER_BYTES};
    k->batch = head->first_batch - 1;
}

bool walk_next(struct wal_walk *k, struct wal_rec *ret) {
    if (!rec_parse(k->p, k->bytes, k->at, ret) || ret->use != k->head.use)
        return false;
    bool same = k->any && ret->batch == k->batch && ret->begin == k->begin;
    bool next = ret->batch == k->batch + 1 && ret->begin == k->at;
    if (!same && !next)
        return false;
    k->any = true;
    k->batch = ret->batch;
    k->begin = ret->begin;
    k->at += rec_bytes(ret->length);
    return true;
}

/*
 * The walk ended at k->at, in or behind batch k->batch. What lies there was torn by a crash, or was damaged later; records of
 * this use further on decide (N-10):
 *   of the same batch                           that batch was torn, in its middle
 *   of the next batch, which begins right here  that one was torn, at its beginning
 *   any other                                   a later batch was written, so what is bad here had been synced
 * Every multiple of 8 is looked at: a length may be what is damaged.
 */
enum tail walk_tail(const struct wal_walk *k, struct wal_rec *ret_evidence, size_t *ret_end) {
    enum tail tail = TAIL_CLEAN;
    *ret_end = k->at;
    for (size_t at = k->at; at + WAL_RECORD_HEADER_BYTES <= k->bytes; at += 8) {
        struct wal_rec r;
        if (get_u64le(k->p + at + 8) != k->head.use || !rec_parse(k->p, k->bytes, at, &r))
            continue;
        bool same = k->any && r.batch == k->batch && r.begin == k->begin;
        bool next = r.batch == k->batch + 1 && r.begin == k->at;
        if (!same && !next) {
            *ret_evidence = r;
            return TAIL_CORRUPT;
        }
        tail = TAIL_TORN;
        *ret_end = at + rec_bytes(r.length);
    }
    return tail;
}
