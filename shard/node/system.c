/* SPDX-License-Identifier: Apache-2.0 */
/* system.c: see system.h. */
#include "shard/node/system.h"

#include <string.h>

struct def {
    uint16_t n;
    uint8_t type[SYSTEM_ROW_VALUES_MAX];
};

static const struct def defs[SYSTEM_TABLES_END] = {
    [SYSTEM_NODES] = {12,
                      {COL_INT8, COL_TEXT, COL_TEXT, COL_TEXT, COL_TEXT, COL_TEXT, COL_INT4, COL_TEXT, COL_TEXT,
                       COL_TEXT, COL_INT8, COL_INT4}},
    [SYSTEM_TABLETS] = {6, {COL_BYTEA, COL_INT8, COL_INT8, COL_BYTEA, COL_BYTEA, COL_INT8}},
    [SYSTEM_COUNTERS] = {2, {COL_TEXT, COL_INT8}},
    [SYSTEM_PLACEMENTS] = {6, {COL_TEXT, COL_TEXT, COL_TEXT, COL_TEXT, COL_INT4, COL_TEXT}},
    [SYSTEM_PLACED] = {2, {COL_INT8, COL_TEXT}},
    [SYSTEM_OBJECTS] = {7, {COL_INT8, COL_INT4, COL_INT8, COL_INT8, COL_TEXT, COL_INT8, COL_BYTEA}},
    [SYSTEM_SEQUENCES] = {3, {COL_INT8, COL_INT8, COL_INT8}},
};

bool system_table_known(uint64_t id) {
    return id < SYSTEM_TABLES_END && defs[id].n > 0;
}

static enum rc make(uint64_t id, uint32_t version, struct table **ret, struct err *err) {
    static const struct table_part key = {.col = 0};
    struct table_col cols[SYSTEM_ROW_VALUES_MAX] = {{0}};
    CHECK(system_table_known(id));
    const struct def *d = &defs[id];
    for (uint16_t i = 0; i < d->n; i++)
        cols[i] =
            (struct table_col){.id = i + 1u, .col = col_of(d->type[i]), .not_null = true, .missing = value_null()};
    if (version > 1)
        cols[d->n - 1].missing = value_text("", 0);
    struct table t = {.id = id, .group = id, .version = version, .n_cols = d->n, .n_key = 1, .cols = cols, .key = &key};
    return table_new(&t, ret, err);
}

enum rc system_table(uint64_t id, struct table **ret, struct err *err) {
    return make(id, 1, ret, err);
}

enum rc system_placements_table(uint32_t version, struct table **ret, struct err *err) {
    return make(SYSTEM_PLACEMENTS, version, ret, err);
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static struct value text(const char *s) {
    return value_text(s, strlen(s));
}

static struct value bytes(ProtobufCBinaryData b) {
    return value_blob(b.data, b.len);
}

uint16_t system_node_row(const Node__Node *n, struct value *v) {
    v[0] = value_int(n->node);
    v[1] = text(n->rpc);
    v[2] = text(n->sql);
    v[3] = text(n->http);
    v[4] = text(n->region);
    v[5] = text(n->zone);
    v[6] = value_int(n->stores);
    v[7] = text(n->boot_id);
    v[8] = text(n->clock_scale);
    v[9] = text(n->version);
    v[10] = value_int((int64_t)n->starts);
    v[11] = value_int(n->state);
    return defs[SYSTEM_NODES].n;
}

uint16_t system_tablet_row(const Node__Tablet *t, struct value *v) {
    v[0] = bytes(t->start);
    v[1] = value_int((int64_t)t->tablet);
    v[2] = value_int((int64_t)t->generation);
    v[3] = bytes(t->end);
    v[4] = bytes(t->config);
    v[5] = value_int((int64_t)t->leader);
    return defs[SYSTEM_TABLETS].n;
}

uint16_t system_counter_row(const char *name, int64_t value, struct value *v) {
    v[0] = text(name);
    v[1] = value_int(value);
    return defs[SYSTEM_COUNTERS].n;
}

static const char no_read[] = "-";

static bool put_list(char *const *list, size_t n, struct arena *a, struct value *ret) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(list[i]) + 1;
    char *s = arena_alloc(a, bytes + 1), *at = s;
    if (!s)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]);
        if (i)
            *at++ = ',';
        memcpy(at, list[i], len);
        at += len;
    }
    *ret = value_text(s, (size_t)(at - s));
    return true;
}

uint16_t system_placement_row(const Node__Placement *p, struct arena *a, struct value *v) {
    v[0] = text(p->name);
    if (!put_list(p->region, p->n_region, a, &v[1]) || !put_list(p->zone, p->n_zone, a, &v[2]) ||
        !put_list(p->leader, p->n_leader, a, &v[3]))
        return 0;
    v[4] = value_int(p->voters);
    if (p->no_read)
        v[5] = text(no_read);
    else if (!put_list(p->read, p->n_read, a, &v[5]))
        return 0;
    return defs[SYSTEM_PLACEMENTS].n;
}

uint16_t system_placed_row(const Node__Placed *p, struct value *v) {
    v[0] = value_int((int64_t)p->group);
    v[1] = text(p->placement);
    return defs[SYSTEM_PLACED].n;
}

static enum rc row_check(uint64_t id, const struct value *v, size_t n, struct err *err) {
    const struct def *d = &defs[id];
    if (n != d->n)
        return err_set(err, RC_CORRUPT, "a row of system table %llu has %zu values", (unsigned long long)id, n);
    for (uint16_t i = 0; i < d->n; i++) {
        struct col c = col_of(d->type[i]);
        if (v[i].kind == VALUE_NULL || col_check(&c, &v[i], err) != RC_OK)
            return err_set(err, RC_CORRUPT, "value %u of a row of system table %llu is not what it should be", i,
                           (unsigned long long)id);
    }
    return RC_OK;
}

static char *text_of(struct arena *a, const struct value *v) {
    char *s = arena_alloc(a, v->bytes + 1u);
    if (s) {
        memcpy(s, v->p, v->bytes);
        s[v->bytes] = '\0';
    }
    return s;
}

static bool bytes_of(struct arena *a, const struct value *v, ProtobufCBinaryData *ret) {
    ret->len = v->bytes;
    ret->data = v->bytes ? arena_copy(a, v->p, v->bytes) : NULL;
    return ret->data || !v->bytes;
}

enum rc system_node_read(const struct value *v, size_t n, struct arena *a, Node__Node **ret, struct err *err) {
    enum rc rc = row_check(SYSTEM_NODES, v, n, err);
    if (rc)
        return rc;
    Node__Node *out = arena_new(a, Node__Node);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    node__node__init(out);
    out->node = (uint32_t)v[0].i;
    char **field[] = {&out->rpc, &out->sql,     &out->http,        &out->region, &out->zone,
                      NULL,      &out->boot_id, &out->clock_scale, &out->version};
    for (size_t i = 0; i < ARRAY_LEN(field); i++) {
        if (!field[i])
            continue;
        *field[i] = text_of(a, &v[i + 1]);
        if (!*field[i])
            return err_set(err, RC_NOMEM, "out of memory");
    }
    out->stores = (uint32_t)v[6].i;
    out->starts = (uint64_t)v[10].i;
    out->state = (uint32_t)v[11].i;
    *ret = out;
    return RC_OK;
}

enum rc system_tablet_read(const struct value *v, size_t n, struct arena *a, Node__Tablet **ret, struct err *err) {
    enum rc rc = row_check(SYSTEM_TABLETS, v, n, err);
    if (rc)
        return rc;
    Node__Tablet *out = arena_new(a, Node__Tablet);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    node__tablet__init(out);
    out->tablet = (uint64_t)v[1].i;
    out->generation = (uint64_t)v[2].i;
    out->leader = (uint64_t)v[5].i;
    if (!bytes_of(a, &v[0], &out->start) || !bytes_of(a, &v[3], &out->end) || !bytes_of(a, &v[4], &out->config))
        return err_set(err, RC_NOMEM, "out of memory");
    *ret = out;
    return RC_OK;
}

static bool get_list(struct arena *a, const struct value *v, char ***ret, size_t *ret_n) {
    size_t n = v->bytes > 0;
    char *s = text_of(a, v);
    for (uint32_t i = 0; s && i < v->bytes; i++)
        n += s[i] == ',';
    char **list = s ? arena_array(a, n + 1, sizeof *list) : NULL;
    if (!list)
        return false;
    *ret = list;
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        list[i] = s;
        s = strchr(s, ',');
        if (s)
            *s++ = '\0';
    }
    return true;
}

enum rc system_placement_read(const struct value *v, size_t n, struct arena *a, Node__Placement **ret,
                              struct err *err) {
    enum rc rc = row_check(SYSTEM_PLACEMENTS, v, n, err);
    if (rc)
        return rc;
    Node__Placement *out = arena_new(a, Node__Placement);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    node__placement__init(out);
    out->name = text_of(a, &v[0]);
    out->voters = (uint32_t)v[4].i;
    if (!out->name || !get_list(a, &v[1], &out->region, &out->n_region) ||
        !get_list(a, &v[2], &out->zone, &out->n_zone) || !get_list(a, &v[3], &out->leader, &out->n_leader) ||
        !get_list(a, &v[5], &out->read, &out->n_read))
        return err_set(err, RC_NOMEM, "out of memory");
    if (out->n_read == 1 && strcmp(out->read[0], no_read) == 0) {
        out->no_read = true;
        out->n_read = 0;
    }
    *ret = out;
    return RC_OK;
}

enum rc system_placed_read(const struct value *v, size_t n, struct arena *a, Node__Placed **ret, struct err *err) {
    enum rc rc = row_check(SYSTEM_PLACED, v, n, err);
    if (rc)
        return rc;
    Node__Placed *out = arena_new(a, Node__Placed);
    if (!out)
        return err_set(err, RC_NOMEM, "out of memory");
    node__placed__init(out);
    out->group = (uint64_t)v[0].i;
    out->placement = text_of(a, &v[1]);
    *ret = out;
    return out->placement ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
}

enum rc system_end(struct buf *to, struct err *err) {
    return key_put_table(to, SYSTEM_GROUP_END, err);
}
