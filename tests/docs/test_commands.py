"""Every command of the documentation exists as it is written, and is run where it can be.

Each page is a story: its blocks are run in order, in one shell, in a folder of their own with a finished run in the workspace. What is not run stands in
`NOT_RUN` with its reason, and is still held against the parser that would read it. A page that shows a command nobody can type fails here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from tests.docs.reading import OTHER, ROOT, SHELL, TYPED, Block, Command, blocks, commands, pages, text_of
from tests.owner_support import PASSPHRASE, QUESTION

from sovereign import gate, wiring
from sovereign.settings import load

# Page or "*", how the command begins, why it is not run here. Each is parsed all the same.
NOT_RUN = (
    ("*", "scripts/", "makes an environment of its own; .ci/run begins with it"),
    ("*", "pip install", "needs the package index; .ci/run installs every extra"),
    ("docs/tutorial.md", "python3 -m venv", "the environment that the tests run in stands for it"),
    ("docs/tutorial.md", "source .venv", "the environment that the tests run in stands for it"),
    ("*", "sovereign serve", "does not end by itself; tests/browser starts it and looks at it"),
    ("*", "sovereign library add 2604.23996", "asks live services"),
    ("README.md", "sovereign library add papers/ refs.bib 2604.23996", "asks live services"),
    ("README.md", 'sovereign ask "..."', "a placeholder for a question, and live services"),
    ("docs/keys.md", 'sovereign ask "How much does SMoES reduce TTFT on MMMU?" --sources local,arxiv', "asks live services"),
    ("docs/check.md", "sovereign check paper.tex --bib refs.bib --against cited/ --sources", "asks live services"),
    ("*", "sovereign lab run", "trains models for half a minute and more; tests/unit/lab_* run tiny ones"),
    ("*", "python -m sovereign.lab run", "trains models for half a minute and more; tests/unit/lab_* run tiny ones"),
    ("*", "python benchmarks/", "minutes each; their results lie in benchmarks/results"),
    ("docs/seeds-then-and-now.md", "sovereign library add ../shared", "needs the evaluation data beside the project"),
    ("docs/seeds-then-and-now.md", "examples/seed_questions/run", "asks over that library"),
    ("docs/agenda.md", "initdb", "a server on a free port stands for it (tests/postgres_support.py)"),
    ("docs/agenda.md", "createdb", "that server has a database already"),
)
# Commands that end with another code than 0, and why; several codes are those of the first time, the second time and so on.
CODES: tuple[tuple[str, str, int | tuple[int, ...], str], ...] = (
    ("docs/tutorial.md", 'sovereign verify "SMoES increases', 1, "the source contradicts the claim"),
    ("docs/tutorial.md", "sovereign audit verify archive", (0, 1), "sound first, then tampered with"),
    ("docs/check.md", "sovereign check", 1, "the example manuscript has wrong citations"),
    ("README.md", "sovereign check", 1, "the example manuscript has wrong citations"),
    ("examples/manuscript/README.md", "sovereign check", 1, "the example manuscript has wrong citations"),
    ("docs/owner.md", "sovereign sources refresh --flag", 0, "asks nobody"),
    ("docs/owner.md", "sovereign sources refresh", 3, "the tests are offline: no source could be asked"),
)
# Pages whose shell blocks another test runs: it must name the page.
ELSEWHERE = {"docs/http-api.md": "tests/end_to_end/test_http_api.py"}
# Answers that a page shows and that do not come here, and why.
NOT_SHOWN = (("docs/owner.md", "Passphrase for", "asked on a terminal"), ("docs/tutorial.md", "Passphrase for", "asked on a terminal"))
# What a reader puts in: words of the page -> what the shell reads in their place.
PLACEHOLDERS = (
    (r"\bRUN\b", '"$(last_run)"'),
    (r'"1cde e8ab[^"]*"', '"$(fingerprint)"'),
    (r"postgresql://\S+", '"$TEST_DATABASE_URL"'),
    (r"c-…", '"$(a_claim)"'),
)
# Pages that begin with an empty workspace, and pages that make their key themselves.
EMPTY = ("docs/owner.md", "docs/tutorial.md")
KEYLESS = (*EMPTY, "README.md")


def reason(page: str, text: str) -> str | None:
    return next((why for where, start, why in NOT_RUN if where in ("*", page) and text.startswith(start)), None)


@pytest.mark.parametrize("page", pages())
def test_every_command_of_a_page_exists(page: str) -> None:
    """Guards a page that names a command, an option, a script, a test or an extra that is not there."""
    wrong = [f"{c}: {why}" for c in commands(page, shell=page not in ELSEWHERE) if (why := problem(c))]
    assert not wrong, "\n".join(wrong)


def test_the_check_sees_what_is_not_there() -> None:
    """The test above can fail: each of these is wrong in one word."""
    for words, inline in (
        (("sovereign", "asks", "x"), True),
        (("sovereign", "ask", "x", "--fast"), True),
        (("sovereign", "ask"), False),
        (("sovereign", "agenda", "work", "--workers", "many"), False),
        (("python", "benchmarks/none.py"), True),
        (("python", "benchmarks/scale.py", "--sizes", "1", "--none"), False),
        (("python", "-m", "sovereign.lab", "run", "x", "--none"), False),
        (("pytest", "tests/none"), True),
        (("pip", "install", "sovereign-kernel[none]"), False),
    ):
        assert problem(Command("page", 1, words, inline)), words


def test_what_runs_elsewhere_is_run_there() -> None:
    for page, test in ELSEWHERE.items():
        if page in pages():
            assert Path(page).name in (ROOT / test).read_text(encoding="utf-8"), (page, test)


def test_every_reason_for_not_running_is_needed() -> None:
    """An exemption that fits nothing any more hides the next one."""
    typed = [(b.page, text) for page in pages() if page not in ELSEWHERE for b in blocks(page) if b.lang in SHELL for _, text in b.lines()]
    for where, start, _ in NOT_RUN:
        assert any(where in ("*", page) and text.startswith(start) for page, text in typed), (where, start)
    for where, start, code, _ in CODES:
        assert any(where == page and text.startswith(start) for page, text in typed), (where, start, code)


def test_no_command_hides_in_a_block_without_a_language() -> None:
    """Only shell blocks are read; a command in any other block would be shown and never held against anything."""
    for page in pages():
        fenced = blocks(page)
        for block in fenced:
            if block.lang not in (*SHELL, *OTHER):
                assert not any(TYPED.match(x.strip("$ ")) for x in block.body.splitlines()), f"{page}:{block.line}: say ```sh"
        inside = {n for b in fenced for n in range(b.line - 1, b.line + b.body.count("\n") + 1)}
        for number, line in enumerate(text_of(page).splitlines(), 1):
            assert number in inside or not re.match(rf"^(?: {{4,}}|\t){TYPED.pattern[1:]}", line), f"{page}:{number}: put it into ```sh"


def test_every_option_that_is_named_exists_somewhere() -> None:
    """Guards an option named in running text that no command, study or script has."""
    known = set(re.findall(r"--[a-z][\w-]+", " ".join(p.read_text(encoding="utf-8") for p in (ROOT / "benchmarks").rglob("*.py"))))
    known |= {o for leaf in leaves().values() for p in leaf.params for o in p.opts}
    known |= set(re.findall(r"--[a-z][\w-]+", (ROOT / "src/sovereign/lab/__main__.py").read_text(encoding="utf-8")))
    known |= {"--help", "--version", "--quiet", "--strict"}  # ours through typer, and two of mkdocs
    for page in pages():
        for number, line in enumerate(text_of(page).splitlines(), 1):
            for option in re.findall(r"`[^`]*?(--[a-z][\w-]+)[^`]*`", line):
                assert option in known, f"{page}:{number}: {option}"


# --- one command against the parser that would read it ---


def problem(c: Command) -> str:
    """Why nobody can type this; empty when it can be typed."""
    head, *rest = c.words
    if head == "sovereign":
        return of_ours(tuple(rest), c.inline)
    if head == "pip":
        return next(
            (f"no extra {e!r}" for w in rest for m in re.findall(r"\[([\w,]+)\]", w) for e in m.split(",") if e not in extras()), ""
        )
    if head == "pytest":
        return next((f"{w} does not exist" for w in rest if w.startswith("tests") and not (ROOT / w.partition("::")[0]).exists()), "")
    if head in ("python", "python3"):
        return of_python(tuple(rest), c.inline)
    if "/" in head and not head.startswith((".venv", "/")):
        path = ROOT / head
        return "" if path.is_file() and path.stat().st_mode & stat.S_IXUSR else f"{head} is not there or cannot be run"
    return ""


@cache
def leaves() -> dict[str, Any]:
    """Full name -> command of the real command line."""
    import typer

    from sovereign.cli.app import app

    found: dict[str, Any] = {}

    def walk(command: Any, path: str) -> None:
        below = getattr(command, "commands", None)
        if below is None:
            found[path] = command
        for name, child in (below or {}).items():
            walk(child, f"{path} {name}".strip())

    walk(typer.main.get_command(app), "")
    return found


@cache
def extras() -> frozenset[str]:
    import tomllib

    return frozenset(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])


def of_ours(words: tuple[str, ...], inline: bool) -> str:
    if not words or words[0].startswith("-"):
        return "" if not words or words[0] in ("--version", "--help", "-V") else f"no option {words[0]}"
    name = next((n for n in (" ".join(words[:2]), words[0]) if n in leaves()), None)
    if name is None:
        group = [n for n in leaves() if n.startswith(f"{words[0]} ")]
        return "" if inline and len(words) == 1 and group else f"no command {' '.join(words[:2])!r}"
    command, given = leaves()[name], list(words[len(name.split()) :])
    if inline:
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
        return next((f"{name} has no {w}" for w in given if re.match(r"--?[a-z]", w) and w.partition("=")[0] not in known), "")
    import typer

    usage_error = typer.BadParameter.__mro__[1]  # the parser's own; its module differs between typer's versions
    try:
        command.make_context(name, given)
    except usage_error as exc:
        return f"{type(exc).__name__} {exc}"
    return ""


STOP = """
import argparse, runpy, sys
def stop(self, args=None, namespace=None):
    parsed(self, args, namespace)
    raise SystemExit(0)
parsed = argparse.ArgumentParser.parse_args
argparse.ArgumentParser.parse_args = stop
sys.argv = sys.argv[1:]
sys.path.insert(0, __import__("os").path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def of_python(words: tuple[str, ...], inline: bool) -> str:
    if words[:2] == ("-m", "sovereign.lab"):
        from sovereign.lab.__main__ import _parser

        return _refused(lambda: _parser().parse_args(list(words[2:])))
    if not words or words[0].startswith("-"):
        return ""
    path = ROOT / words[0]
    if not path.is_file():
        return f"{words[0]} does not exist"
    given = words[1:]
    source = path.read_text(encoding="utf-8")
    if "parse_args" not in source:
        return f"{words[0]} takes no options" if any(w.startswith("--") for w in given) else ""
    if inline or not given:
        return next((f"{words[0]} has no {w}" for w in given if w.startswith("--") and f'"{w.partition("=")[0]}"' not in source), "")
    done = subprocess.run(
        [sys.executable, "-c", STOP, str(path), *given], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    return "" if done.returncode == 0 else done.stderr[-300:]


def _refused(parse: Any) -> str:
    try:
        parse()
    except SystemExit:
        return "its parser refuses it"
    return ""


# --- a page as a story ---


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the README's question asked and no key yet; built once for all test processes."""
    home = tmp_path_factory.getbasetemp().parent / "asked-for-docs"
    with FileLock(str(home) + ".lock"):
        if not (home / "ready").exists():
            wiring.ask(load(home, offline=True), QUESTION, sources=["local"])
            (home / "ready").write_text("")
    return home


PRELUDE = r"""
last_run() { ls -t "$SOVEREIGN_HOME/runs" | head -1; }
fingerprint() { sovereign audit verify site | sed -n 's/^ *owner key \([0-9a-f ]*[0-9a-f]\).*/\1/p'; }
a_claim() { python -c 'import json,sys; print(json.load(open(sys.argv[1]))["claims"][0]["id"])' "$SOVEREIGN_HOME/runs/$(last_run)/draft.json"; }
cd "$WORK"
"""


def stage(folder: Path, asked: Path, page: str) -> dict[str, str]:
    """The reader's folder: the repository, papers and a manuscript of their own, a workspace; and the environment of their shell."""
    work = folder / "work"
    work.mkdir()
    for name in ("src", "benchmarks", "scripts", "tests", "docs"):
        (work / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", work / "examples")
    own = work / "examples" / "manuscript"
    notes = ROOT / "src/sovereign/library/notes"
    for target in (work, own):
        shutil.copy(ROOT / "examples/manuscript/manuscript.md", target / "paper.md")
        shutil.copy(ROOT / "examples/manuscript/manuscript.tex", target / "paper.tex")
        shutil.copytree(ROOT / "examples/manuscript/sources", target / "cited")
    for name in ("manuscript.md", "refs.bib"):
        shutil.copy(ROOT / "examples/manuscript" / name, work / name)
    shutil.copytree(ROOT / "examples/manuscript/sources", work / "sources")
    (work / "papers").mkdir()
    shutil.copy(notes / "2410.17954.md", work / "papers")
    shutil.copy(notes / "2604.23996.md", work / "note.md")
    home = folder / "home"
    shutil.copy(next((asked / "runs").iterdir()) / "draft.pdf", work / "paper.pdf")
    if page not in EMPTY:
        shutil.copytree(asked, home)
    if page not in KEYLESS:
        with wiring.workspace(load(home, offline=True)) as ws:
            gate.create_key(ws, PASSPHRASE, owner="Ada Owner")
    if "trace.npz" in text_of(page):
        _trace(work / "trace.npz")
    tools = folder / "bin"
    tools.mkdir()
    for name, line in (
        ("sovereign", f'exec "{sys.executable}" -c "from sovereign.cli import main; main()" "$@"'),
        ("python", f'exec "{sys.executable}" "$@"'),
        ("pytest", f'exec "{sys.executable}" -m pytest "$@"'),
    ):
        (tools / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (tools / name).chmod(0o755)
    return {
        **{k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"},
        "WORK": str(work),
        "SOVEREIGN_HOME": str(home),
        "SOVEREIGN_KEY_PASSPHRASE": PASSPHRASE,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
    }


def _trace(path: Path) -> None:
    """A reader's own routing trace: four requests through three layers of eight experts."""
    from sovereign.lab.caching import synthetic
    from sovereign.lab.trace import RoutingTrace, make_meta

    routes = synthetic.routes(synthetic.Shape("s", 3, 8, 2, 1), requests=4, prompt=2, decode=6, seed=0)
    where = {"request": routes.request.astype(np.int32), "position": routes.position.astype(np.int32), "is_decode": routes.is_decode}
    meta = make_meta(num_experts=8, k=2, layers=3, model="s", versions={"numpy": np.__version__})
    RoutingTrace(experts=routes.experts.astype(np.int16), meta=meta, **where).save(path)


def code_of(page: str, text: str, before: int) -> int:
    """The exit code that is right for a command that this page has shown `before` times already."""
    code = next((c for where, start, c, _ in CODES if where == page and text.startswith(start)), 0)
    return code if isinstance(code, int) else code[before]


@dataclass(frozen=True)
class Step:
    """One thing that is run: what the page shows, the exit code that is right, and the answer that the page shows."""

    shown: str
    code: int
    answer: tuple[str, ...] = ()


def script(page: str) -> tuple[str, list[Step]]:
    """The page as one shell script, and its steps in order."""
    lines, steps = [PRELUDE], []

    def add(shown: str, typed: str, code: int = 0, answer: Sequence[str] = ()) -> None:
        number = len(steps)
        lines.append(f'{{ {typed}\n}} >"$WORK/../{number}.out" 2>&1 </dev/null; echo "{number} $?" >>"$WORK/../codes"')
        kept = (a for a in answer if not any(where == page and a.startswith(start) for where, start, _ in NOT_SHOWN))
        steps.append(Step(shown, code, tuple(kept)))

    for number, block in enumerate(blocks(page)):
        lines.append('cd "$WORK"')
        if block.lang == "python":
            lines.append(f"cat >program{number}.py <<'PROGRAM'\n{block.body}\nPROGRAM")
            add(f"{page}:{block.line}: the program", f"python program{number}.py")
        elif block.lang in SHELL and page not in ELSEWHERE:
            for line, text in block.lines():
                if reason(page, text) is None:
                    typed = text
                    for mark, value in PLACEHOLDERS:
                        typed = re.sub(mark, value.replace("\\", "\\\\"), typed)
                    before = sum(s.shown.endswith(f": {text}") for s in steps)
                    add(f"{page}:{line}: {text}", typed, code_of(page, text, before), block.shown().get(line, ()))
    return "\n".join(lines), steps


STORIES = [page for page in pages() if script(page)[1]]


@pytest.mark.slow
@pytest.mark.timeout(900)  # against a hang only: some twenty processes on a busy machine
@pytest.mark.parametrize("page", STORIES)
def test_a_page_can_be_followed_from_top_to_bottom(page: str, asked: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Guards a page whose commands exist and yet do not work in the order in which they are shown."""
    environment = stage(tmp_path, asked, page)
    text, steps = script(page)
    if "$TEST_DATABASE_URL" in text:
        environment["TEST_DATABASE_URL"] = request.getfixturevalue("server").url
    subprocess.run(["bash", "-c", text], env=environment, check=False, timeout=880, stdin=subprocess.DEVNULL, capture_output=True)
    done = dict(line.split() for line in (tmp_path / "codes").read_text().splitlines())
    wrong = []
    for number, step in enumerate(steps):
        said = (tmp_path / f"{number}.out").read_text(errors="replace") if str(number) in done else ""
        if done.get(str(number)) != str(step.code):
            wrong.append(f"{step.shown}\n  exit code {done.get(str(number), 'none')}, expected {step.code}:\n{said[-1500:]}")
        elif stale := [a for a in step.answer if not answered(a, said)]:
            wrong.append(f"{step.shown}\n  does not answer any more:\n" + "\n".join(stale) + f"\n  but:\n{said[-1500:]}")
    assert not wrong, "\n\n".join(wrong)


def answered(shown: str, said: str) -> bool:
    """Whether a line of the page is a line of the answer, apart from numbers, ids, fingerprints, and what `…` stands for."""
    pieces = [re.escape(p) for p in _plain(shown).split("…")]
    return any(re.fullmatch(".*".join(pieces), _plain(line)) for line in said.splitlines())


def _plain(line: str) -> str:
    line = re.sub(r"\bRUN\b|\br-[0-9a-f]{10}(?:-\d+)?\b|(?:[0-9a-f]{4} ){3,}[0-9a-f]{4}", "#", line)
    return " ".join(re.sub(r"\d[\d.,]*", "#", line).split())


def test_a_stale_answer_is_seen() -> None:
    said = "  claims    24 looked at, 18 supported\nOwner key made: /tmp/x/keys/owner.pem\n"
    assert answered("  claims  7 looked at, 3 supported", said) and answered("Owner key made: …/keys/owner.pem", said)
    assert not answered("  claims  7 looked at, 3 verified", said) and not answered("Owner key made", said)


# --- what is shown and not typed ---


def settings_blocks() -> list[Block]:
    return [b for page in pages() for b in blocks(page) if b.lang == "toml"]


@pytest.mark.parametrize("block", settings_blocks(), ids=lambda b: f"{b.page}:{b.line}")
def test_settings_that_are_shown_can_be_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "sovereign.toml").write_text(block.body)
    load(tmp_path)


def test_json_that_is_shown_is_json() -> None:
    shown = [b for page in pages() for b in blocks(page) if b.lang == "json"]
    assert shown
    for block in shown:
        body = json.loads(block.body)
        for server in body.get("mcpServers", {}).values():
            assert not of_ours(tuple(server["args"]), inline=False), block


def test_the_fields_of_a_run_are_the_documented_ones(asked: Path) -> None:
    """docs/json.md names every field of a run and of a claim, and no other."""
    from sovereign import api

    run = dict(api.run(next((asked / "runs").iterdir()).name, workspace=asked).body)
    text = text_of("docs/json.md")
    table = {
        head: re.findall(r"^\| (.+?) \|", part, re.M)[1:] for head, part in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    }

    def named(rows: list[str]) -> set[str]:
        return {name.removesuffix("[]") for row in rows for name in re.findall(r"`([\w\[\]]+)`", row)}

    later = set(re.findall(r"`(state|timings_s|files)`", text))
    assert named(table["Fields"]) | later == set(run) | {"state", "timings_s", "files"}
    assert named(table["A claim"]) == set(run["claims"][0])
