"""From an approved run to a page of the archive: permission first, then the whole record, then the event. Imports store, rules and archive.

Refuses whatever the rules do not permit over the bytes as they are at this moment, and any run whose audit finds a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sovereign import seal
from sovereign.archive import Record, write
from sovereign.errors import IntegrityBroken, Refused
from sovereign.gate.audit import audit_workspace
from sovereign.gate.bundle import bundle
from sovereign.gate.decide import corrections_of, signatures_of
from sovereign.gate.holding import Held, flags_in, held
from sovereign.gate.keys import known_keys
from sovereign.kernel import publish as rules
from sovereign.kernel.publish import Signature
from sovereign.records import GateVerdict, Verdict
from sovereign.store.database import events as events_table
from sovereign.store.database import runs as runs_table
from sovereign.store.workspace import Workspace


def permitted(ws: Workspace, run_id: str) -> tuple[Held, Signature]:
    """The run and the approval under which it may leave. Raises Refused or IntegrityBroken; everything is compared again, now."""
    run = held(ws, run_id)
    signatures = signatures_of(ws, run_id)
    signed_at = max((e.seq for e in ws.ledger.events(run_id, "signed")), default=-1)
    flagged = {str(e.body["paper"]) for e in ws.ledger.events(run_id, "source_flagged") if e.seq > signed_at}
    answered = {c.source for c in corrections_of(ws, run_id) if c.source}
    signed = rules.permit(
        signatures, known_keys(ws), run_id=run_id, files=run.present_files(), manifest_sha256=seal.digest(run.manifest()),
        corrected_after=answered, flagged_after=flagged,
    )  # fmt: skip
    report = audit_workspace(ws, run_id)
    if not report.sound:
        where, what = report.problems[0] if report.problems else (run_id, "nothing could be compared")
        raise IntegrityBroken(
            f"The audit of run {run_id} failed: {where}: {what}.", mend=f"See all: sovereign audit verify {run_id}", subject=run_id
        )
    return run, signed


def _mark_revoked(ws: Workspace, run_id: str, site: Path, at: str) -> Mapping[str, Any]:
    """A record that was published stays on record, but its page says that the approval was taken back; nothing else of it changes."""
    run = held(ws, run_id)
    approval = [s for s in signatures_of(ws, run_id) if s.statement.decision == "approved"][-1]
    if run.present_files() != approval.statement.files:
        raise IntegrityBroken(f"The files of run {run_id} are not those that were published.", mend=f"Run: sovereign audit verify {run_id}")
    written = write(site, replace(record_of(ws, run, approval, at=at), status="REVOKED"))
    ws.ledger.append(run_id, "archive_marked", {"status": "REVOKED", "record": written["record_sha256"]}, at=ws.clock.now())
    return written


def record_of(ws: Workspace, run: Held, approval: Signature, *, at: str) -> Record:
    """Everything a page of the archive shows, as plain values."""
    corrections = corrections_of(ws, run.run_id)
    return Record(
        run_id=run.run_id,
        published_at=at,
        status=rules.status(corrections).value,
        level=level_of(run),
        gate_verdict=verdict_of(run).value,
        body=run.body,
        papers=run.cited,
        corrections=tuple(seal.plain(c) for c in corrections),
        flags={p: list(f) for p, f in flags_in(ws, run.run_id).items()},
        approval=seal.plain(approval),
        fingerprint=rules.fingerprint(approval.public_key or ""),
        bundle=bundle(ws, run.run_id, public=True),
    )


def level_of(run: Held) -> str | None:
    """The lowest level among the claims that the draft states; None when it states none."""
    stated = {c for s in run.body["draft"]["sections"] for x in s["sentences"] for c in x["claims"]}
    stated |= {c for x in run.body["draft"]["abstract"] for c in x["claims"]}
    levels = [r.level for r in run.rulings if r.claim_id in stated and r.verdict in (Verdict.SUPPORTED, Verdict.QUALIFIED)]
    return min(levels).label if levels else None


def verdict_of(run: Held) -> GateVerdict:
    """What trials say about claims of this record, never what a review said: FALSIFIED if any claim was, VERIFIED if some were and none falsified.

    A trial that is attached but tested none of the claims leaves the record UNVERIFIED.
    """
    verdicts = {backed[2] for backed in run.executed.backs}
    for verdict in (GateVerdict.FALSIFIED, GateVerdict.VERIFIED):
        if verdict in verdicts:
            return verdict
    return GateVerdict.UNVERIFIED


def publish(ws: Workspace, run_id: str, site: Path) -> Mapping[str, Any]:
    """Renders the record into the site and records the event. Publishing again renews the pages (corrections, flags); the signed bytes stay."""
    before = ws.ledger.events(run_id, "published")
    if before and signatures_of(ws, run_id)[-1].statement.decision == "revoked":
        return _mark_revoked(ws, run_id, site, str(before[0].body["first_published_at"]))
    run, signed = permitted(ws, run_id)
    head = ws.ledger.head(run_id)
    at = str(before[0].body["first_published_at"]) if before else ws.clock.now()
    record = record_of(ws, run, signed, at=at)
    body = {"first_published_at": at, "files": run.files, "manifest": signed.statement.manifest}
    newest = sa.select(events_table.c.hash).where(events_table.c.scope == run_id).order_by(events_table.c.seq.desc()).limit(1)
    with ws.database.write() as tx:  # the pages are written under the lock: a revocation comes before them or after them, never between
        state = tx.execute(sa.select(runs_table.c.state).where(runs_table.c.run_id == run_id).with_for_update()).scalar_one()
        if state not in ("approved", "published") or tx.execute(newest).scalar_one() != head:
            raise Refused(
                f"Run {run_id} changed while it was being published; nothing was written.", mend=f"Look: sovereign review show {run_id}"
            )
        written = write(site, record)
        ws.ledger.append_in(tx, run_id, [("published", {**body, "record": written["record_sha256"]})], at=ws.clock.now())
        tx.execute(runs_table.update().where(runs_table.c.run_id == run_id).values(state="published"))
    return written
