"""Serves the console on 127.0.0.1 until it is told to stop. Imports uvicorn; refuses any other address."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

import uvicorn

from sovereign import wiring
from sovereign.errors import BadInput
from sovereign.settings import Settings
from sovereign.web.app import create_app

STOP_S = 5  # seconds that requests under way may still take when the server is told to stop


def run(settings: Settings, *, port: int, ready: Callable[[str, str], None]) -> None:
    """Blocks until interrupted. `ready(address, token)` is called once, when the socket listens; the token is made anew each time."""
    if not 0 <= port <= 65535:
        raise BadInput(f"{port} is no port.", mend="Give one between 1024 and 65535, or 0 for a free one.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as exc:
            raise BadInput(f"Port {port} cannot be used: {exc.strerror}.", mend="Take another: --port 0 finds a free one.") from exc
        listener.listen(64)
        mine = int(listener.getsockname()[1])
        token = secrets.token_urlsafe(32)
        with wiring.workspace(settings) as ws:
            app = create_app(settings, ws, token, mine)
            ready(f"http://127.0.0.1:{mine}", token)
            config = uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False, lifespan="on", timeout_graceful_shutdown=STOP_S
            )
            uvicorn.Server(config).run(sockets=[listener])
