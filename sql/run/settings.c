/* SPDX-License-Identifier: Apache-2.0 */
/* settings.c: settings that mean something to a session: time zone, search path, timeouts; SET and RESET as statements. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/run/sess_internal.h"

/* ---- time zones ----------------------------------------------------------------------------------------------------- */

/* Hours east of Greenwich, as a number or "+02:30" after an interval. */
static bool zone_number(const char *text, int32_t *ret_seconds) {
    char *end;
    double hours = strtod(text, &end);
    if (end == text || !isfinite(hours))
        return false;
    if (*end == ':') {
        long minutes = strtol(end + 1, &end, 10);
        hours += (text[0] == '-' ? -1 : 1) * (double)minutes / 60;
        if (*end == ':')
            strtol(end + 1, &end, 10);
    }
    if (*end || fabs(hours * 3600) > ZONE_OFFSET_MAX)
        return false;
    *ret_seconds = (int32_t)lround(hours * 3600);
    return true;
}

static const struct zone *zone_of(struct sess *s, const char *text) {
    int32_t seconds;
    const struct zone *z = zone_cache_find(s->e->zones, text);
    if (z || !zone_number(text, &seconds))
        return z;
    if (s->types.zone && strcmp(zone_name(s->types.zone), text) == 0)
        return s->types.zone;
    return zone_fixed(&s->zone_arena, text, seconds);
}

/* ---- one setting ------------------------------------------------------------------------------------------------------ */

/* What a table of settings cannot know. *value may be put into the form that is kept. */
static enum rc check(struct sess *s, const char *name, const char **value, char form[static 64], struct err *err) {
    struct txn_options o = {0};
    if (strcasecmp(name, "TimeZone") == 0) {
        const struct zone *z = strcasecmp(*value, "local") == 0 || strcasecmp(*value, "default") == 0
                                   ? zone_cache_utc(s->e->zones)
                                   : zone_of(s, *value);
        if (!z)
            return err_sql(err, "22023", "invalid value for parameter \"TimeZone\": \"%.64s\"", *value);
        snprintf(form, 64, "%s", zone_name(z));
        *value = form;
    } else if (strcasecmp(name, "meridian.read_staleness") == 0) {
        return sess_staleness(s, *value, &o, err);
    } else if (strcasecmp(name, "role") == 0 && strcasecmp(*value, "none") != 0) {
        struct cat_view view = sess_view(s);
        if (!cat_view_role(&view, *value))
            return err_sql(err, "22023", "role \"%.63s\" does not exist", *value);
    }
    return RC_OK;
}

enum rc sess_setting(struct sess *s, const char *name, const char *value, enum setting_scope scope, struct err *err) {
    char form[64];
    enum rc rc = value ? check(s, name, &value, form, err) : RC_OK;
    if (rc)
        return rc;
    if (scope == SETTING_START) {
        const char *now = guc_get(s->gucs, name);
        /* A client may name what nobody can set, if that is what it is. */
        if (now && strcasecmp(now, value) == 0)
            return RC_OK;
        for (size_t i = 0; i < guc_count(s->gucs); i++)
            if (strcasecmp(guc_at(s->gucs, i).name, name) == 0 && guc_at(s->gucs, i).internal)
                return err_sql(err, "55P02", "parameter \"%.64s\" cannot be changed", name);
        return guc_start(s->gucs, name, value, err);
    }
    rc = guc_set(s->gucs, name, value, scope == SETTING_LOCAL ? GUC_LOCAL : GUC_SESSION, err);
    return rc ? rc : sess_settings(s, err);
}

static enum interval_style interval_style_named(const char *name) {
    return strcmp(name, "iso_8601") == 0           ? INTERVAL_ISO
           : strcmp(name, "postgres_verbose") == 0 ? INTERVAL_VERBOSE
           : strcmp(name, "sql_standard") == 0     ? INTERVAL_STANDARD
                                                   : INTERVAL_POSTGRES;
}

enum rc sess_settings(struct sess *s, struct err *err) {
    if (s->settings_seen == guc_changes(s->gucs) + 1)
        return RC_OK;
    const struct zone *z = zone_of(s, guc_get(s->gucs, "TimeZone"));
    if (!z)
        return err_set(err, RC_NOMEM, "the time zone could not be read");
    s->types.zone = z;
    s->types.interval_style = interval_style_named(guc_get(s->gucs, "IntervalStyle"));
    s->types.bytea_escape = strcmp(guc_get(s->gucs, "bytea_output"), "escape") == 0;
    s->statement_timeout_ns = guc_int(s->gucs, "statement_timeout") * 1000000;
    s->lock_timeout_ns = guc_int(s->gucs, "lock_timeout") * 1000000;
    s->work_bytes = (size_t)guc_int(s->gucs, "work_mem") << 10;
    s->temp_bytes = guc_int(s->gucs, "temp_file_limit") < 0 ? 0 : guc_int(s->gucs, "temp_file_limit") << 10;
    s->default_read_only = guc_bool(s->gucs, "default_transaction_read_only");
    s->path_version = 0;
    s->settings_seen = guc_changes(s->gucs) + 1;
    return RC_OK;
}

/* ---- search_path --------------------------------------------------------------------------------------------------------- */

/* The next name of a list of identifiers; false: the end. Names without quotes are folded to lower case. */
static bool next_name(const char **at, char name[static CAT_NAME_BYTES_MAX + 1]) {
    size_t n = 0;
    const char *p = *at + strspn(*at, " ,\t");
    if (!*p)
        return false;
    if (*p == '"') {
        for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
            p += *p == '"';
            if (n < CAT_NAME_BYTES_MAX)
                name[n++] = *p;
        }
        p += *p == '"';
    } else {
        for (; *p && *p != ',' && !isspace((unsigned char)*p); p++)
            if (n < CAT_NAME_BYTES_MAX)
                name[n++] = (char)tolower((unsigned char)*p);
    }
    name[n] = '\0';
    *at = p;
    return true;
}

uint32_t sess_schema_id(struct sess *s, const char *name) {
    static const struct {
        const char *name;
        uint32_t id;
    } system[] = {{"pg_catalog", CAT_ID_PG_CATALOG},
                  {"information_schema", CAT_ID_INFORMATION_SCHEMA},
                  {"meridian", CAT_ID_MERIDIAN_SCHEMA}};
    for (size_t i = 0; i < ARRAY_LEN(system); i++)
        if (strcmp(system[i].name, name) == 0)
            return system[i].id;
    struct cat_view view = sess_view(s);
    const struct cat_object *o = cat_view_schema(&view, s->database, name);
    return o ? o->id : 0;
}

enum rc sess_paths(struct sess *s, struct err *err) {
    char name[CAT_NAME_BYTES_MAX + 1];
    uint64_t version = cat_cache_version(s->e->catalog) + 1;
    (void)err;
    s->catalog.source.version = version;
    if (s->path_version == version && !s->change)
        return RC_OK;
    s->paths = 0;
    for (const char *at = guc_get(s->gucs, "search_path"); s->paths < SESS_PATHS_MAX && next_name(&at, name);) {
        bool user = strcmp(name, "$user") == 0;
        uint32_t id = sess_schema_id(s, user ? s->user : name);
        /* The role meridian has no schema of its own because the system has one of that name. */
        if (id && !(user && id == CAT_ID_MERIDIAN_SCHEMA))
            s->path[s->paths++] = id;
    }
    s->path_version = version;
    return RC_OK;
}

/* ---- SET --------------------------------------------------------------------------------------------------------------------- */

static bool put_const(struct buf *b, const PgQuery__AConst *c) {
    switch (c->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        buf_printf(b, "%d", c->ival->ival);
        return true;
    case PG_QUERY__A__CONST__VAL_FVAL:
        buf_puts(b, c->fval->fval);
        return true;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        buf_puts(b, c->boolval->boolval ? "on" : "off");
        return true;
    case PG_QUERY__A__CONST__VAL_SVAL:
        buf_puts(b, c->sval->sval);
        return true;
    default:
        return false;
    }
}

/* Names in a search path are quoted where they must be. */
static void put_quoted(struct buf *b, const char *name) {
    bool plain = name[0] != '\0';
    for (const char *c = name; *c; c++)
        plain = plain &&
                (islower((unsigned char)*c) || *c == '_' || (c > name && (isdigit((unsigned char)*c) || *c == '$')));
    if (plain) {
        buf_puts(b, name);
        return;
    }
    buf_putc(b, '"');
    for (const char *c = name; *c; c++) {
        if (*c == '"')
            buf_putc(b, '"');
        buf_putc(b, (uint8_t)*c);
    }
    buf_putc(b, '"');
}

static enum rc put_args(const PgQuery__VariableSetStmt *v, struct buf *b, struct err *err) {
    bool list = strcasecmp(v->name, "search_path") == 0;
    for (size_t i = 0; i < v->n_args; i++) {
        const PgQuery__Node *n = v->args[i];
        if (i)
            buf_puts(b, ", ");
        if (n->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
            n = n->type_cast->arg; /* SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE */
        if (n->node_case != PG_QUERY__NODE__NODE_A_CONST)
            return err_set(err, RC_UNSUPPORTED, "SET takes constants");
        if (list && n->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL)
            put_quoted(b, n->a_const->sval->sval);
        else if (!put_const(b, n->a_const))
            return err_set(err, RC_UNSUPPORTED, "SET takes numbers and strings");
    }
    return buf_cstr(b) ? RC_OK : err_set(err, RC_NOMEM, "out of memory for a setting");
}

static enum rc set_value(struct sess *s, const PgQuery__VariableSetStmt *v, enum setting_scope scope, struct err *err) {
    struct buf b;
    buf_init(&b, GUC_VALUE_BYTES_MAX);
    enum rc rc = put_args(v, &b, err);
    if (!rc && strcasecmp(v->name, "transaction_isolation") != 0 && strncasecmp(v->name, "transaction_", 12) == 0 &&
        !sess_in_block(s))
        sess_notice(s, "WARNING", "25P01", "SET TRANSACTION can only be used in transaction blocks");
    if (!rc)
        rc = sess_setting(s, v->name, buf_cstr(&b), scope, err);
    if (!rc && strcasecmp(v->name, "transaction_read_only") == 0 && sess_in_block(s))
        s->read_only = guc_bool(s->gucs, "transaction_read_only");
    buf_done(&b);
    return rc;
}

static enum rc set_characteristics(struct sess *s, const PgQuery__VariableSetStmt *v, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < v->n_args && !rc; i++) {
        if (v->args[i]->node_case != PG_QUERY__NODE__NODE_DEF_ELEM)
            continue;
        const PgQuery__DefElem *d = v->args[i]->def_elem;
        char name[80];
        const char *value = "on";
        snprintf(name, sizeof name, "default_%s", d->defname);
        if (d->arg && d->arg->node_case == PG_QUERY__NODE__NODE_A_CONST) {
            const PgQuery__AConst *c = d->arg->a_const;
            if (c->val_case == PG_QUERY__A__CONST__VAL_SVAL)
                value = c->sval->sval;
            else if (c->val_case == PG_QUERY__A__CONST__VAL_IVAL)
                value = c->ival->ival ? "on" : "off";
        }
        rc = sess_setting(s, name, value, SETTING_SESSION, err);
    }
    return rc;
}

enum rc set_run(struct sess *s, const PgQuery__VariableSetStmt *v, char tag[static 64], struct err *err) {
    enum setting_scope scope = v->is_local ? SETTING_LOCAL : SETTING_SESSION;
    bool reset =
        v->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET || v->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL;
    snprintf(tag, 64, reset ? "RESET" : "SET");
    if (v->is_local && !sess_in_block(s))
        sess_notice(s, "WARNING", "25P01", "SET LOCAL can only be used in transaction blocks");
    switch (v->kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE:
        return set_value(s, v, scope, err);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET:
        return sess_setting(s, v->name, NULL, scope, err);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT:
        return guc_get(s->gucs, v->name) ? sess_setting(s, v->name, guc_get(s->gucs, v->name), scope, err)
                                         : sess_setting(s, v->name, NULL, scope, err);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL:
        guc_reset_all(s->gucs);
        return sess_settings(s, err);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI:
        if (strcmp(v->name, "TRANSACTION") == 0) {
            if (!sess_in_block(s)) {
                sess_notice(s, "WARNING", "25P01", "SET TRANSACTION can only be used in transaction blocks");
                return RC_OK;
            }
            return block_modes(s, v->args, v->n_args, err);
        }
        if (strcmp(v->name, "SESSION CHARACTERISTICS") == 0)
            return set_characteristics(s, v, err);
        return err_set(err, RC_UNSUPPORTED, "SET %s is not supported", v->name);
    default:
        return err_set(err, RC_UNSUPPORTED, "this form of SET is not supported");
    }
}
