/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_sql.c: `meridian sql`: its options; the shell itself is sql/shell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/main/commands.h"
#include "sql/shell/shell.h"

enum { EXIT_CONFIG = 1, ACTIONS_MAX = 256, SETS_MAX = 256, PSETS_MAX = 64 };

static const char help_text[] =
    "meridian sql: the SQL shell\n"
    "\n"
    "usage: meridian sql [OPTION]... [DATABASE | URL]\n"
    "\n"
    "  -u, --url URL            postgres://..., meridian://HOST:PORT,..., or file:DIR: a database in this process\n"
    "                           (postgres://meridian@127.0.0.1:7432/meridian)\n"
    "  -h, -p, -U               host, port, user, in place of the default URL's\n"
    "  -c, --command SQL        run this, then exit; may be given several times, also together with -f\n"
    "  -f, --file FILE          run the statements of FILE, then exit; - is standard input\n"
    "  -v, --set NAME=VALUE     set a variable; -v ON_ERROR_STOP=1 ends a script at its first error\n"
    "      --format FORMAT      aligned, unaligned, wrapped, csv, html or json\n"
    "  -A, -t, -x, -F SEP       unaligned; rows only; expanded; field separator of unaligned\n"
    "  -H, --csv, -P NAME=VALUE html; csv; as \\pset does it\n"
    "  -o, --output FILE        send results there, or with |COMMAND to a program\n"
    "  -q, --quiet              results only\n"
    "  -a, -e, -b, -E           show what a script reads; statements; those that fail; queries of \\d\n"
    "  -1                       everything of -c and -f in one transaction\n"
    "  -S, -X                   a line is a statement; no startup file (~/.meridianrc, or what MERIDIANRC names)\n"
    "  -l, -V                   list the databases; tell the version\n"
    "\n"
    "Without -c and -f it reads standard input: statements that end with ;, and commands: \\? lists them.\n"
    "\n"
    "exit status: 0 fine; 1 something was wrong with the command, or -c failed; 2 the connection; 3 a script's "
    "statement\n"
    "failed, and ON_ERROR_STOP was set\n";

struct options {
    struct shell_conf conf;
    struct shell_action action[ACTIONS_MAX];
    const char *set[SETS_MAX], *pset[PSETS_MAX];
    const char *database, *host, *port, *user;
    char *url;
    bool version;
};

static int complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
static int complain(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "meridian sql: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    return EXIT_CONFIG;
}

static int set_format(struct print_options *p, const char *value) {
    for (int i = 0; i < PRINT_FORMATS; i++)
        if (strcmp(value, print_format_name((enum print_format)i)) == 0) {
            p->format = (enum print_format)i;
            return 0;
        }
    return complain("--format: there are aligned, unaligned, wrapped, csv, html and json, not \"%s\"", value);
}

static int with_value(struct options *o, char what, const char *value) {
    switch (what) {
    case 'u':
        o->conf.url = value;
        return 0;
    case 'c':
    case 'f':
        if (o->conf.actions == ACTIONS_MAX)
            return complain("more than 256 of -c and -f");
        o->action[o->conf.actions++] = (struct shell_action){what, value};
        return 0;
    case 'v':
        if (o->conf.sets == SETS_MAX)
            return complain("more than 256 of -v");
        o->set[o->conf.sets++] = value;
        return 0;
    case 'F':
        o->conf.print.separator = value;
        return 0;
    case 'P':
        if (o->conf.psets == PSETS_MAX)
            return complain("more than %d of -P", PSETS_MAX);
        o->pset[o->conf.psets++] = value;
        return 0;
    case 'o':
        o->conf.out = value;
        return 0;
    case 'h':
        o->host = value;
        return 0;
    case 'p':
        o->port = value;
        return 0;
    case 'U':
        o->user = value;
        return 0;
    case 'm':
        return set_format(&o->conf.print, value);
    default:
        o->database = value;
        return 0;
    }
}

static int without_value(struct options *o, char what) {
    switch (what) {
    case 'A':
        o->conf.print.format = PRINT_UNALIGNED;
        break;
    case 't':
        o->conf.print.tuples_only = true;
        break;
    case 'x':
        o->conf.print.expanded = true;
        break;
    case 'q':
        o->conf.quiet = true;
        break;
    case 'a':
        o->conf.echo = "all";
        break;
    case 'e':
        o->conf.echo = "queries";
        break;
    case 'b':
        o->conf.echo = "errors";
        break;
    case 'E':
        o->conf.echo_hidden = true;
        break;
    case 'S':
        o->conf.single_line = true;
        break;
    case 'X':
        o->conf.no_startup = true;
        break;
    case 'H':
        o->conf.print.format = PRINT_HTML;
        break;
    case 'C':
        o->conf.print.format = PRINT_CSV;
        break;
    case 'l':
        if (o->conf.actions < ACTIONS_MAX)
            o->action[o->conf.actions++] = (struct shell_action){'c', "\\l"};
        break;
    case 'V':
        o->version = true;
        break;
    case '1':
        o->conf.one_transaction = true;
        break;
    default: /* -w: there is no prompt for a password */
        break;
    }
    return 0;
}

/* Long names as the letters they stand for; 'm' has none. */
static char letter_of(const char *name, size_t bytes) {
    static const struct {
        const char *name;
        char letter;
    } names[] = {{"url", 'u'},          {"command", 'c'},
                 {"file", 'f'},         {"set", 'v'},
                 {"variable", 'v'},     {"format", 'm'},
                 {"quiet", 'q'},        {"echo-all", 'a'},
                 {"dbname", 'd'},       {"no-align", 'A'},
                 {"tuples-only", 't'},  {"expanded", 'x'},
                 {"no-psqlrc", 'X'},    {"field-separator", 'F'},
                 {"echo-queries", 'e'}, {"echo-errors", 'b'},
                 {"echo-hidden", 'E'},  {"single-line", 'S'},
                 {"no-startup", 'X'},   {"html", 'H'},
                 {"csv", 'C'},          {"list", 'l'},
                 {"version", 'V'},      {"pset", 'P'},
                 {"output", 'o'},       {"single-transaction", '1'},
                 {"host", 'h'},         {"port", 'p'},
                 {"username", 'U'}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i].name) == bytes && strncmp(names[i].name, name, bytes) == 0)
            return names[i].letter;
    return '\0';
}

static int long_option(struct options *o, int argc, char **argv, int *at) {
    const char *name = argv[*at] + 2, *value = strchr(name, '=');
    char letter = letter_of(name, value ? (size_t)(value - name) : strlen(name));
    if (!letter)
        return complain("there is no option %s; see --help", argv[*at]);
    if (!strchr("ucfvFmdPohpU", letter))
        return value ? complain("%s takes no value", argv[*at]) : without_value(o, letter);
    if (!value && *at + 1 == argc)
        return complain("%s wants a value", argv[*at]);
    return with_value(o, letter, value ? value + 1 : argv[++*at]);
}

static int short_options(struct options *o, int argc, char **argv, int *at) {
    for (const char *p = argv[*at] + 1; *p; p++) {
        if (!strchr("ucfvFdPohpUAtxqaebESHlV1Xw", *p))
            return complain("there is no option %s; see --help", argv[*at]);
        if (!strchr("ucfvFdPohpU", *p)) {
            without_value(o, *p);
            continue;
        }
        if (!p[1] && *at + 1 == argc)
            return complain("%s wants a value", argv[*at]);
        return with_value(o, *p, p[1] ? p + 1 : argv[++*at]);
    }
    return 0;
}

static int parse(struct options *o, int argc, char **argv) {
    int bad = 0;
    for (int i = 1; i < argc && !bad; i++) {
        if (strncmp(argv[i], "--", 2) == 0)
            bad = long_option(o, argc, argv, &i);
        else if (argv[i][0] == '-' && argv[i][1])
            bad = short_options(o, argc, argv, &i);
        else if (o->database)
            bad = complain("what is \"%s\"? see --help", argv[i]);
        else
            o->database = argv[i];
    }
    return bad;
}

/* The URL that was given, or the default with what was said of it; its database is another one if one is named. */
static int choose_url(struct options *o) {
    const char *url = o->conf.url, *authority = strstr(url, "://");
    if (o->database && shell_is_url(o->database)) {
        o->conf.url = o->database;
        return 0;
    }
    if (o->host || o->port || o->user) {
        bool socket = o->host && o->host[0] == '/';
        const char *host = socket ? "" : o->host ? o->host : "127.0.0.1", *port = socket ? "5432" : "7432";
        if (asprintf(&o->url, "postgres://%s@%s:%s/%s%s%s", o->user ? o->user : "meridian", host,
                     o->port ? o->port : port, o->database ? o->database : "meridian", socket ? "?host=" : "",
                     socket ? o->host : "") < 0)
            return complain("out of memory");
    } else if (o->database) {
        authority = authority ? authority + 3 : url;
        size_t head = (size_t)(authority - url) + strcspn(authority, "/?");
        const char *query = strchr(url + head, '?');
        if (asprintf(&o->url, "%.*s/%s%s", (int)head, url, o->database, query ? query : "") < 0)
            return complain("out of memory");
    }
    o->conf.url = o->url ? o->url : url;
    return 0;
}

int cmd_sql(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help_text, stdout);
            return 0;
        }
    struct options *o = calloc(1, sizeof *o);
    if (!o)
        return complain("out of memory");
    o->conf.url = "postgres://meridian@127.0.0.1:7432/meridian";
    o->conf.print = (struct print_options){.null = "", .separator = "|", .border = 1};
    o->conf.action = o->action;
    o->conf.set = o->set;
    o->conf.pset = o->pset;
    int code = parse(o, argc, argv);
    if (!code)
        code = choose_url(o);
    if (!code && o->version)
        printf("meridian sql %s\n", meridian_version());
    else if (!code)
        code = shell_run(&o->conf);
    free(o->url);
    free(o);
    return code;
}
