"""What several routers share: the specification, choosing slots, statistics over tokens, and the balance loss.

Imports torch, errors and the protocol. Refuses data-dependent shapes: everything here runs under torch.vmap over replicas.
Axis letters: T tokens, D width, E experts, K slots, M modalities, B bins, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing


@dataclass(frozen=True)
class RouterSpec:
    """A router as data. width D, experts E (real ones), slots K per token (the budget), layers L; `options` are the strategy's own.

    Raises LabInput where no router could work: fewer experts than slots, no slot, no width.
    """

    strategy: str
    width: int
    experts: int
    slots: int
    layers: int = 1
    options: Mapping[str, float | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.width < 1 or self.experts < 1 or self.layers < 1:
            raise LabInput(
                f"A router of width {self.width}, {self.experts} experts and {self.layers} layers is empty.", mend="Give positive sizes."
            )
        if self.slots < 1:
            raise LabInput(f"{self.slots} slots leave every token without an expert.", mend="Choose at least one slot.")
        if self.slots > self.experts:
            raise LabInput(f"{self.slots} slots but only {self.experts} experts.", mend="Choose slots <= experts.")

    def number(self, name: str, default: float) -> float:
        value = self.options.get(name, default)
        if isinstance(value, str):
            raise LabInput(f"Option {name} of {self.strategy} must be a number, not {value!r}.", mend="Give a number.")
        return float(value)

    def word(self, name: str, default: str, known: tuple[str, ...]) -> str:
        value = str(self.options.get(name, default))
        if value not in known:
            raise LabInput(f"Option {name} of {self.strategy} is {value!r}.", mend=f"Known: {', '.join(known)}.")
        return value


class Gate(nn.Module):
    """W x without bias, logits in fp32."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, width) * width**-0.5)

    def forward(self, x_TD: Tensor) -> Tensor:
        return nn.functional.linear(x_TD, self.weight).float()


def needs_modality(strategy: str, context: RouterContext) -> Tensor:
    if context.modality_T is None:
        raise LabInput(f"Strategy {strategy} needs the modality of each token.", mend="Pass modality_T (0 text, 1 vision).")
    return context.modality_T


def choose(logits_TE: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """The K best experts and their weights, a softmax over the chosen logits (rows sum to 1)."""
    best_TK, idx_TK = logits_TE.topk(slots, dim=-1)
    return idx_TK, best_TK.softmax(-1)


def keep_weight(context: RouterContext, x_TD: Tensor) -> Tensor:
    """float (T,): 1 for real tokens, 0 for padding."""
    return torch.ones_like(x_TD[:, 0], dtype=torch.float32) if context.keep_T is None else context.keep_T.float()


def used_slots(routing: Routing) -> Tensor:
    """float (T, K): 1 where a slot is used, real or virtual."""
    return torch.ones_like(routing.weight_TK) if routing.mask_TK is None else routing.mask_TK.to(routing.weight_TK.dtype)


def real_slots(routing: Routing) -> Tensor:
    """float (T, K): 1 where a slot runs an expert with weights."""
    used_TK = used_slots(routing)
    return used_TK if routing.is_virtual_TK is None else used_TK * (~routing.is_virtual_TK).to(used_TK.dtype)


def spread(values_TK: Tensor, idx_TK: Tensor, experts: int) -> Tensor:
    """values_TK put at their experts: (T, E); slots of one token that name the same expert add up."""
    return torch.zeros_like(values_TK[:, :1]).expand(-1, experts).scatter_add(1, idx_TK, values_TK)


def balance_loss(probs_TE: Tensor, chosen_TE: Tensor, keep_T: Tensor) -> Tensor:
    """E * sum_e f_e P_e, f the share of slots, P the mean probability (arXiv 2101.03961, eq. 4); 1 at perfect balance.

    Deviation: f is a share of all used slots, so the value does not depend on K. chosen_TE is 1 where a token uses an expert.
    """
    counts_E = (chosen_TE * keep_T[:, None]).sum(0)
    share_E = counts_E / counts_E.sum().clamp_min(1e-9)
    mean_E = (probs_TE * keep_T[:, None]).sum(0) / keep_T.sum().clamp_min(1.0)
    return probs_TE.shape[-1] * (share_E.detach() * mean_E).sum()


def z_loss(logits_TE: Tensor) -> Tensor:
    """Mean squared log-sum-exp of the router logits (arXiv 2202.08906, eq. 5)."""
    return logits_TE.logsumexp(-1).square().mean()


def topk_routing(logits_TE: Tensor, slots: int, context: RouterContext, x_TD: Tensor) -> Routing:
    """Plain top-k over logits, with the balance loss when training."""
    probs_TE = logits_TE.softmax(-1)
    idx_TK, weight_TK = choose(logits_TE, slots)
    aux: dict[str, Tensor] = {}
    if context.training:
        chosen_TE = spread(torch.ones_like(weight_TK), idx_TK, logits_TE.shape[-1])
        aux["balance_loss"] = balance_loss(probs_TE, chosen_TE, keep_weight(context, x_TD))
    return Routing(idx_TK, weight_TK, probs_TE, aux=aux)


def one_hot_modality(modality_T: Tensor) -> Tensor:
    """(T,) -> float (T, 2): text in column 0, vision in column 1."""
    return torch.stack((modality_T == 0, modality_T == 1), dim=-1).float()


def sample_sums(values_TX: Tensor, context: RouterContext) -> Tensor:
    """Sums over the tokens of each sample: (S, X). Without sample_T all tokens are one sample."""
    if context.sample_T is None:
        return values_TX.sum(0, keepdim=True)
    samples = context.samples if context.samples is not None else int(context.sample_T.max()) + 1
    zero_SX = torch.zeros_like(values_TX[:1]).expand(samples, -1)
    return zero_SX.index_add(0, context.sample_T, values_TX)
