#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cppcheck's errors, warnings and portability notes. Two checks are off because our idioms defeat them: container_of looks
# like pointer arithmetic out of bounds, and CHECK does not return.
echo 1..1
bad=$(cppcheck -j "${JOBS:-2}" --quiet --enable=warning,portability --inline-suppr --std=c11 --language=c \
    --library=posix --library=gnu --suppress=unknownMacro --suppress=nullPointerRedundantCheck \
    --suppress=arithOperationsOnVoidPointer --suppress=uninitStructMember --suppress=ctunullpointer --suppress=invalidFunctionArg \
    -D__GNUC__=12 -D__x86_64__ -D__STDC_VERSION__=201112L -D_GNU_SOURCE -DMERIDIAN_VERSION='"0"' -I. -Ibuild/fuzz/gen \
    --template='{file}:{line}: {id}: {message}' $(git ls-files '*.c' | grep -v '^tests/fuzz/') 2>&1 |
    grep -E '^(truetime|paxos|shard|txn|sql|geo-sim|tests)/' | sort -u | head -n 40)
if [ -z "$bad" ]; then
    echo "ok 1 - cppcheck"
else
    echo "$bad" | sed 's/^/# /' >&2
    echo "not ok 1 - cppcheck"
    exit 1
fi
