/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c: doubling growth under a limit. */
#include "truetime/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUF_BYTES_MIN = 256 };

void buf_init(struct buf *b, size_t cap_max) {
    *b = (struct buf){.cap_max = cap_max};
}

void buf_done(struct buf *b) {
    free(b->data);
    buf_init(b, b->cap_max);
}

void buf_reset(struct buf *b, size_t keep) {
    if (b->cap > keep)
        buf_done(b);
    b->len = 0;
    b->rc = RC_OK;
}

uint8_t *buf_reserve(struct buf *b, size_t n) {
    if (b->rc)
        return NULL;
    if (b->cap - b->len >= n && b->data)
        return b->data + b->len;
    if ((b->cap_max && n > b->cap_max - b->len) || n > SIZE_MAX / 2 - b->len) {
        b->rc = RC_LIMIT;
        return NULL;
    }
    size_t cap = b->cap ? b->cap : BUF_BYTES_MIN;
    while (cap < b->len + n)
        cap *= 2;
    if (b->cap_max && cap > b->cap_max)
        cap = b->cap_max;
    uint8_t *p = realloc(b->data, cap ? cap : 1);
    if (!p) {
        b->rc = RC_NOMEM;
        return NULL;
    }
    b->data = p;
    b->cap = cap;
    return p + b->len;
}

void buf_commit(struct buf *b, size_t n) {
    CHECK(n <= b->cap - b->len);
    b->len += n;
}

void buf_put(struct buf *b, const void *p, size_t n) {
    uint8_t *to = buf_reserve(b, n);
    if (to && n) {
        memcpy(to, p, n);
        b->len += n;
    }
}

void buf_putc(struct buf *b, uint8_t c) {
    buf_put(b, &c, 1);
}

void buf_puts(struct buf *b, const char *s) {
    buf_put(b, s, strlen(s));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    uint8_t *to = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (to) {
        vsnprintf((char *)to, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n) {
    CHECK(n <= b->len);
    if (n && n < b->len)
        memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

const char *buf_cstr(struct buf *b) {
    uint8_t *to = buf_reserve(b, 1);
    if (!to)
        return NULL;
    *to = '\0';
    return (const char *)b->data;
}
