/* SPDX-License-Identifier: Apache-2.0 */
/* The history checkers: hand-made histories that no strictly serializable database can show, and good ones that it can.
 * */
#include "geo-sim/check/history.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

enum { X = 1, Y = 2, Z = 3 };

static struct hist_verdict verdict;

/* Both checkers refuse it; the second one by this name. */
static void refused(struct history *h, const char *anomaly, bool by_replay) {
    struct hist_verdict v = {0};
    OKF(hist_check_replay(h, &v) != by_replay, "replay: %s", v.text);
    memset(&verdict, 0, sizeof verdict);
    OKF(!hist_check_cycles(h, &verdict), "cycles found nothing");
    OKF(strncmp(verdict.anomaly, anomaly, strlen(anomaly)) == 0, "called %s (%s), wanted %s", verdict.anomaly,
        verdict.text, anomaly);
    hist_free(h);
}

static void accepted(struct history *h) {
    OKF(hist_check_replay(h, &verdict), "replay: %s: %s", verdict.anomaly, verdict.text);
    OKF(hist_check_cycles(h, &verdict), "cycles: %s: %s", verdict.anomaly, verdict.text);
    hist_free(h);
}

/* A transaction that ran from begin to end; then come its operations, then hist_commit. */
static void a_good_history(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 5), c = hist_begin(h, 3, 100), d = hist_begin(h, 4, 200);
    hist_write(h, a, X, 1);
    hist_read(h, a, X, 1);
    hist_append(h, a, Z, 7);
    hist_commit(h, a, 50, 60);
    hist_read(h, b, X, 1);
    hist_write(h, b, X, 2);
    hist_write(h, b, Y, 3);
    hist_commit(h, b, 70, 90);
    hist_append(h, c, Z, 8);
    hist_read_list(h, c, Z, (int64_t[]){7, 8}, 2);
    hist_commit(h, c, 120, 130);
    hist_read(h, d, X, 2);
    hist_read_list(h, d, Z, (int64_t[]){7, 8}, 2);
    hist_read_range(h, d, X, Y, (struct hist_pair[]){{X, 2}, {Y, 3}}, 2);
    hist_commit_read_only(h, d, 120, false, 210); /* the very timestamp of the last write is fine */
    accepted(h);
}

static void stale_reads_are_free_of_real_time(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 100);
    hist_write(h, a, X, 1);
    hist_commit(h, a, 50, 60);
    hist_read(h, b, X, 0);
    hist_commit_read_only(h, b, 40, true, 110);
    accepted(h);
}

static void lost_update(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 10), c = hist_begin(h, 3, 10);
    hist_write(h, a, X, 1);
    hist_commit(h, a, 5, 9);
    hist_read(h, b, X, 1);
    hist_read(h, c, X, 1);
    hist_write(h, b, X, 2);
    hist_write(h, c, X, 3);
    hist_commit(h, b, 20, 30);
    hist_commit(h, c, 21, 30);
    refused(h, "lost update", true);
}

static void write_skew(void) {
    struct history *h = hist_new();
    uint32_t i = hist_begin(h, 0, 0), a = hist_begin(h, 1, 10), b = hist_begin(h, 2, 10);
    hist_write(h, i, X, 1);
    hist_write(h, i, Y, 1);
    hist_commit(h, i, 1, 2);
    hist_read(h, a, X, 1);
    hist_read(h, a, Y, 1);
    hist_write(h, a, X, 2);
    hist_commit(h, a, 20, 30);
    hist_read(h, b, X, 1);
    hist_read(h, b, Y, 1);
    hist_write(h, b, Y, 2);
    hist_commit(h, b, 21, 30);
    refused(h, "G2", true);
}

/* Both look whether anybody is there, find nobody, and insert themselves. */
static void phantom(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 10), b = hist_begin(h, 2, 10);
    hist_read_range(h, a, 10, 19, NULL, 0);
    hist_write(h, a, 12, 1);
    hist_commit(h, a, 20, 30);
    hist_read_range(h, b, 10, 19, NULL, 0);
    hist_write(h, b, 17, 1);
    hist_commit(h, b, 21, 30);
    refused(h, "G2", true);
}

/* Two readers see two writes in opposite orders. */
static void long_fork(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 0), c = hist_begin(h, 3, 0), d = hist_begin(h, 4, 0);
    hist_write(h, a, X, 1);
    hist_commit(h, a, 10, 100);
    hist_write(h, b, Y, 1);
    hist_commit(h, b, 11, 100);
    hist_read(h, c, X, 1);
    hist_read(h, c, Y, 0);
    hist_commit_read_only(h, c, 10, false, 100);
    hist_read(h, d, X, 0);
    hist_read(h, d, Y, 1);
    hist_commit_read_only(h, d, 11, false, 100);
    refused(h, "G2", true);
}

/* b is written after a was acknowledged; a reader sees b without a. */
static void causal_reverse(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 20), c = hist_begin(h, 3, 0);
    hist_write(h, a, X, 1);
    hist_commit(h, a, 10, 15);
    hist_write(h, b, Y, 1);
    hist_commit(h, b, 30, 40);
    hist_read(h, c, X, 0);
    hist_read(h, c, Y, 1);
    hist_commit_read_only(h, c, 31, false, 100);
    refused(h, "G-single with real time", true);
}

/* The same, with timestamps that would explain it: only real time tells. */
static void causal_reverse_with_false_timestamps(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 20), c = hist_begin(h, 3, 0);
    hist_write(h, a, X, 1);
    hist_commit(h, a, 50, 15);
    hist_write(h, b, Y, 1);
    hist_commit(h, b, 30, 40);
    hist_read(h, c, X, 0);
    hist_read(h, c, Y, 1);
    hist_commit_read_only(h, c, 31, false, 100);
    refused(h, "G-single with real time", true);
}

static void dirty_read(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 0);
    hist_write(h, a, X, 1);
    hist_abort(h, a, 10);
    hist_read(h, b, X, 1);
    hist_commit(h, b, 5, 10);
    refused(h, "G1a", true);
}

static void intermediate_read(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 0);
    hist_write(h, a, X, 1);
    hist_write(h, a, X, 2);
    hist_commit(h, a, 5, 10);
    hist_read(h, b, X, 1);
    hist_commit(h, b, 6, 10);
    refused(h, "G1b", true);
}

/* Half of a transaction is seen. */
static void fractured_read(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 0);
    hist_write(h, a, X, 1);
    hist_write(h, a, Y, 1);
    hist_commit(h, a, 5, 10);
    hist_read(h, b, X, 1);
    hist_read(h, b, Y, 0);
    hist_commit_read_only(h, b, 6, false, 10);
    refused(h, "G-single", true);
}

static void stale_strong_read(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 20);
    hist_write(h, a, X, 1);
    hist_commit(h, a, 5, 10);
    hist_read(h, b, X, 0);
    hist_commit_read_only(h, b, 4, false, 30); /* the replay itself is content with ts 4 */
    refused(h, "G-single with real time", true);
}

static void circular_information(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 0);
    hist_write(h, a, X, 1);
    hist_read(h, a, Y, 1);
    hist_commit(h, a, 5, 10);
    hist_write(h, b, Y, 1);
    hist_read(h, b, X, 1);
    hist_commit(h, b, 6, 10);
    refused(h, "G1c", true);
}

/* Lists: appends interleaved against each other. */
static void dirty_write(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 0), c = hist_begin(h, 3, 0);
    hist_append(h, a, X, 1);
    hist_append(h, a, Y, 1);
    hist_commit(h, a, 5, 10);
    hist_append(h, b, X, 2);
    hist_append(h, b, Y, 2);
    hist_commit(h, b, 6, 10);
    hist_read_list(h, c, X, (int64_t[]){1, 2}, 2);
    hist_read_list(h, c, Y, (int64_t[]){2, 1}, 2);
    hist_commit_read_only(h, c, 7, false, 10);
    refused(h, "G0", true);
}

static void lists_in_two_orders(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 0), c = hist_begin(h, 3, 0), d = hist_begin(h, 4, 0);
    hist_append(h, a, X, 1);
    hist_commit(h, a, 5, 10);
    hist_append(h, b, X, 2);
    hist_commit(h, b, 6, 10);
    hist_read_list(h, c, X, (int64_t[]){1, 2}, 2);
    hist_commit_read_only(h, c, 7, false, 10);
    hist_read_list(h, d, X, (int64_t[]){2}, 1);
    hist_commit_read_only(h, d, 7, false, 10);
    refused(h, "incompatible order", true);
}

static void a_lost_append(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 20), c = hist_begin(h, 3, 30), d = hist_begin(h, 4, 40);
    hist_append(h, a, X, 1);
    hist_commit(h, a, 5, 10);
    hist_append(h, b, X, 2);
    hist_commit(h, b, 25, 28);
    hist_read_list(h, c, X, (int64_t[]){1, 2}, 2);
    hist_commit_read_only(h, c, 35, false, 39);
    hist_read_list(h, d, X, (int64_t[]){1}, 1);
    hist_commit_read_only(h, d, 45, false, 50);
    refused(h, "G-single with real time", true);
}

static void own_write_not_seen(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0);
    hist_write(h, a, X, 1);
    hist_read(h, a, X, 0);
    hist_commit(h, a, 5, 10);
    refused(h, "internal", true);
}

static void garbage(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0);
    hist_read(h, a, X, 99);
    hist_commit(h, a, 5, 10);
    refused(h, "garbage read", true);
}

/* What a client does not know may have happened, or not. */
static void unknown_outcomes(void) {
    struct history *h = hist_new();
    uint32_t a = hist_begin(h, 1, 0), b = hist_begin(h, 2, 0), c = hist_begin(h, 3, 20);
    hist_write(h, a, X, 1);
    hist_unknown(h, a);
    hist_write(h, b, Y, 1);
    hist_unknown(h, b);
    hist_read(h, c, X, 1);
    hist_read(h, c, Y, 0);
    hist_commit(h, c, 30, 40);
    OK(hist_check_cycles(h, NULL));
    hist_free(h);
    h = hist_new();
    a = hist_begin(h, 1, 0);
    b = hist_begin(h, 2, 50);
    c = hist_begin(h, 3, 100);
    hist_write(h, a, X, 1);
    hist_unknown(h, a);
    hist_read(h, b, X, 1);
    hist_commit(h, b, 55, 60);
    hist_read(h, c, X, 0); /* seen, and then not any more */
    hist_commit(h, c, 105, 110);
    OK(!hist_check_cycles(h, NULL));
    hist_free(h);
}

/* Real executions one after the other are accepted; one changed value in them is noticed by the replay. */
static void random_serial_histories(void) {
    for (uint64_t seed = 1; seed <= 200 && !tap_failing(); seed++) {
        struct history *h = hist_new();
        struct rng rng;
        int64_t reg[8] = {0}, list[4][400], now = 0, next = 1;
        size_t count[4] = {0};
        uint64_t x = seed, spoil = seed % 2 ? rng_splitmix(&x) % 100 : UINT64_MAX, reads = 0;
        bool spoilt = false;
        rng_init(&rng, seed);
        for (int i = 0; i < 100; i++) {
            uint32_t t = hist_begin(h, 1, now += 10);
            bool reader = rng_chance(&rng, 0.3);
            int64_t ts = now + 5;
            for (int k = 0; k < 4; k++) {
                uint64_t r = rng_below(&rng, 8), l = rng_below(&rng, 4);
                if (!reader && rng_chance(&rng, 0.5)) {
                    hist_write(h, t, r, reg[r] = next++);
                    list[l][count[l]++] = next;
                    hist_append(h, t, 100 + l, next++);
                } else {
                    bool now_spoil = reads++ == spoil;
                    spoilt = spoilt || now_spoil;
                    hist_read(h, t, r, now_spoil ? reg[r] + 1000000 : reg[r]);
                    hist_read_list(h, t, 100 + l, list[l], count[l]);
                }
            }
            if (reader)
                hist_commit_read_only(h, t, ts, false, now += 10);
            else
                hist_commit(h, t, ts, now += 10);
        }
        OKF(hist_check_replay(h, &verdict) != spoilt, "seed %llu: %s", (unsigned long long)seed, verdict.text);
        OKF(hist_check_cycles(h, &verdict) != spoilt, "seed %llu: %s", (unsigned long long)seed, verdict.text);
        hist_free(h);
    }
}

int main(void) {
    RUN(a_good_history);
    RUN(stale_reads_are_free_of_real_time);
    RUN(lost_update);
    RUN(write_skew);
    RUN(phantom);
    RUN(long_fork);
    RUN(causal_reverse);
    RUN(causal_reverse_with_false_timestamps);
    RUN(dirty_read);
    RUN(intermediate_read);
    RUN(fractured_read);
    RUN(stale_strong_read);
    RUN(circular_information);
    RUN(dirty_write);
    RUN(lists_in_two_orders);
    RUN(a_lost_append);
    RUN(own_write_not_seen);
    RUN(garbage);
    RUN(unknown_outcomes);
    RUN(random_serial_histories);
    return tap_done();
}
