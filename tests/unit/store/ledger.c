/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/ledger.h"

#include <stdio.h>
#include <string.h>

#include "shard/store/vfs.h"
#include "truetime/base/rng.h"

int ledger_touched(int64_t k, int rows[LEDGER_TOUCHED_MAX]) {
    struct rng rng;
    rng_init(&rng, (uint64_t)k);
    int n = (int)rng_range(&rng, 1, LEDGER_TOUCHED_MAX);
    for (int i = 0; i < n; i++)
        rows[i] = (int)rng_below(&rng, LEDGER_ROWS);
    return n;
}

static int block(int64_t k, int row, uint8_t to[LEDGER_ROW_BYTES_MAX]) {
    struct rng rng;
    rng_init(&rng, (uint64_t)k * LEDGER_ROWS + (uint64_t)row);
    int bytes = (int)rng_range(&rng, 0, LEDGER_ROW_BYTES_MAX);
    uint8_t seed = (uint8_t)rng_u64(&rng);
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(seed + i * 7);
    return bytes;
}

static enum rc run(sqlite3 *db, const char *sql, struct err *err) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? RC_OK : err_sqlite(err, db, sql);
}

enum rc ledger_fill(sqlite3 *db, void *ctx, struct err *err) {
    (void)ctx;
    return run(db,
               "BEGIN; CREATE TABLE meta(one INTEGER PRIMARY KEY, slot INTEGER) STRICT;"
               "CREATE TABLE row(id INTEGER PRIMARY KEY, k INTEGER, bytes BLOB) STRICT; CREATE INDEX row_k ON row(k);"
               "INSERT INTO meta VALUES (1, 0); COMMIT",
               err);
}

static enum rc put_row(sqlite3 *db, sqlite3_stmt *put, int64_t k, int row, struct err *err) {
    uint8_t bytes[LEDGER_ROW_BYTES_MAX];
    int n = block(k, row, bytes);
    sqlite3_bind_int(put, 1, row);
    sqlite3_bind_int64(put, 2, k);
    sqlite3_bind_blob(put, 3, bytes, n, SQLITE_STATIC);
    int code = sqlite3_step(put);
    enum rc rc = code == SQLITE_DONE ? RC_OK : err_sqlite(err, db, "put row");
    sqlite3_reset(put);
    sqlite3_clear_bindings(put);
    return rc;
}

enum rc ledger_write(sqlite3 *db, int64_t k, struct err *err) {
    sqlite3_stmt *put = NULL;
    char sql[80];
    int rows[LEDGER_TOUCHED_MAX], n = ledger_touched(k, rows);
    enum rc rc = RC_OK;
    if (sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO row VALUES (?, ?, ?)", -1, &put, NULL) != SQLITE_OK)
        return err_sqlite(err, db, "prepare");
    for (int i = 0; !rc && i < n; i++)
        rc = put_row(db, put, k, rows[i], err);
    sqlite3_finalize(put);
    snprintf(sql, sizeof sql, "UPDATE meta SET slot = %lld", (long long)k);
    return rc ? rc : run(db, sql, err);
}

enum rc ledger_commit(sqlite3 *db, int64_t k, struct err *err) {
    enum rc rc = run(db, "BEGIN IMMEDIATE", err);
    if (!rc)
        rc = ledger_write(db, k, err);
    if (!rc)
        rc = run(db, "COMMIT", err);
    if (rc && !sqlite3_get_autocommit(db))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

enum rc ledger_slot(sqlite3 *db, int64_t *ret_slot, struct err *err) {
    sqlite3_stmt *get = NULL;
    if (sqlite3_prepare_v2(db, "SELECT slot FROM meta", -1, &get, NULL) != SQLITE_OK)
        return err_sqlite(err, db, "prepare");
    bool row = sqlite3_step(get) == SQLITE_ROW;
    if (row)
        *ret_slot = sqlite3_column_int64(get, 0);
    enum rc rc = sqlite3_finalize(get) != SQLITE_OK ? err_sqlite(err, db, "read the slot")
                 : row                              ? RC_OK
                                                    : err_set(err, RC_CORRUPT, "no slot");
    return rc;
}

enum rc ledger_pin(sqlite3 *pin, void *ctx, int64_t *ret_marker, struct err *err) {
    (void)ctx;
    return ledger_slot(pin, ret_marker, err);
}

static int on_integrity(void *ctx, int columns, char **values, char **names) {
    char *text = ctx;
    (void)columns, (void)names;
    if (!text[0])
        snprintf(text, 200, "%s", values[0]);
    return 0;
}

static enum rc check_sound(sqlite3 *db, struct err *err) {
    char text[200] = "";
    if (sqlite3_exec(db, "PRAGMA integrity_check", on_integrity, text, NULL) != SQLITE_OK)
        return err_sqlite(err, db, "integrity_check");
    if (strcmp(text, "ok") == 0)
        return RC_OK;
    /* A page that could not be read is reported as text too. */
    bool unread = strstr(text, "error code=") || strstr(text, "failed to get page");
    return err_set(err, unread ? RC_IO : RC_CORRUPT, "integrity_check: %s", text);
}

static enum rc check_row(sqlite3_stmt *get, const int64_t *last, int *ret_next, struct err *err) {
    uint8_t bytes[LEDGER_ROW_BYTES_MAX];
    int row = sqlite3_column_int(get, 0);
    int64_t k = sqlite3_column_int64(get, 1);
    while (*ret_next < LEDGER_ROWS && last[*ret_next] == 0)
        ++*ret_next; /* never written */
    if (row != *ret_next || k != last[row])
        return err_set(err, RC_CORRUPT, "row %d of transaction %lld, wanted row %d", row, (long long)k, *ret_next);
    int n = block(k, row, bytes);
    if (sqlite3_column_bytes(get, 2) != n || (n && memcmp(sqlite3_column_blob(get, 2), bytes, (size_t)n) != 0))
        return err_set(err, RC_CORRUPT, "row %d of transaction %lld has other bytes", row, (long long)k);
    ++*ret_next;
    return RC_OK;
}

static enum rc check_rows(sqlite3 *db, int64_t slot, struct err *err) {
    sqlite3_stmt *get = NULL;
    int64_t last[LEDGER_ROWS] = {0};
    int next = 0, code = SQLITE_DONE, rows[LEDGER_TOUCHED_MAX];
    for (int64_t k = 1; k <= slot; k++)
        for (int n = ledger_touched(k, rows), i = 0; i < n; i++)
            last[rows[i]] = k;
    if (sqlite3_prepare_v2(db, "SELECT id, k, bytes FROM row ORDER BY id", -1, &get, NULL) != SQLITE_OK)
        return err_sqlite(err, db, "prepare");
    enum rc rc = RC_OK;
    while (!rc && (code = sqlite3_step(get)) == SQLITE_ROW)
        rc = check_row(get, last, &next, err);
    if (!rc && code != SQLITE_DONE)
        rc = err_sqlite(err, db, "read rows");
    sqlite3_finalize(get);
    for (; !rc && next < LEDGER_ROWS; next++)
        if (last[next])
            rc = err_set(err, RC_CORRUPT, "row %d of transaction %lld is missing", next, (long long)last[next]);
    return rc;
}

enum rc ledger_check(sqlite3 *db, int64_t *ret_slot, struct err *err) {
    int64_t slot = 0;
    enum rc rc = run(db, "BEGIN", err);
    if (!rc)
        rc = ledger_slot(db, &slot, err);
    if (!rc)
        rc = check_rows(db, slot, err);
    if (!rc)
        rc = check_sound(db, err);
    if (!sqlite3_get_autocommit(db))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    if (!rc)
        *ret_slot = slot;
    return rc;
}
