/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a results file: read as JSON, made a page of. And as a scenario: what parses has its steps in order. */

#include "geo-sim/report/report.h"
#include "geo-sim/scenarios/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct buf page;
    struct err err = {0};
    const struct json *root;
    struct script s;
    arena_init(&a, 64 << 20);
    buf_init(&page, 16 << 20);
    if (json_parse((const char *)data, size, &a, &root, &err) == RC_OK)
        IGNORE(report_html(root, &page, &err)); /* it may be no results file */
    buf_done(&page);
    arena_done(&a);
    if (script_parse("fuzz", (const char *)data, size, &s, &err) == RC_OK)
        for (unsigned i = 0; i < s.steps; i++)
            CHECK(s.step[i].at_ns < s.duration_ns && (i == 0 || s.step[i].at_ns >= s.step[i - 1].at_ns));
    return 0;
}
