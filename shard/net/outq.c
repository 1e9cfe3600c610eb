/* SPDX-License-Identifier: Apache-2.0 */
/* outq.c: a list of chunks; see the picture in outq.h. */
#include "shard/net/outq.h"

#include <stdlib.h>

#include "shard/net/frame.h"

struct outq_chunk {
    struct outq_chunk *next;
    size_t cap, begin, sealed, end;
    uint8_t data[];
};

static void chunk_put_back(struct outq_pool *p, struct outq_chunk *c) {
    if (c->cap != OUTQ_CHUNK_BYTES || p->count >= OUTQ_POOL_CHUNKS_MAX) {
        free(c);
        return;
    }
    c->next = p->free;
    p->free = c;
    p->count++;
}

static struct outq_chunk *chunk_take(struct outq_pool *p, size_t bytes) {
    struct outq_chunk *c = p->free;
    if (c && bytes <= OUTQ_CHUNK_BYTES) {
        p->free = c->next;
        p->count--;
    } else {
        size_t cap = bytes > OUTQ_CHUNK_BYTES ? bytes : OUTQ_CHUNK_BYTES;
        c = malloc(sizeof *c + cap);
        if (!c)
            return NULL;
        c->cap = cap;
    }
    c->next = NULL;
    c->begin = c->sealed = c->end = 0;
    return c;
}

void outq_pool_done(struct outq_pool *p) {
    for (struct outq_chunk *c = p->free, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *p = (struct outq_pool){0};
}

void outq_init(struct outq *q, struct outq_pool *pool) {
    *q = (struct outq){.pool = pool};
}

void outq_done(struct outq *q) {
    for (struct outq_chunk *c = q->first, *next; c; c = next) {
        next = c->next;
        chunk_put_back(q->pool, c);
    }
    outq_init(q, q->pool);
}

uint8_t *outq_push(struct outq *q, size_t n) {
    struct outq_chunk *c = q->last;
    if (!c || c->cap - c->end < n) {
        c = chunk_take(q->pool, n);
        if (!c)
            return NULL;
        if (q->last)
            q->last->next = c;
        else
            q->first = c;
        q->last = c;
    }
    uint8_t *p = c->data + c->end;
    c->end += n;
    q->bytes += n;
    q->pushed += n;
    return p;
}

uint64_t outq_splice(struct outq *dst, struct outq *src) {
    uint64_t at = dst->pushed;
    CHECK(src->taken == 0);
    if (!src->first)
        return at;
    CHECK(src->first->sealed == 0);
    if (dst->last)
        dst->last->next = src->first;
    else
        dst->first = src->first;
    dst->last = src->last;
    dst->bytes += src->bytes;
    dst->pushed += src->bytes;
    outq_init(src, src->pool);
    return at;
}

bool outq_unsealed(const struct outq *q) {
    return q->last && q->last->sealed < q->last->end;
}

void outq_seal(struct outq *q, size_t bytes, int64_t earliest, int64_t latest) {
    size_t sealed = 0;
    for (struct outq_chunk *c = q->first; c; c = c->next) {
        sealed += c->sealed - c->begin;
        while (c->sealed < c->end) {
            if (sealed >= bytes)
                return;
            size_t n = frame_seal(c->data + c->sealed, earliest, latest);
            CHECK(n <= c->end - c->sealed);
            c->sealed += n;
            sealed += n;
        }
    }
}

int outq_iov(const struct outq *q, struct iovec *iov, int max, size_t *ret_bytes) {
    int n = 0;
    size_t bytes = 0;
    for (const struct outq_chunk *c = q->first; c && n < max; c = c->next) {
        if (c->sealed > c->begin) {
            iov[n++] = (struct iovec){(void *)(uintptr_t)(c->data + c->begin), c->sealed - c->begin};
            bytes += c->sealed - c->begin;
        }
        if (c->sealed < c->end)
            break;
    }
    *ret_bytes = bytes;
    return n;
}

void outq_consume(struct outq *q, size_t n) {
    CHECK(n <= q->bytes);
    q->bytes -= n;
    q->taken += n;
    while (q->first) {
        struct outq_chunk *c = q->first;
        size_t here = c->sealed - c->begin;
        if (n < here) {
            c->begin += n;
            return;
        }
        n -= here;
        c->begin = c->sealed;
        if (c->begin < c->end)
            break; /* what follows is not sealed yet */
        q->first = c->next;
        if (!q->first)
            q->last = NULL;
        chunk_put_back(q->pool, c);
    }
    CHECK(n == 0);
}
