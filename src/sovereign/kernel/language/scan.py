"""Takes one sentence apart: words, names, quantities, marks, and what stands under a negation. Imports this package and records; refuses to interpret.

One pass, linear in the length of the sentence; the result is cached, because the same source sentence is compared with many claims.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language import naming, numbers
from sovereign.kernel.language.words import concepts, polarity, stem
from sovereign.records import Value

# What looks like a number and is none: citations, identifiers, dates, years, numbers of figures and sections.
_MASK = re.compile(
    r"https?://\S+|\b10\.\d{4,9}/\S+|\barXiv:?\s?\d{4}\.\d{4,5}(?:v\d+)?|(?<![\d.])\d{4}\.\d{5}(?:v\d+)?(?![\d%])"
    r"|\[\s?\d+(?:\s?[,–-]\s?\d+)*\s?\]|\[@[^\]\s]{1,80}\]|\\cite[tp]?\*?\{[^}]{0,200}\}"
    r"|\((?:see |e\.g\.,? |cf\. )?[A-Z][A-Za-z'’\-]+(?: (?:et al\.?|and"
    r"|&) ?[A-Z]?[A-Za-z'’\-]*)?,? ?\(?(?:19|20)\d\d[a-z]?[^()]{0,160}\)|\((?:19|20)\d\d[a-z]?\)"
    r"|\b(?:Figs?|Figures?|Tables?|Tabs?|Sections?|Secs?|Eqs?|Equations?|Appendix|Appendices|Algorithms?|Theorems?"
    r"|Lemmas?|Chapters?|Chaps?|Propositions?|Corollary|Definitions?|Refs?"
    r"|§)\b\.?\s?\(?[A-Z]?\.?\d+(?:\.\d+)*[a-z]?\)?(?:\s?(?:,|and|–|-|to)\s?[A-Z]?\d+(?:\.\d+)*[a-z]?\b)?"
)
# Dates and years are words, not values: they must agree, but they have no unit and no rounding.
_DATE = re.compile(
    r"\b(?:19|20)\d\d\s?[–-]\s?(?:(?:19|20)\d\d|\d\d)\b(?![%.\d])|"
    r"\b\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* (?:19|20)\d\d\b|\b(?:19|20)\d\d-\d\d-\d\d\b"
    r"|(?i:\b(?:in|since|until|by|year|from|january|february|march|april|may|june|july"
    r"|august|september|october|november|december),? (?:19|20)\d\d\b(?![ ]?(?:%|[a-z]+s\b)))"
    r"|(?<=[A-Za-z] )(?:19|20)\d\d(?= (?:and|challenge|shared task|competition|workshop|conference|paper|version|edition|benchmark|dataset|task)\b)"
)
_TOKEN = re.compile(r"(?P<w>[^\W\d_]+(?:['’][a-z]{1,2})?)|(?P<d>\d|\.\d)|(?P<s>[^\w\s])")
_DIGITS = re.compile(r"\d+")
_NUM_WORD = frozenset(numbers.WORDS) | frozenset(numbers.RATIOS) | {"one"}
_MOVES = re.compile(r"(?:up|down) (?:by |from )?[~≈]?\d", re.IGNORECASE)  # "brings it down by 3 %": here the little word says the direction
_BREAK = frozenset(",;:()[]—–|")
_JOIN = frozenset("and or but while whereas although though which that when where because if versus vs than compared with".split())
_ORDINAL = {w: f"{i}th" for i, w in enumerate("first second third fourth fifth sixth seventh eighth ninth tenth".split(), 1)}


@dataclass(frozen=True, slots=True)
class Token:
    """One unit of meaning. kind: "w" word, "n" name, "q" quantity, "p" mark. `low` is the lower-case text, `key` what is compared."""

    text: str
    low: str
    key: str
    kind: str
    start: int
    end: int
    value: Value | None = None
    content: bool = False
    weak: bool = False
    negated: bool = False
    clause: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """A sentence taken apart. `content` are the tokens that carry meaning, in order."""

    text: str
    tokens: tuple[Token, ...]
    content: tuple[Token, ...]
    quantities: tuple[Token, ...]
    names: tuple[Token, ...]
    words: frozenset[str]  # lower-case words, stop words included
    negations: tuple[int, ...]  # indices in `tokens`
    stems: frozenset[str]
    ideas: frozenset[int]


def _masked(text: str) -> str:
    """Same length; what looks like a number and is none is blanked out."""
    return _MASK.sub(lambda m: " " * len(m.group()), text)


@lru_cache(maxsize=16384)
def scan(text: str) -> Scan:
    """The sentence taken apart; offsets point into `text`."""
    masked = _masked(text)
    dates = [m.span() for m in _DATE.finditer(masked)]
    tokens: list[Token] = []
    named = naming.spans(masked)
    position, index = 0, 0
    clause = 0
    end = len(masked)
    while position < end:
        if index < len(named) and position >= named[index][0]:
            start, stop = named[index]
            index += 1
            if start < position:
                continue
            tokens.append(_name(text, start, stop, clause))
            position = stop
            continue
        match = _TOKEN.search(masked, position)
        if match is None:
            break
        if index < len(named) and match.start() >= named[index][0]:
            position = named[index][0]
            continue
        token = _token(masked, text, match, clause, dates)
        tokens.append(token)
        position = token.end
        if token.low in _BREAK or token.low in _JOIN:
            clause += 1
    tokens = _negate(tokens)
    content = tuple(t for t in tokens if t.content)
    return Scan(
        text=text, tokens=tuple(tokens), content=content, quantities=tuple(t for t in tokens if t.kind == "q"),
        names=tuple(t for t in tokens if t.kind == "n"), words=frozenset(t.low for t in tokens if t.kind in "wn"),
        negations=tuple(i for i, t in enumerate(tokens) if t.low in lex.NEGATIONS), stems=frozenset(t.key for t in content if t.kind != "q"),
        ideas=frozenset(c for t in content if t.kind == "w" for c in concepts(t.low)),
    )  # fmt: skip


def _name(text: str, start: int, stop: int, clause: int) -> Token:
    written = text[start:stop]
    return Token(written, written.lower(), naming.alias_key(written), "n", start, stop, content=True, clause=clause)


def _token(masked: str, text: str, match: re.Match[str], clause: int, dates: list[tuple[int, int]]) -> Token:
    start, stop = match.span()
    if match.lastgroup == "d" and any(a <= start < b for a, b in dates):
        run = _DIGITS.match(masked, start)
        stop = run.end() if run else stop
        return Token(text[start:stop], text[start:stop], text[start:stop], "w", start, stop, content=True, clause=clause)
    if match.lastgroup == "d":
        value = _factor(masked, numbers.read(masked, start))
        if value is not None and not _glued(masked, value):
            return Token(
                text[value.start : value.end], value.raw.lower(), "#", "q", value.start, value.end, value=value, content=True, clause=clause
            )
        run = re.compile(r"[\w.]*").match(masked, start)
        stop = max(stop, run.end() if run else stop)
        return Token(text[start:stop], text[start:stop].lower(), text[start:stop].lower(), "w", start, stop, content=True, clause=clause)
    written = text[start:stop]
    low = written.lower().replace("’", "'").removesuffix("'s")
    if match.lastgroup == "w":
        fraction = numbers.read_fraction(masked, start)
        if fraction is not None:
            return Token(text[start : fraction.end], low, "#", "q", start, fraction.end, value=fraction, content=True, clause=clause)
        if low in _NUM_WORD:
            value = numbers.read_words(masked, start, written)
            if value is not None:
                return Token(text[value.start : value.end], low, "#", "q", value.start, value.end, value=value, content=True, clause=clause)
        low = _ORDINAL.get(low, low)
        content = (low not in lex.STOP or bool(_MOVES.match(masked, start))) and low not in lex.APPROXIMATE and len(low) > 1
        return Token(written, low, stem(low), "w", start, stop, content=content, weak=low in lex.WEAK, clause=clause)
    return Token(written, written, written, "p", start, stop, clause=clause)


def _factor(text: str, value: Value | None) -> Value | None:
    """ "by a factor of 2.12" is a ratio."""
    if value is not None and value.unit == "" and text[max(0, value.start - 22) : value.start].lower().rstrip(" ~").endswith(_FACTORS):
        return replace(value, unit="ratio")
    return value


_FACTORS = (
    "factor of",
    "factors of",
    "factor of up to",
    "factor of about",
    "factor of at least",
    "factor",
    "factor of roughly",
    "factor of nearly",
)


def _glued(text: str, value: Value) -> bool:
    """Digits inside a word ("top-8", "conv3x3") or with letters behind them are no quantity."""
    after = text[value.end : value.end + 1]
    before = text[value.start - 1 : value.start]
    if after.isalpha() or after == "_":
        return True
    if before.isalpha() or before == "_":
        return True
    return before in "@^" and bool(before)


def _negate(tokens: list[Token]) -> list[Token]:
    """Marks content tokens under a negation: from the cue to the end of its clause, at most six content tokens."""
    out = list(tokens)
    lows = [t.low for t in tokens]
    for i, low in enumerate(lows):
        if low not in lex.NEGATIONS:
            continue
        phrase = f"{low} {lows[i + 1]}" if i + 1 < len(lows) else low
        if any(
            p.startswith(phrase) and (p == phrase or f"{phrase} {lows[i + 2] if i + 2 < len(lows) else ''}" == p)
            for p in lex.NOT_A_NEGATION
        ):
            continue
        if (
            low in {"no", "neither"}
            and i
            and out[i - 1].kind == "w"
            and (out[i - 1].content and (polarity(out[i - 1].low) or low == "neither" or out[i - 1].weak))
        ):
            out[i - 1] = replace(out[i - 1], negated=not out[i - 1].negated)
        left = 6
        for j in range(i + 1, len(tokens)):
            token = out[j]
            if token.low in _BREAK or token.low in {"but", "while", "whereas", "because", "although", "."} or left == 0:
                break
            if token.content:
                left -= 1
                out[j] = Token(
                    token.text, token.low, token.key, token.kind, token.start, token.end, token.value, token.content, token.weak,
                    not token.negated, token.clause,
                )  # fmt: skip
    return out


def direction_of(token: Token) -> str:
    """The direction a word states, "" for none."""
    return polarity(token.low) if token.kind == "w" else ""
