"""Splits running text into sentences with offsets, in linear time. Imports the standard library only; refuses to normalise the text."""

from __future__ import annotations

import re

_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)|\n[ \t]*\n|\n(?=[ \t]*(?:[#|>*•\-]|\d{1,2}(?:\.\d{1,2})*[.)]?[ \t]+[A-Z]))|(?<=[|#])[ \t]*\n")
_ABBREVIATIONS = frozenset(
    """e.g i.e cf vs etc al fig figs eq eqs sec secs tab no nos ref refs resp approx dr prof mr mrs ms st inc ltd co vol pp ed eds et viz ca incl
    est jr sr ph.d u.s u.k dept univ proc conf chap ch app def thm lem prop cor alg w.r.t a.k.a i.i.d s.t sect min max avg std dev ver arxiv
    op cit ibid trans int adv phys rev lett natl acad sci""".split()
)
_UNITS = frozenset("ms min st".split())  # "5 min.", "the 21 st.": behind a figure these are units
_FIGURE_BEFORE = re.compile(r"\d[ \u00a0\u202f]?$")
_LAST_WORD = re.compile(r"([A-Za-z][A-Za-z.]*)\.[\"'”’)\]]*$")
_HEADING = re.compile(r"\n(?=[ \t]*#{1,6} )")
_NEEDS_FIGURE = frozenset("no nos fig figs eq eqs sec secs tab ref refs min max ch app vol pp co int def est ed".split())


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of every sentence, headings and table lines on their own; blanks at the edges are left out.

    Knows abbreviations ("et al.", "Fig. 3", "e.g."), initials, decimals and citations. A line end inside a sentence does not end it.
    """
    out: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if match.group()[0] in ".!?" and not _ends(text, start, match.start(), match.end()):
            continue
        stop = match.end() if match.group()[0] in ".!?" else match.start()
        _add(text, start, stop, out)
        start = match.end()
    _add(text, start, len(text), out)
    return out


def _ends(text: str, start: int, mark: int, after: int) -> bool:
    """Whether the full stop at `mark` ends a sentence."""
    rest = text[after : after + 40].lstrip()
    if text[mark] in "!?" or not rest:
        return True
    if rest[0].islower() and text[mark : mark + 1] == ".":
        return bool(re.match(r"[a-z]+[A-Z0-9]", rest)) and not _abbreviated(text, start, mark, rest)
    return not _abbreviated(text, start, mark, rest)


def _abbreviated(text: str, start: int, mark: int, rest: str) -> bool:
    head = text[max(start, mark - 24) : mark + 1]
    match = _LAST_WORD.search(head)
    if match is None:
        return False
    word = match.group(1).lower()
    if word in _UNITS and _FIGURE_BEFORE.search(head[: match.start()]):
        return False  # "189.0 ms. Merging": a unit, not Ms Merging
    if word in _ABBREVIATIONS:
        if word in _NEEDS_FIGURE:
            return bool(rest[:1].isdigit() or rest[:1] in "([" or word in {"fig", "figs", "eq", "eqs", "sec", "secs", "tab", "ref", "refs"})
        return not (word in {"etc", "al"} and rest[:1].isupper() and word == "etc")
    return len(match.group(1)) == 1 and match.group(1).isupper() and word not in {"i"} and rest[:1].isupper() and _initial(head)


def _initial(head: str) -> bool:
    """A single capital before the stop is an initial when another capitalised word or initial stands close before or it opens the text."""
    if re.search(r"\d\s?[A-Z]\.$", head):
        return False
    return bool(re.search(r"(?:^|[\s.(,])(?:[A-Z][a-z]+ |[A-Z]\. ?)?[A-Z]\.$", head)) and not re.search(r"[a-z]{2,} [A-Z]\.$", head)


def _add(text: str, start: int, end: int, out: list[tuple[int, int]]) -> None:
    for a, b in _split_headings(text, start, end):
        while a < b and text[a].isspace():
            a += 1
        while b > a and text[b - 1].isspace():
            b -= 1
        if a < b:
            out.append((a, b))


def _split_headings(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A Markdown heading line is a sentence of its own."""
    lead = start
    while lead < end and text[lead].isspace():
        lead += 1
    if lead < end and text[lead] == "#":
        stop = text.find("\n", lead, end)
        if stop != -1:
            return [(lead, stop), (stop, end)]
    return [(start, end)]
