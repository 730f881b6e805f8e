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
class Hearing:
    revision_round: int
    reviews: tuple[Review, ...]
    score: float
    decision: str  # APPROVE | REVISE | REJECT
    acted: tuple[str, ...] = ()  # what the revision before this hearing did


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
