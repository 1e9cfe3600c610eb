/* SPDX-License-Identifier: Apache-2.0 */
/* fn_match.c: the functions and operators that use regular expressions. */
#include <string.h>

#include "sql/functions/fn_match.h"
#include "sql/functions/fn_regex.h"
#include "sql/functions/fn_text.h"

/* ---- does it match ----------------------------------------------------------------------------------------------------- */

static enum rc matches(const struct fn_env *env, const struct value *text, const struct value *pattern, uint32_t flags,
                       bool *ret, struct err *err) {
    struct fn_regex *x;
    enum rc rc = fn_regex_get(env, pattern, flags, &x, err);
    if (rc)
        return rc;
    rc = fn_regex_match(x, text, 0, ret, err);
    fn_regex_done(env, x);
    return rc;
}

static enum rc operator_(const struct fn_env *env, const struct value *arg, uint32_t flags, bool not, struct value *ret,
                         struct err *err) {
    bool found = false;
    enum rc rc = matches(env, &arg[0], &arg[1], flags, &found, err);
    *ret = value_int(found != not );
    return rc;
}

static enum rc char_operator(const struct fn_env *env, const struct fn_call *call, const struct value *arg,
                             uint32_t flags, bool not, struct value *ret, struct err *err) {
    struct value v[2] = {arg[0], arg[1]};
    enum rc rc = fn_pad_char(env, call, &v[0], err);
    return rc ? rc : operator_(env, v, flags, not, ret, err);
}

#define OPERATORS(name_, flags_, not_)                                                                                 \
    FN_IMPL(text_##name_) {                                                                                            \
        FN_UNUSED;                                                                                                     \
        return operator_(env, arg, flags_, not_, ret, err);                                                            \
    }                                                                                                                  \
    FN_IMPL(char_##name_) {                                                                                            \
        FN_UNUSED;                                                                                                     \
        return char_operator(env, call, arg, flags_, not_, ret, err);                                                  \
    }
OPERATORS(match, 0, false)
OPERATORS(not_match, 0, true)
OPERATORS(imatch, REGEX_ANY_CASE, false)
OPERATORS(not_imatch, REGEX_ANY_CASE, true)

static enum rc global_refused(const char *function, const char *instead, struct err *err) {
    err_sql(err, "22023", "%s() does not support the \"global\" option", function);
    if (instead)
        err_hint(err, "Use the %s function instead.", instead);
    return RC_SQL;
}

/* The options in the i-th argument, if it is there. global: the function that refuses "g". */
static enum rc options(const struct value *arg, size_t args, size_t i, const char *global, const char *instead,
                       uint32_t *ret, struct err *err) {
    *ret = 0;
    enum rc rc = args > i ? fn_regex_options(&arg[i], ret, err) : RC_OK;
    if (!rc && global && (*ret & REGEX_GLOBAL))
        rc = global_refused(global, instead, err);
    return rc;
}

FN_IMPL(regexp_like) {
    FN_UNUSED;
    uint32_t flags;
    bool found = false;
    enum rc rc = options(arg, args, 2, "regexp_like", NULL, &flags, err);
    if (!rc)
        rc = matches(env, &arg[0], &arg[1], flags, &found, err);
    *ret = value_int(found);
    return rc;
}

/* ---- all matches --------------------------------------------------------------------------------------------------------- */

/* A walk over matches as PostgreSQL makes it. split: empty matches at the ends and behind another one do not count. */
struct walk {
    struct fn_regex *x;
    const struct value *text;
    size_t from, end_before; /* where to search; end of the match before */
    bool all, split, done;
};

static enum rc walk_next(struct walk *w, bool *ret_found, struct err *err) {
    *ret_found = false;
    while (!w->done) {
        bool found;
        enum rc rc = fn_regex_match(w->x, w->text, w->from, &found, err);
        if (rc || !found) {
            w->done = true;
            return rc;
        }
        struct fn_span m = fn_regex_group(w->x, 0);
        bool counts = !w->split || (m.from < w->text->bytes && m.to > w->end_before);
        const uint8_t *p = w->text->p, *end = p + w->text->bytes;
        w->end_before = m.to;
        w->from = m.to;
        if (m.from == m.to)
            w->from += m.to < w->text->bytes ? fn_char_bytes(p + m.to, end) : 1;
        w->done = !w->all || w->from > w->text->bytes;
        if (counts) {
            *ret_found = true;
            return RC_OK;
        }
    }
    return RC_OK;
}

/* The byte at which the n-th character (from 1) begins; beyond the end: bytes + 1. */
static size_t byte_of(const struct value *text, int64_t n) {
    const uint8_t *p = text->p, *end = p + text->bytes;
    if (n > (int64_t)text->bytes + 1)
        return text->bytes + 1u;
    const uint8_t *at = fn_skip_chars(p, end, (size_t)n - 1);
    return at == end && (int64_t)fn_chars(p, text->bytes) < n - 1 ? text->bytes + 1u : (size_t)(at - p);
}

static enum rc positive(const char *what, int64_t v, int64_t least, struct err *err) {
    return v >= least ? RC_OK : err_sql(err, "22023", "invalid value for parameter \"%s\": %lld", what, (long long)v);
}

FN_IMPL(regexp_count) {
    FN_UNUSED;
    uint32_t flags;
    int64_t first = args > 2 ? arg[2].i : 1, n = 0;
    enum rc rc = positive("start", first, 1, err);
    struct walk w = {.text = &arg[0], .all = true};
    bool found = true;
    if (!rc)
        rc = options(arg, args, 3, "regexp_count", NULL, &flags, err);
    if (!rc)
        rc = fn_regex_get(env, &arg[1], flags, &w.x, err);
    if (rc)
        return rc;
    w.from = byte_of(&arg[0], first);
    while (!rc && found) {
        rc = walk_next(&w, &found, err);
        n += found;
    }
    fn_regex_done(env, w.x);
    *ret = value_int(n);
    return rc;
}

/* The span of the n-th match from a character on, or of a group in it; *ret_found. */
static enum rc nth(const struct fn_env *env, const struct value *arg, size_t args, size_t flags_at, int64_t n,
                   uint32_t group, const char *name, struct fn_span *ret, bool *ret_found, struct err *err) {
    uint32_t flags;
    int64_t first = args > 2 ? arg[2].i : 1;
    struct walk w = {.text = &arg[0], .all = true};
    bool found = true;
    *ret_found = false;
    enum rc rc = positive("start", first, 1, err);
    if (!rc)
        rc = positive("n", n, 1, err);
    if (!rc)
        rc = options(arg, args, flags_at, name, NULL, &flags, err);
    if (!rc)
        rc = fn_regex_get(env, &arg[1], flags, &w.x, err);
    if (rc)
        return rc;
    w.from = byte_of(&arg[0], first);
    for (; n && !rc && found; n--)
        rc = walk_next(&w, &found, err);
    if (!rc && found && group <= fn_regex_groups(w.x)) {
        *ret = fn_regex_group(w.x, group);
        *ret_found = ret->from <= ret->to;
    }
    fn_regex_done(env, w.x);
    return rc;
}

FN_IMPL(regexp_instr) {
    FN_UNUSED;
    struct fn_span m = {0, 0};
    bool found = false;
    int64_t end = args > 4 ? arg[4].i : 0, group = args > 6 ? arg[6].i : 0;
    if (end != 0 && end != 1)
        return err_sql(err, "22023", "invalid value for parameter \"endoption\": %lld", (long long)end);
    enum rc rc = positive("subexpr", group, 0, err);
    if (!rc)
        rc = nth(env, arg, args, 5, args > 3 ? arg[3].i : 1, group > UINT16_MAX ? UINT16_MAX : (uint32_t)group,
                 "regexp_instr", &m, &found, err);
    *ret = value_int(found ? (int64_t)fn_chars(arg[0].p, end ? m.to : m.from) + 1 : 0);
    return rc;
}

FN_IMPL(regexp_substr) {
    FN_UNUSED;
    struct fn_span m = {0, 0};
    bool found = false;
    int64_t group = args > 5 ? arg[5].i : 0;
    enum rc rc = positive("subexpr", group, 0, err);
    if (!rc)
        rc = nth(env, arg, args, 4, args > 3 ? arg[3].i : 1, group > UINT16_MAX ? UINT16_MAX : (uint32_t)group,
                 "regexp_substr", &m, &found, err);
    *ret = found ? value_text((const char *)arg[0].p + m.from, m.to - m.from) : value_null();
    return rc;
}

/* substring(text FROM pattern): the first group if there is one, else the whole. */
FN_IMPL(substring_regex) {
    FN_UNUSED;
    struct fn_regex *x;
    bool found = false;
    enum rc rc = fn_regex_get(env, &arg[1], 0, &x, err);
    *ret = value_null();
    if (rc)
        return rc;
    rc = fn_regex_match(x, &arg[0], 0, &found, err);
    if (!rc && found) {
        struct fn_span m = fn_regex_group(x, fn_regex_groups(x) > 0);
        if (m.from <= m.to)
            *ret = value_text((const char *)arg[0].p + m.from, m.to - m.from);
    }
    fn_regex_done(env, x);
    return rc;
}

/* ---- arrays of text -------------------------------------------------------------------------------------------------------- */

struct texts {
    struct buf b;
    int32_t n;
};

static void texts_begin(struct texts *t) {
    static const struct col text = {.type = COL_TEXT, .typmod = COL_TYPMOD_NONE};
    struct fn_shape shape = {.n = 1, .lower = {1}}; /* the length is set at the end */
    fn_buf(&t->b);
    fn_array_head(&t->b, &shape, &text);
    t->n = 0;
}

static void texts_add(struct texts *t, const struct value *of, struct fn_span m) {
    t->n++;
    if (m.from > m.to)
        fn_array_null(&t->b);
    else
        fn_array_raw(&t->b, (const uint8_t *)of->p + m.from, (uint32_t)(m.to - m.from));
}

static enum rc texts_give(const struct fn_env *env, struct texts *t, struct value *ret, struct err *err) {
    enum { LENGTH_AT = 12 };
    if (!buf_rc(&t->b))
        set_u32be(t->b.data + LENGTH_AT, (uint32_t)t->n);
    return fn_give(env, &t->b, VALUE_BLOB, ret, err);
}

/* The groups of the last match, or the whole. */
static enum rc give_groups(const struct fn_env *env, struct fn_regex *x, const struct value *text, struct value *ret,
                           struct err *err) {
    struct texts t;
    uint32_t n = fn_regex_groups(x);
    texts_begin(&t);
    for (uint32_t i = n ? 1 : 0; i <= n; i++)
        texts_add(&t, text, fn_regex_group(x, i));
    return texts_give(env, &t, ret, err);
}

FN_IMPL(regexp_match) {
    FN_UNUSED;
    uint32_t flags;
    struct fn_regex *x;
    bool found = false;
    enum rc rc = options(arg, args, 2, "regexp_match", "regexp_matches", &flags, err);
    if (!rc)
        rc = fn_regex_get(env, &arg[1], flags, &x, err);
    *ret = value_null();
    if (rc)
        return rc;
    rc = fn_regex_match(x, &arg[0], 0, &found, err);
    if (!rc && found)
        rc = give_groups(env, x, &arg[0], ret, err);
    fn_regex_done(env, x);
    return rc;
}

static enum rc split(const struct fn_env *env, const char *name, const struct value *arg, size_t args,
                     struct value *ret, struct err *err) {
    uint32_t flags;
    struct texts t;
    struct walk w = {.text = &arg[0], .all = true, .split = true};
    size_t at = 0;
    bool found = true;
    enum rc rc = options(arg, args, 2, name, NULL, &flags, err);
    if (!rc)
        rc = fn_regex_get(env, &arg[1], flags, &w.x, err);
    if (rc)
        return rc;
    texts_begin(&t);
    while (!rc && (rc = walk_next(&w, &found, err)) == RC_OK && found) {
        struct fn_span m = fn_regex_group(w.x, 0);
        texts_add(&t, &arg[0], (struct fn_span){at, m.from});
        at = m.to;
    }
    texts_add(&t, &arg[0], (struct fn_span){at, arg[0].bytes});
    fn_regex_done(env, w.x);
    if (!rc)
        return texts_give(env, &t, ret, err);
    buf_done(&t.b);
    return rc;
}

FN_IMPL(regexp_split_to_array) {
    FN_UNUSED;
    return split(env, "regexp_split_to_array", arg, args, ret, err);
}

enum rc fn_regexp_split(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t args,
                        struct value *ret, struct err *err) {
    (void)call;
    return split(env, "regexp_split_to_table", arg, args, ret, err);
}

static enum rc list_add(const struct fn_env *env, struct fn_list *l, struct value v, struct err *err) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct value *to = arena_array(env->arena, cap, sizeof *to);
        if (!to)
            return fn_no_memory(err);
        if (l->n)
            memcpy(to, l->v, l->n * sizeof *to);
        l->v = to;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return RC_OK;
}

enum rc fn_regexp_all(const struct fn_env *env, const struct value *arg, size_t args, struct fn_list *ret,
                      struct err *err) {
    uint32_t flags;
    struct walk w = {.text = &arg[0]};
    bool found = true;
    enum rc rc = options(arg, args, 2, NULL, NULL, &flags, err);
    if (!rc)
        rc = fn_regex_get(env, &arg[1], flags, &w.x, err);
    if (rc)
        return rc;
    w.all = flags & REGEX_GLOBAL;
    while (!rc && (rc = walk_next(&w, &found, err)) == RC_OK && found) {
        struct value groups;
        rc = give_groups(env, w.x, &arg[0], &groups, err);
        if (!rc)
            rc = list_add(env, ret, groups, err);
    }
    fn_regex_done(env, w.x);
    return rc;
}

/* ---- replacement ----------------------------------------------------------------------------------------------------------- */

/* \1 .. \9 and \& are parts of the match; \\ is a backslash. */
static void put_replacement(struct buf *b, const struct fn_regex *x, const struct value *text,
                            const struct value *with) {
    const uint8_t *p = with->p, *end = p + with->bytes;
    while (p < end) {
        const uint8_t *at = memchr(p, '\\', (size_t)(end - p));
        buf_put(b, p, (size_t)((at ? at : end) - p));
        if (!at)
            return;
        p = at + 1;
        struct fn_span m = {1, 0};
        if (p == end) {
            buf_putc(b, '\\');
        } else if (*p == '\\') {
            buf_putc(b, *p++);
        } else if (*p == '&' || (*p >= '1' && *p <= '9')) {
            m = fn_regex_group(x, *p == '&' ? 0 : (uint32_t)(*p - '0'));
            p++;
            if (m.from <= m.to)
                buf_put(b, (const uint8_t *)text->p + m.from, m.to - m.from);
        } else {
            buf_putc(b, '\\');
        }
    }
}

/* The n-th match from a character on, 0: all of them. */
static enum rc replace(const struct fn_env *env, const struct value *arg, uint32_t flags, int64_t first, int64_t n,
                       struct value *ret, struct err *err) {
    struct walk w = {.text = &arg[0], .all = true};
    struct buf b;
    size_t at = 0;
    bool found = true;
    enum rc rc = fn_regex_get(env, &arg[1], flags, &w.x, err);
    if (rc)
        return rc;
    w.from = byte_of(&arg[0], first);
    fn_buf(&b);
    for (int64_t i = 1; !rc && !buf_rc(&b) && (n == 0 || i <= n); i++) {
        rc = walk_next(&w, &found, err);
        if (rc || !found)
            break;
        if (n && i < n)
            continue;
        struct fn_span m = fn_regex_group(w.x, 0);
        buf_put(&b, (const uint8_t *)arg[0].p + at, m.from - at);
        put_replacement(&b, w.x, &arg[0], &arg[2]);
        at = m.to;
    }
    buf_put(&b, (const uint8_t *)arg[0].p + at, arg[0].bytes - at);
    fn_regex_done(env, w.x);
    if (!rc)
        return fn_give(env, &b, VALUE_TEXT, ret, err);
    buf_done(&b);
    return rc;
}

FN_IMPL(regexp_replace) {
    FN_UNUSED;
    uint32_t flags = 0;
    enum rc rc = RC_OK;
    if (args > 3 && arg[3].bytes && *(const char *)arg[3].p >= '0' && *(const char *)arg[3].p <= '9') {
        err_sql(err, "22023", "invalid regular expression option: \"%c\"", *(const char *)arg[3].p);
        err_hint(err,
                 "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer "
                 "explicitly.");
        return RC_SQL;
    }
    rc = options(arg, args, 3, NULL, NULL, &flags, err);
    return rc ? rc : replace(env, arg, flags, 1, flags & REGEX_GLOBAL ? 0 : 1, ret, err);
}

FN_IMPL(regexp_replace_from) {
    FN_UNUSED;
    uint32_t flags;
    enum rc rc = positive("start", arg[3].i, 1, err);
    if (!rc && args > 4)
        rc = positive("n", arg[4].i, 0, err);
    if (!rc)
        rc = options(arg, args, 5, NULL, NULL, &flags, err);
    return rc ? rc : replace(env, arg, flags, arg[3].i, args > 4 ? arg[4].i : 1, ret, err);
}

/* ---- SIMILAR TO ------------------------------------------------------------------------------------------------------------- */

/* short_first: what stands before the first escaped quote takes as little as it can. */
static enum rc similar(const struct fn_env *env, const struct value *pattern, const struct value *escape,
                       bool short_first, struct value *ret, struct err *err) {
    const uint8_t *p = pattern->p, *end = p + pattern->bytes, *e = escape->p;
    bool escaped = false, class = false;
    int quotes = 0;
    struct buf b;
    if (escape->bytes && fn_char_bytes(e, e + escape->bytes) != escape->bytes) {
        err_sql(err, "22025", "invalid escape string");
        err_hint(err, "Escape string must be empty or one character.");
        return RC_SQL;
    }
    fn_buf(&b);
    buf_puts(&b, "^(?:");
    while (p < end) {
        size_t n = fn_char_bytes(p, end);
        if (escaped) {
            if (*p == '"' && !class) {
                if (++quotes > 2) {
                    buf_done(&b);
                    return err_sql(
                        err, "2200C",
                        "SQL regular expression may not contain more than two escape-double-quote separators");
                }
                buf_puts(&b, quotes == 1 ? "){1,1}?(" : "){1,1}(?:");
            } else {
                buf_putc(&b, '\\');
                buf_put(&b, p, n);
            }
            escaped = false;
        } else if (escape->bytes && n == escape->bytes && memcmp(p, e, n) == 0) {
            escaped = true;
        } else if (class) {
            if (*p == '\\')
                buf_putc(&b, '\\');
            buf_put(&b, p, n);
            class = *p != ']';
        } else if (*p == '%') {
            buf_puts(&b, short_first && !quotes ? ".*?" : ".*");
        } else if (*p == '_') {
            buf_putc(&b, '.');
        } else if (*p == '(') {
            buf_puts(&b, "(?:");
        } else {
            class = *p == '[';
            if (*p == '\\' || *p == '.' || *p == '^' || *p == '$')
                buf_putc(&b, '\\');
            buf_put(&b, p, n);
        }
        p += n;
    }
    buf_puts(&b, ")$");
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

FN_IMPL(similar_to_escape) {
    FN_UNUSED;
    struct value backslash = value_text("\\", 1);
    return similar(env, &arg[0], args > 1 ? &arg[1] : &backslash, false, ret, err);
}

/* The same before NULL was an escape of its own. */
FN_IMPL(similar_escape) {
    FN_UNUSED;
    struct value backslash = value_text("\\", 1);
    if (arg[0].kind == VALUE_NULL) {
        *ret = value_null();
        return RC_OK;
    }
    return similar(env, &arg[0], arg[1].kind == VALUE_NULL ? &backslash : &arg[1], false, ret, err);
}

/* substring(text FROM pattern FOR escape): what is between the two escaped quotes. */
FN_IMPL(substring_similar) {
    FN_UNUSED;
    struct value v[2] = {arg[0], value_null()};
    enum rc rc = similar(env, &arg[1], &arg[2], true, &v[1], err);
    return rc ? rc : substring_regex(env, call, v, 2, ret, err);
}

static const struct fn fns[] = {
    FN(1238, "texticregexeq", "~*", STRICT, COL_BOOL, text_imatch, COL_TEXT, COL_TEXT),
    FN(1239, "texticregexne", "!~*", STRICT, COL_BOOL, text_not_imatch, COL_TEXT, COL_TEXT),
    FN(1254, "textregexeq", "~", STRICT, COL_BOOL, text_match, COL_TEXT, COL_TEXT),
    FN(1256, "textregexne", "!~", STRICT, COL_BOOL, text_not_match, COL_TEXT, COL_TEXT),
    FN(1623, "similar_escape", NULL, 0, COL_TEXT, similar_escape, COL_TEXT, COL_TEXT),
    FN(1656, "bpcharicregexeq", "~*", STRICT, COL_BOOL, char_imatch, COL_CHAR, COL_TEXT),
    FN(1657, "bpcharicregexne", "!~*", STRICT, COL_BOOL, char_not_imatch, COL_CHAR, COL_TEXT),
    FN(1658, "bpcharregexeq", "~", STRICT, COL_BOOL, char_match, COL_CHAR, COL_TEXT),
    FN(1659, "bpcharregexne", "!~", STRICT, COL_BOOL, char_not_match, COL_CHAR, COL_TEXT),
    FN(1986, "similar_to_escape", NULL, STRICT, COL_TEXT, similar_to_escape, COL_TEXT, COL_TEXT),
    FN(1987, "similar_to_escape", NULL, STRICT, COL_TEXT, similar_to_escape, COL_TEXT),
    FN(2073, "substring", NULL, STRICT, COL_TEXT, substring_regex, COL_TEXT, COL_TEXT),
    FN(2074, "substring", NULL, STRICT, COL_TEXT, substring_similar, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(2284, "regexp_replace", NULL, STRICT, COL_TEXT, regexp_replace, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(2285, "regexp_replace", NULL, STRICT, COL_TEXT, regexp_replace, COL_TEXT, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(2767, "regexp_split_to_array", NULL, STRICT, FN_ARRAY_OF(COL_TEXT), regexp_split_to_array, COL_TEXT, COL_TEXT),
    FN(2768, "regexp_split_to_array", NULL, STRICT, FN_ARRAY_OF(COL_TEXT), regexp_split_to_array, COL_TEXT, COL_TEXT,
       COL_TEXT),
    FN(3396, "regexp_match", NULL, STRICT, FN_ARRAY_OF(COL_TEXT), regexp_match, COL_TEXT, COL_TEXT),
    FN(3397, "regexp_match", NULL, STRICT, FN_ARRAY_OF(COL_TEXT), regexp_match, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(6251, "regexp_replace", NULL, STRICT, COL_TEXT, regexp_replace_from, COL_TEXT, COL_TEXT, COL_TEXT, COL_INT4,
       COL_INT4, COL_TEXT),
    FN(6252, "regexp_replace", NULL, STRICT, COL_TEXT, regexp_replace_from, COL_TEXT, COL_TEXT, COL_TEXT, COL_INT4,
       COL_INT4),
    FN(6253, "regexp_replace", NULL, STRICT, COL_TEXT, regexp_replace_from, COL_TEXT, COL_TEXT, COL_TEXT, COL_INT4),
    FN(6254, "regexp_count", NULL, STRICT, COL_INT4, regexp_count, COL_TEXT, COL_TEXT),
    FN(6255, "regexp_count", NULL, STRICT, COL_INT4, regexp_count, COL_TEXT, COL_TEXT, COL_INT4),
    FN(6256, "regexp_count", NULL, STRICT, COL_INT4, regexp_count, COL_TEXT, COL_TEXT, COL_INT4, COL_TEXT),
    FN(6257, "regexp_instr", NULL, STRICT, COL_INT4, regexp_instr, COL_TEXT, COL_TEXT),
    FN(6258, "regexp_instr", NULL, STRICT, COL_INT4, regexp_instr, COL_TEXT, COL_TEXT, COL_INT4),
    FN(6259, "regexp_instr", NULL, STRICT, COL_INT4, regexp_instr, COL_TEXT, COL_TEXT, COL_INT4, COL_INT4),
    FN(6260, "regexp_instr", NULL, STRICT, COL_INT4, regexp_instr, COL_TEXT, COL_TEXT, COL_INT4, COL_INT4, COL_INT4),
    FN(6261, "regexp_instr", NULL, STRICT, COL_INT4, regexp_instr, COL_TEXT, COL_TEXT, COL_INT4, COL_INT4, COL_INT4,
       COL_TEXT),
    FN(6262, "regexp_instr", NULL, STRICT, COL_INT4, regexp_instr, COL_TEXT, COL_TEXT, COL_INT4, COL_INT4, COL_INT4,
       COL_TEXT, COL_INT4),
    FN(6263, "regexp_like", NULL, STRICT, COL_BOOL, regexp_like, COL_TEXT, COL_TEXT),
    FN(6264, "regexp_like", NULL, STRICT, COL_BOOL, regexp_like, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(6265, "regexp_substr", NULL, STRICT, COL_TEXT, regexp_substr, COL_TEXT, COL_TEXT),
    FN(6266, "regexp_substr", NULL, STRICT, COL_TEXT, regexp_substr, COL_TEXT, COL_TEXT, COL_INT4),
    FN(6267, "regexp_substr", NULL, STRICT, COL_TEXT, regexp_substr, COL_TEXT, COL_TEXT, COL_INT4, COL_INT4),
    FN(6268, "regexp_substr", NULL, STRICT, COL_TEXT, regexp_substr, COL_TEXT, COL_TEXT, COL_INT4, COL_INT4, COL_TEXT),
    FN(6269, "regexp_substr", NULL, STRICT, COL_TEXT, regexp_substr, COL_TEXT, COL_TEXT, COL_INT4, COL_INT4, COL_TEXT,
       COL_INT4),
};

const struct fn_table fn_table_match = {fns, ARRAY_LEN(fns)};
