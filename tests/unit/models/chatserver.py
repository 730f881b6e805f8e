"""A local server that speaks the OpenAI and Anthropic protocols over real sockets, and can misbehave in every way the tests need."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sovereign import seal

GOOD = {"answer": "forty-two", "score": 7.5}


@dataclass
class Server:
    """`plan`: what to do with the next requests, in order; the last entry stays. Each is a name of `_Handler.do_*`, or a callable(body) -> text to answer."""

    plan: list[str | Callable[[dict[str, Any]], str]] = field(default_factory=lambda: ["good"])
    seen: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 20, "completion_tokens": 10})
    key: str = ""
    silence_s: float = 3.0
    dimension: int = 8
    port: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: Any) -> None:
            return

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.seen.append(body)
            server.paths.append(self.path)
            server.headers.append({k.lower(): v for k, v in self.headers.items()})
            step = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
            if server.key and self.headers.get("authorization") != f"Bearer {server.key}":
                return self.reply(401, {"error": {"message": "Incorrect API key provided"}})
            if callable(step):
                return self.text(step(body), body)
            return getattr(self, "step_" + step)(body)

        # --- what it can do ---

        def step_good(self, body: dict[str, Any]) -> None:
            self.text(json.dumps(GOOD), body)

        def step_prose(self, body: dict[str, Any]) -> None:
            self.text("Certainly! I think the answer is forty-two.", body)

        def step_fenced(self, body: dict[str, Any]) -> None:
            self.text("Here you are:\n```json\n" + json.dumps(GOOD) + "\n```\nHope this helps.", body)

        def step_wrong_shape(self, body: dict[str, Any]) -> None:
            self.text(json.dumps({"answer": 42}), body)

        def step_list(self, body: dict[str, Any]) -> None:
            self.text("[1, 2]", body)

        def step_two_objects(self, body: dict[str, Any]) -> None:
            self.text(json.dumps(GOOD) + "\n" + json.dumps(GOOD), body)

        def step_cut_at_limit(self, body: dict[str, Any]) -> None:
            self.text('{"answer": "for', body, finish="length")

        def step_no_schema(self, body: dict[str, Any]) -> None:
            if "response_format" in body:
                self.reply(400, {"error": {"message": "response_format is not supported by this model"}})
            else:
                self.step_good(body)

        def step_429(self, _body: dict[str, Any]) -> None:
            self.reply(429, {"error": {"message": "slow down"}}, {"retry-after": "0"})

        def step_429_long(self, _body: dict[str, Any]) -> None:
            self.reply(429, {"error": {"message": "slow down"}}, {"retry-after": "3600"})

        def step_500(self, _body: dict[str, Any]) -> None:
            self.reply(500, {"error": {"message": "internal"}})

        def step_404(self, _body: dict[str, Any]) -> None:
            self.reply(404, {"error": {"message": "model not found"}})

        def step_redirect(self, _body: dict[str, Any]) -> None:
            self.reply(307, {}, {"location": "http://127.0.0.1:9/v1/chat/completions"})

        def step_too_long(self, _body: dict[str, Any]) -> None:
            self.reply(
                400, {"error": {"message": "This model's maximum context length is 8192 tokens. Please reduce the length of the messages."}}
            )

        def step_not_json(self, _body: dict[str, Any]) -> None:
            self.raw(200, b"<html>a proxy's login page</html>", "text/html")

        def step_odd(self, _body: dict[str, Any]) -> None:
            self.reply(200, {"choices": []})

        def step_silence(self, _body: dict[str, Any]) -> None:
            time.sleep(server.silence_s)
            self.close_connection = True

        def step_hang_up(self, _body: dict[str, Any]) -> None:
            self.close_connection = True
            self.connection.close()

        def step_cut_body(self, _body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "4000")
            self.end_headers()
            self.wfile.write(b'{"choices": [{"message": {"content": "')
            self.wfile.flush()
            self.close_connection = True

        def step_cut_stream(self, body: dict[str, Any]) -> None:
            self.events([_delta('{"answer": "for')], body)

        def step_embeddings(self, body: dict[str, Any]) -> None:
            rows = [{"index": i, "embedding": [float(len(t))] + [1.0] * (server.dimension - 1)} for i, t in enumerate(body["input"])]
            self.reply(200, {"data": rows[::-1], "usage": {"prompt_tokens": 5, "total_tokens": 5}})

        def step_short_embeddings(self, body: dict[str, Any]) -> None:
            self.reply(200, {"data": [{"index": 0, "embedding": [1.0]}]})

        def step_anthropic(self, _body: dict[str, Any]) -> None:
            content = [{"type": "tool_use", "name": "answer", "input": GOOD}]
            self.reply(200, {"content": content, "stop_reason": "tool_use", "usage": {"input_tokens": 20, "output_tokens": 10}})

        # --- how it says it ---

        def text(self, text: str, body: dict[str, Any], finish: str = "stop") -> None:
            if body.get("stream"):
                middle = max(1, len(text) // 2)
                usage = [{"choices": [], "usage": server.usage}] if server.usage else []
                self.events(
                    [_delta(text[:middle]), _delta(text[middle:]), {"choices": [{"delta": {}, "finish_reason": finish}]}, *usage, "[DONE]"],
                    body,
                )
            else:
                answer: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}]}
                self.reply(200, answer | ({"usage": server.usage} if server.usage else {}))

        def events(self, events: list[Any], _body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for event in events:
                line = event if isinstance(event, str) else json.dumps(event)
                self.wfile.write(f"data: {line}\n\n".encode())
            self.wfile.flush()
            self.close_connection = True

        def reply(self, code: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
            self.raw(code, json.dumps(body).encode(), "application/json", headers)

        def raw(self, code: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            return  # a hung-up client is what some tests are about

    httpd = Quiet(("127.0.0.1", 0), Handler)
    server.port = httpd.server_address[1]
    thread = threading.Thread(target=lambda: httpd.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)


class Memory:
    """Satisfies ports.Blobs."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put(self, body: bytes) -> str:
        digest = seal.sha256(body)
        self.held[digest] = body
        return digest

    def get(self, digest: str) -> bytes:
        return self.held[digest]

    def has(self, digest: str) -> bool:
        return digest in self.held


def _delta(text: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": None}]}
