/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h: the simulated world that a node stands in, as SQL sees and changes it: meridian.links, meridian.set_link(), partition(),
 * heal(). Whoever starts a node in such a world fills the table in; elsewhere there is none, the view is empty, and a change is an
 * error.
 *
 * A line of `links`, parted by tabs, a direction each:
 *
 *     FROM  TO  DELAY-NS  JITTER-NS  LOSS-PPM  REORDER-PPM  RATE-BPS  CUT(0|1)  MEASURED-RTT-NS(-1: not known)  BACK-END
 *
 * Threads     both functions block; they are called on a thread that may (big_stack_run).
 */
#ifndef MERIDIAN_SQL_WORLD_H
#define MERIDIAN_SQL_WORLD_H

#include "truetime/base/buf.h"

enum { SQL_WORLD_WORDS_MAX = 12, SQL_WORLD_COLUMNS = 10 };

struct sql_world {
    enum rc (*links)(void *ctx, struct buf *ret, struct err *err);
    /* A verb of `meridian geo` that changes lines, with its words; ends with NULL. RC_INVAL: it was refused, err says why. */
    enum rc (*change)(void *ctx, const char *const *words, struct err *err);
    void *ctx;
};

#endif
