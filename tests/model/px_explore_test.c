/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases, hand-over and restart by exhaustive small interleavings: from a leader that has served as far ahead as its lease goes,
 * everything that can happen next is tried in every order, up to a depth: each link delivers its next message (or loses it),
 * half a lease passes with or without the leader's process running, a store campaigns, crashes, comes back, hands over.
 *
 * After each step every store's disk and apply catch up, every leader serves as far ahead as its lease allows, and the lab's
 * invariants are checked; a new leader's floor must be above all that was ever served (INV-S2). States seen before are not
 * followed again. Each scenario is explored twice: finely, message by message (EXPLORE_FINE steps, 3), and coarsely, where two
 * stores say all that they have to say to each other in one step (EXPLORE_COARSE steps, 6). EXPLORE=name explores that one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/model/px_lab.h"
#include "truetime/base/map.h"

enum { DEPTH_MAX = 40, CHOICES_MAX = 64, LOG_MAX = 96 };

struct budget { /* how often a thing may happen on a path */
    uint32_t half_leases, campaigns, crashes, starts, transfers, resigns, losses;
};

struct scenario {
    const char *name;
    uint32_t nodes, witnesses;
    int64_t clock_error_ns; /* store 1's clock is as early, the others' as late as that allows */
    uint32_t campaigners;   /* bits: which stores may campaign */
    uint32_t mortal;        /* bits: which may crash */
    struct budget budget;
};

enum what { DELIVER, LOSE, TALK, PASS, PASS_PAUSED, CAMPAIGN, CRASH, START, TRANSFER, RESIGN };

struct choice {
    enum what what;
    uint32_t a, b;
};

struct explorer {
    const struct scenario *s;
    struct lab *lab;
    struct budget left;
    uint32_t path[DEPTH_MAX];
    uint32_t depth, limit;
    bool coarse;
    uint64_t *seen; /* open addressing: hash with the depth that was left in its low bits */
    size_t seen_cap, seen_count;
    uint64_t paths, steps, known;
    bool broken;
};

/* ---- one step ---- */

/* Every disk is fast, every leader busy. */
static void catch_up(struct lab *l) {
    for (bool some = true; some;) {
        some = false;
        for (uint32_t i = 0; i < l->conf.nodes; i++) {
            struct lab_node *n = &l->node[i];
            while (n->up && lab_sync(n))
                some = true;
            while (n->up && lab_apply(n, true))
                some = true;
        }
    }
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        struct lab_node *n = &l->node[i];
        if (!n->up)
            continue;
        enum px_role role = px_role_now(n->g);
        if (role == PX_OPENING && n->role != PX_OPENING && px_floor(n->g) < l->max_served)
            lab_break(l, "INV-S2: store %u begins at %lld, below %lld, which was served", i + 1,
                      (long long)px_floor(n->g), (long long)l->max_served);
        n->role = role;
    }
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        struct lab_node *n = &l->node[i];
        struct px_now now = n->up ? lab_now(n) : (struct px_now){0};
        if (n->up && px_leads(n->g, &now))
            IGNORE(lab_serve(n, px_lease_end(n->g, &now)));
    }
    lab_check_leases(l);
}

static struct lab *begin(const struct scenario *s) {
    struct lab_conf c = {
        .seed = 1, .nodes = s->nodes, .voters = s->nodes, .witnesses = s->witnesses, .mutant = getenv("SIM_MUTANT")};
    struct lab *l = lab_new(&c, NULL, NULL);
    for (uint32_t i = 0; i < s->nodes; i++) {
        l->node[i].err_lo = i == 0 ? s->clock_error_ns : 0;
        l->node[i].err_hi = i == 0 ? 0 : s->clock_error_ns;
    }
    struct px_now now = lab_now(&l->node[0]);
    CHECK(px_campaign(l->node[0].g, &now) == RC_OK);
    lab_pump(&l->node[0]);
    for (uint32_t i = 0; i < s->nodes; i++)
        lab_tick(&l->node[i]);
    for (int i = 0; i < 200 && !l->broken[0]; i++) {
        catch_up(l);
        if (l->pooled)
            lab_deliver(l, 0, false);
    }
    now = lab_now(&l->node[0]);
    CHECK(px_leads(l->node[0].g, &now) && !l->pooled);
    return l;
}

/* Links keep their order: only the oldest message of each can arrive next. */
static size_t choices(const struct explorer *x, struct choice *c) {
    const struct lab *l = x->lab;
    size_t n = 0;
    uint64_t links = 0;
    for (size_t i = 0; i < l->pooled; i++) {
        const struct lab_msg *m = l->pool[i];
        uint64_t from = m->support ? m->s.from : m->m.from, to = m->support ? m->s.to : m->m.to;
        uint64_t bit = UINT64_C(1) << (from * 8 + to);
        if (links & bit)
            continue;
        links |= bit;
        if (x->coarse) {
            links |= UINT64_C(1) << (to * 8 + from);
            c[n++] = (struct choice){TALK, (uint32_t)from - 1, (uint32_t)to - 1};
            continue;
        }
        c[n++] = (struct choice){DELIVER, (uint32_t)i, 0};
        if (x->left.losses)
            c[n++] = (struct choice){LOSE, (uint32_t)i, 0};
    }
    if (x->left.half_leases) {
        c[n++] = (struct choice){PASS, 0, 0};
        c[n++] = (struct choice){PASS_PAUSED, 0, 0};
    }
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        const struct lab_node *node = &l->node[i];
        if (!node->up) {
            if (x->left.starts)
                c[n++] = (struct choice){START, i, 0};
            continue;
        }
        enum px_role role = px_role_now(node->g);
        if (x->left.campaigns && x->s->campaigners >> i & 1 && role == PX_FOLLOWER)
            c[n++] = (struct choice){CAMPAIGN, i, 0};
        if (x->left.crashes && x->s->mortal >> i & 1)
            c[n++] = (struct choice){CRASH, i, 0};
        for (uint32_t k = 0; k < l->conf.nodes && x->left.transfers && role == PX_OPEN; k++)
            if (k != i)
                c[n++] = (struct choice){TRANSFER, i, k};
        if (x->left.resigns && role == PX_OPEN)
            c[n++] = (struct choice){RESIGN, i, 0};
    }
    CHECK(n <= CHOICES_MAX);
    return n;
}

static void pass(struct explorer *x, bool paused) {
    struct lab *l = x->lab;
    x->left.half_leases--;
    l->now += 1600 * LAB_MS;
    for (uint32_t i = 0; i < l->conf.nodes; i++)
        if (l->node[i].up && !(paused && px_role_now(l->node[i].g) == PX_OPEN))
            lab_tick(&l->node[i]);
}

/* All that two stores have to say to each other, and to answer to that. */
static void talk(struct lab *l, px_store a, px_store b) {
    for (size_t i = 0; i < l->pooled && !l->broken[0];) {
        const struct lab_msg *m = l->pool[i];
        px_store from = m->support ? m->s.from : m->m.from, to = m->support ? m->s.to : m->m.to;
        if ((from != a || to != b) && (from != b || to != a)) {
            i++;
            continue;
        }
        lab_deliver(l, i, false);
        catch_up(l);
        i = 0;
    }
}

static void act(struct explorer *x, const struct choice *c) {
    struct lab *l = x->lab;
    struct lab_node *n = &l->node[c->what == DELIVER || c->what == LOSE ? 0 : c->a];
    struct px_now now = lab_now(n);
    x->steps++;
    switch (c->what) {
    case DELIVER:
        lab_deliver(l, c->a, false);
        break;
    case LOSE:
        x->left.losses--;
        lab_drop(l, c->a);
        break;
    case TALK:
        talk(l, c->a + 1, c->b + 1);
        break;
    case PASS:
    case PASS_PAUSED:
        pass(x, c->what == PASS_PAUSED);
        break;
    case CAMPAIGN:
        x->left.campaigns--;
        IGNORE(px_campaign(n->g, &now));
        break;
    case CRASH:
        x->left.crashes--;
        lab_crash(n, 0);
        break;
    case START:
        x->left.starts--;
        lab_start(n);
        lab_tick(n);
        break;
    case TRANSFER:
        x->left.transfers--;
        IGNORE(px_transfer(n->g, &now, l->node[c->b].id));
        break;
    case RESIGN:
        x->left.resigns--;
        px_resign(n->g, &now);
        break;
    }
    if (n->up)
        lab_pump(n);
    catch_up(l);
}

/* ---- all of them ---- */

static void describe(const struct lab *l, const struct choice *c, char *to, size_t cap) {
    static const char *const names[] = {"deliver",
                                        "lose",
                                        "talk",
                                        "half a lease passes",
                                        "half a lease passes, leaders paused",
                                        "campaign",
                                        "crash",
                                        "start",
                                        "transfer",
                                        "resign"};
    if (c->what != DELIVER && c->what != LOSE) {
        snprintf(to, cap, "%s %u %u", names[c->what], c->a + 1, c->b + 1);
        return;
    }
    const struct lab_msg *m = l->pool[c->a];
    snprintf(to, cap, "%s %s%d %llu>%llu", names[c->what], m->support ? "support " : "",
             m->support ? (int)m->s.type : (int)m->m.type, (unsigned long long)(m->support ? m->s.from : m->m.from),
             (unsigned long long)(m->support ? m->s.to : m->m.to));
}

static void replay(struct explorer *x, bool tell) {
    struct choice c[CHOICES_MAX];
    if (x->lab)
        lab_free(x->lab);
    x->lab = begin(x->s);
    x->left = x->s->budget;
    for (uint32_t i = 0; i < x->depth; i++) {
        size_t n = choices(x, c);
        char line[LOG_MAX];
        CHECK(x->path[i] < n);
        describe(x->lab, &c[x->path[i]], line, sizeof line);
        if (tell)
            tap_note("%u: %s", i + 1, line);
        act(x, &c[x->path[i]]);
    }
}

/* Whether this state was left with at least as many steps to go. */
static bool seen_before(struct explorer *x, uint32_t left) {
    uint64_t h = lab_fingerprint(x->lab);
    const struct budget *b = &x->left;
    h = hash_u64(h ^ (b->half_leases | (uint64_t)b->campaigns << 8 | (uint64_t)b->crashes << 16 |
                      (uint64_t)b->starts << 24 | (uint64_t)b->transfers << 32 | (uint64_t)b->resigns << 40 |
                      (uint64_t)b->losses << 48));
    h = (h & ~UINT64_C(63)) | 0;
    if (x->seen_count * 2 >= x->seen_cap) {
        size_t cap = x->seen_cap ? x->seen_cap * 2 : 1 << 12;
        uint64_t *v = calloc(cap, sizeof *v);
        CHECK(v);
        for (size_t i = 0; i < x->seen_cap; i++)
            if (x->seen[i]) {
                size_t at = x->seen[i] >> 6 & (cap - 1);
                while (v[at])
                    at = (at + 1) & (cap - 1);
                v[at] = x->seen[i];
            }
        free(x->seen);
        x->seen = v;
        x->seen_cap = cap;
    }
    size_t at = h >> 6 & (x->seen_cap - 1);
    for (; x->seen[at]; at = (at + 1) & (x->seen_cap - 1))
        if ((x->seen[at] & ~UINT64_C(63)) == h) {
            if ((x->seen[at] & 63) >= left)
                return true;
            x->seen[at] = h | left;
            return false;
        }
    x->seen[at] = h | left;
    x->seen_count++;
    return false;
}

static void explore(struct explorer *x) {
    struct choice c[CHOICES_MAX];
    x->paths++;
    if (x->lab->broken[0]) {
        x->broken = true;
        return;
    }
    if (x->depth == x->limit || seen_before(x, x->limit - x->depth + 1)) {
        x->known += x->depth != x->limit;
        return;
    }
    size_t n = choices(x, c);
    for (uint32_t i = 0; i < n && !x->broken; i++) {
        if (i) /* the first goes on from here */
            replay(x, false);
        n = choices(x, c);
        x->path[x->depth++] = i;
        act(x, &c[i]);
        explore(x);
        if (!x->broken)
            x->depth--;
    }
}

static const struct scenario scenarios[] = {
    {"lease", 3, 0, 40 * LAB_MS, 6, 0, {.half_leases = 2, .campaigns = 1, .losses = 1}},
    {"hand_over", 3, 0, 40 * LAB_MS, 4, 0, {.half_leases = 1, .campaigns = 1, .transfers = 1}},
    {"voter_restarts", 3, 0, 40 * LAB_MS, 4, 2, {.half_leases = 2, .campaigns = 1, .crashes = 1, .starts = 1}},
    {"leader_restarts", 3, 0, 40 * LAB_MS, 3, 1, {.half_leases = 2, .campaigns = 2, .crashes = 1, .starts = 1}},
    {"hand_over_and_restart", 3, 0, 0, 4, 7, {.campaigns = 1, .crashes = 1, .starts = 1, .transfers = 1}},
    {"resign", 3, 0, 40 * LAB_MS, 7, 0, {.half_leases = 1, .campaigns = 2, .resigns = 1}},
    {"two_voters",
     2,
     0,
     40 * LAB_MS,
     3,
     3,
     {.half_leases = 2, .campaigns = 2, .crashes = 1, .starts = 1, .transfers = 1}},
    {"witness", 3, 1, 40 * LAB_MS, 2, 4, {.half_leases = 2, .campaigns = 1, .crashes = 1, .starts = 1}},
};

int main(void) {
    const uint32_t depth[] = {(uint32_t)tap_env("EXPLORE_FINE", 3), (uint32_t)tap_env("EXPLORE_COARSE", 6)};
    const char *only = getenv("EXPLORE");
    for (size_t i = 0; i < 2 * ARRAY_LEN(scenarios); i++) {
        const struct scenario *s = &scenarios[i / 2];
        struct explorer x = {.s = s, .limit = depth[i % 2], .coarse = i % 2};
        if (only && strcmp(only, s->name) != 0)
            continue;
        CHECK(x.limit < DEPTH_MAX);
        tap_begin(s->name);
        replay(&x, false);
        explore(&x);
        tap_note("%s, %s: depth %u, %zu states, %llu paths, %llu steps", s->name, x.coarse ? "coarse" : "fine", x.limit,
                 x.seen_count, (unsigned long long)x.paths, (unsigned long long)x.steps);
        if (!OKF(!x.broken, "%s: %s", s->name, x.lab->broken))
            replay(&x, true);
        lab_free(x.lab);
        free(x.seen);
        tap_end();
    }
    return tap_done();
}
