"""Three services at once under random faults: the same works are found, or what failed is named. Fixed seeds; no real waiting."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from faultserver import FAULTS, LITERATURE, FaultServer
from source_fakes import FakeTime, settings_for

from sovereign import sources
from sovereign.identity import merge
from sovereign.records import Empty, Failed, Found, Query

THREE = ("arxiv", "semantic_scholar", "openalex")
QUERIES = [Query("test", f"query {i}") for i in range(4)]


def found_by(home: Path, rate: float, seed: int) -> tuple[set[str], list[Failed], int]:
    """(paper ids after merging, failures, requests sent) of four queries at each service, every request failing with probability `rate`."""
    chance = random.Random(seed)
    faults = [f for f in FAULTS if f != "slow"]  # a slow answer takes real time; tests/contracts has it alone

    def fault(path: str) -> str | None:
        return chance.choice(faults) if chance.random() < rate else None

    with FaultServer(faults=fault) as server:
        time, settings = FakeTime(), settings_for(home, server.url)
        built = sources.build(THREE, settings, state_dir=home / "state", clock=time.clock, sleep=time.sleep)
        asked = [(s, q) for s in built for q in QUERIES]

        async def all_at_once() -> list[Any]:
            return list(await asyncio.gather(*(s.search(q, 20) for s, q in asked)))

        outcomes = asyncio.run(all_at_once())
    assert not any(isinstance(o, Empty) for o in outcomes), "an outage was read as absence"
    pairs = [(s.name, p) for (s, _), o in zip(asked, outcomes, strict=True) if isinstance(o, Found) for p in o.papers]
    return {p.paper_id for p, _ in merge(pairs)}, [o for o in outcomes if isinstance(o, Failed)], len(server.seen)


@pytest.mark.parametrize("seed", range(6))
def test_thirty_percent_faults_lose_nothing_silently(tmp_path: Path, seed: int) -> None:
    calm, nothing_failed, few = found_by(tmp_path / "calm", 0.0, seed)
    stormy, failed, many = found_by(tmp_path / "stormy", 0.3, seed)
    assert len(calm) == len(LITERATURE) and not nothing_failed and few == len(THREE) * len(QUERIES)
    assert failed or many > few, "the storm must have struck"
    assert stormy == calm or failed, "works are missing and nobody is named"
    assert all(o.reason.split()[0].removesuffix("'s") in ("arXiv", "Semantic", "OpenAlex") for o in failed), failed


def test_a_total_outage_names_every_pair(tmp_path: Path) -> None:
    found, failed, _ = found_by(tmp_path, 1.0, 0)
    assert not found and len(failed) == len(THREE) * len(QUERIES)
