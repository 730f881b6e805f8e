"""What a finding is, and the small readings that several slots share: settings, sides of a change, kinds of percentages.

Imports alignment and the shared language reading; refuses to find anything by itself."""

from __future__ import annotations

from dataclasses import dataclass

from sovereign.kernel.language.scan import Scan, Token
from sovereign.kernel.language.words import polarity
from sovereign.kernel.verify.align import Aligned, Closeness
from sovereign.kernel.verify.layout import head_of

CONTRADICTS, QUALIFIES, OPEN, NOTED = "contradicts", "qualifies", "open", "noted"


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


def near_pair(aligned: Aligned) -> tuple[Closeness, Closeness]:
    return Closeness(aligned.claim), Closeness(aligned.source, aligned.columns)


def around_value(aligned: Aligned, at: int, near: Closeness, limit: int = 3) -> str:
    """The words that a source quantity stands with, nearest first: shown in explanations."""
    tokens = [(near(at, j), j, t) for j, t in enumerate(aligned.source.content) if j != at and t.kind != "q" and not t.weak]
    best = sorted(tokens, key=lambda x: (-x[0], x[1]))[:limit]
    return ", ".join(t.text for _, _, t in sorted(best, key=lambda x: x[1]))


def kind_of_percent(sentence: Scan, token: Token) -> str:
    """ "15.7 % of the parameters" is a share, "15.7 % fewer parameters" a change."""
    if token.value is None or token.value.unit != "percent":
        return ""
    after = sentence.text[token.end : token.end + 24].lower().split()
    before = sentence.text[max(0, token.start - 14) : token.start].lower().split()
    if after[:1] == ["of"] and (set(after[1:2]) | set(before[-1:])) & {"additional", "extra", "further", "more"}:
        return "change"  # "3 % of additional memory"
    if after[:1] in (["of"], ["as"]) or side_of(sentence, token) == "to":
        return "share"  # "of the parameters", "cuts it to 59 %"
    return "change" if after and polarity(after[0].strip(".,;)")) else ""


def is_setting(sentence: Scan, token: Token) -> bool:
    return bool(head_of(sentence, token))


def with_head(sentence: Scan, token: Token) -> str:
    head = head_of(sentence, token)
    return f"{head} {token.text}" if head else token.text


_ROLES = {"from": "from", "to": "to", "by": "by", "than": "base", "versus": "base", "vs": "base", "against": "base", "over": "base"}


def side_of(sentence: Scan, token: Token) -> str:
    """Which side of a comparison a quantity stands on: what it came from, what it became, what it is compared with."""
    before = [t for t in sentence.tokens if t.end <= token.start][-3:]
    if [t.low for t in before[-2:]] in (["up", "to"], ["close", "to"]):
        return ""  # a bound, no goal
    plain = [t for t in before if t.low not in {"its", "the", "all", "their", "these"}]
    if len(plain) > 1 and plain[-1].low == "of" and plain[-2].value is not None and plain[-2].value.unit == "":
        return "total"
    for t in reversed(before):
        if t.low in _ROLES:
            return _ROLES[t.low]
        if t.kind in "qn" or (t.content and not t.weak):
            return ""
    return ""


def side_match(claim: Scan, a: Token, source: Scan, b: Token) -> float:
    """Bonus for the same side of a comparison, malus for the other one."""
    mine, theirs = side_of(claim, a), side_of(source, b)
    if not mine or not theirs:
        return 0.0
    return 0.3 if mine == theirs else -0.3


def near_words(aligned: Aligned, at: int, near: Closeness) -> str:
    return around_value(aligned, at, near, 2)


def sure(aligned: Aligned) -> str:
    """A denial on one side contradicts only where the wording runs parallel."""
    return CONTRADICTS if aligned.order >= 0.6 else OPEN


GOVERNING = frozenset("on in at for with under across when while whereas and but by from to".split())


TURNED = "turned"  # both sides and direction are exchanged: the same statement


def phrase(sentence: Scan, members: frozenset[int]) -> str:
    return " ".join(sentence.content[i].text for i in sorted(members))
