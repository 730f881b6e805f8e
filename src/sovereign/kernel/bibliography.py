"""What became of each entry of a bibliography: resolved, metadata differs, unresolved, withdrawn or retracted. Pure; imports records and identity.

Refuses to take an outage, or a question that nobody asked, for "does not exist": both are unresolved with their own outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sovereign import identity
from sovereign.kernel.manuscript import Source, as_paper
from sovereign.records import Empty, Failed, Found, Paper, PaperKind, Reference, SearchOutcome


class Status(StrEnum):
    RESOLVED = "resolved"
    DIFFERS = "metadata_differs"
    UNRESOLVED = "unresolved"
    WITHDRAWN = "withdrawn"
    RETRACTED = "retracted"


class Outcome(StrEnum):
    """Why a status came about; keeps absent, empty, failed and not-run apart."""

    MATCHED = "matched"
    NOT_ASKED = "not_asked"  # nobody who could know was asked
    OUTAGE = "outage"  # asked, and no answer came
    UNKNOWN = "unknown_to_service"  # a service answered and does not know it
    NO_MATCH = "no_match"  # a title search found nothing, which proves nothing
    NO_ENTRY = "no_entry"  # cited, but the bibliography has no such key
    BROKEN = "broken_entry"


@dataclass(frozen=True)
class Difference:
    field: str
    bibliography: str
    record: str


@dataclass(frozen=True)
class Looked:
    """One question to one place about one entry. `flags_known`: whether that place says anything about retractions."""

    service: str
    outcome: SearchOutcome
    flags_known: bool = False


@dataclass(frozen=True)
class ReferenceVerdict:
    key: str
    status: Status
    outcome: Outcome
    detail: str
    mend: str = ""
    differences: tuple[Difference, ...] = ()

    @property
    def fault(self) -> bool:
        """Whether the author has something to mend, as against something that could not be looked up."""
        return self.status not in (Status.RESOLVED, Status.UNRESOLVED) or self.outcome in (
            Outcome.UNKNOWN,
            Outcome.NO_ENTRY,
            Outcome.BROKEN,
        )


_NEAR_YEARS = 1  # a preprint and its publication often lie a year apart; that alone is no fault


def differences(reference: Reference, paper: Paper) -> tuple[Difference, ...]:
    """The fields in which an entry and a record of the same work disagree. A field that one side does not state differs from nothing."""
    found: list[Difference] = []
    ours, theirs = identity.normalise_title(reference.title or ""), identity.normalise_title(paper.title)
    if ours and theirs and ours != theirs and not _subtitle(ours, theirs):
        found.append(Difference("title", reference.title or "", paper.title))
    if reference.year and paper.year and abs(reference.year - paper.year) > _NEAR_YEARS:
        found.append(Difference("year", str(reference.year), str(paper.year)))
    if identity.authors_agree(reference.authors, paper.authors) is False or _other_first_author(reference, paper):
        found.append(Difference("authors", ", ".join(reference.authors[:4]), ", ".join(paper.authors[:4])))
    stated, held = identity.identifiers(as_paper(reference)), identity.identifiers(paper)
    if stated.arxiv and held.arxiv and stated.arxiv != held.arxiv:
        found.append(Difference("arxiv", stated.arxiv, held.arxiv))
    both_published = stated.doi and held.doi and not (identity.is_preprint_doi(stated.doi) or identity.is_preprint_doi(held.doi))
    if both_published and stated.doi != held.doi:
        found.append(Difference("doi", stated.doi or "", held.doi or ""))
    return tuple(found)


def _subtitle(a: str, b: str) -> bool:
    """One title is the other's beginning: a subtitle left out."""
    short, long = sorted((a, b), key=len)
    return len(short.split()) >= 3 and long.startswith(short + " ")


def _other_first_author(reference: Reference, paper: Paper) -> bool:
    if not reference.authors or not paper.authors:
        return False
    return identity.authors_agree(reference.authors[:1], paper.authors[:1]) is False


def judge_reference(
    key: str, reference: Reference | None, *, given: Sequence[Source], library: Paper | None, looked: Sequence[Looked], has_bibliography: bool,
    broken: str | None = None,
) -> ReferenceVerdict:  # fmt: skip
    """The verdict on one cited key. A service's record counts before the library's, the library's before a given file, which only shows identity.

    `broken`: where the key's entry stands and why it could not be read, when that is why there is no `reference`.
    """
    if reference is None and broken is not None:
        return ReferenceVerdict(key, Status.UNRESOLVED, Outcome.BROKEN, f"its entry cannot be read ({broken})", "Mend the entry.")
    if reference is None:
        return _without_entry(key, given, has_bibliography)
    record = next(((x.service, x.outcome.papers[0], x.flags_known) for x in looked if isinstance(x.outcome, Found)), None)
    if record is None and library is not None:
        record = ("the library", library, False)
    if record is not None:
        return _against(key, reference, *record)
    if given:
        names = ", ".join(s.name for s in given)
        return ReferenceVerdict(
            key, Status.RESOLVED, Outcome.MATCHED, f"it is the given source {names}; no service was asked about its metadata"
        )
    return _unresolved(key, reference, looked)


def _without_entry(key: str, given: Sequence[Source], has_bibliography: bool) -> ReferenceVerdict:
    if given and not has_bibliography:
        return ReferenceVerdict(key, Status.RESOLVED, Outcome.MATCHED, f"by its file name {given[0].name}; there is no bibliography to compare with",
                                "Give the bibliography with --bib REFS.")  # fmt: skip
    if not has_bibliography:
        return ReferenceVerdict(key, Status.UNRESOLVED, Outcome.NOT_ASKED, "no bibliography was given or found", "Give it with --bib REFS.")
    return ReferenceVerdict(
        key, Status.UNRESOLVED, Outcome.NO_ENTRY, "the bibliography has no entry with this key", "Add the entry, or correct the key."
    )


def _against(key: str, reference: Reference, service: str, paper: Paper, flags_known: bool) -> ReferenceVerdict:
    for flag, status in (("retracted", Status.RETRACTED), ("withdrawn", Status.WITHDRAWN)):
        if flag in paper.flags:
            return ReferenceVerdict(
                key, status, Outcome.MATCHED, f"{service} says that this work was {flag}", "Do not rest a claim on it; name another source."
            )
    wrong = differences(reference, paper)
    if paper.kind is PaperKind.NOTE:
        wrong = tuple(d for d in wrong if d.field != "title")  # a note has a title of its own
    if wrong:
        said = "; ".join(f"{d.field}: the bibliography has “{d.bibliography}”, {service} has “{d.record}”" for d in wrong)
        return ReferenceVerdict(key, Status.DIFFERS, Outcome.MATCHED, said, "Correct the entry, or its identifier.", wrong)
    note = " (a reading note about it)" if paper.kind is PaperKind.NOTE else ""
    detail = f"{service} has it as {paper.about or paper.paper_id}{note}"
    if reference.year and paper.year and reference.year != paper.year:
        detail += f"; the years are {reference.year} and {paper.year}, as between a preprint and its publication"
    if "superseded" in paper.flags:
        detail += "; a newer version exists"
    if not flags_known:
        detail += "; nobody was asked about retractions"
    return ReferenceVerdict(key, Status.RESOLVED, Outcome.MATCHED, detail)


def _unresolved(key: str, reference: Reference, looked: Sequence[Looked]) -> ReferenceVerdict:
    failed = [x for x in looked if isinstance(x.outcome, Failed)]
    empty = [x for x in looked if isinstance(x.outcome, Empty)]
    named = f"arXiv:{reference.arxiv_id}" if reference.arxiv_id else (f"doi:{reference.doi}" if reference.doi else "")
    if failed:
        said = "; ".join(f"{x.service}: {x.outcome.reason}" for x in failed if isinstance(x.outcome, Failed))
        return ReferenceVerdict(
            key, Status.UNRESOLVED, Outcome.OUTAGE, f"no answer ({said}); this says nothing about the entry", "Try again later."
        )
    if empty and named:
        services = ", ".join(dict.fromkeys(x.service for x in empty))
        return ReferenceVerdict(
            key, Status.UNRESOLVED, Outcome.UNKNOWN, f"{services} answered and does not know {named}", "Check the identifier."
        )
    if empty:
        services = ", ".join(dict.fromkeys(x.service for x in empty))
        return ReferenceVerdict(key, Status.UNRESOLVED, Outcome.NO_MATCH, f"{services} found no such title; a search by title proves nothing",
                                "Add a DOI or an arXiv id to the entry.")  # fmt: skip
    return ReferenceVerdict(
        key, Status.UNRESOLVED, Outcome.NOT_ASKED, "neither a given file nor the library is this work, and no service was asked",
        "Give it with --against FILE, add it to the library, or ask: --sources local,arxiv,crossref.",
    )  # fmt: skip
