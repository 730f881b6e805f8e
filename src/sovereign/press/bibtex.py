"""The references as BibTeX. Imports records; escapes what TeX would act on, keeps capitals by braces, refuses a brace that would end its value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import chain, count
from string import ascii_lowercase

from sovereign.records import Paper, PaperKind

_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def bibliography(papers: Sequence[Paper]) -> str:
    """One entry per paper, keys unique; ends with a newline. Empty text for no papers."""
    used: set[str] = set()
    return "\n".join(_entry(p, used) for p in papers)


def _entry(p: Paper, used: set[str]) -> str:
    base = _key(p)
    key = next(k for k in (base + e for e in chain(("",), ascii_lowercase, map(str, count(27)))) if k not in used)
    used.add(key)
    fields = {
        "title": "{" + _tex(p.title) + "}",
        "author": " and ".join(_author(a) for a in p.authors if a.strip()),
        "year": str(p.year or ""),
        "eprint": (p.arxiv_id or "") + (f"v{p.version}" if p.arxiv_id and p.version else ""),
        "archiveprefix": "arXiv" if p.arxiv_id else "",
        "doi": _address(p.doi or ""),
        "howpublished": _tex(p.venue or "") if p.kind is not PaperKind.NOTE else "",
        "url": _address(p.url or ""),
        "note": "Cited through a reading note by SOVEREIGN, not read itself" if p.kind is PaperKind.NOTE else "",
    }
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@misc{{{key},\n{body}\n}}\n"


def _key(p: Paper) -> str:
    family = (
        (p.authors[0].split(",")[0] if "," in p.authors[0] else p.authors[0].split()[-1]) if p.authors and p.authors[0].split() else "anon"
    )
    word = next((w for w in re.findall(r"\w+", p.title) if len(w) > 3), "work")
    plain = unicodedata.normalize("NFKD", f"{family}{p.year or ''}{word}").encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]", "", plain).lower() or "work"


def _author(name: str) -> str:
    """In braces where BibTeX would take one name for several (" and "), or for more parts than a name has."""
    whole = re.search(r"(?:^|\s)and(?:\s|$)", name, re.IGNORECASE) is not None or name.count(",") > 2
    return "{" + _tex(name) + "}" if whole else _tex(name)


def _address(text: str) -> str:
    """A DOI or an address: BibTeX ends a value at a brace that has no partner, and an address may carry any character as its percent code."""
    return re.sub(r"[{}\\\s]", lambda m: f"%{ord(m.group()):02X}", text.strip())


def _tex(text: str) -> str:
    """BibTeX counts braces without looking at the backslash before them: those without a partner go by their names."""
    table = _TEX if _paired(text) else {**_TEX, "{": r"\textbraceleft{}", "}": r"\textbraceright{}"}
    return "".join(table.get(c, c) for c in " ".join(text.split()))


def _paired(text: str) -> bool:
    depth = 0
    for c in text:
        depth += (c == "{") - (c == "}")
        if depth < 0:
            return False
    return depth == 0
