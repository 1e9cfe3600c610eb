/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c: the backslash commands: a table of names, and what each does.
 *
 * A command's arguments end with the line or at the next backslash. Quotes in them work as psql has them: '...' with escapes,
 * "..." kept for names, `...` the output of a command, and :name outside of single quotes.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "sql/shell/describe.h"
#include "txn/api/lex.h"

enum { WATCH_SECONDS = 2 };

/* ---- arguments --------------------------------------------------------------------------------------------------------------- */

static char *steal(struct buf *b) {
    const char *text = buf_cstr(b);
    char *copy = text ? strdup(text) : NULL;
    if (!copy)
        shell_nomem();
    buf_done(b);
    return copy;
}

static void escaped(const char **at, struct buf *to) {
    const char *p = ++*at;
    static const char from[] = "ntrbf", into[] = "\n\t\r\b\f";
    const char *known = *p ? strchr(from, *p) : NULL;
    if (!*p)
        return;
    buf_putc(to, (uint8_t)(known ? into[known - from] : *p));
    ++*at;
}

static void single_quoted(const char **at, struct buf *to) {
    ++*at;
    while (**at && **at != '\n') {
        if (**at == '\\') {
            escaped(at, to);
        } else if (**at == '\'' && (*at)[1] != '\'') {
            ++*at;
            return;
        } else {
            *at += **at == '\'';
            buf_putc(to, (uint8_t) * (*at)++);
        }
    }
}

static void double_quoted(const char **at, struct buf *to) {
    do
        buf_putc(to, (uint8_t) * (*at)++);
    while (**at && **at != '"' && **at != '\n');
    if (**at == '"')
        buf_putc(to, (uint8_t) * (*at)++);
}

static void back_quoted(struct shell *sh, const char **at, struct buf *to) {
    const char *end = strchr(++*at, '`');
    if (!end)
        return;
    char *command = strndup(*at, (size_t)(end - *at)), piece[4096];
    if (!command)
        shell_nomem();
    int pid;
    FILE *f = edit_pipe(sh, command, false, &pid);
    size_t n;
    while (f && (n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(to, piece, n);
    if (f)
        (void)edit_pipe_close(f, pid); /* its output is what counts */
    while (to->len && to->data[to->len - 1] == '\n')
        to->len--;
    free(command);
    *at = end + 1;
}

char *command_arg(struct shell *sh, const char **at) {
    struct buf b;
    while (**at == ' ' || **at == '\t')
        ++*at;
    if (!**at || **at == '\n' || **at == '\\')
        return NULL;
    buf_init(&b, 0);
    while (**at && !isspace((unsigned char)**at) && **at != '\\') {
        if (**at == '\'') {
            single_quoted(at, &b);
        } else if (**at == '"') {
            double_quoted(at, &b);
        } else if (**at == '`') {
            back_quoted(sh, at, &b);
        } else if (**at == ':') {
            struct buf v;
            size_t n = 1;
            if ((*at)[1] == '\'' || (*at)[1] == '"')
                n += 1 + strcspn(*at + 2, "'\" \n") + 1;
            else if ((*at)[1] == '{')
                n += strcspn(*at + 1, "} \n") + 1;
            else
                while (isalnum((unsigned char)(*at)[n]) || (*at)[n] == '_')
                    n++;
            if (n > strlen(*at))
                n = strlen(*at);
            buf_init(&v, 0);
            vars_expand(sh, *at, n, &v);
            buf_put(&b, v.data, v.len);
            buf_done(&v);
            *at += n;
        } else {
            buf_putc(&b, (uint8_t) * (*at)++);
        }
    }
    return steal(&b);
}

/* The same, with its double quotes kept: a name that somebody else reads. */
static char *command_name(struct shell *sh, const char **at) {
    return command_arg(sh, at);
}

char *command_rest(const char **at) {
    while (**at == ' ' || **at == '\t')
        ++*at;
    size_t n = strcspn(*at, "\n"), len = n;
    while (len && isspace((unsigned char)(*at)[len - 1]))
        len--;
    char *text = strndup(*at, len);
    if (!text)
        shell_nomem();
    *at += n;
    return text;
}

/* ---- \if ----------------------------------------------------------------------------------------------------------------------- */

bool command_skips(const struct shell *sh) {
    return sh->conds && !sh->cond[sh->conds - 1].active;
}

static bool truth(struct shell *sh, const char **at, bool *ret) {
    char *arg = command_arg(sh, at);
    static const char *const no[] = {"off", "false", "no", "0"};
    bool known = arg && var_is_on(arg);
    *ret = known;
    for (size_t i = 0; arg && i < ARRAY_LEN(no); i++)
        known |= strcasecmp(arg, no[i]) == 0;
    if (!known)
        shell_error(sh, "unrecognized value \"%s\" for \"\\if expression\": Boolean expected", arg ? arg : "");
    free(arg);
    return known;
}

static bool conditional(struct shell *sh, const char *name, const char **at, bool *ret_ok) {
    struct shell_cond *c = sh->conds ? &sh->cond[sh->conds - 1] : NULL;
    bool outer = sh->conds < 2 || sh->cond[sh->conds - 2].active, value = false;
    *ret_ok = true;
    if (strcmp(name, "if") == 0) {
        bool skip = command_skips(sh);
        if (sh->conds == (int)ARRAY_LEN(sh->cond)) {
            shell_error(sh, "\\if: too deep");
            *ret_ok = false;
            return true;
        }
        if (!skip)
            *ret_ok = truth(sh, at, &value);
        sh->cond[sh->conds++] = (struct shell_cond){.active = !skip && value, .seen_true = value};
        return true;
    }
    bool elif = strcmp(name, "elif") == 0, or_else = strcmp(name, "else") == 0, end = strcmp(name, "endif") == 0;
    if (!elif && !or_else && !end)
        return false;
    if (!c || (c->in_else && !end)) {
        shell_error(sh, c ? "\\%s: cannot occur after \\else" : "\\%s: no matching \\if", name);
        *ret_ok = false;
    } else if (end) {
        sh->conds--;
    } else if (or_else) {
        c->active = outer && !c->seen_true;
        c->in_else = true;
    } else {
        if (outer && !c->seen_true)
            *ret_ok = truth(sh, at, &value);
        c->active = outer && !c->seen_true && value;
        c->seen_true |= value;
    }
    return true;
}

static void say(struct shell *sh, const char *text) {
    if (!sh->quiet)
        printf("%s\n", text);
}

/* ---- files and programs ------------------------------------------------------------------------------------------------------- */

bool command_output(struct shell *sh, const char *arg) {
    if (sh->out != stdout)
        fclose(sh->out); // NOLINT: what it could not write was told to nobody so far either
    sh->out = stdout;
    if (!arg || !*arg)
        return true;
    int pid;
    FILE *f = arg[0] == '|' ? edit_pipe(sh, arg + 1, true, &pid) : fopen(arg, "w");
    if (!f) {
        shell_error(sh, "%s: %s", arg, strerror(errno));
        return false;
    }
    sh->out = f;
    return true;
}

static bool write_query(struct shell *sh, const char *arg) {
    const struct buf *b = sh->query.len ? &sh->query : &sh->last;
    FILE *f = arg ? fopen(arg, "w") : NULL;
    bool ok = f && fwrite(b->data, 1, b->len, f) == b->len;
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok)
        shell_error(sh, "\\w: %s: %s", arg ? arg : "missing required argument", arg ? strerror(errno) : "");
    return ok;
}

/* The buffer, or the last statement, in an editor; what comes back is the buffer. */
static bool edit(struct shell *sh, const char *path) {
    struct buf text;
    buf_init(&text, 0);
    if (!path)
        buf_put(&text, sh->query.len ? sh->query.data : sh->last.data, sh->query.len ? sh->query.len : sh->last.len);
    bool ok = edit_text(sh, path, &text);
    if (ok) {
        buf_reset(&sh->query, 0);
        buf_put(&sh->query, text.data, text.len);
        if (sh->query.len && sh->query.data[sh->query.len - 1] != '\n')
            buf_putc(&sh->query, '\n');
    }
    buf_done(&text);
    return ok;
}

static bool include(struct shell *sh, const char *path, bool relative) {
    if (!path) {
        shell_error(sh, "\\i: missing required argument");
        return false;
    }
    bool interactive = sh->interactive;
    sh->interactive = false;
    int code = shell_file(sh, path, relative);
    sh->interactive = interactive;
    return code == SHELL_OK;
}

static bool change_dir(struct shell *sh, const char *path) {
    const char *to = path ? path : getenv("HOME");
    if (to && chdir(to) == 0)
        return true;
    shell_error(sh, "\\cd: could not change directory to \"%s\": %s", to ? to : "", strerror(errno));
    return false;
}

/* ---- connections ------------------------------------------------------------------------------------------------------------- */

/* Another database on the same servers: the URL's path changed. */
static bool connect_to(struct shell *sh, const char *arg) {
    char *url = NULL;
    if (arg && shell_is_url(arg)) {
        url = strdup(arg);
    } else {
        const char *authority = strstr(sh->url, "://");
        authority = authority ? authority + 3 : sh->url;
        size_t head = (size_t)(authority - sh->url) + strcspn(authority, "/?");
        const char *query = strchr(sh->url + head, '?');
        if (!arg)
            url = strdup(sh->url);
        else if (asprintf(&url, "%.*s/%s%s", (int)head, sh->url, arg, query ? query : "") < 0)
            url = NULL;
    }
    if (!url)
        shell_nomem();
    bool ok = shell_connect(sh, url);
    free(url);
    if (!ok && sh->interactive)
        fprintf(stderr, "Previous connection kept\n");
    else if (!ok)
        sh->quit = sh->lost = true;
    else if (!sh->quiet)
        printf("You are now connected to database \"%s\" as user \"%s\".\n",
               meridian_info(sh->db, MERIDIAN_INFO_DATABASE), meridian_info(sh->db, MERIDIAN_INFO_USER));
    return ok;
}

static const char *or_nothing(const char *text) {
    return text ? text : "";
}

static void conninfo(struct shell *sh) {
    char db[256], user[256], host[256], port[64];
    snprintf(db, sizeof db, "%s", or_nothing(meridian_info(sh->db, MERIDIAN_INFO_DATABASE)));
    snprintf(user, sizeof user, "%s", or_nothing(meridian_info(sh->db, MERIDIAN_INFO_USER)));
    snprintf(host, sizeof host, "%s", or_nothing(meridian_info(sh->db, MERIDIAN_INFO_HOST)));
    snprintf(port, sizeof port, "%s", or_nothing(meridian_info(sh->db, MERIDIAN_INFO_PORT)));
    if (!*host)
        printf("You are connected to database \"%s\" as user \"%s\" in this process.\n", db, user);
    else if (*host == '/')
        printf("You are connected to database \"%s\" as user \"%s\" via socket in \"%s\" at port \"%s\".\n", db, user,
               host, port);
    else
        printf("You are connected to database \"%s\" as user \"%s\" on host \"%s\" at port \"%s\".\n", db, user, host,
               port);
    const char *tls = meridian_info(sh->db, MERIDIAN_INFO_TLS);
    if (tls)
        printf("SSL connection (%s)\n", tls);
}

/* ---- the buffer ---------------------------------------------------------------------------------------------------------------- */

/* The text that \g, \gx, \watch send: the buffer, else the last statement. It becomes the last one. */
static char *take_buffer(struct shell *sh) {
    struct buf text;
    if (!lex_is_blank((const char *)sh->query.data, sh->query.len)) {
        buf_reset(&sh->last, 0);
        buf_put(&sh->last, sh->query.data, sh->query.len);
    }
    buf_reset(&sh->query, 0);
    buf_init(&text, 0);
    vars_expand(sh, (const char *)sh->last.data, sh->last.len, &text);
    while (text.len && isspace(text.data[text.len - 1]))
        text.len--;
    return steal(&text);
}

/* "(NAME=VALUE ...)" behind \g: settings of \pset for this once; *arg becomes what follows. false: told. */
static bool once_settings(struct shell *sh, char **arg, const char **at) {
    bool quiet = sh->quiet, ok = true, last = false;
    char *word = *arg;
    sh->quiet = true;
    for (bool first = true; ok && !last; first = false) {
        if (!word) {
            shell_error(sh, "\\g: missing right parenthesis");
            ok = false;
            break;
        }
        char *text = word + first;
        size_t n = strlen(text);
        last = n && text[n - 1] == ')';
        text[n - last] = '\0';
        char *equal = strchr(text, '=');
        if (equal)
            *equal = '\0';
        ok = !*text || pset_command(sh, text, equal ? equal + 1 : NULL);
        free(word);
        word = last || !ok ? NULL : command_arg(sh, at);
    }
    sh->quiet = quiet;
    *arg = ok ? command_arg(sh, at) : NULL;
    return ok;
}

static bool go(struct shell *sh, const char *name, const char *arg) {
    char *sql = take_buffer(sh);
    if (strcmp(name, "gset") == 0) {
        sh->gset = strdup(arg ? arg : "");
        if (!sh->gset)
            shell_nomem();
    } else if (arg) {
        sh->once_out = strdup(arg);
        if (!sh->once_out)
            shell_nomem();
    }
    sh->once_expanded = strcmp(name, "gx") == 0;
    bool ok = *sql ? shell_execute(sh, sql) : true;
    free(sh->gset);
    free(sh->once_out);
    sh->gset = sh->once_out = NULL;
    sh->once_expanded = false;
    free(sql);
    return ok;
}

/* \gexec: each value of the result is a statement. */
static bool gexec(struct shell *sh) {
    struct print_table t;
    char *sql = take_buffer(sh);
    bool ok = shell_fetch(sh, sql, &t);
    if (ok) {
        for (size_t i = 0; i < t.cells && !sh->quit && (ok || !sh->on_error_stop); i++)
            if (t.cell[i])
                ok &= shell_execute(sh, t.cell[i]);
        print_table_done(&t);
    }
    free(sql);
    return ok;
}

static bool gdesc(struct shell *sh) {
    char *sql = take_buffer(sh);
    bool ok = *sql ? shell_describe(sh, sql) : true;
    free(sql);
    return ok;
}

static bool crosstab(struct shell *sh, const char **at) {
    char *arg[4] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(arg) && (i == 0 || arg[i - 1]); i++)
        arg[i] = command_name(sh, at);
    char *sql = take_buffer(sh);
    bool ok = *sql ? crosstab_command(sh, sql, arg) : true;
    for (size_t i = 0; i < ARRAY_LEN(arg); i++)
        free(arg[i]);
    free(sql);
    return ok;
}

/* Until Ctrl-C or an error; a pause that Ctrl-C ends. */
static bool watch(struct shell *sh, const char *arg) {
    double seconds = arg ? strtod(arg, NULL) : WATCH_SECONDS;
    char *sql = take_buffer(sh);
    bool ok = *sql != '\0';
    if (!ok)
        shell_error(sh, "\\watch cannot be used with an empty query");
    while (ok && !sh->quit) {
        char title[256], date[64];
        time_t now = time(NULL);
        struct tm tm;
        struct print_table t;
        strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", localtime_r(&now, &tm));
        snprintf(title, sizeof title, "%s (every %gs)\n", date, seconds);
        ok = shell_fetch(sh, sql, &t);
        if (!ok)
            break;
        t.title = title;
        print_table(sh->out, &sh->print, &t);
        fflush(sh->out);
        print_table_done(&t);
        struct pollfd fd = {.fd = sh->sigint, .events = POLLIN};
        (void)poll(&fd, 1, (int)(seconds * 1000));
        if (shell_interrupted(sh) || ferror(sh->out))
            break;
    }
    if (sh->interactive)
        sh->interrupted = false;
    free(sql);
    return ok;
}

/* ---- help -------------------------------------------------------------------------------------------------------------------------- */

static void help(struct shell *sh) {
    fputs(
        "General\n"
        "  \\g [FILE], \\gx, \\gset [PREFIX], \\gexec, \\watch [SEC]   run the statement: to a file, expanded, into\n"
        "                         variables, its results as statements, again and again\n"
        "  \\gdesc                 what columns it would give  \\crosstabview [DOWN [ACROSS [CELL [SORT]]]]  as a "
        "grid\n"
        "  \\errverbose            all of the last error\n"
        "  \\c [DATABASE|URL]      connect anew                \\conninfo   what this is connected to\n"
        "  \\password [ROLE]       a new password\n"
        "  \\?  \\h [STATEMENT]      help with commands, with SQL  \\q          quit\n"
        "The statement being typed\n"
        "  \\e [FILE]  edit it     \\p  show it    \\r  forget it    \\w FILE  write it\n"
        "Files\n"
        "  \\i FILE, \\ir FILE      read statements             \\o [FILE|'|COMMAND']  send results there\n"
        "  \\copy TABLE|(QUERY) FROM|TO FILE|STDIN|STDOUT|PROGRAM 'CMD' [OPTIONS]\n"
        "  \\echo, \\qecho, \\warn TEXT    \\! COMMAND    \\cd DIR\n"
        "What is there (S: system objects, +: more)\n"
        "  \\d [NAME]              tables, or one of them       \\dt \\di \\dv \\dm \\ds [PATTERN]  tables, indexes, "
        "views, ...\n"
        "  \\l databases   \\du roles   \\dn schemas   \\df functions   \\da aggregates   \\do operators   \\dT types\n"
        "  \\dp privileges   \\dC casts   \\dO collations   \\dconfig settings   \\db \\dc \\dd \\dD \\ddp \\dF \\dL "
        "\\dx \\dy ...\n"
        "  \\sf FUNCTION, \\sv VIEW  how it was made\n"
        "Only Meridian\n"
        "  \\trace                 where the time of the last transaction went\n"
        "  \\explain STATEMENT     the plan, run: rows, time by cause, replicas\n"
        "  \\regions               nodes by region              \\tablets [TABLE]  its tablets and who leads them\n"
        "  \\clock                 the interval clocks          \\staleness [exact 10s|max 10s|strong]  of reads\n"
        "Output\n"
        "  \\x [on|off|auto] expanded   \\t rows only   \\a aligned or not   \\H html   \\C [TITLE]   \\timing "
        "[on|off]\n"
        "  \\pset [NAME [VALUE]]    border columns csv_fieldsep expanded fieldsep footer format linestyle null pager\n"
        "                         pager_min_lines recordsep tableattr title tuples_only\n"
        "Variables\n"
        "  \\set [NAME [VALUE]]    \\unset NAME    \\prompt [TEXT] NAME    :NAME :'NAME' :\"NAME\" :{?NAME} in "
        "statements\n"
        "  \\if EXPR \\elif EXPR \\else \\endif\n",
        sh->out);
}

/* ---- the table ----------------------------------------------------------------------------------------------------------------------- */

static bool echo(struct shell *sh, FILE *to, const char **at) {
    bool newline = true, first = true;
    char *arg;
    while ((arg = command_arg(sh, at))) {
        if (first && strcmp(arg, "-n") == 0)
            newline = false;
        else
            fprintf(to, "%s%s", first || (!newline && first) ? "" : " ", arg);
        first = first && strcmp(arg, "-n") == 0;
        free(arg);
    }
    if (newline)
        fputc('\n', to);
    fflush(to);
    return true;
}

static bool set(struct shell *sh, const char **at) {
    char *name = command_arg(sh, at), *more;
    struct buf value;
    if (!name) {
        vars_list(sh);
        return true;
    }
    buf_init(&value, 0);
    while ((more = command_arg(sh, at))) {
        buf_puts(&value, more);
        free(more);
    }
    const char *text = buf_cstr(&value);
    bool ok = text && var_assign(sh, name, text);
    buf_done(&value);
    free(name);
    return ok;
}

/* \\setenv NAME [VALUE], \\getenv VARIABLE NAME */
static bool environment(struct shell *sh, const char *name, const char **at) {
    char *first = command_arg(sh, at), *second = command_arg(sh, at);
    bool get = *name == 'g', ok = first && (second || !get);
    if (!ok)
        shell_error(sh, "\\%s: missing required argument", name);
    else if (!get && strchr(first, '=')) {
        shell_error(sh, "\\setenv: environment variable name must not contain \"=\"");
        ok = false;
    } else if (get) {
        const char *value = getenv(second);
        ok = !value || var_assign(sh, first, value);
    } else if (second) {
        ok = setenv(first, second, 1) == 0;
    } else {
        ok = unsetenv(first) == 0;
    }
    free(first);
    free(second);
    return ok;
}

/* The server speaks UTF-8 only, and so does the shell. */
static bool encoding(struct shell *sh, const char *arg) {
    if (!arg) {
        const char *now = meridian_parameter(sh->db, "client_encoding");
        fprintf(sh->out, "%s\n", now ? now : "UTF8");
        return true;
    }
    if (strcasecmp(arg, "UTF8") == 0 || strcasecmp(arg, "UTF-8") == 0 || strcasecmp(arg, "UNICODE") == 0)
        return true;
    shell_error(sh, "%s: invalid encoding name or conversion procedure not found", arg);
    return false;
}

static bool prompt(struct shell *sh, const char **at) {
    char *text = command_arg(sh, at), *name = command_arg(sh, at), *line = NULL;
    size_t cap = 0;
    if (!name) {
        name = text;
        text = NULL;
    }
    bool ok = name != NULL;
    if (ok) {
        FILE *to = sh->interactive ? stdout : stderr; /* not among the results of a script */
        fputs(text ? text : "", to);
        fflush(to);
        ssize_t n = getline(&line, &cap, stdin);
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = '\0';
        ok = var_set(sh, name, n > 0 ? line : "");
    }
    if (!ok)
        shell_error(sh, "\\prompt: missing required argument");
    free(line);
    free(text);
    free(name);
    return ok;
}

static bool is(const char *name, const char *a, const char *b) {
    return strcmp(name, a) == 0 || (b && strcmp(name, b) == 0);
}

/* Commands with one argument or none. false in *ret_known: it is none of these. */
static bool simple(struct shell *sh, const char *name, const char *arg, bool *ret_known) {
    *ret_known = true;
    if (is(name, "x", NULL))
        return pset_command(sh, "expanded", arg);
    if (is(name, "t", NULL))
        return pset_command(sh, "tuples_only", arg);
    if (is(name, "a", NULL))
        return pset_command(sh, "format", sh->print.format == PRINT_ALIGNED ? "unaligned" : "aligned");
    if (is(name, "f", NULL))
        return pset_command(sh, "fieldsep", arg);
    if (is(name, "C", NULL))
        return pset_command(sh, "title", arg);
    if (is(name, "H", "html"))
        return pset_command(sh, "format", sh->print.format == PRINT_HTML ? "aligned" : "html");
    if (is(name, "T", NULL))
        return pset_command(sh, "tableattr", arg);
    if (is(name, "timing", NULL)) {
        bool ok = pset_toggle(sh, "\\timing", arg, &sh->timing);
        if (ok)
            say(sh, sh->timing ? "Timing is on." : "Timing is off.");
        return ok;
    }
    if (is(name, "o", "out"))
        return command_output(sh, arg);
    if (is(name, "i", "include"))
        return include(sh, arg, false);
    if (is(name, "ir", "include_relative"))
        return include(sh, arg, true);
    if (is(name, "e", "edit"))
        return edit(sh, arg);
    if (is(name, "w", "write"))
        return write_query(sh, arg);
    if (is(name, "password", NULL))
        return password_command(sh, arg);
    if (is(name, "encoding", NULL))
        return encoding(sh, arg);
    if (is(name, "s", NULL))
        return edit_history(sh, arg);
    if (is(name, "cd", NULL))
        return change_dir(sh, arg);
    if (is(name, "c", "connect"))
        return connect_to(sh, arg);
    if (is(name, "gset", NULL))
        return go(sh, name, arg);
    if (is(name, "watch", NULL))
        return watch(sh, arg);
    if (is(name, "unset", NULL)) {
        return var_assign(sh, arg ? arg : "", NULL);
    }
    *ret_known = false;
    return false;
}

static void print_buffer(struct shell *sh) {
    const struct buf *b = sh->query.len ? &sh->query : &sh->last;
    size_t n = b->len && b->data[b->len - 1] == '\n' ? b->len - 1 : b->len;
    fwrite(n ? b->data : (const void *)"", 1, n, sh->out);
    fputc('\n', sh->out);
}

/* Commands without arguments. */
static bool plain(struct shell *sh, const char *name, bool *ret_known) {
    *ret_known = true;
    if (is(name, "q", "quit"))
        sh->quit = true;
    else if (is(name, "?", NULL))
        help(sh);
    else if (is(name, "errverbose", NULL))
        message_again(sh);
    else if (is(name, "conninfo", NULL))
        conninfo(sh);
    else if (is(name, "p", "print"))
        print_buffer(sh);
    else if (is(name, "r", "reset")) {
        buf_reset(&sh->query, 0);
        say(sh, "Query buffer reset (cleared).");
    } else if (is(name, "gexec", NULL))
        return gexec(sh);
    else if (is(name, "gdesc", NULL))
        return gdesc(sh);
    else
        *ret_known = false;
    return true;
}

static bool special(struct shell *sh, const char *name, const char **at, bool *ret_known) {
    *ret_known = true;
    if (is(name, "echo", NULL))
        return echo(sh, stdout, at);
    if (is(name, "qecho", NULL))
        return echo(sh, sh->out, at);
    if (is(name, "warn", NULL))
        return echo(sh, stderr, at);
    if (is(name, "set", NULL))
        return set(sh, at);
    if (is(name, "prompt", NULL))
        return prompt(sh, at);
    if (is(name, "crosstabview", NULL))
        return crosstab(sh, at);
    if (is(name, "g", "gx")) {
        struct print_options before = sh->print;
        char *arg = command_arg(sh, at);
        bool ok = (!arg || *arg != '(' || once_settings(sh, &arg, at)) && go(sh, name, arg);
        sh->print = before;
        free(arg);
        return ok;
    }
    if (is(name, "setenv", NULL) || is(name, "getenv", NULL))
        return environment(sh, name, at);
    if (is(name, "h", "help")) {
        char *rest = command_rest(at);
        sql_help(sh, rest);
        free(rest);
        return true;
    }
    if (is(name, "copy", NULL) || is(name, "!", NULL)) {
        char *rest = command_rest(at);
        bool ok = *name == '!' ? edit_shell(sh, rest) == 0 : copy_command(sh, rest);
        free(rest);
        return ok;
    }
    if (is(name, "pset", NULL)) {
        char *what = command_arg(sh, at), *value = command_arg(sh, at);
        bool ok = pset_command(sh, what, value);
        free(what);
        free(value);
        return ok;
    }
    *ret_known = false;
    return false;
}

/* What is left on the line up to the next command says nothing to anybody. */
static void skip_rest(struct shell *sh, const char *name, const char **at, bool tell) {
    char *extra;
    while ((extra = command_arg(sh, at))) {
        if (tell) {
            fflush(sh->out);
            shell_error(sh, "\\%s: extra argument \"%s\" ignored", name, extra);
        }
        free(extra);
    }
    while (**at == ' ' || **at == '\t')
        ++*at;
    if (strncmp(*at, "\\\\", 2) == 0) /* ends the arguments, and nothing else */
        *at += 2;
    else if (**at == '\n')
        ++*at;
}

/* \restrict KEY: no other command until \unrestrict KEY. pg_dump writes both, so that no name in a dump becomes a command. */
static bool restrict_to(struct shell *sh, const char *name, const char *key) {
    bool begin = is(name, "restrict", NULL), ok = key && *key && strlen(key) < sizeof sh->restricted;
    if (!ok)
        shell_error(sh, "\\%s: missing required argument", name);
    else if (begin)
        snprintf(sh->restricted, sizeof sh->restricted, "%s", key);
    else if (!sh->restricted[0])
        shell_error(sh, "\\%s: not currently in restricted mode", name);
    else if (strcmp(key, sh->restricted) != 0)
        shell_error(sh, "\\%s: wrong key", name);
    else
        sh->restricted[0] = '\0';
    return ok && (begin || !sh->restricted[0]);
}

static bool run(struct shell *sh, const char *name, const char **at) {
    if (sh->restricted[0] && !is(name, "unrestrict", NULL)) {
        shell_error(sh, "backslash commands are restricted; only \\unrestrict is allowed");
        free(command_rest(at));
        return false;
    }
    if (is(name, "restrict", "unrestrict")) {
        char *key = command_arg(sh, at);
        bool done = restrict_to(sh, name, key);
        free(key);
        return done;
    }
    bool known, ok = plain(sh, name, &known);
    if (!known)
        ok = special(sh, name, at, &known);
    if (known)
        return ok;
    if (is(name, "sf", "sf+") || is(name, "sv", "sv+")) { /* a function's name has blanks: f(int, text) */
        char *rest = command_rest(at);
        ok = describe_source(sh, name, *rest ? rest : NULL);
        free(rest);
        return ok;
    }
    if (is(name, "explain", NULL)) {
        char *rest = command_rest(at);
        (void)ours_command(sh, name, rest, &ok); /* it is one of them */
        free(rest);
        return ok;
    }
    char *arg = command_arg(sh, at);
    if (is(name, "staleness", NULL) && arg) { /* its argument has blanks */
        char *more = command_rest(at), *both = NULL;
        if (asprintf(&both, "%s%s%s", arg, *more ? " " : "", more) < 0)
            shell_nomem();
        free(more);
        free(arg);
        arg = both;
    }
    ok = simple(sh, name, arg, &known);
    if (!known)
        known = ours_command(sh, name, arg, &ok);
    if (!known && (name[0] == 'd' || name[0] == 'l' || name[0] == 'z')) {
        char *types[9] = {NULL};
        bool typed = strncmp(name, "df", 2) == 0 || (strncmp(name, "do", 2) == 0 && strncmp(name, "dom", 3) != 0);
        for (size_t i = 0; typed && arg && i + 1 < ARRAY_LEN(types) && (i == 0 || types[i - 1]); i++)
            types[i] = command_arg(sh, at);
        ok = describe_command(sh, name, arg, types);
        for (size_t i = 0; i < ARRAY_LEN(types); i++)
            free(types[i]);
        known = true;
    }
    if (!known) {
        fflush(sh->out);
        shell_error(sh, "invalid command \\%s", name);
        if (sh->interactive)
            fprintf(stderr, "Try \\? for help.\n");
        ok = false;
    }
    free(arg);
    return ok;
}

bool command_run(struct shell *sh, const char **at) {
    char name[64];
    bool ok;
    size_t n = (**at == '?' || **at == '!') ? 1 : strcspn(*at, " \t\n\\");
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), *at);
    *at += n;
    if (conditional(sh, name, at, &ok)) {
        skip_rest(sh, name, at, ok && !command_skips(sh));
        return ok;
    }
    if (command_skips(sh)) {
        char *rest = command_rest(at);
        free(rest);
        *at += **at == '\n';
        return true;
    }
    ok = run(sh, name, at);
    skip_rest(sh, name, at, ok);
    return ok;
}
