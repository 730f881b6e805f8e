"""Directions: what rises and falls, resolved against its metric and bound to its arguments. Imports alignment; refuses to judge denials."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.scan import Scan, Token
from sovereign.kernel.language.words import polarity
from sovereign.kernel.verify.align import Aligned, Closeness, binding
from sovereign.kernel.verify.findings.base import (
    CONTRADICTS,
    OPEN,
    Bound,
    Finding,
    near_pair,
    near_words,
    side_of,
    sure,
)


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
    """ "more than 5 %" and "at least 5 %" bound a value, they state no direction."""
    token = sentence.content[at]
    if token.low in {"least", "most", "best"} and sentence.text[max(0, token.start - 3) : token.start].lower() == "at ":
        return True
    after = sentence.content[at + 1] if at + 1 < len(sentence.content) else None
    return (
        after is not None
        and after.kind == "q"
        and sentence.text[token.end : after.start].strip().lower() in {"than", "than the", "than about"}
    )


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
    near_claim, near_source = near_pair(aligned)
    source = aligned.source.content
    candidates = [
        j for j, t in enumerate(source) if t.kind == "w" and polarity(t.low) not in {"", "same"} and not _attribute(aligned.source, j)
    ]
    findings = _times_as(aligned, bound)
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "w" or polarity(token.low) in {"", "same"} or _attribute(aligned.claim, i):
            continue
        if aligned.partners[i] and all(not polarity(source[j].low) for j in aligned.partners[i]):
            continue  # said by a word that is no direction ("best" by "optimal")
        if (clash := _beside_value(aligned, bound, i, near_claim, near_source)) is not None:
            findings.append(clash)
            continue
        sense = _sense(aligned.claim, i, near_claim)
        finding = _direction(aligned, i, sense, candidates, near_claim, near_source)
        if (
            finding is not None
            and finding.kind == OPEN
            and not _speed_of_other(aligned, token)
            and (sign := _signed(aligned, bound, i, near_claim))
        ):
            agrees = _agree_in_sense(sense, Sense(sign, 0))
            finding = None if agrees is not False else Finding("direction", CONTRADICTS, f"“{token.text}”", "a change with the other sign")
        if finding is not None and finding.kind == OPEN and _follows_from_ratio(aligned, bound, i, sense):
            finding = None
        if finding is not None and finding.kind == OPEN and _times_the_metric(aligned, bound, i, sense, near_source):
            finding = None
        if finding is None and aligned.strength[i] == 0.0:
            aligned.strength[i] = 0.9
        if finding is not None:
            findings.append(finding)
    return findings


def _speed_of_other(aligned: Aligned, token: Token) -> bool:
    """A word of speed where the source's values are no times and no rates."""
    units = {t.value.unit for t in aligned.source.quantities if t.value is not None}
    return polarity(token.low) in {"fast", "slow"} and not any(
        u == "second" or u.endswith("/second") or u in {"ratio", "percent", ""} for u in units
    )


def _follows_from_ratio(aligned: Aligned, bound: Bound, at: int, sense: Sense) -> bool:
    """ "3.19 times as fast": the bound ratio itself states the comparison; so does a change that was worked out from two values."""
    if sense.raw < 0 or sense.good < 0:
        return any(" is -" in n for n in bound.notes)
    near = [
        i
        for i, t in enumerate(aligned.claim.content)
        if t.value is not None and t.value.unit == "ratio" and t.value.low > 1 and abs(i - at) <= 3
    ]
    return any(i in bound.to for i in near) or (bool(near) and bool(bound.notes))


_TURNS = re.compile(r"\bturn(?:s|ed|ing)? (?:in)?to\b|\bbecomes?\b|\breverses?d?\b|\bno longer\b|\bflip(?:s|ped)?\b", re.IGNORECASE)


def _times_as(aligned: Aligned, bound: Bound) -> list[Finding]:
    """ "Twice as much as X" where the source says that a cut by that factor leads there."""
    out = []
    for i, j in bound.to.items():
        token, other = aligned.claim.content[i], aligned.source.content[j]
        if token.value is None or token.value.unit != "ratio" or token.value.low <= 1:
            continue
        if not aligned.claim.text[token.end : token.end + 4].lower().startswith(" as "):
            continue
        cut = next((t for t in aligned.source.content[:j] if polarity(t.low) == "down"), None)
        if cut is not None and " as " not in aligned.source.text[other.end : other.end + 4].lower():
            out.append(Finding("direction", OPEN, f"“{token.text} as”", f"“{cut.text} … by {other.text}”"))
    return out


def _times_the_metric(aligned: Aligned, bound: Bound, at: int, sense: Sense, near_source: Closeness) -> bool:
    """ "95 % faster" of "1.95 times the throughput": the ratio that the source states, resolved against its metric, says the direction."""
    for i, j in bound.to.items():
        value = aligned.source.content[j].value
        if abs(i - at) > 3 or value is None or value.unit != "ratio" or value.low <= 1:
            continue
        behind = aligned.source.text[aligned.source.content[j].end :].lstrip().lower()
        cost = _metric_cost(aligned.source, j, near_source)
        if cost is None or not behind.startswith(("the ", "as ", "its ", "that ")):
            continue
        return bool(_agree_in_sense(sense, Sense(1, -1 if cost else 1)))
    return False


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
        return Finding("negation", sure(aligned), said, theirs)
    soft = token.low in _SETTLED or source[j].low in _SETTLED
    if soft and aligned.partners[i]:
        return None
    kind = CONTRADICTS if best >= 0.6 and aligned.order >= 0.6 and not soft and not _TURNS.search(aligned.source.text) else OPEN
    return Finding("direction", kind, f"“{token.text}”", f"“{source[j].text}”", near_words(aligned, j, near_source))


def _signed(aligned: Aligned, bound: Bound, at: int, near: Closeness) -> int:
    """The sign of the source value that the claim's value nearest to the direction word is bound to; falls of two values count as minus."""
    against = [i for i in sorted(bound.to) if side_of(aligned.claim, aligned.claim.content[i]) == "base"]
    if len(bound.to) == 2 and len(against) == 1 and against[0] == max(bound.to):
        mine, other = (aligned.claim.content[i].value for i in sorted(bound.to))
        if mine is not None and other is not None and mine.unit == other.unit and mine.low != other.low:
            return 1 if mine.low > other.low else -1  # "3.4 % against 2.4 %"
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
    if len(values_) == 2 and side_of(aligned.source, aligned.source.quantities[0]) == "from":
        return 1 if values_[1].low > values_[0].low else -1
    return 0
