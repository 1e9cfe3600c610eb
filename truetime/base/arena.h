/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: memory of one request, dropped whole.
 *
 * Promise     arena_alloc is a pointer bump; arena_reset and arena_done give everything back at once. An arena has a
 *             byte limit: past it, and when the system has no memory, allocation returns NULL, which the caller turns
 *             into RC_NOMEM. Under ASan, memory that was dropped is poisoned, and so are the gaps between blocks.
 * Relies on   malloc.
 * Threads     one at a time; an arena may move to another thread with what it holds (mailboxes do).
 */
#ifndef MERIDIAN_BASE_ARENA_H
#define MERIDIAN_BASE_ARENA_H

#include "truetime/base/check.h"

enum { ARENA_CHUNK_BYTES = 4096, ARENA_CHUNK_BYTES_MAX = 1 << 20 };

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk; /* newest first */
    char *at, *end;            /* free part of the newest */
    size_t bytes, bytes_max;   /* taken from malloc; the limit */
};

/* bytes_max: what the arena may take from malloc; 0 = no limit. Allocates nothing yet. */
void arena_init(struct arena *a, size_t bytes_max);
void arena_done(struct arena *a);
/* Drops everything but keeps one chunk for the next request. */
void arena_reset(struct arena *a);
/* 16-byte aligned, uninitialised; NULL when out of memory or past the limit. n may be 0. */
void *arena_alloc(struct arena *a, size_t n) MUST_CHECK;
void *arena_zalloc(struct arena *a, size_t n) MUST_CHECK;
/* For arrays: NULL also when count * size overflows. */
void *arena_array(struct arena *a, size_t count, size_t size) MUST_CHECK;
void *arena_copy(struct arena *a, const void *p, size_t n) MUST_CHECK;
char *arena_strdup(struct arena *a, const char *s) MUST_CHECK;
char *arena_printf(struct arena *a, const char *fmt, ...) MUST_CHECK PRINTF_LIKE(2, 3);

#define arena_new(a, type) ((type *)arena_zalloc(a, sizeof(type)))

#endif
