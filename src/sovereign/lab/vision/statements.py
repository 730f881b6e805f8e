"""What the published statements predict for the trade-off study, as rules over its measurements, written before any run.

Imports records and errors only. Refuses statements whose statistic the chosen factors cannot produce: they are left out, not left undecided.
Every prediction is conceptual: our scenes, our small model, our reading of the routers. Numbers in sources are those of the papers' abstracts and tables.
"""

from __future__ import annotations

from collections.abc import Sequence

from sovereign.records import Prediction

SMOES = "arXiv 2604.23996v1"
ANYEXPERTS = "arXiv 2511.18314v1"
MERGING = "arXiv 2310.01334v2"
UNIFORM_TOLERANCE = 0.06


def predictions(
    strategies: Sequence[str], budget: float, seeds: int, uniform_any: float, tasks: Sequence[str], batches: Sequence[int]
) -> tuple[Prediction, ...]:
    """Rules for the strategies at hand, at the base budget. uniform_any: chance that a uniform router's token is remote on two devices."""
    have = set(strategies)
    b = f"b{budget:.2f}"
    made = [*_own(have, b, tasks, seeds)]
    if {"anyexperts", "topk"} <= have:
        made += _neighbour(b, batches)
    if seeds < 2:
        return tuple(made)
    if "topk" in have:
        made += _smoes_against_topk(have, b, uniform_any, tasks)
    if "vqa" in tasks:
        made += _pairs(have, b)
    if "anyexperts" in have:
        made += _anyexperts(b, tasks)
    return tuple(made)


def _own(have: set[str], b: str, tasks: Sequence[str], seeds: int) -> list[Prediction]:
    """Our own gates: what must hold for the rest to mean anything. One short run learns colours, not yet all kinds."""
    ours = "gate of this study"
    out = []
    for strategy in sorted(have):
        for task in ("vqa", "entailment"):
            if task in tasks:
                what = "colour" if task == "vqa" and seeds < 2 else task
                name = f"{what}_gain_over_prior.{strategy}.{b}"
                out.append(Prediction(f"{strategy} learns {what} beyond what the question text alone tells.", ours, name, ">", 0.0))
    if have:
        out.append(Prediction("Counted operations equal the formula for every arm.", ours, "flops_gap_largest", "equal", 0.0))
    return out


def _smoes_against_topk(have: set[str], b: str, uniform_any: float, tasks: Sequence[str]) -> list[Prediction]:
    out = [
        Prediction(
            "An unspecialised router sends almost every token to another device (97.7 % of 64 experts, top 8): what a uniform router does.",
            f"{SMOES}, MMMU table; reading by combinatorics",
            f"ep_any_ratio.topk.{b}.d2.modality.arbitrary.all",
            "within",
            uniform_any,
            UNIFORM_TOLERANCE,
        )
    ]
    if "hard" in have:
        out.append(Prediction("Hard modality routing has MSI 1.", f"{SMOES}, quality table", f"msi.hard.{b}", "within", 1.0, 1e-6))
    if "smoes" in have:
        out += [
            Prediction(
                "Soft guidance raises specialisation (MSI .177 to .487).", f"{SMOES}, quality table", f"msi_minus_topk.smoes.{b}", ">", 0.0
            ),
            Prediction(
                "Specialisation is strongest in shallow layers.", f"{SMOES}, section 4", f"msi_first_minus_last_layer.smoes.{b}", ">", 0.0
            ),
            Prediction(
                "The number of active experts, and with it the operations per token, is unchanged.",
                f"{SMOES}, efficiency",
                f"mflops_per_token_minus_topk.smoes.{b}",
                "equal",
                0.0,
            ),
            Prediction(
                "Expert-parallel communication falls by 56.1 %, against the unspecialised model.",
                f"{SMOES}, abstract",
                f"ep_relative_to_unspecialised.smoes.{b}.all",
                "within",
                -0.561,
                0.2,
            ),
            Prediction(
                "Cross-device share of vision tokens in prefill falls by 84.6 %.",
                f"{SMOES}, MMMU table",
                f"ep_relative_to_unspecialised.smoes.{b}.vision",
                "within",
                -0.846,
                0.15,
            ),
            Prediction(
                "The saving comes from the training, not from sorting experts onto devices, which top-k can have too.",
                f"control of this study on {SMOES}",
                f"ep_relative_same_placement.smoes.{b}.all",
                "<",
                0.0,
            ),
        ]
    if "vqa" in tasks:
        for strategy, text, rule in (
            ("smoes", "Attention-soft SMoES beats the unspecialised router (+1.8 % multimodal).", ">"),
            ("smoes_gaussian", "Gaussian-soft SMoES beats the unspecialised router (+1.3 % multimodal).", ">"),
            ("hard", "A hard modality split loses quality (-1.8 to -3.9 % multimodal).", "<"),
            ("hybrid", "A shared-and-private split loses quality (-1.5 to -1.9 % multimodal).", "<"),
        ):
            if strategy in have:
                out.append(Prediction(text, f"{SMOES}, quality table", f"vqa_accuracy_minus_topk.{strategy}.{b}", rule, 0.0))
    return out


def _pairs(have: set[str], b: str) -> list[Prediction]:
    out = []
    for one, other, text, source in (
        ("smoes", "smoes_gaussian", "Attention-soft beats gaussian-soft (+3.5 % against +2.4 %).", f"{SMOES}, quality table"),
        ("smoes", "smoes_fixed", "Adaptive bins beat fixed bins (+3.5 % against +1.3 %).", f"{SMOES}, ablation"),
        ("smoes", "kl", "The information objective beats KL between modalities (+3.5 % against -4.1 %).", f"{SMOES}, ablation"),
        ("anyexperts", "anyexperts_even", "Importance routing helps (54.72 against 52.46 general image).", f"{ANYEXPERTS}, ablation"),
    ):
        if {one, other} <= have:
            out.append(Prediction(text, source, f"vqa_accuracy_minus_{other}.{one}.{b}", ">", 0.0))
    if "topk" in have:
        out.append(
            Prediction(
                "Aligning hidden units before merging experts keeps more of the model than plain averaging.",
                f"{MERGING}, section 3",
                f"merged_aligned_minus_unaligned.topk.{b}",
                ">",
                0.0,
            )
        )
    return out


def _neighbour(b: str, batches: Sequence[int]) -> list[Prediction]:
    """The neighbour of a question that the AnyExperts paper leaves open: it publishes no latency, so what we expect of the mechanism (it adds an
    importance head and a variable number of slots to top-k, and saves nothing where both have equal slots) is our own prediction."""
    least, most = min(batches), max(batches)
    out = []
    for text, what, rule, batch in (
        ("no lower time per output token (TPOT latency)", "tpot", ">=", least),
        ("no lower time to the first token (TTFT latency)", "ttft", ">=", most),
        ("no higher throughput", "words_per_s", "<=", most),
    ):
        said = f"At equal slots AnyExperts' on-demand routing has {text} than fixed top-k routing (batch size {batch})."
        source = f"neighbour question of this study ({ANYEXPERTS} reports none)"
        out.append(Prediction(said, source, f"{what}_over_topk.anyexperts.{b}.batch{batch}", rule, 1.0))
    return out


def _anyexperts(b: str, tasks: Sequence[str]) -> list[Prediction]:
    out = [
        Prediction("At most 20 % of the slots are virtual.", f"{ANYEXPERTS}, method", f"virtual_share.anyexperts.{b}", "<=", 0.2),
    ]
    if "vqa" in tasks:
        out += [
            Prediction(
                f"{percent} % fewer slots at inference cost image questions nothing (67.22 to 67.35 at -10 %; held down to -40 %).",
                f"{ANYEXPERTS}, abstract and budget table",
                f"vqa_change_at_{share:g}.anyexperts.{b}",
                "within",
                0.0,
                0.02,
            )
            for percent, share in ((10, 0.9), (40, 0.6))
        ]
    return out
