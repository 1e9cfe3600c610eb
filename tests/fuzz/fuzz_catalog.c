/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_catalog.c: bodies of system.objects from anywhere: what is taken encodes to the same bytes again. And COPY's formats: what is
 * read, written and read again gives the same fields, however it was cut into pieces.
 */
#include <string.h>

#include "sql/catalog/object.h"
#include "sql/run/copytext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void object(const uint8_t *data, size_t bytes) {
    struct cat_object head = {
        .id = 16384, .kind = (uint8_t)(1 + data[0] % (CAT_OBJECT_KINDS - 1)), .schema = 2200, .name = "t"};
    struct cat_object *o, *again;
    struct buf b;
    if (cat_object_decode(&head, data + 1, bytes - 1, &o, NULL) != RC_OK)
        return;
    buf_init(&b, 0);
    cat_object_encode(o, &b);
    CHECK(buf_rc(&b) == RC_OK);
    /* A later version's bytes behind ours are ignored, so the beginning is what must be the same. */
    CHECK(b.len <= bytes - 1 || o->dropped);
    CHECK(cat_object_decode(&head, b.data, b.len, &again, NULL) == RC_OK);
    cat_object_unref(again);
    cat_object_unref(o);
    buf_done(&b);
}

static enum rc on_row(void *ctx, const struct copytext_field *f, size_t n, struct err *err) {
    struct buf *to = ctx;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        buf_put_u32le(to, f[i].null ? UINT32_MAX : (uint32_t)f[i].bytes);
        if (!f[i].null)
            buf_put(to, f[i].p, f[i].bytes);
    }
    buf_putc(to, 0xff);
    return RC_OK;
}

static enum rc read_all(const struct copytext *f, const void *p, size_t bytes, size_t piece, struct buf *to) {
    struct copytext_reader r;
    enum rc rc = copytext_reader_init(&r, f);
    for (size_t at = 0; at < bytes && !rc; at += piece)
        rc = copytext_feed(&r, (const uint8_t *)p + at, bytes - at < piece ? bytes - at : piece, false, on_row, to,
                           NULL);
    if (!rc)
        rc = copytext_feed(&r, "", 0, true, on_row, to, NULL);
    copytext_reader_done(&r);
    return rc;
}

static void copy(const uint8_t *data, size_t bytes) {
    struct copytext f = copytext_defaults(data[0] & 1);
    struct buf whole, pieces;
    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    enum rc rc = read_all(&f, data + 1, bytes - 1, bytes, &whole);
    enum rc same = read_all(&f, data + 1, bytes - 1, 1 + data[0] / 2 % 7, &pieces);
    CHECK(rc == same);
    CHECK(rc || (whole.len == pieces.len && (whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0)));
    buf_done(&whole);
    buf_done(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 2)
        return 0;
    if (data[0] & 0x80)
        object(data, bytes);
    else
        copy(data, bytes);
    return 0;
}
