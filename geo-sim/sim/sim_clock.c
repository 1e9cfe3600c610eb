/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_clock.c: what tells a simulated node the time: shared pages and segments, a time daemon's datagrams, the kernel's clock
 * discipline, and the simulator's own knowledge of true time with the faults that a test sets.
 *
 * Memory outlives a process here as it does outside. At a kill the next process finds a page as it was at that instant, while
 * the dying one writes on to a ghost of it. After a power loss a page is gone (a file in memory) or as it was (a file on a
 * disk), whichever the seed says: both happen.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/sim/sim_internal.h"

enum { DGRAM_BYTES_MAX = 2048 };

static struct sim_env *env_cast(struct env *env) {
    return (struct sim_env *)env;
}

void sim_time_init(struct sim_node *n) {
    ilist_init(&n->pages);
    ilist_init(&n->segments);
    ilist_init(&n->dgrams);
    n->adjtime = (struct env_adjtime){.state = 5, .status = 0x40, .maxerror_us = 16000000, .esterror_us = 16000000};
    for (int i = 0; i < SIM_TRUTHS; i++)
        n->truths[i] = (struct sim_truth){.bound_ns = 100000, .jitter_ns = 80000};
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static struct sim_memory *memory_new(struct ilist *list, size_t bytes) {
    struct sim_memory *m = calloc(1, sizeof *m);
    CHECK(m);
    m->memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    CHECK(m->memory);
    memset(m->memory, 0, bytes);
    m->bytes = bytes;
    ilist_init(&m->link);
    ilist_push_back(list, &m->link);
    return m;
}

static void memory_free(struct sim_memory *m) {
    ilist_del(&m->link);
    free(m->memory);
    free(m);
}

static void memory_leave(struct sim_memory *m) {
    CHECK(m->users > 0);
    m->users--;
    if (m->ghost && m->users == 0)
        memory_free(m);
}

/* A dead process keeps what it mapped; the next finds a copy as of now, or nothing. */
static void page_outlive(struct sim_node *n, struct sim_memory *m, bool kept) {
    if (kept) {
        struct sim_memory *copy = memory_new(&n->pages, m->bytes);
        memcpy(copy->memory, m->memory, m->bytes);
        snprintf(copy->path, sizeof copy->path, "%s", m->path);
    }
    m->ghost = true;
    ilist_del(&m->link);
    if (m->users == 0)
        memory_free(m);
}

void sim_time_node_down(struct sim_node *n, enum sim_crash how) {
    struct ilist old;
    ilist_init(&old);
    ilist_splice_back(&old, &n->pages);
    ilist_for_each(it, &old)
        page_outlive(n, ilist_entry(it, struct sim_memory, link), how == SIM_KILL || rng_chance(&n->sim->world, 0.5));
    ilist_for_each(it, &n->segments) {
        struct sim_memory *m = ilist_entry(it, struct sim_memory, link);
        if (how == SIM_POWER) { /* its writer may hold the address: zeroed, not freed */
            memset(m->memory, 0, m->bytes);
            m->present = false;
        }
    }
}

void sim_time_done(struct sim_node *n) {
    ilist_for_each(it, &n->pages)
        memory_free(ilist_entry(it, struct sim_memory, link));
    ilist_for_each(it, &n->segments)
        memory_free(ilist_entry(it, struct sim_memory, link));
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

struct page {
    struct env_page page; /* first */
    struct sim_memory *mem;
};

static struct sim_memory *page_find(struct sim_node *n, const char *path) {
    ilist_for_each(it, &n->pages) {
        struct sim_memory *m = ilist_entry(it, struct sim_memory, link);
        if (strcmp(m->path, path) == 0)
            return m;
    }
    return NULL;
}

enum rc sim_page_map(struct env *env, const char *path, size_t bytes, bool writer, struct env_page **ret,
                     struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    struct sim_memory *m = page_find(n, path);
    if (!m && !writer)
        return err_set(err, RC_NOTFOUND, "open %s: %s", path, rc_text(RC_NOTFOUND));
    if (!m) {
        m = memory_new(&n->pages, bytes);
        snprintf(m->path, sizeof m->path, "%s", path);
    }
    if (writer && m->writer)
        return err_set(err, RC_BUSY, "%s is written by another process", path);
    CHECK(m->bytes >= bytes);
    struct page *p = calloc(1, sizeof *p);
    CHECK(p);
    p->page = (struct env_page){env, m->memory, bytes, writer};
    p->mem = m;
    m->users++;
    m->writer |= writer;
    *ret = &p->page;
    return RC_OK;
}

void sim_page_unmap(struct env_page *page) {
    struct page *p = container_of(page, struct page, page);
    if (page->writer)
        p->mem->writer = false;
    memory_leave(p->mem);
    free(p);
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

struct shm {
    struct env_shm shm; /* first */
    struct sim_memory *mem;
};

static struct sim_memory *segment_find(struct sim_node *n, int32_t key) {
    ilist_for_each(it, &n->segments) {
        struct sim_memory *m = ilist_entry(it, struct sim_memory, link);
        if (m->key == key)
            return m;
    }
    return NULL;
}

void *sim_shm(struct sim_node *n, int32_t key, size_t bytes) {
    struct sim_memory *m = segment_find(n, key);
    if (!m) {
        m = memory_new(&n->segments, bytes);
        m->key = key;
    }
    CHECK(m->bytes >= bytes);
    m->present = true;
    return m->memory;
}

enum rc sim_shm_attach(struct env *env, int32_t key, size_t bytes, unsigned create_mode, struct env_shm **ret,
                       struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    struct sim_memory *m = segment_find(n, key);
    if ((!m || !m->present) && !create_mode)
        return err_set(err, RC_NOTFOUND, "shared memory segment 0x%x: %s", (unsigned)key, rc_text(RC_NOTFOUND));
    if (m && m->bytes < bytes)
        return err_set(err, RC_INVAL, "shared memory segment 0x%x is too small", (unsigned)key);
    if (create_mode)
        sim_shm(n, key, bytes);
    m = segment_find(n, key);
    struct shm *s = calloc(1, sizeof *s);
    CHECK(s && m);
    s->shm = (struct env_shm){env, m->memory, m->bytes};
    s->mem = m;
    m->users++;
    *ret = &s->shm;
    return RC_OK;
}

void sim_shm_detach(struct env_shm *shm) {
    struct shm *s = container_of(shm, struct shm, shm);
    memory_leave(s->mem);
    free(s);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

/* A request on its way there, then its reply on its way back. */
struct dgram_trip {
    struct ilist link; /* the socket's trips, then its inbox */
    struct sim_call call;
    struct env_dgram *dgram;
    size_t bytes;
    uint8_t data[DGRAM_BYTES_MAX];
};

struct env_dgram {
    struct env_handle handle;
    struct ilist link; /* the node's */
    struct ilist trips, inbox;
    struct sim_event ready;
    env_on_dgram *on_readable;
    void *ctx;
    char addr[ENV_ADDR_BYTES];
};

static struct sim_server *server_find(struct sim_node *n, const char *addr) {
    for (int i = 0; i < SIM_SERVERS; i++)
        if (n->servers[i].fn && strcmp(n->servers[i].addr, addr) == 0)
            return &n->servers[i];
    return NULL;
}

void sim_serve(struct sim_node *n, const char *addr, int64_t delay_ns, sim_serve_fn *fn, void *ctx) {
    struct sim_server *s = server_find(n, addr);
    for (int i = 0; i < SIM_SERVERS && !s; i++)
        if (!n->servers[i].fn)
            s = &n->servers[i];
    CHECK(s);
    *s = (struct sim_server){.delay_ns = delay_ns, .fn = fn, .ctx = ctx};
    snprintf(s->addr, sizeof s->addr, "%s", addr);
}

struct env_adjtime *sim_adjtime(struct sim_node *n) {
    return &n->adjtime;
}

static void on_dgram_ready(struct sim_env *e, struct sim_event *ev) {
    struct env_dgram *d = container_of(ev, struct env_dgram, ready);
    if (!ilist_empty(&d->inbox))
        d->on_readable(d->ctx);
    sim_env_turn(e);
}

enum rc sim_dgram_open(struct env *env, const char *addr, env_on_dgram *on_readable, void *ctx, struct env_dgram **ret,
                       struct err *err) {
    struct sim_env *e = env_cast(env);
    if (!server_find(e->node, addr))
        return err_set(err, RC_UNREACHABLE, "connect to %s: nobody listens", addr);
    struct env_dgram *d = calloc(1, sizeof *d);
    CHECK(d);
    d->handle.env = env;
    d->on_readable = on_readable;
    d->ctx = ctx;
    snprintf(d->addr, sizeof d->addr, "%s", addr);
    ilist_init(&d->link);
    ilist_init(&d->trips);
    ilist_init(&d->inbox);
    sim_event_init(&d->ready, e, "datagram", on_dgram_ready);
    ilist_push_back(&e->node->dgrams, &d->link);
    *ret = d;
    return RC_OK;
}

static void trip_free(struct dgram_trip *t) {
    sim_call_cancel(&t->call);
    ilist_del(&t->link);
    free(t);
}

static int64_t trip_time(struct sim *s, int64_t delay_ns) {
    return s->now + rng_range(&s->world, 1, delay_ns > 0 ? delay_ns : 1);
}

static void on_reply_there(void *ctx) {
    struct dgram_trip *t = ctx;
    struct env_dgram *d = t->dgram;
    ilist_del(&t->link);
    ilist_push_back(&d->inbox, &t->link);
    sim_event_set(&d->ready, env_cast(env_of(d))->sim->now);
}

static void on_request_there(void *ctx) {
    struct dgram_trip *t = ctx;
    struct sim_node *n = env_cast(env_of(t->dgram))->node;
    struct sim_server *s = server_find(n, t->dgram->addr);
    uint8_t reply[DGRAM_BYTES_MAX];
    if (n->clock.frozen_until > n->sim->now) { /* the whole machine sleeps, its daemon too */
        sim_call_at(n->sim, &t->call, n->clock.frozen_until, on_request_there, t);
        return;
    }
    size_t bytes = s ? s->fn(s->ctx, t->data, t->bytes, reply, sizeof reply) : 0;
    CHECK(bytes <= sizeof reply);
    if (bytes == 0) {
        trip_free(t);
        return;
    }
    memcpy(t->data, reply, bytes);
    t->bytes = bytes;
    sim_call_at(n->sim, &t->call, trip_time(n->sim, s->delay_ns), on_reply_there, t);
}

enum rc sim_dgram_send(struct env_dgram *d, const void *from, size_t bytes, struct err *err) {
    struct sim_env *e = env_cast(env_of(d));
    struct sim_server *s = server_find(e->node, d->addr);
    if (!s || e->node->crashed)
        return err_set(err, RC_UNREACHABLE, "%s: nobody listens", d->addr);
    if (bytes > DGRAM_BYTES_MAX)
        return err_set(err, RC_LIMIT, "a datagram of %zu bytes", bytes);
    struct dgram_trip *t = calloc(1, sizeof *t);
    CHECK(t);
    t->dgram = d;
    t->bytes = bytes;
    memcpy(t->data, from, bytes);
    ilist_init(&t->link);
    ilist_push_back(&d->trips, &t->link);
    sim_call_at(e->sim, &t->call, trip_time(e->sim, s->delay_ns), on_request_there, t);
    return RC_OK;
}

enum rc sim_dgram_recv(struct env_dgram *d, void *to, size_t bytes, size_t *ret_bytes, struct err *err) {
    struct ilist *it = ilist_pop_front(&d->inbox);
    (void)err;
    *ret_bytes = 0;
    if (!it)
        return RC_OK;
    struct dgram_trip *t = ilist_entry(it, struct dgram_trip, link);
    *ret_bytes = t->bytes < bytes ? t->bytes : bytes;
    memcpy(to, t->data, *ret_bytes);
    trip_free(t);
    return RC_OK;
}

void sim_dgram_close(struct env_dgram *d) {
    sim_event_cancel(env_cast(env_of(d))->sim, &d->ready);
    ilist_splice_back(&d->trips, &d->inbox);
    ilist_for_each(it, &d->trips)
        trip_free(ilist_entry(it, struct dgram_trip, link));
    ilist_del(&d->link);
    free(d);
}

/* ---- the kernel, the boot, the truth ----------------------------------------------------------------------------- */

void sim_adjtime_get(struct env *env, struct env_adjtime *ret) {
    *ret = env_cast(env)->node->adjtime;
}

enum rc sim_boot_id(struct env *env, char *ret, size_t bytes, struct err *err) {
    struct sim_node *n = env_cast(env)->node;
    (void)err;
    snprintf(ret, bytes, "%016llx/%u.%u", (unsigned long long)n->sim->conf.seed, n->id, n->boots);
    return RC_OK;
}

struct sim_truth *sim_truth(struct sim_node *n, unsigned unit) {
    CHECK(unit < SIM_TRUTHS);
    return &n->truths[unit];
}

enum rc sim_true_time(struct env *env, unsigned unit, int64_t *ret_true_ns, int64_t *ret_bound_ns, struct err *err) {
    struct sim_env *e = env_cast(env);
    if (unit >= SIM_TRUTHS)
        return err_set(err, RC_INVAL, "the simulator has no time master %u", unit);
    const struct sim_truth *t = &e->node->truths[unit];
    if (t->lost)
        return err_set(err, RC_UNREACHABLE, "the simulated time master %u is lost", unit);
    *ret_true_ns = sim_true_ns(e->sim) + t->lie_ns + rng_range(&e->sim->world, -t->jitter_ns, t->jitter_ns);
    *ret_bound_ns = t->bound_ns;
    return RC_OK;
}
