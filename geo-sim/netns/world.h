/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h: a topology that is up on this machine: its namespaces, what carries packets between them, and what is remembered of it.
 *
 *     /run/meridian-geo/WORLD/    world.topo   the topology as it is now, changes included
 *                                 backend      "tun", "netem" or "loopback"
 *                                 cluster      its nodes and time masters (cluster.h); NODE.out, NODE.log of each
 *                                 lock         held while somebody works on the world
 *                                 emulator.lock, emulator.log, control    of the emulator (tun)
 *
 * Promise     up leaves a world whose ping matrix has been checked, or nothing. down removes everything that bears the world's
 *             name, whatever became of its makers: processes in its namespaces, the emulator, the namespaces, the directory; with
 *             nothing there it does nothing. A change is in force when geo_world_change returns.
 * Relies on   root, but for the loopback back end; names geo-WORLD-* being nobody else's.
 * Threads     the main one.
 */
#ifndef MERIDIAN_GEO_WORLD_H
#define MERIDIAN_GEO_WORLD_H

#include "geo-sim/netns/ping.h"
#include "geo-sim/netns/sys.h"

struct geo_world {
    char name[GEO_WORLD_BYTES];
    char dir[SYS_PATH_BYTES / 2];
    int lock; /* -1: not held */
    struct topo *topo;
    enum geo_backend backend;
};

/* Where this user's worlds are remembered: /run/meridian-geo, or of an ordinary user $XDG_RUNTIME_DIR/meridian-geo. */
void geo_worlds_dir(char to[SYS_PATH_BYTES / 4]);
/* What is needed for namespaces: root, ip, tc. RC_PERMISSION, RC_NOTFOUND with a hint. */
enum rc geo_world_able(struct err *err) MUST_CHECK;
/* Whether this kernel can do netem. err: why not. */
enum rc geo_world_probe_netem(const char *name, struct err *err) MUST_CHECK;

/* Makes the world; takes t, also on failure. self: the path of this program, which is run again as the emulator. RC_EXISTS: it is
 * up, or something of it is left. */
enum rc geo_world_up(const char *name, struct topo *t, enum geo_backend b, const char *self, struct geo_world *ret,
                     struct err *err) MUST_CHECK;
/* It is up, or something of it is left. */
bool geo_world_exists(const char *name);
/* Opens one that is up. for_change: waits for whoever works on it, and keeps others away. RC_NOTFOUND. */
enum rc geo_world_open(const char *name, bool for_change, struct geo_world *ret, struct err *err) MUST_CHECK;
void geo_world_close(struct geo_world *w); /* the world stays */

/* A statement of a topology: link, oneway, cut or heal. All of it or, on failure, nothing but what an error names. */
enum rc geo_world_change(struct geo_world *w, const char *statement, struct err *err) MUST_CHECK;
/* Moves this process into a place's namespace, for good. */
enum rc geo_world_enter(const struct geo_world *w, unsigned place, struct err *err) MUST_CHECK;
/* Asks the emulator. RC_UNREACHABLE: it is dead; RC_UNSUPPORTED: with netem there is none. */
enum rc geo_world_ask(const struct geo_world *w, const char *text, char ret_answer[1024], struct err *err) MUST_CHECK;
pid_t geo_world_emulator(const struct geo_world *w); /* 0 = none */

struct geo_removed {
    unsigned processes, namespaces;
    bool emulator, directory;
};
enum rc geo_world_down(const char *name, struct geo_removed *ret, struct err *err) MUST_CHECK;

/* The body of the emulator's process: `meridian-geo _emulate WORLD FD`. */
enum rc geo_world_emulate(const char *name, int ready_fd, struct err *err) MUST_CHECK;

#endif
