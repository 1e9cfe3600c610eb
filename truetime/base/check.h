/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h: assertions that stay on.
 *
 * Promise     CHECK(x) stops the process with file, line, the condition and a backtrace when x is false, in every
 *             build. It states an invariant of our own code. It is never the answer to what a peer, a disk or a user
 *             did: those are errors (err.h) with tests of their own.
 * Relies on   nothing.
 * Threads     any.
 */
#ifndef MERIDIAN_BASE_CHECK_H
#define MERIDIAN_BASE_CHECK_H

#include <assert.h> /* static_assert only: CHECK is our assert */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Marks a function that may park the calling fiber: whatever another fiber can free must be looked up again after it. */
#define WAITS

/* Drops a result that must otherwise be looked at; a comment beside it says why. */
#define IGNORE(x)                                                                                                      \
    do {                                                                                                               \
        if (x) {                                                                                                       \
        }                                                                                                              \
    } while (0)

/* The object of type `type` whose member `member` is at ptr. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (UNLIKELY(!(x)))                                                                                            \
            check_failed(__FILE__, __LINE__, __func__, #x, NULL);                                                      \
    } while (0)

/* The same with figures for the reader of the report: CHECKF(a < b, "a=%d b=%d", a, b). */
#define CHECKF(x, ...)                                                                                                 \
    do {                                                                                                               \
        if (UNLIKELY(!(x)))                                                                                            \
            check_failed(__FILE__, __LINE__, __func__, #x, __VA_ARGS__);                                               \
    } while (0)

/* Prints the report to standard error and aborts. fmt may be NULL. */
_Noreturn void check_failed(const char *file, int line, const char *func, const char *cond, const char *fmt, ...)
    PRINTF_LIKE(5, 6);

#endif
