"""The MCP door through the SDK's own client over stdio: it answers, hostile arguments are one-line tool errors, and nothing decides or publishes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sovereign import wiring
from sovereign.settings import load

mcp = pytest.importorskip("mcp", reason="the mcp extra is not installed")

NOTE = """# Small Routers: a note

Small Routers reduces TTFT by 14% on MMMU compared with the unspecialized router.
"""
SOURCE = {"id": "note", "text": "Small Routers reduces TTFT by 14% on MMMU compared with the unspecialized router."}
QUESTION = "How much does Small Routers reduce TTFT on MMMU compared with the unspecialized router?"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one note and one finished run."""
    home = tmp_path_factory.mktemp("mcp") / "home"
    home.mkdir()
    (home / "sovereign.toml").write_text("default_library = false\n")
    note = home.parent / "note.md"
    note.write_text(NOTE)
    wiring.ask(load(home, offline=True), QUESTION, sources=["local"], library=[str(note)])
    return home


def talk(home: Path, conversation: Callable[[Any], Awaitable[Any]]) -> Any:
    """Runs a conversation with `sovereign mcp` as a client application would: a child process, JSON-RPC over its pipes."""
    import anyio
    from mcp import Client, StdioServerParameters

    async def main() -> Any:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-c", "from sovereign.cli import main; main()", "mcp", "--workspace", str(home)],
            env={**os.environ, "SOVEREIGN_OFFLINE": "true"},
        )
        async with Client(server) as client:
            return await conversation(client)

    return anyio.run(main)


def said(result: Any) -> dict[str, Any]:
    assert not result.is_error, result.content[0].text
    return dict(json.loads(result.content[0].text))


def test_a_client_asks_checks_a_text_and_reads_the_draft(home: Path, tmp_path: Path) -> None:
    own = tmp_path / "home"
    shutil.copytree(home, own)

    async def conversation(client: Any) -> None:
        tools = {t.name for t in (await client.list_tools()).tools}
        assert tools == {"ask", "verify_claim", "check_text", "search_library", "get_run", "list_open_reviews"}
        run = said(await client.call_tool("ask", {"question": QUESTION, "sources": ["local"]}))
        assert run["state"] == "waiting_for_owner" and run["run_id"].endswith("-2")
        assert any(c["verdict"] == "SUPPORTED" and "14" in c["text"] for c in run["claims"])
        text = (await client.read_resource(f"sovereign://runs/{run['run_id']}/draft.md")).contents[0].text
        assert "TTFT" in text and run["title"] in text
        body = json.loads((await client.read_resource(f"sovereign://runs/{run['run_id']}/draft.json")).contents[0].text)
        assert body["run_id"] == run["run_id"]
        checked = said(
            await client.call_tool(
                "check_text",
                {"text": "Small Routers reduces TTFT by 14% on MMMU. Small Routers reduces TTFT by 41% on MMMU.", "sources": [SOURCE]},
            )
        )
        assert [c["verdict"] for c in checked["claims"]] == ["SUPPORTED", "CONTRADICTED"]
        assert checked["summary"] == {"SUPPORTED": 1, "CONTRADICTED": 1}
        found = said(await client.call_tool("search_library", {"query": "TTFT on MMMU", "k": 3}))["passages"]
        assert found and {"paper_id", "title", "section", "text", "score"} == set(found[0])
        ruling = said(
            await client.call_tool("verify_claim", {"claim": "Small Routers reduces TTFT by 14%.", "papers": [found[0]["paper_id"]]})
        )
        assert ruling["verdict"] == "SUPPORTED" and ruling["evidence"]
        waiting = said(await client.call_tool("list_open_reviews", {}))["reviews"]
        assert {r["run_id"] for r in waiting} >= {run["run_id"]}
        assert said(await client.call_tool("get_run", {"run_id": run["run_id"], "full": True}))["draft"]["title"]

    talk(own, conversation)
    with wiring.workspace(load(own)) as ws:
        assert {r.state for r in ws.runs.list()} == {"waiting_for_owner"}, "a client moved a run past its owner"
        kinds = {e.kind for scope in ws.ledger.scopes() for e in ws.ledger.events(scope)}
        assert not kinds & {"decided", "signed", "published", "approved"}


def test_hostile_arguments_are_tool_errors_of_one_line(home: Path) -> None:
    """Guards a traceback, a crash of the server, and a run id that becomes a path."""
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("get_run", {"run_id": "../../etc/passwd"}, "is not a run id"),
        ("get_run", {"run_id": "r-0000000000/../x"}, "is not a run id"),
        ("get_run", {"run_id": "r-ffffffffff"}, "No run"),
        ("get_run", {"run_id": "A" * 100_000}, "is not a run id"),
        ("ask", {"question": "  "}, "is empty"),
        ("ask", {"question": "why? " * 100_000}, "Give at most 2000"),
        ("ask", {"question": "What is MoE?", "sources": ["file:///etc/passwd"]}, "Known:"),
        ("ask", {"question": "What is MoE?", "lab": "rm -rf"}, "Known:"),
        ("verify_claim", {"claim": "A is 1."}, "nothing to verify against"),
        ("verify_claim", {"claim": "A is 1.", "papers": ["../../etc/passwd"]}, "has no text"),
        ("verify_claim", {"claim": "A is 1.", "sources": [{"id": "x", "text": "y" * 300_000}]}, "Give at most 200000"),
        ("verify_claim", {"claim": "A is 1.", "sources": [{"id": "x"}]}, ""),
        ("verify_claim", {"claim": "A is 1.", "sources": [SOURCE] * 21}, "Give at most 20"),
        ("check_text", {"text": "One is 1. " * 500, "sources": [SOURCE]}, "more than 200"),
        ("check_text", {"text": "\x00\x01", "sources": [SOURCE]}, ""),
        ("search_library", {"query": 'x" OR (title:*)', "k": 10_000}, "from 1 to 50"),
        ("search_library", {"query": "x", "k": "many"}, ""),
        ("approve", {"run_id": "r-0000000000"}, ""),
    ]
    uris = ["sovereign://runs/..%2F..%2Fetc%2Fpasswd/draft.md", "sovereign://runs/r-0000000000/draft.md", "sovereign://runs/x/keys.pem"]

    async def conversation(client: Any) -> None:
        from mcp.shared.exceptions import MCPError

        for tool, arguments, expected in calls:
            try:
                result = await client.call_tool(tool, arguments)
            except MCPError as exc:
                message = str(exc)
            else:
                if tool == "check_text" and expected == "" and not result.is_error:
                    continue  # control characters are text that nothing supports; they may be judged, not crash
                assert result.is_error, (tool, arguments)
                message = result.content[0].text
            assert expected in message, (tool, message)
            assert "Traceback" not in message and len(message) < 2_000
            if expected:
                assert "\n" not in message
        for uri in uris:
            with pytest.raises(MCPError) as caught:
                await client.read_resource(uri)
            assert "Traceback" not in str(caught.value)
        assert said(await client.call_tool("search_library", {"query": "MMMU"}))["passages"], "the server did not survive"

    talk(home, conversation)


def test_no_tool_can_decide_or_publish() -> None:
    """The list of what the door reaches is short and closed: the module knows nothing of keys, decisions or releases."""
    import inspect

    from sovereign import mcp as door

    text = inspect.getsource(door)
    for word in ("gate.decide", "gate.publish", "create_key", "send_back", "gate.correct"):
        assert word not in text
