/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_host.c: one machine, one oscillator, one scale: time is CLOCK_MONOTONIC_RAW plus an offset.
 *
 * Assumes       every node of the cluster runs on this machine in this boot (their scale names are compared when they meet).
 *               Then "true time" is what this source says, by definition, and the bound is only how well two threads agree
 *               on reading the counter. No drift is added: there is no second oscillator to drift against. `date -s`, slewing
 *               and a sleeping laptop move nothing.
 * The offset    is chosen once a boot, by whoever comes first, under the directory's lock, so that time is that of the system
 *               clock and beyond every timestamp that the chooser's data directory remembers. A node that comes later with
 *               data from further ahead must wait, and says for how long.
 *
 *               DIR/host-clock:   "meridian-host-clock 1\nboot ID\noffset NS\n"
 *
 *               written aside and renamed, so a reader needs no lock. Not synced: after a power loss the boot is another.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/source.h"

enum {
    GRAIN_NS = 100,     /* how far apart two cores may read the counter */
    AHEAD_NS = 1000000, /* beyond the high-water mark */
    FILE_BYTES = 256
};

struct source_host {
    struct tt_source source; /* first */
    char dir[ENV_PATH_BYTES - 32];
    int64_t high_water_ns;
    char boot[ENV_BOOT_ID_BYTES];
    bool chosen;
    int64_t offset_ns;
};

/* RC_NOTFOUND: no file, or one of another boot. */
static enum rc read_offset(struct source_host *s, const char *path, struct err *err) {
    struct env_file *f;
    char text[FILE_BYTES], want[FILE_BYTES];
    size_t n;
    enum rc rc = env_file_open(s->source.env, path, ENV_OPEN_READONLY, &f, err);
    if (rc)
        return rc;
    rc = env_file_read(f, text, sizeof text - 1, 0, &n, err);
    env_file_close(f);
    if (rc)
        return rc;
    text[n] = '\0';
    int head = snprintf(want, sizeof want, "meridian-host-clock 1\nboot %s\noffset ", s->boot);
    char *end;
    if (strncmp(text, want, (size_t)head) != 0)
        return err_set(err, RC_NOTFOUND, "%s is of another boot", path);
    int64_t offset = strtoll(text + head, &end, 10);
    if (end == text + head || strcmp(end, "\n") != 0)
        return err_set(err, RC_CORRUPT, "%s is damaged", path);
    s->offset_ns = offset;
    s->chosen = true;
    return RC_OK;
}

static enum rc write_offset(struct source_host *s, const char *path, struct err *err) {
    struct env *env = s->source.env;
    struct env_file *f;
    char text[FILE_BYTES], aside[ENV_PATH_BYTES];
    int n = snprintf(text, sizeof text, "meridian-host-clock 1\nboot %s\noffset %" PRId64 "\n", s->boot, s->offset_ns);
    snprintf(aside, sizeof aside, "%s.new", path);
    enum rc rc = env_file_open(env, aside, ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &f, err);
    if (rc)
        return rc;
    rc = env_file_write(f, text, (size_t)n, 0, err);
    env_file_close(f);
    return rc ? rc : env_rename(env, aside, path, err);
}

static enum rc choose_offset(struct source_host *s, const char *path, const struct tt_moment *now, struct err *err) {
    struct env_dir_lock *lock;
    enum rc rc = env_mkdir(s->source.env, s->dir, err);
    if (rc && rc != RC_EXISTS)
        return rc;
    if (now->real < TT_TIME_MIN_NS)
        return err_set(err, RC_INVAL, "the system clock is not set");
    rc = env_dir_lock(s->source.env, s->dir, &lock, err);
    if (rc)
        return rc;
    rc = read_offset(s, path, err); /* somebody may have been faster */
    if (rc == RC_NOTFOUND || rc == RC_CORRUPT) {
        s->offset_ns = now->real - now->raw;
        if (now->raw + s->offset_ns < s->high_water_ns + AHEAD_NS)
            s->offset_ns = s->high_water_ns + AHEAD_NS - now->raw;
        rc = write_offset(s, path, err);
        s->chosen = !rc;
    }
    env_dir_unlock(lock);
    return rc;
}

static enum rc learn_offset(struct source_host *s, const struct tt_moment *now, struct err *err) {
    char path[ENV_PATH_BYTES - 8];
    enum rc rc = RC_OK;
    if (!s->dir[0])
        return err_set(err, RC_INVAL, "no directory was given for the host clock's file");
    if (!s->boot[0])
        rc = env_boot_id(s->source.env, s->boot, sizeof s->boot, err);
    if (rc)
        return rc;
    snprintf(path, sizeof path, "%s/host-clock", s->dir);
    rc = read_offset(s, path, err);
    return rc == RC_NOTFOUND || rc == RC_CORRUPT ? choose_offset(s, path, now, err) : rc;
}

static void host_poll(struct tt_source *source, const struct tt_look *look) {
    struct source_host *s = container_of(source, struct source_host, source);
    struct err err = {0};
    if (!s->chosen && (!look->usable || learn_offset(s, &look->now, &err))) {
        if (err.rc)
            tt_source_fail(source, true, "%s", err_message(&err));
        return;
    }
    int64_t t = look->now.raw + s->offset_ns;
    if (t <= s->high_water_ns) {
        char behind[32];
        tt_source_fail(source, true, "host time is %s behind what this node's data has seen: waiting",
                       tt_duration_format(s->high_water_ns - t, behind, sizeof behind));
        return;
    }
    tt_source_reading(source, look->now.raw, (tt_interval){t - GRAIN_NS, t + GRAIN_NS}, t - look->now.real);
}

void tt_source_host_scale(const struct tt_source *source, char ret[TT_SCALE_BYTES]) {
    const struct source_host *s = container_of(source, struct source_host, source);
    ret[0] = '\0';
    if (s->chosen)
        snprintf(ret, TT_SCALE_BYTES, "host:%s:%" PRId64, s->boot, s->offset_ns);
}

struct tt_source *tt_source_host(const struct tt_source_conf *conf) {
    static const struct tt_source_ops ops = {.poll = host_poll};
    struct source_host *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->source.ops = &ops;
    s->source.ageless = true;
    s->high_water_ns = conf->high_water_ns;
    snprintf(s->dir, sizeof s->dir, "%s", conf->host_dir ? conf->host_dir : "");
    return &s->source;
}
