/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faultenv.h: the real env with files that fail when told to, for loops over faults: the n-th operation of some kinds fails,
 * for n = 1, 2, 3, ... until a body passes untouched.
 */
#ifndef MERIDIAN_TESTS_FAULTENV_H
#define MERIDIAN_TESTS_FAULTENV_H

#include "shard/runtime/fiber.h"

enum fault_kind {
    FAULT_OPEN = 1,
    FAULT_READ = 2,
    FAULT_WRITE = 4, /* and truncate */
    FAULT_SYNC = 8,  /* of files and directories */
    FAULT_NAME = 16, /* rename, unlink */
    FAULT_ALL = 31,
};

struct faults {
    struct env env; /* first */
    struct env *inner;
    struct env_ops ops;
    unsigned kinds;
    uint64_t count;   /* operations of these kinds so far */
    uint64_t fail_at; /* 0: none fails */
    bool lasting;     /* those after it fail too */
    enum rc rc;       /* RC_IO, RC_NOSPACE or RC_NOMEM */
    uint64_t failed;
};

/* The next operations: the n-th of these kinds fails with rc. */
void faults_set(struct faults *x, unsigned kinds, uint64_t n, bool lasting, enum rc rc);
void faults_off(struct faults *x);
/* Runs the body on a fiber, as on_fiber does; the reactor's env is a struct faults. */
void on_fault_fiber(void (*body)(struct reactor *r, struct faults *x));

#endif
