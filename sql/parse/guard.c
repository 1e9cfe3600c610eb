/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c: a scanner that knows just enough of SQL's words to see where the tree nests. */
#include "sql/parse/guard.h"

#include <string.h>
#include <strings.h>

#include "sql/parse/utf8.h"

struct level {
    uint32_t opened; /* what opening it cost */
    uint32_t ops;    /* since the last comma, AND or OR */
    uint32_t joins;
    bool is_case; /* closed by END */
};

struct scan {
    const char *at, *end;
    struct level *level; /* GUARD_DEPTH_MAX + 2 of them at most, and no more than bytes: each costs one at least */
    uint32_t open, depth, depth_max;
    uint32_t run, run_max; /* operator characters in a row */
};

static bool word_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

static bool word_more(char c) {
    return word_start(c) || digit(c) || c == '$';
}

static bool operator_char(char c) {
    return c != '\0' && strchr("+-*/<>=~!@#%^&|`?", c) != NULL;
}

/* ---- what is skipped whole --------------------------------------------------------------------------------------- */

static void skip_quoted(struct scan *s, char quote, bool backslashes) {
    for (s->at++; s->at < s->end; s->at++) {
        if (backslashes && *s->at == '\\' && s->at + 1 < s->end)
            s->at++;
        else if (*s->at == quote) {
            s->at++;
            if (s->at >= s->end || *s->at != quote) /* a doubled quote is one inside */
                return;
        }
    }
}

static void skip_line(struct scan *s) {
    while (s->at < s->end && *s->at != '\n' && *s->at != '\r')
        s->at++;
}

static void count_run(struct scan *s, bool more) {
    s->run = more ? s->run + 1 : 0;
    if (s->run > s->run_max)
        s->run_max = s->run;
}

static void skip_comment(struct scan *s) {
    uint32_t open = 0;
    for (; s->end - s->at >= 2; s->at++) {
        bool begins = s->at[0] == '/' && s->at[1] == '*', ends = s->at[0] == '*' && s->at[1] == '/';
        count_run(s, operator_char(*s->at));
        if (!begins && !ends)
            continue;
        s->at++;
        count_run(s, true);
        open = begins ? open + 1 : open - 1;
        if (open == 0) {
            s->at++;
            return;
        }
    }
    s->at = s->end;
}

/* $tag$ ... $tag$; false: a dollar that begins none ($1). */
static bool skip_dollar(struct scan *s) {
    const char *p = s->at + 1;
    if (p < s->end && digit(*p))
        return false;
    while (p < s->end && word_more(*p) && *p != '$')
        p++;
    if (p >= s->end || *p != '$')
        return false;
    size_t n = (size_t)(p + 1 - s->at);
    const char *close = memmem(p + 1, (size_t)(s->end - p - 1), s->at, n);
    s->at = close ? close + n : s->end;
    return true;
}

/* ---- depth --------------------------------------------------------------------------------------------------------- */

static void deepen(struct scan *s, uint32_t *what, uint32_t by) {
    *what += by;
    s->depth += by;
    if (s->depth > s->depth_max)
        s->depth_max = s->depth;
}

static void open_level(struct scan *s, uint32_t cost, bool is_case) {
    struct level *l = &s->level[++s->open];
    *l = (struct level){.is_case = is_case};
    deepen(s, &l->opened, cost);
}

static void close_level(struct scan *s) {
    if (s->open == 0)
        return;
    const struct level *l = &s->level[s->open--];
    s->depth -= l->opened + l->ops + l->joins;
}

static void next_operand(struct scan *s) {
    struct level *l = &s->level[s->open];
    s->depth -= l->ops;
    l->ops = 0;
}

static void next_statement(struct scan *s) {
    while (s->open > 0)
        close_level(s);
    s->depth = 0;
    s->level[0] = (struct level){0};
}

static bool is(const char *word, size_t n, const char *what) {
    return strlen(what) == n && strncasecmp(word, what, n) == 0;
}

static bool is_one_of(const char *word, size_t n, const char *const *list) {
    for (; *list; list++)
        if (is(word, n, *list))
            return true;
    return false;
}

static void word(struct scan *s) {
    static const char *const ops[] = {"not",      "is",      "isnull",  "notnull", "in", "like",
                                      "ilike",    "similar", "between", "collate", "at", "overlaps",
                                      "operator", "any",     "all",     "some",    NULL};
    static const char *const joins[] = {"join", "union", "intersect", "except", NULL};
    const char *from = s->at;
    while (s->at < s->end && word_more(*s->at))
        s->at++;
    size_t n = (size_t)(s->at - from);
    bool quote = s->at < s->end && *s->at == '\'';
    if (quote && n == 1 && strchr("eE", from[0])) {
        skip_quoted(s, '\'', true);
    } else if (quote && n == 1 && strchr("bBxXnN", from[0])) {
        skip_quoted(s, '\'', false);
    } else if (is(from, n, "case")) {
        open_level(s, 1, true);
    } else if (is(from, n, "end")) {
        if (s->level[s->open].is_case)
            close_level(s);
    } else if (is(from, n, "and") || is(from, n, "or")) {
        next_operand(s);
    } else if (is_one_of(from, n, ops)) {
        deepen(s, &s->level[s->open].ops, 1);
    } else if (is_one_of(from, n, joins)) {
        deepen(s, &s->level[s->open].joins, 1);
    }
}

/* What a parenthesis costs: a subquery's own nodes nest too. */
static uint32_t open_cost(const struct scan *s) {
    const char *p = s->at + 1;
    while (p < s->end && strchr(" \t\r\n\f\v", *p) && *p)
        p++;
    const char *from = p;
    while (p < s->end && word_more(*p))
        p++;
    size_t n = (size_t)(p - from);
    return is(from, n, "select") || is(from, n, "with") || is(from, n, "values") || is(from, n, "table") ? 4 : 1;
}

static void token(struct scan *s) {
    char c = *s->at;
    bool two = s->end - s->at >= 2;
    if (!operator_char(c))
        s->run = 0;
    if (word_start(c)) {
        word(s);
    } else if (c == '\'') {
        skip_quoted(s, '\'', false);
    } else if (c == '"') {
        skip_quoted(s, '"', false);
    } else if (c == '-' && two && s->at[1] == '-') {
        skip_line(s);
    } else if (c == '/' && two && s->at[1] == '*') {
        skip_comment(s);
    } else if (c == '$' && skip_dollar(s)) {
        return;
    } else if (c == '(' || c == '[') {
        open_level(s, open_cost(s), false);
        s->at++;
    } else if (c == ')' || c == ']') {
        while (s->level[s->open].is_case)
            close_level(s); /* a CASE without END: the parser will say so */
        close_level(s);
        s->at++;
    } else if (c == ',') {
        next_operand(s);
        s->at++;
    } else if (c == ';') {
        next_statement(s);
        s->at++;
    } else if (operator_char(c) || (c == ':' && two && s->at[1] == ':')) {
        /* Each character may be an operator of its own: "- - -1" written without the blanks. */
        deepen(s, &s->level[s->open].ops, 1);
        if (c != ':')
            count_run(s, true);
        s->at += c == ':' ? 2 : 1;
    } else {
        s->at++;
    }
}

int32_t guard_position(const char *text, size_t bytes, size_t offset) {
    int32_t n = 1;
    for (size_t i = 0; i < bytes && i < offset; i++)
        n += (text[i] & 0xc0) != 0x80;
    return n;
}

enum rc guard_check(struct arena *a, const char *text, size_t bytes, uint32_t *ret_depth, struct err *err) {
    size_t bad;
    if (!utf8_valid(text, bytes, &bad)) {
        unsigned char c = (unsigned char)text[bad];
        err_sql(err, "22021", "invalid byte sequence for encoding \"UTF8\": 0x%02x", c);
        err_position(err, guard_position(text, bytes, bad));
        return RC_SQL;
    }
    struct scan s = {.at = text, .end = text + bytes};
    s.level = arena_array(a, (bytes < GUARD_DEPTH_MAX ? bytes : GUARD_DEPTH_MAX) + 2, sizeof *s.level);
    if (!s.level)
        return err_set(err, RC_NOMEM, "out of memory");
    s.level[0] = (struct level){0};
    while (s.at < s.end) {
        token(&s);
        if (s.run_max > GUARD_RUN_MAX) {
            err_sql(err, "54000", "more than %d operator characters in a row", GUARD_RUN_MAX);
            err_position(err, guard_position(text, bytes, (size_t)(s.at - text)));
            return RC_SQL;
        }
        if (s.depth > GUARD_DEPTH_MAX) {
            err_sql(err, "54001", "stack depth limit exceeded");
            err_detail(err, "The statement nests deeper than %d levels.", GUARD_DEPTH_MAX);
            err_hint(err, "Split it, or turn long chains of operators into lists.");
            err_position(err, guard_position(text, bytes, (size_t)(s.at - text)));
            return RC_SQL;
        }
    }
    *ret_depth = s.depth_max;
    return RC_OK;
}
