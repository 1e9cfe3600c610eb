/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign.h: foreign keys, kept: what a statement's rows say about them is noted while they are written, and carried out or checked
 * when all are, in the same transaction.
 *
 * Promise     When a statement has succeeded, or with deferred keys a transaction has committed, every key that a row refers to is
 *             there, in any serial order of the transactions: the reads that make sure of it lock what they have looked at.
 * Relies on   plans of our own SQL; a new version of both tables whenever a key between them is made, so that no gateway writes
 *             either of them without knowing it.
 * Threads     the session's fiber.
 * Source      SQL:2016 4.18.3 (MATCH SIMPLE); PostgreSQL 15, "Constraints" and SET CONSTRAINTS.
 */
#ifndef MERIDIAN_SQL_FOREIGN_H
#define MERIDIAN_SQL_FOREIGN_H

#include "sql/run/sess_internal.h"

/* Of a plan: keys that its rows may touch. */
struct foreign_link {
    const struct cat_table *child, *parent; /* references */
    uint16_t key;                           /* place among the child's */
    bool out;                               /* the plan writes the child; else the parent */
};

struct foreign_links {
    struct foreign_link *link;
    size_t n, cap;
};

/* *ret NULL: none. */
enum rc foreign_links_of(struct sess *s, const struct plan *p, struct foreign_links **ret, struct err *err);
void foreign_links_free(struct foreign_links *f); /* NULL is fine */

/* For exec_env: *w outlives it. */
struct exec_watch foreign_watch(struct sess_foreign *w, struct sess *s, const struct planned *p);
/* A statement of the client's begins: what was noted by one that failed is forgotten. */
void foreign_begin(struct sess *s);
/* COPY: several statements are one. It calls foreign_run itself. */
enum rc foreign_wait(struct sess *s, bool wait, struct err *err);
enum rc foreign_run(struct sess *s, struct err *err) WAITS;
/* Before the commit: what is deferred. */
enum rc foreign_commit(struct sess *s, struct err *err) WAITS;
enum rc foreign_set_constraints(struct sess *s, const PgQuery__ConstraintsSetStmt *x, struct err *err) WAITS;
/* The transaction has ended. */
void foreign_end(struct sess *s);

#endif
