"""PDF: glyphs to sections, captions, tables and references, in reading order. Imports this package and records; pypdfium2 when it first reads.

Says what it could not read: pages that are pictures, drawings' labels, glyphs without a character, pages past the limit. Runs no OCR.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sovereign.errors import Unreadable
from sovereign.readers import _references
from sovereign.readers._assemble import Assembly
from sovereign.readers._limits import ReadLimits
from sovereign.readers._pdf_blocks import KNOWN, NUMBERED, Block, Style, blocks, join, style_of, without_furniture
from sovereign.readers._text import one_line
from sovereign.records import Document, PassageKind

if TYPE_CHECKING:
    from sovereign.readers._pdf_lines import Line
    from sovereign.readers._pdf_page import Page

NAME = "pdf/1"
_MIN_GLYPHS = 25  # a page with fewer is a picture or empty
_NO_TEXT_MEND = "Give the HTML or LaTeX version, or run OCR over the file first."


class PdfReader:
    name = NAME
    suffixes: tuple[str, ...] = (".pdf",)

    def recognises(self, head: bytes, filename: str) -> bool:
        return b"%PDF-" in head[:1024]

    def read(self, body: bytes, *, filename: str) -> Document:
        return self.read_within(body, filename=filename, limits=ReadLimits())

    def read_within(self, body: bytes, *, filename: str, limits: ReadLimits) -> Document:
        """The first limits.max_pages pages; the rest is reported as unread. Raises Unreadable: encrypted, corrupt, image_only."""
        out = Assembly(NAME)
        pages = _load(body, limits, out)
        return _Paper(pages, out).run()


def _load(body: bytes, limits: ReadLimits, out: Assembly) -> list[Page]:
    import pypdfium2

    from sovereign.readers import _pdf_page

    try:
        pdf = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as exc:
        if "password" in str(exc).lower() or "security" in str(exc).lower():
            raise Unreadable("The PDF is encrypted.", kind="encrypted", mend="Remove the password and give it again.") from exc
        raise Unreadable("The PDF is damaged and cannot be opened.", kind="corrupt", mend="Download it again.") from exc
    pages: list[Page] = []
    broken: list[int] = []
    try:
        total = len(pdf)
        for index in range(min(total, limits.max_pages)):
            try:
                pages.append(_pdf_page.load(pdf, index))
            except (pypdfium2.PdfiumError, ValueError, OverflowError):
                broken.append(index + 1)
    finally:
        pdf.close()
    if broken:
        out.unread(_named_pages(broken), "damaged", len(broken) / total)
    if total > limits.max_pages:
        out.unread(f"pages {limits.max_pages + 1}-{total}", f"more than {limits.max_pages} pages", (total - limits.max_pages) / total)
    _check_text(pages, total, out)
    return pages


def _named_pages(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:12]))
    return f"page{'s' if len(numbers) > 1 else ''} {shown}{' …' if len(numbers) > 12 else ''}"


def _check_text(pages: list[Page], total: int, out: Assembly) -> None:
    """Reports pages without text, labels of drawings and unmapped glyphs; refuses a document that has no text at all."""
    if not pages:
        raise Unreadable("No page of the PDF can be read.", kind="corrupt", mend="Download it again.")
    silent = [p for p in pages if len(p.glyphs) + p.figure_glyphs < _MIN_GLYPHS]
    pictures = [p.number for p in silent if p.image_share > 0.25]
    if len(silent) == len(pages):
        kind = "image_only" if pictures else "empty"
        what = "holds only pictures of its pages" if pictures else "holds no text"
        raise Unreadable(f"The PDF {what}.", kind=kind, mend=_NO_TEXT_MEND)
    if pictures:
        out.unread(_named_pages(pictures), "pictures without text", len(pictures) / total)
    glyphs = sum(len(p.glyphs) for p in pages)
    whole = max(1, glyphs + sum(p.figure_glyphs + p.rotated + p.unmapped for p in pages))
    for name, reason in (
        ("figure_glyphs", "labels inside drawings"),
        ("rotated", "text set at an angle"),
        ("unmapped", "glyphs without a character"),
    ):
        count = sum(getattr(p, name) for p in pages)
        if count:
            where = _named_pages([p.number for p in pages if getattr(p, name)])
            out.unread(f"{reason} ({where})", "left out of the text", count / whole)
    if any(p.ocr for p in pages):
        out.unread(_named_pages([p.number for p in pages if p.ocr]), "text is the scanner's recognition, unchecked", None)


class _Paper:
    """From pages to the assembly."""

    def __init__(self, pages: list[Page], out: Assembly):
        from sovereign.readers import _pdf_lines

        self._out = out
        self._pages = pages
        pieces = [_pdf_lines.fragments(p.glyphs) for p in pages]
        split = _pdf_lines.gutter(pieces, [p.box for p in pages])
        lines = [_pdf_lines.in_order(f, p, split) for f, p in zip(pieces, pages)]
        lines, self._furniture = without_furniture(lines, pages)
        self._style: Style = style_of(lines)
        self._blocks = blocks(lines, pages, self._style)
        self._abstract: list[str] = []
        self._claimed: set[int] = set()

    def run(self) -> Document:
        for page in self._pages:
            for how, pieces in page.hidden.items():
                self._out.hidden("".join(pieces), f"{how}, page {page.number}")
        title, authors, start = self._front()
        index = start
        kind = PassageKind.PROSE
        while index < len(self._blocks):
            block = self._blocks[index]
            if block.kind == "heading":
                kind = PassageKind.ABSTRACT if _is_abstract(block.text) else PassageKind.PROSE
                if re.fullmatch(
                    r"(?:\d+\.?\s+|[IVX]+\.\s+)?(?:references|bibliography|literature cited)\.?", block.text.strip(), re.IGNORECASE
                ):
                    index = self._references(index)
                    continue
                self._heading(block)
            else:
                kind = self._emit(index, block, kind)
            index += 1
        return self._out.finish(title=title, authors=authors, abstract=" ".join(self._abstract) or None)

    # --- front matter ---

    def _front(self) -> tuple[str | None, list[str], int]:
        """(title, authors, index of the first block after them): the largest print of the first page, and what stands before the abstract."""
        head = [b for b in self._blocks[:14] if b.page == self._pages[0].number]
        candidates = [b for b in head if b.kind in ("heading", "text") and len(b.text) > 8 and not _is_abstract(b.text)]
        if not candidates:
            return None, [], 0
        top = max(b.lines[0].size for b in candidates)
        title_block = next(b for b in candidates if b.lines[0].size >= top - 0.1)
        if top < 1.1 * self._style.size:
            return None, [], 0
        begin = self._blocks.index(title_block)
        end = begin + 1
        while end < len(self._blocks) and end < begin + 14 and not self._starts_body(self._blocks[end]):
            end += 1
        if end >= begin + 14 or end >= len(self._blocks):
            end = begin + 1
        title = one_line(title_block.text)
        while (
            begin + 1 < end
            and abs(self._blocks[begin + 1].lines[0].size - top) < 0.2
            and self._blocks[begin + 1].kind in ("heading", "text")
        ):
            begin += 1
            title = f"{title} {one_line(self._blocks[begin].text)}"
        self._out.label(title)
        self._out.leave_sections()
        people = self._blocks[begin + 1 : end]
        for block in [*(b for b in self._blocks[:begin] if b.lines[0].size < top - 0.2), *people]:
            if block.kind == "table":
                for line in block.grid.lines if block.grid else []:
                    self._out.label(line.text)
            elif block.kind != "note":
                self._out.label(" ; ".join(line.text for line in block.lines))
        return title, _people(people), end

    def _starts_body(self, block: Block) -> bool:
        if block.kind == "heading":
            return bool(KNOWN.match(block.text) or NUMBERED.match(block.text))
        return block.kind == "text" and (_run_in_abstract(block.text) is not None or len(block.text.split()) > 60)

    # --- body ---

    def _heading(self, block: Block) -> None:
        if KNOWN.match(block.text) or NUMBERED.match(block.text):
            self._out.heading(block.text, block.level)
        else:
            self._out.heading(block.text, 3)

    def _emit(self, index: int, block: Block, kind: PassageKind) -> PassageKind:
        if block.kind == "caption":
            self._out.caption(block.text)
        elif block.kind == "equation":
            self._out.equation(block.text)
        elif block.kind == "table" and block.grid:
            self._out.table(self._caption_for(index), block.grid.header, block.grid.rows)
        elif block.kind == "listing":
            self._out.verbatim("\n".join(line.text for line in block.lines))
        elif block.kind == "note":
            if re.search(r"\w@\w|^[∗*†‡⋆]?\s*(?:Equal|Correspond|Work done|Joint)|^https?:\S+$", block.text):
                self._out.label(block.text)
            else:
                self._out.paragraph(block.text)
        else:
            run_in = _run_in_abstract(block.text)
            if run_in is not None:
                self._out.heading("Abstract")
                kind = PassageKind.ABSTRACT
            text = run_in if run_in is not None else block.text
            if kind is PassageKind.ABSTRACT and re.match(r"(?:keywords|index terms|ccs concepts|code|project page)\b", text, re.IGNORECASE):
                kind = PassageKind.PROSE
            if kind is PassageKind.ABSTRACT:
                self._abstract.append(one_line(text))
            if _has_words(text):
                self._out.paragraph(text, kind=kind)
                if run_in is not None:
                    self._out.leave_sections()
            elif re.search(r"\w", text):
                self._out.label(text)  # a lone number or word: kept in the text, too little for a passage
        return kind

    def _caption_for(self, index: int) -> str:
        """The nearest caption of a table on the same page that no other table has: above first, then below."""
        page = self._blocks[index].page
        for distance in range(1, 5):
            for at in (index - distance, index + distance):
                if 0 <= at < len(self._blocks) and at not in self._claimed:
                    block = self._blocks[at]
                    if block.kind == "caption" and block.page == page and block.text[:3].lower() == "tab":
                        self._claimed.add(at)
                        return block.text
        return ""

    def _references(self, index: int) -> int:
        """Entries from the heading at `index` to the next one; returns the index of the block after them."""
        self._out.leave_sections()
        self._out.heading(self._blocks[index].text)
        end = index + 1
        lines: list[Line] = []
        while end < len(self._blocks):
            block = self._blocks[end]
            if block.kind == "heading" and (
                NUMBERED.match(block.text) or KNOWN.match(block.text) or block.lines[0].size > 1.07 * self._style.size
            ):
                break
            if block.kind in ("text", "heading", "equation", "note"):
                lines += block.lines
            elif block.kind == "table" and block.grid:
                lines += block.grid.lines
            end += 1
        for at in range(index + 1, end):  # a float that fell among the references
            if self._blocks[at].kind in ("caption", "listing"):
                self._emit(at, self._blocks[at], PassageKind.PROSE)
        for number, entry in enumerate(_entries(lines), 1):
            text = one_line(join(entry, self._style))
            mark = re.match(r"\[([^\]]{1,30})\]|(\d{1,3})\.\s", text)
            key = (mark.group(1) or mark.group(2)) if mark else str(number)
            self._out.reference(_references.parse(key, text))
        self._out.leave_sections()
        return end


def _is_abstract(text: str) -> bool:
    return text.lower().strip(" .:—–-") == "abstract"


def _run_in_abstract(text: str) -> str | None:
    """The text behind "Abstract—" at a paragraph's start."""
    match = re.match(r"Abstract\s*[—–:.-]+\s*(?=\S)", text, re.IGNORECASE)
    return text[match.end() :] if match else None


def _has_words(text: str) -> bool:
    """Something to read: not a lone number, letter or sign left over from a drawing."""
    return len(re.findall(r"[A-Za-z]{2,}", text)) >= 2


def _people(found: list[Block]) -> list[str]:
    """Names among the lines between title and abstract; lines with addresses, places and institutions are passed over."""
    names: list[str] = []
    for line in (x for b in found for x in (b.grid.lines if b.grid else b.lines)):
        for piece in line.fragments:
            if re.search(
                r"@|\d{3}|Universit|Institut|Depart|School|College|Laborator|\bLab\b|Research|Inc\.|Ltd|Corp|Academy|Center|Centre|https?:|\.(?:com|edu|org)",
                piece.text,
            ):
                continue
            for name in re.split(r",|\s+and\s+|&|;|·", piece.text):
                name = re.sub(r"[\d∗*†‡§¶♠♣♢♡⋆]+", "", name).strip(" .")
                words = name.split()
                if 2 <= len(words) <= 4 and all(
                    re.match(r"[A-Z\u00c0-\u017f]|(?:van|von|de|der|den|la|le|di|da|el|al|bin)$", w) for w in words
                ):
                    names.append(name)
    return list(dict.fromkeys(names))[:60]


def _entries(lines: list[Line]) -> list[list[Line]]:
    """Lines of a bibliography by entry: at [n] or n. where most entries have one, else where a line stands out of a hanging indent, else at gaps."""
    if not lines:
        return []
    bracketed = sum(bool(re.match(r"\[[^\]]{1,30}\]", x.text)) for x in lines)
    dotted = sum(bool(re.match(r"\d{1,3}\.\s", x.text)) for x in lines)
    hanging = [x for x in lines if x.x0 - x.left > 3]
    entries: list[list[Line]] = []
    expected = 1
    for number, line in enumerate(lines):
        if bracketed >= 0.12 * len(lines):
            starts = bool(re.match(r"\[[^\]]{1,30}\]", line.text))
        elif dotted >= 0.12 * len(lines):
            mark = re.match(r"(\d{1,3})\.\s", line.text)
            starts = bool(mark) and int(mark.group(1)) == expected if mark else False
            expected += starts
        elif len(hanging) > 0.25 * len(lines):
            starts = line.x0 - line.left <= 3
        else:
            before = lines[number - 1] if number else None
            gap = before.y - line.y if before and before.page == line.page and before.column == line.column else 0.0
            starts = before is None or gap > 1.35 * line.size or (gap <= 0 and before.text.rstrip().endswith("."))
        if starts or not entries:
            entries.append([])
        entries[-1].append(line)
    return entries
