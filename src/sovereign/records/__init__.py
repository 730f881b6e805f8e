"""Frozen dataclasses that cross stations; nothing else does. Imports the standard library only."""

from sovereign.records.claim import (
    Check,
    Claim,
    ClaimSet,
    ComparisonKey,
    Direction,
    Evidence,
    Judgement,
    Level,
    Relation,
    Ruling,
    Slots,
    Span,
    Stance,
    State,
    Value,
    Verdict,
)
from sovereign.records.draft import Coverage, Draft, Figure, Section, Sentence, SentenceKind, Table
from sovereign.records.paper import (
    Admission,
    Basis,
    Document,
    Empty,
    Failed,
    Found,
    Paper,
    PaperKind,
    Passage,
    PassageKind,
    Reading,
    Reference,
    SearchOutcome,
    SearchRecord,
    TableRow,
    Unread,
)
from sovereign.records.question import Facet, FacetKind, Query, Question
from sovereign.records.ruling import Act, Decision, Finding, Hearing, PolicyDecision, Review, Role, Severity
from sovereign.records.run import Executed, Finished, Foreseen, Request
from sovereign.records.trial import GateVerdict, Measurement, Prediction, Scale, Statement, StudyInfo, Trial, TrialState

__all__ = [
    "Act", "Admission", "Basis", "Check", "Claim", "ClaimSet", "ComparisonKey", "Coverage", "Decision", "Direction", "Document", "Draft",
    "Empty", "Evidence", "Executed", "Facet", "FacetKind", "Failed", "Figure", "Finding", "Finished", "Foreseen", "Found", "GateVerdict", "Hearing",
    "Judgement", "Level", "Measurement", "Paper", "PaperKind", "Passage", "PassageKind", "PolicyDecision", "Prediction", "Query", "Question", "Reading",
    "Reference", "Relation", "Request", "Review", "Role", "Ruling", "Scale", "SearchOutcome", "SearchRecord", "Section", "Sentence", "SentenceKind",
    "Severity", "Slots", "Span", "Stance", "State", "Statement", "StudyInfo", "Table", "TableRow", "Trial", "TrialState", "Unread", "Value",
    "Verdict",
]  # fmt: skip
