/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guc.h: a session's settings: SET, SHOW, RESET, and what becomes of them when transactions end.
 *
 * Promise     A value is checked when it is set and kept in one form; what we could not honour (another client
 *             encoding, another DateStyle) is refused, never pretended. SET lasts if its transaction commits, SET LOCAL until
 *             it ends; both are undone by ROLLBACK and ROLLBACK TO. Names with a dot that we do not know are the application's
 *             own, as in PostgreSQL. Errors: 42704, 22023, 55P02, 0A000.
 * Relies on   nothing but memory.
 * Threads     one at a time.
 * Source      PostgreSQL 15, chapter 20 "Server Configuration", SET, SHOW.
 */
#ifndef MERIDIAN_SQL_GUC_H
#define MERIDIAN_SQL_GUC_H

#include "truetime/base/err.h"

enum { GUC_CUSTOM_MAX = 256, GUC_VALUE_BYTES_MAX = 8192, GUC_LOG_MAX = 10000 };

struct guc_vars;

struct guc_info {
    const char *name;
    const char *value; /* numbers without their unit */
    const char *start; /* what RESET goes back to */
    const char *about; /* one line */
    const char *type;  /* "bool", "integer", "enum", "string" */
    const char *unit;  /* "ms"; NULL */
    bool report;       /* clients are told of it (ParameterStatus) */
    bool internal;     /* nobody sets it */
};

enum guc_scope { GUC_SESSION, GUC_LOCAL };

struct guc_vars *guc_new(void);    /* NULL: no memory */
void guc_free(struct guc_vars *g); /* NULL is fine */

/* NULL: there is no such setting. Names in any case. */
const char *guc_get(const struct guc_vars *g, const char *name);
/* As SHOW prints it: with the unit ("5s"). */
void guc_show(const struct guc_vars *g, const char *name, char *ret, size_t cap);
bool guc_bool(const struct guc_vars *g, const char *name);   /* one that there is */
int64_t guc_int(const struct guc_vars *g, const char *name); /* in the setting's unit */
/* value NULL: RESET. */
enum rc guc_set(struct guc_vars *g, const char *name, const char *value, enum guc_scope scope,
                struct err *err) MUST_CHECK;
/* The engine's own word, also for internal ones; becomes what RESET goes back to, and no transaction undoes it. */
enum rc guc_start(struct guc_vars *g, const char *name, const char *value, struct err *err) MUST_CHECK;
void guc_reset_all(struct guc_vars *g);

/* Rises with every change of a value: who keeps what follows from values looks at it. */
uint64_t guc_changes(const struct guc_vars *g);
size_t guc_count(const struct guc_vars *g);
struct guc_info guc_at(const struct guc_vars *g, size_t i); /* in the order of names; custom ones last */
/* The next setting from *at on that clients are told of and that has changed since it was asked last; false: none. */
bool guc_next_report(struct guc_vars *g, size_t *at, struct guc_info *ret);

/* A place in the transaction's history of SETs. */
size_t guc_mark(const struct guc_vars *g);
void guc_rollback_to(struct guc_vars *g, size_t mark);
void guc_end(struct guc_vars *g, bool committed);

#endif
