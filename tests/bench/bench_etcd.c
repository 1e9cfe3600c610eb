/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_etcd.c: etcd with three members on this machine, each with its log on this disk, under the load that bench_paxos puts
 * on ours: 100 bytes a write, 1 to 256 clients. Then bench_paxos itself, so that both figures come from one run.
 *
 * Clients are kept-alive connections to etcd's leader that PUT through its HTTP interface of version 2, which etcd answers
 * without a translation to gRPC in between. Our proposers are fibers in the leader, which have no connection to pay for: read
 * the two beside each other with that in mind.
 *
 * BENCH_DIR: where the logs lie.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/bench.h"
#include "tests/lib/tap.h"

enum { MEMBERS = 3, CLIENTS_MAX = 256, ANSWER_BYTES_MAX = 8192, SAMPLES_MAX = 1 << 20, FD_MAX = 1024 };
static const int64_t WARM_NS = 200000000, RUN_NS = 1000000000;
static const int counts[] = {1, 8, 32, 256};

static void must(bool ok, const char *what) {
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int free_port(void) {
    struct sockaddr_in a = loopback(0);
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0,
         "a free port");
    close(fd);
    return ntohs(a.sin_port);
}

static int dial(int port) {
    struct sockaddr_in a = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    must(fd >= 0, "socket");
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "TCP_NODELAY");
    return fd;
}

/* ---- etcd ---- */

struct member {
    pid_t pid;
    int client, peer;
};

static void member_start(struct member *m, int number, const char *dir, const char *cluster) {
    m->pid = fork();
    must(m->pid >= 0, "fork");
    if (m->pid)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char name[16], data[512], client[64], peer[64];
    snprintf(name, sizeof name, "n%d", number);
    snprintf(data, sizeof data, "%s/%s", dir, name);
    snprintf(client, sizeof client, "http://127.0.0.1:%d", m->client);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%d", m->peer);
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    dup2(null, 2);
    execlp("etcd", "etcd", "--name", name, "--data-dir", data, "--enable-v2=true", "--listen-client-urls", client,
           "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
           "--initial-cluster", cluster, "--initial-cluster-state", "new", (char *)NULL);
    _exit(127);
}

/* One request on a connection of its own; the answer as text, "" if there is none. */
static void ask(int port, const char *path, char *to, size_t cap) {
    to[0] = 0;
    int fd = dial(port);
    if (fd < 0)
        return;
    char q[256];
    int n = snprintf(q, sizeof q, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    size_t have = 0;
    if (write(fd, q, (size_t)n) == n)
        for (ssize_t k; have + 1 < cap && (k = read(fd, to + have, cap - 1 - have)) > 0;)
            have += (size_t)k;
    to[have] = 0;
    close(fd);
}

static int leader_of(const struct member *m) {
    static char answer[ANSWER_BYTES_MAX];
    for (int tries = 0; tries < 300; tries++, usleep(100000))
        for (int i = 0; i < MEMBERS; i++) {
            ask(m[i].client, "/v2/stats/self", answer, sizeof answer);
            if (strstr(answer, "StateLeader"))
                return i;
        }
    return -1;
}

/* ---- clients ---- */

struct client {
    char in[ANSWER_BYTES_MAX];
    size_t have;
    int64_t sent;
};

static struct client client[FD_MAX];
static int64_t samples[SAMPLES_MAX];
static struct bench_figure rate[4], p50[4], p99[4], server_us[4];

static void put(int fd, uint64_t id) {
    char q[512], value[101];
    memset(value, 'v', 100);
    value[100] = 0;
    int n = snprintf(q, sizeof q,
                     "PUT /v2/keys/k%llu HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                     "application/x-www-form-urlencoded\r\nContent-Length: 106\r\n\r\nvalue=%s",
                     (unsigned long long)(id % 1000), value);
    client[fd].have = 0;
    client[fd].sent = bench_now_ns();
    must(write(fd, q, (size_t)n) == n, "request");
}

/* The answer is complete. */
static bool take(int fd) {
    struct client *c = &client[fd];
    ssize_t k = read(fd, c->in + c->have, sizeof c->in - 1 - c->have);
    must(k > 0, "answer");
    c->have += (size_t)k;
    c->in[c->have] = 0;
    char *body = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "Content-Length:");
    if (!body || !length || length > body || c->have < (size_t)(body + 4 - c->in) + strtoul(length + 15, NULL, 10))
        return false;
    must(strncmp(c->in, "HTTP/1.1 20", 11) == 0, "etcd refused a write");
    return true;
}

static int64_t cpu_of(const struct member *m) {
    int64_t sum = 0;
    for (int i = 0; i < MEMBERS; i++) {
        clockid_t id;
        struct timespec ts;
        must(clock_getcpuclockid(m[i].pid, &id) == 0 && clock_gettime(id, &ts) == 0, "CPU clock");
        sum += ts.tv_sec * 1000000000 + ts.tv_nsec;
    }
    return sum;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure(const struct member *m, const int *fd, int ep, size_t which, int run) {
    struct epoll_event ev[64];
    int busy = counts[which];
    size_t n = 0;
    uint64_t id = 0;
    int64_t began = 0, cpu = 0, now = bench_now_ns(), warm = now + WARM_NS, end = warm + RUN_NS;
    for (int i = 0; i < busy; i++)
        put(fd[i], id++);
    while (busy > 0) {
        int k = epoll_wait(ep, ev, 64, -1);
        must(k > 0, "epoll_wait");
        for (int i = 0; i < k; i++) {
            int c = ev[i].data.fd;
            if (!take(c))
                continue;
            now = bench_now_ns();
            if (!began && now >= warm) {
                began = now;
                cpu = cpu_of(m);
            } else if (began && n < SAMPLES_MAX && now < end) {
                samples[n++] = now - client[c].sent;
            }
            if (now >= end)
                busy--;
            else
                put(c, id++);
        }
    }
    CHECK(n > 0);
    qsort(samples, n, sizeof samples[0], by_size);
    size_t half = n / 2, most = n - 1 - n / 100;
    rate[which].run[run] = (double)n * 1e9 / (double)(end - began);
    p50[which].run[run] = (double)samples[half] / 1000;
    p99[which].run[run] = (double)samples[most] / 1000;
    server_us[which].run[run] = (double)(cpu_of(m) - cpu) / 1000 / (double)n;
}

static void run_ours(const char *self) {
    char path[4096];
    const char *slash = strrchr(self, '/');
    snprintf(path, sizeof path, "%.*sbench_paxos", slash ? (int)(slash - self) + 1 : 0, self);
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        execl(path, path, "load", (char *)NULL);
        perror(path);
        _exit(127);
    }
    int status;
    must(waitpid(pid, &status, 0) == pid && status == 0, "bench_paxos");
}

int main(int argc, char **argv) {
    (void)argc;
    struct member m[MEMBERS] = {0};
    char cluster[512] = "", dir[512];
    int fd[CLIENTS_MAX];
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (system("command -v etcd >/dev/null") != 0) {
        printf("etcd is not installed: apt-get install etcd-server\n");
        return 1;
    }
    snprintf(dir, sizeof dir, "%s/bench_etcd.XXXXXX", getenv("BENCH_DIR") ? getenv("BENCH_DIR") : ".");
    must(mkdtemp(dir) != NULL, dir);
    for (int i = 0; i < MEMBERS; i++) {
        m[i].client = free_port();
        m[i].peer = free_port();
        size_t at = strlen(cluster);
        snprintf(cluster + at, sizeof cluster - at, "%sn%d=http://127.0.0.1:%d", i ? "," : "", i + 1, m[i].peer);
    }
    for (int i = 0; i < MEMBERS; i++)
        member_start(&m[i], i + 1, dir, cluster);
    int leader = leader_of(m);
    bool led = leader >= 0;
    if (led) {
        int ep = epoll_create1(0);
        must(ep >= 0, "epoll_create1");
        for (int i = 0; i < CLIENTS_MAX; i++) {
            fd[i] = dial(m[leader].client);
            must(fd[i] >= 0 && fd[i] < FD_MAX, "a connection to etcd");
            struct epoll_event e = {.events = EPOLLIN, .data.fd = fd[i]};
            must(epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &e) == 0, "epoll_ctl");
        }
        for (int run = 0; run < BENCH_RUNS; run++)
            for (size_t i = 0; i < ARRAY_LEN(counts); i++)
                measure(m, fd, ep, i, run);
        close(ep);
    }
    for (int i = 0; i < MEMBERS; i++) {
        kill(m[i].pid, SIGKILL);
        must(waitpid(m[i].pid, NULL, 0) == m[i].pid, "waitpid");
    }
    char rm[600];
    snprintf(rm, sizeof rm, "rm -rf '%s'", dir);
    must(system(rm) == 0, "the directory goes");
    if (!led) {
        printf("etcd has no leader after 30 s\n");
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        char name[64];
        snprintf(name, sizeof name, "etcd: %d clients, 3 members", counts[i]);
        bench_report(name, &rate[i], "/s", BENCH_SHOW, 0);
        bench_report("        p50", &p50[i], "us", BENCH_SHOW, 0);
        bench_report("        p99", &p99[i], "us", BENCH_SHOW, 0);
        bench_report("        CPU of a commit, servers", &server_us[i], "us", BENCH_SHOW, 0);
    }
    run_ours(argv[0]);
    return 0;
}
