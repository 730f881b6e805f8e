"""Good drafts, built by the real path without network and without a model. Imports wiring and path; refuses to look at the tribunal's findings.

A draft counts as good by conditions on the records alone: every named system has an admitted source, at least five claims are supported, at least half
of the parts (and one metric) are answered, and no other work contests a stated claim. What does not meet them is listed with its reason, not used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sovereign import path, settings, wiring
from sovereign.kernel import claims as claims_station
from sovereign.kernel import tribunal
from sovereign.records import FacetKind, Finished, Verdict

HERE = Path(__file__).parent
QUESTIONS: list[str] = json.loads((HERE / "questions.json").read_text(encoding="utf-8"))
STATED = (Verdict.SUPPORTED, Verdict.QUALIFIED)


@dataclass(frozen=True)
class Good:
    question: str
    finished: Finished
    dossier: tribunal.Dossier


def build(home: Path, questions: Sequence[str] = QUESTIONS, library: Sequence[str] = ()) -> tuple[list[Good], list[tuple[str, str]]]:
    """(good drafts, (question, why not) of the others). `library`: further files, such as real papers, for further questions."""
    chosen = settings.load(home, sources=("local",), offline=True)
    good: list[Good] = []
    others: list[tuple[str, str]] = []
    with wiring.workspace(chosen) as ws:
        wiring.ensure_default_library(ws, chosen)
        wiring.add_to_library(ws, chosen, [str(HERE / "library"), *library])
        for text in questions:
            request = wiring.prepare(ws, chosen, text, sources=("local",), lab="off", model="")
            house = replace(wiring.house(ws, chosen, request), press=lambda _finished: {})
            finished = path.travel("r-planted", "2026-11-22T00:00:00Z", request, house, _once)
            why = why_not_good(finished)
            if why is None:
                good.append(Good(text, finished, dossier_of(finished)))
            else:
                others.append((text, why))
    return good, others


def _once(_station: str, _revision: int, _kind: type, work: Any) -> Any:
    return work()[0]


def dossier_of(f: Finished) -> tribunal.Dossier:
    """What the last hearing saw."""
    absent = frozenset(c.claim_id for c in f.claims if claims_station.is_absence(c.text) or claims_station.is_caution(c))
    return tribunal.Dossier(
        f.question, f.draft, f.claims, f.rulings, f.admissions, f.readings, f.searches, f.documents, f.executed.trials, absent,
        frozenset(f.wording.kept if f.wording else ()), {q.claim_id: q for q in f.qualifiers},
    )  # fmt: skip


def why_not_good(f: Finished) -> str | None:
    kinds = {x.id: x.kind for x in f.question.facets}
    for x in f.question.facets:
        if x.kind is FacetKind.SYSTEM and not any(a.admitted and x.id in a.facets for a in f.admissions):
            return f"no admitted source on {x.text}"
    supported = sum(r.verdict is Verdict.SUPPORTED for r in f.rulings)
    if supported < 5:
        return f"only {supported} supported claims"
    asked = [c for c in f.draft.coverage if kinds[c.facet] is not FacetKind.SYSTEM]
    metrics = [c for c in asked if kinds[c.facet] is FacetKind.METRIC]
    if not asked or sum(c.answered for c in asked) < len(asked) / 2 or (metrics and not any(c.answered for c in metrics)):
        return "less than half of the parts are answered"
    work = {a.paper.paper_id: a.paper.about or a.paper.paper_id for a in f.admissions}
    of = {c.claim_id: work.get(c.paper_id or "") for c in f.claims}
    if any(of.get(o) != of.get(r.claim_id) for r in f.rulings for o in r.contested_by):
        return "another work contests a claim"
    return None
