/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.c: starting, finding and ending the processes of a world.
 *
 * WORLD/cluster, a line each:
 *
 *     cluster 1 STORES PROGRAM DATA
 *     node NAME PLACE INDEX PID BORN RPC SQL-PORT HTTP-PORT PAUSED
 *     master REGION K UNIT PID BORN OFFSET-NS
 *     chronyd REGION PID BORN
 *
 * It is written before anything is started (so that down knows data and units), and after each change.
 */
#include "geo-sim/netns/cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "geo-sim/netns/chrony.h"
#include "geo-sim/report/json.h"
#include "shard/runtime/env_real_skew.h"

enum {
    PORT_TRIES = 200,
    READY_WAIT_MS = 60000,
    GROWN_WAIT_MS = 60000,
    POLL_MS = 20,
    END_POLL_MS = 20,
    ARGS_MAX = 40,
    TEXT_BYTES = 512,
    SHM_KEY = 0x4e545030,
    FIRST_FD = 3
};

static const char world_variable[] = "MERIDIAN_GEO_WORLD=";

/* ---- processes ---------------------------------------------------------------------------------------------------- */

/* The start time of a process and whether it is no zombie. */
static bool process_born(pid_t pid, uint64_t *ret) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return false;
    at += 2;
    for (int field = 3; field < 22 && at; field++)
        if ((at = strchr(at, ' ')))
            at++;
    if (!at)
        return false;
    *ret = strtoull(at, NULL, 10);
    return true;
}

bool geo_process_alive(pid_t pid, uint64_t born) {
    uint64_t now;
    return pid > 1 && process_born(pid, &now) && now == born;
}

struct sweep {
    char mark[SYS_PATH_BYTES + sizeof world_variable];
    int signal;
    unsigned count;
};

static void sweep_one(void *ctx, const char *name) {
    struct sweep *s = ctx;
    char path[64], text[16384], *end;
    uint64_t born;
    long pid = strtol(name, &end, 10);
    if (*end || pid <= 1 || pid == getpid())
        return;
    snprintf(path, sizeof path, "/proc/%ld/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
    bool ours = false;
    for (const char *at = text; at < text + n && !ours; at += strlen(at) + 1)
        ours = strcmp(at, s->mark) == 0;
    if (!ours || !process_born((pid_t)pid, &born))
        return;
    s->count++;
    if (s->signal)
        kill((pid_t)pid, s->signal);
}

static unsigned sweep(const char *dir, int signal) {
    struct sweep s = {.signal = signal};
    snprintf(s.mark, sizeof s.mark, "%s%s", world_variable, dir);
    sys_each_name("/proc", sweep_one, &s);
    return s.count;
}

unsigned geo_sweep_processes(const char *dir, int wait_ms) {
    unsigned first = sweep(dir, SIGTERM), left = first;
    if (first)
        sweep(dir, SIGCONT); /* who is stopped could not end */
    for (int waited = 0; left && waited < wait_ms; waited += END_POLL_MS) {
        sys_sleep_ms(END_POLL_MS);
        left = sweep(dir, 0);
    }
    for (int tries = 0; left && tries < 100; tries++) {
        left = sweep(dir, SIGKILL);
        sys_sleep_ms(END_POLL_MS);
    }
    return first;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    remove(path);
    return 0;
}

static void remove_segment(int unit) {
    int id = shmget(SHM_KEY + unit, 0, 0);
    if (id >= 0)
        shmctl(id, IPC_RMID, NULL);
}

void geo_sweep_files(const char *dir) {
    struct geo_world w = {.lock = -1};
    struct geo_cluster *c;
    struct err ignored = {0};
    snprintf(w.dir, sizeof w.dir, "%s", dir);
    if (geo_cluster_open(&w, &c, &ignored))
        return; /* it had no nodes */
    for (unsigned i = 0; i < c->masters; i++)
        remove_segment(c->master[i].unit);
    const char *last = strrchr(c->data, '/');
    if (last && strncmp(last, "/geo-", 5) == 0) /* made here, under that name */
        nftw(c->data, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    geo_cluster_free(c);
}

/* A new process of the world, parent of none. out: where its standard output goes; log: its errors. pass[i] becomes FIRST_FD + i. */
static enum rc spawn(const struct geo_cluster *c, int place, char *const *words, const char *out, const char *log,
                     const int *pass, int passes, pid_t *ret_pid, uint64_t *ret_born, struct err *err) {
    char mark[SYS_PATH_BYTES + sizeof world_variable];
    struct err why = {0};
    snprintf(mark, sizeof mark, "%s%s", world_variable, c->world->dir);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        int o = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        int e = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        setsid();
        putenv(mark);
        if (place >= 0 && geo_world_enter(c->world, (unsigned)place, &why))
            dprintf(e, "%s\n", err_message(&why));
        int moved[4];
        for (int i = 0; i < passes; i++)
            moved[i] = fcntl(pass[i], F_DUPFD, FIRST_FD + passes);
        dup2(null, 0);
        dup2(o >= 0 ? o : null, 1);
        dup2(e >= 0 ? e : null, 2);
        for (int i = 0; i < passes; i++) {
            dup2(moved[i], FIRST_FD + i); /* not closed at exec */
            close(moved[i]);
        }
        if (!why.rc)
            execv(words[0], words);
        _exit(127);
    }
    if (pid < 0)
        return err_errno(err, errno, "fork");
    *ret_pid = pid;
    *ret_born = 0;
    process_born(pid, ret_born);
    return RC_OK;
}

/* ---- what is remembered --------------------------------------------------------------------------------------------- */

static void path_in(const struct geo_cluster *c, const char *file, const char *suffix, char to[SYS_PATH_BYTES]) {
    snprintf(to, SYS_PATH_BYTES, "%s/%s%s", c->world->dir, file, suffix);
}

enum rc geo_cluster_save(const struct geo_cluster *c, struct err *err) {
    char path[SYS_PATH_BYTES];
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "cluster 1 %u %s %s\n", c->stores, c->program, c->data);
    for (unsigned i = 0; i < c->nodes; i++) {
        const struct geo_node *n = &c->node[i];
        buf_printf(&b, "node %s %u %u %d %" PRIu64 " %s %u %u %d\n", n->name, n->place, n->index, (int)n->pid, n->born,
                   n->rpc, n->sql_port, n->http_port, n->paused);
    }
    for (unsigned i = 0; i < c->masters; i++) {
        const struct geo_master *m = &c->master[i];
        buf_printf(&b, "master %u %u %d %d %" PRIu64 " %" PRId64 "\n", m->region, m->k, m->unit, (int)m->pid, m->born,
                   m->offset_ns);
    }
    for (unsigned i = 0; i < c->chronyds; i++)
        buf_printf(&b, "chronyd %u %d %" PRIu64 "\n", c->chronyd[i].region, (int)c->chronyd[i].pid, c->chronyd[i].born);
    path_in(c, "cluster", "", path);
    enum rc rc = buf_rc(&b) ? err_set(err, RC_NOMEM, "out of memory") : sys_write_file(path, b.data, b.len, err);
    buf_done(&b);
    return rc;
}

static bool load_line(struct geo_cluster *c, const char *line) {
    struct geo_node n = {.name = ""};
    struct geo_master m = {.region = 0};
    int paused = 0, pid = 0;
    if (sscanf(line, "cluster 1 %u %255s %255s", &c->stores, c->program, c->data) == 3)
        return true;
    if (sscanf(line, "node %27s %u %u %d %" SCNu64 " %31s %u %u %d", n.name, &n.place, &n.index, &pid, &n.born, n.rpc,
               &n.sql_port, &n.http_port, &paused) == 9 &&
        c->nodes < GEO_NODES_MAX && n.place < TOPO_PLACES_MAX) {
        n.paused = paused != 0;
        n.pid = pid;
        c->node[c->nodes++] = n;
        return true;
    }
    if (sscanf(line, "master %u %u %d %d %" SCNu64 " %" SCNd64, &m.region, &m.k, &m.unit, &pid, &m.born,
               &m.offset_ns) == 6 &&
        c->masters < ARRAY_LEN(c->master) && m.region < TOPO_REGIONS_MAX) {
        m.pid = pid;
        c->master[c->masters++] = m;
        return true;
    }
    struct geo_chronyd d = {.region = 0};
    if (sscanf(line, "chronyd %u %d %" SCNu64, &d.region, &pid, &d.born) == 3 && c->chronyds < ARRAY_LEN(c->chronyd) &&
        d.region < TOPO_REGIONS_MAX) {
        d.pid = pid;
        c->chronyd[c->chronyds++] = d;
        return true;
    }
    return false;
}

enum rc geo_cluster_open(const struct geo_world *w, struct geo_cluster **ret, struct err *err) {
    char path[SYS_PATH_BYTES], *save = NULL;
    struct geo_cluster *c = calloc(1, sizeof *c);
    struct buf text;
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory");
    c->world = w;
    path_in(c, "cluster", "", path);
    buf_init(&text, 1 << 20);
    enum rc rc = sys_read_file(path, &text, err);
    if (rc == RC_NOTFOUND)
        err_set(err, rc, "world %s has no nodes", w->name);
    if (!rc && !buf_cstr(&text))
        rc = err_set(err, RC_NOMEM, "out of memory");
    for (char *line = rc ? NULL : strtok_r((char *)text.data, "\n", &save); line && !rc;
         line = strtok_r(NULL, "\n", &save))
        if (!load_line(c, line))
            rc = err_set(err, RC_CORRUPT, "%s is damaged: %.80s", path, line);
    buf_done(&text);
    if (rc)
        free(c);
    else
        *ret = c;
    return rc;
}

void geo_cluster_free(struct geo_cluster *c) {
    free(c);
}

enum rc geo_cluster_match(const struct geo_cluster *c, const char *set, uint64_t *ret, struct err *err) {
    topo_set places;
    *ret = 0;
    for (unsigned i = 0; i < c->nodes; i++)
        if (strcmp(c->node[i].name, set) == 0)
            *ret |= UINT64_C(1) << i;
    if (*ret)
        return RC_OK;
    enum rc rc = topo_match(c->world->topo, set, &places, err);
    if (rc)
        return err_set(err, rc, "there is no node, region or zone \"%.60s\"", set);
    for (unsigned i = 0; i < c->nodes; i++)
        if (places >> c->node[i].place & 1)
            *ret |= UINT64_C(1) << i;
    return RC_OK;
}

/* ---- time masters ---------------------------------------------------------------------------------------------------- */

static bool unit_free(int unit) {
    return shmget(SHM_KEY + unit, 0, 0) < 0 && errno == ENOENT;
}

/* So many units in a row that nobody has, from the top: real receivers use the first. */
static enum rc take_units(unsigned count, int *ret, struct err *err) {
    for (int first = 256 - (int)count; first >= 4; first--) {
        unsigned good = 0;
        while (good < count && unit_free(first + (int)good))
            good++;
        if (good == count) {
            *ret = first;
            return RC_OK;
        }
    }
    enum rc rc = err_set(err, RC_LIMIT, "there are no %u units of ntpd's shared memory left for time masters", count);
    err_hint(err, "ipcs -m shows who has the keys 0x4e545030 and following");
    return rc;
}

/* One file for all processes of a region that read its machines' clocks. */
static void skew_path(const struct geo_cluster *c, unsigned region, char to[SYS_PATH_BYTES]) {
    snprintf(to, SYS_PATH_BYTES, "%s/skew-%s", c->data, c->world->topo->region[region].name);
}

/* On one machine all have one clock but what masters say; a chronyd of Debian's reads it by itself, and cannot be told. */
static bool has_skew(const struct geo_cluster *c, unsigned region) {
    return c->world->topo->region[region].masters > 0 && !c->world->topo->region[region].chronyd;
}

enum rc geo_clocks_set(struct geo_cluster *c, unsigned region, const int64_t *off_ns, const int64_t *rate_ppb,
                       struct err *err) {
    char path[SYS_PATH_BYTES];
    skew_path(c, region, path);
    if (!has_skew(c, region))
        return err_set(err, RC_UNSUPPORTED,
                       "region %s has no time masters that its nodes read themselves: its clock is this host's",
                       c->world->topo->region[region].name);
    return skew_set(path, off_ns, rate_ppb, err);
}

/* As the topology says. */
static enum rc first_skew(struct geo_cluster *c, struct err *err) {
    enum rc rc = RC_OK;
    for (unsigned i = 0; i < c->world->topo->regions && !rc; i++) {
        const struct topo_region *r = &c->world->topo->region[i];
        if (has_skew(c, i))
            rc = geo_clocks_set(c, i, &r->clock_offset_ns, &r->clock_drift_ppb, err);
    }
    return rc;
}

static enum rc start_master(struct geo_cluster *c, struct geo_master *m, struct err *err) {
    const struct topo_region *r = &c->world->topo->region[m->region];
    char unit[16], offset[32], jitter[32], period[32], name[64], log[SYS_PATH_BYTES];
    snprintf(unit, sizeof unit, "%d", m->unit);
    snprintf(offset, sizeof offset, "%" PRId64 "ns", m->offset_ns);
    snprintf(jitter, sizeof jitter, "%" PRId64 "ns", r->master_jitter_ns);
    snprintf(period, sizeof period, "%" PRId64 "ns", r->master_period_ns);
    snprintf(name, sizeof name, "master-%s-%u", r->name, m->k + 1);
    path_in(c, name, ".log", log);
    char skew[SYS_PATH_BYTES];
    skew_path(c, m->region, skew);
    char *words[] = {c->program, "clock",    "master", "--shm",
                     unit,       "--offset", offset,   "--jitter",
                     jitter,     "--period", period,   has_skew(c, m->region) ? "--clock-skew" : NULL,
                     skew,       NULL};
    return spawn(c, -1, words, log, log, NULL, 0, &m->pid, &m->born, err);
}

static void end_process(pid_t pid, uint64_t born) {
    if (!geo_process_alive(pid, born))
        return;
    kill(pid, SIGTERM);
    for (int tries = 0; tries < 100 && geo_process_alive(pid, born); tries++)
        sys_sleep_ms(POLL_MS);
    if (geo_process_alive(pid, born))
        kill(pid, SIGKILL);
}

enum rc geo_masters_stop(struct geo_cluster *c, unsigned region, unsigned count, struct err *err) {
    for (unsigned i = 0; i < c->masters; i++)
        if (c->master[i].region == region && (count == 0 || c->master[i].k < count))
            end_process(c->master[i].pid, c->master[i].born);
    return geo_cluster_save(c, err);
}

enum rc geo_masters_set(struct geo_cluster *c, unsigned region, unsigned count, int64_t offset_ns, struct err *err) {
    enum rc rc = RC_OK;
    for (unsigned i = 0; i < c->masters && !rc; i++) {
        struct geo_master *m = &c->master[i];
        if (m->region != region || (count && m->k >= count))
            continue;
        end_process(m->pid, m->born);
        m->offset_ns = offset_ns;
        rc = start_master(c, m, err);
    }
    return rc ? rc : geo_cluster_save(c, err);
}

static enum rc plan_masters(struct geo_cluster *c, struct err *err) {
    const struct topo *t = c->world->topo;
    unsigned total = 0;
    int unit = 0;
    for (unsigned r = 0; r < t->regions; r++)
        total += t->region[r].masters;
    enum rc rc = total ? take_units(total, &unit, err) : RC_OK;
    for (unsigned r = 0; r < t->regions && !rc; r++)
        for (unsigned k = 0; k < t->region[r].masters; k++, unit++) {
            c->master[c->masters] = (struct geo_master){.region = r, .k = k, .unit = unit};
            c->masters++;
        }
    return rc;
}

/* ---- chronyd --------------------------------------------------------------------------------------------------------- */

static void chronyd_dir(const struct geo_cluster *c, unsigned region, char to[SYS_PATH_BYTES]) {
    snprintf(to, SYS_PATH_BYTES, "%s/chrony-%s", c->data, c->world->topo->region[region].name);
}

/* In the region's first place. It takes its masters' samples out of shared memory, which has no namespace of its own here. */
static enum rc start_chronyd(struct geo_cluster *c, unsigned region, struct err *err) {
    char program[SYS_PATH_BYTES], dir[SYS_PATH_BYTES], conf[SYS_PATH_BYTES + 8], name[64], log[SYS_PATH_BYTES];
    struct chrony_master master[TOPO_MASTERS_MAX];
    struct geo_chronyd d = {.region = region};
    const struct topo_region *r = &c->world->topo->region[region];
    unsigned masters = 0;
    for (unsigned i = 0; i < c->masters && masters < TOPO_MASTERS_MAX; i++)
        if (c->master[i].region == region)
            master[masters++] = (struct chrony_master){c->master[i].unit, r->master_err_ns};
    chronyd_dir(c, region, dir);
    enum rc rc = chrony_program(program, err);
    if (!rc && !masters)
        rc = err_set(err, RC_INVAL, "region %s has no time masters for a chronyd to listen to", r->name);
    if (!rc)
        rc = chrony_configure(dir, master, masters, err);
    if (rc)
        return rc;
    snprintf(conf, sizeof conf, "%s/conf", dir);
    snprintf(name, sizeof name, "chronyd-%s", r->name);
    path_in(c, name, ".log", log);
    char *words[] = {program, "-x", "-d", "-f", conf, geteuid() == 0 ? NULL : "-U", NULL};
    rc = spawn(c, (int)r->first_place, words, log, log, NULL, 0, &d.pid, &d.born, err);
    if (!rc)
        c->chronyd[c->chronyds++] = d;
    return rc;
}

static enum rc start_chronyds(struct geo_cluster *c, struct err *err) {
    enum rc rc = RC_OK;
    for (unsigned r = 0; r < c->world->topo->regions && !rc; r++)
        if (c->world->topo->region[r].chronyd)
            rc = start_chronyd(c, r, err);
    return rc || !c->chronyds ? rc : geo_cluster_save(c, err);
}

/* ---- nodes ----------------------------------------------------------------------------------------------------------- */

static void note_port(struct geo_cluster *c, unsigned port) {
    if (port && c->others < GEO_OTHER_PORTS_MAX)
        c->other_port[c->others++] = port;
}

/* Another world's ports stay its own while its nodes are dead. */
static void note_other(void *ctx, const char *name) {
    struct geo_cluster *c = ctx, *other;
    struct geo_world w = {.lock = -1};
    struct err ignored = {0};
    char all[SYS_PATH_BYTES / 4];
    geo_worlds_dir(all);
    snprintf(w.dir, sizeof w.dir, "%s/%.40s", all, name);
    if (strcmp(name, c->world->name) == 0 || geo_cluster_open(&w, &other, &ignored))
        return;
    for (unsigned i = 0; i < other->nodes; i++) {
        const char *colon = strrchr(other->node[i].rpc, ':');
        note_port(c, other->node[i].sql_port);
        note_port(c, other->node[i].http_port);
        note_port(c, colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0);
    }
    geo_cluster_free(other);
}

static bool is_others(const struct geo_cluster *c, unsigned port) {
    for (unsigned i = 0; i < c->others; i++)
        if (c->other_port[i] == port)
            return true;
    return false;
}

/* A listener on the host's loopback, at *port or the next one that is free. */
static enum rc listen_near(const struct geo_cluster *c, unsigned *port, bool exactly, int *ret_fd, struct err *err) {
    int last = EADDRINUSE, on = 1;
    for (unsigned p = *port; p < *port + (exactly ? 1 : PORT_TRIES) && p < 65536; p++) {
        if (!exactly && is_others(c, p))
            continue;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p)};
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0)
            return err_errno(err, errno, "socket");
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 128) == 0) {
            *port = p;
            *ret_fd = fd;
            return RC_OK;
        }
        last = errno;
        close(fd);
    }
    return err_errno(err, last, "listen on 127.0.0.1:%u", *port);
}

static void clock_of(const struct geo_cluster *c, unsigned region, char *to, size_t bytes) {
    size_t at = 0;
    unsigned count = 0;
    to[0] = '\0';
    if (c->world->topo->region[region].chronyd) {
        char dir[SYS_PATH_BYTES];
        chronyd_dir(c, region, dir);
        snprintf(to, bytes, "chrony:%s/s", dir);
        return;
    }
    for (unsigned i = 0; i < c->masters && at < bytes; i++)
        if (c->master[i].region == region) {
            at += (size_t)snprintf(to + at, bytes - at, "%sshm:%d,err=%" PRId64 "ns", count++ ? ";" : "",
                                   c->master[i].unit, c->world->topo->region[region].master_err_ns);
        }
    if (count == 0)
        snprintf(to, bytes, "host");
    else if (at < bytes)
        snprintf(to + at, bytes - at, ";f=%d", count >= 3 ? 1 : 0);
}

struct words {
    const char *word[ARGS_MAX];
    unsigned count;
};

static void put_words(struct words *w, const char *name, const char *value) {
    CHECK(w->count + 3 < ARGS_MAX);
    w->word[w->count++] = name;
    if (value)
        w->word[w->count++] = value;
    w->word[w->count] = NULL;
}

/* first: the node makes the cluster; join: it asks there; both NULL: it has been here before. */
static enum rc start_node(struct geo_cluster *c, struct geo_node *n, bool bootstrap, const char *join,
                          struct err *err) {
    const struct topo *t = c->world->topo;
    const struct topo_region *r = &t->region[t->place[n->place].region];
    char data[SYS_PATH_BYTES + 32], clock[TEXT_BYTES], stores[16], out[SYS_PATH_BYTES], log[SYS_PATH_BYTES],
        links[SYS_PATH_BYTES];
    int pass[3];
    int passes = 0;
    bool again = n->sql_port != 0;
    if (!again)
        *n = (struct geo_node){
            .place = n->place, .index = n->index, .sql_port = GEO_SQL_PORT, .http_port = GEO_HTTP_PORT};
    snprintf(n->name, sizeof n->name, "%s-%u", t->place[n->place].name, n->index + 1);
    enum rc rc = listen_near(c, &n->sql_port, again, &pass[0], err);
    if (rc)
        return rc;
    passes++;
    rc = listen_near(c, &n->http_port, again, &pass[1], err);
    passes += !rc;
    unsigned port = again ? (unsigned)strtoul(strrchr(n->rpc, ':') + 1, NULL, 10) : GEO_LOOPBACK_RPC_PORT;
    if (!rc && c->world->backend == GEO_LOOPBACK) {
        rc = listen_near(c, &port, again, &pass[2], err);
        passes += !rc;
        snprintf(n->rpc, sizeof n->rpc, "127.0.0.1:%u", port);
    } else if (!rc) {
        char addr[TOPO_ADDR_BYTES];
        snprintf(n->rpc, sizeof n->rpc, "%s:%d", topo_addr_format(topo_addr(t, n->place, n->index), addr),
                 GEO_RPC_PORT);
    }
    snprintf(data, sizeof data, "%s/%s", c->data, n->name);
    snprintf(stores, sizeof stores, "%u", c->stores);
    clock_of(c, t->place[n->place].region, clock, sizeof clock);
    path_in(c, n->name, ".out", out);
    path_in(c, n->name, ".log", log);
    path_in(c, "world.topo", "", links);
    char skew[SYS_PATH_BYTES];
    skew_path(c, t->place[n->place].region, skew);
    struct words w = {.count = 0};
    put_words(&w, c->program, "start");
    put_words(&w, "--data", data);
    put_words(&w, "--region", r->name);
    put_words(&w, "--zone", r->zone[t->place[n->place].zone]);
    put_words(&w, "--clock", clock);
    put_words(&w, "--stores", stores);
    put_words(&w, "--sql", "fd:3");
    put_words(&w, "--http", "fd:4");
    put_words(&w, "--world", c->world->name);
    if (has_skew(c, t->place[n->place].region))
        put_words(&w, "--clock-skew", skew);
    put_words(&w, "--rpc", c->world->backend == GEO_LOOPBACK ? "fd:5" : n->rpc);
    if (c->world->backend == GEO_LOOPBACK)
        put_words(&w, "--test-links", links);
    if (bootstrap)
        put_words(&w, "--bootstrap", NULL);
    if (join)
        put_words(&w, "--join", join);
    if (!rc)
        rc = spawn(c, (int)n->place, (char *const *)(uintptr_t)w.word, out, log, pass, passes, &n->pid, &n->born, err);
    n->paused = false;
    for (int i = 0; i < passes; i++)
        close(pass[i]);
    return rc;
}

/* Whether a node has said that it serves. RC_IO: it has ended; err has its last line. */
static enum rc is_ready(const struct geo_cluster *c, const struct geo_node *n, bool *ret, struct err *err) {
    char path[SYS_PATH_BYTES];
    struct buf text;
    struct err none = {0};
    buf_init(&text, SYS_FILE_BYTES_MAX);
    path_in(c, n->name, ".out", path);
    *ret = sys_read_file(path, &text, &none) == RC_OK && buf_cstr(&text) && strstr((char *)text.data, "ready: ");
    if (*ret || geo_node_alive(n)) {
        buf_done(&text);
        return RC_OK;
    }
    buf_reset(&text, 1 << 16);
    path_in(c, n->name, ".log", path);
    const char *last = "it said nothing";
    if (sys_read_file(path, &text, &none) == RC_OK && text.len > 1) {
        text.data[text.len - 1] = '\0';
        last = strrchr((char *)text.data, '\n');
        last = last ? last + 1 : (char *)text.data;
    }
    enum rc rc = err_set(err, RC_IO, "%s has ended: %.200s", n->name, last);
    buf_done(&text);
    return rc;
}

enum rc geo_cluster_await_ready(struct geo_cluster *c, uint64_t nodes, int wait_ms, struct err *err) {
    int64_t until = sys_now_ns() + (int64_t)wait_ms * 1000000;
    for (unsigned i = 0; i < c->nodes; i++)
        for (bool ready = false; (nodes >> i & 1) && !ready;) {
            enum rc rc = is_ready(c, &c->node[i], &ready, err);
            if (rc)
                return rc;
            if (!ready && sys_now_ns() > until)
                return err_set(err, RC_TIMEOUT, "%s does not serve after %d s; %s/%s.log may tell why", c->node[i].name,
                               wait_ms / 1000, c->world->dir, c->node[i].name);
            if (!ready)
                sys_sleep_ms(POLL_MS);
        }
    return RC_OK;
}

/* The launcher (launcher.h): the first seat makes the cluster, the others join it. */
static enum rc launch_seat(void *ctx, const struct geo_seat *seat, struct err *err) {
    struct geo_cluster *c = ctx;
    if (c->nodes == GEO_NODES_MAX)
        return err_set(err, RC_LIMIT, "a world has at most %d nodes", GEO_NODES_MAX);
    unsigned i = c->nodes;
    struct geo_node *n = &c->node[i];
    *n = (struct geo_node){.place = seat->place, .index = seat->node};
    enum rc rc = start_node(c, n, i == 0, i == 0 ? NULL : c->node[0].rpc, err);
    if (rc)
        return rc;
    c->nodes++;
    rc = geo_cluster_save(c, err);
    return rc || i > 0 ? rc : geo_cluster_await_ready(c, 1, READY_WAIT_MS, err);
}

static void recall_seat(void *ctx, const struct geo_seat *seat) {
    struct geo_cluster *c = ctx;
    for (unsigned i = 0; i < c->nodes; i++)
        if (c->node[i].place == seat->place && c->node[i].index == seat->node)
            end_process(c->node[i].pid, c->node[i].born);
}

enum rc geo_cluster_ask(const struct geo_cluster *c, unsigned node, const char *const *words, struct buf *out,
                        struct err *err) {
    char ns[GEO_NETNS_BYTES];
    struct words w = {.count = 0};
    int fd = -1, code = 0;
    put_words(&w, c->program, NULL);
    for (size_t i = 0; words[i]; i++)
        put_words(&w, words[i], NULL);
    put_words(&w, "--rpc", c->node[node].rpc);
    geo_netns_name(c->world->name, c->world->topo, c->node[node].place, ns);
    enum rc rc = c->world->backend == GEO_LOOPBACK ? RC_OK : sys_netns_open(ns, &fd, err);
    if (!rc)
        rc = sys_capture((char *const *)(uintptr_t)w.word, fd, out, &code, err);
    if (fd >= 0)
        close(fd);
    return !rc && code ? err_set(err, RC_IO, "meridian %s failed at %s", words[0], c->node[node].name) : rc;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static void learn_nodes(const struct geo_cluster *c, const struct json *j, struct geo_seen *s) {
    for (const struct json *n = json_first(json_get(j, "nodes")); n; n = n->next)
        for (unsigned i = 0; i < c->nodes; i++)
            if (strcmp(json_text(json_get(n, "rpc"), ""), c->node[i].rpc) == 0) {
                s->number[i] = (unsigned)json_int(json_get(n, "node"), 0);
                s->up[i] = json_bool(json_get(n, "up"), false);
                snprintf(s->clock[i], sizeof s->clock[i], "%s", json_text(json_get(n, "clock"), ""));
            }
}

static void learn_tablets(const struct geo_cluster *c, const struct json *j, struct geo_seen *s) {
    for (const struct json *t = json_first(json_get(j, "tablets")); t; t = t->next)
        for (unsigned i = 0; i < c->nodes; i++)
            s->leads[i] += s->number[i] && (unsigned)json_int(json_get(t, "leader"), 0) == s->number[i];
}

void geo_cluster_look(const struct geo_cluster *c, struct geo_seen *ret) {
    static const char *const nodes[] = {"node", "ls", "--json", NULL}, *const tablets[] = {"tablet", "ls", "--json",
                                                                                           NULL};
    *ret = (struct geo_seen){.known = false};
    for (unsigned i = 0; i < c->nodes && !ret->known; i++) {
        struct err err = {0};
        struct arena a;
        struct buf n, t;
        const struct json *jn, *jt;
        if (!geo_node_alive(&c->node[i]) || c->node[i].paused)
            continue;
        arena_init(&a, 0);
        buf_init(&n, 1 << 22);
        buf_init(&t, 1 << 22);
        if (geo_cluster_ask(c, i, nodes, &n, &err) == RC_OK && geo_cluster_ask(c, i, tablets, &t, &err) == RC_OK &&
            json_parse((const char *)n.data, n.len, &a, &jn, &err) == RC_OK &&
            json_parse((const char *)t.data, t.len, &a, &jt, &err) == RC_OK) {
            ret->known = true;
            learn_nodes(c, jn, ret);
            learn_tablets(c, jt, ret);
        }
        buf_done(&n);
        buf_done(&t);
        arena_done(&a);
    }
}

/* Until node ls says of all tablets what member tells, and every node is known. */
static enum rc await_said(const struct geo_cluster *c, const char *member, const char *what, struct err *err) {
    static const char *const words[] = {"node", "ls", "--json", NULL};
    int64_t until = sys_now_ns() + (int64_t)GROWN_WAIT_MS * 1000000;
    for (;;) {
        struct err why = {0};
        struct arena a;
        struct buf text;
        const struct json *j;
        arena_init(&a, 0);
        buf_init(&text, 1 << 20);
        enum rc rc = geo_cluster_ask(c, 0, words, &text, &why);
        bool done = !rc && json_parse((const char *)text.data, text.len, &a, &j, &why) == RC_OK &&
                    json_bool(json_get(j, member), false) && json_count(json_get(j, "nodes")) >= c->nodes;
        buf_done(&text);
        arena_done(&a);
        if (done)
            return RC_OK;
        if (sys_now_ns() > until)
            return err_set(err, RC_TIMEOUT, "not every tablet has its %s after %d s%s%s", what, GROWN_WAIT_MS / 1000,
                           why.rc ? ": " : "", why.rc ? err_message(&why) : "");
        sys_sleep_ms(5 * POLL_MS);
    }
}

static enum rc await_grown(const struct geo_cluster *c, struct err *err) {
    return await_said(c, "fully_replicated", "voters", err);
}

enum rc geo_cluster_await_reads(const struct geo_cluster *c, struct err *err) {
    return await_said(c, "read_replicas_complete", "read replicas", err);
}

static enum rc make_data(struct geo_cluster *c, const char *data, struct err *err) {
    char base[SYS_PATH_BYTES / 2];
    if (data)
        snprintf(base, sizeof base, "%s", data);
    else if (geteuid() == 0)
        snprintf(base, sizeof base, "/var/tmp/meridian-geo");
    else
        snprintf(base, sizeof base, "/var/tmp/meridian-geo-%u", (unsigned)geteuid());
    if (data && strlen(data) >= sizeof base)
        return err_set(err, RC_LIMIT, "--data: too long a path");
    if (strpbrk(base, " \t\n"))
        return err_set(err, RC_INVAL, "--data: no blanks in the path, please");
    snprintf(c->data, sizeof c->data, "%s/geo-%s", base, c->world->name);
    nftw(c->data, remove_one, 32, FTW_DEPTH | FTW_PHYS); /* of a world that ended without down */
    return sys_mkdirs(c->data, err);
}

static enum rc find_program(char to[SYS_PATH_BYTES], struct err *err) {
    char self[SYS_PATH_BYTES - 16];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return err_errno(err, errno, "find the program's own path");
    self[n] = '\0';
    snprintf(to, SYS_PATH_BYTES, "%s/meridian", dirname(self));
    if (access(to, X_OK) || strpbrk(to, " \t\n"))
        return err_set(err, RC_NOTFOUND, "the program meridian is not beside meridian-geo: %s", to);
    return RC_OK;
}

enum rc geo_cluster_up(const struct geo_world *w, const char *data, unsigned stores, struct geo_cluster **ret,
                       struct err *err) {
    struct geo_cluster *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, RC_NOMEM, "out of memory");
    char worlds[SYS_PATH_BYTES / 4];
    c->world = w;
    c->stores = stores;
    geo_worlds_dir(worlds);
    sys_each_name(worlds, note_other, c);
    enum rc rc = find_program(c->program, err);
    if (!rc)
        rc = make_data(c, data, err);
    if (!rc)
        rc = plan_masters(c, err);
    if (!rc)
        rc = geo_cluster_save(c, err);
    if (!rc)
        rc = first_skew(c, err);
    for (unsigned i = 0; i < c->masters && !rc; i++)
        rc = start_master(c, &c->master[i], err);
    if (!rc)
        rc = start_chronyds(c, err);
    struct geo_launcher l = {.name = "node", .start = launch_seat, .stop = recall_seat, .ctx = c};
    if (!rc)
        rc = geo_launch(w->name, w->topo, &l, err);
    if (!rc)
        rc = geo_cluster_await_ready(c, UINT64_MAX, READY_WAIT_MS, err);
    if (!rc)
        rc = await_grown(c, err);
    if (!rc)
        rc = geo_cluster_save(c, err);
    if (rc)
        free(c);
    else
        *ret = c;
    return rc;
}

/* ---- what happens to nodes ---------------------------------------------------------------------------------------------- */

enum rc geo_cluster_signal(struct geo_cluster *c, uint64_t nodes, int signal, struct err *err) {
    for (unsigned i = 0; i < c->nodes; i++) {
        struct geo_node *n = &c->node[i];
        if (!(nodes >> i & 1) || !geo_node_alive(n))
            continue;
        if (kill(n->pid, signal))
            return err_errno(err, errno, "signal %s", n->name);
        n->paused = signal == SIGSTOP || (n->paused && signal != SIGCONT && signal != SIGKILL);
    }
    return geo_cluster_save(c, err);
}

enum rc geo_cluster_await_end(const struct geo_cluster *c, uint64_t nodes, int wait_ms, struct err *err) {
    int64_t until = sys_now_ns() + (int64_t)wait_ms * 1000000;
    for (unsigned i = 0; i < c->nodes; i++)
        while ((nodes >> i & 1) && geo_node_alive(&c->node[i])) {
            if (sys_now_ns() > until)
                return err_set(err, RC_TIMEOUT, "%s does not end", c->node[i].name);
            sys_sleep_ms(END_POLL_MS);
        }
    return RC_OK;
}

enum rc geo_cluster_start(struct geo_cluster *c, uint64_t nodes, bool wait, struct err *err) {
    enum rc rc = RC_OK;
    for (unsigned i = 0; i < c->nodes && !rc; i++)
        if ((nodes >> i & 1) && !geo_node_alive(&c->node[i]))
            rc = start_node(c, &c->node[i], false, NULL, err);
    if (!rc)
        rc = geo_cluster_save(c, err);
    return rc || !wait ? rc : geo_cluster_await_ready(c, nodes, READY_WAIT_MS, err);
}
