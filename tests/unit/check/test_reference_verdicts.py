"""References: what differs, what is unknown, and what was merely not answered are kept apart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sovereign.checking import _look
from sovereign.checking.files import Finder, read_bibliography
from sovereign.kernel.bibliography import Looked, Outcome, Status, differences, judge_reference
from sovereign.readers import read_bytes
from sovereign.records import Empty, Failed, Found, Paper, PaperKind, Query, Reference
from sovereign.sources import Flags

ENTRY = Reference(
    "he2024",
    "X. He. 2024.",
    title="ExpertFlow: Optimized Expert Activation",
    authors=("Xin He", "Shunkang Zhang"),
    year=2024,
    arxiv_id="2410.17954",
)
RECORD = Paper(
    "arxiv:2410.17954", "ExpertFlow: Optimized Expert Activation", authors=("Xin He", "Shunkang Zhang"), year=2024, arxiv_id="2410.17954"
)


def judged(*outcomes: Looked, reference: Reference | None = ENTRY, library: Paper | None = None, has_bibliography: bool = True):  # type: ignore[no-untyped-def]
    return judge_reference("he2024", reference, given=[], library=library, looked=outcomes, has_bibliography=has_bibliography)


def test_an_outage_is_never_does_not_exist() -> None:
    down = judged(Looked("arXiv", Failed("arXiv did not answer (503)", "server_error")))
    assert (down.status, down.outcome, down.fault) == (Status.UNRESOLVED, Outcome.OUTAGE, False) and "503" in down.detail
    asked_nobody = judged()
    assert (asked_nobody.status, asked_nobody.outcome, asked_nobody.fault) == (Status.UNRESOLVED, Outcome.NOT_ASKED, False)
    unknown = judged(Looked("arXiv", Empty()))
    assert (unknown.status, unknown.outcome, unknown.fault) == (Status.UNRESOLVED, Outcome.UNKNOWN, True)
    one_down = judged(Looked("openalex", Empty()), Looked("crossref", Failed("timed out", "timeout")))
    assert one_down.outcome is Outcome.OUTAGE and not one_down.fault


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": "ExpertFlow: Adaptive Expert Scheduling"}, "title"),
        ({"year": 2019}, "year"),
        ({"authors": ("Ann Other", "Ben Third")}, "authors"),
        ({"authors": ("Shunkang Zhang", "Xin He")}, "authors"),
    ],
)
def test_each_field_that_differs_is_named_with_both_values(change: dict[str, object], field: str) -> None:
    entry = replace(ENTRY, **change)  # type: ignore[arg-type]
    found = judged(Looked("arXiv", Found((RECORD,))), reference=entry)
    assert found.status is Status.DIFFERS and found.fault and [d.field for d in found.differences] == [field]
    assert found.differences[0].bibliography in found.detail and found.differences[0].record in found.detail


def test_a_preprint_a_year_earlier_accents_and_a_missing_subtitle_do_not_differ() -> None:
    entry = replace(
        ENTRY,
        year=2025,
        title="{ExpertFlow}: optimized expert activation".replace("{", "").replace("}", ""),
        authors=("He, Xin", "Zhang, S."),
    )
    assert differences(entry, RECORD) == ()
    assert (
        differences(
            replace(ENTRY, title="Expert activation made optimal"), replace(RECORD, title="Expert activation made optimal: a study")
        )
        == ()
    )


@pytest.mark.parametrize(("flag", "status"), [("retracted", Status.RETRACTED), ("withdrawn", Status.WITHDRAWN)])
def test_retracted_and_withdrawn_works_are_faults(flag: str, status: Status) -> None:
    found = judged(Looked("OpenAlex", Found((replace(RECORD, flags=(flag,)),))))
    assert found.status is status and found.fault


def test_a_note_has_a_title_of_its_own_but_the_year_of_its_paper() -> None:
    """Comparing its title would accuse every correct entry."""
    note = Paper("note:2410.17954", "Reading note: ExpertFlow", kind=PaperKind.NOTE, about="arxiv:2410.17954", arxiv_id="2410.17954")
    assert judged(library=note).status is Status.RESOLVED
    old = judged(library=replace(note, year=2019))
    assert old.status is Status.DIFFERS and [d.field for d in old.differences] == ["year"]


def test_a_key_without_an_entry_is_a_fault_only_where_there_is_a_bibliography() -> None:
    assert judged(reference=None).fault
    assert not judged(reference=None, has_bibliography=False).fault


class Stub:
    """The live services, answering what a test says."""

    def __init__(self, found: Found | Empty | Failed, flags: tuple[str, ...] = ()):
        self._found, self._flags = found, flags

    async def lookup(self, text: str) -> Found | Empty | Failed:
        return self._found

    async def flags(self, paper: Paper) -> Flags:
        return Flags(self._flags, ("openalex",))

    def source(self, name: str) -> Stub:
        return self

    async def search(self, query: Query, limit: int) -> Found | Empty | Failed:
        return self._found


def test_a_retraction_that_another_service_knows_is_found() -> None:
    looked = asyncio.run(_look(Stub(Found((RECORD,)), ("retracted",)), ["arxiv"], ENTRY))
    assert judged(*looked).status is Status.RETRACTED


def test_without_an_identifier_only_the_same_title_counts() -> None:
    """The first hit of a search is nearly always some other work."""
    entry = replace(ENTRY, arxiv_id=None)
    near = replace(RECORD, title="ExpertFlow: Adaptive Expert Scheduling")
    assert judged(*asyncio.run(_look(Stub(Found((near, RECORD))), ["openalex"], entry)), reference=entry).status is Status.RESOLVED
    missed = judged(*asyncio.run(_look(Stub(Found((near,))), ["openalex"], entry)), reference=entry)
    assert (missed.status, missed.outcome, missed.fault) == (Status.UNRESOLVED, Outcome.NO_MATCH, False)


# --- the bibliography file ---

BIB = """@misc{good, title={A good one}, author={One, Ann}, year={2020}}
@misc{twice, title={First of two}, year={2020}}
@misc{twice, title={Second of two}, year={2021}}
@misc{good, title={A good one}, author={One, Ann}, year={2020}}
@comment{not an entry}
@article{nocomma title={x}}
@misc{,
  title={No key}}
@misc{open, title={Never closed {,
@misc{last, title={The last one}, year={2022}}
"""


def test_broken_and_double_entries_are_named_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "r.bib"
    file.write_text(BIB)
    book = read_bibliography([file], read_bytes(b"# T\n\nText.", filename="m.md"))
    assert {(p.key, p.line, p.kind) for p in book.problems} == {
        ("twice", 3, "duplicate"), ("good", 4, "same_again"), ("nocomma", 6, "broken"), ("(no key)", 7, "broken"), ("open", 9, "broken"),
    }  # fmt: skip
    assert book.references["twice"].title == "First of two" and "last" in book.references and book.lines["last"] == ("r.bib", 10)


# --- places ---


def test_a_sentence_is_found_again_behind_markup_and_twice_in_order() -> None:
    source = "\\section{A}\nOne falls by 12.5\\,\\%~\\cite[p.~3]{key2024}.\nOther words.\nOne falls by 12.5\\,\\%~\\cite{key2024}.\n"
    finder = Finder({"m.tex": source})
    first, second = finder.place("One falls by 12.5 % [key2024, p. 3]."), finder.place("One falls by 12.5 % [key2024].")
    assert first is not None and (first.line, first.column, first.end_line) == (2, 1, 2)
    assert second is not None and (second.line, second.column) == (4, 1)
    assert source.splitlines()[1][first.column - 1 : first.end_column - 1] == source.splitlines()[1]
    assert finder.place("Nothing of this stands in the file at all.") is None
