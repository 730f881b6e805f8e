"""What the study routing_signatures runs: presets, factors, and the traces of every condition. Its measurements are in signature_measures.py.

Imports torch and the lab. Refuses factors that it does not know, and conditions that a given checkpoint cannot be put into (they are left out by name).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sovereign.errors import LabInput, UnknownName
from sovereign.lab import signatures as sig
from sovereign.lab import telemetry
from sovereign.lab.corpora import KINDS, LabelledText, documents, tokens
from sovereign.lab.corpora.tokens import PromptSet
from sovereign.lab.model import Decoder, ModelConfig
from sovereign.lab.trace import RoutingTrace
from sovereign.lab.training import TrainSpec, evaluate, require_memory, train

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Plan:
    """One preset with the person's factors applied. Sizes are tokens or counts; `model` empty means: train our own."""

    seeds: int
    steps: int
    batch: int
    seq: int
    vocab: int
    layers: int
    width: int
    heads: int
    experts: int
    k: int
    ffn: int
    docs: int  # training documents per kind
    per_kind: int = 20
    prompt_tokens: int = 40
    new_tokens: int = 16
    reference_docs: int = 24  # per kind, for the mean routing of a token
    permutations: int = 999
    bootstrap: int = 1000
    chance_repeats: int = 20
    max_tokens: int = 128  # cut of a real prompt for a given checkpoint
    device: str = "cpu"
    dtype: str = "bfloat16"
    model: str = ""
    prompts: str = ""
    prompts_are: str = "other"  # "paper": the person says that the file holds the paper's own prompts
    chat: str = "no"


PRESETS: dict[str, Plan] = {
    "smoke": Plan(1, 40, 8, 128, 1024, 4, 128, 4, 16, 4, 64, docs=300, reference_docs=80, chance_repeats=10),
    "standard": Plan(3, 150, 16, 128, 1024, 4, 128, 4, 16, 4, 64, docs=900, new_tokens=32, reference_docs=120, bootstrap=2000),
    "gpu": Plan(3, 400, 64, 256, 4096, 8, 512, 8, 64, 8, 256, docs=4000, new_tokens=32, reference_docs=200, bootstrap=2000, device="cuda"),
}
_TEXT_FACTORS = ("model", "prompts", "prompts_are", "chat", "device", "dtype")
_NUMBER_FACTORS = ("seeds", "steps", "batch", "seq", "vocab", "layers", "width", "heads", "experts", "k", "ffn", "docs", "per_kind",
                   "prompt_tokens", "new_tokens", "reference_docs", "permutations", "bootstrap", "chance_repeats", "max_tokens")  # fmt: skip


def plan_for(preset: str, factors: Mapping[str, str]) -> Plan:
    """Raises UnknownName for a factor and LabInput for a value that cannot be used."""
    plan = PRESETS[preset]
    changes: dict[str, Any] = {}
    for name, text in factors.items():
        if name in _TEXT_FACTORS:
            changes[name] = text
        elif name in _NUMBER_FACTORS:
            if not text.strip().isdigit():
                raise LabInput(f"{name} = {text!r} is not a whole number.", mend=f"Give {name}=NUMBER.")
            changes[name] = int(text)
        else:
            raise UnknownName("factor", name, (*_TEXT_FACTORS, *_NUMBER_FACTORS))
    plan = replace(plan, **changes)
    if plan.per_kind < 5:
        raise LabInput(f"{plan.per_kind} prompts per category do not fill five folds.", mend="Give per_kind=5 or more.")
    if min(plan.seeds, plan.prompt_tokens, plan.k, plan.max_tokens) < 1:
        raise LabInput("seeds, prompt_tokens, max_tokens and k must be at least 1.", mend="Give a positive number.")
    if plan.device != "cpu" and not torch.cuda.is_available():
        raise LabInput(f"The device {plan.device!r} is not available here.", mend="Add --set device=cpu, or use the standard preset.")
    if plan.prompts_are not in ("paper", "other") or plan.chat not in ("yes", "no"):
        raise LabInput("prompts_are is 'paper' or 'other'; chat is 'yes' or 'no'.", mend="Correct the factor.")
    return plan


@dataclass
class SeedTraces:
    """The traces of one model (one seed, or the given checkpoint). A condition that could not be made is missing."""

    full: RoutingTrace
    controls: dict[str, RoutingTrace] = field(default_factory=dict)  # names as in signature_measures.CONDITIONS
    reference: RoutingTrace | None = None
    untrained_reference: RoutingTrace | None = None
    losses: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Material:
    """Everything that the measurements need."""

    plan: Plan
    labels: NDArray[np.int64]
    kinds: tuple[str, ...]
    vocab: int
    traces: list[SeedTraces]
    seeds: tuple[int, ...]
    spec: dict[str, Any]
    left_out: tuple[str, ...] = ()


# --- our own model ---


def make_own(plan: Plan, seed: int, progress: Progress) -> Material:
    """Texts, tokenizer, prompts; then per seed an untrained, a trained and a shuffled-text model with all their traces."""
    config = ModelConfig(
        vocab=plan.vocab, layers=plan.layers, width=plan.width, heads=plan.heads, experts=plan.experts, k=plan.k, ffn=plan.ffn
    )
    require_memory(config, TrainSpec(plan.steps, plan.batch, plan.seq), plan.device)
    progress("making texts", 0.0)
    texts = {kind: documents(kind, "train", plan.docs, seed) for kind in KINDS}
    tokenizer = tokens.train_tokenizer((t for kind in KINDS for t in texts[kind]), plan.vocab)
    encoded = {kind: tokens.encode_documents(tokenizer, texts[kind]) for kind in KINDS}
    streams = {kind: tokens.pack(encoded[kind]) for kind in KINDS}
    shuffled = {kind: tokens.pack(tokens.shuffle_within(encoded[kind], seed + i)) for i, kind in enumerate(KINDS)}
    heldout = {k: tokens.pack(tokens.encode_documents(tokenizer, documents(k, "heldout", 60, seed + 1))) for k in KINDS}
    prompts = _own_prompts(plan, tokenizer, seed)
    matched = tokens.matched_prompts(tokenizer, plan.per_kind, seed)
    reference = _reference_prompts(plan, tokenizer, seed)
    seeds = tuple(seed * 1000 + i for i in range(plan.seeds))
    traces = []
    for i, s in enumerate(seeds):
        share = i / len(seeds)

        def report(what: str, done: float, i: int = i, share: float = share) -> None:
            progress(f"model {i + 1}/{len(seeds)}: {what}", 0.05 + 0.85 * (share + done / len(seeds)))

        traces.append(_own_seed(plan, config, s, streams, shuffled, heldout, (prompts, matched, reference), report))
    spec = {
        "plan": asdict(plan),
        "model": config.as_dict(),
        "parameters": config.num_params(),
        "active_parameters": config.active_params(),
        "training_tokens": plan.steps * plan.batch * plan.seq,
        "training_stream_tokens": {k: len(v) for k, v in streams.items()},
        "prompts": f"{len(prompts)} openings of held-out documents, {prompts.tokens_NS.shape[1]} tokens each, and {plan.new_tokens} sampled tokens",
        "prompt_set": "file" if plan.prompts else "generated",
        "matched_prompt_tokens": int(matched.tokens_NS.shape[1]),
    }
    return Material(plan, prompts.labels, prompts.kinds, plan.vocab, traces, seeds, spec)


def _own_prompts(plan: Plan, tokenizer: Any, seed: int) -> PromptSet:
    if not plan.prompts:
        return tokens.heldout_prompts(tokenizer, plan.per_kind, plan.prompt_tokens, seed)
    items = tokens.read_prompts(Path(plan.prompts), per_kind=None, seed=seed)
    long = [i for i in items if len(tokenizer.encode(i.text).ids) >= plan.prompt_tokens]
    return tokens.encode_prompts(tokenizer, tokens.choose(long, per_kind=plan.per_kind, seed=seed), plan.prompt_tokens)


def _reference_prompts(plan: Plan, tokenizer: Any, seed: int) -> PromptSet:
    """Windows of training text, longer than a prompt, that tell how a token is routed on average."""
    length = 2 * plan.prompt_tokens
    rows, labels = [], []
    for label, kind in enumerate(KINDS):
        ids = tokens.pack(tokens.encode_documents(tokenizer, documents(kind, "train", 2 * plan.reference_docs, seed + 2)))
        for i in range(min(plan.reference_docs, len(ids) // length)):
            rows.append(ids[i * length : (i + 1) * length])
            labels.append(label)
    return PromptSet(np.stack(rows), np.array(labels), KINDS, ())


def _own_seed(
    plan: Plan,
    config: ModelConfig,
    seed: int,
    streams: Mapping[str, NDArray[np.int64]],
    shuffled: Mapping[str, NDArray[np.int64]],
    heldout: Mapping[str, NDArray[np.int64]],
    sets: tuple[PromptSet, PromptSet, PromptSet],
    progress: Progress,
) -> SeedTraces:
    prompts, matched, reference = sets
    spec = TrainSpec(plan.steps, plan.batch, plan.seq, seed=seed)
    new = plan.new_tokens

    def trace(model: Decoder, which: PromptSet, generated: int) -> RoutingTrace:
        return telemetry.capture(
            model, which.tokens_NS, max_new=generated, temperature=0.8, seed=seed, batch=40, categories=which.categories
        )

    model = config.build(seed).to(plan.device).eval()
    controls = {"untrained": trace(model, prompts, new), "matched_untrained": trace(model, matched, 0)}
    untrained_reference = trace(model, reference, 0)
    losses = {"untrained": _losses(model, heldout, plan)}
    train(model, streams, spec, progress=lambda what, share: progress(what, 0.45 * share))
    losses["trained"] = _losses(model, heldout, plan)
    full = trace(model, prompts, new)
    rng = np.random.default_rng(seed)
    jumbled = replace(prompts, tokens_NS=rng.permuted(prompts.tokens_NS, axis=1))
    controls["shuffled_prompt"] = trace(model, jumbled, 0)
    controls["matched"] = trace(model, matched, 0)
    seen = SeedTraces(full, controls, trace(model, reference, 0), untrained_reference, losses)
    _redraw_routers(model, seed)
    controls["random_router"] = trace(model, prompts, new)
    other = config.build(seed).to(plan.device)
    train(other, shuffled, spec, progress=lambda what, share: progress(f"on shuffled text: {what}", 0.5 + 0.45 * share))
    controls["shuffled_corpus"] = trace(other, prompts, new)
    return seen


def _losses(model: Decoder, heldout: Mapping[str, NDArray[np.int64]], plan: Plan) -> list[float]:
    return [v for kind in KINDS for v in evaluate(model, heldout[kind], seq=plan.seq, windows=8)]


def _redraw_routers(model: Decoder, seed: int) -> None:
    """Every router's weights replaced by normal draws of the same spread: trained hidden states, no trained routing."""
    generator = torch.Generator().manual_seed(seed + 7)
    with torch.no_grad():
        for block in model.layers:
            weight = block.moe.router.weight
            weight.copy_(torch.empty(weight.shape).normal_(0, float(weight.float().std()), generator=generator))


# --- a given checkpoint ---


def make_given(plan: Plan, seed: int, progress: Progress) -> Material:
    """The traces of a Hugging Face checkpoint: natural lengths, greedy decoding, one prompt at a time."""
    progress("loading the checkpoint", 0.0)
    model, tokenizer = telemetry.load_hf(plan.model, device=plan.device, dtype=plan.dtype)
    layers = telemetry.find_moe_layers(model)
    if tokenizer is None:
        raise LabInput(f"{plan.model!r} has no tokenizer.", mend="Put the tokenizer's files beside the weights.")
    if plan.prompts:
        items = tokens.read_prompts(Path(plan.prompts), per_kind=plan.per_kind, seed=seed)
    else:
        items = [LabelledText(k, t) for k in KINDS for t in documents(k, "heldout", plan.per_kind, seed)]
    kinds = tuple(sorted({i.kind for i in items}))
    labels = np.array([kinds.index(i.kind) for i in items])
    ids = [_encode(tokenizer, i.text, plan)[: plan.max_tokens] for i in items]
    categories = [i.kind for i in items]

    def trace(rows: list[list[int]], names: list[str], new: int, low: float, high: float) -> RoutingTrace:
        return telemetry.capture_hf(
            model,
            rows,
            max_new=new,
            categories=names,
            name=plan.model,
            seed=seed,
            progress=lambda w, s: progress(w, low + (high - low) * s),
        )

    full = trace(ids, categories, plan.new_tokens, 0.05, 0.4)
    rng = np.random.default_rng(seed)
    controls = {"shuffled_prompt": trace([rng.permutation(r).tolist() for r in ids], categories, 0, 0.4, 0.5)}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    left_out = ["shuffled_corpus: a given checkpoint cannot be trained again on shuffled text."]
    reference = None
    if backend is None:
        left_out += ["matched, residual: they need a fast tokenizer."]
    else:
        matched = tokens.matched_prompts(backend, plan.per_kind, seed)
        controls["matched"] = trace(matched.tokens_NS.tolist(), matched.categories, 0, 0.5, 0.65)
        chosen = _reference_prompts(plan, backend, seed)
        reference = trace(chosen.tokens_NS.tolist(), chosen.categories, 0, 0.65, 0.8)
    _redraw_found_routers(layers, seed)
    controls["random_router"] = trace(ids, categories, plan.new_tokens, 0.8, 0.95)
    left_out.append("untrained: only the router is redrawn (random_router); the body stays trained.")
    vocab = 1 + max(int(t.token_id.max()) for t in (full, reference, *controls.values()) if t is not None and t.token_id is not None)
    lengths = [len(r) for r in ids]
    spec = {
        "plan": asdict(plan),
        "model": plan.model,
        "config": _json_safe(model.config.to_dict()),
        "parameters": sum(p.numel() for p in model.parameters()),
        "experts": layers[0].num_experts,
        "moe_layers": len(layers),
        "prompts": f"{len(ids)} prompts of {min(lengths)} to {max(lengths)} tokens, then up to {plan.new_tokens} greedy tokens",
        "prompt_set": "file" if plan.prompts else "generated",
        "chat_template": plan.chat,
    }
    return Material(plan, labels, kinds, vocab, [SeedTraces(full, controls, reference)], (seed,), spec, tuple(left_out))


def _encode(tokenizer: Any, text: str, plan: Plan) -> list[int]:
    if plan.chat == "yes":
        rendered = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)
        return list(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    return list(tokenizer(text)["input_ids"])


def _redraw_found_routers(layers: list[telemetry.FoundLayer], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed + 7)
    with torch.no_grad():
        for layer in layers:
            weight: Any = layer.router.weight
            weight.copy_(torch.empty(weight.shape).normal_(0, float(weight.float().std()), generator=generator))


def _json_safe(config: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.items() if isinstance(v, (str, int, float, bool))}


def is_paper_model(material: Material) -> bool:
    """OLMoE-1B-7B as published: 16 layers of 64 experts, 8 chosen, and about 6.9 billion parameters."""
    full = material.traces[0].full
    return (full.layers, full.num_experts, full.k) == (16, 64, 8) and 6.5e9 < material.spec["parameters"] < 7.3e9


def reference_table(traces: SeedTraces, vocab: int, *, untrained: bool = False) -> sig.TokenTable | None:
    source = traces.untrained_reference if untrained else traces.reference
    return None if source is None else sig.token_table(source, vocab)
