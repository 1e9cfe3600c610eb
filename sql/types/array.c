/* SPDX-License-Identifier: Apache-2.0 */
/*
 * array.c: arrays as text and in PostgreSQL's binary form, which is also the stored one. All numbers big-endian:
 *
 *     0   dimensions   4 bytes: 0 .. 6
 *     4   has NULLs    4 bytes: 0 or 1
 *     8   element      4 bytes: the OID of its type
 *         for each dimension: length (4), lower bound (4)
 *         for each element, in row-major order: its bytes (4), -1 = NULL, then those bytes, its own binary form
 */
#include <string.h>
#include <strings.h>

#include "sql/types/types_internal.h"

enum {
    DIMENSIONS_MAX = 6,
    ELEMENTS_MAX = 1 << 27, /* PostgreSQL: what fits 1 GB of pointers */
    HEAD_BYTES = 12,
    DIMENSION_BYTES = 8,
};

struct col array_elem(const struct col *c) {
    CHECK(c->type == COL_ARRAY);
    return (struct col){
        .type = c->elem, .typmod = col_is_vector(c) ? COL_TYPMOD_NONE : c->typmod, .type_id = c->type_id};
}

struct shape {
    int n; /* dimensions */
    int32_t length[DIMENSIONS_MAX], lower[DIMENSIONS_MAX];
};

static enum rc give(struct buf *b, struct arena *a, struct value *ret, enum rc rc, struct err *err) {
    if (!rc && (buf_rc(b) || b->len > VALUE_BYTES_MAX))
        rc = buf_rc(b) == RC_NOMEM ? type_no_memory(err) : err_set(err, RC_LIMIT, "an array is too large");
    if (!rc) {
        const void *p = arena_copy(a, b->data, b->len);
        if (p)
            *ret = value_blob(p, b->len);
        else
            rc = type_no_memory(err);
    }
    buf_done(b);
    return rc;
}

static void put_head(struct buf *b, const struct shape *s, const struct col *elem) {
    buf_put_u32be(b, (uint32_t)s->n);
    buf_put_u32be(b, 0); /* of NULLs: set when there is one */
    buf_put_u32be(b, type_oid(elem));
    for (int i = 0; i < s->n; i++) {
        buf_put_u32be(b, (uint32_t)s->length[i]);
        buf_put_u32be(b, (uint32_t)s->lower[i]);
    }
}

static void put_null(struct buf *b) {
    buf_put_u32be(b, UINT32_MAX);
    if (!buf_rc(b))
        set_u32be(b->data + 4, 1);
}

/* v's binary form with its length before it. */
static enum rc put_element(struct buf *b, const struct col *elem, const struct value *v, struct err *err) {
    size_t at = b->len;
    buf_put_u32be(b, 0);
    enum rc rc = type_send(elem, v, b, err);
    if (!rc && !buf_rc(b))
        set_u32be(b->data + at, (uint32_t)(b->len - at - 4));
    return rc;
}

/* ---- from text --------------------------------------------------------------------------------------------------- */

struct literal {
    const struct type_session *s;
    const struct col *elem;
    const char *text, *p, *end;
    size_t bytes;
    struct shape shape;
    bool given; /* the shape was written before the braces */
    struct buf elements;
    struct buf word;
    size_t count, nulls;
};

static enum rc malformed(const struct literal *l, const char *detail, struct err *err) {
    err_sql(err, "22P02", "malformed array literal: \"%.*s\"", type_shown(l->bytes), l->text);
    err_detail(err, "%s", detail);
    return RC_SQL;
}

static void blanks(struct literal *l) {
    while (l->p < l->end && type_blank(*l->p))
        l->p++;
}

static bool bound(struct literal *l, int64_t *ret) {
    bool neg = l->p < l->end && *l->p == '-';
    if (l->p < l->end && (*l->p == '-' || *l->p == '+'))
        l->p++;
    const char *from = l->p;
    int64_t v = 0;
    for (; l->p < l->end && *l->p >= '0' && *l->p <= '9'; l->p++)
        if (v <= INT32_MAX)
            v = v * 10 + (*l->p - '0');
    *ret = neg ? -v : v;
    return l->p > from && v <= INT32_MAX;
}

/* [2:4][5]= before the braces; *ret_lengths: what the braces must then hold. */
static enum rc read_shape(struct literal *l, struct shape *ret, struct err *err) {
    struct shape s = {.n = 0};
    while (l->p < l->end && *l->p == '[') {
        int64_t lower = 1, upper;
        l->p++;
        if (s.n == DIMENSIONS_MAX)
            return err_sql(err, "54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)", s.n + 1,
                           DIMENSIONS_MAX);
        if (!bound(l, &upper))
            return malformed(l, "\"[\" must introduce explicitly-specified array dimensions.", err);
        if (l->p < l->end && *l->p == ':') {
            l->p++;
            lower = upper;
            if (!bound(l, &upper))
                return malformed(l, "Missing array dimension value.", err);
        }
        if (l->p == l->end || *l->p++ != ']')
            return malformed(l, "Missing \"]\" after array dimensions.", err);
        if (upper < lower)
            return err_sql(err, "2202E", "upper bound cannot be less than lower bound");
        if (upper - lower + 1 > ELEMENTS_MAX || upper == INT32_MAX)
            return err_sql(err, "54000", "array size exceeds the maximum allowed (%d)", ELEMENTS_MAX - 1);
        s.lower[s.n] = (int32_t)lower;
        s.length[s.n++] = (int32_t)(upper - lower + 1);
    }
    if (s.n) {
        blanks(l);
        if (l->p == l->end || *l->p++ != '=')
            return malformed(l, "Missing \"=\" after array dimensions.", err);
        l->given = true;
    }
    *ret = s;
    return RC_OK;
}

/* One element, quoted or not; without its blanks around, and escapes resolved. */
static enum rc read_word(struct literal *l, bool *ret_quoted, struct err *err) {
    size_t keep = 0; /* blanks up to here belong to it */
    *ret_quoted = false;
    buf_reset(&l->word, 1 << 16);
    for (; l->p < l->end; l->p++) {
        char c = *l->p;
        if (c == '"') {
            if (*ret_quoted || l->word.len > keep || l->word.len)
                return malformed(l, "Unexpected array element.", err);
            *ret_quoted = true;
            for (l->p++; l->p < l->end && *l->p != '"'; l->p++) {
                if (*l->p == '\\' && ++l->p == l->end)
                    break;
                buf_putc(&l->word, (uint8_t)*l->p);
            }
            if (l->p == l->end)
                return malformed(l, "Unexpected end of input.", err);
            keep = l->word.len;
        } else if (c == ',' || c == '}') {
            break;
        } else if (c == '{') {
            return malformed(l, "Unexpected \"{\" character.", err);
        } else if (type_blank(c)) {
            if (!*ret_quoted && l->word.len)
                buf_putc(&l->word, (uint8_t)c);
        } else {
            if (*ret_quoted)
                return malformed(l, "Unexpected array element.", err);
            if (c == '\\' && ++l->p == l->end)
                return malformed(l, "Unexpected end of input.", err);
            buf_putc(&l->word, (uint8_t)*l->p);
            keep = l->word.len;
        }
    }
    l->word.len = keep;
    return buf_rc(&l->word) ? type_no_memory(err) : RC_OK;
}

static enum rc read_element(struct literal *l, struct arena *a, struct err *err) {
    bool quoted;
    enum rc rc = read_word(l, &quoted, err);
    if (rc)
        return rc;
    if (!quoted && l->word.len == 0)
        return malformed(l, "Unexpected element or end of input.", err);
    if (++l->count > ELEMENTS_MAX)
        return err_sql(err, "54000", "array size exceeds the maximum allowed (%d)", ELEMENTS_MAX - 1);
    const char *w = l->word.data ? (const char *)l->word.data : "";
    if (!quoted && l->word.len == 4 && strncasecmp(w, "null", 4) == 0) {
        l->nulls++;
        buf_put_u32be(&l->elements, UINT32_MAX);
        return RC_OK;
    }
    struct value v;
    rc = type_parse(l->s, l->elem, w, l->word.len, a, &v, err);
    return rc ? rc : put_element(&l->elements, l->elem, &v, err);
}

/* The braces: at each depth the lengths must agree. */
static enum rc read_braces(struct literal *l, struct shape *s, struct arena *a, struct err *err) {
    int32_t at[DIMENSIONS_MAX + 1] = {0};
    bool known[DIMENSIONS_MAX + 1] = {false};
    int depth = 0, leaf = 0; /* leaf: the depth at which elements stand */
    enum rc rc;
    const char *uneven = "Multidimensional arrays must have sub-arrays with matching dimensions.";
    do {
        blanks(l);
        if (l->p == l->end)
            return malformed(l, "Unexpected end of input.", err);
        if (*l->p == '{') {
            if (depth == DIMENSIONS_MAX)
                return err_sql(err, "54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)",
                               depth + 1, DIMENSIONS_MAX);
            if (leaf && depth == leaf)
                return malformed(l, uneven, err);
            l->p++;
            at[depth++] = 0;
            blanks(l);
            if (l->p == l->end || *l->p != '}')
                continue; /* an element or a sub-array begins */
            if (depth > 1 || leaf)
                return malformed(l, "Unexpected \"}\" character.", err);
            l->p++; /* {} */
            s->n = 0;
            return RC_OK;
        }
        if (leaf && depth != leaf)
            return malformed(l, uneven, err);
        leaf = depth;
        if ((rc = read_element(l, a, err)))
            return rc;
        at[depth - 1]++;
        /* after an element: the next one, or ends */
        while (depth && l->p < l->end) {
            blanks(l);
            if (l->p == l->end || *l->p == ',')
                break;
            if (*l->p != '}')
                return malformed(l, "Unexpected array element.", err);
            l->p++;
            depth--;
            if (known[depth] && s->length[depth] != at[depth])
                return malformed(l, uneven, err);
            known[depth] = true;
            s->length[depth] = at[depth];
            if (depth)
                at[depth - 1]++;
        }
        if (depth && l->p == l->end)
            return malformed(l, "Unexpected end of input.", err);
        if (depth)
            l->p++; /* the comma */
    } while (depth);
    s->n = leaf;
    return RC_OK;
}

static enum rc read_literal(struct literal *l, struct arena *a, struct shape *ret, struct err *err) {
    struct shape given, found = {.n = 0};
    blanks(l);
    enum rc rc = read_shape(l, &given, err);
    if (rc)
        return rc;
    blanks(l);
    if (l->p == l->end || *l->p != '{')
        return malformed(l, "Array value must start with \"{\" or dimension information.", err);
    if ((rc = read_braces(l, &found, a, err)))
        return rc;
    blanks(l);
    if (l->p != l->end)
        return malformed(l, "Junk after closing right brace.", err);
    for (int i = 0; i < found.n; i++)
        found.lower[i] = l->given && i < given.n ? given.lower[i] : 1;
    if (l->given) {
        bool same = given.n == found.n;
        for (int i = 0; same && i < found.n; i++)
            same = given.length[i] == found.length[i];
        if (!same)
            return malformed(l, "Specified array dimensions do not match array contents.", err);
    }
    *ret = found;
    return RC_OK;
}

enum rc array_parse(const struct type_session *s, const struct col *elem, const char *text, size_t bytes,
                    struct arena *a, struct value *ret, struct err *err) {
    struct literal l = {.s = s, .elem = elem, .text = text, .p = text, .end = text + bytes, .bytes = bytes};
    struct buf b;
    struct shape shape;
    buf_init(&l.elements, VALUE_BYTES_MAX);
    buf_init(&l.word, 0);
    buf_init(&b, 0);
    enum rc rc = read_literal(&l, a, &shape, err);
    if (!rc) {
        put_head(&b, &shape, elem);
        buf_put(&b, l.elements.data, l.elements.len);
        if (buf_rc(&l.elements))
            b.rc = buf_rc(&l.elements);
        if (l.nulls && !buf_rc(&b))
            set_u32be(b.data + 4, 1);
    }
    buf_done(&l.elements);
    buf_done(&l.word);
    return give(&b, a, ret, rc, err);
}

/* ---- the binary form --------------------------------------------------------------------------------------------- */

static enum rc insufficient(struct err *err) {
    return err_sql(err, "08P01", "insufficient data left in message");
}

static enum rc wrong_element(uint32_t oid, const struct col *elem, struct err *err) {
    struct col sent;
    char a[COL_NAME_BYTES] = "-", b[COL_NAME_BYTES];
    struct col plain = {.type = elem->type, .typmod = COL_TYPMOD_NONE, .type_id = elem->type_id};
    if (type_from_oid(oid, COL_TYPMOD_NONE, &sent, NULL) == RC_OK)
        col_name(&sent, a);
    return err_sql(err, "42804", "binary data has array element type %u (%s) instead of expected %u (%s)", oid, a,
                   type_oid(elem), col_name(&plain, b));
}

/* Everything before the elements; *ret_count: how many those are. */
static enum rc get_head(struct rd *r, const struct col *elem, struct shape *s, size_t *ret_count, struct err *err) {
    uint32_t n = rd_u32be(r), nulls = rd_u32be(r), oid = rd_u32be(r);
    if (r->bad)
        return insufficient(err);
    if (n > DIMENSIONS_MAX)
        return err_sql(err, "54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)", (int)n,
                       DIMENSIONS_MAX);
    if (nulls > 1)
        return err_sql(err, "22P03", "invalid array flags");
    if (oid != type_oid(elem))
        return wrong_element(oid, elem, err);
    size_t count = n ? 1 : 0;
    *s = (struct shape){.n = (int)n};
    for (uint32_t i = 0; i < n; i++) {
        s->length[i] = (int32_t)rd_u32be(r);
        s->lower[i] = (int32_t)rd_u32be(r);
        if (r->bad)
            return insufficient(err);
        bool bad =
            s->length[i] < 0 || __builtin_mul_overflow(count, (size_t)s->length[i], &count) || count > ELEMENTS_MAX;
        if (bad)
            return err_sql(err, "54000", "array size exceeds the maximum allowed (%d)", ELEMENTS_MAX - 1);
        if (s->length[i] && s->lower[i] > INT32_MAX - s->length[i])
            return err_sql(err, "54000", "array lower bound is too large: %d", s->lower[i]);
    }
    if (count > rd_left(r) / 4) /* each has at least its length */
        return insufficient(err);
    if (!count)
        s->n = 0; /* PostgreSQL keeps no dimensions of an empty array */
    *ret_count = count;
    return RC_OK;
}

/* The next element, the index-th; *ret_null: it is NULL. */
static enum rc get_element(struct rd *r, const struct col *elem, size_t index, struct arena *a, struct value *ret,
                           bool *ret_null, struct err *err) {
    uint32_t n = rd_u32be(r);
    *ret_null = n == UINT32_MAX && !r->bad;
    if (*ret_null)
        return RC_OK;
    if (r->bad)
        return insufficient(err);
    if (n > rd_left(r))
        return err_sql(err, "22P03", "insufficient data left in message");
    int length = type_length(elem);
    if (length >= 0 && n > (uint32_t)length)
        return err_sql(err, "22P03", "improper binary format in array element %zu", index + 1);
    return type_recv(elem, rd_bytes(r, n), n, a, ret, err);
}

enum rc array_recv(const struct col *elem, const void *p, size_t bytes, struct arena *a, struct value *ret,
                   struct err *err) {
    struct rd r;
    struct shape s;
    struct buf b;
    size_t count;
    rd_init(&r, p, bytes);
    enum rc rc = get_head(&r, elem, &s, &count, err);
    if (rc)
        return rc;
    buf_init(&b, 0);
    put_head(&b, &s, elem);
    for (size_t i = 0; i < count && !rc; i++) {
        struct value v;
        bool null = false;
        rc = get_element(&r, elem, i, a, &v, &null, err);
        if (!rc && null)
            put_null(&b);
        else if (!rc)
            rc = put_element(&b, elem, &v, err);
    }
    if (!rc && rd_left(&r))
        rc = type_bad_binary(err);
    return give(&b, a, ret, rc, err);
}

/* ---- to text ----------------------------------------------------------------------------------------------------- */

static bool needs_quotes(const char *p, size_t n) {
    if (n == 0 || (n == 4 && strncasecmp(p, "null", 4) == 0))
        return true;
    for (size_t i = 0; i < n; i++)
        if (p[i] == '"' || p[i] == '\\' || p[i] == '{' || p[i] == '}' || p[i] == ',' || type_blank(p[i]))
            return true;
    return false;
}

static void put_quoted(struct buf *out, const char *p, size_t n) {
    if (!needs_quotes(p, n)) {
        buf_put(out, p, n);
        return;
    }
    buf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"' || p[i] == '\\')
            buf_putc(out, '\\');
        buf_putc(out, (uint8_t)p[i]);
    }
    buf_putc(out, '"');
}

static void put_shape(struct buf *out, const struct shape *s) {
    bool plain = true;
    for (int i = 0; i < s->n; i++)
        plain &= s->lower[i] == 1;
    for (int i = 0; i < s->n && !plain; i++)
        buf_printf(out, "[%d:%d]", s->lower[i], s->lower[i] + s->length[i] - 1);
    if (!plain)
        buf_putc(out, '=');
}

enum rc array_print(const struct type_session *ts, const struct col *elem, const struct value *v, struct buf *out,
                    struct err *err) {
    struct rd r;
    struct shape s;
    struct arena a;
    struct buf word;
    size_t count;
    int32_t at[DIMENSIONS_MAX] = {0};
    rd_init(&r, v->p, v->bytes);
    enum rc rc = get_head(&r, elem, &s, &count, err);
    if (rc)
        return rc;
    if (!count) {
        buf_puts(out, "{}");
        return RC_OK;
    }
    arena_init(&a, 0);
    buf_init(&word, 0);
    put_shape(out, &s);
    for (size_t i = 0; i < count && !rc; i++) {
        /* braces open where an index starts again */
        for (int d = 0; d < s.n; d++) {
            bool first = true;
            for (int k = d; k < s.n; k++)
                first &= at[k] == 0;
            if (first)
                buf_putc(out, '{');
        }
        struct value e;
        bool null = false;
        arena_reset(&a);
        rc = get_element(&r, elem, i, &a, &e, &null, err);
        if (!rc && null)
            buf_puts(out, "NULL");
        else if (!rc) {
            buf_reset(&word, 1 << 16);
            rc = type_print(ts, elem, &e, &word, err);
            if (!rc && buf_rc(&word))
                rc = type_no_memory(err);
            if (!rc)
                put_quoted(out, (const char *)word.data, word.len);
        }
        int d = s.n - 1;
        while (d >= 0 && ++at[d] == s.length[d]) {
            at[d--] = 0;
            buf_putc(out, '}');
        }
        if (d >= 0)
            buf_putc(out, ',');
    }
    arena_done(&a);
    buf_done(&word);
    return rc;
}

/* ---- vectors ----------------------------------------------------------------------------------------------------- */

enum rc vector_parse(const struct type_session *s, const struct col *elem, const char *text, size_t bytes,
                     struct arena *a, struct value *ret, struct err *err) {
    const char *p = text, *end = text + bytes;
    struct shape shape = {.n = 1};
    struct buf b, elements;
    enum rc rc = RC_OK;
    buf_init(&b, 0);
    buf_init(&elements, VALUE_BYTES_MAX);
    while (!rc) {
        struct value v;
        while (p < end && type_blank(*p))
            p++;
        const char *from = p;
        while (p < end && !type_blank(*p))
            p++;
        if (p == from)
            break;
        rc = type_parse(s, elem, from, (size_t)(p - from), a, &v, err);
        if (!rc)
            rc = put_element(&elements, elem, &v, err);
        shape.length[0]++;
    }
    put_head(&b, &shape, elem);
    buf_put(&b, elements.data, elements.len);
    if (buf_rc(&elements))
        b.rc = buf_rc(&elements);
    buf_done(&elements);
    return give(&b, a, ret, rc, err);
}

enum rc vector_print(const struct type_session *s, const struct col *elem, const struct value *v, struct buf *out,
                     struct err *err) {
    struct arena a;
    struct rd r;
    struct shape shape;
    size_t count;
    rd_init(&r, v->p, v->bytes);
    arena_init(&a, 0);
    enum rc rc = get_head(&r, elem, &shape, &count, err);
    for (size_t i = 0; i < count && !rc; i++) {
        struct value x = value_null();
        bool null;
        rc = get_element(&r, elem, i, &a, &x, &null, err);
        if (i)
            buf_putc(out, ' ');
        if (!rc && null)
            buf_puts(out, "NULL");
        else if (!rc)
            rc = type_print(s, elem, &x, out, err);
    }
    arena_done(&a);
    return rc;
}
