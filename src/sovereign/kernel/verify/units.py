"""Cuts a document into units of evidence (a sentence, a table row, a caption) with what they inherit: section, title, caption, the sentence before.

Imports records and the shared language reading; refuses to rank or to judge. Every unit points back: document.text[start:end] is its quote.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from sovereign.kernel.language.naming import alias_key
from sovereign.kernel.language.scan import Scan, scan
from sovereign.kernel.language.segment import sentences
from sovereign.kernel.language.units import UNITS
from sovereign.records import Document, Passage, PassageKind, TableRow

REACH = 5  # sentences before a unit that its pronouns may reach back to
MAX_UNIT = 2000  # characters; a longer stretch without a full stop is cut at a blank
_BUILTIN_PHRASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), short)
    for pattern, short in (
        (r"\btime[ -]per[ -]output[ -]token\b", "TPOT"), (r"\btime[ -]to[ -](?:the )?first[ -]token\b", "TTFT"),
        (r"\btime to (?:produce|generate|emit) the first token\b", "TTFT"), (r"\b(?:the )?first token(?= (?:arrives|comes|appears|takes)\b)", "TTFT"),
        (r"\bfirst[ -]token latency\b|\blatency of the first token\b", "TTFT"), (r"\b(?:time|latency) per (?:generated |output )?token\b", "TPOT"),
        (r"\blarge language models?\b", "LLM"), (r"\bmixtures?[ -]of[ -]experts?\b", "MoE"), (r"\bvision[ -]language models?\b", "VLM"),
        (r"\bkey[ -]value\b", "KV"), (r"\bbatch(?:es)?(?:[ -]sizes?)?(?: of(?: size)?)?(?: ?= ?| )(?=\d)", "batch "), (r"\bBS ?= ?(?=\d)", "batch "),
        (r"\bbatch size of one\b|\bbatch size one\b|\bsingle-sample batches\b", "batch 1"), (r"\bstate[ -]of[ -]the[ -]art\b", "sota"),
        (r"\bgraphics processing units?\b", "GPU"), (r"\bnatural language processing\b", "NLP"), (r"\border of magnitude\b", "10×"),
        (r"\bper ?cent\b", "percent"), (r"\bword error rate\b", "WER"), (r"\bfine[ -](?=tun)", "fine"), (r"\bspeed[ -](?=up\b|ups\b)", "speed"),
            (r"\btrade[ -](?=off)", "trade"),
        (r"\bdata[ -](?=sets?\b)", "data"), (r"\bend[ -]to[ -]end\b", "endtoend"), (r"\bopen[ -]source\b", "opensource"),
        (r"\bas compared (?:to|with)\b", "compared with"), (r"\bin comparison (?:to|with)\b", "compared with"),
    )
)  # fmt: skip
_SHORT_FORM = re.compile(r"\(([A-Z][A-Za-z0-9-]{1,9}?)s?\)")
_LONG_FORM = re.compile(r"(?<![\w-])(?:[A-Za-z][\w-]*[ -]){1,7}$")
LONG_FORM = 160  # characters before a short form in which its long form may stand


@dataclass(frozen=True)
class Unit:
    """One stretch of evidence. `plain` is the text that is compared (long forms replaced by their short forms)."""

    start: int
    end: int
    text: str
    plain: str
    section: str
    kind: PassageKind
    table: TableRow | None = None
    around: str = ""  # section, caption, header, title: what the unit inherits
    before: str = ""  # the sentences before it in the same passage, nearest last
    topic: str = ""  # the canonical name that the unit is about: its own subject, or what its pronoun stands for
    seam: int = 0  # where the second of two sentences begins in `plain`; 0 for one sentence
    siblings: frozenset[str] = frozenset()  # words that label other rows of the same table and not this one

    @property
    def scanned(self) -> Scan:
        return scan(self.plain)


@dataclass
class Units:
    """All units of one document and the short forms that the document defines."""

    items: tuple[Unit, ...]
    short_forms: tuple[tuple[re.Pattern[str], str], ...]
    index: object | None = field(default=None, repr=False)

    def plain(self, text: str) -> str:
        return shorten(text, self.short_forms)


def shorten(text: str, extra: tuple[tuple[re.Pattern[str], str], ...] = ()) -> str:
    """Long forms replaced by short forms, Markdown marks removed. For comparison only; offsets do not survive."""
    text = (
        text.replace("**", "").replace("`", "").replace("\u00ad", "").replace("\\%", "%").replace("$", "")
        if any(c in text for c in "*`$\\\u00ad")
        else text
    )
    text = re.sub(r"(?<=[a-z])-\n(?=[a-z])", "", text) if "-\n" in text else text
    for pattern, short in _BUILTIN_PHRASES:
        text = pattern.sub(short, text)
    for pattern, short in extra:
        text = pattern.sub(short, text)
    return text


def _short_forms(text: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """ "within-class similarity (WCS)" makes WCS stand for the words; only when the initials agree."""
    found: dict[str, str] = {}
    for match in _SHORT_FORM.finditer(text):
        long_form = _LONG_FORM.search(text[max(0, match.start() - LONG_FORM) : match.start()])
        if long_form is None:
            continue
        short = match.group(1)
        letters = [c.lower() for c in short if c.isupper()]
        if len(letters) < 2:
            continue
        words = [w for w in re.split(r"[ -]", long_form.group().strip()) if w]
        for first in range(len(words)):
            tail = words[first:]
            initials = [w[0].lower() for w in tail if w.lower() not in {"of", "the", "and", "for", "to", "in", "a", "per"}]
            if initials == letters and len(tail) >= 2:
                found.setdefault(" ".join(tail).lower(), short)
                break
        if len(found) >= 40:
            break
    return tuple(
        (
            re.compile(
                r"\b" + r"[ -]".join(re.escape(w) for w in re.split(r"[ -]", long)) + r"s?\b(?:\s?\(" + re.escape(short) + r"s?\))?",
                re.IGNORECASE,
            ),
            short,
        )
        for long, short in found.items()
    )


_CACHE: OrderedDict[tuple[object, ...], Units] = OrderedDict()
_CACHE_SIZE = 128


def units_of(document: Document) -> Units:
    """The units of a document, cached by its content (a cache, not state: the same document always gives the same units)."""
    key = (
        document.sha256,
        document.reader,
        document.basis,
        document.passages[:1],
        len(document.passages),
        document.title,
        len(document.text),
    )
    known = _CACHE.get(key)
    if known is None:
        known = _build(document)
        _CACHE[key] = known
        if len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
    else:
        _CACHE.move_to_end(key)
    return known


def _build(document: Document) -> Units:
    short_forms = _short_forms(document.text)
    items: list[Unit] = []
    title = document.title or ""
    passages = document.passages or (Passage(0, len(document.text), document.text),)
    seen: set[tuple[int, int]] = set()
    for passage in passages:
        if passage.kind is PassageKind.REFERENCE:
            continue
        for unit in _of_passage(passage, title, short_forms):
            if _INSTRUCTION.search(unit.text):
                continue  # what is read is data: a line that addresses the reader is no evidence
            if (unit.start, unit.end) not in seen:
                seen.add((unit.start, unit.end))
                items.append(unit)
    return Units(tuple(_with_siblings(sorted(items, key=lambda u: (u.start, u.end)))), short_forms)


def _with_siblings(items: list[Unit]) -> list[Unit]:
    """Every table row learns what labels the other rows of its table."""
    tables: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for i, unit in enumerate(items):
        if unit.table is not None:
            tables.setdefault((unit.table.caption, unit.table.header), []).append(i)
    for rows in tables.values():
        labels = {i: _label(items[i]) for i in rows}
        for i in rows:
            others = frozenset().union(*(labels[j] for j in rows if j != i)) - labels[i]
            items[i] = replace(items[i], siblings=others)
    return items


def _label(unit: Unit) -> frozenset[str]:
    """The keys of a row's labels: all of its first cell, and the names in cells without a figure."""
    cells = unit.table.cells if unit.table is not None else ()
    first = [f"#{t.value.low:g}" if t.value is not None else t.key for t in scan(cells[0]).content] if cells else []
    return frozenset(first) | frozenset(t.key for cell in cells[1:] if not (held := scan(cell)).quantities for t in held.names)


_PRONOUN = re.compile(
    r"\b(?P<its>[Ii]ts|[Tt]heir)\b|\b(?P<it>[Ii]t|[Tt]hey|(?:[Tt]he|[Tt]his) (?:method|system|model|policy|approach"
    r"|scheme|framework|technique|algorithm)(?= (?:is|was|has|can|does|[a-z]+s\b)))\b(?! (?:is|was|seems|appears"
    r"|follows|turns|has been) (?:\w+ )?(?:that|to|known|clear|shown|likely|possible|important|unclear|worth))"
)
_AFTER_PREPOSITION = frozenset(
    "on in for at with under across by from to of over than versus against using via like unlike as relative per and or".split()
)


def resolve(sentence: str, topic: str) -> tuple[str, str]:
    """(the sentence with "it", "its" and "the method" replaced by the name spoken of, the name that the next sentence's "it" may mean)."""
    own = _subject_name(sentence)
    if own:
        return sentence, own
    first = _PRONOUN.search(sentence)
    if not topic or first is None or ";" in sentence[: first.start()]:
        return sentence, topic  # behind a semicolon "it" means what the sentence itself began with
    return _PRONOUN.sub(lambda m: topic + "'s" if m.group("its") else topic, sentence, count=2), topic


def _subject_name(sentence: str) -> str:
    """The name that a sentence is about: the first one that no preposition governs, before any pronoun."""
    opening = scan(sentence).tokens[:2]
    if len(opening) == 2 and opening[0].low == "in" and opening[1].kind == "n" and len(scan(sentence).names) == 1:
        return opening[1].text  # "In X the gate ...": nothing else is named
    governed = False
    for token in scan(sentence).tokens:
        if token.low in {"it", "its", "they", "their", "we", "our"}:
            return ""
        if token.kind == "n" and not governed:
            return token.text
        if token.low in _AFTER_PREPOSITION or token.low == "compared":
            governed = True
        elif token.low == "," or token.low in _FINITE:
            governed = False
    return ""


_FINITE = frozenset("is are was were has have had does can will".split())


def _of_passage(passage: Passage, title: str, short_forms: tuple[tuple[re.Pattern[str], str], ...]) -> list[Unit]:
    if passage.table is not None:
        around = " ; ".join(p for p in (passage.table.caption, passage.section, title) if p)
        row = " ; ".join([*passage.table.header, *_with_units(passage.table.header, passage.table.cells, passage.table.caption)])
        return [
            Unit(
                passage.start,
                passage.end,
                passage.text,
                shorten(row, short_forms),
                passage.section,
                passage.kind,
                passage.table,
                shorten(around, short_forms),
            )
        ]
    out: list[Unit] = []
    before: list[str] = []
    topic = ""
    header: tuple[str, ...] = ()
    heading = passage.section
    for start, end in _pieces(passage.text):
        text = passage.text[start:end]
        if text.startswith("#"):
            heading = text.lstrip("# ").strip()
        cells = _pipe_cells(text)
        table = None
        if cells is None:
            header = ()
        elif not header:
            header = cells
        elif not all(re.fullmatch(r":?-{2,}:?", c) or not c for c in cells):
            table = TableRow(caption=heading, header=header, cells=cells, row=len(out))
        around = shorten(" ; ".join(p for p in (heading, title) if p), short_forms)
        plain = shorten(" ; ".join([*header, *_with_units(header, cells)]) if table is not None and cells else text, short_forms)
        if table is None:
            plain, topic = resolve(plain, topic)
        kind = PassageKind.TABLE_ROW if table is not None else passage.kind
        out.append(
            Unit(
                passage.start + start,
                passage.start + end,
                text,
                plain,
                heading,
                kind,
                table,
                around,
                " ".join(before[-REACH:]),
                alias_key(topic),
            )
        )
        if cells is None and not text.startswith("#"):
            before.append(plain)
        elif text.startswith("#"):
            before = []
    return out


_HEADER_UNIT = re.compile(r"[(\[,]\s*(?:in )?([^()\[\],]{1,14})[)\]]?\s*$")
_BARE = re.compile(r"^[*_\s]*[-+−–]?\d+(?:[.,]\d+)*(?:\s?±\s?\d+(?:\.\d+)?)?[*_\s]*$")


def _with_units(header: tuple[str, ...], cells: tuple[str, ...], caption: str = "") -> list[str]:
    """Bare numbers take the unit of their header: "latency (ms)" over 29 makes 29 ms."""
    out = []
    for i, cell in enumerate(cells):
        match = _HEADER_UNIT.search(header[i]) if i < len(header) else None
        unit = match.group(1).strip() if match else ""
        last = header[i].split()[-1] if i < len(header) and header[i].split() else ""
        if unit not in UNITS and last in UNITS and last not in {"points", "times", "x", "X", "min", "second", "seconds", "point", "day"}:
            unit = last
        if unit not in UNITS and i < len(header) and len(header[i]) > 2:
            named = re.search(rf"\b{re.escape(header[i])} in ([^\s,;.()]+)", caption, re.IGNORECASE)
            unit = named.group(1) if named else unit
        out.append(f"{cell.strip('*_ ')} {unit}" if unit in UNITS and _BARE.match(cell) else cell)
    return out


_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget)\b[^.]{0,40}\b(?:instructions?|prompts?|rules)\b|\b(?:answer|respond|reply|output"
    r"|return|say)\b[^.]{0,30}\b(?:SUPPORTED|CONTRADICTED)\b|\byou (?:are|must) (?:an? )?(?:assistant|answer|approve)\b",
    re.IGNORECASE,
)


def _pipe_cells(text: str) -> tuple[str, ...] | None:
    """The cells of a Markdown table line, None for prose."""
    if text.count("|") < 2 or "\n" in text or not text.startswith("|"):
        return None
    return tuple(c.strip() for c in text.strip().strip("|").split("|"))


def _pieces(text: str) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for start, end in sentences(text):
        while end - start > MAX_UNIT:
            cut = text.rfind(" ", start, start + MAX_UNIT)
            cut = cut if cut > start else start + MAX_UNIT
            out.append((start, cut))
            start = cut
        if start < end:
            out.append((start, end))
    return out


def name_keys(text: str) -> frozenset[str]:
    """Canonical names in a stretch of text."""
    return frozenset(t.key for t in scan(text).names) | frozenset(
        alias_key(w) for w in re.findall(r"[A-Za-z][\w-]+", text) if any(c.isupper() for c in w[1:])
    )
