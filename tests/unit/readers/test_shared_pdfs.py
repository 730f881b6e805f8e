"""Nine real papers: what was checked by eye stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.readers import read_bytes
from sovereign.records import Document

FOLDER = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "fulltext_pmlr_v262" / "pdf"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the evaluation data does not lie beside the project"),
]


def paper(name: str) -> Document:
    path = FOLDER / f"{name}.pdf"
    if not path.is_file():
        pytest.skip(f"{name}.pdf is not among the shared papers")
    return read_bytes(path.read_bytes(), filename=path.name)


def table(document: Document, number: int) -> list[tuple[str, ...]]:
    return [p.table.cells for p in document.passages if p.table and p.table.caption.startswith(f"Table {number}:")]


def test_labels_of_several_rows_reach_their_own_rows_only() -> None:
    rows = table(paper("wang24a"), 1)
    assert len(rows) == 16
    assert rows[8][:4] == ("Longchat-7b-v1.5-32k", "80%", "CSKV (Ours)", "0.92")
    assert rows[14][:4] == ("Mistral-7b-instruct-v0.2", "80%", "ASVD", "0.04")


def test_two_levels_of_labels() -> None:
    rows = table(paper("doubov24a"), 4)
    assert (len(rows), rows[0], rows[-1]) == (46, ("436M", "Medium", "4.3B"), ("6.7B (Upcycled)", "Long", "193B"))


def test_text_beside_an_algorithm_and_tables_is_not_mixed_with_them() -> None:
    document = paper("sarkar24a")
    assert "prevent suboptimal fusion of mismatched neurons following the work done in [26] and adopted in [12]." in document.text
    assert [r[:2] for r in table(document, 3)] == [("354M+8e", "66.03"), ("354M+(32e→8e) †", "66.48"), ("354M+(32e→8e)*", "64.54")]


def test_front_matter_and_sections() -> None:
    document = paper("kumar24a")
    assert document.title == "Residual Vector Quantization for KV Cache Compression in Large Language Model"
    assert document.authors == ("Ankur Kumar",)
    assert document.abstract and document.abstract.startswith("KV cache compression methods have mainly relied on scalar quantization")
    sections = list(dict.fromkeys(p.section for p in document.passages))
    assert "3 Experiments / 3.2 Residual codebook size ablation" in sections and sections[-1] == "References"
    assert len(document.references) == 31 and document.references[-1].key == "31"


def test_every_paper_reads_with_its_title_and_most_of_its_references() -> None:
    for path in sorted(FOLDER.glob("*.pdf"))[:5]:
        document = read_bytes(path.read_bytes(), filename=path.name)
        assert document.title and document.authors and len(document.references) >= 20, path.name
        assert document.suspicious == (), (path.name, document.suspicious)
