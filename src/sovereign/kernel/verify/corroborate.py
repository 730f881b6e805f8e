"""What several sources make of a claim: L3 for independent support, `contested_by` for equal keys with disjoint values. Imports records only.

Independent (DESIGN, words): no shared author and neither cites the other; a note and the paper it is about are never independent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sovereign.kernel.language import alias_key, tokens
from sovereign.records import Claim, Level, Paper, Ruling, Stance, Value, Verdict


def corroborate(claims: Sequence[Claim], rulings: Sequence[Ruling], papers: Mapping[str, Paper] | Sequence[Paper]) -> list[Ruling]:
    """The rulings in their order, raised to L3 where two independent papers support the claim (or an equal one), with `contested_by` filled."""
    known = dict(papers) if isinstance(papers, Mapping) else {p.paper_id: p for p in papers}
    by_id = {c.claim_id: c for c in claims}
    support = {r.claim_id: _supporting(r, by_id.get(r.claim_id)) for r in rulings}
    out = []
    for ruling in rulings:
        claim = by_id.get(ruling.claim_id)
        if claim is None or ruling.verdict is not Verdict.SUPPORTED:
            out.append(ruling)
            continue
        sources = set(support[ruling.claim_id])
        contested = []
        for other in claims:
            theirs = support.get(other.claim_id, set())
            if other.claim_id == claim.claim_id or not theirs or claim.key is None or other.key != claim.key:
                continue
            if _works(support[claim.claim_id], known).isdisjoint(_works(theirs, known)) and _alike(claim, other) and disjoint(claim, other):
                contested.append(other.claim_id)
            elif _equal(claim, other):
                sources |= theirs
        raised = ruling.level
        if ruling.level == Level.L2_GROUNDED and _independent_pair(sorted(sources), known):
            raised = Level.L3_CORROBORATED
        out.append(replace(ruling, level=raised, contested_by=tuple(sorted({*ruling.contested_by, *contested}))))
    return out


ALIKE = 0.4  # shared share of content words: below it two statements under one key speak of different things (all tokens, image tokens)


def _works(papers: set[str], known: Mapping[str, Paper]) -> set[str]:
    """Two values of one work are two settings, not a dispute; a note and its paper are one work."""
    return {(known[p].about or p) if p in known else p for p in papers}


def _alike(a: Claim, b: Claim) -> bool:
    mine, theirs = ({t for t in tokens(c.text) if not t[:1].isdigit()} for c in (a, b))
    return len(mine & theirs) / (len(mine | theirs) or 1) >= ALIKE


def _supporting(ruling: Ruling, claim: Claim | None) -> set[str]:
    if ruling.verdict is not Verdict.SUPPORTED:
        return set()
    return {e.span.paper_id for e in ruling.evidence if e.span is not None and e.span.paper_id and e.stance is Stance.SUPPORTS}


def _independent_pair(papers: Sequence[str], known: Mapping[str, Paper]) -> bool:
    return any(independent(known[a], known[b]) for i, a in enumerate(papers) for b in papers[i + 1 :] if a in known and b in known)


def independent(a: Paper, b: Paper) -> bool:
    """Two works that can corroborate each other. Unknown authors prove no independence."""
    if a.paper_id == b.paper_id or a.about == b.paper_id or b.about == a.paper_id or (a.about is not None and a.about == b.about):
        return False
    if not a.authors or not b.authors or {_person(x) for x in a.authors} & {_person(x) for x in b.authors}:
        return False
    return not (_cites(a, b) or _cites(b, a))


def _person(name: str) -> str:
    """Family name and first initial: "He, Xin", "X. He" and "Xin He" are one."""
    if "," in name:
        family, _, given = name.partition(",")
    else:
        given, _, family = name.strip().rpartition(" ")
    return f"{family.strip().lower()} {given.strip()[:1].lower()}".strip()


def _cites(a: Paper, b: Paper) -> bool:
    title = re.sub(r"\W+", " ", b.title.lower()).strip()
    marks = {b.paper_id.lower(), *(x.lower() for x in (b.arxiv_id, b.doi) if x)}
    for reference in a.references:
        plain = re.sub(r"\W+", " ", reference.lower()).strip()
        if reference.lower() in marks or (len(title) > 12 and title in plain):
            return True
    return False


def _interval(value: Value) -> tuple[float, float]:
    slack = value.spread if value.spread is not None else (0.5 * 10.0**-value.decimals if value.decimals is not None else 0.0)
    return value.low - slack, value.high + slack


def disjoint(a: Claim, b: Claim) -> bool:
    """Values of one unit that lie apart beyond their spreads, or opposite directions."""
    pairs = [(x, y) for x in a.slots.values for y in b.slots.values if x.unit == y.unit]
    if pairs:
        return not any(_overlap(x, y) for x, y in pairs)
    opposed = {a.slots.direction.value, b.slots.direction.value} == {"up", "down"}
    return opposed and a.slots.negated == b.slots.negated


def _overlap(x: Value, y: Value) -> bool:
    (a, b), (c, d) = _interval(x), _interval(y)
    return a <= d and c <= b


def _equal(a: Claim, b: Claim) -> bool:
    """Equal keys, every value of one met by one of the other, same direction and polarity."""
    if (
        a.slots.negated != b.slots.negated
        or a.slots.direction is not b.slots.direction
        or {alias_key(s) for s in a.slots.subject} != {alias_key(s) for s in b.slots.subject}
    ):
        return False
    if bool(a.slots.values) != bool(b.slots.values):
        return False
    return all(any(x.unit == y.unit and _overlap(x, y) for y in b.slots.values) for x in a.slots.values)
