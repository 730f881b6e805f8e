"""Guards the evaluation questions: gold sentences are sentences of the notes, ids exist, and what is called unanswerable says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
NOTES = ROOT / "src" / "sovereign" / "library" / "notes"


def questions() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / "benchmarks" / "questions" / "questions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_there_are_25_questions_with_unique_ids() -> None:
    rows = questions()
    assert len(rows) == 25
    assert len({row["id"] for row in rows}) == 25
    assert len({row["question"] for row in rows}) == 25


def test_gold_sentences_stand_in_the_notes() -> None:
    for row in questions():
        for gold in row["gold"]:
            assert gold["text"] in (NOTES / f"{gold['note']}.md").read_text(encoding="utf-8").splitlines(), gold["text"]


def test_what_must_be_admitted_is_in_the_library_and_is_not_noise() -> None:
    shipped = {path.stem for path in NOTES.glob("*.md")}
    for row in questions():
        assert set(row["must_admit"]) <= shipped
        assert not set(row["must_admit"]) & set(row["must_not_admit"])
        assert {named["arxiv"] for named in row["named"]} <= set(row["must_admit"])


def test_every_unanswerable_facet_says_why_and_every_question_can_be_judged() -> None:
    for row in questions():
        no = {facet["text"] for facet in row["facets"] if facet["answerable"] == "no"}
        assert no == {entry["facet"] for entry in row["unanswerable"]}, row["id"]
        assert all(entry["why"] for entry in row["unanswerable"])
        assert row["gold"] or row.get("expect") == "no_answer"


def test_the_document_lists_every_note() -> None:
    listed = (ROOT / "docs" / "default-library.md").read_text(encoding="utf-8")
    assert not [path.stem for path in NOTES.glob("*.md") if f"| {path.stem}" not in listed]
