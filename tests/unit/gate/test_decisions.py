"""Default deny, one decision per run, signatures over exact bytes, corrections and invalidation."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.owner_support import PASSPHRASE, plant

from sovereign import gate, seal, wiring
from sovereign.errors import BadInput, IntegrityBroken, NotFound, Refused
from sovereign.kernel import publish as rules
from sovereign.kernel import review
from sovereign.kernel.review import Choice
from sovereign.settings import Settings
from sovereign.store.workspace import Workspace


def approve(ws: Workspace, run_id: str, **more: str) -> rules.Signature:
    return gate.decide(ws, run_id, Choice.APPROVED, passphrase=PASSPHRASE, owner="Ada Owner", **more)


def test_a_signature_covers_every_printed_file_the_evidence_the_policy_and_the_chain(ws: Workspace, run_id: str) -> None:
    """Fault: a file, the evidence or the history outside the signature could be changed under a valid approval."""
    before = ws.ledger.events(run_id)
    s = approve(ws, run_id, note="Read it twice.").statement
    assert set(rules.SIGNED_FILES) <= set(s.files)
    assert s.files == {n: seal.sha256(ws.blobs.get(d)) for n, d in gate.held(ws, run_id).files.items()}
    assert (s.ledger_head, s.ledger_count) == (before[-1].hash, len(before))
    assert s.manifest == seal.digest(gate.held(ws, run_id).manifest()) and s.policy_sha256 == gate.held(ws, run_id).decision.policy_sha256
    manifest = gate.held(ws, run_id).manifest()
    assert {d["document"] for d in manifest["documents"]} == {r.document for r in gate.held(ws, run_id).readings if r.document}
    assert ws.runs.get(run_id).state == "approved" and s.note == "Read it twice."
    assert list((ws.run_folder(run_id) / "signatures").glob("*-approved.json"))


@pytest.mark.parametrize("field", ["note", "decision", "manifest", "ledger_head", "owner", "at", "waiver", "policy_sha256", "run_id"])
def test_no_word_of_a_signed_statement_can_be_exchanged(ws: Workspace, run_id: str, field: str) -> None:
    import dataclasses

    signed = approve(ws, run_id)
    assert rules.fault(signed, gate.known_keys(ws)) is None
    forged = dataclasses.replace(signed, statement=dataclasses.replace(signed.statement, **{field: "other"}))
    assert rules.fault(forged, gate.known_keys(ws)) == "the signature does not match the statement"


def test_another_key_is_not_the_owner(ws: Workspace, run_id: str) -> None:
    signed = approve(ws, run_id)
    pem, _ = seal.new_key("a stranger's words")
    signature, public = seal.sign(pem, "a stranger's words", rules.message(signed.statement))
    assert "not the owner's" in (rules.fault(rules.Signature(signed.statement, signature, public), gate.known_keys(ws)) or "")


def test_nothing_is_published_that_nobody_approved(ws: Workspace, run_id: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nobody has decided"):
        gate.publish(ws, run_id, tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("words", ["yes", "APPROVED", "approve this please", "", "y"])
def test_a_note_is_never_read_for_a_yes(ws: Workspace, run_id: str, tmp_path: Path, words: str) -> None:
    gate.decide(ws, run_id, Choice.REJECTED, note=words, passphrase=None, owner="Ada Owner")
    assert ws.runs.get(run_id).state == "rejected"
    with pytest.raises(Refused, match="rejected"):
        gate.publish(ws, run_id, tmp_path / "site")


def test_an_approval_needs_the_key_and_the_right_passphrase(ws: Workspace, run_id: str) -> None:
    for phrase, error in ((None, Refused), ("wrong words here", IntegrityBroken)):
        with pytest.raises(error):
            gate.decide(ws, run_id, Choice.APPROVED, passphrase=phrase, owner="Ada Owner")
    assert ws.runs.get(run_id).state == "waiting_for_owner" and not gate.signatures_of(ws, run_id)
    (ws.home / "keys" / "owner.pem").unlink()
    with pytest.raises(NotFound, match="no owner key"):
        approve(ws, run_id)


def test_a_key_that_others_can_read_signs_nothing(ws: Workspace, run_id: str) -> None:
    assert (ws.home / "keys" / "owner.pem").stat().st_mode & 0o777 == 0o600
    (ws.home / "keys" / "owner.pem").chmod(0o644)
    with pytest.raises(IntegrityBroken, match="read by others"):
        approve(ws, run_id)


def test_the_key_on_disk_is_encrypted_and_made_once(ws: Workspace) -> None:
    body = (ws.home / "keys" / "owner.pem").read_bytes()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in body
    with pytest.raises(Refused):
        gate.create_key(ws, PASSPHRASE, owner="Ada Owner")
    with pytest.raises(BadInput):
        gate.create_key(ws, "short", owner="Ada Owner", replace=True)


def test_a_replaced_key_leaves_old_signatures_valid(ws: Workspace, run_id: str) -> None:
    approve(ws, run_id)
    gate.create_key(ws, "another phrase", owner="Ada Owner", replace=True)
    assert gate.audit_workspace(ws).sound and len(gate.known_keys(ws)) == 2


def test_a_second_decision_is_refused_and_told_who_was_first(ws: Workspace, run_id: str) -> None:
    approve(ws, run_id)
    with pytest.raises(Refused, match="approved by Ada Owner") as told:
        gate.decide(ws, run_id, Choice.REJECTED, passphrase=None, owner="Bob")
    assert "not recorded" in told.value.message and len(gate.signatures_of(ws, run_id)) == 1


def test_of_two_owners_at_once_one_wins_and_the_other_is_told(settings: Settings, run_id: str) -> None:
    """Fault: both read “waiting”, both write. Eight threads, each with its own connection, half of them refusing."""
    outcomes: list[str] = []
    gate_opens = threading.Barrier(8, timeout=60)

    def owner(n: int) -> None:
        with wiring.workspace(settings) as mine:
            gate_opens.wait()
            try:
                choice = Choice.APPROVED if n % 2 else Choice.REJECTED
                gate.decide(mine, run_id, choice, passphrase=PASSPHRASE, owner=f"owner {n}")
                outcomes.append("won")
            except Refused as exc:
                outcomes.append("told" if "recorded" in exc.message else exc.message)

    threads = [threading.Thread(target=owner, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(outcomes) == ["told"] * 7 + ["won"]
    with wiring.workspace(settings) as ws:
        assert len(ws.ledger.events(run_id, "signed")) == 1 and gate.audit_workspace(ws).sound


def test_a_degraded_draft_needs_a_waiver_that_names_the_gap(bare: Workspace) -> None:
    run = plant(bare, not_run="literature searched", pressed=False)
    for waive in ("", "ok", "I know what I am doing, trust me"):
        with pytest.raises(Refused):
            approve(bare, run, waive=waive)
    signed = approve(bare, run, waive="Literature searched by hand in March; nothing was missed.")
    assert signed.statement.gaps == ("literature searched",) and "March" in signed.statement.waiver


def test_degraded_checks_come_first(bare: Workspace) -> None:
    run = plant(bare, not_run="literature searched", contested=True, pressed=False)
    weights = [r["weight"] for r in gate.overview(bare, run)["reasons"]]
    assert weights[0] == "degraded" and weights == sorted(weights, key=review.WEIGHTS.index) and "contested" in weights


def test_a_changed_file_in_the_run_folder_cannot_be_approved_or_published(ws: Workspace, run_id: str, tmp_path: Path) -> None:
    """Fault: the owner reads one PDF and signs another."""
    pdf = ws.run_folder(run_id) / "draft.pdf"
    good = pdf.read_bytes()
    pdf.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(IntegrityBroken, match=r"draft\.pdf"):
        approve(ws, run_id)
    pdf.write_bytes(good)
    approve(ws, run_id)
    for name in rules.SIGNED_FILES:
        path = ws.run_folder(run_id) / name
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(IntegrityBroken, match=name):
            gate.publish(ws, run_id, tmp_path / "site")
        path.write_bytes(kept)
    assert not (tmp_path / "site").exists()
    gate.publish(ws, run_id, tmp_path / "site")


def test_send_back_begins_a_new_run_with_the_note_on_both(ws: Workspace, run_id: str) -> None:
    _, new = gate.send_back(ws, run_id, note="Look at batch size 16.", passphrase=PASSPHRASE, owner="Ada Owner")
    assert ws.runs.get(run_id).state == "sent_back" and ws.runs.get(new).state == "running" and new != run_id
    assert ws.runs.request(new) == ws.runs.request(run_id)  # the note steers nothing
    assert {ws.ledger.events(r, "owner_note")[0].body["note"] for r in (run_id, new)} == {"Look at batch size 16."}
    assert gate.audit_workspace(ws).sound


@pytest.mark.parametrize(("note", "error"), [("x" * 20_001, "20,000"), ("a\x00b", "U+0000"), ("a\x1b[31m", "U+001B")])
def test_a_note_is_bounded_and_plain(ws: Workspace, run_id: str, note: str, error: str) -> None:
    with pytest.raises(BadInput, match=error.replace("+", r"\+")):
        gate.decide(ws, run_id, Choice.REJECTED, note=note, passphrase=None, owner="Ada Owner")
    assert ws.runs.get(run_id).state == "waiting_for_owner"


def test_a_revoked_approval_publishes_nothing(ws: Workspace, run_id: str, tmp_path: Path) -> None:
    approve(ws, run_id)
    gate.decide(ws, run_id, Choice.REVOKED, note="A reader found a mistake.", passphrase=PASSPHRASE, owner="Ada Owner")
    with pytest.raises(Refused, match="revoked"):
        gate.publish(ws, run_id, tmp_path / "site")
    assert gate.audit_workspace(ws).sound


@pytest.mark.parametrize("choice", list(Choice))
@pytest.mark.parametrize("state", ["running", "failed", "rejected", "sent_back", "nonsense", ""])
def test_only_an_open_run_can_be_decided(choice: Choice, state: str) -> None:
    with pytest.raises(Refused):
        review.allow(choice, state, run_id="r-1")


def test_a_published_record_is_marked_when_its_approval_is_revoked(ws: Workspace, run_id: str, tmp_path: Path) -> None:
    approve(ws, run_id)
    gate.publish(ws, run_id, tmp_path / "site")
    record = tmp_path / "site" / "records" / run_id
    before = {n: (record / n).read_bytes() for n in rules.SIGNED_FILES}
    gate.decide(ws, run_id, Choice.REVOKED, note="A reader found a mistake.", passphrase=PASSPHRASE, owner="Ada Owner")
    gate.publish(ws, run_id, tmp_path / "site")
    assert "taken the approval back" in (record / "index.html").read_text() and "revoked" in (tmp_path / "site" / "index.html").read_text()
    assert {n: (record / n).read_bytes() for n in rules.SIGNED_FILES} == before and ws.runs.get(run_id).state == "rejected"
    assert gate.audit_folder(tmp_path / "site").sound and gate.audit_workspace(ws).sound


# --- invalidation and corrections ---


def test_a_retraction_flags_every_run_and_claim_that_rests_on_it_and_no_other(ws: Workspace, run_id: str, tmp_path: Path) -> None:
    other = plant(ws, pressed=False)
    rows = gate.flag_sources(ws, {"arxiv:2604.23996": ["retracted"]})  # the note about it falls with it
    assert [r["run_id"] for r in rows] == [run_id]
    rests = {c.claim_id for c in gate.held(ws, run_id).claims if c.paper_id == "note:2604.23996"}
    assert rests <= set(rows[0]["flagged"][0]["claims"]) and rows[0]["flagged"][0]["sentences"]
    assert gate.flags_of(ws, other) == {}
    assert gate.overview(ws, run_id)["reasons"][0]["weight"] == "flagged"
    assert gate.flag_sources(ws, {"arxiv:2604.23996": ["retracted"]}) == []  # said once
    with pytest.raises(Refused, match=r"arxiv:2604\.23996 retracted"):
        approve(ws, run_id)
    approve(ws, run_id, waive="arxiv:2604.23996 retracted, which is what this draft reports on.")
    gate.publish(ws, run_id, tmp_path / "site")


def test_a_flag_after_the_approval_stops_publication_until_it_is_answered(ws: Workspace, run_id: str, tmp_path: Path) -> None:
    approve(ws, run_id)
    gate.flag_sources(ws, {"arxiv:2604.23996": ["withdrawn"]})
    with pytest.raises(Refused, match="flagged after it was approved"):
        gate.publish(ws, run_id, tmp_path / "site")
    gate.correct(
        ws, run_id, type="provenance", note="The withdrawal concerns the appendix only.", source="arxiv:2604.23996", owner="Ada Owner"
    )
    gate.publish(ws, run_id, tmp_path / "site")
    assert "withdrawn" in (tmp_path / "site" / "records" / run_id / "index.html").read_text()


def test_corrections_are_added_and_the_signed_bytes_stay(ws: Workspace, run_id: str, tmp_path: Path) -> None:
    approve(ws, run_id)
    gate.publish(ws, run_id, tmp_path / "site")
    record = tmp_path / "site" / "records" / run_id
    before = {n: (record / n).read_bytes() for n in rules.SIGNED_FILES}
    claim = gate.held(ws, run_id).claims[0].claim_id
    gate.correct(ws, run_id, type="CLAIM", note="It holds for batch size 8 only.", claim=claim, owner="Ada Owner")
    gate.publish(ws, run_id, tmp_path / "site")
    assert {n: (record / n).read_bytes() for n in rules.SIGNED_FILES} == before
    assert "batch size 8 only" in (record / "index.html").read_text() and '"CORRECTED"' in (record / "manifest.json").read_text()
    assert gate.audit_folder(tmp_path / "site").sound


def test_status_follows_from_the_corrections() -> None:
    one = rules.Correction("r", rules.CorrectionType.CLAIM, "n", "t", "o")
    assert (rules.status([]), rules.status([one])) == (rules.Status.CURRENT, rules.Status.CORRECTED)
    import dataclasses

    assert rules.status([dataclasses.replace(one, superseded_by="r-2"), one]) is rules.Status.SUPERSEDED
    with pytest.raises(BadInput) as told:
        rules.correction_type("TYPO")
    assert "QUALITY_ASSESSMENT" in told.value.mend


def test_a_correction_needs_a_decided_record_and_a_known_claim(ws: Workspace, run_id: str) -> None:
    with pytest.raises(Refused, match="only a decided record"):
        gate.correct(ws, run_id, type="CLAIM", note="n", owner="o")
    approve(ws, run_id)
    with pytest.raises(Refused, match="no claim"):
        gate.correct(ws, run_id, type="CLAIM", note="n", claim="c-none", owner="o")
