"""The same gate over PostgreSQL: one decision wins, the audit reads raw rows, a changed row is found. Skipped with the reason where no server starts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.owner_support import PASSPHRASE, plant
from tests.postgres_support import start

from sovereign import gate, wiring
from sovereign.errors import Refused
from sovereign.kernel.review import Choice
from sovereign.settings import Settings, load


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    server, why = start()
    if server is None:
        pytest.skip(why)
    yield load(tmp_path_factory.mktemp("pg") / "ws", offline=True, database_url=server.create("gate"))
    server.remove()


def test_decide_publish_audit_and_tamper(settings: Settings, tmp_path: Path) -> None:
    with wiring.workspace(settings) as ws:
        gate.create_key(ws, PASSPHRASE, owner="Ada Owner")
        run = plant(ws, pressed=False)
    outcomes: list[str] = []

    def owner(n: int) -> None:
        with wiring.workspace(settings) as mine:
            try:
                gate.decide(mine, run, Choice.APPROVED, passphrase=PASSPHRASE, owner=f"owner {n}")
                outcomes.append("won")
            except Refused:
                outcomes.append("told")

    threads = [threading.Thread(target=owner, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert sorted(outcomes) == ["told"] * 3 + ["won"]
    with wiring.workspace(settings) as ws:
        gate.publish(ws, run, tmp_path / "site")
        report = gate.audit_workspace(ws)
        assert report.sound and report.counts["signatures"] == 1, report.problems
        with ws.database.write() as tx:
            tx.execute(sa.text("UPDATE events SET body = replace(body, 'planted', 'Planted') WHERE kind = 'run_started'"))
        assert not gate.audit_workspace(ws).sound
    assert gate.audit_folder(tmp_path / "site").sound
