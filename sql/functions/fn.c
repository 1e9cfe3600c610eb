/* SPDX-License-Identifier: Apache-2.0 */
/* fn.c: the table's parts as one, and what implementations share. */
#include "sql/functions/fn.h"

#include <string.h>

#include "shard/store/pgnum.h"
#include "sql/functions/fn_internal.h"
#include "sql/types/jsondoc.h"

/* clang-format off */
static const struct fn_table *const tables[] = {
    &fn_table_agg,
    &fn_table_agg_float,
    &fn_table_agg_num,
    &fn_table_agg_sorted,
    &fn_table_array,
    &fn_table_bytes,
    &fn_table_catalog,
    &fn_table_char,
    &fn_table_char_num,
    &fn_table_char_parse,
    &fn_table_float,
    &fn_table_format,
    &fn_table_int,
    &fn_table_internal,
    &fn_table_json,
    &fn_table_json_make,
    &fn_table_like,
    &fn_table_match,
    &fn_table_meridian,
    &fn_table_numeric,
    &fn_table_session,
    &fn_table_set,
    &fn_table_text,
    &fn_table_time,
    &fn_table_time_part,
};
/* clang-format on */

static size_t first_of(size_t part) {
    size_t n = 0;
    for (size_t i = 0; i < part; i++)
        n += tables[i]->n;
    return n;
}

size_t fn_count(void) {
    return first_of(ARRAY_LEN(tables));
}

const struct fn *fn_at(size_t i) {
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        if (i < tables[t]->n)
            return &tables[t]->fn[i];
        i -= tables[t]->n;
    }
    return NULL;
}

const struct fn *fn_by_id(uint32_t id) {
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        const struct fn *f = tables[t]->fn;
        size_t low = 0, high = tables[t]->n;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (f[mid].id == id)
                return &f[mid];
            if (f[mid].id < id)
                low = mid + 1;
            else
                high = mid;
        }
    }
    return NULL;
}

static bool names(const struct fn *f, const char *name, bool op) {
    const char *own = op ? f->op : f->name;
    return own && own[0] == name[0] && strcmp(own, name) == 0;
}

/* *at: the place among all functions. */
static const struct fn *next_named(const char *name, bool op, size_t *at) {
    size_t first = 0;
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        size_t n = tables[t]->n;
        for (size_t i = *at > first ? *at - first : 0; i < n; i++) {
            if (names(&tables[t]->fn[i], name, op)) {
                *at = first + i + 1;
                return &tables[t]->fn[i];
            }
        }
        first += n;
    }
    *at = first;
    return NULL;
}

const struct fn *fn_by_name(const char *name, size_t *at) {
    return next_named(name, false, at);
}

const struct fn *fn_by_op(const char *op, size_t *at) {
    return next_named(op, true, at);
}

uint16_t fn_arg_type(const struct fn *f, size_t i) {
    size_t last = f->args ? f->args - 1u : 0;
    if (i > last)
        i = last;
    return f->arg[i < FN_ARG_TYPES ? i : FN_ARG_TYPES - 1];
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

static int compare_arrays(const struct col *c, const struct value *a, const struct value *b) {
    struct fn_elements x, y;
    struct arena tmp;
    struct col elem = fn_elem(c);
    int r = 0;
    if (fn_elements_begin(&x, c, a, NULL) || fn_elements_begin(&y, c, b, NULL))
        return value_compare(a, b);
    arena_init(&tmp, FN_RESULT_BYTES_MAX);
    while (!r && x.left && y.left) {
        struct value v, w;
        if (fn_elements_next(&x, &tmp, &v, NULL) || fn_elements_next(&y, &tmp, &w, NULL)) {
            r = value_compare(a, b);
            break;
        }
        bool p = v.kind == VALUE_NULL, q = w.kind == VALUE_NULL; /* NULLs are equal here, and last */
        r = p || q ? p - q : fn_value_compare(&elem, &v, &w);
    }
    if (!r && x.left != y.left)
        r = x.left < y.left ? -1 : 1;
    if (!r && x.shape.n != y.shape.n)
        r = x.shape.n < y.shape.n ? -1 : 1;
    for (int i = 0; !r && i < x.shape.n; i++)
        if (x.shape.length[i] != y.shape.length[i])
            r = x.shape.length[i] < y.shape.length[i] ? -1 : 1;
    for (int i = 0; !r && i < x.shape.n; i++)
        if (x.shape.lower[i] != y.shape.lower[i])
            r = x.shape.lower[i] < y.shape.lower[i] ? -1 : 1;
    arena_done(&tmp);
    return r;
}

static int compare_jsonb(const struct value *a, const struct value *b) {
    struct arena tmp;
    struct js *x, *y;
    if (a->bytes == b->bytes && memcmp(a->p, b->p, a->bytes) == 0)
        return 0;
    arena_init(&tmp, FN_RESULT_BYTES_MAX);
    bool bad = js_parse(&tmp, a->p, a->bytes, true, &x, NULL) || js_parse(&tmp, b->p, b->bytes, true, &y, NULL);
    int r = bad ? value_compare(a, b) : js_compare(x, y);
    arena_done(&tmp);
    return r;
}

int fn_value_compare(const struct col *c, const struct value *a, const struct value *b) {
    if (a->kind != b->kind)
        return value_compare(a, b); /* NaN, a blob, is after all numbers */
    if (c->type == COL_NUMERIC && a->kind == VALUE_TEXT)
        return pgnum_compare(a->p, a->bytes, b->p, b->bytes);
    if (c->type == COL_INTERVAL && a->kind == VALUE_BLOB && a->bytes == 16 && b->bytes == 16) {
        struct interval x = interval_load(a->p), y = interval_load(b->p);
        return interval_compare(&x, &y);
    }
    if (c->type == COL_ARRAY && a->kind == VALUE_BLOB)
        return compare_arrays(c, a, b);
    if (c->type == COL_JSONB && a->kind == VALUE_BLOB)
        return compare_jsonb(a, b);
    return value_compare(a, b);
}

enum rc fn_no_memory(struct err *err) {
    return err_set(err, RC_NOMEM, "a function's result: out of memory");
}

enum rc fn_out_of_range(const char *type, struct err *err) {
    return err_sql(err, "22003", "%s out of range", type);
}

enum rc fn_div_by_zero(struct err *err) {
    return err_sql(err, "22012", "division by zero");
}

void fn_buf(struct buf *b) {
    buf_init(b, FN_RESULT_BYTES_MAX);
}

enum rc fn_give(const struct fn_env *env, struct buf *b, enum value_kind k, struct value *ret, struct err *err) {
    enum rc rc = buf_rc(b);
    if (rc == RC_LIMIT) {
        rc = err_sql(err, "54000", "a function's result is longer than %d bytes", FN_RESULT_BYTES_MAX);
    } else if (!rc) {
        const void *p = b->len ? arena_copy(env->arena, b->data, b->len) : "";
        if (p)
            *ret = k == VALUE_TEXT ? value_text(p, b->len) : value_blob(p, b->len);
        else
            rc = RC_NOMEM;
    }
    buf_done(b);
    return rc == RC_NOMEM ? fn_no_memory(err) : rc;
}

enum rc fn_give_text(const struct fn_env *env, const void *p, size_t n, struct value *ret, struct err *err) {
    const void *to = n ? arena_copy(env->arena, p, n) : "";
    if (!to)
        return fn_no_memory(err);
    *ret = value_text(to, n);
    return RC_OK;
}

enum rc fn_dec(const struct value *v, struct dec *d, struct err *err) {
    if (v->kind != VALUE_TEXT)
        return err_set(err, RC_CORRUPT, "a numeric is %s", value_kind_name(v->kind));
    return dec_parse(d, v->p, v->bytes, COL_TYPMOD_NONE, err);
}

enum rc fn_give_dec(const struct fn_env *env, const struct dec *d, struct value *ret, struct err *err) {
    static const struct col text = {.type = COL_NUMERIC, .typmod = COL_TYPMOD_NONE};
    return dec_to_value(d, &text, env->arena, ret, err);
}

/* The type of a value in a program: numeric is text there, whatever its limits. */
static struct col in_program(const struct col *c) {
    return c->type == COL_NUMERIC ? col_of(COL_NUMERIC) : *c;
}

enum rc fn_print(const struct fn_env *env, const struct col *c, const struct value *v, struct buf *out,
                 struct err *err) {
    struct col p = in_program(c);
    /* what a column or a constant gives may be anything of the right storage class */
    enum rc rc = col_check(&p, v, err);
    return rc ? rc : type_print(env->types, &p, v, out, err);
}

enum rc fn_parse(const struct fn_env *env, const struct col *c, const void *p, size_t bytes, struct value *ret,
                 struct err *err) {
    struct dec d;
    if (c->type != COL_NUMERIC)
        return type_parse(env->types, c, p, bytes, env->arena, ret, err);
    dec_init(&d);
    enum rc rc = dec_parse(&d, p, bytes, c->typmod, err);
    if (!rc)
        rc = fn_give_dec(env, &d, ret, err);
    dec_done(&d);
    return rc;
}

/* ---- casts --------------------------------------------------------------------------------------------------------- */

#define CAST(from_, to_, context_, fn_)                                                                                \
    { COL_##from_, COL_##to_, FN_CAST_##context_, fn_ }

/* pg_cast, for the types that we have; where from and to are the same, the function applies limits: (value, typmod) or
 * (value, typmod, explicit). */
static const struct fn_cast casts[] = {
    CAST(BOOL, INT4, EXPLICIT, 2558),
    CAST(BOOL, TEXT, ASSIGNMENT, 2971),
    CAST(BOOL, CHAR, ASSIGNMENT, 2971),
    CAST(BOOL, VARCHAR, ASSIGNMENT, 2971),
    CAST(INT8, INT2, ASSIGNMENT, 714),
    CAST(INT8, INT4, ASSIGNMENT, 480),
    CAST(INT8, OID, IMPLICIT, 1287),
    CAST(INT8, FLOAT4, IMPLICIT, 652),
    CAST(INT8, FLOAT8, IMPLICIT, 482),
    CAST(INT8, NUMERIC, IMPLICIT, 1781),
    CAST(INT2, INT8, IMPLICIT, 754),
    CAST(INT2, INT4, IMPLICIT, 313),
    CAST(INT2, OID, IMPLICIT, 313),
    CAST(INT2, FLOAT4, IMPLICIT, 236),
    CAST(INT2, FLOAT8, IMPLICIT, 235),
    CAST(INT2, NUMERIC, IMPLICIT, 1782),
    CAST(INT4, BOOL, EXPLICIT, 2557),
    CAST(INT4, INT8, IMPLICIT, 481),
    CAST(INT4, INT2, ASSIGNMENT, 314),
    CAST(INT4, OID, IMPLICIT, 0),
    CAST(INT4, FLOAT4, IMPLICIT, 318),
    CAST(INT4, FLOAT8, IMPLICIT, 316),
    CAST(INT4, NUMERIC, IMPLICIT, 1740),
    CAST(TEXT, CHAR, IMPLICIT, FN_ID_BPCHAR),
    CAST(TEXT, VARCHAR, IMPLICIT, 0),
    CAST(OID, INT8, ASSIGNMENT, 1288),
    CAST(OID, INT4, ASSIGNMENT, 0),
    CAST(FLOAT4, INT8, ASSIGNMENT, 653),
    CAST(FLOAT4, INT2, ASSIGNMENT, 238),
    CAST(FLOAT4, INT4, ASSIGNMENT, 319),
    CAST(FLOAT4, FLOAT8, IMPLICIT, 311),
    CAST(FLOAT4, NUMERIC, ASSIGNMENT, 1742),
    CAST(FLOAT8, INT8, ASSIGNMENT, 483),
    CAST(FLOAT8, INT2, ASSIGNMENT, 237),
    CAST(FLOAT8, INT4, ASSIGNMENT, 317),
    CAST(FLOAT8, FLOAT4, ASSIGNMENT, 312),
    CAST(FLOAT8, NUMERIC, ASSIGNMENT, 1743),
    CAST(CHAR, TEXT, IMPLICIT, 401),
    CAST(CHAR, CHAR, IMPLICIT, 668),
    CAST(CHAR, VARCHAR, IMPLICIT, 401),
    CAST(VARCHAR, TEXT, IMPLICIT, 0),
    CAST(VARCHAR, CHAR, IMPLICIT, FN_ID_BPCHAR),
    CAST(VARCHAR, VARCHAR, IMPLICIT, 669),
    CAST(DATE, TIMESTAMP, IMPLICIT, 2024),
    CAST(DATE, TIMESTAMPTZ, IMPLICIT, 1174),
    CAST(TIME, TIME, IMPLICIT, 1968),
    CAST(TIME, INTERVAL, IMPLICIT, 1370),
    CAST(TIMESTAMP, DATE, ASSIGNMENT, 2029),
    CAST(TIMESTAMP, TIME, ASSIGNMENT, 1316),
    CAST(TIMESTAMP, TIMESTAMP, IMPLICIT, 1961),
    CAST(TIMESTAMP, TIMESTAMPTZ, IMPLICIT, 2028),
    CAST(TIMESTAMPTZ, DATE, ASSIGNMENT, 1178),
    CAST(TIMESTAMPTZ, TIME, ASSIGNMENT, 2019),
    CAST(TIMESTAMPTZ, TIMESTAMP, ASSIGNMENT, 2027),
    CAST(TIMESTAMPTZ, TIMESTAMPTZ, IMPLICIT, 1967),
    CAST(INTERVAL, TIME, ASSIGNMENT, 1419),
    CAST(INTERVAL, INTERVAL, IMPLICIT, 1200),
    CAST(NUMERIC, INT8, ASSIGNMENT, 1779),
    CAST(NUMERIC, INT2, ASSIGNMENT, 1783),
    CAST(NUMERIC, INT4, ASSIGNMENT, 1744),
    CAST(NUMERIC, FLOAT4, IMPLICIT, 1745),
    CAST(NUMERIC, FLOAT8, IMPLICIT, 1746),
    CAST(NUMERIC, NUMERIC, IMPLICIT, 1703),
    CAST(JSON, JSONB, ASSIGNMENT, 12206),
    CAST(JSONB, JSON, ASSIGNMENT, 12207),
    CAST(JSONB, BOOL, EXPLICIT, 3556),
    CAST(JSONB, NUMERIC, EXPLICIT, 3449),
    CAST(JSONB, INT2, EXPLICIT, 3450),
    CAST(JSONB, INT4, EXPLICIT, 3451),
    CAST(JSONB, INT8, EXPLICIT, 3452),
    CAST(JSONB, FLOAT4, EXPLICIT, 3453),
    CAST(JSONB, FLOAT8, EXPLICIT, 2580),
};

const struct fn_cast *fn_cast_find(uint16_t from, uint16_t to) {
    for (size_t i = 0; i < ARRAY_LEN(casts); i++)
        if (casts[i].from == from && casts[i].to == to)
            return &casts[i];
    return NULL;
}

char fn_category(uint16_t type) {
    switch (type) {
    case COL_BOOL:
        return 'B';
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
    case COL_FLOAT4:
    case COL_FLOAT8:
    case COL_NUMERIC:
    case COL_OID:
    case FN_REGCLASS:
    case FN_REGTYPE:
    case FN_REGPROC:
    case FN_REGNAMESPACE:
    case FN_REGROLE:
        return 'N';
    case COL_TEXT:
    case COL_VARCHAR:
    case COL_CHAR:
    case FN_NAME:
        return 'S';
    case COL_DATE:
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        return 'D';
    case COL_INTERVAL:
        return 'T';
    case COL_ENUM:
        return 'E';
    case COL_ARRAY:
    case FN_ANYARRAY:
        return 'A';
    case FN_UNKNOWN:
        return 'X';
    case FN_ANY:
    case FN_ANYELEMENT:
    case FN_ANYCOMPATIBLE:
    case FN_ANYCOMPATIBLEARRAY:
    case FN_ANYNONARRAY:
    case FN_RECORD:
    case FN_VOID:
        return 'P';
    default:
        return (type & 0xff) == COL_ARRAY ? 'A' : 'U';
    }
}

bool fn_preferred(uint16_t type) {
    switch (type) {
    case COL_BOOL:
    case COL_FLOAT8:
    case COL_OID:
    case COL_TEXT:
    case COL_TIMESTAMPTZ:
    case COL_INTERVAL:
        return true;
    default:
        return false;
    }
}
