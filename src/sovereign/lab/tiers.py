"""The slow tier: experts in a disk file that is read past the page cache, or in pinned host memory; and what its link really does.

Imports errors, numpy and torch. Refuses a store whose bytes are not those it was built from, and a disk that cannot hold them.
One record per expert: gate_up (2F, D) then down (D, F), padded to 4096 bytes, so that O_DIRECT may read it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import mmap
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from sovereign.errors import LabInput, NotFound, TrialFailed

PAGE = 4096
SAMPLE = 65536  # bytes of every expert that are compared with the model's own when a store is opened for it


@dataclass(frozen=True)
class Layout:
    """Shapes of one expert. nbytes: its weights; record: its padded place in the file."""

    layers: int
    experts: int
    width: int
    ffn: int
    dtype: torch.dtype

    @property
    def numel(self) -> int:
        return 3 * self.width * self.ffn

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize

    @property
    def record(self) -> int:
        return -(-self.nbytes // PAGE) * PAGE

    @property
    def total(self) -> int:
        return self.layers * self.experts

    def views(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """gate_up (2F, D) and down (D, F) of a flat expert (numel,), without a copy."""
        cut = 2 * self.ffn * self.width
        return flat[:cut].view(2 * self.ffn, self.width), flat[cut : self.numel].view(self.width, self.ffn)


def layout_of(model: Any) -> Layout:
    """Raises LabInput for a model whose layers hold no stacked experts."""
    try:
        stacked = model.layers[0].moe.experts.gate_up
    except AttributeError as exc:
        raise LabInput("The model has no stacked experts to move to a slow tier.", mend="Use the lab's decoder.") from exc
    experts, doubled, width = stacked.shape
    return Layout(len(model.layers), experts, width, doubled // 2, stacked.dtype)


def flat_expert(model: Any, layer: int, expert: int) -> Tensor:
    """One expert's weights as a flat CPU tensor (numel,)."""
    held = model.layers[layer].moe.experts
    return torch.cat((held.gate_up[expert].detach().reshape(-1), held.down[expert].detach().reshape(-1))).cpu()


class SlowTier(Protocol):
    """Where experts lie when they are not resident. `fetch` is called from the copying thread only."""

    layout: Layout
    name: str

    def fetch(self, expert: int, into: Tensor) -> None:
        """Copies expert (flat id) into a flat fast-tier slot (numel,). Raises TrialFailed when it cannot."""
        ...

    def close(self) -> None: ...


def write_store(model: Any, folder: Path) -> Path:
    """Writes experts.bin and experts.json (layout, sha256 of every expert, size, mtime). Raises TrialFailed when the disk is full."""
    layout = layout_of(model)
    folder.mkdir(parents=True, exist_ok=True)
    free, wanted = shutil.disk_usage(folder).free, layout.record * layout.total
    if free < wanted:
        raise TrialFailed(
            f"The slow tier needs {wanted} bytes in {folder.name} but {free} are free.", mend="Free space or choose another folder."
        )
    path, digests = folder / "experts.bin", []
    padding = b"\0" * (layout.record - layout.nbytes)
    try:
        with path.open("wb") as out:
            for layer in range(layout.layers):
                for expert in range(layout.experts):
                    body = _bytes(flat_expert(model, layer, expert))
                    digests.append(hashlib.sha256(body).hexdigest())
                    out.write(body)
                    out.write(padding)
            out.flush()
            os.fsync(out.fileno())
    except OSError as exc:
        path.unlink(missing_ok=True)
        why = "the disk is full" if exc.errno == errno.ENOSPC else str(exc)
        raise TrialFailed(f"The slow tier could not be written: {why}.", mend="Free space or choose another folder.") from exc
    status = path.stat()
    shape = {"layers": layout.layers, "experts": layout.experts, "width": layout.width, "ffn": layout.ffn}
    held = {**shape, "dtype": str(layout.dtype), "sha256": digests, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    (folder / "experts.json").write_text(json.dumps(held), encoding="utf-8")
    return path


def _bytes(flat: Tensor) -> bytes:
    return flat.contiguous().view(torch.uint8).numpy().tobytes()


class DiskTier:
    """experts.bin read with O_DIRECT into an aligned buffer; where that is refused, normally with the pages dropped after each read.

    Raises NotFound without a store, LabInput for a store of another model or changed weights.
    """

    name = "disk"

    def __init__(self, folder: Path, model: Any | None = None):
        self.path = folder / "experts.bin"
        if not self.path.is_file() or not (folder / "experts.json").is_file():
            raise NotFound(f"There is no expert store in {folder}.", mend="Write one with write_store.")
        held = json.loads((folder / "experts.json").read_text(encoding="utf-8"))
        dtype = getattr(torch, held["dtype"].removeprefix("torch."))
        self.layout = Layout(held["layers"], held["experts"], held["width"], held["ffn"], dtype)
        self.digests: list[str] = held["sha256"]
        self._identity = (held["size"], held["mtime_ns"])
        if model is not None:
            self._check_model(model)
        self.direct = True
        flags = os.O_RDONLY | getattr(os, "O_DIRECT", 0)
        try:
            self._fd = os.open(self.path, flags)
        except OSError:
            self.direct = False
            self._fd = os.open(self.path, os.O_RDONLY)
        self._buffer = mmap.mmap(-1, self.layout.record)
        self._flat = torch.frombuffer(self._buffer, dtype=torch.uint8)[: self.layout.nbytes].view(dtype)
        self._check_unchanged()

    def _check_model(self, model: Any) -> None:
        if layout_of(model) != self.layout or len(self.digests) != self.layout.total:
            raise LabInput("The expert store was written for another model.", mend="Write it again.")
        for layer in range(self.layout.layers):
            for expert in range(self.layout.experts):
                body = _bytes(flat_expert(model, layer, expert))
                if hashlib.sha256(body).hexdigest() != self.digests[layer * self.layout.experts + expert]:
                    raise LabInput(
                        f"The weights of expert {expert} in layer {layer} changed after the store was written.", mend="Write it again."
                    )

    def _check_unchanged(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError as exc:
            raise TrialFailed("The expert store disappeared while it was in use.", mend="Write it again.") from exc
        if (status.st_size, status.st_mtime_ns) != self._identity:
            raise LabInput("The expert store was changed after it was written (size or time differ).", mend="Write it again.")

    def fetch(self, expert: int, into: Tensor) -> None:
        self._check_unchanged()
        start = expert * self.layout.record
        try:
            self._read(start)
        except OSError as exc:
            raise TrialFailed(f"Expert {expert} could not be read from the slow tier: {exc}.", mend="Check the disk.") from exc
        into.copy_(self._flat)

    def _read(self, start: int) -> None:
        view = memoryview(self._buffer)
        got = 0
        while got < self.layout.record:
            try:
                n = os.preadv(self._fd, [view[got:]], start + got)
            except OSError as exc:
                if self.direct and exc.errno == errno.EINVAL:
                    os.close(self._fd)
                    self.direct, self._fd = False, os.open(self.path, os.O_RDONLY)
                    continue
                raise
            if n <= 0:
                raise OSError(errno.EIO, "the store is shorter than its layout")
            got += n
        if not self.direct and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._fd, start, self.layout.record, os.POSIX_FADV_DONTNEED)

    def verify(self, expert: int) -> bool:
        """Whether the expert on disk has the bytes it was written with."""
        out = torch.empty(self.layout.numel, dtype=self.layout.dtype)
        self.fetch(expert, out)
        return hashlib.sha256(_bytes(out)).hexdigest() == self.digests[expert]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)
        del self._flat
        with contextlib.suppress(BufferError):
            self._buffer.close()


class HostTier:
    """Experts in host memory, pinned where the fast tier is a GPU. `delay_s_per_byte` slows a copy down to a declared bandwidth (CPU only)."""

    name = "host"

    def __init__(self, model: Any, *, pinned: bool = False, bandwidth: float | None = None):
        if bandwidth is not None and not bandwidth > 0.0:
            raise LabInput(f"A link of {bandwidth:g} bytes/s never delivers an expert.", mend="Give a bandwidth above 0.")
        self.layout = layout_of(model)
        self.bandwidth = bandwidth
        self.flat = torch.empty(self.layout.total, self.layout.numel, dtype=self.layout.dtype, pin_memory=pinned)
        cut = 2 * self.layout.ffn * self.layout.width
        for i, block in enumerate(model.layers):
            held, rows = block.moe.experts, slice(i * self.layout.experts, (i + 1) * self.layout.experts)
            self.flat[rows, :cut] = held.gate_up.detach().reshape(self.layout.experts, -1).to("cpu")
            self.flat[rows, cut:] = held.down.detach().reshape(self.layout.experts, -1).to("cpu")

    def fetch(self, expert: int, into: Tensor) -> None:
        start = time.perf_counter()
        into.copy_(self.flat[expert], non_blocking=into.is_cuda)
        if self.bandwidth is not None and not into.is_cuda:
            rest = self.layout.nbytes / self.bandwidth - (time.perf_counter() - start)
            if rest > 0:
                time.sleep(rest)

    def close(self) -> None:
        self.flat = torch.empty(0)


def measure_link(tier: SlowTier, device: torch.device, repeats: int = 20) -> tuple[float, float]:
    """(bytes/s, seconds per expert) of copying experts into a slot of the fast tier, median of `repeats` different experts."""
    slot = torch.empty(tier.layout.numel, dtype=tier.layout.dtype, device=device)
    times = []
    for i in range(repeats + 2):
        begin = time.perf_counter()
        tier.fetch((i * 7919) % tier.layout.total, slot)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    middle = sorted(times[2:])[repeats // 2]
    return tier.layout.nbytes / middle, middle
