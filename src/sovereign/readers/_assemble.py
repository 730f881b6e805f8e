"""Turns the blocks that a format's reader finds into one Document. Imports records and its sibling modules; refuses to parse any format.

A reader calls heading, paragraph, caption, table, equation and reference in reading order and finish() at the end; this module alone counts
offsets, so `document.text[start:end] == passage.text` holds for every format by construction.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from sovereign.errors import Unreadable
from sovereign.readers._suspicious import instruction_like, quote
from sovereign.readers._text import clean, one_line, smuggled, windows
from sovereign.records import Basis, Document, Passage, PassageKind, Reference, TableRow, Unread

Cite = tuple[int, tuple[str, ...]]  # (offset in the block's text, reference keys)

MAX_TABLE_CELLS = 200_000  # over all tables of one document; more is a data file, not a paper
MAX_SUSPICIOUS = 50
_NUMBERED = re.compile(r"^(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)+|[IVX]+)\.?\s+\S|^(?:Appendix|Section)\b")


class Assembly:
    """Collects blocks in reading order. Not thread-safe; one per document."""

    def __init__(self, reader: str):
        self._reader = reader
        self._parts: list[str] = []
        self._length = 0
        self._passages: list[Passage] = []
        self._citations: list[Cite] = []
        self._headings: list[tuple[int, str]] = []
        self._references: list[Reference] = []
        self._unread: list[Unread] = []
        self._suspicious: dict[str, None] = {}
        self._cells = 0

    @property
    def section(self) -> str:
        """The headings above the present point, outermost first, joined with " / "."""
        return " / ".join(text for _, text in self._headings)

    @property
    def last_line(self) -> str:
        """The nearest preceding block on one line: what a table without a caption of its own is introduced by."""
        return one_line(self._parts[-1]) if self._parts else ""

    def _append(self, text: str) -> int:
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        return start

    def heading(self, text: str, level: int = 1) -> None:
        """Opens a section; a deeper or equal open one is closed first."""
        text = self._checked(text)
        if not text:
            return
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, text))
        self._append(text)

    def label(self, text: str) -> None:
        """A line of text that is no passage and opens no section: a title, an author line."""
        text = self._checked(text)
        if text:
            self._append(text)

    def leave_sections(self) -> None:
        """What follows stands under no heading."""
        self._headings.clear()

    def paragraph(self, text: str, *, kind: PassageKind = PassageKind.PROSE, cites: Sequence[Cite] = ()) -> None:
        """One paragraph on one line, cut into windows."""
        flat, offsets = _flatten(text, [c[0] for c in cites])
        self._notice(text)
        if not flat:
            return
        start = self._append(flat)
        self._citations += [(start + offset, keys) for offset, (_, keys) in zip(offsets, cites) if keys]
        for a, b in windows(flat):
            self._passages.append(Passage(start + a, start + b, flat[a:b], kind, self.section))

    def verbatim(self, text: str) -> None:
        """Code and other text whose line breaks mean something: kept in the text, in no passage."""
        self._notice(text)
        body = "\n".join(line.rstrip() for line in clean(text).split("\n")).strip("\n")
        if body.strip():
            self._append(body)

    def _whole(self, text: str, kind: PassageKind, cites: Sequence[Cite] = ()) -> None:
        flat, offsets = _flatten(text, [c[0] for c in cites])
        self._notice(text)
        if flat:
            start = self._append(flat)
            self._citations += [(start + offset, keys) for offset, (_, keys) in zip(offsets, cites) if keys]
            self._passages.append(Passage(start, start + len(flat), flat, kind, self.section))

    def caption(self, text: str, cites: Sequence[Cite] = ()) -> None:
        self._whole(text, PassageKind.CAPTION, cites)

    def equation(self, text: str) -> None:
        self._whole(text, PassageKind.EQUATION)

    def table(self, caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Header and rows as "cell | cell | cell" lines; each row is a passage that carries header and caption."""
        head = tuple(self._checked(c) for c in header)
        body = [tuple(self._checked(c) for c in row) for row in rows]
        body = [row for row in body if any(row)]
        self._cells += len(head) + sum(len(r) for r in body)
        if self._cells > MAX_TABLE_CELLS:
            self.unread("table", f"more than {MAX_TABLE_CELLS} table cells")
            return
        if not body:
            return
        caption = one_line(caption)
        lines = ([" | ".join(head)] if any(head) else []) + [" | ".join(row) for row in body]
        at = self._append("\n".join(lines))
        if any(head):
            at += len(lines[0]) + 1
        for number, row in enumerate(body):
            text = " | ".join(row)
            context = TableRow(caption, head, row, number)
            self._passages.append(Passage(at, at + len(text), text, PassageKind.TABLE_ROW, self.section, context))
            at += len(text) + 1

    def reference(self, reference: Reference) -> None:
        self._references.append(reference)
        self._whole(reference.text, PassageKind.REFERENCE)

    def unread(self, what: str, reason: str, share: float | None = None) -> None:
        self._unread.append(Unread(what, reason, None if share is None else round(min(max(share, 0.0), 1.0), 4)))

    def hidden(self, text: str, how: str) -> None:
        """Text that a person would not see: reported, and kept out of the document's text."""
        text = one_line(text)
        if text:
            self._report(quote(f"hidden text ({how})", text))

    def _report(self, line: str) -> None:
        if len(self._suspicious) < MAX_SUSPICIOUS:
            self._suspicious.setdefault(line)

    def _notice(self, text: str) -> None:
        for found in smuggled(text):
            self.hidden(found, "Unicode tag characters")

    def _checked(self, text: str) -> str:
        self._notice(text)
        return one_line(text)

    def finish(
        self, *, title: str | None = None, authors: Sequence[str] = (), abstract: str | None = None, basis: Basis = Basis.FULL_TEXT
    ) -> Document:
        """The Document. Raises Unreadable(kind="empty") when no block held any text."""
        text = "".join(self._parts)
        if not text.strip():
            raise Unreadable("There is no text in the document.", kind="empty", mend="Check that the file is complete.")
        for found in instruction_like(text):
            self._report(quote("instruction-like text", found))
        return Document(
            sha256=hashlib.sha256(text.encode("utf-8")).hexdigest(),
            text=text,
            passages=tuple(self._passages),
            basis=basis,
            reader=self._reader,
            title=one_line(title) or None if title else None,
            authors=tuple(a for a in (one_line(a) for a in authors) if a),
            abstract=one_line(abstract) or None if abstract else None,
            references=tuple(self._references),
            citations=tuple(sorted(self._citations)),
            unread=tuple(self._unread),
            suspicious=tuple(self._suspicious),
        )


def _flatten(text: str, offsets: Sequence[int]) -> tuple[str, list[int]]:
    """one_line(text), and where the given offsets lie in it."""
    flat = one_line(text)
    if not offsets:
        return flat, []
    moved = []
    for offset in offsets:
        before = one_line(text[:offset] + "\x00x")[:-1]  # the x keeps a blank before it
        moved.append(min(len(before), len(flat)))
    return flat, moved
