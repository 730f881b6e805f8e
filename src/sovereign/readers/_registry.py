"""The readers in the order in which they are asked. Imports every reader's module, none of which imports its heavy library before it reads."""

from __future__ import annotations

from sovereign.ports import Reader
from sovereign.readers.bibtex import BibtexReader
from sovereign.readers.html import HtmlReader
from sovereign.readers.jats import JatsReader
from sovereign.readers.latex import LatexReader
from sovereign.readers.markdown import MarkdownReader
from sovereign.readers.pdf import PdfReader
from sovereign.readers.plain import PlainReader

READERS: tuple[Reader, ...] = (PdfReader(), JatsReader(), HtmlReader(), BibtexReader(), LatexReader(), MarkdownReader(), PlainReader())
