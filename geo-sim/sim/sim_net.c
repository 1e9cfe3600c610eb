/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_net.c: the simulated network: frames that may be lost, doubled, late or damaged, and streams that behave as TCP does.
 *
 * A stream's bytes come in order or not at all. What a lossy link costs a stream is time: a lost part comes a
 * retransmission timeout later and holds up what follows. Through a cut nothing comes until it heals, and then only after
 * the sender's back-off, which doubles (a 10 s cut is felt for about 15 s, as with real TCP). A process that is killed
 * resets its streams; a machine that loses power says nothing, so its peers hold half-open streams.
 *
 *     write -> chunk in the pipe (counts against its window) -> arrival -> ready bytes -> read -> window opens
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/sim/sim_internal.h"

enum {
    WINDOW_BYTES = 256 << 10,
    CONNECT_TRIES = 7,
    RTO_TRIES_MAX = 12, /* then the sender gives up, as TCP does after minutes */
};
static const int64_t RTO_NS = 200000000, RTO_NS_MAX = 20000000000, SYN_NS = 1000000000;

enum state { CONNECTING, OPEN, BROKEN };

struct conn;
struct pipe;

struct chunk {
    struct timer timer;
    struct pipe *pipe;
    int tries;
    bool fin;
    size_t len;
    struct ilist link;
    uint8_t data[];
};

/* One direction of a connection. */
struct pipe {
    struct conn *conn;
    int from;            /* which end writes */
    struct ilist chunks; /* under way, oldest first */
    uint8_t *ready;
    size_t ready_at, ready_len, ready_cap; /* arrived and unread */
    size_t in_flight;
    int64_t last_arrival, line_free;
    bool fin_sent, fin_ready;
};

struct env_stream {
    struct env_handle handle; /* .env is the owner */
    struct conn *conn;
    int end; /* 0: connected, 1: accepted */
    enum state state;
    bool paused, want_write;
    bool tell_open, tell_readable, tell_writable, tell_broken;
    const struct env_stream_events *events;
    void *ctx;
    enum rc broken_rc;
    char why[128];
    struct sim_event notify;
    env_on_accept *on_arrive;
    void *arrive_ctx;
    struct ilist link; /* node's streams */
    char peer[ENV_ADDR_BYTES];
};

struct conn {
    struct sim *sim;
    struct sim_node *node[2];
    uint32_t incarnation[2];
    uint16_t port;
    struct env_stream *end[2]; /* NULL: not there yet, closed, or dead */
    bool gone[2];              /* closed or dead */
    struct pipe pipe[2];       /* pipe[i]: written by end i */
    struct timer step;         /* SYN, its answer, or a reset on its way */
    void (*on_step)(struct conn *c);
    int tries;
    enum rc reset_rc;
    int reset_end;
    int held; /* callbacks under way: not to be freed */
    struct ilist link;
};

struct env_listener {
    struct env_handle handle;
    struct sim_port *port;
    env_on_accept *on_accept;
    void *ctx;
    char addr[ENV_ADDR_BYTES];
};

struct frame {
    struct timer timer;
    struct sim *sim;
    struct sim_node *to;
    uint16_t port, to_store;
    struct ilist link;
    char from[ENV_ADDR_BYTES];
    size_t len;
    uint8_t data[];
};

static struct sim_env *env_cast(struct env *env) {
    return (struct sim_env *)env;
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

struct sim_link *sim_link(struct sim_node *a, struct sim_node *b) {
    return &a->sim->links[a->id][b->id];
}

void sim_link_both(struct sim_node *a, struct sim_node *b, const struct sim_link *link) {
    *sim_link(a, b) = *sim_link(b, a) = *link;
}

void sim_links_all(struct sim *s, const struct sim_link *link) {
    s->link_default = *link;
    for (uint16_t i = 0; i < s->node_count; i++)
        for (uint16_t j = 0; j < s->node_count; j++)
            if (i != j)
                s->links[i][j] = *link;
}

void sim_partition(struct sim *s, uint64_t nodes, bool cut) {
    for (uint16_t i = 0; i < s->node_count; i++)
        for (uint16_t j = 0; j < s->node_count; j++)
            if (((nodes >> i) & 1) != ((nodes >> j) & 1))
                s->links[i][j].cut = cut;
}

void sim_heal(struct sim *s) {
    for (uint16_t i = 0; i < s->node_count; i++)
        for (uint16_t j = 0; j < s->node_count; j++)
            s->links[i][j].cut = false;
}

static int64_t link_delay(struct sim *s, const struct sim_link *l) {
    return l->latency_ns + (l->jitter_ns ? rng_exponential(&s->world, l->jitter_ns) : 0);
}

/* "name:port" apart; NULL if there is no such node. */
static struct sim_node *find_node(struct sim *s, const char *addr, uint16_t *ret_port) {
    const char *colon = strrchr(addr, ':');
    char *end;
    if (!colon)
        return NULL;
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port < 0 || port > 65535)
        return NULL;
    for (uint16_t i = 0; i < s->node_count; i++)
        if (strlen(s->nodes[i]->name) == (size_t)(colon - addr) &&
            strncmp(s->nodes[i]->name, addr, (size_t)(colon - addr)) == 0) {
            *ret_port = (uint16_t)port;
            return s->nodes[i];
        }
    return NULL;
}

static struct sim_port *find_port(struct sim_node *n, uint16_t port, bool frames, uint16_t store) {
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        struct sim_port *p = &n->ports[i];
        if (p->port == port && port && (frames ? p->on_frame && p->env->env.store == store : p->listener != NULL))
            return p;
    }
    return NULL;
}

static struct sim_port *free_port(struct sim_node *n) {
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        if (!n->ports[i].port)
            return &n->ports[i];
    return NULL;
}

/* The place for a listener at addr, which must be the node's own. */
static enum rc claim_port(struct sim_env *e, const char *addr, struct sim_port **ret, struct err *err) {
    uint16_t port = 0;
    struct sim_node *n = find_node(e->sim, addr, &port);
    if (n != e->node)
        return err_set(err, RC_INVAL, "\"%s\" is not an address of this node; write %s:PORT", addr, e->node->name);
    struct sim_port *p = free_port(n);
    if (!p)
        return err_set(err, RC_LIMIT, "too many listeners");
    p->port = port ? port : n->next_port++;
    p->env = e;
    *ret = p;
    return RC_OK;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

enum rc sim_frame_listen(struct env *env, const char *addr, env_on_frame *on_frame, void *ctx, struct err *err) {
    struct sim_port *p;
    enum rc rc = claim_port(env_cast(env), addr, &p, err);
    if (rc)
        return rc;
    p->on_frame = on_frame;
    p->frame_ctx = ctx;
    return RC_OK;
}

static void on_frame_arrived(void *ctx) {
    struct frame *f = ctx;
    struct sim *s = f->sim;
    if (f->to->paused_until > s->now) { /* waits in the receiver's kernel */
        timerq_set(&s->queue, &f->timer, f->to->paused_until);
        return;
    }
    struct sim_port *p = sim_node_running(f->to) ? find_port(f->to, f->port, true, f->to_store) : NULL;
    ilist_del(&f->link);
    if (p) {
        struct sim_env *e = p->env;
        sim_mix(s, hash_bytes(f->data, f->len, f->to->id));
        p->on_frame(p->frame_ctx, f->from, f->to_store, f->data, f->len);
        sim_env_turn(e);
    }
    free(f);
}

static void frame_launch(struct sim_env *e, struct sim_node *to, const struct sim_link *l, uint16_t port,
                         uint16_t to_store, const struct iovec *iov, int count) {
    struct sim *s = e->sim;
    size_t len = 0;
    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    struct frame *f = calloc(1, sizeof *f + len);
    CHECK(f);
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len)
            memcpy(f->data + f->len, iov[i].iov_base, iov[i].iov_len);
        f->len += iov[i].iov_len;
    }
    f->sim = s;
    f->to = to;
    f->port = port;
    f->to_store = to_store;
    snprintf(f->from, sizeof f->from, "%s", e->node->name);
    ilist_init(&f->link);
    ilist_push_back(&s->frames, &f->link);
    if (len && rng_chance(&s->world, l->corrupt))
        f->data[rng_below(&s->world, len)] ^= (uint8_t)(1u << rng_below(&s->world, 8));
    int64_t at = s->now + link_delay(s, l) + (l->bytes_per_s ? (int64_t)len * 1000000000 / l->bytes_per_s : 0);
    if (rng_chance(&s->world, l->reorder))
        at += rng_range(&s->world, 0, 20 * l->latency_ns);
    timer_init(&f->timer, on_frame_arrived, f);
    timerq_set(&s->queue, &f->timer, at);
}

void sim_frame_send(struct env *env, const char *to, uint16_t to_store, const struct iovec *iov, int count) {
    struct sim_env *e = env_cast(env);
    uint16_t port = 0;
    struct sim_node *n = find_node(e->sim, to, &port);
    if (!n || sim_io(e->node))
        return;
    const struct sim_link *l = &e->sim->links[e->node->id][n->id];
    if (l->cut || rng_chance(&e->sim->world, l->loss))
        return;
    frame_launch(e, n, l, port, to_store, iov, count);
    if (rng_chance(&e->sim->world, l->duplicate))
        frame_launch(e, n, l, port, to_store, iov, count);
}

/* ---- connections: life ------------------------------------------------------------------------------------------- */

static void chunk_free(struct chunk *c) {
    timerq_cancel(&c->pipe->conn->sim->queue, &c->timer);
    ilist_del(&c->link);
    c->pipe->in_flight -= c->len;
    free(c);
}

static void conn_free(struct conn *c) {
    timerq_cancel(&c->sim->queue, &c->step);
    for (int i = 0; i < 2; i++) {
        ilist_for_each(it, &c->pipe[i].chunks)
            chunk_free(ilist_entry(it, struct chunk, link));
        free(c->pipe[i].ready);
    }
    ilist_del(&c->link);
    free(c);
}

/* Freed once both ends are gone and nothing is under way. */
static void conn_maybe_free(struct conn *c) {
    if (c->gone[0] && c->gone[1] && !c->held && !timer_is_set(&c->step))
        conn_free(c);
}

static void on_notify(struct sim_env *e, struct sim_event *ev);

static struct env_stream *stream_new(struct sim_env *e, struct conn *c, int end, enum state state) {
    struct env_stream *s = calloc(1, sizeof *s);
    CHECK(s);
    s->handle.env = &e->env;
    s->conn = c;
    s->end = end;
    s->state = state;
    sim_event_init(&s->notify, e, "stream", on_notify);
    ilist_init(&s->link);
    ilist_push_back(&e->node->streams, &s->link);
    c->end[end] = s;
    c->node[end] = e->node;
    c->incarnation[end] = e->node->incarnation;
    return s;
}

static void notify_soon(struct env_stream *s) {
    if (!timer_is_set(&s->notify.timer))
        sim_event_set(&s->notify, s->notify.env->sim->now);
}

static void tell_readable(struct env_stream *s) {
    s->tell_readable = true;
    if (!s->paused)
        notify_soon(s);
}

static void stream_break(struct env_stream *s, enum rc rc, const char *why) {
    if (!s || s->state == BROKEN)
        return;
    s->state = BROKEN;
    s->broken_rc = rc;
    snprintf(s->why, sizeof s->why, "%s: %s", s->peer, why);
    s->tell_broken = true;
    notify_soon(s);
}

/* Tells the owner everything that is due; a callback may close the stream. */
static void notify_run(struct env_stream *s) {
    struct conn *c = s->conn;
    int end = s->end;
    c->held++;
    if (s->on_arrive) {
        env_on_accept *fn = s->on_arrive;
        s->on_arrive = NULL;
        fn(s->arrive_ctx, s);
    }
#define STILL_THERE (c->end[end] == s)
    if (STILL_THERE && s->tell_open && s->events) {
        s->tell_open = false;
        if (s->events->on_open)
            s->events->on_open(s->ctx);
    }
    if (STILL_THERE && s->tell_readable && !s->paused && s->events) {
        s->tell_readable = false;
        if (s->events->on_readable)
            s->events->on_readable(s->ctx);
    }
    if (STILL_THERE && s->tell_writable && s->events) {
        s->tell_writable = false;
        if (s->events->on_writable)
            s->events->on_writable(s->ctx);
    }
    if (STILL_THERE && s->tell_broken && s->events) {
        s->tell_broken = false;
        if (s->events->on_broken)
            s->events->on_broken(s->ctx, s->broken_rc, s->why);
    }
#undef STILL_THERE
    c->held--;
    conn_maybe_free(c);
}

static void on_notify(struct sim_env *e, struct sim_event *ev) {
    notify_run(container_of(ev, struct env_stream, notify));
    sim_env_turn(e);
}

/* ---- connections: opening ---------------------------------------------------------------------------------------- */

static void on_conn_step(void *ctx) {
    struct conn *c = ctx;
    c->on_step(c);
}

static void step_at(struct conn *c, int64_t at, void (*fn)(struct conn *c)) {
    c->on_step = fn;
    timerq_set(&c->sim->queue, &c->step, at);
}

static void on_reset_arrived(struct conn *c) {
    stream_break(c->end[c->reset_end], c->reset_rc,
                 c->reset_rc == RC_UNREACHABLE ? "connection refused"
                 : c->reset_rc == RC_TIMEOUT   ? "connection timed out"
                                               : "connection reset by peer");
    conn_maybe_free(c);
}

/* End `end` will hear that the connection is no more. */
static void reset_later(struct conn *c, int end, enum rc rc, int64_t delay) {
    if (timer_is_set(&c->step) && c->on_step == on_reset_arrived)
        return;
    c->reset_end = end;
    c->reset_rc = rc;
    step_at(c, c->sim->now + delay, on_reset_arrived);
}

static void on_open_arrived(struct conn *c) {
    struct env_stream *s = c->end[0];
    if (s && s->state == CONNECTING) {
        s->state = OPEN;
        s->tell_open = true;
        notify_soon(s);
    } else if (c->gone[0] && !c->gone[1]) { /* given up meanwhile: the other end learns of it */
        reset_later(c, 1, RC_CLOSED, link_delay(c->sim, sim_link(c->node[0], c->node[1])));
    }
    conn_maybe_free(c);
}

static void on_syn_arrived(struct conn *c) {
    struct sim *s = c->sim;
    struct sim_node *from = c->node[0], *to = c->node[1];
    struct sim_link *back = sim_link(to, from);
    if (c->gone[0]) {
        c->gone[1] = true;
        conn_maybe_free(c);
        return;
    }
    bool silent = sim_link(from, to)->cut || back->cut || (!sim_node_running(to) && to->powered_off) ||
                  rng_chance(&s->world, sim_link(from, to)->loss);
    if (silent) {
        if (++c->tries >= CONNECT_TRIES) {
            c->gone[1] = true;
            reset_later(c, 0, RC_TIMEOUT, 0);
        } else {
            step_at(c, s->now + (SYN_NS << (c->tries - 1)), on_syn_arrived);
        }
        return;
    }
    if (to->paused_until > s->now) {
        step_at(c, to->paused_until, on_syn_arrived);
        return;
    }
    struct sim_port *p = sim_node_running(to) ? find_port(to, c->port, false, 0) : NULL;
    if (!p) {
        c->gone[1] = true;
        reset_later(c, 0, RC_UNREACHABLE, link_delay(s, back));
        return;
    }
    struct env_listener *l = p->listener;
    struct sim_env *e = p->env;
    struct env_stream *a = stream_new(e, c, 1, OPEN);
    snprintf(a->peer, sizeof a->peer, "%s:%u", from->name, 30000 + (unsigned)from->id);
    step_at(c, s->now + link_delay(s, back), on_open_arrived);
    l->on_accept(l->ctx, a);
    sim_env_turn(e);
}

enum rc sim_connect(struct env *env, const char *addr, struct env_stream **ret, struct err *err) {
    struct sim_env *e = env_cast(env);
    uint16_t port = 0;
    struct sim_node *to = find_node(e->sim, addr, &port);
    if (!to && !strchr(addr, ':'))
        return err_set(err, RC_INVAL, "\"%s\" is not an address; write HOST:PORT", addr);
    struct conn *c = calloc(1, sizeof *c);
    CHECK(c);
    c->sim = e->sim;
    c->port = port;
    timer_init(&c->step, on_conn_step, c);
    ilist_init(&c->link);
    ilist_push_back(&e->sim->conns, &c->link);
    for (int i = 0; i < 2; i++) {
        c->pipe[i].conn = c;
        c->pipe[i].from = i;
        ilist_init(&c->pipe[i].chunks);
    }
    struct env_stream *s = stream_new(e, c, 0, CONNECTING);
    snprintf(s->peer, sizeof s->peer, "%s", addr);
    c->node[1] = to ? to : e->node;
    if (!to || e->node->crashed) {
        c->gone[1] = true;
        stream_break(s, RC_UNREACHABLE, "no such host");
    } else {
        sim_io(e->node);
        step_at(c, e->sim->now + link_delay(e->sim, sim_link(e->node, to)), on_syn_arrived);
    }
    *ret = s;
    return RC_OK;
}

enum rc sim_listen(struct env *env, const char *addr, env_on_accept *on_accept, void *ctx, struct env_listener **ret,
                   struct err *err) {
    struct sim_env *e = env_cast(env);
    struct sim_port *p;
    uint16_t port = 0;
    if (find_node(e->sim, addr, &port) == e->node && find_port(e->node, port, false, 0))
        return err_set(err, RC_BUSY, "listen on %s: address in use", addr);
    enum rc rc = claim_port(e, addr, &p, err);
    if (rc)
        return rc;
    struct env_listener *l = calloc(1, sizeof *l);
    CHECK(l);
    l->handle.env = env;
    l->port = p;
    l->on_accept = on_accept;
    l->ctx = ctx;
    snprintf(l->addr, sizeof l->addr, "%s:%u", e->node->name, p->port);
    p->listener = l;
    *ret = l;
    return RC_OK;
}

const char *sim_listener_addr(struct env_listener *l) {
    return l->addr;
}

void sim_listener_close(struct env_listener *l) {
    *l->port = (struct sim_port){0};
    free(l);
}

/* ---- connections: bytes ------------------------------------------------------------------------------------------ */

static void pipe_append(struct pipe *p, const uint8_t *data, size_t len) {
    if (p->ready_at) {
        memmove(p->ready, p->ready + p->ready_at, p->ready_len);
        p->ready_at = 0;
    }
    if (p->ready_len + len > p->ready_cap) {
        p->ready_cap = p->ready_len + len;
        p->ready = realloc(p->ready, p->ready_cap);
        CHECK(p->ready);
    }
    if (len)
        memcpy(p->ready + p->ready_len, data, len);
    p->ready_len += len;
}

/* The chunk did not come through: it, and so all behind it, comes after the sender's back-off. */
static void chunk_retry(struct chunk *ch, int64_t now) {
    struct pipe *p = ch->pipe;
    int64_t rto = RTO_NS << (ch->tries < 8 ? ch->tries : 8);
    if (++ch->tries > RTO_TRIES_MAX) {
        stream_break(p->conn->end[p->from], RC_TIMEOUT, "connection timed out");
        return; /* goes with the connection */
    }
    timerq_set(&p->conn->sim->queue, &ch->timer, now + (rto < RTO_NS_MAX ? rto : RTO_NS_MAX));
}

static void on_chunk_arrived(void *ctx) {
    struct chunk *ch = ctx;
    struct pipe *p = ch->pipe;
    struct conn *c = p->conn;
    struct sim *s = c->sim;
    int to = !p->from;
    struct env_stream *reader = c->end[to];
    if (sim_link(c->node[p->from], c->node[to])->cut) {
        chunk_retry(ch, s->now);
        return;
    }
    if (!reader && c->gone[to]) {
        /* Nobody there: a live kernel answers with a reset, a dead one not at all. */
        bool dead = !sim_node_running(c->node[to]) && c->node[to]->powered_off;
        if (dead) {
            chunk_retry(ch, s->now);
            return;
        }
        if (!ch->fin && c->end[p->from])
            reset_later(c, p->from, RC_CLOSED, link_delay(s, sim_link(c->node[to], c->node[p->from])));
        chunk_free(ch);
        conn_maybe_free(c);
        return;
    }
    /* In order: one that was held up holds up the rest. */
    struct chunk *first = ilist_first(&p->chunks, struct chunk, link);
    if (first != ch) {
        timerq_set(&s->queue, &ch->timer, (timer_is_set(&first->timer) ? first->timer.due_ns : s->now + RTO_NS) + 1);
        return;
    }
    if (!reader) { /* accepted, but the acceptance is still on its way here: cannot be, arrival follows the SYN */
        timerq_set(&s->queue, &ch->timer, s->now + 1000);
        return;
    }
    sim_mix(s, hash_bytes(ch->data, ch->len, (uint64_t)c->node[to]->id + 1));
    pipe_append(p, ch->data, ch->len);
    p->fin_ready |= ch->fin;
    chunk_free(ch);
    tell_readable(reader);
}

static void chunk_send(struct pipe *p, const uint8_t *data, size_t len, bool fin) {
    struct conn *c = p->conn;
    struct sim *s = c->sim;
    const struct sim_link *l = sim_link(c->node[p->from], c->node[!p->from]);
    struct chunk *ch = calloc(1, sizeof *ch + len);
    CHECK(ch);
    ch->pipe = p;
    ch->len = len;
    ch->fin = fin;
    if (len)
        memcpy(ch->data, data, len);
    if (len && rng_chance(&s->world, l->corrupt))
        ch->data[rng_below(&s->world, len)] ^= (uint8_t)(1u << rng_below(&s->world, 8));
    ilist_init(&ch->link);
    ilist_push_back(&p->chunks, &ch->link);
    p->in_flight += len;
    if (p->line_free < s->now)
        p->line_free = s->now;
    if (l->bytes_per_s)
        p->line_free += (int64_t)len * 1000000000 / l->bytes_per_s;
    int64_t at = p->line_free + link_delay(s, l) + (rng_chance(&s->world, l->loss) ? RTO_NS : 0);
    if (at <= p->last_arrival)
        at = p->last_arrival + 1;
    p->last_arrival = at;
    timer_init(&ch->timer, on_chunk_arrived, ch);
    timerq_set(&s->queue, &ch->timer, at);
}

void sim_stream_events(struct env_stream *s, const struct env_stream_events *events, void *ctx) {
    s->events = events;
    s->ctx = ctx;
    const struct pipe *in = &s->conn->pipe[!s->end];
    if (in->ready_len || in->fin_ready)
        s->tell_readable = true;
    if (s->tell_readable || s->tell_open || s->tell_writable || s->tell_broken)
        notify_soon(s);
}

/* The writer's window opens when the news of the read has travelled. */
static void open_window(struct env_stream *reader) {
    struct conn *c = reader->conn;
    struct env_stream *w = c->end[!reader->end];
    if (!w || !w->want_write || w->state != OPEN)
        return;
    const struct sim_link *l = sim_link(c->node[reader->end], c->node[!reader->end]);
    w->want_write = false;
    w->tell_writable = true;
    if (!timer_is_set(&w->notify.timer))
        sim_event_set(&w->notify, c->sim->now + link_delay(c->sim, l) + (l->cut ? RTO_NS_MAX : 0));
}

enum rc sim_stream_read(struct env_stream *s, void *to, size_t bytes, size_t *ret_bytes) {
    struct pipe *p = &s->conn->pipe[!s->end];
    *ret_bytes = 0;
    if (s->state == BROKEN)
        return RC_CLOSED;
    if (!p->ready_len)
        return p->fin_ready ? RC_CLOSED : RC_OK;
    size_t n = bytes < p->ready_len ? bytes : p->ready_len;
    memcpy(to, p->ready + p->ready_at, n);
    p->ready_at += n;
    p->ready_len -= n;
    if (!p->ready_len)
        p->ready_at = 0;
    *ret_bytes = n;
    /* After a read that came back short the end still has to be told. */
    if (n < bytes && p->fin_ready)
        tell_readable(s);
    open_window(s);
    return RC_OK;
}

enum rc sim_stream_write(struct env_stream *s, const struct iovec *iov, int count, size_t *ret_bytes) {
    struct pipe *p = &s->conn->pipe[s->end];
    size_t total = 0, want = 0;
    *ret_bytes = 0;
    if (s->state == BROKEN)
        return RC_CLOSED;
    if (s->state != OPEN)
        return RC_OK;
    if (sim_io(env_cast(env_of(s))->node)) {
        stream_break(s, RC_CLOSED, "the process died");
        return RC_CLOSED;
    }
    size_t used = p->in_flight + p->ready_len, room = used < WINDOW_BYTES ? WINDOW_BYTES - used : 0;
    struct buf all;
    buf_init(&all, 0);
    for (int i = 0; i < count; i++) {
        size_t n = iov[i].iov_len < room - total ? iov[i].iov_len : room - total;
        buf_put(&all, iov[i].iov_base, n);
        total += n;
        want += iov[i].iov_len;
    }
    if (total)
        chunk_send(p, all.data, total, false);
    buf_done(&all);
    *ret_bytes = total;
    if (total < want)
        s->want_write = true;
    return RC_OK;
}

void sim_stream_pause(struct env_stream *s, bool pause) {
    s->paused = pause;
    if (!pause && s->tell_readable)
        notify_soon(s);
}

const char *sim_stream_peer(struct env_stream *s) {
    return s->peer;
}

void sim_stream_move(struct env_stream *s, struct env *to, env_on_accept *on_arrive, void *ctx) {
    struct sim_env *e = env_cast(to);
    CHECK(env_of(s) != to ? e->node == env_cast(env_of(s))->node : true);
    sim_event_cancel(e->sim, &s->notify);
    s->handle.env = to;
    s->notify.env = e;
    s->events = NULL;
    s->on_arrive = on_arrive;
    s->arrive_ctx = ctx;
    sim_event_set(&s->notify, e->sim->now + rng_range(&e->sim->world, 1, 8000));
}

void sim_stream_close(struct env_stream *s) {
    struct conn *c = s->conn;
    struct sim_env *e = s->notify.env;
    sim_event_cancel(e->sim, &s->notify);
    if (s->state == OPEN && !e->node->crashed)
        chunk_send(&c->pipe[s->end], NULL, 0, true);
    ilist_del(&s->link);
    c->end[s->end] = NULL;
    c->gone[s->end] = true;
    if (s->state == CONNECTING && !e->node->crashed && timer_is_set(&c->step)) {
        free(s); /* the SYN finds nobody behind it and frees the rest */
        return;
    }
    if (s->state == CONNECTING)
        c->gone[1] = true;
    free(s);
    conn_maybe_free(c);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

void sim_reset_streams(struct sim_node *a, struct sim_node *b) {
    ilist_for_each(it, &a->sim->conns) {
        struct conn *c = ilist_entry(it, struct conn, link);
        if ((c->node[0] == a && c->node[1] == b) || (c->node[0] == b && c->node[1] == a)) {
            stream_break(c->end[0], RC_CLOSED, "connection reset by peer");
            stream_break(c->end[1], RC_CLOSED, "connection reset by peer");
        }
    }
}

/* The peers of a process that died. Its own ends are closed by its ghost. */
void sim_net_node_down(struct sim_node *n, enum sim_crash how) {
    ilist_for_each(it, &n->streams) {
        struct env_stream *s = ilist_entry(it, struct env_stream, link);
        struct conn *c = s->conn;
        int other = !s->end;
        if (how == SIM_KILL && c->end[other] && c->end[other]->state == OPEN && s->state == OPEN &&
            !sim_link(n, c->node[other])->cut)
            reset_later(c, other, RC_CLOSED, link_delay(n->sim, sim_link(n, c->node[other])));
        stream_break(s, RC_CLOSED, "the process died");
    }
}

/* Tells a ghost's streams what they still have to be told. */
bool sim_net_drain(struct sim_env *e) {
    ilist_for_each(it, &e->node->streams) {
        struct env_stream *s = ilist_entry(it, struct env_stream, link);
        if (s->notify.env != e || !timer_is_set(&s->notify.timer))
            continue;
        sim_event_cancel(e->sim, &s->notify);
        notify_run(s);
        return true; /* the list may have changed */
    }
    return false;
}

void sim_net_done(struct sim *s) {
    ilist_for_each(it, &s->frames) {
        struct frame *f = ilist_entry(it, struct frame, link);
        timerq_cancel(&s->queue, &f->timer);
        ilist_del(&f->link);
        free(f);
    }
    ilist_for_each(it, &s->conns)
        conn_free(ilist_entry(it, struct conn, link));
}

/* ---- TLS is not simulated: what it adds is tested on real sockets ------------------------------------------------- */

enum rc sim_tls_new(struct env *env, const struct env_tls_conf *conf, struct env_tls **ret, struct err *err) {
    (void)env, (void)conf, (void)ret;
    return err_set(err, RC_UNSUPPORTED, "the simulator has no TLS");
}

void sim_tls_free(struct env_tls *tls) {
    (void)tls;
}

size_t sim_tls_binding(struct env_tls *tls, uint8_t *to) {
    (void)tls, (void)to;
    return 0;
}

enum rc sim_stream_tls(struct env_stream *s, struct env_tls *tls, bool server, struct err *err) {
    (void)s, (void)tls, (void)server;
    return err_set(err, RC_UNSUPPORTED, "the simulator has no TLS");
}
