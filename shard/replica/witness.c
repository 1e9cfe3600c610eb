/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witness.c: the state machine of a witness: it keeps the log, and of the data only where they stand.
 *
 * Its state lies in DIR/witness-GROUP (a replica_state and its CRC32C). The log is cut only below what f+1 full voters hold
 * durably (N-13), which the core is told; the state goes to the disk first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/replica/replica_internal.h"
#include "truetime/base/crc32c.h"

enum { CUT_ENTRIES_MIN = 64 };

struct witness {
    struct replicas *rs;
    uint64_t group;
    char dir[ENV_PATH_BYTES], name[48];
    struct replica_state state, loading;
};

static enum rc save(struct witness *w, const struct replica_state *s, struct err *err) {
    uint8_t b[REPLICA_STATE_BYTES_MAX + 4];
    size_t n = replica_state_encode(s, b + 4);
    set_u32le(b, crc32c(0, b + 4, n));
    return file_replace(w->rs->reactor, w->dir, w->name, b, n + 4, err);
}

static enum rc load(struct witness *w, struct replica_state *ret, struct err *err) {
    char path[ENV_PATH_BYTES + 64];
    uint8_t b[REPLICA_STATE_BYTES_MAX + 4];
    struct env_file *f;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", w->dir, w->name);
    enum rc rc = env_file_open(w->rs->env, path, ENV_OPEN_READONLY, &f, err);
    if (rc)
        return rc;
    rc = env_file_read(f, b, sizeof b, 0, &n, err);
    env_file_close(f);
    if (!rc && (n < 4 || crc32c(0, b + 4, n - 4) != get_u32le(b) || replica_state_decode(b + 4, n - 4, ret)))
        rc = err_set(err, RC_CORRUPT, "%s is damaged", path);
    return rc;
}

static enum rc witness_apply(void *sm, const struct replica_entry *run, size_t count, const struct replica_state *after,
                             struct err *err) {
    struct witness *w = sm;
    (void)run, (void)count, (void)err;
    w->state = *after;
    return RC_OK;
}

static enum rc witness_reload(void *sm, struct replica_state *ret, struct err *err) {
    (void)err;
    *ret = ((struct witness *)sm)->state; /* nothing here can fail half way */
    return RC_OK;
}

static enum rc witness_load_begin(void *sm, uint64_t image, const struct replica_state *state, uint64_t *ret_have,
                                  struct err *err) {
    struct witness *w = sm;
    (void)image, (void)err;
    w->loading = *state;
    *ret_have = 0;
    return RC_OK;
}

static enum rc witness_load_write(void *sm, uint64_t off, const void *data, size_t bytes, struct err *err) {
    (void)sm, (void)off, (void)data, (void)bytes, (void)err;
    return RC_OK;
}

static enum rc witness_load_end(void *sm, bool commit, struct err *err) {
    struct witness *w = sm;
    if (!commit)
        return RC_OK;
    enum rc rc = save(w, &w->loading, err);
    if (!rc)
        w->state = w->loading;
    return rc;
}

static void witness_removed(void *sm) {
    struct witness *w = sm; /* the store's owner sees on_config and the status; the file goes with the directory */
    env_probe(w->rs->env, "replica: a witness was removed");
}

static const struct replica_sm_ops witness_ops = {.apply = witness_apply,
                                                  .reload = witness_reload,
                                                  .on_removed = witness_removed,
                                                  .load_begin = witness_load_begin,
                                                  .load_write = witness_load_write,
                                                  .load_end = witness_load_end};

enum rc replica_witness_open(struct replicas *rs, const char *dir, uint64_t group, const struct replica_state *if_new,
                             const struct replica_sm_ops **ret_ops, void **ret_sm, struct replica_state *ret_state,
                             struct err *err) {
    struct witness *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, RC_NOMEM, "out of memory");
    w->rs = rs;
    w->group = group;
    snprintf(w->dir, sizeof w->dir, "%s", dir);
    snprintf(w->name, sizeof w->name, "witness-%llu", (unsigned long long)group);
    enum rc rc = load(w, &w->state, err);
    if (rc == RC_NOTFOUND) {
        err_clear(err);
        w->state = *if_new;
        rc = save(w, &w->state, err);
    }
    if (rc) {
        free(w);
        return rc;
    }
    *ret_ops = &witness_ops;
    *ret_sm = w;
    *ret_state = w->state;
    return RC_OK;
}

void replica_witness_close(void *sm) {
    free(sm);
}

bool replica_is_witness(const struct replica *r) {
    return r->ops == &witness_ops;
}

/* ---- cutting the log --------------------------------------------------------------------------------------------- */

struct cutting {
    struct replica *r; /* referenced */
    px_slot slot;
};

static void cut(void *arg) {
    struct cutting *c = arg;
    struct replica *r = c->r;
    struct witness *w = r->sm;
    struct replica_state s = w->state;
    struct err err = {0};
    enum rc rc = r->gone || s.applied < c->slot ? RC_CANCELLED : save(w, &s, &err);
    r->loading = false;
    replica_wake(r);
    if (!rc && !r->gone && !r->rs->killed)
        replica_checkpointed(r, c->slot);
    replica_unref(r);
    free(c);
}

void witness_checkpoint(struct replica *r) {
    struct replicas *rs = r->rs;
    if (!replica_is_witness(r))
        return;
    px_slot slot = px_may_truncate(r->g, r->state.applied);
    if (slot < r->checkpointed + CUT_ENTRIES_MIN || r->loading)
        return;
    struct cutting *c = malloc(sizeof *c);
    if (!c)
        return;
    *c = (struct cutting){r, slot};
    replica_ref(r);
    r->loading = true; /* whoever takes the replica out waits for it */
    if (fiber_spawn(rs->reactor, &rs->fibers, FIBER_SMALL, "witness", cut, c) == RC_OK)
        return;
    r->loading = false;
    replica_unref(r);
    free(c);
}
