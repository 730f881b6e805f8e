"""The door for language-model clients: a Model Context Protocol server over stdio. Imports the typed API and, lazily, the official SDK.

Refuses files of the machine (sources come as text or as papers of the library) and everything that decides: there is no tool that approves,
rejects, signs, publishes or changes a record. What a client sends is data with a size limit; an error is a tool error of one line with its mend.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypeVar

from pydantic import Field
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from sovereign import api
from sovereign.errors import BadInput, MissingExtra, NotFound, SovereignError
from sovereign.records import Document, Ruling
from sovereign.version import __version__

T = TypeVar("T")
LONGEST_TEXT = 200_000  # characters of one text; a long paper has about 100 000
LONGEST_QUERY = 2_000
MOST_SOURCES = 20
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
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


class Door:
    """What the tools do, without the protocol. One piece of work at a time: the run engine is one per process."""

    def __init__(self, workspace: Path | None):
        self.workspace = workspace
        self._busy = Lock()

    def ask(self, question: str, sources: list[str] | None, lab: str | None) -> dict[str, Any]:
        if not self._busy.acquire(blocking=False):
            raise BadInput("Another question is being worked on.", mend="Wait for it to end, then ask again.")
        try:
            return summary(api.ask(_short("question", question), sources=sources, lab=lab, workspace=self.workspace))
        finally:
            self._busy.release()

    def verify_claim(self, claim: str, texts: list[Text] | None, papers: list[str] | None) -> dict[str, Any]:
        from sovereign.kernel.verify import make_claim, verify_claim

        ruling = verify_claim(make_claim(_short("claim", claim)), self._documents(texts, papers))
        return {"claim": claim, **_told(ruling)}

    def check_text(self, text: str, texts: list[Text] | None, papers: list[str] | None) -> dict[str, Any]:
        rulings = api.check_text(_bounded("text", text), self._documents(texts, papers))
        counts: dict[str, int] = {}
        for _, ruling in rulings:
            counts[ruling.verdict.value] = counts.get(ruling.verdict.value, 0) + 1
        return {"claims": [{"text": statement, **_told(ruling)} for statement, ruling in rulings], "summary": counts}

    def search_library(self, query: str, k: int) -> list[dict[str, Any]]:
        if not 1 <= k <= 50:
            raise BadInput(f"k is {k}.", mend="Give a number from 1 to 50.")
        return api.search_library(_short("query", query), k, workspace=self.workspace)

    def get_run(self, run_id: str, full: bool) -> dict[str, Any]:
        found = api.run(_run(run_id), workspace=self.workspace)
        return {**found.body, "state": found.state} if full else summary(found)

    def list_open_reviews(self) -> list[dict[str, Any]]:
        from sovereign import gate, wiring

        with wiring.workspace(api.settings_of(self.workspace)) as ws:
            return [{**r, "draft": _uri(r["run_id"], "draft.md")} for r in gate.queue(ws) if r["state"] == "waiting_for_owner"]

    def draft(self, run_id: str, name: str) -> str:
        return api.draft(_run(run_id), name, workspace=self.workspace).decode("utf-8")

    def _documents(self, texts: list[Text] | None, papers: list[str] | None) -> list[tuple[str, Document]]:
        texts, papers = texts or [], papers or []
        if not texts and not papers:
            raise BadInput("There is nothing to verify against.", mend="Give sources as [{id, text}] or papers as ids of the library.")
        if len(texts) + len(papers) > MOST_SOURCES:
            raise BadInput(f"{len(texts) + len(papers)} sources were given.", mend=f"Give at most {MOST_SOURCES} at a time.")
        given = [(_short("id", t["id"]), _bounded(f"text of {t['id'][:80]!r}", t["text"])) for t in texts]
        return [
            *api.documents_of(api.settings_of(self.workspace), given),
            *api.library_documents([_short("paper id", p) for p in papers], workspace=self.workspace),
        ]


def summary(found: api.Result) -> dict[str, Any]:
    """A run in one screen; the whole of it is behind the resources."""
    body = found.body
    printed = "draft" in body
    return {
        "run_id": found.run_id,
        "state": found.state,
        "question": body["question"],
        "title": found.title,
        "decision": found.decision,
        "reasons": body["policy"]["reasons"] if printed else None,
        "coverage": list(found.coverage),
        "claims": [{"text": c["text"], "verdict": c["verdict"], "level": c["level"], "paper": c["paper"]} for c in found.claims],
        "checks": body.get("checks", []),
        "error": body.get("error"),
        "resources": [_uri(found.run_id, name) for name in _FILES] if printed else [],
        "note": "Waits for its owner: nothing is published without the owner's signature." if found.state == "waiting_for_owner" else "",
    }


def build(workspace: Path | None = None) -> Any:
    """The server with its tools and resources. Raises MissingExtra where the SDK is not installed."""
    try:
        from mcp.server import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError as exc:
        raise MissingExtra("mcp", "The MCP server") from exc
    server = MCPServer("sovereign", instructions=INSTRUCTIONS, version=__version__, log_level="ERROR")
    door = Door(workspace)
    _tools(server, door, ToolAnnotations(read_only_hint=True, open_world_hint=False), ToolAnnotations(destructive_hint=False))
    _resources(server, door)
    return server


def _tools(server: Any, door: Door, reads: Any, writes: Any) -> None:
    @server.tool(annotations=writes)  # type: ignore[untyped-decorator]
    async def ask(
        question: Annotated[str, Field(description="The research question, at most 2000 characters.")],
        sources: Annotated[list[str] | None, Field(description="local, arxiv, semantic_scholar, openalex, crossref.")] = None,
        lab: Annotated[str | None, Field(description="off, smoke, standard or gpu.")] = None,
    ) -> dict[str, Any]:
        """Researches a question and drafts a short paper in which every sentence leads to its evidence. Takes seconds to minutes."""
        return await _aside(lambda: door.ask(question, sources, lab))

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def verify_claim(claim: str, sources: Sources = None, papers: Papers = None) -> dict[str, Any]:
        """One claim against given sources: verdict, level, probability, the passages with their places, and the reason."""
        return await _aside(lambda: door.verify_claim(claim, sources, papers))

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def check_text(text: str, sources: Sources = None, papers: Papers = None) -> dict[str, Any]:
        """Every statement of a text (at most 200) against given sources: a verdict with its reason for each, and the counts."""
        return await _aside(lambda: door.check_text(text, sources, papers))

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def search_library(query: str, k: int = 10) -> dict[str, Any]:
        """Hybrid search over the passages of the library."""
        return await _aside(lambda: {"passages": door.search_library(query, k)})

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def get_run(run_id: RunId, full: bool = False) -> dict[str, Any]:
        """A run as it stands on record; with full=true the whole document that scripts read."""
        return await _aside(lambda: door.get_run(run_id, full))

    @server.tool(annotations=reads)  # type: ignore[untyped-decorator]
    async def list_open_reviews() -> dict[str, Any]:
        """Drafts that wait for their owner's decision. They are decided by the owner alone, not here."""
        return await _aside(lambda: {"reviews": door.list_open_reviews()})


def _resources(server: Any, door: Door) -> None:
    from mcp.server.mcpserver.exceptions import ResourceNotFoundError

    def offer(name: str, mime: str) -> None:
        @server.resource(f"sovereign://runs/{{run_id}}/{name}", name=name, mime_type=mime, description=f"The {name} of a run.")  # type: ignore[untyped-decorator]
        async def read(run_id: str) -> str:
            try:
                return await _in_thread(lambda: door.draft(run_id, name))
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


def _told(ruling: Ruling) -> Mapping[str, Any]:
    from sovereign.press.contract import verdict

    return verdict(ruling)


def _short(what: str, text: str) -> str:
    return _bounded(what, text, LONGEST_QUERY)


def _bounded(what: str, text: str, most: int = LONGEST_TEXT) -> str:
    if len(text) > most:
        raise BadInput(f"The {what} has {len(text)} characters.", mend=f"Give at most {most}.")
    if not text.strip():
        raise BadInput(f"The {what} is empty.", mend="Give some text.")
    return text


def _run(run_id: str) -> str:
    if not _RUN_ID.fullmatch(run_id):
        raise NotFound(
            f"{run_id[:80]!r} is not a run id.", mend="list_open_reviews gives the ids of what waits; they look like r-0123456789."
        )
    return run_id


def _uri(run_id: str, name: str) -> str:
    return f"sovereign://runs/{run_id}/{name}"


def serve(workspace: Path | None = None) -> None:
    """Serves over stdin and stdout until the client closes them."""
    build(workspace).run("stdio")
