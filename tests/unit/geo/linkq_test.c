/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator's lines: delay, order, jitter, loss, reordering, rate, cuts and limits, in made-up time. */
#include "geo-sim/netns/linkq.h"

#include <math.h>
#include <stdlib.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static struct linkq *queue(unsigned places) {
    struct linkq *q = NULL;
    CHECK(linkq_new(places, 7, &q) == RC_OK);
    return q;
}

static int64_t pop_at(struct linkq *q, int64_t *ret_number) {
    int64_t due = linkq_due(q);
    struct linkq_packet *p;
    OK(linkq_pop(q, due - 1) == NULL);
    p = linkq_pop(q, due);
    CHECK(p && p->bytes >= sizeof *ret_number);
    memcpy(ret_number, p->data, sizeof *ret_number);
    free(p);
    return due;
}

static void delays_each_direction_once(void) {
    struct linkq *q = queue(3);
    struct topo_link there = {.delay_ns = 45 * MS}, back = {.delay_ns = 60 * MS};
    int64_t number = 1, got;
    linkq_set(q, 0, 2, &there);
    linkq_set(q, 2, 0, &back);
    EQ_INT(linkq_due(q), LINKQ_NEVER);
    OK(linkq_pop(q, SEC) == NULL);
    EQ_INT(linkq_push(q, 2, 0, 0, &number, sizeof number), LINKQ_TAKEN);
    number = 2;
    EQ_INT(linkq_push(q, 0, 2, 10 * MS, &number, sizeof number), LINKQ_TAKEN);
    EQ_INT(linkq_queued_bytes(q), 16);
    EQ_INT(pop_at(q, &got), 55 * MS);
    EQ_INT(got, 2);
    EQ_INT(pop_at(q, &got), 60 * MS);
    EQ_INT(got, 1);
    EQ_INT(linkq_due(q), LINKQ_NEVER);
    EQ_INT(linkq_queued_bytes(q), 0);
    EQ_INT(linkq_counts(q, 0, 2)->delivered, 1);
    linkq_free(q);
}

/* Jitter spreads the delay around what was asked for, and no packet overtakes another. */
static void jitter_keeps_order(void) {
    enum { N = 20000 };
    struct linkq *q = queue(2);
    struct topo_link l = {.delay_ns = 50 * MS, .jitter_ns = 2 * MS};
    double sum = 0, squares = 0;
    int64_t got, before = -1;
    linkq_set(q, 0, 1, &l);
    for (int64_t i = 0; i < N; i++) /* far apart: order is kept without holding anything back */
        EQ_INT(linkq_push(q, 0, 1, i * 100 * MS, &i, sizeof i), LINKQ_TAKEN);
    for (int64_t i = 0; i < N; i++) {
        double late = (double)(pop_at(q, &got) - got * 100 * MS - l.delay_ns);
        OK(got == before + 1);
        before = got;
        sum += late;
        squares += late * late;
    }
    double mean = sum / N, sigma = sqrt(squares / N);
    OKF(fabs(mean) < 0.05 * MS && fabs(sigma - 2 * MS) < 0.1 * MS, "mean %.0f ns, sigma %.0f ns", mean, sigma);
    for (int64_t i = 0; i < N; i++) /* close together */
        EQ_INT(linkq_push(q, 0, 1, N * 100 * MS + i * 10 * US, &i, sizeof i), LINKQ_TAKEN);
    before = -1;
    for (int64_t i = 0; i < N && !tap_failing(); i++) {
        pop_at(q, &got);
        EQ_INT(got, before + 1);
        before = got;
    }
    linkq_free(q);
}

static void jitter_never_reaches_back(void) {
    struct linkq *q = queue(2);
    struct topo_link l = {.delay_ns = MS, .jitter_ns = 5 * MS};
    int64_t got;
    linkq_set(q, 0, 1, &l);
    for (int64_t i = 0; i < 1000; i++) {
        EQ_INT(linkq_push(q, 0, 1, i * SEC, &i, sizeof i), LINKQ_TAKEN);
        int64_t due = pop_at(q, &got);
        OK(due >= i * SEC && due <= i * SEC + 31 * MS);
    }
    linkq_free(q);
}

static void loses_its_share(void) {
    enum { N = 100000 };
    struct linkq *q = queue(2);
    struct topo_link l = {.delay_ns = MS, .loss_ppm = 50000};
    linkq_set(q, 0, 1, &l);
    uint64_t taken = 0;
    for (int64_t i = 0; i < N; i++) {
        taken += linkq_push(q, 0, 1, i * MS, &i, sizeof i) == LINKQ_TAKEN;
        free(linkq_pop(q, i * MS));
    }
    const struct linkq_counts *c = linkq_counts(q, 0, 1);
    OKF(c->of[LINKQ_LOST] > 4700 && c->of[LINKQ_LOST] < 5300, "%llu of %d lost", (unsigned long long)c->of[LINKQ_LOST],
        N);
    EQ_INT(c->of[LINKQ_LOST] + taken, N);
    EQ_INT(c->of[LINKQ_TAKEN], taken);
    l.loss_ppm = 1000000;
    linkq_set(q, 0, 1, &l);
    EQ_INT(linkq_push(q, 0, 1, N * MS, &taken, sizeof taken), LINKQ_LOST);
    linkq_free(q);
}

/* As netem does it: the share that reorders skips the delay. */
static void reorders_its_share(void) {
    enum { N = 10000 };
    struct linkq *q = queue(2);
    struct topo_link l = {.delay_ns = 50 * MS, .reorder_ppm = 100000};
    int64_t got, early = 0;
    linkq_set(q, 0, 1, &l);
    for (int64_t i = 0; i < N; i++)
        EQ_INT(linkq_push(q, 0, 1, i * MS, &i, sizeof i), LINKQ_TAKEN);
    for (int64_t i = 0; i < N; i++) {
        int64_t due = pop_at(q, &got);
        early += due == got * MS;
        OK(due == got * MS || due == got * MS + 50 * MS);
    }
    OKF(early > 800 && early < 1200, "%lld of %d came early", (long long)early, N);
    EQ_INT(linkq_counts(q, 0, 1)->reordered, early);
    linkq_free(q);
}

/* Packets leave one after the other at the line's rate, and the delay comes on top. */
static void rate_and_a_full_queue(void) {
    struct linkq *q = queue(2);
    struct topo_link l = {.delay_ns = 20 * MS, .rate_bps = 1000000};
    uint8_t packet[1250] = {0};
    int64_t taken = 0, got;
    linkq_set(q, 0, 1, &l);
    for (int i = 0; i < 10; i++)
        EQ_INT(linkq_push(q, 0, 1, 5 * MS, packet, sizeof packet), LINKQ_TAKEN);
    for (int i = 1; i <= 10; i++)
        EQ_INT(pop_at(q, &got), 5 * MS + i * 10 * MS + 20 * MS);
    EQ_INT(linkq_push(q, 0, 1, SEC, packet, sizeof packet), LINKQ_TAKEN); /* the line was idle meanwhile */
    EQ_INT(pop_at(q, &got), SEC + 30 * MS);
    while (linkq_push(q, 0, 1, 2 * SEC, packet, sizeof packet) == LINKQ_TAKEN)
        taken++;
    EQ_INT(taken, (256 << 10) / 1250);
    EQ_INT(linkq_counts(q, 0, 1)->of[LINKQ_FULL], 1);
    EQ_INT(linkq_push(q, 1, 0, 2 * SEC, packet, sizeof packet), LINKQ_TAKEN); /* the other direction has room */
    /* An unlimited line has a limit all the same, and so has everything together. */
    struct linkq *many = queue(6);
    static uint8_t big[LINKQ_PACKET_BYTES_MAX];
    l = (struct topo_link){.delay_ns = SEC};
    for (unsigned to = 1; to < 6; to++) {
        linkq_set(many, 0, to, &l);
        while (linkq_push(many, 0, to, 0, big, sizeof big) == LINKQ_TAKEN)
            ;
        OK(linkq_counts(many, 0, to)->queued_bytes <= INT64_C(64) << 20);
    }
    EQ_INT(linkq_queued_bytes(many), INT64_C(256) << 20);
    linkq_free(many);
    linkq_free(q);
}

static void cuts_and_heals(void) {
    struct linkq *q = queue(2);
    struct topo_link l = {.delay_ns = 10 * MS};
    int64_t number = 1, got;
    linkq_set(q, 0, 1, &l);
    linkq_set(q, 1, 0, &l);
    EQ_INT(linkq_push(q, 0, 1, 0, &number, sizeof number), LINKQ_TAKEN);
    l.cut = true;
    linkq_set(q, 0, 1, &l);
    EQ_INT(linkq_push(q, 0, 1, 1, &number, sizeof number), LINKQ_CUT);
    EQ_INT(linkq_push(q, 1, 0, 2, &number, sizeof number), LINKQ_TAKEN); /* one way only */
    EQ_INT(pop_at(q, &got), 10 * MS);                                    /* what was under way arrives */
    EQ_INT(pop_at(q, &got), 10 * MS + 2);
    l.cut = false;
    l.delay_ns = 3 * MS;
    linkq_set(q, 0, 1, &l);
    EQ_INT(linkq_push(q, 0, 1, 20 * MS, &number, sizeof number), LINKQ_TAKEN);
    EQ_INT(pop_at(q, &got), 23 * MS);
    EQ_INT(linkq_counts(q, 0, 1)->of[LINKQ_CUT], 1);
    linkq_free(q);
}

/* Random traffic over random lines that change: everything taken comes out once, in order of its due time, none early. */
static void nothing_is_lost_or_doubled(void) {
    enum { N = 30000, PLACES = 4 };
    static bool seen[N];
    struct linkq *q = queue(PLACES);
    struct rng rng;
    int64_t now = 0, taken = 0, came = 0, last_due = 0;
    rng_init(&rng, 3);
    memset(seen, 0, sizeof seen);
    for (int64_t i = 0; i < N; i++) {
        unsigned from = (unsigned)rng_below(&rng, PLACES), to = (unsigned)rng_below(&rng, PLACES - 1);
        to += to >= from;
        if (rng_chance(&rng, 0.05)) {
            struct topo_link l = {.delay_ns = rng_range(&rng, 0, 100 * MS),
                                  .jitter_ns = rng_range(&rng, 0, 5 * MS),
                                  .rate_bps = rng_chance(&rng, 0.5) ? 0 : rng_range(&rng, 100000, 1000000000),
                                  .loss_ppm = (int32_t)rng_below(&rng, 100000),
                                  .reorder_ppm = (int32_t)rng_below(&rng, 100000),
                                  .cut = rng_chance(&rng, 0.1)};
            linkq_set(q, from, to, &l);
        }
        now += rng_exponential(&rng, MS);
        taken += linkq_push(q, from, to, now, &i, sizeof i) == LINKQ_TAKEN;
        struct linkq_packet *p;
        while ((p = linkq_pop(q, i == N - 1 ? now + 1000 * SEC : now))) {
            int64_t number;
            memcpy(&number, p->data, sizeof number);
            OK(number >= 0 && number <= i && !seen[number]);
            OK(p->due_ns >= last_due || i < N - 1);
            seen[number] = true;
            came++;
            last_due = p->due_ns;
            free(p);
        }
    }
    EQ_INT(came, taken);
    EQ_INT(linkq_queued_bytes(q), 0);
    linkq_free(q);
}

int main(void) {
    RUN(delays_each_direction_once);
    RUN(jitter_keeps_order);
    RUN(jitter_never_reaches_back);
    RUN(loses_its_share);
    RUN(reorders_its_share);
    RUN(rate_and_a_full_queue);
    RUN(cuts_and_heals);
    RUN(nothing_is_lost_or_doubled);
    return tap_done();
}
