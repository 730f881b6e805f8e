"""Expert compute: tokens sorted by expert, one matrix product per hit expert, deterministic weighted sum.

Imports torch only. Refuses to route: expert ids and weights come as given. Never gathers expert matrices per token.
Axis letters: T tokens, K slots per token, S = T*K slots, D width, E experts, F expert width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def swiglu_experts(
    x_TD: Tensor,
    idx_TK: Tensor,
    weight_TK: Tensor,
    gate_up_EGD: Tensor,
    down_EDF: Tensor,
    computed_TK: Tensor | None = None,
) -> Tensor:
    """sum_k weight[t,k] * down_e( silu(gate_e x_t) * up_e x_t ), e = idx[t,k]; slots where computed_TK is False add nothing.

    gate_up_EGD: (E, 2F, D), gate rows first. down_EDF: (E, D, F). Returns (T, D) in x's dtype.
    Deterministic: the sum over K runs in slot order.
    """
    experts = gate_up_EGD.shape[0]
    if experts == 1 and idx_TK.shape[1] == 1 and computed_TK is None:
        return _expert(x_TD, gate_up_EGD[0], down_EDF[0]) * weight_TK.to(x_TD.dtype)
    if x_TD.is_cuda and computed_TK is None and x_TD.dtype == torch.bfloat16 and not torch.is_grad_enabled():
        return _grouped_cuda(x_TD, idx_TK, weight_TK, gate_up_EGD, down_EDF)
    return _sorted_loop(x_TD, idx_TK, weight_TK, gate_up_EGD, down_EDF, computed_TK)


def _expert(x_ND: Tensor, gate_up_GD: Tensor, down_DF: Tensor) -> Tensor:
    gate_NF, up_NF = F.linear(x_ND, gate_up_GD).chunk(2, dim=-1)
    return F.linear(F.silu(gate_NF) * up_NF, down_DF)


def _sorted_loop(
    x_TD: Tensor, idx_TK: Tensor, weight_TK: Tensor, gate_up_EGD: Tensor, down_EDF: Tensor, computed_TK: Tensor | None
) -> Tensor:
    tokens, slots = idx_TK.shape
    expert_S = idx_TK.reshape(-1)
    if computed_TK is not None:
        # Slots that are not computed sort behind the last expert and are cut off.
        expert_S = torch.where(computed_TK.reshape(-1), expert_S, gate_up_EGD.shape[0])
    sorted_S, order_S = torch.sort(expert_S, stable=True)
    counts = torch.bincount(sorted_S, minlength=gate_up_EGD.shape[0] + 1).tolist()
    used = tokens * slots - counts[-1]
    order_S = order_S[:used]
    x_SD = x_TD.index_select(0, torch.div(order_S, slots, rounding_mode="floor"))
    # unbind once: indexing w[e] in the loop would make autograd allocate a full (E, ...) zero gradient per expert.
    ups, downs = gate_up_EGD.unbind(0), down_EDF.unbind(0)
    parts = [_expert(x_ND, ups[e], downs[e]) for e, x_ND in zip(_hit(counts), x_SD.split([c for c in counts[:-1] if c]), strict=True)]
    y_SD = x_TD.new_zeros(tokens * slots, x_TD.shape[1])
    if parts:
        y_SD = y_SD.index_copy(0, order_S, torch.cat(parts))
    weight_TK = weight_TK.to(x_TD.dtype)
    if computed_TK is not None:
        weight_TK = weight_TK * computed_TK
    return torch.bmm(weight_TK.unsqueeze(1), y_SD.view(tokens, slots, -1)).squeeze(1)


def _hit(counts: list[int]) -> list[int]:
    return [e for e, c in enumerate(counts[:-1]) if c]


def _grouped_cuda(x_TD: Tensor, idx_TK: Tensor, weight_TK: Tensor, gate_up_EGD: Tensor, down_EDF: Tensor) -> Tensor:
    """One grouped product per projection, no host synchronisation; needs bf16 and torch >= 2.8."""
    tokens, slots = idx_TK.shape
    grouped = getattr(F, "grouped_mm", None) or torch._grouped_mm
    sorted_S, order_S = torch.sort(idx_TK.reshape(-1), stable=True)
    offsets_E = torch.searchsorted(sorted_S, torch.arange(gate_up_EGD.shape[0], device=x_TD.device), right=True).to(torch.int32)
    x_SD = x_TD.index_select(0, torch.div(order_S, slots, rounding_mode="floor"))
    gate_SF, up_SF = grouped(x_SD, gate_up_EGD.transpose(1, 2), offs=offsets_E).chunk(2, dim=-1)
    y_SD = grouped(F.silu(gate_SF) * up_SF, down_EDF.transpose(1, 2), offs=offsets_E)
    out_SD = torch.empty_like(y_SD).index_copy_(0, order_S, y_SD)
    return torch.bmm(weight_TK.to(x_TD.dtype).unsqueeze(1), out_SD.view(tokens, slots, -1)).squeeze(1)
