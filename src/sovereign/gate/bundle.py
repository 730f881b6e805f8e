"""A run as a folder that can be audited without its workspace. Imports the store and seal; refuses to overwrite a folder that is not a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sovereign import seal
from sovereign.errors import BadInput, WorkspaceUnusable
from sovereign.gate.decide import signature_name, signatures_of
from sovereign.gate.holding import Held, held
from sovereign.gate.keys import known_keys
from sovereign.store.workspace import Workspace
from sovereign.version import __version__

ASKED = ("model_answered", "model_paid")  # with these an exported run can be replayed without the model
PUBLIC_WITHHELD = ("search", "admit")  # records that carry abstracts of other people's papers


def bundle(ws: Workspace, run_id: str, *, public: bool = False) -> dict[str, bytes]:
    """name -> bytes of everything an auditor needs. With public=True the texts of sources, and records with their abstracts, are named by digest
    but not included: a published record must not republish the papers it cites."""
    run = held(ws, run_id)
    events = ws.ledger.events(run_id)
    manifests = [s.manifest for s in (x.statement for x in signatures_of(ws, run_id))]
    wanted = [run.row.request, *run.steps.values(), *manifests]
    hidden = [r.document for r in run.readings if r.document]
    hidden += [str(e.body["blob"]) for e in events if e.kind in ASKED]  # prompts carry passages of sources
    if public:
        kept_out = [d for k, d in run.steps.items() if k.rsplit("-", 1)[0] in PUBLIC_WITHHELD]
        hidden += kept_out
        wanted = [d for d in wanted if d not in kept_out]
    else:
        wanted += hidden
    out = {f"blobs/{d}": ws.blobs.get(d) for d in dict.fromkeys(wanted)}
    out |= {name: ws.blobs.get(digest) for name, digest in run.files.items()}
    out["ledger.jsonl"] = b"".join(_line(e) + b"\n" for e in events)
    out["keys.json"] = seal.pretty(known_keys(ws)).encode()
    for event, signed in zip((e for e in events if e.kind == "signed"), signatures_of(ws, run_id), strict=True):
        out[f"signatures/{signature_name(event.seq, signed.statement.decision)}"] = seal.pretty(signed).encode()
    out["bundle.json"] = about(run, out, withheld=hidden if public else [])
    return out


def about(run: Held, files: Mapping[str, bytes], *, withheld: list[str]) -> bytes:
    """bundle.json: what the folder is, and the digest of every other file in it."""
    body: dict[str, Any] = {
        "schema": "sovereign/bundle-1",
        "version": __version__,
        "run_id": run.run_id,
        "files": dict(run.files),
        "withheld": sorted(dict.fromkeys(withheld)),
        "covers": {name: seal.sha256(body) for name, body in sorted(files.items()) if name != "bundle.json"},
    }
    return seal.pretty({**body, "digest": seal.digest(body)}).encode()


def _line(event: Any) -> bytes:
    return seal.canonical(
        {
            "scope": event.scope, "seq": event.seq, "kind": event.kind, "step_key": event.step_key, "body": seal.canonical(event.body).decode(),
            "previous": event.previous, "hash": event.hash,
        }
    )  # fmt: skip


def export_bundle(ws: Workspace, run_id: str, folder: Path) -> Path:
    """Writes the complete bundle. Raises BadInput for a folder with anything else in it."""
    if folder.exists() and any(folder.iterdir()):
        try:
            mine = json.loads((folder / "bundle.json").read_bytes()).get("run_id") == run_id
        except (OSError, ValueError, AttributeError):
            mine = False
        if not mine:
            raise BadInput(f"{folder} is not empty.", mend="Give a new folder.")
    try:
        for name, body in bundle(ws, run_id).items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
    except OSError as exc:
        raise WorkspaceUnusable(f"The bundle cannot be written to {folder}: {exc.strerror}.") from exc
    return folder
