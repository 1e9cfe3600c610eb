/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c: chunks double from 4 KiB to 1 MiB; a block larger than a chunk gets one of its own. */
#include "truetime/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/base/asan.h"

enum { ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t bytes; /* of the whole allocation, this header included */
};

static_assert(sizeof(struct arena_chunk) % ALIGN == 0, "blocks stay aligned");

static bool arena_grow(struct arena *a, size_t need) {
    size_t want = a->chunk ? a->chunk->bytes * 2 : ARENA_CHUNK_BYTES;
    if (want > ARENA_CHUNK_BYTES_MAX)
        want = ARENA_CHUNK_BYTES_MAX;
    if (want < need + sizeof(struct arena_chunk))
        want = need + sizeof(struct arena_chunk);
    if (a->bytes_max && (want > a->bytes_max || a->bytes > a->bytes_max - want)) {
        want = need + sizeof(struct arena_chunk); /* the exact size may still fit under the limit */
        if (want > a->bytes_max || a->bytes > a->bytes_max - want)
            return false;
    }
    struct arena_chunk *c = malloc(want);
    if (!c)
        return false;
    c->next = a->chunk;
    c->bytes = want;
    a->chunk = c;
    a->bytes += want;
    a->at = (char *)(c + 1);
    a->end = (char *)c + want;
    asan_poison(a->at, (size_t)(a->end - a->at));
    return true;
}

static void chunk_free(struct arena_chunk *c) {
    asan_unpoison(c, c->bytes);
    free(c);
}

void arena_init(struct arena *a, size_t bytes_max) {
    *a = (struct arena){.bytes_max = bytes_max};
}

void arena_done(struct arena *a) {
    for (struct arena_chunk *c = a->chunk, *next; c; c = next) {
        next = c->next;
        chunk_free(c);
    }
    arena_init(a, a->bytes_max);
}

void arena_reset(struct arena *a) {
    if (!a->chunk)
        return;
    struct arena_chunk *keep = NULL;
    for (struct arena_chunk *c = a->chunk, *next; c; c = next) {
        next = c->next;
        if (!keep && c->bytes <= ARENA_CHUNK_BYTES_MAX)
            keep = c;
        else
            chunk_free(c);
    }
    size_t bytes_max = a->bytes_max;
    arena_init(a, bytes_max);
    if (keep) {
        keep->next = NULL;
        a->chunk = keep;
        a->bytes = keep->bytes;
        a->at = (char *)(keep + 1);
        a->end = (char *)keep + keep->bytes;
        asan_poison(a->at, (size_t)(a->end - a->at));
    }
}

void *arena_alloc(struct arena *a, size_t n) {
    /* Under ASan each block is followed by a poisoned gap, so that running over its end is seen. */
    size_t gap = ASAN_ENABLED ? ALIGN : 0;
    if (n > SIZE_MAX / 2)
        return NULL;
    size_t need = ((n ? n : 1) + gap + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if ((size_t)(a->end - a->at) < need && !arena_grow(a, need))
        return NULL;
    void *p = a->at;
    a->at += need;
    asan_unpoison(p, n);
    return p;
}

void *arena_zalloc(struct arena *a, size_t n) {
    void *p = arena_alloc(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size) {
    size_t n;
    return __builtin_mul_overflow(count, size, &n) ? NULL : arena_zalloc(a, n);
}

void *arena_copy(struct arena *a, const void *p, size_t n) {
    void *q = arena_alloc(a, n);
    if (q && n)
        memcpy(q, p, n);
    return q;
}

char *arena_strdup(struct arena *a, const char *s) {
    return arena_copy(a, s, strlen(s) + 1);
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (s) {
        va_start(ap, fmt);
        vsnprintf(s, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return s;
}
