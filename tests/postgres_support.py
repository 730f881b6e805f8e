"""A real PostgreSQL for tests and benchmarks: started on a free port of 127.0.0.1 in a temporary folder, by a user that is not root.

Tries Debian's binaries, then those of the pgserver package. `start` gives None with the reason where neither works.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Server:
    binaries: Path
    folder: Path
    port: int
    user: str | None

    @property
    def url(self) -> str:
        return f"postgresql://sovereign@127.0.0.1:{self.port}/sovereign"

    def up(self) -> None:
        self._do("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-t", "60", "start")

    def down(self, mode: str = "fast") -> None:
        self._do("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "-t", "60", "stop", check=False)

    def crash(self) -> None:
        """As after a power cut: no checkpoint, no goodbye to the clients."""
        self.down("immediate")

    def remove(self) -> None:
        self.down("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, name: str) -> str:
        """A new database; its url."""
        self._do("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "sovereign", name)
        return self.url.rsplit("/", 1)[0] + f"/{name}"

    def _do(self, program: str, *arguments: str, check: bool = True) -> None:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            user=self.user, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=120, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise OSError(f"{program} failed: {done.stderr.decode(errors='replace').strip()[-300:]}")


def start() -> tuple[Server | None, str]:
    """(server, "") or (None, why not)."""
    why = []
    for binaries in _places():
        folder = Path(tempfile.mkdtemp(prefix="sovereign-pg-"))
        server = Server(binaries, folder, _free_port(), _other_user())
        try:
            if server.user:
                shutil.chown(folder, server.user)
            server._do("initdb", "-D", str(folder / "data"), "-U", "sovereign", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
            with (folder / "data" / "postgresql.conf").open("a") as conf:
                conf.write(f"listen_addresses = '127.0.0.1'\nport = {server.port}\nunix_socket_directories = '{folder}'\n")
                conf.write("max_connections = 200\nshared_buffers = 32MB\n")
            server.up()
            server.create("sovereign")
        except (OSError, subprocess.TimeoutExpired) as exc:
            why.append(f"{binaries}: {exc}")
            shutil.rmtree(folder, ignore_errors=True)
            continue
        return server, ""
    return None, "; ".join(why) or "no PostgreSQL binaries are installed"


def wait(server: Server, seconds: float = 30.0) -> None:
    """Until connections are accepted. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"PostgreSQL on port {server.port} does not answer")


def _places() -> list[Path]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    try:
        import pgserver
    except ImportError:
        pass
    else:
        found.append(Path(str(pgserver.__file__)).parent / "pginstall" / "bin")
    return [p for p in found if (p / "initdb").exists()]


def _other_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {p.pw_name for p in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
