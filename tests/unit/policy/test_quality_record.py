"""Eight dimensions and disjoint tiers. Guards against the archive's faults: overlapping bands, HIGH reproducibility that nobody reproduced, and counts
of extracted claims shown as verified ones."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sovereign.kernel import quality
from sovereign.kernel.language import parse_slots
from sovereign.records import (
    Claim,
    Coverage,
    Draft,
    Evidence,
    Finding,
    GateVerdict,
    Hearing,
    Level,
    Prediction,
    Review,
    Role,
    Ruling,
    Scale,
    Section,
    Sentence,
    SentenceKind,
    Severity,
    Span,
    Stance,
    Statement,
    Trial,
    TrialState,
    Verdict,
)
from sovereign.records.quality import QualityLevel, QualityRecord, Tier

TEXT = "On OLMoE at batch size 8, QuillCache reduces TTFT by 31.2 % compared with LRU caching."
SPAN = Span("d", 0, len(TEXT), TEXT, "p")
CLAIM = Claim("c1", TEXT, parse_slots(TEXT), span=SPAN, paper_id="p")
RULING = Ruling("c1", Verdict.SUPPORTED, Level.L2_GROUNDED, "x", evidence=(Evidence(Stance.SUPPORTS, SPAN),))
DRAFT = Draft("T", (Sentence("a1", TEXT, SentenceKind.CLAIM, ("c1",), citations=("p",)),), (Section("Answer"),), (), ("p",))
PREDICTION = Prediction("x exceeds y", "s", "x", ">", 0.0)


def hearing(score: float, *findings: Finding) -> Hearing:
    return Hearing(0, (Review(Role.VALIDATOR, score, findings),), score, "APPROVE")


def trial(scale: Scale, *verdicts: GateVerdict, seeds: int = 5, state: TrialState = TrialState.DONE) -> Trial:
    statements = tuple(Statement("x", "s", PREDICTION, v, "w") for v in verdicts)
    return Trial("t1", "caching", "smoke", scale, state, {}, tuple(range(seeds)), {}, (), statements)


def assess(score: float = 9.0, trials: tuple[Trial, ...] = (), verified: int = 1) -> QualityRecord:
    rulings = [replace(RULING, claim_id=f"c{n}") for n in range(1, verified + 1)]
    return quality.assess(DRAFT, [CLAIM], rulings, [], trials, hearing(score))


def test_without_a_trial_reproducibility_is_unassessed_and_null() -> None:
    d7 = assess().dimensions[6]
    assert (d7.key, d7.level, d7.score) == ("D-7", QualityLevel.UNASSESSED, None)


@given(
    st.lists(
        st.builds(
            lambda scale, verdicts, seeds, state: trial(scale, *verdicts, seeds=seeds, state=state),
            st.sampled_from(list(Scale)),
            st.lists(st.sampled_from(list(GateVerdict)), max_size=3),
            st.integers(0, 3),
            st.sampled_from(list(TrialState)),
        ),
        max_size=3,
    )
)
def test_high_reproducibility_needs_an_exact_finished_trial_that_agreed(trials: list[Trial]) -> None:
    record = assess(trials=tuple(trials))
    if record.dimensions[6].level is QualityLevel.HIGH:
        assert any(
            t.state is TrialState.DONE
            and t.scale is Scale.EXACT
            and len(t.seeds) > 1
            and any(s.verdict is GateVerdict.VERIFIED for s in t.statements)
            for t in trials
        )


def test_a_conceptual_trial_that_agrees_is_not_a_reproduction() -> None:
    assert assess(trials=(trial(Scale.CONCEPTUAL, GateVerdict.VERIFIED),)).dimensions[6].level is QualityLevel.MEDIUM
    assert assess(trials=(trial(Scale.EXACT, GateVerdict.VERIFIED),)).dimensions[6].level is QualityLevel.HIGH
    assert assess(trials=(trial(Scale.EXACT, state=TrialState.FAILED),)).dimensions[6].level is QualityLevel.LOW


@given(st.floats(0, 10), st.integers(0, 9), st.booleans(), st.booleans())
def test_every_score_has_exactly_one_tier(score: float, verified: int, blocked: bool, exact: bool) -> None:
    found = (Finding(Role.VALIDATOR, "x", Severity.BLOCKING, "x"),) if blocked else ()
    rulings = [replace(RULING, claim_id=f"c{n}") for n in range(1, verified + 1)]
    trials = (trial(Scale.EXACT, GateVerdict.VERIFIED),) if exact else ()
    record = quality.assess(DRAFT, [CLAIM], rulings, [], trials, hearing(score, *found))
    assert record.tier is not None and record.verified_count == verified
    high = {Tier.FLAGSHIP_CANDIDATE, Tier.DOI_GRADE, Tier.PUBLIC_RECORD}
    assert (record.tier in high) == (score >= 6.5 and not blocked)
    assert (record.tier is Tier.FLAGSHIP_CANDIDATE) == (score >= 8.5 and verified >= 5 and exact and not blocked)
    assert (record.tier is Tier.QUARANTINE_CANDIDATE) == (score < 5)


def test_a_draft_that_leaves_a_part_of_the_question_open_is_no_more_than_a_public_record() -> None:
    rulings = [replace(RULING, claim_id=f"c{n}") for n in range(1, 9)]
    exact = (trial(Scale.EXACT, GateVerdict.VERIFIED),)
    still_open = replace(DRAFT, coverage=(Coverage("metric:ttft", False, why_not="nobody says"),))
    for score in (6.5, 7.5, 9.9):
        record = quality.assess(still_open, [CLAIM], rulings, [], exact, hearing(score))
        assert record.tier is Tier.PUBLIC_RECORD and "1 part(s) of the question" in record.why
    assert quality.assess(still_open, [CLAIM], rulings, [], exact, hearing(5.0)).tier is Tier.WATCHLIST


def test_levels_and_scores_are_null_together() -> None:
    empty = quality.assess(Draft("T", (), (), (), ()), [], [], [], [], None)
    assert all((d.score is None) == (d.level is QualityLevel.UNASSESSED) for d in (*empty.dimensions, *assess().dimensions))
    assert empty.tier is None and [d.key for d in empty.dimensions] == [f"D-{n}" for n in range(1, 9)]
    assert all(d.level is QualityLevel.UNASSESSED for d in empty.dimensions)


def test_extracted_is_not_verified() -> None:
    record = quality.assess(DRAFT, [CLAIM] * 6, [replace(RULING, verdict=Verdict.NOT_FOUND)] * 6, [], [], hearing(9.0))
    assert record.verified_count == 0 and record.tier is Tier.PUBLIC_RECORD
