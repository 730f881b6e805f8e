"""What the owner must see and may decide: reasons in order of weight, default deny, backward invalidation. Imports records and errors.

Pure functions over records and plain values. Refuses to read a free text for a yes or a no: a decision is a verb that a person chose, and a note is
only kept. Nothing here looks at a clock: no decision comes from waiting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sovereign.errors import BadInput, Refused
from sovereign.records import Check, Claim, Draft, Finding, PolicyDecision, Ruling, Sentence, State, Verdict

NOTE_LIMIT = 20_000  # characters; a note is for people, not a place for files
WAIVER_MIN = 10  # characters; "ok" does not name a gap


class Choice(StrEnum):
    """What an owner can say about a run. The value is also the state the run is in afterwards, but for REVOKED (a withdrawn approval)."""

    APPROVED = "approved"
    REJECTED = "rejected"
    SENT_BACK = "sent_back"
    REVOKED = "revoked"


WAITING = "waiting_for_owner"
_FROM: Mapping[Choice, Collection[str]] = {
    Choice.APPROVED: (WAITING,),
    Choice.REJECTED: (WAITING,),
    Choice.SENT_BACK: (WAITING,),
    Choice.REVOKED: ("approved", "published"),
}
STATE_AFTER: Mapping[Choice, str] = {
    Choice.APPROVED: "approved",
    Choice.REJECTED: "rejected",
    Choice.SENT_BACK: "sent_back",
    Choice.REVOKED: "rejected",
}


@dataclass(frozen=True)
class Reason:
    """One thing the owner should weigh. `weight`: degraded, flagged, failed, policy, finding or contested, heaviest first."""

    weight: str
    title: str
    text: str
    targets: tuple[str, ...] = ()  # claim, sentence or paper ids


WEIGHTS = ("degraded", "flagged", "failed", "policy", "finding", "contested")


def reasons(
    checks: Sequence[Check],
    policy: PolicyDecision,
    findings: Sequence[Finding],
    rulings: Sequence[Ruling],
    flagged: Mapping[str, Sequence[str]],
) -> tuple[Reason, ...]:
    """Everything that speaks for a closer look, the degraded checks first. `flagged`: paper id -> what became of it (retracted, ...)."""
    out = [Reason("degraded", c.name, c.reason) for c in checks if c.state is State.NOT_RUN]
    out += [
        Reason("flagged", f"{paper} is {', '.join(flags)}", "A source this draft rests on was changed after it was read.", (paper,))
        for paper, flags in sorted(flagged.items())
    ]
    out += [Reason("failed", c.name, c.reason) for c in checks if c.state is State.FAILED]
    out.append(Reason("policy", f"{policy.decision.value}: {policy.rule}", " ".join(policy.reasons)))
    order = {"blocking": 0, "major": 1, "minor": 2, "note": 3}
    for f in sorted(findings, key=lambda f: order[f.severity.value]):
        if f.severity.value in ("blocking", "major"):
            out.append(Reason("finding", f"{f.role.value}: {f.severity.value}", f.text, f.targets))
    contested = [r for r in rulings if r.contested_by]
    if contested:
        text = f"{len(contested)} claims stand against another claim with the same comparison key."
        out.append(Reason("contested", "Contested claims", text, tuple(r.claim_id for r in contested)))
    return tuple(sorted(out, key=lambda r: WEIGHTS.index(r.weight)))


def gaps(checks: Sequence[Check], flagged: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What an approval must waive by name: checks that were not run, and sources that were flagged since."""
    return (*(c.name for c in checks if c.state is State.NOT_RUN), *(f"{p} {', '.join(f)}" for p, f in sorted(flagged.items())))


def allow(choice: Choice, state: str, *, run_id: str, decided: str = "") -> None:
    """Raises Refused when a run in this state may not be decided so. `decided` says who was first, for the one who comes second."""
    if state in _FROM[choice]:
        return
    if state in ("running", "failed"):
        raise Refused(f"Run {run_id} is {state}; there is no draft to decide on.", mend=f"Finish it: sovereign runs resume {run_id}")
    if choice is Choice.REVOKED:
        raise Refused(f"Run {run_id} is {state.replace('_', ' ')}; only an approval can be revoked.")
    told = f" ({decided})" if decided else ""
    raise Refused(
        f"Run {run_id} was decided already: {state.replace('_', ' ')}{told}. Your decision was not recorded.",
        mend=f"Look: sovereign review show {run_id}",
    )


def note_of(text: str) -> str:
    """The note as it is kept. Raises BadInput for control characters or more than NOTE_LIMIT characters; never looks at what it means."""
    if len(text) > NOTE_LIMIT:
        raise BadInput(
            f"The note has {len(text):,} characters; {NOTE_LIMIT:,} are kept at most.", mend="Say it shorter, or link to a file."
        )
    bad = next((c for c in text if ord(c) < 32 and c not in "\n\r\t"), None)
    if bad is not None:
        raise BadInput(f"The note holds the control character U+{ord(bad):04X}.", mend="Write plain text.")
    return text.replace("\r\n", "\n").strip()


def waiver(choice: Choice, missing: Sequence[str], reason: str) -> str:
    """The waiver an approval carries. Raises Refused when gaps stand open and no reason names at least one of them."""
    reason = note_of(reason)
    if choice is not Choice.APPROVED or not missing:
        return reason if choice is Choice.APPROVED else ""
    listed = "; ".join(missing)
    if len(reason) < WAIVER_MIN:
        raise Refused(
            f"The draft is degraded: {listed}.",
            mend='Approve it only knowingly: --waive "REASON" with the name of the gap and why it may stand.',
        )
    said = " ".join(reason.lower().split())
    unnamed = [m for m in missing if " ".join(m.lower().split()) not in said]
    if unnamed:
        raise Refused(f"The waiver does not name every gap; not named: {'; '.join(unnamed)}.", mend="Write each name as it is shown.")
    return reason


# --- backward invalidation ---


@dataclass(frozen=True)
class Invalidated:
    """What rests on sources that changed: claim ids with the papers they rest on, sentence ids that state them, and cited papers."""

    papers: tuple[str, ...]
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sentences: tuple[str, ...] = ()
    cited: tuple[str, ...] = ()

    @property
    def touches(self) -> bool:
        return bool(self.claims or self.cited)


def invalidated(
    changed: Collection[str], claims: Sequence[Claim], rulings: Sequence[Ruling], draft: Draft, about: Mapping[str, str]
) -> Invalidated:
    """Everything of one run that rests on a changed paper. `about`: note id -> the paper it tells of; a note falls with its paper."""
    hit = set(changed) | {note for note, paper in about.items() if paper in set(changed)}
    judged = {r.claim_id: r for r in rulings}
    touched: dict[str, tuple[str, ...]] = {}
    for claim in claims:
        ruling = judged.get(claim.claim_id)
        rests = {claim.paper_id} | {e.span.paper_id for e in (ruling.evidence if ruling else ()) if e.span is not None}
        if ruling is not None and ruling.verdict in (Verdict.NOT_FOUND, Verdict.NOT_CHECKABLE):
            rests = {claim.paper_id}
        if found := sorted(p for p in rests if p in hit):
            touched[claim.claim_id] = tuple(found)
    stated = [s for s in sentences_of(draft) if set(s.claims) & set(touched) or set(s.citations) & hit]
    return Invalidated(
        tuple(sorted(changed)), tuple(touched.items()), tuple(s.sentence_id for s in stated), tuple(p for p in draft.references if p in hit)
    )


def sentences_of(draft: Draft) -> list[Sentence]:
    """Every sentence of the draft in reading order."""
    return [*draft.abstract, *(s for section in draft.sections for s in section.sentences)]
