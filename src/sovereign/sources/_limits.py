"""How often each service may be asked, and one budget per service for all processes of a workspace (SQLite, write-ahead log).

Imports errors and the standard library. Refuses to sleep: it hands out time slots; the caller waits with its own clock.

The limits are the services' published ones, read in November 2026; what a response header says goes before what stands here.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Policy:
    """The terms of one service. `interval_s`: least pause between two requests; `burst`: how many may go at once after a rest.

    heuristic_ttl_s: how long an answer without cache headers may be reused (only from the service's own host). cost: allowance units of
    one search. attempts: how often one request is tried in all.
    """

    name: str
    interval_s: float
    burst: int = 1
    concurrency: int = 4
    heuristic_ttl_s: float = 0.0
    cost: int = 0
    attempts: int = 3
    hosts: tuple[str, ...] = ()


DAY_S = 86_400.0

POLICIES = {
    # info.arxiv.org/help/api/tou.html: one request every three seconds, one connection at a time; results change once a day (user manual).
    # A 429 there is the whole service being over its limit: a second try is enough.
    "arxiv": Policy(
        "arxiv", 3.0, concurrency=1, heuristic_ttl_s=DAY_S / 4, attempts=3, hosts=("arxiv.org", "export.arxiv.org", "www.arxiv.org")
    ),
    # semanticscholar.org/product/api: 1 request/s with a key; without one everybody shares a pool (formerly 100 per 5 minutes: 3 s apart).
    "semantic_scholar": Policy("semantic_scholar", 3.0, heuristic_ttl_s=DAY_S / 24, hosts=("api.semanticscholar.org",)),
    # developers.openalex.org, authentication: a search costs 10 credits, a filtered list 1, one entity 0; 1 000 credits a day without a key
    # and 10 000 with the free key, announced in x-ratelimit-*; at most 100 requests/s, of which we use 10.
    "openalex": Policy("openalex", 0.1, heuristic_ttl_s=DAY_S / 4, cost=10, hosts=("api.openalex.org",)),
    # crossref.org REST access: public pool 1 list request/s, polite pool 3; announced in x-rate-limit-limit and x-rate-limit-interval.
    "crossref": Policy("crossref", 1.0, concurrency=1, heuristic_ttl_s=DAY_S / 4, hosts=("api.crossref.org",)),
    # support.datacite.org/docs/rate-limit: 500 requests per 5 minutes and address, 1 000 with a mail address; we keep an even pace, ten at once.
    "datacite": Policy("datacite", 0.6, burst=10, heuristic_ttl_s=DAY_S / 4, hosts=("api.datacite.org",)),
    # Publishers and repositories of open full text: no published number; one request per two seconds and host.
    "full_text": Policy("full_text", 2.0, concurrency=2, heuristic_ttl_s=DAY_S),
}


def policy_for(name: str, *, key: bool = False, polite: bool = False) -> Policy:
    policy = POLICIES[name]
    if name == "semantic_scholar" and key:
        return replace(policy, interval_s=1.0)
    if name == "crossref" and polite:
        return replace(policy, interval_s=0.34, concurrency=3)
    if name == "datacite" and polite:
        return replace(policy, interval_s=0.3)
    return policy


class Standing(NamedTuple):
    """What is known of one service in this workspace; None is unknown."""

    remaining: int | None = None
    allowance: int | None = None
    resets_at: float | None = None
    blocked_until: float | None = None
    last_success_at: float | None = None
    last_failure_at: float | None = None
    last_failure: str | None = None
    last_failure_kind: str | None = None


class Exhausted(Exception):
    """No slot within the caller's patience; `wait_s` until there may be one. `why`: allowance (the day's is spent), blocked, busy."""

    def __init__(self, wait_s: float, why: str):
        super().__init__(f"next slot in {wait_s:.0f} s ({why})")
        self.wait_s = wait_s
        self.why = why


_SCHEMA = """
CREATE TABLE IF NOT EXISTS budget (
  name TEXT PRIMARY KEY, next_free REAL NOT NULL DEFAULT 0, remaining INTEGER, allowance INTEGER, resets_at REAL, blocked_until REAL,
  last_success_at REAL, last_failure_at REAL, last_failure TEXT, last_failure_kind TEXT
)
"""
_BUSY_S = 10.0


class Budget:
    """Time slots and allowances in `state_dir/http.sqlite3`. Every call opens and closes its own connection: safe in threads and forks."""

    def __init__(self, state_dir: Path):
        self.path = state_dir / "http.sqlite3"

    def reserve(self, policy: Policy, now: float, patience_s: float, *, name: str | None = None, cost: int = 0) -> float:
        """Seconds to wait before the request may go; the slot is taken for every process. Raises Exhausted when it is too far away.

        A generic cell rate: after a rest, `burst` requests may go at once, then one per interval (ITU-T I.371, virtual scheduling).
        """
        name = name or policy.name
        with self._changing(name) as db:
            row = db.execute("SELECT next_free, remaining, resets_at, blocked_until FROM budget WHERE name = ?", (name,)).fetchone()
            next_free, remaining, resets_at, blocked_until = row
            if remaining is not None and remaining < cost and resets_at is not None and now < resets_at:
                raise Exhausted(resets_at - now, "allowance")
            slot = max(now, next_free - (policy.burst - 1) * policy.interval_s, blocked_until or 0.0)
            if slot - now > patience_s:
                raise Exhausted(slot - now, "blocked" if slot == blocked_until else "busy")
            left = None if remaining is None or (resets_at is not None and now >= resets_at) else max(0, remaining - cost)
            after = max(slot, next_free) + policy.interval_s
            db.execute("UPDATE budget SET next_free = ?, remaining = ? WHERE name = ?", (after, left, name))
        return float(slot - now)

    def block(self, name: str, until: float) -> None:
        """The service asked for a pause (Retry-After): nobody in this workspace asks before `until`."""
        with self._changing(name) as db:
            db.execute("UPDATE budget SET blocked_until = max(coalesce(blocked_until, 0), ?) WHERE name = ?", (until, name))

    def announce(self, name: str, remaining: int | None, allowance: int | None, resets_at: float | None) -> None:
        with self._changing(name) as db:
            db.execute(
                "UPDATE budget SET remaining = ?, allowance = ?, resets_at = ? WHERE name = ?", (remaining, allowance, resets_at, name)
            )

    def succeeded(self, name: str, now: float) -> None:
        with self._changing(name) as db:
            db.execute("UPDATE budget SET last_success_at = ? WHERE name = ?", (now, name))

    def failed(self, name: str, now: float, kind: str, reason: str) -> None:
        with self._changing(name) as db:
            db.execute(
                "UPDATE budget SET last_failure_at = ?, last_failure_kind = ?, last_failure = ? WHERE name = ?", (now, kind, reason, name)
            )

    def standing(self, name: str) -> Standing:
        """All None when nothing is known yet; never creates the file."""
        if not self.path.is_file():
            return Standing()
        try:
            with contextlib.closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as db:
                columns = ", ".join(Standing._fields)
                row = db.execute(f"SELECT {columns} FROM budget WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error:
            return Standing()
        return Standing(*row) if row else Standing()

    @contextlib.contextmanager
    def _changing(self, name: str) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(self._opened()) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                db.execute("INSERT OR IGNORE INTO budget (name) VALUES (?)", (name,))
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _opened(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        patience = time.monotonic() + _BUSY_S
        while True:
            try:
                return self._connected()
            except sqlite3.OperationalError as exc:
                # Two first comers switching to the write-ahead log: SQLite answers "locked" at once, whatever the timeout says.
                if "locked" not in str(exc) or time.monotonic() > patience:
                    raise
                time.sleep(0.01)
            except sqlite3.DatabaseError:
                # Not a database any more. It holds politeness only, nothing that cannot be learnt again.
                for name in (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
                    name.unlink(missing_ok=True)
                if time.monotonic() > patience:
                    raise

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")  # losing the last slot in a power cut costs one early request
            db.execute(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db
