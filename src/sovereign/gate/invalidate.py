"""Backward invalidation: when a source changes, everything that rests on it is flagged in the ledger. Imports review's rule and the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sovereign.errors import IntegrityBroken, NotFound, Refused
from sovereign.gate.holding import Held, flags_in, held
from sovereign.kernel import review
from sovereign.records import Paper
from sovereign.store.library import Addition
from sovereign.store.workspace import Workspace


def flags_of(ws: Workspace, run_id: str) -> dict[str, tuple[str, ...]]:
    """paper id -> flags that became known after this run had read it."""
    return flags_in(ws, run_id)


def finished(ws: Workspace) -> list[Held]:
    """Every run with a draft; one whose records are broken is left to `audit verify`."""
    out = []
    for row in ws.runs.list():
        try:
            out.append(held(ws, row.run_id))
        except (Refused, NotFound, IntegrityBroken):
            continue
    return out


def rested_on(ws: Workspace) -> dict[str, Paper]:
    """Every paper that a draft of this workspace rests on; for a reading note, the paper it is about."""
    found: dict[str, Paper] = {}
    for run in finished(ws):
        for paper in (a.paper for a in run.admissions if a.admitted):
            found[paper.about or paper.paper_id] = paper
    return found


def flag_sources(ws: Workspace, flags: Mapping[str, Sequence[str]], *, by: str = "owner") -> list[dict[str, Any]]:
    """Flags every run, claim and sentence that rests on these papers, and the papers in the library. Saying it again adds nothing.

    flags: paper id -> what became of it (retracted, withdrawn, superseded, ...). Returns one row per touched run.
    """
    wanted = {p: tuple(sorted(set(f))) for p, f in flags.items() if f}
    rows = []
    for run in finished(ws):
        about = {p.paper_id: p.about for p in run.papers.values() if p.about}
        known = flags_in(ws, run.run_id)
        fresh = {p: f for p, f in wanted.items() if not set(f) <= set(known.get(p, ()))}
        entries = []
        for paper, said in sorted(fresh.items()):
            hit = review.invalidated({paper}, run.claims, run.rulings, run.draft, about)
            if hit.touches:
                body = {
                    "paper": paper,
                    "flags": list(said),
                    "claims": [c for c, _ in hit.claims],
                    "sentences": list(hit.sentences),
                    "by": by,
                }
                entries.append(("source_flagged", body))
        if entries:
            ws.ledger.append_all(run.run_id, entries, at=ws.clock.now())
            rows.append({"run_id": run.run_id, "state": run.row.state, "flagged": [dict(b) for _, b in entries]})
    _into_library(ws, wanted)
    ws.append_event(
        None, "sources_refreshed", {"flags": {p: list(f) for p, f in wanted.items()}, "runs": [r["run_id"] for r in rows], "by": by}
    )
    return rows


def _into_library(ws: Workspace, flags: Mapping[str, Sequence[str]]) -> None:
    additions = []
    for paper_id, said in flags.items():
        known = ws.library.paper(paper_id)
        if known is not None and not set(said) <= set(known.flags):
            additions.append(Addition(replace(known, flags=tuple(sorted({*known.flags, *said}))), None, "refresh"))
    if additions:
        ws.library.add(additions)
