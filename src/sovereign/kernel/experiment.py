"""Which claims and facets a study can test, the sealed predictions, and what the trials say. Imports records and ports; refuses to run anything itself.

The laboratory is reached through ports.Bench only. `lab` is off, smoke or standard: with off, committed reference trials may still be cited, marked with
their date and machine; nothing is executed. A trial raises a claim only when it judged a prediction that names this claim, or the published statement
that this claim makes; scale conceptual gives at most L5, exact at most L6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sovereign.kernel import language
from sovereign.ports import Bench
from sovereign.records import (
    Check,
    Claim,
    Evidence,
    Executed,
    FacetKind,
    GateVerdict,
    Level,
    Question,
    Ruling,
    Scale,
    Stance,
    State,
    Statement,
    StudyInfo,
    Trial,
    Verdict,
)


def run(question: Question, claims: Sequence[Claim], bench: Bench | None, *, lab: str, out: Path) -> Executed:
    """Chooses studies by the question's systems and metrics, runs or cites them, and ties judged statements to claims."""
    if bench is None:
        return Executed(checks=(Check("experiment", State.NOT_RUN, "no laboratory is wired to this kernel"),) if lab != "off" else ())
    chosen = [s for s in bench.studies() if _suits(s, question)]
    why = tuple(f"{s.name}: speaks to {', '.join(_suits(s, question))}" for s in chosen)
    trials: list[Trial] = []
    checks: list[Check] = []
    references = {t.study: t for t in bench.reference_trials()}
    for study in chosen:
        if lab != "off" and lab in study.presets:
            trials.append(bench.run(study.name, preset=lab, factors={}, out=out))
            checks.append(Check(f"trial {study.name}", State.PASSED, f"preset {lab}, digest {trials[-1].digest[:12]}"))
        elif study.name in references:
            trials.append(references[study.name])
    bears = tuple((t.trial_id, _facets(t, question)) for t in trials)
    backs = tuple(b for t in trials for b in _backed(t, claims))
    predictions = tuple(s.prediction for t in trials for s in t.statements if s.prediction is not None)
    return Executed(tuple(trials), predictions, bears, backs, tuple(checks), why)


def _suits(study: StudyInfo, question: Question) -> list[str]:
    """The question's systems and metrics that the study declares; a study needs a system or the field word, and one metric."""
    keys = {k.lower() for k in study.keys}
    systems = [f.text for f in question.facets if f.kind is FacetKind.SYSTEM and keys & {f.text.lower(), *f.aliases}]
    metrics = [f.text for f in question.facets if f.kind is FacetKind.METRIC and keys & {f.text.lower(), *f.aliases}]
    return [*systems, *metrics] if systems and metrics else []


def _facets(trial: Trial, question: Question) -> tuple[str, ...]:
    """Facets that a judged statement of the trial names, whichever way it was judged."""
    judged = " ".join(s.text for s in trial.statements if s.verdict is not GateVerdict.UNVERIFIED).lower()
    return tuple(
        f.id
        for f in question.facets
        if f.kind is not FacetKind.SYSTEM
        and any(re.search(rf"(?<!\w){re.escape(a.rstrip('*'))}", judged) for a in (f.text.lower(), *f.aliases))
    )


def _backed(trial: Trial, claims: Sequence[Claim]) -> list[tuple[str, str, GateVerdict, Scale]]:
    out: list[tuple[str, str, GateVerdict, Scale]] = []
    for claim in claims:
        for statement in trial.statements:
            named = statement.prediction is not None and statement.prediction.claim_id == claim.claim_id
            if statement.verdict is not GateVerdict.UNVERIFIED and (named or _same_statement(statement, claim)):
                out.append((claim.claim_id, trial.trial_id, statement.verdict, trial.scale))
                break
    return out


def _same_statement(statement: Statement, claim: Claim) -> bool:
    """Same named subject, same direction, and most of the statement's content words; anything less is left unconnected."""
    slots = language.parse_slots(statement.text)
    mine = {language.alias_key(s) for s in claim.slots.subject}
    theirs = {language.alias_key(s) for s in slots.subject}
    words = set(language.tokens(statement.text))
    overlap = len(words & set(language.tokens(claim.text))) / (len(words) or 1)
    return bool(mine & theirs) and slots.direction == claim.slots.direction and overlap >= 0.6


def raise_levels(rulings: Sequence[Ruling], executed: Executed) -> tuple[Ruling, ...]:
    """Levels and evidence after the trials. A falsified claim keeps its textual verdict and shows the trial against it: both sides stand."""
    out = []
    for ruling in rulings:
        for claim_id, trial_id, verdict, scale in executed.backs:
            if claim_id != ruling.claim_id or ruling.verdict not in (Verdict.SUPPORTED, Verdict.QUALIFIED):
                continue
            stance = Stance.SUPPORTS if verdict is GateVerdict.VERIFIED else Stance.REFUTES
            level = ruling.level
            if verdict is GateVerdict.VERIFIED:
                level = max(level, Level.L6_REPRODUCED if scale is Scale.EXACT else Level.L5_EXECUTED)
            evidence = Evidence(stance, trial_id=trial_id, note=f"{scale.value} trial: {verdict.value}")
            ruling = replace(ruling, level=level, evidence=(*ruling.evidence, evidence))
        out.append(ruling)
    return tuple(out)
