"""What the tests of gate, archive and console share: a real finished run, made once, and hand-planted runs with any text in them."""

# ruff: noqa: E501  (records written out in one line each)

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sovereign import gate, seal, wiring
from sovereign.press import render
from sovereign.records import (
    Admission,
    Basis,
    Check,
    Claim,
    ClaimSet,
    Coverage,
    Decision,
    Document,
    Draft,
    Empty,
    Evidence,
    Executed,
    Facet,
    FacetKind,
    Finding,
    Finished,
    Hearing,
    Level,
    Paper,
    Passage,
    PolicyDecision,
    Query,
    Question,
    Reading,
    Request,
    Review,
    Role,
    Ruling,
    SearchRecord,
    Section,
    Sentence,
    SentenceKind,
    Severity,
    Slots,
    Span,
    Stance,
    State,
    Trial,
    Verdict,
)
from sovereign.settings import Settings, load
from sovereign.store.workspace import Workspace

PASSPHRASE = "correct horse battery"
QUESTION = "How much does SMoES reduce TTFT and TPOT on MMMU compared with the unspecialized router?"


def asked_workspace(folder: Path) -> str:
    """A workspace with one real run of the README's question and an owner key; returns the run's id."""
    settings = load(folder, offline=True)
    run_id = wiring.ask(settings, QUESTION, sources=["local"]).run_id
    with wiring.workspace(settings) as ws:
        gate.create_key(ws, PASSPHRASE, owner="Ada Owner")
    return run_id


def copied(source: Path, target: Path) -> Settings:
    shutil.copytree(source, target)
    return load(target, offline=True)


def plant(
    ws: Workspace,
    *,
    run_id: str = "r-planted",
    title: str = "A planted draft",
    question: str = "Does a planted router lower latency?",
    claims: int = 3,
    sentences: int | None = None,
    text: str = "The planted router lowers latency by {n} % on the planted set.",
    paper_title: str = "A planted paper",
    not_run: str = "",
    contested: bool = False,
    trials: tuple[Trial, ...] = (),
    finding: str = "One source only.",
    pressed: bool = True,
) -> str:
    """Stores a run as if the path had travelled it; every text can be chosen. Press can be left out for runs too large to typeset."""
    said = [text.format(n=i) for i in range(1, claims + 1)]
    body = "\n".join(said)
    paper = Paper("file:planted", paper_title, ("Ada Example", "B. <b>Bold</b>"), 2026, abstract=body[:500])
    other = Paper("file:other", "Another planted paper", ("C. Other",), 2025)
    passages, spans, at = [], [], 0
    sha = seal.sha256(body)
    for s in said:
        passages.append(Passage(at, at + len(s), s, section="Results"))
        spans.append(Span(sha, at, at + len(s), s, paper.paper_id, "Results"))
        at += len(s) + 1
    document = Document(sha, body, tuple(passages), Basis.FULL_TEXT, "plain/1", paper_title)
    blob = ws.blobs.put(seal.canonical(document))
    request = Request(question, ("local",))
    row = ws.runs.create(run_id, question, seal.plain(request), at=ws.clock.now())
    run_id = row.run_id
    found = tuple(
        Claim(f"c-{i}", s, Slots(("planted router",), ("latency",)), None, spans[i], paper.paper_id, ("metric:latency",))
        for i, s in enumerate(said)
    )
    rulings = tuple(
        Ruling(c.claim_id, Verdict.SUPPORTED, Level.L2_GROUNDED, "every slot agrees", 0.9, Basis.FULL_TEXT,
               (Evidence(Stance.SUPPORTS, spans[i], probability=0.9),), contested_by=((f"c-{1 - i}",) if contested and i < 2 else ()), verifier="test/1")
        for i, c in enumerate(found)
    )  # fmt: skip
    asked = Question(question, (Facet(FacetKind.METRIC, "latency"),))
    shown = found[: claims if sentences is None else sentences]
    body_sentences = tuple(
        Sentence(f"s{i}", c.text, SentenceKind.CLAIM, (c.claim_id,), citations=(paper.paper_id,)) for i, c in enumerate(shown, 1)
    )
    draft = Draft(
        title,
        (Sentence("a1", f"This draft examines {claims} statements.", SentenceKind.FRAME),),
        (Section("Latency", body_sentences),),
        (Coverage("metric:latency", bool(found), tuple(c.claim_id for c in found[:5]), "" if found else "nothing was found"),),
        (paper.paper_id,),
    )
    admissions = (Admission(paper, True, "planted", 1.0, ("metric:latency",), ("local",)), Admission(other, False, "not about it", 0.1))
    readings = (Reading(paper.paper_id, Basis.FULL_TEXT, blob),)
    hearing = Hearing(0, (Review(Role.SKEPTIC, 9.0, (Finding(Role.SKEPTIC, "single_sourced", Severity.MAJOR, finding, ("c-0",)),), dissent="a model would give 4"),), 9.0, "APPROVE")  # fmt: skip
    checks = (Check("claims verified", State.PASSED, f"{claims} claims"),)
    if not_run:
        checks = (*checks, Check(not_run, State.NOT_RUN, "no service answered"))
    decision = PolicyDecision(Decision.ESCALATE_TO_OWNER, "only reading notes", ("Look at it.",), "0" * 64)
    executed = Executed(trials, tuple(s.prediction for t in trials for s in t.statements if s.prediction))
    queries = (Query("named_system", "planted"),)
    searches = (SearchRecord("local", "planted", "named_system", Empty()),)
    finished = Finished(
        run_id, request, row.created_at, asked, queries, searches, admissions, readings, found, rulings, executed, draft, (hearing,), checks, decision,
        {sha: document},
    )  # fmt: skip
    outputs: list[tuple[str, Any]] = [
        ("question", asked), ("plan", queries), ("search", searches), ("admit", admissions), ("read", readings), ("claims", ClaimSet(found)),
        ("verify", rulings), ("experiment", executed), ("draft", draft), ("tribunal", hearing), ("policy", decision),
    ]  # fmt: skip
    for station, output in outputs:
        events: list[tuple[str, Any]] = [("policy_decided", {"decision": decision.decision, "rule": decision.rule, "facts": {}, "policy": decision.policy_sha256})] if station == "policy" else []  # fmt: skip
        events += [("trial", {"trial": t.trial_id, "state": t.state, "digest": t.digest, "record": seal.digest(t)}) for t in trials] if station == "experiment" else []  # fmt: skip
        ws.runs.finish_step(run_id, f"{station}-0", output, events, at=ws.clock.now(), seconds=0.01)
    if pressed:
        files = render(finished, {})
    else:
        from sovereign.press.contract import document as contract

        files = {
            "draft.json": seal.pretty(contract(finished)).encode(),
            "draft.md": b"#",
            "draft.html": b"<p>",
            "draft.pdf": b"%PDF-",
            "references.bib": b"",
        }
    stored = {name: ws.blobs.put(content) for name, content in files.items()}
    ws.runs.finish_step(run_id, "press-0", stored, [("draft_printed", {"files": stored})], at=ws.clock.now(), seconds=0.01)
    ws.runs.set_state(run_id, "waiting_for_owner")
    return run_id
