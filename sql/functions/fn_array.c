/* SPDX-License-Identifier: Apache-2.0 */
/* fn_array.c: functions and operators of arrays. Arrays are walked and written element by element (fn_elements.c). */
#include <string.h>

#include "sql/functions/fn_match.h"
#include "sql/functions/fn_text.h"

typedef struct fn_elements walk;

static enum rc open_array(walk *e, const struct fn_call *call, const struct value *arg, size_t i, struct err *err) {
    return fn_elements_begin(e, &call->arg[i], &arg[i], err);
}

static enum rc finish(const struct fn_env *env, struct buf *b, enum rc rc, struct value *ret, struct err *err) {
    if (!rc)
        return fn_give(env, b, VALUE_BLOB, ret, err);
    buf_done(b);
    return rc;
}

/* All that is left of e, as it is. */
static enum rc put_rest(struct buf *b, walk *e, struct err *err) {
    enum rc rc = RC_OK;
    while (e->left && !rc) {
        const uint8_t *p;
        uint32_t n;
        rc = fn_elements_skip(e, &p, &n, err);
        if (!rc)
            fn_array_raw(b, p, n);
    }
    return rc;
}

/* ---- comparison ----------------------------------------------------------------------------------------------------- */

#define COMPARE(name_, op_)                                                                                            \
    FN_IMPL(array_##name_) {                                                                                           \
        FN_UNUSED;                                                                                                     \
        return fn_bool(ret, fn_value_compare(&call->arg[0], &arg[0], &arg[1]) op_ 0);                                  \
    }
COMPARE(eq, ==)
COMPARE(ne, !=)
COMPARE(lt, <)
COMPARE(le, <=)
COMPARE(gt, >)
COMPARE(ge, >=)

FN_IMPL(array_cmp) {
    FN_UNUSED;
    return fn_int(ret, fn_value_compare(&call->arg[0], &arg[0], &arg[1]));
}

FN_IMPL(array_larger) {
    FN_UNUSED;
    *ret = fn_value_compare(&call->arg[0], &arg[0], &arg[1]) > 0 ? arg[0] : arg[1];
    return RC_OK;
}

FN_IMPL(array_smaller) {
    FN_UNUSED;
    *ret = fn_value_compare(&call->arg[0], &arg[0], &arg[1]) < 0 ? arg[0] : arg[1];
    return RC_OK;
}

/* Is each element of arg[b] (or: one of them) in arg[a]? NULLs are in nothing. */
static enum rc contains(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t a,
                        size_t b, bool one, struct value *ret, struct err *err) {
    walk x, y;
    bool all = true, some = false;
    enum rc rc = open_array(&y, call, arg, b, err);
    while (!rc && y.left && all && !some) {
        struct value v, w;
        bool found = false;
        rc = fn_elements_next(&y, env->arena, &v, err);
        if (!rc)
            rc = open_array(&x, call, arg, a, err);
        while (!rc && x.left && !found && v.kind != VALUE_NULL) {
            rc = fn_elements_next(&x, env->arena, &w, err);
            found = !rc && w.kind != VALUE_NULL && fn_value_compare(&x.elem, &v, &w) == 0;
        }
        all = one || found;
        some = one && found;
    }
    *ret = value_int(one ? some : all);
    return rc;
}

FN_IMPL(array_contains) {
    FN_UNUSED;
    return contains(env, call, arg, 0, 1, false, ret, err);
}

FN_IMPL(array_contained) {
    FN_UNUSED;
    return contains(env, call, arg, 1, 0, false, ret, err);
}

FN_IMPL(array_overlap) {
    FN_UNUSED;
    return contains(env, call, arg, 0, 1, true, ret, err);
}

/* ---- shape ------------------------------------------------------------------------------------------------------------ */

FN_IMPL(array_ndims) {
    walk e;
    FN_UNUSED;
    enum rc rc = open_array(&e, call, arg, 0, err);
    *ret = !rc && e.shape.n ? value_int(e.shape.n) : value_null();
    return rc;
}

FN_IMPL(array_cardinality) {
    walk e;
    FN_UNUSED;
    enum rc rc = open_array(&e, call, arg, 0, err);
    *ret = value_int(rc ? 0 : (int64_t)e.left);
    return rc;
}

FN_IMPL(array_dims) {
    walk e;
    struct buf b;
    FN_UNUSED;
    enum rc rc = open_array(&e, call, arg, 0, err);
    *ret = value_null();
    if (rc || !e.shape.n)
        return rc;
    fn_buf(&b);
    for (int i = 0; i < e.shape.n; i++)
        buf_printf(&b, "[%d:%lld]", e.shape.lower[i], (long long)e.shape.lower[i] + e.shape.length[i] - 1);
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

/* what: 'n' length, 'l' lower, 'u' upper bound of a dimension (from 1) */
static enum rc bound(const struct fn_call *call, const struct value *arg, char what, struct value *ret,
                     struct err *err) {
    walk e;
    enum rc rc = open_array(&e, call, arg, 0, err);
    *ret = value_null();
    if (rc || arg[1].i < 1 || arg[1].i > e.shape.n)
        return rc;
    int64_t d = arg[1].i - 1, lower = e.shape.lower[d], length = e.shape.length[d];
    return fn_int(ret, what == 'n' ? length : what == 'l' ? lower : lower + length - 1);
}

FN_IMPL(array_length) {
    FN_UNUSED;
    return bound(call, arg, 'n', ret, err);
}

FN_IMPL(array_lower) {
    FN_UNUSED;
    return bound(call, arg, 'l', ret, err);
}

FN_IMPL(array_upper) {
    FN_UNUSED;
    return bound(call, arg, 'u', ret, err);
}

/* ---- growing ------------------------------------------------------------------------------------------------------------ */

/* One element at the end or at the front; the array is argument a, NULL = an empty one. */
static enum rc grow(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t a, bool front,
                    struct value *ret, struct err *err) {
    walk e = {.left = 0};
    struct buf b;
    enum rc rc = arg[a].kind == VALUE_NULL ? RC_OK : open_array(&e, call, arg, a, err);
    struct col elem = fn_elem(&call->arg[a]);
    if (rc)
        return rc;
    if (e.shape.n > 1)
        return err_sql(err, "22000", "argument must be empty or one-dimensional array");
    if (e.left >= FN_ELEMENTS_MAX)
        return err_sql(err, "54000", "array size exceeds the maximum allowed (%d)", FN_ELEMENTS_MAX);
    struct fn_shape shape = {.n = 1, .length = {(int32_t)e.left + 1}, .lower = {e.shape.n ? e.shape.lower[0] : 1}};
    if (shape.lower[0] > INT32_MAX - shape.length[0])
        return fn_out_of_range("integer", err);
    fn_buf(&b);
    fn_array_head(&b, &shape, &elem);
    if (front)
        rc = fn_array_put(&b, &elem, &arg[1 - a], err);
    if (!rc)
        rc = put_rest(&b, &e, err);
    if (!rc && !front)
        rc = fn_array_put(&b, &elem, &arg[1 - a], err);
    return finish(env, &b, rc, ret, err);
}

FN_IMPL(array_append) {
    FN_UNUSED;
    return grow(env, call, arg, 0, false, ret, err);
}

FN_IMPL(array_prepend) {
    FN_UNUSED;
    return grow(env, call, arg, 1, true, ret, err);
}

static enum rc incompatible(const char *detail, struct err *err) {
    err_sql(err, "2202E", "cannot concatenate incompatible arrays");
    err_detail(err, "%s", detail);
    return RC_SQL;
}

/* The shape of both together; inner dimensions must agree, one may have a dimension less. */
static enum rc join(const struct fn_shape *x, const struct fn_shape *y, struct fn_shape *ret, struct err *err) {
    static const char differing[] = "Arrays with differing element dimensions are not compatible for concatenation.";
    static const char dimensions[] = "Arrays with differing dimensions are not compatible for concatenation.";
    const struct fn_shape *large = x->n >= y->n ? x : y, *small = large == x ? y : x;
    int skip = large->n - small->n;
    if (skip > 1) {
        err_sql(err, "2202E", "cannot concatenate incompatible arrays");
        err_detail(err, "Arrays of %d and %d dimensions are not compatible for concatenation.", x->n, y->n);
        return RC_SQL;
    }
    for (int i = 1; i < large->n; i++) {
        int j = i - skip;
        bool same = large->length[i] == small->length[j] && large->lower[i] == small->lower[j];
        if (!same)
            return incompatible(skip ? dimensions : differing, err);
    }
    *ret = *large;
    ret->length[0] = skip ? large->length[0] + 1 : x->length[0] + y->length[0];
    return RC_OK;
}

FN_IMPL(array_cat) {
    walk x, y;
    struct buf b;
    struct fn_shape shape;
    FN_UNUSED;
    if (arg[0].kind == VALUE_NULL || arg[1].kind == VALUE_NULL) {
        *ret = arg[0].kind == VALUE_NULL ? arg[1] : arg[0];
        return RC_OK;
    }
    enum rc rc = open_array(&x, call, arg, 0, err);
    if (!rc)
        rc = open_array(&y, call, arg, 1, err);
    if (rc)
        return rc;
    if (!x.shape.n || !y.shape.n) {
        *ret = x.shape.n ? arg[0] : arg[1];
        return RC_OK;
    }
    rc = join(&x.shape, &y.shape, &shape, err);
    if (rc)
        return rc;
    fn_buf(&b);
    fn_array_head(&b, &shape, &x.elem);
    rc = put_rest(&b, &x, err);
    if (!rc)
        rc = put_rest(&b, &y, err);
    return finish(env, &b, rc, ret, err);
}

/* ---- searching ------------------------------------------------------------------------------------------------------------ */

static bool same(const struct col *type, const struct value *a, const struct value *b) {
    bool x = a->kind == VALUE_NULL, y = b->kind == VALUE_NULL;
    return x || y ? x && y : fn_value_compare(type, a, b) == 0;
}

static enum rc flat(const walk *e, const char *what, struct err *err) {
    return e->shape.n > 1 ? err_sql(err, "0A000", "%s multidimensional arrays is not supported", what) : RC_OK;
}

FN_IMPL(array_position) {
    walk e;
    FN_UNUSED;
    *ret = value_null();
    if (arg[0].kind == VALUE_NULL)
        return RC_OK;
    if (args > 2 && arg[2].kind == VALUE_NULL)
        return err_sql(err, "22004", "initial position must not be null");
    enum rc rc = open_array(&e, call, arg, 0, err);
    if (!rc)
        rc = flat(&e, "searching for elements in", err);
    for (int64_t at = rc || !e.shape.n ? 1 : e.shape.lower[0]; !rc && e.left; at++) {
        struct value v;
        rc = fn_elements_next(&e, env->arena, &v, err);
        if (!rc && (args < 3 || at >= arg[2].i) && same(&e.elem, &v, &arg[1]))
            return fn_int(ret, at);
    }
    return rc;
}

FN_IMPL(array_positions) {
    walk e;
    struct buf b;
    FN_UNUSED;
    struct col elem = col_of(COL_INT4);
    struct fn_shape shape = {.n = 1, .lower = {1}};
    enum { LENGTH_AT = 12 };
    *ret = value_null();
    if (arg[0].kind == VALUE_NULL)
        return RC_OK;
    enum rc rc = open_array(&e, call, arg, 0, err);
    if (!rc)
        rc = flat(&e, "searching for elements in", err);
    if (rc)
        return rc;
    fn_buf(&b);
    fn_array_head(&b, &shape, &elem);
    uint32_t n = 0;
    for (int64_t at = e.shape.n ? e.shape.lower[0] : 1; !rc && e.left; at++) {
        struct value v, i = value_int(at);
        rc = fn_elements_next(&e, env->arena, &v, err);
        if (!rc && same(&e.elem, &v, &arg[1])) {
            n++;
            rc = fn_array_put(&b, &elem, &i, err);
        }
    }
    if (!rc && !n) { /* empty has no dimensions */
        buf_reset(&b, 100);
        shape.n = 0;
        fn_array_head(&b, &shape, &elem);
    } else if (!rc && !buf_rc(&b)) {
        set_u32be(b.data + LENGTH_AT, n);
    }
    return finish(env, &b, rc, ret, err);
}

/* Equal elements go, or become arg[2]. */
static enum rc exchange(const struct fn_env *env, const struct fn_call *call, const struct value *arg, bool drop,
                        struct value *ret, struct err *err) {
    walk e;
    struct buf b;
    int32_t n = 0;
    *ret = value_null();
    if (arg[0].kind == VALUE_NULL)
        return RC_OK;
    enum rc rc = open_array(&e, call, arg, 0, err);
    if (!rc && drop)
        rc = flat(&e, "removing elements from", err);
    if (rc)
        return rc;
    struct fn_shape shape = e.shape;
    fn_buf(&b);
    fn_array_head(&b, &shape, &e.elem);
    while (!rc && e.left) {
        struct value v;
        rc = fn_elements_next(&e, env->arena, &v, err);
        bool equal = !rc && same(&e.elem, &v, &arg[1]);
        if (rc || (equal && drop))
            continue;
        n++;
        rc = fn_array_put(&b, &e.elem, equal ? &arg[2] : &v, err);
    }
    if (!rc && drop && !buf_rc(&b) && shape.n) {
        enum { LENGTH_AT = 12 };
        set_u32be(b.data + LENGTH_AT, (uint32_t)n);
        if (!n) {
            shape.n = 0;
            buf_reset(&b, 100);
            fn_array_head(&b, &shape, &e.elem);
        }
    }
    return finish(env, &b, rc, ret, err);
}

FN_IMPL(array_remove) {
    FN_UNUSED;
    return exchange(env, call, arg, true, ret, err);
}

FN_IMPL(array_replace) {
    FN_UNUSED;
    return exchange(env, call, arg, false, ret, err);
}

FN_IMPL(array_trim) {
    walk e;
    struct buf b;
    FN_UNUSED;
    enum rc rc = open_array(&e, call, arg, 0, err);
    if (rc)
        return rc;
    int64_t length = e.shape.n ? e.shape.length[0] : 0, n = arg[1].i;
    if (n < 0 || n > length)
        return err_sql(err, "2202E", "number of elements to trim must be between 0 and %lld", (long long)length);
    struct fn_shape shape = e.shape;
    size_t keep = 0;
    if (length) {
        keep = e.left / (size_t)length * (size_t)(length - n);
        shape.length[0] = (int32_t)(length - n);
        shape.lower[0] = 1;
    }
    if (!keep)
        shape.n = 0;
    fn_buf(&b);
    fn_array_head(&b, &shape, &e.elem);
    for (; !rc && keep; keep--) {
        const uint8_t *p;
        uint32_t bytes;
        rc = fn_elements_skip(&e, &p, &bytes, err);
        if (!rc)
            fn_array_raw(&b, p, bytes);
    }
    return finish(env, &b, rc, ret, err);
}

/* ---- text ------------------------------------------------------------------------------------------------------------------- */

FN_IMPL(array_to_string) {
    walk e;
    struct buf b;
    FN_UNUSED;
    bool first = true;
    *ret = value_null();
    if (arg[0].kind == VALUE_NULL || arg[1].kind == VALUE_NULL)
        return RC_OK;
    enum rc rc = open_array(&e, call, arg, 0, err);
    if (rc)
        return rc;
    fn_buf(&b);
    while (!rc && e.left) {
        struct value v;
        rc = fn_elements_next(&e, env->arena, &v, err);
        bool null = !rc && v.kind == VALUE_NULL, named = null && args > 2 && arg[2].kind != VALUE_NULL;
        if (rc || (null && !named))
            continue;
        if (!first)
            buf_put(&b, arg[1].p, arg[1].bytes);
        first = false;
        if (named)
            buf_put(&b, arg[2].p, arg[2].bytes);
        else
            rc = fn_print(env, &e.elem, &v, &b, err);
    }
    if (!rc)
        return fn_give(env, &b, VALUE_TEXT, ret, err);
    buf_done(&b);
    return rc;
}

/* A NULL delimiter: into characters; an empty one: into one piece. */
FN_IMPL(string_to_array) {
    struct buf b;
    FN_UNUSED;
    enum { LENGTH_AT = 12 };
    struct col elem = col_of(COL_TEXT);
    struct fn_shape shape = {.n = 1, .lower = {1}};
    uint32_t n = 0;
    *ret = value_null();
    if (arg[0].kind == VALUE_NULL)
        return RC_OK;
    const uint8_t *p = arg[0].p, *end = p + arg[0].bytes;
    bool chars = arg[1].kind == VALUE_NULL, null = args > 2 && arg[2].kind != VALUE_NULL;
    shape.n = p < end;
    fn_buf(&b);
    fn_array_head(&b, &shape, &elem);
    for (bool more = p < end; more; n++) {
        const uint8_t *to = end;
        if (chars)
            to = p + fn_char_bytes(p, end);
        else if (arg[1].bytes)
            to = memmem(p, (size_t)(end - p), arg[1].p, arg[1].bytes);
        more = to && to < end;
        if (!to)
            to = end;
        size_t bytes = (size_t)(to - p);
        if (null && bytes == arg[2].bytes && memcmp(p, arg[2].p, bytes) == 0)
            fn_array_null(&b);
        else
            fn_array_raw(&b, p, (uint32_t)bytes);
        p = more && !chars ? to + arg[1].bytes : to;
    }
    if (!buf_rc(&b) && n)
        set_u32be(b.data + LENGTH_AT, n);
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

enum rc fn_string_to_array(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t args,
                           struct value *ret, struct err *err) {
    return string_to_array(env, call, arg, args, ret, err);
}

/* ---- array_fill -------------------------------------------------------------------------------------------------------------- */

static enum rc read_ints(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t i,
                         int32_t *to, int *ret_n, const char *what, struct err *err) {
    walk e;
    if (arg[i].kind == VALUE_NULL)
        return err_sql(err, "22004", "dimension array or low bound array cannot be null");
    enum rc rc = open_array(&e, call, arg, i, err);
    if (rc)
        return rc;
    if (e.shape.n > 1) {
        err_sql(err, "2202E", "wrong number of array subscripts");
        err_detail(err, "%s must be one dimensional.", what);
        return RC_SQL;
    }
    if (e.left > FN_DIMENSIONS_MAX)
        return err_sql(err, "54000", "number of array dimensions (%zu) exceeds the maximum allowed (%d)", e.left,
                       FN_DIMENSIONS_MAX);
    for (*ret_n = 0; e.left && !rc; ++*ret_n) {
        struct value v;
        rc = fn_elements_next(&e, env->arena, &v, err);
        if (!rc && v.kind != VALUE_INT)
            rc = err_sql(err, "22004", "dimension values cannot be null");
        else if (!rc)
            to[*ret_n] = (int32_t)v.i;
    }
    return rc;
}

FN_IMPL(array_fill) {
    struct fn_shape shape = {.n = 0};
    struct buf b;
    FN_UNUSED;
    int bounds = 0;
    size_t count = 1;
    struct col elem = call->arg[0];
    for (int i = 0; i < FN_DIMENSIONS_MAX; i++)
        shape.lower[i] = 1;
    enum rc rc = read_ints(env, call, arg, 1, shape.length, &shape.n, "Dimension array", err);
    if (!rc && args > 2) {
        rc = read_ints(env, call, arg, 2, shape.lower, &bounds, "Low bound array", err);
        if (!rc && bounds != shape.n) {
            err_sql(err, "2202E", "wrong number of array subscripts");
            err_detail(err, "Low bound array has different size than dimensions array.");
            return RC_SQL;
        }
    }
    if (rc)
        return rc;
    for (int i = 0; i < shape.n; i++) {
        if (shape.length[i] < 0 || __builtin_mul_overflow(count, (size_t)shape.length[i], &count) ||
            count > FN_ELEMENTS_MAX)
            return err_sql(err, "54000", "array size exceeds the maximum allowed (%d)", FN_ELEMENTS_MAX);
        if (shape.lower[i] > INT32_MAX - shape.length[i])
            return err_sql(err, "54000", "array lower bound is too large: %d", shape.lower[i]);
    }
    if (!count || !shape.n)
        shape.n = 0, count = 0;
    fn_buf(&b);
    fn_array_head(&b, &shape, &elem);
    size_t head = b.len;
    if (count)
        rc = fn_array_put(&b, &elem, &arg[0], err);
    size_t bytes = b.len - head; /* of one element; the others are copies */
    for (size_t i = 1; i < count && !rc && !buf_rc(&b); i++) {
        uint8_t *to = buf_reserve(&b, bytes);
        if (!to)
            break;
        memcpy(to, b.data + head, bytes);
        buf_commit(&b, bytes);
    }
    return finish(env, &b, rc, ret, err);
}

static const struct fn fns[] = {
    FN(376, "string_to_array", NULL, 0, FN_ARRAY_OF(COL_TEXT), string_to_array, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(378, "array_append", "||", 0, FN_ANYCOMPATIBLEARRAY, array_append, FN_ANYCOMPATIBLEARRAY, FN_ANYCOMPATIBLE),
    FN(379, "array_prepend", "||", 0, FN_ANYCOMPATIBLEARRAY, array_prepend, FN_ANYCOMPATIBLE, FN_ANYCOMPATIBLEARRAY),
    FN(382, "btarraycmp", NULL, STRICT, COL_INT4, array_cmp, FN_ANYARRAY, FN_ANYARRAY),
    FN(383, "array_cat", "||", 0, FN_ANYCOMPATIBLEARRAY, array_cat, FN_ANYCOMPATIBLEARRAY, FN_ANYCOMPATIBLEARRAY),
    FN(384, "array_to_string", NULL, STABLE, COL_TEXT, array_to_string, FN_ANYARRAY, COL_TEXT, COL_TEXT),
    FN(390, "array_ne", "<>", STRICT, COL_BOOL, array_ne, FN_ANYARRAY, FN_ANYARRAY),
    FN(391, "array_lt", "<", STRICT, COL_BOOL, array_lt, FN_ANYARRAY, FN_ANYARRAY),
    FN(392, "array_gt", ">", STRICT, COL_BOOL, array_gt, FN_ANYARRAY, FN_ANYARRAY),
    FN(393, "array_le", "<=", STRICT, COL_BOOL, array_le, FN_ANYARRAY, FN_ANYARRAY),
    FN(394, "string_to_array", NULL, 0, FN_ARRAY_OF(COL_TEXT), string_to_array, COL_TEXT, COL_TEXT),
    FN(395, "array_to_string", NULL, STRICT | STABLE, COL_TEXT, array_to_string, FN_ANYARRAY, COL_TEXT),
    FN(396, "array_ge", ">=", STRICT, COL_BOOL, array_ge, FN_ANYARRAY, FN_ANYARRAY),
    FN(515, "array_larger", NULL, STRICT, FN_ANYARRAY, array_larger, FN_ANYARRAY, FN_ANYARRAY),
    FN(516, "array_smaller", NULL, STRICT, FN_ANYARRAY, array_smaller, FN_ANYARRAY, FN_ANYARRAY),
    FN(744, "array_eq", "=", STRICT, COL_BOOL, array_eq, FN_ANYARRAY, FN_ANYARRAY),
    FN(747, "array_dims", NULL, STRICT, COL_TEXT, array_dims, FN_ANYARRAY),
    FN(748, "array_ndims", NULL, STRICT, COL_INT4, array_ndims, FN_ANYARRAY),
    FN(1193, "array_fill", NULL, 0, FN_ANYARRAY, array_fill, FN_ANYELEMENT, FN_ARRAY_OF(COL_INT4)),
    FN(1286, "array_fill", NULL, 0, FN_ANYARRAY, array_fill, FN_ANYELEMENT, FN_ARRAY_OF(COL_INT4),
       FN_ARRAY_OF(COL_INT4)),
    FN(2091, "array_lower", NULL, STRICT, COL_INT4, array_lower, FN_ANYARRAY, COL_INT4),
    FN(2092, "array_upper", NULL, STRICT, COL_INT4, array_upper, FN_ANYARRAY, COL_INT4),
    FN(2176, "array_length", NULL, STRICT, COL_INT4, array_length, FN_ANYARRAY, COL_INT4),
    FN(2747, "arrayoverlap", "&&", STRICT, COL_BOOL, array_overlap, FN_ANYARRAY, FN_ANYARRAY),
    FN(2748, "arraycontains", "@>", STRICT, COL_BOOL, array_contains, FN_ANYARRAY, FN_ANYARRAY),
    FN(2749, "arraycontained", "<@", STRICT, COL_BOOL, array_contained, FN_ANYARRAY, FN_ANYARRAY),
    FN(3167, "array_remove", NULL, 0, FN_ANYCOMPATIBLEARRAY, array_remove, FN_ANYCOMPATIBLEARRAY, FN_ANYCOMPATIBLE),
    FN(3168, "array_replace", NULL, 0, FN_ANYCOMPATIBLEARRAY, array_replace, FN_ANYCOMPATIBLEARRAY, FN_ANYCOMPATIBLE,
       FN_ANYCOMPATIBLE),
    FN(3179, "cardinality", NULL, STRICT, COL_INT4, array_cardinality, FN_ANYARRAY),
    FN(3277, "array_position", NULL, 0, COL_INT4, array_position, FN_ANYCOMPATIBLEARRAY, FN_ANYCOMPATIBLE),
    FN(3278, "array_position", NULL, 0, COL_INT4, array_position, FN_ANYCOMPATIBLEARRAY, FN_ANYCOMPATIBLE, COL_INT4),
    FN(3279, "array_positions", NULL, 0, FN_ARRAY_OF(COL_INT4), array_positions, FN_ANYCOMPATIBLEARRAY,
       FN_ANYCOMPATIBLE),
    FN(6172, "trim_array", NULL, STRICT, FN_ANYARRAY, array_trim, FN_ANYARRAY, COL_INT4),
};

const struct fn_table fn_table_array = {fns, ARRAY_LEN(fns)};
