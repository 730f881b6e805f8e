"""The workers: take a question under a lease, bring its run to its end, say so once. Imports wiring and the store; refuses to decide what is asked.

One process works on one run at a time (the run engine is one per process); several workers are several processes, on any machine that reaches the
same database. A killed worker loses its lease, and another one resumes the same run: closed steps are recalled, never done again. A worker that lost
its lease (it was too slow) stops at its next station; what both did meanwhile is closed once, by the first.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sovereign import seal, wiring
from sovereign.errors import AskedAlready, BadInput, Busy, Interrupted, NotFound, OutsideFailed, SovereignError, WorkspaceUnusable
from sovereign.kernel import agenda as rules
from sovereign.kernel import question
from sovereign.settings import Settings
from sovereign.store.agenda import Agenda, Item, Wanted
from sovereign.store.workspace import Workspace

LEASE_S = 60.0
BACKOFF_S = 5.0  # doubled with every attempt, at most ten minutes
PATIENCE_S = 120.0  # how long a worker waits for a database that went away
Told = Callable[[str], None]


@dataclass
class Counts:
    """What one worker did."""

    done: int = 0
    failed: int = 0
    dead: int = 0
    given_back: int = 0
    lost: int = 0
    seconds: float = 0.0
    runs: list[str] = field(default_factory=list)


def agenda_of(ws: Workspace) -> Agenda:
    return Agenda(ws.database, ws.ledger, ws.clock)


# --- putting on the agenda ---


def add(ws: Workspace, settings: Settings, wanted: Wanted, *, again: bool = False) -> Item:
    """Refuses what cannot be asked, and what was asked already (`again` asks anyway). Raises QuestionRefused, UnknownName or BadInput."""
    asked = question.ask(wanted.question, wiring.known_names(ws, wanted.question))
    wiring.sources_of(wanted.sources, ws, settings)
    mine = rules.Asked.of(asked)
    held = agenda_of(ws)
    if not again and (found := rules.duplicate(mine, known(ws, held))) is not None:
        name, why = found
        raise AskedAlready(f"{name} asks for the same ({why}).", mend="Use --again to ask anyway.", subject=name)
    values = {**wanted.__dict__, "question": asked.text, "facets": tuple(sorted(mine.facets))}
    return held.add(Wanted(**values))


def known(ws: Workspace, held: Agenda) -> list[tuple[str, rules.Asked]]:
    """Everything that is queued or was asked: agenda items that still count, and finished runs outside the agenda."""
    items = held.items()
    out = [(i.item_id, rules.Asked(i.question, frozenset(i.facets))) for i in items if i.state not in ("cancelled", "failed", "dead")]
    bound = {i.run_id for i in items if i.run_id}
    for row in ws.runs.list():
        if row.run_id in bound or row.state == "failed":
            continue
        try:
            facets = question.ask(row.question, dict(ws.runs.request(row.run_id).get("names", {}))).facets
        except SovereignError:
            continue  # a record that cannot be read is audit's to report; it must not stop the agenda
        out.append((row.run_id, rules.Asked(row.question, frozenset(f.id for f in facets))))
    return out


def suggest(ws: Workspace, *, at_most: int = 10) -> rules.Suggested:
    """Follow-ups of all finished runs, with their reasons. Queues nothing."""
    import json

    from sovereign import path

    runs = []
    for row in reversed(ws.runs.list()):
        pressed = ws.runs.finished_step(row.run_id, path.step_key("press", 0))
        if pressed is not None:
            files = json.loads(ws.blobs.get(pressed))
            runs.append(rules.past(json.loads(ws.blobs.get(files["draft.json"]))))
    names: dict[str, str] = {}
    for run in runs:
        names |= {f.text.lower(): f.text for f in run.facets if f.kind.value == "system"}

    def facets_of(text: str) -> frozenset[str]:
        return frozenset(f.id for f in question.ask(text, names).facets)

    return rules.suggest(runs, known(ws, agenda_of(ws)), facets_of=facets_of, at_most=at_most)


def name_of(suggestion: rules.Suggestion) -> str:
    """Stable while the runs stay the same, so that `agenda add --from-suggestion` names what `agenda suggest` showed."""
    return "s-" + seal.digest([suggestion.run_id, suggestion.question])[:8]


def add_suggestion(ws: Workspace, settings: Settings, name: str, *, sources: Sequence[str], priority: int = 0) -> Item:
    """The owner's consent to one suggestion."""
    offered = {name_of(s): s for s in suggest(ws, at_most=50).suggestions}
    if name not in offered:
        raise NotFound(f"There is no suggestion {name!r} now.", mend="Look: sovereign agenda suggest", subject=name)
    s = offered[name]
    wanted = Wanted(s.question, sources=tuple(sources), priority=priority, tags=(s.topic,), origin=f"suggested by {s.run_id}: {s.reason}")
    return add(ws, settings, wanted)


# --- the worker ---


def work(
    settings: Settings,
    *,
    worker: str = "",
    once: bool = False,
    lease_s: float = LEASE_S,
    poll_s: float = 1.0,
    stop: threading.Event | None = None,
    tell: Told = lambda _line: None,
) -> Counts:
    """Works until `stop` is set, or with `once` until nothing is left that could be taken now or later. Raises WorkspaceUnusable when the database
    stays away for longer than PATIENCE_S."""
    counts, began = Counts(), time.perf_counter()
    stop = stop or threading.Event()
    worker = worker or worker_name()
    away_since: float | None = None
    while not stop.is_set():
        try:
            with wiring.workspace(settings) as ws:
                wiring.ensure_default_library(ws, settings)
                held = agenda_of(ws)
                away_since = None
                while not stop.is_set():
                    item = held.take(worker, lease_s=lease_s, limits=settings.agenda_limits)
                    if item is not None:
                        _one(ws, held, settings, item, lease_s, counts, stop, tell)
                    elif not _standing(ws, held, settings, tell):
                        if once and not _open(held):
                            stop.set()
                        stop.wait(poll_s)
        except WorkspaceUnusable as exc:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > PATIENCE_S:
                raise
            tell(f"{worker}: the database is away ({exc.message}); waiting")
            stop.wait(min(5.0, 2 * poll_s))
    counts.seconds = time.perf_counter() - began
    return counts


def _open(held: Agenda) -> bool:
    """Whether anything may still become ours: queued, or running elsewhere under a lease that could end, or waiting for one of those."""
    return any(i.state in ("queued", "running") for i in held.items(("queued", "running")))


def _standing(ws: Workspace, held: Agenda, settings: Settings, tell: Told) -> bool:
    """The owner's standing rule: with agenda_standing > 0 an empty agenda takes that many suggestions, once each. Whether one was queued."""
    if not settings.agenda_standing or _open(held):
        return False
    given = sum(i.origin.startswith("standing rule") for i in held.items())
    added = False
    for s in suggest(ws).suggestions[: max(0, settings.agenda_standing - given)]:
        wanted = Wanted(
            s.question, sources=settings.sources, tags=(s.topic,), priority=-1, origin=f"standing rule; suggested by {s.run_id}: {s.reason}"
        )
        try:
            item = add(ws, settings, wanted)
        except BadInput as exc:
            tell(f"not queued: {exc.line()}")
            continue
        tell(f"{item.item_id} queued by the standing rule: {item.question}")
        added = True
    return added


def _one(
    ws: Workspace, held: Agenda, settings: Settings, item: Item, lease_s: float, counts: Counts, stop: threading.Event, tell: Told
) -> None:
    """One item from its lease to its end. Every way out is written down, in the item or in the lease that will end."""
    tell(f"{item.item_id} {'goes on' if item.run_id else 'begins'}: {item.question}")
    with _Heart(held, item, lease_s) as heart:

        def guard(_station: str, _state: str) -> None:
            if stop.is_set():
                raise Interrupted("The worker was asked to stop.")
            if heart.state != "held":
                raise Interrupted(f"The item is {heart.state}.")

        try:
            run_id = item.run_id or _begin(ws, held, settings, item)
            chosen = settings if item.budget_usd is None else settings.model_copy(update={"model_budget_usd": item.budget_usd})
            wiring.resume(chosen, run_id, progress=guard)
        except Interrupted as exc:
            _interrupted(ws, held, item, exc, heart, stop, counts, tell)
            return
        except WorkspaceUnusable:
            counts.given_back += 1  # the lease ends by itself when the database is away; the item is then taken over with its run
            raise
        except Busy as exc:  # a worker that lost its lease has not reached its next station yet
            held.give_back(item, exc.message, pause_s=1.0, counts=False)
            counts.given_back += 1
            return
        except OutsideFailed as exc:
            pause = min(600.0, BACKOFF_S * 2 ** (item.attempts - 1))
            state = held.give_back(item, exc.line(), pause_s=pause)
            counts.dead += state == "dead"
            counts.given_back += state == "queued"
            tell(f"{item.item_id} {state}: {exc.line()}")
            return
        except SovereignError as exc:
            if held.finish(item, "failed", exc.line()):
                counts.failed += 1
            tell(f"{item.item_id} failed: {exc.line()}")
            return
    if held.finish(item, "done"):
        counts.done += 1
        counts.runs.append(run_id)
        tell(f"{item.item_id} done: run {run_id} waits for the owner")
    else:
        counts.lost += 1
        tell(f"{item.item_id} was ended by another worker")


def _begin(ws: Workspace, held: Agenda, settings: Settings, item: Item) -> str:
    """The run of an item, created and bound to it in one transaction: a worker killed here leaves either both or nothing."""
    sources = item.sources or settings.sources
    request = wiring.prepare(
        ws,
        settings,
        item.question,
        sources=sources,
        lab=item.lab,
        model=item.model or settings.model,
        reviewers=() if item.model else settings.reviewers,
    )
    with ws.database.write() as tx:
        name = wiring.run_name(settings, request)
        row = ws.runs.create_in(tx, name, request.question, seal.plain(request), at=ws.clock.now())
        held.bind(tx, item, row.run_id)
    wiring.announce(
        ws, settings if item.budget_usd is None else settings.model_copy(update={"model_budget_usd": item.budget_usd}), row.run_id, request
    )
    return row.run_id


def _interrupted(
    ws: Workspace, held: Agenda, item: Item, exc: Interrupted, heart: _Heart, stop: threading.Event, counts: Counts, tell: Told
) -> None:
    if heart.state == "held" and stop.is_set():
        held.give_back(item, "its worker was asked to stop", counts=False)
        counts.given_back += 1
    elif heart.state == "cancelled":
        bound = held.get(item.item_id).run_id
        if bound:
            ws.runs.set_state(bound, "failed", "cancelled on the agenda; sovereign agenda retry goes on with it")
    else:
        counts.lost += heart.state == "lost"
    tell(f"{item.item_id} stopped: {exc.message}")


class _Heart:
    """Renews the lease in a thread of its own, at a third of its length. `state`: held, lost, paused or cancelled."""

    def __init__(self, held: Agenda, item: Item, lease_s: float):
        self.state = "held"
        self._held, self._item, self._lease_s = held, item, lease_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{item.item_id}", daemon=True)

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(self._lease_s / 3):
            try:
                self.state = self._held.renew(self._item, lease_s=self._lease_s)
                last = time.monotonic()
            except WorkspaceUnusable:
                if time.monotonic() - last > self._lease_s:  # nobody can tell us, but by now another worker may hold it
                    self.state = "lost"
            if self.state != "held":
                return

    def __enter__(self) -> _Heart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=self._lease_s)


# --- several processes ---


def supervise(command: Sequence[str], workers: int, *, stop: threading.Event, tell: Told) -> list[int]:
    """Starts `workers` processes of this command with their names, starts one again that was killed, and waits for all. Exit codes of the last ones.

    A worker killed more than 100 times in a row is left alone: something ends it on purpose.
    """
    children: list[subprocess.Popen[Any]] = [_spawn(command, n) for n in range(workers)]
    deaths = [0] * workers
    while not stop.is_set() and any(c.poll() is None for c in children):
        for n, child in enumerate(children):
            code = child.poll()
            if code is not None and code < 0 and deaths[n] < 100:
                deaths[n] += 1
                tell(f"worker {n + 1} was killed by signal {-code}; starting another")
                children[n] = _spawn(command, n)
        stop.wait(0.2)
    for child in children:
        if child.poll() is None:
            child.terminate()
    return [c.wait() for c in children]


def _spawn(command: Sequence[str], n: int) -> subprocess.Popen[Any]:
    code = "from sovereign.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *command, "--name", f"{worker_name()}-{n + 1}"], stdin=subprocess.DEVNULL)


def worker_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"
