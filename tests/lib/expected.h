/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expected.h: reads a file of expected results that PostgreSQL wrote (PgExpected.pm) and compares with it.
 *
 *     struct expected e;
 *     expected_open(&e, PATH);
 *     while (expected_next(&e)) {
 *         ... compute from e.word[0 .. e.n_words - 1] into out, with rc and err
 *         expected_check(&e, rc, &err, out.data, out.len);
 *     }
 *     expected_close(&e);
 *
 * Promise     Each line is compared, an error by its SQLSTATE and message, a long result by its length and both its ends.
 *             A file that is missing or holds no line fails the test.
 * Threads     the main thread.
 */
#ifndef MERIDIAN_TESTS_EXPECTED_H
#define MERIDIAN_TESTS_EXPECTED_H

#include <stdio.h>

#include "truetime/base/err.h"

enum { EXPECTED_WORDS_MAX = 8 };

struct expected {
    FILE *f;
    char *line;
    size_t cap;
    int number;
    char *word[EXPECTED_WORDS_MAX]; /* without the result */
    size_t n_words;
    char *result;
    int checked, errors;
};

void expected_open(struct expected *e, const char *path);
bool expected_next(struct expected *e);
/* True: as PostgreSQL says. */
bool expected_check(struct expected *e, enum rc rc, const struct err *err, const void *got, size_t bytes);
void expected_close(struct expected *e);

#endif
