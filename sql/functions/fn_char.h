/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fn_char.h: the patterns of to_char's templates for dates, which to_date reads by too.
 *
 * Promise     Patterns are PostgreSQL's (manual, 9.8), found longest first.
 * Relies on   fn_internal.h.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_FN_CHAR_H
#define MERIDIAN_SQL_FN_CHAR_H

#include "sql/functions/fn_internal.h"

enum fn_char_patterns {
    P_AD,
    P_AD_DOTS,
    P_AM,
    P_AM_DOTS,
    P_CC,
    P_D,
    P_DAY,
    P_DD,
    P_DDD,
    P_DY,
    P_FF,
    P_HH,
    P_HH24,
    P_ID,
    P_IDDD,
    P_IW,
    P_IYYY,
    P_IYY,
    P_IY,
    P_I,
    P_J,
    P_MI,
    P_MM,
    P_MON,
    P_MONTH,
    P_MS,
    P_OF,
    P_Q,
    P_RM,
    P_SS,
    P_SSSS,
    P_TZ,
    P_TZH,
    P_TZM,
    P_US,
    P_W,
    P_WW,
    P_Y_YYY,
    P_YYYY,
    P_YYY,
    P_YY,
    P_Y,
};

struct fn_char_pattern {
    const char *text; /* "YYYY" */
    enum fn_char_patterns pattern;
    uint8_t letters, digits;
    bool fill_mode, exact; /* FM, FX */
    char ordinal;          /* 'T', 't': TH behind it; 0 */
    size_t bytes;          /* with what stands before and behind */
};

/* The pattern at p; false: there is none. */
bool fn_char_next(const char *p, const char *end, struct fn_char_pattern *ret);
bool fn_char_is_number(enum fn_char_patterns p);
extern const char *const fn_char_months[12], *const fn_char_days[7];

#endif
