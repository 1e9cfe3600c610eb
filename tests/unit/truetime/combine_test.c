/* SPDX-License-Identifier: Apache-2.0 */
/* The combination never misses true time while at most f masters lie; the popular one does. */
#include "truetime/combine.h"

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

static tt_interval iv(int64_t lo, int64_t hi) {
    return (tt_interval){lo, hi};
}

static void check(const char *what, const tt_interval *in, unsigned count, unsigned n, unsigned f,
                  enum tt_combined want, tt_interval want_fix, unsigned want_outside) {
    tt_interval fix = {-1, -1};
    bool outside[TT_SOURCES_MAX] = {false};
    enum tt_combined got = tt_combine(in, count, n, f, NULL, &fix, outside);
    OKF(got == want, "%s: %d, wanted %d", what, got, want);
    if (got != TT_COMBINED || want != TT_COMBINED)
        return;
    OKF(fix.earliest == want_fix.earliest && fix.latest == want_fix.latest, "%s: [%lld, %lld]", what,
        (long long)fix.earliest, (long long)fix.latest);
    unsigned bits = 0;
    for (unsigned i = 0; i < count; i++)
        bits |= (unsigned)outside[i] << i;
    OKF(bits == want_outside, "%s: falsetickers %x, wanted %x", what, bits, want_outside);
}

static void examples(void) {
    const tt_interval none = {0, 0};
    tt_interval a[] = {iv(0, 10), iv(4, 14), iv(8, 18)};
    check("three agree: what two cover", a, 3, 3, 1, TT_COMBINED, iv(4, 14), 0);
    check("three agree, none may lie", a, 3, 3, 0, TT_COMBINED, iv(8, 10), 0);
    check("two of three may lie", a, 3, 3, 2, TT_COMBINED, iv(0, 18), 0);
    tt_interval b[] = {iv(0, 10), iv(4, 14), iv(100, 110)};
    check("one is far off", b, 3, 3, 1, TT_COMBINED, iv(4, 10), 4);
    tt_interval c[] = {iv(0, 3), iv(2, 8), iv(7, 9)};
    check("the hull includes what only one covers", c, 3, 3, 1, TT_COMBINED, iv(2, 8), 0);
    tt_interval d[] = {iv(0, 5), iv(6, 9)};
    check("two differ, none may lie", d, 2, 2, 0, TT_DISAGREE, none, 0);
    check("two differ, one may lie: both", d, 2, 2, 1, TT_COMBINED, iv(0, 9), 0);
    check("two of three differ: the third is silent and one may lie", d, 2, 3, 1, TT_COMBINED, iv(0, 9), 0);
    check("one of three", d, 1, 3, 1, TT_NO_QUORUM, none, 0);
    check("one of two, one may lie", d, 1, 2, 1, TT_NO_QUORUM, none, 0);
    check("nobody", d, 0, 1, 0, TT_NO_QUORUM, none, 0);
    tt_interval e[] = {iv(0, 5), iv(5, 9)};
    check("ends belong to intervals", e, 2, 2, 0, TT_COMBINED, iv(5, 5), 0);
    tt_interval f[] = {iv(3, 3)};
    check("a point", f, 1, 1, 0, TT_COMBINED, iv(3, 3), 0);
    tt_interval g[] = {iv(0, 1), iv(10, 11), iv(20, 21)};
    check("three ways", g, 3, 3, 1, TT_DISAGREE, none, 0);
    tt_interval h[] = {iv(0, 9), iv(0, 9), iv(0, 9), iv(50, 60), iv(50, 60)};
    check("a coalition of f", h, 5, 5, 2, TT_COMBINED, iv(0, 9), 24);
}

/* The classical rule: the points that the most intervals cover. */
static tt_interval classical(const tt_interval *in, unsigned n) {
    tt_interval best = {0, 0};
    int most = 0;
    for (unsigned i = 0; i < n; i++) {
        int covered = 0;
        int64_t until = INT64_MAX;
        for (unsigned j = 0; j < n; j++)
            if (in[j].earliest <= in[i].earliest && in[i].earliest <= in[j].latest) {
                covered++;
                until = in[j].latest < until ? in[j].latest : until;
            }
        if (covered > most) {
            most = covered;
            best = iv(in[i].earliest, until);
        }
    }
    return best;
}

/* Honest masters are uniformly wrong within their bounds of 1000, liars by one or two times `lie`; true time is 0. */
static void trials(struct rng *rng, unsigned n, unsigned f, int64_t lie, int count) {
    int hull_missed = 0, classical_missed = 0, fixes = 0;
    double width = 0;
    for (int t = 0; t < count; t++) {
        tt_interval in[TT_SOURCES_MAX], fix;
        for (unsigned i = 0; i < n; i++) {
            int64_t off = rng_range(rng, -1000, 1000);
            if (i < f)
                off += (rng_chance(rng, 0.5) ? 1 : -1) * rng_range(rng, lie, 2 * lie);
            in[i] = iv(off - 1000, off + 1000);
        }
        tt_interval narrow = classical(in, n);
        classical_missed += narrow.earliest > 0 || narrow.latest < 0;
        if (tt_combine(in, n, n, f, NULL, &fix, NULL) != TT_COMBINED) {
            hull_missed++; /* it must not find more liars than there are either */
            continue;
        }
        hull_missed += fix.earliest > 0 || fix.latest < 0;
        width += (double)(fix.latest - fix.earliest) / 2000;
        fixes++;
    }
    EQ_INT(hull_missed, 0);
    tap_note("n=%u f=%u lie=%.1f e: largest overlap misses true time in %4.1f %%, the hull in 0, half-width %.2f e", n,
             f, (double)lie / 1000, 100.0 * classical_missed / count, width / fixes);
    if (lie == 1000)
        OKF(classical_missed > count / 5, "only %d of %d", classical_missed, count);
}

static void monte_carlo(void) {
    struct rng rng;
    int count = (int)tap_env("TRIALS", 20000);
    rng_init(&rng, 1);
    static const int64_t lies[] = {500, 1000, 2000, 20000};
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        trials(&rng, 3, 1, lies[i], count);
        trials(&rng, 5, 1, lies[i], count);
        trials(&rng, 5, 2, lies[i], count);
    }
}

/* Any n, f, number of silent masters, bounds and lies: true time is inside, and the reference is every point tried. */
static void any_shape(void) {
    struct rng rng;
    rng_init(&rng, 2);
    for (int t = 0; t < 200000; t++) {
        unsigned n = 1 + (unsigned)rng_below(&rng, TT_SOURCES_MAX), f = (unsigned)rng_below(&rng, n);
        unsigned count = (unsigned)rng_below(&rng, n + 1), liars = (unsigned)rng_below(&rng, f + 1);
        tt_interval in[TT_SOURCES_MAX], fix;
        bool outside[TT_SOURCES_MAX];
        for (unsigned i = 0; i < count; i++) {
            int64_t e = rng_range(&rng, 0, 12), off = rng_range(&rng, -e, e);
            if (i < liars)
                off += rng_range(&rng, -30, 30);
            in[i] = iv(off - e, off + e);
        }
        enum tt_combined got = tt_combine(in, count, n, f, NULL, &fix, outside);
        if (count < n - f || count <= f) {
            OK(got == TT_NO_QUORUM);
            continue;
        }
        int64_t first = INT64_MAX, last = INT64_MIN;
        for (int64_t x = -60; x <= 60; x++) {
            unsigned covered = 0;
            for (unsigned i = 0; i < count; i++)
                covered += in[i].earliest <= x && x <= in[i].latest;
            if (covered >= count - f) {
                first = x < first ? x : first;
                last = x > last ? x : last;
            }
        }
        OK(got == TT_COMBINED);
        OK(fix.earliest <= 0 && fix.latest >= 0);
        OK(fix.earliest == first && fix.latest == last);
        for (unsigned i = 0; i < count; i++)
            OK(outside[i] == (in[i].latest < first || in[i].earliest > last));
        if (tap_failing())
            return;
    }
}

static void intervals_grow(void) {
    struct rng rng;
    rng_init(&rng, 3);
    EQ_INT(tt_growth(0, 200000), 2);
    EQ_INT(tt_growth(1000000000, 200000), 200002);
    OK(!tt_is_known(TT_UNKNOWN));
    EQ_INT(tt_width(TT_UNKNOWN), INT64_MAX);
    /* Never faster than the clock, also where the arithmetic changes: an aged earliest never goes back. */
    for (int i = 0; i < 100000; i++) {
        int64_t at = i % 3 == 0   ? (INT64_C(1) << 42) + rng_range(&rng, -3000, 3000)
                     : i % 3 == 1 ? rng_range(&rng, 0, INT64_C(1) << 43)
                                  : rng_range(&rng, 0, INT64_C(1) << 55);
        int64_t ppb = rng_range(&rng, 0, TT_DRIFT_PPB_MAX), step = rng_range(&rng, 0, 5000);
        int64_t g = tt_growth(at, ppb), h = tt_growth(at + step, ppb);
        OK(h >= g && h - g <= step);
        OK((__int128)(g - TT_ROUNDING_NS + 1) * 1000000000 > (__int128)at * ppb); /* and never too little */
    }
    tt_interval a = tt_aged(iv(1000, 2000), 1000000, 100000);
    EQ_INT(a.earliest, 1000 + 1000000 - 102);
    EQ_INT(a.latest, 2000 + 1000000 + 102);
    OK(tt_disjoint(iv(0, 1), iv(2, 3)) && tt_disjoint(iv(2, 3), iv(0, 1)) && !tt_disjoint(iv(0, 2), iv(2, 3)));
    EQ_INT(tt_distance(iv(0, 1), iv(5, 6)), 4);
}

int main(void) {
    RUN(examples);
    RUN(monte_carlo);
    RUN(any_shape);
    RUN(intervals_grow);
    return tap_done();
}
