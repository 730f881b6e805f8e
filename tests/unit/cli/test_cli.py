"""The command line as scripts see it: exit codes, one JSON document on stdout, one clear line for bad input, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTE = Path(__file__).resolve().parents[3] / "src/sovereign/library/notes/2604.23996.md"


def run(*args: str, home: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from sovereign.cli import main; main()", *args, "--workspace", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})}, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


BAD = {
    "empty question": (["ask", ""], "empty"),
    "50 KB question": (["ask", "why " * 12_500], "characters"),
    "control characters": (["ask", "what \x07 is routing"], "control characters"),
    "unknown source": (["ask", "How fast is SMoES?", "--sources", "nowhere"], "Known: arxiv"),
    "unknown lab": (["ask", "How fast is SMoES?", "--lab", "fast"], "Known: off"),
    "missing file": (["library", "add", "/does/not/exist"], "does not exist"),
    "missing run": (["runs", "show", "r-none"], "No run"),
    "missing source file": (["verify", "SMoES lowers TPOT by 10.5 %.", "--against", "/nope.md"], "not a file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_with_the_mend_and_exit_2(name: str, home: Path) -> None:
    args, expected = BAD[name]
    done = run(*args, home=home)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = [x for x in done.stderr.splitlines() if x.startswith("sovereign:")]
    assert len(lines) == 1 and expected in lines[0]
    assert "Traceback" not in done.stderr


def test_an_unwritable_workspace_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("runs", "list", home=tmp_path / "file" / "inside")
    assert done.returncode == 2 and "cannot be written" in done.stderr


@pytest.mark.parametrize(
    ("claim", "verdict", "code"),
    [
        ("SMoES reduces TPOT by 10.5 % on MMMU at batch size 1", "SUPPORTED", 0),
        ("SMoES increases TPOT by 10.5 % on MMMU at batch size 1", "CONTRADICTED", 1),
    ],
)
def test_verify_as_json(claim: str, verdict: str, code: int, home: Path) -> None:
    done = run("verify", claim, "--against", str(NOTE), "--json", home=home)
    body = json.loads(done.stdout)
    assert (body["verdict"], done.returncode) == (verdict, code)
    assert {"verdict", "level", "probability", "basis", "reason", "evidence", "checks"} <= set(body)
    if verdict == "SUPPORTED":
        text = body["evidence"][0]["quote"]
        assert "10.5 %" in text


def test_verify_never_takes_the_namesake_for_the_system(home: Path) -> None:
    wrong = {
        "SMoES reduces TPOT by 15.0 % on MMMU at batch size 1": ("value", "15.0 %", "10.5 %"),
        "SMoE reduces TPOT by 10.5 % on MMMU at batch size 1": ("subject", "SMoE", "SMoES"),
        "SMoES reduces TTFT by 10.5 % on MMMU at batch size 8": ("value", "10.5 %", "22.0 %"),
    }
    for claim, (slot, mine, theirs) in wrong.items():
        body = json.loads(run("verify", claim, "--against", str(NOTE), "--json", home=home).stdout)
        assert body["verdict"] in ("CONTRADICTED", "UNRESOLVED")
        assert body["reason"].startswith(f"{slot}:") and mine in body["reason"] and theirs in body["reason"]


def test_ask_gives_one_json_document_with_the_promised_fields(home: Path) -> None:
    done = run("ask", "How does SMoES change TTFT on MMMU?", "--sources", "local", "--json", home=home)
    body = json.loads(done.stdout)
    assert done.returncode == 0
    promised = "run_id question facets sources claims trials coverage checks tribunal policy state timings_s files"
    assert set(promised.split()) <= set(body)
    assert {"id", "text", "verdict", "level", "probability", "answers", "evidence"} <= set(body["claims"][0])
    assert {"doc_sha256", "start", "end", "quote", "stance"} <= set(body["claims"][0]["evidence"][0])
    assert all(Path(p).is_file() for p in body["files"].values())
    shown = json.loads(run("runs", "show", body["run_id"], "--json", home=home).stdout)
    assert {k: v for k, v in shown.items() if k != "timings_s"} == {k: v for k, v in body.items() if k != "timings_s"}
    assert any(r["run_id"] == body["run_id"] for r in json.loads(run("runs", "list", "--json", home=home).stdout))


def test_a_question_about_nothing_here_is_degraded_not_answered(home: Path) -> None:
    done = run("ask", "What is the best sourdough hydration for rye bread?", "--sources", "local", "--json", home=home)
    assert done.returncode == 3
    assert json.loads(done.stdout)["policy"]["decision"] == "ESCALATE_TO_OWNER"


def test_unreachable_sources_are_named_and_never_read_as_absence(home: Path) -> None:
    done = run("ask", "How does SMoES change TTFT on MMMU?", "--sources", "local,arxiv", "--json", home=home)
    body = json.loads(done.stdout)
    failed = [s for s in body["searches"] if s["source"] == "arxiv"]
    assert failed and all(s["outcome"] == "failed" for s in failed)
    text = json.dumps(body["draft"])
    assert "arXiv did not answer" in text


def test_library_search_lists_what_scripts_read(home: Path) -> None:
    rows = json.loads(run("library", "search", "modality guided expert routing", "-k", "3", "--json", home=home).stdout)
    assert len(rows) == 3
    assert {"paper_id", "title", "section", "text", "score"} == set(rows[0])


def test_version_and_help_need_no_workspace() -> None:
    for flag in ("--version", "--help"):
        done = subprocess.run(
            [sys.executable, "-c", "from sovereign.cli import main; main()", flag], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0 and ("0." in done.stdout or "research kernel" in done.stdout)
