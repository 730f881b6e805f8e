"""Archives of LaTeX sources opened in memory: gzip, tar, zip. Standard library only; writes nothing to any disk.

Refuses bombs (absolute size, ratio, number of members) and takes no member that is a link, a device or named outside the archive.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field

from sovereign.errors import Unreadable

MAX_MEMBERS = 2000
MAX_RATIO = 200  # TeX compresses 3-5 fold; zeros compress a thousandfold
_FREE_BYTES = 4 * 2**20  # below this no ratio is held against a file
_TEXT = (".tex", ".ltx", ".bbl", ".bib", ".txt", ".inc", ".sty", ".pdf", ".html", ".xml", ".nxml", ".md")


@dataclass
class Unpacked:
    files: dict[str, bytes] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)  # members left out, each with the reason


def is_archive(head: bytes) -> bool:
    return head.startswith((b"\x1f\x8b", b"PK\x03\x04")) or head[257:262] == b"ustar"


def unpack(body: bytes, max_bytes: int) -> Unpacked:
    """Members that may hold text, by their path. A gzip of one file gives one member "". Raises Unreadable: corrupt, too_large."""
    if body.startswith(b"\x1f\x8b"):
        body = _gunzip(body, max_bytes)
        if body[257:262] != b"ustar":
            return Unpacked({"": body})
    return _unzip(body, max_bytes) if body.startswith(b"PK") else _untar(body, max_bytes)


def _too_large(what: str) -> Unreadable:
    return Unreadable(
        f"The archive unpacks to {what}.", kind="too_large", mend="Unpack it yourself and give the .tex file if you trust it."
    )


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    machine = zlib.decompressobj(31)
    limit = min(max_bytes, max(_FREE_BYTES, MAX_RATIO * len(body)))
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error as exc:
        raise Unreadable("The gzip file is damaged.", kind="corrupt", mend="Download it again.") from exc
    if len(plain) > limit:
        raise _too_large(f"more than {limit // 2**20} MiB")
    return plain


def _escapes(name: str) -> bool:
    path = posixpath.normpath(name.replace("\\", "/"))
    return path.startswith(("/", "../")) or path == ".." or ":" in path.split("/")[0] or "\x00" in name


def _untar(body: bytes, max_bytes: int) -> Unpacked:
    out = Unpacked()
    total = count = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:") as tar:
            for member in tar:
                count += 1
                if count > MAX_MEMBERS:
                    raise _too_large(f"more than {MAX_MEMBERS} files")
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    out.refused.append(f"{member.name[:80]}: a link or device")
                elif _escapes(member.name):
                    out.refused.append(f"{member.name[:80]}: its path leaves the archive")
                elif member.name.lower().endswith(_TEXT) or "." not in posixpath.basename(member.name):
                    total += member.size
                    if total > max_bytes:
                        raise _too_large(f"more than {max_bytes // 2**20} MiB")
                    stream = tar.extractfile(member)
                    out.files[posixpath.normpath(member.name)] = stream.read() if stream else b""
    except (tarfile.TarError, ValueError, OverflowError, EOFError, OSError, zlib.error) as exc:
        if not out.files:
            raise Unreadable("The tar file is damaged.", kind="corrupt", mend="Download it again.") from exc
        out.refused.append(f"the rest of the archive: damaged ({type(exc).__name__})")
    return out


def _unzip(body: bytes, max_bytes: int) -> Unpacked:
    out = Unpacked()
    left = max_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as bundle:
            members = bundle.infolist()
            if len(members) > MAX_MEMBERS:
                raise _too_large(f"{len(members)} files")
            for member in members:
                if not member.filename or member.is_dir() or not member.filename.lower().endswith(_TEXT):
                    continue
                if _escapes(member.filename) or (member.external_attr >> 16) & 0o170000 == 0o120000:
                    out.refused.append(f"{member.filename[:80]}: a link, or its path leaves the archive")
                    continue
                limit = min(left, max(_FREE_BYTES, MAX_RATIO * max(member.compress_size, 1)))
                with bundle.open(member) as stream:  # the declared size may lie: what is read is counted
                    data = stream.read(limit + 1)
                if len(data) > limit:
                    raise _too_large(f"more than {limit // 2**20} MiB")
                left -= len(data)
                out.files[posixpath.normpath(member.filename)] = data
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError, zlib.error) as exc:
        if not out.files:
            raise Unreadable("The zip file is damaged or encrypted.", kind="corrupt", mend="Unpack it yourself.") from exc
        out.refused.append(f"the rest of the archive: damaged ({type(exc).__name__})")
    return out
