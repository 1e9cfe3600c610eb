/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_paxos.c: three stores in three processes on loopback, each with its log on this machine's disk (fdatasync on), and
 * proposers on the leader: commit latency and throughput, with one and with a hundred groups, with a stopped follower; what
 * idle groups cost; how long writes stop when the leader is killed and when it hands over.
 *
 *     bench_paxos [load | idle | kill | handover]...        default: all
 *
 * BENCH_SECONDS (of each load, 1.5), BENCH_IDLE_GROUPS (10,000), BENCH_KILLS (20), BENCH_DIR (where the logs lie).
 * A commit is a proposal of 100 bytes that returned to its fiber: durable on two stores, applied on the leader. The peer in
 * the same run is bench_append (three processes, epoll, write and fdatasync, no protocol).
 */
#include <ftw.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/runtime/env_real.h"
#include "tests/lib/bench.h"
#include "tests/lib/pxhost.h"

enum { NODES = 3, BYTES = 100, LAT_MAX = 1 << 21, MS = 1000000 };
static const int64_t SECOND = 1000000000;

enum phase { PHASE_IDLE, PHASE_LOAD, PHASE_WRITE, PHASE_HAND_OVER, PHASE_END };

/* Seen by all processes. */
struct shared {
    _Atomic int phase;
    _Atomic int clients;
    _Atomic int64_t load_ns;
    _Atomic int target; /* hand over to this node */
    _Atomic bool load_done;
    _Atomic int64_t groups_led[NODES + 1], last_commit[NODES + 1], heap_bytes[NODES + 1];
    _Atomic bool ready[NODES + 1];
    uint64_t commits;
    int64_t took_ns;
    uint32_t samples;
    uint32_t lat_us10[LAT_MAX]; /* tenths of a microsecond */
};

struct bench {
    bool keeps_data; /* nodes come back from their disks */
    struct shared *sh;
    char dir[200], addr[NODES + 1][64];
    uint32_t groups, leader;
    pid_t pid[NODES + 1];
};

struct node {
    struct bench *b;
    uint32_t number;
    struct pxhost host;
    int running;
    int64_t end_ns;
};

/* ---- a node ------------------------------------------------------------------------------------------------------ */

struct load_fiber {
    struct node *n;
    uint32_t at;
};

static enum rc commit_one(struct node *n, uint64_t group, uint64_t id) {
    struct replica *r = pxhost_replica(&n->host, group);
    if (!r || replica_leader(r) != replicas_self(n->host.replicas))
        return RC_NOT_LEADER;
    struct px_value *v = regs_command(id, (uint32_t)id, false, id, BYTES);
    tt_interval now = tt_now(&n->host.clock);
    enum rc rc =
        replica_propose(r, v, now.latest, reactor_deadline(n->host.reactor, 2 * SECOND), NULL, NULL, NULL, NULL);
    px_value_unref(v);
    return rc;
}

static void load_main(void *arg) {
    struct load_fiber *f = arg;
    struct node *n = f->n;
    struct shared *sh = n->b->sh;
    uint64_t id = (uint64_t)f->at << 32;
    while (bench_now_ns() < n->end_ns) {
        int64_t began = bench_now_ns();
        id++;
        if (commit_one(n, 1 + (f->at + id) % n->b->groups, id) != RC_OK) {
            IGNORE(fiber_sleep(n->host.reactor, MS));
            continue;
        }
        sh->commits++;
        if (sh->samples < LAT_MAX)
            sh->lat_us10[sh->samples++] = (uint32_t)((bench_now_ns() - began) / 100);
    }
    n->running--;
    free(f);
}

static void load(struct node *n) {
    struct shared *sh = n->b->sh;
    int64_t began = bench_now_ns();
    n->end_ns = began + sh->load_ns;
    sh->commits = sh->samples = 0;
    for (int i = 0; i < sh->clients; i++) {
        struct load_fiber *f = malloc(sizeof *f);
        CHECK(f);
        *f = (struct load_fiber){n, (uint32_t)i};
        CHECK(fiber_spawn(n->host.reactor, NULL, FIBER_SMALL, "load", load_main, f) == RC_OK);
        n->running++;
    }
    while (n->running)
        IGNORE(fiber_sleep(n->host.reactor, MS));
    sh->took_ns = bench_now_ns() - began;
    sh->phase = PHASE_IDLE;
    sh->load_done = true;
}

static void count_led(void *ctx, struct replica *r) {
    struct node *n = ctx;
    n->b->sh->groups_led[n->number] += replica_leads(r);
}

static void body(void *ctx, struct pxhost *h) {
    struct node *n = ctx;
    struct shared *sh = n->b->sh;
    sh->ready[n->number] = true;
    uint64_t id = (uint64_t)n->number << 56;
    int turns = 0;
    for (;;) {
        struct replica *r = pxhost_replica(h, 1);
        bool leads = r && replica_leads(r);
        switch ((enum phase)atomic_load(&sh->phase)) {
        case PHASE_LOAD:
            if (n->number == n->b->leader)
                load(n);
            break;
        case PHASE_WRITE: /* without pause: the gap is what is measured */
            if (leads && commit_one(n, 1, ++id) == RC_OK)
                sh->last_commit[n->number] = bench_now_ns();
            break;
        case PHASE_HAND_OVER:
            if (leads && (int)n->number != sh->target)
                IGNORE(replica_transfer(r, px_store_of((struct store_addr){(uint32_t)sh->target, 0}),
                                        reactor_deadline(h->reactor, SECOND), NULL));
            sh->phase = leads ? PHASE_WRITE : sh->phase;
            break;
        default:
            break;
        }
        if (turns++ % 64 == 0 && sh->phase == PHASE_IDLE) {
            sh->groups_led[n->number] = 0;
            replicas_each(h->replicas, count_led, n);
            sh->heap_bytes[n->number] = (int64_t)mallinfo2().uordblks;
        }
        if (sh->phase != PHASE_WRITE || !leads)
            if (fiber_sleep(h->reactor, sh->phase == PHASE_IDLE ? 20 * MS : MS / 5))
                return;
    }
}

static void on_failed(void *ctx, struct pxhost *h, enum rc rc, const char *why) {
    (void)ctx, (void)h;
    fprintf(stderr, "bench_paxos: %s: %s\n", rc_name(rc), why);
    _exit(1);
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct node *n = arg;
    struct bench *b = n->b;
    char dir[256];
    snprintf(dir, sizeof dir, "%s/n%u", b->dir, n->number);
    struct pxhost_conf conf = {.node = n->number,
                               .nodes = NODES,
                               .dir = dir,
                               .clock = "fixed:50us",
                               .groups = b->groups,
                               .voters = NODES,
                               .incarnation = (uint64_t)bench_now_ns(),
                               .checkpoint_every = 20000,
                               .no_files = !b->keeps_data,
                               .leader = b->leader,
                               .body = body,
                               .on_failed = on_failed,
                               .ctx = n};
    for (int i = 0; i < NODES; i++)
        snprintf(conf.addr[i], sizeof conf.addr[i], "%s", b->addr[i + 1]);
    (void)count;
    *ret_state = n;
    return pxhost_boot(&n->host, &conf, stores[0], err);
}

static void stop(void *state, uint16_t store) {
    (void)store;
    pxhost_stop(&((struct node *)state)->host);
}

static bool stopped(void *state, uint16_t store) {
    (void)store;
    return pxhost_stopped(&((struct node *)state)->host);
}

static void done(void *state) {
    pxhost_done(&((struct node *)state)->host);
}

static void node_start(struct bench *b, uint32_t number) {
    static const struct program program = {boot, stop, stopped, done};
    b->sh->ready[number] = false;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) {
        b->pid[number] = pid;
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct process_conf conf = {.stores = 1, .level = DIAG_ERROR};
    struct node n = {.b = b, .number = number};
    struct process *p;
    struct err err = {0};
    if (process_new(&conf, &p, &err) || process_run(p, &program, &n, &err))
        fprintf(stderr, "bench_paxos: %s\n", err.message);
    _exit(1);
}

static void node_kill(struct bench *b, uint32_t number) {
    kill(b->pid[number], SIGKILL);
    waitpid(b->pid[number], NULL, 0);
    b->pid[number] = 0;
}

/* ---- the controller ---------------------------------------------------------------------------------------------- */

static int64_t env_number(const char *name, int64_t otherwise) {
    const char *s = getenv(name);
    return s ? atoll(s) : otherwise;
}

static void free_port(char to[64]) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
          getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    snprintf(to, 64, "127.0.0.1:%u", ntohs(a.sin_port));
    close(fd);
}

static int remove_it(const char *path, const struct stat *st, int flag, struct FTW *at) {
    (void)st, (void)flag, (void)at;
    return remove(path);
}

static void wipe(const char *dir) {
    IGNORE(nftw(dir, remove_it, 8, FTW_DEPTH | FTW_PHYS)); /* what stays lies in a directory of its own */
}

static bool led(const struct bench *b) {
    int64_t n = 0;
    for (int i = 1; i <= NODES; i++)
        n += b->sh->groups_led[i];
    return n >= b->groups;
}

static bool cluster_start(struct bench *b, uint32_t groups, uint32_t leader) {
    snprintf(b->dir, sizeof b->dir, "%s/bench_paxos.XXXXXX", getenv("BENCH_DIR") ? getenv("BENCH_DIR") : ".");
    CHECK(mkdtemp(b->dir));
    memset(b->sh, 0, sizeof *b->sh);
    b->groups = groups;
    b->leader = leader;
    for (uint32_t i = 1; i <= NODES; i++)
        free_port(b->addr[i]);
    for (uint32_t i = 1; i <= NODES; i++)
        node_start(b, i);
    for (int i = 0; i < 1200; i++) {
        if (led(b))
            return true;
        usleep(50000);
    }
    bench_note("only %lld groups got a leader within 60 s", (long long)b->sh->groups_led[1]);
    return false;
}

static void cluster_stop(struct bench *b) {
    for (uint32_t i = 1; i <= NODES; i++)
        if (b->pid[i])
            node_kill(b, i);
    wipe(b->dir);
}

/* User and system time of a process so far. */
static int64_t cpu_ns(pid_t pid) {
    char path[64], text[1024];
    unsigned long user = 0, sys = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    if (at)
        sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
    return (int64_t)(user + sys) * (SECOND / sysconf(_SC_CLK_TCK));
}

static int64_t cluster_cpu(const struct bench *b) {
    int64_t ns = 0;
    for (int i = 1; i <= NODES; i++)
        ns += b->pid[i] ? cpu_ns(b->pid[i]) : 0;
    return ns;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double us(const struct shared *sh, uint32_t at) {
    return (double)sh->lat_us10[at] / 10;
}

static void run_load(struct bench *b, int clients, const char *what) {
    struct shared *sh = b->sh;
    int64_t cpu = cluster_cpu(b);
    sh->clients = clients;
    sh->load_ns = env_number("BENCH_MS", 1500) * MS;
    sh->load_done = false;
    sh->phase = PHASE_LOAD;
    while (!sh->load_done)
        usleep(2000);
    cpu = cluster_cpu(b) - cpu;
    uint32_t n = sh->samples;
    if (!n) {
        bench_note("%s: nothing was committed", what);
        return;
    }
    qsort(sh->lat_us10, n, sizeof sh->lat_us10[0], by_value);
    printf("paxos: %3u groups, %3d proposers%-22s %8.0f commits/s  p50 %8.1f us  p99 %8.1f us  max %9.1f us  CPU %6.1f "
           "us/commit\n",
           b->groups, clients, what, (double)sh->commits * 1e9 / (double)sh->took_ns, us(sh, n / 2),
           us(sh, n - 1 - n / 100), us(sh, n - 1), (double)cpu / 1000 / (double)sh->commits);
    fflush(stdout);
}

static void bench_load(struct bench *b, uint32_t groups) {
    if (!cluster_start(b, groups, 1)) {
        cluster_stop(b);
        return;
    }
    static const int clients[] = {1, 8, 32, 256};
    run_load(b, 8, " (warming up)");
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        run_load(b, clients[i], "");
    kill(b->pid[3], SIGSTOP);
    usleep(200000);
    run_load(b, 8, " (a follower stopped)");
    kill(b->pid[3], SIGCONT);
    cluster_stop(b);
}

static void bench_idle(struct bench *b) {
    uint32_t groups = (uint32_t)env_number("BENCH_IDLE_GROUPS", 10000);
    int64_t heap[2] = {0};
    for (int i = 0; i < 2; i++) {
        if (cluster_start(b, i ? groups : 1, 0)) {
            usleep(4000000);
            for (int k = 1; k <= NODES; k++)
                heap[i] += b->sh->heap_bytes[k] / NODES;
            int64_t cpu = cluster_cpu(b), began = bench_now_ns();
            usleep(5000000);
            double took = (double)(bench_now_ns() - began);
            printf("paxos: %5u idle groups x 3 nodes                %6.2f %% of a core a node%s\n", b->groups,
                   (double)(cluster_cpu(b) - cpu) * 100 / took / NODES, i ? "   wanted < 3" : "");
        }
        cluster_stop(b);
    }
    double each = (double)(heap[1] - heap[0]) / groups;
    printf("paxos: an idle group on a node                    %6.0f bytes, of which %zu are this program's registers   "
           "wanted < 4096\n",
           each, sizeof(struct regs) + sizeof(struct pxhost_group));
    fflush(stdout);
}

/* Who committed last, and when. */
static int last_writer(const struct bench *b, int64_t *ret_at) {
    int who = 0;
    *ret_at = 0;
    for (int i = 1; i <= NODES; i++)
        if (b->sh->last_commit[i] > *ret_at) {
            *ret_at = b->sh->last_commit[i];
            who = i;
        }
    return who;
}

static int wait_writing(const struct bench *b, int64_t after, int64_t *ret_at) {
    for (int i = 0; i < 200000; i++) {
        int who = last_writer(b, ret_at);
        if (*ret_at > after)
            return who;
        usleep(100);
    }
    return 0;
}

static int by_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void bench_kill(struct bench *b) {
    double gap[64];
    int n = 0, runs = (int)env_number("BENCH_KILLS", 20);
    b->keeps_data = true; /* the log is cut behind checkpoints: a node that comes back needs both */
    if (!cluster_start(b, 1, 1))
        runs = 0;
    b->sh->phase = PHASE_WRITE;
    for (; n < runs && n < 64; n++) {
        int64_t at;
        int who = wait_writing(b, bench_now_ns(), &at);
        if (!who)
            break;
        usleep(300000);
        node_kill(b, (uint32_t)who);
        int64_t last = b->sh->last_commit[who], next = 0;
        while (wait_writing(b, last, &next) == who)
            continue;
        gap[n] = (double)(next - last) / MS;
        node_start(b, (uint32_t)who);
        while (!b->sh->ready[who])
            usleep(10000);
        usleep(1500000); /* it catches up, and is supported */
    }
    cluster_stop(b);
    b->keeps_data = false;
    if (n) {
        qsort(gap, (size_t)n, sizeof gap[0], by_double);
        printf("paxos: leader killed -9, writes again after       %6.0f ms median of %d, %.0f to %.0f   wanted <= 4000 "
               "(lease + 1 s)\n",
               gap[n / 2], n, gap[0], gap[n - 1]);
        fflush(stdout);
    }
}

static void bench_hand_over(struct bench *b) {
    double gap[64];
    int n = 0;
    if (cluster_start(b, 1, 1)) {
        b->sh->phase = PHASE_WRITE;
        for (; n < 20; n++) {
            int64_t at, last = 0, next = 0;
            int who = wait_writing(b, bench_now_ns(), &at);
            if (!who)
                break;
            usleep(50000);
            b->sh->target = who % NODES + 1;
            b->sh->phase = PHASE_HAND_OVER;
            int64_t began = bench_now_ns();
            do {
                last = b->sh->last_commit[who];
                next = b->sh->last_commit[b->sh->target];
                usleep(50);
            } while (next < began && bench_now_ns() - began < 10 * SECOND);
            /* the first of the new leader, as far as a look every 50 us can tell */
            gap[n] = (double)(next - last) / MS;
        }
    }
    cluster_stop(b);
    if (n) {
        qsort(gap, (size_t)n, sizeof gap[0], by_double);
        printf("paxos: planned hand-over, writes again after      %6.2f ms median of %d, %.2f to %.2f   wanted < 5 + 2 "
               "round trips\n",
               gap[n / 2], n, gap[0], gap[n - 1]);
        fflush(stdout);
    }
}

static bool wanted(int argc, char **argv, const char *name) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

int main(int argc, char **argv) {
    struct bench b = {0};
    signal(SIGPIPE, SIG_IGN);
    b.sh = mmap(NULL, sizeof *b.sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(b.sh != MAP_FAILED);
    if (wanted(argc, argv, "load")) {
        bench_load(&b, 1);
        bench_load(&b, 100);
    }
    if (wanted(argc, argv, "handover"))
        bench_hand_over(&b);
    if (wanted(argc, argv, "kill"))
        bench_kill(&b);
    if (wanted(argc, argv, "idle"))
        bench_idle(&b);
    return 0;
}
