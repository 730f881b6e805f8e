"""The tables of one workspace and the one way to open them. SQLAlchemy Core only; refuses business rules.

SQLite inside the workspace by default, PostgreSQL by URL, one code path. SQLite runs in WAL mode with full synchronisation: what a
transaction recorded survives a power cut.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from sovereign.errors import WorkspaceUnusable

SCHEMA_VERSION = 1
metadata = sa.MetaData()

facts = sa.Table("facts", metadata, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))

blobs = sa.Table("blobs", metadata, sa.Column("digest", sa.String(64), primary_key=True), sa.Column("body", sa.LargeBinary, nullable=False))

events = sa.Table(
    "events",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),  # a run id, or "workspace"
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("step_key", sa.Text),  # set on the event that closes a step; unique inside its scope
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.UniqueConstraint("scope", "step_key", name="one_close_per_step"),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("request", sa.String(64), nullable=False),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
)

timings = sa.Table(
    "timings",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("step_key", sa.Text, primary_key=True),
    sa.Column("seconds", sa.Float, nullable=False),
)

papers = sa.Table(
    "papers",
    metadata,
    sa.Column("paper_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False, index=True),
    sa.Column("title_key", sa.Text, nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("paper_id", sa.Text, primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),  # blob of the Document record
    sa.Column("seq", sa.Integer, nullable=False, index=True),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),  # file name or url, for people
)

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # sha256 of an added file
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("papers", sa.Integer, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
)


class Database:
    """An open workspace database. `write()` is one transaction; SQLite writers queue for up to 30 s, then fail with a clear line."""

    def __init__(self, home: Path, url: str = ""):
        self.home = home
        try:
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=home):  # a probe of its own for every process and thread
                pass
        except OSError as exc:
            raise WorkspaceUnusable(
                f"Workspace {home} cannot be written: {exc.strerror}.", mend="Choose another with --workspace DIR."
            ) from exc
        self.url = url or f"sqlite:///{home / 'sovereign.sqlite3'}"
        self.is_sqlite = self.url.startswith("sqlite")
        if self.is_sqlite:
            self.engine = sa.create_engine(self.url, connect_args={"timeout": 30, "check_same_thread": False})
            sa.event.listen(self.engine, "connect", _sqlite_pragmas)
            sa.event.listen(self.engine, "begin", _sqlite_begin)
        else:
            self.engine = sa.create_engine(self.url.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=True)
        with self.write() as tx:
            self.lock(tx, "schema")  # two first starts at once must not both create the tables
            metadata.create_all(tx)
            found = tx.execute(sa.select(facts.c.value).where(facts.c.name == "schema")).scalar()
            if found is None:
                tx.execute(facts.insert().values(name="schema", value=str(SCHEMA_VERSION)))
            elif int(found) > SCHEMA_VERSION:
                raise WorkspaceUnusable(f"Workspace {home} was written by a newer SOVEREIGN (schema {found}).", mend="Update SOVEREIGN.")

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction; everything or nothing. Raises WorkspaceUnusable for a full disk, a lock that does not clear or a broken file."""
        try:
            with self.engine.connect().execution_options(writes=True) as tx, tx.begin():
                yield tx
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DBAPIError as exc:
            raise self._explained(exc) from exc

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as exc:
            raise self._explained(exc) from exc

    def lock(self, tx: sa.Connection, name: str) -> None:
        """One writer of `name` at a time, until the transaction ends. SQLite is serialised already, by BEGIN IMMEDIATE."""
        if not self.is_sqlite:
            tx.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})

    def insert_new(self, tx: sa.Connection, table: sa.Table, **values: object) -> bool:
        """Inserts unless the primary key is taken; whether it did. Two writers of the same row must not fail each other."""
        insert = sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)
        return bool(tx.execute(insert.values(**values).on_conflict_do_nothing()).rowcount)

    def now(self, tx: sa.Connection) -> float:
        """Seconds since 1970 by the one clock that all workers share: the server's, or this machine's for SQLite."""
        return time.time() if self.is_sqlite else float(tx.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def _explained(self, exc: sa.exc.DBAPIError) -> WorkspaceUnusable:
        said = str(exc.orig).lower()
        if "full" in said or shutil.disk_usage(self.home).free < 1 << 20:
            return WorkspaceUnusable(
                f"The disk that holds {self.home} is full.", mend="Free some space and run the command again; nothing was lost."
            )
        if "locked" in said:
            return WorkspaceUnusable(f"Another process keeps {self.home} busy.", mend="Wait for it to finish, or use another --workspace.")
        if "readonly" in said or "unable to open" in said:
            return WorkspaceUnusable(f"Workspace {self.home} cannot be written.", mend="Choose another with --workspace DIR.")
        return WorkspaceUnusable(f"The workspace database cannot be used: {exc.orig}.", mend="Run: sovereign doctor")

    def close(self) -> None:
        self.engine.dispose()


def _sqlite_pragmas(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # SQLAlchemy's recipe: we emit BEGIN ourselves
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("busy_timeout=30000", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    _enter_wal(cursor)
    cursor.close()


def _enter_wal(cursor: sqlite3.Cursor) -> None:
    """The switch to WAL does not wait for its turn (SQLite answers "locked" at once, whatever the time-out): two first starts at once must."""
    until = time.monotonic() + 30
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _sqlite_begin(connection: sa.Connection) -> None:
    # IMMEDIATE: two writers queue at BEGIN instead of failing in the middle; readers must not queue at all
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
