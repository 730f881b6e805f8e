"""A small mixture-of-experts vision-language model: image patches and words in one decoder, any router, answers at the last word of a question.

Imports torch, lab.model, the routers and the tasks. Refuses budgets that no whole number of experts can meet.

Axis letters: B scenes, C patches, P numbers per patch, Q questions, W words, S = C + Q*W positions, T = B*S tokens, D width, E experts, F expert width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sovereign.errors import LabInput
from sovereign.lab.model import Decoder, DecoderOutput, Experts, KVCache, ModelConfig, computed_slots
from sovereign.lab.routing import TEXT, VISION, Router, RouterContext, Routing
from sovereign.lab.routing.common import RouterSpec, real_slots, spread
from sovereign.lab.routing.registry import NEEDS_ATTENTION, build, check_strategy
from sovereign.lab.vision.tasks import CELLS, PIXELS, WORDS


@dataclass(frozen=True)
class VlmSpec:
    """The model as data. budget: share of `full_slots` expert slots that a token activates (0.25 to 1.0 in the study).

    Matched compute: every strategy spends slots x expert_width hidden units per token; the dense one has a single expert of that width.
    Raises LabInput for budgets outside (0, 1] or that are no whole number of slots.
    """

    strategy: str
    budget: float = 0.5
    width: int = 64
    layers: int = 3
    heads: int = 4
    experts: int = 16
    full_slots: int = 4
    expert_width: int = 32
    patches: int = CELLS
    pixels: int = PIXELS
    vocab: int = len(WORDS)
    max_len: int = 256
    options: Mapping[str, float | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_strategy(self.strategy)
        if not 0.0 < self.budget <= 1.0:
            raise LabInput(f"An activation budget of {self.budget} is outside (0, 1].", mend="Choose, for instance, 0.25, 0.5 or 1.0.")
        slots = self.budget * self.full_slots
        if abs(slots - round(slots)) > 1e-9 or slots < 1:
            raise LabInput(
                f"A budget of {self.budget} of {self.full_slots} slots is {slots:g} slots.", mend="Choose a budget that gives whole slots."
            )
        self.router_spec()

    @property
    def slots(self) -> int:
        return round(self.budget * self.full_slots)

    @property
    def dense(self) -> bool:
        return self.strategy == "dense"

    def router_spec(self) -> RouterSpec:
        experts, slots = (1, 1) if self.dense else (self.experts, self.slots)
        options = {"ids": self.vocab + self.patches, **self.options} if self.strategy == "hash" else self.options
        return RouterSpec(self.strategy, self.width, experts, slots, self.layers, options)

    def model_config(self) -> ModelConfig:
        ffn = self.slots * self.expert_width if self.dense else self.expert_width
        experts = 1 if self.dense else self.experts
        return ModelConfig(
            vocab=self.vocab,
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            experts=experts,
            k=1 if self.dense else self.slots,
            ffn=ffn,
            max_len=self.max_len,
            tie_embeddings=True,
        )

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "options": dict(self.options)}

    def build(self, seed: int) -> SceneModel:
        return SceneModel(self, seed)


class Carry:
    """Soft modality scores handed from one layer's router to the next within one forward pass."""

    score_TM: Tensor | None = None


class RoutedExperts(nn.Module):
    """A layer's router and experts. everywhere: every expert computes every token and the gate weighs it (no data-dependent shapes, so replicas can
    run under vmap; equal to dispatch up to rounding). Otherwise tokens are sorted by expert and each expert computes only its own.
    """

    def __init__(self, config: ModelConfig, router: nn.Module, carry: Carry):
        super().__init__()
        self.router: Router = router
        self.experts = Experts(config)
        self.carry = carry
        self.everywhere = True

    def forward(self, x_TD: Tensor, context: RouterContext) -> tuple[Tensor, Routing]:
        routing = self.router(x_TD, replace(context, score_TM=self.carry.score_TM if context.layer else None))
        self.carry.score_TM = routing.aux.get("score_TM")
        scale_T = routing.aux.get("input_scale_T")
        into_TD = x_TD if scale_T is None else x_TD * scale_T[:, None]
        y_TD = self._everywhere(into_TD, routing) if self.everywhere else self._dispatch(into_TD, routing)
        if routing.is_virtual_TK is not None:
            share_T1 = (routing.weight_TK * routing.is_virtual_TK).sum(-1, keepdim=True)
            y_TD = y_TD + share_T1 * x_TD
        return y_TD, routing

    def _dispatch(self, x_TD: Tensor, routing: Routing) -> Tensor:
        plain = replace(routing, is_virtual_TK=None, mask_TK=computed_slots(routing))
        y_TD: Tensor = self.experts(x_TD, plain)
        return y_TD

    def _everywhere(self, x_TD: Tensor, routing: Routing) -> Tensor:
        experts, double, width = self.experts.gate_up.shape
        weight_TE = spread(routing.weight_TK * real_slots(routing), routing.idx_TK, experts)
        gate_TEF, up_TEF = F.linear(x_TD, self.experts.gate_up.reshape(-1, width)).unflatten(-1, (experts, double)).chunk(2, dim=-1)
        hidden_TEF = F.silu(gate_TEF) * up_TEF * weight_TE[..., None]
        return F.linear(hidden_TEF.flatten(1), self.experts.down.permute(1, 0, 2).reshape(width, -1))


class SceneDecoder(Decoder):
    """The lab's decoder with positions that the caller may set: several questions about one image all start at the same position."""

    positions_S: Tensor | None = None

    def _rope(self, start: int, seq: int, like: Tensor) -> tuple[Tensor, Tensor]:
        if self.positions_S is None or seq != self.positions_S.shape[0]:
            return super()._rope(start, seq, like)
        half = self.config.width // self.config.heads // 2
        inverse = self.config.rope_theta ** (-torch.arange(half, device=like.device, dtype=torch.float32) / half)
        angle = torch.outer(self.positions_S.float(), inverse)
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


@dataclass(frozen=True)
class Layout:
    """Where things stand in a sequence of C patches and Q questions of W words: who may see whom, positions, modalities."""

    patches: int
    questions: int
    words: int

    @property
    def length(self) -> int:
        return self.patches + self.questions * self.words

    def mask(self) -> Tensor:
        """bool (S, S): causal; a question sees the image and itself, never another question."""
        owner_S = torch.cat(
            (torch.zeros(self.patches, dtype=torch.long), torch.arange(1, self.questions + 1).repeat_interleave(self.words))
        )
        same = (owner_S[:, None] == owner_S) | (owner_S == 0)
        return same & torch.ones(self.length, self.length, dtype=torch.bool).tril()

    def positions(self) -> Tensor:
        return torch.cat((torch.arange(self.patches), (self.patches + torch.arange(self.words)).repeat(self.questions)))

    def modality(self) -> Tensor:
        return torch.cat((torch.full((self.patches,), VISION), torch.full((self.questions * self.words,), TEXT)))

    def answers_at(self) -> Tensor:
        """long (Q,): the position whose next word is the answer."""
        return self.patches + torch.arange(1, self.questions + 1) * self.words - 1


class SceneModel(nn.Module):
    """pixels (B, C, P) in [0, 1] and words (B, Q, W) -> logits over the vocabulary at every position."""

    def __init__(self, spec: VlmSpec, seed: int):
        super().__init__()
        self.spec, self.seed = spec, seed
        config, router_spec = spec.model_config(), spec.router_spec()
        carry = Carry()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # layers draw their own defaults; the draw must depend on the seed alone
            self.decoder = SceneDecoder(config, lambda _c, layer: build(router_spec, layer))
            for block in self.decoder.layers:
                block.moe = RoutedExperts(config, block.moe.router, carry)
            self.patch = nn.Linear(spec.pixels, spec.width)
            self.place = nn.Parameter(torch.randn(spec.patches, spec.width) * 0.3)
        self._initialise()
        self._layouts: dict[tuple[Layout, str], tuple[Tensor, ...]] = {}

    def _initialise(self) -> None:
        """Matrices of experts and attention at fan-in scale, residual outputs smaller by depth; shared by all strategies for one seed."""
        g = torch.Generator().manual_seed(self.seed + 1)
        with torch.no_grad():
            self.decoder.embedding.weight.normal_(0, 0.3, generator=g)
            for block in self.decoder.layers:
                depth = (2 * self.spec.layers) ** -0.5
                for linear, gain in (
                    (block.attention.q, 1.0),
                    (block.attention.k, 1.0),
                    (block.attention.v, 1.0),
                    (block.attention.o, depth),
                ):
                    linear.weight.normal_(0, gain * self.spec.width**-0.5, generator=g)
                block.moe.experts.gate_up.normal_(0, self.spec.width**-0.5, generator=g)
                block.moe.experts.down.normal_(0, depth * block.moe.experts.down.shape[-1] ** -0.5, generator=g)

    def forward(self, pixels_BCP: Tensor, words_BQW: Tensor, *, step: int = 0, want_attention: bool | None = None) -> DecoderOutput:
        """want_attention: None asks for it only while training a strategy that needs it."""
        batch, questions, words = words_BQW.shape
        layout = Layout(pixels_BCP.shape[1], questions, words)
        mask, positions, modality = self.layout(layout, pixels_BCP.device)
        self.decoder.positions_S = positions
        attention = (self.training and self.spec.strategy in NEEDS_ATTENTION) if want_attention is None else want_attention
        context = RouterContext(
            layer=0,
            modality_T=modality.repeat(batch),
            sample_T=torch.arange(batch, device=pixels_BCP.device).repeat_interleave(layout.length),
            samples=batch,
            step=step,
            token_T=self.token_ids(words_BQW.flatten(1), layout),
        )
        output = self.decoder(
            None,
            embeddings_BSD=self.embed(pixels_BCP, words_BQW.flatten(1)),
            context=context,
            want_attention=attention,
            attention_mask=mask,
        )
        self.decoder.positions_S = None
        return output

    def embed(self, pixels_BCP: Tensor, words_BN: Tensor) -> Tensor:
        if pixels_BCP.shape[1] != self.spec.patches or pixels_BCP.shape[2] != self.spec.pixels:
            raise LabInput(
                f"Images of {pixels_BCP.shape[1]} patches x {pixels_BCP.shape[2]} numbers, the model takes {self.spec.patches} x {self.spec.pixels}.",
                mend="Cut the images as the model was built for; empty images have no place here.",
            )
        return torch.cat((self.patch(pixels_BCP - 0.5) + self.place, self.decoder.embedding(words_BN)), dim=1)

    def token_ids(self, words_BN: Tensor, layout: Layout) -> Tensor:
        patch_ids = torch.arange(layout.patches, device=words_BN.device) + self.spec.vocab
        return torch.cat((patch_ids.expand(words_BN.shape[0], -1), words_BN), dim=1).flatten()

    def layout(self, layout: Layout, device: torch.device) -> tuple[Tensor, ...]:
        key = (layout, str(device))
        if key not in self._layouts:
            self._layouts[key] = tuple(t.to(device) for t in (layout.mask(), layout.positions(), layout.modality()))
        return self._layouts[key]

    def everywhere(self, on: bool) -> None:
        """Training under vmap computes every expert everywhere; measuring dispatches."""
        for block in self.decoder.layers:
            block.moe.everywhere = on

    def routers(self) -> list[nn.Module]:
        return [block.moe.router for block in self.decoder.layers]

    @torch.no_grad()
    def generate(self, pixels_BCP: Tensor, words_BW: Tensor, new: int, on_step: Any = None) -> Tensor:
        """Greedy words (B, new) after one question per image, with a key-value cache. on_step(i) is called before pass i (0 = prefill)."""
        if new < 1:
            raise LabInput(f"Cannot generate {new} words.", mend="Ask for at least one.")
        batch, words = words_BW.shape
        layout = Layout(pixels_BCP.shape[1], 1, words)
        cache = KVCache(self.decoder.config, batch, layout.length + new, pixels_BCP.device)
        modality = self.layout(layout, pixels_BCP.device)[2]
        samples = torch.arange(batch, device=pixels_BCP.device)
        context = RouterContext(
            layer=0,
            modality_T=modality.repeat(batch),
            sample_T=samples.repeat_interleave(layout.length),
            samples=batch,
            token_T=self.token_ids(words_BW, layout),
        )
        embedded, out = self.embed(pixels_BCP, words_BW), []
        for i in range(new):
            if on_step is not None:
                on_step(i)
            logits = self.decoder(None, cache, embeddings_BSD=embedded, context=context, last_only=True).logits_BSV
            word_B = logits[:, -1].argmax(-1)
            out.append(word_B)
            embedded = self.decoder.embedding(word_B)[:, None]
            context = RouterContext(layer=0, modality_T=torch.zeros_like(word_B), sample_T=samples, samples=batch, token_T=word_B)
        return torch.stack(out, 1)
