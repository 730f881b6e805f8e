"""The durable path: one call per station, one sealed record each. Imports the stations, the store and records; refuses business rules.

    question -> plan -> search -> admit -> read -> claims -> verify -> experiment -> draft -> tribunal -> policy -> (press) -> the owner

Every step runs under the durable-workflow engine; its output is a record in a content-addressed blob, and the ledger event that closes the step
carries that blob's digest, in the same transaction. A step that was closed is never done again, so a killed run goes on where it stopped and ends
with the same bytes. `replay` travels the same path without any outside: what came from outside is taken from the record, everything else is
derived again and compared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sovereign import seal
from sovereign.errors import IntegrityBroken, SovereignError
from sovereign.kernel import (
    admit,
    assist,
    claims,
    draft,
    experiment,
    plan,
    policy,
    quality,
    question,
    read,
    search,
    standing,
    tribunal,
    verify,
)
from sovereign.ports import Bench, Clock, Model, Registry, Source, Verifier
from sovereign.records import (
    Admission,
    Check,
    Claim,
    ClaimSet,
    Draft,
    Executed,
    Failed,
    Finished,
    Foreseen,
    Found,
    Hearing,
    Paper,
    PaperKind,
    PolicyDecision,
    Qualifier,
    Query,
    Question,
    Reading,
    Request,
    Ruling,
    SearchRecord,
    Spent,
    State,
    Wording,
)
from sovereign.store.workspace import Workspace

T = TypeVar("T")
STATIONS = (
    "question",
    "plan",
    "search",
    "admit",
    "read",
    "claims",
    "verify",
    "predict",
    "experiment",
    "draft",
    "tribunal",
    "policy",
    "press",
)
OUTSIDE = ("search", "read", "predict", "experiment")  # what these stations bring is taken from the record on replay
NEIGHBOURS_OF = 3  # works per revision whose citations are followed: two to three requests each, at a service's own pace


@dataclass(frozen=True)
class House:
    """What wiring gives the path. `press` turns the finished records into files and returns name -> bytes."""

    store: Workspace
    clock: Clock
    sources: Sequence[Source]
    shelf: read.Shelf
    bench: Bench | None
    verifiers: Sequence[Verifier]
    policy_text: str
    press: Callable[[Finished], Mapping[str, bytes]]
    search_deadline_s: float
    model: Model | None = None  # helps with queries, wording, judging and reviewing; never needed
    reviewers: Sequence[Model] = ()  # further models or seeds that review beside `model`, blind to it and to each other
    prompts: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str, str], None] = lambda _station, _state: None
    registry: Registry | None = None  # says what became of papers; None where no live source is in use
    together: Callable[[], AbstractAsyncContextManager[None]] = nullcontext  # around requests that may share their connections


Event = tuple[str, Mapping[str, Any]]
Do = Callable[[str, int, type, Callable[[], tuple[Any, Sequence[Event]]]], Any]


def travel(run_id: str, created_at: str, request: Request, house: House, do: Do) -> Finished:
    """The whole path, top to bottom. `do` performs or recalls one step and returns its record."""
    asked: Question = do("question", 0, Question, lambda: _question(request))
    hearings: list[Hearing] = []
    state = _State()
    for revision in range(request.revision_rounds + 1):
        if revision == 0 or state.uncovered:
            _gather(asked, revision, state, request, house, do)
        elif state.asked_for:
            _try(asked, revision, state, request, house, do)
        material = _material(asked, state, house)
        if house.model is not None:
            worded: Wording = do("wording", revision, Wording, lambda m=material: _wording(m, state, house))  # type: ignore[misc]
            state.worded(worded)
            material = _material(asked, state, house)
        written: Draft = do("draft", revision, Draft, lambda m=material: (draft.compose(m), []))  # type: ignore[misc]
        dossier = _dossier(asked, written, state, house)
        left = request.revision_rounds - revision
        hearing: Hearing = do("tribunal", revision, Hearing, lambda d=dossier, r=revision, n=left: _hearing(d, r, n, state, house))  # type: ignore[misc]
        hearings.append(hearing)
        if hearing.decision != "REVISE":
            break
        _revise(hearing, dossier, state)
    checks = _checks(asked, state, hearings[-1])
    spent = spent_on(house.store, run_id)
    decision: PolicyDecision = do("policy", 0, PolicyDecision, lambda: _policy(asked, state, written, hearings[-1], checks, spent, house))
    assessed = quality.assess(written, state.claims, state.rulings, state.admissions, state.executed.trials, hearings[-1])
    finished = Finished(
        run_id, request, created_at, asked, tuple(state.queries), tuple(state.searches), state.admissions, state.readings, state.claims, state.rulings,
        state.executed, written, tuple(hearings), checks, decision, dossier.documents, assessed, spent, state.wording, tuple(state.qualified().values()),
    )  # fmt: skip
    do("press", 0, dict, lambda: _press(finished, house))
    return finished


class _State:
    """What the rounds have brought so far; rebuilt from the records on every run, never stored itself."""

    def __init__(self) -> None:
        self.queries: list[Query] = []
        self.searches: list[SearchRecord] = []
        self.admissions: tuple[Admission, ...] = ()
        self.readings: tuple[Reading, ...] = ()
        self.claims: tuple[Claim, ...] = ()
        self.verified: tuple[Ruling, ...] = ()  # before the trials
        self.rulings: tuple[Ruling, ...] = ()
        self.foreseen: tuple[Foreseen, ...] = ()
        self.executed = Executed()
        self.dropped: set[str] = set()
        self.uncovered: tuple[str, ...] = ()
        self.asked_for: tuple[str, ...] = ()  # studies that the last hearing asks the laboratory for
        self.trial_claims: frozenset[str] = frozenset()  # the claims it asks a trial of
        self.trials_asked = False  # whether any hearing so far asked for one
        self.tried: set[str] = set()
        self.acted: list[str] = []
        self.wording: Wording | None = None
        self.restored: set[str] = set()
        self.qualifiers: dict[str, Qualifier] = {}
        self.contested: set[str] = set()

    def spent(self) -> frozenset[str]:
        return frozenset(self.dropped | self.tried)

    def worded(self, new: Wording) -> None:
        """Adds what a round's wording brought to that of the rounds before."""
        held = self.wording or Wording(0, {})
        self.wording = Wording(held.asked + new.asked, {**held.kept, **new.kept}, (*held.refused, *new.refused))

    def wordings(self) -> dict[str, str]:
        """Claim id -> the model's sentence, for claims that still stand and where nothing has put the claim's own words back."""
        kept = self.wording.kept if self.wording else {}
        own = self.restored | set(self.qualifiers)
        return {c: text for c, text in kept.items() if c in self._standing() - own}

    def qualified(self) -> dict[str, Qualifier]:
        """What revisions added, for claims that still stand: a new search may have brought others in their place."""
        return {c: q for c, q in self.qualifiers.items() if c in self._standing()}

    def _standing(self) -> set[str]:
        return {c.claim_id for c in self.claims} - self.dropped


def _gather(asked: Question, revision: int, state: _State, request: Request, house: House, do: Do) -> None:
    """plan, search, admit, read, claims, verify and experiment: in a revision only for what was left uncovered."""
    queries: tuple[Query, ...] = do("plan", revision, tuple[Query, ...], lambda: _plan(asked, revision, state, house))
    state.queries += queries
    found_now: tuple[SearchRecord, ...] = do(
        "search", revision, tuple[SearchRecord, ...], lambda: _search(asked, queries, revision, state, request, house)
    )
    state.searches += found_now
    if near := {r.query for r in found_now if r.purpose == SearchRecord.NEIGHBOURS}:
        state.acted.append(f"followed the citations of {len(near)} work(s)")
    state.admissions = do("admit", revision, tuple[Admission, ...], lambda: _admit(asked, state, request))
    state.readings = do("read", revision, tuple[Reading, ...], lambda: _read(state, house))
    sources = _sources(state, house)
    found: ClaimSet = do("claims", revision, ClaimSet, lambda: _claims(asked, sources, request, house))
    state.claims = found.claims
    state.verified = do("verify", revision, tuple[Ruling, ...], lambda: _verify(state, sources, house))
    _try(asked, revision, state, request, house, do)


def _try(asked: Question, revision: int, state: _State, request: Request, house: House, do: Do) -> None:
    """predict and experiment: the studies that the question suggests, and in a revision those that the hearing asked for."""
    bench = experiment.Only(house.bench, state.asked_for) if house.bench is not None and state.asked_for else house.bench
    asking = experiment.widened(asked, [c for c in state.claims if state.asked_for and c.claim_id in state.trial_claims])
    foreseen: tuple[Foreseen, ...] = do("predict", revision, tuple[Foreseen, ...], lambda: _predict(asking, state, request, bench))
    if revision == 0 or state.asked_for or foreseen != state.foreseen:  # the same trial with the same predictions need not be run twice
        state.executed = do("experiment", revision, Executed, lambda: _experiment(asking, state, foreseen, request, bench, house))
    state.foreseen = state.foreseen if state.asked_for else foreseen
    state.rulings = experiment.raise_levels(state.verified, state.executed)


# --- the stations' work: what each hands on, and what the ledger keeps of it ---


def _question(request: Request) -> tuple[Question, list[Event]]:
    asked = question.ask(request.question, request.names)
    return asked, [("question_asked", {"text": asked.text, "facets": [f.id for f in asked.facets]})]


def _plan(asked: Question, revision: int, state: _State, house: House) -> tuple[tuple[Query, ...], list[Event]]:
    queries = plan.targeted(asked, state.uncovered) if revision else plan.plan(asked)
    if house.model is not None:
        queries += assist.propose_queries(house.model, house.prompts, asked, queries)
    return queries, [("planned", {"queries": [q.text for q in queries]})]


def _search(
    asked: Question, queries: Sequence[Query], revision: int, state: _State, request: Request, house: House
) -> tuple[tuple[SearchRecord, ...], list[Event]]:
    """All that comes from outside before reading: hits, in a revision the neighbours of what was admitted, and what became of the works."""

    async def outside() -> tuple[SearchRecord, ...]:
        limit, deadline_s = request.results_per_query, house.search_deadline_s
        async with house.together():
            found = await search.search(queries, house.sources, limit=limit, deadline_s=deadline_s)
            if revision:
                found += await search.neighbours(_seeds(state), house.sources, limit=limit, deadline_s=deadline_s)
            return found + await _became(asked, [*state.searches, *found], request, house)

    records = asyncio.run(outside())
    return records, [("searched" if r.finds else "flags_asked", _told(r)) for r in records]


def _seeds(state: _State) -> list[str]:
    """The best admitted works whose neighbours no earlier round has asked for; a note stands for the work it is about."""
    known = {r.query for r in state.searches if r.purpose == SearchRecord.NEIGHBOURS and not isinstance(r.outcome, Failed)}
    works = dict.fromkeys(standing.work_of(a.paper) for a in state.admissions if a.admitted)
    return [w for w in works if w not in known and not w.startswith(("file:", "note:", "title:"))][:NEIGHBOURS_OF]


async def _became(asked: Question, records: Sequence[SearchRecord], request: Request, house: House) -> tuple[SearchRecord, ...]:
    """Asks about every work that the relevance gate would admit, until it admits none that was not asked about: a stopped one makes room."""
    if house.registry is None:
        return ()
    done = {w for w, s in standing.standings(records).items() if s.answered}
    out: tuple[SearchRecord, ...] = ()
    while True:
        admitted = [a.paper for a in admit.admit(asked, [*records, *out], at_most=request.max_admitted) if a.admitted]
        works = {w: p if p.about is None else Paper(p.about, p.title) for p in reversed(admitted) if (w := standing.work_of(p)) not in done}
        if not works:
            return out
        done |= set(works)
        out += await search.flags(list(works.values()), house.registry)


def _told(r: SearchRecord) -> dict[str, Any]:
    told: dict[str, Any] = {"source": r.source, "query": r.query, "outcome": r.outcome.kind}
    if isinstance(r.outcome, Found) and r.finds:
        told["hits"] = [p.paper_id for p in r.outcome.papers]
    if isinstance(r.outcome, Found) and not r.finds:
        told["flags"] = sorted({f for p in r.outcome.papers for f in p.flags})
    if isinstance(r.outcome, Failed):
        told["reason"] = r.outcome.reason
    return told


def _admit(asked: Question, state: _State, request: Request) -> tuple[tuple[Admission, ...], list[Event]]:
    admissions = admit.admit(asked, state.searches, at_most=request.max_admitted)
    return admissions, [("judged_relevance", {"paper": a.paper.paper_id, "admitted": a.admitted, "reason": a.reason}) for a in admissions]


def _read(state: _State, house: House) -> tuple[tuple[Reading, ...], list[Event]]:
    readings = read.read(state.admissions, house.shelf)
    return readings, [("read", {"paper": r.paper_id, "basis": r.basis, "document": r.document, "reason": r.reason}) for r in readings]


def _claims(asked: Question, sources: Sequence[claims.Source], request: Request, house: House) -> tuple[ClaimSet, list[Event]]:
    """Extracted by rule; a model may point at further sentences, which count only where they stand and only when they speak to the question."""
    found = claims.extract(asked, sources, at_most=request.max_claims)
    events: list[Event] = []
    if house.model is not None:
        more, dropped = _proposed(asked, sources, found, house, at_most=request.max_claims // PROPOSED_SHARE)
        filled, refused = assist.propose_slots(house.model, house.prompts, (*found.claims, *more))
        before = {c.claim_id: c.slots for c in (*found.claims, *more)}
        found = ClaimSet(filled, (*found.dropped, *dropped))
        events = [
            ("claims_proposed", {"kept": [c.claim_id for c in more], "dropped": [[text, why] for text, why in dropped]}),
            (
                "slots_proposed",
                {"filled": [c.claim_id for c in filled if c.slots != before[c.claim_id]], "refused": [list(r) for r in refused]},
            ),
        ]
    return found, [("claim_recorded", {"claim": c.claim_id, "paper": c.paper_id, "text": c.text}) for c in found.claims] + events


PROPOSED_SHARE = 3  # a model may add a third of what the rules may extract


def _proposed(
    asked: Question, sources: Sequence[claims.Source], found: ClaimSet, house: House, *, at_most: int
) -> tuple[list[Claim], list[tuple[str, str]]]:
    assert house.model is not None
    held = [c.span for c in found.claims if c.span is not None]
    kept: list[Claim] = []
    dropped: list[tuple[str, str]] = []
    for source in sources:
        offered = assist.propose_claims(house.model, house.prompts, asked, source.document, source.paper.paper_id)
        dropped += offered.dropped
        for claim in offered.claims:
            span = claim.span
            assert span is not None  # propose_claims locates or drops
            if any(h.doc_sha256 == span.doc_sha256 and h.start < span.end and span.start < h.end for h in held):
                continue  # extracted already
            if not claim.answers:
                dropped.append((claim.text, "it speaks to no part of the question"))
            elif len(kept) >= at_most:
                dropped.append((claim.text, "more than a model may add"))
            else:
                kept.append(claim)
    return kept, dropped


def _verify(state: _State, sources: Sequence[claims.Source], house: House) -> tuple[tuple[Ruling, ...], list[Event]]:
    papers = {s.paper.paper_id: s.paper for s in sources}
    rulings = []
    for claim in state.claims:
        own = [
            (s.paper.paper_id, claims.anchored(s.document, claim))
            for s in sources
            if claim.span and s.document.sha256 == claim.span.doc_sha256
        ]
        rulings.append(verify.verify_claim(claim, own[:1], extra=house.verifiers))
    combined = tuple(verify.corroborate(state.claims, rulings, papers))
    return combined, [
        ("verdict", {"claim": r.claim_id, "verdict": r.verdict, "level": r.level.label, "reason": r.reason}) for r in combined
    ]


def _predict(asked: Question, state: _State, request: Request, bench: Bench | None) -> tuple[tuple[Foreseen, ...], list[Event]]:
    """Closed before the trials begin: what the ledger says here, no run can change."""
    foreseen = experiment.foresee(asked, state.admissions, state.claims, bench, lab=request.lab, budget_s=_lab_left(state, request))
    return foreseen, [
        (
            "prediction_sealed",
            {
                "sha256": seal.digest(p),
                "statement": p.statement,
                "study": f.study,
                "preset": f.preset,
                "claims": [claim for claim, index in f.tests if index == n],
            },
        )
        for f in foreseen
        for n, p in enumerate(f.predictions)
    ]


def _lab_left(state: _State, request: Request) -> float:
    """Seconds of the run's budget that the trials of earlier rounds have not taken; the question's own studies are always chosen from the whole."""
    return request.lab_budget_s - (sum(f.seconds for f in state.foreseen) if state.asked_for else 0.0)


def _experiment(
    asked: Question, state: _State, foreseen: Sequence[Foreseen], request: Request, bench: Bench | None, house: House
) -> tuple[Executed, list[Event]]:
    for f in foreseen:
        house.progress(f"trial {f.study}", f"{f.preset}, about {f.seconds:.0f} s on two idle cores")
    out = house.store.home / "trials"
    executed = experiment.run(asked, state.admissions, state.claims, bench, foreseen, lab=request.lab, out=out)
    if state.trials_asked:
        executed = experiment.joined(executed, state.executed)
    left = experiment.untried(
        asked, state.admissions, state.claims, executed, house.bench, lab=request.lab, budget_s=_lab_left(state, request)
    )
    executed = replace(executed, untried=left)
    mine = {(f.study, f.preset) for f in foreseen}
    return executed, [
        (
            "trial",
            {
                "trial": t.trial_id,
                "state": t.state,
                "digest": t.digest,
                "record": seal.digest(t),
                "run_here": (t.study, t.preset) in mine,
                "predictions": [seal.digest(s.prediction) for s in t.statements if s.prediction is not None],
            },
        )
        for t in executed.trials
    ]


def _hearing(dossier: tribunal.Dossier, revision: int, left: int, state: _State, house: House) -> tuple[Hearing, list[Event]]:
    reviews = agreement = None
    if house.model is not None:
        panel = assist.review([house.model, *house.reviewers], house.prompts, dossier, tribunal.by_rule(dossier))
        reviews, agreement = panel.reviews, panel.agreement if house.reviewers else None
    hearing = tribunal.hold(
        dossier, revision_round=revision, rounds_left=left, acted=tuple(state.acted), spent=state.spent(), reviews=reviews,
        agreement=agreement, testable=_testable(state),
    )  # fmt: skip
    events: list[Event] = [
        ("finding", {"role": f.role, "kind": f.kind, "severity": f.severity, "text": f.text})
        for review in hearing.reviews
        for f in review.findings
    ]
    return hearing, [*events, ("hearing", {"round": revision, "score": hearing.score, "decision": hearing.decision})]


def _policy(
    asked: Question, state: _State, written: Draft, hearing: Hearing, checks: Sequence[Check], spent: Spent, house: House
) -> tuple[PolicyDecision, list[Event]]:
    known = policy.facts(
        asked,
        state.admissions,
        state.readings,
        state.claims,
        state.rulings,
        written.coverage,
        written.references,
        hearing,
        checks,
        state.executed.trials,
        spent,
        searches=state.searches,
    )
    decision = policy.decide(known, policy.parse(house.policy_text), policy_sha256=policy.fingerprint(house.policy_text))
    return decision, [
        ("policy_decided", {"decision": decision.decision, "rule": decision.rule, "facts": known, "policy": decision.policy_sha256})
    ]


def _press(finished: Finished, house: House) -> tuple[dict[str, str], list[Event]]:
    files = house.press(finished)
    stored = {name: house.store.blobs.put(body) for name, body in sorted(files.items())}
    return stored, [("draft_printed", {"files": stored})]


# --- glue between stations ---


def _sources(state: _State, house: House) -> list[claims.Source]:
    papers = {a.paper.paper_id: a.paper for a in state.admissions if a.admitted}
    return [
        claims.Source(papers[r.paper_id], house.store.library.document(r.document), r.document)
        for r in state.readings
        if r.document is not None and r.paper_id in papers
    ]


def _material(asked: Question, state: _State, house: House) -> draft.Material:
    sources = _sources(state, house)
    notes = [
        f"Of “{s.document.title or s.paper.title}”, {u.what} could not be read: {u.reason.rstrip('.')}."
        for s in sources
        for u in s.document.unread
        if u.share is None or u.share >= 0.02
    ]
    notes += [
        f"“{s.document.title or s.paper.title}” holds text that reads like instructions to a machine; it was treated as data."
        for s in sources
        if s.document.suspicious
    ]
    return draft.Material(
        asked, tuple(r for r in state.searches if r.finds), state.admissions, state.readings, state.claims, state.rulings, state.executed.trials,
        state.executed.bears_on,
        tuple(c.claim_id for c in state.claims if claims.is_absence(c.text) and not claims.is_caution(c)),
        tuple(c.claim_id for c in state.claims if claims.is_caution(c)), tuple(sorted(state.dropped)), tuple(dict.fromkeys(notes))[:8],
        tuple(dict.fromkeys(c for c in state.executed.checks)), tuple(r for r in state.searches if not r.finds),
        state.wordings(), state.qualified(), tuple(sorted(state.contested)),
    )  # fmt: skip


def _dossier(asked: Question, written: Draft, state: _State, house: House) -> tribunal.Dossier:
    documents = {s.document.sha256: s.document for s in _sources(state, house)}
    absences = frozenset(c.claim_id for c in state.claims if claims.is_absence(c.text) or claims.is_caution(c))
    return tribunal.Dossier(
        asked,
        written,
        state.claims,
        state.rulings,
        state.admissions,
        state.readings,
        tuple(r for r in state.searches if r.finds),
        documents,
        state.executed.trials,
        absences,
        frozenset(state.wordings()),
        state.qualified(),
    )


def _testable(state: _State) -> frozenset[str]:
    """Claims for which the laboratory has a study that this run did not look at and did not ask for yet."""
    return frozenset(c for c, study in state.executed.untried if f"trial:{study}" not in state.tried)


def _revise(hearing: Hearing, dossier: tribunal.Dossier, state: _State) -> None:
    """Acts on what the hearing found, and notes each act so that it is done once: what it did is told by the next hearing."""
    cure = tribunal.remedy([f for r in hearing.reviews for f in r.findings], dossier, state.spent(), _testable(state))
    state.uncovered = cure.requery
    state.asked_for = tuple(dict.fromkeys(study for c, study in state.executed.untried if c in cure.trial))
    state.trial_claims = cure.trial
    state.trials_asked |= bool(cure.trial)
    state.dropped |= cure.drop
    state.restored |= cure.restore
    state.qualifiers |= cure.requalify
    state.contested |= cure.contest
    state.tried |= {*cure.requery, *(f"trial:{s}" for s in state.asked_for)}
    for act, ids in (("restore", cure.restore), ("requalify", cure.requalify), ("contest", cure.contest), ("trial", cure.trial)):
        state.tried |= {f"{act}:{c}" for c in ids}
    told = (
        ("dropped {} claim(s)", cure.drop),
        ("put {} sentence(s) back into the claim's own words", cure.restore),
        ("added the source's own qualification to {} claim(s)", cure.requalify),
        ("showed {} claim(s) with what contests them", cure.contest),
    )
    state.acted = [text.format(len(ids)) for text, ids in told if ids]
    if cure.requery:
        state.acted.append("searched again for " + ", ".join(i.split(":", 1)[1] for i in cure.requery))
    if state.asked_for:
        state.acted.append(f"asked the laboratory for {', '.join(state.asked_for)}")


def _wording(m: draft.Material, state: _State, house: House) -> tuple[Wording, list[Event]]:
    """A model's sentences for the claims that the draft would state in their own words; each is verified again where its claim stands."""
    if house.model is None:
        return Wording(0, {}), []
    held = state.wording or Wording(0, {})
    known = {*held.kept, *(c for c, _, _ in held.refused), *state.restored, *state.qualifiers}
    documents = {s.document.sha256: (s.paper.paper_id, s.document) for s in _sources(state, house)}
    original = {c.claim_id: c for c in m.claims}
    notes = {a.paper.paper_id for a in m.admissions if a.paper.kind is PaperKind.NOTE}
    foreign = tribunal.foreign_to([d for _, d in documents.values()], m.admissions)

    def again(changed: Claim) -> Ruling:
        own = original[changed.claim_id]
        stands = [(documents[own.span.doc_sha256][0], claims.anchored(documents[own.span.doc_sha256][1], own))] if own.span else []
        return verify.verify_claim(changed, stands)

    wanted = [c for c in draft.worded_claims(m, draft.compose(m)) if c.claim_id not in known]
    worded = assist.reword(house.model, house.prompts, wanted, again, lambda text, c: "" if c.paper_id in notes else foreign(text))
    return worded, [("worded", {"asked": worded.asked, "kept": sorted(worded.kept), "refused": [[c, why] for c, _, why in worded.refused]})]


def _checks(asked: Question, state: _State, hearing: Hearing) -> tuple[Check, ...]:
    """The gate's own checks, each with its state; NOT_RUN carries the reason."""
    findings = {f.kind: f for r in hearing.reviews for f in r.findings}

    def from_finding(name: str, kinds: Sequence[str], good: str) -> Check:
        hit = next((findings[k] for k in kinds if k in findings), None)
        return Check(name, State.FAILED, hit.text) if hit else Check(name, State.PASSED, good)

    read_ok = [r for r in state.readings if r.document is not None]
    out = [
        from_finding("question answered", ("question_not_answered",), "at least one part of the question is carried by evidence"),
        from_finding("named system among the sources", ("named_system_missing",), "every named system was admitted"),
        from_finding(
            "every sentence has a source", ("unsupported_sentence", "contradicted_claim_kept"), "every stated sentence leads to evidence"
        ),
        from_finding(
            "spans match their documents", ("span_does_not_match",), f"{sum(len(r.evidence) for r in state.rulings)} spans compared"
        ),
        from_finding(
            "words are our own",
            ("foreign_words", "title_of_a_source"),
            f"compared with {len(read_ok)} documents; reading notes are our own words",
        ),
        from_finding("no instructions in sources", ("instructions_in_source",), f"{len(read_ok)} documents looked at"),
    ]
    if not state.rulings:
        out.append(Check("claims verified", State.NOT_RUN, "no claim was found, so none could be verified"))
    else:
        out.append(Check("claims verified", State.PASSED, f"{len(state.rulings)} claims"))
    searches = [r for r in state.searches if r.finds]
    outcomes = {s: [r.outcome for r in searches if r.source == s] for s in sorted({r.source for r in searches})}
    failures = {s: sum(isinstance(o, Failed) for o in each) for s, each in outcomes.items()}
    answered = [s for s in outcomes if failures[s] < len(outcomes[s])]
    dead = [s for s in outcomes if s not in answered]
    if dead and not answered:
        out.append(Check("literature searched", State.NOT_RUN, f"no source answered: {', '.join(dead)}"))
    else:
        said = [
            f"{', '.join(answered)} answered",
            *(f"{s} not to {failures[s]} of {len(outcomes[s])} queries" for s in answered if failures[s]),
        ]
        said += [f"{', '.join(dead)} did not"] if dead else []
        out.append(Check("literature searched", State.PASSED, "; ".join(said)))
    if state.wording is not None:
        out.append(_worded(state, state.wording))
    return (*out, *_not_retracted(state), *state.executed.checks)


def _not_retracted(state: _State) -> tuple[Check, ...]:
    """Whether the admitted works were asked about; nothing where no registry was in use."""
    known = standing.standings(state.searches)
    if not known:
        return ()
    admitted = dict.fromkeys(standing.work_of(a.paper) for a in state.admissions if a.admitted)
    asked, unnamed = [known[w] for w in admitted if w in known], sum(w not in known for w in admitted)
    silent = [s for s in asked if not s.answered]
    if silent:
        why = "; ".join(dict.fromkeys(reason for s in silent for reason in s.unanswered))
        return (
            Check(
                "sources not retracted",
                State.NOT_RUN,
                f"about {len(silent)} of {len(asked)} admitted works those who would know did not answer: {why}",
            ),
        )
    left_out = sum(bool(standing.STOPPING & set(s.flags)) for s in known.values())
    said = [f"{len(asked)} of {len(admitted)} admitted works asked about, none retracted or withdrawn"]
    said += [f"{left_out} retracted or withdrawn left out"] if left_out else []
    said += [f"{n} unknown to those asked"] if (n := sum(not s.held_by and not s.flagged_by for s in asked)) else []
    said += [f"{unnamed} without a DOI or an arXiv id"] if unnamed else []
    return (Check("sources not retracted", State.PASSED, "; ".join(said)),)


def _worded(state: _State, wording: Wording) -> Check:
    """How many sentences are a model's, and how many fell back; one that reached the draft unverified would fail (VALIDATOR compares each)."""
    kept = len(state.wordings())
    same = wording.asked - len(wording.kept) - len(wording.refused)
    first = f" (first: {wording.refused[0][2]})" if wording.refused else ""
    text = f"{wording.asked} sentences given to a model: {kept} kept in its words, each verified again"
    text += f"; {len(wording.refused)} fell back to the claim's own{first}"
    text += f"; {same} it left as they were" if same else ""
    text += f"; {len(wording.kept) - kept} taken back by a revision" if len(wording.kept) > kept else ""
    return Check("wording verified again", State.PASSED, text)


PROMPT_CHARS = 40_000  # assumed for an estimate: passages are cut at 24 000 characters; a review also carries the draft


def most_calls(request: Request) -> tuple[int, int]:
    """(calls of the model that helps besides reviewing, calls of each model that reviews), at most and without repairs."""
    rounds = request.revision_rounds + 1
    return rounds * (3 + request.max_admitted + request.max_claims + request.max_claims // PROPOSED_SHARE), rounds * 3


def spent_on(store: Workspace, run_id: str) -> Spent:
    """What this run's models took so far, by the ledger: every call, answered usefully or not, of every attempt to finish the run."""
    bodies = [e.body for e in store.ledger.events(run_id, "model_paid")]
    costs = [b["cost_usd"] for b in bodies]
    return Spent(
        tuple(dict.fromkeys(sorted(str(b["model"]) for b in bodies))),
        len(bodies),
        sum(int(b["tokens_in"]) for b in bodies),
        sum(int(b["tokens_out"]) for b in bodies),
        None if None in costs else round(sum(costs, 0.0), 6),
        round(sum((float(b["at_most_usd"]) for b in bodies), 0.0), 6),
        any(b["estimated"] for b in bodies),
    )


# --- doing, recalling and replaying steps ---


def step_key(station: str, revision: int) -> str:
    return f"{station}-{revision}"


def recording(run_id: str, house: House, engine: Callable[[str, Callable[[], str]], str]) -> Do:
    """Steps that are done once: under the engine, closed in the ledger, recalled ever after."""

    def do(station: str, revision: int, kind: type, work: Callable[[], tuple[Any, Sequence[Event]]]) -> Any:
        key = step_key(station, revision)

        def once() -> str:
            finished = house.store.runs.finished_step(run_id, key)
            if finished is not None:
                return finished
            house.progress(station, "started")
            clock = time.perf_counter()
            try:
                output, events = work()
            except SovereignError as exc:
                exc.station = exc.station or station
                raise
            return house.store.runs.finish_once(run_id, key, output, events, at=house.clock.now(), seconds=time.perf_counter() - clock)

        digest = engine(key, once)
        house.progress(station, "done")
        return seal.revive(kind, house.store.blobs.get(digest))

    return do


def replaying(run_id: str, house: House, compared: list[tuple[str, str, str]]) -> Do:
    """Steps derived again from the record. Appends (step, recorded digest, derived digest) to `compared`; nothing is written."""
    recorded = house.store.runs.steps(run_id)

    def do(station: str, revision: int, kind: type, work: Callable[[], tuple[Any, Sequence[Event]]]) -> Any:
        key = step_key(station, revision)
        if key not in recorded:
            raise IntegrityBroken(f"Run {run_id} has no record of step {key}.", mend=f"Finish it first: sovereign runs resume {run_id}")
        if station in OUTSIDE:
            house.store.blobs.get(recorded[key])  # its bytes must still match their name
            compared.append((key, recorded[key], recorded[key]))
        else:
            compared.append((key, recorded[key], seal.digest(work()[0])))
        return seal.revive(kind, house.store.blobs.get(recorded[key]))

    return do


def request_of(body: Mapping[str, Any]) -> Request:
    return seal.revive(Request, seal.canonical(body))
