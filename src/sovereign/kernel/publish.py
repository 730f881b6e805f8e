"""What a signature covers, when a publication is allowed, and how a published record is corrected. Imports records' neighbours (seal, errors).

Pure functions over digests and plain values. Default deny: without a signature of a known key over exactly the bytes that would be published, the
answer is no. A published record is never rewritten; corrections are added beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sovereign import seal
from sovereign.errors import BadInput, IntegrityBroken, Refused

DOMAIN = b"sovereign/decision-1\n"  # a signature over a decision can never be taken for one over anything else
SIGNED_FILES = ("draft.json", "draft.pdf", "draft.md", "draft.html", "references.bib")


@dataclass(frozen=True)
class Statement:
    """What the owner puts the name under. Every digest is sha256 in hex.

    files: name -> digest of the exact bytes (SIGNED_FILES and every figure). manifest: digest of the evidence manifest.
    ledger_head, ledger_count: the run's chain as it stood when this was signed; the signature event itself comes after it.
    """

    run_id: str
    decision: str  # approved | rejected | sent_back | revoked
    note: str
    waiver: str
    gaps: tuple[str, ...]  # what the waiver waives
    owner: str
    at: str
    files: dict[str, str]
    manifest: str
    policy_sha256: str
    ledger_head: str
    ledger_count: int
    schema: str = "sovereign/decision-1"


@dataclass(frozen=True)
class Signature:
    """A statement and the Ed25519 signature over its canonical bytes. Without a key, signature and public_key are None (a refusal may be so)."""

    statement: Statement
    signature: str | None
    public_key: str | None
    algorithm: str = "Ed25519 over 'sovereign/decision-1\\n' and the canonical JSON of the statement"


def message(statement: Statement) -> bytes:
    """The exact bytes that are signed."""
    return DOMAIN + seal.canonical(statement)


def fingerprint(public_key: str) -> str:
    """A short name for a key that people can compare: sha256 of the raw key, first 32 hex digits in groups of four."""
    full = seal.sha256(bytes.fromhex(public_key))[:32]
    return " ".join(full[i : i + 4] for i in range(0, 32, 4))


def fault(signature: Signature, known_keys: Collection[str]) -> str | None:
    """Why this signature counts for nothing, in one sentence; None when it holds. `known_keys`: public keys in hex that belong to the owner."""
    if signature.signature is None or signature.public_key is None:
        return "it is not signed"
    if not seal.verify_signature(signature.public_key, signature.signature, message(signature.statement)):
        return "the signature does not match the statement"
    if signature.public_key not in known_keys:
        return f"it was made with the key {fingerprint(signature.public_key)}, which is not the owner's"
    return None


def manifest(
    *,
    run_id: str,
    request: str,
    steps: Mapping[str, str],
    documents: Sequence[Mapping[str, Any]],
    trials: Sequence[Mapping[str, Any]],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """The evidence manifest: every blob, text and trial a draft rests on, by digest. steps: step key -> digest of its record."""
    return {
        "schema": "sovereign/evidence-1",
        "run_id": run_id,
        "request": request,
        "steps": dict(steps),
        "documents": sorted((dict(d) for d in documents), key=lambda d: str(d["document"])),
        "trials": sorted((dict(t) for t in trials), key=lambda t: str(t["trial_id"])),
        "files": dict(files),
    }


def permit(
    signatures: Sequence[Signature],
    known_keys: Collection[str],
    *,
    run_id: str,
    files: Mapping[str, str],
    manifest_sha256: str,
    corrected_after: Collection[str] = (),
    flagged_after: Collection[str] = (),
) -> Signature:
    """The approval under which these bytes may leave. Raises Refused (no approval, revoked, unanswered flags) or IntegrityBroken (bytes differ).

    signatures: every decision on the run, oldest first. files, manifest_sha256: of the bytes as they are now, not as they were recorded.
    flagged_after: papers flagged since the approval; corrected_after: those of them that a correction has answered.
    """
    mine = [s for s in signatures if s.statement.run_id == run_id]
    if not mine or mine[-1].statement.decision != "approved":
        last = f"its last decision is “{mine[-1].statement.decision.replace('_', ' ')}”" if mine else "nobody has decided on it"
        raise Refused(f"Run {run_id} is not approved: {last}.", mend=f"Review it: sovereign review show {run_id}")
    held = mine[-1]
    if why := fault(held, known_keys):
        raise Refused(f"The approval of run {run_id} does not count: {why}.", mend="Run: sovereign audit verify")
    for name in sorted({*SIGNED_FILES, *held.statement.files, *files}):
        signed, found = held.statement.files.get(name), files.get(name)
        if signed != found:
            what = "is missing" if found is None else "was not signed" if signed is None else "was changed after it was signed"
            raise IntegrityBroken(
                f"{name} of run {run_id} {what}.", mend="Nothing was published. Run: sovereign audit verify", subject=name
            )
    if held.statement.manifest != manifest_sha256:
        raise IntegrityBroken(
            f"The evidence under run {run_id} is not what was signed.", mend="Run: sovereign audit verify", subject=run_id
        )
    if unanswered := sorted(set(flagged_after) - set(corrected_after)):
        raise Refused(
            f"Sources of run {run_id} were flagged after it was approved: {', '.join(unanswered)}.",
            mend=f"Say what follows from it: sovereign review correct {run_id} --type PROVENANCE --source ID --note … , or revoke the approval.",
        )
    return held


# --- corrections ---


class CorrectionType(StrEnum):
    METADATA = "METADATA"
    ARTIFACT = "ARTIFACT"
    CLAIM = "CLAIM"
    BENCHMARK = "BENCHMARK"
    PROVENANCE = "PROVENANCE"
    QUALITY_ASSESSMENT = "QUALITY_ASSESSMENT"


class Status(StrEnum):
    CURRENT = "CURRENT"
    CORRECTED = "CORRECTED"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True)
class Correction:
    """One addition to a record. claim: the claim it is about; source: the flagged paper it answers; superseded_by: the run that takes its place."""

    run_id: str
    type: CorrectionType
    note: str
    at: str
    owner: str
    claim: str = ""
    source: str = ""
    superseded_by: str = ""


def correction_type(text: str) -> CorrectionType:
    """Raises BadInput naming the six types."""
    try:
        return CorrectionType(text.strip().upper())
    except ValueError as exc:
        raise BadInput(f"{text!r} is no type of correction.", mend=f"Known: {', '.join(CorrectionType)}.") from exc


def status(corrections: Sequence[Correction]) -> Status:
    """CURRENT without corrections; SUPERSEDED as soon as another run took its place; else CORRECTED."""
    if any(c.superseded_by for c in corrections):
        return Status.SUPERSEDED
    return Status.CORRECTED if corrections else Status.CURRENT
