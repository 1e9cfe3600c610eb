/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/sql/fnkit.h"

#include <string.h>

static const struct {
    const char *name;
    enum col_type type;
} type_names[] = {
    {"bool", COL_BOOL},         {"int2", COL_INT2},
    {"int4", COL_INT4},         {"int8", COL_INT8},
    {"oid", COL_OID},           {"float4", COL_FLOAT4},
    {"text", COL_TEXT},         {"float8", COL_FLOAT8},
    {"bytea", COL_BYTEA},       {"uuid", COL_UUID},
    {"json", COL_JSON},         {"date", COL_DATE},
    {"time", COL_TIME},         {"timestamp", COL_TIMESTAMP},
    {"varchar", COL_VARCHAR},   {"char", COL_CHAR},
    {"numeric", COL_NUMERIC},   {"timestamptz", COL_TIMESTAMPTZ},
    {"interval", COL_INTERVAL},
};

struct col fnkit_type(const char *t, size_t n) {
    bool array = n > 2 && t[n - 1] == ']';
    size_t base = array ? n - 2 : n;
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
        if (strlen(type_names[i].name) == base && memcmp(type_names[i].name, t, base) == 0) {
            struct col c = col_of(type_names[i].type);
            return array ? col_array_of(c) : c;
        }
    CHECKF(false, "no type %.*s", (int)n, t);
    return col_of(COL_NONE);
}

/* Does an argument of type c go in as it is? *element: what polymorphic arguments agreed on so far. */
static bool takes(uint16_t declared, struct col c, struct col *element) {
    struct col e = {.type = c.elem, .typmod = -1};
    switch (declared) {
    case FN_ANY:
        return true;
    case FN_ANYARRAY:
    case FN_ANYCOMPATIBLEARRAY:
        if (c.type == COL_ARRAY && !element->type)
            *element = e;
        return c.type == COL_ARRAY && element->type == e.type;
    case FN_ANYNONARRAY:
        if (c.type == COL_ARRAY)
            return false;
        if (!element->type)
            *element = c;
        return element->type == c.type;
    case FN_ANYELEMENT:
    case FN_ANYCOMPATIBLE:
        if (!element->type)
            *element = c;
        return element->type == c.type;
    default:
        return (declared & 0xff) == c.type && declared >> 8 == c.elem;
    }
}

static struct col result_type(const struct fn *f, struct col element) {
    if (f->ret == FN_ANYELEMENT || f->ret == FN_ANYCOMPATIBLE)
        return element;
    if (f->ret == FN_ANYARRAY || f->ret == FN_ANYCOMPATIBLEARRAY)
        return col_array_of(element);
    if (f->ret >= FN_ANY && f->ret <= UINT8_MAX)
        return col_of(f->ret == FN_REGTYPE ? COL_OID : COL_TEXT);
    struct col c = {.type = (uint8_t)f->ret, .elem = (uint8_t)(f->ret >> 8), .typmod = -1};
    return c;
}

static bool matches(const struct fn *f, const struct col *arg, size_t n, struct col *element) {
    *element = col_of(COL_NONE);
    if (f->variadic ? n + 1 < f->args || (n < f->args && f->args > 1) : n != f->args)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!takes(fn_arg_type(f, i), arg[i], element))
            return false;
    return true;
}

const struct fn *fnkit_find(const char *name, const struct col *arg, size_t n, struct col *ret) {
    const struct fn *f;
    struct col element;
    size_t at = 0;
    while ((f = fn_by_op(name, &at)))
        if (matches(f, arg, n, &element)) {
            *ret = result_type(f, element);
            return f;
        }
    at = 0;
    while ((f = fn_by_name(name, &at)))
        if (matches(f, arg, n, &element)) {
            *ret = result_type(f, element);
            return f;
        }
    return NULL;
}
