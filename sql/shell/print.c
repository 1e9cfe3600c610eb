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

static void fill(FILE *to, char c, size_t n) {
    while (n--)
        fputc(c, to);
}

/* ---- aligned ------------------------------------------------------------------------------------------------------------------ */

static void rule(FILE *to, const size_t *width, size_t columns) {
    fputc('-', to);
    for (size_t i = 0; i < columns; i++) {
        fill(to, '-', width[i]);
        if (i + 1 < columns)
            fputs("-+-", to);
    }
    fputs("-\n", to);
}

static void headers(FILE *to, const struct lines *head, const size_t *width, size_t columns) {
    size_t height = 0;
    for (size_t i = 0; i < columns; i++)
        if (head[i].count > height)
            height = head[i].count;
    for (size_t h = 0; h < height; h++) {
        for (size_t i = 0; i < columns; i++) {
            bool there = h < head[i].count;
            size_t room = there ? width[i] - head[i].line[h].width : width[i];
            fputc(' ', to);
            fill(to, ' ', there ? room / 2 : 0);
            fputs(there ? head[i].line[h].text : "", to);
            fill(to, ' ', there ? room - room / 2 : room);
            fputc(h + 1 < head[i].count ? '+' : ' ', to);
            if (i + 1 < columns)
                fputc('|', to);
        }
        fputc('\n', to);
    }
}

static void row(FILE *to, const struct lines *cell, const struct print_column *column, const size_t *width,
                size_t columns) {
    size_t height = 1;
    for (size_t i = 0; i < columns; i++)
        if (cell[i].count > height)
            height = cell[i].count;
    for (size_t h = 0; h < height; h++) {
        for (size_t i = 0; i < columns; i++) {
            bool there = h < cell[i].count, more = h + 1 < cell[i].count, last = i + 1 == columns;
            size_t room = there ? width[i] - cell[i].line[h].width : width[i];
            fputc(' ', to);
            if (there && column[i].right)
                fill(to, ' ', room);
            if (there)
                fputs(cell[i].line[h].text, to);
            if (!(there && column[i].right) && (!last || more))
                fill(to, ' ', room);
            if (more)
                fputc('+', to);
            else if (!last)
                fputc(' ', to);
            if (!last)
                fputc('|', to);
        }
        fputc('\n', to);
    }
}

static void footers(FILE *to, const struct print_options *o, const struct print_table *t, size_t rows) {
    if (o->tuples_only)
        return;
    for (size_t i = 0; i < t->footers; i++)
        fprintf(to, "%s\n", t->footer[i]);
    if (!t->footers && t->row_count)
        fprintf(to, "(%zu row%s)\n", rows, rows == 1 ? "" : "s");
}

static const char *text_of(const struct print_options *o, const char *cell) {
    return cell ? cell : o->null;
}

static void aligned(FILE *to, const struct print_options *o, const struct print_table *t) {
    struct arena a;
    arena_init(&a, 0);
    size_t n = t->columns, total = n ? 3 * n - 1 : 0;
    size_t *width = need(arena_zalloc(&a, (n + 1) * sizeof *width));
    struct lines *head = need(arena_array(&a, n + 1, sizeof *head));
    struct lines *cell = need(arena_array(&a, t->cells + 1, sizeof *cell));
    for (size_t i = 0; i < n; i++) {
        head[i] = cut(&a, t->column[i].name);
        width[i] = widest(&head[i]);
    }
    for (size_t i = 0; i < t->cells; i++) {
        cell[i] = cut(&a, text_of(o, t->cell[i]));
        size_t w = widest(&cell[i]);
        if (w > width[i % n])
            width[i % n] = w;
    }
    for (size_t i = 0; i < n; i++)
        total += width[i];
    if (!o->tuples_only) {
        if (t->title) {
            size_t w = print_width(t->title);
            fill(to, ' ', w < total ? (total - w) / 2 : 0);
            fprintf(to, "%s\n", t->title);
        }
        headers(to, head, width, n);
        rule(to, width, n);
    }
    for (size_t i = 0; i < t->cells; i += n)
        row(to, cell + i, t->column, width, n);
    footers(to, o, t, t->rows);
    fputc('\n', to);
    arena_done(&a);
}

/* ---- expanded ------------------------------------------------------------------------------------------------------------------- */

/* "-[ RECORD 1 ]-+----": the title may be wider than the names. */
static void record_rule(FILE *to, size_t record, size_t left, size_t right) {
    char title[48] = "";
    size_t n = 0;
    if (record)
        n = (size_t)snprintf(title, sizeof title, "[ RECORD %zu ]", record);
    fprintf(to, "-%s", title);
    size_t at = n + 1; /* columns written */
    for (; at < left; at++)
        fputc('-', to);
    size_t over = at - left; /* of the title, into what follows */
    static const char joint[] = "-+-";
    for (size_t i = over; i < 3; i++)
        fputc(joint[i], to);
    for (size_t i = over > 3 ? over - 3 : 0; i < right; i++)
        fputc('-', to);
    fputc('\n', to);
}

static void field(FILE *to, const struct lines *head, const struct lines *data, size_t left, size_t right) {
    for (size_t i = 0; i < head->count || i < data->count; i++) {
        if (i < head->count) {
            fputs(head->line[i].text, to);
            fill(to, ' ', left - head->line[i].width);
            fputc(i + 1 < head->count ? '+' : ' ', to);
        } else {
            fill(to, ' ', left + 1);
        }
        fputc('|', to);
        if (i < data->count) {
            fprintf(to, " %s", data->line[i].text);
            if (i + 1 < data->count) {
                fill(to, ' ', right - data->line[i].width);
                fputc('+', to);
            }
        }
        fputc('\n', to);
    }
}

static void expanded(FILE *to, const struct print_options *o, const struct print_table *t) {
    struct arena a;
    arena_init(&a, 0);
    size_t n = t->columns, left = 0, right = 0;
    struct lines *head = need(arena_array(&a, n + 1, sizeof *head));
    struct lines *cell = need(arena_array(&a, t->cells + 1, sizeof *cell));
    if (t->cells == 0) {
        footers(to, o, t, t->rows);
        fputc('\n', to);
        arena_done(&a);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        head[i] = cut(&a, t->column[i].name);
        if (widest(&head[i]) > left)
            left = widest(&head[i]);
    }
    for (size_t i = 0; i < t->cells; i++) {
        cell[i] = cut(&a, text_of(o, t->cell[i]));
        if (widest(&cell[i]) > right)
            right = widest(&cell[i]);
    }
    if (t->title && !o->tuples_only)
        fprintf(to, "%s\n", t->title);
    for (size_t i = 0; i < t->cells; i++) {
        if (i % n == 0 && (!o->tuples_only || i))
            record_rule(to, o->tuples_only ? 0 : i / n + 1, left, right);
        field(to, &head[i % n], &cell[i], left, right);
    }
    if (t->footers && !o->tuples_only) {
        fputc('\n', to);
        footers(to, o, t, t->rows);
    }
    fputc('\n', to);
    arena_done(&a);
}

static void unaligned_expanded(FILE *to, const struct print_options *o, const struct print_table *t) {
    if (t->title && !o->tuples_only)
        fprintf(to, "%s\n", t->title);
    for (size_t i = 0; i < t->cells; i++) {
        if (i && i % t->columns == 0)
            fputc('\n', to);
        fprintf(to, "%s%s%s\n", t->column[i % t->columns].name, o->separator, text_of(o, t->cell[i]));
    }
    if (t->cells && t->footers && !o->tuples_only) {
        fputc('\n', to);
        footers(to, o, t, t->rows);
    }
}

/* ---- for programs ----------------------------------------------------------------------------------------------------------------- */

static void csv_field(FILE *to, const char *text) {
    bool plain = !text[strcspn(text, ",\"\r\n")] && strcmp(text, "\\.") != 0;
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

bool print_streams(const struct print_options *o) {
    return o->format != PRINT_ALIGNED && (!o->expanded || o->format != PRINT_UNALIGNED);
}

void print_head(FILE *to, const struct print_options *o, const struct print_table *t) {
    if (o->format == PRINT_JSON) {
        fputc('[', to);
        return;
    }
    if (o->tuples_only || (o->expanded && o->format == PRINT_CSV))
        return;
    if (t->title && o->format == PRINT_UNALIGNED)
        fprintf(to, "%s\n", t->title);
    for (size_t i = 0; i < t->columns; i++) {
        if (i)
            fputs(o->format == PRINT_CSV ? "," : o->separator, to);
        if (o->format == PRINT_CSV)
            csv_field(to, t->column[i].name);
        else
            fputs(t->column[i].name, to);
    }
    fputc('\n', to);
}

static void print_one(FILE *to, const struct print_options *o, const struct print_table *t, const char *const *cell,
                      bool first) {
    if (t->columns == 0 && o->format != PRINT_JSON)
        return;
    if (o->format == PRINT_JSON)
        fputs(first ? "\n{" : ",\n{", to);
    for (size_t i = 0; i < t->columns; i++) {
        if (o->format == PRINT_CSV && o->expanded) {
            csv_field(to, t->column[i].name);
            fputc(',', to);
            csv_field(to, text_of(o, cell[i]));
            fputc('\n', to);
            continue;
        }
        if (i)
            fputs(o->format == PRINT_UNALIGNED ? o->separator : ",", to);
        if (o->format == PRINT_JSON) {
            json_text(to, t->column[i].name);
            fputc(':', to);
            json_value(to, &t->column[i], cell[i]);
        } else if (o->format == PRINT_CSV) {
            csv_field(to, text_of(o, cell[i]));
        } else {
            fputs(text_of(o, cell[i]), to);
        }
    }
    if (o->format == PRINT_JSON)
        fputc('}', to);
    else if (!(o->format == PRINT_CSV && o->expanded))
        fputc('\n', to);
}

void print_row(FILE *to, const struct print_options *o, const struct print_table *t, bool first) {
    print_one(to, o, t, t->cell, first);
}

void print_tail(FILE *to, const struct print_options *o, const struct print_table *t, size_t rows) {
    if (o->format == PRINT_JSON)
        fputs(rows ? "\n]\n" : "]\n", to);
    else if (o->format == PRINT_UNALIGNED)
        footers(to, o, t, rows);
}

void print_table(FILE *to, const struct print_options *o, const struct print_table *t) {
    if (o->format == PRINT_ALIGNED) {
        (o->expanded ? expanded : aligned)(to, o, t);
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
