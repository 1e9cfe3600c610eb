/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h: reads JSON into a tree: results files, and what other commands print with --json.
 *
 *     rc = json_parse(text, bytes, &arena, &root, &err);
 *     for (size_t i = 0; i < json_count(json_get(root, "nodes")); i++) json_text(json_get(json_at(nodes, i), "region"), "")
 *
 * Promise     Every look-up may meet NULL or another kind, and then says what the caller gave for that case; so a file that lacks
 *             something is read as far as it goes. What is no JSON (RFC 8259) is RC_INVAL with its offset.
 * Relies on   the arena, in which everything lies.
 * Threads     any, one at a time.
 * Limits      64 levels; numbers are doubles.
 */
#ifndef MERIDIAN_GEO_JSON_H
#define MERIDIAN_GEO_JSON_H

#include "truetime/base/arena.h"
#include "truetime/base/buf.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    double number;      /* also of a bool: 0 or 1 */
    const char *text;   /* STRING; ends with a zero byte */
    struct json *first; /* ARRAY, OBJECT */
    size_t count;
    const char *name; /* as a member of an object */
    struct json *next;
};

enum rc json_parse(const char *text, size_t bytes, struct arena *a, const struct json **ret,
                   struct err *err) MUST_CHECK;
const struct json *json_get(const struct json *object, const char *name); /* NULL: not there */
const struct json *json_first(const struct json *array);                  /* then ->next; NULL: none */
size_t json_count(const struct json *array);
double json_number(const struct json *j, double otherwise);
int64_t json_int(const struct json *j, int64_t otherwise);
bool json_bool(const struct json *j, bool otherwise);
const char *json_text(const struct json *j, const char *otherwise);

/* Puts text as a JSON string, quotes included. */
void json_put_text(struct buf *out, const char *text);

#endif
