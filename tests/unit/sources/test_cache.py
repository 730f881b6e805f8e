"""The cache on disk stays under its size, keeps what is used, and a pruned entry is no entry."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sovereign.sources._cache import PRUNED_TO, Cache, Entry


def put(cache: Cache, key: str, size: int, used_at: float) -> None:
    body = key.encode().ljust(size, b".")
    cache.put(key, Entry(f"https://example.org/{key}", 0.0, 1.0, "text/plain", hashlib.sha256(body).hexdigest()), body)
    if (path := cache._paths(key)[1]).is_file():
        os.utime(path, (used_at, used_at))


def held(cache: Cache) -> int:
    return sum(p.stat().st_size for p in cache.folder.rglob("*") if p.is_file())


def test_the_least_recently_used_answers_go_first(tmp_path: Path) -> None:
    limit = 20_000
    cache = Cache(tmp_path / "cache", limit)
    for n in range(8):
        put(cache, f"answer {n}", 2_000, used_at=1_000.0 + n)
    assert all(cache.get(f"answer {n}") for n in (1, 2, 3, 4, 5, 6, 7, 0)), "under the limit nothing goes; answer 0 is used last"
    for n, key in enumerate(["answer 1", "answer 2", "answer 3", "answer 4", "answer 5", "answer 6", "answer 7", "answer 0"]):
        os.utime(cache._paths(key)[1], (2_000.0 + n, 2_000.0 + n))
    for n in range(8, 11):
        put(cache, f"answer {n}", 2_000, used_at=3_000.0 + n)
    assert held(cache) <= limit
    assert cache.get("answer 1") is None and cache.get("answer 0") is not None and cache.get("answer 10") is not None


def test_using_an_answer_keeps_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**6)
    put(cache, "old", 100, used_at=1.0)
    cache.get("old")
    assert cache._paths("old")[1].stat().st_mtime > 1_000_000


def test_what_another_process_wrote_counts_and_half_files_go(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    other = Cache(folder, 10**9)
    for n in range(10):
        put(other, f"theirs {n}", 2_000, used_at=float(n))
    stale, fresh = folder / "00" / "x.body.1.part", folder / "00" / "y.body.2.part"
    stale.parent.mkdir(exist_ok=True)
    for part in (stale, fresh):
        part.write_bytes(b"half")
    os.utime(stale, (1.0, 1.0))
    ours = Cache(folder, 10_000)
    put(ours, "ours", 100, used_at=100.0)
    assert held(ours) <= 10_000 * PRUNED_TO + len(b"half") and ours.get("ours") is not None and ours.get("theirs 0") is None
    assert not stale.exists() and fresh.exists(), "an unfinished file may be being written right now"


def test_an_answer_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1_000)
    put(cache, "whale", 5_000, used_at=1.0)
    assert cache.get("whale") is None and held(cache) == 0
