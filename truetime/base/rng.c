/* SPDX-License-Identifier: Apache-2.0 */
/* rng.c: the distributions of rng.h that are more than a line. */
#include "truetime/base/rng.h"

#include <math.h>

int64_t rng_exponential(struct rng *r, int64_t mean) {
    double x = -log(1.0 - rng_double(r));
    return (int64_t)((x > 20.0 ? 20.0 : x) * (double)mean);
}

double rng_normal(struct rng *r, double mean, double sigma) {
    double x = -6.0;
    for (int i = 0; i < 12; i++)
        x += rng_double(r);
    return mean + x * sigma;
}
