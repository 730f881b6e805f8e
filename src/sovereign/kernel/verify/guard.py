"""The guard: judges a claim against one unit of evidence by its slots alone. Imports alignment and findings; refuses to let similarity affirm.

The verdict of one unit follows from the findings by the rule in `decide`; docs/verification.md prints it as a table.
"""

from __future__ import annotations

from dataclasses import dataclass

from sovereign.kernel.language.scan import Scan
from sovereign.kernel.verify import findings as f
from sovereign.kernel.verify.align import Aligned, align, weight
from sovereign.kernel.verify.units import Unit
from sovereign.records import Verdict

SUPPORT = 0.82  # share of the claim's content that must be said for SUPPORTED
SPOKEN = 0.45  # share of it that the unit itself, not its surroundings, must say
CONTRADICT = 0.6  # alignment from which a mismatch is a contradiction and not another topic
RELATED = 0.45  # alignment from which the guard abstains instead of saying "not found"


@dataclass(frozen=True)
class UnitRuling:
    """What the guard says about one unit."""

    unit: Unit
    verdict: Verdict
    coverage: float
    own: float
    findings: tuple[f.Finding, ...]
    notes: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, float, float]:
        order = {Verdict.SUPPORTED: 4, Verdict.QUALIFIED: 3, Verdict.CONTRADICTED: 2, Verdict.UNRESOLVED: 1}
        return order.get(self.verdict, 0), self.coverage, self.own


def examine(claim: Scan, unit: Unit) -> UnitRuling:
    """The claim against one unit."""
    aligned = align(claim, unit)
    if aligned.own_coverage < 0.2:
        return UnitRuling(unit, Verdict.NOT_FOUND, aligned.coverage, aligned.own_coverage, (), ())
    value_findings, bound = f.values(aligned)
    side_findings = f.sides(aligned)
    found = [
        *value_findings, *f.directions(aligned, bound), *f.negations(aligned), *f.opposites(aligned), *f.named(aligned), *side_findings, *f.scope(aligned),
        *f.hedges(aligned), *f.wording(aligned),
    ]  # fmt: skip
    verdict = decide(aligned, found)
    return UnitRuling(unit, verdict, aligned.coverage, aligned.own_coverage, tuple(found), tuple(bound.notes))


def decide(aligned: Aligned, found: list[f.Finding]) -> Verdict:
    """From findings to the verdict of one unit."""
    coverage, own = aligned.coverage, aligned.own_coverage
    against = [x for x in found if x.kind == f.CONTRADICTS]
    still_open = [x for x in found if x.kind == f.OPEN]
    qualified = [x for x in found if x.kind == f.QUALIFIES]
    if against:
        return Verdict.CONTRADICTED if _strong(aligned, against) else Verdict.UNRESOLVED if coverage >= RELATED else Verdict.NOT_FOUND
    hard_open = [x for x in still_open if x.slot != "wording"]
    if coverage >= SUPPORT and own >= SPOKEN and not hard_open and len(still_open) <= _allowed(aligned):
        return Verdict.QUALIFIED if qualified else Verdict.SUPPORTED
    return Verdict.UNRESOLVED if coverage >= RELATED else Verdict.NOT_FOUND


def _strong(aligned: Aligned, against: list[f.Finding]) -> bool:
    """Whether the rest of the claim is aligned well enough for a mismatch to count; what mismatches is left out of the count."""
    blamed = {x.said.strip("“”").removeprefix("not “").rstrip("”") for x in against}
    total = found = 0.0
    for token, strength in zip(aligned.claim.content, aligned.strength):
        if token.kind == "q" or token.text in blamed:
            continue
        total += weight(token)
        found += weight(token) * strength
    return total > 0 and found / total >= CONTRADICT and aligned.own_coverage >= 0.35


def _allowed(aligned: Aligned) -> int:
    """How many content words may stay unsaid: one in eight, none in a short claim."""
    words = sum(1 for t in aligned.claim.content if t.kind == "w" and not t.weak)
    return words // 8
