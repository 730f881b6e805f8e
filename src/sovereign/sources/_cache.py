"""A polite HTTP cache on disk: what a service said stays usable as long as the service (or its terms) allows, then it is asked "changed?".

Imports the standard library. Refuses keys: entries are named by an address from which keys were taken out (RFC 9111, private cache).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
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


class Cache:
    """Two files per answer under `folder`: <digest>.json and <digest>.body. A damaged entry counts as no entry."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get(self, key: str) -> tuple[Entry, bytes] | None:
        meta, body = self._paths(key)
        try:
            entry = Entry(**json.loads(meta.read_text("utf-8")))
            content = body.read_bytes()
        except (OSError, ValueError, TypeError):
            return None
        return (entry, content) if hashlib.sha256(content).hexdigest() == entry.sha256 else None

    def put(self, key: str, entry: Entry, body: bytes | None) -> None:
        """`body` None renews an entry whose content did not change. A full disk loses the entry, not the answer."""
        meta, path = self._paths(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if body is not None:
                _replace(path, body)
            _replace(meta, json.dumps(asdict(entry), sort_keys=True).encode())
        except OSError:
            return

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
