"""The five figures of the trade-off study.

Imports lab.figures and numpy. Refuses to draw what was not measured: a missing figure is not written, and its name not returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.lab.figures import FAINT, PALETTE, Bar, canvas, intervals

# One colour and marker per family, so that the same strategy looks the same in every figure.
LOOK: dict[str, tuple[str, str]] = {
    "dense": ("#222222", "s"),
    "topk": (PALETTE[0], "o"),
    "expert_choice": (PALETTE[4], "v"),
    "hash": (PALETTE[6], "X"),
    "hard": (PALETTE[1], "D"),
    "hybrid": (PALETTE[5], "d"),
    "kl": (PALETTE[3], "P"),
    "smoes": (PALETTE[2], "^"),
    "smoes_gaussian": ("#66C2A5", "<"),
    "smoes_gmm": ("#A6D854", ">"),
    "smoes_hard": ("#1B7837", "h"),
    "smoes_fixed": ("#8DA0CB", "p"),
    "anyexperts": ("#882255", "*"),
    "anyexperts_even": ("#CC6677", "8"),
    "topp": ("#44AA99", "H"),
}
OTHER = ("#888888", "o")


@dataclass(frozen=True)
class Point:
    """One arm: x with optional interval is not drawn; y with its 95 % interval."""

    strategy: str
    budget: float
    x: float
    y: float
    interval: tuple[float, float] | None


def pareto(path: Path, points: Sequence[Point], *, xlabel: str, ylabel: str, title: str, prior: float | None) -> str | None:
    """Arms of one strategy joined by a line in order of x; the dashed line is the question-text prior."""
    if not points:
        return None
    with canvas(path, 7.4, 4.4) as (_, axes):
        _arms(axes, points, prior)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.set_title(title)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return path.with_suffix(".png").name


def pareto_and_rows(
    path: Path, points: Sequence[Point], *, budget: float, core: Sequence[str], title: str, prior: float | None
) -> str | None:
    """Left: strategies measured at several budgets, accuracy over operations. Right: every strategy at the base budget, where operations are equal."""
    if not points:
        return None
    several = {p.strategy for p in points if p.budget != budget}
    rows = [Bar(p.strategy, p.y, p.interval, p.strategy in core) for p in sorted(points, key=lambda p: -p.y) if p.budget == budget]
    wide = bool(several)
    with canvas(path, 9.6 if wide else 5.4, max(3.6, 0.3 * len(rows) + 1.2), columns=2 if wide else 1, squeeze=False) as (figure, axes):
        if wide:
            left = axes[0, 0]
            _arms(left, [p for p in points if p.strategy in several], prior)
            left.set_xlabel("forward MFLOP per token, counted")
            left.set_ylabel("VQA accuracy, held-out scenes")
            left.set_title("Activation budget as a sweep")
            left.legend(loc="upper left", fontsize=7.5)
        right = axes[0, -1]
        intervals(right, rows, xlabel="VQA accuracy, held-out scenes", title=f"Equal budget ({budget:g}), all strategies", zero=False)
        if prior is not None:
            right.axvline(prior, color=FAINT, linestyle="--", linewidth=0.9)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return path.with_suffix(".png").name


def _arms(axes: Any, points: Sequence[Point], prior: float | None) -> None:
    for strategy in dict.fromkeys(p.strategy for p in points):
        mine = sorted((p for p in points if p.strategy == strategy), key=lambda p: p.x)
        colour, marker = LOOK.get(strategy, OTHER)
        joined = 1.3 if len(mine) > 1 else 0
        axes.plot(
            [p.x for p in mine], [p.y for p in mine], color=colour, marker=marker, markersize=6, linewidth=joined, label=strategy, zorder=3
        )
        for p in mine:
            if p.interval is not None:
                axes.plot((p.x, p.x), p.interval, color=colour, linewidth=1.2, alpha=0.45, zorder=2)
    if prior is not None:
        axes.axhline(prior, color=FAINT, linestyle="--", linewidth=0.9)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate("question text alone", (0.995, prior), xytext=(0, 3), ha="right", fontsize=7.5, color="#666666", **place)


@dataclass(frozen=True)
class Times:
    """Median and quartiles at one batch, ms."""

    batch: int
    ttft: float
    ttft_spread: tuple[float, float]
    tpot: float
    tpot_spread: tuple[float, float]


def latency(path: Path, rows: Mapping[str, Sequence[Times]]) -> str | None:
    """Two panels over batch, both axes logarithmic; bands are quartiles."""
    if not rows:
        return None
    with canvas(path, 8.4, 3.9, columns=2) as (figure, axes):
        for strategy, times in rows.items():
            batch = [t.batch for t in times]
            _band(axes[0], strategy, batch, [t.ttft for t in times], [t.ttft_spread for t in times])
            _band(axes[1], strategy, batch, [t.tpot for t in times], [t.tpot_spread for t in times])
        ticks = sorted({t.batch for times in rows.values() for t in times})
        for panel, title, ylabel in ((axes[0], "Time to first word", "TTFT, ms"), (axes[1], "Time per further word", "TPOT, ms")):
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xticks(ticks, [str(t) for t in ticks])
            _plain_y(panel)
            panel.set_xlabel("batch, images with one question")
            panel.set_ylabel(ylabel)
            panel.set_title(title)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center")
    return path.with_suffix(".png").name


def _band(panel: Any, strategy: str, x: Sequence[int], y: Sequence[float], spread: Sequence[tuple[float, float]]) -> None:
    colour, marker = LOOK.get(strategy, OTHER)
    panel.plot(x, y, color=colour, marker=marker, markersize=5, linewidth=1.3, label=strategy)
    panel.fill_between(x, [low for low, _ in spread], [high for _, high in spread], color=colour, alpha=0.12, linewidth=0)


def _plain_y(panel: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    panel.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    panel.yaxis.set_minor_formatter(FuncFormatter(lambda _v, _p: ""))


def modality_maps(path: Path, shares: Mapping[str, NDArray[np.float64]], seed: int) -> str | None:
    """Per strategy, layers x experts: share of text among the (normalised) visits of an expert, experts sorted inside each layer; grey: nobody goes."""
    if not shares:
        return None
    names = list(shares)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with canvas(path, 2.75 * columns + 0.9, 1.25 * rows + 0.7, columns=columns, rows=rows, squeeze=False) as (figure, axes):
        from matplotlib import colormaps

        colours = colormaps["RdBu_r"].with_extremes(bad="#DDDDDD")
        image = None
        for i, panel in enumerate(axes.flat):
            if i >= len(names):
                panel.set_visible(False)
                continue
            matrix = -np.sort(-shares[names[i]], axis=1)  # text-leaning first, nan last
            image = panel.imshow(matrix, cmap=colours, vmin=0, vmax=1, aspect="auto")
            panel.set_title(names[i])
            panel.set_yticks(range(matrix.shape[0]), [str(n + 1) for n in range(matrix.shape[0])])
            panel.set_xticks([])
            panel.tick_params(length=0)
            for spine in panel.spines.values():
                spine.set_visible(False)
            if i % columns == 0:
                panel.set_ylabel("layer")
            if i >= len(names) - columns:
                panel.set_xlabel("experts, text-leaning first")
        figure.colorbar(image, ax=axes, label="share of text\n(each modality normalised)", shrink=0.85, ticks=(0, 0.5, 1))
        figure.suptitle(f"Who visits an expert, per layer (seed {seed})", x=0.01, ha="left", fontsize=10, fontweight="bold")
    return path.with_suffix(".png").name


@dataclass(frozen=True)
class TrafficBar:
    """Means over seeds with 95 % intervals, two devices, homes by modality: any-remote (arbitrary and sorted placement) and assignments (sorted)."""

    strategy: str
    any_arbitrary: tuple[float, tuple[float, float] | None]
    any_sorted: tuple[float, tuple[float, float] | None]
    assignment_sorted: tuple[float, tuple[float, float] | None]


def traffic(path: Path, bars: Sequence[TrafficBar], uniform: float) -> str | None:
    if not bars:
        return None
    series = (
        ("tokens with any remote expert, arbitrary placement", PALETTE[6], [b.any_arbitrary for b in bars]),
        ("tokens with any remote expert, experts sorted by modality", PALETTE[0], [b.any_sorted for b in bars]),
        ("remote share of assignments, experts sorted", PALETTE[4], [b.assignment_sorted for b in bars]),
    )
    places = np.arange(len(bars))[::-1].astype(float)
    with canvas(path, 7.2, 0.42 * len(bars) + 1.5) as (_, axes):
        for offset, (label, colour, values) in zip((0.26, 0.0, -0.26), series, strict=True):
            axes.barh(places + offset, [v for v, _ in values], height=0.24, color=colour, label=label)
            for place, (_, interval) in zip(places + offset, values, strict=True):
                if interval is not None:
                    axes.plot(interval, (place, place), color="#222222", linewidth=1.0)
        axes.axvline(uniform, color="#222222", linestyle="--", linewidth=0.9)
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(f"uniform router {uniform:.2f}", (uniform, 1.0), xytext=(0, 3), ha="center", va="bottom", fontsize=7.5, **place)
        axes.set_yticks(places, [b.strategy for b in bars])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share crossing between two devices (text and vision tokens live on different devices)")
        axes.set_title("Expert-parallel traffic", pad=48)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=1, borderaxespad=0.2)
    return path.with_suffix(".png").name
