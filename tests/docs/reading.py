"""What a reader of the documentation would type: every command and program that its pages show. Standard library only; refuses to run anything."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELL = ("sh", "bash", "console")
OTHER = ("python", "toml", "json", "text")
TYPED = re.compile(r"^(sovereign|python3?|pytest|pip|scripts/\w+|examples/\w+/run|\.ci/run)(?= |$)")
FENCE = re.compile(r"^(?P<indent> *)```(?P<lang>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block. `line`: 1-based, of its first line of content."""

    page: str
    line: int
    lang: str
    body: str

    def shown(self) -> dict[int, list[str]]:
        """Of a console: line number of a command, counted as `lines` counts -> the lines that the page shows as its answer."""
        out: dict[int, list[str]] = {}
        last = 0
        for offset, text in enumerate(joined(self.body).splitlines()):
            if text.startswith("$ "):
                last = self.line + offset
                out[last] = []
            elif self.lang == "console" and last and text.strip():
                out[last].append(text)
        return out

    def lines(self) -> Iterator[tuple[int, str]]:
        """(line number, what is typed there); of a console only what stands behind `$`."""
        for offset, text in enumerate(joined(self.body).splitlines()):
            if self.lang == "console":
                if text.startswith("$ "):
                    yield self.line + offset, text[2:].strip()
            elif text.strip() and not text.lstrip().startswith("#"):
                yield self.line + offset, text.strip()


@dataclass(frozen=True)
class Command:
    """One simple command. `inline`: from running text, where placeholders and brackets may stand."""

    page: str
    line: int
    words: tuple[str, ...]
    inline: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {' '.join(self.words)}"


def joined(body: str) -> str:
    """A line that ends in a backslash goes on in the next one."""
    return re.sub(r"\\\n *", "", body)


def pages() -> list[str]:
    """Every page that a reader may follow, as a path in the repository. Drafts under docs/examples are records, not instructions."""
    found = [p for p in (ROOT / "docs").rglob("*.md") if "docs/examples" not in p.as_posix()]
    beside = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "examples").glob("*/README.md"),
        *(ROOT / "benchmarks").glob("*/README.md"),
    ]
    return sorted(p.relative_to(ROOT).as_posix() for p in (*found, *beside))


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    text = text_of(page)
    return [
        Block(page, text[: m.start("body")].count("\n") + 1, m["lang"], textwrap.dedent(m["body"])) for m in FENCE.finditer(text)
    ]  # a block inside a list is indented


def commands(page: str, *, shell: bool = True) -> list[Command]:
    """Every simple command of the page: of its shell blocks, of the usage lines in its text blocks, and of its running text.
    `shell`: whether its shell blocks can be read line by line."""
    found: list[Command] = []
    for block in blocks(page):
        if block.lang in SHELL and shell:
            found += [Command(page, n, words, False) for n, text in block.lines() for words in simple(text)]
        elif block.lang == "text":
            found += [Command(page, n, bare(text), True) for n, text in block.lines() if TYPED.match(text)]
    blank = FENCE.sub(lambda m: "\n" * m.group(0).count("\n"), text_of(page))
    for m in re.finditer(r"`([^`\n]+)`", blank):
        if TYPED.match(m[1]):
            found.append(Command(page, blank[: m.start()].count("\n") + 1, bare(m[1]), True))
    return found


def simple(line: str) -> list[tuple[str, ...]]:
    """The simple commands of a shell line: without comments, redirections, assignments and `export`."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    out: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if skip:
            skip = False
        elif re.fullmatch(r"[&|;]+", word):
            out.append([])
        elif re.fullmatch(r"[<>]+", word):
            skip = True
        elif not out[-1] and (word == "export" or re.match(r"^\w+=", word)):
            continue
        else:
            out[-1].append(word)
    return [tuple(words) for words in out if words]


def bare(text: str) -> tuple[str, ...]:
    """The words of a usage line or of a command in running text: brackets, dots and alternatives are taken away."""
    words = shlex.split(re.sub(r"[\[\]|]", " ", text), comments=True)
    return tuple(w for w in words if w.strip("….") and w != "·")
