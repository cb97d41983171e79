#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
#
# The whole plan on the sandbox: demo.sh [fault[@when]]. Exits with the plan's outcome.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
fault=${1:-}

candidate='errors|latency|crash|hang|alert|starved'
live='wrong_pnl|missing_fill|duplicate_fill|stuck_position|limit_breach|changed_limit|engine_crash|silent_engine|second_live|loss'
if [[ -n $fault && ! $fault =~ ^(($candidate)(@(10|50|100))?|($live)(@live[0-9]+)?)$ ]]; then
    echo "error: FAULT=$fault is no fault" >&2
    echo "  fix: one of ${candidate//|/, }, and the weight at which it begins: FAULT=errors@50" >&2
    echo "       or one of ${live//|/, }, and how many live engines run when it begins: FAULT=wrong_pnl@live3" >&2
    exit 2
fi

sandbox/bootstrap.sh sandbox
export PATH=$root/.venv/bin:$PATH:/usr/sbin:/sbin DOCKER_CONFIG=$root/.venv/docker ANSIBLE_CONFIG=$root/ansible.cfg
# Ansible leaves it to Python when a pipe gets its lines.
export PYTHONUNBUFFERED=1
# Nothing is left in the home folder, nor needed there.
export ANSIBLE_INVENTORY=$root/inventories/sandbox ANSIBLE_HOME=$root/build/ansible ANSIBLE_REMOTE_TEMP=$root/build/ansible/tmp
python sandbox/sandbox.py up

python sandbox/sandbox.py fault clear >build/logs/fault.log 2>&1 || true # what an earlier demonstration has left on

echo "==> Stable release"
if ! LEVIBOT_SANDBOX=$root ansible-playbook sandbox/stable.yml >build/logs/stable.log 2>&1; then
    tail -n 25 build/logs/stable.log >&2
    echo "error: there is no stable release to roll out from; see build/logs/stable.log" >&2
    exit 1
fi

play() { LEVIBOT_SANDBOX=$root ANSIBLE_LOG_PATH=$root/build/logs/ansible.log ansible-playbook "$@"; }

# A soak test, scans and approvals are people's work between the phases; here they are the sandbox's own, and say so.
python sandbox/sandbox.py release
python sandbox/sandbox.py evidence

injector=
stop_injector() { [[ -z $injector ]] || kill "$injector" 2>/dev/null || true; }
trap stop_injector EXIT
if [[ -n $fault ]]; then
    echo "==> Fault: $fault"
    python sandbox/sandbox.py fault "$fault" >build/logs/fault.log 2>&1 &
    injector=$!
fi

echo "==> Phases 1 to 4: playbooks/site.yml"
outcome=0
play playbooks/site.yml -e preflight_notify=true || outcome=$?

slot=blue
[[ $(cat build/sandbox/edge/lib/stable 2>/dev/null) != g* ]] || slot=green
split="all traffic on $slot"
[[ ! -f build/sandbox/edge/run/canary ]] || split="a canary is still there: $(cat build/sandbox/edge/run/canary)"
if ((outcome == 0)); then
    echo "Outcome: live and validated; $split"
else
    echo "Outcome: the plan has stopped (exit $outcome); $split"
fi
for record in build/ledger.jsonl build/report/*.html build/proposals/*/proposals.md build/logs/ansible.log; do
    [[ ! -f $record ]] || echo "  $record"
done
exit "$outcome"
