"""Workers on one agenda: killed at random, every question still ends exactly once, with an unbroken ledger and nothing published."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.end_to_end_support import QUESTIONS, prepared
from tests.postgres_support import Server, wait

from sovereign import path, wiring, working
from sovereign.settings import Settings
from sovereign.store.agenda import Wanted
from sovereign.store.ledger import WORKSPACE, verify_chain

WORKER = "from sovereign.cli import main; main()"


def put(settings: Settings, *questions: str, attempts: int = 100) -> None:
    with wiring.workspace(settings) as ws:
        for text in questions:
            working.add(ws, settings, Wanted(text, max_attempts=attempts))


def launch(settings: Settings, name: str, lease: float = 2.0) -> subprocess.Popen[bytes]:
    command = ["agenda", "work", "--once", "--lease", str(lease), "--name", name, "--workspace", str(settings.home)]
    environment = {**os.environ, "SOVEREIGN_DATABASE_URL": settings.database_url}
    return subprocess.Popen([sys.executable, "-c", WORKER, *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def assert_all_ended_once(settings: Settings, count: int) -> None:
    """The whole promise: each item done with one run, each run's steps closed once, every chain whole, nothing decided or published."""
    with wiring.workspace(settings) as ws:
        items = working.agenda_of(ws).items()
        assert [i.state for i in items] == ["done"] * count, [(i.item_id, i.state, i.reason) for i in items]
        runs = ws.runs.list()
        assert sorted(i.run_id for i in items) == sorted(r.run_id for r in runs), "a run was started twice, or one was lost"
        assert {r.state for r in runs} == {"waiting_for_owner"}
        for row in runs:
            events = ws.ledger.events(row.run_id)
            assert verify_chain(events) == len(events)
            closed = [e.step_key for e in events if e.step_key]
            assert len(closed) == len(set(closed)) and closed[-1] == path.step_key("press", 0)
            assert [e.kind for e in events].count("run_started") == 1
            assert [e.kind for e in events].count("draft_printed") == 1
            assert not {e.kind for e in events} & {"decided", "approved", "published", "signed"}
        told = ws.ledger.events(WORKSPACE)
        assert verify_chain(told) == len(told)
        assert sorted(e.body["item"] for e in told if e.kind == "agenda_done") == sorted(i.item_id for i in items)


def test_one_worker_on_sqlite_is_killed_and_its_item_taken_over(tmp_path: Path) -> None:
    settings = prepared(tmp_path / "home")
    put(settings, *QUESTIONS[:2])
    begun = launch(settings, "first", lease=1.0)
    _until(settings, lambda ws: any(ws.runs.steps(r.run_id) for r in ws.runs.list()))
    begun.send_signal(signal.SIGKILL)
    begun.communicate()
    with wiring.workspace(settings) as ws:
        before = {r.run_id: len(ws.runs.steps(r.run_id)) for r in ws.runs.list()}
    counts = working.work(settings, worker="second", once=True, lease_s=5.0, poll_s=0.2)
    assert_all_ended_once(settings, 2)
    assert set(before) <= {i.run_id for i in _items(settings)}, "the killed run was started again instead of resumed"
    assert counts.done >= 1 and counts.failed == counts.dead == 0


def test_a_cancelled_item_stops_at_its_next_station_and_retry_goes_on(tmp_path: Path) -> None:
    settings = prepared(tmp_path / "home")
    put(settings, QUESTIONS[0])
    with wiring.workspace(settings) as ws:
        (item,) = working.agenda_of(ws).items()
    stations: list[str] = []

    def cancelling(station: str, state: str) -> None:
        stations.append(station)

    with pytest.MonkeyPatch.context() as patch:
        resume = wiring.resume

        def told(chosen: Settings, run_id: str, *, progress: wiring.Progress) -> wiring.Result:
            def both(station: str, state: str) -> None:
                cancelling(station, state)
                if station == "claims" and state == "started":
                    with wiring.workspace(settings) as other:
                        working.agenda_of(other).steer(item.item_id, "cancel")
                    time.sleep(0.5)  # longer than a heartbeat at this lease
                progress(station, state)

            return resume(chosen, run_id, progress=both)

        patch.setattr(wiring, "resume", told)
        counts = working.work(settings, worker="w", once=True, lease_s=0.6, poll_s=0.1)
    assert counts.done == 0 and "verify" not in stations
    with wiring.workspace(settings) as ws:
        (run,) = ws.runs.list()
        assert run.state == "failed" and "cancelled" in run.error
        working.agenda_of(ws).steer(item.item_id, "retry")
    working.work(settings, worker="w", once=True, lease_s=30, poll_s=0.1)
    assert_all_ended_once(settings, 1)


def test_what_cannot_be_asked_fails_with_its_reason_and_blocks_nobody(tmp_path: Path) -> None:
    settings = prepared(tmp_path / "home")
    put(settings, *QUESTIONS[:2])
    with wiring.workspace(settings) as ws:
        working.agenda_of(ws).add(Wanted("\x00" * 3, priority=9, sources=("local",)))
    counts = working.work(settings, worker="w", once=True, poll_s=0.1)
    assert (counts.done, counts.failed) == (2, 1)
    (failed,) = [i for i in _items(settings) if i.state == "failed"]
    assert failed.reason


def test_suggestions_wait_for_the_owner_unless_there_is_a_standing_rule(tmp_path: Path) -> None:
    settings = prepared(tmp_path / "home")
    put(settings, "Which hit ratio does Wide Caches reach on XSUM compared with LRU, and what is its TPOT?")
    working.work(settings, worker="w", once=True, poll_s=0.1)
    with wiring.workspace(settings) as ws:
        offered = working.suggest(ws).suggestions
        assert offered and "TPOT" in offered[0].question
    working.work(settings, worker="w", once=True, poll_s=0.1)
    assert len(_items(settings)) == 1, "a suggestion ran without the owner"
    working.work(settings.model_copy(update={"agenda_standing": 1}), worker="w", once=True, poll_s=0.1)
    items = _items(settings)
    assert [i.origin.split(";")[0] for i in items] == ["owner", "standing rule"] and items[1].state == "done"


def test_workers_killed_at_random_on_postgresql(server: Server, tmp_path: Path) -> None:
    """Three workers, SIGKILL every second or so for 12 s, one crash of the database; then the survivors finish. benchmarks/chaos.py is the long version."""
    settings = prepared(tmp_path / "home", server.create("chaos"))
    put(settings, *QUESTIONS)
    rng = random.Random(7)
    workers = {n: launch(settings, f"w{n}-0") for n in range(3)}
    kills, began, crashed = 0, time.monotonic(), False
    while time.monotonic() - began < 12:
        time.sleep(rng.uniform(0.6, 1.6))
        n = rng.choice(list(workers))
        if workers[n].poll() is None:
            workers[n].send_signal(signal.SIGKILL)
            kills += 1
        workers[n].communicate()
        workers[n] = launch(settings, f"w{n}-{kills}")
        if not crashed and time.monotonic() - began > 5:
            crashed = True
            server.crash()
            time.sleep(0.5)
            server.up()
            wait(server)
    for worker in workers.values():
        try:
            _, said = worker.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            for other in workers.values():
                other.kill()
                other.communicate()
            raise
        assert worker.returncode == 0, said.decode()
    assert kills >= 3 and crashed
    assert_all_ended_once(settings, len(QUESTIONS))


def _items(settings: Settings) -> list:  # type: ignore[type-arg]
    with wiring.workspace(settings) as ws:
        return working.agenda_of(ws).items()


def _until(settings: Settings, holds, seconds: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with wiring.workspace(settings) as ws:
            if holds(ws):
                return
        time.sleep(0.05)
    raise AssertionError("it never happened")
