"""Decisions and corrections: signed, recorded, one per run. Imports the review and publish rules and the store; refuses a second decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sovereign import seal
from sovereign.errors import IntegrityBroken, Refused, WorkspaceUnusable
from sovereign.gate import keys
from sovereign.gate.holding import Held, decision_line, flags_in, held
from sovereign.kernel import publish as rules
from sovereign.kernel import review
from sovereign.kernel.publish import Correction, Signature, Statement
from sovereign.kernel.review import Choice
from sovereign.store.database import events as events_table
from sovereign.store.database import runs as runs_table
from sovereign.store.workspace import Workspace


def decide(ws: Workspace, run_id: str, choice: Choice, *, note: str = "", waive: str = "", passphrase: str | None, owner: str) -> Signature:
    """Records one decision of the owner, signed over the exact bytes. Raises Refused (decided already, gaps not waived, no key for an approval),
    IntegrityBroken (wrong passphrase; the files in the run folder are not those on record), BadInput (note), NotFound (run).

    passphrase None: sign only if that is not demanded (a refusal counts unsigned as well, an approval or its revocation never).
    """
    run, statement, evidence = _prepare(ws, run_id, choice, note, waive, owner)
    signed = _sign(ws, choice, statement, passphrase)
    _record(ws, run, choice, signed, evidence, [])
    return signed


def send_back(ws: Workspace, run_id: str, *, note: str, passphrase: str | None, owner: str) -> tuple[Signature, str]:
    """Sends a draft back: the decision is recorded, and a new run of the same question is begun, which the caller has to perform.

    The note stands in the ledger of both runs for people to read; it steers nothing. Returns the signature and the new run's id.
    """
    run, statement, evidence = _prepare(ws, run_id, Choice.SENT_BACK, note, "", owner)
    signed = _sign(ws, Choice.SENT_BACK, statement, passphrase)
    event = _record(ws, run, Choice.SENT_BACK, signed, evidence, [])
    stem, _, tail = run_id.rpartition("-")
    base = stem if tail.isdigit() and stem.startswith("r-") else run_id
    begun = ws.runs.create(base, run.row.question, ws.runs.request(run_id), at=ws.clock.now())
    ws.ledger.append(run_id, "owner_note", {"note": statement.note, "new_run": begun.run_id, "decision": event}, at=ws.clock.now())
    ws.ledger.append(begun.run_id, "owner_note", {"note": statement.note, "revises": run_id, "decision": event}, at=ws.clock.now())
    return signed, begun.run_id


def _prepare(ws: Workspace, run_id: str, choice: Choice, note: str, waive: str, owner: str) -> tuple[Held, Statement, dict[str, Any]]:
    note = review.note_of(note)
    review.allow(choice, ws.runs.get(run_id).state, run_id=run_id, decided=_decided(ws, run_id))
    run = held(ws, run_id)
    files = run.present_files()
    if changed := sorted(n for n in files if files[n] != run.files[n]):
        raise IntegrityBroken(
            f"{', '.join(changed)} in the run folder is not what is on record.",
            mend=f"Bring it back: sovereign runs show {run_id}",
            subject=run_id,
        )
    missing = review.gaps(run.checks, flags_in(ws, run_id))
    waived = review.waiver(choice, missing, waive)
    evidence = run.manifest()
    events = ws.ledger.events(run_id)
    statement = Statement(
        run_id=run_id,
        decision=choice.value,
        note=note,
        waiver=waived,
        gaps=missing,
        owner=owner,
        at=ws.clock.now(),
        files=files,
        manifest=seal.digest(evidence),
        policy_sha256=run.decision.policy_sha256,
        ledger_head=events[-1].hash,
        ledger_count=len(events),
    )
    return run, statement, evidence


def _sign(ws: Workspace, choice: Choice, statement: Statement, passphrase: str | None) -> Signature:
    demanded = choice in (Choice.APPROVED, Choice.REVOKED)
    if not keys.has_key(ws) and not demanded:
        return Signature(statement, None, None)
    pem = keys.private_pem(ws)
    if passphrase is None:
        if demanded:
            raise Refused(f"“{choice.value}” needs the owner's passphrase.", mend="Type it when asked, or set SOVEREIGN_KEY_PASSPHRASE.")
        return Signature(statement, None, None)
    signature, public = seal.sign(pem, passphrase, rules.message(statement))
    signed = Signature(statement, signature, public)
    if why := rules.fault(signed, keys.known_keys(ws)):
        raise IntegrityBroken(
            f"The owner key cannot be used: {why}.", mend="Put the right keys/owner.pem back, or: sovereign review init --replace"
        )
    return signed


def _record(
    ws: Workspace, run: Held, choice: Choice, signed: Signature, evidence: Mapping[str, Any], more: Sequence[tuple[str, Mapping[str, Any]]]
) -> str:
    """One transaction: the state is still open, nothing was added to the chain since it was signed, then event and state together."""
    run_id = run.run_id
    with ws.database.write() as tx:
        state = tx.execute(sa.select(runs_table.c.state).where(runs_table.c.run_id == run_id).with_for_update()).scalar_one()
        newest = sa.select(events_table.c.hash).where(events_table.c.scope == run_id).order_by(events_table.c.seq.desc()).limit(1)
        last = tx.execute(newest).scalar_one()
        if state != run.row.state or last != signed.statement.ledger_head:
            review.allow(choice, state, run_id=run_id, decided=_decided(ws, run_id))
            raise Refused(f"Run {run_id} changed while you were deciding; nothing was recorded.", mend="Look at it again, then decide.")
        ws.blobs.put_in(tx, seal.canonical(evidence))
        events = ws.ledger.append_in(tx, run_id, [("signed", seal.plain(signed)), *more], at=signed.statement.at)
        tx.execute(runs_table.update().where(runs_table.c.run_id == run_id).values(state=review.STATE_AFTER[choice]))
    write_signature(ws, run_id, events[0].seq, signed)
    return events[0].hash


def write_signature(ws: Workspace, run_id: str, seq: int, signed: Signature) -> None:
    folder = ws.run_folder(run_id) / "signatures"
    path = folder / signature_name(seq, signed.statement.decision)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(seal.pretty(signed), encoding="utf-8")
        part.replace(path)
    except OSError as exc:  # the ledger has it already; the file is a copy that `runs export` writes again
        raise WorkspaceUnusable(f"The decision is recorded, but its file {path} was not written: {exc.strerror}.") from exc


def signature_name(seq: int, decision: str) -> str:
    return f"{seq:06d}-{decision}.json"


def signatures_of(ws: Workspace, run_id: str) -> list[Signature]:
    """Every decision on a run, oldest first, from the ledger."""
    return [signature_from(e.body) for e in ws.ledger.events(run_id, "signed")]


def signature_from(body: Mapping[str, Any]) -> Signature:
    return seal.revive(Signature, seal.canonical({k: v for k, v in body.items() if k != "at"}))


def _decided(ws: Workspace, run_id: str) -> str:
    events = ws.ledger.events(run_id, "signed")
    if not events:
        return ""
    line = decision_line(events[-1].body, events[-1].seq)
    return f"{line['decision'].replace('_', ' ')} by {line['owner']} at {line['at']}"


# --- corrections ---


def correct(
    ws: Workspace, run_id: str, *, type: str, note: str, claim: str = "", source: str = "", superseded_by: str = "", owner: str
) -> Correction:
    """Adds a correction beside a decided record. Raises Refused for an undecided run, BadInput for an empty note or an unknown claim."""
    kind = rules.correction_type(type)
    kept = review.note_of(note)
    if not kept:
        raise Refused("A correction says what is corrected.", mend='Give --note "…".')
    run = held(ws, run_id)
    if run.row.state not in ("approved", "published", "rejected"):
        raise Refused(
            f"Run {run_id} is {run.row.state.replace('_', ' ')}; only a decided record is corrected.", mend="Send it back instead."
        )
    if claim and claim not in {c.claim_id for c in run.claims}:
        raise Refused(f"Run {run_id} has no claim {claim!r}.", mend=f"See: sovereign review show {run_id}")
    if superseded_by:
        ws.runs.get(superseded_by)
    made = Correction(run_id, kind, kept, ws.clock.now(), owner, claim, source, superseded_by)
    ws.ledger.append(run_id, "correction", seal.plain(made), at=made.at)
    return made


def corrections_of(ws: Workspace, run_id: str) -> list[Correction]:
    return [seal.revive(Correction, seal.canonical(e.body)) for e in ws.ledger.events(run_id, "correction")]
