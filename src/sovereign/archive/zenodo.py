"""A published record as a draft deposition at Zenodo (https://developers.zenodo.org). Imports httpx lazily; refuses to publish, to redirect, and to
send the token to another host than the one configured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sovereign.errors import NotFound, OutsideFailed, SettingsInvalid
from sovereign.settings import Settings

FILES = (
    "draft.pdf",
    "draft.json",
    "draft.md",
    "references.bib",
    "claims.json",
    "manifest.json",
    "ro-crate-metadata.json",
    "ledger.jsonl",
    "bundle.json",
    "keys.json",
)


def deposit(settings: Settings, folder: Path) -> dict[str, Any]:
    """Makes the deposition and uploads the files. Returns {id, html, files, state}; it stays a draft until a person publishes it there.

    Raises SettingsInvalid without a token, OutsideFailed when the service refuses or does not answer, NotFound for an unpublished run.
    """
    import httpx

    if settings.zenodo_token is None:
        raise SettingsInvalid("No Zenodo token is set.", mend="Set SOVEREIGN_ZENODO_TOKEN (scope deposit:write).")
    if not (folder / "manifest.json").is_file():
        raise NotFound(f"{folder} is not a published record.", mend="Publish it first: sovereign publish RUN --site DIR")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    base = settings.zenodo_base.rstrip("/")
    token = settings.zenodo_token.get_secret_value()
    try:
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=settings.http_timeout_s, follow_redirects=False) as client:
            made = _json(client.post(f"{base}/deposit/depositions", json={"metadata": metadata(manifest)}), 201)
            bucket = str(made["links"]["bucket"])
            if urlsplit(bucket)[:2] != urlsplit(base)[:2]:
                raise OutsideFailed(f"Zenodo named another host for the files: {urlsplit(bucket).netloc}.", mend="Nothing was uploaded.")
            sent = []
            for name in (n for n in FILES if (folder / n).is_file()):
                _json(client.put(f"{bucket}/{name}", content=(folder / name).read_bytes()), 200, 201)
                sent.append(name)
    except httpx.HTTPError as exc:
        raise OutsideFailed(f"Zenodo did not answer: {type(exc).__name__}.", mend="Try again later; the site is published.") from exc
    except (KeyError, TypeError) as exc:
        raise OutsideFailed(f"Zenodo answered without {exc}.", mend="Check SOVEREIGN_ZENODO_BASE.") from exc
    return {"id": made["id"], "html": made["links"].get("html", ""), "files": sent, "state": made.get("state", "unsubmitted")}


def metadata(manifest: dict[str, Any]) -> dict[str, Any]:
    """Zenodo's deposition metadata from a record's manifest."""
    return {
        "title": manifest["title"],
        "upload_type": "publication",
        "publication_type": "report",
        "description": f"{_text(manifest['question'])} — Written by the SOVEREIGN research kernel and signed by its owner "
        f"(key {manifest['fingerprint']}). Level {manifest['level'] or 'none'}, gate verdict {manifest['gate_verdict']}.",
        "creators": [{"name": manifest["owner"]}],
        "access_right": "open",
        "license": "cc-by-4.0",
        "version": manifest["version"],
        "notes": f"Run {manifest['run_id']}; sha256 of the evidence manifest: {manifest['evidence']}",
    }


def _text(value: str) -> str:
    """Zenodo reads the description as HTML."""
    from html import escape

    return escape(value)


def _json(answer: Any, *good: int) -> dict[str, Any]:
    if answer.status_code not in good:
        said = answer.text[:200].replace("\n", " ")
        raise OutsideFailed(f"Zenodo answered {answer.status_code}: {said}", mend="Check the token and its scope (deposit:write).")
    try:
        body = answer.json()
    except ValueError as exc:
        raise OutsideFailed("Zenodo's answer is not JSON.", mend="Check SOVEREIGN_ZENODO_BASE.") from exc
    return body if isinstance(body, dict) else {}
