"""How the library's index grows: synthetic abstracts with the word statistics of the shipped reading notes, at growing sizes.

For each size: documents added and indexed per second, disk, peak memory of the builder, and in a fresh process memory, time to open, p50/p95 of
hybrid search, and the recall@10 of the vector graph against exact search. Run:

    nice -n 10 python benchmarks/scale.py [--sizes 10000,50000,100000,1000000] [--minutes 15] [--folder DIR]

Abstracts come from a Markov chain of order 2 over the notes (local syntax and the frequent words), into which rare words are put at the rate at
which English science text grows its vocabulary (Heaps' law, V = 10 n^0.6; a common range of the exponent is 0.4 to 0.6), so that the keyword index
cannot live on a small vocabulary. They are nonsense to people; ranking quality is not measured here, speed and size are.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTES = ROOT / "src" / "sovereign" / "library" / "notes"
QUERIES = 200


def chain() -> tuple[dict[tuple[str, str], list[str]], list[tuple[str, str]]]:
    words = re.findall(r"[\w.+-]+|[.,;:()]", " ".join(p.read_text("utf-8").split("---", 2)[-1] for p in sorted(NOTES.glob("*.md"))))
    follows: dict[tuple[str, str], list[str]] = {}
    for a, b, c in zip(words, words[1:], words[2:]):
        follows.setdefault((a, b), []).append(c)
    return follows, [k for k in follows if k[0][:1].isupper()]


def abstracts(first: int, count: int) -> Iterator[tuple[str, str]]:
    """(title, abstract) of documents `first` .. `first + count`, the same for every call."""
    follows, starts = chain()
    for n in range(first, first + count):
        rng = random.Random(n)
        length = max(60, min(300, int(rng.gauss(150, 40))))
        rare_rate = min(0.06, 6.0 * (n * 150 + 1000) ** -0.4)  # the slope of Heaps' law, floored by the clip below
        yield " ".join(_text(rng, follows, starts, 9, rare_rate, n)), " ".join(_text(rng, follows, starts, length, max(rare_rate, 0.01), n))


def _text(rng: random.Random, follows: dict, starts: list, length: int, rare_rate: float, n: int) -> list[str]:
    at = rng.choice(starts)
    out = list(at)
    while len(out) < length:
        step = follows.get(at)
        at = (at[1], rng.choice(step)) if step else rng.choice(starts)
        out.append(_rare(rng, n) if rng.random() < rare_rate else at[1])
    return out


def _rare(rng: random.Random, n: int) -> str:
    number = int((n * 150 + 1000) ** 0.6 * 10 * rng.random() ** 0.5)
    letters = "abcdefghiklmnoprstuvz"
    word = ""
    while number or len(word) < 5:
        number, digit = divmod(number, len(letters))
        word += letters[digit] + "aeiou"[digit % 5]
    return word


def build(home: Path, first: int, size: int) -> dict:
    from sovereign import wiring
    from sovereign.readers.jsonl import abstract_document
    from sovereign.records import Paper
    from sovereign.settings import load
    from sovereign.store.library import Addition, batches

    settings = load(home, offline=True, default_library=False)
    began = time.perf_counter()
    with wiring.workspace(settings) as ws:

        def additions() -> Iterator[Addition]:
            for n, (title, text) in enumerate(abstracts(first, size - first), first):
                paper = Paper(paper_id=f"synthetic:{n}", title=f"{title} {n}", abstract=text, year=2000 + n % 26)
                yield Addition(paper, abstract_document(paper.title, text), "synthetic")

        for batch in batches(additions()):
            ws.library.add(batch)
        added = time.perf_counter()
        wiring.index_of(ws).catch_up()
        indexed = time.perf_counter()
    return {
        "add_docs_per_s": round((size - first) / (added - began), 1),
        "index_s": round(indexed - added, 1),
        "index_docs_per_s": round((size - first) / (indexed - added), 1),
        "builder_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def search(home: Path, size: int) -> dict:
    import numpy as np

    from sovereign import wiring
    from sovereign.settings import load

    settings = load(home, offline=True, default_library=False)
    with wiring.workspace(settings) as ws:
        index = wiring.index_of(ws)
        began = time.perf_counter()
        index.search("expert cache", 10)
        opened = time.perf_counter() - began
        rng = random.Random(1)
        queries = []
        for n in (rng.randrange(size) for _ in range(QUERIES)):
            words = next(abstracts(n, 1))[1].split()
            at = rng.randrange(max(1, len(words) - 12))
            queries.append(" ".join(words[at : at + 12]))
        took = []
        for query in queries:
            at_ = time.perf_counter()
            index.search(query, 10)
            took.append(time.perf_counter() - at_)
        rss = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")) // 1024
        recall = None
        _, _, graph, rows, embedder = index._open()
        if hasattr(graph, "search"):
            meta = json.loads((home / "index" / "meta.json").read_text())
            exact = np.concatenate([np.load(home / "index" / meta["generation"] / f"{s}.npy", mmap_mode="r") for s in meta["segments"]])
            hits = 0
            for query in queries[:100]:
                vector = embedder.embed([query], kind="query")[0]
                near = [int(m.key) for m in graph.search(vector, 10)]
                scores = exact @ vector
                worst = np.sort(scores)[-10]
                hits += sum(scores[k] >= worst - 1e-6 for k in near)
            recall = round(hits / 1000, 4)
    took.sort()
    return {
        "rows": len(rows),
        "open_s": round(opened, 2),
        "search_p50_ms": round(1000 * took[len(took) // 2], 1),
        "search_p95_ms": round(1000 * took[int(len(took) * 0.95)], 1),
        "searcher_rss_mib": rss,
        "vectors": "exact" if recall is None else "graph",
        "graph_recall_at_10": recall,
    }


def disk(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) // 2**20


def child(what: str, home: Path, *numbers: int) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "--child", what, "--folder", str(home), "--sizes", ",".join(map(str, numbers))],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,50000,100000")
    parser.add_argument("--minutes", type=float, default=15.0, help="no further size is begun after this")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", default="")
    given = parser.parse_args()
    sizes = [int(s) for s in given.sizes.split(",")]
    if given.child:
        print(json.dumps(build(given.folder, *sizes) if given.child == "build" else search(given.folder, *sizes)))
        return
    home = given.folder or Path(tempfile.mkdtemp(prefix="sovereign-scale-"))
    until, first, rows, left_out = time.monotonic() + 60 * given.minutes, 0, [], []
    for size in sizes:
        if time.monotonic() > until:
            left_out.append(size)
            continue
        row = {"documents": size, "added_now": size - first, **child("build", home, first, size), **child("search", home, size)}
        row |= {"database_mib": disk(home) - disk(home / "index"), "index_mib": disk(home / "index")}
        row["load_average"] = round(os.getloadavg()[0], 1)
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
        first = size
    if given.folder is None:
        shutil.rmtree(home, ignore_errors=True)
    body = {"benchmark": "scale", "machine": f"{os.cpu_count()} cores, shared", "sizes": rows, "not_reached": left_out}
    target = ROOT / "benchmarks" / "results" / "scale.json"
    target.write_text(json.dumps(body, indent=1) + "\n")
    print(json.dumps(body))


if __name__ == "__main__":
    main()
