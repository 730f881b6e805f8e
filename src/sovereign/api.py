"""The typed Python API: ask, verify and check as functions. Imports wiring, the kernel's verifier and the readers when called; refuses to decide
anything that the command line would not: nothing here approves or publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.errors import BadInput, NotFound, UnknownName, Unreadable
from sovereign.records import Document, Ruling

if TYPE_CHECKING:
    from sovereign import wiring
    from sovereign.checking.report import Report
    from sovereign.ports import Verifier
    from sovereign.settings import Settings
    from sovereign.store.workspace import Workspace

Source = str | Path | tuple[str, str]  # a file, or (identifier, text)
LABS = ("off", "smoke", "standard", "gpu")


@dataclass(frozen=True)
class Result:
    """A run as it stands on record. `body` is the document that scripts read (the same as `sovereign runs show --json`); `files`: name -> path.

    What a run has not reached yet is absent: `title`, `decision` and `pdf` are None then, the tuples are empty and `state` says why.
    """

    run_id: str
    state: str  # running | failed | waiting_for_owner | approved | rejected | sent_back | published
    body: Mapping[str, Any]
    files: Mapping[str, Path]
    timings_s: Mapping[str, float]  # seconds per step

    @property
    def title(self) -> str | None:
        draft = self.body.get("draft")
        return None if draft is None else str(draft["title"])

    @property
    def claims(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(self.body.get("claims", ()))

    @property
    def coverage(self) -> tuple[Mapping[str, Any], ...]:
        """One entry per facet of the question: facet, answered, by, why_not."""
        return tuple(self.body.get("coverage", ()))

    @property
    def unanswered(self) -> tuple[str, ...]:
        return tuple(c["facet"] for c in self.coverage if not c["answered"])

    @property
    def decision(self) -> str | None:
        """What the policy decided: AUTO_APPROVE, REVISE, ESCALATE_TO_OWNER or REJECT."""
        policy = self.body.get("policy")
        return None if policy is None else str(policy["decision"])

    @property
    def degraded(self) -> bool:
        """Whether a check that the gate needs was not run."""
        return any(c["state"] == "NOT_RUN" for c in self.body.get("checks", ()))

    @property
    def pdf(self) -> Path | None:
        return self.files.get("draft.pdf")


def ask(
    question: str,
    *,
    sources: Sequence[str] | None = None,
    library: Sequence[str | Path] = (),
    workspace: str | Path | None = None,
    lab: str | None = None,
    model: str | None = None,
    reviewers: Sequence[str] | None = None,
    offline: bool | None = None,
    out: str | Path | None = None,
) -> Result:
    """The main job: a draft in which every sentence leads to its evidence. Blocks until the run waits for its owner.

    `sources`: local, arxiv, semantic_scholar, openalex, crossref, datacite; None takes the settings'. `library`: files, folders, arXiv ids or DOIs to add
    first. `lab`: off, smoke, standard or gpu. `reviewers`: further models that review beside `model`; the same name again is another seed.
    Raises QuestionRefused, UnknownName, NotFound, WorkspaceUnusable (bad input) or OutsideFailed; a run
    that was killed goes on with `sovereign runs resume`.
    """
    from sovereign import wiring

    known_lab(lab)
    found = wiring.ask(
        settings_of(workspace, offline=offline),
        question,
        sources=tuple(sources) if sources else None,
        library=[str(p) for p in library],
        lab=lab,
        model=model,
        reviewers=reviewers,
        out=None if out is None else Path(out),
    )
    return result_of(found)


def known_lab(lab: str | None) -> None:
    """Raises UnknownName, which lists the known ones; None takes the settings'."""
    if lab is not None and lab not in LABS:
        raise UnknownName("lab", lab, LABS)


def result_of(found: wiring.Result) -> Result:
    return Result(found.run_id, found.state, found.body, found.files, found.timings_s)


def verify(claim: str, against: Sequence[Source], *, workspace: str | Path | None = None) -> Ruling:
    """One claim against given sources: files (PDF, HTML, LaTeX, Markdown, text) or (identifier, text) pairs.

    Depends only on the claim, the sources and the verifiers' versions. Raises NotFound or Unreadable naming the source, BadInput for an empty list.
    """
    from sovereign import wiring
    from sovereign.kernel.verify import make_claim, verify_claim

    if isinstance(against, (str, Path)):
        raise BadInput("`against` is one path.", mend="Give a list: against=[path].")
    if not against:
        raise BadInput("There is nothing to verify against.", mend="Give at least one file or (identifier, text) pair.")
    chosen = settings_of(workspace)
    return verify_claim(make_claim(claim), documents_of(chosen, against), extra=wiring.verifiers_of(chosen.entailment))


def check(
    manuscript: str | Path,
    *,
    bib: str | Path | Sequence[str | Path] | None = None,
    against: Sequence[str | Path] = (),
    sources: Sequence[str] = ("local",),
    workspace: str | Path | None = None,
) -> Report:
    """Every claim and every cited reference of a person's own manuscript against what it cites.

    `bib`: BibTeX files; None takes those that the manuscript names. `against`: files or folders with the cited works. `sources`: local is the
    library, a live name asks the services about the references. The report's `body` is the document of `sovereign check --json`. Raises BadInput,
    NotFound, UnknownName or Unreadable.
    """
    from sovereign import checking

    bibs = None if bib is None else [Path(b) for b in ([bib] if isinstance(bib, (str, Path)) else bib)]
    return checking.check(settings_of(workspace), Path(manuscript), bib=bibs, against=[Path(p) for p in against], sources=tuple(sources))


def settings_of(workspace: str | Path | None, **overrides: Any) -> Settings:
    from sovereign.settings import load

    return load(None if workspace is None else Path(workspace), **overrides)


def documents_of(settings: Settings, sources: Sequence[Source]) -> list[tuple[str, Document]]:
    """(identifier, document) per source. Text is read in this process within the size limit of the settings; files in a bounded child."""
    from sovereign import wiring
    from sovereign.readers.plain import read_text

    out: list[tuple[str, Document]] = []
    limit = settings.max_document_mib * 2**20
    for source in sources:
        if not isinstance(source, tuple):
            out += wiring.documents_from(settings, [Path(source)])
            continue
        name, text = source
        if not text.strip():
            raise Unreadable(f"The text of {name!r} is empty.", kind="empty", subject=name)
        if len(text.encode("utf-8", "replace")) > limit:
            raise Unreadable(
                f"The text of {name!r} is longer than {settings.max_document_mib} MiB.",
                kind="too_large",
                mend="Give a part of it.",
                subject=name,
            )
        out.append((name, read_text(text)))
    return out


def run(run_id: str, *, workspace: str | Path | None = None) -> Result:
    """A run on record. Raises NotFound with the latest runs."""
    from sovereign import wiring

    chosen = settings_of(workspace)
    if not chosen.home.is_dir():
        raise NotFound(f"There is no workspace at {chosen.home}.", mend="Ask a question first, or give another workspace.")
    with wiring.workspace(chosen) as ws:
        return result_of(wiring.load(ws, run_id))


def printed(ws: Workspace, run_id: str, name: str) -> tuple[bytes, str]:
    """(bytes, sha256) of one printed file of a run (draft.md, draft.json, draft.html, draft.pdf, references.bib), compared with their digest.

    The name is looked up in the record and never becomes a path. Raises NotFound for a run or file that does not exist, IntegrityBroken where the
    bytes no longer match.
    """
    from sovereign import wiring

    ws.runs.get(run_id)
    files = wiring.files_of(ws, run_id)
    if not files:
        raise NotFound(f"Run {run_id} has no draft yet.", mend=f"Finish it: sovereign runs resume {run_id}", subject=run_id)
    if name not in files:
        raise NotFound(f"Run {run_id} has no file {name[:80]!r}.", mend=f"It has: {', '.join(sorted(files))}.", subject=name[:80])
    return ws.blobs.get(files[name]), files[name]


def library_documents(ws: Workspace, settings: Settings, paper_ids: Sequence[str]) -> list[tuple[str, Document]]:
    """(paper id, best document: full text, then note, then abstract) of papers of the library. Raises NotFound naming the paper."""
    from sovereign import wiring

    wiring.ensure_default_library(ws, settings)
    out = []
    for paper_id in paper_ids:
        held = ws.library.documents_of(paper_id)
        if not held:
            raise NotFound(
                f"The library has no text of {paper_id[:80]!r}.",
                mend="Search the library for it; the passages carry the ids of their papers.",
                subject=paper_id[:80],
            )
        out.append((paper_id, ws.library.document(held[0][0])))
    return out


def check_text(
    text: str, documents: Sequence[tuple[str, Document]], *, at_most: int = 200, extra: Sequence[Verifier] = ()
) -> list[tuple[str, Ruling]]:
    """(statement, ruling) for every statement of a text, in order. Raises BadInput where there are more than `at_most`."""
    from sovereign.kernel.verify import make_claim, split_claims, verify_claim

    statements = split_claims(text)
    if not statements:
        raise BadInput("The text holds no statement.", mend="Give at least one sentence.")
    if len(statements) > at_most:
        raise BadInput(f"The text holds {len(statements)} statements, more than {at_most}.", mend="Check it in parts.")
    return [(s, verify_claim(make_claim(s), documents, extra=extra)) for s in statements]
