/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_join.c: who a node is: made by --bootstrap, given by a member, or read from the directory.
 *
 * A bootstrap that a crash cut short goes on at the next start: it is over when DIR/peers is there.
 */
#include <stdio.h>
#include <string.h>

#include "shard/node/node_internal.h"

static const int64_t JOIN_TRY_NS = 5000000000, PAUSE_NS = 200000000, LEAD_NS = 1000000, WRITE_NS = 30000000000;
enum { ARENA_BYTES_MAX = 64 << 20 };

void node_describe(const struct node *n, Node__Node *ret) {
    node__node__init(ret);
    ret->node = n->id.node;
    ret->rpc = (char *)(uintptr_t)n->rpc_addr;
    ret->sql = (char *)(uintptr_t)n->sql_addr;
    ret->http = (char *)(uintptr_t)n->http_addr;
    ret->region = (char *)(uintptr_t)n->id.region;
    ret->zone = (char *)(uintptr_t)n->id.zone;
    ret->stores = n->stores;
    ret->boot_id = (char *)(uintptr_t)n->boot_id;
    ret->version = (char *)(uintptr_t)MERIDIAN_VERSION;
    ret->starts = n->id.starts;
}

/* ---- joining ------------------------------------------------------------------------------------------------------- */

static enum rc join_once(struct node *n, size_t seed, struct err *err) {
    struct node_store *s = &n->store[0].pub;
    struct arena a;
    ProtobufCMessage *m = NULL;
    char scale[TT_SCALE_BYTES];
    tt_poller_scale(n->poller, scale);
    arena_init(&a, ARENA_BYTES_MAX);
    Node__Ask *ask = arena_new(&a, Node__Ask);
    Node__Node *me = arena_new(&a, Node__Node);
    enum rc rc = ask && me ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    if (!rc) {
        node__ask__init(ask);
        node_describe(n, me);
        me->clock_scale = scale;
        me->starts = 0; /* not yet: node_hello tells of the first */
        ask->join = me;
        rc = rpc_call(s->rpc, (struct store_addr){PEER_NODE_SEED + (uint32_t)seed, 0}, NODE_TYPE_ASK, &ask->base, &a,
                      reactor_deadline(s->reactor, JOIN_TRY_NS), &m, err);
    }
    const Node__Answer *answer = (const Node__Answer *)m;
    if (!rc && (answer->node == 0 || answer->node >= PEER_NODE_SEED || answer->cluster.len != CLUSTER_BYTES))
        rc = err_set(err, RC_PROTOCOL, "%s gave no number", n->conf->join[seed]);
    if (!rc) {
        n->id.node = answer->node;
        memcpy(n->id.cluster, answer->cluster.data, CLUSTER_BYTES);
        directory_learn(s->directory, answer);
    }
    arena_done(&a);
    return rc;
}

/* Nobody there yet is no error: nodes may be started in any order. */
static bool keep_trying(enum rc rc) {
    return rc == RC_UNREACHABLE || rc == RC_CLOSED || rc == RC_TIMEOUT || rc == RC_NOT_LEADER || rc == RC_OVERLOAD ||
           rc == RC_UNSYNCED || rc == RC_SHUTDOWN || rc == RC_MOVED;
}

static enum rc join(struct node *n, struct err *err) {
    struct node_store *s = &n->store[0].pub;
    for (size_t i = 0; i < n->conf->joins; i++)
        rpc_set_address(s->rpc, PEER_NODE_SEED + (uint32_t)i, n->conf->join[i]);
    for (size_t tries = 0;; tries++) {
        size_t seed = tries % n->conf->joins;
        enum rc rc = join_once(n, seed, err);
        if (!rc || !keep_trying(rc))
            return rc;
        if (tries < n->conf->joins)
            diag_info(&s->env->diag, "node: no answer yet", "seed=%s reason=\"%s\"", n->conf->join[seed],
                      err_message(err));
        rc = fiber_sleep(s->reactor, PAUSE_NS);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
}

enum rc node_identify(struct node *n, struct err *err) {
    struct node_store *s = &n->store[0].pub;
    if (!n->fresh)
        return RC_OK;
    if (!n->conf->bootstrap && n->conf->joins == 0)
        return err_set(err, RC_INVAL, "%s is empty: give --bootstrap for the first node or --join HOST:PORT",
                       n->conf->dir);
    if (n->conf->bootstrap && n->conf->joins > 0)
        return err_set(err, RC_INVAL, "--bootstrap makes a new cluster, --join enters one: give one of them");
    n->id.stores = n->stores;
    n->id.starts = 1;
    snprintf(n->id.region, sizeof n->id.region, "%s", n->conf->region ? n->conf->region : "");
    snprintf(n->id.zone, sizeof n->id.zone, "%s", n->conf->zone ? n->conf->zone : "");
    enum rc rc = RC_OK;
    if (n->conf->bootstrap) {
        env_secret(s->env, n->id.cluster, CLUSTER_BYTES);
        n->id.node = 1;
    } else {
        rc = join(n, err);
    }
    if (!rc)
        rc = identity_write(s->reactor, n->conf->dir, &n->id, err);
    if (!rc && !n->conf->bootstrap)
        peers_write(s->reactor, n->conf->dir, s->directory, &n->peers_written);
    return rc;
}

/* ---- the first node ---------------------------------------------------------------------------------------------------- */

static enum rc write_rows(struct node *n, const struct mvcc_mutation *m, size_t count, struct err *err) {
    struct node_store *s = &n->store[0].pub;
    int64_t ts;
    return tablet_write(s->tablets, SYSTEM_TABLET, 0, m, count, reactor_deadline(s->reactor, WRITE_NS), &ts, err);
}

static enum rc make_tables(struct node *n, struct err *err) {
    struct node_store *s = &n->store[0].pub;
    for (uint64_t id = 1; id < SYSTEM_TABLES_END; id++) {
        struct table *t;
        struct buf b;
        int64_t ts;
        if (!system_table_known(id))
            continue;
        enum rc rc = system_table(id, &t, err);
        if (rc)
            return rc;
        buf_init(&b, 0);
        command_begin(&b, COMMAND_TABLE, 1);
        table_encode(t, &b);
        table_unref(t);
        rc = buf_rc(&b) ? buf_rc(&b)
                        : tablet_propose(s->tablets, SYSTEM_TABLET, b.data, b.len, 0, NULL,
                                         reactor_deadline(s->reactor, WRITE_NS), &ts, err);
        buf_done(&b);
        if (rc && rc != RC_EXISTS) /* made before a crash cut the making short */
            return rc;
    }
    return RC_OK;
}

static enum rc first_rows(struct node *n, const uint8_t *config, size_t config_bytes, const struct buf *border,
                          struct err *err) {
    struct value v[5][SYSTEM_ROW_VALUES_MAX];
    struct mvcc_mutation m[5];
    Node__Tablet t[2] = {NODE__TABLET__INIT, NODE__TABLET__INIT};
    for (int i = 0; i < 2; i++) {
        t[i].tablet = i == 0 ? SYSTEM_TABLET : SYSTEM_USER_TABLET;
        t[i].generation = 1;
        t[i].config = (ProtobufCBinaryData){config_bytes, (uint8_t *)(uintptr_t)config};
        t[i].leader = px_store_of((struct store_addr){n->id.node, 0});
        m[i] = (struct mvcc_mutation){SYSTEM_TABLETS, false, system_tablet_row(&t[i], v[i]), v[i]};
    }
    /* The rows borrow: the border belongs to both. */
    v[0][3] = value_blob(border->data, border->len);
    v[1][0] = value_blob(border->data, border->len);
    m[2] = (struct mvcc_mutation){SYSTEM_COUNTERS, false, system_counter_row("node", 1, v[2]), v[2]};
    m[3] =
        (struct mvcc_mutation){SYSTEM_COUNTERS, false, system_counter_row("tablet", SYSTEM_FIRST_TABLET, v[3]), v[3]};
    m[4] = (struct mvcc_mutation){SYSTEM_COUNTERS, false, system_counter_row("replica", 16, v[4]), v[4]};
    return write_rows(n, m, 5, err);
}

static enum rc wait_lead(struct node_store *s, uint64_t id, struct err *err) {
    for (;;) {
        struct tablet *t = tablets_find(s->tablets, id);
        if (!t)
            return err_set(err, RC_INTERNAL, "tablet %llu is gone", (unsigned long long)id);
        if (replica_leads(tablet_replica(t)))
            return RC_OK;
        enum rc rc = fiber_sleep(s->reactor, LEAD_NS);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
}

static void find_dependent(void *ctx, struct tablet *t) {
    struct replica *r = tablet_replica(t);
    if (r && !replica_sole_voter(r))
        *(uint64_t *)ctx = tablet_id(t);
}

static void find_behind(void *ctx, struct tablet *t) {
    struct replica *r = tablet_replica(t);
    if (r && !replica_leads(r))
        *(bool *)ctx = true;
}

enum rc node_lone(struct node *n, struct err *err) {
    struct node_store *s = &n->store[0].pub;
    uint64_t dependent = 0;
    tablets_each(s->tablets, find_dependent, &dependent);
    if (dependent || !tablets_find(s->tablets, SYSTEM_TABLET))
        return err_set(err, RC_INVAL, "%s is one node of a cluster: start it with the others", n->conf->dir);
    /* An election of a sole voter is two writes of the log, so this is soon over. */
    for (bool behind = true; behind;) {
        behind = false;
        tablets_each(s->tablets, find_behind, &behind);
        enum rc rc = behind ? fiber_sleep(s->reactor, LEAD_NS) : RC_OK;
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    return RC_OK;
}

bool node_made(struct node *n) {
    char path[ENV_PATH_BYTES];
    struct env_file *f = NULL;
    snprintf(path, sizeof path, "%s/peers", n->conf->dir);
    bool there = env_file_open(n->store[0].pub.env, path, ENV_OPEN_READONLY, &f, NULL) == RC_OK;
    env_file_close(f);
    return there;
}

enum rc node_bootstrap(struct node *n, struct err *err) {
    struct node_store *s = &n->store[0].pub;
    uint64_t self = px_store_of((struct store_addr){n->id.node, 0});
    struct px_config config = {.epoch = 1, .count = 1, .member = {{self, 1, PX_OLD}}};
    uint8_t bytes[REPLICA_STATE_BYTES_MAX];
    struct buf border;
    if (n->id.node != 1 || node_made(n))
        return RC_OK;
    size_t config_bytes = px_config_encode(&config, bytes, sizeof bytes);
    directory_set_root(s->directory, &self, 1);
    buf_init(&border, 0);
    enum rc rc = system_end(&border, err);
    struct mvcc_bytes nothing = {NULL, 0}, at = {border.data, border.len};
    if (!rc && !tablets_find(s->tablets, SYSTEM_TABLET))
        rc = tablets_create(s->tablets, SYSTEM_TABLET, 1, &config, nothing, at, 1, true, err);
    if (!rc && !tablets_find(s->tablets, SYSTEM_USER_TABLET))
        rc = tablets_create(s->tablets, SYSTEM_USER_TABLET, 1, &config, at, nothing, 1, true, err);
    if (!rc)
        rc = wait_lead(s, SYSTEM_TABLET, err);
    if (!rc)
        rc = make_tables(n, err);
    if (!rc)
        rc = first_rows(n, bytes, config_bytes, &border, err);
    buf_done(&border);
    if (!rc) { /* it is over before anybody is let in: those rows are never written again over newer ones */
        peers_write(s->reactor, n->conf->dir, s->directory, &n->peers_written);
        rc = n->peers_written ? RC_OK : err_set(err, RC_IO, "%s/peers could not be written", n->conf->dir);
    }
    return rc ? err_wrap(err, "making the cluster") : RC_OK;
}

/* ---- telling the others -------------------------------------------------------------------------------------------------- */

enum rc node_hello(struct node *n, struct err *err) {
    struct node_store *s = &n->store[0].pub;
    Node__Ask ask = NODE__ASK__INIT;
    Node__Node me;
    Node__Answer *answer;
    struct arena a;
    char scale[TT_SCALE_BYTES];
    tt_poller_scale(n->poller, scale);
    node_describe(n, &me);
    me.clock_scale = scale;
    ask.hello = &me;
    arena_init(&a, ARENA_BYTES_MAX);
    /* A node whose cluster has no quorum waits here: it serves when the others are back. */
    enum rc rc = directory_ask(s->directory, &ask, &a, DEADLINE_NONE, &answer, err);
    if (!rc && !n->lone) /* there the fiber of node_repair.c writes already */
        peers_write(s->reactor, n->conf->dir, s->directory, &n->peers_written);
    arena_done(&a);
    return rc;
}
