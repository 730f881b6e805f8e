"""Reads documents in confined children and maps how a child ended to Unreadable kinds. Imports sandbox, errors, records."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from sovereign.errors import SettingsInvalid, Unreadable
from sovereign.readers._codec import from_json, to_json
from sovereign.readers._limits import HEAD_BYTES, ReadLimits
from sovereign.records import Document, Unread
from sovereign.sandbox import Confined, Limits, run_confined

_TARGET = "sovereign.readers._bounded:child_main"


def child_main(payload: bytes) -> bytes:
    """What the child runs: a JSON line with name and limits, then the body. Answers with "D" + document or "U" + refusal, as JSON."""
    head, _, body = payload.partition(b"\n")
    asked = json.loads(head)
    try:
        document = read_within(body, asked["filename"], ReadLimits(**asked["limits"]))
    except Unreadable as exc:
        return b"U" + json.dumps([exc.message, exc.kind, exc.mend]).encode()
    except MemoryError:
        return b"U" + json.dumps(["The reader needed more memory than it may have.", "memory", _MEMORY_MEND]).encode()
    except RecursionError:
        return b"U" + json.dumps(["The document is nested too deeply.", "corrupt", ""]).encode()
    return b"D" + to_json(document)


_MEMORY_MEND = "Raise read_memory_mib if you trust the file."


def read_within(body: bytes, filename: str, limits: ReadLimits) -> Document:
    """In this process: recognises, reads, and cuts what is longer than `max_output_chars`."""
    from sovereign.readers import recognise

    reader = recognise(body[:HEAD_BYTES], filename)
    with_limits = getattr(reader, "read_within", None)  # PDF and archives know pages and unpacked bytes
    document: Document = with_limits(body, filename=filename, limits=limits) if with_limits else reader.read(body, filename=filename)
    return cut(document, limits.max_output_chars)


def cut(document: Document, max_chars: int) -> Document:
    """The first `max_chars` characters, with the rest reported as unread."""
    if len(document.text) <= max_chars:
        return document
    import hashlib

    kept = tuple(p for p in document.passages if p.end <= max_chars)
    text = document.text[: max(max_chars, 0)]
    share = round(1 - len(text) / len(document.text), 4)
    return replace(
        document,
        text=text,
        sha256=hashlib.sha256(text.encode("utf-8")).hexdigest(),
        passages=kept,
        citations=tuple(c for c in document.citations if c[0] < len(text)),
        unread=(*document.unread, Unread("end of the document", f"longer than {max_chars} characters", share)),
    )


def read_in_child(body: bytes, filename: str, limits: ReadLimits) -> Document:
    """See readers.read_bounded."""
    if len(body) > limits.max_bytes:
        raise Unreadable(
            f"The file has {len(body) / 2**20:.1f} MiB; at most {limits.max_bytes / 2**20:.1f} MiB are read.",
            kind="too_large",
            mend="Raise max_document_mib if you trust the file.",
            subject=filename,
        )
    if not body:
        from sovereign.readers import recognise

        recognise(body, filename)
    asked = {"filename": filename, "limits": {k: getattr(limits, k) for k in ReadLimits.__dataclass_fields__}}
    answer = run_confined(
        _TARGET,
        json.dumps(asked).encode() + b"\n" + body,
        limits=Limits(
            wall_s=limits.timeout_s,
            cpu_s=limits.timeout_s + 1,
            memory_mib=limits.memory_mib,
            processes=1,
            file_mib=64,
            open_files=64,
            result_mib=8 + limits.max_output_chars * 12 // 2**20,
        ),
    )
    return _outcome(answer, filename, limits)


def _outcome(answer: Confined, filename: str, limits: ReadLimits) -> Document:
    if answer.state == "done" and isinstance(answer.result, bytes):
        if answer.result[:1] == b"D":
            return from_json(answer.result[1:])
        try:
            message, kind, mend = json.loads(answer.result[1:])
        except ValueError as exc:
            raise Unreadable("The reader's answer could not be understood.", kind="crashed", subject=filename) from exc
        raise Unreadable(str(message), kind=str(kind), mend=str(mend), subject=filename)
    if answer.state == "timeout":
        raise Unreadable(
            f"Reading took longer than {limits.timeout_s:g} s.",
            kind="timeout",
            mend="Raise read_timeout_s if you trust the file.",
            subject=filename,
        )
    if answer.cause == "memory":
        raise Unreadable("The reader needed more memory than it may have.", kind="memory", mend=_MEMORY_MEND, subject=filename)
    if answer.cause == "output":
        raise Unreadable("The document unpacks to more text than is read.", kind="too_large", subject=filename)
    raise Unreadable(f"The reader stopped: {answer.reason}.", kind="crashed", mend="The file may be damaged.", subject=filename)


def read_in_children(items: Iterable[tuple[str, bytes]], limits: ReadLimits, workers: int) -> Iterator[tuple[str, Document | Unreadable]]:
    """See readers.read_many. Bodies are taken from `items` only as workers become free."""
    if workers < 1:
        raise SettingsInvalid(f"workers must be at least 1, not {workers}.")
    waiting: deque[tuple[str, Future[Document]]] = deque()
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="read") as pool:
        for filename, body in items:
            waiting.append((filename, pool.submit(read_in_child, body, filename, limits)))
            if len(waiting) >= 2 * workers:
                yield _settled(*waiting.popleft())
        while waiting:
            yield _settled(*waiting.popleft())


def _settled(filename: str, future: Future[Document]) -> tuple[str, Document | Unreadable]:
    try:
        return filename, future.result()
    except Unreadable as exc:
        return filename, exc
