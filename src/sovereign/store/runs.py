"""Runs and the steps they have finished. Imports database, blobs and ledger; refuses to know what a step does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from sovereign import seal
from sovereign.errors import NotFound
from sovereign.store.blobs import BlobStore
from sovereign.store.database import Database
from sovereign.store.database import runs as table
from sovereign.store.database import timings as timing_table
from sovereign.store.ledger import Ledger

T = TypeVar("T")


@dataclass(frozen=True)
class RunRow:
    run_id: str
    question: str
    created_at: str
    state: str  # running | waiting_for_owner | failed | approved | rejected | sent_back | published
    request: str  # blob of the request
    error: str = ""


class RunStore:
    def __init__(self, database: Database, blobs: BlobStore, ledger: Ledger):
        self.database, self.blobs, self.ledger = database, blobs, ledger

    def create(self, base_id: str, question: str, request: Mapping[str, Any], *, at: str) -> RunRow:
        """A new run named `base_id`, or `base_id-2`, `-3` … when the same request was made before."""
        with self.database.write() as tx:
            return self.create_in(tx, base_id, question, request, at=at)

    def create_in(self, tx: sa.Connection, base_id: str, question: str, request: Mapping[str, Any], *, at: str) -> RunRow:
        """The same inside the caller's transaction."""
        self.database.lock(tx, "runs")
        taken = {r[0] for r in tx.execute(sa.select(table.c.run_id).where(table.c.run_id.startswith(base_id)))}
        run_id = next(c for c in (base_id, *(f"{base_id}-{n}" for n in range(2, 100_000))) if c not in taken)
        digest = self.blobs.put_in(tx, seal.canonical(request))
        row = RunRow(run_id, question, at, "running", digest)
        tx.execute(table.insert().values(**row.__dict__))
        self.ledger.append_in(tx, run_id, [("run_started", {"run_id": run_id, "question": question, "request": digest})], at=at)
        return row

    def get(self, run_id: str) -> RunRow:
        with self.database.read() as connection:
            row = connection.execute(sa.select(table).where(table.c.run_id == run_id)).first()
        if row is None:
            known = ", ".join(r.run_id for r in self.list()[:5]) or "none yet"
            raise NotFound(f"No run {run_id!r} in {self.database.home}.", mend=f"Latest runs: {known}.", subject=run_id)
        return RunRow(**row._mapping)

    def list(self) -> list[RunRow]:
        with self.database.read() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.created_at.desc(), table.c.run_id))
            return [RunRow(**r._mapping) for r in rows]

    def fail(self, run_id: str, error: str) -> None:
        """From running only: a late worker's trouble must not undo what another one has finished."""
        with self.database.write() as tx:
            mine = (table.c.run_id == run_id) & (table.c.state == "running")
            tx.execute(table.update().where(mine).values(state="failed", error=error))

    def end(self, run_id: str) -> None:
        """To the owner, from the path's own states only: a run that the owner has decided on stays decided."""
        with self.database.write() as tx:
            mine = (table.c.run_id == run_id) & table.c.state.in_(("running", "failed"))
            tx.execute(table.update().where(mine).values(state="waiting_for_owner", error=""))

    def set_state(self, run_id: str, state: str, error: str = "") -> None:
        with self.database.write() as tx:
            tx.execute(table.update().where(table.c.run_id == run_id).values(state=state, error=error))

    def finish_step(
        self, run_id: str, step_key: str, output: Any, events: Sequence[tuple[str, Mapping[str, Any]]], *, at: str, seconds: float
    ) -> str:
        """Output, events and the closing mark appear together or not at all. Returns the digest of the output record."""
        with self.database.write() as tx:
            digest = self.blobs.put_in(tx, seal.canonical(output))
            closing = ("station_done", {"step": step_key, "output": digest})
            self.ledger.append_in(tx, run_id, [*events, closing], at=at, step_key=step_key)
            tx.execute(timing_table.delete().where(timing_table.c.run_id == run_id, timing_table.c.step_key == step_key))
            tx.execute(timing_table.insert().values(run_id=run_id, step_key=step_key, seconds=seconds))
        return digest

    def finish_once(
        self, run_id: str, step_key: str, output: Any, events: Sequence[tuple[str, Mapping[str, Any]]], *, at: str, seconds: float
    ) -> str:
        """The same where two workers may have done one step (the first had lost its lease): the first to close it counts for both."""
        try:
            return self.finish_step(run_id, step_key, output, events, at=at, seconds=seconds)
        except sa.exc.IntegrityError:
            held = self.finished_step(run_id, step_key)
            if held is None:
                raise
            return held

    def finished_step(self, run_id: str, step_key: str) -> str | None:
        closed = self.ledger.closed(run_id, step_key)
        return str(closed["output"]) if closed else None

    def steps(self, run_id: str) -> dict[str, str]:
        """step key -> output digest, in the order of the ledger."""
        return {str(e.step_key): str(e.body["output"]) for e in self.ledger.events(run_id, "station_done") if e.step_key}

    def timings(self, run_id: str) -> dict[str, float]:
        with self.database.read() as connection:
            rows = connection.execute(sa.select(timing_table).where(timing_table.c.run_id == run_id))
            return {r.step_key: r.seconds for r in rows}

    def load(self, kind: type[T], digest: str) -> T:
        return seal.revive(kind, self.blobs.get(digest))

    def request(self, run_id: str) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.blobs.get(self.get(run_id).request))
        return body
