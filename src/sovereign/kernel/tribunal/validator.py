"""VALIDATOR: checks what stands. Imports records; refuses to judge relevance (the other two do).

Checks: how much was grounded, that every span says what it is said to say, that references resolve both ways, that claims are whole, that printed changes
follow from printed values, that levels above L4 have a trial, that one work is not counted twice, and what was not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign.kernel.tribunal.record import Dossier, sentences_of
from sovereign.records import Act, Basis, Claim, Finding, Level, PaperKind, Role, SentenceKind, Severity, State, Verdict

ENOUGH_VERIFIED = 5  # the original system's threshold, kept
_CHANGE = re.compile(
    r"from (?P<a>\d[\d.,]*)\s*(?P<u>%|[A-Za-zµ/]+)? to (?P<b>\d[\d.,]*)\s*(?:%|[A-Za-zµ/]+)?[^.;]*?(?P<c>\d+(?:\.\d+)?)\s*%\s*"
    r"(?P<word>reduction|decrease|drop|saving|increase|gain|lower|higher|less|more|improvement|rise)",
    re.I,
)


def check(d: Dossier) -> list[Finding]:
    return [*_grounding(d), *_spans(d), *_references(d), *_whole(d), *_arithmetic(d), *_levels(d), *_twice(d), *_basis(d), *_not_run(d)]


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
    bad = []
    for ruling in d.rulings:
        for evidence in ruling.evidence:
            span = evidence.span
            if span is not None and (
                span.doc_sha256 not in d.documents or d.documents[span.doc_sha256].text[span.start : span.end] != span.quote
            ):
                bad.append(ruling.claim_id)
    if bad:
        yield _finding(
            "span_does_not_match",
            Severity.BLOCKING,
            f"{len(bad)} piece(s) of evidence do not say what they are said to say.",
            tuple(bad),
            Act.DROP,
        )


def _references(d: Dossier) -> Iterator[Finding]:
    cited = {p for s in sentences_of(d.draft) for p in s.citations}
    unresolved = sorted(cited - set(d.draft.references))
    idle = [p for p in d.draft.references if p not in cited and not _in_tables(d, p)]
    claims = {c.claim_id: c for c in d.claims}
    elsewhere = []
    for s in sentences_of(d.draft):
        expected = {claims[c].paper_id for c in s.claims if c in claims}
        if s.kind is SentenceKind.CLAIM and s.claims and s.citations and not expected & set(s.citations):
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


def _in_tables(d: Dossier, paper_id: str) -> bool:
    mark = str(d.draft.references.index(paper_id) + 1)
    cells = (c for section in d.draft.sections for t in section.tables for row in t.rows for c in row)
    return any(re.fullmatch(r"\[[\d, ]+\]", c) and mark in re.findall(r"\d+", c) for c in cells)


def _whole(d: Dossier) -> Iterator[Finding]:
    cut = []
    for claim in d.claims:
        if claim.span is not None and " | " not in claim.span.quote:
            whole = re.sub(r"\W+", "", claim.span.quote.lower())
            mine = re.sub(r"\W+", "", claim.text.lower())
            if not whole.startswith(mine) or len(whole) - len(mine) > 30:
                cut.append(claim.claim_id)
    if cut:
        yield _finding(
            "claim_cut_or_changed", Severity.MAJOR, f"{len(cut)} claim(s) are not the sentence they were taken from.", tuple(cut), Act.DROP
        )


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
    trials = {t.trial_id for t in d.trials}
    over = [r.claim_id for r in d.rulings if r.level > Level.L4_INSPECTED and not any(e.trial_id in trials for e in r.evidence)]
    if over:
        yield _finding(
            "level_without_trial", Severity.BLOCKING, f"{len(over)} claim(s) carry a level above L4 without a trial.", tuple(over)
        )


def _twice(d: Dossier) -> Iterator[Finding]:
    """One work under two names, or a note and its paper, counted as two sources of one claim."""
    papers = {a.paper.paper_id: a.paper for a in d.admissions}
    work = {p: (papers[p].about or p) for p in papers}
    bad = []
    for ruling in d.rulings:
        sources = [e.span.paper_id for e in ruling.evidence if e.span is not None]
        if (
            ruling.level >= Level.L3_CORROBORATED
            and len({work.get(s, s) for s in sources}) < 2
            and not any(e.trial_id for e in ruling.evidence)
        ):
            bad.append(ruling.claim_id)
    if bad:
        yield _finding(
            "evidence_counted_twice",
            Severity.BLOCKING,
            f"{len(bad)} claim(s) are called corroborated by one and the same work.",
            tuple(bad),
        )


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
