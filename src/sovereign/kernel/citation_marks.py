"""Citation marks in a manuscript's text and the bibliography keys they mean: [@key], \\cite{key}, [1], (Name et al., 2024), and a reader's own marks.

Imports records and identity. Refuses to choose between two entries that fit one author and year: such a mark is unmatched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sovereign.identity import fold
from sovereign.records import Document, Reference

_PANDOC = re.compile(r"\[[^\[\]@]{0,200}-?@[^\[\]]{1,400}\]")
_PANDOC_KEY = re.compile(r"(?<![\w.])-?@\{?([\w][\w:.#$%&+?<>~/-]*)")
_BARE = re.compile(r"(?<![\w.@/\[])@([A-Za-z_][\w:.+/-]*\w)(?:\s\[[^\[\]@]{1,60}\])?")
_LATEX = re.compile(r"[~ ]?\\(?:[A-Za-z]*cite[a-z]*)\*?(?:\[[^\]]{0,80}\]){0,2}\{([^{}]{1,400})\}")
_NUMBERS = re.compile(r"\[(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\]")
_SURNAME = r"(?:(?:van|von|de|der|den|da|di|la|le|al|el|bin)\s)*[A-Z\u00c0-\u00de][\w'’\u00c0-\u024f-]+"
_WHO = rf"(?P<who>{_SURNAME})(?P<more>\s+et\s+al\.?|\s*(?:,|and|&)\s+{_SURNAME}(?:,?\s+(?:and|&)\s+{_SURNAME})*)?"
_PART = re.compile(rf"{_WHO},?\s+(?P<years>(?:19|20)\d\d[a-z]?(?:,\s*(?:19|20)\d\d[a-z]?\b)*)")
_BETWEEN = re.compile(
    r"(?:see(?: also)?|e\.g\.|cf\.|i\.e\.|and|also|among others|(?:p|pp|Sec|Section|Fig|Table|Eq)\.?\s*[\w.–-]+|[\s,;&])*"
)
_PARENTHESIS = re.compile(r"[(\[]([^()\[\]]{4,400}?\b(?:19|20)\d\d[a-z]?[^()\[\]]{0,60})[)\]]")
_NARRATIVE = re.compile(rf"{_WHO}\s+[(\[](?P<years>(?:19|20)\d\d[a-z]?)[)\]]")


@dataclass(frozen=True)
class Mark:
    """One citation mark. start and end are offsets in document.text; equal where the mark is not printed apart from the prose."""

    start: int
    end: int
    keys: tuple[str, ...]
    unmatched: tuple[str, ...] = ()


def marks_of(document: Document, references: Sequence[Reference]) -> list[Mark]:
    """Every mark in order of place, none overlapping. The reader's own marks go before what is found in the text."""
    text = document.text
    known = {r.key for r in references}
    found = _merged([_extent(text, at, keys) for at, keys in document.citations])
    taken = [(m.start, m.end) for m in found if m.end > m.start]
    for mark in sorted(_in_text(text, known, references), key=lambda m: (m.start, -m.end)):
        if all(mark.end <= a or mark.start >= b for a, b in taken):
            found.append(mark)
            taken.append((mark.start, mark.end))
    return sorted(found, key=lambda m: (m.start, m.end))


def _extent(text: str, at: int, keys: tuple[str, ...]) -> Mark:
    """What is printed of a mark that the format itself declares at `at`: brackets with their blank before, a raised number, or nothing apart."""
    bracket = re.compile(r"\s?[\[(][^\[\]()]{1,300}[\])]").match(text, at)
    if bracket:
        return Mark(at, bracket.end(), keys)
    if text[at - 1 : at] in ("[", "(") and at > 0:
        close = re.compile(r"[^\[\]()]{1,300}[\])]").match(text, at)
        if close:
            return Mark(at - 1, close.end(), keys)
    inside = max(text.rfind("[", max(0, at - 300), at), text.rfind("(", max(0, at - 300), at))
    if inside >= 0 and not re.search(r"[\])]", text[inside:at]):
        close = re.compile(r"[^\[\]()]{0,300}[\])]").match(text, at)
        if close and re.fullmatch(r"[\[(][\w\s,;.&–-]{0,300}", text[inside:at]):
            return Mark(inside, close.end(), keys)
    raised = re.compile(r"\d{1,3}(?:[,–-]\d{1,3})*").match(text, at)
    if raised and at > 0 and not text[at - 1].isspace():
        return Mark(at, raised.end(), keys)
    return Mark(at, at, keys)


def _merged(marks: list[Mark]) -> list[Mark]:
    out: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (m.start, m.end)):
        if out and mark.start < out[-1].end:
            last = out[-1]
            out[-1] = Mark(last.start, max(last.end, mark.end), tuple(dict.fromkeys((*last.keys, *mark.keys))))
        else:
            out.append(mark)
    return out


def _in_text(text: str, known: set[str], references: Sequence[Reference]) -> Iterator[Mark]:
    for match in _PANDOC.finditer(text):
        keys = tuple(dict.fromkeys(k.rstrip(".,;:?}") for k in _PANDOC_KEY.findall(match.group())))
        if keys:
            yield Mark(match.start(), match.end(), keys)
    for match in _BARE.finditer(text):
        if match.group(1) in known:
            yield Mark(match.start(), match.end(), (match.group(1),))
    for match in _LATEX.finditer(text):
        keys = tuple(k.strip() for k in match.group(1).split(",") if k.strip())
        if keys:
            yield Mark(match.start(), match.end(), keys)
    yield from _numbered(text, known)
    yield from _author_year(text, references)


def _numbered(text: str, known: set[str]) -> Iterator[Mark]:
    """[1], [2, 5], [3–6]. With a numbered list of references, numbers beyond it are no citations (intervals, years)."""
    printed = {k for k in known if k.isdigit()}
    for match in _NUMBERS.finditer(text):
        numbers: list[int] = []
        for piece in re.split(r"\s*[,;]\s*", match.group(1)):
            first, _, last = (p.strip() for p in piece.replace("–", "-").partition("-"))
            numbers += range(int(first), int(last or first) + 1) if int(last or first) - int(first) < 40 else []
        keys = tuple(str(n) for n in numbers)
        single = len(keys) == 1 and numbers[0] > 0
        if keys and ((printed and set(keys) <= printed) or (not printed and not known and single)):
            yield Mark(match.start(), match.end(), keys)


def _author_year(text: str, references: Sequence[Reference]) -> Iterator[Mark]:
    if not references:
        return
    for match in _PARENTHESIS.finditer(text):
        keys: list[str] = []
        unmatched: list[str] = []
        if not _BETWEEN.fullmatch(_PART.sub("", match.group(1))):
            continue  # a remark with a year in it
        for said in _PART.finditer(match.group(1)):
            found = [_entry(said["who"], year, references) for year in re.split(r",\s*", said["years"])]
            keys += [k for k in found if k]
            if not all(found) and said["more"]:
                unmatched.append(said.group().strip())
        if keys or unmatched:
            yield Mark(match.start(), match.end(), tuple(dict.fromkeys(keys)), tuple(unmatched))
    for match in _NARRATIVE.finditer(text):
        key = _entry(match["who"], match["years"], references)
        year_at = match.start("years") - 1
        if key:
            yield Mark(year_at, match.end(), (key,))
        elif match["more"]:
            yield Mark(year_at, match.end(), (), (match.group(),))


def _entry(who: str, year: str, references: Sequence[Reference]) -> str | None:
    """The key of the one entry with this first author and year; None when none or several fit."""
    letter = year[4:]
    fitting = [r for r in references if r.year == int(year[:4]) and r.authors and _surname_fits(who, r.authors[0])]
    fitting = list({r.key: r for r in fitting}.values())
    if letter and len(fitting) > 1:
        fitting = [r for r in fitting if re.search(rf"\b{year}\b", r.text) or r.key.endswith(year)]
    return fitting[0].key if len(fitting) == 1 else None


def _surname_fits(who: str, author: str) -> bool:
    family = author.partition(",")[0] if "," in author else author
    return fold(family).replace("-", " ").split()[-len(who.replace("-", " ").split()) :] == fold(who).replace("-", " ").split()
