/* SPDX-License-Identifier: Apache-2.0 */
/* value.c: one entry a type in `types`, made from VALUE_TYPES; what typmods and ranges mean is PostgreSQL's. */
#include "shard/store/value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shard/store/pgnum.h"

static_assert(sizeof(struct value) == 16, "values are passed and stored by the million");
static_assert(VALUE_NULL == 0 && VALUE_BLOB == 4, "on disk");

/* ---- values ------------------------------------------------------------------------------------------------------ */

static const uint8_t nan_blob[1] = {VALUE_NAN_BYTE};

struct value value_float(double r) {
    if (isnan(r))
        return value_blob(nan_blob, sizeof nan_blob);
    return (struct value){.kind = VALUE_REAL, .r = r};
}

double value_float_get(const struct value *v) {
    if (v->kind == VALUE_BLOB)
        return (double)NAN;
    CHECK(v->kind == VALUE_REAL);
    return v->r;
}

const char *value_kind_name(enum value_kind k) {
    static const char *const names[] = {"NULL", "INTEGER", "REAL", "TEXT", "BLOB"};
    return (unsigned)k < ARRAY_LEN(names) ? names[k] : "?";
}

static int compare_int(int64_t a, int64_t b) {
    return a < b ? -1 : a > b;
}

static int compare_real(double a, double b) {
    return a < b ? -1 : a > b;
}

static int compare_int_real(int64_t i, double r) {
    CHECK(!isnan(r));
    if (r >= 0x1p63)
        return -1;
    if (r < -0x1p63)
        return 1;
    /* in range: the whole part is exact as an integer, and the rest decides when that is equal */
    double whole = trunc(r);
    int c = compare_int(i, (int64_t)whole);
    return c ? c : compare_real(whole, r);
}

static int compare_bytes(const struct value *a, const struct value *b) {
    uint32_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
    int c = n ? memcmp(a->p, b->p, n) : 0;
    return c < 0 ? -1 : c > 0 ? 1 : compare_int(a->bytes, b->bytes);
}

/* Integers and reals are one class. */
static int class_of(enum value_kind k) {
    return k == VALUE_REAL ? VALUE_INT : (int)k;
}

int value_compare(const struct value *a, const struct value *b) {
    int ca = class_of(a->kind), cb = class_of(b->kind);
    if (ca != cb)
        return ca < cb ? -1 : 1;
    switch (a->kind) {
    case VALUE_NULL:
        return 0;
    case VALUE_INT:
        return b->kind == VALUE_INT ? compare_int(a->i, b->i) : compare_int_real(a->i, b->r);
    case VALUE_REAL:
        return b->kind == VALUE_REAL ? compare_real(a->r, b->r) : -compare_int_real(b->i, a->r);
    case VALUE_TEXT:
    case VALUE_BLOB:
        return compare_bytes(a, b);
    }
    CHECKF(false, "a value of kind %d", a->kind);
    return 0;
}

bool value_same(const struct value *a, const struct value *b) {
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_INT:
        return a->i == b->i;
    case VALUE_REAL:
        return a->i == b->i; /* the bits of the reals */
    case VALUE_TEXT:
    case VALUE_BLOB:
        return compare_bytes(a, b) == 0;
    }
    return false;
}

enum rc value_copy(struct arena *a, struct value *v) {
    if (v->kind != VALUE_TEXT && v->kind != VALUE_BLOB)
        return RC_OK;
    const void *p = arena_copy(a, v->p, v->bytes);
    if (!p)
        return RC_NOMEM;
    v->p = p;
    return RC_OK;
}

/* ---- between here and SQLite ------------------------------------------------------------------------------------- */

enum rc value_bind(sqlite3_stmt *stmt, int index, const struct value *v, enum value_life life) {
    sqlite3_destructor_type d = life == VALUE_BORROWED ? SQLITE_STATIC : SQLITE_TRANSIENT;
    int r = SQLITE_INTERNAL;
    switch (v->kind) {
    case VALUE_NULL:
        r = sqlite3_bind_null(stmt, index);
        break;
    case VALUE_INT:
        r = sqlite3_bind_int64(stmt, index, v->i);
        break;
    case VALUE_REAL: /* SQLite would take NaN for NULL */
        r = isnan(v->r) ? sqlite3_bind_blob(stmt, index, nan_blob, sizeof nan_blob, SQLITE_STATIC)
                        : sqlite3_bind_double(stmt, index, v->r);
        break;
    case VALUE_TEXT:
        r = sqlite3_bind_text64(stmt, index, v->p, v->bytes, d, SQLITE_UTF8);
        break;
    case VALUE_BLOB:
        r = sqlite3_bind_blob64(stmt, index, v->p, v->bytes, d);
        break;
    }
    return r == SQLITE_OK ? RC_OK : r == SQLITE_NOMEM ? RC_NOMEM : r == SQLITE_TOOBIG ? RC_LIMIT : RC_INTERNAL;
}

static struct value bytes_value(enum value_kind k, const void *p, int bytes) {
    return (struct value){.kind = k, .bytes = (uint32_t)bytes, .p = bytes ? p : ""};
}

enum rc value_column(sqlite3_stmt *stmt, int index, struct value *ret) {
    switch (sqlite3_column_type(stmt, index)) {
    case SQLITE_NULL:
        *ret = value_null();
        return RC_OK;
    case SQLITE_INTEGER:
        *ret = value_int(sqlite3_column_int64(stmt, index));
        return RC_OK;
    case SQLITE_FLOAT:
        *ret = (struct value){.kind = VALUE_REAL, .r = sqlite3_column_double(stmt, index)};
        return RC_OK;
    case SQLITE_TEXT: {
        const void *p = sqlite3_column_text(stmt, index);
        if (!p)
            return RC_NOMEM;
        *ret = bytes_value(VALUE_TEXT, p, sqlite3_column_bytes(stmt, index));
        return RC_OK;
    }
    default: {
        const void *p = sqlite3_column_blob(stmt, index); /* NULL also where it is empty */
        int n = sqlite3_column_bytes(stmt, index);
        if (!p && n)
            return RC_NOMEM;
        *ret = bytes_value(VALUE_BLOB, p, n);
        return RC_OK;
    }
    }
}

enum rc value_from_sqlite(sqlite3_value *from, struct value *ret) {
    switch (sqlite3_value_type(from)) {
    case SQLITE_NULL:
        *ret = value_null();
        return RC_OK;
    case SQLITE_INTEGER:
        *ret = value_int(sqlite3_value_int64(from));
        return RC_OK;
    case SQLITE_FLOAT:
        *ret = (struct value){.kind = VALUE_REAL, .r = sqlite3_value_double(from)};
        return RC_OK;
    case SQLITE_TEXT: {
        const void *p = sqlite3_value_text(from);
        if (!p)
            return RC_NOMEM;
        *ret = bytes_value(VALUE_TEXT, p, sqlite3_value_bytes(from));
        return RC_OK;
    }
    default: {
        const void *p = sqlite3_value_blob(from);
        int n = sqlite3_value_bytes(from);
        if (!p && n)
            return RC_NOMEM;
        *ret = bytes_value(VALUE_BLOB, p, n);
        return RC_OK;
    }
    }
}

void value_result(sqlite3_context *ctx, const struct value *v) {
    switch (v->kind) {
    case VALUE_NULL:
        sqlite3_result_null(ctx);
        return;
    case VALUE_INT:
        sqlite3_result_int64(ctx, v->i);
        return;
    case VALUE_REAL:
        if (isnan(v->r))
            sqlite3_result_blob(ctx, nan_blob, sizeof nan_blob, SQLITE_STATIC);
        else
            sqlite3_result_double(ctx, v->r);
        return;
    case VALUE_TEXT:
        sqlite3_result_text64(ctx, v->p, v->bytes, SQLITE_TRANSIENT, SQLITE_UTF8);
        return;
    case VALUE_BLOB:
        sqlite3_result_blob64(ctx, v->p, v->bytes, SQLITE_TRANSIENT);
        return;
    }
    CHECKF(false, "a value of kind %d", v->kind);
}

/* ---- types ------------------------------------------------------------------------------------------------------- */

static const struct type_info {
    const char *name;
    enum value_kind kind;
    const char *decl;
} types[COL_TYPE_END] = {
#define TYPE_INFO_(name, number, text, kind, decl) [number] = {text, kind, decl},
    VALUE_TYPES(TYPE_INFO_)
#undef TYPE_INFO_
};

/* interval's typmod: which fields in the upper half, digits of a second in the lower. */
enum { INTERVAL_FIELDS_ALL = 0x7fff, INTERVAL_FRACTION_ALL = 0xffff };
static const struct interval_fields {
    int mask;
    const char *name;
} interval_fields[] = {
    {INTERVAL_FIELDS_ALL, ""},   {0x0004, " year"},
    {0x0002, " month"},          {0x0008, " day"},
    {0x0400, " hour"},           {0x0800, " minute"},
    {0x1000, " second"},         {0x0006, " year to month"},
    {0x0408, " day to hour"},    {0x0c08, " day to minute"},
    {0x1c08, " day to second"},  {0x0c00, " hour to minute"},
    {0x1c00, " hour to second"}, {0x1800, " minute to second"},
};

struct col col_numeric(int precision, int scale) {
    CHECK(precision >= 1 && precision <= COL_NUMERIC_DIGITS_MAX);
    CHECK(scale >= -COL_NUMERIC_DIGITS_MAX && scale <= COL_NUMERIC_DIGITS_MAX);
    struct col c = col_of(COL_NUMERIC);
    c.typmod = ((precision << 16) | (scale & 0x7ff)) + COL_TYPMOD_HEAD;
    return c;
}

struct col col_length(enum col_type t, int n) {
    CHECK(t == COL_VARCHAR || t == COL_CHAR);
    CHECK(n >= 1 && n <= COL_LENGTH_MAX);
    struct col c = col_of(t);
    c.typmod = n + COL_TYPMOD_HEAD;
    return c;
}

static const char *interval_name(int32_t typmod) {
    for (size_t i = 0; i < ARRAY_LEN(interval_fields); i++)
        if (interval_fields[i].mask == typmod >> 16)
            return interval_fields[i].name;
    return NULL;
}

static bool typmod_valid(unsigned type, int32_t typmod) {
    if (typmod == COL_TYPMOD_NONE)
        return true;
    if (typmod < 0)
        return false;
    switch (type) {
    case COL_NUMERIC: {
        if (typmod < COL_TYPMOD_HEAD)
            return false;
        struct col c = {.type = COL_NUMERIC, .typmod = typmod};
        int p, s;
        if (!col_numeric_limits(&c, &p, &s) || p < 1 || p > COL_NUMERIC_DIGITS_MAX)
            return false;
        /* the bits between scale and precision are none of either */
        return s >= -COL_NUMERIC_DIGITS_MAX && s <= COL_NUMERIC_DIGITS_MAX && col_numeric(p, s).typmod == typmod;
    }
    case COL_VARCHAR:
    case COL_CHAR:
        return typmod > COL_TYPMOD_HEAD && typmod - COL_TYPMOD_HEAD <= COL_LENGTH_MAX;
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        return typmod <= COL_FRACTION_MAX;
    case COL_INTERVAL: {
        int fraction = typmod & 0xffff;
        return interval_name(typmod) && (fraction <= COL_FRACTION_MAX || fraction == INTERVAL_FRACTION_ALL);
    }
    default:
        return false;
    }
}

enum rc col_valid(const struct col *c, struct err *err) {
    bool array = c->type == COL_ARRAY;
    unsigned base = array ? c->elem : c->type;
    if (c->type <= COL_NONE || c->type >= COL_TYPE_END)
        return err_set(err, RC_INVAL, "no type has the number %u", c->type);
    if (array ? base <= COL_NONE || base >= COL_TYPE_END || base == COL_ARRAY : c->elem != COL_NONE)
        return err_set(err, RC_INVAL, "no array has elements of type %u", c->elem);
    if (!col_is_vector(c) && !typmod_valid(base, c->typmod))
        return err_set(err, RC_INVAL, "type %s has no modifier %d", types[base].name, c->typmod);
    if ((base == COL_ENUM) != (c->type_id != 0))
        return err_set(err, RC_INVAL, "type %s with type id %u", types[base].name, c->type_id);
    return RC_OK;
}

bool col_numeric_limits(const struct col *c, int *ret_precision, int *ret_scale) {
    CHECK(c->type == COL_NUMERIC);
    if (c->typmod < COL_TYPMOD_HEAD)
        return false;
    int32_t m = c->typmod - COL_TYPMOD_HEAD;
    *ret_precision = m >> 16;
    *ret_scale = ((m & 0x7ff) ^ 0x400) - 0x400; /* eleven bits with a sign */
    return true;
}

bool col_numeric_is_int(const struct col *c, int *ret_scale) {
    int p, s;
    if (c->type != COL_NUMERIC || !col_numeric_limits(c, &p, &s) || p > COL_NUMERIC_INT_DIGITS)
        return false;
    if (ret_scale)
        *ret_scale = s;
    return true;
}

int col_length_max(const struct col *c) {
    bool has = (c->type == COL_VARCHAR || c->type == COL_CHAR) && c->typmod > COL_TYPMOD_HEAD;
    return has ? c->typmod - COL_TYPMOD_HEAD : -1;
}

int col_fraction(const struct col *c) {
    int d = c->typmod;
    if (c->type == COL_INTERVAL && d >= 0)
        d &= 0xffff;
    return d >= 0 && d < COL_FRACTION_MAX ? d : COL_FRACTION_MAX;
}

enum value_kind col_kind(const struct col *c) {
    CHECK(c->type > COL_NONE && c->type < COL_TYPE_END);
    return col_numeric_is_int(c, NULL) ? VALUE_INT : types[c->type].kind;
}

const char *col_decl(const struct col *c) {
    CHECK(c->type > COL_NONE && c->type < COL_TYPE_END);
    return col_numeric_is_int(c, NULL) ? "INTEGER" : types[c->type].decl;
}

const char *col_collation(const struct col *c) {
    return c->type == COL_NUMERIC && col_kind(c) == VALUE_TEXT ? PGNUM_COLLATION : "BINARY";
}

const char *col_name(const struct col *c, char buf[static COL_NAME_BYTES]) {
    bool array = c->type == COL_ARRAY;
    unsigned base = array ? c->elem : c->type;
    const char *name = base > COL_NONE && base < COL_TYPE_END ? types[base].name : "?";
    struct col e = {.type = (uint8_t)base, .typmod = c->typmod, .type_id = c->type_id};
    char mod[48] = "";
    if (col_is_vector(c)) {
        snprintf(buf, COL_NAME_BYTES, base == COL_INT2 ? "int2vector" : "oidvector");
        return buf;
    }
    int p, s, n = col_length_max(&e);
    if (n >= 0)
        snprintf(mod, sizeof mod, "(%d)", n);
    else if (base == COL_NUMERIC && col_numeric_limits(&e, &p, &s))
        snprintf(mod, sizeof mod, "(%d,%d)", p, s);
    else if (base == COL_ENUM)
        snprintf(mod, sizeof mod, " %u", c->type_id);
    else if (base == COL_INTERVAL && c->typmod >= 0) {
        const char *fields = interval_name(c->typmod);
        int fraction = c->typmod & 0xffff;
        if (fraction <= COL_FRACTION_MAX)
            snprintf(mod, sizeof mod, "%s(%d)", fields ? fields : " ?", fraction);
        else
            snprintf(mod, sizeof mod, "%s", fields ? fields : " ?");
    } else if ((base == COL_TIME || base == COL_TIMESTAMP || base == COL_TIMESTAMPTZ) && c->typmod >= 0) {
        /* the digits come behind the first word: "time(3) without time zone" */
        int word = (int)strcspn(name, " ");
        snprintf(buf, COL_NAME_BYTES, "%.*s(%d)%s%s", word, name, c->typmod, name + word, array ? "[]" : "");
        return buf;
    }
    snprintf(buf, COL_NAME_BYTES, "%s%s%s", name, mod, array ? "[]" : "");
    return buf;
}

/* ---- what a column may hold -------------------------------------------------------------------------------------- */

enum {
    DATE_MIN = -2451545,  /* 4714-11-24 BC, Julian day 0 */
    DATE_END = 2145031949 /* 5874898-06-04 */
};
#define TS_MIN INT64_C(-211813488000000000) /* 4714-11-24 BC */
#define TS_END INT64_C(9223371331200000000) /* 294277-01-01 */

static bool int_ok(const struct col *c, int64_t i) {
    switch (c->type) {
    case COL_BOOL:
        return i == 0 || i == 1;
    case COL_INT2:
        return i >= INT16_MIN && i <= INT16_MAX;
    case COL_INT4:
        return i >= INT32_MIN && i <= INT32_MAX;
    case COL_OID:
        return i >= 0 && i <= UINT32_MAX;
    case COL_DATE:
        return (i >= DATE_MIN && i < DATE_END) || i == COL_DATE_NEG_INF || i == COL_DATE_INF;
    case COL_TIME:
        return i >= 0 && i <= COL_DAY_US;
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        return (i >= TS_MIN && i < TS_END) || i == COL_TS_NEG_INF || i == COL_TS_INF;
    case COL_NUMERIC: {
        int p, s;
        int64_t end = 1;
        CHECK(col_numeric_limits(c, &p, &s));
        while (p-- > 0)
            end *= 10;
        return (i > -end && i < end) || i == COL_NUMERIC_INT_NAN;
    }
    default:
        return true;
    }
}

static size_t characters(const struct value *v) {
    const uint8_t *p = v->p;
    size_t n = 0;
    for (uint32_t i = 0; i < v->bytes; i++)
        n += (p[i] & 0xc0) != 0x80;
    return n;
}

static bool numeric_text_ok(const struct col *c, const struct value *v) {
    enum { WHOLE_DIGITS_MAX = 131072, FRACTION_DIGITS_MAX = 16383 };
    if (!pgnum_canonical(v->p, v->bytes))
        return false;
    int p, s;
    bool limited = col_numeric_limits(c, &p, &s);
    const char *t = v->p, *point = memchr(t, '.', v->bytes);
    size_t sign = *t == '-', whole = (point ? (size_t)(point - t) : v->bytes) - sign;
    size_t fraction = point ? v->bytes - whole - sign - 1 : 0;
    if (t[sign] == 'N')
        return true;
    if (t[sign] == 'I')
        return !limited;
    if (t[sign] == '0')
        whole = 0;
    if (!limited)
        return whole <= WHOLE_DIGITS_MAX && fraction <= FRACTION_DIGITS_MAX;
    for (size_t i = 1; i <= whole && s + (int)i <= 0; i++) /* numeric(3,-2): 12300 */
        if (t[sign + whole - i] != '0')
            return false;
    return (int)fraction == (s > 0 ? s : 0) && (whole == 0 || (int)whole <= p - s);
}

static bool bytes_ok(const struct col *c, const struct value *v) {
    const char *p = v->p;
    int n = col_length_max(c);
    switch (c->type) {
    case COL_NUMERIC:
        return numeric_text_ok(c, v);
    case COL_CHAR:
        if (v->bytes && p[v->bytes - 1] == ' ')
            return false;
        return n < 0 || characters(v) <= (size_t)n;
    case COL_VARCHAR:
        return n < 0 || characters(v) <= (size_t)n;
    case COL_UUID:
    case COL_INTERVAL:
        return v->bytes == 16;
    default:
        return true;
    }
}

static bool is_float(const struct col *c) {
    return c->type == COL_FLOAT4 || c->type == COL_FLOAT8;
}

static bool float_ok(const struct col *c, const struct value *v) {
    if (v->kind == VALUE_BLOB)
        return v->bytes == sizeof nan_blob && *(const uint8_t *)v->p == VALUE_NAN_BYTE;
    if (v->kind != VALUE_REAL || isnan(v->r))
        return false;
    if (c->type == COL_FLOAT8 || isinf(v->r))
        return true;
    return fabs(v->r) <= 0x1.fffffep127 && (double)(float)v->r == v->r;
}

enum rc col_check(const struct col *c, const struct value *v, struct err *err) {
    bool ok = v->kind == VALUE_NULL;
    if (!ok && is_float(c))
        ok = float_ok(c, v);
    else if (!ok && v->kind == col_kind(c))
        ok = v->kind == VALUE_INT ? int_ok(c, v->i) : bytes_ok(c, v);
    if (ok)
        return RC_OK;
    char name[COL_NAME_BYTES];
    err_set(err, RC_INVAL, "a column of type %s cannot hold this %s value", col_name(c, name),
            value_kind_name(v->kind));
    if (v->kind == VALUE_INT)
        err_detail(err, "%lld", (long long)v->i);
    else if (v->kind != VALUE_REAL)
        err_detail(err, "%u bytes", v->bytes);
    return RC_INVAL;
}

int col_compare(const struct col *c, const struct value *a, const struct value *b) {
    if (c->type == COL_NUMERIC && a->kind == VALUE_TEXT && b->kind == VALUE_TEXT)
        return pgnum_compare(a->p, a->bytes, b->p, b->bytes);
    return value_compare(a, b);
}
