/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pid.h: the number by which clients name a session (BackendKeyData, pg_backend_pid): it tells the session's node and store.
 *
 *     bits 30..21 node    20..15 store    14..0 slot, counted round
 *
 * Promise     Positive; no two sessions of a cluster of fewer than 1,024 nodes have the same, as long as a store opens fewer than
 *             32,767 sessions while one of them lives. Beyond that it is the secret that keeps cancel requests apart.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_PID_H
#define MERIDIAN_SQL_PID_H

#include <stdint.h>

enum { PID_NODE_BITS = 10, PID_STORE_BITS = 6, PID_SLOT_BITS = 15, PID_SLOTS = 1 << PID_SLOT_BITS };

static inline uint32_t pid_make(uint32_t node, uint32_t store, uint32_t slot) {
    return (node & ((1u << PID_NODE_BITS) - 1)) << (PID_STORE_BITS + PID_SLOT_BITS) |
           (store & ((1u << PID_STORE_BITS) - 1)) << PID_SLOT_BITS | (slot & (PID_SLOTS - 1));
}

static inline uint32_t pid_node(uint32_t pid) {
    return pid >> (PID_STORE_BITS + PID_SLOT_BITS) & ((1u << PID_NODE_BITS) - 1);
}

static inline uint16_t pid_store(uint32_t pid) {
    return (uint16_t)(pid >> PID_SLOT_BITS & ((1u << PID_STORE_BITS) - 1));
}

#endif
