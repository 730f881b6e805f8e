"""Routing traces without weights: popularity, persistence from token to token and request flavour set to published figures.

Imports errors and numpy. Refuses to call such a trace real: what is calibrated and what is invented is written in `describe`.

Calibrated to OLMoE: expert popularity per layer (the counts of 208,896 tokens in layers 0, 7, 15 that allenai/OLMoE publishes, where the files
are at hand, else Zipf with exponent 0.65); the share of a layer's experts that repeat from the previous token (25-47 %, aim 0.36); distinct
experts per layer at batch 1, 2, 4 (8, 14.6, 24.8). Invented: the process between tokens (an AR(1) walk of every expert's score) and the
independence of layers given the request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput, NotFound
from sovereign.lab.caching.events import Routes

ZIPF = 0.65  # exponent of expert popularity, OLMoE
PERSISTENCE = 0.45  # AR(1) coefficient of scores from token to token; gives 0.37 repeats with measured popularity, 0.43 with Zipf
FLAVOUR = 0.35  # standard deviation of a request's own taste, in units of the token noise
MEASURED_LAYERS = (0, 7, 15)


@dataclass(frozen=True)
class Shape:
    """A model as the replay sees it. expert_bytes in 16 bit."""

    name: str
    layers: int
    experts: int
    chosen: int
    expert_bytes: int


# layers, experts, top-k: the setting of arXiv 2410.17954; bytes from the models' configurations (two or three matrices, 2 bytes each)
OLMOE = Shape("olmoe", 16, 64, 8, 12_582_912)
SWITCH_32 = Shape("switch-32", 12, 32, 1, 9_437_184)
SWITCH_128 = Shape("switch-128", 12, 128, 1, 9_437_184)
QWEN = Shape("qwen1.5-moe", 24, 60, 4, 17_301_504)
MIXTRAL = Shape("mixtral", 32, 8, 2, 352_321_536)


def read_marginals(folder: Path, domain: str = "c4") -> NDArray[np.float64]:
    """Popularity (3, 64) of OLMoE's layers 0, 7 and 15 in one domain; rows sum to 1. Raises NotFound or LabInput."""
    path = folder / f"expert_counts_{domain}.json"
    if not path.is_file():
        raise NotFound(f"There are no routing counts at {path}.", mend="Known domains: arxiv, book, c4, github, wikipedia.")
    layers = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(layers, list) or len(layers) != len(MEASURED_LAYERS):
        raise LabInput(f"{path.name} does not hold three layers of counts.")
    counts = np.array([[float(layer.get(str(e), 0)) for e in range(64)] for layer in layers])
    total: NDArray[np.float64] = counts.sum(1, keepdims=True)
    if (total <= 0).any():
        raise LabInput(f"{path.name} holds a layer without counts.")
    return counts / total


def marginals(shape: Shape, rng: np.random.Generator, measured: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Popularity per layer (L, E), ids shuffled: the nearest measured layer where given and of equal width, else Zipf."""
    zipf = np.arange(1, shape.experts + 1, dtype=np.float64) ** -ZIPF
    rows = []
    for layer in range(shape.layers):
        row = zipf
        if measured is not None and measured.shape[1] == shape.experts:
            depth = layer / max(1, shape.layers - 1) * MEASURED_LAYERS[-1]
            row = measured[int(np.argmin([abs(depth - m) for m in MEASURED_LAYERS]))]
        rows.append(rng.permutation(row) / row.sum())
    return np.stack(rows)


def routes(
    shape: Shape,
    *,
    requests: int,
    prompt: int,
    decode: int,
    seed: int,
    measured: NDArray[np.float64] | None = None,
    persistence: float = PERSISTENCE,
    flavour: float = FLAVOUR,
    model_seed: int = 0,
) -> Routes:
    """A trace of `requests` with `prompt` + `decode` tokens each. The model (popularity) follows `model_seed`, the requests `seed`."""
    if min(requests, prompt + decode) < 1 or not 0 <= persistence < 1:
        raise LabInput("A synthetic trace needs requests, tokens and a persistence below 1.")
    popularity = marginals(shape, np.random.default_rng((7, model_seed)), measured)
    offset = _offsets(shape, popularity, flavour, model_seed)
    rng = np.random.default_rng((11, seed))
    length = prompt + decode
    taste = flavour * rng.standard_normal((requests, shape.layers, shape.experts), dtype=np.float32)
    score = rng.standard_normal(taste.shape, dtype=np.float32)
    keep, fresh = np.float32(persistence), np.float32(np.sqrt(1 - persistence**2))
    base = offset.astype(np.float32) + taste
    chosen = np.empty((requests, length, shape.layers, shape.chosen), np.int16)
    for t in range(length):
        if t:
            score = keep * score + fresh * rng.standard_normal(taste.shape, dtype=np.float32)
        total = base + score
        chosen[:, t] = np.argpartition(-total, shape.chosen - 1, axis=2)[:, :, : shape.chosen]
    position = np.tile(np.arange(length), requests)
    return Routes(
        chosen.reshape(requests * length, shape.layers, shape.chosen),
        np.repeat(np.arange(requests), length),
        position,
        position >= prompt,
        shape.experts,
    )


def _offsets(shape: Shape, popularity: NDArray[np.float64], flavour: float, seed: int) -> NDArray[np.float64]:
    """Score offsets (L, E) at which top-k choices reproduce `popularity`; found by stochastic approximation on fresh draws."""
    rng = np.random.default_rng((13, seed))
    wanted = np.minimum(popularity * shape.chosen, 0.98)
    offset = 0.5 * np.log(np.maximum(popularity, 1e-6))
    spread = np.sqrt(1 + flavour**2)
    for i in range(12):
        draws = offset + spread * rng.standard_normal((256, shape.layers, shape.experts))
        picked = np.argpartition(-draws, shape.chosen - 1, axis=2)[:, :, : shape.chosen]
        found = np.zeros_like(offset)
        for layer in range(shape.layers):
            found[layer] = np.bincount(picked[:, layer].ravel(), minlength=shape.experts) / len(draws)
        offset += 0.6 * (0.85**i) * (np.log(wanted + 0.004) - np.log(found + 0.004))
        offset -= offset.mean(1, keepdims=True)
    return offset


def describe(trace: Routes) -> dict[str, Any]:
    """What can be compared with published figures: repeats, distinct experts by batch, popularity entropy in bits."""
    same = trace.request[1:] == trace.request[:-1]
    left, right = trace.experts[:-1][same], trace.experts[1:][same]
    repeats = float((left[:, :, :, None] == right[:, :, None, :]).any(-1).mean()) if len(left) else None
    rng = np.random.default_rng(0)
    distinct = {}
    for batch in (1, 2, 4):
        rows = rng.integers(0, len(trace.experts), (200, batch))
        sets = trace.experts[rows].transpose(0, 2, 1, 3).reshape(200 * trace.layers, -1)
        ordered = np.sort(sets, axis=1)
        distinct[batch] = float((1 + (ordered[:, 1:] != ordered[:, :-1]).sum(1)).mean()) if ordered.shape[1] > 1 else 1.0
    entropy = []
    for layer in range(trace.layers):
        p = np.bincount(trace.experts[:, layer].ravel(), minlength=trace.n_experts) / trace.experts[:, layer].size
        entropy.append(float(-(p[p > 0] * np.log2(p[p > 0])).sum()))
    return {"repeat_share": repeats, "distinct": distinct, "entropy_bits": float(np.mean(entropy))}
