"""A run as a whole: what was asked for, what the laboratory contributed, and all records together. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sovereign.records.claim import Check, Claim, Ruling
from sovereign.records.draft import Draft
from sovereign.records.paper import Admission, Document, Reading, SearchRecord
from sovereign.records.question import Query, Question
from sovereign.records.ruling import Hearing, PolicyDecision
from sovereign.records.trial import GateVerdict, Prediction, Scale, Trial


@dataclass(frozen=True)
class Foreseen:
    """A trial before it is run: the study, its preset, and what was predicted. Sealed in the ledger by a step that closes before the run begins.

    tests: (claim id, index into `predictions`) for every claim that makes the statement which this prediction puts to the test.
    """

    study: str
    preset: str
    seconds: float  # what the study says it takes on two idle cores
    predictions: tuple[Prediction, ...] = ()
    tests: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Executed:
    """What the laboratory contributes to a run. bears_on: (trial id, facet ids); backs: (claim id, trial id, gate verdict, scale, statement)."""

    trials: tuple[Trial, ...] = ()
    bears_on: tuple[tuple[str, tuple[str, ...]], ...] = ()
    backs: tuple[tuple[str, str, GateVerdict, Scale, str], ...] = ()
    checks: tuple[Check, ...] = ()
    why: tuple[str, ...] = ()  # how studies were chosen, in plain words


@dataclass(frozen=True)
class Request:
    """What was asked, and everything that changes the answer. Stored with the run."""

    question: str
    sources: tuple[str, ...]
    names: dict[str, str] = field(default_factory=dict)  # known names that stand in the question
    lab: str = "off"
    lab_budget_s: float = 1800.0
    model: str = ""
    max_admitted: int = 12
    max_claims: int = 24
    results_per_query: int = 20
    revision_rounds: int = 2


@dataclass(frozen=True)
class Finished:
    """All records of a run up to the policy; what the press prints and scripts read."""

    run_id: str
    request: Request
    created_at: str
    question: Question
    queries: tuple[Query, ...]
    searches: tuple[SearchRecord, ...]
    admissions: tuple[Admission, ...]
    readings: tuple[Reading, ...]
    claims: tuple[Claim, ...]
    rulings: tuple[Ruling, ...]
    executed: Executed
    draft: Draft
    hearings: tuple[Hearing, ...]
    checks: tuple[Check, ...]
    decision: PolicyDecision
    documents: Mapping[str, Document]  # text hash -> document
