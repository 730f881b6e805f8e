"""A manuscript's files: the text with its includes, the bibliography with the line of each key, and where a sentence stands in the author's own file.

Sits beside the path: imports readers and records. Refuses files outside the manuscript's own folder that only the manuscript names.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sovereign.errors import BadInput, NotFound, Unreadable
from sovereign.readers import ReadLimits, _references, read_bounded
from sovereign.readers._text import decode
from sovereign.readers.bibtex import as_reference, parse_entries
from sovereign.readers.markdown import front_matter
from sovereign.records import Document, PassageKind, Reference

_LATEX = (".tex", ".ltx")
_TEXT = (*_LATEX, ".md", ".markdown", ".mdown", ".txt", ".text", ".html", ".htm", ".xhtml")
_INCLUDE = re.compile(r"\\(?:input|include|subfile)\s*\{([^{}]{1,200})\}")
_NAMED_BIB = re.compile(r"\\(?:bibliography|addbibresource)\s*(?:\[[^\]]*\])?\{([^{}]{1,400})\}")
_REFERENCES = re.compile(r"^(?:\d+\.?\s+)?(?:references|bibliography|literature cited)\b", re.IGNORECASE)
_ENTRY = re.compile(r"@\s*([A-Za-z]+)\s*[{(]\s*([^\s,={}()@\"]*)\s*(,?)")
MAX_FILES = 60


@dataclass(frozen=True)
class Problem:
    """What is wrong with one entry of a bibliography file. `line` is 1-based."""

    key: str
    line: int
    file: str
    problem: str
    kind: str  # broken | duplicate | same_again


@dataclass
class Manuscript:
    """A manuscript as read. `texts`: the author's own text files, name -> text, the main one first; empty for PDF."""

    path: Path
    document: Document
    sha256: str
    texts: dict[str, str] = field(default_factory=dict)
    bibliography: list[Path] = field(default_factory=list)  # files it names itself and that lie beside it


@dataclass
class Bibliography:
    """Every entry that could be read, first come first; `lines`: key -> (file, line) for entries of BibTeX files."""

    references: dict[str, Reference] = field(default_factory=dict)
    lines: dict[str, tuple[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    @property
    def known(self) -> bool:
        return bool(self.files or self.references)


def read_manuscript(path: Path, limits: ReadLimits) -> Manuscript:
    """The manuscript with the files it includes. Raises NotFound, BadInput (a folder, a bibliography) or Unreadable (empty, encrypted …)."""
    from sovereign import seal

    if path.is_dir():
        raise BadInput(f"{path} is a folder.", mend="Give the manuscript's own file: .md, .tex, .pdf, .html or .txt.", subject=str(path))
    if not path.is_file():
        raise NotFound(f"{path} does not exist.", mend="Give a Markdown, LaTeX, PDF, HTML or text file.", subject=str(path))
    if path.suffix.lower() in (".bib", ".bibtex"):
        raise BadInput(
            f"{path.name} is a bibliography, not a manuscript.", mend="Give it with --bib, and the manuscript first.", subject=str(path)
        )
    body = path.read_bytes()
    if not body.strip():
        raise Unreadable(f"{path.name}: The file is empty.", kind="empty", mend="Give a manuscript with text.", subject=str(path))
    texts: dict[str, str] = {}
    if path.suffix.lower() in _TEXT:
        texts[path.name] = decode(body)
    named: list[Path] = []
    bundle = body
    name = path.name
    if path.suffix.lower() in _LATEX:
        extra = _beside(path, texts)
        named = [p for p in extra if p.suffix.lower() == ".bib"]
        others = [p for p in extra if p.suffix.lower() != ".bib"]
        if others:
            bundle, name = _zipped(path, body, others), path.stem + ".zip"
    elif path.suffix.lower() in (".md", ".markdown", ".mdown"):
        fields = front_matter(texts[path.name])[0].get("bibliography", [])
        named = [p for b in ([fields] if isinstance(fields, str) else fields) if (p := _inside(path, str(b))) is not None]
    here = path.parent.resolve()
    named = [path.parent / p.relative_to(here) for p in named]
    try:
        document = read_bounded(bundle, filename=name, limits=limits)
    except Unreadable as exc:
        raise Unreadable(f"{path.name}: {exc.message}", kind=exc.kind, mend=exc.mend, subject=str(path)) from exc
    return Manuscript(path, document, seal.sha256(body), texts, named)


def manuscript_of(text: str, suffix: str, limits: ReadLimits) -> Manuscript:
    """A manuscript given as text, without any file beside it. `suffix` says how to read it: .md, .tex, .html or .txt. Raises Unreadable."""
    from sovereign import seal

    name = f"manuscript{suffix}"
    body = text.encode("utf-8", "replace")
    if not body.strip():
        raise Unreadable("The manuscript is empty.", kind="empty", mend="Give a manuscript with text.", subject="text")
    return Manuscript(Path(name), read_bounded(body, filename=name, limits=limits), seal.sha256(body), {name: text})


def _inside(manuscript: Path, name: str) -> Path | None:
    """A file that the manuscript names, when it lies in the manuscript's own folder or below; links that lead out are not followed."""
    folder = manuscript.parent.resolve()
    candidate = (folder / name.strip()).resolve()
    return candidate if candidate.is_file() and candidate.is_relative_to(folder) else None


def _beside(path: Path, texts: dict[str, str]) -> list[Path]:
    """Files that a LaTeX manuscript puts in (also through others), its .bbl, and the .bib files it names. Fills `texts`."""
    found: dict[Path, None] = {}
    waiting = [texts[path.name]]
    while waiting and len(found) < MAX_FILES:
        source = waiting.pop()
        for name in _INCLUDE.findall(source):
            held = _inside(path, name) or _inside(path, name + ".tex")
            if held is not None and held not in found and held != path.resolve() and held.suffix.lower() in (*_LATEX, ".bbl"):
                found[held] = None
                text = decode(held.read_bytes())
                texts[str(held.relative_to(path.parent.resolve()))] = text
                waiting.append(text)
        for names in _NAMED_BIB.findall(source):
            for name in names.split(","):
                bib = _inside(path, name.strip()) or _inside(path, name.strip() + ".bib")
                if bib is not None and bib.suffix.lower() == ".bib":
                    found[bib] = None
    bbl = path.with_suffix(".bbl")
    if bbl.is_file():
        found[bbl.resolve()] = None
    return list(found)


def _zipped(path: Path, body: bytes, others: Sequence[Path]) -> bytes:
    """The sources as the archive that the LaTeX reader knows, so that includes and the .bbl are read in the same confined child."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(path.name, body)
        for other in others:
            archive.writestr(str(other.relative_to(path.parent.resolve())), other.read_bytes())
    return held.getvalue()


# --- the bibliography ---


def read_bibliography(files: Sequence[Path], document: Document) -> Bibliography:
    """Entries of the given BibTeX files, then the references that the manuscript itself prints. Raises NotFound, BadInput or Unreadable."""
    texts = []
    for file in files:
        if file.is_dir() or not file.is_file():
            what = "is a folder" if file.is_dir() else "does not exist"
            raise (BadInput if file.is_dir() else NotFound)(f"{file} {what}.", mend="Give a BibTeX file with --bib.", subject=str(file))
        texts.append((file.name, decode(file.read_bytes())))
    out = bibliography(texts, document)
    out.paths += files
    return out


def bibliography(texts: Sequence[tuple[str, str]], document: Document) -> Bibliography:
    """The same from (name, text) pairs. Raises Unreadable for a text without an entry."""
    out = Bibliography()
    for name, text in texts:
        entries, _ = parse_entries(text)
        if not entries and "@" not in text:
            raise Unreadable(f"{name} holds no BibTeX entry.", kind="unknown_format", mend="Give BibTeX entries.", subject=name)
        out.files.append(name)
        _take(out, name, text)
    for reference in [*document.references, *printed(document)]:
        out.references.setdefault(reference.key, reference)
    return out


def _take(out: Bibliography, file: str, text: str) -> None:
    """Entries with their lines; broken ones and second entries of one key as problems. The first of two entries counts, as BibTeX has it."""
    entries, _ = parse_entries(text)
    left: dict[str, list[Reference]] = {}
    for entry in entries:
        left.setdefault(entry.key, []).append(as_reference(entry))
    seen: dict[str, Reference] = {}
    for match in _ENTRY.finditer(text):
        line_start = text.rfind("\n", 0, match.start()) + 1
        if match.group(1).lower() in ("comment", "preamble", "string") or text[line_start : match.start()].strip():
            continue
        key, line = match.group(2), text.count("\n", 0, match.start()) + 1
        if not left.get(key):
            why = (
                "no key" if not key else ("no comma behind the key" if not match.group(3) else "a brace that is never closed, or no fields")
            )
            out.problems.append(Problem(key or "(no key)", line, file, why, "broken"))
            continue
        reference = left[key].pop(0)
        if key in seen or key in out.references:
            same = reference == (seen.get(key) or out.references[key])
            before = out.lines.get(key, (file, 0))
            why = f"the same entry stands in {before[0]}, line {before[1]}, already" if same else (
                f"another entry has this key in {before[0]}, line {before[1]}; that first one counts")  # fmt: skip
            out.problems.append(Problem(key, line, file, why, "same_again" if same else "duplicate"))
            continue
        seen[key] = reference
        out.references[key] = reference
        out.lines[key] = (file, line)


def printed(document: Document) -> list[Reference]:
    """The numbered list under "References" of a format whose reader leaves it as prose (Markdown, plain text)."""
    if document.references:
        return []
    blocks: list[str] = []
    last = -1
    for passage in document.passages:
        if passage.kind is not PassageKind.PROSE or not _REFERENCES.match(passage.section.split(" / ")[-1].strip()):
            continue
        joint = document.text[last : passage.start] if 0 <= last <= passage.start else "\n"
        if blocks and "\n" not in joint:
            blocks[-1] += " " + passage.text
        else:
            blocks.append(passage.text)
        last = passage.end
    items: list[tuple[str, str]] = []
    for block in blocks:
        pieces = [p for p in re.split(r"(?:(?<=\s)|^)(?=\[\d{1,3}\]\s)", block) if p.strip()]
        if not re.match(r"\[\d", block):
            pieces = (
                [p for p in re.split(r"(?:(?<=\s)|^)(?=\d{1,3}\.\s+[A-Z])", block) if p.strip()] if re.match(r"1\.\s", block) else [block]
            )
        for piece in pieces:
            number = re.match(r"\[?(\d{1,3})[\].]\s*", piece)
            items.append((number.group(1) if number else str(len(items) + 1), piece[number.end() :] if number else piece))
    return [_references.parse(key, text.strip()) for key, text in items if len(text.split()) > 2]


# --- where a sentence stands in the author's file ---


@dataclass(frozen=True)
class Place:
    """1-based lines and columns (Unicode code points); end_column is one behind the last character."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


class Finder:
    """Finds sentences of the parsed text in the source files by their words: markup between the words does not matter."""

    _REACH = 14  # source words (commands, keys, options) that may stand between two words of a sentence
    _ENOUGH = 0.75

    def __init__(self, texts: Mapping[str, str]):
        self._texts = dict(texts)
        self._words = {
            name: [(m.group().lower(), m.start(), m.end()) for m in re.finditer(r"[^\W_]+", text)] for name, text in texts.items()
        }
        self._at: dict[str, dict[str, list[int]]] = {}
        for name, words in self._words.items():
            index: dict[str, list[int]] = {}
            for n, (word, _, _) in enumerate(words):
                index.setdefault(word, []).append(n)
            self._at[name] = index
        self._cursor = dict.fromkeys(texts, 0)

    def place(self, sentence: str) -> Place | None:
        """Where the sentence stands, by the most of its words; of equals the next one in order, from its last possible beginning. None when it is not there."""
        wanted = [w.lower() for w in re.findall(r"[^\W_]+", sentence)]
        best: tuple[tuple[int, bool, int, int], str, int, int] | None = None
        for name in self._texts:
            starts = sorted({n for word in wanted[:3] for n in self._at[name].get(word, ())}, key=lambda n: (n < self._cursor[name], n))
            for begin in starts[:400]:
                followed = self._follow(name, begin, wanted)
                if followed is not None:
                    hits, end = followed
                    rank = (-hits, begin < self._cursor[name], end, -begin)
                    best = min(best, (rank, name, begin, end)) if best else (rank, name, begin, end)
            if best is not None:
                break
        if best is None:
            return None
        _, name, begin, end = best
        self._cursor[name] = end + 1
        return self._as_place(name, begin, end)

    def _follow(self, name: str, begin: int, wanted: list[str]) -> tuple[int, int] | None:
        """(words found, index of the last one), or None when too few follow closely enough."""
        words = self._words[name]
        at, hits, last, missed = begin, 0, begin, 0
        for word in wanted:
            found = next((n for n in range(at, min(at + self._REACH, len(words))) if words[n][0] == word), None)
            if found is None:
                missed += 1
                if missed > (1 - self._ENOUGH) * len(wanted):
                    return None
                continue
            hits, last, at = hits + 1, found, found + 1
        return (hits, last) if last - begin < 2 * len(wanted) + 20 else None

    def _as_place(self, name: str, begin: int, end: int) -> Place:
        text = self._texts[name]
        start, stop = self._words[name][begin][1], self._words[name][end][2]
        closing = re.compile(r"[ \t]?[%}\]\)]*[.!?]?[\"”’)\]]*").match(text, stop)
        stop = closing.end() if closing else stop
        line, end_line = text.count("\n", 0, start) + 1, text.count("\n", 0, stop) + 1
        column, end_column = start - text.rfind("\n", 0, start), stop - text.rfind("\n", 0, stop)
        return Place(name, line, column, end_line, end_column)
