"""A small invented literature on one question behind the local fault server, and whole runs over it: no network, no waiting.

Three services find the works; one work is reachable by citation only; one was retracted by its publisher and one withdrawn at arXiv.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "sources"))

from faultserver import FAULTS, FaultServer, Work
from source_fakes import FakeTime, settings_for

from sovereign import sources, wiring
from sovereign.settings import Settings
from sovereign.store.workspace import Workspace

QUESTION = "How much does RouterNet reduce memory, energy and throughput on MMMU compared with the unspecialized router?"
LIVE = ("arxiv", "semantic_scholar", "openalex")
_ABOUT = "for mixture-of-experts vision-language models, with modality routing of tokens to experts"


def _paper(text: str) -> str:
    return f"<h2>1 Results</h2><p>{text}</p>"


WORKS = (
    Work(
        1, "RouterNet: Modality Routing of Experts", ("Ada Author", "Ben Writer"), 2024,
        f"RouterNet reduces TTFT by 14% on MMMU compared with the unspecialized router {_ABOUT}.",
        _paper("RouterNet reduces TTFT by 14% on MMMU compared with the unspecialized router. RouterNet was run with eight experts."),
        cites=(4,), published=True,
    ),
    Work(
        2, "Soft Modality Routers in Practice", ("Cleo Third",), 2024,
        f"We measure TTFT of the unspecialized router on MMMU {_ABOUT}.",
        _paper("On MMMU the unspecialized router needs a TTFT of 210 ms. Modality routing of experts lowers it."),
    ),
    Work(
        3, "Expert Caching for Modality Routers", ("Dan Fourth",), 2023,
        f"Expert caching lowers latency on MMMU {_ABOUT}.",
        _paper("With expert caching the TTFT on MMMU falls by 9% compared with the unspecialized router."),
    ),
    Work(
        4, "Memory of Modality Routing Experts", ("Eve Fifth",), 2023,
        f"RouterNet needs little memory on MMMU compared with the unspecialized router {_ABOUT}.",
        _paper("RouterNet reduces memory by 31% on MMMU compared with the unspecialized router."), hidden=True,
    ),
    Work(
        5, "TTFT of Modality Routing Experts on MMMU", ("Fay Sixth",), 2022,
        f"We report TTFT on MMMU compared with the unspecialized router {_ABOUT}.", published=True, retracted=True,
    ),
    Work(
        6, "Modality Routing Experts on MMMU, withdrawn", ("Gus Seventh",), 2022,
        f"We report TTFT and memory on MMMU compared with the unspecialized router {_ABOUT}.", withdrawn=True,
    ),
    Work(
        7, "Four Principles of Geographic Routing", ("Hal Eighth",), 2012,
        "Geographic routing forwards packets by node position in wireless sensor networks; latency is analysed.",
    ),
)  # fmt: skip


@contextmanager
def live_services(
    home: Path, faults: Callable[[str], str | None] = lambda path: None, works: tuple[Work, ...] = WORKS, **overrides: object
) -> Iterator[tuple[Settings, FaultServer]]:
    """Settings of a workspace without a library, whose live services are all at a local server that fails as told. Time stands still."""
    time = FakeTime()

    def live(ws: Workspace, settings: Settings) -> sources.Services:
        return sources.services(settings, state_dir=settings.home, keep=wiring.keeper(ws), clock=time.clock, sleep=time.sleep)

    def full_text_urls(arxiv_id: str, version: int | None) -> tuple[str, ...]:
        return tuple(f"{server.url}/text/{form}/{arxiv_id}v{version}" for form in ("html", "e-print", "pdf"))

    with FaultServer(faults=faults, works=works) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "live", live)
        patch.setattr(sources.full_text, "full_text_urls", full_text_urls)
        patch.setattr(sources.full_text, "ARXIV_HOSTS", ("127.0.0.1",))
        home.mkdir(parents=True)
        chosen = {"default_library": False, "sources": LIVE, "search_deadline_s": 600.0, **overrides}
        yield settings_for(home, server.url, **chosen), server


@dataclass(frozen=True)
class Outcome:
    """What one whole run over the live services brought. `named`: what its draft says is missing, in the words of its uncertainties and checks."""

    admitted: frozenset[str]
    read_in_full: frozenset[str]
    found_in: Mapping[str, tuple[str, ...]]
    pairs_failed: int
    flag_checks_failed: int
    not_run: tuple[str, ...]
    named: str
    requests: int
    replayed: bool


def whole_run(home: Path, rate: float, seed: int) -> Outcome:
    """A complete `ask`, every single request (search, lookup, citation, flag, full text) failing with probability `rate`, then its replay."""
    chance = random.Random(seed)
    kinds = [f for f in FAULTS if f != "slow"]  # a slow answer takes real time; tests/contracts has it alone

    def fault(path: str) -> str | None:
        return chance.choice(kinds) if chance.random() < rate else None

    with live_services(home, fault) as (settings, server):
        result = wiring.ask(settings, QUESTION)
        requests = len(server.seen)
        same = wiring.replay(settings, result.run_id).same
    body = json.loads(result.files["draft.json"].read_bytes())
    admitted = [s for s in body["sources"] if s["admitted"]]
    uncertain = next(s for s in body["draft"]["sections"] if s["title"].startswith("Uncertainties"))
    return Outcome(
        frozenset(s["id"] for s in admitted),
        frozenset(s["id"] for s in admitted if "full_text" in s["basis"]),
        {s["id"]: tuple(s["found_in"]) for s in admitted},
        sum(s["outcome"] == "failed" for s in body["searches"]),
        sum(s["outcome"] == "failed" for s in body["flag_checks"]),
        tuple(c["name"] for c in body["checks"] if c["state"] == "NOT_RUN"),
        " ".join(s["text"] for s in uncertain["sentences"]),
        requests,
        same,
    )


def silent_losses(calm: Outcome, stormy: Outcome) -> list[str]:
    """What the storm took and nobody named; empty is the promise."""
    lost = []
    if calm.admitted - stormy.admitted and not (stormy.pairs_failed and "did not answer" in stormy.named):
        lost.append("admitted works")
    if stormy.admitted - calm.admitted and not (stormy.flag_checks_failed and "retracted" in stormy.named):
        lost.append("a retracted or withdrawn work came in")
    unread = stormy.admitted - stormy.read_in_full
    if unread and "only the abstract was read" not in stormy.named and "could not be read" not in stormy.named:
        lost.append("full texts")
    return lost
