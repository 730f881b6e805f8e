"""Claim: prompts of one task are routed alike in a sparse Mixture-of-Experts model, more than sparsity or load balancing explains.
Source: arXiv 2603.11114v1 (abstract; figures 0.8435 +- 0.0879 within, 0.6225 +- 0.1687 across, d = 1.44, 92.5 +- 6.1 % of four classes).
Setup: a small OLMoE-like decoder trained here on four kinds of text (or a given checkpoint), 80 prompts, expert frequencies per layer, cosine.
Expected: a gap between within and across, d of at least 0.8, a linear classifier near 92 %, a separation that grows with depth.
Falsified if: the prompt-resampled interval of a statistic lies wholly on the other side of its threshold.

Beyond the paper's baselines it runs the controls that decide what the effect means: untrained model, redrawn router, tokens shuffled, bag of tokens,
training on shuffled text, the residual after token identity, and a lexically matched prompt set. Imports the lab; torch only inside `run`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sovereign.lab.study import Context, Outcome
from sovereign.records import Prediction, Scale, StudyInfo

if TYPE_CHECKING:
    from sovereign.lab.studies.signature_setup import Material

PAPER = "arXiv 2603.11114v1, abstract"
OURS = "control of this study on arXiv 2603.11114v1"
# The abstract's "load-balancing baseline" admits three readings; each is judged.
READINGS = (("U", "all experts equally likely"), ("M", "popularity shared by all prompts"), ("P", "own histogram, expert ids permuted"))
LARGE = 0.8  # Cohen's convention for a large effect (Cohen 1988, section 2.2.4)

INFO = StudyInfo(
    name="routing_signatures",
    claim="Prompts of one task are routed alike, and more alike than prompts of different tasks, beyond what sparsity or balancing explains.",
    source="arXiv 2603.11114v1",
    setup="80 prompts of four kinds through a Mixture-of-Experts decoder; expert frequencies per layer; cosine; prompt-resampled intervals.",
    expected="within 0.84 against across 0.62 (d = 1.44), 92.5 % of prompts classified, separation growing with depth.",
    falsified_if="the 95 % interval of a statistic lies wholly on the other side of its threshold.",
    keys=(
        "routing signature",
        "routing signatures",
        "expert routing",
        "task-conditioned routing",
        "expert activation",
        "cosine similarity",
        "cohen's d",
        "routing",
        "mixture-of-experts",
        "moe",
        "olmoe",
        "load balancing",
        "task classification",
        "expert specialization",
        "expert specialisation",
    ),
    presets={"smoke": 45.0, "standard": 480.0, "gpu": 420.0},
)


class RoutingSignatures:
    """The study; `STUDY` is its one instance."""

    info = INFO

    def predictions(self, preset: str, factors: Mapping[str, str]) -> tuple[Prediction, ...]:
        """Statements of the abstract first, then what the controls must show if the paper's reading of them is right."""
        exact = Scale.EXACT if factors.get("model") and factors.get("prompts_are") == "paper" else Scale.CONCEPTUAL
        return (
            *(_exact() if exact is Scale.EXACT else _conceptual()),
            *_shared(exact),
            *_control_predictions(bool(factors.get("model")), exact),
        )

    def run(self, context: Context) -> Outcome:
        """Raises LabInput, UnknownName or MissingExtra for what cannot be run."""
        from sovereign.lab.studies import signature_measures, signature_setup
        from sovereign.lab.threads import one_thread

        plan = signature_setup.plan_for(context.preset, context.factors)
        clock = time.perf_counter()
        with one_thread(plan.device):
            make = signature_setup.make_given if plan.model else signature_setup.make_own
            material = make(plan, context.seed, context.progress)
            made = time.perf_counter() - clock
            context.progress("measuring", 0.92)
            measurements, pictured = signature_measures.measure(material, context.seed)
            context.progress("drawing", 0.98)
            figures = signature_measures.draw(material, pictured, measurements, context.out)
        context.progress("done", 1.0)
        exact = bool(plan.model) and plan.prompts_are == "paper" and signature_setup.is_paper_model(material)
        return Outcome(
            spec=material.spec,
            seeds=material.seeds,
            measurements=measurements,
            figures=figures,
            cannot_say=_cannot_say(material, exact),
            scale=Scale.EXACT if exact else Scale.CONCEPTUAL,
            timings_s={"models_and_traces": made, "measurements_and_figures": time.perf_counter() - clock - made},
        )


def _conceptual() -> tuple[Prediction, ...]:
    return (
        Prediction("Within-category routing similarity and across-category similarity differ with Cohen's d = 1.44 (here: a large effect).",
                   PAPER, "d", ">", LARGE),
        Prediction("Logistic regression on signatures reaches 92.5 % +- 6.1 % of four classes (here: at least the published mean less two SD).",
                   PAPER, "classifier.accuracy", ">=", 0.803),
    )  # fmt: skip


def _exact() -> tuple[Prediction, ...]:
    exact = Scale.EXACT
    return (
        Prediction("Within-category similarity is 0.8435 +- 0.0879.", PAPER, "within", "within", 0.8435, 0.03, exact),
        Prediction("Across-category similarity is 0.6225 +- 0.1687.", PAPER, "across", "within", 0.6225, 0.04, exact),
        Prediction("Cohen's d = 1.44.", PAPER, "d", "within", 1.44, 0.3, exact),
        Prediction("Logistic regression on signatures reaches 92.5 % +- 6.1 %.", PAPER, "classifier.accuracy", "within", 0.925, 0.1, exact),
    )


def _shared(scale: Scale) -> tuple[Prediction, ...]:
    return (
        Prediction("Prompts of one category have more similar routing than prompts of different categories.", PAPER, "gap", ">", 0.0, 0.0, scale),
        Prediction("Load-balanced random routing does not produce the separation (null M: shared popularity).", PAPER,
                   "null.M.d_excess", ">", 0.0, 0.0, scale),
        *(Prediction(f"Within-category similarity exceeds what load balancing alone predicts (reading {null}: {what}).", PAPER,
                     f"null.{null}.within_excess", ">", 0.0, 0.0, scale) for null, what in READINGS),
        Prediction("The task signal grows with depth.", "arXiv 2603.11114v1, layer-wise analysis", "layer.slope", ">", 0.0, 0.0, scale),
    )  # fmt: skip


def _control_predictions(given: bool, scale: Scale) -> tuple[Prediction, ...]:
    """If routing is task-conditioned rather than lexical, the effect must exceed each of these."""
    rows = [
        ("The effect is larger than with redrawn routers.", "control.random_router.d_excess"),
        ("The effect is larger than that of the prompts' token counts without a model.", "control.bag.d_excess"),
        ("The effect is larger than with the tokens of each prompt shuffled.", "control.shuffled_prompt.d_excess"),
        ("The effect (d) is larger than token identity alone produces.", "control.token_identity.d_excess"),
        ("The gap is wider than token identity alone produces.", "control.token_identity.gap_excess"),
        ("The effect survives removing the mean routing of every token.", "control.residual.trained.d"),
    ]
    if given:
        rows.append(("The effect survives equal words in all categories (word order alone differs).", "control.matched.gap"))
    else:
        text = "With equal words in all categories (word order alone differs) the gap is wider than in the untrained model."
        rows.append((text, "control.matched.gap_excess"))
        rows[:0] = [("The effect is larger than in the untrained model.", "control.untrained.d_excess")]
        rows.append(("The effect is larger than after training on shuffled text.", "control.shuffled_corpus.d_excess"))
    return tuple(Prediction(text, OURS, statistic, ">", 0.0, 0.0, scale) for text, statistic in rows)


def _cannot_say(material: Material, exact: bool) -> tuple[str, ...]:
    lines = []
    if not material.plan.model:
        lines += [
            f"Nothing about OLMoE-1B-7B: the model here has {material.spec['parameters']:,} parameters and saw "
            f"{material.spec['training_tokens']:,} tokens.",
            "Nothing about natural prompts: the texts come from templates, the interpreter's library and its documentation; "
            "their categories differ in vocabulary more than a person's prompts would."
            if not material.plan.prompts
            else "How natural prompts are routed by a model that was trained on natural text: this one was trained on generated text.",
            "Nothing about a preferred layer or depth profile of deep models: this model has few layers.",
        ]
    elif not exact:
        lines.append("Not an exact replication: the checkpoint or the prompts are not stated to be the paper's own.")
    if len(material.traces) == 1:
        lines.append(
            "How much the figures vary between models: one model was measured, and the intervals cover the choice of prompts only."
        )
    lines.append(
        "The paper's signature formula is not in its abstract; 'count' is our reading, and its load-balancing baseline admits three."
    )
    return (*lines, *material.left_out)


STUDY = RoutingSignatures()
