/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.h: a value as SQLite stores it, and how each SQL type is stored.
 *
 * Promise     One table (VALUE_TYPES) fixes for each SQL type its storage class, its column in a STRICT table and the order
 *             SQLite gives it; key.h encodes to that same order (rule Q-4). col_check says whether a value is one that a
 *             column may hold; what passes it is bound, stored and read back unchanged. The numbers of value_kind and
 *             col_type are on disk and between nodes: never renumbered.
 * Relies on   SQLite 3.40's comparison: NULL < integers and reals by their numeric value < text < blobs, the last two
 *             by memcmp (text of a column declared COLLATE pgnum by pgnum.h). Every handle that meets such a column has had
 *             pgnum_register. Text is UTF-8 that somebody has checked before: nothing here does.
 * Threads     any; SQLite objects on their connection's.
 * Source      https://sqlite.org/datatype3.html, https://sqlite.org/stricttables.html; for what the types mean, chapter 8
 *             "Data Types" of PostgreSQL 15's manual.
 *
 * How each type is stored:
 *
 *     bool                        INTEGER   0 or 1
 *     int2, int4, int8, oid       INTEGER   itself
 *     date                        INTEGER   days since 2000-01-01; the least and greatest int4 are -infinity and infinity
 *     time                        INTEGER   microseconds since midnight, 0 .. 86400000000 (24:00:00)
 *     timestamp, timestamptz      INTEGER   microseconds since 2000-01-01 (UTC); the least and greatest int8: infinities
 *     enum                        INTEGER   the label's place in the order; the catalog knows the labels
 *     numeric(p <= 18, s)         INTEGER   the value times 10^s; NaN = the greatest int8, so that it sorts last
 *     other numeric               TEXT      canonical text (pgnum.h), COLLATE pgnum: 1.0 = 1.00, both are kept
 *     float4, float8              ANY       REAL; NaN is the BLOB x'00', so that it sorts last and is not taken for NULL
 *     text, varchar(n), json      TEXT      itself; C collation = BINARY
 *     char(n)                     TEXT      without the blanks at its end, which do not count in comparisons
 *     bytea                       BLOB      itself
 *     uuid                        BLOB      16 bytes
 *     interval                    BLOB      16 bytes, PostgreSQL's binary form: microseconds (8), days (4), months (4),
 *                                           big-endian; its bytes have no useful order
 *     jsonb                       BLOB      a form of sql/types
 *     array                       BLOB      PostgreSQL's binary array form
 */
#ifndef MERIDIAN_STORE_VALUE_H
#define MERIDIAN_STORE_VALUE_H

#include <sqlite3.h>

#include "truetime/base/arena.h"
#include "truetime/base/err.h"

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* SQLite's storage classes, in SQLite's order; INT and REAL compare by their numeric value. */
enum value_kind { VALUE_NULL, VALUE_INT, VALUE_REAL, VALUE_TEXT, VALUE_BLOB };

struct value {
    enum value_kind kind;
    uint32_t bytes; /* TEXT and BLOB; else 0 */
    union {
        int64_t i;
        double r;
        const void *p; /* borrowed, never NULL; not terminated */
    };
};

enum { VALUE_BYTES_MAX = 1000000000 /* SQLite's own limit */, VALUE_NAN_BYTE = 0 };

static inline struct value value_null(void) {
    return (struct value){.kind = VALUE_NULL};
}
static inline struct value value_int(int64_t i) {
    return (struct value){.kind = VALUE_INT, .i = i};
}
static inline struct value value_text(const void *p, size_t bytes) {
    CHECK(bytes <= VALUE_BYTES_MAX);
    return (struct value){.kind = VALUE_TEXT, .bytes = (uint32_t)bytes, .p = bytes ? p : ""};
}
static inline struct value value_blob(const void *p, size_t bytes) {
    CHECK(bytes <= VALUE_BYTES_MAX);
    return (struct value){.kind = VALUE_BLOB, .bytes = (uint32_t)bytes, .p = bytes ? p : ""};
}
/* A float4 or float8 as it is stored: NaN of any sign and payload becomes its blob. */
struct value value_float(double r);
/* The number in a stored float4 or float8. */
double value_float_get(const struct value *v);

const char *value_kind_name(enum value_kind k); /* "INTEGER"; "?" */

/* < 0, 0, > 0 in SQLite's order under BINARY. Integers and reals are compared exactly. A REAL is not NaN. */
int value_compare(const struct value *a, const struct value *b);
/* The same bits: REAL -0.0 and 0.0 differ, INT 1 and REAL 1.0 too. */
bool value_same(const struct value *a, const struct value *b);

/* Moves the bytes of *v into the arena; RC_NOMEM leaves *v as it is. */
enum rc value_copy(struct arena *a, struct value *v) MUST_CHECK;

/* Borrowed bytes must stay until the statement is reset and bound anew; copied ones need not outlive the call. */
enum value_life { VALUE_BORROWED, VALUE_COPIED };

/* index from 1. RC_NOMEM; RC_LIMIT: longer than SQLite takes; RC_INTERNAL: no such parameter. */
enum rc value_bind(sqlite3_stmt *stmt, int index, const struct value *v, enum value_life life) MUST_CHECK;
/* index from 0. *ret borrows until the statement's next step or reset. RC_NOMEM. */
enum rc value_column(sqlite3_stmt *stmt, int index, struct value *ret) MUST_CHECK;
/* An argument of a function or of a virtual table's xFilter; *ret borrows from it. RC_NOMEM. */
enum rc value_from_sqlite(sqlite3_value *from, struct value *ret) MUST_CHECK;
/* The result of a function or of a virtual table's xColumn; the bytes are copied. */
void value_result(sqlite3_context *ctx, const struct value *v);

/* ---- types ------------------------------------------------------------------------------------------------------- */

/* name, number, SQL name, storage class, column; numeric(p <= 18) differs from its line (col_kind, col_decl). */
#define VALUE_TYPES(X)                                                                                                 \
    X(BOOL, 1, "boolean", VALUE_INT, "INTEGER")                                                                        \
    X(INT2, 2, "smallint", VALUE_INT, "INTEGER")                                                                       \
    X(INT4, 3, "integer", VALUE_INT, "INTEGER")                                                                        \
    X(INT8, 4, "bigint", VALUE_INT, "INTEGER")                                                                         \
    X(FLOAT4, 5, "real", VALUE_REAL, "ANY")                                                                            \
    X(FLOAT8, 6, "double precision", VALUE_REAL, "ANY")                                                                \
    X(NUMERIC, 7, "numeric", VALUE_TEXT, "TEXT COLLATE pgnum")                                                         \
    X(TEXT, 8, "text", VALUE_TEXT, "TEXT")                                                                             \
    X(VARCHAR, 9, "character varying", VALUE_TEXT, "TEXT")                                                             \
    X(CHAR, 10, "character", VALUE_TEXT, "TEXT")                                                                       \
    X(BYTEA, 11, "bytea", VALUE_BLOB, "BLOB")                                                                          \
    X(DATE, 12, "date", VALUE_INT, "INTEGER")                                                                          \
    X(TIME, 13, "time without time zone", VALUE_INT, "INTEGER")                                                        \
    X(TIMESTAMP, 14, "timestamp without time zone", VALUE_INT, "INTEGER")                                              \
    X(TIMESTAMPTZ, 15, "timestamp with time zone", VALUE_INT, "INTEGER")                                               \
    X(INTERVAL, 16, "interval", VALUE_BLOB, "BLOB")                                                                    \
    X(UUID, 17, "uuid", VALUE_BLOB, "BLOB")                                                                            \
    X(JSON, 18, "json", VALUE_TEXT, "TEXT")                                                                            \
    X(JSONB, 19, "jsonb", VALUE_BLOB, "BLOB")                                                                          \
    X(ENUM, 20, "enum", VALUE_INT, "INTEGER")                                                                          \
    X(ARRAY, 21, "array", VALUE_BLOB, "BLOB")                                                                          \
    X(OID, 22, "oid", VALUE_INT, "INTEGER")

enum col_type {
    COL_NONE = 0, /* no type: never a column's */
#define COL_ENUM_(name, number, text, kind, decl) COL_##name = (number),
    VALUE_TYPES(COL_ENUM_)
#undef COL_ENUM_
        COL_TYPE_END
};

/* The type of a column. All text has collation C. */
struct col {
    uint8_t type;     /* enum col_type */
    uint8_t elem;     /* COL_ARRAY: enum col_type of its elements, never COL_ARRAY; else COL_NONE */
    int32_t typmod;   /* PostgreSQL's, -1 = none: what follows in parentheses; of an array: of its elements */
    uint32_t type_id; /* COL_ENUM, or an array of those: the catalog's id of the type; else 0 */
};

enum {
    COL_TYPMOD_NONE = -1,
    /* int2vector and oidvector, which only PostgreSQL's catalogs have: arrays of int2 and oid that count from 0 and are written
     * "1 2". In everything else they are arrays. */
    COL_TYPMOD_VECTOR = -2,
    COL_TYPMOD_HEAD = 4, /* PostgreSQL adds this to what it keeps for lengths and numeric */
    COL_NUMERIC_DIGITS_MAX = 1000,
    COL_NUMERIC_INT_DIGITS = 18, /* so many fit an int8 */
    COL_LENGTH_MAX = 10485760,   /* characters of varchar(n) and char(n) */
    COL_FRACTION_MAX = 6,        /* digits of a second */
    COL_NAME_BYTES = 96,
};
#define COL_NUMERIC_INT_NAN INT64_MAX
#define COL_DATE_NEG_INF INT32_MIN
#define COL_DATE_INF INT32_MAX
#define COL_TS_NEG_INF INT64_MIN
#define COL_TS_INF INT64_MAX
#define COL_DAY_US INT64_C(86400000000)

static inline struct col col_of(enum col_type t) {
    return (struct col){.type = (uint8_t)t, .typmod = COL_TYPMOD_NONE};
}
static inline bool col_is_vector(const struct col *c) {
    return c->type == COL_ARRAY && c->typmod == COL_TYPMOD_VECTOR && (c->elem == COL_INT2 || c->elem == COL_OID);
}
static inline struct col col_array_of(struct col elem) {
    return (struct col){.type = COL_ARRAY, .elem = elem.type, .typmod = elem.typmod, .type_id = elem.type_id};
}
/* numeric(precision, scale): 1 .. 1000, -1000 .. 1000 as in PostgreSQL 15. */
struct col col_numeric(int precision, int scale);
/* varchar(n) or char(n): COL_VARCHAR or COL_CHAR. */
struct col col_length(enum col_type t, int n);

/* Does the descriptor make sense? For what comes from a disk, a peer or a parser. RC_INVAL. */
enum rc col_valid(const struct col *c, struct err *err) MUST_CHECK;

/* Of numeric; false: no limit was given, outputs untouched. */
bool col_numeric_limits(const struct col *c, int *ret_precision, int *ret_scale);
/* numeric stored as a scaled integer; *ret_scale (may be NULL): stored = value * 10^scale. */
bool col_numeric_is_int(const struct col *c, int *ret_scale);
/* n of varchar(n), char(n) in characters, or -1. */
int col_length_max(const struct col *c);
/* Digits of a second that time, timestamp(tz) and interval keep: 6 unless the type says less. */
int col_fraction(const struct col *c);

/* The storage class of its values (of a float: REAL, although NaN is a BLOB). */
enum value_kind col_kind(const struct col *c);
/* Its declaration in a STRICT table, without the name: "TEXT COLLATE pgnum". */
const char *col_decl(const struct col *c);
/* The collation of that: "BINARY" or "pgnum". */
const char *col_collation(const struct col *c);
/* The type as PostgreSQL prints it: "numeric(10,2)", "timestamp(3) without time zone", "integer[]"; enums as
 * "enum 123". Truncated to COL_NAME_BYTES. Returns buf. */
const char *col_name(const struct col *c, char buf[static COL_NAME_BYTES]);

/* May a column of type c hold v? NULL always may. What is checked: storage class, range, form (but not that text is UTF-8,
 * nor what is inside json, jsonb and arrays, nor an enum's labels). RC_INVAL. */
enum rc col_check(const struct col *c, const struct value *v, struct err *err) MUST_CHECK;
/* SQLite's order of two stored values of the column. */
int col_compare(const struct col *c, const struct value *a, const struct value *b);

#endif
