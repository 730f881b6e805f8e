"""Audit: one flipped byte anywhere is found and named, in the workspace, in a bundle and on a site."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.owner_support import PASSPHRASE, plant

from sovereign import gate, seal, wiring
from sovereign.errors import NotFound
from sovereign.gate.audit import Report
from sovereign.kernel.review import Choice
from sovereign.settings import Settings, load
from sovereign.store.workspace import Workspace


@pytest.fixture
def approved(settings: Settings, run_id: str) -> Path:
    with wiring.workspace(settings) as ws:
        gate.decide(ws, run_id, Choice.APPROVED, passphrase=PASSPHRASE, owner="Ada Owner")
    return settings.home


def audit(home: Path, run_id: str | None = None) -> Report:
    with wiring.workspace(load(home, offline=True)) as ws:
        return gate.audit_workspace(ws, run_id)


def flip(body: bytes, at: int, bit: int = 0) -> bytes:
    return body[:at] + bytes([body[at] ^ (1 << bit)]) + body[at + 1 :]


def sql(home: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(home / "sovereign.sqlite3")
    with connection:
        connection.execute(statement, values)
    connection.close()


def one(home: Path, query: str) -> tuple[object, ...]:
    connection = sqlite3.connect(home / "sovereign.sqlite3")
    row = connection.execute(query).fetchone()
    connection.close()
    return tuple(row)


def test_an_untouched_workspace_is_sound_and_says_what_it_compared(approved: Path) -> None:
    report = audit(approved)
    assert report.sound and not report.problems
    assert all(report.counts[k] > 0 for k in ("ledger events", "blobs", "documents", "quotes", "files", "signatures"))


def test_an_audit_that_compared_nothing_is_not_sound() -> None:
    assert not Report().sound


def test_a_flipped_byte_in_any_ledger_event_is_found(approved: Path, run_id: str) -> None:
    """Twenty-four random (event, byte, bit) flips of the stored text; the chance that a flip restores the text is 0. Invalid UTF-8 and JSON included."""
    draw = random.Random(7)
    count = int(str(one(approved, f"SELECT count(*) FROM events WHERE scope = '{run_id}'")[0]))
    for _ in range(24):
        seq = draw.randrange(count)
        body = str(one(approved, f"SELECT body FROM events WHERE scope = '{run_id}' AND seq = {seq}")[0]).encode()
        bad = flip(body, draw.randrange(len(body)), draw.randrange(8))
        sql(approved, "UPDATE events SET body = CAST(? AS TEXT) WHERE scope = ? AND seq = ?", bad, run_id, seq)
        report = audit(approved, run_id)
        assert any(f"event {seq}" in w or f"event {seq} " in t for w, t in report.problems), (seq, bad, report.problems)
        sql(approved, "UPDATE events SET body = CAST(? AS TEXT) WHERE scope = ? AND seq = ?", body, run_id, seq)
    assert audit(approved).sound


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("an event left out", "DELETE FROM events WHERE scope = :run AND seq = 60"),
        ("the last events cut off", "DELETE FROM events WHERE scope = :run AND seq > 112"),
        ("a kind exchanged", "UPDATE events SET kind = 'approved' WHERE scope = :run AND seq = 20"),
        ("a link exchanged", "UPDATE events SET previous = substr(previous, 2) || 'f' WHERE scope = :run AND seq = 30"),
        ("a state set by hand", "UPDATE runs SET state = 'published' WHERE run_id = :run"),
        ("a question exchanged", "UPDATE runs SET question = question || '?' WHERE run_id = :run"),
        ("a small blob", "UPDATE blobs SET body = CAST('{}' AS BLOB) WHERE digest = (SELECT request FROM runs LIMIT 1)"),
        ("a renamed blob", "UPDATE blobs SET digest = 'f' || substr(digest, 2) WHERE digest = (SELECT request FROM runs LIMIT 1)"),
        ("a lost blob", "DELETE FROM blobs WHERE digest = (SELECT request FROM runs LIMIT 1)"),
        ("a library paper", "UPDATE papers SET body = replace(body, '\"paper_id\"', '\"paper-id\"')"),
        ("the key announced", "UPDATE events SET body = replace(body, 'Ada', 'Eve') WHERE kind = 'owner_key'"),
    ],
)
def test_every_table_is_compared(approved: Path, run_id: str, what: str, change: str) -> None:
    connection = sqlite3.connect(approved / "sovereign.sqlite3")
    with connection:
        assert connection.execute(change, {"run": run_id} if ":run" in change else {}).rowcount > 0, what
    connection.close()
    assert not audit(approved).sound, what


def test_a_rewritten_chain_breaks_the_signature(approved: Path, run_id: str) -> None:
    """Fault: someone recomputes all hashes after a change. The signature names the head as it was."""
    connection = sqlite3.connect(approved / "sovereign.sqlite3")
    rows = connection.execute("SELECT seq, kind, step_key, body FROM events WHERE scope = ? ORDER BY seq", (run_id,)).fetchall()
    previous = seal.GENESIS
    with connection:
        for seq, kind, step, body in rows:
            held = json.loads(body)
            if kind == "hearing":
                held["score"] = 10.0
            link = seal.link(previous, {"scope": run_id, "seq": seq, "kind": kind, "step_key": step, "body": held})
            connection.execute(
                "UPDATE events SET body = ?, previous = ?, hash = ? WHERE scope = ? AND seq = ?",
                (seal.canonical(held).decode(), previous, link, run_id, seq),
            )
            previous = link
    connection.close()
    report = audit(approved, run_id)
    assert any("not the one that was signed" in t for _, t in report.problems), report.problems


def test_every_blob_file_is_compared(approved: Path) -> None:
    for path in sorted((approved / "blobs").glob("*/*")):
        kept = path.read_bytes()
        path.write_bytes(flip(kept, len(kept) // 2))
        assert any(path.name in w or path.name in t for w, t in audit(approved).problems)
        path.write_bytes(kept)
    stray = approved / "blobs" / "ab" / "not-a-digest"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x")
    assert any("not-a-digest" in w for w, _ in audit(approved).problems)


def test_printed_files_signature_files_and_keys_are_compared(approved: Path, run_id: str) -> None:
    folder = approved / "runs" / run_id
    targets = [
        *(p for p in folder.iterdir() if p.suffix and p.name != ".lock"),
        *(folder / "signatures").iterdir(),
        approved / "keys" / "owner.pub",
    ]
    assert len(targets) >= 7
    for path in targets:
        kept = path.read_bytes()
        path.write_bytes(flip(kept, len(kept) // 2))
        assert any(path.name in w for w, _ in audit(approved).problems), path
        path.write_bytes(kept)
    (folder / "signatures" / "000999-approved.json").write_bytes(next((folder / "signatures").glob("*.json")).read_bytes())
    assert any("000999" in w for w, _ in audit(approved).problems)


def test_a_deleted_signature_file_is_noticed(approved: Path, run_id: str) -> None:
    next((approved / "runs" / run_id / "signatures").glob("*.json")).unlink()
    assert any("missing" in t for _, t in audit(approved).problems)


def test_a_document_whose_quotes_do_not_stand_is_found(bare: Workspace) -> None:
    """Fault: span offsets and text drift apart although every blob matches its own name."""
    run = plant(bare, pressed=False)
    good = gate.held(bare, run)
    rulings = json.loads(bare.blobs.get(bare.runs.steps(run)["verify-0"]))
    rulings[0]["evidence"][0]["span"]["start"] += 1
    digest = bare.blobs.put(seal.canonical(rulings))
    assert gate.audit_workspace(bare).sound and good.claims
    from sovereign.gate.audit import audit as compare
    from sovereign.gate.holders import WorkspaceHoldings

    class Drifted(WorkspaceHoldings):
        def blob(self, name: str) -> bytes | None:
            return super().blob(digest if name == bare.runs.steps(run)["verify-0"] else name)

    problems = compare(Drifted(bare), run).problems
    assert any("quote does not stand" in t or "does not match its name" in t for _, t in problems)


def test_trials_are_compared_with_their_digest_and_with_the_sealed_event(bare: Workspace) -> None:
    import dataclasses

    from sovereign.lab.study import trial_digest
    from sovereign.records import Measurement, Scale, Trial, TrialState

    made = Trial(
        "t-1",
        "expert_cache",
        "smoke",
        Scale.CONCEPTUAL,
        TrialState.DONE,
        {},
        (0,),
        {},
        (Measurement("hits", 0.5, "ratio", (0.4, 0.6), n=5),),
        (),
    )
    good = dataclasses.replace(made, digest=trial_digest(made))
    bad = dataclasses.replace(good, measurements=(Measurement("hits", 0.9, "ratio", (0.4, 0.6), n=5),))
    folder = bare.home / "trials" / "t-1"
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(seal.pretty(good))
    first = plant(bare, run_id="r-good", trials=(good,), pressed=False)
    assert gate.audit_workspace(bare, first).sound and gate.audit_workspace(bare, first).counts["trials"] == 1
    (folder / "trial.json").write_text(seal.pretty(bad))
    assert any("trials/t-1" in w for w, _ in gate.audit_workspace(bare, first).problems)
    second = plant(bare, run_id="r-bad", trials=(bad,), pressed=False)
    assert any("do not match its digest" in t for _, t in gate.audit_workspace(bare, second).problems)


# --- without the workspace ---


def exported(kind: str, home: Path, run_id: str, target: Path) -> Path:
    with wiring.workspace(load(home, offline=True)) as ws:
        if kind == "bundle":
            return gate.export_bundle(ws, run_id, target)
        gate.publish(ws, run_id, target / "site")
    return target / "site" / "records" / run_id


@pytest.mark.parametrize("kind", ["bundle", "record"])
def test_every_file_of_an_exported_run_is_compared_without_the_workspace(approved: Path, run_id: str, tmp_path: Path, kind: str) -> None:
    folder = exported(kind, approved, run_id, tmp_path / "out")
    shutil.rmtree(approved)
    clean = gate.audit_folder(folder)
    assert clean.sound and clean.counts["signatures"] == 1, clean.problems
    assert (clean.withheld > 0) is (kind == "record") and (clean.counts.get("quotes", 0) > 0) is (kind == "bundle")
    draw = random.Random(3)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        kept = path.read_bytes()
        path.write_bytes(flip(kept, draw.randrange(len(kept)), draw.randrange(8)))
        report = gate.audit_folder(folder)
        assert report.problems, f"{path.relative_to(folder)} was changed and nobody noticed"
        named = path.name in str(report.problems)
        assert named or path.name in ("bundle.json", "manifest.json", "ledger.jsonl", "keys.json"), (path, report.problems)
        path.write_bytes(kept)
    for name in ("draft.pdf", "ledger.jsonl", "keys.json", *(f"signatures/{p.name}" for p in (folder / "signatures").iterdir())):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        assert not gate.audit_folder(folder).sound, f"{name} is gone and nobody noticed"
        (folder / name).write_bytes(kept)
    (folder / "added.html").write_text("<p>not ours</p>")
    assert any("added.html" in w for w, _ in gate.audit_folder(folder).problems)


def test_the_site_carries_no_text_of_a_source(approved: Path, run_id: str, tmp_path: Path) -> None:
    """Fault: publishing a record republishes the papers it cites. No document's full text, and no abstract record, lies in the folder."""
    with wiring.workspace(load(approved, offline=True)) as ws:
        run = gate.held(ws, run_id)
        texts = [ws.library.document(r.document) for r in run.readings if r.document]
        hidden = {r.document for r in run.readings if r.document} | {run.steps["search-0"], run.steps["admit-0"]}
    folder = exported("record", approved, run_id, tmp_path / "out")
    assert not hidden & {p.name for p in (folder / "blobs").iterdir()}
    everything = b"\n".join(p.read_bytes() for p in folder.rglob("*") if p.is_file()).decode("utf-8", "replace")
    assert texts and not any(t.text[:2000] in everything for t in texts)


def test_a_forged_key_is_seen_by_whoever_knows_the_owner(approved: Path, run_id: str, tmp_path: Path) -> None:
    folder = exported("bundle", approved, run_id, tmp_path / "out")
    with wiring.workspace(load(approved, offline=True)) as ws:
        mine = gate.owner_fingerprint(ws)
    assert mine and gate.audit_folder(folder, key=mine).sound
    assert not gate.audit_folder(folder, key="0000 0000 0000 0000 0000 0000 0000 0000").sound


def test_a_folder_that_is_no_bundle_and_names_that_lead_out(tmp_path: Path, approved: Path, run_id: str) -> None:
    with pytest.raises(NotFound):
        gate.audit_folder(tmp_path)
    folder = exported("bundle", approved, run_id, tmp_path / "out")
    (tmp_path / "secret").write_text("s")
    (folder / "blobs" / "link").symlink_to(tmp_path / "secret")
    held: dict[str, Callable[..., object] | object] = json.loads((folder / "bundle.json").read_text())
    held["covers"] = {"../secret": seal.sha256(b"s"), "/etc/hostname": "0" * 64}
    (folder / "bundle.json").write_text(json.dumps(held))
    report = gate.audit_folder(folder)
    assert ("../secret", "the file is missing") in report.problems and ("/etc/hostname", "the file is missing") in report.problems
