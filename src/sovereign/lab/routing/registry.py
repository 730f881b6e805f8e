"""The names of the routing strategies and how a specification becomes a router.

Imports errors; a router's module is imported when it is built. Refuses unknown names (UnknownName, with the known ones).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from sovereign.errors import LabInput, UnknownName
from sovereign.lab.routing.common import RouterSpec

# strategy -> (module, class, options that the name implies)
STRATEGIES: dict[str, tuple[str, str, Mapping[str, float | int | str]]] = {
    "dense": ("dense", "DenseRouter", {}),
    "topk": ("topk", "TopKRouter", {}),
    "expert_choice": ("expert_choice", "ExpertChoiceRouter", {}),
    "hash": ("hash", "HashRouter", {}),
    "hard": ("groups", "HardRouter", {}),
    "hybrid": ("groups", "HybridRouter", {}),
    "kl": ("kl", "KLRouter", {}),
    "smoes": ("smoes", "SmoesRouter", {"score": "attention"}),
    "smoes_gaussian": ("smoes", "SmoesRouter", {"score": "gaussian"}),
    "smoes_gmm": ("smoes", "SmoesRouter", {"score": "gaussian", "components": 3}),
    "smoes_hard": ("smoes", "SmoesRouter", {"score": "hard"}),
    "smoes_fixed": ("smoes", "SmoesRouter", {"score": "attention", "binning": "fixed"}),
    "anyexperts": ("anyexperts", "AnyExpertsRouter", {}),
    "anyexperts_even": ("anyexperts", "AnyExpertsRouter", {"no_importance": 1}),
    "topp": ("topp", "TopPRouter", {}),
}

# Strategies whose losses or decisions need this layer's attention while training.
NEEDS_ATTENTION = ("smoes", "smoes_fixed")


def check_strategy(name: str) -> str:
    if name not in STRATEGIES:
        raise UnknownName("routing strategy", name, tuple(STRATEGIES))
    return name


def build(spec: RouterSpec, layer: int = 0) -> nn.Module:
    """A router for one layer. Raises UnknownName, and LabInput for a specification that the strategy cannot serve."""
    if not 0 <= layer < spec.layers:
        raise LabInput(f"Layer {layer} is outside a model of {spec.layers} layers.", mend="Count layers from 0.")
    module, name, implied = STRATEGIES[check_strategy(spec.strategy)]
    router: nn.Module = getattr(importlib.import_module(f"sovereign.lab.routing.{module}"), name)(
        replace(spec, options={**implied, **spec.options}), layer
    )
    return router
