"""The references as BibTeX. Imports records; escapes what TeX would act on, keeps capitals by braces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

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
    base = key = _key(p)
    for letter in "abcdefghijklmnopqrstuvwxyz":
        if key not in used:
            break
        key = base + letter
    used.add(key)
    fields = {
        "title": "{" + _tex(p.title) + "}",
        "author": " and ".join(_tex(a) for a in p.authors),
        "year": str(p.year or ""),
        "eprint": (p.arxiv_id or "") + (f"v{p.version}" if p.arxiv_id and p.version else ""),
        "archiveprefix": "arXiv" if p.arxiv_id else "",
        "doi": p.doi or "",
        "howpublished": _tex(p.venue or "") if p.kind is not PaperKind.NOTE else "",
        "url": p.url or "",
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


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in " ".join(text.split()))
