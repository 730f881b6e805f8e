"""The HTTP API for programs, version 1: its routes and its errors, under /api/v1 behind the guard. Imports fastapi, the door, shapes and workers.

No logic of its own and nothing that decides: there is no route that approves, rejects, signs, publishes, corrects or deletes. Run ids, item ids and
file names are looked up in the workspace's records; none of them becomes a path. Looking changes no record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import BoundedSemaphore
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from sovereign import errors
from sovereign.door import LONGEST_QUERY, MOST_PASSAGES, PART, REFERENCES, Door, media_of, summary
from sovereign.errors import SovereignError
from sovereign.settings import Settings
from sovereign.store.agenda import Wanted
from sovereign.store.workspace import Workspace
from sovereign.version import __version__
from sovereign.web import shapes, views
from sovereign.web.guard import API
from sovereign.web.workers import Workers

JUDGING = 2  # verifications and checks at a time; each of them keeps one core busy
PATIENCE_S = 20.0  # how long one waits for its turn
RETRY_S = 5  # seconds that a busy answer asks a program to wait
STATUS: tuple[tuple[type[SovereignError], int], ...] = (  # the first that fits
    (errors.NotFound, 404),
    (errors.Busy, 429),
    (errors.AskedAlready, 409),
    (errors.AnswerIsNo, 409),
    (errors.SettingsInvalid, 503),
    (errors.MissingExtra, 503),
    (errors.WorkspaceUnusable, 503),
    (errors.OutsideFailed, 503),
    (errors.Interrupted, 503),
    (errors.BadInput, 422),
    (errors.Unreadable, 422),
)
TOLD: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is not JSON, or its length is not a number."},
    401: {"description": "There is no valid bearer token."},
    403: {"description": "The request comes from a page of another place."},
    404: {"description": "There is no such run, file, item, paper or path."},
    405: {"description": "The path does not have this method."},
    409: {"description": "The records say no: there is no draft yet, they are broken, or the same was asked before."},
    413: {"description": "The request is too large."},
    421: {"description": "The Host header names another place."},
    422: {"description": "The request is understood and cannot be used; the error says why."},
    429: {"description": "Too much at once; Retry-After says when to try again."},
    500: {"description": "Something failed that should not; the server's terminal has the details."},
    503: {"description": "The workspace, a setting or something outside stands in the way; Retry-After says when to try again."},
}
RunId = Annotated[str, Path(max_length=64, description="a run id, such as r-0123456789")]
After = Annotated[str, Query(max_length=200, description="`next` of the part before; empty: from the beginning")]
Limit = Annotated[int, Query(ge=1, le=PART)]
Filter = Annotated[str, Query(max_length=40, description="only these; empty: all")]


def create_api(settings: Settings, ws: Workspace, workers: Workers) -> FastAPI:
    """The API over an open workspace; the guard stands before it and the console's application mounts it at /api/v1."""
    api = FastAPI(
        title="SOVEREIGN HTTP API",
        version=__version__,
        description="Ask, look, verify, check, search and queue. Nothing here approves or publishes: that is the owner's alone.",
        docs_url=None,
        redoc_url=None,
        servers=[{"url": API}],
        root_path_in_servers=False,
        redirect_slashes=False,
        dependencies=[Depends(HTTPBearer(description="the API token that `sovereign serve` prints"))],
        responses={code: {**told, "model": shapes.Trouble} for code, told in TOLD.items()},
    )
    door = Door(settings, lambda: nullcontext(ws))
    _errors(api)
    _asking(api, door, ws, workers)
    _looking(api, door)
    _judging(api, door)
    _library(api, door)
    _queueing(api, door)
    return api


# --- errors ---


def _errors(api: FastAPI) -> None:
    @api.exception_handler(SovereignError)
    async def refused(_: Request, exc: SovereignError) -> Response:
        return _trouble(status_of(exc), exc.message, exc.mend, exc.subject)

    @api.exception_handler(RequestValidationError)
    async def unusable(request: Request, exc: RequestValidationError) -> Response:
        first = exc.errors()[0]
        declared = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if first["type"] == "json_invalid" or (first["loc"] == ("body",) and declared != "application/json"):
            return _trouble(400, "The body is not JSON.", "Send one JSON object as application/json.")
        named = ".".join(str(p) for p in first["loc"] if p not in ("body", "query", "path", "header"))
        place = " ".join(named.split())[:80]  # a name that came with the request must not become a second line, or a book
        more = f" ({len(exc.errors())} faults; this is the first.)" if len(exc.errors()) > 1 else ""
        return _trouble(422, f"{place or 'The body'}: {first['msg']}.{more}", f"See {API}/openapi.json.", place or None)

    @api.exception_handler(HTTPException)
    async def other(_: Request, exc: HTTPException) -> Response:
        mend = {404: f"See {API}/openapi.json.", 405: f"See {API}/openapi.json.", 400: "Send one JSON object as application/json."}
        return _trouble(exc.status_code, f"{str(exc.detail).rstrip('.')}.", mend.get(exc.status_code, ""), headers=exc.headers)

    @api.exception_handler(Exception)
    async def failed(_: Request, exc: Exception) -> Response:
        return _trouble(500, f"Something failed that should not: {type(exc).__name__}.", "Look at the server's terminal; nothing is lost.")


def status_of(exc: SovereignError) -> int:
    return next((code for kind, code in STATUS if isinstance(exc, kind)), 500)


def _trouble(status: int, error: str, mend: str = "", subject: str | None = None, headers: Any = None) -> Response:
    body = {"error": error, "mend": mend, "subject": subject}
    more = {"retry-after": str(RETRY_S)} if status in (429, 503) else {}
    return JSONResponse(body, status, headers={**(headers or {}), **more})


# --- routes ---


def _asking(api: FastAPI, door: Door, ws: Workspace, workers: Workers) -> None:
    def progress(run_id: str) -> dict[str, Any]:
        return {**views.progress(ws, door.run(run_id).run_id), "working_here": workers.working(run_id)}

    @api.post("/runs", status_code=202, response_model=shapes.Progress)
    def ask(asked: shapes.Asked, response: Response) -> Any:
        """Begins a run and gives its id at once. Look at its progress until the state is no longer `running`; then it waits for its owner."""
        run_id = workers.begin(lambda: door.begin(asked.question, asked.sources, asked.lab))
        response.headers["location"] = f"{API}/runs/{run_id}/progress"
        return progress(run_id)

    @api.get("/runs/{run_id}/progress", response_model=shapes.Progress)
    def look(run_id: RunId) -> Any:
        """Which stations a run has passed."""
        return progress(run_id)

    @api.post("/runs/{run_id}/resume", status_code=202, response_model=shapes.Progress)
    def resume(run_id: RunId) -> Any:
        """Goes on with a run that failed or whose worker is gone. Nothing happens to one that has its draft or is being worked on."""
        state = door.run(run_id).state
        if state in ("running", "failed") and not workers.working(run_id):
            workers.begin(lambda: run_id)
        return progress(run_id)


def _looking(api: FastAPI, door: Door) -> None:
    @api.get("/runs", response_model=shapes.Part[shapes.RunRow])
    def runs(state: Filter = "", after: After = "", limit: Limit = PART) -> Any:
        """Every run, newest first."""
        return door.runs(state=state, after=after, limit=limit)

    @api.get("/runs/{run_id}", response_model=shapes.Run)
    def run(run_id: RunId) -> Any:
        """A run in one screen: title, decision of the policy, coverage of the question, checks."""
        return summary(door.run(run_id))

    @api.get("/runs/{run_id}/claims", response_model=shapes.Part[shapes.RunClaim])
    def claims(run_id: RunId, verdict: Filter = "", after: After = "", limit: Limit = PART) -> Any:
        """The claims of a run with their verdicts and evidence; empty before there is a draft."""
        return door.claims(run_id, verdict=verdict, after=after, limit=limit)

    @api.get("/runs/{run_id}/files", response_model=list[shapes.File])
    def files(run_id: RunId) -> Any:
        """The printed files of a run; empty before there is a draft."""
        return door.files(run_id)

    @api.get(
        "/runs/{run_id}/files/{name:path}", response_class=Response, responses=_bytes("the file", "*/*") | {304: {"description": "same"}}
    )
    def file(run_id: RunId, name: Annotated[str, Path(max_length=200)], if_none_match: Annotated[str, Header()] = "") -> Response:
        """One printed file: draft.json, draft.md, draft.html, draft.pdf, references.bib, figures/…; its ETag is the sha256 of its bytes."""
        body, digest = door.file(run_id, name)
        return _sent(body, media_of(name), digest, if_none_match)

    @api.get("/runs/{run_id}/references/{format}", response_class=Response, responses=_bytes("the references", *REFERENCES.values()))
    def references(run_id: RunId, format: Literal["bib", "ris", "csl"]) -> Response:
        """The works that a draft cites: BibTeX, RIS or CSL-JSON."""
        return Response(door.references(run_id, format), media_type=REFERENCES[format])

    @api.get("/reviews", response_model=shapes.Part[shapes.Review])
    def reviews(after: After = "", limit: Limit = PART) -> Any:
        """The drafts that wait for their owner, oldest first. The owner decides, on the terminal or in the console."""
        found = door.reviews(after=after, limit=limit)
        return {**found, "items": [_review(r) for r in found["items"]]}


def _review(row: dict[str, Any]) -> dict[str, Any]:
    policy = row.get("policy") or {}
    return {**row, "decision": policy.get("decision"), "rule": policy.get("rule")}


def _bytes(what: str, *media: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": what, "content": {m: {"schema": {}} for m in media}}}


def _sent(body: bytes, media: str, digest: str, known: str) -> Response:
    etag = f'"{digest}"'
    if etag in (k.strip() for k in known.split(",")):
        return Response(status_code=304, headers={"etag": etag})
    return Response(body, media_type=media, headers={"etag": etag, "content-security-policy": "default-src 'none'; sandbox"})


def _judging(api: FastAPI, door: Door) -> None:
    turns = BoundedSemaphore(JUDGING)

    @contextmanager
    def turn() -> Iterator[None]:
        if not turns.acquire(timeout=PATIENCE_S):
            raise errors.Busy("Other claims and texts are being checked.", mend="Try again in a moment, or send less at a time.")
        try:
            yield
        finally:
            turns.release()

    @api.post("/verify", response_model=shapes.Verified)
    def verify(asked: shapes.ToVerify) -> Any:
        """One claim against given sources. Depends only on the claim, the sources and the versions of the verifiers."""
        with turn():
            return door.verify(asked.claim, _pairs(asked.texts), asked.papers)

    @api.post("/check", response_model=shapes.CheckedText)
    def check(asked: shapes.ToCheck) -> Any:
        """Every statement of a text (at most 200) against given sources, and the counts."""
        with turn():
            return door.check_text(asked.text, _pairs(asked.texts), asked.papers)

    @api.post("/check/manuscript", response_model=shapes.CheckedManuscript)
    def manuscript(asked: shapes.Manuscript) -> Any:
        """Every claim and every cited reference of a manuscript against what it cites: the library, and the texts that come with it."""
        with turn():
            return door.check_manuscript(
                asked.text, format=asked.format, bib=asked.bib, texts=_pairs(asked.texts), papers=asked.papers, sources=asked.sources
            )


def _pairs(texts: list[shapes.Text]) -> list[tuple[str, str]]:
    return [(t.id, t.text) for t in texts]


def _library(api: FastAPI, door: Door) -> None:
    @api.get("/", include_in_schema=False)
    @api.get("/about", response_model=shapes.About)
    def about() -> Any:
        """The version, and what can be named in a request."""
        from sovereign.sources import NAMES

        return {"name": "sovereign", "version": __version__, "offline": door.settings.offline, "sources": ["local", *NAMES]}

    @api.get("/library/search", response_model=shapes.Passages)
    def search(
        q: Annotated[str, Query(min_length=1, max_length=LONGEST_QUERY)], k: Annotated[int, Query(ge=1, le=MOST_PASSAGES)] = 10
    ) -> Any:
        """The passages of the library nearest to a query, best first."""
        return {"passages": door.search(q, k)}

    @api.get("/metrics", response_model=shapes.Metrics)
    def metrics() -> Any:
        """Counts and times over all runs of the workspace."""
        return door.metrics()


def _queueing(api: FastAPI, door: Door) -> None:
    @api.get("/agenda", response_model=shapes.Part[shapes.Item])
    def agenda(state: Filter = "", after: After = "", limit: Limit = PART) -> Any:
        """The queue of questions, in the order in which it was filled."""
        return door.agenda(state=state, after=after, limit=limit)

    @api.get("/agenda/{item_id}", response_model=shapes.Item)
    def item(item_id: Annotated[str, Path(max_length=64)]) -> Any:
        """One item and the run it became."""
        return door.agenda_item(item_id)

    @api.post("/agenda", status_code=201, response_model=shapes.Item)
    def add(wish: shapes.Wish, response: Response) -> Any:
        """Queues a question; `sovereign agenda work` works on it. 409 for one that is queued or was asked; `again` asks anyway."""
        wanted = Wanted(
            wish.question,
            priority=wish.priority,
            depends_on=tuple(wish.depends_on),
            tags=tuple(wish.tags),
            sources=tuple(wish.sources or ()),
            lab=wish.lab or "",
            budget_usd=wish.budget_usd,
            max_attempts=wish.max_attempts,
            origin="http",
        )
        made = door.add_to_agenda(wanted, again=wish.again)
        response.headers["location"] = f"{API}/agenda/{made['item_id']}"
        return made
