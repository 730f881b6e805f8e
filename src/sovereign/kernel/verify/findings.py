"""What the guard can find between a claim and one unit of evidence, one function per slot. Imports the alignment and the shared language reading.

Every finding names its slot, quotes both sides and says whether it contradicts, qualifies or leaves open. Refuses to weigh findings against each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import concepts, negated_pair, opposite, polarity
from sovereign.kernel.verify.align import Aligned, Closeness, binding, weight
from sovereign.kernel.verify.values import Agreement, agree, derived, shown
from sovereign.records import Relation, Value

CONTRADICTS, QUALIFIES, OPEN = "contradicts", "qualifies", "open"
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
    """Every quantity of the claim against the quantity of the source that is bound to the same things."""
    near_claim, near_source = _near(aligned)
    claim, source = aligned.claim.content, aligned.source.content
    candidates = [j for j, t in enumerate(source) if t.value is not None]
    paired = _respectively(aligned)
    findings: list[Finding] = []
    bound = Bound({}, [])
    for i, token in enumerate(claim):
        if token.value is None:
            continue
        agreements = {j: agree(token.value, v) for j in candidates if (v := source[j].value) is not None}
        scores = binding(aligned, i, candidates, near_claim, near_source)
        for j in candidates:
            scores[j] += _role_match(aligned.claim, token, aligned.source, source[j]) + paired.get((i, j), 0.0)
        finding, chosen = _value(aligned, token, agreements, scores, near_source, bound.notes)
        if chosen is not None:
            bound.to[i] = chosen
        if finding is not None:
            findings.append(finding)
    return findings, bound


def _value(
    aligned: Aligned, token: Token, agreements: dict[int, Agreement], scores: dict[int, float], near: Closeness, notes: list[str]
) -> tuple[Finding | None, int | None]:
    source = aligned.source.content
    value = token.value
    assert value is not None  # narrowed by the caller; kept for the type checker
    equal = [j for j, a in agreements.items() if a is Agreement.EQUAL]
    soft = [j for j, a in agreements.items() if a in (Agreement.QUALIFIED, Agreement.FINER)]
    setting = _is_condition(aligned.claim, token)
    rivals = [
        j
        for j, a in agreements.items()
        if a in (Agreement.OFF, Agreement.UNIT)
        and _comparable(value, source[j].value)
        and setting == _is_condition(aligned.source, source[j])
    ]
    top = max((scores[j] for j in rivals), default=0.0)
    for group in (equal, soft):
        if not group:
            continue
        j = max(group, key=lambda j: (scores[j], -j))
        if rivals and top > scores[j] + MARGIN and top >= 0.5:
            rival = max(rivals, key=lambda r: (scores[r], -r))
            return _off(aligned, token, rival, near, "value"), None
        if group is equal:
            return None, j
        return _loose(token, source[j], agreements[j]), j
    if (note := _derive(aligned, value, scores)) is not None:
        notes.append(note)
        return None, None
    if _in_surroundings(aligned, value):
        return None, None
    if rivals and top >= 0.35:
        rival = max(rivals, key=lambda r: (scores[r], -r))
        return _off(aligned, token, rival, near, "unit" if agreements[rival] is Agreement.UNIT else "value"), None
    return Finding("value", OPEN, shown(value), "no such value here"), None


def _comparable(a: Value, b: Value | None) -> bool:
    """Whether two quantities could be values of one thing."""
    return b is not None and (
        a.unit == b.unit
        or "" in (a.unit, b.unit)
        or {a.unit, b.unit} <= {"percent", "points", "ratio", "order"}
        or _scale(a.unit) == _scale(b.unit)
    )


def _scale(unit: str) -> str:
    return {"second": "time", "byte": "data", "bit": "data"}.get(unit, unit)


def _off(aligned: Aligned, token: Token, rival: int, near: Closeness, slot: str) -> Finding:
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
    return Finding(slot, CONTRADICTS, shown(token.value), shown(other.value), around_value(aligned, rival, near))


_CONDITION_HEADS = frozenset(
    """
        batch bs sequence context layer layers epoch epochs seed seeds k top temperature cache gpu gpus device devices experts expert
        shot shots
        """.split()
)


def _is_condition(sentence: Scan, token: Token) -> bool:
    """A number that names a setting ("batch 8", "2 GPUs") rather than a result."""
    at = sentence.content.index(token)
    beside = [sentence.content[k].low for k in (at - 1, at + 1) if 0 <= k < len(sentence.content)]
    return any(b in _CONDITION_HEADS for b in beside) and (token.value is None or token.value.unit in {"", "byte"})


def _with_neighbour(sentence: Scan, token: Token) -> str:
    at = sentence.content.index(token)
    if at > 0 and sentence.content[at - 1].low in _CONDITION_HEADS:
        return f"{sentence.content[at - 1].text} {token.text}"
    if at + 1 < len(sentence.content) and sentence.content[at + 1].low in _CONDITION_HEADS:
        return f"{token.text} {sentence.content[at + 1].text}"
    return token.text


def _loose(token: Token, other: Token, agreement: Agreement) -> Finding:
    assert token.value is not None and other.value is not None
    if agreement is Agreement.FINER:
        return Finding("value", QUALIFIES, shown(token.value), shown(other.value), "the claim is more exact than its source")
    note = "a maximum is not an average" if Relation.UP_TO in (token.value.relation, other.value.relation) else "the relation differs"
    return Finding("value", QUALIFIES, shown(token.value), shown(other.value), note)


def _derive(aligned: Aligned, value: Value, scores: dict[int, float]) -> str | None:
    """A relative figure that follows from two absolute values of the unit ("from 7.9 s to 6.2 s", two cells of a row, "12 against 10")."""
    if value.unit not in {"percent", "points", "ratio"}:
        return None
    source = aligned.source.content
    tokens = [t for t in source if t.value is not None and t.value.unit not in {"ratio", "order"}]
    if len(tokens) > 8 or len(tokens) < 2:
        return None
    if aligned.columns is not None and any(t.value is not None and t.value.unit == value.unit for t in tokens):
        return None  # the row states a change of its own
    for a in range(len(tokens)):
        for b in range(a + 1, len(tokens)):
            first, second = tokens[a].value, tokens[b].value
            if first is None or second is None or not (aligned.columns is not None or _contrasted(aligned.source, tokens[a], tokens[b])):
                continue
            if (note := derived(value, first, second)) is not None:
                return note
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


_ROLES = {"from": "from", "to": "to", "than": "base", "versus": "base", "vs": "base", "against": "base", "over": "base"}


def _role(sentence: Scan, token: Token) -> str:
    """Which side of a comparison a quantity stands on: what it came from, what it became, what it is compared with."""
    before = [t for t in sentence.tokens if t.end <= token.start][-3:]
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
        if j != at and token.low in lex.METRICS and (c := near(at, j)) > best:
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
    candidates = [j for j, t in enumerate(source) if t.kind == "w" and polarity(t.low) not in {"", "same"}]
    findings = []
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "w" or polarity(token.low) in {"", "same"}:
            continue
        sense = _sense(aligned.claim, i, near_claim)
        finding = _direction(aligned, i, sense, candidates, near_claim, near_source)
        if finding is not None and finding.kind == OPEN and (sign := _signed(aligned, bound, i, near_claim)):
            agrees = _agree_in_sense(sense, Sense(sign, 0))
            finding = None if agrees is not False else Finding("direction", CONTRADICTS, f"“{token.text}”", "a change with the other sign")
        if finding is None and aligned.strength[i] == 0.0:
            aligned.strength[i] = 0.9
        if finding is not None:
            findings.append(finding)
    return findings


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
        return Finding("negation", CONTRADICTS, said, theirs)
    soft = token.low in _SETTLED or source[j].low in _SETTLED
    if soft and aligned.partners[i]:
        return None
    kind = OPEN if soft and best < 0.6 else CONTRADICTS
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
            findings.append(Finding("negation", CONTRADICTS, f"“{aligned.claim.content[holders[0]].text}”", f"not “{token.text}”"))
    return findings[:2]


def _heads(sentence: Scan) -> list[int]:
    """For every denial, the first word that it denies and that carries meaning."""
    out = []
    for index in sentence.negations:
        cue = sentence.tokens[index]
        for k, token in enumerate(sentence.content):
            if token.start > cue.start and token.negated and token.kind != "q":
                if not token.weak or k + 1 == len(sentence.content):
                    out.append(k)
                    break
                if token.start - cue.start > 40:
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
            findings.append(Finding(slot, CONTRADICTS, f"“{token.text}”", f"“{other.text}”", near_words(aligned, j, near_source)))
    return findings


# --- names ---


def named(aligned: Aligned) -> list[Finding]:
    """Names of the claim that neither the unit nor its surroundings give, with the name that stands in their place."""
    near_claim, near_source = _near(aligned)
    used = {j for p in aligned.partners for j in p}
    findings = []
    free = [j for j, t in enumerate(aligned.source.content) if t.kind == "n" and j not in used]
    around = [t.text for t in scan(aligned.unit.around).names] if aligned.unit.around else []
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "n" or aligned.strength[i] > 0.0:
            continue
        slot = _name_slot(aligned.claim, token)
        if free:
            scores = binding(aligned, i, free, near_claim, near_source)
            j = max(free, key=lambda j: (scores[j], -j))
            findings.append(Finding(slot, CONTRADICTS, token.text, aligned.source.content[j].text))
        elif homonym := next((a for a in around if _resembles(a, token.text)), None):
            findings.append(Finding(slot, CONTRADICTS, token.text, homonym, "different names"))
        else:
            findings.append(Finding(slot, OPEN, token.text, "no such name here"))
    return findings


def _resembles(a: str, b: str) -> bool:
    x, y = a.lower().replace("-", ""), b.lower().replace("-", "")
    return x != y and (x.startswith(y) or y.startswith(x) or x.endswith(y) or y.endswith(x))


def _name_slot(sentence: Scan, token: Token) -> str:
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
    wide = (claim_words & lex.UNIVERSAL) - source_words
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

_PASSIVE = re.compile(r"\b(?:is|are|was|were|be|been|being)\s+(?:\w+ly\s+)?\w+(?:ed|en|wn|ught|at|un)\b[^.;]{0,80}?\bby\b")
_PIVOTS = frozenset("than versus vs compared relative against over".split())
_COMPARE = (
    concepts("outperform")
    | concepts("cause")
    | concepts("depend")
    | concepts("contain")
    | concepts("contribute")
    | concepts("replace")
    | concepts("dominate")
    | concepts("induce")
)


def sides(aligned: Aligned) -> list[Finding]:
    """Who stands on which side of a comparison or an action: exchanged sides contradict, unless voice or direction is turned as well."""
    pairs = _pairs(aligned)
    for name, claim_at, source_at, turned in _pivots(aligned):
        left = [(i, j) for i, j in pairs if aligned.claim.content[i].start < claim_at]
        right = [(i, j) for i, j in pairs if aligned.claim.content[i].start > claim_at]
        moved_right = [(i, j) for i, j in left if aligned.source.content[j].start > source_at]
        moved_left = [(i, j) for i, j in right if aligned.source.content[j].start < source_at]
        kept = len(left) - len(moved_right) + len(right) - len(moved_left)
        if not moved_right or not moved_left or turned or kept > max(len(moved_left), len(moved_right)) + 1:
            continue
        a, b = moved_right[0][0], moved_left[-1][0]
        said = f"“{aligned.claim.content[a].text} {name} {aligned.claim.content[b].text}”"
        return [Finding("comparator", CONTRADICTS, said, "the other way round")]
    return []


def _pairs(aligned: Aligned) -> list[tuple[int, int]]:
    """One-to-one partners of names and plain words; what stands on both sides twice says nothing about sides."""
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


def _pivots(aligned: Aligned) -> list[tuple[str, int, int, bool]]:
    """(word, offset in the claim, offset in the source, whether one of voice and direction is turned)."""
    out = []
    passive = bool(_PASSIVE.search(aligned.claim.text)) != bool(_PASSIVE.search(aligned.source.text))
    mine, theirs = _pivot_tokens(aligned.claim), _pivot_tokens(aligned.source)
    for a in mine:
        for b in theirs:
            if a.low in _PIVOTS and b.low in _PIVOTS:
                out.append((a.low, a.start, b.start, False))
            elif a.low not in _PIVOTS and b.low not in _PIVOTS:
                pa, pb = polarity(a.low), polarity(b.low)
                if pa and pb:
                    flipped = opposite(a.low, b.low)
                    out.append((a.low, a.start, b.start, passive != flipped))
                elif concepts(a.low) & concepts(b.low) or a.key == b.key:
                    out.append((a.low, a.start, b.start, passive))
    return out[:6]


def _pivot_tokens(sentence: Scan) -> list[Token]:
    return [
        t
        for t in sentence.tokens
        if t.kind == "w" and (t.low in _PIVOTS or polarity(t.low) not in {"", "same"} or concepts(t.low) & _COMPARE)
    ][:4]


# --- words ---


def wording(aligned: Aligned) -> list[Finding]:
    """Content words of the claim that neither the unit nor its surroundings say."""
    out = []
    for i in aligned.unmatched():
        token = aligned.claim.content[i]
        if weight(token) >= 1.0 and token.kind == "w" and not polarity(token.low):
            out.append(Finding("wording", OPEN, f"“{token.text}”", "nothing that says so"))
    return out
