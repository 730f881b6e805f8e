"""What the guard can find between a claim and one unit of evidence, one function per slot. Imports the alignment and the shared language reading.

Every finding names its slot, quotes both sides and says whether it contradicts, qualifies or leaves open. Refuses to weigh findings against each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import concepts, negated_pair, opposite, polarity
from sovereign.kernel.verify.align import Aligned, Closeness, belonging, binding, weight
from sovereign.kernel.verify.layout import Layout
from sovereign.kernel.verify.values import Agreement, agree, derived, shown
from sovereign.records import Relation, Value

CONTRADICTS, QUALIFIES, OPEN, NOTED = "contradicts", "qualifies", "open", "noted"
MARGIN = 0.15  # by how much another quantity must be bound better before the claim's value counts as exchanged


@dataclass(frozen=True)
class Finding:
    slot: str
    kind: str
    said: str
    source: str
    note: str = ""

    def line(self) -> str:
        tail = f" ({self.note})" if self.note else ""
        return f"{self.slot}: the claim says {self.said}, the source says {self.source}{tail}"


@dataclass
class Bound:
    """Which source quantity each quantity of the claim was bound to, and how derived values follow."""

    to: dict[int, int]
    notes: list[str]


def _near(aligned: Aligned) -> tuple[Closeness, Closeness]:
    return Closeness(aligned.claim), Closeness(aligned.source, aligned.columns)


def around_value(aligned: Aligned, at: int, near: Closeness, limit: int = 3) -> str:
    """The words that a source quantity stands with, nearest first: shown in explanations."""
    tokens = [(near(at, j), j, t) for j, t in enumerate(aligned.source.content) if j != at and t.kind != "q" and not t.weak]
    best = sorted(tokens, key=lambda x: (-x[0], x[1]))[:limit]
    return ", ".join(t.text for _, _, t in sorted(best, key=lambda x: x[1]))


# --- values ---


def values(aligned: Aligned) -> tuple[list[Finding], Bound]:
    """Every quantity of the claim against the quantity of the source that belongs to the same things."""
    near_claim, near_source = _near(aligned)
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
            scores[j] += _role_match(aligned.claim, token, aligned.source, source[j]) + paired.get((i, j), 0.0)
        finding, chosen = _value(aligned, i, scores, said, layout, near_source, bound.notes)
        if chosen is not None:
            bound.to[i] = chosen
        if finding is not None:
            findings.append(finding)
    return findings, bound


def _value(
    aligned: Aligned, at: int, scores: dict[int, float], said: float, layout: Layout, near: Closeness, notes: list[str]
) -> tuple[Finding | None, int | None]:
    token, source = aligned.claim.content[at], aligned.source.content
    value = token.value
    assert value is not None  # narrowed by the caller; kept for the type checker
    agreements = {j: agree(value, v) for j in scores if (v := source[j].value) is not None}
    setting = head_of(aligned.claim, token)
    role = _role(aligned.claim, token)
    theirs = {j: _role(aligned.source, source[j]) for j in agreements}
    clashing = {j for j, r in theirs.items() if (r == "total") != (role == "total") or {r, role} == {"by", "to"}}
    equal = [j for j, a in agreements.items() if a is Agreement.EQUAL and j not in clashing]
    soft = [j for j, a in agreements.items() if a in (Agreement.QUALIFIED, Agreement.FINER) and j not in clashing]
    off = [j for j, a in agreements.items() if a in (Agreement.OFF, Agreement.UNIT) and _comparable(value, source[j].value)]
    rivals = [j for j in off if setting == head_of(aligned.source, source[j])]
    rival = max(rivals, key=lambda r: (scores[r], -r), default=None)
    for group in (equal, soft):
        if not group:
            continue
        j = max(group, key=lambda j: (scores[j], -j))
        if rival is not None and scores[rival] > scores[j] + EXCHANGED and said >= 0.5:
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
    if (note := _derive(aligned, at, value)) is not None:
        notes.append(note)
        return None, None
    if setting and rival is not None:
        return _off(aligned, token, rival, near, "condition"), None
    if _is_spread(aligned, value) or (setting and _in_surroundings(aligned, value)):
        return None, None
    per = aligned.claim.words & {"per"} and not aligned.source.words & {"per"}
    if rival is not None and scores[rival] >= 0.6 and said >= 0.7 and not per and not aligned.claim.text.startswith("Per ") and _sole(aligned, value, rival, rivals, scores):
        return _off(aligned, token, rival, near, "unit" if agreements[rival] is Agreement.UNIT else "value"), None
    return Finding("value", OPEN, shown(value), "no such value here"), None


def _kind_of_percent(sentence: Scan, token: Token) -> str:
    """ "15.7 % of the parameters" is a share, "15.7 % fewer parameters" a change."""
    if token.value is None or token.value.unit != "percent":
        return ""
    after = sentence.text[token.end : token.end + 24].lower().split()
    if after[:1] in (["of"], ["as"]):
        return "share"
    return "change" if after and polarity(after[0].strip(".,;)")) else ""


def _share_or_change(aligned: Aligned, token: Token, other: Token) -> Finding | None:
    mine, theirs = _kind_of_percent(aligned.claim, token), _kind_of_percent(aligned.source, other)
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


EXCHANGED = 0.25  # by how much another quantity must belong better before the claim's value counts as exchanged


def paired_by_role(aligned: Aligned, token: Token, other: Token) -> bool:
    """Both quantities stand on the same named side of a comparison (from, to, than)."""
    return _role_match(aligned.claim, token, aligned.source, other) > 0


def _stands_elsewhere(aligned: Aligned, at: int, j: int, rivals: list[int], layout: Layout) -> str | None:
    """A word that the claim puts to its value and the source puts, word for word, only to other values."""
    if layout.columns is not None and _role(aligned.claim, aligned.claim.content[at]) in {"from", "base"}:
        return None
    mine = Layout(aligned.claim)
    several = len(mine.numbered) > 1
    used = {p for partners in aligned.partners for p in partners}
    if layout.columns is None and not any(k not in used and not t.weak and not polarity(t.low) for k in layout.companions(j) for t in (aligned.source.content[k],)):
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
    if _is_condition(aligned.claim, token):
        slot = "condition" if slot == "value" else slot
        return Finding(
            slot,
            CONTRADICTS,
            _with_neighbour(aligned.claim, token),
            _with_neighbour(aligned.source, other),
            around_value(aligned, rival, near),
        )
    return Finding(slot, kind, shown(token.value), shown(other.value), around_value(aligned, rival, near))


_HEADS = {
    "batch": "batch", "batched": "batch", "bs": "batch", "sequence": "length", "context": "length", "layer": "layer", "layers": "layer", "epoch": "epoch",
    "epochs": "epoch", "seed": "seed", "seeds": "seed", "top": "top", "temperature": "temperature", "cache": "cache", "gpu": "gpu", "gpus": "gpu",
    "device": "device", "devices": "device", "experts": "expert", "expert": "expert", "shot": "shot", "shots": "shot", "bit": "bit", "bits": "bit",
}  # fmt: skip


def head_of(sentence: Scan, token: Token) -> str:
    """What a number sets ("batch 8", "2 GPUs", "cache size 16"), "" for a result."""
    if token.value is None or token.value.unit not in {"", "bit"}:
        return ""
    if letter := re.search(r"\b([A-Za-z])\s?=\s?$", sentence.text[max(0, token.start - 5) : token.start]):
        return letter.group(1)
    at = sentence.content.index(token)
    if at > 0 and sentence.content[at - 1].low in {"size", "sizes", "length", "count", "number"} and at > 1:
        return _HEADS.get(sentence.content[at - 2].low, "")
    for k in (at - 1, at + 1):
        if 0 <= k < len(sentence.content) and (head := _HEADS.get(sentence.content[k].low)):
            gap = sentence.text[min(token.end, sentence.content[k].end) : max(token.start, sentence.content[k].start)]
            if len(gap) <= 6 and not set(gap) & set(",;:("):
                return head
    return ""


def _is_condition(sentence: Scan, token: Token) -> bool:
    return bool(head_of(sentence, token))


def _with_neighbour(sentence: Scan, token: Token) -> str:
    head = head_of(sentence, token)
    return f"{head} {token.text}" if head else token.text


def _loose(token: Token, other: Token, agreement: Agreement) -> Finding:
    assert token.value is not None and other.value is not None
    if agreement is Agreement.FINER:
        return Finding("value", QUALIFIES, shown(token.value), shown(other.value), "the claim is more exact than its source")
    note = "a maximum is not an average" if Relation.UP_TO in (token.value.relation, other.value.relation) else "the relation differs"
    return Finding("value", QUALIFIES, shown(token.value), shown(other.value), note)


def _derive(aligned: Aligned, at: int, value: Value) -> str | None:
    """A relative figure that follows from absolute values of the unit ("from 7.9 s to 6.2 s", two cells of a row), or the rest to 100 %."""
    if value.unit not in {"percent", "points", "ratio"}:
        return None
    source = aligned.source.content
    tokens = [t for t in source if t.value is not None and t.value.unit not in {"ratio", "order"} and not _is_condition(aligned.source, t)]
    if (rest := _rest(aligned, at, value)) is not None:
        return rest
    if len(tokens) > 8 or len(tokens) < 2:
        return None
    if aligned.columns is not None and any(t.value is not None and t.value.unit == value.unit for t in tokens):
        return None  # the row states a change of its own
    few = len(tokens) <= 4
    share = _kind_of_percent(aligned.claim, aligned.claim.content[at]) == "share"
    for a in range(len(tokens)):
        for b in range(a + 1, len(tokens)):
            first, second = tokens[a].value, tokens[b].value
            if (
                first is None
                or second is None
                or not (few or aligned.columns is not None or _contrasted(aligned.source, tokens[a], tokens[b]))
            ):
                continue
            if (note := derived(value, first, second, share=share)) is not None:
                return note
    return None


def _rest(aligned: Aligned, at: int, value: Value) -> str | None:
    """ "84.3 % fewer" follows from "15.7 % of": the rest to 100 %."""
    near = [t for t in aligned.claim.content[max(0, at - 3) : at + 4] if polarity(t.low) == "down"]
    if value.unit != "percent" or not near:
        return None
    for token in aligned.source.quantities:
        v = token.value
        if (
            v is not None
            and v.unit == "percent"
            and v.low > 0
            and re.match(r"\s*(?:of|as)\b", aligned.source.text[token.end : token.end + 6])
        ):
            if abs(100.0 - v.low - value.low) <= 0.5 * 10.0 ** -(value.decimals or 0) + 1e-9:
                return f"{token.text} of the whole leaves {value.raw}"
    return None


def _contrasted(sentence: Scan, first: Token, second: Token) -> bool:
    """Two values that the sentence sets against each other: from ... to, than, versus, compared with, against."""
    between = sentence.text[first.end : second.start].lower()
    lead = sentence.text[max(0, first.start - 8) : first.start].lower()
    return (
        len(between) < 60 and bool(re.search(r"\b(?:to|than|vs|versus|compared|against|over|relative|down|up|instead)\b|→|->", between))
    ) or lead.rstrip().endswith("from")


def _in_surroundings(aligned: Aligned, value: Value) -> bool:
    """A setting's number that the unit inherits from its heading, caption or the sentence before ("batch 8")."""
    texts = [t for t in (aligned.unit.around, aligned.unit.before) if t]
    return value.unit in {"", "bit"} and any(
        q.value is not None and agree(value, q.value) is Agreement.EQUAL for t in texts for q in scan(t).quantities
    )


_ROLES = {"from": "from", "to": "to", "by": "by", "than": "base", "versus": "base", "vs": "base", "against": "base", "over": "base"}


def _role(sentence: Scan, token: Token) -> str:
    """Which side of a comparison a quantity stands on: what it came from, what it became, what it is compared with."""
    before = [t for t in sentence.tokens if t.end <= token.start][-3:]
    if len(before) > 1 and before[-1].low == "of" and before[-2].kind == "q" and before[-2].value is not None and before[-2].value.unit == "":
        return "total"
    for t in reversed(before):
        if t.low in _ROLES:
            return _ROLES[t.low]
        if t.kind in "qn" or (t.content and not t.weak):
            return ""
    return ""


def _role_match(claim: Scan, a: Token, source: Scan, b: Token) -> float:
    """Bonus for the same side of a comparison, malus for the other one."""
    mine, theirs = _role(claim, a), _role(source, b)
    if not mine or not theirs:
        return 0.0
    return 0.3 if mine == theirs else -0.3


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


# --- direction ---


@dataclass(frozen=True)
class Sense:
    """What a direction word says: raw +1/-1 for up/down, good +1/-1 for better/worse, 0 where it does not say."""

    raw: int
    good: int


def _sense(sentence: Scan, at: int, near: Closeness) -> Sense:
    token = sentence.content[at]
    word = polarity(token.low)
    metric = _metric_cost(sentence, at, near)
    orient = 0 if metric is None else (-1 if metric else 1)
    if word in {"up", "down"}:
        raw = 1 if word == "up" else -1
        return Sense(raw, raw * orient)
    if word in {"good", "bad"}:
        good = 1 if word == "good" else -1
        return Sense(good * orient if orient else 0, good)
    if word in {"fast", "slow"}:
        return Sense(0, 1 if word == "fast" else -1)
    return Sense(0, 0)


def _metric_cost(sentence: Scan, at: int, near: Closeness) -> bool | None:
    """Whether less is better for the metric that stands nearest."""
    best, cost = 0.0, None
    for j, token in enumerate(sentence.content):
        if j != at and token.low in lex.METRICS and (c := near(at, j)) > max(best, 0.24):
            best, cost = c, lex.METRICS[token.low]
    return cost


def _agree_in_sense(a: Sense, b: Sense) -> bool | None:
    if a.raw and b.raw:
        if a.good and b.good and (a.raw == b.raw) != (a.good == b.good):
            return a.good == b.good
        return a.raw == b.raw
    if a.good and b.good:
        return a.good == b.good
    if a.raw and b.good:
        return a.raw == b.good
    if a.good and b.raw:
        return a.good == b.raw
    return None


def _beside_value(aligned: Aligned, bound: Bound, at: int, near_claim: Closeness, near_source: Closeness) -> Finding | None:
    """ "38.7 % more" against "38.7 % fewer": direction words that stand right beside one bound value."""
    claim, source = aligned.claim.content, aligned.source.content
    for i, j in bound.to.items():
        if abs(i - at) != 1:
            continue
        sense = _sense(aligned.claim, at, near_claim)
        for k in (j - 1, j + 1):
            if (
                0 <= k < len(source)
                and source[k].kind == "w"
                and polarity(source[k].low) not in {"", "same"}
                and not _attribute(aligned.source, k)
            ):
                verdict = _agree_in_sense(sense, _sense(aligned.source, k, near_source))
                if verdict is False and claim[at].negated == source[k].negated:
                    return Finding("direction", CONTRADICTS, f"“{claim[i].text} {claim[at].text}”", f"“{source[j].text} {source[k].text}”")
    return None


_ATTRIBUTES = frozenset("larger smaller bigger large small longer shorter high low strong weak great largest smallest".split())


def _bounding(sentence: Scan, at: int) -> bool:
    """ "more than 5 %" bounds a value, it states no direction."""
    token = sentence.content[at]
    after = sentence.content[at + 1] if at + 1 < len(sentence.content) else None
    return after is not None and after.kind == "q" and sentence.text[token.end : after.start].strip().lower() in {"than", "than the", "than about"}


def _attribute(sentence: Scan, at: int) -> bool:
    """An adjective of size right before its noun ("larger models") names a setting, not a change."""
    token = sentence.content[at]
    if _bounding(sentence, at):
        return True
    if token.low not in _ATTRIBUTES or at + 1 >= len(sentence.content):
        return False
    after = sentence.content[at + 1]
    return sentence.text[token.end : after.start] == " " and not polarity(after.low) and after.low not in lex.METRICS and after.kind != "q"


_SETTLED = frozenset(
    """
        high low large small great strong weak positive negative top above below up down least more less lead leads effective
        effectively add adds adding
        """.split()
)


def directions(aligned: Aligned, bound: Bound) -> list[Finding]:
    """Every direction of the claim against the direction that the source binds to the same things."""
    near_claim, near_source = _near(aligned)
    source = aligned.source.content
    candidates = [
        j for j, t in enumerate(source) if t.kind == "w" and polarity(t.low) not in {"", "same"} and not _attribute(aligned.source, j)
    ]
    findings = []
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "w" or polarity(token.low) in {"", "same"} or _attribute(aligned.claim, i):
            continue
        if (clash := _beside_value(aligned, bound, i, near_claim, near_source)) is not None:
            findings.append(clash)
            continue
        sense = _sense(aligned.claim, i, near_claim)
        finding = _direction(aligned, i, sense, candidates, near_claim, near_source)
        if finding is not None and finding.kind == OPEN and not _speed_of_other(aligned, token) and (sign := _signed(aligned, bound, i, near_claim)):
            agrees = _agree_in_sense(sense, Sense(sign, 0))
            finding = None if agrees is not False else Finding("direction", CONTRADICTS, f"“{token.text}”", "a change with the other sign")
        if finding is not None and finding.kind == OPEN and _follows_from_ratio(aligned, bound, i, sense):
            finding = None
        if finding is None and aligned.strength[i] == 0.0:
            aligned.strength[i] = 0.9
        if finding is not None:
            findings.append(finding)
    return findings


def _speed_of_other(aligned: Aligned, token: Token) -> bool:
    """A word of speed where the source's values are no times and no rates."""
    units = {t.value.unit for t in aligned.source.quantities if t.value is not None}
    return polarity(token.low) in {"fast", "slow"} and not any(u == "second" or u.endswith("/second") or u in {"ratio", "percent", ""} for u in units)


def _follows_from_ratio(aligned: Aligned, bound: Bound, at: int, sense: Sense) -> bool:
    """ "3.19 times as fast": the bound ratio itself states the comparison; so does a change that was worked out from two values."""
    if sense.raw < 0 or sense.good < 0:
        return any(" is -" in n for n in bound.notes)
    near = [i for i, t in enumerate(aligned.claim.content) if t.value is not None and t.value.unit == "ratio" and t.value.low > 1 and abs(i - at) <= 3]
    return any(i in bound.to for i in near) or (bool(near) and bool(bound.notes))


def _direction(
    aligned: Aligned, i: int, sense: Sense, candidates: list[int], near_claim: Closeness, near_source: Closeness
) -> Finding | None:
    token = aligned.claim.content[i]
    source = aligned.source.content
    scores = binding(aligned, i, candidates, near_claim, near_source)
    if not candidates or max(scores.values()) < 0.3:
        return (
            None if aligned.partners[i] and not aligned.inherited[i] else Finding("direction", OPEN, f"“{token.text}”", "no direction here")
        )
    best = max(scores.values())
    for j in sorted(candidates, key=lambda j: (-scores[j], j)):
        if scores[j] < best - 0.12:
            break
        if _agree_in_sense(sense, _sense(aligned.source, j, near_source)) and source[j].negated == token.negated:
            return None
    j = max(candidates, key=lambda j: (scores[j], -j))
    verdict = _agree_in_sense(sense, _sense(aligned.source, j, near_source))
    if verdict is None:
        return None if aligned.partners[i] else Finding("direction", OPEN, f"“{token.text}”", f"“{source[j].text}”")
    if verdict is False and token.negated != source[j].negated:
        return None if token.negated else Finding("direction", OPEN, f"“{token.text}”", f"not “{source[j].text}”")
    if verdict is True:
        said, theirs = ("not " if token.negated else "") + f"“{token.text}”", ("not " if source[j].negated else "") + f"“{source[j].text}”"
        return Finding("negation", _sure(aligned), said, theirs)
    soft = token.low in _SETTLED or source[j].low in _SETTLED
    if soft and aligned.partners[i]:
        return None
    kind = CONTRADICTS if best >= 0.6 and aligned.order >= 0.6 and not soft else OPEN
    return Finding("direction", kind, f"“{token.text}”", f"“{source[j].text}”", near_words(aligned, j, near_source))


def near_words(aligned: Aligned, at: int, near: Closeness) -> str:
    return around_value(aligned, at, near, 2)


def _signed(aligned: Aligned, bound: Bound, at: int, near: Closeness) -> int:
    """The sign of the source value that the claim's value nearest to the direction word is bound to; falls of two values count as minus."""
    for _i, j in sorted(bound.to.items(), key=lambda x: -near(at, x[0])):
        value = aligned.source.content[j].value
        if value is None:
            continue
        if value.raw[:1] in "-−–":
            return -1
        if value.raw[:1] == "+":
            return 1
    for note in bound.notes:
        if " is -" in note:
            return -1
        if " is +" in note:
            return 1
    values_ = [t.value for t in aligned.source.quantities if t.value is not None]
    if len(values_) == 2 and _role(aligned.source, aligned.source.quantities[0]) == "from":
        return 1 if values_[1].low > values_[0].low else -1
    return 0


# --- negation and opposites ---


def negations(aligned: Aligned) -> list[Finding]:
    """A denial on one side whose first words stand undenied on the other."""
    findings = []
    for i in _heads(aligned.claim):
        token = aligned.claim.content[i]
        partners = aligned.partners[i]
        if partners and not any(aligned.source.content[j].negated for j in partners):
            if not _denied_by_word(token, aligned, partners):
                findings.append(
                    Finding(
                        "negation", CONTRADICTS, f"not “{token.text}”", f"“{aligned.source.content[partners[0]].text}” without a denial"
                    )
                )
        elif not partners and not aligned.inherited[i] and not any(t.negated for t in aligned.source.content):
            findings.append(Finding("negation", OPEN, f"not “{token.text}”", "no such denial"))
    for j in _heads(aligned.source):
        holders = [i for i, p in enumerate(aligned.partners) if j in p]
        if holders and not any(aligned.claim.content[i].negated for i in holders):
            if any(aligned.claim.content[i].low in lex.NEGATIONS for i in range(len(aligned.claim.content))):
                continue
            token = aligned.source.content[j]
            findings.append(Finding("negation", _sure(aligned), f"“{aligned.claim.content[holders[0]].text}”", f"not “{token.text}”"))
    mine = [aligned.claim.tokens[k].low for k in aligned.claim.negations]
    if mine and not findings and not aligned.source.negations and not any(t.low in _EMPTY for t in aligned.source.tokens):
        changed = any(t.negated and polarity(t.low) for t in aligned.claim.content) and any(polarity(t.low) for t in aligned.source.content)
        if not changed:
            findings.append(Finding("negation", OPEN, f"“{mine[0]}”", "no such denial"))
    for i, token in enumerate(aligned.claim.content):
        if token.kind == "w" and aligned.strength[i] == 0.0 and _PREFIXED.match(token.low):
            findings.append(Finding("negation", OPEN, f"“{token.text}”", "nothing of the kind"))
    return findings[:2]


_EMPTY = frozenset("unchanged unaffected free zero absent absence instead lossless constant same except only".split())
_PREFIXED = re.compile(r"^(?:un(?!i|der)|in(?=accura|effect|suffic|signif|depend|stab|activ|adequ|appropr|consist)|im(?=possib|probab|perfect|balanc)|ir(?=relev|regul)|non|dis(?=simil|advant|agree|connect))[a-z]{4,}")


def _sure(aligned: Aligned) -> str:
    """A denial on one side contradicts only where the wording runs parallel."""
    return CONTRADICTS if aligned.order >= 0.6 else OPEN


def _heads(sentence: Scan) -> list[int]:
    """For every denial, the first word that it denies and that carries meaning."""
    out = []
    for index in sentence.negations:
        cue = sentence.tokens[index]
        for k, token in enumerate(sentence.content):
            if token.start > cue.start and token.negated and token.kind != "q":
                out.append(k)
                break
    return out


def _denied_by_word(token: Token, aligned: Aligned, partners: tuple[int, ...]) -> bool:
    return any(negated_pair(token.low, aligned.source.content[j].low) for j in partners)


def opposites(aligned: Aligned) -> list[Finding]:
    """A word of the claim that the source does not say, where the source says its opposite of the same things."""
    near_claim, near_source = _near(aligned)
    used = {j for p in aligned.partners for j in p}
    findings = []
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "w" or polarity(token.low) not in {"", "same"}:
            continue
        if aligned.strength[i] > 0.0 and not aligned.inherited[i]:
            continue
        rivals = [j for j, t in enumerate(aligned.source.content) if t.kind == "w" and j not in used and opposite(token.low, t.low)]
        if not rivals:
            continue
        scores = binding(aligned, i, rivals, near_claim, near_source)
        j = max(rivals, key=lambda j: (scores[j], -j))
        other = aligned.source.content[j]
        if token.negated == other.negated:
            slot = "negation" if negated_pair(token.low, other.low) else "direction" if polarity(other.low) else "condition"
            findings.append(Finding(slot, _sure(aligned), f"“{token.text}”", f"“{other.text}”", near_words(aligned, j, near_source)))
    return findings


# --- names ---


def named(aligned: Aligned) -> list[Finding]:
    """Names of the claim that neither the unit nor its surroundings give, with the name that stands in their place."""
    near_claim, near_source = _near(aligned)
    used = {j for p in aligned.partners for j in p}
    findings = []
    free = [j for j, t in enumerate(aligned.source.content) if t.kind == "n" and j not in used and not _continues(aligned.source, j, used)]
    around = [t.text for t in scan(aligned.unit.around).names] if aligned.unit.around else []
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "n" or aligned.strength[i] > 0.0:
            continue
        slot = name_slot(aligned.claim, token)
        if free:
            scores = binding(aligned, i, free, near_claim, near_source)
            j = max(free, key=lambda j: (scores[j], -j))
            alike = _resembles(aligned.source.content[j].text, token.text)
            same_place = scores[j] >= 0.3 and _governed_alike(aligned, token, aligned.source.content[j])
            kind = CONTRADICTS if aligned.columns is not None and (alike or same_place) else OPEN
            findings.append(Finding(slot, kind, token.text, aligned.source.content[j].text))
        elif homonym := next((a for a in around if _resembles(a, token.text)), None):
            findings.append(Finding(slot, CONTRADICTS if aligned.columns is not None or aligned.coverage >= 0.75 else OPEN, token.text, homonym, "different names"))
        else:
            findings.append(Finding(slot, OPEN, token.text, "no such name here"))
    return findings


def _governed_alike(aligned: Aligned, a: Token, b: Token) -> bool:
    """Both names stand behind a preposition, or neither does."""
    return name_slot(aligned.claim, a) == name_slot(aligned.source, b)


def _continues(sentence: Scan, j: int, used: set[int]) -> bool:
    """A name right behind a name that is matched belongs to it ("Nano 30B-A3B")."""
    before = sentence.content[j - 1] if j else None
    return before is not None and before.kind == "n" and j - 1 in used and sentence.text[before.end : sentence.content[j].start] == " "


def _resembles(a: str, b: str) -> bool:
    x, y = a.lower().replace("-", ""), b.lower().replace("-", "")
    return x != y and (x.startswith(y) or y.startswith(x) or x.endswith(y) or y.endswith(x))


def name_slot(sentence: Scan, token: Token) -> str:
    before = [t.low for t in sentence.tokens if t.end <= token.start][-2:]
    if any(w in {"than", "over", "versus", "vs", "against", "with"} for w in before) or any(
        polarity(w) in {"good", "bad", "up"} for w in before[-1:]
    ):
        return "comparator"
    if any(w in {"on", "in", "for", "at", "across"} for w in before):
        return "condition"
    return "subject"


# --- hedges, scope ---


def hedges(aligned: Aligned) -> list[Finding]:
    """A hedge of the source over words that the claim repeats, dropped by the claim."""
    if any(t.low in lex.HEDGES or t.low in {"can"} for t in aligned.claim.tokens):
        return []
    for cue, head in _over(aligned, lex.HEDGES):
        return [Finding("hedge", QUALIFIES, "it outright", f"“{cue}”", f"over “{head}”")]
    return []


def scope(aligned: Aligned) -> list[Finding]:
    """The claim says all, always or only where the source does not; or drops the source's most, some, on average."""
    claim_words, source_words = aligned.claim.words, aligned.source.words
    findings = []
    wide = (claim_words & lex.UNIVERSAL) - source_words - {"fully", "wholly", "each", "must", "whole", "strictly"}
    if "only" in wide and re.search(r"\bonly (?:about |around |some )?(?:\d|slightly|marginally|a |two|three)", aligned.claim.text.lower()):
        wide -= {"only"}
    wide -= {w for w in wide if _same_scope(w, source_words)}
    if wide:
        word = sorted(wide)[0]
        found = sorted(source_words & lex.PARTIAL)
        findings.append(Finding("scope", QUALIFIES, f"“{word}”", f"“{found[0]}”" if found else "nothing so wide"))
    if not claim_words & lex.PARTIAL and not any(t.low in lex.HEDGES for t in aligned.claim.tokens) and not wide:
        for cue, head in _over(aligned, lex.PARTIAL - lex.HEDGES, reach=1):
            findings.append(Finding("scope", QUALIFIES, f"“{head}” without limit", f"“{cue} {head}”"))
            break
    return findings


_SCOPES: tuple[frozenset[str], ...] = (
    frozenset(
        """
            all every each any across whole everywhere always consistently universally regardless irrespective invariably whenever both
            entire
            """.split()
    ),
    frozenset("never no none not".split()),
    frozenset("only solely exclusively merely just alone purely simply".split()),
    frozenset("entirely completely fully totally wholly full complete entire whole perfectly".split()),
    frozenset("guarantee guarantees guaranteed must prove proves proven ensure ensures strictly required necessary".split()),
)


def _same_scope(word: str, source: frozenset[str]) -> bool:
    return any(word in group and source & group for group in _SCOPES)


def _over(aligned: Aligned, cues: frozenset[str], reach: int = 3) -> list[tuple[str, str]]:
    """(cue, head): cues of the source one of whose next `reach` content words the claim says."""
    out = []
    holders = {j for p in aligned.partners for j in p}
    for token in aligned.source.tokens:
        if token.low not in cues or token.kind != "w":
            continue
        after = [(j, t) for j, t in enumerate(aligned.source.content) if t.start > token.start and t.clause <= token.clause + 1][:reach]
        head = next((t for j, t in after if j in holders and not t.weak), None)
        if head is not None:
            out.append((token.text, head.text))
    return out


# --- sides of a comparison ---

_PASSIVE = re.compile(r"\b(?:is|are|was|were|be|been|being)\s+(?:\w+ly\s+)?\w+(?:ed|en|wn|ught|at|un)\s(?:[^.;]{0,40}\s)?by\b")
_AGAINST = frozenset("than versus vs against over".split())
_ACTS = concepts("outperform") | concepts("cause") | concepts("contain") | concepts("replace") | concepts("dominate") | concepts("induce")
_SKIPPED = frozenset("the a an that those of ordinary plain standard vanilla its their to with by".split())


@dataclass(frozen=True)
class Roles:
    """Who is compared with whom: content indices of the one spoken of and of the one it is held against."""

    subject: frozenset[int]
    other: frozenset[int]
    word: str
    sign: str


def roles(sentence: Scan) -> Roles | None:
    """The two sides of the first comparison of a sentence; None when it makes none."""
    tokens = sentence.tokens
    for at, token in enumerate(tokens):
        if token.kind != "w" or not _is_pivot(tokens, at):
            continue
        left, right = _left_of(sentence, at), _right_of(sentence, at)
        if token.low in {"before", "after"}:
            left, right = _around(sentence, token)
        if not left or not right:
            continue
        passive = bool(_PASSIVE.search(sentence.text)) and bool(concepts(token.low) & _ACTS)
        sign = next(
            (
                polarity(t.low)
                for t in reversed(tokens[: at + 1])
                if t.kind == "w" and polarity(t.low) in {"up", "down", "good", "bad", "fast", "slow"}
            ),
            "",
        )
        return Roles(right, left, token.low, sign) if passive else Roles(left, right, token.low, sign)
    return None


def _around(sentence: Scan, pivot: Token) -> tuple[frozenset[int], frozenset[int]]:
    """The three plain words on each side."""
    words = [i for i, t in enumerate(sentence.content) if t.kind == "w" and t is not pivot and t.low not in {"before", "after"} and not t.weak]
    left = [i for i in words if sentence.content[i].start < pivot.start]
    right = [i for i in words if sentence.content[i].start > pivot.start]
    return frozenset(left[-2:]), frozenset(right[:2])


def _is_pivot(tokens: tuple[Token, ...], at: int) -> bool:
    low = tokens[at].low
    after = tokens[at + 1].low if at + 1 < len(tokens) else ""
    if low in {"compared", "relative", "comparison"}:
        return after in {"to", "with"}
    if low == "as":
        return any(t.low == "as" for t in tokens[max(0, at - 3) : at])
    if low == "that" and after == "of":
        return True
    if low == "of":
        return any(t.value is not None and t.value.unit == "ratio" for t in tokens[max(0, at - 5) : at])
    if low == "over":
        return at + 1 < len(tokens) and tokens[at + 1].kind == "n"
    return low in _AGAINST or low in {"before", "after"} or bool(concepts(low) & _ACTS)


def _right_of(sentence: Scan, at: int) -> frozenset[int]:
    """The first name after the pivot, or the first noun phrase."""
    index = {t.start: i for i, t in enumerate(sentence.content)}
    words: list[int] = []
    for token in sentence.tokens[at + 1 : at + 13]:
        if token.kind == "n":
            return frozenset({index[token.start]})
        if token.kind == "p" or (words and token.low in _SETTING) or token.kind == "q":
            break
        if token.content and token.low not in _SKIPPED and not polarity(token.low):
            words.append(index[token.start])
    return frozenset(words[:3])


_SETTING = frozenset("on in at for with under across when while whereas and but by from to".split())


def _left_of(sentence: Scan, at: int) -> frozenset[int]:
    """Names before the pivot that no preposition governs, or the noun phrase that opens the clause."""
    index = {t.start: i for i, t in enumerate(sentence.content)}
    named, words, previous = [], [], ""
    for token in sentence.tokens[:at]:
        if token.kind == "n" and previous not in _SETTING:
            named.append(index[token.start])
        elif token.kind == "w" and token.content and not token.weak and previous not in _SETTING:
            if polarity(token.low) and words:
                break
            if not polarity(token.low):
                words.append(index[token.start])
        if token.low not in {"the", "a", "an"}:
            previous = token.low
    return frozenset(named) if named else frozenset(words[:3])


def sides(aligned: Aligned) -> list[Finding]:
    """Who stands on which side of a comparison: exchanged sides contradict, unless the direction is turned as well."""
    mine, theirs = roles(aligned.claim), roles(aligned.source)
    if mine is not None and theirs is None and mine.word == "than" and not any(polarity(t.low) not in {"", "same"} for t in aligned.source.content) and not aligned.claim.quantities:
        return [Finding("comparator", OPEN, f"more or less than “{_phrase(aligned.claim, mine.other)}”", "no comparison here")]
    if mine is None or theirs is None:
        return []
    partner = aligned.partners
    subject_moved = any(partner[i] and set(partner[i]) <= theirs.other for i in mine.subject)
    kept = any(set(partner[i]) & theirs.subject for i in mine.subject) or any(set(partner[i]) & theirs.other for i in mine.other)
    other_moved = any((partner[i] and not set(partner[i]) & theirs.other) or (not partner[i] and aligned.inherited[i]) for i in mine.other)
    if not subject_moved and not kept and any(partner[i] and set(partner[i]) <= theirs.subject for i in mine.other):
        return [Finding("comparator", OPEN, f"{mine.word} “{_phrase(aligned.claim, mine.other)}”", f"{theirs.word} “{_phrase(aligned.source, theirs.other)}”")]
    if not subject_moved or not other_moved or kept:
        return []
    if mine.sign and theirs.sign and _opposed(mine.sign, theirs.sign):
        return [Finding("", TURNED, "", "")]
    said = f"“{_phrase(aligned.claim, mine.subject)} {mine.word} {_phrase(aligned.claim, mine.other)}”"
    return [Finding("comparator", CONTRADICTS, said, "the other way round")]


TURNED = "turned"  # both sides and direction are exchanged: the same statement


def _opposed(a: str, b: str) -> bool:
    return {a, b} in ({"up", "down"}, {"good", "bad"}, {"fast", "slow"})


def _phrase(sentence: Scan, members: frozenset[int]) -> str:
    return " ".join(sentence.content[i].text for i in sorted(members))


def subjects(aligned: Aligned) -> list[Finding]:
    """The claim is about a thing that the unit does not name, and the unit is about another one that the claim does not name."""
    mine = _opening(aligned.claim)
    if not mine or any(aligned.partners[i] for i in mine) or aligned.columns is not None:
        return []
    if all(aligned.strength[i] == 0.0 for i in mine):
        return [Finding("subject", OPEN, f"“{_phrase(aligned.claim, frozenset(mine))}”", "nothing about it here")]
    theirs = [j for j in _opening(aligned.source) if aligned.source.content[j].kind == "n"]
    used = {p for partners in aligned.partners for p in partners}
    if not theirs or any(j in used for j in theirs):
        return []
    return [Finding("subject", OPEN, f"“{_phrase(aligned.claim, frozenset(mine))}”", _phrase(aligned.source, frozenset(theirs)))]


def _opening(sentence: Scan) -> list[int]:
    """What a sentence is about: the content words before its first verb or direction word that no preposition governs."""
    out: list[int] = []
    index = {t.start: i for i, t in enumerate(sentence.content)}
    governed = False
    for token in sentence.tokens:
        if token.low in _SETTING:
            if out:
                break
            governed = True
        elif token.low == ",":
            governed = False
        elif token.content and not governed:
            if token.kind == "q" or (out and (polarity(token.low) or token.weak)):
                break
            if not token.weak:
                out.append(index[token.start])
        elif out and token.low in {"is", "are", "was", "were", "has", "have", "can", "does", "do", "will"}:
            break
        elif token.low in {"it", "its", "they", "we"}:
            governed = False
        if len(out) >= 3:
            break
    return out


def exchanged(aligned: Aligned) -> list[Finding]:
    """Two parallel phrases that swapped their partners ("early layers ... identity, deeper layers ... meaning"): a, d, c, b for a, b, c, d."""
    if _PASSIVE.search(aligned.claim.text) or _PASSIVE.search(aligned.source.text):
        return []
    if aligned.order < 0.65:
        return []
    positions = [j for _, j in _pairs(aligned)]
    rank = {j: r for r, j in enumerate(sorted(positions))}
    ranks = [rank[j] for j in positions]
    tiles: list[tuple[int, int]] = []
    for r in ranks:
        if tiles and r == tiles[-1][1] + 1:
            tiles[-1] = (tiles[-1][0], r)
        else:
            tiles.append((r, r))
    firsts = [t[0] for t in tiles]
    for a in range(1, len(tiles) - 2):
        d, c, b = firsts[a], firsts[a + 1], firsts[a + 2]
        if b < c < d and firsts[a - 1] < b and tiles[a + 2][1] + 1 == c and tiles[a + 1][1] + 1 == d:
            words = [aligned.source.content[sorted(positions)[x]].text for x in (d, b)]
            return [Finding("comparator", OPEN, f"“{words[0]}” where the source has “{words[1]}”", "the two exchanged")]
    return []


def _pairs(aligned: Aligned) -> list[tuple[int, int]]:
    """One-to-one partners of names and plain words."""
    counts: dict[int, int] = {}
    for p in aligned.partners:
        for j in p:
            counts[j] = counts.get(j, 0) + 1
    out = []
    for i, p in enumerate(aligned.partners):
        token = aligned.claim.content[i]
        if (
            len(p) == 1
            and counts[p[0]] == 1
            and not aligned.inherited[i]
            and not token.weak
            and not polarity(token.low)
            and token.kind in "nw"
        ):
            out.append((i, p[0]))
    return out


_FRONTED = re.compile(r"^(?:For|When|Under|If|Among)\b[^,;:()]{3,90},")


def settings_dropped(aligned: Aligned, bound: Bound) -> list[Finding]:
    """A setting that opens the source sentence and that the claim leaves out: the claim is wider than its source."""
    match = _FRONTED.match(aligned.source.text)
    if match is None or aligned.claim.text[: match.end()].lower() == match.group().lower():
        return []
    inside = [j for j, t in enumerate(aligned.source.content) if t.end <= match.end() and not t.weak]
    used = {p for partners in aligned.partners for p in partners} | set(bound.to.values())
    missing = [j for j in inside if j not in used]
    if len(inside) >= 2 and len(missing) >= 0.6 * len(inside):
        return [Finding("condition", QUALIFIES, "it without a setting", f"“{match.group().rstrip(',')}”")]
    return []


_PER = re.compile(r"\b(?:per|a|each|every)\b(?=\s+[a-z])")
_BECAUSE = re.compile(r"\b(?:because|due to|caused by|thanks to|owing to|as a result of|stems? from|attributable to|results? from|explained by|leads? to|causes?|since)\b", re.IGNORECASE)
_REPORTED = re.compile(
    r"\b(?:claim(?:s|ed)? that|is said to|are said to|was said to|allegedly|reportedly|could not be (?:confirmed|reproduced)|unconfirmed|not (?:been )?confirmed|would (?:be|have|reach|need|give|reduce|cut)|"
    r"hypothetical(?:ly)?|in theory|were to|has been retracted|is false|is wrong|is incorrect|contrary to)\b", re.IGNORECASE,
)  # fmt: skip


_NOT_ASSERTED = re.compile(
    r"^(?:OBJECTIVES?|AIMS?|PURPOSE|DESIGN|METHODS?|SETTING|PARTICIPANTS|INTERVENTIONS?|MEASUREMENTS|ELIGIBILITY|DATA SOURCES|STUDY SELECTION|Eligibility criteria|Main [Oo]utcomes?)\b|"
    r"\b(?:whether|hypothesi[sz]ed?(?: that)?|we (?:ask|asked|test|tested) if|(?:aim|aims|aimed|sought|designed|seek) to|to (?:determine|evaluate|assess|investigate|examine|test|explore) (?:if|the|how|a)|"
    r"(?:was|were|is|are|remains?|remained) (?:lacking|unclear|unknown|untested|poorly (?:defined|understood)|an open question|to be (?:seen|shown|determined)|controversial))\b", re.MULTILINE,
)  # fmt: skip


def circumstances(aligned: Aligned) -> list[Finding]:
    """What a statement rests on: a rate per another thing, a cause that the source does not give, words that the source only reports or supposes."""
    out = []
    mine, theirs = _per(aligned.claim), _per(aligned.source)
    used = {p for partners in aligned.partners for p in partners}
    for i in mine:
        if theirs and not aligned.partners[i] and aligned.strength[i] == 0.0 and any(j not in used for j in theirs):
            other = next(j for j in theirs if j not in used)
            out.append(Finding("unit", CONTRADICTS if aligned.order >= 0.5 else OPEN, f"per {aligned.claim.content[i].text}", f"per {aligned.source.content[other].text}"))
    if not mine and theirs and aligned.claim.words & {"total", "altogether", "overall"} and not any(j in used for j in theirs):
        out.append(Finding("unit", OPEN, "a total", f"per {aligned.source.content[theirs[0]].text}"))
    if (cause := _BECAUSE.search(aligned.claim.text)) and not _BECAUSE.search(aligned.source.text):
        out.append(Finding("scope", OPEN, f"“{cause.group()}”", "no cause"))
    if (aim := _NOT_ASSERTED.search(aligned.source.text)) and not _NOT_ASSERTED.search(aligned.claim.text):
        out.append(Finding("hedge", OPEN, "it outright", f"“{aim.group()}”", "it asks or plans, it does not state"))
    if (report := _REPORTED.search(aligned.source.text)) and not _REPORTED.search(aligned.claim.text):
        out.append(Finding("hedge", OPEN, "it outright", f"“{report.group()}”"))
    return out


def _per(sentence: Scan) -> list[int]:
    """Content indices of what follows "per"."""
    out = []
    for token in sentence.tokens:
        if token.low == "per":
            out += [i for i, t in enumerate(sentence.content) if t.start > token.end and t.kind != "q"][:1]
    return out


_CLAUSE = re.compile(r";|\b(?:while|whereas|but)\b")


def clauses(aligned: Aligned) -> list[Finding]:
    """The claim's name stands in one clause of the source and what the claim says of it only in another one."""
    cuts = [m.start() for m in _CLAUSE.finditer(aligned.source.text)]
    if not cuts or aligned.columns is not None or _CLAUSE.search(aligned.claim.text):
        return []
    place = [sum(t.start > c for c in cuts) for t in aligned.source.content]
    named_at: dict[int, set[int]] = {}
    rest: list[set[int]] = []
    for i, token in enumerate(aligned.claim.content):
        if not aligned.partners[i]:
            continue
        where = {place[j] for j in aligned.partners[i]}
        if token.kind == "n":
            named_at[i] = where
        elif not token.weak:
            rest.append(where)
    for i, where in named_at.items():
        apart = sum(not (w & where) for w in rest)
        if rest and apart > 0.5 * len(rest):
            return [Finding("subject", OPEN, f"it of {aligned.claim.content[i].text}", "it of something else, in another clause")]
    return []


# --- words ---


def wording(aligned: Aligned) -> list[Finding]:
    """Content words of the claim that neither the unit nor its surroundings say. A measured thing, or a word in another's place, carries a note."""
    out = []
    used = {j for p in aligned.partners for j in p}
    for token in aligned.claim.content:
        key = f"#{token.value.low:g}" if token.value is not None else token.key
        if key in aligned.unit.siblings and not any(t.key == token.key and t.kind != "q" for t in aligned.source.content):
            if token.value is not None and any(
                t.value is not None and agree(token.value, t.value) is Agreement.EQUAL for t in aligned.source.content
            ):
                continue
            out.append(
                Finding("subject", OPEN, f"“{token.text}”", f"a row about {aligned.unit.table.cells[0] if aligned.unit.table else ''}")
            )
    for i in aligned.unmatched():
        token = aligned.claim.content[i]
        if weight(token) < 1.0 or token.kind != "w" or polarity(token.low):
            continue
        other = _in_its_place(aligned, i, used) if aligned.order >= 0.6 else None
        if other is not None:
            out.append(Finding("wording", OPEN, f"“{token.text}”", f"“{other.text}”", "another word in its place"))
        elif token.low in lex.METRICS and token.low not in _VAGUE and not any(t.low in lex.METRICS for t in aligned.claim.content if t is not token):
            out.append(Finding("wording", OPEN, f"“{token.text}”", "nothing that says so", "the measured quantity"))
        else:
            out.append(Finding("wording", OPEN, f"“{token.text}”", "nothing that says so"))
    return out


_VAGUE = frozenset("size score scores rate rates performance speed quality time times gain gains improvement improvements usage level frequency success win exact".split())


def _in_its_place(aligned: Aligned, at: int, used: set[int]) -> Token | None:
    """The unmatched source word between the partners of the claim word's two neighbours: a substitution."""
    content, source = aligned.claim.content, aligned.source.content
    left = aligned.partners[at - 1] if at > 0 else ()
    right = aligned.partners[at + 1] if at + 1 < len(content) else ()
    for j, other in enumerate(source):
        if j in used or other.kind == "q" or other.weak:
            continue
        beside_left = not left or (j - 1) in left
        beside_right = not right or (j + 1) in right
        if (
            (left or right)
            and beside_left
            and beside_right
            and ((left and right) or at in (0, len(content) - 1) or (not left and _head(content[at + 1])))
        ):
            return other
    return None


def _head(token: Token) -> bool:
    """A noun whose modifier says which one is meant."""
    return token.kind == "n" or token.low in lex.METRICS
