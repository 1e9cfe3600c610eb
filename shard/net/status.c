/* SPDX-License-Identifier: Apache-2.0 */
/* status.c: see status.h. */
#include "shard/net/status.h"

#include <stdio.h>
#include <string.h>

#include "shard/net/pb_arena.h"

void status_from_err(Wire__Status *ret, enum rc rc, const struct err *err, struct status_objects *objects) {
    CHECK(rc != RC_OK && rc < RC_COUNT);
    wire__status__init(ret);
    ret->name = (char *)(uintptr_t)rc_name(rc);
    ret->number = (uint32_t)rc;
    if (!err)
        return;
    ret->message = (char *)(uintptr_t)err->message;
    ret->detail = (char *)(uintptr_t)err->detail;
    ret->hint = (char *)(uintptr_t)err->hint;
    ret->sqlstate = (char *)(uintptr_t)err->state;
    ret->position = (uint32_t)err->position;
    for (size_t i = 0; i < ERR_OBJECTS; i++) {
        objects->text[i] = (char *)(uintptr_t)err->object[i];
        if (err->object[i][0])
            ret->n_object = i + 1;
    }
    ret->object = objects->text;
}

static enum rc rc_of_name(const char *name) {
    for (int rc = RC_OK + 1; rc < RC_COUNT; rc++)
        if (strcmp(rc_name((enum rc)rc), name) == 0)
            return (enum rc)rc;
    return RC_OK;
}

enum rc status_to_err(const Wire__Status *s, struct err *err) {
    enum rc rc = rc_of_name(s->name);
    if (rc == RC_OK) {
        err_set(err, RC_INTERNAL, "%s", s->message);
        err_detail(err, "error code %.64s (%u) of a peer is not known here", s->name, s->number);
        return RC_INTERNAL;
    }
    err_set(err, rc, "%s", s->message);
    err_detail(err, "%s", s->detail);
    err_hint(err, "%s", s->hint);
    if (strlen(s->sqlstate) == 5)
        err_state(err, s->sqlstate);
    err_position(err, s->position <= INT32_MAX ? (int32_t)s->position : 0);
    for (size_t i = 0; i < s->n_object && i < ERR_OBJECTS; i++)
        err_about(err, (enum err_object)i, s->object[i]);
    return rc;
}

enum rc status_parse(const void *p, size_t bytes, struct err *err) {
    struct arena a;
    ProtobufCMessage *m;
    arena_init(&a, STATUS_ARENA_BYTES);
    enum rc rc = pb_unpack(&wire__status__descriptor, &a, p, bytes, &m);
    rc = rc ? err_set(err, RC_PROTOCOL, "a peer sent an error that cannot be read")
            : status_to_err((const Wire__Status *)m, err);
    arena_done(&a);
    return rc;
}
