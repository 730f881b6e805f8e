"""A network that fails on demand: a TCP relay on 127.0.0.1 that can cut its connections, refuse new ones, or hold bytes back. For tests and benchmarks."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time


class Relay:
    """Forwards to 127.0.0.1:`target`. One thread; `close` ends it."""

    def __init__(self, target: int):
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._cut = self._held = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def cut(self, seconds: float) -> None:
        """Every connection ends at once and no new one is made for `seconds`."""
        self._cut = True
        time.sleep(seconds)
        self._cut = False

    def stall(self, seconds: float) -> None:
        """Nothing arrives for `seconds`, on either side, and nobody is told."""
        self._held = True
        time.sleep(seconds)
        self._held = False

    def close(self) -> None:
        self._ended.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        with selectors.DefaultSelector() as ready, self._server:
            ready.register(self._server, selectors.EVENT_READ)
            while not self._ended.is_set():
                if self._cut:
                    for one in list(self._pairs):
                        self._drop(ready, one)
                if self._held:
                    time.sleep(0.01)
                    continue
                for key, _ in ready.select(timeout=0.05):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._server:
                        self._accept(ready)
                    elif one in self._pairs:
                        self._forward(ready, one)
            for one in list(self._pairs):
                self._drop(ready, one)

    def _accept(self, ready: selectors.BaseSelector) -> None:
        inner, _ = self._server.accept()
        try:
            if self._cut:
                raise OSError("cut")
            outer = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            inner.close()
            return
        self._pairs |= {inner: outer, outer: inner}
        ready.register(inner, selectors.EVENT_READ)
        ready.register(outer, selectors.EVENT_READ)

    def _forward(self, ready: selectors.BaseSelector, one: socket.socket) -> None:
        try:
            body = one.recv(1 << 16)
            if not body:
                raise OSError("ended")
            self._pairs[one].sendall(body)
        except OSError:
            self._drop(ready, one)

    def _drop(self, ready: selectors.BaseSelector, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        if other is None:
            return
        self._pairs.pop(other, None)
        for end in (one, other):
            with contextlib.suppress(KeyError, ValueError):
                ready.unregister(end)
            end.close()
