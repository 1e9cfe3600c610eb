#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rules whose breach is noticed fast: each is broken, each must be noticed. `tests/run mutants` breaks all of them.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
if [ ! -x build/release/tests/model/px_model_test ] && [ ! -x build/dev/tests/model/px_model_test ]; then
    echo "1..0 # SKIP nothing is built"
    exit 0
fi
preset=dev
[ -x build/release/tests/model/px_model_test ] && preset=release
FAST=1 SIM_SEEDS=100 SECONDS_EACH=60 PRESET=$preset exec tests/mutants
