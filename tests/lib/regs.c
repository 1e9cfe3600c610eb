/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/regs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "truetime/base/crc32c.h"
#include "truetime/base/map.h"

enum { IMAGE_BYTES = 8 + 8 * REGS_COUNT + 8, FILE_BYTES_MAX = 4 + 4 + REPLICA_STATE_BYTES_MAX + IMAGE_BYTES };

struct image {
    struct replica_state state;
    size_t bytes;
    uint8_t data[];
};

static void put_registers(const struct regs *g, uint8_t *to) {
    set_u64le(to, g->checksum);
    for (int i = 0; i < REGS_COUNT; i++)
        set_u64le(to + 8 + 8 * i, g->value[i]);
    set_u64le(to + 8 + 8 * REGS_COUNT, g->applied_count);
}

static void get_registers(struct regs *g, const uint8_t *from) {
    g->checksum = get_u64le(from);
    for (int i = 0; i < REGS_COUNT; i++)
        g->value[i] = get_u64le(from + 8 + 8 * i);
    g->applied_count = get_u64le(from + 8 + 8 * REGS_COUNT);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void file_name(const struct regs *g, char to[48]) {
    snprintf(to, 48, "regs-%llu", (unsigned long long)g->conf.group);
}

static size_t encode_file(const struct regs *g, uint8_t *to) {
    size_t n = replica_state_encode(&g->state, to + 8);
    put_registers(g, to + 8 + n);
    set_u32le(to + 4, (uint32_t)n);
    set_u32le(to, crc32c(0, to + 4, 4 + n + IMAGE_BYTES));
    return 8 + n + IMAGE_BYTES;
}

static enum rc save(struct regs *g, struct err *err) {
    if (g->conf.no_file)
        return RC_OK;
    uint8_t b[FILE_BYTES_MAX];
    char name[48];
    file_name(g, name);
    return file_replace(g->conf.reactor, g->dir, name, b, encode_file(g, b), err);
}

static enum rc load(struct regs *g, struct err *err) {
    uint8_t b[FILE_BYTES_MAX];
    char name[48], path[ENV_PATH_BYTES + 64];
    struct env_file *f;
    size_t n = 0;
    file_name(g, name);
    snprintf(path, sizeof path, "%s/%s", g->dir, name);
    enum rc rc = env_file_open(reactor_env(g->conf.reactor), path, ENV_OPEN_READONLY, &f, err);
    if (rc)
        return rc;
    /* The file is durable under its name, but the name may not be: a process that died while it gave it leaves it to us. */
    rc = dir_sync(g->conf.reactor, g->dir, err);
    if (rc) {
        env_file_close(f);
        return rc;
    }
    rc = env_file_read(f, b, sizeof b, 0, &n, err);
    env_file_close(f);
    if (rc)
        return rc;
    size_t state = n > 8 ? get_u32le(b + 4) : 0;
    if (n < 8 + IMAGE_BYTES || n != 8 + state + IMAGE_BYTES || crc32c(0, b + 4, n - 4) != get_u32le(b) ||
        replica_state_decode(b + 8, state, &g->state))
        return err_set(err, RC_CORRUPT, "%s is damaged", path);
    get_registers(g, b + 8 + state);
    return RC_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

enum rc regs_open(const struct regs_conf *conf, const struct replica_state *fresh, struct regs **ret, struct err *err) {
    struct regs *g = calloc(1, sizeof *g);
    CHECK(g);
    g->conf = *conf;
    snprintf(g->dir, sizeof g->dir, "%s", conf->dir);
    fiber_group_init(&g->fibers);
    enum rc rc = conf->no_file ? RC_NOTFOUND : load(g, err);
    if (rc == RC_NOTFOUND) {
        err_clear(err);
        g->state = *fresh;
        rc = save(g, err);
    }
    if (rc) {
        free(g);
        return rc;
    }
    *ret = g;
    return RC_OK;
}

bool regs_idle(const struct regs *g) {
    return g->fibers.count == 0;
}

void regs_close(struct regs *g) {
    if (!g)
        return;
    CHECK(regs_idle(g));
    free(g->load);
    free(g);
}

enum rc regs_delete(struct regs *g, struct err *err) {
    char name[48], path[ENV_PATH_BYTES + 64];
    file_name(g, name);
    snprintf(path, sizeof path, "%s/%s", g->dir, name);
    return env_unlink(reactor_env(g->conf.reactor), path, err);
}

static void checkpoint_main(void *arg) {
    struct regs *g = arg;
    struct err err = {0};
    do {
        px_slot slot = g->state.applied;
        g->dirty = false;
        g->since_checkpoint = 0;
        if (save(g, &err) == RC_OK && g->replica)
            replica_checkpointed(g->replica, slot);
    } while (g->dirty && !fiber_cancelled(g->conf.reactor));
    g->checkpointing = false;
}

void regs_checkpoint(struct regs *g) {
    g->dirty = true;
    if (!g->checkpointing &&
        fiber_spawn(g->conf.reactor, &g->fibers, FIBER_SMALL, "checkpoint", checkpoint_main, g) == RC_OK)
        g->checkpointing = true;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

struct px_value *regs_command(uint64_t id, uint32_t reg, bool add, uint64_t value, size_t bytes) {
    struct px_value *v = px_value_new(PX_COMMAND, NULL, bytes);
    CHECK(v && bytes >= REGS_COMMAND_BYTES);
    memset(v->data, 0, bytes);
    set_u64le(v->data, id);
    set_u32le(v->data + 8, reg);
    set_u32le(v->data + 12, add);
    set_u64le(v->data + 16, value);
    return v;
}

uint64_t regs_command_id(const struct px_value *v) {
    return v->kind == PX_COMMAND && v->bytes >= REGS_COMMAND_BYTES ? get_u64le(v->data) : 0;
}

static void execute(struct regs *g, px_slot slot, const struct px_value *v) {
    uint64_t head[3] = {slot, (uint64_t)v->kind, (uint64_t)v->ts};
    g->checksum = hash_bytes(v->data, v->bytes, hash_bytes(head, sizeof head, g->checksum));
    g->applied_count++;
    if (v->kind != PX_COMMAND || v->bytes < REGS_COMMAND_BYTES)
        return;
    uint64_t *at = &g->value[get_u32le(v->data + 8) % REGS_COUNT];
    *at = get_u32le(v->data + 12) ? *at + get_u64le(v->data + 16) : get_u64le(v->data + 16);
}

/* ---- what a replica calls ---------------------------------------------------------------------------------------- */

static enum rc on_apply(void *sm, const struct replica_entry *run, size_t count, const struct replica_state *after,
                        struct err *err) {
    struct regs *g = sm;
    struct env *env = reactor_env(g->conf.reactor);
    if (env_chance(env, "regs: a run is not applied"))
        return err_set(err, RC_IO, "as you wish");
    if (env_chance(env, "regs: slow to apply") && fiber_self(g->conf.reactor))
        IGNORE(fiber_sleep(g->conf.reactor, (int64_t)(env_random(env) % 50000000)));
    CHECK(run[0].slot == g->state.applied + 1);
    for (size_t i = 0; i < count; i++) {
        execute(g, run[i].slot, run[i].value);
        if (run[i].own)
            *(uint64_t *)run[i].own = g->checksum;
        if (g->conf.watch && g->conf.watch->on_apply)
            g->conf.watch->on_apply(g->conf.watch->ctx, g, run[i].slot, run[i].value, g->checksum);
    }
    g->state = *after;
    g->since_checkpoint += (uint32_t)count;
    if (g->conf.checkpoint_every && g->since_checkpoint >= g->conf.checkpoint_every)
        regs_checkpoint(g);
    return RC_OK;
}

static int64_t on_gate(void *sm, px_slot slot, const struct px_value *v) {
    const struct regs *g = sm;
    (void)slot;
    return g->conf.gated ? v->ts : 0;
}

static enum rc on_reload(void *sm, struct replica_state *ret, struct err *err) {
    struct regs *g = sm;
    enum rc rc = load(g, err);
    if (!rc)
        *ret = g->state;
    return rc;
}

static void on_lead_begin(void *sm, const struct px_ballot *ballot, int64_t floor) {
    const struct regs *g = sm;
    (void)ballot, (void)floor;
    if (g->conf.watch && g->conf.watch->on_lead)
        g->conf.watch->on_lead(g->conf.watch->ctx, sm, true);
}

static void on_lead_end(void *sm, const struct px_ballot *ballot) {
    const struct regs *g = sm;
    (void)ballot;
    if (g->conf.watch && g->conf.watch->on_lead)
        g->conf.watch->on_lead(g->conf.watch->ctx, sm, false);
}

static void on_config(void *sm, const struct px_config *config) {
    (void)config;
    regs_checkpoint(sm);
}

static void on_removed(void *sm) {
    const struct regs *g = sm;
    if (g->conf.watch && g->conf.watch->on_removed)
        g->conf.watch->on_removed(g->conf.watch->ctx, sm);
}

static enum rc image_open(void *sm, struct replica_state *ret, void **ret_image, struct err *err) {
    struct regs *g = sm;
    struct image *im = malloc(sizeof *im + IMAGE_BYTES + g->conf.pad_bytes);
    if (!im)
        return err_set(err, RC_NOMEM, "out of memory");
    im->state = *ret = g->state;
    im->bytes = IMAGE_BYTES + g->conf.pad_bytes;
    put_registers(g, im->data);
    for (size_t i = IMAGE_BYTES; i < im->bytes; i++)
        im->data[i] = (uint8_t)(i * 7);
    g->images++;
    *ret_image = im;
    return RC_OK;
}

static enum rc image_read(void *sm, void *image, uint64_t off, void *to, size_t cap, size_t *ret_bytes,
                          struct err *err) {
    const struct image *im = image;
    (void)sm, (void)err;
    size_t n = off < im->bytes ? im->bytes - (size_t)off : 0;
    *ret_bytes = n < cap ? n : cap;
    memcpy(to, im->data + off, *ret_bytes);
    return RC_OK;
}

static void image_close(void *sm, void *image) {
    ((struct regs *)sm)->images--;
    free(image);
}

static enum rc load_begin(void *sm, uint64_t number, const struct replica_state *state, uint64_t *ret_have,
                          struct err *err) {
    struct regs *g = sm;
    (void)err;
    if (number != g->load_image)
        g->load_bytes = 0;
    g->load_image = number;
    g->load_state = *state;
    *ret_have = g->load_bytes;
    return RC_OK;
}

static enum rc load_write(void *sm, uint64_t off, const void *data, size_t bytes, struct err *err) {
    struct regs *g = sm;
    CHECK(off == g->load_bytes);
    if (off + bytes > g->load_cap) {
        size_t cap = (size_t)(off + bytes) * 2;
        uint8_t *p = realloc(g->load, cap);
        if (!p)
            return err_set(err, RC_NOMEM, "out of memory");
        g->load = p;
        g->load_cap = cap;
    }
    memcpy(g->load + off, data, bytes);
    g->load_bytes += bytes;
    return RC_OK;
}

static enum rc load_end(void *sm, bool commit, struct err *err) {
    struct regs *g = sm;
    if (!commit)
        return RC_OK;
    if (g->load_bytes < IMAGE_BYTES)
        return err_set(err, RC_CORRUPT, "an image of %llu bytes", (unsigned long long)g->load_bytes);
    for (size_t i = IMAGE_BYTES; i < g->load_bytes; i++)
        if (g->load[i] != (uint8_t)(i * 7))
            return err_set(err, RC_CORRUPT, "an image that was damaged on its way");
    while (g->checkpointing) /* it would write what was before over what comes now */
        if (fiber_sleep(g->conf.reactor, 1000000))
            return err_set(err, RC_CANCELLED, "cancelled");
    struct regs before = *g;
    get_registers(g, g->load);
    g->state = g->load_state;
    enum rc rc = save(g, err);
    if (rc) {
        memcpy(g->value, before.value, sizeof g->value);
        g->checksum = before.checksum;
        g->applied_count = before.applied_count;
        g->state = before.state;
    }
    free(g->load);
    g->load = NULL;
    g->load_bytes = g->load_cap = g->load_image = 0;
    if (!rc && g->conf.watch && g->conf.watch->on_load)
        g->conf.watch->on_load(g->conf.watch->ctx, g, g->state.applied, g->checksum);
    return rc;
}

const struct replica_sm_ops regs_ops = {
    .apply = on_apply,
    .gate = on_gate,
    .reload = on_reload,
    .on_lead_begin = on_lead_begin,
    .on_lead_end = on_lead_end,
    .on_config = on_config,
    .on_removed = on_removed,
    .image_open = image_open,
    .image_read = image_read,
    .image_close = image_close,
    .load_begin = load_begin,
    .load_write = load_write,
    .load_end = load_end,
};
