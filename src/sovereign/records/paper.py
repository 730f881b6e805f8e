"""Papers, documents, passages and what a search returned. Standard library only; refuses to parse anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal


class PaperKind(StrEnum):
    PAPER = "paper"
    NOTE = "note"  # somebody's reading note about a paper, never the paper itself
    MANUSCRIPT = "manuscript"


class Basis(StrEnum):
    """What a verdict could look at."""

    FULL_TEXT = "full_text"
    ABSTRACT_ONLY = "abstract_only"  # says nothing against a claim: the body may hold it
    NOTE = "note"  # somebody's reading note on the paper, not the paper


@dataclass(frozen=True)
class Paper:
    """One work. Versions of one paper are one paper with the version stated.

    paper_id: "arxiv:2604.23996", "doi:10.1145/3770743.3804292", "s2:...", "openalex:W...", "file:<sha12>", "note:<key>".
    provenance: (field, source name) pairs; says where each field came from.
    flags: "retracted", "withdrawn", "superseded".
    about: for a NOTE, the paper_id it is about (a note and its paper are never independent sources).
    """

    paper_id: str
    title: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    abstract: str | None = None
    arxiv_id: str | None = None  # without version
    version: int | None = None
    doi: str | None = None
    venue: str | None = None
    url: str | None = None
    published: str | None = None  # ISO date
    categories: tuple[str, ...] = ()
    kind: PaperKind = PaperKind.PAPER
    about: str | None = None
    names: tuple[str, ...] = ()  # systems this work is known by, where somebody says so; the title's own names need not be repeated
    flags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()  # paper_ids or titles this work cites, where known
    full_text_urls: tuple[str, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()


class PassageKind(StrEnum):
    PROSE = "prose"
    ABSTRACT = "abstract"
    TABLE_ROW = "table_row"
    CAPTION = "caption"
    EQUATION = "equation"
    REFERENCE = "reference"


@dataclass(frozen=True)
class TableRow:
    """The table context of one row. `header[i]` describes `cells[i]`; cells[0] is the row label in most tables."""

    caption: str
    header: tuple[str, ...]
    cells: tuple[str, ...]
    row: int  # 0-based, header excluded


@dataclass(frozen=True)
class Passage:
    """A contiguous stretch of one document: document.text[start:end] == text, always. Offsets are Unicode code points."""

    start: int
    end: int
    text: str
    kind: PassageKind = PassageKind.PROSE
    section: str = ""
    table: TableRow | None = None


@dataclass(frozen=True)
class Unread:
    """A part of a document that could not be read, and why. `share` is the estimated part of the document, None when unknown."""

    what: str
    reason: str
    share: float | None = None


@dataclass(frozen=True)
class Reference:
    """One entry of a bibliography, as the document prints it; parsed fields are None when not found."""

    key: str
    text: str
    title: str | None = None
    authors: tuple[str, ...] = ()
    year: int | None = None
    doi: str | None = None
    arxiv_id: str | None = None


@dataclass(frozen=True)
class Document:
    """Parsed text. `sha256` is over text encoded as UTF-8 (LF line ends); passages are sorted by start and do not overlap within one kind.

    suspicious: instruction-like or hidden text found in the source, quoted for the report; it never steers the kernel.
    citations: (offset in text, reference keys) pairs for in-text citation marks, where the format has them.
    """

    sha256: str
    text: str
    passages: tuple[Passage, ...]
    basis: Basis
    reader: str  # "pdf/1", the reader's name and version
    title: str | None = None
    authors: tuple[str, ...] = ()
    abstract: str | None = None
    references: tuple[Reference, ...] = ()
    citations: tuple[tuple[int, tuple[str, ...]], ...] = ()
    unread: tuple[Unread, ...] = ()
    suspicious: tuple[str, ...] = ()


# --- search outcomes: absent, empty, failed and not-run are four different values ---


@dataclass(frozen=True)
class Found:
    papers: tuple[Paper, ...]
    total: int | None = None  # what the service says it has; None when it does not say
    kind: Literal["found"] = "found"


@dataclass(frozen=True)
class Empty:
    kind: Literal["empty"] = "empty"


@dataclass(frozen=True)
class Failed:
    reason: str
    failure: str  # a SourceFailed kind
    retry_after_s: float | None = None
    kind: Literal["failed"] = "failed"


SearchOutcome = Found | Empty | Failed


@dataclass(frozen=True)
class SearchRecord:
    """One (query, source) pair and what came of it.

    purpose NEIGHBOURS: the query is a paper_id whose references and citations were asked for. purpose FLAGS: the query is a paper_id, and what
    was asked is what became of that work; a paper found carries the flags, and is no hit.
    """

    NEIGHBOURS: ClassVar[str] = "neighbours"
    FLAGS: ClassVar[str] = "flags"

    source: str
    query: str
    purpose: str
    outcome: SearchOutcome

    @property
    def finds(self) -> bool:
        """Whether its papers are hits."""
        return self.purpose != self.FLAGS


@dataclass(frozen=True)
class Admission:
    """Why a paper came in or stayed out. `score` is the relevance gate's, 0..1, None when no score was needed."""

    paper: Paper
    admitted: bool
    reason: str
    score: float | None = None
    facets: tuple[str, ...] = ()  # facet ids that the paper touches
    sources: tuple[str, ...] = ()  # where it was found


@dataclass(frozen=True)
class Reading:
    """What was read of an admitted paper. `document` is a blob digest, None when unreadable."""

    paper_id: str
    basis: Basis | None
    document: str | None
    reason: str = ""
