/* SPDX-License-Identifier: Apache-2.0 */
/* types.c: names of types, and what kind of type one is. */
#include <string.h>

#include "sql/analyse/internal.h"

enum { INTERVAL_ALL_FIELDS = 0x7fff, INTERVAL_ALL_DIGITS = 0xffff };

static const struct type_name {
    const char *name;
    uint8_t type;
    uint8_t elem; /* arrays that PostgreSQL has under a name of their own */
    bool modifier;
} type_names[] = {
    {"bool", COL_BOOL, 0, false},
    {"int2", COL_INT2, 0, false},
    {"int4", COL_INT4, 0, false},
    {"int8", COL_INT8, 0, false},
    {"float4", COL_FLOAT4, 0, false},
    {"float8", COL_FLOAT8, 0, false},
    {"numeric", COL_NUMERIC, 0, true},
    {"text", COL_TEXT, 0, false},
    {"varchar", COL_VARCHAR, 0, true},
    {"bpchar", COL_CHAR, 0, true},
    {"bytea", COL_BYTEA, 0, false},
    {"date", COL_DATE, 0, false},
    {"time", COL_TIME, 0, true},
    {"timestamp", COL_TIMESTAMP, 0, true},
    {"timestamptz", COL_TIMESTAMPTZ, 0, true},
    {"interval", COL_INTERVAL, 0, true},
    {"uuid", COL_UUID, 0, false},
    {"json", COL_JSON, 0, false},
    {"jsonb", COL_JSONB, 0, false},
    {"oid", COL_OID, 0, false},
    {"name", FN_NAME, 0, false},
    {"char", COL_TEXT, 0, false}, /* "char": one byte of pg_catalog's */
    {"regclass", FN_REGCLASS, 0, false},
    {"regtype", FN_REGTYPE, 0, false},
    {"regproc", FN_REGPROC, 0, false},
    {"regprocedure", FN_REGPROC, 0, false},
    {"regnamespace", FN_REGNAMESPACE, 0, false},
    {"regrole", FN_REGROLE, 0, false},
    {"regoper", COL_OID, 0, false}, /* numbers without names: there is nothing to look them up in */
    {"regoperator", COL_OID, 0, false},
    {"regconfig", COL_OID, 0, false},
    {"regdictionary", COL_OID, 0, false},
    {"regcollation", COL_OID, 0, false},
    {"xid", COL_OID, 0, false},
    {"int2vector", COL_ARRAY, COL_INT2, false},
    {"oidvector", COL_ARRAY, COL_OID, false},
    {"unknown", FN_UNKNOWN, 0, false},
};

/* What exists in PostgreSQL but not here. */
static const char *const missing[] = {
    "timetz",   "bit",       "varbit",    "money",     "xml",      "inet",      "cidr",     "macaddr",
    "tsvector", "tsquery",   "point",     "line",      "lseg",     "box",       "path",     "polygon",
    "circle",   "int4range", "int8range", "numrange",  "tsrange",  "record",    "tid",      "cid",
    "pg_lsn",   "refcursor", "macaddr8",  "daterange", "anyarray", "tstzrange", "jsonpath", "xid8"};

struct col type_plain(struct col c) {
    if (!col_is_vector(&c))
        c.typmod = COL_TYPMOD_NONE;
    return c;
}

bool type_is_unknown(struct col c) {
    return c.type == FN_UNKNOWN;
}

bool type_same(struct col a, struct col b) {
    return a.type == b.type && (a.type != COL_ARRAY || a.elem == b.elem) && a.type_id == b.type_id;
}

struct col type_lowered(struct col c) {
    if (c.type == FN_NAME || c.type == FN_UNKNOWN || c.type == FN_VOID)
        return col_of(COL_TEXT);
    if (c.type == FN_REGCLASS || c.type == FN_REGTYPE || c.type == FN_REGPROC || c.type == FN_REGNAMESPACE ||
        c.type == FN_REGROLE)
        return col_of(COL_OID);
    return c;
}

const char *type_text(struct an *an, struct col c) {
    char name[COL_NAME_BYTES];
    switch (c.type) {
    case FN_UNKNOWN:
        return "unknown";
    case FN_NAME:
        return "name";
    case FN_REGCLASS:
        return "regclass";
    case FN_REGTYPE:
        return "regtype";
    case FN_REGPROC:
        return "regproc";
    case FN_REGNAMESPACE:
        return "regnamespace";
    case FN_REGROLE:
        return "regrole";
    case FN_RECORD:
        return "record";
    case FN_VOID:
        return "void";
    case FN_ANY:
        return "\"any\"";
    case FN_ANYELEMENT:
        return "anyelement";
    case FN_ANYARRAY:
        return "anyarray";
    case FN_ANYCOMPATIBLE:
        return "anycompatible";
    case FN_ANYNONARRAY:
        return "anynonarray";
    case FN_ANYCOMPATIBLEARRAY:
        return "anycompatiblearray";
    default:
        break;
    }
    c = type_plain(c);
    const char *s = an_text(an, col_name(&c, name));
    return s ? s : "?";
}

char type_category(uint16_t type) {
    if (type == FN_UNKNOWN)
        return 'X';
    if (type == FN_NAME)
        return 'S';
    if (type == FN_REGCLASS || type == FN_REGTYPE || type == FN_REGPROC || type == FN_REGNAMESPACE ||
        type == FN_REGROLE)
        return 'N';
    if (type == COL_ARRAY)
        return 'A';
    return type >= FN_ANY ? 'P' : fn_category(type);
}

bool type_preferred(uint16_t type) {
    return type < FN_ANY && fn_preferred(type);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static const char *written_name(struct an *an, const PQ(TypeName) * n) {
    const char *s = "";
    for (size_t i = 0; i < n->n_names && s; i++)
        s = arena_printf(an->arena, "%s%s%s", s, i ? "." : "", node_string(n->names[i]));
    return s ? s : "?";
}

static bool modifier_int(struct an *an, const PQ(TypeName) * n, size_t i, int32_t *ret) {
    const PQ(Node) *m = n->typmods[i];
    if (!PQ_NODE(m, A_CONST) || m->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL)
        return fail(an, n->location, "42601", "type modifiers must be simple constants or identifiers");
    *ret = m->a_const->ival->ival;
    return true;
}

static bool numeric_modifier(struct an *an, const PQ(TypeName) * n, struct col *c) {
    int32_t precision, scale = 0;
    if (n->n_typmods > 2)
        return fail(an, n->location, "22023", "invalid NUMERIC type modifier");
    if (!modifier_int(an, n, 0, &precision) || (n->n_typmods == 2 && !modifier_int(an, n, 1, &scale)))
        return false;
    if (precision < 1 || precision > COL_NUMERIC_DIGITS_MAX)
        return fail(an, n->location, "22023", "NUMERIC precision %d must be between 1 and %d", precision,
                    COL_NUMERIC_DIGITS_MAX);
    if (scale < -COL_NUMERIC_DIGITS_MAX || scale > COL_NUMERIC_DIGITS_MAX)
        return fail(an, n->location, "22023", "NUMERIC scale %d must be between %d and %d", scale,
                    -COL_NUMERIC_DIGITS_MAX, COL_NUMERIC_DIGITS_MAX);
    *c = col_numeric(precision, scale);
    return true;
}

static bool length_modifier(struct an *an, const PQ(TypeName) * n, struct col *c) {
    int32_t length;
    const char *what = c->type == COL_CHAR ? "char" : "varchar";
    if (n->n_typmods != 1)
        return fail(an, n->location, "22023", "invalid type modifier");
    if (!modifier_int(an, n, 0, &length))
        return false;
    if (length < 1)
        return fail(an, n->location, "22023", "length for type %s must be at least 1", what);
    if (length > COL_LENGTH_MAX)
        return fail(an, n->location, "22023", "length for type %s cannot exceed %d", what, COL_LENGTH_MAX);
    *c = col_length(c->type, length);
    return true;
}

static bool time_modifier(struct an *an, const PQ(TypeName) * n, struct col *c) {
    int32_t digits;
    if (n->n_typmods != 1)
        return fail(an, n->location, "22023", "invalid type modifier");
    if (!modifier_int(an, n, 0, &digits))
        return false;
    if (digits < 0)
        return fail(an, n->location, "22023", "%s(%d)%s precision must not be negative",
                    c->type == COL_TIME ? "TIME" : "TIMESTAMP", digits,
                    c->type == COL_TIMESTAMPTZ ? " WITH TIME ZONE" : "");
    c->typmod = digits < COL_FRACTION_MAX ? digits : COL_FRACTION_MAX;
    return true;
}

static bool interval_modifier(struct an *an, const PQ(TypeName) * n, struct col *c) {
    int32_t fields, digits = INTERVAL_ALL_DIGITS;
    if (n->n_typmods > 2)
        return fail(an, n->location, "22023", "invalid INTERVAL type modifier");
    if (!modifier_int(an, n, 0, &fields) || (n->n_typmods == 2 && !modifier_int(an, n, 1, &digits)))
        return false;
    if (n->n_typmods == 2 && digits < 0)
        return fail(an, n->location, "22023", "INTERVAL(%d) precision must not be negative", digits);
    if (n->n_typmods == 2 && digits > COL_FRACTION_MAX && digits != INTERVAL_ALL_DIGITS)
        digits = COL_FRACTION_MAX;
    if (fields == INTERVAL_ALL_FIELDS && digits == INTERVAL_ALL_DIGITS)
        return true;
    c->typmod = (int32_t)(((uint32_t)fields & INTERVAL_ALL_FIELDS) << 16 | ((uint32_t)digits & INTERVAL_ALL_DIGITS));
    return true;
}

static bool modifier(struct an *an, const PQ(TypeName) * n, const char *name, bool allowed, struct col *c) {
    if (n->n_typmods == 0)
        return true;
    if (!allowed)
        return fail(an, n->location, "42601", "type modifier is not allowed for type \"%s\"", name);
    if (c->type == COL_NUMERIC)
        return numeric_modifier(an, n, c);
    if (c->type == COL_VARCHAR || c->type == COL_CHAR)
        return length_modifier(an, n, c);
    return c->type == COL_INTERVAL ? interval_modifier(an, n, c) : time_modifier(an, n, c);
}

/* The column type of a name, and whether it may have a modifier; COL_NONE after an error. */
static struct col find_type(struct an *an, const PQ(TypeName) * n, const char **ret_name, bool *ret_modifier) {
    const char *name = n->n_names ? node_string(n->names[n->n_names - 1]) : "";
    const char *schema = n->n_names > 1 ? node_string(n->names[n->n_names - 2]) : "pg_catalog";
    struct col c = col_of(COL_NONE);
    *ret_name = name;
    *ret_modifier = false;
    if (strcmp(schema, "pg_catalog") == 0 && n->n_names <= 2) {
        for (size_t i = 0; i < ARRAY_LEN(type_names) && !c.type; i++)
            if (strcmp(type_names[i].name, name) == 0) {
                c.type = type_names[i].type;
                c.elem = type_names[i].elem;
                c.typmod = c.type == COL_ARRAY ? COL_TYPMOD_VECTOR : c.typmod;
                *ret_modifier = type_names[i].modifier;
            }
        /* _int4 is int4[] */
        for (size_t i = 0; i < ARRAY_LEN(type_names) && !c.type && *name == '_'; i++)
            if (strcmp(type_names[i].name, name + 1) == 0 && type_names[i].type != COL_ARRAY)
                c = col_array_of(type_lowered(col_of(type_names[i].type)));
        for (size_t i = 0; i < ARRAY_LEN(missing) && !c.type; i++)
            if (strcmp(missing[i], name) == 0) {
                unsupported(an, n->location, "type %s is not supported", name);
                return c;
            }
    }
    if (!c.type)
        fail(an, n->location, "42704", "type \"%s\" does not exist", written_name(an, n));
    return c;
}

struct col type_by_name(const char *name) {
    struct col c = col_of(COL_NONE);
    for (size_t i = 0; i < ARRAY_LEN(type_names) && !c.type; i++)
        if (strcmp(type_names[i].name, name) == 0) {
            c.type = type_names[i].type;
            c.elem = type_names[i].elem;
            c.typmod = c.type == COL_ARRAY ? COL_TYPMOD_VECTOR : c.typmod;
        }
    return c;
}

struct col type_named(struct an *an, const PQ(TypeName) * n) {
    const char *name;
    bool allowed;
    if (n->pct_type) {
        unsupported(an, n->location, "%%TYPE is not supported");
        return col_of(COL_NONE);
    }
    struct col c = find_type(an, n, &name, &allowed);
    if (!c.type || !modifier(an, n, name, allowed, &c))
        return col_of(COL_NONE);
    if (n->n_array_bounds) {
        if (c.type == COL_ARRAY || c.type == FN_UNKNOWN) {
            fail(an, n->location, "42704", "type \"%s[]\" does not exist", written_name(an, n));
            return col_of(COL_NONE);
        }
        c = col_array_of(type_lowered(c));
    }
    return c;
}

enum rc analyse_type(const struct analyse_in *in, const PQ(TypeName) * name, struct col *ret, struct err *err) {
    struct an an = {.in = in, .arena = in->arena, .err = err, .text = in->text, .bytes = in->bytes};
    struct err own;
    if (!err)
        an.err = &own;
    struct col c = type_named(&an, name);
    if (!c.type)
        return an.rc;
    if (name->setof)
        return err_sql(err, "42P16", "a column cannot be a set");
    *ret = type_lowered(c);
    if (col_is_vector(ret)) /* of a column: only pg_catalog has these */
        ret->typmod = COL_TYPMOD_NONE;
    return RC_OK;
}
