"""The JSON that scripts read (docs/json.md): the sealed part of a run. Imports records; refuses timings and states, which `runs show` adds."""

from __future__ import annotations

from typing import Any

from sovereign import seal
from sovereign.records import Claim, Coverage, Evidence, Finished, Ruling, SearchRecord
from sovereign.version import __version__


def document(f: Finished) -> dict[str, Any]:
    rulings = {r.claim_id: r for r in f.rulings}
    last = f.hearings[-1]
    return {
        "schema": "sovereign/draft-1",
        "version": __version__,
        "run_id": f.run_id,
        "created_at": f.created_at,
        "question": f.question.text,
        "remarks": list(f.question.ill_posed),
        "facets": [{"id": x.id, "kind": x.kind.value, "text": x.text} for x in f.question.facets],
        "queries": seal.plain(f.queries),
        "searches": [{"source": s.source, "query": s.query, **_outcome(s.outcome)} for s in f.searches if s.finds],
        "flag_checks": [_flag_check(s) for s in f.searches if not s.finds],
        "sources": [
            {
                "id": a.paper.paper_id,
                "title": a.paper.title,
                "kind": a.paper.kind.value,
                "admitted": a.admitted,
                "reason": a.reason,
                "score": a.score,
                "facets": list(a.facets),
                "found_in": list(a.sources),
                "basis": [r.basis.value for r in f.readings if r.paper_id == a.paper.paper_id and r.basis is not None],
            }
            for a in f.admissions
        ],
        "claims": [claim(c, rulings[c.claim_id]) for c in f.claims],
        "trials": seal.plain(f.executed.trials),
        "coverage": [coverage(c) for c in f.draft.coverage],
        "checks": seal.plain(f.checks),
        "tribunal": {
            "roles": [
                {"role": r.role.value, "score": r.score, "by": r.by, "dissent": r.dissent, "findings": seal.plain(r.findings)}
                for r in last.reviews
            ],
            "score": last.score,
            "agreement": seal.plain(last.agreement),
            "revision_round": last.revision_round,
            "decision": last.decision,
            "hearings": [
                {"revision_round": h.revision_round, "score": h.score, "decision": h.decision, "acted": list(h.acted), "ended": h.ended}
                for h in f.hearings
            ],
        },
        "policy": {
            "decision": f.decision.decision.value,
            "rule": f.decision.rule,
            "reasons": list(f.decision.reasons),
            "sha256": f.decision.policy_sha256,
        },
        "quality": seal.plain(f.quality),
        "spent": seal.plain(f.spent),
        "wording": seal.plain(f.wording),
        "qualifiers": [{**seal.plain(q), "printed": q.printed} for q in f.qualifiers],
        "draft": seal.plain(f.draft),
    }


def claim(c: Claim, ruling: Ruling) -> dict[str, Any]:
    return {
        "id": c.claim_id,
        "text": c.text,
        "paper": c.paper_id,
        "answers": list(c.answers),
        "slots": seal.plain(c.slots),
        "key": seal.plain(c.key),
        **verdict(ruling),
    }


def verdict(ruling: Ruling) -> dict[str, Any]:
    return {
        "verdict": ruling.verdict.value,
        "level": ruling.level.label,
        "probability": None if ruling.probability is None else round(ruling.probability, 3),
        "basis": ruling.basis.value if ruling.basis else None,
        "reason": ruling.reason,
        "evidence": [evidence(e) for e in ruling.evidence],
        "contested_by": list(ruling.contested_by),
        "checks": seal.plain(ruling.checks),
        "judgements": [
            {
                "verifier": j.verifier,
                "version": j.version,
                "verdict": j.verdict.value,
                "reason": j.reason,
                "slot": j.slot,
                "probability": j.probability,
            }
            for j in ruling.judgements
        ],
    }


def evidence(e: Evidence) -> dict[str, Any]:
    if e.span is None:
        return {"trial_id": e.trial_id, "stance": e.stance.value, "note": e.note}
    s = e.span
    return {
        "doc_sha256": s.doc_sha256,
        "start": s.start,
        "end": s.end,
        "quote": s.quote,
        "section": s.section,
        "paper": s.paper_id,
        "stance": e.stance.value,
        "probability": e.probability,
    }


def coverage(c: Coverage) -> dict[str, Any]:
    return {"facet": c.facet, "answered": c.answered, "by": list(c.by), "why_not": c.why_not}


def _flag_check(record: SearchRecord) -> dict[str, Any]:
    """Who was asked what became of a work. flags are there only when the service holds it: an outage is never "not retracted"."""
    body = {"paper": record.query, "source": record.source, **_outcome(record.outcome)}
    if record.outcome.kind == "found":
        body["flags"] = sorted({f for p in record.outcome.papers for f in p.flags})
    return {k: v for k, v in body.items() if k != "hits"}


def _outcome(outcome: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"outcome": outcome.kind}
    if outcome.kind == "found":
        body["hits"] = len(outcome.papers)
    if outcome.kind == "failed":
        body |= {"reason": outcome.reason, "failure": outcome.failure}
    return body
