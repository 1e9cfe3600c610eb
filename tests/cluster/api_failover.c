/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_failover.c: the C API while nodes go away: api_failover URL PID... . The URL lists one more address than there are pids,
 * each served by the process of that pid, which this program kills; api.t starts them in front of one server.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "txn/api/meridian.h"

enum { KILLS_MAX = 8 };

struct nodes {
    const char *url;
    int pid[KILLS_MAX];
    int count, killed, waited;
    bool once;
};

/* And waits until it is dead, and its sockets closed. */
static void kill_one(struct nodes *n) {
    CHECK(n->killed < n->count);
    struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, n->pid[n->killed], 0), .events = POLLIN};
    CHECK(fd.fd >= 0);
    CHECK(kill(n->pid[n->killed++], SIGKILL) == 0);
    CHECK(poll(&fd, 1, 20000) == 1);
    close(fd.fd);
}

/* What is sent now stays on the way; on_wait then loses it. */
static void stop_one(const struct nodes *n) {
    CHECK(kill(n->pid[n->killed], SIGSTOP) == 0);
}

static int on_wait(void *ctx) {
    struct nodes *n = ctx;
    if (n->once && n->waited++) /* the others are to live */
        return 0;
    kill_one(n);
    return 0;
}

static int64_t number(meridian *db, const char *sql) {
    meridian_stmt *st;
    int64_t v = -1;
    int code = meridian_prepare(db, sql, -1, &st);
    if (OKF(code == MERIDIAN_OK, "%s: %s", sql, meridian_errmsg(db)) && EQ_INT(meridian_step(st), MERIDIAN_ROW))
        v = meridian_column_int64(st, 0);
    meridian_finalize(st);
    return v;
}

/* Outside of a transaction nobody notices; a prepared statement follows. */
static void idle(meridian *db, struct nodes *n) {
    meridian_stmt *st;
    EQ_INT(meridian_exec(db, "DROP TABLE IF EXISTS f; CREATE TABLE f (n int4)"), MERIDIAN_OK);
    EQ_INT(meridian_prepare(db, "INSERT INTO f VALUES ($1)", -1, &st), MERIDIAN_OK);
    (void)meridian_bind_int64(st, 1, 1);
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    kill_one(n);
    EQ_INT(meridian_step(st), MERIDIAN_DONE);
    EQ_INT(number(db, "SELECT count(*) FROM f"), 2);
    meridian_finalize(st);
}

/* Inside of one, all but its end is refused. */
static void block(meridian *db, struct nodes *n) {
    meridian_stmt *st;
    EQ_INT(meridian_begin(db), MERIDIAN_OK);
    EQ_INT(meridian_exec(db, "INSERT INTO f VALUES (10)"), MERIDIAN_OK);
    kill_one(n);
    EQ_INT(meridian_exec(db, "INSERT INTO f VALUES (11)"), MERIDIAN_ABORTED);
    EQ_INT(meridian_error_retry(db), MERIDIAN_RETRY_YES);
    EQ_INT(meridian_state(db), 'E');
    EQ_INT(meridian_exec(db, "INSERT INTO f VALUES (12)"), MERIDIAN_ERROR);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "25P02");
    EQ_INT(meridian_prepare(db, "INSERT INTO f VALUES (13)", -1, &st), MERIDIAN_ERROR);
    EQ_INT(meridian_rollback(db), MERIDIAN_OK);
    EQ_INT(meridian_state(db), 'I');
    EQ_INT(number(db, "SELECT count(*) FROM f"), 2);
}

struct once {
    struct nodes *nodes;
    int calls;
};

static int insert(meridian *db, void *ctx) {
    struct once *o = ctx;
    int code = meridian_exec(db, "INSERT INTO f VALUES (20)");
    if (o->calls++ == 0)
        kill_one(o->nodes);
    return code ? code : meridian_exec(db, "INSERT INTO f VALUES (21)");
}

/* meridian_run begins again elsewhere. */
static void run(meridian *db, struct nodes *n) {
    struct once o = {.nodes = n};
    EQ_INT(meridian_run(db, NULL, insert, &o), MERIDIAN_OK);
    EQ_INT(o.calls, 2);
    EQ_INT(number(db, "SELECT count(*) FROM f"), 4);
}

static int insert_one(meridian *db, void *ctx) {
    int *calls = ctx;
    ++*calls;
    return meridian_exec(db, "INSERT INTO f VALUES (22)");
}

/* Also if it is lost in BEGIN: that it may have begun harms nobody. */
static void run_begin(meridian *db, struct nodes *n) {
    int calls = 0;
    stop_one(n);
    EQ_INT(meridian_on_progress(db, 50, on_wait, n), MERIDIAN_OK);
    n->once = true;
    EQ_INT(meridian_run(db, NULL, insert_one, &calls), MERIDIAN_OK);
    n->once = false;
    EQ_INT(meridian_on_progress(db, 0, NULL, NULL), MERIDIAN_OK);
    EQ_INT(calls, 1);
    EQ_INT(number(db, "SELECT count(*) FROM f WHERE n = 22"), 1);
    EQ_INT(meridian_exec(db, "DELETE FROM f WHERE n = 22"), MERIDIAN_OK);
}

/* A COMMIT that was not even sent did not happen; of one that was sent, the client cannot know. */
static void commit(meridian *db, struct nodes *n) {
    EQ_INT(meridian_begin(db), MERIDIAN_OK);
    EQ_INT(meridian_exec(db, "INSERT INTO f VALUES (30)"), MERIDIAN_OK);
    kill_one(n);
    EQ_INT(meridian_commit(db), MERIDIAN_ABORTED);
    EQ_INT(meridian_state(db), 'I');
    EQ_INT(number(db, "SELECT count(*) FROM f"), 4);

    EQ_INT(meridian_begin(db), MERIDIAN_OK);
    EQ_INT(meridian_exec(db, "INSERT INTO f VALUES (30)"), MERIDIAN_OK);
    stop_one(n);
    EQ_INT(meridian_on_progress(db, 50, on_wait, n), MERIDIAN_OK);
    EQ_INT(meridian_commit(db), MERIDIAN_UNKNOWN);
    EQ_INT(meridian_error_retry(db), MERIDIAN_RETRY_ASK);
    EQ_INT(meridian_on_progress(db, 0, NULL, NULL), MERIDIAN_OK);
    EQ_INT(meridian_state(db), 'I');
    EQ_INT(number(db, "SELECT count(*) FROM f"), 4);

    stop_one(n); /* and the same outside of a block */
    EQ_INT(meridian_on_progress(db, 50, on_wait, n), MERIDIAN_OK);
    EQ_INT(meridian_exec(db, "INSERT INTO f VALUES (31)"), MERIDIAN_UNKNOWN);
    EQ_INT(meridian_on_progress(db, 0, NULL, NULL), MERIDIAN_OK);
    EQ_INT(number(db, "SELECT count(*) FROM f"), 4);
    EQ_INT(meridian_exec(db, "DROP TABLE f"), MERIDIAN_OK);
}

static void nobody(struct nodes *n) {
    meridian *db;
    char url[512];
    const char *last = strrchr(n->url, ','), *path = strrchr(n->url, '/');
    if (!OK(last != NULL) || !OK(path != NULL))
        return;
    snprintf(url, sizeof url, "%.*s%s", (int)(strlen(n->url) - strlen(last)), n->url,
             path); /* but for the last one, all are dead */
    EQ_INT(meridian_open(url, &db), MERIDIAN_UNAVAILABLE);
    EQ_INT(meridian_error_retry(db), MERIDIAN_RETRY_YES);
    EQ_STR(meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE), "08001");
    meridian_close(db);
}

int main(int argc, char **argv) {
    struct nodes n = {.url = argc > 1 ? argv[1] : ""};
    meridian *db;
    for (int i = 2; i < argc && n.count < KILLS_MAX; i++)
        n.pid[n.count++] = (int)strtol(argv[i], NULL, 10);
    tap_begin("failover");
    int code = meridian_open(n.url, &db);
    if (OKF(code == MERIDIAN_OK, "%s", meridian_errmsg(db))) {
        idle(db, &n);
        block(db, &n);
        run(db, &n);
        run_begin(db, &n);
        commit(db, &n);
        nobody(&n);
    }
    meridian_close(db);
    tap_end();
    return tap_done();
}
