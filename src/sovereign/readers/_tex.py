"""TeX notation as readable text on one line: symbols, accents, formulas. Standard library only; knows nothing about documents.

Formulas keep every number exactly as typed: $10^{-3}$ becomes 10^-3, $12.5\\%$ becomes 12.5%, $2.8\\times$ becomes 2.8×.
"""

from __future__ import annotations

import re
import unicodedata

MAX_DEPTH = 40  # nested braces and commands; deeper input is kept as it stands

_GREEK = (
    "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π varpi ϖ rho ρ "
    "varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ "
    "Phi Φ Psi Ψ Omega Ω"
)
_SIGNS = (
    "times × pm ± mp ∓ cdot · div ÷ ast * star ⋆ circ ∘ bullet • le ≤ leq ≤ ge ≥ geq ≥ leqslant ≤ geqslant ≥ ne ≠ neq ≠ approx ≈ sim ∼ simeq ≃ "
    "equiv ≡ cong ≅ propto ∝ ll ≪ gg ≫ in ∈ notin ∉ ni ∋ subset ⊂ subseteq ⊆ supset ⊃ supseteq ⊇ cup ∪ cap ∩ setminus ∖ emptyset ∅ varnothing ∅ "
    "forall ∀ exists ∃ neg ¬ land ∧ wedge ∧ lor ∨ vee ∨ to → rightarrow → leftarrow ← uparrow ↑ downarrow ↓ leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ "
    "Leftrightarrow ⇔ implies ⇒ iff ⇔ mapsto ↦ longrightarrow → gets ← infty ∞ partial ∂ nabla ∇ sum ∑ prod ∏ int ∫ iint ∬ oint ∮ ell ℓ hbar ℏ Re ℜ "
    "Im ℑ aleph ℵ angle ∠ perp ⊥ bot ⊥ top ⊤ parallel ∥ mid | vert | Vert ‖ lVert ‖ rVert ‖ lvert | rvert | langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ "
    "lceil ⌈ rceil ⌉ ldots … cdots … dots … vdots … ddots … dotsc … dotsb … oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙ dagger † ddagger ‡ prime ′ triangle △ "
    "square □ Box □ blacksquare ■ checkmark ✓ cmark ✓ xmark ✗ lhd ⊲ rhd ⊳ prec ≺ succ ≻ preceq ⪯ succeq ⪰ models ⊨ vdash ⊢ coloneqq ≔ triangleq ≜ "
    "doteq ≐ degree ° textdegree ° lbrace { rbrace } backslash \\ colon : lt < gt > And & textasciitilde ~ textasciicircum ^ textbackslash \\ "
    "textgreater > textless < textbar | textbullet • textendash – textemdash — textquotedblleft “ textquotedblright ” textquoteleft ‘ textquoteright ’ "
    "texttimes × textpm ± textmu µ textregistered ® texttrademark ™ textcopyright © copyright © pounds £ euro € S § P ¶ dag † ddag ‡ lq ‘ rq ’ "
    "ss ß ae æ AE Æ oe œ OE Œ o ø O Ø aa å AA Å l ł L Ł i ı j ȷ dh ð th þ dj đ LaTeX LaTeX TeX TeX BibTeX BibTeX"
)


def _pairs(table: str) -> dict[str, str]:
    words = table.split(" ")
    return dict(zip(words[0::2], words[1::2]))


SYMBOLS: dict[str, str] = {**_pairs(_GREEK), **_pairs(_SIGNS)}
_FUNCTIONS = frozenset(
    "log ln lg exp sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh max min sup inf lim limsup liminf arg argmax argmin det dim ker deg gcd hom "
    "Pr mod bmod pmod".split()
)
_SPACES = frozenset(["quad", "qquad", ",", ";", ":", ">", " ", "enspace", "thinspace", "space", "enskip", "\n", "\t"])
_RELATIONS = frozenset("=<>≤≥≠≈∼≃≡≅∝≪≫∈∉⊂⊆⊃⊇→←⇒⇐⇔↔↦≔≜")
_WRAPPERS = frozenset(
    "text textrm textbf textit texttt textsf textsc textnormal mathrm mathbf mathit mathsf mathtt mathcal mathbb mathfrak mathscr boldsymbol bm pmb "
    "operatorname mbox hbox fbox boxed ensuremath mathop mathbin mathrel mathord underline overline widehat widetilde hat tilde bar vec dot ddot "
    "underbrace overbrace emph num cancel displaystyle textstyle scriptstyle".split()
)
_DROPPED = frozenset(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr middle displaystyle textstyle scriptstyle scriptscriptstyle limits nolimits "
    "nonumber notag bf rm it sf tt cal boldmath unboldmath ! / protect relax mathstrut strut hfill centering small footnotesize scriptsize".split()
)
_ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307", "u": "\u0306", "v": "\u030c",
    "H": "\u030b", "c": "\u0327", "k": "\u0328", "r": "\u030a", "d": "\u0323", "b": "\u0331", "t": "",
}  # fmt: skip
_LETTER_NEXT = re.compile(r"\s*(?:[^\W_]|\\[A-Za-z]{3})")
_TOKEN = re.compile(r"\\([A-Za-z@]+)\*?|\\(.)|([{}^_&~$%])|(\s+)|([^\\{}^_&~$%\s]+)", re.DOTALL)


def closing(source: str, start: int, opening: str = "{", shut: str = "}") -> int:
    """The index of the bracket that closes the one at `start`, or len(source) where none does. Escaped brackets do not count."""
    depth, at = 0, start
    while at < len(source):
        char = source[at]
        if char == "\\":
            at += 2
            continue
        if char == opening:
            depth += 1
        elif char == shut:
            depth -= 1
            if depth == 0:
                return at
        at += 1
    return len(source)


def argument(source: str, at: int) -> tuple[str, int]:
    """(the next TeX argument without its braces, where it ends): a group, a command or one character."""
    while at < len(source) and source[at].isspace():
        at += 1
    if at >= len(source):
        return "", at
    if source[at] == "{":
        end = closing(source, at)
        return source[at + 1 : end], min(end + 1, len(source))
    if source[at] == "\\":
        match = re.compile(r"\\(?:[A-Za-z@]+|.)", re.DOTALL).match(source, at)
        return (match.group(), match.end()) if match else ("", at + 1)
    return source[at], at + 1


def optional(source: str, at: int) -> tuple[str | None, int]:
    """(the next [optional] argument or None, where it ends)."""
    look = at
    while look < len(source) and source[look] in " \t\n":
        look += 1
    if look < len(source) and source[look] == "[":
        depth, end = 0, look + 1
        while end < len(source) and not (source[end] == "]" and depth == 0):
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            end += 2 if source[end] == "\\" else 1
        return source[look + 1 : end], min(end + 1, len(source))
    return None, at


def accent(mark: str, letter: str) -> str:
    """\\'e and its kin as one character where Unicode has it."""
    letter = {"\\i": "i", "\\j": "j", "ı": "i", "ȷ": "j"}.get(letter.strip(), letter.strip())
    if not letter:
        return ""
    return unicodedata.normalize("NFC", letter[0] + _ACCENTS[mark]) + letter[1:]


def is_accent(name: str) -> bool:
    return name in _ACCENTS


def math(source: str, depth: int = 0) -> str:
    """A formula as one line of text. Never raises: what it does not know keeps its name."""
    if depth > MAX_DEPTH:
        return source
    out: list[str] = []
    at = 0
    while at < len(source):
        token = _TOKEN.match(source, at)
        if token is None:  # a lone backslash at the end
            break
        at = token.end()
        word, char, special, _blank, plain = token.groups()
        if word is not None or char is not None:
            at = _command(word or char, source, at, out, depth)
        elif special == "{":
            end = closing(source, at - 1)
            out.append(math(source[at:end], depth + 1))
            at = end + 1
        elif special in ("^", "_"):
            inner, at = argument(source, at)
            out.append(_script(special, math(inner, depth + 1).replace(", ", ",")))
            if _LETTER_NEXT.match(source, at):
                out.append(" ")
        elif special in ("&", "~"):
            out.append(" ")
        elif special == "%":
            out.append("%")
        elif plain:
            out.append("".join(f" {c} " if c in _RELATIONS else ", " if c == "," and not _digit_next(source, at) else c for c in plain))
    return re.sub(r" {2,}", " ", "".join(out)).strip()


def _digit_next(source: str, at: int) -> bool:
    return source[at - 1 : at] == "," and source[at : at + 1].isdigit()


def _script(sign: str, inner: str) -> str:
    inner = inner.strip()
    if inner in ("′", "'", "*", "†", "‡"):
        return inner
    if inner in ("∘", "°"):
        return "°"
    simple = re.fullmatch(r"[-+−]?[\w.]+|[^\w\s]", inner)
    return sign + (inner if simple or not inner else f"({inner})") if inner else ""


def _command(name: str, source: str, at: int, out: list[str], depth: int) -> int:
    """Appends what one command prints; returns where the input goes on."""
    if name in ("frac", "dfrac", "tfrac", "nicefrac", "sfrac", "cfrac"):
        top, at = argument(source, at)
        below, at = argument(source, at)
        out.append(f"{_grouped(math(top, depth + 1))}/{_grouped(math(below, depth + 1))}")
    elif name == "sqrt":
        index, at = optional(source, at)
        inner, at = argument(source, at)
        out.append((f"^{index}" if index else "") + "√" + _grouped(math(inner, depth + 1)))
    elif name in ("binom", "dbinom"):
        top, at = argument(source, at)
        below, at = argument(source, at)
        out.append(f"C({math(top, depth + 1)}, {math(below, depth + 1)})")
    elif name in ("begin", "end"):
        inner, at = argument(source, at)
        if name == "begin" and inner in ("array", "tabular"):
            _, at = optional(source, at)
            _, at = argument(source, at)
        out.append(" ")
    elif name in ("label", "tag", "hspace", "vspace", "phantom", "vphantom", "hphantom", "color", "mathchoice", "kern", "rule", "raisebox"):
        _, at = argument(source, at)
    elif name in ("textcolor", "colorbox", "stackrel", "overset", "underset"):
        first, at = argument(source, at)
        inner, at = argument(source, at)
        over = _script("^", math(first, depth + 1)) if name == "overset" else ""
        out.append(math(inner, depth + 1) + over)
    elif name in ("text", "textrm", "textnormal", "mbox", "hbox"):
        inner, at = argument(source, at)
        out.append(re.sub(r"\s+", " ", math(inner.replace(" ", "~"), depth + 1)) or " ")
        if inner[:1].isspace():
            out[-1] = " " + out[-1]
        if inner[-1:].isspace():
            out[-1] += " "
    elif name == "\\":
        _, at = optional(source, at) if source[at : at + 1] == "[" else (None, at)
        out.append("; ")
    elif name in SYMBOLS:
        symbol = SYMBOLS[name]
        out.append(f" {symbol} " if symbol in _RELATIONS else symbol)
    elif name in _FUNCTIONS:
        out.append(
            (" " if out and out[-1][-1:].isalnum() else "")
            + name
            + (" " if source[at : at + 1] not in ("", "(", "^", "_", "{", "\\", "[") else "")
        )
    elif name in _SPACES:
        out.append(" ")
    elif name in _WRAPPERS or name in _DROPPED or name.startswith("math"):
        pass  # what follows prints as it stands
    elif name in "%$#&_{}|":
        out.append("‖" if name == "|" else name)
    elif is_accent(name) and name not in "tbdckruvH":
        inner, at = argument(source, at)
        out.append(accent(name, inner))
    elif len(name) > 1:
        out.append(name)
    return at


def _grouped(inner: str) -> str:
    return inner if re.fullmatch(r"[\w.%°]*", inner) else f"({inner})"
