/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_hold.c: what is queued for a peer leaves so much later: distances for nodes that have none between them (conf.send_delay).
 *
 *     out      | left already | may leave | held until queued_ns + delay ........ |
 *                                  hold_free   mark[0].upto      mark[1].upto
 *
 * A mark stands for the frames that were queued within a quarter of a millisecond. The delay is asked for anew at each look, so a
 * line that is cut holds everything, and lets it go when it is mended: late, in order, as TCP's retransmissions come.
 */
#include <stdlib.h>

#include "shard/net/peer_internal.h"

enum { MARKS_FIRST = 64, MARKS_MAX = 1 << 16 };
static const int64_t GRAIN_NS = 250000, LOOK_NS = 100000000;

static int64_t delay_of(const struct peer_conn *c) {
    const struct peers_conf *conf = &c->ps->conf;
    uint32_t node = c->number ? c->number : c->addr.node;
    return node == 0 || node >= PEER_NODE_SEED ? 0 : conf->send_delay(conf->ctx, node);
}

static bool holds(const struct peer_conn *c) {
    return c->ps->conf.send_delay && c->stream;
}

/* Room for one more mark behind the others; false: the last one has to do. */
static bool room(struct peer_conn *c) {
    if (c->hold_first + c->hold_count < c->hold_cap)
        return true;
    if (c->hold_first > c->hold_cap / 2) {
        memmove(c->hold, c->hold + c->hold_first, c->hold_count * sizeof *c->hold);
        c->hold_first = 0;
        return true;
    }
    size_t cap = c->hold_cap ? 2 * c->hold_cap : MARKS_FIRST;
    struct hold_mark *more = cap <= MARKS_MAX ? realloc(c->hold, cap * sizeof *more) : NULL;
    if (!more)
        return false;
    c->hold = more;
    c->hold_cap = cap;
    return true;
}

void peer_hold_queued(struct peer_conn *c) {
    if (!holds(c))
        return;
    int64_t now = env_now_ns(c->ps->env);
    struct hold_mark *last = c->hold_count ? &c->hold[c->hold_first + c->hold_count - 1] : NULL;
    if (last && (now - last->queued_ns < GRAIN_NS || !room(c))) {
        last->upto = c->out.pushed;
        return;
    }
    if (!room(c)) { /* no memory for the first mark: these are not held */
        c->hold_free = c->out.pushed;
        return;
    }
    c->hold[c->hold_first + c->hold_count++] = (struct hold_mark){c->out.pushed, now};
}

size_t peer_hold_allows(struct peer_conn *c) {
    if (!holds(c))
        return SIZE_MAX;
    int64_t delay = delay_of(c), now = env_now_ns(c->ps->env);
    bool cut = delay == PEER_DELAY_CUT;
    while (!cut && c->hold_count && c->hold[c->hold_first].queued_ns <= now - delay) {
        c->hold_free = c->hold[c->hold_first].upto;
        c->hold_first++;
        if (--c->hold_count == 0)
            c->hold_first = 0;
    }
    if (c->hold_count) { /* looks again early enough for a delay that has become shorter */
        int64_t left = cut ? LOOK_NS : c->hold[c->hold_first].queued_ns + delay - now;
        env_timer_set(c->ps->env, &c->hold_timer, now + (left < LOOK_NS ? left : LOOK_NS));
    }
    return c->hold_free > c->out.taken ? c->hold_free - c->out.taken : 0;
}

static void on_due(void *ctx) {
    pconn_write(ctx);
}

void peer_hold_init(struct peer_conn *c) {
    timer_init(&c->hold_timer, on_due, c);
}

void peer_hold_done(struct peer_conn *c) {
    env_timer_cancel(c->ps->env, &c->hold_timer);
    free(c->hold);
    c->hold = NULL;
    c->hold_count = c->hold_cap = c->hold_first = 0;
}
