"""One open workspace: database, blobs, ledger, runs and library under one folder. Imports the store's own files; refuses adapters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sovereign.ports import Clock
from sovereign.records import Paper
from sovereign.store.blobs import BlobStore
from sovereign.store.database import Database
from sovereign.store.ledger import WORKSPACE, Ledger
from sovereign.store.library import Library
from sovereign.store.runs import RunStore


class Workspace:
    """Satisfies ports.Store. `embedder`: by which name the vectors of its index are made."""

    def __init__(self, home: Path, clock: Clock, url: str = "", embedder: str = ""):
        self.home, self.clock, self.embedder = home, clock, embedder
        self.database = Database(home, url)
        self.blobs = BlobStore(self.database)
        self.ledger = Ledger(self.database)
        self.runs = RunStore(self.database, self.blobs, self.ledger)
        self.library = Library(self.database, self.blobs)

    def papers(self) -> Iterable[Paper]:
        return self.library.papers()

    def append_event(self, run_id: str | None, kind: str, body: Mapping[str, Any]) -> str:
        return self.ledger.append(run_id or WORKSPACE, kind, body, at=self.clock.now()).hash

    def run_folder(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    def close(self) -> None:
        self.database.close()
