/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A closed log is damaged, byte by byte and range by range: what is torn is cut, what was acknowledged and is damaged is
 * reported and left as it is, what does not matter does not matter. The test knows from the format which of these to expect,
 * by one rule (N-10): damage is corruption if something of a later batch is left, else a torn tail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/wal_internal.h"
#include "tests/lib/tap.h"
#include "tests/unit/paxos/memenv.h"
#include "tests/unit/paxos/walmodel.h"

enum { SEGMENT = 4096, RECORDS_MAX = 600, OPS_MAX = 600, HEAD_USED = 56 };

struct record {
    uint32_t generation;
    size_t from, to; /* what the checksum covers, and itself */
    uint64_t batch;
    unsigned ops; /* operations before it */
};

/* A log as it was closed, and what is in it. */
struct closed_log {
    struct memenv e;
    struct model_op op[OPS_MAX];
    unsigned ops;
    struct record record[RECORDS_MAX];
    unsigned records;
    uint32_t first, newest; /* generations in use */
    char name[64][32];      /* by generation */
};

static struct model after(const struct closed_log *l, unsigned ops) {
    struct model m;
    memset(&m, 0, sizeof m);
    for (unsigned i = 0; i < ops; i++)
        model_apply(&m, &l->op[i]);
    return m;
}

static const struct wal_conf conf = {.store = MODEL_STORE, .segment_bytes = SEGMENT};

static void close_log(struct memenv *e, struct wal *w) {
    wal_close(w, NULL, NULL);
    memenv_run(e);
}

static void look(struct closed_log *l) {
    unsigned ops = 0;
    bool counted = true; /* records of operations, from the first segment on, until the log's own records appear */
    for (uint32_t g = 1; g < 64; g++)
        for (size_t i = 0; i < MEM_FILES; i++) {
            const struct mem_file *f = &l->e.file[i];
            struct wal_head h;
            struct wal_walk k;
            struct wal_rec r;
            if (!f->name[0] || head_decode(f->data, f->bytes, &h) != HEAD_VALID || use_generation(h.use) != g)
                continue;
            snprintf(l->name[g], sizeof l->name[g], "%s", f->name);
            l->first = l->first ? l->first : g;
            l->newest = g;
            walk_init(&k, f->data, f->bytes, &h);
            while (walk_next(&k, &r)) {
                CHECK(l->records < RECORDS_MAX);
                l->record[l->records++] =
                    (struct record){g, r.at, r.at + WAL_RECORD_HEADER_BYTES + r.length, r.batch, ops++};
                counted &= r.type != WAL_FIRST;
            }
        }
    CHECK(counted && ops == l->ops && l->first == 1); /* nothing was moved: each record is an operation */
}

/* Several segments, many batches, the last one of several records. */
static void make(struct closed_log *l) {
    static const struct model_mix mix = {.groups = 6, .bytes_max = 400, .keep = 50};
    struct wal *w = NULL;
    struct rng rng;
    struct model m;
    memset(l, 0, sizeof *l);
    memset(&m, 0, sizeof m);
    rng_init(&rng, 11);
    memenv_init(&l->e);
    struct wal_conf c = conf;
    c.segments_soft = 1000;
    CHECK(wal_open(&l->e.env, "log", &c, NULL, &w, NULL, NULL) == RC_OK);
    for (bool last = false; !last;) {
        last = l->ops >= 90;
        for (unsigned n = last ? 5 : 1 + (unsigned)rng_below(&rng, 4); n > 0; n--) {
            struct model_op op = model_next(&m, &mix, &rng, l->ops + 1);
            if (op.type == WAL_FORGET || op.type == WAL_TRUNCATE || op.type == WAL_VOID)
                op = (struct model_op){.type = WAL_PROMISE, .group = op.group, .round = m.group[op.group].promised + 1};
            CHECK(model_put(w, &op, NULL) == RC_OK);
            model_apply(&m, &op);
            l->op[l->ops++] = op;
        }
        wal_flush(w);
        memenv_run(&l->e);
    }
    close_log(&l->e, w);
    look(l);
}

static void done(struct closed_log *l) {
    memenv_done(&l->e);
}

enum verdict { SAME, CUT, CORRUPT };

/* What is to come of bytes [from, to) of generation g's file having changed; zeroed: to zeros. */
static enum verdict expect(const struct closed_log *l, uint32_t g, const uint8_t *before, const uint8_t *now,
                           size_t bytes, unsigned *ret_ops) {
    bool head = memcmp(before, now, HEAD_USED) != 0;
    struct wal_head h;
    enum head_status status = head_decode(now, bytes, &h);
    unsigned first_bad = l->records, intact_later = 0, intact = 0, intact_beyond_first = 0, begins = l->ops;
    for (unsigned i = 0; i < l->records; i++) {
        const struct record *r = &l->record[i];
        if (r->generation != g)
            continue;
        begins = r->ops < begins ? r->ops : begins;
        bool bad = memcmp(before + r->from, now + r->from, r->to - r->from) != 0;
        if (bad && first_bad == l->records)
            first_bad = i;
        if (!bad) {
            intact++;
            intact_beyond_first += r->batch > l->record[i - (r->ops - begins)].batch;
            intact_later += first_bad < l->records && r->batch > l->record[first_bad].batch;
        }
    }
    *ret_ops = l->ops;
    if (head && g != l->newest)
        return CORRUPT;
    if (head && status == HEAD_BAD && intact)
        return CORRUPT;
    if (head && status == HEAD_BLANK && intact_beyond_first)
        return CORRUPT;
    if (head) { /* as if it had never begun: its first batch is the last one that there is a trace of */
        *ret_ops = begins;
        return CUT;
    }
    if (first_bad == l->records)
        return SAME;
    if (g != l->newest || intact_later)
        return CORRUPT;
    *ret_ops = l->record[first_bad].ops;
    return CUT;
}

static unsigned seen[3];

/* Whatever was cut, the log goes on from there: what is appended now is found, and nothing of what was cut comes back. */
static bool goes_on(struct memenv *e, struct model want, const char *what, size_t at, uint32_t g) {
    struct model_op op = {.type = WAL_PROMISE, .group = 1, .round = want.group[1].promised + 1};
    struct model found;
    struct err err = {0};
    struct wal *w = NULL;
    char why[200] = "";
    enum rc rc = wal_open(&e->env, "log", &conf, NULL, &w, NULL, &err);
    if (!rc)
        rc = model_put(w, &op, NULL);
    model_apply(&want, &op);
    if (!OKF(rc == RC_OK, "%s", rc_name(rc)))
        return false;
    wal_flush(w);
    memenv_run(e);
    close_log(e, w);
    rc = wal_open(&e->env, "log", &conf, NULL, &w, NULL, &err);
    if (!rc)
        rc = model_ask(w, &found, &err);
    if (!OKF(rc == RC_OK, "after %s at %zu of generation %u: %s", what, at, g, err_message(&err)))
        return false;
    close_log(e, w);
    return OKF(model_equal(&want, &found, why, sizeof why), "after %s at %zu of generation %u: %s", what, at, g, why);
}

/* Opens the log with one file changed, and looks whether all is as expected. */
static bool check(const struct closed_log *l, struct memenv *e, uint32_t g, const uint8_t *now, const char *what,
                  size_t at) {
    const struct mem_file *f = memenv_file((struct memenv *)(uintptr_t)&l->e, l->name[g]);
    struct model found, want;
    struct wal_damage damage = {0};
    struct err err = {0};
    struct wal *w = NULL;
    char why[200] = "";
    unsigned ops;
    enum verdict v = expect(l, g, f->data, now, f->bytes, &ops);
    memenv_copy(e, &l->e);
    memcpy(memenv_file(e, l->name[g])->data, now, f->bytes);
    enum rc rc = wal_open(&e->env, "log", &conf, NULL, &w, &damage, &err);
    bool ok = rc == (v == CORRUPT ? RC_CORRUPT : RC_OK);
    OKF(ok, "%s at %zu of generation %u: %s, wanted %d", what, at, g, rc_name(rc), v);
    if (rc == RC_CORRUPT) {
        ok = ok && OKF(damage.what[0] != '\0' && damage.generation >= 1, "no damage is told");
        ok = ok && OKF(memcmp(memenv_file(e, l->name[g])->data, now, f->bytes) == 0, "the file was changed");
    } else if (!rc) {
        want = after(l, ops);
        ok = ok && OKF(model_ask(w, &found, &err) == RC_OK, "%s", err_message(&err));
        ok = ok && OKF(model_equal(&want, &found, why, sizeof why), "%s at %zu of generation %u: %s", what, at, g, why);
        close_log(e, w);
        ok = ok && goes_on(e, want, what, at, g);
    }
    seen[v]++;
    return ok;
}

/* Every byte of every segment in use, one bit at a time. */
static void flip_each_byte(void) {
    static struct closed_log l;
    struct memenv e;
    uint8_t now[SEGMENT];
    memset(seen, 0, sizeof seen);
    make(&l);
    memenv_init(&e);
    OK(l.newest >= 4);
    for (uint32_t g = 1; g <= l.newest && !tap_failing(); g++) {
        const struct mem_file *f = memenv_file(&l.e, l.name[g]);
        CHECK(f && f->bytes == SEGMENT);
        for (size_t at = 0; at < SEGMENT && !tap_failing(); at++) {
            memcpy(now, f->data, SEGMENT);
            now[at] ^= (uint8_t)(1u << (at % 8));
            check(&l, &e, g, now, "flip", at);
        }
    }
    tap_note("%u made no difference, %u cut, %u corrupt", seen[SAME], seen[CUT], seen[CORRUPT]);
    OK(seen[SAME] > 100 && seen[CUT] > 50 && seen[CORRUPT] > 100);
    memenv_done(&e);
    done(&l);
}

/* Ranges of any length, zeroed or overwritten with noise. */
static void damage_ranges(void) {
    static struct closed_log l;
    struct memenv e;
    struct rng rng;
    uint8_t now[SEGMENT];
    memset(seen, 0, sizeof seen);
    rng_init(&rng, 4);
    make(&l);
    memenv_init(&e);
    for (unsigned i = 0; i < 6000 && !tap_failing(); i++) {
        uint32_t g = rng_chance(&rng, 0.6) ? l.newest : 1 + (uint32_t)rng_below(&rng, l.newest);
        size_t unit = rng_chance(&rng, 0.5) ? 512 : 8;
        size_t from = rng_below(&rng, SEGMENT / unit) * unit;
        size_t n = 1 + rng_below(&rng, rng_chance(&rng, 0.5) ? SEGMENT - from : 100);
        bool zero = rng_chance(&rng, 0.5);
        n = n < SEGMENT - from ? n : SEGMENT - from;
        memcpy(now, memenv_file(&l.e, l.name[g])->data, SEGMENT);
        for (size_t k = from; k < from + n; k++)
            now[k] = zero ? 0 : (uint8_t)rng_u64(&rng);
        check(&l, &e, g, now, zero ? "zeros" : "noise", from);
    }
    tap_note("%u made no difference, %u cut, %u corrupt", seen[SAME], seen[CUT], seen[CORRUPT]);
    OK(seen[SAME] > 100 && seen[CUT] > 100 && seen[CORRUPT] > 100);
    memenv_done(&e);
    done(&l);
}

/* What belongs somewhere else is no record here: another place of the same segment, another segment, an older use of it. */
static void misdirected_writes(void) {
    static struct closed_log l;
    struct memenv e;
    uint8_t now[SEGMENT];
    unsigned tried = 0;
    make(&l);
    memenv_init(&e);
    for (unsigned i = 0; i < l.records && !tap_failing(); i++)
        for (unsigned k = 0; k < l.records && !tap_failing(); k++) {
            const struct record *a = &l.record[i], *b = &l.record[k];
            if (i == k || a->to - a->from != b->to - b->from || (i + k) % 3)
                continue;
            memcpy(now, memenv_file(&l.e, l.name[b->generation])->data, SEGMENT);
            memcpy(now + b->from, memenv_file(&l.e, l.name[a->generation])->data + a->from, a->to - a->from);
            check(&l, &e, b->generation, now, "misdirected", b->from);
            tried++;
        }
    OK(tried > 50);
    memenv_done(&e);
    done(&l);
}

static enum rc open_copy(struct memenv *e, struct wal_damage *damage) {
    struct wal *w = NULL;
    enum rc rc = wal_open(&e->env, "log", &conf, NULL, &w, damage, NULL);
    if (!rc)
        close_log(e, w);
    return rc;
}

/* Files that are missing, doubled or cut short. */
static void files(void) {
    static struct closed_log l;
    struct memenv e;
    struct wal_damage d;
    make(&l);
    memenv_init(&e);
    for (uint32_t g = 1; g < l.newest; g++) {
        memenv_copy(&e, &l.e);
        memenv_file(&e, l.name[g])->name[0] = '\0';
        EQ_INT(open_copy(&e, &d), RC_CORRUPT);
        EQ_INT(d.generation, g);
        memenv_copy(&e, &l.e);
        memenv_file(&e, l.name[g])->bytes = 1000;
        EQ_INT(open_copy(&e, &d), RC_CORRUPT);
        EQ_INT(d.generation, g);
        memenv_copy(&e, &l.e);
        struct mem_file *f = memenv_file(&e, l.name[g]);
        memenv_put(&e, "log/00000099.wal", f->data, f->bytes);
        EQ_INT(open_copy(&e, &d), RC_CORRUPT);
        OKF(strstr(d.what, "another"), "%s", d.what);
    }
    memenv_copy(&e, &l.e);
    memenv_put(&e, "log/00000098.new", "half", 4);
    memenv_put(&e, "log/LOCK", "", 0);
    memenv_put(&e, "log/notes.txt", "x", 1);
    EQ_INT(open_copy(&e, &d), RC_OK);
    OK(!memenv_file(&e, "log/00000098.new"));
    OK(memenv_file(&e, "log/LOCK") && memenv_file(&e, "log/notes.txt"));
    memenv_done(&e);
    done(&l);
}

struct text {
    char *p;
    size_t bytes;
    unsigned lines, damaged;
};

static void on_line(void *ctx, const char *text) {
    struct text *t = ctx;
    t->lines++;
    t->damaged += strstr(text, "DAMAGED") != NULL;
}

/* The dump shows every record of a whole log, and goes on behind damage. */
static void dump(void) {
    static struct closed_log l;
    struct memenv e;
    struct text whole = {0}, hurt = {0};
    struct err err = {0};
    make(&l);
    memenv_init(&e);
    memenv_copy(&e, &l.e);
    EQ_INT(wal_dump(&e.env, "log", on_line, &whole, &err), RC_OK);
    EQ_INT(whole.damaged, 0);
    OKF(whole.lines >= l.records + 2 * l.newest, "%u lines for %u records", whole.lines, l.records);
    struct record *r = &l.record[1];
    memenv_file(&e, l.name[r->generation])->data[r->from + 4] ^= 64; /* its length */
    EQ_INT(wal_dump(&e.env, "log", on_line, &hurt, &err), RC_OK);
    EQ_INT(hurt.lines, whole.lines); /* one record less, one line about it */
    EQ_INT(hurt.damaged, 1);
    memenv_done(&e);
    memenv_init(&e);
    EQ_INT(wal_dump(&e.env, "log", on_line, &hurt, &err), RC_NOTFOUND);
    memenv_done(&e);
    done(&l);
}

int main(void) {
    RUN(flip_each_byte);
    RUN(damage_ranges);
    RUN(misdirected_writes);
    RUN(files);
    RUN(dump);
    return tap_done();
}
