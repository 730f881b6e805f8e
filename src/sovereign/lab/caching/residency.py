"""Who sits in which buffer of a real fast tier: the replay's own rules, applied one event at a time while a model runs.

Imports errors, numpy and the compiled kernel, so that simulator and runtime cannot disagree. Refuses events out of order. Not thread-safe:
the runtime calls it under its lock. Times are binary here: a copy is complete or it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput
from sovereign.lab.caching import kernel
from sovereign.lab.caching.timeline import FEEDBACK, INSTANT, Predicted, Strategy, rules_of

ARRIVING, NOW = 2.0, 1.0  # `ready` of a copy under way, and the time it is compared with


@dataclass(frozen=True)
class Gate:
    """What an event finds. demand: (expert, slot or None for streamed, expert whose buffer it inherits only once that was computed, or None)."""

    present: list[int]
    late: list[int]
    demand: list[tuple[int, int | None, int | None]]
    extra: list[int]  # copied although not needed (load_all)


class Residency:
    """Slots are numbered through all groups: slot = group * capacity + place."""

    def __init__(self, strategy: Strategy, layers: int, experts: int, events: int, following: Any | None = None, future: Any | None = None):
        total = layers * experts
        if strategy.key == "belady" and (future is None or following is None):
            raise LabInput(f"{strategy.name} knows the future and needs a recorded trace.", mend="Run the model all-resident first.")
        self.strategy, self.events = strategy, events
        self.rules = rules_of(strategy, layers, experts, INSTANT)
        weights = np.zeros(total) if strategy.weights is None else np.asarray(strategy.weights, np.float64)
        self.state = kernel.fresh(self.rules, events, weights)
        if following is not None and strategy.key == "belady":
            self.state.following[:] = following
        self.future = np.zeros(0, np.int64) if future is None else np.asarray(future, np.int64)
        self.plan: Predicted | None = strategy.predicted
        self.reach, self.stalls, self.wasted_before = strategy.horizon, 0, 0
        self.first, self.stamp = 0, -1  # prefetches serve events from `first`; `stamp` marks what the running event needs
        self._cursor = (0, 0)  # the next entry to look at; every entry is tried once per part of an event
        self._scratch = [np.zeros(total, np.int32) for _ in range(2)]

    @property
    def capacity(self) -> int:
        """Slots in all."""
        return self.rules.capacity * self.rules.groups

    def preload(self) -> list[tuple[int, int]]:
        """(expert, slot) of what is resident before the first event."""
        held, st, ru = self.strategy.preload, self.state, self.rules
        placed = []
        for e in [] if held is None else [int(x) for x in held]:
            g = e // ru.experts if ru.groups > 1 else 0
            if st.used[g] < ru.capacity:
                st.slots[g, st.used[g]], st.where[e] = e, st.used[g]
                st.used[g] += 1
                placed.append((e, self.slot(e)))
        return placed

    def slot(self, e: int) -> int:
        ru = self.rules
        group = e // ru.experts if ru.groups > 1 else 0
        return group * ru.capacity + int(self.state.where[e])

    def begin(self, i: int) -> None:
        """Event i begins (attention runs): the event before holds nothing any more; predictions known at the start are taken."""
        self.first, self.stamp, self._cursor = i, -1, (i, 0)
        if i % self.rules.layers == 0 and self.strategy.outlook is not None:
            self._look(i // self.rules.layers, self.strategy.outlook)
        if not self.rules.at_gate:
            self._take(i)

    def gate(self, i: int, needed: list[int], first_access: int) -> Gate:
        """The gate of event i chose `needed` (flat ids, ascending); `first_access` is its first access in the trace (oracles)."""
        st, ru = self.state, self.rules
        s, layer = i // ru.layers, i % ru.layers
        group = layer if ru.groups > 1 else 0
        self.first, self.stamp, self._cursor = i + 1, i + 1, (i + 1, 0)
        if st.valid[s & 1, layer] == s:
            st.valid[s & 1, layer] = -1
        present: list[int] = []
        late: list[int] = []
        missed: list[int] = []
        for a, e in enumerate(needed):
            st.needed[e] = self.stamp
            (missed if st.where[e] < 0 else late if st.ready[e] > NOW else present).append(e)
            kernel.touch(e, first_access + a, i, self.events, ru, st, self.future)
        extra = []
        if ru.load_all:
            extra = [e for e in range(layer * ru.experts, (layer + 1) * ru.experts) if st.needed[e] != self.stamp and st.where[e] < 0]
            st.needed[layer * ru.experts : (layer + 1) * ru.experts] = self.stamp
        demand = self._admit(i, group, [*missed, *extra])
        tally = st.tally
        tally[kernel.HITS] += len(present)
        tally[kernel.LATE] += len(late)
        tally[kernel.MISSES] += len(missed)
        tally[kernel.DEMAND] += len(demand)
        return Gate(present, late, demand, extra)

    def _admit(self, i: int, group: int, wanted: list[int]) -> list[tuple[int, int | None, int | None]]:
        st, ru = self.state, self.rules
        if not wanted:
            return []
        missed = np.zeros(ru.layers * ru.experts, np.int32)
        missed[: len(wanted)] = wanted
        for e in wanted:
            st.order[e] = float(st.clock[0])
            st.clock[0] += 1
            st.score[e] = kernel.retention(e, i + 1, ru, st)
        kernel.rescore(group, i + 1, NOW, self.stamp, ru, st)
        free = ru.capacity - int(st.used[group])
        candidates, victims = self._scratch
        admitted, gone = kernel.seat(group, self.stamp, missed, len(wanted), candidates, victims, ru, st)
        st.tally[kernel.BYPASSED] += len(wanted) - admitted
        demand: list[tuple[int, int | None, int | None]] = []
        for j in range(len(wanted)):
            e = int(missed[j])
            if j >= admitted:
                demand.append((e, None, None))
                continue
            st.ready[e] = ARRIVING
            victim = int(victims[j - free]) if j >= free else None
            inherits = victim if victim is not None and st.needed[victim] == self.stamp else None
            demand.append((e, self.slot(e), inherits))
        for k in range(gone):
            if st.flag[victims[k]]:
                st.flag[victims[k]] = 0
                st.tally[kernel.WASTED] += 1
        return demand

    def after_gate(self, i: int) -> None:
        """Predictions that the gate's own state allows."""
        if self.rules.at_gate:
            self._take(i)

    def next_prefetch(self) -> tuple[int, int] | None:
        """(expert, slot) to copy next, or None."""
        if self.rules.capacity == 0 or self.reach == 0:
            return None
        target, entry = self._cursor
        e, target, entry = kernel.pick(target, entry, self.first, self.reach, self.events, NOW, self.stamp, self.rules, self.state)
        self._cursor = (target, entry)
        if e < 0:
            return None
        self.state.ready[e] = ARRIVING
        return int(e), self.slot(int(e))

    def arrived(self, e: int) -> None:
        self.state.ready[e] = 0.0

    def feedback(self, stalled: bool) -> None:
        """The horizon of ExpertFlow B after an event."""
        self.state.tally[kernel.HORIZON] += self.reach
        self.state.tally[kernel.PEAK] = max(int(self.state.tally[kernel.PEAK]), int(self.state.used.sum()))
        if self.rules.widest == 0:
            return
        self.stalls += stalled
        wasted = int(self.state.tally[kernel.WASTED])
        if self.stalls >= FEEDBACK:
            self.reach = min(self.reach + 1, self.rules.widest)
        elif wasted - self.wasted_before >= FEEDBACK:
            self.reach = max(self.reach - 1, 1)
        else:
            return
        self.stalls, self.wasted_before = 0, wasted

    def _look(self, step: int, outlook: NDArray[np.float32]) -> None:
        if step >= len(outlook):
            raise LabInput(f"The recorded run ends at step {step}.", mend="Record the same number of tokens.")
        self.state.share[:] = outlook[step]

    def _take(self, i: int) -> None:
        plan = self.plan
        if plan is None:
            return
        if i + 1 >= len(plan.offsets):
            raise LabInput(f"The recorded run ends at event {i}.", mend="Record the same number of tokens.")
        for r in range(int(plan.offsets[i]), int(plan.offsets[i + 1])):
            kernel.take_row(plan.targets[r], plan.ids, plan.row_offsets[r], plan.row_offsets[r + 1], self.rules, self.state)
