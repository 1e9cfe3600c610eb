/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/run/sess_internal.h"

const struct cat_object *virtual_pkey_table(const struct cat_view *v, uint32_t oid) {
    (void)v, (void)oid;
    return NULL;
}

bool virtual_constraint_def(const struct cat_view *v, uint32_t oid, struct buf *to) {
    (void)v, (void)oid, (void)to;
    return false;
}

const struct cat_table *virtual_find(struct sess_engine *e, uint32_t schema, const char *name) {
    (void)e, (void)schema, (void)name;
    return NULL;
}

enum rc virtual_rows(void *ctx, const struct cat_table *t, portal_row *on_row, void *to, struct err *err) {
    (void)ctx, (void)t, (void)on_row, (void)to, (void)err;
    return RC_OK;
}
