/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lazy wound-wait over several lock tables: small programs of locks and prepares, all interleavings of their steps with
 * the delivery of marks. Two claims are checked in every state that can be reached: in each cycle of waiting there is
 * somebody marked (or prepared, with a wound to forward); and once time passes, everybody ends.
 *
 * Real lock tables are stepped; a state is reached again by repeating its steps, and looked at once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tap.h"
#include "truetime/base/map.h"
#include "truetime/base/rng.h"
#include "txn/lock.h"

enum { TXNS = 3, TABLES_MAX = 3, KEYS = 2, STEPS = 4, PATH = 64, STATES = 4000 };
static const int64_t MS = 1000000;

enum step_kind { STEP_LOCK, STEP_PREPARE };

struct program_step {
    enum step_kind kind;
    int table, key;
    enum lock_mode mode;
};

struct program {
    int steps;
    struct program_step step[STEPS];
};

enum status { RUNNING, WAITING, RELEASING, COMMITTED, ABORTED };

static bool no_chance(struct chaos *c, const char *place) {
    (void)c, (void)place;
    return false;
}

static bool is_mutant(struct chaos *c, const char *rule) {
    const char *mutant = getenv("SIM_MUTANT");
    (void)c;
    return mutant && strcmp(mutant, rule) == 0;
}

static void no_probe(struct chaos *c, const char *what) {
    (void)c, (void)what;
}

static const struct chaos_ops chaos_ops = {no_chance, is_mutant, no_probe};
static struct chaos chaos = {&chaos_ops};

/* One state of the world. */
struct world {
    int tables;
    struct lock_table *table[TABLES_MAX];
    struct program program[TXNS];
    enum status status[TXNS];
    int pc[TXNS], wait_table[TXNS];
    uint8_t released[TXNS]; /* tables, by bit */
    uint8_t mark_due[TXNS]; /* tables that have not heard of the mark yet, by bit */
    bool prepared[TXNS];    /* at some table */
    int64_t now;
    bool cycle_unmarked;
};

static struct txn_ref ref_of(int x) {
    return (struct txn_ref){.id = {1, 1, (uint64_t)x + 1}, .age = {x + 1, 1, (uint64_t)x + 1}};
}

static struct lock_txn *txn_at(struct world *w, int table, int x) {
    struct txn_ref ref = ref_of(x);
    return lock_txn_find(w->table[table], &ref.id);
}

static void abort_txn(struct world *w, int x) {
    w->status[x] = ABORTED;
    for (int t = 0; t < w->tables; t++) {
        struct lock_txn *l = txn_at(w, t, x);
        if (l)
            lock_release(w->table[t], l, w->now);
    }
}

/* What the lock tables have to say goes where it belongs; marks reach other tables later, when an action delivers them.
 * */
static void drain(struct world *w) {
    bool again = true;
    while (again) {
        again = false;
        for (int t = 0; t < w->tables; t++) {
            struct lock_event e;
            while (lock_next(w->table[t], &e)) {
                int x = (int)e.txn.counter - 1;
                again = true;
                if (e.type == LOCK_EV_GRANTED) {
                    w->status[x] = RUNNING;
                    w->pc[x]++;
                } else if (e.type == LOCK_EV_WOUNDED) {
                    w->mark_due[x] = (uint8_t)(((1u << w->tables) - 1) & ~(1u << t));
                } else if (e.type == LOCK_EV_DOOMED || (e.type == LOCK_EV_FORWARD && !chaos_mutant(&chaos, "K-3"))) {
                    if (w->status[x] != RELEASING && w->status[x] != COMMITTED) /* K-3: undecided */
                        abort_txn(w, x);
                }
            }
        }
    }
}

static struct txn_span key_span(int key, uint8_t bytes[2]) {
    bytes[0] = (uint8_t)(key + 1);
    bytes[1] = 0;
    return (struct txn_span){{bytes, 1}, {bytes, 2}};
}

static void take_step(struct world *w, int x) {
    struct program *p = &w->program[x];
    if (w->pc[x] == p->steps) { /* decided: release, one table after the other */
        w->status[x] = RELEASING;
        for (int t = 0; t < w->tables; t++)
            if (!(w->released[x] & 1u << t)) {
                struct lock_txn *l = txn_at(w, t, x);
                w->released[x] |= (uint8_t)(1u << t);
                if (l)
                    lock_release(w->table[t], l, w->now);
                break;
            }
        if (w->released[x] == (1u << w->tables) - 1)
            w->status[x] = COMMITTED;
        return;
    }
    struct program_step *s = &p->step[w->pc[x]];
    struct txn_ref ref = ref_of(x);
    struct lock_txn *l;
    CHECK(lock_txn_open(w->table[s->table], &ref, w->now, &l, NULL) == RC_OK);
    if (s->kind == STEP_PREPARE) {
        if (lock_prepare(w->table[s->table], l, w->now, NULL))
            abort_txn(w, x);
        else
            w->pc[x]++;
        return;
    }
    uint8_t bytes[2];
    bool waits = false;
    struct txn_span span = key_span(s->key, bytes);
    enum rc rc = lock_acquire(w->table[s->table], l, &span, s->mode, 1, w->now, INT64_MAX, &waits, NULL);
    if (rc) {
        abort_txn(w, x);
    } else if (waits) {
        /* the answer may be in the queue already */
        w->status[x] = WAITING;
        w->wait_table[x] = s->table;
    } else {
        w->pc[x]++;
    }
}

/* Actions 0..TXNS-1: a step; then: deliver a mark of x to table t; the last: time passes. */
static int actions(const struct world *w) {
    return TXNS + TXNS * w->tables + 1;
}

static bool possible(struct world *w, int a) {
    if (a < TXNS)
        return w->status[a] == RUNNING || w->status[a] == RELEASING;
    a -= TXNS;
    return a < TXNS * w->tables && w->mark_due[a / w->tables] & 1u << (a % w->tables);
}

static void act(struct world *w, int a) {
    if (a < TXNS) {
        take_step(w, a);
    } else if (a < TXNS + TXNS * w->tables) {
        int x = (a - TXNS) / w->tables, t = (a - TXNS) % w->tables;
        struct lock_why why = {.rule = LOCK_RULE_WOUNDED};
        struct lock_txn *l = txn_at(w, t, x);
        w->mark_due[x] &= (uint8_t) ~(1u << t);
        if (l)
            lock_mark(w->table[t], l, &why, w->now);
    } else {
        w->now += 150 * MS;
        for (int t = 0; t < w->tables; t++)
            lock_tick(w->table[t], w->now);
    }
    drain(w);
}

static void world_done(struct world *w) {
    for (int t = 0; t < w->tables; t++)
        lock_table_free(w->table[t]);
}

static void world_begin(struct world *w, const struct world *from) {
    *w = *from;
    for (int t = 0; t < w->tables; t++) {
        struct lock_init init = {.seed = 1, .chaos = &chaos, .limits.silent_ns = INT64_MAX / 4};
        CHECK(lock_table_new(&init, &w->table[t]) == RC_OK);
    }
}

static bool marked_somewhere(struct world *w, int x) {
    for (int t = 0; t < w->tables; t++) {
        struct lock_txn *l = txn_at(w, t, x);
        struct lock_txn_info info;
        if (!l)
            continue;
        lock_txn_info(l, &info);
        if (info.marked)
            return true;
    }
    return false;
}

/* x waits for y: y holds what conflicts. Who waits behind an
 * older waiter waits, at the end of that chain, for a holder. */
static bool waits_for(struct world *w, int x, int y) {
    if (w->status[x] != WAITING || x == y)
        return false;
    struct program_step *s = &w->program[x].step[w->pc[x]];
    uint8_t bytes[2];
    struct txn_span span = key_span(s->key, bytes);
    struct lock_txn *l = txn_at(w, s->table, y);
    if (!l)
        return false;
    enum lock_mode held = lock_held(w->table[s->table], l, &span);
    bool conflict = held == LOCK_EXCLUSIVE || (held && s->mode == LOCK_EXCLUSIVE) ||
                    (held == LOCK_UPDATE && s->mode == LOCK_UPDATE);
    return conflict;
}

/* A cycle x -> y (-> z) -> x of waiting for holders, nobody of it marked, no prepared one that a wound will reach. */
static bool cycle_unmarked(struct world *w) {
    for (int x = 0; x < TXNS; x++)
        for (int y = 0; y < TXNS; y++) {
            if (!waits_for(w, x, y))
                continue;
            for (int z = 0; z < TXNS; z++) {
                bool two = z == x && waits_for(w, y, x),
                     three = z != x && z != y && waits_for(w, y, z) && waits_for(w, z, x);
                bool excused = marked_somewhere(w, x) || marked_somewhere(w, y) || marked_somewhere(w, z) ||
                               w->prepared[x] || w->prepared[y] || w->prepared[z];
                if ((two || three) && !excused)
                    return true;
            }
        }
    return false;
}

static uint64_t fingerprint(struct world *w) {
    uint64_t h = 1;
    for (int x = 0; x < TXNS; x++) {
        h = hash_u64(h * 31 + (uint64_t)w->status[x] * 64 + (uint64_t)w->pc[x] * 8 + w->released[x]);
        h = hash_u64(h * 31 + w->mark_due[x]);
        for (int t = 0; t < w->tables; t++) {
            struct lock_txn *l = txn_at(w, t, x);
            struct lock_txn_info info = {.locks = 99};
            if (l)
                lock_txn_info(l, &info);
            h = hash_u64(h * 31 + info.locks * 16 + (uint64_t)info.state * 4 + info.marked * 2 + (info.waits > 0));
            for (int k = 0; k < KEYS && l; k++) {
                uint8_t bytes[2];
                struct txn_span span = key_span(k, bytes);
                h = hash_u64(h * 31 + (uint64_t)lock_held(w->table[t], l, &span));
            }
        }
    }
    return h;
}

struct search {
    struct world start;
    uint64_t seen[STATES * 2];
    int states, capped, ends;
    uint8_t path[PATH];
    bool bad;
};

static bool see(struct search *s, uint64_t h) {
    size_t at = h % (STATES * 2);
    for (; s->seen[at]; at = (at + 1) % (STATES * 2))
        if (s->seen[at] == h)
            return false;
    if (s->states >= STATES) {
        s->capped = 1;
        return false;
    }
    s->seen[at] = h;
    s->states++;
    return true;
}

static void print_path(const struct search *s, int depth) {
    for (int x = 0; x < TXNS; x++)
        for (int i = 0; i < s->start.program[x].steps; i++) {
            const struct program_step *p = &s->start.program[x].step[i];
            tap_note("T%d step %d: %s table %d key %d", x, i,
                     p->kind == STEP_LOCK ? lock_mode_name(p->mode) : "prepare", p->table, p->key);
        }
    char text[PATH * 4] = "";
    for (int i = 0; i < depth; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), " %u", s->path[i]);
    tap_note("actions:%s", text);
}

static void go(struct search *s, int depth, int idle) {
    struct world w;
    bool any = false, ended = true;
    int count;
    world_begin(&w, &s->start);
    for (int i = 0; i < depth; i++)
        act(&w, s->path[i]);
    for (int x = 0; x < TXNS; x++)
        ended = ended && (w.status[x] == COMMITTED || w.status[x] == ABORTED);
    for (int t = 0; t < w.tables; t++)
        if (!getenv("SIM_MUTANT"))
            lock_table_check(w.table[t]);
    if (cycle_unmarked(&w)) {
        s->bad = true;
        OKF(false, "a cycle in which nobody is marked");
        print_path(s, depth);
    }
    count = actions(&w);
    bool fresh = see(s, fingerprint(&w) + (uint64_t)idle);
    uint64_t can = 0;
    for (int a = 0; a < count - 1; a++)
        can |= (uint64_t)possible(&w, a) << a;
    world_done(&w);
    s->ends += ended;
    if (!fresh || ended || s->bad)
        return;
    for (int a = 0; a < count - 1 && depth < PATH - 1; a++)
        if (can & (uint64_t)1 << a) {
            any = true;
            s->path[depth] = (uint8_t)a;
            go(s, depth + 1, 0);
        }
    if (any)
        return;
    if (idle == 3 || depth == PATH - 1) { /* nobody can move, and time does not help */
        s->bad = true;
        OKF(false, "a deadlock");
        print_path(s, depth);
        return;
    }
    s->path[depth] = (uint8_t)(count - 1);
    go(s, depth + 1, idle + 1);
}

static void random_program(struct rng *rng, struct program *p, int tables) {
    bool prepared[TABLES_MAX] = {false};
    p->steps = (int)rng_range(rng, 2, STEPS);
    for (int i = 0; i < p->steps; i++) {
        struct program_step *s = &p->step[i];
        s->table = (int)rng_below(rng, (uint64_t)tables);
        while (prepared[s->table])
            s->table = (s->table + 1) % tables;
        s->key = (int)rng_below(rng, KEYS);
        s->mode = (enum lock_mode)rng_range(rng, LOCK_SHARED, LOCK_EXCLUSIVE);
        s->kind = STEP_LOCK;
        int left = 0;
        for (int t = 0; t < tables; t++)
            left += !prepared[t];
        /* prepared here while it still asks elsewhere: what K-3 is about */
        if (i > 0 && left > 1 && rng_chance(rng, 0.3)) {
            s->kind = STEP_PREPARE;
            prepared[s->table] = true;
        }
    }
}

static void every_interleaving(void) {
    uint64_t seeds = tap_env("SIM_SEEDS", 150), states = 0, ends = 0, capped = 0;
    struct search *s = malloc(sizeof *s);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct rng rng;
        *s = (struct search){.states = 0};
        rng_init(&rng, seed);
        s->start.tables = 2 + (int)(seed % 2);
        for (int x = 0; x < TXNS; x++) {
            random_program(&rng, &s->start.program[x], s->start.tables);
            for (int i = 0; i < s->start.program[x].steps; i++)
                s->start.prepared[x] |= s->start.program[x].step[i].kind == STEP_PREPARE;
        }
        go(s, 0, 0);
        states += (uint64_t)s->states;
        ends += (uint64_t)s->ends;
        capped += (uint64_t)s->capped;
        if (s->bad)
            break;
    }
    tap_note("%llu states, %llu ends; %llu of %llu programs had more states than are looked at",
             (unsigned long long)states, (unsigned long long)ends, (unsigned long long)capped,
             (unsigned long long)seeds);
    OK(states > 1000 && capped * 4 < seeds);
    free(s);
}

int main(void) {
    RUN(every_interleaving);
    return tap_done();
}
