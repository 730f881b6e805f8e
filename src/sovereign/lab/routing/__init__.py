"""Routers, one file each, behind one Protocol: which experts a token visits, with what weight, and what that costs.

Imports torch and errors. Refuses to know the model: a router sees tokens and their context, never an expert's parameters.

Axis letters: T tokens (of all samples together), D width, E experts (real ones first, virtual ones after), K slots per token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

TEXT, VISION = 0, 1  # the two modalities, everywhere in the lab


@dataclass(frozen=True)
class RouterContext:
    """What a router may look at besides the tokens. Everything that is None is unknown, and a router that needs it refuses.

    layer: 0-based. modality_T: long, TEXT or VISION. attention_BHSS: this layer's attention rows (sum to 1), with B * S = T.
    attention_norm_T and residual_norm_T: Euclidean norms of the attention output and of the residual stream it was added to.
    step: optimiser steps done. sample_T: long, which sample each token belongs to, of `samples`. keep_T: bool, False for padding (routed,
    never counted). token_T: long, the identity of each token (text: vocabulary id). score_TM: soft modality scores after the layer below.
    """

    layer: int
    modality_T: Tensor | None = None
    attention_BHSS: Tensor | None = None
    attention_norm_T: Tensor | None = None
    residual_norm_T: Tensor | None = None
    training: bool = False
    step: int = 0
    sample_T: Tensor | None = None
    keep_T: Tensor | None = None
    samples: int | None = None
    token_T: Tensor | None = None
    score_TM: Tensor | None = None


@dataclass(frozen=True)
class Routing:
    """The decision for T tokens.

    idx_TK: long, in [0, E); slots that are masked out hold any valid id. weight_TK: gate weight of each slot; 0 where masked out.
    probs_TE: the router's full distribution (rows sum to 1), for load balance and analysis. mask_TK: bool, True where the slot is used;
    None means all are. is_virtual_TK: bool, True where the slot is an identity that costs no expert; None means none are.
    aux: named scalars (losses, to be weighted and summed by the trainer) and tensors of the decision (modality scores, importance).
    """

    idx_TK: Tensor
    weight_TK: Tensor
    probs_TE: Tensor
    mask_TK: Tensor | None = None
    is_virtual_TK: Tensor | None = None
    aux: dict[str, Tensor] = field(default_factory=dict)


class Router(Protocol):
    """x_TD -> Routing. Implementations are torch modules; their losses come back in `aux` under names that end in `_loss`."""

    def __call__(self, x_TD: Tensor, context: RouterContext) -> Routing: ...
