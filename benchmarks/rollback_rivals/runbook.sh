#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
#
# The plan's Immediate Rollback, step by step as it is written, with each step seen to be done. What the steps need is in the environment.
set -eu

post() { curl -fsS --max-time 5 -o /dev/null -X POST -H "Authorization: Bearer $ADMIN_TOKEN" "$@"; }
killed() { curl -fsS --max-time 5 "$CANDIDATE/live/status" | grep -q '"kill_switch_active": *true'; }
stopped() { curl -fsS --max-time 5 "$CANDIDATE/engines/status" | grep -q '"running": *0'; }

# 1. Activate kill switch; read it back as often, and for as long, as the kill_switch module does.
post "$CANDIDATE/live/kill" -d '{"reason":"emergency rollback"}'
post "$CANDIDATE/engines/stop_all"
for _ in 1 2 3 4 5 6 7 8; do
    killed && stopped || { echo "the kill is not confirmed" >&2; exit 1; }
    sleep 0.02
done
echo "kill confirmed"

# 2. Route traffic back to blue.
cp "$STABLE_CADDYFILE" "$CADDYFILE"
caddy reload --config "$CADDYFILE" --adapter caddyfile --address "$CADDY_ADMIN" 2>/dev/null
echo "traffic routed"

# 3. Restart blue environment.
docker compose --project-name "$PROJECT" --project-directory "$RELEASE" --file "$RELEASE/compose.yml" --file "$RELEASE/$OVERRIDE" \
    --env-file "$ENV_FILE" up --detach --no-deps --pull never api panel 2>/dev/null

# 4. Verify health.
curl -fsS --max-time 5 -o /dev/null "$STABLE/health"
echo "healthy"
