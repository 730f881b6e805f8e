"""VALIDATOR: checks what stands. Imports records; refuses to judge relevance (the other two do).

Checks: how much was grounded, that every span says what it is said to say and carries the claim's numbers, that every sentence says what its claim
says, that references resolve both ways, that claims are whole, that table rows and trial results are reported as recorded, that printed changes follow
from printed values, that levels above L4 have a trial, that one work or one statement is not counted twice, and what was not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign import identity
from sovereign.kernel.language import parse_slots
from sovereign.kernel.tribunal import printed, wording
from sovereign.kernel.tribunal.record import Dossier, said_otherwise, sentences_of
from sovereign.records import (
    Act,
    Basis,
    Claim,
    Finding,
    Found,
    Level,
    Paper,
    PaperKind,
    Role,
    Scale,
    SentenceKind,
    Severity,
    Stance,
    State,
    Verdict,
)

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
ENOUGH_VERIFIED = 5  # the original system's threshold, kept
_CHANGE = re.compile(
    r"from (?P<a>\d[\d.,]*)\s*(?P<u>%|[A-Za-zµ/]+)? to (?P<b>\d[\d.,]*)\s*(?:%|[A-Za-zµ/]+)?[^.;]*?(?P<c>\d+(?:\.\d+)?)\s*%\s*"
    r"(?P<word>reduction|decrease|drop|saving|increase|gain|lower|higher|less|more|improvement|rise)",
    re.I,
)


def check(d: Dossier) -> list[Finding]:
    parts = (
        _grounding,
        _spans,
        _carried,
        _sentences,
        _references,
        _whole,
        _printed,
        _arithmetic,
        _levels,
        _twice,
        _withdrawn,
        _basis,
        _not_run,
    )
    return [finding for part in parts for finding in part(d)]


def _finding(kind: str, severity: Severity, text: str, targets: tuple[str, ...] = (), act: Act = Act.NONE) -> Finding:
    return Finding(Role.VALIDATOR, kind, severity, text, targets, act)


def _grounding(d: Dossier) -> Iterator[Finding]:
    supported = [r for r in d.rulings if r.verdict is Verdict.SUPPORTED]
    if not supported:
        yield _finding(
            "nothing_grounded", Severity.BLOCKING, f"None of {len(d.rulings)} statements is supported by a passage.", (), Act.REQUERY
        )
        return
    if len(supported) < ENOUGH_VERIFIED:
        yield _finding(
            "few_grounded", Severity.MAJOR, f"{len(supported)} statements are supported; {ENOUGH_VERIFIED} are asked for.", (), Act.REQUERY
        )
    rate = len(supported) / len(d.rulings)
    if rate < 0.6:
        yield _finding("low_grounding_rate", Severity.MAJOR, f"{len(supported)} of {len(d.rulings)} statements are supported ({rate:.0%}).")


def _spans(d: Dossier) -> Iterator[Finding]:
    spans = [(r.claim_id, e.span) for r in d.rulings for e in r.evidence] + [(c.claim_id, c.span) for c in d.claims]
    spans += [(claim_id, q.span) for claim_id, q in d.qualifiers.items()]
    home = {c.claim_id: c.span.doc_sha256 for c in d.claims if c.span is not None}
    bad = [c for c, q in d.qualifiers.items() if home.get(c) != q.span.doc_sha256]
    for claim_id, span in spans:
        if span is None or claim_id in bad:
            continue
        if span.doc_sha256 not in d.documents or d.documents[span.doc_sha256].text[span.start : span.end] != span.quote:
            bad.append(claim_id)
    if bad:
        yield _finding(
            "span_does_not_match",
            Severity.BLOCKING,
            f"{len(bad)} piece(s) of evidence do not say what they are said to say.",
            tuple(bad),
            Act.DROP,
        )


def _carried(d: Dossier) -> Iterator[Finding]:
    """The passages given as support hold the claim's numbers; a claim that rests on a passage about something else is not grounded."""
    claims = {c.claim_id: c for c in d.claims}
    bad = []
    for ruling in d.rulings:
        claim = claims.get(ruling.claim_id)
        quotes = [e.span.quote for e in ruling.evidence if e.span is not None and e.stance is Stance.SUPPORTS]
        if claim is None or ruling.verdict not in printed.STATED or (not quotes and any(e.trial_id for e in ruling.evidence)):
            continue
        row = printed.table_row(d, claim)
        around = " ".join([*quotes, *([row.table.caption, *row.table.header] if row is not None and row.table is not None else [])])
        if not quotes or not _holds_numbers(claim.text, around):
            bad.append(ruling.claim_id)
    if bad:
        yield _finding(
            "evidence_does_not_carry",
            Severity.BLOCKING,
            f"{len(bad)} claim(s) are called supported by passages that do not hold their numbers, or by none.",
            tuple(bad),
            Act.DROP,
        )


def _holds_numbers(claim: str, passages: str) -> bool:
    """Every figure of the claim stands in the passages, as written or as the same quantity (12.5 % for 8 of 64)."""
    written = {m.rstrip(".,") for m in _NUMBER.findall(wording.plain(passages))}
    lost = {m.rstrip(".,") for m in _NUMBER.findall(wording.plain(claim))} - written
    if not lost:
        return True
    shares = {round(100 * float(a) / float(b), 3) for a, b in re.findall(r"\b(\d+) (?:of|out of) (?:the )?(\d+)\b", passages) if float(b)}
    theirs = {(round(v.low, 9), v.unit) for v in parse_slots(passages).values}
    mine = [v for v in parse_slots(claim).values if any(x in wording.plain(v.raw) for x in lost)]
    return bool(mine) and all((round(v.low, 9), v.unit) in theirs or (v.unit == "percent" and round(v.low, 3) in shares) for v in mine)


def _sentences(d: Dossier) -> Iterator[Finding]:
    """Every sentence says what its claims say; overclaims are SKEPTIC's."""
    changed: list[tuple[str, str, wording.Difference]] = []
    reworded: list[tuple[str, str, wording.Difference]] = []
    for sentence, found in said_otherwise(d):
        for difference in found:
            if difference.slot == "wording":
                reworded.append((sentence.sentence_id, sentence.text, difference))
            elif difference.slot not in wording.WEAKENS_THE_CLAIM:
                changed.append((sentence.sentence_id, sentence.text, difference))
    for kind, severity, held, what in (
        ("sentence_differs_from_claim", Severity.BLOCKING, changed, "do not say what the claim behind them says"),
        ("wording_not_the_claims", Severity.MINOR, reworded, "use words that nobody verified"),
    ):
        if held:
            first = held[0]
            ids = tuple(dict.fromkeys(h[0] for h in held))
            text = f"{len(ids)} sentence(s) {what}, first ({first[2].slot}): {first[2].text}; in “{first[1][:90]}”."
            yield _finding(kind, severity, text, ids, Act.REWRITE)


def _printed(d: Dossier) -> Iterator[Finding]:
    if off := printed.rows_off(d):
        yield _finding(
            "table_row_off", Severity.BLOCKING, f"{len(off)} row(s) of the tables are no stated claim's: {off[0]}.", tuple(off), Act.REWRITE
        )
    if told := printed.trials_misreported(d):
        text = f"{len(told)} sentence(s) report another result than the trial's record, first: “{told[0].text[:110]}”."
        yield _finding("trial_misreported", Severity.BLOCKING, text, tuple(s.sentence_id for s in told), Act.REWRITE)
    if wrong := printed.miscounted(d):
        text = f"{len(wrong)} sentence(s) miscount this run, first: “{wrong[0].text[:110]}”."
        yield _finding("count_misstated", Severity.BLOCKING, text, tuple(s.sentence_id for s in wrong), Act.REWRITE)
    if loose := list(printed.open_numbers(d)):
        text = f"{len(loose)} sentence(s) state a measured value ({loose[0][1]}) and name no claim that carries it, first: “{loose[0][0].text[:90]}”."
        yield _finding("value_without_claim", Severity.BLOCKING, text, tuple(s.sentence_id for s, _ in loose), Act.REWRITE)


def _references(d: Dossier) -> Iterator[Finding]:
    cited = {p for s in sentences_of(d.draft) for p in s.citations}
    unresolved = sorted(cited - set(d.draft.references))
    idle = [p for p in d.draft.references if p not in cited and not _marked(d, p)]
    claims = {c.claim_id: c for c in d.claims}
    evidence = {r.claim_id: r.evidence for r in d.rulings}
    elsewhere = []
    for s in sentences_of(d.draft):
        own = [c for c in s.claims if c in claims]
        expected = {claims[c].paper_id for c in own}
        carrying = expected | {e.span.paper_id for c in own if c in evidence for e in evidence[c] if e.span is not None}
        if own and s.kind is not SentenceKind.FRAME and (not expected <= set(s.citations) or not set(s.citations) <= carrying):
            elsewhere.append(s.sentence_id)
    if unresolved:
        yield _finding(
            "reference_unresolved",
            Severity.BLOCKING,
            f"{len(unresolved)} citation(s) lead to no reference: {unresolved[0]}.",
            tuple(unresolved),
        )
    if elsewhere:
        yield _finding(
            "citation_swapped",
            Severity.BLOCKING,
            f"{len(elsewhere)} sentence(s) cite another source than the one that carries them.",
            tuple(elsewhere),
            Act.REWRITE,
        )
    if idle:
        yield _finding(
            "reference_contributes_nothing",
            Severity.MAJOR,
            f"{len(idle)} reference(s) carry no sentence: {idle[0]}.",
            tuple(idle),
            Act.DROP,
        )


def _marked(d: Dossier, paper_id: str) -> bool:
    mark = str(d.draft.references.index(paper_id) + 1)
    cells = (c for section in d.draft.sections for t in section.tables for row in t.rows for c in row)
    if any(re.fullmatch(r"\[[\d, ]+\]", c) and mark in re.findall(r"\d+", c) for c in cells):
        return True
    return any(mark in re.findall(r"\d+", m) for s in sentences_of(d.draft) for m in re.findall(r"\[[\d, ]+\]", s.text))


def _whole(d: Dossier) -> Iterator[Finding]:
    cut = [c.claim_id for c in d.claims if _cut(c) and printed.table_row(d, c) is None]
    off = [c.claim_id for c in d.claims if (row := printed.table_row(d, c)) is not None and printed.row_misread(c, row)]
    if cut:
        text = f"{len(cut)} claim(s) are not the sentence they were taken from, or break off before its end."
        yield _finding("claim_cut_or_changed", Severity.BLOCKING, text, tuple(cut), Act.DROP)
    if off:
        text = f"{len(off)} claim(s) do not say what their table row says."
        yield _finding("table_row_misread", Severity.BLOCKING, text, tuple(off), Act.DROP)


def _cut(claim: Claim) -> bool:
    """A claim is its whole sentence; only a closing bracket that names where a fact comes from may be missing. Without a span it must at least end."""
    mine = re.sub(r"\W+", "", claim.text.lower())
    if claim.span is None:
        return len(claim.text) >= 60 and not re.search(r"[.!?;:”\"')\]]\s*$", claim.text)
    if " | " in claim.span.quote:
        return False
    whole = claim.span.quote
    return mine not in (re.sub(r"\W+", "", w.lower()) for w in (whole, re.sub(r"\s*\([^()]{3,40}\)(?=\W*$)", "", whole)))


def _arithmetic(d: Dossier) -> Iterator[Finding]:
    wrong = [c.claim_id for c in d.claims if _miscalculated(c)]
    if wrong:
        yield _finding(
            "arithmetic_off",
            Severity.MINOR,
            f"In {len(wrong)} claim(s) the printed change does not follow from the printed values.",
            tuple(wrong),
            Act.TELL_OWNER,
        )


def _miscalculated(claim: Claim) -> bool:
    """Off by more than the printed rounding can explain (each printed value may be half a unit of its last digit away)."""
    match = _CHANGE.search(claim.text)
    if match is None:
        return False
    a, b, c = (match.group(g).rstrip(".,") for g in "abc")
    x, y, change = (float(v.replace(",", "")) for v in (a, b, c))
    if x == 0 or y == 0:
        return False
    slack = _half_unit(c) + 100 * (_half_unit(a) + _half_unit(b)) / min(x, y) + 0.05
    return all(abs(abs(y - x) / base * 100 - change) > slack for base in (x, y)) and match.group("u") != "%"


def _half_unit(printed: str) -> float:
    return 0.5 * 10.0 ** -(len(printed.split(".")[1]) if "." in printed else 0)


def _levels(d: Dossier) -> Iterator[Finding]:
    """L5 needs a trial of this run's record behind the claim, L6 one at exact scale; L7 is a person's signature, which no draft can carry yet."""
    scale = {t.trial_id: t.scale for t in d.trials}
    over = []
    for r in d.rulings:
        own = [scale[e.trial_id] for e in r.evidence if e.trial_id in scale and e.stance is Stance.SUPPORTS]
        allowed = Level.L6_REPRODUCED if Scale.EXACT in own else Level.L5_EXECUTED if own else Level.L4_INSPECTED
        if r.level > allowed:
            over.append(r.claim_id)
    if over:
        text = f"{len(over)} claim(s) carry a level above L4 that no trial behind them allows."
        yield _finding("level_without_trial", Severity.BLOCKING, text, tuple(over))


def _twice(d: Dossier) -> Iterator[Finding]:
    """One work under two names, or a note and its paper, counted as two sources; or one statement counted as two claims."""
    papers = {a.paper.paper_id: a.paper for a in d.admissions}
    claims = {c.claim_id: c for c in d.claims}
    bad = []
    for ruling in d.rulings:
        if not Level.L3_CORROBORATED <= ruling.level < Level.L5_EXECUTED:
            continue
        key = claims[ruling.claim_id].key if ruling.claim_id in claims else None
        equal = [
            c.paper_id for c in d.claims if key is not None and c.key == key
        ]  # another claim under the same key may be the second source
        sources = {e.span.paper_id for e in ruling.evidence if e.span is not None and e.stance is Stance.SUPPORTS} | {p for p in equal if p}
        held = [papers[s] for s in sorted(sources) if s in papers]
        if not any(_independent(a, b) for n, a in enumerate(held) for b in held[n + 1 :]):
            bad.append(ruling.claim_id)
    if bad:
        text = f"{len(bad)} claim(s) are called corroborated, and no two independent works carry them."
        yield _finding("evidence_counted_twice", Severity.BLOCKING, text, tuple(bad))
    verdicts = {r.claim_id: r.verdict for r in d.rulings}
    twins = [b for a, b in printed.duplicates(d.claims) if verdicts.get(a) in printed.STATED and verdicts.get(b) in printed.STATED]
    if twins:
        yield _finding(
            "claim_counted_twice", Severity.MAJOR, f"{len(twins)} statement(s) are counted as two claims.", tuple(twins), Act.DROP
        )


def _independent(a: Paper, b: Paper) -> bool:
    """No shared author, not one work under two names, and neither a note about the other. Unknown authors prove no independence."""
    same = (a.about or a.paper_id) == (b.about or b.paper_id) or identity.normalise_title(a.title) == identity.normalise_title(b.title)
    people = [{x.lower().replace(",", " ").split()[0 if "," in x else -1] for x in p.authors if x.strip()} for p in (a, b)]
    return not same and all(people) and not people[0] & people[1]


def _withdrawn(d: Dossier) -> Iterator[Finding]:
    papers = {a.paper.paper_id: a.paper for a in d.admissions}
    for flags, kind, severity, what in (
        ({"retracted", "withdrawn"}, "withdrawn_source", Severity.BLOCKING, "retracted or withdrawn"),
        ({"superseded"}, "stale_version", Severity.MAJOR, "superseded by a newer version"),
    ):
        hit = [p for p in d.draft.references if p in papers and flags & set(papers[p].flags)]
        if kind == "stale_version":
            hit += [p for p in d.draft.references if p in papers and p not in hit and _newer_found(papers[p], d)]
        if hit:
            yield _finding(kind, severity, f"{len(hit)} cited source(s) are {what}: {papers[hit[0]].title[:80]}.", tuple(hit), Act.DROP)


def _newer_found(paper: Paper, d: Dossier) -> bool:
    """The search itself saw a later version of this work than the one that is cited."""
    seen = [p for r in d.searches if isinstance(r.outcome, Found) for p in r.outcome.papers if p.kind is paper.kind]
    return any(paper.arxiv_id and p.arxiv_id == paper.arxiv_id and (p.version or 0) > (paper.version or 10**6) for p in seen)


def _basis(d: Dossier) -> Iterator[Finding]:
    kinds = {a.paper.paper_id: a.paper.kind for a in d.admissions}
    read = [r for r in d.readings if r.basis is not None]
    shallow = {r.paper_id for r in read if r.basis is Basis.ABSTRACT_ONLY} - {
        r.paper_id for r in read if r.basis is not Basis.ABSTRACT_ONLY
    }
    cited_shallow = [p for p in d.draft.references if p in shallow]
    if d.draft.references and len(cited_shallow) > len(d.draft.references) / 2:
        yield _finding(
            "mostly_abstracts",
            Severity.MINOR,
            f"{len(cited_shallow)} of {len(d.draft.references)} cited sources were read only as abstracts.",
        )
    notes = [p for p in d.draft.references if kinds.get(p) is PaperKind.NOTE]
    if notes and len(notes) == len(d.draft.references):
        yield _finding("only_notes", Severity.MINOR, "Every cited source is a reading note; no paper itself was read.", (), Act.TELL_OWNER)


def _not_run(d: Dossier) -> Iterator[Finding]:
    missing = sorted({c.name for r in d.rulings for c in r.checks if c.state is State.NOT_RUN})
    if missing:
        yield _finding("check_not_run", Severity.NOTE, f"Not run on the claims: {', '.join(missing)}.", (), Act.TELL_OWNER)
