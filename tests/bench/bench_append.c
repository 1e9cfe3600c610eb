/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The yardstick: a bare replicated append, without a database and without a protocol. What consensus costs beyond it is ours.
 *
 * Three processes keep a prewritten file each. Clients (one connection each, one command of 100 bytes in flight each) talk to the
 * first, which passes on what it got in one turn of its epoll loop, writes and syncs it itself, and answers once another one has
 * done so too. No elections, no slots, no checksums, nothing is ever read back: it is what a machine can do at most.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/bench.h"
#include "tests/lib/tap.h"

enum {
    COMMAND_BYTES = 100,
    FILE_BYTES = 64 << 20,
    CLIENTS_MAX = 512,
    GATHER_BYTES = CLIENTS_MAX * COMMAND_BYTES,
    SAMPLES_MAX = 1 << 20,
    MS = 1000000
};
static const int64_t WARM_NS = 100 * (int64_t)MS, RUN_NS = 400 * (int64_t)MS;
static const int counts[] = {1, 8, 32, 128, 512};

static void must(bool ok, const char *what) {
    CHECKF(ok, "%s: %s", what, strerror(errno));
}

/* ---- sockets and files ---- */

static int listen_any(struct sockaddr_in *ret) {
    socklen_t n = sizeof *ret;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(fd >= 0 && bind(fd, (struct sockaddr *)ret, sizeof *ret) == 0 && listen(fd, CLIENTS_MAX + 8) == 0, "listen");
    must(getsockname(fd, (struct sockaddr *)ret, &n) == 0, "getsockname");
    return fd;
}

static void no_delay(int fd) {
    int one = 1;
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "TCP_NODELAY");
}

static int dial(const struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof *to) == 0, "connect");
    no_delay(fd);
    return fd;
}

static void write_all(int fd, const void *from, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        ssize_t n = write(fd, (const char *)from + at, bytes - at);
        must(n > 0, "write");
        at += (size_t)n;
    }
}

/* False: the other side is gone. */
static bool read_all(int fd, void *to, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        ssize_t n = read(fd, (char *)to + at, bytes - at);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

struct file {
    int fd;
    off_t at;
};

static struct file prewritten(int replica) {
    static const char zeros[1 << 20];
    char path[600];
    snprintf(path, sizeof path, "%s/replica-%d", tap_dir(), replica);
    struct file f = {.fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644)};
    must(f.fd >= 0, path);
    for (int i = 0; i < FILE_BYTES / (1 << 20); i++)
        write_all(f.fd, zeros, sizeof zeros);
    must(fdatasync(f.fd) == 0, "fdatasync");
    return f;
}

static void append(struct file *f, const void *from, size_t bytes) {
    if (f->at + (off_t)bytes > FILE_BYTES)
        f->at = 0;
    must(pwrite(f->fd, from, bytes, f->at) == (ssize_t)bytes, "pwrite");
    must(fdatasync(f->fd) == 0, "fdatasync");
    f->at += (off_t)bytes;
}

/* ---- a follower: bytes in, a count of what is durable out ---- */

static void follower(int replica, const struct sockaddr_in *leader) {
    static char gathered[GATHER_BYTES];
    struct file f = prewritten(replica);
    int fd = dial(leader), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    uint64_t durable = 0;
    must(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll");
    for (;;) {
        must(epoll_wait(ep, &ev, 1, -1) == 1, "epoll_wait");
        ssize_t n = read(fd, gathered, sizeof gathered);
        if (n <= 0)
            _exit(0);
        append(&f, gathered, (size_t)n);
        durable += (uint64_t)n;
        write_all(fd, &durable, sizeof durable);
    }
}

/* ---- the leader ---- */

struct leader {
    struct file f;
    int ep, listener, follower[2];
    uint64_t durable[3]; /* bytes, by replica */
    uint64_t appended;
    char gathered[GATHER_BYTES];
    size_t bytes;
    int waiting[CLIENTS_MAX]; /* who is to be answered, in order, as a ring */
    uint64_t first, last;
};

static void watch(int ep, int fd) {
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll_ctl");
}

static void answer(struct leader *l) {
    uint64_t best = l->durable[1] > l->durable[2] ? l->durable[1] : l->durable[2];
    uint64_t chosen = l->durable[0] < best ? l->durable[0] : best;
    while (l->first < l->last && (l->first + 1) * COMMAND_BYTES <= chosen) {
        char yes = 1;
        write_all(l->waiting[l->first++ % CLIENTS_MAX], &yes, 1);
    }
}

static void take(struct leader *l, int fd) {
    if (fd == l->listener) {
        int client = accept(fd, NULL, NULL);
        must(client >= 0, "accept");
        no_delay(client);
        watch(l->ep, client);
        return;
    }
    for (int i = 0; i < 2; i++)
        if (fd == l->follower[i]) {
            if (!read_all(fd, &l->durable[i + 1], sizeof l->durable[0]))
                _exit(0);
            return;
        }
    char *to = l->gathered + l->bytes;
    if (!read_all(fd, to, COMMAND_BYTES)) {
        close(fd);
        return;
    }
    if (to[0] == 'q')
        _exit(0);
    l->bytes += COMMAND_BYTES;
    l->waiting[l->last++ % CLIENTS_MAX] = fd;
}

static void leader(int listener) {
    static struct leader l;
    struct epoll_event ev[64];
    l.f = prewritten(0);
    l.listener = listener;
    l.ep = epoll_create1(0);
    for (int i = 0; i < 2; i++) {
        l.follower[i] = accept(listener, NULL, NULL);
        must(l.ep >= 0 && l.follower[i] >= 0, "accept");
        no_delay(l.follower[i]);
        watch(l.ep, l.follower[i]);
    }
    watch(l.ep, listener);
    for (;;) {
        int n = epoll_wait(l.ep, ev, 64, -1);
        must(n > 0, "epoll_wait");
        for (int i = 0; i < n; i++)
            take(&l, ev[i].data.fd);
        /* whatever else has come goes along: one sync for all */
        while (n == 64 && (n = epoll_wait(l.ep, ev, 64, 0)) > 0)
            for (int i = 0; i < n; i++)
                take(&l, ev[i].data.fd);
        if (l.bytes) {
            for (int i = 0; i < 2; i++)
                write_all(l.follower[i], l.gathered, l.bytes);
            append(&l.f, l.gathered, l.bytes);
            l.durable[0] += l.bytes;
            l.bytes = 0;
        }
        answer(&l);
    }
}

/* ---- clients ---- */

static int64_t samples[SAMPLES_MAX];
static struct bench_figure rate[5], p50[5], p99[5], server_us[5], client_us[5];

static int64_t cpu_of(pid_t pid) {
    clockid_t id;
    struct timespec ts;
    must(clock_getcpuclockid(pid, &id) == 0 && clock_gettime(id, &ts) == 0, "CPU clock");
    return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t cpu_of_all(const pid_t *pid) {
    return cpu_of(pid[0]) + cpu_of(pid[1]) + cpu_of(pid[2]);
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure(const int *fd, int ep, const pid_t *pid, size_t which, int run) {
    static int64_t sent[CLIENTS_MAX + 1024];
    char command[COMMAND_BYTES] = {'c'};
    struct epoll_event ev[64];
    int count = counts[which];
    size_t n = 0;
    int64_t began = 0, cpu = 0, own = 0, now = bench_now_ns(), warm = now + WARM_NS, end = warm + RUN_NS;
    int busy = count;
    for (int i = 0; i < count; i++) {
        sent[fd[i]] = bench_now_ns();
        write_all(fd[i], command, sizeof command);
    }
    while (busy > 0) {
        int k = epoll_wait(ep, ev, 64, -1);
        must(k > 0, "epoll_wait");
        for (int i = 0; i < k; i++) {
            int c = ev[i].data.fd;
            char yes;
            must(read(c, &yes, 1) == 1, "answer");
            now = bench_now_ns();
            if (!began && now >= warm) {
                began = now;
                cpu = cpu_of_all(pid);
                own = bench_cpu_ns();
            } else if (began && n < SAMPLES_MAX && now < end) {
                samples[n++] = now - sent[c];
            }
            if (now >= end) {
                busy--;
                continue;
            }
            sent[c] = now;
            write_all(c, command, sizeof command);
        }
    }
    CHECK(n > 0);
    qsort(samples, n, sizeof samples[0], by_size);
    rate[which].run[run] = (double)n * 1e9 / (double)(end - began);
    size_t half = n / 2, most = n - 1 - n / 100;
    p50[which].run[run] = (double)samples[half] / 1000;
    p99[which].run[run] = (double)samples[most] / 1000;
    server_us[which].run[run] = (double)(cpu_of_all(pid) - cpu) / 1000 / (double)n;
    client_us[which].run[run] = (double)(bench_cpu_ns() - own) / 1000 / (double)n;
}

int main(void) {
    struct sockaddr_in addr;
    pid_t pid[3];
    int listener = listen_any(&addr), fd[CLIENTS_MAX], ep = epoll_create1(0);
    (void)tap_dir(); /* made before there are several of us */
    for (int i = 0; i < 3; i++) {
        pid[i] = fork();
        must(pid[i] >= 0, "fork");
        if (pid[i] == 0 && i == 0)
            leader(listener);
        if (pid[i] == 0)
            follower(i, &addr);
    }
    sleep(1); /* both followers are connected before the first client */
    for (int i = 0; i < CLIENTS_MAX; i++) {
        fd[i] = dial(&addr);
        watch(ep, fd[i]);
    }
    for (int run = 0; run < BENCH_RUNS; run++)
        for (size_t i = 0; i < ARRAY_LEN(counts); i++)
            measure(fd, ep, pid, i, run);
    char quit[COMMAND_BYTES] = {'q'};
    write_all(fd[0], quit, sizeof quit);
    for (int i = 0; i < 3; i++)
        must(waitpid(pid[i], NULL, 0) == pid[i], "waitpid");
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        char name[64];
        snprintf(name, sizeof name, "append: %d clients, 3 replicas, bare", counts[i]);
        bench_report(name, &rate[i], "/s", BENCH_SHOW, 0);
        bench_report("        p50", &p50[i], "us", BENCH_SHOW, 0);
        bench_report("        p99", &p99[i], "us", BENCH_SHOW, 0);
        bench_report("        CPU of a commit, servers", &server_us[i], "us", BENCH_SHOW, 0);
        bench_report("        CPU of a commit, clients", &client_us[i], "us", BENCH_SHOW, 0);
    }
    tap_done();
    return 0;
}
