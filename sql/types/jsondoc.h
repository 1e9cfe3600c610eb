/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsondoc.h: JSON values in memory: read from text, looked into, printed, compared; json and jsonb are both this.
 *
 * json is kept as the text that was given. jsonb is kept as the text that jsonb_out prints: keys sorted (by length, then bytes) and
 * each once, numbers as numeric prints them, one blank behind ':' and ','. So its bytes are the same on every replica, and reading
 * it is one pass; it is not searched in place.
 *
 * Promise     What is read is RFC 8259 and PostgreSQL's json / jsonb input, with its errors (22P02, 22P05, 22003, 54001). A document
 *             lies in the arena, or borrows from its text. Values nest at most JS_DEPTH_MAX deep, so walkers may recurse on large
 *             fibers; js_parse and js_print do not.
 * Relies on   decimal.h for numbers.
 * Threads     any.
 * Source      RFC 8259; PostgreSQL 15, src/backend/utils/adt/jsonb_util.c (compareJsonbContainers) for the order of values.
 */
#ifndef MERIDIAN_SQL_JSONDOC_H
#define MERIDIAN_SQL_JSONDOC_H

#include "shard/store/value.h"
#include "truetime/base/arena.h"
#include "truetime/base/buf.h"

enum { JS_DEPTH_MAX = 1000, JS_MEMBERS_MAX = 1 << 24 };

/* In the order in which jsonb sorts them. */
enum js_kind { JS_NULL, JS_STRING, JS_NUMBER, JS_BOOL, JS_ARRAY, JS_OBJECT };

struct js {
    enum js_kind kind;
    bool b;
    uint32_t n;    /* STRING, NUMBER: bytes; ARRAY, OBJECT: members */
    const char *p; /* STRING: without escapes; NUMBER: its text */
    struct js **item;
    struct js **key;  /* OBJECT: strings, beside item */
    const char *text; /* where it stands in what was read; NULL: made here */
    uint32_t text_bytes;
    uint32_t at; /* js_print's own */
    struct js *up;
};

/* jsonb: sorted, each key once (the last one), numbers canonical; else as it is written. */
enum rc js_parse(struct arena *a, const char *text, size_t bytes, bool jsonb, struct js **ret,
                 struct err *err) MUST_CHECK;
/* jsonb's text. */
void js_print(const struct js *j, struct buf *out);
void js_print_string(const char *p, size_t n, struct buf *out);
int js_compare(const struct js *a, const struct js *b);
bool js_equal(const struct js *a, const struct js *b);
/* The value of a key, or NULL. Of json: the last one of that name. */
struct js *js_get(const struct js *object, const char *key, size_t bytes);

/* Made here; NULL: no memory. */
struct js *js_new(struct arena *a, enum js_kind kind);
struct js *js_string(struct arena *a, const char *p, size_t n);
/* Room for n members. */
struct js *js_room(struct arena *a, enum js_kind kind, size_t n);
/* Makes an object's keys sorted and each once, the last one. */
void js_sort(struct js *object);

#endif
