"""Judge the five drafts of the original system again: parsed into a dossier, its claims verified against the shipped notes, heard and decided.

    python benchmarks/seeds_rejudged.py [--seeds ../shared/seeds]

Nothing of the old verdicts is taken over. Every cited work was admitted then, so it is admitted here, with the parts of the question that its title
speaks of; a claim is verified against the reading note of the work it was taken from ("Analysis of: ..."), the closest text that ships with the package.
Prints a table, then one JSON document; also in benchmarks/results/seeds_rejudged.json.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereign import identity, intake, seal, wiring
from sovereign.kernel import claims as claims_station
from sovereign.kernel import policy, question, tribunal, verify
from sovereign.kernel.language import mentions, parse_slots, sentences
from sovereign.readers import read_bytes
from sovereign.records import (
    Admission,
    Basis,
    Check,
    Claim,
    Coverage,
    Document,
    Draft,
    FacetKind,
    Paper,
    Reading,
    Ruling,
    Section,
    Sentence,
    SentenceKind,
    State,
    Verdict,
)

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "seeds_rejudged.json"
# what the identifiers in the drafts stand for, as far as known; 1007.0409 could not be identified
TITLES = {
    "1403.3007": "The Four Principles of Geographic Routing",
    "2205.15237": "VLUE: a multi-task benchmark for evaluating vision-language models",
    "2505.22937": "DistilBERT question answering on mobile processors",
    "2604.12213": "Modality-Native Routing in Agent-to-Agent Networks",
}
STATED = (Verdict.SUPPORTED, Verdict.QUALIFIED)


@dataclass(frozen=True)
class Seed:
    """One draft as its file prints it."""

    name: str
    title: str
    abstract: str
    question: str
    source_title: str
    uncertainties: str
    claims: tuple[tuple[str, bool], ...]  # text, ticked as verified
    references: tuple[str, ...]  # arXiv ids
    old_score: float
    old_policy: str


def parse(file: Path) -> Seed:
    text = file.read_text(encoding="utf-8").replace("\\_", "_")

    def part(name: str, until: str) -> str:
        match = re.search(rf"^[#* ]*(?:\d )?{name}\**\s*$(.*?)^[#* ]*(?:\d )?{until}", text, re.S | re.M)
        return " ".join(match.group(1).split()) if match else ""

    intro = part("Introduction", "Methodology")
    goal = re.search(r"Research goal: (.+?)\.?$", intro)
    about = re.search(r"Analysis of: (.+?)\. Research goal", intro)
    results = part("Results", "Uncertainties")
    score = re.search(r"Tribunal: ([\d.]+)/10", results)
    old = re.search(r"Policy: (\w+)", results)
    rows = re.findall(r"^(.+?)\t([✓×])\t[\d.]+$", text, re.M)
    title = re.search(r"SOVEREIGN: (.+)", text)
    return Seed(
        file.stem[:3],
        title.group(1).strip() if title else "",
        part("Abstract", "Introduction"),
        goal.group(1) if goal else "",
        about.group(1) if about else "",
        part("Uncertainties", "Extracted Claims"),
        tuple((t.strip(), mark == "✓") for t, mark in rows),
        tuple(re.findall(r"arxiv\.org/abs/(\d{4}\.\d{4,5})", text)),
        float(score.group(1)) if score else float("nan"),
        old.group(1) if old else "",
    )


def shelf() -> dict[str, tuple[Paper, Document]]:
    """arXiv id -> (work, reading note) of what ships with the package."""
    out = {}
    for file in sorted(wiring.NOTES.glob("*.md")):
        body = file.read_bytes()
        document = read_bytes(body, filename=file.name)
        paper = intake.paper_of(document, file.name, body)
        if paper.arxiv_id:
            out[paper.arxiv_id] = (paper, document)
    return out


def rejudge(seed: Seed, notes: dict[str, tuple[Paper, Document]]) -> dict[str, Any]:
    lowered = seed.question.lower()
    known = {n.lower(): n for paper, _ in notes.values() for n in paper.names if n.lower() in lowered}
    asked = question.ask(seed.question, known)
    papers = {i: _paper(i, notes) for i in seed.references}
    lead = _lead(seed, papers)
    documents = {doc.sha256: doc for i in seed.references if i in notes for _, doc in [notes[i]]}
    admissions = tuple(
        Admission(
            p,
            True,
            "the draft cites it",
            1.0,
            tuple(f.id for f in asked.facets if mentions(f, "\n".join([p.title, *p.names]))),
            ("arxiv",),
        )
        for p in papers.values()
    )
    readings = tuple(
        Reading(p.paper_id, Basis.NOTE if i in notes else None, "note" if i in notes else None, "" if i in notes else "never read")
        for i, p in papers.items()
    )
    about = [a for a in admissions if a.paper is lead]
    home = [f.id for f in asked.facets if f.kind is FacetKind.SYSTEM and about and f.id in about[0].facets]
    claims, rulings = _judged(seed, asked, lead, home, notes)
    draft = _draft(seed, asked, claims, rulings, lead, tuple(p.paper_id for p in papers.values()))
    absences = frozenset(c.claim_id for c in claims if claims_station.is_absence(c.text))
    dossier = tribunal.Dossier(asked, draft, claims, rulings, admissions, readings, (), documents, (), absences)
    hearing = tribunal.hold(dossier, revision_round=0, rounds_left=0)
    checks = (Check("literature searched", State.NOT_RUN, "the draft keeps no record of its searches"),)
    facts = policy.facts(asked, admissions, readings, claims, rulings, draft.coverage, draft.references, hearing, checks)
    decided = policy.decide(facts, policy.parse(wiring.POLICY.read_text(encoding="utf-8")))
    found = tribunal.ranked(hearing.reviews)
    return {
        "seed": seed.name,
        "question": seed.question,
        "old_score": seed.old_score,
        "old_policy": seed.old_policy,
        "claims": len(claims),
        "ticked_then": sum(v for _, v in seed.claims),
        "verdicts": {v.value: n for v in Verdict if (n := sum(r.verdict is v for r in rulings))},
        "score": hearing.score,
        "decision": hearing.decision,
        "policy": decided.decision.value,
        "rule": decided.rule,
        "first_finding": found[0].kind if found else None,
        "findings": [{"role": f.role.value, "kind": f.kind, "severity": f.severity.value, "text": f.text} for f in found],
    }


def _paper(arxiv_id: str, notes: dict[str, tuple[Paper, Document]]) -> Paper:
    if arxiv_id in notes:
        return notes[arxiv_id][0]
    return Paper(f"arxiv:{arxiv_id}", TITLES.get(arxiv_id, f"arXiv {arxiv_id}"), arxiv_id=arxiv_id)


def _lead(seed: Seed, papers: dict[str, Paper]) -> Paper | None:
    wanted = identity.normalise_title(seed.source_title)
    return next((p for p in papers.values() if identity.normalise_title(p.title) == wanted), None)


def _judged(
    seed: Seed, asked: Any, lead: Paper | None, home: list[str], notes: dict[str, tuple[Paper, Document]]
) -> tuple[tuple[Claim, ...], tuple[Ruling, ...]]:
    own = [(lead.paper_id, notes[lead.arxiv_id][1])] if lead is not None and lead.arxiv_id in notes else []
    claims, rulings = [], []
    for text, _ in seed.claims:
        slots = parse_slots(text)
        answers = claims_station.answered_facets(asked, slots, text, home)
        claim = Claim("c-" + seal.sha256(text)[:12], text, slots, paper_id=lead.paper_id if lead else None, answers=answers)
        claims.append(claim)
        rulings.append(verify.verify_claim(claim, own))
    return tuple(claims), tuple(rulings)


def _draft(
    seed: Seed, asked: Any, claims: tuple[Claim, ...], rulings: tuple[Ruling, ...], lead: Paper | None, references: tuple[str, ...]
) -> Draft:
    """The draft as printed: its abstract, then its claims as what it states; a part counts as answered when a claim that stands speaks of it."""
    stands = {r.claim_id for r in rulings if r.verdict in STATED}
    coverage = []
    for facet in asked.facets:
        by = tuple(c.claim_id for c in claims if facet.id in c.answers and c.claim_id in stands)
        coverage.append(Coverage(facet.id, bool(by), by, "" if by else "no claim that stands speaks of it"))
    abstract = tuple(Sentence(f"a{n}", seed.abstract[a:b], SentenceKind.CLAIM) for n, (a, b) in enumerate(sentences(seed.abstract), 1))
    cited = (lead.paper_id,) if lead else ()
    listed = tuple(Sentence(f"s{n}", c.text, SentenceKind.CLAIM, (c.claim_id,), citations=cited) for n, c in enumerate(claims, 1))
    doubts = tuple(
        Sentence(f"u{n}", seed.uncertainties[a:b], SentenceKind.FRAME) for n, (a, b) in enumerate(sentences(seed.uncertainties), 1)
    )
    sections = (Section("Extracted Claims", listed), Section("Uncertainties", doubts))
    return Draft(seed.title, abstract, sections, tuple(coverage), references)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=Path, default=ROOT.parent / "shared" / "seeds")
    folder = parser.parse_args().seeds
    notes = shelf()
    rows = [rejudge(parse(f), notes) for f in sorted(folder.glob("*.txt"))]
    for r in rows:
        then = f"{r['seed']} then {r['old_score']:>4} {r['old_policy']:18}"
        print(f"{then} now {r['score']:>5} {r['decision']:8} {r['policy']:18} {r['rule']:28} {r['first_finding']}")
    result = {
        "seeds": len(rows),
        "below_6_5_or_escalated": sum(r["score"] < 6.5 or r["policy"] != "AUTO_APPROVE" for r in rows),
        "approved": sum(r["policy"] == "AUTO_APPROVE" for r in rows),
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}))


if __name__ == "__main__":
    main()
