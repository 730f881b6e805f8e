"""The one on-disk form of a routing trace: which experts every token visited in every layer; its validator and its importers.

Imports numpy, errors and seal. Refuses pickles, ids outside the model, and repairing a trace: what is wrong is named.
Axis letters: T tokens (all requests together, in the order they were routed), L layers, K chosen experts, E experts, R requests.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign import seal
from sovereign.errors import LabInput, NotFound

SCHEMA = 1
ARRAYS = ("experts", "weights", "probs", "request", "position", "is_decode", "token_id")
LONGEST_RUN = 16  # equal rows of different tokens; by chance 1/C(E, k)^L each, in a collapsed toy model up to 5 were seen
SUM_TOLERANCE = 2e-2  # probabilities are stored as float16: 64 roundings of up to 2^-11 relative stay below this


@dataclass(frozen=True)
class RoutingTrace:
    """experts int16 (T, L, K); weights float (T, L, K) or None; probs float (T, L, E) or None; request and position int32 (T,);
    is_decode bool (T,); token_id int32 (T,) or None.

    meta: schema, num_experts, k, layers, model, versions (library -> version); optional categories (one label per request), prompts, note.
    A slot that was not computed (variable-k routers) holds -1, and only if meta["variable_k"] is true.
    """

    experts: NDArray[np.int16]
    request: NDArray[np.int32]
    position: NDArray[np.int32]
    is_decode: NDArray[np.bool_]
    weights: NDArray[Any] | None = None
    probs: NDArray[Any] | None = None
    token_id: NDArray[np.int32] | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return int(self.experts.shape[0])

    @property
    def layers(self) -> int:
        return int(self.experts.shape[1])

    @property
    def k(self) -> int:
        return int(self.experts.shape[2])

    @property
    def num_experts(self) -> int:
        return int(self.meta["num_experts"])

    @property
    def requests(self) -> NDArray[np.int32]:
        """The distinct request ids, ascending."""
        return np.unique(self.request)

    @property
    def categories(self) -> list[str] | None:
        found = self.meta.get("categories")
        return None if found is None else [str(c) for c in found]

    def select(self, keep_T: NDArray[np.bool_]) -> RoutingTrace:
        """The rows where keep_T is true, with the same meta."""
        cut: dict[str, Any] = {name: (None if (a := getattr(self, name)) is None else a[keep_T]) for name in ARRAYS}
        return replace(self, **cut)

    def prefill(self) -> RoutingTrace:
        return self.select(~self.is_decode)

    def decode(self) -> RoutingTrace:
        return self.select(self.is_decode)

    def digest(self) -> str:
        """sha256 over every array's shape, type and bytes and over meta; independent of the file format."""
        parts = {
            name: [str(a.dtype), list(a.shape), seal.sha256(np.ascontiguousarray(a).tobytes())]
            for name in ARRAYS
            if (a := getattr(self, name)) is not None
        }
        return seal.digest({"arrays": parts, "meta": self.meta})

    def save(self, path: Path) -> Path:
        """Writes one compressed .npz (no pickles), replacing atomically."""
        path = path if path.suffix == ".npz" else path.with_suffix(path.suffix + ".npz")
        held = {name: a for name in ARRAYS if (a := getattr(self, name)) is not None}
        part = path.with_suffix(".part.npz")
        with part.open("wb") as stream:
            np.savez_compressed(stream, meta=np.array(json.dumps(seal.plain(self.meta), sort_keys=True)), **held)  # type: ignore[arg-type]
        part.replace(path)
        return path

    @classmethod
    def load(cls, path: Path) -> RoutingTrace:
        """Raises NotFound, or LabInput for a file that is not a trace of a known schema or does not validate."""
        if not path.is_file():
            raise NotFound(f"There is no trace at {path}.", mend="Give the path of a .npz trace.", subject=str(path))
        try:
            with np.load(path, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
        except (ValueError, OSError, zipfile.BadZipFile) as exc:
            raise LabInput(f"{path.name} is not a readable trace: {exc}.", mend="Write it with RoutingTrace.save or import it.") from exc
        if "meta" not in arrays or "experts" not in arrays:
            raise LabInput(f"{path.name} lacks 'meta' or 'experts'.", mend="Import bare arrays with from_routed_experts.")
        meta = json.loads(str(arrays.pop("meta")))
        if meta.get("schema") != SCHEMA:
            raise LabInput(f"{path.name} has trace schema {meta.get('schema')!r}; this version reads {SCHEMA}.", mend="Capture it again.")
        unknown = set(arrays) - set(ARRAYS)
        if unknown or not {"request", "position", "is_decode"} <= set(arrays):
            raise LabInput(f"{path.name} holds {sorted(arrays)}.", mend=f"A trace holds {', '.join(ARRAYS)}.")
        trace = cls(meta=meta, **arrays)
        check(trace)
        return trace


def make_meta(*, num_experts: int, k: int, layers: int, model: str, versions: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """The mandatory meta of a trace, with the schema number; `more` holds categories, prompts, note and the like."""
    return {
        "schema": SCHEMA,
        "num_experts": num_experts,
        "k": k,
        "layers": layers,
        "model": model,
        "versions": dict(sorted(versions.items())),
        **more,
    }


def validate(trace: RoutingTrace) -> list[str]:
    """Every problem as one line with its mend; an empty list means that studies may use the trace."""
    problems = _meta_problems(trace)
    if problems:
        return problems
    problems = _shape_problems(trace) or _id_problems(trace)
    if problems:
        # Later checks index with these shapes and ids.
        return problems
    return [*_row_problems(trace), *_weight_problems(trace), *_prob_problems(trace)]


def check(trace: RoutingTrace) -> None:
    """Raises LabInput with the first problem and the number of further ones."""
    problems = validate(trace)
    if problems:
        more = f" ({len(problems) - 1} further problems)" if len(problems) > 1 else ""
        raise LabInput(f"The trace cannot be used: {problems[0]}{more}", mend="Capture or import it again.")


def _meta_problems(trace: RoutingTrace) -> list[str]:
    missing = [name for name in ("schema", "num_experts", "k", "layers", "model", "versions") if name not in trace.meta]
    problems = [f"meta lacks {', '.join(missing)}; build it with make_meta."] if missing else []
    if not missing and not isinstance(trace.meta["versions"], dict):
        problems.append("meta['versions'] is not a mapping of library to version.")
    if not missing and not trace.meta["versions"]:
        problems.append("no library version is recorded; routers changed what they return between versions, so name them.")
    return problems


def _shape_problems(trace: RoutingTrace) -> list[str]:
    problems = []
    if trace.experts.ndim != 3 or not np.issubdtype(trace.experts.dtype, np.integer):
        return [f"experts has shape {trace.experts.shape} and type {trace.experts.dtype}; integers (tokens, layers, k) are needed."]
    tokens, layers, k = trace.experts.shape
    if tokens == 0:
        return ["it has no tokens; drop empty prompts and capture again."]
    if (layers, k) != (trace.meta["layers"], trace.meta["k"]):
        problems.append(f"experts has {layers} layers and k = {k}, meta says {trace.meta['layers']} and {trace.meta['k']}.")
    for name in ("request", "position", "is_decode", "token_id"):
        a = getattr(trace, name)
        if a is not None and a.shape != (tokens,):
            problems.append(f"{name} has shape {a.shape} for {tokens} tokens.")
    wanted = {"weights": (tokens, layers, k), "probs": (tokens, layers, trace.num_experts)}
    for name, shape in wanted.items():
        a = getattr(trace, name)
        if a is not None and a.shape != shape:
            problems.append(f"{name} has shape {a.shape}, not {shape}.")
    labels = trace.meta.get("categories")
    if not problems and labels is not None and int(trace.request.max()) >= len(labels):
        problems.append(f"request {int(trace.request.max())} has no category: only {len(labels)} are given.")
    return problems


def _id_problems(trace: RoutingTrace) -> list[str]:
    problems = []
    experts, variable = trace.experts, bool(trace.meta.get("variable_k"))
    low, high = int(experts.min()), int(experts.max())
    if low < (-1 if variable else 0) or high >= trace.num_experts:
        problems.append(f"expert ids run from {low} to {high} in a model of {trace.num_experts} experts.")
    ordered = np.sort(experts, axis=-1)
    repeated = ((ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] >= 0)).any(axis=-1)
    repeated &= (experts != 0).any(axis=(1, 2))[:, None]  # rows that were never captured are named as such below
    if repeated.any():
        t, layer = np.argwhere(repeated)[0]
        problems.append(f"{int(repeated.sum())} token-layers name one expert twice (first: token {t}, layer {layer}).")
    return problems


def _row_problems(trace: RoutingTrace) -> list[str]:
    """Row counts, rows that were never written, and rows of a profiling run that slipped in."""
    problems = []
    experts = trace.experts
    if experts.shape[2] > 1:
        empty = (experts == 0).all(axis=(1, 2))
        if empty.any():
            problems.append(
                f"{int(empty.sum())} tokens have all-zero rows (first: token {int(np.argmax(empty))}): they were never captured."
            )
    elif trace.tokens > 8 and (experts == 0).all():
        problems.append("every expert id is 0: nothing was captured.")
    for request in trace.requests:
        rows = trace.position[trace.request == request]
        if (np.sort(rows) != np.arange(len(rows))).any():
            problems.append(
                f"request {int(request)} has {len(rows)} rows whose positions are not 0..{len(rows) - 1}: rows are lost or doubled."
            )
            break
        if (rows != np.arange(len(rows))).any():
            problems.append(f"request {int(request)} is not in the order of its positions.")
            break
    problems += _repetition_problems(trace)
    return problems


def _repetition_problems(trace: RoutingTrace) -> list[str]:
    """Runs of equal rows: a profiling pass repeats one row, a stuck buffer repeats the last. A collapsed small model repeats some rows too,
    so only long runs (of different tokens, where the ids are known) or a majority of repeats are reported."""
    flat = trace.experts.reshape(trace.tokens, -1)
    same = (flat[1:] == flat[:-1]).all(axis=1) & (trace.request[1:] == trace.request[:-1])
    if trace.token_id is not None:
        same &= trace.token_id[1:] != trace.token_id[:-1]
    breaks = np.flatnonzero(np.concatenate(([True], ~same, [True])))
    longest = int(np.diff(breaks).max())
    if longest > LONGEST_RUN or (trace.tokens > 8 and same.mean() > 0.5):
        return [
            f"{int(same.sum())} rows repeat the row before them in every layer (longest run {longest}): a profiling run or a stuck buffer."
        ]
    return []


def _weight_problems(trace: RoutingTrace) -> list[str]:
    if trace.weights is None:
        return []
    if not np.isfinite(trace.weights).all():
        return ["weights hold NaN or infinity; the model or its numeric type is broken."]
    if (trace.weights < 0).any():
        return ["weights are negative: these look like logits, not gate weights."]
    return []


def _prob_problems(trace: RoutingTrace) -> list[str]:
    if trace.probs is None:
        return []
    probs = trace.probs.astype(np.float32)
    if not np.isfinite(probs).all():
        return ["probabilities hold NaN or infinity; the model or its numeric type is broken."]
    if (probs < 0).any() or (probs > 1 + SUM_TOLERANCE).any():
        return ["probabilities lie outside 0..1: these are raw logits; store their softmax (or sigmoid, with meta['gate'] = 'sigmoid')."]
    if trace.meta.get("gate") == "sigmoid":
        return []
    off = np.abs(probs.sum(-1) - 1)
    if (off > SUM_TOLERANCE).any():
        return [f"probabilities do not sum to 1 (worst: off by {float(off.max()):.3f})."]
    if _softmaxed_twice(probs):
        return ["the probabilities are a softmax of a softmax; store the softmax of the raw logits."]
    return _top_problems(trace, probs)


def _softmaxed_twice(probs: NDArray[np.float32]) -> bool:
    """Whether the log-probabilities, shifted to sum to 1, are themselves a distribution with structure.

    If q = softmax(p) with p >= 0 and sum p = 1, then p = log q + (1 - sum log q) / E exactly. Softmaxes of raw logits give a negative "p" as
    soon as the logits spread by more than 1/E. (The OLMoE family once returned softmaxed router_logits: transformers issue 45120.)
    """
    experts = probs.shape[-1]
    logs = np.log(np.maximum(probs, 1e-12))
    inner = logs + (1 - logs.sum(-1, keepdims=True)) / experts
    return bool(inner.min() > -2e-3 and np.median(inner.max(-1)) > 2 / experts)


def _top_problems(trace: RoutingTrace, probs: NDArray[np.float32]) -> list[str]:
    """Chosen experts must be the most probable ones, unless the router adds a bias or groups experts (meta['selection'] says so)."""
    if trace.meta.get("selection") or trace.meta.get("variable_k"):
        return []
    chosen = np.take_along_axis(probs, trace.experts.astype(np.int64), axis=-1).min(-1)
    floor = np.partition(probs, -trace.k, axis=-1)[..., -trace.k]
    wrong = chosen < floor - 2e-3 * np.maximum(floor, 1e-3)
    if wrong.mean() > 0.001:
        return [
            f"{wrong.mean():.1%} of token-layers chose an expert outside the {trace.k} most probable: ids and probabilities do not match."
        ]
    return []


# --- importers ---


def from_routed_experts(
    arrays: Sequence[NDArray[Any]],
    *,
    num_experts: int,
    prompt_lengths: Sequence[int] | None = None,
    model: str = "unknown",
    versions: Mapping[str, str],
    categories: Sequence[str] | None = None,
) -> RoutingTrace:
    """One array (tokens, layers, k) per request, as vLLM (`enable_return_routed_experts`) and SGLang (`return_routed_experts`) give them.

    The servers may leave out the last generated token. `prompt_lengths` separates prefill from decode;
    without it all rows count as prefill.
    """
    if not arrays:
        raise LabInput("No routed-experts arrays were given.", mend="Give one array per request.")
    shapes = {tuple(a.shape[1:]) for a in arrays if a.ndim == 3}
    if len(shapes) != 1 or any(a.ndim != 3 for a in arrays):
        raise LabInput(
            f"Routed-experts arrays have shapes {[tuple(a.shape) for a in arrays[:4]]}.",
            mend="Each must be (tokens, layers, k) of one model.",
        )
    if prompt_lengths is not None and len(prompt_lengths) != len(arrays):
        raise LabInput(f"{len(prompt_lengths)} prompt lengths for {len(arrays)} requests.", mend="Give one length per request.")
    if any(a.size and (int(a.min()) < -1 or int(a.max()) >= num_experts) for a in arrays):
        raise LabInput(f"An expert id lies outside 0..{num_experts - 1}.", mend="Give the model's own number of experts.")
    layers, k = next(iter(shapes))
    lengths = [len(a) for a in arrays]
    decode = [np.zeros(n, bool) if prompt_lengths is None else np.arange(n) >= prompt_lengths[i] for i, n in enumerate(lengths)]
    more = {} if categories is None else {"categories": list(categories)}
    trace = RoutingTrace(
        experts=np.concatenate(arrays).astype(np.int16),
        request=np.repeat(np.arange(len(arrays), dtype=np.int32), lengths),
        position=np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]),
        is_decode=np.concatenate(decode),
        meta=make_meta(num_experts=num_experts, k=int(k), layers=int(layers), model=model, versions=versions, **more),
    )
    check(trace)
    return trace


def from_npz(path: Path, *, num_experts: int, versions: Mapping[str, str], model: str = "unknown") -> RoutingTrace:
    """A bare .npz: either 'routed_experts' (tokens, layers, k) or one such array per request under any names, in sorted order."""
    if not path.is_file():
        raise NotFound(f"There is no file {path}.", mend="Give the path of an .npz file.", subject=str(path))
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = [held[name] for name in sorted(held.files)]
    except (ValueError, OSError, zipfile.BadZipFile) as exc:
        raise LabInput(f"{path.name} cannot be read without pickles: {exc}.", mend="Save plain integer arrays.") from exc
    return from_routed_experts(arrays, num_experts=num_experts, versions=versions, model=model)


def from_jsonl(lines: Iterable[str], *, num_experts: int, versions: Mapping[str, str], model: str = "unknown") -> RoutingTrace:
    """One JSON object per token: request, position, experts (layers x k), optional is_decode, token_id, weights (layers x k)."""
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append((int(row["request"]), int(row["position"]), row["experts"], row))
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as exc:
            raise LabInput(f"Line {number} of the trace is not a token record: {exc}.", mend="Needed: request, position, experts.") from exc
    if not rows:
        raise LabInput("The JSONL trace has no rows.", mend="Give one JSON object per token.")
    rows.sort(key=lambda r: r[:2])
    try:
        experts = np.array([r[2] for r in rows], dtype=np.int64)
        weights = np.array([r[3]["weights"] for r in rows], dtype=np.float32) if all("weights" in r[3] for r in rows) else None
    except (ValueError, TypeError) as exc:
        raise LabInput("Rows of the trace have different layers or k.", mend="Every row needs experts as layers x k integers.") from exc
    if experts.ndim != 3 or experts.min() < -1 or experts.max() >= num_experts:
        raise LabInput(f"experts of shape {experts.shape} do not fit {num_experts} experts.", mend="Give layers x k ids below num_experts.")
    tokens = [r[3].get("token_id") for r in rows]
    trace = RoutingTrace(
        experts=experts.astype(np.int16),
        weights=weights,
        request=np.unique([r[0] for r in rows], return_inverse=True)[1].astype(np.int32),
        position=np.array([r[1] for r in rows], dtype=np.int32),
        is_decode=np.array([bool(r[3].get("is_decode", False)) for r in rows]),
        token_id=None if any(t is None for t in tokens) else np.array(tokens, dtype=np.int32),
        meta=make_meta(num_experts=num_experts, k=experts.shape[2], layers=experts.shape[1], model=model, versions=versions),
    )
    check(trace)
    return trace


def merge(traces: Sequence[RoutingTrace]) -> RoutingTrace:
    """Several traces of one model as one, requests renumbered. Raises LabInput when model, k, experts or library versions differ."""
    if not traces:
        raise LabInput("No traces were given.", mend="Give at least one.")
    first = traces[0]
    for other in traces[1:]:
        for name in ("num_experts", "k", "layers", "model", "versions"):
            if other.meta[name] != first.meta[name]:
                raise LabInput(
                    f"The traces differ in {name}: {first.meta[name]} and {other.meta[name]}.",
                    mend="Capture both with one model and version.",
                )
    starts = np.cumsum([0] + [int(t.request.max()) + 1 for t in traces[:-1]])
    columns: dict[str, Any] = {}
    for name in ARRAYS:
        parts = [getattr(t, name) for t in traces]
        columns[name] = None if any(p is None for p in parts) else np.concatenate(parts)
    columns["request"] = np.concatenate([t.request + s for t, s in zip(traces, starts, strict=True)]).astype(np.int32)
    meta = dict(first.meta)
    if all(t.categories is not None for t in traces):
        meta["categories"] = [c for t in traces for c in (t.categories or [])]
    return RoutingTrace(meta=meta, **columns)
