/* SPDX-License-Identifier: Apache-2.0 */
/* types.c: which type does what, and their numbers. */
#include "sql/types/types.h"

#include <math.h>
#include <string.h>

#include "shard/store/decimal.h"
#include "sql/types/jsondoc.h"
#include "sql/types/real.h"
#include "sql/types/types_internal.h"

static const struct type_numbers {
    uint16_t oid, array_oid;
    int8_t length; /* -1 = varies */
} numbers[UINT8_MAX + 1] = {
    /* by col.type */
    [COL_BOOL] = {16, 1000, 1},
    [COL_INT2] = {21, 1005, 2},
    [COL_INT4] = {23, 1007, 4},
    [COL_INT8] = {20, 1016, 8},
    [COL_FLOAT4] = {700, 1021, 4},
    [COL_FLOAT8] = {701, 1022, 8},
    [COL_NUMERIC] = {1700, 1231, -1},
    [COL_TEXT] = {25, 1009, -1},
    [COL_VARCHAR] = {1043, 1015, -1},
    [COL_CHAR] = {1042, 1014, -1},
    [COL_BYTEA] = {17, 1001, -1},
    [COL_DATE] = {1082, 1182, 4},
    [COL_TIME] = {1083, 1183, 8},
    [COL_TIMESTAMP] = {1114, 1115, 8},
    [COL_TIMESTAMPTZ] = {1184, 1185, 8},
    [COL_INTERVAL] = {1186, 1187, 16},
    [COL_UUID] = {2950, 2951, 16},
    [COL_JSON] = {114, 199, -1},
    [COL_JSONB] = {3802, 3807, -1},
    [COL_ENUM] = {0, 0, 4},
    [COL_ARRAY] = {0, 0, -1},
    [COL_OID] = {26, 1028, 4},
};

enum { OID_INT2VECTOR = 22, OID_OIDVECTOR = 30 };

uint32_t type_oid(const struct col *c) {
    CHECK(c->type > COL_NONE && c->type < COL_TYPE_END);
    if (col_is_vector(c))
        return c->elem == COL_INT2 ? OID_INT2VECTOR : OID_OIDVECTOR;
    if (c->type == COL_ARRAY)
        return numbers[c->elem].array_oid;
    return c->type == COL_ENUM ? c->type_id : numbers[c->type].oid;
}

enum rc type_from_oid(uint32_t oid, int32_t typmod, struct col *ret, struct err *err) {
    if (oid == OID_INT2VECTOR || oid == OID_OIDVECTOR) {
        *ret = (struct col){
            .type = COL_ARRAY, .elem = oid == OID_INT2VECTOR ? COL_INT2 : COL_OID, .typmod = COL_TYPMOD_VECTOR};
        return RC_OK;
    }
    for (unsigned t = COL_NONE + 1; t < COL_TYPE_END; t++) {
        if (!oid || (numbers[t].oid != oid && numbers[t].array_oid != oid))
            continue;
        struct col c = {.type = (uint8_t)t, .typmod = typmod};
        if (numbers[t].array_oid == oid)
            c = col_array_of(c);
        enum rc rc = col_valid(&c, err);
        if (!rc)
            *ret = c;
        return rc;
    }
    return err_set(err, RC_UNSUPPORTED, "the type with OID %u is not supported", oid);
}

int type_length(const struct col *c) {
    CHECK(c->type > COL_NONE && c->type < COL_TYPE_END);
    return numbers[c->type].length;
}

/* ---- errors of many types ---------------------------------------------------------------------------------------- */

enum rc type_bad_text(const char *name, const char *text, size_t bytes, struct err *err) {
    return err_sql(err, "22P02", "invalid input syntax for type %s: \"%.*s\"", name, type_shown(bytes), text);
}

enum rc type_bad_binary(struct err *err) {
    return err_sql(err, "22P03", "incorrect binary data format");
}

enum rc type_no_memory(struct err *err) {
    return err_set(err, RC_NOMEM, "a value: out of memory");
}

static enum rc unsupported(const struct col *c, const char *what, struct err *err) {
    char name[COL_NAME_BYTES];
    return err_set(err, RC_UNSUPPORTED, "%s of type %s is not supported yet", what, col_name(c, name));
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static enum rc numeric_value(struct dec *d, const struct col *c, struct arena *a, struct value *ret, enum rc rc,
                             struct err *err) {
    if (!rc)
        rc = dec_to_value(d, c, a, ret, err);
    dec_done(d);
    return rc;
}

static enum rc interval_value(const struct interval *i, struct arena *a, struct value *ret, struct err *err) {
    uint8_t *p = arena_alloc(a, INTERVAL_BYTES);
    if (!p)
        return type_no_memory(err);
    interval_store(i, p);
    *ret = value_blob(p, INTERVAL_BYTES);
    return RC_OK;
}

static enum rc parse_int(const struct type_session *s, const struct col *c, const char *t, size_t n, int64_t *ret,
                         struct err *err) {
    switch (c->type) {
    case COL_BOOL:
        return bool_parse(t, n, ret, err);
    case COL_INT2:
        return int_parse(t, n, INT16_MIN, INT16_MAX, "smallint", ret, err);
    case COL_INT4:
        return int_parse(t, n, INT32_MIN, INT32_MAX, "integer", ret, err);
    case COL_INT8:
        return int_parse(t, n, INT64_MIN, INT64_MAX, "bigint", ret, err);
    case COL_OID:
        return oid_parse(t, n, ret, err);
    case COL_DATE:
        return date_parse(s, t, n, ret, err);
    case COL_TIME:
        return time_parse(s, t, n, col_fraction(c), ret, err);
    default:
        return timestamp_parse(s, t, n, c->type == COL_TIMESTAMPTZ, col_fraction(c), ret, err);
    }
}

static enum rc jsonb_value(const char *text, size_t bytes, struct arena *a, struct value *ret, struct err *err) {
    struct js *j;
    struct buf b;
    enum rc rc = js_parse(a, text, bytes, true, &j, err);
    if (rc)
        return rc;
    buf_init(&b, 0);
    js_print(j, &b);
    const void *copy = buf_rc(&b) ? NULL : arena_copy(a, b.data, b.len);
    if (copy)
        *ret = value_blob(copy, b.len);
    buf_done(&b);
    return copy ? RC_OK : type_no_memory(err);
}

enum rc type_parse(const struct type_session *s, const struct col *c, const char *text, size_t bytes, struct arena *a,
                   struct value *ret, struct err *err) {
    enum rc rc;
    int64_t i = 0;
    double r = 0;
    struct dec d;
    struct interval iv;
    switch ((enum col_type)c->type) {
    case COL_BOOL:
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
    case COL_OID:
    case COL_DATE:
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        rc = parse_int(s, c, text, bytes, &i, err);
        if (!rc)
            *ret = value_int(i);
        return rc;
    case COL_FLOAT4:
    case COL_FLOAT8:
        rc = real_parse(text, bytes, c->type == COL_FLOAT4 ? REAL_FLOAT4 : REAL_FLOAT8, &r, err);
        if (!rc)
            *ret = value_float(r);
        return rc;
    case COL_NUMERIC:
        dec_init(&d);
        return numeric_value(&d, c, a, ret, dec_parse(&d, text, bytes, c->typmod, err), err);
    case COL_TEXT:
    case COL_VARCHAR:
    case COL_CHAR:
        return text_limit(c, text, bytes, ret, err);
    case COL_JSON:
        rc = json_check(text, bytes, err);
        if (!rc)
            *ret = value_text(text, bytes);
        return rc;
    case COL_BYTEA:
        return bytea_parse(text, bytes, a, ret, err);
    case COL_UUID: {
        uint8_t *p = arena_alloc(a, 16);
        if (!p)
            return type_no_memory(err);
        rc = uuid_parse(text, bytes, p, err);
        if (!rc)
            *ret = value_blob(p, 16);
        return rc;
    }
    case COL_INTERVAL:
        rc = interval_parse(text, bytes, c->typmod, &iv, err);
        return rc ? rc : interval_value(&iv, a, ret, err);
    case COL_ARRAY: {
        struct col elem = array_elem(c);
        return (col_is_vector(c) ? vector_parse : array_parse)(s, &elem, text, bytes, a, ret, err);
    }
    case COL_JSONB:
        return jsonb_value(text, bytes, a, ret, err);
    case COL_NONE:
    case COL_ENUM:
    case COL_TYPE_END:
        break;
    }
    return unsupported(c, "text", err);
}

enum rc type_print(const struct type_session *s, const struct col *c, const struct value *v, struct buf *out,
                   struct err *err) {
    CHECK(v->kind != VALUE_NULL);
    enum rc rc;
    struct dec d;
    struct interval iv;
    switch ((enum col_type)c->type) {
    case COL_BOOL:
        buf_putc(out, v->i ? 't' : 'f');
        return RC_OK;
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
    case COL_OID:
        buf_printf(out, "%lld", (long long)v->i);
        return RC_OK;
    case COL_DATE:
        date_print(v->i, out);
        return RC_OK;
    case COL_TIME:
        time_print(v->i, out);
        return RC_OK;
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        timestamp_print(v->i, c->type == COL_TIMESTAMPTZ ? s->zone : NULL, out);
        return RC_OK;
    case COL_FLOAT4:
    case COL_FLOAT8:
        real_print(value_float_get(v), c->type == COL_FLOAT4 ? REAL_FLOAT4 : REAL_FLOAT8, out);
        return RC_OK;
    case COL_NUMERIC:
        if (v->kind == VALUE_TEXT) {
            buf_put(out, v->p, v->bytes);
            return RC_OK;
        }
        dec_init(&d);
        rc = dec_from_value(&d, c, v, err);
        if (!rc)
            dec_print(&d, out);
        dec_done(&d);
        return rc;
    case COL_TEXT:
    case COL_VARCHAR:
    case COL_CHAR:
    case COL_JSON:
        text_print(c, v, out);
        return RC_OK;
    case COL_BYTEA:
        bytea_print(v->p, v->bytes, s->bytea_escape, out);
        return RC_OK;
    case COL_UUID:
        uuid_print(v->p, out);
        return RC_OK;
    case COL_INTERVAL:
        iv = interval_load(v->p);
        interval_print_style(&iv, s ? s->interval_style : INTERVAL_POSTGRES, out);
        return RC_OK;
    case COL_ARRAY: {
        struct col elem = array_elem(c);
        return (col_is_vector(c) ? vector_print : array_print)(s, &elem, v, out, err);
    }
    case COL_JSONB:
        buf_put(out, v->p, v->bytes);
        return RC_OK;
    case COL_NONE:
    case COL_ENUM:
    case COL_TYPE_END:
        break;
    }
    return unsupported(c, "text", err);
}

/* ---- the binary form --------------------------------------------------------------------------------------------- */

static enum rc recv_int(const struct col *c, const uint8_t *p, int64_t *ret, struct err *err) {
    static const char *const names[COL_TYPE_END] = {
        [COL_DATE] = "date", [COL_TIME] = "time", [COL_TIMESTAMP] = "timestamp", [COL_TIMESTAMPTZ] = "timestamp"};
    int64_t i = 0;
    switch (type_length(c)) {
    case 1:
        i = *p != 0;
        break;
    case 2:
        i = (int16_t)get_u16be(p);
        break;
    case 4:
        i = c->type == COL_OID ? (int64_t)get_u32be(p) : (int32_t)get_u32be(p);
        break;
    default:
        i = (int64_t)get_u64be(p);
        break;
    }
    struct value v = value_int(i);
    if (col_check(c, &v, NULL))
        return err_sql(err, "22008", "%s out of range", names[c->type] ? names[c->type] : "value");
    bool timed = c->type == COL_TIME || c->type == COL_TIMESTAMP || c->type == COL_TIMESTAMPTZ;
    if (timed && i != COL_TS_INF && i != COL_TS_NEG_INF)
        i = time_round(i, col_fraction(c));
    *ret = i;
    return RC_OK;
}

static double recv_float(const struct col *c, const uint8_t *p) {
    if (c->type == COL_FLOAT4) {
        uint32_t u = get_u32be(p);
        float f;
        memcpy(&f, &u, sizeof f);
        return (double)f;
    }
    uint64_t u = get_u64be(p);
    double d;
    memcpy(&d, &u, sizeof d);
    return d;
}

static enum rc recv_bytes(const void *p, size_t bytes, struct value *ret) {
    *ret = value_blob(p, bytes);
    return RC_OK;
}

enum rc type_recv(const struct col *c, const void *p, size_t bytes, struct arena *a, struct value *ret,
                  struct err *err) {
    int length = type_length(c);
    enum rc rc;
    int64_t i = 0;
    struct dec d;
    if (bytes > VALUE_BYTES_MAX)
        return err_set(err, RC_LIMIT, "a value of %zu bytes", bytes);
    if (length == 1 && !bytes)
        return err_sql(err, "08P01", "no data left in message");
    if (length >= 0 && bytes < (size_t)length)
        return err_sql(err, "08P01", "insufficient data left in message");
    if (length >= 0 && bytes != (size_t)length)
        return type_bad_binary(err);
    switch ((enum col_type)c->type) {
    case COL_BOOL:
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
    case COL_OID:
    case COL_DATE:
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        rc = recv_int(c, p, &i, err);
        if (!rc)
            *ret = value_int(i);
        return rc;
    case COL_FLOAT4:
    case COL_FLOAT8:
        *ret = value_float(recv_float(c, p));
        return RC_OK;
    case COL_NUMERIC:
        dec_init(&d);
        return numeric_value(&d, c, a, ret, dec_recv(&d, p, bytes, c->typmod, err), err);
    case COL_TEXT:
    case COL_VARCHAR:
    case COL_CHAR:
        rc = text_check_utf8(p, bytes, err);
        return rc ? rc : text_limit(c, p, bytes, ret, err);
    case COL_JSON:
        rc = text_check_utf8(p, bytes, err);
        if (!rc)
            rc = json_check(p, bytes, err);
        if (!rc)
            *ret = value_text(p, bytes);
        return rc;
    case COL_BYTEA:
    case COL_UUID:
        return recv_bytes(p, bytes, ret);
    case COL_INTERVAL: {
        struct interval iv = interval_load(p);
        rc = interval_limit(&iv, c->typmod, err);
        return rc ? rc : interval_value(&iv, a, ret, err);
    }
    case COL_ARRAY: {
        struct col elem = array_elem(c);
        return array_recv(&elem, p, bytes, a, ret, err);
    }
    case COL_JSONB: { /* a version, which is 1, and the text */
        const char *text = p;
        if (bytes == 0 || text[0] != 1)
            return err_sql(err, "XX000", "unsupported jsonb version number %d", bytes ? text[0] : 0);
        rc = text_check_utf8(text + 1, bytes - 1, err);
        return rc ? rc : jsonb_value(text + 1, bytes - 1, a, ret, err);
    }
    case COL_NONE:
    case COL_ENUM:
    case COL_TYPE_END:
        break;
    }
    return unsupported(c, "the binary form", err);
}

static void send_int(const struct col *c, int64_t i, struct buf *out) {
    switch (type_length(c)) {
    case 1:
        buf_putc(out, (uint8_t)i);
        return;
    case 2:
        buf_put_u16be(out, (uint16_t)i);
        return;
    case 4:
        buf_put_u32be(out, (uint32_t)i);
        return;
    default:
        buf_put_u64be(out, (uint64_t)i);
        return;
    }
}

static void send_float(const struct col *c, double r, struct buf *out) {
    if (c->type == COL_FLOAT4) {
        float f = (float)r;
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        buf_put_u32be(out, u);
        return;
    }
    uint64_t u;
    memcpy(&u, &r, sizeof u);
    buf_put_u64be(out, u);
}

enum rc type_send(const struct col *c, const struct value *v, struct buf *out, struct err *err) {
    CHECK(v->kind != VALUE_NULL);
    struct dec d;
    enum rc rc;
    switch ((enum col_type)c->type) {
    case COL_BOOL:
    case COL_INT2:
    case COL_INT4:
    case COL_INT8:
    case COL_OID:
    case COL_DATE:
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        send_int(c, v->i, out);
        return RC_OK;
    case COL_FLOAT4:
    case COL_FLOAT8:
        send_float(c, value_float_get(v), out);
        return RC_OK;
    case COL_NUMERIC:
        dec_init(&d);
        rc = dec_from_value(&d, c, v, err);
        if (!rc)
            dec_send(&d, out);
        dec_done(&d);
        return rc;
    case COL_TEXT:
    case COL_VARCHAR:
    case COL_CHAR:
    case COL_JSON:
        text_print(c, v, out);
        return RC_OK;
    case COL_BYTEA:
    case COL_UUID:
    case COL_INTERVAL:
    case COL_ARRAY:
        buf_put(out, v->p, v->bytes);
        return RC_OK;
    case COL_JSONB:
        buf_putc(out, 1);
        buf_put(out, v->p, v->bytes);
        return RC_OK;
    case COL_NONE:
    case COL_ENUM:
    case COL_TYPE_END:
        break;
    }
    return unsupported(c, "the binary form", err);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

enum rc type_limit(const struct col *c, struct arena *a, struct value *v, struct err *err) {
    if (v->kind == VALUE_NULL || c->typmod < 0)
        return RC_OK;
    struct interval iv;
    struct dec d;
    enum rc rc;
    switch ((enum col_type)c->type) {
    case COL_NUMERIC: {
        struct col unlimited = col_of(COL_NUMERIC);
        CHECK(v->kind == VALUE_TEXT);
        dec_init(&d);
        return numeric_value(&d, c, a, v, dec_from_value(&d, &unlimited, v, err), err);
    }
    case COL_VARCHAR:
    case COL_CHAR:
        return text_limit(c, v->p, v->bytes, v, err);
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        if (v->i != COL_TS_INF && v->i != COL_TS_NEG_INF)
            v->i = time_round(v->i, col_fraction(c));
        return col_check(c, v, NULL) ? err_sql(err, "22008", "timestamp out of range") : RC_OK;
    case COL_INTERVAL:
        iv = interval_load(v->p);
        rc = interval_limit(&iv, c->typmod, err);
        return rc ? rc : interval_value(&iv, a, v, err);
    case COL_ARRAY: { /* reading the binary form again limits each element */
        struct col elem = array_elem(c);
        return array_recv(&elem, v->p, v->bytes, a, v, err);
    }
    default:
        return RC_OK;
    }
}
