"""Capture of routing while a model runs: our decoder through its router hook, any Hugging Face MoE through its structure.

Imports torch, numpy, lab.model and lab.trace; transformers only to load a checkpoint. Refuses lists of model names: an MoE layer is a module that holds
an experts container (stacked 3-D weights or a list of experts) and a sibling with a router weight of one row per expert.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sovereign.errors import LabInput, MissingExtra
from sovereign.lab.model import Decoder
from sovereign.lab.routing import Routing
from sovereign.lab.trace import RoutingTrace, check, make_meta

Progress = Callable[[str, float], None]


def versions(*names: str) -> dict[str, str]:
    """Installed versions of the named packages, for a trace's meta."""
    found = {}
    for name in ("torch", "numpy", *names):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# --- our decoder ---


@torch.no_grad()
def capture(
    model: Decoder,
    prompts_NS: NDArray[np.int64],
    *,
    max_new: int = 0,
    temperature: float = 0.0,
    seed: int = 0,
    batch: int = 20,
    categories: Sequence[str] | None = None,
    with_probs: bool = True,
    name: str = "lab-decoder",
) -> RoutingTrace:
    """Routes every prompt (equal lengths) and, with max_new > 0, the tokens generated after it; the last new token is never routed.

    Sampling at temperature > 0 is seeded per batch of prompts, so the trace depends on `batch`.
    """
    if prompts_NS.ndim != 2 or 0 in prompts_NS.shape:
        raise LabInput(f"Prompts of shape {prompts_NS.shape} cannot be routed.", mend="Give at least one prompt of at least one token.")
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    pieces = [
        _capture_batch(model, prompts_NS[i : i + batch], device, max_new, temperature, seed + i, with_probs)
        for i in range(0, len(prompts_NS), batch)
    ]
    model.train(was_training)
    steps = pieces[0].experts.shape[1]
    requests = len(prompts_NS)
    probs = (
        None
        if not with_probs
        else np.concatenate([p.probs for p in pieces if p.probs is not None]).reshape(requests * steps, model.config.layers, -1)
    )
    c = model.config
    trace = RoutingTrace(
        experts=np.concatenate([p.experts for p in pieces]).reshape(requests * steps, c.layers, -1),
        weights=np.concatenate([p.weights for p in pieces]).reshape(requests * steps, c.layers, -1),
        probs=probs,
        request=np.repeat(np.arange(requests, dtype=np.int32), steps),
        position=np.tile(np.arange(steps, dtype=np.int32), requests),
        is_decode=np.tile(np.arange(steps) >= prompts_NS.shape[1], requests),
        token_id=np.concatenate([p.tokens for p in pieces]).reshape(-1).astype(np.int32),
        meta=make_meta(
            num_experts=c.experts,
            k=pieces[0].experts.shape[-1],
            layers=c.layers,
            model=name,
            versions=versions(),
            **({} if categories is None else {"categories": list(categories)}),
            **({"variable_k": True} if any((p.experts < 0).any() for p in pieces) else {}),
        ),
    )
    check(trace)
    return trace


class _Piece(NamedTuple):
    experts: NDArray[np.int16]  # (B, steps, L, K)
    weights: NDArray[np.float32]
    probs: NDArray[np.float16] | None
    tokens: NDArray[np.int64]  # (B, steps)


def _capture_batch(
    model: Decoder, rows: NDArray[np.int64], device: torch.device, max_new: int, temperature: float, seed: int, with_probs: bool
) -> _Piece:
    tokens = torch.from_numpy(np.ascontiguousarray(rows)).to(device)
    calls: list[list[Routing]] = [[] for _ in range(model.config.layers)]

    def hook(layer: int, routing: Routing) -> None:
        calls[layer].append(routing)

    if max_new:
        tokens = model.generate(tokens, max_new, temperature=temperature, seed=seed, router_hook=hook)[:, :-1]
    else:
        model(tokens, router_hook=hook, last_only=True)
    batch = len(rows)

    def gather(get: Callable[[Routing], Tensor]) -> Tensor:
        return torch.stack([torch.cat([get(r).reshape(batch, -1, get(r).shape[-1]) for r in layer], dim=1) for layer in calls], dim=2)

    experts = gather(_ids).to(torch.int16).cpu().numpy()
    weights = gather(lambda r: r.weight_TK.float()).cpu().numpy()
    probs = gather(lambda r: r.probs_TE.float()).to(torch.float16).cpu().numpy() if with_probs else None
    return _Piece(experts, weights, probs, tokens.cpu().numpy())


def _ids(routing: Routing) -> Tensor:
    return routing.idx_TK if routing.mask_TK is None else routing.idx_TK.masked_fill(~routing.mask_TK, -1)


# --- any Hugging Face MoE ---


@dataclass(frozen=True)
class FoundLayer:
    """One MoE layer found by structure. `router` has a weight of shape (experts, width); stacked: ids are read from the experts' call."""

    path: str
    parent: nn.Module
    experts: nn.Module
    router: nn.Module
    num_experts: int
    stacked: bool


def find_moe_layers(model: nn.Module) -> list[FoundLayer]:
    """Every MoE layer in module order. Raises LabInput for a model without any, or whose layers have different numbers of experts."""
    found = [layer for path, module in model.named_modules() if (layer := _moe_layer(path, module)) is not None]
    if not found:
        raise LabInput(
            f"{type(model).__name__} has no Mixture-of-Experts layer: no module holds experts beside a router with one row per expert.",
            mend="Give a Mixture-of-Experts checkpoint.",
        )
    sizes = {layer.num_experts for layer in found}
    if len(sizes) > 1:
        raise LabInput(f"The MoE layers have different numbers of experts: {sorted(sizes)}.", mend="Only equal layers can share a trace.")
    return found


def _moe_layer(path: str, module: nn.Module) -> FoundLayer | None:
    children = list(module.children())
    for child in children:
        count, stacked = _experts_in(child)
        if count is None:
            continue
        for other in children:
            router = None if other is child else _router_of(other, count)
            if router is not None:
                return FoundLayer(path, module, child, router, count, stacked)
    return None


def _experts_in(module: nn.Module) -> tuple[int | None, bool]:
    """(number of experts, whether their weights are stacked), or (None, False) for a module that is no experts container."""
    if isinstance(module, nn.ModuleList) and len(module) > 1 and any(True for _ in module[0].parameters()):
        kinds = {type(m) for m in module}
        return (len(module), False) if len(kinds) == 1 else (None, False)
    stacks = [p.shape[0] for p in module.parameters(recurse=False) if p.dim() == 3]
    if len(stacks) >= 2 and len(set(stacks)) == 1 and stacks[0] > 1:
        return stacks[0], True
    return None, False


def _router_of(module: nn.Module, experts: int) -> nn.Module | None:
    """The module itself or a descendant whose 2-D weight has one row per expert; containers of experts are no routers."""
    for candidate in module.modules():
        weight = getattr(candidate, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() == 2 and weight.shape[0] == experts:
            return candidate
    return None


class _Record:
    """What one layer gave in one forward pass."""

    def __init__(self) -> None:
        self.ids: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.logits: list[Tensor] = []


@contextmanager
def hooked(layers: Sequence[FoundLayer]) -> Iterator[list[_Record]]:
    """Hooks on every layer's experts and router while the context is open; removed on exit, also after an error."""
    records = [_Record() for _ in layers]
    handles = []
    for layer, record in zip(layers, records, strict=True):
        handles.append(layer.router.register_forward_hook(_router_hook(layer, record), with_kwargs=True))
        if layer.stacked:
            handles.append(layer.experts.register_forward_pre_hook(_experts_hook(record), with_kwargs=True))
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


def _experts_hook(record: _Record) -> Callable[..., None]:
    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor)]
        ids = next((t for t in tensors if not t.is_floating_point() and t.dtype != torch.bool and t.dim() >= 2), None)
        if ids is None:
            return
        ids = ids.reshape(-1, ids.shape[-1])
        record.ids.append(ids.detach())
        for t in tensors:
            if t.is_floating_point() and t.dim() >= 2 and t.reshape(-1, t.shape[-1]).shape == ids.shape:
                record.weights.append(t.detach().reshape(ids.shape).float())
                return

    return hook


def _router_hook(layer: FoundLayer, record: _Record) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], _output: Any) -> None:
        x = next(t for t in (*args, *kwargs.values()) if isinstance(t, Tensor) and t.is_floating_point())
        # From weight and input, never from the output: versions differ in whether they return logits or probabilities.
        weight, bias = module.weight, getattr(module, "bias", None)
        flat = x.detach().reshape(-1, x.shape[-1]).to(weight.dtype)
        bias = bias.detach() if isinstance(bias, Tensor) and bias.shape == weight.shape[:1] else None
        record.logits.append(nn.functional.linear(flat, weight.detach(), bias).float())

    return hook


@torch.no_grad()
def capture_hf(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new: int = 0,
    temperature: float = 0.0,
    seed: int = 0,
    categories: Sequence[str] | None = None,
    name: str = "",
    progress: Progress = lambda _what, _share: None,
) -> RoutingTrace:
    """Routes each prompt alone (no padding enters the trace), then generates `max_new` tokens with the model's own `generate`.

    Greedy by default, as the paper does not state its sampling. Raises LabInput for no MoE layers, an empty prompt, or lack of memory.
    """
    if not prompts or any(len(p) == 0 for p in prompts):
        raise LabInput("There are no prompts, or one has length 0.", mend="Give prompts of at least one token.")
    layers = find_moe_layers(model)
    model.eval()
    parts: list[_HfPiece] = []
    for i, prompt in enumerate(prompts):
        progress(f"routing prompt {i + 1}/{len(prompts)}", i / len(prompts))
        parts.append(_capture_prompt(model, layers, prompt, max_new, temperature, seed + i))
    gate = _gate_kind(parts)
    probs = None
    if gate is not None:
        squash = (lambda t: t.softmax(-1)) if gate == "softmax" else torch.sigmoid
        probs = torch.cat([squash(p.logits) for p in parts]).to(torch.float16).numpy()
    lengths = [len(p.tokens) for p in parts]
    experts = torch.cat([p.ids for p in parts])
    more: dict[str, Any] = {} if categories is None else {"categories": list(categories)}
    if gate == "sigmoid" or any(layer.num_experts != probs.shape[-1] for layer in layers if probs is not None):
        more["selection"] = "router's own (bias or groups)"
    trace = RoutingTrace(
        experts=experts.to(torch.int16).numpy(),
        weights=None if any(p.weights is None for p in parts) else torch.cat([p.weights for p in parts if p.weights is not None]).numpy(),
        probs=probs,
        request=np.repeat(np.arange(len(parts), dtype=np.int32), lengths),
        position=np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]),
        is_decode=np.concatenate([np.arange(n) >= len(p) for n, p in zip(lengths, prompts, strict=True)]),
        token_id=np.concatenate([p.tokens for p in parts]).astype(np.int32),
        meta=make_meta(
            num_experts=layers[0].num_experts,
            k=int(experts.shape[-1]),
            layers=len(layers),
            model=name or type(model).__name__,
            versions=versions("transformers"),
            layer_paths=[layer.path for layer in layers],
            gate=gate,
            **more,
        ),
    )
    check(trace)
    return trace


class _HfPiece(NamedTuple):
    ids: Tensor  # (T, L, K) on the CPU
    weights: Tensor | None
    logits: Tensor  # (T, L, E)
    tokens: NDArray[np.int64]


def _capture_prompt(
    model: Any, layers: Sequence[FoundLayer], prompt: Sequence[int], max_new: int, temperature: float, seed: int
) -> _HfPiece:
    device = next(model.parameters()).device
    tokens = torch.tensor([list(prompt)], device=device)
    try:
        with hooked(layers) as records:
            if max_new:
                sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
                with torch.random.fork_rng(enabled=bool(temperature)):
                    if temperature:
                        torch.manual_seed(seed)  # their generate draws from the global generator
                    tokens = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=max_new, **sampling)[:, :-1]
            else:
                model(tokens, use_cache=False)
    except torch.OutOfMemoryError as exc:
        raise LabInput("The model ran out of memory while routing.", mend="Use bfloat16, shorter prompts or fewer new tokens.") from exc
    routed = [_layer_rows(layer, record) for layer, record in zip(layers, records, strict=True)]
    rows = {len(r[0]) for r in routed}
    if rows != {tokens.shape[1]}:
        raise LabInput(
            f"Layers routed {sorted(rows)} rows for {tokens.shape[1]} tokens.",
            mend="The model pads or drops tokens; capture without padding.",
        )
    weights = None if any(r[1] is None for r in routed) else torch.stack([r[1] for r in routed if r[1] is not None], dim=1)
    ids, logits = torch.stack([r[0] for r in routed], dim=1), torch.stack([r[2] for r in routed], dim=1)
    return _HfPiece(ids, weights, logits, tokens[0].cpu().numpy())


def _layer_rows(layer: FoundLayer, record: _Record) -> tuple[Tensor, Tensor | None, Tensor]:
    """ids (T, K), weights (T, K) or None, logits (T, E); ids of unstacked experts are the top-k of the logits."""
    if not record.logits:
        raise LabInput(f"The router of {layer.path} was never called.", mend="Update transformers, or import a trace.")
    logits = torch.cat(record.logits).cpu()
    if record.ids:
        weights = torch.cat(record.weights).cpu() if len(record.weights) == len(record.ids) else None
        return torch.cat(record.ids).cpu(), weights, logits
    k = next(
        (int(v) for m in (layer.parent, layer.router) for n in ("top_k", "num_experts_per_tok", "k") if (v := getattr(m, n, None))), None
    )
    if k is None:
        raise LabInput(f"The number of chosen experts of {layer.path} is not stated by the model.", mend="Import a trace instead.")
    return logits.topk(k, dim=-1).indices, None, logits


def _gate_kind(parts: Sequence[_HfPiece]) -> str | None:
    """'softmax' or 'sigmoid', whichever makes the weights proportional to the gate's values of the chosen experts; None if neither does."""
    piece = parts[0]
    if piece.weights is None:
        return "softmax"
    for kind, values in (("softmax", piece.logits.softmax(-1)), ("sigmoid", piece.logits.sigmoid())):
        chosen = values.gather(-1, piece.ids.long())
        share, wanted = chosen / chosen.sum(-1, keepdim=True), piece.weights / piece.weights.sum(-1, keepdim=True)
        if (share - wanted).abs().max() < 0.02:
            return kind
    return None


def load_hf(source: str, *, device: str = "cpu", dtype: str = "bfloat16") -> tuple[Any, Any]:
    """(model, tokenizer) of a local path or hub id, without running code from the repository. The tokenizer is None where none is stored."""
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as exc:
        raise MissingExtra("lab", "Loading a Hugging Face checkpoint (transformers)") from exc
    try:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype), trust_remote_code=False).to(device).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as exc:
        raise LabInput(f"{source!r} could not be loaded: {str(exc).splitlines()[0]}", mend="Give a local checkpoint folder.") from exc
    for path, p in model.named_parameters():
        if not torch.isfinite(p).all():
            raise LabInput(f"{source!r} has NaN or infinite weights in {path}.", mend="Use an intact checkpoint.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        tokenizer = None
    return model, tokenizer
