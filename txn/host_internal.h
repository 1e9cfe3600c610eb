/* SPDX-License-Identifier: Apache-2.0 */
/* host_internal.h: what the files of a host share. */
#ifndef MERIDIAN_TXN_HOST_INTERNAL_H
#define MERIDIAN_TXN_HOST_INTERNAL_H

#include "txn/host.h"

enum { SECTION_NAME_BYTES = 64, GATE_BYTES = 8, OUTCOMES_MAX = 128 << 10 };

/* A fiber that waits for a lock. */
struct host_wait {
    struct map_node node;
    uint64_t request;
    struct txn_id id;
    struct event done;
    struct lock_event event;
};

void host_lose_all(struct txn_host *h, enum rc rc);

/* host_rows.c: the record's writes become rows and descriptors, in the slot that is being applied. */
enum rc host_take_effect(struct txn_host *h, const struct site_effect *effect, struct err *err);

/* RC_LIMIT: what g has written does not fit into an entry. */
enum rc host_check_size(struct txn_host *h, struct guest *g, struct err *err) MUST_CHECK;

/* host_mail.c */
void hosts_send_at(struct txn_hosts *hs, struct txn_key key, uint64_t gateway, const void *msg, size_t bytes,
                   int64_t not_before);

/* serve.c */
enum rc serve_register(struct txn_hosts *hs) MUST_CHECK;

#endif
