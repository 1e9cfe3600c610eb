/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c: the report of a broken invariant. It allocates nothing and takes no lock, because the process that calls it
 * is by definition in an unknown state.
 */
#include "truetime/base/check.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAMES_MAX = 48 };

_Noreturn void check_failed(const char *file, int line, const char *func, const char *cond, const char *fmt, ...) {
    char text[1024];
    void *frames[FRAMES_MAX] = {NULL};
    int n = snprintf(text, sizeof text, "meridian: broken invariant at %s:%d in %s: %s", file, line, func, cond);
    if (n > 0 && fmt && (size_t)n + 4 < sizeof text) {
        va_list ap;
        n += snprintf(text + n, sizeof text - (size_t)n, " (");
        va_start(ap, fmt);
        int m = vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
        va_end(ap);
        n += m > 0 ? m : 0;
        if ((size_t)n + 2 < sizeof text)
            n += snprintf(text + n, sizeof text - (size_t)n, ")");
    }
    if (n < 0 || (size_t)n > sizeof text - 2)
        n = sizeof text - 2;
    text[n++] = '\n';
    (void)!write(STDERR_FILENO, text, (size_t)n); /* about to abort: nowhere to report a failure to report */
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    abort();
}
