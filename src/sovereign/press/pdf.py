"""The draft as PDF by Typst: one template, the view as data, so that nothing from a source is ever markup. Imports typst lazily."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sovereign.errors import WorkspaceUnusable

TEMPLATE = Path(__file__).with_name("paper.typ")


def paper(v: dict[str, Any], figures: Mapping[str, bytes], created_at: str) -> bytes:
    """PDF bytes; the same view gives the same bytes (the creation date is the run's)."""
    import typst

    with tempfile.TemporaryDirectory(prefix="sovereign-press-") as name:
        folder = Path(name)
        (folder / "figures").mkdir()
        for path, body in figures.items():
            (folder / "figures" / Path(path).name).write_bytes(body)
        held = {Path(p).name for p in figures}
        for section in v["sections"]:
            section["figures"] = [g | {"file": Path(g["path"]).name} for g in section["figures"] if Path(g["path"]).name in held]
        (folder / "view.json").write_text(json.dumps(v, ensure_ascii=False), encoding="utf-8")
        (folder / "paper.typ").write_bytes(TEMPLATE.read_bytes())
        at = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
        try:
            return bytes(typst.compile(folder / "paper.typ", root=folder, timestamp=int(at.timestamp()), ignore_system_fonts=True))
        except typst.TypstError as exc:
            raise WorkspaceUnusable(
                f"The PDF could not be set: {exc}.", mend="This is a fault of SOVEREIGN; draft.md and draft.html are complete."
            ) from exc
