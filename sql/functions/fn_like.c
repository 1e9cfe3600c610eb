/* SPDX-License-Identifier: Apache-2.0 */
/* fn_like.c: LIKE and ILIKE, by characters, in time proportional to both lengths multiplied at worst. */
#include <string.h>

#include "sql/functions/fn_text.h"

/* ILIKE: both sides in lower case. */
static enum rc lower(const struct fn_env *env, const struct value *v, struct value *ret, struct err *err) {
    struct buf b;
    const uint8_t *p = v->p, *end = p + v->bytes;
    fn_buf(&b);
    while (p < end) {
        size_t n = fn_char_bytes(p, end);
        if (n == 1)
            buf_putc(&b, *p < 0x80 ? (uint8_t)fn_lower(*p) : *p);
        else
            fn_put_code_point(&b, fn_lower(fn_code_point(p, n)));
        p += n;
    }
    return fn_give(env, &b, v->kind, ret, err);
}

/* One step: does the pattern's next element take the text's next character? What does not match goes back to the last '%' and
 * lets that take one character more. bytes: of bytea, where a character is a byte. */
static enum rc match(const struct value *text, const struct value *pattern, bool bytes, bool *ret, struct err *err) {
    const uint8_t *t = text->p, *t_end = t + text->bytes, *p = pattern->p, *p_end = p + pattern->bytes;
    const uint8_t *back_t = NULL, *back_p = NULL;
    for (;;) {
        if (p < p_end && *p == '%') {
            back_p = ++p;
            back_t = t;
            if (p == p_end) {
                *ret = true;
                return RC_OK;
            }
            continue;
        }
        bool ok = false;
        if (p == p_end) {
            ok = t == t_end;
            if (ok) {
                *ret = true;
                return RC_OK;
            }
        } else if (*p == '\\' && p + 1 == p_end && t < t_end) {
            return err_sql(err, "22025", "LIKE pattern must not end with escape character");
        } else if (t < t_end && *p == '_') {
            t += bytes ? 1 : fn_char_bytes(t, t_end);
            p++;
            ok = true;
        } else if (t < t_end) {
            const uint8_t *q = *p == '\\' ? p + 1 : p;
            ok = *q == *t;
            if (ok) {
                p = q + 1;
                t++;
            }
        }
        if (ok)
            continue;
        if (!back_p || back_t == t_end) {
            *ret = false;
            return RC_OK;
        }
        back_t += bytes ? 1 : fn_char_bytes(back_t, t_end);
        t = back_t;
        p = back_p;
    }
}

static enum rc like(const struct value *arg, bool bytes, bool not, struct value *ret, struct err *err) {
    bool matches = false;
    enum rc rc = match(&arg[0], &arg[1], bytes, &matches, err);
    *ret = value_int(matches != not );
    return rc;
}

static enum rc ilike(const struct fn_env *env, const struct value *arg, bool not, struct value *ret, struct err *err) {
    struct value low[2];
    enum rc rc = lower(env, &arg[0], &low[0], err);
    if (!rc)
        rc = lower(env, &arg[1], &low[1], err);
    return rc ? rc : like(low, false, not, ret, err);
}

FN_IMPL(text_like) {
    FN_UNUSED;
    return like(arg, false, false, ret, err);
}

FN_IMPL(text_not_like) {
    FN_UNUSED;
    return like(arg, false, true, ret, err);
}

/* The blanks of char(n) count here. */
static enum rc char_like(const struct fn_env *env, const struct fn_call *call, const struct value *arg, bool any_case,
                         bool not, struct value *ret, struct err *err) {
    struct value v[2] = {arg[0], arg[1]};
    enum rc rc = fn_pad_char(env, call, &v[0], err);
    if (rc)
        return rc;
    return any_case ? ilike(env, v, not, ret, err) : like(v, false, not, ret, err);
}

FN_IMPL(char_like_) {
    FN_UNUSED;
    return char_like(env, call, arg, false, false, ret, err);
}

FN_IMPL(char_not_like) {
    FN_UNUSED;
    return char_like(env, call, arg, false, true, ret, err);
}

FN_IMPL(char_ilike) {
    FN_UNUSED;
    return char_like(env, call, arg, true, false, ret, err);
}

FN_IMPL(char_not_ilike) {
    FN_UNUSED;
    return char_like(env, call, arg, true, true, ret, err);
}

FN_IMPL(bytea_like) {
    FN_UNUSED;
    return like(arg, true, false, ret, err);
}

FN_IMPL(bytea_not_like) {
    FN_UNUSED;
    return like(arg, true, true, ret, err);
}

FN_IMPL(text_ilike) {
    FN_UNUSED;
    return ilike(env, arg, false, ret, err);
}

FN_IMPL(text_not_ilike) {
    FN_UNUSED;
    return ilike(env, arg, true, ret, err);
}

/* LIKE ... ESCAPE: the pattern with backslash as its escape. */
FN_IMPL(like_escape) {
    struct buf b;
    FN_UNUSED;
    bool text = arg[0].kind == VALUE_TEXT;
    const uint8_t *p = arg[0].p, *end = p + arg[0].bytes, *e = arg[1].p;
    size_t e_bytes = arg[1].bytes ? (text ? fn_char_bytes(e, e + arg[1].bytes) : 1) : 0;
    if (e_bytes != arg[1].bytes) {
        err_sql(err, "22025", "invalid escape string");
        err_hint(err, "Escape string must be empty or one character.");
        return RC_SQL;
    }
    bool own = e_bytes == 1 && *e == '\\', escaped = false;
    if (own) {
        *ret = arg[0];
        return RC_OK;
    }
    fn_buf(&b);
    while (p < end) {
        size_t n = text ? fn_char_bytes(p, end) : 1;
        if (e_bytes && n == e_bytes && memcmp(p, e, n) == 0 && !escaped) {
            buf_putc(&b, '\\');
            escaped = true;
        } else {
            if (*p == '\\' && !escaped)
                buf_putc(&b, '\\');
            buf_put(&b, p, n);
            escaped = false;
        }
        p += n;
    }
    return fn_give(env, &b, arg[0].kind, ret, err);
}

static const struct fn fns[] = {
    FN(850, "textlike", "~~", STRICT, COL_BOOL, text_like, COL_TEXT, COL_TEXT),
    FN(851, "textnlike", "!~~", STRICT, COL_BOOL, text_not_like, COL_TEXT, COL_TEXT),
    FN(1569, "like", NULL, STRICT, COL_BOOL, text_like, COL_TEXT, COL_TEXT),
    FN(1570, "notlike", NULL, STRICT, COL_BOOL, text_not_like, COL_TEXT, COL_TEXT),
    FN(1631, "bpcharlike", "~~", STRICT, COL_BOOL, char_like_, COL_CHAR, COL_TEXT),
    FN(1632, "bpcharnlike", "!~~", STRICT, COL_BOOL, char_not_like, COL_CHAR, COL_TEXT),
    FN(1633, "texticlike", "~~*", STRICT, COL_BOOL, text_ilike, COL_TEXT, COL_TEXT),
    FN(1634, "texticnlike", "!~~*", STRICT, COL_BOOL, text_not_ilike, COL_TEXT, COL_TEXT),
    FN(1637, "like_escape", NULL, STRICT, COL_TEXT, like_escape, COL_TEXT, COL_TEXT),
    FN(1660, "bpchariclike", "~~*", STRICT, COL_BOOL, char_ilike, COL_CHAR, COL_TEXT),
    FN(1661, "bpcharicnlike", "!~~*", STRICT, COL_BOOL, char_not_ilike, COL_CHAR, COL_TEXT),
    FN(2005, "bytealike", "~~", STRICT, COL_BOOL, bytea_like, COL_BYTEA, COL_BYTEA),
    FN(2006, "byteanlike", "!~~", STRICT, COL_BOOL, bytea_not_like, COL_BYTEA, COL_BYTEA),
    FN(2007, "like", NULL, STRICT, COL_BOOL, bytea_like, COL_BYTEA, COL_BYTEA),
    FN(2008, "notlike", NULL, STRICT, COL_BOOL, bytea_not_like, COL_BYTEA, COL_BYTEA),
    FN(2009, "like_escape", NULL, STRICT, COL_BYTEA, like_escape, COL_BYTEA, COL_BYTEA),
};

const struct fn_table fn_table_like = {fns, ARRAY_LEN(fns)};
