/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_json_make.c: values as json and jsonb: to_json, json_build_*, json_agg and their likes.
 *
 * All of it writes json's text, with the blanks that PostgreSQL puts there; jsonb is that text read again.
 */
#include <string.h>

#include "sql/functions/fn_agg.h"
#include "sql/functions/fn_json.h"

/* ---- one value ------------------------------------------------------------------------------------------------------- */

static bool is_number(uint16_t type) {
    return type == COL_INT2 || type == COL_INT4 || type == COL_INT8 || type == COL_FLOAT4 || type == COL_FLOAT8 ||
           type == COL_NUMERIC;
}

/* ISO 8601 as XML Schema has it: a T between date and time, minutes behind the zone's hours. */
static void put_time(struct buf *b, const struct buf *text, bool zoned) {
    size_t sign = 0;
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == ' ' && i + 1 < text->len && text->data[i + 1] >= '0' && text->data[i + 1] <= '9')
            text->data[i] = 'T';
        else if (zoned && i > 10 && (text->data[i] == '+' || text->data[i] == '-'))
            sign = i;
    bool hours = sign && text->len - sign == 3;
    /* "... BC" comes last */
    buf_putc(b, '"');
    buf_put(b, text->data, text->len);
    buf_puts(b, hours ? ":00" : "");
    buf_putc(b, '"');
}

static enum rc put_array(const struct fn_env *env, struct buf *b, const struct col *c, const struct value *v,
                         struct err *err) {
    struct fn_elements e;
    enum rc rc = fn_elements_begin(&e, c, v, err);
    if (rc)
        return rc;
    if (e.shape.n == 0) {
        buf_puts(b, "[]");
        return RC_OK;
    }
    struct col elem = fn_elem(c);
    size_t index[FN_DIMENSIONS_MAX] = {0};
    for (int i = 0; i < e.shape.n; i++)
        buf_putc(b, '[');
    while (e.left && !rc) {
        struct value item;
        rc = fn_elements_next(&e, env->arena, &item, err);
        if (!rc)
            rc = fn_json_put(env, b, &elem, &item, err);
        int d = e.shape.n - 1, closed = 0;
        while (d >= 0 && ++index[d] == (size_t)e.shape.length[d]) {
            index[d--] = 0;
            buf_putc(b, ']');
            closed++;
        }
        if (d < 0)
            break;
        buf_putc(b, ',');
        for (; closed > 0; closed--)
            buf_putc(b, '[');
    }
    return rc;
}

enum rc fn_json_put(const struct fn_env *env, struct buf *b, const struct col *c, const struct value *v,
                    struct err *err) {
    struct buf text;
    enum rc rc;
    if (!v || v->kind == VALUE_NULL) {
        buf_puts(b, "null");
        return RC_OK;
    }
    switch (c->type) {
    case COL_BOOL:
        buf_puts(b, v->i ? "true" : "false");
        return RC_OK;
    case COL_JSON:
    case COL_JSONB:
        buf_put(b, v->p, v->bytes);
        return RC_OK;
    case COL_ARRAY:
        return put_array(env, b, c, v, err);
    default:
        break;
    }
    buf_init(&text, FN_RESULT_BYTES_MAX);
    rc = type_print(env->types, c, v, &text, err);
    if (!rc && buf_rc(&text))
        rc = fn_no_memory(err);
    if (rc) {
        buf_done(&text);
        return rc;
    }
    uint8_t first = text.len ? text.data[text.len > 1 && text.data[0] == '-'] : 0;
    if (is_number(c->type) && first >= '0' && first <= '9')
        buf_put(b, text.data, text.len);
    else if (c->type == COL_TIMESTAMP || c->type == COL_TIMESTAMPTZ || c->type == COL_DATE)
        put_time(b, &text, c->type == COL_TIMESTAMPTZ);
    else
        js_print_string((const char *)text.data, text.len, b);
    buf_done(&text);
    return RC_OK;
}

enum rc fn_json_finish(const struct fn_env *env, struct buf *b, uint16_t type, struct value *ret, struct err *err) {
    struct js *j;
    struct buf out;
    if (type == COL_JSON || buf_rc(b))
        return fn_give(env, b, VALUE_TEXT, ret, err);
    enum rc rc = js_parse(env->arena, (const char *)b->data, b->len, true, &j, err);
    if (!rc) {
        fn_buf(&out);
        js_print(j, &out);
        rc = fn_give(env, &out, VALUE_BLOB, ret, err);
    }
    buf_done(b);
    return rc;
}

/* A key: a scalar's text in quotes. which: the argument's number for the message; 0: an aggregate's. */
static enum rc put_key(const struct fn_env *env, struct buf *b, const struct col *c, const struct value *v,
                       size_t which, uint16_t type, struct err *err) {
    struct buf text;
    if (v->kind == VALUE_NULL && which == 0)
        return err_sql(err, "22023", "field name must not be null");
    if (v->kind == VALUE_NULL && type == COL_JSONB)
        return err_sql(err, "22023", "argument %zu: key must not be null", which);
    if (v->kind == VALUE_NULL) {
        enum rc rc = err_sql(err, "22023", "argument %zu cannot be null", which);
        err_hint(err, "Object keys should be text.");
        return rc;
    }
    if (c->type == COL_ARRAY || c->type == COL_JSON || c->type == COL_JSONB)
        return err_sql(err, "22023", "key value must be scalar, not array, composite, or json");
    if (c->type == COL_BOOL) {
        buf_puts(b, v->i ? "\"true\"" : "\"false\"");
        return RC_OK;
    }
    buf_init(&text, FN_RESULT_BYTES_MAX);
    enum rc rc = type_print(env->types, c, v, &text, err);
    if (!rc && buf_rc(&text))
        rc = fn_no_memory(err);
    if (!rc && (c->type == COL_TIMESTAMP || c->type == COL_TIMESTAMPTZ || c->type == COL_DATE))
        put_time(b, &text, c->type == COL_TIMESTAMPTZ);
    else if (!rc)
        js_print_string((const char *)text.data, text.len, b);
    buf_done(&text);
    return rc;
}

/* ---- functions ------------------------------------------------------------------------------------------------------- */

static enum rc finish(const struct fn_env *env, const struct fn_call *call, struct buf *b, enum rc rc,
                      struct value *ret, struct err *err) {
    if (!rc)
        return fn_json_finish(env, b, call->ret.type, ret, err);
    buf_done(b);
    return rc;
}

FN_IMPL(to_json) {
    struct buf b;
    FN_UNUSED;
    fn_buf(&b);
    return finish(env, call, &b, fn_json_put(env, &b, &call->arg[0], &arg[0], err), ret, err);
}

FN_IMPL(build_array) {
    struct buf b;
    enum rc rc = RC_OK;
    FN_UNUSED;
    fn_buf(&b);
    buf_putc(&b, '[');
    for (size_t i = 0; i < args && !rc; i++) {
        buf_puts(&b, i ? ", " : "");
        rc = fn_json_put(env, &b, &call->arg[i], &arg[i], err);
    }
    buf_putc(&b, ']');
    return finish(env, call, &b, rc, ret, err);
}

FN_IMPL(build_object) {
    struct buf b;
    enum rc rc = RC_OK;
    FN_UNUSED;
    if (args % 2) {
        rc = err_sql(err, "22023", "argument list must have even number of elements");
        err_hint(err, "The arguments of %s() must consist of alternating keys and values.",
                 call->ret.type == COL_JSONB ? "jsonb_build_object" : "json_build_object");
        return rc;
    }
    fn_buf(&b);
    buf_putc(&b, '{');
    for (size_t i = 0; i < args && !rc; i += 2) {
        buf_puts(&b, i ? ", " : "");
        rc = put_key(env, &b, &call->arg[i], &arg[i], i + 1, call->ret.type, err);
        buf_puts(&b, " : ");
        if (!rc)
            rc = fn_json_put(env, &b, &call->arg[i + 1], &arg[i + 1], err);
    }
    buf_putc(&b, '}');
    return finish(env, call, &b, rc, ret, err);
}

/* A row, by the compiler: name, value, name, value, ... */
FN_IMPL(row_of) {
    struct buf b;
    enum rc rc = RC_OK;
    FN_UNUSED;
    fn_buf(&b);
    buf_putc(&b, '{');
    for (size_t i = 0; i + 1 < args && !rc; i += 2) {
        buf_puts(&b, i ? "," : "");
        js_print_string(arg[i].p, arg[i].bytes, &b);
        buf_putc(&b, ':');
        rc = fn_json_put(env, &b, &call->arg[i + 1], &arg[i + 1], err);
    }
    buf_putc(&b, '}');
    return finish(env, call, &b, rc, ret, err);
}

/* ---- aggregates ------------------------------------------------------------------------------------------------------ */

struct pile {
    char *p;
    uint32_t len, cap;
    bool any;
};

static enum rc pile_take(const struct fn_env *env, struct pile *s, struct buf *b, enum rc rc, struct err *err) {
    if (!rc && buf_rc(b))
        rc = fn_no_memory(err);
    if (!rc && b->len > FN_RESULT_BYTES_MAX - s->len)
        rc = err_sql(err, "54000", "an aggregate's result is longer than %d bytes", FN_RESULT_BYTES_MAX);
    if (!rc && b->len > s->cap - s->len) {
        uint32_t cap = s->cap * 2 > s->len + (uint32_t)b->len ? s->cap * 2 : (s->len + (uint32_t)b->len) * 2;
        char *p = arena_alloc(env->arena, cap);
        if (!p) {
            rc = fn_no_memory(err);
        } else {
            if (s->len)
                memcpy(p, s->p, s->len);
            s->p = p;
            s->cap = cap;
        }
    }
    if (!rc && b->len) {
        memcpy(s->p + s->len, b->data, b->len);
        s->len += (uint32_t)b->len;
    }
    s->any = s->any || !rc;
    buf_done(b);
    return rc;
}

/* What has parts begins a line. */
static enum rc agg_one(const struct fn_env *env, const struct fn_call *call, struct pile *s, const struct value *arg,
                       bool parts, struct err *err) {
    struct buf b;
    fn_buf(&b);
    buf_puts(&b, s->any ? ", " : "");
    if (s->any && parts && arg->kind != VALUE_NULL)
        buf_puts(&b, "\n ");
    return pile_take(env, s, &b, fn_json_put(env, &b, &call->arg[0], arg, err), err);
}

FN_AGG_STEP(agg_step) {
    (void)args;
    return agg_one(env, call, state, arg, call->arg[0].type == COL_ARRAY, err);
}

FN_AGG_STEP(rows_step) {
    (void)args;
    return agg_one(env, call, state, arg, true, err);
}

static enum rc agg_done(const struct fn_env *env, const struct fn_call *call, const struct pile *s, const char *open,
                        const char *close, struct value *ret, struct err *err) {
    struct buf b;
    if (!s->any)
        return RC_OK;
    fn_buf(&b);
    buf_puts(&b, open);
    buf_put(&b, s->p, s->len);
    buf_puts(&b, close);
    return fn_json_finish(env, &b, call->ret.type, ret, err);
}

FN_AGG_FINAL(agg_final) {
    return agg_done(env, call, state, "[", "]", ret, err);
}

FN_AGG_STEP(object_step) {
    struct pile *s = state;
    struct buf b;
    (void)args;
    fn_buf(&b);
    buf_puts(&b, s->any ? ", " : "");
    enum rc rc = put_key(env, &b, &call->arg[0], &arg[0], 0, call->ret.type, err);
    buf_puts(&b, " : ");
    if (!rc)
        rc = fn_json_put(env, &b, &call->arg[1], &arg[1], err);
    return pile_take(env, s, &b, rc, err);
}

FN_AGG_FINAL(object_final) {
    return agg_done(env, call, state, "{ ", " }", ret, err);
}

static const struct fn_agg agg = {.state_bytes = sizeof(struct pile), .step = agg_step, .final = agg_final};
static const struct fn_agg agg_rows = {.state_bytes = sizeof(struct pile), .step = rows_step, .final = agg_final};
static const struct fn_agg object = {.state_bytes = sizeof(struct pile), .step = object_step, .final = object_final};

static const struct fn fns[] = {
    FN(3153, "array_to_json", NULL, STRICT | STABLE, COL_JSON, to_json, FN_ANYARRAY),
    AGG(3175, "json_agg", STABLE, COL_JSON, agg, FN_ANYELEMENT),
    FN(3176, "to_json", NULL, STRICT | STABLE, COL_JSON, to_json, FN_ANYELEMENT),
    AGG(3197, "json_object_agg", STABLE, COL_JSON, object, FN_ANY, FN_ANY),
    FN(3198, "json_build_array", NULL, VARIADIC | STABLE, COL_JSON, build_array, FN_ANY),
    FN(3199, "json_build_array", NULL, STABLE, COL_JSON, build_array),
    FN(3200, "json_build_object", NULL, VARIADIC | STABLE, COL_JSON, build_object, FN_ANY),
    FN(3201, "json_build_object", NULL, STABLE, COL_JSON, build_object),
    AGG(3267, "jsonb_agg", STABLE, COL_JSONB, agg, FN_ANYELEMENT),
    FN(3271, "jsonb_build_array", NULL, VARIADIC | STABLE, COL_JSONB, build_array, FN_ANY),
    FN(3272, "jsonb_build_array", NULL, STABLE, COL_JSONB, build_array),
    FN(3273, "jsonb_build_object", NULL, VARIADIC | STABLE, COL_JSONB, build_object, FN_ANY),
    FN(3274, "jsonb_build_object", NULL, STABLE, COL_JSONB, build_object),
    FN(3787, "to_jsonb", NULL, STRICT | STABLE, COL_JSONB, to_json, FN_ANYELEMENT),
    AGG(12209, "$json_agg_rows", STABLE, COL_JSON, agg_rows, COL_JSON),
    FN(12210, "$row_to_json", NULL, VARIADIC | STABLE, COL_JSON, row_of, FN_ANY),
    FN(12211, "$row_to_jsonb", NULL, VARIADIC | STABLE, COL_JSONB, row_of, FN_ANY),
    /* PostgreSQL's 3270 says that it is immutable, but it prints times in the session's zone. */
    AGG(12217, "jsonb_object_agg", STABLE, COL_JSONB, object, FN_ANY, FN_ANY),
};

const struct fn_table fn_table_json_make = {fns, ARRAY_LEN(fns)};
