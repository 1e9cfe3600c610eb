/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_faults_test.c: the embedded engine where the N-th allocation, or the N-th I/O of a kind, fails; for N = 1, 2, 3, ... until a
 * run ends without having met the fault.
 *
 * Each run is a process of its own: it makes a database, works in it, closes it, opens it again. Whatever fails, each call ends with
 * success or with an error that says something; the process neither crashes nor hangs nor leaks. Then another process, to which
 * nothing happens, opens the directory: everything that was acknowledged is there, nothing that was rolled back is.
 *
 *     FAULTS_ALL=1 FAULTS_STEP=n     every n-th N of every kind (tests/run long embed_faults)
 *     FAULTS_SECONDS=n               so long at N by chance (8); the seed is printed, SIM_SEED=k takes that one
 *     FAULT=alloc:once:123           this one; SIM_PRINT=1 shows what each call said
 *
 * While memory is gone for good a call may wait for it, until it is given up by its progress callback; nothing else may have to be.
 * The calls of our own code are caught by the linker (--wrap), those of SQLite's allocator by its own configuration.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"
#include "txn/api/meridian.h"

enum kind { ALLOC, SQLITE, MAP, THREAD, OPEN, READ, WRITE, SPACE, SYNC, NAME, KINDS };
static const char *const names[KINDS] = {"alloc", "sqlite", "map",   "thread", "open",
                                         "read",  "write",  "space", "sync",   "name"};

enum { ROWS = 6, BIG_BYTES = 200000, HANG_S = 120, PATIENCE_S = 8, STORY_BYTES = 400 };

/* What fails; of a process, and of one run only. */
static struct {
    enum kind kind;
    bool lasting; /* and everything of its kind after it */
    _Atomic int64_t left;
    _Atomic bool hit;
    _Atomic int64_t calls[KINDS];
} fault;

/* What a run leaves to those who look at it, whatever becomes of it. */
struct told {
    bool table, pair, copied, big, rows[ROWS];
    bool hit;
    int waited;              /* seconds of the call under way */
    int64_t calls[KINDS];    /* of each kind, as far as it came */
    char story[STORY_BYTES]; /* the last error; or what it did wrong */
    bool wrong;
};

static bool strikes(enum kind kind) {
    atomic_fetch_add(&fault.calls[kind], 1);
    if (kind != fault.kind)
        return false;
    int64_t left = atomic_fetch_sub(&fault.left, 1);
    if (left > 1 || (left < 1 && !fault.lasting))
        return false;
    atomic_store(&fault.hit, true);
    return true;
}

/* ---- what is caught ---------------------------------------------------------------------------------------------------- */

#define CAUGHT(type, name, ...)                                                                                        \
    type __real_##name(__VA_ARGS__);                                                                                   \
    type __wrap_##name(__VA_ARGS__);                                                                                   \
    type __wrap_##name(__VA_ARGS__)

static int fails_with(int errnum) {
    errno = errnum;
    return -1;
}

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
CAUGHT(void *, malloc, size_t n) {
    return strikes(ALLOC) ? NULL : __real_malloc(n);
}

CAUGHT(void *, calloc, size_t n, size_t size) {
    return strikes(ALLOC) ? NULL : __real_calloc(n, size);
}

CAUGHT(void *, realloc, void *p, size_t n) {
    return strikes(ALLOC) ? NULL : __real_realloc(p, n);
}

CAUGHT(char *, strdup, const char *s) {
    return strikes(ALLOC) ? NULL : __real_strdup(s);
}

CAUGHT(char *, strndup, const char *s, size_t n) {
    return strikes(ALLOC) ? NULL : __real_strndup(s, n);
}

CAUGHT(void *, mmap, void *at, size_t n, int prot, int flags, int fd, off_t off) {
    if (!strikes(MAP))
        return __real_mmap(at, n, prot, flags, fd, off);
    errno = ENOMEM;
    return MAP_FAILED;
}

CAUGHT(int, pthread_create, pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg) {
    return strikes(THREAD) ? EAGAIN : __real_pthread_create(t, attr, fn, arg);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
    va_end(ap);
    return strikes(OPEN) ? fails_with(EMFILE) : __real_open(path, flags, mode);
}

CAUGHT(int, eventfd, unsigned initial, int flags) {
    return strikes(OPEN) ? fails_with(EMFILE) : __real_eventfd(initial, flags);
}

CAUGHT(int, scandir, const char *path, struct dirent ***ret, int (*want)(const struct dirent *),
       int (*order)(const struct dirent **, const struct dirent **)) {
    return strikes(OPEN) ? fails_with(EMFILE) : __real_scandir(path, ret, want, order);
}

CAUGHT(ssize_t, pread, int fd, void *to, size_t n, off_t off) {
    return strikes(READ) ? fails_with(EIO) : __real_pread(fd, to, n, off);
}

static bool write_fails(void) {
    if (strikes(WRITE))
        return fails_with(EIO) < 0;
    return strikes(SPACE) && fails_with(ENOSPC) < 0;
}

CAUGHT(ssize_t, pwrite, int fd, const void *from, size_t n, off_t off) {
    return write_fails() ? -1 : __real_pwrite(fd, from, n, off);
}

CAUGHT(ssize_t, pwritev, int fd, const struct iovec *iov, int count, off_t off) {
    return write_fails() ? -1 : __real_pwritev(fd, iov, count, off);
}

CAUGHT(int, ftruncate, int fd, off_t n) {
    return write_fails() ? -1 : __real_ftruncate(fd, n);
}

CAUGHT(int, posix_fallocate, int fd, off_t off, off_t n) {
    return write_fails() ? errno : __real_posix_fallocate(fd, off, n);
}

CAUGHT(int, fdatasync, int fd) {
    return strikes(SYNC) ? fails_with(EIO) : __real_fdatasync(fd);
}

CAUGHT(int, fsync, int fd) {
    return strikes(SYNC) ? fails_with(EIO) : __real_fsync(fd);
}

CAUGHT(int, rename, const char *from, const char *to) {
    return strikes(NAME) ? fails_with(EIO) : __real_rename(from, to);
}

CAUGHT(int, unlink, const char *path) {
    return strikes(NAME) ? fails_with(EIO) : __real_unlink(path);
}

CAUGHT(int, mkdir, const char *path, mode_t mode) {
    return strikes(NAME) ? fails_with(EIO) : __real_mkdir(path, mode);
}
// NOLINTEND(bugprone-reserved-identifier)

/* SQLite's own, as they were. */
static struct sqlite3_mem_methods before;

static void *lite_malloc(int n) {
    return strikes(SQLITE) ? NULL : before.xMalloc(n);
}

static void *lite_realloc(void *p, int n) {
    return strikes(SQLITE) ? NULL : before.xRealloc(p, n);
}

static void catch_sqlite(void) {
    CHECK(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &before) == SQLITE_OK);
    struct sqlite3_mem_methods ours = before;
    ours.xMalloc = lite_malloc;
    ours.xRealloc = lite_realloc;
    CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) == SQLITE_OK);
}

/* ---- a run ------------------------------------------------------------------------------------------------------------------ */

static void note(struct told *t, bool wrong, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void note(struct told *t, bool wrong, const char *fmt, ...) {
    va_list ap;
    if (t->wrong)
        return;
    t->wrong = wrong;
    va_start(ap, fmt);
    vsnprintf(t->story, sizeof t->story, fmt, ap);
    va_end(ap);
    if (tap_env("SIM_PRINT", 0))
        fprintf(stderr, "# %s\n", t->story);
}

/* A call on db has ended with code: an error must say what it is. */
static bool fine(struct told *t, meridian *db, int code, const char *what) {
    if (code < MERIDIAN_ERROR)
        return true;
    const char *text = meridian_errmsg(db), *state = meridian_error_field(db, MERIDIAN_FIELD_SQLSTATE);
    bool clear = strcmp(meridian_code_name(code), "?") != 0 && text[0] && meridian_errcode(db) == code &&
                 (!state || strcmp(state, "00000") != 0);
    note(t, !clear, "%s: %s %s \"%s\"", what, meridian_code_name(code), state ? state : "-", text);
    return false;
}

static bool exec(struct told *t, meridian *db, const char *sql) {
    return fine(t, db, meridian_exec(db, sql), sql);
}

static void insert_rows(struct told *t, meridian *db) {
    meridian_stmt *st;
    if (!fine(t, db, meridian_prepare(db, "INSERT INTO t VALUES ($1, $2)", -1, &st), "prepare"))
        return;
    for (int i = 0; i < ROWS; i++) {
        char text[32];
        snprintf(text, sizeof text, "row %d", i);
        if (!fine(t, db, meridian_bind_int64(st, 1, i), "bind") ||
            !fine(t, db, meridian_bind_text(st, 2, text, -1), "bind"))
            continue;
        int code = meridian_step(st);
        t->rows[i] = fine(t, db, code, "insert") && code == MERIDIAN_DONE;
    }
    (void)fine(t, db, meridian_finalize(st), "finalize");
}

static void read_rows(struct told *t, meridian *db) {
    meridian_stmt *st;
    int code, rows = 0, want = 0;
    if (!fine(t, db, meridian_prepare(db, "SELECT n, v FROM t WHERE n < 100 ORDER BY n", -1, &st), "prepare"))
        return;
    while ((code = meridian_step(st)) == MERIDIAN_ROW)
        rows++;
    for (int i = 0; i < ROWS; i++)
        want += t->rows[i];
    if (fine(t, db, code, "select") && rows < want)
        note(t, true, "%d rows are read, and %d were acknowledged", rows, want);
    (void)fine(t, db, meridian_finalize(st), "finalize");
}

static int pair(meridian *db, void *ctx) {
    (void)ctx;
    int code = meridian_exec(db, "INSERT INTO t VALUES (100, 'a pair')");
    return code ? code : meridian_exec(db, "INSERT INTO u VALUES (100)");
}

static void copy_rows(struct told *t, meridian *db) {
    meridian_stmt *st;
    if (!fine(t, db, meridian_query(db, "COPY t FROM STDIN", -1, &st), "copy"))
        return;
    int code = meridian_step(st);
    if (code == MERIDIAN_COPY_IN) {
        code = meridian_copy_write(st, "300\tcopied\n", 11);
        if (fine(t, db, code, "copy_write"))
            code = meridian_copy_end(st, NULL);
        if (fine(t, db, code, "copy_end"))
            code = meridian_step(st);
    }
    t->copied = fine(t, db, code, "copy") && code == MERIDIAN_DONE;
    (void)fine(t, db, meridian_finalize(st), "finalize");
}

static void big_row(struct told *t, meridian *db) {
    static const char sql[] = "INSERT INTO t SELECT 400, repeat('x', 200000)";
    t->big = exec(t, db, sql);
    (void)exec(t, db, "SELECT sum(length(v)) FROM t");
}

static void work(struct told *t, meridian *db) {
    t->table = exec(t, db, "CREATE TABLE t (n int8 PRIMARY KEY, v text)") &&
               exec(t, db, "CREATE TABLE u (n int8 PRIMARY KEY)");
    insert_rows(t, db);
    read_rows(t, db);
    struct meridian_run_options o = {.size = sizeof o, .attempts_max = 3};
    t->pair = fine(t, db, meridian_run(db, &o, pair, NULL), "run");
    if (fine(t, db, meridian_begin(db), "begin")) {
        (void)exec(t, db, "INSERT INTO t VALUES (200, 'never')");
        (void)fine(t, db, meridian_savepoint(db, "s"), "savepoint");
        (void)exec(t, db, "UPDATE t SET v = 'never' WHERE n = 0");
        (void)fine(t, db, meridian_rollback_to(db, "s"), "rollback to");
    }
    (void)fine(t, db, meridian_rollback(db), "rollback");
    copy_rows(t, db);
    big_row(t, db);
    (void)exec(t, db, "CREATE INDEX t_n ON t (n)");
    read_rows(t, db);
}

static int too_long(void *ctx) {
    struct told *t = ctx;
    if (++t->waited < PATIENCE_S)
        return 0;
    bool may = fault.lasting && (fault.kind == ALLOC || fault.kind == SQLITE || fault.kind == MAP);
    note(t, !may, "a call was given up after %d s", PATIENCE_S);
    t->waited = 0;
    return 1;
}

static meridian *open_db(struct told *t, const char *url) {
    meridian *db = NULL;
    int code = meridian_open(url, &db);
    if (code == MERIDIAN_OK) {
        (void)meridian_on_progress(db, 1000, too_long, t); /* or it hangs */
        return db;
    }
    if (!db && code != MERIDIAN_NOMEM)
        note(t, true, "open: %s, and no handle to ask", meridian_code_name(code));
    if (db && fine(t, db, code, "open"))
        note(t, true, "open: %s is no error", meridian_code_name(code));
    if (!db)
        note(t, false, "open: %s", meridian_code_name(code));
    if (meridian_close(db) != MERIDIAN_OK)
        note(t, true, "a handle that was not opened cannot be closed");
    return NULL;
}

static void run(struct told *t, const char *url) {
    for (int i = 0; i < 2; i++) {
        meridian *db = open_db(t, url);
        if (db && i == 0)
            work(t, db);
        else if (db)
            read_rows(t, db);
        if (db && meridian_close(db) != MERIDIAN_OK)
            note(t, true, "it cannot be closed");
    }
}

/* ---- what must be true afterwards ---------------------------------------------------------------------------------------------- */

static int64_t number(struct told *t, meridian *db, const char *sql) {
    meridian_stmt *st;
    int64_t n = -1;
    if (meridian_prepare(db, sql, -1, &st) == MERIDIAN_OK && meridian_step(st) == MERIDIAN_ROW)
        n = meridian_column_int64(st, 0);
    else
        note(t, true, "afterwards, %s: %s", sql, meridian_errmsg(db));
    (void)meridian_finalize(st);
    return n;
}

static void expect(struct told *t, meridian *db, bool acknowledged, const char *sql, int64_t want) {
    if (acknowledged && !t->wrong && number(t, db, sql) != want)
        note(t, true, "afterwards, %s: not %lld", sql, (long long)want);
}

static void look(struct told *t, const char *url) {
    meridian *db;
    char sql[128];
    if (meridian_open(url, &db) != MERIDIAN_OK) {
        note(t, true, "afterwards, open: %s", meridian_errmsg(db));
        (void)meridian_close(db);
        return;
    }
    bool there = number(t, db, "SELECT count(*) FROM pg_class WHERE relname IN ('t', 'u')") == 2;
    if (t->table && !there)
        note(t, true, "afterwards, a table that was made is not there");
    for (int i = 0; i < ROWS; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE n = %d AND v = 'row %d'", i, i);
        expect(t, db, t->rows[i], sql, 1);
    }
    expect(t, db, t->pair, "SELECT count(*) FROM t JOIN u USING (n)", 1);
    expect(t, db, there, "SELECT (SELECT count(*) FROM t WHERE n = 100) - (SELECT count(*) FROM u)", 0);
    expect(t, db, t->copied, "SELECT count(*) FROM t WHERE n = 300", 1);
    expect(t, db, t->big, "SELECT length(v) FROM t WHERE n = 400", BIG_BYTES);
    expect(t, db, there, "SELECT count(*) FROM t WHERE v = 'never'", 0);
    expect(t, db, there, "SELECT (SELECT count(*) FROM t) - (SELECT count(v) FROM t)", 0);
    if (there && !t->wrong && meridian_exec(db, "INSERT INTO t VALUES (500, 'it goes on')") != MERIDIAN_OK)
        note(t, true, "afterwards, insert: %s", meridian_errmsg(db));
    (void)meridian_close(db);
}

/* ---- processes -------------------------------------------------------------------------------------------------------------------- */

/* Runs fn in a process; NULL, or what became of it. */
static const char *apart(void (*fn)(struct told *t, const char *url), struct told *t, const char *url, char *say,
                         size_t bytes) {
    int status;
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)alarm(HANG_S);
        fn(t, url);
        t->hit = atomic_load(&fault.hit);
        for (enum kind k = 0; k < KINDS; k++)
            t->calls[k] = atomic_load(&fault.calls[k]);
        fault.kind = KINDS;
        exit(t->wrong ? 3 : 0); /* not _exit: whatever leaked is found now */
    }
    while (waitpid(pid, &status, 0) < 0)
        CHECK(errno == EINTR);
    if (status == 0)
        return NULL;
    if (WIFSIGNALED(status))
        snprintf(say, bytes, "%s; before: %s", WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)),
                 t->story);
    else
        snprintf(say, bytes, "%s%s", WEXITSTATUS(status) == 3 ? "" : "it ended badly (a leak?); before: ", t->story);
    return say;
}

static void remove_dir(const char *dir) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK(system(command) == 0); // NOLINT(cert-env33-c): a directory of our own
}

/* One N. Returns whether the fault was met. */
static bool one(enum kind kind, bool lasting, int64_t n, struct told *t, bool *ret_ok) {
    char dir[400], url[420], say[2 * STORY_BYTES];
    snprintf(dir, sizeof dir, "%s/faults", tap_dir());
    snprintf(url, sizeof url, "file:%s", dir);
    remove_dir(dir);
    memset(t, 0, sizeof *t);
    fault.kind = kind;
    fault.lasting = lasting;
    atomic_store(&fault.hit, false);
    atomic_store(&fault.left, n);
    const char *bad = apart(run, t, url, say, sizeof say);
    bool hit = t->hit || bad;
    fault.kind = KINDS;
    if (!bad)
        bad = apart(look, t, url, say, sizeof say);
    *ret_ok = OKF(!bad, "FAULT=%s:%s:%lld: %s", kind < KINDS ? names[kind] : "none", lasting ? "lasting" : "once",
                  (long long)n, bad ? bad : "");
    return hit;
}

/* ---- which ------------------------------------------------------------------------------------------------------------------------- */

static void every(struct told *t, enum kind kind, bool lasting, int64_t step) {
    int64_t n, failed = 0, runs = 0;
    bool ok, hit = true;
    for (n = 1; hit && failed < 20; n += step, runs++) {
        hit = one(kind, lasting, n, t, &ok);
        failed += !ok;
    }
    OKF(runs > 1, "no call of this kind was met");
    tap_note("%s, %s: %lld runs, up to the %lldth call, %lld failed", kind < KINDS ? names[kind] : "none",
             lasting ? "lasting" : "once", (long long)runs, (long long)n, (long long)failed);
}

static void by_chance(struct told *t, double seconds) {
    uint64_t seed = tap_env("SIM_SEED", (uint64_t)time(NULL) % 1000000);
    int64_t calls[KINDS], runs = 0, hits = 0;
    struct timespec began, now;
    struct rng rng;
    bool ok;
    rng_init(&rng, seed);
    tap_note("replay: SIM_SEED=%llu", (unsigned long long)seed);
    OKF(!one(KINDS, false, 0, t, &ok), "no fault");
    OKF(t->pair && t->copied && t->big, "without a fault everything succeeds: %s", t->story);
    for (enum kind k = 0; k < KINDS; k++) {
        calls[k] = t->calls[k];
        OKF(calls[k] > 2, "%s: %lld calls", names[k], (long long)calls[k]);
    }
    if (tap_failing())
        return;
    clock_gettime(CLOCK_MONOTONIC, &began);
    do {
        enum kind k = (enum kind)rng_below(&rng, KINDS);
        int64_t n = 1 + (int64_t)rng_below(&rng, (uint64_t)calls[k]);
        bool memory = k == ALLOC || k == SQLITE || k == MAP; /* where it may take a while until a call is given up */
        hits += one(k, !memory && rng_chance(&rng, 0.3), n, t, &ok);
        runs++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - began.tv_sec) < seconds && !tap_failing());
    OKF(hits > 0, "no fault was met");
    tap_note("%lld runs, %lld met their fault; seed %llu", (long long)runs, (long long)hits, (unsigned long long)seed);
}

static struct told *shared(void) {
    void *p = __real_mmap(NULL, sizeof(struct told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static void this_one(void) {
    char kind[16], how[16];
    long long n;
    bool ok;
    CHECK(sscanf(getenv("FAULT"), "%15[a-z]:%15[a-z]:%lld", kind, how, &n) == 3);
    for (enum kind k = 0; k < KINDS; k++)
        if (strcmp(kind, names[k]) == 0)
            tap_note("hit: %d", one(k, strcmp(how, "lasting") == 0, n, shared(), &ok));
}

static void some(void) {
    by_chance(shared(), (double)tap_env("FAULTS_SECONDS", 5));
}

int main(void) {
    fault.kind = KINDS;
    catch_sqlite();
    if (getenv("FAULT")) {
        RUN(this_one);
    } else if (!tap_env("FAULTS_ALL", 0)) {
        RUN(some);
    } else {
        struct told *t = shared();
        const char *only = getenv("FAULTS_KIND");
        for (enum kind k = 0; k < KINDS; k++)
            for (int lasting = 0; lasting < 2; lasting++) {
                if (only && strcmp(only, names[k]) != 0)
                    continue;
                tap_begin(names[k]);
                every(t, k, lasting, (int64_t)tap_env("FAULTS_STEP", 1));
                tap_end();
            }
    }
    return tap_done();
}
