"""Aligns the content of a claim with one unit of evidence and binds fillers (numbers, directions) to what stands around them. Imports the shared
language reading; refuses to give a verdict. Words are matched by stem, synonym line, direction or word family, never by similarity of a whole sentence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.naming import specialises
from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import SIDES, polarity, same_meaning
from sovereign.kernel.verify.layout import Layout, order_ratio, parts_of
from sovereign.kernel.verify.units import Unit

EXACT, SYNONYM, INHERITED = 1.0, 0.9, 0.75
_BREAKING = frozenset(",;:(") | frozenset(
    "and or but while whereas although though which that where when because if than versus vs".split()
)


@dataclass
class Aligned:
    """partners[i]: indices into source.content that say what claim.content[i] says; strength[i] in [0, 1]; inherited[i]: found only around the unit."""

    claim: Scan
    source: Scan
    unit: Unit
    partners: list[tuple[int, ...]]
    strength: list[float]
    inherited: list[bool]
    columns: list[int] | None  # table column per source content token

    @cached_property
    def used(self) -> frozenset[int]:
        """Indices of source.content that some word of the claim says."""
        return frozenset(j for partners in self.partners for j in partners)

    @cached_property
    def parts(self) -> tuple[list[int], list[int]]:
        """Which of the statements set side by side each content token belongs to, of claim and source (layout.parts_of)."""
        return parts_of(self.claim), parts_of(self.source)

    @property
    def coverage(self) -> float:
        """Weighted share of the claim's words and names (quantities aside) that the unit or its surroundings say."""
        total = found = 0.0
        for token, strength in zip(self.claim.content, self.strength):
            if token.kind == "q":
                continue
            w = weight(token)
            total += w
            found += w * strength
        return found / total if total else 0.0

    @property
    def own_coverage(self) -> float:
        """The same, counting only what the unit itself says."""
        total = found = 0.0
        for token, strength, inherited in zip(self.claim.content, self.strength, self.inherited):
            if token.kind == "q":
                continue
            w = weight(token)
            total += w
            found += 0.0 if inherited else w * strength
        return found / total if total else 0.0

    @property
    def order(self) -> float:
        """Share of the claim's words and names that the unit says in the same order: 1 for a verbatim copy."""
        kept = [(p, t) for p, t in zip(self.partners, self.claim.content) if t.kind != "q"]
        return order_ratio([p for p, _ in kept], tuple(t for _, t in kept))

    def unmatched(self) -> list[int]:
        return [i for i, s in enumerate(self.strength) if s == 0.0 and self.claim.content[i].kind != "q"]


def weight(token: Token) -> float:
    """How much of a statement a token carries."""
    if token.kind == "n":
        return 2.0
    if token.kind == "q":
        return 1.5
    return 0.2 if token.weak else 1.0


def align(claim: Scan, unit: Unit) -> Aligned:
    """The alignment of a claim with a unit and what the unit inherits."""
    source = unit.scanned
    around = scan(unit.around) if unit.around else None
    before = scan(unit.before) if unit.before else None
    by_key: dict[str, list[int]] = {}
    for j, token in enumerate(source.content):
        by_key.setdefault(token.key, []).append(j)
    partners: list[tuple[int, ...]] = []
    strength: list[float] = []
    inherited: list[bool] = []
    governed = _governed(claim)
    for token in claim.content:
        found, grade = _find(token, source, by_key)
        late = False
        if not found and token.kind != "q":
            for context in (around, before):
                if context is None or token.key in unit.siblings:
                    continue
                if token.kind == "n" and token.start not in governed and unit.topic and not _is_topic(token, unit):
                    continue
                if _in_context(token, context):
                    grade, late = INHERITED, True
                    break
        partners.append(found)
        strength.append(grade)
        inherited.append(late)
    return Aligned(claim, source, unit, partners, strength, inherited, _columns(unit, source))


_GOVERNING = frozenset("on in for with at under across using of from to".split())


def _governed(claim: Scan) -> frozenset[int]:
    """Offsets of names that a preposition governs: settings, not what the claim is about."""
    out, previous = set(), ""
    for token in claim.tokens:
        if token.kind == "n" and previous in _GOVERNING:
            out.add(token.start)
        if token.low not in {"the", "a", "an"}:
            previous = token.low
    return frozenset(out)


def _is_topic(token: Token, unit: Unit) -> bool:
    return token.key == unit.topic


def _find(token: Token, source: Scan, by_key: dict[str, list[int]]) -> tuple[tuple[int, ...], float]:
    if token.kind == "q":
        return (), 0.0
    exact = by_key.get(token.key)
    if exact:
        good = tuple(j for j in exact if source.content[j].kind != "q")
        if good:
            return good, EXACT
    if token.kind == "n":
        wide = tuple(
            j
            for j, t in enumerate(source.content)
            if (t.kind == "n" and specialises(t.text, token.text)) or (t.kind == "w" and t.low == token.low)
        )
        return (wide, SYNONYM) if wide else ((), 0.0)
    near = tuple(j for j, t in enumerate(source.content) if t.kind == "w" and same_meaning(token.low, t.low))
    return (near, SYNONYM) if near else ((), 0.0)


def _in_context(token: Token, context: Scan) -> bool:
    if token.kind == "n":
        return any(
            (t.kind == "n" and (t.key == token.key or specialises(t.text, token.text))) or (t.kind == "w" and t.low == token.low)
            for t in context.content
        )
    if polarity(token.low) or token.low in lex.NEGATIONS:
        return False
    return token.key in context.stems or any(t.kind == "w" and same_meaning(token.low, t.low) for t in context.content)


def _columns(unit: Unit, source: Scan) -> list[int] | None:
    """Which table column each content token of a row stands in; header and cell share a column."""
    if unit.table is None:
        return None
    width = max(1, len(unit.table.header))
    segment, out = 0, []
    for token in source.tokens:
        if token.low == ";":
            segment += 1
        if token.content:
            out.append(segment % width if segment < 2 * width else segment)
    return out


def _breaks(tokens: tuple[Token, ...]) -> dict[int, int]:
    """Number of clause breaks up to each token's start."""
    count, out = 0, {}
    for token in tokens:
        if token.low in _BREAKING:
            count += 1
        out[token.start] = count
    return out


class Closeness:
    """How near two content tokens of one sentence stand, in (0, 1]: 1 for neighbours, less over words and clause breaks."""

    def __init__(self, sentence: Scan, columns: list[int] | None = None):
        self.content = sentence.content
        self.columns = columns
        self.breaks = _breaks(sentence.tokens)

    def __call__(self, i: int, j: int) -> float:
        if self.columns is not None:
            a, b = self.columns[i], self.columns[j]
            return 1.0 if a == b else 0.6 if 0 in (a, b) else 0.05
        crossed = abs(self.breaks[self.content[i].start] - self.breaks[self.content[j].start])
        return 1.0 / (abs(i - j) + 1.5 * crossed)


def binding(aligned: Aligned, at: int, candidates: list[int], near_claim: Closeness, near_source: Closeness) -> dict[int, float]:
    """Score in [0, 1] per source candidate: how well what stands near the claim's filler also stands near the candidate.

    Every neighbour is weighed by its closeness in the claim and by kind (names and measured things most, direction words least) and counts relative to
    the candidate that it stands nearest to, so that a word shared by two candidates does not decide between them.
    """
    scores = dict.fromkeys(candidates, 0.0)
    total = 0.0
    for k, token in enumerate(aligned.claim.content):
        if k == at or not aligned.partners[k] or token.kind == "q":
            continue
        w = _bond(token) * near_claim(at, k)
        near = {s: max((near_source(s, p) for p in aligned.partners[k] if p != s), default=0.0) for s in candidates}
        best = max(near.values(), default=0.0)
        if best <= 0.0:
            continue
        total += w
        for s in candidates:
            scores[s] += w * near[s] / best
    if total:
        for s in candidates:
            scores[s] /= total
    return scores


def belonging(aligned: Aligned, at: int, candidates: list[int], near_claim: Closeness, layout: Layout) -> tuple[dict[int, float], float]:
    """(score in [0, 1] per source quantity, share of the claim value's surroundings that the source says at all).

    Words of the source belong to quantities by segment or table column (layout.py); words that belong to all quantities do not decide.
    """

    def tie(k: int, token: Token) -> float:
        """How much a word of the claim says where its value belongs; a name does from anywhere in the sentence."""
        return _bond(token) * max(near_claim(at, k), 0.3 if token.kind == "n" else 0.0)

    scores = dict.fromkeys(candidates, 0.0)
    total = said = 0.0
    for k, token in enumerate(aligned.claim.content):
        if k == at:
            continue
        if token.kind == "q":
            head = _heading(aligned, token, candidates)
            if head:
                total, said = total + 2.0, said + 2.0
                for s in candidates:
                    scores[s] += 2.0 * max(layout.share(s, p) for p in head)
            continue
        w = tie(k, token)
        total += w
        if aligned.strength[k] > 0.0:
            said += w
        partners = aligned.partners[k]
        if not partners:
            continue
        near = {s: max(layout.share(s, p) for p in partners) for s in candidates}
        best = max(near.values(), default=0.0)
        for s in candidates:
            scores[s] += w * near[s] / best
    matched = max(scores.values(), default=0.0)
    if matched:
        full = sum(tie(k, t) for k, t in enumerate(aligned.claim.content) if k != at and t.kind != "q" and aligned.partners[k])
        for s in candidates:
            scores[s] /= full
    mine = Layout(aligned.claim)
    used = {
        p
        for k, partners in enumerate(aligned.partners)
        for p in partners
        if mine.segment[k] == mine.segment[at] or mine.segment[k] not in mine.numbered
    }
    used |= {j for j, t in enumerate(aligned.source.content) if t.kind == "n" and t.key == aligned.unit.topic}
    for s in candidates:
        scores[s] = 0.5 * scores[s] + 0.5 * _companions_said(aligned, layout.companions(s), used)
    return scores, (said / total if total else 0.0)


def _heading(aligned: Aligned, token: Token, candidates: list[int]) -> list[int]:
    """The header cells of a table row that hold the claim's figure ("10k" of "LongEval 10k")."""
    if aligned.columns is None or aligned.unit.table is None or token.value is None:
        return []
    width = len(aligned.unit.table.header)
    ends = [t.start for t in aligned.source.tokens if t.low == ";"]
    return [
        j
        for j, t in enumerate(aligned.source.content)
        if t.value is not None and t.value.low == token.value.low and sum(end < t.start for end in ends) < width
    ]


def _companions_said(aligned: Aligned, companions: list[int], used: set[int]) -> float:
    """Share of what stands with a source quantity that the claim says."""
    total = sum(_bond(aligned.source.content[i]) for i in companions)
    return sum(_bond(aligned.source.content[i]) for i in companions if i in used) / total if total else 0.5


def _bond(token: Token) -> float:
    if token.kind == "n" or token.low in lex.METRICS:
        return 2.0
    if token.low in SIDES:
        return 1.0
    return 0.2 if polarity(token.low) or token.weak else 1.0
