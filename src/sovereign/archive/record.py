"""One published record as the archive gets it. Standard library and records only; refuses to look anything up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sovereign.records import Paper


@dataclass(frozen=True)
class Record:
    """body: draft.json as printed. level: lowest level among stated claims, None without any. gate_verdict: of attached trials.

    bundle: name -> bytes of the public bundle (printed files, ledger, blobs, signatures). flags: paper id -> flags found since it was read.
    """

    run_id: str
    published_at: str
    status: str  # CURRENT | CORRECTED | SUPERSEDED | REVOKED
    level: str | None
    gate_verdict: str
    body: Mapping[str, Any]
    papers: tuple[Paper, ...]
    corrections: tuple[Mapping[str, Any], ...]
    flags: Mapping[str, Sequence[str]]
    approval: Mapping[str, Any]
    fingerprint: str
    bundle: Mapping[str, bytes] = field(repr=False, default_factory=dict)
