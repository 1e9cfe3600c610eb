/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pset.c: \pset and the commands that are short for it: how tables are printed.
 *
 * A setting is a row: its name, how it takes a value, how it tells the present one. Texts that the options point to are variables of
 * names that no user can give them.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/shell/shell.h"

static void say(struct shell *sh, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct shell *sh, const char *fmt, ...) {
    va_list ap;
    if (sh->quiet)
        return;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static bool is_off(const char *arg) {
    static const char *const no[] = {"off", "false", "no", "0"};
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (strcasecmp(arg, no[i]) == 0)
            return true;
    return false;
}

bool pset_toggle(struct shell *sh, const char *name, const char *arg, bool *value) {
    if (!arg)
        *value = !*value;
    else if (var_is_on(arg) || is_off(arg))
        *value = var_is_on(arg);
    else {
        shell_error(sh, "unrecognized value \"%s\" for \"%s\": Boolean expected", arg, name);
        return false;
    }
    return true;
}

static const char *keep(struct shell *sh, const char *name, const char *value) {
    char hidden[64];
    snprintf(hidden, sizeof hidden, "%s" SHELL_HIDDEN, name);
    var_set(sh, hidden, value);
    return var_get(sh, hidden);
}

/* ---- one setting each: arg NULL asks for the present value, but where that is the other of two ------------------------------ */

static bool format(struct shell *sh, const char *arg) {
    size_t n = arg ? strlen(arg) : 0;
    for (int i = 0; n && i < PRINT_FORMATS; i++)
        if (strncasecmp(print_format_name((enum print_format)i), arg, n) == 0) {
            sh->print.format = (enum print_format)i;
            n = 0;
            arg = NULL;
        }
    if (arg) {
        shell_error(sh, "\\pset: allowed formats are aligned, csv, html, json, unaligned, wrapped");
        return false;
    }
    say(sh, "Output format is %s.", print_format_name(sh->print.format));
    return true;
}

static bool border(struct shell *sh, const char *arg) {
    if (arg)
        sh->print.border = (int)strtol(arg, NULL, 10) < 0   ? 0
                           : (int)strtol(arg, NULL, 10) > 2 ? 2
                                                            : (int)strtol(arg, NULL, 10);
    say(sh, "Border style is %d.", sh->print.border);
    return true;
}

static bool linestyle(struct shell *sh, const char *arg) {
    size_t n = arg ? strlen(arg) : 0;
    if (arg && !(n && (strncasecmp("ascii", arg, n) == 0 || strncasecmp("unicode", arg, n) == 0))) {
        shell_error(sh, "\\pset: allowed line styles are ascii, unicode");
        return false;
    }
    if (arg)
        sh->print.unicode = strncasecmp("unicode", arg, n) == 0;
    say(sh, "Line style is %s.", sh->print.unicode ? "unicode" : "ascii");
    return true;
}

static bool expanded(struct shell *sh, const char *arg) {
    if (arg && strcasecmp(arg, "auto") == 0) {
        sh->print.expanded = false;
        sh->print.expanded_auto = true;
    } else {
        bool on = sh->print.expanded || sh->print.expanded_auto;
        if (!pset_toggle(sh, "expanded", arg, &on))
            return false;
        sh->print.expanded = on;
        sh->print.expanded_auto = false;
    }
    if (sh->print.expanded_auto)
        say(sh, "Expanded display is used automatically.");
    else
        say(sh, "Expanded display is %s.", sh->print.expanded ? "on" : "off");
    return true;
}

static bool tuples_only(struct shell *sh, const char *arg) {
    if (!pset_toggle(sh, "tuples_only", arg, &sh->print.tuples_only))
        return false;
    say(sh, "Tuples only is %s.", sh->print.tuples_only ? "on" : "off");
    return true;
}

static bool footer(struct shell *sh, const char *arg) {
    bool on = !sh->print.no_footer;
    if (!pset_toggle(sh, "footer", arg, &on))
        return false;
    sh->print.no_footer = !on;
    say(sh, "Default footer is %s.", on ? "on" : "off");
    return true;
}

static bool null(struct shell *sh, const char *arg) {
    if (arg)
        sh->print.null = keep(sh, "null", arg);
    say(sh, "Null display is \"%s\".", sh->print.null);
    return true;
}

static bool fieldsep(struct shell *sh, const char *arg) {
    if (arg)
        sh->print.separator = keep(sh, "fieldsep", arg);
    say(sh, "Field separator is \"%s\".", sh->print.separator);
    return true;
}

static bool recordsep(struct shell *sh, const char *arg) {
    if (arg)
        sh->print.record_separator = keep(sh, "recordsep", arg);
    if (!sh->print.record_separator || strcmp(sh->print.record_separator, "\n") == 0)
        say(sh, "Record separator is <newline>.");
    else
        say(sh, "Record separator is \"%s\".", sh->print.record_separator);
    return true;
}

static bool csv_fieldsep(struct shell *sh, const char *arg) {
    if (arg && (!*arg || arg[1])) {
        shell_error(sh, "\\pset: csv_fieldsep must be a single one-byte character");
        return false;
    }
    if (arg && strchr("\"\n\r", *arg)) {
        shell_error(sh, "\\pset: csv_fieldsep cannot be a double quote, a newline, or a carriage return");
        return false;
    }
    if (arg)
        sh->print.csv_separator = *arg;
    say(sh, "Field separator for CSV is \"%c\".", sh->print.csv_separator ? sh->print.csv_separator : ',');
    return true;
}

static bool columns(struct shell *sh, const char *arg) {
    if (arg)
        sh->wanted_columns = strtoul(arg, NULL, 10);
    if (sh->wanted_columns)
        say(sh, "Target width is %zu.", sh->wanted_columns);
    else
        say(sh, "Target width is unset.");
    return true;
}

static bool title(struct shell *sh, const char *arg) {
    sh->print.title = arg ? keep(sh, "title", arg) : NULL;
    if (arg)
        say(sh, "Title is \"%s\".", arg);
    else
        say(sh, "Title is unset.");
    return true;
}

static bool tableattr(struct shell *sh, const char *arg) {
    sh->print.table_attributes = arg ? keep(sh, "tableattr", arg) : NULL;
    if (arg)
        say(sh, "Table attributes are \"%s\".", arg);
    else
        say(sh, "Table attributes unset.");
    return true;
}

static bool pager(struct shell *sh, const char *arg) {
    if (arg && strcasecmp(arg, "always") == 0) {
        sh->no_pager = false;
        sh->pager_always = true;
    } else if (!arg || var_is_on(arg) || is_off(arg)) {
        sh->no_pager = arg ? is_off(arg) : !sh->no_pager;
        sh->pager_always = false;
    } else {
        shell_error(sh, "unrecognized value \"%s\" for \"pager\"\nAvailable values are: on, off, always.", arg);
        return false;
    }
    say(sh, sh->pager_always ? "Pager is always used."
            : sh->no_pager   ? "Pager usage is off."
                             : "Pager is used for long output.");
    return true;
}

static bool pager_min_lines(struct shell *sh, const char *arg) {
    if (arg)
        sh->pager_lines = strtoul(arg, NULL, 10);
    say(sh, "Pager won't be used for less than %zu line%s.", sh->pager_lines, sh->pager_lines == 1 ? "" : "s");
    return true;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------------- */

static const struct setting {
    const char *name, *other;
    bool (*set)(struct shell *sh, const char *arg);
} settings[] = {{"border", NULL, border},
                {"columns", NULL, columns},
                {"csv_fieldsep", NULL, csv_fieldsep},
                {"expanded", "x", expanded},
                {"fieldsep", NULL, fieldsep},
                {"footer", NULL, footer},
                {"format", NULL, format},
                {"linestyle", NULL, linestyle},
                {"null", NULL, null},
                {"pager", NULL, pager},
                {"pager_min_lines", NULL, pager_min_lines},
                {"recordsep", NULL, recordsep},
                {"tableattr", "T", tableattr},
                {"title", NULL, title},
                {"tuples_only", "t", tuples_only},
                {"vertical", NULL, expanded}};

static void quoted(const char *name, const char *text) {
    printf("%-15s '", name);
    for (; text && *text; text++)
        if (*text == '\n')
            fputs("\\n", stdout);
        else
            fprintf(stdout, *text == '\'' ? "\\'" : "%c", *text);
    puts("'");
}

static void list(const struct shell *sh) {
    const struct print_options *o = &sh->print;
    char csv[2] = {o->csv_separator ? o->csv_separator : ',', '\0'};
    printf("%-15s %d\n%-15s %zu\n", "border", o->border, "columns", sh->wanted_columns);
    quoted("csv_fieldsep", csv);
    printf("%-15s %s\n", "expanded", o->expanded_auto ? "auto" : o->expanded ? "on" : "off");
    quoted("fieldsep", o->separator);
    printf("%-15s %s\n%-15s %s\n%-15s %s\n", "footer", o->no_footer ? "off" : "on", "format",
           print_format_name(o->format), "linestyle", o->unicode ? "unicode" : "ascii");
    quoted("null", o->null);
    printf("%-15s %s\n%-15s %zu\n", "pager",
           sh->no_pager       ? "0"
           : sh->pager_always ? "2"
                              : "1",
           "pager_min_lines", sh->pager_lines);
    quoted("recordsep", o->record_separator ? o->record_separator : "\n");
    printf("%-15s %s\n%-15s %s\n%-15s %s\n", "tableattr", o->table_attributes ? o->table_attributes : "", "title",
           o->title ? o->title : "", "tuples_only", o->tuples_only ? "on" : "off");
}

bool pset_command(struct shell *sh, const char *name, const char *arg) {
    if (!name) {
        list(sh);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (strcmp(settings[i].name, name) == 0 || (settings[i].other && strcmp(settings[i].other, name) == 0))
            return settings[i].set(sh, arg);
    shell_error(sh, "\\pset: unknown option: %s", name);
    return false;
}
