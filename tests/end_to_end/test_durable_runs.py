"""A run killed at any station ends, after `resume`, with the same bytes as an undisturbed one, and no station is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import QUESTION

from sovereign import path, wiring
from sovereign.errors import BadInput
from sovereign.settings import load

ASK = """
import os, signal, sys
from pathlib import Path
from sovereign import wiring
from sovereign.settings import load
def progress(station, state):
    if (station, state) == (sys.argv[3], "started"):
        os.kill(os.getpid(), signal.SIGKILL)
wiring.ask(load(Path(sys.argv[1]), offline=True), sys.argv[2], sources=["local"], progress=progress)
"""


def _ask(home: Path, killed_at: str) -> int:
    return subprocess.run([sys.executable, "-c", ASK, str(home), QUESTION, killed_at], env=os.environ, timeout=120, check=False).returncode


@pytest.fixture(scope="module")
def undisturbed(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    import shutil

    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(indexed, home)
    assert _ask(home, "never") == 0
    run = next((home / "runs").iterdir())
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file() and not p.name.startswith(".")}


@pytest.mark.parametrize("station", path.STATIONS)
def test_killed_at_a_station_and_resumed_gives_the_same_bytes(station: str, home: Path, undisturbed: dict[str, bytes]) -> None:
    assert _ask(home, station) == -signal.SIGKILL
    chosen = load(home, offline=True)
    with wiring.workspace(chosen) as ws:
        (row,) = ws.runs.list()
        finished_before = ws.runs.steps(row.run_id)
        assert path.step_key(station, 0) not in finished_before
        assert row.state == "running"
    done: list[str] = []
    result = wiring.resume(chosen, row.run_id, progress=lambda s, state: done.append(s) if state == "started" else None)
    assert not {f"{s}-0" for s in done} & set(finished_before), "a finished station was done again"
    assert {n: p.read_bytes() for n, p in result.files.items()} == undisturbed
    with wiring.workspace(chosen) as ws:
        closings = [e.step_key for e in ws.ledger.events(row.run_id, "station_done")]
        assert len(closings) == len(set(closings)) == len(path.STATIONS)
        assert len(ws.runs.list()) == 1


def test_replay_derives_every_step_again_without_any_source(home: Path) -> None:
    chosen = load(home, offline=True)
    run_id = wiring.ask(chosen, QUESTION, sources=["local"]).run_id
    done = wiring.replay(chosen, run_id)
    assert done.same
    assert [step for step, _, _ in done.compared] == [path.step_key(s, 0) for s in path.STATIONS]


def test_replay_notices_a_changed_record(home: Path) -> None:
    """Guards the guard: a replay that compares nothing would also be 'the same'."""
    chosen = load(home, offline=True)
    run_id = wiring.ask(chosen, QUESTION, sources=["local"]).run_id
    with wiring.workspace(chosen) as ws:
        row = ws.runs.get(run_id)
        request = path.request_of(ws.runs.request(run_id))
        house = wiring.house(ws, chosen, request, outside=False)
        compared: list[tuple[str, str, str]] = []
        other = path.request_of({**ws.runs.request(run_id), "max_claims": 2})
        path.travel(run_id, row.created_at, other, house, path.replaying(run_id, house, compared))
    assert any(a != b for _, a, b in compared)


def test_the_same_question_again_is_a_new_run(home: Path) -> None:
    chosen = load(home, offline=True)
    first = wiring.ask(chosen, QUESTION, sources=["local"])
    second = wiring.ask(chosen, QUESTION, sources=["local"])
    assert second.run_id == f"{first.run_id}-2"
    a, b = (json.loads(r.files["draft.json"].read_bytes()) for r in (first, second))
    assert {**a, "run_id": ""} == {**b, "run_id": ""}


def test_two_processes_cannot_work_on_one_run(home: Path) -> None:
    from sovereign.engine import engine

    with engine(home, "r-1", lambda *_: None), pytest.raises(BadInput, match="another process"), engine(home, "r-1", lambda *_: None):
        pass
