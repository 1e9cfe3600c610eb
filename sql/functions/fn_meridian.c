/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_meridian.c: functions of the schema meridian: the cluster's tablets, a session's last commit. Rows only: the session computes
 * them. They carry their schema in their name, so that nobody's own function can be taken for one.
 */
#include "sql/functions/fn_internal.h"

static const struct fn fns[] = {
    FN(12101, "meridian.split", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, FN_REGCLASS),
    FN(12102, "meridian.split", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, FN_REGCLASS, COL_INT8),
    FN(12103, "meridian.split", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, FN_REGCLASS, COL_TEXT),
    FN(12104, "meridian.split_tablet", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_INT8),
    FN(12105, "meridian.transfer_leader", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_INT8, COL_INT4),
    FN(12106, "meridian.move", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_INT8, COL_INT4, COL_INT4),
    FN(12107, "meridian.txn_status", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT),
    FN(12108, "meridian.commit_timestamp", NULL, VOLATILE | SESSION, COL_INT8, NULL),
    FN(12109, "meridian.commit_token", NULL, VOLATILE | SESSION, COL_TEXT, NULL),
    FN(12110, "meridian.commit_token", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_INT4),
    FN(12111, "meridian.set_placement", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT, COL_TEXT,
       COL_INT4),
    FN(12112, "meridian.place", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, FN_REGCLASS, COL_TEXT),
    FN(12113, "meridian.set_placement", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT, COL_TEXT,
       COL_INT4, COL_TEXT),
    FN(12114, "meridian.kill", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4),
    FN(12120, "meridian.set_link", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT, COL_TEXT),
    FN(12121, "meridian.set_link", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT, COL_TEXT,
       COL_BOOL),
    FN(12122, "meridian.partition", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT),
    FN(12123, "meridian.partition", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT),
    FN(12124, "meridian.partition", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT, COL_BOOL),
    FN(12125, "meridian.heal", NULL, VOLATILE | SESSION, COL_TEXT, NULL),
    FN(12126, "meridian.heal", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT),
    FN(12127, "meridian.heal", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT),
    FN(12128, "meridian.heal", NULL, STRICT | VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT, COL_BOOL),
    FN(12150, "meridian.txn_timestamp", NULL, STRICT | VOLATILE | SESSION, COL_INT8, NULL, COL_TEXT),
};

const struct fn_table fn_table_meridian = {fns, ARRAY_LEN(fns)};
