#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over every source file, with the flags of the clang build.
echo 1..1
[ -f build/fuzz/compile_commands.json ] || { echo "ok 1 - clang-tidy # SKIP no clang build"; exit 0; }
bad=$(git ls-files '*.c' | xargs -P "${JOBS:-2}" -n 4 clang-tidy -p build/fuzz --quiet 2>/dev/null |
    grep -E '(warning|error):' | sort -u | head -n 40)
if [ -z "$bad" ]; then
    echo "ok 1 - clang-tidy"
else
    echo "$bad" | sed 's/^/# /' >&2
    echo "not ok 1 - clang-tidy"
    exit 1
fi
