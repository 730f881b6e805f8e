"""What became of works, folded from a run's flag checks: retracted, clear, unknown to those asked, or nobody answered. Imports records; no station.

A service's silence is never "not retracted": a work is answered for when somebody holds it, or all who were asked say that they do not, and when
those whose word counts were not silent: Crossref (with Retraction Watch) for a publisher's DOI, DataCite for one that Crossref does not hold, arXiv
for its own papers. OpenAlex repeats others; DataCite knows nothing of arXiv's withdrawals: their silence is told and no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sovereign.records import Empty, Failed, Found, Paper, SearchRecord

STOPPING = frozenset({"retracted", "withdrawn"})


@dataclass(frozen=True)
class Standing:
    """One work. `flagged_by` and `held_by`: services that hold it, with and without a flag; `unknown_to`: those that do not; `silent`: (service, why)."""

    paper_id: str
    flags: tuple[str, ...] = ()
    flagged_by: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()
    unknown_to: tuple[str, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Why those whose word counts did not give it; when nobody holds the work, everybody's counts."""
        count = {"crossref", "arxiv"} | ({"datacite"} if "crossref" in self.unknown_to else set())
        held = self.flagged_by or self.held_by
        return tuple(why for service, why in self.silent if service in count or not held)

    @property
    def answered(self) -> bool:
        return not self.unanswered


def work_of(paper: Paper) -> str:
    """The work that is asked about: the paper, or the one that a note is about."""
    return paper.about or paper.paper_id


def standings(records: Iterable[SearchRecord]) -> dict[str, Standing]:
    """Work -> standing, of the works that were asked about. Of several answers of one service about one work the last one counts; where it did
    not answer, what it said of the work in a search does.
    """
    records = list(records)
    last = {(r.query, r.source): r.outcome for r in records if r.purpose == SearchRecord.FLAGS}
    for r in records:
        for paper in r.outcome.papers if r.finds and isinstance(r.outcome, Found) else ():
            if isinstance(last.get((paper.paper_id, r.source)), Failed):
                last[paper.paper_id, r.source] = Found((paper,))
    out: dict[str, Standing] = {}
    for work in dict.fromkeys(work for work, _ in last):
        said = {source: outcome for (about, source), outcome in last.items() if about == work}
        flags = {s: {f for p in o.papers for f in p.flags} for s, o in said.items() if isinstance(o, Found)}
        out[work] = Standing(
            work,
            tuple(sorted(set().union(*flags.values()))),
            tuple(s for s, found in flags.items() if found),
            tuple(s for s, found in flags.items() if not found),
            tuple(s for s, o in said.items() if isinstance(o, Empty)),
            tuple((s, o.reason) for s, o in said.items() if isinstance(o, Failed)),
        )
    return out
