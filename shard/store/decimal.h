/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decimal.h: PostgreSQL's numeric, exact: an integer of any length and how many of its decimal digits stand after the point.
 *
 * Promise     The same digits, the same display scale and the same errors as PostgreSQL 15 (tests compare with its own
 *             answers). A finite number has at most 131072 digits before the point and 16383 after it; what would have more
 *             is an error before any work is done on it, so no input makes a number larger than 61 KiB. Results may be
 *             one of the operands. Nothing depends on the locale.
 * Relies on   GMP. It can only stop the process when memory runs out; with numbers bounded as said, and scratch space a
 *             small multiple of that, we take this as we take a failed CHECK. GMP keeps up to 64 KiB of scratch on the
 *             stack: call from large fibers.
 * Threads     any; a struct dec belongs to one caller.
 * Source      PostgreSQL 15's manual, 8.1.2 and 9.3; which scale each result gets is written down in its source comments
 *             (numeric.c); Knuth, "Seminumerical Algorithms", 4.3.
 */
#ifndef MERIDIAN_STORE_DECIMAL_H
#define MERIDIAN_STORE_DECIMAL_H

#include <gmp.h>

#include "shard/store/value.h"
#include "truetime/base/buf.h"

enum {
    DEC_WHOLE_DIGITS_MAX = 131072, /* before the point */
    DEC_SCALE_MAX = 16383,         /* after it */
    DEC_TEXT_BYTES_MAX = DEC_WHOLE_DIGITS_MAX + DEC_SCALE_MAX + 2,
    DEC_RESULT_SCALE_MAX = 1000, /* of what division and functions choose */
};

/* In ascending order, as PostgreSQL sorts them. */
enum dec_kind { DEC_NEG_INF, DEC_FINITE, DEC_INF, DEC_NAN };

struct dec {
    enum dec_kind kind;
    int32_t scale; /* display scale, 0 .. DEC_SCALE_MAX; 0 unless finite */
    mpz_t z;       /* the value times 10^scale; 0 unless finite */
};

void dec_init(struct dec *d); /* 0 */
void dec_done(struct dec *d);
void dec_set(struct dec *d, const struct dec *from);
void dec_set_int(struct dec *d, int64_t i);
void dec_set_special(struct dec *d, enum dec_kind kind); /* not DEC_FINITE */
void dec_swap(struct dec *a, struct dec *b);

/* ---- forms ------------------------------------------------------------------------------------------------------- */

/* Text as numeric's input takes it, blanks around it included; typmod as in struct col. SQLSTATE 22P02, 22003. */
enum rc dec_parse(struct dec *ret, const void *text, size_t bytes, int32_t typmod, struct err *err) MUST_CHECK;
/* The canonical text of pgnum.h, at most DEC_TEXT_BYTES_MAX. */
void dec_print(const struct dec *d, struct buf *out);

/* PostgreSQL's binary form (without a length before it): digits of base 10,000. 22P03, 22003, 08P01. */
enum rc dec_recv(struct dec *ret, const void *p, size_t bytes, int32_t typmod, struct err *err) MUST_CHECK;
void dec_send(const struct dec *d, struct buf *out);

/* From and to what a column of type c (COL_NUMERIC) stores. The value must have passed col_check. */
enum rc dec_from_value(struct dec *ret, const struct col *c, const struct value *v, struct err *err) MUST_CHECK;
/* Rounds to c's limits (22003). Text lies in the arena. */
enum rc dec_to_value(const struct dec *d, const struct col *c, struct arena *a, struct value *ret,
                     struct err *err) MUST_CHECK;
/* Rounds to the typmod's scale: 22003 "numeric field overflow" when there are too many digits before the point. */
enum rc dec_limit(struct dec *d, int32_t typmod, struct err *err) MUST_CHECK;

/* Half away from zero. what: "bigint", for the message. 22003; 0A000 for NaN and infinities. */
enum rc dec_to_int(const struct dec *d, int64_t min, int64_t max, const char *what, int64_t *ret,
                   struct err *err) MUST_CHECK;
/* The nearest double, or float. What is too large, or too small to be anything but 0, is 22003. */
enum rc dec_to_double(const struct dec *d, double *ret, struct err *err) MUST_CHECK;
enum rc dec_to_float(const struct dec *d, float *ret, struct err *err) MUST_CHECK;
/* The same without an error: infinity, or 0. */
double dec_nearest(const struct dec *d);
float dec_nearest_float(const struct dec *d);
/* The decimal of 15 significant digits (float4: 6), as PostgreSQL's cast does. */
void dec_from_double(struct dec *ret, double r);
void dec_from_float(struct dec *ret, float r);

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* -Infinity < finite < Infinity < NaN; NaN = NaN. */
int dec_compare(const struct dec *a, const struct dec *b);
int dec_sign(const struct dec *d); /* -1, 0, 1; of NaN: 0 */

void dec_neg(struct dec *ret, const struct dec *a);
void dec_abs(struct dec *ret, const struct dec *a);
enum rc dec_add(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) MUST_CHECK;
enum rc dec_sub(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) MUST_CHECK;
enum rc dec_mul(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) MUST_CHECK;
/* At least 16 significant digits, and no fewer after the point than an operand has. 22012. */
enum rc dec_div(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) MUST_CHECK;
/* div(): the whole part of the quotient. mod(): with the dividend's sign. 22012. */
enum rc dec_div_whole(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) MUST_CHECK;
enum rc dec_mod(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) MUST_CHECK;

/* round() half away from zero, trunc(); scale may be negative. */
enum rc dec_round(struct dec *ret, const struct dec *a, int32_t scale, struct err *err) MUST_CHECK;
void dec_trunc(struct dec *ret, const struct dec *a, int32_t scale);
enum rc dec_ceil(struct dec *ret, const struct dec *a, struct err *err) MUST_CHECK;
enum rc dec_floor(struct dec *ret, const struct dec *a, struct err *err) MUST_CHECK;
/* Without the zeros at the end of the fraction: trim_scale(). */
void dec_trim(struct dec *ret, const struct dec *a);

/* Square root, e^a, natural logarithm, a^b; scales as PostgreSQL chooses them. 2201F, 2201E, 22003. */
enum rc dec_sqrt(struct dec *ret, const struct dec *a, struct err *err) MUST_CHECK;
enum rc dec_exp(struct dec *ret, const struct dec *a, struct err *err) MUST_CHECK;
enum rc dec_ln(struct dec *ret, const struct dec *a, struct err *err) MUST_CHECK;
enum rc dec_log(struct dec *ret, const struct dec *base, const struct dec *a, struct err *err) MUST_CHECK;
enum rc dec_power(struct dec *ret, const struct dec *a, const struct dec *b, struct err *err) MUST_CHECK;

#endif
