"""Documents for the tests of verification, made from plain text and from rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from sovereign.records import Basis, Document, Passage, PassageKind, TableRow


@pytest.fixture
def source() -> Callable[..., Document]:
    def make(text: str, *, title: str | None = None, basis: Basis = Basis.FULL_TEXT) -> Document:
        return Document(hashlib.sha256(text.encode()).hexdigest(), text, (Passage(0, len(text), text),), basis, "test/1", title=title)

    return make


@pytest.fixture
def table() -> Callable[..., Document]:
    def make(caption: str, header: tuple[str, ...], rows: list[tuple[str, ...]], *, title: str | None = None) -> Document:
        lines, passages, at = [], [], 0
        for number, cells in enumerate(rows):
            line = " | ".join(cells)
            passages.append(Passage(at, at + len(line), line, PassageKind.TABLE_ROW, "", TableRow(caption, header, cells, number)))
            lines.append(line)
            at += len(line) + 1
        text = "\n".join(lines)
        return Document(hashlib.sha256(text.encode()).hexdigest(), text, tuple(passages), Basis.FULL_TEXT, "test/1", title=title)

    return make
