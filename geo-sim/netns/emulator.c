/* SPDX-License-Identifier: Apache-2.0 */
/* emulator.c: epoll over the devices, the timer of the next due packet, the control socket and the signal to end. */
#include "geo-sim/netns/emulator.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "geo-sim/netns/linkq.h"
#include "geo-sim/netns/sys.h"

#define MS INT64_C(1000000)

enum {
    READS_AT_ONCE = 64, /* of one device, before the others and what is due have their turn */
    IPV4_HEAD_BYTES = 20,
    PRIORITY = 10,
    ASK_TIMEOUT_S = 3,
    TAG_TIMER = 1000,
    TAG_CONTROL,
    TAG_SIGNAL
};

struct lateness {
    uint64_t packets, over_1ms;
    int64_t worst_ns, sum_ns;
};

struct emulator {
    struct topo *t;
    struct linkq *q;
    int tun[TOPO_PLACES_MAX];
    int epoll, timer, control, signals;
    int64_t timer_due;
    int place_of[256][TOPO_ZONES_MAX]; /* by the third byte of an address and its zone */
    bool realtime, ending;
    struct lateness late;
    uint64_t stray, refused; /* packets to nowhere; packets that a device did not take */
    uint8_t packet[LINKQ_PACKET_BYTES_MAX];
};

/* ---- devices ----------------------------------------------------------------------------------------------------- */

static enum rc open_device(const char *ns, int home, int *ret, struct err *err) {
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    struct err lost = {0};
    int ns_fd, fd = -1;
    enum rc rc = sys_netns_open(ns, &ns_fd, err);
    if (rc)
        return rc;
    rc = sys_netns_enter(ns_fd, err);
    close(ns_fd);
    if (rc)
        return rc;
    snprintf(request.ifr_name, sizeof request.ifr_name, "wan0");
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        rc = err_errno(err, errno, "open /dev/net/tun");
    else if (ioctl(fd, TUNSETIFF, &request))
        rc = err_errno(err, errno, "make wan0 in %s", ns);
    CHECKF(sys_netns_enter(home, &lost) == RC_OK, "%s", lost.message);
    if (rc && fd >= 0)
        close(fd);
    else
        *ret = fd;
    return rc;
}

static enum rc watch(struct emulator *e, int fd, uint32_t tag, struct err *err) {
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = tag};
    return epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &ev) ? err_errno(err, errno, "epoll") : RC_OK;
}

static enum rc open_devices(struct emulator *e, const char *world, struct err *err) {
    char ns[GEO_NETNS_BYTES];
    int home;
    enum rc rc = sys_netns_open(NULL, &home, err);
    for (unsigned i = 0; i < e->t->places && !rc; i++) {
        geo_netns_name(world, e->t, i, ns);
        rc = open_device(ns, home, &e->tun[i], err);
        if (!rc)
            rc = watch(e, e->tun[i], i, err);
        uint32_t base = topo_place_base(e->t, i);
        e->place_of[base >> 8 & 255][(base & 255) / 32] = (int)i;
    }
    if (home >= 0)
        close(home);
    return rc;
}

/* Before everything else on the machine, and never paged out: what others do must not show in the delays. */
static bool become_realtime(void) {
    struct sched_param param = {.sched_priority = PRIORITY};
    prctl(PR_SET_TIMERSLACK, 1);
#if !defined(__SANITIZE_ADDRESS__)
    IGNORE(mlockall(MCL_CURRENT | MCL_FUTURE)); /* allowed or not: the scheduling class is what counts */
#endif
    return sched_setscheduler(0, SCHED_FIFO, &param) == 0;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static void read_device(struct emulator *e, unsigned from) {
    CHECK(from < e->t->places);
    for (int i = 0; i < READS_AT_ONCE; i++) {
        ssize_t n = read(e->tun[from], e->packet, sizeof e->packet);
        if (n <= 0)
            return;
        bool ipv4 = n >= IPV4_HEAD_BYTES && e->packet[0] >> 4 == 4;
        uint32_t to_addr = ipv4 ? get_u32be(e->packet + 16) : 0;
        int to = ipv4 && (to_addr & 0xffff0000u) == e->t->subnet ? e->place_of[to_addr >> 8 & 255][(to_addr & 255) / 32]
                                                                 : -1;
        if (to < 0 || to == (int)from)
            e->stray++;
        else /* a packet that is lost, cut off or too much is counted there, and nobody is told: as on a line */
            (void)linkq_push(e->q, from, (unsigned)to, sys_now_ns(), e->packet, (size_t)n);
    }
}

static void deliver(struct emulator *e) {
    struct linkq_packet *p;
    int64_t now = sys_now_ns();
    while ((p = linkq_pop(e->q, now))) {
        int64_t late = now - p->due_ns;
        e->late.packets++;
        e->late.sum_ns += late;
        e->late.over_1ms += late > MS;
        e->late.worst_ns = late > e->late.worst_ns ? late : e->late.worst_ns;
        if (write(e->tun[p->to], p->data, p->bytes) != (ssize_t)p->bytes)
            e->refused++;
        free(p);
        now = sys_now_ns();
    }
}

static void set_timer(struct emulator *e) {
    int64_t due = linkq_due(e->q);
    if (due == e->timer_due)
        return;
    struct itimerspec when = {.it_interval = {0, 0}};
    if (due != LINKQ_NEVER) /* never quite zero, which would turn the timer off */
        when.it_value = (struct timespec){.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 + (due == 0)};
    CHECK(timerfd_settime(e->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0);
    e->timer_due = due;
}

/* ---- control ----------------------------------------------------------------------------------------------------- */

static void set_links(struct emulator *e) {
    for (unsigned i = 0; i < e->t->places; i++)
        for (unsigned j = 0; j < e->t->places; j++)
            if (i != j)
                linkq_set(e->q, i, j, &e->t->link[i][j]);
}

static void put_stats(const struct emulator *e, char *to, size_t bytes) {
    const struct lateness *l = &e->late;
    struct linkq_counts sum = {.delivered = 0};
    for (unsigned i = 0; i < e->t->places; i++)
        for (unsigned j = 0; j < e->t->places; j++)
            for (unsigned v = 0; v < LINKQ_VERDICTS && i != j; v++)
                sum.of[v] += linkq_counts(e->q, i, j)->of[v];
    snprintf(to, bytes,
             "realtime=%s\npackets=%" PRIu64 "\nlate_worst_ns=%" PRId64 "\nlate_average_ns=%" PRId64
             "\nlate_over_1ms=%" PRIu64 "\ntaken=%" PRIu64 "\nlost=%" PRIu64 "\ncut=%" PRIu64 "\nfull=%" PRIu64
             "\nno_memory=%" PRIu64 "\nqueued_bytes=%" PRId64 "\nstray=%" PRIu64 "\nrefused=%" PRIu64 "\n",
             e->realtime ? "yes" : "no", l->packets, l->worst_ns, l->packets ? l->sum_ns / (int64_t)l->packets : 0,
             l->over_1ms, sum.of[LINKQ_TAKEN], sum.of[LINKQ_LOST], sum.of[LINKQ_CUT], sum.of[LINKQ_FULL],
             sum.of[LINKQ_NOMEM], linkq_queued_bytes(e->q), e->stray, e->refused);
}

static void obey(struct emulator *e, const char *text, char *answer, size_t bytes) {
    struct err err = {0};
    snprintf(answer, bytes, "ok");
    if (strcmp(text, "stats") == 0) {
        put_stats(e, answer, bytes);
    } else if (strcmp(text, "reset") == 0) {
        e->late = (struct lateness){.packets = 0};
    } else if (strcmp(text, "quit") == 0) {
        e->ending = true;
    } else if (topo_apply(e->t, text, &err)) {
        snprintf(answer, bytes, "%s", err_message(&err));
    } else {
        set_links(e);
    }
}

static void read_control(struct emulator *e) {
    char text[EMULATOR_ANSWER_BYTES], answer[EMULATOR_ANSWER_BYTES];
    struct sockaddr_un from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(e->control, text, sizeof text - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
    if (n < 0)
        return;
    text[n] = '\0';
    obey(e, text, answer, sizeof answer);
    if (len > sizeof(sa_family_t)) /* whoever has gone meanwhile does not want to know */
        IGNORE(sendto(e->control, answer, strlen(answer), MSG_DONTWAIT, (struct sockaddr *)&from, len));
}

static enum rc bind_unix(const char *path, int *ret, struct err *err) {
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path)
        return err_set(err, RC_LIMIT, "%s is too long for a socket", path);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "socket");
    unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr)) {
        int e = errno;
        close(fd);
        return err_errno(err, e, "bind %s", path);
    }
    *ret = fd;
    return RC_OK;
}

enum rc emulator_ask(const char *control_path, const char *own_path, const char *text,
                     char ret_answer[EMULATOR_ANSWER_BYTES], struct err *err) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ASK_TIMEOUT_S};
    int fd = -1;
    enum rc rc = bind_unix(own_path, &fd, err);
    if (rc)
        return rc;
    snprintf(to.sun_path, sizeof to.sun_path, "%s", control_path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t n = sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to);
    if (n >= 0)
        n = recv(fd, ret_answer, EMULATOR_ANSWER_BYTES - 1, 0);
    if (n < 0)
        rc = err_set(err, RC_UNREACHABLE, "the link emulator does not answer: %s", strerror(errno));
    else
        ret_answer[n] = '\0';
    close(fd);
    unlink(own_path);
    return rc;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static enum rc open_rest(struct emulator *e, const char *control_path, struct err *err) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    e->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    e->signals = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
    if (e->timer < 0 || e->signals < 0)
        return err_errno(err, errno, "timer or signals");
    enum rc rc = bind_unix(control_path, &e->control, err);
    if (!rc)
        rc = watch(e, e->timer, TAG_TIMER, err);
    if (!rc)
        rc = watch(e, e->control, TAG_CONTROL, err);
    return rc ? rc : watch(e, e->signals, TAG_SIGNAL, err);
}

static void turn(struct emulator *e) {
    struct epoll_event events[TOPO_PLACES_MAX + 3];
    set_timer(e);
    int n = epoll_wait(e->epoll, events, ARRAY_LEN(events), -1);
    for (int i = 0; i < n; i++) {
        uint32_t tag = events[i].data.u32;
        uint64_t expirations;
        if (tag < TOPO_PLACES_MAX) {
            read_device(e, tag);
        } else if (tag == TAG_TIMER) {
            if (read(e->timer, &expirations, sizeof expirations) > 0)
                e->timer_due = LINKQ_NEVER; /* it is not set any more */
        } else if (tag == TAG_CONTROL) {
            read_control(e);
        } else {
            e->ending = true;
        }
        deliver(e);
    }
}

static void close_all(struct emulator *e) {
    int rest[] = {e->timer, e->control, e->signals, e->epoll};
    for (unsigned i = 0; i < e->t->places; i++)
        if (e->tun[i] >= 0)
            close(e->tun[i]);
    for (size_t i = 0; i < ARRAY_LEN(rest); i++)
        if (rest[i] >= 0)
            close(rest[i]);
    linkq_free(e->q);
    free(e);
}

static void say_farewell(const struct emulator *e) {
    char stats[EMULATOR_ANSWER_BYTES];
    put_stats(e, stats, sizeof stats);
    fprintf(stderr, "emulator: ends; worst lateness %" PRId64 " us over %" PRIu64 " packets\n%s",
            e->late.worst_ns / 1000, e->late.packets, stats);
}

enum rc emulator_run(const char *world, const char *control_path, struct topo *t, int ready_fd, struct err *err) {
    struct emulator *e = calloc(1, sizeof *e);
    if (!e)
        return err_set(err, RC_NOMEM, "out of memory");
    e->t = t;
    e->timer = e->control = e->signals = -1;
    e->timer_due = LINKQ_NEVER;
    memset(e->tun, -1, sizeof e->tun);
    memset(e->place_of, -1, sizeof e->place_of);
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    enum rc rc = e->epoll < 0 ? err_errno(err, errno, "epoll") : RC_OK;
    if (!rc && linkq_new(t->places, (uint64_t)sys_now_ns(), &e->q))
        rc = err_set(err, RC_NOMEM, "out of memory");
    if (!rc)
        rc = open_devices(e, world, err);
    if (!rc)
        rc = open_rest(e, control_path, err);
    if (!rc) {
        set_links(e);
        e->realtime = become_realtime();
        fprintf(stderr, "emulator: %u places, %s\n", t->places,
                e->realtime ? "SCHED_FIFO" : "not allowed to run in real time: delays suffer when the machine is busy");
        IGNORE(write(ready_fd, "ready\n", 6)); /* nobody waits any more: no matter */
        close(ready_fd);
        while (!e->ending)
            turn(e);
        say_farewell(e);
        unlink(control_path);
    }
    close_all(e);
    return rc;
}
