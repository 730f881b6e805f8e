"""Live sources against a local server that misbehaves, and identity without identifiers on recorded responses.

    python benchmarks/sources.py      (about 20 s on one core; the recordings in ../shared/data/api_fixtures are used when they are there)

1. parallel: three services answering after 0.3, 0.5 and 0.7 s, one question, seven repeats: seconds against the slowest and the sum.
2. storm: 40 seeds, three services, four queries each, every request failing with probability 0.3: same works found, or failure named?
3. identity: pairs of records from different services that share a DOI or arXiv id; how many does title + author + year alone join, and how
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
sys.path[:0] = [str(ROOT / "tests" / "unit" / "sources"), str(ROOT / "tests" / "golden" / "sources")]

from faultserver import FaultServer  # noqa: E402
from source_fakes import settings_for  # noqa: E402
from test_golden_sources import SHARED, exchanges, replay, services  # noqa: E402
from test_storm import QUERIES, THREE, found_by  # noqa: E402

from sovereign import sources  # noqa: E402
from sovereign.identity import _same_identifier, identifiers, is_preprint_doi, same_work  # noqa: E402
from sovereign.records import Found, Paper, Query  # noqa: E402

DELAYS_S = {"arxiv": 0.3, "s2": 0.5, "openalex": 0.7}
REPEATS, SEEDS, RATE = 7, 40, 0.3


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


if __name__ == "__main__":
    result = {"name": "sources", "parallel": parallel(), "storm": storm(), "identity": identity()}
    out = ROOT / "benchmarks" / "results" / "sources.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    print(json.dumps(result, sort_keys=True, ensure_ascii=False))
    sys.exit(1 if result["storm"]["runs_with_silent_loss"] else 0)
