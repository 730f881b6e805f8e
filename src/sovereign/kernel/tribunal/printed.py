"""What the draft prints beside its claims, against the records: table rows, trial results, counts and coverage. Imports records and language;
refuses to know how the draft was laid out (it compares contents, not positions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sovereign.kernel.language import alias_key, mentions, parse_slots
from sovereign.kernel.tribunal.record import Dossier, sentences_of
from sovereign.kernel.tribunal.wording import plain
from sovereign.records import Claim, Coverage, Facet, FacetKind, GateVerdict, Passage, Sentence, SentenceKind, Verdict

STATED = (Verdict.SUPPORTED, Verdict.QUALIFIED)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# a facet that is also spoken to by its parts: who states a TTFT states a latency
_BROAD = {
    "metric:latency": r"ttft|tpot|time per|time to|latenc|seconds?\b|\bms\b",
    "metric:speed": r"ttft|tpot|time|latenc|throughput|speed|fast|slow|tokens per second",
    "metric:inference efficiency": r"ttft|tpot|time|latenc|throughput|speed|fast|slow|memory|communication|flops|efficien",
}


# --- tables ---


def rows_off(d: Dossier) -> list[str]:
    """Rows of the draft's tables of values that no single stated claim of their source carries."""
    by_id = {r.claim_id: r for r in d.rulings}
    stated = [c for c in d.claims if c.claim_id in by_id and by_id[c.claim_id].verdict in STATED]
    off = []
    for section in d.draft.sections:
        for table in section.tables:
            if not {"Metric", "System", "Value", "Source"} <= set(table.header):
                continue
            cells = [dict(zip(table.header, row, strict=False)) for row in table.rows]
            carriers = [[c.claim_id for c in stated if c.paper_id in _cited(d, cell["Source"]) and _carries(c, cell)] for cell in cells]
            off += [" | ".join(table.rows[i])[:120] for i in _without_own(carriers)]
    return off


def _without_own(carriers: Sequence[Sequence[str]]) -> list[int]:
    """Rows left over when every row must have a claim of its own (bipartite matching by augmenting paths)."""
    taken: dict[str, int] = {}

    def place(row: int, seen: set[str]) -> bool:
        for claim in carriers[row]:
            if claim not in seen:
                seen.add(claim)
                if claim not in taken or place(taken[claim], seen):
                    taken[claim] = row
                    return True
        return False

    return [row for row in range(len(carriers)) if not place(row, set())]


def _cited(d: Dossier, mark: str) -> set[str]:
    numbers = [int(n) for n in re.findall(r"\d+", mark)]
    return {d.draft.references[n - 1] for n in numbers if 0 < n <= len(d.draft.references)}


def _carries(claim: Claim, cell: dict[str, str]) -> bool:
    """Every printed value, and the metric, system and setting printed beside it, are this claim's own."""
    raws = [plain(v.raw) for v in claim.slots.values]
    values = [plain(v) for v in cell["Value"].split(", ")]
    if len(values) < len([v for v in claim.slots.values if v.unit or v.decimals]) and len(values) < 4:
        return False
    if not all(any(v == raw for raw in raws) or v in plain(claim.text) for v in values):
        return False
    own = {alias_key(x) for x in (*claim.slots.metric, *claim.slots.subject, *claim.slots.condition, *claim.slots.comparator)}
    if claim.key is not None:
        own |= {alias_key(p) for p in (claim.key.subject, claim.key.metric)}
    printed = [cell[k] for k in ("Metric", "System", "Setting", "Against") if cell.get(k, "—") != "—"]
    return all(alias_key(p) in own or alias_key(p) in alias_key(claim.text) for text in printed for p in text.split(", "))


def table_row(d: Dossier, claim: Claim) -> Passage | None:
    """The table row a claim was taken from; None for a claim from running text."""
    document = d.documents.get(claim.span.doc_sha256) if claim.span else None
    if document is None or claim.span is None:
        return None
    return next((p for p in document.passages if p.table is not None and p.start == claim.span.start and p.end == claim.span.end), None)


def row_misread(claim: Claim, passage: Passage) -> bool:
    """A claim from a table row must carry that row's label and cells and no other numbers."""
    table = passage.table
    if table is None:
        return False
    label = plain(table.cells[0]) if table.cells else ""
    if label and label not in plain(claim.text):
        return True
    allowed = plain(" ".join([table.caption, *table.header, *table.cells]))
    numbers = set(_NUMBER.findall(plain(claim.text)))
    pairs = dict(re.findall(r"(?:^|[:,] )([^=:]+?) = ([^=]+?)(?=, [^=,]+ = |\.?$)", claim.text))
    swapped = any(plain(h) in pairs and plain(pairs[plain(h)]) != plain(c) for h, c in zip(table.header[1:], table.cells[1:], strict=False))
    whole = all(plain(c) in plain(claim.text) for c in table.cells if c.strip() and c.strip() not in "-–—")
    return swapped or not whole or not numbers <= set(_NUMBER.findall(allowed))


# --- trials ---


def trials_misreported(d: Dossier) -> list[Sentence]:
    """Sentences on a trial that say another result than its record."""
    trials = {t.trial_id: t for t in d.trials}
    bad = []
    for s in sentences_of(d.draft):
        own = [st for t in s.trials if t in trials for st in trials[t].statements]
        if s.kind is not SentenceKind.CLAIM or not s.trials or not own:
            continue
        if not any(_told(plain(s.text), st.text if st.prediction is None else st.prediction.statement, st.why, st.verdict) for st in own):
            bad.append(s)
    return bad


def _told(sentence: str, statement: str, why: str, verdict: GateVerdict) -> bool:
    held = " did not hold" not in sentence
    right = verdict is GateVerdict.VERIFIED if held else verdict is GateVerdict.FALSIFIED
    return right and plain(statement).rstrip(".") in sentence and plain(why).rstrip(".") in sentence


# --- counts and coverage ---


def miscounted(d: Dossier) -> list[Sentence]:
    """Sentences that miscount the parts of the question or claim more findings than there are."""
    answered, stated = sum(c.answered for c in d.draft.coverage), sum(r.verdict in STATED for r in d.rulings)
    bad = []
    for s in sentences_of(d.draft):
        parts = re.search(r"Of the (\d+) parts? of the question (\d+) (?:is|are) answered", s.text)
        if parts and (int(parts.group(1)), int(parts.group(2))) != (len(d.draft.coverage), answered):
            bad.append(s)
        every = re.search(r"All (\d+) parts of the question are answered", s.text)
        if every and (int(every.group(1)) != len(d.draft.coverage) or answered != len(d.draft.coverage)):
            bad.append(s)
        found = re.search(r"(\d+) findings? stands? after verification", s.text)
        if found and int(found.group(1)) > stated:
            bad.append(s)
    return bad


def not_carried(d: Dossier) -> list[tuple[Coverage, str]]:
    """Parts called answered whose claims do not stand, do not speak of the part, or are about another system."""
    facets = {f.id: f for f in d.question.facets}
    verdicts = {r.claim_id: r.verdict for r in d.rulings}
    claims = {c.claim_id: c for c in d.claims}
    trials = {t.trial_id for t in d.trials}
    out = []
    for entry in d.draft.coverage:
        if not entry.answered:
            continue
        facet = facets.get(entry.facet)
        standing = [claims[i] for i in entry.by if i in claims and verdicts.get(i) in STATED]
        if facet is None:
            out.append((entry, "it is no part of the question"))
        elif any(i in trials for i in entry.by):
            continue
        elif not standing:
            out.append((entry, "no claim behind it stands"))
        elif not any(_speaks(facet, c, d) for c in standing):
            out.append((entry, "the claims behind it do not speak of it"))
        elif not any(_about_asked(c, d) for c in standing):
            out.append((entry, "the claims behind it are about another system"))
    return out


def _speaks(facet: Facet, claim: Claim, d: Dossier) -> bool:
    around = claim.text
    if (row := table_row(d, claim)) is not None and row.table is not None:
        around += " " + " ".join([row.table.caption, *row.table.header])
    if facet.kind is FacetKind.SYSTEM:
        return mentions(facet, around) or _titled(facet, claim, d)
    if mentions(facet, around):
        return True
    return facet.id in _BROAD and re.search(_BROAD[facet.id], around, re.I) is not None


def _about_asked(claim: Claim, d: Dossier) -> bool:
    systems = [f for f in d.question.facets if f.kind is FacetKind.SYSTEM]
    return not systems or any(mentions(f, claim.text) or _titled(f, claim, d) for f in systems)


def _titled(facet: Facet, claim: Claim, d: Dossier) -> bool:
    """The claim's own work is the one on this system."""
    paper = next((a.paper for a in d.admissions if a.paper.paper_id == claim.paper_id), None)
    return paper is not None and (mentions(facet, "\n".join([paper.title, *paper.names])) or paper.arxiv_id in facet.aliases)


def open_numbers(d: Dossier) -> Iterator[tuple[Sentence, str]]:
    """Frame and gap sentences without claims that state a measured value: (sentence, value). What a source says must name its claim."""
    reasons = [*(f.text for f in d.question.facets), *(c.why_not for c in d.draft.coverage)] + [
        t.why for trial in d.trials for t in trial.statements
    ]
    own = {s.sentence_id for s in d.draft.abstract} | {
        s.sentence_id
        for section in d.draft.sections
        for s in section.sentences
        if section.title in ("Answer", "Evidence by comparison key")
    }
    for s in sentences_of(d.draft):
        if s.kind is SentenceKind.CLAIM or s.claims or s.trials or s.sentence_id not in own:
            continue
        text = plain(s.text)
        for reason in sorted((plain(r).rstrip(".") for r in reasons if r), key=len, reverse=True):
            text = text.replace(reason, " ")
        measured = [v for v in parse_slots(text).values if v.unit not in ("", "count")]
        if measured:
            yield s, measured[0].raw


def duplicates(claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Pairs of claims that are one: the same passage, or the same words from the same work."""
    seen: dict[tuple[str, ...], str] = {}
    out = []
    for c in claims:
        keys: list[tuple[str, ...]] = [(c.paper_id or "", re.sub(r"\W+", "", c.text.lower()))]
        if c.span is not None:
            keys.append((c.span.doc_sha256, str(c.span.start), str(c.span.end)))
        first = next((seen[k] for k in keys if k in seen), None)
        if first is not None:
            out.append((first, c.claim_id))
        for k in keys:
            seen.setdefault(k, c.claim_id)
    return out
