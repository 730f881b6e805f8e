"""Which claims and facets a study can test, what is predicted before it runs, and what the trials say. Imports records and ports; runs nothing itself.

The laboratory is reached through ports.Bench only. `lab` is off, smoke or standard: with off, committed reference trials may still be cited, marked with
their date and machine; nothing is executed. `foresee` says what will be run and what every prediction tests, and is closed in the ledger before `run`
begins; a trial that judged by anything else is shown and counts for nothing. A trial raises a claim only when it judged a prediction that names this
claim, or the published statement that this claim makes; scale conceptual gives at most L5, exact at most L6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    Facet,
    FacetKind,
    Foreseen,
    GateVerdict,
    Level,
    Prediction,
    Question,
    Ruling,
    Scale,
    Stance,
    State,
    StudyInfo,
    Trial,
    TrialState,
    Verdict,
)


def foresee(
    question: Question, admissions: Sequence[Admission], claims: Sequence[Claim], bench: Bench | None, *, lab: str, budget_s: float
) -> tuple[Foreseen, ...]:
    """The trials that will be run: chosen by the question's systems, their works and facets, each with its predictions and the claims they test.

    As many, in the order of the registry, as their own estimates fit into `budget_s` seconds.
    """
    if bench is None or lab == "off":
        return ()
    out: list[Foreseen] = []
    for study, _ in _fitting(question, admissions, bench):
        if lab not in study.presets or sum(f.seconds for f in out) + study.presets[lab] > budget_s:
            continue
        predicted = bench.predictions(study.name, preset=lab)
        tests = tuple(
            (c.claim_id, i) for c in claims for i, p in enumerate(predicted) if _named(p, c) or _same_statement(p.statement, p.source, c)
        )
        out.append(Foreseen(study.name, lab, study.presets[lab], predicted, tests))
    return tuple(out)


def run(
    question: Question,
    admissions: Sequence[Admission],
    claims: Sequence[Claim],
    bench: Bench | None,
    foreseen: Sequence[Foreseen],
    *,
    lab: str,
    out: Path,
) -> Executed:
    """Runs what was foreseen, cites committed reference trials of the other fitting studies, and ties judged statements to claims and facets."""
    if bench is None:
        return Executed(checks=(Check("experiment", State.NOT_RUN, "no laboratory is wired to this kernel"),) if lab != "off" else ())
    fitting = _fitting(question, admissions, bench)
    why = [f"{study.name}: speaks to {', '.join(spoken)}" for study, spoken in fitting]
    trials: list[Trial] = []
    counted: list[Trial] = []
    checks: list[Check] = []
    before = {f.study: f for f in foreseen}
    for study, _ in fitting:
        if lab in study.presets and study.name not in before:
            why.append(
                f"{study.name} was not run: its {lab} preset takes about {study.presets[lab]:.0f} s, more than the laboratory's budget leaves"
            )
    references = {t.study: t for t in bench.reference_trials()}
    for name in (study.name for study, _ in fitting):
        if name in before:
            trial = bench.run(name, preset=before[name].preset, factors={}, out=out)
            checks.append(_held_to(before[name], trial))
            counts = checks[-1].state is State.PASSED
        elif name in references:
            trial, counts = references[name], True
        else:
            continue
        trials.append(trial)
        if counts:
            counted.append(trial)
    works = _named_works(admissions)
    bears = tuple((t.trial_id, _facets(t, question, works)) for t in counted)
    backs = tuple(b for t in counted for b in _backed(t, claims))
    return Executed(tuple(trials), bears, backs, tuple(checks), tuple(why))


def _held_to(foreseen: Foreseen, trial: Trial) -> Check:
    """Whether the trial ended, and judged by exactly the predictions that were sealed before it."""
    if trial.state is not TrialState.DONE:
        state, reason = State.FAILED, trial.error
    elif tuple(s.prediction for s in trial.statements) != foreseen.predictions:
        state = State.FAILED
        reason = f"{trial.trial_id} judged by other predictions than those sealed before it; it counts for nothing"
    else:
        state, sealed = State.PASSED, f"{len(foreseen.predictions)} predictions sealed before it ran"
        reason = f"digest {trial.digest[:12]}; {sealed}, {len(foreseen.tests)} of them for claims of this draft"
    return Check(_check(trial.study), state, reason)


def _check(study: str) -> str:
    return f"trial {study}"


def _fitting(question: Question, admissions: Sequence[Admission], bench: Bench) -> list[tuple[StudyInfo, list[str]]]:
    works = _named_works(admissions)
    return [(s, spoken) for s in bench.studies() if (spoken := _suits(s, question, works))]


def _suits(study: StudyInfo, question: Question, works: set[str]) -> list[str]:
    """What of the question the study declares. It must test a named system (by name, or by the work it cites) and speak to one further facet."""
    keys = {k.lower() for k in study.keys}
    systems = [f.text for f in question.facets if f.kind is FacetKind.SYSTEM and keys & {f.text.lower(), *f.aliases}]
    cited = sorted(w for w in works if w in study.source)
    others = [
        f.text for f in question.facets if f.kind is not FacetKind.SYSTEM and keys & {f.text.lower(), *(a.rstrip("*") for a in f.aliases)}
    ]
    return [*(systems or [f"arXiv {w}" for w in cited]), *others] if (systems or cited) and (others or cited) else []


def _named_works(admissions: Sequence[Admission]) -> set[str]:
    """arXiv ids of the works that the question names."""
    return {a.paper.arxiv_id for a in admissions if a.admitted and a.score == 1.0 and a.paper.arxiv_id}


def _facets(trial: Trial, question: Question, works: set[str]) -> tuple[str, ...]:
    """Facets that a judged statement of the trial on a work of the question names, whichever way it was judged: what the trial says of another
    system bears on nothing here."""
    judged = [s.text for s in trial.statements if s.verdict is not GateVerdict.UNVERIFIED and any(w in s.source for w in works)]
    return tuple(f.id for f in question.facets if f.kind is not FacetKind.SYSTEM and any(language.mentions(f, text) for text in judged))


def _backed(trial: Trial, claims: Sequence[Claim]) -> list[tuple[str, str, GateVerdict, Scale, str]]:
    out: list[tuple[str, str, GateVerdict, Scale, str]] = []
    for claim in claims:
        for statement in trial.statements:
            fits = _named(statement.prediction, claim) or _same_statement(statement.text, statement.source, claim)
            if statement.verdict is not GateVerdict.UNVERIFIED and fits:
                out.append((claim.claim_id, trial.trial_id, statement.verdict, trial.scale, statement.text))
                break
    return out


def _named(prediction: Prediction | None, claim: Claim) -> bool:
    return prediction is not None and prediction.claim_id == claim.claim_id


def _same_statement(text: str, source: str, claim: Claim) -> bool:
    """The published statement that this claim makes: from the same work, and either with the same published figure or in mostly the same words.

    Anything less is left unconnected: a trial that tested something else must not raise a claim.
    """
    work = (claim.paper_id or "").split(":", 1)[-1]
    if not work or work not in source or source.startswith("control"):
        return False
    mine, theirs = set(language.tokens(claim.text)), set(language.tokens(text))
    common = mine & theirs
    shared = len(common) / (min(len(mine), len(theirs)) or 1)
    figures = {round(v.low, 6) for v in claim.slots.values if v.unit or v.decimals}
    slots = language.parse_slots(text)
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


# --- trials that a hearing asks for ---


class Only:
    """A bench that shows some of its studies. Satisfies ports.Bench."""

    def __init__(self, bench: Bench, names: Sequence[str]):
        self._bench, self._names = bench, frozenset(names)

    def studies(self) -> tuple[StudyInfo, ...]:
        return tuple(s for s in self._bench.studies() if s.name in self._names)

    def reference_trials(self) -> tuple[Trial, ...]:
        return tuple(t for t in self._bench.reference_trials() if t.study in self._names)

    def predictions(self, study: str, *, preset: str) -> tuple[Prediction, ...]:
        return self._bench.predictions(study, preset=preset)

    def figure(self, trial_id: str, name: str) -> bytes | None:
        return self._bench.figure(trial_id, name)

    def run(self, study: str, *, preset: str, factors: Mapping[str, str], out: Path, predictions: Sequence[Prediction] = ()) -> Trial:
        return self._bench.run(study, preset=preset, factors=factors, out=out, predictions=predictions)


def widened(question: Question, claims: Sequence[Claim]) -> Question:
    """The question with the systems of these claims beside its own: what a trial of them would be about."""
    known = {f.text.lower() for f in question.facets}
    named = dict.fromkeys(s for c in claims for s in c.slots.subject if s.lower() not in known)
    return replace(question, facets=(*question.facets, *(Facet(FacetKind.SYSTEM, s, (s.lower(),)) for s in named))) if named else question


def untried(
    question: Question,
    admissions: Sequence[Admission],
    claims: Sequence[Claim],
    executed: Executed,
    bench: Bench | None,
    *,
    lab: str,
    budget_s: float,
) -> tuple[tuple[str, str], ...]:
    """(claim id, study) where a study speaks to the claim's own system, could be cited or run in `budget_s` seconds, and this run has not looked at it."""
    if bench is None:
        return ()
    done = {t.study for t in executed.trials}
    cited = {t.study for t in bench.reference_trials()}
    works = _named_works(admissions)
    open_ones = [
        s
        for s in bench.studies()
        if s.name not in done and (s.name in cited or (lab != "off" and s.presets.get(lab, math.inf) <= budget_s))
    ]
    return tuple((c.claim_id, s.name) for c in claims for s in open_ones if _suits(s, widened(question, [c]), works))


def joined(new: Executed, old: Executed) -> Executed:
    """Both together, what is new first; of one study the new trials count."""
    again = {t.study for t in new.trials}
    kept = [t for t in old.trials if t.study not in again]
    ids, names = {t.trial_id for t in kept}, {_check(t.study) for t in new.trials}
    return Executed(
        (*new.trials, *kept),
        (*new.bears_on, *(b for b in old.bears_on if b[0] in ids)),
        (*new.backs, *(b for b in old.backs if b[1] in ids)),
        (*new.checks, *(c for c in old.checks if c.name not in names)),
        tuple(dict.fromkeys((*new.why, *old.why))),
    )
