"""Running a function on several ranks of this machine: start, watch, collect; a rank that dies is a clear error on all, never a hang.

Imports torch.distributed inside the ranks. Refuses more ranks than 8 and jobs that are not importable by name. Arrays travel as .npz, never pickled.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sovereign.errors import LabInput, TrialFailed

MOST_RANKS = 8
GRACE_S = 5.0  # how long survivors may take to notice and say so themselves


def run_ranks(
    job: str, ranks: int, folder: Path, *, arrays: Mapping[str, Any], timeout_s: float = 120.0, backend: str = "gloo"
) -> list[Any]:
    """Calls `module:function`(rank, ranks, arrays) -> JSON-able on every rank and returns the results in rank order.

    `folder` must exist; it gets job.npz, the rendezvous file, and result-<rank>.json or error-<rank>.txt. Raises LabInput for an impossible number of
    ranks, TrialFailed naming the first rank that died or the time limit; survivors are ended.
    """
    if not 1 <= ranks <= MOST_RANKS:
        raise LabInput(f"{ranks} ranks are outside 1 to {MOST_RANKS}.", mend="Use 1, 2 or 4.")
    for stale in (*folder.glob("result-*.json"), *folder.glob("error-*.txt"), folder / "rendezvous"):
        stale.unlink(missing_ok=True)
    stored: dict[str, Any] = {k: np.asarray(v) for k, v in arrays.items()}
    np.savez(folder / "job.npz", **stored)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_rank_main, args=(job, rank, ranks, str(folder), backend, timeout_s), daemon=True) for rank in range(ranks)
    ]
    for worker in workers:
        worker.start()
    try:
        _watch(workers, folder, timeout_s)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()
            worker.join()
    return [json.loads((folder / f"result-{rank}.json").read_text()) for rank in range(ranks)]


def _watch(workers: list[Any], folder: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    running = {w.sentinel: rank for rank, w in enumerate(workers)}
    first_bad: int | None = None
    while running:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        for sentinel in multiprocessing.connection.wait(list(running), timeout=left):
            rank = running.pop(sentinel)  # type: ignore[arg-type]
            workers[rank].join()
            if workers[rank].exitcode != 0 and first_bad is None:
                first_bad = rank
                deadline = min(deadline, time.monotonic() + GRACE_S)
    if first_bad is None and running:
        raise TrialFailed(
            f"{len(running)} of {len(workers)} ranks did not finish in {timeout_s:g} s.", mend="Raise the time limit or use fewer tokens."
        )
    if first_bad is not None:
        raise TrialFailed(_story(workers, folder), mend="The layer's outputs are not usable; run it again.")


def _story(workers: list[Any], folder: Path) -> str:
    """Who died and how, who noticed. A rank that left an error file failed; one without a word was killed."""
    said = {r: (folder / f"error-{r}.txt") for r in range(len(workers))}
    silent = [r for r, w in enumerate(workers) if w.exitcode not in (0, None) and not said[r].is_file()]
    parts = [f"Rank {r} of {len(workers)} died ({_exit(workers[r].exitcode)})" for r in silent]
    parts += [f"rank {r} stopped: {path.read_text().strip()}" for r, path in said.items() if path.is_file()]
    return "; ".join(parts) + "."


def _exit(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit {code}"


def _rank_main(job: str, rank: int, ranks: int, folder: str, backend: str, timeout_s: float) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    where = Path(folder)
    module, _, name = job.partition(":")
    with np.load(where / "job.npz", allow_pickle=False) as stored:
        arrays = {k: torch.from_numpy(stored[k]) for k in stored.files}
    try:
        dist.init_process_group(
            backend,
            init_method=f"file://{where / 'rendezvous'}",
            rank=rank,
            world_size=ranks,
            timeout=timedelta(seconds=timeout_s),
        )
        result = getattr(importlib.import_module(module), name)(rank, ranks, arrays)
        dist.barrier()
        dist.destroy_process_group()
    except (RuntimeError, OSError, LabInput) as error:  # torch.distributed reports a lost peer as RuntimeError (DistError)
        first = str(error).strip().splitlines()[0][:300]
        (where / f"error-{rank}.txt").write_text(f"another rank is gone or the exchange failed ({type(error).__name__}: {first})")
        raise SystemExit(3) from error
    (where / f"result-{rank}.json").write_text(json.dumps(result))
