"""What the tribunal found and what the policy decided. Standard library only; refuses to score."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    SKEPTIC = "SKEPTIC"
    VALIDATOR = "VALIDATOR"
    SYNTHESIZER = "SYNTHESIZER"


class Severity(StrEnum):
    """Points that a finding takes off its role's ten are in docs/tribunal.md."""

    BLOCKING = "blocking"
    MAJOR = "major"
    MINOR = "minor"
    NOTE = "note"


class Act(StrEnum):
    """What a finding proposes to do."""

    NONE = "none"
    DROP = "drop"
    REQUALIFY = "requalify"
    REQUERY = "requery"
    TRIAL = "trial"
    REWRITE = "rewrite"
    TELL_OWNER = "tell_owner"


@dataclass(frozen=True)
class Finding:
    """One typed remark, tied to what it is about. `kind` is a stable code such as question_not_answered."""

    role: Role
    kind: str
    severity: Severity
    text: str
    targets: tuple[str, ...] = ()  # claim ids, sentence ids or facet ids
    act: Act = Act.NONE


@dataclass(frozen=True)
class Review:
    role: Role
    score: float  # 0..10, from the findings by the written rule
    findings: tuple[Finding, ...]
    by: str = "rubric/1"
    dissent: str = ""  # a model's score outside the rule's band is shown here, not adopted


@dataclass(frozen=True)
class RoleAgreement:
    """One role as several models or seeds saw it, in the order of Agreement.models. alpha None: not defined, because no finding varies between them."""

    role: Role
    scores: tuple[float, ...]  # 0..10, the written rule over the rule's findings and this model's
    own_scores: tuple[float, ...]  # 0..10, what each model itself would give
    spread: float  # largest minus smallest of `scores`
    alpha: float | None  # Krippendorff's, nominal, over the kinds of finding of this role


@dataclass(frozen=True)
class Agreement:
    """How far several models or seeds agree on one draft; None in a hearing with fewer than two.

    scores: the panel's score by each alone. flips: the decision would differ between them.
    """

    models: tuple[str, ...]
    scores: tuple[float, ...]
    spread: float
    alpha: float | None
    flips: bool
    roles: tuple[RoleAgreement, ...]


@dataclass(frozen=True)
class Hearing:
    revision_round: int
    reviews: tuple[Review, ...]
    score: float
    decision: str  # APPROVE | REVISE | REJECT
    acted: tuple[str, ...] = ()  # what the revision before this hearing did
    ended: str = ""  # why no further revision follows; empty when one does
    agreement: Agreement | None = None


class Decision(StrEnum):
    AUTO_APPROVE = "AUTO_APPROVE"  # into the owner's outbox; publishes nothing
    REVISE = "REVISE"  # back for a round that acts on the findings
    ESCALATE_TO_OWNER = "ESCALATE_TO_OWNER"  # waits for a person; also what no rule foresaw
    REJECT = "REJECT"  # must not leave as it is; the rule says why


@dataclass(frozen=True)
class PolicyDecision:
    decision: Decision
    rule: str
    reasons: tuple[str, ...]
    policy_sha256: str = ""
