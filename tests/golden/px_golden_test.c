/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays the scripts in tests/golden/paxos: what is done to a few stores, and what they do in turn. A script reads like a log:
 *
 *     # A leader cut off from its quorum stops serving before anyone else may lead.
 *     nodes 3
 *     campaign 1
 *     settle
 *     ----
 *     1 campaigns ballot=1.1
 *     ...
 *
 * Blocks of commands, a line "----", what is expected; an empty line ends a block. Times are seconds since the script began.
 * Nothing is said about a store that only does as it is told. GOLDEN_REWRITE=1 writes the expected parts anew; GOLDEN=word
 * plays only the scripts whose name has the word in it; SIM_MUTANT=rule breaks a rule.
 *
 *     nodes N [voters=V] [witnesses=W] [lease=SECONDS] [error=MS] [message=BYTES] [entries=N] [window=BYTES] [inflight=BYTES]
 *     campaign N    transfer N M    resign N    ask N           propose N WORD [AT|untimed]    read N [AT]
 *     pledge N AT   what N has allowed others to choose (N-3)
 *     settle        all messages arrive, all writes are durable, all is applied, until nothing is left to do; takes 1 ms
 *     run SECONDS   time passes, 10 ms after 10 ms, and everything settles in between
 *     step MS       time passes and nobody looks
 *     cut N         cut A B       cut A>B       mend [N]        mend A B
 *     hold A>B [TYPE]             such messages stay on their way, until `free`, or
 *     deliver A>B [TYPE]          ... the first of them arrives; `last A>B [TYPE]`: the last one
 *     again A>B [TYPE]            ... a copy of the first arrives     drop A>B [TYPE]    all of them are lost
 *     crash N [KEPT]  stop N  start N  wipe N  freeze N  thaw N       disk N slow|fast   apply N slow|fast   sync N
 *     truncate N [KEEP]           after a checkpoint; KEEP entries stay
 *     snapshot A B                B installs A's state
 *     config N VOTERS [learners=L] [witnesses=W]                      lists like 1,2,3
 *     clock N error=MS | lie=SECONDS | unsynced | right
 *     status [N]    trace [off]
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/model/px_lab.h"

enum { WORDS_MAX = 12, RULES_MAX = 32, SETTLE_MAX = 200000, PATH_MAX_ = 512 };

struct text {
    char *s;
    size_t len, cap;
};

struct rule { /* of the network */
    px_store from, to;
    int type; /* -1: all */
    bool hold;
};

struct seen { /* of a store, when last looked at */
    enum px_role role;
    px_store leader;
    struct px_ballot promised;
    bool removed, leaving, holds;
    px_store needs;
    bool up;
};

struct play {
    struct lab *lab;
    struct text out;
    struct rule rule[RULES_MAX];
    size_t rules;
    struct seen seen[LAB_NODES_MAX];
    px_slot said; /* chosen slots up to here are told */
    bool trace;
    const char *file;
    int line;
};

static const char *const type_names[PX_MSG_TYPES] = {
    [PX_MSG_PREPARE] = "prepare", [PX_MSG_PROMISE] = "promise", [PX_MSG_REFUSE] = "refuse",
    [PX_MSG_FETCH] = "fetch",     [PX_MSG_ACCEPT] = "accept",   [PX_MSG_ACK] = "ack",
    [PX_MSG_REJECT] = "reject",   [PX_MSG_RESIGN] = "resign",   [PX_MSG_TAKE_OVER] = "take_over",
    [PX_MSG_ASK] = "ask",         [PX_MSG_REMOVED] = "removed",
};
static const char *const support_names[] = {
    [SUPPORT_ASK] = "support_ask", [SUPPORT_GRANT] = "support_grant", [SUPPORT_REFUSE] = "support_refuse"};

static void text_add(struct text *t, const char *s, size_t n) {
    if (t->len + n + 1 > t->cap) {
        t->cap = (t->len + n + 1) * 2;
        t->s = realloc(t->s, t->cap);
        CHECK(t->s);
    }
    memcpy(t->s + t->len, s, n);
    t->len += n;
    t->s[t->len] = 0;
}

static void say(struct play *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct play *p, const char *fmt, ...) {
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    CHECK(len < sizeof line - 1);
    line[len] = '\n';
    text_add(&p->out, line, len + 1);
}

/* ---- how things are written ---- */

struct word {
    char s[64];
};

static struct word ballot(const struct px_ballot *b) {
    struct word w;
    if (px_ballot_is_zero(b))
        snprintf(w.s, sizeof w.s, "none");
    else
        snprintf(w.s, sizeof w.s, b->incarnation > 1 ? "%llu.%llu#%llu" : "%llu.%llu", (unsigned long long)b->round,
                 (unsigned long long)b->store, (unsigned long long)b->incarnation);
    return w;
}

static struct word when(int64_t ts) {
    struct word w;
    int64_t t = ts - LAB_EPOCH - LAB_MS;
    if (ts < LAB_EPOCH / 2)
        snprintf(w.s, sizeof w.s, "none");
    else
        snprintf(w.s, sizeof w.s, "%s%lld.%03lld", t < 0 ? "-" : "", (long long)llabs(t) / LAB_SECOND,
                 (long long)(llabs(t) % LAB_SECOND / LAB_MS));
    return w;
}

static void members(const struct px_config *c, uint32_t flag, char *to, size_t cap) {
    size_t n = 0;
    to[0] = 0;
    for (uint32_t i = 0; i < c->count; i++)
        if (flag ? c->member[i].flags & flag : !px_is_voter(&c->member[i]))
            n += (size_t)snprintf(to + n, cap - n, "%s%llu%s", n ? "," : "", (unsigned long long)c->member[i].store,
                                  c->member[i].flags & PX_WITNESS ? "w" : "");
}

static struct word config_text(const struct px_config *c) {
    struct word w;
    char old[20], fresh[20], learn[20];
    members(c, PX_OLD, old, sizeof old);
    members(c, PX_NEW, fresh, sizeof fresh);
    members(c, 0, learn, sizeof learn);
    snprintf(w.s, sizeof w.s, "voters=%s%s%s%s%s", old, c->joint ? " and " : "", c->joint ? fresh : "",
             learn[0] ? " learners=" : "", learn);
    return w;
}

static struct word value_text(const struct px_value *v) {
    struct word w = {"?"};
    int64_t x = 0;
    struct px_config c;
    switch (v->kind) {
    case PX_START:
    case PX_RELEASE:
        memcpy(&x, v->data, sizeof x);
        snprintf(w.s, sizeof w.s, "%s=%s", v->kind == PX_START ? "start floor" : "release s_max", when(x).s);
        break;
    case PX_CONFIG:
        if (px_config_decode(v->data, v->bytes, &c) == RC_OK)
            snprintf(w.s, sizeof w.s, "%s", config_text(&c).s);
        break;
    case PX_COMMAND:
        if (v->ts)
            snprintf(w.s, sizeof w.s, "%.*s ts=%s", (int)v->bytes, (const char *)v->data, when(v->ts).s);
        else
            snprintf(w.s, sizeof w.s, "%.*s", (int)v->bytes, (const char *)v->data);
        break;
    }
    return w;
}

static const char *msg_name(const struct lab_msg *m) {
    return m->support ? support_names[m->s.type] : type_names[m->m.type];
}

static void trace_msg(struct play *p, const struct lab_msg *m) {
    char more[96] = "";
    if (m->support)
        return;
    const struct px_msg *x = &m->m;
    if (x->entries)
        snprintf(more, sizeof more, " slots=%llu..%llu", (unsigned long long)x->entry[0].slot,
                 (unsigned long long)x->entry[x->entries - 1].slot);
    if (x->type == PX_MSG_PREPARE || x->type == PX_MSG_FETCH)
        snprintf(more, sizeof more, " from=%llu", (unsigned long long)x->slot);
    if (x->type == PX_MSG_ACK)
        snprintf(more, sizeof more, " slot=%llu", (unsigned long long)x->slot);
    if (x->type == PX_MSG_REFUSE && x->until)
        snprintf(more, sizeof more, " until=%s", when(x->until).s);
    if (x->type == PX_MSG_PROMISE)
        snprintf(more + strlen(more), sizeof more - strlen(more), " granted=%s", when(x->until).s);
    if (x->type == PX_MSG_ACCEPT || x->type == PX_MSG_ACK)
        snprintf(more + strlen(more), sizeof more - strlen(more), " commit=%llu", (unsigned long long)x->commit);
    say(p, "  %llu>%llu %s ballot=%s%s", (unsigned long long)x->from, (unsigned long long)x->to, msg_name(m),
        ballot(&x->ballot).s, more);
}

/* ---- what the stores are seen to do ---- */

static void see_role(struct play *p, struct lab_node *n, struct seen *s, const struct px_status *st) {
    static const char *const ends[PX_ROLES] = {[PX_CANDIDATE] = "gives up",
                                               [PX_OPENING] = "leads no more",
                                               [PX_OPEN] = "leads no more",
                                               [PX_RELEASING] = "leads no more"};
    unsigned id = (unsigned)n->id;
    if (st->role == s->role)
        return;
    struct px_now now = lab_now(n);
    switch (st->role) {
    case PX_FOLLOWER:
        say(p, "%u %s", id, ends[s->role]);
        break;
    case PX_CANDIDATE:
        say(p, "%u campaigns ballot=%s", id, ballot(&st->promised).s);
        break;
    case PX_OPENING:
        say(p, "%u wins ballot=%s floor=%s", id, ballot(&st->promised).s, when(px_floor(n->g)).s);
        break;
    case PX_OPEN:
        say(p, "%u leads ballot=%s lease_until=%s", id, ballot(&st->promised).s, when(px_lease_end(n->g, &now)).s);
        s->holds = px_leads(n->g, &now);
        break;
    case PX_RELEASING:
        say(p, "%u releases", id);
        break;
    case PX_ROLES:
        break;
    }
    s->role = st->role;
}

static void see(struct lab *l, struct lab_node *n) {
    struct play *p = l->ctx;
    struct seen *s = &p->seen[n - l->node];
    struct px_status st;
    unsigned id = (unsigned)n->id;
    if (!n->up) {
        *s = (struct seen){0};
        return;
    }
    px_status(n->g, &st);
    see_role(p, n, s, &st);
    if (st.role == PX_FOLLOWER && st.leader &&
        (st.leader != s->leader || px_ballot_cmp(&st.promised, &s->promised) != 0))
        say(p, "%u follows %llu ballot=%s", id, (unsigned long long)st.leader, ballot(&st.promised).s);
    s->leader = st.leader;
    s->promised = st.promised;
    if (st.removed && !s->removed && s->up)
        say(p, "%u is removed", id);
    if (st.leaving && !s->leaving)
        say(p, "%u is leaving", id);
    s->removed = st.removed;
    s->leaving = st.leaving;
    if (n->snapshot_from && n->snapshot_from != s->needs)
        say(p, "%u needs a snapshot of %llu", id, (unsigned long long)n->snapshot_from);
    s->needs = n->snapshot_from;
    s->up = true;
}

static void applied(struct lab *l, struct lab_node *n, px_slot slot, const struct px_value *v) {
    struct play *p = l->ctx;
    (void)n;
    if (slot <= p->said)
        return;
    p->said = slot;
    say(p, "chosen %llu: %s", (unsigned long long)slot, value_text(v).s);
}

static void persisted(struct lab *l, struct lab_node *n, const struct px_record *r) {
    struct play *p = l->ctx;
    if (!p->trace)
        return;
    if (r->type == PX_REC_PROMISE)
        say(p, "  %llu writes promise %s", (unsigned long long)n->id, ballot(&r->ballot).s);
    else if (r->type == PX_REC_VOID)
        say(p, "  %llu writes void %llu", (unsigned long long)n->id, (unsigned long long)r->entry.slot);
    else
        say(p, "  %llu writes %llu at %s: %s", (unsigned long long)n->id, (unsigned long long)r->entry.slot,
            ballot(&r->ballot).s, value_text(r->entry.value).s);
}

/* A busy leader: reads ask for its lease all the time. */
static void see_leases(struct play *p) {
    struct lab *l = p->lab;
    for (uint32_t i = 0; i < l->conf.nodes; i++) {
        struct lab_node *n = &l->node[i];
        struct seen *s = &p->seen[i];
        if (!n->up || n->frozen || s->role != PX_OPEN)
            continue;
        struct px_now now = lab_now(n);
        bool holds = px_leads(n->g, &now);
        if (holds != s->holds)
            say(p, holds ? "%llu holds its lease again" : "%llu has lost its lease", (unsigned long long)n->id);
        s->holds = holds;
    }
    lab_check_leases(l);
}

/* ---- the network ---- */

static px_store msg_from(const struct lab_msg *m) {
    return m->support ? m->s.from : m->m.from;
}

static px_store msg_to(const struct lab_msg *m) {
    return m->support ? m->s.to : m->m.to;
}

static bool matches(const struct rule *r, const struct lab_msg *m) {
    int type = m->support ? 100 + (int)m->s.type : (int)m->m.type;
    return r->from == msg_from(m) && r->to == msg_to(m) && (r->type < 0 || r->type == type);
}

static bool held(const struct play *p, const struct lab_msg *m) {
    for (size_t i = 0; i < p->rules; i++)
        if (p->rule[i].hold && matches(&p->rule[i], m))
            return true;
    return false;
}

static bool lose(struct lab *l, const struct lab_msg *m) {
    const struct play *p = l->ctx;
    for (size_t i = 0; i < p->rules; i++)
        if (!p->rule[i].hold && matches(&p->rule[i], m))
            return true;
    return false;
}

static void arrive(struct play *p, size_t i, bool again) {
    struct lab_node *to = &p->lab->node[msg_to(p->lab->pool[i]) - 1];
    if (p->trace && to->up && !to->cut && !p->lab->node[msg_from(p->lab->pool[i]) - 1].cut)
        trace_msg(p, p->lab->pool[i]);
    lab_deliver(p->lab, i, again);
}

static bool settle_node(struct lab_node *n) {
    bool some = false;
    if (!n->up || n->frozen)
        return false;
    while (!n->slow_disk && lab_sync(n))
        some = true;
    while (!n->slow_apply && lab_apply(n, true))
        some = true;
    return some;
}

static void settle_now(struct play *p) {
    struct lab *l = p->lab;
    bool some = true;
    for (uint32_t i = 0; i < l->conf.nodes; i++)
        if (l->node[i].up && !l->node[i].frozen)
            lab_tick(&l->node[i]);
    for (int steps = 0; some && !l->broken[0]; steps++) {
        CHECK(steps < SETTLE_MAX);
        some = false;
        for (uint32_t i = 0; i < l->conf.nodes; i++)
            some |= settle_node(&l->node[i]);
        for (size_t i = 0; i < l->pooled; i++)
            if (lab_arrives(l, i) && !held(p, l->pool[i])) {
                arrive(p, i, false);
                some = true;
                break;
            }
    }
    see_leases(p);
}

/* And once more a millisecond later, when an idle leader has told what is chosen. */
static void settle(struct play *p) {
    settle_now(p);
    p->lab->now += LAB_MS;
    settle_now(p);
}

static void run(struct play *p, int64_t ns) {
    for (int64_t end = p->lab->now + ns; p->lab->now < end && !p->lab->broken[0];) {
        int64_t step = end - p->lab->now < 10 * LAB_MS ? end - p->lab->now : 10 * LAB_MS;
        p->lab->now += step;
        settle_now(p);
    }
}

/* ---- commands ---- */

struct args {
    char *w[WORDS_MAX];
    size_t n;
};

static void bad(struct play *p, const char *why) {
    say(p, "line %d: %s", p->line, why);
}

static const char *option(const struct args *a, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 1; i < a->n; i++)
        if (strncmp(a->w[i], name, len) == 0 && a->w[i][len] == '=')
            return a->w[i] + len + 1;
    return NULL;
}

static uint64_t option_u64(const struct args *a, const char *name, uint64_t otherwise) {
    const char *s = option(a, name);
    return s ? strtoull(s, NULL, 10) : otherwise;
}

static int64_t seconds(const char *s) {
    return (int64_t)(strtod(s, NULL) * 1e9 + (s[0] == '-' ? -0.5 : 0.5));
}

static struct lab_node *node_arg(struct play *p, const struct args *a, size_t i) {
    unsigned long id = i < a->n ? strtoul(a->w[i], NULL, 10) : 0;
    if (!id || id > p->lab->conf.nodes) {
        bad(p, "no such store");
        return NULL;
    }
    return &p->lab->node[id - 1];
}

static int type_arg(struct play *p, const char *s) {
    for (int t = 0; t < PX_MSG_TYPES; t++)
        if (type_names[t] && strcmp(type_names[t], s) == 0)
            return t;
    for (int t = 0; t < (int)ARRAY_LEN(support_names); t++)
        if (support_names[t] && strcmp(support_names[t], s) == 0)
            return 100 + t;
    bad(p, "no such message");
    return -1;
}

static struct lab_node *up_arg(struct play *p, const struct args *a, size_t i) {
    struct lab_node *n = node_arg(p, a, i);
    if (n && !n->up) {
        bad(p, "that store is down");
        return NULL;
    }
    return n;
}

/* "A>B [TYPE]" from word i on. */
static bool link_arg(struct play *p, const struct args *a, size_t i, struct rule *ret) {
    char *arrow = i < a->n ? strchr(a->w[i], '>') : NULL;
    if (!arrow) {
        bad(p, "A>B is missing");
        return false;
    }
    *ret = (struct rule){strtoull(a->w[i], NULL, 10), strtoull(arrow + 1, NULL, 10), -1, false};
    if (i + 1 < a->n)
        ret->type = type_arg(p, a->w[i + 1]);
    return true;
}

static void rule_add(struct play *p, struct rule r) {
    CHECK(p->rules < RULES_MAX);
    p->rule[p->rules++] = r;
}

static void rule_del(struct play *p, const struct rule *r, bool hold) {
    for (size_t i = 0; i < p->rules;)
        if (p->rule[i].from == r->from && p->rule[i].to == r->to && p->rule[i].hold == hold &&
            (r->type < 0 || p->rule[i].type == r->type))
            p->rule[i] = p->rule[--p->rules];
        else
            i++;
}

static void cmd_nodes(struct play *p, const struct args *a) {
    static const struct lab_ops ops = {lose, applied, see, persisted};
    uint32_t n = (uint32_t)strtoul(a->w[1], NULL, 10);
    struct lab_conf c = {.seed = 1,
                         .nodes = n,
                         .voters = (uint32_t)option_u64(a, "voters", n),
                         .witnesses = (uint32_t)option_u64(a, "witnesses", 0),
                         .lease_ns = option(a, "lease") ? seconds(option(a, "lease")) : 0,
                         .limits = {.message_bytes = option_u64(a, "message", 0),
                                    .peer_entries = (uint32_t)option_u64(a, "entries", 0),
                                    .window_bytes = option_u64(a, "window", 0),
                                    .inflight_bytes = option_u64(a, "inflight", 0)},
                         .mutant = getenv("SIM_MUTANT")};
    p->lab = lab_new(&c, &ops, p);
    for (uint32_t i = 0; i < n; i++)
        p->lab->node[i].err_lo = p->lab->node[i].err_hi = (int64_t)option_u64(a, "error", 0) * LAB_MS;
}

static void cmd_campaign(struct play *p, const struct args *a) {
    struct lab_node *n = up_arg(p, a, 1);
    if (!n)
        return;
    struct px_now now = lab_now(n);
    enum rc rc = px_campaign(n->g, &now);
    lab_pump(n);
    if (rc)
        say(p, "%s may not campaign now: %s", a->w[1], rc_name(rc));
}

static void cmd_transfer(struct play *p, const struct args *a) {
    struct lab_node *n = up_arg(p, a, 1), *to = node_arg(p, a, 2);
    if (!n || !to)
        return;
    struct px_now now = lab_now(n);
    enum rc rc = px_transfer(n->g, &now, to->id);
    lab_pump(n);
    if (rc)
        say(p, "%s hands nothing over to %s: %s", a->w[1], a->w[2], rc_name(rc));
}

/* "+1.5", ahead of its clock's latest; nothing: its latest. */
static int64_t ts_arg(const struct args *a, size_t i, struct lab_node *n) {
    struct px_now now = lab_now(n);
    int64_t base = tt_is_known(now.tt) ? now.tt.latest : LAB_EPOCH + n->lab->now;
    if (i >= a->n)
        return base;
    return a->w[i][0] == '+' ? base + seconds(a->w[i] + 1) : LAB_EPOCH + LAB_MS + seconds(a->w[i]);
}

static void cmd_propose(struct play *p, const struct args *a) {
    struct lab_node *n = up_arg(p, a, 1);
    px_slot slot;
    int64_t ts;
    if (!n || a->n < 3)
        return;
    bool untimed = a->n > 3 && strcmp(a->w[3], "untimed") == 0;
    enum rc rc = lab_propose(n, a->w[2], strlen(a->w[2]), untimed ? 0 : ts_arg(a, 3, n), &slot, &ts);
    if (rc)
        say(p, "%s does not propose %s: %s", a->w[1], a->w[2], rc_name(rc));
    else
        say(p, "%s proposes %s slot=%llu ts=%s", a->w[1], a->w[2], (unsigned long long)slot, when(ts).s);
}

static void cmd_read(struct play *p, const struct args *a) {
    struct lab_node *n = up_arg(p, a, 1);
    if (!n)
        return;
    int64_t ts = ts_arg(a, 2, n);
    enum rc rc = lab_serve(n, ts);
    if (rc)
        say(p, "%s does not read at %s: %s", a->w[1], when(ts).s, rc_name(rc));
    else
        say(p, "%s reads at %s", a->w[1], when(ts).s);
}

static void cmd_pledge(struct play *p, const struct args *a) {
    struct lab_node *n = up_arg(p, a, 1);
    if (n)
        px_pledge(n->g, ts_arg(a, 2, n));
}

static void cmd_cut(struct play *p, const struct args *a) {
    struct rule r;
    if (a->n == 2 && !strchr(a->w[1], '>')) {
        struct lab_node *n = node_arg(p, a, 1);
        if (n)
            n->cut = true;
    } else if (strchr(a->w[1], '>')) {
        if (link_arg(p, a, 1, &r))
            rule_add(p, r);
    } else {
        struct lab_node *x = node_arg(p, a, 1), *y = node_arg(p, a, 2);
        if (!x || !y)
            return;
        rule_add(p, (struct rule){x->id, y->id, -1, false});
        rule_add(p, (struct rule){y->id, x->id, -1, false});
    }
}

static void cmd_mend(struct play *p, const struct args *a) {
    if (a->n == 1) {
        for (size_t i = 0; i < p->rules;)
            if (p->rule[i].hold)
                i++;
            else
                p->rule[i] = p->rule[--p->rules];
        for (uint32_t i = 0; i < p->lab->conf.nodes; i++)
            p->lab->node[i].cut = false;
    } else if (a->n == 2) {
        struct lab_node *n = node_arg(p, a, 1);
        if (n)
            n->cut = false;
    } else {
        px_store x = strtoull(a->w[1], NULL, 10), y = strtoull(a->w[2], NULL, 10);
        rule_del(p, &(struct rule){x, y, -1, false}, false);
        rule_del(p, &(struct rule){y, x, -1, false}, false);
    }
}

static void cmd_hold(struct play *p, const struct args *a) {
    struct rule r;
    if (!link_arg(p, a, 1, &r))
        return;
    r.hold = true;
    rule_add(p, r);
}

static void cmd_free(struct play *p, const struct args *a) {
    struct rule r;
    if (link_arg(p, a, 1, &r))
        rule_del(p, &r, true);
}

static void cmd_deliver(struct play *p, const struct args *a) {
    struct rule r;
    bool again = strcmp(a->w[0], "again") == 0, last = strcmp(a->w[0], "last") == 0;
    size_t at = SIZE_MAX;
    if (!link_arg(p, a, 1, &r))
        return;
    for (size_t i = 0; i < p->lab->pooled && (at == SIZE_MAX || last); i++)
        if (matches(&r, p->lab->pool[i]))
            at = i;
    if (at == SIZE_MAX)
        bad(p, "no such message is on its way");
    else
        arrive(p, at, again);
}

static void cmd_drop(struct play *p, const struct args *a) {
    struct rule r;
    size_t n = 0;
    if (!link_arg(p, a, 1, &r))
        return;
    for (size_t i = 0; i < p->lab->pooled;)
        if (matches(&r, p->lab->pool[i])) {
            lab_drop(p->lab, i);
            n++;
        } else {
            i++;
        }
    if (!n)
        bad(p, "no such message is on its way");
}

static void cmd_life(struct play *p, const struct args *a) {
    struct lab_node *n = node_arg(p, a, 1);
    const char *what = a->w[0];
    if (!n)
        return;
    if (strcmp(what, "start") == 0) {
        lab_start(n);
        return;
    }
    if (!n->up) {
        bad(p, "that store is down");
        return;
    }
    struct px_now now = lab_now(n);
    if (strcmp(what, "crash") == 0)
        lab_crash(n, a->n > 2 ? strtoul(a->w[2], NULL, 10) : 0);
    else if (strcmp(what, "stop") == 0)
        lab_stop(n);
    else if (strcmp(what, "wipe") == 0)
        lab_wipe(n);
    else if (strcmp(what, "freeze") == 0)
        n->frozen = true;
    else if (strcmp(what, "thaw") == 0)
        n->frozen = false;
    else if (strcmp(what, "sync") == 0)
        lab_sync(n);
    else if (strcmp(what, "resign") == 0)
        px_resign(n->g, &now);
    else if (strcmp(what, "ask") == 0)
        px_ask(n->g);
    else if (strcmp(what, "disk") == 0)
        n->slow_disk = a->n > 2 && strcmp(a->w[2], "slow") == 0;
    else if (strcmp(what, "apply") == 0)
        n->slow_apply = a->n > 2 && strcmp(a->w[2], "slow") == 0;
    if (n->up)
        lab_pump(n);
}

static void cmd_truncate(struct play *p, const struct args *a) {
    struct lab_node *n = up_arg(p, a, 1);
    px_slot keep = a->n > 2 ? strtoull(a->w[2], NULL, 10) : 0;
    if (!n)
        return;
    lab_checkpoint(n);
    lab_truncate(n, n->applied > keep ? n->applied - keep : 0);
    say(p, "%s has truncated to %llu", a->w[1], (unsigned long long)n->disk.truncated);
    lab_pump(n);
}

static void cmd_snapshot(struct play *p, const struct args *a) {
    struct lab_node *from = up_arg(p, a, 1), *to = up_arg(p, a, 2);
    if (!from || !to)
        return;
    bool ok = lab_install(from, to);
    struct px_now now = lab_now(from);
    from->snapshot_to &= ~(1u << to->id);
    px_snapshot_sent(from->g, &now, to->id, ok);
    lab_pump(from);
    say(p, ok ? "%s has the state of %s, applied=%llu" : "%s installs nothing of %s, applied=%llu", a->w[2], a->w[1],
        (unsigned long long)to->applied);
}

static bool in_list(const char *list, px_store id) {
    for (const char *s = list; s && *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ','))
        if (strtoull(s, NULL, 10) == id)
            return true;
    return false;
}

static void cmd_config(struct play *p, const struct args *a) {
    struct lab_node *n = up_arg(p, a, 1);
    struct px_config c = {0};
    struct err err = {0};
    if (!n || a->n < 3)
        return;
    for (uint32_t i = 0; i < p->lab->conf.nodes; i++) {
        px_store id = i + 1;
        bool voter = in_list(a->w[2], id);
        if (voter || in_list(option(a, "learners"), id))
            c.member[c.count++] =
                (struct px_member){id, p->lab->node[i].replica,
                                   (voter ? PX_OLD : 0u) | (in_list(option(a, "witnesses"), id) ? PX_WITNESS : 0u)};
    }
    struct px_now now = lab_now(n);
    enum rc rc = px_reconfigure(n->g, &now, &c, &err);
    lab_pump(n);
    if (rc)
        say(p, "%s changes nothing: %s", a->w[1], err.message);
}

static void cmd_clock(struct play *p, const struct args *a) {
    struct lab_node *n = node_arg(p, a, 1);
    if (!n || a->n < 3)
        return;
    n->unsynced = strcmp(a->w[2], "unsynced") == 0;
    if (option(a, "error"))
        n->err_lo = n->err_hi = (int64_t)option_u64(a, "error", 0) * LAB_MS;
    n->lie = option(a, "lie") ? seconds(option(a, "lie")) : 0;
    if (n->lie)
        p->lab->conf.clocks_lie = true; /* leases promise nothing then */
}

static void cmd_status(struct play *p, const struct args *a) {
    for (uint32_t i = 0; i < p->lab->conf.nodes; i++) {
        struct lab_node *n = &p->lab->node[i];
        struct px_status st;
        if (a->n > 1 && strtoul(a->w[1], NULL, 10) != n->id)
            continue;
        if (!n->up) {
            say(p, "%u: down", i + 1);
            continue;
        }
        px_status(n->g, &st);
        say(p, "%u: %s promised=%s leader=%llu truncated=%llu commit=%llu applied=%llu last=%llu epoch=%llu %s%s%s",
            i + 1, px_role_name(st.role), ballot(&st.promised).s, (unsigned long long)st.leader,
            (unsigned long long)st.truncated, (unsigned long long)st.commit, (unsigned long long)st.applied,
            (unsigned long long)st.last, (unsigned long long)st.config.epoch, config_text(&st.config).s,
            st.config_pending ? " pending" : "",
            st.removed   ? " removed"
            : st.leaving ? " leaving"
                         : "");
    }
}

static const struct {
    const char *name;
    void (*fn)(struct play *p, const struct args *a);
} commands[] = {
    {"campaign", cmd_campaign}, {"transfer", cmd_transfer}, {"propose", cmd_propose},   {"read", cmd_read},
    {"pledge", cmd_pledge},     {"cut", cmd_cut},           {"mend", cmd_mend},         {"hold", cmd_hold},
    {"free", cmd_free},         {"deliver", cmd_deliver},   {"last", cmd_deliver},      {"again", cmd_deliver},
    {"drop", cmd_drop},         {"truncate", cmd_truncate}, {"snapshot", cmd_snapshot}, {"config", cmd_config},
    {"clock", cmd_clock},       {"status", cmd_status},     {"crash", cmd_life},        {"stop", cmd_life},
    {"start", cmd_life},        {"wipe", cmd_life},         {"freeze", cmd_life},       {"thaw", cmd_life},
    {"sync", cmd_life},         {"resign", cmd_life},       {"ask", cmd_life},          {"disk", cmd_life},
    {"apply", cmd_life},
};

static void command(struct play *p, char *line) {
    struct args a = {0};
    char *rest = NULL;
    for (char *s = strtok_r(line, " ", &rest); s && a.n < WORDS_MAX; s = strtok_r(NULL, " ", &rest))
        a.w[a.n++] = s;
    if (!a.n || a.w[0][0] == '#')
        return;
    if (strcmp(a.w[0], "nodes") == 0 && a.n > 1) {
        cmd_nodes(p, &a);
        return;
    }
    if (!p->lab) {
        bad(p, "`nodes` comes first");
        return;
    }
    if (p->lab->broken[0])
        return;
    if (strcmp(a.w[0], "settle") == 0) {
        settle(p);
    } else if (strcmp(a.w[0], "run") == 0 && a.n > 1) {
        run(p, seconds(a.w[1]));
    } else if (strcmp(a.w[0], "step") == 0 && a.n > 1) {
        p->lab->now += (int64_t)strtoul(a.w[1], NULL, 10) * LAB_MS;
    } else if (strcmp(a.w[0], "trace") == 0) {
        p->trace = a.n < 2;
    } else {
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
            if (strcmp(commands[i].name, a.w[0]) == 0) {
                commands[i].fn(p, &a);
                return;
            }
        bad(p, "no such command");
    }
}

/* ---- files ---- */

static char *slurp(const char *path) {
    FILE *f = fopen(path, "r");
    struct text t = {0};
    char buf[4096];
    if (!f)
        return NULL;
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        text_add(&t, buf, n);
    fclose(f);
    return t.s ? t.s : strdup("");
}

/* Plays a script and gives back what it should look like. */
static char *play(const char *name, const char *script) {
    struct play p = {.file = name};
    struct text whole = {0};
    bool expecting = false;
    for (const char *s = script; *s;) {
        size_t len = strcspn(s, "\n");
        char line[256];
        snprintf(line, sizeof line, "%.*s", (int)len, s);
        p.line++;
        s += len + (s[len] == '\n');
        if (strcmp(line, "----") == 0 && !expecting) {
            if (p.lab)
                lab_check_timestamps(p.lab);
            if (p.lab && p.lab->broken[0])
                say(&p, "BROKEN %s", p.lab->broken);
            text_add(&whole, "----\n", 5);
            if (p.out.len)
                text_add(&whole, p.out.s, p.out.len);
            p.out.len = 0;
            expecting = true;
        } else if (!expecting) {
            text_add(&whole, line, strlen(line));
            text_add(&whole, "\n", 1);
            command(&p, line);
        } else if (!len) {
            text_add(&whole, "\n", 1);
            expecting = false;
        }
    }
    if (p.lab)
        lab_free(p.lab);
    free(p.out.s);
    return whole.s ? whole.s : strdup("");
}

static void show_difference(const char *want, const char *got) {
    int line = 1;
    while (*want && *got) {
        size_t a = strcspn(want, "\n"), b = strcspn(got, "\n");
        if (a != b || strncmp(want, got, a) != 0)
            break;
        want += a + (want[a] == '\n');
        got += b + (got[b] == '\n');
        line++;
    }
    tap_note("line %d, wanted: %.*s", line, (int)strcspn(want, "\n"), want);
    tap_note("line %d,    got: %.*s", line, (int)strcspn(got, "\n"), got);
}

static void script(const char *path, const char *name) {
    char *text = slurp(path);
    tap_begin(name);
    if (OK(text != NULL)) {
        char *got = play(name, text);
        if (getenv("GOLDEN_REWRITE")) {
            FILE *f = fopen(path, "w");
            OK(f && fputs(got, f) >= 0 && fclose(f) == 0);
        } else {
            const char *broken = strstr(got, "BROKEN");
            OKF(!broken, "%s: %.*s", name, broken ? (int)strcspn(broken, "\n") : 0, broken ? broken : "");
            if (!OKF(strcmp(got, text) == 0, "%s: something else happened", name))
                show_difference(text, got);
        }
        free(got);
    }
    free(text);
    tap_end();
}

static int is_script(const struct dirent *d) {
    const char *only = getenv("GOLDEN"), *dot = strrchr(d->d_name, '.');
    return dot && strcmp(dot, ".txt") == 0 && (!only || strstr(d->d_name, only));
}

int main(void) {
    struct dirent **names;
    int n = scandir(GOLDEN_DIR, &names, is_script, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX_];
        snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, names[i]->d_name);
        script(path, names[i]->d_name);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return tap_done();
}
