"""What a role sees, and how its findings become a score. Imports records; refuses to find anything itself.

The rule: a role starts at 10; a blocking finding takes 4, a major one 2, a minor one 0.5, a note nothing; one kind of finding counts once, however
many sentences it names; never below 0. The panel's score is the mean of the three roles, and never above 6.0 while any finding is blocking: a draft
with a blocking finding cannot be approved, whatever else is good about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sovereign.kernel.tribunal import wording
from sovereign.records import (
    Admission,
    Claim,
    Document,
    Draft,
    Finding,
    Qualifier,
    Question,
    Reading,
    Review,
    Role,
    Ruling,
    SearchRecord,
    Sentence,
    SentenceKind,
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
    reworded: frozenset[str] = field(
        default_factory=frozenset
    )  # claim ids whose sentences a model worded; the extractive sentence is the way back
    qualifiers: Mapping[str, Qualifier] = field(default_factory=dict)  # claim id -> what a revision added to its sentences


def sentences_of(draft: Draft) -> list[Sentence]:
    """Abstract first, then the sections in order."""
    return [*draft.abstract, *(s for section in draft.sections for s in section.sentences)]


def said_otherwise(d: Dossier) -> list[tuple[Sentence, list[wording.Difference]]]:
    """Sentences with claims behind them, and how they differ from those claims."""
    claims = {c.claim_id: c for c in d.claims}
    rulings = {r.claim_id: r for r in d.rulings}
    papers = {a.paper.paper_id: a.paper for a in d.admissions}
    out = []
    for s in sentences_of(d.draft):
        own = [claims[c] for c in s.claims if c in claims]
        if not own or s.kind is SentenceKind.FRAME:
            continue
        cited = [papers[p] for p in dict.fromkeys([*s.citations, *(c.paper_id or "" for c in own)]) if p in papers]
        reasons = [rulings[c.claim_id].reason.rstrip(".") for c in own if c.claim_id in rulings]
        reasons += [d.qualifiers[c.claim_id].printed for c in own if c.claim_id in d.qualifiers]
        if found := wording.differences(s, own, cited, reasons):
            out.append((s, found))
    return out


def steers(text: str, document: Document) -> bool:
    """Whether a reader marked this text as an attempt to steer a machine."""
    mine = re.sub(r"\W+", "", text.lower())
    marked = (re.sub(r"\W+", "", s.split("“", 1)[-1].lower())[:100] for s in document.suspicious)
    return any(m and len(m) >= 12 and (m in mine or mine in m) for m in marked)


RoleFunction = Callable[[Dossier], Sequence[Finding]]


def review(role: Role, find: RoleFunction, dossier: Dossier) -> Review:
    """A role's findings, worst first, and its score."""
    order = list(Severity)
    findings = tuple(sorted(find(dossier), key=lambda f: (order.index(f.severity), f.kind, f.targets)))
    return Review(role, score_of(findings), findings)


# Among findings of one severity these come first: answering the question, with the system it names, is a gate, not a dimension.
GATE = (
    "question_not_answered",
    "named_system_missing",
    "coverage_not_carried",
    "nothing_grounded",
    "contradicted_claim_kept",
    "unsupported_sentence",
)


def ranked(reviews: Sequence[Review]) -> tuple[Finding, ...]:
    """All findings of a hearing as the owner should read them: worst first, gates before the rest, then by role and kind."""
    order, roles = list(Severity), list(Role)
    gate = {kind: n for n, kind in enumerate(GATE)}

    def place(f: Finding) -> tuple[int, int, int, str]:
        return order.index(f.severity), gate.get(f.kind, len(GATE)), roles.index(f.role), f.kind

    return tuple(sorted((f for r in reviews for f in r.findings), key=place))


def score_of(findings: Sequence[Finding]) -> float:
    worst: dict[str, float] = {}
    for finding in findings:
        worst[finding.kind] = max(worst.get(finding.kind, 0.0), POINTS[finding.severity])
    return round(max(0.0, 10.0 - sum(worst.values())), 2)


def panel_score(reviews: Sequence[Review]) -> float:
    mean = sum(r.score for r in reviews) / len(reviews)
    blocked = any(f.severity is Severity.BLOCKING for r in reviews for f in r.findings)
    return round(min(mean, CAP_WHEN_BLOCKED) if blocked else mean, 2)
