"""Merging the experts of a trained model by how its router treats them, then optional low-rank compression (MC-SMoE, arXiv 2310.01334).

Imports torch and the routers. Refuses groups that keep no expert or more than there are. Not done here: the
pruned sparse part S and the distillation that repairs quality, so figures are those of merging alone, before repair.

Axis letters: L layers, E experts, G kept experts, T calibration tokens, D width, F expert width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import real_slots, spread


@dataclass(frozen=True)
class LayerGroups:
    """group_E: long (E,), the group of each expert; dominant_G: the expert that leads each group."""

    group_E: Tensor
    dominant_G: Tensor


def dominant_experts(usage_LE: Tensor, keep: int) -> list[Tensor]:
    """The `keep` experts of all layers together with the highest usage relative to their layer's largest, at least one per layer.

    Layers end up with different numbers (layer-adaptive, section 3.2). Raises LabInput unless L <= keep <= L E.
    """
    layers, experts = usage_LE.shape
    if not layers <= keep <= layers * experts:
        raise LabInput(
            f"Keeping {keep} of {layers * experts} experts in {layers} layers is impossible.", mend="Keep at least one per layer."
        )
    relative_LE = usage_LE / usage_LE.max(-1, keepdim=True).values.clamp_min(1e-12)
    best_L = relative_LE.argmax(-1)
    relative_LE[torch.arange(layers), best_L] = 2.0
    chosen = torch.zeros(layers * experts, dtype=torch.bool)
    chosen[relative_LE.flatten().argsort(descending=True, stable=True)[:keep]] = True
    return [row.nonzero()[:, 0] for row in chosen.view(layers, experts)]


def assign_groups(logits_TE: Tensor, dominant_G: Tensor) -> Tensor:
    """Every expert joins the dominant one whose router logits over the calibration tokens are most similar (cosine); long (E,)."""
    unit_ET = nn.functional.normalize((logits_TE - logits_TE.mean(-1, keepdim=True)).T, dim=-1)
    group_E = (unit_ET @ unit_ET[dominant_G].T).argmax(-1)
    group_E[dominant_G] = torch.arange(dominant_G.numel())
    return group_E


def aligned(gate_up_GD: Tensor, down_DF: Tensor, like_gate_up: Tensor, like_down: Tensor) -> tuple[Tensor, Tensor]:
    """One expert with its hidden units permuted to match another's (assignment of largest inner products; function unchanged).

    gate_up (2F, D): gate rows first. Without this, averaging two equal experts with different unit orders destroys both.
    """
    f = down_DF.shape[1]
    rows = torch.cat((gate_up_GD[:f], gate_up_GD[f:], down_DF.T), dim=1)
    wanted = torch.cat((like_gate_up[:f], like_gate_up[f:], like_down.T), dim=1)
    order = torch.tensor(best_assignment((wanted @ rows.T).double().cpu().tolist()), device=down_DF.device)
    return torch.cat((gate_up_GD[:f][order], gate_up_GD[f:][order])), down_DF[:, order]


def best_assignment(score: list[list[float]]) -> list[int]:
    """The column of each row in the one-to-one assignment of largest total score (Hungarian method, shortest augmenting paths, O(n^3))."""
    n = len(score)
    row_potential, column_potential, row_of = [0.0] * (n + 1), [0.0] * (n + 1), [0] * (n + 1)
    for row in range(1, n + 1):
        row_of[0], column = row, 0
        least, previous, done = [float("inf")] * (n + 1), [0] * (n + 1), [False] * (n + 1)
        while row_of[column]:
            done[column] = True
            current, step, following = row_of[column], float("inf"), 0
            for j in range(1, n + 1):
                if done[j]:
                    continue
                slack = -score[current - 1][j - 1] - row_potential[current] - column_potential[j]
                if slack < least[j]:
                    least[j], previous[j] = slack, column
                if least[j] < step:
                    step, following = least[j], j
            for j in range(n + 1):
                if done[j]:
                    row_potential[row_of[j]] += step
                    column_potential[j] -= step
                else:
                    least[j] -= step
            column = following
        while column:
            row_of[column], column = row_of[previous[column]], previous[column]
    out = [0] * n
    for j in range(1, n + 1):
        out[row_of[j] - 1] = j - 1
    return out


def merge_layer(gate_up: Tensor, down: Tensor, groups: LayerGroups, usage_E: Tensor, align: bool = True) -> tuple[Tensor, Tensor]:
    """Merged experts (G, 2F, D) and (G, D, F): W = sum f_e W_e / sum f_e over the aligned members of a group."""
    ups, downs = [], []
    for g, lead in enumerate(groups.dominant_G.tolist()):
        members = (groups.group_E == g).nonzero()[:, 0].tolist()
        weight = usage_E[members].to(gate_up.dtype).clamp_min(1e-6)
        parts = [aligned(gate_up[e], down[e], gate_up[lead], down[lead]) if align and e != lead else (gate_up[e], down[e]) for e in members]
        ups.append(sum(w * p[0] for w, p in zip(weight, parts, strict=True)) / weight.sum())
        downs.append(sum(w * p[1] for w, p in zip(weight, parts, strict=True)) / weight.sum())
    return torch.stack(ups), torch.stack(downs)


def low_rank(matrix_EXY: Tensor, rank: int) -> Tensor:
    """Every matrix replaced by its best approximation of the given rank (truncated SVD; our W ~ U V without the sparse S)."""
    u, s, v = torch.linalg.svd(matrix_EXY, full_matrices=False)
    if not 1 <= rank <= s.shape[-1]:
        raise LabInput(f"Rank {rank} of matrices of {tuple(matrix_EXY.shape[1:])} is impossible.", mend=f"Choose 1 to {s.shape[-1]}.")
    return (u[..., :rank] * s[..., None, :rank]) @ v[..., :rank, :]


class GroupedIds(nn.Module):
    """A router whose expert ids are replaced by their groups. Two slots of one token in one group add their weights and run once."""

    def __init__(self, router: nn.Module, group_E: Tensor, groups: int):
        super().__init__()
        self.router, self.groups = router, groups
        self.register_buffer("group_E", group_E)

    def flops_per_token(self) -> int:
        return int(self.router.flops_per_token())

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        old = self.router(x_TD, context)
        group_TK = self.group_E[old.idx_TK]
        real_TK = real_slots(old)
        weight_TG = spread(old.weight_TK * real_TK, group_TK, self.groups)
        used_TG = spread(real_TK, group_TK, self.groups) > 0
        ids_TG = torch.arange(self.groups, device=x_TD.device).expand_as(weight_TG)
        probs_TG = torch.zeros_like(weight_TG).index_add(1, self.group_E, old.probs_TE[:, : self.group_E.numel()])
        return Routing(ids_TG, weight_TG, probs_TG, mask_TK=used_TG, aux=old.aux)


@dataclass(frozen=True)
class Merged:
    """kept_L: experts per layer after merging. parameters: of all experts, before and after."""

    kept_L: tuple[int, ...]
    parameters_before: int
    parameters_after: int


@torch.no_grad()
def merge_model(model: nn.Module, calibration: Sequence[Routing], keep: int, *, align: bool = True) -> Merged:
    """Merges the experts of a SceneModel in place. calibration: per layer, on data that is not the test; its log-probabilities are the router
    logits up to a constant per token, which the similarity takes out.

    Raises LabInput for virtual experts (they have no weights to merge) and impossible numbers.
    """
    layers = list(model.decoder.layers)
    if any(r.is_virtual_TK is not None for r in calibration):
        raise LabInput("Models with virtual experts are not merged here.", mend="Merge a top-k or SMoES model.")
    experts = layers[0].moe.experts.gate_up.shape[0]
    usage_LE = torch.stack([spread(real_slots(r), r.idx_TK, experts).sum(0) for r in calibration]).cpu()
    before = sum(block.moe.experts.gate_up.numel() + block.moe.experts.down.numel() for block in layers)
    kept = dominant_experts(usage_LE.clone(), keep)
    for block, dominant_G, routing, usage_E in zip(layers, kept, calibration, usage_LE, strict=True):
        group_E = assign_groups(routing.probs_TE[:, :experts].float().clamp_min(1e-9).log().cpu(), dominant_G)
        device = block.moe.experts.gate_up.device
        merged = merge_layer(block.moe.experts.gate_up, block.moe.experts.down, LayerGroups(group_E, dominant_G), usage_E.to(device), align)
        block.moe.experts.gate_up, block.moe.experts.down = (nn.Parameter(t) for t in merged)
        block.moe.router = GroupedIds(block.moe.router, group_E.to(device), dominant_G.numel())
    after = sum(block.moe.experts.gate_up.numel() + block.moe.experts.down.numel() for block in layers)
    return Merged(tuple(int(k.numel()) for k in kept), before, after)
