"""Soft modality scores of SMoES (arXiv 2604.23996, section 3): how much of each modality a token carries at a layer.

Imports torch and the protocol. Refuses missing attention. Scores M (T, 2) have rows that sum to 1 and carry no gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext
from sovereign.lab.routing.common import keep_weight, needs_modality, one_hot_modality


def attention_soft(score_BSM: Tensor, attention_BSS: Tensor, residual_norm_BS: Tensor, attention_norm_BS: Tensor) -> Tensor:
    """M after one layer: (|x_attn| (A M) + |x| M) / (|x_attn| + |x|), A the attention averaged over heads (the averaging is our reading)."""
    mixed_BSM = attention_BSS @ score_BSM
    total_BS1 = (attention_norm_BS + residual_norm_BS).clamp_min(1e-12)[..., None]
    return (attention_norm_BS[..., None] * mixed_BSM + residual_norm_BS[..., None] * score_BSM) / total_BS1


def attention_scores(x_TD: Tensor, context: RouterContext) -> Tensor:
    """M of this layer (T, 2) from M of the layer below (or the token's own modality at the first) and this layer's attention."""
    below_TM = context.score_TM if context.score_TM is not None else one_hot_modality(needs_modality("smoes", context))
    if context.attention_BHSS is None or context.attention_norm_T is None or context.residual_norm_T is None:
        raise LabInput(
            "Attention-soft scores need this layer's attention and norms.",
            mend="Run the model with want_attention, or use gaussian scores.",
        )
    attention_BSS = context.attention_BHSS.mean(1)
    batch, seq = attention_BSS.shape[:2]
    norms = (context.residual_norm_T.reshape(batch, seq), context.attention_norm_T.reshape(batch, seq))
    return attention_soft(below_TM.reshape(batch, seq, 2), attention_BSS, *norms).reshape(-1, 2)


class ModalityMixture(nn.Module):
    """Per modality a mixture of n diagonal Gaussians over token vectors, kept by an exponential moving average; M = softmax(LL / tau).

    tau = 0.5 D undoes the growth of the log-likelihood with D. n = 1 is the Gaussian-soft score; n > 1 the GMM of the appendix. Hard modality labels
    decide which mixture a token updates (our reading). The moving average mixes moments exactly: with share a of the new batch (mean m,
    variance v), mean' = mean + a (m - mean), var' = (1 - a) var + a v + a (1 - a) (m - mean)^2. The first batches count fully (a = 1/n).
    """

    def __init__(self, width: int, components: int = 1, decay: float = 0.99, tau: float | None = None):
        super().__init__()
        if components < 1 or not 0.0 <= decay < 1.0:
            raise LabInput(
                f"A mixture of {components} components with decay {decay} is impossible.", mend="components >= 1, 0 <= decay < 1."
            )
        self.decay, self.tau = decay, 0.5 * width if tau is None else tau
        # Components start apart (unit normal means) or every one would stay the same for ever.
        start = (
            torch.randn(2, components, width, generator=torch.Generator().manual_seed(0)) if components > 1 else torch.zeros(2, 1, width)
        )
        self.register_buffer("mean_MND", start)
        self.register_buffer("var_MND", torch.ones(2, components, width))
        self.register_buffer("share_MN", torch.full((2, components), 1.0 / components))
        self.register_buffer("seen_M", torch.zeros(2))

    def log_likelihood(self, x_TD: Tensor) -> Tensor:
        """Per component, without the constant that all share: -(1/2) sum_d (log var + (x - mean)^2 / var) + log share; (T, 2, n)."""
        precision_MND = 1.0 / self.var_MND
        square = torch.einsum("td,mnd->tmn", x_TD.square(), precision_MND)
        cross = torch.einsum("td,mnd->tmn", x_TD, self.mean_MND * precision_MND)
        constant_MN = (self.mean_MND.square() * precision_MND + self.var_MND.log()).sum(-1)
        return -0.5 * (square - 2 * cross + constant_MN) + self.share_MN.log()

    @torch.no_grad()
    def forward(self, x_TD: Tensor) -> Tensor:
        return (self.log_likelihood(x_TD.float()).logsumexp(-1) / self.tau).softmax(-1)

    @torch.no_grad()
    def update(self, x_TD: Tensor, label_TM: Tensor) -> None:
        """label_TM: hard modality, 0 rows for padding. A modality that is absent from the batch keeps its Gaussians."""
        x_TD = x_TD.float()
        duty_TMN = self.log_likelihood(x_TD).softmax(-1) * label_TM[..., None]
        weight_MN = duty_TMN.sum(0)
        safe_MN1 = weight_MN[..., None].clamp_min(1e-6)
        mean = torch.einsum("tmn,td->mnd", duty_TMN, x_TD) / safe_MN1
        var = torch.einsum("tmn,td->mnd", duty_TMN, x_TD.square()) / safe_MN1 - mean.square()
        present_M = (weight_MN.sum(-1) > 0).float()
        self.seen_M.add_(present_M)
        rate_M = torch.maximum(torch.full_like(self.seen_M, 1 - self.decay), 1 / self.seen_M.clamp_min(1.0)) * present_M
        components = weight_MN.shape[1]
        portion_MN = weight_MN / weight_MN.sum(-1, keepdim=True).clamp_min(1e-6)
        a = (rate_M[:, None] * (portion_MN * components).clamp_max(1.0))[..., None]  # a component that took few tokens moves little
        delta = mean - self.mean_MND
        self.var_MND.copy_(((1 - a) * self.var_MND + a * var.clamp_min(0.0) + a * (1 - a) * delta.square()).clamp_min(1e-4))
        self.mean_MND.add_(a * delta)
        share = self.share_MN + rate_M[:, None] * (portion_MN - self.share_MN)
        self.share_MN.copy_(share.clamp_min(1e-3) / share.clamp_min(1e-3).sum(-1, keepdim=True))


def label_weights(x_TD: Tensor, context: RouterContext) -> Tensor:
    """Hard modality (T, 2), zero for padding."""
    return one_hot_modality(needs_modality("smoes", context)) * keep_weight(context, x_TD)[:, None]


LN2 = math.log(2.0)  # the largest mutual information of two equally weighted modalities and the bins, nats
