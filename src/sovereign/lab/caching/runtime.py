"""A real two-tier run: the decoder's experts in a slow tier, a bounded fast tier, one copying thread, outputs equal bit for bit.

Imports torch, numpy, the decoder's dispatch, the tiers and the residency rules. Refuses to compute with weights that have not arrived: when
the copying thread dies or stalls, the run fails with one line. It measures; what is modelled is in timeline.py.

The main thread runs the model. At each gate it asks the residency what is present, computes that, and waits for the rest in order of
arrival; the sum over slots is made at the end in slot order, so the order of arrival cannot reach the output. The copying thread serves what the
gate misses first, then prefetches. On a GPU copies run on their own stream from pinned memory, and a buffer is copied over only after
the event that its last product recorded.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sovereign.errors import LabInput, SovereignError, TrialFailed
from sovereign.lab.caching import kernel
from sovereign.lab.caching.events import Events, Routes, to_events
from sovereign.lab.caching.residency import Gate, Residency
from sovereign.lab.caching.simulate import next_use
from sovereign.lab.caching.timeline import STAGING, Strategy
from sovereign.lab.model import Decoder, KVCache, computed_slots
from sovereign.lab.routing import Routing
from sovereign.lab.tiers import SlowTier

PATIENCE_S = 60.0  # a copy that takes longer than this has failed
ALIGN = 64  # bytes; buffers start on a cache line, as the stacked weights do


@dataclass(frozen=True)
class Measured:
    """One measured run. Times are wall-clock seconds; stall_s is what the main thread waited for copies. step_s per step, prefill first."""

    policy: str
    device: str
    slow_tier: str
    tokens: int
    seconds: float
    ttft_s: float
    tpot_s: float | None
    tokens_per_s: float
    stall_s: float
    hits: int
    late: int
    misses: int
    demand: int
    prefetch: int
    wasted: int
    bypassed: int
    bytes_moved: int
    bytes_per_token: float
    fast_tier_bytes: int
    initial_load: int
    predictor_s: float
    compute_s: float

    @property
    def hit_ratio(self) -> float:
        return self.hits / max(1, self.hits + self.late + self.misses)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "hit_ratio": self.hit_ratio}


class FastTier:
    """Buffers of one expert each: `capacity` slots and two for streaming; the copying thread that fills them."""

    def __init__(self, residency: Residency, slow: SlowTier, device: torch.device, patience_s: float = PATIENCE_S):
        layout = slow.layout
        self.layout, self.slow, self.device, self.patience_s = layout, slow, device, patience_s
        self.residency = residency
        step = -(-layout.nbytes // ALIGN) * ALIGN // layout.dtype.itemsize
        # without overlap one buffer streams: the next copy waits until the last one was used
        count = residency.capacity + (STAGING if residency.strategy.overlap else 1)
        try:
            self._pool = torch.empty(count * step, dtype=layout.dtype, device=device)
        except (RuntimeError, MemoryError) as exc:
            raise LabInput(
                f"A fast tier of {count} experts ({count * layout.nbytes} bytes) does not fit.", mend="Take a smaller cache fraction."
            ) from exc
        self._buffers = [self._pool[i * step : i * step + layout.numel] for i in range(count)]
        self.place = list(range(residency.capacity))  # slot -> buffer
        self.free = list(range(residency.capacity, count))  # buffers for streaming
        self.at: dict[int, int] = {}  # expert -> buffer, for what has arrived or is arriving
        self.complete: set[int] = set()
        self.demands: deque[tuple[int, int | None]] = deque()  # (expert, buffer or None: any free one)
        self.pinned: set[int] = set()  # what the running event needs, slot or no slot
        self.lock = threading.Condition()
        self.error: BaseException | None = None
        self.stopping = False
        self.copies = 0
        self._cuda = device.type == "cuda"
        self._stream: Any = torch.cuda.Stream(device) if self._cuda else None
        self._used: dict[int, Any] = {}  # buffer -> event recorded after its last product
        self.initial = 0
        for e, slot in residency.preload():
            self.slow.fetch(e, self._buffers[self.place[slot]])
            self.at[e] = self.place[slot]
            self.complete.add(e)
            self.initial += 1
        if self._cuda:
            torch.cuda.synchronize(device)
        self._thread = threading.Thread(target=self._work, name="expert-copies", daemon=True)
        self._thread.start()

    @property
    def nbytes(self) -> int:
        return len(self._buffers) * self.layout.nbytes

    def views(self, e: int) -> tuple[Tensor, Tensor]:
        return self.layout.views(self._buffers[self.at[e]])

    def begin(self, i: int) -> None:
        """Event i begins; what only the event before needed is let go."""
        with self.lock:
            self.pinned.clear()
            self._forget()
            self.residency.begin(i)
            self.lock.notify_all()

    def gate(self, i: int, needed: list[int], first_access: int) -> Gate:
        """Takes the gate's decision and queues what is missing; returns who is present."""
        with self.lock:
            self._check()
            found = self.residency.gate(i, needed, first_access)
            self.pinned = {*needed, *found.extra}
            for e, slot, inherits in found.demand:
                self.complete.discard(e)
                self.at.pop(e, None)
                # whose buffer is inherited only after use is streamed first and settles later
                self.demands.append((e, self.place[slot] if slot is not None and inherits is None else None))
            self._forget()
            self.residency.after_gate(i)
            self.lock.notify_all()
        return found

    def wait(self, e: int) -> None:
        """Until expert e has arrived. Raises TrialFailed when it cannot."""
        deadline = time.monotonic() + self.patience_s
        with self.lock:
            while e not in self.complete:
                self._check()
                if time.monotonic() > deadline:
                    raise TrialFailed(f"Expert {e} did not arrive within {self.patience_s:g} s.", mend="Check the slow tier.")
                self.lock.wait(0.2)

    def computed(self, e: int, slot: int | None, streamed: bool) -> None:
        """Expert e was multiplied. A streamed one settles in `slot`, whose old buffer becomes free, or gives its buffer back."""
        if self._cuda:
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self.device))
            self._used[self.at[e]] = event
        if not streamed:
            return
        with self.lock:
            if slot is not None and self.residency.state.where[e] >= 0:
                mine, old = self.at[e], self.place[slot]
                self.place[slot] = mine
                self.free.append(old)
            else:
                self.free.append(self.at.pop(e))
                self.complete.discard(e)
            self.lock.notify_all()

    def close(self) -> None:
        with self.lock:
            self.stopping = True
            self.lock.notify_all()
        self._thread.join(timeout=min(5.0, self.patience_s))

    def _forget(self) -> None:
        """Drops whoever has no slot and is not needed now; under the lock."""
        where = self.residency.state.where
        for e in [x for x in self.complete if where[x] < 0 and x not in self.pinned]:
            self.complete.discard(e)
            self.at.pop(e, None)

    def _check(self) -> None:
        if self.error is not None:
            if isinstance(self.error, SovereignError):
                raise self.error
            raise TrialFailed(
                f"The copying thread failed: {type(self.error).__name__}: {self.error}.", mend="Run it again."
            ) from self.error
        if not self._thread.is_alive() and not self.stopping:
            raise TrialFailed("The copying thread died, so missing experts would never arrive.", mend="Run it again.")

    def _next(self) -> tuple[int, int] | None:
        """(expert, buffer) to copy now, or None; under the lock."""
        if self.demands:
            e, buffer = self.demands[0]
            if buffer is None:
                if not self.free:
                    return None
                buffer = self.free.pop()
            self.demands.popleft()
            self.at[e] = buffer
            return e, buffer
        chosen = self.residency.next_prefetch()
        if chosen is None:
            return None
        e, slot = chosen
        self._forget()
        self.at[e] = self.place[slot]
        return e, self.place[slot]

    def _work(self) -> None:
        try:
            while True:
                with self.lock:
                    job = self._next()
                    while job is None and not self.stopping:
                        self.lock.wait(1.0)
                        job = self._next()
                    if self.stopping or job is None:
                        return
                e, buffer = job
                self._copy(e, buffer)
                with self.lock:
                    self.copies += 1
                    self.complete.add(e)
                    self.residency.arrived(e)
                    self.lock.notify_all()
        except (SovereignError, RuntimeError, OSError, ValueError, MemoryError, IndexError, KeyError) as exc:
            with self.lock:
                self.error = exc
                self.lock.notify_all()

    def _copy(self, e: int, buffer: int) -> None:
        if not self._cuda:
            self.slow.fetch(e, self._buffers[buffer])
            return
        with torch.cuda.device(self.device), torch.cuda.stream(self._stream):
            last = self._used.get(buffer)
            if last is not None:
                self._stream.wait_event(last)
            self.slow.fetch(e, self._buffers[buffer])
            arrived = torch.cuda.Event()
            arrived.record(self._stream)
            arrived.synchronize()


class TieredExperts(nn.Module):
    """Stands in for a layer's Experts: same sum, weights from the fast tier."""

    def __init__(self, layer: int, runner: Runner):
        super().__init__()
        self.layer = layer
        self.__dict__["runner"] = runner  # not a submodule

    def forward(self, x_TD: Tensor, routing: Routing) -> Tensor:
        return self.runner.event(self.layer, x_TD, routing.idx_TK, routing.weight_TK, computed_slots(routing))


class Runner:
    """Runs one strategy on one model. Use as a context: the model's own experts are put back at the end.

    recorded: the events of the same prompts, from an all-resident run; needed by oracles and by strategies with predictions, and every gate is
    then compared with it (a foreign trace is refused). predict: the predictor's own work, called once per step inside the measured time.
    """

    def __init__(
        self,
        model: Decoder,
        slow: SlowTier,
        strategy: Strategy,
        *,
        recorded: Events | None = None,
        predict: Callable[[Tensor], None] | None = None,
        device: torch.device | str = "cpu",
        patience_s: float = PATIENCE_S,
    ):
        layout = slow.layout
        if layout.experts < 2:
            raise LabInput("A model with one expert per layer has nothing to cache.")
        if (strategy.predicted is not None or strategy.key == "belady") and recorded is None:
            raise LabInput(f"{strategy.name} needs the events of a recorded run.", mend="Run the model all-resident first.")
        if recorded is not None and (recorded.layers, recorded.experts) != (layout.layers, layout.experts):
            raise LabInput("The recorded events are of another model.", mend="Record them from this one.")
        self.model, self.slow, self.strategy, self.recorded, self.predict = model, slow, strategy, recorded, predict
        self.device = torch.device(device)
        events = len(recorded) if recorded is not None else 1 << 40
        following = future = None
        if strategy.key == "belady" and recorded is not None:
            future = next_use(recorded)
            following = np.full(layout.total, len(recorded), np.int64)
            owner = np.repeat(np.arange(len(recorded)), recorded.need())
            following[recorded.ids[::-1]] = owner[::-1]
        self.residency = Residency(strategy, layout.layers, layout.experts, events, following, future)
        self.fast = FastTier(self.residency, slow, self.device, patience_s)
        self.count, self.accesses, self.stall_s, self.predictor_s, self.compute_s = 0, 0, 0.0, 0.0, 0.0
        self._own: list[nn.Module] = []

    def __enter__(self) -> Runner:
        for i, block in enumerate(self.model.layers):
            self._own.append(block.moe.experts)
            block.moe.experts = TieredExperts(i, self)
        return self

    def __exit__(self, *_: object) -> None:
        for block, own in zip(self.model.layers, self._own, strict=True):
            block.moe.experts = own
        self._own = []
        self.fast.close()

    def event(self, layer: int, x_TD: Tensor, idx_TK: Tensor, weight_TK: Tensor, computed_TK: Tensor | None) -> Tensor:
        """The layer's expert sum; the arithmetic of dispatch.sorted_loop, expert by expert as their weights are there."""
        tokens, slots = idx_TK.shape
        experts = self.slow.layout.experts
        expert_S = idx_TK.reshape(-1)
        if computed_TK is not None:
            expert_S = torch.where(computed_TK.reshape(-1), expert_S, experts)
        sorted_S, order_S = torch.sort(expert_S, stable=True)
        counts = torch.bincount(sorted_S, minlength=experts + 1).tolist()  # on a GPU the host waits here: the gate must be known
        used = tokens * slots - counts[-1]
        order_S = order_S[:used]
        x_SD = x_TD.index_select(0, torch.div(order_S, slots, rounding_mode="floor"))
        hit = [e for e, c in enumerate(counts[:-1]) if c]
        inputs = dict(zip(hit, x_SD.split([counts[e] for e in hit]), strict=True))
        parts = self._parts(layer, hit, inputs)
        y_SD = x_TD.new_zeros(tokens * slots, x_TD.shape[1])
        if hit:
            y_SD = y_SD.index_copy(0, order_S, torch.cat([parts[e] for e in hit]))
        weight_TK = weight_TK.to(x_TD.dtype)
        if computed_TK is not None:
            weight_TK = weight_TK * computed_TK
        return torch.bmm(weight_TK.unsqueeze(1), y_SD.view(tokens, slots, -1)).squeeze(1)

    def _parts(self, layer: int, hit: list[int], inputs: dict[int, Tensor]) -> dict[int, Tensor]:
        i, base = self.count, layer * self.slow.layout.experts
        needed = [base + e for e in hit]
        first = self._same_as_recorded(i, needed)
        found = self.fast.gate(i, needed, first)
        settle = {e: (slot, slot is None or inherits is not None) for e, slot, inherits in found.demand}
        outputs: dict[int, Tensor] = {}
        waited = 0.0
        if not self.strategy.overlap:
            waited += self._await([e for e in settle if not settle[e][1]])
        for e in [*found.present, *found.late, *settle]:
            if e not in self.fast.complete:
                waited += self._await([e])
            slot, streamed = settle.get(e, (None, False))
            if e - base in inputs:
                begin = time.perf_counter()
                gate_up, down = self.fast.views(e)
                gate_NF, up_NF = F.linear(inputs[e - base], gate_up).chunk(2, dim=-1)
                outputs[e - base] = F.linear(F.silu(gate_NF) * up_NF, down)
                self.compute_s += time.perf_counter() - begin
            self.fast.computed(e, slot, streamed)
        with self.fast.lock:
            self.residency.feedback(waited > 0.0)
        self.stall_s += waited
        self.count += 1
        self.accesses += len(needed)
        if (i + 1) % self.slow.layout.layers:
            self.fast.begin(i + 1)
        return outputs

    def _await(self, experts: list[int]) -> float:
        start = time.perf_counter()
        for e in experts:
            self.fast.wait(e)
        return time.perf_counter() - start

    def _same_as_recorded(self, i: int, needed: list[int]) -> int:
        if self.recorded is None:
            return self.accesses
        if i >= len(self.recorded):
            raise LabInput(f"The recorded run ends at event {len(self.recorded)}.", mend="Record the same number of tokens.")
        lo, hi = int(self.recorded.offsets[i]), int(self.recorded.offsets[i + 1])
        if self.recorded.ids[lo:hi].tolist() != needed:
            raise LabInput(f"Event {i} routes otherwise than the recorded run: the trace is foreign.", mend="Record it from this model.")
        return lo

    @torch.no_grad()
    def generate(self, tokens_BS: Tensor, max_new: int) -> tuple[Tensor, Tensor, Measured]:
        """Greedy decoding, timed. Returns tokens (B, S + max_new), the logits of every step (steps, B, V), and what was measured."""
        model = self.model
        cache = KVCache(model.config, tokens_BS.shape[0], tokens_BS.shape[1] + max_new, tokens_BS.device)
        out, step, logits, times = tokens_BS, tokens_BS, [], []
        self._sync()
        for _ in range(max_new):
            start = time.perf_counter()
            if self.predict is not None:
                self.predict(out)
                self.predictor_s += time.perf_counter() - start
            self.fast.begin(self.count)
            found = model(step, cache, last_only=True).logits_BSV[:, -1].float()
            step = found.argmax(-1, keepdim=True)
            self._sync()
            times.append(time.perf_counter() - start)
            out = torch.cat((out, step), dim=1)
            logits.append(found)
        return out, torch.stack(logits), self._measured(tokens_BS.shape[0], times)

    def _sync(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _measured(self, batch: int, times: list[float]) -> Measured:
        tally, nbytes = self.residency.state.tally, self.slow.layout.nbytes
        tokens, seconds = batch * len(times), sum(times)
        moved = self.fast.copies * nbytes
        return Measured(
            policy=self.strategy.name,
            device=str(self.device),
            slow_tier=self.slow.name,
            tokens=tokens,
            seconds=seconds,
            ttft_s=times[0],
            tpot_s=float(np.mean(times[1:])) if len(times) > 1 else None,
            tokens_per_s=tokens / seconds,
            stall_s=self.stall_s,
            hits=int(tally[kernel.HITS]),
            late=int(tally[kernel.LATE]),
            misses=int(tally[kernel.MISSES]),
            demand=int(tally[kernel.DEMAND]),
            prefetch=int(tally[kernel.PREFETCH]),
            wasted=int(tally[kernel.WASTED]),
            bypassed=int(tally[kernel.BYPASSED]),
            bytes_moved=moved,
            bytes_per_token=moved / tokens,
            fast_tier_bytes=self.fast.nbytes,
            initial_load=self.fast.initial,
            predictor_s=self.predictor_s,
            compute_s=self.compute_s,
        )


@torch.no_grad()
def record(model: Decoder, tokens_BS: Tensor, max_new: int) -> tuple[Tensor, Tensor, Routes]:
    """The all-resident run: tokens (B, S + max_new), logits of every step (steps, B, V), and its routes (the last token has none)."""
    cache = KVCache(model.config, tokens_BS.shape[0], tokens_BS.shape[1] + max_new, tokens_BS.device)
    batch, prompt = tokens_BS.shape
    rows: list[list[Tensor]] = [[] for _ in model.layers]
    out, step, logits = tokens_BS, tokens_BS, []
    for _ in range(max_new):
        found = (
            model(step, cache, last_only=True, router_hook=lambda i, r: rows[i].append(r.idx_TK.view(batch, -1, r.idx_TK.shape[-1])))
            .logits_BSV[:, -1]
            .float()
        )
        step = found.argmax(-1, keepdim=True)
        out = torch.cat((out, step), dim=1)
        logits.append(found)
    experts = torch.stack([torch.cat(layer, dim=1) for layer in rows], dim=2)
    length = experts.shape[1]
    return (
        out,
        torch.stack(logits),
        Routes(
            experts.flatten(0, 1).to(torch.int16).cpu().numpy(),
            np.repeat(np.arange(batch), length),
            np.tile(np.arange(length), batch),
            np.tile(np.arange(length) >= prompt, batch),
            model.config.experts,
            out[:, :length].reshape(-1).cpu().numpy(),
        ),
    )


def recorded_events(routes: Routes) -> Events:
    """The events of one batch that ran together."""
    return to_events(routes, batch=int(routes.request.max()) + 1)
