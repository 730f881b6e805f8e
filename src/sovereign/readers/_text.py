"""Text plumbing that every reader shares: decoding bytes, cleaning characters, cutting windows. Standard library only.

Refuses to guess meaning: the sentence splitter here only decides where a passage may end.
"""

from __future__ import annotations

import codecs
import re

from sovereign.errors import Unreadable

MAX_WINDOW_WORDS = 120  # a passage stays quotable: about six printed lines
MAX_WINDOW_SENTENCES = 4

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark starts with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00ad": None, "\u2010": "-", "\u2011": "-"}
)
# Zero-width, bidirectional and other format characters: invisible, able to split a word or turn a line round.
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_TAGS = re.compile("[\U000e0000-\U000e007f]+")  # "tag" characters: ASCII that no renderer shows
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_BLANKS = re.compile(r"[ \t\f\v\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")


def decode(body: bytes, *, declared: str | None = None) -> str:
    """Bytes as text with LF line ends: byte-order mark, then UTF-16 by its zero bytes, UTF-8, the declared charset, Windows-1252, Latin-1.

    Raises Unreadable(kind="binary") when more than a tenth of the result is control characters.
    """
    text = _decode(body, declared)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    bad = len(_CONTROL.findall(text[:100_000]))
    if bad > 0.1 * max(len(text[:100_000]), 1):
        raise Unreadable("The file is not text.", kind="binary", mend="Give a PDF, HTML, LaTeX, XML, Markdown or plain text file.")
    return _CONTROL.sub("", text)


def _decode(body: bytes, declared: str | None) -> str:
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, errors="replace")
    head = body[:4096]
    if len(head) >= 4 and head.count(0) > len(head) // 4:  # Latin text in UTF-16 has a zero in every second byte
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if max(even, odd) > 4 * max(min(even, odd), 1) or min(even, odd) == 0:
            return body.decode("utf-16-be" if even > odd else "utf-16-le", errors="replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if declared:
        try:
            return body.decode(codecs.lookup(declared).name, errors="replace")
        except (LookupError, UnicodeError, TypeError):
            pass  # an unknown or non-text codec name: the declaration lies
    bad = len(body) - len(body.decode("utf-8", errors="ignore").encode("utf-8"))
    if bad <= len(body) // 1000:  # a few broken bytes in a UTF-8 file are damage, not another encoding
        return body.decode("utf-8", errors="replace")
    try:
        return body.decode("cp1252")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def smuggled(text: str) -> list[str]:
    """ASCII text written in Unicode tag characters, which no renderer shows."""
    found = []
    for run in _TAGS.findall(text):
        plain = "".join(chr(ord(c) - 0xE0000) for c in run if 0xE0020 <= ord(c) <= 0xE007E).strip()
        if plain:
            found.append(plain)
    return found


def clean(text: str) -> str:
    """Ligatures spelled out; invisible and control characters gone; line ends kept as they are."""
    text = _TAGS.sub("", text.translate(_LIGATURES))
    return _CONTROL.sub("", _INVISIBLE.sub("", text))


def one_line(text: str) -> str:
    """Cleaned text on one line with single blanks."""
    return _BLANKS.sub(" ", clean(text).replace("\n", " ").replace("\x85", " ")).strip()


_ENDS = re.compile(r"""([.!?])(['"”’)\]]*)\s+(?=['"“‘(\[]*[A-Z0-9\u00c0-\u00de\u0391-\u03a9])""")
_NOT_AN_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|al|Fig|Figs|Eq|Eqs|Sec|Secs|Tab|Tabs|Ref|Refs|Ch|App|Alg|Thm|Def|Prop|Lem|No|Nos|Vol|pp|p|Dr|Mr|Mrs|Ms"
    r"|Prof|St|Inc|Ltd|Corp|Co|Univ|Dept|approx|resp|viz|ca|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|w\.r\.t|i\.i\.d)|\b[A-Z]|(?:^|[:;.,)]\s+)\d{1,2})\.$"
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence of one paragraph; together they cover it but for blanks at the joints."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _ENDS.finditer(text):
        end = match.end(2)
        if match.group(1) == "." and _NOT_AN_END.search(text[max(start, match.end(1) - 12) : match.end(1)]):
            continue
        spans.append((start, end))
        start = match.end()
    if text[start:].strip():
        spans.append((start, len(text.rstrip())))
    return [piece for span in spans for piece in _short_enough(text, span)]


def _short_enough(text: str, span: tuple[int, int]) -> list[tuple[int, int]]:
    """A sentence of more than MAX_WINDOW_WORDS words is cut at its last semicolon, comma or blank before the limit."""
    start, end = span
    pieces = []
    while True:
        words = list(re.finditer(r"\S+", text[start:end]))
        if len(words) <= MAX_WINDOW_WORDS:
            if words:
                pieces.append((start, end))
            return pieces
        cut = next((w.end() for w in reversed(words[MAX_WINDOW_WORDS // 2 : MAX_WINDOW_WORDS]) if w.group()[-1] in ";:,"), 0)
        cut = cut or words[MAX_WINDOW_WORDS - 1].end()
        pieces.append((start, start + cut))
        start += cut
        start += len(text[start:end]) - len(text[start:end].lstrip())


def windows(text: str) -> list[tuple[int, int]]:
    """Consecutive stretches of 1-4 sentences and at most MAX_WINDOW_WORDS words that cover one paragraph without overlap."""
    groups: list[list[tuple[int, int]]] = []
    words = 0
    for span in sentence_spans(text):
        size = len(text[span[0] : span[1]].split())
        if not groups or len(groups[-1]) == MAX_WINDOW_SENTENCES or words + size > MAX_WINDOW_WORDS:
            groups.append([])
            words = 0
        groups[-1].append(span)
        words += size
    if len(groups) > 1 and len(groups[-1]) == 1 and len(groups[-2]) == MAX_WINDOW_SENTENCES:
        last = groups[-2][-1]
        joined = len(text[last[0] : groups[-1][0][1]].split())
        if joined <= MAX_WINDOW_WORDS:  # a lone last sentence loses its subject; give it its neighbour
            groups[-1].insert(0, groups[-2].pop())
    return [(group[0][0], group[-1][1]) for group in groups]
