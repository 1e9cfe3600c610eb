/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_member.c: configurations: quorums, their encoding, and changes through the log.
 *
 * One change at a time. Voters change through a joint configuration, in which a quorum of the old and of the new voters is
 * needed, so that a replica is replaced in one step without passing through a bad placement (P-20). No slot after a
 * configuration entry is proposed before that entry is chosen (N-15), so at most one configuration is undecided.
 *
 * A configuration, encoded (little-endian): u64 epoch, u8 joint, u8 count, then for each member u64 store, u64 replica,
 * u8 flags.
 */
#include <stdlib.h>
#include <string.h>

#include "paxos/core_internal.h"
#include "truetime/base/buf.h"

enum { CONFIG_HEAD_BYTES = 10, CONFIG_MEMBER_BYTES = 17 };

const struct px_member *px_config_find(const struct px_config *c, px_store store) {
    for (uint32_t i = 0; i < c->count; i++)
        if (c->member[i].store == store)
            return &c->member[i];
    return NULL;
}

static bool set_quorum(const struct px_config *c, uint32_t members, uint32_t flag) {
    uint32_t voters = 0, yes = 0;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->member[i].flags & flag) {
            voters++;
            yes += members >> i & 1;
        }
    return voters > 0 && yes > voters / 2;
}

bool px_config_quorum(const struct px_config *c, uint32_t members) {
    return set_quorum(c, members, PX_OLD) && (!c->joint || set_quorum(c, members, PX_NEW));
}

static enum rc check_set(const struct px_config *c, uint32_t flag, struct err *err) {
    uint32_t voters = 0, full = 0;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->member[i].flags & flag) {
            voters++;
            full += !(c->member[i].flags & PX_WITNESS);
        }
    if (!voters)
        return err_set(err, RC_INVAL, "a group needs at least one voter");
    if (full < voters / 2 + 1)
        return err_set(err, RC_INVAL, "%u of %u voters hold the data; at least %u must", full, voters, voters / 2 + 1);
    return RC_OK;
}

enum rc px_config_check(const struct px_config *c, struct err *err) {
    if (c->count > PX_MEMBERS_MAX)
        return err_set(err, RC_INVAL, "more than %d members", PX_MEMBERS_MAX);
    for (uint32_t i = 0; i < c->count; i++)
        if (!c->member[i].store || (i && c->member[i].store <= c->member[i - 1].store))
            return err_set(err, RC_INVAL, "members must be different stores, in order");
    enum rc rc = check_set(c, PX_OLD, err);
    return !rc && c->joint ? check_set(c, PX_NEW, err) : rc;
}

size_t px_config_encode(const struct px_config *c, uint8_t *to, size_t cap) {
    size_t bytes = CONFIG_HEAD_BYTES + (size_t)c->count * CONFIG_MEMBER_BYTES;
    if (bytes > cap || c->count > PX_MEMBERS_MAX)
        return 0;
    set_u64le(to, c->epoch);
    to[8] = c->joint;
    to[9] = (uint8_t)c->count;
    for (uint32_t i = 0; i < c->count; i++) {
        uint8_t *m = to + CONFIG_HEAD_BYTES + (size_t)i * CONFIG_MEMBER_BYTES;
        set_u64le(m, c->member[i].store);
        set_u64le(m + 8, c->member[i].replica);
        m[16] = (uint8_t)c->member[i].flags;
    }
    return bytes;
}

enum rc px_config_decode(const void *from, size_t bytes, struct px_config *ret) {
    struct px_config c = {0};
    struct rd r;
    rd_init(&r, from, bytes);
    c.epoch = rd_u64le(&r);
    c.joint = rd_u8(&r) != 0;
    c.count = rd_u8(&r);
    if (c.count > PX_MEMBERS_MAX)
        return RC_PROTOCOL;
    for (uint32_t i = 0; i < c.count; i++) {
        c.member[i].store = rd_u64le(&r);
        c.member[i].replica = rd_u64le(&r);
        c.member[i].flags = rd_u8(&r);
    }
    if (rd_rc(&r) || rd_left(&r) || px_config_check(&c, NULL))
        return RC_PROTOCOL;
    *ret = c;
    return RC_OK;
}

/* ---- the configuration in force ---------------------------------------------------------------------------------- */

/* Both the last configuration and the last chosen one keep their members' stores as peers: until a change is decided a
 * leader needs the support of either. */
enum rc config_ref(struct px_group *g, const struct px_config *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        enum rc rc = support_peer_ref(g->support, c->member[i].store);
        if (rc) {
            while (i > 0)
                support_peer_unref(g->support, c->member[--i].store);
            return rc;
        }
    }
    return RC_OK;
}

void config_unref(struct px_group *g, const struct px_config *c) {
    for (uint32_t i = 0; i < c->count; i++)
        support_peer_unref(g->support, c->member[i].store);
}

static bool config_equal(const struct px_config *a, const struct px_config *b) {
    if (a->epoch != b->epoch || a->joint != b->joint || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct px_member *x = &a->member[i], *y = &b->member[i];
        if (x->store != y->store || x->replica != y->replica || x->flags != y->flags)
            return false;
    }
    return true;
}

enum rc config_reserve(struct px_group *g, const struct px_config *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        enum rc rc = support_peer_ref(g->support, c->member[i].store);
        if (rc)
            return rc;
        support_peer_unref(g->support, c->member[i].store); /* its memory stays */
    }
    return RC_OK;
}

enum rc config_reserve_entry(struct px_group *g, const struct px_entry *e) {
    struct px_config c;
    if (px_config_decode(e->value->data, e->value->bytes, &c))
        return RC_OK; /* counts as no configuration */
    return config_reserve(g, &c);
}

static void config_replace(struct px_group *g, struct px_config *at, const struct px_config *c) {
    if (config_ref(g, c)) /* cannot be: config_reserve. Without its peers no group can go on */
        check_failed(__FILE__, __LINE__, __func__, "out of memory for the members of a group", NULL);
    config_unref(g, at);
    *at = *c;
}

void config_chosen_set(struct px_group *g, const struct px_config *c, px_slot slot) {
    config_replace(g, &g->config_chosen, c);
    g->config_chosen_slot = slot;
}

/* The last configuration in the log, chosen or not: the one to vote by. An entry that a higher ballot overwrote is gone.
 * Whoever proposed it knew the one before it to be chosen; so that one is, although our commit index may not have come so far:
 * the old voters may be gone by now. */
void config_recompute(struct px_group *g) {
    struct px_config last = g->config_chosen, prev = last;
    px_slot prev_slot = 0;
    g->config_slot = 0;
    for (px_slot slot = g->commit + 1; slot <= log_last(g); slot++) {
        const struct log_slot *s = log_get(g, slot);
        struct px_config c;
        if (s && s->e.value && s->e.value->kind == PX_CONFIG &&
            px_config_decode(s->e.value->data, s->e.value->bytes, &c) == RC_OK && c.epoch > last.epoch) {
            prev = last;
            prev_slot = g->config_slot;
            last = c;
            g->config_slot = slot;
        }
    }
    if (!config_equal(&last, &g->config))
        config_replace(g, &g->config, &last);
    if (prev.epoch > g->config_chosen.epoch)
        config_chosen_set(g, &prev, prev_slot);
    if (self_in(g, &g->config)) {
        g->removed = g->leaving = false;
        free(g->newer);
        g->newer = NULL;
    }
}

/* P-24: whoever becomes a voter has not supported anybody in this group so far, and waits as if it had. */
void note_voter(struct px_group *g, const struct px_now *now, const struct px_config *before) {
    bool was = px_is_voter(self_in(g, before)), is = px_is_voter(self_in(g, &g->config));
    if (is && !was) {
        fresh_begin(g, now);
        g->fresh_ballot = g->promised;
    } else if (!is && was) {
        g->fresh_until = 0; /* should it become one again, it waits again */
    }
}

void fresh_begin(struct px_group *g, const struct px_now *now) {
    g->fresh_ballot = (struct px_ballot){0};
    g->fresh_until = tt_is_known(now->tt) ? now->tt.latest + support_lease_ns(g->support) : INT64_MAX;
    support_note_used(g->support, g->fresh_until); /* a clean stop must not make us forget (N-2) */
}

static enum rc propose_config(struct px_group *g, const struct px_now *now, struct px_config *c) {
    uint8_t data[CONFIG_HEAD_BYTES + PX_MEMBERS_MAX * CONFIG_MEMBER_BYTES];
    c->epoch = g->config.epoch + 1;
    size_t bytes = px_config_encode(c, data, sizeof data);
    struct px_value *v = px_value_new(PX_CONFIG, data, bytes);
    enum rc rc = v ? config_reserve(g, c) : RC_NOMEM;
    if (!rc)
        rc = propose_value(g, v);
    px_value_unref(v);
    if (rc)
        return rc;
    struct px_config before = g->config;
    config_recompute(g);
    note_voter(g, now, &before);
    return peers_rebuild(g);
}

/* The configuration without the old set. */
static void leave_joint(const struct px_config *from, struct px_config *to) {
    *to = (struct px_config){.epoch = from->epoch};
    for (uint32_t i = 0; i < from->count; i++) {
        struct px_member m = from->member[i];
        bool learner = !(m.flags & (PX_OLD | PX_NEW)) || m.flags & PX_STAYS;
        if (!learner && !(m.flags & PX_NEW))
            continue;
        m.flags = (learner ? 0u : PX_OLD) | (m.flags & PX_WITNESS);
        to->member[to->count++] = m;
    }
}

static void tell_removed(struct px_group *g, const struct px_config *before) {
    for (uint32_t i = 0; i < before->count; i++) {
        if (px_config_find(&g->config_chosen, before->member[i].store))
            continue;
        struct out_msg *o = out_new(g, PX_MSG_REMOVED, before->member[i].store, 0);
        if (!o)
            continue; /* it can ask */
        o->config = g->config_chosen;
        o->m.config = &o->config;
        o->m.commit = g->commit;
        o->m.more = true; /* it is told for good when it asks, once nobody can need its vote */
        o->m.to_replica = before->member[i].replica;
        out_send(g, o);
    }
}

void config_committed(struct px_group *g, const struct px_now *now, const struct px_entry *e) {
    struct px_config c, before = g->config_chosen;
    if (px_config_decode(e->value->data, e->value->bytes, &c) || c.epoch <= g->config_chosen.epoch)
        return;
    config_chosen_set(g, &c, e->slot);
    if (g->config.epoch < c.epoch)
        config_replace(g, &g->config, &c);
    if (!self_in(g, &c))
        g->leaving = true;
    if (!leading(g))
        return;
    if (!c.joint)
        tell_removed(g, &before);
    /* A leader hands over before it removes itself; but it may have recovered what another one had proposed. */
    if (!px_is_voter(self_in(g, &c))) {
        chaos_probe(g->chaos, "paxos: a leader was removed by what it recovered");
        px_resign(g, now);
    } else if (peers_rebuild(g)) {
        px_resign(g, now);
    }
}

/* To the voter of `next` that has come furthest; if none answers now, the next tick tries again. */
static void hand_over(struct px_group *g, const struct px_now *now, const struct px_config *next) {
    const struct px_peer *best = NULL;
    for (uint32_t i = 0; i < next->count; i++) {
        const struct px_member *m = &next->member[i];
        const struct px_peer *p = px_is_voter(m) && !(m->flags & PX_WITNESS) ? px_peer_find(g, m->store) : NULL;
        if (p && support_alive(g->support, p->store) && (!best || p->match > best->match))
            best = p;
    }
    if (best)
        IGNORE(px_transfer(g, now, best->store));
}

/* Whoever leads while a joint configuration is the last one chosen proposes to leave it. */
void finish_change(struct px_group *g, const struct px_now *now) {
    struct px_config next;
    bool early = chaos_mutant(g->chaos, "P-20: leave a joint configuration before it is chosen");
    const struct px_config *joint = early ? &g->config : &g->config_chosen;
    if (g->role != PX_OPEN || !joint->joint || (config_pending(g) && !early))
        return;
    leave_joint(joint, &next);
    const struct px_member *self = self_in(g, &next);
    if (!px_is_voter(self) || (self->flags & PX_WITNESS)) {
        hand_over(g, now, &next); /* a leader does not remove itself; its successor finishes */
        return;
    }
    if (propose_config(g, now, &next))
        px_resign(g, now); /* out of memory: the next leader does it */
}

/* ---- asking for a change ----------------------------------------------------------------------------------------- */

/* Old voters keep PX_OLD, wanted voters get PX_NEW. */
static bool make_joint(const struct px_config *now, const struct px_config *want, struct px_config *ret) {
    *ret = (struct px_config){.joint = true};
    uint32_t i = 0, k = 0;
    while (i < now->count || k < want->count) {
        struct px_member m;
        const struct px_member *a = i < now->count ? &now->member[i] : NULL;
        const struct px_member *b = k < want->count ? &want->member[k] : NULL;
        if (ret->count == PX_MEMBERS_MAX)
            return false;
        if (a && (!b || a->store < b->store)) {
            m = *a;
            i++;
        } else if (b && (!a || b->store < a->store)) {
            m = *b;
            m.flags = (m.flags & PX_WITNESS) | (px_is_voter(b) ? PX_NEW : 0);
            k++;
        } else {
            m = *b;
            m.flags = (b->flags & PX_WITNESS) | (px_is_voter(b) ? PX_NEW : 0) | (a->flags & PX_OLD) |
                      (px_is_voter(a) && !px_is_voter(b) ? PX_STAYS : 0);
            i++;
            k++;
        }
        ret->member[ret->count++] = m;
    }
    return true;
}

static bool same_voters(const struct px_config *a, const struct px_config *b) {
    for (uint32_t i = 0; i < a->count; i++) {
        const struct px_member *m = px_config_find(b, a->member[i].store);
        if (px_is_voter(&a->member[i]) && (!m || m->flags != a->member[i].flags || m->replica != a->member[i].replica))
            return false;
    }
    for (uint32_t i = 0; i < b->count; i++)
        if (px_is_voter(&b->member[i]) && !px_is_voter(px_config_find(a, b->member[i].store)))
            return false;
    return true;
}

/* P-21: never to voters of whom no quorum answers now, or who are not caught up. */
static enum rc check_reachable(struct px_group *g, const struct px_config *want, struct err *err) {
    uint32_t set = 0;
    for (uint32_t i = 0; i < want->count; i++) {
        const struct px_member *m = &want->member[i];
        const struct px_peer *p = px_peer_find(g, m->store);
        bool caught_up =
            m->store == g->self || (p && support_alive(g->support, m->store) && !p->probing &&
                                    p->match + 1 >= g->log.first && p->match + g->limits.peer_entries >= g->commit &&
                                    support_granted(g->support, m->store, p->follow_epoch, p->follow_incarnation));
        set |= (uint32_t)caught_up << i;
        const struct px_member *had = px_config_find(&g->config, m->store);
        if (px_is_voter(m) && !px_is_voter(had) && !caught_up)
            return err_set(err, RC_INVAL, "store %llu.%llu has not caught up yet", (unsigned long long)(m->store >> 16),
                           (unsigned long long)(m->store & 0xffff));
    }
    if (!px_config_quorum(want, set))
        return err_set(err, RC_INVAL, "no quorum of the new voters answers now");
    return RC_OK;
}

enum rc px_reconfigure(struct px_group *g, const struct px_now *now, const struct px_config *want, struct err *err) {
    struct px_config c = *want;
    c.joint = false;
    for (uint32_t i = 0; i < c.count; i++)
        c.member[i].flags = (c.member[i].flags & PX_WITNESS) | (px_is_voter(&want->member[i]) ? PX_OLD : 0);
    enum rc rc = px_config_check(&c, err);
    if (rc)
        return rc;
    if (g->role != PX_OPEN)
        return err_set(err, RC_UNREACHABLE, "this replica does not lead the group");
    if (config_pending(g) || g->config.joint)
        return err_set(err, RC_OVERLOAD, "another change of members is under way");
    const struct px_member *self = self_in(g, &c);
    if (!px_is_voter(self) || (self->flags & PX_WITNESS))
        return err_set(err, RC_INVAL, "the leader cannot remove itself: hand the leadership over first");
    for (uint32_t i = 0; i < c.count; i++) {
        const struct px_member *had = px_config_find(&g->config, c.member[i].store);
        if (had && had->replica != c.member[i].replica)
            return err_set(err, RC_INVAL, "a store's replica changes only by removing it first");
        if (had && (had->flags ^ c.member[i].flags) & PX_WITNESS)
            return err_set(err, RC_INVAL,
                           "a witness has no data: to become a full replica it is removed and added anew");
    }
    if (same_voters(&g->config, &c))
        return propose_config(g, now, &c);
    rc = check_reachable(g, &c, err);
    if (rc)
        return rc;
    struct px_config joint;
    if (!make_joint(&g->config, &c, &joint))
        return err_set(err, RC_INVAL, "more than %d members during the change", PX_MEMBERS_MAX);
    return propose_config(g, now, &joint);
}
