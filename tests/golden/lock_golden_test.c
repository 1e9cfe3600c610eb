/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_golden_test.c: scripts for the lock table. A script is commands, a line of four dashes, what they bring about,
 * and an empty line before the next commands:
 *
 *     T1 lock x k                 T<age> lock s|u|x KEY | FROM..TO [for DURATION]; the smaller age is the older one
 *     T2 lock s a..m for 200ms    waits at most 200 ms; without "for": without end
 *     T2 cancel | release | prepare | mark | busy | idle | alive | holds | why | escalate a..m
 *     run 100ms                   time passes, tick by tick
 *     split k                     the right half becomes table B; "B:" before a command addresses it
 *     restore T5 x k              as a new leader does from a prepare record
 *     limits locks=2 txn_locks=2 waits=1
 *
 * A doomed transaction is released only when the script says so. With GOLDEN_REWRITE=1 (tests/run --rewrite) the
 * expected part is written anew; a review reads it.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "truetime/base/buf.h"
#include "txn/lock.h"

enum { TABLES = 2, TXNS = 100, LINE = 256 };
static const int64_t MS = 1000000;

struct script {
    struct lock_table *table[TABLES];
    int64_t now;
    uint64_t request;
    struct buf out;
};

static struct txn_ref ref_of(unsigned age) {
    return (struct txn_ref){.id = {1 << 16, 1, age}, .age = {age, 1 << 16, age}};
}

static void say(struct script *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct script *s, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&s->out, fmt, ap);
    va_end(ap);
    buf_puts(&s->out, "\n");
}

static const char *why_text(const struct lock_why *why, char to[256]) {
    size_t n = why->key_bytes < LOCK_WHY_KEY_BYTES ? why->key_bytes : LOCK_WHY_KEY_BYTES;
    int at = snprintf(to, 256, "%s", lock_rule_text(why->rule));
    if (why->by.counter)
        at += snprintf(to + at, 256 - (size_t)at, ": T%llu, %s at %.*s", (unsigned long long)why->by.counter,
                       lock_mode_name(why->mode), (int)n, (const char *)why->key);
    if (why->held_ns >= 0 && why->by.counter)
        at += snprintf(to + at, 256 - (size_t)at, ", held %lldms", (long long)(why->held_ns / MS));
    if (why->waited_ns)
        snprintf(to + at, 256 - (size_t)at, ", waited %lldms", (long long)(why->waited_ns / MS));
    return to;
}

static void drain(struct script *s) {
    struct lock_event e;
    char why[256];
    for (int i = 0; i < TABLES; i++)
        while (s->table[i] && lock_next(s->table[i], &e)) {
            const char *at = i ? "B: " : "";
            unsigned long long t = e.txn.counter;
            switch (e.type) {
            case LOCK_EV_GRANTED:
                say(s, "%sT%llu granted after %lldms", at, t, (long long)(e.waited_ns / MS));
                break;
            case LOCK_EV_REFUSED:
                say(s, "%sT%llu refused %s (%s)", at, t, rc_name(e.rc), why_text(&e.why, why));
                break;
            case LOCK_EV_WOUNDED:
                say(s, "%sT%llu marked (%s)", at, t, why_text(&e.why, why));
                break;
            case LOCK_EV_FORWARD:
                say(s, "%sT%llu is prepared: wound forwarded (%s)", at, t, why_text(&e.why, why));
                break;
            case LOCK_EV_DOOMED:
                say(s, "%sT%llu must abort (%s)", at, t, why_text(&e.why, why));
                break;
            }
        }
    for (int i = 0; i < TABLES; i++)
        if (s->table[i])
            lock_table_check(s->table[i]);
}

static int64_t duration(const char *text) {
    char *unit;
    double v = strtod(text, &unit);
    return (int64_t)(v * (strcmp(unit, "s") == 0 ? 1e9 : 1e6));
}

/* "k", or "a..m"; bytes holds the ends. */
static struct txn_span span_of(const char *text, char bytes[2][LINE]) {
    const char *dots = strstr(text, "..");
    size_t n = dots ? (size_t)(dots - text) : strlen(text);
    memset(bytes[0], 0, LINE);
    memcpy(bytes[0], text, n);
    struct txn_span s = {{(uint8_t *)bytes[0], n}, {(uint8_t *)bytes[0], n + 1}};
    if (dots) {
        snprintf(bytes[1], LINE, "%s", dots + 2);
        s.end = (struct txn_key){(uint8_t *)bytes[1], strlen(bytes[1])};
    }
    return s;
}

static enum lock_mode mode_of(const char *text) {
    return text[0] == 's' ? LOCK_SHARED : text[0] == 'u' ? LOCK_UPDATE : LOCK_EXCLUSIVE;
}

static void holds(struct script *s, unsigned age, struct lock_txn *x) {
    const void *cursor = NULL;
    struct lock_grant g;
    struct lock_txn_info info;
    lock_txn_info(x, &info);
    buf_printf(&s->out, "T%u %s%s holds", age, lock_state_name(info.state), info.marked ? ", marked," : "");
    while (lock_each(x, &cursor, &g)) {
        buf_printf(&s->out, " %s %.*s", lock_mode_name(g.mode), (int)g.span.start.n, (const char *)g.span.start.p);
        if (!txn_span_is_point(&g.span))
            buf_printf(&s->out, "..%.*s", (int)g.span.end.n, (const char *)g.span.end.p);
    }
    buf_puts(&s->out, "\n");
}

static void lock(struct script *s, struct lock_table *t, struct lock_txn *x, unsigned age, char **word, int n) {
    char bytes[2][LINE], names[160];
    struct err err = {0};
    bool waits = false, escalate = strcmp(word[0], "escalate") == 0;
    const char *text = word[escalate ? 1 : 2];
    struct txn_span span = span_of(text, bytes);
    int64_t until = n > 4 ? s->now + duration(word[4]) : INT64_MAX;
    enum rc rc = escalate ? lock_escalate(t, x, &span, ++s->request, s->now, until, &waits, &err)
                          : lock_acquire(t, x, &span, mode_of(word[1]), ++s->request, s->now, until, &waits, &err);
    snprintf(names, sizeof names, "T%u %s %s", age, escalate ? "span" : word[1], text);
    if (rc)
        say(s, "%s: %s: %s", names, rc_name(rc), err.message);
    else
        say(s, "%s: %s", names, waits ? "waits" : "held");
}

static void txn_command(struct script *s, struct lock_table *t, unsigned age, char **word, int n) {
    struct txn_ref ref = ref_of(age);
    struct lock_txn *x;
    struct err err = {0};
    char why_bytes[256];
    struct lock_why why = {.rule = LOCK_RULE_WOUNDED, .held_ns = -1};
    enum rc rc = lock_txn_open(t, &ref, s->now, &x, &err);
    if (rc) {
        say(s, "T%u: %s: %s", age, rc_name(rc), err.message);
        return;
    }
    if (strcmp(word[0], "lock") == 0 || strcmp(word[0], "escalate") == 0)
        lock(s, t, x, age, word, n);
    else if (strcmp(word[0], "release") == 0)
        lock_release(t, x, s->now);
    else if (strcmp(word[0], "prepare") == 0) {
        rc = lock_prepare(t, x, s->now, &err);
        say(s, "T%u prepare: %s", age, rc ? rc_name(rc) : "frozen");
    } else if (strcmp(word[0], "mark") == 0)
        lock_mark(t, x, &why, s->now);
    else if (strcmp(word[0], "busy") == 0 || strcmp(word[0], "idle") == 0)
        lock_txn_busy(t, x, word[0][0] == 'b', s->now);
    else if (strcmp(word[0], "holds") == 0)
        holds(s, age, x);
    else if (strcmp(word[0], "cancel") == 0) {
        for (uint64_t r = s->request; r; r--)
            if (lock_cancel(t, x, r, s->now))
                break;
    } else if (strcmp(word[0], "why") == 0) {
        for (uint64_t r = s->request; r; r--)
            if (lock_explain(t, x, r, s->now, &why)) {
                say(s, "T%u %s", age, why_text(&why, why_bytes));
                break;
            }
    } else if (strcmp(word[0], "alive") != 0)
        say(s, "no such command: %s", word[0]);
}

static void limits(struct script *s, char **word, int n) {
    struct lock_init init = {.seed = 1};
    for (int i = 1; i < n; i++) {
        char *eq = strchr(word[i], '=');
        uint32_t v = eq ? (uint32_t)strtoul(eq + 1, NULL, 10) : 0;
        if (strncmp(word[i], "locks=", 6) == 0)
            init.limits.locks = v;
        else if (strncmp(word[i], "txn_locks=", 10) == 0)
            init.limits.txn_locks = v;
        else if (strncmp(word[i], "waits=", 6) == 0)
            init.limits.waits = v;
        else
            say(s, "no such limit: %s", word[i]);
    }
    lock_table_free(s->table[0]);
    CHECK(lock_table_new(&init, &s->table[0]) == RC_OK);
}

static void run(struct script *s, int64_t until) {
    while (s->now < until) {
        int64_t wake = until;
        for (int i = 0; i < TABLES; i++)
            if (s->table[i] && lock_wake_ns(s->table[i]) < wake)
                wake = lock_wake_ns(s->table[i]);
        s->now = wake > s->now ? wake : s->now;
        for (int i = 0; i < TABLES; i++)
            if (s->table[i])
                lock_tick(s->table[i], s->now);
        drain(s);
    }
}

static void command(struct script *s, char *line) {
    char *word[8];
    int n = 0, table = 0;
    if (strncmp(line, "B: ", 3) == 0) {
        table = 1;
        line += 3;
    }
    for (char *save = NULL, *w = strtok_r(line, " ", &save); w && n < 8; w = strtok_r(NULL, " ", &save))
        word[n++] = w;
    if (n == 0 || !s->table[table])
        return;
    if (word[0][0] == 'T' && n > 1) {
        txn_command(s, s->table[table], (unsigned)strtoul(word[0] + 1, NULL, 10), word + 1, n - 1);
    } else if (strcmp(word[0], "run") == 0) {
        run(s, s->now + duration(word[1]));
    } else if (strcmp(word[0], "limits") == 0) {
        limits(s, word, n);
    } else if (strcmp(word[0], "split") == 0) {
        CHECK(lock_split(s->table[0], (struct txn_key){(uint8_t *)word[1], strlen(word[1])}, s->now, &s->table[1]) ==
              RC_OK);
    } else if (strcmp(word[0], "restore") == 0) {
        char bytes[2][LINE];
        struct txn_ref ref = ref_of((unsigned)strtoul(word[1] + 1, NULL, 10));
        struct lock_grant g = {span_of(word[3], bytes), mode_of(word[2])};
        struct err err = {0};
        enum rc rc = lock_restore(s->table[table], &ref, &g, 1, s->now, &err);
        say(s, "restore %s: %s", word[1], rc ? err.message : "prepared");
    } else {
        say(s, "no such command: %s", word[0]);
    }
    drain(s);
}

/* Runs the script at path; *ret_text becomes the script with what really came out. */
static void play(const char *path, struct buf *before, struct buf *after) {
    struct script s = {.now = 0};
    struct lock_init init = {.seed = 1};
    char line[LINE];
    bool expected = false;
    FILE *f = fopen(path, "r");
    CHECK(f);
    CHECK(lock_table_new(&init, &s.table[0]) == RC_OK);
    buf_init(&s.out, 0);
    while (fgets(line, sizeof line, f)) {
        buf_puts(before, line);
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "----") == 0) {
            buf_puts(after, "----\n");
            buf_put(after, s.out.data, s.out.len);
            buf_reset(&s.out, SIZE_MAX);
            expected = true;
        } else if (line[0] == '\0') {
            buf_puts(after, "\n");
            expected = false;
        } else if (!expected) {
            buf_puts(after, line);
            buf_puts(after, "\n");
            if (line[0] != '#')
                command(&s, line);
        }
    }
    fclose(f);
    for (int i = 0; i < TABLES; i++)
        lock_table_free(s.table[i]);
    buf_done(&s.out);
}

static const char *name_now;

static void one_script(void) {
    struct buf before, after;
    char path[512];
    snprintf(path, sizeof path, "tests/golden/lock/%s", name_now);
    buf_init(&before, 0);
    buf_init(&after, 0);
    play(path, &before, &after);
    bool same = before.len == after.len && memcmp(before.data, after.data, before.len) == 0;
    if (!same && getenv("GOLDEN_REWRITE")) {
        FILE *f = fopen(path, "w");
        CHECK(f && fwrite(after.data, 1, after.len, f) == after.len && fclose(f) == 0);
        tap_note("%s written anew", path);
    } else if (!same) {
        OKF(false, "%s: what came out:\n%s", path, buf_cstr(&after));
    }
    buf_done(&before);
    buf_done(&after);
}

int main(void) {
    struct dirent **entry;
    int n = scandir("tests/golden/lock", &entry, NULL, alphasort), scripts = 0;
    for (int i = 0; i < n; i++) {
        name_now = entry[i]->d_name;
        size_t len = strlen(name_now);
        if (len > 4 && strcmp(name_now + len - 4, ".txt") == 0) {
            tap_begin(name_now);
            one_script();
            tap_end();
            scripts++;
        }
        free(entry[i]);
    }
    free(entry);
    tap_begin("scripts are there");
    OK(scripts >= 5);
    tap_end();
    return tap_done();
}
