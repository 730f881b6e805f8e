"""The guard: judges a claim against one unit of evidence by its slots alone. Imports alignment and findings; refuses to let similarity affirm.

The verdict of one unit follows from the findings by the rule in `decide`; docs/verification.md prints it as a table.
"""

from __future__ import annotations

from dataclasses import dataclass

from sovereign.kernel.language.scan import Scan
from sovereign.kernel.verify import findings as f
from sovereign.kernel.verify.align import Aligned, align, weight
from sovereign.kernel.verify.copy import compare
from sovereign.kernel.verify.units import Unit
from sovereign.records import Verdict

COPY = 0.75  # share of the claim that stands in the unit in the same order: from here on it is a near-copy, and every changed word counts
SUPPORT_COPY = 0.85  # share of the content that a unit must say for SUPPORTED: of a near-copy,
SUPPORT_ANCHORED = 0.6  # of a paraphrase whose every figure is bound to the same things,
SUPPORT_WORDS = 0.8  # of a paraphrase without figures
SPOKEN = 0.4  # share that the unit itself, not its surroundings, must say
SPOKEN_WORDS = 0.65  # of a paraphrase without figures
SPOKEN_ROW = 0.2  # of a table row, whose caption and heading say most of what it is about
CONTRADICT = 0.75  # alignment from which a mismatch is a contradiction and not another topic
RELATED = 0.4  # alignment from which the guard abstains instead of saying "not found"


@dataclass(frozen=True)
class UnitRuling:
    """What the guard says about one unit."""

    unit: Unit
    verdict: Verdict
    coverage: float
    own: float
    findings: tuple[f.Finding, ...]
    notes: tuple[str, ...]
    literal: float = 0.0  # share of the claim that the unit repeats word for word; 0 when it is no near-copy
    bound: tuple[int, ...] = ()  # offsets in the unit's plain text of the figures that the claim's are bound to

    @property
    def anchored(self) -> bool:
        return bool(self.bound)

    def spread_over(self, unit: Unit) -> bool:
        """Both sentences of a pair give a figure of the claim."""
        return any(x < unit.seam for x in self.bound) and any(x >= unit.seam for x in self.bound)

    @property
    def rank(self) -> tuple[int, float, float]:
        order = {Verdict.SUPPORTED: 4, Verdict.QUALIFIED: 3, Verdict.CONTRADICTED: 2, Verdict.UNRESOLVED: 1}
        return order.get(self.verdict, 0), self.coverage, self.own


def examine(claim: Scan, unit: Unit) -> UnitRuling:
    """The claim against one unit."""
    aligned = align(claim, unit)
    if aligned.own_coverage < 0.2:
        return UnitRuling(unit, Verdict.NOT_FOUND, aligned.coverage, aligned.own_coverage, (), ())
    literal = compare(claim, unit) if aligned.own_coverage >= 0.5 else None
    if literal is not None:
        found = [*literal.findings, *f.circumstances(aligned), *f.asides(aligned)]
        if literal.bridged:  # something with a name or a figure was cut out of the middle: what is left must still belong together
            found += [x for x in (*f.values(aligned)[0], *f.sides(aligned), *f.clauses(aligned)) if x.kind in (f.CONTRADICTS, f.OPEN)]
        return UnitRuling(unit, _of_copy(found), aligned.coverage, aligned.own_coverage, tuple(found), (), literal=literal.ratio)
    value_findings, bound = f.values(aligned)
    side_findings = f.sides(aligned)
    found = [
        *value_findings, *f.directions(aligned, bound), *f.negations(aligned), *f.untouched(aligned), *f.opposites(aligned), *f.named(aligned),
        *side_findings,
        *f.subjects(aligned), *f.exchanged(aligned), *f.circumstances(aligned), *f.asides(aligned), *f.relative_clauses(aligned),
        *f.clauses(aligned), *f.attributes(aligned), *f.scope(aligned), *f.settings_dropped(aligned, bound), *f.hedges(aligned), *f.wording(aligned),
    ]  # fmt: skip
    if any(x.kind == f.TURNED for x in side_findings):
        found = [x for x in found if x.kind != f.TURNED and not (x.slot == "direction" and x.kind == f.CONTRADICTS)]
    verdict = decide(aligned, found, bound)
    return UnitRuling(
        unit, verdict, aligned.coverage, aligned.own_coverage, tuple(found), tuple(bound.notes), bound=_results(aligned, bound)
    )


def _of_copy(found: list[f.Finding]) -> Verdict:
    """A near-copy: contradicted, open or qualified by what was changed; supported when nothing that counts was."""
    kinds = {x.kind for x in found}
    if f.CONTRADICTS in kinds:
        return Verdict.CONTRADICTED
    if f.OPEN in kinds:
        return Verdict.UNRESOLVED
    return Verdict.QUALIFIED if f.QUALIFIES in kinds else Verdict.SUPPORTED


def _results(aligned: Aligned, bound: f.Bound) -> tuple[int, ...]:
    """Offsets of the bound figures that are results, not settings; of "8 of its 64 experts" both are."""
    content, mine = aligned.source.content, aligned.claim.content
    return tuple(
        content[j].start
        for i, j in bound.to.items()
        if not f.head_of(aligned.source, content[j]) or f.side_of(aligned.claim, mine[i]) == "total"
    )


_OF_A_SUBJECT = frozenset({"value", "condition", "unit"})


def decide(aligned: Aligned, found: list[f.Finding], bound: f.Bound) -> Verdict:
    """From findings to the verdict of one unit."""
    coverage, own = aligned.coverage, aligned.own_coverage
    against = [x for x in found if x.kind == f.CONTRADICTS]
    still_open = [x for x in found if x.kind == f.OPEN and x.slot != "wording"]
    unsaid = [x for x in found if x.slot == "wording"]
    if any(x.note == f.SAME_OBJECT for x in against):
        return Verdict.CONTRADICTED
    if against:
        elsewhere = any(x.slot == "subject" and x.kind == f.OPEN for x in found) and all(x.slot in _OF_A_SUBJECT for x in against)
        if elsewhere:  # what is said of another thing, or in another row, contradicts nothing
            return Verdict.UNRESOLVED if coverage >= RELATED else Verdict.NOT_FOUND
        return Verdict.CONTRADICTED if _strong(aligned, against) else Verdict.UNRESOLVED if coverage >= RELATED else Verdict.NOT_FOUND
    if not still_open and own >= (SPOKEN if aligned.columns is None else SPOKEN_ROW) and _said(aligned, unsaid, bound):
        return Verdict.QUALIFIED if any(x.kind == f.QUALIFIES for x in found) else Verdict.SUPPORTED
    return Verdict.UNRESOLVED if coverage >= RELATED else Verdict.NOT_FOUND


def _said(aligned: Aligned, unsaid: list[f.Finding], bound: f.Bound) -> bool:
    """Whether the unit says enough of the claim. A near-copy must say all but a little; a paraphrase may use other words, the more so when
    figures anchor it."""
    words = sum(1 for t in aligned.claim.content if t.kind == "w" and not t.weak)
    if any(x.note for x in unsaid):  # a measured thing, or a word put in the place of another
        return False
    if aligned.order >= COPY:
        return aligned.coverage >= SUPPORT_COPY and len(unsaid) <= words // 8
    if _results(aligned, bound) or bound.notes:
        return aligned.coverage >= SUPPORT_ANCHORED and len(unsaid) <= max(1, words // 2)
    return aligned.coverage >= SUPPORT_WORDS and aligned.own_coverage >= SPOKEN_WORDS and len(unsaid) <= words // 5


def _strong(aligned: Aligned, against: list[f.Finding]) -> bool:
    """Whether the rest of the claim is aligned well enough for a mismatch to count; what mismatches is left out of the count."""
    blamed = {x.said.strip("“”").removeprefix("not “").rstrip("”") for x in against}
    total = found = own = 0.0
    for token, strength, inherited in zip(aligned.claim.content, aligned.strength, aligned.inherited):
        if token.kind == "q" or token.text in blamed:
            continue
        total += weight(token)
        found += weight(token) * strength
        own += 0.0 if inherited else weight(token) * strength
    return (
        total > 0
        and found / total >= CONTRADICT
        and own / total >= (0.5 if aligned.columns is None else 0.25)
        and (aligned.order >= 0.4 or aligned.columns is not None)
    )
