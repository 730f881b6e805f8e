"""What a printed reference says about itself: year, DOI, arXiv id, title, authors. Imports records only.

A field that is not plainly there is None; this module never looks anything up.
"""

from __future__ import annotations

import re

from sovereign.records import Reference

_DOI = re.compile(r"\b(10\.\d{4,9}/[^\s\"<>“”]+[^\s\"<>“”.,;:)\]}])")
_ARXIV = re.compile(
    r"(?:arxiv[:./ ]*(?:preprint[:, ]*)?(?:arxiv[:. ]*)?(?:org/)?(?:abs/|pdf/)?|abs/)(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d+)?",
    re.I,
)
_YEAR = re.compile(r"(?<![\d.:/-])((?:19[5-9]|20[0-4])\d)[a-z]?(?![\d/-])(?!\.\d)")
_QUOTED = re.compile(r"[“\"](.{8,300}?)[,.]?[”\"]")
_NAME_END = re.compile(
    r"(?<=[a-zé\u00c0-\u024f]{2})\.\s+|(?<=et al)\.\s+|\(\d{4}[a-z]?\)[.,:]?\s+|(?<=\d{4})[a-z]?\.\s+|(?<=[A-Z]\.),?\s+(?=[“\"])"
)


def parse(key: str, text: str) -> Reference:
    """A reference as the document prints it, with what can be read off it."""
    text = " ".join(text.split())
    arxiv = _ARXIV.search(text)
    doi = _DOI.search(text)
    without = _ARXIV.sub(" ", _DOI.sub(" ", text))
    years = _YEAR.findall(without)
    if not years and arxiv and re.match(r"\d{4}\.", arxiv.group(1)):
        years = [f"20{arxiv.group(1)[:2]}"]  # the submission year; ids of this form began in 2007
    title, authors = _title_and_authors(re.sub(r"^\s*(?:\[[^\]]{1,40}\]|\d{1,3}\.)\s*", "", text))
    return Reference(
        key,
        text,
        title=title,
        authors=authors,
        year=int(years[-1]) if years else None,
        doi=doi.group(1).lower() if doi else None,
        arxiv_id=arxiv.group(1) if arxiv else None,
    )


def _title_and_authors(text: str) -> tuple[str | None, tuple[str, ...]]:
    """By quotation marks, else the first sentence after the author list; (None, ()) when neither shape fits."""
    quoted = _QUOTED.search(text)
    if quoted and quoted.start() < 400:
        return quoted.group(1).strip(" ,."), split_names(text[: quoted.start()])
    cut = _NAME_END.search(text)
    if not cut or cut.start() > 1200:
        return None, ()
    names = split_names(text[: cut.start()])
    rest = text[cut.end() :].strip()
    rest = re.sub(r"^\(?\d{4}[a-z]?\)?[.,:]?\s+", "", rest)
    end = re.search(r"(?<![A-Z])[.?!](?:\s|$)", rest)
    title = rest[: end.start() + (rest[end.start()] == "?")].strip() if end else rest.strip(" .")
    title = re.sub(r",?\s*(?:19|20)\d\d[a-z]?$", "", title)
    if not names or len(title.split()) < 2 or len(title) > 300:
        return None, names
    return title, names


def split_names(text: str) -> tuple[str, ...]:
    """Names of an author list: "A. One, B. Two, and C. Three", or "One, A., Two, B."."""
    text = re.sub(r"\bet al\.?|\(eds?\.?\)|\(\d{4}[a-z]?\)|\b(?:19|20)\d{2}[a-z]?\b|…", " ", text)
    parts = [p.strip(" .,;:") for p in re.split(r"\s*;\s*|,?\s+and\s+|,?\s*&\s*|,\s+", text) if p.strip(" .,;:")]
    names: list[str] = []
    for part in parts:
        if re.fullmatch(r"(?:[A-Z]\.?[- ]?){1,4}|Jr|Sr|I{2,3}", part) and names and " " not in names[-1]:
            names[-1] = f"{part}{'.' if len(part) == 1 else ''} {names[-1]}"
        else:
            names.append(part)
    good = [n for n in names if 2 <= len(n) <= 60 and not any(c.isdigit() for c in n)]
    return tuple(good) if len(good) >= 0.7 * len(names) else ()
