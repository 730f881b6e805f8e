"""The quality record: eight dimensions and disjoint tiers, computed from checks. Imports records; refuses to guess.

The eight names and the tier names are those of the original system's public archive; its bands overlapped (a score of 6 was both "public record" and
"watchlist"), its reproducibility was HIGH on records that nothing had reproduced, and its counts of verified claims were counts of extracted ones. Here a
dimension that no check speaks to is UNASSESSED with score None, reproducibility is never HIGH without an exact trial, and `verified_count` counts verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence

from sovereign.records import (
    Admission,
    Claim,
    Draft,
    GateVerdict,
    Hearing,
    Level,
    PaperKind,
    Ruling,
    Scale,
    Sentence,
    SentenceKind,
    Severity,
    Trial,
    TrialState,
    Verdict,
)
from sovereign.records.quality import Dimension, QualityLevel, QualityRecord, Tier

NAMES = {
    "D-1": "evidence strength",
    "D-2": "citation grounding",
    "D-3": "numerical consistency",
    "D-4": "benchmark validity",
    "D-5": "novelty",
    "D-6": "uncertainty disclosure",
    "D-7": "reproducibility status",
    "D-8": "safety and impact",
}
HIGH_AT, MEDIUM_AT = 7.5, 5.0
# what a stated claim is worth by its level: L2 is the least that counts as grounded, L3 adds independence, L5 and above our own execution
LEVEL_POINTS = {0: 0.0, 1: 2.0, 2: 6.0, 3: 8.0, 4: 8.5, 5: 9.0, 6: 10.0, 7: 10.0}
NOTE_CAP = 6.9  # a reading note is a second-hand source: never HIGH
CONCEPTUAL_CAP = 6.9  # our small testbed agreeing in direction is not the published experiment repeated
FLAGSHIP_SCORE, FLAGSHIP_CLAIMS, DOI_SCORE, PUBLIC_SCORE, WATCH_SCORE = 8.5, 5, 7.5, 6.5, 5.0
NUMBER_FINDINGS = (
    "arithmetic_off",
    "table_row_misread",
    "table_row_off",
    "claim_cut_or_changed",
    "evidence_does_not_carry",
    "sentence_differs_from_claim",
)
DISCLOSURE_FINDINGS = {
    "uncertainty_missing": 5.0,
    "gap_not_told": 3.0,
    "overclaim": 3.0,
    "contested_shown_as_settled": 3.0,
    "count_misstated": 3.0,
}
STATED = (Verdict.SUPPORTED, Verdict.QUALIFIED)


def assess(
    draft: Draft,
    claims: Sequence[Claim],
    rulings: Sequence[Ruling],
    admissions: Sequence[Admission],
    trials: Sequence[Trial],
    hearing: Hearing | None,
) -> QualityRecord:
    """All eight dimensions and the tier. Pure; None and UNASSESSED wherever no check was made."""
    stated = _stated(draft)
    kept = [r for r in rulings if r.claim_id in {c for s in stated for c in s.claims} and r.verdict in STATED]
    dimensions = (
        _evidence(kept, claims, admissions),
        _grounding(stated, rulings),
        _numbers(stated, claims, hearing),
        _benchmarks(stated, claims),
        _dimension("D-5", None, "no check measures novelty; a search that found nothing proves none"),
        _disclosure(draft, hearing),
        _reproducibility(trials),
        _dimension("D-8", None, "no check measures safety or impact"),
    )
    verified = sum(r.verdict is Verdict.SUPPORTED for r in rulings)
    still_open = sum(not c.answered for c in draft.coverage)
    tier, why = _tier(hearing, verified, dimensions[6].level, still_open)
    return QualityRecord(dimensions, tier, verified, why)


def _dimension(key: str, score: float | None, basis: str, *, at_most: float = 10.0) -> Dimension:
    if score is None:
        return Dimension(key, NAMES[key], None, QualityLevel.UNASSESSED, basis)
    held = round(max(0.0, min(score, at_most)), 1)
    level = QualityLevel.HIGH if held >= HIGH_AT else QualityLevel.MEDIUM if held >= MEDIUM_AT else QualityLevel.LOW
    return Dimension(key, NAMES[key], held, level, basis)


def _stated(draft: Draft) -> list[Sentence]:
    everything = [*draft.abstract, *(s for section in draft.sections for s in section.sentences)]
    return [s for s in everything if s.kind is SentenceKind.CLAIM]


def _evidence(kept: Sequence[Ruling], claims: Sequence[Claim], admissions: Sequence[Admission]) -> Dimension:
    if not kept:
        return _dimension("D-1", None, "no claim is stated")
    mean = sum(LEVEL_POINTS[int(r.level)] for r in kept) / len(kept)
    notes = {a.paper.paper_id for a in admissions if a.paper.kind is PaperKind.NOTE}
    of = {c.claim_id: c.paper_id for c in claims}
    only_notes = all(of.get(r.claim_id) in notes and r.level < Level.L5_EXECUTED for r in kept)
    counts = ", ".join(f"{n} at {level.label}" for level in Level if (n := sum(r.level is level for r in kept)))
    return _dimension(
        "D-1", mean, f"{counts}" + ("; all from reading notes" if only_notes else ""), at_most=NOTE_CAP if only_notes else 10.0
    )


def _grounding(stated: Sequence[Sentence], rulings: Sequence[Ruling]) -> Dimension:
    if not stated:
        return _dimension("D-2", None, "no claim is stated")
    spans = {r.claim_id for r in rulings if r.verdict in STATED and any(e.span is not None or e.trial_id for e in r.evidence)}
    held = [s for s in stated if s.trials or (s.claims and s.citations and set(s.claims) <= spans)]
    return _dimension("D-2", 10 * len(held) / len(stated), f"{len(held)} of {len(stated)} stated sentences lead to a passage or a trial")


def _numbers(stated: Sequence[Sentence], claims: Sequence[Claim], hearing: Hearing | None) -> Dimension:
    used = {c for s in stated for c in s.claims}
    numeric = [c for c in claims if c.claim_id in used and c.slots.values]
    if not numeric or hearing is None:
        return _dimension("D-3", None, "no stated claim holds a number" if not numeric else "no hearing was held")
    hit = {t for r in hearing.reviews for f in r.findings if f.kind in NUMBER_FINDINGS for t in f.targets or ("",)}
    return _dimension("D-3", 10 * (1 - len(hit) / len(numeric)), f"{len(numeric)} claims with numbers, {len(hit)} findings about numbers")


def _benchmarks(stated: Sequence[Sentence], claims: Sequence[Claim]) -> Dimension:
    used = {c for s in stated for c in s.claims}
    numeric = [c for c in claims if c.claim_id in used and any(v.unit for v in c.slots.values)]
    if not numeric:
        return _dimension("D-4", None, "no stated claim holds a measured value")
    placed = sum(bool(c.slots.condition) for c in numeric)
    against = sum(bool(c.slots.comparator) for c in numeric)
    score = 10 * (0.7 * placed + 0.3 * against) / len(numeric)
    return _dimension("D-4", score, f"of {len(numeric)} measured values {placed} name a setting and {against} a comparator")


def _disclosure(draft: Draft, hearing: Hearing | None) -> Dimension:
    if hearing is None:
        return _dimension("D-6", None, "no hearing was held")
    kinds = {f.kind for r in hearing.reviews for f in r.findings}
    lost = sum(points for kind, points in DISCLOSURE_FINDINGS.items() if kind in kinds)
    gaps = sum(not c.answered for c in draft.coverage)
    hit = sorted(kinds & set(DISCLOSURE_FINDINGS))
    return _dimension(
        "D-6", 10 - lost, f"{gaps} open parts named" + (f"; findings: {', '.join(hit)}" if hit else "; no finding against it")
    )


def _reproducibility(trials: Sequence[Trial]) -> Dimension:
    """Only trials speak here. Conceptual ones count up to MEDIUM; HIGH needs the same model and data, at least two seeds, and agreement."""
    if not trials:
        return _dimension("D-7", None, "no trial was run or cited")
    done = [t for t in trials if t.state is TrialState.DONE]
    judged = [(t, s) for t in done for s in t.statements if s.verdict is not GateVerdict.UNVERIFIED]
    if not judged:
        return _dimension("D-7", 0.0, f"{len(trials)} trial(s), none of which judged a statement")
    held = sum(s.verdict is GateVerdict.VERIFIED for _, s in judged)
    exact = any(t.scale is Scale.EXACT and len(t.seeds) > 1 and s.verdict is GateVerdict.VERIFIED for t, s in judged)
    basis = f"{held} of {len(judged)} judged statements held in {len(done)} finished trial(s){'' if exact else '; none is an exact reproduction'}"
    return _dimension("D-7", 10 * held / len(judged), basis, at_most=10.0 if exact else CONCEPTUAL_CAP)


def _tier(hearing: Hearing | None, verified: int, reproducibility: QualityLevel, still_open: int) -> tuple[Tier | None, str]:
    """Disjoint bands over the last hearing's score; a blocking finding keeps a draft at WATCHLIST or below, and a part of the question that is
    not answered at PUBLIC_RECORD or below: answering is a gate, and the original's tiers had none."""
    if hearing is None:
        return None, "no hearing was held"
    score = hearing.score
    blocked = any(f.severity is Severity.BLOCKING for r in hearing.reviews for f in r.findings)
    if score < WATCH_SCORE:
        return Tier.QUARANTINE_CANDIDATE, f"score {score:g} is below {WATCH_SCORE:g}"
    if blocked or score < PUBLIC_SCORE:
        return Tier.WATCHLIST, "a finding is blocking" if blocked else f"score {score:g} is below {PUBLIC_SCORE:g}"
    if still_open:
        return Tier.PUBLIC_RECORD, f"score {score:g}; {still_open} part(s) of the question are not answered"
    if score >= FLAGSHIP_SCORE and verified >= FLAGSHIP_CLAIMS and reproducibility is QualityLevel.HIGH:
        return Tier.FLAGSHIP_CANDIDATE, f"score {score:g}, {verified} verified claims, reproducibility HIGH"
    if score >= DOI_SCORE and verified >= 1:
        return Tier.DOI_GRADE, f"score {score:g} and {verified} verified claim(s)"
    return Tier.PUBLIC_RECORD, f"score {score:g}" + ("" if verified else ", nothing verified")
