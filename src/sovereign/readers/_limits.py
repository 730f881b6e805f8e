"""How much a document may cost. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES = 4096


@dataclass(frozen=True)
class ReadLimits:
    """timeout_s wall time and memory_mib address space of the child, max_bytes of the body (also after unpacking an archive),
    max_pages read of a PDF, max_output_chars of the document's text."""

    timeout_s: float = 60.0
    memory_mib: int = 2048
    max_bytes: int = 64 * 2**20
    max_pages: int = 400
    max_output_chars: int = 5_000_000
