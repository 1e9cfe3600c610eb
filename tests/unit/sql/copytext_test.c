/* SPDX-License-Identifier: Apache-2.0 */
/* COPY's formats: what PostgreSQL writes is read, in pieces of any size; what is written reads back. */
#include "sql/run/copytext.h"

#include <string.h>

#include "tests/lib/tap.h"

struct seen {
    struct buf b;
};

/* Fields as "a|b|<null>;" */
static enum rc on_row(void *ctx, const struct copytext_field *f, size_t n, struct err *err) {
    struct seen *s = ctx;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(&s->b, '|');
        if (f[i].null)
            buf_puts(&s->b, "<null>");
        else
            buf_put(&s->b, f[i].p, f[i].bytes);
    }
    buf_putc(&s->b, ';');
    return RC_OK;
}

static void reads(const struct copytext *f, const char *text, const char *want) {
    size_t bytes = strlen(text);
    for (size_t piece = 1; piece <= bytes + 1; piece++) {
        struct copytext_reader r;
        struct seen s;
        struct err err = {0};
        enum rc rc = RC_OK;
        buf_init(&s.b, 0);
        OK(!copytext_reader_init(&r, f));
        for (size_t at = 0; at < bytes && !rc; at += piece)
            rc = copytext_feed(&r, text + at, bytes - at < piece ? bytes - at : piece, false, on_row, &s, &err);
        if (!rc)
            rc = copytext_feed(&r, "", 0, true, on_row, &s, &err);
        if (rc)
            buf_printf(&s.b, "%s %s", err_sqlstate(&err), err_message(&err));
        if (strcmp(buf_cstr(&s.b), want) != 0) {
            EQ_STR(buf_cstr(&s.b), want);
            tap_diag("in pieces of %zu", piece);
        }
        copytext_reader_done(&r);
        buf_done(&s.b);
    }
    OKF(!tap_failing(), "%s", want);
}

static void text_is_read(void) {
    struct copytext f = copytext_defaults(false);
    reads(&f, "1\tone\n2\t\\N\n", "1|one;2|<null>;");
    reads(&f, "a\\tb\\nc\\\\d\t\\x41\\102\\.\n", "a\tb\nc\\d|AB.;");
    reads(&f, "no end", "no end;");
    reads(&f, "1\r\n2\r\n", "1;2;");
    reads(&f, "1\n\\.\n2\n", "1;");
    reads(&f, "\n", ";");
    reads(&f, "a\\\nb\n", "a\nb;");
    f.delimiter = '|';
    memcpy(f.null_text, "nil", 4);
    reads(&f, "nil|x\\|y\n", "<null>|x|y;");
}

static void csv_is_read(void) {
    struct copytext f = copytext_defaults(true);
    reads(&f, "1,one\n2,\n3,\"\"\n", "1|one;2|<null>;3|;");
    reads(&f, "\"a,\"\"b\"\"\nc\",d\n", "a,\"b\"\nc|d;");
    reads(&f, "x\"y\"z\n", "xyz;");
    reads(&f, "\"open\n", "22P04 unterminated CSV quoted field");
    f.header = true;
    reads(&f, "a,b\n1,2\n", "1|2;");
    f.escape = '\\';
    reads(&f, "a\n\"q\\\"r\"\n", "q\"r;");
}

static void what_is_written_reads_back(void) {
    static const struct copytext_field fields[] = {{"plain", 5, false},    {"", 0, false},
                                                   {"", 0, true},          {"tab\tnl\n\\ \r", 10, false},
                                                   {"q\"uo,te", 7, false}, {"\\N", 2, false}};
    for (int csv = 0; csv < 2; csv++) {
        struct copytext f = copytext_defaults(csv);
        struct copytext_reader r;
        struct seen s;
        struct buf b;
        struct err err;
        buf_init(&b, 0);
        buf_init(&s.b, 0);
        copytext_write(&f, fields, ARRAY_LEN(fields), &b);
        OK(!copytext_reader_init(&r, &f));
        EQ_INT(copytext_feed(&r, b.data, b.len, true, on_row, &s, &err), RC_OK);
        EQ_STR(buf_cstr(&s.b), "plain||<null>|tab\tnl\n\\ \r|q\"uo,te|\\N;");
        copytext_reader_done(&r);
        buf_done(&b);
        buf_done(&s.b);
    }
}

static void options_must_fit(void) {
    struct copytext f = copytext_defaults(true);
    struct err err;
    EQ_INT(copytext_check(&f, &err), RC_OK);
    f.delimiter = '"';
    EQ_INT(copytext_check(&f, &err), RC_SQL);
    f = copytext_defaults(false);
    f.delimiter = 'a';
    EQ_INT(copytext_check(&f, &err), RC_SQL);
    EQ_STR(err_sqlstate(&err), "22023");
}

int main(void) {
    RUN(text_is_read);
    RUN(csv_is_read);
    RUN(what_is_written_reads_back);
    RUN(options_must_fit);
    return tap_done();
}
