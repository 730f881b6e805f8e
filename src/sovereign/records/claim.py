"""Claims, their slots, and what verification said about them. Standard library only; refuses to judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from sovereign.records.paper import Basis


class Direction(StrEnum):
    UP = "up"  # rises, higher, more, faster-as-quantity
    DOWN = "down"  # falls, lower, fewer
    SAME = "same"  # unchanged, comparable
    NONE = "none"  # states a value without a direction


class Relation(StrEnum):
    EQUAL = "="
    ABOUT = "~"
    AT_MOST = "<="
    AT_LEAST = ">="
    UP_TO = "up_to"  # a maximum over settings, not a bound on each
    BETWEEN = "between"


@dataclass(frozen=True)
class Value:
    """One quantity as written and as understood.

    low/high: the value in the canonical unit (equal for a point value). raw: as written, with its unit.
    unit: canonical unit name ("percent", "points", "ratio", "second", "byte", "count", "token/second", "" for none).
    spread: half-width of a stated "±", same unit. decimals: digits after the point as written (rounding tolerance), None for words.
    start/end: offsets in the sentence.
    """

    raw: str
    low: float
    high: float
    unit: str
    relation: Relation = Relation.EQUAL
    spread: float | None = None
    decimals: int | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Slots:
    """What one statement says, taken apart. Empty tuple or None means: the statement does not say.

    subject: the named systems the statement is about, as written. comparator: what it is compared with.
    condition: qualifying settings ("batch size 8", "MMMU", "OLMoE", "2 Jetson Orin"), as written.
    """

    subject: tuple[str, ...] = ()
    metric: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    comparator: tuple[str, ...] = ()
    direction: Direction = Direction.NONE
    condition: tuple[str, ...] = ()
    negated: bool = False
    hedge: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class ComparisonKey:
    """Two claims may be compared only when their keys are equal. All parts are normalised, lower case, sorted."""

    subject: str
    metric: str
    condition: str


@dataclass(frozen=True)
class Span:
    """Where a claim stands: offsets into the text with this hash."""

    doc_sha256: str
    start: int
    end: int
    quote: str
    paper_id: str = ""
    section: str = ""


@dataclass(frozen=True)
class Claim:
    """One checkable statement; `text` is never cut. `answers` are facet ids the claim speaks to."""

    claim_id: str
    text: str
    slots: Slots
    key: ComparisonKey | None = None
    span: Span | None = None  # where it was extracted; None for a person's own claim
    paper_id: str | None = None
    answers: tuple[str, ...] = ()
    relevance: float | None = None


class Verdict(StrEnum):
    SUPPORTED = "SUPPORTED"  # one passage says it: same subject, metric, value, unit, direction, condition
    QUALIFIED = "QUALIFIED"  # right core, wrong or missing qualifier; the reason says which
    CONTRADICTED = "CONTRADICTED"  # the passage says otherwise; both sides are quoted
    NOT_FOUND = "NOT_FOUND"  # no passage speaks of it; the basis says whether full text or only an abstract was looked at
    NOT_CHECKABLE = "NOT_CHECKABLE"  # an opinion, a question, or too vague to be checked
    UNRESOLVED = "UNRESOLVED"  # the verifier abstains; escalates


class Level(IntEnum):
    L0_RECORDED = 0  # written down; no source was held against it
    L1_CITED = 1  # a source was held against it and does not carry it
    L2_GROUNDED = 2  # a span of a source says it
    L3_CORROBORATED = 3  # two independent sources say it: no shared author, neither cites the other, not a note and its paper
    L4_INSPECTED = 4  # the artifact behind it was looked at; no station gives this level yet
    L5_EXECUTED = 5  # our own trial agrees: a conceptual replication
    L6_REPRODUCED = 6  # our own trial with the same model and data agrees within tolerance
    L7_REVIEWED = 7  # reviewed from outside, signed by a person; no station gives this level yet

    @property
    def label(self) -> str:
        return f"L{self.value}"


class Stance(StrEnum):
    SUPPORTS = "SUPPORTS"
    REFUTES = "REFUTES"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True)
class Evidence:
    """A passage or a trial and how it stands to the claim. Exactly one of span and trial_id is set."""

    stance: Stance
    span: Span | None = None
    trial_id: str | None = None
    probability: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Judgement:
    """What one verifier said. `slot` names what decided (number, unit, direction, negation, subject, comparator, condition, hedge, scope)."""

    verifier: str
    version: str
    verdict: Verdict
    reason: str
    probability: float | None = None  # of the claim being supported by the source
    slot: str | None = None
    spans: tuple[Span, ...] = ()


class State(StrEnum):
    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_RUN = "NOT_RUN"  # with its reason; where the gate needs the check, the draft is degraded


@dataclass(frozen=True)
class Check:
    """One named check. NOT_RUN always carries its reason; a denominator belongs into the reason."""

    name: str
    state: State
    reason: str = ""


@dataclass(frozen=True)
class Ruling:
    """The combined verdict on one claim; every single judgement is kept."""

    claim_id: str
    verdict: Verdict
    level: Level
    reason: str
    probability: float | None = None
    basis: Basis | None = None
    evidence: tuple[Evidence, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    checks: tuple[Check, ...] = ()
    contested_by: tuple[str, ...] = ()  # claim ids with an equal key and a disjoint value
    verifier: str = ""  # name/version of the combination rule


@dataclass(frozen=True)
class ClaimSet:
    """What the claims station hands on. `dropped`: (text, reason) of statements looked at and not taken."""

    claims: tuple[Claim, ...]
    dropped: tuple[tuple[str, str], ...] = field(default=())
