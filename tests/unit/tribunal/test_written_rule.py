"""The written rule in docs/tribunal.md is the rule in the code: points, thresholds, kinds of finding and tiers are compared cell by cell."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sovereign.kernel import quality, tribunal
from sovereign.kernel.tribunal import record
from sovereign.kernel.tribunal.kinds import KINDS
from sovereign.records import Finding, Review, Role, Severity

ROOT = Path(__file__).resolve().parents[3]
DOCS = (ROOT / "docs" / "tribunal.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, header excluded."""
    body = DOCS.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [[c.strip().strip("`") for c in line.strip().strip("|").split("|")] for line in body.splitlines() if line.startswith("|")]
    return rows[2:]


def test_points_are_the_documented_ones() -> None:
    assert {row[0]: float(row[1]) for row in table("The score")} == {s.value: p for s, p in record.POINTS.items()}


def test_thresholds_are_the_documented_ones() -> None:
    said = DOCS.split("## The score\n", 1)[1].split("\n## ", 1)[0]
    assert f"at {record.APPROVE_AT:g} or more" in said and f"never above {record.CAP_WHEN_BLOCKED:g}" in said


def test_kinds_are_the_documented_ones() -> None:
    documented = {r[0]: (r[1], tuple(re.split(r", ", r[2])), r[3]) for r in table("Kinds of finding")}
    assert documented == {k: (role.value, tuple(s.value for s in severities), text) for k, (role, severities, text) in KINDS.items()}


def test_every_kind_in_the_code_is_registered_and_the_other_way_round() -> None:
    """A kind is a string literal in a role's module that the table knows; a literal handed to _finding that it does not know is a mistake."""
    folder = ROOT / "src" / "sovereign" / "kernel" / "tribunal"
    literals, first_arguments = set(), set()
    for name in ("skeptic", "validator", "synthesizer"):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                literals.add(node.value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_finding":
                first_arguments |= {n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    literals.add("decision_unstable")  # made where several models review (kernel/assist.py)
    assert first_arguments <= set(KINDS)
    assert set(KINDS) <= literals


def test_tiers_are_the_documented_ones() -> None:
    said = {row[0]: row[1] for row in table("Quality record")}
    assert set(said) == {t.value for t in quality.Tier}
    assert f"{quality.FLAGSHIP_SCORE:g}" in said["FLAGSHIP_CANDIDATE"] and f"{quality.DOI_SCORE:g}" in said["DOI_GRADE"]
    assert f"below {quality.WATCH_SCORE:g}" in said["QUARANTINE_CANDIDATE"] and f"{quality.PUBLIC_SCORE:g}" in said["WATCHLIST"]


FINDINGS = st.lists(
    st.builds(Finding, st.sampled_from(list(Role)), st.sampled_from(sorted(KINDS)), st.sampled_from(list(Severity)), st.just("x")),
    max_size=12,
)


@given(FINDINGS)
def test_score_is_bounded_and_one_more_finding_never_raises_it(findings: list[Finding]) -> None:
    scores = [record.score_of(findings[:n]) for n in range(len(findings) + 1)]
    assert all(0.0 <= s <= 10.0 for s in scores)
    assert scores == sorted(scores, reverse=True)


@given(FINDINGS)
def test_panel_never_reaches_approval_with_a_blocking_finding(findings: list[Finding]) -> None:
    reviews = [Review(r, record.score_of([f for f in findings if f.role is r]), tuple(f for f in findings if f.role is r)) for r in Role]
    if any(f.severity is Severity.BLOCKING for f in findings):
        assert record.panel_score(reviews) < record.APPROVE_AT


def test_the_unanswered_question_comes_first() -> None:
    """A reader of the findings must not have to dig for the one that matters."""
    answer = Finding(Role.SYNTHESIZER, "question_not_answered", Severity.BLOCKING, "x")
    other = Finding(Role.SKEPTIC, "contradicted_claim_kept", Severity.BLOCKING, "x")
    assert tribunal.ranked([Review(Role.SKEPTIC, 6, (other,)), Review(Role.SYNTHESIZER, 6, (answer,))])[0] is answer
