"""Files into the library: what a path holds, which work it is, and a report of what was added, unchanged or skipped and why.

Sits beside the path: imports readers, store and identity. Refuses to stop for one bad file, and never half-adds a file: a batch is one transaction.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sovereign import identity, seal
from sovereign.errors import NotFound, Unreadable
from sovereign.readers import ReadLimits, read_bytes, read_many
from sovereign.readers.bibtex import parse_bibtex
from sovereign.readers.jsonl import read_records
from sovereign.readers.markdown import front_matter
from sovereign.records import Basis, Document, Paper, PaperKind, Reference
from sovereign.store.library import Addition, Library, batches

READABLE = (
    ".pdf",
    ".html",
    ".htm",
    ".xhtml",
    ".xml",
    ".jats",
    ".nxml",
    ".tex",
    ".ltx",
    ".md",
    ".markdown",
    ".txt",
    ".text",
    ".gz",
    ".tgz",
    ".zip",
    ".tar",
)
TABLES = (".jsonl", ".ndjson", ".bib")
Progress = Callable[[str, int, int], None]  # what, done, total (0: unknown)


@dataclass
class Report:
    """What came of an intake; `skipped` names each file or line with its reason."""

    files: int = 0
    new_papers: int = 0
    new_documents: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    by_reason: Counter[str] = field(default_factory=Counter)

    def skip(self, what: str, reason: str) -> None:
        self.by_reason[reason] += 1
        if len(self.skipped) < 200:
            self.skipped.append((what, reason))


def add(paths: Sequence[Path], library: Library, *, limits: ReadLimits, workers: int = 2, progress: Progress = lambda *_: None) -> Report:
    """Adds every readable file below the paths. Raises NotFound for a path that does not exist, before anything is added."""
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path} does not exist.", mend="Give a file or a folder.", subject=str(path))
    report = Report()
    files = list(_files(paths, report))
    fresh: list[tuple[Path, str]] = []
    for path in files:
        report.files += 1
        try:
            size = path.stat().st_size
            if size > max(limits.max_bytes, 512 * 2**20 if path.suffix.lower() in TABLES else 0):
                report.skip(path.name, f"too large ({size >> 20} MiB)")
                continue
            digest = seal.sha256(path)
        except OSError as exc:
            report.skip(path.name, f"cannot be read: {exc.strerror}")
            continue
        if library.imported(digest) == "added":
            report.unchanged += 1
        else:
            fresh.append((path, digest))
    tables = [f for f in fresh if f[0].suffix.lower() in TABLES]
    texts = [f for f in fresh if f[0].suffix.lower() not in TABLES]
    for path, digest in tables:
        _add_table(path, digest, library, report, progress)
    _add_texts(texts, library, report, limits, workers, progress)
    return report


def add_trusted(bodies: Mapping[str, bytes], library: Library, *, progress: Progress = lambda *_: None) -> Report:
    """Files that ship with the package, read in this process: they need no confinement, and the first command should not wait for one."""
    report = Report(files=len(bodies))
    additions = []
    for done, (name, body) in enumerate(bodies.items()):
        progress("default library", done, len(bodies))
        document = read_bytes(body, filename=name)
        additions.append(Addition(paper_of(document, name, body), document, name))
    _count(report, library, additions)
    progress("default library", len(bodies), len(bodies))
    return report


def _files(paths: Sequence[Path], report: Report) -> Iterator[Path]:
    """Files below the paths in a stable order; links to folders are not followed, so a loop of links ends nowhere."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_file():
            if path.suffix.lower() not in READABLE + TABLES:
                report.skip(path.name, f"no reader for {path.suffix or 'files without a suffix'}")
                continue
            candidates: list[Path] = [path]
        else:
            candidates = []
            for folder, names, files in os.walk(path, followlinks=False):
                names[:] = sorted(n for n in names if not n.startswith("."))
                candidates += [
                    Path(folder) / f for f in sorted(files) if not f.startswith(".") and Path(f).suffix.lower() in READABLE + TABLES
                ]
        for candidate in candidates:
            if candidate.name == "SOURCE.md":  # says where a data folder comes from; not a paper
                continue
            real = candidate.resolve()
            if real not in seen and real.is_file():
                seen.add(real)
                yield candidate


def _add_table(path: Path, digest: str, library: Library, report: Report, progress: Progress) -> None:
    body = path.read_bytes()
    before = report.new_papers
    lines = body.count(b"\n") + 1
    progress(path.name, 0, lines)

    def additions() -> Iterator[Addition]:
        if path.suffix.lower() == ".bib":
            for reference in parse_bibtex(body.decode("utf-8", errors="replace")):
                if reference.title:
                    yield Addition(_from_reference(reference), None, path.name)
                else:
                    report.skip(f"{path.name}: {reference.key}", "the entry has no title")
            return
        for item in read_records(body):
            if len(item) == 2:
                report.skip(f"{path.name}, line {item[0]}", item[1])
            else:
                if item[0] % 500 == 0:
                    progress(path.name, item[0], lines)
                yield Addition(item[1], item[2], path.name)

    for batch in batches(additions(), 500):
        _count(report, library, batch)
    library.note_import(digest, path.name, report.new_papers - before, "added")
    progress(path.name, lines, lines)


def _add_texts(
    files: Sequence[tuple[Path, str]], library: Library, report: Report, limits: ReadLimits, workers: int, progress: Progress
) -> None:
    by_name = {str(path): (path, digest) for path, digest in files}

    def bodies() -> Iterator[tuple[str, bytes]]:
        for path, _ in files:
            yield str(path), path.read_bytes()

    for done, (name, outcome) in enumerate(read_many(bodies(), limits=limits, workers=workers)):
        path, digest = by_name[name]
        progress("reading files", done, len(files))
        if isinstance(outcome, Unreadable):
            report.skip(path.name, outcome.line())
            continue
        paper = paper_of(outcome, path.name, path.read_bytes()[: 64 * 1024])
        _count(report, library, [Addition(paper, outcome, path.name)])
        library.note_import(digest, path.name, 1, "added")
    if files:
        progress("reading files", len(files), len(files))


def _count(report: Report, library: Library, batch: Sequence[Addition]) -> None:
    added = library.add(batch)
    report.new_papers += added.new_papers
    report.new_documents += added.new_documents
    report.unchanged += added.unchanged


def paper_of(document: Document, filename: str, head: bytes) -> Paper:
    """Which work a document is: front matter first, then identifiers near the beginning, then its name; never guessed from the middle."""
    fields = front_matter(head.decode("utf-8", errors="replace"))[0] if filename.lower().endswith((".md", ".markdown")) else {}
    beginning = document.text[:3000]
    arxiv = identity.parse_arxiv_id(str(fields.get("arxiv", ""))) or identity.parse_arxiv_id(Path(filename).stem)
    if arxiv is None and document.basis is not Basis.NOTE:
        marked = identity.parse_arxiv_id(next((line for line in beginning.splitlines()[:80] if "arxiv:" in line.lower()), ""))
        arxiv = marked
    doi = identity.parse_doi(str(fields.get("doi", "")))
    title = str(fields.get("title") or document.title or Path(filename).stem)
    authors = tuple(a.strip() for a in str(fields.get("authors") or "").split(";") if a.strip() not in ("", "[]")) or document.authors
    year = int(str(fields["year"])) if str(fields.get("year", "")).isdigit() else None
    paper_id = identity.paper_id_for(arxiv[0] if arxiv else None, doi, title, authors, year, fallback=f"file:{document.sha256[:12]}")
    paper = Paper(
        paper_id=paper_id,
        title=title,
        authors=authors,
        year=year,
        abstract=document.abstract,
        arxiv_id=arxiv[0] if arxiv else None,
        version=arxiv[1] if arxiv else None,
        doi=doi,
        names=tuple(n.strip() for n in str(fields.get("systems", "")).split(";") if n.strip()),
        venue=str(fields.get("venue", "")) or None,
        published=str(fields.get("published", "")) or None,
        url=f"https://arxiv.org/abs/{arxiv[0]}" if arxiv else None,
    )
    if document.basis is Basis.NOTE:
        key = arxiv[0] if arxiv else document.sha256[:12]
        return replace(
            paper,
            paper_id=f"note:{key}",
            kind=PaperKind.NOTE,
            about=paper_id,
            abstract=_gist(document),
            venue=str(fields.get("provenance", "")) or None,
        )
    return paper


def _gist(document: Document) -> str | None:
    """The first paragraphs of a note stand for its abstract in the relevance gate."""
    text = " ".join(p.text for p in document.passages if p.section.lower().endswith(("what it is", "how it works")))
    return text[:2000] or None


def _from_reference(reference: Reference) -> Paper:
    return Paper(
        paper_id=identity.paper_id_for(
            reference.arxiv_id, reference.doi, reference.title, reference.authors, reference.year, fallback=f"bib:{reference.key}"
        ),
        title=reference.title or reference.key,
        authors=reference.authors,
        year=reference.year,
        arxiv_id=reference.arxiv_id,
        doi=reference.doi,
    )
