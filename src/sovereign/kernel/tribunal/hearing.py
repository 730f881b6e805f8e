"""One hearing: three roles on the same dossier, blind to each other, then the panel's decision. Imports the roles; refuses to change the draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sovereign.kernel.tribunal import skeptic, synthesizer, validator
from sovereign.kernel.tribunal.record import APPROVE_AT, Dossier, panel_score, review, sentences_of
from sovereign.records import Act, Finding, Hearing, Review, Role, Severity

ROLES = {Role.SKEPTIC: skeptic.attack, Role.VALIDATOR: validator.check, Role.SYNTHESIZER: synthesizer.judge}


@dataclass(frozen=True)
class Remedy:
    """What a revision can still do about the findings: claims to take out, facets to search for again, sentences to put back into the claim's own words.

    `trial` names claims for which a finding asks for a trial; it is a request to the laboratory, not an act of the revision, and does not count as one.
    """

    drop: frozenset[str]
    requery: tuple[str, ...]
    restore: frozenset[str] = frozenset()
    trial: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.drop or self.requery or self.restore)


def remedy(findings: Sequence[Finding], dossier: Dossier, spent: frozenset[str]) -> Remedy:
    """`spent`: claims already dropped and facets already searched for again; doing the same twice improves nothing."""
    claims, facets = {c.claim_id for c in dossier.claims}, [f.id for f in dossier.question.facets]
    drop = frozenset(t for f in findings if f.act is Act.DROP for t in f.targets if t in claims and t not in spent)
    asks = [f for f in findings if f.act is Act.REQUERY]
    wanted = {t for f in asks for t in (f.targets or facets)}
    rewrite = {t for f in findings if f.act is Act.REWRITE for t in f.targets}
    restore = frozenset(
        c for s in sentences_of(dossier.draft) if s.sentence_id in rewrite for c in s.claims if c in dossier.reworded and c not in spent
    )
    trial = frozenset(t for f in findings if f.act is Act.TRIAL for t in f.targets if t in claims)
    return Remedy(drop, tuple(f for f in facets if f in wanted and f not in spent), restore, trial)


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
) -> Hearing:
    """APPROVE at 6.5 without a blocking finding; below it REVISE while a round is left and something can still be done; else REJECT.

    `reviews`: those of a panel with a model (kernel.assist.review on top of by_rule); None for the rule's own.
    """
    reviews = by_rule(dossier) if reviews is None else reviews
    score = panel_score(reviews)
    findings = [f for r in reviews for f in r.findings]
    blocked = any(f.severity is Severity.BLOCKING for f in findings)
    if score >= APPROVE_AT and not blocked:
        decision = "APPROVE"
    elif rounds_left > 0 and remedy(findings, dossier, spent):
        decision = "REVISE"
    else:
        decision = "REJECT"
    return Hearing(revision_round, reviews, score, decision, acted)
