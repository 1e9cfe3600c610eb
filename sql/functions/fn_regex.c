/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_regex.c: the translation to PCRE2, and matching.
 *
 * Translated: \m \M \y \Y \A \Z to PCRE2's assertions, character escapes to \x{...}, bracket expressions with PCRE2's own
 * metacharacters quoted. Refused: PCRE2's verbs, its groups other than (?: (?= (?! (?<= (?<!, a quantifier on a quantifier (its
 * possessive ones), escapes that PostgreSQL does not know.
 */
#include "sql/functions/fn_regex.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    MATCH_STEPS_MAX = 2000000, /* some tens of milliseconds */
    MATCH_HEAP_KB_MAX = 64 << 10,
    CACHE_PATTERNS = 8,
    REPEAT_MAX = 255,
};

struct fn_regex {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    uint32_t groups, flags;
    uint64_t used; /* when, in the cache's count; 0: not cached */
    size_t bytes;
    uint8_t pattern[];
};

struct fn_regexes {
    struct fn_regex *x[CACHE_PATTERNS];
    uint64_t count;
};

static enum rc bad(struct err *err, const char *what) {
    return err_sql(err, "2201B", "invalid regular expression: %s", what);
}

/* ---- translation ------------------------------------------------------------------------------------------------------ */

struct translate {
    const uint8_t *p, *end;
    struct buf out;
    uint32_t flags;
    bool quantified, quantifiable; /* the last thing was a quantifier; may be followed by one */
};

static void put_code(struct translate *t, uint32_t c) {
    buf_printf(&t->out, "\\x{%x}", c);
}

static int hex(uint8_t c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* min .. max hex digits. */
static bool read_hex(struct translate *t, int min, int max, uint32_t *ret) {
    uint32_t v = 0;
    int n = 0;
    for (; n < max && t->p < t->end && hex(*t->p) >= 0; n++, t->p++)
        v = (v << 4 | (uint32_t)hex(*t->p)) & 0x7fffffff;
    *ret = v;
    return n >= min && v && v <= 0x10ffff && !(v >= 0xd800 && v <= 0xdfff);
}

static const char *const no_escape = "invalid escape \\ sequence";

/* Behind a backslash: a character by its code, inside and outside of brackets. False: it is none. */
static bool char_escape(struct translate *t, uint8_t c, bool *ret_ok) {
    static const char names[] = "abBefnrtv", codes[] = "\a\b\\\033\f\n\r\t\v";
    const char *at = strchr(names, c);
    uint32_t v = 0;
    *ret_ok = true;
    if (c && at) {
        put_code(t, (uint8_t)codes[at - names]);
        return true;
    }
    switch (c) {
    case 'c':
        *ret_ok = t->p < t->end;
        if (*ret_ok)
            put_code(t, *t->p++ & 0x1f);
        return true;
    case 'u':
        *ret_ok = read_hex(t, 4, 4, &v);
        break;
    case 'U':
        *ret_ok = read_hex(t, 8, 8, &v);
        break;
    case 'x':
        *ret_ok = read_hex(t, 1, 255, &v);
        break;
    case '0':
        for (int n = 0; n < 2 && t->p < t->end && *t->p >= '0' && *t->p <= '7'; n++)
            v = v << 3 | (uint32_t)(*t->p++ - '0');
        break;
    default:
        return false;
    }
    put_code(t, v);
    return true;
}

static enum rc escape(struct translate *t, struct err *err) {
    bool ok;
    if (t->p == t->end)
        return bad(err, no_escape);
    uint8_t c = *t->p++;
    t->quantifiable = true;
    if (c && strchr("dDsSwW", c)) {
        buf_printf(&t->out, "\\%c", c);
        return RC_OK;
    }
    static const struct {
        char c;
        const char *is;
    } assertions[] = {{'m', "\\b(?=\\w)"}, {'M', "\\b(?<=\\w)"}, {'y', "\\b"},
                      {'Y', "\\B"},        {'A', "\\A"},         {'Z', "\\z"}};
    for (size_t i = 0; i < ARRAY_LEN(assertions); i++)
        if (assertions[i].c == c) {
            buf_puts(&t->out, assertions[i].is);
            t->quantifiable = false;
            return RC_OK;
        }
    if (c >= '1' && c <= '9') {
        buf_printf(&t->out, "\\g{%c", c);
        if (t->p < t->end && *t->p >= '0' && *t->p <= '9')
            buf_putc(&t->out, *t->p++);
        buf_putc(&t->out, '}');
        return RC_OK;
    }
    if (char_escape(t, c, &ok))
        return ok ? RC_OK : bad(err, no_escape);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return bad(err, no_escape);
    if (c < 0x80)
        buf_putc(&t->out, '\\');
    buf_putc(&t->out, c);
    return RC_OK;
}

/* [:alpha:], [=a=], [.-.] behind the first '['. */
static enum rc bracket_class(struct translate *t, struct err *err) {
    uint8_t kind = *t->p;
    const uint8_t *from = t->p + 1, *to = from;
    while (to + 1 < t->end && !(to[0] == kind && to[1] == ']'))
        to++;
    if (to + 1 >= t->end)
        return bad(err, "brackets [] not balanced");
    size_t n = (size_t)(to - from);
    t->p = to + 2;
    if (kind == ':') {
        buf_printf(&t->out, "[:%.*s:]", (int)n, (const char *)from);
        return RC_OK;
    }
    if (n == 0 || fn_chars(from, n) != 1)
        return bad(err, "invalid collating element");
    put_code(t, fn_code_point(from, n));
    return RC_OK;
}

static enum rc bracket(struct translate *t, struct err *err) {
    bool first = true, ok;
    static const char *const words[] = {"[[:<:]]", "[[:>:]]"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if ((size_t)(t->end - t->p) >= 6 && memcmp(t->p, words[i] + 1, 6) == 0) {
            buf_puts(&t->out, words[i]);
            t->p += 6;
            t->quantifiable = false;
            return RC_OK;
        }
    t->quantifiable = true;
    buf_putc(&t->out, '[');
    if (t->p < t->end && *t->p == '^') {
        buf_putc(&t->out, *t->p++);
        if (t->flags & REGEX_NEWLINE_DOT)
            buf_puts(&t->out, "\\n");
    }
    for (; t->p < t->end && (*t->p != ']' || first); first = false) {
        uint8_t c = *t->p++;
        enum rc rc = RC_OK;
        if (c == '[' && t->p < t->end && (*t->p == ':' || *t->p == '=' || *t->p == '.')) {
            rc = bracket_class(t, err);
        } else if (c == '[' || c == ']' || c == '&' || c == '~' || c == '^') {
            buf_printf(&t->out, "\\%c", c);
        } else if (c == '\\') {
            if (t->p == t->end)
                return bad(err, no_escape);
            c = *t->p++;
            if (strchr("dswDSW", c) && c)
                buf_printf(&t->out, "\\%c", c);
            else if (char_escape(t, c, &ok))
                rc = ok ? RC_OK : bad(err, no_escape);
            else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '1' && c <= '9'))
                rc = bad(err, no_escape);
            else if (c < 0x80)
                buf_printf(&t->out, "\\%c", c);
            else
                buf_putc(&t->out, c);
        } else {
            buf_putc(&t->out, c);
        }
        if (rc)
            return rc;
    }
    if (t->p == t->end)
        return bad(err, "brackets [] not balanced");
    buf_putc(&t->out, *t->p++);
    return RC_OK;
}

static bool read_count(struct translate *t, int *ret) {
    int v = 0;
    const uint8_t *from = t->p;
    for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++)
        v = v > REPEAT_MAX ? v : v * 10 + (*t->p - '0');
    *ret = v;
    return t->p > from;
}

static enum rc quantifier(struct translate *t, uint8_t c, struct err *err) {
    int low, high;
    if (!t->quantifiable || t->quantified)
        return bad(err, "quantifier operand invalid");
    buf_putc(&t->out, c);
    if (c == '{') {
        const uint8_t *from = t->p;
        bool range = false;
        read_count(t, &low);
        high = low;
        if (t->p < t->end && *t->p == ',') {
            t->p++;
            range = true;
            if (!read_count(t, &high))
                high = REPEAT_MAX;
        }
        if (t->p == t->end || *t->p != '}' || low > REPEAT_MAX || high > REPEAT_MAX || (range && high < low))
            return bad(err, t->p == t->end ? "braces {} not balanced" : "invalid repetition count(s)");
        t->p++;
        buf_put(&t->out, from, (size_t)(t->p - from));
    }
    if (t->p < t->end && *t->p == '?')
        buf_putc(&t->out, *t->p++);
    t->quantified = true;
    return RC_OK;
}

static enum rc group(struct translate *t, struct err *err) {
    static const char *const known[] = {"?:", "?=", "?!", "?<=", "?<!"};
    buf_putc(&t->out, '(');
    if (t->p == t->end || *t->p != '?')
        return RC_OK;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t n = strlen(known[i]);
        if ((size_t)(t->end - t->p) >= n && memcmp(t->p, known[i], n) == 0) {
            buf_puts(&t->out, known[i]);
            t->p += n;
            return RC_OK;
        }
    }
    if (t->p + 1 < t->end && t->p[1] == '#') { /* a comment */
        while (t->p < t->end && *t->p != ')')
            buf_putc(&t->out, *t->p++);
        return RC_OK;
    }
    return bad(err, "quantifier operand invalid");
}

static enum rc one(struct translate *t, struct err *err) {
    uint8_t c = *t->p++;
    bool brace = c == '{' && t->p < t->end && *t->p >= '0' && *t->p <= '9';
    if (c == '*' || c == '+' || c == '?' || brace)
        return quantifier(t, c, err);
    t->quantified = false;
    switch (c) {
    case '\\':
        return escape(t, err);
    case '[':
        return bracket(t, err);
    case '(':
        t->quantifiable = false;
        return group(t, err);
    case '^':
    case '$':
    case '|':
        t->quantifiable = false;
        buf_putc(&t->out, c);
        return RC_OK;
    case '{':
        buf_puts(&t->out, "\\{");
        break;
    case '#':
        if (t->flags & REGEX_EXPANDED)
            while (t->p < t->end && *t->p != '\n')
                t->p++;
        else
            buf_puts(&t->out, "\\#");
        return RC_OK;
    case ' ':
    case '\t':
    case '\n':
    case '\r':
        if (t->flags & REGEX_EXPANDED)
            return RC_OK;
        put_code(t, c);
        break;
    default:
        buf_putc(&t->out, c);
    }
    t->quantifiable = true;
    return RC_OK;
}

/* ***= and (?flags) at the beginning. */
static enum rc director(struct translate *t, struct err *err) {
    size_t n = (size_t)(t->end - t->p);
    if (n >= 4 && memcmp(t->p, "***=", 4) == 0) {
        t->flags |= REGEX_LITERAL;
        t->p += 4;
    } else if (n >= 4 && memcmp(t->p, "***:", 4) == 0) {
        t->p += 4;
    } else if (n >= 3 && memcmp(t->p, "***", 3) == 0) {
        return bad(err, "quantifier operand invalid");
    }
    n = (size_t)(t->end - t->p);
    if (n >= 3 && t->p[0] == '(' && t->p[1] == '?' && ((t->p[2] | 32) >= 'a' && (t->p[2] | 32) <= 'z')) {
        const uint8_t *close = memchr(t->p, ')', n);
        uint32_t flags = 0;
        if (!close)
            return bad(err, "invalid embedded option");
        struct value options = value_text(t->p + 2, (size_t)(close - t->p - 2));
        if (fn_regex_options(&options, &flags, NULL) || (flags & REGEX_GLOBAL))
            return bad(err, "invalid embedded option");
        t->flags |= flags;
        t->p = close + 1;
    }
    return RC_OK;
}

/* ---- compiling --------------------------------------------------------------------------------------------------------- */

enum rc fn_regex_options(const struct value *v, uint32_t *ret, struct err *err) {
    const uint8_t *p = v->p, *end = p + v->bytes;
    uint32_t f = 0;
    for (; p < end; p++) {
        switch (*p) {
        case 'g':
            f |= REGEX_GLOBAL;
            break;
        case 'i':
            f |= REGEX_ANY_CASE;
            break;
        case 'c':
            f &= ~(uint32_t)REGEX_ANY_CASE;
            break;
        case 'm':
        case 'n':
            f |= REGEX_NEWLINE_DOT | REGEX_NEWLINE_ENDS;
            break;
        case 'p':
            f = (f | REGEX_NEWLINE_DOT) & ~(uint32_t)REGEX_NEWLINE_ENDS;
            break;
        case 'w':
            f = (f | REGEX_NEWLINE_ENDS) & ~(uint32_t)REGEX_NEWLINE_DOT;
            break;
        case 's':
            f &= ~(uint32_t)(REGEX_NEWLINE_DOT | REGEX_NEWLINE_ENDS);
            break;
        case 'x':
            f |= REGEX_EXPANDED;
            break;
        case 't':
            f &= ~(uint32_t)REGEX_EXPANDED;
            break;
        case 'q':
            f |= REGEX_LITERAL;
            break;
        case 'b':
        case 'e':
            return err_set(err, RC_UNSUPPORTED, "regular expression option \"%c\" is not supported", *p);
        default:
            return err_sql(err, "22023", "invalid regular expression option: \"%.*s\"", (int)fn_char_bytes(p, end),
                           (const char *)p);
        }
    }
    *ret = f;
    return RC_OK;
}

/* PostgreSQL's words for what PCRE2 found. */
static const char *complaint(int code) {
    switch (code) {
    case PCRE2_ERROR_END_BACKSLASH:
        return no_escape;
    case PCRE2_ERROR_MISSING_SQUARE_BRACKET:
        return "brackets [] not balanced";
    case PCRE2_ERROR_CLASS_RANGE_ORDER:
    case PCRE2_ERROR_CLASS_INVALID_RANGE:
        return "invalid character range";
    case PCRE2_ERROR_MISSING_CLOSING_PARENTHESIS:
    case PCRE2_ERROR_UNMATCHED_CLOSING_PARENTHESIS:
        return "parentheses () not balanced";
    case PCRE2_ERROR_UNKNOWN_POSIX_CLASS:
        return "invalid character class";
    case PCRE2_ERROR_BAD_SUBPATTERN_REFERENCE:
        return "invalid backreference number";
    case PCRE2_ERROR_QUANTIFIER_INVALID:
        return "quantifier operand invalid";
    default:
        return NULL;
    }
}

static void free_regex(struct fn_regex *x) {
    if (!x)
        return;
    pcre2_code_free(x->code);
    pcre2_match_data_free(x->match);
    pcre2_match_context_free(x->limits);
    free(x);
}

static enum rc translated(struct translate *t, struct err *err) {
    enum rc rc = director(t, err);
    while (!rc && t->p < t->end && !(t->flags & REGEX_LITERAL))
        rc = one(t, err);
    if (!rc && (t->flags & REGEX_LITERAL))
        buf_put(&t->out, t->p, (size_t)(t->end - t->p));
    return rc                            ? rc
           : buf_rc(&t->out) == RC_LIMIT ? bad(err, "regular expression is too complex")
           : buf_rc(&t->out)             ? fn_no_memory(err)
                                         : RC_OK;
}

static enum rc compile(const struct value *pattern, uint32_t flags, struct fn_regex *x, struct err *err) {
    struct translate t = {.p = pattern->p, .end = (const uint8_t *)pattern->p + pattern->bytes, .flags = flags};
    int code = 0;
    size_t offset;
    buf_init(&t.out, 1 << 20);
    enum rc rc = translated(&t, err);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY;
    if (t.flags & REGEX_LITERAL)
        options = PCRE2_UTF | PCRE2_LITERAL;
    else
        options |=
            (t.flags & REGEX_NEWLINE_DOT ? 0 : PCRE2_DOTALL) | (t.flags & REGEX_NEWLINE_ENDS ? PCRE2_MULTILINE : 0);
    if (t.flags & REGEX_ANY_CASE)
        options |= PCRE2_CASELESS;
    if (!rc) {
        x->code =
            pcre2_compile(t.out.data ? t.out.data : (const uint8_t *)"", t.out.len, options, &code, &offset, NULL);
        x->match = x->code ? pcre2_match_data_create_from_pattern(x->code, NULL) : NULL;
        x->limits = pcre2_match_context_create(NULL);
        const char *words = complaint(code);
        char text[200];
        if (x->code && (!x->match || !x->limits)) {
            rc = fn_no_memory(err);
        } else if (!x->code) {
            if (pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text) < 0)
                text[0] = '\0';
            rc = bad(err, words ? words : text);
        }
    }
    buf_done(&t.out);
    if (rc)
        return rc;
    pcre2_set_match_limit(x->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(x->limits, MATCH_HEAP_KB_MAX);
    IGNORE(pcre2_pattern_info(x->code, PCRE2_INFO_CAPTURECOUNT, &x->groups)); /* cannot fail for this question */
    return RC_OK;
}

enum rc fn_regex_get(const struct fn_env *env, const struct value *pattern, uint32_t flags, struct fn_regex **ret,
                     struct err *err) {
    struct fn_regexes *c = env->regexes;
    size_t oldest = 0;
    flags &= ~(uint32_t)REGEX_GLOBAL;
    for (size_t i = 0; c && i < CACHE_PATTERNS; i++) {
        struct fn_regex *x = c->x[i];
        if (x && x->flags == flags && x->bytes == pattern->bytes && memcmp(x->pattern, pattern->p, x->bytes) == 0) {
            x->used = ++c->count;
            *ret = x;
            return RC_OK;
        }
        if (!x || (c->x[oldest] && x->used < c->x[oldest]->used))
            oldest = i;
    }
    struct fn_regex *x = calloc(1, sizeof *x + pattern->bytes);
    if (!x)
        return fn_no_memory(err);
    x->flags = flags;
    x->bytes = pattern->bytes;
    memcpy(x->pattern, pattern->p, pattern->bytes);
    enum rc rc = compile(pattern, flags, x, err);
    if (rc) {
        free_regex(x);
        return rc;
    }
    if (c) {
        free_regex(c->x[oldest]);
        c->x[oldest] = x;
        x->used = ++c->count;
    }
    *ret = x;
    return RC_OK;
}

void fn_regex_done(const struct fn_env *env, struct fn_regex *x) {
    (void)env;
    if (x && !x->used)
        free_regex(x);
}

struct fn_regexes *fn_regexes_new(void) {
    return calloc(1, sizeof(struct fn_regexes));
}

void fn_regexes_free(struct fn_regexes *c) {
    for (size_t i = 0; c && i < CACHE_PATTERNS; i++)
        free_regex(c->x[i]);
    free(c);
}

/* ---- matching ------------------------------------------------------------------------------------------------------------ */

enum rc fn_regex_match(struct fn_regex *x, const struct value *text, size_t from, bool *ret_found, struct err *err) {
    *ret_found = false;
    if (from > text->bytes)
        return RC_OK;
    int n = pcre2_match(x->code, text->p, text->bytes, from, 0, x->match, x->limits);
    if (n == PCRE2_ERROR_NOMATCH)
        return RC_OK;
    if (n == PCRE2_ERROR_NOMEMORY)
        return fn_no_memory(err);
    if (n == PCRE2_ERROR_MATCHLIMIT || n == PCRE2_ERROR_HEAPLIMIT || n == PCRE2_ERROR_DEPTHLIMIT)
        return err_sql(err, "54001", "regular expression failed: regular expression is too complex");
    if (n < 0)
        return err_sql(err, "22021", "a text is not valid UTF-8");
    *ret_found = true;
    return RC_OK;
}

struct fn_span fn_regex_group(const struct fn_regex *x, uint32_t i) {
    const size_t *v = pcre2_get_ovector_pointer(x->match);
    if (i > x->groups || v[2 * i] == PCRE2_UNSET)
        return (struct fn_span){1, 0};
    return (struct fn_span){v[2 * i], v[2 * i + 1]};
}

uint32_t fn_regex_groups(const struct fn_regex *x) {
    return x->groups;
}
