"""Content-addressed bodies: small ones in the database, large ones as files. Satisfies ports.Blobs; refuses to overwrite."""

from __future__ import annotations

import os
import re
from pathlib import Path

import sqlalchemy as sa

from sovereign import seal
from sovereign.errors import IntegrityBroken, NotFound, WorkspaceUnusable
from sovereign.store.database import Database
from sovereign.store.database import blobs as table

SMALL = 64 * 1024  # bytes; thousands of abstracts must not become thousands of fsynced files
_HEX = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    def __init__(self, database: Database):
        self.database = database
        self.folder = database.home / "blobs"

    def put(self, body: bytes) -> str:
        with self.database.write() as tx:
            return self.put_in(tx, body)

    def put_in(self, tx: sa.Connection, body: bytes) -> str:
        """The same inside the caller's transaction, so that a record and its bodies appear together."""
        digest = seal.sha256(body)
        if len(body) > SMALL and self.database.is_sqlite:
            self._put_file(digest, body)
        elif tx.execute(sa.select(table.c.digest).where(table.c.digest == digest)).first() is None:
            self.database.insert_new(tx, table, digest=digest, body=body)
        return digest

    def _put_file(self, digest: str, body: bytes) -> None:
        path = self._path(digest)
        if path.exists():
            return
        part = path.with_name(f"{digest}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as stream:
                stream.write(body)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        except OSError as exc:
            part.unlink(missing_ok=True)
            raise WorkspaceUnusable(
                f"A body of {len(body)} bytes could not be stored: {exc.strerror}.", mend="Free some space and try again."
            ) from exc

    def get(self, digest: str) -> bytes:
        body = self._load(digest)
        if seal.sha256(body) != digest:
            raise IntegrityBroken(
                f"Stored body {digest} does not match its name any more.", mend="Run: sovereign audit verify", subject=digest
            )
        return body

    def _load(self, digest: str) -> bytes:
        path = self._path(digest)
        if path.is_file():
            return path.read_bytes()
        with self.database.read() as connection:
            row = connection.execute(sa.select(table.c.body).where(table.c.digest == digest)).first()
        if row is None:
            raise NotFound(f"No stored body {digest[:12]}…", mend="Run: sovereign audit verify", subject=digest)
        return bytes(row[0])

    def has(self, digest: str) -> bool:
        if self._path(digest).is_file():
            return True
        with self.database.read() as connection:
            return connection.execute(sa.select(table.c.digest).where(table.c.digest == digest)).first() is not None

    def all_digests(self) -> list[str]:
        with self.database.read() as connection:
            small = [r[0] for r in connection.execute(sa.select(table.c.digest))]
        large = [p.name for p in self.folder.glob("??/*") if _HEX.fullmatch(p.name)] if self.folder.is_dir() else []
        return sorted({*small, *large})

    def _path(self, digest: str) -> Path:
        if not _HEX.fullmatch(digest):  # a name from outside must not become a path
            raise NotFound(f"{digest[:80]!r} is not a blob name.")
        return self.folder / digest[:2] / digest
