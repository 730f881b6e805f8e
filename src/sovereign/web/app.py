"""The console's routes: every page of the owner's review, and the three decisions. Imports fastapi, the gate and wiring's records; no logic of its own.

Run ids, digests and file names from the browser are looked up in the workspace's records; none of them ever becomes a path.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from sovereign import gate
from sovereign.errors import AnswerIsNo, IntegrityBroken, NotFound, Refused, SovereignError
from sovereign.gate.holding import Held
from sovereign.kernel.review import Choice
from sovereign.settings import Settings
from sovereign.store.workspace import Workspace
from sovereign.web import views
from sovereign.web.guard import API, Guard, Sessions
from sovereign.web.v1 import create_api
from sovereign.web.workers import Workers

HERE = Path(__file__).parent
ASSETS = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
MEDIA = {
    "draft.pdf": "application/pdf",
    "draft.html": "text/html",
    "draft.md": "text/plain",
    "draft.json": "application/json",
    "references.bib": "text/plain",
}
CLOSED_PAGE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"  # for the draft's own page
Page = Annotated[int, Query(ge=1, le=100_000)]


def create_app(settings: Settings, ws: Workspace, token: str, port: int) -> Guard:
    """The guarded console over an open workspace. `token` opens a session; the caller closes the workspace."""
    workers = Workers(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        workers.stop()

    app = FastAPI(title="SOVEREIGN review console", docs_url=None, redoc_url=None, lifespan=lifespan)
    console = Console(settings, ws, Sessions(token, port), workers)
    console.routes(app)
    app.mount(API, create_api(settings, ws, workers))
    return Guard(app, console.sessions)


class Console:
    def __init__(self, settings: Settings, ws: Workspace, sessions: Sessions, workers: Workers):
        self.settings, self.ws, self.sessions, self.workers = settings, ws, sessions, workers
        self.templates = Jinja2Templates(directory=HERE / "templates")
        self.assets = {name: (HERE / "static" / name).read_bytes() for name in ASSETS}
        self._runs: OrderedDict[str, Held] = OrderedDict()
        self._queue: dict[str, tuple[str, dict[str, Any]]] = {}

    def held(self, run_id: str) -> Held:
        """A finished run; its records are immutable, so the last few stay in memory. Its state is read anew wherever it matters."""
        if run_id not in self._runs:
            self._runs[run_id] = gate.held(self.ws, run_id)
            while len(self._runs) > 8:
                self._runs.popitem(last=False)
        self._runs.move_to_end(run_id)
        return self._runs[run_id]

    def page(self, request: Request, name: str, status: int = 200, **more: Any) -> HTMLResponse:
        session = request.state.session
        context = {"csrf": self.sessions.csrf(session), "path": request.url.path, **more}
        return self.templates.TemplateResponse(request, name, context, status_code=status)

    def run_page(self, request: Request, name: str, run_id: str, tab: str, **more: Any) -> HTMLResponse:
        return self.page(request, name, run=gate.overview(self.ws, run_id, self.held(run_id)), run_id=run_id, tab=tab, **more)

    def routes(self, app: FastAPI) -> None:
        self._errors(app)
        self._entrance(app)
        self._reading(app)
        self._deciding(app)

    def _errors(self, app: FastAPI) -> None:
        @app.exception_handler(SovereignError)
        async def failed(request: Request, exc: SovereignError) -> Response:
            status = 404 if isinstance(exc, NotFound) else 409 if isinstance(exc, AnswerIsNo) else 400
            if request.url.path.startswith("/api/"):
                return JSONResponse({"error": exc.message, "mend": exc.mend}, status)
            return self.page(request, "error.html", status, message=exc.message, mend=exc.mend)

    def _entrance(self, app: FastAPI) -> None:
        @app.get("/login", response_class=HTMLResponse, include_in_schema=False)
        def login(request: Request) -> Response:
            if self.sessions.csrf(request.state.session):
                return RedirectResponse("/", 303)
            return self.page(request, "login.html", wrong=False)

        @app.post("/login", include_in_schema=False)
        def enter(request: Request, token: Annotated[str, Form()] = "") -> Response:
            session = self.sessions.enter(token)
            if session is None:
                return self.page(request, "login.html", 401, wrong=True)
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self.sessions.cookie, session, httponly=True, samesite="strict", path="/")
            return answer

        @app.post("/logout", include_in_schema=False, dependencies=[Depends(self.csrf)])
        def leave(request: Request) -> Response:
            self.sessions.leave(request.state.session or "")
            return RedirectResponse("/login", 303)

        @app.get("/static/{name}", include_in_schema=False)
        def asset(name: str) -> Response:
            if name not in self.assets:
                raise NotFound("There is no such asset.")
            return Response(self.assets[name], media_type=ASSETS[name])

    def _reading(self, app: FastAPI) -> None:
        ws = self.ws

        @app.get("/", response_class=HTMLResponse, include_in_schema=False)
        def queue(request: Request) -> Response:
            rows = gate.queue(ws, self._queue)
            running = [views.progress(ws, r["run_id"]) | {"question": r["question"]} for r in rows if r["state"] == "running"]
            return self.page(request, "queue.html", rows=rows, running=running, has_key=gate.has_key(ws), home=str(self.settings.home))

        @app.get("/agenda", response_class=HTMLResponse, include_in_schema=False)
        def agenda(request: Request) -> Response:
            return self.page(request, "agenda.html", items=views.agenda(ws))

        @app.get("/runs/{run_id}", response_class=HTMLResponse, include_in_schema=False)
        def review(request: Request, run_id: str) -> Response:
            if ws.runs.get(run_id).state in ("running", "failed"):
                return self.page(request, "running.html", progress=views.progress(ws, run_id), question=ws.runs.get(run_id).question)
            return self.review_page(request, run_id)

        @app.get("/runs/{run_id}/sentences/{sentence_id}", response_class=HTMLResponse, include_in_schema=False)
        def sentence(request: Request, run_id: str, sentence_id: str, fragment: bool = False) -> Response:
            found = views.sentence(self.held(run_id), sentence_id)
            if fragment:
                return self.page(request, "_sentence.html", run_id=run_id, sentence=found)
            return self.run_page(request, "sentence.html", run_id, "draft", sentence=found)

        @app.get("/runs/{run_id}/claims", response_class=HTMLResponse, include_in_schema=False)
        def claims(request: Request, run_id: str, page: Page = 1, q: str = "") -> Response:
            return self.run_page(request, "claims.html", run_id, "claims", **views.claims(self.held(run_id), page, q[:200]))

        @app.get("/runs/{run_id}/claims/{claim_id}", response_class=HTMLResponse, include_in_schema=False)
        def claim(request: Request, run_id: str, claim_id: str) -> Response:
            return self.run_page(request, "claim.html", run_id, "claims", claim=views.claim(self.held(run_id), claim_id))

        @app.get("/runs/{run_id}/texts/{text_sha256}", response_class=HTMLResponse, include_in_schema=False)
        def text(request: Request, run_id: str, text_sha256: str, start: int = 0, end: int = 0) -> Response:
            return self.run_page(
                request, "document.html", run_id, "sources", document=views.document(self.held(run_id), text_sha256, start, end)
            )

        @app.get("/runs/{run_id}/contradictions", response_class=HTMLResponse, include_in_schema=False)
        def contradictions(request: Request, run_id: str) -> Response:
            return self.run_page(request, "contradictions.html", run_id, "contradictions", pairs=views.contradictions(self.held(run_id)))

        @app.get("/runs/{run_id}/tribunal", response_class=HTMLResponse, include_in_schema=False)
        def tribunal(request: Request, run_id: str) -> Response:
            return self.run_page(
                request, "tribunal.html", run_id, "tribunal", hearing=self.held(run_id).hearing, checks=self.held(run_id).checks
            )

        @app.get("/runs/{run_id}/trials", response_class=HTMLResponse, include_in_schema=False)
        def trials(request: Request, run_id: str) -> Response:
            return self.run_page(request, "trials.html", run_id, "trials", **views.trials(self.held(run_id)))

        @app.get("/runs/{run_id}/sources", response_class=HTMLResponse, include_in_schema=False)
        def sources(request: Request, run_id: str) -> Response:
            return self.run_page(request, "sources.html", run_id, "sources", **views.sources(self.held(run_id), gate.flags_of(ws, run_id)))

        @app.get("/runs/{run_id}/ledger", response_class=HTMLResponse, include_in_schema=False)
        def ledger(request: Request, run_id: str, page: Page = 1) -> Response:
            return self.run_page(request, "ledger.html", run_id, "ledger", **views.ledger(ws, run_id, page))

        @app.get("/runs/{run_id}/files/{name}", include_in_schema=False)
        def file(run_id: str, name: str) -> Response:
            return self.printed(run_id, name)

        @app.get("/runs/{run_id}/files/figures/{name}", include_in_schema=False)
        def figure(run_id: str, name: str) -> Response:
            return self.printed(run_id, f"figures/{name}")

        @app.get("/api/runs")
        def api_runs() -> list[dict[str, Any]]:
            """Every run as the queue shows it."""
            return gate.queue(ws, self._queue)

        @app.get("/api/runs/{run_id}", responses={404: {}, 409: {}})
        def api_run(run_id: str) -> dict[str, Any]:
            """The reasons, numbers and decisions of one finished run."""
            return gate.overview(ws, run_id)

        @app.get("/api/runs/{run_id}/progress", responses={404: {}})
        def api_progress(run_id: str) -> dict[str, Any]:
            """Which stations a run has passed."""
            return views.progress(ws, run_id)

    def printed(self, run_id: str, name: str) -> Response:
        """A printed file by its name in the record; its bytes come from the blob with its digest."""
        files = self.held(run_id).files
        if name not in files:
            raise NotFound(f"Run {run_id} has no file {name[:60]!r}.")
        kind = MEDIA.get(name) or ("image/svg+xml" if name.endswith(".svg") else "image/png")
        closed = {"content-security-policy": CLOSED_PAGE} if kind in ("text/html", "image/svg+xml") else {}
        return Response(self.ws.blobs.get(files[name]), media_type=kind, headers=closed)

    # --- deciding ---

    def csrf(self, request: Request, csrf: Annotated[str, Form()] = "") -> None:
        held = self.sessions.csrf(request.state.session)
        if held is None or not hmac.compare_digest(held.encode(), csrf.encode()):
            raise Refused("This form is no longer valid; nothing was recorded.", mend="Load the page again.")

    def review_page(
        self, request: Request, run_id: str, *, problem: SovereignError | None = None, form: dict[str, str] | None = None
    ) -> HTMLResponse:
        run = self.held(run_id)
        return self.page(
            request, "review.html", 409 if problem else 200, run=gate.overview(self.ws, run_id, run), tab="draft", draft=views.draft(run),
            has_key=gate.has_key(self.ws), asks=self.settings.key_passphrase is None, owner=self.settings.owner, problem=problem, form=form or {},
            corrections=gate.corrections_of(self.ws, run_id),
        )  # fmt: skip

    def _deciding(self, app: FastAPI) -> None:
        @app.post("/runs/{run_id}/decide", include_in_schema=False, dependencies=[Depends(self.csrf)])
        def decide(
            request: Request,
            run_id: str,
            choice: Annotated[str, Form()] = "",
            note: Annotated[str, Form()] = "",
            waive: Annotated[str, Form()] = "",
            passphrase: Annotated[str, Form()] = "",
        ) -> Response:
            held = self.settings.key_passphrase
            phrase = passphrase or (held.get_secret_value() if held else None)
            try:
                chosen = next((c for c in (Choice.APPROVED, Choice.REJECTED, Choice.SENT_BACK, Choice.REVOKED) if c.value == choice), None)
                if chosen is None:
                    raise Refused("No decision was chosen; nothing was recorded.", mend="Use one of the buttons.")
                if chosen is Choice.SENT_BACK:
                    _, new_run = gate.send_back(self.ws, run_id, note=note, passphrase=phrase, owner=self.settings.owner)
                    self.workers.resume(new_run)
                    return RedirectResponse(f"/runs/{new_run}", 303)
                gate.decide(self.ws, run_id, chosen, note=note, waive=waive, passphrase=phrase, owner=self.settings.owner)
            except SovereignError as exc:
                if isinstance(exc, NotFound) and exc.subject == run_id:
                    raise
                if isinstance(exc, IntegrityBroken | AnswerIsNo) or exc.exit_code == 2:
                    return self.review_page(request, run_id, problem=exc, form={"note": note[:20_000], "waive": waive[:20_000]})
                raise
            return RedirectResponse(f"/runs/{run_id}#decided", 303)
