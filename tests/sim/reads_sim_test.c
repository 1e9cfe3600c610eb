/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read replicas, by themselves: three voters in three regions, and a fourth region with two nodes, 40 ms away from all others.
 *
 *     made          after the voters, one in the fourth region, and the past is read there without a trip to the others
 *     silent        its node dies: commits take what they took, the leader's log is cut as before, the other node of the region
 *                   takes its place after half a minute, and who was away is no member any more when it comes back
 *     lagging       it is cut off from the voters: its region's other node reads from the leader, the right rows
 *     no majority   a leader with it and without the other voters commits nothing
 *     elsewhere     a table whose placement wants none: the nearest voter is asked, not the leader, who is further away
 *     before        a cluster whose placements do not tell of read replicas yet
 *     placements    none, in a named region, and the system's own tablet, which has none
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/system.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/lib/txnworld.h"

enum { NODES = 5, FAR = 4 /* and above: the nodes of the fourth region */, MS = 1000000, KEYS = 8, ACKS_MAX = 32768 };
static const int64_t SECOND = 1000000000, LINE_NS = 40000000;
static const char *const regions[] = {"", "us", "eu", "ap", "sa", "sa"};

struct what {
    bool write, read;
    int64_t written, reads, wrong, late; /* late: it took more than a trip */
    int64_t read_ns, write_ns;           /* all together */
    struct ack {
        int64_t key, value, ts;
    } ack[ACKS_MAX];
    size_t acks;
};

/* ---- clients ---------------------------------------------------------------------------------------------------------------- */

static void write_one(struct txnworld_node *n, struct txn_client *c, struct reactor *r) {
    struct txnworld *w = n->w;
    struct what *x = w->conf.ctx;
    struct txn_options o = {.mode = TXN_READ_WRITE, .deadline = reactor_deadline(r, 5 * SECOND)};
    struct err err = {0};
    struct txn *t;
    int64_t key = (int64_t)rng_below(w->rng, KEYS) * 2, value = ++w->next_value, ts, began = sim_now(w->sim);
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
    x->write_ns += sim_now(w->sim) - began;
    CHECK(x->acks < ACKS_MAX);
    x->ack[x->acks++] = (struct ack){key, value, ts};
}

/* Is the row older than what was acknowledged at or before ts? */
static bool is_old(const struct what *x, int64_t key, int64_t value, int64_t ts) {
    int64_t newest = 0, it_has = 0;
    bool known = value == 0;
    for (size_t i = 0; i < x->acks; i++)
        if (x->ack[i].key == key && x->ack[i].ts <= ts && x->ack[i].ts > newest)
            newest = x->ack[i].ts;
    for (size_t i = 0; i < x->acks && !known; i++)
        if (x->ack[i].key == key && x->ack[i].value == value) {
            it_has = x->ack[i].ts;
            known = true;
        }
    return known && it_has < newest; /* a value that nobody was told of may be a newer one */
}

/* A second ago, which is within what a replica knows. */
static void read_one(struct txnworld_node *n, struct txn_client *c, struct reactor *r) {
    struct txnworld *w = n->w;
    struct what *x = w->conf.ctx;
    struct txn_options o = {
        .mode = TXN_READ_EXACT, .staleness_ns = SECOND, .deadline = reactor_deadline(r, 10 * SECOND)};
    struct err err = {0};
    struct txn *t;
    int64_t slot = (int64_t)rng_below(w->rng, KEYS), value, began = sim_now(w->sim);
    if (txn_begin(c, &o, &t, &err))
        return;
    enum rc rc = txnworld_get(w, t, slot * 2, LOCK_NONE, &value, &err);
    IGNORE(rc ? RC_OK : txn_commit(t, NULL, &err)); /* it has read; there is nothing to commit */
    int64_t ts = txn_read_ts(t);
    txn_free(t);
    if (rc)
        return;
    x->reads++;
    x->read_ns += sim_now(w->sim) - began;
    x->late += sim_now(w->sim) - began > LINE_NS;
    x->wrong += is_old(x, slot * 2, value, ts);
}

static void client(struct txnworld_node *n, struct txn_client *c, uint32_t session) {
    struct txnworld *w = n->w;
    struct what *x = w->conf.ctx;
    struct reactor *r = txnworld_store(n)->reactor;
    (void)session;
    while (!w->over && fiber_sleep(r, rng_range(w->rng, 20 * MS, 60 * MS)) == RC_OK)
        if (n->number < FAR && x->write)
            write_one(n, c, r);
        else if (n->number >= FAR && x->read)
            read_one(n, c, r);
}

/* ---- the world -------------------------------------------------------------------------------------------------------------- */

static struct tablet *tablet_at(struct txnworld *w, int node, uint64_t id) {
    return w->n[node].node ? tablets_find(node_store(w->n[node].node, 0)->tablets, id) : NULL;
}

static struct tablet *leader_of(struct txnworld *w, uint64_t id) {
    for (int i = 1; i <= NODES; i++) {
        struct tablet *t = tablet_at(w, i, id);
        if (t && replica_leads(tablet_replica(t)))
            return t;
    }
    return NULL;
}

/* Nodes that have a replica without a vote, one bit each, as its leader says; ~0: there is none, or members change. */
static unsigned readers(struct txnworld *w, uint64_t id) {
    struct tablet *t = leader_of(w, id);
    struct px_status px;
    unsigned set = 0;
    if (!t)
        return ~0U;
    replica_status(tablet_replica(t), &px);
    for (uint32_t i = 0; i < px.config.count; i++)
        if (!px_is_voter(&px.config.member[i]))
            set |= 1U << px_store_addr(px.config.member[i].store).node;
    return px.config.joint || px.config_pending ? ~0U : set;
}

static uint32_t number_of(struct txnworld *w, int i) {
    return w->n[i].node ? node_number(w->n[i].node) : 0;
}

struct wish {
    struct txnworld *w;
    unsigned any_of, but; /* bits of readers: exactly one of these, and none of those */
};

static bool fulfilled(void *ctx) {
    const struct wish *x = ctx;
    unsigned set = readers(x->w, SYSTEM_USER_TABLET);
    if (set == ~0U || set & x->but)
        return x->w->broken[0] != '\0';
    return x->any_of ? (set & x->any_of) && !(set & (set - 1)) : !set;
}

static bool wait_readers(struct txnworld *w, unsigned any_of, unsigned but, int64_t ns) {
    struct wish x = {w, any_of, but};
    return sim_run_until(w->sim, fulfilled, &x, sim_now(w->sim) + ns);
}

static void run_for(struct txnworld *w, int64_t ns) {
    sim_run(w->sim, sim_now(w->sim) + ns);
}

/* Voters in the first three regions, and who else is to read. */
struct placing {
    struct txnworld *w;
    Node__Placement p;
    bool table; /* for the table; else it is the default one */
    enum rc rc;
    bool done;
};

static void place_main(void *arg) {
    struct placing *x = arg;
    struct node_store *s = node_store(x->w->n[2].node, 0);
    struct err err = {0};
    x->rc = node_placement_set(s, &x->p, reactor_deadline(s->reactor, 10 * SECOND), &err);
    if (!x->rc && x->table)
        x->rc = node_place_group(s, TXNWORLD_TABLE, x->p.name, reactor_deadline(s->reactor, 10 * SECOND), &err);
    x->done = true;
}

static enum rc place(struct txnworld *w, bool table, bool none, char **reads, size_t n) {
    static char *voters[] = {(char *)(uintptr_t) "us", (char *)(uintptr_t) "eu", (char *)(uintptr_t) "ap"};
    struct placing x = {.w = w, .table = table};
    node__placement__init(&x.p);
    x.p.name = (char *)(uintptr_t)(table ? "reads" : "default");
    x.p.region = voters;
    x.p.n_region = ARRAY_LEN(voters);
    x.p.leader = voters;
    x.p.n_leader = 1;
    x.p.no_read = none;
    x.p.read = reads;
    x.p.n_read = n;
    CHECK(fiber_spawn(node_store(w->n[2].node, 0)->reactor, NULL, FIBER_LARGE, "place", place_main, &x) == RC_OK);
    while (!x.done)
        run_for(w, 100 * MS);
    return x.rc;
}

static struct txnworld *begin(struct what *x, uint64_t seed) {
    struct txnworld_conf conf = {.region = regions, .nodes = NODES, .clients = 1, .client = client, .ctx = x};
    struct txnworld *w = txnworld_new(seed, &conf);
    struct sim_link near = {.latency_ns = 500000}, far = {.latency_ns = LINE_NS / 2};
    for (int i = 1; i <= NODES; i++)
        for (int k = 1; k <= NODES; k++)
            if (i != k)
                *sim_link(w->n[i].sim, w->n[k].sim) = (i >= FAR) == (k >= FAR) ? near : far;
    sim_chance_off(w->sim); /* what goes wrong is what the test does */
    txnworld_ready(w);
    char *sa[] = {(char *)(uintptr_t) "sa"};
    w->go = true;
    EQ_INT(place(w, false, false, sa, 1), RC_OK);
    return w;
}

static unsigned far_bits(struct txnworld *w) {
    return 1U << number_of(w, FAR) | 1U << number_of(w, FAR + 1);
}

static void reset(struct what *x) {
    x->reads = x->wrong = x->late = x->written = 0;
    x->read_ns = x->write_ns = 0;
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------ */

static void the_past_is_read_at_home(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 1);
    OK(wait_readers(w, far_bits(w), ~far_bits(w), 30 * SECOND));
    EQ_INT(readers(w, SYSTEM_TABLET), 0);
    run_for(w, 4 * SECOND);
    x.read = true;
    reset(&x);
    run_for(w, 10 * SECOND);
    tap_note("%lld reads of a second ago, %lld took a trip", (long long)x.reads, (long long)x.late);
    OKF(x.reads > 100 && x.late == 0 && x.wrong == 0, "%lld reads, %lld late, %lld wrong", (long long)x.reads,
        (long long)x.late, (long long)x.wrong);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

static size_t log_bytes(struct txnworld *w) {
    struct tablet *t = leader_of(w, SYSTEM_USER_TABLET);
    struct px_status px = {.log_bytes = SIZE_MAX};
    if (t)
        replica_status(tablet_replica(t), &px);
    return px.log_bytes;
}

static void one_that_is_silent_costs_nothing(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 2);
    OK(wait_readers(w, far_bits(w), ~far_bits(w), 30 * SECOND));
    run_for(w, 4 * SECOND);
    reset(&x);
    run_for(w, 10 * SECOND);
    int64_t before = x.written, ns_before = x.write_ns;
    int dead = readers(w, SYSTEM_USER_TABLET) == 1U << number_of(w, FAR) ? FAR : FAR + 1, other = 2 * FAR + 1 - dead;
    uint32_t dead_number = number_of(w, dead);
    w->n[dead].node = NULL;
    sim_node_crash(w->n[dead].sim, SIM_KILL);
    reset(&x);
    run_for(w, 10 * SECOND);
    tap_note("%lld writes in ten seconds of %.2f ms, %lld of %.2f ms while it is dead", (long long)before,
             (double)ns_before / 1e6 / (double)before, (long long)x.written,
             (double)x.write_ns / 1e6 / (double)x.written);
    OK(x.written * 10 > before * 9);
    OK(x.write_ns / x.written < ns_before / before * 11 / 10);
    OKF(log_bytes(w) < 4 << 20, "%zu bytes of log", log_bytes(w));
    EQ_INT(readers(w, SYSTEM_USER_TABLET), 1U << dead_number); /* nobody takes its place for a restart */
    OK(wait_readers(w, 1U << number_of(w, other), 1U << dead_number, 60 * SECOND));
    txnworld_restart(w);
    run_for(w, 20 * SECOND);
    OK(!tablet_at(w, dead, SYSTEM_USER_TABLET)); /* it was told that it is none any more */
    x.read = true;
    run_for(w, 2 * SECOND);
    reset(&x);
    run_for(w, 5 * SECOND);
    OKF(x.reads > 100 && x.late == 0 && x.wrong == 0, "%lld reads, %lld late, %lld wrong", (long long)x.reads,
        (long long)x.late, (long long)x.wrong);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

/* It hears nothing of the voters; the other node of the region hears both, so it is asked first, and says that it does not know. */
static void one_that_lags_is_passed_over(void) {
    static struct what x;
    x = (struct what){.write = true, .read = true};
    struct txnworld *w = begin(&x, 3);
    OK(wait_readers(w, far_bits(w), ~far_bits(w), 30 * SECOND));
    run_for(w, 4 * SECOND);
    int reader = readers(w, SYSTEM_USER_TABLET) == 1U << number_of(w, FAR) ? FAR : FAR + 1;
    for (int i = 1; i < FAR; i++) {
        sim_link(w->n[reader].sim, w->n[i].sim)->cut = true;
        sim_link(w->n[i].sim, w->n[reader].sim)->cut = true;
    }
    run_for(w, 5 * SECOND);
    reset(&x);
    run_for(w, 10 * SECOND);
    tap_note("cut off: %lld reads, %lld took a trip", (long long)x.reads, (long long)x.late);
    OKF(x.reads > 30 && x.late > 30 && x.wrong == 0, "%lld reads, %lld late, %lld wrong", (long long)x.reads,
        (long long)x.late, (long long)x.wrong);
    OK(x.written > 50);
    sim_heal(w->sim);
    run_for(w, 10 * SECOND);
    reset(&x);
    run_for(w, 5 * SECOND);
    OKF(x.reads > 100 && x.late == 0 && x.wrong == 0, "healed: %lld reads, %lld late, %lld wrong", (long long)x.reads,
        (long long)x.late, (long long)x.wrong);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

/* P-7. Until the lease of the one that is cut off has ended nobody else leads either. */
static void with_one_there_is_no_majority(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 5);
    OK(wait_readers(w, far_bits(w), ~far_bits(w), 30 * SECOND));
    run_for(w, 4 * SECOND);
    int leader = 0;
    for (int i = 1; i < FAR; i++)
        if (tablet_at(w, i, SYSTEM_USER_TABLET) && replica_leads(tablet_replica(tablet_at(w, i, SYSTEM_USER_TABLET))))
            leader = i;
    for (int i = 1; i < FAR; i++)
        if (i != leader && leader) {
            sim_link(w->n[leader].sim, w->n[i].sim)->cut = true;
            sim_link(w->n[i].sim, w->n[leader].sim)->cut = true;
        }
    OK(leader > 0 && x.written > 0);
    run_for(w, SECOND / 5);
    reset(&x);
    run_for(w, 2 * SECOND);
    EQ_INT(x.written, 0);
    run_for(w, 15 * SECOND);
    OK(x.written > 0);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

/* The tablet in which the table lies: the placement gives it one of its own. */
static unsigned table_readers(struct txnworld *w) {
    struct value v = value_int(2);
    struct buf b;
    unsigned set = ~0U;
    buf_init(&b, 0);
    CHECK(table_key_put(&b, w->table, &v, 1, NULL) == RC_OK);
    for (int i = 1; i <= NODES; i++) {
        struct tablet *t =
            w->n[i].node ? tablets_find_key(node_store(w->n[i].node, 0)->tablets, (struct mvcc_bytes){b.data, b.len})
                         : NULL;
        if (t && replica_leads(tablet_replica(t)))
            set = readers(w, tablet_id(t));
    }
    buf_done(&b);
    return set;
}

/* Twice as far to the leader's region, and two thirds as far to another one. */
static void elsewhere_the_nearest_is_asked(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 6);
    OK(wait_readers(w, far_bits(w), ~far_bits(w), 30 * SECOND));
    EQ_INT(place(w, true, true, NULL, 0), RC_OK);
    for (int far = FAR; far <= NODES; far++) {
        for (int k = 0; k < 2; k++) {
            int i = k ? 3 : 1; /* us leads, ap is near */
            int64_t way = k ? LINE_NS / 3 : LINE_NS;
            sim_link(w->n[far].sim, w->n[i].sim)->latency_ns = sim_link(w->n[i].sim, w->n[far].sim)->latency_ns = way;
        }
    }
    run_for(w, 15 * SECOND);
    EQ_INT(table_readers(w), 0);
    x.read = true;
    run_for(w, 2 * SECOND);
    reset(&x);
    run_for(w, 10 * SECOND);
    tap_note("%lld reads, %.1f ms each; %.1f ms to the nearest and back, %.1f ms to the leader", (long long)x.reads,
             (double)x.read_ns / 1e6 / (double)x.reads, (double)LINE_NS * 2 / 3 / 1e6, (double)LINE_NS * 2 / 1e6);
    OKF(x.reads > 100 && x.wrong == 0, "%lld reads, %lld wrong", (long long)x.reads, (long long)x.wrong);
    OK(x.read_ns / x.reads < LINE_NS);
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

static void as_the_placement_says(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 4);
    char *sa[] = {(char *)(uintptr_t) "sa"}, *ap[] = {(char *)(uintptr_t) "ap"};
    OK(wait_readers(w, far_bits(w), ~far_bits(w), 30 * SECOND));
    EQ_INT(place(w, true, true, sa, 1), RC_INVAL);
    EQ_INT(place(w, true, true, NULL, 0), RC_OK);
    run_for(w, 15 * SECOND);
    EQ_INT(table_readers(w), 0);
    EQ_INT(place(w, true, false, ap, 1), RC_OK); /* that region has a voter */
    run_for(w, 10 * SECOND);
    EQ_INT(table_readers(w), 0);
    EQ_INT(place(w, true, false, sa, 1), RC_OK);
    run_for(w, 15 * SECOND);
    OK(table_readers(w) & far_bits(w));
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

struct olden {
    struct txnworld *w;
    int done;
};

/* The table of placements as it was before it told of read replicas, with a row. */
static void olden_main(void *arg) {
    struct olden *o = arg;
    for (int i = 1; i <= NODES; i++) {
        struct node_store *s = node_store(o->w->n[i].node, 0);
        struct tablet *t = tablets_find(s->tablets, SYSTEM_TABLET);
        if (!t || !replica_leads(tablet_replica(t)) || rpc_self(s->rpc).node != node_number(o->w->n[i].node))
            continue;
        struct table *now, *old;
        struct buf b;
        struct err err = {0};
        int64_t ts, deadline = reactor_deadline(s->reactor, 5 * SECOND);
        CHECK(system_placements_table(1, &now, &err) == RC_OK);
        struct table five = *now;
        five.n_cols = 5;
        CHECK(table_new(&five, &old, &err) == RC_OK);
        buf_init(&b, 0);
        command_begin(&b, COMMAND_DROP, 1);
        varint_put(&b, SYSTEM_PLACEMENTS);
        CHECK(tablet_propose(s->tablets, SYSTEM_TABLET, b.data, b.len, 0, NULL, deadline, &ts, &err) == RC_OK);
        buf_reset(&b, 4096);
        command_begin(&b, COMMAND_TABLE, 1);
        table_encode(old, &b);
        CHECK(tablet_propose(s->tablets, SYSTEM_TABLET, b.data, b.len, 0, NULL, deadline, &ts, &err) == RC_OK);
        struct value v[5] = {value_text("far", 3), value_text("", 0), value_text("", 0), value_text("", 0),
                             value_int(3)};
        struct mvcc_mutation m = {SYSTEM_PLACEMENTS, false, 5, v};
        CHECK(tablet_write(s->tablets, SYSTEM_TABLET, 0, &m, 1, deadline, &ts, &err) == RC_OK);
        buf_done(&b);
        table_unref(now);
        table_unref(old);
        o->done = i;
        return;
    }
}

/* A cluster that was made by a version without read replicas goes on, and its placements can be changed. */
static void a_cluster_of_before_goes_on(void) {
    static struct what x;
    x = (struct what){.write = true};
    struct txnworld *w = begin(&x, 7);
    struct olden o = {.w = w};
    for (int i = 1; i <= NODES && !o.done; i++) { /* whoever leads the system's tablet: on its own loop */
        struct tablet *t = tablet_at(w, i, SYSTEM_TABLET);
        if (!t || !replica_leads(tablet_replica(t)))
            continue;
        CHECK(fiber_spawn(node_store(w->n[i].node, 0)->reactor, NULL, FIBER_LARGE, "olden", olden_main, &o) == RC_OK);
        run_for(w, 6 * SECOND);
    }
    OK(o.done > 0);
    run_for(w, 3 * SECOND);
    char *sa[] = {(char *)(uintptr_t) "sa"};
    size_t before = x.acks;
    EQ_INT(place(w, true, false, sa, 1), RC_OK);
    run_for(w, 15 * SECOND);
    OK(table_readers(w) & far_bits(w));
    OK(x.acks > before + 50);
    const Node__Answer *all = directory_placements(node_store(w->n[2].node, 0)->directory);
    EQ_INT(all->n_placements, 2); /* the old row, and the new one */
    OKF(!w->broken[0], "%s", w->broken);
    txnworld_free(w);
}

int main(void) {
    RUN(the_past_is_read_at_home);
    RUN(one_that_is_silent_costs_nothing);
    RUN(one_that_lags_is_passed_over);
    RUN(with_one_there_is_no_majority);
    RUN(elsewhere_the_nearest_is_asked);
    RUN(as_the_placement_says);
    RUN(a_cluster_of_before_goes_on);
    return tap_done();
}
