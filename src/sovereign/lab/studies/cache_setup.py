"""What the study expert_cache runs: presets, factors, trained model with its traces and predictors, synthetic workloads.

Imports torch and the lab. Refuses factors that it does not know, and a device that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sovereign.errors import LabInput, NotFound, UnknownName
from sovereign.lab import telemetry
from sovereign.lab.caching import events as ev
from sovereign.lab.caching import forecast as fc
from sovereign.lab.caching import predictors, sweep, synthetic
from sovereign.lab.corpora import KINDS, documents, tokens
from sovereign.lab.model import Decoder, ModelConfig
from sovereign.lab.training import TrainSpec, train

Progress = Callable[[str, float], None]
PUBLISHED_ERROR = 0.10  # token-level error of invented forecasts: "above 90 %" accuracy of arXiv 2410.17954


@dataclass(frozen=True)
class Plan:
    """One preset with the person's factors applied. Sizes are counts or tokens; `runtime_*` describe the two-tier model."""

    steps: int  # training steps of the model whose routes are studied
    layers: int
    experts: int
    k: int
    width: int
    ffn: int
    vocab: int
    docs: int  # training documents per kind
    learn: int  # requests per kind that predictors learn from
    requests: int  # held-out requests per kind that are replayed
    prompt: int
    new: int
    fit: int  # steps of the path predictor
    repeats: int  # synthetic workloads (seeds), and folds of the held-out requests
    synthetic_requests: int
    synthetic_new: int
    fractions: tuple[float, ...]
    batches: tuple[int, ...]
    bandwidths: tuple[float, ...]  # GB/s
    grid_links: tuple[float, ...] = (6.0, 25.0, 100.0)  # GB/s of the full grid: a slow, the declared and a fast link
    grid_requests: int = 32  # held-out requests behind the grid's batches below 8, whose steps are many
    grid_wide: int = 96  # and from 8 on
    grid_olmoe: int = 12  # synthetic requests behind the grid's batches below 8
    grid_olmoe_wide: int = 64  # and from 8 on: enough that the first load of every expert is a small part of what a cell copies
    grid_new: int = 16  # their decode tokens
    runtime_layers: int = 3
    runtime_width: int = 256
    runtime_ffn: int = 256
    runtime_experts: int = 8
    runtime_k: int = 2
    runtime_new: int = 16
    runtime_repeats: int = 3
    runtime_batches: tuple[int, ...] = (1, 2)
    runtime_fractions: tuple[float, ...] = (0.25, 0.5)
    batch: int = 16
    seq: int = 96
    device: str = "cpu"
    marginals: str = ""  # folder with OLMoE's published routing counts; empty: Zipf 0.65
    domain: str = "c4"


PRESETS: dict[str, Plan] = {
    "smoke": Plan(
        30, 4, 16, 4, 96, 48, 512, 60, 12, 8, 24, 25, 60, 4, 8, 16, (0.125, 0.25, 0.5, 1.0), (1, 8), (6.0, 25.0, 100.0),
        batch=8, runtime_new=12, runtime_repeats=2, runtime_batches=(1,), runtime_fractions=(0.25,),
        grid_requests=4, grid_olmoe=2, grid_olmoe_wide=8, grid_new=4,
    ),
    "standard": Plan(
        200, 8, 32, 4, 128, 64, 1024, 600, 96, 24, 24, 49, 400, 6, 32, 32, (0.125, 0.25, 0.375, 0.5, 0.75, 1.0), (1, 2, 4, 8, 16, 32),
        (3.0, 6.0, 12.5, 25.0, 50.0, 100.0, 200.0, 400.0), runtime_layers=6, runtime_width=512, runtime_ffn=512, runtime_experts=16, runtime_new=20,
        runtime_repeats=3,
    ),
    "gpu": Plan(
        300, 12, 64, 8, 1024, 1024, 4096, 1500, 48, 12, 32, 65, 300, 4, 32, 32, (0.125, 0.25, 0.5, 0.75, 1.0), (1, 8, 32),
        (6.0, 25.0, 50.0, 100.0), runtime_new=64, runtime_repeats=3, runtime_batches=(1, 8), grid_requests=6, grid_wide=32, batch=32, seq=256, device="cuda",
    ),
}  # fmt: skip
_TEXT = ("device", "marginals", "domain")
_LISTS = ("fractions", "batches", "bandwidths", "grid_links", "runtime_batches", "runtime_fractions")
_NUMBERS = tuple(f for f in Plan.__dataclass_fields__ if f not in (*_TEXT, *_LISTS))


def plan_for(preset: str, factors: Mapping[str, str]) -> Plan:
    """Raises UnknownName for a factor and LabInput for a value that cannot be used."""
    plan = PRESETS[preset]
    changes: dict[str, Any] = {}
    for name, text in factors.items():
        if name in _TEXT:
            changes[name] = text
        elif name in _NUMBERS or name in _LISTS:
            changes[name] = _numbers(name, text)
        else:
            raise UnknownName("factor", name, (*_TEXT, *_LISTS, *_NUMBERS))
    plan = replace(plan, **changes)
    if not all(0.0 < f <= 1.0 for f in plan.fractions):
        raise LabInput(f"Cache fractions {plan.fractions} must lie above 0 and up to 1.")
    if not all(b > 0.0 for b in (*plan.bandwidths, *plan.grid_links)):
        raise LabInput("A bandwidth of 0 never delivers an expert.", mend="Give bandwidths above 0, in GB/s.")
    if min(plan.repeats, plan.requests, plan.runtime_repeats) < 2:
        raise LabInput("repeats, requests and runtime_repeats must be at least 2.", mend="One repeat gives no verdict.")
    if plan.device != "cpu" and not torch.cuda.is_available():
        raise LabInput(f"The device {plan.device!r} is not available here.", mend="Add --set device=cpu, or use the standard preset.")
    return plan


def _numbers(name: str, text: str) -> Any:
    try:
        if name in _LISTS:
            kind = int if name.endswith("batches") else float
            return tuple(kind(x) for x in text.split(","))
        return int(text)
    except ValueError as exc:
        raise LabInput(f"{name} = {text!r} is not a number.", mend=f"Give {name}=NUMBER" + (",NUMBER" if name in _LISTS else "")) from exc


@dataclass
class Trained:
    """The trained model, its held-out workload with forecasts, the same in a foreign domain, and how good the predictors are."""

    model: Decoder
    work: sweep.Workload
    foreign: sweep.Workload
    recalls: dict[str, float]  # token level, by predictor
    loss: float | None
    vocab: int
    fitted: predictors.Fitted
    learnt: ev.Routes
    prompts: NDArray[np.int64]  # held-out, in arrival order (N, S)


def make_trained(plan: Plan, seed: int, progress: Progress) -> Trained:
    """Texts, tokenizer, model; routes of held-out prompts and what they generate; predictors learnt on training prompts."""
    progress("making texts", 0.01)
    texts = {kind: documents(kind, "train", plan.docs, seed) for kind in KINDS}
    tokenizer = tokens.train_tokenizer([t for kind in KINDS for t in texts[kind]], plan.vocab)
    encoded = {kind: tokens.encode_documents(tokenizer, texts[kind]) for kind in KINDS}
    config = ModelConfig(
        vocab=plan.vocab,
        layers=plan.layers,
        width=plan.width,
        heads=max(4, plan.width // 64),
        experts=plan.experts,
        k=plan.k,
        ffn=plan.ffn,
        dtype="float32" if plan.device == "cpu" else "bfloat16",
    )
    model = build(config, seed, plan.device)
    spec = TrainSpec(plan.steps, plan.batch, plan.seq, lr=3e-3 if plan.device == "cpu" else 6e-4, seed=seed)
    streams = {kind: tokens.pack(encoded[kind]) for kind in KINDS}
    result = train(model, streams, spec, progress=lambda what, share: progress(what, 0.02 + 0.3 * share))
    progress("capturing routes", 0.33)
    learn = _prompts(encoded, plan, plan.learn, KINDS)
    held = tokens.heldout_prompts(tokenizer, plan.requests, plan.prompt, seed).tokens_NS
    learnt = _routes(model, learn, plan, seed + 1)
    # arrival order mixes the kinds, as a server would see them
    mixed = held[np.random.default_rng((23, seed)).permutation(len(held))]
    test = _routes(model, mixed, plan, seed + 2)
    progress("fitting predictors", 0.40)
    work, fitted = _workload("trained", model, learnt, test, plan, seed)
    # foreign domain: predictors that saw only code and mathematics, replayed on stories and facts
    half = len(KINDS) // 2
    narrow = learnt.take(np.arange(half * plan.learn))
    other = _routes(model, held[half * plan.requests :], plan, seed + 3)
    foreign, _ = _workload("trained, foreign domain", model, narrow, other, plan, seed)
    recalls = {name: _recall(f, test) for name, f in work.forecasts.items() if name not in ("path_next", "pregate_oracle", "pregate")}
    recalls |= _parts(work.forecasts, test)
    recalls["token_table"] = fc.recall(predictors.table_forecast(learnt, test, plan.vocab), test.experts)
    recalls["path.foreign"] = fc.recall(foreign.forecasts["path"], other.experts)
    return Trained(model, work, foreign, recalls, result.last_loss, plan.vocab, fitted, learnt, mixed)


def build(config: ModelConfig, seed: int, device: str) -> Decoder:
    """config.build on a CPU; on a GPU the weights are drawn there, since billions of them on a host take minutes."""
    if device == "cpu":
        return config.build(seed)
    from sovereign.lab.model import DTYPES, TopKRouter

    with torch.device(device):
        model = Decoder(config, lambda c, _layer: TopKRouter(c)).to(DTYPES[config.dtype])
    generator = torch.Generator(device=device).manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.02, generator=generator)
    return model


def _prompts(encoded: Mapping[str, Sequence[NDArray[np.int64]]], plan: Plan, per_kind: int, kinds: Sequence[str]) -> NDArray[np.int64]:
    rows = []
    for kind in kinds:
        long = [e[: plan.prompt] for e in encoded[kind] if len(e) > plan.prompt]
        if len(long) < per_kind:
            raise LabInput(f"Only {len(long)} of {per_kind} {kind} prompts of {plan.prompt} tokens exist.", mend="Raise docs.")
        rows += long[-per_kind:]
    return np.stack(rows)


def _routes(model: Decoder, prompts: NDArray[np.int64], plan: Plan, seed: int) -> ev.Routes:
    trace = telemetry.capture(model, prompts, max_new=plan.new, temperature=0.8, seed=seed, with_probs=False, batch=32)
    return ev.checked(trace)


def _recall(forecast: fc.Forecast, truth: ev.Routes) -> float:
    """Over the layers that the forecast speaks of."""
    cut = replace(forecast, ids=forecast.ids[:, forecast.distance :])
    return fc.recall(cut, truth.experts[:, forecast.distance :])


def _parts(forecasts: Mapping[str, fc.Forecast], truth: ev.Routes) -> dict[str, float]:
    """The path predictor's recall in prefill and decode rows and per layer; and for the next token, where the request goes on."""
    path, decode = forecasts["path"], truth.is_decode
    found = {"path.prefill": fc.recall(path, truth.experts, ~decode), "path.decode": fc.recall(path, truth.experts, decode)}
    for layer in range(truth.layers):
        found[f"path.layer_{layer}"] = fc.recall(replace(path, ids=path.ids[:, [layer]]), truth.experts[:, [layer]])
    goes_on = np.flatnonzero(truth.request[1:] == truth.request[:-1])
    found["path_next"] = fc.recall(replace(forecasts["path_next"], ids=forecasts["path_next"].ids[goes_on]), truth.experts[goes_on + 1])
    return found


def _workload(
    name: str, model: Decoder, learnt: ev.Routes, test: ev.Routes, plan: Plan, seed: int
) -> tuple[sweep.Workload, predictors.Fitted]:
    fitted = predictors.fit_all(model, learnt, plan.vocab, steps=plan.fit, seed=seed)
    return replayable(name, model, fitted, learnt, test, seed), fitted


def replayable(name: str, model: Decoder, fitted: predictors.Fitted, learnt: ev.Routes, test: ev.Routes, seed: int) -> sweep.Workload:
    """Routes with what the fitted predictors say of them, and the perfect gate."""
    found = fitted.forecasts(model, test)
    found["pregate_oracle"] = fc.flawed(test.experts, test.n_experts, 0.0, seed=seed, distance=1)
    return sweep.Workload(name, test, predictors.popularity_of(learnt), found)


def measured_marginals(plan: Plan) -> NDArray[np.float64] | None:
    """OLMoE's published counts where the person gave their folder."""
    if not plan.marginals:
        return None
    folder = Path(plan.marginals)
    if not folder.is_dir():
        raise NotFound(f"There is no folder {plan.marginals} with routing counts.", mend="Leave `marginals` out for Zipf 0.65.")
    return synthetic.read_marginals(folder, plan.domain)


def make_synthetic(
    shape: synthetic.Shape, plan: Plan, seed: int, *, requests: int, prompt: int = 4, new: int | None = None, error: float = PUBLISHED_ERROR
) -> sweep.Workload:
    """Held-out requests of a model that exists only as statistics; popularity from other requests, forecasts of a published quality.

    new: decode tokens, plan.synthetic_new where none are given.
    """
    measured = measured_marginals(plan) if shape.experts == 64 else None
    other = synthetic.routes(shape, requests=16, prompt=0, decode=64, seed=1000 + seed, measured=measured)
    routes = synthetic.routes(shape, requests=requests, prompt=prompt, decode=new or plan.synthetic_new, seed=seed, measured=measured)
    return sweep.Workload(shape.name, routes, predictors.popularity_of(other), sweep.invented_forecasts(routes, error=error, seed=seed))
