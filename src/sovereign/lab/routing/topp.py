"""Top-P: as many experts as it takes to gather probability p (arXiv 2403.07652).

Imports the shared parts of routing. Refuses p outside (0, 1]. Deviation: p is a buffer that a slow controller moves while training so that the mean
number of experts meets the budget; at a fixed p the budget is whatever the gate's confidence makes it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import Gate, RouterSpec, balance_loss, keep_weight, spread


class TopPRouter(nn.Module):
    """Options: p (start, default K/E rounded up to 0.3), adapt (controller step per training batch, default 0.02; 0 holds p still),
    most (largest number of experts, default E). entropy_loss: mean entropy of the gate in nats, which the paper adds with weight 1e-4.
    """

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        p = spec.number("p", max(0.3, spec.slots / spec.experts))
        if not 0.0 < p <= 1.0:
            raise LabInput(f"Top-P needs p in (0, 1], not {p}.", mend="Choose, for instance, p=0.4.")
        self.slots, self.cost = spec.slots, 2 * spec.width * spec.experts
        self.most = int(spec.number("most", spec.experts))
        if not 1 <= self.most <= spec.experts:
            raise LabInput(f"Top-P may use 1 to {spec.experts} experts, not {self.most}.", mend="Correct the option most.")
        self.adapt = spec.number("adapt", 0.02)
        self.gate = Gate(spec.width, spec.experts)
        self.register_buffer("p", torch.tensor(p))

    def flops_per_token(self) -> int:
        return self.cost

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        probs_TE = self.gate(x_TD).softmax(-1)
        sorted_TE, order_TE = probs_TE.sort(dim=-1, descending=True)
        # An expert is used while the ones before it have not gathered p; the first always is.
        mask_TK = ((sorted_TE.cumsum(-1) - sorted_TE) < self.p)[:, : self.most]
        mask_TK = mask_TK | (torch.arange(self.most, device=x_TD.device) == 0)
        kept_TK = sorted_TE[:, : self.most] * mask_TK
        routing = Routing(order_TE[:, : self.most], kept_TK / kept_TK.sum(-1, keepdim=True), probs_TE, mask_TK=mask_TK)
        if context.training:
            keep_T = keep_weight(context, x_TD)
            chosen_TE = spread(mask_TK.float(), routing.idx_TK, probs_TE.shape[-1])
            routing.aux["balance_loss"] = balance_loss(probs_TE, chosen_TE, keep_T)
            routing.aux["entropy_loss"] = -((probs_TE * (probs_TE + 1e-9).log()).sum(-1) * keep_T).sum() / keep_T.sum().clamp_min(1.0)
            with torch.no_grad():
                mean_slots = (mask_TK.sum(-1) * keep_T).sum() / keep_T.sum().clamp_min(1.0)
                self.p.copy_((self.p + self.adapt * (self.slots - mean_slots) / self.slots).clamp(0.02, 1.0))
        return routing
