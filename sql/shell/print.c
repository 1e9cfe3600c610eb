/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c: see print.h.
 *
 * Aligned output works on lines: a cell is cut at its newlines into lines, whose widths are known, and a row is as high as its
 * highest cell; a line that is not a cell's last ends with '+' at the right edge of the column. Control characters are shown
 * as escapes and tabs as blanks, so that a value cannot break the table.
 */
#include "sql/shell/print.h"

#include <stdlib.h>
#include <string.h>

#include "sql/shell/width.h"

enum { TAB_COLUMNS = 8 };

struct line {
    const char *text;
    size_t width;
};

struct lines {
    struct line *line;
    size_t count;
};

void shell_nomem(void) {
    fprintf(stderr, "meridian sql: out of memory\n");
    exit(1);
}

static void *need(void *p) {
    if (!p)
        shell_nomem();
    return p;
}

/* ---- tables ------------------------------------------------------------------------------------------------------------- */

void print_table_init(struct print_table *t, size_t columns) {
    *t = (struct print_table){.columns = columns, .row_count = true};
    arena_init(&t->arena, 0);
    t->column = need(arena_zalloc(&t->arena, (columns + 1) * sizeof *t->column));
}

void print_table_done(struct print_table *t) {
    free(t->cell);
    free(t->footer);
    arena_done(&t->arena);
}

void print_column(struct print_table *t, size_t i, const char *name, bool right, bool literal) {
    t->column[i] = (struct print_column){need(arena_strdup(&t->arena, name)), right, literal};
}

static void push(const char ***list, size_t *count, size_t *cap, const char *text) {
    if (*count == *cap) {
        size_t more = *cap ? 2 * *cap : 64;
        *list = need(realloc(*list, more * sizeof **list)); // NOLINT: it ends where there is no memory
        *cap = more;
    }
    (*list)[(*count)++] = text;
}

void print_cell(struct print_table *t, const char *text) {
    push(&t->cell, &t->cells, &t->cap, text ? need(arena_strdup(&t->arena, text)) : NULL);
}

void print_cell_borrowed(struct print_table *t, const char *text) {
    push(&t->cell, &t->cells, &t->cap, text);
}

void print_footer(struct print_table *t, const char *fmt, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        shell_nomem();
    va_end(ap);
    push(&t->footer, &t->footers, &t->footer_cap, need(arena_strdup(&t->arena, text)));
    free(text);
}

/* ---- lines of a cell -------------------------------------------------------------------------------------------------------- */

/* The text of one character as it is shown; returns its width. */
static size_t shown(const char *p, size_t bytes, uint32_t c, size_t at, char *ret, size_t *ret_bytes) {
    int w = width_char(c);
    if (c == '\t') {
        size_t n = TAB_COLUMNS - at % TAB_COLUMNS;
        memset(ret, ' ', n);
        *ret_bytes = n;
        return n;
    }
    if (c == '\r')
        *ret_bytes = (size_t)sprintf(ret, "\\r"); // NOLINT
    else if (w < 0 && c < 0x80)
        *ret_bytes = (size_t)sprintf(ret, "\\x%02X", c); // NOLINT
    else if (w < 0)
        *ret_bytes = (size_t)sprintf(ret, "\\u%04X", c); // NOLINT
    else {
        memcpy(ret, p, bytes);
        *ret_bytes = bytes;
        return (size_t)w;
    }
    return *ret_bytes;
}

static struct lines cut(struct arena *a, const char *text) {
    size_t n = 1, left = strlen(text);
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        n++;
    struct lines l = {need(arena_array(a, n, sizeof *l.line)), 0};
    char *to = need(arena_alloc(a, left * TAB_COLUMNS + n)), *begin = to;
    size_t width = 0;
    while (left) {
        uint32_t c;
        size_t bytes = width_decode(text, left, &c), wrote;
        if (c == '\n') {
            *to++ = '\0';
            l.line[l.count++] = (struct line){begin, width};
            begin = to;
            width = 0;
        } else {
            width += shown(text, bytes, c, width, to, &wrote);
            to += wrote;
        }
        text += bytes;
        left -= bytes;
    }
    *to = '\0';
    l.line[l.count++] = (struct line){begin, width};
    return l;
}

size_t print_width(const char *text) {
    size_t left = strlen(text), width = 0;
    while (left) {
        uint32_t c;
        size_t bytes = width_decode(text, left, &c);
        int w = width_char(c);
        width += w > 0 ? (size_t)w : 0;
        text += bytes;
        left -= bytes;
    }
    return width;
}

static size_t widest(const struct lines *l) {
    size_t width = 0;
    for (size_t i = 0; i < l->count; i++)
        if (l->line[i].width > width)
            width = l->line[i].width;
    return width;
}

/* ---- lines of a table ------------------------------------------------------------------------------------------------------ */

struct rule {
    const char *left, *middle, *right;
};

static const struct style {
    const char *line;
    struct rule top, inner, bottom;
    const char *bar;
    const char *newline, *wrap; /* a cell goes on below: behind a newline, in the middle of a line */
} styles[] = {{"-", {"+", "+", "+"}, {"+", "+", "+"}, {"+", "+", "+"}, "|", "+", "."},
              {"\u2500",
               {"\u250c", "\u252c", "\u2510"},
               {"\u251c", "\u253c", "\u2524"},
               {"\u2514", "\u2534", "\u2518"},
               "\u2502",
               "\u21b5",
               "\u2026"}};

static const struct style *style_of(const struct print_options *o) {
    return &styles[o->unicode];
}

static void fill(FILE *to, const char *what, size_t n) {
    while (n--)
        fputs(what, to);
}

static void blanks(FILE *to, size_t n) {
    fill(to, " ", n);
}

static void rule(FILE *to, const struct print_options *o, const struct rule *r, const size_t *width, size_t columns) {
    const struct style *s = style_of(o);
    if (o->border == 1)
        fputs(s->line, to);
    else if (o->border == 2)
        fprintf(to, "%s%s", r->left, s->line);
    for (size_t i = 0; i < columns; i++) {
        fill(to, s->line, width[i]);
        if (i + 1 < columns && o->border == 0)
            fputc(' ', to);
        else if (i + 1 < columns)
            fprintf(to, "%s%s%s", s->line, r->middle, s->line);
    }
    if (o->border == 2)
        fprintf(to, "%s%s", s->line, r->right);
    else if (o->border == 1)
        fputs(s->line, to);
    fputc('\n', to);
}

/* One line of a cell as it is shown: a piece of a line where that is too long. */
struct piece {
    const char *text;
    size_t bytes, width;
    bool first, last; /* of its line */
    bool end;         /* of the cell */
};

/* The piece behind *at: line and byte. */
static bool next_piece(const struct lines *l, size_t width, size_t *line, size_t *byte, struct piece *ret) {
    if (*line >= l->count)
        return false;
    const char *text = l->line[*line].text + *byte;
    size_t left = strlen(text), n = 0, w = 0;
    *ret = (struct piece){.text = text, .first = *byte == 0};
    if (*byte == 0 && l->line[*line].width <= width) {
        n = left;
        w = l->line[*line].width;
    }
    while (n < left) {
        uint32_t c;
        size_t bytes = width_decode(text + n, left - n, &c);
        int cw = width_char(c);
        if (w + (size_t)(cw > 0 ? cw : 0) > width && n)
            break;
        w += (size_t)(cw > 0 ? cw : 0);
        n += bytes;
    }
    ret->bytes = n;
    ret->width = w;
    ret->last = n == left;
    *byte = ret->last ? 0 : *byte + n;
    *line += ret->last;
    ret->end = *line == l->count;
    return true;
}

static void headers(FILE *to, const struct print_options *o, const struct lines *head, const size_t *width,
                    size_t columns) {
    const struct style *s = style_of(o);
    size_t height = 0;
    for (size_t i = 0; i < columns; i++)
        if (head[i].count > height)
            height = head[i].count;
    for (size_t h = 0; h < height; h++) {
        fputs(o->border == 2 ? s->bar : "", to);
        for (size_t i = 0; i < columns; i++) {
            bool there = h < head[i].count;
            size_t room = there ? width[i] - head[i].line[h].width : width[i];
            fputs(o->border ? " " : "", to);
            blanks(to, there ? room / 2 : 0);
            fputs(there ? head[i].line[h].text : "", to);
            blanks(to, there ? room - room / 2 : room);
            fputs(h + 1 < head[i].count ? s->newline : " ", to);
            if (o->border && i + 1 < columns)
                fputs(s->bar, to);
        }
        fputs(o->border == 2 ? s->bar : "", to);
        fputc('\n', to);
    }
}

static void row(FILE *to, const struct print_options *o, const struct lines *cell, const struct print_column *column,
                const size_t *width, size_t columns, struct arena *a) {
    const struct style *s = style_of(o);
    struct place {
        size_t line, byte;
    } *at = need(arena_zalloc(a, (columns + 1) * sizeof *at));
    for (bool more = true; more;) {
        more = false;
        fputs(o->border == 2 ? s->bar : "", to);
        for (size_t i = 0; i < columns; i++) {
            struct piece p = {.end = true, .first = true, .last = true};
            bool last = i + 1 == columns;
            bool there = next_piece(&cell[i], width[i], &at[i].line, &at[i].byte, &p);
            size_t room = width[i] > p.width ? width[i] - p.width : 0;
            const char *mark = !there || (p.end && p.last) ? NULL : p.last ? s->newline : s->wrap;
            if (o->border)
                fputs(there && !p.first ? s->wrap : " ", to);
            if (there && column[i].right)
                blanks(to, room);
            fwrite(p.text ? p.text : "", 1, p.bytes, to);
            if (!(there && column[i].right) && (!last || mark || o->border == 2))
                blanks(to, room);
            if (mark)
                fputs(mark, to);
            else if (!last || o->border == 2)
                fputc(' ', to);
            if (o->border && !last)
                fputs(s->bar, to);
            more |= !p.end || !p.last;
        }
        fputs(o->border == 2 ? s->bar : "", to);
        fputc('\n', to);
    }
}

static bool has_footers(const struct print_options *o, const struct print_table *t) {
    return !o->tuples_only && !o->more_rows && (t->footers || (t->row_count && !o->no_footer));
}

static void footers(FILE *to, const struct print_options *o, const struct print_table *t, size_t rows) {
    if (o->tuples_only || o->more_rows)
        return;
    for (size_t i = 0; i < t->footers; i++)
        fprintf(to, "%s\n", t->footer[i]);
    if (!t->footers && t->row_count && !o->no_footer)
        fprintf(to, "(%zu row%s)\n", rows, rows == 1 ? "" : "s");
}

static const char *text_of(const struct print_options *o, const char *cell) {
    return cell ? cell : o->null;
}

static const char *title_of(const struct print_options *o, const struct print_table *t) {
    return o->tuples_only || o->prior_rows ? NULL : t->title ? t->title : o->title;
}

/* ---- aligned ------------------------------------------------------------------------------------------------------------------ */

/* Cells and columns with their widths. */
struct grid {
    struct arena arena;
    struct lines *head, *cell;
    size_t *width, *head_width, *most, *sum;
    size_t total; /* of a line */
};

static void grid_init(struct grid *g, const struct print_options *o, const struct print_table *t) {
    size_t n = t->columns;
    arena_init(&g->arena, 0);
    g->head = need(arena_array(&g->arena, n + 1, sizeof *g->head));
    g->cell = need(arena_array(&g->arena, t->cells + 1, sizeof *g->cell));
    g->width = need(arena_zalloc(&g->arena, 4 * (n + 1) * sizeof *g->width));
    g->head_width = g->width + n + 1;
    g->most = g->head_width + n + 1;
    g->sum = g->most + n + 1;
    for (size_t i = 0; i < n; i++) {
        g->head[i] = cut(&g->arena, t->column[i].name);
        g->width[i] = g->head_width[i] = widest(&g->head[i]);
    }
    for (size_t i = 0; i < t->cells; i++) {
        g->cell[i] = cut(&g->arena, text_of(o, t->cell[i]));
        size_t w = widest(&g->cell[i]);
        g->sum[i % n] += w;
        if (w > g->most[i % n])
            g->most[i % n] = w;
        if (w > g->width[i % n])
            g->width[i % n] = w;
    }
    g->total = o->border == 2 ? 3 * n + 1 : o->border == 1 ? (n ? 3 * n - 1 : 0) : n;
    for (size_t i = 0; i < n; i++)
        g->total += g->width[i];
}

/* Makes columns narrower until a line fits: always the one whose widest value is most out of proportion. */
static void squeeze(struct grid *g, const struct print_table *t, size_t columns) {
    while (g->total > columns && t->rows) {
        size_t worst = t->columns;
        double most = 0;
        for (size_t i = 0; i < t->columns; i++) {
            size_t average = g->sum[i] / t->rows;
            double out = average ? (double)g->width[i] / (double)average + (double)g->most[i] * 0.01 : 0;
            if (average && g->width[i] > g->head_width[i] && out > most) {
                most = out;
                worst = i;
            }
        }
        if (worst == t->columns)
            return;
        g->width[worst]--;
        g->total--;
    }
}

static void aligned(FILE *to, const struct print_options *o, const struct print_table *t, struct grid *g) {
    size_t n = t->columns;
    const char *title = title_of(o, t);
    if (o->format == PRINT_WRAPPED && o->columns) {
        size_t heads = g->total;
        for (size_t i = 0; i < n; i++)
            heads -= g->width[i] - g->head_width[i];
        if (heads <= o->columns)
            squeeze(g, t, o->columns);
    }
    if (title) {
        size_t w = print_width(title);
        blanks(to, w < g->total ? (g->total - w) / 2 : 0);
        fprintf(to, "%s\n", title);
    }
    if (!o->tuples_only && !o->prior_rows) {
        if (o->border == 2)
            rule(to, o, &style_of(o)->top, g->width, n);
        headers(to, o, g->head, g->width, n);
        rule(to, o, &style_of(o)->inner, g->width, n);
    }
    for (size_t i = 0; i < t->cells; i += n)
        row(to, o, g->cell + i, t->column, g->width, n, &g->arena);
    if (o->more_rows)
        return;
    if (o->border == 2)
        rule(to, o, &style_of(o)->bottom, g->width, n);
    footers(to, o, t, o->prior_rows + t->rows);
    fputc('\n', to);
}

/* ---- expanded ------------------------------------------------------------------------------------------------------------------- */

/* "-[ RECORD 1 ]-+----": the title may be wider than the names. */
static void record_rule(FILE *to, const struct print_options *o, const struct rule *r, size_t record, size_t left,
                        size_t right) {
    const struct style *s = style_of(o);
    const char *line = o->border ? s->line : " ";
    const char *joint[] = {line, o->border ? r->middle : "", o->border ? line : ""};
    size_t joints = o->border ? 3 : 1, at = o->border == 2 ? 0 : 1;
    if (o->border)
        fprintf(to, "%s%s", o->border == 2 ? r->left : "", line);
    if (record)
        at += (size_t)fprintf(to, o->border ? "[ RECORD %zu ]" : "* Record %zu", record);
    for (; at < left; at++)
        fputs(line, to);
    size_t over = at - left; /* of the title, into what follows */
    for (size_t i = over; i < joints; i++)
        fputs(joint[i], to);
    fill(to, line, right - (over > joints ? (over - joints < right ? over - joints : right) : 0));
    if (o->border == 2)
        fprintf(to, "%s%s", line, r->right);
    fputc('\n', to);
}

static void field(FILE *to, const struct print_options *o, const struct lines *head, const struct lines *data,
                  size_t left, size_t right) {
    const struct style *s = style_of(o);
    size_t line = 0, byte = 0;
    bool more = true;
    for (size_t i = 0; i < head->count || more; i++) {
        struct piece p = {.first = true, .last = true, .end = true};
        bool there = more && next_piece(data, right, &line, &byte, &p), open = i + 1 < head->count;
        const char *mark = !there || (p.end && p.last) ? NULL : p.last ? s->newline : s->wrap;
        more = mark != NULL;
        if (o->border == 2)
            fprintf(to, "%s ", s->bar);
        fputs(i < head->count ? head->line[i].text : "", to);
        blanks(to, left - (i < head->count ? head->line[i].width : 0));
        fputs(open ? s->newline : !o->border && there && !p.first ? s->wrap : " ", to);
        if (o->border)
            fputs(s->bar, to);
        if (o->border && (there || o->border == 2))
            fputs(there && !p.first ? s->wrap : " ", to);
        fwrite(p.text ? p.text : "", 1, p.bytes, to);
        if (mark || o->border == 2)
            blanks(to, right > p.width ? right - p.width : 0);
        fputs(mark ? mark : o->border == 2 ? " " : "", to);
        fputs(o->border == 2 ? s->bar : "", to);
        fputc('\n', to);
    }
}

static void expanded(FILE *to, const struct print_options *o, const struct print_table *t, const struct grid *g) {
    size_t n = t->columns, left = 0, right = 0;
    const char *title = title_of(o, t);
    if (t->cells == 0 && !o->prior_rows) {
        footers(to, o, t, t->rows);
        fputc('\n', to);
        return;
    }
    for (size_t i = 0; i < n; i++)
        left = g->head_width[i] > left ? g->head_width[i] : left;
    for (size_t i = 0; i < n; i++)
        right = g->most[i] > right ? g->most[i] : right;
    size_t around = o->border == 2 ? 7 : o->border == 1 ? 4 : 2;
    if (o->format == PRINT_WRAPPED && o->columns > left + around && right + left + around > o->columns)
        right = o->columns - left - around;
    if (title)
        fprintf(to, "%s\n", title);
    for (size_t i = 0; i < t->cells; i++) {
        size_t record = o->prior_rows + i / n;
        if (i % n == 0 && (!o->tuples_only || record || o->border == 2))
            record_rule(to, o, record ? &style_of(o)->inner : &style_of(o)->top, o->tuples_only ? 0 : record + 1, left,
                        right);
        field(to, o, &g->head[i % n], &g->cell[i], left, right);
    }
    if (o->more_rows)
        return;
    if (o->border == 2)
        record_rule(to, o, &style_of(o)->bottom, 0, left, right);
    if (t->footers && !o->tuples_only) {
        fputc('\n', to);
        footers(to, o, t, t->rows);
    }
    fputc('\n', to);
}

static void aligned_either(FILE *to, const struct print_options *o, const struct print_table *t) {
    struct grid g;
    grid_init(&g, o, t);
    bool wide = o->expanded_auto && o->columns && g.total > o->columns && t->columns > 0;
    if (o->expanded || wide)
        expanded(to, o, t, &g);
    else
        aligned(to, o, t, &g);
    arena_done(&g.arena);
}

/* ---- html ------------------------------------------------------------------------------------------------------------------- */

static void html_text(FILE *to, const char *text) {
    bool leading = true;
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", to);
            break;
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        case '\n':
            fputs("<br />\n", to);
            break;
        case ' ':
            fputs(leading ? "&nbsp;" : " ", to);
            break;
        default:
            fputc(*text, to);
        }
        leading &= *text == ' ';
    }
}

static void html_cell(FILE *to, const struct print_options *o, const struct print_column *c, const char *cell) {
    const char *text = text_of(o, cell);
    fprintf(to, "    <td align=\"%s\">", c->right ? "right" : "left");
    if (text[strspn(text, " \t")] == '\0')
        fputs("&nbsp; ", to);
    else
        html_text(to, text);
    fputs("</td>\n", to);
}

static void html_head(FILE *to, const struct print_options *o, const struct print_table *t) {
    const char *title = title_of(o, t);
    if (o->prior_rows)
        return;
    fprintf(to, "<table border=\"%d\"%s%s>\n", o->border, o->table_attributes ? " " : "",
            o->table_attributes ? o->table_attributes : "");
    if (title) {
        fputs("  <caption>", to);
        html_text(to, title);
        fputs("</caption>\n", to);
    }
    if (o->tuples_only || o->expanded)
        return;
    fputs("  <tr>\n", to);
    for (size_t i = 0; i < t->columns; i++) {
        fputs("    <th align=\"center\">", to);
        html_text(to, t->column[i].name);
        fputs("</th>\n", to);
    }
    fputs("  </tr>\n", to);
}

static void html(FILE *to, const struct print_options *o, const struct print_table *t) {
    html_head(to, o, t);
    for (size_t i = 0; i < t->cells; i++) {
        const struct print_column *c = &t->column[i % t->columns];
        if (i % t->columns == 0 && o->expanded && !o->tuples_only)
            fprintf(to, "\n  <tr><td colspan=\"2\" align=\"center\">Record %zu</td></tr>\n",
                    o->prior_rows + i / t->columns + 1);
        else if (i % t->columns == 0 && o->expanded)
            fputs("\n  <tr><td colspan=\"2\">&nbsp;</td></tr>\n", to);
        if (i % t->columns == 0 || o->expanded)
            fputs("  <tr valign=\"top\">\n", to);
        if (o->expanded) {
            fputs("    <th>", to);
            html_text(to, c->name);
            fputs("</th>\n", to);
        }
        html_cell(to, o, c, t->cell[i]);
        if ((i + 1) % t->columns == 0 || o->expanded)
            fputs("  </tr>\n", to);
    }
    if (o->more_rows)
        return;
    fputs("</table>\n", to);
    if (has_footers(o, t) && (t->footers || !o->expanded)) {
        fputs("<p>", to);
        for (size_t i = 0; i < t->footers; i++) {
            html_text(to, t->footer[i]);
            fputs("<br />\n", to);
        }
        if (!t->footers)
            fprintf(to, "(%zu row%s)<br />\n", o->prior_rows + t->rows, o->prior_rows + t->rows == 1 ? "" : "s");
        fputs("</p>", to);
    }
    fputc('\n', to);
}

static void unaligned_expanded(FILE *to, const struct print_options *o, const struct print_table *t) {
    const char *title = title_of(o, t);
    if (title)
        fprintf(to, "%s\n", title);
    for (size_t i = 0; i < t->cells; i++) {
        if ((i || o->prior_rows) && i % t->columns == 0)
            fputc('\n', to);
        fprintf(to, "%s%s%s\n", t->column[i % t->columns].name, o->separator, text_of(o, t->cell[i]));
    }
    if (t->cells && t->footers && !o->tuples_only && !o->more_rows) {
        fputc('\n', to);
        footers(to, o, t, t->rows);
    }
}

/* ---- for programs ----------------------------------------------------------------------------------------------------------------- */

static void csv_field(FILE *to, const struct print_options *o, const char *text) {
    char special[] = {o->csv_separator ? o->csv_separator : ',', '"', '\r', '\n', '\0'};
    bool plain = !text[strcspn(text, special)] && strcmp(text, "\\.") != 0;
    if (plain) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

static void json_text(FILE *to, const char *text) {
    fputc('"', to);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(to, "\\%c", *text);
        else if (*text == '\n')
            fputs("\\n", to);
        else if ((unsigned char)*text < 0x20)
            fprintf(to, "\\u%04x", (unsigned)*text);
        else
            fputc(*text, to);
    fputc('"', to);
}

/* NaN and the infinities are no json. */
static bool json_literal(const char *text) {
    return strcmp(text, "NaN") != 0 && strcmp(text, "Infinity") != 0 && strcmp(text, "-Infinity") != 0;
}

static void json_value(FILE *to, const struct print_column *c, const char *text) {
    if (!text)
        fputs("null", to);
    else if (c->literal && strcmp(text, "t") == 0)
        fputs("true", to);
    else if (c->literal && strcmp(text, "f") == 0)
        fputs("false", to);
    else if (c->literal && json_literal(text))
        fputs(text, to);
    else
        json_text(to, text);
}

const char *print_format_name(enum print_format f) {
    static const char *const names[PRINT_FORMATS] = {"aligned", "unaligned", "csv", "json", "wrapped", "html"};
    return names[f];
}

bool print_streams(const struct print_options *o) {
    return o->format == PRINT_CSV || o->format == PRINT_JSON || (o->format == PRINT_UNALIGNED && !o->expanded);
}

static void csv_next(FILE *to, const struct print_options *o) {
    fputc(o->csv_separator ? o->csv_separator : ',', to);
}

/* Between records of unaligned. */
static void record_end(FILE *to, const struct print_options *o) {
    fputs(o->record_separator ? o->record_separator : "\n", to);
}

void print_head(FILE *to, const struct print_options *o, const struct print_table *t) {
    const char *title = title_of(o, t);
    if (o->format == PRINT_JSON) {
        fputc('[', to);
        return;
    }
    if (o->tuples_only || (o->expanded && o->format == PRINT_CSV))
        return;
    if (title && o->format == PRINT_UNALIGNED) {
        fputs(title, to);
        record_end(to, o);
    }
    for (size_t i = 0; i < t->columns; i++) {
        if (i && o->format == PRINT_CSV)
            csv_next(to, o);
        else if (i)
            fputs(o->separator, to);
        if (o->format == PRINT_CSV)
            csv_field(to, o, t->column[i].name);
        else
            fputs(t->column[i].name, to);
    }
    if (o->format == PRINT_CSV)
        fputc('\n', to);
}

static void json_row(FILE *to, const struct print_table *t, const char *const *cell, bool first) {
    fputs(first ? "\n{" : ",\n{", to);
    for (size_t i = 0; i < t->columns; i++) {
        fputs(i ? "," : "", to);
        json_text(to, t->column[i].name);
        fputc(':', to);
        json_value(to, &t->column[i], cell[i]);
    }
    fputc('}', to);
}

static void csv_row(FILE *to, const struct print_options *o, const struct print_table *t, const char *const *cell) {
    for (size_t i = 0; i < t->columns; i++) {
        if (o->expanded) {
            csv_field(to, o, t->column[i].name);
            csv_next(to, o);
        } else if (i) {
            csv_next(to, o);
        }
        csv_field(to, o, text_of(o, cell[i]));
        fputs(o->expanded ? "\n" : "", to);
    }
    fputs(o->expanded || !t->columns ? "" : "\n", to);
}

static void print_one(FILE *to, const struct print_options *o, const struct print_table *t, const char *const *cell,
                      bool first) {
    if (o->format == PRINT_JSON) {
        json_row(to, t, cell, first);
        return;
    }
    if (o->format == PRINT_CSV) {
        csv_row(to, o, t, cell);
        return;
    }
    if (t->columns == 0)
        return;
    if (!first || !o->tuples_only)
        record_end(to, o);
    for (size_t i = 0; i < t->columns; i++) {
        fputs(i ? o->separator : "", to);
        fputs(text_of(o, cell[i]), to);
    }
}

void print_row(FILE *to, const struct print_options *o, const struct print_table *t, bool first) {
    print_one(to, o, t, t->cell, first);
}

void print_tail(FILE *to, const struct print_options *o, const struct print_table *t, size_t rows) {
    if (o->format == PRINT_JSON)
        fputs(rows ? "\n]\n" : "]\n", to);
    if (o->format != PRINT_UNALIGNED)
        return;
    if (has_footers(o, t)) {
        for (size_t i = 0; i < t->footers; i++) {
            record_end(to, o);
            fputs(t->footer[i], to);
        }
        if (!t->footers) {
            record_end(to, o);
            fprintf(to, "(%zu row%s)", rows, rows == 1 ? "" : "s");
        }
    }
    if (!o->tuples_only || (rows && t->columns))
        fputc('\n', to);
}

void print_table(FILE *to, const struct print_options *o, const struct print_table *t) {
    if (o->format == PRINT_ALIGNED || o->format == PRINT_WRAPPED) {
        aligned_either(to, o, t);
        return;
    }
    if (o->format == PRINT_HTML) {
        html(to, o, t);
        return;
    }
    if (o->format == PRINT_UNALIGNED && o->expanded) {
        unaligned_expanded(to, o, t);
        return;
    }
    print_head(to, o, t);
    for (size_t i = 0; i < t->rows; i++)
        print_one(to, o, t, t->cell + i * t->columns, i == 0);
    print_tail(to, o, t, t->rows);
}
