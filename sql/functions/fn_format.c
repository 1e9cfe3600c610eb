/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_format.c: values of any type as text (concat, format, quote_*), names of types, sizes for people.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/functions/fn_text.h"

/* ---- quoting ----------------------------------------------------------------------------------------------------------- */

/* Words of PostgreSQL's grammar that are no names unless they are quoted; sorted. */
static const char *const keywords[] = {
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
};

static int compare_words(const void *a, const void *b) {
    return strcmp(a, *(const char *const *)b);
}

static bool plain_name(const uint8_t *p, size_t n) {
    char word[32];
    bool plain = n > 0 && (p[0] == '_' || (p[0] >= 'a' && p[0] <= 'z'));
    for (size_t i = 0; i < n && plain; i++)
        plain = p[i] == '_' || (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9');
    if (!plain || n >= sizeof word)
        return plain;
    memcpy(word, p, n);
    word[n] = '\0';
    return !bsearch(word, keywords, ARRAY_LEN(keywords), sizeof keywords[0], compare_words);
}

static void put_doubled(struct buf *b, const uint8_t *p, size_t n, uint8_t quote, bool backslashes) {
    buf_putc(b, quote);
    for (size_t i = 0; i < n; i++) {
        if (p[i] == quote || (backslashes && p[i] == '\\'))
            buf_putc(b, p[i]);
        buf_putc(b, p[i]);
    }
    buf_putc(b, quote);
}

void fn_put_ident(struct buf *b, const void *p, size_t n) {
    if (plain_name(p, n))
        buf_put(b, p, n);
    else
        put_doubled(b, p, n, '"', false);
}

void fn_put_literal(struct buf *b, const void *p, size_t n) {
    bool escape = n && memchr(p, '\\', n);
    if (escape)
        buf_putc(b, 'E');
    put_doubled(b, p, n, '\'', escape);
}

FN_IMPL(quote_ident) {
    struct buf b;
    FN_UNUSED;
    fn_buf(&b);
    fn_put_ident(&b, arg[0].p, arg[0].bytes);
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

/* The argument's text in a buffer of its own. */
static enum rc text_of(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t i,
                       struct value *ret, struct err *err) {
    struct buf b;
    if (arg[i].kind == VALUE_TEXT && call->arg[i].type != COL_CHAR && call->arg[i].type != COL_NUMERIC) {
        *ret = arg[i];
        return RC_OK;
    }
    fn_buf(&b);
    enum rc rc = fn_print(env, &call->arg[i], &arg[i], &b, err);
    if (!rc)
        return fn_give(env, &b, VALUE_TEXT, ret, err);
    buf_done(&b);
    return rc;
}

static enum rc literal(const struct fn_env *env, const struct fn_call *call, const struct value *arg, struct value *ret,
                       struct err *err) {
    struct buf b;
    struct value text;
    enum rc rc = text_of(env, call, arg, 0, &text, err);
    if (rc)
        return rc;
    fn_buf(&b);
    fn_put_literal(&b, text.p, text.bytes);
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

FN_IMPL(quote_literal) {
    FN_UNUSED;
    return literal(env, call, arg, ret, err);
}

FN_IMPL(quote_nullable) {
    FN_UNUSED;
    if (arg[0].kind != VALUE_NULL)
        return literal(env, call, arg, ret, err);
    *ret = value_text("NULL", 4);
    return RC_OK;
}

/* ---- concat ------------------------------------------------------------------------------------------------------------- */

/* The arguments from first on, NULLs left out, with a separator between. */
static enum rc concat(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t first,
                      size_t args, const struct value *separator, struct value *ret, struct err *err) {
    struct buf b;
    bool any = false;
    enum rc rc = RC_OK;
    fn_buf(&b);
    for (size_t i = first; i < args && !rc; i++) {
        struct value text;
        if (arg[i].kind == VALUE_NULL)
            continue;
        if (any && separator)
            buf_put(&b, separator->p, separator->bytes);
        any = true;
        rc = text_of(env, call, arg, i, &text, err);
        if (!rc)
            buf_put(&b, text.p, text.bytes);
    }
    if (!rc)
        return fn_give(env, &b, VALUE_TEXT, ret, err);
    buf_done(&b);
    return rc;
}

FN_IMPL(concat_all) {
    FN_UNUSED;
    return concat(env, call, arg, 0, args, NULL, ret, err);
}

FN_IMPL(concat_ws) {
    FN_UNUSED;
    if (arg[0].kind != VALUE_NULL)
        return concat(env, call, arg, 1, args, &arg[0], ret, err);
    *ret = value_null();
    return RC_OK;
}

/* text || anything, anything || text: as the cast to text has it, which says true for t and leaves out blanks of char(n). */
FN_IMPL(cat_any) {
    struct col types[2] = {call->arg[0], call->arg[1]};
    struct fn_call as = {.arg = types, .ret = call->ret};
    struct value v[2] = {arg[0], arg[1]};
    FN_UNUSED;
    for (size_t i = 0; i < 2; i++) {
        bool boolean = types[i].type == COL_BOOL;
        if (boolean)
            v[i] = v[i].i ? value_text("true", 4) : value_text("false", 5);
        if (boolean || types[i].type == COL_CHAR)
            types[i] = col_of(COL_TEXT);
    }
    return concat(env, &as, v, 0, 2, NULL, ret, err);
}

/* ---- format -------------------------------------------------------------------------------------------------------------- */

struct formatter {
    const struct fn_env *env;
    const struct fn_call *call;
    const struct value *arg;
    size_t args, next; /* next: the argument that is used if none is named */
    const uint8_t *p, *end;
};

static enum rc unterminated(struct err *err) {
    err_sql(err, "22023", "unterminated format() type specifier");
    err_hint(err, "For a single \"%%\" use \"%%%%\".");
    return RC_SQL;
}

/* Digits; *ret_any: there were some. */
static enum rc read_number(struct formatter *f, int64_t *ret, bool *ret_any, struct err *err) {
    int64_t v = 0;
    *ret_any = false;
    for (; f->p < f->end && *f->p >= '0' && *f->p <= '9'; f->p++) {
        v = v * 10 + (*f->p - '0');
        *ret_any = true;
        if (v > INT32_MAX)
            return err_sql(err, "22003", "number is out of range");
    }
    *ret = v;
    return f->p == f->end && *ret_any ? unterminated(err) : RC_OK;
}

/* n: from 1; 0: the next one. */
static enum rc take(struct formatter *f, int64_t n, size_t *ret, struct err *err) {
    size_t i = n ? (size_t)n : f->next + 1;
    if (i >= f->args)
        return err_sql(err, "22023", "too few arguments for format()");
    f->next = i;
    *ret = i;
    return RC_OK;
}

static enum rc width_argument(struct formatter *f, int64_t *ret, struct err *err) {
    int64_t n = 0;
    bool any;
    size_t i = 0;
    f->p++;
    enum rc rc = read_number(f, &n, &any, err);
    if (!rc && any) {
        if (n == 0)
            return err_sql(err, "22023", "format specifies argument 0, but arguments are numbered from 1");
        if (*f->p != '$')
            return err_sql(err, "22023", "width argument position must be ended by \"$\"");
        f->p++;
    }
    if (!rc)
        rc = take(f, any ? n : 0, &i, err);
    if (rc || f->arg[i].kind == VALUE_NULL)
        return rc;
    static const struct col int4 = {.type = COL_INT4, .typmod = COL_TYPMOD_NONE};
    struct value text, width;
    rc = text_of(f->env, f->call, f->arg, i, &text, err);
    if (!rc)
        rc = type_parse(f->env->types, &int4, text.p, text.bytes, f->env->arena, &width, err);
    if (!rc)
        *ret = width.i;
    return rc;
}

static void put_padded(struct buf *b, const struct value *text, int64_t width, bool left) {
    int64_t wide = width < 0 ? -width : width, chars = (int64_t)fn_chars(text->p, text->bytes);
    bool behind = left || width < 0;
    if (behind)
        buf_put(b, text->p, text->bytes);
    for (; chars < wide && !buf_rc(b); chars++)
        buf_putc(b, ' ');
    if (!behind)
        buf_put(b, text->p, text->bytes);
}

static enum rc convert(struct formatter *f, struct buf *out, uint8_t type, size_t i, int64_t width, bool left,
                       struct err *err) {
    struct value text = value_text("", 0);
    struct buf b;
    if (f->arg[i].kind == VALUE_NULL) {
        if (type == 'I')
            return err_sql(err, "22004", "null values cannot be formatted as an SQL identifier");
        if (type == 'L')
            text = value_text("NULL", 4);
        put_padded(out, &text, width, left);
        return RC_OK;
    }
    enum rc rc = text_of(f->env, f->call, f->arg, i, &text, err);
    if (!rc && type != 's') {
        fn_buf(&b);
        if (type == 'I')
            fn_put_ident(&b, text.p, text.bytes);
        else
            fn_put_literal(&b, text.p, text.bytes);
        rc = fn_give(f->env, &b, VALUE_TEXT, &text, err);
    }
    if (!rc)
        put_padded(out, &text, width, left);
    return rc;
}

/* Behind a percent sign: [n$][-][width]type */
static enum rc specifier(struct formatter *f, struct buf *out, struct err *err) {
    int64_t n = 0, width = 0;
    bool any, left = false;
    size_t i = 0;
    if (f->p == f->end)
        return unterminated(err);
    enum rc rc = read_number(f, &n, &any, err);
    if (rc)
        return rc;
    if (any && *f->p != '$') {
        width = n; /* a width after all */
        n = 0;
    } else {
        if (any) {
            f->p++;
            if (n == 0)
                return err_sql(err, "22023", "format specifies argument 0, but arguments are numbered from 1");
        }
        while (f->p < f->end && *f->p == '-') {
            left = true;
            f->p++;
        }
        if (f->p < f->end && *f->p == '*')
            rc = width_argument(f, &width, err);
        else
            rc = read_number(f, &width, &any, err);
    }
    if (!rc && f->p == f->end)
        rc = unterminated(err);
    if (rc)
        return rc;
    uint8_t type = *f->p;
    if (type != 's' && type != 'I' && type != 'L') {
        err_sql(err, "22023", "unrecognized format() type specifier \"%.*s\"", (int)fn_char_bytes(f->p, f->end),
                (const char *)f->p);
        err_hint(err, "For a single \"%%\" use \"%%%%\".");
        return RC_SQL;
    }
    f->p++;
    rc = take(f, n, &i, err);
    return rc ? rc : convert(f, out, type, i, width, left, err);
}

FN_IMPL(format) {
    struct buf b;
    FN_UNUSED;
    *ret = value_null();
    if (arg[0].kind == VALUE_NULL)
        return RC_OK;
    struct formatter f = {.env = env, .call = call, .arg = arg, .args = args, .p = arg[0].p};
    f.end = f.p + arg[0].bytes;
    enum rc rc = RC_OK;
    fn_buf(&b);
    while (f.p < f.end && !rc) {
        const uint8_t *at = memchr(f.p, '%', (size_t)(f.end - f.p));
        buf_put(&b, f.p, (size_t)((at ? at : f.end) - f.p));
        f.p = at ? at + 1 : f.end;
        if (at && f.p < f.end && *f.p == '%') {
            buf_putc(&b, *f.p++);
        } else if (at) {
            rc = specifier(&f, &b, err);
        }
    }
    if (!rc)
        return fn_give(env, &b, VALUE_TEXT, ret, err);
    buf_done(&b);
    return rc;
}

/* ---- types ----------------------------------------------------------------------------------------------------------------- */

/* Types of the catalog's columns that are none of ours. */
static const struct {
    uint32_t oid;
    const char *name;
} other_types[] = {
    {18, "\"char\""},
    {19, "name"},
    {22, "int2vector"},
    {24, "regproc"},
    {27, "tid"},
    {28, "xid"},
    {29, "cid"},
    {30, "oidvector"},
    {194, "pg_node_tree"},
    {249, "\"unknown\""},
    {269, "table_am_handler"},
    {705, "unknown"},
    {790, "money"},
    {869, "inet"},
    {1002, "\"char\"[]"},
    {1003, "name[]"},
    {1033, "aclitem"},
    {1034, "aclitem[]"},
    {1560, "bit"},
    {1562, "bit varying"},
    {2202, "regprocedure"},
    {2205, "regclass"},
    {2206, "regtype"},
    {2210, "regclass[]"},
    {2211, "regtype[]"},
    {2249, "record"},
    {2275, "cstring"},
    {2276, "\"any\""},
    {2277, "anyarray"},
    {2278, "void"},
    {2279, "trigger"},
    {2281, "internal"},
    {2283, "anyelement"},
    {2287, "record[]"},
    {2970, "txid_snapshot"},
    {3220, "pg_lsn"},
    {3614, "tsvector"},
    {3615, "tsquery"},
    {4072, "jsonpath"},
    {4089, "regnamespace"},
    {4096, "regrole"},
    {5069, "xid8"},
    {1266, "time with time zone"},
};

enum { CHAR_OID = 1042 };

FN_IMPL(format_type) {
    char name[COL_NAME_BYTES];
    struct col c;
    FN_UNUSED;
    *ret = value_null();
    if (arg[0].kind == VALUE_NULL)
        return RC_OK;
    uint32_t oid = (uint32_t)arg[0].i;
    int32_t typmod = arg[1].kind == VALUE_INT ? (int32_t)arg[1].i : COL_TYPMOD_NONE;
    if (oid == 0)
        return fn_give_text(env, "-", 1, ret, err);
    if (oid == CHAR_OID && arg[1].kind == VALUE_INT && typmod < 0) /* "character" would be one of length 1 */
        return fn_give_text(env, "bpchar", 6, ret, err);
    for (size_t i = 0; i < ARRAY_LEN(other_types); i++)
        if (other_types[i].oid == oid)
            return fn_give_text(env, other_types[i].name, strlen(other_types[i].name), ret, err);
    if (type_from_oid(oid, typmod, &c, NULL) && type_from_oid(oid, COL_TYPMOD_NONE, &c, NULL))
        return fn_give_text(env, "???", 3, ret, err);
    col_name(&c, name);
    return fn_give_text(env, name, strlen(name), ret, err);
}

FN_IMPL(type_of) {
    FN_UNUSED;
    return fn_int(ret, type_oid(&call->arg[0]));
}

enum { UTF8_CODE = 6 /* PostgreSQL's number of the encoding */ };

FN_IMPL(encoding_name) {
    FN_UNUSED;
    const char *name = arg[0].i == UTF8_CODE ? "UTF8" : arg[0].i == 0 ? "SQL_ASCII" : "";
    return fn_give_text(env, name, strlen(name), ret, err);
}

FN_IMPL(encoding_code) {
    FN_UNUSED;
    bool utf8 = (arg[0].bytes == 4 && strncasecmp(arg[0].p, "utf8", 4) == 0) ||
                (arg[0].bytes == 5 && strncasecmp(arg[0].p, "utf-8", 5) == 0);
    return fn_int(ret, utf8 ? UTF8_CODE : -1);
}

FN_IMPL(client_encoding) {
    FN_UNUSED;
    *ret = value_text("UTF8", 4);
    return RC_OK;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------------------- */

static int64_t half_round(int64_t v) {
    return (v + (v < 0 ? -1 : 1)) / 2;
}

/* Each unit is used up to twenty times the next, and the last digit is rounded. */
FN_IMPL(size_pretty) {
    static const struct {
        const char *name;
        int64_t limit;
        bool round;
        int bits;
    } sizes[] = {{"bytes", 10 * 1024, false, 0},  {"kB", 20 * 1024 - 1, true, 10}, {"MB", 20 * 1024 - 1, true, 20},
                 {"GB", 20 * 1024 - 1, true, 30}, {"TB", 20 * 1024 - 1, true, 40}, {"PB", 20 * 1024 - 1, true, 50}};
    struct buf b;
    FN_UNUSED;
    int64_t v = arg[0].i;
    for (size_t i = 0;; i++) {
        int64_t size = v < 0 ? (v == INT64_MIN ? INT64_MAX : -v) : v;
        if (i + 1 == ARRAY_LEN(sizes) || size < sizes[i].limit) {
            fn_buf(&b);
            buf_printf(&b, "%lld %s", (long long)(sizes[i].round ? half_round(v) : v), sizes[i].name);
            return fn_give(env, &b, VALUE_TEXT, ret, err);
        }
        int shift = sizes[i + 1].bits - sizes[i].bits - (sizes[i + 1].round ? 1 : 0) + (sizes[i].round ? 1 : 0);
        v /= INT64_C(1) << shift;
    }
}

FN_IMPL(column_size) {
    FN_UNUSED;
    int fixed = call->arg[0].type == COL_ENUM ? 4 : type_length(&call->arg[0]);
    return fn_int(ret, fixed >= 0 ? fixed : (int64_t)arg[0].bytes + 4);
}

static const struct fn fns[] = {
    FN(810, "pg_client_encoding", NULL, STRICT | STABLE, COL_TEXT, client_encoding),
    FN(1039, "getdatabaseencoding", NULL, STRICT | STABLE, COL_TEXT, client_encoding),
    FN(1081, "format_type", NULL, STABLE, COL_TEXT, format_type, COL_OID, COL_INT4),
    FN(1264, "pg_char_to_encoding", NULL, STRICT | STABLE, COL_INT4, encoding_code, COL_TEXT),
    FN(1269, "pg_column_size", NULL, STRICT | STABLE, COL_INT4, column_size, FN_ANY),
    FN(1282, "quote_ident", NULL, STRICT, COL_TEXT, quote_ident, COL_TEXT),
    FN(1283, "quote_literal", NULL, STRICT, COL_TEXT, quote_literal, COL_TEXT),
    FN(1285, "quote_literal", NULL, STRICT | STABLE, COL_TEXT, quote_literal, FN_ANYELEMENT),
    FN(1289, "quote_nullable", NULL, 0, COL_TEXT, quote_nullable, COL_TEXT),
    FN(1290, "quote_nullable", NULL, STABLE, COL_TEXT, quote_nullable, FN_ANYELEMENT),
    FN(1597, "pg_encoding_to_char", NULL, STRICT | STABLE, COL_TEXT, encoding_name, COL_INT4),
    FN(1619, "pg_typeof", NULL, STABLE, FN_REGTYPE, type_of, FN_ANY),
    FN(2003, "textanycat", "||", STRICT | STABLE, COL_TEXT, cat_any, COL_TEXT, FN_ANYNONARRAY),
    FN(2004, "anytextcat", "||", STRICT | STABLE, COL_TEXT, cat_any, FN_ANYNONARRAY, COL_TEXT),
    FN(2288, "pg_size_pretty", NULL, STRICT, COL_TEXT, size_pretty, COL_INT8),
    FN(3058, "concat", NULL, STABLE | VARIADIC, COL_TEXT, concat_all, FN_ANY),
    FN(3059, "concat_ws", NULL, STABLE | VARIADIC, COL_TEXT, concat_ws, COL_TEXT, FN_ANY),
    FN(3539, "format", NULL, STABLE | VARIADIC, COL_TEXT, format, COL_TEXT, FN_ANY),
    FN(3540, "format", NULL, STABLE, COL_TEXT, format, COL_TEXT),
};

const struct fn_table fn_table_format = {fns, ARRAY_LEN(fns)};
