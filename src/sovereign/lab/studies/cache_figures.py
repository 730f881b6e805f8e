"""Figures of the study expert_cache. Imports numpy and lab.figures. Refuses a curve without its setting in the title or the axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sovereign.lab.caching import sweep
from sovereign.lab.figures import FAINT, INK, canvas
from sovereign.lab.studies import cache_grid, cache_pregate
from sovereign.lab.studies.cache_runtime import Runs

# one colour and dash per policy in every figure; oracles dashed grey or black, references dotted
LOOK: dict[str, tuple[str, str, str]] = {
    "all_resident": ("all resident", INK, ":"),
    "on_demand": ("on demand", FAINT, "-"),
    "static_frequency": ("static frequency", "#E69F00", "-"),
    "lru": ("LRU per layer (Cache-MoE)", "#0072B2", "-"),
    "lru_speculative": ("LRU + next gate", "#56B4E9", "-"),
    "lfu": ("LFU per layer", "#8C6D31", "-"),
    "lfru": ("LFRU per layer", "#A0522D", "-"),
    "s3_fifo": ("S3-FIFO per layer", "#B8A000", "-."),
    "arc": ("ARC per layer", "#5B3A8C", "-."),
    "se_moe_ring": ("SE-MoE ring", "#7F7F7F", "-."),
    "pregated_probe": ("Pregated (probe)", "#CC79A7", "-"),
    "expertflow_a": ("ExpertFlow A", "#D55E00", "-"),
    "expertflow_a_refined": ("ExpertFlow A + gates", "#7A1F00", "-"),
    "expertflow_b": ("ExpertFlow B", "#009E73", "-"),
    "belady": ("Belady (demand bound)", INK, "--"),
    "oracle_prefetch": ("oracle prefetch", "#777777", "--"),
}
CURVES = (
    "static_frequency",
    "lru",
    "s3_fifo",
    "arc",
    "lru_speculative",
    "pregated_probe",
    "expertflow_a",
    "expertflow_a_refined",
    "expertflow_b",
    "belady",
    "oracle_prefetch",
)
NOT_OVER_LINKS = ("static_frequency", "s3_fifo", "arc")  # replayed at the declared link only
Value = Callable[[sweep.Point], float | None]


def draw(points: Sequence[sweep.Point], gates: Sequence[cache_pregate.Sweep], runs: Runs, out: Path) -> tuple[str, ...]:
    """Writes all figures into `out` as SVG and PNG; returns the PNG names."""
    trained = [p for p in points if p.workload == "trained"]
    olmoe = [p for p in points if p.workload == "olmoe"]
    by_size(trained, out / "cache_size")
    by_size(olmoe, out / "cache_size_olmoe", "Synthetic OLMoE\n")
    by_link(trained, out / "link")
    gap(trained, out / "belady_gap")
    pareto(trained, out / "pareto")
    by_batch(trained, out / "batch")
    winners(points, out / "winners")
    cache_pregate.draw(gates, out / "pregate_errors")
    measured(runs, out / "runtime")
    stems = ("cache_size", "cache_size_olmoe", "link", "belady_gap", "pareto", "batch", "winners", "pregate_errors", "runtime")
    names = tuple(f"{stem}.png" for stem in stems)
    for name in names:
        shrink(out / name)
    return names


def shrink(path: Path) -> None:
    """The same picture with 255 colours, less than half of the bytes, for trials that are shipped with the package. At 64 a dozen curves and their
    edges no longer had colours of their own, and two policies looked alike."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(255, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def _curve(axes: Any, points: Sequence[sweep.Point], policy: str, x: Value, y: Value) -> None:
    pairs = sorted((a, b) for p in points if p.policy == policy and (a := x(p)) is not None and (b := y(p)) is not None)
    if not pairs:
        return
    name, colour, dash = LOOK[policy]
    width = 2.0 if policy.startswith("expertflow_a") else 1.3
    axes.plot(
        [a for a, _ in pairs], [b for _, b in pairs], color=colour, linestyle=dash, linewidth=width, marker="o", markersize=3, label=name
    )


def _at(points: Sequence[sweep.Point], batch: int, *, fraction: float | None = None, link: float | None = None) -> list[sweep.Point]:
    return [
        p for p in points if p.batch == batch and (fraction is None or p.fraction == fraction) and (link is None or p.bandwidth == link)
    ]


def _legend(figure: Any, axes: Any, columns: int = 4) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def _plain(*logarithmic: Any) -> None:
    """1, 2, 5, 10 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis in logarithmic:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axis.set_minor_locator(NullLocator())


def by_size(points: Sequence[sweep.Point], path: Path, whose: str = "") -> None:
    """Hits above, bytes below, over the share of experts resident; batch 1 and 8."""
    link = sweep.DECLARED.bandwidth
    with canvas(path, 8.0, 6.4, columns=2, rows=2, sharex=True) as (figure, axes):
        for column, batch in enumerate((1, 8)):
            here = _at(points, batch, link=link)
            for policy in CURVES:
                _curve(axes[0][column], here, policy, lambda p: 100 * p.fraction, lambda p: 100 * p.outcome.hit_ratio)
                _curve(axes[1][column], here, policy, lambda p: 100 * p.fraction, lambda p: (p.outcome.bytes_per_token or 0.0) / 1e9)
            axes[0][column].set_title(f"{whose}Batch {batch}, {link / 1e9:g} GB/s (modelled)")
            axes[1][column].set_xlabel("experts resident, % of all")
            axes[0][column].set_ylim(top=101)
        axes[0][0].set_ylabel("needed experts resident, %")
        axes[1][0].set_ylabel("copied per generated token, GB")
        _legend(figure, axes[0][0], 3)


def by_link(points: Sequence[sweep.Point], path: Path) -> None:
    """TPOT over bandwidth at a quarter of the experts."""
    with canvas(path, 8.0, 4.2, columns=2) as (figure, axes):
        for column, batch in enumerate((1, 8)):
            here = _at(points, batch, fraction=0.25)
            for policy in ("on_demand", *(c for c in CURVES if c not in NOT_OVER_LINKS)):
                _curve(axes[column], here, policy, lambda p: p.bandwidth / 1e9, lambda p: 1e3 * (p.outcome.tpot_s or 0.0))
            flat = [p for p in points if p.policy == "all_resident" and p.batch == batch]
            if flat:
                axes[column].axhline(1e3 * (flat[0].outcome.tpot_s or 0.0), color=INK, linestyle=":", linewidth=1, label="all resident")
            axes[column].set_xscale("log")
            axes[column].set_yscale("log")
            _plain(axes[column].xaxis, axes[column].yaxis)
            axes[column].set_title(f"Batch {batch}, 25 % resident (modelled)")
            axes[column].set_xlabel("link, GB/s")
        axes[0].set_ylabel("TPOT, ms")
        _legend(figure, axes[0])


def gap(points: Sequence[sweep.Point], path: Path) -> None:
    """Copies beyond what Belady needs, over cache size: what a better policy could still save."""
    link = sweep.DECLARED.bandwidth
    with canvas(path, 8.0, 4.0, columns=2, sharey=True) as (figure, axes):
        for column, batch in enumerate((1, 8)):
            here = _at(points, batch, link=link)
            bound = {p.fraction: p.outcome.bytes_moved for p in here if p.policy == "belady"}
            for policy in CURVES:
                if policy == "belady":
                    continue
                _curve(
                    axes[column],
                    here,
                    policy,
                    lambda p: 100 * p.fraction if p.fraction < 1 else None,
                    lambda p, bound=bound: p.outcome.bytes_moved / bound[p.fraction] if bound.get(p.fraction) else None,  # type: ignore[misc]
                )
            axes[column].axhline(1.0, color=INK, linestyle="--", linewidth=1)
            axes[column].set_yscale("log")
            _plain(axes[column].yaxis)
            axes[column].set_title(f"Batch {batch} (modelled)")
            axes[column].set_xlabel("experts resident, % of all")
        axes[0].set_ylabel("bytes copied / Belady's")
        _legend(figure, axes[0])


def pareto(points: Sequence[sweep.Point], path: Path) -> None:
    """Peak memory against TPOT, one curve per policy: fix one, compare the other."""
    link = sweep.DECLARED.bandwidth
    with canvas(path, 8.0, 4.4, columns=2) as (figure, axes):
        for column, batch in enumerate((1, 8)):
            here = _at(points, batch, link=link)
            for policy in CURVES:
                if policy != "oracle_prefetch":
                    _curve(axes[column], here, policy, lambda p: p.outcome.peak_bytes / 1e9, lambda p: 1e3 * (p.outcome.tpot_s or 0.0))
            for policy, mark in (("all_resident", "s"), ("on_demand", "v")):
                for p in here:
                    if p.policy == policy and p.fraction == 0.25:
                        name = LOOK[policy][0]
                        axes[column].plot(
                            p.outcome.peak_bytes / 1e9, 1e3 * (p.outcome.tpot_s or 0.0), mark, color=INK, markersize=6, label=name
                        )
            axes[column].set_yscale("log")
            _plain(axes[column].yaxis)
            axes[column].set_title(f"Batch {batch}, {link / 1e9:g} GB/s (modelled)")
            axes[column].set_xlabel("peak expert memory, GB")
        axes[0].set_ylabel("TPOT, ms")
        _legend(figure, axes[0])


def by_batch(points: Sequence[sweep.Point], path: Path) -> None:
    """Hits and speed over the batch size at a quarter of the experts: where every policy becomes the same."""
    link = sweep.DECLARED.bandwidth
    here = [p for p in points if p.fraction == 0.25 and p.bandwidth == link]
    with canvas(path, 8.0, 4.0, columns=2) as (figure, axes):
        for policy in CURVES:
            _curve(axes[0], here, policy, lambda p: float(p.batch), lambda p: 100 * p.outcome.hit_ratio)
            _curve(axes[1], here, policy, lambda p: float(p.batch), lambda p: p.outcome.tokens_per_s)
        for one in axes:
            one.set_xscale("log", base=2)
            one.set_xlabel("batch")
        sizes = sorted({p.batch for p in here})
        for one in axes:
            one.set_xticks(sizes, [str(s) for s in sizes])
        axes[1].set_yscale("log")
        _plain(axes[1].yaxis)
        axes[0].set_ylabel("needed experts resident, %")
        axes[1].set_ylabel("tokens per second (modelled)")
        axes[0].set_title("25 % of the experts resident")
        axes[1].set_title(f"{link / 1e9:g} GB/s")
        _legend(figure, axes[0])


SHORT = {
    "static_frequency": "static",
    "lru": "LRU",
    "lru_global": "LRU pool",
    "lru_speculative": "LRU+gate",
    "lfu": "LFU",
    "lfru": "LFRU",
    "s3_fifo": "S3-FIFO",
    "arc": "ARC",
    "least_stale": "L.-Stale",
    "se_moe_ring": "ring",
    "pregated_probe": "Pregated",
    "expertflow_a": "Flow A",
    "expertflow_a_refined": "A+gates",
    "expertflow_b": "Flow B",
    "on_demand": "on dem.",
}


def winners(points: Sequence[sweep.Point], path: Path) -> None:
    """The digest as three maps per workload, batches down and links across: the fastest policy at a quarter and at a half of the experts (and LRU's TPOT
    over its own), and the least share of the experts with a TPOT within 1.5 x all-resident. Coloured by policy; the sign ≈: another is within 2 %."""
    found = cache_grid.cells(points)
    works = list(dict.fromkeys(w for w, _, _ in found))
    with canvas(path, 8.0, 3.3 * len(works), columns=3, rows=len(works), squeeze=False) as (_, axes):
        for row, work in enumerate(works):
            batches = sorted({b for w, b, _ in found if w == work})
            links = sorted({x for w, _, x in found if w == work})
            whose = "Trained model" if work == "trained" else "Synthetic OLMoE"
            for column, fraction in enumerate((*cache_grid.FIXED_MEMORY, None)):
                here = axes[row][column]
                for y, batch in enumerate(batches):
                    for x, link in enumerate(links):
                        cell = found[work, batch, link]
                        best = cache_grid.smallest(cell) if fraction is None else cache_grid.fastest(cell, fraction)
                        _cell(here, x, y, best, cell, fraction)
                here.set_xlim(-0.5, len(links) - 0.5)
                here.set_ylim(len(batches) - 0.5, -0.5)
                here.set_xticks(range(len(links)), [f"{x / 1e9:g}" for x in links])
                here.set_yticks(range(len(batches)), [str(b) for b in batches])
                here.tick_params(length=0)
                for spine in here.spines.values():
                    spine.set_visible(False)
                said = "Least resident, in time" if fraction is None else f"Fastest at {100 * fraction:.0f} %, over LRU"
                here.set_title(f"{whose}\n{said}" if column == 0 else f"\n{said}")
                if row == len(works) - 1:
                    here.set_xlabel(
                        ("link, GB/s", "link, GB/s\n≈ another policy within 2 %", "link, GB/s\nin time: 1.5 x all-resident's TPOT")[column]
                    )
            axes[row][0].set_ylabel("batch")


def _cell(axes: Any, x: int, y: int, best: cache_grid.Winner | None, cell: Sequence[sweep.Point], fraction: float | None) -> None:
    from matplotlib.patches import Rectangle

    if best is None:
        axes.text(x, y, "none", ha="center", va="center", fontsize=7, color="#777777")
        return
    close = "≈" if best.close else ""
    name = close + SHORT.get(best.policy, best.policy)
    if fraction is None:
        words = f"{name}\n{cache_grid.held(best.policy, best.fraction):.3g} %"
    else:
        lru = next((p.outcome.tpot_s for p in cell if p.policy == "lru" and p.fraction == fraction), None)
        words = f"{name}\n{(lru or float('nan')) / (best.outcome.tpot_s or float('nan')):.2f}x"
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=LOOK.get(best.policy, ("", FAINT, ""))[1], alpha=0.28, linewidth=0))
    axes.text(x, y, words, ha="center", va="center", fontsize=7, color=INK, linespacing=1.15)


def measured(runs: Runs, path: Path) -> None:
    """Predicted against measured TPOT of every two-tier run, with the 15 % band."""
    marks = ("o", "s", "^", "D")
    with canvas(path, 5.6, 5.0) as (figure, axes):
        values: list[float] = []
        for index, tier in enumerate(sorted({key[0] for key in runs.measured})):
            shown = set()
            for key, found in runs.measured.items():
                tpots = sorted(r.tpot_s for r in found if r.tpot_s is not None)
                guesses = sorted(runs.predicted.get(key, []))
                if key[0] != tier or not tpots or not guesses:
                    continue
                predicted = guesses[len(guesses) // 2]
                middle, colour = 1e3 * tpots[len(tpots) // 2], LOOK.get(key[3], (key[3], "#8C6D31", "-"))[1]
                label = None if key[3] in shown or index else LOOK.get(key[3], (key[3],))[0]
                shown.add(key[3])
                axes.plot(middle, 1e3 * predicted, marks[index % 4], color=colour, markersize=5, alpha=0.85, label=label)
                values += [middle, 1e3 * predicted]
        low, high = 0.8 * min(values), 1.25 * max(values)
        axes.plot([low, high], [low, high], color=INK, linewidth=1)
        axes.fill_between([low, high], [0.85 * low, 0.85 * high], [1.15 * low, 1.15 * high], color=FAINT, alpha=0.3, linewidth=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        _plain(axes.xaxis, axes.yaxis)
        tiers = ", ".join(f"{m} {t}" for m, t in zip(("circle", "square", "triangle", "diamond"), sorted({k[0] for k in runs.measured})))
        axes.set_title(f"Two tiers: predicted and measured TPOT\n{tiers}; band: 15 %")
        axes.set_xlabel("measured TPOT, ms (this machine)")
        axes.set_ylabel("predicted TPOT, ms")
        _legend(figure, axes, 3)
