"""Plain text: paragraphs at blank lines, headings by their number or capitals. Imports records and the shared text plumbing.

Refuses nothing that decodes; it is the last reader asked.
"""

from __future__ import annotations

import re

from sovereign.readers._assemble import Assembly
from sovereign.readers._text import decode
from sovereign.records import Document, PassageKind

NAME = "plain/1"
_HEADING = re.compile(
    r"^(?:(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+[A-Z][^.!?;]{1,70}|(?:abstract|introduction|related work|background|methods?|experiments|evaluation|results"
    r"|discussion|limitations|conclusions?|references|bibliography|acknowledge?ments|appendix(?: [A-Z])?))\s*:?$",
    re.IGNORECASE,
)
_HYPHENATED = re.compile(r"([A-Za-z]{2,})-\n([a-z]{2,})")


class PlainReader:
    name = NAME
    suffixes: tuple[str, ...] = (".txt", ".text")

    def recognises(self, head: bytes, filename: str) -> bool:
        return bool(head) and not head.startswith((b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"\x7fELF", b"PK\x03\x04", b"\x1f\x8b"))

    def read(self, body: bytes, *, filename: str) -> Document:
        return read_text(decode(body))


def read_text(text: str) -> Document:
    """A plain text as a Document. Raises Unreadable(kind="empty")."""
    out = Assembly(NAME)
    kind = PassageKind.PROSE
    for block in re.split(r"\n[ \t]*\n|\f", text):
        lines = [line.strip() for line in block.strip("\n").split("\n") if line.strip()]
        if not lines:
            continue
        heading = _HEADING.match(lines[0])
        if heading and len(lines[0].split()) <= 12:
            level = heading.group(1).count(".") + 1 if heading.group(1) else 1
            out.heading(lines[0].rstrip(":"), level)
            kind = PassageKind.ABSTRACT if lines[0].lower().startswith("abstract") else PassageKind.PROSE
            lines = lines[1:]
        if lines:
            out.paragraph(_HYPHENATED.sub(r"\1\2", "\n".join(lines)), kind=kind)
    return out.finish()
