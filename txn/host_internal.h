/* SPDX-License-Identifier: Apache-2.0 */
/* host_internal.h: what the files of a host share. */
#ifndef MERIDIAN_TXN_HOST_INTERNAL_H
#define MERIDIAN_TXN_HOST_INTERNAL_H

#include "txn/host.h"

enum { SECTION_NAME_BYTES = 64, GATE_BYTES = 8, OUTCOMES_MAX = 256 << 10, DONE_MAX = 128 << 10 };

/* A fiber that waits for a lock. */
struct host_wait {
    struct map_node node;
    uint64_t request;
    struct txn_id id;
    struct event done;
    struct lock_event event;
};

struct txn_host *host_new(struct txn_hosts *hs, struct tablet *t); /* NULL: no memory; without a site yet */
void host_drop(struct txn_host *h);
/* The sections of one transaction as the site knows it now, between begin and end of a slot: written, or removed. */
enum rc host_keep_prepared(struct txn_host *h, const struct txn_id *id, struct err *err) MUST_CHECK;
enum rc host_keep_outcome(struct txn_host *h, const struct txn_id *id, struct err *err) MUST_CHECK;
enum rc host_keep_horizons(struct txn_host *h, struct err *err) MUST_CHECK;
bool host_section_id(const char *name, struct txn_id *ret);
void host_lose_all(struct txn_host *h, enum rc rc);

/* host_rows.c: the record's writes become rows and descriptors, in the slot that is being applied. */
enum rc host_take_effect(struct txn_host *h, const struct txn_id *id, const struct site_effect *effect,
                         struct err *err) MUST_CHECK;

enum rc guest_copy(struct txn_host *to, const struct guest *g) MUST_CHECK;

/* host_bulk.c: writes in pieces. id's, if they do not fit into one entry, are in the log when it returns. */
enum rc host_spill(struct txn_host *h, const struct txn_id *id, int64_t deadline, struct err *err) WAITS MUST_CHECK;
bool guest_is_large(struct guest *g);
void pieces_mark(uint32_t pieces, struct buf *to);
uint32_t pieces_marked(struct txn_bytes writes); /* 0: it is in one piece */
enum rc pieces_apply(struct txn_host *h, const struct command *c, struct err *err) MUST_CHECK;
enum rc pieces_drop(struct txn_host *h, const struct txn_id *id, uint32_t pieces, struct err *err) MUST_CHECK;
enum rc pieces_gather(struct txn_host *h, const struct txn_id *id, uint32_t pieces, struct buf *to,
                      struct err *err) MUST_CHECK;
enum rc pieces_copy(struct txn_host *h, struct txn_host *right, struct err *err) MUST_CHECK;
/* Those of transactions that are over go, in the background. */
void pieces_clean(struct txn_host *h);

/* host_split.c: hooks of tablet_ops */
enum rc host_split_begin(void *state, struct mvcc_bytes key, struct err *err);
void host_split_cancel(void *state);
enum rc host_split_right(void *state, struct mvcc_bytes key, uint64_t generation, struct tablet *right,
                         void **ret_right, struct err *err);
enum rc host_split_left(void *state, px_slot slot, struct mvcc_bytes key, uint64_t generation, struct err *err);

/* host_mail.c */
/* What may go with a message for people who ask where the time went. */
struct mail_times {
    bool known;
    struct host_times times;
    uint64_t tablet; /* the one that speaks */
    const struct host_vote *votes;
    size_t n_votes;
};
void hosts_send_at(struct txn_hosts *hs, struct txn_key key, uint64_t gateway, const void *msg, size_t bytes,
                   int64_t not_before, const struct mail_times *times);
/* COMMIT or PREPARE has come to the tablet. */
void note_arrival(struct txn_hosts *hs, uint64_t tablet, const struct txn_id *id);
void note_vote(struct txn_hosts *hs, uint64_t tablet, const struct txn_id *id, const struct host_vote *v);
const struct host_note *note_find(struct txn_hosts *hs, uint64_t tablet, const struct txn_id *id); /* or NULL */

/* serve.c */
enum rc serve_register(struct txn_hosts *hs) MUST_CHECK;

#endif
