"""What every Reader promises, over every format, and what none of them does whatever it is given."""

from __future__ import annotations

import hashlib
import importlib.util
import random
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from sovereign.errors import Unreadable
from sovereign.ports import Reader
from sovereign.readers import READERS, ReadLimits, read_bounded, read_bytes, read_many, recognise
from sovereign.records import Document, PassageKind

UNIT = Path(__file__).parents[1] / "unit" / "readers"


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"readers_{name}", UNIT / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


samples, hostile = _module("samples"), _module("hostile")
BODIES: dict[str, bytes] = samples.all_samples()


def assert_contract(document: Document) -> None:
    assert document.sha256 == hashlib.sha256(document.text.encode()).hexdigest()
    assert "\r" not in document.text and "\x00" not in document.text
    starts = [p.start for p in document.passages]
    assert starts == sorted(starts)
    last: dict[PassageKind, int] = {}
    for p in document.passages:
        assert document.text[p.start : p.end] == p.text and p.text.strip()
        assert p.start >= last.get(p.kind, 0), f"{p.kind} overlaps at {p.start}"
        last[p.kind] = p.end
        if p.kind in (PassageKind.PROSE, PassageKind.ABSTRACT):
            assert len(p.text.split()) <= 125 and "\n" not in p.text
        assert (p.table is not None) == (p.kind is PassageKind.TABLE_ROW)
        if p.table:
            assert p.text == " | ".join(p.table.cells)
            assert not p.table.header or len(p.table.header) == len(p.table.cells)
    for offset, keys in document.citations:
        assert 0 <= offset < len(document.text) and keys
    assert all(u.share is None or 0 <= u.share <= 1 for u in document.unread)


def read_or_refusal(body: bytes, name: str) -> Document | None:
    try:
        document = read_bytes(body, filename=name)
    except Unreadable as refusal:
        assert refusal.kind and refusal.message.endswith(".")
        return None
    assert_contract(document)
    return document


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
def test_readers_have_the_shape(reader: Reader) -> None:
    assert isinstance(reader, Reader)
    name, _, version = reader.name.partition("/")
    assert name and version.isdigit()
    assert all(s.startswith(".") for s in reader.suffixes)


@pytest.mark.parametrize("name", BODIES)
def test_contract_over_every_format(name: str) -> None:
    document = read_bytes(BODIES[name], filename=name)
    assert_contract(document)
    assert document.reader in {r.name for r in READERS}
    assert len(document.text) > 40


@pytest.mark.parametrize("name", BODIES)
def test_the_same_bytes_give_the_same_document_in_any_process(name: str) -> None:
    """Hash seeds differ between the two processes: an order that depends on a set shows here."""
    assert read_bounded(BODIES[name], filename=name) == read_bytes(BODIES[name], filename=name)


@pytest.mark.parametrize("name", [n for n in BODIES if not n.endswith((".md", ".txt"))])
def test_content_decides_and_not_the_name(name: str) -> None:
    assert recognise(BODIES[name][:4096], "download").name == recognise(BODIES[name][:4096], name).name
    assert recognise(BODIES[name][:4096], "wrong.txt").name == recognise(BODIES[name][:4096], name).name


def test_every_reader_reads_some_sample() -> None:
    assert {recognise(b[:4096], n).name for n, b in BODIES.items()} == {r.name for r in READERS}


@pytest.mark.parametrize("name", hostile.OTHERS)
def test_hostile_bodies_end_in_a_document_or_a_refusal(name: str) -> None:
    began = time.monotonic()
    read_or_refusal(hostile.OTHERS[name], name)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", BODIES)
def test_line_ends_of_other_systems_change_nothing(name: str) -> None:
    if name.endswith((".pdf", ".gz", ".zip")):
        pytest.skip("binary format")
    unix = read_bytes(BODIES[name], filename=name)
    assert read_bytes(BODIES[name].replace(b"\n", b"\r\n"), filename=name).text == unix.text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["paper.tex", "page.html", "note.md", "plain.txt", "article.xml"])
def test_encodings_are_seen(name: str, encoding: str) -> None:
    """A UTF-16 file without a mark is told by its zero bytes; the reader is chosen by name there, since no head matches."""
    body = BODIES[name].decode().encode(encoding)
    reader = next(r for r in READERS if name.endswith(r.suffixes) and r.recognises(BODIES[name][:4096], name))
    assert reader.read(body, filename=name).text == reader.read(BODIES[name], filename=name).text


def test_empty_and_unknown_are_told_apart() -> None:
    with pytest.raises(Unreadable) as empty:
        recognise(b"", "x.pdf")
    assert empty.value.kind == "empty"
    with pytest.raises(Unreadable) as unknown:
        recognise(b"\x89PNG\r\n\x1a\n" + bytes(200), "x.png")
    assert unknown.value.kind == "unknown_format" and unknown.value.mend


def test_size_is_refused_before_parsing() -> None:
    with pytest.raises(Unreadable) as refusal:
        read_bounded(b"x" * 3000, filename="x.txt", limits=ReadLimits(max_bytes=2000))
    assert refusal.value.kind == "too_large"


def test_time_limit_kills_the_child() -> None:
    slow = ("(" * 3 + "a " * 400_000).encode()
    with pytest.raises(Unreadable) as refusal:
        read_bounded(slow, filename="x.txt", limits=ReadLimits(timeout_s=0.05))
    assert refusal.value.kind == "timeout"


def test_memory_limit_holds() -> None:
    body = b"word and word. " * 1_500_000
    with pytest.raises(Unreadable) as refusal:
        read_bounded(body, filename="x.txt", limits=ReadLimits(memory_mib=120, max_output_chars=100_000_000))
    assert refusal.value.kind in ("memory", "crashed")


def test_long_text_is_cut_and_says_so() -> None:
    document = read_bounded(b"One sentence stands here.\n\n" * 500, filename="x.txt", limits=ReadLimits(max_output_chars=1000))
    assert len(document.text) == 1000 and document.unread[0].share == pytest.approx(1 - 1000 / (27 * 500), abs=0.01)
    assert_contract(document)


def test_one_bad_file_never_sinks_the_rest() -> None:
    items = [
        ("a.txt", b"Good words stand here."),
        ("b.pdf", b"%PDF-1.7 broken"),
        ("c.zip", b"PK\x03\x04" + bytes(90)),
        ("d.md", b"# Good\n\nWords here."),
    ]
    results = list(read_many(iter(items), workers=2))
    assert [n for n, _ in results] == ["a.txt", "b.pdf", "c.zip", "d.md"]
    assert [isinstance(r, Document) for _, r in results] == [True, False, False, True]


@pytest.mark.parametrize("name", ["paper.tex", "page.html", "article.xml", "two.pdf", "note.md", "refs.bib", "source.tar.gz"])
def test_mutated_bodies_end_in_a_document_or_a_refusal(name: str) -> None:
    """Fifty mutations per format with a fixed seed; 10,000 run in benchmarks/fuzz_readers.py."""
    rng = random.Random(f"fuzz {name}")
    for _ in range(50):
        read_or_refusal(hostile.mutated(BODIES[name], rng), name)
