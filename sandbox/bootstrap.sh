#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
#
# Sets up what is missing, and nothing twice: bootstrap.sh [sandbox|test|lint|bench ...] (default: sandbox).
# Needs Debian 12 or 13 with python3 >= 3.11. All goes into .venv; only a Docker engine is ever installed system-wide,
# and only by root on a machine where none answers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
venv=$root/.venv
logs=$root/build/logs
log=$logs/bootstrap.log
run=$root/build/sandbox/run

# Unpacked into .venv/debian, so that no service starts by itself and root is not needed.
tools=(prometheus prometheus-alertmanager prometheus-blackbox-exporter docker-registry
    busybox-static libfaketime) # the last two for tests: tiny images, and a clock that is set
# What the sandbox's base image is made of, with all that these depend on.
base=(base-files base-passwd coreutils dash python3)
bench_tools=(haproxy wrk)
# Galaxy's collections, from the wheel that carries them all; requirements.yml is for those who reach Galaxy.
bundle=ansible==12.3.0
collections=(community/docker community/general community/library_inventory_filtering_v1 ansible/posix)

say() { printf '%s\n' "$*" | tee -a "$log"; }

die() {
    printf 'error: %s\n' "$1" | tee -a "$log" >&2
    [[ -z ${2:-} ]] || printf '  fix: %s\n' "$2" | tee -a "$log" >&2
    exit 1
}

# A line for what is done; all its output in the log, of which the end is shown if it fails.
step() {
    local what=$1 began=$SECONDS status
    shift
    say "==> $what"
    # Not `if ! ...`: inside a condition bash would go on after an error within the step.
    set +e
    (set -e && "$@") >>"$log" 2>&1
    status=$?
    set -e
    if ((status)); then
        { echo "failed after $((SECONDS - began)) s. The last lines of ${log#"$root"/}:" && tail -n 15 "$log" | sed 's/^/    /'; } >&2
        die "$what failed" "see ${log#"$root"/}; once the cause is gone, the same command goes on from here"
    fi
}

# Mirrors and indexes have bad moments.
retry() {
    local try
    for try in 1 2 3; do
        "$@" && return
        echo "try $try of 3 failed: $*"
        sleep $((try * 3))
    done
    return 1
}

fingerprint() { { printf '%s\n' "$@"; cat pyproject.toml constraints.txt sandbox/bootstrap.sh; } | sha256sum | cut -d' ' -f1; }
is_done() { [[ -f $venv/.done/$1 && $(<"$venv/.done/$1") == "$2" ]]; }
set_done() { mkdir -p "$venv/.done" && printf '%s' "$2" >"$venv/.done/$1"; }

# --- Python ---

find_python() {
    local candidate
    # Debian's own first: built with profile-guided optimisation, it runs Ansible's modules in two thirds of the time of most others.
    for candidate in ${PYTHON:-/usr/bin/python3 python3.13 python3.12 python3.11 python3}; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    die "no Python >= 3.11 found${PYTHON:+ (PYTHON=$PYTHON)}" "apt-get install python3, or set PYTHON to one"
}

# Debian keeps pip out of its python3; where python3-venv is not installed, pip comes from the wheel that Debian would have used.
make_venv() {
    rm -rf "$venv"
    if "$1" -c 'import ensurepip' 2>/dev/null; then
        "$1" -m venv "$venv"
    else
        "$1" -m venv --without-pip "$venv"
        debs "$venv/debian" python3-pip-whl
        PYTHONPATH=$(echo "$venv"/debian/usr/share/python-wheels/pip-*.whl) retry "$venv/bin/python" -m pip install pip
    fi
}

pip_group() {
    "$venv/bin/python" sandbox/lock.py requirements "$1" >"$venv/$1.txt"
    retry "$venv/bin/python" -m pip install --disable-pip-version-check --no-input -c constraints.txt -r "$venv/$1.txt"
}

link_compose() {
    mkdir -p "$venv/docker/cli-plugins"
    ln -sfn "$venv/bin/docker-compose" "$venv/docker/cli-plugins/docker-compose"
}

unpack_collections() {
    local target
    target=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections
    retry "$venv/bin/python" -m pip download --disable-pip-version-check --no-input --no-deps -d "$venv/download" "$bundle"
    mkdir -p "$target"
    "$venv/bin/python" - "$venv"/download/ansible-*.whl "${target%/*}" "${collections[@]}" <<'PYTHON'
import sys, zipfile
wheel, target, *names = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    wanted = tuple(f"ansible_collections/{name}/" for name in names)
    archive.extractall(target, [entry for entry in archive.namelist() if entry.startswith(wanted)])
PYTHON
    rm -r "$venv/download"
}

# --- Debian ---

# apt with lists and caches of our own: neither root nor the system's lists are needed, and its state stays as it is.
apt=$venv/apt
apt_get() {
    apt-get -q -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" -o Debug::NoLocking=1 \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 "$@"
}

apt_lists() {
    command -v apt-get >/dev/null || die "apt-get not found: the sandbox takes its daemons from Debian 12 or 13"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"
    : >"$apt/none"
    # A source of somebody else's that cannot be reached is no reason to stop: what counts is that the packages are found.
    apt_get update || true
    apt_get --print-uris download "${tools[@]}" python3-pip-whl >/dev/null
}

offered() { apt_get --print-uris download "$1" >/dev/null; }

debs() {
    local target=$1
    shift
    [[ -d $apt/lists ]] || retry apt_lists
    mkdir -p "$target" "$apt/archives"
    (cd "$apt/archives" && rm -f ./*.deb && retry apt_get download "$@")
    local deb
    for deb in "$apt"/archives/*.deb; do dpkg-deb -x "$deb" "$target"; done
    rm -f "$apt"/archives/*.deb
}

# With nothing counted as installed, apt downloads all that a root file system of these packages needs.
base_debs() {
    mkdir -p "$venv/base"
    rm -f "$venv"/base/*.deb
    retry apt_get -o Dir::State::status="$apt/none" -o Dir::Cache::archives="$venv/base" -y --no-install-recommends --download-only \
        install "${base[@]}"
    rm -rf "$venv/base/partial" "$venv/base/lock"
}

debian() {
    retry apt_lists
    local split=()
    ! offered promtool || split=(promtool) # part of prometheus until Debian 12
    debs "$venv/debian" "${tools[@]}" "${split[@]}"
    # Debian's Alertmanager has the place of its templates compiled in. The same path, as long, but relative: it is run from here.
    LC_ALL=C sed -i 's|/usr/share/prometheus/alertmanager|usr/share/prometheus//alertmanager|g' "$venv/debian/usr/bin/prometheus-alertmanager"
    base_debs
    rm -rf "$apt"
}

# What benchmarks compare with, run from where it is unpacked, with those of its libraries that the machine lacks.
bench() {
    retry apt_lists
    rm -rf "$venv/bench"
    mkdir -p "$venv/bench"
    retry apt_get -o Dir::Cache::archives="$apt/archives" -y --no-install-recommends --reinstall --download-only install "${bench_tools[@]}"
    local deb tool
    for deb in "$apt"/archives/*.deb; do dpkg-deb -x "$deb" "$venv/bench"; done
    for tool in "${bench_tools[@]}"; do
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$venv/bench/usr/lib/$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("MULTIARCH"))')" \
            "$(echo "$venv"/bench/usr/*bin/"$tool")" >"$venv/bin/$tool"
        chmod +x "$venv/bin/$tool"
    done
    rm -rf "$apt"
}

# --- Docker ---

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

unpack_cli() {
    retry apt_lists
    local package=docker-cli
    offered docker-cli || package=docker.io # of which the CLI is a part until Debian 12
    debs "$venv/docker-cli" "$package"
    ln -sfn "$venv/docker-cli/usr/bin/docker" "$venv/bin/docker"
    rm -rf "$apt"
}

install_engine() {
    local packages=(docker.io iptables ca-certificates)
    retry apt-get -q -o Acquire::Retries=3 update || true
    [[ -z $(apt-cache --quiet=0 search --names-only '^docker-cli$') ]] || packages+=(docker-cli)
    [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) != Y ]] || packages+=(apparmor)
    DEBIAN_FRONTEND=noninteractive retry apt-get -q -y --no-install-recommends install "${packages[@]}"
}

# A killed engine leaves pid files; their numbers may be somebody else's by now, or a zombie's.
drop_stale() {
    local file=$1 name=$2 pid
    [[ -f $file ]] || return 0
    pid=$(tr -dc 0-9 <"$file")
    grep -qs "^$pid ($name) [^ZX]" "/proc/$pid/stat" || rm -f "$file"
}

start_engine() {
    local begun=
    mkdir -p "$run"
    if [[ -d /run/systemd/system ]]; then
        systemctl start docker
        echo systemd >"$run/engine"
    else
        drop_stale /var/run/docker.pid dockerd
        drop_stale /var/run/docker-ssd.pid dockerd
        drop_stale /var/run/docker/containerd/containerd.pid containerd
        if [[ ! -f /var/run/docker.pid ]]; then
            setsid dockerd </dev/null >>"$logs/dockerd.log" 2>&1 9>&- &
            begun=$!
        fi
    fi
    local _
    for _ in {1..120}; do
        if engine_answers; then
            # The pid with its start time is this process and no later one of the same number.
            [[ -d /run/systemd/system ]] || echo "$(</var/run/docker.pid) $(cut -d' ' -f22 "/proc/$(</var/run/docker.pid)/stat")" >"$run/engine"
            return
        fi
        [[ -z $begun ]] || kill -0 "$begun" 2>/dev/null || break
        sleep 0.25
    done
    tail -n 15 "$logs/dockerd.log" || true
    return 1
}

engine() {
    export DOCKER_CONFIG=$venv/docker PATH=$venv/bin:$PATH:/usr/sbin:/sbin
    if ! command -v docker >/dev/null && [[ -n ${DOCKER_HOST:-} || -S /var/run/docker.sock ]]; then
        step "Docker's command line" unpack_cli
    fi
    ! engine_answers || return 0
    [[ -z ${DOCKER_HOST:-} ]] || die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST" "start it, or unset DOCKER_HOST"
    if ((EUID)); then
        die "no Docker engine answers at /var/run/docker.sock for $(id -un)" \
            "start Docker and join its group, or set DOCKER_HOST to an engine of yours, or run this as root"
    fi
    command -v dockerd >/dev/null || step "Docker engine from Debian (docker.io)" install_engine
    engine_answers || step "Docker engine, started" start_engine
}

main() {
    local groups=("${@:-sandbox}") python
    mkdir -p "$logs" "$run"
    # One set-up at a time. Daemons must not inherit the lock.
    exec 9>"$root/build/bootstrap.lock"
    flock 9

    python=$([[ -f $venv/.done/venv ]] && cat "$venv/.done/python" 2>/dev/null || find_python)
    if ! is_done venv "$root" || ! "$venv/bin/python" -c '' 2>/dev/null; then
        : >"$log"
        python=$(find_python)
        step "Python environment (.venv, $("$python" -V))" make_venv "$python"
        set_done python "$python"
        set_done venv "$root"
    fi
    if [[ ! " ${groups[*]} " =~ \ (sandbox|test)\  ]]; then
        python_packages "${groups[@]}"
        return
    fi
    # Side by side, since one waits for a processor and the other for the network. Where one fails, the other is waited for, not left behind.
    daemons "${groups[@]}" &
    local beside=$!
    trap 'wait' EXIT
    python_packages "${groups[@]}"
    wait "$beside" || exit 1
}

python_packages() {
    local group
    for group in "$@"; do
        is_done "pip-$group" "$(fingerprint "$group")" && continue
        step "Python packages: $group" pip_group "$group"
        set_done "pip-$group" "$(fingerprint "$group")"
    done
    if ! is_done collections "$(fingerprint "$bundle" "${collections[@]}")"; then
        step "Ansible collections: ${collections[*]}" unpack_collections
        set_done collections "$(fingerprint "$bundle" "${collections[@]}")"
    fi
}

daemons() {
    log=$logs/bootstrap-daemons.log
    link_compose
    if ! is_done debian "$(fingerprint "${tools[@]}" "${base[@]}")"; then
        : >"$log"
        step "Debian packages, unpacked: ${tools[*]}" debian
        set_done debian "$(fingerprint "${tools[@]}" "${base[@]}")"
    fi
    if [[ " $* " == *" bench "* ]] && ! is_done bench "${bench_tools[*]}"; then
        step "Debian packages for benchmarks, unpacked: ${bench_tools[*]}" bench
        set_done bench "${bench_tools[*]}"
    fi
    engine
}

main "$@"
