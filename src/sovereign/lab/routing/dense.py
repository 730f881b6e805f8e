"""Dense FFN: one expert that every token visits; the reference without routing.

Imports the shared parts of routing. Refuses more than one expert.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import RouterSpec


class DenseRouter(nn.Module):
    """idx 0, weight 1. Matched compute comes from the expert's width (slots x width of one sparse expert), not from the router."""

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        if spec.experts != 1:
            raise LabInput(f"The dense strategy has one expert, not {spec.experts}.", mend="Set experts=1 and widen the expert.")

    def flops_per_token(self) -> int:
        return 0

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        one_T1 = torch.ones_like(x_TD[:, :1], dtype=torch.float32)
        return Routing(torch.zeros_like(one_T1, dtype=torch.long), one_T1, one_T1)
