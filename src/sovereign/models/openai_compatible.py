"""Any endpoint that speaks the OpenAI chat protocol: OpenAI, NVIDIA NIM, vLLM, Ollama, OpenRouter. Imports this package; refuses other protocols.

Structured output is asked for as a JSON schema; an endpoint that refuses `response_format` is asked for a JSON object, then for plain text with the
schema in the prompt, and the first form it takes is kept.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from sovereign.errors import ModelFailed
from sovereign.models._chat import ChatModel, Reply

FORMS = ("json_schema", "json_object", "text")


class OpenAICompatible(ChatModel):
    form = 0  # index into FORMS; moves right when the endpoint refuses one

    def send(self, prompt: str, *, shape: Mapping[str, Any], purpose: str) -> Reply:
        while True:
            body = self._body(prompt, shape, purpose)
            try:
                return (
                    self._streamed(body, purpose)
                    if self.progress is not None
                    else _reply(self.wire.post("/chat/completions", body), self.name)
                )
            except ModelFailed as exc:
                if exc.kind != "bad_request" or self.form + 1 >= len(FORMS):
                    raise
                self.form += 1

    async def stream(self, prompt: str, *, purpose: str) -> AsyncIterator[str]:
        """Text as it comes. Raises ModelFailed(unreachable) when the stream ends without saying that it is finished."""
        body = {**self._body(prompt, None, purpose), "stream": True}
        whole = False
        async for line in self.wire.async_lines("/chat/completions", body):
            text, done, _, _ = _event(line, self.name)
            whole |= done
            if text:
                yield text
        if not whole:
            raise _cut(self.name)

    def _body(self, prompt: str, shape: Mapping[str, Any] | None, purpose: str) -> dict[str, Any]:
        form = FORMS[self.form]
        if shape is not None and form != "json_schema":
            prompt = f"{prompt}\n\nAnswer with one JSON object that has this JSON schema, and nothing else:\n{json.dumps(shape)}"
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "max_tokens": self.max_output_tokens,
        }
        if self.seed is not None:
            body["seed"] = self.seed
        if shape is not None and form == "json_schema":
            name = "".join(c if c.isalnum() else "_" for c in purpose)[:60] or "answer"
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": name, "schema": dict(shape)}}
        elif shape is not None and form == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def _streamed(self, body: Mapping[str, Any], purpose: str) -> Reply:
        held: list[str] = []
        state: dict[str, Any] = {"done": False, "cut": False, "usage": {}}

        def on_line(line: str) -> None:
            text, done, cut, usage = _event(line, self.name)
            held.append(text)
            state["done"] |= done
            state["cut"] |= cut
            state["usage"] = usage or state["usage"]
            if text and self.progress is not None:
                self.progress(purpose, sum(map(len, held)))

        self.wire.lines("/chat/completions", {**body, "stream": True, "stream_options": {"include_usage": True}}, on_line)
        if not state["done"]:
            raise _cut(self.name)
        return Reply(
            "".join(held), None, _count(state["usage"], "prompt_tokens"), _count(state["usage"], "completion_tokens"), state["cut"]
        )


def _event(line: str, name: str) -> tuple[str, bool, bool, Mapping[str, Any]]:
    """(text, finished, cut at the output limit, usage) of one server-sent line."""
    if not line.startswith("data:"):
        return "", False, False, {}
    data = line[5:].strip()
    if data == "[DONE]":
        return "", True, False, {}
    try:
        body = json.loads(data)
        choices = body.get("choices") or []
        first = choices[0] if choices else {}
        text = (first.get("delta") or {}).get("content") or ""
        reason = first.get("finish_reason")
        usage = body.get("usage") or {}
    except (ValueError, AttributeError, IndexError, KeyError, TypeError, RecursionError) as exc:
        raise ModelFailed(f"{name} sent a stream that cannot be read.", model=name, kind="bad_shape") from exc
    if not isinstance(text, str):
        raise ModelFailed(f"{name} sent a stream that cannot be read.", model=name, kind="bad_shape")
    return text, reason is not None, reason == "length", usage if isinstance(usage, dict) else {}


def _reply(body: Any, name: str) -> Reply:
    try:
        choice = body["choices"][0]
        text = choice["message"]["content"]
        usage = body.get("usage") or {}
        reason = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError) as exc:
        raise ModelFailed(f"{name} answered with something that is no chat completion.", model=name, kind="bad_shape") from exc
    if text is None:
        text = ""
    if not isinstance(text, str):
        raise ModelFailed(f"{name} answered with something that is no chat completion.", model=name, kind="bad_shape")
    return Reply(text, None, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"), reason == "length")


def _count(usage: Any, key: str) -> int | None:
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _cut(name: str) -> ModelFailed:
    return ModelFailed(f"{name} broke its answer off before the end.", model=name, kind="unreachable", mend="Resume the run.")
