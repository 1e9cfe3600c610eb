/* SPDX-License-Identifier: Apache-2.0 */
/* chronyproto.c: requests and replies of chronyd's command protocol. */
#include "truetime/chronyproto.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "truetime/base/buf.h"

enum {
    TYPE_REQUEST = 1,
    TYPE_REPLY = 2,
    REQUEST_HEAD_BYTES = 20,
    REPLY_HEAD_BYTES = 28,
    REPLY_COUNT = 2,
    REPLY_SOURCE = 3,
    REPLY_TRACKING = 5,
    STATUS_OK = 0,
    NO_HIGH_SEC = 0x7fffffff,
    FAMILY_INET6 = 2,
    MODE_REFCLOCK = 2
};

static const struct {
    unsigned command, reply, bytes;
} kinds[] = {
    {CHRONY_COUNT, REPLY_COUNT, 32}, {CHRONY_SOURCE, REPLY_SOURCE, 76}, {CHRONY_TRACKING, REPLY_TRACKING, 104}};

size_t chrony_request(uint8_t ret[CHRONY_PACKET_BYTES], unsigned command, uint32_t sequence, uint32_t index) {
    memset(ret, 0, CHRONY_PACKET_BYTES);
    ret[0] = CHRONY_VERSION;
    ret[1] = TYPE_REQUEST;
    set_u16be(ret + 4, (uint16_t)command);
    set_u32be(ret + 8, sequence);
    if (command == CHRONY_SOURCE)
        set_u32be(ret + REQUEST_HEAD_BYTES, index);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].command == command)
            return kinds[i].bytes;
    CHECKF(false, "command %u", command);
    return 0;
}

double chrony_float(uint32_t bits) {
    int exponent = (int)(bits >> 25), coefficient = (int)(bits & 0x1ffffff);
    if (exponent >= 64)
        exponent -= 128;
    if (coefficient >= 1 << 24)
        coefficient -= 1 << 25;
    return ldexp(coefficient, exponent - 25);
}

bool chrony_is_reply(const uint8_t *data, size_t bytes, uint32_t sequence) {
    return bytes >= REPLY_HEAD_BYTES && data[1] == TYPE_REPLY && get_u32be(data + 16) == sequence;
}

/* Everything before the body. */
static enum rc parse_head(const uint8_t *data, size_t bytes, uint32_t sequence, unsigned command, struct err *err) {
    const char *statuses[] = {"success", "failed", "not authorised", "invalid", "no such source"};
    size_t k = 0;
    while (k < ARRAY_LEN(kinds) && kinds[k].command != command)
        k++;
    CHECK(k < ARRAY_LEN(kinds));
    if (bytes < REPLY_HEAD_BYTES)
        return err_set(err, RC_PROTOCOL, "a reply of %zu bytes", bytes);
    if (data[0] != CHRONY_VERSION)
        return err_set(err, RC_PROTOCOL, "chronyd speaks version %u of its protocol, not %d", data[0], CHRONY_VERSION);
    if (data[1] != TYPE_REPLY || data[2] || data[3] || get_u16be(data + 4) != command)
        return err_set(err, RC_PROTOCOL, "not a reply to command %u", command);
    if (get_u32be(data + 16) != sequence)
        return err_set(err, RC_PROTOCOL, "a reply to another request");
    unsigned status = get_u16be(data + 8);
    if (status != STATUS_OK)
        return err_set(err, status == 2 ? RC_PERMISSION : RC_PROTOCOL, "chronyd answers status %u (%s)", status,
                       status < ARRAY_LEN(statuses) ? statuses[status] : "refused");
    if (get_u16be(data + 6) != kinds[k].reply)
        return err_set(err, RC_PROTOCOL, "reply %u to command %u", get_u16be(data + 6), command);
    if (bytes != kinds[k].bytes)
        return err_set(err, RC_PROTOCOL, "a reply of %zu bytes, not %u", bytes, kinds[k].bytes);
    return RC_OK;
}

enum rc chrony_parse_tracking(const uint8_t *data, size_t bytes, uint32_t sequence, struct chrony_tracking *ret,
                              struct err *err) {
    enum rc rc = parse_head(data, bytes, sequence, CHRONY_TRACKING, err);
    if (rc)
        return rc;
    struct chrony_tracking t = {
        .ref_id = get_u32be(data + 28),
        .stratum = get_u16be(data + 52),
        .leap = get_u16be(data + 54),
        .correction_s = chrony_float(get_u32be(data + 68)),
        .skew_ppm = chrony_float(get_u32be(data + 88)),
        .root_delay_s = chrony_float(get_u32be(data + 92)),
        .root_dispersion_s = chrony_float(get_u32be(data + 96)),
        .update_interval_s = chrony_float(get_u32be(data + 100)),
    };
    uint32_t high = get_u32be(data + 56), low = get_u32be(data + 60), ns = get_u32be(data + 64);
    uint64_t sec = (high == NO_HIGH_SEC ? 0 : (uint64_t)high << 32) | low;
    if (ns > 999999999 || sec > INT64_MAX / 1000000000 - 1)
        return err_set(err, RC_PROTOCOL, "the time of the last update is no time");
    t.ref_time_ns = (int64_t)sec * 1000000000 + ns;
    *ret = t;
    return RC_OK;
}

enum rc chrony_parse_count(const uint8_t *data, size_t bytes, uint32_t sequence, uint32_t *ret, struct err *err) {
    enum rc rc = parse_head(data, bytes, sequence, CHRONY_COUNT, err);
    if (!rc)
        *ret = get_u32be(data + 28);
    return rc;
}

enum rc chrony_parse_source(const uint8_t *data, size_t bytes, uint32_t sequence, struct chrony_source *ret,
                            struct err *err) {
    enum rc rc = parse_head(data, bytes, sequence, CHRONY_SOURCE, err);
    if (rc)
        return rc;
    memcpy(ret->address, data + 28, sizeof ret->address);
    ret->stratum = get_u16be(data + 50);
    ret->state = get_u16be(data + 52);
    ret->mode = get_u16be(data + 54);
    ret->reachability = get_u16be(data + 58);
    ret->since_sample_s = get_u32be(data + 60);
    ret->offset_s = chrony_float(get_u32be(data + 68));
    ret->error_s = chrony_float(get_u32be(data + 72));
    return RC_OK;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

const char *chrony_refid_format(uint32_t ref_id, char *to, size_t bytes) {
    char text[5] = {(char)(ref_id >> 24), (char)(ref_id >> 16), (char)(ref_id >> 8), (char)ref_id, '\0'};
    bool printable = text[0] != '\0';
    for (int i = 0; i < 4; i++)
        printable &= text[i] == '\0' ? i > 0 : text[i] > ' ' && text[i] < 127;
    if (printable && (strlen(text) == 4 || (ref_id << (8 * strlen(text))) == 0))
        snprintf(to, bytes, "%s", text);
    else
        snprintf(to, bytes, "%08X", ref_id);
    return to;
}

const char *chrony_source_name(const struct chrony_source *s, char *to, size_t bytes) {
    const uint8_t *a = s->address;
    if (s->mode == MODE_REFCLOCK)
        return chrony_refid_format(get_u32be(a), to, bytes);
    if (get_u16be(a + 16) == FAMILY_INET6) {
        size_t at = 0;
        for (int i = 0; i < 16 && at < bytes; i += 2)
            at += (size_t)snprintf(to + at, bytes - at, i ? ":%x" : "%x", get_u16be(a + i));
    } else {
        snprintf(to, bytes, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
    }
    return to;
}

const char *chrony_source_state_name(unsigned state) {
    static const char *const names[] = {"selected", "unreachable", "falseticker", "jittery", "combined", "selectable"};
    static_assert(ARRAY_LEN(names) == CHRONY_STATES, "a name each");
    return state < CHRONY_STATES ? names[state] : "?";
}
