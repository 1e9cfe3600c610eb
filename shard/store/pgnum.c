/* SPDX-License-Identifier: Apache-2.0 */
/* pgnum.c: two texts are cut into sign, digits before and digits after the point, and those are compared. */
#include "shard/store/pgnum.h"

#include <string.h>

#include "shard/store/vfs.h"

enum rank { RANK_NEG_INF, RANK_FINITE, RANK_INF, RANK_NAN, RANK_ODD };

struct pgnum {
    enum rank rank;
    int sign; /* -1, 0, 1 of a finite one */
    const char *whole, *frac;
    size_t n_whole, n_frac; /* whole: without the lone 0 */
};

static bool is(const char *p, size_t n, const char *word) {
    return n == strlen(word) && memcmp(p, word, n) == 0;
}

static size_t digits(const char *p, size_t n, bool *nonzero) {
    size_t i = 0;
    for (; i < n && p[i] >= '0' && p[i] <= '9'; i++)
        *nonzero |= p[i] != '0';
    return i;
}

static struct pgnum parse(const void *text, size_t n) {
    const char *p = text;
    if (is(p, n, "NaN"))
        return (struct pgnum){.rank = RANK_NAN};
    if (is(p, n, "Infinity"))
        return (struct pgnum){.rank = RANK_INF};
    if (is(p, n, "-Infinity"))
        return (struct pgnum){.rank = RANK_NEG_INF};
    const struct pgnum odd = {.rank = RANK_ODD};
    struct pgnum r = {.rank = RANK_FINITE, .sign = 1};
    if (n && *p == '-') {
        r.sign = -1;
        p++, n--;
    }
    bool nonzero = false;
    r.whole = p;
    r.n_whole = digits(p, n, &nonzero);
    if (!r.n_whole || (*p == '0' && r.n_whole > 1))
        return odd;
    p += r.n_whole, n -= r.n_whole;
    if (n) {
        r.frac = p + 1;
        r.n_frac = digits(r.frac, n - 1, &nonzero);
        if (*p != '.' || n == 1 || r.n_frac != n - 1)
            return odd;
    }
    if (!nonzero) {
        if (r.sign < 0)
            return odd;
        r.sign = 0;
    }
    if (*r.whole == '0')
        r.n_whole = 0;
    return r;
}

static int magnitudes(const struct pgnum *a, const struct pgnum *b) {
    if (a->n_whole != b->n_whole)
        return a->n_whole < b->n_whole ? -1 : 1;
    int c = a->n_whole ? memcmp(a->whole, b->whole, a->n_whole) : 0;
    size_t n = a->n_frac < b->n_frac ? a->n_frac : b->n_frac;
    if (!c && n)
        c = memcmp(a->frac, b->frac, n);
    if (c)
        return c < 0 ? -1 : 1;
    const struct pgnum *longer = a->n_frac > b->n_frac ? a : b;
    bool nonzero = false;
    if (longer->n_frac > n)
        IGNORE(digits(longer->frac + n, longer->n_frac - n, &nonzero)); /* only for whether one is not 0 */
    return !nonzero ? 0 : longer == a ? 1 : -1;
}

bool pgnum_canonical(const void *p, size_t bytes) {
    return parse(p, bytes).rank != RANK_ODD;
}

int pgnum_compare(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    struct pgnum x = parse(a, a_bytes), y = parse(b, b_bytes);
    if (x.rank != y.rank)
        return x.rank < y.rank ? -1 : 1;
    if (x.rank == RANK_ODD) {
        size_t n = a_bytes < b_bytes ? a_bytes : b_bytes;
        int c = n ? memcmp(a, b, n) : 0;
        return c < 0 ? -1 : c > 0 ? 1 : a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
    }
    if (x.rank != RANK_FINITE)
        return 0;
    if (x.sign != y.sign)
        return x.sign < y.sign ? -1 : 1;
    return x.sign * magnitudes(&x, &y);
}

static int collate(void *ctx, int a_bytes, const void *a, int b_bytes, const void *b) {
    (void)ctx;
    return pgnum_compare(a, (size_t)a_bytes, b, (size_t)b_bytes);
}

/* SQLite 3.38 to 3.40 asks a Bloom filter before a join by an index, and hashes a text by its length: 1.0 would not find
 * 1.00. So there are none on handles with this collation. */
enum { OPTIMIZATION_BLOOM_FILTER = 0x80000 };

enum rc pgnum_register(sqlite3 *db, struct err *err) {
    sqlite3_test_control(SQLITE_TESTCTRL_OPTIMIZATIONS, db, OPTIMIZATION_BLOOM_FILTER);
    if (sqlite3_create_collation_v2(db, PGNUM_COLLATION, SQLITE_UTF8, NULL, collate, NULL))
        return err_sqlite(err, db, "collation " PGNUM_COLLATION);
    return RC_OK;
}
