"""Comparing strategies over paired seeds without claiming more than the seeds can carry.

Imports numpy and errors; Student's t is computed here, so that a bare torch machine can run the study. Refuses one seed a side: a difference
without spread is not a comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    half = student_quantile(0.975, n - 1) * error
    rng = np.random.default_rng(seed)
    means = d[rng.integers(0, n, (draws, n))].mean(1)
    if error > 0:
        p = max(1 - student_cdf((mean + margin) / error, n - 1), student_cdf((mean - margin) / error, n - 1))
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
    return (student_quantile(0.975, n - 1) + student_quantile(power, n - 1)) * sd / math.sqrt(n)


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


def student_cdf(t: float, degrees: int) -> float:
    """P(T <= t) of Student's t, by the incomplete beta function: 1 - I_x(df/2, 1/2) / 2 for t > 0, x = df / (df + t^2)."""
    tail = incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2
    return 1 - tail if t > 0 else tail


@lru_cache(maxsize=512)
def student_quantile(p: float, degrees: int) -> float:
    """The t with P(T <= t) = p, by bisection. Raises LabInput below one degree of freedom or for p outside (0, 1)."""
    if degrees < 1 or not 0 < p < 1:
        raise LabInput(f"Student's t at p = {p} with {degrees} degrees of freedom does not exist.", mend="Use two seeds or more.")
    low, high = -1e4, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, degrees) < p else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta I_x(a, b) by Lentz's continued fraction (Abramowitz & Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only on this side
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 300):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for numerator in (even, odd):
            d = 1 / _away(1 + numerator * d)
            c = _away(1 + numerator / c)
            result *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * result


def _away(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
