"""Wall time, CPU time and peak memory of the main job cold and warm, the start of the command line, library add, and search latency.

    python benchmarks/main_job.py [--repeats 5] [--shared ../shared/data]

Each figure is measured on whole child processes (their own CPU seconds and peak resident size by wait4), after one warm-up of the file cache; median,
minimum and maximum of the repeats are printed, and how busy the machine was. The last line is one JSON document; raw output goes to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
QUESTION = "How much does SMoES reduce TTFT and TPOT on MMMU compared with the unspecialized router?"


def child(*args: str) -> dict[str, float]:
    """One `sovereign` process: wall and CPU seconds, peak resident MiB."""
    command = [sys.executable, "-c", "from sovereign.cli import main; main()", *args]
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SOVEREIGN_OFFLINE": "true", "OMP_NUM_THREADS": "1"},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "wall_s": time.perf_counter() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "exit": process.returncode,
    }


def repeated(repeats: int, one: Callable[[], dict[str, float]]) -> dict[str, Any]:
    one()
    rows = [one() for _ in range(repeats)]
    out: dict[str, Any] = {"repeats": repeats, "exit": sorted({int(r["exit"]) for r in rows})}
    for key in ("wall_s", "cpu_s", "peak_mib"):
        values = [r[key] for r in rows]
        out[key] = {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}
    return out


def search_latency(home: Path, queries: int) -> dict[str, Any]:
    """p50 and p95 of hybrid search in one warm process, over titles taken from the library itself."""
    os.environ["SOVEREIGN_OFFLINE"] = "true"
    from sovereign import wiring
    from sovereign.settings import load

    with wiring.workspace(load(home)) as ws:
        index = wiring.index_of(ws)
        titles = [t for t, _ in ws.library.titles()][:: max(1, ws.library.count()[0] // queries)][:queries]
        for title in titles[:20]:
            index.search(title, 10)
        took = []
        for title in titles:
            began = time.perf_counter()
            index.search(title, 10)
            took.append(1000 * (time.perf_counter() - began))
        took.sort()
        papers, documents = ws.library.count()
    return {
        "papers": papers,
        "documents": documents,
        "queries": len(took),
        "p50_ms": round(took[len(took) // 2], 2),
        "p95_ms": round(took[int(0.95 * len(took))], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shared", type=Path, default=ROOT / ".." / "shared" / "data")
    given = parser.parse_args()
    result: dict[str, Any] = {"load_average_before": os.getloadavg(), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        counter = iter(range(10_000))
        result["cli --version"] = repeated(given.repeats, lambda: child("--version"))
        result["cli --help"] = repeated(given.repeats, lambda: child("--help"))
        result["ask cold (new workspace)"] = repeated(
            given.repeats, lambda: child("ask", QUESTION, "--sources", "local", "--workspace", str(base / f"cold{next(counter)}"))
        )
        warm = base / "warm"
        child("ask", QUESTION, "--sources", "local", "--workspace", str(warm))
        result["ask warm (library indexed)"] = repeated(
            given.repeats, lambda: child("ask", QUESTION, "--sources", "local", "--workspace", str(warm))
        )
        if given.shared.is_dir():
            files = [str(p) for p in sorted(given.shared.glob("arxiv_metadata/*.jsonl"))] + [str(given.shared / "fulltext_pmlr_v262")]
            big = base / "big"
            result["library add (6,302 abstracts, 30 full texts, PDFs)"] = child("library", "add", *files, "--workspace", str(big))
            result["library add again"] = child("library", "add", *files, "--workspace", str(big))
            result["search"] = search_latency(big, 200)
            result["ask over that library"] = repeated(
                max(2, given.repeats // 2), lambda: child("ask", QUESTION, "--sources", "local", "--workspace", str(big))
            )
        shutil.rmtree(base, ignore_errors=True)
    result["load_average_after"] = os.getloadavg()
    for key, value in result.items():
        print(f"{key}: {json.dumps(value)}")
    out = ROOT / "benchmarks" / "results" / "main_job.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()
