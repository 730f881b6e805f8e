"""The quality record of a draft: eight dimensions and one tier. Standard library only; refuses to assess."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class QualityLevel(StrEnum):
    UNASSESSED = "UNASSESSED"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class Tier(StrEnum):
    """Disjoint bands; docs/tribunal.md has the table."""

    FLAGSHIP_CANDIDATE = "FLAGSHIP_CANDIDATE"
    DOI_GRADE = "DOI_GRADE"
    PUBLIC_RECORD = "PUBLIC_RECORD"
    WATCHLIST = "WATCHLIST"
    QUARANTINE_CANDIDATE = "QUARANTINE_CANDIDATE"


@dataclass(frozen=True)
class Dimension:
    """One dimension. `score` is 0..10, None exactly when the level is UNASSESSED; `basis` says from what it was computed, or why it was not."""

    key: str  # "D-1" ... "D-8"
    name: str
    score: float | None
    level: QualityLevel
    basis: str


@dataclass(frozen=True)
class QualityRecord:
    """All eight dimensions, always; `tier` is None when nothing was heard."""

    dimensions: tuple[Dimension, ...]
    tier: Tier | None
    verified_count: int  # from the verifier only
    why: str
