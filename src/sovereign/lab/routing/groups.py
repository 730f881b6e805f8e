"""Hard modality routing and the hybrid of shared and private experts: which experts a modality may visit is fixed by hand.

Imports the shared parts of routing. Refuses splits that do not add up or leave a modality with fewer experts than slots.
Sources: hard t/v splits and MoIIE-like t/v/s splits as baselines of arXiv 2604.23996; MoIIE is arXiv 2508.09779 (our form is "-like").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import Gate, RouterSpec, keep_weight, needs_modality, one_hot_modality, spread, topk_routing


class GroupedRouter(nn.Module):
    """Experts 0..t-1 are private to text, the next v to vision, the rest shared; a token chooses its K best among private and shared.

    Options: text, vision (numbers of private experts). The balance loss is taken inside each modality's own experts: over all of them it would
    fight the split whenever the modalities are unequally frequent.
    """

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        text, vision = self.split(spec)
        shared = spec.experts - text - vision
        if text < 0 or vision < 0 or shared < 0:
            raise LabInput(
                f"A split of {text} text and {vision} vision experts does not fit {spec.experts} experts.", mend="Lower text or vision."
            )
        if min(text, vision) + shared < spec.slots:
            raise LabInput(
                f"The split t{text}-v{vision}-s{shared} leaves a modality with fewer than {spec.slots} experts.",
                mend="Use fewer slots or more experts for it.",
            )
        self.strategy, self.slots, self.cost = spec.strategy, spec.slots, 2 * spec.width * spec.experts
        self.gate = Gate(spec.width, spec.experts)
        allowed_ME = torch.zeros(2, spec.experts, dtype=torch.bool)
        allowed_ME[0, :text] = allowed_ME[1, text : text + vision] = True
        allowed_ME[:, text + vision :] = True
        self.register_buffer("allowed_ME", allowed_ME)

    def split(self, spec: RouterSpec) -> tuple[int, int]:
        raise NotImplementedError

    def flops_per_token(self) -> int:
        return self.cost

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        modality_T = needs_modality(self.strategy, context)
        allowed_TE = self.allowed_ME[modality_T]
        logits_TE = self.gate(x_TD).masked_fill(~allowed_TE, float("-inf"))
        routing = topk_routing(logits_TE, self.slots, context, x_TD)
        if context.training:
            routing.aux["balance_loss"] = self._balance(routing, modality_T, context, x_TD)
        return routing

    def _balance(self, routing: Routing, modality_T: Tensor, context: RouterContext, x_TD: Tensor) -> Tensor:
        keep_TM = one_hot_modality(modality_T) * keep_weight(context, x_TD)[:, None]
        chosen_TE = spread(torch.ones_like(routing.weight_TK), routing.idx_TK, routing.probs_TE.shape[-1])
        count_ME = (keep_TM.T @ chosen_TE).detach()
        share_ME = count_ME / count_ME.sum(-1, keepdim=True).clamp_min(1e-9)
        mean_ME = keep_TM.T @ routing.probs_TE / keep_TM.sum(0)[:, None].clamp_min(1.0)
        loss_M = self.allowed_ME.sum(-1) * (share_ME * mean_ME).sum(-1)
        present_M = (keep_TM.sum(0) > 0).float()  # a batch of one modality has one loss, not a loss and a zero
        return (loss_M * present_M).sum() / present_M.sum().clamp_min(1.0)


class HardRouter(GroupedRouter):
    """Fixed experts per modality, none shared. Default split: half and half (t32-v32 of 64 in arXiv 2604.23996)."""

    def split(self, spec: RouterSpec) -> tuple[int, int]:
        text = int(spec.number("text", spec.experts // 2))
        return text, spec.experts - text


class HybridRouter(GroupedRouter):
    """MoIIE-like private and shared experts. Default split: a quarter text, a quarter vision, half shared (t16-v16-s32 of 64)."""

    def split(self, spec: RouterSpec) -> tuple[int, int]:
        return int(spec.number("text", spec.experts // 4)), int(spec.number("vision", spec.experts // 4))
