"""Top-k: the fixed, modality-agnostic baseline (Switch/OLMoE family; arXiv 2101.03961, 2409.02060).

Imports the shared parts of routing. Refuses nothing beyond the specification.
"""

from __future__ import annotations

from torch import Tensor, nn

from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import Gate, RouterSpec, topk_routing


class TopKRouter(nn.Module):
    """The K best of E by gate logit; weights are the softmax over the chosen ones."""

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        self.slots, self.cost = spec.slots, 2 * spec.width * spec.experts
        self.gate = Gate(spec.width, spec.experts)

    def flops_per_token(self) -> int:
        return self.cost

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        return topk_routing(self.gate(x_TD), self.slots, context, x_TD)
