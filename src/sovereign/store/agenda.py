"""The queue of questions: who asked what, in which order, who works on it, and how it ended. Imports database and ledger; refuses to run anything.

States: queued (may be taken) · waiting (for the items it depends on) · running (under a lease) · done (its run waits for the owner) · failed (it cannot
be done as asked) · dead (it was tried as often as allowed; with the reason) · paused · cancelled. A lease that is not renewed ends, and the next
worker takes the item over with its run. Every change of state and its event are one transaction, so each item ends exactly once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from sovereign import seal
from sovereign.errors import BadInput, NotFound
from sovereign.ports import Clock
from sovereign.store.database import Database, metadata
from sovereign.store.ledger import WORKSPACE, Ledger

STATES = ("queued", "waiting", "running", "done", "failed", "dead", "paused", "cancelled")
OPEN = ("queued", "waiting", "running", "paused")

table = sa.Table(
    "agenda",
    metadata,
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False, index=True),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("facets", sa.Text, nullable=False),  # JSON list of facet ids
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("depends_on", sa.Text, nullable=False),  # JSON list of item ids
    sa.Column("tags", sa.Text, nullable=False),  # JSON list; the first one is the group for fairness
    sa.Column("sources", sa.Text, nullable=False),  # JSON list
    sa.Column("lab", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("budget_usd", sa.Float),  # null: the settings' cap per run
    sa.Column("origin", sa.Text, nullable=False),  # "owner", or why it was suggested
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("not_before", sa.Float, nullable=False),  # seconds since 1970
    sa.Column("lease_owner", sa.Text, nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),  # seconds since 1970, by the shared clock
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("added_at", sa.Text, nullable=False),
)


@dataclass(frozen=True)
class Item:
    item_id: str
    seq: int
    question: str
    facets: tuple[str, ...]
    priority: int = 0
    depends_on: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    lab: str = "off"
    model: str = ""
    budget_usd: float | None = None
    origin: str = "owner"
    state: str = "queued"
    attempts: int = 0
    max_attempts: int = 5
    not_before: float = 0.0
    lease_owner: str = ""
    lease_until: float = 0.0
    run_id: str = ""
    reason: str = ""
    added_at: str = ""

    @property
    def group(self) -> str:
        return self.tags[0] if self.tags else ""


@dataclass(frozen=True)
class Wanted:
    """What is put on the agenda."""

    question: str
    facets: tuple[str, ...] = ()
    priority: int = 0
    depends_on: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("local",)
    lab: str = "off"
    model: str = ""
    budget_usd: float | None = None
    origin: str = "owner"
    max_attempts: int = 5


_LISTS = ("facets", "depends_on", "tags", "sources")


class Agenda:
    def __init__(self, database: Database, ledger: Ledger, clock: Clock):
        self.database, self.ledger, self.clock = database, ledger, clock
        with database.read() as connection:
            there = sa.inspect(connection).has_table(table.name)
        if not there:
            with database.write() as tx:
                database.lock(tx, "schema")
                metadata.create_all(tx, tables=[table])

    @contextmanager
    def _change(self) -> Iterator[sa.Connection]:
        with self.database.write() as tx:
            self.database.lock(tx, "agenda")
            yield tx

    # --- adding and looking ---

    def add(self, wanted: Wanted) -> Item:
        """At the end of the queue. Raises NotFound for a dependency that does not exist, BadInput for one that can no longer be done."""
        with self._change() as tx:
            known = {i.item_id: i for i in self._all(tx)}
            for name in wanted.depends_on:
                if name not in known:
                    raise NotFound(f"There is no item {name!r} to depend on.", mend="Look: sovereign agenda list", subject=name)
                if known[name].state in ("cancelled", "dead", "failed"):
                    raise BadInput(
                        f"Item {name} is {known[name].state}; nothing can wait for it.", mend=f"Run: sovereign agenda retry {name}"
                    )
            base = "q-" + seal.digest([wanted.question, sorted(wanted.facets)])[:8]
            item_id = next(c for c in (base, *(f"{base}-{n}" for n in range(2, 100_000))) if c not in known)
            open_ones = [d for d in wanted.depends_on if known[d].state != "done"]
            item = Item(
                item_id=item_id,
                seq=1 + max((i.seq for i in known.values()), default=0),
                state="waiting" if open_ones else "queued",
                reason=f"waits for {', '.join(open_ones)}" if open_ones else "",
                added_at=self.clock.now(),
                **{f.name: getattr(wanted, f.name) for f in fields(Wanted)},
            )
            tx.execute(table.insert().values(**_row(item)))
            self._tell(tx, "agenda_added", item, question=item.question, origin=item.origin)
        return item

    def items(self, states: Sequence[str] = STATES) -> list[Item]:
        with self.database.read() as connection:
            return self._all(connection, states)

    def get(self, item_id: str) -> Item:
        with self.database.read() as connection:
            row = connection.execute(sa.select(table).where(table.c.item_id == item_id)).first()
        if row is None:
            raise NotFound(f"There is no item {item_id!r} on the agenda.", mend="Look: sovereign agenda list", subject=item_id)
        return _item(row)

    # --- working ---

    def take(self, worker: str, *, lease_s: float, limits: Mapping[str, int] | None = None) -> Item | None:
        """The next item under a lease of `lease_s` seconds, or None. Items of dead workers come first, then priority, then the group with fewest
        running items, then age. `limits`: source or "model" -> how many running items of all workers may use it."""
        with self._change() as tx:
            now = self.database.now(tx)
            self._release_waiting(tx)
            items = self._all(tx, ("queued", "running"))
            busy = [i for i in items if i.state == "running" and i.lease_until >= now]
            lost = [i for i in items if i.state == "running" and i.lease_until < now]
            for item in [i for i in lost if i.attempts >= i.max_attempts]:
                self._end(tx, item, "dead", f"its worker died {item.attempts} times; the last was {item.lease_owner}")
            ready = [i for i in items if i.state == "queued" and i.not_before <= now and _allowed(i, busy, limits or {})]
            ready.sort(key=lambda i: (-i.priority, sum(b.group == i.group for b in busy), i.seq))
            chosen = next((i for i in (*sorted(lost, key=lambda i: i.seq), *ready) if i.attempts < i.max_attempts), None)
            if chosen is None:
                return None
            if chosen.state == "running":
                self._tell(tx, "agenda_taken_over", chosen, by=worker, was=chosen.lease_owner)
            values = {
                "state": "running",
                "lease_owner": worker,
                "lease_until": now + lease_s,
                "attempts": chosen.attempts + 1,
                "reason": "",
            }
            tx.execute(table.update().where(table.c.item_id == chosen.item_id).values(**values))
            row = tx.execute(sa.select(table).where(table.c.item_id == chosen.item_id)).one()
        return _item(row)

    def bind(self, tx: sa.Connection, item: Item, run_id: str) -> None:
        """The item's run, in the transaction that creates it: a second run for one item cannot exist."""
        done = tx.execute(table.update().where(_mine(item), table.c.run_id == "").values(run_id=run_id))
        if done.rowcount != 1:
            raise BadInput(f"Item {item.item_id} is held by another worker.", mend="Look: sovereign agenda list")

    def renew(self, item: Item, *, lease_s: float) -> str:
        """Keeps the lease. Gives "held", or what became of it: lost, paused or cancelled."""
        with self._change() as tx:
            until = self.database.now(tx) + lease_s
            if tx.execute(table.update().where(_mine(item)).values(lease_until=until)).rowcount:
                return "held"
            state = tx.execute(sa.select(table.c.state).where(table.c.item_id == item.item_id)).scalar()
        return state if state in ("paused", "cancelled") else "lost"

    def finish(self, item: Item, state: str, reason: str = "") -> bool:
        """Ends an item that this worker still holds; False where it does not any more, and then nothing changed."""
        with self._change() as tx:
            if tx.execute(sa.select(table.c.seq).where(_mine(item))).first() is None:
                return False
            self._end(tx, item, state, reason)
        return True

    def give_back(self, item: Item, reason: str, *, pause_s: float = 0.0, counts: bool = True) -> str:
        """Puts an item back into the queue after a trouble that may pass; dead when it was tried as often as allowed. Its new state."""
        with self._change() as tx:
            if tx.execute(sa.select(table.c.seq).where(_mine(item))).first() is None:
                return "lost"
            if counts and item.attempts >= item.max_attempts:
                self._end(tx, item, "dead", f"tried {item.attempts} times; the last time: {reason}")
                return "dead"
            values: dict[str, Any] = {"state": "queued", "lease_owner": "", "lease_until": 0.0, "reason": reason}
            values |= {"not_before": self.database.now(tx) + pause_s, "attempts": item.attempts if counts else item.attempts - 1}
            tx.execute(table.update().where(table.c.item_id == item.item_id).values(**values))
        return "queued"

    # --- the owner's hand ---

    def steer(self, item_id: str, wish: str) -> Item:
        """pause, cancel or retry. A running item is told at its next station; its run stays on record, and retry goes on with it."""
        allowed = {
            "pause": ("queued", "waiting", "running"),
            "cancel": ("queued", "waiting", "running", "paused", "failed", "dead"),
            "retry": ("failed", "dead", "paused", "cancelled"),
        }[wish]
        with self._change() as tx:
            row = tx.execute(sa.select(table).where(table.c.item_id == item_id)).first()
            if row is None:
                raise NotFound(f"There is no item {item_id!r} on the agenda.", mend="Look: sovereign agenda list", subject=item_id)
            item = _item(row)
            if item.state not in allowed:
                raise BadInput(
                    f"Item {item_id} is {item.state}; it cannot be asked to {wish}.", mend=f"Possible for: {', '.join(allowed)}."
                )
            state = {"pause": "paused", "cancel": "cancelled", "retry": "waiting" if item.depends_on else "queued"}[wish]
            values: dict[str, Any] = {"state": state, "lease_owner": "", "lease_until": 0.0, "reason": "", "not_before": 0.0}
            if wish == "retry":
                values["attempts"] = 0
            tx.execute(table.update().where(table.c.item_id == item_id).values(**values))
            self._tell(tx, f"agenda_{state}" if wish != "retry" else "agenda_retried", item)
        return self.get(item_id)

    # --- glue ---

    def _release_waiting(self, tx: sa.Connection) -> None:
        waiting = self._all(tx, ("waiting",))
        if not waiting:
            return
        states = {r.item_id: r.state for r in tx.execute(sa.select(table.c.item_id, table.c.state))}
        for item in waiting:
            blocked = [d for d in item.depends_on if states.get(d) != "done"]
            stuck = [d for d in blocked if states.get(d) in ("failed", "dead", "cancelled")]
            values: dict[str, Any] = {"state": "queued", "reason": ""} if not blocked else {"reason": f"waits for {', '.join(blocked)}"}
            if stuck:
                values["reason"] = f"waits for {', '.join(f'{d} ({states[d]})' for d in stuck)}; retry or cancel"
            if values["reason"] != item.reason or "state" in values:
                tx.execute(table.update().where(table.c.item_id == item.item_id).values(**values))

    def _end(self, tx: sa.Connection, item: Item, state: str, reason: str) -> None:
        values = {"state": state, "reason": reason, "lease_owner": "", "lease_until": 0.0}
        tx.execute(table.update().where(table.c.item_id == item.item_id).values(**values))
        run_id = tx.execute(sa.select(table.c.run_id).where(table.c.item_id == item.item_id)).scalar()
        self._tell(tx, f"agenda_{state}", item, run=run_id, reason=reason)

    def _tell(self, tx: sa.Connection, kind: str, item: Item, **more: Any) -> None:
        self.ledger.append_in(tx, WORKSPACE, [(kind, {"item": item.item_id, **more})], at=self.clock.now())

    def _all(self, connection: sa.Connection, states: Sequence[str] = STATES) -> list[Item]:
        query = sa.select(table).where(table.c.state.in_(states)).order_by(table.c.seq)
        return [_item(r) for r in connection.execute(query)]


def _mine(item: Item) -> sa.ColumnElement[bool]:
    """Still the same lease: a worker that lost it and a later lease of the same worker must not be confused, hence the attempt."""
    return sa.and_(
        table.c.item_id == item.item_id,
        table.c.state == "running",
        table.c.lease_owner == item.lease_owner,
        table.c.attempts == item.attempts,
    )


def _allowed(item: Item, busy: Sequence[Item], limits: Mapping[str, int]) -> bool:
    return not any(_uses(item, name) and sum(_uses(b, name) for b in busy) >= most for name, most in limits.items())


def _uses(item: Item, name: str) -> bool:
    return bool(item.model) if name == "model" else name in item.sources


def _row(item: Item) -> dict[str, Any]:
    held = {f.name: getattr(item, f.name) for f in fields(Item)}
    return held | {n: json.dumps(list(held[n]), ensure_ascii=False) for n in _LISTS}


def _item(row: Any) -> Item:
    held = dict(row._mapping)
    return Item(**{**held, **{n: tuple(json.loads(held[n])) for n in _LISTS}})
