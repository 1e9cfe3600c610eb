/* SPDX-License-Identifier: Apache-2.0 */
/* pgmsg.c: see pgmsg.h. A message is a type byte, a length that counts itself but not the type, and the body. */
#include "sql/pgwire/pgmsg.h"

#include <stdio.h>

size_t pg_begin(struct buf *b, char type) {
    size_t at = b->len;
    buf_putc(b, (uint8_t)type);
    buf_put_u32be(b, 0);
    return at;
}

void pg_end(struct buf *b, size_t at) {
    if (buf_rc(b) == RC_OK)
        set_u32be(b->data + at + 1, (uint32_t)(b->len - at - 1));
}

void pg_puts(struct buf *b, const char *s) {
    buf_put(b, s, strlen(s) + 1);
}

void pg_bare(struct buf *b, char type) {
    pg_end(b, pg_begin(b, type));
}

static void field(struct buf *b, char code, const char *text) {
    if (!text[0])
        return;
    buf_putc(b, (uint8_t)code);
    pg_puts(b, text);
}

void pg_error(struct buf *b, char type, const char *severity, const struct err *err) {
    static const char codes[ERR_OBJECTS] = {
        [ERR_SCHEMA] = 's', [ERR_TABLE] = 't', [ERR_COLUMN] = 'c', [ERR_TYPE] = 'd', [ERR_CONSTRAINT] = 'n'};
    char position[16] = "";
    size_t at = pg_begin(b, type);
    field(b, 'S', severity);
    field(b, 'V', severity);
    field(b, 'C', err_sqlstate(err));
    field(b, 'M', err_message(err));
    field(b, 'D', err->detail);
    field(b, 'H', err->hint);
    if (err->position)
        snprintf(position, sizeof position, "%d", err->position);
    field(b, 'P', position);
    for (int i = 0; i < ERR_OBJECTS; i++)
        field(b, codes[i], err->object[i]);
    buf_putc(b, 0);
    pg_end(b, at);
}

void pg_ready(struct buf *b, char state) {
    size_t at = pg_begin(b, 'Z');
    buf_putc(b, (uint8_t)state);
    pg_end(b, at);
}

void pg_parameter(struct buf *b, const char *name, const char *value) {
    size_t at = pg_begin(b, 'S');
    pg_puts(b, name);
    pg_puts(b, value);
    pg_end(b, at);
}

void pg_complete(struct buf *b, const char *tag) {
    size_t at = pg_begin(b, 'C');
    pg_puts(b, tag);
    pg_end(b, at);
}

const char *pg_text(struct rd *r) {
    const uint8_t *zero = r->bad ? NULL : memchr(r->at, 0, rd_left(r));
    if (!zero) {
        r->bad = true;
        return NULL;
    }
    return (const char *)rd_bytes(r, (size_t)(zero - r->at) + 1);
}
