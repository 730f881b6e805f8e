"""Full text first, a note where that is all there is, the abstract only when nothing else is had. Imports records, ports, errors; refuses to parse.

Unreadable is an outcome with its reason; a paper that could not be read stays in the record and cannot carry a claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sovereign.errors import SourceFailed, Unreadable
from sovereign.records import Admission, Basis, Paper, Reading


class Shelf(Protocol):
    """Where documents come from. Every method returns blob digests of Document records."""

    def documents(self, paper: Paper) -> Sequence[tuple[str, Basis]]:
        """What is already parsed, best basis first."""
        ...

    def fetch(self, paper: Paper) -> tuple[str, Basis] | None:
        """Full text from the outside; None when none is offered. Raises SourceFailed or Unreadable."""
        ...

    def abstract(self, paper: Paper) -> str | None:
        """The abstract as a document; None when there is no abstract."""
        ...


def read(admissions: Sequence[Admission], shelf: Shelf) -> tuple[Reading, ...]:
    """At least one reading for every admitted paper, in the order of admission."""
    readings: list[Reading] = []
    for paper in (a.paper for a in admissions if a.admitted):
        found = list(shelf.documents(paper))
        why = ""
        if not any(basis in (Basis.FULL_TEXT, Basis.NOTE) for _, basis in found):
            try:
                fetched = shelf.fetch(paper)
            except (SourceFailed, Unreadable) as exc:
                fetched, why = None, exc.line()
            if fetched is not None:
                found = [fetched, *found]
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
