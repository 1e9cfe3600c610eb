/* SPDX-License-Identifier: Apache-2.0 */
/* diag.c: formats a line on the stack and hands it to the sink. */
#include "truetime/base/diag.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

bool diag_level_parse(const char *text, enum diag_level *ret_level) {
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum diag_level)i;
            return true;
        }
    return false;
}

/* Whether the line may go out; *ret_left_out is what was suppressed before it. */
static bool admit(struct diag *d, const char *name, int64_t now_ns, uint32_t *ret_left_out) {
    struct diag_site *s = &d->sites[((uintptr_t)name >> 3) % DIAG_SITES];
    if (s->name != name || now_ns - s->since_ns >= 1000000000 || now_ns < s->since_ns) {
        *ret_left_out = s->name == name ? s->left_out : 0;
        *s = (struct diag_site){.name = name, .since_ns = now_ns, .lines = 1};
        return true;
    }
    if (s->lines >= DIAG_BURST) {
        s->left_out++;
        return false;
    }
    s->lines++;
    *ret_left_out = 0;
    return true;
}

static size_t put(char *line, size_t at, int n) {
    if (n < 0)
        return at;
    size_t room = DIAG_LINE_BYTES - 2 - at; /* newline and zero */
    (void)line;
    return at + ((size_t)n < room ? (size_t)n : room);
}

void diag_write(struct diag *d, enum diag_level level, uint64_t tablet, const char *name, const char *fmt, ...) {
    char line[DIAG_LINE_BYTES];
    const size_t end = DIAG_LINE_BYTES - 1;
    int64_t now = d->wall_ns(d->ctx);
    uint32_t left_out = 0;
    struct tm tm;
    time_t sec = (time_t)(now / 1000000000);
    if (level >= DIAG_WARN && !admit(d, name, now, &left_out))
        return;
    gmtime_r(&sec, &tm);
    size_t at = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    at = put(line, at,
             snprintf(line + at, end - at, ".%06dZ %s %s ", (int)(now / 1000 % 1000000), level_names[level], d->who));
    if (tablet)
        at = put(line, at, snprintf(line + at, end - at, "tablet=%llu ", (unsigned long long)tablet));
    at = put(line, at, snprintf(line + at, end - at, "%s", name));
    if (fmt[0]) {
        va_list ap;
        at = put(line, at, snprintf(line + at, end - at, " "));
        va_start(ap, fmt);
        at = put(line, at, vsnprintf(line + at, end - at, fmt, ap));
        va_end(ap);
    }
    if (left_out)
        at = put(line, at, snprintf(line + at, end - at, " left_out=%u", left_out));
    for (size_t i = 0; i < at; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[at++] = '\n';
    line[at] = '\0';
    d->sink(d->ctx, level, line, at);
}
