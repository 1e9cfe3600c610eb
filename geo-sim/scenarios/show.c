/* SPDX-License-Identifier: Apache-2.0 */
#include "geo-sim/scenarios/show.h"

#include <stdio.h>

enum { REPORT_BYTES_MAX = 1 << 20 };

static const char *const styles[] = {
    [SHOW_PLAIN] = "",          [SHOW_BOLD] = "\033[1m",    [SHOW_DIM] = "\033[2m",
    [SHOW_GOOD] = "\033[1;32m", [SHOW_WARN] = "\033[1;33m", [SHOW_BAD] = "\033[1;31m",
};

void show_init(struct show *s, bool color) {
    *s = (struct show){.color = color};
    buf_init(&s->out, REPORT_BYTES_MAX);
}

void show_done(struct show *s) {
    buf_done(&s->out);
}

static void begin(struct show *s, enum show_style style) {
    if (s->color && style != SHOW_PLAIN)
        buf_puts(&s->out, styles[style]);
}

static void end(struct show *s, enum show_style style) {
    if (s->color && style != SHOW_PLAIN)
        buf_puts(&s->out, "\033[0m");
}

void show_title(struct show *s, const char *title, const char *fmt, ...) {
    va_list ap;
    show_piece(s, SHOW_BOLD, "%s", title);
    buf_puts(&s->out, "\n");
    begin(s, SHOW_DIM);
    va_start(ap, fmt);
    buf_vprintf(&s->out, fmt, ap);
    va_end(ap);
    end(s, SHOW_DIM);
    buf_puts(&s->out, "\n");
}

void show_head(struct show *s, const char *fmt, ...) {
    va_list ap;
    buf_puts(&s->out, "\n");
    begin(s, SHOW_BOLD);
    va_start(ap, fmt);
    buf_vprintf(&s->out, fmt, ap);
    va_end(ap);
    end(s, SHOW_BOLD);
    buf_puts(&s->out, "\n");
}

void show_line(struct show *s, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&s->out, fmt, ap);
    va_end(ap);
    buf_puts(&s->out, "\n");
}

void show_piece(struct show *s, enum show_style style, const char *fmt, ...) {
    va_list ap;
    begin(s, style);
    va_start(ap, fmt);
    buf_vprintf(&s->out, fmt, ap);
    va_end(ap);
    end(s, style);
}

void show_check(struct show *s, bool ok, const char *fmt, ...) {
    va_list ap;
    s->checks++;
    s->failed += !ok;
    show_piece(s, ok ? SHOW_GOOD : SHOW_BAD, ok ? "  ok      " : "  FAILED  ");
    va_start(ap, fmt);
    buf_vprintf(&s->out, fmt, ap);
    va_end(ap);
    buf_puts(&s->out, "\n");
}

const char *show_count(uint64_t n, char *to, size_t bytes) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    size_t at = 0;
    for (int i = 0; i < len && at + 2 < bytes; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            to[at++] = ',';
        to[at++] = digits[i];
    }
    to[at < bytes ? at : bytes - 1] = '\0';
    return to;
}
