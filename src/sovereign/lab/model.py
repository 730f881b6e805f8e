"""One small, readable decoder with Mixture-of-Experts layers, shaped like OLMoE (arXiv 2409.02060).

Imports torch, lab.routing and lab.dispatch. Refuses module-level state, global random numbers and unequal lengths in a batch.
Axis letters: B batch, S sequence, T = B*S tokens, D width, E experts, K chosen, F expert width, G = 2F, H heads, L layers, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sovereign.errors import LabInput
from sovereign.lab.dispatch import swiglu_experts
from sovereign.lab.routing import Router, RouterContext, Routing

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
RouterHook = Callable[[int, Routing], None]


@dataclass(frozen=True)
class ModelConfig:
    """The model as data: it predicts parameters, bytes and FLOPs before it builds, and is saved with every run.

    experts=1, k=1 is a dense SwiGLU model. Defaults of the router follow OLMoE: softmax, then top-k, weights not renormalised,
    balance loss 0.01, z-loss 0.001 (arXiv 2409.02060, section 2 and appendix).
    """

    vocab: int
    layers: int = 4
    width: int = 128
    heads: int = 4
    experts: int = 16
    k: int = 4
    ffn: int = 64
    norm_topk_prob: bool = False
    router_aux: float = 0.01
    router_z: float = 0.001
    rope_theta: float = 10_000.0
    max_len: int = 512
    dtype: str = "float32"
    tie_embeddings: bool = False
    qk_norm: bool = True
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise LabInput(
                f"Width {self.width} does not split into {self.heads} heads of even size.", mend="Choose width = heads x an even number."
            )
        if not 1 <= self.k <= self.experts:
            raise LabInput(f"k = {self.k} of {self.experts} experts is impossible.", mend="Choose 1 <= k <= experts.")
        if self.dtype not in DTYPES:
            raise LabInput(f"Unknown dtype {self.dtype!r}.", mend=f"Known: {', '.join(DTYPES)}.")
        for name in ("vocab", "layers", "width", "heads", "ffn", "max_len"):
            if getattr(self, name) < 1:
                raise LabInput(f"{name} = {getattr(self, name)} is not positive.", mend=f"Give a positive {name}.")

    def _shared_params(self) -> int:
        """Everything outside the experts."""
        d = self.width
        attention = 4 * d * d + (2 * d if self.qk_norm else 0)
        per_layer = attention + 2 * d + d * self.experts
        return self.vocab * d * (1 if self.tie_embeddings else 2) + self.layers * per_layer + d

    def expert_params(self) -> int:
        """Parameters of one expert: three D x F matrices."""
        return 3 * self.width * self.ffn

    def num_params(self) -> int:
        return self._shared_params() + self.layers * self.experts * self.expert_params()

    def active_params(self) -> int:
        """Parameters that one token uses, embeddings included (k experts per layer)."""
        return self._shared_params() + self.layers * self.k * self.expert_params()

    def param_bytes(self) -> int:
        return self.num_params() * DTYPES[self.dtype].itemsize

    def expert_bytes(self) -> int:
        return self.expert_params() * DTYPES[self.dtype].itemsize

    def flops_per_token(self, seq: int) -> int:
        """Forward floating-point operations per token of matrix products (2 per multiply-add) when a token attends to `seq` positions.

        Kernels compute all S x S scores of a causal prompt, so seq = S counts what is executed, twice what causality needs.
        Norms, softmax, RoPE, activation and sorting are left out.
        """
        d = self.width
        # attention projections; scores and values; router; experts; weighted sum over the chosen
        layer = 8 * d * d + 4 * seq * d + 2 * d * self.experts + self.k * 6 * d * self.ffn + 2 * self.k * d
        return self.layers * layer + 2 * d * self.vocab

    def build(self, seed: int = 0, *, router: Callable[[ModelConfig, int], nn.Module] | None = None) -> Decoder:
        """A decoder with weights drawn from `seed` alone. `router(config, layer)` replaces the default top-k router."""
        with torch.random.fork_rng(devices=[]):
            # Module constructors draw from the global generator; what a router initialises itself is seeded too.
            torch.manual_seed(seed)
            model = Decoder(self, router or (lambda config, _layer: TopKRouter(config)))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    drawn = torch.empty(parameter.shape, dtype=torch.float32).normal_(0.0, 0.02, generator=generator)
                    parameter.copy_(drawn)
        return model.to(DTYPES[self.dtype])

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class TopKRouter(nn.Module):
    """Softmax over all experts in fp32, then top-k; `norm_topk_prob` renormalises the kept weights (OLMoE does not)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.experts, config.width))
        self.k = config.k
        self.norm_topk_prob = config.norm_topk_prob

    def forward(self, x_TD: Tensor, context: RouterContext) -> Routing:
        logits_TE = F.linear(x_TD, self.weight).float()
        probs_TE = logits_TE.softmax(-1)
        weight_TK, idx_TK = probs_TE.topk(self.k, dim=-1)
        if self.norm_topk_prob:
            weight_TK = weight_TK / weight_TK.sum(-1, keepdim=True)
        aux = {} if not context.training else {"balance_loss": balance_loss(probs_TE, idx_TK, context.keep_T), "z_loss": z_loss(logits_TE)}
        return Routing(idx_TK, weight_TK, probs_TE, aux=aux)


def balance_loss(probs_TE: Tensor, idx_TK: Tensor, keep_T: Tensor | None = None) -> Tensor:
    """E * sum_e f_e P_e with f the share of slots and P the mean probability (arXiv 2101.03961, eq. 4); 1 at perfect balance.

    Tokens where keep_T is False (padding) are not counted.

    Deviation: f is divided by k, so the value does not depend on k (the Hugging Face form has its minimum at k).
    """
    experts = probs_TE.shape[-1]
    if keep_T is not None:
        probs_TE, idx_TK = probs_TE[keep_T], idx_TK[keep_T]
    share_E = torch.bincount(idx_TK.reshape(-1), minlength=experts).to(probs_TE.dtype) / idx_TK.numel()
    return experts * (share_E * probs_TE.mean(0)).sum()


def z_loss(logits_TE: Tensor) -> Tensor:
    """Mean squared log-sum-exp of the router logits (arXiv 2202.08906, eq. 5)."""
    return logits_TE.logsumexp(-1).square().mean()


class Experts(nn.Module):
    """All experts of one layer, stacked: gate_up (E, 2F, D) with the gate rows first, down (E, D, F)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(config.experts, 2 * config.ffn, config.width))
        self.down = nn.Parameter(torch.empty(config.experts, config.width, config.ffn))

    def forward(self, x_TD: Tensor, routing: Routing) -> Tensor:
        return swiglu_experts(x_TD, routing.idx_TK, routing.weight_TK, self.gate_up, self.down, computed_slots(routing))


def computed_slots(routing: Routing) -> Tensor | None:
    """Slots (T, K) that reach an expert with weights, or None when all do."""
    if routing.is_virtual_TK is None:
        return routing.mask_TK
    real_TK = ~routing.is_virtual_TK
    return real_TK if routing.mask_TK is None else routing.mask_TK & real_TK


class MoELayer(nn.Module):
    """router + experts; both replaceable attributes."""

    def __init__(self, config: ModelConfig, router: nn.Module):
        super().__init__()
        self.router: Router = router
        self.experts = Experts(config)

    def forward(self, x_TD: Tensor, context: RouterContext) -> tuple[Tensor, Routing]:
        routing = self.router(x_TD, context)
        y_TD = self.experts(x_TD, routing)
        if routing.is_virtual_TK is not None:
            # A virtual expert is the identity: its slots add their weight times the input, at no expert's cost.
            used_TK = routing.is_virtual_TK if routing.mask_TK is None else routing.is_virtual_TK & routing.mask_TK
            y_TD = y_TD + (routing.weight_TK * used_TK).sum(-1, keepdim=True).to(x_TD.dtype) * x_TD
        return y_TD, routing


class Attention(nn.Module):
    """Causal multi-head attention with RoPE (rotate-half) and optional RMSNorm over the whole query and key (OLMoE's QK-norm)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        d = config.width
        self.heads = config.heads
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.q_norm = RMSNorm(d, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(d, config.norm_eps) if config.qk_norm else nn.Identity()

    def forward(
        self, x_BSD: Tensor, rope: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor, int] | None, mask: Tensor | None, want_map: bool
    ) -> tuple[Tensor, Tensor | None]:
        batch, seq, width = x_BSD.shape
        q, k, v = (
            t.view(batch, seq, self.heads, -1).transpose(1, 2)
            for t in (self.q_norm(self.q(x_BSD)), self.k_norm(self.k(x_BSD)), self.v(x_BSD))
        )
        q, k = _rotate(q, rope), _rotate(k, rope)
        start = 0
        if past is not None:
            keys, values, start = past
            keys[:, :, start : start + seq], values[:, :, start : start + seq] = k, v
            k, v = keys[:, :, : start + seq], values[:, :, : start + seq]
        if mask is None and start and seq > 1:
            mask = torch.ones(seq, start + seq, dtype=torch.bool, device=x_BSD.device).tril(start)
        heads_mask = mask.unsqueeze(1) if mask is not None and mask.dim() == 3 else mask
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=heads_mask, is_causal=mask is None and seq > 1)
        seen = _attention_map(q, k, heads_mask, seq) if want_map else None
        return self.o(y.transpose(1, 2).reshape(batch, seq, width)), seen


def _attention_map(q: Tensor, k: Tensor, mask: Tensor | None, seq: int) -> Tensor:
    """Attention (B, H, S, S_keys) in fp32, without gradient."""
    with torch.no_grad():
        scores = (q.float() @ k.float().transpose(-1, -2)) * q.shape[-1] ** -0.5
        allowed = torch.ones(seq, k.shape[2], dtype=torch.bool, device=q.device).tril(k.shape[2] - seq) if mask is None else mask
        return scores.masked_fill(~allowed, float("-inf")).softmax(-1)


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = (t.to(x.dtype) for t in rope)
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Block(nn.Module):
    def __init__(self, config: ModelConfig, router: nn.Module):
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = Attention(config)
        self.moe_norm = RMSNorm(config.width, config.norm_eps)
        self.moe = MoELayer(config, router)


class KVCache:
    """Keys and values of all layers for up to `capacity` positions of one batch of equal-length sequences."""

    def __init__(self, config: ModelConfig, batch: int, capacity: int, device: torch.device | str = "cpu"):
        shape = (config.layers, batch, config.heads, capacity, config.width // config.heads)
        self.keys = torch.zeros(shape, dtype=DTYPES[config.dtype], device=device)
        self.values = torch.zeros_like(self.keys)
        self.length = 0
        self.capacity = capacity


@dataclass(frozen=True)
class DecoderOutput:
    """logits_BSV, one Routing per layer, and the named losses averaged over layers."""

    logits_BSV: Tensor
    routing: tuple[Routing, ...]
    aux: dict[str, Tensor]


class Decoder(nn.Module):
    """`layers[i].moe.router` and `layers[i].moe.experts` are the places where studies plug in."""

    def __init__(self, config: ModelConfig, router: Callable[[ModelConfig, int], nn.Module]):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab, config.width)
        self.layers = nn.ModuleList([Block(config, router(config, layer)) for layer in range(config.layers)])
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.head: nn.Linear | None = None if config.tie_embeddings else nn.Linear(config.width, config.vocab, bias=False)

    def forward(
        self,
        tokens_BS: Tensor | None,
        cache: KVCache | None = None,
        embeddings_BSD: Tensor | None = None,
        router_hook: RouterHook | None = None,
        *,
        context: RouterContext | None = None,
        want_attention: bool = False,
        attention_mask: Tensor | None = None,
        last_only: bool = False,
    ) -> DecoderOutput:
        """attention_mask (bool, True = may look): (S, S_keys) or (B, S, S_keys), default causal.

        `context` reaches every router with its layer filled in; want_attention adds the attention maps and the two norms of that layer.
        embeddings_BSD replaces the token embedding (multimodal input). last_only computes the head for the last position only.
        Raises LabInput for an empty prompt and for more positions than max_len or the cache hold.
        """
        x_BSD = self._embed(tokens_BS, embeddings_BSD)
        batch, seq, width = x_BSD.shape
        start = cache.length if cache is not None else 0
        self._check_length(start + seq, cache)
        rope = self._rope(start, seq, x_BSD)
        given = replace(context or RouterContext(layer=0), training=self.training)
        routings: list[Routing] = []
        for i, block in enumerate(self.layers):
            past = None if cache is None else (cache.keys[i], cache.values[i], start)
            attended, seen = block.attention(block.attention_norm(x_BSD), rope, past, attention_mask, want_attention)
            here = replace(given, layer=i)
            if seen is not None:
                norms = (t.detach().float().norm(dim=-1).reshape(-1) for t in (attended, x_BSD))
                here = replace(here, attention_BHSS=seen, attention_norm_T=next(norms), residual_norm_T=next(norms))
            x_BSD = x_BSD + attended
            y_TD, routing = block.moe(block.moe_norm(x_BSD).reshape(-1, width), here)
            x_BSD = x_BSD + y_TD.view(batch, seq, width)
            routings.append(routing)
            if router_hook is not None:
                router_hook(i, routing)
        if cache is not None:
            cache.length = start + seq
        x_BSD = self.norm(x_BSD[:, -1:] if last_only else x_BSD)
        logits = F.linear(x_BSD, self.embedding.weight if self.head is None else self.head.weight)
        return DecoderOutput(logits, tuple(routings), _mean_aux(routings))

    def weighted_aux(self, output: DecoderOutput) -> Tensor:
        """router_aux * balance_loss + router_z * z_loss; other named losses are the caller's to weigh."""
        c, zero = self.config, output.logits_BSV.new_zeros((), dtype=torch.float32)
        return c.router_aux * output.aux.get("balance_loss", zero) + c.router_z * output.aux.get("z_loss", zero)

    @torch.no_grad()
    def generate(
        self,
        tokens_BS: Tensor,
        max_new: int,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        router_hook: RouterHook | None = None,
        on_step: Callable[[bool, Tensor], None] | None = None,
        context: RouterContext | None = None,
    ) -> Tensor:
        """tokens_BS followed by max_new tokens (B, S + max_new); greedy at temperature 0, else sampled from `seed`.

        `on_step(is_decode, tokens)` is called before each forward pass. The last new token is never fed back, so it has no routing.
        """
        if max_new < 1:
            raise LabInput(f"Cannot generate {max_new} tokens.", mend="Ask for at least one new token.")
        was_training = self.training
        self.eval()
        generator = torch.Generator(device=tokens_BS.device).manual_seed(seed)
        cache = KVCache(self.config, tokens_BS.shape[0], tokens_BS.shape[1] + max_new, tokens_BS.device)
        out, step = tokens_BS, tokens_BS
        for i in range(max_new):
            if on_step is not None:
                on_step(i > 0, step)
            logits_BV = self(step, cache, router_hook=router_hook, context=context, last_only=True).logits_BSV[:, -1].float()
            if temperature == 0.0:
                step = logits_BV.argmax(-1, keepdim=True)
            else:
                step = torch.multinomial((logits_BV / temperature).softmax(-1), 1, generator=generator)
            out = torch.cat((out, step), dim=1)
        self.train(was_training)
        return out

    def _embed(self, tokens_BS: Tensor | None, embeddings_BSD: Tensor | None) -> Tensor:
        if embeddings_BSD is not None:
            x_BSD = embeddings_BSD
        elif tokens_BS is not None:
            x_BSD = self.embedding(tokens_BS)
        else:
            raise LabInput("The decoder got neither tokens nor embeddings.", mend="Pass tokens_BS or embeddings_BSD.")
        if x_BSD.shape[1] == 0:
            raise LabInput("A prompt of length 0 has no routing.", mend="Drop empty prompts first.")
        return x_BSD

    def _check_length(self, total: int, cache: KVCache | None) -> None:
        if total > self.config.max_len:
            raise LabInput(f"{total} positions exceed max_len = {self.config.max_len}.", mend="Shorten the prompt or raise max_len.")
        if cache is not None and total > cache.capacity:
            raise LabInput(f"{total} positions exceed the cache's {cache.capacity}.", mend="Make the cache longer.")

    def _rope(self, start: int, seq: int, like: Tensor) -> tuple[Tensor, Tensor]:
        half = self.config.width // self.config.heads // 2
        inverse = self.config.rope_theta ** (-torch.arange(half, device=like.device, dtype=torch.float32) / half)
        angle = torch.outer(torch.arange(start, start + seq, device=like.device, dtype=torch.float32), inverse)
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def _mean_aux(routings: list[Routing]) -> dict[str, Tensor]:
    """Losses (names ending in `_loss`) averaged over the layers that report them; tensors of a decision stay in its Routing."""
    names = {name for routing in routings for name in routing.aux if name.endswith("_loss")}
    return {name: torch.stack([r.aux[name] for r in routings if name in r.aux]).mean() for name in sorted(names)}
