"""The policy: a pure function over facts and a rule file. Imports records and errors; refuses to guess: what no rule foresaw escalates to the owner.

A rule file is TOML: `[[rule]]` tables with `name`, `then` (AUTO_APPROVE | REVISE | ESCALATE_TO_OWNER | REJECT), `why`, and `when`, a table fact = "op value".
The first rule whose conditions all hold decides; a condition on an unknown (None) fact never holds.
"""

from __future__ import annotations

import operator
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sovereign import seal
from sovereign.errors import SettingsInvalid
from sovereign.kernel.standing import STOPPING, standings, work_of
from sovereign.records import (
    Admission,
    Basis,
    Check,
    Claim,
    Coverage,
    Decision,
    FacetKind,
    Hearing,
    Level,
    PolicyDecision,
    Question,
    Reading,
    Ruling,
    SearchRecord,
    Spent,
    State,
    Trial,
    Verdict,
)

NOTHING_SPENT = Spent()
Fact = float | int | bool | str | None
_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne}
FACTS = {
    "score": "the last hearing's score, 0-10",
    "tribunal": "APPROVE, REVISE or REJECT",
    "blocking_findings": "number of blocking findings in the last hearing",
    "verified_count": "claims with verdict SUPPORTED",
    "contested_count": "claims contested by another work; two settings of one work are no dispute",
    "contradicted_kept": "contradicted claims that the draft states",
    "lowest_level": "lowest level among stated claims, None without any",
    "executed_count": "claims at L5 or above",
    "facets": "number of facets of the question besides its systems",
    "facets_answered_share": "answered / facets, None without facets",
    "question_answered": "half of all facets answered, among them every metric, and one comparator and one data set where the question names any",
    "named_system_found": "every named system is among the admitted sources; None when none is named",
    "not_run_checks": "gate checks that were not run",
    "sources_cited": "different works cited",
    "only_notes": "every cited source is a reading note",
    "original": "no foreign words, own title",
    "flagged_sources": "cited works, or works that cited notes are about, that are retracted, withdrawn or superseded",
    "flagged_left_out": "works that bear on the question and were left out because they, or the works they are notes on, are retracted or withdrawn",
    "unchecked_sources": "cited works of which those who would know did not say whether they were retracted; None when nobody was asked",
    "cost_usd": "US dollars spent on models until the decision; 0 without a model, None when a price is not known",
    "cost_at_most_usd": "the same with a ceiling where a price is not known",
    "model_calls": "calls that models answered or failed to answer usefully",
    "model_tokens": "tokens in and out of all models",
    "decision_unstable": "the tribunal's decision differs between the models or seeds that review; None with fewer than two",
    "score_spread": "largest minus smallest score of the models or seeds that review; None with fewer than two",
    "agreement_alpha": "Krippendorff's alpha of their findings; None with fewer than two, or where no finding varies",
}


@dataclass(frozen=True)
class Rule:
    name: str
    then: Decision
    why: str
    when: tuple[tuple[str, str, Fact], ...]


def facts(
    question: Question,
    admissions: Sequence[Admission],
    readings: Sequence[Reading],
    claims: Sequence[Claim],
    rulings: Sequence[Ruling],
    coverage: Sequence[Coverage],
    references: Sequence[str],
    hearing: Hearing,
    checks: Sequence[Check],
    trials: Sequence[Trial] = (),
    spent: Spent = NOTHING_SPENT,
    *,
    searches: Sequence[SearchRecord] = (),
) -> dict[str, Fact]:
    """Every fact a rule may ask for; None where it is not known."""
    findings = [f for r in hearing.reviews for f in r.findings]
    kinds = {f.id: f.kind for f in question.facets}
    asked = [c for c in coverage if kinds.get(c.facet) is not FacetKind.SYSTEM]
    metrics = [c for c in asked if kinds.get(c.facet) is FacetKind.METRIC]
    share = sum(c.answered for c in asked) / len(asked) if asked else None
    systems = [f for f in question.facets if f.kind is FacetKind.SYSTEM]
    stated = [r for r in rulings if r.verdict in (Verdict.SUPPORTED, Verdict.QUALIFIED)]
    basis = {r.paper_id: r.basis for r in readings}
    parts = [[c for c in asked if kinds.get(c.facet) is kind] for kind in (FacetKind.METRIC, FacetKind.COMPARATOR, FacetKind.DATASET)]
    answered = any(c.answered for c in (metrics or asked)) and (share is None or share >= 0.5)
    answered = answered and all(c.answered for c in metrics) and all(any(c.answered for c in part) for part in parts if part)
    return {
        "score": hearing.score,
        "tribunal": hearing.decision,
        "blocking_findings": sum(f.severity.value == "blocking" for f in findings),
        "verified_count": sum(r.verdict is Verdict.SUPPORTED for r in rulings),
        "contested_count": _contested(admissions, claims, rulings),
        "contradicted_kept": sum(f.kind == "contradicted_claim_kept" for f in findings),
        "lowest_level": min((int(r.level) for r in stated), default=None),
        "executed_count": sum(r.level >= Level.L5_EXECUTED for r in rulings),
        "facets": len(asked),
        "facets_answered_share": share,
        "question_answered": bool(answered or (not asked and stated)),
        "named_system_found": all(any(a.admitted and s.id in a.facets for a in admissions) for s in systems) if systems else None,
        "not_run_checks": sum(c.state is State.NOT_RUN for c in checks),
        "sources_cited": len(references),
        "only_notes": bool(references) and all(basis.get(p) is Basis.NOTE for p in references),
        "original": not any(f.kind in ("foreign_words", "title_of_a_source") for f in findings),
        "flagged_sources": sum(bool(a.paper.flags) for a in admissions if a.paper.paper_id in set(references)),
        "flagged_left_out": sum(a.score is not None and not a.admitted and bool(STOPPING & set(a.paper.flags)) for a in admissions),
        "unchecked_sources": _unchecked(admissions, references, searches),
        "cost_usd": spent.cost_usd,
        "cost_at_most_usd": spent.at_most_usd,
        "model_calls": spent.calls,
        "model_tokens": spent.tokens_in + spent.tokens_out,
        "decision_unstable": hearing.agreement.flips if hearing.agreement else None,
        "score_spread": hearing.agreement.spread if hearing.agreement else None,
        "agreement_alpha": hearing.agreement.alpha if hearing.agreement else None,
    }


def _unchecked(admissions: Sequence[Admission], references: Sequence[str], searches: Sequence[SearchRecord]) -> int | None:
    known = standings(searches)
    if not known:
        return None
    cited = {work_of(a.paper) for a in admissions if a.paper.paper_id in set(references)}
    return sum(w not in known or not known[w].answered for w in cited)


def _contested(admissions: Sequence[Admission], claims: Sequence[Claim], rulings: Sequence[Ruling]) -> int:
    about = {a.paper.paper_id: a.paper.about or a.paper.paper_id for a in admissions}
    work = {c.claim_id: about.get(c.paper_id or "", c.paper_id) for c in claims}
    return sum(any(work.get(o) != work.get(r.claim_id) for o in r.contested_by) for r in rulings)


def parse(text: str) -> tuple[Rule, ...]:
    """Raises SettingsInvalid for bad TOML, an unknown fact, operator, decision or key, naming the rule."""
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise SettingsInvalid(f"The policy file is not valid TOML: {exc}.") from exc
    if set(body) - {"rule", "version"} or not isinstance(body.get("rule"), list):
        raise SettingsInvalid("A policy file holds [[rule]] tables and a version, nothing else.", mend="See docs/tribunal.md.")
    return tuple(_rule(number, table) for number, table in enumerate(body["rule"], 1))


def _rule(number: int, table: Mapping[str, Any]) -> Rule:
    name = str(table.get("name", f"rule {number}"))
    if unknown := set(table) - {"name", "then", "why", "when"}:
        raise SettingsInvalid(f"Policy rule {name!r} has the unknown key {sorted(unknown)[0]!r}.")
    if table.get("then") not in list(Decision):
        raise SettingsInvalid(f"Policy rule {name!r} ends in {table.get('then')!r}.", mend=f"Known: {', '.join(Decision)}.")
    conditions = []
    for fact, wanted in dict(table.get("when", {})).items():
        if fact not in FACTS:
            raise SettingsInvalid(f"Policy rule {name!r} asks for the unknown fact {fact!r}.", mend=f"Known: {', '.join(FACTS)}.")
        match = re.fullmatch(r"(>=|<=|==|!=|>|<)\s*(.+)", str(wanted))
        if match is None:
            raise SettingsInvalid(f'Policy rule {name!r}: {fact} = {wanted!r} needs an operator, like ">= 6.5".')
        conditions.append((fact, match.group(1), _literal(match.group(2).strip())))
    return Rule(name, Decision(table["then"]), str(table.get("why", "")), tuple(conditions))


def _literal(text: str) -> Fact:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def decide(known: Mapping[str, Fact], rules: Sequence[Rule], *, policy_sha256: str = "") -> PolicyDecision:
    """The first matching rule; with none, ESCALATE_TO_OWNER."""
    for rule in rules:
        if all(_holds(known.get(fact), op, wanted) for fact, op, wanted in rule.when):
            shown = tuple(f"{fact} is {_shown(known.get(fact))} ({op} {_shown(wanted)})" for fact, op, wanted in rule.when)
            return PolicyDecision(rule.then, rule.name, tuple(x for x in (rule.why, *shown) if x), policy_sha256)
    return PolicyDecision(Decision.ESCALATE_TO_OWNER, "no rule matched", ("What no rule foresaw goes to the owner.",), policy_sha256)


@dataclass(frozen=True)
class Condition:
    """One condition of a rule against the facts. `value` None is unknown: the condition does not hold."""

    fact: str
    value: Fact
    needs: str
    holds: bool


@dataclass(frozen=True)
class Explained:
    """One rule of the file: whether it decided, and how each of its conditions stands."""

    rule: str
    then: Decision
    decided: bool
    conditions: tuple[Condition, ...]


def explain(known: Mapping[str, Fact], rules: Sequence[Rule]) -> tuple[Explained, ...]:
    """Every rule in order, with its conditions; at most one has decided."""
    out: list[Explained] = []
    for rule in rules:
        conditions = tuple(
            Condition(fact, known.get(fact), f"{op} {_shown(wanted)}", _holds(known.get(fact), op, wanted))
            for fact, op, wanted in rule.when
        )
        fires = all(c.holds for c in conditions) and not any(e.decided for e in out)
        out.append(Explained(rule.name, rule.then, fires, conditions))
    return tuple(out)


def try_on(rules: Sequence[Rule], stored: Mapping[str, Mapping[str, Fact]]) -> dict[str, PolicyDecision]:
    """What these rules decide on the facts of stored runs (run id -> facts, as the ledger's policy_decided events hold them)."""
    return {run_id: decide(known, rules) for run_id, known in stored.items()}


def _holds(value: Fact, op: str, wanted: Fact) -> bool:
    if value is None or wanted is None:
        return False
    if isinstance(value, str) != isinstance(wanted, str):
        return False
    return bool(_OPERATORS[op](value, wanted))


def _shown(value: Fact) -> str:
    return (
        "unknown"
        if value is None
        else f"{value:g}"
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else str(value).lower()
    )


def fingerprint(text: str) -> str:
    return seal.sha256(text)
