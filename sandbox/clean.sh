#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
#
# Stops and removes all that was started or made from this checkout, and nothing else. Needs none of it to be there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
setting() { sed -n "s/^ *$1: *\"\{0,1\}\([^\" #]*\).*/\1/p" inventories/sandbox/group_vars/all/sandbox.yml | head -n 1; }
project=$(setting sandbox_project)
images=127.0.0.1:$(setting registry)/levibot
engine=build/sandbox/run/engine
export PATH=$root/.venv/bin:$PATH:/usr/sbin:/sbin

# supervisord, its children, a rollout and a fault injector all carry the mark.
ours() { grep -lzxF "LEVIBOT_SANDBOX=$root" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }

wait_gone() {
    local tries=$1
    shift
    while ((tries--)) && "$@"; do sleep 0.1; done
}

stop_processes() {
    local sign
    for sign in TERM KILL; do
        # shellcheck disable=SC2046 # a list of numbers
        [[ -z $(ours) ]] || kill -"$sign" $(ours) 2>/dev/null || true
        wait_gone 150 eval '[[ -n $(ours) ]]'
    done
}

names_of() { docker image inspect --format '{{join .RepoTags "\n"}}{{"\n"}}{{join .RepoDigests "\n"}}' "$@" 2>/dev/null; }

remove_from_engine() {
    local slot found
    for slot in blue green; do
        local mine=(--filter "label=com.docker.compose.project=$project-$slot")
        found=$(docker ps -aq "${mine[@]}")
        # Compose's containers may be paused or hang: no grace.
        # shellcheck disable=SC2086 # ids
        [[ -z $found ]] || docker rm -f -v $found
        found=$(docker network ls -q "${mine[@]}")
        # shellcheck disable=SC2086
        [[ -z $found ]] || docker network rm $found
        found=$(docker volume ls -q "${mine[@]}")
        # shellcheck disable=SC2086
        [[ -z $found ]] || docker volume rm $found
    done
    remove_data
    # By name, so that an image to which somebody gave another name stays under that name.
    found=$(docker image ls -q --filter "reference=$images/*" --filter "reference=$project/base" | sort -u)
    if [[ -n $found ]]; then
        # With the last tag go the digests, which are then no longer found.
        # shellcheck disable=SC2046,SC2086
        docker rmi -f $(names_of $found | grep -E "^($images/|$project/base[:@])" | sort -u) 2>&1 | grep -v 'No such image' || true
    fi
    docker image prune -f --filter "label=io.levibot.sandbox=$project"
}

# What a container wrote as root, a user can only remove through a container.
remove_data() {
    local image
    image=$(docker image ls -q --filter "reference=$images/api" | head -n 1)
    [[ $EUID == 0 || -z $image || ! -d build/sandbox/levibot/slots ]] ||
        docker run --rm --network none -v "$root/build/sandbox/levibot:/gone" "$image" \
            python3 -c 'import shutil; shutil.rmtree("/gone/slots")'
}

# Only the engine that bootstrap.sh started: its pid and start time are in the file.
stop_engine() {
    local pid started
    [[ -f $engine ]] || return 0
    read -r pid started <"$engine"
    if [[ $pid == systemd ]]; then
        systemctl stop docker.socket docker
        return
    fi
    alive() { grep -qsE "^$pid \(dockerd\) [^ZX]( [^ ]+){18} $started " "/proc/$pid/stat"; }
    alive || return 0
    kill "$pid"
    wait_gone 200 alive
    ! alive || kill -KILL "$pid"
}

stop_processes
if command -v docker >/dev/null && docker version >/dev/null 2>&1; then
    remove_from_engine >/dev/null
elif [[ -d build/sandbox ]]; then
    echo "No Docker engine answers: containers and images of the sandbox, if there are any, stay in it." >&2
fi
stop_engine
rm -rf .venv build "${TMPDIR:-/tmp}/levibot-$(printf %s "$root" | sha256sum | cut -c1-12)"
