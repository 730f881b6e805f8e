"""A program's whole morning over a real socket: ask, wait, read the draft and its PDF, verify, check a text and a manuscript, queue; and a killed worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.end_to_end_support import NOTES, QUESTIONS, prepared

from sovereign import gate, wiring
from sovereign.settings import load

WAIT_S = 120.0
RIGHT = "Small Routers reduces TTFT by 14% on MMMU."
WRONG = "Small Routers reduces TTFT by 41% on MMMU."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    prepared(tmp_path / "home")
    return tmp_path / "home"


@contextmanager
def served(home: Path) -> Iterator[dict[str, str]]:
    """A real server; address and token of its API as it printed them. It is stopped by its own handle."""
    command = [sys.executable, "-c", "from sovereign.cli import main; main()", "serve", "--port", "0", "--json", "--workspace", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            told: dict[str, str] = json.loads(server.stdout.readline())["api"]
            yield told
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    with served(home) as api, httpx.Client(base_url=api["url"], headers={"authorization": f"Bearer {api['token']}"}, timeout=60) as held:
        yield held


def body(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def ended(client: httpx.Client, run: str) -> dict[str, Any]:
    """Polls a run until it is over."""
    until = time.monotonic() + WAIT_S
    while True:
        told: dict[str, Any] = body(client.get(f"/runs/{run}/progress"))
        if told["state"] != "running" or time.monotonic() > until:
            return told
        time.sleep(0.2)


def test_ask_poll_read_verify_and_check(client: httpx.Client, home: Path) -> None:
    begun = body(client.post("/runs", json={"question": QUESTIONS[0], "sources": ["local"]}), 202)
    run = begun["run_id"]
    told = ended(client, run)
    assert told["state"] == "waiting_for_owner" and {s["state"] for s in told["stations"]} == {"done"}

    draft = body(client.get(f"/runs/{run}/files/draft.json"))
    assert draft["run_id"] == run and any(c["verdict"] == "SUPPORTED" and "14" in c["text"] for c in draft["claims"])
    pdf = client.get(f"/runs/{run}/files/draft.pdf")
    assert pdf.content.startswith(b"%PDF-") and b"%%EOF" in pdf.content[-64:] and pdf.headers["content-type"] == "application/pdf"
    assert client.get(f"/runs/{run}/files/draft.pdf", headers={"if-none-match": pdf.headers["etag"]}).status_code == 304
    assert "Small Routers" in client.get(f"/runs/{run}/references/bib").text
    assert [r["run_id"] for r in body(client.get("/reviews"))["items"]] == [run]
    assert body(client.get("/metrics"))["runs"] == {"total": 1, "by_state": {"waiting_for_owner": 1}}

    found = body(client.get("/library/search", params={"q": "TTFT on MMMU", "k": 1}))["passages"]
    for source in ({"papers": [found[0]["paper_id"]]}, {"texts": [{"id": "note", "text": NOTES["routers.md"]}]}):
        assert body(client.post("/verify", json={"claim": RIGHT, **source}))["verdict"] == "SUPPORTED"
        checked = body(client.post("/check", json={"text": f"{RIGHT} {WRONG}", **source}))
        assert [c["verdict"] for c in checked["claims"]] == ["SUPPORTED", "CONTRADICTED"]
    manuscript = {"text": f"{RIGHT[:-1]} [@r]. {WRONG[:-1]} [@r].", "texts": [{"id": "r", "text": NOTES["routers.md"]}]}
    assert body(client.post("/check/manuscript", json=manuscript))["summary"]["contradicted"] == 1

    item = body(client.post("/agenda", json={"question": QUESTIONS[1]}), 201)
    assert body(client.get("/agenda"))["items"] == [item]
    assert body(client.post("/agenda", json={"question": QUESTIONS[0]}), 409)["subject"] == run

    assert httpx.get(f"{client.base_url}/runs").status_code == 401
    with wiring.workspace(load(home)) as ws:
        assert {r.state for r in ws.runs.list()} == {"waiting_for_owner"}, "a program moved a run past its owner"
        assert not {e.kind for e in ws.ledger.events(run)} & {"signed", "published", "owner_note"}
        assert gate.audit_workspace(ws).sound


def test_a_killed_worker_is_seen_and_its_run_goes_on(client: httpx.Client, home: Path) -> None:
    """Guards a run that hangs for ever as `running` because the process that worked on it is gone."""
    run = body(client.post("/runs", json={"question": QUESTIONS[0]}), 202)["run_id"]
    os.kill(_worker(run, home), signal.SIGKILL)
    until = time.monotonic() + WAIT_S
    while body(client.get(f"/runs/{run}/progress"))["working_here"] and time.monotonic() < until:
        time.sleep(0.1)
    told = body(client.get(f"/runs/{run}/progress"))
    assert told["working_here"] is False
    if told["state"] == "running":  # it may have been quicker than the signal
        assert body(client.post(f"/runs/{run}/resume"), 202)["working_here"]
    assert ended(client, run)["state"] == "waiting_for_owner"


def _worker(run: str, home: Path) -> int:
    """The process that works on this run in this test's own workspace, found by its command line."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if {run.encode(), str(home).encode(), b"resume"} <= set(words):
                return int(folder.name)
    raise AssertionError("no worker was started")


def test_the_walk_through_of_the_docs_runs(indexed: Path, tmp_path: Path) -> None:
    """Every command of docs/http-api.md, as it stands there, in one shell; an error's body in any answer fails it."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    home = tmp_path / "home"
    shutil.copytree(indexed, home)
    page = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text(encoding="utf-8")
    script = "set -eu\nset -o pipefail\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    assert script.count('"$API/') > 15
    with served(home) as api:
        env = {**os.environ, "API": api["url"], "TOKEN": api["token"]}
        ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr + ran.stdout[-2_000:]
    assert '{"error":"' not in ran.stdout, ran.stdout
    assert (tmp_path / "draft.pdf").read_bytes().startswith(b"%PDF-") and json.loads((tmp_path / "draft.json").read_bytes())["claims"]
    assert '"verdict":"SUPPORTED"' in ran.stdout and '"verdict":"CONTRADICTED"' in ran.stdout and "TY  - " in ran.stdout
    with wiring.workspace(load(home)) as ws:
        assert [r.state for r in ws.runs.list()] == ["waiting_for_owner"]
