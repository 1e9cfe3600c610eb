/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shell.c: the heart of `meridian sql`: lines come in, statements go out, results and errors are shown.
 *
 * Lines gather in `query`. After each, its tokens are looked at: a semicolon outside of parentheses and quotes sends what
 * stands before it; a backslash outside of quotes begins a command, which may send the buffer too (\g). A text given with -c
 * goes to the server whole, so that it is one transaction.
 */
#include "sql/shell/shell.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "txn/api/lex.h"

enum { PROGRESS_MS = 50 };

/* ---- Ctrl-C -------------------------------------------------------------------------------------------------------------------- */

bool shell_interrupted(struct shell *sh) {
    struct signalfd_siginfo info;
    while (sh->sigint >= 0 && read(sh->sigint, &info, sizeof info) == (ssize_t)sizeof info)
        sh->interrupted = true;
    return sh->interrupted;
}

static int on_progress(void *ctx) {
    struct shell *sh = ctx;
    bool before = sh->interrupted, now = shell_interrupted(sh);
    if (now && !before)
        fprintf(stderr, "Cancel request sent\n");
    return now;
}

static void watch_interrupts(struct shell *sh) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sh->sigint = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN); // NOLINT: a pager that was left
}

/* ---- the connection -------------------------------------------------------------------------------------------------------------- */

static void listen_to(struct shell *sh) {
    (void)meridian_on_notice(sh->db, message_notice, sh); /* both cannot fail on an open connection */
    if (sh->sigint >= 0)
        (void)meridian_on_progress(sh->db, PROGRESS_MS, on_progress, sh);
}

/* Variables that say what it is. */
static void tell_connection(struct shell *sh) {
    static const struct {
        const char *name;
        int what;
    } all[] = {{"DBNAME", MERIDIAN_INFO_DATABASE},
               {"USER", MERIDIAN_INFO_USER},
               {"HOST", MERIDIAN_INFO_HOST},
               {"PORT", MERIDIAN_INFO_PORT}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        var_set(sh, all[i].name, meridian_info(sh->db, all[i].what));
    const char *version = meridian_parameter(sh->db, "server_version");
    const char *encoding = meridian_parameter(sh->db, "client_encoding");
    var_set(sh, "SERVER_VERSION_NAME", version);
    var_set(sh, "ENCODING", encoding ? encoding : "UTF8");
}

bool shell_is_url(const char *text) {
    return strstr(text, "://") || strncmp(text, "file:", 5) == 0;
}

bool shell_connect(struct shell *sh, const char *url) {
    meridian *db;
    int code = meridian_open(url, &db);
    if (!db)
        shell_nomem();
    if (code) {
        const char *detail = meridian_error_field(db, MERIDIAN_FIELD_DETAIL);
        shell_error(sh, "%s%s%s%s", sh->db ? "\\connect: " : "", meridian_errmsg(db), detail ? "\n" : "",
                    detail ? detail : "");
        meridian_close(db);
        return false;
    }
    meridian_close(sh->db);
    sh->db = db;
    char *copy = strdup(url);
    if (!copy)
        shell_nomem();
    free(sh->url);
    sh->url = copy;
    listen_to(sh);
    tell_connection(sh);
    return true;
}

/* After a statement that lost the connection; false: a script ends there. */
static bool reconnected(struct shell *sh) {
    if (!sh->interactive) {
        fprintf(stderr, "connection to server was lost\n");
        sh->quit = sh->lost = true;
        return false;
    }
    fprintf(stderr, "The connection to the server was lost. Attempting reset: ");
    bool ok = meridian_reset(sh->db) == MERIDIAN_OK;
    fprintf(stderr, ok ? "Succeeded.\n" : "Failed.\n");
    return ok;
}

/* ---- results ----------------------------------------------------------------------------------------------------------------------- */

bool shell_is_right(uint32_t oid) {
    static const uint32_t numbers[] = {20, 21, 23, 26, 28, 29, 700, 701, 790, 1700, 5069};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (oid == numbers[i])
            return true;
    return false;
}

static bool is_literal(uint32_t oid) {
    enum { OID_BOOL = 16, OID_JSON = 114, OID_MONEY = 790, OID_JSONB = 3802 };
    return oid == OID_BOOL || oid == OID_JSON || oid == OID_JSONB || (oid != OID_MONEY && shell_is_right(oid));
}

static void take_columns(meridian_stmt *st, struct print_table *t) {
    int n = meridian_column_count(st);
    print_table_init(t, n > 0 ? (size_t)n : 0);
    for (int i = 0; i < n; i++) {
        uint32_t oid = meridian_column_oid(st, i);
        print_column(t, (size_t)i, meridian_column_name(st, i), shell_is_right(oid), is_literal(oid));
    }
}

static void take_row(meridian_stmt *st, struct print_table *t, bool borrow) {
    for (size_t i = 0; i < t->columns; i++)
        (borrow ? print_cell_borrowed : print_cell)(t, meridian_column_text(st, (int)i));
    t->rows++;
}

/* Through the pager if it is longer than the terminal. */
static void print_paged(struct shell *sh, const struct print_options *o, const struct print_table *t) {
    if (!sh->interactive || sh->out != stdout || sh->no_pager) {
        print_table(sh->out, o, t);
        fflush(sh->out);
        return;
    }
    char *text = NULL;
    size_t bytes = 0, lines = 0;
    FILE *mem = open_memstream(&text, &bytes);
    if (!mem)
        shell_nomem();
    print_table(mem, o, t);
    if (fclose(mem) != 0)
        shell_nomem();
    for (size_t i = 0; i < bytes; i++)
        lines += text[i] == '\n';
    int pid = 0;
    FILE *to = edit_pager(sh, lines, &pid);
    fwrite(text, 1, bytes, to);
    edit_pager_close(to, pid);
    free(text);
}

/* The options with the room that there is now. */
static struct print_options options_now(const struct shell *sh) {
    struct print_options o = sh->print;
    o.columns = sh->wanted_columns;
    if (!o.columns && sh->out == stdout && isatty(STDOUT_FILENO))
        o.columns = edit_columns(stdout, 0);
    return o;
}

void shell_print(struct shell *sh, const struct print_table *t) {
    struct print_options o = options_now(sh);
    print_paged(sh, &o, t);
}

/* \gset: the one row's columns become variables. */
static bool store(struct shell *sh, const struct print_table *t) {
    if (t->rows != 1) {
        shell_error(sh, t->rows ? "more than one row returned for \\gset" : "no rows returned for \\gset");
        return false;
    }
    for (size_t i = 0; i < t->columns; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s", sh->gset, t->column[i].name);
        if (!var_set(sh, name, t->cell[i])) {
            shell_error(sh, "invalid variable name: \"%s\"", name);
            return false;
        }
    }
    return true;
}

/* The rows of one result; the code that ended them. */
static int rows(struct shell *sh, meridian_stmt *st, int code, bool *ret_ok) {
    struct print_table t;
    struct print_options o = options_now(sh);
    o.expanded |= sh->once_expanded;
    take_columns(st, &t);
    bool stream = print_streams(&o) && !sh->gset;
    size_t n = 0, piece = stream || sh->gset ? 0 : sh->fetch_count;
    FILE *to = NULL; /* of pieces */
    int pid = 0;
    for (; code == MERIDIAN_ROW; code = meridian_step(st)) {
        if (piece && t.rows == piece) { /* there is one more: these can go */
            if (!to)
                to = sh->interactive && sh->out == stdout && !sh->no_pager ? edit_pager(sh, SIZE_MAX, &pid) : sh->out;
            o.more_rows = true;
            print_table(to, &o, &t);
            o.prior_rows += t.rows;
            print_table_done(&t);
            take_columns(st, &t);
            if (shell_interrupted(sh) || ferror(to)) /* a pager that was left */
                (void)meridian_cancel(sh->db);
        }
        take_row(st, &t, stream);
        if (stream) {
            if (n == 0)
                print_head(sh->out, &o, &t);
            print_row(sh->out, &o, &t, n == 0);
            t.cells = 0; /* they were borrowed */
            if (shell_interrupted(sh))
                (void)meridian_cancel(sh->db); /* the rest still comes, and is read */
        }
        n++;
    }
    if (code == MERIDIAN_DONE && sh->gset) {
        *ret_ok &= store(sh, &t);
    } else if (code == MERIDIAN_DONE && stream) {
        if (n == 0)
            print_head(sh->out, &o, &t);
        print_tail(sh->out, &o, &t, n);
        fflush(sh->out);
    } else if (to) {
        o.more_rows = code != MERIDIAN_DONE;
        print_table(to, &o, &t);
        fflush(to);
    } else if (code == MERIDIAN_DONE) {
        print_paged(sh, &o, &t);
    }
    if (pid)
        edit_pager_close(to, pid);
    print_table_done(&t);
    if (code == MERIDIAN_DONE)
        var_set_number(sh, "ROW_COUNT", (long long)n);
    return code;
}

static void tag(struct shell *sh, meridian_stmt *st) {
    const char *text = meridian_tag(st);
    if (!sh->quiet && text && *text) {
        fprintf(sh->out, "%s\n", text);
        fflush(sh->out);
    }
    int64_t n = meridian_changes(st);
    var_set_number(sh, "ROW_COUNT", n < 0 ? 0 : n);
}

/* Its tag is told even after the table of its RETURNING. */
static bool changes_rows(const char *text) {
    static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "MERGE"};
    for (size_t i = 0; text && i < ARRAY_LEN(words); i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* One result, whatever it is; the code that ended it, and whether it took data. */
static int result(struct shell *sh, meridian_stmt *st, bool *ret_ok, bool *ret_took) {
    int code = meridian_step(st);
    *ret_took = code == MERIDIAN_COPY_IN;
    if (code == MERIDIAN_COPY_IN) {
        struct shell_source *src = sh->source;
        *ret_ok &= copy_in(sh, st, src && src->file ? src->file : stdin, true);
        code = meridian_step(st);
    } else if (code == MERIDIAN_COPY_OUT) {
        *ret_ok &= copy_out(sh, st, sh->out);
        code = meridian_step(st);
        if (code == MERIDIAN_DONE)
            return code;
    }
    if (code >= MERIDIAN_ERROR)
        return code;
    bool table = code == MERIDIAN_ROW || meridian_column_count(st) > 0;
    if (table)
        code = rows(sh, st, code, ret_ok);
    if (code == MERIDIAN_DONE && (!table || changes_rows(meridian_tag(st))))
        tag(sh, st);
    return code;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void print_time(double ms) {
    long long all = (long long)(ms / 1000);
    long long whole = all - all % 60;
    double seconds = ms / 1000 - (double)whole;
    int minutes = (int)(all / 60 % 60), hours = (int)(all / 3600 % 24);
    if (ms < 1000)
        printf("Time: %.3f ms\n", ms);
    else if (all < 3600)
        printf("Time: %.3f ms (%02d:%06.3f)\n", ms, minutes, seconds);
    else if (all < 86400)
        printf("Time: %.3f ms (%02d:%02d:%06.3f)\n", ms, hours, minutes, seconds);
    else
        printf("Time: %.3f ms (%lld d %02d:%02d:%06.3f)\n", ms, all / 86400, hours, minutes, seconds);
    fflush(stdout);
}

/* Output of \g FILE. */
static bool redirect(struct shell *sh, FILE **ret_saved, int *ret_pid) {
    *ret_saved = sh->out;
    *ret_pid = 0;
    if (!sh->once_out)
        return true;
    FILE *f = sh->once_out[0] == '|' ? edit_pipe(sh, sh->once_out + 1, true, ret_pid) : fopen(sh->once_out, "w");
    if (!f) {
        shell_error(sh, "%s: %s", sh->once_out, strerror(errno));
        return false;
    }
    sh->out = f;
    return true;
}

/* ---- transactions of the shell's own ---------------------------------------------------------------------------------------- */

#define SAVEPOINT_NAME "meridian_sql_temporary_savepoint"

/* Statements before which AUTOCOMMIT off begins no block: they begin or end one, or cannot be in one. */
static bool wants_no_block(const char *sql) {
    static const char *const words[] = {"begin",   "start",  "commit", "end",          "rollback", "abort",
                                        "prepare", "vacuum", "split",  "alter system", "discard"};
    char word[16];
    lex_first_word(sql, strlen(sql), word, sizeof word);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return !*word;
}

/* What AUTOCOMMIT and ON_ERROR_ROLLBACK put before a statement; false: it failed and was told. */
static bool before(struct shell *sh, const char *sql, bool *ret_savepoint) {
    const char *rollback = var_get(sh, "ON_ERROR_ROLLBACK");
    bool wanted = rollback && (var_is_on(rollback) || (sh->interactive && strcmp(rollback, "interactive") == 0));
    *ret_savepoint = false;
    if (meridian_state(sh->db) == 'I' && !var_is_on(var_get(sh, "AUTOCOMMIT")) && !wants_no_block(sql) &&
        meridian_exec(sh->db, "BEGIN")) {
        shell_db_error(sh, NULL);
        return false;
    }
    if (!wanted || meridian_state(sh->db) != 'T')
        return true;
    if (meridian_exec(sh->db, "SAVEPOINT " SAVEPOINT_NAME)) {
        shell_db_error(sh, NULL);
        return false;
    }
    *ret_savepoint = true;
    return true;
}

static void after(struct shell *sh, bool savepoint, const char *tag) {
    static const char *const gone[] = {"COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK"};
    int state = meridian_state(sh->db), code = MERIDIAN_OK;
    bool there = savepoint;
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        there &= strcmp(tag, gone[i]) != 0;
    if (savepoint && state == 'E')
        code = meridian_exec(sh->db, "ROLLBACK TO SAVEPOINT " SAVEPOINT_NAME);
    else if (there && state == 'T')
        code = meridian_exec(sh->db, "RELEASE SAVEPOINT " SAVEPOINT_NAME);
    if (code)
        shell_db_error(sh, NULL);
}

bool shell_execute(struct shell *sh, const char *sql) {
    char last_tag[64] = "";
    bool savepoint;
    meridian_stmt *st = NULL;
    FILE *saved;
    int pid;
    bool ok = true, took = false;
    if (sh->echo_all && sh->single) {
        fprintf(sh->out, "%s\n", sql);
        fflush(sh->out);
    }
    sh->interrupted = false;
    (void)shell_interrupted(sh); /* forgets a Ctrl-C of before */
    sh->interrupted = false;
    if (!redirect(sh, &saved, &pid))
        return false;
    const char *echo = var_get(sh, "ECHO");
    if (echo && strcmp(echo, "queries") == 0) {
        printf("%s\n", sql);
        fflush(stdout);
    }
    if (!before(sh, sql, &savepoint))
        return false;
    double began = now_ms();
    int code = meridian_query(sh->db, sql, -1, &st);
    for (bool first = true; code < MERIDIAN_ERROR; first = false) {
        code = first ? MERIDIAN_OK : meridian_next(st);
        if (code == MERIDIAN_OK)
            code = result(sh, st, &ok, &took);
        else
            break;
    }
    if (code >= MERIDIAN_ERROR) {
        shell_db_error(sh, sql);
        ok = false;
        if (!took)
            copy_refused(sh, sql);
    } else if (ok) {
        var_set(sh, "ERROR", "false");
        var_set(sh, "SQLSTATE", "00000");
    }
    snprintf(last_tag, sizeof last_tag, "%s", st && meridian_tag(st) ? meridian_tag(st) : "");
    meridian_finalize(st);
    after(sh, savepoint, last_tag);
    if (sh->out != saved) {
        if (pid)
            (void)edit_pipe_close(sh->out, pid); /* what the command thinks of it is its own affair */
        else if (fclose(sh->out) != 0)
            shell_error(sh, "%s: %s", sh->once_out, strerror(errno));
        sh->out = saved;
    }
    if (sh->timing)
        print_time(now_ms() - began);
    if (code == MERIDIAN_UNKNOWN || code == MERIDIAN_UNAVAILABLE)
        (void)reconnected(sh); /* a script is told by sh->quit */
    return ok;
}

/* ECHO_HIDDEN: true: it is to be run. */
static bool show_hidden(struct shell *sh, const char *sql) {
    const char *echo = var_get(sh, "ECHO_HIDDEN");
    if (!echo || strcmp(echo, "off") == 0)
        return true;
    printf("********* QUERY **********\n%s\n**************************\n\n", sql);
    fflush(stdout);
    return strcmp(echo, "noexec") != 0;
}

bool shell_query(struct shell *sh, const char *sql, struct print_table *t) {
    return show_hidden(sh, sql) && shell_fetch(sh, sql, t);
}

bool shell_describe(struct shell *sh, const char *sql) {
    meridian_stmt *st;
    struct buf query;
    struct print_table t;
    int code = meridian_prepare(sh->db, sql, -1, &st), n = code ? 0 : meridian_column_count(st);
    if (code) {
        shell_db_error(sh, sql);
        meridian_finalize(st);
        return false;
    }
    buf_init(&query, 0);
    buf_puts(&query, "SELECT name AS \"Column\", pg_catalog.format_type(tp, tpm) AS \"Type\" FROM (VALUES ");
    for (int i = 0; i < n; i++) {
        buf_puts(&query, i ? ", (" : "(");
        vars_quote(meridian_column_name(st, i), '\'', &query);
        buf_printf(&query, ", %u::pg_catalog.oid, %d)", (unsigned)meridian_column_oid(st, i),
                   (int)meridian_column_modifier(st, i));
    }
    buf_puts(&query, ") s (name, tp, tpm)");
    meridian_finalize(st);
    const char *text = buf_cstr(&query);
    if (!text)
        shell_nomem();
    bool ok = true;
    if (n == 0) {
        fprintf(sh->out, "The command has no result, or the result has no columns.\n");
    } else if ((ok = shell_fetch(sh, text, &t))) {
        shell_print(sh, &t);
        print_table_done(&t);
    }
    buf_done(&query);
    return ok;
}

bool shell_fetch(struct shell *sh, const char *sql, struct print_table *t) {
    meridian_stmt *st;
    int code = meridian_query(sh->db, sql, -1, &st);
    sh->interrupted = false;
    if (!code)
        code = meridian_step(st);
    if (code < MERIDIAN_ERROR) {
        take_columns(st, t);
        for (; code == MERIDIAN_ROW; code = meridian_step(st))
            take_row(st, t, false);
        if (code >= MERIDIAN_ERROR)
            print_table_done(t);
    }
    if (code >= MERIDIAN_ERROR)
        shell_db_error(sh, sql);
    meridian_finalize(st);
    return code < MERIDIAN_ERROR;
}

char *shell_value(struct shell *sh, const char *sql) {
    meridian_stmt *st;
    char *value = NULL;
    int code = meridian_query(sh->db, sql, -1, &st);
    if (!code && meridian_step(st) == MERIDIAN_ROW) {
        const char *text = meridian_column_text(st, 0);
        value = text ? strdup(text) : NULL;
    }
    meridian_finalize(st);
    return value;
}

/* ---- input --------------------------------------------------------------------------------------------------------------------------- */

/* Sends the buffer; it becomes the last one. */
static bool send(struct shell *sh, size_t bytes) {
    struct buf sql;
    buf_init(&sql, 0);
    vars_expand(sh, (const char *)sh->query.data, bytes, &sql);
    const char *text = buf_cstr(&sql);
    if (!text)
        shell_nomem();
    bool ok = shell_execute(sh, text);
    buf_reset(&sh->last, 0);
    buf_put(&sh->last, sh->query.data, bytes);
    buf_done(&sql);
    return ok;
}

static void drop_blanks(struct shell *sh) {
    const char *p = (const char *)sh->query.data;
    size_t n = 0;
    for (;;) {
        while (n < sh->query.len && strchr(" \t\r\n\f\v", p[n]))
            n++;
        if (n + 1 < sh->query.len && p[n] == '-' && p[n + 1] == '-') {
            const char *end = memchr(p + n, '\n', sh->query.len - n);
            n = end ? (size_t)(end - p) : sh->query.len;
            continue;
        }
        break;
    }
    buf_consume(&sh->query, n);
}

/* What the buffer waits for: psql's second prompt. */
static char waiting(const struct lex *l, const struct buf *query) {
    switch (l->open) {
    case LEX_OPEN_STRING:
        return '\'';
    case LEX_OPEN_QUOTED:
        return '"';
    case LEX_OPEN_DOLLAR:
        return '$';
    case LEX_OPEN_COMMENT:
        return '*';
    default:
        return query->len == 0 ? '=' : l->depth > 0 ? '(' : '-';
    }
}

/* A backslash command in the middle of the buffer: the text before it stays, what is behind it comes after it. */
static bool backslash(struct shell *sh, size_t at) {
    char *rest = strndup((const char *)sh->query.data + at + 1, sh->query.len - at - 1);
    if (!rest)
        shell_nomem();
    sh->query.len = at;
    const char *p = rest;
    bool ok = command_run(sh, &p);
    if (*p && !sh->quit)
        buf_puts(&sh->query, p);
    free(rest);
    return ok;
}

/* Looks through the buffer and does all that is complete. *ret_wait: what it waits for. false: something failed. */
static bool digest(struct shell *sh, char *ret_wait) {
    bool ok = true, again = true;
    struct lex l = {0};
    while (again && !sh->quit && (ok || !sh->on_error_stop)) {
        enum lex_kind kind;
        again = false;
        drop_blanks(sh);
        lex_init(&l, (const char *)sh->query.data, sh->query.len);
        while (!again && (kind = lex_next(&l)) != LEX_END) {
            if (kind == LEX_SEMICOLON && l.depth == 0 && !command_skips(sh)) {
                /* an empty statement is not worth sending */
                bool done = lex_is_blank((const char *)sh->query.data, l.at) || send(sh, l.at);
                ok &= done;
                buf_consume(&sh->query, l.at);
                again = true;
            } else if (kind == LEX_SEMICOLON && l.depth == 0) {
                buf_consume(&sh->query, l.at);
                again = true;
            } else if (kind == LEX_BACKSLASH) {
                if (l.at < l.bytes && l.text[l.at] == ';') { /* \; keeps statements together */
                    memmove(sh->query.data + l.at - 1, sh->query.data + l.at, sh->query.len - l.at);
                    sh->query.len--;
                    l.bytes--;
                    continue;
                }
                ok &= backslash(sh, l.at - 1);
                again = true;
            }
        }
    }
    *ret_wait = waiting(&l, &sh->query);
    return ok;
}

/* The next line of the source; NULL: the end. */
static const char *next_line(struct shell *sh, struct shell_source *src, char **line, size_t *cap, char wait,
                             bool *ret_cancelled) {
    *ret_cancelled = false;
    if (!src->file) {
        struct buf prompt;
        const char *how = var_get(sh, wait == '=' ? "PROMPT1" : "PROMPT2");
        buf_init(&prompt, 0);
        prompt_print(sh, how ? how : "%/%R%x%# ", wait, &prompt);
        const char *text = buf_cstr(&prompt);
        const char *got = edit_line(sh, text ? text : "=> ", ret_cancelled);
        buf_done(&prompt);
        return got;
    }
    ssize_t n = getline(line, cap, src->file);
    if (n < 0)
        return NULL;
    if (n && (*line)[n - 1] == '\n')
        (*line)[n - 1] = '\0';
    if (src->line == 0 && strncmp(*line, "\xef\xbb\xbf", 3) == 0)
        memmove(*line, *line + 3, strlen(*line + 3) + 1);
    return *line;
}

/* "help", "quit" and "exit" alone on a line, as people type them. */
static bool plain_word(struct shell *sh, const char *line) {
    if (!sh->interactive || sh->query.len)
        return false;
    if (strcmp(line, "quit") == 0 || strcmp(line, "exit") == 0) {
        sh->quit = true;
        return true;
    }
    if (strcmp(line, "help") != 0)
        return false;
    printf("This is meridian sql, the shell of Meridian.\n"
           "Type:  \\? for help with its commands\n"
           "       \\h for help with SQL\n"
           "       \\g or terminate with semicolon to execute query\n"
           "       \\q to quit\n");
    return true;
}

int shell_read(struct shell *sh, struct shell_source *src) {
    char *line = NULL, wait = '=';
    size_t cap = 0;
    int code = SHELL_OK;
    bool cancelled;
    struct buf typed; /* for the history */
    buf_init(&typed, 0);
    struct buf outer = sh->query;
    buf_init(&sh->query, SHELL_LINE_BYTES_MAX);
    src->outer = sh->source;
    sh->source = src;
    int conds = sh->conds;
    while (!sh->quit) {
        const char *text = next_line(sh, src, &line, &cap, wait, &cancelled);
        if (cancelled) {
            buf_reset(&sh->query, 0);
            buf_reset(&typed, 0);
            wait = '=';
            continue;
        }
        if (!text)
            break;
        src->line++;
        if (sh->echo_all && !sh->interactive && src->file)
            fprintf(sh->out, "%s\n", text);
        if (plain_word(sh, text))
            continue;
        buf_puts(&sh->query, text);
        buf_putc(&sh->query, '\n');
        if (!src->file && *text) {
            if (typed.len)
                buf_putc(&typed, '\n');
            buf_puts(&typed, text);
        }
        if (buf_rc(&sh->query))
            shell_nomem();
        bool ok = digest(sh, &wait);
        if (wait == '-' && var_is_on(var_get(sh, "SINGLELINE")) && !command_skips(sh)) {
            ok &= send(sh, sh->query.len);
            buf_reset(&sh->query, 0);
            wait = '=';
        }
        if (src->file && sh->interrupted) { /* somebody stops the script */
            code = SHELL_SCRIPT_ERROR;
            break;
        }
        if (!src->file && sh->query.len == 0 && typed.len) {
            edit_remember(sh, buf_cstr(&typed));
            buf_reset(&typed, 0);
        }
        if (!ok && sh->on_error_stop && !src->file) {
            buf_reset(&sh->query, 0); /* a person goes on */
        } else if (!ok && sh->on_error_stop) {
            code = SHELL_SCRIPT_ERROR;
            break;
        }
    }
    /* a script may leave its last semicolon out */
    if (src->file && !code && !sh->quit && !lex_is_blank((const char *)sh->query.data, sh->query.len)) {
        bool ok = command_skips(sh) || send(sh, sh->query.len);
        if (!ok && sh->on_error_stop)
            code = SHELL_SCRIPT_ERROR;
    }
    if (sh->conds > conds && src->file && !code && !sh->quit) {
        shell_error(sh, "reached EOF without finding closing \\endif(s)");
        code = sh->on_error_stop ? SHELL_SCRIPT_ERROR : code;
    }
    sh->conds = conds < sh->conds ? conds : sh->conds;
    sh->source = src->outer;
    buf_done(&sh->query);
    buf_done(&typed);
    sh->query = outer;
    free(line);
    return code;
}

int shell_file(struct shell *sh, const char *path, bool relative) {
    char full[4096];
    const char *base = sh->source && sh->source->name ? strrchr(sh->source->name, '/') : NULL;
    if (relative && path[0] != '/' && base)
        snprintf(full, sizeof full, "%.*s/%s", (int)(base - sh->source->name), sh->source->name, path);
    else
        snprintf(full, sizeof full, "%s", path);
    if (sh->depth == SHELL_INCLUDE_MAX) {
        shell_error(sh, "\\i: too deep");
        return SHELL_FAILED;
    }
    bool dash = strcmp(path, "-") == 0;
    struct shell_source src = {.file = dash ? stdin : fopen(full, "r"), .name = dash ? NULL : full, .terse = dash};
    if (!src.file) {
        shell_error(sh, "%s: %s", full, strerror(errno));
        return SHELL_FAILED;
    }
    sh->depth++;
    int code = shell_read(sh, &src);
    sh->depth--;
    if (!dash)
        fclose(src.file); // NOLINT: it was only read
    return code;
}

/* ---- the program ----------------------------------------------------------------------------------------------------------------------- */

static int run_text(struct shell *sh, const char *text) {
    struct shell_source src = {.file = NULL};
    bool ok;
    sh->source = &src;
    if (text[strspn(text, " \t\n")] == '\\') { /* a command: only commands, one after the other */
        text += strspn(text, " \t\n");
        ok = true;
        while (*text == '\\' && ok && !sh->quit) {
            text++;
            ok = command_run(sh, &text);
            text += strspn(text, " \t\n");
        }
    } else {
        ok = shell_execute(sh, text);
    }
    sh->source = NULL;
    return ok ? SHELL_OK : sh->lost ? SHELL_BAD_CONNECTION : SHELL_FAILED;
}

static int run_actions(struct shell *sh, const struct shell_conf *conf) {
    int code = SHELL_OK;
    if (conf->one_transaction && meridian_begin(sh->db)) {
        shell_db_error(sh, NULL);
        return SHELL_FAILED;
    }
    for (size_t i = 0; i < conf->actions && !sh->quit; i++) {
        sh->single = conf->action[i].kind == 'c';
        code = sh->single ? run_text(sh, conf->action[i].text) : shell_file(sh, conf->action[i].text, false);
        if (code && sh->on_error_stop)
            break;
    }
    sh->single = false;
    if (conf->one_transaction && !sh->quit) {
        bool bad = code ? meridian_rollback(sh->db) : meridian_commit(sh->db);
        if (bad) {
            shell_db_error(sh, NULL);
            code = code ? code : SHELL_FAILED;
        }
    }
    return code;
}

static int run_standard_input(struct shell *sh) {
    struct shell_source src = {.file = sh->interactive ? NULL : stdin, .terse = true};
    if (sh->interactive && !edit_open(sh))
        src.file = stdin;
    if (sh->interactive && !sh->quiet) {
        const char *version = meridian_parameter(sh->db, "server_version");
        printf("meridian sql (%s, server %s)\nType \"help\" for help.\n\n", meridian_version(),
               version ? version : "?");
    }
    int code = shell_read(sh, &src);
    if (sh->interactive && !sh->quit)
        printf("\\q\n");
    edit_close(sh);
    return code;
}

static bool set_all(struct shell *sh, const struct shell_conf *conf) {
    for (size_t i = 0; i < conf->sets; i++) {
        char name[256];
        const char *equal = strchr(conf->set[i], '=');
        snprintf(name, sizeof name, "%.*s", equal ? (int)(equal - conf->set[i]) : 255, conf->set[i]);
        if (!var_assign(sh, name, equal ? equal + 1 : ""))
            return false;
    }
    return true;
}

/* -P NAME[=VALUE], without a word on what it is now. */
static bool pset_all(struct shell *sh, const struct shell_conf *conf) {
    bool quiet = sh->quiet, ok = true;
    sh->quiet = true;
    for (size_t i = 0; i < conf->psets && ok; i++) {
        char name[64];
        const char *equal = strchr(conf->pset[i], '=');
        snprintf(name, sizeof name, "%.*s", equal ? (int)(equal - conf->pset[i]) : 63, conf->pset[i]);
        ok = pset_command(sh, name, equal ? equal + 1 : NULL);
    }
    sh->quiet = quiet;
    return ok;
}

/* ~/.meridianrc, or what MERIDIANRC names, as if it were typed first. */
static void startup_file(struct shell *sh, const struct shell_conf *conf) {
    char path[4096] = "";
    const char *given = getenv("MERIDIANRC"), *home = getenv("HOME");
    if (given)
        snprintf(path, sizeof path, "%s", given);
    else if (home)
        snprintf(path, sizeof path, "%s/.meridianrc", home);
    if (conf->no_startup || !*path || access(path, R_OK) != 0)
        return;
    bool interactive = sh->interactive;
    sh->interactive = false;
    (void)shell_file(sh, path, false); /* what is wrong in it is told, and no reason to end */
    sh->interactive = interactive;
}

int shell_run(const struct shell_conf *conf) {
    struct shell sh = {.print = conf->print, .out = stdout, .sigint = -1};
    buf_init(&sh.query, SHELL_LINE_BYTES_MAX);
    buf_init(&sh.last, 0);
    vars_init(&sh);
    if (conf->quiet)
        var_set(&sh, "QUIET", "on");
    if (conf->echo)
        var_set(&sh, "ECHO", conf->echo);
    if (conf->echo_hidden)
        var_set(&sh, "ECHO_HIDDEN", "on");
    if (conf->single_line)
        var_set(&sh, "SINGLELINE", "on");
    if (!set_all(&sh, conf) || !pset_all(&sh, conf)) {
        vars_free(&sh);
        return SHELL_FAILED;
    }
    if (!shell_connect(&sh, conf->url)) {
        vars_free(&sh);
        return SHELL_BAD_CONNECTION;
    }
    setlocale(LC_CTYPE, "");
    sh.interactive = conf->actions == 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    watch_interrupts(&sh);
    listen_to(&sh);
    if (conf->out && !command_output(&sh, conf->out))
        sh.quit = true;
    startup_file(&sh, conf);
    int code = sh.quit && sh.lost ? SHELL_BAD_CONNECTION
               : sh.quit          ? SHELL_OK
               : conf->actions    ? run_actions(&sh, conf)
                                  : run_standard_input(&sh);
    if (sh.out != stdout)
        fclose(sh.out); // NOLINT: nobody is left to be told
    meridian_close(sh.db);
    if (sh.sigint >= 0)
        close(sh.sigint);
    buf_done(&sh.query);
    buf_done(&sh.last);
    message_forget(&sh);
    vars_free(&sh);
    free(sh.url);
    free(sh.gset);
    free(sh.once_out);
    if (fflush(stdout) != 0 && !code)
        code = SHELL_FAILED;
    return sh.lost ? SHELL_BAD_CONNECTION : code;
}
