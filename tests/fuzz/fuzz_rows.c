/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of rows, row images, table descriptors: any bytes; what is accepted encodes to the same bytes, or to equal things. */
#include <stdlib.h>
#include <string.h>

#include "shard/store/mvcc.h"
#include "shard/store/rowbatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void batch(const uint8_t *data, size_t n) {
    struct rowbatch_reader r;
    struct rowbatch out;
    if (rowbatch_open(&r, data, n, NULL))
        return;
    struct value *row = calloc((size_t)r.n_cols + 1, sizeof *row);
    CHECK(row);
    rowbatch_init(&out, 0);
    rowbatch_begin(&out, r.n_cols);
    enum rc rc;
    while (!(rc = rowbatch_next(&r, row, NULL))) {
        for (uint16_t i = 0; i < r.n_cols; i++)
            rowbatch_put(&out, &row[i]);
        rowbatch_row_end(&out);
    }
    if (rc == RC_NOTFOUND) {
        CHECK(rowbatch_end(&out) == RC_OK);
        CHECK(out.buf.len == n && memcmp(out.buf.data, data, n) == 0);
    }
    rowbatch_done(&out);
    free(row);
}

static void images(const uint8_t *data, size_t n) {
    struct arena a;
    struct mvcc_mutation *x = NULL;
    struct buf out;
    size_t count = 0;
    arena_init(&a, 64 << 20);
    if (!mvcc_mutations_decode(data, n, &a, &x, &count, NULL)) {
        buf_init(&out, 0);
        mvcc_mutations_encode(x, count, &out);
        CHECK(!buf_rc(&out) && out.len == n && memcmp(out.data, data, n) == 0);
        buf_done(&out);
    }
    arena_done(&a);
}

static void descriptor(const uint8_t *data, size_t n) {
    struct table *t = NULL, *again = NULL;
    struct buf out, sql;
    if (table_decode(data, n, &t, NULL))
        return;
    buf_init(&out, 0);
    buf_init(&sql, 0);
    table_encode(t, &out);
    CHECK(!buf_rc(&out) && out.len <= n && memcmp(out.data, data, out.len) == 0);
    CHECK(table_decode(out.data, out.len, &again, NULL) == RC_OK);
    table_sql_create(again, &sql);
    CHECK(!buf_rc(&sql));
    buf_done(&out);
    buf_done(&sql);
    table_unref(t);
    table_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        batch(data + 1, n - 1);
        break;
    case 1:
        images(data + 1, n - 1);
        break;
    default:
        descriptor(data + 1, n - 1);
        break;
    }
    return 0;
}
