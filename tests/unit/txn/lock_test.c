/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock table against a naive model: a matrix of who holds which key in which mode, and a list of who waits.
 * Millions of random steps; after each the events and the locks must be those of the model, and the table's own
 * promises must hold.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"
#include "txn/lock.h"

enum { TXNS = 7, KEYS = 10, WAITERS = 64, EVENTS = 256 };
static const int64_t MS = 1000000;

struct m_wait {
    int x, lo, hi;
    enum lock_mode mode;
    uint64_t request;
    int64_t deadline;
};

struct m_txn {
    bool there, marked, busy;
    enum lock_state state;
    uint64_t counter, age;
    int64_t alive, active, marked_at;
};

struct model {
    struct m_txn txn[TXNS];
    enum lock_mode hold[TXNS][KEYS];
    struct m_wait wait[WAITERS];
    int waits;
    char event[EVENTS][48]; /* of this step */
    int events;
};

static bool conflicts(enum lock_mode a, enum lock_mode b) {
    static const bool table[LOCK_MODES][LOCK_MODES] = {
        [LOCK_SHARED] = {[LOCK_EXCLUSIVE] = true},
        [LOCK_UPDATE] = {[LOCK_UPDATE] = true, [LOCK_EXCLUSIVE] = true},
        [LOCK_EXCLUSIVE] = {[LOCK_SHARED] = true, [LOCK_UPDATE] = true, [LOCK_EXCLUSIVE] = true},
    };
    return table[a][b];
}

static bool m_holds_against(const struct model *m, int x, int lo, int hi, enum lock_mode mode) {
    for (int k = lo; k <= hi; k++)
        if (m->txn[x].there && conflicts(m->hold[x][k], mode))
            return true;
    return false;
}

static bool m_blocked(const struct model *m, int x, int lo, int hi, enum lock_mode mode) {
    for (int y = 0; y < TXNS; y++)
        if (y != x && m_holds_against(m, y, lo, hi, mode))
            return true;
    for (int i = 0; i < m->waits; i++) {
        const struct m_wait *w = &m->wait[i];
        if (m->txn[w->x].age < m->txn[x].age && w->lo <= hi && lo <= w->hi && conflicts(w->mode, mode) &&
            !m_holds_against(m, x, w->lo, w->hi, w->mode))
            return true;
    }
    return false;
}

static void m_event(struct model *m, const char *what, uint64_t a, const char *b) {
    CHECK(m->events < EVENTS);
    snprintf(m->event[m->events++], sizeof m->event[0], "%s %llu %s", what, (unsigned long long)a, b);
}

static void m_drop_wait(struct model *m, int i) {
    m->wait[i] = m->wait[--m->waits];
}

static void m_eval(struct model *m, int64_t now) {
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < m->waits; i++) {
            struct m_wait w = m->wait[i];
            if (m_blocked(m, w.x, w.lo, w.hi, w.mode))
                continue;
            for (int k = w.lo; k <= w.hi; k++)
                if (m->hold[w.x][k] < w.mode)
                    m->hold[w.x][k] = w.mode;
            m_event(m, "granted", w.request, "");
            m->txn[w.x].active = now;
            m_drop_wait(m, i);
            again = true;
            break;
        }
    }
}

static bool m_waits(const struct model *m, int x) {
    for (int i = 0; i < m->waits; i++)
        if (m->wait[i].x == x)
            return true;
    return false;
}

static void m_doom(struct model *m, int x) {
    if (m->txn[x].state != LOCK_ACTIVE)
        return;
    for (int i = m->waits - 1; i >= 0; i--)
        if (m->wait[i].x == x) {
            m_event(m, "refused", m->wait[i].request, "ABORTED");
            m_drop_wait(m, i);
        }
    m->txn[x].state = LOCK_DOOMED;
    m_event(m, "doomed", m->txn[x].counter, "");
}

static enum rc m_acquire(struct model *m, int x, int lo, int hi, enum lock_mode mode, uint64_t request, int64_t now,
                         int64_t deadline, bool *ret_waits) {
    struct m_txn *t = &m->txn[x];
    t->alive = t->active = now;
    *ret_waits = false;
    if (t->state == LOCK_PREPARED)
        return RC_INVAL;
    if (t->state == LOCK_DOOMED)
        return RC_ABORTED;
    if (!m_blocked(m, x, lo, hi, mode)) {
        for (int k = lo; k <= hi; k++)
            if (m->hold[x][k] < mode)
                m->hold[x][k] = mode;
        m_eval(m, now);
        return RC_OK;
    }
    if (t->marked) {
        m_doom(m, x);
        m_eval(m, now);
        return RC_ABORTED;
    }
    *ret_waits = true;
    m->wait[m->waits++] = (struct m_wait){x, lo, hi, mode, request, deadline};
    for (int y = 0; y < TXNS; y++) {
        struct m_txn *v = &m->txn[y];
        if (y == x || v->age < t->age || !m_holds_against(m, y, lo, hi, mode) || v->state != LOCK_ACTIVE || v->marked)
            continue;
        v->marked = true;
        v->marked_at = now;
        m_event(m, "wounded", v->counter, "");
    }
    for (int y = 0; y < TXNS; y++)
        if (m->txn[y].there && m->txn[y].marked && m_waits(m, y))
            m_doom(m, y);
    m_eval(m, now);
    return RC_OK;
}

static void m_tick(struct model *m, int64_t now) {
    for (int i = m->waits - 1; i >= 0; i--)
        if (m->wait[i].deadline <= now) {
            m_event(m, "refused", m->wait[i].request, "TIMEOUT");
            m->txn[m->wait[i].x].active = now;
            m_drop_wait(m, i);
        }
    for (int x = 0; x < TXNS; x++) {
        struct m_txn *t = &m->txn[x];
        if (!t->there || t->state != LOCK_ACTIVE)
            continue;
        int64_t idle = t->active > t->marked_at ? t->active : t->marked_at;
        if (now - t->alive >= 5000 * MS || (t->marked && !t->busy && now - idle >= 100 * MS))
            m_doom(m, x);
    }
    m_eval(m, now);
}

static void m_release(struct model *m, int x, int64_t now) {
    for (int i = m->waits - 1; i >= 0; i--)
        if (m->wait[i].x == x)
            m_drop_wait(m, i);
    for (int k = 0; k < KEYS; k++)
        m->hold[x][k] = LOCK_NONE;
    m->txn[x].there = false;
    m_eval(m, now);
}

/* ---- both side by side ------------------------------------------------------------------------------------------- */

struct duo {
    struct lock_table *t;
    struct model m;
    struct rng rng;
    int64_t now;
    int lo, hi; /* keys of this tablet */
    uint64_t counter, request;
    uint64_t steps, wounds, splits, forwards;
    bool bad;
};

/* Key i is the byte i + 1; a span of one key may be the key alone, or reach to the next. */
static struct txn_span span_of(int lo, int hi, bool point, uint8_t bytes[3]) {
    bytes[0] = (uint8_t)(lo + 1);
    bytes[1] = 0;
    bytes[2] = (uint8_t)(hi + 2);
    if (point)
        return (struct txn_span){{bytes, 1}, {bytes, 2}};
    return (struct txn_span){{bytes, 1}, {bytes + 2, hi == KEYS - 1 ? 0 : 1}};
}

static struct txn_ref ref_of(const struct m_txn *t) {
    return (struct txn_ref){
        .id = {.gateway = 1, .incarnation = 1, .counter = t->counter},
        .age = {.ts = (int64_t)t->age, .gateway = 1, .counter = t->age},
    };
}

static struct lock_txn *find(struct duo *d, int x) {
    struct txn_ref ref = ref_of(&d->m.txn[x]);
    return lock_txn_find(d->t, &ref.id);
}

static int by_text(const void *a, const void *b) {
    return strcmp(a, b);
}

static void compare(struct duo *d, const char *what) {
    struct lock_event e;
    char got[EVENTS][48];
    int n = 0;
    while (lock_next(d->t, &e)) {
        CHECK(n < EVENTS);
        if (e.type == LOCK_EV_GRANTED)
            snprintf(got[n++], sizeof got[0], "granted %llu ", (unsigned long long)e.request);
        else if (e.type == LOCK_EV_REFUSED)
            snprintf(got[n++], sizeof got[0], "refused %llu %s", (unsigned long long)e.request, rc_name(e.rc));
        else if (e.type == LOCK_EV_WOUNDED)
            snprintf(got[n++], sizeof got[0], "wounded %llu ", (unsigned long long)e.txn.counter);
        else if (e.type == LOCK_EV_DOOMED)
            snprintf(got[n++], sizeof got[0], "doomed %llu ", (unsigned long long)e.txn.counter);
        else
            d->forwards++;
        d->wounds += e.type == LOCK_EV_WOUNDED;
    }
    qsort(got, (size_t)n, sizeof got[0], by_text);
    qsort(d->m.event, (size_t)d->m.events, sizeof d->m.event[0], by_text);
    bool same = OKF(n == d->m.events, "step %llu, %s: %d events, the model has %d", (unsigned long long)d->steps, what,
                    n, d->m.events);
    for (int i = 0; i < n || i < d->m.events; i++)
        if (i >= n || i >= d->m.events || strcmp(got[i], d->m.event[i]) != 0)
            same = OKF(false, "step %llu, %s: event \"%s\", the model has \"%s\"", (unsigned long long)d->steps, what,
                       i < n ? got[i] : "-", i < d->m.events ? d->m.event[i] : "-");
    d->m.events = 0;
    for (int x = 0; x < TXNS; x++) {
        if (!d->m.txn[x].there)
            continue;
        struct lock_txn *lt = find(d, x);
        struct lock_txn_info info;
        if (!OKF(lt, "step %llu, %s: a transaction is gone", (unsigned long long)d->steps, what)) {
            d->bad = true;
            return;
        }
        lock_txn_info(lt, &info);
        same = same && EQ_INT(info.state, d->m.txn[x].state) && EQ_INT(info.marked, d->m.txn[x].marked);
        for (int k = d->lo; k <= d->hi; k++) {
            uint8_t bytes[3];
            struct txn_span s = span_of(k, k, true, bytes);
            enum lock_mode mode = lock_held(d->t, lt, &s);
            same = same &&
                   OKF(mode == d->m.hold[x][k], "step %llu, %s: %d holds key %d %s, in the model %s",
                       (unsigned long long)d->steps, what, x, k, lock_mode_name(mode), lock_mode_name(d->m.hold[x][k]));
        }
    }
    if (d->steps % 16 == 0 || !same)
        lock_table_check(d->t);
    d->bad = d->bad || !same;
}

static void begin(struct duo *d, int x) {
    struct m_txn *t = &d->m.txn[x];
    bool retry = t->age && rng_chance(&d->rng, 0.3); /* keeps its age */
    *t = (struct m_txn){.there = true, .counter = ++d->counter, .age = retry ? t->age : d->counter};
    t->alive = t->active = d->now;
    struct txn_ref ref = ref_of(t);
    struct lock_txn *lt;
    CHECK(lock_txn_open(d->t, &ref, d->now, &lt, NULL) == RC_OK);
}

static void ask(struct duo *d, int x) {
    bool waits = false, m_waits_ = false, point = rng_chance(&d->rng, 0.7);
    int lo = (int)rng_range(&d->rng, d->lo, d->hi), hi = point ? lo : (int)rng_range(&d->rng, lo, d->hi);
    enum lock_mode mode = (enum lock_mode)rng_range(&d->rng, LOCK_SHARED, LOCK_EXCLUSIVE);
    uint8_t bytes[3];
    struct txn_span s = span_of(lo, hi, point, bytes);
    struct err err = {0};
    int64_t deadline = d->now + rng_range(&d->rng, 1, 2000) * MS;
    if (d->m.waits == WAITERS)
        return;
    uint64_t r = ++d->request;
    enum rc rc = lock_acquire(d->t, find(d, x), &s, mode, r, d->now, deadline, &waits, &err);
    enum rc want = m_acquire(&d->m, x, lo, hi, mode, r, d->now, deadline, &m_waits_);
    d->bad = d->bad || !EQ_INT(rc, want) || !EQ_INT(waits, m_waits_);
    if (rc == RC_ABORTED && d->m.txn[x].state == LOCK_DOOMED)
        d->bad = d->bad || !OK(err.message[0] && err.hint[0]);
}

static void split(struct duo *d, struct duo *ret_right) {
    int at = (int)rng_range(&d->rng, d->lo + 1, d->hi);
    uint8_t key = (uint8_t)(at + 1);
    struct duo *r = ret_right;
    *r = *d;
    r->lo = at;
    d->hi = at - 1;
    rng_init(&r->rng, rng_u64(&d->rng));
    CHECK(lock_split(d->t, (struct txn_key){&key, 1}, d->now, &r->t) == RC_OK);
    /* the model: cut the matrix; waiters by where they lie */
    for (int i = d->m.waits - 1; i >= 0; i--) {
        struct m_wait w = d->m.wait[i];
        if (w.lo < at && w.hi >= at) {
            m_event(&d->m, "refused", w.request, "MOVED");
            d->m.txn[w.x].active = d->now;
        }
        if (w.hi >= at)
            m_drop_wait(&d->m, i);
        if (w.lo < at) {
            for (int k = 0; k < r->m.waits; k++)
                if (r->m.wait[k].request == w.request)
                    m_drop_wait(&r->m, k);
        }
    }
    for (int x = 0; x < TXNS; x++) {
        bool has = false;
        for (int k = 0; k < KEYS; k++) {
            has = has || (k >= at && d->m.hold[x][k]);
            if (k >= at)
                d->m.hold[x][k] = LOCK_NONE;
            else
                r->m.hold[x][k] = LOCK_NONE;
        }
        r->m.txn[x].there = r->m.txn[x].there && (has || m_waits(&r->m, x));
        r->m.txn[x].busy = false;
        if (r->m.txn[x].there && r->m.txn[x].state == LOCK_DOOMED)
            m_event(&r->m, "doomed", r->m.txn[x].counter, "");
    }
    m_eval(&d->m, d->now);
    m_eval(&r->m, d->now);
    compare(d, "split, left");
    compare(r, "split, right");
    lock_table_check(d->t);
    lock_table_check(r->t);
}

static void step(struct duo *d) {
    int x = (int)rng_below(&d->rng, TXNS);
    struct m_txn *t = &d->m.txn[x];
    const char *what = "begin";
    d->steps++;
    d->now += rng_range(&d->rng, 0, 5) * MS;
    if (!t->there) {
        begin(d, x);
    } else if (rng_chance(&d->rng, 0.6)) {
        what = "ask";
        ask(d, x);
    } else if (rng_chance(&d->rng, 0.25)) {
        what = "release";
        lock_release(d->t, find(d, x), d->now);
        m_release(&d->m, x, d->now);
    } else if (rng_chance(&d->rng, 0.3)) {
        what = "tick";
        d->now += rng_range(&d->rng, 0, 200) * MS;
        if (lock_wake_ns(d->t) > d->now && m_waits(&d->m, x))
            what = "tick before anything is due";
        lock_tick(d->t, d->now);
        m_tick(&d->m, d->now);
    } else if (rng_chance(&d->rng, 0.2)) {
        what = "prepare";
        enum rc rc = lock_prepare(d->t, find(d, x), d->now, NULL);
        enum rc want = t->state == LOCK_DOOMED ? RC_ABORTED : m_waits(&d->m, x) ? RC_BUSY : RC_OK;
        d->bad = d->bad || !EQ_INT(rc, want);
        if (rc == RC_OK)
            t->state = LOCK_PREPARED;
    } else if (rng_chance(&d->rng, 0.2) && d->m.waits) {
        what = "cancel";
        int i = (int)rng_below(&d->rng, (uint64_t)d->m.waits);
        struct m_wait w = d->m.wait[i];
        d->bad = d->bad || !OK(lock_cancel(d->t, find(d, w.x), w.request, d->now));
        m_drop_wait(&d->m, i);
        m_eval(&d->m, d->now);
    } else if (rng_chance(&d->rng, 0.1)) {
        what = "mark";
        struct lock_why why = {.rule = LOCK_RULE_WOUNDED};
        lock_mark(d->t, find(d, x), &why, d->now);
        if (t->state == LOCK_ACTIVE && !t->marked) {
            t->marked = true;
            t->marked_at = d->now;
            if (m_waits(&d->m, x))
                m_doom(&d->m, x);
            m_eval(&d->m, d->now);
        }
    } else {
        what = "busy";
        t->busy = !t->busy;
        t->alive = t->active = d->now;
        lock_txn_busy(d->t, find(d, x), t->busy, d->now);
    }
    compare(d, what);
}

static void done(struct duo *d, int64_t now) {
    for (int x = 0; x < TXNS; x++)
        if (d->m.txn[x].there) {
            lock_release(d->t, find(d, x), now);
            m_release(&d->m, x, now);
            compare(d, "the end");
        }
    struct lock_stats s;
    lock_stats(d->t, &s);
    EQ_INT(s.locks, 0);
    EQ_INT(s.waits, 0);
    lock_table_free(d->t);
}

static void random_steps(void) {
    uint64_t only = tap_env("SIM_SEED", 0), n = tap_env("SIM_SEEDS", 350), steps = 0, wounds = 0, splits = 0, fwd = 0;
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : n) && !tap_failing(); seed++) {
        struct duo *d = calloc(2, sizeof *d);
        struct lock_init init = {.seed = seed};
        rng_init(&d->rng, seed);
        d->hi = KEYS - 1;
        d->now = 1000 * MS;
        CHECK(lock_table_new(&init, &d->t) == RC_OK);
        uint64_t split_at = seed % 2 ? 1 + rng_below(&d->rng, 900) : 0;
        for (int i = 0; i < 1200 && !d->bad && !d[1].bad; i++) {
            if (split_at && d->steps == split_at) {
                split(d, &d[1]);
                d[1].counter += 1000000; /* other attempts there */
                d[1].request += 1000000;
                split_at = 0;
                splits++;
            }
            step(d);
            if (d[1].t)
                step(&d[1]);
        }
        OKF(!d->bad && !d[1].bad, "seed %llu", (unsigned long long)seed);
        steps += d->steps + d[1].steps;
        wounds += d->wounds + d[1].wounds;
        fwd += d->forwards + d[1].forwards;
        if (d->bad || d[1].bad)
            return;
        done(d, d->now);
        if (d[1].t)
            done(&d[1], d[1].now);
        free(d);
    }
    tap_note("%llu steps, %llu wounds, %llu forwarded, %llu splits", (unsigned long long)steps,
             (unsigned long long)wounds, (unsigned long long)fwd, (unsigned long long)splits);
    OK(only || (wounds > 1000 && fwd > 10 && splits > 10));
}

/* ---- single promises --------------------------------------------------------------------------------------------- */

static struct lock_table *table(struct lock_limits limits) {
    struct lock_table *t;
    struct lock_init init = {.limits = limits, .seed = 7};
    CHECK(lock_table_new(&init, &t) == RC_OK);
    return t;
}

static struct lock_txn *open_(struct lock_table *t, uint64_t age) {
    struct lock_txn *x;
    struct txn_ref ref = {.id = {1, 1, age}, .age = {(int64_t)age, 1, age}};
    CHECK(lock_txn_open(t, &ref, 0, &x, NULL) == RC_OK);
    return x;
}

static struct txn_span number(uint32_t i, uint8_t bytes[5]) {
    bytes[0] = (uint8_t)(i >> 24);
    bytes[1] = (uint8_t)(i >> 16);
    bytes[2] = (uint8_t)(i >> 8);
    bytes[3] = (uint8_t)i;
    bytes[4] = 0;
    return (struct txn_span){{bytes, 4}, {bytes, 5}};
}

/* LOCK_NO_WAIT: refused at once, and nobody is wounded, neither the holder nor a marked one that asks. */
static void who_will_not_wait_is_refused(void) {
    struct lock_table *t = table((struct lock_limits){.locks = 0});
    struct lock_txn *old = open_(t, 1), *young = open_(t, 2);
    struct lock_txn_info info;
    struct err err = {0};
    uint8_t k[5], k2[5];
    bool waits = true;
    struct txn_span s = number(1, k), s2 = number(2, k2);
    OK(lock_acquire(t, young, &s, LOCK_UPDATE, 1, 0, LOCK_NO_WAIT, &waits, &err) == RC_OK && !waits);
    OK(lock_acquire(t, old, &s, LOCK_UPDATE, 1, 0, LOCK_NO_WAIT, &waits, &err) == RC_TIMEOUT);
    OK(err.detail[0]); /* who has it */
    lock_txn_info(young, &info);
    OK(!info.marked && info.state == LOCK_ACTIVE);
    OK(lock_acquire(t, old, &s, LOCK_SHARED, 2, 0, LOCK_NO_WAIT, &waits, &err) == RC_OK && !waits);
    OK(lock_acquire(t, old, &s2, LOCK_EXCLUSIVE, 3, 0, LOCK_NO_WAIT, &waits, &err) == RC_OK && !waits);
    OK(lock_acquire(t, old, &s, LOCK_EXCLUSIVE, 4, 0, 1000, &waits, &err) == RC_OK && waits); /* marks the young one */
    OK(lock_acquire(t, young, &s2, LOCK_SHARED, 2, 0, LOCK_NO_WAIT, &waits, &err) == RC_TIMEOUT);
    lock_txn_info(young, &info);
    OK(info.marked && info.state == LOCK_ACTIVE); /* it has not waited: it may still commit */
    lock_release(t, young, 0);
    OK(lock_held(t, old, &s) == LOCK_EXCLUSIVE);
    struct lock_event e;
    while (lock_next(t, &e))
        continue;
    OK(lock_prepare(t, old, 0, &err) == RC_OK); /* its client may have heard of its commit: it is waited for */
    struct lock_txn *late = open_(t, 3);
    OK(lock_acquire(t, late, &s, LOCK_UPDATE, 7, 0, LOCK_NO_WAIT, &waits, &err) == RC_OK && waits);
    OK(lock_acquire(t, late, &s2, LOCK_UPDATE, 8, 0, LOCK_NO_WAIT, &waits, &err) == RC_OK && waits);
    lock_tick(t, 999 * MS);
    OK(!lock_next(t, &e));
    lock_tick(t, 1000 * MS);
    OK(lock_next(t, &e) && e.type == LOCK_EV_REFUSED && e.rc == RC_TIMEOUT);
    OK(lock_next(t, &e) && e.type == LOCK_EV_REFUSED && e.rc == RC_TIMEOUT);
    OK(lock_acquire(t, late, &s, LOCK_UPDATE, 9, 1000 * MS, LOCK_NO_WAIT, &waits, &err) == RC_OK && waits);
    lock_release(t, old, 1001 * MS);
    OK(lock_next(t, &e) && e.type == LOCK_EV_GRANTED && e.request == 9);
    lock_release(t, late, 1001 * MS);
    lock_table_free(t);
}

static void limits_are_kept(void) {
    struct lock_table *t = table((struct lock_limits){.txn_locks = 10, .locks = 15, .waits = 1, .txns = 4});
    struct lock_txn *a = open_(t, 1), *b = open_(t, 2), *c = open_(t, 3), *d = open_(t, 4), *e;
    struct txn_ref ref = {.id = {1, 1, 9}, .age = {9, 1, 9}};
    struct err err;
    uint8_t k[5], lo[5], hi[5];
    bool waits;
    OK(lock_txn_open(t, &ref, 0, &e, &err) == RC_OVERLOAD);
    for (uint32_t i = 0; i < 10; i++) {
        struct txn_span s = number(i, k);
        OK(lock_acquire(t, a, &s, LOCK_EXCLUSIVE, i, 0, 1000, &waits, &err) == RC_OK && !waits);
    }
    struct txn_span s = number(10, k);
    OK(lock_acquire(t, a, &s, LOCK_SHARED, 99, 0, 1000, &waits, &err) == RC_LIMIT);
    s = number(3, k);
    OK(lock_acquire(t, a, &s, LOCK_SHARED, 99, 0, 1000, &waits, &err) == RC_OK); /* it has that one */
    for (uint32_t i = 20; i < 25; i++) {
        s = number(i, k);
        OK(lock_acquire(t, b, &s, LOCK_EXCLUSIVE, i, 0, 1000, &waits, &err) == RC_OK);
    }
    s = number(25, k);
    OK(lock_acquire(t, b, &s, LOCK_EXCLUSIVE, 99, 0, 1000, &waits, &err) == RC_OVERLOAD);
    /* one span in place of ten keys makes room */
    struct txn_span wide = {number(0, lo).start, number(15, hi).start};
    struct lock_stats st;
    lock_stats(t, &st);
    EQ_INT(st.locks, 15);
    lock_release(t, d, 0);
    lock_release(t, b, 0);
    OK(lock_escalate(t, a, &wide, 100, 0, 1000, &waits, &err) == RC_OK && !waits);
    lock_stats(t, &st);
    EQ_INT(st.locks, 1);
    s = number(12, k);
    EQ_INT(lock_held(t, a, &s), LOCK_EXCLUSIVE);
    OK(lock_acquire(t, c, &s, LOCK_SHARED, 1, 0, 1000, &waits, &err) == RC_OK && waits);
    OK(lock_acquire(t, c, &s, LOCK_SHARED, 2, 0, 1000, &waits, &err) == RC_OVERLOAD);
    lock_table_check(t);
    lock_table_free(t);
}

static void nonsense_is_refused(void) {
    struct lock_table *t = table((struct lock_limits){0});
    struct lock_txn *a = open_(t, 1);
    uint8_t big[TXN_KEY_BYTES_MAX + 8] = {1}, lo[5], hi[5];
    bool waits;
    struct txn_span empty = {number(3, lo).start, number(3, hi).start};
    struct txn_span backwards = {number(4, lo).start, number(3, hi).start};
    struct txn_span large = {{big, sizeof big}, {NULL, 0}};
    struct txn_span fine = number(3, lo);
    OK(lock_acquire(t, a, &empty, LOCK_SHARED, 1, 0, 1, &waits, NULL) == RC_INVAL);
    OK(lock_acquire(t, a, &backwards, LOCK_SHARED, 1, 0, 1, &waits, NULL) == RC_INVAL);
    OK(lock_acquire(t, a, &large, LOCK_SHARED, 1, 0, 1, &waits, NULL) == RC_INVAL);
    OK(lock_acquire(t, a, &fine, LOCK_NONE, 1, 0, 1, &waits, NULL) == RC_INVAL);
    OK(lock_acquire(t, a, &fine, LOCK_MODES, 1, 0, 1, &waits, NULL) == RC_INVAL);
    struct txn_ref liar = {.id = {1, 1, 1}, .age = {77, 1, 1}};
    OK(lock_txn_open(t, &liar, 0, &a, NULL) == RC_INVAL);
    lock_table_free(t);
}

/* A prepared transaction's locks, read out and restored elsewhere, are the same; and restoring what conflicts is
 * refused. */
static void prepared_locks_survive(void) {
    struct lock_table *t = table((struct lock_limits){0}), *u = table((struct lock_limits){0});
    struct lock_txn *a = open_(t, 5), *b;
    uint8_t k[8][5], lo[5], hi[5];
    bool waits;
    struct lock_grant g[16];
    size_t n = 0;
    const void *cursor = NULL;
    for (uint32_t i = 0; i < 8; i++) {
        struct txn_span s = number(i * 10, k[i]);
        OK(lock_acquire(t, a, &s, i % 2 ? LOCK_EXCLUSIVE : LOCK_SHARED, i, 0, 1, &waits, NULL) == RC_OK);
    }
    struct txn_span wide = {number(100, lo).start, number(200, hi).start};
    OK(lock_acquire(t, a, &wide, LOCK_UPDATE, 9, 0, 1, &waits, NULL) == RC_OK);
    OK(lock_prepare(t, a, 1, NULL) == RC_OK);
    while (n < 16 && lock_each(a, &cursor, &g[n]))
        n++;
    EQ_INT(n, 9);
    struct txn_ref ref = {.id = {1, 1, 5}, .age = {5, 1, 5}}, other = {.id = {1, 1, 6}, .age = {6, 1, 6}};
    OK(lock_restore(u, &ref, g, n, 0, NULL) == RC_OK);
    OK(lock_restore(u, &ref, g, n, 0, NULL) == RC_CORRUPT);
    OK(lock_restore(u, &other, g, n, 0, NULL) == RC_CORRUPT);
    b = lock_txn_find(u, &ref.id);
    OK(b && !lock_txn_find(u, &other.id));
    for (size_t i = 0; i < n; i++)
        EQ_INT(lock_held(u, b, &g[i].span), g[i].mode);
    /* nothing kills it: not silence, not a mark, not an older waiter */
    struct lock_txn *old = open_(u, 1);
    struct lock_event e;
    OK(lock_acquire(u, old, &wide, LOCK_EXCLUSIVE, 1, 0, INT64_MAX, &waits, NULL) == RC_OK && waits);
    lock_tick(u, 50 * MS);
    OK(!lock_next(u, &e));
    lock_txn_alive(u, old, 60000 * MS);
    lock_tick(u, 60000 * MS);
    OK(lock_next(u, &e) && e.type == LOCK_EV_FORWARD && e.txn.counter == 5 && e.why.by.counter == 1);
    OK(!lock_next(u, &e));
    lock_release(u, b, 60001 * MS);
    OK(lock_next(u, &e) && e.type == LOCK_EV_GRANTED && e.request == 1);
    lock_table_free(t);
    lock_table_free(u);
}

/* A reader in front of writers: many waiters on one key, granted in order of age, one after the other. */
static void a_crowd_in_order(void) {
    enum { CROWD = 500 };
    struct lock_table *t = table((struct lock_limits){0});
    struct lock_txn *x[CROWD];
    uint8_t k[5];
    bool waits;
    struct txn_span s = number(1, k);
    struct lock_event e;
    for (int i = 0; i < CROWD; i++)
        x[i] = open_(t, (uint64_t)((i * 7919) % CROWD) + 10);
    struct lock_txn *first = open_(t, 1);
    CHECK(lock_acquire(t, first, &s, LOCK_EXCLUSIVE, 0, 0, INT64_MAX, &waits, NULL) == RC_OK);
    for (int i = 0; i < CROWD; i++)
        CHECK(lock_acquire(t, x[i], &s, LOCK_EXCLUSIVE, (uint64_t)i + 1, 0, INT64_MAX, &waits, NULL) == RC_OK);
    lock_release(t, first, 0);
    uint64_t last = 0;
    int granted = 0;
    while (lock_next(t, &e)) {
        OK(e.type == LOCK_EV_GRANTED && e.txn.counter > last);
        last = e.txn.counter;
        granted++;
        lock_release(t, lock_txn_find(t, &e.txn), 0);
    }
    EQ_INT(granted, CROWD);
    lock_table_free(t);
}

/* A refusal says which row, who, how long and which rule. */
static void refusals_explain_themselves(void) {
    struct lock_table *t = table((struct lock_limits){0});
    struct lock_txn *old = open_(t, 1), *young = open_(t, 2);
    uint8_t k[5];
    bool waits;
    struct err err;
    struct lock_why why;
    struct lock_event e;
    struct txn_span s = number(0x8001, k);
    CHECK(lock_acquire(t, old, &s, LOCK_EXCLUSIVE, 1, 0, INT64_MAX, &waits, NULL) == RC_OK);
    CHECK(lock_acquire(t, young, &s, LOCK_SHARED, 2, 1000 * MS, 3000 * MS, &waits, NULL) == RC_OK && waits);
    OK(lock_explain(t, young, 2, 2500 * MS, &why));
    EQ_INT(why.rule, LOCK_RULE_OLDER);
    EQ_INT(why.held_ns, 2500 * MS);
    EQ_INT(why.waited_ns, 1500 * MS);
    EQ_INT(lock_wake_ns(t), 3000 * MS);
    lock_tick(t, 3000 * MS);
    OK(lock_next(t, &e) && e.type == LOCK_EV_REFUSED && e.rc == RC_TIMEOUT);
    lock_why_err(e.rc, &e.why, &err);
    EQ_STR(err.message, "lock timeout");
    EQ_STR(err.detail, "row key x00008001: transaction 0.1:1:1 has held it exclusive for 3.000 s; waited 2.000 s");
    lock_table_free(t);
}

int main(void) {
    RUN(who_will_not_wait_is_refused);
    RUN(limits_are_kept);
    RUN(nonsense_is_refused);
    RUN(prepared_locks_survive);
    RUN(a_crowd_in_order);
    RUN(refusals_explain_themselves);
    RUN(random_steps);
    return tap_done();
}
