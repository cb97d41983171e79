#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
#
# The operator's own monitor, as met in the field: it says what it sees and exits 0 whatever that is. The gate reads its output.
exec python3 - "${SLOT_URL:?the address of the slot to look at}" <<'PYTHON'
import json
import sys
import urllib.request

url = sys.argv[1]
try:
    with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
        print(f"API: UP ({answer.status})")
    with urllib.request.urlopen(f"{url}/engines/status", timeout=2) as answer:
        engines = json.load(answer)
    print(f"Engines: {engines['running']} running, {engines['crashed']} crashed")
    print("Engines: CRASHED" if engines["crashed"] else "Engines: UP")
except OSError as problem:
    print(f"API: DOWN ({problem})")
PYTHON
