/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_datagram.c: one frame, one datagram, for the simulator: unordered, lossy, doubled.
 *
 *     offset  bytes  field         little-endian; before the frame in every datagram
 *     0       4      "MRDD"
 *     4       4      crc           CRC32C of bytes 8 .. 31
 *     8       4      from_node
 *     12      4      to_node       0 = whoever is there
 *     16      8      incarnation   of the sender
 *     24      8      cluster       hash of the cluster id; 0 = none
 *     32      ...    frame
 *
 * What a Hello says once, this says each time. A frame of a newer incarnation ends what the older one left behind.
 */
#include <stdio.h>
#include <string.h>

#include "shard/net/peer_internal.h"
#include "truetime/base/crc32c.h"

enum { HEAD_BYTES = 32, HEAD_CRC_FROM = 8 };

static const uint8_t magic[4] = {'M', 'R', 'D', 'D'};

static uint64_t cluster_hash(const struct peers *ps) {
    return ps->conf.cluster_bytes ? hash_bytes(ps->conf.cluster, ps->conf.cluster_bytes, 0) | 1 : 0;
}

static void refuse(struct peers *ps, enum peer_refusal refusal, const char *from, const char *why) {
    counter_inc(&ps->stats.refused[refusal]);
    diag_warn(&ps->env->diag, "net: datagram refused", "peer=\"%s\" reason=\"%s\"", from, why);
}

/* The place of who sent it; NULL: refused. */
static struct peer_conn *place_of(struct peers *ps, const uint8_t *head, const struct frame *f, const char *from) {
    uint32_t node = get_u32le(head + 8), to_node = get_u32le(head + 12);
    uint64_t incarnation = get_u64le(head + 16), cluster = get_u64le(head + 24), ours = cluster_hash(ps);
    struct peer *p;
    if (to_node && to_node != ps->conf.node) {
        refuse(ps, REFUSED_HELLO, from, "for another node");
        return NULL;
    }
    if (cluster && ours && cluster != ours) {
        refuse(ps, REFUSED_CLUSTER, from, "belongs to another cluster");
        return NULL;
    }
    if (peer_take(ps, (struct store_addr){node, f->from_store}, PEER_ORDINARY, &p)) {
        refuse(ps, REFUSED_LIMIT, from, "no room for another peer");
        return NULL;
    }
    if (p->datagram && incarnation > p->datagram->incarnation) {
        if (p->datagram->incarnation)
            pconn_close(p->datagram, RC_CLOSED, "the peer restarted");
        else
            p->datagram->incarnation = incarnation;
    }
    if (!p->datagram) {
        p->datagram = pconn_new(ps, CONN_DATAGRAM, PEER_ORDINARY, NULL);
        if (!p->datagram)
            return NULL;
        p->datagram->peer = p;
        p->datagram->addr = p->addr;
        p->datagram->number = node;
        p->datagram->incarnation = incarnation;
    }
    p->datagram->number = node;
    p->datagram->member = cluster && ours;
    return p->datagram;
}

static void on_datagram(void *ctx, const char *from, uint16_t to_store, const void *data, size_t bytes) {
    struct peers *ps = ctx;
    const uint8_t *head = data;
    struct frame f;
    size_t n;
    (void)to_store; /* the frame says it too */
    if (ps->stopping)
        return;
    counter_inc(&ps->stats.reads);
    counter_add(&ps->stats.bytes_in, bytes);
    if (bytes < HEAD_BYTES || memcmp(head, magic, sizeof magic) != 0 ||
        crc32c(0, head + HEAD_CRC_FROM, HEAD_BYTES - HEAD_CRC_FROM) != get_u32le(head + 4)) {
        refuse(ps, REFUSED_PREAMBLE, from, "damaged head");
        return;
    }
    enum frame_status s = frame_parse(head + HEAD_BYTES, bytes - HEAD_BYTES, FRAME_BULK_PAYLOAD_BYTES_MAX, &f, &n);
    if (s != FRAME_OK || n != bytes - HEAD_BYTES) {
        refuse(ps, s == FRAME_BAD_CRC ? REFUSED_CRC : REFUSED_MALFORMED, from, frame_status_text(s));
        return;
    }
    struct peer_conn *c = place_of(ps, head, &f, from);
    if (!c)
        return;
    counter_inc(&ps->stats.frames_in);
    c->busy++; /* the upper layer may disconnect it */
    pconn_dispatch(c, &f);
    c->busy--;
    pconn_release(c);
}

enum rc peer_datagram_listen(struct peers *ps, const char *addr, struct err *err) {
    snprintf(ps->datagram_addr, sizeof ps->datagram_addr, "%s", addr);
    return ps->env->ops->frame_listen(ps->env, addr, on_datagram, ps, err);
}

enum rc peer_datagram_send(struct peer_conn *c, const struct frame *f, const struct peer_body *body) {
    struct peers *ps = c->ps;
    char addr[ENV_ADDR_BYTES];
    uint8_t head[HEAD_BYTES];
    size_t bytes = frame_body_bytes(body);
    int64_t earliest = 0, latest = 0;
    if (!peers_resolve(ps, c->addr.node, addr))
        return RC_UNREACHABLE;
    buf_reset(&ps->datagram, DIRECT_BYTES);
    uint8_t *to = buf_reserve(&ps->datagram, FRAME_HEAD_BYTES + bytes);
    if (!to)
        return RC_NOMEM;
    frame_write(ps, to, c->addr, f, body, bytes);
    if (ps->conf.clock)
        ps->conf.clock(ps->conf.ctx, &earliest, &latest);
    size_t n = frame_seal(to, earliest, latest);
    memcpy(head, magic, sizeof magic);
    set_u32le(head + 8, ps->conf.node);
    set_u32le(head + 12, c->addr.node < PEER_NODE_SEED ? c->addr.node : 0);
    set_u64le(head + 16, ps->conf.incarnation);
    set_u64le(head + 24, cluster_hash(ps));
    set_u32le(head + 4, crc32c(0, head + HEAD_CRC_FROM, HEAD_BYTES - HEAD_CRC_FROM));
    struct iovec iov[2] = {{head, sizeof head}, {to, n}};
    ps->env->ops->frame_send(ps->env, addr, c->addr.store, iov, 2);
    counter_inc(&ps->stats.frames_out);
    counter_inc(&ps->stats.writes);
    counter_add(&ps->stats.bytes_out, HEAD_BYTES + n);
    return RC_OK;
}
