"""Full text first, a note where that is all there is, the abstract only when nothing else is had. Imports records, ports, errors; refuses to parse.

Unreadable is an outcome with its reason; a paper that could not be read stays in the record and cannot carry a claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sovereign.errors import SourceFailed, Unreadable
from sovereign.records import Admission, Basis, Paper, Reading


class Shelf(Protocol):
    """Where documents come from. Every method returns blob digests of Document records."""

    def documents(self, paper: Paper) -> Sequence[tuple[str, Basis]]:
        """What is already parsed, best basis first."""
        ...

    def fetch(self, papers: Sequence[Paper]) -> Mapping[str, tuple[str, Basis] | SourceFailed | Unreadable]:
        """Full texts from the outside by paper_id, or why the one offered could not be had; a paper that nobody offers is not in it."""
        ...

    def abstract(self, paper: Paper) -> str | None:
        """The abstract as a document; None when there is no abstract."""
        ...


def read(admissions: Sequence[Admission], shelf: Shelf) -> tuple[Reading, ...]:
    """At least one reading for every admitted paper, in the order of admission."""
    readings: list[Reading] = []
    papers = [a.paper for a in admissions if a.admitted]
    held = {p.paper_id: list(shelf.documents(p)) for p in papers}
    wanting = [p for p in papers if not any(basis in (Basis.FULL_TEXT, Basis.NOTE) for _, basis in held[p.paper_id])]
    fetched = shelf.fetch(wanting) if wanting else {}
    for paper in papers:
        found, came, why = held[paper.paper_id], fetched.get(paper.paper_id), ""
        if isinstance(came, (SourceFailed, Unreadable)):
            why = came.line()
        elif came is not None:
            found = [came, *found]
        if not found and (digest := shelf.abstract(paper)) is not None:
            found = [(digest, Basis.ABSTRACT_ONLY)]
        best = {Basis.FULL_TEXT: 0, Basis.NOTE: 1, Basis.ABSTRACT_ONLY: 2}
        chosen = _distinct(sorted(found, key=lambda f: best[f[1]]))
        readings += [Reading(paper.paper_id, basis, digest, why) for digest, basis in chosen]
        if not chosen:
            readings.append(Reading(paper.paper_id, None, None, why or "no text and no abstract could be had"))
    return tuple(readings)


def _distinct(found: list[tuple[str, Basis]]) -> list[tuple[str, Basis]]:
    """One document per basis: two copies of one full text are not two sources."""
    seen: dict[Basis, tuple[str, Basis]] = {}
    for item in found:
        seen.setdefault(item[1], item)
    return list(seen.values())
