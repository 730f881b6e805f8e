"""Nothing lost, nothing half-written, nothing silently changed: blobs, ledger, runs, library."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from sovereign import seal
from sovereign.errors import IntegrityBroken, NotFound, WorkspaceUnusable
from sovereign.readers.jsonl import abstract_document, read_records
from sovereign.records import Paper
from sovereign.store.blobs import SMALL
from sovereign.store.ledger import Event, verify_chain
from sovereign.store.library import Addition
from sovereign.store.workspace import Workspace
from sovereign.wiring import SystemClock


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    held = Workspace(tmp_path, SystemClock(1767225600))
    yield held
    held.close()


def test_blobs_of_any_size_come_back_and_twice_is_once(ws: Workspace) -> None:
    for body in (b"", b"x", b"y" * (SMALL + 1)):
        assert ws.blobs.put(body) == ws.blobs.put(body) == seal.sha256(body)
        assert ws.blobs.get(seal.sha256(body)) == body
    assert len(ws.blobs.all_digests()) == 3


def test_a_flipped_byte_in_a_blob_is_found(ws: Workspace) -> None:
    large = ws.blobs.put(b"z" * (SMALL + 1))
    path = ws.blobs.folder / large[:2] / large
    body = bytearray(path.read_bytes())
    body[7] ^= 1
    path.write_bytes(body)
    with pytest.raises(IntegrityBroken, match=large):
        ws.blobs.get(large)


def test_a_blob_name_from_outside_never_becomes_a_path(ws: Workspace) -> None:
    for name in ("../../etc/passwd", "A" * 64, "", "0" * 63):
        with pytest.raises(NotFound):
            ws.blobs.get(name)


def test_the_chain_holds_and_every_kind_of_change_breaks_it(ws: Workspace) -> None:
    for i in range(5):
        ws.ledger.append("r-1", "verdict", {"i": i}, at="2026-01-01T00:00:00Z")
    events = ws.ledger.events("r-1")
    assert verify_chain(events) == 5
    changed = [
        replace(events[2], body={**events[2].body, "i": 9}),
        replace(events[2], kind="finding"),
        replace(events[2], previous="0" * 64),
    ]
    for bad in changed:
        with pytest.raises(IntegrityBroken, match="event 2"):
            verify_chain([*events[:2], bad, *events[3:]])
    with pytest.raises(IntegrityBroken, match="gap"):
        verify_chain([*events[:2], *events[3:]])


def test_a_chain_rebuilt_by_a_forger_still_differs_from_the_head(ws: Workspace) -> None:
    """Whoever rewrites one event must rewrite all that follow; the head, which signatures bind, then differs."""
    for i in range(3):
        ws.ledger.append("r-1", "verdict", {"i": i}, at="2026-01-01T00:00:00Z")
    head = ws.ledger.head("r-1")
    with ws.database.write() as tx:
        tx.execute(sa.text("UPDATE events SET body = replace(body, 'at', 'ta') WHERE seq = 0"))
    with pytest.raises(IntegrityBroken, match="event 0"):
        verify_chain(ws.ledger.events("r-1"))
    assert ws.ledger.head("r-1") == head


def test_a_step_closes_once_with_its_events_or_not_at_all(ws: Workspace) -> None:
    row = ws.runs.create("r-1", "q", {"question": "q"}, at="t")
    digest = ws.runs.finish_step(row.run_id, "plan-0", ["a"], [("planned", {"n": 1})], at="t", seconds=0.1)
    assert ws.runs.finished_step(row.run_id, "plan-0") == digest
    before = ws.ledger.events(row.run_id)
    with pytest.raises(sa.exc.IntegrityError):
        ws.runs.finish_step(row.run_id, "plan-0", ["b"], [("planned", {"n": 2})], at="t", seconds=0.1)
    assert ws.ledger.events(row.run_id) == before


def test_many_threads_append_without_losing_or_doubling(tmp_path: Path) -> None:
    def work(n: int) -> None:
        held = Workspace(tmp_path, SystemClock(0))
        for i in range(10):
            held.ledger.append("shared", "tick", {"n": n, "i": i}, at="t")
        held.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    held = Workspace(tmp_path, SystemClock(0))
    events: list[Event] = held.ledger.events("shared")
    held.close()
    assert verify_chain(events) == 40
    assert {(e.body["n"], e.body["i"]) for e in events} == {(n, i) for n in range(4) for i in range(10)}


def test_a_newer_workspace_is_refused_and_an_unwritable_one_explained(tmp_path: Path) -> None:
    Workspace(tmp_path, SystemClock(0)).close()
    with sqlite3.connect(tmp_path / "sovereign.sqlite3") as db:
        db.execute("UPDATE facts SET value = '99' WHERE name = 'schema'")
    db.close()
    with pytest.raises(WorkspaceUnusable, match="newer"):
        Workspace(tmp_path, SystemClock(0))
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(WorkspaceUnusable, match="cannot be written"):
        Workspace(blocked / "inside", SystemClock(0))


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path: Path) -> None:
    """SQLite's own page limit stands for the disk: the same error code reaches us."""
    held = Workspace(tmp_path, SystemClock(0))
    with held.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 60")
        connection.commit()
        raw = connection.connection.driver_connection
        raw.execute("PRAGMA max_page_count = 60")
    before = len(held.blobs.all_digests())
    with pytest.raises(WorkspaceUnusable, match="full"):
        for i in range(60):
            held.blobs.put(bytes([i]) * 20_000)
    digests = held.blobs.all_digests()
    assert len(digests) >= before
    for digest in digests:
        assert seal.sha256(held.blobs.get(digest)) == digest
    held.close()


WORDS = ("sparse", "expert", "modality", "cached", "speculative", "balanced", "shared")


def _paper(n: int, title: str | None = None) -> Addition:
    title = title or f"Paper number {n} about routing"
    text = f"We study {WORDS[n % 7]} routing {n}. The method number {n} lowers {WORDS[n % 5]} latency by {n} %."
    return Addition(
        Paper(f"arxiv:2501.{n:05d}", title, ("Ann Author",), 2025, text, arxiv_id=f"2501.{n:05d}"), abstract_document(title, text), "test"
    )


def test_adding_again_changes_nothing_and_two_records_of_one_work_are_one(ws: Workspace) -> None:
    first = ws.library.add([_paper(1), _paper(2)])
    again = ws.library.add([_paper(1), _paper(2)])
    assert (first.new_papers, first.new_documents) == (2, 2)
    assert (again.new_papers, again.new_documents, again.unchanged) == (0, 0, 2)
    same_title = Addition(Paper("file:abc", "Paper number 1 about routing", ("Ann Author",), 2025), None, "copy.pdf")
    assert ws.library.add([same_title]).new_papers == 0
    other_author = Addition(Paper("file:def", "Paper number 1 about routing", ("Bob Other",), 2019), None, "other.pdf")
    assert ws.library.add([other_author]).new_papers == 1


def test_broken_lines_are_skipped_with_their_number_and_reason() -> None:
    body = b'{"id": "2501.00001", "title": "T", "abstract": "A b c."}\nnot json\n\n[1]\n{"id": "x"}\n{"title": 3}\n'
    out = list(read_records(body))
    assert [item[0] for item in out] == [1, 2, 4, 5, 6]
    assert [len(item) for item in out] == [3, 2, 2, 2, 2]
    assert "not valid JSON" in out[1][1]
