"""Near-copies: when a claim repeats a sentence almost word for word, every changed word is weighed. Imports the shared language reading and findings.

A moved phrase is no change when it is an adverbial (it opens with a preposition or a subordinator); anything else that stands in another place is.
Refuses to guess: a replaced word that is no known equivalent leaves the claim open.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import negated_pair, opposite, polarity, same_meaning
from sovereign.kernel.verify import findings as f
from sovereign.kernel.verify.units import Unit
from sovereign.kernel.verify.values import Agreement, agree, shown
from sovereign.records import Relation

LITERAL = 0.72  # share of the claim's tokens that the sentence repeats in place: from here on it is a near-copy
PASSED = 3  # words between where a moved figure stands and where it stood
LEAST = 5  # tokens; shorter claims are compared by their slots
_FREE = frozenset(
    """s the a an that which this these those there it its they their we our us also and then thus hence therefore so here is are was were
    be been being has have had do does did
    of in on for by to at as with into i.e e.g namely both further furthermore moreover additionally finally specifically particularly
    indeed however consequently notably""".split()
)
_STANDS_FOR = frozenset(
    "we our us it its they their this the method approach model system framework technique paper work i ours proposed".split()
)
_ADVERBIAL = frozenset(
    """
    on in at for with under when while whereas after before during across by as if since because given using unlike like among within
    without through via despite although though from to compared relative overall throughout over until once where through toward towards
    against between per
    """.split()
)
_COORDINATORS = frozenset("and or but while whereas".split())
_PLACED = frozenset("by to from".split())  # before a figure they say what it is: the change, the end or the start
_SOFTENERS = lex.HEDGES | frozenset("can could may might".split())
_LIMITS = lex.PARTIAL | frozenset("average averaged mean median maximum minimum best worst up".split())


_Op = tuple[str, int, int, int, int]  # as difflib gives them: kind, source from and to, claim from and to


@dataclass(frozen=True)
class Copy:
    """How literally a unit is repeated, and what was changed."""

    ratio: float
    findings: tuple[f.Finding, ...]
    bridged: bool = False  # a name or a figure was cut out between kept words


def compare(claim: Scan, unit: Unit) -> Copy | None:
    """The changes between a near-copy and its source; None when the claim is no near-copy of the unit."""
    source = unit.scanned
    mine = [t for t in claim.tokens if t.kind != "p"]
    theirs = [t for t in source.tokens if t.kind != "p"]
    if len(mine) < LEAST or unit.table is not None:
        return None
    matcher = SequenceMatcher(None, [_key(t) for t in theirs], [_key(t) for t in mine], autojunk=False)
    opcodes: list[_Op] = [(str(tag), i1, i2, j1, j2) for tag, i1, i2, j1, j2 in matcher.get_opcodes()]
    kept = sum(j2 - j1 for tag, _, _, j1, j2 in opcodes if tag == "equal")
    opcodes, moved = _moves(opcodes, theirs, mine)
    ratio = (kept + moved) / len(mine)
    if ratio < LITERAL:
        return None
    if any(_other_form(theirs[i1:i2], mine[j1:j2]) for tag, i1, i2, j1, j2 in opcodes if tag == "replace"):
        return None  # "20 % faster" for "1.20 times as fast" has to be resolved
    if _name_moved(opcodes, theirs, mine):
        return None  # "Compared with B, A spends less" for "A spends less than B": who is held against whom has to be bound
    if _figure_moved(opcodes, theirs, mine):
        return None  # "reaches 92.5 % accuracy" for "reaches an accuracy of 92.5 % ± 6.1 %": what it belongs to has to be bound
    found: list[f.Finding] = []
    for tag, i1, i2, j1, j2 in opcodes:
        if tag == "equal":
            continue
        found += _changed(claim, source, unit, theirs[i1:i2], mine[j1:j2])
        found += _left_out(theirs[i1:i2], mine[j1:j2], edge=i1 == 0 or i2 == len(theirs))
    middle = [op for op in opcodes if op[0] == "delete" and op[1] > 0 and op[2] < len(theirs) and op[3] > 0 and op[3] < len(mine)]
    bridged = any(t.kind in "nq" or t.low in _COORDINATORS for op in middle for t in theirs[op[1] : op[2]])
    return Copy(ratio, tuple(found), bridged)


def _key(token: Token) -> str:
    value = token.value
    if value is None:
        return token.key if token.kind == "n" else token.low
    return f"#{value.low:.6g}|{value.high:.6g}|{value.unit}|{value.relation}|{value.spread}"


def _figure_moved(opcodes: list[_Op], theirs: list[Token], mine: list[Token]) -> bool:
    """One figure of the claim, the only one in the changes, stands where the source has none; the source gives it past a few words without a figure
    or a name. Past a figure it has changed places with that figure, which is a change to be weighed."""
    given = [(k, t) for k, op in enumerate(opcodes) if op[0] != "equal" for t in theirs[op[1] : op[2]] if t.value is not None]
    said = [(k, t) for k, op in enumerate(opcodes) if op[0] != "equal" for t in mine[op[3] : op[4]] if t.value is not None]
    if len(said) != 1 or len(given) != 1 or said[0][0] == given[0][0] or not _equivalent(said[0][1], given[0][1]):
        return False
    first, last = sorted((said[0][0], given[0][0]))
    passed = [t for op in opcodes[first + 1 : last] for t in theirs[op[1] : op[2]]]
    return len(passed) <= PASSED and not any(t.kind in "nq" for t in passed)


def _other_form(old: list[Token], new: list[Token]) -> bool:
    """One ratio and one percentage that say the same in other figures; the same figure with another unit, or a name beside it, is a change to be weighed."""
    values = [t.value for t in (*old, *new) if t.value is not None]
    if len(values) != 2 or {v.unit for v in values} != {"ratio", "percent"} or any(t.kind == "n" for t in (*old, *new)):
        return False
    a, b = (next((t for t in side if t.value is not None), None) for side in (old, new))
    if a is None or b is None or a.value is None or b.value is None:
        return False
    return _figure(a) != _figure(b) and agree(a.value, b.value) is Agreement.EQUAL


_COMPARING = frozenset("compared relative than unlike against over versus".split())


def _name_moved(opcodes: list[_Op], theirs: list[Token], mine: list[Token]) -> bool:
    """A comparison that stands in another place: its name is left out in one place and put in at another, both beside a word that compares."""
    gone = [theirs[op[1] : op[2]] for op in opcodes if op[0] in ("delete", "replace")]
    new = [mine[op[3] : op[4]] for op in opcodes if op[0] in ("insert", "replace")]

    def held(runs: list[list[Token]]) -> set[str]:
        return {t.key for run in runs if any(w.low in _COMPARING for w in run) for t in run if t.kind == "n"}

    return bool(held(gone) & held(new))


def _moves(opcodes: list[_Op], theirs: list[Token], mine: list[Token]) -> tuple[list[_Op], int]:
    """Takes one moved adverbial out of the changes: an inserted run that stands, word for word, in a left-out run."""
    extra = [(k, op) for k, op in enumerate(opcodes) if op[0] in ("insert", "replace")]
    missing = [(k, op) for k, op in enumerate(opcodes) if op[0] in ("delete", "replace")]
    for k, (_, i1, i2, j1, j2) in extra:
        run = [_key(t) for t in mine[j1:j2]]
        if len(run) < 2 or not (_adverbial(mine[j1]) or (j1 > 0 and _adverbial(mine[j1 - 1]))):
            continue
        for m, (_, a1, a2, b1, b2) in missing:
            other = [_key(t) for t in theirs[a1:a2]]
            at = next((x for x in range(len(other) - len(run) + 1) if other[x : x + len(run)] == run), None)
            if m == k or at is None:
                continue
            out = list(opcodes)
            out[k] = ("delete", i1, i2, j2, j2)
            rest = [("delete", a1, a1 + at, b1, b1), ("replace", a1 + at + len(run), a2, b1, b2)]
            out[m : m + 1] = [op for op in rest if op[1] < op[2] or op[3] < op[4]]
            return out, len(run)
    return opcodes, 0


def _adverbial(token: Token) -> bool:
    return token.low in _ADVERBIAL


def _changed(claim: Scan, source: Scan, unit: Unit, old: list[Token], new: list[Token]) -> list[f.Finding]:
    """One finding per word of the claim that is new and not equivalent to what it replaced."""
    out = []
    free = list(old)
    for token in new:
        equal = next((t for t in free if _equivalent(token, t)), None)
        if equal is not None:
            free.remove(equal)
            continue
        if token.low in _PLACED and any(t.low in _PLACED for t in free) and _before_figure(claim, token):
            out.append(
                f.Finding("value", f.CONTRADICTS, f"“{token.low}” the figure", f"“{next(t.low for t in free if t.low in _PLACED)}” it")
            )
            continue
        if token.low in _FREE or (token.weak and not _stranger(token, free)) or _named_here(token, unit, old):
            continue
        out.append(_finding(claim, source, token, free))
    return out


def _before_figure(sentence: Scan, token: Token) -> bool:
    return any(t.kind == "q" and 0 <= t.start - token.end <= 12 for t in sentence.quantities)


def _stranger(token: Token, free: list[Token]) -> bool:
    return any(opposite(token.low, t.low) for t in free)


def _equivalent(a: Token, b: Token) -> bool:
    if a.value is not None and b.value is not None:
        strict = a.value.unit == b.value.unit or ({a.value.unit, b.value.unit} == {"", "percent"} and a.value.raw != b.value.raw)
        return strict and agree(a.value, b.value, signed=True) is Agreement.EQUAL
    if a.kind == "n" or b.kind == "n":
        return a.key == b.key or a.low == b.low
    if a.value is not None or b.value is not None:
        return False
    if a.low in lex.NEGATIONS or b.low in lex.NEGATIONS or a.low in lex.UNIVERSAL or a.low in _LIMITS:
        return a.low == b.low
    return a.key == b.key or (same_meaning(a.low, b.low) and not opposite(a.low, b.low))


def _named_here(token: Token, unit: Unit, old: list[Token]) -> bool:
    """A name, or a word of its phrase, put where the source says "we", "it" or "our method", when the document speaks of that name."""
    if not all(t.low in _STANDS_FOR for t in old):
        return False
    if token.kind == "n":
        return bool(old) and (token.key == unit.topic or any(t.key == token.key for t in scan(unit.around).names))
    if token.kind != "w" or polarity(token.low) or token.low in lex.NEGATIONS | lex.UNIVERSAL | lex.HEDGES | _LIMITS:
        return False
    return any(token.key in scan(text).stems for text in (unit.around, unit.before) if text)


def _finding(claim: Scan, source: Scan, token: Token, free: list[Token]) -> f.Finding:
    """What a new word means for the claim, by its kind and by what it replaced."""
    if token.value is not None:
        other = next((t for t in free if t.value is not None), None)
        if other is None or other.value is None:
            return f.Finding("value", f.OPEN, shown(token.value), "no such value here")
        agreement = agree(token.value, other.value)
        if agreement in (Agreement.QUALIFIED, Agreement.FINER):
            kind = (
                f.QUALIFIES
                if Relation.UP_TO in (token.value.relation, other.value.relation) or agreement is Agreement.FINER
                else f.CONTRADICTS
            )
            return f.Finding("value", kind, shown(token.value), shown(other.value), "the relation differs")
        slot = (
            "unit"
            if agreement is not Agreement.OFF or _figure(token) == _figure(other)
            else "condition"
            if f.head_of(claim, token)
            else "value"
        )
        apart = "ratio" in (token.value.unit, other.value.unit) and token.value.unit != other.value.unit and slot == "value"
        return f.Finding(slot, f.OPEN if apart else f.CONTRADICTS, shown(token.value), shown(other.value))
    if token.low in lex.NEGATIONS:
        return f.Finding("negation", f.CONTRADICTS, f"“{token.text}”", _phrase(free) or "no such denial")
    if token.kind == "n":
        other = next((t for t in free if t.kind == "n"), None) or next((t for t in free if t.content), None)
        if other is not None:
            return f.Finding(f.name_slot(claim, token), f.CONTRADICTS, token.text, other.text)
        return f.Finding(f.name_slot(claim, token), f.OPEN, token.text, "no such name here")
    other = next((t for t in free if opposite(token.low, t.low)), None)
    if other is not None:
        slot = (
            "negation"
            if negated_pair(token.low, other.low)
            else "direction"
            if polarity(token.low) and polarity(other.low)
            else "condition"
        )
        return f.Finding(slot, f.CONTRADICTS, f"“{token.text}”", f"“{other.text}”")
    if token.low in lex.UNIVERSAL or token.low in _LIMITS:
        return f.Finding("scope", f.QUALIFIES, f"“{token.text}”", _phrase(free) or "nothing so wide")
    if token.low in _SOFTENERS:
        return (
            f.Finding("hedge", f.QUALIFIES, f"“{token.text}”", _phrase(free) or "it outright")
            if free
            else f.Finding("wording", f.NOTED, "", "")
        )
    slot = "direction" if polarity(token.low) else "wording"
    return f.Finding(slot, f.OPEN, f"“{token.text}”", _phrase(free) or "nothing that says so", "changed in an otherwise literal copy")


def _figure(token: Token) -> str:
    return "".join(c for c in token.text if c.isdigit() or c == ".")


def _phrase(tokens: list[Token]) -> str:
    return f"“{' '.join(t.text for t in tokens[:5])}”" if tokens else ""


def _left_out(old: list[Token], new: list[Token], *, edge: bool) -> list[f.Finding]:
    """Denials, hedges and limits that the claim drops. A whole clause left out at an edge takes its own hedges with it."""
    if len(old) > 6 and edge:
        return []
    tail = [t.low for t in old[-2:]] if len(old) > 4 and not new and not edge else []
    if cue := next((w for w in tail if w in lex.NEGATIONS and w != "only"), None):
        return [f.Finding("negation", f.CONTRADICTS, "it without the denial", f"“{cue}”")]
    said = {t.low for t in new}
    out = []
    for k, token in enumerate(old):
        after = old[k + 1].low if k + 1 < len(old) else ""
        if token.low in said or any(same_meaning(token.low, s) for s in said if s not in _FREE and token.low not in lex.NEGATIONS):
            continue
        if token.low in lex.NEGATIONS and after not in {"only", "just", "merely"} and len(old) <= 4:
            out.append(f.Finding("negation", f.CONTRADICTS, _phrase(new) or "it without the denial", f"“{token.text}”"))
        elif token.low in _SOFTENERS and len(old) <= 6:
            out.append(f.Finding("hedge", f.QUALIFIES, _phrase(new) or "it outright", f"“{token.text}”"))
        elif token.low in _LIMITS and token.low not in {"best", "worst", "up"} and len(old) <= 3:
            out.append(f.Finding("scope", f.QUALIFIES, _phrase(new) or "it without limit", f"“{token.text}”"))
    return out
