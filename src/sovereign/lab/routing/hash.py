"""Hash routing: a fixed random table from token identity to experts, nothing learned (arXiv 2106.04426).

Imports the shared parts of routing. Refuses tokens without identity. Deviation: image patches have no vocabulary id, so the caller gives them
one per patch position; a patch's experts then depend on where it is, not on what it shows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import RouterSpec


class HashRouter(nn.Module):
    """Options: ids (table rows, default 4096), seed. Every id gets K distinct experts of equal weight 1/K, drawn per layer."""

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        self.experts, self.slots = spec.experts, spec.slots
        generator = torch.Generator().manual_seed(int(spec.number("seed", 0)) * 1000 + layer)
        ids = int(spec.number("ids", 4096))
        table_IE = torch.rand(ids, spec.experts, generator=generator).argsort(dim=-1)
        self.register_buffer("table_IK", table_IE[:, : spec.slots].contiguous())

    def flops_per_token(self) -> int:
        return 0

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        if context.token_T is None:
            raise LabInput("Hash routing needs the identity of each token.", mend="Pass token_T.")
        idx_TK = self.table_IK[context.token_T]
        weight_TK = torch.full_like(x_TD[:, :1], 1.0 / self.slots, dtype=torch.float32).expand(-1, self.slots)
        probs_TE = torch.zeros_like(weight_TK[:, :1]).expand(-1, self.experts).scatter(1, idx_TK, weight_TK)
        return Routing(idx_TK, weight_TK, probs_TE)
