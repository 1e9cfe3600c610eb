/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embedded_node.c: the node of the embedded engine: one store on one thread, in the caller's process.
 *
 * Its clock is this machine's own ("host", with the directory as its place): nobody else takes part, so the interval only has
 * to be right against earlier starts.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shard/node/node.h"
#include "shard/runtime/env_real.h"
#include "sql/engine/embedded_internal.h"
#include "txn/upper.h"

enum { OPENING, READY, FAILED, SEGMENT_BYTES = 4 << 20, CACHE_BYTES = 4 << 20 };
static_assert(SEGMENT_BYTES > REPLICA_COMMAND_BYTES_MAX + (256 << 10), "an entry and its header fit into a segment");

struct instance {
    _Atomic int refs;
    _Atomic int state;
    int wake; /* eventfd: state has changed */
    char *dir;
    struct node_conf conf;
    struct node_upper upper;
    struct sql_server sql;
    struct process *process;
    struct node *node;
    struct env_post stop_post;
    struct err err; /* FAILED, or broken */
    bool broken;    /* READY, and cannot go on; this and calls: the node's thread only */
    struct ilist calls;
};

static void set_state(struct instance *inst, int state) {
    int opening = OPENING;
    if (atomic_compare_exchange_strong(&inst->state, &opening, state))
        (void)eventfd_write(inst->wake, 1); /* it cannot be full */
}

static void on_ready(void *ctx, struct node *n) {
    struct instance *inst = ctx;
    inst->node = n;
    set_state(inst, READY);
}

static void on_failed(void *ctx, struct node *n, enum rc rc, const struct err *err) {
    struct instance *inst = ctx;
    (void)n;
    if (inst->broken)
        return;
    if (err)
        inst->err = *err;
    else
        err_set(&inst->err, rc, "%s", rc_text(rc));
    inst->broken = true;
    set_state(inst, FAILED);         /* if it is still opening */
    ilist_for_each(it, &inst->calls) /* what they wait for may never come */
        embedded_give_up(ilist_entry(it, struct embedded, link));
}

static void on_stopped(void *ctx) {
    process_stop(((struct instance *)ctx)->process);
}

static void on_stop_post(struct env_post *p) {
    struct instance *inst = container_of(p, struct instance, stop_post);
    node_stop(inst->node, on_stopped, inst);
}

static void instance_free(struct instance *inst) {
    process_free(inst->process);
    if (inst->wake >= 0)
        close(inst->wake);
    free(inst->dir);
    free(inst);
}

static enum rc start(struct instance *inst, struct err *err) {
    struct process_conf process = {.stores = 1, .level = DIAG_OFF};
    struct sql_server_conf sql = {.trust = true, .version = MERIDIAN_VERSION};
    inst->wake = eventfd(0, EFD_CLOEXEC);
    if (inst->wake < 0)
        return err_set(err, RC_LIMIT, "no descriptor for the embedded node");
    enum rc rc = tt_spec_parse("host", &inst->conf.clock, err);
    if (!rc)
        rc = process_new(&process, &inst->process, err);
    if (rc)
        return rc;
    inst->conf.dir = inst->dir;
    inst->conf.host_dir = inst->dir;
    inst->conf.bootstrap = true;
    inst->conf.stores = 1;
    inst->conf.cache_bytes = CACHE_BYTES;
    /* The log is read at each start, a segment at a time: small ones keep that short. The largest entry still fits. */
    inst->conf.replicas.wal.segment_bytes = SEGMENT_BYTES;
    sql_server_init(&inst->sql, &sql);
    txn_upper_init(&inst->upper, sql_server_above(&inst->sql));
    inst->conf.upper = &inst->upper;
    inst->conf.on_ready = on_ready;
    inst->conf.on_failed = on_failed;
    inst->conf.ctx = inst;
    return process_start(inst->process, &node_program, &inst->conf, err);
}

int instance_open(const char *dir, const struct engine_host *host, struct instance **ret, struct api_error *err) {
    struct instance *inst = calloc(1, sizeof *inst);
    struct err why = {0};
    (void)host;
    if (inst)
        inst->wake = -1;
    if (!inst || !(inst->dir = strdup(dir))) {
        free(inst);
        return api_error_set(err, MERIDIAN_NOMEM, "53200", "out of memory");
    }
    atomic_store(&inst->refs, 1);
    ilist_init(&inst->calls);
    if (start(inst, &why) != RC_OK) {
        instance_free(inst);
        return embedded_error(NULL, &why, err);
    }
    struct pollfd fd = {.fd = inst->wake, .events = POLLIN};
    while (atomic_load(&inst->state) == OPENING)
        (void)poll(&fd, 1, -1);
    if (atomic_load(&inst->state) == FAILED) {
        process_stop(inst->process);
        process_join(inst->process);
        int code = embedded_error(NULL, &inst->err, err);
        instance_free(inst);
        return code;
    }
    *ret = inst;
    return MERIDIAN_OK;
}

void instance_ref(struct instance *inst) {
    atomic_fetch_add(&inst->refs, 1);
}

void instance_unref(struct instance *inst) {
    if (atomic_fetch_sub(&inst->refs, 1) > 1)
        return;
    inst->stop_post.fn = on_stop_post;
    env_post(process_env(inst->process, 0), &inst->stop_post);
    process_join(inst->process);
    instance_free(inst);
}

struct env *instance_env(const struct instance *inst) {
    return process_env(inst->process, 0);
}

struct reactor *instance_reactor(const struct instance *inst) {
    return node_store(inst->node, 0)->reactor;
}

struct sess_engine *instance_engine(const struct instance *inst) {
    return sql_server_engine(node_store(inst->node, 0));
}

const struct err *instance_broken(const struct instance *inst) {
    return inst->broken ? &inst->err : NULL;
}

struct ilist *instance_calls(struct instance *inst) {
    return &inst->calls;
}
