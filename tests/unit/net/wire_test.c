/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope's messages: Status and Hello, and protobuf on our memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/net/pb_arena.h"
#include "shard/net/status.h"
#include "tests/lib/tap.h"
#include "tests/unit/net/echo.pb-c.h"

/* Every code survives the journey with all its words. */
static void every_code(void) {
    for (int rc = RC_OK + 1; rc < RC_COUNT; rc++) {
        struct err in, out = {0};
        struct buf b;
        Wire__Status s;
        struct status_objects objects;
        err_set(&in, (enum rc)rc, "row %d is gone", rc);
        err_detail(&in, "held by %d", rc);
        err_hint(&in, "Wait.");
        err_state(&in, "42P01");
        err_position(&in, rc);
        err_about(&in, ERR_TABLE, "t");
        err_about(&in, ERR_CONSTRAINT, "t_pkey");
        status_from_err(&s, (enum rc)rc, &in, &objects);
        buf_init(&b, 0);
        pb_pack(&s.base, &b);
        EQ_INT(buf_rc(&b), RC_OK);
        EQ_INT(status_parse(b.data, b.len, &out), rc);
        EQ_INT(out.rc, rc);
        EQ_STR(out.message, in.message);
        EQ_STR(out.detail, in.detail);
        EQ_STR(out.hint, in.hint);
        EQ_STR(err_sqlstate(&out), "42P01");
        EQ_INT(out.position, rc);
        for (int i = 0; i < ERR_OBJECTS; i++)
            EQ_STR(out.object[i], in.object[i]);
        EQ_INT(status_parse(b.data, b.len, NULL), rc);
        EQ_INT(status_parse(b.data, b.len - 1, &out), RC_PROTOCOL);
        buf_done(&b);
    }
}

static enum rc parse_of(Wire__Status *s, struct err *err) {
    struct buf b;
    buf_init(&b, 0);
    pb_pack(&s->base, &b);
    enum rc rc = status_parse(b.data, b.len, err);
    buf_done(&b);
    return rc;
}

/* A code of a newer version, no code at all, and "OK" are errors here too. */
static void unknown_codes(void) {
    Wire__Status s = WIRE__STATUS__INIT;
    struct err err = {0};
    s.name = (char *)(uintptr_t) "MOON_PHASE";
    s.number = 4711;
    s.message = (char *)(uintptr_t) "the moon is wrong";
    EQ_INT(parse_of(&s, &err), RC_INTERNAL);
    EQ_STR(err.message, "the moon is wrong");
    OK(strstr(err.detail, "MOON_PHASE") && strstr(err.detail, "4711"));
    s.name = (char *)(uintptr_t) "OK";
    EQ_INT(parse_of(&s, &err), RC_INTERNAL);
    EQ_INT(status_parse("", 0, &err), RC_INTERNAL);
    EQ_INT(status_parse("\xff\xff\xff", 3, &err), RC_PROTOCOL);
}

/* Texts longer than a struct err keeps are cut; ones longer than anybody sends are refused. */
static void long_texts(void) {
    Wire__Status s = WIRE__STATUS__INIT;
    struct err err = {0};
    char *text = malloc(1 << 20);
    memset(text, 'x', (1 << 20) - 1);
    text[2000] = '\0';
    s.name = (char *)(uintptr_t) "IO";
    s.message = s.detail = s.hint = text;
    EQ_INT(parse_of(&s, &err), RC_IO);
    EQ_INT(strlen(err.message), ERR_MESSAGE_BYTES - 1);
    EQ_INT(strlen(err.hint), ERR_HINT_BYTES - 1);
    text[2000] = 'x';
    text[(1 << 20) - 1] = '\0';
    EQ_INT(parse_of(&s, &err), RC_PROTOCOL);
    free(text);
}

/* A small payload that would unpack to much more than it is stops at the arena's limit. */
static void amplification(void) {
    struct arena a;
    ProtobufCMessage *m = NULL;
    enum { N = 100000 };
    uint8_t *bomb = malloc(2 * N);
    for (int i = 0; i < N; i++) {
        bomb[2 * i] = 5 << 3 | 2; /* Ask.nested, empty */
        bomb[2 * i + 1] = 0;
    }
    arena_init(&a, 1 << 20);
    EQ_INT(pb_unpack(&netcheck__ask__descriptor, &a, bomb, 2 * N, &m), RC_NOMEM);
    OK(a.bytes <= 1 << 20);
    arena_done(&a);
    arena_init(&a, 64 << 20);
    EQ_INT(pb_unpack(&netcheck__ask__descriptor, &a, bomb, 2 * N, &m), RC_OK);
    EQ_INT(((Netcheck__Ask *)m)->n_nested, N);
    EQ_INT(pb_unpack(&netcheck__ask__descriptor, &a, bomb, 2 * N - 1, &m), RC_PROTOCOL);
    arena_done(&a);
    free(bomb);
}

/* An empty payload is a message of defaults; a field that we do not know is carried through. */
static void evolution(void) {
    struct arena a;
    ProtobufCMessage *m = NULL;
    struct buf b;
    static const uint8_t later[] = {0x10, 42, 0xf8, 0x07, 1}; /* sleep_ns = 42, field 127 = 1 */
    arena_init(&a, 0);
    EQ_INT(pb_unpack(&netcheck__ask__descriptor, &a, NULL, 0, &m), RC_OK);
    EQ_INT(((Netcheck__Ask *)m)->sleep_ns, 0);
    EQ_INT(pb_unpack(&netcheck__ask__descriptor, &a, later, sizeof later, &m), RC_OK);
    EQ_INT(((Netcheck__Ask *)m)->sleep_ns, 42);
    EQ_INT(m->n_unknown_fields, 1);
    buf_init(&b, 0);
    pb_pack(m, &b);
    EQ_MEM(b.data, b.len, later, sizeof later);
    buf_done(&b);
    buf_init(&b, 2);
    pb_pack(m, &b);
    EQ_INT(buf_rc(&b), RC_LIMIT);
    buf_done(&b);
    arena_done(&a);
}

int main(void) {
    RUN(every_code);
    RUN(unknown_codes);
    RUN(long_texts);
    RUN(amplification);
    RUN(evolution);
    return tap_done();
}
