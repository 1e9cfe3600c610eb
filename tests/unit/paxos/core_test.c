/* SPDX-License-Identifier: Apache-2.0 */
/* The Paxos core's edges: what peers may send wrong, how configurations are written, what an idle group costs. */
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/model/px_lab.h"

static struct lab *led_by_1(void) {
    struct lab_conf c = {.seed = 1, .nodes = 3, .voters = 3};
    struct lab *l = lab_new(&c, NULL, NULL);
    struct px_now now = lab_now(&l->node[0]);
    CHECK(px_campaign(l->node[0].g, &now) == RC_OK);
    lab_pump(&l->node[0]);
    return l;
}

static void settle(struct lab *l) {
    for (int round = 0; round < 200; round++) {
        l->now += LAB_MS;
        for (uint32_t i = 0; i < l->conf.nodes; i++) {
            lab_tick(&l->node[i]);
            while (lab_sync(&l->node[i])) {
            }
            lab_apply(&l->node[i], true);
        }
        while (l->pooled)
            lab_deliver(l, 0, false);
    }
}

/* A message that no replica of ours sends changes nothing, and stops nobody. */
static void nonsense_is_ignored(void) {
    struct lab *l = led_by_1();
    settle(l);
    struct lab_node *n = &l->node[1];
    struct px_status st;
    px_status(n->g, &st);
    uint64_t before = px_fingerprint(n->g);
    struct px_value *v = px_value_new(PX_COMMAND, "x", 1);
    v->origin = st.promised;
    struct px_entry e[3] = {{2, st.promised, v}, {4, st.promised, v}, {3, st.promised, NULL}};
    struct px_msg ok = {.type = PX_MSG_ACCEPT,
                        .group = 1,
                        .from = 1,
                        .to = 2,
                        .from_replica = 1,
                        .to_replica = 2,
                        .incarnation = 1,
                        .config_epoch = 1,
                        .ballot = st.promised,
                        .entry = e};
    struct px_msg m[7];
    for (size_t i = 0; i < ARRAY_LEN(m); i++)
        m[i] = ok;
    m[0].entries = 2;                     /* a hole */
    m[1].entries = 1, m[1].entry = &e[2]; /* no value */
    m[2].from = 3;                        /* another's ballot */
    m[3].ballot.round = UINT64_MAX;       /* the next round would be zero */
    m[4].to_replica = 9;                  /* a replica that is gone */
    m[5].group = 2;                       /* another group */
    m[6].from = 2, m[6].ballot.store = 2; /* ourselves */
    for (size_t i = 0; i < ARRAY_LEN(m); i++) {
        struct px_now now = lab_now(n);
        px_message(n->g, &now, &m[i]);
        OKF(px_fingerprint(n->g) == before, "message %zu had an effect", i);
    }
    px_value_unref(v);
    lab_free(l);
}

static void configurations_survive_encoding(void) {
    struct px_config c = {.epoch = 7,
                          .joint = true,
                          .count = 4,
                          .member = {{1, 11, PX_OLD | PX_NEW},
                                     {2, 12, PX_OLD | PX_STAYS},
                                     {3, 13, PX_NEW},
                                     {4, 14, PX_OLD | PX_NEW | PX_WITNESS}}};
    struct px_config back;
    uint8_t b[512];
    size_t n = px_config_encode(&c, b, sizeof b);
    OK(n > 0);
    EQ_INT(px_config_encode(&c, b, n - 1), 0);
    OK(px_config_decode(b, n, &back) == RC_OK);
    EQ_INT(back.epoch, 7);
    EQ_INT(back.count, 4);
    OK(back.joint && back.member[1].flags == (PX_OLD | PX_STAYS) && back.member[3].replica == 14);
    for (size_t cut = 0; cut < n; cut++)
        OKF(px_config_decode(b, cut, &back) != RC_OK, "%zu of %zu bytes were enough", cut, n);
    b[9] = PX_MEMBERS_MAX + 1;
    OK(px_config_decode(b, sizeof b, &back) != RC_OK);
}

/* f+1 full voters of 2f+1 (N-13), no store twice, somebody who votes. */
static void configurations_are_checked(void) {
    struct px_config c = {
        .epoch = 1, .count = 3, .member = {{1, 1, PX_OLD}, {2, 2, PX_OLD}, {3, 3, PX_OLD | PX_WITNESS}}};
    OK(px_config_check(&c, NULL) == RC_OK);
    c.member[1].flags |= PX_WITNESS;
    OK(px_config_check(&c, NULL) == RC_INVAL);
    c.member[1] = (struct px_member){1, 4, PX_OLD};
    OK(px_config_check(&c, NULL) == RC_INVAL);
    c = (struct px_config){.epoch = 1, .count = 1, .member = {{1, 1, 0}}};
    OK(px_config_check(&c, NULL) == RC_INVAL);
}

/* A quorum of each set, whoever else says yes (P-7). */
static void quorums_count_voters(void) {
    struct px_config c = {
        .epoch = 1,
        .joint = true,
        .count = 5,
        .member = {{1, 1, PX_OLD | PX_NEW}, {2, 2, PX_OLD}, {3, 3, PX_OLD}, {4, 4, PX_NEW}, {5, 5, 0}}};
    OK(!px_config_quorum(&c, 1 << 1 | 1 << 2)); /* of the old alone */
    OK(!px_config_quorum(&c, 1 << 0 | 1 << 4)); /* a learner's yes */
    OK(px_config_quorum(&c, 1 << 0 | 1 << 1 | 1 << 3));
    OK(!px_config_quorum(&c, 1 << 0 | 1 << 3));
}

/* A candidate whose clock is ahead of a voter's finds the lease over that the voter keeps. It asks again from time to time: a
 * Prepare to all for each Refuse of one would double the messages with every round trip. */
static void refuses_do_not_multiply(void) {
    struct lab *l = led_by_1();
    settle(l);
    struct lab_node *n = &l->node[1];
    n->lie = 10 * LAB_SECOND;
    struct px_now now = lab_now(n);
    OK(px_campaign(n->g, &now) == RC_OK);
    lab_pump(n);
    size_t asked = l->pooled;
    OK(asked > 0);
    struct px_msg m = {.type = PX_MSG_REFUSE,
                       .group = 1,
                       .from = 1,
                       .to = 2,
                       .from_replica = 1,
                       .to_replica = 2,
                       .incarnation = 1,
                       .config_epoch = 1,
                       .asked = *px_promised(n->g),
                       .until = LAB_EPOCH + l->now};
    for (int i = 0; i < 100; i++) {
        m.from = m.from_replica = i % 2 ? 1 : 3;
        now = lab_now(n);
        px_message(n->g, &now, &m);
        lab_tick(n);
        lab_pump(n);
    }
    EQ_INT(l->pooled, asked);
    for (int i = 0; i < 40; i++) {
        l->now += LAB_MS;
        lab_tick(n);
        lab_pump(n);
    }
    OKF(l->pooled > asked && l->pooled <= 3 * asked, "%zu messages, then %zu", asked, l->pooled);
    lab_free(l);
}

/* An idle group costs less than 2 KiB a replica, once its log is in a checkpoint. */
static void an_idle_group_is_small(void) {
    struct lab *l = led_by_1();
    settle(l);
    for (int i = 0; i < 100; i++) {
        px_slot slot;
        int64_t ts;
        OK(lab_propose(&l->node[0], "command", 7, 0, &slot, &ts) == RC_OK);
    }
    settle(l);
    size_t busy = 0, idle = 0;
    for (uint32_t i = 0; i < 3; i++) {
        busy += px_memory(l->node[i].g);
        lab_checkpoint(&l->node[i]);
        lab_truncate(&l->node[i], l->node[i].applied);
        idle += px_memory(l->node[i].g);
    }
    tap_note("three replicas: %zu bytes with 100 commands in memory, %zu idle", busy, idle);
    OK(idle < (size_t)3 * 2048);
    OK(busy > idle);
    lab_free(l);
}

int main(void) {
    RUN(nonsense_is_ignored);
    RUN(configurations_survive_encoding);
    RUN(configurations_are_checked);
    RUN(quorums_count_voters);
    RUN(refuses_do_not_multiply);
    RUN(an_idle_group_is_small);
    return tap_done();
}
