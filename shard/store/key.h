/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key.h: rows in one ordered space of bytes.
 *
 * A key is the number of its table group, then the primary key of a root row; a row of a child table (interleave_in) goes
 * on with the child table's number and the rest of its own key, and so on down:
 *
 *     customers (7)           1, 42            -> 7 42
 *     orders in customers     9: 1, 42, 1001   -> 7 42 9 1001
 *
 * so that a row stands right before its children, and all of a root row's family stands together.
 *
 * Promise     Compared as bytes (memcmp, the shorter first), keys have the order in which SQLite has the values in columns
 *             declared as value.h says (rule Q-4; a test asks SQLite, for each type, a million times): NULL first, DESC parts
 *             the other way round, NULL last. Values that SQLite calls equal have one encoding: 1.0 and 1.00; 0.0 and -0.0;
 *             int2, int4 and int8. No part's encoding is the beginning of another one's, and none begins with 0x00 or 0xff.
 *             Decoding believes no byte: what it takes is encoded to the same bytes again (fuzz_key).
 *             A decoded value equals the one encoded; of a numeric without limits the zeros at the end of the fraction are
 *             gone (rows keep them), and a -0.0 is 0.0.
 * Relies on   value.h. Text is compared as bytes: collation C.
 * Threads     any.
 *
 * A part, by its first byte, all numbers big-endian. DESC: every byte is inverted.
 *
 *     0x01                 NULL
 *     0x10 + 8 bytes       float4, float8: IEEE bits; the sign bit inverted, or all bits of a negative one; NaN is the last
 *     0x20                 numeric: -Infinity
 *     0x21, E, D           negative: like 0x23, E and D inverted
 *     0x22                 0
 *     0x23, E, D           positive: 0.d1 d2 ... dn * 100^E, 1 <= d1, 1 <= dn; E as an integer (below); D the digits, each
 *                          one byte: 2 d + 1, the last one 2 d
 *     0x24                 Infinity
 *     0x25                 NaN
 *     0x30, bytes, 00 01   text, varchar, char: 00 in them is written 00 ff
 *     0x31, bytes, 00 01   bytea: the same
 *     0x32 + 16 bytes      uuid
 *     0x80 + n, n bytes    bool, int2, int4, int8, oid, date, time, timestamp(tz), enum, numbers of tables: >= 0, in as few
 *                          bytes as it needs (0 in none)
 *     0x7f - n, n bytes    below 0: two's complement in as few bytes as tell it from -1 (-1 in none)
 */
#ifndef MERIDIAN_STORE_KEY_H
#define MERIDIAN_STORE_KEY_H

#include "shard/store/value.h"
#include "truetime/base/buf.h"

enum {
    KEY_BYTES_MAX = 16384, /* of a whole key; longer ones are refused (54000) */
    KEY_PARTS_MAX = 64,    /* columns of a key, all levels together */
};

struct key_part {
    struct col col;
    bool desc;
};

/* Bytes of a key or of the beginning of one, borrowed. */
struct key {
    const uint8_t *p;
    size_t bytes;
};

static inline struct key key_of(const void *p, size_t bytes) {
    return (struct key){p, bytes};
}
static inline struct key key_of_buf(const struct buf *b) {
    return (struct key){b->data, b->len};
}

/* < 0, 0, > 0 */
int key_compare(struct key a, struct key b);
bool key_has_prefix(struct key k, struct key prefix);

/* Can a column of this type be part of a key? Else RC_UNSUPPORTED (0A000), which names both. column may be NULL. */
enum rc key_supports(const struct col *c, const char *column, struct err *err) MUST_CHECK;

/* ---- encoding: each appends to b --------------------------------------------------------------------------------- */

/* The number of a table group, or of a child table; not 0. */
enum rc key_put_table(struct buf *b, uint32_t table, struct err *err) MUST_CHECK;
/* RC_INVAL: not a value of that column (col_check); RC_UNSUPPORTED; RC_LIMIT: b would be longer than KEY_BYTES_MAX;
 * RC_NOMEM. b is then as before. */
enum rc key_put(struct buf *b, const struct key_part *part, const struct value *v, struct err *err) MUST_CHECK;
/* All n parts, in order. */
enum rc key_put_row(struct buf *b, const struct key_part *parts, const struct value *v, size_t n,
                    struct err *err) MUST_CHECK;

/* ---- decoding: each moves r over what it has read ---------------------------------------------------------------- */

enum rc key_get_table(struct rd *r, uint32_t *ret, struct err *err) MUST_CHECK;
/* Bytes that are not in place (text, bytea, numeric) are put into a. RC_CORRUPT: not what key_put makes for that part;
 * RC_NOMEM. */
enum rc key_get(struct rd *r, const struct key_part *part, struct arena *a, struct value *ret,
                struct err *err) MUST_CHECK;
enum rc key_get_row(struct rd *r, const struct key_part *parts, size_t n, struct arena *a, struct value *ret,
                    struct err *err) MUST_CHECK;
/* Over one part whatever its type, by its first byte: to find where a row's own key ends, for one. */
enum rc key_skip(struct rd *r, bool desc, struct err *err) MUST_CHECK;

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* The first key after k: k and 0x00. */
enum rc key_successor(struct buf *b, struct key k, struct err *err) MUST_CHECK;
/* The first key that is after every key with that prefix; empty = there is none (no prefix of a key is that). */
enum rc key_prefix_end(struct buf *b, struct key prefix, struct err *err) MUST_CHECK;

/* For people: "7/42/9/'ab'/-1.5/null". It does not know the columns: an integer i of a DESC part shows as -1 - i. */
void key_print(struct key k, struct buf *out);

#endif
