"""Reads mutated bodies of every format and counts how each reading ended: document, refusal, crash or hang.

    python benchmarks/fuzz_readers.py [--count 10000] [--seed 0]

In this process under a watchdog of 10 s per body; a crash of the process itself ends the run with the seed and number that made it, because
both are printed to stderr before each thousand. The last line of the output is one JSON document, also at benchmarks/results/fuzz_readers.json.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import importlib.util
import json
import random
import sys
import time
from pathlib import Path
from types import ModuleType

from sovereign.errors import Unreadable
from sovereign.readers import read_bytes

HERE = Path(__file__).parent
UNIT = HERE.parent / "tests" / "unit" / "readers"
SLOW_S = 10.0


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, UNIT / f"{name}.py")
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faulthandler.enable()
    bodies: dict[str, bytes] = module("samples").all_samples()
    mutated = module("hostile").mutated
    names = sorted(bodies)
    ended: collections.Counter[str] = collections.Counter()
    crashes: list[dict[str, str]] = []
    slowest = 0.0
    began = time.monotonic()
    for number in range(options.count):
        name = names[number % len(names)]
        rng = random.Random(f"{options.seed} {number}")
        if number % 1000 == 0:
            print(f"seed {options.seed}, from body {number}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(60, exit=True)
        started = time.monotonic()
        try:
            document = read_bytes(mutated(bodies[name], rng), filename=name)
            ended["document"] += 1
            if any(document.text[p.start : p.end] != p.text for p in document.passages):
                ended["broken offsets"] += 1
        except Unreadable as refusal:
            ended[f"refused: {refusal.kind}"] += 1
        except Exception as exc:  # noqa: BLE001 - counting every other exception is this script's purpose
            ended["crash"] += 1
            crashes.append({"number": str(number), "name": name, "error": f"{type(exc).__name__}: {exc}"[:200]})
        took = time.monotonic() - started
        slowest = max(slowest, took)
        ended["slow"] += took > SLOW_S
    faulthandler.cancel_dump_traceback_later()
    result = {
        "count": options.count,
        "seed": options.seed,
        "ended": dict(sorted(ended.items())),
        "crashes": crashes[:50],
        "slowest_s": round(slowest, 2),
        "wall_s": round(time.monotonic() - began, 1),
    }
    out = HERE / "results" / "fuzz_readers.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
