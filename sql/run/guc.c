/* SPDX-License-Identifier: Apache-2.0 */
/* guc.c: see guc.h. One row a setting in a table; a session has a value for each, and a log of what a transaction changed. */
#include "sql/run/guc.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum kind { BOOL, INT, ENUM, STRING, REAL };
enum { REPORT = 1, INTERNAL = 2, NO_RESET = 4 };

struct def {
    const char *name;
    uint8_t kind, flags;
    const char *start;
    const char *choices; /* ENUM: "a b c"; INT: the unit or NULL */
    int64_t min, max;
    const char *about;
};

#define INT_LIMIT INT32_MAX

/* Sorted by name, as SHOW ALL prints them. */
static const struct def defs[] = {
    {"application_name", STRING, REPORT, "", NULL, 0, 0,
     "Sets the application name to be reported in statistics and logs."},
    {"backslash_quote", ENUM, 0, "safe_encoding", "safe_encoding on off", 0, 0,
     "Sets whether \"\\'\" is allowed in string literals."},
    {"block_size", INT, INTERNAL, "8192", NULL, 0, INT_LIMIT, "Shows the size of a disk block."},
    {"bytea_output", ENUM, 0, "hex", "hex escape", 0, 0, "Sets the output format for bytea."},
    {"check_function_bodies", BOOL, 0, "on", NULL, 0, 0, "Check routine bodies during CREATE FUNCTION."},
    {"client_encoding", STRING, REPORT, "UTF8", NULL, 0, 0, "Sets the client's character set encoding."},
    {"client_min_messages", ENUM, 0, "notice", "debug5 debug4 debug3 debug2 debug1 debug log notice warning error", 0,
     0, "Sets the message levels that are sent to the client."},
    {"DateStyle", STRING, REPORT, "ISO, MDY", NULL, 0, 0, "Sets the display format for date and time values."},
    {"default_table_access_method", STRING, 0, "heap", NULL, 0, 0,
     "Sets the default table access method for new tables."},
    {"default_tablespace", STRING, 0, "", NULL, 0, 0, "Sets the default tablespace to create tables and indexes in."},
    {"default_text_search_config", STRING, 0, "pg_catalog.simple", NULL, 0, 0,
     "Sets default text search configuration."},
    {"default_transaction_deferrable", BOOL, 0, "off", NULL, 0, 0,
     "Sets the default deferrable status of new transactions."},
    {"default_transaction_isolation", ENUM, 0, "serializable",
     "serializable repeatable_read read_committed read_uncommitted", 0, 0,
     "Sets the transaction isolation level of each new transaction. All are serializable here."},
    {"default_transaction_read_only", BOOL, REPORT, "off", NULL, 0, 0,
     "Sets the default read-only status of new transactions."},
    {"enable_hashjoin", BOOL, 0, "on", NULL, 0, 0, "Accepted and without effect."},
    {"enable_indexscan", BOOL, 0, "on", NULL, 0, 0, "Accepted and without effect."},
    {"enable_mergejoin", BOOL, 0, "on", NULL, 0, 0, "Accepted and without effect."},
    {"enable_nestloop", BOOL, 0, "on", NULL, 0, 0, "Accepted and without effect."},
    {"enable_seqscan", BOOL, 0, "on", NULL, 0, 0, "Accepted and without effect."},
    {"enable_sort", BOOL, 0, "on", NULL, 0, 0, "Accepted and without effect."},
    {"escape_string_warning", BOOL, 0, "on", NULL, 0, 0, "Warn about backslash escapes in ordinary string literals."},
    {"extra_float_digits", INT, 0, "1", NULL, -15, 3,
     "Sets the number of digits displayed for floating-point values. Always the shortest exact form here."},
    {"geqo", BOOL, 0, "on", NULL, 0, 0, "Accepted and without effect."},
    {"idle_in_transaction_session_timeout", INT, 0, "0", "ms", 0, INT_LIMIT,
     "Accepted and without effect: a gateway keeps alive what its sessions hold."},
    {"idle_session_timeout", INT, 0, "0", "ms", 0, INT_LIMIT, "Accepted and without effect."},
    {"in_hot_standby", BOOL, REPORT | INTERNAL, "off", NULL, 0, 0, "Shows whether hot standby is currently active."},
    {"integer_datetimes", BOOL, REPORT | INTERNAL, "on", NULL, 0, 0, "Shows whether datetimes are integer based."},
    {"IntervalStyle", ENUM, REPORT, "postgres", "postgres postgres_verbose sql_standard iso_8601", 0, 0,
     "Sets the display format for interval values."},
    {"is_superuser", BOOL, REPORT | INTERNAL, "off", NULL, 0, 0, "Shows whether the current user is a superuser."},
    {"jit", BOOL, 0, "off", NULL, 0, 0, "Accepted and without effect."},
    {"lc_collate", STRING, INTERNAL, "C", NULL, 0, 0, "Shows the collation order locale."},
    {"lc_ctype", STRING, INTERNAL, "C", NULL, 0, 0, "Shows the character classification and case conversion locale."},
    {"lc_messages", STRING, 0, "C", NULL, 0, 0, "Sets the language in which messages are displayed."},
    {"lc_monetary", STRING, 0, "C", NULL, 0, 0, "Sets the locale for formatting monetary amounts."},
    {"lc_numeric", STRING, 0, "C", NULL, 0, 0, "Sets the locale for formatting numbers."},
    {"lc_time", STRING, 0, "C", NULL, 0, 0, "Sets the locale for formatting date and time values."},
    {"lock_timeout", INT, 0, "0", "ms", 0, INT_LIMIT, "Sets the maximum allowed duration of any wait for a lock."},
    {"log_min_duration_statement", INT, 0, "-1", "ms", -1, INT_LIMIT, "Accepted and without effect."},
    {"log_statement", ENUM, 0, "none", "none ddl mod all", 0, 0, "Accepted and without effect."},
    {"maintenance_work_mem", INT, 0, "65536", "kB", 64, INT_LIMIT, "Accepted and without effect."},
    {"max_connections", INT, INTERNAL, "4096", NULL, 1, INT_LIMIT,
     "Shows the maximum number of concurrent connections of a store."},
    {"max_identifier_length", INT, INTERNAL, "63", NULL, 0, INT_LIMIT, "Shows the maximum identifier length."},
    {"max_index_keys", INT, INTERNAL, "32", NULL, 0, INT_LIMIT, "Shows the maximum number of index keys."},
    {"meridian.read_staleness", STRING, 0, "strong", NULL, 0, 0,
     "How old a read-only transaction may read: strong, exact 10s, max 10s, since TS, at TS."},
    {"password_encryption", ENUM, 0, "scram-sha-256", "scram-sha-256", 0, 0,
     "Chooses the algorithm for encrypting passwords."},
    {"plan_cache_mode", ENUM, 0, "auto", "auto force_generic_plan force_custom_plan", 0, 0,
     "Accepted and without effect."},
    {"quote_all_identifiers", BOOL, 0, "off", NULL, 0, 0, "When generating SQL fragments, quote all identifiers."},
    {"random_page_cost", REAL, 0, "4", NULL, 0, 0, "Accepted and without effect."},
    {"role", STRING, 0, "none", NULL, 0, 0, "Sets the current role."},
    {"row_security", BOOL, 0, "on", NULL, 0, 0, "Enable row security."},
    {"search_path", STRING, 0, "\"$user\", public", NULL, 0, 0,
     "Sets the schema search order for names that are not schema-qualified."},
    {"seq_page_cost", REAL, 0, "1", NULL, 0, 0, "Accepted and without effect."},
    {"server_encoding", STRING, REPORT | INTERNAL, "UTF8", NULL, 0, 0,
     "Shows the server (database) character set encoding."},
    {"server_version", STRING, REPORT | INTERNAL, "15.0", NULL, 0, 0,
     "Shows the version of PostgreSQL whose language is spoken."},
    {"server_version_num", INT, INTERNAL, "150000", NULL, 0, INT_LIMIT, "Shows it as an integer."},
    {"session_authorization", STRING, REPORT | INTERNAL, "meridian", NULL, 0, 0, "Shows the session user name."},
    {"standard_conforming_strings", BOOL, REPORT, "on", NULL, 0, 0,
     "Causes '...' strings to treat backslashes literally."},
    {"statement_timeout", INT, 0, "0", "ms", 0, INT_LIMIT, "Sets the maximum allowed duration of any statement."},
    {"synchronize_seqscans", BOOL, 0, "on", NULL, 0, 0, "Accepted and without effect."},
    {"synchronous_commit", ENUM, 0, "on", "on off local remote_write remote_apply", 0, 0,
     "Accepted: what is committed is always durable on a majority."},
    {"temp_file_limit", INT, 0, "4194304", "kB", -1, INT_LIMIT,
     "Limits the total size of all temporary files used by each statement."},
    {"temp_tablespaces", STRING, 0, "", NULL, 0, 0, "Sets the tablespaces to use for temporary tables."},
    {"TimeZone", STRING, REPORT, "UTC", NULL, 0, 0, "Sets the time zone for displaying and interpreting time stamps."},
    {"transaction_deferrable", BOOL, NO_RESET, "off", NULL, 0, 0,
     "Whether to defer a read-only serializable transaction."},
    {"transaction_isolation", ENUM, NO_RESET, "serializable",
     "serializable repeatable_read read_committed read_uncommitted", 0, 0,
     "Sets the current transaction's isolation level."},
    {"transaction_read_only", BOOL, NO_RESET, "off", NULL, 0, 0, "Sets the current transaction's read-only status."},
    {"vacuum_cost_delay", REAL, 0, "0", NULL, 0, 0, "Accepted and without effect."},
    {"work_mem", INT, 0, "65536", "kB", 64, INT_LIMIT,
     "Sets the memory that a statement may use before it spills to files."},
    {"xmlbinary", ENUM, 0, "base64", "base64 hex", 0, 0, "Accepted and without effect."},
    {"xmloption", ENUM, 0, "content", "content document", 0, 0, "Accepted and without effect."},
};

enum { DEFS = ARRAY_LEN(defs) };

struct var {
    char *name;          /* of custom ones; else NULL */
    char *value, *start; /* NULL: the table's */
    bool told, settled;
};

struct undo {
    size_t var;
    char *old; /* NULL: the start value */
    enum guc_scope scope;
};

struct guc_vars {
    struct var *var;
    size_t vars, var_cap;
    struct undo *log;
    size_t logged, cap;
    uint64_t changes;
};

struct guc_vars *guc_new(void) {
    struct guc_vars *g = calloc(1, sizeof *g);
    struct var *v = calloc(DEFS, sizeof *v);
    if (!g || !v) {
        free(g);
        free(v);
        return NULL;
    }
    g->var = v;
    g->vars = g->var_cap = DEFS;
    return g;
}

void guc_free(struct guc_vars *g) {
    if (!g)
        return;
    for (size_t i = 0; i < g->vars; i++) {
        free(g->var[i].name);
        free(g->var[i].value);
        free(g->var[i].start);
    }
    for (size_t i = 0; i < g->logged; i++)
        free(g->log[i].old);
    free(g->log);
    free(g->var);
    free(g);
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

static const char *name_of(const struct guc_vars *g, size_t i) {
    return i < DEFS ? defs[i].name : g->var[i].name;
}

static const char *start_of(const struct guc_vars *g, size_t i) {
    return g->var[i].start ? g->var[i].start : i < DEFS ? defs[i].start : "";
}

static const char *value_of(const struct guc_vars *g, size_t i) {
    return g->var[i].value ? g->var[i].value : start_of(g, i);
}

/* g->vars: there is none. */
static size_t find(const struct guc_vars *g, const char *name) {
    size_t i = 0;
    if (strcasecmp(name, "time zone") == 0 || strcasecmp(name, "timezone") == 0)
        name = "TimeZone";
    while (i < g->vars && strcasecmp(name_of(g, i), name) != 0)
        i++;
    return i;
}

const char *guc_get(const struct guc_vars *g, const char *name) {
    size_t i = find(g, name);
    return i < g->vars ? value_of(g, i) : NULL;
}

bool guc_bool(const struct guc_vars *g, const char *name) {
    const char *v = guc_get(g, name);
    CHECK(v);
    return strcmp(v, "on") == 0;
}

int64_t guc_int(const struct guc_vars *g, const char *name) {
    const char *v = guc_get(g, name);
    CHECK(v);
    return strtoll(v, NULL, 10);
}

/* ---- checks ------------------------------------------------------------------------------------------------------------ */

static enum rc bad_value(const char *name, const char *value, struct err *err) {
    return err_sql(err, "22023", "invalid value for parameter \"%s\": \"%.100s\"", name, value);
}

/* "true", "t", "yes", "on", "1" and beginnings of the words, as PostgreSQL has them. */
static bool bool_read(const char *v, bool *ret) {
    static const struct {
        const char *word;
        size_t least;
        bool value;
    } words[] = {{"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
                 {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false}};
    size_t n = strlen(v);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (n >= words[i].least && n <= strlen(words[i].word) && strncasecmp(v, words[i].word, n) == 0) {
            *ret = words[i].value;
            return true;
        }
    return false;
}

/* A number with a unit, in the setting's own unit. */
static enum rc int_read(const struct def *d, const char *value, int64_t *ret, struct err *err) {
    static const struct {
        const char *unit, *base;
        double factor;
    } units[] = {{"us", "ms", 1e-3},   {"ms", "ms", 1},       {"s", "ms", 1000},       {"min", "ms", 60000},
                 {"h", "ms", 3600000}, {"d", "ms", 86400000}, {"B", "kB", 1.0 / 1024}, {"kB", "kB", 1},
                 {"MB", "kB", 1024},   {"GB", "kB", 1048576}, {"TB", "kB", 1073741824}};
    char *end;
    double x = strtod(value, &end);
    if (end == value || x != x)
        return bad_value(d->name, value, err);
    while (isspace((unsigned char)*end))
        end++;
    if (*end) {
        size_t i = 0;
        while (i < ARRAY_LEN(units) &&
               (!d->choices || strcmp(units[i].base, d->choices) != 0 || strcmp(units[i].unit, end) != 0))
            i++;
        if (i == ARRAY_LEN(units)) {
            enum rc rc = bad_value(d->name, value, err);
            if (err && d->choices)
                err_hint(err,
                         strcmp(d->choices, "ms") == 0
                             ? "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."
                             : "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".");
            return rc;
        }
        x *= units[i].factor;
    }
    x = x < 0 ? x - 0.5 : x + 0.5;
    if (x < (double)d->min - 0.5 || x > (double)d->max + 0.5)
        return err_sql(err, "22023",
                       "%.60s is outside the valid range for parameter \"%s\" (%" PRId64 " .. %" PRId64 ")", value,
                       d->name, d->min, d->max);
    *ret = (int64_t)x;
    return RC_OK;
}

/* *ret: the word as the table has it, with blanks for its underscores. */
static enum rc enum_read(const struct def *d, const char *value, char *ret, size_t cap, struct err *err) {
    char word[64];
    for (const char *at = d->choices; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        if (strncmp(d->name + strlen(d->name) - 9, "isolation", 9) == 0)
            for (char *c = word; *c; c++)
                *c = *c == '_' ? ' ' : *c;
        if (strcasecmp(word, value) == 0) {
            snprintf(ret, cap, "%s", word);
            return RC_OK;
        }
        at += n;
    }
    bool b;
    if (bool_read(value, &b) && strstr(d->choices, "on off")) {
        snprintf(ret, cap, "%s", b ? "on" : "off");
        return RC_OK;
    }
    enum rc rc = bad_value(d->name, value, err);
    if (err)
        err_hint(err, "Available values: %.120s.", d->choices);
    return rc;
}

/* Letters and digits only, in lower case. */
static void squeeze(const char *from, char *to, size_t cap) {
    size_t n = 0;
    for (; *from && n + 1 < cap; from++)
        if (isalnum((unsigned char)*from))
            to[n++] = (char)tolower((unsigned char)*from);
    to[n] = '\0';
}

static enum rc string_read(const struct def *d, const char *value, char *ret, size_t cap, struct err *err) {
    char word[64];
    squeeze(value, word, sizeof word);
    if (strcmp(d->name, "client_encoding") == 0) {
        if (strcmp(word, "utf8") != 0 && strcmp(word, "unicode") != 0)
            return err_sql(err, "0A000", "conversion between %.40s and UTF8 is not supported", value);
        value = "UTF8";
    } else if (strcmp(d->name, "DateStyle") == 0) {
        if (strcmp(word, "iso") != 0 && strcmp(word, "isomdy") != 0 && strcmp(word, "mdy") != 0 &&
            strcmp(word, "isous") != 0 && strcmp(word, "default") != 0)
            return err_sql(err, "0A000", "DateStyle can only be ISO, MDY, not \"%.40s\"", value);
        value = "ISO, MDY";
    } else if (strcmp(d->name, "default_table_access_method") == 0 && strcmp(value, "heap") != 0) {
        return err_sql(err, "42704", "access method \"%.40s\" does not exist", value);
    }
    if (strlen(value) >= cap)
        return err_sql(err, "22023", "the value for \"%s\" is longer than %d bytes", d->name, GUC_VALUE_BYTES_MAX);
    memcpy(ret, value, strlen(value) + 1);
    return RC_OK;
}

/* Milliseconds and kilobytes in the largest unit that divides them. */
static void int_print(const struct def *d, int64_t x, char *ret, size_t cap) {
    static const struct {
        const char *unit, *base;
        int64_t factor;
    } units[] = {{"d", "ms", 86400000}, {"h", "ms", 3600000}, {"min", "ms", 60000},
                 {"s", "ms", 1000},     {"ms", "ms", 1},      {"TB", "kB", 1073741824},
                 {"GB", "kB", 1048576}, {"MB", "kB", 1024},   {"kB", "kB", 1}};
    for (size_t i = 0; d->choices && x > 0 && i < ARRAY_LEN(units); i++)
        if (strcmp(units[i].base, d->choices) == 0 && x % units[i].factor == 0) {
            snprintf(ret, cap, "%" PRId64 "%s", x / units[i].factor, units[i].unit);
            return;
        }
    snprintf(ret, cap, "%" PRId64, x);
}

static enum rc normal(const struct def *d, const char *value, char *ret, size_t cap, struct err *err) {
    bool b;
    int64_t x;
    enum rc rc;
    switch ((enum kind)d->kind) {
    case BOOL:
        if (!bool_read(value, &b))
            return err_sql(err, "22023", "parameter \"%s\" requires a Boolean value", d->name);
        if (!b && strcmp(d->name, "standard_conforming_strings") == 0)
            return err_sql(err, "0A000", "standard_conforming_strings can only be on");
        snprintf(ret, cap, "%s", b ? "on" : "off");
        return RC_OK;
    case INT:
        rc = int_read(d, value, &x, err);
        if (!rc)
            snprintf(ret, cap, "%" PRId64, x);
        return rc;
    case REAL: {
        char *end;
        double r = strtod(value, &end);
        if (*end || end == value || r != r)
            return bad_value(d->name, value, err);
        snprintf(ret, cap, "%g", r);
        return RC_OK;
    }
    case ENUM:
        return enum_read(d, value, ret, cap, err);
    case STRING:
        return string_read(d, value, ret, cap, err);
    }
    return RC_INTERNAL;
}

/* ---- setting -------------------------------------------------------------------------------------------------------------- */

/* "app.user": words of letters, digits and underscores, with dots between. */
static bool custom_name(const char *name) {
    bool dot = false, word = false;
    for (; *name; name++) {
        if (*name == '.') {
            if (!word)
                return false;
            dot = true;
            word = false;
        } else if (isalpha((unsigned char)*name) || *name == '_' ||
                   (word && (isdigit((unsigned char)*name) || *name == '$')) || (unsigned char)*name >= 0x80) {
            word = true;
        } else {
            return false;
        }
    }
    return dot && word;
}

static enum rc place(struct guc_vars *g, const char *name, size_t *ret, struct err *err) {
    size_t i = find(g, name);
    if (i == g->vars) {
        if (!custom_name(name) || strncasecmp(name, "meridian.", 9) == 0)
            return err_sql(err, "42704", "unrecognized configuration parameter \"%.64s\"", name);
        if (i == DEFS + GUC_CUSTOM_MAX)
            return err_sql(err, "54000", "a session may have %d settings of its own", GUC_CUSTOM_MAX);
        char *copy = strdup(name);
        size_t cap = g->vars < g->var_cap ? g->var_cap : g->var_cap + 8;
        struct var *grown = realloc(g->var, cap * sizeof *grown);
        if (grown) {
            g->var = grown;
            g->var_cap = cap;
        }
        if (!copy || !grown) {
            free(copy);
            return err_set(err, RC_NOMEM, "out of memory for a setting");
        }
        g->var[i] = (struct var){.name = copy};
        g->vars++;
    }
    *ret = i;
    return RC_OK;
}

/* *ret: malloc'ed, as it is kept. */
static enum rc checked(const struct guc_vars *g, size_t i, const char *value, char **ret, struct err *err) {
    char *text = malloc(GUC_VALUE_BYTES_MAX);
    struct def custom = {.name = name_of(g, i), .kind = STRING};
    enum rc rc = !text ? err_set(err, RC_NOMEM, "out of memory for a setting")
                       : normal(i < DEFS ? &defs[i] : &custom, value, text, GUC_VALUE_BYTES_MAX, err);
    if (!rc) {
        char *copy = strdup(text);
        if (copy)
            *ret = copy;
        else
            rc = err_set(err, RC_NOMEM, "out of memory for a setting");
    }
    free(text);
    return rc;
}

/* Takes value. */
static void assign(struct guc_vars *g, size_t i, char *value) {
    const char *new_value = value ? value : start_of(g, i);
    if (strcmp(value_of(g, i), new_value) != 0)
        g->var[i].told = false;
    free(g->var[i].value);
    g->var[i].value = value;
    g->changes++;
}

enum rc guc_set(struct guc_vars *g, const char *name, const char *value, enum guc_scope scope, struct err *err) {
    size_t i;
    char *kept = NULL;
    enum rc rc = place(g, name, &i, err);
    if (rc)
        return rc;
    if (i < DEFS && (defs[i].flags & INTERNAL))
        return err_sql(err, "55P02", "parameter \"%s\" cannot be changed", defs[i].name);
    if (!value && i < DEFS && (defs[i].flags & NO_RESET))
        return err_sql(err, "0A000", "parameter \"%s\" cannot be reset", defs[i].name);
    if (g->logged == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 8;
        struct undo *grown = cap <= GUC_LOG_MAX ? realloc(g->log, cap * sizeof *grown) : NULL;
        if (!grown)
            return err_set(err, RC_LIMIT, "too many settings in one transaction");
        g->log = grown;
        g->cap = cap;
    }
    if (value && (rc = checked(g, i, value, &kept, err)))
        return rc;
    bool same = strcmp(value_of(g, i), kept ? kept : start_of(g, i)) == 0;
    bool told = g->var[i].told && same;
    g->log[g->logged++] = (struct undo){i, g->var[i].value, scope}; /* the log has it now */
    g->var[i].value = NULL;
    assign(g, i, kept);
    g->var[i].told = told;
    return RC_OK;
}

enum rc guc_start(struct guc_vars *g, const char *name, const char *value, struct err *err) {
    size_t i;
    char *kept;
    enum rc rc = place(g, name, &i, err);
    if (!rc)
        rc = checked(g, i, value, &kept, err);
    if (rc)
        return rc;
    assign(g, i, NULL);
    if (strcmp(start_of(g, i), kept) != 0)
        g->var[i].told = false;
    free(g->var[i].start);
    g->var[i].start = kept;
    g->changes++;
    return RC_OK;
}

void guc_reset_all(struct guc_vars *g) {
    for (size_t i = 0; i < g->vars; i++)
        if (i >= DEFS || !(defs[i].flags & (INTERNAL | NO_RESET)))
            assign(g, i, NULL);
}

/* ---- showing --------------------------------------------------------------------------------------------------------------- */

uint64_t guc_changes(const struct guc_vars *g) {
    return g->changes;
}

size_t guc_count(const struct guc_vars *g) {
    return g->vars;
}

struct guc_info guc_at(const struct guc_vars *g, size_t i) {
    static const char *const types[] = {"bool", "integer", "enum", "string", "real"};
    CHECK(i < g->vars);
    struct guc_info info = {
        .name = name_of(g, i), .value = value_of(g, i), .start = start_of(g, i), .type = "string", .about = ""};
    if (i < DEFS) {
        info.about = defs[i].about;
        info.type = types[defs[i].kind];
        info.unit = defs[i].kind == INT ? defs[i].choices : NULL;
        info.report = defs[i].flags & REPORT;
        info.internal = defs[i].flags & INTERNAL;
    }
    return info;
}

void guc_show(const struct guc_vars *g, const char *name, char *ret, size_t cap) {
    size_t i = find(g, name);
    if (i < DEFS && defs[i].kind == INT)
        int_print(&defs[i], strtoll(value_of(g, i), NULL, 10), ret, cap);
    else
        snprintf(ret, cap, "%s", i < g->vars ? value_of(g, i) : "");
}

bool guc_next_report(struct guc_vars *g, size_t *at, struct guc_info *ret) {
    for (; *at < g->vars; (*at)++) {
        if (*at < DEFS && (defs[*at].flags & REPORT) && !g->var[*at].told) {
            g->var[*at].told = true;
            *ret = guc_at(g, *at);
            (*at)++;
            return true;
        }
    }
    return false;
}

/* ---- transactions ------------------------------------------------------------------------------------------------------------ */

size_t guc_mark(const struct guc_vars *g) {
    return g->logged;
}

void guc_rollback_to(struct guc_vars *g, size_t mark) {
    while (g->logged > mark) {
        struct undo *u = &g->log[--g->logged];
        assign(g, u->var, u->old);
    }
}

/* From the newest back: of a setting, everything after its last SET was LOCAL and goes. */
void guc_end(struct guc_vars *g, bool committed) {
    if (!committed) {
        guc_rollback_to(g, 0);
        return;
    }
    for (size_t i = g->logged; i > 0; i--) {
        struct undo *u = &g->log[i - 1];
        if (!g->var[u->var].settled && u->scope == GUC_LOCAL) {
            assign(g, u->var, u->old);
            u->old = NULL;
        } else {
            g->var[u->var].settled = true;
        }
    }
    for (size_t i = 0; i < g->logged; i++) {
        g->var[g->log[i].var].settled = false;
        free(g->log[i].old);
    }
    g->logged = 0;
}
