/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outq.h: frames on their way out of one connection, one behind the other in large chunks.
 *
 *     chunk   | sent ... | sealed ............. | unsealed ........ | free ... |
 *             0          begin                  sealed              end        cap
 *
 * Promise     A frame lies whole in one chunk, so that it is packed in place and a turn's frames leave in one write
 *             of few pieces. Frames are sealed (clock interval, checksum) when they are about to leave, not when they
 *             were made. Chunks come from a pool of the store and go back to it: no malloc per frame.
 * Relies on   frame.h; the caller keeps the bounds (bytes).
 * Threads     its reactor.
 */
#ifndef MERIDIAN_NET_OUTQ_H
#define MERIDIAN_NET_OUTQ_H

#include <sys/uio.h>

#include "truetime/base/check.h"

enum { OUTQ_CHUNK_BYTES = 64 << 10, OUTQ_POOL_CHUNKS_MAX = 64 };

struct outq_chunk;

struct outq_pool {
    struct outq_chunk *free;
    size_t count;
};

struct outq {
    struct outq_pool *pool;
    struct outq_chunk *first, *last;
    size_t bytes;           /* not yet consumed */
    uint64_t pushed, taken; /* bytes ever pushed and consumed: the place of a frame in the stream */
};

void outq_pool_done(struct outq_pool *p);
void outq_init(struct outq *q, struct outq_pool *pool);
void outq_done(struct outq *q);
/* Room for one frame of n bytes at the end, counted at once; NULL when out of memory. */
uint8_t *outq_push(struct outq *q, size_t n) MUST_CHECK;
/* Moves what is in src, none of it sealed, to the end of dst. Returns where src's first byte now is, in dst's count. */
uint64_t outq_splice(struct outq *dst, struct outq *src);
bool outq_unsealed(const struct outq *q);
/* Seals frames in order until at least `bytes` sealed ones are unsent. */
void outq_seal(struct outq *q, size_t bytes, int64_t earliest, int64_t latest);
/* The sealed, unsent bytes as at most `max` pieces. Returns how many pieces; *ret_bytes is their sum. */
int outq_iov(const struct outq *q, struct iovec *iov, int max, size_t *ret_bytes);
void outq_consume(struct outq *q, size_t n);

#endif
