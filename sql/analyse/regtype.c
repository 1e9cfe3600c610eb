/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regtype.c: 'name'::regclass and its like: names that are numbers of the catalog (PostgreSQL's section 8.19).
 *
 * They are looked up when the statement is analysed; a plan with the number in it is as good as the catalog's version that it was
 * made under.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sql/analyse/internal.h"

enum { PARTS_MAX = 3 };

/* "a.b" with quotes as in SQL; 0: it is no name. */
static size_t split(struct an *an, const char *text, const char **part) {
    size_t n = 0;
    const char *s = text;
    for (;;) {
        while (isspace((unsigned char)*s))
            s++;
        char *to = an_new(an, strlen(s) + 1, 1);
        size_t at = 0;
        if (!to || n == PARTS_MAX)
            return 0;
        if (*s == '"') {
            for (s++; *s && (*s != '"' || s[1] == '"'); s++) {
                if (*s == '"')
                    s++;
                to[at++] = *s;
            }
            if (*s++ != '"')
                return 0;
        } else {
            while (*s && *s != '.' && *s != '"' && !isspace((unsigned char)*s))
                to[at++] = (char)tolower((unsigned char)*s++);
        }
        if (!at)
            return 0;
        part[n++] = to;
        while (isspace((unsigned char)*s))
            s++;
        if (!*s)
            return n;
        if (*s++ != '.')
            return 0;
    }
}

static bool relation_id(struct an *an, uint32_t schema, const char *name, uint32_t *ret) {
    struct cat_source *c = an->in->catalog;
    const struct cat_table *t = NULL;
    struct err err;
    enum rc rc;
    if (c->ops->relation) {
        rc = c->ops->relation(c, schema, name, ret, &err);
    } else {
        rc = c->ops->table(c, schema, name, &t, &err);
        if (!rc && t)
            *ret = t->id;
        if (!rc)
            cat_table_unref(t);
    }
    if (!rc)
        return true;
    an->rc = rc;
    *an->err = err;
    return false;
}

static bool class_input(struct an *an, const char *text, int32_t location, uint32_t *ret) {
    const char *part[PARTS_MAX];
    size_t n = split(an, text, part), paths = 1;
    uint32_t one, *path = &one;
    if (n == 0)
        return fail(an, location, "42602", "invalid name syntax");
    if (n == 3)
        return unsupported(an, location, "cross-database references are not implemented: %s", text);
    if (n == 2) {
        if (!schema_id(an, part[0], &one))
            return false;
        if (!one)
            return fail(an, location, "3F000", "schema \"%s\" does not exist", part[0]);
    } else if (!search_path(an, &path, &paths)) {
        return false;
    }
    *ret = 0;
    for (size_t i = 0; i < paths && !*ret; i++)
        if (!relation_id(an, path[i], part[n - 1], ret))
            return false;
    return *ret || fail(an, location, "42P01", "relation \"%s%s%s\" does not exist", n == 2 ? part[0] : "",
                        n == 2 ? "." : "", part[n - 1]);
}

/* A type by PostgreSQL's name or by SQL's. */
static bool type_input(struct an *an, const char *text, int32_t location, uint32_t *ret) {
    static const char *const sql[][2] = {
        {"int", "int4"}, {"decimal", "numeric"}, {"dec", "numeric"}, {"float", "float8"}, {"character", "bpchar"}};
    static const struct {
        const char *name;
        uint32_t oid;
    } pseudo[] = {{"trigger", 2279}, {"event_trigger", 3838}, {"internal", 2281}, {"cstring", 2275},   {"void", 2278},
                  {"record", 2249},  {"any", 2276},           {"anyarray", 2277}, {"anyelement", 2283}};
    char name[COL_NAME_BYTES], shown[COL_NAME_BYTES];
    const char *at = strncmp(text, "pg_catalog.", 11) == 0 ? text + 11 : text;
    size_t n = strlen(at);
    bool array = n > 2 && strcmp(at + n - 2, "[]") == 0;
    struct col c = col_of(COL_NONE);
    n -= array ? 2 : 0;
    if (n < sizeof name) {
        for (size_t i = 0; i < n; i++)
            name[i] = (char)tolower((unsigned char)at[i]);
        name[n] = 0;
        for (size_t i = 0; i < ARRAY_LEN(sql); i++)
            if (strcmp(sql[i][0], name) == 0)
                c = type_by_name(sql[i][1]);
        for (size_t i = 0; i < ARRAY_LEN(pseudo) && !array; i++)
            if (strcmp(pseudo[i].name, name) == 0) {
                *ret = pseudo[i].oid;
                return true;
            }
        if (!c.type)
            c = type_by_name(name);
        for (uint8_t t = 1; t < COL_TYPE_END && !c.type; t++) {
            struct col known = col_of(t);
            if (t != COL_ENUM && t != COL_ARRAY && strcmp(col_name(&known, shown), name) == 0)
                c = known;
        }
    }
    if (!c.type || c.type == FN_UNKNOWN)
        return fail(an, location, "42704", "type \"%s\" does not exist", text);
    c = type_lowered(c);
    if (array)
        c = col_array_of(c);
    *ret = type_oid(&c);
    return true;
}

/* The number of a declared type, as type_input has it. */
static uint32_t declared_oid(uint16_t t) {
    struct col c = col_of((enum col_type)(t & 0xff));
    switch (t) {
    case FN_ANY:
        return 2276;
    case FN_ANYELEMENT:
        return 2283;
    case FN_ANYARRAY:
        return 2277;
    case FN_NAME:
        return 25; /* as type_input lowers it */
    case FN_REGCLASS:
    case FN_REGTYPE:
    case FN_REGPROC:
        return 26;
    default:
        break;
    }
    if (t > 0xff)
        c = (struct col){.type = COL_ARRAY, .elem = (uint8_t)(t >> 8), .typmod = COL_TYPMOD_NONE};
    return col_valid(&c, NULL) == RC_OK ? type_oid(&c) : 0;
}

/* "lower(text)" */
static bool procedure_input(struct an *an, const char *text, int32_t location, uint32_t *ret) {
    const char *part[PARTS_MAX], *open = strchr(text, '('), *end = strrchr(text, ')'), *at;
    uint32_t oid[FN_ARGS_MAX];
    size_t args = 0, i = 0;
    const char *name = end && !end[1] ? arena_printf(an->arena, "%.*s", (int)(open - text), text) : NULL;
    size_t n = name ? split(an, name, part) : 0;
    if (n == 0)
        return fail(an, location, "22P02", "expected a right parenthesis");
    for (at = open + 1; at < end; args++) {
        size_t len = strcspn(at, ",)");
        const char *type = arena_printf(an->arena, "%.*s", (int)len, at + strspn(at, " "));
        if (args == FN_ARGS_MAX || !type)
            return fail(an, location, "54023", "too many arguments");
        if (at[strspn(at, " ")] == ')')
            break;
        char *cut = (char *)(uintptr_t)type; /* it is this function's own */
        cut[strcspn(cut, ",)")] = '\0';
        for (size_t k = strlen(cut); k && cut[k - 1] == ' '; k--)
            cut[k - 1] = '\0';
        if (!type_input(an, type, location, &oid[args]))
            return false;
        at += len + 1;
    }
    bool ours = n == 1 || (n == 2 && strcmp(part[0], "pg_catalog") == 0);
    for (const struct fn *f; ours && (f = fn_by_name(part[n - 1], &i));) {
        bool same = f->args == args;
        for (size_t k = 0; same && k < args; k++)
            same = declared_oid(f->arg[k < ARRAY_LEN(f->arg) ? k : ARRAY_LEN(f->arg) - 1]) == oid[k];
        if (same) {
            *ret = f->oid;
            return true;
        }
    }
    return fail(an, location, "42883", "function \"%s\" does not exist", text);
}

static bool proc_input(struct an *an, const char *text, int32_t location, uint32_t *ret) {
    const char *part[PARTS_MAX];
    if (strchr(text, '('))
        return procedure_input(an, text, location, ret);
    size_t n = split(an, text, part), at = 0;
    const struct fn *f = n == 1 || (n == 2 && strcmp(part[0], "pg_catalog") == 0) ? fn_by_name(part[n - 1], &at) : NULL;
    if (!f)
        return fail(an, location, "42883", "function \"%s\" does not exist", text);
    if (fn_by_name(part[n - 1], &at))
        return fail(an, location, "42725", "more than one function named \"%s\"", text);
    *ret = f->oid;
    return true;
}

bool reg_input(struct an *an, const char *text, struct col type, int32_t location, struct value *ret) {
    char *end;
    uint32_t id = 0;
    unsigned long long number = strtoull(text, &end, 10);
    bool ok = true;
    if (strcmp(text, "-") == 0)
        id = 0;
    else if (isdigit((unsigned char)*text) && !*end && number <= UINT32_MAX)
        id = (uint32_t)number;
    else if (type.type == FN_REGCLASS)
        ok = class_input(an, text, location, &id);
    else if (type.type == FN_REGTYPE)
        ok = type_input(an, text, location, &id);
    else if (type.type == FN_REGPROC)
        ok = proc_input(an, text, location, &id);
    else if (type.type == FN_REGNAMESPACE)
        ok = schema_id(an, text, &id) && (id || fail(an, location, "3F000", "schema \"%s\" does not exist", text));
    else
        ok = unsupported(an, location, "values of type %s are not supported", type_text(an, type));
    *ret = value_int(id);
    return ok;
}
