#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The sources are as .clang-format would write them.
echo 1..1
bad=$(git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror 2>&1 | grep -E 'error:' | head -n 20)
if [ -z "$bad" ]; then
    echo "ok 1 - clang-format"
else
    echo "$bad" | sed 's/^/# /' >&2
    echo "# mend with: git ls-files '*.c' '*.h' | xargs clang-format -i" >&2
    echo "not ok 1 - clang-format"
    exit 1
fi
