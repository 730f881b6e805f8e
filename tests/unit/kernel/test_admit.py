"""Homonyms stay out, named systems come in, retracted works are not evidence, and every work has a reason."""

from __future__ import annotations

from dataclasses import replace

from sovereign.kernel.admit import admit
from sovereign.kernel.question import ask
from sovereign.kernel.standing import standings
from sovereign.records import Empty, Failed, Found, Paper, PaperKind, SearchOutcome, SearchRecord

SMOES = Paper(
    "arxiv:2604.23996", "SMoES: Soft Modality-Guided Expert Specialization in MoE-VLMs", ("A B",), 2026,
    "Mixture-of-Experts vision-language models route tokens to experts. SMoES uses soft modality scores for expert routing and improves throughput.",
)  # fmt: skip
NEIGHBOUR = Paper(
    "arxiv:2506.06406", "SMAR: Soft Modality-Aware Routing for MoE-based Multimodal Large Language Models", ("C D",), 2025,
    "We study modality-aware routing of tokens to experts in Mixture-of-Experts vision-language models; throughput is kept.",
)  # fmt: skip
GEOGRAPHIC = Paper(
    "arxiv:1403.3007", "The Four Principles of Geographic Routing", ("E F",), 2014,
    "Geographic routing forwards packets by node position in wireless sensor networks. Throughput and latency are analysed.",
)  # fmt: skip
QUESTION = ask("How does SMoES change throughput compared with fixed routing baselines?", {"smoes": "SMoES"})


def _found(*papers: Paper) -> list[SearchRecord]:
    return [SearchRecord("local", "q", "named_system", Found(papers))]


def test_the_named_system_comes_in_and_the_homonym_stays_out() -> None:
    by_id = {a.paper.paper_id: a for a in admit(QUESTION, _found(GEOGRAPHIC, SMOES, NEIGHBOUR), at_most=12)}
    assert by_id[SMOES.paper_id].admitted and "SMoES" in by_id[SMOES.paper_id].reason
    assert not by_id[GEOGRAPHIC.paper_id].admitted
    assert "another topic" in by_id[GEOGRAPHIC.paper_id].reason
    assert by_id[NEIGHBOUR.paper_id].admitted
    assert all(a.reason for a in by_id.values())


def test_nothing_relevant_admits_nothing() -> None:
    assert not any(a.admitted for a in admit(QUESTION, _found(GEOGRAPHIC), at_most=12))
    assert admit(QUESTION, [], at_most=12) == ()


def test_a_name_inside_another_name_is_not_that_system() -> None:
    other = replace(
        SMOES, paper_id="arxiv:2310.01334", title="MC-SMoE: merging", abstract="Merging experts of a sparse model to save memory."
    )
    smoe = ask("What does SMoE cost in memory?", {"smoe": "SMoE"})
    assert "names" not in {a.paper.paper_id: a.reason for a in admit(smoe, _found(other), at_most=5)}[other.paper_id]


def test_retracted_and_withdrawn_works_are_not_evidence() -> None:
    for flag in ("retracted", "withdrawn"):
        (only,) = admit(QUESTION, _found(replace(SMOES, flags=(flag,))), at_most=5)
        assert not only.admitted and flag in only.reason


def _flag_check(work: str, source: str, outcome: SearchOutcome) -> SearchRecord:
    return SearchRecord(source, work, SearchRecord.FLAGS, outcome)


def test_what_a_flag_check_found_keeps_a_work_and_the_notes_about_it_out() -> None:
    note = Paper("note:2604.23996", "SMoES: a note", kind=PaperKind.NOTE, about=SMOES.paper_id, abstract=SMOES.abstract)
    said = _flag_check(SMOES.paper_id, "crossref", Found((replace(SMOES, flags=("retracted",)),)))
    by_id = {a.paper.paper_id: a for a in admit(QUESTION, [*_found(SMOES, note, NEIGHBOUR), said], at_most=12)}
    assert by_id[SMOES.paper_id].reason == "retracted (says crossref): not used as evidence" and by_id[SMOES.paper_id].score == 1.0
    assert by_id[note.paper_id].reason == "about a retracted work (says crossref): not used as evidence"
    assert not by_id[SMOES.paper_id].admitted and not by_id[note.paper_id].admitted and by_id[NEIGHBOUR.paper_id].admitted
    assert by_id[SMOES.paper_id].sources == ("local",), "who was asked about a work did not find it"


def test_a_flag_check_brings_no_work_in_and_changes_no_score() -> None:
    """Guards: the answer of a registry, which has another abstract or none, deciding what is relevant."""
    before = admit(QUESTION, _found(GEOGRAPHIC, SMOES, NEIGHBOUR), at_most=12)
    stranger = replace(NEIGHBOUR, paper_id="doi:10.1/x", title="SMoES again", abstract=None)
    said = [_flag_check(NEIGHBOUR.paper_id, "crossref", Found((stranger,))), _flag_check(SMOES.paper_id, "openalex", Empty())]
    assert admit(QUESTION, [*_found(GEOGRAPHIC, SMOES, NEIGHBOUR), *said], at_most=12) == before


def test_the_last_word_of_a_service_counts_and_silence_is_no_word() -> None:
    work, held, down = SMOES.paper_id, Found((SMOES,)), Failed("Crossref did not answer (503)", "server_error")
    cases = [
        ([("crossref", down)], False),
        ([("crossref", down), ("crossref", held)], True),
        ([("crossref", down), ("openalex", Empty())], False),  # who does not hold it cannot speak for who does not answer
        ([("crossref", Empty()), ("openalex", Empty())], True),
        ([("crossref", down), ("openalex", held)], False),  # OpenAlex repeats what Crossref says
        ([("crossref", held), ("openalex", down)], True),
        ([("crossref", Empty()), ("datacite", down), ("openalex", held)], False),
        ([("openalex", held), ("datacite", down), ("arxiv", held)], True),
        ([("openalex", held), ("datacite", held), ("arxiv", down)], False),
    ]
    for said, answered in cases:
        (standing,) = standings([_flag_check(work, source, outcome) for source, outcome in said]).values()
        assert standing.answered is answered and standing.flags == (), said
    assert standings(_found(SMOES)) == {}
    searched = SearchRecord("arxiv", "q", "comparators", Found((replace(SMOES, flags=("withdrawn",)),)))
    (standing,) = standings([searched, _flag_check(work, "arxiv", down)]).values()
    assert standing.answered and standing.flags == ("withdrawn",), "what arXiv said of the work in a search counts when its lookup failed"


def test_the_order_of_the_answers_does_not_matter() -> None:
    one = admit(QUESTION, _found(GEOGRAPHIC, SMOES, NEIGHBOUR), at_most=12)
    other = admit(QUESTION, _found(NEIGHBOUR, GEOGRAPHIC, SMOES), at_most=12)
    assert {(a.paper.paper_id, a.admitted, a.reason) for a in one} == {(a.paper.paper_id, a.admitted, a.reason) for a in other}


def test_at_most_so_many_but_named_systems_always() -> None:
    judged = admit(QUESTION, _found(SMOES, NEIGHBOUR), at_most=1)
    assert [a.admitted for a in judged] == [True, False]
    assert "better ones" in judged[1].reason
