"""A real Chromium and a real server. Skipped with the reason where either is missing; every server is stopped by its own handle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.owner_support import asked_workspace

ARGS = (
    "--no-sandbox", "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium_path() -> str | None:
    return next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome") if Path(p).exists()), None)


@dataclass
class Served:
    url: str
    token: str
    home: Path
    run_id: str


@pytest.fixture(scope="module")  # Playwright keeps an event loop running: it must be gone before another module needs one
def chromium(asked: tuple[Path, str]) -> Iterator[Any]:  # asked first: Playwright's own event loop would stop the run engine
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=list(ARGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("asked") / "ws"
    return folder, asked_workspace(folder)


@pytest.fixture
def served(asked: tuple[Path, str], tmp_path: Path) -> Iterator[Served]:
    """The console on a copy of the workspace, as `sovereign serve` starts it."""
    home = tmp_path / "ws"
    shutil.copytree(asked[0], home)
    yield from serve(home, asked[1])


def serve(home: Path, run_id: str) -> Iterator[Served]:
    code = "from sovereign.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--json", "--workspace", str(home)]
    env = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    try:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        yield Served(told["url"], told["token"], home, run_id)
    finally:
        server.terminate()
        server.wait(20)
        if server.stdout is not None:
            server.stdout.close()


class Person:
    """A page that is logged in, and every request and console message it made."""

    def __init__(self, browser: Any, served: Served, **context: Any):
        self.served = served
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | context))
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("console", lambda m: self.said.append(m.text))
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.goto(f"{served.url}/login#{served.token}")
        self.page.wait_for_url(f"{served.url}/")

    def run(self, tail: str = "") -> None:
        self.page.goto(f"{self.served.url}/runs/{self.served.run_id}{tail}")


@pytest.fixture
def person(chromium: Any, served: Served) -> Iterator[Person]:
    someone = Person(chromium, served)
    yield someone
    someone.context.close()
