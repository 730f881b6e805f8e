"""Routing signatures: one vector per prompt, their similarity, null models, projections and the residual after token identity.

Imports numpy, errors, lab.trace, lab.statistics. Refuses to compare variants with one another and to treat pairs of prompts as independent.
Source of the idea: arXiv 2603.11114. The signature's exact formula is not in the abstract; `count` is our reading of its section 3.2.
Axis letters: N prompts, T routed tokens of one prompt, L layers, E experts, K chosen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput, UnknownName
from sovereign.lab.trace import RoutingTrace

Floats = NDArray[np.float64]
VARIANTS = ("count", "weighted", "binary", "prob")


def signatures(trace: RoutingTrace, variant: str = "count") -> Floats:
    """s_NLE, rows (n, l) sum to 1. Requests ascending.

    count: share of the T*K choices that fell on the expert. weighted: share of the gate weight. binary: 1 if ever chosen, divided by the number chosen.
    prob: mean of the full distribution. Raises LabInput where the trace lacks weights or probabilities.
    """
    if variant not in VARIANTS:
        raise UnknownName("signature variant", variant, VARIANTS)
    rows = np.unique(trace.request, return_inverse=True)[1]
    prompts, layers, experts = int(rows.max()) + 1, trace.layers, trace.num_experts
    total = np.zeros((prompts, layers, experts))
    if variant == "prob":
        if trace.probs is None:
            raise LabInput("The trace holds no probabilities.", mend="Capture with probabilities or use the count variant.")
        np.add.at(total, rows, trace.probs.astype(np.float64))
    else:
        weight = np.ones(trace.experts.shape)
        if variant == "weighted":
            if trace.weights is None:
                raise LabInput("The trace holds no gate weights.", mend="Capture with weights or use the count variant.")
            weight = trace.weights.astype(np.float64)
        real = trace.experts >= 0
        index = np.broadcast_to(rows[:, None, None], trace.experts.shape), np.broadcast_to(np.arange(layers)[:, None], trace.experts.shape)
        np.add.at(total, (index[0][real], index[1][real], trace.experts[real]), weight[real])
    if variant == "binary":
        total = (total > 0).astype(np.float64)
    return total / np.maximum(total.sum(-1, keepdims=True), 1e-300)


def bag_of_tokens(trace: RoutingTrace, vocab: int) -> Floats:
    """(N, vocab) token frequencies of each prompt: the control that needs no model."""
    if trace.token_id is None:
        raise LabInput("The trace holds no token ids.", mend="Capture it with token ids.")
    rows = np.unique(trace.request, return_inverse=True)[1]
    total = np.zeros((int(rows.max()) + 1, vocab))
    np.add.at(total, (rows, trace.token_id), 1.0)
    return total / total.sum(1, keepdims=True)


# --- similarity ---


def cosine(x: Floats) -> Floats:
    """(N, N) cosine of the flattened rows. Raises LabInput for a zero vector."""
    flat = x.reshape(len(x), -1)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    if (norms < 1e-12).any():
        raise LabInput("A signature is zero everywhere.", mend="Drop empty prompts.")
    return (flat / norms) @ (flat / norms).T


def centred_cosine(x: Floats) -> Floats:
    """Cosine after subtracting the mean signature: removes the popularity that all prompts share and with it the high floor."""
    return cosine(x - x.mean(0))


def jensen_shannon(x_NLE: Floats) -> Floats:
    """1 minus the Jensen-Shannon distance (base 2, so within 0..1), per layer, averaged over layers."""
    n, layers, _ = x_NLE.shape
    out = np.zeros((n, n))
    for layer in range(layers):
        p = x_NLE[:, layer]
        for i in range(n):
            m = 0.5 * (p[i] + p)
            out[i] += 1 - np.sqrt(np.maximum(0.5 * (_kl(p[i][None], m) + _kl(p, m)), 0.0))
    return out / layers


def _kl(p: Floats, q: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log2(p / q), 0.0).sum(-1)


# --- null models, always at the same T and K as the data ---


def null_uniform(prompts: int, tokens: int, layers: int, experts: int, k: int, rng: np.random.Generator) -> Floats:
    """U: every k-subset equally likely. Expected cosine of two prompts: T / (T + (E - k) / k)."""
    return _redraw(np.zeros((layers, experts)), prompts, tokens, k, rng)


def null_marginal(x_NLE: Floats, tokens: int, k: int, rng: np.random.Generator) -> Floats:
    """M: every token redraws k experts from the corpus-wide popularity of its layer (Gumbel top-k); popularity without prompt structure."""
    return _redraw(np.log(x_NLE.mean(0) + 1e-12), len(x_NLE), tokens, k, rng)


def null_permuted(x_NLE: Floats, rng: np.random.Generator) -> Floats:
    """P: keeps every prompt's own histogram per layer and permutes the expert ids independently."""
    return rng.permuted(x_NLE, axis=-1)


def uniform_cosine(tokens: int, experts: int, k: int) -> float:
    """Expected cosine under U with independent tokens: T / (T + (E - k) / k); T / (T + 7) for 8 of 64."""
    return tokens / (tokens + (experts - k) / k)


def _redraw(logits_LE: Floats, prompts: int, tokens: int, k: int, rng: np.random.Generator) -> Floats:
    layers, experts = logits_LE.shape
    out = np.zeros((prompts, layers, experts))
    for n in range(prompts):
        noisy = logits_LE + rng.gumbel(size=(tokens, layers, experts))
        chosen = np.argpartition(-noisy, k - 1, axis=-1)[..., :k]
        np.add.at(out[n], (np.arange(layers)[None, :, None], chosen), 1.0)
    return out / (tokens * k)


# --- what is left after token identity ---


class TokenTable(NamedTuple):
    """Mean routing of every token id on reference text; `shared` marks ids seen often enough in at least two categories."""

    mean_VLE: Floats
    shared_V: NDArray[np.bool_]


def token_table(trace: RoutingTrace, vocab: int, *, minimum: int = 3) -> TokenTable:
    """From a trace with categories, on text other than the prompts. Categories that have the token weigh equally in its mean."""
    if trace.token_id is None or trace.categories is None:
        raise LabInput("The reference trace lacks token ids or categories.", mend="Capture it with both.")
    labels = np.array(trace.categories)[trace.request]
    kinds = np.unique(labels)
    one_hot = _one_hot(trace)
    mean, holders = np.zeros((vocab, trace.layers, trace.num_experts)), np.zeros(vocab)
    for kind in kinds:
        mine = labels == kind
        count = np.bincount(trace.token_id[mine], minlength=vocab)
        total = np.zeros_like(mean)
        np.add.at(total, trace.token_id[mine], one_hot[mine])
        enough = count >= minimum
        mean[enough] += total[enough] / count[enough, None, None]
        holders += enough
    return TokenTable(mean / np.maximum(holders, 1)[:, None, None], holders >= 2)


def residual_signatures(trace: RoutingTrace, table: TokenTable) -> tuple[Floats, float]:
    """(r_NLE, share of tokens used): mean over a prompt's shared tokens of (chosen - the token's mean routing).

    What remains is routing that the identity of the token does not explain. Raises LabInput when a prompt has no shared token.
    """
    if trace.token_id is None:
        raise LabInput("The trace holds no token ids.", mend="Capture it with token ids.")
    use = table.shared_V[trace.token_id]
    rows = np.unique(trace.request, return_inverse=True)[1]
    counts = np.bincount(rows[use], minlength=int(rows.max()) + 1)
    if (counts == 0).any():
        raise LabInput("A prompt has no token that two categories share.", mend="Use longer prompts or more reference text.")
    out = np.zeros((len(counts), trace.layers, trace.num_experts))
    np.add.at(out, rows[use], _one_hot(trace)[use] - table.mean_VLE[trace.token_id[use]])
    return out / counts[:, None, None], float(use.mean())


def token_surrogate(trace: RoutingTrace, reference: RoutingTrace, seed: int) -> RoutingTrace:
    """The same tokens, each routed like a random other occurrence of the same token id in the prompts or the reference text.

    Its signatures keep all that token identity explains and lose all context. A token that occurs once keeps its own routing (conservative).
    """
    if trace.token_id is None or reference.token_id is None:
        raise LabInput("A trace holds no token ids.", mend="Capture it with token ids.")
    rng = np.random.default_rng(seed)
    pool_ids = np.concatenate((trace.token_id, reference.token_id))
    pool = np.concatenate((trace.experts, reference.experts))
    order = np.argsort(pool_ids, kind="stable")
    start = np.searchsorted(pool_ids[order], trace.token_id, side="left")
    count = np.searchsorted(pool_ids[order], trace.token_id, side="right") - start
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    mine = place[: trace.tokens] - start  # where the token itself stands among its like
    # One of the count - 1 others, uniformly: a shift of 1..count-1 around the circle.
    shift = np.where(count > 1, 1 + rng.integers(0, np.maximum(count - 1, 1)), 0)
    pick = order[start + (mine + shift) % count]
    return replace(trace, experts=pool[pick], weights=None, probs=None)


def _one_hot(trace: RoutingTrace) -> Floats:
    """(T, L, E): 1/K for every chosen expert."""
    out = np.zeros((trace.tokens, trace.layers, trace.num_experts))
    safe = np.where(trace.experts >= 0, trace.experts, 0).astype(np.int64)
    np.put_along_axis(out, safe, 1.0 / trace.k, axis=-1)
    return out


def token_identity_share(trace: RoutingTrace, vocab: int) -> Floats:
    """(L,) share of the routing variance that the token id explains (between-token sum of squares over the total), on this trace."""
    if trace.token_id is None:
        raise LabInput("The trace holds no token ids.", mend="Capture it with token ids.")
    one_hot = _one_hot(trace)
    grand = one_hot.mean(0)
    count = np.bincount(trace.token_id, minlength=vocab)
    total = np.zeros((vocab, trace.layers, trace.num_experts))
    np.add.at(total, trace.token_id, one_hot)
    seen = count > 0
    between = (count[seen, None, None] * (total[seen] / count[seen, None, None] - grand) ** 2).sum((0, 2))
    overall = ((one_hot - grand) ** 2).sum((0, 2))
    return np.divide(between, overall, out=np.zeros_like(between), where=overall > 0)


# --- projection ---


class Projection(NamedTuple):
    """Coordinates (N, components) on the principal axes of the centred signatures and the share of variance of each."""

    points: Floats
    explained: tuple[float, ...]


def pca(x: Floats, components: int = 2) -> Projection:
    """Signs are fixed (largest loading positive), so the picture is repeatable."""
    flat = x.reshape(len(x), -1)
    flat = flat - flat.mean(0)
    u, s, vt = np.linalg.svd(flat, full_matrices=False)
    signs = np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(1)])
    power = s**2 / max(float((s**2).sum()), 1e-300)
    return Projection((u * s * signs)[:, :components], tuple(float(v) for v in power[:components]))
