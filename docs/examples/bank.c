/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bank.c: money moves between accounts, from many threads at once, and none is lost.
 *
 *     cc bank.c $(pkg-config --cflags --libs meridian) -pthread -o bank
 *     ./bank meridian://127.0.0.1:7432/meridian        or        ./bank file:/tmp/bank
 *
 * Each transfer is a function that meridian_run calls as often as it has to: when two transfers meet, one of them is told to
 * begin again; when a node dies, the next one is asked, and whether the last commit happened is found out by its token.
 */
#include <meridian.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACCOUNTS = 10, THREADS = 4, TRANSFERS = 25, START = 1000 };

struct transfer {
    int from, to;
    int64_t amount;
    int attempts;
};

static int die(meridian *db, const char *what) {
    const char *detail = meridian_error_field(db, MERIDIAN_FIELD_DETAIL);
    fprintf(stderr, "%s: %s%s%s\n", what, meridian_errmsg(db), detail ? ": " : "", detail ? detail : "");
    exit(1);
}

static int balance(meridian *db, int account, int64_t *ret) {
    meridian_stmt *st;
    int code = meridian_prepare(db, "SELECT balance FROM accounts WHERE id = $1", -1, &st);
    if (code)
        return code;
    meridian_bind_int64(st, 1, account);
    code = meridian_step(st);
    if (code == MERIDIAN_ROW) {
        *ret = meridian_column_int64(st, 0);
        code = MERIDIAN_OK;
    }
    meridian_finalize(st);
    return code;
}

static int add(meridian *db, int account, int64_t amount) {
    meridian_stmt *st;
    int code = meridian_prepare(db, "UPDATE accounts SET balance = balance + $2 WHERE id = $1", -1, &st);
    if (code)
        return code;
    meridian_bind_int64(st, 1, account);
    meridian_bind_int64(st, 2, amount);
    code = meridian_step(st);
    meridian_finalize(st);
    return code == MERIDIAN_DONE ? MERIDIAN_OK : code;
}

/* May be called several times for one transfer: it keeps nothing from a former attempt. */
static int transfer(meridian *db, void *ctx) {
    struct transfer *t = ctx;
    int64_t has = 0;
    t->attempts++;
    int code = balance(db, t->from, &has);
    if (code || has < t->amount)
        return code; /* an empty transaction is fine, too */
    code = add(db, t->from, -t->amount);
    return code ? code : add(db, t->to, t->amount);
}

static void *teller(void *arg) {
    meridian *db = arg;
    unsigned seed = (unsigned)(uintptr_t)&db;
    uintptr_t attempts = 0;
    struct meridian_run_options o = {sizeof o, 1000, 0, 0, 0};
    if (meridian_adopt(db)) /* another thread opened it */
        die(db, "cannot take it over");
    if (meridian_exec(db, "SET default_transaction_isolation = 'serializable'")) /* what Meridian does anyhow */
        die(db, "cannot set the isolation");
    for (int i = 0; i < TRANSFERS; i++) {
        struct transfer t = {rand_r(&seed) % ACCOUNTS, rand_r(&seed) % ACCOUNTS, rand_r(&seed) % 100, 0};
        if (meridian_run(db, &o, transfer, &t))
            die(db, "a transfer");
        attempts += (uintptr_t)t.attempts;
    }
    meridian_close(db);
    return (void *)attempts;
}

int main(int argc, char **argv) {
    const char *url = argc > 1 ? argv[1] : "meridian://127.0.0.1:7432/meridian";
    char sql[128];
    meridian *db;
    pthread_t thread[THREADS];
    uintptr_t attempts = 0;
    int64_t sum = 0, one;
    if (meridian_open(url, &db))
        die(db, "cannot connect");
    if (meridian_exec(db, "DROP TABLE IF EXISTS accounts") ||
        meridian_exec(db, "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL)"))
        die(db, "cannot make the table");
    for (int i = 0; i < ACCOUNTS; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO accounts VALUES (%d, %d)", i, START);
        if (meridian_exec(db, sql))
            die(db, "cannot open an account");
    }
    for (int i = 0; i < THREADS; i++) {
        meridian *more;
        if (meridian_clone(db, &more))
            die(more, "cannot connect once more");
        if (pthread_create(&thread[i], NULL, teller, more))
            return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        void *n;
        pthread_join(thread[i], &n);
        attempts += (uintptr_t)n;
    }
    for (int i = 0; i < ACCOUNTS; i++) {
        if (balance(db, i, &one))
            die(db, "cannot read an account");
        printf("account %d has %" PRId64 "\n", i, one);
        sum += one;
    }
    printf("%d transfers in %lu attempts; the sum is %" PRId64 ", and was %d\n", THREADS * TRANSFERS,
           (unsigned long)attempts, sum, ACCOUNTS * START);
    meridian_close(db);
    return sum == ACCOUNTS * START ? 0 : 1;
}
