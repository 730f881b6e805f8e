"""Which claims and facets a study can test, the sealed predictions, and what the trials say. Imports records and ports; refuses to run anything itself.

The laboratory is reached through ports.Bench only. `lab` is off, smoke or standard: with off, committed reference trials may still be cited, marked with
their date and machine; nothing is executed. A trial raises a claim only when it judged a prediction that names this claim, or the published statement
that this claim makes; scale conceptual gives at most L5, exact at most L6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sovereign.kernel import language
from sovereign.ports import Bench
from sovereign.records import (
    Admission,
    Check,
    Claim,
    Direction,
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
    TrialState,
    Verdict,
)


def run(
    question: Question, admissions: Sequence[Admission], claims: Sequence[Claim], bench: Bench | None, *, lab: str, out: Path
) -> Executed:
    """Chooses studies by the question's systems, their works and facets; runs or cites them, and ties judged statements to claims.

    With lab off, committed reference trials are cited; otherwise each chosen study is run at that preset, its predictions sealed first.
    """
    if bench is None:
        return Executed(checks=(Check("experiment", State.NOT_RUN, "no laboratory is wired to this kernel"),) if lab != "off" else ())
    works = {a.paper.arxiv_id for a in admissions if a.admitted and a.score == 1.0 and a.paper.arxiv_id}
    fitting = {s.name: (s, spoken) for s in bench.studies() if (spoken := _suits(s, question, works))}
    why = tuple(f"{name}: speaks to {', '.join(spoken)}" for name, (_, spoken) in fitting.items())
    trials: list[Trial] = []
    checks: list[Check] = []
    references = {t.study: t for t in bench.reference_trials()}
    for name, (study, _) in fitting.items():
        if lab != "off" and lab in study.presets:
            trial = bench.run(name, preset=lab, factors={}, out=out)
            trials.append(trial)
            good = trial.state is TrialState.DONE
            checks.append(
                Check(f"trial {name}", State.PASSED if good else State.FAILED, f"digest {trial.digest[:12]}" if good else trial.error)
            )
        elif name in references:
            trials.append(references[name])
    bears = tuple((t.trial_id, _facets(t, question)) for t in trials)
    backs = tuple(b for t in trials for b in _backed(t, claims))
    predictions = tuple(s.prediction for t in trials for s in t.statements if s.prediction is not None)
    return Executed(tuple(trials), predictions, bears, backs, tuple(checks), why)


def _suits(study: StudyInfo, question: Question, works: set[str]) -> list[str]:
    """What of the question the study declares. It must test a named system (by name, or by the work it cites) and speak to one further facet."""
    keys = {k.lower() for k in study.keys}
    systems = [f.text for f in question.facets if f.kind is FacetKind.SYSTEM and keys & {f.text.lower(), *f.aliases}]
    cited = sorted(w for w in works if w in study.source)
    others = [
        f.text for f in question.facets if f.kind is not FacetKind.SYSTEM and keys & {f.text.lower(), *(a.rstrip("*") for a in f.aliases)}
    ]
    return [*(systems or [f"arXiv {w}" for w in cited]), *others] if (systems or cited) and (others or cited) else []


def _facets(trial: Trial, question: Question) -> tuple[str, ...]:
    """Facets that a judged statement of the trial names, whichever way it was judged."""
    judged = [s.text for s in trial.statements if s.verdict is not GateVerdict.UNVERIFIED]
    return tuple(f.id for f in question.facets if f.kind is not FacetKind.SYSTEM and any(language.mentions(f, text) for text in judged))


def _backed(trial: Trial, claims: Sequence[Claim]) -> list[tuple[str, str, GateVerdict, Scale, str]]:
    out: list[tuple[str, str, GateVerdict, Scale, str]] = []
    for claim in claims:
        for statement in trial.statements:
            named = statement.prediction is not None and statement.prediction.claim_id == claim.claim_id
            if statement.verdict is not GateVerdict.UNVERIFIED and (named or _same_statement(statement, claim)):
                out.append((claim.claim_id, trial.trial_id, statement.verdict, trial.scale, statement.text))
                break
    return out


def _same_statement(statement: Statement, claim: Claim) -> bool:
    """The published statement that this claim makes: from the same work, and either with the same published figure or in mostly the same words.

    Anything less is left unconnected: a trial that tested something else must not raise a claim.
    """
    work = (claim.paper_id or "").split(":", 1)[-1]
    if not work or work not in statement.source or statement.source.startswith("control"):
        return False
    mine, theirs = set(language.tokens(claim.text)), set(language.tokens(statement.text))
    common = mine & theirs
    shared = len(common) / (min(len(mine), len(theirs)) or 1)
    figures = {round(v.low, 6) for v in claim.slots.values if v.unit or v.decimals}
    slots = language.parse_slots(statement.text)
    published = {round(v.low, 6) for v in slots.values if v.unit or v.decimals}
    if figures:  # a claim with figures is tested only by a statement with one of them, however alike the words
        return bool(figures & published) and shared >= 0.3
    return shared >= 0.6 and len(common) >= 4 and slots.direction is claim.slots.direction and slots.direction is not Direction.NONE


def raise_levels(rulings: Sequence[Ruling], executed: Executed) -> tuple[Ruling, ...]:
    """Levels and evidence after the trials. A falsified claim keeps its textual verdict and shows the trial against it: both sides stand."""
    out = []
    for ruling in rulings:
        for claim_id, trial_id, verdict, scale, statement in executed.backs:
            if claim_id != ruling.claim_id or ruling.verdict not in (Verdict.SUPPORTED, Verdict.QUALIFIED):
                continue
            stance = Stance.SUPPORTS if verdict is GateVerdict.VERIFIED else Stance.REFUTES
            level = ruling.level
            if verdict is GateVerdict.VERIFIED:
                level = max(level, Level.L6_REPRODUCED if scale is Scale.EXACT else Level.L5_EXECUTED)
            evidence = Evidence(stance, trial_id=trial_id, note=f"{scale.value} trial: {verdict.value}: {statement}")
            ruling = replace(ruling, level=level, evidence=(*ruling.evidence, evidence))
        out.append(ruling)
    return tuple(out)
