"""Live sources against a local server that misbehaves, and identity without identifiers on recorded responses.

    python benchmarks/sources.py [parallel] [storm] [asks] [unreachable] [identity]

Without names everything is run (the asks take some ten seconds each; the rest about 20 s; the recordings in ../shared/data/api_fixtures are used
when they are there). With names the other parts keep what the result file says.

1. parallel: three services answering after 0.3, 0.5 and 0.7 s, one question, seven repeats: seconds against the slowest and the sum.
2. storm: 40 seeds, three services, four queries each, every request failing with probability 0.3: same works found, or failure named?
3. asks: 20 seeds, each a complete `ask` over three services with revision, citations, flag checks and full texts, every request failing with
   probability 0.3: same papers admitted as without faults, or does the draft name what is missing?
4. unreachable: four queries at three services that refuse connections, or whose names do not resolve, at the services' own pace: seconds until all
   twelve are given up.
5. identity: pairs of records from different services that share a DOI or arXiv id; how many does title + author + year alone join, and how
   many pairs with different identifiers does it join wrongly?
Prints one JSON document last; the same goes to benchmarks/results/sources.json.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / part) for part in ("unit/sources", "golden/sources", "end_to_end")]

from faultserver import FaultServer  # noqa: E402
from live_support import silent_losses, whole_run  # noqa: E402
from source_fakes import settings_for  # noqa: E402
from test_golden_sources import SHARED, exchanges, replay, services  # noqa: E402
from test_storm import QUERIES, THREE, found_by  # noqa: E402

from sovereign import sources  # noqa: E402
from sovereign.identity import _same_identifier, identifiers, is_preprint_doi, same_work  # noqa: E402
from sovereign.records import Failed, Found, Paper, Query  # noqa: E402

DELAYS_S = {"arxiv": 0.3, "s2": 0.5, "openalex": 0.7}
REPEATS, SEEDS, ASKS, RATE = 7, 40, 20, 0.3


def parallel() -> dict[str, Any]:
    taken = []
    with tempfile.TemporaryDirectory() as folder, FaultServer(delay_s=DELAYS_S) as server:
        for n in range(REPEATS + 1):  # the first is warm-up
            settings = settings_for(Path(folder), server.url)
            built = sources.build(THREE, settings, state_dir=Path(folder) / f"state{n}")

            async def all_at_once(built: list[Any] = built) -> list[Any]:
                return list(await asyncio.gather(*(s.search(Query("bench", "moe"), 5) for s in built)))

            began = time.perf_counter()
            outcomes = asyncio.run(all_at_once())
            assert all(isinstance(o, Found) for o in outcomes)
            taken.append(time.perf_counter() - began)
    kept = taken[1:]
    return {
        "slowest_host_s": max(DELAYS_S.values()),
        "sum_s": round(sum(DELAYS_S.values()), 2),
        "median_s": round(statistics.median(kept), 3),
        "min_s": round(min(kept), 3),
        "max_s": round(max(kept), 3),
        "repeats": REPEATS,
    }


def storm() -> dict[str, Any]:
    same = named = silent = pairs_failed = 0
    requests = []
    with tempfile.TemporaryDirectory() as folder:
        calm, _, few = found_by(Path(folder) / "calm", 0.0, 0)
        for seed in range(SEEDS):
            works, failed, sent = found_by(Path(folder) / str(seed), RATE, seed)
            same += works == calm
            named += works != calm and bool(failed)
            silent += works != calm and not failed
            pairs_failed += len(failed)
            requests.append(sent / few)
    return {
        "seeds": SEEDS,
        "fault_rate": RATE,
        "pairs": SEEDS * len(THREE) * len(QUERIES),
        "pairs_failed_and_named": pairs_failed,
        "runs_with_the_same_works": same,
        "runs_with_fewer_works_and_a_name": named,
        "runs_with_silent_loss": silent,
        "requests_per_calm_request_median": round(statistics.median(requests), 2),
    }


def asks() -> dict[str, Any]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        calm = whole_run(Path(folder) / "calm", 0.0, 0)
        for seed in range(ASKS):
            run = whole_run(Path(folder) / str(seed), RATE, seed)
            rows.append(
                {
                    "seed": seed,
                    "admitted_missing": sorted(calm.admitted - run.admitted),
                    "admitted_besides": sorted(run.admitted - calm.admitted),
                    "full_texts_missing": sorted(run.admitted - run.read_in_full),
                    "searches_failed": run.pairs_failed,
                    "flag_checks_failed": run.flag_checks_failed,
                    "not_run": list(run.not_run),
                    "silent": silent_losses(calm, run),
                    "replay_same": run.replayed,
                    "requests": run.requests,
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {
        "seeds": ASKS,
        "fault_rate": RATE,
        "calm": {"admitted": sorted(calm.admitted), "requests": calm.requests},
        "runs_with_the_same_admitted_papers": sum(not r["admitted_missing"] and not r["admitted_besides"] for r in rows),
        "runs_with_fewer_and_named": sum(bool(r["admitted_missing"]) and not r["silent"] for r in rows),
        "runs_with_a_flagged_work_and_named": sum(bool(r["admitted_besides"]) and not r["silent"] for r in rows),
        "runs_with_all_full_texts": sum(not r["full_texts_missing"] for r in rows),
        "runs_with_silent_loss": sum(bool(r["silent"]) for r in rows),
        "replays_the_same": sum(r["replay_same"] for r in rows),
        "requests_per_calm_request_median": round(statistics.median(r["requests"] for r in rows) / calm.requests, 2),
        "runs": rows,
    }


def unreachable() -> dict[str, Any]:
    """Ports where nobody listens, and names that RFC 2606 keeps from existing; real clock, real pauses."""
    bases = {"refused": "http://127.0.0.1:9", "no_such_name": "http://sources.invalid"}
    out = {}
    for label, base in bases.items():
        taken = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                settings = settings_for(Path(folder), base, arxiv_interval_s=3.0)
                built = sources.build(THREE, settings, state_dir=Path(folder) / "state")

                async def all_at_once(built: list[Any] = built) -> list[Any]:
                    return list(await asyncio.gather(*(s.search(q, 5) for s in built for q in QUERIES)))

                began = time.perf_counter()
                outcomes = asyncio.run(all_at_once())
                taken.append(time.perf_counter() - began)
            assert all(isinstance(o, Failed) and o.failure == "unreachable" for o in outcomes), outcomes
        out[label] = {"median_s": round(statistics.median(taken), 2), "min_s": round(min(taken), 2), "max_s": round(max(taken), 2)}
    return {"repeats": REPEATS, **out}


def identity() -> dict[str, Any] | None:
    if not SHARED.is_dir():
        return None
    records: dict[tuple[str, str], Paper] = {}
    with tempfile.TemporaryDirectory() as folder:
        for n, exchange in enumerate(exchanges()):
            outcome = asyncio.run(replay(services(Path(folder) / str(n), exchange.status, exchange.body), exchange))
            for paper in outcome.papers if isinstance(outcome, Found) else ():
                source = paper.provenance[0][1]
                whole = records.get((source, paper.paper_id))
                if whole is None or len(paper.authors) > len(whole.authors):
                    records[source, paper.paper_id] = paper
    named = [(s, p) for (s, _), p in records.items() if (i := identifiers(p)).doi or i.arxiv]
    pairs = [(s, a, t, b) for (s, a), (t, b) in itertools.combinations(named, 2)]
    positives = [(a, b) for s, a, t, b in pairs if s != t and _same_identifier(a, b)]
    negatives = [(a, b) for _, a, _, b in pairs if not _same_identifier(a, b)]
    full = [(a, b) for a, b in positives if a.authors and b.authors and a.year and b.year]
    joined = sum(same_work(bare(a), bare(b)) for a, b in full)
    together = [(a, b) for a, b in negatives if same_work(bare(a), bare(b))]
    versions = [(a, b) for a, b in together if preprint(a) != preprint(b)]  # a preprint and its publication: rightly one work
    wrong = [(a.title, a.paper_id, b.paper_id) for a, b in together if (a, b) not in versions]
    return {
        "records": len(records),
        "records_with_identifier": len(named),
        "same_identifier_pairs": len(positives),
        "of_those_with_author_and_year": len(full),
        "joined_without_identifier": joined,
        "different_identifier_pairs": len(negatives),
        "preprint_and_publication_joined": len(versions),
        "joined_wrongly_without_identifier": len(wrong),
        "examples_missed": [[a.title, b.title, a.year, b.year] for a, b in full if not same_work(bare(a), bare(b))][:8],
        "examples_wrong": wrong[:8],
    }


def preprint(paper: Paper) -> bool:
    """Whether the record has no publisher's DOI."""
    doi = identifiers(paper).doi
    return doi is None or is_preprint_doi(doi)


def bare(paper: Paper) -> Paper:
    """The record without its identifiers."""
    own = "s2:" + hashlib.sha256(repr(paper).encode()).hexdigest()[:12]  # an id that says nothing about the work
    return replace(paper, paper_id=own, arxiv_id=None, doi=None, url=None, version=None)


PARTS = {"parallel": parallel, "storm": storm, "asks": asks, "unreachable": unreachable, "identity": identity}


if __name__ == "__main__":
    out = ROOT / "benchmarks" / "results" / "sources.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:] or list(PARTS)
    result: dict[str, Any] = json.loads(out.read_text("utf-8")) if out.is_file() else {}
    result |= {"name": "sources"} | {part: PARTS[part]() for part in wanted}
    out.write_text(json.dumps(result, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    print(json.dumps(result, sort_keys=True, ensure_ascii=False))
    sys.exit(1 if any(result[part]["runs_with_silent_loss"] for part in ("storm", "asks") if part in result) else 0)
