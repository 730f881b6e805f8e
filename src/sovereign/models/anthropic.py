"""Anthropic's messages protocol. The shape is the input schema of one tool that must be used. Imports this package; refuses other protocols."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from sovereign.errors import ModelFailed
from sovereign.models._chat import ChatModel, Reply

VERSION = "2023-06-01"
TOOL = "answer"


class Anthropic(ChatModel):
    def send(self, prompt: str, *, shape: Mapping[str, Any], purpose: str) -> Reply:
        tool = {"name": TOOL, "description": f"The answer ({purpose}).", "input_schema": dict(shape)}
        body = {**self._body(prompt), "tools": [tool], "tool_choice": {"type": "tool", "name": TOOL}}
        return self._reply(self.wire.post("/v1/messages", body))

    async def stream(self, prompt: str, *, purpose: str) -> AsyncIterator[str]:
        """Text as it comes. Raises ModelFailed(unreachable) when the stream ends before `message_stop`."""
        whole = False
        async for line in self.wire.async_lines("/v1/messages", {**self._body(prompt), "stream": True}):
            if not line.startswith("data:"):
                continue
            try:
                event = json.loads(line[5:])
                kind = event.get("type")
                text = (event.get("delta") or {}).get("text", "") if kind == "content_block_delta" else ""
            except (ValueError, AttributeError) as exc:
                raise ModelFailed(f"{self.name} sent a stream that cannot be read.", model=self.name, kind="bad_shape") from exc
            if kind == "error":
                raise ModelFailed(f"{self.name} failed in the middle of its answer.", model=self.name, kind="unreachable")
            whole |= kind == "message_stop"
            if text:
                yield text
        if not whole:
            raise ModelFailed(
                f"{self.name} broke its answer off before the end.", model=self.name, kind="unreachable", mend="Resume the run."
            )

    def _body(self, prompt: str) -> dict[str, Any]:
        return {
            "model": self.model,
            "max_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "messages": [{"role": "user", "content": prompt}],
        }

    def _reply(self, body: Any) -> Reply:
        try:
            parts = list(body["content"])
            value = next((p["input"] for p in parts if p.get("type") == "tool_use" and p.get("name") == TOOL), None)
            text = "".join(p.get("text", "") for p in parts if p.get("type") == "text")
            usage = body.get("usage") or {}
            n_in, n_out = usage.get("input_tokens"), usage.get("output_tokens")
            cut = body.get("stop_reason") == "max_tokens"
        except (KeyError, TypeError, AttributeError) as exc:
            raise ModelFailed(f"{self.name} answered with something that is no message.", model=self.name, kind="bad_shape") from exc
        shown = text if value is None else json.dumps(value, ensure_ascii=False)
        return Reply(shown, value, n_in if isinstance(n_in, int) else None, n_out if isinstance(n_out, int) else None, cut)
