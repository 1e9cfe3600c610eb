/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap.h: a test program in TAP (Test Anything Protocol 13).
 *
 *     int main(void) {
 *         RUN(test_empty_map);          a function that asserts with OK, EQ_INT, EQ_STR
 *         return tap_done();
 *     }
 *
 * Promise     One "ok" or "not ok" line a test function; a failed assertion says where and what on standard error
 *             and the test goes on. tap_skip says why a whole test did not run. The exit status is 0 only if all passed.
 * Threads     assertions from the main thread only.
 */
#ifndef MERIDIAN_TESTS_TAP_H
#define MERIDIAN_TESTS_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "truetime/base/check.h"

void tap_begin(const char *name);
void tap_end(void);
int tap_done(void);
void tap_skip(const char *reason);
void tap_note(const char *fmt, ...) PRINTF_LIKE(1, 2); /* a remark, which `prove` shows only with -v */
void tap_diag(const char *fmt, ...) PRINTF_LIKE(1, 2); /* what helps when something failed: on standard error */
bool tap_failing(void);                                /* the running test has failed already */
bool tap_ok(bool ok, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5);
bool tap_eq_int(int64_t got, int64_t want, const char *file, int line, const char *what);
bool tap_eq_str(const char *got, const char *want, const char *file, int line, const char *what);
bool tap_eq_mem(const void *got, size_t got_bytes, const void *want, size_t want_bytes, const char *file, int line,
                const char *what);

#define RUN(test)                                                                                                      \
    do {                                                                                                               \
        tap_begin(#test);                                                                                              \
        test();                                                                                                        \
        tap_end();                                                                                                     \
    } while (0)
#define OK(x) tap_ok((x), __FILE__, __LINE__, "%s", #x)
#define OKF(x, ...) tap_ok((x), __FILE__, __LINE__, __VA_ARGS__)
#define EQ_INT(got, want) tap_eq_int((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, #got)
#define EQ_STR(got, want) tap_eq_str((got), (want), __FILE__, __LINE__, #got)
#define EQ_MEM(got, n, want, m) tap_eq_mem((got), (n), (want), (m), __FILE__, __LINE__, #got)

/* A directory of this test's own, removed with what is in it by tap_done. */
const char *tap_dir(void);
/* The value of an environment variable as a number: seeds and sizes of longer runs. */
uint64_t tap_env(const char *name, uint64_t otherwise);

#endif
