/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log loses its power, or is killed, at every I/O, and again while it comes back: what is found is always what was appended
 * up to some point, in order, with everything in it that was said to be durable. What was found once is found again: replay's
 * answer becomes durable with the first append after it, even if it came from the page cache alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/runtime/wait.h"
#include "tests/lib/simkit.h"
#include "tests/lib/tap.h"
#include "tests/unit/paxos/walmodel.h"

enum { MS = 1000000, OPS_MAX = 6000, BURST_MAX = 12, CRASHES = 8 };
static const int64_t SECOND = 1000000000;

struct world;

struct waiter {
    struct wal_ticket t;
    struct world *w;
    unsigned upto; /* operations */
};

struct world {
    struct simkit_node kit;
    struct sim *sim;
    struct sim_node *node;
    struct rng *rng;
    struct model_mix mix;
    uint32_t segment_bytes;
    bool faulty;        /* syncs and writes fail now and then; the disk is full at times */
    unsigned ops_limit; /* an incarnation ends by itself after so many */
    char why[300];

    /* kept over crashes: base and the first `acked` operations are durable for certain, the others perhaps */
    struct model base;
    struct model_op *op;
    unsigned ops, acked;
    uint64_t nonce, opened, acks, lost, deaths, recycled, trace;

    /* of one incarnation */
    struct reactor *r;
    struct wal *wal;
    struct model now; /* base and all operations */
    struct waitq done;
    unsigned waiting;
    bool dead, finished;
    struct event closed;
};

static bool alive(const struct world *w) {
    return sim_node_running(w->node);
}

static void wrong(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void wrong(struct world *w, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    if (alive(w) && !w->why[0])
        vsnprintf(w->why, sizeof w->why, fmt, ap);
    va_end(ap);
}

/* ---- opening ---- */

/* The found state is base after n operations, for an n of at least `acked`. What came after them is lost for good. */
static void recognize(struct world *w, const struct model *found) {
    char why[200] = "nothing";
    unsigned n = 0;
    for (; n < w->acked; n++)
        model_apply(&w->base, &w->op[n]);
    w->ops -= n;
    w->acked = 0;
    memmove(w->op, w->op + n, w->ops * sizeof *w->op);
    w->now = w->base;
    for (n = 0; !model_equal(&w->now, found, why, sizeof why); n++) {
        if (n == w->ops) {
            wrong(w, "found what was not there after any of %u operations: %s", w->ops, why);
            return;
        }
        model_apply(&w->now, &w->op[n]);
    }
    w->lost += w->ops - n;
    w->ops = n;
}

static bool open_log(struct world *w, struct env *env) {
    struct model replayed, asked;
    struct wal_replay replay = model_replay(&replayed);
    struct wal_conf conf = {.store = MODEL_STORE, .segment_bytes = w->segment_bytes, .segments_soft = 4};
    struct err err = {0};
    char why[200];
    enum rc rc = env_mkdir(env, "log", &err);
    if (!rc || rc == RC_EXISTS)
        rc = dir_sync(w->r, "", &err);
    if (!rc)
        rc = wal_open(env, "log", &conf, &replay, &w->wal, NULL, &err);
    if (!rc)
        rc = model_ask(w->wal, &asked, &err);
    if (rc) {
        if (!w->faulty || (rc != RC_IO && rc != RC_NOSPACE))
            wrong(w, "opening: %s", err_message(&err));
        return false;
    }
    if (!model_equal(&replayed, &asked, why, sizeof why))
        wrong(w, "replay and index differ: %s", why);
    if (!alive(w))
        return true;
    w->opened++;
    recognize(w, &replayed);
    return true;
}

static void on_closed(void *ctx) {
    event_set(&((struct world *)ctx)->closed, RC_OK);
}

static void close_log(struct world *w) {
    if (!w->wal)
        return;
    w->recycled += counter_get(&wal_stats(w->wal)->recycled);
    event_init_unset(&w->closed);
    wal_close(w->wal, on_closed, w);
    w->wal = NULL;
    fiber_shield_begin(w->r);
    CHECK(event_wait(w->r, &w->closed, DEADLINE_NONE) == RC_OK);
    fiber_shield_end(w->r);
}

/* ---- appending ---- */

static void on_done(struct wal_ticket *t, enum rc rc) {
    struct waiter *x = container_of(t, struct waiter, t);
    struct world *w = x->w;
    if (rc)
        w->dead = true;
    else if (alive(w)) {
        if (x->upto < w->acked)
            wrong(w, "answered out of order");
        w->acked = x->upto;
        w->acks++;
    }
    if (rc == RC_IO && !w->faulty)
        wrong(w, "an append failed");
    w->waiting--;
    waitq_wake_all(&w->done, RC_OK);
    free(x);
}

static enum rc append_one(struct world *w) {
    struct model_op op = model_next(&w->now, &w->mix, w->rng, ++w->nonce);
    struct waiter *x = NULL;
    if (rng_chance(w->rng, 0.5)) {
        x = malloc(sizeof *x);
        CHECK(x);
        *x = (struct waiter){.t = {.on_done = on_done}, .w = w, .upto = w->ops + 1};
    }
    enum rc rc = model_put(w->wal, &op, x ? &x->t : NULL);
    if (rc) {
        free(x);
        return rc;
    }
    w->waiting += x != NULL;
    CHECK(w->ops < OPS_MAX);
    w->op[w->ops++] = op;
    model_apply(&w->now, &op);
    return RC_OK;
}

/* Until the log or the node dies, or there was enough; true: enough. */
static bool serve(struct world *w) {
    unsigned made = 0;
    enum rc rc = RC_OK;
    while (!rc && !w->dead && alive(w) && w->ops < OPS_MAX - BURST_MAX && made < w->ops_limit) {
        unsigned burst = 1 + (unsigned)rng_below(w->rng, BURST_MAX);
        for (unsigned i = 0; i < burst && !rc; i++, made++)
            rc = append_one(w);
        wal_flush(w->wal);
        if (rc == RC_OVERLOAD || rc == RC_NOSPACE)
            rc = fiber_sleep(w->r, 10 * MS);
        else if (!rc && rng_chance(w->rng, 0.6))
            rc = w->waiting ? waitq_wait(w->r, &w->done, DEADLINE_NONE) : fiber_yield(w->r);
        else if (!rc)
            rc = fiber_sleep(w->r, rng_range(w->rng, 1, 3 * MS));
    }
    if (rc == RC_IO && w->faulty) /* it died while nobody waited */
        w->dead = true;
    if (rc && rc != RC_CANCELLED && rc != RC_SHUTDOWN && !w->dead)
        wrong(w, "append: %s", rc_name(rc));
    while (!rc && !w->dead && w->waiting)
        rc = waitq_wait(w->r, &w->done, DEADLINE_NONE);
    return !rc && !w->dead;
}

static void body(struct simkit_store *s) {
    struct world *w = s->node->arg;
    bool enough = false;
    w->r = s->r;
    w->finished = false;
    waitq_init(&w->done);
    while (!enough) {
        w->wal = NULL;
        w->dead = false;
        w->waiting = 0;
        if (open_log(w, s->env))
            enough = serve(w);
        w->deaths += w->dead && alive(w);
        close_log(w); /* answers who waits */
        if (!alive(w) || w->why[0] || fiber_sleep(w->r, MS))
            return;
    }
    w->finished = true;
}

/* ---- worlds ---- */

static void world_begin(struct world *w, uint64_t seed, const char *mutant, bool faulty) {
    struct sim_conf conf = simkit_conf(seed);
    if (mutant)
        conf.mutant = mutant;
    memset(w, 0, sizeof *w);
    w->kit = (struct simkit_node){.body = body, .arg = w};
    w->op = calloc(OPS_MAX, sizeof *w->op);
    w->sim = sim_new(&conf);
    CHECK(w->sim && w->op);
    w->rng = sim_rng(w->sim);
    w->node = sim_node_new(w->sim, "n1", 1, &simkit_program, &w->kit);
    w->segment_bytes = 4096u << rng_below(w->rng, 3);
    w->mix = (struct model_mix){.groups = 1 + (unsigned)rng_below(w->rng, MODEL_GROUPS),
                                .bytes_max = 200 + rng_below(w->rng, 2000),
                                .keep = 1 + (unsigned)rng_below(w->rng, 5)};
    struct sim_disk_faults *f = sim_disk_faults(w->node);
    f->sync_ns = rng_range(w->rng, 0, 3 * MS);
    f->sync_jitter_ns = rng_range(w->rng, 0, 2 * MS);
    w->faulty = faulty;
    if (faulty) {
        f->sync_eio = rng_double(w->rng) * 0.03;
        f->write_eio = rng_double(w->rng) * 0.003;
        f->read_eio = rng_double(w->rng) * 0.002;
        f->capacity_bytes = rng_chance(w->rng, 0.3) ? w->segment_bytes * rng_range(w->rng, 3, 8) : 0;
    }
}

/* Rare code that some seed must have reached. */
static const char *const rare[] = {"wal: a torn batch was cut off", "wal: a segment was given back",
                                   "wal: waited for a segment", "wal: no space for a segment"};
enum { RARE = ARRAY_LEN(rare) };

static bool world_end(struct world *w, uint64_t hits[RARE]) {
    w->trace = sim_trace(w->sim);
    for (size_t i = 0; hits && i < RARE; i++)
        hits[i] += sim_probe(w->sim, rare[i]);
    sim_free(w->sim);
    free(w->op);
    return !w->why[0];
}

static void run(struct world *w, enum sim_crash how, uint64_t at_io) {
    CHECK(sim_node_start(w->node, NULL) == RC_OK);
    if (at_io)
        sim_node_crash_at_io(w->node, how, at_io);
    int64_t until = sim_now(w->sim) + 3 * SECOND;
    while (alive(w) && !w->finished && sim_now(w->sim) < until && sim_step(w->sim))
        ;
}

static void crash(struct world *w, enum sim_crash how) {
    if (alive(w))
        sim_node_crash(w->node, how);
    w->finished = false;
}

/* Incarnation after incarnation, each ended at a random I/O. */
static bool live(struct world *w, uint64_t seed, bool faulty, const char *mutant, uint64_t hits[RARE]) {
    static const uint64_t spans[] = {12, 40, 150, 600};
    world_begin(w, seed, mutant, faulty);
    w->ops_limit = 1500;
    for (int i = 0; i < CRASHES && !w->why[0]; i++) {
        enum sim_crash how = rng_chance(w->rng, 0.6) ? SIM_POWER : SIM_KILL;
        run(w, how, 1 + rng_below(w->rng, spans[rng_below(w->rng, ARRAY_LEN(spans))]));
        crash(w, how);
    }
    sim_disk_faults(w->node)->sync_eio = sim_disk_faults(w->node)->write_eio = 0;
    sim_disk_faults(w->node)->read_eio = 0;
    sim_disk_faults(w->node)->capacity_bytes = 0;
    w->ops_limit = 20;
    for (int i = 0; i < 2 && !w->why[0]; i++) { /* in the end it opens, appends, and finds that again */
        run(w, SIM_POWER, 0);
        if (!w->finished)
            wrong(w, "it does not go on");
        crash(w, SIM_POWER);
    }
    return world_end(w, hits);
}

static uint64_t hits[RARE]; /* over all seeds */

static void check_seed(uint64_t seed, bool faulty) {
    struct world w;
    OKF(live(&w, seed, faulty, NULL, hits), "%s", w.why);
    if (seed % 40 == 1)
        tap_note("seed %llu: opened %llu times, %llu appends acknowledged, %llu operations lost, %llu logs died, "
                 "%llu segments recycled",
                 (unsigned long long)seed, (unsigned long long)w.opened, (unsigned long long)w.acks,
                 (unsigned long long)w.lost, (unsigned long long)w.deaths, (unsigned long long)w.recycled);
}

static void crash_seed(uint64_t seed) {
    check_seed(seed, false);
}

static void faulty_seed(uint64_t seed) {
    check_seed(seed, true);
}

static void random_crashes(void) {
    simkit_seeds("wal_crash_test", 120, crash_seed);
}

/* The same on a disk that fails: a log that died is closed and opened anew, in the same process, over what the page cache has. */
static void random_crashes_and_faults(void) {
    simkit_seeds("wal_crash_test", 120, faulty_seed);
    for (size_t i = 0; i < RARE; i++)
        OKF(hits[i] > 0 || tap_env("SIM_SEED", 0), "never: %s", rare[i]);
}

/* One run of a seed, with a crash at its n-th I/O; false: it has fewer. */
static bool crash_at(struct world *w, uint64_t seed, enum sim_crash how, uint64_t n) {
    world_begin(w, seed, NULL, false);
    w->segment_bytes = 4096;
    w->ops_limit = 70;
    run(w, how, n);
    bool died = !w->finished;
    for (int i = 0; i < 2 && !w->why[0]; i++) {
        crash(w, i ? SIM_POWER : how);
        w->ops_limit = 10;
        run(w, how, 0);
    }
    crash(w, how);
    return died;
}

static void every_io(uint64_t seed) {
    uint64_t n = 1;
    for (enum sim_crash how = SIM_KILL; how <= SIM_POWER && !tap_failing(); how++)
        for (n = 1;; n++) {
            struct world w;
            bool died = crash_at(&w, seed, how, n);
            OKF(world_end(&w, NULL), "crash at I/O %llu: %s", (unsigned long long)n, w.why);
            if (!died || tap_failing())
                break;
        }
    if (seed == 1)
        tap_note("%llu I/Os", (unsigned long long)n);
    OK(n > 20);
}

static void crash_at_every_io(void) {
    simkit_seeds("wal_crash_test", 10, every_io);
}

static void same_seed_same_run(void) {
    struct world w;
    OK(live(&w, 5, true, NULL, NULL));
    uint64_t trace = w.trace;
    OK(live(&w, 5, true, NULL, NULL));
    OK(trace == w.trace);
}

/* Each rule left out is found. */
static void mutants(void) {
    static const struct {
        const char *rule;
        bool faulty;
    } rules[] = {{"P-2", false},       {"P-30", true},        {"P-31", false},
                 {"N-10.heal", false}, {"N-10.first", false}, {"N-10.torn", false}};
    if (tap_env("SIM_SEED", 0) || getenv("SIM_MUTANT")) {
        tap_skip("one seed or mutant only");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct world w;
        uint64_t seed = 1;
        while (seed <= 3000 && live(&w, seed, rules[i].faulty, rules[i].rule, NULL))
            seed++;
        OKF(seed <= 3000, "%s switched off: not found", rules[i].rule);
        tap_note("%s found by seed %llu: %s", rules[i].rule, (unsigned long long)seed, w.why);
    }
}

int main(void) {
    RUN(crash_at_every_io);
    RUN(random_crashes);
    RUN(random_crashes_and_faults);
    RUN(same_seed_same_run);
    RUN(mutants);
    return tap_done();
}
