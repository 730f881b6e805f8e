"""Expert parallelism: where experts and tokens live, what must cross between devices, the exchange itself, and what it should cost.

Imports torch (torch.distributed in the ranks) and the routing protocol. Refuses experts that do not spread evenly and token homes that name no device.
A token is *remote* in two definitions that must not be mixed: `any`: at least one of its experts is on another device (the only reading under which
the 97-98 % of arXiv 2604.23996 is possible); `assignment`: share of slots whose expert is elsewhere. An activation crosses once per remote device.

Axis letters: T tokens, K slots, E experts, D width, R ranks (devices), L layers, P (token, device) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sovereign.errors import LabInput
from sovereign.lab.dispatch import swiglu_experts
from sovereign.lab.routing import Routing
from sovereign.lab.routing.common import real_slots

HOMES = ("sample", "modality")


def place_experts(order_E: Tensor, devices: int) -> Tensor:
    """Device of each expert, long (E,): experts in the given order (a permutation, e.g. text-leaning first) are cut into equal consecutive shares.

    Raises LabInput when the shares would not be equal or the order is no permutation.
    """
    experts = order_E.numel()
    if devices < 1 or experts % devices:
        raise LabInput(f"{experts} experts do not spread evenly over {devices} devices.", mend="Choose devices that divide the experts.")
    if not torch.equal(order_E.sort().values.cpu(), torch.arange(experts)):
        raise LabInput("The order of the experts is not a permutation.", mend="List every expert once.")
    device_E = torch.empty(experts, dtype=torch.long)
    device_E[order_E.cpu()] = torch.arange(experts) // (experts // devices)
    return device_E


def home_tokens(by: str, devices: int, sample_T: Tensor, modality_T: Tensor) -> Tensor:
    """Device on which each token's attention runs, long (T,).

    sample: data parallel, whole samples round robin. modality: text on the first half of the devices, vision on the second, samples round robin
    inside a half (with one device, everything there). Which one is meant decides the ratio, so every figure names it.
    """
    if by not in HOMES:
        raise LabInput(f"Unknown token homes {by!r}.", mend=f"Known: {', '.join(HOMES)}.")
    if by == "sample" or devices == 1:
        return sample_T % devices
    if devices % 2:
        raise LabInput(f"Homes by modality need an even number of devices, not {devices}.", mend="Use 2 or 4 devices, or homes by sample.")
    half = devices // 2
    return sample_T % half + modality_T * half


@dataclass(frozen=True)
class Traffic:
    """Counted over one layer or summed over several. bytes_out: activations to other devices, there and back; messages: ordered pairs of devices
    with anything to send, there and back. load: real slots per device."""

    tokens: int
    slots: int
    remote_tokens: int
    remote_slots: int
    bytes_out: int
    messages: int
    load: tuple[int, ...]

    @property
    def any_ratio(self) -> float | None:
        return self.remote_tokens / self.tokens if self.tokens else None

    @property
    def assignment_ratio(self) -> float | None:
        return self.remote_slots / self.slots if self.slots else None

    @property
    def imbalance(self) -> float | None:
        """Largest over mean load of the devices."""
        return max(self.load) * len(self.load) / sum(self.load) if sum(self.load) else None

    def __add__(self, other: Traffic) -> Traffic:
        load = tuple(a + b for a, b in zip(self.load, other.load, strict=True))
        a, b = self, other
        return Traffic(
            a.tokens + b.tokens,
            a.slots + b.slots,
            a.remote_tokens + b.remote_tokens,
            a.remote_slots + b.remote_slots,
            a.bytes_out + b.bytes_out,
            a.messages + b.messages,
            load,
        )


def token_devices(routing: Routing, device_E: Tensor, devices: int) -> Tensor:
    """bool (T, R): devices that hold at least one of the token's real experts. Virtual slots stay at home."""
    device_TK = device_E.to(routing.idx_TK.device)[routing.idx_TK]
    hits_TR = torch.zeros(routing.idx_TK.shape[0], devices, device=routing.idx_TK.device)
    return hits_TR.scatter_add(1, device_TK, real_slots(routing).to(hits_TR.dtype)) > 0


def count_traffic(
    routing: Routing, device_E: Tensor, home_T: Tensor, devices: int, row_bytes: int, only_T: Tensor | None = None
) -> Traffic:
    """Traffic of one layer. row_bytes: bytes of one activation (D x item size). only_T (bool) restricts the count to some tokens.

    Raises LabInput when a home is not a device.
    """
    if home_T.numel() and not 0 <= int(home_T.min()) <= int(home_T.max()) < devices:
        raise LabInput(f"A token lives on device {int(home_T.max())} of {devices}.", mend="Number devices from 0.")
    keep_T = torch.ones_like(home_T, dtype=torch.bool) if only_T is None else only_T
    needs_TR = token_devices(routing, device_E, devices) & keep_T[:, None]
    away_TR = needs_TR & (torch.arange(devices, device=home_T.device) != home_T[:, None])
    real_TK = (real_slots(routing) > 0) & keep_T[:, None]
    device_TK = device_E.to(home_T.device)[routing.idx_TK]
    pairs_RR = torch.zeros(devices, devices, dtype=torch.long, device=home_T.device).index_add(0, home_T, away_TR.long())
    load = torch.bincount(device_TK[real_TK], minlength=devices)
    return Traffic(
        tokens=int(keep_T.sum()),
        slots=int(real_TK.sum()),
        remote_tokens=int(away_TR.any(-1).sum()),
        remote_slots=int((real_TK & (device_TK != home_T[:, None])).sum()),
        bytes_out=2 * int(away_TR.sum()) * row_bytes,
        messages=2 * int((pairs_RR > 0).sum()),
        load=tuple(int(x) for x in load),
    )


def specialised_order(counts_ME: Tensor) -> Tensor:
    """Experts from most text-leaning to most vision-leaning by normalised counts; experts nobody visits stand in the middle."""
    share_ME = counts_ME / counts_ME.sum(-1, keepdim=True).clamp_min(1e-12)
    both_E = share_ME.sum(0)
    lean_E = torch.where(both_E > 0, share_ME[0] / both_E.clamp_min(1e-12), torch.full_like(both_E, 0.5))
    return (-lean_E).argsort(stable=True).cpu()


@dataclass(frozen=True)
class LinkModel:
    """Time of one all-to-all: latency_s + bytes of the busiest rank / bandwidth. A declared or fitted model, never a measurement."""

    latency_s: float
    bandwidth: float  # bytes per second

    def __post_init__(self) -> None:
        if self.latency_s < 0 or self.bandwidth <= 0:
            raise LabInput(f"A link of {self.latency_s} s and {self.bandwidth} bytes/s is impossible.", mend="latency >= 0, bandwidth > 0.")

    def seconds(self, busiest_bytes: float, exchanges: int = 1) -> float:
        return exchanges * self.latency_s + busiest_bytes / self.bandwidth


def fit_link(sizes: Sequence[float], seconds: Sequence[float]) -> LinkModel:
    """Least squares of seconds = latency + bytes / bandwidth, weighted by 1 / seconds so that small messages count. Needs two sizes."""
    if len(set(sizes)) < 2 or len(sizes) != len(seconds):
        raise LabInput("A link model needs timings of two different sizes.", mend="Time more sizes.")
    t = torch.tensor(seconds, dtype=torch.float64)
    a = torch.stack((torch.ones(len(sizes), dtype=torch.float64), torch.tensor(sizes, dtype=torch.float64)), 1)
    latency, slope = torch.linalg.lstsq(a / t[:, None], torch.ones_like(t)[:, None]).solution[:, 0].tolist()
    return LinkModel(max(0.0, latency), 1.0 / max(slope, 1e-15))


@dataclass(frozen=True)
class Share:
    """What one rank holds of a layer: its experts' weights in the order of `mine` (global ids)."""

    mine: Tensor
    gate_up: Tensor
    down: Tensor


@dataclass(frozen=True)
class Exchanged:
    """y (T, D) of this rank's tokens; activation bytes sent to other ranks (there; and, as a server, back), messages, and seconds by stage.

    buffer_bytes: what the rank's buffers held over all transfers, the larger of sent and received, its own rows included: the transfer copies them too.
    """

    y_TD: Tensor
    bytes_out: int
    overhead_bytes: int
    messages: int
    buffer_bytes: int
    seconds: dict[str, float]


def exchange(x_TD: Tensor, routing: Routing, share: Share, device_E: Tensor, rank: int, ranks: int, *, meet: bool = False) -> Exchanged:
    """One expert-parallel layer, called by every rank with its own tokens: send, compute, send back, add up.

    Every (token, device) pair crosses once with the ids and weights of its slots there; the answer is one row, already weighted. Virtual slots
    (identity) are the caller's, as in a single process. meet: ranks wait for each other before each transfer, so that its time holds no waiting
    for a rank that still packs or computes (for measuring, not for use). Raises RuntimeError from torch.distributed when a rank is gone.
    """
    import time

    import torch.distributed as dist

    start = time.perf_counter()
    needs_TR = token_devices(routing, device_E, ranks)
    device_P, token_P = needs_TR.T.nonzero(as_tuple=True)  # sorted by device
    slots = routing.idx_TK.shape[1]
    here_PK = (device_E[routing.idx_TK[token_P]] == device_P[:, None]) & (real_slots(routing)[token_P] > 0)
    ids_PK = torch.where(here_PK, routing.idx_TK[token_P], -1)
    weight_PK = (routing.weight_TK[token_P] * here_PK).to(x_TD.dtype)
    out_R = torch.bincount(device_P, minlength=ranks)
    in_R = torch.empty_like(out_R)
    if meet:
        dist.barrier()
    packed = time.perf_counter()
    dist.all_to_all_single(in_R, out_R)
    send, receive = out_R.tolist(), in_R.tolist()
    rows, weights, ids = (_swap(t, send, receive) for t in (x_TD[token_P], weight_PK, ids_PK))
    sent = time.perf_counter()
    answer = _serve(rows, ids, weights, share)
    if meet:
        dist.barrier()
    served = time.perf_counter()
    back = _swap(answer, receive, send)
    returned = time.perf_counter()
    y_TD = torch.zeros_like(x_TD).index_add(0, token_P, back)
    away = sum(n for r, n in enumerate(send) if r != rank), sum(n for r, n in enumerate(receive) if r != rank)
    row = x_TD.shape[1] * x_TD.element_size()
    return Exchanged(
        y_TD,
        bytes_out=sum(away) * row,
        overhead_bytes=away[0] * slots * (8 + x_TD.element_size()) + (ranks - 1) * 8,
        messages=sum(1 for r in range(ranks) if r != rank and send[r]) + sum(1 for r in range(ranks) if r != rank and receive[r]),
        buffer_bytes=max(sum(send), sum(receive)) * (2 * row + slots * (8 + x_TD.element_size())),
        seconds={"pack": packed - start, "send": sent - packed, "compute": served - sent, "return": returned - served},
    )


def _swap(rows: Tensor, send: list[int], receive: list[int]) -> Tensor:
    import torch.distributed as dist

    got = rows.new_empty(sum(receive), *rows.shape[1:])
    dist.all_to_all_single(got, rows.contiguous(), receive, send)
    return got


def _serve(rows_PD: Tensor, ids_PK: Tensor, weight_PK: Tensor, share: Share) -> Tensor:
    """Weighted sum over the experts of this rank for every row that came in."""
    if not rows_PD.shape[0]:
        return rows_PD
    local_E = torch.full((int(share.mine.max()) + 2,), -1, dtype=torch.long)
    local_E[share.mine] = torch.arange(share.mine.numel())
    used_PK = ids_PK >= 0
    local_PK = local_E[ids_PK.clamp_min(0)].clamp_min(0)
    return swiglu_experts(rows_PD, local_PK, weight_PK, share.gate_up, share.down, used_PK)
