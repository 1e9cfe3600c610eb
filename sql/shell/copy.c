/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.c: COPY's data: from the script, from the terminal, from and to files and programs.
 *
 * \copy is COPY with the file on this side: its words are taken as they are, but for the file's name, which becomes STDIN or
 * STDOUT.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "sql/shell/shell.h"
#include "txn/api/lex.h"

enum { PIECE_BYTES = 64 * 1024 };

/* Lines up to one that is \. alone; without st they are only skipped. */
static int lines_in(struct shell *sh, meridian_stmt *st, FILE *from) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int code = st ? MERIDIAN_OK : MERIDIAN_ERROR;
    if (sh->interactive && from == stdin)
        printf("Enter data to be copied followed by a newline.\n"
               "End with a backslash and a period on a line by itself, or an EOF signal.\n");
    for (;;) {
        if (sh->interactive && from == stdin) {
            const char *prompt = var_get(sh, "PROMPT3");
            fputs(prompt ? prompt : "", stdout);
            fflush(stdout);
        }
        n = getline(&line, &cap, from);
        if (n < 0)
            break;
        if (sh->source)
            sh->source->line++;
        if (strcmp(line, "\\.\n") == 0 || strcmp(line, "\\.") == 0 || strcmp(line, "\\.\r\n") == 0)
            break;
        if (!code) /* after an error the rest of the data is still to be skipped */
            code = meridian_copy_write(st, line, (size_t)n);
    }
    clearerr(from);
    free(line);
    return code;
}

bool copy_in(struct shell *sh, meridian_stmt *st, FILE *from, bool inline_data) {
    int code = MERIDIAN_OK;
    char piece[PIECE_BYTES];
    size_t n;
    if (inline_data)
        code = lines_in(sh, st, from);
    else
        while (!code && (n = fread(piece, 1, sizeof piece, from)) > 0)
            code = meridian_copy_write(st, piece, n);
    if (code)
        return false; /* the step that follows tells */
    bool bad = !inline_data && ferror(from);
    (void)meridian_copy_end(st, bad ? "aborted because of read failure" : NULL); /* likewise */
    return !bad;
}

/* COPY ... FROM STDIN. */
static bool wants_data(const char *sql) {
    char word[8];
    struct lex l;
    enum lex_kind kind;
    bool from = false;
    lex_first_word(sql, strlen(sql), word, sizeof word);
    if (strcmp(word, "copy") != 0)
        return false;
    lex_init(&l, sql, strlen(sql));
    while ((kind = lex_next(&l)) != LEX_END) {
        if (kind == LEX_BLANK || l.depth > 0)
            continue;
        if (from)
            return kind == LEX_WORD && l.token_bytes == 5 && strncasecmp(l.token, "stdin", 5) == 0;
        from = kind == LEX_WORD && l.token_bytes == 4 && strncasecmp(l.token, "from", 4) == 0;
    }
    return false;
}

void copy_refused(struct shell *sh, const char *sql) {
    if (!sh->interactive && sh->source && sh->source->file && wants_data(sql))
        (void)lines_in(sh, NULL, sh->source->file); /* nothing was to be written */
}

bool copy_out(struct shell *sh, meridian_stmt *st, FILE *to) {
    const void *data;
    size_t bytes;
    bool ok = true;
    while (meridian_copy_read(st, &data, &bytes) == MERIDIAN_OK && bytes)
        ok &= fwrite(data, 1, bytes, to) == bytes;
    if (fflush(to) != 0 || !ok) {
        shell_error(sh, "could not write COPY data: %s", strerror(errno));
        return false;
    }
    return true;
}

/* ---- \copy ------------------------------------------------------------------------------------------------------------------ */

struct copy {
    struct buf before, after; /* COPY before STDIN after */
    char *file;               /* NULL: standard input or output */
    bool from, program, of_script;
};

/* The word FROM or TO outside of parentheses, with what stands before and behind it. */
static const char *split(const char *text, struct copy *c) {
    struct lex l;
    enum lex_kind kind;
    lex_init(&l, text, strlen(text));
    while ((kind = lex_next(&l)) != LEX_END) {
        bool from = l.token_bytes == 4 && strncasecmp(l.token, "from", 4) == 0;
        bool to = l.token_bytes == 2 && strncasecmp(l.token, "to", 2) == 0;
        if (kind == LEX_WORD && l.depth == 0 && (from || to)) {
            c->from = from;
            buf_put(&c->before, text, (size_t)(l.token - text));
            return text + l.at;
        }
    }
    return NULL;
}

static bool parse(struct shell *sh, const char *text, struct copy *c) {
    const char *at = split(text, c);
    char *word = at ? command_arg(sh, &at) : NULL;
    if (word && strcasecmp(word, "program") == 0) {
        c->program = true;
        free(word);
        word = command_arg(sh, &at);
    }
    if (!word)
        return false;
    if (!c->program && (strcasecmp(word, "stdin") == 0 || strcasecmp(word, "stdout") == 0)) {
        c->of_script = true;
        free(word);
    } else if (!c->program && (strcasecmp(word, "pstdin") == 0 || strcasecmp(word, "pstdout") == 0)) {
        free(word);
    } else {
        c->file = word;
    }
    buf_puts(&c->after, at);
    return true;
}

static bool transfer(struct shell *sh, const struct copy *c, FILE *f) {
    struct buf sql;
    meridian_stmt *st = NULL;
    buf_init(&sql, 0);
    buf_puts(&sql, "COPY ");
    buf_put(&sql, c->before.data, c->before.len);
    buf_puts(&sql, c->from ? " FROM STDIN " : " TO STDOUT ");
    buf_put(&sql, c->after.data, c->after.len);
    const char *text = buf_cstr(&sql);
    if (!text)
        shell_nomem();
    bool ok = true;
    int code = meridian_query(sh->db, text, -1, &st);
    if (!code)
        code = meridian_step(st);
    bool refused = code >= MERIDIAN_ERROR;
    if (code == MERIDIAN_COPY_IN)
        ok = copy_in(sh, st, f, c->of_script);
    else if (code == MERIDIAN_COPY_OUT)
        ok = copy_out(sh, st, f);
    if (code < MERIDIAN_ERROR)
        code = meridian_step(st);
    if (code >= MERIDIAN_ERROR)
        shell_db_error(sh, NULL);
    if (refused && c->of_script)
        copy_refused(sh, text);
    if (code < MERIDIAN_ERROR && !sh->quiet && f != sh->out)
        fprintf(sh->out, "%s\n", meridian_tag(st));
    meridian_finalize(st);
    buf_done(&sql);
    return ok && code < MERIDIAN_ERROR;
}

bool copy_command(struct shell *sh, const char *rest) {
    struct copy c = {0};
    int pid = 0;
    bool ok = false;
    buf_init(&c.before, 0);
    buf_init(&c.after, 0);
    if (!*rest || !parse(sh, rest, &c)) {
        shell_error(sh, *rest ? "\\copy: parse error at end of line" : "\\copy: arguments required");
    } else {
        FILE *f;
        if (!c.file)
            f = !c.from                                         ? (c.of_script ? sh->out : stdout)
                : c.of_script && sh->source && sh->source->file ? sh->source->file
                                                                : stdin;
        else if (c.program)
            f = edit_pipe(sh, c.file, !c.from, &pid);
        else
            f = fopen(c.file, c.from ? "r" : "w");
        if (!f)
            shell_error(sh, "%s: %s", c.file, strerror(errno));
        else
            ok = transfer(sh, &c, f);
        if (f && c.program) {
            if (edit_pipe_close(f, pid) != 0) {
                shell_error(sh, "%s: command failed", c.file);
                ok = false;
            }
        } else if (f && c.file && fclose(f) != 0) {
            shell_error(sh, "%s: %s", c.file, strerror(errno));
            ok = false;
        }
    }
    free(c.file);
    buf_done(&c.before);
    buf_done(&c.after);
    return ok;
}
