/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_internal.h: what the parts of the function table share.
 *
 * Promise     Each fn_*.c brings one fn_table, its rows in ascending order of ids. Implementations see arguments of the storage
 *             class that their row says (pgx_want) and nothing more: an int4 may be any integer, text any bytes, an array any
 *             blob.
 * Relies on   fn.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_FN_INTERNAL_H
#define MERIDIAN_SQL_FN_INTERNAL_H

#include "shard/store/decimal.h"
#include "sql/functions/fn.h"

struct fn_table {
    const struct fn *fn;
    size_t n;
};

extern const struct fn_table fn_table_agg, fn_table_agg_float, fn_table_agg_num, fn_table_agg_sorted, fn_table_array,
    fn_table_bytes, fn_table_catalog, fn_table_char, fn_table_char_num, fn_table_char_parse, fn_table_float,
    fn_table_format, fn_table_int, fn_table_internal, fn_table_json, fn_table_json_make, fn_table_like, fn_table_match,
    fn_table_numeric, fn_table_session, fn_table_set, fn_table_text, fn_table_time, fn_table_time_part;

extern const struct fn_table fn_table_meridian;

enum fn_flags {
    STRICT = 1,
    STABLE = 2,
    VOLATILE = 4,
    VARIADIC = 8,
    SESSION = 16,
};

/* FN(oid, "int4pl", "+", STRICT, COL_INT4, int4_add, COL_INT4, COL_INT4): name, operator, flags, result, C, arguments. */
#define FN(oid_, name_, op_, flags_, ret_, impl_, ...)                                                                 \
    {                                                                                                                  \
        .id = (oid_), .oid = (oid_), .name = (name_), .op = (op_),                                                     \
        .args = (uint8_t)(sizeof((uint16_t[]){0, ##__VA_ARGS__}) / sizeof(uint16_t) - 1),                              \
        .variadic = ((flags_)&VARIADIC) != 0, .strict = ((flags_)&STRICT) != 0, .session = ((flags_)&SESSION) != 0,    \
        .volatility = (flags_)&VOLATILE ? FN_VOLATILE                                                                  \
                      : (flags_)&STABLE ? FN_STABLE                                                                    \
                                        : FN_IMMUTABLE,                                                                \
        .arg = {__VA_ARGS__}, .ret = (ret_), .impl = (impl_),                                                          \
    }

/* The signature of an implementation. */
#define FN_IMPL(name_)                                                                                                 \
    static enum rc name_(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t args,   \
                         struct value *ret, struct err *err)
#define FN_UNUSED                                                                                                      \
    do {                                                                                                               \
        (void)env, (void)call, (void)arg, (void)args, (void)err;                                                       \
    } while (0)

/* ---- results --------------------------------------------------------------------------------------------------- */

enum rc fn_no_memory(struct err *err);
enum rc fn_out_of_range(const char *type, struct err *err); /* 22003: integer out of range */
enum rc fn_div_by_zero(struct err *err);
/* What was written as text or bytes, moved into the arena; b is done. */
enum rc fn_give(const struct fn_env *env, struct buf *b, enum value_kind k, struct value *ret, struct err *err);
/* A copy of bytes as text. */
enum rc fn_give_text(const struct fn_env *env, const void *p, size_t n, struct value *ret, struct err *err);
/* A buffer that holds what a function may give at most. */
void fn_buf(struct buf *b);

static inline enum rc fn_bool(struct value *ret, bool b) {
    *ret = value_int(b);
    return RC_OK;
}
static inline enum rc fn_int(struct value *ret, int64_t i) {
    *ret = value_int(i);
    return RC_OK;
}

/* Is v of the storage class that a function may trust a value of type c to have? As in programs; not for NULL. */
bool fn_fits(const struct col *c, const struct value *v);

/* ---- numeric ------------------------------------------------------------------------------------------------------- */

/* In programs: canonical text. d must be initialised. */
enum rc fn_dec(const struct value *v, struct dec *d, struct err *err) MUST_CHECK;
enum rc fn_give_dec(const struct fn_env *env, const struct dec *d, struct value *ret, struct err *err);

/* A numeric's text as an integer times 10^-scale; false: it has more than 18 digits or is no finite number. */
bool fn_brief(const struct value *text, int64_t *ret, int *ret_scale);

/* ---- arrays -------------------------------------------------------------------------------------------------------- */

enum { FN_DIMENSIONS_MAX = 6, FN_ELEMENTS_MAX = 1 << 24 };

struct fn_shape {
    int n; /* dimensions; 0 = an empty array */
    int32_t length[FN_DIMENSIONS_MAX], lower[FN_DIMENSIONS_MAX];
};

/* Walks an array's elements in order. */
struct fn_elements {
    struct rd r;
    struct fn_shape shape;
    struct col elem;
    size_t left;
};

/* array: of type c (COL_ARRAY). The elements' type is c's; the OID in the bytes is not looked at, so that varchar[] can be
 * read as text[]. */
enum rc fn_elements_begin(struct fn_elements *e, const struct col *c, const struct value *array,
                          struct err *err) MUST_CHECK;
/* The next one as in a program (numeric: text); NULL elements are NULL. */
enum rc fn_elements_next(struct fn_elements *e, struct arena *a, struct value *ret, struct err *err) MUST_CHECK;
/* The bytes of the next one, not looked into; *ret_bytes UINT32_MAX: NULL. */
enum rc fn_elements_skip(struct fn_elements *e, const uint8_t **ret, uint32_t *ret_bytes, struct err *err) MUST_CHECK;

/* Writes one: head, then elements; the caller counts. */
void fn_array_head(struct buf *b, const struct fn_shape *s, const struct col *elem);
void fn_array_null(struct buf *b);
void fn_array_raw(struct buf *b, const uint8_t *p, uint32_t bytes); /* UINT32_MAX: NULL */
enum rc fn_array_put(struct buf *b, const struct col *elem, const struct value *v, struct err *err) MUST_CHECK;
static inline struct col fn_elem(const struct col *c) {
    return (struct col){.type = c->elem, .typmod = COL_TYPMOD_NONE, .type_id = c->type_id};
}

/* ---- text ---------------------------------------------------------------------------------------------------------- */

/* Bytes of the character at p, at least 1, never beyond end, whatever the bytes are. */
static inline size_t fn_char_bytes(const uint8_t *p, const uint8_t *end) {
    size_t n = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc0 ? 2 : 1;
    return n > (size_t)(end - p) ? (size_t)(end - p) : n;
}
size_t fn_chars(const void *p, size_t bytes);
/* The code point at p (n bytes as fn_char_bytes says). */
uint32_t fn_code_point(const uint8_t *p, size_t n);
size_t fn_put_code_point(struct buf *b, uint32_t c);
/* Simple case mapping of one code point, as C.UTF-8 has it. */
uint32_t fn_upper(uint32_t c);
uint32_t fn_lower(uint32_t c);

/* A value as its output function prints it. In programs' form. */
enum rc fn_print(const struct fn_env *env, const struct col *c, const struct value *v, struct buf *out,
                 struct err *err) MUST_CHECK;
/* And read; limits of c included. */
enum rc fn_parse(const struct fn_env *env, const struct col *c, const void *p, size_t bytes, struct value *ret,
                 struct err *err) MUST_CHECK;

#endif
