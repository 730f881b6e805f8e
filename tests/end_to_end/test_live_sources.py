"""Whole runs over live sources behind a local server: flags keep works out, citations bring works in, and faults lose nothing silently."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from live_support import QUESTION, WORKS, live_services, silent_losses, whole_run

from sovereign import wiring

RETRACTED, HIDDEN = "arxiv:2205.00005", "arxiv:2305.00004"


def asked(
    home: Path, faults: Callable[[str], str | None] = lambda path: None, **overrides: Any
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """draft.json, the policy's facts, and the Markdown; after a replay that gives the same bytes."""
    with live_services(home, faults, **overrides) as (settings, _):
        result = wiring.ask(settings, QUESTION)
        assert wiring.replay(settings, result.run_id).same
        with wiring.workspace(settings) as ws:
            (decided,) = ws.ledger.events(result.run_id, "policy_decided")
    return json.loads(result.files["draft.json"].read_bytes()), dict(decided.body["facts"]), result.files["draft.md"].read_text("utf-8")


def check(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in body["checks"] if c["name"] == "sources not retracted")
    return found


def test_what_became_of_the_works_is_asked_and_told(tmp_path: Path) -> None:
    """A work that only its publisher's registry calls retracted is found by every search, would be admitted, and stays out."""
    body, facts, text = asked(tmp_path / "home")
    (entry,) = [s for s in body["sources"] if s["id"] == RETRACTED]
    assert not entry["admitted"] and entry["reason"].startswith("retracted (says crossref)")
    assert "“TTFT of Modality Routing Experts on MMMU” bears on the question and was not used: it is retracted, says Crossref." in text
    assert check(body) == {
        "name": "sources not retracted", "state": "PASSED",
        "reason": "4 of 4 admitted works asked about, none retracted or withdrawn; 1 retracted or withdrawn left out",
    }  # fmt: skip
    assert facts["flagged_left_out"] == 2 and facts["unchecked_sources"] == 0 and facts["not_run_checks"] == 0
    assert {(f["source"], tuple(f["flags"])) for f in body["flag_checks"] if f["paper"] == RETRACTED} == {
        ("openalex", ()), ("crossref", ("retracted",)), ("arxiv", ()),
    }  # fmt: skip


def test_an_uncovered_facet_sends_a_revision_after_the_citations(tmp_path: Path) -> None:
    """The work that answers for memory is in no search result; the named system's paper cites it."""
    body, _, _ = asked(tmp_path / "home")
    (entry,) = [s for s in body["sources"] if s["id"] == HIDDEN]
    assert entry["admitted"] and set(entry["found_in"]) == {"openalex", "semantic_scholar"}
    near = [s for s in body["searches"] if s["query"].startswith("arxiv:")]
    assert {(s["source"], s["outcome"]) for s in near} == {(s, o) for s in ("openalex", "semantic_scholar") for o in ("found", "empty")}
    covered = {c["facet"]: c["answered"] for c in body["coverage"]}
    assert covered["metric:memory"] and not covered["metric:energy"]
    assert any(f["paper"] == HIDDEN for f in body["flag_checks"]), "what a revision brings is asked about too"


def test_the_second_hearing_hears_what_the_revision_did(tmp_path: Path) -> None:
    body, _, _ = asked(tmp_path / "home")
    first, second = body["tribunal"]["hearings"]
    assert first["acted"] == [] and second["acted"][-1] == "followed the citations of 3 work(s)"


class Killed(Exception):
    """In place of a power cut: nothing that happens inside a run raises it."""


@pytest.mark.parametrize("station", ["admit", "read", "draft"])
def test_a_run_stopped_after_its_search_asks_nobody_again(tmp_path: Path, station: str) -> None:
    def stop(at: str, state: str) -> None:
        if (at, state) == (station, "started"):
            raise Killed

    def printed(home: Path, progress: Callable[[str, str], None]) -> tuple[dict[str, bytes], list[str]]:
        with live_services(home, revision_rounds=0) as (settings, server):
            try:
                result = wiring.ask(settings, QUESTION, progress=progress)
            except Killed:
                with wiring.workspace(settings) as ws:
                    (row,) = ws.runs.list()
                result = wiring.resume(settings, row.run_id)
        return {n: p.read_bytes() for n, p in result.files.items()}, [s.path for s in server.seen if not s.path.startswith("/text/")]

    calm, once = printed(tmp_path / "calm", lambda *_: None)
    resumed, again = printed(tmp_path / "stopped", stop)
    assert resumed == calm and sorted(again) == sorted(once)


def test_without_a_revision_nobody_is_asked_for_citations(tmp_path: Path) -> None:
    body, _, _ = asked(tmp_path / "home", revision_rounds=0)
    assert HIDDEN not in {s["id"] for s in body["sources"]}
    assert not any(s["query"].startswith("arxiv:") for s in body["searches"])


def test_an_outage_of_the_registries_is_never_not_retracted(tmp_path: Path) -> None:
    down = ("/crossref/", "/datacite/", "/openalex/works/", "/arxiv/")
    body, facts, text = asked(
        tmp_path / "home", lambda path: "503" if path.startswith(down) else None, sources=("openalex",), revision_rounds=0
    )
    said = check(body)
    assert said["state"] == "NOT_RUN" and said["reason"].startswith("about 5 of 5 admitted works those who would know did not answer: ")
    assert said["reason"].endswith(": arXiv did not answer (503)"), "what OpenAlex said of the works in its search stands"
    assert "Whether 5 of 5 admitted works were retracted or withdrawn is not known (" in text
    assert "OpenAlex did not answer" not in text and facts["not_run_checks"] == 1 and facts["unchecked_sources"] >= 1
    assert body["policy"]["decision"] == "ESCALATE_TO_OWNER"
    assert all("flags" not in f for f in body["flag_checks"] if f["outcome"] != "found")


def test_the_silence_of_the_one_who_knows_is_not_made_good_by_others(tmp_path: Path) -> None:
    """Only Crossref knows of the retraction; OpenAlex and arXiv hold the work without a flag."""
    body, facts, text = asked(tmp_path / "home", lambda path: "503" if path.startswith("/crossref/") else None, revision_rounds=0)
    assert RETRACTED in {s["id"] for s in body["sources"] if s["admitted"]}
    assert check(body)["state"] == "NOT_RUN" and check(body)["reason"].startswith(
        "about 2 of 4 admitted works those who would know did not answer: Crossref did not"
    )
    assert "Whether 2 of 4 admitted works were retracted or withdrawn is not known (Crossref did not answer (503))." in text
    assert facts["not_run_checks"] == 1


def test_the_silence_of_one_who_repeats_others_is_told(tmp_path: Path) -> None:
    body, facts, text = asked(tmp_path / "home", lambda path: "503" if path.startswith("/datacite/") else None, revision_rounds=0)
    assert check(body)["state"] == "PASSED" and facts["unchecked_sources"] == 0
    assert "DataCite did not answer whether 2 admitted works were retracted; others that were asked did." in text


def test_a_source_that_answered_some_queries_counts_as_one_that_answered(tmp_path: Path) -> None:
    """Guards: "no source answered" because each of them missed one query of many."""
    first: set[str] = set()

    def once(path: str) -> str | None:
        service = path.split("/")[1]
        return None if service in first or first.add(service) else "redirect-private"  # which no second try helps

    body, _, text = asked(tmp_path / "home", once, revision_rounds=0)
    (searched,) = [c for c in body["checks"] if c["name"] == "literature searched"]
    assert searched["state"] == "PASSED" and searched["reason"].startswith(
        "arxiv, openalex, semantic_scholar answered; arxiv not to 1 of 4 queries; "
    )
    assert "arXiv did not answer 1 of 4 queries" in text and "arXiv, OpenAlex and Semantic Scholar did not answer every query" in text


def test_offline_asks_nobody_and_says_so(tmp_path: Path) -> None:
    """With a live source in use and the network switched off, the local library still answers; nothing is called checked."""
    with live_services(tmp_path / "home", default_library=True, sources=("local", "arxiv"), offline=True) as (settings, server):
        body = json.loads(wiring.ask(settings, "How much does SMoES reduce TTFT on MMMU?").files["draft.json"].read_bytes())
    assert server.seen == [] and body["flag_checks"] == [] and not [c for c in body["checks"] if c["name"] == "sources not retracted"]
    assert "Nobody was asked whether the admitted works were retracted or withdrawn." in json.dumps(body["draft"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_whole_run_under_thirty_percent_faults_loses_nothing_silently(tmp_path: Path, seed: int) -> None:
    calm, stormy = whole_run(tmp_path / "calm", 0.0, seed), whole_run(tmp_path / "stormy", 0.3, seed)
    assert calm.admitted == {"arxiv:2405.00001", "arxiv:2405.00002", "arxiv:2305.00003", HIDDEN} == calm.read_in_full
    assert calm.replayed and stormy.replayed and not calm.pairs_failed + calm.flag_checks_failed
    assert silent_losses(calm, stormy) == [], stormy


def test_a_total_outage_ends_in_a_draft_that_names_every_source(tmp_path: Path) -> None:
    dead = whole_run(tmp_path / "home", 1.0, 0)
    assert not dead.admitted and dead.not_run and dead.replayed
    assert all(name in dead.named for name in ("arXiv did not answer", "Semantic Scholar did not answer", "OpenAlex did not answer")), (
        dead.named
    )
    assert len(WORKS) == 7
