/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_mail.c: messages of the transaction layer between stores, and the time of sites.
 *
 * A message is for the owner of a key, as far as its sender knows. Who gets it and does not lead that tablet passes it on to
 * whom he knows to lead it, a few hops at most; who knows nobody sends it back, and its sender forgets where he thought the key
 * was. Lost messages are sent again by the sites and gateways that need an answer, so nothing here waits or retries.
 *
 * Messages to the own store wait in an inbox for a fiber of their own: a site that is being drained is not called again from
 * within.
 */
#include <stdlib.h>

#include "shard/runtime/ttwait.h"
#include "txn/host_internal.h"
#include "txn/serve.pb-c.h"

static const int64_t TICK_NS = 20000000, LOOKUP_NS = 2000000000, LATE_NS = 10000000000, TIME_NS_MAX = INT64_C(1) << 50;

enum { HELD_MAX = 64 };
static const int64_t HOLD_NS = 1000000;

struct mail {
    struct ilist link;
    struct txn_hosts *all;
    uint64_t gateway;
    uint32_t hops;
    int64_t not_before;
    struct store_addr from;
    uint64_t tablet;
    bool timed;
    px_store by; /* with a vote's times: who speaks */
    uint64_t by_tablet;
    struct host_times times;
    size_t n_votes, key_bytes, msg_bytes;
    uint8_t *bytes; /* key, then message; behind the votes */
    struct host_vote votes[];
};

/* ---- where the time went ------------------------------------------------------------------------------------------------ */

static struct host_note *note_place(struct txn_hosts *hs, uint64_t tablet, const struct txn_id *id) {
    return &hs->note[(txn_id_hash(id) ^ tablet * 0x9e3779b97f4a7c15u) % HOST_NOTES];
}

const struct host_note *note_find(struct txn_hosts *hs, uint64_t tablet, const struct txn_id *id) {
    const struct host_note *n = note_place(hs, tablet, id);
    return n->tablet == tablet && txn_id_eq(&n->id, id) ? n : NULL;
}

static struct host_note *note_get(struct txn_hosts *hs, uint64_t tablet, const struct txn_id *id) {
    struct host_note *n = note_place(hs, tablet, id);
    if (n->tablet != tablet || !txn_id_eq(&n->id, id)) {
        n->id = *id;
        n->tablet = tablet;
        n->arrived_ns = 0;
        n->votes = 0;
    }
    return n;
}

void note_arrival(struct txn_hosts *hs, uint64_t tablet, const struct txn_id *id) {
    struct host_note *n = note_get(hs, tablet, id);
    if (n->arrived_ns) /* asked again */
        return;
    n->arrived_ns = env_now_ns(hs->env);
    for (uint32_t i = 0; i < n->votes; i++) /* so far as by the clock */
        n->vote[i].at_ns -= n->arrived_ns;
}

void note_vote(struct txn_hosts *hs, uint64_t tablet, const struct txn_id *id, const struct host_vote *v) {
    struct host_note *n = note_get(hs, tablet, id);
    for (uint32_t i = 0; i < n->votes; i++)
        if (n->vote[i].store == v->store && n->vote[i].tablet == v->tablet)
            return;
    if (n->votes == HOST_VOTES_MAX)
        return;
    n->vote[n->votes] = *v;
    n->vote[n->votes++].at_ns = env_now_ns(hs->env) - n->arrived_ns;
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

static struct mail *mail_new(struct txn_hosts *hs, struct txn_key key, uint64_t gateway, const void *msg, size_t bytes,
                             size_t n_votes) {
    size_t head = sizeof(struct mail) + n_votes * sizeof(struct host_vote);
    struct mail *m = malloc(head + key.n + bytes);
    if (!m)
        return NULL;
    *m = (struct mail){.all = hs, .gateway = gateway, .n_votes = n_votes, .key_bytes = key.n, .msg_bytes = bytes};
    m->bytes = (uint8_t *)m + head;
    m->from = rpc_self(hs->store->rpc);
    ilist_init(&m->link);
    if (key.n)
        memcpy(m->bytes, key.p, key.n);
    if (bytes)
        memcpy(m->bytes + key.n, msg, bytes);
    return m;
}

static void into_inbox(struct txn_hosts *hs, struct mail *m) {
    if (hs->stopping || hs->inbox_count >= HOST_INBOX_MAX) {
        free(m);
        return;
    }
    hs->inbox_count++;
    ilist_push_back(&hs->inbox, &m->link);
    waitq_wake_one(&hs->mail, RC_OK);
}

enum { TIMES_SENT = HOST_TIMES + 2 };

static void times_put(const struct host_times *t, int64_t to[TIMES_SENT]) {
    memcpy(to, t->ns, sizeof t->ns);
    to[HOST_TIMES] = t->before_ns;
    to[HOST_TIMES + 1] = t->all_ns;
}

/* Of another store's clock: whatever it says must not go back in time. */
static void times_get(const int64_t *from, size_t n, struct host_times *t) {
    int64_t all[TIMES_SENT] = {0};
    for (size_t i = 0; i < n && i < TIMES_SENT; i++)
        all[i] = from[i] < 0 || from[i] > TIME_NS_MAX ? 0 : from[i];
    memcpy(t->ns, all, sizeof t->ns);
    t->before_ns = all[HOST_TIMES];
    t->all_ns = all[HOST_TIMES + 1];
}

static void send_frame(struct txn_hosts *hs, px_store to, const struct mail *m) {
    Serve__Envelope e = SERVE__ENVELOPE__INIT;
    e.key = (ProtobufCBinaryData){m->key_bytes, (uint8_t *)(uintptr_t)m->bytes};
    e.msg = (ProtobufCBinaryData){m->msg_bytes, (uint8_t *)(uintptr_t)m->bytes + m->key_bytes};
    e.gateway = m->gateway;
    e.hops = m->hops + 1;
    e.tablet = m->tablet;
    int64_t times[HOST_VOTES_MAX + 1][TIMES_SENT];
    Serve__Vote votes[HOST_VOTES_MAX], *list[HOST_VOTES_MAX];
    times_put(&m->times, times[0]);
    e.times = times[0];
    e.n_times = m->timed ? TIMES_SENT : 0;
    e.by = m->by;
    e.by_tablet = m->by_tablet;
    for (size_t i = 0; i < m->n_votes; i++) {
        serve__vote__init(&votes[i]);
        votes[i].store = m->votes[i].store;
        votes[i].tablet = m->votes[i].tablet;
        votes[i].at_ns = m->votes[i].at_ns;
        times_put(&m->votes[i].times, times[i + 1]);
        votes[i].times = times[i + 1];
        votes[i].n_times = TIMES_SENT;
        list[i] = &votes[i];
    }
    e.votes = list;
    e.n_votes = m->n_votes;
    counter_inc(&hs->stats.messages_out);
    IGNORE(rpc_send(hs->store->rpc, px_store_addr(to), HOST_TYPE_ENVELOPE, &e.base, NULL, NULL)); /* may be lost */
}

static void bounce(struct txn_hosts *hs, const struct mail *m) {
    Serve__Envelope e = SERVE__ENVELOPE__INIT;
    struct store_addr self = rpc_self(hs->store->rpc);
    if (m->from.node == self.node && m->from.store == self.store)
        return;
    e.tablet = m->tablet;
    e.bounced = true;
    counter_inc(&hs->stats.bounced);
    IGNORE(rpc_send(hs->store->rpc, m->from, HOST_TYPE_ENVELOPE, &e.base, NULL, NULL));
}

/* Whom the directory's word makes us ask; 0: nobody. Without a leader one member after the other. */
static px_store choose(struct txn_hosts *hs, const struct directory_tablet *d, uint32_t turn) {
    px_store self = px_store_of(rpc_self(hs->store->rpc));
    if (d->leader && d->leader != self)
        return d->leader;
    for (uint32_t i = 0; i < d->config.count; i++) {
        const struct px_member *m = &d->config.member[(turn + i) % d->config.count];
        if (px_is_voter(m) && m->store != self)
            return m->store;
    }
    return 0;
}

/* Nobody here knows the key's owner: asks the directory. */
static void lookup_main(void *arg) {
    struct mail *m = arg;
    struct txn_hosts *hs = m->all;
    struct directory_tablet d;
    struct mvcc_bytes key = {m->bytes, m->key_bytes};
    int64_t deadline = reactor_deadline(hs->reactor, LOOKUP_NS);
    px_store to = 0;
    if (directory_find(hs->store->directory, key, deadline, &d, NULL) == RC_OK) {
        to = choose(hs, &d, m->hops);
        m->tablet = d.id;
    }
    if (to)
        send_frame(hs, to, m);
    else
        counter_inc(&hs->stats.unroutable);
    free(m);
}

/* To another store. Takes m. */
static void pass_on(struct txn_hosts *hs, struct mail *m) {
    struct mvcc_bytes key = {m->bytes, m->key_bytes};
    struct directory_tablet d;
    struct tablet *t = hs->store->tablets ? tablets_find_key(hs->store->tablets, key) : NULL;
    px_store self = px_store_of(rpc_self(hs->store->rpc)), to = 0;
    if (m->hops >= HOST_HOPS_MAX) {
        bounce(hs, m);
        free(m);
        return;
    }
    if (t) {
        to = replica_leader(tablet_replica(t));
        m->tablet = tablet_id(t);
        if (to == self)
            to = 0; /* it does not lead yet, or not any more */
    }
    if (!to && directory_known(hs->store->directory, key, &d)) {
        to = choose(hs, &d, m->hops);
        m->tablet = d.id;
        if (!t && d.leader == self)
            directory_forget(hs->store->directory, d.id);
    }
    if (to) {
        send_frame(hs, to, m);
        free(m);
    } else if (fiber_spawn(hs->reactor, &hs->fibers, FIBER_LARGE, "txn lookup", lookup_main, m) != RC_OK) {
        free(m);
    }
}

/* Does this store lead the key's tablet? */
static struct txn_host *own_host(struct txn_hosts *hs, const struct mail *m) {
    struct mvcc_bytes key = {m->bytes, m->key_bytes};
    struct tablet *t = hs->store->tablets ? tablets_find_key(hs->store->tablets, key) : NULL;
    struct txn_host *h = t ? tablet_upper(t) : NULL;
    return h && host_leads(h) ? h : NULL;
}

static void post(struct txn_hosts *hs, struct mail *m) {
    px_store self = px_store_of(rpc_self(hs->store->rpc));
    if (m->gateway ? m->gateway == self : own_host(hs, m) != NULL) {
        counter_inc(&hs->stats.messages_local);
        into_inbox(hs, m);
    } else if (m->gateway) {
        send_frame(hs, m->gateway, m);
        free(m);
    } else {
        pass_on(hs, m);
    }
}

static void later_main(void *arg) {
    struct mail *m = arg;
    struct txn_hosts *hs = m->all;
    if (tt_wait_until_after(hs->reactor, &hs->store->clock, m->not_before, reactor_deadline(hs->reactor, LATE_NS)) ==
        RC_OK)
        post(hs, m);
    else
        free(m);
}

void hosts_send_at(struct txn_hosts *hs, struct txn_key key, uint64_t gateway, const void *msg, size_t bytes,
                   int64_t not_before, const struct mail_times *times) {
    size_t n_votes = times ? times->n_votes : 0;
    struct mail *m = hs->stopping ? NULL : mail_new(hs, key, gateway, msg, bytes, n_votes);
    if (!m)
        return;
    m->not_before = not_before;
    if (times) {
        m->timed = true;
        m->times = times->times;
        m->by = px_store_of(rpc_self(hs->store->rpc));
        m->by_tablet = times->tablet;
        if (n_votes)
            memcpy(m->votes, times->votes, n_votes * sizeof *m->votes);
    }
    if (not_before <= 0 || tt_after(&hs->store->clock, not_before))
        post(hs, m);
    else if (fiber_spawn(hs->reactor, &hs->fibers, FIBER_SMALL, "txn commit wait", later_main, m) != RC_OK)
        free(m);
}

void hosts_send(struct txn_hosts *hs, struct txn_key key, uint64_t gateway, const void *msg, size_t bytes) {
    hosts_send_at(hs, key, gateway, msg, bytes, 0, NULL);
}

void hosts_send_msg(struct txn_hosts *hs, struct txn_key key, uint64_t gateway, const struct txn_msg *m) {
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 0);
    if (txn_msg_encode(m, &a, &b) == RC_OK)
        hosts_send_at(hs, key, gateway, b.data, b.len, 0, NULL);
    buf_done(&b);
    arena_done(&a);
}

/* ---- receiving ------------------------------------------------------------------------------------------------------- */

static void note_mail(struct txn_host *h, const struct txn_msg *msg, const struct mail *m) {
    if (msg->type == TXN_MSG_COMMIT || msg->type == TXN_MSG_PREPARE)
        note_arrival(h->all, h->id, &msg->ref.id);
    else if (msg->type == TXN_MSG_VOTE && m->timed)
        note_vote(h->all, h->id, &msg->ref.id,
                  &(struct host_vote){.store = m->by, .tablet = m->by_tablet, .times = m->times});
}

/* A commit of one that has written more than an entry holds: first its writes go into the log. */
static void spill_main(void *arg) {
    struct mail *m = arg;
    struct txn_hosts *hs = m->all;
    struct txn_host *h = own_host(hs, m);
    struct txn_msg msg;
    struct arena a;
    arena_init(&a, 0);
    if (h && txn_msg_decode(m->bytes + m->key_bytes, m->msg_bytes, &a, &msg, NULL) == RC_OK) {
        host_ref(h);
        enum rc rc = host_spill(h, &msg.ref.id, reactor_deadline(hs->reactor, LATE_NS), NULL);
        host_unref(h);
        h = own_host(hs, m); /* without its writes in the log the site refuses it */
        if (h && rc != RC_CANCELLED) {
            struct txn_facts f = host_facts(h);
            note_mail(h, &msg, m);
            site_message(h->site, &msg, &f);
            host_drain(h);
        }
    }
    arena_done(&a);
    free(m);
}

static bool is_large(struct txn_host *h, const struct txn_msg *m) {
    struct guest *g = m->type == TXN_MSG_COMMIT || m->type == TXN_MSG_PREPARE ? guest_find(h, &m->ref.id) : NULL;
    return g && guest_is_large(g);
}

/* An outcome frees locks and snapshots of the past. If nobody waits for either here, it need not have a sync of the log of its own: it
 * goes behind the next record of any transaction, into the batch that is gathered while that one is synced, or after HOLD_NS. For the
 * protocol it is a message that came later (T-12). */
static bool hold(struct txn_host *h, const struct txn_msg *msg, struct mail *m) {
    struct txn_hosts *hs = h->all;
    if (msg->type != TXN_MSG_OUTCOME || msg->verdict != TXN_COMMITTED || h->waits.count > 0 || !waitq_empty(&h->safe) ||
        hs->held_count == HELD_MAX || hs->stopping)
        return false;
    if (hs->held_count++ == 0) {
        hs->held_until = env_now_ns(hs->env) + HOLD_NS;
        if (hs->wake_ns > hs->held_until)
            waitq_wake_all(&hs->ticker, RC_OK);
    }
    ilist_push_back(&hs->held, &m->link);
    return true;
}

static void deliver(struct txn_hosts *hs, struct mail *m, bool may_hold) {
    struct txn_host *h = m->gateway ? NULL : own_host(hs, m);
    struct txn_msg msg;
    struct arena a;
    if (!m->gateway && !h) {
        counter_inc(&hs->stats.forwarded);
        pass_on(hs, m);
        return;
    }
    arena_init(&a, 0);
    if (txn_msg_decode(m->bytes + m->key_bytes, m->msg_bytes, &a, &msg, NULL) == RC_OK) {
        if (h && may_hold && hold(h, &msg, m)) {
            arena_done(&a);
            return;
        }
        if (h && is_large(h, &msg)) {
            arena_done(&a);
            if (fiber_spawn(hs->reactor, &hs->fibers, FIBER_LARGE, "txn spill", spill_main, m) != RC_OK)
                free(m); /* asked again */
            return;
        }
        if (h) {
            struct txn_facts f = host_facts(h);
            note_mail(h, &msg, m);
            site_message(h->site, &msg, &f);
            host_drain(h);
            host_poke(h);
        } else if (hs->client) {
            hs->to_gateway(hs->client, &msg, &m->times, m->votes, m->n_votes);
        }
    }
    arena_done(&a);
    free(m);
}

void hosts_release(struct txn_hosts *hs) {
    struct ilist *l;
    while ((l = ilist_pop_front(&hs->held))) {
        hs->held_count--;
        deliver(hs, ilist_entry(l, struct mail, link), false);
    }
}

static void mail_main(void *arg) {
    struct txn_hosts *hs = arg;
    for (;;) {
        struct ilist *l = ilist_pop_front(&hs->inbox);
        if (!l) {
            if (waitq_wait(hs->reactor, &hs->mail, DEADLINE_NONE) != RC_OK)
                return;
            continue;
        }
        hs->inbox_count--;
        deliver(hs, ilist_entry(l, struct mail, link), true);
        if (fiber_slice_over(hs->reactor) && fiber_yield(hs->reactor) != RC_OK)
            return;
    }
}

static void on_envelope(void *ctx, struct rpc_request *q) {
    struct txn_hosts *hs = ctx;
    const Serve__Envelope *e = (const Serve__Envelope *)q->message;
    counter_inc(&hs->stats.messages_in);
    if (e->bounced) {
        directory_forget(hs->store->directory, e->tablet);
        return;
    }
    if (e->key.len > TXN_KEY_BYTES_MAX || e->hops > 2 * HOST_HOPS_MAX)
        return;
    size_t n_votes = e->n_votes < HOST_VOTES_MAX ? e->n_votes : HOST_VOTES_MAX;
    struct mail *m =
        mail_new(hs, (struct txn_key){e->key.data, e->key.len}, e->gateway, e->msg.data, e->msg.len, n_votes);
    if (!m)
        return;
    m->hops = e->hops;
    m->from = q->from;
    m->tablet = e->tablet;
    m->timed = e->n_times > 0;
    m->by = e->by;
    m->by_tablet = e->by_tablet;
    times_get(e->times, e->n_times, &m->times);
    for (size_t i = 0; i < n_votes; i++) {
        m->votes[i] =
            (struct host_vote){.store = e->votes[i]->store, .tablet = e->votes[i]->tablet, .at_ns = e->votes[i]->at_ns};
        if (m->votes[i].at_ns > TIME_NS_MAX || m->votes[i].at_ns < -TIME_NS_MAX)
            m->votes[i].at_ns = 0;
        times_get(e->votes[i]->times, e->votes[i]->n_times, &m->votes[i].times);
    }
    into_inbox(hs, m);
}

static void on_alive(void *ctx, struct rpc_request *q) {
    struct txn_hosts *hs = ctx;
    const Serve__Alive *a = (const Serve__Alive *)q->message;
    for (size_t i = 0; i < a->n_refs && i < a->n_tablets; i++) {
        struct txn_id id = {a->refs[i]->gateway, a->refs[i]->incarnation, a->refs[i]->counter};
        struct txn_host *h = host_find(hs, a->tablets[i]);
        if (!h)
            continue;
        struct txn_facts f = host_facts(h);
        site_alive(h->site, &id, &f);
        host_drain(h);
    }
}

/* ---- time ------------------------------------------------------------------------------------------------------------ */

void host_poke(struct txn_host *h) {
    struct txn_hosts *hs = h->all;
    if (hs->wake_ns > env_now_ns(hs->env) + TICK_NS)
        waitq_wake_all(&hs->ticker, RC_OK);
}

/* When it is to be looked at again: soon while anybody has locks, since then its times change with each request. */
static int64_t tick_one(struct txn_host *h) {
    int64_t now = env_now_ns(h->all->env);
    struct lock_stats locks = {0};
    if (!site_leads(h->site))
        return INT64_MAX;
    if (site_wake_ns(h->site) <= now) {
        struct txn_facts f = host_facts(h);
        site_tick(h->site, &f);
    }
    host_drain(h);
    lock_stats(site_locks(h->site), &locks);
    int64_t wake = site_wake_ns(h->site), soon = now + TICK_NS;
    if (locks.txns && wake > soon)
        wake = soon;
    return wake > now ? wake : now + 1;
}

static void ticker_main(void *arg) {
    struct txn_hosts *hs = arg;
    for (;;) {
        hs->wake_ns = INT64_MAX;
        if (hs->held_count > 0 && env_now_ns(hs->env) >= hs->held_until)
            hosts_release(hs);
        if (hs->held_count > 0)
            hs->wake_ns = hs->held_until;
        ilist_for_each(it, &hs->hosts) {
            int64_t wake = tick_one(ilist_entry(it, struct txn_host, link));
            hs->wake_ns = wake < hs->wake_ns ? wake : hs->wake_ns;
        }
        enum rc rc = waitq_wait(hs->reactor, &hs->ticker, hs->wake_ns);
        if (rc && rc != RC_TIMEOUT)
            return;
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static const struct rpc_service services[] = {
    {.type = HOST_TYPE_ENVELOPE,
     .name = "txn.message",
     .request = &serve__envelope__descriptor,
     .message = on_envelope,
     .direct = true},
    {.type = HOST_TYPE_ALIVE,
     .name = "txn.alive",
     .request = &serve__alive__descriptor,
     .message = on_alive,
     .size = FIBER_LARGE},
};

enum rc txn_hosts_new(struct node_store *s, struct txn_hosts **ret, struct err *err) {
    struct txn_hosts *hs = calloc(1, sizeof *hs);
    enum rc rc = RC_OK;
    if (!hs)
        return err_set(err, RC_NOMEM, "out of memory");
    hs->store = s;
    hs->reactor = s->reactor;
    hs->env = s->env;
    ilist_init(&hs->hosts);
    ilist_init(&hs->inbox);
    fiber_group_init(&hs->fibers);
    waitq_init(&hs->ticker);
    waitq_init(&hs->mail);
    ilist_init(&hs->held);
    for (size_t i = 0; i < ARRAY_LEN(services) && !rc; i++)
        rc = rpc_register(s->rpc, &services[i], hs);
    if (!rc)
        rc = serve_register(hs);
    if (!rc)
        rc = fiber_spawn(hs->reactor, &hs->fibers, FIBER_LARGE, "txn messages", mail_main, hs);
    if (!rc)
        rc = fiber_spawn(hs->reactor, &hs->fibers, FIBER_LARGE, "txn ticker", ticker_main, hs);
    if (rc) /* what was spawned ends with the reactor; hs is the node's to free */
        err_set(err, rc, "the transaction layer of store %u: %s", s->number, rc_text(rc));
    *ret = hs;
    return rc;
}

void txn_hosts_stop(struct txn_hosts *hs) {
    hs->stopping = true;
    hs->client = NULL;
    fiber_group_cancel(&hs->fibers);
}

bool txn_hosts_idle(const struct txn_hosts *hs) {
    return hs->fibers.count == 0;
}

void txn_hosts_free(struct txn_hosts *hs) {
    struct ilist *l;
    if (!hs)
        return;
    CHECK(txn_hosts_idle(hs) && ilist_empty(&hs->hosts));
    while ((l = ilist_pop_front(&hs->inbox)))
        free(ilist_entry(l, struct mail, link));
    while ((l = ilist_pop_front(&hs->held)))
        free(ilist_entry(l, struct mail, link));
    free(hs);
}
