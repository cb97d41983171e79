# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 levibot.transition contributors
"""The environment of one instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FORMS = ("plan", "field", "both")
ROWS = ("full", "field")


@dataclass(frozen=True)
class Settings:
    admin_token: str
    data: Path
    version: str
    models: str
    port: int
    form: str  # which spellings of the API are offered
    rows: str  # whether an engine's state tells mode and capital, or not, as in the field
    workers: int  # each with a kill switch of its own: more than one is the field's trap

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        token = env.get("ADMIN_TOKEN", "")
        form = env.get("LEVIBOT_API_FORM") or "both"
        rows = env.get("LEVIBOT_ENGINE_ROWS") or ("field" if form == "field" else "full")
        workers = env.get("LEVIBOT_WORKERS") or "1"
        if not token:
            raise SystemExit("ADMIN_TOKEN: not set; every POST is authenticated with it")
        if form not in FORMS:
            raise SystemExit(f"LEVIBOT_API_FORM: one of {', '.join(FORMS)}, not {form!r}")
        if rows not in ROWS:
            raise SystemExit(f"LEVIBOT_ENGINE_ROWS: one of {', '.join(ROWS)}, not {rows!r}")
        if not workers.isdecimal() or not 1 <= int(workers) <= 8:
            raise SystemExit(f"LEVIBOT_WORKERS: a number from 1 to 8, not {workers!r}")
        return cls(
            admin_token=token,
            data=Path(env.get("LEVIBOT_DATA") or "data"),
            version=env.get("LEVIBOT_VERSION") or "dev",
            models=env.get("LEVIBOT_MODELS") or "2025-10-14",
            port=int(env.get("LEVIBOT_PORT") or 8000),
            form=form,
            rows=rows,
            workers=int(workers),
        )
