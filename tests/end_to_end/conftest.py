"""A workspace with the default library already indexed, built once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from sovereign import wiring
from sovereign.settings import load


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the test processes: the first one builds it, the others wait."""
    home = tmp_path_factory.getbasetemp().parent / "indexed-workspace"
    with FileLock(str(home) + ".lock"):
        if not (home / "ready").exists():
            chosen = load(home, offline=True)
            with wiring.workspace(chosen) as ws:
                wiring.ensure_default_library(ws, chosen)
                wiring.index_of(ws).catch_up()
            (home / "ready").write_text("")
    return home


@pytest.fixture
def home(indexed: Path, tmp_path: Path) -> Path:
    target = tmp_path / "home"
    shutil.copytree(indexed, target)
    return target
