/* SPDX-License-Identifier: Apache-2.0 */
/* fn_internal.c: what the compiler calls for constructs that have no function in PostgreSQL: ARRAY[...], a[i], GREATEST, casts by
 * way of text. */
#include "sql/functions/fn_internal.h"

#include <string.h>

static bool is_text(const struct col *c) {
    return c->type == COL_TEXT || c->type == COL_VARCHAR || c->type == COL_CHAR;
}

/* call->arg[0] to call->ret, both as the type's input and output functions have it. */
FN_IMPL(type_io) {
    struct buf text;
    (void)args;
    buf_init(&text, FN_RESULT_BYTES_MAX);
    enum rc rc = RC_OK;
    const void *p = arg[0].p;
    size_t n = arg[0].bytes;
    if (!is_text(&call->arg[0])) {
        rc = fn_print(env, &call->arg[0], &arg[0], &text, err);
        n = text.len;
        p = rc || buf_rc(&text) ? NULL : arena_copy(env->arena, text.data ? text.data : (const uint8_t *)"", n);
        if (!rc && !p)
            rc = fn_no_memory(err);
    }
    buf_done(&text);
    return rc ? rc : fn_parse(env, &call->ret, p, n, ret, err);
}

/* Sub-arrays of one shape become one array with a dimension more. */
static enum rc array_of_arrays(const struct fn_env *env, const struct fn_call *call, const struct value *arg,
                               size_t args, struct value *ret, struct err *err) {
    struct fn_shape shape = {.n = 0};
    struct fn_elements e;
    struct buf b;
    struct col elem = fn_elem(&call->ret);
    enum rc rc = RC_OK;
    fn_buf(&b);
    for (size_t i = 0; i < args && !rc; i++) {
        if (arg[i].kind == VALUE_NULL) {
            rc = err_sql(err, "2202E", "multidimensional arrays must have array expressions with matching dimensions");
            break;
        }
        rc = fn_elements_begin(&e, &call->arg[i], &arg[i], err);
        if (rc)
            break;
        if (i == 0) {
            shape = e.shape;
            if (shape.n == FN_DIMENSIONS_MAX)
                rc = err_sql(err, "54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)",
                             shape.n + 1, FN_DIMENSIONS_MAX);
            if (rc || !shape.n)
                continue;
            memmove(shape.length + 1, shape.length, (size_t)shape.n * sizeof shape.length[0]);
            memmove(shape.lower + 1, shape.lower, (size_t)shape.n * sizeof shape.lower[0]);
            shape.length[0] = (int32_t)args;
            shape.lower[0] = 1;
            shape.n++;
            fn_array_head(&b, &shape, &elem);
        } else if (e.shape.n != (shape.n ? shape.n - 1 : 0) ||
                   memcmp(e.shape.length, shape.length + 1, (size_t)e.shape.n * sizeof shape.length[0]) != 0) {
            rc = err_sql(err, "2202E", "multidimensional arrays must have array expressions with matching dimensions");
        }
        while (!rc && e.left) {
            const uint8_t *p;
            uint32_t n;
            rc = fn_elements_skip(&e, &p, &n, err);
            if (!rc)
                fn_array_raw(&b, p, n);
        }
    }
    if (!rc && !b.len)
        fn_array_head(&b, &shape, &elem); /* of empty ones: empty */
    if (!rc)
        return fn_give(env, &b, VALUE_BLOB, ret, err);
    buf_done(&b);
    return rc;
}

FN_IMPL(array_make) {
    struct col elem = fn_elem(&call->ret);
    if (call->ret.type != COL_ARRAY)
        return err_set(err, RC_CORRUPT, "ARRAY[] of no array type");
    if (args && call->arg[0].type == COL_ARRAY)
        return array_of_arrays(env, call, arg, args, ret, err);
    return fn_array_of(env->arena, &elem, arg, args, ret, err);
}

/* One element by as many subscripts as there are dimensions; else NULL. */
FN_IMPL(array_subscript) {
    struct fn_elements e;
    size_t at = 0;
    enum rc rc = fn_elements_begin(&e, &call->arg[0], &arg[0], err);
    *ret = value_null();
    if (rc || (size_t)e.shape.n != args - 1)
        return rc;
    for (int i = 0; i < e.shape.n; i++) {
        int64_t k = arg[i + 1].i;
        if (k < e.shape.lower[i] || k >= (int64_t)e.shape.lower[i] + e.shape.length[i])
            return RC_OK;
        at = at * (size_t)e.shape.length[i] + (size_t)(k - e.shape.lower[i]);
    }
    while (at-- && !rc) {
        const uint8_t *p;
        uint32_t n;
        rc = fn_elements_skip(&e, &p, &n, err);
    }
    return rc ? rc : fn_elements_next(&e, env->arena, ret, err);
}

/* The part of shape that the bounds let through; false: none. ret: its first place in each dimension, and its shape. */
static bool cut_out(const struct fn_shape *shape, const struct value *bound, size_t bounds, int32_t *first,
                    struct fn_shape *ret) {
    *ret = *shape;
    for (int i = 0; i < shape->n; i++) {
        int64_t from = shape->lower[i], to = from + shape->length[i] - 1;
        if ((size_t)i < bounds) {
            from = bound[2 * i].i > from ? bound[2 * i].i : from;
            to = bound[2 * i + 1].i < to ? bound[2 * i + 1].i : to;
        }
        if (from > to)
            return false;
        first[i] = (int32_t)(from - shape->lower[i]);
        ret->length[i] = (int32_t)(to - from + 1);
        ret->lower[i] = 1;
    }
    return shape->n > 0;
}

/* The elements between the bounds, numbered from 1; dimensions without bounds are whole. */
FN_IMPL(array_slice) {
    struct fn_elements e;
    struct fn_shape shape = {0};
    struct buf b;
    int32_t first[FN_DIMENSIONS_MAX], at[FN_DIMENSIONS_MAX] = {0};
    size_t bounds = (args - 1) / 2;
    enum rc rc = fn_elements_begin(&e, &call->arg[0], &arg[0], err);
    if (rc)
        return rc;
    if (bounds > (size_t)e.shape.n || !cut_out(&e.shape, arg + 1, bounds, first, &shape))
        shape.n = 0;
    fn_buf(&b);
    fn_array_head(&b, &shape, &e.elem);
    while (!rc && shape.n && e.left) {
        const uint8_t *p;
        uint32_t n;
        bool in = true;
        rc = fn_elements_skip(&e, &p, &n, err);
        for (int i = 0; i < shape.n; i++)
            in = in && at[i] >= first[i] && at[i] - first[i] < shape.length[i];
        if (!rc && in)
            fn_array_raw(&b, p, n);
        for (int i = shape.n - 1; i >= 0 && ++at[i] == e.shape.length[i]; i--)
            at[i] = 0;
    }
    if (!rc)
        return fn_give(env, &b, VALUE_BLOB, ret, err);
    buf_done(&b);
    return rc;
}

static enum rc pick(const struct fn_call *call, const struct value *arg, size_t args, int sign, struct value *ret) {
    struct col type = call->arg[0];
    *ret = value_null();
    for (size_t i = 0; i < args; i++) {
        if (arg[i].kind == VALUE_NULL)
            continue;
        if (ret->kind == VALUE_NULL || fn_value_compare(&type, &arg[i], ret) * sign > 0)
            *ret = arg[i];
    }
    return RC_OK;
}

FN_IMPL(greatest) {
    FN_UNUSED;
    return pick(call, arg, args, 1, ret);
}

FN_IMPL(least) {
    FN_UNUSED;
    return pick(call, arg, args, -1, ret);
}

FN_IMPL(text_to_bpchar) {
    FN_UNUSED;
    const char *p = arg[0].p;
    size_t n = arg[0].bytes;
    while (n && p[n - 1] == ' ')
        n--;
    *ret = value_text(p, n);
    return RC_OK;
}

/* The elements' OID in the head is that of call->ret. */
FN_IMPL(relabel_array) {
    FN_UNUSED;
    struct col elem = fn_elem(&call->ret);
    if (arg[0].bytes < 12 || call->ret.type != COL_ARRAY)
        return err_sql(err, "22P03", "an array's bytes are damaged");
    uint8_t *p = arena_copy(env->arena, arg[0].p, arg[0].bytes);
    if (!p)
        return fn_no_memory(err);
    set_u32be(p + 8, type_oid(&elem));
    *ret = value_blob(p, arg[0].bytes);
    return RC_OK;
}

FN_IMPL(fit) {
    (void)args;
    *ret = arg[0];
    return type_limit(&call->ret, env->arena, ret, err);
}

FN_IMPL(cut) {
    struct value v = arg[0];
    int max = col_length_max(&call->ret);
    if (max >= 0 && v.kind == VALUE_TEXT) {
        const char *p = v.p;
        uint32_t n = 0;
        for (; n < v.bytes; n++)
            if ((p[n] & 0xc0) != 0x80 && max-- == 0)
                break;
        v.bytes = n;
    }
    return fit(env, call, &v, args, ret, err);
}

static const struct fn fns[] = {
    FN(FN_ID_TYPE_IO, "$type_io", NULL, STRICT | STABLE, FN_ANY, type_io, FN_ANY),
    FN(FN_ID_ARRAY, "$array", NULL, VARIADIC, FN_ANYARRAY, array_make, FN_ANYELEMENT),
    FN(FN_ID_SUBSCRIPT, "$subscript", NULL, STRICT | VARIADIC, FN_ANYELEMENT, array_subscript, FN_ANYARRAY, COL_INT4),
    FN(FN_ID_GREATEST, "$greatest", NULL, VARIADIC, FN_ANYELEMENT, greatest, FN_ANYELEMENT),
    FN(FN_ID_LEAST, "$least", NULL, VARIADIC, FN_ANYELEMENT, least, FN_ANYELEMENT),
    FN(FN_ID_BPCHAR, "$bpchar", NULL, STRICT, COL_CHAR, text_to_bpchar, COL_TEXT),
    FN(FN_ID_RELABEL_ARRAY, "$relabel_array", NULL, STRICT, FN_ANYARRAY, relabel_array, FN_ANY),
    FN(FN_ID_FIT, "$fit", NULL, STRICT, FN_ANY, fit, FN_ANY),
    FN(FN_ID_CUT, "$cut", NULL, STRICT, FN_ANY, cut, FN_ANY),
    FN(FN_ID_SLICE, "$slice", NULL, STRICT | VARIADIC, FN_ANYARRAY, array_slice, FN_ANYARRAY, COL_INT4),
};

const struct fn_table fn_table_internal = {fns, ARRAY_LEN(fns)};
