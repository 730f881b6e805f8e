"""A run as a whole: what was asked for, what the laboratory contributed, and all records together. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sovereign.records.claim import Check, Claim, Ruling
from sovereign.records.draft import Draft, Qualifier, Wording
from sovereign.records.paper import Admission, Document, Reading, SearchRecord
from sovereign.records.quality import QualityRecord
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
    untried: tuple[tuple[str, str], ...] = ()  # (claim id, study) that could speak to the claim's system and was not looked at


@dataclass(frozen=True)
class Request:
    """What was asked, and everything that changes the answer. Stored with the run."""

    question: str
    sources: tuple[str, ...]
    names: dict[str, str] = field(default_factory=dict)  # known names that stand in the question
    lab: str = "off"
    lab_budget_s: float = 1800.0
    model: str = ""
    reviewers: tuple[str, ...] = ()  # further models that review beside `model`; the same name again is another seed
    entailment: str = "off"  # whether the pair model judges beside the slots
    max_admitted: int = 12
    max_claims: int = 24
    results_per_query: int = 20
    revision_rounds: int = 2


@dataclass(frozen=True)
class Spent:
    """What a run's models took until the policy decided. Money in US dollars: `cost_usd` None when a price is not known, `at_most_usd` with a ceiling then."""

    models: tuple[str, ...] = ()
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = 0.0
    at_most_usd: float = 0.0
    estimated: bool = False  # an endpoint did not say; tokens were counted from characters


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
    quality: QualityRecord | None = None
    spent: Spent = Spent()
    wording: Wording | None = None  # None without a model
    qualifiers: tuple[Qualifier, ...] = ()  # what revisions added to sentences
