"""The append-only, hash-chained record of every event. Imports database and seal; refuses to change or remove what is written.

One chain per scope (a run, or the workspace itself), so that an exported run can be verified without the workspace. The event that closes
a step carries the step's key and output: whoever finds it need not, and must not, do the step again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sovereign import seal
from sovereign.errors import IntegrityBroken
from sovereign.store.database import Database
from sovereign.store.database import events as table

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Event:
    scope: str
    seq: int
    kind: str
    body: Mapping[str, Any]
    previous: str
    hash: str
    step_key: str | None = None


class Ledger:
    def __init__(self, database: Database):
        self.database = database

    def append(self, scope: str, kind: str, body: Mapping[str, Any], *, at: str) -> Event:
        return self.append_all(scope, [(kind, body)], at=at)[0]

    def append_all(
        self, scope: str, entries: Sequence[tuple[str, Mapping[str, Any]]], *, at: str, step_key: str | None = None
    ) -> list[Event]:
        """Appends in one transaction. With `step_key` the last entry closes that step; closing a step twice raises IntegrityError."""
        with self.database.write() as tx:
            return self.append_in(tx, scope, entries, at=at, step_key=step_key)

    def append_in(
        self, tx: sa.Connection, scope: str, entries: Sequence[tuple[str, Mapping[str, Any]]], *, at: str, step_key: str | None = None
    ) -> list[Event]:
        self.database.lock(tx, scope)
        last = tx.execute(sa.select(table.c.seq, table.c.hash).where(table.c.scope == scope).order_by(table.c.seq.desc()).limit(1)).first()
        seq, previous = (last[0] + 1, last[1]) if last else (0, seal.GENESIS)
        written = []
        for i, (kind, body) in enumerate(entries):
            closes = step_key if i == len(entries) - 1 else None
            event = _sealed(scope, seq, kind, {**seal.plain(body), "at": at}, previous, closes)
            tx.execute(
                table.insert().values(
                    scope=scope,
                    seq=seq,
                    kind=kind,
                    step_key=closes,
                    body=seal.canonical(event.body).decode(),
                    previous=previous,
                    hash=event.hash,
                )
            )
            written.append(event)
            seq, previous = seq + 1, event.hash
        return written

    def closed(self, scope: str, step_key: str) -> Mapping[str, Any] | None:
        """The body of the event that closed this step, or None."""
        with self.database.read() as connection:
            row = connection.execute(sa.select(table.c.body).where(table.c.scope == scope, table.c.step_key == step_key)).first()
        return json.loads(row[0]) if row else None

    def events(self, scope: str, kind: str | None = None) -> list[Event]:
        query = sa.select(table).where(table.c.scope == scope).order_by(table.c.seq)
        if kind:
            query = query.where(table.c.kind == kind)
        with self.database.read() as connection:
            return [Event(r.scope, r.seq, r.kind, json.loads(r.body), r.previous, r.hash, r.step_key) for r in connection.execute(query)]

    def scopes(self) -> list[str]:
        with self.database.read() as connection:
            return [r[0] for r in connection.execute(sa.select(table.c.scope).distinct().order_by(table.c.scope))]

    def head(self, scope: str) -> str:
        with self.database.read() as connection:
            row = connection.execute(sa.select(table.c.hash).where(table.c.scope == scope).order_by(table.c.seq.desc()).limit(1)).first()
        return row[0] if row else seal.GENESIS


def _sealed(scope: str, seq: int, kind: str, body: Mapping[str, Any], previous: str, step_key: str | None) -> Event:
    covered = {"scope": scope, "seq": seq, "kind": kind, "step_key": step_key, "body": body}
    return Event(scope, seq, kind, body, previous, seal.link(previous, covered), step_key)


def verify_chain(events: Iterable[Event]) -> int:
    """The number of events, when every link holds. Raises IntegrityBroken with the place of the first that does not."""
    previous, count = seal.GENESIS, 0
    for event in events:
        where = f"event {event.seq} ({event.kind}) of {event.scope}"
        if event.seq != count:
            raise IntegrityBroken(f"The ledger has a gap before {where}: expected number {count}.", subject=event.scope)
        if event.previous != previous:
            raise IntegrityBroken(f"The ledger is broken at {where}: it does not follow the event before it.", subject=event.scope)
        if _sealed(event.scope, event.seq, event.kind, event.body, event.previous, event.step_key).hash != event.hash:
            raise IntegrityBroken(f"The ledger is broken at {where}: its content was changed.", subject=event.scope)
        previous, count = event.hash, count + 1
    return count
