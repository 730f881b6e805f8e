"""The verifier `slots`: the guard over the best units of a document. It alone may affirm in the base install. Imports selection and guard."""

from __future__ import annotations

from dataclasses import replace

from sovereign.kernel.language.scan import Scan, scan
from sovereign.kernel.verify import findings as f
from sovereign.kernel.verify.guard import UnitRuling, examine
from sovereign.kernel.verify.select import ranked
from sovereign.kernel.verify.statement import denied
from sovereign.kernel.verify.tables import judge_tables
from sovereign.kernel.verify.units import Unit, Units, units_of
from sovereign.kernel.verify.values import Agreement, agree, shown
from sovereign.records import Claim, Document, Judgement, Relation, Span, Verdict

CANDIDATES = 8  # units looked at per document


class SlotsVerifier:
    """Aligns a claim with the best units of a document and checks every slot against the same unit."""

    name = "slots"
    version = "2"

    def judge(self, claim: Claim, document: Document) -> Judgement:
        """SUPPORTED, QUALIFIED, CONTRADICTED, UNRESOLVED (aligned, not provable) or NOT_FOUND; `slot` names what decided.

        Of a claim that denies something as a whole, what it denies is judged: said by the source, it contradicts; else it stays open.
        """
        what = denied(claim.text)
        if what is None:
            return self._statement(claim, document)
        inner = self._statement(replace(claim, text=what), document)
        if inner.verdict is Verdict.SUPPORTED:
            return replace(
                inner,
                verdict=Verdict.CONTRADICTED,
                reason=f"negation: the claim denies what the source says ({inner.reason})",
                slot="negation",
            )
        if inner.verdict is Verdict.NOT_FOUND:
            return inner
        return replace(
            inner, verdict=Verdict.UNRESOLVED, reason=f"the claim denies a statement as a whole; of that statement: {inner.reason}"
        )

    def _statement(self, claim: Claim, document: Document) -> Judgement:
        units = units_of(document)
        best = best_unit(claim.text, units)
        if (
            best is None
            or best.verdict in (Verdict.UNRESOLVED, Verdict.NOT_FOUND)
            or (best.verdict is Verdict.CONTRADICTED and best.unit.table is not None)
        ):
            table = judge_tables(scan(units.plain(claim.text)), units.items)
            if table is not None:
                slot = None if table.verdict is Verdict.SUPPORTED else table.reason.split(":")[0]
                return Judgement(self.name, self.version, table.verdict, table.reason, None, slot, (span_of(table.unit, document),))
        if best is None:
            return Judgement(self.name, self.version, Verdict.NOT_FOUND, "no passage of the source speaks of this")
        reason, slot = explain(best)
        spans = () if best.verdict is Verdict.NOT_FOUND else (span_of(best.unit, document),)
        return Judgement(self.name, self.version, best.verdict, reason, None, slot, spans)


def best_unit(text: str, units: Units) -> UnitRuling | None:
    """The unit that decides: support before qualification before contradiction before abstention, then by alignment.

    Two neighbouring sentences are read together when no single one supports the claim; such a pair can support, never contradict.
    A value that another, equally close unit states does not contradict.
    """
    plain = scan(units.plain(text))
    order = [unit for unit, _, _ in ranked(plain.text, units, CANDIDATES)]
    rulings = [examine(plain, unit) for unit in order]
    if not rulings:
        return None
    copies = [r for r in rulings if r.literal]
    best = max(copies or rulings, key=lambda r: (r.rank, -r.unit.start))
    if copies:
        return _undisputed(best, rulings) if best.verdict is Verdict.SUPPORTED else best
    if best.verdict not in (Verdict.SUPPORTED, Verdict.QUALIFIED):
        pairs = [
            r
            for u in windows(order[:3], units)
            if (r := examine(plain, u)).verdict in (Verdict.SUPPORTED, Verdict.QUALIFIED) and r.spread_over(u)
        ]
        if pairs:
            return max(pairs, key=lambda r: (r.rank, -r.unit.start))
    if best.verdict in (Verdict.UNRESOLVED, Verdict.NOT_FOUND) and (widened := _widened(plain, units)) is not None:
        return widened
    if best.verdict is Verdict.CONTRADICTED:
        best = _settled(best, rulings, plain, units)
    if best.verdict is Verdict.SUPPORTED:
        best = _undisputed(best, rulings)
    return None if best.verdict is Verdict.NOT_FOUND and best.own < 0.2 else best


def _settled(best: UnitRuling, rulings: list[UnitRuling], claim: Scan, units: Units) -> UnitRuling:
    """A contradiction stands only when no other unit is closer to the claim and none, equally close, states the claim's value."""
    by_value = best.unit.table is None and any(x.slot in {"value", "condition"} and x.kind == f.CONTRADICTS for x in best.findings)
    if by_value and any(_states(other, claim) for other in units.items if other is not best.unit):
        return replace(best, verdict=Verdict.UNRESOLVED)
    for other in sorted(rulings, key=lambda r: (-r.coverage, r.unit.start)):
        if other.verdict is Verdict.UNRESOLVED and other.unit is not best.unit and other.own > best.own + 0.15:
            return other
    return best


_AVERAGING = frozenset("average mean averages averaging typically usually generally always consistently".split())


def _widened(claim: Scan, units: Units) -> UnitRuling | None:
    """ "On average ten times" where the source has the figure only as a maximum ("up to 10 times"), and speaks of the claim's names there."""
    wanted = [t.value for t in claim.quantities if t.value is not None and t.value.unit in {"ratio", "percent", "points"}]
    if not claim.words & _AVERAGING or len(wanted) != 1 or len(claim.quantities) != 1 or not claim.names:
        return None
    for unit in units.items:
        at_most = [t for t in unit.scanned.quantities if t.value is not None and t.value.relation is Relation.UP_TO]
        found = next((t for t in at_most if t.value is not None and agree(wanted[0], t.value) is Agreement.QUALIFIED), None)
        context = scan(" ; ".join((units.items[0].plain, unit.around, unit.before, unit.plain)))  # the first unit of a paper is its title
        if found is None or unit.scanned.words & _AVERAGING or not all(any(n.key == t.key for t in context.names) for n in claim.names):
            continue
        word = min(claim.words & _AVERAGING)
        said = f.Finding("scope", f.QUALIFIES, f"“{word}” {wanted[0].raw}", shown(found.value or wanted[0]), "a maximum is not an average")
        return UnitRuling(unit, Verdict.QUALIFIED, 0.0, 0.0, (said,), ())
    return None


_PLACES = frozenset("abstract introduction section sec table tab figure fig appendix conclusion summary text paper here".split())


def _undisputed(best: UnitRuling, rulings: list[UnitRuling]) -> UnitRuling:
    """Support stands only when the source does not give another value in the same words: where both stand, a person must choose."""
    for other in rulings:
        against = [x for x in other.findings if x.slot == "value" and x.kind == f.CONTRADICTS]
        if other.verdict is Verdict.CONTRADICTED and against and other.unit.table is None and _same_but_one(other.unit, best.unit):
            said = f.Finding("value", f.OPEN, against[0].said, f"{against[0].source} as well", "the source contradicts itself")
            return replace(best, verdict=Verdict.UNRESOLVED, findings=(*best.findings, said))
    return best


def _same_but_one(a: Unit, b: Unit) -> bool:
    """The same words with one other figure; two entries of a bibliography differ in more."""
    figures = [{(t.value.low, t.value.unit) for t in u.scanned.quantities if t.value is not None} for u in (a, b)]
    return len(figures[0] - figures[1]) == len(figures[1] - figures[0]) == 1 and _words(a) == _words(b)


def _words(unit: Unit) -> frozenset[str]:
    """What a sentence says besides its figures and where it stands in the paper."""
    return frozenset(t.key for t in unit.scanned.content if t.kind != "q" and t.low not in _PLACES and not t.key.isdigit())


def _states(unit: Unit, claim: Scan) -> bool:
    """The unit gives the claim's most telling figure: the one with most digits."""
    wanted = sorted((t.value for t in claim.quantities if t.value is not None), key=lambda v: -sum(c.isdigit() for c in v.raw))[:1]
    given = [t.value for t in unit.scanned.quantities if t.value is not None]
    return bool(wanted) and any(agree(wanted[0], g) in (Agreement.EQUAL, Agreement.QUALIFIED) for g in given)


def windows(top: list[Unit], units: Units) -> list[Unit]:
    """Pairs of neighbouring prose sentences that hold one of the top units."""
    out: dict[int, Unit] = {}
    at = {id(u): i for i, u in enumerate(units.items)}
    for unit in top:
        i = at[id(unit)]
        for a in (i - 1, i):
            if a in out or a < 0 or a + 1 >= len(units.items):
                continue
            first, second = units.items[a], units.items[a + 1]
            if first.table is not None or second.table is not None or second.start - first.end > 3 or second.start < first.end:
                continue
            out[a] = replace(
                first, end=second.end, text=f"{first.text} {second.text}", plain=f"{first.plain} {second.plain}", seam=len(first.plain)
            )
    return [out[a] for a in sorted(out)]


def span_of(unit: Unit, document: Document, paper_id: str = "") -> Span:
    """The exact stretch of the document."""
    return Span(document.sha256, unit.start, unit.end, document.text[unit.start : unit.end], paper_id, unit.section)


_ORDER = ("unit", "value", "direction", "negation", "subject", "comparator", "condition", "scope", "hedge", "wording")


def explain(ruling: UnitRuling) -> tuple[str, str | None]:
    """(one line, deciding slot)."""
    if ruling.verdict is Verdict.SUPPORTED:
        note = f"; follows from {ruling.notes[0]}" if ruling.notes else ""
        return f"every slot agrees with one passage: “{_short(ruling.unit.text)}”{note}", None
    kinds = {
        Verdict.CONTRADICTED: (f.CONTRADICTS,),
        Verdict.QUALIFIED: (f.QUALIFIES,),
        Verdict.UNRESOLVED: (f.CONTRADICTS, f.OPEN, f.QUALIFIES),
    }.get(ruling.verdict, ())
    for kind in kinds:
        chosen = sorted((x for x in ruling.findings if x.kind == kind), key=lambda x: _ORDER.index(x.slot) if x.slot in _ORDER else 99)
        if chosen:
            return chosen[0].line(), chosen[0].slot
    if ruling.verdict is Verdict.UNRESOLVED:
        return f"the nearest passage says only part of it ({ruling.coverage:.0%} of the content): “{_short(ruling.unit.text)}”", "wording"
    return "no passage of the source speaks of this", None


def _short(text: str, limit: int = 160) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= limit else plain[: limit - 1].rsplit(" ", 1)[0] + " …"
