"""The agenda on the command line: what scripts read, and one clear line for what cannot be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end_support import QUESTIONS, prepared


def run(home: Path, *arguments: str) -> tuple[int, Any, str]:
    """(exit code, JSON or None, stderr)."""
    command = [sys.executable, "-c", "from sovereign.cli import main; main()", *arguments, "--workspace", str(home), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("agenda") / "home").home


def test_from_adding_to_the_next_suggestion(home: Path) -> None:
    code, item, _ = run(home, "agenda", "add", "Which hit ratio does Wide Caches reach on XSUM, and what is its TPOT?", "--priority", "2")
    assert code == 0 and item["state"] == "queued" and item["priority"] == 2
    code, _, said = run(home, "agenda", "add", "which hit ratio do wide caches reach on XSUM and what is its TPOT")
    assert code == 2 and item["item_id"] in said and said.count("\n") == 1
    code, counts, said = run(home, "agenda", "work", "--once")
    assert code == 0 and counts["done"] == 1, said
    code, items, _ = run(home, "agenda", "list", "--state", "done")
    assert [i["item_id"] for i in items] == [item["item_id"]] and items[0]["run_id"] == counts["runs"][0]
    code, offered, _ = run(home, "agenda", "suggest")
    assert offered["suggestions"] and all(s["reason"] and s["name"].startswith("s-") for s in offered["suggestions"])
    code, consented, _ = run(home, "agenda", "add", "--from-suggestion", offered["suggestions"][0]["name"])
    assert code == 0 and consented["origin"].startswith("suggested by r-")
    assert run(home, "agenda", "cancel", consented["item_id"])[1]["state"] == "cancelled"
    code, found, _ = run(home, "metrics")
    assert code == 0 and found["agenda"]["done"] == {"items": 1, "attempts": 1}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("agenda", "add"), "--from-suggestion"),
        (("agenda", "add", ""), "--from-suggestion"),
        (("agenda", "add", QUESTIONS[0], "--sources", "moon"), "Known:"),
        (("agenda", "add", QUESTIONS[0], "--lab", "moon"), "Known:"),
        (("agenda", "add", QUESTIONS[0], "--after", "q-none"), "agenda list"),
        (("agenda", "add", "--from-suggestion", "s-none"), "agenda suggest"),
        (("agenda", "list", "--state", "moon"), "Known:"),
        (("agenda", "cancel", "q-none"), "agenda list"),
        (("agenda", "work", "--workers", "3"), "SOVEREIGN_DATABASE_URL"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_the_mend(home: Path, arguments: tuple[str, ...], expected: str) -> None:
    code, body, said = run(home, *arguments)
    assert code == 2 and body is None and expected in said and "Traceback" not in said
