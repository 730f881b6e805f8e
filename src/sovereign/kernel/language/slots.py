"""Fills the slots of one statement: subject, metric, values, comparator, direction, condition, polarity, hedge. Imports this package and records;
refuses to decide whether the statement is true."""

from __future__ import annotations

import re

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.naming import alias_key
from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import polarity, stem
from sovereign.records import ComparisonKey, Direction, Slots, TableRow, Value

_METRIC_ALIAS = {
    "time per output token": "tpot", "time-per-output-token": "tpot", "time to first token": "ttft", "time-to-first-token": "ttft", "macro f1": "macro-f1",
    "top-1 accuracy": "top-1 accuracy", "word error rate": "wer", "hit rate": "hit rate", "cache hit rate": "cache hit rate", "cohen's d": "d",
    "expert parallel communication": "communication", "end-to-end latency": "latency", "memory footprint": "memory", "memory usage": "memory",
}  # fmt: skip
_COMPARATORS = re.compile(
    r"\b(?:than|compared (?:to|with)|relative to|versus|vs\.?|against|in comparison (?:to|with)|outperform(?:s"
    r"|ed|ing)?|surpass(?:es|ed|ing)?|beats?|exceed(?:s|ed|ing)?|over)\s+(?:the |a |an |that of |those of )?"
    r"(?P<what>[^,.;:()]{2,60})"
)
_CONDITION = re.compile(
    r"\b(?:batch(?:[ -]size)?s?(?: of)?|bs|sequence length|context(?: length)?|layers?|experts?"
    r"|cache size|cs|epochs?|seeds?|temperature|k|top)\s?[=:]?\s?-?\d+(?:[.,]\d+)*[kKMB]?\b"
    r"|\b(?:\d+(?:[.,]\d+)*[kKMB]?|two|three|four|five|six|eight|ten|sixteen) (?:jetson|gpus?|devices?|nodes?|a100s?"
    r"|h100s?|a800s?|v100s?|prompts?|tokens?|experts?|layers?|epochs?|shots?|runs?|seeds?"
    r"|participants|patients)(?! ?(?:/|per\b))(?: [A-Z][a-z]+)?(?: (?:devices?|gpus?))?\b"
    r"|\b(?:prefill|decode|decoding|zero-shot|few-shot|in-domain|out-of-domain|offline|online"
    r"|single-gpu|multi-gpu|cross-validated|cross-validation|average|worst case|best case)\b",
    re.IGNORECASE,
)
_SUBJECT_AFTER = frozenset(
    "on in at for with under over across of to by from using against than vs versus via within between through".split()
)
_VERBISH = re.compile(r".+(?:s|ed|es)$")


def parse_slots(sentence: str, *, table: TableRow | None = None) -> Slots:
    """The slots of `sentence`; with `table`, row label, header and caption fill what the sentence leaves open.

    Values carry offsets in the sentence. Identifiers, years, citations and figure numbers are never values.
    """
    taken = scan(sentence)
    conditions = _conditions(sentence, taken)
    comparator = _comparator(sentence, taken)
    values = tuple(t.value for t in taken.quantities if t.value is not None and not _inside(t, conditions))
    subject = _subject(taken, comparator)
    on = _settings(taken, subject, comparator)
    metric = _metrics(sentence, taken)
    slots = Slots(
        subject=subject, metric=metric, values=values, comparator=comparator, direction=direction(taken, values),
        condition=tuple(dict.fromkeys([*(text for text, _, _ in conditions), *on])), negated=_negated(taken), hedge=_hedges(taken),
    )  # fmt: skip
    return slots if table is None else _from_table(slots, table)


def _inside(token: Token, spans: list[tuple[str, int, int]]) -> bool:
    return any(start <= token.start < end for _, start, end in spans)


def _conditions(sentence: str, taken: Scan) -> list[tuple[str, int, int]]:
    """Settings with their offsets, as written."""
    return [(m.group().strip(), m.start(), m.end()) for m in _CONDITION.finditer(sentence)]


def _comparator(sentence: str, taken: Scan) -> tuple[str, ...]:
    found: list[str] = []
    for match in _COMPARATORS.finditer(sentence):
        lead = match.group()[:5].lower()
        inside = [t for t in taken.tokens if match.start("what") <= t.start < match.end("what")]
        named = [t.text for t in inside if t.kind == "n"]
        if inside and inside[0].kind == "q":
            continue
        if named:
            found.append(named[0])
        elif not lead.startswith("over"):
            words = []
            for t in inside:
                if t.low in _SUBJECT_AFTER or t.kind in "qp" or t.low in {"and", "by", "while", "but", "which"}:
                    break
                words.append(t.text)
            if words:
                found.append(" ".join(words))
    return tuple(dict.fromkeys(found))


def _subject(taken: Scan, comparator: tuple[str, ...]) -> tuple[str, ...]:
    """Named systems before the first setting preposition; a noun phrase before the verb when nothing is named there."""
    out: list[str] = []
    previous = ""
    against = {alias_key(c) for c in comparator}
    for token in taken.tokens:
        if (
            (token.kind == "n" and previous not in _SUBJECT_AFTER and token.key not in against)
            or (token.kind == "n" and previous == "of" and not out and token.key not in against)
            or (token.kind == "n" and previous in {"using", "by", "with", "via"} and not out)
        ):
            out.append(token.text)
        if token.low not in {"the", "a", "an", "both", "our"} and token.kind != "p":
            previous = token.low
    if out:
        return tuple(dict.fromkeys(out))
    head: list[str] = []
    for token in taken.tokens:
        if token.kind == "p" and head:
            break
        if token.kind == "w" and (polarity(token.low) or token.low in lex.WEAK or token.low in _BE) and head:
            break
        if token.low in _SUBJECT_AFTER and head:
            break
        if token.kind == "w" and token.content and token.key not in _METRIC_STEMS:
            head.append(token.text)
        if len(head) >= 4:
            break
    return (" ".join(head),) if head else ()


_BE = frozenset("is are was were be been can may could will has have had does do".split())
_METRIC_STEMS = frozenset(stem(m) for m in lex.METRICS)


def _settings(taken: Scan, subject: tuple[str, ...], comparator: tuple[str, ...]) -> list[str]:
    """Names that are neither subject nor comparator are settings: data sets, models, hardware."""
    taken_keys = {alias_key(s) for s in (*subject, *comparator)}
    return [t.text for t in taken.names if t.key not in taken_keys]


def _metrics(sentence: str, taken: Scan) -> tuple[str, ...]:
    low = sentence.lower()
    out = [alias for phrase, alias in _METRIC_ALIAS.items() if phrase in low]
    for token in taken.tokens:
        if (
            token.kind == "w" and token.low in lex.METRICS and token.low not in {"d", "win", "size", "time", "gain", "gains", "tokens"}
        ) or (token.kind == "n" and token.low in lex.METRICS):
            out.append(token.text)
    for match in re.finditer(r"\b(?:F1|macro-F1|nDCG(?:@\d+)?|mAP|pass@\d+|recall@\d+|top-\d accuracy)\b", sentence, re.IGNORECASE):
        out.append(match.group())
    seen: dict[str, str] = {}
    for written in out:
        seen.setdefault(written.lower(), written)
    return tuple(seen.values())


def direction(taken: Scan, values: tuple[Value, ...] = ()) -> Direction:
    """The first direction the statement gives, resolved against its metric; a signed value decides when no word does."""
    cost = next((lex.METRICS[t.low] for t in taken.tokens if t.low in lex.METRICS), None)
    for token in taken.tokens:
        if token.kind != "w":
            continue
        found = _resolved(polarity(token.low), cost)
        if found is not Direction.NONE and token.low not in {
            "above",
            "below",
            "large",
            "small",
            "same",
            "top",
            "hold",
            "holding",
            "add",
            "adds",
        }:
            return found
    if any(v.low < 0 for v in values):
        return Direction.DOWN
    if any(v.raw.startswith("+") for v in values):
        return Direction.UP
    return Direction.NONE


def _resolved(word: str, cost: bool | None) -> Direction:
    """What a direction word says of the quantity; "good" means down for a cost and up for a benefit."""
    if word == "up":
        return Direction.UP
    if word == "down":
        return Direction.DOWN
    if word == "same":
        return Direction.SAME
    if word in {"good", "bad", "fast", "slow"}:
        better = word in {"good", "fast"}
        return Direction.DOWN if better == bool(cost) else Direction.UP
    return Direction.NONE


def _negated(taken: Scan) -> bool:
    return any(t.negated for t in taken.content)


def _hedges(taken: Scan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(t.low for t in taken.tokens if t.kind == "w" and t.low in lex.HEDGES))


def _from_table(slots: Slots, table: TableRow) -> Slots:
    """Row label and header name metric, subject and setting; the caption adds settings."""
    label = table.cells[0] if table.cells else ""
    around = " ; ".join([label, *table.header])
    taken = scan(around)
    metric = slots.metric or _metrics(around, taken) or _metrics(table.caption, scan(table.caption))
    subject = slots.subject or tuple(t.text for t in taken.names[:1])
    conditions = [text for text, _, _ in _conditions(around, taken)]
    conditions += [t.text for t in scan(table.caption).names if t.text not in subject]
    return Slots(
        subject=subject, metric=metric, values=slots.values, comparator=slots.comparator, direction=slots.direction,
        condition=tuple(dict.fromkeys([*slots.condition, *conditions])), negated=slots.negated, hedge=slots.hedge,
    )  # fmt: skip


def comparison_key(slots: Slots) -> ComparisonKey | None:
    """The key under which two statements may be compared; None when subject or metric is missing."""
    if not slots.subject or not slots.metric:
        return None
    return ComparisonKey(
        subject=" + ".join(sorted({alias_key(s) for s in slots.subject})),
        metric=" + ".join(sorted({_plain(m) for m in slots.metric})),
        condition=" + ".join(sorted({_setting(c) for c in slots.condition})),
    )


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.lower()).strip()


def _setting(text: str) -> str:
    """ "batch size of 8", "batch size 8", "BS=8" and "batch 8" are one setting."""
    plain = re.sub(r"\s*[=:]\s*", " ", _plain(text))
    plain = re.sub(r"^(?:batch(?:[ -]size)?s?|bs)(?: of)? ?-?(?=\d)", "batch ", plain)
    return plain if any(c.isdigit() for c in plain) or " " in plain else alias_key(plain)
