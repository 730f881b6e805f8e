"""What a Mixture-of-Experts layer must compute and read, and the time that a machine's measured limits allow for it.

Imports the standard library only. Refuses to know a machine: rates come in as measured or declared numbers.
Axis letters: T tokens, D width, F expert width, E experts, K chosen.
"""

from __future__ import annotations

from typing import NamedTuple


class LayerCost(NamedTuple):
    """Matrix-product operations (2 per multiply-add) and bytes of expert weights that T tokens cause in one layer, router excluded."""

    flops: int
    weight_bytes: float
    experts_hit: float


class Limit(NamedTuple):
    """The shortest possible time in seconds and what sets it: 'compute' or 'bandwidth'."""

    seconds: float
    bound: str


def moe_layer_cost(
    *, tokens: int, width: int, ffn: int, experts: int, k: int, bytes_per_weight: int, hit: float | None = None
) -> LayerCost:
    """SwiGLU experts: 3 matrices of D x F each. `hit`: distinct experts used; None takes the expectation under uniform routing."""
    used = expected_hit(experts, k, tokens) if hit is None else hit
    return LayerCost(6 * tokens * k * width * ffn, used * 3 * width * ffn * bytes_per_weight, used)


def expected_hit(experts: int, k: int, tokens: int) -> float:
    """Expected distinct experts when each token picks k of E uniformly and independently: E (1 - (1 - k/E)^T)."""
    return experts * (1 - (1 - k / experts) ** tokens)


def limit(cost: LayerCost, *, flops_per_s: float, bytes_per_s: float) -> Limit:
    """max(compute time, weight reading time): the roofline of Williams et al. (2009) with perfect overlap."""
    compute, reading = cost.flops / flops_per_s, cost.weight_bytes / bytes_per_s
    return Limit(max(compute, reading), "compute" if compute >= reading else "bandwidth")


def activation_ratio(experts: int, k: int) -> float:
    """Active over total experts: 8 of 64 is 0.125; sparsity is its complement."""
    return k / experts
