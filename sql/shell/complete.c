/* SPDX-License-Identifier: Apache-2.0 */
/* complete.c: see complete.h. */
#include "sql/shell/complete.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/shell/shell.h"
#include "txn/api/lex.h"

enum { WORD_BYTES = 128, SQL_BYTES = 2048, TABLES_MAX = 8 };

static const char *const keywords[] = {
    "ABORT",    "ADD",         "ALL",       "ALTER",      "ANALYZE",  "AND",         "AS",          "ASC",
    "BEGIN",    "BETWEEN",     "BIGINT",    "BOOLEAN",    "BY",       "CASCADE",     "CASE",        "CAST",
    "CHECK",    "COLUMN",      "COMMIT",    "CONSTRAINT", "COPY",     "CREATE",      "CROSS",       "CURRENT_TIMESTAMP",
    "DATABASE", "DEFAULT",     "DELETE",    "DESC",       "DISTINCT", "DROP",        "ELSE",        "END",
    "EXCEPT",   "EXISTS",      "EXPLAIN",   "FALSE",      "FETCH",    "FOR",         "FOREIGN KEY", "FROM",
    "FULL",     "FUNCTION",    "GRANT",     "GROUP BY",   "HAVING",   "IF",          "IN",          "INDEX",
    "INNER",    "INSERT INTO", "INTEGER",   "INTERSECT",  "INTERVAL", "INTO",        "IS",          "JOIN",
    "LEFT",     "LIKE",        "LIMIT",     "NATURAL",    "NOT",      "NULL",        "NUMERIC",     "OFFSET",
    "ON",       "ON CONFLICT", "OR",        "ORDER BY",   "OUTER",    "PRIMARY KEY", "READ ONLY",   "REFERENCES",
    "RELEASE",  "RESTRICT",    "RETURNING", "REVOKE",     "RIGHT",    "ROLLBACK",    "SAVEPOINT",   "SCHEMA",
    "SELECT",   "SEQUENCE",    "SET",       "SHOW",       "TABLE",    "TEXT",        "THEN",        "TIMESTAMP",
    "TO",       "TRANSACTION", "TRUE",      "TRUNCATE",   "UNION",    "UNIQUE",      "UPDATE",      "USING",
    "VALUES",   "VIEW",        "WHEN",      "WHERE",      "WITH",
};

static const char *const commands[] = {
    "\\?",
    "\\C",
    "\\H",
    "\\T",
    "\\a",
    "\\c",
    "\\cd",
    "\\clock",
    "\\conninfo",
    "\\copy",
    "\\crosstabview",
    "\\d",
    "\\dA",
    "\\dC",
    "\\dD",
    "\\dF",
    "\\dL",
    "\\dO",
    "\\dT",
    "\\da",
    "\\db",
    "\\dc",
    "\\dconfig",
    "\\dd",
    "\\ddp",
    "\\df",
    "\\di",
    "\\dm",
    "\\dn",
    "\\do",
    "\\dp",
    "\\drds",
    "\\ds",
    "\\dt",
    "\\du",
    "\\dv",
    "\\dx",
    "\\dy",
    "\\e",
    "\\echo",
    "\\elif",
    "\\else",
    "\\encoding",
    "\\endif",
    "\\errverbose",
    "\\explain",
    "\\f",
    "\\g",
    "\\gdesc",
    "\\getenv",
    "\\gexec",
    "\\gset",
    "\\gx",
    "\\h",
    "\\i",
    "\\if",
    "\\ir",
    "\\l",
    "\\o",
    "\\p",
    "\\password",
    "\\prompt",
    "\\pset",
    "\\q",
    "\\qecho",
    "\\r",
    "\\regions",
    "\\s",
    "\\set",
    "\\setenv",
    "\\sf",
    "\\staleness",
    "\\sv",
    "\\t",
    "\\tablets",
    "\\timing",
    "\\trace",
    "\\unset",
    "\\w",
    "\\warn",
    "\\watch",
    "\\x",
    "\\z",
};

static const char *const settings[] = {"border",          "columns",   "csv_fieldsep", "expanded", "fieldsep",
                                       "footer",          "format",    "linestyle",    "null",     "pager",
                                       "pager_min_lines", "recordsep", "tableattr",    "title",    "tuples_only"};

static const char *const staleness[] = {"strong", "exact", "max", "since", "at"};

static void add(struct complete *c, const char *word, size_t bytes) {
    if (c->count == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        char **more = realloc(c->word, cap * sizeof *more);
        if (!more)
            shell_nomem();
        c->word = more;
        c->cap = cap;
    }
    c->word[c->count] = strndup(word, bytes);
    if (!c->word[c->count])
        shell_nomem();
    c->count++;
}

static void add_all(struct complete *c, const char *const *word, size_t n, const char *typed) {
    for (size_t i = 0; i < n; i++)
        if (strncmp(word[i], typed, strlen(typed)) == 0)
            add(c, word[i], strlen(word[i]));
}

void complete_done(struct complete *c) {
    for (size_t i = 0; i < c->count; i++)
        free(c->word[i]);
    free(c->word);
}

/* Keywords come in the case that was typed. */
static void add_keyword(struct complete *c, const char *word, const char *typed) {
    char text[WORD_BYTES];
    size_t n = strlen(typed);
    if (strncasecmp(word, typed, n) != 0)
        return;
    bool lower = n == 0 || islower((unsigned char)typed[n - 1]);
    snprintf(text, sizeof text, "%s", word);
    for (char *p = text; lower && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    add(c, text, strlen(text));
}

/* The names that a query gives, quoted where they must be, each behind so many bytes of what was typed. */
static void add_names_behind(struct shell *sh, struct complete *c, const char *sql, const char *typed, size_t bytes) {
    meridian_stmt *st;
    if (meridian_state(sh->db) == 'E')
        return;
    int code = meridian_query(sh->db, sql, -1, &st);
    while (!code && meridian_step(st) == MERIDIAN_ROW) {
        const char *name = meridian_column_text(st, 0);
        char text[WORD_BYTES * 2];
        int n = name ? snprintf(text, sizeof text, "%.*s%s", (int)bytes, typed, name) : 0;
        if (n > 0 && (size_t)n < sizeof text)
            add(c, text, (size_t)n);
    }
    meridian_finalize(st);
}

static void add_names(struct shell *sh, struct complete *c, const char *sql) {
    add_names_behind(sh, c, sql, "", 0);
}

/* text as the inside of a quoted literal. */
static void literal(const char *text, char *ret, size_t bytes) {
    size_t n = 0;
    for (; *text && n + 2 < bytes; text++) {
        if (*text == '\'')
            ret[n++] = '\'';
        if (*text != '\\')
            ret[n++] = *text;
    }
    ret[n] = '\0';
}

static void relations(struct shell *sh, struct complete *c, const char *typed) {
    char sql[SQL_BYTES], prefix[WORD_BYTES * 2];
    literal(typed, prefix, sizeof prefix);
    if (strchr(typed, '.'))
        snprintf(
            sql, sizeof sql,
            "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
            " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r','p','v','m','S','f') AND n.nspname || '.' || c.relname LIKE '%s%%' LIMIT 1000",
            prefix);
    else
        snprintf(
            sql, sizeof sql,
            "SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r','p','v','m','S','f') AND c.relname LIKE '%s%%'"
            " AND pg_catalog.pg_table_is_visible(c.oid) AND (n.nspname <> 'pg_catalog' OR '%s' LIKE 'pg%%') LIMIT 1000",
            prefix, prefix);
    add_names(sh, c, sql);
}

static void schemas(struct shell *sh, struct complete *c, const char *typed) {
    char sql[SQL_BYTES], prefix[WORD_BYTES * 2];
    literal(typed, prefix, sizeof prefix);
    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.quote_ident(nspname) || '.' FROM pg_catalog.pg_namespace WHERE nspname LIKE '%s%%'"
             " AND nspname NOT LIKE 'pg_t%%'",
             prefix);
    add_names(sh, c, sql);
}

static bool brings_table(const char *word) {
    static const char *const words[] = {"from", "join", "into", "update", "table", "truncate", "copy", "\\d", "on"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(word, words[i]) == 0)
            return true;
    return strncmp(word, "\\d", 2) == 0 || strncmp(word, "\\tablets", 8) == 0;
}

/* Columns of the tables that the statement so far names. */
static void columns(struct shell *sh, struct complete *c, const char *text, size_t bytes, const char *typed) {
    char sql[SQL_BYTES], prefix[WORD_BYTES * 2], before[WORD_BYTES] = "";
    struct lex l;
    enum lex_kind kind;
    size_t tables = 0, n = 0;
    const char *dot = strrchr(typed, '.'); /* of a table or its alias: the columns of all of them are offered */
    literal(dot ? dot + 1 : typed, prefix, sizeof prefix);
    n = (size_t)snprintf(sql, sizeof sql,
                         "SELECT DISTINCT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a"
                         " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
                         " WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname LIKE '%s%%'"
                         " AND pg_catalog.pg_table_is_visible(c.oid) AND c.relname IN (",
                         prefix);
    lex_init(&l, text, bytes);
    while ((kind = lex_next(&l)) != LEX_END && tables < TABLES_MAX && n < sizeof sql - 2 * WORD_BYTES - 8) {
        char word[WORD_BYTES], quoted[WORD_BYTES * 2];
        if (kind != LEX_WORD && kind != LEX_QUOTED)
            continue;
        snprintf(word, sizeof word, "%.*s", (int)(l.token_bytes < WORD_BYTES ? l.token_bytes : WORD_BYTES - 1),
                 l.token);
        if (brings_table(before)) {
            for (char *p = word; *p; p++)
                *p = (char)tolower((unsigned char)*p);
            literal(word, quoted, sizeof quoted);
            n += (size_t)snprintf(sql + n, sizeof sql - n, "%s'%s'", tables ? "," : "", quoted);
            tables++;
        }
        snprintf(before, sizeof before, "%s", word);
    }
    if (tables) {
        snprintf(sql + n, sizeof sql - n, ") LIMIT 1000");
        add_names_behind(sh, c, sql, typed, dot ? (size_t)(dot - typed) + 1 : 0);
    }
}

/* The ON of a join brings columns, that of an index a table. */
static bool has_join(const struct shell *sh, const char *line, size_t bytes) {
    const char *text[] = {(const char *)sh->query.data, line};
    size_t n[] = {sh->query.len, bytes};
    struct lex l;
    enum lex_kind kind;
    for (size_t i = 0; i < 2; i++) {
        lex_init(&l, text[i] ? text[i] : "", n[i]);
        while ((kind = lex_next(&l)) != LEX_END)
            if (kind == LEX_WORD && l.token_bytes == 4 && strncasecmp(l.token, "join", 4) == 0)
                return true;
    }
    return false;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void tidy(struct complete *c) {
    size_t n = 0;
    if (c->count)
        qsort(c->word, c->count, sizeof *c->word, by_text);
    for (size_t i = 0; i < c->count; i++)
        if (n && strcmp(c->word[n - 1], c->word[i]) == 0)
            free(c->word[i]);
        else
            c->word[n++] = c->word[i];
    c->count = n;
}

void complete_find(struct shell *sh, const char *line, size_t bytes, struct complete *ret) {
    char typed[WORD_BYTES], before[WORD_BYTES] = "";
    size_t from = bytes, end;
    *ret = (struct complete){0};
    while (from && !strchr(" \t(),;=<>", line[from - 1]))
        from--;
    if (bytes - from >= sizeof typed)
        return;
    memcpy(typed, line + from, bytes - from);
    typed[bytes - from] = '\0';
    ret->typed = bytes - from;
    for (end = from; end && strchr(" \t", line[end - 1]); end--) {
    }
    size_t begin = end;
    while (begin && !strchr(" \t(),;", line[begin - 1]))
        begin--;
    snprintf(before, sizeof before, "%.*s", (int)(end - begin < WORD_BYTES ? end - begin : WORD_BYTES - 1),
             line + begin);
    if (typed[0] == '\\') {
        add_all(ret, commands, ARRAY_LEN(commands), typed);
    } else if (strcmp(before, "\\pset") == 0) {
        add_all(ret, settings, ARRAY_LEN(settings), typed);
    } else if (strcmp(before, "\\staleness") == 0) {
        add_all(ret, staleness, ARRAY_LEN(staleness), typed);
    } else if (strcmp(before, "\\set") == 0 || strcmp(before, "\\unset") == 0) {
        for (const struct shell_var *v = sh->vars; v; v = v->next)
            if (!strstr(v->name, SHELL_HIDDEN) && strncmp(v->name, typed, strlen(typed)) == 0)
                add(ret, v->name, strlen(v->name));
    } else if (brings_table(before) && !(strcasecmp(before, "on") == 0 && has_join(sh, line, end))) {
        relations(sh, ret, typed);
        if (!strchr(typed, '.'))
            schemas(sh, ret, typed);
    } else {
        for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
            add_keyword(ret, keywords[i], typed);
        struct buf all;
        buf_init(&all, 0);
        buf_put(&all, sh->query.data, sh->query.len);
        buf_put(&all, line, bytes);
        columns(sh, ret, (const char *)all.data, all.len, typed);
        buf_done(&all);
    }
    tidy(ret);
}
