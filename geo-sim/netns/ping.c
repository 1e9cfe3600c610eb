/* SPDX-License-Identifier: Apache-2.0 */
/* ping.c: echo requests with a payload that says which pair and round they belong to, and when they left. */
#include "geo-sim/netns/ping.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "geo-sim/netns/sys.h"

#define MS INT64_C(1000000)
#define ROUND_NS (20 * MS)
#define LOOK_NS MS
#define STALL_NS (MS / 2)

enum { MAGIC = 0x6d67656f, CAME_MIN = 3, ATTEMPTS = 10, STALLS_MAX = 512 };

struct payload {
    uint32_t magic;
    uint16_t a, b, round, spare;
    int64_t sent_ns; /* CLOCK_REALTIME, as the kernel stamps arrivals */
};

struct echo {
    struct icmphdr head;
    struct payload body;
};

struct prober {
    const struct topo *t;
    struct ping_matrix *m;
    int fd[TOPO_PLACES_MAX];
    uint16_t ident;
    unsigned under_way;
    bool picky; /* voids probes; the last attempt takes what there is */
    int64_t looked_ns;
    unsigned stalls;
    struct {
        int64_t from_ns, to_ns; /* CLOCK_REALTIME, as probes are stamped */
    } stall[STALLS_MAX];        /* the last ones */
};

static int64_t real_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint16_t checksum(const void *data, size_t bytes) {
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < bytes; i += 2)
        sum += get_u16be((const uint8_t *)data + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* ---- stalls ------------------------------------------------------------------------------------------------------- */

/* Called each LOOK_NS: if it was not, nothing ran here meanwhile. */
static void look(struct prober *p) {
    int64_t now = real_now();
    if (now - p->looked_ns > LOOK_NS + STALL_NS) {
        unsigned i = p->stalls++ % STALLS_MAX;
        p->stall[i].from_ns = p->looked_ns;
        p->stall[i].to_ns = now;
    }
    p->looked_ns = now;
}

/* Nothing ran at that moment, give or take. */
static bool stalled_at(const struct prober *p, int64_t at_ns, int64_t around_ns) {
    unsigned n = p->stalls < STALLS_MAX ? p->stalls : STALLS_MAX;
    for (unsigned i = 0; i < n; i++)
        if (p->stall[i].from_ns <= at_ns + around_ns && at_ns - around_ns <= p->stall[i].to_ns)
            return true;
    return false;
}

/* A probe is late if this machine stands still when it leaves, when it is answered, when it should be back, or when it is: between
 * these it lies in a queue, and its due time passes all the same. */
static bool disturbed(const struct prober *p, unsigned a, unsigned b, int64_t sent_ns, int64_t came_ns) {
    const struct topo_link *there = &p->t->link[a][b], *back = &p->t->link[b][a];
    int64_t jitter = 2 * (there->jitter_ns + back->jitter_ns);
    return stalled_at(p, sent_ns, 0) || stalled_at(p, sent_ns + there->delay_ns, jitter) ||
           stalled_at(p, sent_ns + there->delay_ns + back->delay_ns, jitter) || stalled_at(p, came_ns, 0);
}

/* ---- sockets ----------------------------------------------------------------------------------------------------- */

static enum rc open_socket(const char *ns, int home, int *ret, struct err *err) {
    struct err lost = {0};
    int ns_fd, on = 1;
    enum rc rc = sys_netns_open(ns, &ns_fd, err);
    if (rc)
        return rc;
    rc = sys_netns_enter(ns_fd, err);
    close(ns_fd);
    if (rc)
        return rc;
    int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd < 0)
        rc = err_errno(err, errno, "raw socket in %s", ns);
    else if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on))
        rc = err_errno(err, errno, "time stamps in %s", ns);
    CHECKF(sys_netns_enter(home, &lost) == RC_OK, "%s", lost.message);
    if (rc && fd >= 0)
        close(fd);
    else
        *ret = fd;
    return rc;
}

static void close_sockets(struct prober *p, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        close(p->fd[i]);
}

static enum rc open_sockets(struct prober *p, const char *world, struct err *err) {
    char ns[GEO_NETNS_BYTES];
    int home;
    enum rc rc = sys_netns_open(NULL, &home, err);
    for (unsigned i = 0; i < p->t->places && !rc; i++) {
        geo_netns_name(world, p->t, i, ns);
        rc = open_socket(ns, home, &p->fd[i], err);
        if (rc)
            close_sockets(p, i);
    }
    if (home >= 0)
        close(home);
    return rc;
}

/* ---- sending and hearing ----------------------------------------------------------------------------------------- */

static void send_one(struct prober *p, unsigned a, unsigned b, unsigned round) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(topo_addr(p->t, b, 0))};
    struct echo e = {.head = {.type = ICMP_ECHO, .un.echo = {htons(p->ident), htons((uint16_t)round)}},
                     .body = {MAGIC, (uint16_t)a, (uint16_t)b, (uint16_t)round, 0, real_now()}};
    e.head.checksum = htons(checksum(&e, sizeof e));
    struct ping_pair *pair = &p->m->pair[a][b];
    /* A full queue loses it, as a line does. */
    if (sendto(p->fd[a], &e, sizeof e, 0, (struct sockaddr *)&to, sizeof to) != sizeof e)
        return;
    pair->sent++;
    p->under_way++;
}

static int64_t stamp_of(struct msghdr *msg) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec ts;
            memcpy(&ts, CMSG_DATA(c), sizeof ts);
            return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
        }
    return real_now();
}

static void take(struct prober *p, unsigned place, const uint8_t *data, size_t bytes, int64_t came_ns) {
    struct echo e;
    size_t head = bytes > 0 ? (size_t)(data[0] & 15) * 4 : 0;
    if (bytes < sizeof(struct iphdr) || head < sizeof(struct iphdr) || bytes < head + sizeof e)
        return;
    memcpy(&e, data + head, sizeof e);
    if (e.head.type != ICMP_ECHOREPLY || e.head.un.echo.id != htons(p->ident) || e.body.magic != MAGIC ||
        e.body.a != place || e.body.b >= p->t->places || e.body.b <= e.body.a)
        return;
    struct ping_pair *pair = &p->m->pair[e.body.a][e.body.b];
    p->under_way -= p->under_way > 0;
    if (p->picky && disturbed(p, e.body.a, e.body.b, e.body.sent_ns, came_ns)) {
        pair->voided++;
        pair->sent--;
    } else if (pair->came < PING_ROUNDS_MAX) {
        pair->rtt_ns[pair->came++] = came_ns - e.body.sent_ns;
    }
}

static void hear(struct prober *p, unsigned place) {
    for (;;) {
        uint8_t data[512];
        char control[256];
        struct iovec iov = {data, sizeof data};
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(p->fd[place], &msg, 0);
        if (n < 0)
            return;
        take(p, place, data, (size_t)n, stamp_of(&msg));
    }
}

/* all: until nothing is under way any more, if that is sooner. */
static void hear_until(struct prober *p, int64_t until_ns, bool all) {
    struct pollfd fds[TOPO_PLACES_MAX];
    for (unsigned i = 0; i < p->t->places; i++)
        fds[i] = (struct pollfd){p->fd[i], POLLIN, 0};
    while (!all || p->under_way) {
        int64_t left = until_ns - sys_now_ns();
        if (left <= 0)
            return;
        struct timespec ts = {.tv_nsec = left < LOOK_NS ? left : LOOK_NS};
        int n = ppoll(fds, p->t->places, &ts, NULL);
        look(p);
        for (unsigned i = 0; i < p->t->places && n > 0; i++)
            if (fds[i].revents)
                hear(p, i);
    }
}

/* Until when an answer to what has been sent may still come. */
static int64_t patience_ns(const struct topo *t) {
    int64_t longest = 0;
    for (unsigned a = 0; a < t->places; a++)
        for (unsigned b = a + 1; b < t->places; b++) {
            int64_t ns = topo_rtt_ns(t, a, b) + 6 * (t->link[a][b].jitter_ns + t->link[b][a].jitter_ns);
            longest = ns > longest ? ns : longest;
        }
    return longest + 150 * MS;
}

static void one_attempt(struct prober *p, unsigned rounds) {
    int64_t began = sys_now_ns();
    p->looked_ns = real_now();
    p->under_way = 0;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned a = 0; a < p->t->places; a++)
            for (unsigned b = a + 1; b < p->t->places; b++)
                send_one(p, a, b, round);
        look(p);
        hear_until(p, began + (round + 1) * ROUND_NS, false);
    }
    hear_until(p, sys_now_ns() + patience_ns(p->t), true);
}

static int by_value(const void *x, const void *y) {
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a < b ? -1 : a > b;
}

static void sort(struct ping_matrix *m, const struct topo *t) {
    for (unsigned a = 0; a < t->places; a++)
        for (unsigned b = a + 1; b < t->places; b++)
            qsort(m->pair[a][b].rtt_ns, m->pair[a][b].came, sizeof(int64_t), by_value);
}

static bool all_good(const struct prober *p) {
    int64_t off, allowed;
    sort(p->m, p->t);
    for (unsigned a = 0; a < p->t->places; a++)
        for (unsigned b = a + 1; b < p->t->places; b++)
            if (ping_judge(p->t, a, b, &p->m->pair[a][b], &off, &allowed) != PING_OK)
                return false;
    return true;
}

/* No pair lacks probes only because the prober stood still. */
static bool enough(const struct prober *p, unsigned rounds) {
    for (unsigned a = 0; a < p->t->places; a++)
        for (unsigned b = a + 1; b < p->t->places; b++) {
            const struct ping_pair *pair = &p->m->pair[a][b];
            if (pair->voided && pair->came < (rounds + 1) / 2)
                return false;
        }
    return true;
}

enum rc ping_measure(const char *world, const struct topo *t, unsigned rounds, struct ping_matrix *ret,
                     struct err *err) {
    struct prober p = {.t = t, .m = ret, .ident = (uint16_t)(getpid() ^ getpid() >> 16)};
    CHECK(rounds > 0 && rounds <= PING_ROUNDS_MAX);
    memset(ret, 0, sizeof *ret);
    ret->rounds = rounds;
    if (t->places < 2)
        return RC_OK;
    enum rc rc = open_sockets(&p, world, err);
    if (rc)
        return rc;
    /* What is as asked for needs no excuses. */
    for (int attempt = 0; attempt <= ATTEMPTS; attempt++) {
        if (attempt == 1)
            memset(ret->pair, 0, sizeof ret->pair);
        p.picky = attempt > 0 && attempt < ATTEMPTS;
        one_attempt(&p, rounds);
        if (attempt == 0 ? all_good(&p) : enough(&p, rounds))
            break;
    }
    close_sockets(&p, t->places);
    sort(ret, t);
    return RC_OK;
}

enum ping_verdict ping_judge(const struct topo *t, unsigned a, unsigned b, const struct ping_pair *p,
                             int64_t *ret_off_ns, int64_t *ret_allowed_ns) {
    const struct topo_link *there = &t->link[a][b], *back = &t->link[b][a];
    int64_t want = topo_rtt_ns(t, a, b), allowed = want / 50 > MS ? want / 50 : MS;
    bool dead = topo_is_cut(t, a, b) || there->loss_ppm == 1000000 || back->loss_ppm == 1000000;
    *ret_off_ns = 0;
    *ret_allowed_ns = allowed;
    if (dead)
        return p->came ? PING_NOT_CUT : PING_OK;
    if (p->came < CAME_MIN)
        return PING_SILENT;
    double sigma = hypot((double)there->jitter_ns, (double)back->jitter_ns);
    allowed += (int64_t)(3 * 1.2533 * sigma / sqrt(p->came)); /* of a median: 1.2533 of the mean's */
    *ret_off_ns = ping_median_ns(p) - want;
    *ret_allowed_ns = allowed;
    return *ret_off_ns > allowed || *ret_off_ns < -allowed ? PING_OFF : PING_OK;
}
