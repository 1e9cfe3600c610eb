/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c: the gateway's transactions: beginning, failing, ending, and what tablets tell of them.
 */
#include "txn/client.h"

#include <stdlib.h>

#include "txn/client_internal.h"

static const int64_t ALIVE_NS = 1000000000, FUTURE_NS_MAX = 500000000;
enum { OPEN_MAX = 65536 };

/* ---- the store's client ------------------------------------------------------------------------------------------------ */

static struct txn *find(struct txn_client *c, const struct txn_id *id) {
    for (struct map_node *n = map_first(&c->by_id, txn_id_hash(id)); n; n = map_next(n))
        if (txn_id_eq(&container_of(n, struct txn, node)->ref.id, id))
            return container_of(n, struct txn, node);
    return NULL;
}

/* A site speaks to this gateway. */
static void on_message(struct txn_client *c, const struct txn_msg *m, const struct host_times *times,
                       const struct host_vote *votes, size_t n_votes) {
    if (m->type == TXN_MSG_TOKEN)
        return; /* asked for by calls */
    struct txn *t = find(c, &m->ref.id);
    if (!t)
        return; /* over here */
    switch (m->type) {
    case TXN_MSG_DONE:
        if (t->answered || !t->committing)
            return;
        t->answered = true;
        t->verdict = m->verdict;
        t->commit_ts = m->s_min;
        t->abort_why = m->why;
        t->done_times = *times;
        t->n_votes = n_votes < HOST_VOTES_MAX ? n_votes : HOST_VOTES_MAX;
        if (t->n_votes)
            memcpy(t->votes, votes, t->n_votes * sizeof *votes);
        waitq_wake_all(&t->news, RC_OK);
        break;
    case TXN_MSG_WOUNDED:
        if (t->phase == TXN_OPEN)
            txn_mark_others(t, &m->why, m->span);
        break;
    case TXN_MSG_LOST:
        if (t->phase == TXN_OPEN && !t->committing && !t->lost) {
            t->lost = true;
            t->abort_why = m->why;
        }
        break;
    default:
        break;
    }
}

/* What this store's open and idle transactions hold must not be taken for that of a dead gateway (T-15). */
static void keep_alive(struct txn *t, int64_t now) {
    struct txn_client *c = t->c;
    if (t->phase != TXN_OPEN || now - t->last_ns < ALIVE_NS)
        return;
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        struct txn_host *h = v->store == client_self(c) ? host_find(c->hosts, v->tablet) : NULL;
        if (h) {
            struct txn_facts f = host_facts(h);
            site_alive(h->site, &t->ref.id, &f);
            host_drain(h);
            continue;
        }
        Serve__Alive a = SERVE__ALIVE__INIT;
        Serve__Ref r = SERVE__REF__INIT, *refs[1] = {&r};
        r.gateway = t->ref.id.gateway;
        r.incarnation = t->ref.id.incarnation;
        r.counter = t->ref.id.counter;
        a.n_refs = a.n_tablets = 1;
        a.refs = refs;
        a.tablets = &v->tablet;
        IGNORE(rpc_send(c->store->rpc, px_store_addr(v->store), HOST_TYPE_ALIVE, &a.base, NULL, NULL)); /* and again */
    }
}

static void keeper_main(void *arg) {
    struct txn_client *c = arg;
    while (fiber_sleep(c->reactor, ALIVE_NS) == RC_OK) {
        int64_t now = env_now_ns(c->env);
        ilist_for_each(it, &c->open)
            keep_alive(ilist_entry(it, struct txn, link), now);
    }
}

static void metrics_of(struct txn_client *c) {
    const struct txn_client_stats *s = &c->stats;
    const struct txn_hosts_stats *h = &c->hosts->stats;
    static const char committed[] = "meridian_txn_committed_total", committed_help[] = "Transactions committed here.";
    static const char requests[] = "meridian_txn_requests_total", requests_help[] = "Requests to tablets.";
    static const char reads[] = "meridian_txn_reads_total", reads_help[] = "Read-only requests, by who answered.";
    const struct metric list[] = {
        {"meridian_txn_begun_total", "Transactions begun here.", "", METRIC_COUNTER, 1, &s->begun, NULL},
        {committed, committed_help, "way=\"one tablet\"", METRIC_COUNTER, 1, &s->committed_one, NULL},
        {committed, committed_help, "way=\"two phases\"", METRIC_COUNTER, 1, &s->committed_two, NULL},
        {committed, committed_help, "way=\"read-only\"", METRIC_COUNTER, 1, &s->committed_read, NULL},
        {"meridian_txn_aborted_total", "Transactions rolled back or aborted.", "", METRIC_COUNTER, 1, &s->aborted,
         NULL},
        {"meridian_txn_unknown_total", "Commits without an answer in time.", "", METRIC_COUNTER, 1, &s->unknown, NULL},
        {requests, requests_help, "way=\"local\"", METRIC_COUNTER, 1, &s->requests_local, NULL},
        {requests, requests_help, "way=\"remote\"", METRIC_COUNTER, 1, &s->requests_remote, NULL},
        {reads, reads_help, "by=\"leader\"", METRIC_COUNTER, 1, &s->reads_leader, NULL},
        {reads, reads_help, "by=\"follower\"", METRIC_COUNTER, 1, &s->reads_follower, NULL},
        {"meridian_txn_open", "Transactions open.", "", METRIC_GAUGE, 1, &s->open, NULL},
        {"meridian_txn_commit_seconds", "From a commit to its answer.", "", METRIC_HIST, 1e9, &s->commit_ns, NULL},
        {"meridian_txn_lock_wait_seconds", "Waits for locks on tablets here.", "", METRIC_HIST, 1e9, &h->lock_wait_ns,
         NULL},
        {"meridian_txn_served_total", "Requests executed on tablets here.", "", METRIC_COUNTER, 1, &h->requests, NULL},
        {"meridian_txn_messages_total", "Messages between sites and gateways sent.", "", METRIC_COUNTER, 1,
         &h->messages_out, NULL},
        {"meridian_txn_refused_total", "Entries that the log did not take at once.", "", METRIC_COUNTER, 1, &h->refused,
         NULL},
    };
    static_assert(ARRAY_LEN(list) == ARRAY_LEN(c->metrics), "room for all of them");
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        c->metrics[i] = list[i];
        metrics_add(&c->env->metrics, &c->metrics[i]);
    }
}

enum rc txn_client_new(struct node_store *s, struct txn_client **ret, struct err *err) {
    struct txn_client *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory");
    c->store = s;
    c->reactor = s->reactor;
    c->env = s->env;
    map_init(&c->by_id);
    ilist_init(&c->open);
    fiber_group_init(&c->fibers);
    enum rc rc = txn_hosts_new(s, &c->hosts, err);
    if (!rc && (rc = fiber_spawn(c->reactor, &c->fibers, FIBER_SMALL, "txn keep-alive", keeper_main, c)))
        err_set(err, rc, "no fiber for the gateway's transactions");
    if (c->hosts) {
        c->hosts->client = c;
        c->hosts->to_gateway = on_message;
        metrics_of(c);
    }
    *ret = c;
    return rc;
}

void txn_client_stop(struct txn_client *c) {
    c->stopping = true;
    fiber_group_cancel(&c->fibers);
    if (c->hosts)
        txn_hosts_stop(c->hosts);
}

bool txn_client_idle(const struct txn_client *c) {
    return c->fibers.count == 0 && (!c->hosts || txn_hosts_idle(c->hosts));
}

void txn_client_free(struct txn_client *c) {
    if (!c)
        return;
    CHECK(txn_client_idle(c) && ilist_empty(&c->open));
    txn_hosts_free(c->hosts);
    map_done(&c->by_id);
    free(c);
}

const struct txn_client_stats *txn_client_stats(const struct txn_client *c) {
    return &c->stats;
}

struct txn_hosts *txn_client_hosts(struct txn_client *c) {
    return c->hosts;
}

/* ---- beginning ----------------------------------------------------------------------------------------------------------- */

bool txn_is_read_only(const struct txn *t) {
    return t->opt.mode != TXN_READ_WRITE;
}

int64_t txn_deadline(const struct txn *t) {
    return t->opt.deadline;
}

/* A new attempt: everything but the age and the token begins anew. */
static enum rc attempt(struct txn *t, struct err *err) {
    struct txn_client *c = t->c;
    tt_interval now = tt_now(&c->store->clock);
    if (!tt_is_known(now) && t->opt.mode != TXN_READ_AT)
        return err_set(err, RC_UNSYNCED, "the clock is not synchronised: no transaction can begin");
    t->ref.id =
        (struct txn_id){client_self(c), replicas_incarnation(tablets_replicas(c->store->tablets)), ++c->counter};
    t->ref.began = now.earliest;
    if (!t->ref.age.ts)
        t->ref.age = (struct txn_age){now.latest, t->ref.id.gateway, t->ref.id.counter};
    if (!token_is_set(&t->opt.token)) {
        t->opt.token.id = t->ref.id;
        t->opt.token.deadline = INT64_MAX; /* set by the commit */
    }
    t->phase = TXN_OPEN;
    err_clear(&t->why);
    t->lost = t->answered = t->committing = t->unknown = false;
    t->read_ts = t->commit_ts = 0;
    t->commit_stage = 0;
    t->done_times = (struct host_times){{0}, 0, 0};
    t->n_votes = 0;
    t->last_ns = env_now_ns(c->env);
    switch (t->opt.mode) {
    case TXN_READ_STRONG: /* not yet: its first scan may know better */
        t->strong_from = now.latest;
        break;
    case TXN_READ_EXACT:
        t->read_ts = now.latest - t->opt.staleness_ns;
        break;
    case TXN_READ_AT: /* C-5: no time from outside may push a tablet's floor into the future */
        if (tt_is_known(now) && t->opt.ts > now.latest + FUTURE_NS_MAX)
            return err_set(err, RC_INVAL, "the timestamp to read at lies %.3f s in the future",
                           (double)(t->opt.ts - now.latest) / 1e9);
        t->read_ts = t->opt.ts;
        break;
    default:
        break;
    }
    map_put(&c->by_id, &t->node, txn_id_hash(&t->ref.id));
    return RC_OK;
}

enum rc txn_begin(struct txn_client *c, const struct txn_options *o, struct txn **ret, struct err *err) {
    if (c->stopping || !c->store->tablets)
        return err_set(err, RC_SHUTDOWN, "this store is not open");
    if (gauge_get(&c->stats.open) >= OPEN_MAX)
        return err_set(err, RC_OVERLOAD, "%d transactions are open on this store already", OPEN_MAX);
    struct txn *t = malloc(sizeof *t);
    if (!t)
        return err_set(err, RC_NOMEM, "out of memory");
    memset(t, 0, offsetof(struct txn, votes));
    t->c = c;
    t->opt = *o;
    if (t->opt.deadline == 0)
        t->opt.deadline = INT64_MAX;
    ilist_init(&t->link);
    ilist_init(&t->visits);
    ilist_init(&t->pending);
    ilist_init(&t->scans);
    waitq_init(&t->news);
    waitq_init(&t->idle);
    t->began_ns = env_now_ns(c->env);
    enum rc rc = attempt(t, err);
    if (rc) {
        free(t);
        return rc;
    }
    ilist_push_back(&c->open, &t->link);
    gauge_add(&c->stats.open, 1);
    counter_inc(&c->stats.begun);
    *ret = t;
    return RC_OK;
}

static void drop_all(struct txn *t) {
    while (!ilist_empty(&t->visits))
        visit_free(ilist_first(&t->visits, struct visit, link));
    while (!ilist_empty(&t->pending))
        pending_drop(t, ilist_first(&t->pending, struct pending, link));
}

enum rc txn_restart(struct txn *t, struct err *err) {
    txn_rollback(t);
    map_del(&t->c->by_id, &t->node);
    drop_all(t);
    counter_inc(&t->c->stats.restarted);
    enum rc rc = attempt(t, err);
    if (rc) { /* it stays, failed, under its old name */
        t->phase = TXN_FAILED;
        if (err)
            t->why = *err;
        map_put(&t->c->by_id, &t->node, txn_id_hash(&t->ref.id));
    }
    return rc;
}

void txn_free(struct txn *t) {
    if (!t)
        return;
    struct txn_client *c = t->c;
    txn_stop_scans(t);
    CHECKF(ilist_empty(&t->scans), "a scan of the transaction is still open");
    if (t->phase == TXN_OPEN)
        txn_let_go(t);
    drop_all(t);
    map_del(&c->by_id, &t->node);
    ilist_del(&t->link);
    gauge_add(&c->stats.open, -1);
    free(t);
}

enum txn_phase txn_phase(const struct txn *t) {
    return t->phase;
}

enum txn_mode txn_mode(const struct txn *t) {
    return t->opt.mode;
}

const struct txn_ref *txn_ref(const struct txn *t) {
    return &t->ref;
}

const struct txn_token *txn_token(const struct txn *t) {
    return &t->opt.token;
}

const struct txn_token *txn_token_give(struct txn *t, int64_t within_ns) {
    tt_interval now = tt_now(&t->c->store->clock);
    if (t->opt.token.deadline == INT64_MAX && tt_is_known(now))
        t->opt.token.deadline = now.latest + within_ns;
    return &t->opt.token;
}

int64_t txn_read_ts(const struct txn *t) {
    return t->read_ts;
}

int64_t txn_commit_ts(const struct txn *t) {
    return t->phase == TXN_DONE ? t->commit_ts : 0;
}

void txn_set_deadline(struct txn *t, int64_t deadline, int64_t lock_wait_ns) {
    t->opt.deadline = deadline ? deadline : INT64_MAX;
    t->opt.lock_wait_ns = lock_wait_ns;
}

/* ---- failing ------------------------------------------------------------------------------------------------------------- */

enum rc txn_enter(struct txn *t, struct err *err) {
    if (t->c->stopping)
        return err_set(err, RC_CANCELLED, "the store stops");
    if (t->phase == TXN_OPEN && t->lost) { /* a tablet has said so */
        struct err why = {0};
        enum rc rc = txn_why_err(&t->abort_why, &why);
        if (err)
            *err = why;
        return txn_fail(t, rc, &why);
    }
    if (t->phase == TXN_FAILED) {
        if (err) {
            *err = t->why;
            err->rc = RC_ABORTED;
        }
        return RC_ABORTED;
    }
    if (t->phase == TXN_DONE)
        return err_set(err, RC_INVAL, "the transaction has ended");
    if (t->calls++ == 0)
        t->call_began = env_now_ns(t->c->env);
    return RC_OK;
}

enum rc txn_leave(struct txn *t, enum rc rc) {
    CHECK(t->calls > 0);
    if (--t->calls == 0) {
        int64_t spent = env_now_ns(t->c->env) - t->call_began;
        t->times.total_ns += spent;
    }
    return rc;
}

void txn_tell_all(struct txn *t, enum txn_msg_type type, const struct txn_why *why, const struct visit *but) {
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        struct txn_msg m = {.type = type, .ref = t->ref, .span = visit_span(v)};
        if (v == but || (!v->requests && !v->busy && !t->unknown))
            continue;
        if (why)
            m.why = *why;
        hosts_send_msg(t->c->hosts, (struct txn_key){v->key, v->key_bytes}, 0, &m);
    }
}

void txn_mark_others(struct txn *t, const struct txn_why *why, struct txn_span there) {
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        struct txn_msg m = {.type = TXN_MSG_MARK, .ref = t->ref, .span = visit_span(v), .why = *why};
        if (!txn_span_overlap(&m.span, &there) && (v->requests || v->busy))
            hosts_send_msg(t->c->hosts, (struct txn_key){v->key, v->key_bytes}, 0, &m);
    }
}

/* Locks go as soon as the messages arrive; nobody waits for that. */
void txn_let_go(struct txn *t) {
    struct txn_why why = {.reason = TXN_REASON_ROLLBACK};
    if (!txn_is_read_only(t) && !t->c->stopping)
        txn_tell_all(t, TXN_MSG_ROLLBACK, &why, NULL);
}

enum rc txn_fail(struct txn *t, enum rc rc, struct err *err) {
    if (t->phase != TXN_OPEN)
        return rc;
    t->phase = TXN_FAILED;
    if (err)
        t->why = *err;
    if (!t->why.message[0])
        err_set(&t->why, RC_ABORTED, "the transaction was aborted");
    counter_inc(&t->c->stats.aborted);
    txn_let_go(t);
    return rc;
}

void txn_rollback(struct txn *t) {
    txn_stop_scans(t);
    if (t->phase == TXN_OPEN) {
        t->phase = TXN_DONE;
        txn_let_go(t);
        counter_inc(&t->c->stats.aborted);
    }
    if (t->phase == TXN_FAILED)
        t->phase = TXN_DONE;
    t->commit_ts = 0;
}
