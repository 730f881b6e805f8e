"""Predictors of routing, trained on other requests: token table, routing path predictor, next gates on earlier states.

Imports torch, numpy and the decoder. Refuses to be scored on what it was trained on: fitting and forecasting take separate traces.
Axis letters: N sequences, S positions, V vocabulary, D model width, L layers, E experts, K chosen, H predictor width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sovereign.errors import LabInput
from sovereign.lab.caching.events import Routes
from sovereign.lab.caching.forecast import Forecast

LAUNCH_S = 1e-5  # one small operation on an accelerator; declared, not measured
THROUGHPUT = 1e13  # FLOP/s a predictor of this size reaches; declared
PATH_LAUNCHES = 10  # operations of the path predictor's one layer and its heads


@dataclass(frozen=True)
class Sequences:
    """Routes of equal-length sequences: tokens long (N, S), used float (N, S, L, E) in {0, 1}."""

    tokens: Tensor
    used: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return tuple(self.used.shape)


def sequences(routes: Routes) -> Sequences:
    """Raises LabInput for a trace without token ids or with requests of different lengths."""
    if routes.tokens is None:
        raise LabInput("The trace has no token ids, so nothing can predict from them.", mend="Capture it with token ids.")
    count = np.unique(routes.request, return_counts=True)[1]
    if (count != count[0]).any():
        raise LabInput("The requests of the trace have different lengths.", mend="Cut them to one length.")
    shape = (len(count), int(count[0]))
    ids = torch.from_numpy(routes.experts.astype(np.int64)).view(*shape, routes.layers, routes.chosen)
    used = torch.zeros(*shape, routes.layers, routes.n_experts).scatter_(-1, ids.clamp(min=0), (ids >= 0).float())
    return Sequences(torch.from_numpy(np.ascontiguousarray(routes.tokens.astype(np.int64))).view(shape), used)


def token_table(train: Sequences, vocab: int, ahead: int = 0, prior: float = 2.0) -> Tensor:
    """P(expert used | token id) (V, L, E), `ahead` positions later; tokens seen rarely fall back to the overall frequency."""
    _, length, layers, experts = train.shape
    tokens = train.tokens[:, : length - ahead].reshape(-1)
    used = train.used[:, ahead:].reshape(-1, layers * experts)
    total = torch.zeros(vocab, layers * experts).index_add_(0, tokens, used)
    seen = torch.bincount(tokens, minlength=vocab).float().unsqueeze(1)
    return ((total + prior * used.mean(0)) / (seen + prior)).view(vocab, layers, experts)


class RoutingPathPredictor(nn.Module):
    """ExpertFlow A's predictor in small: the token table plus what one causal transformer layer adds to it (arXiv 2410.17954, section 3.1).

    Two heads: the path of the current token, and the path of the next token before it is known. Deviation: the paper's T5-like
    encoder-decoder of 7.21 MB is trained on 30,000 triples; started from a table, a small decoder needs far fewer.
    """

    def __init__(self, table: Tensor, table_next: Tensor, width: int = 64, heads: int = 4, longest: int = 512):
        super().__init__()
        vocab, layers, experts = table.shape
        self.layers, self.experts = layers, experts
        self.register_buffer("base", torch.logit(table.flatten(1).clamp(1e-3, 1 - 1e-3)).half())
        self.register_buffer("base_next", torch.logit(table_next.flatten(1).clamp(1e-3, 1 - 1e-3)).half())
        self.embed = nn.Embedding(vocab, width)
        self.place = nn.Embedding(longest, width)
        self.block = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 2 * layers * experts)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        # how far the tables are trusted: counts of rare tokens are overconfident
        self.trust = nn.Parameter(torch.ones(2))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, S, L, E) for each token and for its successor."""
        n, length = tokens.shape
        x = self.embed(tokens) + self.place.weight[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=tokens.device)
        h = self.head(self.norm(self.block(x, src_mask=mask, is_causal=True)))
        now, then = h.chunk(2, dim=-1)
        shape = (n, length, self.layers, self.experts)
        return (now + self.trust[0] * self.base[tokens].float()).view(shape), (then + self.trust[1] * self.base_next[tokens].float()).view(
            shape
        )

    @property
    def nbytes(self) -> int:
        """Weights and tables as they would stay in the fast tier (16 bit)."""
        return sum(t.numel() * 2 for t in (*self.parameters(), *self.buffers()))

    @property
    def flops(self) -> float:
        """Per token: matrix products of block and head."""
        width = self.embed.embedding_dim
        return 2.0 * (12 * width * width + 2 * width * self.layers * self.experts)


def fit_path(train: Routes, vocab: int, *, steps: int, seed: int = 0, width: int = 64, lr: float = 3e-3) -> RoutingPathPredictor:
    """Tables by counting, the rest by `steps` of AdamW on binary cross-entropy; positives weigh (E - K) / K.

    The tables of the sequences a step trains on would know the answer, so tables are counted on one half and the rest is fitted on the other;
    at the end the tables are counted anew on everything.
    """
    data = sequences(train)
    n = data.shape[0]
    if n < 4:
        raise LabInput(f"{n} requests are too few to fit a predictor.", mend="Give at least four.")
    rng = np.random.default_rng((19, seed))
    turn = torch.from_numpy(rng.permutation(n))  # requests often come sorted by kind
    half = Sequences(data.tokens[turn[: n // 2]], data.used[turn[: n // 2]])
    torch.manual_seed(seed)
    length = max(data.shape[1], 8)
    model = RoutingPathPredictor(token_table(half, vocab), token_table(half, vocab, 1), width, longest=length)
    weight = torch.tensor((train.n_experts - train.chosen) / max(1, train.chosen)).sqrt()
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    model.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - 0.9 * step / max(1, steps))
        rows = turn[torch.from_numpy(rng.integers(n // 2, n, min(16, n - n // 2)))]
        now, then = model(data.tokens[rows])
        used = data.used[rows]
        loss = F.binary_cross_entropy_with_logits(now, used, pos_weight=weight)
        loss = loss + F.binary_cross_entropy_with_logits(then[:, :-1], used[:, 1:], pos_weight=weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    model.eval()
    for name, ahead in (("base", 0), ("base_next", 1)):
        fresh = torch.logit(token_table(data, vocab, ahead).flatten(1).clamp(1e-3, 1 - 1e-3)).half()
        getattr(model, name).copy_(fresh)
    return model


@torch.no_grad()
def path_forecasts(model: RoutingPathPredictor, test: Routes, *, names: int | None = None, threshold: float = 0.0) -> dict[str, Forecast]:
    """Forecasts "path" and "path_next" for every row of `test` (row t of "path_next" speaks of the token after t).

    `names` experts per layer (default: as many as are chosen), those below `threshold` left out.
    """
    data = sequences(test)
    k = names or test.chosen
    out = {}
    logits = [model(data.tokens[i : i + 32]) for i in range(0, data.shape[0], 32)]
    for index, name in enumerate(("path", "path_next")):
        probability = torch.cat([pair[index] for pair in logits]).sigmoid().flatten(0, 1)
        score, ids = probability.topk(k, dim=-1)
        ids = ids.masked_fill(score < threshold, -1)
        out[name] = Forecast(
            name, ids.to(torch.int16).numpy(), score.numpy(), 0, model.flops / THROUGHPUT, PATH_LAUNCHES * LAUNCH_S, model.nbytes
        )
    return out


def table_forecast(train: Routes, test: Routes, vocab: int) -> Forecast:
    """What the token's own history says, without context."""
    table = token_table(sequences(train), vocab)
    score, ids = table[sequences(test).tokens].flatten(0, 1).topk(test.chosen, dim=-1)
    nbytes = table.numel() * 2
    return Forecast("path", ids.to(torch.int16).numpy(), score.numpy(), 0, 0.0, LAUNCH_S, nbytes)


# --- gates on earlier states ---


@dataclass(frozen=True)
class States:
    """Router inputs (T, L, D) and true router logits (T, L, E) of a trace, rows in the trace's order; gates (L, E, D)."""

    x: Tensor
    logits: Tensor
    gates: Tensor


@torch.no_grad()
def states(model: Any, routes: Routes, batch: int = 16) -> States:
    """Runs the trace's tokens through the decoder once and keeps what each router saw. Needs routers with a `weight` (E, D)."""
    tokens = sequences(routes).tokens
    kept: list[list[Tensor]] = [[] for _ in model.layers]
    handles = [
        block.moe.register_forward_pre_hook(lambda _m, args, i=i: kept[i].append(args[0].detach().float().cpu()))
        for i, block in enumerate(model.layers)
    ]
    try:
        for i in range(0, len(tokens), batch):
            model(tokens[i : i + batch].to(next(model.parameters()).device), last_only=True)
    finally:
        for handle in handles:
            handle.remove()
    x = torch.stack([torch.cat(rows) for rows in kept], dim=1)
    gates = torch.stack([block.moe.router.weight.detach().float().cpu() for block in model.layers])
    return States(x, torch.einsum("tld,led->tle", x, gates), gates)


def speculative(test: States, k: int, distance: int = 1) -> Forecast:
    """Layer l's gate on the state that layer l - distance routed (arXiv 2312.17238, section 3.2); layers below `distance`: none (-1)."""
    guess = torch.full_like(test.logits, -torch.inf)
    guess[:, distance:] = torch.einsum("tld,led->tle", test.x[:, :-distance], test.gates[distance:])
    experts, width = test.gates.shape[1:]
    return _forecast(f"gate_{distance}", guess, k, distance, 2.0 * experts * width * test.gates.shape[0], 0)


@dataclass(frozen=True)
class Probe:
    """Linear maps (D + 1, E) from the state `distance` layers before to a layer's gate logits, for layers distance..L-1."""

    distance: int
    maps: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        return sum(m.numel() * 2 for m in self.maps)


def fit_probe(train: States, distance: int = 1, ridge: float = 10.0) -> Probe:
    """Ridge regression per layer.

    Stands for Pre-gated MoE's fine-tuned gate at distance 1 and for ExpertFlow B's corrected pre-gate scores beyond (there a random forest).
    """
    width = train.x.shape[2]
    maps = []
    for layer in range(distance, train.x.shape[1]):
        x, y = _with_one(train.x[:, layer - distance]), train.logits[:, layer]
        maps.append(torch.linalg.solve(x.T @ x + ridge * torch.eye(width + 1), x.T @ y))
    return Probe(distance, tuple(maps))


def probed(probe: Probe, test: States, k: int) -> Forecast:
    """What a probe says of `test`; layers below its distance: nothing (-1)."""
    d = probe.distance
    guess = torch.full_like(test.logits, -torch.inf)
    for layer, solved in enumerate(probe.maps, start=d):
        guess[:, layer] = _with_one(test.x[:, layer - d]) @ solved
    flops = 2.0 * sum(m.numel() for m in probe.maps)
    return _forecast(f"gate_{d}", guess, k, d, flops, probe.nbytes)


def _with_one(x: Tensor) -> Tensor:
    return torch.cat((x, torch.ones(len(x), 1)), dim=1)


def _forecast(name: str, guess: Tensor, k: int, distance: int, flops: float, nbytes: int) -> Forecast:
    score, ids = guess.softmax(-1).nan_to_num(0.0).topk(k, dim=-1)
    ids = ids.masked_fill(guess.amax(-1, keepdim=True) == -torch.inf, -1)
    launches = (guess.shape[1] - distance) * LAUNCH_S  # one small product per layer and step
    return Forecast(name, ids.to(torch.int16).numpy(), score.numpy(), distance, flops / THROUGHPUT, launches, nbytes)


@dataclass(frozen=True)
class Fitted:
    """Everything learnt from training requests; `forecasts` speaks of others."""

    path: RoutingPathPredictor
    probes: tuple[Probe, ...]

    def forecasts(self, model: Any, test: Routes) -> dict[str, Forecast]:
        """Every forecast a policy of ours can ask for, but the oracle's."""
        found = path_forecasts(self.path, test)
        now = states(model, test)
        found["speculative"] = speculative(now, test.chosen)
        for probe in self.probes:
            found[f"gate_{probe.distance}"] = probed(probe, now, test.chosen)
        found["pregate"] = found["gate_1"]
        return found


def fit_all(model: Any, train: Routes, vocab: int, *, steps: int, reach: Sequence[int] = (1, 2, 3, 4), seed: int = 0) -> Fitted:
    """The path predictor and one probe per distance, fitted on `train`."""
    before = states(model, train)
    probes = tuple(fit_probe(before, d) for d in reach if d < train.layers)
    return Fitted(fit_path(train, vocab, steps=steps, seed=seed), probes)


def popularity_of(train: Routes) -> NDArray[np.float64]:
    """Share of tokens that use each expert (L*E,)."""
    grid = np.zeros((train.layers, train.n_experts))
    for layer in range(train.layers):
        ids = train.experts[:, layer]
        grid[layer] = np.bincount(ids[ids >= 0].ravel(), minlength=train.n_experts) / len(train.experts)
    return grid.ravel()
