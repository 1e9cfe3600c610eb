/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env_real.h: the env of a real process: libevent, sockets, OpenSSL, files, and a few threads for what blocks.
 *
 * Promise     One thread per store runs its loop. Each store has a log thread (ENV_LANE_LOG), a bulk thread (ENV_LANE_BULK) and a
 *             job thread with a 64 MiB stack; all are started before the program boots (RC_LIMIT where one cannot be). They block
 *             every signal, so the process that embeds us keeps its own handling.
 * Relies on   libevent_core, OpenSSL.
 * Threads     process_stop: any thread. The rest: the thread that made the process.
 */
#ifndef MERIDIAN_RUNTIME_ENV_REAL_H
#define MERIDIAN_RUNTIME_ENV_REAL_H

#include "shard/runtime/program.h"

struct process;

struct process_conf {
    uint16_t stores; /* 0 = one per core */
    enum diag_level level;
    int diag_fd;         /* where diagnostics go; 0 = standard error */
    struct chaos *chaos; /* NULL but in tests */
    const char
        *skew; /* a file that says how the system's clocks are off (env_real_skew.h); NULL: they are as they are */
};

enum rc process_new(const struct process_conf *conf, struct process **ret, struct err *err) MUST_CHECK;
struct env *process_env(struct process *p, uint16_t store);
uint16_t process_stores(const struct process *p);
/* Starts a thread for each store, boots the program, and lets them run. */
enum rc process_start(struct process *p, const struct program *program, void *arg, struct err *err) MUST_CHECK;
/* Boots the program on one store and runs its loop on the calling thread until process_stop. */
enum rc process_run(struct process *p, const struct program *program, void *arg, struct err *err) MUST_CHECK;
void process_stop(struct process *p);
/* Waits for the stores' ends, then the program's done. */
void process_join(struct process *p);
void process_free(struct process *p);

#endif
