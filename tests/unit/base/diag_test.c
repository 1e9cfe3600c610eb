/* SPDX-License-Identifier: Apache-2.0 */
#include "truetime/base/diag.h"

#include <string.h>

#include "tests/lib/tap.h"

struct capture {
    char last[DIAG_LINE_BYTES];
    int lines;
    int64_t now_ns;
};

static void sink(void *ctx, enum diag_level level, const char *line, size_t len) {
    struct capture *c = ctx;
    (void)level;
    OK(len == strlen(line) && len > 0 && line[len - 1] == '\n');
    memcpy(c->last, line, len + 1);
    c->lines++;
}

static int64_t wall(void *ctx) {
    return ((struct capture *)ctx)->now_ns;
}

static void make(struct diag *d, struct capture *c) {
    *c = (struct capture){.now_ns = 1792569600123456789};
    *d = (struct diag){.level = DIAG_INFO, .sink = sink, .wall_ns = wall, .ctx = c};
    strcpy(d->who, "n1/0");
}

static void one_event_one_line(void) {
    struct diag d;
    struct capture c;
    make(&d, &c);
    diag_info(&d, "net: connected", "peer=%s", "a\nb\x01");
    EQ_STR(c.last, "2026-10-21T08:00:00.123456Z info n1/0 net: connected peer=a?b?\n");
    diag_tablet(&d, DIAG_WARN, 12, "tablet: slow", "ms=%d", 7);
    EQ_STR(c.last, "2026-10-21T08:00:00.123456Z warn n1/0 tablet=12 tablet: slow ms=7\n");
    diag_info(&d, "bare", "%s", "");
    diag_debug(&d, "below the level", "x=%d", 1);
    EQ_INT(c.lines, 3);
}

static void long_lines_are_cut(void) {
    struct diag d;
    struct capture c;
    char big[3000];
    make(&d, &c);
    memset(big, 'y', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    diag_info(&d, "long", "%s", big);
    EQ_INT(c.lines, 1);
    OK(strlen(c.last) < DIAG_LINE_BYTES);
}

/* A flood of one warning leaves twenty lines a second and the number left out. */
static void floods_are_limited(void) {
    struct diag d;
    struct capture c;
    make(&d, &c);
    for (int i = 0; i < 1000; i++)
        diag_warn(&d, "net: frame refused", "i=%d", i);
    EQ_INT(c.lines, DIAG_BURST);
    c.now_ns += 1000000000;
    diag_warn(&d, "net: frame refused", "i=%d", 1000);
    OK(strstr(c.last, "i=1000 left_out=980") != NULL);
}

static void levels_parse(void) {
    enum diag_level level = DIAG_OFF;
    OK(diag_level_parse("debug", &level) && level == DIAG_DEBUG);
    OK(!diag_level_parse("loud", &level));
}

int main(void) {
    RUN(one_event_one_line);
    RUN(long_lines_are_cut);
    RUN(floods_are_limited);
    RUN(levels_parse);
    return tap_done();
}
