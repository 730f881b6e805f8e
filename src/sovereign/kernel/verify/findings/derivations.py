"""Relative figures that follow from other figures of the same passage (a change, a share, a ratio, the rest to 100 %). Imports values; refuses
to combine figures of different passages."""

from __future__ import annotations

import re

from sovereign.kernel.language.scan import Scan, Token
from sovereign.kernel.language.words import polarity
from sovereign.kernel.verify.align import Aligned
from sovereign.kernel.verify.findings.base import (
    is_setting,
    kind_of_percent,
)
from sovereign.kernel.verify.values import derived
from sovereign.records import Value


def derive(aligned: Aligned, at: int, value: Value) -> str | None:
    """A relative figure that follows from absolute values of the unit ("from 7.9 s to 6.2 s", two cells of a row), or the rest to 100 %."""
    if value.unit not in {"percent", "points", "ratio"}:
        return None
    source = aligned.source.content
    tokens = [t for t in source if t.value is not None and t.value.unit not in {"ratio", "order"} and not is_setting(aligned.source, t)]
    if (rest := _rest(aligned, at, value)) is not None:
        return rest
    if len(tokens) > 8 or len(tokens) < 2:
        return None
    if aligned.columns is not None and any(t.value is not None and t.value.unit == value.unit for t in tokens):
        return None  # the row states a change of its own
    few = len(tokens) <= 4
    share = kind_of_percent(aligned.claim, aligned.claim.content[at]) == "share"
    speed = any(polarity(t.low) in {"fast", "slow"} for t in aligned.claim.content)
    for a in range(len(tokens)):
        for b in range(a + 1, len(tokens)):
            first, second = tokens[a].value, tokens[b].value
            if (
                first is None
                or second is None
                or not (few or aligned.columns is not None or _contrasted(aligned.source, tokens[a], tokens[b]))
            ):
                continue
            if speed and {first.unit, second.unit} & {"byte", "bit"}:
                continue  # nothing is slower for its gigabytes
            if (note := derived(value, first, second, share=share)) is not None:
                return note
    return None


def _rest(aligned: Aligned, at: int, value: Value) -> str | None:
    """ "84.3 % fewer" follows from "15.7 % of", and "a fifth of" from "80 % fewer": the rest to 100 %."""
    if value.unit != "percent":
        return None
    if kind_of_percent(aligned.claim, aligned.claim.content[at]) == "share":
        return _left_over(aligned, value)
    if not any(polarity(t.low) == "down" for t in aligned.claim.content[max(0, at - 3) : at + 4]):
        return None
    for token in aligned.source.quantities:
        v = token.value
        if (
            v is not None
            and v.unit == "percent"
            and v.low > 0
            and re.match(r"\s*(?:of|as)\b", aligned.source.text[token.end : token.end + 6])
        ) and _makes_whole(v, value):
            return f"{token.text} of the whole leaves {value.raw}"
    return None


def _makes_whole(part: Value, rest: Value) -> bool:
    """The two percentages make 100 %, within the rounding of the second."""
    return abs(100.0 - part.low - rest.low) <= 0.5 * 10.0 ** -(rest.decimals or 0) + 1e-9


def _left_over(aligned: Aligned, value: Value) -> str | None:
    """What a fall by a share leaves."""
    source = aligned.source.content
    for at, token in enumerate(source):
        v, after = token.value, source[at + 1] if at + 1 < len(source) else None
        if v is None or v.unit != "percent" or v.low <= 0 or after is None or polarity(after.low) != "down":
            continue
        if _makes_whole(v, value):
            return f"{token.text} {after.text} leaves {100.0 - v.low:g} %"
    return None


def _contrasted(sentence: Scan, first: Token, second: Token) -> bool:
    """Two values that the sentence sets against each other: from ... to, than, versus, compared with, against."""
    between = sentence.text[first.end : second.start].lower()
    lead = sentence.text[max(0, first.start - 8) : first.start].lower()
    return (
        len(between) < 60 and bool(re.search(r"\b(?:to|than|vs|versus|compared|against|over|relative|down|up|instead)\b|→|->", between))
    ) or lead.rstrip().endswith("from")
