"""Expert choice: each expert picks its tokens (arXiv 2202.09368).

Imports the shared parts of routing. Refuses nothing beyond the specification. Not causal: whether a token is picked depends on the other tokens
of the batch, later ones included; and a batch smaller than E/K tokens activates more than K experts per token, because no expert picks less
than one token. Both are properties of the method, measured and not hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import Gate, RouterSpec


class ExpertChoiceRouter(nn.Module):
    """Every expert takes its C = max(1, round(T K / E)) best tokens by gate probability; weights are those probabilities (not renormalised).

    The result has E slots per token, slot e being expert e, masked where e did not pick the token. Balance is perfect by construction.
    """

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        self.slots, self.experts, self.cost = spec.slots, spec.experts, 2 * spec.width * spec.experts
        self.gate = Gate(spec.width, spec.experts)

    def flops_per_token(self) -> int:
        return self.cost

    def capacity(self, tokens: int) -> int:
        """Tokens that each expert picks."""
        return min(tokens, max(1, round(tokens * self.slots / self.experts)))

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        probs_TE = self.gate(x_TD).softmax(-1)
        score_TE = probs_TE if context.keep_T is None else torch.where(context.keep_T[:, None], probs_TE, -1.0)
        _, picked_CE = score_TE.topk(self.capacity(x_TD.shape[0]), dim=0)
        chosen_TE = torch.zeros_like(probs_TE).scatter(0, picked_CE, torch.ones_like(picked_CE, dtype=probs_TE.dtype))
        if context.keep_T is not None:
            chosen_TE = chosen_TE * context.keep_T[:, None]
        idx_TE = torch.arange(self.experts, device=x_TD.device).expand_as(probs_TE)
        return Routing(idx_TE, probs_TE * chosen_TE, probs_TE, mask_TK=chosen_TE > 0)
