"""What the outside must satisfy: one Protocol per kind of neighbour. Imports records only; refuses implementations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from sovereign.records import Claim, Document, Judgement, Paper, Passage, Prediction, Query, SearchOutcome, StudyInfo, Trial


@runtime_checkable
class Source(Protocol):
    """One place where papers are searched. `name` is what people write after --sources."""

    name: str

    async def search(self, query: Query, limit: int) -> SearchOutcome:
        """Never raises for an outage: that is a Failed outcome. Found.papers is never empty."""
        ...


@runtime_checkable
class Linked(Protocol):
    """A source that knows what a paper cites and what cites it."""

    async def neighbours(self, paper_id: str, limit: int) -> SearchOutcome:
        """At most `limit` in each direction, one hop. Never raises for an outage: that is Failed."""
        ...


@runtime_checkable
class Registry(Protocol):
    """Those who know what became of papers: retracted, withdrawn, superseded."""

    async def became(self, papers: Sequence[Paper]) -> Sequence[tuple[str, str, SearchOutcome]]:
        """(paper_id, service, what it says) per paper with an identifier and service asked; flags stand in the papers found. Never raises for outages, and
        ends in bounded time by itself."""
        ...


@runtime_checkable
class Reader(Protocol):
    """Turns bytes of one format into a Document."""

    name: str  # "pdf/1"
    suffixes: tuple[str, ...]

    def recognises(self, head: bytes, filename: str) -> bool:
        """By content first (the first 4 KiB), by name second: content types lie."""
        ...

    def read(self, body: bytes, *, filename: str) -> Document:
        """Raises errors.Unreadable with a kind and a reason."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Text to vectors. `name` and `dimension` are stored with every vector; mixtures are refused."""

    name: str
    dimension: int

    def embed(self, texts: Sequence[str], *, kind: str) -> Any:
        """kind: "query" or "passage". Returns float32 (N, dimension), rows of unit length (all-zero where there is nothing to embed)."""
        ...


@runtime_checkable
class Verifier(Protocol):
    """One way to judge a claim against documents. A judgement depends only on (claim, document, verifier version)."""

    name: str
    version: str

    def judge(self, claim: Claim, document: Document) -> Judgement: ...


@runtime_checkable
class Model(Protocol):
    """A language model that answers in a given shape."""

    name: str

    def ask(self, prompt: str, *, shape: Mapping[str, Any], purpose: str) -> Mapping[str, Any]:
        """`shape` is a JSON schema; the answer satisfies it, or errors.ModelFailed is raised. Never a default answer."""
        ...

    def stream(self, prompt: str, *, purpose: str) -> AsyncIterator[str]: ...


@runtime_checkable
class Index(Protocol):
    """Ranked retrieval over the library's passages. `score` is in [0, 1], comparable only inside one answer."""

    def search(self, text: str, k: int) -> list[tuple[str, Passage, float]]:
        """(paper_id, passage, score), best first."""
        ...


@runtime_checkable
class Bench(Protocol):
    """The laboratory as the kernel sees it."""

    def studies(self) -> tuple[StudyInfo, ...]: ...

    def reference_trials(self) -> tuple[Trial, ...]:
        """Committed, sealed trials that count as executed evidence without torch, marked with date and machine."""
        ...

    def predictions(self, study: str, *, preset: str) -> tuple[Prediction, ...]:
        """What the study's published statements predict at this preset, told before it is run."""
        ...

    def figure(self, trial_id: str, name: str) -> bytes | None:
        """A figure of a trial that this bench ran or ships; None when it is not there."""
        ...

    def run(self, study: str, *, preset: str, factors: Mapping[str, str], out: Path, predictions: Sequence[Prediction] = ()) -> Trial: ...


@runtime_checkable
class Blobs(Protocol):
    """Content-addressed bodies."""

    def put(self, body: bytes) -> str:
        """Stores durably (temporary file, fsync, rename) and returns the sha256 in hex. Putting twice is a no-op."""
        ...

    def get(self, digest: str) -> bytes:
        """Raises errors.NotFound, or errors.IntegrityBroken when the bytes no longer match their name."""
        ...

    def has(self, digest: str) -> bool: ...


@runtime_checkable
class Store(Protocol):
    """Runs, papers and the ledger of one workspace."""

    blobs: Blobs

    def papers(self) -> Iterable[Paper]: ...

    def append_event(self, run_id: str | None, kind: str, body: Mapping[str, Any]) -> str: ...


@runtime_checkable
class Clock(Protocol):
    def now(self) -> str:
        """UTC, ISO 8601 with seconds and a Z. SOURCE_DATE_EPOCH fixes it for reproducible runs."""
        ...
