"""Training of the lab's decoder on packed text: exact seeds, checkpoints without pickles, resume that continues bit for bit on one CPU thread.

Imports torch, numpy, lab.model and safetensors (lazily). Refuses hidden state: batch i depends on (seed, i) alone, never on what ran before.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sovereign.errors import LabInput, MissingExtra, NotFound
from sovereign.lab.model import Decoder, ModelConfig

Progress = Callable[[str, float], None]
Streams = Mapping[str, NDArray[np.int64]]  # kind -> token stream; rows of a batch take the kinds in turn


@dataclass(frozen=True)
class TrainSpec:
    """steps of batch x seq tokens; AdamW (betas 0.9, 0.95), linear warm-up, cosine decay to a tenth of `lr`, gradient norm clipped at 1."""

    steps: int
    batch: int = 16
    seq: int = 128
    lr: float = 3e-3
    warmup: int = 10
    weight_decay: float = 0.01
    seed: int = 0

    @property
    def tokens(self) -> int:
        return self.steps * self.batch * self.seq


class TrainResult(NamedTuple):
    """Mean cross-entropy (nats per token) of the first and the last tenth of this call's steps, and what it took."""

    first_loss: float | None
    last_loss: float | None
    steps: int
    seconds: float


def require_memory(config: ModelConfig, spec: TrainSpec, device: str = "cpu") -> None:
    """Raises LabInput when weights, gradients, AdamW moments and the logits cannot fit; says nothing where the platform tells no free memory.

    A lower bound (activations inside the layers are left out), so passing it is no promise.
    """
    needed = 4 * config.num_params() * 4 + 3 * 4 * spec.batch * spec.seq * config.vocab
    free = _free_bytes(device)
    if free is not None and needed > free:
        raise LabInput(
            f"Training needs at least {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free on {device}.",
            mend="Use a smaller model, batch or vocabulary.",
        )


def _free_bytes(device: str) -> int | None:
    if device != "cpu":
        return int(torch.cuda.mem_get_info(device)[0])
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)


def sample_batch(streams: Streams, spec: TrainSpec, step: int, device: torch.device | str = "cpu") -> Tensor:
    """tokens_BS with seq + 1 columns, from windows drawn by (seed, step); the kinds take turns over the rows."""
    rng = np.random.default_rng((spec.seed, step))
    kinds = sorted(streams)
    rows = []
    for row in range(spec.batch):
        stream = streams[kinds[row % len(kinds)]]
        if len(stream) <= spec.seq + 1:
            raise LabInput(f"A training stream has {len(stream)} tokens, a window needs {spec.seq + 1}.", mend="Give more text.")
        start = int(rng.integers(0, len(stream) - spec.seq - 1))
        rows.append(stream[start : start + spec.seq + 1])
    return torch.from_numpy(np.stack(rows)).to(device)


def train(
    model: Decoder,
    streams: Streams,
    spec: TrainSpec,
    *,
    progress: Progress = lambda _what, _share: None,
    checkpoint: Path | None = None,
    every: int = 0,
) -> TrainResult:
    """Trains in place on the model's own device (autocast to bf16 on CUDA) and leaves it in eval mode.

    With `checkpoint`, an existing file is resumed and the file is written every `every` steps (0: at the end only).
    Raises LabInput when the loss stops being a number, or on lack of memory.
    """
    device = next(model.parameters()).device
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=spec.lr, betas=(0.9, 0.95), weight_decay=spec.weight_decay, fused=device.type == "cuda"
    )
    begin = load_checkpoint(checkpoint, model, optimiser, spec) if checkpoint is not None and checkpoint.is_file() else 0
    model.train()
    losses: list[Tensor] = []
    clock = time.perf_counter()
    for step in range(begin, spec.steps):
        losses.append(_step(model, optimiser, sample_batch(streams, spec, step, device), spec, step))
        if step % 10 == 9 or step == spec.steps - 1:
            recent = float(losses[-1])
            if not math.isfinite(recent):
                raise LabInput(f"The training loss became {recent} at step {step}.", mend="Lower the learning rate.")
            progress(f"training step {step + 1}/{spec.steps}, loss {recent:.3f}", (step + 1) / spec.steps)
        if checkpoint is not None and ((every and (step + 1) % every == 0) or step == spec.steps - 1):
            save_checkpoint(checkpoint, model, optimiser, spec, step + 1)
    model.eval()
    tenth = max(1, len(losses) // 10)
    values = [float(loss) for loss in losses]
    first, last = (None, None) if not values else (float(np.mean(values[:tenth])), float(np.mean(values[-tenth:])))
    return TrainResult(first, last, spec.steps - begin, time.perf_counter() - clock)


def _step(model: Decoder, optimiser: torch.optim.Optimizer, tokens: Tensor, spec: TrainSpec, step: int) -> Tensor:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(spec, step)
    try:
        with torch.autocast(tokens.device.type, dtype=torch.bfloat16, enabled=tokens.is_cuda):
            output = model(tokens[:, :-1])
            loss = F.cross_entropy(output.logits_BSV.flatten(0, 1).float(), tokens[:, 1:].flatten())
            total = loss + model.weighted_aux(output)
        total.backward()
    except torch.OutOfMemoryError as exc:
        raise LabInput("Training ran out of memory.", mend="Use a smaller batch, sequence or model.") from exc
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss.detach()


def learning_rate(spec: TrainSpec, step: int) -> float:
    """Linear to spec.lr over `warmup` steps, then a cosine down to a tenth of it."""
    if step < spec.warmup:
        return spec.lr * (step + 1) / spec.warmup
    share = (step - spec.warmup) / max(1, spec.steps - spec.warmup)
    return spec.lr * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


@torch.no_grad()
def evaluate(model: Decoder, stream: NDArray[np.int64], *, seq: int, windows: int, batch: int = 16) -> list[float]:
    """Cross-entropy (nats per token) of evenly spaced held-out windows, one value per window, for intervals over windows."""
    device = next(model.parameters()).device
    starts = np.linspace(0, len(stream) - seq - 2, windows).astype(int)
    if len(stream) <= seq + 1:
        raise LabInput(f"{len(stream)} held-out tokens do not fill a window of {seq}.", mend="Give more text.")
    model.eval()
    values: list[float] = []
    for i in range(0, windows, batch):
        rows = torch.from_numpy(np.stack([stream[s : s + seq + 1] for s in starts[i : i + batch]])).to(device)
        logits = model(rows[:, :-1]).logits_BSV.float()
        loss = F.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none").mean(1)
        values += [float(v) for v in loss]
    return values


# --- checkpoints ---


def save_checkpoint(path: Path, model: Decoder, optimiser: torch.optim.Optimizer | None, spec: TrainSpec | None, step: int) -> None:
    """Weights, optimiser moments, step, spec and model configuration in one safetensors file, replaced atomically."""
    held = {f"model.{name}": p.detach().contiguous() for name, p in model.named_parameters()}
    if optimiser is not None:
        for name, p in model.named_parameters():
            for key in ("exp_avg", "exp_avg_sq"):
                if key in optimiser.state.get(p, {}):
                    held[f"{key}.{name}"] = optimiser.state[p][key].contiguous()
    meta = {"step": str(step), "config": json.dumps(model.config.as_dict()), "spec": json.dumps(asdict(spec)) if spec else ""}
    part = path.with_suffix(path.suffix + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    _safetensors().save_file(held, str(part), metadata=meta)
    part.replace(path)


def load_checkpoint(path: Path, model: Decoder, optimiser: torch.optim.Optimizer | None = None, spec: TrainSpec | None = None) -> int:
    """Fills model and optimiser and returns the step to go on from.

    Raises NotFound, or LabInput for another model, another training spec (its number of steps sets the schedule), or a damaged file.
    """
    held, meta = _read(path)
    if json.loads(meta["config"]) != model.config.as_dict():
        raise LabInput(f"{path.name} belongs to another model configuration.", mend="Delete it or use its own configuration.")
    if spec is not None and meta["spec"] and json.loads(meta["spec"]) != asdict(spec):
        raise LabInput(f"{path.name} belongs to another training specification.", mend="Delete it to start anew.")
    step = int(meta["step"])
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(held[f"model.{name}"])
            if optimiser is not None and f"exp_avg.{name}" in held:
                moments = {key: held[f"{key}.{name}"].to(p.device).clone() for key in ("exp_avg", "exp_avg_sq")}
                fused = bool(optimiser.param_groups[0].get("fused"))
                optimiser.state[p] = {"step": torch.tensor(float(step), device=p.device if fused else "cpu"), **moments}
    return step


def load_model(path: Path, device: str = "cpu") -> Decoder:
    """The decoder of a checkpoint, in eval mode."""
    _held, meta = _read(path)
    model = ModelConfig(**json.loads(meta["config"])).build(0).to(device)
    load_checkpoint(path, model)
    return model.eval()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise NotFound(f"There is no checkpoint at {path}.", mend="Train first.", subject=str(path))
    library = _safetensors()
    try:
        with library.safe_open(str(path), framework="pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}, stream.metadata() or {}  # noqa: SIM118 - not a mapping
    except library.SafetensorError as exc:
        raise LabInput(f"{path.name} is damaged: {exc}.", mend="Delete it and train again.") from exc


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.torch as library
    except ImportError as exc:
        raise MissingExtra("lab", "Checkpoints") from exc
    library.safe_open, library.SafetensorError = safetensors.safe_open, safetensors.SafetensorError
    return library
