/* SPDX-License-Identifier: Apache-2.0 */
#include "truetime/base/timerq.h"

#include <stdlib.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

/* Random sets, resets and cancels; then everything comes out in (due, order of setting). */
static void pops_in_order(void) {
    enum { N = 3000 };
    struct timer *t = calloc(N, sizeof *t);
    struct timerq q;
    struct rng rng;
    rng_init(&rng, 11);
    for (int round = 0; round < 5; round++) {
        size_t set = 0, popped = 0;
        int64_t last = -1;
        uint64_t last_order = 0;
        timerq_init(&q);
        for (int i = 0; i < 4 * N; i++) {
            struct timer *x = &t[rng_below(&rng, N)];
            if (rng_chance(&rng, 0.3)) {
                set -= timer_is_set(x);
                timerq_cancel(&q, x);
                OK(!timer_is_set(x));
            } else {
                set += !timer_is_set(x);
                timerq_set(&q, x, rng_range(&rng, 0, 200)); /* many ties */
            }
        }
        EQ_INT(q.count, set);
        OK(timerq_pop(&q, -1) == NULL);
        for (;;) {
            int64_t due = timerq_due(&q);
            uint64_t order = q.root ? q.root->order : 0;
            struct timer *x = timerq_pop(&q, 1000);
            if (!x)
                break;
            if (!OK(x->due_ns == due && (due > last || (due == last && order > last_order))))
                break;
            last = due;
            last_order = order;
            popped++;
        }
        EQ_INT(popped, set);
        EQ_INT(timerq_due(&q), INT64_MAX);
    }
    free(t);
}

static void only_what_is_due(void) {
    struct timerq q;
    struct timer a, b;
    timerq_init(&q);
    timer_init(&a, NULL, NULL);
    timer_init(&b, NULL, NULL);
    timerq_set(&q, &a, 10);
    timerq_set(&q, &b, 20);
    OK(timerq_pop(&q, 9) == NULL);
    OK(timerq_pop(&q, 15) == &a);
    OK(timerq_pop(&q, 15) == NULL);
    timerq_set(&q, &b, 5); /* earlier than before */
    OK(timerq_pop(&q, 5) == &b);
}

int main(void) {
    RUN(pops_in_order);
    RUN(only_what_is_due);
    return tap_done();
}
