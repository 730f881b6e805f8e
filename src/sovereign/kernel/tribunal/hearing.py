"""One hearing: three roles on the same dossier, blind to each other, then the panel's decision. Imports the roles; refuses to change the draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sovereign.kernel.tribunal import qualify, skeptic, synthesizer, validator
from sovereign.kernel.tribunal.record import APPROVE_AT, Dossier, panel_score, ranked, review, sentences_of
from sovereign.records import Act, Agreement, Finding, Hearing, Qualifier, Review, Role, Severity

ROLES = {Role.SKEPTIC: skeptic.attack, Role.VALIDATOR: validator.check, Role.SYNTHESIZER: synthesizer.judge}


@dataclass(frozen=True)
class Remedy:
    """What a revision can still do about the findings. Empty when nothing can be improved any more.

    drop: claims to take out. requery: facets to search for again. restore: claims whose sentence a model worded, to be put back into the claim's own words.
    requalify: claim id -> words of its own document to print with it. contest: claims to show with what stands against them. trial: claims of which a
    finding asks for a trial and for which the laboratory has one that this run did not look at yet.
    """

    drop: frozenset[str]
    requery: tuple[str, ...]
    restore: frozenset[str] = frozenset()
    requalify: Mapping[str, Qualifier] = field(default_factory=dict)
    contest: frozenset[str] = frozenset()
    trial: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.drop or self.requery or self.restore or self.requalify or self.contest or self.trial)


def remedy(findings: Sequence[Finding], dossier: Dossier, spent: frozenset[str], testable: frozenset[str] = frozenset()) -> Remedy:
    """`spent`: what was done already: dropped claims, facets searched for again, and "restore:", "requalify:", "contest:" or "trial:" with a claim's id;
    doing the same twice improves nothing. `testable`: claims that a trial not yet looked at could test."""
    claims, facets = {c.claim_id for c in dossier.claims}, [f.id for f in dossier.question.facets]
    drop = frozenset(t for f in findings if f.act is Act.DROP for t in f.targets if t in claims and t not in spent)
    asks = [f for f in findings if f.act is Act.REQUERY]
    wanted = {t for f in asks for t in (f.targets or facets)}
    rewrite = {t for f in findings if f.act is Act.REWRITE for t in f.targets}
    asked = [(f.kind, c) for f in findings if f.act is Act.REQUALIFY for c in _claims_of(f, dossier)]
    rewrite |= {
        s.sentence_id for s in sentences_of(dossier.draft) if {c for _, c in asked} & set(s.claims)
    }  # the claim's own words come first
    restore = frozenset(
        c
        for s in sentences_of(dossier.draft)
        if s.sentence_id in rewrite
        for c in s.claims
        if c in dossier.reworded and not {c, f"restore:{c}"} & spent
    )
    contest = frozenset(c for kind, c in asked if kind == "contested_shown_as_settled" and f"contest:{c}" not in spent)
    requalify = {c: q for kind, c in asked if c not in drop and f"requalify:{c}" not in spent and (q := _qualifier(kind, c, dossier))}
    trial = frozenset(t for f in findings if f.act is Act.TRIAL for t in f.targets if t in testable and f"trial:{t}" not in spent)
    return Remedy(drop, tuple(f for f in facets if f in wanted and f not in spent), restore, requalify, contest - drop, trial)


def _claims_of(finding: Finding, dossier: Dossier) -> list[str]:
    """The claims a finding is about, named themselves or by a sentence that states them."""
    known = {c.claim_id for c in dossier.claims}
    by_sentence = {s.sentence_id: [c for c in s.claims if c in known] for s in sentences_of(dossier.draft)}
    return list(dict.fromkeys(c for t in finding.targets for c in ([t] if t in known else by_sentence.get(t, []))))


def _qualifier(kind: str, claim_id: str, dossier: Dossier) -> Qualifier | None:
    claim = next(c for c in dossier.claims if c.claim_id == claim_id)
    document = dossier.documents.get(claim.span.doc_sha256) if claim.span else None
    if document is None or claim_id in dossier.qualifiers or kind == "contested_shown_as_settled":
        return None
    return qualify.of_kind(kind, claim, document)


def by_rule(dossier: Dossier) -> tuple[Review, ...]:
    """The three roles' reviews without a model; they see the same dossier and not each other."""
    return tuple(review(role, find, dossier) for role, find in ROLES.items())


def hold(
    dossier: Dossier,
    *,
    revision_round: int,
    rounds_left: int,
    acted: tuple[str, ...] = (),
    spent: frozenset[str] = frozenset(),
    reviews: tuple[Review, ...] | None = None,
    agreement: Agreement | None = None,
    testable: frozenset[str] = frozenset(),
) -> Hearing:
    """APPROVE at 6.5 without a blocking finding; below it REVISE while a round is left and something can still be done; else REJECT, saying why.

    `reviews`: those of a panel with a model (kernel.assist.review on top of by_rule); None for the rule's own. `agreement`: how far several models agree.
    """
    reviews = by_rule(dossier) if reviews is None else reviews
    score = panel_score(reviews)
    findings = [f for r in reviews for f in r.findings]
    blocked = any(f.severity is Severity.BLOCKING for f in findings)
    if score >= APPROVE_AT and not blocked:
        return Hearing(revision_round, reviews, score, "APPROVE", acted, agreement=agreement)
    possible = bool(remedy(findings, dossier, spent, testable))
    if possible and rounds_left > 0:
        return Hearing(revision_round, reviews, score, "REVISE", acted, agreement=agreement)
    return Hearing(revision_round, reviews, score, "REJECT", acted, _ended(reviews, possible, revision_round), agreement)


def _ended(reviews: Sequence[Review], possible: bool, rounds: int) -> str:
    """Why no revision follows a hearing that did not approve."""
    held = f"after {rounds} revision{'' if rounds == 1 else 's'}"
    worst = [f.kind for f in ranked(reviews) if f.severity in (Severity.BLOCKING, Severity.MAJOR)]
    open_ones = f"; still open: {', '.join(dict.fromkeys(worst[:4]))}" if worst else ""
    if possible:
        return f"no revision round is left {held}{open_ones}"
    return f"nothing more can be improved {held}: every remedy for the findings was tried, or there is none{open_ones}"
