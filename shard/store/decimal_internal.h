/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decimal_internal.h: what the files of decimal.h share.
 *
 * Promise     Exact steps on integers; each rounding is named where it is done.
 * Relies on   decimal.h.
 * Threads     any.
 */
#ifndef MERIDIAN_STORE_DECIMAL_INTERNAL_H
#define MERIDIAN_STORE_DECIMAL_INTERNAL_H

#include "shard/store/decimal.h"

enum dec_rounding { DEC_TRUNC, DEC_HALF_AWAY };

void dec_pow10(mpz_t ret, uint32_t n);
void dec_shift_up(mpz_t z, uint32_t n);                          /* z *= 10^n */
void dec_shift_down(mpz_t z, uint32_t n, enum dec_rounding how); /* z /= 10^n */
void dec_div_round(mpz_t ret, const mpz_t a, const mpz_t b, enum dec_rounding how);
int32_t dec_digits(const mpz_t z); /* decimal digits of |z|; 0 of 0 */

enum rc dec_overflow(struct err *err);
enum rc dec_field_overflow(int precision, int scale, struct err *err);
enum rc dec_bounded(const struct dec *d, struct err *err) MUST_CHECK;
void dec_rescale(struct dec *d, int32_t scale, enum dec_rounding how);
/* As digits of base 10,000: the first one (0 of 0), and the power of 10,000 that it stands for. */
int32_t dec_base_weight(const struct dec *d, int *ret_first);
int32_t dec_div_scale(const struct dec *a, const struct dec *b);
void dec_quotient(struct dec *ret, const struct dec *a, const struct dec *b, int32_t scale, enum dec_rounding how);

#endif
