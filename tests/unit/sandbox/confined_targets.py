"""What the sandbox tests run inside a confined child; imported there by name, never here."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path


def add(a: int, b: int) -> int:
    return a + b


def echo(body: bytes) -> bytes:
    return body[::-1]


def write_to(path: str) -> str:
    Path(path).write_text("written")
    return "written"


def read_from(path: str) -> str:
    return Path(path).read_text()


def write_in_scratch() -> str:
    Path("note.txt").write_text("fine")
    return Path("note.txt").read_text()


def connect(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=2) as link:
        return link.recv(16).decode()


def listen() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def fork_bomb() -> None:
    while True:
        os.fork()


def fork_once() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def leave_group_and_sleep(marker: str) -> None:
    if os.fork() == 0:
        os.setsid()
        time.sleep(2)
        Path(marker).write_text("outlived")
        os._exit(0)
    time.sleep(60)


def eat_memory() -> int:
    held = []
    while True:
        held.append(bytearray(16 * 2**20))


def fill_file() -> None:
    with Path("big").open("wb") as out:
        while True:
            out.write(bytes(2**20))


def loop() -> None:
    while True:
        pass


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "awake"


def fail(text: str) -> None:
    raise ValueError(text)


def leave() -> None:
    sys.exit(3)


def crash() -> None:
    os.kill(os.getpid(), 11)


def flood_output() -> None:
    line = b"x" * 65536
    while True:
        os.write(1, line)


def flood_answer() -> bytes:
    return bytes(40 * 2**20)


def forge_answer() -> None:
    for fd in range(3, 20):
        try:
            os.write(fd, b"not a frame at all, not at all")
        except OSError:
            continue
    os._exit(0)


def talk() -> str:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    return "answer"


def environment() -> dict[str, str]:
    return dict(os.environ)


def raise_limits() -> str:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "raised"


def numpy_sum(n: int) -> float:
    import numpy as np

    return float(np.arange(n).sum())


def torch_sum(n: int) -> float:
    import torch

    return float(torch.ones(n).sum())
