/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complete.h: what a half-typed word may become: keywords, commands, tables, columns.
 *
 * Promise     Tables after FROM, JOIN, INTO, UPDATE, TABLE and \d; columns of the tables that stand in the line elsewhere,
 *             besides keywords; commands after a backslash. Nothing is asked of the server in a failed transaction.
 * Relies on   shell.h.
 * Threads     the main one.
 */
#ifndef MERIDIAN_SQL_SHELL_COMPLETE_H
#define MERIDIAN_SQL_SHELL_COMPLETE_H

#include <stddef.h>

struct shell;

struct complete {
    char **word; /* sorted, none twice */
    size_t count, cap;
    size_t typed; /* bytes before the cursor that they replace */
};

void complete_find(struct shell *sh, const char *line, size_t bytes, struct complete *ret);
void complete_done(struct complete *c);

#endif
