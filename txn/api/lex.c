/* SPDX-License-Identifier: Apache-2.0 */
/* lex.c: see lex.h. One token at a time, by its first byte. */
#include "txn/api/lex.h"

#include <string.h>
#include <strings.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_inner(char c) {
    return is_start(c) || is_digit(c) || c == '$';
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

void lex_init(struct lex *l, const char *text, size_t bytes) {
    *l = (struct lex){.text = text, .bytes = bytes};
}

static char look(const struct lex *l, size_t ahead) {
    return l->at + ahead < l->bytes ? l->text[l->at + ahead] : '\0';
}

/* From an opening quote to behind its closing one; doubled quotes stay inside. */
static void quoted(struct lex *l, char quote, bool escapes, enum lex_open what) {
    l->at++;
    for (; l->at < l->bytes; l->at++) {
        char c = l->text[l->at];
        if (escapes && c == '\\' && l->at + 1 < l->bytes) {
            l->at++;
        } else if (c == quote) {
            if (look(l, 1) != quote) {
                l->at++;
                return;
            }
            l->at++;
        }
    }
    l->open = what;
}

static void comment(struct lex *l) {
    int nested = 0;
    while (l->at < l->bytes) {
        if (look(l, 0) == '/' && look(l, 1) == '*') {
            nested++;
            l->at += 2;
        } else if (look(l, 0) == '*' && look(l, 1) == '/') {
            l->at += 2;
            if (--nested == 0)
                return;
        } else {
            l->at++;
        }
    }
    l->open = LEX_OPEN_COMMENT;
}

/* $tag$...$tag$; false: no such thing begins here. */
static bool dollar(struct lex *l) {
    size_t tag = 1;
    if (is_digit(look(l, 1)))
        return false;
    while (is_inner(look(l, tag)) && look(l, tag) != '$')
        tag++;
    if (look(l, tag) != '$')
        return false;
    tag++;
    const char *begin = l->text + l->at;
    size_t left = l->bytes - l->at - tag;
    const char *end = memmem(begin + tag, left, begin, tag);
    if (end) {
        l->at = (size_t)(end - l->text) + tag;
    } else {
        l->at = l->bytes;
        l->open = LEX_OPEN_DOLLAR;
    }
    return true;
}

static enum lex_kind blanks(struct lex *l) {
    for (;;) {
        if (is_blank(look(l, 0)) && l->at < l->bytes) {
            l->at++;
        } else if (look(l, 0) == '-' && look(l, 1) == '-') {
            while (l->at < l->bytes && l->text[l->at] != '\n')
                l->at++;
        } else if (look(l, 0) == '/' && look(l, 1) == '*') {
            comment(l);
        } else {
            return LEX_BLANK;
        }
    }
}

static enum lex_kind word(struct lex *l) {
    char c = look(l, 0), next = look(l, 1);
    if (next == '\'' && strchr("eEbBxXnN", c)) {
        l->at++;
        quoted(l, '\'', c == 'e' || c == 'E', LEX_OPEN_STRING);
        return LEX_STRING;
    }
    if ((c == 'u' || c == 'U') && next == '&' && (look(l, 2) == '\'' || look(l, 2) == '"')) {
        char quote = look(l, 2);
        l->at += 2;
        quoted(l, quote, false, quote == '"' ? LEX_OPEN_QUOTED : LEX_OPEN_STRING);
        return quote == '"' ? LEX_QUOTED : LEX_STRING;
    }
    while (l->at < l->bytes && is_inner(l->text[l->at]))
        l->at++;
    return LEX_WORD;
}

static enum lex_kind mark(struct lex *l) {
    switch (l->text[l->at++]) {
    case ';':
        return LEX_SEMICOLON;
    case '(':
        l->depth++;
        return LEX_OPEN;
    case ')':
        if (l->depth > 0)
            l->depth--;
        return LEX_CLOSE;
    case '\\':
        return LEX_BACKSLASH;
    case ':':
        if (look(l, 0) == ':' || look(l, 0) == '=') {
            l->at++;
            return LEX_OTHER;
        }
        return LEX_COLON;
    default:
        return LEX_OTHER;
    }
}

static enum lex_kind token(struct lex *l) {
    char c = look(l, 0);
    if (is_blank(c) || (c == '-' && look(l, 1) == '-') || (c == '/' && look(l, 1) == '*'))
        return blanks(l);
    if (is_start(c))
        return word(l);
    if (is_digit(c) || (c == '$' && is_digit(look(l, 1)))) {
        l->at++;
        while (l->at < l->bytes && (is_digit(l->text[l->at]) || l->text[l->at] == '.'))
            l->at++;
        return LEX_NUMBER;
    }
    if (c == '\'') {
        quoted(l, '\'', false, LEX_OPEN_STRING);
        return LEX_STRING;
    }
    if (c == '"') {
        quoted(l, '"', false, LEX_OPEN_QUOTED);
        return LEX_QUOTED;
    }
    if (c == '$' && dollar(l))
        return LEX_STRING;
    return mark(l);
}

enum lex_kind lex_next(struct lex *l) {
    l->token = l->text + l->at;
    if (l->at >= l->bytes) {
        l->token_bytes = 0;
        return LEX_END;
    }
    enum lex_kind kind = token(l);
    l->token_bytes = (size_t)(l->text + l->at - l->token);
    return kind;
}

size_t lex_statement(const char *text, size_t bytes) {
    struct lex l;
    enum lex_kind kind;
    lex_init(&l, text, bytes);
    while ((kind = lex_next(&l)) != LEX_END)
        if (kind == LEX_SEMICOLON && l.depth == 0)
            return l.at;
    return 0;
}

bool lex_is_blank(const char *text, size_t bytes) {
    struct lex l;
    enum lex_kind kind;
    lex_init(&l, text, bytes);
    while ((kind = lex_next(&l)) == LEX_BLANK || kind == LEX_SEMICOLON) {
    }
    return kind == LEX_END;
}

void lex_first_word(const char *text, size_t bytes, char *ret, size_t ret_bytes) {
    struct lex l;
    enum lex_kind kind;
    lex_init(&l, text, bytes);
    while ((kind = lex_next(&l)) == LEX_BLANK || kind == LEX_SEMICOLON) {
    }
    size_t n = kind == LEX_WORD ? l.token_bytes : 0;
    if (n >= ret_bytes)
        n = ret_bytes - 1;
    for (size_t i = 0; i < n; i++)
        ret[i] = l.token[i] >= 'A' && l.token[i] <= 'Z' ? (char)(l.token[i] + 32) : l.token[i];
    ret[n] = '\0';
}

bool lex_has_word(const char *text, size_t bytes, const char *word_) {
    struct lex l;
    enum lex_kind kind;
    size_t n = strlen(word_);
    lex_init(&l, text, bytes);
    while ((kind = lex_next(&l)) != LEX_END)
        if (kind == LEX_WORD && l.token_bytes == n && strncasecmp(l.token, word_, n) == 0)
            return true;
    return false;
}
