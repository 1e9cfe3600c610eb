/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h: a growable byte buffer to write into, and a bounds-checked cursor to read from.
 *
 * Promise     A buf grows up to its limit; the first failure (memory or limit) is remembered, later writes do nothing, and
 *             buf_rc tells. So a message is built without a check at each field and with one at the end. A cursor never
 *             reads past its end: it returns zeros and remembers, and rd_rc tells.
 * Relies on   malloc.
 * Threads     one at a time.
 * Format      integers are little-endian on disk and between nodes; big-endian where a protocol says so (pgwire).
 */
#ifndef MERIDIAN_BASE_BUF_H
#define MERIDIAN_BASE_BUF_H

#include <endian.h>
#include <string.h>

#include "truetime/base/err.h"

struct buf {
    uint8_t *data;
    size_t len, cap, cap_max;
    enum rc rc; /* first failure */
};

/* cap_max: the limit in bytes; 0 = none. */
void buf_init(struct buf *b, size_t cap_max);
void buf_done(struct buf *b);
/* Forgets the contents and the failure; keeps the memory unless it grew past keep bytes. */
void buf_reset(struct buf *b, size_t keep);
/* Room for n more bytes at the end, or NULL; buf_commit counts what was really written there. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_putc(struct buf *b, uint8_t c);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Drops n bytes at the front (moves the rest). */
void buf_consume(struct buf *b, size_t n);
/* A terminating zero behind the contents, not counted in len; NULL on failure. */
const char *buf_cstr(struct buf *b);

static inline enum rc buf_rc(const struct buf *b) {
    return b->rc;
}

#define BUF_PUT_(name, type, to)                                                                                       \
    static inline void buf_put_##name(struct buf *b, type v) {                                                         \
        type x = to(v);                                                                                                \
        buf_put(b, &x, sizeof x);                                                                                      \
    }
BUF_PUT_(u16le, uint16_t, htole16)
BUF_PUT_(u32le, uint32_t, htole32)
BUF_PUT_(u64le, uint64_t, htole64)
BUF_PUT_(u16be, uint16_t, htobe16)
BUF_PUT_(u32be, uint32_t, htobe32)
BUF_PUT_(u64be, uint64_t, htobe64)
#undef BUF_PUT_

/* Loads and stores at any address. */
#define MEM_GET_(name, type, from)                                                                                     \
    static inline type get_##name(const void *p) {                                                                     \
        type x;                                                                                                        \
        memcpy(&x, p, sizeof x);                                                                                       \
        return from(x);                                                                                                \
    }
#define MEM_SET_(name, type, to)                                                                                       \
    static inline void set_##name(void *p, type v) {                                                                   \
        type x = to(v);                                                                                                \
        memcpy(p, &x, sizeof x);                                                                                       \
    }
MEM_GET_(u16le, uint16_t, le16toh)
MEM_GET_(u32le, uint32_t, le32toh)
MEM_GET_(u64le, uint64_t, le64toh)
MEM_GET_(u16be, uint16_t, be16toh)
MEM_GET_(u32be, uint32_t, be32toh)
MEM_GET_(u64be, uint64_t, be64toh)
MEM_SET_(u16le, uint16_t, htole16)
MEM_SET_(u32le, uint32_t, htole32)
MEM_SET_(u64le, uint64_t, htole64)
MEM_SET_(u16be, uint16_t, htobe16)
MEM_SET_(u32be, uint32_t, htobe32)
MEM_SET_(u64be, uint64_t, htobe64)
#undef MEM_GET_
#undef MEM_SET_

struct rd {
    const uint8_t *at, *end;
    bool bad; /* something was missing */
};

static inline void rd_init(struct rd *r, const void *p, size_t n) {
    *r = (struct rd){p, (const uint8_t *)p + n, false};
}

static inline size_t rd_left(const struct rd *r) {
    return (size_t)(r->end - r->at);
}

/* n bytes in place, or NULL (and the cursor is bad) when fewer are left. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n) {
    if (r->bad || rd_left(r) < n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}

#define RD_(name, type)                                                                                                \
    static inline type rd_##name(struct rd *r) {                                                                       \
        const uint8_t *p = rd_bytes(r, sizeof(type));                                                                  \
        return p ? get_##name(p) : 0;                                                                                  \
    }
RD_(u16le, uint16_t)
RD_(u32le, uint32_t)
RD_(u64le, uint64_t)
RD_(u16be, uint16_t)
RD_(u32be, uint32_t)
RD_(u64be, uint64_t)
#undef RD_

static inline uint8_t rd_u8(struct rd *r) {
    const uint8_t *p = rd_bytes(r, 1);
    return p ? *p : 0;
}

/* RC_PROTOCOL if anything was missing. */
static inline enum rc rd_rc(const struct rd *r) {
    return r->bad ? RC_PROTOCOL : RC_OK;
}

#endif
