"""L3 needs independent sources; equal keys with values apart contest each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sovereign.kernel.verify import corroborate, make_claim
from sovereign.kernel.verify.corroborate import independent
from sovereign.records import Claim, Evidence, Level, Paper, PaperKind, Ruling, Span, Stance, Verdict

A = Paper("arxiv:1", "A study of expert caching in language models", ("Xin He", "Yao Fu"))
B = Paper("arxiv:2", "Another look at caching for mixtures of experts", ("Zunhai Su",))


def supported(claim: Claim, *papers: str) -> Ruling:
    evidence = tuple(Evidence(Stance.SUPPORTS, Span("0" * 64, 0, 1, "x", p)) for p in papers)
    return Ruling(claim.claim_id, Verdict.SUPPORTED, Level.L2_GROUNDED, "said", evidence=evidence)


CLAIM = make_claim("HeronMoE reduces latency by 22.5 % on GSM8K.")


def test_two_independent_papers_corroborate() -> None:
    assert corroborate([CLAIM], [supported(CLAIM, "arxiv:1", "arxiv:2")], [A, B])[0].level is Level.L3_CORROBORATED


@pytest.mark.parametrize(
    "other",
    [
        replace(B, authors=("He, X.", "Someone Else")),
        replace(B, references=("arxiv:1",)),
        replace(B, references=("He et al. A study of expert caching in language models. 2024.",)),
        replace(B, kind=PaperKind.NOTE, about="arxiv:1"),
        replace(B, authors=()),
    ],
    ids=["shared author", "cites by id", "cites by title", "a note on it", "unknown authors"],
)
def test_dependent_papers_do_not(other: Paper) -> None:
    assert not independent(A, other)
    assert not independent(other, A)
    assert corroborate([CLAIM], [supported(CLAIM, "arxiv:1", "arxiv:2")], [A, other])[0].level is Level.L2_GROUNDED


def test_two_notes_on_one_paper_are_one_source() -> None:
    first, second = (Paper(f"note:{k}", "A note", (k,), kind=PaperKind.NOTE, about="arxiv:1") for k in ("one", "two"))
    assert not independent(first, second)


def test_equal_claims_of_two_papers_corroborate_each_other() -> None:
    same = make_claim("On GSM8K, HeronMoE reduces latency by 22.5 %.")
    assert same.key == CLAIM.key
    rulings = corroborate([CLAIM, same], [supported(CLAIM, "arxiv:1"), supported(same, "arxiv:2")], [A, B])
    assert [r.level for r in rulings] == [Level.L3_CORROBORATED, Level.L3_CORROBORATED]
    assert all(r.contested_by == () for r in rulings)


def test_equal_keys_with_values_apart_are_contested_both_ways() -> None:
    other = make_claim("HeronMoE reduces latency by 31.0 % on GSM8K.")
    rulings = corroborate([CLAIM, other], [supported(CLAIM, "arxiv:1"), supported(other, "arxiv:2")], [A, B])
    assert [r.contested_by for r in rulings] == [(other.claim_id,), (CLAIM.claim_id,)]
    assert [r.level for r in rulings] == [Level.L2_GROUNDED, Level.L2_GROUNDED]


def test_overlapping_spreads_and_other_conditions_are_not_contested() -> None:
    wide = make_claim("HeronMoE has an accuracy of 92.5 % ± 6.1 % on GSM8K.")
    near = make_claim("HeronMoE has an accuracy of 90.0 % ± 2.0 % on GSM8K.")
    elsewhere = make_claim("HeronMoE has an accuracy of 40.0 % on MMMU.")
    claims = [wide, near, elsewhere]
    rulings = corroborate(claims, [supported(c, "arxiv:1") for c in claims], [A])
    assert all(r.contested_by == () for r in rulings)


def test_a_refuted_claim_contests_nothing() -> None:
    other = make_claim("HeronMoE reduces latency by 31.0 % on GSM8K.")
    refuted = replace(supported(other, "arxiv:2"), verdict=Verdict.CONTRADICTED)
    assert corroborate([CLAIM, other], [supported(CLAIM, "arxiv:1"), refuted], [A, B])[0].contested_by == ()
