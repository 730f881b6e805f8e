"""Inline LaTeX as text: formatting dropped, formulas linear, citation marks kept with their keys. Knows no blocks and no files.

Imports the TeX notation of this package only. Never raises: an unknown command loses its name and keeps its arguments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sovereign.readers import _tex

_CITE = re.compile(r"(?:[A-Za-z]*cite(?:p|t|alp|alt|author|year|yearpar|s|al)?|Cite[a-z]*|cites|bibentry|citenum)\Z")
_REF = frozenset(
    ["ref", "eqref", "autoref", "cref", "Cref", "pageref", "nameref", "vref", "figref", "tabref", "secref", "subref", "labelcref"]
)
_DROP_ARGS = {
    "label": 1, "vspace": 1, "hspace": 1, "vskip": 0, "includegraphics": 1, "bibliographystyle": 1, "setlength": 2, "addtolength": 2, "pagestyle": 1,
    "thispagestyle": 1, "color": 1, "definecolor": 3, "captionsetup": 1, "hypersetup": 1, "setcounter": 2, "addtocounter": 2, "phantom": 1, "hphantom": 1,
    "vphantom": 1, "fontsize": 2, "selectfont": 0, "input": 1, "include": 1, "graphicspath": 1, "raisebox": 1, "resizebox": 2, "scalebox": 1, "rotatebox": 1,
    "rule": 2, "cline": 1, "cmidrule": 1, "arraystretch": 0, "renewcommand": 2, "newcommand": 2, "index": 1, "glsadd": 1, "newtheorem": 2, "linespread": 1,
    "rowcolor": 1, "cellcolor": 1, "columncolor": 1, "todo": 1, "hyphenation": 1, "addcontentsline": 3, "markboth": 2, "footnotemark": 0, "usepackage": 1,
    "bibliography": 1, "hypertarget": 1, "hyperlink": 1, "adjustbox": 1, "parbox": 1, "makebox": 0, "specialrule": 3, "thanks": 1, "IEEEauthorblockA": 1,
    "pdfoutput": 0, "setkeys": 2, "noalign": 1, "crefname": 3, "Crefname": 3, "thickspace": 0, "email": 1, "orcid": 1, "affiliation": 1, "and": 0,
}  # fmt: skip
_QUOTES = (("``", "“"), ("''", "”"), ("---", "—"), ("--", "–"), ("`", "‘"), ("'", "’"))
_TOKEN = re.compile(r"\\([A-Za-z@]+)(\*?)[ \t]*\n?|\\(.)|(\$\$?)|([{}~&])|(\n\s*\n)|([^\\${}~&\n]+|\n)", re.DOTALL)
_WHITE = re.compile(
    r"\A(?:white|\[(?:rgb|RGB|gray|HTML|cmyk)\](?:1|1\.0|1,\s*1,\s*1|255,\s*255,\s*255|FFFFFF|0,\s*0,\s*0,\s*0))\Z", re.IGNORECASE
)


@dataclass
class Inline:
    """What a stretch of LaTeX says: text, (offset, keys) citation marks, footnotes apart, and text that would not show in print."""

    text: str = ""
    cites: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    footnotes: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)


def inline(source: str) -> str:
    """Only the text."""
    return convert(source).text


def convert(source: str, labels: dict[str, str] | None = None) -> Inline:
    """One paragraph, cell, title or caption. `labels` gives the printed number of each \\label."""
    writer = _Writer(labels or {})
    writer.run(source, 0)
    return writer.finish()


class _Writer:
    def __init__(self, labels: dict[str, str]):
        self._labels = labels
        self._out: list[str] = []
        self._length = 0
        self._result = Inline()

    def finish(self) -> Inline:
        self._result.text = "".join(self._out)
        return self._result

    def _write(self, text: str) -> None:
        self._out.append(text)
        self._length += len(text)

    def run(self, source: str, depth: int) -> None:
        if depth > _tex.MAX_DEPTH:
            self._write(re.sub(r"[\\{}]", " ", source))
            return
        at = 0
        while at < len(source):
            token = _TOKEN.match(source, at)
            if token is None:
                break
            at = token.end()
            name, _star, char, dollars, special, paragraph, plain = token.groups()
            if name is not None:
                at = self._command(name, source, at, depth)
            elif char is not None:
                at = self._sign(char, source, at)
            elif dollars:
                at = self._formula(dollars, source, at)
            elif special == "{":
                end = _tex.closing(source, at - 1)
                self._group(source[at:end], depth)
                at = end + 1
            elif special in ("~", "&"):
                self._write(" ")
            elif paragraph:
                self._write("\n\n")
            elif plain:
                for typed, printed in _QUOTES:
                    plain = plain.replace(typed, printed)
                self._write(plain)

    def _group(self, inner: str, depth: int) -> None:
        coloured = re.match(r"\s*\\color\s*(\[[^\]]*\])?\{([^}]*)\}", inner)
        if coloured and _WHITE.match((coloured.group(1) or "") + coloured.group(2)):
            self._hide(inner[coloured.end() :])
            return
        self.run(inner, depth + 1)

    def _hide(self, source: str) -> None:
        text = inline(source).strip()
        if text:
            self._result.hidden.append(text)

    def _formula(self, dollars: str, source: str, at: int) -> int:
        end = source.find(dollars, at)
        while end > 0 and source[end - 1] == "\\" and source[end - 2 : end] != "\\\\":
            end = source.find(dollars, end + 1)
        if end < 0:
            self._write(dollars)
            return at
        self._write(_tex.math(source[at:end]))
        return end + len(dollars)

    def _sign(self, char: str, source: str, at: int) -> int:
        """A backslash and one character that is no letter."""
        if char in "%$#&_{}":
            self._write(char)
        elif char == "\\":
            at = at + 1 if source[at : at + 1] == "*" else at
            _, at = _tex.optional(source, at) if source[at : at + 1] == "[" else (None, at)
            self._write(" ")
        elif char in "([":
            close = "\\)" if char == "(" else "\\]"
            end = source.find(close, at)
            end = len(source) if end < 0 else end
            self._write(_tex.math(source[at:end]))
            at = end + 2
        elif _tex.is_accent(char):
            letter, at = _tex.argument(source, at)
            self._write(_tex.accent(char, letter))
        elif char in " \n\t,;:>~/":
            self._write("" if char == "/" else " ")
        return at

    def _command(self, name: str, source: str, at: int, depth: int) -> int:
        if _CITE.match(name):
            return self._cite(source, at)
        if name in _REF:
            _, at = _tex.optional(source, at)
            key, at = _tex.argument(source, at)
            numbers = [self._labels.get(k.strip(), "") for k in key.split(",")]
            words = [n if name in ("autoref", "cref", "Cref") else n.rpartition(" ")[2] for n in numbers]
            self._write(", ".join(f"({w})" if name == "eqref" and w else w for w in words if w) or "[ref]")
            return at
        if name in ("footnote", "footnotetext"):
            _, at = _tex.optional(source, at)
            text, at = _tex.argument(source, at)
            self._result.footnotes.append(text)
            return at
        if name in ("href", "textcolor", "colorbox"):
            model, at = _tex.optional(source, at)
            first, at = _tex.argument(source, at)
            text, at = _tex.argument(source, at)
            if name == "textcolor" and _WHITE.match((f"[{model}]" if model else "") + first):
                self._hide(text)
            else:
                self.run(text, depth + 1)
            return at
        if name in ("url", "path", "nolinkurl", "texttt", "verb") and source[at : at + 1] == "{":
            text, at = _tex.argument(source, at)
            self._write(re.sub(r"\\([_%#&{}~])", r"\1", text)) if name != "texttt" else self.run(text, depth + 1)
            return at
        if name == "verb" and at < len(source):
            end = source.find(source[at], at + 1)
            self._write(source[at + 1 : end] if end > 0 else "")
            return end + 1 if end > 0 else at
        if name in _DROP_ARGS:
            return self._dropped(_DROP_ARGS[name], source, at)
        if name in ("begin", "end"):
            environment, at = _tex.argument(source, at)
            if name == "begin" and environment in ("minipage", "tabular", "array", "wrapfigure", "spacing", "adjustwidth"):
                at = self._dropped(1, source, at)
            self._write(" ")
            return at
        if name == "multicolumn" or name == "multirow":
            at = self._dropped(2, source, at)
            text, at = _tex.argument(source, at)
            self.run(text, depth + 1)
            return at
        return self._letters(name, source, at)

    def _letters(self, name: str, source: str, at: int) -> int:
        if len(name) == 1 and _tex.is_accent(name) and name != "t":
            letter, end = _tex.argument(source, at)
            if len(letter.strip("\\")) <= 2 and letter.strip():
                self._write(_tex.accent(name, letter))
                return end
        if name in ("quad", "qquad", "newline", "linebreak", "par", "item", "enspace", "space", "xspace"):
            self._write(" ")
        elif name in _tex.SYMBOLS:
            self._write(_tex.SYMBOLS[name])
            if source[at - 1 : at] in (" ", "\n") and source[at : at + 1] not in ("", "{"):
                self._write("" if _tex.SYMBOLS[name].isalpha() and len(_tex.SYMBOLS[name]) == 1 else " ")
        if source[at : at + 1] == "[":  # an unknown command's option is rarely text
            _, at = _tex.optional(source, at)
        return at

    def _dropped(self, count: int, source: str, at: int) -> int:
        _, at = _tex.optional(source, at)
        for _ in range(count):
            _, at = _tex.optional(source, at)
            look = at
            while source[look : look + 1] in (" ", "\n", "\t"):
                look += 1
            if source[look : look + 1] not in ("{", "\\"):
                break
            _, at = _tex.argument(source, at)
        return at

    def _cite(self, source: str, at: int) -> int:
        notes = []
        for _ in range(2):
            note, at = _tex.optional(source, at)
            if note:
                notes.append(note)
        keys, at = _tex.argument(source, at)
        names = tuple(k.strip() for k in keys.split(",") if k.strip())
        if names:
            self._result.cites.append((self._length, names))
            after = f", {inline(notes[-1])}" if notes and len(notes[-1]) < 60 else ""
            self._write(f"[{', '.join(names)}{after}]")
        return at
