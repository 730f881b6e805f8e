"""Runs that the console or a program began, each as a child process of the command line. Standard library; refuses to keep anything a restart would lose."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from sovereign.errors import Busy
from sovereign.settings import Settings

MOST = 2  # runs that programs may have worked on at a time; the owner's own are never refused


class Workers:
    """A child that is stopped early loses nothing: a run is durable, and `runs resume` goes on with it."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._turn = Lock()

    def resume(self, run_id: str) -> None:
        """Works on a run; nothing happens when a child does so already."""
        with self._turn:
            self._start(run_id)

    def begin(self, run: Callable[[], str]) -> str:
        """Works on the run that `run` names, if there is room for it; `run` is not called otherwise. Raises Busy."""
        with self._turn:
            if len(self._living()) >= MOST:
                raise Busy(
                    f"{MOST} runs are being worked on.", mend="Ask again when one of them has ended, or put the question on the agenda."
                )
            run_id = run()
            self._start(run_id)
        return run_id

    def working(self, run_id: str) -> bool:
        """Whether a child of this server works on it; another process may do so all the same."""
        child = self._children.get(run_id)
        return child is not None and child.poll() is None

    def _living(self) -> dict[str, subprocess.Popen[bytes]]:
        self._children = {name: child for name, child in self._children.items() if child.poll() is None}
        return self._children

    def _start(self, run_id: str) -> None:
        if run_id in self._living():
            return
        log = Path(self.settings.home) / "runs" / run_id / "worker.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            code = "from sovereign.cli import main; main()"
            command = [sys.executable, "-c", code, "runs", "resume", run_id, "--workspace", str(self.settings.home), "--json"]
            self._children[run_id] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out)

    def stop(self) -> None:
        children = list(self._children.values())
        for child in children:
            if child.poll() is None:
                child.terminate()
        for child in children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
