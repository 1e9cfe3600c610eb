/* SPDX-License-Identifier: Apache-2.0 */
/* tap.c: the counters of one test program. It is the only place in the tree with mutable statics: a test program has one
 * TAP stream. */
#include "tests/lib/tap.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    int run, failed;
    const char *name, *skip;
    bool bad;
    char dir[256];
} tap;

void tap_begin(const char *name) {
    tap.name = name;
    tap.skip = NULL;
    tap.bad = false;
}

void tap_end(void) {
    tap.run++;
    tap.failed += tap.bad;
    printf("%s %d - %s%s%s\n", tap.bad ? "not ok" : "ok", tap.run, tap.name, tap.skip ? " # SKIP " : "",
           tap.skip ? tap.skip : "");
    fflush(stdout);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

int tap_done(void) {
    if (tap.run > 0 || !tap.dir[0]) /* a benchmark only wants its directory removed */
        printf("1..%d\n", tap.run);
    fflush(stdout);
    if (tap.dir[0] && !tap.failed) /* kept for a look when something failed */
        nftw(tap.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return tap.failed ? 1 : 0;
}

void tap_skip(const char *reason) {
    tap.skip = reason;
}

void tap_note(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    printf("# ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    fflush(stdout);
}

void tap_diag(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "# ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
}

bool tap_failing(void) {
    return tap.bad;
}

bool tap_ok(bool ok, const char *file, int line, const char *fmt, ...) {
    if (ok)
        return true;
    va_list ap;
    tap.bad = true;
    va_start(ap, fmt);
    /* on standard error, as Test::More does: `prove` shows that */
    fprintf(stderr, "# %s:%d: failed: ", file, line);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    return false;
}

bool tap_eq_int(int64_t got, int64_t want, const char *file, int line, const char *what) {
    return tap_ok(got == want, file, line, "%s is %lld, wanted %lld", what, (long long)got, (long long)want);
}

bool tap_eq_str(const char *got, const char *want, const char *file, int line, const char *what) {
    return tap_ok(got && strcmp(got, want) == 0, file, line, "%s is \"%s\", wanted \"%s\"", what, got ? got : "(null)",
                  want);
}

bool tap_eq_mem(const void *got, size_t got_bytes, const void *want, size_t want_bytes, const char *file, int line,
                const char *what) {
    return tap_ok(got_bytes == want_bytes && memcmp(got, want, want_bytes) == 0, file, line,
                  "%s: %zu bytes differ from the %zu wanted", what, got_bytes, want_bytes);
}

const char *tap_dir(void) {
    if (!tap.dir[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(tap.dir, sizeof tap.dir, "%s/meridian-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(tap.dir)) {
            fprintf(stderr, "cannot make %s: %s\n", tap.dir, strerror(errno));
            exit(2);
        }
    }
    return tap.dir;
}

uint64_t tap_env(const char *name, uint64_t otherwise) {
    const char *s = getenv(name);
    return s && *s ? strtoull(s, NULL, 0) : otherwise;
}
