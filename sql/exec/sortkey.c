/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sortkey.c: pgkey(type, element type, value): bytes that sort as PostgreSQL sorts values which SQLite cannot compare.
 *
 *     interval   its length, months as 30 days: microseconds in 16 bytes, big-endian, the sign turned
 *     array      for each element 2 and its key (key.h), or 3 for NULL, which is the greatest; then 1; then the dimensions
 *     jsonb      kind, then a text or number as a key, or how many members and each of them; an empty array alone is the least
 */
#include "shard/store/key.h"
#include "sql/exec/exec_internal.h"
#include "sql/exec/stage.h"
#include "sql/types/jsondoc.h"

static void put_interval(const void *p, struct buf *to) {
    struct interval iv = interval_load(p);
    __int128 us = iv.us + ((__int128)iv.days + (__int128)iv.months * 30) * COL_DAY_US;
    buf_put_u64be(to, (uint64_t)(us >> 64) ^ UINT64_C(1) << 63);
    buf_put_u64be(to, (uint64_t)us);
}

static enum rc put_json(const struct js *j, struct buf *to, struct err *err) {
    struct key_part part = {.col = col_of(j->kind == JS_NUMBER ? COL_NUMERIC : COL_TEXT)};
    struct value v;
    enum rc rc = RC_OK;
    buf_putc(to, (uint8_t)(j->kind + 2));
    if (j->kind == JS_BOOL)
        buf_putc(to, j->b ? 2 : 1);
    if (j->kind == JS_STRING || j->kind == JS_NUMBER) {
        v = value_text(j->p, j->n);
        return key_put(to, &part, &v, err);
    }
    if (j->kind < JS_ARRAY)
        return RC_OK;
    buf_put_u32be(to, j->n);
    for (uint32_t i = 0; i < j->n && !rc; i++) {
        if (j->kind == JS_OBJECT) {
            v = value_text(j->key[i]->p, j->key[i]->n);
            rc = key_put(to, &part, &v, err);
        }
        if (!rc)
            rc = put_json(j->item[i], to, err);
    }
    return rc;
}

static enum rc put_document(const struct value *v, struct arena *a, struct buf *to, struct err *err) {
    struct js *j;
    enum rc rc = js_parse(a, v->p, v->bytes, true, &j, err);
    if (rc || (j->kind == JS_ARRAY && j->n == 0)) {
        buf_putc(to, 1);
        return rc;
    }
    return put_json(j, to, err);
}

static enum rc put_element(const struct col *elem, const uint8_t *p, size_t n, struct arena *a, struct buf *to,
                           struct err *err) {
    struct key_part part = {.col = *elem};
    struct value v;
    enum rc rc = type_recv(elem, p, n, a, &v, err);
    if (rc)
        return rc;
    if (elem->type == COL_JSONB)
        return put_document(&v, a, to, err);
    if (elem->type != COL_INTERVAL)
        return key_put(to, &part, &v, err);
    put_interval(v.p, to);
    return RC_OK;
}

static enum rc put_array(const struct col *elem, const struct value *v, struct arena *a, struct buf *to,
                         struct err *err) {
    struct rd r;
    enum rc rc = RC_OK;
    rd_init(&r, v->p, v->bytes);
    uint32_t dims = rd_u32be(&r);
    (void)rd_u32be(&r), (void)rd_u32be(&r);
    const uint8_t *shape = r.at;
    uint64_t left = dims > 0 ? 1 : 0;
    if (dims > 6)
        return err_sql(err, "22P03", "an array's bytes are damaged");
    for (uint32_t i = 0; i < dims && left <= v->bytes; i++) {
        left *= rd_u32be(&r);
        (void)rd_u32be(&r);
    }
    for (; left > 0 && left <= v->bytes && !r.bad && !rc; left--) {
        int32_t n = (int32_t)rd_u32be(&r);
        const uint8_t *p = n >= 0 ? rd_bytes(&r, (size_t)n) : NULL;
        buf_putc(to, n < 0 ? 3 : 2);
        if (p)
            rc = put_element(elem, p, (size_t)n, a, to, err);
    }
    buf_putc(to, 1);
    if (r.bad || left > v->bytes)
        return err_sql(err, "22P03", "an array's bytes are damaged");
    buf_put_u32be(to, dims);
    buf_put(to, shape, dims * 8u);
    return rc;
}

static void run_pgkey(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    struct col type = {.type = (uint8_t)sqlite3_value_int(argv[0]), .typmod = COL_TYPMOD_NONE},
               elem = {.type = (uint8_t)sqlite3_value_int(argv[1]), .typmod = COL_TYPMOD_NONE};
    struct value v;
    struct buf key;
    struct arena a;
    struct err err = {0};
    char text[EXT_ERROR_BYTES];
    (void)argc;
    if (value_from_sqlite(argv[2], &v)) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (v.kind == VALUE_NULL)
        return;
    buf_init(&key, FRAGMENT_ROW_BYTES_MAX);
    arena_init(&a, 0);
    enum rc rc = RC_OK;
    if (v.kind == VALUE_BLOB && type.type == COL_INTERVAL && v.bytes == 16)
        put_interval(v.p, &key);
    else if (v.kind == VALUE_BLOB && type.type == COL_ARRAY)
        rc = put_array(&elem, &v, &a, &key, &err);
    else if (v.kind == VALUE_BLOB && type.type == COL_JSONB)
        rc = put_document(&v, &a, &key, &err);
    else
        rc = err_set(&err, RC_INVAL, "pgkey: not a value of that type");
    if (!rc)
        rc = buf_rc(&key);
    if (rc == RC_NOMEM)
        sqlite3_result_error_nomem(ctx);
    else if (rc)
        sqlite3_result_error(ctx, text, ext_error_print(&err, text));
    else
        sqlite3_result_blob(ctx, key.data, (int)key.len, SQLITE_TRANSIENT);
    buf_done(&key);
    arena_done(&a);
}

enum rc sortkey_register(sqlite3 *db, struct err *err) {
    int code = sqlite3_create_function_v2(db, "pgkey", 3, SQLITE_UTF8 | SQLITE_INNOCUOUS | SQLITE_DETERMINISTIC, NULL,
                                          run_pgkey, NULL, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : stage_error(db, "register pgkey", err);
}
