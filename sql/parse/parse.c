/* SPDX-License-Identifier: Apache-2.0 */
/* parse.c: see parse.h. */
#include "sql/parse/parse.h"

#include <pg_query.h>
#include <string.h>

#include "shard/net/pb_arena.h"
#include "shard/runtime/wait.h"
#include "sql/parse/guard.h"

struct job {
    struct arena *a;
    const char *text; /* terminated */
    size_t bytes;
    PgQuery__ParseResult *tree;
    enum rc rc;
    struct err err;
};

/* How deep messages nest, counting oneof wrappers (Node) as nothing: they come with each node. */
static uint32_t depth_of(const ProtobufCMessage *m, uint32_t budget) {
    const ProtobufCMessageDescriptor *d = m->descriptor;
    uint32_t deepest = 0;
    if (budget == 0)
        return 1;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        const char *at = (const char *)m + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
            *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) != f->id)
            continue;
        size_t n = 1;
        const ProtobufCMessage *const *list = (const ProtobufCMessage *const *)(const void *)at;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
            list = *(const ProtobufCMessage *const *const *)(const void *)at;
        }
        for (size_t k = 0; k < n; k++) {
            uint32_t deep = list[k] ? depth_of(list[k], budget - 1) : 0;
            deepest = deep > deepest ? deep : deepest;
        }
    }
    return deepest + 1;
}

static enum rc syntax_error(const PgQueryError *e, struct err *err) {
    bool deep = strstr(e->message, "memory exhausted") || strstr(e->message, "stack depth");
    err_sql(err, deep ? "54001" : strstr(e->message, "out of memory") ? "53200" : "42601", "%s", e->message);
    err_position(err, e->cursorpos);
    return RC_SQL;
}

static void parse(void *arg) {
    struct job *j = arg;
    PgQueryProtobufParseResult r = pg_query_parse_protobuf(j->text);
    if (r.error) {
        j->rc = syntax_error(r.error, &j->err);
    } else {
        ProtobufCMessage *m = NULL;
        j->rc = pb_unpack(&pg_query__parse_result__descriptor, j->a, r.parse_tree.data, r.parse_tree.len, &m);
        if (j->rc)
            err_set(&j->err, j->rc, "%s",
                    j->rc == RC_NOMEM ? "out of memory for the statement" : "the parse tree cannot be read");
        else if (depth_of(m, 2 * PARSE_DEPTH_MAX + 8) > 2 * PARSE_DEPTH_MAX + 4)
            j->rc = err_sql(&j->err, "54001", "stack depth limit exceeded");
        j->tree = (PgQuery__ParseResult *)m;
    }
    pg_query_free_protobuf_parse_result(r);
}

enum rc parse_text(struct reactor *r, struct arena *a, const char *text, size_t bytes, PgQuery__ParseResult **ret,
                   struct err *err) {
    uint32_t depth;
    struct arena levels; /* not in a, which a prepared statement keeps */
    arena_init(&levels, 0);
    enum rc rc = guard_check(&levels, text, bytes, &depth, err);
    arena_done(&levels);
    if (rc)
        return rc;
    struct job j = {.a = a, .bytes = bytes};
    char *copy = arena_alloc(a, bytes + 1);
    if (!copy)
        return err_set(err, RC_NOMEM, "out of memory for the statement");
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    j.text = copy;
    if (depth <= PARSE_INLINE_DEPTH && bytes <= PARSE_INLINE_BYTES) {
        parse(&j);
    } else {
        rc = big_stack_run(r, parse, &j);
        if (rc)
            return err_set(err, rc, "the statement could not be parsed: %s", rc_text(rc));
    }
    if (j.rc) {
        if (err)
            *err = j.err;
        return j.rc;
    }
    *ret = j.tree;
    return RC_OK;
}
