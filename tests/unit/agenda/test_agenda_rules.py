"""The agenda's pure rules: what is the same question, what follows from a run, when a topic rests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sovereign.kernel import agenda, question
from sovereign.records import Facet, FacetKind

NAMES = {"smoes": "SMoES", "expertflow": "ExpertFlow"}


def asked(text: str) -> agenda.Asked:
    return agenda.Asked.of(question.ask(text, NAMES))


BASE = "How much does SMoES reduce TTFT on MMMU compared with the unspecialized router?"


@pytest.mark.parametrize(
    "other",
    [
        "How much do SMoES reduce the TTFT on MMMU compared with the unspecialized router",
        "Please tell us how much SMoES reduces TTFT on MMMU, compared with the unspecialized router.",
        "how much does smoes reduce ttft on mmmu compared with the unspecialized router?",
    ],
)
def test_the_same_question_in_other_words_is_recognised(other: str) -> None:
    assert agenda.duplicate(asked(other), [("q-1", asked(BASE))]) is not None


@pytest.mark.parametrize(
    "other",
    [
        "How much does SMoES reduce TPOT on MMMU compared with the unspecialized router?",  # another metric
        "How much does ExpertFlow reduce TTFT on MMMU compared with the unspecialized router?",  # another system
        "How much does SMoES reduce TTFT on VQAv2 compared with the unspecialized router?",  # another data set
        "How much does SMoES not reduce TTFT on MMMU compared with the unspecialized router?",  # negation
        "How much does SMoES increase TTFT on MMMU compared with the unspecialized router?",  # direction
        "How much does SMoES reduce TTFT on MMMU compared with the unspecialized router at batch 32?",  # a number
    ],
)
def test_one_decisive_word_makes_another_question(other: str) -> None:
    """Guards the agenda's own version of 'similar is not the same': nearly all words agree in each of these."""
    assert agenda.duplicate(asked(other), [("q-1", asked(BASE))]) is None


SYSTEM, METRIC, DATA = Facet(FacetKind.SYSTEM, "SMoES"), Facet(FacetKind.METRIC, "TTFT"), Facet(FacetKind.DATASET, "MMMU")
RUN = agenda.Past(
    "r-1",
    BASE,
    "smoes",
    (SYSTEM, METRIC, DATA),
    unanswered=((DATA.id, "no admitted source names it"),),
    supported=frozenset({("smoes", "ttft", "mmmu")}),
    contested=(("smoes", "ttft", "mmmu"),),
    failed=(("smoes_tradeoff", "Routing by modality keeps accuracy."),),
)


def test_suggestions_follow_from_what_is_open_and_say_why() -> None:
    found = agenda.suggest([RUN], [("r-1", asked(BASE))]).suggestions
    assert [s.kind for s in found] == ["contested_key", "failed_prediction", "unanswered_facet"]
    assert all(s.reason and s.run_id == "r-1" and s.question.endswith("?") for s in found)
    assert "no admitted source names it" in found[2].reason and "MMMU" in found[2].question
    assert not agenda.suggest([replace(RUN, unanswered=(), contested=(), failed=())], []).suggestions


def test_what_was_asked_already_is_not_suggested_again() -> None:
    first = agenda.suggest([RUN], []).suggestions
    known = [(s.question, asked(s.question)) for s in first]
    again = agenda.suggest([RUN], known, facets_of=lambda text: asked(text).facets).suggestions
    assert not again
    double = agenda.suggest([RUN, replace(RUN, run_id="r-2")], []).suggestions
    assert len(double) == len({s.question for s in double}) == 3


def test_suggestions_are_bounded() -> None:
    runs = [
        replace(RUN, run_id=f"r-{n}", topic=f"t{n}", contested=tuple((f"s{n}x{i}", "ttft", "") for i in range(9)), unanswered=(), failed=())
        for n in range(9)
    ]
    found = agenda.suggest(runs, [], at_most=7).suggestions
    assert len(found) == 7
    assert max(sum(s.run_id == r.run_id for s in found) for r in runs) == agenda.PER_RUN


def test_a_topic_rests_when_its_last_runs_supported_nothing_new() -> None:
    runs = [replace(RUN, run_id=f"r-{n}") for n in range(4)]
    found = agenda.suggest(runs, [])
    assert not found.suggestions
    assert found.resting == (("smoes", "its last 3 runs supported no claim that earlier runs had not"),)
    lively = [*runs[:3], replace(runs[3], supported=frozenset({("smoes", "tpot", "mmmu")}))]
    assert agenda.suggest(lively, []).suggestions and not agenda.suggest(lively, []).resting
    assert agenda.suggest(runs[:3], []).suggestions, "three runs are too few to rest"
