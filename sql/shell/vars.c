/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars.c: variables of the shell: \set, interpolation into statements, prompts.
 *
 * A few have a meaning of their own: ON_ERROR_STOP, QUIET, ECHO; they are looked at when they are set.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/shell/shell.h"
#include "txn/api/lex.h"

static bool is_name(const char *name) {
    if (!*name)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_' && !((unsigned char)*name & 0x80))
            return false;
    return true;
}

bool var_is_on(const char *value) {
    static const char *const yes[] = {"on", "true", "yes", "1"};
    for (size_t i = 0; value && i < ARRAY_LEN(yes); i++)
        if (strcasecmp(value, yes[i]) == 0)
            return true;
    return false;
}

const char *var_get(const struct shell *sh, const char *name) {
    for (const struct shell_var *v = sh->vars; v; v = v->next)
        if (strcmp(v->name, name) == 0)
            return v->value;
    return NULL;
}

static void meaning(struct shell *sh, const char *name, const char *value) {
    if (strcmp(name, "ON_ERROR_STOP") == 0)
        sh->on_error_stop = var_is_on(value);
    else if (strcmp(name, "QUIET") == 0)
        sh->quiet = var_is_on(value);
    else if (strcmp(name, "ECHO") == 0)
        sh->echo_all = value && strcmp(value, "all") == 0;
    else if (strcmp(name, "FETCH_COUNT") == 0)
        sh->fetch_count = value ? strtoul(value, NULL, 10) : 0;
}

/* Variables with a meaning: what they may be, and what they are without a word. */
static const struct special {
    const char *name, *initial;
    const char *words; /* NULL: a number; "" on or off; else what it may be besides */
} specials[] = {{"AUTOCOMMIT", "on", ""},
                {"COMP_KEYWORD_CASE", "preserve-upper", "lower, upper, preserve-lower, preserve-upper"},
                {"ECHO", "none", "none, errors, queries, all"},
                {"ECHO_HIDDEN", "off", "on, off, noexec"},
                {"FETCH_COUNT", "0", NULL},
                {"HISTCONTROL", "none", "none, ignorespace, ignoredups, ignoreboth"},
                {"HISTSIZE", "500", NULL},
                {"IGNOREEOF", "0", NULL},
                {"ON_ERROR_ROLLBACK", "off", "on, off, interactive"},
                {"ON_ERROR_STOP", "off", ""},
                {"QUIET", "off", ""},
                {"SHOW_CONTEXT", "errors", "never, errors, always"},
                {"SINGLELINE", "off", ""},
                {"VERBOSITY", "default", "default, verbose, terse, sqlstate"}};

static const struct special *special_of(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(specials); i++)
        if (strcmp(specials[i].name, name) == 0)
            return &specials[i];
    return NULL;
}

static bool is_false(const char *value) {
    static const char *const no[] = {"off", "false", "no", "0"};
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (strcasecmp(value, no[i]) == 0)
            return true;
    return false;
}

/* Its place among "on, off, interactive", letter for letter but for case. */
static bool is_word(const char *words, const char *value) {
    size_t n = strlen(value);
    for (const char *p = words; *p; p += strspn(p, ", ")) {
        size_t len = strcspn(p, ",");
        if (len == n && strncasecmp(p, value, n) == 0)
            return true;
        p += len;
    }
    return false;
}

static bool fits(struct shell *sh, const struct special *s, const char *value) {
    char *end;
    if (!s->words) {
        (void)strtol(value, &end, 10);
        if (*value && !*end)
            return true;
        shell_error(sh, "invalid value \"%s\" for \"%s\": integer expected", value, s->name);
        return false;
    }
    bool boolean = var_is_on(value) || is_false(value);
    if (boolean && (!*s->words || is_word(s->words, "on")))
        return true;
    if (*s->words && is_word(s->words, value))
        return true;
    if (*s->words)
        shell_error(sh, "unrecognized value \"%s\" for \"%s\"\nAvailable values are: %s.", value, s->name, s->words);
    else
        shell_error(sh, "unrecognized value \"%s\" for \"%s\": Boolean expected", value, s->name);
    return false;
}

bool var_assign(struct shell *sh, const char *name, const char *value) {
    const struct special *s = special_of(name);
    if (s && value && !*value && s->words) /* \set NAME: on */
        value = "on";
    if (s && !value)
        value = s->initial[0] == 'o' && !*s->words ? "off" : s->initial;
    if (s && !fits(sh, s, value))
        return false;
    if (var_set(sh, name, value) || !value)
        return true;
    shell_error(sh, "invalid variable name: \"%s\"", name);
    return false;
}

void vars_init(struct shell *sh) {
    for (size_t i = 0; i < ARRAY_LEN(specials); i++)
        var_set(sh, specials[i].name, specials[i].initial);
    var_set(sh, "PROMPT1", "%/%R%x%# ");
    var_set(sh, "PROMPT2", "%/%R%x%# ");
    var_set(sh, "PROMPT3", ">> ");
    var_set(sh, "LAST_ERROR_MESSAGE", "");
    var_set(sh, "LAST_ERROR_SQLSTATE", "00000");
    var_set(sh, "VERSION_NAME", meridian_version());
}

bool var_set(struct shell *sh, const char *name, const char *value) {
    if (!is_name(name))
        return false;
    meaning(sh, name, value);
    struct shell_var **link = &sh->vars;
    while (*link && strcmp((*link)->name, name) < 0)
        link = &(*link)->next;
    if (*link && strcmp((*link)->name, name) == 0) {
        struct shell_var *v = *link;
        char *copy = value ? strdup(value) : NULL;
        if (value && !copy)
            shell_nomem();
        free(v->value);
        v->value = copy;
        if (!value) {
            *link = v->next;
            free(v->name);
            free(v);
        }
        return true;
    }
    if (!value)
        return true;
    struct shell_var *v = calloc(1, sizeof *v);
    if (!v || !(v->name = strdup(name)) || !(v->value = strdup(value)))
        shell_nomem();
    v->next = *link;
    *link = v;
    return true;
}

void var_set_number(struct shell *sh, const char *name, long long value) {
    char text[32];
    snprintf(text, sizeof text, "%lld", value);
    var_set(sh, name, text);
}

void vars_free(struct shell *sh) {
    while (sh->vars) {
        struct shell_var *v = sh->vars;
        sh->vars = v->next;
        free(v->name);
        free(v->value);
        free(v);
    }
}

void vars_list(struct shell *sh) {
    for (const struct shell_var *v = sh->vars; v; v = v->next)
        if (!strstr(v->name, SHELL_HIDDEN))
            fprintf(sh->out, "%s = '%s'\n", v->name, v->value);
}

/* ---- interpolation ---------------------------------------------------------------------------------------------------------- */

void vars_quote(const char *text, char quote, struct buf *to) {
    if (quote == '\'' && strchr(text, '\\'))
        buf_putc(to, 'E'); /* as quote_literal: it reads the same whatever standard_conforming_strings is */
    buf_putc(to, (uint8_t)quote);
    for (; *text; text++) {
        if (*text == quote || (quote == '\'' && *text == '\\'))
            buf_putc(to, (uint8_t)*text);
        buf_putc(to, (uint8_t)*text);
    }
    buf_putc(to, (uint8_t)quote);
}

/* The length of a variable's name at p. */
static size_t name_length(const char *p, const char *end) {
    size_t n = 0;
    while (p + n < end && (isalnum((unsigned char)p[n]) || p[n] == '_' || ((unsigned char)p[n] & 0x80)))
        n++;
    return n;
}

/* What stands behind a colon; its length, 0 if it is no variable. */
static size_t one(struct shell *sh, const char *p, const char *end, struct buf *to) {
    char name[256];
    char quote = p < end && (*p == '\'' || *p == '"') ? *p : '\0';
    bool asks = end - p > 2 && p[0] == '{' && p[1] == '?';
    const char *from = p + (asks ? 2 : quote ? 1 : 0);
    size_t n = name_length(from, end);
    if (n == 0 || n >= sizeof name)
        return 0;
    memcpy(name, from, n);
    name[n] = '\0';
    const char *behind = from + n;
    if (asks || quote) {
        if (behind >= end || *behind != (asks ? '}' : quote))
            return 0;
        behind++;
    }
    const char *value = var_get(sh, name);
    if (asks) {
        buf_puts(to, value ? "TRUE" : "FALSE");
        return (size_t)(behind - p);
    }
    if (!value)
        return 0;
    if (quote)
        vars_quote(value, quote, to);
    else
        buf_puts(to, value);
    return (size_t)(behind - p);
}

void vars_expand(struct shell *sh, const char *sql, size_t bytes, struct buf *to) {
    struct lex l;
    enum lex_kind kind;
    lex_init(&l, sql, bytes);
    while ((kind = lex_next(&l)) != LEX_END) {
        size_t n = kind == LEX_COLON ? one(sh, sql + l.at, sql + bytes, to) : 0;
        if (n)
            l.at += n;
        else
            buf_put(to, l.token, l.token_bytes);
    }
}

/* ---- prompts ------------------------------------------------------------------------------------------------------------------ */

static void prompt_part(struct shell *sh, char what, char status, struct buf *to) {
    const char *db = meridian_info(sh->db, MERIDIAN_INFO_DATABASE), *user = meridian_info(sh->db, MERIDIAN_INFO_USER);
    const char *host = meridian_info(sh->db, MERIDIAN_INFO_HOST), *super;
    switch (what) {
    case '/':
    case '~':
        buf_puts(to, db ? db : "");
        break;
    case 'n':
        buf_puts(to, user ? user : "");
        break;
    case 'm':
    case 'M':
        buf_puts(to, !host || host[0] == '/' ? "[local]" : host);
        break;
    case '>':
        host = meridian_info(sh->db, MERIDIAN_INFO_PORT);
        buf_puts(to, host ? host : "");
        break;
    case 'R':
        buf_putc(to, db ? (uint8_t)status : '!');
        break;
    case 'x':
        switch (meridian_state(sh->db)) {
        case 'T':
            buf_putc(to, '*');
            break;
        case 'E':
            buf_putc(to, '!');
            break;
        default:
            break;
        }
        break;
    case '#':
        super = meridian_parameter(sh->db, "is_superuser");
        buf_putc(to, super && strcmp(super, "on") == 0 ? '#' : '>');
        break;
    case '%':
        buf_putc(to, '%');
        break;
    default:
        break;
    }
}

void prompt_print(struct shell *sh, const char *how, char status, struct buf *to) {
    for (; *how; how++)
        if (*how == '%' && how[1])
            prompt_part(sh, *++how, status, to);
        else
            buf_putc(to, (uint8_t)*how);
}
