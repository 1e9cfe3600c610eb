/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.c: who is out there, on which connection a frame goes, when to dial, and what the store's tick does.
 */
#include "shard/net/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/net/peer_internal.h"

static void on_tick(void *ctx);
static enum rc peer_dial(struct peer *p, struct err *err);

/* ---- the store's connections ------------------------------------------------------------------------------------- */

static int64_t or_ms(int64_t given_ns, int64_t ms) {
    return given_ns ? given_ns : ms * 1000000;
}

static size_t or_size(size_t given, size_t otherwise) {
    return given ? given : otherwise;
}

static void fill_defaults(struct peers_conf *c) {
    c->heartbeat_ns = or_ms(c->heartbeat_ns, 500);
    c->dead_ns = or_ms(c->dead_ns, 2000);
    c->handshake_ns = or_ms(c->handshake_ns, 5000);
    c->backoff_ns_min = or_ms(c->backoff_ns_min, 10);
    c->backoff_ns_max = or_ms(c->backoff_ns_max, 1000);
    c->queue_bytes_max[PEER_ORDINARY] = or_size(c->queue_bytes_max[PEER_ORDINARY], 16 << 20);
    c->queue_bytes_max[PEER_BULK] = or_size(c->queue_bytes_max[PEER_BULK], 32 << 20);
    c->peers_max = or_size(c->peers_max, 4096);
    c->conns_max = or_size(c->conns_max, 4096);
    c->handshakes_max = or_size(c->handshakes_max, 256);
}

static enum rc check_conf(const struct peers_conf *c, struct err *err) {
    if (c->cluster_bytes > PEER_CLUSTER_BYTES_MAX)
        return err_set(err, RC_INVAL, "a cluster id has at most %d bytes", PEER_CLUSTER_BYTES_MAX);
    if (c->node >= PEER_NODE_SEED)
        return err_set(err, RC_INVAL, "node numbers are below %u", PEER_NODE_SEED);
    if (!memchr(c->clock_scale, '\0', sizeof c->clock_scale))
        return err_set(err, RC_INVAL, "the name of a clock scale has at most %d bytes", PEER_SCALE_BYTES - 1);
    return RC_OK;
}

enum rc peers_new(struct reactor *r, const struct peers_conf *conf, peer_on_frame *on_frame, void *ctx,
                  struct peers **ret, struct err *err) {
    enum rc rc = check_conf(conf, err);
    if (rc)
        return rc;
    struct peers *ps = calloc(1, sizeof *ps);
    if (!ps)
        return err_set(err, RC_NOMEM, "out of memory");
    ps->reactor = r;
    ps->env = reactor_env(r);
    ps->conf = *conf;
    fill_defaults(&ps->conf);
    ps->datagrams = conf->datagrams && ps->env->ops->frame_send;
    ps->on_frame = on_frame;
    ps->ctx = ctx;
    map_init(&ps->peers);
    map_init(&ps->addresses);
    ilist_init(&ps->conns);
    ilist_init(&ps->handshakes);
    timer_init(&ps->tick, on_tick, ps);
    buf_init(&ps->datagram, 0);
    atomic_init(&ps->arriving, 0);
    ps->scratch = malloc(SCRATCH_BYTES);
    rc = ps->scratch ? peer_local_init(ps) : RC_NOMEM;
    if (!rc)
        rc = peers_metrics_init(ps);
    if (rc) {
        ps->stopping = true;
        peers_free(ps);
        return err_set(err, rc, "out of memory");
    }
    *ret = ps;
    return RC_OK;
}

enum rc peers_link(struct peers *const *stores, uint16_t count) {
    for (uint16_t i = 0; i < count; i++) {
        struct peers *ps = stores[i];
        CHECK(ps->env->store == i && ps->env->store_count == count && !ps->siblings);
        ps->siblings = calloc(count, sizeof(struct peers *));
        if (!ps->siblings)
            return RC_NOMEM;
        ps->sibling_count = count;
        memcpy(ps->siblings, stores, count * sizeof(struct peers *));
    }
    return RC_OK;
}

enum rc peers_listen(struct peers *ps, const char *addr, struct err *err) {
    if (ps->datagrams)
        return peer_datagram_listen(ps, addr, err);
    CHECK(ps->env->store == 0); /* the others get theirs from it */
    return env_listen(ps->env, addr, peer_on_accept, ps, &ps->listener, err);
}

const char *peers_listen_addr(const struct peers *ps) {
    if (ps->listener)
        return env_listener_addr(ps->listener);
    return ps->datagram_addr[0] ? ps->datagram_addr : NULL;
}

/* What waits for a connection will not get one. */
static void drop_waiting(struct peer *p, enum rc rc, const char *why) {
    gauge_add(&p->ps->stats.queue_bytes, -(int64_t)p->waiting.bytes);
    outq_done(&p->waiting);
    peer_tickets_lose(&p->tickets, 0, rc, why);
}

/* Ends every connection; what waits for one is lost too. */
static void close_all(struct peers *ps, const char *why) {
    for (struct ilist *it; (it = ps->conns.next) != &ps->conns;) {
        struct peer_conn *c = ilist_entry(it, struct peer_conn, link);
        c->busy++;
        pconn_write(c); /* one try to get out what waits for the end of the turn */
        pconn_close(c, RC_OK, why);
        c->busy--;
        pconn_release(c);
    }
    map_for_each(n, &ps->peers) {
        struct peer *p = container_of(n, struct peer, node);
        drop_waiting(p, RC_UNREACHABLE, why);
        if (p->datagram)
            pconn_close(p->datagram, RC_OK, why);
    }
}

void peers_set_identity(struct peers *ps, const void *cluster, size_t cluster_bytes, uint32_t node) {
    CHECK(cluster_bytes <= PEER_CLUSTER_BYTES_MAX && node < PEER_NODE_SEED);
    close_all(ps, "this node joined a cluster");
    memcpy(ps->conf.cluster, cluster, cluster_bytes);
    ps->conf.cluster_bytes = cluster_bytes;
    ps->conf.node = node;
    for (uint16_t i = 0; i < ps->env->store_count; i++)
        ps->local[i]->addr.node = ps->local[i]->number = node;
}

void peers_stop(struct peers *ps) {
    if (ps->stopping)
        return;
    ps->stopping = true;
    env_listener_close(ps->listener);
    ps->listener = NULL;
    close_all(ps, "shutting down");
    peer_local_done(ps);
    env_timer_cancel(ps->env, &ps->tick);
}

static void peer_free(struct peer *p) {
    CHECK(!p->dialled && !p->accepted && !p->datagram && ilist_empty(&p->tickets));
    map_del(&p->ps->peers, &p->node);
    drop_waiting(p, RC_UNREACHABLE, "gone");
    free(p);
}

void peers_free(struct peers *ps) {
    if (!ps)
        return;
    CHECK(ps->stopping && ilist_empty(&ps->conns));
    map_for_each(n, &ps->peers)
        peer_free(container_of(n, struct peer, node));
    map_for_each(n, &ps->addresses) {
        map_del(&ps->addresses, n);
        free(container_of(n, struct address, node));
    }
    map_done(&ps->peers);
    map_done(&ps->addresses);
    peer_local_done(ps);
    outq_pool_done(&ps->pool);
    buf_done(&ps->datagram);
    free(ps->local);
    free(ps->siblings);
    free(ps->scratch);
    free(ps->metrics);
    free(ps);
}

const struct peers_stats *peers_stats(const struct peers *ps) {
    return &ps->stats;
}

const struct peers_conf *peers_conf(const struct peers *ps) {
    return &ps->conf;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static struct address *address_find(const struct peers *ps, uint32_t node) {
    for (struct map_node *n = map_first(&ps->addresses, hash_u64(node)); n; n = map_next(n)) {
        struct address *a = container_of(n, struct address, node);
        if (a->number == node)
            return a;
    }
    return NULL;
}

void peers_set_address(struct peers *ps, uint32_t node, const char *addr) {
    struct address *a = address_find(ps, node);
    if (!addr) {
        if (a)
            map_del(&ps->addresses, &a->node);
        free(a);
        return;
    }
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a)
            return; /* the node stays unreachable until the next try, as the diagnostics of that say */
        a->number = node;
        map_put(&ps->addresses, &a->node, hash_u64(node));
    }
    snprintf(a->addr, sizeof a->addr, "%s", addr);
    map_for_each(n, &ps->peers) { /* what failed at the old address says nothing about the new one */
        struct peer *p = container_of(n, struct peer, node);
        if (p->addr.node == node)
            p->next_dial_ns = 0;
    }
}

bool peers_resolve(struct peers *ps, uint32_t node, char *ret_addr) {
    const struct address *a = address_find(ps, node);
    if (a)
        snprintf(ret_addr, ENV_ADDR_BYTES, "%s", a->addr);
    return a || (ps->conf.resolve && ps->conf.resolve(ps->conf.ctx, node, ret_addr, ENV_ADDR_BYTES));
}

void store_addr_name(struct store_addr a, char *to, size_t bytes) {
    if (a.node == 0)
        snprintf(to, bytes, "stranger/%u", a.store);
    else if (a.node >= PEER_NODE_SEED)
        snprintf(to, bytes, "seed%u/%u", a.node - PEER_NODE_SEED, a.store);
    else
        snprintf(to, bytes, "n%u/%u", a.node, a.store);
}

/* ---- peers ------------------------------------------------------------------------------------------------------- */

static uint64_t peer_hash(struct store_addr a, enum peer_class class) {
    return hash_u64((uint64_t)a.node << 32 | (uint64_t)a.store << 8 | (uint64_t) class);
}

struct peer *peer_find(struct peers *ps, struct store_addr addr, enum peer_class class) {
    for (struct map_node *n = map_first(&ps->peers, peer_hash(addr, class)); n; n = map_next(n)) {
        struct peer *p = container_of(n, struct peer, node);
        if (store_addr_eq(p->addr, addr) && p->class == class)
            return p;
    }
    return NULL;
}

enum rc peer_take(struct peers *ps, struct store_addr addr, enum peer_class class, struct peer **ret) {
    struct peer *p = peer_find(ps, addr, class);
    if (!p && ps->peers.count >= ps->conf.peers_max)
        return RC_OVERLOAD;
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p)
            return RC_NOMEM;
        p->ps = ps;
        p->addr = addr;
        p->class = class;
        outq_init(&p->waiting, &ps->pool);
        ilist_init(&p->tickets);
        map_put(&ps->peers, &p->node, peer_hash(addr, class));
        peers_tick_later(ps);
    }
    *ret = p;
    return RC_OK;
}

/* Of two connections that were dialled at once, the one of the smaller store stays. Both sides see it alike. */
bool peer_we_win(const struct peer *p) {
    const struct peers *ps = p->ps;
    if (ps->conf.node != p->addr.node)
        return ps->conf.node < p->addr.node;
    return ps->env->store < p->addr.store;
}

struct peer_conn *peer_best(const struct peer *p) {
    struct peer_conn *d = p->dialled && p->dialled->state == CONN_READY ? p->dialled : NULL;
    struct peer_conn *a = p->accepted && p->accepted->state == CONN_READY ? p->accepted : NULL;
    if (d && a)
        return peer_we_win(p) ? d : a;
    return d ? d : a ? a : p->datagram;
}

void peer_tickets_lose(struct ilist *tickets, uint64_t left, enum rc never_rc, const char *why) {
    for (struct ilist *it; (it = ilist_pop_front(tickets));) {
        struct peer_ticket *t = ilist_entry(it, struct peer_ticket, link);
        bool never = t->mark != MARK_WATCH && t->mark > left;
        t->conn = NULL;
        t->on_lost(t, never ? never_rc : RC_CLOSED, why);
    }
}

/* Reasons that a caller should hear as they are; whatever else keeps us from connecting is "unreachable". */
static enum rc connect_rc(enum rc rc) {
    return rc == RC_WRONG_CLUSTER || rc == RC_PROTOCOL || rc == RC_UNSUPPORTED || rc == RC_OVERLOAD || rc == RC_SHUTDOWN
               ? rc
               : RC_UNREACHABLE;
}

void peer_failed(struct peer *p, enum rc rc, const char *why) {
    struct peers *ps = p->ps;
    int64_t pause = ps->conf.backoff_ns_min;
    for (uint32_t i = 0; i < p->failures && pause < ps->conf.backoff_ns_max; i++)
        pause *= 2;
    if (pause > ps->conf.backoff_ns_max)
        pause = ps->conf.backoff_ns_max;
    pause = pause / 2 + (int64_t)(env_random(ps->env) % (uint64_t)(pause / 2 + 1));
    p->next_dial_ns = env_now_ns(ps->env) + pause;
    p->fail_rc = connect_rc(rc);
    snprintf(p->why, sizeof p->why, "%s", why);
    counter_inc(&ps->stats.dial_failures);
    if (p->failures++ == 0 && !ps->stopping) {
        char who[PEER_NAME_BYTES];
        store_addr_name(p->addr, who, sizeof who);
        diag_info(&ps->env->diag, "net: peer unreachable", "peer=%s reason=\"%s\"", who, p->why);
    }
    if (peer_best(p))
        return; /* what waited has left on the other one */
    drop_waiting(p, p->fail_rc, p->why);
}

void peer_has(struct peer *p, struct peer_conn *c) {
    uint64_t base = outq_splice(&c->out, &p->waiting);
    while (!ilist_empty(&p->tickets)) {
        struct peer_ticket *t = ilist_first(&p->tickets, struct peer_ticket, link);
        ilist_del(&t->link);
        t->mark += base;
        t->conn = c;
        ilist_push_back(&c->tickets, &t->link);
    }
    pconn_queued(c);
}

static enum rc peer_dial(struct peer *p, struct err *err) {
    struct peers *ps = p->ps;
    char addr[ENV_ADDR_BYTES], who[PEER_NAME_BYTES];
    struct env_stream *stream;
    store_addr_name(p->addr, who, sizeof who);
    if (env_now_ns(ps->env) < p->next_dial_ns) {
        err_set(err, p->fail_rc, "%s: %s", who, p->why);
        err_detail(err, "attempts=%u", p->failures);
        return p->fail_rc;
    }
    if (ps->conn_count >= ps->conf.conns_max)
        return err_set(err, RC_OVERLOAD, "%s: %zu connections are open, which is the limit", who, ps->conn_count);
    if (!peers_resolve(ps, p->addr.node, addr))
        return err_set(err, RC_UNREACHABLE, "%s: no address is known for this node", who);
    counter_inc(&ps->stats.dials);
    enum rc rc = env_connect(ps->env, addr, &stream, err);
    if (rc) {
        peer_failed(p, rc, err ? err_message(err) : rc_text(rc));
        return p->fail_rc;
    }
    struct peer_conn *c = pconn_new(ps, CONN_DIALLED, p->class, stream);
    if (!c) {
        env_stream_close(stream);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    c->addr = p->addr;
    c->peer = p;
    p->dialled = c;
    pconn_set_name(c);
    return RC_OK;
}

void peer_disconnect(struct peers *ps, uint32_t node) {
    for (struct ilist *it = ps->conns.next, *next; it != &ps->conns; it = next) {
        struct peer_conn *c = ilist_entry(it, struct peer_conn, link);
        next = it->next; /* closing c touches no other connection */
        if (c->addr.node == node || (c->number == node && node))
            pconn_close(c, RC_OK, "disconnected");
    }
    map_for_each(n, &ps->peers) {
        struct peer *p = container_of(n, struct peer, node);
        if (p->addr.node == node)
            drop_waiting(p, RC_UNREACHABLE, "disconnected");
        if (p->addr.node == node && p->datagram)
            pconn_close(p->datagram, RC_OK, "disconnected");
    }
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void ticket_attach(struct peer_ticket *t, struct ilist *list, struct peer_conn *c, uint64_t mark) {
    if (!t)
        return;
    t->conn = c;
    t->mark = mark;
    ilist_push_back(list, &t->link);
}

/* A place without a stream: nothing can be said about what became of a frame. */
static enum rc place_send(struct peer_conn *c, const struct frame *f, const struct peer_body *body) {
    return c->kind == CONN_LOCAL ? peer_local_send(c, f, body) : peer_datagram_send(c, f, body);
}

/* An empty queue takes any frame, whatever the limit: else a large one could wait for room for ever. */
static bool queue_is_full(const struct outq *q, size_t bytes, size_t max) {
    return q->bytes > 0 && q->bytes + bytes > max;
}

static enum rc queue_full(struct peers *ps, struct store_addr to, size_t bytes, struct err *err) {
    char who[PEER_NAME_BYTES];
    store_addr_name(to, who, sizeof who);
    counter_inc(&ps->stats.overloads);
    err_set(err, RC_OVERLOAD, "%s: the queue is full, retry", who);
    err_detail(err, "queue_bytes=%zu", bytes);
    return RC_OVERLOAD;
}

/* Finds the peer, and a connection or one under way (*ret_conn NULL). */
static enum rc find_way(struct peers *ps, struct store_addr to, enum peer_class class, struct peer **ret_peer,
                        struct peer_conn **ret_conn, struct err *err) {
    enum rc rc = peer_take(ps, to, class, ret_peer);
    if (rc)
        return err_set(err, rc, "no room for another peer");
    struct peer *p = *ret_peer;
    *ret_conn = peer_best(p);
    if (*ret_conn)
        return RC_OK;
    if (ps->datagrams) {
        p->datagram = pconn_new(ps, CONN_DATAGRAM, class, NULL);
        if (!p->datagram)
            return err_set(err, RC_NOMEM, "out of memory");
        p->datagram->addr = to;
        p->datagram->peer = p;
        *ret_conn = p->datagram;
        return RC_OK;
    }
    bool under_way = p->dialled && p->dialled->state < CONN_READY;
    if (under_way)
        return RC_OK;
    if (p->dialled) /* it retires, and what it retired for is gone */
        pconn_close(p->dialled, RC_OK, "retired");
    return peer_dial(p, err);
}

enum rc peer_send(struct peers *ps, struct store_addr to, enum peer_class class, const struct frame *f,
                  const struct peer_body *body, struct peer_ticket *t, struct err *err) {
    struct peer *p = NULL;
    struct peer_conn *c = NULL;
    size_t bytes = frame_body_bytes(body);
    if (ps->stopping)
        return err_set(err, RC_SHUTDOWN, "shutting down");
    if (bytes > (class == PEER_BULK ? FRAME_BULK_PAYLOAD_BYTES_MAX : FRAME_PAYLOAD_BYTES_MAX))
        return err_set(err, RC_LIMIT, "a message of %zu bytes is too large", bytes);
    if (to.node == ps->conf.node) {
        if (to.store >= ps->env->store_count)
            return err_set(err, RC_UNREACHABLE, "this node has no store %u", to.store);
        c = ps->local[to.store];
    } else {
        enum rc rc = find_way(ps, to, ps->datagrams ? PEER_ORDINARY : class, &p, &c, err);
        if (rc) {
            if (!t)
                counter_inc(&ps->stats.dropped);
            return rc;
        }
    }
    if (c && !c->stream) {
        enum rc rc = place_send(c, f, body);
        if (rc)
            return rc == RC_OVERLOAD ? queue_full(ps, to, 0, err) : err_set(err, rc, "%s", rc_text(rc));
        ticket_attach(t, &c->tickets, c, MARK_WATCH);
        return RC_OK;
    }
    struct outq *q = c ? &c->out : &p->waiting;
    if (queue_is_full(q, FRAME_HEAD_BYTES + bytes, ps->conf.queue_bytes_max[class]))
        return queue_full(ps, to, q->bytes, err);
    if (frame_push(ps, q, to, f, body, bytes))
        return err_set(err, RC_NOMEM, "out of memory");
    ticket_attach(t, c ? &c->tickets : &p->tickets, c, q->pushed);
    if (c) {
        c->app = true;
        pconn_queued(c);
    }
    return RC_OK;
}

/* Asked just before the other side saw that the connection retires: the answer takes the other one. */
static struct peer_conn *answer_way(struct peer_conn *c) {
    return c && c->state == CONN_RETIRING && c->peer ? peer_best(c->peer) : c;
}

enum rc peer_answer(struct peer_conn *c, bool must, const struct frame *f, const struct peer_body *body) {
    c = answer_way(c);
    if (!c)
        return RC_CLOSED;
    struct peers *ps = c->ps;
    size_t max = ps->conf.queue_bytes_max[c->class], bytes = frame_body_bytes(body);
    if (bytes > (c->class == PEER_BULK ? FRAME_BULK_PAYLOAD_BYTES_MAX : FRAME_PAYLOAD_BYTES_MAX))
        return RC_LIMIT;
    if (!c->stream)
        return place_send(c, f, body);
    if (c->state != CONN_READY)
        return RC_CLOSED;
    if (!must && queue_is_full(&c->out, FRAME_HEAD_BYTES + bytes, max)) {
        counter_inc(&ps->stats.overloads);
        return RC_OVERLOAD;
    }
    if (c->out.bytes + bytes > QUEUE_HARD_FACTOR * max) {
        pconn_refuse(c, REFUSED_LIMIT, RC_CLOSED, "does not read its answers");
        return RC_CLOSED;
    }
    if (frame_push(ps, &c->out, c->addr, f, body, bytes))
        return RC_NOMEM;
    c->app = true;
    pconn_queued(c);
    return RC_OK;
}

/* An answer that waits for room counts as well: where it is larger than what is free, the queue stays below its limit. */
bool peer_conn_full(const struct peer_conn *c) {
    return c->out.bytes >= c->ps->conf.queue_bytes_max[c->class] || !waitq_empty(&c->room);
}

void peer_watch(struct peer_conn *c, struct peer_ticket *t) {
    ticket_attach(t, &c->tickets, c, MARK_WATCH);
}

enum rc peer_wait_room(struct peers *ps, struct peer_ticket *t, size_t bytes, int64_t deadline) {
    struct peer_conn *c = answer_way(t->conn);
    if (!c)
        return RC_CLOSED;
    if (!c->stream) /* between stores of one process: they make room soon */
        return fiber_sleep(ps->reactor, 1000000);
    if (!queue_is_full(&c->out, bytes, ps->conf.queue_bytes_max[c->class]))
        return RC_OK;
    return waitq_wait(ps->reactor, &c->room, deadline);
}

struct store_addr peer_conn_addr(const struct peer_conn *c) {
    return (struct store_addr){c->number ? c->number : c->addr.node, c->addr.store};
}

bool peer_conn_is(const struct peer_conn *c, struct store_addr addr) {
    return c->addr.store == addr.store && (c->addr.node == addr.node || (c->number && c->number == addr.node));
}

bool peer_conn_member(const struct peer_conn *c) {
    return c->member;
}

const char *peer_conn_name(const struct peer_conn *c) {
    return c->name;
}

/* ---- the tick ---------------------------------------------------------------------------------------------------- */

static int64_t tick_ns(const struct peers *ps) {
    return ps->conf.heartbeat_ns / 4 > 0 ? ps->conf.heartbeat_ns / 4 : 1;
}

static void tick_after(struct peers *ps, int64_t now_ns) {
    if (timer_is_set(&ps->tick) || ps->stopping)
        return;
    ps->tick_due_ns = now_ns + tick_ns(ps);
    env_timer_set(ps->env, &ps->tick, ps->tick_due_ns);
}

void peers_tick_later(struct peers *ps) {
    tick_after(ps, env_now_ns(ps->env));
}

/* Nobody speaks with it, and there is nothing left to remember about it. */
static bool forgettable(const struct peer *p, int64_t now_ns) {
    return !p->dialled && !p->accepted && !p->datagram && ilist_empty(&p->tickets) && p->waiting.bytes == 0 &&
           now_ns >= p->next_dial_ns + p->ps->conf.backoff_ns_max;
}

static void on_tick(void *ctx) {
    struct peers *ps = ctx;
    int64_t now = env_now_ns(ps->env), late = now - ps->tick_due_ns;
    if (late < tick_ns(ps))
        late = 0;
    else
        env_probe(ps->env, "net: this store slept, which its peers are not blamed for");
    for (struct ilist *it = ps->conns.next, *next; it != &ps->conns; it = next) {
        next = it->next; /* a tick closes at most the connection that it is for */
        pconn_tick(ilist_entry(it, struct peer_conn, link), now, late);
    }
    map_for_each(n, &ps->peers) {
        struct peer *p = container_of(n, struct peer, node);
        if (forgettable(p, now))
            peer_free(p);
    }
    if (ps->conn_count || ps->peers.count)
        tick_after(ps, now);
}
