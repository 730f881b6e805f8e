"""What became of works, folded from a run's flag checks: retracted, clear, unknown to those asked, or nobody answered. Imports records; no station.

A service's silence is never "not retracted": a work counts as answered for when somebody holds it, or when all who were asked say that they do not.
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
    def answered(self) -> bool:
        return bool(self.flagged_by or self.held_by or (self.unknown_to and not self.silent))


def work_of(paper: Paper) -> str:
    """The work that is asked about: the paper, or the one that a note is about."""
    return paper.about or paper.paper_id


def standings(records: Iterable[SearchRecord]) -> dict[str, Standing]:
    """Work -> standing; of several answers of one service about one work the last one counts."""
    last = {(r.query, r.source): r.outcome for r in records if r.purpose == SearchRecord.FLAGS}
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
