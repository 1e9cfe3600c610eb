/* SPDX-License-Identifier: Apache-2.0 */
/* Values, keys and numerics: what each row pays, beside what the C library or SQLite takes for the like. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/decimal.h"
#include "shard/store/key.h"
#include "shard/store/pgnum.h"
#include "sql/types/real.h"
#include "sql/types/types.h"
#include "tests/lib/bench.h"
#include "truetime/base/rng.h"

enum { VALUES = 1000, ROUNDS = 200 };

struct bench {
    struct rng rng;
    struct arena a;
    struct buf b;
    struct value ints[VALUES], texts[VALUES], numerics[VALUES], numeric_texts[VALUES];
    double reals[VALUES];
    struct dec decs[VALUES];
};

static void fill(struct bench *b) {
    struct col c = col_of(COL_NUMERIC);
    rng_init(&b->rng, 1);
    arena_init(&b->a, 0);
    buf_init(&b->b, 0);
    for (int i = 0; i < VALUES; i++) {
        b->ints[i] = value_int(rng_range(&b->rng, 1, 10000000));
        b->texts[i] = value_text(arena_printf(&b->a, "customer %011lld", (long long)b->ints[i].i), 20);
        b->numerics[i] = value_int(rng_range(&b->rng, -1000000000, 1000000000));
        b->reals[i] = (double)rng_range(&b->rng, -1000000000, 1000000000) / 1237;
        dec_init(&b->decs[i]);
        mpz_set_si(b->decs[i].z, b->numerics[i].i);
        b->decs[i].scale = 2;
        CHECK(dec_to_value(&b->decs[i], &c, &b->a, &b->numeric_texts[i], NULL) == RC_OK);
    }
}

static double per_value_ns(int64_t began) {
    return (double)(bench_cpu_ns() - began) / VALUES / ROUNDS;
}

static double put(struct bench *b, struct col c, const struct value *v) {
    struct key_part part = {c, false};
    int64_t began = bench_cpu_ns();
    for (int r = 0; r < ROUNDS; r++) {
        buf_reset(&b->b, 1 << 20);
        for (int i = 0; i < VALUES; i++) {
            CHECK(key_put(&b->b, &part, &v[i], NULL) == RC_OK);
            if (b->b.len > KEY_BYTES_MAX / 2)
                b->b.len = 0;
        }
    }
    return per_value_ns(began);
}

static double get(struct col c, const struct value *v) {
    struct key_part part = {c, false};
    struct buf k[VALUES];
    for (int i = 0; i < VALUES; i++) {
        buf_init(&k[i], 0);
        CHECK(key_put(&k[i], &part, &v[i], NULL) == RC_OK);
    }
    struct arena a;
    arena_init(&a, 0);
    int64_t began = bench_cpu_ns();
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < VALUES; i++) {
            struct value back;
            struct rd rd;
            rd_init(&rd, k[i].data, k[i].len);
            CHECK(key_get(&rd, &part, &a, &back, NULL) == RC_OK);
            if (i % 64 == 0)
                arena_reset(&a);
        }
    double ns = per_value_ns(began);
    arena_done(&a);
    for (int i = 0; i < VALUES; i++)
        buf_done(&k[i]);
    return ns;
}

typedef enum rc binary(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err);

static double arithmetic(struct bench *b, binary *op) {
    struct dec r;
    dec_init(&r);
    int64_t began = bench_cpu_ns();
    for (int k = 0; k < ROUNDS; k++)
        for (int i = 0; i < VALUES; i++)
            CHECK(op(&r, &b->decs[i], &b->decs[(i + 1) % VALUES], NULL) == RC_OK);
    double ns = per_value_ns(began);
    dec_done(&r);
    return ns;
}

static double print_reals(struct bench *b) {
    int64_t began = bench_cpu_ns();
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < VALUES; i++) {
            buf_reset(&b->b, 1 << 20);
            real_print(b->reals[i], REAL_FLOAT8, &b->b);
        }
    return per_value_ns(began);
}

static double print_reals_libc(struct bench *b) {
    char t[64];
    int64_t began = bench_cpu_ns();
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < VALUES; i++)
            CHECK(snprintf(t, sizeof t, "%.17g", b->reals[i]) > 0);
    return per_value_ns(began);
}

static double timestamps(const struct type_session *s, struct bench *b) {
    static const char t[] = "2024-07-01 12:34:56.789012+02";
    struct col c = col_of(COL_TIMESTAMPTZ);
    struct value v;
    int64_t began = bench_cpu_ns();
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < VALUES; i++)
            CHECK(type_parse(s, &c, t, sizeof t - 1, &b->a, &v, NULL) == RC_OK);
    return per_value_ns(began);
}

static double numbers_parse(const struct type_session *s, struct bench *b) {
    struct col c = col_numeric(12, 2);
    struct arena a;
    arena_init(&a, 0);
    int64_t began = bench_cpu_ns();
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < VALUES; i++) {
            struct value v;
            CHECK(type_parse(s, &c, b->numeric_texts[i].p, b->numeric_texts[i].bytes, &a, &v, NULL) == RC_OK);
        }
    double ns = per_value_ns(began);
    arena_done(&a);
    return ns;
}

static double collate(struct bench *b) {
    int64_t began = bench_cpu_ns();
    int sum = 0;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < VALUES; i++) {
            const struct value *x = &b->numeric_texts[i], *y = &b->numeric_texts[(i + 1) % VALUES];
            sum += pgnum_compare(x->p, x->bytes, y->p, y->bytes);
        }
    CHECK(sum != INT32_MAX);
    return per_value_ns(began);
}

int main(void) {
    static struct bench b;
    struct bench_figure f[14], libc;
    fill(&b);
    struct type_session s = {.zone = zone_fixed(&b.a, "UTC", 0)};
    for (int run = 0; run < BENCH_RUNS; run++) {
        f[0].run[run] = put(&b, col_of(COL_INT8), b.ints);
        f[1].run[run] = get(col_of(COL_INT8), b.ints);
        f[2].run[run] = put(&b, col_of(COL_TEXT), b.texts);
        f[3].run[run] = get(col_of(COL_TEXT), b.texts);
        f[4].run[run] = put(&b, col_numeric(12, 2), b.numerics);
        f[5].run[run] = get(col_numeric(12, 2), b.numerics);
        f[6].run[run] = put(&b, col_of(COL_NUMERIC), b.numeric_texts);
        f[7].run[run] = arithmetic(&b, dec_add);
        f[8].run[run] = arithmetic(&b, dec_mul);
        f[9].run[run] = arithmetic(&b, dec_div);
        f[10].run[run] = print_reals(&b);
        f[11].run[run] = timestamps(&s, &b);
        f[12].run[run] = numbers_parse(&s, &b);
        f[13].run[run] = collate(&b);
        libc.run[run] = print_reals_libc(&b);
    }
    static const char *const names[] = {"key: put int8",
                                        "key: get int8",
                                        "key: put 20 letters",
                                        "key: get 20 letters",
                                        "key: put numeric int",
                                        "key: get numeric int",
                                        "key: put numeric text",
                                        "numeric: +",
                                        "numeric: *",
                                        "numeric: /",
                                        "float8 to text",
                                        "timestamptz from text",
                                        "numeric(12,2) from text",
                                        "pgnum: compare"};
    for (size_t i = 0; i < ARRAY_LEN(f); i++)
        if (i == 10)
            bench_compare(names[i], &f[i], "ns", "printf %.17g", &libc, BENCH_SHOW, 0);
        else
            bench_report(names[i], &f[i], "ns", BENCH_SHOW, 0);
    for (int i = 0; i < VALUES; i++)
        dec_done(&b.decs[i]);
    arena_done(&b.a);
    buf_done(&b.b);
    return 0;
}
