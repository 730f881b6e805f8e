"""The durable engine on its own tables: a run is only ever performed for its own run, and a run that nobody performs is begun again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sovereign import engine as subject
from sovereign.engine import engine

DIES = """
import os, sys
from pathlib import Path
from sovereign.engine import engine
with engine(Path(sys.argv[1]), "r-1", lambda asked, step: os._exit(9)) as finish:
    finish()
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A workspace whose run r-1 lost its process in its first station."""
    assert subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False).returncode == 9
    return tmp_path


def _set(home: Path, values: str) -> None:
    with sqlite3.connect(home / "engine.sqlite3") as tables:
        assert tables.execute(f"UPDATE workflow_status SET {values}").rowcount == 1


def test_a_killed_run_is_recovered(killed: Path) -> None:
    performed: list[str] = []
    with engine(killed, "r-1", lambda asked, step: performed.append(step("one", lambda: asked))) as finish:
        finish()
    assert performed == ["r-1"]


def test_another_run_never_performs_a_run_that_waits_for_recovery(killed: Path) -> None:
    """The engine's recovery goes through one queue that every process polls; what it dequeues would be done with the wrong request."""
    _set(killed, "status='ENQUEUED', queue_name='_dbos_internal_queue', owner_xid=NULL")
    performed: list[str] = []
    waited = threading.Event()

    def perform(asked: str, _step: object) -> None:
        performed.append(asked)
        waited.wait(3.0)  # three polls of the queue

    with engine(killed, "r-2", perform) as finish:
        finish()
    assert performed == ["r-2"]


@pytest.mark.parametrize("lost", ["executor_id='r-7'", "executor_id='r-7', application_version='path-1'"])
def test_a_run_that_stands_open_under_a_lost_executor_is_begun_again(killed: Path, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "STALLED_S", 0.5)
    _set(killed, lost)
    performed: list[str] = []
    with engine(killed, "r-1", lambda asked, _step: performed.append(asked)) as finish:
        finish()
    assert performed == ["r-1"]
    with sqlite3.connect(killed / "engine.sqlite3") as tables:
        assert tables.execute("SELECT workflow_uuid, status FROM workflow_status ORDER BY 1").fetchall() == [
            ("r-1", "CANCELLED"),
            ("r-1#2", "SUCCESS"),
        ]
