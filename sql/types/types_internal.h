/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types_internal.h: the types one by one, behind types.h.
 *
 * Promise     As types.h.
 * Relies on   types.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_TYPES_INTERNAL_H
#define MERIDIAN_SQL_TYPES_INTERNAL_H

#include "sql/types/types.h"

enum { TYPE_SHOWN_BYTES = 200 /* of a text that an error quotes */ };

static inline int type_shown(size_t bytes) {
    return bytes < TYPE_SHOWN_BYTES ? (int)bytes : TYPE_SHOWN_BYTES;
}
static inline bool type_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* 22P02: invalid input syntax for type NAME: "text" */
enum rc type_bad_text(const char *name, const char *text, size_t bytes, struct err *err);
enum rc type_bad_binary(struct err *err); /* 22P03: incorrect binary data format */
enum rc type_no_memory(struct err *err);

enum rc bool_parse(const char *text, size_t bytes, int64_t *ret, struct err *err) MUST_CHECK;
/* name: as PostgreSQL's messages have it */
enum rc int_parse(const char *text, size_t bytes, int64_t min, int64_t max, const char *name, int64_t *ret,
                  struct err *err) MUST_CHECK;
enum rc oid_parse(const char *text, size_t bytes, int64_t *ret, struct err *err) MUST_CHECK;
enum rc uuid_parse(const char *text, size_t bytes, uint8_t to[static 16], struct err *err) MUST_CHECK;
void uuid_print(const uint8_t *p, struct buf *out);
enum rc bytea_parse(const char *text, size_t bytes, struct arena *a, struct value *ret, struct err *err) MUST_CHECK;
void bytea_print(const void *p, size_t bytes, bool escape, struct buf *out);
/* Text, varchar(n) and char(n), limits included; borrows. */
enum rc text_limit(const struct col *c, const char *text, size_t bytes, struct value *ret, struct err *err) MUST_CHECK;
void text_print(const struct col *c, const struct value *v, struct buf *out);
/* 22021 */
enum rc text_check_utf8(const char *p, size_t bytes, struct err *err) MUST_CHECK;
/* 22P02 */
enum rc json_check(const char *text, size_t bytes, struct err *err) MUST_CHECK;

/* int2vector, oidvector: the stored form is that of arrays. */
enum rc vector_parse(const struct type_session *s, const struct col *elem, const char *text, size_t bytes,
                     struct arena *a, struct value *ret, struct err *err) MUST_CHECK;
enum rc vector_print(const struct type_session *s, const struct col *elem, const struct value *v, struct buf *out,
                     struct err *err) MUST_CHECK;
enum rc array_parse(const struct type_session *s, const struct col *elem, const char *text, size_t bytes,
                    struct arena *a, struct value *ret, struct err *err) MUST_CHECK;
enum rc array_print(const struct type_session *s, const struct col *elem, const struct value *v, struct buf *out,
                    struct err *err) MUST_CHECK;
/* Checks a binary form and each element in it; *ret lies in a. */
enum rc array_recv(const struct col *elem, const void *p, size_t bytes, struct arena *a, struct value *ret,
                   struct err *err) MUST_CHECK;
struct col array_elem(const struct col *c);

#endif
