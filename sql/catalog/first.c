/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first.c: what a new cluster's catalog holds: the role meridian, the databases meridian and postgres, a schema public in each.
 * Whoever finds no catalog makes it; two that do so at once meet at the lock, and the second sees the first one's.
 */
#include <string.h>

#include "sql/catalog/store_internal.h"

static enum rc put(struct cat_change *ch, enum cat_kind kind, uint32_t id, uint32_t database, const char *name,
                   struct err *err) {
    struct cat_object o = {.id = id, .kind = (uint8_t)kind, .database = database, .owner = CAT_ID_ROLE_MERIDIAN};
    memcpy(o.name, name, strlen(name) + 1);
    if (kind == CAT_OBJECT_SCHEMA)
        o.comment = CAT_PUBLIC_COMMENT;
    if (kind == CAT_OBJECT_ROLE)
        o.role = (struct cat_role){.login = true, .superuser = true, .createdb = true, .createrole = true};
    return cat_change_put(ch, &o, err);
}

static enum rc fill(struct cat_change *ch, struct err *err) {
    static const struct {
        enum cat_kind kind;
        uint32_t id, database;
        const char *name;
    } first[] = {
        {CAT_OBJECT_ROLE, CAT_ID_ROLE_MERIDIAN, 0, "meridian"},
        {CAT_OBJECT_DATABASE, CAT_ID_DATABASE_POSTGRES, 0, "postgres"},
        {CAT_OBJECT_DATABASE, CAT_ID_DATABASE_MERIDIAN, 0, "meridian"},
        {CAT_OBJECT_SCHEMA, CAT_ID_PUBLIC, CAT_ID_DATABASE_MERIDIAN, "public"},
        {CAT_OBJECT_SCHEMA, CAT_ID_PUBLIC_POSTGRES, CAT_ID_DATABASE_POSTGRES, "public"},
    };
    enum rc rc = RC_OK;
    for (size_t i = 0; i < ARRAY_LEN(first) && !rc; i++)
        rc = put(ch, first[i].kind, first[i].id, first[i].database, first[i].name, err);
    return rc;
}

enum rc cat_bootstrap(struct cat_cache *c, int64_t deadline, struct err *err) {
    struct txn_options o = {.mode = TXN_READ_WRITE, .deadline = deadline, .label = "first catalog"};
    struct cat_change *ch = NULL;
    struct txn *t = NULL;
    enum rc rc = txn_begin(c->txns, &o, &t, err);
    if (!rc)
        rc = cat_change_begin(c, t, &ch, err);
    bool ours = !rc && ch->base == 0;
    if (ours)
        rc = fill(ch, err);
    if (ours && !rc)
        rc = txn_commit(t, NULL, err);
    cat_change_end(ch, ours && !rc);
    txn_free(t);
    return rc;
}
