/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe.c: \d and its family: what there is, asked of the system catalogs, laid out as psql 15 does.
 *
 * Several small queries rather than one large one: they are easier on a young planner, and each is one story. Names come from
 * a pattern: schema.name with * and ?, "quoted" parts kept as they are.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sql/shell/describe.h"

/* ---- patterns ----------------------------------------------------------------------------------------------------------------- */

static void regex_char(struct buf *to, char c) {
    if (strchr("\\.+^$|[]{}()*?", c))
        buf_putc(to, '\\');
    buf_putc(to, (uint8_t)c);
}

static char *finish(struct buf *b) {
    buf_puts(b, ")$");
    const char *text = buf_cstr(b);
    char *copy = text ? strdup(text) : NULL;
    if (!copy)
        shell_nomem();
    buf_reset(b, 0);
    return copy;
}

struct pattern pattern_of(const char *text) {
    struct pattern p = {0};
    struct buf b;
    bool quoted = false;
    if (!text || !*text)
        return p;
    p.given = true;
    buf_init(&b, 0);
    buf_puts(&b, "^(");
    for (; *text; text++) {
        if (*text == '"') {
            if (quoted && text[1] == '"')
                buf_putc(&b, (uint8_t) * ++text);
            else
                quoted = !quoted;
        } else if (!quoted && *text == '.' && !p.schema) {
            p.schema = finish(&b);
            buf_puts(&b, "^(");
        } else if (!quoted && *text == '*') {
            buf_puts(&b, ".*");
        } else if (!quoted && *text == '?') {
            buf_putc(&b, '.');
        } else {
            regex_char(&b, quoted ? *text : (char)tolower((unsigned char)*text));
        }
    }
    p.name = finish(&b);
    buf_done(&b);
    if (strcmp(p.name, "^(.*)$") == 0) {
        free(p.name);
        p.name = NULL;
    }
    if (p.schema && strcmp(p.schema, "^(.*)$") == 0) {
        free(p.schema);
        p.schema = strdup(".");
    }
    return p;
}

void pattern_done(struct pattern *p) {
    free(p->schema);
    free(p->name);
}

/* A list is empty: psql's words for it. */
static void found_none(struct shell *sh, const char *what, const char *pattern) {
    if (sh->quiet)
        return;
    if (pattern)
        shell_error(sh, "Did not find any %s named \"%s\".", what, pattern);
    else
        shell_error(sh, "Did not find any %ss.", what);
}

void pattern_match(struct buf *sql, const char *column, const char *regex) {
    buf_printf(sql, " AND %s OPERATOR(pg_catalog.~) ", column);
    vars_quote(regex, '\'', sql);
    buf_puts(sql, " COLLATE pg_catalog.default");
}

void pattern_type(struct buf *sql, const char *oid, const char *type) {
    static const char *const names[][2] = {
        {"int", "integer"},         {"int[]", "integer[]"},        {"decimal", "numeric"},
        {"decimal[]", "numeric[]"}, {"float", "double precision"}, {"float[]", "double precision[]"}};
    char name[80];
    if (strcmp(type, "-") == 0) {
        buf_printf(sql, " AND coalesce(%s, 0) = 0", oid);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i][0], type) == 0)
            type = names[i][1];
    struct pattern p = pattern_of(type);
    if (p.name) {
        snprintf(name, sizeof name, "pg_catalog.format_type(%s, NULL)", oid);
        buf_printf(sql, " AND (%s IN (SELECT t.oid FROM pg_catalog.pg_type t WHERE true", oid);
        pattern_match(sql, "t.typname", p.name);
        buf_puts(sql, ") OR (true");
        pattern_match(sql, name, p.name);
        buf_puts(sql, "))");
    }
    pattern_done(&p);
}

/* Conditions of a pattern; without a schema only what is visible. */
static void where(struct buf *sql, const struct pattern *p, const char *schema, const char *name, const char *visible) {
    if (p->name)
        pattern_match(sql, name, p->name);
    if (p->schema && strcmp(p->schema, ".") != 0)
        pattern_match(sql, schema, p->schema);
    if (!p->schema && visible)
        buf_printf(sql, " AND %s", visible);
}

static const char *text_of(struct buf *sql) {
    const char *text = buf_cstr(sql);
    if (!text)
        shell_nomem();
    return text;
}

/* ---- lists ------------------------------------------------------------------------------------------------------------------------ */

static bool list(struct shell *sh, struct buf *sql, const char *title) {
    struct print_table t;
    bool ok = shell_query(sh, text_of(sql), &t);
    buf_done(sql);
    if (!ok)
        return false;
    t.title = title;
    shell_print(sh, &t);
    print_table_done(&t);
    return true;
}

static const char kind_text[] =
    "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index'"
    " WHEN 'S' THEN 'sequence' WHEN 't' THEN 'TOAST table' WHEN 'f' THEN 'foreign table'"
    " WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END";

/* \dt and the like: kinds is a subset of "tivmsE" in psql's letters. */
static bool relations(struct shell *sh, const char *kinds, const char *pattern, bool system, bool verbose) {
    struct pattern p = pattern_of(pattern);
    struct buf sql;
    struct print_table t;
    bool index = strchr(kinds, 'i') != NULL;
    buf_init(&sql, 0);
    buf_printf(&sql,
               "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", %s AS \"Type\","
               " pg_catalog.pg_get_userbyid(c.relowner) AS \"Owner\"",
               kind_text);
    if (index)
        buf_puts(&sql, ", c2.relname AS \"Table\"");
    if (verbose)
        buf_puts(&sql, ", CASE c.relpersistence WHEN 'p' THEN 'permanent' WHEN 't' THEN 'temporary'"
                       " WHEN 'u' THEN 'unlogged' END AS \"Persistence\"");
    if (verbose && strpbrk(kinds, "tmi"))
        buf_puts(&sql, ", am.amname AS \"Access method\"");
    if (verbose)
        buf_puts(&sql, ", pg_catalog.pg_size_pretty(pg_catalog.pg_table_size(c.oid)) AS \"Size\","
                       " pg_catalog.obj_description(c.oid, 'pg_class') AS \"Description\"");
    buf_puts(&sql, " FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace");
    if (verbose && strpbrk(kinds, "tmi"))
        buf_puts(&sql, " LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam");
    if (index)
        buf_puts(&sql, " LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid"
                       " LEFT JOIN pg_catalog.pg_class c2 ON i.indrelid = c2.oid");
    buf_puts(&sql, " WHERE c.relkind IN (");
    if (strchr(kinds, 't'))
        buf_puts(&sql, system || p.given ? "'r','p','t'," : "'r','p',");
    if (strchr(kinds, 'v'))
        buf_puts(&sql, "'v',");
    if (strchr(kinds, 'm'))
        buf_puts(&sql, "'m',");
    if (index)
        buf_puts(&sql, "'i','I',");
    if (strchr(kinds, 's'))
        buf_puts(&sql, "'S',");
    if (strchr(kinds, 'E'))
        buf_puts(&sql, "'f',");
    buf_puts(&sql, "'')");
    if (!system && !p.given)
        buf_puts(&sql, " AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'");
    buf_puts(&sql, " AND n.nspname <> 'pg_toast'");
    where(&sql, &p, "n.nspname", "c.relname", "pg_catalog.pg_table_is_visible(c.oid)");
    buf_puts(&sql, " ORDER BY 1, 2");
    pattern_done(&p);
    bool ok = shell_query(sh, text_of(&sql), &t);
    buf_done(&sql);
    if (!ok)
        return false;
    t.title = "List of relations";
    if (t.rows)
        shell_print(sh, &t);
    else
        found_none(sh, "relation", pattern);
    print_table_done(&t);
    return true;
}

static bool databases(struct shell *sh, const char *pattern, bool verbose) {
    struct pattern p = pattern_of(pattern);
    struct buf sql;
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT d.datname AS \"Name\", pg_catalog.pg_get_userbyid(d.datdba) AS \"Owner\","
                   " pg_catalog.pg_encoding_to_char(d.encoding) AS \"Encoding\", d.datcollate AS \"Collate\","
                   " d.datctype AS \"Ctype\", d.daticulocale AS \"ICU Locale\","
                   " CASE d.datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' END AS \"Locale Provider\","
                   " pg_catalog.array_to_string(d.datacl, E'\\n') AS \"Access privileges\"");
    if (verbose)
        buf_puts(&sql,
                 ", CASE WHEN pg_catalog.has_database_privilege(d.datname, 'CONNECT') THEN"
                 " pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(d.datname)) ELSE 'No Access' END AS \"Size\","
                 " t.spcname AS \"Tablespace\", pg_catalog.shobj_description(d.oid, 'pg_database') AS \"Description\"");
    buf_puts(&sql, " FROM pg_catalog.pg_database d");
    if (verbose)
        buf_puts(&sql, " JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace");
    buf_puts(&sql, " WHERE true");
    where(&sql, &p, "d.datname", "d.datname", NULL);
    buf_puts(&sql, " ORDER BY 1");
    pattern_done(&p);
    return list(sh, &sql, "List of databases");
}

static bool schemas(struct shell *sh, const char *pattern, bool system, bool verbose) {
    struct pattern p = pattern_of(pattern);
    struct buf sql;
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT n.nspname AS \"Name\", pg_catalog.pg_get_userbyid(n.nspowner) AS \"Owner\"");
    if (verbose)
        buf_puts(&sql, ", pg_catalog.array_to_string(n.nspacl, E'\\n') AS \"Access privileges\","
                       " pg_catalog.obj_description(n.oid, 'pg_namespace') AS \"Description\"");
    buf_puts(&sql, " FROM pg_catalog.pg_namespace n WHERE true");
    if (!system && !p.given)
        buf_puts(&sql, " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'");
    where(&sql, &p, "n.nspname", "n.nspname", NULL);
    buf_puts(&sql, " ORDER BY 1");
    pattern_done(&p);
    return list(sh, &sql, "List of schemas");
}

/* kinds: those of "anptw" that are wanted: aggregates, ordinary functions, procedures, for triggers, for windows; "": all. */
static bool functions(struct shell *sh, const char *kinds, const char *pattern, char *const *types, bool system,
                      bool verbose) {
    static const struct {
        char kind;
        const char *is;
    } conditions[] = {{'a', "p.prokind = 'a'"},
                      {'n', "(p.prokind = 'f' AND p.prorettype <> 2279)"},
                      {'p', "p.prokind = 'p'"},
                      {'t', "p.prorettype = 2279"},
                      {'w', "p.prokind = 'w'"}};
    struct pattern p = pattern_of(pattern);
    struct buf sql;
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT n.nspname AS \"Schema\", p.proname AS \"Name\","
                   " pg_catalog.pg_get_function_result(p.oid) AS \"Result data type\","
                   " pg_catalog.pg_get_function_arguments(p.oid) AS \"Argument data types\","
                   " CASE p.prokind WHEN 'a' THEN 'agg' WHEN 'w' THEN 'window' WHEN 'p' THEN 'proc' ELSE"
                   " CASE WHEN p.prorettype = 2279 THEN 'trig' ELSE 'func' END END AS \"Type\"");
    if (verbose)
        buf_puts(&sql,
                 ", CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' WHEN 'v' THEN 'volatile' END"
                 " AS \"Volatility\", CASE p.proparallel WHEN 'r' THEN 'restricted' WHEN 's' THEN 'safe' WHEN 'u'"
                 " THEN 'unsafe' END AS \"Parallel\", pg_catalog.pg_get_userbyid(p.proowner) AS \"Owner\","
                 " CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END AS \"Security\","
                 " pg_catalog.array_to_string(p.proacl, E'\\n') AS \"Access privileges\", l.lanname AS \"Language\","
                 " COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) AS \"Source code\","
                 " pg_catalog.obj_description(p.oid, 'pg_proc') AS \"Description\"");
    buf_puts(&sql, " FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace");
    if (verbose)
        buf_puts(&sql, " LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang");
    buf_puts(&sql, " WHERE true");
    for (size_t i = 0, n = 0; *kinds && i < ARRAY_LEN(conditions); i++)
        if (strchr(kinds, conditions[i].kind))
            buf_printf(&sql, "%s%s", n++ ? " OR " : " AND (", conditions[i].is);
    buf_puts(&sql, *kinds ? ")" : "");
    if (!system && !p.given)
        buf_puts(&sql, " AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'");
    where(&sql, &p, "n.nspname", "p.proname", "pg_catalog.pg_function_is_visible(p.oid)");
    for (int i = 0; types[i]; i++) {
        char oid[40];
        snprintf(oid, sizeof oid, "p.proargtypes[%d]", i);
        pattern_type(&sql, oid, types[i]);
    }
    buf_puts(&sql, " ORDER BY 1, 2, 4");
    pattern_done(&p);
    return list(sh, &sql, "List of functions");
}

static void attribute(struct buf *to, const char *text) {
    if (to->len)
        buf_puts(to, ", ");
    buf_puts(to, text);
}

static bool is_true(const char *cell) {
    return cell && *cell == 't';
}

static bool roles(struct shell *sh, const char *pattern, bool system, bool verbose) {
    struct pattern p = pattern_of(pattern);
    struct buf sql, about;
    struct print_table got, t;
    buf_init(&sql, 0);
    buf_init(&about, 0);
    buf_puts(
        &sql,
        "SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,"
        " r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil,"
        " ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b"
        " ON m.roleid = b.oid WHERE m.member = r.oid) AS memberof, pg_catalog.shobj_description(r.oid, 'pg_authid')"
        " FROM pg_catalog.pg_roles r WHERE true");
    if (!system && !p.given)
        buf_puts(&sql, " AND r.rolname !~ '^pg_'");
    where(&sql, &p, "r.rolname", "r.rolname", NULL);
    buf_puts(&sql, " ORDER BY 1");
    pattern_done(&p);
    bool ok = shell_query(sh, text_of(&sql), &got);
    buf_done(&sql);
    if (!ok)
        return false;
    print_table_init(&t, verbose ? 4 : 3);
    if (verbose)
        print_column(&t, 3, "Description", false, false);
    print_column(&t, 0, "Role name", false, false);
    print_column(&t, 1, "Attributes", false, false);
    print_column(&t, 2, "Member of", false, false);
    for (size_t i = 0; i < got.rows; i++) {
        static const struct {
            const char *text;
            bool when;
        } flags[] = {{"Superuser", true},     {"No inheritance", false}, {"Create role", true}, {"Create DB", true},
                     {"Cannot login", false}, {"Replication", true},     {"Bypass RLS", true}};
        const char **r = got.cell + i * got.columns;
        buf_reset(&about, 0);
        for (size_t k = 0; k < ARRAY_LEN(flags); k++)
            if (is_true(r[1 + k]) == flags[k].when)
                attribute(&about, flags[k].text);
        long limit = r[8] ? strtol(r[8], NULL, 10) : -1;
        if (limit >= 0)
            buf_printf(&about,
                       limit == 0   ? "%sNo connections"
                       : limit == 1 ? "%s%ld connection"
                                    : "%s%ld connections",
                       about.len ? "\n" : "", limit);
        if (r[9])
            buf_printf(&about, "%sPassword valid until %s", about.len ? "\n" : "", r[9]);
        print_cell(&t, r[0]);
        print_cell(&t, text_of(&about));
        print_cell(&t, r[10] ? r[10] : "{}");
        if (verbose)
            print_cell(&t, r[11]);
        t.rows++;
    }
    t.title = "List of roles";
    t.row_count = false;
    shell_print(sh, &t);
    print_table_done(&t);
    print_table_done(&got);
    buf_done(&about);
    return true;
}

/* ---- one relation ------------------------------------------------------------------------------------------------------------- */

struct relation {
    const char *oid, *schema, *name;
    char kind;
    bool verbose, unlogged, has_index;
};

/* A query with the relation's number in it. */
static bool ask(struct shell *sh, const struct relation *r, const char *fmt, struct print_table *ret) {
    struct buf sql;
    buf_init(&sql, 0);
    for (; *fmt; fmt++)
        if (*fmt == '@')
            buf_puts(&sql, r->oid);
        else
            buf_putc(&sql, (uint8_t)*fmt);
    bool ok = shell_query(sh, text_of(&sql), ret);
    buf_done(&sql);
    return ok;
}

static const char *cell(const struct print_table *t, size_t row, size_t column) {
    const char *text = t->cell[row * t->columns + column];
    return text ? text : "";
}

static bool indexes(struct shell *sh, const struct relation *r, struct print_table *t) {
    struct print_table got;
    if (!ask(sh, r,
             "SELECT c2.relname, i.indisprimary, i.indisunique, i.indisclustered, i.indisvalid,"
             " pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), con.contype, con.condeferrable, con.condeferred,"
             " i.indisreplident, pg_catalog.pg_get_constraintdef(con.oid, true)"
             " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c2 ON i.indexrelid = c2.oid"
             " LEFT JOIN pg_catalog.pg_constraint con ON con.conrelid = i.indrelid AND con.conindid = i.indexrelid"
             " AND con.contype IN ('p','u','x')"
             " WHERE i.indrelid = '@' ORDER BY i.indisprimary DESC, c2.relname",
             &got))
        return false;
    if (got.rows)
        print_footer(t, "Indexes:");
    for (size_t i = 0; i < got.rows; i++) {
        const char *type = cell(&got, i, 6), *def = cell(&got, i, 5), *using = strstr(def, " USING ");
        char how[1024];
        if (*type == 'x')
            snprintf(how, sizeof how, " %s", cell(&got, i, 10));
        else
            snprintf(how, sizeof how, "%s %s%s%s",
                     *cell(&got, i, 1) == 't'                   ? " PRIMARY KEY,"
                     : *cell(&got, i, 2) == 't' && *type == 'u' ? " UNIQUE CONSTRAINT,"
                     : *cell(&got, i, 2) == 't'                 ? " UNIQUE,"
                                                                : "",
                     using ? using + 7 : def, *cell(&got, i, 7) == 't' ? " DEFERRABLE" : "",
                     *cell(&got, i, 8) == 't' ? " INITIALLY DEFERRED" : "");
        print_footer(t, "    \"%s\"%s%s%s%s", cell(&got, i, 0), how, *cell(&got, i, 3) == 't' ? " CLUSTER" : "",
                     *cell(&got, i, 4) == 'f' ? " INVALID" : "", *cell(&got, i, 9) == 't' ? " REPLICA IDENTITY" : "");
    }
    print_table_done(&got);
    return true;
}

/* Constraints, one a line under a heading. */
static bool constraints(struct shell *sh, const struct relation *r, const char *heading, const char *sql,
                        const char *fmt_two, struct print_table *t) {
    struct print_table got;
    if (!ask(sh, r, sql, &got))
        return false;
    if (got.rows)
        print_footer(t, "%s", heading);
    for (size_t i = 0; i < got.rows; i++)
        if (fmt_two)
            print_footer(t, "    TABLE \"%s\" CONSTRAINT \"%s\" %s", cell(&got, i, 0), cell(&got, i, 1),
                         cell(&got, i, 2));
        else
            print_footer(t, "    \"%s\" %s", cell(&got, i, 0), cell(&got, i, 1));
    print_table_done(&got);
    return true;
}

static bool table_footers(struct shell *sh, const struct relation *r, struct print_table *t) {
    bool ok = indexes(sh, r, t);
    if (ok)
        ok = constraints(sh, r, "Check constraints:",
                         "SELECT conname, pg_catalog.pg_get_constraintdef(oid, true) FROM pg_catalog.pg_constraint"
                         " WHERE conrelid = '@' AND contype = 'c' ORDER BY 1",
                         NULL, t);
    if (ok)
        ok = constraints(sh, r, "Foreign-key constraints:",
                         "SELECT conname, pg_catalog.pg_get_constraintdef(oid, true) FROM pg_catalog.pg_constraint"
                         " WHERE conrelid = '@' AND contype = 'f' ORDER BY 1",
                         NULL, t);
    if (ok)
        ok = constraints(sh, r, "Referenced by:",
                         "SELECT conrelid::pg_catalog.regclass, conname, pg_catalog.pg_get_constraintdef(oid, true)"
                         " FROM pg_catalog.pg_constraint WHERE confrelid = '@' AND contype = 'f' ORDER BY 2",
                         "two", t);
    return ok;
}

static bool access_method(struct shell *sh, const struct relation *r, struct print_table *t) {
    struct print_table got;
    if (!ask(sh, r,
             "SELECT am.amname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am am ON am.oid = c.relam"
             " WHERE c.oid = '@'",
             &got))
        return false;
    if (got.rows)
        print_footer(t, "Access method: %s", cell(&got, 0, 0));
    print_table_done(&got);
    return true;
}

static bool view_footers(struct shell *sh, const struct relation *r, struct print_table *t) {
    struct print_table got;
    if (!r->verbose)
        return true;
    if (!ask(sh, r, "SELECT pg_catalog.pg_get_viewdef('@'::pg_catalog.oid, true)", &got))
        return false;
    if (got.rows)
        print_footer(t, "View definition:\n%s", cell(&got, 0, 0));
    print_table_done(&got);
    return true;
}

static const char *title_word(const struct relation *r) {
    switch (r->kind) {
    case 'v':
        return "View";
    case 'm':
        return r->unlogged ? "Unlogged materialized view" : "Materialized view";
    case 'p':
        return r->unlogged ? "Unlogged partitioned table" : "Partitioned table";
    case 'f':
        return "Foreign table";
    case 'c':
        return "Composite type";
    case 't':
        return "TOAST table";
    default:
        return r->unlogged ? "Unlogged table" : "Table";
    }
}

/* The columns of a table, view or the like: what is asked, and how it is shown. */
static bool column_rows(struct shell *sh, const struct relation *r, struct print_table *t) {
    static const char *const more[] = {"Storage", "Compression", "Stats target", "Description"};
    static const char *const main_names[] = {"Column", "Type", "Collation", "Nullable", "Default"};
    struct print_table got;
    size_t shown[9], n = 5;
    if (!ask(sh, r,
             r->verbose
                 ? "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),"
                   " (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d"
                   " WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull,"
                   " (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t"
                   " WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation),"
                   " a.attidentity, a.attgenerated, CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'x' THEN 'extended'"
                   " WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' END, CASE a.attcompression WHEN 'p' THEN 'pglz'"
                   " WHEN 'l' THEN 'lz4' ELSE '' END, CASE WHEN a.attstattarget = -1 THEN NULL ELSE"
                   " a.attstattarget END, pg_catalog.col_description(a.attrelid, a.attnum)"
                   " FROM pg_catalog.pg_attribute a WHERE a.attrelid = '@' AND a.attnum > 0 AND NOT a.attisdropped"
                   " ORDER BY a.attnum"
                 : "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),"
                   " (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d"
                   " WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull,"
                   " (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t"
                   " WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation),"
                   " a.attidentity, a.attgenerated"
                   " FROM pg_catalog.pg_attribute a WHERE a.attrelid = '@' AND a.attnum > 0 AND NOT a.attisdropped"
                   " ORDER BY a.attnum",
             &got))
        return false;
    if (r->verbose) {
        bool stored = strchr("rpmf", r->kind) != NULL;
        shown[n++] = 7;
        if (stored) {
            shown[n++] = 8;
            shown[n++] = 9;
        }
        shown[n++] = 10;
    }
    print_table_init(t, n);
    for (size_t i = 0; i < n; i++)
        print_column(t, i, i < 5 ? main_names[i] : more[shown[i] - 7], false, false);
    for (size_t i = 0; i < got.rows; i++) {
        const char *identity = cell(&got, i, 5), *generated = cell(&got, i, 6), *expr = cell(&got, i, 2);
        char text[4096];
        print_cell(t, cell(&got, i, 0));
        print_cell(t, cell(&got, i, 1));
        print_cell(t, cell(&got, i, 4));
        print_cell(t, *cell(&got, i, 3) == 't' ? "not null" : "");
        if (*identity == 'a' || *identity == 'd')
            snprintf(text, sizeof text, "generated %s as identity", *identity == 'a' ? "always" : "by default");
        else if (*generated == 's')
            snprintf(text, sizeof text, "generated always as (%s) stored", expr);
        else
            snprintf(text, sizeof text, "%s", expr);
        print_cell(t, text);
        for (size_t k = 5; k < n; k++)
            print_cell(t, cell(&got, i, shown[k]));
        t->rows++;
    }
    print_table_done(&got);
    return true;
}

static bool one_table(struct shell *sh, const struct relation *r) {
    struct print_table t;
    char title[512];
    if (!column_rows(sh, r, &t))
        return false;
    snprintf(title, sizeof title, "%s \"%s.%s\"", title_word(r), r->schema, r->name);
    t.title = title;
    t.row_count = false;
    bool ok = r->kind == 'v' ? view_footers(sh, r, &t) : r->kind == 'c' ? true : table_footers(sh, r, &t);
    if (ok && r->kind == 'm')
        ok = view_footers(sh, r, &t);
    if (ok && r->verbose && (r->kind == 'r' || r->kind == 'm'))
        ok = access_method(sh, r, &t);
    if (ok)
        shell_print(sh, &t);
    print_table_done(&t);
    return ok;
}

static bool one_index(struct shell *sh, const struct relation *r) {
    struct print_table got, t, about;
    char title[512];
    if (!ask(sh, r,
             "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),"
             " CASE WHEN a.attnum <= i.indnkeyatts THEN 'yes' ELSE 'no' END,"
             " pg_catalog.pg_get_indexdef(a.attrelid, a.attnum, true),"
             " CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'x' THEN 'extended' WHEN 'e' THEN 'external'"
             " WHEN 'm' THEN 'main' END"
             " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_index i ON i.indexrelid = a.attrelid"
             " WHERE a.attrelid = '@' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
             &got))
        return false;
    if (!ask(
            sh, r,
            "SELECT i.indisunique, i.indisprimary, am.amname, n.nspname, c2.relname, i.indisvalid,"
            " pg_catalog.pg_get_expr(i.indpred, i.indrelid, true), i.indisclustered, con.condeferrable, con.condeferred"
            " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_catalog.pg_class c2 ON c2.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = "
            "c2.relnamespace"
            " LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam LEFT JOIN pg_catalog.pg_constraint con"
            " ON con.conrelid = i.indrelid AND con.conindid = i.indexrelid AND con.contype IN ('p','u','x')"
            " WHERE i.indexrelid = '@'",
            &about)) {
        print_table_done(&got);
        return false;
    }
    static const char *const names[] = {"Column", "Type", "Key?", "Definition", "Storage", "Stats target"};
    size_t n = r->verbose ? 6 : 4;
    print_table_init(&t, n);
    for (size_t i = 0; i < n; i++)
        print_column(&t, i, names[i], false, false);
    for (size_t i = 0; i < got.rows; i++, t.rows++)
        for (size_t k = 0; k < n; k++)
            print_cell(&t, k < 5 ? cell(&got, i, k) : "");
    if (about.rows) {
        const char *predicate = cell(&about, 0, 6);
        print_footer(&t, "%s%s, for table \"%s.%s\"%s%s%s%s%s%s%s",
                     *cell(&about, 0, 1) == 't'   ? "primary key, "
                     : *cell(&about, 0, 0) == 't' ? "unique, "
                                                  : "",
                     cell(&about, 0, 2), cell(&about, 0, 3), cell(&about, 0, 4), *predicate ? ", predicate (" : "",
                     predicate, *predicate ? ")" : "", *cell(&about, 0, 7) == 't' ? ", clustered" : "",
                     *cell(&about, 0, 5) == 'f' ? ", invalid" : "", *cell(&about, 0, 8) == 't' ? ", deferrable" : "",
                     *cell(&about, 0, 9) == 't' ? ", initially deferred" : "");
    }
    snprintf(title, sizeof title, "%s \"%s.%s\"",
             r->kind == 'I' ? "Partitioned index"
             : r->unlogged  ? "Unlogged index"
                            : "Index",
             r->schema, r->name);
    t.title = title;
    t.row_count = false;
    shell_print(sh, &t);
    print_table_done(&t);
    print_table_done(&got);
    print_table_done(&about);
    return true;
}

static bool one_sequence(struct shell *sh, const struct relation *r) {
    struct print_table t, owner;
    char title[512];
    if (!ask(sh, r,
             "SELECT pg_catalog.format_type(seqtypid, NULL) AS \"Type\", seqstart AS \"Start\", seqmin AS \"Minimum\","
             " seqmax AS \"Maximum\", seqincrement AS \"Increment\","
             " CASE WHEN seqcycle THEN 'yes' ELSE 'no' END AS \"Cycles?\", seqcache AS \"Cache\""
             " FROM pg_catalog.pg_sequence WHERE seqrelid = '@'",
             &t))
        return false;
    if (!ask(sh, r,
             "SELECT n.nspname, c.relname, a.attname, d.deptype FROM pg_catalog.pg_class c"
             " JOIN pg_catalog.pg_depend d ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = "
             "c.relnamespace"
             " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid"
             " WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
             " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = '@' AND d.deptype IN "
             "('a','i')",
             &owner)) {
        print_table_done(&t);
        return false;
    }
    if (owner.rows) {
        bool identity = *cell(&owner, 0, 3) == 'i';
        print_footer(&t, "%s: %s.%s.%s", identity ? "Sequence for identity column" : "Owned by", cell(&owner, 0, 0),
                     cell(&owner, 0, 1), cell(&owner, 0, 2));
    }
    snprintf(title, sizeof title, "Sequence \"%s.%s\"", r->schema, r->name);
    t.title = title;
    t.row_count = false;
    shell_print(sh, &t);
    print_table_done(&t);
    print_table_done(&owner);
    return true;
}

static bool describe(struct shell *sh, const char *pattern, bool system, bool verbose) {
    struct pattern p = pattern_of(pattern);
    struct buf sql;
    struct print_table got;
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence FROM pg_catalog.pg_class c"
                   " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE true");
    if (!system && !p.given)
        buf_puts(&sql, " AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'");
    where(&sql, &p, "n.nspname", "c.relname", "pg_catalog.pg_table_is_visible(c.oid)");
    buf_puts(&sql, " ORDER BY 2, 3");
    pattern_done(&p);
    bool ok = shell_query(sh, text_of(&sql), &got);
    buf_done(&sql);
    if (!ok)
        return false;
    if (got.rows == 0)
        found_none(sh, "relation", pattern);
    for (size_t i = 0; i < got.rows && ok && !sh->interrupted; i++) {
        struct relation r = {cell(&got, i, 0),
                             cell(&got, i, 1),
                             cell(&got, i, 2),
                             *cell(&got, i, 3),
                             verbose,
                             *cell(&got, i, 4) == 'u',
                             true};
        switch (r.kind) {
        case 'i':
        case 'I':
            ok = one_index(sh, &r);
            break;
        case 'S':
            ok = one_sequence(sh, &r);
            break;
        default:
            ok = one_table(sh, &r);
            break;
        }
    }
    print_table_done(&got);
    return ok;
}

/* ---- the family ---------------------------------------------------------------------------------------------------------------- */

bool describe_command(struct shell *sh, const char *name, const char *pattern, char *const *types) {
    char kinds[16] = "";
    size_t n = 0;
    bool system = strchr(name, 'S') != NULL, verbose = strchr(name, '+') != NULL, odd = false;
    for (const char *p = name + 1; name[0] == 'd' && *p; p++) {
        if (strchr("tvmisE", *p) && n + 1 < sizeof kinds)
            kinds[n++] = *p;
        else if (*p != 'S' && *p != '+')
            odd = true;
    }
    kinds[n] = '\0';
    bool ok;
    if (describe_more(sh, name, pattern, types, &ok))
        return ok;
    if (strcmp(name, "l") == 0 || strcmp(name, "list") == 0 || strcmp(name, "l+") == 0 || strcmp(name, "list+") == 0)
        return databases(sh, pattern, verbose);
    if (name[0] == 'd' && !odd && n == 0)
        return pattern ? describe(sh, pattern, system, verbose) : relations(sh, "tvmsE", NULL, system, verbose);
    if (name[0] == 'd' && !odd)
        return relations(sh, kinds, pattern, system, verbose);
    if (strncmp(name, "du", 2) == 0 || strncmp(name, "dg", 2) == 0)
        return roles(sh, pattern, system, verbose);
    if (strncmp(name, "dn", 2) == 0)
        return schemas(sh, pattern, system, verbose);
    char wanted[8] = "";
    n = 0;
    for (const char *p = name + 2; *name && *p && n + 1 < sizeof wanted && strchr("anptwS+", *p); p++)
        if (*p != 'S' && *p != '+')
            wanted[n++] = *p;
    wanted[n] = '\0';
    if (strncmp(name, "df", 2) == 0 && name[2 + strspn(name + 2, "anptwS+")] == '\0')
        return functions(sh, wanted, pattern, types, system, verbose);
    shell_error(sh, "invalid command \\%s", name);
    return false;
}
