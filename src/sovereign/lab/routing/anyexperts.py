"""AnyExperts: a variable number of expert slots per token, part of them virtual (arXiv 2511.18314).

Imports the shared parts of routing. Refuses slot ranges that no expert set can fill and budgets outside (0, 4]. The additive modulation, the cap on
counted slots and the form of the budget are our readings (the multiplicative form raises a virtual expert with a negative logit).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import Gate, RouterSpec, balance_loss, keep_weight, spread

CAP_MODES = ("floor", "ceil", "stochastic")


def slots_of(importance_T: Tensor, least: float, most: float, budget: float | Tensor = 1.0) -> Tensor:
    """K_i = round(budget (K_min + w_i (K_max - K_min))), at least 1; long (T,). Rounding carries no gradient."""
    return (budget * (least + importance_T.detach() * (most - least))).round().clamp_min(1).long()


def virtual_cap(slots_T: Tensor, share: float, mode: str, noise_T: Tensor | None = None) -> Tensor:
    """The most virtual slots a token may have, long (T,): floor or ceil of share * K, or stochastic: floor(share * K + u), u uniform in [0, 1).

    Only the stochastic cap meets the share on average; floor stays below it (0 for K < 1/share), ceil above.
    """
    exact_T = slots_T.float() * share
    if mode == "floor":
        return (exact_T + 1e-6).floor().long()
    if mode == "ceil":
        return (exact_T - 1e-6).ceil().long()
    if mode != "stochastic":
        raise LabInput(f"Unknown cap mode {mode!r}.", mend=f"Known: {', '.join(CAP_MODES)}.")
    return (exact_T + (torch.rand_like(exact_T) if noise_T is None else noise_T)).floor().long()


def pick(logits_TE: Tensor, virtual_E: Tensor, slots_T: Tensor, cap_T: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The best K_i experts of each token with at most cap_i virtual ones; the next real ones take the places of virtual ones beyond the cap.

    Returns ids (T, most) with the chosen first, best first, and the mask of the chosen.
    """
    order_TE = logits_TE.argsort(dim=-1, descending=True, stable=True)
    is_virtual_TE = virtual_E[order_TE]
    allowed_TE = ~is_virtual_TE | (is_virtual_TE.cumsum(-1) <= cap_T[:, None])
    chosen_TE = allowed_TE & (allowed_TE.cumsum(-1) <= slots_T[:, None])
    place_TE = torch.arange(order_TE.shape[-1], device=order_TE.device) + (~chosen_TE) * order_TE.shape[-1]
    first_TK = place_TE.argsort(dim=-1)[:, :most]
    return order_TE.gather(-1, first_TK), chosen_TE.gather(-1, first_TK)


class AnyExpertsRouter(nn.Module):
    """Options: least, most (slots, default K and 1.5 K: the paper's 8 and 12 for 8), virtual (experts, default E/4 as 64 of 256), cap (0.2),
    cap_mode (stochastic), alpha (0.01), gamma (1.0), hidden (width of the importance MLP, D/4), no_importance (1: w = 1/2 for all), match (0; the
    step of a controller that rescales the slot range while training until the mean number of real slots is K, for comparisons at equal compute; the
    paper leaves that mean to the range and the cap).

    `budget` (a buffer, 1.0) rescales the slot range at inference, on top of the controller's `base`. aux: input_scale_T = 1 + alpha w (the layer
    multiplies the experts' input by it, which gives the task loss a path to the MLP), importance_T, balance_loss over real and virtual experts,
    importance_loss = mean squared importance logit (weight 1e-3 in the paper).
    """

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        self.least, self.most_slots = spec.number("least", spec.slots), spec.number("most", 1.5 * spec.slots)
        self.experts, self.virtual = spec.experts, int(spec.number("virtual", max(1, spec.experts // 4)))
        self.cap, self.cap_mode = spec.number("cap", 0.2), spec.word("cap_mode", "stochastic", CAP_MODES)
        self.alpha, self.gamma = spec.number("alpha", 0.01), spec.number("gamma", 1.0)
        self.no_importance = bool(spec.number("no_importance", 0))
        if not 1 <= self.least <= self.most_slots <= spec.experts:
            raise LabInput(
                f"Slots from {self.least:g} to {self.most_slots:g} do not fit {spec.experts} experts.",
                mend="Need 1 <= least <= most <= experts.",
            )
        if not 0.0 <= self.cap <= 1.0 or self.virtual < 0:
            raise LabInput(f"A virtual share of {self.cap} with {self.virtual} virtual experts is impossible.", mend="Need 0 <= cap <= 1.")
        hidden = int(spec.number("hidden", max(4, spec.width // 4)))
        self.cost = 2 * spec.width * (spec.experts + self.virtual) + 2 * spec.width * hidden + 2 * hidden
        self.gate = Gate(spec.width, spec.experts + self.virtual)
        self.importance = nn.Sequential(nn.LayerNorm(spec.width), nn.Linear(spec.width, hidden), nn.GELU(), nn.Linear(hidden, 1))
        self.slots, self.match = spec.slots, spec.number("match", 0.0)
        self.register_buffer("budget", torch.tensor(1.0))
        self.register_buffer("base", torch.tensor(1.0))
        self.register_buffer("virtual_E", torch.arange(spec.experts + self.virtual) >= spec.experts)

    def flops_per_token(self) -> int:
        return self.cost

    def set_budget(self, budget: float) -> None:
        """Rescales the slots at inference; the least stays one slot, the most all experts. Raises LabInput outside (0, 4]."""
        if not 0.0 < budget <= 4.0:
            raise LabInput(f"A budget of {budget} is outside (0, 4].", mend="Choose, for instance, 0.6 for 40 % fewer slots.")
        self.budget.fill_(budget)

    def widest(self) -> int:
        """Columns of a routing: enough for the largest budget that the buffer may take, 4, but never more than the experts."""
        return min(self.experts, max(1, round(4 * self.most_slots)))

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        importance_logit_T = self.importance(x_TD)[:, 0].float()
        w_T = torch.full_like(importance_logit_T, 0.5) if self.no_importance else importance_logit_T.sigmoid()
        lean_T1 = self.gamma * (2 * w_T - 1)[:, None]
        logits_TE = self.gate(x_TD) + torch.where(self.virtual_E, -lean_T1, lean_T1)
        slots_T = slots_of(w_T, self.least, self.most_slots, self.base * self.budget).clamp_max(self.experts)
        cap_T = virtual_cap(slots_T, self.cap, self.cap_mode)
        idx_TK, mask_TK = pick(logits_TE, self.virtual_E, slots_T, cap_T, self.widest())
        weight_TK = logits_TE.gather(-1, idx_TK).masked_fill(~mask_TK, float("-inf")).softmax(-1)
        probs_TE = logits_TE.softmax(-1)
        aux = {"input_scale_T": 1 + self.alpha * w_T, "importance_T": w_T}
        if context.training:
            keep_T = keep_weight(context, x_TD)
            aux["balance_loss"] = balance_loss(probs_TE, spread(mask_TK.float(), idx_TK, probs_TE.shape[-1]), keep_T)
            if self.match:
                self._meet_budget((mask_TK & ~self.virtual_E[idx_TK]).sum(-1), keep_T)
            aux["importance_loss"] = (importance_logit_T.square() * keep_T).sum() / keep_T.sum().clamp_min(1.0)
        # A virtual expert has no weights: its id is folded into the real range and is_virtual_TK says what it is.
        is_virtual_TK = self.virtual_E[idx_TK] & mask_TK
        return Routing(idx_TK.where(~self.virtual_E[idx_TK], 0), weight_TK, probs_TE, mask_TK, is_virtual_TK, aux)

    @torch.no_grad()
    def _meet_budget(self, real_T: Tensor, keep_T: Tensor) -> None:
        mean = (real_T * keep_T).sum() / keep_T.sum().clamp_min(1.0)
        self.base.copy_((self.base + self.match * (self.slots - mean) / self.slots).clamp(0.25, 2.0))
