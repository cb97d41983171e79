# Copyright (c) 2026 levibot.transition contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the results: tables for the terminal and the documentation (Markdown), and plots (SVG)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decisions_model.candidates import CURVE
from benchmarks.decisions_model.rollouts import Result
from benchmarks.decisions_model.search import cost

INK, COLOURS = "#222222", ("#d1495b", "#3366a8", "#66a182", "#edae49", "#8d6a9f", "#767676")


def tables(level: Mapping[str, Any], ours: str) -> str:
    """All tables of one level of traffic."""
    windows = ", ".join(_span(window) for window in level["windows"])
    parts = [
        f"\n## {level['level'].name} (windows {windows})",
        _by_rule(level),
        _alone(level, ours),
        _curves(level),
        _settings(level),
    ]
    documented = [name for name in level["settings"] if name not in level["keeps"]]
    for told, names in (("best settings", list(level["keeps"])), ("documented settings", documented)):
        if names:
            parts.append(f"Bad requests served before the abort, median / 95th percentile (share missed), {told}:")
            parts.append(_by_fault(level, [ours, *names]))
    return "\n\n".join(part for part in parts if part)


def summary(levels: list[Mapping[str, Any]], ours: str) -> str:
    """All levels side by side: the engine, the rules at their best, and the rules as documented."""
    return "\n\n".join(
        [
            "\n## All levels",
            _engine(levels, ours),
            f"Best settings: times the bad requests that {ours} serves (failures missed)",
            _best(_compared(levels), ours),
            "Documented settings: false rollbacks at half of the limits / failures missed",
            _documented(levels, ours),
        ]
    )


def _engine(levels: list[Mapping[str, Any]], ours: str) -> str:
    rows = [("level", *(f"false rollbacks, {candidate}" for candidate in levels[0]["alone"]), "failures missed")]
    for level in levels:
        false = [results[ours].promoted for results in level["alone"].values()]
        told = [
            f"{share(1 - promoted.mean())} ({share(low)} to {share(high)})"
            for promoted in false
            for low, high in [interval(int((~promoted).sum()), len(promoted))]
        ]
        rows.append((level["level"].name, *told, _missed([results[ours] for results in level["broken"].values()])))
    return _markdown(rows)


def _best(levels: list[Mapping[str, Any]], ours: str) -> str:
    """By the measure that the settings were chosen by."""
    rows = [("level", *(levels[0]["keeps"] if levels else ()))]
    for level in levels:
        results = level["broken"].values()
        mine = cost(result[ours] for result in results)
        theirs = {name: [result[name] for result in results] for name in level["keeps"]}
        rows.append((level["level"].name, *(f"{math.exp(cost(found) - mine):.1f} ({_missed(found)})" for found in theirs.values())))
    return _markdown(rows)


def _documented(levels: list[Mapping[str, Any]], ours: str) -> str:
    rows = [("rule", *(level["level"].name for level in levels))]
    for name in [ours, *(name for name in levels[0]["settings"] if name not in levels[0]["keeps"])]:
        told = []
        for level in levels:
            false = 1 - level["healthy"]["half of the limits"][name].promoted.mean()
            told.append(f"{share(false)} / {_missed([results[name] for results in level['broken'].values()])}")
        rows.append((name, *told))
    return _markdown(rows)


def _missed(results: list[Result]) -> str:
    return share(np.mean([result.promoted.mean() for result in results]))


def _by_rule(level: Mapping[str, Any]) -> str:
    """False rollbacks by healthy candidate, and failures missed, over all broken candidates."""
    rows = [("rule", *(f"false rollbacks, {candidate}" for candidate in level["healthy"]), "failures missed")]
    for name in next(iter(level["healthy"].values())):
        false = [share(1 - results[name].promoted.mean()) for results in level["healthy"].values()]
        rows.append((name, *false, _missed([results[name] for results in level["broken"].values()])))
    return _markdown(rows)


def _alone(level: Mapping[str, Any], ours: str) -> str:
    lines = []
    for candidate, results in level["alone"].items():
        result = results[ours]
        runs, false = len(result.promoted), int((~result.promoted).sum())
        low, high = (share(bound) for bound in interval(false, runs))
        took = _span(np.median(result.seconds[result.promoted])) if result.promoted.any() else "-"
        lines.append(f"- {ours}, {candidate}: {share(false / runs)} false rollbacks of {runs:,} ({low} to {high}); promoted after {took}")
    return "\n".join(lines)


def _curves(level: Mapping[str, Any]) -> str:
    rows = [("promoted by", *(f"{part:g}" for part in CURVE))]
    for told, curve in (("errors", level["errors_curve"]), ("failed probes", level["probes_curve"])):
        rows += [
            (f"{name}, {told} / limit", *(share(results[name].promoted.mean()) for results in curve.values()))
            for name in next(iter(curve.values()), ())
        ]
    return _markdown(rows)


def _settings(level: Mapping[str, Any]) -> str:
    return "\n".join(
        f"- {name}: `{level['settings'][name]}`" + ("" if kept else " (no setting has as few false rollbacks; this has the fewest)")
        for name, kept in level["keeps"].items()
    )


def _by_fault(level: Mapping[str, Any], names: list[str]) -> str:
    rows = [("broken candidate", *names)]
    rows += [(candidate, *(_served(results[name]) for name in names)) for candidate, results in level["broken"].items()]
    return _markdown(rows)


def _served(result: Result) -> str:
    middle, most = np.percentile(result.served, [50, 95])
    missed = result.promoted.mean()
    return f"{middle:,.0f} / {most:,.0f}" + (f" ({share(missed)})" if missed else "")


def _markdown(rows: list[tuple[str, ...]]) -> str:
    head, *body = rows
    return "\n".join(["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)])


def share(value: float) -> str:
    """0.5 %, 12 %."""
    return f"{100 * value:.{1 if value < 0.1 else 0}f} %"  # noqa: PLR2004


def interval(count: int, runs: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927)."""
    z = 1.96
    middle = (count + z**2 / 2) / (runs + z**2)
    half = z / (runs + z**2) * math.sqrt(count * (runs - count) / runs + z**2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def _span(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m"


def plots(levels: list[Mapping[str, Any]], ours: str, directory: Path) -> None:
    """The promotion curves, and the bad requests served, as decisions-*.svg."""
    import matplotlib  # noqa: PLC0415 - a second to load, and only the plots need it

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "levibot", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    )
    directory.mkdir(parents=True, exist_ok=True)
    for name, draw in (("promotion", _draw_promotion), ("served", _draw_served)):
        draw(levels, ours).savefig(directory / f"decisions-{name}.svg", metadata={"Date": None, "Creator": None})


def _compared(levels: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [level for level in levels if level["keeps"]]


def _title(level: Mapping[str, Any]) -> str:
    return level["level"].name.replace(" requests a second", "/s")


def _draw_promotion(levels: list[Mapping[str, Any]], ours: str) -> Any:
    from matplotlib import pyplot  # noqa: PLC0415

    compared = _compared(levels)
    width = len(compared) + 1
    figure, panels = pyplot.subplots(1, width, figsize=(2.3 * width, 2.6), sharey=True, layout="constrained", squeeze=False)
    for panel, level in zip(panels[0], compared, strict=False):
        for name, colour in zip([ours, *level["keeps"]], COLOURS, strict=False):
            _curve(panel, level["errors_curve"], name, colour=colour, label=name)
        panel.set(title=_title(level), xlabel="true error rate / limit")
    with_probes = [level for level in levels if level["probes_curve"]]
    for level, style in zip(with_probes, ("-", "--", ":", "-."), strict=False):
        _curve(panels[0][-1], level["probes_curve"], ours, colour=COLOURS[0], label=_title(level), style=style)
    panels[0][-1].set(title="probes", xlabel="failed probes / limit")
    panels[0][-1].legend(frameon=False, fontsize=6)
    panels[0][0].set_ylabel("promoted")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def _curve(panel: Any, curve: Mapping[str, Mapping[str, Result]], name: str, *, colour: str, label: str, style: str = "-") -> None:
    promoted = [results[name].promoted.mean() for results in curve.values()]
    panel.plot(CURVE, promoted, style, color=colour, label=label, linewidth=1.8 if colour == COLOURS[0] else 1, marker=".", markersize=4)
    panel.axvline(1, color=INK, linewidth=0.5, linestyle=":")
    panel.set_xscale("log")
    panel.set_xticks([0.1, 0.5, 1, 2, 5], ["0.1", "0.5", "1", "2", "5"])
    panel.minorticks_off()


def _draw_served(levels: list[Mapping[str, Any]], ours: str) -> Any:
    from matplotlib import pyplot  # noqa: PLC0415

    levels = _compared(levels)
    names = list(levels[0]["broken"])
    figure, panels = pyplot.subplots(
        1, len(levels), figsize=(2.2 * len(levels) + 2.5, 0.24 * len(names) + 1.2), sharey=True, layout="constrained", squeeze=False
    )
    for panel, level in zip(panels[0], levels, strict=True):
        for name, colour in zip([ours, *level["keeps"]], COLOURS, strict=False):
            served = [max(1.0, float(np.median(level["broken"][fault][name].served))) for fault in names]
            panel.plot(
                served, range(len(names)), "D" if name == ours else "o", color=colour, label=name, markersize=5 if name == ours else 3.5
            )
        panel.set(xscale="log", title=_title(level), xlabel="bad requests served")
        panel.grid(axis="y", linewidth=0.3)
    panels[0][0].set_yticks(range(len(names)), names)
    panels[0][0].invert_yaxis()
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure
