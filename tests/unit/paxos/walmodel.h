/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walmodel.h: what a log should hold, kept in the plainest way: a shadow for tests of wal.h.
 *
 * A test makes random operations (model_next), gives each to the log (model_put) and to a model (model_apply), and compares what
 * the log gives back (by replay: model_replay; by asking: model_ask) with the model after some number of them.
 */
#ifndef MERIDIAN_TESTS_WALMODEL_H
#define MERIDIAN_TESTS_WALMODEL_H

#include "paxos/wal.h"
#include "truetime/base/rng.h"

enum { MODEL_GROUPS = 24, MODEL_SLOTS = 96, MODEL_STORE = 65537 };

struct model_entry {
    px_slot slot; /* another slot's, or nonce 0: there is none */
    uint64_t nonce;
    uint64_t round;
    size_t bytes;
};

struct model_group {
    uint64_t promised;
    px_slot truncated;
    px_slot last;                          /* the highest that was there */
    struct model_entry entry[MODEL_SLOTS]; /* slot s at s % MODEL_SLOTS */
};

struct model {
    struct model_group group[MODEL_GROUPS];
    uint64_t incarnation;
    int64_t clean_until;
};

struct model_op {
    enum wal_type type;
    unsigned group;
    px_slot slot;
    uint64_t round, nonce;
    size_t bytes;
};

/* How operations are chosen. */
struct model_mix {
    unsigned groups;
    size_t bytes_max;
    unsigned keep; /* entries of a group, about; they are truncated beyond it */
};

struct model_op model_next(const struct model *m, const struct model_mix *mix, struct rng *rng, uint64_t nonce);
void model_apply(struct model *m, const struct model_op *op);
enum rc model_put(struct wal *w, const struct model_op *op, struct wal_ticket *t) MUST_CHECK;
/* Callbacks that build m (which begins empty). */
struct wal_replay model_replay(struct model *m);
/* What the index and the reads say. RC_CORRUPT: they contradict themselves. */
enum rc model_ask(struct wal *w, struct model *m, struct err *err) MUST_CHECK;
/* Whether they hold the same; if not, what differs first. */
bool model_equal(const struct model *a, const struct model *b, char *ret_why, size_t bytes);
/* Bytes of records that count. */
size_t model_bytes(const struct model *m);

#endif
