"""The references as other programs read them: BibTeX by pybtex, RIS by rispy, CSL-JSON by the rules of its schema; with any text in any field."""

# ruff: noqa: E501  (records and cases stay in one line)

from __future__ import annotations

import string
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.archive.citations import csl, ris
from sovereign.press.bibtex import bibliography
from sovereign.records import Paper, PaperKind

HOSTILE = (
    Paper("arxiv:2604.23996", "SMoES: a {title} with \n a break", ("Zoë Müller-Lüdenscheidt", "Doe, J."), 2026, arxiv_id="2604.23996", version=2, url="https://arxiv.org/abs/2604.23996"),
    Paper("doi:10.1/x", 'A </title> {{7*7}} \r\nTY  - BOOK\r\nER  - "end', ("Plato",), None, doi="10.1/x_y%z#q", venue="A & B, 50% of {it}"),
    Paper("note:1", "A note", (), 2025, kind=PaperKind.NOTE, about="arxiv:1"),
    Paper("a:1", "One } brace { too many", ("Barnes and Noble Inc.", "and", " ", "A, B, C, D", "O'Neil, {X}"), 2025, url="https://x.y/a_b%20c#d{e"),
    Paper("a:2", "Back\\slash $x^2$ ~ 100% #1 \\input{/etc/passwd}", ("Ada Example",), 2025),
    Paper("a:3", "", ("",), None),
    Paper("a:4", "数学 ∑ naïve “quotes”", ("李 雷", "Иван Петров"), 2024),
    Paper("a:5", "@article{x, title={y}}", ("% comment",), 2024),
)  # fmt: skip
NAME = {
    "type": "object",
    "properties": {k: {"type": "string"} for k in ("family", "given", "literal")},
    "additionalProperties": False,
    "minProperties": 1,
}
CSL_RULES = {  # what schemas/input/csl-data.json of citation-style-language/schema says of the fields that we write, in our own words
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "type"],
        "additionalProperties": False,
        "properties": {
            **{k: {"type": "string"} for k in ("id", "title", "container-title", "DOI", "URL", "number", "note")},
            "type": {"enum": ["article", "article-journal"]},
            "author": {"type": "array", "items": NAME},
            "issued": {
                "type": "object",
                "properties": {
                    "date-parts": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 2,
                        "items": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "number"}},
                    }
                },
                "additionalProperties": False,
            },
        },
    },
}
some = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text('{}\\%&$#_~^@," \n' + string.ascii_letters, max_size=40)
papers = st.lists(st.builds(Paper, st.from_regex(r"a:[0-9]{1,6}", fullmatch=True), some, st.lists(some, max_size=4).map(tuple), st.none() | st.integers(1, 3000), venue=st.none() | some, url=st.none() | some, doi=st.none() | some), max_size=6)  # fmt: skip


def read_bibtex(text: str) -> Any:
    """The entries as a program sees them that follows BibTeX itself; anything that it complains about fails."""
    pybtex = pytest.importorskip("pybtex.database", reason="pybtex is not installed")
    from pybtex.errors import capture

    with capture() as complaints:
        found = pybtex.parse_string(text, "bibtex").entries
    assert not complaints, [str(c) for c in complaints]
    return found


def plain(value: str) -> str:
    """A BibTeX value as a person reads it: braces are only grouping, escapes are their characters."""
    from pylatexenc.latex2text import LatexNodes2Text

    return str(LatexNodes2Text(keep_comments=True).latex_to_text(value.replace(r"\textasciicircum{}", "^")))


def test_bibtex_is_read_entry_by_entry_and_text_by_text() -> None:
    """Guards a title that ends its entry, an institution taken for two people, and a name with too many commas."""
    entries = read_bibtex(bibliography(HOSTILE))
    assert len(entries) == len(HOSTILE)
    for paper, entry in zip(HOSTILE, entries.values(), strict=True):
        wanted = [a for a in paper.authors if a.strip()]
        assert len(entry.persons.get("author", [])) == len(wanted), paper.paper_id
        if "{ too" not in paper.title and paper.title:
            assert plain(entry.fields["title"]) == " ".join(paper.title.split())
    names = {str(p) for e in entries.values() for p in e.persons.get("author", [])}
    assert {"{Barnes and Noble Inc.}", "{and}", "{A, B, C, D}"} <= names
    assert {e.fields.get("doi") for e in entries.values()} == {None, "10.1/x_y%z#q"}


def test_many_works_of_one_name_and_year_have_keys_of_their_own() -> None:
    entries = read_bibtex(bibliography([Paper(f"a:{n}", "Routing", ("Ada Example",), 2026) for n in range(60)]))
    assert len(entries) == 60


@settings(max_examples=150, deadline=None)
@given(papers)
def test_no_text_breaks_bibtex(works: list[Paper]) -> None:
    entries = read_bibtex(bibliography(works))
    assert len(entries) == len(works)
    for paper, entry in zip(works, entries.values(), strict=True):
        assert len(entry.persons.get("author", [])) == sum(bool(a.strip()) for a in paper.authors)


def read_ris(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pytest.importorskip("rispy", reason="rispy is not installed").loads(text)
    return found


def test_ris_is_read_entry_by_entry_and_text_by_text() -> None:
    for paper, entry in zip(HOSTILE, read_ris(ris(HOSTILE)), strict=True):
        assert entry.get("title", "") == " ".join(paper.title.split()) and entry["id"] == paper.paper_id
        assert entry.get("authors", []) == [" ".join(a.split()) for a in paper.authors if a.strip()]
        assert entry.get("doi") == paper.doi and entry.get("year") == (str(paper.year) if paper.year else None)
        assert not set(entry) & {"unknown_tag"}


@settings(max_examples=150, deadline=None)
@given(papers)
def test_no_text_breaks_ris(works: list[Paper]) -> None:
    entries = read_ris(ris(works))
    assert [e["id"] for e in entries] == [p.paper_id for p in works]
    assert [e.get("title", "") for e in entries] == [" ".join(p.title.split()) for p in works]


@settings(max_examples=150, deadline=None)
@given(papers)
def test_csl_items_keep_to_the_rules(works: list[Paper]) -> None:
    jsonschema.validate(csl(works), CSL_RULES)
    jsonschema.validate(csl(HOSTILE), CSL_RULES)
