/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_bulk.c: transactions that write more than an entry of the log holds.
 *
 * Before the site is asked to prepare or commit, the leader logs what was written in pieces, each a section of the tablet's file.
 * The record then says only how many there are. The transaction's last entry takes them out again. Those of one that never got so
 * far are taken out by the leader that drops it, or by its successor.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "txn/host_internal.h"

enum { ID_BYTES = 24, CLEAN_MAX = 1024 };
static const int64_t CLEAN_NS = 10000000000;

static void put_id(struct buf *b, const struct txn_id *id) {
    buf_put_u64le(b, id->gateway);
    buf_put_u64le(b, id->incarnation);
    buf_put_u64le(b, id->counter);
}

static struct txn_id get_id(struct rd *r) {
    struct txn_id id = {.gateway = rd_u64le(r)};
    id.incarnation = rd_u64le(r);
    id.counter = rd_u64le(r);
    return id;
}

static const char *piece_name(char to[SECTION_NAME_BYTES], const struct txn_id *id, uint32_t piece) {
    snprintf(to, SECTION_NAME_BYTES, "txn/w/%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "/%04x", id->gateway,
             id->incarnation, id->counter, piece);
    return to;
}

static bool piece_of(const char *name, struct txn_id *ret, uint32_t *ret_piece) {
    int end = 0;
    return sscanf(name, "txn/w/%16" SCNx64 "%16" SCNx64 "%16" SCNx64 "/%4" SCNx32 "%n", &ret->gateway,
                  &ret->incarnation, &ret->counter, ret_piece, &end) == 4 &&
           name[end] == '\0';
}

/* ---- logging the pieces ------------------------------------------------------------------------------------------------ */

static enum rc log_piece(struct txn_host *h, const struct txn_id *id, uint32_t piece, const uint8_t *p, size_t n,
                         int64_t deadline, struct err *err) {
    struct tablets *ts = h->all->store->tablets;
    uint64_t tablet = h->id;
    struct buf b;
    int64_t at;
    buf_init(&b, REPLICA_COMMAND_BYTES_MAX);
    command_begin(&b, COMMAND_UPPER + 1, site_generation(h->site));
    put_id(&b, id);
    buf_put_u32le(&b, piece);
    buf_put(&b, p, n);
    enum rc rc = buf_rc(&b) ? err_set(err, buf_rc(&b), "out of memory for a transaction's writes")
                            : tablet_propose(ts, tablet, b.data, b.len, 0, NULL, deadline, &at, err);
    buf_done(&b);
    return rc;
}

bool guest_is_large(struct guest *g) {
    return g->rows && !g->pieces && txn_overlay_bytes(g->rows->overlay) > HOST_WRITES_BYTES_MAX;
}

enum rc host_spill(struct txn_host *h, const struct txn_id *id, int64_t deadline, struct err *err) {
    struct guest *g = guest_find(h, id);
    struct txn_span range = site_range(h->site);
    struct buf all;
    uint32_t n = 0;
    if (!g || !guest_is_large(g))
        return RC_OK;
    buf_init(&all, HOST_WRITES_TOTAL_MAX);
    enum rc rc = guest_encode(g, &range, &all);
    if (rc == RC_LIMIT)
        err_set(err, rc, "a transaction can write %d bytes on one tablet, and this is more", HOST_WRITES_TOTAL_MAX);
    else if (rc)
        err_set(err, rc, "%s", rc_text(rc));
    bool in_one = !rc && all.len <= HOST_WRITES_BYTES_MAX;
    h->pieces |= !rc && !in_one;
    for (size_t at = 0; at < all.len && !rc && !in_one; at += HOST_PIECE_BYTES) {
        size_t left = all.len - at, bytes = left < HOST_PIECE_BYTES ? left : HOST_PIECE_BYTES;
        rc = log_piece(h, id, n++, all.data + at, bytes, deadline, err);
        if (!rc && h->closed)
            rc = err_set(err, RC_ABORTED, "the tablet has left this store");
    }
    g = rc ? NULL : guest_find(h, id);
    if (!rc && !g)
        rc = err_set(err, RC_ABORTED, "the transaction was aborted while its writes were logged");
    if (g)
        g->pieces = n;
    buf_done(&all);
    return rc;
}

void pieces_mark(uint32_t pieces, struct buf *to) {
    varint_put(to, HOST_IN_PIECES);
    varint_put(to, pieces);
}

uint32_t pieces_marked(struct txn_bytes writes) {
    struct rd r;
    rd_init(&r, writes.p, writes.n);
    uint64_t mark = writes.n ? varint_get(&r) : 0, n = mark == HOST_IN_PIECES ? varint_get(&r) : 0;
    return r.bad || n > HOST_WRITES_TOTAL_MAX / HOST_PIECE_BYTES + 1 ? 0 : (uint32_t)n;
}

/* ---- applying ------------------------------------------------------------------------------------------------------------ */

enum rc pieces_apply(struct txn_host *h, const struct command *c, struct err *err) {
    char name[SECTION_NAME_BYTES];
    struct rd r;
    rd_init(&r, c->body.p, c->body.n);
    struct txn_id id = get_id(&r);
    uint32_t piece = rd_u32le(&r);
    if (r.bad)
        return err_set(err, RC_CORRUPT, "a piece of a transaction's writes is cut off");
    if (c->kind == COMMAND_UPPER + 2)
        return pieces_drop(h, &id, piece, err);
    h->pieces = true;
    return mvcc_put_section(tablet_mvcc(h->tablet), piece_name(name, &id, piece),
                            (struct mvcc_bytes){r.at, rd_left(&r)}, err);
}

enum rc pieces_drop(struct txn_host *h, const struct txn_id *id, uint32_t pieces, struct err *err) {
    char name[SECTION_NAME_BYTES];
    enum rc rc = RC_OK;
    for (uint32_t i = 0; i < pieces && !rc; i++)
        rc = mvcc_put_section(tablet_mvcc(h->tablet), piece_name(name, id, i), (struct mvcc_bytes){NULL, 0}, err);
    return rc;
}

enum rc pieces_gather(struct txn_host *h, const struct txn_id *id, uint32_t pieces, struct buf *to, struct err *err) {
    char name[SECTION_NAME_BYTES];
    enum rc rc = RC_OK;
    for (uint32_t i = 0; i < pieces && !rc; i++)
        rc = mvcc_section(tablet_mvcc(h->tablet), piece_name(name, id, i), to, err);
    return rc == RC_NOTFOUND ? err_set(err, RC_CORRUPT, "a piece of a transaction's writes is missing") : rc;
}

struct copying {
    struct mvcc *to;
};

static enum rc copy_piece(const char *name, struct mvcc_bytes bytes, void *ctx, struct err *err) {
    return mvcc_put_section(((struct copying *)ctx)->to, name, bytes, err);
}

enum rc pieces_copy(struct txn_host *h, struct txn_host *right, struct err *err) {
    struct copying c = {tablet_mvcc(right->tablet)};
    right->pieces = h->pieces;
    return h->pieces ? mvcc_sections(tablet_mvcc(h->tablet), "txn/w/", copy_piece, &c, err) : RC_OK;
}

/* ---- those that nobody needs ----------------------------------------------------------------------------------------------- */

struct cleaning {
    struct txn_host *h;
    struct txn_id id[CLEAN_MAX];
    uint32_t pieces[CLEAN_MAX];
    size_t n;
};

static enum rc note_piece(const char *name, struct mvcc_bytes bytes, void *ctx, struct err *err) {
    struct cleaning *c = ctx;
    struct txn_id id;
    uint32_t piece;
    (void)bytes, (void)err;
    if (!piece_of(name, &id, &piece))
        return RC_OK;
    if (c->n && txn_id_eq(&c->id[c->n - 1], &id)) {
        c->pieces[c->n - 1] = piece + 1;
    } else if (c->n < CLEAN_MAX) { /* what is left over goes another time */
        c->id[c->n] = id;
        c->pieces[c->n++] = piece + 1;
    }
    return RC_OK;
}

static void clean_main(void *arg) {
    struct cleaning *c = arg;
    struct txn_host *h = c->h;
    struct txn_hosts *hs = h->all;
    if (h->closed || mvcc_sections(tablet_mvcc(h->tablet), "txn/w/", note_piece, c, NULL) != RC_OK)
        c->n = 0;
    for (size_t i = 0; i < c->n && !h->closed && host_leads(h); i++) {
        struct txn_record r;
        struct buf b;
        int64_t at;
        if (guest_find(h, &c->id[i]) || site_prepared(h->site, &c->id[i], &r) == RC_OK)
            continue;
        buf_init(&b, 0);
        command_begin(&b, COMMAND_UPPER + 2, site_generation(h->site));
        put_id(&b, &c->id[i]);
        buf_put_u32le(&b, c->pieces[i]);
        if (!buf_rc(&b)) /* else with the next leader */
            IGNORE(tablet_propose(hs->store->tablets, h->id, b.data, b.len, 0, NULL,
                                  reactor_deadline(hs->reactor, CLEAN_NS), &at, NULL));
        buf_done(&b);
    }
    host_unref(h);
    free(c);
}

void pieces_clean(struct txn_host *h) {
    struct cleaning *c = h->pieces ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return;
    c->h = h;
    host_ref(h);
    if (fiber_spawn(h->all->reactor, &h->all->fibers, FIBER_LARGE, "txn clean", clean_main, c) != RC_OK) {
        host_unref(h);
        free(c);
    }
}
