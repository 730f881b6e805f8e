"""Bytes of a paper, in any common format, to a Document: recognised by content, read in a bounded child process. Imports records, errors, sandbox.

Refuses to fetch anything and to trust a name or a declared type. Each reader's heavy libraries are imported when it first reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sovereign.errors import Unreadable
from sovereign.ports import Reader
from sovereign.readers._limits import HEAD_BYTES, ReadLimits
from sovereign.readers._registry import READERS
from sovereign.records import Document

__all__ = ["READERS", "ReadLimits", "read_bounded", "read_bytes", "read_many", "recognise"]


def recognise(head: bytes, filename: str) -> Reader:
    """The reader for these first bytes (4 KiB are enough); the name decides only between formats that content cannot tell apart.

    Raises Unreadable: kind "empty" for no bytes at all, "unknown_format" where no reader claims the file.
    """
    if not head:
        raise Unreadable("The file is empty.", kind="empty", mend="Check that it was downloaded completely.", subject=filename)
    for reader in READERS:
        if reader.recognises(head[:HEAD_BYTES], filename):
            return reader
    raise Unreadable(
        f"No reader knows the format of {filename or 'this file'}.",
        kind="unknown_format",
        mend="Give a PDF, HTML, JATS XML, LaTeX source, Markdown, plain text or BibTeX file.",
        subject=filename,
    )


def read_bytes(body: bytes, *, filename: str) -> Document:
    """Reads in this process, without limits of time or memory: for trusted bytes and tests. Raises Unreadable."""
    return recognise(body[:HEAD_BYTES], filename).read(body, filename=filename)


def read_bounded(body: bytes, *, filename: str, limits: ReadLimits | None = None) -> Document:
    """Reads in a child process without network, within `limits` (default ReadLimits()).

    Raises Unreadable with kind timeout, memory, too_large, crashed, or whatever kind the reader itself found.
    """
    from sovereign.readers._bounded import read_in_child

    return read_in_child(body, filename, limits or ReadLimits())


def read_many(
    items: Iterable[tuple[str, bytes]], *, limits: ReadLimits | None = None, workers: int = 4
) -> Iterator[tuple[str, Document | Unreadable]]:
    """(filename, Document or the Unreadable that says why not), in the order given, with at most `workers` children at a time.

    One child per document: a file that kills its child takes nothing else with it.
    """
    from sovereign.readers._bounded import read_in_children

    return read_in_children(items, limits or ReadLimits(), workers)
