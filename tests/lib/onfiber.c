/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/onfiber.h"

#include "shard/runtime/env_real.h"
#include "tests/lib/tap.h"

struct ctx {
    void (*body)(struct reactor *r);
    struct reactor *r;
    struct process *process;
};

static void body_main(void *arg) {
    struct ctx *c = arg;
    c->body(c->r);
    process_stop(c->process);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct ctx *c = arg;
    (void)count, (void)err;
    enum rc rc = reactor_new(stores[0], NULL, &c->r);
    if (!rc)
        rc = fiber_spawn(c->r, NULL, FIBER_LARGE, "test body", body_main, c);
    *ret_state = c;
    return rc;
}

static void stop(void *state, uint16_t store) {
    (void)store;
    reactor_stop(((struct ctx *)state)->r);
}

static bool stopped(void *state, uint16_t store) {
    (void)store;
    return reactor_idle(((struct ctx *)state)->r);
}

static void done(void *state) {
    reactor_free(((struct ctx *)state)->r);
}

void on_fiber(enum diag_level level, void (*body)(struct reactor *r)) {
    static const struct program program = {boot, stop, stopped, done};
    struct process_conf conf = {.stores = 1, .level = level};
    struct ctx c = {.body = body};
    struct err err = {0};
    OKF(process_new(&conf, &c.process, &err) == RC_OK, "%s", err.message);
    OKF(process_run(c.process, &program, &c, &err) == RC_OK, "%s", err.message);
    process_free(c.process);
}
