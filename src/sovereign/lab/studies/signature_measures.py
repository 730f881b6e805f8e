"""From the traces of the study routing_signatures to measurements with intervals, and to its figures.

Imports numpy and the lab. Refuses an interval over pairs: prompts (and, with several models, seeds) are what is resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput
from sovereign.lab import classify, figures
from sovereign.lab import signatures as sig
from sovereign.lab import statistics as st
from sovereign.lab.studies.signature_setup import Material, reference_table
from sovereign.lab.trace import RoutingTrace
from sovereign.records import Measurement

Floats = NDArray[np.float64]
Matrices = list[Floats]  # one similarity matrix per model seed, over the same prompts

CONDITIONS = {  # name -> (label in figures, setting)
    "untrained": ("untrained model", "the same prompts through the untrained model"),
    "random_router": ("router redrawn", "trained model whose router weights are redrawn at the same spread"),
    "shuffled_corpus": ("trained on shuffled text", "model trained on the same documents with their tokens shuffled"),
    "shuffled_prompt": ("prompt shuffled", "tokens shuffled within each prompt; prompt tokens only"),
    "matched": (
        "same words, other order",
        "lexically matched prompts: equal multisets of tokens in every quadruple, three openings a kind",
    ),
    "matched_untrained": ("same words, untrained", "the lexically matched prompts through the untrained model"),
}


class Sampler:
    """Shared bootstrap draws: prompts within their category and, with several models, model seeds. Paired over all conditions."""

    def __init__(self, labels: NDArray[np.int64], models: int, draws: int, seed: int):
        self.labels = labels
        self.counts = st.prompt_counts(labels, draws, seed)
        self.models = np.random.default_rng(seed + 1).integers(0, models, (draws, models))

    def draws(self, matrices: Matrices, what: str) -> Floats:
        """(B,) mean over resampled models of the statistic on resampled prompts."""
        each = np.stack([getattr(st.separation_draws(m, self.labels, self.counts), what) for m in matrices], axis=1)
        return np.take_along_axis(each, self.models, axis=1).mean(1)

    def value(self, matrices: Matrices, what: str) -> float:
        return float(np.mean([getattr(st.separation(m, self.labels), what) for m in matrices]))

    def estimate(self, matrices: Matrices, what: str = "d") -> st.Estimate:
        return st.Estimate(self.value(matrices, what), st.percentile_interval(self.draws(matrices, what)), len(self.labels))

    def difference(self, a: Matrices, b: Matrices, what: str = "d") -> st.Estimate:
        interval = st.percentile_interval(self.draws(a, what) - self.draws(b, what))
        return st.Estimate(self.value(a, what) - self.value(b, what), interval, len(self.labels))


class Measures:
    """Collects measurements under their names; `settings` says what was measured on."""

    def __init__(self, setting: str):
        self.items: list[Measurement] = []
        self.setting = setting

    def add(self, name: str, value: float | st.Estimate | None, unit: str = "1", setting: str = "", n: int | None = None) -> None:
        if isinstance(value, st.Estimate):
            value, interval, n = value
        else:
            interval = None
        self.items.append(Measurement(name, None if value is None else float(value), unit, interval, setting or self.setting, n))

    def get(self, name: str) -> Measurement:
        return next(m for m in self.items if m.name == name)


def measure(material: Material, seed: int) -> tuple[tuple[Measurement, ...], dict[str, Any]]:
    """All measurements, and what the figures need."""
    plan, labels = material.plan, material.labels
    full = material.traces[0].full
    sampler = Sampler(labels, len(material.traces), plan.bootstrap, seed)
    setting = f"{full.layers} layers, {full.k} of {full.num_experts} experts, {len(labels)} prompts, {len(material.traces)} model(s)"
    out = Measures(setting)
    signatures = [sig.signatures(t.full) for t in material.traces]
    main = [sig.cosine(s) for s in signatures]
    _separation(out, "", main, sampler, "prompt and generated tokens")
    _variants(out, material, sampler)
    _permutation(out, main, labels, plan.permutations, seed)
    nulls = _nulls(out, material, signatures, main, sampler, seed)
    _classifier(out, signatures, material, seed)
    controls = _controls(out, material, sampler, main, seed)
    layers = _layers(out, signatures, sampler, seed) | _layer_baseline(material, sampler)
    _rest(out, material, signatures)
    pictured = {"main": main, "signatures": signatures, "nulls": nulls, "controls": controls, "layers": layers, "sampler": sampler}
    return tuple(out.items), pictured


def _separation(out: Measures, prefix: str, matrices: Matrices, sampler: Sampler, setting: str) -> None:
    for name in ("d", "within", "across", "gap"):
        estimate = (
            st.Estimate(sampler.value(matrices, "across"), _across_interval(matrices, sampler), len(sampler.labels))
            if name == "across"
            else sampler.estimate(matrices, name)
        )
        out.add(prefix + name, estimate, "SD" if name == "d" else "cosine", setting)
    for name in ("within_sd", "across_sd"):
        out.add(prefix + name, sampler.value(matrices, name), "cosine", f"{setting}; spread over pairs, not an error", len(sampler.labels))


def _across_interval(matrices: Matrices, sampler: Sampler) -> tuple[float, float]:
    return st.percentile_interval(sampler.draws(matrices, "within") - sampler.draws(matrices, "gap"))


def _variants(out: Measures, material: Material, sampler: Sampler) -> None:
    traces = [t.full for t in material.traces]
    for variant in sig.VARIANTS[1:]:
        held = {"prob": "probs", "weighted": "weights"}.get(variant)
        if held is not None and any(getattr(t, held) is None for t in traces):
            continue
        matrices = [sig.cosine(sig.signatures(t, variant)) for t in traces]
        try:
            found: st.Estimate | None = sampler.estimate(matrices)
        except LabInput:
            # Long prompts use every expert, and then all binary signatures are equal.
            found = None
        note = f"{variant} signature" + ("" if found else ": all prompts are equal in it, so there is no effect size")
        out.add(f"variant.{variant}.d", found, "SD", note)
    counts = [sig.signatures(t) for t in traces]
    centred = [sig.centred_cosine(s) for s in counts]
    for name in ("d", "within", "across"):
        out.add(
            f"centred.{name}", sampler.value(centred, name), "SD" if name == "d" else "cosine", "cosine after removing the mean signature"
        )
    out.items[-3] = _with_interval(out.items[-3], sampler.estimate(centred))
    out.add(
        "jensen_shannon.d", sampler.estimate([sig.jensen_shannon(s) for s in counts]), "SD", "1 - Jensen-Shannon distance, mean of layers"
    )
    for part in ("prefill", "decode"):
        chosen = [getattr(t, part)() for t in traces]
        if all(len(c.requests) == len(sampler.labels) for c in chosen):
            out.add(f"{part}.d", sampler.estimate([sig.cosine(sig.signatures(c)) for c in chosen]), "SD", f"{part} tokens only")


def _with_interval(m: Measurement, estimate: st.Estimate) -> Measurement:
    return Measurement(m.name, m.value, m.unit, estimate.interval, m.setting, estimate.n)


def _permutation(out: Measures, main: Matrices, labels: NDArray[np.int64], permutations: int, seed: int) -> None:
    mean = np.mean(main, axis=0)
    null = st.permuted_gaps(mean, labels, permutations, seed)
    gap = st.separation(mean, labels).gap
    out.add("permutation.p", st.permutation_p(gap, null), "1", f"{permutations} shuffles of prompt labels, one-sided", permutations)
    out.add(
        "permutation.null_gap_q95", float(np.quantile(null, 0.95)), "cosine", "95 % quantile of the gap under shuffled labels", permutations
    )


def _nulls(
    out: Measures, material: Material, signatures: list[Floats], main: Matrices, sampler: Sampler, seed: int
) -> dict[str, tuple[float, float]]:
    """Mean within and across similarity of the three null models at the same T and k; the excess of the data over null M."""
    full, rng = material.traces[0].full, np.random.default_rng(seed + 3)
    tokens = np.bincount(np.unique(full.request, return_inverse=True)[1])
    typical = round(float(tokens.mean()))
    n, layers, experts = signatures[0].shape
    drawn = {
        "U": [sig.null_uniform(n, typical, layers, experts, full.k, rng) for _ in signatures],
        "M": [sig.null_marginal(s, typical, full.k, rng) for s in signatures],
        "P": [sig.null_permuted(s, rng) for s in signatures],
    }
    found: dict[str, tuple[float, float]] = {}
    means = {
        "U": "every expert equally likely",
        "M": "the corpus-wide popularity of each layer",
        "P": "each prompt's histogram, ids permuted",
    }
    for name, sets in drawn.items():
        matrices = [sig.cosine(s) for s in sets]
        found[name] = (sampler.value(matrices, "within"), sampler.value(matrices, "across"))
        out.add(f"null.{name}.within", found[name][0], "cosine", f"{means[name]}, T = {typical}", n)
        out.add(f"null.{name}.d", sampler.value(matrices, "d"), "SD", f"{means[name]}, T = {typical}", n)
        excess = st.percentile_interval(sampler.draws(main, "within") - found[name][0])
        value = sampler.value(main, "within") - found[name][0]
        out.add(f"null.{name}.within_excess", st.Estimate(value, excess, n), "cosine", f"within minus null {name}")
        out.add(f"null.{name}.d_excess", sampler.difference(main, matrices), "SD", f"d minus d of null {name}")
    out.add("null.U.expected", sig.uniform_cosine(typical, experts, full.k), "cosine", "T / (T + (E - k) / k)")
    return found


def _classifier(out: Measures, signatures: list[Floats], material: Material, seed: int) -> None:
    labels, repeats = material.labels, material.plan.chance_repeats
    flat = [s.reshape(len(s), -1) for s in signatures]
    results = [classify.cross_validate(x, labels, seed=seed) for x in flat]
    out.add("classifier.accuracy", _accuracy(results), "share", "logistic regression, stratified 5-fold; Wilson interval over prompts")
    folds = [a for r in results for a in r.fold_accuracy]
    out.add("classifier.accuracy_fold_sd", float(np.std(folds)), "share", "population SD over folds", len(folds))
    out.add("classifier.macro_f1", float(np.mean([r.macro_f1 for r in results])), "1", "mean over models", len(labels))
    for i, row in enumerate(np.sum([r.confusion for r in results], axis=0)):
        counted = ", ".join(f"{kind} {n}" for kind, n in zip(material.kinds, row.tolist(), strict=True))
        out.add(
            f"classifier.recall.{material.kinds[i]}", float(row[i] / row.sum()), "share", f"all models together, predicted as: {counted}"
        )
    chance = classify.permuted_accuracy(flat[0], labels, repeats=repeats, seed=seed)
    out.add("classifier.permuted_accuracy", st.bootstrap(chance, seed=seed), "share", f"{repeats} runs with shuffled labels")


def _accuracy(results: Sequence[classify.Classification]) -> st.Estimate:
    """Mean over models; the interval is Wilson's at the number of prompts, as the models share them."""
    n = results[0].n
    value = float(np.mean([r.correct / r.n for r in results]))
    return st.Estimate(value, st.binomial_interval(round(value * n), n), n)


def _controls(out: Measures, material: Material, sampler: Sampler, main: Matrices, seed: int) -> dict[str, st.Estimate]:
    """d of every control and the paired difference to the condition that it is compared with."""
    prefill = [sig.cosine(sig.signatures(t.full.prefill())) for t in material.traces]
    shown: dict[str, st.Estimate] = {}
    for name, (_label, setting) in CONDITIONS.items():
        if any(name not in t.controls for t in material.traces):
            continue
        traces = [t.controls[name] for t in material.traces]
        if name.startswith("matched"):
            shown[name] = _matched(out, name, traces, material, seed)
            continue
        matrices = [sig.cosine(sig.signatures(t)) for t in traces]
        shown[name] = sampler.estimate(matrices)
        base = prefill if name == "shuffled_prompt" else main
        for what, unit in (("d", "SD"), ("gap", "cosine")):
            out.add(f"control.{name}.{what}", sampler.estimate(matrices, what), unit, setting)
            excess = sampler.difference(base, matrices, what)
            out.add(f"control.{name}.{what}_excess", excess, unit, f"{what} of the trained model minus {what}: {setting}")
        flat = [sig.signatures(t).reshape(len(sampler.labels), -1) for t in traces]
        results = [classify.cross_validate(x, sampler.labels, seed=seed) for x in flat]
        out.add(f"control.{name}.accuracy", _accuracy(results), "share", setting)
    bags = [sig.bag_of_tokens(t.full.prefill(), material.vocab) for t in material.traces]
    bag = [sig.cosine(b) for b in bags]
    shown["bag"] = sampler.estimate(bag)
    out.add("control.bag.d", shown["bag"], "SD", "token counts of the prompt, no model")
    out.add("control.bag.d_excess", sampler.difference(prefill, bag), "SD", "d of the prompt tokens' routing minus d of the token counts")
    kept = bags[0][:, bags[0].any(0)]
    out.add(
        "control.bag.accuracy", _accuracy([classify.cross_validate(kept, sampler.labels, seed=seed)]), "share", "token counts, no model"
    )
    shown |= _token_identity(out, material, sampler, main, seed)
    residual = _residual(out, material, sampler, seed)
    return shown | ({} if residual is None else {"residual": residual})


def _matched(out: Measures, name: str, traces: list[RoutingTrace], material: Material, seed: int) -> st.Estimate:
    """d is scale-free: equal words leave all signatures nearly equal, and a tiny systematic gap can still be many SD. The gap is given too."""
    labels, draws = _labels(traces[0]), material.plan.bootstrap
    kinds, per_kind = len(np.unique(labels)), int(np.bincount(labels).min())
    sampler = Sampler(labels, len(traces), draws, seed)
    # Quadruples, not prompts, were drawn: the four prompts of one quadruple are resampled together.
    sampler.counts = np.tile(st.prompt_counts(np.zeros(per_kind, dtype=np.int64), draws, seed), kinds)
    signatures = [sig.signatures(t) for t in traces]
    matrices = [sig.cosine(s) for s in signatures]
    setting = f"{CONDITIONS[name][1]}; prompt tokens only"
    out.add(f"control.{name}.d", sampler.estimate(matrices), "SD", setting)
    out.add(f"control.{name}.gap", sampler.estimate(matrices, "gap"), "cosine", setting)
    if name == "matched" and all("matched_untrained" in t.controls for t in material.traces):
        untrained = [sig.cosine(sig.signatures(t.controls["matched_untrained"])) for t in material.traces]
        excess = sampler.difference(matrices, untrained, "gap")
        out.add("control.matched.gap_excess", excess, "cosine", "gap of the trained model minus gap of the untrained one, matched prompts")
    groups = np.tile(np.arange(per_kind), kinds)
    results = [_grouped_accuracy(s.reshape(len(labels), -1), labels, groups, seed) for s in signatures]
    out.add(f"control.{name}.accuracy", _accuracy(results), "share", f"{setting}; folds keep quadruples together")
    return sampler.estimate(matrices)


def _grouped_accuracy(x: Floats, labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> classify.Classification:
    """Every quadruple wholly in one fold: groups are numbered alike in every category and seeded alike."""
    fold_of_group = np.random.default_rng(seed).permutation(len(np.unique(groups))) % 5
    return classify.cross_validate(x, labels, seed=seed, fold=fold_of_group[groups])


def _labels(trace: RoutingTrace) -> NDArray[np.int64]:
    names = trace.categories or []
    order = list(dict.fromkeys(names))
    return np.array([order.index(n) for n in names])


def _token_identity(out: Measures, material: Material, sampler: Sampler, main: Matrices, seed: int) -> dict[str, st.Estimate]:
    """Surrogates in which every token is routed like another occurrence of itself: what token identity alone produces."""
    surrogates = []
    for i, t in enumerate(material.traces):
        if t.reference is None:
            return {}
        surrogates.append(sig.cosine(sig.signatures(sig.token_surrogate(t.full, t.reference, seed + i))))
    setting = "every token routed like another occurrence of the same token, in any context"
    for what, unit in (("d", "SD"), ("gap", "cosine")):
        out.add(f"control.token_identity.{what}", sampler.estimate(surrogates, what), unit, setting)
        out.add(
            f"control.token_identity.{what}_excess", sampler.difference(main, surrogates, what), unit, f"{what} minus {what}: {setting}"
        )
    return {"token_identity": sampler.estimate(surrogates)}


def _residual(out: Measures, material: Material, sampler: Sampler, seed: int) -> st.Estimate | None:
    """Separation that the identity of the tokens does not explain, for the trained and the untrained model."""
    estimates: dict[str, st.Estimate] = {}
    for name in ("trained", "untrained"):
        matrices, used, accuracy = [], [], []
        for t in material.traces:
            table = reference_table(t, material.vocab, untrained=name == "untrained")
            trace = t.full if name == "trained" else t.controls.get("untrained")
            if table is None or trace is None:
                break
            try:
                residual, share = sig.residual_signatures(trace, table)
                matrices.append(sig.cosine(residual))
            except LabInput:
                # Too few tokens that categories share: the control is not run, and says so by its absence.
                break
            used.append(share)
            accuracy.append(classify.cross_validate(residual.reshape(len(residual), -1), sampler.labels, seed=seed))
        if len(matrices) != len(material.traces):
            continue
        setting = f"{name} model: routing minus the token's mean routing on other text, tokens of two or more categories only ({np.mean(used):.0%} used)"
        estimates[name] = sampler.estimate(matrices)
        out.add(f"control.residual.{name}.d", estimates[name], "SD", setting)
        out.add(f"control.residual.{name}.accuracy", _accuracy(accuracy), "share", setting)
    return estimates.get("trained")


def _layers(out: Measures, signatures: list[Floats], sampler: Sampler, seed: int) -> dict[str, Any]:
    """d, gap and accuracy of every layer with intervals, the peak, and the slope over relative depth."""
    layers = signatures[0].shape[1]
    gaps, curve = [], []
    for layer in range(layers):
        matrices = [sig.cosine(s[:, layer]) for s in signatures]
        estimate = sampler.estimate(matrices)
        curve.append(estimate)
        out.add(f"layer.{layer}.d", estimate, "SD", f"layer {layer} (0-based), {layer + 1} (1-based)")
        out.add(f"layer.{layer}.gap", sampler.estimate(matrices, "gap"), "cosine", f"layer {layer} (0-based)")
        results = [classify.cross_validate(s[:, layer], sampler.labels, seed=seed) for s in signatures]
        out.add(f"layer.{layer}.accuracy", _accuracy(results), "share", f"layer {layer} (0-based)")
        gaps.append((sampler.value(matrices, "gap"), sampler.draws(matrices, "gap")))
    out.add("layer.peak", float(np.argmax([g[0] for g in gaps])), "layer", "0-based layer of the largest gap")
    if layers > 1:
        depth = np.linspace(0, 1, layers) - 0.5
        weights = depth / (depth**2).sum()
        draws = sum(w * g[1] for w, g in zip(weights, gaps, strict=True))
        slope = float(sum(w * g[0] for w, g in zip(weights, gaps, strict=True)))
        estimate = st.Estimate(slope, st.percentile_interval(np.asarray(draws)), len(sampler.labels))
        out.add("layer.slope", estimate, "cosine", "least-squares change of the gap from the first to the last layer")
    return {"trained model": curve}


def _layer_baseline(material: Material, sampler: Sampler) -> dict[str, Any]:
    """d by layer of the untrained model, or of the redrawn routers where there is no untrained model; for the figure."""
    name = next((n for n in ("untrained", "random_router") if all(n in t.controls for t in material.traces)), None)
    if name is None:
        return {}
    signatures = [sig.signatures(t.controls[name]) for t in material.traces]
    return {
        CONDITIONS[name][0]: [sampler.estimate([sig.cosine(s[:, layer]) for s in signatures]) for layer in range(signatures[0].shape[1])]
    }


def _rest(out: Measures, material: Material, signatures: list[Floats]) -> None:
    """Projection, length, token identity, load and what was learned."""
    explained = sig.pca(signatures[0]).explained
    for i, share in enumerate(explained):
        out.add(f"pca.explained.{i + 1}", share, "share", "first model; centred signatures")
    full = material.traces[0].full
    lengths = np.bincount(np.unique(full.request, return_inverse=True)[1])
    for name, value in (("mean", lengths.mean()), ("min", lengths.min()), ("max", lengths.max())):
        out.add(f"tokens_per_prompt.{name}", float(value), "tokens", "routed tokens per prompt, prompt and generated", len(lengths))
    shares = np.mean([sig.token_identity_share(t.full, material.vocab) for t in material.traces], axis=0)
    for layer, share in enumerate(shares):
        out.add(f"token_identity.{layer}", float(share), "share", f"routing variance between token ids, layer {layer} (0-based)")
    load = np.mean([s.mean(0) for s in signatures], axis=0)
    entropy = -(load * np.log(np.maximum(load, 1e-12))).sum(1) / np.log(load.shape[1])
    out.add("load.entropy", float(entropy.mean()), "share of ln E", "use of experts over all prompts, mean of layers")
    for name in ("untrained", "trained"):
        values = [v for t in material.traces for v in t.losses.get(name, [])]
        if values:
            out.add(f"heldout_loss.{name}", st.bootstrap(values, seed=0), "nats/token", "held-out windows of all four kinds")


# --- figures ---


def draw(material: Material, pictured: dict[str, Any], measurements: Sequence[Measurement], out: Path) -> tuple[str, ...]:
    """similarity, layers, projection, controls; each as SVG (listed) and PNG (beside it)."""
    groups = [material.kinds[i] for i in material.labels]
    by_name = {m.name: m for m in measurements}
    _draw_similarity(pictured, groups, out / "similarity")
    _draw_layers(pictured, out / "layers")
    _draw_projection(pictured, groups, by_name, out / "projection")
    _draw_controls(pictured, by_name, out / "controls")
    return ("similarity.svg", "layers.svg", "projection.svg", "controls.svg")


def _draw_similarity(pictured: dict[str, Any], groups: list[str], path: Path) -> None:
    order = sorted(range(len(groups)), key=lambda i: (groups[i], i))
    names = [groups[i] for i in order]
    with figures.canvas(path, 8.4, 3.7, columns=2) as (figure, axes):
        raw = np.mean(pictured["main"], axis=0)[np.ix_(order, order)]
        centred = np.mean([sig.centred_cosine(s) for s in pictured["signatures"]], axis=0)[np.ix_(order, order)]
        figures.heat_map(axes[0], raw, names, title="Routing similarity", label="cosine", figure=figure)
        figures.heat_map(axes[1], centred, names, title="After removing the mean signature", label="cosine", figure=figure, diverging=True)


def _draw_layers(pictured: dict[str, Any], path: Path) -> None:
    curves: dict[str, list[st.Estimate]] = pictured["layers"]
    lines, lowest = [], 0.0
    for name, curve in curves.items():
        low = [e.interval[0] if e.interval else e.value for e in curve]
        high = [e.interval[1] if e.interval else e.value for e in curve]
        lines.append(figures.Curve(name, list(range(len(curve))), [e.value for e in curve], low, high))
        lowest = min(lowest, *low)
    with figures.canvas(path, 5.6, 3.4) as (_figure, axes):
        figures.curves(axes, lines, xlabel="layer (0-based)", ylabel="Cohen's d", title="Separation of the categories by layer", zero=True)
        axes.set_ylim(bottom=1.1 * lowest)
        count = len(lines[0].x)
        axes.set_xticks(range(0, count, 1 if count <= 16 else 2))


def _draw_projection(pictured: dict[str, Any], groups: list[str], by_name: dict[str, Measurement], path: Path) -> None:
    projection = sig.pca(pictured["signatures"][0])
    labels = [f"component {i + 1} ({100 * e:.0f} % of variance)" for i, e in enumerate(projection.explained)]
    with figures.canvas(path, 5.8, 3.9) as (_figure, axes):
        figures.scatter(axes, projection.points, groups, xlabel=labels[0], ylabel=labels[1], title="Signatures of the prompts")


def _draw_controls(pictured: dict[str, Any], by_name: dict[str, Measurement], path: Path) -> None:
    main = by_name["d"]
    bars = [figures.Bar("trained model", main.value or 0.0, main.interval, emphasis=True)]
    names = {
        **{k: v[0] for k, v in CONDITIONS.items()},
        "bag": "bag of tokens, no model",
        "token_identity": "token identity alone",
        "residual": "after token identity",
    }
    bars += [figures.Bar(names[k], e.value, e.interval) for k, e in pictured["controls"].items()]
    nulls = {"U": "null U: uniform", "M": "null M: shared popularity", "P": "null P: ids permuted"}
    bars += [figures.Bar(label, by_name[f"null.{k}.d"].value or 0.0) for k, label in nulls.items()]
    with figures.canvas(path, 6.6, 0.32 * len(bars) + 1.1) as (_figure, axes):
        figures.intervals(
            axes, bars, xlabel="Cohen's d of within against across categories, 95 % interval", title="The effect beside its controls"
        )
