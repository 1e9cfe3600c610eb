/* SPDX-License-Identifier: Apache-2.0 */
/* json.c: a recursive descent over RFC 8259's grammar. */
#include "geo-sim/report/json.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, NUMBER_BYTES = 64 };

struct reader {
    const char *text, *at, *end;
    struct arena *arena;
    const char *wrong; /* the first thing that was wrong */
    bool nomem;
};

static struct json *value(struct reader *r, unsigned depth);

static struct json *fail(struct reader *r, const char *what) {
    if (!r->wrong)
        r->wrong = what;
    return NULL;
}

static void blanks(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static struct json *node(struct reader *r, enum json_kind kind) {
    struct json *j = arena_new(r->arena, struct json);
    if (!j) {
        r->nomem = true;
        return fail(r, "out of memory");
    }
    j->kind = kind;
    return j;
}

static bool word(struct reader *r, const char *w) {
    size_t n = strlen(w);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, w, n) != 0)
        return false;
    r->at += n;
    return true;
}

static int hex4(struct reader *r) {
    int v = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        if (r->at == r->end)
            return -1;
        char c = *r->at;
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

static size_t put_utf8(char *to, unsigned c) {
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 63));
        to[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* Behind \u. */
static bool escape_u(struct reader *r, char *to, size_t *n) {
    int c = hex4(r);
    if (c < 0)
        return false;
    if (c >= 0xd800 && c < 0xdc00) {
        if (!word(r, "\\u"))
            return false;
        int low = hex4(r);
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c == 0 || (c >= 0xdc00 && c <= 0xdfff)) {
        return false;
    }
    *n += put_utf8(to + *n, (unsigned)c);
    return true;
}

/* At the quote. The text is never longer than what it is written as. */
static const char *string(struct reader *r) {
    static const char from[] = "\"\\/bfnrt", as[] = "\"\\/\b\f\n\r\t";
    const char *close = ++r->at;
    while (close < r->end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= r->end) {
        fail(r, "a string without an end");
        return NULL;
    }
    char *to = arena_alloc(r->arena, (size_t)(close - r->at) + 1);
    size_t n = 0;
    if (!to) {
        r->nomem = true;
        fail(r, "out of memory");
        return NULL;
    }
    while (r->at < close) {
        char c = *r->at++;
        const char *e;
        if ((unsigned char)c < 0x20) {
            fail(r, "a control character in a string");
            return NULL;
        }
        if (c != '\\') {
            to[n++] = c;
        } else if (*r->at == 'u') {
            r->at++;
            if (!escape_u(r, to, &n)) {
                fail(r, "a wrong \\u");
                return NULL;
            }
        } else if ((e = strchr(from, *r->at)) && *e) {
            to[n++] = as[e - from];
            r->at++;
        } else {
            fail(r, "a wrong escape");
            return NULL;
        }
    }
    to[n] = '\0';
    r->at = close + 1;
    return to;
}

static struct json *number(struct reader *r) {
    char copy[NUMBER_BYTES], *end;
    size_t n = 0;
    while (r->at + n < r->end && n + 1 < sizeof copy && r->at[n] != '\0' && strchr("+-.eE0123456789", r->at[n]))
        n++;
    memcpy(copy, r->at, n);
    copy[n] = '\0';
    size_t digits = copy[0] == '-';
    bool good = copy[digits] >= '0' && copy[digits] <= '9' &&
                !(copy[digits] == '0' && copy[digits + 1] >= '0' && copy[digits + 1] <= '9');
    double v = strtod(copy, &end);
    if (!good || *end || end[-1] == '.')
        return fail(r, "a wrong number");
    struct json *j = node(r, JSON_NUMBER);
    if (j)
        j->number = v;
    r->at += n;
    return j;
}

static bool member(struct reader *r, struct json *all, struct json ***tail, unsigned depth) {
    const char *name = NULL;
    blanks(r);
    if (all->kind == JSON_OBJECT) {
        if (r->at == r->end || *r->at != '"')
            return fail(r, "a name is missing") != NULL;
        if (!(name = string(r)))
            return false;
        blanks(r);
        if (!word(r, ":"))
            return fail(r, "\":\" is missing") != NULL;
    }
    struct json *j = value(r, depth + 1);
    if (!j)
        return false;
    j->name = name;
    **tail = j;
    *tail = &j->next;
    all->count++;
    blanks(r);
    return true;
}

static struct json *members(struct reader *r, enum json_kind kind, unsigned depth) {
    struct json *all = node(r, kind);
    if (!all)
        return NULL;
    struct json **tail = &all->first;
    const char *close = kind == JSON_OBJECT ? "}" : "]";
    r->at++;
    blanks(r);
    if (word(r, close))
        return all;
    do {
        if (!member(r, all, &tail, depth))
            return NULL;
    } while (word(r, ","));
    return word(r, close) ? all : fail(r, "\",\" or the end of a list is missing");
}

static struct json *value(struct reader *r, unsigned depth) {
    struct json *j;
    blanks(r);
    if (depth > DEPTH_MAX)
        return fail(r, "too deep");
    if (r->at == r->end)
        return fail(r, "a value is missing");
    if (*r->at == '{' || *r->at == '[')
        return members(r, *r->at == '{' ? JSON_OBJECT : JSON_ARRAY, depth);
    if (*r->at == '"') {
        const char *text = string(r);
        j = text ? node(r, JSON_STRING) : NULL;
        if (j)
            j->text = text;
        return j;
    }
    if (word(r, "null"))
        return node(r, JSON_NULL);
    bool yes = word(r, "true");
    if (yes || word(r, "false")) {
        j = node(r, JSON_BOOL);
        if (j)
            j->number = yes;
        return j;
    }
    return number(r);
}

enum rc json_parse(const char *text, size_t bytes, struct arena *a, const struct json **ret, struct err *err) {
    struct reader r = {.text = text, .at = text, .end = text + bytes, .arena = a};
    const struct json *j = value(&r, 0);
    blanks(&r);
    if (j && r.at != r.end)
        j = fail(&r, "something stands behind the end");
    if (!j)
        return err_set(err, r.nomem ? RC_NOMEM : RC_INVAL, "no JSON: %s at byte %zu", r.wrong, (size_t)(r.at - text));
    *ret = j;
    return RC_OK;
}

const struct json *json_get(const struct json *object, const char *name) {
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    for (const struct json *j = object->first; j; j = j->next)
        if (strcmp(j->name, name) == 0)
            return j;
    return NULL;
}

const struct json *json_first(const struct json *array) {
    return array && (array->kind == JSON_ARRAY || array->kind == JSON_OBJECT) ? array->first : NULL;
}

size_t json_count(const struct json *array) {
    return array ? array->count : 0;
}

double json_number(const struct json *j, double otherwise) {
    return j && j->kind == JSON_NUMBER ? j->number : otherwise;
}

int64_t json_int(const struct json *j, int64_t otherwise) {
    double v = json_number(j, (double)otherwise);
    return v >= -9.2e18 && v <= 9.2e18 ? (int64_t)v : otherwise;
}

bool json_bool(const struct json *j, bool otherwise) {
    return j && j->kind == JSON_BOOL ? j->number != 0 : otherwise;
}

const char *json_text(const struct json *j, const char *otherwise) {
    return j && j->kind == JSON_STRING ? j->text : otherwise;
}

void json_put_text(struct buf *out, const char *text) {
    buf_putc(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_printf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            buf_printf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            buf_putc(out, *text);
    }
    buf_putc(out, '"');
}
