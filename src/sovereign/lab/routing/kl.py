"""KL between the routing distributions of the modalities (SMAR-like, arXiv 2506.06406).

Imports the shared parts of routing. Refuses tokens without modality. Our form: a hinge that raises the symmetric KL up to a target and stops;
SMAR's exact schedule was not consulted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import Gate, RouterSpec, keep_weight, needs_modality, one_hot_modality, topk_routing


def modality_kl(probs_TE: Tensor, modality_T: Tensor, keep_T: Tensor) -> tuple[Tensor, Tensor]:
    """(KL(text||vision) + KL(vision||text)) / 2 of the mean distributions, in nats, and 1.0 if both modalities are present, else 0.0."""
    keep_TM = one_hot_modality(modality_T) * keep_T[:, None]
    mean_ME = (keep_TM.T @ probs_TE) / keep_TM.sum(0)[:, None].clamp_min(1.0) + 1e-9
    log_ME = mean_ME.log()
    kl = ((mean_ME[0] - mean_ME[1]) * (log_ME[0] - log_ME[1])).sum() / 2
    both = (keep_TM.sum(0) > 0).float().prod()
    return torch.where(both > 0, kl, torch.zeros_like(kl)), both


class KLRouter(nn.Module):
    """Top-k with kl_loss = max(0, target - KL). Option: target (nats, default 1.0). A batch of one modality has no kl_loss (0)."""

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        self.slots, self.cost, self.target = spec.slots, 2 * spec.width * spec.experts, spec.number("target", 1.0)
        self.gate = Gate(spec.width, spec.experts)

    def flops_per_token(self) -> int:
        return self.cost

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        modality_T = needs_modality("kl", context)
        routing = topk_routing(self.gate(x_TD), self.slots, context, x_TD)
        if context.training:
            kl, both = modality_kl(routing.probs_TE, modality_T, keep_weight(context, x_TD))
            routing.aux["kl_loss"] = (self.target - kl).clamp_min(0.0) * both
        return routing
