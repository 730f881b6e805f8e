"""The public names: what is promised is there, importing them costs nothing, and the functions refuse what they cannot use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sovereign
from sovereign import Verdict, ask, check, records, verify
from sovereign.errors import BadInput, NotFound, SovereignError, UnknownName, Unreadable

TEXT = "SMoES reduces TTFT by 14% on MMMU compared with the unspecialized router."


def test_all_equals_what_is_there() -> None:
    """Guards a promised name that does not import, and a record that was forgotten."""
    assert set(sovereign.__all__) == {"__version__", "SovereignError", "Result", "ask", "check", "verify", *records.__all__}
    for name in sovereign.__all__:
        assert getattr(sovereign, name) is not None
    assert set(dir(sovereign)) == set(sovereign.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'publish'"):
        sovereign.publish


def test_importing_loads_nothing_else() -> None:
    """Guards an eager import: a heavy library in the package's __init__ would cost every command seconds."""
    code = "import sys; before = set(sys.modules); import sovereign; print(sorted(m for m in set(sys.modules) - before if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"numpy", "sqlalchemy", "pydantic", "dbos", "sklearn", "torch", "tantivy", "httpx", "mcp"}
    assert "sovereign" in loaded and not any(repr(h) in loaded for h in heavy)


def test_verify_reads_pairs_and_files(tmp_path: Path) -> None:
    right = verify("SMoES reduces TTFT by 14% on MMMU.", against=[("paper", TEXT)])
    assert right.verdict is Verdict.SUPPORTED
    assert right.evidence[0].span is not None and right.evidence[0].span.paper_id == "paper"
    wrong = verify("SMoES reduces TTFT by 41% on MMMU.", against=[("paper", TEXT)])
    assert wrong.verdict is Verdict.CONTRADICTED
    file = tmp_path / "note.txt"
    file.write_text(TEXT)
    assert verify("SMoES reduces TTFT by 14% on MMMU.", against=[file]).verdict is Verdict.SUPPORTED


def test_what_cannot_be_used_is_refused_with_a_mend(tmp_path: Path) -> None:
    for call, kind in (
        (lambda: verify("A is 1.", against=[]), BadInput),
        (lambda: verify("A is 1.", against="one.pdf"), BadInput),
        (lambda: verify("A is 1.", against=[tmp_path / "none.pdf"]), NotFound),
        (lambda: verify("A is 1.", against=[("empty", "  \n")]), Unreadable),
        (lambda: ask("", workspace=tmp_path / "w"), BadInput),
        (lambda: ask("What is A?", lab="moon", workspace=tmp_path / "w"), UnknownName),
        (lambda: ask("What is A?", sources=["moon"], workspace=tmp_path / "w"), UnknownName),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert "\n" not in caught.value.line()
        assert isinstance(caught.value, SovereignError)


def test_a_text_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOVEREIGN_MAX_DOCUMENT_MIB", "1")
    with pytest.raises(Unreadable, match="longer than 1 MiB"):
        verify("A is 1.", against=[("long", "word " * 300_000)], workspace=tmp_path)


def test_check_reads_a_manuscript_against_its_sources(tmp_path: Path) -> None:
    (tmp_path / "refs.bib").write_text("@article{a2024, title={Small Routers}, author={Ada Ames}, year={2024}, journal={J}}")
    (tmp_path / "a2024.md").write_text(f"# Small Routers\n\n{TEXT}\n")
    paper = tmp_path / "paper.md"
    paper.write_text("# Mine\n\nSMoES reduces TTFT by 41% on MMMU compared with the unspecialized router [@a2024].\n")
    report = check(paper, bib=tmp_path / "refs.bib", against=[tmp_path / "a2024.md"], workspace=tmp_path / "w")
    assert [c["verdict"] for c in report.body["claims"]] == ["CONTRADICTED"] and report.exit_code == 1
