"""Values: every figure of a claim against the figure of the source that belongs to the same things. Imports alignment; refuses unbound equality:
a figure that the source gives to something else is no support."""

from __future__ import annotations

import re

from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import polarity
from sovereign.kernel.verify.align import Aligned, Closeness, belonging
from sovereign.kernel.verify.findings.base import (
    CONTRADICTS,
    OPEN,
    QUALIFIES,
    Bound,
    Finding,
    around_value,
    is_setting,
    kind_of_percent,
    near_pair,
    side_match,
    side_of,
    with_head,
)
from sovereign.kernel.verify.findings.derivations import derive
from sovereign.kernel.verify.layout import Layout, head_of
from sovereign.kernel.verify.values import Agreement, agree, shown
from sovereign.records import Relation, Value


def values(aligned: Aligned) -> tuple[list[Finding], Bound]:
    """Every quantity of the claim against the quantity of the source that belongs to the same things."""
    near_claim, near_source = near_pair(aligned)
    layout = Layout(aligned.source, aligned.columns)
    claim, source = aligned.claim.content, aligned.source.content
    candidates = [j for j, t in enumerate(source) if t.value is not None]
    paired = _respectively(aligned)
    findings: list[Finding] = []
    bound = Bound({}, [])
    for i, token in enumerate(claim):
        if token.value is None:
            continue
        scores, said = belonging(aligned, i, candidates, near_claim, layout)
        for j in candidates:
            scores[j] += side_match(aligned.claim, token, aligned.source, source[j]) + paired.get((i, j), 0.0)
        finding, chosen = _value(aligned, i, scores, said, layout, near_source, bound.notes)
        if chosen is not None:
            bound.to[i] = chosen
        if finding is not None:
            findings.append(finding)
    findings += _torn(aligned, bound)
    findings += crossed(aligned, bound)
    findings += mixed(aligned, bound)
    return findings, bound


_CLAUSES = re.compile(r"[;.](?!\d)|\b(?:while|whereas|but)\b")
_NEW_CLAUSE = re.compile(r"[;.](?!\d)|\b(?:while|whereas|but)\b|\band (?=(?:with|on|for|at|in|it|they|by|under)\b)")


def _torn(aligned: Aligned, bound: Bound) -> list[Finding]:
    """Figures that the claim says of one case and the source of two ("at 25 % 3 points" from "at 25 % 1 point; at 12.5 % 3 points")."""
    if aligned.columns is not None or len(bound.to) < 2:
        return []
    mine = [m.start() for m in _NEW_CLAUSE.finditer(aligned.claim.text)]
    theirs = [m.start() for m in _CLAUSES.finditer(aligned.source.text)]
    places: dict[int, set[int]] = {}
    for i, j in bound.to.items():
        case = sum(c < aligned.claim.content[i].start for c in mine)
        places.setdefault(case, set()).add(sum(c < aligned.source.content[j].start for c in theirs))
    if len(places) > 1 and any(len(p) > 1 for p in places.values()):
        return [Finding("value", OPEN, "these figures of one case", "them of two")]
    return []


def crossed(aligned: Aligned, bound: Bound) -> list[Finding]:
    """Two figures of one kind in two statements of the claim and of the source, whose companions changed places ("1.5 at 4K and 17.6 at 64K")."""
    if aligned.columns is not None or "respectively" in aligned.source.words | aligned.claim.words:
        return []
    mine, theirs = aligned.parts
    claim = aligned.claim.content
    if max(mine, default=0) == 0 or max(theirs, default=0) == 0:
        return []
    where = {k: {theirs[j] for j in aligned.partners[k]} for k, t in enumerate(claim) if not t.weak and not polarity(t.low)}
    where |= {k: {theirs[j]} for k, j in bound.to.items()}
    for a, b in ((a, b) for a in bound.to for b in bound.to if a < b):
        first, second = claim[a].value, claim[b].value
        here, there = theirs[bound.to[a]], theirs[bound.to[b]]
        if first is None or second is None or first.unit != second.unit or first.low == second.low or mine[a] == mine[b] or here == there:
            continue
        kept = moved = 0
        for k, found in where.items():
            if k in (a, b) or mine[k] not in (mine[a], mine[b]):
                continue
            own, other = (here, there) if mine[k] == mine[a] else (there, here)
            kept += own in found and other not in found
            moved += other in found and own not in found
        if moved > kept:
            return [
                Finding("value", OPEN, f"{claim[a].text} and {claim[b].text}", "them the other way round", "their companions are exchanged")
            ]
    return []


_COMPARING = frozenset("than versus vs against compared relative both whereas while unlike".split())
_ORDINALS = frozenset(f"{i}th" for i in range(1, 11))


def _over_another(sentence: Scan) -> bool:
    """ "a gain over LRU" compares, "over eleven benchmarks" does not."""
    return any(t.low == "over" and after.kind != "q" for t, after in zip(sentence.tokens, sentence.tokens[1:]))


def mixed(aligned: Aligned, bound: Bound) -> list[Finding]:
    """One statement of the claim made of two that the source sets side by side: the figure of the first and a word of the later one, or the figure of
    the later one and a name or an ordinal of the first for which the later one has its own."""
    if aligned.columns is not None or aligned.claim.words & _COMPARING or _over_another(aligned.claim):
        return []
    mine, theirs = aligned.parts
    claim, source = aligned.claim.content, aligned.source.content
    if max(mine, default=0) > 0 or max(theirs, default=0) == 0:
        return []
    figures = [j for i, j in bound.to.items() if not is_setting(aligned.claim, claim[i])]
    figures += [p for k, t in enumerate(claim) if t.text.isdigit() for p in aligned.partners[k] if len(aligned.partners[k]) == 1]
    if not figures or len({theirs[j] for j in figures}) > 1:
        return []
    here = theirs[figures[0]]
    used = aligned.used
    for i, j in bound.to.items():
        if (head := head_of(aligned.claim, claim[i])) and theirs[j] != here:
            taken = set(bound.to.values())
            own = any(theirs[k] == here and k not in taken and head_of(aligned.source, t) == head for k, t in enumerate(source))
            if theirs[j] > here or own:
                return [Finding("condition", OPEN, with_head(aligned.claim, claim[i]), "it of something else, in another statement")]
    for k, token in enumerate(claim):
        found = {theirs[j] for j in aligned.partners[k]}
        if token.weak or token.kind == "q" or polarity(token.low) or aligned.strength[k] < 1.0 or not found or here in found:
            continue
        later = min(found) > here
        contrasted = token.kind == "n" or token.low in _ORDINALS
        rival = any(
            theirs[j] == here and j not in used and (t.kind == "n" if token.kind == "n" else t.low in _ORDINALS)
            for j, t in enumerate(source)
        )
        if later or (contrasted and rival):
            return [Finding("subject", OPEN, f"it of “{token.text}”", "it of something else, in another statement")]
    return []


_OTHER = (Agreement.OFF, Agreement.UNIT)


def _value(
    aligned: Aligned, at: int, scores: dict[int, float], said: float, layout: Layout, near: Closeness, notes: list[str]
) -> tuple[Finding | None, int | None]:
    token, source = aligned.claim.content[at], aligned.source.content
    value = token.value
    assert value is not None  # narrowed by the caller; kept for the type checker
    agreements = {j: _agreement(aligned, token, source[j]) for j in scores if source[j].value is not None}
    setting = head_of(aligned.claim, token)
    role = side_of(aligned.claim, token)
    theirs = {j: side_of(aligned.source, source[j]) for j in agreements}
    clashing = {j for j, r in theirs.items() if (r == "total" and role != "total" and len(agreements) > 1) or {r, role} == {"by", "to"}}
    clashing |= {j for j in agreements if _counts_another(aligned, at, j)}
    equal = [j for j, a in agreements.items() if a is Agreement.EQUAL and j not in clashing]
    soft = [j for j, a in agreements.items() if a in (Agreement.QUALIFIED, Agreement.FINER) and j not in clashing]
    off = [j for j, a in agreements.items() if (a is not Agreement.EQUAL if equal else a in _OTHER) and _comparable(value, source[j].value)]
    rivals = [j for j in off if setting == head_of(aligned.source, source[j]) and not (not equal and _said_of_another(aligned, at, j))]
    rival = max(rivals, key=lambda r: (scores[r], -r), default=None)
    for group in (equal, soft):
        if not group:
            continue
        j = max(group, key=lambda j: (scores[j], -j))
        if setting and setting == head_of(aligned.source, source[j]) and group is equal:
            return None, j
        if role == "total" and group is equal and _counts_the_same(aligned, token, source[j]):
            return None, j  # "8 of its 64 experts": the whole is the count of the things themselves, whatever the part stands with
        if (
            rival is not None
            and scores[rival] > scores[j] + EXCHANGED
            and said >= 0.5
            and role != "from"
            and not _of_another_kind(aligned, token, rival, layout)
        ):
            return _off(aligned, token, rival, near, "value"), None
        if (
            rival is not None
            and not paired_by_role(aligned, token, source[j])
            and (word := _stands_elsewhere(aligned, at, j, rivals, layout))
        ):
            return Finding("value", OPEN, f"{shown(value)} of “{word}”", f"{shown(value)} of {around_value(aligned, j, near)}"), None
        if (clash := _share_or_change(aligned, token, source[j])) is not None:
            return clash, None
        return (None, j) if group is equal else (_loose(token, source[j], agreements[j]), j)
    if (note := derive(aligned, at, value)) is not None:
        notes.append(note)
        return None, None
    if setting and rival is not None:
        return _off(aligned, token, rival, near, "condition"), None
    if _is_spread(aligned, value) or (setting and _in_surroundings(aligned, value)):
        return None, None
    per = aligned.claim.words & {"per"} and not aligned.source.words & {"per"}
    if (
        rival is not None
        and scores[rival] >= 0.6
        and said >= 0.7
        and not per
        and not aligned.claim.text.startswith("Per ")
        and _sole(aligned, value, rival, rivals, scores)
        and not _of_another_kind(aligned, token, rival, layout)
        and not (aligned.columns is not None and aligned.columns[rival] == 0)  # another row is no contradiction
    ):
        return _off(aligned, token, rival, near, "unit" if agreements[rival] is Agreement.UNIT else "value"), None
    return Finding("value", OPEN, shown(value), "no such value here"), None


def _agreement(aligned: Aligned, token: Token, other: Token) -> Agreement:
    """Of the two values; a ratio ("twice") is no share of a whole ("to 100 %")."""
    assert token.value is not None and other.value is not None  # the caller asks for quantities only
    kinds = {token.value.unit: kind_of_percent(aligned.claim, token), other.value.unit: kind_of_percent(aligned.source, other)}
    if set(kinds) == {"ratio", "percent"} and kinds["percent"] == "share" and min(token.value.low, other.value.low) > 1:
        return Agreement.OFF
    return agree(token.value, other.value)


def _said_of_another(aligned: Aligned, at: int, j: int) -> bool:
    """Another figure of the claim is this one of the source: it does not stand against the claim's."""
    theirs = aligned.source.content[j].value
    return theirs is not None and any(
        t.value is not None and agree(t.value, theirs) is Agreement.EQUAL for i, t in enumerate(aligned.claim.content) if i != at
    )


def _of_another_kind(aligned: Aligned, token: Token, j: int, layout: Layout) -> bool:
    """In a paraphrase a figure of another kind, or one that the source gives to a name that the claim does not mention, contradicts nothing."""
    other = aligned.source.content[j]
    if token.value is None or other.value is None:
        return False
    units = {token.value.unit, other.value.unit}
    if len(units) > 1 and units & {"ratio", "points"}:
        return True  # what has to be worked out from two figures is no rival of one
    if aligned.columns is not None or aligned.order >= PARALLEL:
        return False
    kinds = {kind_of_percent(aligned.claim, token), kind_of_percent(aligned.source, other)} - {""}
    used = aligned.used
    return len(kinds) > 1 or any(aligned.source.content[k].kind == "n" and k not in used for k in layout.companions(j))


def _counts_another(aligned: Aligned, at: int, j: int) -> bool:
    """ "16 of its 64 experts" counts experts: the source's "16 layers" are not they."""
    mine, theirs = aligned.claim.content, aligned.source.content
    if at + 2 >= len(mine) or mine[at + 1].value is None or side_of(aligned.claim, mine[at + 1]) != "total":
        return False
    behind = theirs[j + 1] if j + 1 < len(theirs) else None
    if behind is None or behind.kind == "q" or aligned.source.text[theirs[j].end : behind.start].strip():
        return False
    return not polarity(behind.low) and j + 1 not in aligned.partners[at + 2]


def _counts_the_same(aligned: Aligned, token: Token, other: Token) -> bool:
    """The word right behind both figures is the same thing ("64 experts")."""
    mine, theirs = aligned.claim.content, aligned.source.content
    i, j = mine.index(token) + 1, theirs.index(other) + 1
    return i < len(mine) and j < len(theirs) and j in aligned.partners[i]


def _share_or_change(aligned: Aligned, token: Token, other: Token) -> Finding | None:
    mine, theirs = kind_of_percent(aligned.claim, token), kind_of_percent(aligned.source, other)
    if {mine, theirs} != {"share", "change"}:
        return None
    return Finding("unit", CONTRADICTS, f"{token.text} as a {mine}", f"{other.text} as a {theirs}")


def _sole(aligned: Aligned, value: Value, rival: int, rivals: list[int], scores: dict[int, float]) -> bool:
    """The source quantity that stands against the claim's is the only one that could, and the claim's is not one that has to be worked out from others."""
    if aligned.columns is not None:
        return True
    other = aligned.source.content[rival].value
    if aligned.order < 0.5 or other is None or any(scores[r] > scores[rival] - 0.1 for r in rivals if r != rival):
        return False
    relative = {"percent", "points", "ratio"}
    return value.unit == other.unit or not (value.unit in relative or other.unit in relative)


PARALLEL = 0.8  # share of the claim that stands in the source's order from which on a mismatch of any kind counts
EXCHANGED = 0.25  # by how much another quantity must belong better before the claim's value counts as exchanged


def paired_by_role(aligned: Aligned, token: Token, other: Token) -> bool:
    """Both quantities stand on the same named side of a comparison (from, to, than)."""
    return side_of(aligned.claim, token) in {"from", "to", "base"} and side_match(aligned.claim, token, aligned.source, other) > 0


def _stands_elsewhere(aligned: Aligned, at: int, j: int, rivals: list[int], layout: Layout) -> str | None:
    """A word that the claim puts to its value and the source puts, word for word, only to other values."""
    if side_of(aligned.claim, aligned.claim.content[at]) in ({"from", "base"} if layout.columns is not None else {"from"}):
        return None  # what it was before does not stand with what changed it
    mine = Layout(aligned.claim)
    several = len(mine.numbered) > 1
    used = aligned.used
    if layout.columns is None and not any(
        k not in used and not t.weak and not polarity(t.low) for k in layout.companions(j) for t in (aligned.source.content[k],)
    ):
        return None  # all that stands with the value is said: what else the claim says was left out the second time
    for k, token in enumerate(aligned.claim.content):
        if token.kind == "q" or token.weak or polarity(token.low) or not aligned.partners[k] or aligned.strength[k] < 1.0:
            continue
        if several and mine.segment[k] != mine.segment[at]:
            continue
        if all(layout.elsewhere(j, p) and any(not layout.elsewhere(r, p) for r in rivals) for p in aligned.partners[k]):
            return token.text
    return None


def _is_spread(aligned: Aligned, value: Value) -> bool:
    """The claim states the spread of a source value as a figure of its own."""
    if not aligned.claim.words & {"spread", "deviation", "std", "sd", "error", "interval"}:
        return False
    for token in aligned.source.quantities:
        v = token.value
        if (
            v is not None
            and v.spread is not None
            and agree(value, Value(v.raw, v.spread, v.spread, v.unit, decimals=v.decimals)) is Agreement.EQUAL
        ):
            return True
    return False


def _comparable(a: Value, b: Value | None) -> bool:
    """Whether two quantities could be values of one thing."""
    if b is None:
        return False
    if a.unit == b.unit == "":
        return ((a.decimals or 0) > 0) == ((b.decimals or 0) > 0) and (a.decimals is None) == (b.decimals is None)
    if "" in (a.unit, b.unit):
        return (a.decimals or 0) > 0 and (b.decimals or 0) > 0
    return a.unit == b.unit or {a.unit, b.unit} <= {"percent", "ratio", "order"} or _scale(a.unit) == _scale(b.unit)


def _scale(unit: str) -> str:
    return {"second": "time", "byte": "data", "bit": "data"}.get(unit, unit)


def _off(aligned: Aligned, token: Token, rival: int, near: Closeness, slot: str, kind: str = CONTRADICTS) -> Finding:
    other = aligned.source.content[rival]
    assert token.value is not None and other.value is not None
    if is_setting(aligned.claim, token):
        slot = "condition" if slot == "value" else slot
        return Finding(
            slot,
            CONTRADICTS,
            with_head(aligned.claim, token),
            with_head(aligned.source, other),
            around_value(aligned, rival, near),
        )
    return Finding(slot, kind, shown(token.value), shown(other.value), around_value(aligned, rival, near))


def _loose(token: Token, other: Token, agreement: Agreement) -> Finding:
    assert token.value is not None and other.value is not None
    if agreement is Agreement.FINER:
        return Finding("value", QUALIFIES, shown(token.value), shown(other.value), "the claim is more exact than its source")
    note = "a maximum is not an average" if Relation.UP_TO in (token.value.relation, other.value.relation) else "the relation differs"
    return Finding("value", QUALIFIES, shown(token.value), shown(other.value), note)


def _in_surroundings(aligned: Aligned, value: Value) -> bool:
    """A setting's number that the unit inherits from its heading, caption or the sentence before ("batch 8")."""
    texts = [t for t in (aligned.unit.around, aligned.unit.before) if t]
    return value.unit in {"", "bit"} and any(
        q.value is not None and agree(value, q.value) is Agreement.EQUAL for t in texts for q in scan(t).quantities
    )


def _respectively(aligned: Aligned) -> dict[tuple[int, int], float]:
    """ "TTFT and TPOT fall by 10.3 % and 10.5 %, respectively": pairs by order. Scores per (claim filler, source quantity)."""
    source = aligned.source
    if "respectively" not in source.words:
        return {}
    quantities = [j for j, t in enumerate(source.content) if t.kind == "q"]
    labels = [j for j, t in enumerate(source.content) if t.kind != "q" and not t.weak and not polarity(t.low)]
    count = len(quantities)
    left = [j for j in labels if j < quantities[0]] if quantities else []
    if count < 2 or len(left) < count:
        return {}
    owners = dict(zip(quantities, _coordinated(source, left, count)))
    near = Closeness(aligned.claim)
    out: dict[tuple[int, int], float] = {}
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "q":
            continue
        for j, owner in owners.items():
            holders = [k for k, partners in enumerate(aligned.partners) if owner in partners]
            share = max((near(i, k) for k in holders), default=0.0)
            out[(i, j)] = share
    return out


def _coordinated(source: Scan, left: list[int], count: int) -> list[int]:
    """The last `count` coordinated items before the first number: tokens right before ',' or 'and', and the one after the last 'and'."""
    items: list[int] = []
    for j in left:
        after = source.text[source.content[j].end : source.content[j].end + 5].lstrip().lower()
        if after.startswith((",", "and ", "and", "or ", "/", "&")) or (
            items and re.search(r"(?:and|or|/|&)\s*$", source.text[: source.content[j].start].lower())
        ):
            items.append(j)
    return items[-count:] if len(items) >= count else left[-count:]
