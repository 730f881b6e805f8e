"""Paired comparisons: Student's t against known values, the three verdicts, power that a simulation confirms."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from sovereign.errors import LabInput
from sovereign.lab.vision.compare import (
    DIFFERENT,
    EQUIVALENT,
    UNRESOLVED,
    compare,
    detectable_difference,
    seeds_needed,
    student_cdf,
    student_quantile,
)

pytestmark = pytest.mark.lab


def test_student_quantiles_are_those_of_the_tables() -> None:
    for degrees, p, value in ((1, 0.975, 12.7062), (4, 0.975, 2.7764), (9, 0.975, 2.2622), (11, 0.8, 0.8755), (100, 0.975, 1.9840)):
        assert abs(student_quantile(p, degrees) - value) < 1e-3
        assert abs(student_cdf(value, degrees) - p) < 1e-5
    assert abs(student_cdf(0.0, 5) - 0.5) < 1e-12
    with pytest.raises(LabInput):
        student_quantile(0.5, 0)


def test_the_three_verdicts() -> None:
    base = np.array([0.70, 0.74, 0.78, 0.71, 0.75])
    clear = compare(base + np.array([0.10, 0.11, 0.09, 0.10, 0.10]), base, margin=0.03)
    assert clear.verdict == DIFFERENT and "different" in clear.sentence() and clear.interval[0] > 0.08
    same = compare(base + np.array([0.001, -0.002, 0.001, 0.0, -0.001]), base, margin=0.03)
    assert same.verdict == EQUIVALENT and same.p_equivalent < 0.001 and "equivalent within 0.03" in same.sentence()
    noisy = compare(base + np.array([0.09, -0.08, 0.05, -0.06, 0.02]), base, margin=0.03)
    assert noisy.verdict == UNRESOLVED and "no difference resolved at 5 seeds" in noisy.sentence()
    assert noisy.detectable > 0.05 and noisy.needed_for_margin > 20


def test_a_difference_can_be_real_and_small_and_both_are_said() -> None:
    base = np.linspace(0.6, 0.8, 8)
    found = compare(base + 0.01 + np.array([1, -1] * 4) * 1e-4, base, margin=0.03)
    assert found.verdict == DIFFERENT and "within 0.03" in found.sentence()


def test_identical_results_are_equivalent_and_not_a_division_by_zero() -> None:
    found = compare([0.5, 0.6], [0.5, 0.6], margin=0.03)
    assert found.verdict == EQUIVALENT and found.interval == (0.0, 0.0)


def test_the_stated_power_is_reached_in_simulation() -> None:
    """A difference of the detectable size must be found in about 80 % of 2000 simulated studies: sd of the share 0.009, and the shifted central t is a
    few points optimistic."""
    rng = np.random.default_rng(0)
    n, sd = 12, 0.04
    size = detectable_difference(sd, n)
    found = sum(compare(rng.normal(size, sd, n), np.zeros(n), margin=0.03, draws=1).verdict == DIFFERENT for _ in range(2000))
    assert 0.74 < found / 2000 < 0.85
    need = seeds_needed(sd, size)
    assert need == n and seeds_needed(sd, 1e-9) is None


def test_equivalence_is_rarely_declared_for_a_true_difference_at_the_margin() -> None:
    rng = np.random.default_rng(1)
    wrong = sum(compare(rng.normal(0.03, 0.02, 10), np.zeros(10), margin=0.03, draws=1).p_equivalent < 0.05 for _ in range(1000))
    assert wrong / 1000 < 0.08  # nominal 5 %, sd 0.7 %


def test_unusable_comparisons_are_refused() -> None:
    for a, b, margin in (
        ([1.0], [1.0], 0.1),
        ([1.0, 2.0], [1.0], 0.1),
        ([1.0, float("nan")], [1.0, 1.0], 0.1),
        ([1.0, 2.0], [1.0, 1.0], 0.0),
    ):
        with pytest.raises(LabInput):
            compare(a, b, margin=margin)
