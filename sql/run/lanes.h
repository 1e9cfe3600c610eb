/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes.h: a few jobs of one session beside each other: batches of rows on their way while the next one is made ready.
 *
 *     lanes_init(&l, reactor, 3)
 *     lanes_take(&l, &i, &err)          a lane that is free; waits until one is
 *     lanes_start(&l, i, fn, ctx)       its job, on a fiber of its own
 *     lanes_end(&l, rc, &err)           waits for all of them, whatever rc is; the first error of all
 *
 * Promise     A job that fails ends the taking; nobody's memory is in use after lanes_end.
 * Relies on   fiber.h. Jobs end when they are cancelled.
 * Threads     the session's fiber drives; jobs run on large fibers of its reactor.
 */
#ifndef MERIDIAN_SQL_LANES_H
#define MERIDIAN_SQL_LANES_H

#include "shard/runtime/fiber.h"

enum { LANES_MAX = 4 };

struct lane {
    struct lanes *of;
    enum rc (*fn)(void *ctx, struct err *err);
    void *ctx;
    bool busy;
    enum rc rc;
    struct err err;
};

struct lanes {
    struct reactor *r;
    struct fiber_group fibers;
    struct waitq freed;
    struct lane lane[LANES_MAX];
    size_t n, failed; /* failed: the first lane whose job did, n: none */
};

void lanes_init(struct lanes *l, struct reactor *r, size_t n);
enum rc lanes_take(struct lanes *l, size_t *ret, struct err *err) WAITS MUST_CHECK;
/* Where there is no fiber to be had the job runs here and now. */
void lanes_start(struct lanes *l, size_t lane, enum rc (*fn)(void *ctx, struct err *err), void *ctx) WAITS;
enum rc lanes_end(struct lanes *l, enum rc rc, struct err *err) WAITS MUST_CHECK;

#endif
