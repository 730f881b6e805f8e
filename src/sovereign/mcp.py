"""The door for language-model clients: a Model Context Protocol server over stdio. Imports the door and, lazily, the official SDK.

Refuses files of the machine (sources come as text or as papers of the library) and everything that decides: there is no tool that approves,
rejects, signs, publishes or changes a record. What a client sends is data with a size limit; an error is a tool error of one line with its mend.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypeVar

from pydantic import Field
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from sovereign.api import Result
from sovereign.door import Door, summary
from sovereign.errors import Busy, MissingExtra, SovereignError
from sovereign.settings import load
from sovereign.version import __version__

T = TypeVar("T")
_FILES = {"draft.md": "text/markdown", "draft.json": "application/json"}
INSTRUCTIONS = (
    "SOVEREIGN answers research questions with short papers in which every sentence leads to its evidence, and verifies claims against sources. "
    "Similar is not supported: a verdict says whether numbers, units, direction, negation, subject and condition agree with a passage. "
    "Drafts wait for their owner: nothing here can approve or publish one."
)


class Text(TypedDict):
    """A source given as text."""

    id: str
    text: str


Sources = Annotated[list[Text] | None, Field(description="Sources as text: [{id, text}], at most 20.")]
Papers = Annotated[list[str] | None, Field(description="Papers of the library by id, as search_library gives them; at most 20.")]
RunId = Annotated[str, Field(description="A run id, as ask or list_open_reviews gives it.")]


class Tools:
    """The acts of the door in the shapes that tools give. One question at a time: the run engine is one per process."""

    def __init__(self, door: Door):
        self.door = door
        self._busy = Lock()

    def ask(self, question: str, sources: list[str] | None, lab: str | None) -> dict[str, Any]:
        if not self._busy.acquire(blocking=False):
            raise Busy("Another question is being worked on.", mend="Wait for it to end, then ask again.")
        try:
            return _run(self.door.ask(question, sources, lab))
        finally:
            self._busy.release()

    def get_run(self, run_id: str, full: bool) -> dict[str, Any]:
        found = self.door.run(run_id)
        return {**found.body, "state": found.state} if full else _run(found)

    def list_open_reviews(self) -> list[dict[str, Any]]:
        return [{**r, "draft": _uri(r["run_id"], "draft.md")} for r in self.door.reviews()["items"]]

    def draft(self, run_id: str, name: str) -> str:
        return self.door.file(run_id, name)[0].decode("utf-8")


def _run(found: Result) -> dict[str, Any]:
    """A run in one screen; the whole of it is behind the resources."""
    resources = [_uri(found.run_id, name) for name in _FILES] if found.title is not None else []
    claims = [{"text": c["text"], "verdict": c["verdict"], "level": c["level"], "paper": c["paper"]} for c in found.claims]
    return {**summary(found), "claims": claims, "resources": resources}


def _pairs(texts: list[Text] | None) -> list[tuple[str, str]]:
    return [(t["id"], t["text"]) for t in texts or []]


def build(workspace: Path | None = None) -> Any:
    """The server with its tools and resources. Raises MissingExtra where the SDK is not installed."""
    try:
        from mcp.server import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError as exc:
        raise MissingExtra("mcp", "The MCP server") from exc
    server = MCPServer("sovereign", instructions=INSTRUCTIONS, version=__version__, log_level="ERROR")
    tools = Tools(Door(load(workspace)))
    _tools(server, tools, ToolAnnotations(read_only_hint=True, open_world_hint=False), ToolAnnotations(destructive_hint=False))
    _resources(server, tools)
    return server


def _tools(server: Any, tools: Tools, reads: Any, writes: Any) -> None:
    door = tools.door

    @server.tool(annotations=writes)  # type: ignore[untyped-decorator]
    async def ask(
        question: Annotated[str, Field(description="The research question, at most 2000 characters.")],
        sources: Annotated[list[str] | None, Field(description="local, arxiv, semantic_scholar, openalex, crossref, datacite.")] = None,
        lab: Annotated[str | None, Field(description="off, smoke, standard or gpu.")] = None,
    ) -> dict[str, Any]:
        """Researches a question and drafts a short paper in which every sentence leads to its evidence. Takes seconds to minutes."""
        return await _aside(lambda: tools.ask(question, sources, lab))

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def verify_claim(claim: str, sources: Sources = None, papers: Papers = None) -> dict[str, Any]:
        """One claim against given sources: verdict, level, probability, the passages with their places, and the reason."""
        return await _aside(lambda: door.verify(claim, _pairs(sources), papers or []))

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def check_text(text: str, sources: Sources = None, papers: Papers = None) -> dict[str, Any]:
        """Every statement of a text (at most 200) against given sources: a verdict with its reason for each, and the counts."""
        return await _aside(lambda: door.check_text(text, _pairs(sources), papers or []))

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def search_library(query: str, k: int = 10) -> dict[str, Any]:
        """Hybrid search over the passages of the library."""
        return await _aside(lambda: {"passages": door.search(query, k)})

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def get_run(run_id: RunId, full: bool = False) -> dict[str, Any]:
        """A run as it stands on record; with full=true the whole document that scripts read."""
        return await _aside(lambda: tools.get_run(run_id, full))

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def list_open_reviews() -> dict[str, Any]:
        """Drafts that wait for their owner's decision. They are decided by the owner alone, not here."""
        return await _aside(lambda: {"reviews": tools.list_open_reviews()})


def _resources(server: Any, tools: Tools) -> None:
    from mcp.server.mcpserver.exceptions import ResourceNotFoundError

    def offer(name: str, mime: str) -> None:
        @server.resource(f"sovereign://runs/{{run_id}}/{name}", name=name, mime_type=mime, description=f"The {name} of a run.")  # type: ignore[untyped-decorator]
        async def read(run_id: str) -> str:
            try:
                return await _in_thread(lambda: tools.draft(run_id, name))
            except SovereignError as exc:
                raise ResourceNotFoundError(exc.line()) from exc

    for name, mime in _FILES.items():
        offer(name, mime)


async def _aside(work: Callable[[], T]) -> T:
    """The work in a thread, its errors as tool errors."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        return await _in_thread(work)
    except SovereignError as exc:
        raise ToolError(exc.line().replace("\n", " ")) from exc


async def _in_thread(work: Callable[[], T]) -> T:
    from anyio import to_thread

    return await to_thread.run_sync(work)


def _uri(run_id: str, name: str) -> str:
    return f"sovereign://runs/{run_id}/{name}"


def serve(workspace: Path | None = None) -> None:
    """Serves over stdin and stdout until the client closes them."""
    build(workspace).run("stdio")
