"""What a role sees, and how its findings become a score. Imports records; refuses to find anything itself.

The rule: a role starts at 10; a blocking finding takes 4, a major one 2, a minor one 0.5, a note nothing; one kind of finding counts once, however
many sentences it names; never below 0. The panel's score is the mean of the three roles, and never above 6.0 while any finding is blocking: a draft
with a blocking finding cannot be approved, whatever else is good about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sovereign.records import (
    Admission,
    Claim,
    Document,
    Draft,
    Finding,
    Question,
    Reading,
    Review,
    Role,
    Ruling,
    SearchRecord,
    Sentence,
    Severity,
    Trial,
)

POINTS = {Severity.BLOCKING: 4.0, Severity.MAJOR: 2.0, Severity.MINOR: 0.5, Severity.NOTE: 0.0}
APPROVE_AT = 6.5
CAP_WHEN_BLOCKED = 6.0


@dataclass(frozen=True)
class Dossier:
    """Everything a role may look at. `documents`: text hash -> document."""

    question: Question
    draft: Draft
    claims: tuple[Claim, ...]
    rulings: tuple[Ruling, ...]
    admissions: tuple[Admission, ...]
    readings: tuple[Reading, ...]
    searches: tuple[SearchRecord, ...]
    documents: Mapping[str, Document]
    trials: tuple[Trial, ...] = ()
    absences: frozenset[str] = field(default_factory=frozenset)


def sentences_of(draft: Draft) -> list[Sentence]:
    """Abstract first, then the sections in order."""
    return [*draft.abstract, *(s for section in draft.sections for s in section.sentences)]


RoleFunction = Callable[[Dossier], Sequence[Finding]]


def review(role: Role, find: RoleFunction, dossier: Dossier) -> Review:
    """A role's findings, worst first, and its score."""
    order = list(Severity)
    findings = tuple(sorted(find(dossier), key=lambda f: (order.index(f.severity), f.kind, f.targets)))
    return Review(role, score_of(findings), findings)


def score_of(findings: Sequence[Finding]) -> float:
    worst: dict[str, float] = {}
    for finding in findings:
        worst[finding.kind] = max(worst.get(finding.kind, 0.0), POINTS[finding.severity])
    return round(max(0.0, 10.0 - sum(worst.values())), 2)


def panel_score(reviews: Sequence[Review]) -> float:
    mean = sum(r.score for r in reviews) / len(reviews)
    blocked = any(f.severity is Severity.BLOCKING for r in reviews for f in r.findings)
    return round(min(mean, CAP_WHEN_BLOCKED) if blocked else mean, 2)
