"""A sentence must say what its claim says. Guards against the original system's drafts, where a changed number in a sentence passed unseen."""

from __future__ import annotations

import pytest

from sovereign.kernel.language import parse_slots
from sovereign.kernel.tribunal import wording
from sovereign.records import Claim, Paper, Sentence, SentenceKind, Span

CLAIM = "On OLMoE at batch size 8, QuillCache reduces TTFT by about 31.2 % compared with LRU caching."


def slots_of(text: str, claim: str = CLAIM) -> set[str]:
    return {d.slot for d in wording.compare(text, claim)}


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("On OLMoE at batch size 8, QuillCache reduces TTFT by about 13.2 % compared with LRU caching.", "number"),
        ("On OLMoE at batch size 16, QuillCache reduces TTFT by about 31.2 % compared with LRU caching.", "number"),
        ("On OLMoE at batch size 8, QuillCache reduces TTFT by about 31.2 points compared with LRU caching.", "unit"),
        ("On OLMoE at batch size 8, QuillCache raises TTFT by about 31.2 % compared with LRU caching.", "direction"),
        ("On OLMoE at batch size 8, QuillCache does not reduce TTFT by about 31.2 % compared with LRU caching.", "negation"),
        ("On Mixtral at batch size 8, QuillCache reduces TTFT by about 31.2 % compared with LRU caching.", "name"),
        ("On OLMoE at batch size 8, QuillCache reduces TTFT by 31.2 % compared with LRU caching.", "hedge"),
        ("On OLMoE at batch size 8, QuillCache always reduces TTFT by about 31.2 % compared with LRU caching.", "scope"),
        ("On OLMoE at batch size 8, QuillCache reduces TTFT by about 31.2 %", "cut"),
    ],
)
def test_what_changes_the_statement_is_found(text: str, slot: str) -> None:
    assert slot in slots_of(text)


@pytest.mark.parametrize(
    "text",
    [
        CLAIM,
        "On OLMoE at batch size 8, QuillCache lowers TTFT by about 31.2 % relative to LRU caching.",
        "QuillCache reduces TTFT by roughly 31.2% compared with LRU caching on OLMoE at batch size 8.",
        "At batch size 8 on OLMoE, QuillCache cuts TTFT by around 31.2 % compared with LRU caching.",
    ],
)
def test_the_same_statement_in_other_words_is_at_most_a_remark(text: str) -> None:
    assert slots_of(text) <= {"wording"}


def _sentence(text: str, *, cited: str = "p") -> list[wording.Difference]:
    claim = Claim("c1", CLAIM, parse_slots(CLAIM), span=Span("d", 0, len(CLAIM), CLAIM, "p"), paper_id="p")
    paper = Paper("p", "QuillCache: Keeping the Right Experts Resident", ("Ada Orban", "Milos Veer"))
    return wording.differences(
        Sentence("s1", text, SentenceKind.CLAIM, ("c1",), citations=(cited,)), [claim], [paper], ["the hedge is missing"]
    )


@pytest.mark.parametrize(
    "text",
    [
        f"The QuillCache paper states: “{CLAIM}”",
        f"The paper by Orban and others states in its abstract: “{CLAIM}”.",
        f"Not answered. The QuillCache paper states: “{CLAIM}”",
        f"{CLAIM.rstrip('.')} (with a qualification: the hedge is missing).",
    ],
)
def test_the_frames_of_our_own_drafts_add_nothing(text: str) -> None:
    assert _sentence(text) == []


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        (f"The QuillCache paper states: “{CLAIM}” It costs 4 GB.", "number"),
        (f"The QuillCache paper states: “{CLAIM}” This holds for WaltzRoute too.", "name"),
        (f"The QuillCache paper proves: “{CLAIM}”", "scope"),
        (
            "The QuillCache paper states: “On OLMoE at batch size 8, QuillCache gladly reduces TTFT by about 31.2 % compared with LRU caching.”",
            "quote",
        ),
    ],
)
def test_what_stands_beside_a_repeated_claim_is_looked_at(text: str, slot: str) -> None:
    assert slot in {d.slot for d in _sentence(text)}
