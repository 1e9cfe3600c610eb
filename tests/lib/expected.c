/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/expected.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

enum { ERR_SHOWN_BYTES = 200 }; /* PostgreSQL quotes all of a long text, a struct err has no room for that */

void expected_open(struct expected *e, const char *path) {
    *e = (struct expected){.f = fopen(path, "re")};
    CHECKF(e->f, "cannot open %s", path);
}

bool expected_next(struct expected *e) {
    ssize_t n;
    do {
        n = getline(&e->line, &e->cap, e->f);
        e->number++;
    } while (n > 0 && e->line[0] == '#');
    if (n <= 0)
        return false;
    if (e->line[n - 1] == '\n')
        e->line[n - 1] = 0;
    e->n_words = 0;
    char *at = e->line, *tab;
    while ((tab = strchr(at, '\t'))) {
        CHECK(e->n_words < EXPECTED_WORDS_MAX);
        *tab = 0;
        e->word[e->n_words++] = at;
        at = tab + 1;
    }
    e->result = at;
    return true;
}

static bool long_result_same(const char *want, const char *got, size_t bytes) {
    char *rest;
    size_t length = strtoul(want + 1, &rest, 10);
    return length == bytes && memcmp(rest + 1, got, 100) == 0 && memcmp(rest + 102, got + bytes - 100, 100) == 0;
}

bool expected_check(struct expected *e, enum rc rc, const struct err *err, const void *got, size_t bytes) {
    char failed[ERR_MESSAGE_BYTES + 8];
    e->checked++;
    if (rc) {
        e->errors++;
        snprintf(failed, sizeof failed, "!%s %s", err_sqlstate(err), err_message(err));
        got = failed;
        bytes = strlen(failed);
    }
    const char *p = got ? got : "";
    if (rc && bytes > ERR_SHOWN_BYTES && strlen(e->result) > ERR_SHOWN_BYTES)
        bytes = ERR_SHOWN_BYTES, e->result[ERR_SHOWN_BYTES] = 0;
    bool same = *e->result == '#' && bytes > 400 ? long_result_same(e->result, p, bytes)
                                                 : strlen(e->result) == bytes && memcmp(e->result, p, bytes) == 0;
    if (same)
        return true;
    return tap_ok(false, __FILE__, e->number, "%s %s %s %s: \"%.*s\", PostgreSQL: \"%s\"", e->word[0],
                  e->n_words > 1 ? e->word[1] : "", e->n_words > 2 ? e->word[2] : "", e->n_words > 3 ? e->word[3] : "",
                  bytes < 250 ? (int)bytes : 250, p, e->result);
}

void expected_close(struct expected *e) {
    OK(e->checked > 0);
    tap_note("%d results, %d of them errors", e->checked, e->errors);
    free(e->line);
    fclose(e->f);
}
