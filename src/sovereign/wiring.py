"""Settings to adapters: the single meeting place of kernel, sources, readers, models, store and lab. Imports everything below the faces.

Each function opens what one command needs and nothing more; heavy libraries load when they are first used.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign import intake, path, seal
from sovereign.errors import Busy, Interrupted, NotFound, SettingsInvalid, SourceFailed, SovereignError, UnknownName, Unreadable
from sovereign.kernel import policy, question
from sovereign.kernel.language import occurs
from sovereign.ports import Bench, Clock, Model, Source, Verifier
from sovereign.readers import ReadLimits, read_bounded
from sovereign.records import Basis, Document, Finished, Paper, Request
from sovereign.settings import Settings
from sovereign.store.index import LibraryIndex
from sovereign.store.runs import RunRow
from sovereign.store.workspace import Workspace

if TYPE_CHECKING:
    from sovereign.models.accounting import Estimate
    from sovereign.sources import Services

LOCAL = "local"
NOTES = Path(__file__).with_name("library") / "notes"
POLICY = Path(__file__).with_name("kernel") / "policy.toml"
Progress = Callable[[str, str], None]


@dataclass(frozen=True)
class SystemClock:
    """UTC by the machine, or fixed by SOURCE_DATE_EPOCH."""

    epoch: int | None = None

    def now(self) -> str:
        when = datetime.now(UTC) if self.epoch is None else datetime.fromtimestamp(self.epoch, UTC)
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def workspace(settings: Settings) -> Iterator[Workspace]:
    held = Workspace(settings.home, SystemClock(settings.source_date_epoch), settings.database_url, settings.embedder)
    try:
        yield held
    finally:
        held.close()


# --- the library ---


def index_of(ws: Workspace) -> LibraryIndex:
    """The library's index with the embedder of this workspace; a stored index of another one asks for `library reindex`."""
    from sovereign.models import embedding, encoder

    kind, share = (encoder.MiniLMEmbedder, encoder.SHARE) if ws.embedder else (embedding.LatentEmbedder, embedding.SHARE)
    return LibraryIndex(ws.library, ws.home / "index", fit=kind.fit, load=kind.from_bytes, share=share)


def verifiers_of(entailment: str) -> tuple[Verifier, ...]:
    """What judges beside the base verifiers: the entailment extra where it is "on". Raises MissingExtra or NotFound where it cannot be had."""
    if entailment == "off":
        return ()
    from sovereign.kernel.verify.entailment import EntailmentVerifier
    from sovereign.models.entailment import load as load_scorer

    return (EntailmentVerifier(load_scorer()),)


def nearest_passages(ws: Workspace, query: str, k: int) -> list[dict[str, Any]]:
    """The passages of the library nearest to a query, best first: paper_id, title, section, text, score (comparable inside one answer only)."""
    rows = []
    for paper_id, passage, score in index_of(ws).search(query, k):
        paper = ws.library.paper(paper_id)
        title = paper.title if paper else ""
        rows.append({"paper_id": paper_id, "title": title, "section": passage.section, "text": passage.text, "score": round(score, 4)})
    return rows


def limits_of(settings: Settings) -> ReadLimits:
    return ReadLimits(settings.read_timeout_s, settings.read_memory_mib, settings.max_document_mib * 2**20, settings.max_pages)


def ensure_default_library(ws: Workspace, settings: Settings, progress: intake.Progress = lambda *_: None) -> intake.Report | None:
    """Adds the reading notes that ship with the package, once per version of them; None when they are there already."""
    if not settings.default_library:
        return None
    bodies = {p.name: p.read_bytes() for p in sorted(NOTES.glob("*.md"))}
    digest = seal.digest({name: seal.sha256(body) for name, body in bodies.items()})
    if ws.library.imported(digest) == "added":
        return None
    report = intake.add_trusted(bodies, ws.library, progress=progress)
    ws.library.note_import(digest, "default library", len(bodies), "added")
    ws.append_event(None, "library_added", {"what": "default library", "papers": report.new_papers, "digest": digest})
    return report


def add_to_library(ws: Workspace, settings: Settings, paths: Sequence[str], progress: intake.Progress = lambda *_: None) -> intake.Report:
    """Files and folders, and arXiv ids or DOIs over the live sources. Indexes afterwards."""
    local = [Path(p) for p in paths if Path(p).exists() or not _is_identifier(p)]
    report = intake.add(local, ws.library, limits=limits_of(settings), workers=2, progress=progress)
    if named := [p for p in paths if not Path(p).exists() and _is_identifier(p)]:
        held = live(ws, settings)
        for text in named:
            _add_by_identifier(ws, settings, held, text, report)
    ws.append_event(
        None, "library_added", {"what": [str(p) for p in paths], "papers": report.new_papers, "documents": report.new_documents}
    )
    index_of(ws).catch_up(progress)
    return report


def _is_identifier(text: str) -> bool:
    from sovereign import identity

    return identity.parse_arxiv_id(text) is not None or identity.parse_doi(text) is not None


def _add_by_identifier(ws: Workspace, settings: Settings, held: Services, text: str, report: intake.Report) -> None:
    from sovereign.records import Failed, Found
    from sovereign.store.library import Addition

    outcome = asyncio.run(held.lookup(text))
    if isinstance(outcome, Failed):
        report.skip(text, f"could not be looked up: {outcome.reason}")
        return
    if not isinstance(outcome, Found):
        report.skip(text, "no source knows this identifier")
        return
    paper = outcome.papers[0]
    shelf = LibraryShelf(ws, settings, held)
    fetched = shelf.fetch([paper]).get(paper.paper_id)
    if isinstance(fetched, (SourceFailed, Unreadable)):
        report.skip(text, f"only its abstract was added: {fetched.line()}")
    digest = fetched[0] if isinstance(fetched, tuple) else shelf.abstract(paper)
    added = ws.library.add([Addition(paper, ws.library.document(digest) if digest else None, text)])
    report.new_papers += added.new_papers
    report.new_documents += added.new_documents
    report.unchanged += added.unchanged


def keeper(ws: Workspace) -> Callable[[str, bytes], None]:
    """Stores every body that comes from outside, before anything looks into it."""

    def keep(_url: str, body: bytes) -> None:
        ws.blobs.put(body)

    return keep


def live(ws: Workspace, settings: Settings) -> Services:
    """All live services of one run or command: one budget, one cache, one memory of who failed."""
    from sovereign.sources import services

    return services(settings, state_dir=settings.home, keep=keeper(ws))


@dataclass(frozen=True)
class LibraryShelf:
    """Satisfies kernel.read.Shelf: the library first, then the live full texts, then the abstract. `services` None: nothing is fetched."""

    ws: Workspace
    settings: Settings
    services: Services | None

    def documents(self, paper: Paper) -> Sequence[tuple[str, Basis]]:
        return self.ws.library.documents_of(paper.paper_id)

    def fetch(self, papers: Sequence[Paper]) -> Mapping[str, tuple[str, Basis] | SourceFailed | Unreadable]:
        """Of each paper the first full text that can be read, else the last reason why none could. Downloads go on while one text is read."""
        held = self.services
        if held is None or self.settings.offline:
            return {}

        async def everything() -> dict[str, tuple[str, Basis] | SourceFailed | Unreadable]:
            reading = asyncio.Semaphore(1)  # a parser may take the whole memory limit
            async with held.http.together():
                came = await asyncio.gather(*(self._first(held, paper, reading) for paper in papers))
            return {p.paper_id: c for p, c in zip(papers, came, strict=True) if c is not None}

        return asyncio.run(everything())

    async def _first(
        self, held: Services, paper: Paper, reading: asyncio.Semaphore
    ) -> tuple[str, Basis] | SourceFailed | Unreadable | None:
        from sovereign.sources import Missed

        trouble: SourceFailed | Unreadable | None = None
        async for item in held.fetch_full_text(paper):
            if isinstance(item, Missed):
                why = item.outcome.reason if item.outcome.kind == "failed" else "there is no such text"
                trouble = SourceFailed(f"{item.url}: {why}.", source="full text", kind="unreachable")
                continue
            try:
                async with reading:
                    document = await asyncio.to_thread(read_bounded, item.body, filename=item.filename, limits=limits_of(self.settings))
            except Unreadable as exc:
                trouble = exc
                continue
            return self.ws.blobs.put(seal.canonical(document)), document.basis
        return trouble

    def abstract(self, paper: Paper) -> str | None:
        if not paper.abstract:
            return None
        from sovereign.readers.jsonl import abstract_document

        return self.ws.blobs.put(seal.canonical(abstract_document(paper.title, paper.abstract)))


# --- asking ---


def sources_of(names: Sequence[str], ws: Workspace, settings: Settings, held: Services | None = None) -> list[Source]:
    """Raises UnknownName for a source that does not exist; the order is the one given, each once. `held`: the run's services."""
    from sovereign.sources import NAMES
    from sovereign.sources.local import LocalLibrary

    unknown = [n for n in names if n not in (LOCAL, *NAMES)]
    if unknown:
        raise UnknownName("source", unknown[0], (LOCAL, *NAMES))

    services = held or live(ws, settings)

    def named(name: str) -> Source:
        if name != LOCAL:
            return services.source(name)
        index = index_of(ws)
        return LocalLibrary(index, ws.library.paper, index.titled)

    return [named(n) for n in dict.fromkeys(names)]


_TITLE_NAME = re.compile(r"^([\w.+-]*[A-Z0-9][\w.+-]*(?:[ -][\w.+-]+){0,2}):\s")


def known_names(ws: Workspace, text: str) -> dict[str, str]:
    """Names by which the library knows its works ("SMoES: …", or as a note says) and that stand in this text: lower-case spelling -> name as written."""
    lowered = text.lower()
    found: dict[str, str] = {}
    for title, names in ws.library.titles():
        match = _TITLE_NAME.match(title)
        for name in ([match.group(1)] if match else []) + list(names):
            plain = name.lower()
            likely = any(n in lowered for n in (plain, plain.removesuffix("s")))  # cheap first: the library may hold millions
            shaped = name in names or any(c.isupper() or c.isdigit() for c in name[1:])
            if likely and shaped and (occurs(name, text) or occurs(re.sub(r"[sS]$", "", name).upper(), text)):
                found.setdefault(plain, name)
    return found


def prepare(
    ws: Workspace, settings: Settings, text: str, *, sources: Sequence[str], lab: str, model: str, reviewers: Sequence[str] = ()
) -> Request:
    """The request of a new run. Raises QuestionRefused or UnknownName before anything is stored."""
    question.ask(text)  # refuses what cannot be asked
    sources_of(sources, ws, settings)
    if reviewers and not model:
        raise SettingsInvalid("Further models review, and no model is named.", mend="Name one: --model NAME")
    if model:
        from sovereign.models import build_model

        for name in (model, *reviewers):
            build_model(settings, name=name)  # refuses an unknown provider or a missing key before anything is stored
    policy.parse(policy_text(settings))
    verifiers_of(settings.entailment)  # refuses a missing extra before anything is stored
    return Request(
        question=text,
        sources=tuple(dict.fromkeys(sources)),
        names=known_names(ws, text),
        lab=lab,
        lab_budget_s=settings.lab_budget_s,
        model=model,
        reviewers=tuple(reviewers),
        entailment=settings.entailment,
        max_admitted=settings.max_admitted,
        max_claims=settings.max_claims,
        results_per_query=settings.results_per_query,
        revision_rounds=settings.revision_rounds,
    )


def run_name(settings: Settings, request: Request) -> str:
    """The same request under the same policy has the same name; asked again it gets a number behind it."""
    return "r-" + seal.digest([request, policy.fingerprint(policy_text(settings))])[:10]


def policy_text(settings: Settings) -> str:
    chosen = settings.policy_file or POLICY
    try:
        return chosen.read_text(encoding="utf-8")
    except OSError as exc:
        raise NotFound(f"The policy file {chosen} cannot be read: {exc.strerror}.") from exc


def bench_of(settings: Settings) -> Bench | None:
    from sovereign.lab.bench import LabBench

    return LabBench(settings)


def _models(ws: Workspace, settings: Settings, request: Request, run_id: str, *, outside: bool) -> tuple[Model, ...]:
    """The run's models, the one that helps first; each answers what it was asked before from the record, and on replay from there alone.

    All share one cap, from which everything is taken that the run has cost already. Every call is told to the ledger as soon as it is over.
    """
    if not request.model:
        return ()
    from sovereign.models import build_model, panel_names
    from sovereign.models.accounting import Budget
    from sovereign.models.kept import Keeper, Kept, Recorded

    answers = {str(e.body["key"]): str(e.body["blob"]) for e in ws.ledger.events(run_id, "model_answered")}
    keeper = Keeper(ws.blobs, answers, lambda kind, body: ws.append_event(run_id, kind, body))
    panel = panel_names((request.model, *request.reviewers))
    if not outside:
        return tuple(Recorded(name, keeper) for _, _, name in panel)
    budget = Budget(settings.model_budget_usd, spent_usd=path.spent_on(ws, run_id).at_most_usd)
    built = [build_model(settings, name=spec, seed=seed, keep=keeper.keep, budget=budget) for spec, seed, _ in panel]
    return tuple(Kept(m, keeper) for m in built if m is not None)


def estimate(settings: Settings, request: Request) -> Estimate | None:
    """At most this much, before anything is sent: every call that the path could make, without repairs. None when no model counts its tokens."""
    if not request.model:
        return None
    from sovereign.models import build_model, panel_names
    from sovereign.models._chat import ChatModel
    from sovereign.models.accounting import Estimate

    helping, reviewing = path.most_calls(request)
    parts = []
    for n, (spec, seed, _) in enumerate(panel_names((request.model, *request.reviewers))):
        model = build_model(settings, name=spec, seed=seed)
        if isinstance(model, ChatModel):
            parts.append(model.estimate(reviewing + (helping if n == 0 else 0), path.PROMPT_CHARS))
    if not parts:
        return None
    return Estimate(
        sum(p.calls for p in parts),
        sum(p.tokens_in for p in parts),
        sum(p.tokens_out for p in parts),
        sum(p.usd for p in parts),
        all(p.priced for p in parts),
    )


def announce(ws: Workspace, settings: Settings, run_id: str, request: Request) -> Estimate | None:
    """The estimate, written into the run's ledger before anything is sent to a model."""
    most = estimate(settings, request)
    if most is not None:
        ws.append_event(run_id, "model_estimated", {**seal.plain(most), "cap_usd": settings.model_budget_usd})
    return most


def house(
    ws: Workspace, settings: Settings, request: Request, run_id: str = "", *, progress: Progress = lambda *_: None, outside: bool = True
) -> path.House:
    """The adapters of one run. With outside=False (replay) there are no sources, and nothing can be fetched."""
    bench = bench_of(settings)
    models = _models(ws, settings, request, run_id, outside=outside)
    prompts: Mapping[str, str] = {}
    verifiers = verifiers_of(request.entailment)
    if models:
        from sovereign.kernel.assist import ModelVerifier
        from sovereign.models.prompts import load as load_prompts

        prompts = load_prompts()
        verifiers = (*verifiers, ModelVerifier(models[0], prompts))

    def press(finished: Finished) -> Mapping[str, bytes]:
        from sovereign.press import render

        return render(finished, _figures(finished, bench))

    held = live(ws, settings)
    asking = outside and any(s != LOCAL for s in request.sources)
    return path.House(
        store=ws,
        clock=ws.clock,
        sources=sources_of(request.sources, ws, settings, held) if outside else (),
        shelf=LibraryShelf(ws, settings, held if asking else None),
        registry=held if asking and not settings.offline else None,
        together=held.http.together,
        bench=bench,
        verifiers=verifiers,
        model=models[0] if models else None,
        reviewers=models[1:],
        prompts=prompts,
        policy_text=policy_text(settings),
        press=press,
        search_deadline_s=settings.search_deadline_s,
        progress=progress,
    )


def _figures(finished: Finished, bench: Bench | None) -> dict[str, bytes]:
    wanted = {(g.trial_id, g.path) for s in finished.draft.sections for g in s.figures}
    out = {}
    for trial_id, name in sorted(wanted):
        body = bench.figure(trial_id, name) if bench is not None else None
        if body is not None:
            out[name] = body
    return out


@dataclass(frozen=True)
class Result:
    """A finished run as a face shows it. `files`: name -> path on disk."""

    run_id: str
    state: str
    body: Mapping[str, Any]
    files: Mapping[str, Path]
    timings_s: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        return {**self.body, "state": self.state, "timings_s": dict(self.timings_s), "files": {n: str(p) for n, p in self.files.items()}}


def ask(
    settings: Settings,
    text: str,
    *,
    sources: Sequence[str] | None = None,
    library: Sequence[str] = (),
    lab: str | None = None,
    model: str | None = None,
    reviewers: Sequence[str] | None = None,
    out: Path | None = None,
    progress: Progress = lambda *_: None,
    adding: intake.Progress = lambda *_: None,
    told: Callable[[Estimate, float], None] = lambda *_: None,
) -> Result:
    """The main job. The run is durable from its first step: killed anywhere, `resume` finishes it.

    `reviewers`: further models that review beside `model`; the settings' own when neither is given. `told` gets, before anything is sent to a model, the most
    that the run can cost and its cap, both in US dollars.
    """
    with workspace(settings) as ws:
        row = begin(
            ws, settings, text, sources=sources, library=library, lab=lab, model=model, reviewers=reviewers, adding=adding, told=told
        )
        return _work(ws, settings, row.run_id, out, progress)


def begin(
    ws: Workspace,
    settings: Settings,
    text: str,
    *,
    sources: Sequence[str] | None = None,
    library: Sequence[str] = (),
    lab: str | None = None,
    model: str | None = None,
    reviewers: Sequence[str] | None = None,
    adding: intake.Progress = lambda *_: None,
    told: Callable[[Estimate, float], None] = lambda *_: None,
) -> RunRow:
    """A new run on record, not yet worked on: `resume` does that, here or in another process. What cannot be asked is refused before."""
    question.ask(text)
    ensure_default_library(ws, settings, adding)
    if library:
        add_to_library(ws, settings, library, adding)
    beside = reviewers if reviewers is not None else () if model else settings.reviewers
    request = prepare(
        ws, settings, text, sources=sources or settings.sources, lab=lab or settings.lab, model=model or settings.model, reviewers=beside
    )
    row = ws.runs.create(run_name(settings, request), request.question, seal.plain(request), at=ws.clock.now())
    most = announce(ws, settings, row.run_id, request)
    if most is not None:
        told(most, settings.model_budget_usd)
    return row


def resume(settings: Settings, run_id: str, *, out: Path | None = None, progress: Progress = lambda *_: None) -> Result:
    """Brings a killed or failed run to its end; a finished one is shown as it is."""
    with workspace(settings) as ws:
        if ws.runs.finished_step(run_id, path.step_key("press", 0)):
            ws.runs.end(run_id)  # it may have been killed between its last step and this mark
            return load(ws, run_id, out)
        if ws.runs.get(run_id).state == "failed":  # nothing else may be turned back: another worker may be ending it now
            ws.runs.set_state(run_id, "running")
        return _work(ws, settings, run_id, out, progress)


def _work(ws: Workspace, settings: Settings, run_id: str, out: Path | None, progress: Progress) -> Result:
    from sovereign.engine import Step, engine
    from sovereign.metrics import traced

    row = ws.runs.get(run_id)
    request = path.request_of(ws.runs.request(run_id))

    def perform(asked: str, step: Step) -> None:
        with traced(run_id, progress) as told:
            home = house(ws, settings, request, run_id, progress=told)
            path.travel(asked, row.created_at, request, home, path.recording(asked, home, step))

    try:
        with engine(ws.home, run_id, perform, url=settings.database_url) as finish:
            finish()
    except (Busy, Interrupted):
        raise  # stopped from outside: the run is not over, and another worker may hold it already
    except SovereignError as exc:
        ws.runs.fail(run_id, exc.line())
        raise
    ws.runs.end(run_id)
    return load(ws, run_id, out)


def load(ws: Workspace, run_id: str, out: Path | None = None) -> Result:
    """A run as it stands on record; its files are written out (again) from the blobs when they are missing or differ."""
    found = recorded(ws, run_id)
    folder = (out / run_id if out is not None and (out / run_id).exists() else out) or ws.run_folder(run_id)
    written = {name: _write(folder / name, ws.blobs.get(digest)) for name, digest in files_of(ws, run_id).items()}
    return replace(found, files=written)


def recorded(ws: Workspace, run_id: str) -> Result:
    """A run as it stands on record, without files: nothing is written by looking. Raises NotFound with the latest runs."""
    row = ws.runs.get(run_id)
    files = files_of(ws, run_id)
    if files:
        body: dict[str, Any] = json.loads(ws.blobs.get(files["draft.json"]))
    else:
        body = {"run_id": run_id, "question": row.question, "created_at": row.created_at, "steps": list(ws.runs.steps(run_id))}
        body |= {"error": row.error} if row.error else {}
    return Result(run_id, row.state, body, {}, ws.runs.timings(run_id))


def files_of(ws: Workspace, run_id: str) -> dict[str, str]:
    """The printed files of a run, name -> digest of the blob; empty before it is printed."""
    pressed = ws.runs.finished_step(run_id, path.step_key("press", 0))
    found: dict[str, str] = json.loads(ws.blobs.get(pressed)) if pressed else {}
    return found


def _write(target: Path, body: bytes) -> Path:
    from sovereign.errors import WorkspaceUnusable

    try:
        if not target.is_file() or target.read_bytes() != body:
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            part.write_bytes(body)
            part.replace(target)
    except OSError as exc:
        raise WorkspaceUnusable(
            f"{target} cannot be written: {exc.strerror}.", mend="Choose another place with --out DIR; the run itself is safe."
        ) from exc
    return target


@dataclass(frozen=True)
class Replay:
    run_id: str
    compared: tuple[tuple[str, str, str], ...]  # step, recorded digest, derived digest

    @property
    def same(self) -> bool:
        return all(a == b for _, a, b in self.compared)


def replay(settings: Settings, run_id: str) -> Replay:
    """Derives every step of a finished run again from the record, with no outside, and compares the bytes."""
    with workspace(settings) as ws:
        row = ws.runs.get(run_id)
        request = path.request_of(ws.runs.request(run_id))
        home = house(ws, settings, request, run_id, outside=False)
        compared: list[tuple[str, str, str]] = []
        path.travel(run_id, row.created_at, request, home, path.replaying(run_id, home, compared))
        return Replay(run_id, tuple(compared))


# --- one claim ---


def documents_from(settings: Settings, files: Sequence[Path]) -> list[tuple[str, Document]]:
    """(paper id, document) of each file. Raises NotFound or Unreadable naming the file."""
    out = []
    for file in files:
        if not file.is_file():
            raise NotFound(f"{file} is not a file.", mend="Give a PDF, HTML, LaTeX, Markdown or text file.", subject=str(file))
        body = file.read_bytes()
        try:
            document = read_bounded(body, filename=file.name, limits=limits_of(settings))
        except Unreadable as exc:
            raise Unreadable(f"{file.name}: {exc.message}", kind=exc.kind, mend=exc.mend, subject=str(file)) from exc
        out.append((intake.paper_of(document, file.name, body[: 64 * 1024]).paper_id, document))
    return out


def clock_of(settings: Settings) -> Clock:
    return SystemClock(settings.source_date_epoch)
