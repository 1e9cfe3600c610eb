/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One site, step by step: a sentence of the rules a test. What the site wants done is collected and looked at;
 * proposals are applied when the test says so.
 */
#include "txn/site.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tap.h"

enum { OUTS = 64 };
static const int64_t MS = 1000000, T0 = INT64_C(1767225600000000000);

struct out {
    enum site_out_type type;
    struct txn_msg msg;
    struct txn_record rec;
    int64_t ts;
    struct lock_event lock;
    uint64_t gateway;
};

struct kit {
    struct chaos chaos;
    struct site *site;
    struct txn_facts f;
    struct out out[OUTS];
    int outs;
    struct arena arena;
    bool writes; /* whether transactions have written here */
    uint8_t key[8][2];
};

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

static void writes(void *ctx, const struct txn_id *id, struct buf *to) {
    struct kit *k = ctx;
    (void)id;
    if (k->writes)
        buf_puts(to, "images");
}

/* The tablet [a, m), led in term 7, at T0; its lease ends a second later. */
static struct kit *kit_new(void) {
    struct kit *k = calloc(1, sizeof *k);
    struct site_init init = {.range = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"m", 1}}, .generation = 1};
    k->chaos.ops = &chaos_ops;
    init.chaos = &k->chaos;
    init.writes = writes;
    init.ctx = k;
    k->f = (struct txn_facts){.mono_ns = 1000 * MS, .tt = {T0 - MS, T0 + MS}, .lease_end = T0 + 1000 * MS};
    k->f.floor = T0 - 500 * MS;
    k->f.schema_until = INT64_MAX;
    arena_init(&k->arena, 0);
    CHECK(site_new(&init, &k->site) == RC_OK);
    CHECK(site_lead_begin(k->site, 7, &k->f, NULL) == RC_OK);
    return k;
}

static void kit_free(struct kit *k) {
    site_check(k->site);
    site_free(k->site);
    arena_done(&k->arena);
    free(k);
}

static void later(struct kit *k, int64_t ns) {
    k->f.mono_ns += ns;
    k->f.tt.earliest += ns;
    k->f.tt.latest += ns;
}

static void collect(struct kit *k) {
    struct site_out o;
    k->outs = 0;
    while (site_next(k->site, &o)) {
        struct out *to = &k->out[k->outs++];
        CHECK(k->outs < OUTS);
        *to = (struct out){.type = o.type, .ts = o.ts, .lock = o.lock, .gateway = o.gateway};
        const uint8_t *bytes = arena_copy(&k->arena, o.bytes, o.n);
        if (o.type == SITE_OUT_SEND)
            CHECK(txn_msg_decode(bytes, o.n, &k->arena, &to->msg, NULL) == RC_OK);
        if (o.type == SITE_OUT_PROPOSE)
            CHECK(txn_record_decode(bytes, o.n, &k->arena, &to->rec, NULL) == RC_OK);
        if (o.type == SITE_OUT_FLOOR)
            k->f.floor = ts_max(k->f.floor, o.ts);
    }
}

static struct out *sent(struct kit *k, enum txn_msg_type type) {
    for (int i = 0; i < k->outs; i++)
        if (k->out[i].type == SITE_OUT_SEND && k->out[i].msg.type == type)
            return &k->out[i];
    return NULL;
}

static struct out *proposed(struct kit *k, enum txn_record_type type) {
    for (int i = 0; i < k->outs; i++)
        if (k->out[i].type == SITE_OUT_PROPOSE && k->out[i].rec.type == type)
            return &k->out[i];
    return NULL;
}

static int place_of(struct kit *k, enum site_out_type type) {
    for (int i = 0; i < k->outs; i++)
        if (k->out[i].type == type)
            return i;
    return -1;
}

/* The log has o's record, and it is applied. */
static void apply(struct kit *k, const struct out *o, struct site_effect *ret) {
    struct txn_record r = o->rec;
    struct err err = {0};
    int64_t ts = o->ts ? ts_max(o->ts, k->f.floor + 1) : 0;
    k->f.floor = ts_max(k->f.floor, ts);
    enum rc rc = site_apply(k->site, &r, ts, &k->f, ret, &err);
    OKF(rc == RC_OK, "%s", err_message(&err));
    collect(k);
}

static struct txn_ref ref_of(unsigned n) {
    return (struct txn_ref){.id = {9 << 16, 1, n}, .age = {T0 - 1000 + n, 9 << 16, n}, .began = T0 - 2 * MS};
}

static struct txn_span at(struct kit *k, char c) {
    uint8_t *b = k->key[(unsigned)c % 8];
    b[0] = (uint8_t)c;
    b[1] = 0;
    return (struct txn_span){{b, 1}, {b, 2}};
}

/* Transaction n has one request here, which locks c. Returns whether it waits. */
static bool request(struct kit *k, unsigned n, char c, enum lock_mode mode) {
    struct txn_ref ref = ref_of(n);
    struct txn_span s = at(k, c);
    bool waits = false;
    struct err err = {0};
    OKF(site_request(k->site, &ref, 0, &k->f, &err) == RC_OK, "%s", err_message(&err));
    OKF(site_lock(k->site, &ref.id, &s, mode, n, INT64_MAX, &k->f, &waits, &err) == RC_OK, "%s", err_message(&err));
    if (!waits)
        site_request_end(k->site, &ref.id, &k->f);
    return waits;
}

static const uint8_t other_key[] = "p";
static struct txn_part parts_[2];

/* A message about transaction n, whose participants are this tablet and [m, z); its anchor is here at 'b' or there at
 * 'p'. */
static struct txn_msg about(unsigned n, enum txn_msg_type type, bool anchor_here) {
    struct txn_msg m = {.type = type, .ref = ref_of(n), .parts = parts_, .n_parts = 2};
    parts_[0] = (struct txn_part){.span = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"m", 1}}, .generation = 1};
    parts_[0].term = 7;
    parts_[0].requests = 1;
    parts_[1] = (struct txn_part){.span = {{(const uint8_t *)"m", 1}, {(const uint8_t *)"z", 1}}, .generation = 2};
    m.anchor = anchor_here ? (struct txn_key){(const uint8_t *)"b", 1} : (struct txn_key){other_key, 1};
    m.span = parts_[type == TXN_MSG_VOTE || type == TXN_MSG_INQUIRE || type == TXN_MSG_ACK].span;
    m.token.deadline = INT64_MAX;
    return m;
}

static void message(struct kit *k, const struct txn_msg *m) {
    site_message(k->site, m, &k->f);
    collect(k);
}

/* T-7, S-7: a reader is a participant; its time raises the floor before its locks go, so that who waited for it comes
 * later, whatever this leader's clock says. */
static void a_reader_raises_the_floor(void) {
    struct kit *k = kit_new();
    OK(!request(k, 1, 'c', LOCK_SHARED));
    OK(request(k, 2, 'c', LOCK_EXCLUSIVE));
    struct txn_msg m = about(1, TXN_MSG_PREPARE, false);
    message(k, &m);
    struct out *v = sent(k, TXN_MSG_VOTE);
    OK(v && v->msg.verdict == TXN_COMMITTED && v->msg.read_only);
    OK(v && v->msg.s_min >= k->f.tt.latest && v->msg.s_allowed == k->f.lease_end);
    EQ_INT(site_promised(k->site), k->f.lease_end); /* N-3 */
    int64_t s = T0 + 600 * MS;
    m = about(1, TXN_MSG_OUTCOME, false);
    m.verdict = TXN_COMMITTED;
    m.s_min = s;
    message(k, &m);
    int floor = place_of(k, SITE_OUT_FLOOR), granted = place_of(k, SITE_OUT_LOCK);
    OK(floor >= 0 && k->out[floor].ts >= s);
    OK(granted > floor && k->out[granted].lock.type == LOCK_EV_GRANTED);
    OK(sent(k, TXN_MSG_ACK) != NULL);
    EQ_INT(site_promised(k->site), INT64_MIN);
    site_request_end(k->site, &(struct txn_id){9 << 16, 1, 2}, &k->f);
    k->writes = true;
    m = about(2, TXN_MSG_PREPARE, false);
    message(k, &m);
    struct out *p = proposed(k, TXN_REC_PREPARE);
    OKF(p && p->ts > s, "the writer behind the reader may get an earlier time");
    kit_free(k);
}

/* T-2, T-11: the record has the whole lock set, and the vote comes when it is applied, not before. */
static void a_writer_votes_from_the_log(void) {
    struct kit *k = kit_new();
    struct site_effect e;
    k->writes = true;
    OK(!request(k, 1, 'c', LOCK_EXCLUSIVE));
    struct txn_span s = at(k, 'd');
    bool waits;
    struct txn_ref ref = ref_of(1);
    OK(site_lock(k->site, &ref.id, &s, LOCK_SHARED, 9, INT64_MAX, &k->f, &waits, NULL) == RC_OK);
    struct txn_msg m = about(1, TXN_MSG_PREPARE, false);
    message(k, &m);
    struct out *p = proposed(k, TXN_REC_PREPARE), copy;
    OK(p && p->rec.n_grants == 2 && p->ts >= k->f.tt.latest && p->rec.writes.n == 6);
    OK(!sent(k, TXN_MSG_VOTE));
    if (p) {
        copy = *p;
        apply(k, &copy, &e);
        struct out *v = sent(k, TXN_MSG_VOTE);
        OK(v && v->msg.s_min >= copy.ts && !e.writes);
        EQ_INT(site_safe_below(k->site, &s), INT64_MAX); /* it only reads d */
        s = at(k, 'c');
        OK(site_safe_below(k->site, &s) == v->msg.s_min);
        /* a new leader has its locks before it serves anybody */
        site_lead_end(k->site);
        OK(site_lead_begin(k->site, 8, &k->f, NULL) == RC_OK);
        OK(request(k, 2, 'c', LOCK_SHARED));
        OK(request(k, 3, 'd', LOCK_EXCLUSIVE));
        collect(k);
        m = about(1, TXN_MSG_OUTCOME, false);
        m.verdict = TXN_COMMITTED;
        m.s_min = v->msg.s_min + 5;
        message(k, &m);
        p = proposed(k, TXN_REC_OUTCOME);
        OK(p && !sent(k, TXN_MSG_ACK)); /* not before it is durable */
        copy = *p;
        apply(k, &copy, &e);
        OK(e.writes && e.ts == m.s_min && e.images.n == 6);
        OK(sent(k, TXN_MSG_ACK) != NULL);
    }
    kit_free(k);
}

/* T-10: nothing is known: the abort is in the log before anybody hears of it, and a late commit finds it. */
static void an_inquiry_is_fenced(void) {
    struct kit *k = kit_new();
    struct site_effect e;
    k->writes = true;
    OK(!request(k, 1, 'b', LOCK_EXCLUSIVE));
    struct txn_msg m = about(1, TXN_MSG_INQUIRE, true);
    message(k, &m);
    struct out *p = proposed(k, TXN_REC_ABORT), copy;
    OK(p && !sent(k, TXN_MSG_OUTCOME));
    if (p) {
        copy = *p;
        apply(k, &copy, &e);
        struct out *o = sent(k, TXN_MSG_OUTCOME);
        OK(o && o->msg.verdict == TXN_ABORTED);
        m = about(1, TXN_MSG_COMMIT, true);
        message(k, &m);
        o = sent(k, TXN_MSG_DONE);
        OK(o && o->msg.verdict == TXN_ABORTED && o->msg.why.reason == TXN_REASON_UNKNOWN);
    }
    kit_free(k);
}

/* T-13: the abort came first; what comes late of that attempt is refused. */
static void an_abort_overtakes_the_prepare(void) {
    struct kit *k = kit_new();
    struct err err;
    OK(!request(k, 1, 'c', LOCK_EXCLUSIVE));
    struct txn_msg m = about(1, TXN_MSG_ROLLBACK, false);
    message(k, &m);
    struct txn_ref ref = ref_of(1);
    EQ_INT(site_request(k->site, &ref, 0, &k->f, &err), RC_ABORTED);
    m = about(1, TXN_MSG_PREPARE, false);
    message(k, &m);
    struct out *v = sent(k, TXN_MSG_VOTE);
    OK(v && v->msg.verdict == TXN_ABORTED && v->msg.why.reason == TXN_REASON_ROLLBACK);
    kit_free(k);
}

/* T-1: another term, another number of requests, or nothing known: no. */
static void lost_locks_mean_no(void) {
    static const enum txn_reason want[3] = {TXN_REASON_TERM, TXN_REASON_REQUESTS, TXN_REASON_TERM};
    for (int i = 0; i < 3; i++) {
        struct kit *k = kit_new();
        k->writes = true;
        if (i < 2)
            OK(!request(k, 1, 'c', LOCK_EXCLUSIVE));
        struct txn_msg m = about(1, TXN_MSG_PREPARE, false);
        parts_[0].term += i == 0;
        parts_[0].requests += i == 1;
        message(k, &m);
        struct out *v = sent(k, TXN_MSG_VOTE);
        OK(v && v->msg.verdict == TXN_ABORTED && v->msg.why.reason == want[i]);
        OK(!proposed(k, TXN_REC_PREPARE));
        kit_free(k);
    }
}

static struct out *commit_with_vote(struct kit *k, int64_t s_min, int64_t s_allowed, int64_t deadline) {
    OK(!request(k, 1, 'b', LOCK_EXCLUSIVE));
    struct txn_msg m = about(1, TXN_MSG_COMMIT, true);
    m.token = (struct txn_token){{9 << 16, 1, 1}, deadline};
    message(k, &m);
    OK(!proposed(k, TXN_REC_COMMIT));
    m = about(1, TXN_MSG_VOTE, true);
    m.verdict = TXN_COMMITTED;
    m.s_min = s_min;
    m.s_allowed = s_allowed;
    message(k, &m);
    return proposed(k, TXN_REC_COMMIT);
}

/* T-3, T-8: above every prepare, at or above the clock when the commit came, within what all allow; else an abort. */
static void the_commit_time(void) {
    struct kit *k = kit_new();
    struct site_effect e;
    k->writes = true;
    struct out *p = commit_with_vote(k, T0 + 300 * MS, T0 + 400 * MS, INT64_MAX), copy;
    OK(p && p->rec.s == T0 + 300 * MS && p->rec.n_parts == 1);
    OK(!sent(k, TXN_MSG_DONE)); /* N-8 */
    if (p) {
        copy = *p;
        EQ_INT(txn_record_gate(&copy.rec), copy.rec.s); /* T-4 */
        apply(k, &copy, &e);
        struct out *d = sent(k, TXN_MSG_DONE), *o = sent(k, TXN_MSG_OUTCOME);
        OK(d && d->msg.verdict == TXN_COMMITTED && d->msg.s_min == T0 + 300 * MS && e.writes);
        OK(o && o->msg.verdict == TXN_COMMITTED && o->msg.s_min == T0 + 300 * MS);
        struct txn_msg m = about(1, TXN_MSG_COMMIT, true); /* twice: the same answer, nothing new in the log */
        message(k, &m);
        d = sent(k, TXN_MSG_DONE);
        OK(d && d->msg.s_min == T0 + 300 * MS && !proposed(k, TXN_REC_COMMIT));
        later(k, 2000 * MS);
        site_tick(k->site, &k->f);
        collect(k);
        OK(sent(k, TXN_MSG_OUTCOME) != NULL); /* until it is acknowledged */
        m = about(1, TXN_MSG_ACK, true);
        message(k, &m);
        OK(!proposed(k, TXN_REC_SETTLED)); /* nobody waits for that */
        later(k, 300 * MS);
        site_tick(k->site, &k->f);
        collect(k);
        p = proposed(k, TXN_REC_SETTLED);
        OK(p && !sent(k, TXN_MSG_OUTCOME));
        if (p) {
            copy = *p;
            apply(k, &copy, &e);
        }
    }
    kit_free(k);
    k = kit_new();
    k->writes = true;
    OK(!commit_with_vote(k, T0 - 300 * MS, T0 - 100 * MS, INT64_MAX)); /* the reader's lease is over */
    p = proposed(k, TXN_REC_ABORT);
    OK(p && p->rec.why.reason == TXN_REASON_WINDOW);
    kit_free(k);
    k = kit_new();
    k->writes = true;
    OK(!commit_with_vote(k, T0 + 300 * MS, INT64_MAX, T0 + 200 * MS)); /* N-15: not after the deadline */
    OK(proposed(k, TXN_REC_ABORT) != NULL);
    kit_free(k);
}

/* S-2: a time beyond the lease waits until the lease reaches it. */
static void the_lease_must_reach(void) {
    struct kit *k = kit_new();
    k->writes = true;
    OK(!commit_with_vote(k, T0 + 1500 * MS, INT64_MAX, INT64_MAX));
    OK(!proposed(k, TXN_REC_ABORT));
    later(k, 600 * MS);
    k->f.lease_end = T0 + 1600 * MS;
    site_tick(k->site, &k->f);
    collect(k);
    struct out *p = proposed(k, TXN_REC_COMMIT);
    OK(p && p->rec.s == T0 + 1500 * MS);
    kit_free(k);
}

/* K-3: a wound that reaches an undecided coordinator aborts. */
static void a_forwarded_wound_aborts(void) {
    struct kit *k = kit_new();
    k->writes = true;
    OK(!request(k, 1, 'b', LOCK_EXCLUSIVE));
    struct txn_msg m = about(1, TXN_MSG_COMMIT, true);
    message(k, &m);
    m = about(1, TXN_MSG_WOUND, true);
    message(k, &m);
    struct out *p = proposed(k, TXN_REC_ABORT);
    OK(p && p->rec.why.reason == TXN_REASON_WOUNDED);
    kit_free(k);
}

/* N-7, O2 to O4: what is forgotten is refused, what has a token stays until its own horizon. */
static void horizons(void) {
    struct kit *k = kit_new();
    struct site_effect e;
    struct err err;
    int64_t s = 0;
    k->writes = true;
    struct txn_token token = {{9 << 16, 1, 1}, T0 + 900 * MS};
    EQ_INT(site_status(k->site, &token, T0, &s), TXN_UNDECIDED);
    EQ_INT(site_status(k->site, &token, T0 + 900 * MS, &s), TXN_ABORTED);
    struct out *p = commit_with_vote(k, T0 + 300 * MS, INT64_MAX, token.deadline), copy;
    if (OK(p != NULL)) {
        copy = *p;
        apply(k, &copy, &e);
        EQ_INT(site_status(k->site, &token, T0, &s), TXN_COMMITTED);
        EQ_INT(s, T0 + 300 * MS);
        struct out forget = {.rec = {.type = TXN_REC_FORGET, .horizon = T0 + 10 * MS, .token_horizon = T0}};
        apply(k, &forget, &e);
        EQ_INT(site_status(k->site, &token, T0, &s), TXN_COMMITTED); /* not acknowledged, and the token is young */
        struct out settled = {.rec = {.type = TXN_REC_SETTLED, .ref = ref_of(1)}};
        apply(k, &settled, &e);
        forget.rec.token_horizon = T0 + 901 * MS;
        apply(k, &forget, &e);
        EQ_INT(site_status(k->site, &token, INT64_MAX, &s), TXN_EXPIRED); /* never "aborted" */
        site_lead_end(k->site);
        CHECK(site_lead_begin(k->site, 8, &k->f, NULL) == RC_OK);
        struct txn_ref ref = ref_of(1);
        EQ_INT(site_request(k->site, &ref, 0, &k->f, &err), RC_ABORTED); /* it began before the horizon */
    }
    kit_free(k);
}

/* One tablet: no prepare; a reader in effect needs no record, and is answered when its time has passed. */
static void one_tablet(void) {
    for (int wrote = 0; wrote < 2; wrote++) {
        struct kit *k = kit_new();
        struct site_effect e;
        k->writes = wrote;
        OK(!request(k, 1, 'b', LOCK_EXCLUSIVE));
        struct txn_msg m = about(1, TXN_MSG_COMMIT, true);
        m.n_parts = 1;
        message(k, &m);
        struct out *p = proposed(k, TXN_REC_COMMIT), *d = sent(k, TXN_MSG_DONE), copy;
        if (wrote) {
            OK(p && !d && p->rec.n_parts == 0);
            copy = *p;
            apply(k, &copy, &e);
            OK(e.writes && sent(k, TXN_MSG_DONE));
        } else {
            OK(!p && d && d->ts == d->msg.s_min && d->ts >= k->f.tt.latest);
        }
        kit_free(k);
    }
}

/* A split: prepared and active ones go where their locks are, and both halves go on. */
static void split_in_the_middle(void) {
    struct kit *k = kit_new();
    struct site_effect e;
    struct site *right;
    struct err err;
    k->writes = true;
    OK(!request(k, 1, 'c', LOCK_EXCLUSIVE));
    struct txn_span s = at(k, 'j');
    bool waits;
    struct txn_ref ref = ref_of(1);
    OK(site_lock(k->site, &ref.id, &s, LOCK_EXCLUSIVE, 9, INT64_MAX, &k->f, &waits, NULL) == RC_OK);
    struct txn_msg m = about(1, TXN_MSG_PREPARE, false);
    message(k, &m);
    struct out *p = proposed(k, TXN_REC_PREPARE), copy;
    if (OK(p != NULL)) {
        copy = *p;
        apply(k, &copy, &e);
        OK(!request(k, 2, 'd', LOCK_SHARED));
        site_split_begin(k->site, (struct txn_key){(const uint8_t *)"g", 1}, &k->f);
        OK(site_split(k->site, (struct txn_key){(const uint8_t *)"g", 1}, 2, 3, &k->f, &right, &err) == RC_OK);
        struct txn_span c = at(k, 'c'), j = at(k, 'j');
        OK(site_safe_below(k->site, &c) < INT64_MAX && site_safe_below(k->site, &j) == INT64_MAX);
        OK(site_safe_below(right, &j) < INT64_MAX && site_safe_below(right, &c) == INT64_MAX);
        OK(site_leads(right) && site_term(right) == 7);
        site_check(right);
        struct site_stats st;
        site_stats(right, &st);
        OK(st.prepared == 1 && st.active == 1); /* the active one may go on in both */
        EQ_INT(site_request(right, &(struct txn_ref){ref_of(2).id, ref_of(2).age, T0 - 2 * MS}, 1, &k->f, &err), RC_OK);
        site_free(right);
    }
    collect(k);
    kit_free(k);
}

/* When outcomes fill their room the oldest go, by the log; who asks for an older token hears "expired". */
static void outcomes_are_bounded(void) {
    struct kit *k = kit_new();
    struct site_effect e;
    struct err err;
    int64_t s = 0;
    site_free(k->site);
    struct site_init init = {.range = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"m", 1}}, .generation = 1};
    init.chaos = &k->chaos;
    init.writes = writes;
    init.ctx = k;
    init.limits.outcomes = 100;
    CHECK(site_new(&init, &k->site) == RC_OK && site_lead_begin(k->site, 7, &k->f, &err) == RC_OK);
    for (unsigned i = 1; i <= 80; i++) {
        struct out c = {.ts = k->f.floor + 1, .rec = {.type = TXN_REC_COMMIT, .ref = ref_of(i), .generation = 1}};
        c.rec.ref.began = T0 + i;
        c.rec.s = c.ts;
        c.rec.anchor = (struct txn_key){(const uint8_t *)"b", 1};
        c.rec.token = (struct txn_token){c.rec.ref.id, T0 + i};
        apply(k, &c, &e);
    }
    later(k, 2000 * MS);
    site_tick(k->site, &k->f);
    collect(k);
    struct out *p = proposed(k, TXN_REC_FORGET), copy;
    if (OK(p != NULL)) {
        copy = *p;
        apply(k, &copy, &e);
        struct site_stats st;
        site_stats(k->site, &st);
        OKF(st.outcomes < 75 && st.outcomes > 20, "%llu are left", (unsigned long long)st.outcomes);
        struct txn_token old = {ref_of(1).id, T0 + 1}, young = {ref_of(80).id, T0 + 80};
        EQ_INT(site_status(k->site, &old, INT64_MAX, &s), TXN_EXPIRED);
        EQ_INT(site_status(k->site, &young, INT64_MAX, &s), TXN_COMMITTED);
    }
    kit_free(k);
}

/* Too many locks: one span in their place; a request that is given up waits no more. */
static void escalate_and_cancel(void) {
    struct kit *k = kit_new();
    bool waits;
    struct err err;
    OK(!request(k, 1, 'c', LOCK_EXCLUSIVE));
    OK(request(k, 2, 'c', LOCK_SHARED));
    struct txn_ref one = ref_of(1), two = ref_of(2);
    struct txn_span wide = {{(const uint8_t *)"b", 1}, {(const uint8_t *)"f", 1}}, d = at(k, 'd');
    OK(site_escalate(k->site, &one.id, &wide, 50, INT64_MAX, &k->f, &waits, &err) == RC_OK && !waits);
    OK(lock_held(site_locks(k->site), lock_txn_find(site_locks(k->site), &one.id), &d) == LOCK_EXCLUSIVE);
    site_cancel(k->site, &two.id, 2, &k->f);
    struct lock_stats ls;
    lock_stats(site_locks(k->site), &ls);
    EQ_INT(ls.waits, 0);
    collect(k);
    EQ_INT(place_of(k, SITE_OUT_LOCK), -1);
    kit_free(k);
}

/* A participant may be nearer to the gateway than the coordinator: its vote is not lost, and is as good as one that came later. */
static void a_vote_overtakes_the_commit(void) {
    struct kit *k = kit_new();
    k->writes = true;
    OK(!request(k, 1, 'b', LOCK_EXCLUSIVE));
    struct txn_msg m = about(1, TXN_MSG_VOTE, true);
    m.verdict = TXN_COMMITTED;
    m.s_min = T0 + 300 * MS;
    m.s_allowed = T0 + 400 * MS;
    message(k, &m);
    OK(k->outs == 0);
    m = about(2, TXN_MSG_COMMIT, true); /* somebody else's commit does not take it */
    OK(!request(k, 2, 'c', LOCK_EXCLUSIVE));
    message(k, &m);
    OK(!proposed(k, TXN_REC_COMMIT));
    m = about(1, TXN_MSG_COMMIT, true);
    message(k, &m);
    struct out *p = proposed(k, TXN_REC_COMMIT);
    OK(p && p->rec.s == T0 + 300 * MS && p->rec.n_parts == 1);
    kit_free(k);
    k = kit_new(); /* what it allowed binds */
    k->writes = true;
    m = about(1, TXN_MSG_VOTE, true);
    m.verdict = TXN_COMMITTED;
    m.s_min = T0 - 300 * MS;
    m.s_allowed = T0 - 100 * MS;
    message(k, &m);
    OK(!request(k, 1, 'b', LOCK_EXCLUSIVE));
    m = about(1, TXN_MSG_COMMIT, true);
    message(k, &m);
    OK(!proposed(k, TXN_REC_COMMIT) && proposed(k, TXN_REC_ABORT));
    kit_free(k);
    k = kit_new(); /* a flood of them is bounded */
    for (unsigned n = 1; n < 2000; n++) {
        m = about(n, TXN_MSG_VOTE, true);
        m.verdict = TXN_COMMITTED;
        message(k, &m);
    }
    kit_free(k);
}

int main(void) {
    RUN(outcomes_are_bounded);
    RUN(escalate_and_cancel);
    RUN(a_reader_raises_the_floor);
    RUN(a_writer_votes_from_the_log);
    RUN(an_inquiry_is_fenced);
    RUN(an_abort_overtakes_the_prepare);
    RUN(lost_locks_mean_no);
    RUN(the_commit_time);
    RUN(a_vote_overtakes_the_commit);
    RUN(the_lease_must_reach);
    RUN(a_forwarded_wound_aborts);
    RUN(horizons);
    RUN(one_tablet);
    RUN(split_in_the_middle);
    return tap_done();
}
