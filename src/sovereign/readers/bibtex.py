"""BibTeX files: entries to references and to papers' metadata. Standard library, records and the TeX notation of this package.

Refuses nothing: a broken entry is skipped and counted, the rest is read. No macros are run; @string abbreviations are put in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sovereign.readers import _tex
from sovereign.readers._assemble import Assembly
from sovereign.readers._text import decode, one_line
from sovereign.records import Document, Reference

NAME = "bibtex/1"
MAX_ENTRIES = 50_000
_ENTRY = re.compile(r"@\s*([A-Za-z]+)\s*[{(]\s*")
_MONTHS = {m: m.capitalize() for m in "jan feb mar apr may jun jul aug sep oct nov dec".split()}
_ARXIV = re.compile(r"(?:arxiv[:.\s/]*(?:org/)?(?:abs/|pdf/)?|^)(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One entry with its fields as text: TeX accents resolved, protecting braces gone; `raw` as the file has them."""

    kind: str  # "article", lower case
    key: str
    fields: dict[str, str] = field(default_factory=dict)
    raw: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str | None:
        return self.fields.get("title") or None

    @property
    def authors(self) -> tuple[str, ...]:
        return tuple(_person(p) for p in re.split(r"\s+and\s+", self.fields.get("author", "")) if p.strip() and p.strip() != "others")

    @property
    def year(self) -> int | None:
        match = re.search(r"\b(1[5-9]\d\d|20\d\d)\b", self.fields.get("year") or self.fields.get("date", ""))
        return int(match.group(1)) if match else None

    @property
    def doi(self) -> str | None:
        match = re.search(r"10\.\d{4,9}/\S+", self.raw.get("doi", "").replace("\\_", "_") or self.raw.get("url", ""))
        return match.group().rstrip(".,;}").lower() if match else None

    @property
    def arxiv_id(self) -> str | None:
        for name in ("eprint", "arxivid", "arxiv", "journal", "url", "note", "volume", "howpublished"):
            value = self.fields.get(name, "")
            if name != "eprint" and "arxiv" not in (name + value).lower() and "abs/" not in value:
                continue
            match = _ARXIV.search(value)
            if match:
                return match.group(1)
        match = re.match(r"10\.48550/arxiv\.(\S+)", self.doi or "", re.IGNORECASE)
        return match.group(1) if match else None


def parse_entries(text: str) -> tuple[list[Entry], int]:
    """(entries in file order, how many broken ones were skipped). @comment and @preamble are no entries."""
    strings: dict[str, str] = dict(_MONTHS)
    entries: list[Entry] = []
    broken = at = 0
    while len(entries) < MAX_ENTRIES and (start := _ENTRY.search(text, at)):
        kind = start.group(1).lower()
        opening = _bracket(start)
        end = _end(text, start.end(), opening)
        body = text[start.end() : end]
        at = end + 1
        if kind in ("comment", "preamble"):
            continue
        if kind == "string":
            strings.update(_fields(body, strings))
            continue
        key, comma, rest = body.partition(",")
        if not comma or not re.fullmatch(r"[^\s={}@\"]+", key.strip()) or "\n@" in body:
            broken += 1
            at = start.end()  # an unclosed entry swallows its neighbours: look for them inside it
            continue
        raw = _fields(rest, strings)
        entries.append(Entry(kind, key.strip(), {k: plain(v) for k, v in raw.items()}, raw))
    return entries, broken


def parse_bibtex(text: str) -> list[Reference]:
    """Every entry as a Reference whose text reads like a printed one."""
    return [as_reference(entry) for entry in parse_entries(text)[0]]


def as_reference(entry: Entry) -> Reference:
    venue = next(
        (entry.fields[n] for n in ("journal", "booktitle", "publisher", "school", "institution", "howpublished") if entry.fields.get(n)), ""
    )
    parts = [", ".join(entry.authors), entry.title or "", venue, str(entry.year or "")]
    text = ". ".join(p.rstrip(".") for p in parts if p) + "." if any(parts) else entry.key
    return Reference(entry.key, text, entry.title, entry.authors, entry.year, entry.doi, entry.arxiv_id)


def _bracket(start: re.Match[str]) -> str:
    return "(" if "(" in start.group(0) else "{"


def _end(text: str, at: int, opening: str) -> int:
    """Where the entry ends: its closing bracket at depth 0, or the end of the file."""
    depth = 0
    shut = "}" if opening == "{" else ")"
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if char == shut and depth == 0:
            return at
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
        at += 1
    return len(text)


def _fields(body: str, strings: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    name_at = re.compile(r"[\s,]*([A-Za-z][\w:.+-]*)\s*=\s*")
    while name := name_at.match(body, at):
        at = name.end()
        pieces = []
        while True:
            piece, at = _value(body, at, strings)
            pieces.append(piece)
            joint = re.compile(r"\s*#\s*").match(body, at)
            if not joint:
                break
            at = joint.end()
        found.setdefault(name.group(1).lower(), " ".join("".join(pieces).split()))
        comma = body.find(",", at)
        at = comma + 1 if comma >= 0 else len(body)
    return found


def _value(body: str, at: int, strings: dict[str, str]) -> tuple[str, int]:
    if body[at : at + 1] == "{":
        end = _tex.closing(body, at)
        return body[at + 1 : end], end + 1
    if body[at : at + 1] == '"':
        depth, end = 0, at + 1
        while end < len(body) and not (body[end] == '"' and depth == 0):
            depth += {"{": 1, "}": -1}.get(body[end], 0)
            end += 2 if body[end] == "\\" else 1
        return body[at + 1 : end], end + 1
    word = re.compile(r"[^\s,#{}\"]*").match(body, at)
    text = word.group() if word else ""
    return strings.get(text.lower(), text), at + max(len(text), 1)


def plain(value: str) -> str:
    """A field's TeX as text."""
    from sovereign.readers._latex_text import inline

    return one_line(inline(value))


def _person(name: str) -> str:
    """ "Last, First" and "Last, Jr, First" as "First Last"."""
    parts = [p.strip() for p in name.split(",")]
    if len(parts) == 2:
        return f"{parts[1]} {parts[0]}".strip()
    if len(parts) == 3:
        return f"{parts[2]} {parts[0]} {parts[1]}".strip()
    return name.strip()


class BibtexReader:
    name = NAME
    suffixes: tuple[str, ...] = (".bib", ".bibtex")

    def recognises(self, head: bytes, filename: str) -> bool:
        entry = re.search(rb"(?m)^\s*@\s*(?:article|inproceedings|misc|book|string|comment|preamble|phdthesis|techreport|incollection|online|proceedings"
                          rb"|conference|mastersthesis|unpublished|inbook|software|dataset)\s*[{(]", head, re.IGNORECASE)  # fmt: skip
        return bool(entry) and (filename.lower().endswith(self.suffixes) or not re.search(rb"\\(?:documentclass|begin\{document)", head))

    def read(self, body: bytes, *, filename: str) -> Document:
        entries, broken = parse_entries(decode(body))
        out = Assembly(NAME)
        out.heading("References")
        for entry in entries:
            out.reference(as_reference(entry))
        if broken:
            out.unread(
                "bibliography entries", f"{broken} entries without a key or with an unclosed brace", broken / (broken + len(entries))
            )
        return out.finish()
