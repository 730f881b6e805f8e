"""Effect sizes, resampling, permutation tests and intervals that all studies share.

Imports numpy and errors. Refuses to treat pairs as independent (the resampled unit is what was drawn: a prompt, a seed, an image) and to give
an interval for one repeat. Every random draw comes from a generator that the caller seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput

Floats = NDArray[np.float64]
# Two-sided 95 % quantiles of Student's t for 1..30 degrees of freedom (standard table); 1.96 beyond.
_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
         2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)  # fmt: skip


EQUAL_SD = 1e-9  # below this a spread of values of order one is rounding, and an effect size would be noise over noise


class Estimate(NamedTuple):
    """A value with its 95 % interval (None: one repeat gives none) and the number of independent units behind it."""

    value: float
    interval: tuple[float, float] | None
    n: int


def cohens_d_from_moments(mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int) -> float:
    """(mean_a - mean_b) / pooled SD, variances weighted by n - 1 (Cohen 1988, section 2.5).

    Vector: 0.8435, 0.0879, 760 against 0.6225, 0.1687, 2400 gives 1.4424, the 1.44 of arXiv 2603.11114.
    """
    pooled = ((n_a - 1) * sd_a**2 + (n_b - 1) * sd_b**2) / (n_a + n_b - 2)
    if pooled <= EQUAL_SD**2:
        raise LabInput("Both groups have no spread, so an effect size does not exist.", mend="Use more or longer prompts.")
    return float((mean_a - mean_b) / math.sqrt(pooled))


def cohens_d(a: Sequence[float] | Floats, b: Sequence[float] | Floats) -> float:
    """Cohen's d of two samples with sample variances (ddof 1). Raises LabInput below two values a side."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(x) < 2 or len(y) < 2:
        raise LabInput(f"An effect size needs two values a side, not {len(x)} and {len(y)}.", mend="Use more prompts or categories.")
    return cohens_d_from_moments(x.mean(), x.std(ddof=1), len(x), y.mean(), y.std(ddof=1), len(y))


def permutation_p(observed: float, null: Floats) -> float:
    """One-sided p = (1 + #{null >= observed}) / (B + 1); never 0."""
    return float((1 + (null >= observed).sum()) / (len(null) + 1))


def percentile_interval(draws: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of finite draws. Raises LabInput when nothing finite is left."""
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        raise LabInput("No bootstrap draw was usable.", mend="Use more prompts per category.")
    tail = (1 - level) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap(values: Sequence[float] | Floats, *, seed: int, statistic: Callable[[Floats], Any] = np.mean, draws: int = 2000) -> Estimate:
    """Statistic of independent values with a percentile interval; no interval below three values."""
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        raise LabInput("No values to summarise.", mend="Run at least one repeat.")
    if len(x) < 3:
        return Estimate(float(statistic(x)), None, len(x))
    rng = np.random.default_rng(seed)
    samples = np.array([float(statistic(x[rng.integers(0, len(x), len(x))])) for _ in range(draws)])
    return Estimate(float(statistic(x)), percentile_interval(samples), len(x))


def mean_t_interval(values: Sequence[float] | Floats) -> Estimate:
    """Mean of independent repeats (seeds) with Student's 95 % interval; no interval for one repeat."""
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        raise LabInput("No values to summarise.", mend="Run at least one repeat.")
    if len(x) == 1:
        return Estimate(float(x[0]), None, 1)
    half = t975(len(x) - 1) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return Estimate(float(x.mean()), (float(x.mean()) - half, float(x.mean()) + half), len(x))


def paired_difference(a: Sequence[float] | Floats, b: Sequence[float] | Floats) -> Estimate:
    """Mean of a - b over matched repeats with Student's 95 % interval."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape:
        raise LabInput(f"Paired samples have shapes {x.shape} and {y.shape}.", mend="Give one value per repeat on both sides.")
    return mean_t_interval(x - y)


def median_interval(values: Sequence[float] | Floats) -> tuple[float, float] | None:
    """Interval of the median by order statistics: no assumption on the distribution, coverage at least 95 %. None below six values, which cannot
    give it (the smallest and largest of five cover the median with 94 %)."""
    ordered = sorted(float(v) for v in values)
    n, below, k = len(ordered), 0.0, 0
    while below + math.comb(n, k) / 2**n <= 0.025:
        below += math.comb(n, k) / 2**n
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else None


def t975(degrees: int) -> float:
    """Two-sided 95 % quantile of Student's t."""
    if degrees < 1:
        raise LabInput("Student's t needs at least one degree of freedom.", mend="Repeat with a second seed.")
    return _T975[degrees - 1] if degrees <= len(_T975) else 1.96 + 2.5 / degrees


def binomial_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (Wilson 1927)."""
    if n < 1:
        raise LabInput("A proportion of no items does not exist.", mend="Evaluate at least one item.")
    z, p = 1.959964, successes / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))


# --- a group structure over a similarity matrix: within pairs against across pairs ---


def prompt_counts(labels: NDArray[np.int64], draws: int, seed: int) -> NDArray[np.int64]:
    """(draws, N) multiplicities of prompts drawn with replacement inside each label, for paired resampling of several matrices."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, len(labels)), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        picks = members[rng.integers(0, len(members), (draws, len(members)))]
        np.add.at(counts, (np.arange(draws)[:, None], picks), 1)
    return counts


class Separation(NamedTuple):
    """Within against across pairs of a similarity matrix (N, N); SDs over pairs (a spread, not a standard error)."""

    within: float
    within_sd: float
    across: float
    across_sd: float
    d: float
    pairs_within: int
    pairs_across: int

    @property
    def gap(self) -> float:
        return self.within - self.across


def within_across(similarity: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The two samples of unordered pairs, without the diagonal."""
    i, j = np.triu_indices(len(labels), 1)
    same = labels[i] == labels[j]
    values = similarity[i, j]
    return values[same], values[~same]


def separation(similarity: Floats, labels: NDArray[np.int64]) -> Separation:
    """Raises LabInput for one category or categories of one prompt."""
    within, across = within_across(similarity, labels)
    if len(across) < 2:
        raise LabInput("All prompts have one category, so nothing can be across.", mend="Give prompts of at least two categories.")
    if len(within) < 2:
        raise LabInput("No two prompts share a category, so nothing is within.", mend="Give at least three prompts per category.")
    d = cohens_d(within, across)
    return Separation(
        float(within.mean()), float(within.std(ddof=1)), float(across.mean()), float(across.std(ddof=1)), d, len(within), len(across)
    )


class Draws(NamedTuple):
    """One value per bootstrap draw (B,)."""

    d: Floats
    gap: Floats
    within: Floats


def separation_draws(similarity: Floats, labels: NDArray[np.int64], counts: NDArray[np.int64]) -> Draws:
    """Per row of `counts` (B, N): a pair weighs the product of its prompts' multiplicities; a prompt is never paired with itself."""
    same = (labels[:, None] == labels[None, :]).astype(np.float64)
    other = 1.0 - same
    np.fill_diagonal(same, 0.0)
    c = counts.astype(np.float64)

    def moments(pairs: Floats) -> tuple[Floats, Floats, Floats]:
        n = ((c @ pairs) * c).sum(1) / 2
        total = ((c @ (pairs * similarity)) * c).sum(1) / 2
        square = ((c @ (pairs * similarity**2)) * c).sum(1) / 2
        return n, total / n, np.maximum(square - total**2 / n, 0.0)

    with np.errstate(divide="ignore", invalid="ignore"):
        n_w, mean_w, ss_w = moments(same)
        n_a, mean_a, ss_a = moments(other)
        variance = (ss_w + ss_a) / (n_w + n_a - 2)
        d = np.where(variance > EQUAL_SD**2, (mean_w - mean_a) / np.sqrt(variance), np.nan)
    return Draws(d, mean_w - mean_a, mean_w)


def permuted_gaps(similarity: Floats, labels: NDArray[np.int64], permutations: int, seed: int) -> Floats:
    """Null distribution of within minus across when the labels of the prompts (the exchangeable unit) are shuffled."""
    rng = np.random.default_rng(seed)
    off = similarity.astype(np.float64).copy()
    np.fill_diagonal(off, 0.0)
    n, total = len(labels), off.sum()
    sizes = np.unique(labels, return_counts=True)[1]
    pairs_w = float((sizes * (sizes - 1)).sum())
    pairs_a = n * (n - 1) - pairs_w
    gaps = np.empty(permutations)
    one_hot = (labels[:, None] == np.unique(labels)[None, :]).astype(np.float64)
    for b in range(permutations):
        y = one_hot[rng.permutation(n)]
        within = float(((off @ y) * y).sum())
        gaps[b] = within / pairs_w - (total - within) / pairs_a
    return gaps
