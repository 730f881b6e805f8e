"""SOVEREIGN: an owner-gated research kernel. The public names only; each is imported when it is first used, so that importing the package is free."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sovereign.version import __version__

if TYPE_CHECKING:
    from sovereign.api import Result as Result
    from sovereign.api import ask as ask
    from sovereign.api import check as check
    from sovereign.api import verify as verify
    from sovereign.errors import SovereignError as SovereignError
    from sovereign.records import *  # noqa: F403

_API = ("Result", "ask", "check", "verify")
_RECORDS = (
    "Act", "Admission", "Agreement", "Basis", "Check", "Claim", "ClaimSet", "ComparisonKey", "Coverage", "Decision", "Direction", "Document", "Draft",
    "Empty", "Evidence", "Executed", "Facet", "FacetKind", "Failed", "Figure", "Finding", "Finished", "Foreseen", "Found", "GateVerdict", "Hearing",
    "Judgement", "Level", "Measurement", "Paper", "PaperKind", "Passage", "PassageKind", "PolicyDecision", "Prediction", "Qualifier", "Query", "Question",
    "Reading", "Reference", "Relation", "Request", "Review", "Role", "RoleAgreement", "Ruling", "Scale", "SearchOutcome", "SearchRecord", "Section", "Sentence",
    "SentenceKind", "Severity", "Slots", "Span", "Spent", "Stance", "State", "Statement", "StudyInfo", "Table", "TableRow", "Trial", "TrialState", "Unread",
    "Value", "Verdict", "Wording",
)  # fmt: skip
_HOME = {
    **dict.fromkeys(_API, "sovereign.api"),
    **dict.fromkeys(_RECORDS, "sovereign.records"),
    "SovereignError": "sovereign.errors",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'sovereign' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
