"""Prints the tree of the house in path order, from the modules' own first lines; README holds the same text, and a test keeps them equal."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "sovereign"
TOP = ("errors.py", "records", "settings.py", "ports.py", "seal.py", "identity.py", "sandbox.py")
STATIONS = (
    "question",
    "plan",
    "search",
    "admit",
    "read",
    "claims",
    "verify",
    "experiment",
    "draft",
    "tribunal",
    "policy",
    "review",
    "publish",
)
BESIDE = ("language",)
ADAPTERS = ("sources", "readers", "models", "store", "lab", "press", "archive", "library")
UPPER = (
    "path.py",
    "engine.py",
    "intake.py",
    "checking",
    "gate",
    "working.py",
    "metrics.py",
    "wiring.py",
    "api.py",
    "door.py",
    "cli",
    "web",
    "mcp.py",
)
WIDTH = 110


def first_line(path: Path) -> str:
    """The first sentence of a module's docstring."""
    file = path / "__init__.py" if path.is_dir() else path
    text = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]
    sentence = text.split(". ")[0].rstrip(".")
    return sentence if len(sentence) <= WIDTH else sentence[:WIDTH].rsplit(" ", 1)[0] + " …"


def tree() -> str:
    lines = ["src/sovereign/"]

    def add(name: str, indent: int = 1) -> None:
        path = PACKAGE / name
        if path.exists():
            shown = ("  " * indent) + path.name + ("/" if path.is_dir() else "")
            lines.append(f"{shown:<22} {first_line(path)}")

    for name in TOP:
        add(name)
    add("kernel")
    for station in STATIONS:
        add(f"kernel/{station}" if (PACKAGE / "kernel" / station).is_dir() else f"kernel/{station}.py", 2)
    for name in BESIDE:
        add(f"kernel/{name}", 2)
    for name in (*ADAPTERS, *UPPER):
        add(name)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(tree())
