"""What a reader sees, as plain strings and numbers, once for all three layouts. Imports records; refuses markup."""

from __future__ import annotations

import re
from typing import Any

from sovereign.records import Basis, Claim, Finished, Paper, PaperKind, Ruling, Sentence, State, Verdict

_VERDICT_WORDS = {
    Verdict.SUPPORTED: "supported",
    Verdict.QUALIFIED: "qualified",
    Verdict.CONTRADICTED: "contradicted",
    Verdict.NOT_FOUND: "not found",
    Verdict.NOT_CHECKABLE: "not checkable",
    Verdict.UNRESOLVED: "unresolved",
}


def view(f: Finished) -> dict[str, Any]:
    numbers = {p: i for i, p in enumerate(f.draft.references, 1)}
    labels = {c.claim_id: f"C{i}" for i, c in enumerate(f.claims, 1)}
    papers = {a.paper.paper_id: a.paper for a in f.admissions}
    rulings = {r.claim_id: r for r in f.rulings}
    last = f.hearings[-1]
    names = {x.id: x.text for x in f.question.facets}
    return {
        "run_id": f.run_id,
        "date": f.created_at[:10],
        "stamp": f.draft.stamp,
        "title": f.draft.title,
        "question": f.question.text,
        "abstract": [_sentence(s, numbers, labels) for s in f.draft.abstract],
        "sections": [
            {
                "title": s.title,
                "sentences": [_sentence(x, numbers, labels) for x in s.sentences],
                "tables": [{"caption": t.caption, "header": list(t.header), "rows": [list(r) for r in t.rows]} for t in s.tables],
                "figures": [{"caption": g.caption, "path": g.path} for g in s.figures],
            }
            for s in f.draft.sections
        ],
        "claims": [_claim(c, rulings[c.claim_id], labels, numbers, papers) for c in f.claims],
        "sources": [_source(a.paper, a.admitted, a.reason, numbers, f) for a in _worth_showing(f)],
        "more_sources": sum(not a.admitted for a in f.admissions) - sum(not a.admitted for a in _worth_showing(f)),
        "references": [_reference(papers[p], n) for p, n in numbers.items() if p in papers],
        "checks": [
            {"name": c.name, "state": c.state.value.replace("_", " ").lower(), "reason": c.reason, "bad": c.state is not State.PASSED}
            for c in f.checks
        ],
        "score": f"{last.score:.2f}",
        "decision": last.decision,
        "revision_round": last.revision_round,
        "roles": [
            {
                "role": r.role.value,
                "score": f"{r.score:.1f}",
                "findings": [{"severity": x.severity.value, "text": x.text} for x in r.findings],
            }
            for r in last.reviews
        ],
        "notes": _notes(f),
        "quality": _quality(f),
        "policy": {"decision": f.decision.decision.value, "rule": f.decision.rule, "reasons": list(f.decision.reasons)},
        "answered": f"{sum(c.answered for c in f.draft.coverage)} of {len(f.draft.coverage)}",
        "facets": [
            {"text": names.get(c.facet, c.facet), "kind": c.facet.split(":", 1)[0], "answered": c.answered} for c in f.draft.coverage
        ],
    }


def _notes(f: Finished) -> list[str]:
    """What else the owner should know of the review: what revisions did, how it ended, how far several models agree, and what they cost."""
    last = f.hearings[-1]
    out = [f"Revision {h.revision_round}: {'; '.join(h.acted)}; the score is then {h.score:.2f}." for h in f.hearings if h.acted]
    if last.ended:
        out.append(f"The revisions ended: {last.ended}.")
    if last.agreement is not None:
        a = last.agreement
        out.append(
            f"{len(a.models)} models or seeds reviewed ({', '.join(a.models)}): scores {', '.join(f'{s:.2f}' for s in a.scores)}, spread {a.spread:.2f}; "
            f"agreement on findings {_alpha(a.alpha)}"
            + ("; the decision differs between them." if a.flips else "; each alone would have decided the same.")
        )
        differ = [r for r in a.roles if r.alpha is not None or r.spread]
        out += [f"{r.role.value} by each: {', '.join(f'{s:.1f}' for s in r.scores)}; agreement {_alpha(r.alpha)}." for r in differ]
    out += [f"{r.role.value}, dissent: {r.dissent}." for r in last.reviews if r.dissent]
    if f.spent.calls:
        s = f.spent
        money = (
            f"{s.cost_usd:.4f} US dollars"
            if s.cost_usd is not None
            else f"an unknown amount, at most {s.at_most_usd:.4f} US dollars at the assumed ceiling"
        )
        counted = ", partly estimated from characters" if s.estimated else ""
        out.append(
            f"Models ({', '.join(s.models)}) took {s.calls} calls, {s.tokens_in:,} tokens in and {s.tokens_out:,} out{counted}, for {money}."
        )
    return out


def _alpha(alpha: float | None) -> str:
    return "is not defined (no finding differs between them)" if alpha is None else f"alpha {alpha:.2f}"


def _quality(f: Finished) -> dict[str, Any] | None:
    q = f.quality
    if q is None:
        return None
    return {
        "tier": q.tier.value.replace("_", " ").lower() if q.tier else "none",
        "why": q.why,
        "verified": q.verified_count,
        "rows": [[x.key, x.name, x.level.value.lower(), "—" if x.score is None else f"{x.score:.1f}", x.basis] for x in q.dimensions],
    }


def _sentence(s: Sentence, numbers: dict[str, int], labels: dict[str, str]) -> dict[str, Any]:
    return {
        "id": s.sentence_id,
        "text": s.text,
        "lead": s.lead,
        "kind": s.kind.value,
        "cites": [numbers[c] for c in s.citations if c in numbers],
        "claims": [labels[c] for c in s.claims if c in labels],
        "trials": list(s.trials),
    }


def _claim(c: Claim, r: Ruling, labels: dict[str, str], numbers: dict[str, int], papers: dict[str, Paper]) -> dict[str, Any]:
    span = next((e.span for e in r.evidence if e.span is not None), c.span)
    where = ""
    if span is not None:
        source = papers.get(span.paper_id)
        name = f"[{numbers[span.paper_id]}]" if span.paper_id in numbers else (source.paper_id if source else span.paper_id)
        section = span.section.split(" / ")[-1]
        where = f"{name} {section + ', ' if section else ''}{span.start}–{span.end}"
    return {
        "label": labels[c.claim_id],
        "id": c.claim_id,
        "text": c.text,
        "verdict": _VERDICT_WORDS[r.verdict],
        "level": r.level.label,
        "probability": "—" if r.probability is None else f"{r.probability:.3f}",
        "where": where,
        "quote": span.quote if span else "",
        "document": span.doc_sha256 if span else "",
        "reason": r.reason,
        "basis": (r.basis or Basis.ABSTRACT_ONLY).value.replace("_", " "),
        "good": r.verdict is Verdict.SUPPORTED,
    }


def _worth_showing(f: Finished) -> list[Any]:
    """Everything admitted, and the ten nearest that stayed out."""
    kept_out = [a for a in f.admissions if not a.admitted]
    return [a for a in f.admissions if a.admitted] + kept_out[:10]


def _source(p: Paper, admitted: bool, reason: str, numbers: dict[str, int], f: Finished) -> dict[str, Any]:
    basis = [r.basis.value.replace("_", " ") for r in f.readings if r.paper_id == p.paper_id and r.basis is not None]
    return {
        "number": numbers.get(p.paper_id, 0),
        "id": p.paper_id,
        "title": p.title,
        "kind": "reading note" if p.kind is PaperKind.NOTE else "paper",
        "admitted": admitted,
        "reason": reason,
        "basis": ", ".join(basis) or "not read",
    }


def _reference(p: Paper, number: int) -> dict[str, Any]:
    authors = ", ".join(p.authors[:6]) + (" and others" if len(p.authors) > 6 else "")
    parts = [authors, p.title.rstrip("."), p.venue if p.kind is not PaperKind.NOTE else None]
    identifier = f"arXiv:{p.arxiv_id}" + (f"v{p.version}" if p.version else "") if p.arxiv_id else (f"doi:{p.doi}" if p.doi else "")
    text = ". ".join(x for x in parts if x) + (f", {p.year}" if p.year else "") + (f". {identifier}" if identifier else "") + "."
    note = ""
    if p.kind is PaperKind.NOTE:
        note = (
            "Read through SOVEREIGN’s own reading note"
            + (f" ({p.venue.replace('+', ' and ')})" if p.venue else "")
            + ", not the paper itself."
        )
    return {
        "number": number,
        "text": re.sub(r"\.\.+", ".", text),
        "note": note,
        "url": p.url or (f"https://doi.org/{p.doi}" if p.doi else ""),
    }
