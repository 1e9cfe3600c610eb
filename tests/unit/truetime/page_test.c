/* SPDX-License-Identifier: Apache-2.0 */
/* The page: whole publications for readers in other threads, time that never goes back, writers that die anywhere. */
#include "truetime/page.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shard/runtime/env_real.h"
#include "tests/lib/tap.h"
#include "truetime/clock.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)
#define T0 INT64_C(1700000000000000000)

/* A process for its env; no loop runs. */
struct fixture {
    struct process *process;
    struct env *env;
    struct tt_page *page;
    uint64_t boot;
};

static void setup(struct fixture *f) {
    struct process_conf conf = {.stores = 1, .level = DIAG_WARN};
    struct err err = {0};
    OKF(process_new(&conf, &f->process, &err) == RC_OK, "%s", err.message);
    f->env = process_env(f->process, 0);
    f->page = aligned_alloc(TT_PAGE_BYTES, TT_PAGE_BYTES);
    CHECK(f->page);
    memset(f->page, 0xa5, TT_PAGE_BYTES); /* whatever a file may hold */
    OK(tt_page_boot(f->env, &f->boot, &err) == RC_OK);
    OK(!tt_page_is_valid(f->page));
    tt_page_adopt(f->page, f->env, f->boot);
}

static void teardown(struct fixture *f) {
    free(f->page);
    process_free(f->process);
}

static int64_t raw_now(struct fixture *f) {
    return env_clock_ns(f->env, ENV_CLOCK_RAW);
}

static struct tt_view view_of(struct fixture *f, int64_t lo, int64_t hi) {
    int64_t raw = raw_now(f);
    return (struct tt_view){
        .base_raw = raw,
        .iv = {lo, hi},
        .void_after = raw + 2 * SEC,
        .drift_ppb = 200000,
        .eps_max = 10 * MS,
        .state = TT_SYNC,
        .real_off = env_clock_ns(f->env, ENV_CLOCK_REAL) - raw,
        .real_off_tol = SEC,
        .fix_raw = raw,
    };
}

static enum tt_refusal look(struct fixture *f, tt_interval *ret) {
    *ret = TT_UNKNOWN;
    return tt_page_read(f->page, f->env, f->boot, ret, NULL);
}

static void publishes_and_refuses(void) {
    struct fixture f;
    tt_interval iv;
    setup(&f);
    EQ_INT(look(&f, &iv), TT_READ_STATE);
    struct tt_view v = view_of(&f, T0, T0 + 2 * MS);
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &iv), TT_READ_OK);
    OK(iv.earliest > T0 - MS && iv.earliest < T0 + SEC && iv.latest > iv.earliest + 2 * MS);
    v.void_after = v.base_raw;
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &iv), TT_READ_VOID);
    v = view_of(&f, T0, T0 + 21 * MS);
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &iv), TT_READ_WIDE);
    v = view_of(&f, T0, T0 + 2 * MS);
    v.real_off += 2 * SEC;
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &iv), TT_READ_STEPPED);
    v = view_of(&f, T0, T0 + 2 * MS);
    v.state = TT_FAULT;
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &iv), TT_READ_STATE);
    v.state = 99;
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &iv), TT_READ_STATE);
    v.state = TT_SYNC;
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(tt_page_read(f.page, f.env, f.boot ^ 2, &iv, NULL), TT_READ_BOOT);
    OK(!tt_is_known(iv)); /* untouched by every refusal */
    /* The clock over it. */
    struct tt_clock c;
    struct tt_status st;
    OK(tt_clock_init(&c, f.env, f.page, NULL) == RC_OK);
    OK(tt_is_known(tt_now(&c)));
    OK(tt_after(&c, T0 - SEC) && !tt_before(&c, T0 - SEC));
    OK(tt_before(&c, T0 + 3600 * SEC) && !tt_after(&c, T0 + 3600 * SEC));
    OK(!tt_after(&c, tt_now(&c).latest) && !tt_before(&c, tt_now(&c).earliest));
    tt_status(&c, &st);
    EQ_INT(st.state, TT_SYNC);
    OK(st.fix_half_ns == MS && st.half_width_ns >= MS && st.fix_age_ns >= 0);
    v.state = TT_UNSYNCED;
    tt_page_publish(f.page, f.env, &v);
    OK(!tt_after(&c, INT64_MIN) && !tt_before(&c, INT64_MAX)); /* knows nothing: neither */
    OK(!tt_after(&c, 0) && !tt_before(&c, 0));
    EQ_INT(counter_get(&c.refusals), 4);
    tt_clock_done(&c);
    teardown(&f);
}

/* A fix below the last one: both ends stay where they were until the new ones have passed them. */
static void floors(void) {
    struct fixture f;
    tt_interval a, b;
    setup(&f);
    struct tt_view v = view_of(&f, T0 + 5 * MS, T0 + 9 * MS);
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &a), TT_READ_OK);
    v.iv = (tt_interval){T0 + 3 * MS, T0 + 6 * MS};
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &b), TT_READ_OK);
    OK(b.earliest >= a.earliest && b.latest >= a.latest);
    tt_page_view(f.page, &v);
    OK(v.floor.earliest >= a.earliest && v.floor.latest >= a.latest);
    /* Through states without an interval, and through a new poller. */
    v.state = TT_UNSYNCED;
    tt_page_publish(f.page, f.env, &v);
    tt_page_adopt(f.page, f.env, f.boot);
    v = view_of(&f, T0 + 3 * MS, T0 + 7 * MS);
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &b), TT_READ_OK);
    OK(b.earliest >= a.earliest && b.latest >= a.latest);
    /* A page that contradicts itself tells nothing. */
    v.iv = (tt_interval){T0, T0 + MS};
    tt_page_publish(f.page, f.env, &v);
    EQ_INT(look(&f, &b), TT_READ_WIDE);
    /* Of another boot nothing is kept. */
    tt_page_adopt(f.page, f.env, f.boot ^ 2);
    tt_page_view(f.page, &v);
    EQ_INT(v.floor.earliest, INT64_MIN);
    EQ_INT(v.epoch, 3);
    teardown(&f);
}

/* A writer that is killed inside a publication leaves seq odd: readers give up after a while, its successor puts it right,
 * and what was told before it still counts. */
static void writer_dies_inside(void) {
    struct fixture f;
    tt_interval a, b;
    struct tt_info info = {.reason = "before"};
    setup(&f);
    struct tt_view v = view_of(&f, T0, T0 + 2 * MS);
    for (int i = 0; i < 3; i++) { /* either slot, and thrice */
        tt_page_publish(f.page, f.env, &v);
        tt_page_publish_info(f.page, &info);
        EQ_INT(look(&f, &a), TT_READ_OK);
        uint64_t seq = atomic_load(&f.page->seq);
        atomic_store(&f.page->seq, seq + 1);
        memset(&f.page->slot[((seq + 2) >> 1) & 1], 0x5a, sizeof(struct tt_slot)); /* half a slot */
        atomic_fetch_add(&f.page->info_seq, 1);
        EQ_INT(look(&f, &b), TT_READ_TORN);
        OK(!tt_page_read_info(f.page, &info));
        tt_page_adopt(f.page, f.env, f.boot);
        EQ_INT(look(&f, &b), TT_READ_STATE);
        OK(tt_page_read_info(f.page, &info));
        tt_page_view(f.page, &v);
        OK(v.floor.earliest >= a.earliest && v.floor.latest >= a.latest);
        v = view_of(&f, T0 + SEC * (i + 1), T0 + SEC * (i + 1) + 2 * MS);
    }
    teardown(&f);
}

static uint64_t next_random(uint64_t *x) {
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x ^ *x >> 29;
}

/* The page lies in a file. Whatever somebody else's bytes make of it, a reader gets no interval that is none, nobody overflows
 * (UBSan looks on), and a poller can take it over. */
static void damaged_pages(void) {
    static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, T0, INT64_MAX - 1, INT64_MAX};
    struct fixture f;
    uint64_t x = 7, damaged = 0;
    struct tt_status st;
    setup(&f);
    for (int i = 0; i < 20000; i++) {
        struct tt_view v = view_of(&f, T0, T0 + 2 * MS);
        struct tt_info info = {.source_count = next_random(&x) % (TT_SOURCES_MAX + 2)};
        tt_interval iv;
        tt_page_publish(f.page, f.env, &v);
        info.sources[0].sampled_raw = edges[next_random(&x) % ARRAY_LEN(edges)];
        info.written_raw = edges[next_random(&x) % ARRAY_LEN(edges)];
        tt_page_publish_info(f.page, &info);
        struct tt_slot *slot = &f.page->slot[(atomic_load(&f.page->seq) >> 1) & 1];
        for (uint64_t fields = next_random(&x) % 3 + 1; fields > 0; fields--) {
            uint64_t value = next_random(&x);
            if (value & 1)
                value = (uint64_t)edges[value / 2 % ARRAY_LEN(edges)];
            _Atomic uint64_t *word = (_Atomic uint64_t *)slot + next_random(&x) % 11; /* those before the boot's */
            atomic_store(word, value);
        }
        enum tt_refusal why = look(&f, &iv);
        damaged += why == TT_READ_DAMAGED;
        if (why == TT_READ_OK)
            OK(iv.earliest <= iv.latest && iv.earliest >= 0);
        struct tt_clock c;
        OK(tt_clock_init(&c, f.env, f.page, NULL) == RC_OK);
        tt_status(&c, &st);
        OK((unsigned)st.state < TT_STATES && st.info.source_count <= TT_SOURCES_MAX);
        OK(st.info.source_count == 0 || tt_status_age(&st, &st.info.sources[0]) >= -INT64_MAX);
        tt_page_adopt(f.page, f.env, f.boot);
        EQ_INT(look(&f, &iv), TT_READ_STATE);
        memset(f.page, 0, TT_PAGE_BYTES);
        tt_page_adopt(f.page, f.env, f.boot);
        tt_clock_done(&c);
        if (tap_failing())
            break;
    }
    OK(damaged > 1000);
    teardown(&f);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

enum { READERS = 3 };

struct race {
    struct fixture f;
    _Atomic bool stop;
    _Atomic uint64_t torn_views, backwards, misses, reads, info_reads, torn_infos;
};

/* A publication's fields all tell the same number. */
static bool is_whole(const struct tt_view *v) {
    return v->iv.latest - v->iv.earliest == 2 * v->fix_raw % MS + 1000 && v->void_after == v->base_raw + v->fix_raw;
}

static void *reader(void *arg) {
    struct race *r = arg;
    tt_interval last = {INT64_MIN, INT64_MIN};
    while (!atomic_load(&r->stop)) {
        tt_interval iv;
        struct tt_view v;
        struct tt_info info;
        enum tt_refusal why = tt_page_read(r->f.page, r->f.env, r->f.boot, &iv, &v);
        atomic_fetch_add(&r->reads, 1);
        if (why != TT_READ_TORN && !is_whole(&v))
            atomic_fetch_add(&r->torn_views, 1);
        if (why == TT_READ_OK) {
            if (iv.earliest < last.earliest || iv.latest < last.latest)
                atomic_fetch_add(&r->backwards, 1);
            last = iv;
            /* True time of this test is T0 + RAW: now is later than the read was. */
            if (iv.earliest > T0 + env_clock_ns(r->f.env, ENV_CLOCK_RAW))
                atomic_fetch_add(&r->misses, 1);
        }
        if (tt_page_read_info(r->f.page, &info)) {
            atomic_fetch_add(&r->info_reads, 1);
            for (uint64_t i = 0; i < info.source_count; i++)
                if (info.sources[i].samples != info.polls)
                    atomic_fetch_add(&r->torn_infos, 1);
        }
    }
    return NULL;
}

static void many_readers(void) {
    struct race r = {.stop = false};
    pthread_t threads[READERS];
    uint64_t rounds = tap_env("ROUNDS", 20000), x = 1;
    setup(&r.f);
    struct tt_view v = view_of(&r.f, T0, T0 + 1000);
    v.fix_raw = SEC;
    v.void_after = v.base_raw + SEC;
    tt_page_publish(r.f.page, r.f.env, &v);
    for (int i = 0; i < READERS; i++)
        CHECK(pthread_create(&threads[i], NULL, reader, &r) == 0);
    for (uint64_t i = 0; i < rounds; i++) {
        struct tt_info info = {.polls = i, .source_count = TT_SOURCES_MAX};
        x = x * 6364136223846793005u + 1442695040888963407u;
        int64_t width = (int64_t)(x >> 44), raw = raw_now(&r.f), err = (int64_t)(x >> 20 & 0xffff);
        v = view_of(&r.f, 0, 0);
        v.base_raw = raw;
        v.fix_raw = width + SEC;
        v.void_after = raw + v.fix_raw;
        v.iv.earliest = T0 + raw - err;
        v.iv.latest = v.iv.earliest + 2 * v.fix_raw % MS + 1000;
        tt_page_publish(r.f.page, r.f.env, &v);
        for (int s = 0; s < TT_SOURCES_MAX; s++)
            info.sources[s].samples = i;
        if (i % 16 == 0)
            tt_page_publish_info(r.f.page, &info);
        if (i % 64 == 0) { /* let readers in between */
            struct timespec ts = {.tv_nsec = 50000};
            nanosleep(&ts, NULL);
        }
    }
    atomic_store(&r.stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    EQ_INT(r.torn_views, 0);
    EQ_INT(r.backwards, 0);
    EQ_INT(r.misses, 0);
    EQ_INT(r.torn_infos, 0);
    OK(r.reads > 0);
    tap_note("%llu reads and %llu of the status beside %llu publications", (unsigned long long)r.reads,
             (unsigned long long)r.info_reads, (unsigned long long)rounds);
    teardown(&r.f);
}

int main(void) {
    RUN(publishes_and_refuses);
    RUN(floors);
    RUN(writer_dies_inside);
    RUN(damaged_pages);
    RUN(many_readers);
    return tap_done();
}
