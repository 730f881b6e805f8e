"""The draft: every sentence bound to claims. Standard library only; refuses to render."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sovereign.records.claim import Span


class SentenceKind(StrEnum):
    CLAIM = "claim"  # states what the evidence says; must name claim ids or trial ids
    FRAME = "frame"  # says what this draft or this run did; must not state a finding
    GAP = "gap"  # says what was not answered


@dataclass(frozen=True)
class Sentence:
    sentence_id: str
    text: str
    kind: SentenceKind
    claims: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()  # paper_ids, in order
    lead: str = ""  # a run-in heading such as "Throughput"; not part of the sentence


@dataclass(frozen=True)
class Table:
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    caption: str
    path: str  # inside the run folder
    trial_id: str


@dataclass(frozen=True)
class Section:
    title: str
    sentences: tuple[Sentence, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Coverage:
    """Whether one facet is answered, and with what. `why_not` is set exactly when it is not."""

    facet: str
    answered: bool
    by: tuple[str, ...] = ()
    why_not: str = ""


@dataclass(frozen=True)
class Qualifier:
    """Words of a claim's own document that are printed with the claim. `how` introduces the quote; `span` says where the words stand."""

    claim_id: str
    how: str
    span: Span

    @property
    def printed(self) -> str:
        """As it stands in a sentence, in round brackets."""
        inner = " ".join(self.span.quote.split()).rstrip(".").replace("“", "‘").replace("”", "’").replace('"', "’")
        return f"{self.how}: “{inner}”"


@dataclass(frozen=True)
class Wording:
    """What became of a model's sentences. kept: claim id -> the new sentence. refused: (claim id, what was offered, why the claim's own words stay)."""

    asked: int  # how many claims' sentences the model was given
    kept: dict[str, str]
    refused: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Draft:
    title: str
    abstract: tuple[Sentence, ...]
    sections: tuple[Section, ...]
    coverage: tuple[Coverage, ...]
    references: tuple[str, ...]  # paper_ids in order of number
    stamp: str = "Autonomous draft — owner review required before publication"
