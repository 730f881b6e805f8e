"""A network that fails on demand: a TCP relay on 127.0.0.1 that can cut its connections, refuse new ones, or hold bytes back. For tests and benchmarks."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Relay:
    """Forwards to 127.0.0.1:`target`, with one thread per direction of every connection, so that a reader who stopped holds up nobody else."""

    def __init__(self, target: int):
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Every connection ends at once and no new one is made for `seconds`."""
        self._cut = True
        self._drop_all()
        time.sleep(seconds)
        self._cut = False

    def stall(self, seconds: float) -> None:
        """Nothing arrives for `seconds`, on either side, and nobody is told."""
        self._flowing.clear()
        time.sleep(seconds)
        self._flowing.set()

    def close(self) -> None:
        self._server.close()
        self._flowing.set()
        self._drop_all()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._server.accept()
            except OSError:
                return  # closed
            try:
                if self._cut:
                    raise ConnectionRefusedError("cut")
                outer = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                inner.close()
                continue
            outer.settimeout(None)
            with self._lock:
                self._open |= {inner, outer}
            for one, other in ((inner, outer), (outer, inner)):
                threading.Thread(target=self._forward, args=(one, other), name="relay-pipe", daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while body := one.recv(1 << 16):
                self._flowing.wait()
                other.sendall(body)
        except OSError:
            pass  # either end is gone; so is the connection
        finally:
            self._drop(one)
            self._drop(other)

    def _drop_all(self) -> None:
        with self._lock:
            ends = list(self._open)
        for end in ends:
            self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        with self._lock:
            self._open.discard(end)
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
        end.close()
