"""How wrong may a pre-gate be? Pregated MoE with an oracle of a given error rate, beside the learned probe and LRU: sweep, break-even and figure.

Imports numpy and the lab. Refuses a break-even that no repeat crossed: it is then not measured. Every time here is modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sovereign.lab.caching import forecast as fc
from sovereign.lab.caching import sweep
from sovereign.lab.figures import INK, canvas
from sovereign.lab.statistics import mean_t_interval
from sovereign.lab.studies.cache_settings import folds
from sovereign.lab.studies.cache_setup import Plan, Progress, Trained
from sovereign.records import Measurement

RATES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # share of the gate's names replaced by a random other expert
FRACTIONS = (0.25, 0.5)
PREGATED, PROBE, LRU = "pregated_oracle", "pregated_probe", "lru"


@dataclass(frozen=True)
class Sweep:
    """One setting, one value per repeat R (a fold of held-out requests with its own draw of errors).

    speed (R, rates): tokens/s over LRU's on the same requests; hits (R, rates) in %; probe, lru: the same of the learned probe (R, 2) and LRU's hits (R,);
    probe_error (R,): share of a token's experts that the probe does not name.
    """

    fraction: float
    batch: int
    speed: NDArray[np.float64]
    hits: NDArray[np.float64]
    probe: NDArray[np.float64]
    lru_hits: NDArray[np.float64]
    probe_error: NDArray[np.float64]

    @property
    def at(self) -> str:
        return f"f{int(100 * self.fraction)}.b{self.batch}"


def crossing(rates: Sequence[float], values: NDArray[np.float64], level: float) -> float | None:
    """The first rate at which falling `values` (rates,) reach `level`, by straight lines between rates; None where they stay above or start below."""
    if values[0] < level:
        return None
    for i in range(1, len(rates)):
        if values[i] <= level:
            share = (values[i - 1] - level) / (values[i - 1] - values[i]) if values[i - 1] > values[i] else 0.0
            return float(rates[i - 1] + share * (rates[i] - rates[i - 1]))
    return None


def errors(plan: Plan, trained: Trained, seed: int, progress: Progress) -> list[Sweep]:
    """The sweep at batch 1 and 8 (or as many requests as a fold holds), a quarter and a half of the experts, over the declared link."""
    work = trained.work
    requests = np.unique(work.routes.request)
    parts = [work.part(requests[members].tolist()) for members in folds(len(requests), plan.repeats)]
    wide = min(8, *(len(np.unique(p.routes.request)) for p in parts))
    found = []
    for batch in dict.fromkeys((1, wide)):
        for fraction in FRACTIONS:
            progress(f"error rates of a pre-gate, batch {batch}", 0.8)
            found.append(_sweep(parts, fraction, batch, seed))
    return found


def _sweep(parts: Sequence[sweep.Workload], fraction: float, batch: int, seed: int) -> Sweep:
    speed, hits, probe, lru_hits, wrong = [], [], [], [], []
    for index, part in enumerate(parts):
        o = {p.policy: p.outcome for p in sweep.evaluate(part, (LRU, PROBE), fractions=[fraction], batches=[batch])}
        base = o[LRU].tokens_per_s or float("nan")
        row = []
        for rate in RATES:
            gate = fc.flawed(part.routes.experts, part.routes.n_experts, rate, seed=1000 * seed + index, distance=1)
            flawed = replace(part, forecasts={**part.forecasts, "pregate_oracle": gate})
            (point,) = sweep.evaluate(flawed, (PREGATED,), fractions=[fraction], batches=[batch])
            row.append(((point.outcome.tokens_per_s or float("nan")) / base, 100 * point.outcome.hit_ratio))
        speed.append([s for s, _ in row])
        hits.append([h for _, h in row])
        probe.append([(o[PROBE].tokens_per_s or float("nan")) / base, 100 * o[PROBE].hit_ratio])
        lru_hits.append(100 * o[LRU].hit_ratio)
        said = part.forecasts["pregate"]
        wrong.append(1.0 - fc.recall(replace(said, ids=said.ids[:, said.distance :]), part.routes.experts[:, said.distance :]))
    return Sweep(fraction, batch, *(np.array(x) for x in (speed, hits, probe, lru_hits, wrong)))


def measurements(sweeps: Sequence[Sweep]) -> list[Measurement]:
    """Means with Student's t intervals over the repeats: speed over LRU and hits per error rate, the probe beside them, break-even with LRU, and the
    error rate of an oracle that is as fast as the probe."""
    rows = []
    for s in sweeps:
        where = f"trained, {s.fraction:.0%} of the experts, batch {s.batch}, 25 GB/s, held-out requests, one draw of errors per fold"

        def add(name: str, values: Sequence[float], unit: str, said: str, at: str = s.at, where: str = where) -> None:
            rows.append(_measured(f"pregated_error.{name}.{at}", values, unit, f"{said}; {where}"))

        for i, rate in enumerate(RATES):
            said = f"pre-gate one block early with {rate:.0%} of its names wrong"
            add(f"speed_over_lru.e{round(100 * rate)}", s.speed[:, i].tolist(), "x", f"{said}, against LRU")
            add(f"hit.e{round(100 * rate)}", s.hits[:, i].tolist(), "%", said)
        add("speed_over_lru.probe", s.probe[:, 0].tolist(), "x", "pre-gate by the learned probe, against LRU")
        add("hit.probe", s.probe[:, 1].tolist(), "%", "pre-gate by the learned probe")
        add("hit.lru", s.lru_hits.tolist(), "%", "LRU per layer")
        add("probe_error", (100 * s.probe_error).tolist(), "%", "share of a token's experts that the learned probe does not name")
        for name, curves, levels, said in (
            ("break_even.speed", s.speed, np.ones(len(s.speed)), "error rate at which a pre-gate is as fast as LRU"),
            ("break_even.hit", s.hits, s.lru_hits, "error rate at which a pre-gate has LRU's hits"),
            ("as_fast_as_probe", s.speed, s.probe[:, 0], "error rate of random errors that cost as much time as the learned probe's own"),
        ):
            found = [crossing(RATES, curve, level) for curve, level in zip(curves, levels, strict=True)]
            crossed = [100 * x for x in found if x is not None]
            if len(crossed) == len(found):
                add(name, crossed, "%", said)
            else:
                rows.append(
                    Measurement(
                        f"pregated_error.{name}.{s.at}", None, "%", None,
                        f"{said}: no crossing between 0 and 100 % in {len(found) - len(crossed)} of {len(found)} folds; {where}", modelled=True,
                    )
                )  # fmt: skip
    return rows


def _measured(name: str, values: Sequence[float], unit: str, setting: str) -> Measurement:
    estimate = mean_t_interval(values) if len(values) > 1 else None
    return Measurement(
        name, float(np.mean(values)), unit, None if estimate is None else estimate.interval, setting, len(values), modelled=True
    )


def _band(values: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """95 % interval of the mean per column of (R, rates); the mean itself where one repeat gives none."""
    found = [mean_t_interval(column.tolist()) for column in values.T]
    ends = [e.interval or (e.value, e.value) for e in found]
    return [low for low, _ in ends], [high for _, high in ends]


def draw(sweeps: Sequence[Sweep], path: Path) -> None:
    """Speed over LRU along the error rate, with 95 % bands; the learned probe where its own error rate puts it."""
    sizes = list(dict.fromkeys(s.batch for s in sweeps))
    colours = dict(zip(FRACTIONS, ("#CC79A7", "#0072B2"), strict=True))
    with canvas(path, 8.0, 3.8, columns=len(sizes), sharey=True, squeeze=False) as (figure, axes):
        for column, batch in enumerate(sizes):
            here = axes[0][column]
            for s in (x for x in sweeps if x.batch == batch):
                x = [100 * r for r in RATES]
                low, high = _band(s.speed)
                here.fill_between(x, low, high, color=colours[s.fraction], alpha=0.18, linewidth=0)
                label = f"oracle with errors, {100 * s.fraction:.0f} % resident"
                here.plot(x, s.speed.mean(0), color=colours[s.fraction], marker="o", markersize=3.5, linewidth=1.6, label=label)
                here.plot(
                    100 * s.probe_error.mean(), s.probe[:, 0].mean(), "D", color=colours[s.fraction], markeredgecolor=INK, markersize=7, zorder=4,
                    label=f"learned probe, {100 * s.fraction:.0f} % resident",
                )  # fmt: skip
            here.axhline(1.0, color=INK, linestyle="--", linewidth=1, label="LRU per layer")
            here.set_title(f"Batch {batch}, 25 GB/s (modelled)")
            here.set_xlabel("names of the pre-gate that are wrong, %")
        axes[0][0].set_ylabel("tokens/s over LRU's")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
