/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lex.h: as much of SQL's lexical structure as a client needs: where a statement ends, and which words stand in it.
 *
 * Promise     Quoted texts ('...', E'...', "...", $tag$...$tag$), comments (nested ones too) and parentheses are seen as
 *             PostgreSQL sees them with standard_conforming_strings on, so a semicolon inside of them ends nothing. Any bytes
 *             are accepted.
 * Relies on   nothing.
 * Threads     any.
 * Source      PostgreSQL 15's manual, 4.1 "Lexical Structure".
 */
#ifndef MERIDIAN_TXN_API_LEX_H
#define MERIDIAN_TXN_API_LEX_H

#include <stdbool.h>
#include <stddef.h>

enum lex_kind {
    LEX_END,       /* the text is at its end */
    LEX_BLANK,     /* blanks and comments */
    LEX_WORD,      /* a keyword or a plain name */
    LEX_QUOTED,    /* "name" */
    LEX_STRING,    /* '...', E'...', B'...', X'...', U&'...', $$...$$ */
    LEX_NUMBER,    /* also $1 */
    LEX_SEMICOLON, /* also one inside of parentheses: lex.depth tells */
    LEX_OPEN,
    LEX_CLOSE,
    LEX_COLON, /* a single ':' */
    LEX_BACKSLASH,
    LEX_OTHER,
};

/* What is open at the end of a text: psql shows it in the prompt. */
enum lex_open { LEX_OPEN_NONE, LEX_OPEN_STRING, LEX_OPEN_QUOTED, LEX_OPEN_DOLLAR, LEX_OPEN_COMMENT };

struct lex {
    const char *text;
    size_t bytes, at;
    int depth; /* open parentheses */
    enum lex_open open;
    const char *token; /* the last one */
    size_t token_bytes;
};

void lex_init(struct lex *l, const char *text, size_t bytes);
enum lex_kind lex_next(struct lex *l);

/* Bytes up to and with the semicolon that ends the first statement; 0: none does. */
size_t lex_statement(const char *text, size_t bytes);
/* Nothing but blanks, comments and semicolons. */
bool lex_is_blank(const char *text, size_t bytes);
/* The first word in lower case, cut to what fits; "" if it begins with none. */
void lex_first_word(const char *text, size_t bytes, char *ret, size_t ret_bytes);
/* Whether a word (lower case) stands in it, outside of quotes and comments. */
bool lex_has_word(const char *text, size_t bytes, const char *word);

#endif
