/* SPDX-License-Identifier: Apache-2.0 */
/* fn_bytes.c: bytea, uuid, encodings and digests. */
#include <string.h>

#include <openssl/evp.h>

#include "sql/functions/fn_text.h"

static const uint8_t *start(const struct value *v) {
    return v->p;
}

/* ---- parts ----------------------------------------------------------------------------------------------------------- */

FN_IMPL(bytea_length) {
    FN_UNUSED;
    return fn_int(ret, arg[0].bytes);
}

FN_IMPL(bytea_bits) {
    FN_UNUSED;
    return fn_int(ret, (int64_t)arg[0].bytes * 8);
}

FN_IMPL(bytea_bit_count) {
    FN_UNUSED;
    int64_t n = 0;
    for (uint32_t i = 0; i < arg[0].bytes; i++)
        n += __builtin_popcount(start(&arg[0])[i]);
    return fn_int(ret, n);
}

FN_IMPL(bytea_cat) {
    struct buf b;
    FN_UNUSED;
    fn_buf(&b);
    buf_put(&b, arg[0].p, arg[0].bytes);
    buf_put(&b, arg[1].p, arg[1].bytes);
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

FN_IMPL(bytea_substr) {
    FN_UNUSED;
    int64_t first = arg[1].i, last, n = arg[0].bytes;
    if (args > 2 && arg[2].i < 0)
        return err_sql(err, "22011", "negative substring length not allowed");
    if (args < 3 || __builtin_add_overflow(first, arg[2].i, &last) || last > n + 1)
        last = n + 1;
    if (first < 1)
        first = 1;
    *ret = last > first ? value_blob(start(&arg[0]) + first - 1, (size_t)(last - first)) : value_blob("", 0);
    return RC_OK;
}

FN_IMPL(bytea_position) {
    FN_UNUSED;
    const uint8_t *p = start(&arg[0]), *at = p;
    if (arg[1].bytes)
        at = memmem(p, arg[0].bytes, arg[1].p, arg[1].bytes);
    return fn_int(ret, at ? at - p + 1 : 0);
}

static enum rc trim(const struct value *arg, bool left, bool right, struct value *ret) {
    const uint8_t *p = start(&arg[0]), *end = p + arg[0].bytes;
    while (left && p < end && arg[1].bytes && memchr(arg[1].p, *p, arg[1].bytes))
        p++;
    while (right && p < end && arg[1].bytes && memchr(arg[1].p, end[-1], arg[1].bytes))
        end--;
    *ret = value_blob(p, (size_t)(end - p));
    return RC_OK;
}

FN_IMPL(bytea_btrim) {
    FN_UNUSED;
    return trim(arg, true, true, ret);
}

FN_IMPL(bytea_ltrim) {
    FN_UNUSED;
    return trim(arg, true, false, ret);
}

FN_IMPL(bytea_rtrim) {
    FN_UNUSED;
    return trim(arg, false, true, ret);
}

FN_IMPL(bytea_overlay) {
    struct buf b;
    FN_UNUSED;
    int64_t first = arg[2].i, count = args > 3 ? arg[3].i : arg[1].bytes, n = arg[0].bytes;
    if (first <= 0)
        return err_sql(err, "22011", "negative substring length not allowed");
    int64_t after = first - 1 + count, before = first - 1 < n ? first - 1 : n;
    if (after >= INT32_MAX)
        return fn_out_of_range("integer", err);
    if (after < 0)
        after = 0;
    fn_buf(&b);
    buf_put(&b, arg[0].p, (size_t)before);
    buf_put(&b, arg[1].p, arg[1].bytes);
    if (after < n)
        buf_put(&b, start(&arg[0]) + after, (size_t)(n - after));
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

static enum rc outside(const struct value *arg, struct err *err) {
    return err_sql(err, "2202E", "index %lld out of valid range, 0..%lld", (long long)arg[1].i,
                   (long long)arg[0].bytes - 1);
}

FN_IMPL(bytea_get_byte) {
    FN_UNUSED;
    if (arg[1].i < 0 || arg[1].i >= arg[0].bytes)
        return outside(arg, err);
    return fn_int(ret, start(&arg[0])[arg[1].i]);
}

FN_IMPL(bytea_set_byte) {
    FN_UNUSED;
    if (arg[1].i < 0 || arg[1].i >= arg[0].bytes)
        return outside(arg, err);
    uint8_t *p = arena_copy(env->arena, arg[0].p, arg[0].bytes);
    if (!p)
        return fn_no_memory(err);
    p[arg[1].i] = (uint8_t)arg[2].i;
    *ret = value_blob(p, arg[0].bytes);
    return RC_OK;
}

/* ---- digests ---------------------------------------------------------------------------------------------------------- */

static void put_hex(struct buf *b, const uint8_t *p, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        buf_putc(b, (uint8_t)digits[p[i] >> 4]);
        buf_putc(b, (uint8_t)digits[p[i] & 15]);
    }
}

static enum rc digest(const struct value *v, const EVP_MD *md, uint8_t *to, unsigned *ret_bytes, struct err *err) {
    if (EVP_Digest(v->p, v->bytes, to, ret_bytes, md, NULL) != 1)
        return err_set(err, RC_INTERNAL, "the cryptographic library gave no digest");
    return RC_OK;
}

FN_IMPL(md5_text) {
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct buf b;
    FN_UNUSED;
    enum rc rc = digest(&arg[0], EVP_md5(), sum, &n, err);
    if (rc)
        return rc;
    fn_buf(&b);
    put_hex(&b, sum, n);
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

static enum rc sha(const struct fn_env *env, const struct value *v, const EVP_MD *md, struct value *ret,
                   struct err *err) {
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct buf b;
    enum rc rc = digest(v, md, sum, &n, err);
    if (rc)
        return rc;
    fn_buf(&b);
    buf_put(&b, sum, n);
    return fn_give(env, &b, VALUE_BLOB, ret, err);
}

FN_IMPL(sha224) {
    FN_UNUSED;
    return sha(env, arg, EVP_sha224(), ret, err);
}

FN_IMPL(sha256) {
    FN_UNUSED;
    return sha(env, arg, EVP_sha256(), ret, err);
}

FN_IMPL(sha384) {
    FN_UNUSED;
    return sha(env, arg, EVP_sha384(), ret, err);
}

FN_IMPL(sha512) {
    FN_UNUSED;
    return sha(env, arg, EVP_sha512(), ret, err);
}

/* ---- encode, decode ---------------------------------------------------------------------------------------------------- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool named(const struct value *v, const char *name) {
    return v->bytes == strlen(name) && strncasecmp(v->p, name, v->bytes) == 0;
}

static enum rc unknown(const struct value *v, struct err *err) {
    return err_sql(err, "22023", "unrecognized encoding: \"%.*s\"", (int)(v->bytes < 100 ? v->bytes : 100),
                   (const char *)v->p);
}

/* Lines of 76 characters. */
static void put_base64(struct buf *b, const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i += 3) {
        uint32_t u = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        if (i && i % 57 == 0)
            buf_putc(b, '\n');
        for (size_t k = 0; k < 4; k++)
            buf_putc(b, i + k > n ? '=' : (uint8_t)base64[u >> (18 - 6 * k) & 63]);
    }
}

static void put_escape(struct buf *b, const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 0 || p[i] >= 0x80)
            buf_printf(b, "\\%03o", p[i]);
        else if (p[i] == '\\')
            buf_puts(b, "\\\\");
        else
            buf_putc(b, p[i]);
    }
}

FN_IMPL(bytea_encode) {
    struct buf b;
    FN_UNUSED;
    fn_buf(&b);
    if (named(&arg[1], "hex")) {
        put_hex(&b, arg[0].p, arg[0].bytes);
    } else if (named(&arg[1], "base64")) {
        put_base64(&b, arg[0].p, arg[0].bytes);
    } else if (named(&arg[1], "escape")) {
        put_escape(&b, arg[0].p, arg[0].bytes);
    } else {
        buf_done(&b);
        return unknown(&arg[1], err);
    }
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

static int hex_digit(uint8_t c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static bool blank(uint8_t c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static enum rc from_hex(struct buf *b, const uint8_t *p, size_t n, struct err *err) {
    for (size_t i = 0; i < n; i++) {
        if (blank(p[i]))
            continue;
        int high = hex_digit(p[i]);
        if (high < 0)
            return err_sql(err, "22023", "invalid hexadecimal digit: \"%.*s\"", (int)fn_char_bytes(p + i, p + n),
                           (const char *)p + i);
        if (++i == n)
            return err_sql(err, "22023", "invalid hexadecimal data: odd number of digits");
        int low = hex_digit(p[i]);
        if (low < 0)
            return err_sql(err, "22023", "invalid hexadecimal digit: \"%.*s\"", (int)fn_char_bytes(p + i, p + n),
                           (const char *)p + i);
        buf_putc(b, (uint8_t)(high << 4 | low));
    }
    return RC_OK;
}

static enum rc bad_end(struct err *err) {
    err_sql(err, "22023", "invalid base64 end sequence");
    err_hint(err, "Input data is missing padding, is truncated, or is otherwise corrupted.");
    return RC_SQL;
}

static enum rc from_base64(struct buf *b, const uint8_t *p, size_t n, struct err *err) {
    uint32_t u = 0;
    int have = 0, end = 0; /* characters of a group of four; where it was padded */
    for (size_t i = 0; i < n; i++) {
        uint32_t v = 0;
        const char *at = p[i] ? strchr(base64, p[i]) : NULL;
        if (blank(p[i]))
            continue;
        if (p[i] == '=') {
            if (!end) {
                if (have != 2 && have != 3)
                    return err_sql(err, "22023", "unexpected \"=\" while decoding base64 sequence");
                end = have - 1;
            }
        } else if (at) {
            v = (uint32_t)(at - base64);
        } else {
            return err_sql(err, "22023", "invalid symbol \"%.*s\" found while decoding base64 sequence",
                           (int)fn_char_bytes(p + i, p + n), (const char *)p + i);
        }
        u = u << 6 | v;
        if (++have < 4)
            continue;
        buf_putc(b, (uint8_t)(u >> 16));
        if (!end || end > 1)
            buf_putc(b, (uint8_t)(u >> 8));
        if (!end || end > 2)
            buf_putc(b, (uint8_t)u);
        u = 0;
        have = 0;
    }
    return have ? bad_end(err) : RC_OK;
}

static enum rc from_escape(struct buf *b, const uint8_t *p, size_t n, struct err *err) {
    for (size_t i = 0; i < n; i++) {
        bool octal = i + 3 < n && p[i + 1] >= '0' && p[i + 1] <= '3' && p[i + 2] >= '0' && p[i + 2] <= '7' &&
                     p[i + 3] >= '0' && p[i + 3] <= '7';
        if (p[i] != '\\') {
            buf_putc(b, p[i]);
        } else if (octal) {
            buf_putc(b, (uint8_t)((p[i + 1] - '0') << 6 | (p[i + 2] - '0') << 3 | (p[i + 3] - '0')));
            i += 3;
        } else if (i + 1 < n && p[i + 1] == '\\') {
            buf_putc(b, '\\');
            i++;
        } else {
            return err_sql(err, "22P02", "invalid input syntax for type bytea");
        }
    }
    return RC_OK;
}

FN_IMPL(bytea_decode) {
    struct buf b;
    FN_UNUSED;
    enum rc rc;
    fn_buf(&b);
    if (named(&arg[1], "hex"))
        rc = from_hex(&b, arg[0].p, arg[0].bytes, err);
    else if (named(&arg[1], "base64"))
        rc = from_base64(&b, arg[0].p, arg[0].bytes, err);
    else if (named(&arg[1], "escape"))
        rc = from_escape(&b, arg[0].p, arg[0].bytes, err);
    else
        rc = unknown(&arg[1], err);
    if (!rc)
        return fn_give(env, &b, VALUE_BLOB, ret, err);
    buf_done(&b);
    return rc;
}

/* ---- uuid -------------------------------------------------------------------------------------------------------------- */

FN_IMPL(uuid_random) {
    FN_UNUSED;
    if (!env->random)
        return err_sql(err, "0A000", "gen_random_uuid() cannot be used here");
    uint8_t *p = arena_alloc(env->arena, 16);
    if (!p)
        return fn_no_memory(err);
    set_u64be(p, env->random(env->ctx));
    set_u64be(p + 8, env->random(env->ctx));
    p[6] = (uint8_t)((p[6] & 0x0f) | 0x40); /* version 4 */
    p[8] = (uint8_t)((p[8] & 0x3f) | 0x80);
    *ret = value_blob(p, 16);
    return RC_OK;
}

static const struct fn fns[] = {
    FN(720, "octet_length", NULL, STRICT, COL_INT4, bytea_length, COL_BYTEA),
    FN(721, "get_byte", NULL, STRICT, COL_INT4, bytea_get_byte, COL_BYTEA, COL_INT4),
    FN(722, "set_byte", NULL, STRICT, COL_BYTEA, bytea_set_byte, COL_BYTEA, COL_INT4, COL_INT4),
    FN(749, "overlay", NULL, STRICT, COL_BYTEA, bytea_overlay, COL_BYTEA, COL_BYTEA, COL_INT4, COL_INT4),
    FN(752, "overlay", NULL, STRICT, COL_BYTEA, bytea_overlay, COL_BYTEA, COL_BYTEA, COL_INT4),
    FN(1810, "bit_length", NULL, STRICT, COL_INT4, bytea_bits, COL_BYTEA),
    FN(1946, "encode", NULL, STRICT, COL_TEXT, bytea_encode, COL_BYTEA, COL_TEXT),
    FN(1947, "decode", NULL, STRICT, COL_BYTEA, bytea_decode, COL_TEXT, COL_TEXT),
    FN(2010, "length", NULL, STRICT, COL_INT4, bytea_length, COL_BYTEA),
    FN(2011, "byteacat", "||", STRICT, COL_BYTEA, bytea_cat, COL_BYTEA, COL_BYTEA),
    FN(2012, "substring", NULL, STRICT, COL_BYTEA, bytea_substr, COL_BYTEA, COL_INT4, COL_INT4),
    FN(2013, "substring", NULL, STRICT, COL_BYTEA, bytea_substr, COL_BYTEA, COL_INT4),
    FN(2014, "position", NULL, STRICT, COL_INT4, bytea_position, COL_BYTEA, COL_BYTEA),
    FN(2015, "btrim", NULL, STRICT, COL_BYTEA, bytea_btrim, COL_BYTEA, COL_BYTEA),
    FN(2085, "substr", NULL, STRICT, COL_BYTEA, bytea_substr, COL_BYTEA, COL_INT4, COL_INT4),
    FN(2086, "substr", NULL, STRICT, COL_BYTEA, bytea_substr, COL_BYTEA, COL_INT4),
    FN(2311, "md5", NULL, STRICT, COL_TEXT, md5_text, COL_TEXT),
    FN(2321, "md5", NULL, STRICT, COL_TEXT, md5_text, COL_BYTEA),
    FN(3419, "sha224", NULL, STRICT, COL_BYTEA, sha224, COL_BYTEA),
    FN(3420, "sha256", NULL, STRICT, COL_BYTEA, sha256, COL_BYTEA),
    FN(3421, "sha384", NULL, STRICT, COL_BYTEA, sha384, COL_BYTEA),
    FN(3422, "sha512", NULL, STRICT, COL_BYTEA, sha512, COL_BYTEA),
    FN(3432, "gen_random_uuid", NULL, STRICT | VOLATILE, COL_UUID, uuid_random),
    FN(6163, "bit_count", NULL, STRICT, COL_INT8, bytea_bit_count, COL_BYTEA),
    FN(6195, "ltrim", NULL, STRICT, COL_BYTEA, bytea_ltrim, COL_BYTEA, COL_BYTEA),
    FN(6196, "rtrim", NULL, STRICT, COL_BYTEA, bytea_rtrim, COL_BYTEA, COL_BYTEA),
};

const struct fn_table fn_table_bytes = {fns, ARRAY_LEN(fns)};
