"""A polite HTTP cache on disk: what a service said stays usable as long as the service (or its terms) allows, then it is asked "changed?".

Imports the standard library. Refuses keys: entries are named by an address from which keys were taken out (RFC 9111, private cache).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    url: str
    stored_at: float
    fresh_until: float
    content_type: str
    sha256: str
    etag: str | None = None
    last_modified: str | None = None


PRUNED_TO = 0.8  # of the limit, so that not every new answer prunes again
ABANDONED_S = 3600.0  # age in seconds at which an unfinished file is nobody's any more


class Cache:
    """Two files per answer under `folder`: <digest>.json and <digest>.body. A damaged entry counts as no entry.

    `limit_bytes` bounds the whole folder, whoever else writes into it; it may be passed by what other processes have put since the last count.
    """

    def __init__(self, folder: Path, limit_bytes: int):
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._held: int | None = None  # bytes in the folder as last counted, and what was put since; None: not counted yet

    def get(self, key: str) -> tuple[Entry, bytes] | None:
        meta, body = self._paths(key)
        try:
            entry = Entry(**json.loads(meta.read_text("utf-8")))
            content = body.read_bytes()
        except (OSError, ValueError, TypeError):
            return None
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            return None
        with contextlib.suppress(OSError):
            os.utime(body)  # the order in which answers are pruned
        return entry, content

    def put(self, key: str, entry: Entry, body: bytes | None) -> None:
        """`body` None renews an entry whose content did not change. A full disk loses the entry, not the answer."""
        meta, path = self._paths(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if body is not None:
                _replace(path, body)
            told = json.dumps(asdict(entry), sort_keys=True).encode()
            _replace(meta, told)
        except OSError:
            return
        self._held = None if self._held is None else self._held + len(told) + len(body or b"")
        if self._held is None or self._held > self.limit_bytes:
            self.prune()

    def prune(self) -> None:
        """Counts the folder; over the limit, the answers used least recently go until PRUNED_TO of it is left. Unfinished files go when abandoned."""
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):  # another process may prune too
                stat = path.stat()
                if path.suffix == ".part":
                    if time.time() - stat.st_mtime > ABANDONED_S:
                        path.unlink()
                else:
                    found.append((stat.st_mtime, stat.st_size, path))
        self._held = sum(size for _, size, _ in found)
        if self._held <= self.limit_bytes:
            return
        sizes = {path: size for _, size, path in found}
        for _, _, path in sorted(f for f in found if f[2].suffix == ".body"):
            if self._held <= PRUNED_TO * self.limit_bytes:
                return
            for part in (path.with_suffix(".json"), path):  # the entry first: a body alone is no answer
                with contextlib.suppress(OSError):
                    part.unlink()
                self._held -= sizes.get(part, 0)

    def _paths(self, key: str) -> tuple[Path, Path]:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.json", self.folder / name[:2] / f"{name}.body"


def _replace(path: Path, body: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{id(body):x}.part")
    try:
        temporary.write_bytes(body)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def lifetime_s(headers: dict[str, str], heuristic_s: float) -> float | None:
    """How long an answer stays fresh, in seconds; None: it must not be stored. Lower-case header names."""
    control = headers.get("cache-control", "").lower()
    if "no-store" in control:
        return None
    if re.search(r"no-cache|must-revalidate\s*,?\s*max-age=0", control):
        return 0.0
    if match := re.search(r"max-age\s*=\s*\"?(\d{1,9})", control):
        age = int(headers["age"]) if headers.get("age", "").isdigit() else 0
        return float(max(0, int(match[1]) - age))
    if "expires" in headers:
        try:
            base = parsedate_to_datetime(headers["date"]) if "date" in headers else None
            return max(0.0, (parsedate_to_datetime(headers["expires"]) - base).total_seconds()) if base else 0.0
        except (ValueError, TypeError):
            return 0.0
    return heuristic_s
