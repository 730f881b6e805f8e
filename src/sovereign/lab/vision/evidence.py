"""From raw results to measurements with units, settings and intervals, and to figures.

Imports records, the comparisons and the pictures. Refuses a number without its setting, and an interval that seeds do not support.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sovereign.errors import MissingExtra
from sovereign.lab.statistics import binomial_interval, mean_t_interval, median_interval
from sovereign.lab.vision.arms import INFERENCE_BUDGETS, SeedResult
from sovereign.lab.vision.compare import compare
from sovereign.lab.vision.measure import NEW_WORDS
from sovereign.lab.vision.pictures import Point, Times, TrafficBar, latency, modality_maps, pareto, pareto_and_rows
from sovereign.lab.vision.pictures import traffic as traffic_figure
from sovereign.lab.vision.plan import Plan
from sovereign.lab.vision.tasks import KINDS, VQA
from sovereign.lab.vision.tradeoff import Raw
from sovereign.records import Measurement

MARGIN = 0.03  # "at equal accuracy": three points, chosen before any run
ACCURACY = {"vqa": ("vqa_accuracy", *(f"{k}_accuracy" for k in VQA)), "entailment": ("entailment_accuracy",)}
COMPOSITION = ("composition_vqa_accuracy", "composition_entailment_accuracy")
PROBE = ("yes_present", "yes_absent", "yes_adversarial")
ROUTING = {
    "used_slots": "slots/token",
    "real_slots": "experts/token",
    "virtual_share": "",
    "real_slots_text": "experts/token",
    "real_slots_vision": "experts/token",
    "mflops_per_token": "MFLOP/token",
    "msi": "",
    "information": "nat",
    "load_imbalance": "max/mean",
    "load_entropy": "",
}
COMPARED = ("vqa_accuracy", "entailment_accuracy", "composition_vqa_accuracy", "yes_adversarial", "msi", "information", "mflops_per_token")
# (devices, homes, placement, tokens) that become measurements; the rest stays out of the trial for its size.
SHOWN = (
    *((2, "modality", placement, which) for placement in ("arbitrary", "sorted") for which in ("all", "text", "vision")),
    (2, "sample", "sorted", "all"),
    (4, "modality", "sorted", "all"),
)
SHOWN_AT_OTHER_BUDGETS = ((2, "modality", "sorted", "all"),)


def collect(plan: Plan, raw: Raw, out: Path) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
    """Measurements, and the names of the figures written into `out`; without matplotlib no figures, which raw.limits then says."""
    made = [*_priors(plan, raw)]
    for name, results in raw.arms.items():
        made += [*_scores(plan, raw, name, results), *_routing(plan, name, results), *_traffic(plan, name, results)]
    made += [*_comparisons(plan, raw), *_relative_traffic(plan, raw), *_budgets(plan, raw), *_merging(plan, raw)]
    made += [*_gaps(raw), *_replays(raw), *_nlvr(raw), *_timings(raw), *_ratios(raw)]
    try:
        figures = tuple(f for f in _figures(plan, raw, out) if f)
    except MissingExtra as missing:
        raw.limits.append(f"Figures were not drawn: {missing.line()}")
        figures = ()
    return tuple(made), figures


def _values(results: Sequence[SeedResult], key: str) -> list[float]:
    return [r.numbers[key] for r in results if key in r.numbers]


def _mean(name: str, values: Sequence[float], unit: str, setting: str) -> Measurement:
    found = mean_t_interval(values)
    return Measurement(name, found.value, unit, found.interval, setting, n=len(values))


def _where(plan: Plan) -> str:
    return f"{plan.test_scenes} held-out scenes, {plan.steps} steps; 95 % Student over seeds"


def _priors(plan: Plan, raw: Raw) -> Iterator[Measurement]:
    setting = "most frequent answer to the same question text in training, scored on the test scenes"
    vqa = float(np.mean([raw.priors[k] for k in VQA]))
    if "vqa" in plan.tasks:
        yield Measurement("prior.vqa", vqa, "", setting=setting)
    for kind in KINDS:
        if (kind == "entailment" and "entailment" in plan.tasks) or (kind in VQA and "vqa" in plan.tasks):
            yield Measurement(f"prior.{kind}", raw.priors[kind], "", setting=setting)


def _scores(plan: Plan, raw: Raw, name: str, results: Sequence[SeedResult]) -> Iterator[Measurement]:
    wanted = [k for task, keys in ACCURACY.items() if task in plan.tasks for k in keys]
    wanted += [k for k in COMPOSITION if "composition" in plan.tasks]
    wanted += [k for k in PROBE if "hallucination" in plan.tasks]
    for key in wanted:
        values = _values(results, key)
        if values:
            yield _mean(f"{key}.{name}", values, "", _where(plan))
    for task, key, prior in (
        ("vqa", "vqa_accuracy", float(np.mean([raw.priors[k] for k in VQA]))),
        ("colour", "colour_accuracy", raw.priors["colour"]),
        ("entailment", "entailment_accuracy", raw.priors["entailment"]),
    ):
        if task in plan.tasks or (task in VQA and "vqa" in plan.tasks):
            kinds = VQA if task == "vqa" else (task,)
            # Six answers about one picture are not independent: VQA counts as many items as its rarest kind.
            items = int(min(min(_values(results, f"{k}_items")) for k in kinds))
            yield _gain(plan, f"{task}_gain_over_prior.{name}", _values(results, key), prior, items)


def _gain(plan: Plan, name: str, values: Sequence[float], prior: float, items: int) -> Measurement:
    if len(values) > 1:
        return _mean(name, [v - prior for v in values], "", _where(plan) + "; minus the question-text prior")
    # One seed: the interval is over questions (Wilson) and says nothing about other seeds.
    low, high = binomial_interval(round(values[0] * items), items)
    return Measurement(name, values[0] - prior, "", (low - prior, high - prior), "one seed; interval over questions only", n=items)


def _routing(plan: Plan, name: str, results: Sequence[SeedResult]) -> Iterator[Measurement]:
    for key, unit in ROUTING.items():
        values = _values(results, key)
        if values and not (name.startswith("dense") and key != "mflops_per_token"):
            yield _mean(f"{key}.{name}", values, unit, _where(plan))
    layers = [r.by_layer_msi for r in results if r.by_layer_msi]
    if layers:
        yield _mean(f"msi_first_minus_last_layer.{name}", [m[0] - m[-1] for m in layers], "", _where(plan))


def _traffic(plan: Plan, name: str, results: Sequence[SeedResult]) -> Iterator[Measurement]:
    for key in SHOWN if name.endswith(f".b{plan.base_budget:.2f}") else SHOWN_AT_OTHER_BUDGETS:
        rows = [r.traffic[key] for r in results if key in r.traffic]
        if not rows:
            continue
        devices, home, placement, which = key
        label = f"{name}.d{devices}.{home}.{placement}.{which}"
        setting = f"{devices} devices, tokens at home by {home}, experts placed {placement}, {which} tokens; counted over all layers"
        ratios: dict[str, Callable[..., float | None]] = {
            "ep_any_ratio": lambda t: t.any_ratio,
            "ep_assignment_ratio": lambda t: t.assignment_ratio,
        }
        for metric, of in ratios.items():
            values = [v for t in rows if (v := of(t)) is not None]
            if values:
                yield _mean(f"{metric}.{label}", values, "", setting)
        if which == "all":
            yield _mean(f"ep_bytes_per_token.{label}", [t.bytes_out / t.tokens for t in rows], "byte", setting + ", there and back")
            loads = [v for t in rows if (v := t.imbalance) is not None]
            if loads:
                yield _mean(f"ep_device_imbalance.{label}", loads, "max/mean", setting)


def _comparisons(plan: Plan, raw: Raw) -> Iterator[Measurement]:
    pairs = [(s, "topk", b) for b in (plan.base_budget, *plan.extra_budgets) for s in plan.strategies if s != "topk"]
    b = plan.base_budget
    pairs += [("smoes", "smoes_gaussian", b), ("smoes", "smoes_fixed", b), ("smoes", "kl", b), ("anyexperts", "anyexperts_even", b)]
    for one, other, budget in pairs:
        a, c = raw.arms.get(f"{one}.b{budget:.2f}"), raw.arms.get(f"{other}.b{budget:.2f}")
        if not a or not c:
            continue
        shared = sorted({r.seed for r in a} & {r.seed for r in c})
        if len(shared) < 2:
            continue
        for key in COMPARED:
            x, y = ([r.numbers.get(key) for r in rows if r.seed in shared] for rows in (a, c))
            if any(v is None for v in (*x, *y)):
                continue
            found = compare([v for v in x if v is not None], [v for v in y if v is not None], margin=MARGIN)
            unit = ROUTING.get(key, "")
            text = found.sentence() if "accuracy" in key or key.startswith("yes") else f"paired over {found.n} seeds"
            yield Measurement(f"{key}_minus_{other}.{one}.b{budget:.2f}", found.mean, unit, found.interval, text, n=found.n)
            if key == "vqa_accuracy" and other == "topk" and found.needed_for_margin is not None:
                needed = f"paired seeds to find a difference of {MARGIN:g} with 80 % power, from sd {found.sd:.4f} of {found.n} differences"
                yield Measurement(f"seeds_needed.{one}.b{budget:.2f}", float(found.needed_for_margin), "seeds", setting=needed, n=found.n)


def _relative_traffic(plan: Plan, raw: Raw) -> Iterator[Measurement]:
    """Change of the any-remote share against top-k with arbitrary placement (the unspecialised model) and with the same sorted placement."""
    b = f"b{plan.base_budget:.2f}"
    base = {r.seed: r for r in raw.arms.get(f"topk.{b}", ())}
    for name, results in raw.arms.items():
        if not name.endswith(b) or name.startswith("topk"):
            continue
        for which in ("all", "vision"):
            for metric, placement in (("ep_relative_to_unspecialised", "arbitrary"), ("ep_relative_same_placement", "sorted")):
                values = []
                for r in results:
                    mine = r.traffic.get((2, "modality", "sorted", which))
                    theirs = base[r.seed].traffic.get((2, "modality", placement, which)) if r.seed in base else None
                    if mine and theirs and mine.any_ratio is not None and theirs.any_ratio:
                        values.append(mine.any_ratio / theirs.any_ratio - 1)
                if values:
                    setting = (
                        f"2 devices, homes by modality, sorted experts, {which} tokens; against top-k placed {placement}, paired seeds"
                    )
                    yield _mean(f"{metric}.{name}.{which}", values, "", setting)


def _budgets(plan: Plan, raw: Raw) -> Iterator[Measurement]:
    for name, results in raw.arms.items():
        for share in INFERENCE_BUDGETS:
            after, before = _values(results, f"vqa_accuracy_at_{share:g}"), _values(results, "vqa_accuracy")
            slots = _values(results, f"real_slots_at_{share:g}")
            if after and "vqa" in plan.tasks:
                real = f"slots rescaled to {share:g} at inference: {np.mean(slots):.2f} instead of {np.mean(_values(results, 'real_slots')):.2f} real"
                yield _mean(f"vqa_change_at_{share:g}.{name}", [a - b for a, b in zip(after, before, strict=True)], "", real)


def _merging(plan: Plan, raw: Raw) -> Iterator[Measurement]:
    for name, results in raw.arms.items():
        aligned, plain = _values(results, "merged_vqa_accuracy"), _values(results, "merged_unaligned_vqa_accuracy")
        if not aligned or "vqa" not in plan.tasks:
            continue
        setting = f"experts merged to {np.mean(_values(results, 'merged_parameter_share')):.2f} of their parameters, no repair"
        before = _values(results, "vqa_accuracy")
        yield _mean(f"merged_vqa_change.{name}", [a - b for a, b in zip(aligned, before, strict=True)], "", setting)
        yield _mean(f"merged_aligned_minus_unaligned.{name}", [a - b for a, b in zip(aligned, plain, strict=True)], "", setting)


def _gaps(raw: Raw) -> Iterator[Measurement]:
    gaps = [abs(r.numbers["flops_counted_minus_formula"]) for results in raw.arms.values() for r in results]
    if gaps:
        worst = max(gaps)
        setting = "largest over arms and seeds; counted by torch while dispatching; exact, so the interval is the value"
        yield Measurement("flops_gap_largest", worst, "FLOP", (worst, worst), setting, n=len(gaps))


def _replays(raw: Raw) -> Iterator[Measurement]:
    for (strategy, ranks), r in raw.replays.items():
        label = f"{strategy}.ranks{ranks}"
        setting = f"{r.layers} layers replayed over {ranks} processes (gloo), against one process, float32"
        yield Measurement(f"ep_output_error.{label}", r.largest_error, "relative", setting=setting)
        yield Measurement(f"ep_bytes_sent_minus_counted.{label}", float(r.sent_bytes - r.counted.bytes_out), "byte", setting=setting)
        yield Measurement(f"ep_bytes_sent.{label}", float(r.sent_bytes), "byte", setting=setting)
        yield Measurement(f"ep_messages_sent.{label}", float(r.sent_messages), "messages", setting=setting)
        median = float(np.median(r.seconds))
        yield Measurement(
            f"ep_seconds.{label}", median, "s", (min(r.seconds), max(r.seconds)), setting + "; range", len(r.seconds), timing=True
        )
        if ranks in raw.links:
            link = raw.links[ranks]
            # Per layer: sizes, activations, weights, ids there and answers back: five exchanges.
            modelled = link.seconds(r.busiest_bytes, 5 * r.layers)
            fitted = f"latency {link.latency_s * 1e6:.0f} us, {link.bandwidth / 1e6:.0f} MB/s fitted on even exchanges; measured / modelled"
            yield Measurement(f"ep_seconds_over_model.{label}", median / modelled, "", setting=fitted, timing=True, modelled=True)


def _nlvr(raw: Raw) -> Iterator[Measurement]:
    for strategy, r in raw.nlvr.items():
        setting = f"{r.statements} statements with unseen sentences, {r.trained_on} to train on; majority {r.majority:.3f}"
        yield _mean(f"nlvr_accuracy_minus_majority.{strategy}", [a - r.majority for a in r.accuracy], "", setting)


def _timings(raw: Raw) -> Iterator[Measurement]:
    for name, rows in raw.timings.items():
        for t in rows:
            busy = "unknown" if t.others_busy is None else f"{t.others_busy:.0%}"
            setting = f"batch {t.batch}, median and quartiles of {t.repeats}, one process; others used {busy} of the machine"
            label = f"{name}.batch{t.batch}"
            yield Measurement(f"ttft_ms.{label}", t.ttft_ms, "ms", t.ttft_spread, setting, t.repeats, timing=True)
            yield Measurement(f"tpot_ms.{label}", t.tpot_ms, "ms", t.tpot_spread, setting, t.repeats, timing=True)
            yield Measurement(f"words_per_s.{label}", t.words_per_s, "1/s", None, setting, t.repeats, timing=True)
            if t.peak_bytes is not None:
                yield Measurement(
                    f"peak_bytes.{label}", float(t.peak_bytes), "byte", None, f"batch {t.batch}, prefill, beyond weights", timing=True
                )


def _ratios(raw: Raw) -> Iterator[Measurement]:
    """Every arm against top-k at the same budget, round by round: what both share of the machine's load cancels."""
    for name, rows in raw.timings.items():
        strategy, budget = name.split(".", 1)
        beside = {t.batch: t for t in raw.timings.get(f"topk.{budget}", ())}
        for t in rows:
            if strategy == "topk" or t.batch not in beside:
                continue
            top = beside[t.batch]
            setting = (
                f"batch {t.batch}, side by side in {t.repeats} rounds of drawn order, median of the ratios; interval by order statistics"
            )
            first = [a / b for a, b in zip(t.ttft_rounds, top.ttft_rounds, strict=True)]
            rest = [a / b for a, b in zip(t.tpot_rounds, top.tpot_rounds, strict=True)]
            speed = [
                (a0 + a * (NEW_WORDS - 1)) / (b0 + b * (NEW_WORDS - 1))
                for a0, a, b0, b in zip(top.ttft_rounds, top.tpot_rounds, t.ttft_rounds, t.tpot_rounds, strict=True)
            ]
            for what, ratios in (("ttft", first), ("tpot", rest), ("words_per_s", speed)):
                label = f"{what}_over_topk.{name}.batch{t.batch}"
                yield Measurement(label, statistics.median(ratios), "ratio", median_interval(ratios), setting, t.repeats, timing=True)


def _figures(plan: Plan, raw: Raw, out: Path) -> Iterator[str | None]:
    prior = float(np.mean([raw.priors[k] for k in VQA]))
    seeds = f"{plan.seeds} seeds, 95 % intervals" if plan.seeds > 1 else "one seed: no comparison"
    if "vqa" in plan.tasks:
        points = _points(raw, lambda name, results: float(np.mean(_values(results, "mflops_per_token"))))
        yield pareto_and_rows(
            out / "accuracy_flops", points, budget=plan.base_budget, core=plan.core, title=f"Accuracy and compute ({seeds})", prior=prior
        )
        largest = max(plan.batches)
        points = _points(raw, lambda name, _r: next((t.words_per_s for t in raw.timings.get(name, ()) if t.batch == largest), None))
        yield pareto(
            out / "accuracy_throughput",
            points,
            xlabel=f"generated words per second at batch {largest}, this machine",
            ylabel="VQA accuracy, held-out scenes",
            title=f"Accuracy and throughput ({seeds})",
            prior=prior,
        )
    b = f".b{plan.base_budget:.2f}"
    if len(plan.batches) > 1:
        yield latency(
            out / "latency",
            {
                name.removesuffix(b): [Times(t.batch, t.ttft_ms, t.ttft_spread, t.tpot_ms, t.tpot_spread) for t in rows]
                for name, rows in raw.timings.items()
                if name.endswith(b)
            },
        )
    shares = {
        name.removesuffix(b): results[0].text_share_LE
        for name, results in raw.arms.items()
        if name.endswith(b) and not name.startswith("dense") and results[0].text_share_LE is not None
    }
    yield modality_maps(out / "expert_modality", {k: v for k, v in shares.items() if v is not None}, plan.seed_list()[0])
    bars = [bar for name, results in raw.arms.items() if name.endswith(b) and (bar := _bar(name.removesuffix(b), results)) is not None]
    yield traffic_figure(out / "traffic", bars, plan.uniform_any())


def _points(raw: Raw, x_of: Callable[[str, Sequence[SeedResult]], float | None]) -> list[Point]:
    out = []
    for name, results in raw.arms.items():
        x = x_of(name, results)
        if x is None:
            continue
        found = mean_t_interval(_values(results, "vqa_accuracy"))
        out.append(Point(raw.specs[name].strategy, raw.specs[name].budget, x, found.value, found.interval))
    return out


def _bar(strategy: str, results: Sequence[SeedResult]) -> TrafficBar | None:
    def of(placement: str, assignment: bool) -> tuple[float, tuple[float, float] | None] | None:
        rows = [r.traffic[2, "modality", placement, "all"] for r in results if (2, "modality", placement, "all") in r.traffic]
        values = [v for t in rows if (v := t.assignment_ratio if assignment else t.any_ratio) is not None]
        if not values:
            return None
        found = mean_t_interval(values)
        return found.value, found.interval

    three = (of("arbitrary", False), of("sorted", False), of("sorted", True))
    if three[0] is None or three[1] is None or three[2] is None:
        return None
    return TrafficBar(strategy, three[0], three[1], three[2])
