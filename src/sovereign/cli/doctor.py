"""What works on this machine, in rows of (what, state, detail, mend). Imports nothing heavy: presence is looked up, not imported."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

from sovereign.errors import SovereignError
from sovereign.settings import Settings

EXTRAS = {
    "encoder": ("sentence_transformers", "a small pair model for paraphrases"),
    "models": ("pydantic_ai", "language models"),
    "lab": ("torch", "running experiments"),
    "web": ("fastapi", "the review console"),
    "mcp": ("mcp", "the Model Context Protocol server"),
    "postgres": ("psycopg", "a shared database"),
}


def examine(settings: Settings) -> list[dict[str, str]]:
    """Rows with state ok, optional (works without) or missing (needed)."""
    return [*_workspace(settings), *_sources(settings), *_models(settings), *_sandbox(), *_extras(), _gpu()]


def _row(what: str, state: str, detail: str, mend: str = "") -> dict[str, str]:
    return {"what": what, "state": state, "detail": detail, "mend": mend}


def _workspace(settings: Settings) -> list[dict[str, str]]:
    from sovereign import wiring

    try:
        with wiring.workspace(settings) as ws:
            papers, documents = ws.library.count()
            runs = len(ws.runs.list())
    except SovereignError as exc:
        return [_row("workspace", "missing", exc.message, exc.mend)]
    free = shutil.disk_usage(settings.home).free
    low = free < 1 << 30
    return [
        _row("workspace", "ok", f"{settings.home} ({papers} papers, {documents} documents, {runs} runs)"),
        _row("disk", "missing" if free < 50 << 20 else "ok", f"{free / 2**30:.1f} GiB free", "Free some space." if low else ""),
    ]


def _sources(settings: Settings) -> list[dict[str, str]]:
    from sovereign.sources import state

    rows = [
        _row(
            "source local",
            "ok",
            "the library and the reading notes that ship with the package" if settings.default_library else "the library",
        )
    ]
    for s in state(settings, settings.home):
        detail = ", ".join(
            f"{k.replace('_', ' ')}: {v}" for k, v in s.items() if k not in ("source", "name", "mend") and v not in (None, "", [], {})
        )
        rows.append(_row(f"source {s.get('source') or s.get('name')}", "optional", detail or "not asked yet", str(s.get("mend") or "")))
    return rows


def _models(settings: Settings) -> list[dict[str, str]]:
    if not settings.model:
        return [
            _row("language model", "optional", "none chosen; none is needed", "Set SOVEREIGN_MODEL, e.g. ollama:llama3.1, to let one help.")
        ]
    return [_row("language model", "ok", settings.model + (", key present" if settings.model_key else ", no key"))]


def _sandbox() -> list[dict[str, str]]:
    from sovereign.sandbox import capabilities

    held = capabilities()
    strong = [k for k, v in held.items() if v]
    return [_row("sandbox", "ok" if strong else "optional", ", ".join(f"{k}: {v}" for k, v in held.items()))]


def _extras() -> list[dict[str, str]]:
    return [
        _row(f"extra {name}", "ok", what)
        if find_spec(module)
        else _row(f"extra {name}", "optional", f"not installed ({what})", f"pip install 'sovereign-kernel[{name}]'")
        for name, (module, what) in EXTRAS.items()
    ]


def _gpu() -> dict[str, str]:
    present = os.path.exists("/dev/nvidia0") or shutil.which("nvidia-smi") is not None  # noqa: PTH110
    return _row("GPU", "ok" if present else "optional", "an NVIDIA device is present" if present else "none; everything runs on the CPU")
