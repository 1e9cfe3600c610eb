/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Voters of nodes that die for good: others take their places, while clients write.
 *
 *     five nodes     one dies: nothing for a while, then every tablet has three live voters again, and never had fewer than three.
 *                    Its leader dies too, with which the quorum would be gone: writes go on. What was acknowledged is there. The
 *                    first comes back: what it had is no member any more, and it gets rid of it
 *     for a moment   a node that is silent for less than REPAIR_AFTER, again and again, keeps its place
 *     never          nor is it replaced where that was forbidden
 *     three nodes    nobody can take the dead one's place: it keeps it, and works when it comes back
 *     placed         a node of the dead one's region before another; none where the placement allows none, though it be alive
 */
#include "shard/node/system.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/lib/txnworld.h"

enum { NODES = 5, KEYS = 8, ACKS_MAX = 32768, MS = 1000000, TABLETS = 2 };
static const int64_t SECOND = 1000000000, REPAIR_AFTER_NS = 20000000000;

struct what {
    bool write, check, checked;
    int64_t written, old, gone;
    struct ack {
        int64_t key, value, ts;
    } ack[ACKS_MAX];
    size_t acks;
};

/* ---- clients ---------------------------------------------------------------------------------------------------------------- */

static void write_one(struct txnworld *w, struct what *x, struct txn_client *c, struct reactor *r) {
    struct txn_options o = {.mode = TXN_READ_WRITE, .deadline = reactor_deadline(r, 5 * SECOND)};
    struct err err = {0};
    struct txn *t;
    int64_t key = (int64_t)rng_below(w->rng, KEYS), value = ++w->next_value, ts;
    if (txn_begin(c, &o, &t, &err))
        return;
    enum rc rc = txnworld_put(w, t, key, value, &err);
    if (!rc)
        rc = txn_commit(t, &ts, &err);
    else
        txn_rollback(t);
    txn_free(t);
    if (rc)
        return;
    x->written++;
    CHECK(x->acks < ACKS_MAX);
    x->ack[x->acks++] = (struct ack){key, value, ts};
}

/* Each row, now: nothing that was acknowledged is missing, nor an older value back. */
static void check_rows(struct txnworld *w, struct what *x, struct txn_client *c, struct reactor *r) {
    for (int64_t key = 0; key < KEYS; key++) {
        struct txn_options o = {.mode = TXN_READ_STRONG, .deadline = reactor_deadline(r, 10 * SECOND)};
        struct err err = {0};
        struct txn *t;
        int64_t value = 0, newest = 0, it_has = 0;
        if (txn_begin(c, &o, &t, &err))
            return;
        enum rc rc = txnworld_get(w, t, key, LOCK_NONE, &value, &err);
        IGNORE(rc ? RC_OK : txn_commit(t, NULL, &err)); /* it has read; there is nothing to commit */
        txn_free(t);
        if (rc)
            return;
        for (size_t i = 0; i < x->acks; i++) {
            if (x->ack[i].key == key && x->ack[i].ts > newest)
                newest = x->ack[i].ts;
            if (x->ack[i].key == key && x->ack[i].value == value)
                it_has = x->ack[i].ts;
        }
        x->gone += newest && !value;
        x->old += it_has && it_has < newest; /* a value that nobody was told of may be a newer one */
    }
    x->checked = true;
}

static void client(struct txnworld_node *n, struct txn_client *c, uint32_t session) {
    struct txnworld *w = n->w;
    struct what *x = w->conf.ctx;
    struct reactor *r = txnworld_store(n)->reactor;
    (void)session;
    while (!w->over && fiber_sleep(r, rng_range(w->rng, 50 * MS, 150 * MS)) == RC_OK) {
        if (x->write)
            write_one(w, x, c, r);
        else if (x->check && !x->checked)
            check_rows(w, x, c, r);
    }
}

/* ---- the world -------------------------------------------------------------------------------------------------------------- */

static struct tablet *tablet_at(struct txnworld *w, int node, uint64_t id) {
    return w->n[node].node ? tablets_find(node_store(w->n[node].node, 0)->tablets, id) : NULL;
}

static int leader_of(struct txnworld *w, uint64_t id) {
    for (int i = 1; i <= w->conf.nodes; i++) {
        struct tablet *t = tablet_at(w, i, id);
        if (t && replica_leads(tablet_replica(t)))
            return i;
    }
    return 0;
}

static int index_of(struct txnworld *w, px_store store) {
    for (int i = 1; i <= w->conf.nodes; i++)
        if (w->n[i].node && node_number(w->n[i].node) == px_store_addr(store).node)
            return i;
    return 0;
}

/* Nodes with a voter, one bit each, bit 0 for those that do not run; 0: it has no leader, or its members change. */
static unsigned voters(struct txnworld *w, uint64_t id, int *ret_count) {
    int leader = leader_of(w, id);
    struct px_status px;
    unsigned set = 0;
    if (!leader)
        return 0;
    replica_status(tablet_replica(tablet_at(w, leader, id)), &px);
    for (uint32_t i = 0; i < px.config.count; i++)
        if (px.config.member[i].flags & (px.config.joint ? PX_NEW : PX_OLD)) {
            set |= 1U << index_of(w, px.config.member[i].store);
            ++*ret_count;
        }
    return px.config.joint || px.config_pending ? 0 : set;
}

struct wish {
    struct txnworld *w;
    unsigned all_of, none_of; /* of every tablet's voters */
    int fewest;
};

static bool fulfilled(void *ctx) {
    struct wish *x = ctx;
    bool ret = true;
    for (uint64_t id = 1; id <= TABLETS; id++) {
        int count = 0;
        unsigned set = voters(x->w, id, &count);
        if (count && count < x->fewest)
            x->fewest = count;
        ret &= count == NODE_VOTERS && set && (set & x->all_of) == x->all_of && !(set & x->none_of);
    }
    return ret || x->w->broken[0] != '\0';
}

/* Until every tablet's voters are live ones, with all_of and without none_of. */
static bool wait_voters(struct txnworld *w, unsigned all_of, unsigned none_of, int64_t ns, int *ret_fewest) {
    struct wish x = {w, all_of, none_of | 1, NODE_VOTERS};
    bool ok = sim_run_until(w->sim, fulfilled, &x, sim_now(w->sim) + ns);
    if (ret_fewest && x.fewest < *ret_fewest)
        *ret_fewest = x.fewest;
    return ok && !w->broken[0];
}

static void run_for(struct txnworld *w, int64_t ns) {
    sim_run(w->sim, sim_now(w->sim) + ns);
}

static void kill_node(struct txnworld *w, int i) {
    w->n[i].node = NULL;
    sim_node_crash(w->n[i].sim, SIM_KILL);
}

static void start_node(struct txnworld *w, int i) {
    struct err err = {0};
    if (sim_node_start(w->n[i].sim, &err))
        txnworld_broke(w, "n%d does not start: %s", i, err.message);
}

static struct txnworld *begin(struct what *x, uint64_t seed, int nodes, const char *const *regions, int64_t after_ns) {
    struct txnworld_conf conf = {
        .region = regions, .nodes = nodes, .clients = 1, .repair_after_ns = after_ns, .client = client, .ctx = x};
    struct txnworld *w = txnworld_new(seed, &conf);
    sim_chance_off(w->sim); /* what goes wrong is what the test does */
    txnworld_ready(w);
    w->go = true;
    return w;
}

/* One that votes on both tablets; a follower of the second, or its leader. */
static int somebody(struct txnworld *w, bool leads, unsigned but) {
    int none = 0;
    unsigned set = voters(w, 1, &none) & voters(w, 2, &none) & ~but;
    for (int i = 1; i <= w->conf.nodes; i++)
        if (set >> i & 1 && leads == (leader_of(w, SYSTEM_USER_TABLET) == i))
            return i;
    return 0;
}

static void writes_go_on(struct txnworld *w, struct what *x, int64_t after_ns) {
    run_for(w, after_ns); /* a lease, at most */
    x->written = 0;
    run_for(w, 3 * SECOND);
    OKF(x->written > 20, "%lld writes", (long long)x->written);
}

static void all_is_there(struct txnworld *w, struct what *x) {
    x->write = false;
    run_for(w, 6 * SECOND); /* those under way end */
    x->check = true;
    run_for(w, 3 * SECOND);
    OK(x->checked && x->acks > 100);
    OKF(x->gone == 0 && x->old == 0, "%lld rows are gone, %lld old", (long long)x->gone, (long long)x->old);
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------ */

static void a_dead_nodes_voters_are_replaced(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 1, NODES, NULL, REPAIR_AFTER_NS);
    int fewest = NODE_VOTERS;
    OK(wait_voters(w, 0, 0, 10 * SECOND, &fewest));
    int first = somebody(w, false, 0);
    uint64_t had[TABLETS + 1];
    OK(first > 0);
    for (uint64_t id = 1; id <= TABLETS; id++)
        had[id] = replica_id(tablet_replica(tablet_at(w, first, id)));
    kill_node(w, first);
    writes_go_on(w, &x, 6 * SECOND);
    OK(!wait_voters(w, 0, 1U << first, 7 * SECOND, &fewest)); /* 16 s: it may come back */
    int64_t began = sim_now(w->sim);
    OK(wait_voters(w, 0, 1U << first, 20 * SECOND, &fewest));
    tap_note("replaced %.1f s after its death", (double)(sim_now(w->sim) - began) / 1e9 + 16);
    EQ_INT(fewest, NODE_VOTERS);
    writes_go_on(w, &x, 0);
    EQ_INT(txnworld_replaced(w), TABLETS);
    int second = somebody(w, true, 0);
    OK(second > 0);
    kill_node(w, second);
    writes_go_on(w, &x, 12 * SECOND); /* of those that began one is left */
    OK(wait_voters(w, 0, 1U << first | 1U << second, 40 * SECOND, &fewest));
    EQ_INT(fewest, NODE_VOTERS);
    start_node(w, first);
    run_for(w, 20 * SECOND);
    OK(w->n[first].node && node_serving(w->n[first].node));
    for (uint64_t id = 1; id <= TABLETS; id++) {
        struct tablet *t = tablet_at(w, first, id); /* one that only reads, and is new, may be there */
        OK(!t || (tablet_replica(t) && replica_id(tablet_replica(t)) != had[id]));
    }
    writes_go_on(w, &x, 0);
    all_is_there(w, &x);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

static void one_that_is_silent_for_a_moment_is_not(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 2, 4, NULL, REPAIR_AFTER_NS);
    OK(wait_voters(w, 0, 0, 10 * SECOND, NULL));
    int n = somebody(w, false, 0), none = 0;
    unsigned before = voters(w, SYSTEM_USER_TABLET, &none);
    for (int i = 0; i < 3; i++) {
        kill_node(w, n);
        run_for(w, 15 * SECOND);
        start_node(w, n);
        OK(wait_voters(w, before, 0, 15 * SECOND, NULL));
        run_for(w, 4 * SECOND);
    }
    EQ_INT(voters(w, SYSTEM_USER_TABLET, &none), before);
    EQ_INT(txnworld_replaced(w), 0);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

static void where_it_is_forbidden_nobody_is(void) {
    static struct what x;
    struct txnworld *w = begin(&x, 3, 4, NULL, -1);
    OK(wait_voters(w, 0, 0, 10 * SECOND, NULL));
    int n = somebody(w, false, 0);
    kill_node(w, n);
    OK(!wait_voters(w, 0, 1U << n, 330 * SECOND, NULL));
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

static void of_three_nobody_is(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 4, 3, NULL, REPAIR_AFTER_NS);
    OK(wait_voters(w, 0, 0, 10 * SECOND, NULL));
    int n = somebody(w, false, 0), fewest = NODE_VOTERS;
    kill_node(w, n);
    OK(!wait_voters(w, 0, 1U << n, 60 * SECOND, &fewest));
    EQ_INT(fewest, NODE_VOTERS);
    writes_go_on(w, &x, 0);
    EQ_INT(txnworld_replaced(w), 0);
    start_node(w, n);
    OK(wait_voters(w, 1U << n, 0, 20 * SECOND, NULL));
    int other = somebody(w, false, 1U << n); /* the one that came back votes: with it there is a quorum */
    kill_node(w, other);
    writes_go_on(w, &x, 12 * SECOND);
    all_is_there(w, &x);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

struct placing {
    struct txnworld *w;
    enum rc rc;
    bool done;
};

static void place_main(void *arg) {
    static char *regions[] = {(char *)(uintptr_t) "us", (char *)(uintptr_t) "eu", (char *)(uintptr_t) "ap"};
    struct placing *x = arg;
    struct node_store *s = node_store(x->w->n[1].node, 0);
    Node__Placement p = NODE__PLACEMENT__INIT;
    struct err err = {0};
    p.name = (char *)(uintptr_t) "default";
    p.region = regions;
    p.n_region = ARRAY_LEN(regions);
    x->rc = node_placement_set(s, &p, reactor_deadline(s->reactor, 10 * SECOND), &err);
    x->done = true;
}

static bool user_moved(void *ctx) {
    struct wish *x = ctx;
    int count = 0;
    unsigned set = voters(x->w, SYSTEM_USER_TABLET, &count);
    return set && (set & x->all_of) == x->all_of && !(set & x->none_of);
}

/* Two nodes in ap, one in sa, where the placement allows no voter. */
static void as_its_placement_allows(void) {
    static const char *const regions[] = {"", "us", "eu", "ap", "sa", "ap"};
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 5, NODES, regions, REPAIR_AFTER_NS);
    struct placing place = {.w = w};
    int none = 0;
    CHECK(fiber_spawn(node_store(w->n[1].node, 0)->reactor, NULL, FIBER_LARGE, "place", place_main, &place) == RC_OK);
    run_for(w, 10 * SECOND);
    OK(place.done && place.rc == RC_OK);
    int ap = voters(w, SYSTEM_USER_TABLET, &none) & 1U << 3 ? 3 : 5, other = 8 - ap;
    struct wish wish = {w, 1U << 1 | 1U << 2 | 1U << other, 1, NODE_VOTERS};
    kill_node(w, ap);
    OK(sim_run_until(w->sim, user_moved, &wish, sim_now(w->sim) + 60 * SECOND));
    writes_go_on(w, &x, 0);
    kill_node(w, other); /* now nobody is left who may */
    wish = (struct wish){w, 1U << 4, 1U << other, NODE_VOTERS};
    OK(!sim_run_until(w->sim, user_moved, &wish, sim_now(w->sim) + 60 * SECOND));
    writes_go_on(w, &x, 0);
    all_is_there(w, &x);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

int main(void) {
    RUN(a_dead_nodes_voters_are_replaced);
    RUN(one_that_is_silent_for_a_moment_is_not);
    RUN(where_it_is_forbidden_nobody_is);
    RUN(of_three_nobody_is);
    RUN(as_its_placement_allows);
    return tap_done();
}
