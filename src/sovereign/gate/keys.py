"""The owner's key: made once, kept encrypted in <workspace>/keys, announced in the ledger. Imports seal and the store; refuses an empty passphrase."""

from __future__ import annotations

import os
from pathlib import Path

from sovereign import seal
from sovereign.errors import BadInput, IntegrityBroken, NotFound, Refused, WorkspaceUnusable
from sovereign.kernel.publish import fingerprint
from sovereign.store.ledger import WORKSPACE
from sovereign.store.workspace import Workspace

MIN_PASSPHRASE = 8  # characters; the file's own key derivation (PKCS#8, PBKDF2) does the rest


def pem_path(ws: Workspace) -> Path:
    return ws.home / "keys" / "owner.pem"


def has_key(ws: Workspace) -> bool:
    return pem_path(ws).is_file()


def create_key(ws: Workspace, passphrase: str, *, owner: str, replace: bool = False) -> str:
    """Makes the owner key and returns its public half in hex. Raises Refused when there is one already and `replace` is not said.

    A replaced key stays beside the new one under its fingerprint; what it signed stays valid, because the ledger knows both.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise BadInput(
            f"The passphrase needs at least {MIN_PASSPHRASE} characters.", mend="Choose a longer one; it protects every signature."
        )
    path = pem_path(ws)
    former = [str(e.body["public_key"]) for e in ws.ledger.events(WORKSPACE, "owner_key")]
    if path.exists() and not replace:
        raise Refused("There is an owner key already.", mend="Use it, or make another with --replace; the old signatures stay valid.")
    pem, public = seal.new_key(passphrase)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        if path.exists():
            path.replace(path.with_name(f"owner-{(former[-1] if former else 'unknown')[:16]}.pem"))
        _write_private(path, pem)
        (path.parent / "owner.pub").write_text(public + "\n", encoding="ascii")
    except OSError as exc:
        raise WorkspaceUnusable(f"The owner key cannot be written: {exc.strerror}.", mend="Check the rights of the workspace.") from exc
    ws.ledger.append(
        WORKSPACE,
        "owner_key",
        {"public_key": public, "fingerprint": fingerprint(public), "owner": owner, "replaces": former[-1] if former else None},
        at=ws.clock.now(),
    )
    return public


def _write_private(path: Path, body: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(body)
        stream.flush()
        os.fsync(stream.fileno())


def private_pem(ws: Workspace) -> bytes:
    """The encrypted key. Raises NotFound without one, IntegrityBroken when others on this machine may read or change it."""
    path = pem_path(ws)
    if not path.is_file():
        raise NotFound("This workspace has no owner key.", mend="Make one: sovereign review init")
    if path.stat().st_mode & 0o077:
        raise IntegrityBroken(f"{path} can be read by others.", mend=f"Run: chmod 600 {path}")
    return path.read_bytes()


def known_keys(ws: Workspace) -> dict[str, str]:
    """Public key -> owner's name, of every key this workspace announced, the newest last."""
    return {str(e.body["public_key"]): str(e.body["owner"]) for e in ws.ledger.events(WORKSPACE, "owner_key")}


def owner_fingerprint(ws: Workspace) -> str | None:
    keys = list(known_keys(ws))
    return fingerprint(keys[-1]) if keys else None
