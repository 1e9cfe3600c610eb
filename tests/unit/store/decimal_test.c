/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/store/decimal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shard/store/pgnum.h"
#include "tests/lib/expected.h"
#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

/* ---- what PostgreSQL says ---------------------------------------------------------------------------------------- */

static void must_parse(struct dec *d, const char *t) {
    char *nines = NULL;
    if (strcmp(t, "BIG") == 0) { /* the largest number */
        nines = malloc(DEC_WHOLE_DIGITS_MAX + 1);
        memset(nines, '9', DEC_WHOLE_DIGITS_MAX);
        nines[DEC_WHOLE_DIGITS_MAX] = 0;
        t = nines;
    }
    struct err err = {0};
    CHECKF(dec_parse(d, t, strlen(t), COL_TYPMOD_NONE, &err) == RC_OK, "%s: %s", t, err_message(&err));
    free(nines);
}

typedef enum rc binary_op(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err);
typedef enum rc unary_op(struct dec *ret, const struct dec *a, struct err *err);

static const struct {
    const char *name;
    binary_op *binary;
    unary_op *unary;
} ops[] = {
    {"add", dec_add, NULL},     {"sub", dec_sub, NULL}, {"mul", dec_mul, NULL},        {"div", dec_div, NULL},
    {"mod", dec_mod, NULL},     {"log", dec_log, NULL}, {"divw", dec_div_whole, NULL}, {"power", dec_power, NULL},
    {"ln", NULL, dec_ln},       {"exp", NULL, dec_exp}, {"sqrt", NULL, dec_sqrt},      {"ceil", NULL, dec_ceil},
    {"floor", NULL, dec_floor},
};

static int32_t typmod_of(const char *mod) {
    int p = 0, s = 0;
    CHECK(sscanf(mod, "%d,%d", &p, &s) == 2);
    return col_numeric(p, s).typmod;
}

static enum rc to_integer(const char *type, const struct dec *d, struct dec *ret, struct err *err) {
    int64_t i;
    enum rc rc = strcmp(type, "int8") == 0   ? dec_to_int(d, INT64_MIN, INT64_MAX, "bigint", &i, err)
                 : strcmp(type, "int4") == 0 ? dec_to_int(d, INT32_MIN, INT32_MAX, "integer", &i, err)
                                             : dec_to_int(d, INT16_MIN, INT16_MAX, "smallint", &i, err);
    if (!rc)
        dec_set_int(ret, i);
    return rc;
}

static enum rc through_double(const char *type, const struct dec *d, struct dec *ret, struct err *err) {
    double r = 0;
    float f = 0;
    bool small = strcmp(type, "float4") == 0;
    enum rc rc = small ? dec_to_float(d, &f, err) : dec_to_double(d, &r, err);
    if (rc)
        return rc;
    if (small)
        dec_from_float(ret, f);
    else
        dec_from_double(ret, r);
    return RC_OK;
}

static size_t unhex(const char *hex, uint8_t *out) {
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return n;
}

/* One line: the words say what to do. The result goes to out. */
static enum rc compute(const struct expected *e, struct dec *a, struct dec *b, struct buf *out, struct err *err) {
    const char *op = e->word[0], *x = e->word[1], *y = e->n_words > 2 ? e->word[2] : NULL;
    uint8_t bytes[64];
    enum rc rc = RC_OK;
    bool print = true;
    if (strcmp(op, "parse") == 0)
        rc = dec_parse(a, x, strlen(x), COL_TYPMOD_NONE, err);
    else if (strcmp(op, "typmod") == 0)
        rc = dec_parse(a, x, strlen(x), typmod_of(y), err);
    else if (strcmp(op, "recv") == 0)
        rc = dec_recv(a, bytes, unhex(x, bytes), COL_TYPMOD_NONE, err);
    else if (strcmp(op, "recv52") == 0)
        rc = dec_recv(a, bytes, unhex(x, bytes), typmod_of("5,2"), err);
    else {
        must_parse(a, x);
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(ops) && !found; i++)
            if ((found = strcmp(op, ops[i].name) == 0)) {
                if (ops[i].binary) {
                    must_parse(b, y);
                    rc = ops[i].binary(a, a, b, err);
                } else
                    rc = ops[i].unary(a, a, err);
            }
        if (found) {
        } else if (strcmp(op, "cmp") == 0) {
            must_parse(b, y);
            dec_set_int(a, dec_compare(a, b));
        } else if (strcmp(op, "round") == 0)
            rc = dec_round(a, a, atoi(y), err);
        else if (strcmp(op, "trunc") == 0)
            dec_trunc(a, a, atoi(y));
        else if (strcmp(op, "neg") == 0)
            dec_neg(a, a);
        else if (strcmp(op, "abs") == 0)
            dec_abs(a, a);
        else if (strcmp(op, "trim") == 0)
            dec_trim(a, a);
        else if (strncmp(op, "int", 3) == 0)
            rc = to_integer(op, a, a, err);
        else if (strncmp(op, "float", 5) == 0)
            rc = through_double(op, a, a, err);
        else if (strcmp(op, "send") == 0) {
            struct buf raw;
            buf_init(&raw, 0);
            dec_send(a, &raw);
            buf_puts(out, "\\x");
            for (size_t i = 0; i < raw.len; i++)
                buf_printf(out, "%02x", raw.data[i]);
            buf_done(&raw);
            print = false;
        } else
            CHECKF(false, "no operation %s", op);
    }
    if (!rc && print)
        dec_print(a, out);
    return rc;
}

/* Every answer of PostgreSQL's is ours, errors included. */
static void as_postgres(void) {
    struct expected e;
    struct dec a, b;
    struct buf out;
    dec_init(&a);
    dec_init(&b);
    buf_init(&out, 0);
    expected_open(&e, EXPECTED_FILE);
    while (expected_next(&e)) {
        struct err err = {0};
        enum rc rc = compute(&e, &a, &b, &out, &err);
        expected_check(&e, rc, &err, out.data, out.len);
        if (!rc && strcmp(e.word[0], "send") != 0)
            OK(pgnum_canonical(out.data, out.len));
        buf_reset(&out, 1 << 20);
    }
    expected_close(&e);
    buf_done(&out);
    dec_done(&a);
    dec_done(&b);
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

static void any_number(struct rng *r, struct dec *d) {
    char t[128];
    size_t n = 0, digits = 1 + rng_below(r, rng_chance(r, 0.1) ? 90 : 12), point = rng_below(r, digits + 1);
    if (rng_chance(r, 0.02)) {
        static const enum dec_kind kinds[] = {DEC_NEG_INF, DEC_INF, DEC_NAN};
        dec_set_special(d, kinds[rng_below(r, 3)]);
        return;
    }
    if (rng_chance(r, 0.5))
        t[n++] = '-';
    for (size_t i = 0; i < digits; i++) {
        if (i == point)
            t[n++] = '.';
        t[n++] = (char)('0' + (rng_chance(r, 0.3) ? 0 : rng_below(r, 10)));
    }
    t[n] = 0;
    must_parse(d, t);
}

static bool same(const struct dec *a, const struct dec *b) {
    return dec_compare(a, b) == 0 && a->scale == b->scale;
}

/* Text, the binary form and stored values give the number back; the order is that of its text under pgnum. */
static void round_trips(void) {
    struct rng rng;
    struct dec a, b, c;
    struct buf x, y;
    struct arena arena;
    rng_init(&rng, 11);
    dec_init(&a);
    dec_init(&b);
    dec_init(&c);
    buf_init(&x, 0);
    buf_init(&y, 0);
    arena_init(&arena, 0);
    for (int i = 0; i < 60000 && !tap_failing(); i++) {
        any_number(&rng, &a);
        any_number(&rng, &b);
        dec_print(&a, &x);
        dec_print(&b, &y);
        OK(dec_parse(&c, x.data, x.len, COL_TYPMOD_NONE, NULL) == RC_OK && same(&a, &c));
        OK(pgnum_compare(x.data, x.len, y.data, y.len) == dec_compare(&a, &b));
        buf_reset(&x, 4096);
        dec_send(&a, &x);
        OK(dec_recv(&c, x.data, x.len, COL_TYPMOD_NONE, NULL) == RC_OK && same(&a, &c));
        struct col col = col_of(COL_NUMERIC);
        int precision = (int)rng_range(&rng, 1, 40);
        if (rng_chance(&rng, 0.7))
            col = col_numeric(precision, (int)rng_range(&rng, -3, precision + 2));
        struct value v;
        struct err err = {0};
        if (dec_to_value(&a, &col, &arena, &v, &err) == RC_OK) {
            OK(col_check(&col, &v, &err) == RC_OK);
            OK(dec_from_value(&c, &col, &v, &err) == RC_OK);
            OK(dec_limit(&a, col.typmod, &err) == RC_OK && same(&a, &c));
        } else
            EQ_STR(err_sqlstate(&err), "22003");
        buf_reset(&x, 4096);
        buf_reset(&y, 4096);
        arena_reset(&arena);
    }
    arena_done(&arena);
    buf_done(&x);
    buf_done(&y);
    dec_done(&a);
    dec_done(&b);
    dec_done(&c);
}

/* What arithmetic promises whatever the digits: (a + b) - b = a, a * b / b = a, a = b * div(a, b) + mod(a, b), order. */
static void laws(void) {
    struct rng rng;
    struct dec a, b, s, t;
    rng_init(&rng, 12);
    dec_init(&a);
    dec_init(&b);
    dec_init(&s);
    dec_init(&t);
    for (int i = 0; i < 60000 && !tap_failing(); i++) {
        any_number(&rng, &a);
        any_number(&rng, &b);
        EQ_INT(dec_compare(&a, &b), -dec_compare(&b, &a));
        if (a.kind != DEC_FINITE || b.kind != DEC_FINITE)
            continue;
        OK(dec_add(&s, &a, &b, NULL) == RC_OK && dec_sub(&s, &s, &b, NULL) == RC_OK && dec_compare(&s, &a) == 0);
        OK(dec_sub(&s, &a, &b, NULL) == RC_OK && dec_sign(&s) == dec_compare(&a, &b));
        if (dec_sign(&b) == 0) {
            struct err err = {0};
            OK(dec_div(&s, &a, &b, &err) == RC_SQL);
            EQ_STR(err_sqlstate(&err), "22012");
            continue;
        }
        OK(dec_mul(&s, &a, &b, NULL) == RC_OK && dec_div(&s, &s, &b, NULL) == RC_OK && dec_compare(&s, &a) == 0);
        OK(dec_div_whole(&s, &a, &b, NULL) == RC_OK && dec_mod(&t, &a, &b, NULL) == RC_OK);
        OK(dec_sign(&t) == 0 || dec_sign(&t) == dec_sign(&a));
        OK(dec_mul(&s, &s, &b, NULL) == RC_OK && dec_add(&s, &s, &t, NULL) == RC_OK && dec_compare(&s, &a) == 0);
        dec_abs(&t, &t);
        dec_abs(&b, &b);
        EQ_INT(dec_compare(&t, &b), -1);
        /* the root's square is the number, to within the root's last digit */
        dec_abs(&a, &a);
        OK(dec_sqrt(&s, &a, NULL) == RC_OK && dec_mul(&t, &s, &s, NULL) == RC_OK && dec_sub(&t, &t, &a, NULL) == RC_OK);
        OK(fabs(dec_nearest(&t)) <= 2 * (dec_nearest(&s) + 1) * pow(10, -s.scale));
    }
    dec_done(&a);
    dec_done(&b);
    dec_done(&s);
    dec_done(&t);
}

/* The nearest double, as the C library reads the same text: ordinary ones, subnormal ones, and halves between two. */
static void doubles(void) {
    struct rng rng;
    struct dec d;
    rng_init(&rng, 13);
    dec_init(&d);
    for (int i = 0; i < 60000 && !tap_failing(); i++) {
        char t[1200];
        union {
            uint64_t bits;
            double r;
        } u = {rng_u64(&rng)};
        if (rng_chance(&rng, 0.3))
            u.bits &= UINT64_C(0x801fffffffffffff); /* subnormal or hardly larger */
        if (rng_chance(&rng, 0.3))                  /* about there for floats */
            u.r = (rng_double(&rng) - 0.5) * ldexp(1, (int)rng_range(&rng, -152, -120));
        if (isnan(u.r) || isinf(u.r))
            continue;
        if (i % 2)
            snprintf(t, sizeof t, "%.*e", (int)rng_below(&rng, 25), u.r);
        else { /* half way to the next one, exactly, and a little beside it */
            long double half = ((long double)u.r + (long double)nextafter(u.r, INFINITY)) / 2;
            snprintf(t, sizeof t, "%.1100Lf", half);
            if (strlen(t) > 1150)
                continue;
            if (i % 4 == 0)
                t[strlen(t) - 1] = '1';
        }
        must_parse(&d, t);
        double got = dec_nearest(&d), want = strtod(t, NULL);
        OKF(got == want, "%.40s: %a, not %a", t, got, want);
        float f = dec_nearest_float(&d), f_want = strtof(t, NULL);
        OKF(f == f_want, "%.40s: %a, not %a", t, (double)f, (double)f_want);
    }
    dec_done(&d);
}

/* exp and ln undo each other to the digits that they show; ln is a homomorphism. */
static void inverse(void) {
    struct rng rng;
    struct dec a, b, c;
    rng_init(&rng, 14);
    dec_init(&a);
    dec_init(&b);
    dec_init(&c);
    for (int i = 0; i < 500 && !tap_failing(); i++) {
        char t[40];
        snprintf(t, sizeof t, "%.*f", (int)rng_below(&rng, 20), rng_double(&rng) * 50 + 0.001);
        must_parse(&a, t);
        if (dec_sign(&a) <= 0)
            continue;
        OK(dec_exp(&b, &a, NULL) == RC_OK && dec_ln(&c, &b, NULL) == RC_OK && dec_sub(&c, &c, &a, NULL) == RC_OK);
        OKF(fabs(dec_nearest(&c)) < 1e-14, "ln(exp(%s)) is off by %g", t, dec_nearest(&c));
        OK(dec_ln(&b, &a, NULL) == RC_OK && dec_exp(&c, &b, NULL) == RC_OK && dec_sub(&c, &c, &a, NULL) == RC_OK);
        OKF(fabs(dec_nearest(&c)) < 1e-13, "exp(ln(%s)) is off by %g", t, dec_nearest(&c));
    }
    dec_done(&a);
    dec_done(&b);
    dec_done(&c);
}

/* Random bytes as a binary form are refused or give a number whose own form is a fixed point. */
static void hostile_bytes(void) {
    struct rng rng;
    struct dec a, b;
    struct buf out;
    int taken = 0;
    rng_init(&rng, 15);
    dec_init(&a);
    dec_init(&b);
    buf_init(&out, 0);
    for (int i = 0; i < 60000 && !tap_failing(); i++) {
        uint8_t bytes[40];
        size_t n = rng_below(&rng, sizeof bytes);
        for (size_t k = 0; k < n; k++)
            bytes[k] = rng_chance(&rng, 0.6) ? 0 : (uint8_t)rng_u64(&rng);
        if (n >= 8 && rng_chance(&rng, 0.8)) {
            set_u16be(bytes, (uint16_t)((n - 8) / 2));
            set_u16be(bytes + 4, rng_chance(&rng, 0.5) ? 0x4000 : 0);
        }
        uint8_t *exact = malloc(n ? n : 1); /* ASan watches its end */
        if (n)
            memcpy(exact, bytes, n);
        if (dec_recv(&a, exact, n, COL_TYPMOD_NONE, NULL) == RC_OK) {
            taken++;
            dec_send(&a, &out);
            OK(dec_recv(&b, out.data, out.len, COL_TYPMOD_NONE, NULL) == RC_OK && same(&a, &b));
            buf_reset(&out, 1 << 16);
        }
        free(exact);
    }
    OK(taken > 1000);
    buf_done(&out);
    dec_done(&a);
    dec_done(&b);
}

int main(void) {
    RUN(as_postgres);
    RUN(round_trips);
    RUN(laws);
    RUN(doubles);
    RUN(inverse);
    RUN(hostile_bytes);
    return tap_done();
}
