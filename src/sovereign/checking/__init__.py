"""`sovereign check`: a person's own manuscript against what it cites, claim by claim and reference by reference.

Stands above wiring, below the faces: opens files and the library through it, and hands the pure kernel what it needs. Refuses to write into the
manuscript, to invent a source, and to call an outage or a source that was not given a fault of the author.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sovereign import identity, intake, wiring
from sovereign.checking.files import Bibliography, Manuscript, bibliography, manuscript_of, read_bibliography, read_manuscript
from sovereign.checking.report import Report, report
from sovereign.errors import BadInput, NotFound, UnknownName, Unreadable
from sovereign.kernel import bibliography as entries
from sovereign.kernel import manuscript as claims
from sovereign.kernel.bibliography import Looked
from sovereign.kernel.manuscript import Checked, Source, Statement
from sovereign.ports import Verifier
from sovereign.readers import read_many
from sovereign.records import Basis, Document, Empty, Failed, Found, Paper, Query, Reference
from sovereign.settings import Settings
from sovereign.store.workspace import Workspace

Lookup = Callable[[Mapping[str, Reference]], Mapping[str, Sequence[Looked]]]
Progress = Callable[[str, int, int], None]


def check(
    settings: Settings,
    manuscript: Path,
    *,
    bib: Path | Sequence[Path] | None = None,
    against: Sequence[Path] = (),
    sources: Sequence[str] = (wiring.LOCAL,),
    lookup: Lookup | None = None,
    progress: Progress = lambda *_: None,
) -> Report:
    """Checks every claim and every cited reference of a manuscript.

    `bib`: BibTeX files; None takes the ones that the manuscript itself names and that lie beside it. `against`: files or folders with the cited
    works. `sources`: "local" is the library; a live name (arxiv, openalex, crossref, semantic_scholar) asks the services about the references.
    `lookup` replaces the services. Raises BadInput, NotFound, UnknownName or Unreadable for what cannot be used; never for an outage.
    """
    _known_sources(sources)
    held = read_manuscript(Path(manuscript), wiring.limits_of(settings))
    chosen = [Path(b) for b in ([bib] if isinstance(bib, (str, Path)) else bib or held.bibliography)]
    book = read_bibliography(chosen, held.document)
    return _checked(settings, held, book, lambda: _given(settings, against, progress), sources, lookup, progress)


def check_text(
    settings: Settings,
    text: str,
    *,
    suffix: str,
    bib: str = "",
    against: Sequence[tuple[str, Document]] = (),
    sources: Sequence[str] = (wiring.LOCAL,),
) -> Report:
    """The same for a manuscript and a bibliography that come as text; no file of this machine is opened for them.

    `suffix`: .md, .tex, .html or .txt. `against`: (identifier, document) pairs; an identifier equal to a citation key is that work.
    """
    _known_sources(sources)
    held = manuscript_of(text, suffix, wiring.limits_of(settings))
    book = bibliography([("references.bib", bib)] if bib.strip() else [], held.document)
    given = [Source(intake.paper_of(d, name, d.text[: 64 * 1024].encode("utf-8", "replace")), d, name, name) for name, d in against]
    return _checked(settings, held, book, lambda: (given, []), sources, None, lambda *_: None)


def _checked(
    settings: Settings, held: Manuscript, book: Bibliography, giving: Callable[[], tuple[list[Source], list[dict[str, str]]]],
    sources: Sequence[str], lookup: Lookup | None, progress: Progress,
) -> Report:  # fmt: skip
    outline = claims.outline(held.document, list(book.references.values()))
    if not outline.statements and not outline.cited_keys:
        raise BadInput(
            f"{held.path.name} holds no claim to check: none of its {outline.sentences} sentences cites anything or states a figure.",
            mend="Check that citations are written as [@key], \\cite{key}, [1] or (Name et al., 2024).",
            subject=str(held.path),
        )
    given, skipped = giving()
    with wiring.workspace(settings) as ws:
        shelf = _Shelf(ws, settings, wiring.LOCAL in sources, progress)
        cited = {key: book.references.get(key) for key, _ in outline.cited_keys}
        works = {key: _works(key, reference, given, shelf) for key, reference in cited.items()}
        live = [s for s in sources if s != wiring.LOCAL]
        ask = lookup or (_services(ws, settings, live) if live else None)
        looked = ask({k: r for k, r in cited.items() if r is not None}) if ask else {}
        library = {key: shelf.paper(reference) for key, reference in cited.items() if reference is not None}
    checked = _judge(outline.statements, works, given, wiring.verifiers_of(settings.entailment), progress)
    broken = {p.key: f"{p.file}, line {p.line}: {p.problem}" for p in book.problems if p.kind == "broken"}
    verdicts = [
        entries.judge_reference(
            key, reference, given=[s for s in works[key] if s in given], library=library.get(key), looked=looked.get(key, ()),
            has_bibliography=book.known, broken=broken.get(key),
        )
        for key, reference in cited.items()
    ]  # fmt: skip
    return report(held, book, outline, checked, verdicts, _used(given, works), skipped)


def _known_sources(names: Sequence[str]) -> None:
    from sovereign.sources import NAMES

    for name in names:
        if name not in (wiring.LOCAL, *NAMES):
            raise UnknownName("source", name, (wiring.LOCAL, *NAMES))


def _judge(
    statements: Sequence[Statement],
    works: Mapping[str, Sequence[Source]],
    given: Sequence[Source],
    extra: Sequence[Verifier],
    progress: Progress,
) -> list[tuple[Statement, Checked]]:
    out = []
    for n, statement in enumerate(statements):
        progress("checking claims", n, len(statements))
        out.append((statement, claims.judge(statement, [(k, works.get(k, ())) for k in statement.keys], given, extra)))
    progress("checking claims", len(statements), len(statements))
    return out


# --- the cited works ---


def _given(settings: Settings, paths: Sequence[Path], progress: Progress) -> tuple[list[Source], list[dict[str, str]]]:
    """Every readable file of --against. A file named by the person must be readable; a file found in a folder may be skipped with its reason."""
    named: dict[Path, bool] = {}
    for path in map(Path, paths):
        if path.is_dir():
            for folder, names, files in os.walk(path, followlinks=False):
                names[:] = sorted(n for n in names if not n.startswith("."))
                for file in sorted(files):
                    if not file.startswith(".") and Path(file).suffix.lower() in intake.READABLE:
                        named.setdefault(Path(folder) / file, False)
        elif path.is_file():
            named[path] = True
        else:
            raise NotFound(f"{path} does not exist.", mend="Give the cited works, as files or folders, with --against.", subject=str(path))
    found: list[Source] = []
    skipped: list[dict[str, str]] = []
    bodies = ((str(p), p.read_bytes()) for p in named)
    for done, (name, outcome) in enumerate(read_many(bodies, limits=wiring.limits_of(settings), workers=2)):
        progress("reading sources", done, len(named))
        path = Path(name)
        if isinstance(outcome, Unreadable):
            if named[path]:
                raise Unreadable(f"{path.name}: {outcome.message}", kind=outcome.kind, mend=outcome.mend, subject=name) from outcome
            skipped.append({"what": path.name, "reason": outcome.line()})
            continue
        paper = intake.paper_of(outcome, path.name, path.read_bytes()[: 64 * 1024])
        found.append(Source(paper, outcome, path.name, path.stem))
    if named:
        progress("reading sources", len(named), len(named))
    return found, skipped


class _Shelf:
    """The library as far as a bibliography needs it: one work by its identifiers, else by its title."""

    def __init__(self, ws: Workspace, settings: Settings, open_: bool, progress: Progress):
        self._ws, self._open = ws, open_
        self._index: Any = None
        self._held: dict[str, list[Paper]] = {}
        if open_:
            wiring.ensure_default_library(ws, settings, progress)

    def papers(self, reference: Reference) -> list[Paper]:
        """Records of this work in the library, the paper before a note about it."""
        if not self._open:
            return []
        if reference.key not in self._held:
            paper = claims.as_paper(reference)
            ids = identity.identifiers(paper)
            names = [f"arxiv:{ids.arxiv}", f"note:{ids.arxiv}"] * bool(ids.arxiv) + [f"doi:{ids.doi}"] * bool(ids.doi)
            found = [p for p in map(self._ws.library.paper, names) if p is not None]
            if not found and reference.title:
                found = [p for p in self._titled(reference.title) if identity.same_work(p, paper)]
            self._held[reference.key] = found
        return self._held[reference.key]

    def _titled(self, title: str) -> list[Paper]:
        self._index = self._index or wiring.index_of(self._ws)
        return [p for i in self._index.titled(title, 10) if (p := self._ws.library.paper(i)) is not None]

    def paper(self, reference: Reference) -> Paper | None:
        return next(iter(self.papers(reference)), None)

    def sources(self, reference: Reference) -> list[Source]:
        """The best text of the work: full text before a note before the abstract."""
        best: list[tuple[int, Source]] = []
        order = {Basis.FULL_TEXT: 0, Basis.NOTE: 1, Basis.ABSTRACT_ONLY: 2}
        for paper in self.papers(reference):
            for digest, basis in self._ws.library.documents_of(paper.paper_id)[:1]:
                best.append((order[basis], Source(paper, self._ws.library.document(digest), f"library: {paper.paper_id}")))
        return [s for _, s in sorted(best, key=lambda b: b[0])[:1]]


def _works(key: str, reference: Reference | None, given: Sequence[Source], shelf: _Shelf) -> list[Source]:
    """What was given counts; the library is asked only where nothing was given for this key."""
    found = claims.matching(key, reference, given)
    return found or (shelf.sources(reference) if reference is not None else [])


def _services(ws: Workspace, settings: Settings, names: Sequence[str]) -> Lookup:
    """Asks the live services about every entry: by identifier, else by exact title. An outage is an outcome."""

    def ask(references: Mapping[str, Reference]) -> Mapping[str, Sequence[Looked]]:
        from sovereign.sources import services

        async def everything() -> dict[str, Sequence[Looked]]:
            held = services(settings, state_dir=settings.home, keep=wiring.keeper(ws))
            async with held.http.together():
                return {key: await _look(held, names, reference) for key, reference in references.items()}

        return asyncio.run(everything())

    return ask


async def _look(held: Any, names: Sequence[str], reference: Reference) -> Sequence[Looked]:
    identifier = reference.arxiv_id or reference.doi
    if identifier:
        outcome = await held.lookup(identifier)
        service = "arXiv" if reference.arxiv_id else "OpenAlex and Crossref"
        if not isinstance(outcome, Found):
            return [Looked(service, outcome)]
        flags = await held.flags(outcome.papers[0])
        paper = replace(outcome.papers[0], flags=tuple(sorted({*outcome.papers[0].flags, *flags.flags})))
        return [Looked(service, Found((paper,)), flags_known=bool(flags.checked))]
    if not reference.title:
        return [Looked(names[0], Failed("the entry has neither an identifier nor a title", "refused"))]
    out: list[Looked] = []
    for name in names:
        outcome = await held.source(name).search(Query("bibliography", reference.title, exact=True), 5)
        if isinstance(outcome, Found):
            same = [p for p in outcome.papers if identity.normalise_title(p.title) == identity.normalise_title(reference.title)]
            outcome = Found((same[0],)) if same else Empty()
        out.append(Looked(name, outcome))
        if isinstance(outcome, Found):
            break
    return out


def _used(given: Sequence[Source], works: Mapping[str, Sequence[Source]]) -> list[tuple[Source, list[str]]]:
    everything = list(dict.fromkeys([*given, *(s for held in works.values() for s in held)]))
    return [(s, [k for k, held in works.items() if s in held]) for s in everything]
