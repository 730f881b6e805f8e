"""What the auditor reads from: an open workspace, or a folder that left it. Imports the store; refuses to follow a name out of its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sovereign import seal
from sovereign.gate.audit import Row
from sovereign.store.database import blobs as blob_table
from sovereign.store.database import documents, papers
from sovereign.store.database import events as event_table
from sovereign.store.database import runs as run_table
from sovereign.store.ledger import WORKSPACE
from sovereign.store.workspace import Workspace

_HEX = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}(/[A-Za-z0-9][A-Za-z0-9._-]{0,120})?")


class WorkspaceHoldings:
    withheld: frozenset[str] = frozenset()

    def __init__(self, ws: Workspace):
        self.ws = ws

    def _raw(self, column: Any) -> Any:
        """Text as bytes, so that a byte that is no UTF-8 can be reported instead of stopping the reader."""
        return sa.cast(column, sa.LargeBinary) if self.ws.database.is_sqlite else column

    def scopes(self) -> list[str]:
        with self.ws.database.read() as connection:
            found = connection.execute(sa.select(self._raw(event_table.c.scope)).distinct())
            return sorted(_text(r[0])[0] for r in found)

    def rows(self, scope: str) -> Iterable[Row]:
        c = event_table.c
        columns = [c.scope, c.kind, c.step_key, c.body, c.previous, c.hash]
        query = sa.select(c.seq, *(self._raw(x) for x in columns)).order_by(c.seq)
        query = (
            query.where(self._raw(c.scope) == scope.encode("utf-8", "surrogateescape"))
            if self.ws.database.is_sqlite
            else query.where(c.scope == scope)
        )
        with self.ws.database.read() as connection:
            for seq, *values in connection.execute(query):
                texts = [_text(v) for v in values]
                fault = "its bytes are no text any more" if any(bad for _, bad in texts) else ""
                where, kind, step, body, previous, digest = (t for t, _ in texts)
                yield Row(where, int(seq), kind, step if values[2] is not None else None, body, previous, digest, fault)

    def blob(self, digest: str) -> bytes | None:
        if not _HEX.fullmatch(digest):
            return None
        path = self.ws.blobs.folder / digest[:2] / digest
        if path.is_file():
            return path.read_bytes()
        with self.ws.database.read() as connection:
            row = connection.execute(sa.select(blob_table.c.body).where(blob_table.c.digest == digest)).first()
        return bytes(row[0]) if row else None

    def blob_names(self) -> Iterable[str]:
        return self.ws.blobs.all_digests()

    def copy_of(self, run_id: str, name: str) -> bytes | None:
        path = self.ws.run_folder(run_id) / name
        return path.read_bytes() if _NAME.fullmatch(name) and path.is_file() else None

    def signature_files(self, run_id: str) -> Mapping[str, bytes]:
        folder = self.ws.run_folder(run_id) / "signatures"
        return {p.name: p.read_bytes() for p in sorted(folder.glob("*.json"))} if folder.is_dir() else {}

    def trial_file(self, trial_id: str) -> bytes | None:
        path = self.ws.home / "trials" / trial_id / "trial.json"
        return path.read_bytes() if _NAME.fullmatch(trial_id) and path.is_file() else None

    def keys(self) -> frozenset[str]:
        found = []
        for row in self.rows(WORKSPACE):
            if row.kind == "owner_key" and not row.fault:
                try:
                    found.append(str(json.loads(row.body)["public_key"]))
                except (ValueError, KeyError, TypeError):
                    continue
        return frozenset(found)

    def run_row(self, run_id: str) -> Mapping[str, str] | None:
        columns = [self._raw(c) for c in run_table.c]
        with self.ws.database.read() as connection:
            for row in connection.execute(sa.select(*columns)):
                held = {c.name: _text(v)[0] for c, v in zip(run_table.c, row, strict=True)}
                if held["run_id"] == run_id:
                    return held
        return None

    def more(self) -> Iterable[tuple[str, str]]:
        yield from self._stray_blobs()
        known = set(self.scopes())
        with self.ws.database.read() as connection:
            for (raw,) in connection.execute(sa.select(self._raw(run_table.c.run_id))):
                if _text(raw)[0] not in known:
                    yield f"table runs, {_text(raw)[0]!r}", "there is no ledger of this run"
            for pid, digest in connection.execute(sa.select(self._raw(documents.c.paper_id), self._raw(documents.c.digest))):
                if self.blob(_text(digest)[0]) is None:
                    yield f"library, document of {_text(pid)[0]}", f"blob {_text(digest)[0]} is missing"
            for pid, body in connection.execute(sa.select(self._raw(papers.c.paper_id), self._raw(papers.c.body))):
                text, bad = _text(body)
                try:
                    held = None if bad else json.loads(text)
                except ValueError:
                    held = None
                if not isinstance(held, dict) or held.get("paper_id") != _text(pid)[0]:
                    yield f"library, paper {_text(pid)[0]}", "its record cannot be read or names another paper"
        public = self.ws.home / "keys" / "owner.pub"
        if public.is_file() and public.read_bytes().decode("ascii", "replace").strip() not in self.keys():
            yield "keys/owner.pub", "it is not a key that the ledger announced"

    def _stray_blobs(self) -> Iterable[tuple[str, str]]:
        folder = self.ws.blobs.folder
        for path in sorted(folder.glob("*/*")) if folder.is_dir() else []:
            if not _HEX.fullmatch(path.name) or path.parent.name != path.name[:2]:
                yield f"blobs/{path.parent.name}/{path.name}", "this is no name of a blob"


def _text(value: Any) -> tuple[str, bool]:
    """(text, whether its bytes were no UTF-8)."""
    if value is None:
        return "", False
    if isinstance(value, str):
        return value, False
    try:
        return bytes(value).decode("utf-8"), False
    except UnicodeDecodeError:
        return bytes(value).decode("utf-8", "surrogateescape"), True


class FolderHoldings:
    """A bundle: bundle.json, ledger.jsonl, keys.json, blobs/<digest>, signatures/*.json, and the printed files at the top."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._broken: list[tuple[str, str]] = []
        self.about = self._json("bundle.json", {})
        self.withheld = frozenset(str(d) for d in self.about.get("withheld", []))
        self._rows = list(self._ledger())

    def _read(self, name: str) -> bytes | None:
        """A file of this folder by a name that cannot leave it; links are not followed."""
        if not _NAME.fullmatch(name):
            return None
        path = self.folder / name
        return path.read_bytes() if path.is_file() and not path.is_symlink() and not path.parent.is_symlink() else None

    def _json(self, name: str, default: Any) -> Any:
        body = self._read(name)
        try:
            found = json.loads(body or b"")
            if isinstance(found, type(default)):
                return found
        except ValueError:
            pass
        self._broken.append((name, "is missing or is not JSON"))
        return default

    def _ledger(self) -> Iterable[Row]:
        body = self._read("ledger.jsonl")
        if body is None:
            self._broken.append(("ledger.jsonl", "is missing"))
            return
        for number, line in enumerate(body.splitlines()):
            try:
                held = json.loads(line)
                row = Row(
                    str(held["scope"]),
                    int(held["seq"]),
                    str(held["kind"]),
                    held["step_key"],
                    str(held["body"]),
                    str(held["previous"]),
                    str(held["hash"]),
                )
                if seal.canonical({**held, "seq": int(held["seq"])}) != line:
                    self._broken.append((f"ledger.jsonl, line {number + 1}", "it was changed"))
            except (ValueError, KeyError, TypeError):
                self._broken.append((f"ledger.jsonl, line {number + 1}", "is no event any more"))
                continue
            yield row

    def scopes(self) -> list[str]:
        return sorted({r.scope for r in self._rows})

    def rows(self, scope: str) -> Iterable[Row]:
        return [r for r in self._rows if r.scope == scope]

    def blob(self, digest: str) -> bytes | None:
        if not _HEX.fullmatch(digest):
            return None
        body = self._read(f"blobs/{digest}")
        if body is None:  # the printed files lie at the top, under their own names
            name = next((n for n, d in self.about.get("files", {}).items() if d == digest), None)
            body = self._read(str(name)) if name is not None else None
        return body

    def blob_names(self) -> Iterable[str]:
        folder = self.folder / "blobs"
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def copy_of(self, run_id: str, name: str) -> bytes | None:
        return self._read(name)

    def signature_files(self, run_id: str) -> Mapping[str, bytes]:
        folder = self.folder / "signatures"
        return {p.name: p.read_bytes() for p in sorted(folder.glob("*.json")) if not p.is_symlink()} if folder.is_dir() else {}

    def trial_file(self, trial_id: str) -> bytes | None:
        return None

    def keys(self) -> frozenset[str]:
        held = self._json("keys.json", {})
        return frozenset(str(k) for k in held)

    def run_row(self, run_id: str) -> Mapping[str, str] | None:
        return None

    def more(self) -> Iterable[tuple[str, str]]:
        yield from dict.fromkeys(self._broken)
        rest = {k: v for k, v in self.about.items() if k != "digest"}
        if self._read("bundle.json") != seal.pretty(self.about).encode() or seal.digest(rest) != self.about.get("digest"):
            yield "bundle.json", "it was changed after it was exported"
        if self.about.get("run_id") not in self.scopes():
            yield "bundle.json", "the run it names is not in the ledger"
        for name, digest in self.about.get("covers", {}).items():
            body = self._read(str(name))
            if body is None:
                yield str(name), "the file is missing"
            elif seal.sha256(body) != digest:
                yield str(name), "the file was changed after it was exported"
        known = {"bundle.json", *map(str, self.about.get("covers", {}))}
        if self._read("manifest.json") is not None:  # a published record: its pages and exports are listed there
            manifest = self._json("manifest.json", {})
            rest = {k: v for k, v in manifest.items() if k != "digest"}
            if self._read("manifest.json") != seal.pretty(manifest).encode() or seal.digest(rest) != manifest.get("digest"):
                yield "manifest.json", "it was changed after it was published"
            for name, entry in manifest.get("files", {}).items():
                body = self._read(str(name))
                if body is None or not isinstance(entry, dict) or seal.sha256(body) != entry.get("sha256"):
                    yield str(name), "the file is missing" if body is None else "the file was changed after it was published"
            known |= {"manifest.json", *map(str, manifest.get("files", {}))}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.relative_to(self.folder).as_posix() not in known:
                yield path.relative_to(self.folder).as_posix(), "this file does not belong to the bundle"
