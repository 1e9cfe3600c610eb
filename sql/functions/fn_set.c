/* SPDX-License-Identifier: Apache-2.0 */
/* fn_set.c: functions that give rows, one value each; and the names of window functions, which SQLite computes itself. */
#include <stdlib.h>
#include <string.h>

#include "shard/store/pgnum.h"
#include "sql/functions/fn_json.h"
#include "sql/functions/fn_match.h"
#include "sql/functions/fn_time.h"

#define KIND(kind_, oid_, name_, flags_, ret_, ...)                                                                    \
    {                                                                                                                  \
        .id = (oid_), .oid = (oid_), .name = (name_), .kind = (kind_),                                                 \
        .args = (uint8_t)(sizeof((uint16_t[]){0, ##__VA_ARGS__}) / sizeof(uint16_t) - 1),                              \
        .strict = ((flags_)&STRICT) != 0,                                                                              \
        .volatility = (flags_)&VOLATILE ? FN_VOLATILE                                                                  \
                      : (flags_)&STABLE ? FN_STABLE                                                                    \
                                        : FN_IMMUTABLE,                                                                \
        .arg = {__VA_ARGS__}, .ret = (ret_),                                                                           \
    }

enum {
    FN_SERIES_TIMESTAMP = 938,
    FN_SERIES_TIMESTAMPTZ,
    FN_SERIES_INT4_STEP = 1066,
    FN_SERIES_INT4,
    FN_SERIES_INT8_STEP,
    FN_SERIES_INT8,
    FN_SUBSCRIPTS_REVERSE = 1191,
    FN_SUBSCRIPTS,
    FN_OPTIONS = 2289,
    FN_UNNEST = 2331,
    FN_MATCHES = 2763,
    FN_MATCHES_FLAGS,
    FN_SPLIT_TO_TABLE,
    FN_SPLIT_TO_TABLE_FLAGS,
    FN_SERIES_NUMERIC_STEP = 3259,
    FN_SERIES_NUMERIC,
    FN_PARTITION_ANCESTORS = 3425,
    FN_STRING_TO_TABLE = 6160,
    FN_STRING_TO_TABLE_NULL,
};

enum {
    FN_JSONB_EACH = 3208,
    FN_JSONB_ELEMENTS = 3219,
    FN_JSONB_ELEMENTS_TEXT = 3465,
    FN_JSONB_KEYS = 3931,
    FN_JSONB_EACH_TEXT,
    FN_JSON_ELEMENTS = 3955,
    FN_JSON_KEYS = 3957,
    FN_JSON_EACH,
    FN_JSON_EACH_TEXT,
    FN_JSON_ELEMENTS_TEXT = 3969
};

enum rows_kind { ROWS_JSON, ROWS_OPTIONS, ROWS_NONE, ROWS_INTS, ROWS_NUMERICS, ROWS_TIMES, ROWS_ELEMENTS, ROWS_LIST };

struct fn_rows {
    enum rows_kind kind;
    struct arena arena; /* the arguments' copies, and what was computed at the beginning */
    const struct fn *fn;
    bool done, down;
    int64_t at, stop, step; /* INTS; TIMES: at, stop */
    struct interval interval;
    const struct zone *zone;     /* TIMES: of timestamptz */
    struct value next, last, by; /* NUMERICS */
    struct fn_elements elements;
    struct fn_list list; /* LIST */
    size_t index;
    struct fn_json_rows json; /* JSON */
    struct value second;
};

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

static enum rc zero_step(struct err *err) {
    return err_sql(err, "22023", "step size cannot equal zero");
}

static enum rc open_ints(struct fn_rows *r, int64_t at, int64_t stop, int64_t step, struct err *err) {
    r->kind = ROWS_INTS;
    r->at = at;
    r->stop = stop;
    r->step = step;
    return step ? RC_OK : zero_step(err);
}

static enum rc check_numeric(const struct value *v, const char *what, int *ret_sign, struct err *err) {
    struct dec d;
    dec_init(&d);
    enum rc rc = fn_dec(v, &d, err);
    if (!rc && d.kind == DEC_NAN)
        rc = err_sql(err, "22023", "%s cannot be NaN", what);
    else if (!rc && d.kind != DEC_FINITE)
        rc = err_sql(err, "22023", "%s cannot be infinity", what);
    *ret_sign = rc ? 0 : dec_sign(&d);
    dec_done(&d);
    return rc;
}

static enum rc open_numerics(struct fn_rows *r, const struct value *arg, size_t args, struct err *err) {
    int sign;
    r->kind = ROWS_NUMERICS;
    r->next = arg[0];
    r->last = arg[1];
    r->by = args > 2 ? arg[2] : value_text("1", 1);
    enum rc rc = check_numeric(&r->next, "start value", &sign, err);
    if (!rc)
        rc = check_numeric(&r->last, "stop value", &sign, err);
    if (!rc)
        rc = check_numeric(&r->by, "step size", &sign, err);
    r->down = sign < 0;
    return rc || sign ? rc : zero_step(err);
}

static enum rc open_times(struct fn_rows *r, const struct fn_env *env, const struct value *arg, bool zoned,
                          struct err *err) {
    static const struct interval none;
    r->kind = ROWS_TIMES;
    r->at = arg[0].i;
    r->stop = arg[1].i;
    r->interval = interval_load(arg[2].p);
    r->zone = zoned ? env->types->zone : NULL;
    int sign = interval_compare(&r->interval, &none);
    r->down = sign < 0;
    return sign ? RC_OK : zero_step(err);
}

static enum rc open_subscripts(struct fn_rows *r, const struct fn_call *call, const struct value *arg, size_t args,
                               struct err *err) {
    struct fn_elements e;
    enum rc rc = fn_elements_begin(&e, &call->arg[0], &arg[0], err);
    if (rc)
        return rc;
    r->kind = ROWS_INTS;
    r->step = 1;
    r->at = 1;
    if (arg[1].i < 1 || arg[1].i > e.shape.n)
        return RC_OK; /* 1 .. 0 */
    int64_t d = arg[1].i - 1, first = e.shape.lower[d], last = first + e.shape.length[d] - 1;
    bool reverse = args > 2 && arg[2].i;
    return open_ints(r, reverse ? last : first, reverse ? first : last, reverse ? -1 : 1, err);
}

/* The rows are the elements of an array that another function makes. */
static enum rc open_array(struct fn_rows *r, const struct fn_env *env, fn_impl *make, const struct fn_call *call,
                          const struct value *arg, size_t args, struct err *err) {
    struct col texts = col_array_of(col_of(COL_TEXT));
    struct value array = value_null();
    enum rc rc = make(env, call, arg, args, &array, err);
    if (rc || array.kind == VALUE_NULL) {
        r->done = true;
        return rc;
    }
    r->kind = ROWS_ELEMENTS;
    return fn_elements_begin(&r->elements, &texts, &array, err);
}

static enum rc open_kind(struct fn_rows *r, const struct fn_env *env, const struct fn_call *call,
                         const struct value *arg, size_t args, struct err *err) {
    switch (r->fn->id) {
    case FN_SERIES_INT4:
    case FN_SERIES_INT4_STEP:
    case FN_SERIES_INT8:
    case FN_SERIES_INT8_STEP:
        return open_ints(r, arg[0].i, arg[1].i, args > 2 ? arg[2].i : 1, err);
    case FN_SERIES_NUMERIC:
    case FN_SERIES_NUMERIC_STEP:
        return open_numerics(r, arg, args, err);
    case FN_SERIES_TIMESTAMP:
        return open_times(r, env, arg, false, err);
    case FN_SERIES_TIMESTAMPTZ:
        return open_times(r, env, arg, true, err);
    case FN_SUBSCRIPTS:
    case FN_SUBSCRIPTS_REVERSE:
        return open_subscripts(r, call, arg, args, err);
    case FN_OPTIONS:
        r->kind = ROWS_OPTIONS;
        return fn_elements_begin(&r->elements, &call->arg[0], &arg[0], err);
    case FN_UNNEST:
        r->kind = ROWS_ELEMENTS;
        return fn_elements_begin(&r->elements, &call->arg[0], &arg[0], err);
    case FN_STRING_TO_TABLE:
    case FN_STRING_TO_TABLE_NULL:
        return open_array(r, env, fn_string_to_array, call, arg, args, err);
    case FN_SPLIT_TO_TABLE:
    case FN_SPLIT_TO_TABLE_FLAGS:
        return open_array(r, env, fn_regexp_split, call, arg, args, err);
    case FN_MATCHES:
    case FN_MATCHES_FLAGS:
        r->kind = ROWS_LIST;
        return fn_regexp_all(env, arg, args, &r->list, err);
    case FN_JSONB_EACH:
    case FN_JSONB_EACH_TEXT:
    case FN_JSONB_ELEMENTS:
    case FN_JSONB_ELEMENTS_TEXT:
    case FN_JSONB_KEYS:
    case FN_JSON_EACH:
    case FN_JSON_EACH_TEXT:
    case FN_JSON_ELEMENTS:
    case FN_JSON_ELEMENTS_TEXT:
    case FN_JSON_KEYS:
        r->kind = ROWS_JSON;
        return fn_json_rows_open(env, r->fn, call, arg, &r->json, err);
    case FN_PARTITION_ANCESTORS: /* there are no partitions */
        return RC_OK;
    default:
        return err_set(err, RC_UNSUPPORTED, "function %s gives no rows here", r->fn->name);
    }
}

enum rc fn_set_open(const struct fn_env *env, const struct fn *f, const struct fn_call *call, const struct value *arg,
                    size_t args, struct fn_rows **ret, struct err *err) {
    CHECK(f->kind == FN_SET && args == f->args);
    struct fn_rows *r = calloc(1, sizeof *r);
    struct value copy[FN_ARG_TYPES];
    enum rc rc = RC_OK;
    if (!r)
        return fn_no_memory(err);
    arena_init(&r->arena, FN_RESULT_BYTES_MAX * 2);
    r->fn = f;
    r->kind = ROWS_NONE;
    struct fn_env own = *env;
    own.arena = &r->arena;
    for (size_t i = 0; i < args && !rc; i++) {
        copy[i] = arg[i];
        r->done |= f->strict && arg[i].kind == VALUE_NULL;
        if (value_copy(&r->arena, &copy[i]))
            rc = fn_no_memory(err);
        else if (arg[i].kind != VALUE_NULL && !fn_fits(&call->arg[i], &arg[i]))
            rc = err_set(err, RC_CORRUPT, "function %s was given %s where its type says otherwise", f->name,
                         value_kind_name(arg[i].kind));
    }
    if (!rc && !r->done)
        rc = open_kind(r, &own, call, copy, args, err);
    if (rc) {
        fn_set_close(r);
        return rc;
    }
    *ret = r;
    return RC_OK;
}

void fn_set_close(struct fn_rows *r) {
    if (!r)
        return;
    arena_done(&r->arena);
    free(r);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

static enum rc next_numeric(struct fn_rows *r, const struct fn_env *env, struct value *ret, struct err *err) {
    int c = pgnum_compare(r->next.p, r->next.bytes, r->last.p, r->last.bytes);
    if (r->down ? c < 0 : c > 0) {
        r->done = true;
        return RC_OK;
    }
    *ret = r->next;
    struct dec a, b;
    struct fn_env in = *env;
    in.arena = &r->arena; /* grows with the series, by some bytes a row */
    dec_init(&a);
    dec_init(&b);
    enum rc rc = fn_dec(&r->next, &a, err);
    if (!rc)
        rc = fn_dec(&r->by, &b, err);
    if (!rc)
        rc = dec_add(&a, &a, &b, err);
    if (!rc)
        rc = fn_give_dec(&in, &a, &r->next, err);
    dec_done(&a);
    dec_done(&b);
    return rc;
}

/* "name=value", or a name alone. */
static void split_option(struct value *name, struct value *second) {
    *second = value_null();
    if (name->kind != VALUE_TEXT)
        return;
    const char *text = name->p, *equal = memchr(text, '=', name->bytes);
    if (!equal)
        return;
    *second = value_text(equal + 1, name->bytes - (size_t)(equal - text) - 1);
    name->bytes = (uint32_t)(equal - text);
}

enum rc fn_set_next(struct fn_rows *r, const struct fn_env *env, struct value *ret, bool *ret_end, struct err *err) {
    enum rc rc = RC_OK;
    *ret = value_null();
    switch (r->kind) {
    case ROWS_JSON:
        r->second = value_null();
        return fn_json_rows_next(&r->json, env, ret, &r->second, ret_end, err);
    case ROWS_NONE:
        r->done = true;
        break;
    case ROWS_INTS:
        r->done |= r->step > 0 ? r->at > r->stop : r->at < r->stop;
        *ret_end = r->done;
        *ret = value_int(r->at);
        if (__builtin_add_overflow(r->at, r->step, &r->at))
            r->done = true;
        return RC_OK;
    case ROWS_NUMERICS:
        if (!r->done)
            rc = next_numeric(r, env, ret, err);
        break;
    case ROWS_TIMES:
        r->done |= r->down ? r->at < r->stop : r->at > r->stop;
        if (r->done)
            break;
        *ret = value_int(r->at);
        *ret_end = false;
        return fn_timestamp_add(r->at, &r->interval, r->zone, &r->at, err);
    case ROWS_ELEMENTS:
    case ROWS_OPTIONS:
        r->done |= r->elements.left == 0;
        if (!r->done)
            rc = fn_elements_next(&r->elements, env->arena, ret, err);
        if (!rc && r->kind == ROWS_OPTIONS)
            split_option(ret, &r->second);
        break;
    case ROWS_LIST:
        r->done |= r->index == r->list.n;
        if (!r->done)
            *ret = r->list.v[r->index++];
        break;
    }
    *ret_end = r->done;
    return rc;
}

struct value fn_set_second(const struct fn_rows *r) {
    return r->second;
}

const char *fn_set_column(const struct fn *f, int column) {
    if (f->id == FN_OPTIONS)
        return column ? "option_value" : "option_name";
    if (f->second)
        return column ? "value" : "key";
    return f->id == FN_JSONB_ELEMENTS || f->id == FN_JSONB_ELEMENTS_TEXT || f->id == FN_JSON_ELEMENTS ||
                   f->id == FN_JSON_ELEMENTS_TEXT
               ? "value"
               : NULL;
}

/* PAIRS: rows of a key and a value. */
#define PAIRS(oid_, name_, second_, arg_)                                                                              \
    {                                                                                                                  \
        .id = (oid_), .oid = (oid_), .name = (name_), .kind = FN_SET, .args = 1, .strict = true, .arg = {arg_},        \
        .ret = COL_TEXT, .second = (second_),                                                                          \
    }

static const struct fn fns[] = {
    KIND(FN_SET, 938, "generate_series", STRICT, COL_TIMESTAMP, COL_TIMESTAMP, COL_TIMESTAMP, COL_INTERVAL),
    KIND(FN_SET, 939, "generate_series", STRICT | STABLE, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ, COL_TIMESTAMPTZ,
         COL_INTERVAL),
    KIND(FN_SET, 1066, "generate_series", STRICT, COL_INT4, COL_INT4, COL_INT4, COL_INT4),
    KIND(FN_SET, 1067, "generate_series", STRICT, COL_INT4, COL_INT4, COL_INT4),
    KIND(FN_SET, 1068, "generate_series", STRICT, COL_INT8, COL_INT8, COL_INT8, COL_INT8),
    KIND(FN_SET, 1069, "generate_series", STRICT, COL_INT8, COL_INT8, COL_INT8),
    KIND(FN_SET, 1191, "generate_subscripts", STRICT, COL_INT4, FN_ANYARRAY, COL_INT4, COL_BOOL),
    KIND(FN_SET, 1192, "generate_subscripts", STRICT, COL_INT4, FN_ANYARRAY, COL_INT4),
    {.id = 2289,
     .oid = 2289,
     .name = "pg_options_to_table",
     .kind = FN_SET,
     .args = 1,
     .strict = true,
     .volatility = FN_STABLE,
     .arg = {FN_ARRAY_OF(COL_TEXT)},
     .ret = COL_TEXT,
     .second = COL_TEXT},
    KIND(FN_SET, 2331, "unnest", STRICT, FN_ANYELEMENT, FN_ANYARRAY),
    KIND(FN_SET, 2763, "regexp_matches", STRICT, FN_ARRAY_OF(COL_TEXT), COL_TEXT, COL_TEXT),
    KIND(FN_SET, 2764, "regexp_matches", STRICT, FN_ARRAY_OF(COL_TEXT), COL_TEXT, COL_TEXT, COL_TEXT),
    KIND(FN_SET, 2765, "regexp_split_to_table", STRICT, COL_TEXT, COL_TEXT, COL_TEXT),
    KIND(FN_SET, 2766, "regexp_split_to_table", STRICT, COL_TEXT, COL_TEXT, COL_TEXT, COL_TEXT),
    KIND(FN_WINDOW, 3100, "row_number", 0, COL_INT8),
    KIND(FN_WINDOW, 3101, "rank", 0, COL_INT8),
    KIND(FN_WINDOW, 3102, "dense_rank", 0, COL_INT8),
    KIND(FN_WINDOW, 3103, "percent_rank", 0, COL_FLOAT8),
    KIND(FN_WINDOW, 3104, "cume_dist", 0, COL_FLOAT8),
    KIND(FN_WINDOW, 3105, "ntile", STRICT, COL_INT4, COL_INT4),
    KIND(FN_WINDOW, 3106, "lag", STRICT, FN_ANYELEMENT, FN_ANYELEMENT),
    KIND(FN_WINDOW, 3107, "lag", STRICT, FN_ANYELEMENT, FN_ANYELEMENT, COL_INT4),
    KIND(FN_WINDOW, 3108, "lag", STRICT, FN_ANYCOMPATIBLE, FN_ANYCOMPATIBLE, COL_INT4, FN_ANYCOMPATIBLE),
    KIND(FN_WINDOW, 3109, "lead", STRICT, FN_ANYELEMENT, FN_ANYELEMENT),
    KIND(FN_WINDOW, 3110, "lead", STRICT, FN_ANYELEMENT, FN_ANYELEMENT, COL_INT4),
    KIND(FN_WINDOW, 3111, "lead", STRICT, FN_ANYCOMPATIBLE, FN_ANYCOMPATIBLE, COL_INT4, FN_ANYCOMPATIBLE),
    KIND(FN_WINDOW, 3112, "first_value", STRICT, FN_ANYELEMENT, FN_ANYELEMENT),
    KIND(FN_WINDOW, 3113, "last_value", STRICT, FN_ANYELEMENT, FN_ANYELEMENT),
    KIND(FN_WINDOW, 3114, "nth_value", STRICT, FN_ANYELEMENT, FN_ANYELEMENT, COL_INT4),
    PAIRS(3208, "jsonb_each", COL_JSONB, COL_JSONB),
    KIND(FN_SET, 3219, "jsonb_array_elements", STRICT, COL_JSONB, COL_JSONB),
    KIND(FN_SET, 3259, "generate_series", STRICT, COL_NUMERIC, COL_NUMERIC, COL_NUMERIC, COL_NUMERIC),
    KIND(FN_SET, 3260, "generate_series", STRICT, COL_NUMERIC, COL_NUMERIC, COL_NUMERIC),
    KIND(FN_SET, 3425, "pg_partition_ancestors", STRICT | VOLATILE, FN_REGCLASS, FN_REGCLASS),
    KIND(FN_SET, 3465, "jsonb_array_elements_text", STRICT, COL_TEXT, COL_JSONB),
    KIND(FN_SET, 3931, "jsonb_object_keys", STRICT, COL_TEXT, COL_JSONB),
    PAIRS(3932, "jsonb_each_text", COL_TEXT, COL_JSONB),
    KIND(FN_SET, 3955, "json_array_elements", STRICT, COL_JSON, COL_JSON),
    KIND(FN_SET, 3957, "json_object_keys", STRICT, COL_TEXT, COL_JSON),
    PAIRS(3958, "json_each", COL_JSON, COL_JSON),
    PAIRS(3959, "json_each_text", COL_TEXT, COL_JSON),
    KIND(FN_SET, 3969, "json_array_elements_text", STRICT, COL_TEXT, COL_JSON),
    KIND(FN_SET, 6160, "string_to_table", 0, COL_TEXT, COL_TEXT, COL_TEXT),
    KIND(FN_SET, 6161, "string_to_table", 0, COL_TEXT, COL_TEXT, COL_TEXT, COL_TEXT),
};

const struct fn_table fn_table_set = {fns, ARRAY_LEN(fns)};
