/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/net/outq.h"

#include <stdlib.h>
#include <string.h>

#include "shard/net/frame.h"
#include "tests/lib/tap.h"
#include "truetime/base/buf.h"
#include "truetime/base/rng.h"

static void push(struct outq *q, uint64_t id, size_t n) {
    struct frame f = {.kind = FRAME_ONEWAY, .id = id, .payload_bytes = n};
    uint8_t *p = outq_push(q, FRAME_HEAD_BYTES + n);
    if (!OK(p != NULL))
        return;
    frame_put_head(p, &f);
    memset(p + FRAME_HEAD_BYTES, (int)id, n);
}

/* Frames of all sizes through writes of all sizes: what comes out is what went in, sealed as late as possible. */
static void random_writes(void) {
    struct outq_pool pool = {0};
    struct outq q;
    struct rng rng;
    struct buf out;
    uint64_t id = 0;
    rng_init(&rng, 3);
    outq_init(&q, &pool);
    buf_init(&out, 0);
    for (int round = 0; round < 3000; round++) {
        for (uint64_t n = rng_below(&rng, 4); n > 0; n--)
            push(&q, id++, rng_below(&rng, 20) ? rng_below(&rng, 500) : rng_below(&rng, 150000));
        struct iovec iov[4];
        size_t want;
        outq_seal(&q, 1 + rng_below(&rng, 100000), round, round + 1);
        int count = outq_iov(&q, iov, 4, &want);
        size_t take = rng_below(&rng, want + 1);
        for (size_t i = 0, left = take; i < (size_t)count && left; i++) {
            size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;
            buf_put(&out, iov[i].iov_base, n);
            left -= n;
        }
        outq_consume(&q, take);
        OK(q.taken == out.len && q.pushed == q.taken + q.bytes);
    }
    while (q.bytes) {
        struct iovec iov[1];
        size_t want;
        outq_seal(&q, 1, 9000, 9001);
        OK(outq_iov(&q, iov, 1, &want) == 1);
        buf_put(&out, iov[0].iov_base, want);
        outq_consume(&q, want);
    }
    OK(q.first == NULL && !outq_unsealed(&q));
    uint64_t seen = 0;
    int64_t last = 0;
    for (size_t at = 0, used; at < out.len; at += used, seen++) {
        struct frame f;
        if (!EQ_INT(frame_parse(out.data + at, out.len - at, 1 << 20, &f, &used), FRAME_OK) || !EQ_INT(f.id, seen))
            break;
        OK(f.earliest >= last && f.latest == f.earliest + 1);
        last = f.earliest;
    }
    EQ_INT(seen, id);
    OK(pool.count <= OUTQ_POOL_CHUNKS_MAX);
    buf_done(&out);
    outq_done(&q);
    outq_pool_done(&pool);
}

/* What waited for a connection joins what is queued there, behind it. */
static void splice(void) {
    struct outq_pool pool = {0};
    struct outq a, b;
    struct iovec iov[4];
    size_t want;
    outq_init(&a, &pool);
    outq_init(&b, &pool);
    EQ_INT(outq_splice(&a, &b), 0);
    push(&a, 1, 10);
    outq_seal(&a, 1, 5, 6);
    OK(outq_iov(&a, iov, 4, &want) == 1 && want == 62);
    outq_consume(&a, 20);
    push(&b, 2, 0);
    push(&b, 3, 5);
    EQ_INT(outq_splice(&a, &b), 62);
    EQ_INT(b.bytes, 0);
    EQ_INT(a.bytes, 42 + 52 + 57);
    EQ_INT(a.pushed, 62 + 52 + 57);
    OK(outq_unsealed(&a));
    /* Only the sealed part may leave. */
    OK(outq_iov(&a, iov, 4, &want) == 1 && want == 42);
    outq_seal(&a, 1000, 7, 8);
    OK(outq_iov(&a, iov, 4, &want) == 2 && want == a.bytes);
    outq_consume(&a, want);
    EQ_INT(a.bytes, 0);
    outq_done(&a);
    outq_done(&b);
    outq_pool_done(&pool);
}

int main(void) {
    RUN(random_writes);
    RUN(splice);
    return tap_done();
}
