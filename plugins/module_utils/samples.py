# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source saw when a check asked it: the one vocabulary that sources write and gates read.

A sample is made by a source, judged by a gate, stored in the ledger and, with ``observe_from: target``, carried over the
wire. So it is a small frozen record with a plain-JSON form (:meth:`Sample.to_dict` and :func:`from_dict`), and NaN and
infinity, which JSON lacks, never appear in it: a source turns NaN into ``no_data`` and an infinity into ``infinite``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OK = "ok"
NO_DATA = "no_data"
ERROR = "error"

STATUSES = (OK, NO_DATA, ERROR)


@dataclass(frozen=True)
class Sample:
    """One check's measurement at one look.

    status: ``ok`` (there is something to judge), ``no_data`` (the source answered, but with nothing that counts: no
        series, NaN, stale) or ``error`` (the source could not be asked, or its answer could not be read).
    detail: for people; says what was missing or what went wrong, with secrets already redacted.
    value: the measured number in canonical units (ratio, seconds, USD, count); what a threshold or an api check judges,
        and what a proportion or a quantile reports.
    infinite: ``+`` or ``-`` where the value was an infinity (``value`` is None then).
    bad, total: events in the window so far (proportion: bad of total; quantile: slower than the limit of all).
    pairs: a baseline's counts in the window so far, the candidate's beside stable's: one ``{"at", "bad", "total", "base_bad",
        "base_total"}`` for each bound of a histogram (``at`` is its text, in seconds), or one with an empty ``at``.
    events: how many events stand behind ``value`` (an api check's ``events``: trades, say).
    coverage_ratio: share of the window so far for which the source holds data, 0 to 1.
    firing: alerts that fire or fired in the window, each ``{"name", "labels", "silenced"}``.
    problems: what speaks against a command or a proof of quiet, or does not agree in a reconciliation, in words; empty means clean.
    """

    status: str
    detail: str = ""
    value: float | None = None
    infinite: str = ""
    bad: float | None = None
    total: float | None = None
    pairs: tuple[dict[str, Any], ...] = field(default=())
    events: float | None = None
    coverage_ratio: float = 1.0
    firing: tuple[dict[str, Any], ...] = field(default=())
    problems: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the fields that hold nothing."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items() if value not in (None, "", ())}


def from_dict(data: dict[str, Any]) -> Sample:
    """The inverse of :meth:`Sample.to_dict`. Raises TypeError on an unknown key."""
    return Sample(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})


def error(detail: str) -> Sample:
    """The source could not be asked, or its answer could not be read."""
    return Sample(status=ERROR, detail=detail, coverage_ratio=0.0)


def no_data(detail: str, coverage_ratio: float = 0.0) -> Sample:
    """The source answered, but holds nothing that counts as evidence."""
    return Sample(status=NO_DATA, detail=detail, coverage_ratio=coverage_ratio)
