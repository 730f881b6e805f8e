"""What a trained model costs and does: operations per token (counted and by formula), slots, specialisation, time to first and next word, memory.

Imports torch, the model, the routing measures. Refuses timings without repeats. Times are of this implementation on this machine; operations are not.

Axis letters: B batch, S sequence, T tokens, L layers, E experts, M modalities.
"""

from __future__ import annotations

import random
import statistics
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sovereign.errors import LabInput
from sovereign.lab.routing import RouterContext, Routing
from sovereign.lab.routing.common import real_slots, spread
from sovereign.lab.routing.measures import (
    bin_modality_information,
    counts_by_bin,
    load_entropy,
    load_imbalance,
    modality_counts,
    msi,
    slots_per_token,
)
from sovereign.lab.study import Contention
from sovereign.lab.vision.tasks import Scenes
from sovereign.lab.vision.vlm import Layout, SceneModel

INFORMATION_BINS = 4


def formula_flops(model: SceneModel, routings: Sequence[Routing], layout: Layout) -> int:
    """Forward operations of all matrix products (2 per multiply-add) of a pass whose decisions were `routings`.

    Per token and layer: attention 8 D^2 + 4 S D (kernels compute all S x S scores), gate, and 6 D F per real slot; once: patches 2 P D, head 2 D V.
    Norms, softmax, activation, sorting and the weighted sum of slots are left out.
    """
    spec, config = model.spec, model.decoder.config
    tokens = routings[0].idx_TK.shape[0]
    batch = tokens // layout.length
    d = spec.width
    total = tokens * 2 * d * spec.vocab + batch * layout.patches * 2 * spec.pixels * d
    for router, routing in zip(model.routers(), routings, strict=True):
        gate = router.flops_per_token()
        total += tokens * (8 * d * d + 4 * layout.length * d + gate)
        total += int(real_slots(routing).sum()) * 6 * d * config.ffn
    return total


def counted_flops(model: SceneModel, pixels_BCP: Tensor, words_BQW: Tensor) -> tuple[int, tuple[Routing, ...]]:
    """Operations of the matrix products that really ran, as torch counts them while tokens are dispatched to their experts.

    The sum over slots is a product of weights and outputs in this implementation, and no model arithmetic; it is counted and taken off again.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model.everywhere(False)
    counter = FlopCounterMode(display=False)
    # The fused CPU kernel of attention is invisible to the counter; the plain one does the same products in the open.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        output = model(pixels_BCP, words_BQW, want_attention=False)
    combine = 0
    if not model.spec.dense:
        combine = sum(2 * r.idx_TK.numel() * model.spec.width for r in output.routing)
    return int(counter.get_total_flops()) - combine, output.routing


@dataclass(frozen=True)
class Behaviour:
    """How a trained model routes held-out scenes. text_share_LE: share of text among normalised visits (nan where nobody goes)."""

    used_slots: float
    real_slots: float
    virtual_share: float
    real_slots_text: float
    real_slots_vision: float
    mflops_per_token: float
    msi: float | None
    information: float | None
    imbalance: float | None
    entropy: float | None
    counts_LME: Tensor

    @property
    def text_share_LE(self) -> Tensor:
        share = self.counts_LME / self.counts_LME.sum(-1, keepdim=True)
        return share[:, 0] / share.sum(1)


@torch.no_grad()
def behaviour(model: SceneModel, scenes: Scenes, words_NQW: Tensor) -> Behaviour:
    """Raises LabInput without scenes."""
    if not len(scenes):
        raise LabInput("No scenes to look at.", mend="Make at least one.")
    device = next(model.parameters()).device
    torch.manual_seed(0)
    pixels, words = scenes.pixels_NCP.to(device).float() / 255, words_NQW.to(device)
    layout = Layout(pixels.shape[1], words.shape[1], words.shape[2])
    routings = model(pixels, words, want_attention=False).routing
    modality_T = model.layout(layout, device)[2].repeat(len(scenes))
    experts = model.decoder.config.experts
    counts_LME = torch.stack([modality_counts(r, modality_T, experts) for r in routings]).cpu()
    slots = slots_per_token(routings)
    by_modality = [float(torch.stack([real_slots(r).sum(-1)[modality_T == m] for r in routings]).mean()) for m in (0, 1)]
    load_LE = counts_LME.sum(1)
    single = experts == 1
    return Behaviour(
        used_slots=slots.used,
        real_slots=slots.real,
        virtual_share=slots.virtual_share,
        real_slots_text=by_modality[0],
        real_slots_vision=by_modality[1],
        mflops_per_token=formula_flops(model, routings, layout) / routings[0].idx_TK.shape[0] / 1e6,
        msi=None if single else msi(counts_LME),
        information=None if single else _information(model, routings, modality_T, counts_LME, layout, len(scenes)),
        imbalance=None if single else statistics.fmean(x for load in load_LE if (x := load_imbalance(load)) is not None),
        entropy=None if single else statistics.fmean(x for load in load_LE if (x := load_entropy(load)) is not None),
        counts_LME=counts_LME,
    )


def _information(
    model: SceneModel, routings: Sequence[Routing], modality_T: Tensor, counts_LME: Tensor, layout: Layout, samples: int
) -> float | None:
    """Mean over layers of MI(bin; modality), with bins made the same way for every strategy: from the model's own counts."""
    device = modality_T.device
    context = RouterContext(layer=0, sample_T=torch.arange(samples, device=device).repeat_interleave(layout.length), samples=samples)
    values = []
    for routing, counts_ME in zip(routings, counts_LME, strict=True):
        bin_E = counts_by_bin(counts_ME, INFORMATION_BINS).to(device)
        value, _ = bin_modality_information(routing, modality_T, bin_E, INFORMATION_BINS, context)
        if value is not None:
            values.append(value)
    return statistics.fmean(values) if values else None


NEW_WORDS = 8  # generated in one timed round: one first word and seven further ones


@dataclass(frozen=True)
class Timing:
    """Median and quartiles over repeats, milliseconds. others_busy: share of the machine that others used meanwhile (None: unknown).

    ttft_rounds, tpot_rounds: every repeat in the order of the rounds; the n-th of two models timed together ran side by side.
    """

    batch: int
    ttft_ms: float
    ttft_spread: tuple[float, float]
    tpot_ms: float
    tpot_spread: tuple[float, float]
    words_per_s: float
    peak_bytes: int | None
    repeats: int
    others_busy: float | None
    ttft_rounds: tuple[float, ...] = ()
    tpot_rounds: tuple[float, ...] = ()


def time_together(
    models: Mapping[str, SceneModel], scenes: Scenes, words_NW: Tensor, batch: int, *, new: int = NEW_WORDS, repeats: int = 7, seed: int = 0
) -> dict[str, Timing]:
    """Time to first word (image and question in, one word out) and per further word, with a key-value cache, one question per image.

    Models are timed side by side: every round times each once, in an order drawn anew, so that a ratio inside a round shares what the machine was
    doing. Two unrecorded rounds warm up. peak_bytes: largest allocation on the accelerator; on a CPU the largest sum of live tensors.
    Raises LabInput for fewer than three repeats (no spread), fewer than two words or a batch larger than the scenes.
    """
    if repeats < 3 or new < 2:
        raise LabInput(f"{repeats} repeats of {new} words give no spread.", mend="Use at least 3 repeats and 2 words.")
    if not 1 <= batch <= len(scenes):
        raise LabInput(f"A batch of {batch} from {len(scenes)} scenes.", mend="Choose a batch of at least 1 and enough scenes.")
    order, names = random.Random(seed), list(models)
    first: dict[str, list[float]] = {name: [] for name in names}
    rest: dict[str, list[float]] = {name: [] for name in names}
    given = {name: _on(scenes, words_NW, batch, next(model.parameters()).device) for name, model in models.items()}
    with Contention() as contention:
        for i in range(repeats + 2):
            order.shuffle(names)
            for name in names:
                device, marks = given[name][0].device, list[float]()
                models[name].generate(*given[name], new, on_step=lambda _i, m=marks, d=device: m.append(_now(d)))
                marks.append(_now(device))
                if i >= 2:
                    first[name].append((marks[1] - marks[0]) * 1e3)
                    rest[name].append((marks[-1] - marks[1]) * 1e3 / (new - 1))
    out = {}
    for name, model in models.items():
        whole = statistics.median(a + b * (new - 1) for a, b in zip(first[name], rest[name], strict=True))
        out[name] = Timing(
            batch=batch,
            ttft_ms=statistics.median(first[name]),
            ttft_spread=_quartiles(first[name]),
            tpot_ms=statistics.median(rest[name]),
            tpot_spread=_quartiles(rest[name]),
            words_per_s=batch * new / whole * 1e3,
            peak_bytes=peak_bytes(model, *given[name]),
            repeats=repeats,
            others_busy=contention.busy,
            ttft_rounds=tuple(first[name]),
            tpot_rounds=tuple(rest[name]),
        )
    return out


def _on(scenes: Scenes, words_NW: Tensor, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    return scenes.pixels_NCP[:batch].to(device).float() / 255, words_NW[:batch].to(device)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=4)
    return cuts[0], cuts[2]


def peak_bytes(model: SceneModel, pixels: Tensor, words: Tensor) -> int | None:
    """Largest memory of one prefill beyond the weights and the input, in bytes."""
    device = pixels.device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        model.generate(pixels, words, 1)
        return int(torch.cuda.max_memory_allocated(device) - before)
    with LiveBytes() as live, torch.no_grad():
        model.generate(pixels, words, 1)
    return live.peak


class LiveBytes(TorchDispatchMode):
    """Largest sum of storages alive at once that were made while it is active; buffers inside one kernel are not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._watch(leaf.untyped_storage())
        return result

    def _watch(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def active_by_kind(model: SceneModel, scenes: Scenes, words_NQW: Tensor) -> Tensor:
    """Mean real slots per word of a question, float (Q,): does a strategy spend more on harder kinds?"""
    device = next(model.parameters()).device
    torch.manual_seed(0)
    layout = Layout(scenes.pixels_NCP.shape[1], words_NQW.shape[1], words_NQW.shape[2])
    with torch.no_grad():
        routings = model(scenes.pixels_NCP.to(device).float() / 255, words_NQW.to(device), want_attention=False).routing
    real_T = torch.stack([real_slots(r).sum(-1) for r in routings]).mean(0)
    per_position = real_T.view(len(scenes), layout.length)[:, layout.patches :]
    return per_position.reshape(len(scenes), layout.questions, layout.words).mean((0, 2)).cpu()


def expert_load(routing: Routing, experts: int) -> Tensor:
    """Real slots at each expert, float (E,)."""
    return spread(real_slots(routing), routing.idx_TK, experts).sum(0)
