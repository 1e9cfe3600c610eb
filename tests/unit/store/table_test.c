/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: what they refuse, what may follow what, and columns that came or went while rows were there. */
#include "shard/store/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/key.h"
#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"
#include "tests/unit/store/mvcckit.h"

enum { T = 31 };

static struct table_col cols[12];
static struct table_part key[3] = {{0, false}}, part[2] = {{1, false}};
static struct table_index indexes[2] = {{.id = 1, .n_parts = 1, .parts = part}};
static struct table_ancestor ancestors[2];

static struct table base(void) {
    memset(cols, 0, sizeof cols);
    for (uint32_t i = 0; i < ARRAY_LEN(cols); i++)
        cols[i] = (struct table_col){.id = i + 1, .col = col_of(COL_INT8)};
    cols[0].not_null = true;
    return (struct table){.id = T,
                          .group = T,
                          .version = 1,
                          .n_cols = 3,
                          .n_key = 1,
                          .n_indexes = 1,
                          .cols = cols,
                          .key = key,
                          .indexes = indexes,
                          .ancestors = ancestors};
}

static void refused(const struct table *t, const char *why) {
    struct table *got = NULL;
    OKF(table_new(t, &got, NULL) != RC_OK, "%s", why);
}

static void nonsense_is_refused(void) {
    struct table t = base();
    t.id = 0;
    refused(&t, "no id");
    t = base(), t.id = UINT64_C(1) << 32;
    refused(&t, "an id that keys do not hold");
    t = base(), t.version = 0;
    refused(&t, "version 0");
    t = base(), t.n_cols = 0;
    refused(&t, "no column");
    t = base(), t.n_key = 0;
    refused(&t, "no key");
    t = base(), cols[1].id = 1;
    refused(&t, "one id twice");
    t = base(), cols[0].dropped = true;
    refused(&t, "a dropped key");
    t = base(), cols[0].col = col_of(COL_JSON);
    refused(&t, "a key without order");
    t = base(), cols[2].col = col_of(COL_NONE);
    refused(&t, "no type");
    t = base(), cols[2].missing = value_text("x", 1);
    refused(&t, "a default of another type");
    t = base(), part[0].col = 3;
    refused(&t, "an index on nothing");
    part[0].col = 1;
    t = base(), t.n_ancestors = 1, ancestors[0] = (struct table_ancestor){7, 1};
    refused(&t, "a parent with the whole key");
}

static void layouts(void) {
    static const struct {
        enum col_type type;
        bool not_null;
        uint16_t n_key;
        enum table_layout want;
    } cases[] = {{COL_INT8, true, 1, TABLE_ROWID},          {COL_INT2, true, 1, TABLE_ROWID},
                 {COL_INT8, false, 1, TABLE_HEAP},          {COL_TEXT, true, 1, TABLE_CLUSTERED},
                 {COL_TIMESTAMP, true, 1, TABLE_CLUSTERED}, {COL_INT8, true, 2, TABLE_CLUSTERED}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct table t = base(), *got = NULL;
        cols[0].col = col_of(cases[i].type);
        cols[0].not_null = cases[i].not_null;
        cols[1].not_null = true;
        key[1] = (struct table_part){1, true};
        t.n_key = cases[i].n_key;
        EQ_INT(table_new(&t, &got, NULL), RC_OK);
        EQ_INT(got->layout, cases[i].want);
        table_unref(got);
    }
}

/* group, parent's key, own number, own key */
static void interleaved_keys(void) {
    struct table t = base(), *got = NULL;
    struct buf b, text;
    struct value v[2] = {value_int(42), value_int(1001)};
    buf_init(&b, 0);
    buf_init(&text, 0);
    cols[1].not_null = true;
    key[1] = (struct table_part){1, false};
    t.n_key = 2;
    t.group = 7;
    t.id = 9;
    t.n_ancestors = 1;
    ancestors[0] = (struct table_ancestor){7, 1};
    EQ_INT(table_new(&t, &got, NULL), RC_OK);
    EQ_INT(table_key_put(&b, got, v, 2, NULL), RC_OK);
    key_print(key_of_buf(&b), &text);
    EQ_STR(buf_cstr(&text), "7/42/9/1001");
    table_unref(got);
    buf_done(&b);
    buf_done(&text);
}

static void what_may_follow(void) {
    struct table t = base(), *from = NULL, *to = NULL;
    EQ_INT(table_new(&t, &from, NULL), RC_OK);
    EQ_INT(table_follows(from, from, NULL), RC_INVAL); /* not the same version again */
    t.version = 2, t.n_cols = 4, cols[1].dropped = true, t.n_indexes = 0;
    EQ_INT(table_new(&t, &to, NULL), RC_OK);
    EQ_INT(table_follows(from, to, NULL), RC_OK);
    EQ_INT(table_follows(to, from, NULL), RC_INVAL);
    table_unref(to);
    t = base(), t.version = 2, t.n_cols = 2;
    EQ_INT(table_new(&t, &to, NULL), RC_OK);
    EQ_INT(table_follows(from, to, NULL), RC_INVAL);
    table_unref(to);
    t = base(), t.version = 2, cols[2].col = col_of(COL_TEXT);
    EQ_INT(table_new(&t, &to, NULL), RC_OK);
    EQ_INT(table_follows(from, to, NULL), RC_INVAL);
    table_unref(to);
    table_unref(from);
}

static void round_trip(void) {
    struct kit_model m;
    struct rng rng;
    rng_init(&rng, 3);
    for (int i = 0; i < 200; i++) {
        struct buf a, b;
        struct table *t = NULL;
        kit_model_init(&m);
        buf_init(&a, 0);
        buf_init(&b, 0);
        table_encode(kit_random_table(&m, &rng, 1 + rng_below(&rng, 1000)), &a);
        EQ_INT(table_decode(a.data, a.len, &t, NULL), RC_OK);
        table_encode(t, &b);
        EQ_MEM(a.data, a.len, b.data, b.len);
        for (size_t n = 0; n < a.len; n += 3) { /* cut short: refused */
            struct table *part_of = NULL;
            EQ_INT(table_decode(a.data, n, &part_of, NULL), RC_CORRUPT);
        }
        struct table dated = *t; /* what a tablet adds */
        struct table *again = NULL;
        dated.since = (int64_t)rng_below(&rng, INT64_MAX - 1) + 1;
        buf_reset(&b, 0);
        table_encode(&dated, &b);
        EQ_INT(table_decode(b.data, b.len, &again, NULL), RC_OK);
        OK(again && again->since == dated.since && table_same(again, t));
        table_unref(again);
        table_unref(t);
        buf_done(&a);
        buf_done(&b);
        kit_model_done(&m);
    }
}

static void same_but_for_the_time(void) {
    struct kit_model m;
    struct rng rng;
    struct table *t, *other;
    rng_init(&rng, 4);
    kit_model_init(&m);
    CHECK(table_new(kit_random_table(&m, &rng, 1), &t, NULL) == RC_OK);
    struct table changed = *t;
    changed.version++;
    CHECK(table_new(&changed, &other, NULL) == RC_OK);
    OK(table_same(t, t));
    OK(!table_same(t, other));
    table_unref(other);
    table_unref(t);
    kit_model_done(&m);
}

/* ---- columns that come and go ---- */

#define FINE(x)                                                                                                        \
    do {                                                                                                               \
        enum rc rc_ = (x);                                                                                             \
        OKF(rc_ == RC_OK, "%s: %s", #x, err_message(&err));                                                            \
    } while (0)

static void columns_body(struct reactor *r) {
    struct vfs *v = NULL;
    struct mvcc_store *s = NULL;
    struct mvcc *m = NULL;
    struct mvcc_reader *rd = NULL;
    struct err err = {0};
    struct mvcc_state state = {.tablet = 1, .floor = 5};
    char path[300];
    struct table t = base();
    struct value row[12];
    struct mvcc_mutation x = {.table = T, .n_values = 3, .values = row};
    snprintf(path, sizeof path, "%s/columns", tap_dir());
    CHECK(vfs_new(reactor_env(r), &v) == RC_OK && mvcc_store_new(r, v, NULL, &s) == RC_OK);
    FINE(mvcc_create(s, path, &state, &err));
    FINE(mvcc_open(s, path, &m, &err));
    FINE(mvcc_slot_begin(m, 1, (struct mvcc_bytes){NULL, 0}, 10, &err));
    FINE(mvcc_put_table(m, &t, &err));
    for (int i = 0; i < 5; i++) {
        row[0] = value_int(i), row[1] = value_int(i), row[2] = value_int(7);
        FINE(mvcc_write(m, 10, &x, 1, &err));
    }
    FINE(mvcc_slot_end(m, &err));
    uint64_t sum = mvcc_state(m)->checksum;
    /* defaults of every kind */
    const struct {
        enum col_type type;
        struct value missing;
    } added[] = {{COL_TEXT, value_text("it's", 4)},     {COL_FLOAT8, value_float(-0.1)},
                 {COL_FLOAT8, value_float(-INFINITY)},  {COL_FLOAT8, value_float(NAN)},
                 {COL_BYTEA, value_blob("\0\xff'", 3)}, {COL_INT8, value_int(INT64_MIN)},
                 {COL_NUMERIC, value_text("1.50", 4)},  {COL_TEXT, value_null()}};
    t.version = 2;
    for (size_t i = 0; i < ARRAY_LEN(added); i++) {
        cols[t.n_cols].col = col_of(added[i].type);
        cols[t.n_cols++].missing = added[i].missing;
    }
    cols[2].dropped = true;
    FINE(mvcc_slot_begin(m, 2, (struct mvcc_bytes){NULL, 0}, 20, &err));
    FINE(mvcc_put_table(m, &t, &err));
    row[0] = value_int(1), row[1] = value_int(100), row[2] = value_int(9); /* by the old version: no new columns */
    FINE(mvcc_write(m, 20, &x, 1, &err));
    FINE(mvcc_slot_end(m, &err));
    OK(mvcc_state(m)->checksum != sum);
    /* every row reads the defaults, in history too, and the checksum adds up */
    for (int form = 1; form <= FORM_COUNT; form++) {
        struct fragment f = {
            .sql = "SELECT count(*) FROM {31} AS a WHERE c4='it''s' AND c5=-0.1 AND c6=-9e999 AND c7=x'00' AND "
                   "c8=x'00ff27' AND c9=-9223372036854775807-1 AND c10='1.5' AND c11 IS NULL",
            .simple = true};
        struct fragment_run run = {.fragment = &f, .ts = form == 1 ? 20 : 15, .form = form};
        struct fragment_result result;
        struct buf got;
        buf_init(&got, 0);
        FINE(kit_ask(m, &run, false, &got, &result, &err));
        EQ_INT(result.form, form - 1);
        EQ_MEM(got.data, got.len, "\1\0\0\0\x15", 5); /* one row of one byte: 5 */
        buf_done(&got);
    }
    FINE(mvcc_reader_open(m, &rd, &err));
    FINE(mvcc_verify(rd, true, &err));
    mvcc_reader_close(rd);
    /* what is gone is gone, with its part of the sum */
    FINE(mvcc_slot_begin(m, 3, (struct mvcc_bytes){NULL, 0}, 30, &err));
    FINE(mvcc_drop_table(m, T, &err));
    FINE(mvcc_drop_table(m, T, &err));
    FINE(mvcc_slot_end(m, &err));
    EQ_INT(mvcc_state(m)->checksum, 0);
    OK(!mvcc_table(m, T));
    mvcc_close(m);
    mvcc_store_free(s);
    vfs_free(v);
}

static void columns_come_and_go(void) {
    on_fiber(DIAG_WARN, columns_body);
}

int main(void) {
    RUN(nonsense_is_refused);
    RUN(layouts);
    RUN(interleaved_keys);
    RUN(what_may_follow);
    RUN(round_trip);
    RUN(same_but_for_the_time);
    RUN(columns_come_and_go);
    return tap_done();
}
