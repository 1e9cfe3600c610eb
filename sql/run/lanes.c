/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/run/lanes.h"

void lanes_init(struct lanes *l, struct reactor *r, size_t n) {
    CHECK(n >= 1 && n <= LANES_MAX);
    *l = (struct lanes){.r = r, .n = n, .failed = n};
    fiber_group_init(&l->fibers);
    waitq_init(&l->freed);
}

static enum rc failure(const struct lanes *l, struct err *err) {
    if (l->failed == l->n)
        return RC_OK;
    if (err)
        *err = l->lane[l->failed].err;
    return l->lane[l->failed].rc;
}

enum rc lanes_take(struct lanes *l, size_t *ret, struct err *err) {
    for (;;) {
        enum rc rc = failure(l, err);
        if (rc)
            return rc;
        for (size_t i = 0; i < l->n; i++)
            if (!l->lane[i].busy) {
                *ret = i;
                return RC_OK;
            }
        rc = waitq_wait(l->r, &l->freed, DEADLINE_NONE); /* the fiber has one of its own */
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
}

static void lane_main(void *arg) {
    struct lane *a = arg;
    struct lanes *l = a->of;
    a->rc = a->fn(a->ctx, &a->err);
    if (a->rc && l->failed == l->n)
        l->failed = (size_t)(a - l->lane);
    a->busy = false;
    waitq_wake_all(&l->freed, RC_OK);
}

void lanes_start(struct lanes *l, size_t lane, enum rc (*fn)(void *ctx, struct err *err), void *ctx) {
    struct lane *a = &l->lane[lane];
    CHECK(lane < l->n && !a->busy);
    *a = (struct lane){.of = l, .fn = fn, .ctx = ctx, .busy = true};
    if (l->n == 1 || fiber_spawn(l->r, &l->fibers, FIBER_LARGE, "lane", lane_main, a) != RC_OK)
        lane_main(a);
}

enum rc lanes_end(struct lanes *l, enum rc rc, struct err *err) {
    enum rc joined = rc ? RC_OK : fiber_group_join(l->r, &l->fibers, DEADLINE_NONE);
    if (l->fibers.count > 0) { /* they use what is ours */
        fiber_group_cancel(&l->fibers);
        fiber_shield_begin(l->r);
        IGNORE(fiber_group_join(l->r, &l->fibers, DEADLINE_NONE));
        fiber_shield_end(l->r);
    }
    if (rc)
        return rc;
    rc = failure(l, err);
    return rc || !joined ? rc : err_set(err, joined, "%s", rc_text(joined));
}
