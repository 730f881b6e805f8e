"""Training many seeds of one model at once, and scoring them: every seed has its own weights, data and order; one vmap runs them all.

Imports torch, the model and the tasks. Refuses to score on anything a model was trained on. Two strategies with the same seed see the same scenes,
questions and order, and start from the same attention, embedding and expert draws: their differences are paired.

Axis letters: R replicas (seeds), B scenes per step, Q questions, N test scenes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MethodType

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from sovereign.errors import LabInput
from sovereign.lab.model import RMSNorm
from sovereign.lab.vision.tasks import (
    BLANK,
    CELLS,
    COLOURS,
    COVER,
    KINDS,
    SHAPES,
    WORD,
    Questions,
    Scenes,
    ask,
    make_scenes,
)
from sovereign.lab.vision.vlm import Layout, SceneModel, VlmSpec

# Weights of the named losses. Deviations from the papers (1e-3 balance, 1e-4 MI at 100 000 steps) because a few hundred steps must show an effect.
LOSS_WEIGHTS: dict[str, float] = {
    "balance_loss": 3e-2,
    "mi_loss": 3e-1,
    "kl_loss": 1e-2,
    "importance_loss": 1e-3,
    "entropy_loss": 1e-4,
}
COLOUR_CLASSES = torch.tensor([BLANK, COVER, *(WORD[c] for c in COLOURS)])
SHAPE_CLASSES = torch.tensor([BLANK, COVER, *(WORD[s] for s in SHAPES)])


@dataclass(frozen=True)
class Recipe:
    """steps x scenes per step, each with one question per kind. patch_weight: the auxiliary loss that names every patch's colour and shape."""

    steps: int = 400
    scenes: int = 32
    lr: float = 3e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    patch_weight: float = 1.0
    kinds: tuple[str, ...] = KINDS
    losses: Mapping[str, float] = field(default_factory=lambda: dict(LOSS_WEIGHTS))

    def __post_init__(self) -> None:
        if self.steps < 1 or self.scenes < 1:
            raise LabInput(f"{self.steps} steps of {self.scenes} scenes train nothing.", mend="Give positive numbers.")

    def rate(self, step: int) -> float:
        warm = max(1, round(self.warmup * self.steps))
        if step < warm:
            return self.lr * (step + 1) / warm
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


@dataclass(frozen=True)
class Data:
    """Scenes and questions of all replicas, on the device: pixels (R, N, C, P) uint8, label (R, N, C), words (R, N, Q, W), answer, valid (R, N, Q)."""

    pixels: Tensor
    label: Tensor
    words: Tensor
    answer: Tensor
    valid: Tensor

    def rows(self, start: int, stop: int) -> Data:
        return Data(*(t[:, start:stop] for t in self.tensors()))

    def tensors(self) -> tuple[Tensor, ...]:
        return self.pixels, self.label, self.words, self.answer, self.valid


def gather(parts: Sequence[tuple[Scenes, Questions]], device: str) -> Data:
    columns = zip(*((s.pixels_NCP, s.label_NC, q.words_NQW, q.answer_NQ, q.valid_NQ) for s, q in parts), strict=True)
    return Data(*(torch.stack(column).to(device) for column in columns))


def training_data(recipe: Recipe, seeds: Sequence[int], device: str = "cpu") -> Data:
    return gather([_one_seed(recipe.steps * recipe.scenes, seed, recipe.kinds) for seed in seeds], device)


@lru_cache(maxsize=16)
def _one_seed(count: int, seed: int, kinds: tuple[str, ...]) -> tuple[Scenes, Questions]:
    """Kept, because every strategy of a seed trains on the same scenes, and drawing them takes seconds."""
    scenes = make_scenes(count, seed, "train")
    return scenes, ask(scenes, seed, "train", kinds)


def loss_of(model: SceneModel, recipe: Recipe, pixels: Tensor, label: Tensor, words: Tensor, answer: Tensor, valid: Tensor) -> Tensor:
    """Mean cross-entropy of the valid answers + patch_weight * (colour + shape of every patch) + the router's weighted losses."""
    layout = Layout(pixels.shape[1], words.shape[1], words.shape[2])
    output = model(pixels.float() / 255, words)
    logits_BQV = output.logits_BSV[:, layout.answers_at().to(pixels.device)]
    ce_BQ = F.cross_entropy(logits_BQV.flatten(0, 1).float(), answer.flatten(), reduction="none").view(answer.shape)
    loss = (ce_BQ * valid).sum() / valid.sum().clamp_min(1)
    if recipe.patch_weight and pixels.shape[1] == CELLS:
        seen = output.logits_BSV[:, :CELLS].flatten(0, 1).float()
        target = label.flatten()
        pair = (target - 2).clamp_min(0)
        colour = torch.where(target >= 2, pair // len(SHAPES) + 2, target)
        shape = torch.where(target >= 2, pair % len(SHAPES) + 2, target)
        for classes, wanted in ((COLOUR_CLASSES, colour), (SHAPE_CLASSES, shape)):
            loss = loss + recipe.patch_weight * F.cross_entropy(seen[:, classes.to(seen.device)], wanted)
    for name, value in output.aux.items():
        loss = loss + recipe.losses.get(name, 0.0) * value
    return loss


def train_alone(
    spec: VlmSpec,
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    data: Data | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> SceneModel:
    """One seed, tokens dispatched to their experts: the faster way on a CPU. on_step(step, loss)."""
    data = training_data(recipe, [seed], device) if data is None else data
    model = spec.build(seed).to(device)
    model.train()
    model.everywhere(False)
    torch.manual_seed(seed)  # the stochastic cap draws from the default generator
    leaves = list(model.parameters())
    optimiser = _optimiser(leaves, recipe, device)
    for step in range(recipe.steps):
        part = data.rows(step * recipe.scenes, (step + 1) * recipe.scenes)
        loss = loss_of(model, recipe, *(t[0] for t in part.tensors()))
        _update(optimiser, recipe, step, loss, lambda: torch.nn.utils.clip_grad_norm_(leaves, recipe.clip))
        if on_step is not None:
            on_step(step, float(loss.detach()))
    return model.eval()


def train_together(
    spec: VlmSpec,
    recipe: Recipe,
    seeds: Sequence[int],
    device: str = "cpu",
    on_step: Callable[[int, Tensor], None] | None = None,
    data: Data | None = None,
) -> list[SceneModel]:
    """All seeds at once under vmap, every expert computed everywhere: the faster way on a GPU, where one small model leaves it idle.

    Equal to train_alone per seed up to rounding (but for the stochastic cap, whose draws differ). on_step(step, loss of each replica).
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise LabInput(f"Seeds {list(seeds)} are empty or repeat.", mend="Give distinct seeds.")
    data = training_data(recipe, seeds, device) if data is None else data
    models = [spec.build(seed).to(device) for seed in seeds]
    params, buffers = stack_module_state(models)
    template = models[0].train()
    template.everywhere(True)
    _plain_norms(template)
    torch.manual_seed(seeds[0])
    leaves = list(params.values())
    optimiser = _optimiser(leaves, recipe, device)
    wrapped = _Loss(template, recipe)

    def one(p: dict[str, Tensor], b: dict[str, Tensor], *batch: Tensor) -> Tensor:
        loss: Tensor = functional_call(wrapped, (_under(p), _under(b)), batch)
        return loss

    batched = torch.vmap(one, randomness="different")
    for step in range(recipe.steps):
        part = data.rows(step * recipe.scenes, (step + 1) * recipe.scenes)
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no batching rule and would loop over replicas
            loss_R = batched(params, buffers, *part.tensors())
        _update(optimiser, recipe, step, loss_R.sum(), lambda: clip_each(leaves, recipe.clip))
        if on_step is not None:
            on_step(step, loss_R.detach())
    return [_unstacked(spec, seed, i, params, buffers, device) for i, seed in enumerate(seeds)]


def _plain_norms(model: SceneModel) -> None:
    """RMSNorm spelled out: its fused CUDA kernel has no batching rule, and under vmap would run once per replica."""

    def plain(norm: RMSNorm, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + norm.eps) * norm.weight

    for module in model.modules():
        if isinstance(module, RMSNorm):
            module.__dict__["forward"] = MethodType(plain, module)


def _unstacked(spec: VlmSpec, seed: int, i: int, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], device: str) -> SceneModel:
    model = spec.build(seed).to(device)
    model.load_state_dict({k: v[i].detach() for k, v in (*params.items(), *buffers.items())})
    model.everywhere(False)
    return model.eval()


class _Loss(torch.nn.Module):
    """Lets functional_call run the loss with another replica's weights in the template's place."""

    def __init__(self, model: SceneModel, recipe: Recipe):
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(self, *batch: Tensor) -> Tensor:
        return loss_of(self.model, self.recipe, *batch)


def _under(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"model.{k}": v for k, v in state.items()}


def _optimiser(leaves: Sequence[Tensor], recipe: Recipe, device: str) -> torch.optim.Optimizer:
    return torch.optim.AdamW(leaves, lr=recipe.lr, weight_decay=recipe.weight_decay, betas=(0.9, 0.98), foreach=True)


def _update(optimiser: torch.optim.Optimizer, recipe: Recipe, step: int, loss: Tensor, clip: Callable[[], object]) -> None:
    for group in optimiser.param_groups:
        group["lr"] = recipe.rate(step)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    clip()
    optimiser.step()


def clip_each(stacked: Sequence[Tensor], limit: float) -> None:
    """Clips the gradient norm of every replica separately."""
    grads = [p.grad for p in stacked if p.grad is not None]
    norm_R = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
    scale_R = (limit / norm_R.clamp_min(1e-9)).clamp_max(1.0)
    for g in grads:
        g.mul_(scale_R.view(-1, *[1] * (g.dim() - 1)))


@torch.no_grad()
def answers(model: SceneModel, scenes: Scenes, words_NQW: Tensor, chunk: int = 256) -> Tensor:
    """Predicted words, long (N, Q), on the CPU."""
    device = next(model.parameters()).device
    layout = Layout(scenes.pixels_NCP.shape[1], words_NQW.shape[1], words_NQW.shape[2])
    at = layout.answers_at().to(device)
    torch.manual_seed(0)  # a stochastic cap must not make two looks at one model differ
    out = []
    for i in range(0, len(scenes), chunk):
        pixels, words = scenes.pixels_NCP[i : i + chunk].to(device).float() / 255, words_NQW[i : i + chunk].to(device)
        out.append(model(pixels, words, want_attention=False).logits_BSV[:, at].argmax(-1).cpu())
    return torch.cat(out)


def correct(model: SceneModel, scenes: Scenes, questions: Questions) -> Tensor:
    """float (N, Q): 1 right, 0 wrong, nan where the question is not valid."""
    right = (answers(model, scenes, questions.words_NQW) == questions.answer_NQ).float()
    return torch.where(questions.valid_NQ, right, torch.nan)
