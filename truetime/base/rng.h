/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.h: seeded pseudo-random numbers (xoshiro256**), for jitter, simulation and tests; never for secrets.
 *
 * Promise     The sequence is a pure function of the seed, on every machine.
 * Threads     one at a time.
 * Source      Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018; seeding by splitmix64.
 */
#ifndef MERIDIAN_BASE_RNG_H
#define MERIDIAN_BASE_RNG_H

#include "truetime/base/check.h"

struct rng {
    uint64_t s[4];
};

static inline uint64_t rng_splitmix(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline void rng_init(struct rng *r, uint64_t seed) {
    for (int i = 0; i < 4; i++)
        r->s[i] = rng_splitmix(&seed);
}

static inline uint64_t rng_u64(struct rng *r) {
    uint64_t *s = r->s, x = s[1] * 5, t = s[1] << 17;
    uint64_t out = ((x << 7) | (x >> 57)) * 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return out;
}

/* Uniform in [0, n); n > 0. The multiply-shift bias is below n / 2^64. */
static inline uint64_t rng_below(struct rng *r, uint64_t n) {
    CHECK(n > 0);
    return (uint64_t)(((unsigned __int128)rng_u64(r) * n) >> 64);
}

/* Uniform in [lo, hi], both included. */
static inline int64_t rng_range(struct rng *r, int64_t lo, int64_t hi) {
    CHECK(lo <= hi);
    uint64_t width = (uint64_t)hi - (uint64_t)lo;
    return (int64_t)((uint64_t)lo + (width == UINT64_MAX ? rng_u64(r) : rng_below(r, width + 1)));
}

/* Uniform in [0, 1). */
static inline double rng_double(struct rng *r) {
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

static inline bool rng_chance(struct rng *r, double p) {
    return p > 0 && rng_double(r) < p;
}

/* Exponential with the given mean, capped at 20 means. */
int64_t rng_exponential(struct rng *r, int64_t mean);
/* Normal, by the sum of twelve uniforms (bounded at 6 sigma, which suits jitter). */
double rng_normal(struct rng *r, double mean, double sigma);

#endif
