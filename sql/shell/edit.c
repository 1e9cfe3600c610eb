/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit.c: the terminal: lines through libedit, history, completion, the pager, the editor, other programs.
 *
 * SIGINT is blocked in this process, so while a line is edited Ctrl-C must come as a character (isig off) and is bound to a
 * function of our own. Programs that are started here get their signals back (posix_spawn with attributes).
 */
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sql/shell/complete.h"
#include "sql/shell/shell.h"
#include "sql/shell/width.h"

enum { HISTORY_MAX = 2000, CANDIDATES_SHOWN = 200, PATH_BYTES = 4096 };

struct shell_edit {
    EditLine *el;
    History *history;
    struct shell *sh;
    const char *prompt;
    char *line; /* the last one */
    char path[PATH_BYTES];
    bool cancelled;
};

extern char **environ;

/* ---- other programs ------------------------------------------------------------------------------------------------------------ */

/* command through /bin/sh; fd >= 0 becomes its standard input (to_stdin) or output. 0: it could not be started. */
static pid_t start(const char *command, int fd, bool to_stdin) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    pid_t pid = 0;
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)command, NULL};
    sigemptyset(&none);
    sigemptyset(&all);
    sigaddset(&all, SIGINT);
    sigaddset(&all, SIGPIPE);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return 0;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return 0;
    }
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    if (fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, fd, to_stdin ? STDIN_FILENO : STDOUT_FILENO);
    fflush(NULL);
    int bad = posix_spawn(&pid, "/bin/sh", &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return bad ? 0 : pid;
}

static int wait_for(pid_t pid) {
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int edit_shell(struct shell *sh, const char *command) {
    const char *user = getenv("SHELL");
    (void)sh;
    pid_t pid = start(*command ? command : user ? user : "/bin/sh", -1, false);
    return pid ? wait_for(pid) : 127;
}

FILE *edit_pipe(struct shell *sh, const char *command, bool write_to, int *ret_pid) {
    int fd[2];
    (void)sh;
    if (pipe2(fd, O_CLOEXEC) != 0)
        return NULL;
    pid_t pid = start(command, fd[write_to ? 0 : 1], write_to);
    close(fd[write_to ? 0 : 1]);
    FILE *f = pid ? fdopen(fd[write_to ? 1 : 0], write_to ? "w" : "r") : NULL;
    if (!f)
        close(fd[write_to ? 1 : 0]);
    *ret_pid = (int)pid;
    return f;
}

int edit_pipe_close(FILE *f, int pid) {
    int bad = fclose(f);
    int status = wait_for(pid);
    return bad ? -1 : status;
}

size_t edit_columns(FILE *f, size_t otherwise) {
    struct winsize w;
    const char *given = getenv("COLUMNS");
    if (isatty(fileno(f)) && ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
        return w.ws_col;
    size_t n = given ? strtoul(given, NULL, 10) : 0;
    return n > 0 && n < 100000 ? n : otherwise;
}

FILE *edit_pager(struct shell *sh, size_t lines, int *ret_pid) {
    struct winsize size;
    const char *pager = getenv("MERIDIAN_PAGER");
    if (!pager)
        pager = getenv("PAGER");
    *ret_pid = 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
        return stdout;
    if (!sh->pager_always && (lines < size.ws_row || lines < sh->pager_lines))
        return stdout;
    FILE *f = edit_pipe(sh, pager && *pager ? pager : "less", true, ret_pid);
    return f ? f : stdout;
}

void edit_pager_close(FILE *to, int pid) {
    if (to == stdout)
        fflush(stdout);
    else
        (void)edit_pipe_close(to, pid); /* it was left before the end: fine */
}

static bool read_whole(const char *path, struct buf *text) {
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    buf_reset(text, 0);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(text, piece, n);
    bool ok = !ferror(f);
    fclose(f); // NOLINT: it was only read
    return ok;
}

bool edit_text(struct shell *sh, const char *path, struct buf *text) {
    const char *editor = getenv("MERIDIAN_EDITOR"), *tmp = getenv("TMPDIR");
    char name[PATH_BYTES], command[PATH_BYTES * 2];
    if (!editor)
        editor = getenv("EDITOR");
    if (!editor)
        editor = getenv("VISUAL");
    snprintf(name, sizeof name, "%s/meridian.XXXXXX.sql", tmp ? tmp : "/tmp");
    if (path) {
        snprintf(name, sizeof name, "%s", path);
    } else {
        int fd = mkstemps(name, 4);
        bool ok = fd >= 0 && write(fd, text->data, text->len) == (ssize_t)text->len;
        if (fd >= 0)
            close(fd);
        if (!ok) {
            shell_error(sh, "%s: %s", name, strerror(errno));
            return false;
        }
    }
    snprintf(command, sizeof command, "%s '%s'", editor ? editor : "vi", name);
    bool ok = edit_shell(sh, command) == 0 && read_whole(name, text);
    if (!ok)
        shell_error(sh, "could not edit %s", name);
    if (!path)
        unlink(name);
    return ok;
}

/* ---- completion --------------------------------------------------------------------------------------------------------------------- */

/* What all candidates begin with. */
static size_t common(const struct complete *c) {
    size_t n = strlen(c->word[0]);
    for (size_t i = 1; i < c->count; i++) {
        size_t k = 0;
        while (k < n && c->word[i][k] == c->word[0][k])
            k++;
        n = k;
    }
    return n;
}

static void show(struct shell_edit *e, const struct complete *c) {
    struct winsize size = {.ws_col = 80};
    size_t width = 1, per_line;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        size.ws_col = 80;
    for (size_t i = 0; i < c->count; i++)
        if (print_width(c->word[i]) + 2 > width)
            width = print_width(c->word[i]) + 2;
    per_line = size.ws_col > width ? size.ws_col / width : 1;
    printf("\n");
    for (size_t i = 0; i < c->count && i < CANDIDATES_SHOWN; i++)
        printf("%s%*s%s", c->word[i], (int)(width - print_width(c->word[i])), "",
               (i + 1) % per_line == 0 || i + 1 == c->count ? "\n" : "");
    if (c->count > CANDIDATES_SHOWN)
        printf("... and %zu more\n", c->count - CANDIDATES_SHOWN);
    fflush(stdout);
    (void)e;
}

static unsigned char on_tab(EditLine *el, int ch) {
    struct shell_edit *e;
    struct complete c;
    (void)ch;
    if (el_get(el, EL_CLIENTDATA, &e) != 0)
        return CC_ERROR;
    const LineInfo *line = el_line(el);
    size_t before = (size_t)(line->cursor - line->buffer);
    complete_find(e->sh, line->buffer, before, &c);
    unsigned char did = CC_ERROR;
    if (c.count) {
        size_t n = common(&c);
        bool alone = c.count == 1;
        if (n > c.typed || alone) {
            char text[512];
            el_deletestr(el, (int)c.typed);
            snprintf(text, sizeof text, "%.*s%s", (int)n, c.word[0], alone ? " " : "");
            did = el_insertstr(el, text) == 0 ? CC_REFRESH : CC_ERROR;
        } else {
            show(e, &c);
            did = CC_REDISPLAY;
        }
    }
    complete_done(&c);
    return did;
}

/* ---- lines ------------------------------------------------------------------------------------------------------------------------- */

static unsigned char on_interrupt(EditLine *el, int ch) {
    struct shell_edit *e;
    (void)ch;
    if (el_get(el, EL_CLIENTDATA, &e) != 0)
        return CC_ERROR;
    e->cancelled = true;
    return CC_NEWLINE;
}

/* A character for libedit. A Ctrl-C that came as a signal, because the terminal was not in its editing mode yet, is one, too. */
static int next_char(EditLine *el, wchar_t *ret) {
    struct shell_edit *e;
    char bytes[4];
    size_t n = 0, want = 1;
    if (el_get(el, EL_CLIENTDATA, &e) != 0)
        return -1;
    struct pollfd fd[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = e->sh->sigint, .events = POLLIN}};
    while (n < want) {
        if (poll(fd, 2, -1) < 0) {
            if (errno != EINTR)
                return -1;
            continue;
        }
        if (n == 0 && shell_interrupted(e->sh)) {
            e->sh->interrupted = false;
            *ret = L'\003';
            return 1;
        }
        if (!fd[0].revents)
            continue;
        ssize_t got = read(STDIN_FILENO, bytes + n, 1);
        if (got <= 0)
            return got < 0 && errno != EINTR ? -1 : 0;
        if (n++ == 0)
            want = (unsigned char)bytes[0] >= 0xf0   ? 4
                   : (unsigned char)bytes[0] >= 0xe0 ? 3
                   : (unsigned char)bytes[0] >= 0xc2 ? 2
                                                     : 1;
    }
    uint32_t c;
    (void)width_decode(bytes, n, &c); /* what is no character becomes U+FFFD */
    *ret = (wchar_t)c;
    return 1;
}

static char *prompt_of(EditLine *el) {
    struct shell_edit *e;
    if (el_get(el, EL_CLIENTDATA, &e) != 0)
        return (char *)"";
    return (char *)(uintptr_t)e->prompt;
}

static void history_path(struct shell_edit *e) {
    const char *given = getenv("MERIDIAN_HISTORY"), *home = getenv("HOME");
    if (given)
        snprintf(e->path, sizeof e->path, "%s", given);
    else if (home)
        snprintf(e->path, sizeof e->path, "%s/.meridian_history", home);
}

bool edit_open(struct shell *sh) {
    HistEvent ev;
    struct shell_edit *e = calloc(1, sizeof *e);
    if (!e)
        shell_nomem();
    e->sh = sh;
    e->prompt = "";
    e->el = el_init("meridian", stdin, stdout, stderr);
    e->history = history_init();
    if (!e->el || !e->history) {
        free(e);
        return false;
    }
    sh->edit = e;
    const char *size = var_get(sh, "HISTSIZE");
    int lines = size ? (int)strtol(size, NULL, 10) : HISTORY_MAX;
    history(e->history, &ev, H_SETSIZE, lines < 0 ? HISTORY_MAX : lines);
    history(e->history, &ev, H_SETUNIQUE, 1);
    history_path(e);
    if (*e->path)
        history(e->history, &ev, H_LOAD, e->path);
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_PROMPT, prompt_of);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_HIST, history, e->history);
    el_set(e->el, EL_ADDFN, "meridian-complete", "completes the word", on_tab);
    el_set(e->el, EL_BIND, "\t", "meridian-complete", NULL);
    el_set(e->el, EL_ADDFN, "meridian-interrupt", "gives the line up", on_interrupt);
    el_set(e->el, EL_BIND, "^C", "meridian-interrupt", NULL);
    el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(e->el, EL_SETTY, "-d", "-isig", NULL);
    el_set(e->el, EL_GETCFN, next_char);
    el_source(e->el, NULL);
    return true;
}

void edit_close(struct shell *sh) {
    HistEvent ev;
    struct shell_edit *e = sh->edit;
    if (!e)
        return;
    if (*e->path)
        history(e->history, &ev, H_SAVE, e->path);
    history_end(e->history);
    el_end(e->el);
    free(e->line);
    free(e);
    sh->edit = NULL;
}

const char *edit_line(struct shell *sh, const char *prompt, bool *ret_cancelled) {
    struct shell_edit *e = sh->edit;
    int n = 0;
    if (!e)
        return NULL;
    e->prompt = prompt;
    e->cancelled = false;
    /* libedit prints the prompt and then puts the terminal in its editing mode: a Ctrl-D in between would be lost. */
    el_set(e->el, EL_PREP_TERM, 1);
    const char *got = el_gets(e->el, &n);
    e->prompt = "";
    *ret_cancelled = e->cancelled;
    if (e->cancelled) {
        printf("^C\n");
        return "";
    }
    if (!got || n <= 0)
        return NULL;
    free(e->line);
    e->line = strndup(got, (size_t)n);
    if (!e->line)
        shell_nomem();
    size_t len = strlen(e->line);
    if (len && e->line[len - 1] == '\n')
        e->line[len - 1] = '\0';
    return e->line;
}

void edit_remember(struct shell *sh, const char *text) {
    HistEvent ev;
    const char *control = var_get(sh, "HISTCONTROL");
    bool both = control && strcmp(control, "ignoreboth") == 0;
    if (text && *text == ' ' && control && (both || strcmp(control, "ignorespace") == 0))
        return;
    if (sh->edit && text)
        history(sh->edit->history, &ev, H_ENTER, text);
}

bool edit_history(struct shell *sh, const char *path) {
    HistEvent ev;
    FILE *to = path ? fopen(path, "w") : sh->out;
    if (!to) {
        shell_error(sh, "%s: %s", path, strerror(errno));
        return false;
    }
    for (int more = sh->edit ? history(sh->edit->history, &ev, H_LAST) : -1; more >= 0;
         more = history(sh->edit->history, &ev, H_PREV))
        fprintf(to, "%s\n", ev.str);
    if (to != sh->out && fclose(to) != 0) {
        shell_error(sh, "%s: %s", path, strerror(errno));
        return false;
    }
    return true;
}
