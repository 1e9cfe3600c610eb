/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlorphans.h: tables of keys on a simulated cluster's tablets that its catalog does not name.
 *
 *     sqlorphans_known(&o, client);      by SQL, when nothing is changed any more
 *     sqlorphans_check(&o, world);       waits until the janitors have had their time, then breaks the world if there are some
 */
#ifndef MERIDIAN_TESTS_SQLORPHANS_H
#define MERIDIAN_TESTS_SQLORPHANS_H

#include "tests/lib/sqlworld.h"

enum { SQLORPHANS_MAX = 2000 };

struct sqlorphans {
    uint64_t named[SQLORPHANS_MAX];
    size_t n_named;
    /* of a look: */
    uint64_t found;
    size_t count;
    bool print;
};

void sqlorphans_known(struct sqlorphans *o, struct sqlclient *c) WAITS;
void sqlorphans_check(struct sqlorphans *o, struct sqlworld *w);

#endif
