# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The models' files, looked for once when the process starts. Nothing is computed with them, and `stand_in` says so.

`models/current` in the data directory is a link to a dated directory with a file for each model, such as `lgbm.json`. As in the field, a
model whose file is not there is still listed. Without a `models` directory the models are part of the release, and always found.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

NAMES = ("lgbm", "tft", "ensemble")


def load(data: Path, version: str, lost: bool) -> dict[str, Any]:
    """The answer of /ai/models. `version` is that of models that are part of the release; `lost` is the fault."""
    link = data / "models/current"
    outside = link.parent.is_dir()
    if outside:
        version = link.readlink().name if link.is_symlink() else ""
    meta = {
        name: {
            "version": version,
            "last_trained": version,
            "found": not lost and (not outside or (link / f"{name}.json").is_file()),
            "stand_in": True,
        }
        for name in NAMES
    }
    return {"ok": True, "models": list(NAMES), "current": "ensemble", "meta": meta}
