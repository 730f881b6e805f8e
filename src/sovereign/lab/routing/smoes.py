"""SMoES: top-k routing whose experts are grouped into bins that a mutual-information loss ties to soft modality scores (arXiv 2604.23996).

Imports the shared parts of routing and the scores. Refuses bins that do not divide the experts. Only training differs from top-k: at inference
the router is a plain gate, and what it learned shows in where tokens go. Weights of the losses are the trainer's (paper: 1e-3 and 1e-4).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import Gate, RouterSpec, choose, keep_weight, one_hot_modality, sample_sums, spread
from sovereign.lab.routing.scores import ModalityMixture, attention_scores, label_weights


def bins_of(specialisation_E: Tensor, bins: int) -> Tensor:
    """Experts sorted by specialisation, most text-leaning first, cut into equal consecutive bins; long (E,), the bin of each expert."""
    experts = specialisation_E.shape[-1]
    check_bins(experts, bins)
    rank_E = (-specialisation_E).argsort(stable=True).argsort()
    return torch.div(rank_E, experts // bins, rounding_mode="floor")


def check_bins(experts: int, bins: int) -> None:
    if bins < 1 or experts % bins:
        raise LabInput(f"{experts} experts do not divide into {bins} equal bins.", mend="Choose a number of bins that divides the experts.")


def one_hot_bins(bin_E: Tensor, bins: int) -> Tensor:
    """float (E, B)."""
    return (bin_E[:, None] == torch.arange(bins, device=bin_E.device)).float()


def bin_information(score_TM: Tensor, probs_TE: Tensor, bin_EB: Tensor, context: RouterContext, keep_T: Tensor) -> tuple[Tensor, Tensor]:
    """I_i per sample (S,) in nats, and 1.0 where a sample has both modalities (S,).

    S_mk = sum_{e in bin k} sum_t M_tm g_te / (N_B sum_t M_tm), P = S / sum S, I = sum_mk P log(P / (P_m P_k)). With g a full softmax P(m) is 1/2 whatever
    the token mix, so 0 <= I <= ln 2. A sample without one modality has no information to speak of: its I is 0 and its flag 0.
    """
    score_TM = score_TM * keep_T[:, None]
    per_bin_TB = probs_TE @ bin_EB
    joint_TMB = score_TM[:, :, None] * per_bin_TB[:, None, :]
    mass_SM = sample_sums(score_TM, context)
    size_B = bin_EB.sum(0)
    sums_SMB = sample_sums(joint_TMB.flatten(1), context).unflatten(1, joint_TMB.shape[1:])
    mean_SMB = sums_SMB / (mass_SM[:, :, None].clamp_min(1e-9) * size_B)
    joint = mean_SMB / mean_SMB.sum((1, 2), keepdim=True).clamp_min(1e-9)
    independent = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    info_S = (joint * ((joint + 1e-12) / (independent + 1e-12)).log()).sum((1, 2))
    both_S = (mass_SM > 1e-6).float().prod(-1)
    return torch.where(both_S > 0, info_S, torch.zeros_like(info_S)), both_S


def in_bin_balance(probs_TE: Tensor, chosen_TE: Tensor, bin_EB: Tensor, keep_T: Tensor) -> Tensor:
    """mean_k N_B sum_{e in bin k} f_e P_e with f and P renormalised inside the bin; 1 when every bin is balanced inside.

    Deviation: read literally (f, P over all experts), sum_k sum_{e in k} is a sum over all experts, and the loss ignores the bins: the ordinary
    balance loss times N_B / E. Only the renormalised form leaves the share of a bin free, which is what the paper's text asks for.
    """
    count_E = (chosen_TE * keep_T[:, None]).sum(0).detach()
    mean_E = (probs_TE * keep_T[:, None]).sum(0) / keep_T.sum().clamp_min(1.0)
    share_E = count_E / (bin_EB @ (bin_EB.T @ count_E)).clamp_min(1e-9)
    inside_E = mean_E / (bin_EB @ (bin_EB.T @ mean_E)).clamp_min(1e-9)
    return (bin_EB.T @ (share_E * inside_E) * bin_EB.sum(0)).mean()


class SmoesRouter(nn.Module):
    """Options: bins (default: as many as experts/2, at most 8), score (attention | gaussian | hard), components (of the Gaussian mixture, 1),
    binning (adaptive | fixed), decay (0.99).

    aux: balance_loss (inside bins), mi_loss (-I, mean over the samples that have both modalities), score_TM, bin_E. Outside training there are no
    losses, and score_TM only when the context holds attention.
    """

    def __init__(self, spec: RouterSpec, layer: int):
        super().__init__()
        self.slots, self.cost = spec.slots, 2 * spec.width * spec.experts
        self.bins = int(spec.number("bins", max(1, min(8, spec.experts // 2))))
        check_bins(spec.experts, self.bins)
        self.score = spec.word("score", "attention", ("attention", "gaussian", "hard"))
        self.binning = spec.word("binning", "adaptive", ("adaptive", "fixed"))
        self.decay = spec.number("decay", 0.99)
        self.gate = Gate(spec.width, spec.experts)
        self.mixture = ModalityMixture(spec.width, int(spec.number("components", 1)), self.decay) if self.score == "gaussian" else None
        # C_m,e: tokens of each modality at each expert, an exponential average; equal at the start.
        self.register_buffer("count_ME", torch.ones(2, spec.experts))

    def flops_per_token(self) -> int:
        return self.cost

    def bin_of_experts(self) -> Tensor:
        text_E, vision_E = self.count_ME.unbind(0)
        if self.binning == "fixed":
            text_E = torch.arange(text_E.shape[0], 0, -1, device=text_E.device).float()
            return bins_of(text_E, self.bins)
        return bins_of(text_E / (text_E + vision_E).clamp_min(1e-9), self.bins)

    def scores(self, x_TD: Tensor, context: RouterContext) -> Tensor | None:
        """M (T, 2) while training, and outside it only for a look that also asks for attention: inference itself does not need scores."""
        if not context.training and (context.modality_T is None or context.attention_BHSS is None):
            return None
        if self.score == "hard":
            return label_weights(x_TD, context)
        if self.mixture is not None:
            if context.training:
                self.mixture.update(x_TD.detach(), label_weights(x_TD, context))
            return self.mixture(x_TD.detach())
        return attention_scores(x_TD, context).detach()

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        logits_TE = self.gate(x_TD)
        probs_TE = logits_TE.softmax(-1)
        idx_TK, weight_TK = choose(logits_TE, self.slots)
        score_TM, aux = self.scores(x_TD, context), {}
        if score_TM is not None:
            aux["score_TM"] = score_TM
        aux["bin_E"] = self.bin_of_experts()
        if context.training and score_TM is not None:
            aux.update(self._losses(score_TM, probs_TE, idx_TK, aux["bin_E"], context))
        return Routing(idx_TK, weight_TK, probs_TE, aux=aux)

    def _losses(self, score_TM: Tensor, probs_TE: Tensor, idx_TK: Tensor, bin_E: Tensor, context: RouterContext) -> dict[str, Tensor]:
        keep_T = keep_weight(context, probs_TE)
        chosen_TE = spread(torch.ones_like(idx_TK, dtype=probs_TE.dtype), idx_TK, probs_TE.shape[-1])
        with torch.no_grad():
            now_ME = (score_TM * keep_T[:, None]).T @ chosen_TE
            self.count_ME.mul_(self.decay).add_(now_ME, alpha=1 - self.decay)
        bin_EB = one_hot_bins(bin_E, self.bins)
        info_S, both_S = bin_information(score_TM.detach(), probs_TE, bin_EB, context, keep_T)
        return {
            "balance_loss": in_bin_balance(probs_TE, chosen_TE, bin_EB, keep_T),
            "mi_loss": -info_S.sum() / both_S.sum().clamp_min(1.0),
        }


def specialisation_counts(idx_TK: Tensor, used_TK: Tensor, modality_T: Tensor, experts: int, keep_T: Tensor | None = None) -> Tensor:
    """Slots of each modality at each expert, float (2, E): what MSI is computed from."""
    chosen_TE = spread(used_TK.float(), idx_TK, experts)
    keep_TM = one_hot_modality(modality_T) if keep_T is None else one_hot_modality(modality_T) * keep_T[:, None]
    return keep_TM.T @ chosen_TE
