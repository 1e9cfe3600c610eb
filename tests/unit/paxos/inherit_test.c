/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group that a split made (N-6): while the parent's leader may still serve the right half as its parent's, nobody else leads
 * the child; the leader itself goes on at once, above all that it served and without a wait. And who comes late (P-24).
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/model/px_lab.h"

enum { STORES = 3 };

struct child {
    struct px_group *g[STORES];
};

static struct lab *lab(void) {
    struct lab_conf conf = {.seed = 1, .nodes = STORES, .voters = STORES, .mutant = getenv("SIM_MUTANT")};
    static const struct lab_ops ops;
    struct lab *l = lab_new(&conf, &ops, NULL);
    CHECK(l);
    return l;
}

static void settle(struct lab *l) {
    for (int turn = 0; turn < 2; turn++, l->now += LAB_MS) {
        for (int i = 0; i < STORES; i++)
            lab_tick(&l->node[i]);
        for (bool some = true; some;) {
            some = false;
            for (int i = 0; i < STORES; i++) {
                while (lab_sync(&l->node[i]))
                    some = true;
                while (lab_apply(&l->node[i], true))
                    some = true;
            }
            for (size_t i = 0; i < l->pooled && !some; i++)
                if (lab_arrives(l, i)) {
                    lab_deliver(l, i, false);
                    some = true;
                }
        }
    }
}

static struct lab *led_by_one(int64_t *ret_served) {
    struct lab *l = lab();
    struct px_now now = lab_now(&l->node[0]);
    CHECK(px_campaign(l->node[0].g, &now) == RC_OK);
    lab_pump(&l->node[0]);
    settle(l);
    CHECK(px_role_now(l->node[0].g) == PX_OPEN);
    /* More than what the log says: a read in the future of all clocks, within the lease. */
    *ret_served = lab_now(&l->node[0]).tt.latest + LAB_SECOND;
    CHECK(lab_serve(&l->node[0], *ret_served) == RC_OK);
    settle(l);
    return l;
}

static struct px_group *born(struct lab_node *n, bool late) {
    struct px_init init = {.group = 2,
                           .replica = 10 + n->id,
                           .self = n->id,
                           .support = n->sup,
                           .chaos = &n->lab->chaos,
                           .seed = n->id,
                           .config = *px_config_now(n->g),
                           .applied = late ? 0 : 1,
                           .late = late};
    struct px_group *g;
    for (uint32_t i = 0; i < init.config.count; i++)
        init.config.member[i].replica = 10 + init.config.member[i].store;
    CHECK(px_new(&init, &g) == RC_OK);
    px_restore_done(g, late ? 0 : 1);
    return g;
}

/* Every message arrives, every record is durable, every entry is applied; a store whose bit is in `deaf` hears nothing. */
static void play(struct lab *l, struct child *c, uint32_t deaf) {
    for (int turn = 0; turn < 40; turn++) {
        for (int i = 0; i < STORES; i++) {
            struct px_now now = lab_now(&l->node[i]);
            struct px_ready r;
            if (!c->g[i])
                continue;
            px_tick(c->g[i], &now);
            px_ready(c->g[i], &now, &r);
            for (size_t k = 0; k < r.n_send; k++) {
                struct px_msg m = r.send[k];
                struct px_now then = lab_now(&l->node[m.to - 1]);
                m.incarnation = 1;
                if (c->g[m.to - 1] && !((deaf >> (m.to - 1)) & 1))
                    px_message(c->g[m.to - 1], &then, &m);
            }
            if (r.n_persist)
                px_durable(c->g[i], &now, r.persist_seq);
            const struct px_entry *e;
            struct px_status st;
            px_status(c->g[i], &st);
            while ((e = px_next(c->g[i], st.applied))) {
                px_applied(c->g[i], &now, e->slot);
                px_status(c->g[i], &st);
            }
        }
    }
}

static void inherit(struct lab *l, struct child *c) {
    struct px_ballot ballot = *px_promised(l->node[0].g);
    for (int i = 0; i < STORES; i++) {
        c->g[i] = born(&l->node[i], false);
        EQ_INT(px_inherit(c->g[i], l->node[i].g, &ballot), RC_OK);
    }
}

static void done(struct lab *l, struct child *c) {
    for (int i = 0; i < STORES; i++)
        px_free(c->g[i]);
    lab_free(l);
}

static void nobody_else_leads(void) {
    int64_t served;
    struct lab *l = led_by_one(&served);
    struct child c = {{0}};
    inherit(l, &c);
    px_free(c.g[0]); /* the leader has not applied the split yet: it still serves the right half as its parent's */
    c.g[0] = NULL;
    for (int i = 1; i < STORES; i++) {
        struct px_now now = lab_now(&l->node[i]);
        OK(px_leader(c.g[i]) == 1);
        EQ_INT(px_campaign(c.g[i], &now), RC_BUSY);
    }
    play(l, &c, 0);
    OK(px_role_now(c.g[1]) == PX_FOLLOWER && px_role_now(c.g[2]) == PX_FOLLOWER);
    l->now += 4 * LAB_SECOND; /* nobody renews in here: its support has ended */
    struct px_now now = lab_now(&l->node[1]);
    EQ_INT(px_campaign(c.g[1], &now), RC_OK);
    play(l, &c, 0);
    OK(px_role_now(c.g[1]) == PX_OPEN);
    OKF(px_floor(c.g[1]) > served, "floor %lld, served %lld", (long long)px_floor(c.g[1]), (long long)served);
    done(l, &c);
}

static void the_leader_goes_on(void) {
    int64_t served;
    struct lab *l = led_by_one(&served);
    struct child c = {{0}};
    struct px_now now = lab_now(&l->node[0]);
    inherit(l, &c);
    EQ_INT(px_campaign(c.g[0], &now), RC_OK);
    play(l, &c, 1u << 2); /* one of the followers is enough */
    OK(px_role_now(c.g[0]) == PX_OPEN);
    OKF(px_floor(c.g[0]) >= served, "floor %lld, served %lld", (long long)px_floor(c.g[0]), (long long)served);
    OKF(px_floor(c.g[0]) < served + LAB_SECOND, "it did not wait out its own lease");
    now = lab_now(&l->node[0]);
    OK(px_lease_end(c.g[0], &now) > now.tt.latest);
    done(l, &c);
}

/* Who was made before the candidate asked it first, and lost the question: it says that it is there. */
static void who_comes_after_the_question_is_asked_again(void) {
    int64_t served;
    struct lab *l = led_by_one(&served);
    struct child c = {{0}}, all = {{0}};
    struct px_now now = lab_now(&l->node[0]);
    inherit(l, &all);
    c.g[0] = all.g[0];
    EQ_INT(px_campaign(c.g[0], &now), RC_OK);
    play(l, &c, 0); /* nobody else is there yet */
    OK(px_role_now(c.g[0]) == PX_CANDIDATE);
    c.g[1] = all.g[1];
    c.g[2] = all.g[2];
    play(l, &c, 0); /* in the same millisecond: no retry is due by time */
    OK(px_role_now(c.g[0]) == PX_OPEN);
    done(l, &c);
}

static void who_comes_late_waits(void) {
    int64_t served;
    struct lab *l = led_by_one(&served);
    struct child c = {{0}};
    struct px_ballot ballot = *px_promised(l->node[0].g);
    struct px_now now = lab_now(&l->node[1]);
    c.g[1] = born(&l->node[1], false);
    c.g[2] = born(&l->node[2], true); /* its parent was installed from a snapshot behind the split */
    EQ_INT(px_inherit(c.g[1], l->node[1].g, &ballot), RC_OK);
    OK(!px_leader(c.g[2]));
    IGNORE(px_campaign(c.g[2], &now)); /* refused, as is who asks it: */
    play(l, &c, 0);
    OK(px_role_now(c.g[1]) != PX_OPEN && px_role_now(c.g[2]) != PX_OPEN);
    done(l, &c);
}

int main(void) {
    RUN(nobody_else_leads);
    RUN(the_leader_goes_on);
    RUN(who_comes_after_the_question_is_asked_again);
    RUN(who_comes_late_waits);
    return tap_done();
}
