"""The policy decides by written rules over facts, and what no rule foresaw escalates. Guards against silence read as consent."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.errors import SettingsInvalid
from sovereign.kernel import policy
from sovereign.records import Decision

DEFAULT = policy.parse((Path(policy.__file__).with_name("policy.toml")).read_text(encoding="utf-8"))
GOOD: dict[str, policy.Fact] = {
    "score": 9.0,
    "tribunal": "APPROVE",
    "blocking_findings": 0,
    "verified_count": 7,
    "contested_count": 0,
    "contradicted_kept": 0,
    "lowest_level": 2,
    "executed_count": 0,
    "facets": 3,
    "facets_answered_share": 1.0,
    "question_answered": True,
    "named_system_found": True,
    "not_run_checks": 0,
    "sources_cited": 3,
    "only_notes": False,
    "original": True,
    "cost_usd": 0.0,
}


def test_a_good_run_goes_to_the_outbox() -> None:
    assert policy.decide(GOOD, DEFAULT).decision is Decision.AUTO_APPROVE


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("score", 6.4),
        ("verified_count", 4),
        ("question_answered", False),
        ("named_system_found", False),
        ("contradicted_kept", 1),
        ("original", False),
        ("not_run_checks", 1),
        ("blocking_findings", 1),
        ("contested_count", 1),
        ("only_notes", True),
        ("score", None),
        ("verified_count", None),
        ("question_answered", None),
    ],
)
def test_each_gate_holds_alone(fact: str, value: policy.Fact) -> None:
    """The original's thresholds and every gate added to them: one miss, known or unknown, is enough."""
    assert policy.decide(GOOD | {fact: value}, DEFAULT).decision is not Decision.AUTO_APPROVE


def test_without_a_rule_it_escalates() -> None:
    decided = policy.decide(GOOD, ())
    assert (decided.decision, decided.rule) == (Decision.ESCALATE_TO_OWNER, "no rule matched")


@given(st.dictionaries(st.sampled_from(sorted(policy.FACTS)), st.one_of(st.none(), st.booleans(), st.floats(0, 10), st.text(max_size=3))))
def test_never_approves_what_it_does_not_know(known: dict[str, policy.Fact]) -> None:
    if policy.decide(known, DEFAULT).decision is Decision.AUTO_APPROVE:
        assert known["score"] is not None and known["verified_count"] is not None and known["question_answered"]


@pytest.mark.parametrize(
    "text",
    [
        "rule = 3",
        "[[rule]]\nname='x'\nthen='PUBLISH'",
        "[[rule]]\nname='x'\nthen='REJECT'\nwhen={ charm = '> 3' }",
        "[[rule]]\nname='x'\nthen='REJECT'\nwhen={ score = 'much' }",
        "[[rule]]\nname='x'\nthen='REJECT'\nbecause='y'",
        "not toml [",
    ],
)
def test_a_rule_file_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid):
        policy.parse(text)


def test_explain_names_the_rule_that_decided_and_why_the_others_did_not() -> None:
    told = policy.explain(GOOD | {"score": 5.0}, DEFAULT)
    assert [e.rule for e in told if e.decided] == ["score below threshold"]
    assert next(c for e in told if e.decided for c in e.conditions).needs == "< 6.5"
    assert not any(e.decided for e in policy.explain({}, DEFAULT))


def test_rules_can_be_tried_on_stored_facts() -> None:
    strict = policy.parse("[[rule]]\nname='only executed'\nthen='ESCALATE_TO_OWNER'\nwhen={ executed_count = '< 1' }\n")
    assert policy.try_on(strict, {"r-1": GOOD})["r-1"].rule == "only executed"
