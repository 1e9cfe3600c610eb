/* SPDX-License-Identifier: Apache-2.0 */
/* What meridian-geo stands on, as far as it needs no root: commands, files, locks, the verdict on round trips, the seats. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "geo-sim/netns/launcher.h"
#include "geo-sim/netns/world.h"
#include "geo-sim/topology/worlds.h"
#include "tests/lib/tap.h"

#define MS INT64_C(1000000)

static void commands(void) {
    struct err err = {0};
    EQ_INT(sys_run("true", &err), RC_OK);
    EQ_INT(sys_run("sh -c exit", &err), RC_OK);
    EQ_INT(sys_run("ls /does-not-exist-here", &err), RC_IO);
    OKF(strstr(err.message, "\"ls /does-not-exist-here\" failed: ") && strstr(err.message, "No such file"), "%s",
        err.message);
    EQ_INT(sys_run("false", &err), RC_IO);
    EQ_STR(err.message, "\"false\" failed: it said nothing");
    EQ_INT(sys_run("no-such-program-anywhere", &err), RC_NOTFOUND);
    EQ_STR(err.message, "no-such-program-anywhere is not installed");
    EQ_INT(sys_run("", &err), RC_INVAL);
    EQ_INT(sys_run("   ", &err), RC_INVAL);
    char line[2000];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    EQ_INT(sys_run(line, &err), RC_LIMIT);
    for (size_t i = 1; i < 200; i += 2)
        line[i] = ' ';
    line[200] = '\0';
    EQ_INT(sys_run(line, &err), RC_LIMIT);
    char made[256], lines[1024];
    snprintf(made, sizeof made, "%s/made", tap_dir());
    snprintf(lines, sizeof lines, "mkdir %s\nfalse\nrmdir %s\n", made, made);
    EQ_INT(sys_run_lines(lines, &err), RC_IO); /* stops where one fails */
    EQ_INT(access(made, F_OK), 0);
    snprintf(lines, sizeof lines, "rmdir %s", made);
    EQ_INT(sys_run_lines(lines, &err), RC_OK);
}

static void files(void) {
    char path[SYS_PATH_BYTES];
    struct err err = {0};
    struct buf b;
    buf_init(&b, 0);
    snprintf(path, sizeof path, "%s/a/b", tap_dir());
    EQ_INT(sys_mkdirs(path, &err), RC_OK);
    EQ_INT(sys_mkdirs(path, &err), RC_OK);
    snprintf(path, sizeof path, "%s/a/b/file", tap_dir());
    EQ_INT(sys_read_file(path, &b, &err), RC_NOTFOUND);
    EQ_INT(sys_write_file(path, "one", 3, &err), RC_OK);
    EQ_INT(sys_write_file(path, "four", 4, &err), RC_OK);
    EQ_INT(sys_read_file(path, &b, &err), RC_OK);
    EQ_STR(buf_cstr(&b), "four");
    buf_reset(&b, 0);
    EQ_INT(sys_read_file("/dev/zero", &b, &err), RC_LIMIT);
    buf_done(&b);
    snprintf(path, sizeof path, "%s/no/such/dir", tap_dir());
    OK(sys_write_file(path, "x", 1, &err) != RC_OK);
}

/* Who holds a lock is known by the lock, not by the number in the file: a dead holder holds nothing. */
static void locks(void) {
    char path[SYS_PATH_BYTES];
    struct err err = {0};
    int fd, other, status, began[2];
    snprintf(path, sizeof path, "%s/lock", tap_dir());
    EQ_INT(sys_lock_holder(path), 0);
    EQ_INT(sys_lock(path, 0, &fd, &err), RC_OK);
    EQ_INT(sys_lock(path, 30, &other, &err), RC_BUSY);
    close(fd);
    CHECK(pipe(began) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char text[16];
        if (sys_lock(path, 0, &fd, NULL) == RC_OK) {
            int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
            IGNORE(write(fd, text, (size_t)n));
            IGNORE(write(began[1], "x", 1));
            pause();
        }
        _exit(1);
    }
    char x;
    OK(read(began[0], &x, 1) == 1);
    EQ_INT(sys_lock_holder(path), pid);
    OK(!sys_wait_unlocked(path, 20));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    OK(sys_wait_unlocked(path, 1000));
    EQ_INT(sys_lock_holder(path), 0); /* though its number is still written there */
}

static void judged(const struct topo *t, int64_t rtt_ns, unsigned came, enum ping_verdict want) {
    static struct ping_pair p;
    int64_t off, allowed;
    p = (struct ping_pair){.sent = 21, .came = came};
    for (unsigned i = 0; i < came; i++)
        p.rtt_ns[i] = rtt_ns;
    enum ping_verdict v = ping_judge(t, 0, 1, &p, &off, &allowed);
    OKF(v == want, "%lld ns of %u answers: verdict %d, wanted %d (off %lld, allowed %lld)", (long long)rtt_ns, came,
        (int)v, (int)want, (long long)off, (long long)allowed);
}

static struct topo *world(const char *text) {
    struct topo *t = NULL;
    struct err err = {0};
    OKF(topo_parse("w", text, strlen(text), &t, &err) == RC_OK, "%s", err.message);
    CHECK(t);
    return t;
}

static void verdicts(void) {
    struct topo *t = world("format 1\nregion a 1\nregion b 2\nlink a b rtt 20ms\n");
    struct err err = {0};
    judged(t, 20 * MS, 21, PING_OK);
    judged(t, 21 * MS, 21, PING_OK); /* 1 ms is more than 2 % of it */
    judged(t, 21 * MS + 1, 21, PING_OFF);
    judged(t, 19 * MS - 1, 21, PING_OFF);
    judged(t, 40 * MS, 21, PING_OFF); /* a delay that is applied twice */
    judged(t, 20 * MS, 2, PING_SILENT);
    judged(t, 0, 0, PING_SILENT);
    OK(topo_apply(t, "link a b rtt 200ms", &err) == RC_OK);
    judged(t, 204 * MS, 21, PING_OK);
    judged(t, 204 * MS + 1, 21, PING_OFF);
    OK(topo_apply(t, "link a b jitter 5ms", &err) == RC_OK); /* the median of 21 is not exact either */
    judged(t, 208 * MS, 21, PING_OK);
    judged(t, 215 * MS, 21, PING_OFF);
    OK(topo_apply(t, "cut b a oneway", &err) == RC_OK);
    judged(t, 0, 0, PING_OK);
    judged(t, 200 * MS, 1, PING_NOT_CUT);
    OK(topo_apply(t, "heal a b", &err) == RC_OK && topo_apply(t, "oneway a b loss 100%", &err) == RC_OK);
    judged(t, 0, 0, PING_OK);
    judged(t, 200 * MS, 21, PING_NOT_CUT);
    topo_free(t);
}

/* ---- seats ------------------------------------------------------------------------------------------------------- */

struct note {
    char text[512];
    unsigned fail_at, started;
};

static enum rc note_start(void *ctx, const struct geo_seat *seat, struct err *err) {
    struct note *n = ctx;
    if (n->started == n->fail_at)
        return err_set(err, RC_IO, "no");
    n->started++;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "+%s/%s ", seat->name, seat->addr);
    return RC_OK;
}

static void note_stop(void *ctx, const struct geo_seat *seat) {
    struct note *n = ctx;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "-%s ", seat->name);
}

static void launchers(void) {
    struct topo *t = world("format 1\nregion a 1 zones x y nodes 2\nregion b 2\nzone-rtt 1ms\nlink a b rtt 2ms\n");
    struct note n = {.fail_at = 99};
    struct geo_launcher l = {"note", note_start, note_stop, &n};
    struct geo_seat seat;
    struct err err = {0};
    geo_seat_of("main", t, 1, 1, &seat);
    EQ_STR(seat.netns, "geo-main-a.y");
    EQ_STR(seat.zone, "y");
    EQ_INT(geo_launch("main", t, &l, &err), RC_OK);
    EQ_STR(n.text, "+a.x-1/10.77.1.1 +a.x-2/10.77.1.2 +a.y-1/10.77.1.33 +a.y-2/10.77.1.34 +b-1/10.77.2.1 ");
    n.text[0] = '\0';
    geo_recall("main", t, &l);
    EQ_STR(n.text, "-b-1 -a.y-2 -a.y-1 -a.x-2 -a.x-1 ");
    for (unsigned fail_at = 0; fail_at < 5; fail_at++) { /* whoever was started is stopped, the last one first */
        n = (struct note){.fail_at = fail_at};
        EQ_INT(geo_launch("main", t, &l, &err), RC_IO);
        OKF(strstr(err.message, "note: start "), "%s", err.message);
        unsigned starts = 0, stops = 0;
        for (const char *c = n.text; *c; c++) {
            starts += *c == '+';
            stops += *c == '-' && (c == n.text || c[-1] == ' ');
        }
        EQ_INT(starts, fail_at);
        EQ_INT(stops, fail_at);
    }
    EQ_STR(n.text,
           "+a.x-1/10.77.1.1 +a.x-2/10.77.1.2 +a.y-1/10.77.1.33 +a.y-2/10.77.1.34 -a.y-2 -a.y-1 -a.x-2 -a.x-1 ");
    topo_free(t);
}

/* Each shipped world is inside the program, and parses. */
static void shipped(void) {
    size_t i = 0;
    for (; topo_world_at(i); i++) {
        const struct topo_world *w = topo_world_at(i);
        struct topo *t = NULL;
        struct err err = {0};
        OKF(topo_parse(w->name, (const char *)w->text, w->bytes, &t, &err) == RC_OK, "%s", err.message);
        OK(topo_world_named(w->name) == w);
        topo_free(t);
    }
    OK(i >= 6 && topo_world_named("five-regions") && !topo_world_named("six-regions"));
}

int main(void) {
    RUN(commands);
    RUN(files);
    RUN(locks);
    RUN(verdicts);
    RUN(launchers);
    RUN(shipped);
    return tap_done();
}
