# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by tests/run and geo-sim/demo: makes sure that Debian packages are there.
#
#   unpack_packages           takes those of the group "unpacked" apart in build/unpacked; fails silently, for they are optional.
#   need_packages GROUP...    groups of tests/packages; installs what is missing, without starting any service.
#                             Not root and something missing: prints the apt-get line and returns 1.

packages_of() {
    local group
    for group in "$@"; do
        sed -n "s/^$group \([a-z0-9.+-]*\)\$/\1/p" "$root/tests/packages"
    done | sort -u
}

packages_missing() {
    local p
    for p in $(packages_of "$@"); do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || echo "$p"
    done
}

# Debian asks this file before a package's scripts start a service; 101 means no.
without_services() {
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1
    fi
    "$@"
    local status=$?
    [ -n "$made" ] && rm -f "$policy"
    return $status
}

need_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian: install the equivalents of these yourself: $(packages_of "$@" | tr '\n' ' ')" >&2
        return 0
    fi
    missing=$(packages_missing "$@" | tr '\n' ' ')
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "Packages are missing. As root:" >&2
        echo "    apt-get install -y --no-install-recommends $missing" >&2
        return 1
    fi
    echo "installing: $missing"
    export DEBIAN_FRONTEND=noninteractive
    local log
    log=$(mktemp)
    # shellcheck disable=SC2086
    if ! { apt-get update && without_services apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "apt-get failed; the lines above say why" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

unpack_packages() {
    local to="$root/build/unpacked" all mark p
    all=$(packages_of unpacked)
    mark="$to/packages"
    [ -f "$mark" ] && [ "$(cat "$mark")" = "$all" ] && return 0
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 0
    mkdir -p "$to/deb"
    for p in $all; do
        (cd "$to/deb" && apt-get download "$p") >/dev/null 2>&1 || { rm -rf "$to/deb"; return 0; }
    done
    for p in "$to"/deb/*.deb; do
        dpkg -x "$p" "$to" || return 0
    done
    rm -rf "$to/deb"
    echo "$all" >"$mark"
}
