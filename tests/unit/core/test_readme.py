"""README, the kernel's own docstring and the path tell the same story, and every linked file exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import sovereign.kernel
from sovereign import path

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tree_is_printed_from_the_modules_own_words() -> None:
    """Run `python scripts/tree.py` and paste it between the markers when this fails."""
    printed = subprocess.run([sys.executable, str(ROOT / "scripts" / "tree.py")], capture_output=True, text=True, check=True).stdout
    shown = re.search(r"<!-- tree: [^>]*-->\n```\n(.*?)```\n<!-- /tree -->", README, re.S)
    assert shown and shown.group(1) == printed


def test_readme_kernel_and_path_name_the_stations_in_one_order() -> None:
    in_docstring = re.search(r"order of the path: ([\w, ]+)", " ".join((sovereign.kernel.__doc__ or "").split()))
    assert in_docstring
    named = [s.strip() for s in in_docstring.group(1).split(",")]
    run_by_path = [s for s in path.STATIONS if s not in ("predict", "press")]  # steps of their own, not stations of the kernel
    assert named[: len(run_by_path)] == run_by_path
    tree = [m for m in re.findall(r"^    ([a-z]+)(?:\.py|/)", README, re.M) if m in named]
    assert tree == named


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_no_file_of_ours_names_a_registry_host_or_a_machine_path() -> None:
    """What only one machine knows does not belong into the project."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    banned = re.compile(r"pypi\.org|files\.pythonhosted|registry\.npmjs|deb\.debian|/work/(?:main|shared|tmp|venv)")
    for name in listed:
        file = ROOT / name
        if (
            file.suffix in (".py", ".md", ".toml", ".sh", ".yml", ".json", "")
            and file.is_file()
            and file.stat().st_size < 2_000_000
            and name != "tests/unit/core/test_readme.py"
        ):
            found = banned.search(file.read_text(encoding="utf-8", errors="ignore"))
            assert not found, f"{name}: {found and found.group(0)}"
