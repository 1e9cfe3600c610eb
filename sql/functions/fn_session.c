/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_session.c: functions that the session answers: who it is, its settings, sequences, advisory locks.
 *
 * These are rows only; fn_env.session computes them.
 */
#include "sql/functions/fn_internal.h"

static const struct fn fns[] = {
    FN(89, "version", NULL, STRICT | STABLE | SESSION, COL_TEXT, NULL),
    FN(710, "getpgusername", NULL, STRICT | STABLE | SESSION, COL_TEXT, NULL),
    FN(745, "current_user", NULL, STRICT | STABLE | SESSION, COL_TEXT, NULL),
    FN(746, "session_user", NULL, STRICT | STABLE | SESSION, COL_TEXT, NULL),
    FN(817, "current_query", NULL, VOLATILE | SESSION, COL_TEXT, NULL),
    FN(861, "current_database", NULL, STRICT | STABLE | SESSION, COL_TEXT, NULL),
    FN(1402, "current_schema", NULL, STRICT | STABLE | SESSION, COL_TEXT, NULL),
    FN(1403, "current_schemas", NULL, STRICT | STABLE | SESSION, FN_ARRAY_OF(COL_TEXT), NULL, COL_BOOL),
    FN(1574, "nextval", NULL, STRICT | VOLATILE | SESSION, COL_INT8, NULL, FN_REGCLASS),
    FN(1575, "currval", NULL, STRICT | VOLATILE | SESSION, COL_INT8, NULL, FN_REGCLASS),
    FN(1576, "setval", NULL, STRICT | VOLATILE | SESSION, COL_INT8, NULL, FN_REGCLASS, COL_INT8),
    FN(1765, "setval", NULL, STRICT | VOLATILE | SESSION, COL_INT8, NULL, FN_REGCLASS, COL_INT8, COL_BOOL),
    FN(2026, "pg_backend_pid", NULL, STRICT | STABLE | SESSION, COL_INT4, NULL),
    FN(2034, "pg_conf_load_time", NULL, STRICT | STABLE | SESSION, COL_TIMESTAMPTZ, NULL),
    FN(2077, "current_setting", NULL, STRICT | STABLE | SESSION, COL_TEXT, NULL, COL_TEXT),
    FN(2078, "set_config", NULL, VOLATILE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_TEXT, COL_BOOL),
    FN(2096, "pg_terminate_backend", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4, COL_INT8),
    FN(2171, "pg_cancel_backend", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4),
    FN(2197, "inet_client_port", NULL, STABLE | SESSION, COL_INT4, NULL),
    FN(2199, "inet_server_port", NULL, STABLE | SESSION, COL_INT4, NULL),
    FN(2559, "lastval", NULL, STRICT | VOLATILE | SESSION, COL_INT8, NULL),
    FN(2560, "pg_postmaster_start_time", NULL, STRICT | STABLE | SESSION, COL_TIMESTAMPTZ, NULL),
    FN(2626, "pg_sleep", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_FLOAT8),
    FN(2880, "pg_advisory_lock", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_INT8),
    FN(2881, "pg_advisory_lock_shared", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_INT8),
    FN(2882, "pg_try_advisory_lock", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT8),
    FN(2883, "pg_try_advisory_lock_shared", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT8),
    FN(2884, "pg_advisory_unlock", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT8),
    FN(2885, "pg_advisory_unlock_shared", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT8),
    FN(2886, "pg_advisory_lock", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_INT4, COL_INT4),
    FN(2887, "pg_advisory_lock_shared", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_INT4, COL_INT4),
    FN(2888, "pg_try_advisory_lock", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4, COL_INT4),
    FN(2889, "pg_try_advisory_lock_shared", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4, COL_INT4),
    FN(2890, "pg_advisory_unlock", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4, COL_INT4),
    FN(2891, "pg_advisory_unlock_shared", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4, COL_INT4),
    FN(2892, "pg_advisory_unlock_all", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL),
    FN(2943, "txid_current", NULL, STRICT | STABLE | SESSION, COL_INT8, NULL),
    FN(3036, "pg_notify", NULL, VOLATILE | SESSION, FN_VOID, NULL, COL_TEXT, COL_TEXT),
    FN(3089, "pg_advisory_xact_lock", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_INT8),
    FN(3090, "pg_advisory_xact_lock_shared", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_INT8),
    FN(3091, "pg_try_advisory_xact_lock", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT8),
    FN(3092, "pg_try_advisory_xact_lock_shared", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT8),
    FN(3093, "pg_advisory_xact_lock", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_INT4, COL_INT4),
    FN(3094, "pg_advisory_xact_lock_shared", NULL, STRICT | VOLATILE | SESSION, FN_VOID, NULL, COL_INT4, COL_INT4),
    FN(3095, "pg_try_advisory_xact_lock", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4, COL_INT4),
    FN(3096, "pg_try_advisory_xact_lock_shared", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4, COL_INT4),
    FN(3294, "current_setting", NULL, STRICT | STABLE | SESSION, COL_TEXT, NULL, COL_TEXT, COL_BOOL),
    FN(3348, "txid_current_if_assigned", NULL, STRICT | STABLE | SESSION, COL_INT8, NULL),
    FN(3810, "pg_is_in_recovery", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL),
    FN(5059, "pg_current_xact_id", NULL, STRICT | STABLE | SESSION, COL_INT8, NULL),
    /* PostgreSQL's 2096, its second argument left to the default */
    FN(12151, "pg_terminate_backend", NULL, STRICT | VOLATILE | SESSION, COL_BOOL, NULL, COL_INT4),
};

const struct fn_table fn_table_session = {fns, ARRAY_LEN(fns)};
