"""Claim: how a token is routed trades accuracy against compute and traffic; soft modality guidance and on-demand slots improve the trade.
Source: SMoES, arXiv 2604.23996v1; AnyExperts, arXiv 2511.18314v1; MC-SMoE, arXiv 2310.01334v2.
Setup: one small vision-language decoder on drawn scenes, every router at matched active operations, paired seeds, held-out compositions.
Expected: SMoES above top-k in accuracy and specialisation with half the traffic; hard splits lose; AnyExperts holds accuracy with fewer slots.
Falsified if: the 95 % interval over paired seeds lies wholly on the other side of a statement's threshold.

A conceptual replication and nothing more: our scenes, our sizes, our reading of the routers. Imports the lab; torch only inside `run`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from sovereign.lab.study import Context, Outcome
from sovereign.records import Prediction, StudyInfo

INFO = StudyInfo(
    name="routing_tradeoff",
    claim="Routing strategies for multimodal mixtures of experts trade accuracy, compute, latency and traffic differently at matched compute.",
    source="arXiv 2604.23996v1, arXiv 2511.18314v1",
    setup="A small vision-language decoder on drawn scenes (questions, entailment, hallucination probe); every router at equal active operations.",
    expected="SMoES +3.5 % quality, -56.1 % traffic; hard splits lose; AnyExperts holds image accuracy with 40 % fewer slots.",
    falsified_if="the 95 % interval over paired seeds lies wholly on the other side of a statement's threshold.",
    keys=(
        "smoes",
        "anyexperts",
        "moe routing",
        "routing strategy",
        "expert routing",
        "modality routing",
        "hard modality routing",
        "soft modality",
        "vision-language",
        "vqa",
        "vqav2",
        "visual7w",
        "snli-ve",
        "entailment",
        "amber",
        "hallucination",
        "activation budget",
        "flops",
        "throughput",
        "latency",
        "ttft",
        "tpot",
        "memory",
        "expert parallelism",
        "all-to-all",
        "mixture-of-experts",
        "moe",
        "dense",
        "top-k",
        "expert specialization",
        "expert specialisation",
    ),
    presets={"smoke": 40.0, "standard": 840.0, "gpu": 450.0},
)

CANNOT_SAY = (
    "Anything about the papers' models, data or benchmarks: scenes are drawn, the model has under a million parameters, questions come from templates.",
    "The published TTFT and TPOT changes (-22.0 %, -10.5 %): they come from two Jetson boards on 10 Gb Ethernet; times here are one process.",
    "Retention of language-only ability, where the SMoES paper sees the largest losses of hard and KL routing: there is no language-only task here.",
    "That AnyExperts' mean real slots meet the fixed baseline by themselves: here a controller makes them meet it, for equal compute.",
    "How a strategy ranks among others where the table says that no difference is resolved at this number of seeds.",
    "Quality of a merged model after repair: merging is measured without the distillation that the MC-SMoE recipe ends with.",
)


class RoutingTradeoff:
    """The study; `STUDY` is its one instance."""

    info = INFO

    def predictions(self, preset: str, factors: Mapping[str, str]) -> tuple[Prediction, ...]:
        """Raises LabInput for factors that no run could use, before anything is sealed."""
        from sovereign.lab.vision.plan import make_plan
        from sovereign.lab.vision.statements import predictions

        plan = make_plan(preset, factors, seed=0)
        return predictions(plan.strategies, plan.base_budget, plan.seeds, plan.uniform_any(), plan.tasks, plan.batches)

    def run(self, context: Context) -> Outcome:
        from sovereign.lab.vision.evidence import collect
        from sovereign.lab.vision.plan import make_plan
        from sovereign.lab.vision.tradeoff import carry_out

        plan = make_plan(context.preset, context.factors, context.seed)
        start = time.perf_counter()
        raw = carry_out(plan, context.out, context.progress)
        context.progress("writing measurements and figures", 0.97)
        measurements, figures = collect(plan, raw, context.out)
        return Outcome(
            spec={**plan.as_dict(), "arms_not_run": list(raw.not_run)},
            seeds=plan.seed_list(),
            measurements=measurements,
            figures=figures,
            cannot_say=(*CANNOT_SAY, *raw.limits),
            timings_s={**raw.seconds, "study": time.perf_counter() - start},
        )


STUDY = RoutingTradeoff()
