"""Facets of real questions; names that are not words; four different queries whatever the question lacks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.errors import QuestionRefused
from sovereign.kernel.plan import plan, targeted
from sovereign.kernel.question import MAX_CHARACTERS, ask

KNOWN = {"smoes": "SMoES", "expertflow": "ExpertFlow", "anyexperts": "AnyExperts", "much": "MUCH", "beam": "BEAM"}
SEED_0 = (
    "What is the inference throughput and memory efficiency trade-off of SMOES relative to dense baselines and hard-coded modality "
    "routing across different MoE sparsity levels on multi-modal QA tasks?"
)
SEED_1 = (
    "How does AnyExperts' on-demand routing strategy compare to fixed routing baselines in terms of inference latency and throughput "
    "across varying batch sizes on standard multimodal benchmarks like VQAv2 and Visual7W?"
)


def test_facets_of_the_seed_questions() -> None:
    assert {f.id for f in ask(SEED_0, KNOWN).facets} == {
        "system:smoes", "comparator:dense models", "comparator:hard-coded modality routing", "metric:throughput", "metric:memory",
        "condition:sparsity level", "dataset:multi-modal qa",
    }  # fmt: skip
    assert {f.id for f in ask(SEED_1, KNOWN).facets} >= {
        "system:anyexperts", "comparator:fixed routing", "metric:latency", "metric:throughput", "condition:batch size", "dataset:vqav2", "dataset:visual7w",
    }  # fmt: skip


def test_ordinary_words_do_not_become_systems() -> None:
    """ "much" and "Beam search" once admitted papers called MUCH and BEAM with a perfect score."""
    systems = [
        f.text for f in ask("How much memory does Beam search with ExpertFlow need on an A100?", KNOWN).facets if f.id.startswith("system:")
    ]
    assert systems == ["ExpertFlow"]
    assert "system:beam" in {f.id for f in ask("How much memory does BEAM need?", KNOWN).facets}


def test_a_generic_short_form_is_also_read_as_the_name_it_is_one_letter_from() -> None:
    question = ask("How does the throughput of SMOE compare with fixed-ratio MoE baselines?", KNOWN)
    assert "system:smoes" in {f.id for f in question.facets}
    assert "SMoES" in question.ill_posed[0]


def test_a_longer_name_is_not_its_beginning() -> None:
    ids = {f.id for f in ask("How fast is DeepSeek-V2-Lite compared with Mixtral-8x7B?", {"deepseek": "DeepSeek"}).facets}
    assert "system:deepseek-v2-lite" in ids and "system:deepseek" not in ids


@pytest.mark.parametrize("bad", ["", "   \n", "?", "a" * (MAX_CHARACTERS + 1), "what \x07 is this", "\u202e\u200b", "12 34"])
def test_what_cannot_be_asked_is_refused_with_a_mend(bad: str) -> None:
    with pytest.raises(QuestionRefused) as refused:
        ask(bad)
    assert refused.value.mend


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_answered_or_refused_never_a_crash(text: str) -> None:
    try:
        question = ask(text, KNOWN)
    except QuestionRefused:
        return
    queries = plan(question)
    assert len(queries) == 4


@pytest.mark.parametrize("text", [SEED_0, SEED_1, "How does expert caching change latency?", "Which routers exist and why do they matter?"])
def test_there_are_always_four_different_queries(text: str) -> None:
    queries = plan(ask(text, KNOWN))
    assert [q.purpose for q in queries] == ["named_system", "system_metric", "comparators", "benchmark_condition"]
    assert len({q.text.lower() for q in queries}) == 4
    assert all(q.text.strip() for q in queries)


def test_a_revision_asks_for_what_was_left_open() -> None:
    question = ask(SEED_0, KNOWN)
    queries = targeted(question, ("metric:memory", "system:smoes"))
    assert [q.facets for q in queries] == [("metric:memory",)]
    assert "SMoES" in queries[0].text and "memory" in queries[0].text.lower()
