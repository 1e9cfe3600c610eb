/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsondoc.c: see jsondoc.h. Reading and printing, which a session's own small fiber does with the parameters of a statement, keep what
 * is open in lists; the other walks recurse, on large fibers.
 */
#include "sql/types/jsondoc.h"

#include <stdlib.h>
#include <string.h>

#include "shard/store/decimal.h"

struct reader {
    struct arena *a;
    const char *start, *p, *end;
    bool jsonb;
    int depth;
    enum rc rc;
    struct err *err;
};

static void *out_of_memory(struct reader *r) {
    if (!r->rc)
        r->rc = err_set(r->err, RC_NOMEM, "out of memory for JSON");
    return NULL;
}

static struct js *bad(struct reader *r) {
    if (r->rc)
        return NULL;
    r->rc = err_sql(r->err, "22P02", "invalid input syntax for type json");
    if (r->p >= r->end)
        err_detail(r->err, "The input string ended unexpectedly.");
    else
        err_detail(r->err, "It is no JSON from byte %zu on.", (size_t)(r->p - r->start) + 1);
    return NULL;
}

struct js *js_new(struct arena *a, enum js_kind kind) {
    struct js *j = arena_zalloc(a, sizeof *j);
    if (j)
        j->kind = kind;
    return j;
}

struct js *js_string(struct arena *a, const char *p, size_t n) {
    struct js *j = js_new(a, JS_STRING);
    char *copy = arena_alloc(a, n + 1);
    if (!j || !copy)
        return NULL;
    if (n)
        memcpy(copy, p, n);
    copy[n] = '\0';
    j->p = copy;
    j->n = (uint32_t)n;
    return j;
}

struct js *js_room(struct arena *a, enum js_kind kind, size_t n) {
    struct js *j = js_new(a, kind);
    if (!j || n > JS_MEMBERS_MAX)
        return NULL;
    j->item = arena_array(a, n + 1, sizeof *j->item);
    j->key = kind == JS_OBJECT ? arena_array(a, n + 1, sizeof *j->key) : NULL;
    return j->item && (j->key || kind != JS_OBJECT) ? j : NULL;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void blanks(struct reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool eat(struct reader *r, char c) {
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static int hex4(const char *p, const char *end) {
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p + i < end ? p[i] : '\0';
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static bool bad_escape(struct reader *r, const char *detail) {
    r->rc = err_sql(r->err, "22P05", "unsupported Unicode escape sequence");
    err_detail(r->err, "%s", detail);
    return false;
}

static bool bad_surrogate(struct reader *r, const char *detail) {
    r->rc = err_sql(r->err, "22P02", "invalid input syntax for type json");
    err_detail(r->err, "%s", detail);
    return false;
}

static void put_point(struct buf *b, uint32_t c) {
    if (c < 0x80) {
        buf_putc(b, (uint8_t)c);
    } else if (c < 0x800) {
        buf_putc(b, (uint8_t)(0xc0 | c >> 6));
        buf_putc(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_putc(b, (uint8_t)(0xe0 | c >> 12));
        buf_putc(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_putc(b, (uint8_t)(0xf0 | c >> 18));
        buf_putc(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        buf_putc(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(b, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* \uXXXX, behind the u; the second half of a pair with it. */
static bool unicode(struct reader *r, struct buf *b) {
    int c = hex4(r->p, r->end);
    if (c < 0) {
        bad(r);
        return false;
    }
    r->p += 4;
    if (c == 0)
        return bad_escape(r, "\\u0000 cannot be converted to text.");
    if (c >= 0xdc00 && c <= 0xdfff)
        return bad_surrogate(r, "Unicode low surrogate must follow a high surrogate.");
    if (c < 0xd800 || c > 0xdbff) {
        put_point(b, (uint32_t)c);
        return true;
    }
    int low = r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u' ? hex4(r->p + 2, r->end) : -1;
    if (low >= 0xd800 && low <= 0xdbff)
        return bad_surrogate(r, "Unicode high surrogate must not follow a high surrogate.");
    if (low < 0xdc00 || low > 0xdfff)
        return bad_surrogate(r, "Unicode low surrogate must follow a high surrogate.");
    r->p += 6;
    put_point(b, 0x10000u + (((uint32_t)c - 0xd800u) << 10) + ((uint32_t)low - 0xdc00u));
    return true;
}

static bool escape(struct reader *r, struct buf *b) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end) {
        bad(r);
        return false;
    }
    char c = *r->p++;
    if (c == 'u')
        return unicode(r, b);
    const char *at = memchr(from, c, sizeof from - 1);
    if (!at) {
        r->p--;
        bad(r);
        return false;
    }
    buf_putc(b, (uint8_t)to[at - from]);
    return true;
}

/* Behind the quote. */
static struct js *string(struct reader *r) {
    const char *from = r->p;
    struct buf b;
    while (r->p < r->end && *r->p != '"' && *r->p != '\\' && (uint8_t)*r->p >= 0x20)
        r->p++;
    if (r->p < r->end && *r->p == '"') { /* nothing to change */
        struct js *j = js_new(r->a, JS_STRING);
        if (!j)
            return out_of_memory(r);
        j->p = from;
        j->n = (uint32_t)(r->p - from);
        r->p++;
        return j;
    }
    buf_init(&b, 0);
    buf_put(&b, from, (size_t)(r->p - from));
    struct js *j = NULL;
    while (!r->rc) {
        if (r->p == r->end || (uint8_t)*r->p < 0x20) {
            bad(r);
            break;
        }
        char c = *r->p++;
        if (c == '"') {
            if (!(j = buf_rc(&b) ? NULL : js_string(r->a, (const char *)b.data, b.len)))
                out_of_memory(r);
            break;
        }
        if (c != '\\')
            buf_putc(&b, (uint8_t)c);
        else if (!escape(r, &b))
            break;
    }
    buf_done(&b);
    return j;
}

static bool digits(struct reader *r) {
    const char *from = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > from;
}

/* As numeric prints it. */
static bool canonical(struct reader *r, struct js *j) {
    struct dec d;
    struct buf b;
    dec_init(&d);
    buf_init(&b, 0);
    r->rc = dec_parse(&d, j->p, j->n, COL_TYPMOD_NONE, r->err);
    if (!r->rc) {
        dec_print(&d, &b);
        const char *copy = buf_rc(&b) ? NULL : arena_copy(r->a, b.data, b.len);
        if (copy) {
            j->p = copy;
            j->n = (uint32_t)b.len;
        } else {
            out_of_memory(r);
        }
    }
    buf_done(&b);
    dec_done(&d);
    return !r->rc;
}

static struct js *number(struct reader *r) {
    const char *from = r->p;
    bool plain = true;
    IGNORE(eat(r, '-'));
    if (!eat(r, '0') && !digits(r))
        return bad(r);
    if (eat(r, '.')) {
        if (!digits(r))
            return bad(r);
    }
    if (eat(r, 'e') || eat(r, 'E')) {
        plain = false;
        if (!eat(r, '+'))
            IGNORE(eat(r, '-'));
        if (!digits(r))
            return bad(r);
    }
    if (r->p < r->end && memchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", *r->p, 63))
        return bad(r);
    struct js *j = js_new(r->a, JS_NUMBER);
    if (!j)
        return out_of_memory(r);
    j->p = from;
    j->n = (uint32_t)(r->p - from);
    /* -0 and -0.0 are 0 and 0.0; a few digits are canonical as they are */
    plain = plain && j->n <= 18 && from[0] != '-';
    return !r->jsonb || plain || canonical(r, j) ? j : NULL;
}

/* Members in an array that doubles. */
struct members {
    struct js **item, **key;
    uint32_t n, cap;
};

static bool members_add(struct reader *r, struct members *m, struct js *key, struct js *item, bool object) {
    if (m->n == m->cap) {
        uint32_t cap = m->cap ? m->cap * 2 : 4;
        struct js **items = cap <= JS_MEMBERS_MAX ? arena_array(r->a, cap, sizeof *items) : NULL;
        struct js **keys = object && items ? arena_array(r->a, cap, sizeof *keys) : NULL;
        if (!items || (object && !keys)) {
            out_of_memory(r);
            return false;
        }
        if (m->n) {
            memcpy(items, m->item, m->n * sizeof *items);
            if (object)
                memcpy(keys, m->key, m->n * sizeof *keys);
        }
        m->item = items;
        m->key = keys;
        m->cap = cap;
    }
    m->item[m->n] = item;
    if (object)
        m->key[m->n] = key;
    m->n++;
    return true;
}

static struct js *word(struct reader *r, const char *w, enum js_kind kind, bool b) {
    size_t n = strlen(w);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, w, n) != 0 ||
        (r->p + n < r->end && memchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", r->p[n], 63)))
        return bad(r);
    struct js *j = js_new(r->a, kind);
    if (!j)
        return out_of_memory(r);
    j->b = b;
    r->p += n;
    return j;
}

/* ---- containers: what is open is a list, nothing of it is on the C stack ---------------------------------------- */

struct open {
    struct open *up;
    struct js *j;
    struct members m;
    struct js *key;
    const char *from;
};

static bool key(struct reader *r, struct open *o) {
    blanks(r);
    if (!eat(r, '"')) {
        bad(r);
        return false;
    }
    o->key = string(r);
    blanks(r);
    if (o->key && !eat(r, ':'))
        bad(r);
    return !r->rc;
}

static struct js *scalar(struct reader *r) {
    switch (*r->p) {
    case '"':
        r->p++;
        return string(r);
    case 't':
        return word(r, "true", JS_BOOL, true);
    case 'f':
        return word(r, "false", JS_BOOL, false);
    case 'n':
        return word(r, "null", JS_NULL, false);
    default:
        return number(r);
    }
}

static struct open *enter(struct reader *r, struct open *up) {
    struct open *o = arena_zalloc(r->a, sizeof *o);
    if (r->depth == JS_DEPTH_MAX) {
        r->rc = err_sql(r->err, "54001", "stack depth limit exceeded");
        err_hint(r->err, "JSON values may nest %d levels deep.", JS_DEPTH_MAX);
        return NULL;
    }
    if (!o || !(o->j = js_new(r->a, *r->p == '{' ? JS_OBJECT : JS_ARRAY)))
        return out_of_memory(r);
    o->up = up;
    o->from = r->p++;
    r->depth++;
    return o;
}

static struct js *leave(struct reader *r, struct open **top) {
    struct open *o = *top;
    o->j->item = o->m.item;
    o->j->key = o->m.key;
    o->j->n = o->m.n;
    o->j->text = o->from;
    o->j->text_bytes = (uint32_t)(r->p - o->from);
    if (o->j->kind == JS_OBJECT && r->jsonb)
        js_sort(o->j);
    *top = o->up;
    r->depth--;
    return o->j;
}

static struct js *value(struct reader *r) {
    struct open *top = NULL;
    for (;;) { /* a value begins here */
        struct js *done = NULL;
        blanks(r);
        if (r->p == r->end)
            return bad(r);
        if (*r->p == '{' || *r->p == '[') {
            if (!(top = enter(r, top)))
                return NULL;
            blanks(r);
            if (eat(r, top->j->kind == JS_OBJECT ? '}' : ']'))
                done = leave(r, &top);
            else if (top->j->kind == JS_OBJECT && !key(r, top))
                return NULL;
        } else {
            const char *from = r->p;
            if (!(done = scalar(r)))
                return NULL;
            done->text = from;
            done->text_bytes = (uint32_t)(r->p - from);
        }
        while (done) { /* it is complete: so may be what it stands in */
            if (!top)
                return done;
            bool object = top->j->kind == JS_OBJECT;
            if (!members_add(r, &top->m, top->key, done, object))
                return NULL;
            done = NULL;
            blanks(r);
            if (eat(r, ',')) {
                if (object && !key(r, top))
                    return NULL;
                break;
            }
            if (!eat(r, object ? '}' : ']'))
                return bad(r);
            done = leave(r, &top);
        }
    }
}

enum rc js_parse(struct arena *a, const char *text, size_t bytes, bool jsonb, struct js **ret, struct err *err) {
    struct reader r = {.a = a, .start = text, .p = text, .end = text + bytes, .jsonb = jsonb, .err = err};
    struct js *j = value(&r);
    if (j) {
        blanks(&r);
        if (r.p < r.end)
            j = bad(&r);
    }
    if (!j)
        return r.rc;
    *ret = j;
    return RC_OK;
}

/* ---- order ----------------------------------------------------------------------------------------------------------- */

static int key_order(const struct js *a, const struct js *b) {
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return memcmp(a->p, b->p, a->n);
}

struct pair {
    struct js *key, *item;
    uint32_t at;
};

static int pair_order(const void *x, const void *y) {
    const struct pair *a = x, *b = y;
    int r = key_order(a->key, b->key);
    return r ? r : a->at < b->at ? -1 : 1;
}

void js_sort(struct js *o) {
    bool sorted = true;
    for (uint32_t i = 1; i < o->n && sorted; i++)
        sorted = key_order(o->key[i - 1], o->key[i]) < 0;
    if (sorted)
        return;
    struct pair few[64], *p = o->n <= ARRAY_LEN(few) ? few : malloc(o->n * sizeof *p);
    if (!p) { /* slowly, but without memory: insertion, later ones behind */
        for (uint32_t i = 1; i < o->n; i++)
            for (uint32_t k = i; k > 0 && key_order(o->key[k - 1], o->key[k]) > 0; k--) {
                struct js *key = o->key[k], *item = o->item[k];
                o->key[k] = o->key[k - 1];
                o->item[k] = o->item[k - 1];
                o->key[k - 1] = key;
                o->item[k - 1] = item;
            }
    } else {
        for (uint32_t i = 0; i < o->n; i++)
            p[i] = (struct pair){o->key[i], o->item[i], i};
        qsort(p, o->n, sizeof *p, pair_order);
        for (uint32_t i = 0; i < o->n; i++) {
            o->key[i] = p[i].key;
            o->item[i] = p[i].item;
        }
        if (p != few)
            free(p);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n; i++) {
        if (n && key_order(o->key[n - 1], o->key[i]) == 0)
            n--;
        o->key[n] = o->key[i];
        o->item[n++] = o->item[i];
    }
    o->n = n;
}

static int text_order(const struct js *a, const struct js *b) {
    int r = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
    return r ? r : a->n < b->n ? -1 : a->n > b->n;
}

static int number_order(const struct js *a, const struct js *b) {
    struct dec x, y;
    int r = 0;
    if (a->n == b->n && memcmp(a->p, b->p, a->n) == 0)
        return 0;
    dec_init(&x);
    dec_init(&y);
    if (dec_parse(&x, a->p, a->n, COL_TYPMOD_NONE, NULL) || dec_parse(&y, b->p, b->n, COL_TYPMOD_NONE, NULL))
        r = text_order(a, b);
    else
        r = dec_compare(&x, &y);
    dec_done(&x);
    dec_done(&y);
    return r;
}

static int order(const struct js *a, const struct js *b) {
    int r = 0;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case JS_NULL:
        return 0;
    case JS_BOOL:
        return a->b - b->b;
    case JS_STRING:
        return text_order(a, b);
    case JS_NUMBER:
        return number_order(a, b);
    default:
        break;
    }
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (uint32_t i = 0; i < a->n && !r; i++) {
        if (a->kind == JS_OBJECT)
            r = text_order(a->key[i], b->key[i]);
        if (!r)
            r = order(a->item[i], b->item[i]);
    }
    return r;
}

/* A scalar by itself is an array of one to PostgreSQL, and smaller than a real one of as many; so an empty array is the least. */
int js_compare(const struct js *a, const struct js *b) {
    bool scalar_a = a->kind < JS_ARRAY, scalar_b = b->kind < JS_ARRAY;
    if (scalar_a == scalar_b)
        return order(a, b);
    const struct js *whole = scalar_a ? b : a;
    int sign = scalar_a ? -1 : 1;
    if (whole->kind == JS_OBJECT)
        return sign;
    return whole->n == 0 ? -sign : sign;
}

bool js_equal(const struct js *a, const struct js *b) {
    return a->kind == b->kind && order(a, b) == 0;
}

struct js *js_get(const struct js *o, const char *key, size_t bytes) {
    if (o->kind != JS_OBJECT)
        return NULL;
    for (uint32_t i = o->n; i-- > 0;)
        if (o->key[i]->n == bytes && memcmp(o->key[i]->p, key, bytes) == 0)
            return o->item[i];
    return NULL;
}

/* ---- printing -------------------------------------------------------------------------------------------------------- */

void js_print_string(const char *p, size_t n, struct buf *out) {
    static const char names[] = "btn\0fr"; /* \b is 8 */
    buf_putc(out, '"');
    for (size_t i = 0, from = 0; i <= n; i++) {
        uint8_t c = i < n ? (uint8_t)p[i] : 0;
        if (i < n && c >= 0x20 && c != '"' && c != '\\')
            continue;
        if (i > from) /* p may be NULL where n is 0 */
            buf_put(out, p + from, i - from);
        from = i + 1;
        if (i == n)
            break;
        if (c == '"' || c == '\\') {
            buf_putc(out, '\\');
            buf_putc(out, c);
        } else if (c >= 8 && c <= 13 && names[c - 8]) {
            buf_putc(out, '\\');
            buf_putc(out, (uint8_t)names[c - 8]);
        } else {
            buf_printf(out, "\\u%04x", c);
        }
    }
    buf_putc(out, '"');
}

static void print_flat(const struct js *j, struct buf *out) {
    switch (j->kind) {
    case JS_NULL:
        buf_puts(out, "null");
        break;
    case JS_BOOL:
        buf_puts(out, j->b ? "true" : "false");
        break;
    case JS_NUMBER:
        buf_put(out, j->p, j->n);
        break;
    case JS_STRING:
        js_print_string(j->p, j->n, out);
        break;
    case JS_ARRAY:
        buf_puts(out, "[]");
        break;
    case JS_OBJECT:
        buf_puts(out, "{}");
        break;
    }
}

/* What is being printed is a list through the values themselves: this runs on small stacks too. */
void js_print(const struct js *j, struct buf *out) {
    struct js *top = NULL;
    for (const struct js *next = j;;) {
        if (next->kind >= JS_ARRAY && next->n > 0) {
            struct js *c = (struct js *)(uintptr_t)next;
            buf_putc(out, c->kind == JS_OBJECT ? '{' : '[');
            c->at = 0;
            c->up = top;
            top = c;
        } else {
            print_flat(next, out);
        }
        while (top && top->at == top->n) {
            buf_putc(out, top->kind == JS_OBJECT ? '}' : ']');
            top = top->up;
        }
        if (!top)
            return;
        buf_puts(out, top->at ? ", " : "");
        if (top->kind == JS_OBJECT) {
            js_print_string(top->key[top->at]->p, top->key[top->at]->n, out);
            buf_puts(out, ": ");
        }
        next = top->item[top->at++];
    }
}
