"""Runs that the console began, each as a child process of the command line. Standard library; refuses to keep anything a restart would lose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sovereign.settings import Settings


class Workers:
    """A child that is stopped early loses nothing: a run is durable, and `runs resume` goes on with it."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self._children: list[subprocess.Popen[bytes]] = []

    def resume(self, run_id: str) -> None:
        self._children = [c for c in self._children if c.poll() is None]
        log = Path(self.settings.home) / "runs" / run_id / "worker.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            code = "from sovereign.cli import main; main()"
            command = [sys.executable, "-c", code, "runs", "resume", run_id, "--workspace", str(self.settings.home), "--json"]
            self._children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out))

    def stop(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.terminate()
        for child in self._children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
