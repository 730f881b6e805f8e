"""One real finished run for the whole folder; every test works on its own copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.owner_support import PASSPHRASE, asked_workspace, copied

from sovereign import gate, wiring
from sovereign.settings import Settings, load
from sovereign.store.workspace import Workspace


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("asked") / "ws"
    return folder, asked_workspace(folder)


@pytest.fixture
def settings(asked: tuple[Path, str], tmp_path: Path) -> Settings:
    return copied(asked[0], tmp_path / "ws")


@pytest.fixture
def run_id(asked: tuple[Path, str]) -> str:
    return asked[1]


@pytest.fixture
def ws(settings: Settings) -> Iterator[Workspace]:
    with wiring.workspace(settings) as held:
        yield held


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace with an owner key."""
    with wiring.workspace(load(tmp_path / "bare", offline=True)) as held:
        gate.create_key(held, PASSPHRASE, owner="Ada Owner")
        yield held
