"""What the HTTP API takes and gives, as types: the records' own words, with sizes. Imports records, the door's limits and pydantic; refuses logic.

A request that has a field more, a field less or a wrong type is refused with the place. An answer has the fields of press/contract.py; a test holds
both equal.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sovereign.door import FORMATS, LONGEST_QUERY, LONGEST_TEXT, MOST_SOURCES, RUN_STATES
from sovereign.records import Basis, Check, Coverage, Decision, Stance, Verdict
from sovereign.store.agenda import STATES

T = TypeVar("T")
Short = Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY)]
Long = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Sources = Annotated[list[Name], Field(min_length=1, max_length=10, description="`about` lists the known ones; null: those of the settings")]
RunState = Annotated[str, Field(description=", ".join(RUN_STATES))]
Lab = Literal["off", "smoke", "standard", "gpu"]
Papers = Annotated[list[Name], Field(max_length=MOST_SOURCES, description="papers of the library, by the ids that a search gives")]


class Sent(BaseModel):
    """A request's body: nothing but its fields."""

    model_config = ConfigDict(extra="forbid")


class Text(Sent):
    """A source given as text."""

    id: Annotated[Name, Field(description="any name; comes back with the evidence")]
    text: Long


Texts = Annotated[list[Text], Field(max_length=MOST_SOURCES)]


class Asked(Sent):
    question: Short
    sources: Sources | None = None
    lab: Annotated[Lab | None, Field(description="null: that of the settings")] = None


class ToVerify(Sent):
    claim: Short
    texts: Texts = []
    papers: Papers = []


class ToCheck(Sent):
    text: Long
    texts: Texts = []
    papers: Papers = []


class Manuscript(Sent):
    text: Long
    format: Literal["markdown", "latex", "html", "text"] = "markdown"
    bib: Annotated[str, Field(max_length=LONGEST_TEXT, description="BibTeX; empty: what the manuscript itself prints")] = ""
    texts: Annotated[Texts, Field(description="the cited works; an id equal to a citation key is that work")] = []
    papers: Papers = []
    sources: Annotated[list[Name], Field(min_length=1, max_length=10, description="where cited works are looked up")] = ["local"]


class Wish(Sent):
    """A question for the agenda."""

    question: Short
    priority: Annotated[int, Field(ge=-1000, le=1000, description="higher is earlier")] = 0
    depends_on: Annotated[list[Name], Field(max_length=20, description="items that must be done first")] = []
    tags: Annotated[list[Name], Field(max_length=20)] = []
    sources: Sources | None = None
    lab: Annotated[Lab | None, Field(description="null: that of the settings")] = None
    budget_usd: Annotated[float | None, Field(ge=0, le=1000, allow_inf_nan=False, description="for models; null: that of the settings")] = (
        None
    )
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    again: Annotated[bool, Field(description="ask although the same was asked before")] = False


# --- answers ---


class Trouble(BaseModel):
    """Every refusal and failure: one line, what can be done about it (may be empty), and what it is about (may be null)."""

    error: str
    mend: str
    subject: str | None


class Part(BaseModel, Generic[T]):
    """A part of a list; `next` goes into `after` for the following one and is null at the end. `total` counts what the filter lets through."""

    items: list[T]
    next: str | None
    total: int


class RunRow(BaseModel):
    run_id: str
    state: RunState
    created_at: str
    question: str
    error: str | None


class Run(BaseModel):
    """A run in one screen. What it has not reached yet is null or empty, and `state` says why."""

    run_id: str
    state: RunState
    question: str
    created_at: str
    title: str | None
    decision: Decision | None
    reasons: list[str] | None
    coverage: list[Coverage]
    checks: list[Check]
    claims: int
    degraded: bool
    error: str | None
    note: str


class Station(BaseModel):
    name: str
    state: Literal["done", "doing", "to come"]
    seconds: float | None


class Progress(BaseModel):
    run_id: str
    state: RunState
    error: str
    stations: list[Station]
    working_here: Annotated[
        bool, Field(description="whether a process of this server works on it; if not and the state is running: resume it")
    ]


class File(BaseModel):
    name: str
    media_type: str
    sha256: str


class Evidence(BaseModel):
    """A span of a text (its place in code points) or a trial."""

    stance: Stance
    doc_sha256: str | None = None
    start: int | None = None
    end: int | None = None
    quote: str | None = None
    section: str | None = None
    paper: str | None = None
    probability: float | None = None
    trial_id: str | None = None
    note: str | None = None


class Judged(BaseModel):
    """What one verifier said."""

    verifier: str
    version: str
    verdict: Verdict
    reason: str
    slot: str | None
    probability: float | None


class Ruled(BaseModel):
    """The fields of a ruling. A probability that is not known is null, never 0."""

    verdict: Verdict
    level: str
    probability: float | None
    basis: Basis | None
    reason: str
    evidence: list[Evidence]
    contested_by: list[str]
    checks: list[Check]
    judgements: list[Judged]


class Verified(Ruled):
    claim: str


class CheckedStatement(Ruled):
    text: str


class CheckedText(BaseModel):
    claims: list[CheckedStatement]
    summary: dict[Verdict, int]


class RunClaim(Ruled):
    id: str
    text: str
    paper: str | None
    answers: list[str]
    slots: dict[str, Any]
    key: dict[str, Any] | None


class CheckedManuscript(BaseModel):
    """The document of `sovereign check --json` (docs/check.md)."""

    model_config = ConfigDict(serialize_by_alias=True)

    schema_: Annotated[str, Field(alias="schema")]
    version: str
    manuscript: dict[str, Any]
    claims: list[dict[str, Any]]
    references: list[dict[str, Any]]
    bibliography: dict[str, Any]
    sources: list[dict[str, Any]]
    skipped: list[dict[str, Any]]
    summary: dict[str, Any]


class Passage(BaseModel):
    paper_id: str
    title: str
    section: str
    text: str
    score: Annotated[float, Field(description="0 to 1, comparable inside one answer only")]


class Passages(BaseModel):
    passages: list[Passage]


class Review(BaseModel):
    """A draft that waits for its owner. `broken`: its records do not match their digests."""

    run_id: str
    question: str
    created_at: str
    title: str | None = None
    score: Annotated[float | None, Field(description="of the tribunal, 0 to 10")] = None
    decision: Decision | None = None
    rule: str | None = None
    gaps: list[str] = []
    claims: int | None = None
    facets_answered: list[int] | None = None
    flagged: bool | None = None
    broken: str | None = None


class Item(BaseModel):
    item_id: str
    state: Annotated[str, Field(description=", ".join(STATES))]
    question: str
    facets: list[str]
    priority: int
    depends_on: list[str]
    tags: list[str]
    sources: list[str]
    lab: str
    model: str
    budget_usd: float | None
    origin: str
    attempts: int
    max_attempts: int
    lease_owner: str
    run_id: Annotated[str, Field(description="the run it became; empty before")]
    reason: str
    added_at: str


class Metrics(BaseModel):
    """What `sovereign metrics --json` says; a rate over nothing is null."""

    runs: dict[str, Any]
    stations: dict[str, Any]
    searches: dict[str, Any]
    verification: dict[str, Any]
    decisions: dict[str, int]
    cost_usd: dict[str, Any] | None
    failures: list[dict[str, Any]]
    agenda: dict[str, Any] | None
    cache_hits: float | None
    not_recorded: list[str]


class About(BaseModel):
    name: str
    version: str
    offline: bool
    sources: list[str]
    formats: Annotated[list[str], Field(description="of a manuscript")] = list(FORMATS)
