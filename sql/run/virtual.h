/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtual.h: relations that are no tables: how they are described, and how their rows are made; for virtual*.c only.
 *
 * Promise     A relation's columns are told once, as text ("oid oid, relname name"); its rows are made anew for every scan, from
 *             the session's view of the catalog (a strong read precedes a statement that names one: names.c). A row has exactly
 *             the columns told: virt_end checks, and adds the hidden one behind them, tableoid.
 * Threads     the store's own; giving a row does not wait.
 */
#ifndef MERIDIAN_SQL_VIRTUAL_H
#define MERIDIAN_SQL_VIRTUAL_H

#include "sql/run/sess_internal.h"

struct virt {
    struct sess *s;
    struct cat_view view;
    const struct cat_table *t;
    portal_row *on_row;
    void *to;
    struct err *err;
    struct arena a; /* of a row */
    struct value *v;
    uint16_t n;
    enum rc rc;
};

typedef void virt_rows(struct virt *x);

struct virt_def {
    uint32_t id;
    uint32_t schema;
    const char *name, *columns;
    virt_rows *rows; /* NULL: it has none */
};

struct virt_table {
    const struct virt_def *def;
    size_t n;
};

extern const struct virt_table virt_pg, virt_pg_more, virt_depend, virt_information, virt_meridian, virt_activity;

/* The columns of a row, in order. */
void virt_int(struct virt *x, int64_t i);
void virt_real(struct virt *x, double r);
void virt_bool(struct virt *x, bool b);
void virt_text(struct virt *x, const char *s); /* NULL: null */
void virt_char(struct virt *x, char c);
void virt_null(struct virt *x);
void virt_nulls(struct virt *x, unsigned n);
/* Arrays of int2, oid or text; n 0: an empty one. */
void virt_int2s(struct virt *x, const int64_t *v, size_t n);
void virt_oids(struct virt *x, const int64_t *v, size_t n);
void virt_texts(struct virt *x, const char *const *v, size_t n);
char *virt_printf(struct virt *x, const char *fmt, ...) PRINTF_LIKE(2, 3); /* NULL, and x->rc set: no memory */
/* The row is complete. False: no more are wanted. */
bool virt_end(struct virt *x);

/* Objects of a kind in this database (or all); false: x->rc. */
bool virt_list(struct virt *x, enum cat_kind kind, bool all_databases, struct cat_list *ret);
const char *virt_role_name(struct virt *x, uint32_t id);
const char *virt_schema_name(struct virt *x, uint32_t id);

/* Numbers for what has none in the catalog. */
uint32_t virt_pkey_oid(const struct cat_table *t);
uint32_t virt_pkey_constraint_oid(const struct cat_table *t);
uint32_t virt_unique_oid(const struct cat_index *x);
uint32_t virt_check_oid(const struct cat_table *t, uint16_t i);
uint32_t virt_foreign_oid(const struct cat_table *t, uint16_t i);
uint32_t virt_default_oid(const struct cat_table *t, uint16_t column);

#endif
