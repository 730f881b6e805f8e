"""LaTeX sources, alone or as an e-print archive: sections, captions, tables to rows, citations with their keys. Imports this package and records.

Runs no TeX and opens no file: includes come from the archive or are reported as unread.
"""

from __future__ import annotations

import re

from sovereign.errors import Unreadable
from sovereign.readers import _archive, _latex_source, _latex_tables, _references, _tex
from sovereign.readers._assemble import Assembly
from sovereign.readers._latex_text import Inline, convert, inline
from sovereign.readers._limits import ReadLimits
from sovereign.readers._text import decode, one_line
from sovereign.readers.bibtex import as_reference, parse_entries
from sovereign.records import Document, PassageKind

NAME = "latex/1"
_MATHS = frozenset(
    "equation align gather multline eqnarray displaymath math flalign alignat split dmath IEEEeqnarray subequations empheq".split()
)
_DROPPED = frozenset("tikzpicture pgfpicture comment filecontents picture forest CCSXML tikzcd asy".split())
_CODE = frozenset("verbatim lstlisting minted Verbatim alltt".split())
_FLOATS = {"table": "Table", "wraptable": "Table", "sidewaystable": "Table", "longtable": "Table", "figure": "Figure", "wrapfigure": "Figure",
           "sidewaysfigure": "Figure", "SCfigure": "Figure", "algorithm": "Algorithm", "teaserfigure": "Figure", "margintable": "Table"}  # fmt: skip
_SUB = frozenset("subfigure subtable subfloat".split())
_ARGUMENTS = {"minipage": 1, "adjustbox": 1, "multicols": 1, "spacing": 1, "adjustwidth": 2, "wrapfigure": 2, "wraptable": 2, "tcolorbox": 0,
              "resizebox": 2, "subfigure": 1, "subtable": 1, "thebibliography": 1, "changemargin": 2, "mdframed": 0, "textblock": 1}  # fmt: skip
_STEP = re.compile(
    r"\\begin\s*\{([A-Za-z]+)\*?\}|\\(part|chapter|section|subsection|subsubsection|paragraph|subparagraph)\b\*?\s*|\\(item)\b\s*|\\(caption|captionof)\*?"
    r"(?=\s*[\[{])|(\$\$|\\\[)|(\n[ \t]*\n\s*|\\par\b|\\end\s*\{[A-Za-z]+\*?\})|\\(appendix|maketitle|printbibliography)\b|\\(bibliography)\s*(?=\{)"
)
_LEVELS = {"part": 1, "chapter": 1, "section": 1, "subsection": 2, "subsubsection": 3, "paragraph": 4, "subparagraph": 5}


class LatexReader:
    name = NAME
    suffixes: tuple[str, ...] = (".tex", ".ltx", ".tar.gz", ".tgz", ".tar", ".gz", ".zip")

    def recognises(self, head: bytes, filename: str) -> bool:
        if _archive.is_archive(head):
            return True
        if head.startswith((b"%PDF-", b"<")):
            return False
        named = filename.lower().endswith((".tex", ".ltx"))
        marks = len(
            re.findall(rb"\\(?:documentclass|documentstyle|begin\{|section\*?\{|usepackage|newcommand|title\{|maketitle|input\{)", head)
        )
        return marks > 0 and (named or rb"\document" in head or marks > 2)

    def read(self, body: bytes, *, filename: str) -> Document:
        return self.read_within(body, filename=filename, limits=ReadLimits())

    def read_within(self, body: bytes, *, filename: str, limits: ReadLimits) -> Document:
        """As read, with the unpacked size bounded by limits.max_bytes."""
        if not _archive.is_archive(body[:512]):
            return read_sources({filename or "main.tex": decode(body)}, [])
        unpacked = _archive.unpack(body, limits.max_bytes)
        if set(unpacked.files) == {""}:
            from sovereign.readers._bounded import read_within

            inner = re.sub(r"\.gz$", "", filename, flags=re.IGNORECASE)
            if _archive.is_archive(unpacked.files[""][:512]):
                raise Unreadable("An archive inside an archive is not opened.", kind="too_large", subject=filename)
            return read_within(unpacked.files[""], inner, limits)
        return _read_archive(unpacked, filename, limits)


def _read_archive(unpacked: _archive.Unpacked, filename: str, limits: ReadLimits) -> Document:
    texts = {}
    for name, data in unpacked.files.items():
        if not name.lower().endswith((".pdf", ".sty")):
            try:
                texts[name] = decode(data)
            except Unreadable:
                unpacked.refused.append(f"{name}: not text")
    if _latex_source.main_file(texts):
        return read_sources(texts, unpacked.refused)
    others = sorted(
        (n for n in unpacked.files if n.lower().endswith((".pdf", ".html", ".xml", ".nxml", ".md", ".txt"))),
        key=lambda n: (n.count("/"), n),
    )
    if others:
        from sovereign.readers._bounded import read_within

        return read_within(unpacked.files[others[0]], others[0], limits)
    raise Unreadable(
        "The archive holds no LaTeX document.",
        kind="unknown_format",
        mend="Give the archive that arXiv offers as the e-print source.",
        subject=filename,
    )


def read_sources(files: dict[str, str], refused: list[str]) -> Document:
    """The document that `files` (path -> text) hold. Raises Unreadable(kind="empty") when it has no text."""
    main = _latex_source.main_file(files)
    if main is None:
        main = max(files, key=lambda n: len(files[n]))
    whole, missing = _latex_source.with_includes(main, files)
    whole, stopped = _latex_source.expand(whole)
    out = Assembly(NAME)
    for name in dict.fromkeys(missing):
        out.unread(f"included file {name[:120]}", "not in the archive")
    for line in refused[:50]:
        out.unread("archive member", line)
    if stopped:
        out.unread("macros", "their expansion was stopped at its limit")
    return _Reading(out, whole, files, main).run()


class _Reading:
    """Walks one expanded document and feeds the assembly."""

    def __init__(self, out: Assembly, whole: str, files: dict[str, str], main: str):
        self._out, self._files, self._main = out, files, main
        preamble, begin, body = whole.partition("\\begin{document}")
        self._preamble, self._body = (preamble, body.partition("\\end{document}")[0]) if begin else ("", whole)
        self._whole = whole
        self._labels, _ = _latex_source.number_labels(self._body)
        self._counts: dict[str, int] = {}
        self._abstract: list[str] = []
        self._kind = PassageKind.PROSE
        self._references_done = False
        self._cited: dict[str, None] = {}

    def run(self) -> Document:
        title = _field(self._whole, ("title", "icmltitle", "Title", "mytitle"))
        authors = _authors(self._whole)
        if title:
            self._out.label(title)
        if authors:
            self._out.label(", ".join(authors))
        in_command = _raw_field(self._preamble + self._body, ("abstract", "Abstract"))
        if in_command and "\\begin{abstract}" not in self._body:
            self._abstract_block(in_command)
        self.walk(self._body, 0)
        if not self._references_done:
            self._bibliography()
        return self._out.finish(title=title, authors=authors, abstract=" ".join(self._abstract) or None)

    def walk(self, source: str, depth: int) -> None:
        """Blocks in order. Depth of environments is bounded; beyond it text is kept flat."""
        if depth > _tex.MAX_DEPTH:
            self._paragraph(source)
            return
        at = copied = 0
        while step := _STEP.search(source, at):
            begin, heading, item, caption, display, break_, special, bibliography = step.groups()
            if begin is None and heading is None and not (item or caption or display or break_ or special or bibliography):
                at = step.end()
                continue
            self._paragraph(source[copied : step.start()])
            at = step.end()
            if begin:
                at = self._environment(begin, source, at, depth)
            elif heading:
                _, at = _tex.optional(source, at)
                text, at = _tex.argument(source, at)
                self._out.heading(convert(text, self._labels).text, _LEVELS[heading])
            elif item:
                label, at = _tex.optional(source, at)
                if label:
                    at, source = 0, label + " " + source[at:]
            elif caption:
                at = self._caption(source, at, "Figure", named=caption == "captionof")
            elif display:
                close = "$$" if display == "$$" else "\\]"
                end = source.find(close, at)
                end = len(source) if end < 0 else end
                self._equation(source[at:end])
                at = end + 2
            elif bibliography:
                _, at = _tex.argument(source, at)
                self._bibliography()
            elif special == "printbibliography":
                self._bibliography()
            copied = at
        self._paragraph(source[copied:])

    def _paragraph(self, source: str) -> None:
        if not source.strip():
            return
        said = convert(source, self._labels)
        if not re.search(r"\w", said.text) and not said.hidden:
            return
        self._cited.update(dict.fromkeys(k for _, keys in said.cites for k in keys))
        if self._kind is PassageKind.ABSTRACT and one_line(said.text):
            self._abstract.append(one_line(said.text))
        self._out.paragraph(said.text, kind=self._kind, cites=said.cites)
        self._aside(said)

    def _aside(self, said: Inline) -> None:
        for text in said.hidden:
            self._out.hidden(text, "white text")
        for note in said.footnotes[:200]:
            inner = convert(note, self._labels)
            self._out.paragraph(inner.text, cites=inner.cites)

    def _equation(self, source: str) -> None:
        self._out.equation(_tex.math(re.sub(r"\\label\s*\{[^{}]*\}", "", source)))

    def _abstract_block(self, source: str) -> None:
        self._kind = PassageKind.ABSTRACT
        self._out.heading("Abstract")
        self.walk(source, 1)
        self._out.leave_sections()
        self._kind = PassageKind.PROSE

    def _environment(self, name: str, source: str, at: int, depth: int) -> int:
        """One environment from behind its \\begin; returns where the input goes on."""
        end, after = _environment_end(name, source, at)
        body = source[at:end]
        if name in _CODE:
            self._out.verbatim(re.sub(r"\A\s*(?:\[[^\]]*\])?(?:\{[^{}]*\})?\n", "\n", body))
        elif name in _DROPPED:
            pass
        elif name in _MATHS:
            self._equation(body)
        elif name == "abstract":
            self._abstract_block(body)
        elif name == "thebibliography":
            self._bibitems(body)
        elif name in _FLOATS:
            self._float(_FLOATS[name], name, body, depth)
        elif name in _latex_tables.TABULARS:
            header, rows = _latex_tables.parse(name, body, self._labels)
            self._out.table(self._out.last_line[:400], header, rows)
        elif name in ("algorithmic", "algorithmicx"):
            self._out.verbatim("\n".join(inline(line) for line in body.split("\n")))
        else:
            skip = 0
            _, skip = _tex.optional(body, skip)
            for _ in range(_ARGUMENTS.get(name, 0)):
                _, skip = _tex.optional(body, skip)
                _, skip = _tex.argument(body, skip)
            self.walk(body[skip:], depth + 1)
        return after

    def _float(self, kind: str, name: str, body: str, depth: int) -> None:
        """A figure or table: its captions, its tabulars with that caption, and for tables the notes below."""
        captions: list[str] = []
        for match in re.finditer(r"\\(caption(?:of)?)\*?(?=\s*[\[{])", body):
            captions.append(
                self._captioned(body, match.end(), kind, named=match.group(1) == "captionof", inside=_inside_sub(body, match.start()))
            )
        main = next((c for c in reversed(captions) if re.match(r"(?:Table|Figure|Algorithm) \d", c)), captions[-1] if captions else "")
        if name in _latex_tables.TABULARS:
            header, rows = _latex_tables.parse(
                name, re.sub(r"\\caption\s*(?:\[[^\]]*\])?\{.*?\}\s*\\\\", "", body, flags=re.DOTALL), self._labels
            )
            self._out.table(main, header, rows)
            return
        found = 0
        for match in re.finditer(r"\\begin\s*\{([A-Za-z]+)\*?\}", body):
            if match.group(1) in _latex_tables.TABULARS and match.start() >= found and not (kind == "Figure" and "includegraphics" in body):
                end, found = _environment_end(match.group(1), body, match.end())
                header, rows = _latex_tables.parse(match.group(1), body[match.end() : end], self._labels)
                self._out.table(main or self._out.last_line[:400], header, rows)
            elif match.group(1) in ("algorithmic", *_CODE) and match.start() >= found:
                end, found = _environment_end(match.group(1), body, match.end())
                self._out.verbatim("\n".join(inline(line) for line in body[match.end() : end].split("\n")))
        if kind == "Table" and found:
            self._notes(body[found:])

    def _notes(self, source: str) -> None:
        source = re.sub(r"\\caption\*?\s*(?:\[[^\]]*\])?\s*", "\\\\@gone", source)
        at = source.find("\\@gone")
        while at >= 0:
            _, end = _tex.argument(source, at + 6)
            source = source[:at] + source[end:]
            at = source.find("\\@gone")
        text = inline(source)
        if len(text.split()) > 4:
            self._out.paragraph(text)

    def _caption(self, source: str, at: int, kind: str, *, named: bool) -> int:
        self._captioned(source, at, kind, named=named, inside=False)
        if named:
            _, at = _tex.argument(source, at)
        _, at = _tex.optional(source, at)
        return _tex.argument(source, at)[1]

    def _captioned(self, source: str, at: int, kind: str, *, named: bool, inside: bool) -> str:
        if named:
            which, at = _tex.argument(source, at)
            kind = which.strip().capitalize() or kind
        _, at = _tex.optional(source, at)
        text, _ = _tex.argument(source, at)
        said = convert(text, self._labels)
        prefix = ""
        if not inside:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            prefix = f"{kind} {self._counts[kind]}: "
        shift = len(prefix) - (len(said.text) - len(said.text.lstrip()))
        self._out.caption(prefix + said.text.lstrip(), [(offset + shift, keys) for offset, keys in said.cites])
        self._cited.update(dict.fromkeys(k for _, keys in said.cites for k in keys))
        for hidden in said.hidden:
            self._out.hidden(hidden, "white text")
        return one_line(prefix + said.text)

    def _bibliography(self) -> None:
        """References from the .bbl beside the document, else the cited entries of its .bib files."""
        if self._references_done:
            return
        stem = re.sub(r"\.\w+$", "", self._main)
        bbls = sorted((n for n in self._files if n.lower().endswith(".bbl")), key=lambda n: (n != f"{stem}.bbl", n))
        for name in bbls:
            source, _ = _latex_source.expand(_latex_source.without_comments(self._files[name]))
            if "\\bibitem" in source:
                self._bibitems(source)
                return
        entries = [e for n in sorted(self._files) if n.lower().endswith(".bib") for e in parse_entries(self._files[n])[0]]
        wanted = [e for e in entries if e.key in self._cited] or (entries if not self._cited else [])
        if wanted:
            self._start_references()
            for entry in wanted:
                self._out.reference(as_reference(entry))
        elif self._cited:
            self._out.unread("references", "neither a .bbl nor a .bib file with the cited keys is there")

    def _start_references(self) -> None:
        self._references_done = True
        self._out.leave_sections()
        self._out.heading("References")

    def _bibitems(self, source: str) -> None:
        if self._references_done:
            return
        self._start_references()
        pieces = re.split(r"\\bibitem\b", source)[1:]
        for piece in pieces:
            _, at = _tex.optional(piece, 0)
            key, at = _tex.argument(piece, at)
            text = inline(piece[at:].partition("\\end{thebibliography}")[0].replace("\\newblock", " "))
            if one_line(text):
                self._out.reference(_references.parse(key.strip(), one_line(text)))


def _inside_sub(body: str, at: int) -> bool:
    before = body[:at]
    return any(len(re.findall(rf"\\begin\{{{n}\}}", before)) > len(re.findall(rf"\\end\{{{n}\}}", before)) for n in _SUB)


def _environment_end(name: str, source: str, at: int) -> tuple[int, int]:
    """(where the body of the environment ends, where the input goes on); the source's end where nothing closes it."""
    depth = 1
    for match in re.compile(rf"\\(begin|end)\s*\{{{name}\*?\}}").finditer(source, at):
        depth += 1 if match.group(1) == "begin" else -1
        if depth == 0:
            return match.start(), match.end()
    return len(source), len(source)


def _raw_field(source: str, names: tuple[str, ...]) -> str | None:
    for name in names:
        match = re.search(rf"\\{name}\s*(?=[\[{{])", source)
        if match:
            _, at = _tex.optional(source, match.end())
            text, _ = _tex.argument(source, at)
            if text.strip():
                return text
    return None


def _field(source: str, names: tuple[str, ...]) -> str | None:
    raw = _raw_field(source, names)
    return one_line(inline(raw)) or None if raw else None


def _authors(source: str) -> list[str]:
    """Names from \\author and its conference variants; what looks like an affiliation or an address is left out."""
    found: list[str] = []
    for match in re.finditer(r"\\(?:icmlauthor|author|name)\b\s*(?=[\[{])", source):
        _, at = _tex.optional(source, match.end())
        text, _ = _tex.argument(source, at)
        text = re.sub(
            r"\\(?:thanks|footnotemark|textsuperscript|inst|affiliation|email|orcidID|thanksref)\s*(?:\[[^\]]*\])?\{[^{}]*\}|\$[^$]*\$",
            " ",
            text,
        )
        for chunk in re.split(r"\\(?:and|And|AND|quad|qquad)\b", text):
            for name in re.split(r",|\s+and\s+|&", inline(_latex_tables.split_top(chunk.strip(), "\\\\")[0])):
                name = re.sub(r"[\d*†‡§¶^_{}]+", "", one_line(name)).strip(" ,.")
                if (
                    1 < len(name.split()) <= 5
                    and "@" not in name
                    and not re.search(r"Universit|Institut|Inc|Lab|School|Departm|College|Research", name)
                ):
                    found.append(name)
    return list(dict.fromkeys(found))[:200]
