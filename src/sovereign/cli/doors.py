"""The doors for other tools and for many questions: mcp, agenda, metrics. A thin face; every body imports what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Home = Annotated[
    Path | None, typer.Option("--workspace", help="Where everything is kept. Default: $SOVEREIGN_HOME, else the platform's data folder.")
]


def register(app: typer.Typer) -> None:
    """Adds the doors to the command line."""
    app.command("mcp")(mcp)


def mcp(workspace: Home = None) -> None:
    """Model Context Protocol server over stdio: ask, verify, check, search and read drafts. Nothing it offers approves or publishes."""
    from sovereign.mcp import serve

    serve(workspace)
