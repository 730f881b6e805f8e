"""What a routing decision says: specialisation, information, balance, slots and operations, from recorded decisions.

Imports torch and the shared parts of routing. Refuses to judge. Formulas: MSI and bin information, arXiv 2604.23996 section 4 and 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import one_hot_modality, real_slots, spread, used_slots
from sovereign.lab.routing.smoes import bin_information, bins_of, one_hot_bins


def modality_counts(routing: Routing, modality_T: Tensor, experts: int) -> Tensor:
    """Real slots of each modality at each expert, float (2, E)."""
    chosen_TE = spread(real_slots(routing), routing.idx_TK, experts)
    return one_hot_modality(modality_T).T @ chosen_TE


def msi(counts_LME: Tensor) -> float | None:
    """Modality specialisation index: mean over layers and experts of 2 |C_text - 1/2| after each modality is normalised; 0 none, 1 full.

    Experts that nobody visits say nothing and are left out. None when a modality is absent: specialisation between one thing is undefined.
    """
    total_LM1 = counts_LME.sum(-1, keepdim=True)
    if bool((total_LM1 == 0).any()):
        return None
    share_LME = counts_LME / total_LM1
    both_LE = share_LME.sum(1)
    text_LE = share_LME[:, 0] / both_LE.clamp_min(1e-12)
    return float((2 * (text_LE - 0.5).abs())[both_LE > 0].mean())


def counts_by_bin(counts_ME: Tensor, bins: int) -> Tensor:
    """Bins for a router that has none of its own: experts sorted by how text-leaning their counts are; long (E,)."""
    share_ME = counts_ME / counts_ME.sum(-1, keepdim=True).clamp_min(1e-12)
    return bins_of(share_ME[0] / share_ME.sum(0).clamp_min(1e-12), bins)


def bin_modality_information(
    routing: Routing, modality_T: Tensor, bin_E: Tensor, bins: int, context: RouterContext
) -> tuple[float | None, int]:
    """Mean MI(bin; hard modality) in nats over the samples that hold both modalities, and their number; (None, 0) if there is none.

    Computed from the slots that were really chosen, not from the gate's softmax, so routers without a softmax compare.
    """
    used_TE = spread(real_slots(routing), routing.idx_TK, bin_E.shape[0])
    chosen_TE = used_TE / used_TE.sum(-1, keepdim=True).clamp_min(1e-9)
    keep_T = torch.ones_like(chosen_TE[:, 0])
    info_S, both_S = bin_information(one_hot_modality(modality_T), chosen_TE, one_hot_bins(bin_E, bins), context, keep_T)
    n = int(both_S.sum())
    return (float(info_S.sum() / n), n) if n else (None, 0)


def load_imbalance(counts_E: Tensor) -> float | None:
    """Largest over mean load of the experts; 1 is perfect, E is one expert for all; None without load."""
    total = float(counts_E.sum())
    return None if total == 0 else float(counts_E.max()) * counts_E.numel() / total


def load_entropy(counts_E: Tensor) -> float | None:
    """Entropy of the load over ln E, in [0, 1]; None without load or with one expert."""
    total = float(counts_E.sum())
    if total == 0 or counts_E.numel() < 2:
        return None
    share_E = counts_E / total
    return float(-(share_E * share_E.clamp_min(1e-12).log()).sum() / math.log(counts_E.numel()))


@dataclass(frozen=True)
class Slots:
    """Mean slots per token: used (real and virtual), real, and the share of used slots that is virtual."""

    used: float
    real: float
    virtual_share: float


def slots_per_token(routings: Sequence[Routing]) -> Slots:
    """Over all tokens and layers of the routings given. Raises LabInput without any."""
    if not routings:
        raise LabInput("No routing decisions to count.", mend="Run the model first.")
    used = sum(float(used_slots(r).sum()) for r in routings)
    real = sum(float(real_slots(r).sum()) for r in routings)
    tokens = sum(r.idx_TK.shape[0] for r in routings)
    return Slots(used / tokens, real / tokens, 0.0 if used == 0 else (used - real) / used)


def any_remote_uniform(experts: int, slots: int, devices: int) -> float:
    """Chance that a token of a uniform router has any expert off its device: 1 - C(E/D, K) / C(E, K)."""
    if devices < 1 or experts % devices:
        raise LabInput(f"{experts} experts do not spread evenly over {devices} devices.", mend="Choose devices that divide the experts.")
    return 1.0 - math.comb(experts // devices, slots) / math.comb(experts, slots)
