/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/store/span.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

/*
 * The model: all byte strings of up to three letters of an alphabet that has both edges, in order, are the points; a set is
 * a bit for each. Boundaries are points too, or none at all, so bits tell sets apart exactly.
 */
enum { LETTERS = 3, LENGTH_MAX = 3, POINTS = 1 + LETTERS + LETTERS * LETTERS + LETTERS * LETTERS * LETTERS };
static_assert(POINTS <= 64, "a set is one word");

struct model {
    uint8_t bytes[POINTS][LENGTH_MAX];
    struct key point[POINTS];
};

static int by_key(const void *a, const void *b) {
    return key_compare(*(const struct key *)a, *(const struct key *)b);
}

static void model_init(struct model *m) {
    static const uint8_t letters[LETTERS] = {0, 'a', 0xff};
    size_t n = 0;
    for (size_t length = 0, count = 1; length <= LENGTH_MAX; length++, count *= LETTERS)
        for (size_t i = 0; i < count; i++, n++) {
            for (size_t k = 0, rest = i; k < length; k++, rest /= LETTERS)
                m->bytes[n][k] = letters[rest % LETTERS];
            m->point[n] = key_of(m->bytes[n], length);
        }
    CHECK(n == POINTS);
    qsort(m->point, POINTS, sizeof m->point[0], by_key);
}

static uint64_t bits_of(const struct model *m, struct span s) {
    uint64_t bits = 0;
    for (size_t i = 0; i < POINTS; i++) {
        bool after_start = key_compare(m->point[i], s.start) >= 0;
        bool before_end = s.end.bytes == 0 || key_compare(m->point[i], s.end) < 0;
        bits |= (uint64_t)(after_start && before_end) << i;
    }
    return bits;
}

static uint64_t bits_of_set(const struct model *m, struct span_set s) {
    uint64_t bits = 0;
    for (size_t i = 0; i < s.n; i++)
        bits |= bits_of(m, s.v[i]);
    return bits;
}

/* Any two points: half of the spans are empty. */
static struct span any_span(struct rng *r, const struct model *m) {
    return (struct span){m->point[rng_below(r, POINTS)], m->point[rng_chance(r, 0.1) ? 0 : rng_below(r, POINTS)]};
}

static struct span_set any_set(struct rng *r, const struct model *m, struct arena *a, uint64_t *ret_bits) {
    struct span v[8];
    struct span_set s = {NULL, 0};
    size_t n = rng_below(r, 8);
    *ret_bits = 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = any_span(r, m);
        *ret_bits |= bits_of(m, v[i]);
    }
    CHECK(span_set_of(a, v, n, &s, NULL) == RC_OK);
    return s;
}

static uint64_t bit_count(uint64_t x) {
    return (uint64_t)__builtin_popcountll(x);
}

/* How many runs of ones: a set must have that many spans, no more. */
static uint64_t runs(uint64_t x) {
    return bit_count(x & ~(x << 1));
}

/* One span against the model, and two. */
static void spans(void) {
    struct model m;
    struct rng rng;
    model_init(&m);
    rng_init(&rng, 1);
    for (int i = 0; i < 50000 && !tap_failing(); i++) {
        struct span a = any_span(&rng, &m), b = any_span(&rng, &m);
        uint64_t x = bits_of(&m, a), y = bits_of(&m, b);
        size_t k = rng_below(&rng, POINTS);
        EQ_INT(span_empty(a), x == 0);
        EQ_INT(span_has(a, m.point[k]), x >> k & 1);
        EQ_INT(span_covers(a, b), (y & ~x) == 0);
        EQ_INT(span_overlaps(a, b), (x & y) != 0);
        OK(bits_of(&m, span_intersect(a, b)) == (x & y));
        if (x && y)
            EQ_INT(span_same(a, b), x == y);
        if (x) {
            int side = span_side(a, m.point[k]);
            EQ_INT(side == 0, x >> k & 1);
            EQ_INT(side < 0, !(x >> k & 1) && (x >> k) != 0);
        }
    }
}

/* Sets against the model: every operation gives the right keys in the one right form. */
static void sets(void) {
    struct model m;
    struct rng rng;
    struct arena a;
    model_init(&m);
    rng_init(&rng, 2);
    arena_init(&a, 0);
    for (int i = 0; i < 30000 && !tap_failing(); i++) {
        uint64_t bx, by;
        struct span_set x = any_set(&rng, &m, &a, &bx), y = any_set(&rng, &m, &a, &by), r, left, right;
        OK(span_set_valid(x));
        OK(bits_of_set(&m, x) == bx && x.n == runs(bx));
        EQ_INT(span_set_same(x, y), bx == by);
        OK(span_set_union(&a, x, y, &r, NULL) == RC_OK);
        OK(span_set_valid(r) && bits_of_set(&m, r) == (bx | by) && r.n == runs(bx | by));
        OK(span_set_intersect(&a, x, y, &r, NULL) == RC_OK);
        OK(span_set_valid(r) && bits_of_set(&m, r) == (bx & by) && r.n == runs(bx & by));
        OK(span_set_subtract(&a, x, y, &r, NULL) == RC_OK);
        OK(span_set_valid(r) && bits_of_set(&m, r) == (bx & ~by) && r.n == runs(bx & ~by));
        size_t k = rng_below(&rng, POINTS);
        uint64_t below = (UINT64_C(1) << k) - 1;
        OK(span_set_split(&a, x, m.point[k], &left, &right, NULL) == RC_OK);
        OK(span_set_valid(left) && bits_of_set(&m, left) == (bx & below));
        OK(span_set_valid(right) && bits_of_set(&m, right) == (bx & ~below));
        EQ_INT(span_set_has(x, m.point[k]), bx >> k & 1);
        struct span s = any_span(&rng, &m);
        uint64_t bs = bits_of(&m, s);
        EQ_INT(span_set_covers(x, s), (bs & ~bx) == 0);
        EQ_INT(span_set_overlaps(x, s), (bs & bx) != 0);
        OK(span_set_copy(&a, x, &r, NULL) == RC_OK && span_set_same(x, r));
        for (size_t j = 0; j < r.n; j++)
            OK(r.v[j].start.p != x.v[j].start.p || r.v[j].start.bytes == 0);
        arena_reset(&a);
    }
    arena_done(&a);
}

/* A point holds its key and no other; a prefix its keys and no other. */
static void of_keys(void) {
    struct model m;
    struct arena a;
    model_init(&m);
    arena_init(&a, 0);
    for (size_t i = 0; i < POINTS; i++) {
        struct span s;
        OK(span_point(&a, m.point[i], &s) == RC_OK && bits_of(&m, s) == UINT64_C(1) << i);
        OK(span_prefix(&a, m.point[i], &s) == RC_OK);
        for (size_t k = 0; k < POINTS; k++)
            EQ_INT(span_has(s, m.point[k]), key_has_prefix(m.point[k], m.point[i]));
    }
    arena_done(&a);
}

/* Too many spans, or too little memory, is an error and not a smaller set. */
static void limits(void) {
    struct arena a;
    struct span *v = calloc(SPAN_SET_MAX + 1, sizeof *v), one = span_all();
    struct span_set s = {NULL, 99}, x, t = {&one, 1};
    uint8_t(*keys)[4] = calloc(2 * (SPAN_SET_MAX + 1), sizeof *keys);
    for (uint32_t i = 0; i <= SPAN_SET_MAX; i++) {
        set_u32be(keys[2 * i], 2 * i + 1);
        set_u32be(keys[2 * i + 1], 2 * i + 2);
        v[i] = (struct span){key_of(keys[2 * i], 4), key_of(keys[2 * i + 1], 4)};
    }
    arena_init(&a, 0);
    EQ_INT(span_set_of(&a, v, SPAN_SET_MAX + 1, &s, NULL), RC_LIMIT);
    EQ_INT(s.n, 99);
    EQ_INT(span_set_of(&a, v, SPAN_SET_MAX, &x, NULL), RC_OK);
    EQ_INT(x.n, SPAN_SET_MAX);
    EQ_INT(span_set_subtract(&a, t, x, &s, NULL), RC_LIMIT);
    arena_done(&a);
    arena_init(&a, ARENA_CHUNK_BYTES);
    EQ_INT(span_set_of(&a, v, 1000, &s, NULL), RC_NOMEM);
    EQ_INT(span_set_copy(&a, x, &s, NULL), RC_NOMEM);
    arena_done(&a);
    free(v);
    free(keys);
}

/* People read keys, not bytes. */
static void printed(void) {
    struct buf k, out;
    struct arena a;
    struct span s;
    buf_init(&k, 0);
    buf_init(&out, 0);
    arena_init(&a, 0);
    CHECK(key_put_table(&k, 7, NULL) == RC_OK);
    CHECK(span_prefix(&a, key_of_buf(&k), &s) == RC_OK);
    span_print(s, &out);
    EQ_STR(buf_cstr(&out), "[7, 8)");
    buf_reset(&out, 100);
    span_print(span_all(), &out);
    EQ_STR(buf_cstr(&out), "[-, -)");
    arena_done(&a);
    buf_done(&k);
    buf_done(&out);
}

int main(void) {
    RUN(spans);
    RUN(sets);
    RUN(of_keys);
    RUN(limits);
    RUN(printed);
    return tap_done();
}
