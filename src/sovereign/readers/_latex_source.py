"""LaTeX sources made ready to read: comments gone, includes put in, macros expanded, labels numbered. Imports the TeX notation only.

Bounded against hostile input: depth of includes, number of expansions and length of the result all have limits. Runs no TeX.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from sovereign.readers import _tex

MAX_CHARS = 10_000_000
MAX_EXPANSIONS = 200_000
MAX_INCLUDE_DEPTH = 16

_INCLUDE = re.compile(r"\\(?:input|include|subfile|subimport|import)\b\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|\{([^{}]*)\}|([\w./-]+))")
_VERBATIM = re.compile(r"\\begin\{(verbatim\*?|lstlisting|minted|Verbatim|alltt)\}.*?\\end\{\1\}", re.DOTALL)
_NEW = re.compile(
    r"\\(?:re|provide)?(?:newcommand|DeclareRobustCommand)\*?\s*|\\(?:g|e|x)?def\s*(?=\\)|\\DeclareMathOperator\*?\s*|\\newcommand\*?\s*"
)
_KEEP = frozenset(
    "cite citep citet ref label section subsection title author caption item begin end footnote input includegraphics".split()
)


@dataclass(frozen=True)
class Macro:
    arity: int
    default: str | None
    body: str


def without_comments(source: str) -> str:
    """Comments, \\iffalse blocks and what follows \\end{document} removed; verbatim stretches are left alone."""
    out, at = [], 0
    for block in _VERBATIM.finditer(source):
        out += [_uncomment(source[at : block.start()]), block.group()]
        at = block.end()
    out.append(_uncomment(source[at:]))
    text = "".join(out)
    text = re.sub(r"\\begin\{comment\}.*?\\end\{comment\}", "", text, flags=re.DOTALL)
    return re.sub(r"\\iffalse\b.*?\\fi\b", "", text, flags=re.DOTALL)


def _uncomment(source: str) -> str:
    # A comment swallows its line end and the next line's leading blanks, but a line that is only a comment leaves no blank line either.
    return re.sub(r"(?<!\\)((?:\\\\)*)%[^\n]*(?:\n[ \t]*)?", r"\1", source)


def main_file(files: dict[str, str]) -> str | None:
    """The name of the file that holds the document: \\documentclass and \\begin{document}, then the longest; None when there is no LaTeX."""
    candidates = [n for n, t in files.items() if re.search(r"\\document(?:class|style)\b", t) and "\\begin{document}" in t]
    if not candidates:
        candidates = [n for n, t in files.items() if n.lower().endswith((".tex", ".ltx")) or "\\begin{" in t or "\\section" in t]
    if not candidates:
        return None
    liked = ("main", "ms", "paper", "article", "manuscript", "root", "arxiv")
    return min(
        candidates,
        key=lambda n: ("supp" in n.lower(), posixpath.splitext(posixpath.basename(n))[0].lower() not in liked, -len(files[n]), n),
    )


def with_includes(name: str, files: dict[str, str]) -> tuple[str, list[str]]:
    """(the file with its includes put in, the names that were asked for and not there)."""
    missing: list[str] = []
    total = 0

    def load(current: str, depth: int, chain: tuple[str, ...]) -> str:
        nonlocal total
        source = without_comments(files[current])
        total += len(source)
        if total > MAX_CHARS:
            missing.append(f"{current} (longer than {MAX_CHARS} characters in all)")
            return ""

        def put_in(match: re.Match[str]) -> str:
            wanted = (
                (match.group(1) or "") + (match.group(2) or "") if match.group(2) is not None else (match.group(3) or match.group(4) or "")
            )
            found = _find(wanted.strip(), current, name, files)
            if found is None or found in chain or depth >= MAX_INCLUDE_DEPTH:
                if not wanted.strip().endswith((".sty", ".cls", ".pgf", ".pdf_tex", ".tikz")) and wanted.strip():
                    missing.append(wanted.strip())
                return " "
            return load(found, depth + 1, (*chain, found))

        return _INCLUDE.sub(put_in, source)

    return load(name, 0, (name,)), missing


def _find(wanted: str, current: str, main: str, files: dict[str, str]) -> str | None:
    for base in (posixpath.dirname(main), posixpath.dirname(current)):
        path = posixpath.normpath(posixpath.join(base, wanted))
        for candidate in (path, path + ".tex", path + ".ltx"):
            if candidate in files:
                return candidate
    return None


def expand(source: str) -> tuple[str, bool]:
    """(source with the author's macros expanded and their definitions gone, whether a limit stopped the expansion)."""
    return _Expander().run(source)


class _Expander:
    def __init__(self) -> None:
        self._macros: dict[str, Macro] = {}
        self._left = MAX_EXPANSIONS
        self._chars = MAX_CHARS

    def run(self, source: str) -> tuple[str, bool]:
        text = self._expand(source, 0)
        return text, self._left <= 0 or self._chars <= 0

    def _expand(self, source: str, depth: int) -> str:
        out: list[str] = []
        at = copied = 0
        call = re.compile(r"\\([A-Za-z@]+)")
        while match := call.search(source, at):
            at = match.end()
            if match.start() and _escaped(source, match.start()):
                continue
            definition = _NEW.match(source, match.start())
            if definition:
                end = self._define(source, definition)
                if end:
                    out.append(source[copied : match.start()])
                    at = copied = end
                continue
            macro = self._macros.get(match.group(1))
            if macro is None or depth > _tex.MAX_DEPTH or self._left <= 0 or self._chars <= 0:
                continue
            values, end = _arguments(macro, source, at)
            self._left -= 1
            body = _filled(macro.body, values)
            self._chars -= len(body)
            out.append(source[copied : match.start()])
            body = self._expand(body, depth + 1)
            if not macro.arity and re.search(r"\\[A-Za-z]+\Z", body) and source[end : end + 1].isalpha():
                body += " "
            out.append(body)
            at = copied = end
        out.append(source[copied:])
        return "".join(out)

    def _define(self, source: str, match: re.Match[str]) -> int:
        """Stores one definition; returns where it ends, 0 when it has no shape that is understood."""
        at = match.end()
        plain_tex = "def" in match.group() and "command" not in match.group().lower()
        operator = "MathOperator" in match.group()
        name, at = _tex.argument(source, at)
        name = name.strip().lstrip("\\")
        if not re.fullmatch(r"[A-Za-z@]+", name):
            return 0
        arity, default = 0, None
        if plain_tex:
            parameters = re.compile(r"((?:#[1-9])*)\s*(?=\{)").match(source, at)
            if parameters is None:
                return 0
            arity, at = len(parameters.group(1)) // 2, parameters.end()
        elif not operator:
            count, at = _tex.optional(source, at)
            arity = int(count) if count and count.strip().isdigit() else 0
            if arity:
                default, at = _tex.optional(source, at)
        body, at = _tex.argument(source, at)
        if name not in _KEEP and f"\\{name}" not in re.findall(r"\\[A-Za-z@]+", body):
            self._macros[name] = Macro(min(arity, 9), default, f"\\operatorname{{{body}}}" if operator else body)
        return at


def _filled(body: str, values: list[str]) -> str:
    return re.sub(r"#([1-9])", lambda m: values[int(m.group(1)) - 1] if int(m.group(1)) <= len(values) else "", body)


def _escaped(source: str, at: int) -> bool:
    """An odd run of backslashes before `at` makes the next one a line break's second half."""
    count = 0
    while at - count - 1 >= 0 and source[at - count - 1] == "\\":
        count += 1
    return count % 2 == 1


def _arguments(macro: Macro, source: str, at: int) -> tuple[list[str], int]:
    values: list[str] = []
    if macro.arity and macro.default is not None:
        given, at = _tex.optional(source, at)
        values.append(macro.default if given is None else given)
    while len(values) < macro.arity:
        value, at = _tex.argument(source, at)
        values.append(value)
    if not macro.arity and source[at : at + 2] == "{}":
        at += 2
    return values, at


_COUNTED = {
    "table": "Table",
    "figure": "Figure",
    "algorithm": "Algorithm",
    "equation": "Equation",
    "align": "Equation",
    "longtable": "Table",
}

_UNCOUNTED = frozenset(["subfigure", "subtable", "subfloat"])


def number_labels(source: str) -> tuple[dict[str, str], list[str]]:
    """(label -> "Table 2", "Section 3.1", ...; the numbers of the captions in order). Counted as the standard classes count; subfigures are not."""
    labels: dict[str, str] = {}
    captions: list[str] = []
    counts: dict[str, int] = {}
    sections = [0, 0, 0]
    current = ""
    kinds: list[str] = []
    step = re.compile(r"\\(begin|end)\{(\w+)\*?\}|\\((?:sub){0,2}section)(\*?)\s*[\[{]|\\(caption)\b|\\(appendix)\b|\\label\{([^{}]*)\}")
    letters = False
    for match in step.finditer(source):
        begin, environment, section, star, caption, appendix, label = match.groups()
        if environment in _UNCOUNTED:
            kinds.append("") if begin == "begin" else kinds and kinds.pop()
        elif begin == "begin" and environment in _COUNTED:
            kinds.append(_COUNTED[environment])
            if _COUNTED[environment] == "Equation":
                counts["Equation"] = counts.get("Equation", 0) + 1
                current = f"Equation {counts['Equation']}"
        elif begin == "end" and environment in _COUNTED and kinds:
            kinds.pop()
        elif section and not star:
            depth = section.count("sub")
            sections[depth] += 1
            sections[depth + 1 :] = [0] * (2 - depth)
            first = chr(64 + sections[0]) if letters and 0 < sections[0] <= 26 else str(sections[0])
            current = "Section " + ".".join([first, *map(str, sections[1 : depth + 1])])
        elif appendix:
            letters, sections = True, [0, 0, 0]
        elif caption and not (kinds and not kinds[-1]):
            kind = next((k for k in reversed(kinds) if k and k != "Equation"), "Figure")
            counts[kind] = counts.get(kind, 0) + 1
            current = f"{kind} {counts[kind]}"
            captions.append(current)
        elif label is not None and current:
            labels[label.strip()] = current
    return labels, captions
