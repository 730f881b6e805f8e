"""The time line: one compute engine and one link to the slow tier; misses and prefetches become TTFT, TPOT, stall, bytes and peak memory.

Imports errors, numpy and the compiled kernel. Everything it returns is modelled from declared constants; it measures nothing.

The model. A step runs its layers in order: attention and gate, then the experts that the gate chose. The link copies one expert at a time
(latency + bytes / bandwidth), first what the current event misses, then prefetches, nearest target first; a copy that has started is never
interrupted. Experts that are present are computed while missing ones arrive (`overlap`), late and missing ones in order of arrival. A
prefetch takes a slot when its copy starts and never the slot of an expert that the current event needs, of one still arriving, or (with
`protect`) of one predicted to be needed no later than its own target. Wrong predictions are dropped when the true gate is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput
from sovereign.lab.caching import kernel
from sovereign.lab.caching.events import Events, from_sets
from sovereign.lab.caching.simulate import LFRU_DECAY, next_use

STAGING = 2  # streamed experts pass through a double buffer


@dataclass(frozen=True)
class Costs:
    """Declared constants of a machine and a model. Times in seconds, sizes in bytes, bandwidth in bytes per second."""

    bandwidth: float
    expert_bytes: int
    latency_s: float = 0.0
    attention_s: float = 0.0  # per event: attention, norms, gate
    attention_token_s: float = 0.0  # and per token of the step
    expert_s: float = 0.0  # per expert computed in an event
    expert_token_s: float = 0.0  # and per token routed to it
    head_s: float = 0.0  # per step: embedding, head, sampling
    other_bytes: int = 0  # weights that are always resident

    def checked(self) -> Costs:
        """Raises LabInput for a bandwidth of 0 or less, an expert without bytes, or a negative time."""
        if not self.bandwidth > 0.0:
            raise LabInput(f"A link of {self.bandwidth:g} bytes/s never delivers an expert.", mend="Give a bandwidth above 0.")
        if self.expert_bytes <= 0:
            raise LabInput(f"An expert of {self.expert_bytes} bytes does not exist.")
        times = (self.latency_s, self.attention_s, self.attention_token_s, self.expert_s, self.expert_token_s, self.head_s)
        if min(times) < 0.0 or not np.isfinite(times).all():
            raise LabInput("A cost of the time line is negative or not finite.")
        return self

    @property
    def transfer_s(self) -> float:
        return self.latency_s + self.expert_bytes / self.bandwidth


@dataclass(frozen=True)
class Predicted:
    """Who is expected where, and when that is known. Rows offsets[i]:offsets[i+1] become known at event i (N+1,).

    Row r says: event targets[r] (R,) will need ids[row_offsets[r]:row_offsets[r+1]], most likely first. A later row for the same target
    replaces an earlier one. Targets lie at most one step ahead.
    """

    offsets: NDArray[np.int64]
    targets: NDArray[np.int64]
    row_offsets: NDArray[np.int64]
    ids: NDArray[np.int32]

    @staticmethod
    def none(events: int) -> Predicted:
        zero = np.zeros(0, np.int64)
        return Predicted(np.zeros(events + 1, np.int64), zero, np.zeros(1, np.int64), np.zeros(0, np.int32))


@dataclass(frozen=True)
class Strategy:
    """What a policy decides once it has seen the case; the replay, the time line and the runtime all obey it.

    key: order of eviction (lru, lfu, lfru, static, belady, expected, stale, fifo), or queues (s3fifo, arc). slots: per layer, or in all for scope "global".
    weights (L*E,): popularity, for "static", and for "expected" without outlook. outlook (S, L*E): for "expected", the share of later steps
    expected to use each expert, known when a step begins. preload: ids resident before the first event.
    issue: predictions are known at the "start" of their event or after its "gate". horizon: events ahead that may be fetched.
    adaptive: the horizon follows stalls and wasted copies (ExpertFlow B). load_all: a layer waits for all its experts (SE-MoE ring).
    predictor_s: seconds per step (S,); `pipelined` hides them behind the step before (dual batch). predictor_bytes: resident memory of it.
    """

    name: str
    key: str = "lru"
    scope: str = "per_layer"
    slots: int = 0
    admission: str = "forced"
    weights: NDArray[np.float64] | None = None
    outlook: NDArray[np.float32] | None = None
    preload: NDArray[np.int32] | None = None
    predicted: Predicted | None = None
    issue: str = "start"
    horizon: int = 0
    adaptive: bool = False
    protect: bool = True
    load_all: bool = False
    overlap: bool = True
    predictor_s: NDArray[Any] | None = None
    pipelined: bool = False
    predictor_bytes: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What the time line says. Times in seconds; every figure is modelled.

    hits: needed experts resident when the gate is known; late: still arriving; the rest are misses. transfers: copies by demand, by
    prefetch, and prefetched copies that left unused. peak_bytes: slots used, staging, predictor and always-resident weights.
    """

    policy: str
    accesses: int
    hits: int
    late: int
    misses: int
    demand: int
    prefetch: int
    wasted: int
    bypassed: int
    initial_load: int
    generated: int
    total_s: float
    stall_s: float
    ttft_s: float | None
    tpot_s: float | None
    tokens_per_s: float | None
    bytes_moved: int
    bytes_per_token: float | None
    peak_bytes: int
    horizon_mean: float
    predictor_s: float
    step_s: NDArray[np.float64] = field(repr=False)

    @property
    def hit_ratio(self) -> float:
        return self.hits / self.accesses

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, the arrays left out."""
        body = {k: v for k, v in self.__dict__.items() if k != "step_s"}
        return {**body, "hit_ratio": self.hit_ratio, "stall_share": self.stall_s / self.total_s if self.total_s else None}


FEEDBACK = 8  # stalls, or wasted copies, before the horizon moves by one. Ours: arXiv 2510.26730 prints no threshold.


INSTANT = Costs(bandwidth=float("inf"), expert_bytes=0)  # nothing takes time: for who asks only who sits where


def rules_of(strategy: Strategy, layers: int, experts: int, costs: Costs, feedback: int = FEEDBACK) -> kernel.Rules:
    """The strategy and the machine as the numbers that the kernel takes. Raises LabInput for an unknown key or slots that cannot be."""
    if strategy.key not in kernel.KEYS:
        raise LabInput(f"Unknown key {strategy.key!r}.", mend=f"Known: {', '.join(kernel.KEYS)}.")
    if strategy.slots < 0:
        raise LabInput(f"A cache of {strategy.slots} slots does not exist.")
    if strategy.key in ("s3fifo", "arc") and (strategy.admission == "bypass" or strategy.horizon or strategy.preload is not None):
        raise LabInput(f"{strategy.key} keeps queues of what was asked for; it takes no prefetch, preload or bypass.")
    groups = layers if strategy.scope == "per_layer" else 1
    return kernel.Rules(
        layers=layers,
        experts=experts,
        groups=groups,
        capacity=min(strategy.slots, layers * experts // groups),
        mode=kernel.KEYS[strategy.key],
        bypass=strategy.admission == "bypass",
        at_gate=strategy.issue == "gate",
        protect=strategy.protect,
        load_all=strategy.load_all,
        overlap=strategy.overlap,
        pipelined=strategy.pipelined,
        horizon=strategy.horizon,
        widest=max(1, layers - 1) if strategy.adaptive else 0,
        feedback=feedback,
        decay=LFRU_DECAY,
        transfer_s=float(costs.transfer_s),
        attention_s=float(costs.attention_s),
        attention_token_s=float(costs.attention_token_s),
        expert_s=float(costs.expert_s),
        expert_token_s=float(costs.expert_token_s),
        head_s=float(costs.head_s),
    )


def run(events: Events, strategy: Strategy, costs: Costs, *, feedback: int = FEEDBACK) -> Outcome:
    """Lays `events` on the time line under `strategy`. Raises LabInput for costs or slots that cannot be."""
    costs.checked()
    total = events.layers * events.experts
    rules = rules_of(strategy, events.layers, events.experts, costs, feedback)
    predicted = strategy.predicted or Predicted.none(len(events))
    held = np.zeros(0, np.int32) if strategy.preload is None else np.asarray(strategy.preload, np.int32)
    exposed, spent = _predictor_time(events, strategy)
    trace = kernel.Trace(
        events.ids,
        events.load,
        events.offsets,
        events.step_tokens,
        exposed,
        next_use(events) if strategy.key == "belady" else np.zeros(0, np.int64),
        predicted.offsets,
        predicted.targets,
        predicted.row_offsets,
        predicted.ids,
        outlook_of(strategy, events.steps, total),
    )
    state = kernel.fresh(rules, len(events), np.zeros(total) if strategy.weights is None else np.asarray(strategy.weights, np.float64))
    step_s, stall_s = np.zeros(events.steps), np.zeros(events.steps)
    scratch = [np.zeros(max(total, 1), np.int32) for _ in range(3)]
    kernel.timeline(trace, rules, state, held, *scratch, step_s, stall_s)
    return _outcome(events, strategy, costs, step_s, stall_s, state.tally, len(held), spent)


def compile_ahead() -> None:
    """Compiles the loops on a trace of one event: half a minute on a new machine, which a study spends while its model trains."""
    run(from_sets([[0]], layers=1, experts=2), Strategy("compile_ahead", key="lru", slots=1), Costs(bandwidth=1e9, expert_bytes=1))


def outlook_of(strategy: Strategy, steps: int, total: int) -> NDArray[np.float32]:
    """The strategy's outlook, no rows where it has none. Raises LabInput for one of another trace."""
    if strategy.outlook is None:
        return np.zeros((0, total), np.float32)
    if strategy.outlook.shape != (steps, total):
        raise LabInput(f"The outlook covers {strategy.outlook.shape}, the trace has {steps} steps of {total} experts.")
    return np.ascontiguousarray(strategy.outlook, np.float32)


def _predictor_time(events: Events, strategy: Strategy) -> tuple[NDArray[np.float64], float]:
    """Seconds of the predictor per step (S,), and their sum. The time line hides what runs behind the step before."""
    if strategy.predictor_s is None:
        return np.zeros(events.steps), 0.0
    spent = np.asarray(strategy.predictor_s, np.float64)
    if spent.shape != (events.steps,):
        raise LabInput(f"The predictor's time covers {spent.shape} steps, the trace has {events.steps}.")
    return spent, float(spent.sum())


def _outcome(
    events: Events,
    strategy: Strategy,
    costs: Costs,
    step_s: NDArray[np.float64],
    stall_s: NDArray[np.float64],
    counts: NDArray[np.int64],
    initial: int,
    predictor_s: float,
) -> Outcome:
    hits, late, misses, demand, prefetch, wasted, bypassed, peak_slots, streamed, horizon_sum = (int(c) for c in counts)
    decode, prefill = ~events.prefill, events.prefill
    total = float(step_s.sum())
    # a prefill step and every decode step give one token to each sequence of the batch
    sequences = _sequences(events)
    generated = int(sequences[decode].sum())
    ttft = float(np.average(_ttft(events, step_s))) if prefill.any() else None
    tpot = float(step_s[decode].sum() / decode.sum()) * _turns(events) if decode.any() else None
    moved = (demand + prefetch) * costs.expert_bytes
    return Outcome(
        policy=strategy.name,
        accesses=len(events.ids),
        hits=hits,
        late=late,
        misses=misses,
        demand=demand,
        prefetch=prefetch,
        wasted=wasted,
        bypassed=bypassed,
        initial_load=initial,
        generated=generated,
        total_s=total,
        stall_s=float(stall_s.sum()),
        ttft_s=ttft,
        tpot_s=tpot,
        tokens_per_s=generated / total if total and generated else None,
        bytes_moved=moved,
        bytes_per_token=moved / generated if generated else None,
        peak_bytes=(peak_slots + streamed) * costs.expert_bytes + strategy.predictor_bytes + costs.other_bytes,
        horizon_mean=horizon_sum / max(1, len(events)),
        predictor_s=predictor_s,
        step_s=step_s,
    )


def _sequences(events: Events) -> NDArray[np.int64]:
    """Sequences served by each step (S,): tokens of a decode step; a prefill step counts its batch's largest decode step."""
    size = np.zeros(int(events.step_group.max(initial=0)) + 1, np.int64)
    decode = ~events.prefill
    np.maximum.at(size, events.step_group[decode], events.step_tokens[decode])
    return np.where(decode, events.step_tokens, size[events.step_group])


def _turns(events: Events) -> float:
    """Batches that take turns: with a dual batch one sequence sees every second step."""
    changes = np.flatnonzero(np.diff(events.step_group) != 0)
    backwards = (np.diff(events.step_group) < 0).sum()
    return 2.0 if len(changes) and backwards > 0 else 1.0


def _ttft(events: Events, step_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds of the prefill step of each batch; waiting in the queue is not counted."""
    return step_s[events.prefill]
