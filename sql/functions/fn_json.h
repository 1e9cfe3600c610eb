/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_json.h: what functions of json and jsonb share.
 *
 * Promise     A json value is its text, a jsonb value the bytes of jsonb's text (sql/types/jsondoc.h).
 * Relies on   fn_internal.h, jsondoc.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_FN_JSON_H
#define MERIDIAN_SQL_FN_JSON_H

#include "sql/functions/fn_internal.h"
#include "sql/types/jsondoc.h"

/* v of type c (json or jsonb), in a. */
enum rc fn_json_load(struct arena *a, const struct col *c, const struct value *v, struct js **ret,
                     struct err *err) MUST_CHECK;
/* A jsonb value, or what json's text has at j. type: COL_JSON, COL_JSONB; COL_TEXT: a string itself, null is NULL. from: the type
 * that j was read from. */
enum rc fn_json_give(const struct fn_env *env, const struct js *j, uint16_t from, uint16_t type, struct value *ret,
                     struct err *err);
/* Any value as json's text, as to_json has it. v NULL: null. */
enum rc fn_json_put(const struct fn_env *env, struct buf *b, const struct col *c, const struct value *v,
                    struct err *err);
/* json's text in b as a value of type json or jsonb; b is done. */
enum rc fn_json_finish(const struct fn_env *env, struct buf *b, uint16_t type, struct value *ret, struct err *err);

/* The rows of the functions that give rows: keys and items as they are to be shown. */
struct fn_json_rows {
    struct js *of;
    uint32_t at;
    uint16_t from, type; /* of the items; 0: none */
    bool keys;           /* the first column is the key */
};
enum rc fn_json_rows_open(const struct fn_env *env, const struct fn *f, const struct fn_call *call,
                          const struct value *arg, struct fn_json_rows *ret, struct err *err);
enum rc fn_json_rows_next(struct fn_json_rows *r, const struct fn_env *env, struct value *first, struct value *second,
                          bool *ret_end, struct err *err);

#endif
