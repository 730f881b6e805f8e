"""The planted-flaw benchmark on a few drafts: every kind is found, good drafts raise no alarm, and the score does not wander.

Guards against a tribunal that praises everything (the original approved a draft that answered nothing) and against one that cries wolf.
The full benchmark is benchmarks/planted_flaws.py; this is the same harness on five of its questions.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

import planted_flaws
from planted import drafts
from planted.flaws import FLAWS, Flaw, everywhere
from planted.rewordings import reword
from sovereign.kernel import tribunal
from sovereign.kernel.tribunal.kinds import KINDS
from sovereign.records import Role, Severity

CHOSEN = [drafts.QUESTIONS[i] for i in (1, 5, 8, 12)]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[drafts.Good]:
    held, others = drafts.build(tmp_path_factory.mktemp("planted"), CHOSEN)
    assert not others, others
    return held


def test_good_drafts_raise_no_alarm_and_are_approved(good: list[drafts.Good]) -> None:
    for g in good:
        hearing = planted_flaws.hear(g.dossier)
        assert [f for f in planted_flaws.findings(hearing) if f.severity in planted_flaws.BAD] == []
        assert hearing.decision == "APPROVE"


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda f: f.name)
def test_the_flaw_is_found(flaw: Flaw, good: list[drafts.Good]) -> None:
    base = {g.question: planted_flaws.hear(g.dossier) for g in good}
    result = planted_flaws.plant(good, flaw, 2, base)
    assert result["planted"] > 0, "the flaw could not be planted in any draft"
    assert result["rate"] >= 0.85, result["missed"]


def test_every_finding_is_a_known_kind_of_its_role_and_gravity(good: list[drafts.Good]) -> None:
    seen = set()
    for flaw in FLAWS:
        for g in good:
            spoiled = flaw.spoil(g.dossier, Random(1))
            for f in planted_flaws.findings(planted_flaws.hear(spoiled)) if spoiled else ():
                role, severities, _ = KINDS[f.kind]
                assert (f.role, f.severity in severities) == (role, True), f
                seen.add(f.kind)
    assert len(seen) > 30


def test_score_is_the_same_over_repeats_and_within_reach_under_rewording(good: list[drafts.Good]) -> None:
    for g in good:
        base = planted_flaws.hear(g.dossier).score
        assert {planted_flaws.hear(g.dossier).score for _ in range(5)} == {base}
        for seed in range(5):
            assert abs(planted_flaws.hear(reword(g.dossier, Random(seed))).score - base) <= 0.3


def test_roles_do_not_depend_on_the_order_of_records(good: list[drafts.Good]) -> None:
    d = good[0].dossier
    turned = replace(d, claims=d.claims[::-1], rulings=d.rulings[::-1], admissions=d.admissions[::-1])
    assert planted_flaws.hear(turned).score == planted_flaws.hear(d).score


def test_a_blocking_finding_keeps_any_draft_from_approval(good: list[drafts.Good]) -> None:
    d = good[0].dossier
    loose = replace(d, draft=everywhere(d.draft, lambda s: replace(s, claims=(), trials=()) if s.sentence_id == "s1" else s))
    hearing = tribunal.hold(loose, revision_round=0, rounds_left=0)
    assert any(f.severity is Severity.BLOCKING and f.role is Role.SKEPTIC for f in planted_flaws.findings(hearing))
    assert hearing.decision == "REJECT" and hearing.score <= 6.0


def test_handwritten_sentences_are_told_apart() -> None:
    """89 wrong and 36 faithful rewordings, written by hand: a floor under what was reached, so that widening one check does not break another."""
    result = planted_flaws.handwritten()
    assert result["wrong"]["refused_by_comparison"] >= 0.9 * result["wrong"]["sentences"]
    assert result["wrong"]["refused_by_either"] >= 0.97 * result["wrong"]["sentences"], result["not_refused"]
    assert result["faithful"]["refused_by_comparison"] <= 1
