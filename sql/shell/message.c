/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.c: what the shell and the server say to the user: where, how much of it, and once more for \errverbose.
 *
 * VERBOSITY chooses the parts of an error: sqlstate (its code), terse (one line), default, verbose (all that came). The last one
 * is kept as it came.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/shell/shell.h"
#include "sql/shell/width.h"

enum { POINT_COLUMNS = 60, POINT_RIGHT = 10, POINT_CHARS_MAX = 100000 };

/* "meridian sql:FILE:LINE: ", or nothing. */
static void locus(struct shell *sh, bool always) {
    const struct shell_source *src = sh->source;
    if (src && src->name)
        fprintf(stderr, "meridian sql:%s:%zu: ", src->name, src->line);
    else if (always && !(src && src->terse))
        fprintf(stderr, "meridian sql: ");
}

void shell_error(struct shell *sh, const char *fmt, ...) {
    va_list ap;
    fflush(sh->out);
    locus(sh, true);
    if (!(sh->source && sh->source->terse))
        fprintf(stderr, "error: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* The line of the statement that a position lies in, cut to 60 columns around it, with a caret below. */
static void point_at(const char *sql, int position) {
    size_t bytes = strlen(sql), at = 0;
    size_t begin = 0, here = 0, line = 1;
    for (int i = 1; at < bytes && i <= position; i++) { /* characters from 1 */
        uint32_t c;
        here = at;
        size_t n = width_decode(sql + at, bytes - at, &c);
        at += n;
        if (i < position && c == '\n') {
            line++;
            begin = at;
            here = at;
        } else if (i < position) {
            here = at;
        }
    }
    size_t end = begin + strcspn(sql + begin, "\r\n");
    if (end - begin > POINT_CHARS_MAX)
        return;
    /* columns of the line's characters */
    size_t *offset = calloc(end - begin + 2, sizeof *offset), *column = calloc(end - begin + 2, sizeof *column);
    if (!offset || !column)
        shell_nomem();
    size_t chars = 0, loc = 0, total = 0;
    for (size_t p = begin; p < end;) {
        uint32_t c;
        size_t n = width_decode(sql + p, end - p, &c);
        int w = width_char(c);
        if (p <= here)
            loc = chars;
        offset[chars] = p;
        column[chars++] = total;
        total += w > 0 ? (size_t)w : 1;
        p += n;
    }
    if (here >= end)
        loc = chars;
    offset[chars] = end;
    column[chars] = total;
    size_t from = 0, to = chars;
    bool cut_left = false, cut_right = false;
    if (column[to] > POINT_COLUMNS) {
        if (POINT_COLUMNS >= column[loc] + POINT_RIGHT) {
            while (column[to] > POINT_COLUMNS)
                to--;
            cut_right = true;
        } else {
            while (column[loc] + POINT_RIGHT < column[to]) {
                to--;
                cut_right = true;
            }
            while (column[to] - column[from] > POINT_COLUMNS) {
                from++;
                cut_left = true;
            }
        }
    }
    int head = fprintf(stderr, "LINE %zu: %s", line, cut_left ? "..." : "");
    for (size_t p = offset[from]; p < offset[to]; p++)
        fputc(sql[p] == '\t' ? ' ' : sql[p], stderr);
    fprintf(stderr, "%s\n%*s^\n", cut_right ? "..." : "", head + (int)(column[loc] - column[from]), "");
    free(offset);
    free(column);
}

/* ---- parts ------------------------------------------------------------------------------------------------------------------ */

static void field(const char *label, const char *text) {
    if (text)
        fprintf(stderr, "%s:  %s\n", label, text);
}

static enum shell_verbosity verbosity(const struct shell *sh) {
    static const char *const names[] = {"default", "verbose", "terse", "sqlstate"};
    const char *now = var_get(sh, "VERBOSITY");
    for (size_t i = 0; now && i < ARRAY_LEN(names); i++)
        if (strcmp(now, names[i]) == 0)
            return (enum shell_verbosity)i;
    return SHELL_VERBOSITY_DEFAULT;
}

static bool shows_context(const struct shell *sh, bool error) {
    const char *now = var_get(sh, "SHOW_CONTEXT");
    return now && strcmp(now, "always") == 0 ? true : now && strcmp(now, "never") == 0 ? false : error;
}

static const struct {
    int field;
    const char *label;
} objects[] = {{MERIDIAN_FIELD_SCHEMA, "SCHEMA NAME"},
               {MERIDIAN_FIELD_TABLE, "TABLE NAME"},
               {MERIDIAN_FIELD_COLUMN, "COLUMN NAME"},
               {MERIDIAN_FIELD_TYPE, "DATATYPE NAME"},
               {MERIDIAN_FIELD_CONSTRAINT, "CONSTRAINT NAME"}};

/* text: the statement, if its place in it is to be shown. */
static void print(struct shell *sh, char *const f[MERIDIAN_FIELDS], int position, const char *text, bool error,
                  enum shell_verbosity how) {
    const char *state = f[MERIDIAN_FIELD_SQLSTATE], *severity = f[MERIDIAN_FIELD_SEVERITY];
    fflush(sh->out);
    locus(sh, false);
    fprintf(stderr, "%s:  ", severity ? severity : error ? "ERROR" : "NOTICE");
    if (how == SHELL_VERBOSITY_SQLSTATE && state) {
        fprintf(stderr, "%s\n", state);
        return;
    }
    if (how == SHELL_VERBOSITY_VERBOSE && state)
        fprintf(stderr, "%s: ", state);
    fputs(f[MERIDIAN_FIELD_MESSAGE] ? f[MERIDIAN_FIELD_MESSAGE] : "", stderr);
    if (position > 0 && how == SHELL_VERBOSITY_TERSE)
        fprintf(stderr, " at character %d", position);
    fputc('\n', stderr);
    if (how == SHELL_VERBOSITY_TERSE)
        return;
    if (text && position > 0)
        point_at(text, position);
    field("DETAIL", f[MERIDIAN_FIELD_DETAIL]);
    field("HINT", f[MERIDIAN_FIELD_HINT]);
    if (shows_context(sh, error))
        field("CONTEXT", f[MERIDIAN_FIELD_CONTEXT]);
    for (size_t i = 0; how == SHELL_VERBOSITY_VERBOSE && i < ARRAY_LEN(objects); i++)
        field(objects[i].label, f[objects[i].field]);
}

/* ---- errors and notices ------------------------------------------------------------------------------------------------------ */

void message_forget(struct shell *sh) {
    for (int i = 0; i < MERIDIAN_FIELDS; i++) {
        free(sh->error.field[i]);
        sh->error.field[i] = NULL;
    }
    free(sh->error.sql);
    sh->error.sql = NULL;
}

static char *copy(const char *text) {
    char *c = text ? strdup(text) : NULL;
    if (text && !c)
        shell_nomem();
    return c;
}

void shell_db_error(struct shell *sh, const char *sql) {
    struct shell_error *e = &sh->error;
    const char *echo = var_get(sh, "ECHO");
    message_forget(sh);
    for (int i = 0; i < MERIDIAN_FIELDS; i++)
        e->field[i] = copy(meridian_error_field(sh->db, i));
    free(e->field[MERIDIAN_FIELD_MESSAGE]);
    e->field[MERIDIAN_FIELD_MESSAGE] = copy(meridian_errmsg(sh->db));
    e->position = meridian_error_position(sh->db);
    e->sql = copy(sql);
    print(sh, e->field, e->position, e->sql, true, verbosity(sh));
    if (sql && echo && strcmp(echo, "errors") == 0)
        fprintf(stderr, "STATEMENT:  %s\n", sql);
    const char *state = e->field[MERIDIAN_FIELD_SQLSTATE];
    var_set(sh, "SQLSTATE", state ? state : "XX000");
    var_set(sh, "LAST_ERROR_SQLSTATE", state ? state : "XX000");
    var_set(sh, "LAST_ERROR_MESSAGE", e->field[MERIDIAN_FIELD_MESSAGE]);
    var_set(sh, "ERROR", "true");
}

void message_again(struct shell *sh) {
    if (!sh->error.field[MERIDIAN_FIELD_MESSAGE])
        puts("There is no previous error.");
    else
        print(sh, sh->error.field, sh->error.position, sh->error.sql, true, SHELL_VERBOSITY_VERBOSE);
}

void message_notice(meridian *db, void *ctx) {
    struct shell *sh = ctx;
    char *f[MERIDIAN_FIELDS];
    for (int i = 0; i < MERIDIAN_FIELDS; i++)
        f[i] = copy(meridian_notice_field(db, i));
    print(sh, f, 0, NULL, false, verbosity(sh));
    for (int i = 0; i < MERIDIAN_FIELDS; i++)
        free(f[i]);
}
