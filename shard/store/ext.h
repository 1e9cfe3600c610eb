/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ext.h: how the layers above bring their own functions and collations into the tablets' SQLite handles.
 *
 * Promise     Each hook of the store is called once on each handle that opens a tablet's file (main connections and readers),
 *             before any statement is prepared on it, in the order in which they were added. If one fails, the open fails.
 * Relies on   hooks that register functions, collations and modules and do nothing else: no statement is run, nothing waits.
 *             What they register must give the same results on every replica if it takes part in a stored order.
 * Threads     the store's own.
 */
#ifndef MERIDIAN_STORE_EXT_H
#define MERIDIAN_STORE_EXT_H

#include <sqlite3.h>

#include "truetime/base/err.h"

enum { EXT_MAX = 8 };

typedef enum rc ext_fn(sqlite3 *db, void *ctx, struct err *err);

struct ext {
    ext_fn *on_open;
    void *ctx; /* lives as long as the store */
};

/* SQLite carries an error of a function as text: "22012:division by zero", then each behind a byte 0x1F, detail, hint and the
 * enum rc as a number, the last three if there are any. */
enum { EXT_ERROR_BYTES = ERR_MESSAGE_BYTES + ERR_DETAIL_BYTES + ERR_HINT_BYTES + 32 };
/* Returns the length. */
int ext_error_print(const struct err *err, char to[static EXT_ERROR_BYTES]);
/* False: the text is SQLite's own. */
bool ext_error_parse(const char *text, struct err *ret);

#endif
