"""Pictures of trials: one quiet style, drawn without a display, written as SVG and PNG that are the same bytes for the same data.

Imports numpy; matplotlib lazily with the Agg backend of its own figure objects (pyplot's global state is never touched).
Refuses axes without labels: every helper takes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

# Okabe & Ito's colours (2008), readable with the common kinds of colour blindness; yellow left out, it is too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#555555")
INK, FAINT = "#222222", "#BBBBBB"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "svg.hashsalt": "sovereign",
    "svg.fonttype": "path",
}


@contextmanager
def canvas(
    path: Path, width_in: float = 6.4, height_in: float = 4.0, *, columns: int = 1, rows: int = 1, **subplots: Any
) -> Iterator[tuple[Any, Any]]:
    """`with canvas(folder / "name") as (figure, axes)`: on leaving, name.svg and name.png are written and nothing stays in memory."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingExtra("lab", "Drawing figures") from exc
    with rc_context(STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(rows, columns, **subplots)
        figure.savefig(path.with_suffix(".svg"), dpi=72, metadata={"Date": None})  # dpi: only of raster images inside
        figure.savefig(path.with_suffix(".png"), metadata={"Software": None})


def heat_map(
    axes: Any,
    matrix: NDArray[Any],
    groups: Sequence[str],
    *,
    title: str,
    label: str,
    figure: Any,
    limits: tuple[float, float] | None = None,
    diverging: bool = False,
) -> None:
    """A square matrix sorted by group, with thin lines between groups and one label per group; the diagonal is left blank."""
    order = list(dict.fromkeys(groups))
    starts = [groups.index(g) for g in order] + [len(groups)]
    shown = matrix.astype(float).copy()
    np.fill_diagonal(shown, np.nan)
    low, high = limits or (float(np.nanmin(shown)), float(np.nanmax(shown)))
    if diverging:
        high = max(abs(low), abs(high))
        low = -high
    image = axes.imshow(shown, cmap="RdBu_r" if diverging else "viridis", vmin=low, vmax=high, interpolation="nearest", aspect="equal")
    for s in starts[1:-1]:
        axes.axhline(s - 0.5, color="white", linewidth=1.2)
        axes.axvline(s - 0.5, color="white", linewidth=1.2)
    centres = [(a + b - 1) / 2 for a, b in itertools.pairwise(starts)]
    axes.set_xticks(centres, order)
    axes.set_yticks(centres, order, rotation=90, va="center")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title)
    figure.colorbar(image, ax=axes, shrink=0.8, label=label)


class Curve(NamedTuple):
    """y over x with an optional 95 % band."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def curves(axes: Any, lines: Sequence[Curve], *, xlabel: str, ylabel: str, title: str, zero: bool = False) -> None:
    """Lines with bands; the legend is above the axes, so it never covers data."""
    for line, colour in zip(lines, _cycle(len(lines)), strict=True):
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(line.x, line.y, color=colour, marker="o", markersize=4, linewidth=1.6, label=line.name)
    if zero:
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, pad=22 if len(lines) > 1 else 6)
    if len(lines) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=min(4, len(lines)), borderaxespad=0.2, handlelength=1.4)


def scatter(axes: Any, points: NDArray[Any], groups: Sequence[str], *, xlabel: str, ylabel: str, title: str) -> None:
    """Points coloured by group and marked by shape as well; legend outside, to the right."""
    for group, colour, marker in zip(dict.fromkeys(groups), _cycle(len(set(groups))), "osD^vPX" * 9):
        mine = np.array([g == group for g in groups])
        axes.scatter(
            points[mine, 0], points[mine, 1], s=24, color=colour, marker=marker, alpha=0.8, linewidth=0.4, edgecolor="white", label=group
        )
    axes.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=0.6, zorder=0)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


class Bar(NamedTuple):
    """One row of an interval plot. `emphasis` draws it in the first colour, others in grey-blue."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    emphasis: bool = False


def intervals(axes: Any, rows: Sequence[Bar], *, xlabel: str, title: str, zero: bool = True, fmt: str = "{:.2f}") -> None:
    """Points with 95 % intervals, one row each, top to bottom; the number stands to the right of the axes, clear of the marks."""
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        colour = PALETTE[0] if row.emphasis else PALETTE[6]
        if row.interval is not None:
            axes.plot(row.interval, (place, place), color=colour, linewidth=2.2, solid_capstyle="round", alpha=0.7)
        axes.plot([row.value], [place], "o", color=colour, markersize=6)
        axes.annotate(
            fmt.format(row.value), (1.0, place), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            va="center", ha="left", fontsize=8, color=colour,
        )  # fmt: skip
        axes.axhline(place, color="#EEEEEE", linewidth=0.8, zorder=0)
    if zero:
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_yticks(places, [r.name for r in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel(xlabel)
    axes.set_title(title)


def _cycle(count: int) -> list[str]:
    return [PALETTE[i % len(PALETTE)] for i in range(count)]
