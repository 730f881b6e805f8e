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
PATH_LAUNCHES = 12  # operations of the path predictor's one layer and its heads


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


OWN = 2.0  # how a token's earlier routes in its own request weigh against those in training requests
FADE = 0.8  # of the outlook's weights per token: it looks about five tokens ahead


@dataclass(frozen=True)
class Observed:
    """What the path predictor is given. tokens (N, S), used (N, S, L, E), decode (N, S): the row ran after the prompt, so routes and states of all
    rows before it are known; a prompt runs in one step, so its rows know nothing of one another's routes. states (N, S, D): last router inputs."""

    tokens: Tensor
    used: Tensor
    decode: Tensor
    states: Tensor | None

    @staticmethod
    def of(routes: Routes, states: Tensor | None = None) -> Observed:
        """states (T, D) in the trace's order."""
        data = sequences(routes)
        n, length = data.shape[:2]
        decode = torch.from_numpy(np.ascontiguousarray(routes.is_decode)).view(n, length)
        return Observed(data.tokens, data.used, decode, None if states is None else states.float().view(n, length, -1))

    def rows(self, index: Tensor | slice) -> Observed:
        """Some sequences."""
        return Observed(self.tokens[index], self.used[index], self.decode[index], None if self.states is None else self.states[index])

    def before(self) -> Tensor:
        """Routes and last state of the token before, (N, S, L*E + D), zero where they are not known."""
        known = self.used.flatten(2)
        if self.states is not None:
            known = torch.cat((known, self.states), dim=-1)
        return F.pad(known, (0, 0, 1, 0))[:, :-1] * self.decode[:, :, None]


class Counts(nn.Module):
    """Uses of each expert by what comes `ahead` positions after a token id (V, L*E), how often that was seen (V, 1), the overall mean (L*E,)."""

    def __init__(self, data: Observed, vocab: int, ahead: int, prior: float = 2.0):
        super().__init__()
        length = data.tokens.shape[1]
        tokens, used = data.tokens[:, : length - ahead].reshape(-1), data.used[:, ahead:].flatten(2).flatten(0, 1)
        self.register_buffer("total", torch.zeros(vocab, used.shape[1]).index_add_(0, tokens, used))
        self.register_buffer("seen", torch.bincount(tokens, minlength=vocab).float().unsqueeze(1))
        self.register_buffer("mean", used.mean(0))
        self.ahead, self.prior = ahead, prior

    def forward(self, seen: Observed, counted: bool) -> Tensor:
        """Logits (N, S, L*E) for each token id, its earlier uses in the same request weighing OWN times; rare ids fall back to the mean.

        counted: the sequences are among those counted, and are taken out, as they would know the answer.
        """
        tokens = seen.tokens
        length = tokens.shape[1] - self.ahead
        same = (tokens[:, :, None] == tokens[:, None, :length]).float()
        place = torch.arange(tokens.shape[1])
        weight = OWN * same * (place[:length] + self.ahead < place[:, None]) * seen.decode[:, :, None] - same * float(counted)
        total = self.total[tokens] + torch.einsum("nij,njk->nik", weight, seen.used[:, self.ahead :].flatten(2))
        count = self.seen[tokens] + weight.sum(-1, keepdim=True)
        share = (total.clamp(min=0.0) + self.prior * self.mean) / (count.clamp(min=0.0) + self.prior)
        return torch.logit(share.clamp(1e-3, 1 - 1e-3))


def later_use(used: Tensor, fade: float) -> tuple[Tensor, Tensor]:
    """Share of later tokens that use an expert, nearer ones weighing more by 1 / fade each (N, S, L, E), and its weight: how much of the sum lies
    inside the sequence (S,)."""
    length = used.shape[1]
    out, weight = torch.zeros_like(used), torch.zeros(length)
    total, mass = torch.zeros_like(used[:, 0]), 0.0
    for t in range(length - 2, -1, -1):
        total, mass = used[:, t + 1] + fade * total, 1.0 + fade * mass
        out[:, t], weight[t] = total / mass, mass * (1.0 - fade)
    return out, weight


class RoutingPathPredictor(nn.Module):
    """ExpertFlow A's predictor in small: the token table plus what one causal transformer layer adds to it (arXiv 2410.17954, section 3.1).

    Three heads: the path of the current token, the path of the next token before it is known, and the outlook: how often each expert will be used
    by the tokens after this one. Deviations: the paper's T5-like encoder-decoder of 7.21 MB sees tokens only and is trained on 30,000 triples; started
    from a table and told what is known when a step begins (the routes of the tokens before, the last state), a small decoder needs far fewer.
    The paper has no outlook.
    """

    def __init__(self, data: Observed, vocab: int, *, width: int = 128, heads: int = 4):
        super().__init__()
        _, length, self.layers, self.experts = data.used.shape
        self.known = data.before().shape[2]
        self.now, self.following = Counts(data, vocab, 0), Counts(data, vocab, 1)
        self.embed = nn.Embedding(vocab, width)
        self.place = nn.Embedding(max(length, 8), width)
        self.before = nn.Linear(self.known, width, bias=False)
        self.block = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3 * self.layers * self.experts)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        # how far the tables are trusted: counts of rare tokens are overconfident
        self.trust = nn.Parameter(torch.ones(2))

    def forward(self, seen: Observed, counted: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N, S, L, E) for each token, for its successor, and for the outlook. Row t looks at no routes but those of rows before t."""
        n, length = seen.tokens.shape
        x = self.embed(seen.tokens) + self.place.weight[:length] + self.before(seen.before())
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=seen.tokens.device)
        now, then, later = self.head(self.norm(self.block(x, src_mask=mask, is_causal=True))).chunk(3, dim=-1)
        shape = (n, length, self.layers, self.experts)
        return (
            (now + self.trust[0] * self.now(seen, counted)).view(shape),
            (then + self.trust[1] * self.following(seen, counted)).view(shape),
            (later + torch.logit(self.now.mean.clamp(1e-3, 1 - 1e-3))).view(shape),
        )

    @property
    def nbytes(self) -> int:
        """Weights and tables as they would stay in the fast tier (16 bit)."""
        return sum(t.numel() * 2 for t in (*self.parameters(), *self.buffers()))

    @property
    def flops(self) -> float:
        """Per token: matrix products of input, block and heads."""
        width = self.embed.embedding_dim
        return 2.0 * width * (self.known + 12 * width + 3 * self.layers * self.experts)


def fit_path(
    train: Routes, vocab: int, *, steps: int, seed: int = 0, width: int = 128, lr: float = 3e-3, last_states: Tensor | None = None
) -> RoutingPathPredictor:
    """Tables by counting, the rest by `steps` of AdamW on binary cross-entropy (unweighted, so that outputs are probabilities).

    last_states (T, D): the last router input of every row of `train`; without it the predictor sees tokens and earlier routes only.
    """
    data = Observed.of(train, last_states)
    n = len(data.tokens)
    if n < 4:
        raise LabInput(f"{n} requests are too few to fit a predictor.", mend="Give at least four.")
    later, weight = later_use(data.used, FADE)
    rng = np.random.default_rng((19, seed))
    torch.manual_seed(seed)
    model = RoutingPathPredictor(data, vocab, width=width)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    bce = F.binary_cross_entropy_with_logits
    model.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - 0.9 * step / max(1, steps))
        rows = torch.from_numpy(rng.integers(0, n, min(16, n)))
        part = data.rows(rows)
        now, then, outlook = model(part, counted=True)
        loss = bce(now, part.used) + bce(then[:, :-1], part.used[:, 1:])
        loss = loss + (bce(outlook, later[rows], reduction="none").mean((0, 2, 3)) * weight).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()
def path_forecasts(model: RoutingPathPredictor, test: Routes, last_states: Tensor | None = None) -> dict[str, Forecast]:
    """Forecasts "path" and "path_next" for every row of `test` (row t of "path_next" speaks of the token after t), k experts per layer.

    "path" carries the outlook; it speaks for a request's newest token only, so a prompt's earlier tokens have none.
    """
    data = Observed.of(test, last_states)
    parts = [model(data.rows(slice(i, i + 32))) for i in range(0, len(data.tokens), 32)]
    now, then, later = (torch.cat(logits).sigmoid().flatten(0, 1) for logits in zip(*parts, strict=True))
    waiting = torch.from_numpy(np.append(~test.is_decode[1:] & (test.request[1:] == test.request[:-1]), False))
    outlook = later.masked_fill(waiting[:, None, None], 0.0).half().numpy()
    cost = (0, model.flops / THROUGHPUT, PATH_LAUNCHES * LAUNCH_S, model.nbytes)
    out = {}
    for name, probability, rest in (("path", now, outlook), ("path_next", then, None)):
        score, ids = probability.topk(test.chosen, dim=-1)
        out[name] = Forecast(name, ids.to(torch.int16).numpy(), score.numpy(), *cost, outlook=rest)
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
        now = states(model, test)
        found = path_forecasts(self.path, test, now.x[:, -1])
        found["speculative"] = speculative(now, test.chosen)
        for probe in self.probes:
            found[f"gate_{probe.distance}"] = probed(probe, now, test.chosen)
        found["pregate"] = found["gate_1"]
        return found


def fit_all(model: Any, train: Routes, vocab: int, *, steps: int, reach: Sequence[int] = (1, 2, 3, 4), seed: int = 0) -> Fitted:
    """The path predictor and one probe per distance, fitted on `train`."""
    before = states(model, train)
    probes = tuple(fit_probe(before, d) for d in reach if d < train.layers)
    return Fitted(fit_path(train, vocab, steps=steps, seed=seed, last_states=before.x[:, -1]), probes)


def popularity_of(train: Routes) -> NDArray[np.float64]:
    """Share of tokens that use each expert (L*E,)."""
    grid = np.zeros((train.layers, train.n_experts))
    for layer in range(train.layers):
        ids = train.experts[:, layer]
        grid[layer] = np.bincount(ids[ids >= 0].ravel(), minlength=train.n_experts) / len(train.experts)
    return grid.ravel()
