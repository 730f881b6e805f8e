"""The queue itself, on SQLite and on a real PostgreSQL: order, dependencies, leases, limits, and every item ending once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sovereign.errors import BadInput, NotFound
from sovereign.store.agenda import Agenda, Item, Wanted, table
from sovereign.store.ledger import WORKSPACE, verify_chain
from sovereign.store.workspace import Workspace
from sovereign.wiring import SystemClock


@pytest.fixture(params=["sqlite", "postgresql"])
def ws(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    url = request.getfixturevalue("server").create(f"t{time.time_ns()}") if request.param == "postgresql" else ""
    held = Workspace(tmp_path, SystemClock(0), url)
    yield held
    held.close()


@pytest.fixture
def agenda(ws: Workspace) -> Agenda:
    return Agenda(ws.database, ws.ledger, ws.clock)


def take(agenda: Agenda, worker: str = "w1", lease_s: float = 60.0, **limits: int) -> Item | None:
    return agenda.take(worker, lease_s=lease_s, limits=limits)


def expire(agenda: Agenda, item: Item) -> None:
    """As if the lease had run out: a test must not depend on how fast the machine is."""
    with agenda.database.write() as tx:
        tx.execute(table.update().where(table.c.item_id == item.item_id).values(lease_until=0.0))


def test_order_is_priority_then_fairness_then_age(agenda: Agenda) -> None:
    for text, tag in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")):
        agenda.add(Wanted(text, tags=(tag,)))
    agenda.add(Wanted("urgent", priority=5, tags=("a",)))
    order = [take(agenda, f"w{n}") for n in range(5)]
    assert [i.question if i else None for i in order] == ["urgent", "b1", "a1", "a2", "a3"], (
        "a group waited behind another one's long queue"
    )
    assert take(agenda) is None


def test_dependencies_are_waited_for(agenda: Agenda) -> None:
    first = agenda.add(Wanted("first"))
    second = agenda.add(Wanted("second", depends_on=(first.item_id,), priority=9))
    assert second.state == "waiting"
    taken = take(agenda)
    assert taken is not None and taken.question == "first" and take(agenda) is None
    assert agenda.finish(taken, "done")
    then = take(agenda)
    assert then is not None and then.question == "second"
    with pytest.raises(NotFound):
        agenda.add(Wanted("third", depends_on=("q-none",)))
    agenda.steer(then.item_id, "cancel")
    with pytest.raises(BadInput, match="cancelled"):
        agenda.add(Wanted("third", depends_on=(then.item_id,)))


def test_a_dead_workers_item_is_taken_over_and_the_dead_cannot_end_it(agenda: Agenda) -> None:
    """Guards a run that ends twice: the worker that lost its lease comes back and says 'done' too."""
    agenda.add(Wanted("x"))
    lost = take(agenda, "dead")
    assert lost is not None and take(agenda, "early") is None
    expire(agenda, lost)
    over = take(agenda, "heir")
    assert over is not None and over.item_id == lost.item_id and over.attempts == 2
    assert agenda.renew(lost, lease_s=60) == "lost"
    assert not agenda.finish(lost, "failed", "late") and agenda.give_back(lost, "late") == "lost"
    assert agenda.renew(over, lease_s=60) == "held"
    assert agenda.finish(over, "done") and not agenda.finish(over, "done")
    ends = [e for e in agenda.ledger.events(WORKSPACE) if e.kind in ("agenda_done", "agenda_failed")]
    assert [e.kind for e in ends] == ["agenda_done"]
    assert verify_chain(agenda.ledger.events(WORKSPACE)) == 3  # added, taken over, done


def test_an_item_that_kills_its_workers_is_put_aside_with_the_reason(agenda: Agenda) -> None:
    agenda.add(Wanted("poison", max_attempts=2))
    agenda.add(Wanted("flaky", max_attempts=2))
    for _ in range(2):
        poisoned = take(agenda, "w")
        assert poisoned is not None and poisoned.question == "poison"
        flaky = take(agenda, "v")
        assert flaky is not None and flaky.question == "flaky"
        agenda.give_back(flaky, "the service is down")
        expire(agenda, poisoned)
    assert take(agenda) is None
    poison, other = agenda.items()
    assert (poison.state, other.state) == ("dead", "dead")
    assert "died 2 times" in poison.reason and "the service is down" in other.reason
    assert agenda.steer(poison.item_id, "retry").attempts == 0 and take(agenda) is not None


def test_limits_hold_over_all_workers(agenda: Agenda) -> None:
    for n in range(3):
        agenda.add(Wanted(f"arxiv {n}", sources=("local", "arxiv")))
    agenda.add(Wanted("with a model", model="scripted"))
    agenda.add(Wanted("another with a model", model="scripted"))
    taken = [take(agenda, f"w{n}", arxiv=1, model=1) for n in range(5)]
    assert [i.question for i in taken if i] == ["arxiv 0", "with a model"]


def test_pause_cancel_and_retry(agenda: Agenda) -> None:
    item = agenda.add(Wanted("x"))
    held = take(agenda)
    assert held is not None
    agenda.steer(item.item_id, "pause")
    assert agenda.renew(held, lease_s=60) == "paused" and not agenda.finish(held, "done")
    assert take(agenda) is None
    agenda.steer(item.item_id, "retry")
    assert take(agenda) is not None
    agenda.steer(item.item_id, "cancel")
    with pytest.raises(BadInput, match="cannot be asked to pause"):
        agenda.steer(item.item_id, "pause")
    with pytest.raises(NotFound):
        agenda.steer("q-none", "cancel")


def test_many_workers_share_without_losing_or_doubling(ws: Workspace, agenda: Agenda) -> None:
    for n in range(24):
        agenda.add(Wanted(f"question {n}"))
    done: list[str] = []

    def worker(name: str) -> None:
        own = Workspace(ws.home, ws.clock, "" if ws.database.is_sqlite else ws.database.url)
        mine = Agenda(own.database, own.ledger, own.clock)
        while (item := take(mine, name)) is not None:
            if mine.finish(item, "done"):
                done.append(item.item_id)
        own.close()

    threads = [threading.Thread(target=worker, args=(f"w{n}",)) for n in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(done) == sorted(i.item_id for i in agenda.items()) and {i.state for i in agenda.items()} == {"done"}
    assert verify_chain(agenda.ledger.events(WORKSPACE)) == 48
