"""Token scheduling: which requests share a batch, so that a batch touches fewer experts.

Imports errors, numpy and the event log. Refuses to change any output: only the grouping moves. Never worse than the input order by
construction: a grouping that does not lower the objective on what it was given is dropped for the input order.
Axis letters: R requests (or tokens), W = L * E route width, B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput, UnknownName
from sovereign.lab.caching.events import Routes

Bools = NDArray[np.bool_]
Features = NDArray[Any]
METHODS = ("fifo", "two_means", "bag_of_tokens", "oracle")


def loads(routes_RW: Bools, groups: list[NDArray[np.int64]]) -> int:
    """Expert loads of a grouping: sum over groups of the experts that any member uses (arXiv 2410.17954, section 3.2)."""
    return int(sum(routes_RW[g].any(axis=0).sum() for g in groups if len(g)))


def similarity(routes_RW: Bools) -> NDArray[np.float64]:
    """1 - Hamming distance / W between all pairs (R, R)."""
    x = routes_RW.astype(np.float32)
    size = x.sum(1)
    different = size[:, None] + size[None, :] - 2 * (x @ x.T)
    return 1.0 - different.astype(np.float64) / routes_RW.shape[1]


STARTS = 12  # pairs of medoids to start from


def balanced_two_means(routes_RW: Bools, iterations: int = 20) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two equal halves of an even number of members; the input order if the found halves load no fewer experts.

    Medoids under Hamming similarity, assignment balanced by the margin between the two (the balance is ours; arXiv 2410.17954 says equal
    clusters). One start often ends in a mixed split, so the least similar pair and up to STARTS - 1 members with their least similar
    partner are tried, members are exchanged while that saves loads, and the split with the fewest loads is kept (ours).
    Raises LabInput for fewer than two members or an odd number.
    """
    n = len(routes_RW)
    if n < 2 or n % 2:
        raise LabInput(f"{n} members do not split into two equal halves.")
    close = similarity(routes_RW)
    worst = np.unravel_index(np.argmin(close), close.shape)
    starts = [(int(worst[0]), int(worst[1]))]
    starts += [(int(i), int(np.argmin(close[i]))) for i in np.linspace(0, n - 1, min(STARTS - 1, n)).astype(int)]
    best = (np.arange(n // 2), np.arange(n // 2, n))
    fewest = loads(routes_RW, list(best))
    for first, second in dict.fromkeys(starts):
        halves = _exchanged(routes_RW, *_settle(close, first, second, iterations))
        found = loads(routes_RW, list(halves))
        if found < fewest:
            best, fewest = halves, found
    return best


def _settle(close: NDArray[np.float64], first: int, second: int, iterations: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Assignment and medoids in turn until the halves stay."""
    n = len(close)
    left, right = np.arange(n // 2), np.arange(n // 2, n)
    before: NDArray[np.int64] | None = None
    for _ in range(iterations):
        order = np.argsort(-(close[:, first] - close[:, second]), kind="stable")
        left, right = np.sort(order[: n // 2]), np.sort(order[n // 2 :])
        if before is not None and np.array_equal(before, left):
            break
        before = left
        first = int(left[np.argmax(close[np.ix_(left, left)].mean(1))])
        second = int(right[np.argmax(close[np.ix_(right, right)].mean(1))])
    return left, right


def _exchanged(routes_RW: Bools, left: NDArray[np.int64], right: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Swaps the pair that saves the most loads until none saves any."""
    x = routes_RW.astype(np.float32)
    left, right = left.copy(), right.copy()
    for _ in range(len(x)):
        a, b = x[left], x[right]
        alone_a, alone_b = a * (a.sum(0) == 1), b * (b.sum(0) == 1)  # loads that only this member causes in its half
        new_in_a, new_in_b = b @ (a.sum(0) == 0), a @ (b.sum(0) == 0)  # loads that a newcomer would add
        change = new_in_a[None, :] - alone_a.sum(1)[:, None] + alone_a @ b.T
        change += new_in_b[:, None] - alone_b.sum(1)[None, :] + a @ alone_b.T
        i, j = np.unravel_index(int(np.argmin(change)), change.shape)
        if change[i, j] >= 0:
            break
        left[i], right[j] = right[j], left[i]
    return np.sort(left), np.sort(right)


@dataclass(frozen=True)
class Schedule:
    """groups of request ids in the order they run. delay: batches each request waits beyond its place in the input order (worst)."""

    groups: list[list[int]]
    worst_delay: int
    moved: int


def schedule(features_RW: Features, batch: int, *, window: int = 2, bound: int | None = None) -> Schedule:
    """Groups requests 0..R-1 (in arrival order) into batches, looking at `window` neighbouring batches at a time.

    window 2 is ExpertFlow A's pair of batches. Wider windows are split in two again and again. bound: a request runs at most that many
    batches after its turn (default window - 1, which any window keeps); a split that breaks it falls back to the input order.
    Raises LabInput for a batch or window below 1.
    """
    if batch < 1 or window < 1:
        raise LabInput(f"Batch {batch} and window {window} must be at least 1.")
    limit = window - 1 if bound is None else bound
    binary = features_RW.astype(bool)
    groups: list[list[int]] = []
    for start in range(0, len(binary), batch * window):
        members = np.arange(start, min(start + batch * window, len(binary)))
        parts = _split(binary, members, batch)
        parts.sort(key=lambda g: int(g.min()))  # who came first runs first
        given = [members[i : i + batch] for i in range(0, len(members), batch)]
        if _worst(parts, batch, start) > limit or loads(binary, parts) >= loads(binary, given):
            parts = given
        groups += [[int(i) for i in g] for g in parts]
    place = {r: i for i, g in enumerate(groups) for r in g}
    late = [place[r] - r // batch for r in place]
    return Schedule(groups, max(late, default=0), sum(1 for d in late if d))


def _worst(parts: list[NDArray[np.int64]], batch: int, start: int) -> int:
    first = start // batch
    return max((first + i - int(r) // batch for i, g in enumerate(parts) for r in g), default=0)


def _split(binary: Bools, members: NDArray[np.int64], batch: int) -> list[NDArray[np.int64]]:
    if len(members) <= batch:
        return [members]
    half = max(batch, (len(members) // 2) // batch * batch)
    if len(members) != 2 * half:
        # an odd rest stays together at the end
        return [*_split(binary, members[:half], batch), *_split(binary, members[half:], batch)]
    left, right = balanced_two_means(binary[members])
    return [*_split(binary, members[left], batch), *_split(binary, members[right], batch)]


def features(method: str, routes: Routes, *, predicted: NDArray[Any] | None = None, vocab: int | None = None) -> Features:
    """What a method looks at, one row per request (R, W).

    two_means: experts predicted for the prompt, and so known before it runs (`predicted` ids (T, L, M), a forecast for the rows of `routes`);
    bag_of_tokens: the token ids of the prompt, without any model (the control); oracle: experts really used while decoding.
    """
    if method not in METHODS:
        raise UnknownName("scheduling method", method, METHODS)
    requests, index = np.unique(routes.request, return_inverse=True)
    if method == "bag_of_tokens":
        if routes.tokens is None:
            raise LabInput("The trace has no token ids to group by.", mend="Capture it with token ids.")
        table = np.zeros((len(requests), vocab or int(routes.tokens.max()) + 1), bool)
        rows = ~routes.is_decode
        table[index[rows], routes.tokens[rows]] = True
        return table
    rows = routes.is_decode if method == "oracle" else ~routes.is_decode
    ids = routes.experts if method == "oracle" else predicted
    if ids is None:
        raise LabInput(f"{method} needs predicted routes.", mend="Give a forecast.")
    used = np.zeros((len(requests), routes.layers, routes.n_experts), np.float64)
    for layer in range(routes.layers):
        for slot in range(ids.shape[2]):
            column = ids[rows, layer, slot]
            np.add.at(used, (index[rows][column >= 0], layer, column[column >= 0]), 1.0)
    # an expert counts as a request's own when it is used more often than that layer's k busiest would be by an even share
    keep = np.zeros(used.shape, bool)
    top = np.argsort(-used, axis=2, kind="stable")[:, :, : 2 * routes.chosen]
    np.put_along_axis(keep, top, True, axis=2)
    return (keep & (used > 0)).reshape(len(requests), -1)


def distinct_per_step(routes: Routes, groups: list[list[int]], events_of: Callable[..., Any]) -> float:
    """Mean distinct experts per layer of a decode step under a grouping; `events_of` is events.to_events."""
    events = events_of(routes, batch=max(len(g) for g in groups), groups=groups)
    decode = ~events.prefill[events.step]
    return float(events.need()[decode].mean())
