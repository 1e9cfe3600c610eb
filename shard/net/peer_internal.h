/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_internal.h: what the files of peer.h share. Nobody else includes it.
 *
 * Who may free what: a connection is freed by pconn_release when it is CLOSED and nobody up the stack works on it
 * (busy 0); a peer only by the tick, once nothing refers to it. So a callback may close any connection, its own too.
 */
#ifndef MERIDIAN_NET_PEER_INTERNAL_H
#define MERIDIAN_NET_PEER_INTERNAL_H

#include "shard/net/outq.h"
#include "shard/net/peer.h"
#include "shard/runtime/mailbox.h"
#include "truetime/base/buf.h"
#include "truetime/base/map.h"

enum {
    PREAMBLE_BYTES = 8,
    PREAMBLE_TLS = 1,
    HELLO_PAYLOAD_BYTES_MAX = 4096, /* all that an unknown peer can make us hold */
    SCRATCH_BYTES = 256 << 10,      /* one read takes at most this much */
    DIRECT_BYTES = 64 << 10,        /* frames above this are read into a buffer of their own */
    READ_BYTES_PER_TURN = 1 << 20,  /* of one connection, so that others have their share */
    WRITE_BYTES = 1 << 20,          /* sealed and given to one write */
    WRITE_PIECES = 16,
    QUEUE_HARD_FACTOR = 4,    /* control frames may fill this many times queue_bytes_max; then the peer is given up */
    STALL_FACTOR = 5,         /* times dead_ns without a byte taken */
    LOCAL_FRAMES_MAX = 65536, /* under way between two stores of this process */
    WHY_BYTES = 200,
};

/* The mark of a ticket that sent nothing. */
#define MARK_WATCH 0u

enum conn_state {
    CONN_CONNECTING,
    CONN_PREAMBLE,
    CONN_TLS,
    CONN_HELLO,
    CONN_READY,
    CONN_RETIRING, /* BYE was sent: carries nothing new from here */
    CONN_CLOSED,
    CONN_STATES,
};

enum conn_kind { CONN_DIALLED, CONN_ACCEPTED, CONN_LOCAL, CONN_DATAGRAM };

/* Frames that were queued at a time, up to a place in the output (peer_hold.c). */
struct hold_mark {
    uint64_t upto;
    int64_t queued_ns;
};

struct peer_conn {
    struct peers *ps;
    struct peer *peer; /* NULL: not known yet, or a stranger without a number */
    enum conn_state state;
    enum conn_kind kind;
    enum peer_class class;
    struct store_addr addr; /* who is there, as we call it */
    uint32_t number;        /* the node number that it gave in its Hello */
    uint64_t incarnation;
    bool member;
    struct env_stream *stream; /* NULL for LOCAL and DATAGRAM, and once CLOSED */
    uint8_t preamble[PREAMBLE_BYTES];
    size_t preamble_bytes; /* sent, or received */

    struct buf in; /* the beginning of a frame whose rest has not come */
    size_t need;   /* bytes in `in` before it makes sense to parse */
    struct outq out;
    uint64_t offered;       /* of out: bytes up to here may have left */
    struct hold_mark *hold; /* with conf.send_delay: what is not yet to leave */
    size_t hold_first, hold_count, hold_cap;
    uint64_t hold_free; /* of out: bytes up to here may leave */
    struct timer hold_timer;
    struct reactor_flush flush;
    struct timer again; /* reads on after its share, or ends after an orderly end */

    struct ilist link;           /* peers.conns */
    struct ilist handshake_link; /* peers.handshakes, while accepted and not READY */
    struct ilist tickets;
    struct waitq room;

    int64_t born_ns, ready_ns;
    int64_t received_ns, sent_ns, app_ns; /* noted by the tick from the flags below */
    int64_t taken_ns;                     /* when some of the queue left, or there was none */
    bool received, sent, app;
    bool ping_queued, pong_queued; /* and not yet written: one of each at most */
    bool ended;                    /* the peer will send nothing more */
    bool closing;                  /* closed as soon as the queue is written */
    bool tls;
    uint32_t busy;
    char name[PEER_NAME_BYTES + ENV_ADDR_BYTES];
};

/* One other store, one class. */
struct peer {
    struct map_node node; /* peers.peers */
    struct peers *ps;
    struct store_addr addr;
    enum peer_class class;
    struct peer_conn *dialled, *accepted;
    struct peer_conn *datagram;
    struct outq waiting;  /* frames for the first connection to be READY */
    struct ilist tickets; /* of those */
    uint64_t incarnation; /* the newest seen */
    uint32_t failures;    /* since the last good connection */
    int64_t next_dial_ns; /* not earlier */
    enum rc fail_rc;
    char why[WHY_BYTES];
};

struct address {
    struct map_node node;
    uint32_t number;
    char addr[ENV_ADDR_BYTES];
};

struct peers {
    struct reactor *reactor;
    struct env *env;
    struct peers_conf conf;
    peer_on_frame *on_frame;
    void *ctx;
    struct peers **siblings; /* by store number, this one included; NULL before peers_link */
    uint16_t sibling_count;
    struct env_listener *listener;
    char datagram_addr[ENV_ADDR_BYTES]; /* instead of a listener */
    bool datagrams, stopping;
    struct map peers, addresses;
    struct ilist conns, handshakes;
    size_t conn_count, handshake_count;
    struct timer tick;
    int64_t tick_due_ns;
    struct outq_pool pool;
    uint8_t *scratch;    /* what is being read */
    struct buf datagram; /* what is being sent */
    bool reading;
    struct peer_conn **local; /* by store number */
    struct mbox local_box;
    _Atomic size_t arriving; /* streams on their way here from store 0 */
    struct peers_stats stats;
    struct metric *metrics;
};

/* peer.c */
struct peer *peer_find(struct peers *ps, struct store_addr addr, enum peer_class class);
/* Finds or makes: RC_OVERLOAD, RC_NOMEM. */
enum rc peer_take(struct peers *ps, struct store_addr addr, enum peer_class class, struct peer **ret);
struct peer_conn *peer_best(const struct peer *p);
bool peer_we_win(const struct peer *p);
/* An attempt to connect failed, or a good connection broke at once. rc: why, for those who ask meanwhile. */
void peer_failed(struct peer *p, enum rc rc, const char *why);
/* c is READY: what waited leaves on it. */
void peer_has(struct peer *p, struct peer_conn *c);
void peers_tick_later(struct peers *ps);
bool peers_resolve(struct peers *ps, uint32_t node, char *ret_addr);
/* Tickets whose frame ends behind `left` get never_rc, the others RC_CLOSED. */
void peer_tickets_lose(struct ilist *tickets, uint64_t left, enum rc never_rc, const char *why);

/* peer_conn.c */
struct peer_conn *pconn_new(struct peers *ps, enum conn_kind kind, enum peer_class class, struct env_stream *stream);
void pconn_move(struct peer_conn *c, enum conn_state to);
void pconn_set_name(struct peer_conn *c);
void pconn_start_dialled(struct peer_conn *c);  /* its stream was just opened */
void pconn_start_accepted(struct peer_conn *c); /* its preamble was read */
/* Ends it. rc and why go to whoever waits for it to open (dialled, not READY). RC_OK: on purpose, so that nobody need
 * hold back from dialling again; what waits stays with its peer. */
void pconn_close(struct peer_conn *c, enum rc rc, const char *why);
/* The same, for something that the peer did wrong: one diag_warn, counted. */
void pconn_refuse(struct peer_conn *c, enum peer_refusal refusal, enum rc rc, const char *why);
/* The same, for what just happens (broken, ended). */
void pconn_lost(struct peer_conn *c, enum rc rc, const char *why);
void pconn_release(struct peer_conn *c);
/* Room for a frame in q, its header and body written. */
enum rc frame_push(struct peers *ps, struct outq *q, struct store_addr to, const struct frame *f,
                   const struct peer_body *body, size_t payload_bytes) MUST_CHECK;
size_t frame_body_bytes(const struct peer_body *body);
void frame_write(struct peers *ps, uint8_t *to, struct store_addr dst, const struct frame *f,
                 const struct peer_body *body, size_t payload_bytes);
/* Queues a frame without a body. */
void pconn_control(struct peer_conn *c, enum frame_kind kind);
void pconn_queued(struct peer_conn *c); /* something was put into c->out */
void pconn_read(struct peer_conn *c);
void pconn_write(struct peer_conn *c);
void pconn_dispatch(struct peer_conn *c, const struct frame *f);
void pconn_tick(struct peer_conn *c, int64_t now_ns, int64_t late_ns);

/* peer_hello.c */
void peer_hello_send(struct peer_conn *c, enum rc refusal, const struct err *why);
void peer_hello_receive(struct peer_conn *c, const struct frame *f);

/* peer_accept.c */
void peer_on_accept(void *ctx, struct env_stream *s);
void peer_preamble_read(struct peer_conn *c);
void peer_preamble_put(const struct peer_conn *c, uint8_t *to);

/* peer_hold.c */
void peer_hold_init(struct peer_conn *c);
void peer_hold_done(struct peer_conn *c);
void peer_hold_queued(struct peer_conn *c);   /* something was put into c->out */
size_t peer_hold_allows(struct peer_conn *c); /* bytes that may leave now */

/* peer_local.c: between the stores of this process */
enum rc peer_local_init(struct peers *ps) MUST_CHECK;
void peer_local_done(struct peers *ps);
enum rc peer_local_send(struct peer_conn *c, const struct frame *f, const struct peer_body *body) MUST_CHECK;

/* peer_datagram.c */
enum rc peer_datagram_listen(struct peers *ps, const char *addr, struct err *err) MUST_CHECK;
enum rc peer_datagram_send(struct peer_conn *c, const struct frame *f, const struct peer_body *body) MUST_CHECK;

/* peer_stats.c */
enum rc peers_metrics_init(struct peers *ps) MUST_CHECK;

#endif
