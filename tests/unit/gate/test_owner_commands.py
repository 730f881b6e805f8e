"""The owner's commands as scripts see them: exit codes, one JSON document on stdout, one line on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.owner_support import PASSPHRASE, plant

from sovereign import gate, wiring
from sovereign.cli import main
from sovereign.gate import refresh
from sovereign.records import Empty, Failed, Found, Paper
from sovereign.settings import Settings, load
from sovereign.sources import Flags


def sovereign(settings: Settings, *words: str, passphrase: str | None = PASSPHRASE) -> subprocess.CompletedProcess[str]:
    """One command as the entry point runs it, in this process: what a script would see on both streams, and the exit code."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    argv = ["sovereign", *words, "--workspace", str(settings.home)]
    code = 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", argv)
        patch.setattr(sys, "stdin", io.StringIO())
        if passphrase:
            patch.setenv("SOVEREIGN_KEY_PASSPHRASE", passphrase)
        try:
            main()
        except SystemExit as exc:
            code = int(exc.code or 0)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(argv, code, *texts)


def body(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    assert done.returncode == code and words in done.stderr, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr and done.stdout == ""


def test_from_a_draft_to_a_verified_page_by_commands_alone(settings: Settings, run_id: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    refused(sovereign(settings, "publish", run_id, "--site", str(site)), 1, "not approved")
    refused(sovereign(settings, "review", "init"), 1, "already")
    assert body(sovereign(settings, "review", "list", "--json"))[0]["state"] == "waiting_for_owner"
    assert body(sovereign(settings, "review", "show", run_id, "--json"))["reasons"]
    refused(sovereign(settings, "review", "approve", run_id, passphrase=None), 1, "passphrase")
    refused(sovereign(settings, "review", "approve", run_id, passphrase="wrong words"), 1, "could not be opened")
    assert body(sovereign(settings, "review", "approve", run_id, "--note", "Read.", "--json"))["signed"] is True
    refused(sovereign(settings, "review", "reject", run_id), 1, "decided already")
    assert body(sovereign(settings, "publish", run_id, "--site", str(site), "--json"))["page"].endswith("index.html")
    assert body(sovereign(settings, "audit", "verify", str(site), "--json"))["sound"] is True
    pdf = site / "records" / run_id / "draft.pdf"
    pdf.write_bytes(pdf.read_bytes() + b"\n")
    told = body(sovereign(settings, "audit", "verify", str(site), "--json"), 1)
    assert told["sound"] is False and any("draft.pdf" in p["where"] for p in told["problems"])


def test_a_draft_changed_by_one_byte_after_signing_cannot_be_published(settings: Settings, run_id: str, tmp_path: Path) -> None:
    assert sovereign(settings, "review", "approve", run_id).returncode == 0
    draft = settings.home / "runs" / run_id / "draft.md"
    draft.write_bytes(draft.read_bytes().replace(b"e", b"f", 1))
    refused(sovereign(settings, "publish", run_id, "--site", str(tmp_path / "site")), 1, "draft.md")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("review", "show", "r-none"), 2, "No run"),
        (("review", "approve", "r-none"), 2, "No run"),
        (("audit", "verify", "r-none"), 2, "No run"),
        (("runs", "export", "r-none", "--format", "json"), 2, "No run"),
        (("policy", "explain", "r-none"), 2, "No run"),
        (("policy", "test", "/nowhere.toml"), 2, "not a file"),
        (("sources", "refresh", "--flag", "nothing"), 2, "ID=FLAG"),
        (("serve", "--port", "70000"), 2, "no port"),
    ],
)
def test_bad_input_is_one_clear_line(settings: Settings, words: tuple[str, ...], code: int, said: str) -> None:
    refused(sovereign(settings, *words), code, said)


def test_every_format_can_be_exported_and_unknown_ones_are_named(settings: Settings, run_id: str, tmp_path: Path) -> None:
    with wiring.workspace(settings) as ws:
        held = gate.held(ws, run_id)
        printed = {n: ws.blobs.get(d) for n, d in held.files.items()}
    for name, file in (("json", "draft.json"), ("md", "draft.md"), ("html", "draft.html"), ("pdf", "draft.pdf"), ("bib", "references.bib")):
        done = body(sovereign(settings, "runs", "export", run_id, "--format", name, "--out", str(tmp_path / file), "--json"))
        assert Path(done["path"]).read_bytes() == printed[file]
    assert sovereign(settings, "runs", "export", run_id, "--format", "ris").stdout.startswith("TY  - ")
    assert json.loads(sovereign(settings, "runs", "export", run_id, "--format", "csl").stdout)[0]["title"]
    assert json.loads(sovereign(settings, "runs", "export", run_id, "--format", "crate").stdout)["@graph"]
    assert sovereign(settings, "runs", "export", run_id, "--format", "bundle", "--out", str(tmp_path / "b")).returncode == 0
    assert body(sovereign(settings, "audit", "verify", str(tmp_path / "b"), "--json"))["checked"]["quotes"] > 0
    refused(sovereign(settings, "runs", "export", run_id, "--format", "docx"), 2, "Known:")
    refused(sovereign(settings, "runs", "export", run_id, "--format", "bundle", "--out", str(tmp_path)), 2, "not empty")


def test_revise_runs_the_same_question_anew(settings: Settings, run_id: str) -> None:
    done = body(sovereign(settings, "review", "revise", run_id, "--note", "Once more.", "--json"))
    assert done["decision"] == "sent_back" and done["new_state"] == "waiting_for_owner" and done["new_run"] != run_id
    assert body(sovereign(settings, "audit", "verify", "--json"))["sound"] is True


def test_a_flag_reaches_the_policy_and_an_offline_refresh_checks_nothing(settings: Settings, run_id: str) -> None:
    assert "now" not in body(sovereign(settings, "policy", "explain", run_id, "--json"))
    offline = body(sovereign(settings, "sources", "refresh", "--json"), 3)
    assert offline["checked"] == 0 and set(offline["unchecked"].values()) == {"offline"}
    said = body(sovereign(settings, "sources", "refresh", "--flag", "arxiv:2604.23996=retracted", "--json"))
    assert [r["run_id"] for r in said["runs"]] == [run_id]
    explained = body(sovereign(settings, "policy", "explain", run_id, "--json"))
    assert explained["flagged_since"] and explained["now"]["rule"] == "a cited source was flagged"


def test_a_rule_file_is_tried_without_changing_anything(settings: Settings, run_id: str, tmp_path: Path) -> None:
    rules = tmp_path / "strict.toml"
    rules.write_text('version = 1\n[[rule]]\nname = "never"\nthen = "REJECT"\nwhen = { score = ">= 0" }\n')
    tried = body(sovereign(settings, "policy", "test", str(rules), "--json"))
    assert tried["runs"][0] | {"was": ""} == {"run_id": run_id, "was": "", "would_be": "REJECT", "rule": "never"}
    assert body(sovereign(settings, "review", "list", "--json"))[0]["state"] == "waiting_for_owner"


def test_an_unsigned_refusal_needs_no_key(tmp_path: Path) -> None:
    bare = load(tmp_path / "ws", offline=True)
    with wiring.workspace(bare) as ws:
        run = plant(ws, pressed=False)
    refused(sovereign(bare, "review", "approve", run), 2, "no owner key")
    assert body(sovereign(bare, "review", "reject", run, "--json", passphrase=None))["signed"] is False
    assert body(sovereign(bare, "audit", "verify", "--json"))["sound"] is True


# --- what services say ---


class Services:
    """Answers by paper: flags, a newer version on arXiv, silence."""

    def __init__(self, flags: dict[str, Flags], newest: dict[str, Any]):
        self._flags, self._newest, self.arxiv = flags, newest, self

    async def flags(self, paper: Paper) -> Flags:
        return self._flags[paper.paper_id]

    async def lookup(self, arxiv_id: str) -> Any:
        return self._newest.get(arxiv_id, Failed("timed out", "timeout"))


def test_silence_is_never_taken_for_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    papers = {
        "arxiv:1": Paper("arxiv:1", "A", arxiv_id="2401.00001", version=1),
        "arxiv:2": Paper("arxiv:2", "B", arxiv_id="2401.00002", version=2),
        "doi:3": Paper("doi:3", "C", doi="10.1/3"),
        "doi:4": Paper("doi:4", "D", doi="10.1/4"),
        "file:5": Paper("file:5", "E"),
    }
    down = (("openalex", Failed("timed out", "timeout")),)
    told = {
        "arxiv:1": Flags((), ("openalex",)),
        "arxiv:2": Flags((), (), down),
        "doi:3": Flags(("retracted",), ("crossref",)),
        "doi:4": Flags((), (), down),
    }
    newest = {"2401.00001": Found((Paper("arxiv:1", "A", arxiv_id="2401.00001", version=3),)), "2401.00002": Empty()}
    monkeypatch.setattr("sovereign.sources.services", lambda *_a, **_k: Services(told, newest))
    flags, unchecked, checked = refresh.ask(papers, load(tmp_path / "ws", offline=False))
    assert flags == {"arxiv:1": ("superseded",), "doi:3": ("retracted",)} and checked == 2
    assert dict(unchecked) == {
        "arxiv:2": "openalex: timed out",
        "doi:4": "openalex: timed out",
        "file:5": "it has neither an arXiv id nor a DOI",
    }
