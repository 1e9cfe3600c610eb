/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memenv.h: an env of files in memory, for tests and fuzzers that open a log thousands of times: fast, without time of its own,
 * and with faults at the n-th operation. It keeps what was written and knows no power loss: that is env_sim's part.
 */
#ifndef MERIDIAN_TESTS_MEMENV_H
#define MERIDIAN_TESTS_MEMENV_H

#include "truetime/base/env.h"
#include "truetime/base/rng.h"

enum { MEM_FILES = 64 };

enum mem_fault {
    MEM_OPEN = 1,
    MEM_READ = 2,
    MEM_WRITE = 4,
    MEM_IO = 8, /* write and sync, allocate, directory sync */
    MEM_NAME = 16,
    MEM_ALL = 31,
};

struct mem_file {
    char name[ENV_PATH_BYTES]; /* "": this place is free */
    uint8_t *data;
    size_t bytes, cap;
};

struct memenv {
    struct env env; /* first */
    struct mem_file file[MEM_FILES];
    struct env_post *posts, **posts_last;
    struct env_io *ios, **ios_last;
    struct timerq timers;
    struct rng rng;
    int64_t now_ns;
    int64_t capacity;        /* bytes of all files; 0 = no limit */
    unsigned kinds;          /* of the operations that are counted */
    uint64_t count, fail_at; /* 0: none fails */
    bool lasting;
    enum rc rc;
    uint64_t failed;
    unsigned open;    /* handles */
    uint64_t batches; /* writes with a sync */
    bool hold;        /* requests stay where they are */
};

void memenv_init(struct memenv *e);
void memenv_done(struct memenv *e); /* checks that nothing is open or under way */
/* Runs posts and requests until there are none; false if there were none at all. */
bool memenv_run(struct memenv *e);
/* One round: what is posted, then one request. */
bool memenv_step(struct memenv *e);
void memenv_advance(struct memenv *e, int64_t ns); /* and runs */
void memenv_fail(struct memenv *e, unsigned kinds, uint64_t n, bool lasting, enum rc rc);
struct mem_file *memenv_file(struct memenv *e, const char *name); /* NULL: there is none */
void memenv_put(struct memenv *e, const char *name, const void *data, size_t bytes);
/* All files become those of another one. */
void memenv_copy(struct memenv *to, const struct memenv *from);

#endif
