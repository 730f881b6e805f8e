"""What each page shows, as plain values. Imports the gate and records; refuses markup: templates escape every text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from sovereign import path, seal
from sovereign.errors import NotFound
from sovereign.gate.holding import KINDS, Held
from sovereign.kernel.review import sentences_of
from sovereign.records import Claim, Document, Ruling, Sentence
from sovereign.store.workspace import Workspace

CONTEXT = 240  # characters of the source shown on each side of a quote
WINDOW = 200_000  # characters of a document on one page
PAGE = 100  # claims or events on one page


def draft(run: Held) -> dict[str, Any]:
    numbers = {p: i for i, p in enumerate(run.draft.references, 1)}
    verdicts = {r.claim_id: r for r in run.rulings}
    names = {f.id: f.text for f in run.question.facets}

    def shown(s: Sentence) -> dict[str, Any]:
        rulings = [verdicts[c] for c in s.claims if c in verdicts]
        return {
            "id": s.sentence_id,
            "text": s.text,
            "lead": s.lead,
            "kind": s.kind.value,
            "cites": [numbers[p] for p in s.citations if p in numbers],
            "contested": any(r.contested_by for r in rulings),
            "doubt": any(r.verdict.value != "SUPPORTED" for r in rulings),
        }

    return {
        "abstract": [shown(s) for s in run.draft.abstract],
        "sections": [
            {
                "title": x.title,
                "sentences": [shown(s) for s in x.sentences],
                "tables": seal.plain(x.tables),
                "figures": [g for g in seal.plain(x.figures) if f"figures/{g['path']}" in run.files],
            }
            for x in run.draft.sections
            if x.sentences or x.tables or x.figures
        ],
        "coverage": [
            {
                "kind": c.facet.split(":", 1)[0],
                "text": names.get(c.facet, c.facet.split(":", 1)[-1]),
                "answered": c.answered,
                "claims": list(c.by)[:8],
                "why_not": c.why_not,
            }
            for c in run.draft.coverage
        ],
    }


def sentence(run: Held, sentence_id: str) -> dict[str, Any]:
    """Raises NotFound."""
    found = next((s for s in sentences_of(run.draft) if s.sentence_id == sentence_id), None)
    if found is None:
        raise NotFound(f"The draft has no sentence {sentence_id[:40]!r}.")
    return {
        "id": found.sentence_id,
        "text": found.text,
        "kind": found.kind.value,
        "claims": [claim(run, c) for c in found.claims],
        "trials": [trial(run, t) for t in found.trials],
    }


def claim(run: Held, claim_id: str) -> dict[str, Any]:
    """One claim beside its passages, its slots and the line that decided. Raises NotFound."""
    index = {c.claim_id: c for c in run.claims}
    if claim_id not in index:
        raise NotFound(f"Run {run.run_id} has no claim {claim_id[:40]!r}.")
    c = index[claim_id]
    r = next(r for r in run.rulings if r.claim_id == claim_id)
    deciding = next((j for j in r.judgements if (j.verdict == r.verdict and j.reason in (r.reason, "")) or j.slot), None)
    return {
        **brief(run, c, r),
        "slots": slots(c),
        "key": seal.plain(c.key),
        "deciding": {"verifier": deciding.verifier, "slot": deciding.slot} if deciding else None,
        "judgements": seal.plain(r.judgements),
        "checks": seal.plain(r.checks),
        "passages": [passage(run, e.span.doc_sha256, e.span.start, e.span.end, e.span.quote, e.stance.value) for e in r.evidence if e.span],
        "trials": [{**trial(run, e.trial_id), "stance": e.stance.value, "note": e.note} for e in r.evidence if e.trial_id],
        "against": [brief(run, index[o], next(x for x in run.rulings if x.claim_id == o)) for o in r.contested_by if o in index],
    }


def brief(run: Held, c: Claim, r: Ruling) -> dict[str, Any]:
    paper = run.papers.get(c.paper_id or "")
    return {
        "id": c.claim_id,
        "text": c.text,
        "verdict": r.verdict.value.replace("_", " ").lower(),
        "good": r.verdict.value == "SUPPORTED",
        "level": r.level.label,
        "probability": r.probability,
        "basis": r.basis.value.replace("_", " ") if r.basis else "nothing",
        "reason": r.reason,
        "paper": paper.title if paper else (c.paper_id or "no source"),
        "paper_id": c.paper_id or "",
        "contested": len(r.contested_by),
    }


def slots(c: Claim) -> list[tuple[str, list[str]]]:
    s = c.slots
    rows: list[tuple[str, list[str]]] = [
        ("subject", list(s.subject)), ("metric", list(s.metric)), ("values", [v.raw for v in s.values]), ("compared with", list(s.comparator)),
        ("direction", [] if s.direction.value == "none" else [s.direction.value]), ("condition", list(s.condition)),
        ("hedge", list(s.hedge)), ("negated", ["yes"] if s.negated else []),
    ]  # fmt: skip
    return [(name, values) for name, values in rows if values]


def passage(run: Held, text_sha256: str, start: int, end: int, quote: str, stance: str) -> dict[str, Any]:
    try:
        paper_id, document = run.document(text_sha256)
    except NotFound:
        return {"missing": True, "quote": quote, "stance": stance, "paper": "a text this run did not keep", "start": start, "end": end}
    before, after = document.text[max(0, start - CONTEXT) : start], document.text[end : end + CONTEXT]
    paper = run.papers.get(paper_id)
    return {
        "missing": False,
        "stance": stance.lower(),
        "paper": paper.title if paper else paper_id,
        "paper_id": paper_id,
        "note": paper is not None and paper.kind.value == "note",
        "section": _section(document, start),
        "before": ("…" if start > CONTEXT else "") + before,
        "quote": document.text[start:end],
        "matches": document.text[start:end] == quote,
        "after": after + ("…" if end + CONTEXT < len(document.text) else ""),
        "start": start,
        "end": end,
        "text_sha256": text_sha256,
    }


def _section(document: Document, at: int) -> str:
    return next((p.section for p in document.passages if p.start <= at < p.end and p.section), "")


def document(run: Held, text_sha256: str, start: int, end: int) -> dict[str, Any]:
    """A text this run read, in sections, with one span marked. Raises NotFound for any other text."""
    paper_id, held = run.document(text_sha256)
    size = len(held.text)
    start, end = max(0, min(start, size)), max(0, min(end, size))
    low = max(0, start - WINDOW // 2) if size > WINDOW else 0
    high = min(size, low + WINDOW)
    cuts: list[tuple[int, str]] = []
    for p in held.passages:
        if low <= p.start < high and p.section and (not cuts or cuts[-1][1] != p.section) and p.kind.value != "table_row":
            cuts.append((p.start, p.section))
    if not cuts or cuts[0][0] > low:
        cuts.insert(0, (low, ""))
    blocks = []
    for (at, title), (until, _) in zip(cuts, [*cuts[1:], (high, "")], strict=True):
        inside = max(at, min(start, until)), max(at, min(end, until))
        blocks.append(
            {
                "title": title,
                "before": held.text[at : inside[0]],
                "marked": held.text[inside[0] : inside[1]],
                "after": held.text[inside[1] : until],
            }
        )
    for block, following in pairwise(blocks):  # the text itself carries its headings: show each once
        field = "after" if block["after"] or block["marked"] else "before"
        if following["title"] and block[field].rstrip().endswith(following["title"]):
            block[field] = block[field].rstrip().removesuffix(following["title"]).rstrip() + "\n"
    paper = run.papers.get(paper_id)
    return {
        "paper": seal.plain(paper) if paper else {"title": paper_id, "authors": [], "year": None, "url": None},
        "basis": held.basis.value.replace("_", " "),
        "reader": held.reader,
        "blocks": blocks,
        "cut": (low, high, size) if size > WINDOW else None,
        "start": start,
        "end": end,
        "text_sha256": text_sha256,
        "unread": seal.plain(held.unread),
        "suspicious": list(held.suspicious),
    }


def claims(run: Held, page: int, wanted: str) -> dict[str, Any]:
    """One page of all claims; `wanted` keeps those whose text or verdict holds all its words."""
    rulings = {r.claim_id: r for r in run.rulings}
    words = wanted.lower().split()
    kept = [c for c in run.claims if all(w in f"{c.text} {rulings[c.claim_id].verdict.value} {c.claim_id}".lower() for w in words)]
    return {
        **paged(page, len(kept)),
        "claims": [brief(run, c, rulings[c.claim_id]) for c in kept[(page - 1) * PAGE : page * PAGE]],
        "wanted": wanted,
    }


def paged(page: int, total: int) -> dict[str, int]:
    return {"page": page, "pages": max(1, -(-total // PAGE)), "total": total}


def contradictions(run: Held) -> list[dict[str, Any]]:
    """Pairs of claims under one comparison key, and claims their own source contradicts."""
    index = {c.claim_id: c for c in run.claims}
    rulings = {r.claim_id: r for r in run.rulings}
    seen: set[frozenset[str]] = set()
    out = []
    for r in run.rulings:
        for other in r.contested_by:
            pair = frozenset((r.claim_id, other))
            if pair in seen or other not in index:
                continue
            seen.add(pair)
            out.append({"key": seal.plain(index[r.claim_id].key), "sides": [_side(run, index[c], rulings[c]) for c in (r.claim_id, other)]})
    return out


def _side(run: Held, c: Claim, r: Ruling) -> dict[str, Any]:
    span = next((e.span for e in r.evidence if e.span), c.span)
    return {
        **brief(run, c, r),
        "values": [v.raw for v in c.slots.values],
        "passage": passage(run, span.doc_sha256, span.start, span.end, span.quote, "") if span else None,
    }


def trial(run: Held, trial_id: str | None) -> dict[str, Any]:
    found = next((t for t in run.executed.trials if t.trial_id == trial_id), None)
    if found is None:
        return {"trial_id": trial_id or "", "missing": True}
    return {**seal.plain(found), "missing": False, "shown": [f for f in found.figures if f"figures/{f}" in run.files]}


def trials(run: Held) -> dict[str, Any]:
    sealed = [
        {**e.body, "seq": e.seq} for e in run.ws.ledger.events(run.run_id, "prediction_sealed")
    ]  # the ledger's order shows that it stood before the trial
    return {
        "trials": [trial(run, t.trial_id) for t in run.executed.trials],
        "sealed": sealed,
        "why": list(run.executed.why),
        "checks": seal.plain(run.executed.checks),
    }


def sources(run: Held, flagged: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    basis = {r.paper_id: r for r in run.readings}
    texts = {blob: sha for sha, (_, blob) in run.texts.items()}
    rows = []
    for a in run.admissions:
        reading = basis.get(a.paper.paper_id)
        rows.append(
            {
                **seal.plain(a.paper),
                "admitted": a.admitted,
                "reason": a.reason,
                "score": a.score,
                "found_in": list(a.sources),
                "basis": reading.basis.value.replace("_", " ") if reading and reading.basis else "",
                "unread": reading.reason if reading and not reading.document else "",
                "text_sha256": texts.get(reading.document) if reading and reading.document else None,
                "flagged": list(flagged.get(a.paper.paper_id, ())) + list(flagged.get(a.paper.about or "", ())),
            }
        )
    return {
        "admitted": [r for r in rows if r["admitted"]],
        "left_out": [r for r in rows if not r["admitted"]],
        "searches": _searches(run),
    }


def _searches(run: Held) -> list[dict[str, Any]]:
    records = [r for k, d in run.steps.items() if k.startswith("search-") for r in run.ws.runs.load(KINDS["search"], d)]
    return [
        {
            "source": r.source,
            "query": r.query if r.finds else f"{r.query} (retracted or withdrawn?)",
            "outcome": r.outcome.kind,
            "reason": getattr(r.outcome, "reason", ""),
            "hits": len(getattr(r.outcome, "papers", ())),
        }
        for r in records
    ]


def ledger(ws: Workspace, run_id: str, page: int) -> dict[str, Any]:
    events = ws.ledger.events(run_id)
    part = events[(page - 1) * PAGE : page * PAGE]
    return {
        **paged(page, len(events)),
        "events": [
            {"seq": e.seq, "kind": e.kind.replace("_", " "), "at": e.body.get("at", ""), "told": _told(e.body), "hash": e.hash}
            for e in part
        ],
    }


def _told(body: Mapping[str, Any]) -> str:
    kept = {k: v for k, v in body.items() if k not in ("at", "statement", "signature", "public_key", "algorithm")}
    if "statement" in body:
        s = body["statement"]
        kept = {"decision": s["decision"], "owner": s["owner"], "note": s["note"], "signed": body["signature"] is not None}
    text = "; ".join(f"{k}: {v if isinstance(v, str) else seal.canonical(v).decode()}" for k, v in kept.items())
    return text if len(text) <= 400 else text[:400] + "…"


def progress(ws: Workspace, run_id: str) -> dict[str, Any]:
    row = ws.runs.get(run_id)
    timings = ws.runs.timings(run_id)
    done = {k.rsplit("-", 1)[0]: round(timings.get(k, 0.0), 2) for k in ws.runs.steps(run_id)}
    ahead = next((s for s in path.STATIONS if s not in done), None)
    return {
        "run_id": run_id,
        "state": row.state,
        "error": row.error,
        "stations": [
            {
                "name": s,
                "state": "done" if s in done else "doing" if s == ahead and row.state == "running" else "to come",
                "seconds": done.get(s),
            }
            for s in path.STATIONS
        ],
    }


def agenda(ws: Workspace) -> list[dict[str, Any]]:
    """The queue of questions, open ones first, each with the run it became."""
    from sovereign.store.agenda import OPEN, Agenda

    items = Agenda(ws.database, ws.ledger, ws.clock).items()
    ordered = sorted(items, key=lambda i: (i.state not in OPEN, -i.priority, i.seq))
    return [{**seal.plain(i), "open": i.state in OPEN} for i in ordered]
