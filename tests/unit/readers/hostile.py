# ruff: noqa: E501 - a table of hostile tokens
"""Bodies that attack or mislead a reader, and mutations of good ones."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile

BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE article [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(10))
    + "]><article><front></front><body><p>&k;</p></body></article>"
).encode()
EXTERNAL_ENTITY = (
    b'<?xml version="1.0"?><!DOCTYPE article [<!ENTITY x SYSTEM "file:///etc/passwd">]><article><body><p>&x;</p></body></article>'
)


def gzip_bomb(mib: int = 300) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as stream:
        for _ in range(mib):
            stream.write(bytes(2**20))
    return out.getvalue()


def zip_bomb(mib: int = 300) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle, bundle.open("main.tex", "w") as stream:
        for _ in range(mib):
            stream.write(b" " * 2**20)
    return out.getvalue()


def escaping_tar(latex: bytes) -> bytes:
    """A good main.tex beside members that point outside."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, body in (("../../escaped.tex", b"outside"), ("/tmp/absolute.tex", b"outside"), ("main.tex", latex)):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        for name, kind in (("link.tex", tarfile.SYMTYPE), ("hard.tex", tarfile.LNKTYPE), ("pipe.tex", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    return out.getvalue()


MACRO_BOMB = (
    r"\documentclass{article}\newcommand{\aa}{xxxxxxxxxx}"
    + "".join(rf"\newcommand{{\{chr(98 + i) * 2}}}{{{(chr(92) + chr(97 + i) * 2) * 10}}}" for i in range(12))
    + r"\begin{document}\mm and \mm\end{document}"
).encode()
INCLUDE_LOOP = rb"\documentclass{article}\begin{document}Some words stand here.\input{main}\input{main.tex}\end{document}"
DEEP_HTML = b"<html><body>" + b"<div>" * 20_000 + b"deep words stand here" + b"</div>" * 20_000 + b"</body></html>"
DEEP_LATEX = (r"\documentclass{article}\begin{document}" + "{" * 20_000 + "deep" + "}" * 20_000 + r"\end{document}").encode()
DEEP_XML = b"<article><body>" + b"<sec>" * 5_000 + b"<p>deep words stand here</p>" + b"</sec>" * 5_000 + b"</body></article>"

OTHERS: dict[str, bytes] = {
    "laughs.xml": BILLION_LAUGHS,
    "external.xml": EXTERNAL_ENTITY,
    "macro.tex": MACRO_BOMB,
    "main.tex": INCLUDE_LOOP,
    "deep.html": DEEP_HTML,
    "deep.tex": DEEP_LATEX,
    "deep.xml": DEEP_XML,
    "empty.pdf": b"%PDF-1.7\n%%EOF",
    "lie.pdf": b"<html><body><p>Not a PDF at all, whatever its name says.</p></body></html>",
    "lie.html": b"%PDF-1.4 garbage that is no page",
    "nul.txt": b"Words with \x00 a zero byte in a line of text that goes on.\n",
    "zeros.txt": bytes(5000),
    "binary.bin": bytes(range(256)) * 20,
    "cut.gz": gzip.compress(b"x" * 100_000)[:40],
    "cut.zip": b"PK\x03\x04" + bytes(60),
    "unclosed.tex": rb"\documentclass{a}\begin{document}\begin{table}\caption{x \begin{tabular}{l} a & b \\ c",
    "unclosed.html": b"<html><body><table><tr><td>a<td>b<table><tr><td>c",
    "percent.tex": rb"\documentclass{a}\begin{document}50\% of it, \\% comment" + b"\n\\end{document}",
    "only.bib": b"@article{",
    "front.md": b"---\ntitle: [unclosed\n\n",
    "utf16.html": "<html><body><p>UTF-16 words stand in this page.</p></body></html>".encode("utf-16"),
}


def mutated(body: bytes, rng: random.Random) -> bytes:
    """One of: cut, swapped bytes, repeated or removed stretches, stretches of zeros or of a hostile token."""
    data = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        kind = rng.randrange(6)
        at = rng.randrange(len(data) + 1)
        size = min(rng.choice((1, 4, 30, 400, 5000)), max(1, len(data) - at))
        if kind == 0:
            del data[rng.randrange(len(data) // 2 + 1) + len(data) // 2 :]
        elif kind == 1:
            data[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            data[at:at] = data[at : at + size] * rng.randint(1, 4)
        elif kind == 3:
            del data[at : at + size]
        elif kind == 4:
            data[at : at + size] = bytes(size)
        else:
            data[at:at] = rng.choice(_TOKENS) * rng.randint(1, 40)
        if not data:
            return b"%"
    return bytes(data[:2_000_000])


_TOKENS = (
    b"{", b"}", b"\\begin{tabular}{", b"\\end{", b"$", b"$$", b"<table>", b"<td colspan=99999>", b"</div>", b"<math>", b"&#x110000;", b"\\def\\a{\\a\\a}", b"\x00",
    b"\xff\xfe", b"%PDF-", b"endstream", b"/Type/Page", b"<<", b"9999999999", b"-1 0 R", b"\\multicolumn{99999}{c}{x}&", b"\\input{main}", b"<!--", b"]]>",
)  # fmt: skip
