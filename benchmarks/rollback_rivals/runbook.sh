#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
#
# The plan's Immediate Rollback, step by step as it is written, with each step seen to be done, and a candidate that answers badly asked
# again. What the steps need is in the environment.
set -u
failed=0

# Up to 50 times, over some 5 seconds.
insist() {
    tries=0
    while [ $((tries += 1)) -le 50 ]; do
        "$@" 2>/dev/null && return 0
        sleep 0.1
    done
    echo "failed: $*" >&2
    failed=1
}
post() { curl -fsS --max-time 5 -o /dev/null -X POST -H "Authorization: Bearer $ADMIN_TOKEN" "$@"; }
killed() { curl -fsS --max-time 5 "$CANDIDATE/live/status" | grep -q '"kill_switch_active": *true'; }
stopped() { curl -fsS --max-time 5 "$CANDIDATE/engines/status" | grep -q '"running": *0'; }

# 1. Activate kill switch; read it back as often, and for as long, as the kill_switch module does.
insist post "$CANDIDATE/live/kill" -d '{"reason":"emergency rollback"}'
insist post "$CANDIDATE/engines/stop_all"
for _ in 1 2 3 4 5 6 7 8; do
    insist killed
    insist stopped
    sleep 0.02
done
[ "$failed" = 1 ] || echo "kill confirmed"

# 2. Route traffic back to blue.
cp "$STABLE_CADDYFILE" "$CADDYFILE"
caddy reload --config "$CADDYFILE" --adapter caddyfile --address "$CADDY_ADMIN" 2>/dev/null || failed=1
echo "traffic routed"

# 3. Restart blue environment.
docker compose --project-name "$PROJECT" --project-directory "$RELEASE" --file "$RELEASE/compose.yml" --file "$RELEASE/$OVERRIDE" \
    --env-file "$ENV_FILE" up --detach --no-deps --pull never api panel 2>/dev/null || failed=1

# 4. Verify health.
curl -fsS --max-time 5 -o /dev/null "$STABLE/health" && echo "healthy" || failed=1
exit "$failed"
