"""The registry of caching policies: one file each, imported when used.

Imports errors and the mechanisms of lab.caching. Refuses names it does not know. A policy turns a Case into a Strategy; it never looks at
the future of the trace unless it says that it is an oracle (`ORACLE = True`).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput, UnknownName
from sovereign.lab.caching.events import Events, slots_per_layer
from sovereign.lab.caching.forecast import Forecast
from sovereign.lab.caching.timeline import Costs, Strategy

POLICIES: dict[str, str] = {
    name: f"sovereign.lab.caching.policies.{name}"
    for name in (
        "all_resident",
        "on_demand",
        "static_frequency",
        "lru",
        "lru_global",
        "lru_speculative",
        "lfu",
        "lfru",
        "s3_fifo",
        "arc",
        "least_stale",
        "se_moe_ring",
        "pregated_oracle",
        "pregated_probe",
        "expertflow_a",
        "expertflow_a_refined",
        "expertflow_b",
        "belady",
        "belady_forced",
        "oracle_prefetch",
    )
}


@dataclass(frozen=True)
class Case:
    """What a policy may look at. fraction: cache size as a share of all experts.

    popularity (L*E,): share of steps that use an expert, counted on other requests than these (None: unknown, policies that need it refuse).
    forecasts: what predictors say about these rows: "path" (whole path at the step's start), "path_next" (the path after the current
    token, before that token is known), "gate_1".."gate_D" (from hidden states d layers early), "speculative" (next layer's gate on this
    layer's state), "pregate" (a learned probe one block early). dual: two batches take turns in `events`.
    """

    events: Events
    fraction: float
    costs: Costs
    popularity: NDArray[np.float64] | None = None
    forecasts: dict[str, Forecast] = field(default_factory=dict)
    dual: bool = False

    @property
    def per_layer(self) -> int:
        return slots_per_layer(self.events.experts, self.fraction)

    @property
    def in_all(self) -> int:
        return self.per_layer * self.events.layers

    def known_popularity(self, policy: str) -> NDArray[np.float64]:
        """Raises LabInput where none was counted."""
        if self.popularity is None:
            raise LabInput(f"{policy} needs expert frequencies from other requests.", mend="Give a training trace.")
        return self.popularity

    def forecast(self, name: str, policy: str) -> Forecast:
        """Raises LabInput where no such predictor was run."""
        if name not in self.forecasts:
            raise LabInput(
                f"{policy} needs the forecast {name!r}, which this trace does not have.", mend="Known: see lab.caching.predictors."
            )
        return self.forecasts[name]


class Policy(Protocol):
    NAME: str
    ORACLE: bool

    def prepare(self, case: Case) -> Strategy: ...


def load(name: str) -> Policy:
    """Raises UnknownName with the known policies."""
    if name not in POLICIES:
        raise UnknownName("caching policy", name, tuple(POLICIES))
    policy: Policy = importlib.import_module(POLICIES[name])  # type: ignore[assignment]
    return policy


def prepare(name: str, case: Case) -> Strategy:
    return load(name).prepare(case)
