/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c: is it JSON (RFC 8259, as PostgreSQL's json type takes it)? One pass; a bit a level says what is open there, so
 * nothing is on the C stack.
 */
#include <string.h>

#include "sql/types/types_internal.h"

enum { DEPTH_MAX = 6000 };

struct json {
    const char *p, *end;
    uint8_t object[DEPTH_MAX / 8 + 1]; /* bit of a level: 1 = object, 0 = array */
    int depth;
};

static void blanks(struct json *j) {
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
        j->p++;
}

static bool eat(struct json *j, char c) {
    if (j->p == j->end || *j->p != c)
        return false;
    j->p++;
    return true;
}

static bool digits(struct json *j) {
    const char *from = j->p;
    while (j->p < j->end && *j->p >= '0' && *j->p <= '9')
        j->p++;
    return j->p > from;
}

static bool string(struct json *j) {
    if (!eat(j, '"'))
        return false;
    while (j->p < j->end) {
        uint8_t c = (uint8_t)*j->p++;
        if (c == '"')
            return true;
        if (c < 0x20)
            return false;
        if (c != '\\')
            continue;
        if (j->p == j->end)
            return false;
        c = (uint8_t)*j->p++;
        if (c == 'u') {
            for (int i = 0; i < 4; i++, j->p++)
                if (j->p == j->end || !memchr("0123456789abcdefABCDEF", *j->p, 22))
                    return false;
        } else if (!memchr("\"\\/bfnrt", c, 8))
            return false;
    }
    return false;
}

static bool number(struct json *j) {
    IGNORE(eat(j, '-'));
    if (!eat(j, '0') && !digits(j))
        return false;
    if (eat(j, '.') && !digits(j))
        return false;
    if (eat(j, 'e') || eat(j, 'E')) {
        if (!eat(j, '+'))
            IGNORE(eat(j, '-'));
        if (!digits(j))
            return false;
    }
    /* 1a and 01 are no numbers, nor two tokens */
    return j->p == j->end || !memchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", *j->p, 63);
}

static bool word(struct json *j, const char *w) {
    size_t n = strlen(w);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, w, n) != 0)
        return false;
    j->p += n;
    return true;
}

static bool key(struct json *j) {
    blanks(j);
    if (!string(j))
        return false;
    blanks(j);
    return eat(j, ':');
}

static bool in_object(const struct json *j) {
    int level = j->depth - 1;
    return j->object[level / 8] >> (level % 8) & 1;
}

/* Opens an object or array; *ret_closed: it was empty. */
static bool enter(struct json *j, bool object, bool *ret_closed) {
    blanks(j);
    *ret_closed = eat(j, object ? '}' : ']');
    if (*ret_closed)
        return true;
    if (j->depth == DEPTH_MAX)
        return false;
    int level = j->depth++;
    uint8_t bit = (uint8_t)(1 << (level % 8));
    j->object[level / 8] = (uint8_t)(object ? j->object[level / 8] | bit : j->object[level / 8] & ~bit);
    return !object || key(j);
}

static bool document(struct json *j) {
    for (;;) { /* a value begins here */
        bool done = true, good;
        blanks(j);
        if (j->p == j->end)
            return false;
        switch (*j->p) {
        case '{':
        case '[': {
            bool object = *j->p++ == '{';
            good = enter(j, object, &done);
            break;
        }
        case '"':
            good = string(j);
            break;
        case 't':
            good = word(j, "true");
            break;
        case 'f':
            good = word(j, "false");
            break;
        case 'n':
            good = word(j, "null");
            break;
        default:
            good = number(j);
            break;
        }
        if (!good)
            return false;
        if (!done)
            continue;
        /* it ends here: what was open may end too, or go on */
        for (;;) {
            blanks(j);
            if (j->depth == 0)
                return j->p == j->end;
            if (eat(j, ',')) {
                if (in_object(j) && !key(j))
                    return false;
                break;
            }
            if (!eat(j, in_object(j) ? '}' : ']'))
                return false;
            j->depth--;
        }
    }
}

enum rc json_check(const char *text, size_t bytes, struct err *err) {
    struct json j = {.p = text, .end = text + bytes};
    if (document(&j))
        return RC_OK;
    err_sql(err, j.depth == DEPTH_MAX ? "54001" : "22P02", "invalid input syntax for type json");
    err_detail(err, "It is no JSON from byte %zu on.", (size_t)(j.p - text) + 1);
    return RC_SQL;
}
