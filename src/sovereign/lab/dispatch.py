"""Expert compute: tokens sorted by expert, one matrix product per hit expert, deterministic weighted sum.

Imports torch and errors. Refuses to route: expert ids and weights come as given. Never gathers expert matrices per token.
Axis letters: T tokens, K slots per token, S = T*K slots, D width, E experts, F expert width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sovereign.errors import LabInput

ExpertProduct = Callable[[int, Tensor], Tensor]  # (expert, rows) -> rows times that expert's matrix


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
    if gate_up_EGD.shape[0] == 1 and idx_TK.shape[1] == 1 and computed_TK is None:
        return _expert(x_TD, gate_up_EGD[0], down_EDF[0]) * weight_TK.to(x_TD.dtype)
    if x_TD.is_cuda and computed_TK is None:
        if torch.is_autocast_enabled("cuda"):
            # autocast does not reach grouped products; the master weights stay in fp32.
            x_TD, gate_up_EGD, down_EDF = (t.to(torch.get_autocast_dtype("cuda")) for t in (x_TD, gate_up_EGD, down_EDF))
        if x_TD.dtype == torch.bfloat16:
            return grouped(x_TD, idx_TK, weight_TK, gate_up_EGD, down_EDF)
    if x_TD.device.type == "cpu" and computed_TK is None and not torch.is_grad_enabled():
        return inference_loop(
            x_TD,
            idx_TK,
            weight_TK,
            gate_up_EGD.shape[0],
            lambda e, x_ND: F.linear(x_ND, gate_up_EGD[e]),
            lambda e, x_NF: F.linear(x_NF, down_EDF[e]),
        )
    return sorted_loop(x_TD, idx_TK, weight_TK, gate_up_EGD, down_EDF, computed_TK)


def _expert(x_ND: Tensor, gate_up_GD: Tensor, down_DF: Tensor) -> Tensor:
    gate_NF, up_NF = F.linear(x_ND, gate_up_GD).chunk(2, dim=-1)
    return F.linear(F.silu(gate_NF) * up_NF, down_DF)


def sorted_loop(
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


class _Permute(torch.autograd.Function):
    """Rows in a new order; the gradient is a gather too, so it is deterministic where index_add would not be (CUDA atomics)."""

    @staticmethod
    def forward(ctx: Any, x_SD: Tensor, order_S: Tensor, inverse_S: Tensor) -> Tensor:
        ctx.save_for_backward(order_S, inverse_S)
        return x_SD.index_select(0, order_S)

    @staticmethod
    def backward(ctx: Any, grad_SD: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        _order_S, inverse_S = ctx.saved_tensors
        return grad_SD.index_select(0, inverse_S), None, None


def grouped(x_TD: Tensor, idx_TK: Tensor, weight_TK: Tensor, gate_up_EGD: Tensor, down_EDF: Tensor) -> Tensor:
    """One grouped product per projection and no host synchronisation: the path for CUDA. Needs bf16 and torch >= 2.8."""
    tokens, slots = idx_TK.shape
    product = getattr(F, "grouped_mm", None) or torch._grouped_mm
    sorted_S, order_S = torch.sort(idx_TK.reshape(-1), stable=True)
    edges_E = torch.arange(gate_up_EGD.shape[0], device=x_TD.device, dtype=sorted_S.dtype)
    offsets_E = torch.searchsorted(sorted_S, edges_E, right=True, out_int32=True)
    inverse_S = torch.empty_like(order_S).scatter_(0, order_S, torch.arange(order_S.numel(), device=x_TD.device))
    if torch.is_grad_enabled():
        x_SD = _Permute.apply(x_TD.unsqueeze(1).expand(-1, slots, -1).reshape(tokens * slots, -1), order_S, inverse_S)
    else:
        x_SD = x_TD.index_select(0, order_S // slots)
    gate_SF, up_SF = product(x_SD, gate_up_EGD.transpose(1, 2), offs=offsets_E).chunk(2, dim=-1)
    y_SD = product(F.silu(gate_SF) * up_SF, down_EDF.transpose(1, 2), offs=offsets_E)
    y_SD = _Permute.apply(y_SD, inverse_S, order_S)
    return torch.bmm(weight_TK.to(x_TD.dtype).unsqueeze(1), y_SD.view(tokens, slots, -1)).squeeze(1)


def inference_loop(x_TD: Tensor, idx_TK: Tensor, weight_TK: Tensor, experts: int, up: ExpertProduct, down: ExpertProduct) -> Tensor:
    """The sorted loop without gradients: each expert gathers its own rows and writes its own slots, so nothing is permuted twice."""
    tokens, slots = idx_TK.shape
    sorted_S, order_S = torch.sort(idx_TK.reshape(-1), stable=True)
    token_S = torch.div(order_S, slots, rounding_mode="floor")
    counts = torch.bincount(sorted_S, minlength=experts).tolist()
    y_SD = x_TD.new_empty(tokens * slots, x_TD.shape[1])
    start = 0
    for e, count in enumerate(counts):
        if count == 0:
            continue
        # With one token every expert sees the same row: no gather.
        x_ND = x_TD if tokens == 1 else x_TD.index_select(0, token_S[start : start + count])
        gate_NF, up_NF = up(e, x_ND).chunk(2, dim=-1)
        y_SD.index_copy_(0, order_S[start : start + count], down(e, F.silu(gate_NF).mul_(up_NF)))
        start += count
    return torch.bmm(weight_TK.to(x_TD.dtype).unsqueeze(1), y_SD.view(tokens, slots, -1)).squeeze(1)


class PackedExperts:
    """Expert weights laid out once for oneDNN, for inference on a CPU; a second copy of the weights while the originals are kept.

    Uses private torch operators (present in 2.11 to 2.13); `available()` says whether this build has them. Refuses gradients and other devices.
    """

    def __init__(self, gate_up_EGD: Tensor, down_EDF: Tensor):
        if not self.available() or gate_up_EGD.device.type != "cpu" or gate_up_EGD.dtype not in (torch.float32, torch.bfloat16):
            raise LabInput("Experts can be packed on a CPU in float32 or bfloat16 only.", mend="Use the unpacked experts.")
        pack = torch.ops.mkldnn._reorder_linear_weight
        with torch.no_grad():
            self.gate_up = [pack(w.contiguous(), None) for w in gate_up_EGD.unbind(0)]
            self.down = [pack(w.contiguous(), None) for w in down_EDF.unbind(0)]

    @staticmethod
    def available() -> bool:
        return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")

    @torch.no_grad()
    def __call__(self, x_TD: Tensor, idx_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """The same sum as `swiglu_experts`; every slot is computed."""
        linear = torch.ops.mkldnn._linear_pointwise
        ups, downs = self.gate_up, self.down
        return inference_loop(
            x_TD,
            idx_TK,
            weight_TK,
            len(ups),
            lambda e, x_ND: linear(x_ND, ups[e], None, "none", [], ""),
            lambda e, x_NF: linear(x_NF, downs[e], None, "none", [], ""),
        )
