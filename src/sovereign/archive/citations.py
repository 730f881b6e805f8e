"""The references as RIS and CSL-JSON. Imports records and seal; refuses line breaks inside a RIS value, which would start a new field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sovereign import seal
from sovereign.errors import UnknownName
from sovereign.records import Paper, PaperKind


def export(papers: Sequence[Paper], format: str) -> bytes:
    """The references in one of the two formats. Raises UnknownName for any other."""
    if format == "ris":
        return ris(papers).encode()
    if format == "csl":
        return seal.pretty(csl(papers)).encode()
    raise UnknownName("format", format, ("csl", "ris"))


def ris(papers: Sequence[Paper]) -> str:
    """RIS (Research Information Systems tag format): two-letter tag, two blanks, hyphen, blank; CRLF line ends, ER closes an entry."""
    out = []
    for p in papers:
        fields = [
            ("TY", "UNPB" if p.kind is PaperKind.NOTE else "JOUR" if p.doi and not p.arxiv_id else "GEN"),
            ("ID", p.paper_id),
            ("TI", p.title),
        ]
        fields += [("AU", a) for a in p.authors]
        fields += [
            ("PY", str(p.year or "")),
            ("DO", p.doi or ""),
            ("UR", p.url or ""),
            ("T2", p.venue or "" if p.kind is not PaperKind.NOTE else ""),
        ]
        fields += [("M3", "arXiv:" + p.arxiv_id + (f"v{p.version}" if p.version else "")) if p.arxiv_id else ("M3", "")]
        fields += [("N1", "Cited through a reading note by SOVEREIGN, not read itself")] if p.kind is PaperKind.NOTE else []
        out.append("".join(f"{tag}  - {' '.join(value.split())}\r\n" for tag, value in fields if value.strip()) + "ER  - \r\n")
    return "\r\n".join(out)


def csl(papers: Sequence[Paper]) -> list[dict[str, Any]]:
    """CSL-JSON items (citation-style-language schema 1.0)."""
    items = []
    for p in papers:
        item: dict[str, Any] = {"id": p.paper_id, "type": "article-journal" if p.doi and not p.arxiv_id else "article", "title": p.title}
        if p.authors:
            item["author"] = [_name(a) for a in p.authors]
        if p.year:
            item["issued"] = {"date-parts": [[p.year]]}
        place = p.venue if p.kind is not PaperKind.NOTE else None
        item |= {key: value for key, value in (("DOI", p.doi), ("URL", p.url), ("container-title", place)) if value}
        if p.arxiv_id:
            item["number"] = f"arXiv:{p.arxiv_id}" + (f"v{p.version}" if p.version else "")
        if p.kind is PaperKind.NOTE:
            item["note"] = "Cited through a reading note by SOVEREIGN, not read itself"
        items.append(item)
    return items


def _name(text: str) -> dict[str, str]:
    """“Family, Given” and “Given Family” are understood; anything else stays as it is written."""
    if "," in text:
        family, given = (x.strip() for x in text.split(",", 1))
        return {"family": family, "given": given} if given else {"family": family}
    words = text.split()
    return {"family": words[-1], "given": " ".join(words[:-1])} if len(words) > 1 else {"literal": text}
