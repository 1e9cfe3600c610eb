/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_hello.c: who may speak with whom.
 *
 *     dialler                         acceptor
 *     Hello  ------------------------>  checks it
 *            <------------------------  Hello, or a Hello with a refusal, after which it closes
 *     checks it, then READY           READY
 *
 * Both sides check the same things, so neither depends on the other's care. The dialler sends no request before the
 * answer: what waits for a connection that is refused surely never left.
 */
#include <stdio.h>
#include <string.h>

#include "shard/net/pb_arena.h"
#include "shard/net/peer_internal.h"
#include "shard/net/status.h"

enum { HELLO_ARENA_BYTES = 64 << 10 };

void peer_hello_send(struct peer_conn *c, enum rc refusal, const struct err *why) {
    struct peers *ps = c->ps;
    const struct peers_conf *conf = &ps->conf;
    Wire__Hello h = WIRE__HELLO__INIT;
    Wire__Status status;
    struct status_objects objects;
    int64_t earliest = 0, latest = 0;
    if (conf->clock)
        conf->clock(conf->ctx, &earliest, &latest);
    h.cluster = (ProtobufCBinaryData){conf->cluster_bytes, (uint8_t *)(uintptr_t)conf->cluster};
    h.node = conf->node;
    h.from_store = ps->env->store;
    h.to_node = c->kind == CONN_ACCEPTED ? c->number : c->addr.node < PEER_NODE_SEED ? c->addr.node : 0;
    h.to_store = c->addr.store;
    h.purpose = (uint32_t)c->class;
    h.incarnation = conf->incarnation;
    h.version = PEER_VERSION;
    h.version_min = PEER_VERSION_MIN;
    h.earliest = earliest;
    h.latest = latest;
    h.clock_scale = (char *)(uintptr_t)conf->clock_scale;
    if (refusal) {
        status_from_err(&status, refusal, why, &objects);
        h.refusal = &status;
    }
    struct frame f = {.kind = FRAME_HELLO};
    struct peer_body body = {.message = &h.base};
    if (frame_push(ps, &c->out, c->addr, &f, &body, frame_body_bytes(&body))) {
        pconn_lost(c, RC_NOMEM, "out of memory");
        return;
    }
    pconn_queued(c);
}

static enum rc check_cluster(const struct peers_conf *conf, const Wire__Hello *h, struct err *err) {
    bool same = h->cluster.len == conf->cluster_bytes &&
                (h->cluster.len == 0 || memcmp(h->cluster.data, conf->cluster, h->cluster.len) == 0);
    /* One without a cluster is a stranger: the services say what it may ask for. */
    if (same || h->cluster.len == 0 || conf->cluster_bytes == 0)
        return RC_OK;
    err_set(err, RC_WRONG_CLUSTER, "node %u belongs to another cluster than node %u", h->node, conf->node);
    err_hint(err, "Check the addresses: one of the two nodes was started with an address of a foreign cluster.");
    return RC_WRONG_CLUSTER;
}

/* What both sides demand. */
static enum rc check_hello(const struct peer_conn *c, const Wire__Hello *h, struct err *err) {
    const struct peers *ps = c->ps;
    const struct peers_conf *conf = &ps->conf;
    if (h->version < PEER_VERSION_MIN || h->version_min > PEER_VERSION)
        return err_set(err, RC_UNSUPPORTED, "protocol versions %u to %u and %u to %u have none in common",
                       h->version_min, h->version, PEER_VERSION_MIN, PEER_VERSION);
    enum rc rc = check_cluster(conf, h, err);
    if (rc)
        return rc;
    if (strcmp(h->clock_scale, conf->clock_scale) != 0)
        return err_set(err, RC_PROTOCOL, "node %u counts time on scale \"%.32s\", node %u on \"%s\"", h->node,
                       h->clock_scale, conf->node, conf->clock_scale);
    if (h->purpose != (uint32_t)c->class)
        return err_set(err, RC_UNREACHABLE, "the preamble was damaged");
    if (h->node >= PEER_NODE_SEED || h->from_store > UINT16_MAX)
        return err_set(err, RC_PROTOCOL, "no node %u with a store %u can be", h->node, h->from_store);
    if (h->node && h->node == conf->node)
        return err_set(err, RC_PROTOCOL, "the peer has our own node number %u", h->node);
    if ((h->to_node && h->to_node != conf->node) || h->to_store != ps->env->store)
        return err_set(err, RC_UNREACHABLE, "node %u store %u was wanted, this is node %u store %u", h->to_node,
                       h->to_store, conf->node, ps->env->store);
    return RC_OK;
}

/* An accepted connection takes its place, and that of an older one. */
static enum rc take_place(struct peer_conn *c, const Wire__Hello *h, struct err *err) {
    struct peer *p;
    if (h->node == 0)
        return RC_OK; /* a stranger without a number: nobody here will ever dial it */
    enum rc rc = peer_take(c->ps, c->addr, c->class, &p);
    if (rc)
        return err_set(err, rc, "no room for another peer");
    if (h->incarnation < p->incarnation)
        return err_set(err, RC_PROTOCOL, "node %u is an older incarnation than the one known", h->node);
    if (p->accepted) {
        env_probe(c->ps->env, "net: connection replaced by a newer one");
        pconn_lost(p->accepted, RC_CLOSED, h->incarnation > p->incarnation ? "the peer restarted" : "replaced");
    }
    if (p->dialled && p->dialled->state >= CONN_READY && h->incarnation > p->dialled->incarnation)
        pconn_lost(p->dialled, RC_CLOSED, "the peer restarted");
    p->incarnation = h->incarnation;
    p->next_dial_ns = 0; /* it is there again */
    c->peer = p;
    p->accepted = c;
    return RC_OK;
}

static void become_ready(struct peer_conn *c, const Wire__Hello *h) {
    struct peers *ps = c->ps;
    pconn_move(c, CONN_READY);
    pconn_set_name(c);
    diag_info(&ps->env->diag, "net: connected", "peer=\"%s\" %s=%s%s%s", c->name,
              c->kind == CONN_DIALLED ? "dialled" : "accepted", c->class == PEER_BULK ? "bulk" : "ordinary",
              c->tls ? " tls" : "", c->member ? "" : " stranger");
    if ((h->earliest || h->latest) && c->number && ps->conf.on_interval)
        ps->conf.on_interval(ps->conf.ctx, c->number, h->earliest, h->latest);
    if (c->peer)
        peer_has(c->peer, c);
}

static void accepted_hello(struct peer_conn *c, const Wire__Hello *h) {
    struct err err = {0};
    enum rc rc = check_hello(c, h, &err);
    c->addr = (struct store_addr){h->node, (uint16_t)h->from_store};
    c->number = h->node;
    if (!rc)
        rc = take_place(c, h, &err);
    if (rc) {
        counter_inc(&c->ps->stats.refused[rc == RC_WRONG_CLUSTER ? REFUSED_CLUSTER : REFUSED_HELLO]);
        diag_warn(&c->ps->env->diag, "net: connection refused", "peer=\"%s\" node=%u reason=\"%s\"", c->name, h->node,
                  err_message(&err));
        c->closing = true; /* once the peer was told why */
        peer_hello_send(c, rc, &err);
        return;
    }
    peer_hello_send(c, RC_OK, NULL);
    if (c->state == CONN_HELLO)
        become_ready(c, h);
}

static void dialled_hello(struct peer_conn *c, const Wire__Hello *h) {
    struct err err = {0};
    struct peer *p = c->peer;
    enum rc rc = h->refusal ? status_to_err(h->refusal, &err) : check_hello(c, h, &err);
    if (!rc && (h->from_store != c->addr.store || (c->addr.node < PEER_NODE_SEED && h->node != c->addr.node)))
        rc = err_set(&err, RC_UNREACHABLE, "node %u store %u answers at the address of node %u", h->node, h->from_store,
                     c->addr.node);
    if (!rc && c->addr.node < PEER_NODE_SEED && h->incarnation < p->incarnation)
        rc = err_set(&err, RC_PROTOCOL, "node %u is an older incarnation than the one known", h->node);
    if (rc) {
        pconn_refuse(c, rc == RC_WRONG_CLUSTER ? REFUSED_CLUSTER : REFUSED_HELLO, rc, err_message(&err));
        return;
    }
    if (p->accepted && p->accepted->incarnation < h->incarnation)
        pconn_lost(p->accepted, RC_CLOSED, "the peer restarted");
    p->incarnation = h->incarnation;
    c->number = h->node;
    become_ready(c, h);
}

void peer_hello_receive(struct peer_conn *c, const struct frame *f) {
    struct arena a;
    ProtobufCMessage *m;
    arena_init(&a, HELLO_ARENA_BYTES);
    c->busy++;
    if (pb_unpack(&wire__hello__descriptor, &a, f->payload, f->payload_bytes, &m)) {
        pconn_refuse(c, REFUSED_MALFORMED, RC_PROTOCOL, "a hello that cannot be read");
    } else {
        const Wire__Hello *h = (const Wire__Hello *)m;
        c->incarnation = h->incarnation;
        c->member = h->cluster.len > 0 && c->ps->conf.cluster_bytes > 0;
        if (c->kind == CONN_ACCEPTED)
            accepted_hello(c, h);
        else
            dialled_hello(c, h);
    }
    c->busy--;
    pconn_release(c);
    arena_done(&a);
}
