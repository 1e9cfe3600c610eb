/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c: \trace: where the time of the last transaction went, as a tree of spans with bars at their real offsets.
 *
 *     Last transaction: 182.713 ms
 *
 *     transaction                us-east            182.713 ################
 *     |- read                    eu-west             90.418 ########
 *     |  |- network              us-east > eu-west   45.120 ####
 *     ...
 *
 * The spans are the rows of meridian.trace (README.md has its columns). Names and bars share the width of the terminal: what is
 * beside a bar shrinks first, then the bar; where there is much room, what a span says of itself stands behind it.
 */
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sql/shell/shell.h"

enum {
    SPANS_MAX = 500,
    DEPTH_MAX = 12,
    COLUMNS_DEFAULT = 80,
    MS_COLUMNS = 10,
    BAR_MIN = 8,
    BAR_MAX = 80,
    NAME_MIN = 12,
    DETAIL_MIN = 20
};

struct span {
    long long seq, parent, start_ns, duration_ns;
    char cause[48], where[96], detail[160];
    int depth;
    size_t up; /* its parent's place; SIZE_MAX: none */
    bool last; /* of its parent's children */
};

/* How wide each part of a line is. */
struct layout {
    size_t name, where, bar, detail;
    bool utf8, colour;
};

struct trace {
    struct span *span;
    size_t *order; /* as a tree is read */
    size_t n;
    long long total_ns;
};

/* ---- the spans ---------------------------------------------------------------------------------------------------------- */

static void read_span(meridian_stmt *st, struct span *s) {
    const char *region = meridian_column_text(st, 3), *peer = meridian_column_text(st, 4);
    const char *cause = meridian_column_text(st, 2), *detail = meridian_column_text(st, 8);
    *s = (struct span){.seq = meridian_column_int64(st, 0),
                       .parent = meridian_column_int64(st, 1),
                       .start_ns = meridian_column_int64(st, 5),
                       .duration_ns = meridian_column_int64(st, 6),
                       .up = SIZE_MAX};
    snprintf(s->cause, sizeof s->cause, "%s", cause ? cause : "?");
    if (peer && region && strcmp(peer, region) != 0)
        snprintf(s->where, sizeof s->where, "%s > %s", region, peer);
    else
        snprintf(s->where, sizeof s->where, "%s", region ? region : "");
    snprintf(s->detail, sizeof s->detail, "%s", detail ? detail : "");
}

static size_t find(const struct trace *t, long long seq) {
    for (size_t i = 0; i < t->n; i++)
        if (t->span[i].seq == seq)
            return i;
    return SIZE_MAX;
}

/* The children of up in the order of time, each followed by its own. */
static void walk(struct trace *t, size_t up, int depth, size_t *at) {
    struct span *last = NULL;
    bool *done = calloc(t->n + 1, sizeof *done);
    if (!done)
        shell_nomem();
    for (;;) {
        size_t next = SIZE_MAX;
        for (size_t i = 0; i < t->n; i++)
            if (t->span[i].up == up && !done[i] && i != up &&
                (next == SIZE_MAX || t->span[i].start_ns < t->span[next].start_ns))
                next = i;
        if (next == SIZE_MAX || *at == t->n)
            break;
        done[next] = true;
        last = &t->span[next];
        last->depth = depth;
        t->order[(*at)++] = next;
        if (depth < DEPTH_MAX)
            walk(t, next, depth + 1, at);
    }
    if (last)
        last->last = true;
    free(done);
}

static void make_tree(struct trace *t) {
    size_t at = 0;
    for (size_t i = 0; i < t->n; i++) {
        size_t up = t->span[i].parent ? find(t, t->span[i].parent) : SIZE_MAX;
        t->span[i].up = up < i ? up : SIZE_MAX; /* parents come first: so nobody is below himself */
        if (t->span[i].start_ns + t->span[i].duration_ns > t->total_ns)
            t->total_ns = t->span[i].start_ns + t->span[i].duration_ns;
    }
    walk(t, SIZE_MAX, 0, &at);
    t->n = at;
}

/* ---- drawing ------------------------------------------------------------------------------------------------------------- */

static size_t longest(const struct trace *t, size_t offset, int indent) {
    size_t most = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct span *s = &t->span[t->order[i]];
        size_t n = print_width((const char *)s + offset) + (size_t)(indent * s->depth);
        most = n > most ? n : most;
    }
    return most;
}

static struct layout lay_out(const struct trace *t, FILE *to) {
    const char *no_colour = getenv("NO_COLOR");
    bool terminal = isatty(fileno(to));
    size_t all = edit_columns(to, COLUMNS_DEFAULT), rest;
    struct layout l = {.name = longest(t, offsetof(struct span, cause), 3),
                       .where = longest(t, offsetof(struct span, where), 0),
                       .detail = longest(t, offsetof(struct span, detail), 0),
                       .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                       .colour = terminal && !(no_colour && *no_colour)};
    size_t fixed = 1 + MS_COLUMNS + 1; /* the blanks between parts and the milliseconds */
    if (l.name > all / 2)
        l.name = all / 2 > NAME_MIN ? all / 2 : NAME_MIN;
    if (l.name + fixed + l.where + BAR_MIN + 1 > all) {
        size_t room = all > l.name + fixed + BAR_MIN + 1 ? all - l.name - fixed - BAR_MIN - 1 : 0;
        l.where = room < 4 ? 0 : room;
    }
    rest = all > l.name + fixed + l.where + 1 ? all - l.name - fixed - l.where - 1 : BAR_MIN;
    if (rest < BAR_MIN + DETAIL_MIN + 20)
        l.detail = 0;
    else if (l.detail && l.detail + 2 + BAR_MIN + 12 > rest)
        l.detail = rest - BAR_MIN - 14;
    l.bar = rest - (l.detail ? l.detail + 2 : 0);
    l.bar = l.bar > BAR_MAX ? BAR_MAX : l.bar;
    return l;
}

/* Text in a column: cut with a mark, filled with blanks. */
static void column(FILE *to, const struct layout *l, const char *text, size_t width) {
    size_t have = print_width(text);
    if (have <= width) {
        fprintf(to, "%s%*s", text, (int)(width - have), "");
        return;
    }
    size_t bytes = strlen(text);
    while (bytes && print_width(text) > 0 && width > 0) { /* from the end, whole characters */
        char piece[256];
        do
            bytes--;
        while (bytes && ((unsigned char)text[bytes] & 0xc0) == 0x80);
        snprintf(piece, sizeof piece, "%.*s", (int)bytes, text);
        have = print_width(piece);
        if (have < width) {
            fprintf(to, "%s%s%*s", piece, l->utf8 ? "\xe2\x80\xa6" : "~", (int)(width - have - 1), "");
            return;
        }
    }
}

/* "|  |- name", cut to its column. */
static void name(FILE *to, const struct layout *l, const struct trace *t, const struct span *s) {
    char text[DEPTH_MAX * 8 + 64], *p = text;
    const struct span *up[DEPTH_MAX + 1];
    int n = 0;
    for (const struct span *x = s; x->up != SIZE_MAX && n < DEPTH_MAX; x = &t->span[x->up])
        up[n++] = x;
    *p = '\0';
    for (int i = n - 1; i > 0; i--)
        p = stpcpy(p, up[i]->last ? "   " : l->utf8 ? "\xe2\x94\x82  " : "|  ");
    if (n)
        p = stpcpy(p, s->last ? (l->utf8 ? "\xe2\x94\x94\xe2\x94\x80 " : "`- ")
                              : (l->utf8 ? "\xe2\x94\x9c\xe2\x94\x80 " : "|- "));
    snprintf(p, 64, "%.60s", s->cause);
    column(to, l, text, l->name);
}

/* Its cause in a colour: the same for what is the same kind of waiting. */
static const char *colour_of(const char *cause) {
    static const struct {
        const char *cause, *code;
    } colours[] = {{"network", "\033[34m"}, {"lock wait", "\033[31m"},      {"lock", "\033[31m"},
                   {"retry", "\033[31m"},   {"quorum", "\033[35m"},         {"Paxos round", "\033[35m"},
                   {"prepare", "\033[35m"}, {"wait for votes", "\033[35m"}, {"log", "\033[33m"},
                   {"fsync", "\033[33m"},   {"commit wait", "\033[36m"},    {"sqlite", "\033[32m"},
                   {"apply", "\033[32m"},   {"parse and plan", "\033[32m"}};
    for (size_t i = 0; i < ARRAY_LEN(colours); i++)
        if (strcmp(cause, colours[i].cause) == 0)
            return colours[i].code;
    return "\033[2m";
}

/* Blanks, then blocks from its beginning to its end; what is shorter than half a column is a thin mark. */
static void bar(FILE *to, const struct layout *l, const struct span *s, long long total, bool fill) {
    double scale = total > 0 ? (double)l->bar / (double)total : 0;
    double from = (double)s->start_ns * scale, end = (double)(s->start_ns + s->duration_ns) * scale;
    size_t at = from < 0 ? 0 : (size_t)from, stop;
    at = at >= l->bar ? l->bar - 1 : at;
    stop = (size_t)(end + 0.5);
    bool thin = end - from < 0.5;
    stop = stop <= at ? at + 1 : stop > l->bar ? l->bar : stop;
    fprintf(to, "%*s%s", (int)at, "", l->colour ? colour_of(s->cause) : "");
    for (size_t i = at; i < stop; i++)
        fputs(thin ? (l->utf8 ? "\xe2\x96\x8f" : ":") : l->utf8 ? "\xe2\x96\x88" : "#", to);
    fputs(l->colour ? "\033[0m" : "", to);
    if (fill)
        fprintf(to, "%*s", (int)(l->bar - stop), "");
}

static void draw(struct shell *sh, const struct trace *t, FILE *to) {
    struct layout l = lay_out(t, sh->out);
    fprintf(to, "Last transaction: %.3f ms\n\n", (double)t->total_ns / 1e6);
    for (size_t i = 0; i < t->n; i++) {
        const struct span *s = &t->span[t->order[i]];
        bool detail = l.detail && s->detail[0];
        name(to, &l, t, s);
        fputc(' ', to);
        column(to, &l, s->where, l.where);
        fprintf(to, "%*.3f ", MS_COLUMNS, (double)s->duration_ns / 1e6);
        bar(to, &l, s, t->total_ns, detail);
        if (detail) {
            fputs("  ", to);
            column(to, &l, s->detail, print_width(s->detail) < l.detail ? print_width(s->detail) : l.detail);
        }
        fputc('\n', to);
    }
    fputc('\n', to);
}

/* ---- the command ------------------------------------------------------------------------------------------------------------ */

static void show(struct shell *sh, struct trace *t) {
    t->order = calloc(t->n, sizeof *t->order);
    if (!t->order)
        shell_nomem();
    make_tree(t);
    int pid = 0;
    FILE *to = sh->interactive && sh->out == stdout && !sh->no_pager ? edit_pager(sh, t->n + 3, &pid) : sh->out;
    draw(sh, t, to);
    if (to == sh->out)
        fflush(to);
    else
        edit_pager_close(to, pid);
    free(t->order);
}

bool trace_command(struct shell *sh) {
    meridian_stmt *st;
    struct trace t = {.span = calloc(SPANS_MAX, sizeof *t.span)};
    if (!t.span)
        shell_nomem();
    int code = meridian_trace(sh->db, &st);
    if (!code)
        while (t.n < SPANS_MAX && (code = meridian_step(st)) == MERIDIAN_ROW)
            read_span(st, &t.span[t.n++]);
    bool ok = code < MERIDIAN_ERROR;
    if (code == MERIDIAN_UNSUPPORTED || code == MERIDIAN_MISUSE)
        shell_error(sh, "%s", meridian_errmsg(sh->db));
    else if (!ok)
        shell_db_error(sh, NULL);
    meridian_finalize(st);
    if (ok && t.n == 0)
        shell_error(sh, "there is no transaction to show yet");
    else if (ok)
        show(sh, &t);
    free(t.span);
    return ok;
}
