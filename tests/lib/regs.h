/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regs.h: a state machine for tests: registers, and a running checksum over everything that was ever applied.
 *
 * Its data live in memory and, as of the last checkpoint, in one file (DIR/regs-GROUP), replaced as a whole. A snapshot is the
 * same bytes and some padding, so that it has several chunks.
 *
 * A command: u64 id, u32 register, u32 what (0 = set, 1 = add), u64 value, then anything.
 */
#ifndef MERIDIAN_TESTS_REGS_H
#define MERIDIAN_TESTS_REGS_H

#include "shard/replica/replica.h"

enum { REGS_COUNT = 64, REGS_COMMAND_BYTES = 24 };

struct regs;

/* What a test wants to see. Any may be NULL. */
struct regs_watch {
    void (*on_apply)(void *ctx, struct regs *g, px_slot slot, const struct px_value *v, uint64_t checksum);
    /* It holds what another replica sent it: as of slot. */
    void (*on_load)(void *ctx, struct regs *g, px_slot slot, uint64_t checksum);
    void (*on_lead)(void *ctx, struct regs *g, bool begin);
    void (*on_removed)(void *ctx, struct regs *g);
    void *ctx;
};

struct regs_conf {
    struct reactor *reactor;
    const char *dir;
    uint64_t group;
    const struct regs_watch *watch;
    uint32_t checkpoint_every; /* entries; 0 = only by regs_checkpoint */
    uint32_t pad_bytes;        /* of a snapshot */
    bool gated;                /* entries wait until their timestamp has passed */
    bool no_file;              /* never durable: for benchmarks */
};

struct regs {
    struct regs_conf conf;
    char dir[ENV_PATH_BYTES];
    struct replica *replica; /* set by the test after replicas_add */
    struct replica_state state;
    uint64_t value[REGS_COUNT];
    uint64_t checksum, applied_count;
    uint32_t since_checkpoint;
    uint32_t images; /* open */
    bool checkpointing, dirty;
    struct fiber_group fibers;
    /* a snapshot that comes in */
    uint8_t *load;
    uint64_t load_image, load_bytes, load_cap;
    struct replica_state load_state;
};

extern const struct replica_sm_ops regs_ops;

/* Loads the file, or begins with `fresh` and writes it. */
enum rc regs_open(const struct regs_conf *conf, const struct replica_state *fresh, struct regs **ret,
                  struct err *err) WAITS MUST_CHECK;
/* No replica uses it any more. */
void regs_close(struct regs *g);
bool regs_idle(const struct regs *g);
/* Makes the present state durable, on a fiber of its own, and tells the replica. */
void regs_checkpoint(struct regs *g);
enum rc regs_delete(struct regs *g, struct err *err) MUST_CHECK;

/* A command; bytes >= REGS_COMMAND_BYTES. */
struct px_value *regs_command(uint64_t id, uint32_t reg, bool add, uint64_t value, size_t bytes);
uint64_t regs_command_id(const struct px_value *v);

#endif
