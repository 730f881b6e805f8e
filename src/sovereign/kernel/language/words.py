"""Words: stop words, a light stemmer, concepts (words that say the same) and opposites. Imports the lexicon only; refuses numbers and names."""

from __future__ import annotations

import re
from functools import lru_cache

from sovereign.kernel.language import lexicon as lex

_VOWEL = re.compile(r"[aeiouy]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][a-z]+)?|\d+(?:[.,]\d+)*%?")
# Longest first; (ending, replacement, least length of what stays).
_ENDINGS: tuple[tuple[str, str, int], ...] = (
    ("isations", "", 4), ("izations", "", 4), ("isation", "", 4), ("ization", "", 4), ("fulness", "", 3), ("ousness", "", 3),
    ("iveness", "", 3), ("abilities", "", 4), ("ability", "", 4), ("ational", "", 4), ("ations", "", 4), ("ation", "", 4), ("itions", "", 4),
    ("ition", "", 4), ("uctions", "uc", 2), ("uction", "uc", 2), ("tions", "t", 3), ("tion", "t", 3), ("sions", "s", 3), ("sion", "s", 3),
    ("ments", "", 4), ("ment", "", 4), ("izing", "", 4), ("ising", "", 4), ("izes", "", 4), ("ises", "", 4), ("ized", "", 4), ("ised", "", 4),
    ("ize", "", 4), ("ise", "", 4), ("ness", "", 4), ("ically", "ic", 3), ("ities", "", 4), ("ity", "", 4), ("ings", "", 4), ("ing", "", 3),
    ("ively", "", 4), ("ives", "", 4), ("ive", "", 4), ("ably", "", 4), ("able", "", 4), ("ible", "", 4), ("ally", "al", 3), ("edly", "", 3),
    ("ates", "", 4), ("ated", "", 4), ("ate", "", 4), ("ies", "i", 2), ("ied", "i", 2), ("ers", "", 4), ("ors", "", 4), ("ely", "", 3),
    ("ly", "", 3), ("eds", "", 3), ("ed", "", 3), ("es", "", 3), ("s", "", 3), ("er", "", 4), ("or", "", 5), ("e", "", 3), ("y", "i", 2),
)  # fmt: skip
_KEEP = frozenset(
    "loss bias basis analysis less process across access class pass gas this thus versus plus lens axis series species news".split()
)


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A light, stable stem of one lower-case word; equal for the usual inflections ("routing", "routed", "routes")."""
    if len(word) <= 3 or word in _KEEP or not word.isascii():
        return word
    for ending, replacement, least in _ENDINGS:
        if word.endswith(ending):
            base = word[: len(word) - len(ending)]
            if len(base) >= least and _VOWEL.search(base) and not (ending == "s" and base[-1] in "su"):
                base += replacement
                if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz":
                    base = base[:-1]
                return base[:-1] if base.endswith("e") and len(base) > 4 else base
    return word


def _concepts() -> dict[str, frozenset[int]]:
    table: dict[str, set[int]] = {}
    for number, line in enumerate(lex.SYNONYMS):
        for word in line.split():
            table.setdefault(word, set()).add(number)
            table.setdefault(stem(word), set()).add(number)
    return {word: frozenset(ids) for word, ids in table.items()}


def _sides() -> dict[str, frozenset[tuple[int, int]]]:
    table: dict[str, set[tuple[int, int]]] = {}
    for number, pair in enumerate(lex.OPPOSITES):
        for side, line in enumerate(pair):
            for word in line.split():
                table.setdefault(word, set()).add((number, side))
    return {word: frozenset(ids) for word, ids in table.items()}


CONCEPTS = _concepts()
SIDES = _sides()
NONE: frozenset[int] = frozenset()


@lru_cache(maxsize=65536)
def polarity(word: str) -> str:
    """ "up", "down", "good", "bad", "fast", "slow", "same" or "": what a word says about the direction of a quantity."""
    for name, members in (
        ("up", lex.UP), ("down", lex.DOWN), ("good", lex.GOOD), ("bad", lex.BAD), ("fast", lex.FAST), ("slow", lex.SLOW), ("same", lex.SAME)
    ):  # fmt: skip
        if word in members:
            return name
    return ""


@lru_cache(maxsize=65536)
def concepts(word: str) -> frozenset[int]:
    """Numbers of the synonym lines that hold this word or its stem."""
    return CONCEPTS.get(word, NONE) | CONCEPTS.get(stem(word), NONE)


@lru_cache(maxsize=131072)
def same_meaning(a: str, b: str) -> bool:
    """Equal stem, a common synonym line, or the same direction."""
    if a == b or stem(a) == stem(b) or concepts(a) & concepts(b):
        return True
    pa = polarity(a)
    if pa and pa == polarity(b):
        return True
    return len(a) >= 6 and len(b) >= 6 and a[:6] == b[:6] and not negated_pair(a, b) and abs(len(a) - len(b)) <= 5 and _one_family(a, b)


def _one_family(a: str, b: str) -> bool:
    """Words that share all but a derivational ending ("separable", "separation")."""
    shared = 0
    for x, y in zip(a, b):
        if x != y:
            break
        shared += 1
    return shared >= max(6, min(len(a), len(b)) - 3)


_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "non-", "de", "anti", "mis", "under", "over", "a", "counter", "sub")


@lru_cache(maxsize=65536)
def negated_pair(a: str, b: str) -> bool:
    """One is the other with a denying prefix ("stable", "unstable"), or -less against -ful."""
    for x, y in ((a, b), (b, a)):
        if len(y) >= 4 and x.endswith(y) and x[: len(x) - len(y)] in _PREFIXES:
            return True
        if len(y) >= 5 and any(x.startswith(p) and stem(x[len(p) :]) == stem(y) and len(x) - len(p) >= 4 for p in _PREFIXES[:8]):
            return True
        if x.endswith("less") and y.endswith("ful") and x[:-4] == y[:-3]:
            return True
    return False


_OPPOSED = {("up", "down"), ("down", "up"), ("good", "bad"), ("bad", "good"), ("fast", "slow"), ("slow", "fast"), ("up", "same"), ("down", "same"),
            ("same", "up"), ("same", "down"), ("good", "down"), ("bad", "up"), ("fast", "down"), ("slow", "up"), ("down", "good"), ("up", "bad")}  # fmt: skip
_SQUARE = {("up", "down"), ("down", "up"), ("good", "bad"), ("bad", "good"), ("fast", "slow"), ("slow", "fast")}


@lru_cache(maxsize=131072)
def opposite(a: str, b: str) -> bool:
    """The two words exclude each other: opposite directions, two sides of one line, or a denying prefix."""
    if a == b or stem(a) == stem(b):
        return False
    pa, pb = polarity(a), polarity(b)
    if (pa, pb) in _SQUARE:
        return True
    for number, side in SIDES.get(a, frozenset()):
        if (number, 1 - side) in SIDES.get(b, frozenset()):
            return True
    return negated_pair(a, b)


def tokens(text: str) -> list[str]:
    """Lower-cased, lightly stemmed content tokens in order; numbers stay as written. Stable across versions of the same major."""
    out = []
    for match in _WORD.finditer(text.lower()):
        word = match.group().replace("’", "'").removesuffix("'s")
        if word not in lex.STOP and (len(word) > 1 or word.isdigit()):
            out.append(stem(word))
    return out
