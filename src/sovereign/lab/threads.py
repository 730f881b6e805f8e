"""One thread per process while the lab computes on a CPU. Imports torch. Refuses to leave the process changed.

More than one thread on a busy machine made small products 10 to 100 times slower here, and sums over threads are not repeatable to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(device: str = "cpu") -> Iterator[None]:
    """Sets torch to one thread on the CPU and back; on other devices it does nothing."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
