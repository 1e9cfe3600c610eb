/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_text.c: text by characters (UTF-8), comparison by bytes.
 *
 * Text is UTF-8 that was checked where it came in; should it be something else after all, results are some bytes of it, and
 * nothing outside of it is read.
 */
#include "sql/functions/fn_text.h"

#include <string.h>

/* ---- UTF-8 ---------------------------------------------------------------------------------------------------------- */

static const uint8_t *start(const struct value *v) {
    return v->p;
}

static const uint8_t *end_of(const struct value *v) {
    return (const uint8_t *)v->p + v->bytes;
}

size_t fn_chars(const void *p, size_t bytes) {
    const uint8_t *u = p;
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += (u[i] & 0xc0) != 0x80;
    return n;
}

const uint8_t *fn_skip_chars(const uint8_t *p, const uint8_t *end, size_t chars) {
    while (chars-- && p < end)
        p += fn_char_bytes(p, end);
    return p;
}

uint32_t fn_code_point(const uint8_t *p, size_t n) {
    switch (n) {
    case 2:
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    case 3:
        return (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    case 4:
        return (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    default:
        return p[0];
    }
}

size_t fn_put_code_point(struct buf *b, uint32_t c) {
    uint8_t u[4];
    size_t n;
    if (c < 0x80) {
        u[0] = (uint8_t)c;
        n = 1;
    } else if (c < 0x800) {
        u[0] = (uint8_t)(0xc0 | c >> 6);
        n = 2;
    } else if (c < 0x10000) {
        u[0] = (uint8_t)(0xe0 | c >> 12);
        n = 3;
    } else {
        u[0] = (uint8_t)(0xf0 | c >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        u[i] = (uint8_t)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
    buf_put(b, u, n);
    return n;
}

/* ---- comparison ----------------------------------------------------------------------------------------------------- */

static int compare(const struct value *arg) {
    uint32_t n = arg[0].bytes < arg[1].bytes ? arg[0].bytes : arg[1].bytes;
    int c = n ? memcmp(arg[0].p, arg[1].p, n) : 0;
    return c ? c : arg[0].bytes < arg[1].bytes ? -1 : arg[0].bytes > arg[1].bytes;
}

static bool same(const struct value *arg) {
    return arg[0].bytes == arg[1].bytes && (!arg[0].bytes || memcmp(arg[0].p, arg[1].p, arg[0].bytes) == 0);
}

FN_COMPARE(bytes_eq) {
    FN_UNUSED;
    return fn_bool(ret, same(arg));
}

FN_COMPARE(bytes_ne) {
    FN_UNUSED;
    return fn_bool(ret, !same(arg));
}

#define COMPARE(name_, op_)                                                                                            \
    FN_COMPARE(bytes_##name_) {                                                                                        \
        FN_UNUSED;                                                                                                     \
        return fn_bool(ret, compare(arg) op_ 0);                                                                       \
    }
COMPARE(lt, <)
COMPARE(le, <=)
COMPARE(gt, >)
COMPARE(ge, >=)

FN_COMPARE(bytes_cmp) {
    FN_UNUSED;
    int c = compare(arg);
    return fn_int(ret, c < 0 ? -1 : c > 0);
}

FN_COMPARE(bytes_larger) {
    FN_UNUSED;
    *ret = compare(arg) > 0 ? arg[0] : arg[1];
    return RC_OK;
}

FN_COMPARE(bytes_smaller) {
    FN_UNUSED;
    *ret = compare(arg) < 0 ? arg[0] : arg[1];
    return RC_OK;
}

/* ---- length and parts ------------------------------------------------------------------------------------------------ */

FN_COMPARE(text_length) {
    FN_UNUSED;
    return fn_int(ret, (int64_t)fn_chars(arg[0].p, arg[0].bytes));
}

FN_IMPL(text_octets) {
    FN_UNUSED;
    return fn_int(ret, arg[0].bytes);
}

FN_IMPL(text_bits) {
    FN_UNUSED;
    return fn_int(ret, (int64_t)arg[0].bytes * 8);
}

/* char(n): as if the blanks were still there. */
FN_IMPL(char_octets) {
    FN_UNUSED;
    int n = col_length_max(&call->arg[0]);
    size_t chars = fn_chars(arg[0].p, arg[0].bytes);
    return fn_int(ret, arg[0].bytes + (n > 0 && (size_t)n > chars ? (int64_t)((size_t)n - chars) : 0));
}

/* Bytes from .. to of a text, borrowed. */
static enum rc slice(const uint8_t *from, const uint8_t *to, struct value *ret) {
    *ret = value_text(from, (size_t)(to - from));
    return RC_OK;
}

/* count characters from the first-th (from 1, may lie before the text). */
static enum rc sub(const struct value *v, int64_t first, int64_t count, bool all, struct value *ret, struct err *err) {
    const uint8_t *p = start(v), *end = end_of(v);
    int64_t last;
    if (!all && count < 0)
        return err_sql(err, "22011", "negative substring length not allowed");
    if (all || __builtin_add_overflow(first, count, &last))
        last = INT64_MAX;
    if (first < 1)
        first = 1;
    if (last <= first) {
        *ret = value_text("", 0);
        return RC_OK;
    }
    const uint8_t *from = fn_skip_chars(p, end, (size_t)first - 1);
    return slice(from, last == INT64_MAX ? end : fn_skip_chars(from, end, (size_t)(last - first)), ret);
}

FN_IMPL(text_substr) {
    FN_UNUSED;
    return sub(&arg[0], arg[1].i, args > 2 ? arg[2].i : 0, args < 3, ret, err);
}

FN_IMPL(text_left) {
    FN_UNUSED;
    int64_t n = arg[1].i;
    if (n < 0)
        n += (int64_t)fn_chars(arg[0].p, arg[0].bytes);
    return slice(start(&arg[0]), n <= 0 ? start(&arg[0]) : fn_skip_chars(start(&arg[0]), end_of(&arg[0]), (size_t)n),
                 ret);
}

FN_IMPL(text_right) {
    FN_UNUSED;
    int64_t n = arg[1].i, chars = (int64_t)fn_chars(arg[0].p, arg[0].bytes);
    int64_t skip = n < 0 ? (n == INT64_MIN ? chars : -n) : chars - n;
    return slice(fn_skip_chars(start(&arg[0]), end_of(&arg[0]), skip > 0 ? (size_t)skip : 0), end_of(&arg[0]), ret);
}

static const uint8_t *find(const uint8_t *p, const uint8_t *end, const struct value *what) {
    return what->bytes ? memmem(p, (size_t)(end - p), what->p, what->bytes) : p;
}

FN_IMPL(text_position) {
    FN_UNUSED;
    const uint8_t *at = find(start(&arg[0]), end_of(&arg[0]), &arg[1]);
    return fn_int(ret, at ? (int64_t)fn_chars(arg[0].p, (size_t)(at - start(&arg[0]))) + 1 : 0);
}

FN_IMPL(text_starts_with) {
    FN_UNUSED;
    return fn_bool(ret,
                   arg[0].bytes >= arg[1].bytes && (!arg[1].bytes || memcmp(arg[0].p, arg[1].p, arg[1].bytes) == 0));
}

/* The n-th of the fields; a negative n counts from the end. */
FN_IMPL(text_split_part) {
    FN_UNUSED;
    const uint8_t *p = start(&arg[0]), *end = end_of(&arg[0]);
    int64_t n = arg[2].i, fields = 1;
    if (n == 0)
        return err_sql(err, "22023", "field position must not be zero");
    *ret = value_text("", 0);
    if (p == end)
        return RC_OK;
    if (!arg[1].bytes) {
        if (n == 1 || n == -1)
            *ret = arg[0];
        return RC_OK;
    }
    for (const uint8_t *q = p; n < 0 && (q = find(q, end, &arg[1])); q += arg[1].bytes)
        fields++;
    if (n < 0)
        n += fields + 1;
    if (n <= 0)
        return RC_OK;
    for (const uint8_t *q; (q = find(p, end, &arg[1])); p = q + arg[1].bytes)
        if (--n == 0)
            return slice(p, q, ret);
    return n == 1 ? slice(p, end, ret) : RC_OK;
}

/* ---- made anew ------------------------------------------------------------------------------------------------------- */

FN_IMPL(text_cat) {
    FN_UNUSED;
    size_t n = (size_t)arg[0].bytes + arg[1].bytes;
    if (n > FN_RESULT_BYTES_MAX)
        return err_sql(err, "54000", "a text of more than %d bytes", FN_RESULT_BYTES_MAX);
    char *p = arena_alloc(env->arena, n ? n : 1);
    if (!p)
        return fn_no_memory(err);
    if (arg[0].bytes)
        memcpy(p, arg[0].p, arg[0].bytes);
    if (arg[1].bytes)
        memcpy(p + arg[0].bytes, arg[1].p, arg[1].bytes);
    *ret = value_text(p, n);
    return RC_OK;
}

static enum rc map_case(const struct fn_env *env, const struct value *v, uint32_t (*map)(uint32_t), struct value *ret,
                        struct err *err) {
    struct buf b;
    fn_buf(&b);
    const uint8_t *end = end_of(v);
    for (const uint8_t *p = start(v); p < end;) {
        size_t n = fn_char_bytes(p, end);
        if (n == 1)
            buf_putc(&b, *p < 0x80 ? (uint8_t)map(*p) : *p);
        else
            fn_put_code_point(&b, map(fn_code_point(p, n)));
        p += n;
    }
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

FN_IMPL(text_upper) {
    FN_UNUSED;
    return map_case(env, arg, fn_upper, ret, err);
}

FN_IMPL(text_lower) {
    FN_UNUSED;
    return map_case(env, arg, fn_lower, ret, err);
}

/* Part of a word: letters and digits. Beyond ASCII all but the usual punctuation counts. */
static bool wordly(uint32_t c) {
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c < 0xc0)
        return c == 0xaa || c == 0xb5 || c == 0xba;
    return c != 0xd7 && c != 0xf7 && !(c >= 0x2000 && c <= 0x206f) && !(c >= 0x3000 && c <= 0x3004) &&
           !(c >= 0x3008 && c <= 0x3020);
}

FN_IMPL(text_initcap) {
    struct buf b;
    FN_UNUSED;
    bool inside = false;
    const uint8_t *end = end_of(&arg[0]);
    fn_buf(&b);
    for (const uint8_t *p = start(&arg[0]); p < end;) {
        size_t n = fn_char_bytes(p, end);
        uint32_t c = fn_code_point(p, n);
        fn_put_code_point(&b, inside ? fn_lower(c) : fn_upper(c));
        inside = wordly(c);
        p += n;
    }
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

static enum rc too_long(struct err *err) {
    return err_sql(err, "54000", "requested length too large");
}

static enum rc pad(const struct fn_env *env, const struct value *arg, size_t args, bool left, struct value *ret,
                   struct err *err) {
    const struct value blank = value_text(" ", 1), *fill = args > 2 ? &arg[2] : &blank;
    const uint8_t *p = start(&arg[0]), *end = end_of(&arg[0]), *f = start(fill);
    int64_t want = arg[1].i < 0 ? 0 : arg[1].i, have = (int64_t)fn_chars(p, arg[0].bytes);
    struct buf b;
    if (want > FN_RESULT_BYTES_MAX / 4)
        return too_long(err);
    if (have > want) {
        end = fn_skip_chars(p, end, (size_t)want);
        have = want;
    }
    fn_buf(&b);
    if (!left)
        buf_put(&b, p, (size_t)(end - p));
    for (int64_t i = have; i < want && fill->bytes; i++) {
        size_t n = fn_char_bytes(f, end_of(fill));
        buf_put(&b, f, n);
        f = f + n < end_of(fill) ? f + n : start(fill);
    }
    if (left)
        buf_put(&b, p, (size_t)(end - p));
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

FN_IMPL(text_lpad) {
    FN_UNUSED;
    return pad(env, arg, args, true, ret, err);
}

FN_IMPL(text_rpad) {
    FN_UNUSED;
    return pad(env, arg, args, false, ret, err);
}

/* Is the character in the set? */
static bool in_set(const uint8_t *c, size_t n, const struct value *set) {
    const uint8_t *end = end_of(set);
    for (const uint8_t *p = start(set); p < end;) {
        size_t m = fn_char_bytes(p, end);
        if (m == n && memcmp(p, c, n) == 0)
            return true;
        p += m;
    }
    return false;
}

static enum rc trim(const struct value *arg, size_t args, bool left, bool right, struct value *ret) {
    const struct value blank = value_text(" ", 1), *set = args > 1 ? &arg[1] : &blank;
    const uint8_t *p = start(&arg[0]), *end = end_of(&arg[0]);
    while (left && p < end) {
        size_t n = fn_char_bytes(p, end);
        if (!in_set(p, n, set))
            break;
        p += n;
    }
    while (right && p < end) {
        const uint8_t *last = end - 1;
        while (last > p && (*last & 0xc0) == 0x80)
            last--;
        if (!in_set(last, (size_t)(end - last), set))
            break;
        end = last;
    }
    return slice(p, end, ret);
}

FN_IMPL(text_btrim) {
    FN_UNUSED;
    return trim(arg, args, true, true, ret);
}

FN_IMPL(text_ltrim) {
    FN_UNUSED;
    return trim(arg, args, true, false, ret);
}

FN_IMPL(text_rtrim) {
    FN_UNUSED;
    return trim(arg, args, false, true, ret);
}

FN_IMPL(text_replace) {
    struct buf b;
    FN_UNUSED;
    const uint8_t *p = start(&arg[0]), *end = end_of(&arg[0]), *at;
    if (!arg[1].bytes || !(at = find(p, end, &arg[1]))) {
        *ret = arg[0];
        return RC_OK;
    }
    fn_buf(&b);
    do {
        buf_put(&b, p, (size_t)(at - p));
        buf_put(&b, arg[2].p, arg[2].bytes);
        p = at + arg[1].bytes;
    } while ((at = find(p, end, &arg[1])));
    buf_put(&b, p, (size_t)(end - p));
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

FN_IMPL(text_repeat) {
    struct buf b;
    FN_UNUSED;
    int64_t n = arg[1].i < 0 ? 0 : arg[1].i, bytes;
    if (__builtin_mul_overflow(n, (int64_t)arg[0].bytes, &bytes) || bytes > FN_RESULT_BYTES_MAX)
        return too_long(err);
    fn_buf(&b);
    for (int64_t i = 0; i < n && bytes; i++)
        buf_put(&b, arg[0].p, arg[0].bytes);
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

FN_IMPL(text_reverse) {
    FN_UNUSED;
    const uint8_t *p = start(&arg[0]), *end = end_of(&arg[0]);
    uint8_t *to = arena_alloc(env->arena, arg[0].bytes + 1u);
    size_t at = arg[0].bytes;
    if (!to)
        return fn_no_memory(err);
    while (p < end) {
        size_t n = fn_char_bytes(p, end);
        at -= n;
        memcpy(to + at, p, n);
        p += n;
    }
    *ret = value_text(to, arg[0].bytes);
    return RC_OK;
}

/* Each character of the second text becomes that of the third at the same place, or goes. */
FN_IMPL(text_translate) {
    struct buf b;
    FN_UNUSED;
    const uint8_t *p = start(&arg[0]), *end = end_of(&arg[0]);
    fn_buf(&b);
    while (p < end) {
        size_t n = fn_char_bytes(p, end), m = 0;
        const uint8_t *f = start(&arg[1]), *t = start(&arg[2]);
        bool found = false;
        while (f < end_of(&arg[1]) && !found) {
            m = fn_char_bytes(f, end_of(&arg[1]));
            found = m == n && memcmp(f, p, n) == 0;
            f += m;
            if (!found && t < end_of(&arg[2]))
                t += fn_char_bytes(t, end_of(&arg[2]));
        }
        if (!found)
            buf_put(&b, p, n);
        else if (t < end_of(&arg[2]))
            buf_put(&b, t, fn_char_bytes(t, end_of(&arg[2])));
        p += n;
    }
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

FN_IMPL(text_overlay) {
    struct buf b;
    FN_UNUSED;
    const uint8_t *p = start(&arg[0]), *end = end_of(&arg[0]);
    int64_t first = arg[2].i, count = args > 3 ? arg[3].i : (int64_t)fn_chars(arg[1].p, arg[1].bytes), after;
    if (first <= 0)
        return err_sql(err, "22011", "negative substring length not allowed");
    after = first + count;
    if (after > INT32_MAX)
        return fn_out_of_range("integer", err);
    fn_buf(&b);
    const uint8_t *cut = fn_skip_chars(p, end, (size_t)first - 1);
    buf_put(&b, p, (size_t)(cut - p));
    buf_put(&b, arg[1].p, arg[1].bytes);
    cut = fn_skip_chars(p, end, after > 1 ? (size_t)after - 1 : 0);
    buf_put(&b, cut, (size_t)(end - cut));
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

/* ---- single characters ------------------------------------------------------------------------------------------------ */

FN_IMPL(text_ascii) {
    FN_UNUSED;
    const uint8_t *p = start(&arg[0]);
    return fn_int(ret, arg[0].bytes ? fn_code_point(p, fn_char_bytes(p, end_of(&arg[0]))) : 0);
}

FN_IMPL(text_chr) {
    struct buf b;
    FN_UNUSED;
    if (arg[0].i < 0)
        return err_sql(err, "22023", "character number must be positive");
    if (arg[0].i == 0)
        return err_sql(err, "54000", "null character not permitted");
    if (arg[0].i > 0x10ffff)
        return err_sql(err, "54000", "requested character too large for encoding: %lld", (long long)arg[0].i);
    if (arg[0].i >= 0xd800 && arg[0].i <= 0xdfff)
        return err_sql(err, "54000", "requested character not valid for encoding: %lld", (long long)arg[0].i);
    fn_buf(&b);
    fn_put_code_point(&b, (uint32_t)arg[0].i);
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

enum rc fn_pad_char(const struct fn_env *env, const struct fn_call *call, struct value *v, struct err *err) {
    int n = col_length_max(&call->arg[0]);
    size_t chars = fn_chars(v->p, v->bytes), more = n > 0 && (size_t)n > chars ? (size_t)n - chars : 0;
    if (!more)
        return RC_OK;
    char *p = arena_alloc(env->arena, v->bytes + more);
    if (!p)
        return fn_no_memory(err);
    memcpy(p, v->p, v->bytes);
    memset(p + v->bytes, ' ', more);
    *v = value_text(p, v->bytes + more);
    return RC_OK;
}

/* ---- casts: text, varchar(n), char(n) --------------------------------------------------------------------------------- */

FN_IMPL(text_same) {
    FN_UNUSED;
    *ret = arg[0];
    return RC_OK;
}

/* (value, typmod, explicit): what is too long is cut if it was asked for explicitly, or if only blanks go. */
static enum rc limit(enum col_type type, const struct value *arg, struct value *ret, struct err *err) {
    struct col c = {.type = (uint8_t)type, .typmod = (int32_t)arg[1].i};
    *ret = arg[0];
    if (type == COL_CHAR) {
        const uint8_t *p = start(ret);
        while (ret->bytes && p[ret->bytes - 1] == ' ')
            ret->bytes--;
    }
    if (col_valid(&c, NULL) || col_length_max(&c) < 0)
        return RC_OK;
    int64_t max = col_length_max(&c);
    const uint8_t *p = start(ret), *end = end_of(ret), *cut = fn_skip_chars(p, end, (size_t)max);
    for (const uint8_t *q = cut; q < end && !arg[2].i; q++)
        if (*q != ' ')
            return err_sql(err, "22001", "value too long for type character%s(%lld)",
                           type == COL_CHAR ? "" : " varying", (long long)max);
    while (type == COL_CHAR && cut > p && cut[-1] == ' ')
        cut--;
    return slice(p, cut, ret);
}

FN_IMPL(varchar_limit) {
    FN_UNUSED;
    return limit(COL_VARCHAR, arg, ret, err);
}

FN_IMPL(bpchar_limit) {
    FN_UNUSED;
    return limit(COL_CHAR, arg, ret, err);
}

static const struct fn fns[] = {
    FN(67, "texteq", "=", STRICT, COL_BOOL, bytes_eq, COL_TEXT, COL_TEXT),
    FN(157, "textne", "<>", STRICT, COL_BOOL, bytes_ne, COL_TEXT, COL_TEXT),
    FN(360, "bttextcmp", NULL, STRICT, COL_INT4, bytes_cmp, COL_TEXT, COL_TEXT),
    FN(401, "text", NULL, STRICT, COL_TEXT, text_same, COL_CHAR),
    FN(458, "text_larger", NULL, STRICT, COL_TEXT, bytes_larger, COL_TEXT, COL_TEXT),
    FN(459, "text_smaller", NULL, STRICT, COL_TEXT, bytes_smaller, COL_TEXT, COL_TEXT),
    FN(668, "bpchar", NULL, STRICT, COL_CHAR, bpchar_limit, COL_CHAR, COL_INT4, COL_BOOL),
    FN(669, "varchar", NULL, STRICT, COL_VARCHAR, varchar_limit, COL_VARCHAR, COL_INT4, COL_BOOL),
    FN(740, "text_lt", "<", STRICT, COL_BOOL, bytes_lt, COL_TEXT, COL_TEXT),
    FN(741, "text_le", "<=", STRICT, COL_BOOL, bytes_le, COL_TEXT, COL_TEXT),
    FN(742, "text_gt", ">", STRICT, COL_BOOL, bytes_gt, COL_TEXT, COL_TEXT),
    FN(743, "text_ge", ">=", STRICT, COL_BOOL, bytes_ge, COL_TEXT, COL_TEXT),
    FN(849, "position", NULL, STRICT, COL_INT4, text_position, COL_TEXT, COL_TEXT),
    FN(868, "strpos", NULL, STRICT, COL_INT4, text_position, COL_TEXT, COL_TEXT),
    FN(870, "lower", NULL, STRICT, COL_TEXT, text_lower, COL_TEXT),
    FN(871, "upper", NULL, STRICT, COL_TEXT, text_upper, COL_TEXT),
    FN(872, "initcap", NULL, STRICT, COL_TEXT, text_initcap, COL_TEXT),
    FN(873, "lpad", NULL, STRICT, COL_TEXT, text_lpad, COL_TEXT, COL_INT4, COL_TEXT),
    FN(874, "rpad", NULL, STRICT, COL_TEXT, text_rpad, COL_TEXT, COL_INT4, COL_TEXT),
    FN(875, "ltrim", NULL, STRICT, COL_TEXT, text_ltrim, COL_TEXT, COL_TEXT),
    FN(876, "rtrim", NULL, STRICT, COL_TEXT, text_rtrim, COL_TEXT, COL_TEXT),
    FN(877, "substr", NULL, STRICT, COL_TEXT, text_substr, COL_TEXT, COL_INT4, COL_INT4),
    FN(878, "translate", NULL, STRICT, COL_TEXT, text_translate, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(879, "lpad", NULL, STRICT, COL_TEXT, text_lpad, COL_TEXT, COL_INT4),
    FN(880, "rpad", NULL, STRICT, COL_TEXT, text_rpad, COL_TEXT, COL_INT4),
    FN(881, "ltrim", NULL, STRICT, COL_TEXT, text_ltrim, COL_TEXT),
    FN(882, "rtrim", NULL, STRICT, COL_TEXT, text_rtrim, COL_TEXT),
    FN(883, "substr", NULL, STRICT, COL_TEXT, text_substr, COL_TEXT, COL_INT4),
    FN(884, "btrim", NULL, STRICT, COL_TEXT, text_btrim, COL_TEXT, COL_TEXT),
    FN(885, "btrim", NULL, STRICT, COL_TEXT, text_btrim, COL_TEXT),
    FN(936, "substring", NULL, STRICT, COL_TEXT, text_substr, COL_TEXT, COL_INT4, COL_INT4),
    FN(937, "substring", NULL, STRICT, COL_TEXT, text_substr, COL_TEXT, COL_INT4),
    FN(1048, "bpchareq", "=", STRICT, COL_BOOL, bytes_eq, COL_CHAR, COL_CHAR),
    FN(1049, "bpcharlt", "<", STRICT, COL_BOOL, bytes_lt, COL_CHAR, COL_CHAR),
    FN(1050, "bpcharle", "<=", STRICT, COL_BOOL, bytes_le, COL_CHAR, COL_CHAR),
    FN(1051, "bpchargt", ">", STRICT, COL_BOOL, bytes_gt, COL_CHAR, COL_CHAR),
    FN(1052, "bpcharge", ">=", STRICT, COL_BOOL, bytes_ge, COL_CHAR, COL_CHAR),
    FN(1053, "bpcharne", "<>", STRICT, COL_BOOL, bytes_ne, COL_CHAR, COL_CHAR),
    FN(1063, "bpchar_larger", NULL, STRICT, COL_CHAR, bytes_larger, COL_CHAR, COL_CHAR),
    FN(1064, "bpchar_smaller", NULL, STRICT, COL_CHAR, bytes_smaller, COL_CHAR, COL_CHAR),
    FN(1078, "bpcharcmp", NULL, STRICT, COL_INT4, bytes_cmp, COL_CHAR, COL_CHAR),
    FN(1257, "textlen", NULL, STRICT, COL_INT4, text_length, COL_TEXT),
    FN(1258, "textcat", "||", STRICT, COL_TEXT, text_cat, COL_TEXT, COL_TEXT),
    FN(1317, "length", NULL, STRICT, COL_INT4, text_length, COL_TEXT),
    FN(1318, "length", NULL, STRICT, COL_INT4, text_length, COL_CHAR),
    FN(1367, "character_length", NULL, STRICT, COL_INT4, text_length, COL_CHAR),
    FN(1369, "character_length", NULL, STRICT, COL_INT4, text_length, COL_TEXT),
    FN(1372, "char_length", NULL, STRICT, COL_INT4, text_length, COL_CHAR),
    FN(1374, "octet_length", NULL, STRICT, COL_INT4, text_octets, COL_TEXT),
    FN(1375, "octet_length", NULL, STRICT, COL_INT4, char_octets, COL_CHAR),
    FN(1381, "char_length", NULL, STRICT, COL_INT4, text_length, COL_TEXT),
    FN(1404, "overlay", NULL, STRICT, COL_TEXT, text_overlay, COL_TEXT, COL_TEXT, COL_INT4, COL_INT4),
    FN(1405, "overlay", NULL, STRICT, COL_TEXT, text_overlay, COL_TEXT, COL_TEXT, COL_INT4),
    FN(1620, "ascii", NULL, STRICT, COL_INT4, text_ascii, COL_TEXT),
    FN(1621, "chr", NULL, STRICT, COL_TEXT, text_chr, COL_INT4),
    FN(1622, "repeat", NULL, STRICT, COL_TEXT, text_repeat, COL_TEXT, COL_INT4),
    FN(1811, "bit_length", NULL, STRICT, COL_INT4, text_bits, COL_TEXT),
    FN(1948, "byteaeq", "=", STRICT, COL_BOOL, bytes_eq, COL_BYTEA, COL_BYTEA),
    FN(1949, "bytealt", "<", STRICT, COL_BOOL, bytes_lt, COL_BYTEA, COL_BYTEA),
    FN(1950, "byteale", "<=", STRICT, COL_BOOL, bytes_le, COL_BYTEA, COL_BYTEA),
    FN(1951, "byteagt", ">", STRICT, COL_BOOL, bytes_gt, COL_BYTEA, COL_BYTEA),
    FN(1952, "byteage", ">=", STRICT, COL_BOOL, bytes_ge, COL_BYTEA, COL_BYTEA),
    FN(1953, "byteane", "<>", STRICT, COL_BOOL, bytes_ne, COL_BYTEA, COL_BYTEA),
    FN(1954, "byteacmp", NULL, STRICT, COL_INT4, bytes_cmp, COL_BYTEA, COL_BYTEA),
    FN(2087, "replace", NULL, STRICT, COL_TEXT, text_replace, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(2088, "split_part", NULL, STRICT, COL_TEXT, text_split_part, COL_TEXT, COL_TEXT, COL_INT4),
    FN(2160, "text_pattern_lt", "~<~", STRICT, COL_BOOL, bytes_lt, COL_TEXT, COL_TEXT),
    FN(2161, "text_pattern_le", "~<=~", STRICT, COL_BOOL, bytes_le, COL_TEXT, COL_TEXT),
    FN(2163, "text_pattern_ge", "~>=~", STRICT, COL_BOOL, bytes_ge, COL_TEXT, COL_TEXT),
    FN(2164, "text_pattern_gt", "~>~", STRICT, COL_BOOL, bytes_gt, COL_TEXT, COL_TEXT),
    FN(2174, "bpchar_pattern_lt", "~<~", STRICT, COL_BOOL, bytes_lt, COL_CHAR, COL_CHAR),
    FN(2175, "bpchar_pattern_le", "~<=~", STRICT, COL_BOOL, bytes_le, COL_CHAR, COL_CHAR),
    FN(2177, "bpchar_pattern_ge", "~>=~", STRICT, COL_BOOL, bytes_ge, COL_CHAR, COL_CHAR),
    FN(2178, "bpchar_pattern_gt", "~>~", STRICT, COL_BOOL, bytes_gt, COL_CHAR, COL_CHAR),
    FN(2954, "uuid_lt", "<", STRICT, COL_BOOL, bytes_lt, COL_UUID, COL_UUID),
    FN(2955, "uuid_le", "<=", STRICT, COL_BOOL, bytes_le, COL_UUID, COL_UUID),
    FN(2956, "uuid_eq", "=", STRICT, COL_BOOL, bytes_eq, COL_UUID, COL_UUID),
    FN(2957, "uuid_ge", ">=", STRICT, COL_BOOL, bytes_ge, COL_UUID, COL_UUID),
    FN(2958, "uuid_gt", ">", STRICT, COL_BOOL, bytes_gt, COL_UUID, COL_UUID),
    FN(2959, "uuid_ne", "<>", STRICT, COL_BOOL, bytes_ne, COL_UUID, COL_UUID),
    FN(2960, "uuid_cmp", NULL, STRICT, COL_INT4, bytes_cmp, COL_UUID, COL_UUID),
    FN(3060, "left", NULL, STRICT, COL_TEXT, text_left, COL_TEXT, COL_INT4),
    FN(3061, "right", NULL, STRICT, COL_TEXT, text_right, COL_TEXT, COL_INT4),
    FN(3062, "reverse", NULL, STRICT, COL_TEXT, text_reverse, COL_TEXT),
    FN(3696, "starts_with", "^@", STRICT, COL_BOOL, text_starts_with, COL_TEXT, COL_TEXT),
};

const struct fn_table fn_table_text = {fns, ARRAY_LEN(fns)};
