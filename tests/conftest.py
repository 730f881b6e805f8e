"""What every test shares: a clean environment, no network by default, and the question that the README asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres_support import Server, start

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / ".." / "shared" / "data"
QUESTION = "How much does SMoES reduce TTFT and TPOT on MMMU compared with the unspecialized router?"


@pytest.fixture(autouse=True, scope="session")
def _plain_environment() -> Iterator[None]:
    """No setting of the developer's machine reaches a test; one BLAS thread; a fixed clock. For the session: child processes inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("SOVEREIGN_"):
                patch.delenv(name)
        patch.setenv("SOVEREIGN_OFFLINE", "true")
        patch.setenv("SOURCE_DATE_EPOCH", "1767225600")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the evaluation data (../shared/data) is not beside the project")
    return SHARED.resolve()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL of this module's own."""
    found, why = start()
    if found is None:
        pytest.skip(f"no PostgreSQL here: {why}")
    yield found
    found.remove()
