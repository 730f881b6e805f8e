"""From a routing trace to the expert sets that each layer of each step needs, for any batch size.

Imports errors and numpy only. Refuses traces whose shapes, ids or row counts contradict each other. Knows nothing about caches.

Routes of a request do not depend on which requests share its batch, so one trace serves every batch size: a step takes one decode token of
each request of the batch (or all prompt tokens of the batch in its prefill step), and an event is the union of their experts in one layer.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput, NotFound

Ints = NDArray[np.integer[Any]]


class TraceLike(Protocol):
    """What the replay needs of a routing trace: experts (T, L, K), request (T,), position (T,), is_decode (T,)."""

    @property
    def experts(self) -> Ints: ...
    @property
    def request(self) -> Ints: ...
    @property
    def position(self) -> Ints: ...
    @property
    def is_decode(self) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class Routes:
    """A trace as plain arrays. experts int (T, L, K), request (T,), position (T,), is_decode (T,), tokens (T,) ids where known."""

    experts: Ints
    request: Ints
    position: Ints
    is_decode: NDArray[np.bool_]
    n_experts: int
    tokens: Ints | None = None

    @property
    def layers(self) -> int:
        return int(self.experts.shape[1])

    @property
    def chosen(self) -> int:
        return int(self.experts.shape[2])

    def take(self, requests: Ints) -> Routes:
        """The rows of the given requests only."""
        keep = np.isin(self.request, requests)
        return replace(
            self,
            experts=self.experts[keep],
            request=self.request[keep],
            position=self.position[keep],
            is_decode=self.is_decode[keep],
            tokens=None if self.tokens is None else self.tokens[keep],
        )


@dataclass(frozen=True)
class Events:
    """Event i is layer `layer[i]` of step `step[i]`; it needs ids[offsets[i]:offsets[i+1]] together.

    ids: layer * E + expert, ascending inside an event (A,); load: tokens routed to that expert in the event (A,); offsets (N+1,);
    rows/row_offsets: the trace rows of each step (S+1 offsets). Steps follow one another; every step has L events in layer order.
    """

    ids: NDArray[np.int32]
    load: NDArray[np.int32]
    offsets: NDArray[np.int64]
    layer: NDArray[np.int32]
    step: NDArray[np.int32]
    prefill: NDArray[np.bool_]  # (S,) per step
    step_tokens: NDArray[np.int32]  # (S,) tokens computed in the step
    step_group: NDArray[np.int32]  # (S,) which batch the step belongs to
    rows: NDArray[np.int64]
    row_offsets: NDArray[np.int64]
    layers: int
    experts: int

    def __len__(self) -> int:
        return len(self.layer)

    @property
    def steps(self) -> int:
        return len(self.prefill)

    def need(self) -> NDArray[np.int64]:
        """Experts needed by each event (N,)."""
        return np.diff(self.offsets)


def checked(trace: TraceLike, n_experts: int | None = None, tokens: Ints | None = None) -> Routes:
    """The trace as Routes; -1 marks a slot that was not computed. Raises LabInput for shapes, ids or rows that cannot be a routing trace."""
    experts, request, position = np.asarray(trace.experts), np.asarray(trace.request), np.asarray(trace.position)
    if experts.ndim != 3 or 0 in experts.shape:
        raise LabInput(f"The trace's experts have shape {experts.shape}, not (tokens, layers, chosen).", mend="Record it again.")
    rows = len(experts)
    decode = np.asarray(trace.is_decode) if getattr(trace, "is_decode", None) is not None else np.ones(rows, bool)
    for name, column in (("request", request), ("position", position), ("is_decode", decode)):
        if column.shape != (rows,):
            raise LabInput(f"The trace is truncated: {rows} rows of experts but {column.shape} of {name}.", mend="Record it again.")
    if not np.issubdtype(experts.dtype, np.integer):
        raise LabInput(f"The trace's experts are {experts.dtype}, not integers.", mend="Record expert ids, not probabilities.")
    top = int(experts.max())
    size = n_experts or int(getattr(trace, "num_experts", 0)) or top + 1
    if int(experts.min()) < -1 or top >= size or top < 0:
        raise LabInput(f"The trace holds expert ids {experts.min()}..{top} for {size} experts.", mend="Was it recorded from this model?")
    if experts.shape[2] > 1:
        ordered = np.sort(experts, axis=2)
        twice = ((ordered[:, :, 1:] == ordered[:, :, :-1]) & (ordered[:, :, 1:] >= 0)).any(axis=(1, 2))
        if twice.any():
            raise LabInput(
                f"Row {int(np.argmax(twice))} of the trace names one expert twice in a layer.", mend="Record distinct top-k ids."
            )
    found = tokens if tokens is not None else getattr(trace, "token_id", None)
    return Routes(experts, request, position, decode.astype(bool), size, None if found is None else np.asarray(found))


def to_events(
    routes: Routes, *, batch: int, order: Ints | None = None, interleave: int = 1, groups: list[list[int]] | None = None
) -> Events:
    """Batches requests (in `order`, default first come first served; or in the given `groups`) and unites their experts per layer-step.

    interleave: how many batches run turn by turn (2 is the dual-batch pipeline of ExpertFlow A, arXiv 2410.17954 §4).
    Raises LabInput for a batch or interleave below 1.
    """
    if batch < 1 or interleave < 1:
        raise LabInput(f"Batch {batch} and interleave {interleave} must be at least 1.")
    if groups is None:
        seen = _first_seen(routes.request) if order is None else np.asarray(order)
        groups = [[int(r) for r in seen[i : i + batch]] for i in range(0, len(seen), batch)]
    group_of = np.full(int(routes.request.max()) + 1, -1, np.int64)
    for g, members in enumerate(groups):
        group_of[members] = g
    row_group = group_of[routes.request]
    rank = _decode_rank(routes)
    turn = np.lexsort((np.arange(len(rank)), row_group % interleave, rank, row_group // interleave))
    turn = turn[row_group[turn] >= 0]
    key = np.stack([row_group[turn], rank[turn]], axis=1)
    fresh = np.ones(len(turn), bool)
    fresh[1:] = (key[1:] != key[:-1]).any(axis=1)
    row_step = np.cumsum(fresh) - 1
    first = np.flatnonzero(fresh)
    steps, layers, size = len(first), routes.layers, routes.n_experts
    chosen = routes.experts[turn].astype(np.int64)
    flat = chosen + (np.arange(layers) * size)[None, :, None] + (row_step * (layers * size))[:, None, None]
    unique, load = np.unique(flat[chosen >= 0], return_counts=True)
    event = unique // size
    offsets = np.searchsorted(event, np.arange(steps * layers + 1))
    return Events(
        ids=(unique % (layers * size)).astype(np.int32),
        load=load.astype(np.int32),
        offsets=offsets.astype(np.int64),
        layer=np.tile(np.arange(layers, dtype=np.int32), steps),
        step=np.repeat(np.arange(steps, dtype=np.int32), layers),
        prefill=rank[turn][first] == 0,
        step_tokens=np.diff(np.append(first, len(turn))).astype(np.int32),
        step_group=row_group[turn][first].astype(np.int32),
        rows=turn.astype(np.int64),
        row_offsets=np.append(first, len(turn)).astype(np.int64),
        layers=layers,
        experts=size,
    )


def from_sets(sets: list[list[int]], *, layers: int, experts: int) -> Events:
    """Events from explicit expert sets, in order step 0 layer 0, step 0 layer 1, ...; for hand-made traces and tests."""
    if len(sets) % layers:
        raise LabInput(f"{len(sets)} events do not fill whole steps of {layers} layers: the trace is truncated.", mend="Record it again.")
    steps = len(sets) // layers
    ids = [sorted(set(s)) for s in sets]
    if any(e < 0 or e >= experts for s in ids for e in s):
        raise LabInput(f"An expert id lies outside 0..{experts - 1}.", mend="Was it recorded from this model?")
    flat = np.array([(i % layers) * experts + e for i, s in enumerate(ids) for e in s], np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in ids])]).astype(np.int64)
    return Events(
        ids=flat,
        load=np.ones(len(flat), np.int32),
        offsets=offsets,
        layer=np.tile(np.arange(layers, dtype=np.int32), steps),
        step=np.repeat(np.arange(steps, dtype=np.int32), layers),
        prefill=np.zeros(steps, bool),
        step_tokens=np.ones(steps, np.int32),
        step_group=np.zeros(steps, np.int32),
        rows=np.arange(steps, dtype=np.int64),
        row_offsets=np.arange(steps + 1, dtype=np.int64),
        layers=layers,
        experts=experts,
    )


def read_csv(folder: Path) -> tuple[Events, dict[str, Any]]:
    """A hand-checkable trace: events.csv (layer, requested_experts) and manifest.json (layout of arXiv 2608.07911's toy trace)."""
    if not (folder / "events.csv").is_file() or not (folder / "manifest.json").is_file():
        raise NotFound(f"{folder} has no events.csv with manifest.json.")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    with (folder / "events.csv").open(encoding="utf-8", newline="") as handle:
        rows = sorted(csv.DictReader(handle), key=lambda r: int(r["event_index"]))
    shape = manifest["model"]
    sets = [[int(e) for e in row["requested_experts"].split()] for row in rows]
    return from_sets(sets, layers=shape["num_layers"], experts=shape["num_experts_per_layer"]), manifest


def sequential(events: Events) -> Events:
    """Every access as an event of its own: the replay that publishes wrong rankings, kept only to show the contrast."""
    count = events.need()
    accesses = len(events.ids)
    return replace(
        events,
        offsets=np.arange(accesses + 1, dtype=np.int64),
        layer=np.repeat(events.layer, count),
        step=np.repeat(events.step, count),
    )


def slots_per_layer(experts: int, fraction: float) -> int:
    """Slots per layer for a cache of this share of all experts. Raises LabInput outside 0..1."""
    if not 0.0 <= fraction <= 1.0:
        raise LabInput(f"A cache of {fraction:g} of all experts is not between 0 and 1.")
    return int(round(fraction * experts))


def popularity(events: Events) -> NDArray[np.float64]:
    """Share of the steps in which each expert is needed (L*E,)."""
    return np.bincount(events.ids, minlength=events.layers * events.experts) / max(1, events.steps)


def pressure(events: Events, capacity_per_layer: float) -> dict[str, float]:
    """Mean of |experts needed| / capacity per event, and the share of events above 1 (capacity per layer)."""
    ratio = events.need() / max(capacity_per_layer, 1e-9)
    return {"mean": float(ratio.mean()), "share_above_one": float((ratio > 1).mean())}


def _first_seen(request: Ints) -> Ints:
    values, first = np.unique(request, return_index=True)
    return values[np.argsort(first, kind="stable")]


def _decode_rank(routes: Routes) -> NDArray[np.int64]:
    """0 for prompt tokens, 1, 2, ... for the decode tokens of each request in order of position."""
    rank = np.zeros(len(routes.request), np.int64)
    rows = np.flatnonzero(routes.is_decode)
    rows = rows[np.lexsort((routes.position[rows], routes.request[rows]))]
    if len(rows) == 0:
        return rank
    request = routes.request[rows]
    start = np.ones(len(rows), bool)
    start[1:] = request[1:] != request[:-1]
    begin = np.maximum.accumulate(np.where(start, np.arange(len(rows)), 0))
    rank[rows] = np.arange(len(rows)) - begin + 1
    return rank
