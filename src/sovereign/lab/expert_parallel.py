"""The jobs that ranks run: replay recorded layers with experts spread over the ranks, and time the link.

Imports parallel and ranks. Refuses to report a replay whose outputs differ from the single process: the caller compares `y`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sovereign.lab.parallel import Exchanged, LinkModel, Share, Traffic, count_traffic, exchange, fit_link
from sovereign.lab.ranks import run_ranks
from sovereign.lab.routing import Routing
from sovereign.lab.routing.common import real_slots


@dataclass(frozen=True)
class RecordedLayer:
    """One layer's experts' input x (T, D), decision, weights, and the output of a single process (virtual slots excluded)."""

    x_TD: Tensor
    routing: Routing
    gate_up: Tensor
    down: Tensor
    y_TD: Tensor


@dataclass(frozen=True)
class Replay:
    """largest_error: over all layers and tokens, relative to the largest output. counted: by the model; sent: by the ranks themselves."""

    largest_error: float
    counted: Traffic
    sent_bytes: int
    sent_messages: int
    overhead_bytes: int
    seconds: tuple[float, ...]  # communication per repeat, of the slowest rank
    busiest_bytes: int  # through the buffers of the busiest rank in one repeat, there and back, ids and weights included
    layers: int


def replay(
    layers: Sequence[RecordedLayer], device_LE: Tensor, home_T: Tensor, ranks: int, folder: Path, repeats: int = 9, timeout_s: float = 120.0
) -> Replay:
    """Runs the recorded layers on `ranks` processes (gloo) and compares with the single process."""
    arrays: dict[str, Any] = {"device": device_LE, "home": home_T, "repeats": repeats, "layers": len(layers)}
    row = layers[0].x_TD.shape[1] * layers[0].x_TD.element_size()
    counted: Traffic | None = None
    for i, layer in enumerate(layers):
        arrays |= {f"x{i}": layer.x_TD, f"idx{i}": layer.routing.idx_TK, f"weight{i}": layer.routing.weight_TK}
        arrays |= {f"real{i}": real_slots(layer.routing) > 0, f"up{i}": layer.gate_up, f"down{i}": layer.down, f"y{i}": layer.y_TD}
        one = count_traffic(layer.routing, device_LE[i], home_T, ranks, row)
        counted = one if counted is None else counted + one
    arrays = {k: v.detach().cpu().numpy() if isinstance(v, Tensor) else v for k, v in arrays.items()}
    results = run_ranks(f"{__name__}:replay_rank", ranks, folder, arrays=arrays, timeout_s=timeout_s)
    assert counted is not None
    return Replay(
        largest_error=max(r["error"] for r in results),
        counted=counted,
        sent_bytes=sum(r["bytes"] for r in results),
        sent_messages=sum(r["messages"] for r in results),
        overhead_bytes=sum(r["overhead"] for r in results),
        seconds=tuple(max(r["seconds"][i] for r in results) for i in range(repeats)),
        busiest_bytes=max(r["buffers"] for r in results),
        layers=len(layers),
    )


def replay_rank(rank: int, ranks: int, arrays: dict[str, Tensor]) -> dict[str, Any]:
    import torch.distributed as dist

    mine_T = arrays["home"] == rank
    seconds: list[float] = []
    error = 0.0
    last: list[Exchanged] = []
    for repeat in range(int(arrays["repeats"]) + 1):
        spent, last = 0.0, []
        for i in range(int(arrays["layers"])):
            dist.barrier()  # layers of different repeats must not overlap, or one rank's waiting counts as another's sending
            done = _layer(rank, ranks, i, mine_T, arrays)
            spent += done.seconds["send"] + done.seconds["return"]
            last.append(done)
            expected = arrays[f"y{i}"]
            if mine_T.any():
                error = max(error, float((done.y_TD - expected[mine_T]).abs().max() / expected.abs().max().clamp_min(1e-12)))
        if repeat:  # the first is the warm-up
            seconds.append(spent)
    return {
        "error": error,
        "bytes": sum(d.bytes_out for d in last),
        "overhead": sum(d.overhead_bytes for d in last),
        "buffers": sum(d.buffer_bytes for d in last),
        "messages": sum(d.messages for d in last),
        "seconds": seconds,
    }


def _layer(rank: int, ranks: int, i: int, mine_T: Tensor, arrays: dict[str, Tensor]) -> Exchanged:
    device_E = arrays["device"][i]
    mine_E = (device_E == rank).nonzero()[:, 0]
    share = Share(mine_E, arrays[f"up{i}"][mine_E], arrays[f"down{i}"][mine_E])
    idx_TK = arrays[f"idx{i}"][mine_T]
    routing = Routing(idx_TK, arrays[f"weight{i}"][mine_T], torch.ones(idx_TK.shape[0], 1), mask_TK=arrays[f"real{i}"][mine_T])
    return exchange(arrays[f"x{i}"][mine_T], routing, share, device_E, rank, ranks, meet=True)


def time_link(
    ranks: int, folder: Path, sizes: Sequence[int] = (4096, 65536, 524288, 4194304), repeats: int = 7
) -> tuple[LinkModel, list[float]]:
    """A link model fitted to the median time of an even all-to-all of `sizes` bytes per rank, and those medians in seconds."""
    results = run_ranks(f"{__name__}:time_rank", ranks, folder, arrays={"sizes": list(sizes), "repeats": repeats})
    medians = [max(r[i] for r in results) for i in range(len(sizes))]
    return fit_link(list(sizes), medians), medians


def time_rank(rank: int, ranks: int, arrays: dict[str, Tensor]) -> list[float]:
    import torch.distributed as dist

    out = []
    for size in arrays["sizes"].tolist():
        rows = torch.zeros(max(ranks, size // 4 // ranks * ranks))
        got = torch.empty_like(rows)
        taken = []
        for _ in range(int(arrays["repeats"]) + 2):
            dist.barrier()
            start = time.perf_counter()
            dist.all_to_all_single(got, rows)
            taken.append(time.perf_counter() - start)
        out.append(float(torch.tensor(taken[2:]).median()))
    return out


def killed_rank(rank: int, ranks: int, arrays: dict[str, Tensor]) -> None:
    """A rank that ends without a word in the middle of an exchange; used to show what the others do."""
    import os
    import signal

    import torch.distributed as dist

    dist.barrier()
    if rank == int(arrays["victim"]):
        os.kill(os.getpid(), signal.SIGKILL)
    got = torch.empty(ranks)
    for _ in range(100):
        dist.all_to_all_single(got, torch.ones(ranks))
