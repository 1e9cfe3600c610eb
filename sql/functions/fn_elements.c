/* SPDX-License-Identifier: Apache-2.0 */
/* fn_elements.c: walking and writing arrays in PostgreSQL's binary form (sql/types/array.c has its table of bytes). */
#include <string.h>

#include "sql/functions/fn_internal.h"

static enum rc damaged(struct err *err) {
    return err_sql(err, "22P03", "an array's bytes are damaged");
}

enum rc fn_elements_begin(struct fn_elements *e, const struct col *c, const struct value *array, struct err *err) {
    size_t count = 1;
    if (array->kind != VALUE_BLOB || c->type != COL_ARRAY)
        return damaged(err);
    rd_init(&e->r, array->p, array->bytes);
    uint32_t n = rd_u32be(&e->r);
    rd_u32be(&e->r);
    rd_u32be(&e->r);
    if (e->r.bad || n > FN_DIMENSIONS_MAX)
        return damaged(err);
    e->shape.n = (int)n;
    e->elem = fn_elem(c);
    for (uint32_t i = 0; i < n; i++) {
        int32_t length = (int32_t)rd_u32be(&e->r), lower = (int32_t)rd_u32be(&e->r);
        if (e->r.bad || length <= 0 || lower > INT32_MAX - length ||
            __builtin_mul_overflow(count, (size_t)length, &count))
            return damaged(err);
        e->shape.length[i] = length;
        e->shape.lower[i] = lower;
    }
    e->left = n ? count : 0;
    return e->left > rd_left(&e->r) / 4 ? damaged(err) : RC_OK;
}

enum rc fn_elements_skip(struct fn_elements *e, const uint8_t **ret, uint32_t *ret_bytes, struct err *err) {
    CHECK(e->left);
    uint32_t n = rd_u32be(&e->r);
    const uint8_t *p = n == UINT32_MAX ? NULL : rd_bytes(&e->r, n);
    if (e->r.bad)
        return damaged(err);
    e->left--;
    *ret = p;
    *ret_bytes = n;
    return RC_OK;
}

enum rc fn_elements_next(struct fn_elements *e, struct arena *a, struct value *ret, struct err *err) {
    const uint8_t *p;
    uint32_t n;
    enum rc rc = fn_elements_skip(e, &p, &n, err);
    if (!rc && n == UINT32_MAX)
        *ret = value_null();
    else if (!rc)
        rc = type_recv(&e->elem, p, n, a, ret, err);
    return rc;
}

void fn_array_head(struct buf *b, const struct fn_shape *s, const struct col *elem) {
    buf_put_u32be(b, (uint32_t)s->n);
    buf_put_u32be(b, 0); /* has NULLs: set when there is one */
    buf_put_u32be(b, type_oid(elem));
    for (int i = 0; i < s->n; i++) {
        buf_put_u32be(b, (uint32_t)s->length[i]);
        buf_put_u32be(b, (uint32_t)s->lower[i]);
    }
}

void fn_array_null(struct buf *b) {
    buf_put_u32be(b, UINT32_MAX);
    if (!buf_rc(b))
        set_u32be(b->data + 4, 1);
}

void fn_array_raw(struct buf *b, const uint8_t *p, uint32_t bytes) {
    if (bytes == UINT32_MAX) {
        fn_array_null(b);
        return;
    }
    buf_put_u32be(b, bytes);
    buf_put(b, p, bytes);
}

enum rc fn_array_put(struct buf *b, const struct col *elem, const struct value *v, struct err *err) {
    size_t at = b->len;
    struct col plain = *elem;
    plain.typmod = COL_TYPMOD_NONE;
    if (v->kind == VALUE_NULL) {
        fn_array_null(b);
        return RC_OK;
    }
    enum rc rc = col_check(&plain, v, err);
    buf_put_u32be(b, 0);
    if (!rc)
        rc = type_send(&plain, v, b, err);
    if (!rc && !buf_rc(b))
        set_u32be(b->data + at, (uint32_t)(b->len - at - 4));
    return rc;
}

enum rc fn_array_of(struct arena *a, const struct col *elem, const struct value *v, size_t n, struct value *ret,
                    struct err *err) {
    struct fn_shape shape = {.n = n > 0, .length = {(int32_t)n}, .lower = {1}};
    struct fn_env env = {.arena = a};
    struct buf b;
    enum rc rc = RC_OK;
    if (n > FN_ELEMENTS_MAX)
        return err_sql(err, "54000", "array size exceeds the maximum allowed (%d)", FN_ELEMENTS_MAX);
    fn_buf(&b);
    fn_array_head(&b, &shape, elem);
    for (size_t i = 0; i < n && !rc; i++)
        rc = fn_array_put(&b, elem, &v[i], err);
    if (!rc)
        return fn_give(&env, &b, VALUE_BLOB, ret, err);
    buf_done(&b);
    return rc;
}
