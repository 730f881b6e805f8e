"""Comparing strategies over paired seeds without claiming more than the seeds can carry.

Imports numpy and scipy (lazily) and errors. Refuses one seed a side: a difference without spread is not a comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sovereign.errors import LabInput

DIFFERENT, EQUIVALENT, UNRESOLVED = "different", "equivalent", "no difference resolved"


@dataclass(frozen=True)
class Comparison:
    """a - b over paired seeds. interval: 95 % Student; bootstrap: 95 % percentile over seeds. p_equivalent: the larger one-sided p of two tests against
    -margin and +margin (TOST). detectable: the difference that n such seeds would find 80 % of the time; needed_for_margin: seeds to find one of
    `margin` with that power. verdict: different (interval excludes 0), equivalent (TOST p < .05), both are possible and then `different` is shown
    with its size; else no difference resolved at n seeds.
    """

    n: int
    mean: float
    sd: float
    interval: tuple[float, float]
    bootstrap: tuple[float, float]
    margin: float
    p_equivalent: float
    detectable: float
    needed_for_margin: int | None
    verdict: str

    def sentence(self) -> str:
        low, high = self.interval
        body = f"{self.mean:+.4f} [{low:+.4f}, {high:+.4f}] at {self.n} seeds"
        if self.verdict == UNRESOLVED:
            return f"{body}: no difference resolved at {self.n} seeds; {self.detectable:.3f} would be found with 80 % power"
        if self.verdict == EQUIVALENT:
            return f"{body}: equivalent within {self.margin:g} (TOST p = {self.p_equivalent:.3f})"
        within = f", and within {self.margin:g}" if self.p_equivalent < 0.05 else ""
        return f"{body}: different{within}"


def compare(a: Sequence[float], b: Sequence[float], *, margin: float, seed: int = 0, draws: int = 2000) -> Comparison:
    """Raises LabInput for unpaired lengths, fewer than two seeds, values that are not finite, or a margin that is not positive."""
    from scipy import stats

    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise LabInput(f"Paired seeds have shapes {x.shape} and {y.shape}.", mend="Run the same seeds on both sides.")
    if len(x) < 2:
        raise LabInput(f"{len(x)} seed a side gives no comparison.", mend="Run at least two seeds; ten to resolve a few points.")
    if not np.isfinite(x - y).all() or margin <= 0:
        raise LabInput("A comparison needs finite values and a positive margin.", mend="Check the measurements.")
    d, n = x - y, len(x)
    mean, sd = float(d.mean()), float(d.std(ddof=1))
    error = sd / math.sqrt(n)
    half = float(stats.t.ppf(0.975, n - 1)) * error
    rng = np.random.default_rng(seed)
    means = d[rng.integers(0, n, (draws, n))].mean(1)
    if error > 0:
        p = max(float(stats.t.sf((mean + margin) / error, n - 1)), float(stats.t.cdf((mean - margin) / error, n - 1)))
    else:
        p = 0.0 if abs(mean) < margin else 1.0
    interval = (mean - half, mean + half)
    different = interval[0] > 0 or interval[1] < 0
    return Comparison(
        n=n,
        mean=mean,
        sd=sd,
        interval=interval,
        bootstrap=(float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))),
        margin=margin,
        p_equivalent=p,
        detectable=detectable_difference(sd, n),
        needed_for_margin=seeds_needed(sd, margin),
        verdict=DIFFERENT if different else EQUIVALENT if p < 0.05 else UNRESOLVED,
    )


def detectable_difference(sd: float, n: int, power: float = 0.8) -> float:
    """The mean paired difference that a two-sided 5 % t-test over n seeds finds with the given power: (t_.975 + t_power) sd / sqrt(n).

    The usual approximation by a shifted central t; the exact non-central value is a few percent larger below five seeds.
    """
    from scipy import stats

    return float(stats.t.ppf(0.975, n - 1) + stats.t.ppf(power, n - 1)) * sd / math.sqrt(n)


def seeds_needed(sd: float, difference: float, power: float = 0.8, most: int = 10_000) -> int | None:
    """Smallest number of paired seeds that finds `difference` with the given power; None beyond `most`."""
    low, high = 2, most
    if detectable_difference(sd, most, power) > difference:
        return None
    while low < high:
        middle = (low + high) // 2
        if detectable_difference(sd, middle, power) <= difference:
            high = middle
        else:
            low = middle + 1
    return low
