"""Claim-worthy statements that bear on the facets, never cut, each with its span. Imports records and language; refuses to judge their truth.

Extractive: a claim is a sentence of a document that was read (or a table row, spelled out with caption and header). What was looked at and not taken is
counted with its reason. Statements of absence ("reports no latency") are claims too: they are how a draft can say why a facet cannot be answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sovereign import seal
from sovereign.kernel import language
from sovereign.records import (
    Basis,
    Claim,
    ClaimSet,
    Direction,
    Document,
    Facet,
    FacetKind,
    Paper,
    PaperKind,
    Passage,
    PassageKind,
    Question,
    Slots,
    Span,
)

WEIGHTS = {FacetKind.SYSTEM: 1.5, FacetKind.METRIC: 1.5, FacetKind.COMPARATOR: 1.0, FacetKind.DATASET: 1.2, FacetKind.CONDITION: 0.6}
MIN_WORDS, MAX_WORDS = 6, 75
MAX_TABLE_CLAIMS = 4
# a broader facet is also spoken to by its parts
PARTS = {
    "metric:latency": ("metric:ttft", "metric:tpot"),
    "metric:speed": ("metric:latency", "metric:ttft", "metric:tpot", "metric:throughput"),
    "metric:inference efficiency": (
        "metric:latency",
        "metric:ttft",
        "metric:tpot",
        "metric:throughput",
        "metric:memory",
        "metric:communication",
    ),
}
_ABSENCE = re.compile(
    r"\b(?:reports? (?:no|neither)|(?:does|do|did) not (?:report|appear|give|use|state|name|explain|include|cover)|gives? no|"
    r"no \w[\w\s-]{0,60}? (?:is|are|was|were) (?:reported|evaluated|measured|defined|given|stated|printed)|"
    r"(?:is|are) not (?:reported|evaluated|measured|defined|among|part of|used|stated|explained)|has no \w|"
    r"never (?:measured|reported|reduced|evaluated)|says nothing|in quality only)",
    re.I,
)
_CAUTION = re.compile(r"caveat|limitation|threats to validity", re.I)
_BACKGROUND = re.compile(r"what it is|how it works|setting|background|related work|introduction|preliminar|notation|motivation", re.I)
_PROMISE = re.compile(
    r"^(?:in this (?:paper|work|study)|we (?:propose|introduce|present|describe|study|investigate|explore|aim|release|hope)|this (?:paper|work) )",
    re.I,
)
_DANGLING = re.compile(
    r"^(?:it|they|these|this|those|such|its|their|he|she|here|there|however|moreover|furthermore|additionally|also|then|thus|hence|therefore)\b",
    re.I,
)
_PROVENANCE = re.compile(
    r"\s*\((?:abstract|secondary note|secondary notes|author page|(?:own )?calculation|abstract and secondary note)\)(?=\.?$)", re.I
)


@dataclass(frozen=True)
class Source:
    """One document that was read, with the paper it belongs to."""

    paper: Paper
    document: Document
    digest: str


def extract(question: Question, sources: Sequence[Source], *, at_most: int) -> ClaimSet:
    """The best claims for the question, in order of relevance; ties by document and place. Deterministic."""
    candidates: list[Claim] = []
    dropped: list[tuple[str, str]] = []
    for source in sources:
        home = _home_systems(question, source.paper)
        for passage in source.document.passages:
            for claim, why_not in _from_passage(question, source, passage, home):
                (candidates.append(claim) if why_not is None else dropped.append((claim.text, why_not)))
    candidates.sort(key=lambda c: (-(c.relevance or 0.0), c.paper_id or "", c.span.start if c.span else 0))
    kept: list[Claim] = []
    for claim in candidates:
        twin = next((k for k in kept if _same(k, claim)), None)
        if twin is not None:
            dropped.append((claim.text, f"says the same as {twin.claim_id}"))
        else:
            kept.append(claim)
    chosen = _balanced(question, kept, at_most)
    dropped += [(c.text, "less relevant than the claims kept") for c in kept if c not in chosen]
    return ClaimSet(tuple(chosen), tuple(dropped))


def anchored(document: Document, claim: Claim) -> Document:
    """The document with only the passage that carries the claim: a claim is verified where it stands, not where its numbers stand too."""
    span = claim.span
    if span is None:
        return document
    return replace(
        document, passages=tuple(p for p in document.passages if p.start <= span.start and span.end <= p.end) or document.passages
    )


def is_absence(text: str) -> bool:
    """Whether a statement says that something was not done or not reported."""
    return bool(_ABSENCE.search(text))


def is_caution(claim: Claim) -> bool:
    """Whether a statement warns about others (it stands in a caveats or limitations section) instead of reporting a finding."""
    return claim.span is not None and bool(_CAUTION.search(claim.span.section))


def reports(slots: Slots, section: str) -> bool:
    """Whether a statement reports a finding: a measured value, or a direction outside background sections."""
    measured = any(v.unit or v.decimals for v in slots.values)
    return measured or (slots.direction is not Direction.NONE and not _BACKGROUND.search(section))


def answered_facets(question: Question, slots: Slots, text: str, systems: Sequence[str]) -> tuple[str, ...]:
    """Facet ids that the statement speaks to. A statement about another system answers nothing but that system's own facets."""
    about = {f.id for f in question.facets if f.kind is FacetKind.SYSTEM and (f.id in systems or language.mentions(f, text))}
    if any(f.kind is FacetKind.SYSTEM for f in question.facets) and not about:
        return ()
    touched = {f.id for f in question.facets if f.kind is not FacetKind.SYSTEM and language.mentions(f, text)}
    absent = is_absence(text)
    for whole, parts in PARTS.items():
        if not absent and (touched & set(parts) or any(language.mentions(_part(p), text) for p in parts)):
            touched |= {f.id for f in question.facets if f.id == whole}
        elif absent and whole in touched:  # who reports no latency reports no TTFT either
            touched |= {f.id for f in question.facets if f.id in parts}
    return tuple(f.id for f in question.facets if f.id in about | touched)


def _part(facet_id: str) -> Facet:
    word = facet_id.split(":", 1)[1]
    return Facet(FacetKind.METRIC, word, (word,))


def _home_systems(question: Question, paper: Paper) -> tuple[str, ...]:
    """The question's systems that this paper is about: its title names them."""
    known_by = "\n".join([paper.title, *paper.names])
    return tuple(
        f.id for f in question.facets if f.kind is FacetKind.SYSTEM and (language.mentions(f, known_by) or paper.arxiv_id in f.aliases)
    )


def _from_passage(question: Question, source: Source, passage: Passage, home: tuple[str, ...]) -> list[tuple[Claim, str | None]]:
    if passage.kind in (PassageKind.REFERENCE, PassageKind.EQUATION):
        return []
    if passage.kind is PassageKind.TABLE_ROW:
        return _from_row(question, source, passage, home)
    out = []
    for start, end in language.sentences(passage.text):
        raw = passage.text[start:end]
        text = _PROVENANCE.sub("", raw)
        if not text.strip():
            continue
        span = Span(source.document.sha256, passage.start + start, passage.start + end, raw, source.paper.paper_id, passage.section)
        out.append(_claim(question, source, passage, text, span, home))
    return out


def _from_row(question: Question, source: Source, passage: Passage, home: tuple[str, ...]) -> list[tuple[Claim, str | None]]:
    table = passage.table
    if table is None or len(table.header) != len(table.cells) or len(table.cells) < 2 or not table.caption:
        return []
    caption = _PROVENANCE.sub("", re.sub(r"^\s*Table[\s\d.:]*", "", table.caption).strip())
    cells = ", ".join(f"{h} = {c}" for h, c in zip(table.header[1:], table.cells[1:], strict=True) if c.strip() and c.strip() not in "-–—")
    text = f"{caption.rstrip('.')}; {table.header[0] or 'row'} {table.cells[0]}: {cells}."
    span = Span(source.document.sha256, passage.start, passage.end, passage.text, source.paper.paper_id, passage.section)
    return [_claim(question, source, passage, text, span, home)]


def _claim(question: Question, source: Source, passage: Passage, text: str, span: Span, home: tuple[str, ...]) -> tuple[Claim, str | None]:
    slots = language.parse_slots(text, table=passage.table)
    answers = answered_facets(question, slots, text, home)
    key = language.comparison_key(slots)
    claim = Claim("c-" + seal.digest([text, span.doc_sha256, span.start])[:12], text, slots, key, span, source.paper.paper_id, answers)
    why_not = _unworthy(question, source, passage, text, claim, home)
    return replace(claim, relevance=_relevance(question, claim, source, home)), why_not


def _unworthy(question: Question, source: Source, passage: Passage, text: str, claim: Claim, home: tuple[str, ...]) -> str | None:
    words = len(text.split())
    facets = {f.id: f for f in question.facets}
    beyond = [a for a in claim.answers if facets[a].kind is not FacetKind.SYSTEM]
    if words < MIN_WORDS:
        return "too short to be a claim"
    if words > MAX_WORDS:
        return "too long to be one claim"
    if text.rstrip().endswith("?"):
        return "a question"
    if not text.rstrip().endswith((".", "!", ";", ":", "”", '"')) and passage.kind is not PassageKind.TABLE_ROW:
        return "not a whole sentence"
    if source.paper.kind is not PaperKind.NOTE and _PROMISE.match(text) and not claim.slots.values:
        return "announces the paper's content"
    if _DANGLING.match(text) and not language.names(text) and source.paper.kind is not PaperKind.NOTE:
        return "refers back to a sentence before it"
    if source.paper.kind is PaperKind.NOTE and text.startswith("This is a reading note"):
        return "says what the document is"
    if not beyond:
        return "speaks to no facet of the question" if claim.answers or not facets else "is not about the system asked about"
    if not (is_absence(text) or is_caution(claim) or reports(claim.slots, passage.section)):
        return "reports neither a measured value nor a direction"
    return None


def _relevance(question: Question, claim: Claim, source: Source, home: tuple[str, ...]) -> float:
    """The written rule: facet weights, plus value and direction, plus closeness to the system asked about; own-system documents first."""
    kinds = {f.id: f.kind for f in question.facets}
    score = sum(WEIGHTS[kinds[a]] for a in claim.answers)
    score += 1.0 if claim.slots.values else 0.0
    score += 0.5 if claim.slots.direction is not Direction.NONE else 0.0
    score += 2.0 if home else 0.0
    score += 0.8 if any(f.kind is FacetKind.SYSTEM and language.mentions(f, claim.text) for f in question.facets) else 0.0
    score -= 0.4 * len(claim.slots.hedge)
    score -= 0.5 if source.document.basis is Basis.ABSTRACT_ONLY else 0.0
    score -= 0.6 if claim.span and (_BACKGROUND.search(claim.span.section) or _CAUTION.search(claim.span.section)) else 0.0
    return round(score, 4)


def _same(a: Claim, b: Claim) -> bool:
    """The same statement twice: nearly the same words, or an equal comparison key with equal values."""
    x, y = set(language.tokens(a.text)), set(language.tokens(b.text))
    overlap = len(x & y) / (len(x | y) or 1)
    mine, theirs = (sorted((v.low, v.high, v.unit) for v in c.slots.values) for c in (a, b))
    if a.key is not None and a.key == b.key and mine and mine == theirs:
        return overlap > 0.5
    return overlap > 0.85


def _balanced(question: Question, claims: Sequence[Claim], at_most: int) -> list[Claim]:
    """Every facet gets its best three (absences its best one) before any facet gets more; table rows are held to a few."""
    chosen: dict[str, Claim] = {}
    for facet in question.facets:
        if facet.kind is FacetKind.SYSTEM:
            continue
        bearing = [c for c in claims if facet.id in c.answers]
        for claim in [c for c in bearing if not is_absence(c.text)][:3]:
            chosen.setdefault(claim.claim_id, claim)
        firsts: dict[str | None, Claim] = {}
        for claim in [c for c in bearing if is_absence(c.text)]:
            firsts.setdefault(claim.paper_id, claim)  # one per work: each system has its own silence
        for claim in firsts.values():
            chosen.setdefault(claim.claim_id, claim)
    rows = 0
    for claim in claims:
        if len(chosen) >= at_most:
            break
        is_row = claim.span is not None and " | " in claim.span.quote
        if is_row and rows >= MAX_TABLE_CLAIMS:
            continue
        if claim.claim_id not in chosen:
            rows += is_row
            chosen[claim.claim_id] = claim
    order = {c.claim_id: i for i, c in enumerate(claims)}
    return sorted(chosen.values(), key=lambda c: order[c.claim_id])[:at_most]
