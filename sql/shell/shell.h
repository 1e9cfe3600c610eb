/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shell.h: `meridian sql`: statements from a person or a script to a server, in psql's manner.
 *
 * Promise     What psql's users and scripts are used to: its commands, variables, formats, error texts and exit codes, as far
 *             as README.md lists them; and what only Meridian can show. It talks to the server through meridian.h alone.
 * Relies on   meridian.h, libedit for editing; SIGINT is blocked and read from a descriptor, so no handler and no global is
 *             needed: the progress callback of the connection looks at it.
 * Threads     the main one.
 *
 *     main.c(cmd_sql) -> shell_run
 *     shell.c     sources of input, the statement buffer, its execution, errors
 *     message.c   errors and notices
 *     vars.c      \set, :name, prompts            command.c   the backslash commands
 *     describe.c  \d and its family               ours.c      \regions, \tablets, ...   trace.c  \trace
 *     copy.c      COPY and \copy                  edit.c      the terminal: editing, history, completion, pager, Ctrl-C
 *     complete.c  what TAB offers                 print.c, width.c  tables, and how wide characters are
 */
#ifndef MERIDIAN_SQL_SHELL_SHELL_H
#define MERIDIAN_SQL_SHELL_SHELL_H

#include "sql/shell/print.h"
#include "truetime/base/buf.h"
#include "txn/api/meridian.h"

enum { SHELL_OK = 0, SHELL_FAILED = 1, SHELL_BAD_CONNECTION = 2, SHELL_SCRIPT_ERROR = 3 };
/* At the end of names of variables that are the shell's own: no user types it. */
#define SHELL_HIDDEN "\x80"
enum { SHELL_INCLUDE_MAX = 64, SHELL_LINE_BYTES_MAX = 1 << 30 };

struct shell_action {
    char kind; /* 'c' a text, 'f' a file */
    const char *text;
};

struct shell_conf {
    const char *url;
    struct print_options print;
    bool quiet, one_transaction, no_startup, echo_hidden, single_line;
    const char *echo; /* "all", "queries", "errors"; NULL: none */
    const struct shell_action *action;
    size_t actions;
    const char *const *set, *const *pset; /* NAME=VALUE */
    size_t sets, psets;
    const char *out; /* where results go; NULL: standard output */
};

/* Runs the actions, or what standard input has to say; returns the exit code. */
int shell_run(const struct shell_conf *conf);
bool shell_is_url(const char *text); /* and not a database's name */

/* ---- for the files of this folder --------------------------------------------------------------------------------------- */

struct shell_var {
    struct shell_var *next;
    char *name, *value;
};

/* Where lines come from. */
struct shell_source {
    FILE *file;       /* NULL: the terminal, through libedit */
    const char *name; /* of a file given by name; NULL: standard input, or -c */
    size_t line;
    bool terse; /* messages without "meridian sql:" */
    struct shell_source *outer;
};

struct shell_edit;

enum shell_verbosity {
    SHELL_VERBOSITY_DEFAULT,
    SHELL_VERBOSITY_VERBOSE,
    SHELL_VERBOSITY_TERSE,
    SHELL_VERBOSITY_SQLSTATE
};

/* The last error as it came. */
struct shell_error {
    char *field[MERIDIAN_FIELDS];
    int position;
    char *sql;
};

struct shell {
    meridian *db;
    char *url;
    struct print_options print;
    bool quiet, interactive, timing, on_error_stop, echo_all, single;
    char restricted[128]; /* \restrict's key; "": all commands are free */
    bool quit, lost, no_pager, pager_always;
    size_t pager_lines, wanted_columns; /* \pset pager_min_lines, columns */
    size_t fetch_count;                 /* rows that are printed at a time; 0: all */
    FILE *out;                          /* what is not the terminal: \o */
    bool out_is_pipe;
    int sigint; /* readable: Ctrl-C was pressed; -1: none */
    bool interrupted;
    struct shell_error error;
    struct shell_var *vars;
    struct shell_source *source;
    struct shell_edit *edit;
    struct buf query;   /* the statement being typed */
    struct buf last;    /* the one before: \g, \watch, \e of nothing */
    size_t query_line;  /* of its first line */
    int depth;          /* of \i */
    char *gset;         /* \gset: the prefix, for one execution */
    bool once_expanded; /* \gx */
    char *once_out;     /* \g FILE */
    char *dir_edit;
    struct shell_cond {
        bool active, seen_true, in_else;
    } cond[32]; /* \if */
    int conds;
};

/* shell.c */
/* Executes one text of the buffer as it is; false: it failed. */
bool shell_execute(struct shell *sh, const char *sql);
/* Reads statements from a source to its end; returns an exit code. */
int shell_read(struct shell *sh, struct shell_source *src);
int shell_file(struct shell *sh, const char *path, bool relative);
/* message.c */
/* A message of our own, on standard error: "FILE:LINE: error: TEXT" as psql does. */
void shell_error(struct shell *sh, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The last error of the connection, with the place in sql (may be NULL). */
void shell_db_error(struct shell *sh, const char *sql);
void message_again(struct shell *sh); /* \errverbose */
void message_forget(struct shell *sh);
void message_notice(meridian *db, void *ctx);
bool shell_connect(struct shell *sh, const char *url);
void shell_print(struct shell *sh, const struct print_table *t);
/* Runs the user's query into a table (t is initialised); false: it failed and was told. */
bool shell_fetch(struct shell *sh, const char *sql, struct print_table *t);
/* The same with one of our own, which ECHO_HIDDEN shows. */
bool shell_query(struct shell *sh, const char *sql, struct print_table *t);
/* \gdesc: what its columns would be. */
bool shell_describe(struct shell *sh, const char *sql);
bool shell_is_right(uint32_t oid);
/* Ctrl-C since the last call. */
bool shell_interrupted(struct shell *sh);
/* The same query as a plain function of one value; NULL: none, or a failure (untold). Freed by the caller. */
char *shell_value(struct shell *sh, const char *sql);

/* vars.c */
const char *var_get(const struct shell *sh, const char *name);
bool var_set(struct shell *sh, const char *name,
             const char *value); /* NULL: takes it away; false: no such name can be */
/* The same as a user may: variables with a meaning take only what they can be. false: told. */
bool var_assign(struct shell *sh, const char *name, const char *value);
void vars_init(struct shell *sh);
void var_set_number(struct shell *sh, const char *name, long long value);
void vars_free(struct shell *sh);
void vars_list(struct shell *sh);
/* sql with :name, :'name', :"name" and :{?name} replaced where they stand outside of quotes. */
void vars_expand(struct shell *sh, const char *sql, size_t bytes, struct buf *to);
void vars_quote(const char *text, char quote, struct buf *to);
void prompt_print(struct shell *sh, const char *how, char status, struct buf *to);
bool var_is_on(const char *value);

/* command.c */
/* The command at *at (behind its backslash); *at moves behind it. */
bool command_run(struct shell *sh, const char **at);
/* Whether the present branch of \if is skipped. */
bool command_skips(const struct shell *sh);
/* An argument as psql reads it: blanks before, quotes, :variables; NULL: there is none. Freed by the caller. */
char *command_arg(struct shell *sh, const char **at);
char *command_rest(const char **at);                    /* the rest of the line */
bool command_output(struct shell *sh, const char *arg); /* \o */

/* pset.c */
bool pset_command(struct shell *sh, const char *name, const char *arg);
/* on, off, or (NULL) the other of what it is; false: told. */
bool pset_toggle(struct shell *sh, const char *name, const char *arg, bool *value);

/* crosstab.c; arg: NULL where it was not given */
bool crosstab_command(struct shell *sh, const char *sql, char *const arg[4]);

/* password.c */
bool password_command(struct shell *sh, const char *role);

/* sqlhelp.c */
void sql_help(struct shell *sh, const char *text);

/* describe.c */
/* types: of a function's or operator's arguments; ends with NULL. */
bool describe_command(struct shell *sh, const char *name, const char *pattern, char *const *types);

/* ours.c */
bool ours_command(struct shell *sh, const char *name, const char *arg, bool *ret_ok);

/* trace.c */
bool trace_command(struct shell *sh);

/* copy.c */
bool copy_command(struct shell *sh, const char *rest);
bool copy_in(struct shell *sh, meridian_stmt *st, FILE *from, bool inline_data);
bool copy_out(struct shell *sh, meridian_stmt *st, FILE *to);
/* After a COPY that failed before it took data: a script's lines of data are skipped and never run as statements (psql does so
 * since CVE-2026-6464). */
void copy_refused(struct shell *sh, const char *sql);

/* edit.c */
bool edit_open(struct shell *sh);
void edit_close(struct shell *sh);
/* A line without its newline; NULL: the end. *ret_cancelled: Ctrl-C. Borrowed until the next call. */
const char *edit_line(struct shell *sh, const char *prompt, bool *ret_cancelled);
void edit_remember(struct shell *sh, const char *text);
/* \s: the history, to a file or to be read. */
bool edit_history(struct shell *sh, const char *path);
/* Opens the pager if so many lines do not fit; else stdout. */
FILE *edit_pager(struct shell *sh, size_t lines, int *ret_pid);
/* Columns of the terminal that f is, else COLUMNS, else otherwise. */
size_t edit_columns(FILE *f, size_t otherwise);
void edit_pager_close(FILE *to, int pid);
/* A command line through /bin/sh with Ctrl-C as it wants it; its exit status. */
int edit_shell(struct shell *sh, const char *command);
FILE *edit_pipe(struct shell *sh, const char *command, bool write, int *ret_pid);
int edit_pipe_close(FILE *f, int pid);
bool edit_text(struct shell *sh, const char *path, struct buf *text);

#endif
