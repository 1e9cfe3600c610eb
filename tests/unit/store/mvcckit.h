/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvcckit.h: a plain model of versioned tables in memory, random tables and values for it, a simple overlay, and the means to
 * ask the model and a tablet the same question.
 *
 * The model knows for each key the list of its events (a row or a deletion, at a timestamp) and nothing else. What is visible
 * at T is put into an ordinary SQLite database in memory, which then answers the same SQL that the tablet is given.
 */
#ifndef MERIDIAN_TESTS_MVCCKIT_H
#define MERIDIAN_TESTS_MVCCKIT_H

#include "shard/store/fragment.h"
#include "shard/store/gc.h"
#include "truetime/base/map.h"
#include "truetime/base/rng.h"

enum { KIT_TABLES_MAX = 4, KIT_COLS_MAX = 8, KIT_EVENTS_MAX = 64, KIT_KEYS_MAX = 400 };

struct kit_event {
    int64_t ts;
    bool deleted;
    struct value *row;
};

struct kit_key {
    struct value key[TABLE_KEY_MAX];
    struct kit_event events[KIT_EVENTS_MAX]; /* by ts */
    int n_events;
};

struct kit_table {
    struct table *desc;
    struct kit_key *keys[KIT_KEYS_MAX];
    int n_keys;
};

struct kit_model {
    struct arena arena;
    struct kit_table tables[KIT_TABLES_MAX];
    int n_tables;
};

void kit_model_init(struct kit_model *m);
void kit_model_done(struct kit_model *m);
/* A table of random columns, key and indexes; the model keeps it. */
struct table *kit_random_table(struct kit_model *m, struct rng *rng, uint64_t id);
struct value kit_random_value(struct kit_model *m, struct rng *rng, const struct col *c, bool null_too);
struct value *kit_random_row(struct kit_model *m, struct rng *rng, const struct table *t);
struct kit_table *kit_find(struct kit_model *m, uint64_t table);
/* The record of a key, made if it is not there; NULL: no room. */
struct kit_key *kit_key(struct kit_model *m, struct kit_table *t, const struct value *key, bool make);
bool kit_has_event(const struct kit_key *k, int64_t ts);
int64_t kit_newest(const struct kit_key *k); /* its newest event; INT64_MIN: none */
/* False: no room for the event. */
bool kit_add(struct kit_model *m, const struct mvcc_mutation *x, int64_t ts);
/* What is visible at ts, or NULL. */
const struct value *kit_at(const struct kit_key *k, int64_t ts);
int kit_compare_keys(const struct table *t, const struct value *a, const struct value *b);

/* An overlay: writes in key order. */
struct kit_own {
    uint64_t table;
    struct overlay_row row;
    struct value key[TABLE_KEY_MAX];
};
struct kit_overlay {
    struct overlay base; /* first */
    struct kit_own own[32];
    int n;
};
void kit_overlay_init(struct kit_overlay *o);
void kit_overlay_put(struct kit_overlay *o, const struct table *t, const struct mvcc_mutation *x);

/* The answer of the model to a fragment at ts, with the overlay (may be NULL) on top; rows as a sequence of value_put, each
 * row behind its length (4 bytes); sorted if so wanted. */
void kit_ask_model(struct kit_model *m, const struct fragment *f, const struct value *params, int64_t ts,
                   const struct kit_overlay *own, bool sorted, struct buf *ret);
/* The tablet's, in the same form. */
enum rc kit_ask(struct mvcc *m, const struct fragment_run *run, bool sorted, struct buf *ret,
                struct fragment_result *result, struct err *err);
/* A random query over the model's tables: its text in sql, its parameters. ordered: its order is total. */
struct kit_query {
    struct fragment f;
    char sql[2000];
    struct value params[8];
    bool ordered;
};
void kit_random_query(struct kit_model *m, struct rng *rng, struct kit_query *q);

#endif
