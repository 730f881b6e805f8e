"""Mutated feeds and JSON bodies of the four services through their parsers, about every tenth through the whole client.

    python benchmarks/fuzz_sources.py [COUNT]      (default 10000; seconds on one core)

Fails on any exception but the two refusals, on a body that takes longer than LIMIT_S, on a paper that cannot be stored, and on a file
outside the state folder. Prints one JSON document last; the same goes to benchmarks/results/fuzz_sources.json.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "unit" / "sources"))

from fuzzing import examine, mutated, targets  # noqa: E402
from source_fakes import FakeTime  # noqa: E402

from sovereign import settings, sources  # noqa: E402
from sovereign.records import Query  # noqa: E402

LIMIT_S = 2.0  # one body; the slowest seen is some tens of milliseconds
SEED = 20261122
BY_NAME = {"arxiv": "arxiv", "s2": "semantic_scholar", "openalex": "openalex", "crossref": "crossref"}


async def through_the_client(name: str, body: bytes, home: Path, fake: FakeTime, case: int) -> str:
    everything = sources.services(
        settings.load(home, offline=False),
        transport=httpx.MockTransport(lambda request: httpx.Response(200, content=body)),
        state_dir=home / "state",
        clock=fake.clock,
        sleep=fake.sleep,
    )
    return (await everything.source(name).search(Query("fuzz", f"case {case}"), 20)).kind


def main(count: int) -> dict[str, object]:
    chance, seen, slowest_s, failures = random.Random(SEED), Counter(), 0.0, []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        home, fake = Path(folder), FakeTime()
        for n in range(count):
            target = chance.choice(targets())
            body = mutated(target.body, chance)
            start = time.perf_counter()
            try:
                seen[f"{target.name}: {examine(target, body)}"] += 1
                if n % 10 == 0 and target.name in BY_NAME:
                    seen["client: " + asyncio.run(through_the_client(BY_NAME[target.name], body, home, fake, n))] += 1
            except (AssertionError, ArithmeticError, LookupError, ValueError, TypeError, RecursionError, RuntimeError, OSError) as exc:
                failures.append({"case": n, "target": target.name, "error": f"{type(exc).__name__}: {exc}"[:300]})
            slowest_s = max(slowest_s, time.perf_counter() - start)
        strays = [p.as_posix() for p in home.iterdir() if p.name != "state"]
    return {
        "name": "fuzz_sources",
        "bodies": count,
        "seed": SEED,
        "outcomes": dict(sorted(seen.items())),
        "failures": failures,
        "slowest_s": round(slowest_s, 4),
        "over_limit": slowest_s > LIMIT_S,
        "files_outside_state": strays,
        "seconds": round(time.perf_counter() - began, 1),
    }


if __name__ == "__main__":
    result = main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    out = ROOT / "benchmarks" / "results" / "fuzz_sources.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, sort_keys=True))
    sys.exit(1 if result["failures"] or result["over_limit"] or result["files_outside_state"] else 0)
