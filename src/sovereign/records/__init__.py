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
from sovereign.records.draft import Coverage, Draft, Figure, Qualifier, Section, Sentence, SentenceKind, Table, Wording
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
from sovereign.records.ruling import Act, Agreement, Decision, Finding, Hearing, PolicyDecision, Review, Role, RoleAgreement, Severity
from sovereign.records.run import Executed, Finished, Foreseen, Request, Spent
from sovereign.records.trial import GateVerdict, Measurement, Prediction, Scale, Statement, StudyInfo, Trial, TrialState

__all__ = [
    "Act", "Admission", "Agreement", "Basis", "Check", "Claim", "ClaimSet", "ComparisonKey", "Coverage", "Decision", "Direction", "Document", "Draft",
    "Empty", "Evidence", "Executed", "Facet", "FacetKind", "Failed", "Figure", "Finding", "Finished", "Foreseen", "Found", "GateVerdict", "Hearing",
    "Judgement", "Level", "Measurement", "Paper", "PaperKind", "Passage", "PassageKind", "PolicyDecision", "Prediction", "Qualifier", "Query", "Question",
    "Reading", "Reference", "Relation", "Request", "Review", "Role", "RoleAgreement", "Ruling", "Scale", "SearchOutcome", "SearchRecord", "Section", "Sentence",
    "SentenceKind", "Severity", "Slots", "Span", "Spent", "Stance", "State", "Statement", "StudyInfo", "Table", "TableRow", "Trial", "TrialState", "Unread",
    "Value", "Verdict", "Wording",
]  # fmt: skip
