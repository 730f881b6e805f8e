"""Which words of a sentence belong to which of its numbers: segments between commas and conjunctions, or columns of a table row.

Imports the shared language reading; refuses to compare two sentences (align.py does). A word in a segment without numbers belongs to all of them.
"""

from __future__ import annotations

import re

from sovereign.kernel.language.scan import Scan, Token

_CUTS = frozenset(",;:()—.") | frozenset(
    "and or but while whereas although though compared versus vs than against which where when because".split()
)
OWN, SHARED, LABEL, EARLIER, OTHER = 1.0, 0.6, 0.6, 0.45, 0.1


_HEADS = {
    "batch": "batch", "batched": "batch", "bs": "batch", "sequence": "length", "context": "length", "layer": "layer", "layers": "layer", "epoch": "epoch",
    "epochs": "epoch", "seed": "seed", "seeds": "seed", "top": "top", "temperature": "temperature", "cache": "cache", "gpu": "gpu", "gpus": "gpu",
    "device": "device", "devices": "device", "experts": "expert", "expert": "expert", "shot": "shot", "shots": "shot", "bit": "bit", "bits": "bit",
}  # fmt: skip


_SIZE = re.compile(r"\d+(?:\.\d+)?[BM]")


def head_of(sentence: Scan, token: Token) -> str:
    """What a number sets ("batch 8", "2 GPUs", "cache size 16"), "" for a result."""
    if token.value is None or token.value.unit not in {"", "bit"}:
        return ""
    if letter := re.search(r"\b([A-Za-z])\s?=\s?$", sentence.text[max(0, token.start - 5) : token.start]):
        return letter.group(1)
    at = sentence.content.index(token)
    after = sentence.content[at + 1] if at + 1 < len(sentence.content) else None
    if after is not None and _SIZE.fullmatch(token.text) and after.low in {"model", "models", "variant", "variants"}:
        return "size"  # "the 6.9B model"
    if at > 0 and sentence.content[at - 1].low in {"size", "sizes", "length", "count", "number"} and at > 1:
        return _HEADS.get(sentence.content[at - 2].low, "")
    for k in (at - 1, at + 1):
        if 0 <= k < len(sentence.content) and (head := _HEADS.get(sentence.content[k].low)):
            gap = sentence.text[min(token.end, sentence.content[k].end) : max(token.start, sentence.content[k].start)]
            if len(gap) <= 6 and not set(gap) & set(",;:("):
                return head
    return ""


class Layout:
    """Segments (or columns) of the content tokens of one sentence."""

    def __init__(self, sentence: Scan, columns: list[int] | None = None):
        self.content = sentence.content
        self.columns = columns
        self.segment = _segments(sentence)
        self.numbered = {self.segment[i] for i, t in enumerate(sentence.content) if t.kind == "q" and not head_of(sentence, t)}

    def share(self, number: int, word: int) -> float:
        """How much the word belongs to the number, in (0, 1]."""
        if self.columns is not None:
            a, b = self.columns[number], self.columns[word]
            return OWN if a == b else LABEL if 0 in (a, b) else 0.05
        if self.segment[word] == self.segment[number]:
            return OWN / (1.0 + 0.15 * (abs(word - number) - 1))
        if self.segment[word] not in self.numbered:
            return SHARED
        return EARLIER if self.segment[word] < self.segment[number] else OTHER  # a later figure may leave out what an earlier one said

    def companions(self, number: int) -> list[int]:
        """The words that stand with a number: its segment (the words nearest to it where several numbers share one), or its column and the row label."""
        if self.columns is not None:
            return [
                i for i, t in enumerate(self.content) if t.kind != "q" and (self.columns[i] == self.columns[number] or self.columns[i] == 0)
            ]
        same = [i for i, s in enumerate(self.segment) if s == self.segment[number]]
        rivals = [i for i in same if self.content[i].kind == "q" and i != number]
        return [i for i in same if self.content[i].kind != "q" and all(abs(i - number) <= abs(i - r) for r in rivals)]

    def elsewhere(self, number: int, word: int) -> bool:
        """The word stands with another number, not with this one."""
        if self.columns is not None:
            a, b = self.columns[number], self.columns[word]
            return a != b and b != 0
        return self.segment[word] != self.segment[number] and self.segment[word] in self.numbered


def _segments(sentence: Scan) -> list[int]:
    """The segment of every content token; a short stretch without a number that "and" joins to a stretch with one is part of that one."""
    count, raw, cuts = 0, [], {}
    for at, token in enumerate(sentence.tokens):
        bound = token.low == "than" and at + 1 < len(sentence.tokens) and sentence.tokens[at + 1].kind == "q"  # "less than 4 %"
        if token.low in _CUTS and token.kind in "wp" and not bound:
            count += 1
            cuts[count] = token.low
        if token.content:
            raw.append(count)
    numbered = {s for s, t in zip(raw, sentence.content) if t.kind == "q"}
    sizes = {s: raw.count(s) for s in set(raw)}
    for segment in sorted(sizes, reverse=True):
        following = min((s for s in sizes if s > segment), default=None)
        if segment and following is not None and segment not in numbered and sizes[segment] <= 3 and cuts.get(following) in {"and", "or"}:
            raw = [following if s == segment else s for s in raw]
            if following in numbered:
                numbered.add(segment)
    return raw


def order_ratio(pairs: list[tuple[int, ...]], content: tuple[Token, ...]) -> float:
    """Share of the claim's content tokens that stand in the source in the same order (longest increasing chain of partners)."""
    if not content:
        return 0.0
    best: list[int] = []  # patience: smallest end of an increasing chain of each length
    for partners in pairs:
        options = sorted(partners, reverse=True)
        for j in options:
            lo, hi = 0, len(best)
            while lo < hi:
                mid = (lo + hi) // 2
                if best[mid] < j:
                    lo = mid + 1
                else:
                    hi = mid
            if lo == len(best):
                best.append(j)
            else:
                best[lo] = j
    return len(best) / len(content)


_STRONG = frozenset("; while whereas but although though".split())


_JOINING = frozenset("and than versus vs against".split())


def parts_of(sentence: Scan) -> list[int]:
    """Which of the statements that a sentence sets side by side each content token belongs to: parted at ";", "while", "whereas", "but", and at an
    "and" or a "than" with two figures of one kind around it."""
    part, out = 0, []
    for at, token in enumerate(sentence.tokens):
        if token.low in _STRONG or (token.low in _JOINING and _between_alike(sentence.tokens, at)):
            part += 1
        if token.content:
            out.append(part)
    return out


def _between_alike(tokens: tuple[Token, ...], at: int) -> bool:
    def kinds(side: tuple[Token, ...]) -> set[str]:
        return {t.value.unit for t in side if t.value is not None}

    left = next((k for k in range(at - 1, -1, -1) if tokens[k].low in _STRONG), -1)
    right = next((k for k in range(at + 1, len(tokens)) if tokens[k].low in _STRONG), len(tokens))
    before, behind = tokens[left + 1 : at], tokens[at + 1 : right]
    dated = all(any(t.kind == "w" and t.text.isdigit() for t in side) for side in (before, behind))
    return dated or bool(kinds(before) & kinds(behind))
