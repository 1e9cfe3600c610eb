/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: how an analysed statement is carried out: which spans are read by which fragments, what the final stage does with
 * their rows, what is written.
 *
 * Promise     A plan is immutable and knows no parameter's value, no transaction and no place: it can be cached and run any
 *             number of times, at once too. Spans are computed from the parameters when it is run. It holds references to the
 *             tables that it was made from; a tablet that has another version says so (RC_STALE).
 * Relies on   analyse.h, expr_compile, table.h for keys.
 * Threads     the reactor's own.
 */
#ifndef MERIDIAN_SQL_PLAN_H
#define MERIDIAN_SQL_PLAN_H

#include "sql/analyse/analyse.h"

struct plan;

struct plan_column {
    const char *name;
    struct col type;
    uint32_t table_oid; /* 0: no column of a table */
    int16_t attnum;
};

/* Takes over *a (analysed_done is the plan's from here on, also on errors) with what lies in the arena: *arena is empty on return
 * and may go. RC_UNSUPPORTED with the position: what we cannot do yet. */
enum rc plan_make(struct arena *arena, struct analysed *a, struct plan **ret, struct err *err) MUST_CHECK;
struct plan *plan_ref(struct plan *p);
void plan_unref(struct plan *p); /* NULL is fine */

enum query_kind plan_kind(const struct plan *p);
size_t plan_params(const struct plan *p);
size_t plan_bytes(const struct plan *p); /* of memory */
const struct col *plan_param(const struct plan *p);
size_t plan_columns(const struct plan *p); /* 0: it returns no rows */
const struct plan_column *plan_column(const struct plan *p);
/* The parts of it that write, the main one last: tables, what is done to them, whether UPDATE or ON CONFLICT may set a column. */
size_t plan_writes(const struct plan *p);
const struct cat_table *plan_write_table(const struct plan *p, size_t i);
enum query_kind plan_write_kind(const struct plan *p, size_t i);
bool plan_may_set(const struct plan *p, size_t i, uint16_t col);
/* It changes nothing and locks nothing: a read-only transaction will do. */
bool plan_read_only(const struct plan *p);
/* It reads one table by one scan and nothing else: where that is one tablet's, the tablet may choose the time itself (N-8). */
bool plan_single_scan(const struct plan *p);

#endif
