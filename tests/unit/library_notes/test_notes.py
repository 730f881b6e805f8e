"""Guards the reading notes of the default library: whole, self-contained, in our own words, and true to the material they were written from.

Run as a program (`python tests/unit/library_notes/test_notes.py`) it lists the longest common word runs with the material.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOTES = ROOT / "src" / "sovereign" / "library" / "notes"
SHARED = ROOT / ".." / "shared"
SECTIONS = ("What it is", "How it works", "Setting", "Results", "What it does not report", "Caveats")
REQUIRED = ("kind", "title", "arxiv", "systems", "year", "note_by", "note_date", "provenance", "topics")
MARKS = ("(abstract).", "(secondary note).", "(own calculation).")
MAX_RUN = 8
MAIN = ("2604.23996", "2511.18314", "2410.17954", "2510.26730", "2603.11114", "2310.01334")


@dataclass(frozen=True)
class Note:
    path: Path
    front: dict[str, str]
    sections: dict[str, str]

    @property
    def arxiv_id(self) -> str:
        return self.path.stem

    def systems(self) -> list[str]:
        return [s.strip() for s in self.front["systems"].split(";")]

    def sentences(self, section: str) -> list[str]:
        return [line for line in self.sections[section].splitlines() if line and not line.startswith(("|", "Table: "))]


def load(path: Path) -> Note:
    text = path.read_text(encoding="utf-8")
    head, body = re.match(r"---\n(.*?)\n---\n(.*)", text, re.S).groups()  # type: ignore[union-attr]
    front = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in head.splitlines())}
    parts = re.split(r"^## (.+)$", body, flags=re.M)
    return Note(path, front, dict(zip(parts[1::2], parts[2::2])))


ALL = [load(path) for path in sorted(NOTES.glob("*.md"))]
each = pytest.mark.parametrize("note", ALL, ids=lambda note: note.arxiv_id)


def test_the_library_is_large_enough_and_has_the_papers_of_the_default_question() -> None:
    assert len(ALL) >= 26
    assert set(MAIN) <= {note.arxiv_id for note in ALL}


def test_no_id_and_no_title_occurs_twice() -> None:
    ids = [re.sub(r"v\d+$", "", note.front["arxiv"]) for note in ALL]
    titles = [note.front["title"].casefold() for note in ALL]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)


@each
def test_front_matter_is_complete_and_parses(note: Note) -> None:
    front = note.front
    assert not [key for key in REQUIRED if key not in front]
    assert front["kind"] == "note"
    match = re.fullmatch(r"(\d{2})(\d{2})\.\d{5}(v\d+)?", front["arxiv"])
    assert match is not None
    assert front["arxiv"].split("v")[0] == note.arxiv_id
    assert 1 <= int(match[2]) <= 12
    assert int(front["year"]) == 2000 + int(match[1])
    assert all(front.values()), "a field that is not known is left out, never left blank"
    if "published" in front:
        assert date.fromisoformat(front["published"]) <= date.fromisoformat(front["note_date"])
    assert front["provenance"] in {"abstract", "secondary", "abstract+secondary"}
    assert any(system.casefold() in front["title"].casefold() for system in note.systems()), (
        "the title carries the system, else a search by name misses it"
    )


@each
def test_every_note_says_that_it_is_a_note_and_has_its_sections_in_order(note: Note) -> None:
    text = note.path.read_text(encoding="utf-8")
    assert f"# Reading note: {note.front['title']}\n" in text
    assert "> This is a reading note, not the paper." in text
    assert tuple(note.sections) == SECTIONS
    assert all(note.sentences(section) for section in SECTIONS if section != "Caveats")


@each
def test_sentences_stand_alone(note: Note) -> None:
    """A claim is extracted without its neighbours: no pronoun in front, no open bracket, nothing cut, no second sentence on the line."""
    for section in SECTIONS:
        for sentence in note.sentences(section):
            assert sentence.endswith("."), sentence
            assert not sentence.endswith(".."), sentence
            assert re.match(r"[A-Z0-9]", sentence), sentence
            assert len(sentence.split()) >= 6, sentence
            assert sentence.count("(") == sentence.count(")"), sentence
            assert not re.match(r"(It|They|These|Those|He|She|Such|There)\b", sentence), sentence
            assert not re.search(r"\b(e\.g|i\.e|vs|et al|cf)\.", sentence), sentence
            assert not re.search(r"[a-z)]\. [A-Z]", sentence), sentence


@each
def test_every_result_names_its_system_and_says_where_it_comes_from(note: Note) -> None:
    for sentence in note.sentences("Results"):
        assert any(system.casefold() in sentence.casefold() for system in note.systems()), sentence
        assert sentence.endswith(MARKS), sentence


@each
def test_what_is_missing_is_said_about_a_named_system(note: Note) -> None:
    for sentence in note.sentences("What it does not report"):
        assert any(system.casefold() in sentence.casefold() for system in note.systems()) or re.search(
            r"\bSNLI-VE|VQAv2|AMBER\b", sentence
        ), sentence


@each
def test_marks_agree_with_the_provenance_of_the_note(note: Note) -> None:
    text = note.path.read_text(encoding="utf-8")
    provenance = note.front["provenance"]
    if "abstract" not in provenance:
        assert "(abstract)" not in "".join(note.sections[s] for s in ("What it is", "Setting", "Results"))
    if provenance == "abstract":
        assert "(secondary note)" not in note.sections["Results"] + note.sections["Setting"]
        assert "from the abstract alone" in text


@each
def test_tables_have_a_caption_and_equal_rows(note: Note) -> None:
    for section in note.sections.values():
        lines = section.splitlines()
        for number, line in enumerate(lines):
            if line.startswith("|") and not lines[number - 1].startswith("|"):
                assert lines[number - 1] == "" and lines[number - 2].startswith("Table: "), line
                rows = _block(lines[number:])
                assert len({row.count("|") for row in rows}) == 1, rows
                assert len(rows) >= 3


def _block(lines: list[str]) -> list[str]:
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(line)
    return rows


@each
def test_stated_percentages_follow_from_the_stated_values(note: Note) -> None:
    """Guards against a mistyped value: 'from A to B, a C % reduction' must agree within the rounding of A and B."""
    for sentence in note.sentences("Results"):
        match = re.search(r"from ([\d.]+) \S+ to ([\d.]+) \S+, a ([\d.]+) % reduction", sentence)
        if match:
            before, after, percent = map(float, match.groups())
            assert abs(100 * (before - after) / before - percent) < 0.15, sentence


# --- against the material, where it lies beside the project -------------------------------------------------------------------------


@cache
def material() -> dict[str, str]:
    """Everything the notes were written from: abstracts by id, the shared notes under 'shared'."""
    if not (SHARED / "data" / "arxiv_metadata").is_dir():
        pytest.skip("needs ../shared (abstracts and notes) beside the project")
    texts: dict[str, str] = {}
    for path in sorted((SHARED / "data" / "arxiv_metadata").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts[row["id"]] = f"{row['title']}\n{row['abstract']}"
    shared = [*sorted((SHARED / "papers").glob("*.md")), SHARED / "findings" / "lab_peers.md"]
    texts["shared"] = "\n".join(path.read_text(encoding="utf-8") for path in shared)
    return texts


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:[.'’-][^\W_]+)*", text)


@cache
def grams(n: int) -> frozenset[int]:
    found: set[int] = set()
    for text in material().values():
        low = [word.casefold() for word in words(text)]
        found.update(hash(tuple(low[i : i + n])) for i in range(len(low) - n + 1))
    return frozenset(found)


def own_prose(note: Note) -> str:
    """The text without front matter and without titles, which may be quoted."""
    body = note.path.read_text(encoding="utf-8").split("\n---\n", 1)[1]
    for other in ALL:
        body = body.replace(other.front["title"], " ").replace(other.front["title"].rsplit(" (", 1)[0], " ")
    return body


def common_runs(note: Note) -> list[tuple[int, str]]:
    """Runs of words shared with the material, measured in words that are neither names nor numbers (a lower-case first letter)."""
    n = MAX_RUN + 1
    listed = words(own_prose(note))
    low = [word.casefold() for word in listed]
    hits = [i for i in range(len(low) - n + 1) if hash(tuple(low[i : i + n])) in grams(n)]
    runs: list[tuple[int, int]] = []
    for i in hits:
        if runs and i <= runs[-1][1]:
            runs[-1] = (runs[-1][0], i + n)
        else:
            runs.append((i, i + n))
    return [(sum(word[0].islower() for word in listed[a:b]), " ".join(listed[a:b])) for a, b in runs]


@pytest.mark.shared_data
@each
def test_no_long_run_of_words_is_taken_from_the_material(note: Note) -> None:
    too_long = [run for run in common_runs(note) if run[0] > MAX_RUN]
    assert not too_long


@pytest.mark.shared_data
def test_the_run_check_sees_a_copied_sentence(tmp_path: Path) -> None:
    """The guard itself: a sentence lifted from an abstract must be found."""
    abstract = material()["2604.23996"].splitlines()[1]
    sentence = abstract.split(". ")[1]
    target = tmp_path / "2604.23996.md"
    target.write_text(f"---\ntitle: x\n---\n## Results\n{sentence}.\n", encoding="utf-8")
    assert max(run[0] for run in common_runs(load(target))) > MAX_RUN


def numbers(text: str) -> set[float]:
    """Values as floats; '3,895', '3 895' and '.177' are read as the numbers they stand for."""
    joined = text + " " + re.sub(r"(?<=\d)[\s\u00a0\u202f](?=\d{3}\b)", "", text)
    return {float(found.replace(",", "")) for found in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+", joined)}


@pytest.mark.shared_data
@each
def test_every_number_of_a_result_stands_in_the_material_it_is_marked_with(note: Note) -> None:
    texts = material()
    names = numbers(" ".join([*note.systems(), note.front["title"]]))
    abstract, shared = numbers(texts.get(note.arxiv_id, "")), numbers(texts["shared"])
    for sentence in note.sentences("Results"):
        pool = abstract if sentence.endswith("(abstract).") else shared
        if not sentence.endswith("(own calculation)."):
            missing = numbers(sentence) - pool - names
            assert not missing, (sentence, missing)


@pytest.mark.shared_data
@each
def test_title_and_authors_are_those_of_the_listing(note: Note) -> None:
    for path in sorted((SHARED / "data" / "arxiv_metadata").glob("*subset.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if f'"id": "{note.arxiv_id}"' in line:
                row = json.loads(line)
                assert re.sub(rf" \({re.escape(note.systems()[0])}\)$", "", note.front["title"]) == row["title"].strip()
                assert note.front["authors"] == "; ".join(row["authors"])
    material()


if __name__ == "__main__":
    for note in ALL:
        for length, run in common_runs(note):
            print(f"{length:3d}  {note.arxiv_id}  {run}")
