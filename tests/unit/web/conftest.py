"""A workspace with an owner key, in the settings that each module gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.owner_support import PASSPHRASE

from sovereign import gate, wiring
from sovereign.settings import Settings
from sovereign.store.workspace import Workspace


@pytest.fixture
def ws(settings: Settings) -> Iterator[Workspace]:
    with wiring.workspace(settings) as held:
        gate.create_key(held, PASSPHRASE, owner="Ada Owner")
        yield held
