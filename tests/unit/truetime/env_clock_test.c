/* SPDX-License-Identifier: Apache-2.0 */
/* What env_real gives the clock: pages with one writer, segments, datagrams to a daemon, the kernel's word, the boot. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/onfiber.h"
#include "tests/lib/tap.h"

#define MS INT64_C(1000000)

static const char *in_dir(const char *name) {
    static char path[2][256];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", tap_dir(), name);
    return path[turn];
}

static void pages_body(struct reactor *r) {
    struct env *env = reactor_env(r);
    struct env_page *w, *w2, *rd;
    struct err err = {0};
    OK(env_page_map(env, in_dir("page"), 4096, false, &rd, &err) == RC_NOTFOUND);
    int fd = open(in_dir("short"), O_CREAT | O_WRONLY, 0600);
    OK(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
    OK(env_page_map(env, in_dir("short"), 4096, false, &rd, &err) == RC_CORRUPT);
    OKF(env_page_map(env, in_dir("page"), 4096, true, &w, &err) == RC_OK, "%s", err.message);
    OK(env_page_map(env, in_dir("page"), 4096, true, &w2, &err) == RC_BUSY);
    OK(strstr(err.message, "another process") != NULL);
    OK(env_page_map(env, in_dir("page"), 4096, false, &rd, &err) == RC_OK);
    strcpy(w->memory, "hello");
    EQ_STR((char *)rd->memory, "hello");
    env_page_unmap(w);
    EQ_STR((char *)rd->memory, "hello"); /* a reader outlives the writer */
    OK(env_page_map(env, in_dir("page"), 4096, true, &w2, &err) == RC_OK);
    strcpy(w2->memory, "again"); /* in place */
    EQ_STR((char *)rd->memory, "again");
    env_page_unmap(w2);
    env_page_unmap(rd);
    env_page_unmap(NULL);
    OK(symlink(in_dir("page"), in_dir("link")) == 0);
    OK(env_page_map(env, in_dir("link"), 4096, true, &w, &err) != RC_OK); /* nobody else chooses where we write */
}

static void pages(void) {
    on_fiber(DIAG_WARN, pages_body);
}

static void segments_body(struct reactor *r) {
    struct env *env = reactor_env(r);
    struct env_shm *a, *b;
    struct err err = {0};
    key_t key = 0x4e545030 + 200 + (key_t)(getpid() % 50);
    int old = shmget(key, 0, 0);
    if (old >= 0) {
        tap_skip("the segment is in use");
        return;
    }
    OK(env_shm_attach(env, key, 96, 0, &a, &err) == RC_NOTFOUND);
    if (!OKF(env_shm_attach(env, key, 96, 0600, &a, &err) == RC_OK, "%s", err.message))
        return;
    OK(env_shm_attach(env, key, 96, 0, &b, &err) == RC_OK);
    OK(a->bytes >= 96 && b->bytes >= 96);
    strcpy(a->memory, "tick");
    EQ_STR((char *)b->memory, "tick");
    env_shm_detach(a);
    EQ_STR((char *)b->memory, "tick");
    env_shm_detach(b);
    OK(env_shm_attach(env, key, 1 << 20, 0, &a, &err) == RC_INVAL);
    shmctl(shmget(key, 0, 0), IPC_RMID, NULL);
    OK(env_shm_attach(env, key, 96, 0, &a, &err) == RC_NOTFOUND);
}

static void segments(void) {
    on_fiber(DIAG_WARN, segments_body);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

struct got {
    struct event here;
    struct env_dgram *d;
    char text[64];
    size_t bytes;
    enum rc rc;
    int calls;
};

static void on_readable(void *ctx) {
    struct got *g = ctx;
    size_t n = 0;
    g->calls++;
    g->rc = env_dgram_recv(g->d, g->text, sizeof g->text, &n, NULL);
    if (g->rc || n) {
        g->bytes = n;
        event_set(&g->here, g->rc);
    }
}

/* Answers one datagram with the same bytes. */
static void echo(int server) {
    char text[256];
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(server, text, sizeof text, 0, (struct sockaddr *)&from, &len);
    OK(n > 0);
    if (n > 0)
        OK(sendto(server, text, (size_t)n, 0, (struct sockaddr *)&from, len) == n);
}

static int own_sockets(void) {
    char command[512];
    int n = -1;
    snprintf(command, sizeof command, "ls %s | grep -c 'chronyc.*sock'", tap_dir());
    FILE *f = popen(command, "r");
    if (!f || fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        pclose(f);
    return n;
}

static void unix_body(struct reactor *r) {
    struct env *env = reactor_env(r);
    struct got g = {.calls = 0};
    struct err err = {0};
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    char addr[300];
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s/chronyd.sock", tap_dir());
    snprintf(addr, sizeof addr, "unix:%s", sun.sun_path);
    event_init_unset(&g.here);
    OK(env_dgram_open(env, addr, on_readable, &g, &g.d, &err) == RC_NOTFOUND);
    int server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    OK(bind(server, (struct sockaddr *)&sun, sizeof sun) == 0);
    /* What a killed process with our number left behind is in nobody's way. */
    struct sockaddr_un stale = {.sun_family = AF_UNIX};
    snprintf(stale.sun_path, sizeof stale.sun_path, "%s/chronyc.%d-0.sock", tap_dir(), (int)getpid());
    int dead = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    OK(bind(dead, (struct sockaddr *)&stale, sizeof stale) == 0);
    close(dead);
    if (!OKF(env_dgram_open(env, addr, on_readable, &g, &g.d, &err) == RC_OK, "%s", err.message)) {
        close(server);
        return;
    }
    EQ_INT(own_sockets(), 1);
    struct stat st;
    OK(stat(stale.sun_path, &st) == 0 && (st.st_mode & 0777) == 0666);
    struct env_dgram *second;
    OK(env_dgram_open(env, addr, on_readable, &g, &second, &err) == RC_OK);
    EQ_INT(own_sockets(), 2);
    env_dgram_close(second);
    EQ_INT(own_sockets(), 1);
    OK(env_dgram_send(g.d, "what time is it", 15, &err) == RC_OK);
    echo(server);
    OK(event_wait(r, &g.here, reactor_deadline(r, 10000 * MS)) == RC_OK);
    EQ_MEM(g.text, g.bytes, "what time is it", 15);
    close(server);
    OK(env_dgram_send(g.d, "anybody", 7, &err) == RC_UNREACHABLE);
    env_dgram_close(g.d);
    env_dgram_close(NULL);
    EQ_INT(own_sockets(), 0);
    unlink(sun.sun_path);
}

static void unix_datagrams(void) {
    on_fiber(DIAG_WARN, unix_body);
}

static void udp_body(struct reactor *r) {
    struct env *env = reactor_env(r);
    struct got g = {.calls = 0};
    struct err err = {0};
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sin;
    char addr[64];
    event_init_unset(&g.here);
    OK(env_dgram_open(env, "udp:localhost:323", on_readable, &g, &g.d, &err) == RC_INVAL);
    OK(env_dgram_open(env, "udp:127.0.0.1", on_readable, &g, &g.d, &err) == RC_INVAL);
    OK(env_dgram_open(env, "tcp:127.0.0.1:1", on_readable, &g, &g.d, &err) == RC_INVAL);
    int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    OK(bind(server, (struct sockaddr *)&sin, sizeof sin) == 0);
    OK(getsockname(server, (struct sockaddr *)&sin, &len) == 0);
    snprintf(addr, sizeof addr, "udp:127.0.0.1:%u", ntohs(sin.sin_port));
    OK(env_dgram_open(env, addr, on_readable, &g, &g.d, &err) == RC_OK);
    OK(env_dgram_send(g.d, "hello", 5, &err) == RC_OK);
    echo(server);
    OK(event_wait(r, &g.here, reactor_deadline(r, 10000 * MS)) == RC_OK);
    EQ_MEM(g.text, g.bytes, "hello", 5);
    close(server);
    event_init_unset(&g.here); /* nobody there any more: the refusal comes back as an error of receiving */
    OK(env_dgram_send(g.d, "hello", 5, &err) == RC_OK);
    OK(event_wait(r, &g.here, reactor_deadline(r, 10000 * MS)) == RC_UNREACHABLE);
    env_dgram_close(g.d);
}

static void udp_datagrams(void) {
    on_fiber(DIAG_WARN, udp_body);
}

static void machine_body(struct reactor *r) {
    struct env *env = reactor_env(r);
    struct env_adjtime t;
    char a[ENV_BOOT_ID_BYTES], b[ENV_BOOT_ID_BYTES];
    struct err err = {0};
    int64_t lo, hi;
    env_adjtime(env, &t);
    OK(t.state >= 0 && t.state <= 5);
    OK(t.maxerror_us >= 0);
    OKF(env_boot_id(env, a, sizeof a, &err) == RC_OK, "%s", err.message);
    OK(env_boot_id(env, b, sizeof b, &err) == RC_OK);
    EQ_STR(a, b);
    OK(strlen(a) > 36 && a[36] == '/');
    OK(env_boot_id(env, a, 10, &err) == RC_LIMIT);
    OK(env_true_time(env, 0, &lo, &hi, &err) == RC_UNSUPPORTED);
    int64_t coarse = env_clock_ns(env, ENV_CLOCK_REAL_COARSE), real = env_clock_ns(env, ENV_CLOCK_REAL);
    OK(real >= coarse);
}

static void machine(void) {
    on_fiber(DIAG_WARN, machine_body);
}

int main(void) {
    RUN(pages);
    RUN(segments);
    RUN(unix_datagrams);
    RUN(udp_datagrams);
    RUN(machine);
    return tap_done();
}
