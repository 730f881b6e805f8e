"""The API for programs: no answer without its token, no way to decide, no name that becomes a path, one shape for every error, and answers as described."""

# ruff: noqa: E501  (tables of cases stay in one line)

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.owner_support import PASSPHRASE, plant
from tests.web_support import API_TOKEN, BASE, TOKEN, Browser, Program

from sovereign import errors, gate, metrics, records, wiring, working
from sovereign.door import Door, item_told, part, summary, told
from sovereign.errors import NotFound, SovereignError
from sovereign.kernel.review import Choice
from sovereign.press import contract
from sovereign.settings import Settings, load
from sovereign.store.agenda import Wanted
from sovereign.store.workspace import Workspace
from sovereign.web import shapes, v1, workers
from sovereign.web.app import create_app
from sovereign.web.guard import MAX_SENT, TRIES, Sessions

NOTE = "Small Routers reduces TTFT by 14% on MMMU compared with the unspecialized router."
ROUTES = {
    ("get", "/about"),
    ("get", "/agenda"),
    ("get", "/agenda/{item_id}"),
    ("get", "/library/search"),
    ("get", "/metrics"),
    ("get", "/reviews"),
    ("get", "/runs"),
    ("get", "/runs/{run_id}"),
    ("get", "/runs/{run_id}/claims"),
    ("get", "/runs/{run_id}/files"),
    ("get", "/runs/{run_id}/files/{name}"),
    ("get", "/runs/{run_id}/progress"),
    ("get", "/runs/{run_id}/references/{format}"),
    ("post", "/agenda"),
    ("post", "/check"),
    ("post", "/check/manuscript"),
    ("post", "/runs"),
    ("post", "/runs/{run_id}/resume"),
    ("post", "/verify"),
}
READS = (
    "/about", "/openapi.json", "/runs", "/runs/r-planted", "/runs/r-planted/progress", "/runs/r-planted/claims", "/runs/r-planted/files",
    "/runs/r-planted/files/draft.json", "/runs/r-planted/references/csl", "/reviews", "/agenda", "/metrics",
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "ws"
    home.mkdir()
    (home / "sovereign.toml").write_text('default_library = false\nsources = ["local"]\n')
    return load(home, offline=True)


@pytest.fixture
def app(settings: Settings, ws: Workspace) -> Any:
    return create_app(settings, ws, TOKEN, 8765)


@pytest.fixture
def program(app: Any) -> Program:
    return Program(app)


class Child:
    """Stands for a worker process that goes on until it is told to end."""

    begun: list[list[str]]

    def __init__(self, command: list[str], **_: Any):
        self.ended: int | None = None
        Child.begun.append(command)
        Child.living.append(self)

    living: list[Child]

    def poll(self) -> int | None:
        return self.ended


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> type[Child]:
    Child.begun, Child.living = [], []
    theirs = SimpleNamespace(Popen=Child, DEVNULL=-3, TimeoutExpired=TimeoutError)  # not subprocess itself: readers start real children
    monkeypatch.setattr(workers, "subprocess", theirs)
    return Child


def trouble(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The body of an error, whose shape is always the same."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == {"error", "mend", "subject"} and body["error"] and "\n" not in body["error"] and "Traceback" not in answer.text
    return body


# --- who may ---


@pytest.mark.parametrize("token", [None, "", "x", API_TOKEN[:-1], API_TOKEN + "x", "é", "Bearer"])
def test_without_the_token_nothing_answers(app: Any, ws: Workspace, token: str | None) -> None:
    plant(ws, pressed=False)
    program = Program(app, token)
    for url in (*READS, "/", "/nonsense", f"/about?token={API_TOKEN}"):
        answer = program.get(url)
        body = trouble(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer" and "serve" in body["mend"] and "planted" not in answer.text
    for url in ("/runs", "/agenda", "/verify", "/runs/r-planted/resume"):
        trouble(program.post(url, {"question": "Does it?"}), 401)


@pytest.mark.parametrize("given", [f"Basic {API_TOKEN}", API_TOKEN, f"bearer{API_TOKEN}", "Bearer", f"Bearer {API_TOKEN} x"])
def test_another_scheme_is_no_bearer(app: Any, given: str) -> None:
    trouble(Program(app, None).get("/about", headers={"authorization": given}), 401)


def test_a_session_of_the_browser_counts_for_nothing(app: Any, ws: Workspace) -> None:
    """A cookie is sent by a browser without being asked, so a page of another place could use it; a bearer token is not."""
    plant(ws, pressed=False)
    owner = Browser(app).login()
    assert owner.get("/api/runs").status_code == 200
    for url in READS:
        trouble(owner.get(f"/api/v1{url}"), 401)
    trouble(owner.ask("POST", "/api/v1/agenda", json={"question": "Does it?"}), 401)
    assert not working.agenda_of(ws).items()


def test_the_api_token_opens_the_api_and_nothing_else(app: Any, ws: Workspace) -> None:
    run = plant(ws, pressed=False)
    stranger = Browser(app)
    assert stranger.post("/login", {"token": API_TOKEN}).status_code == 401
    bearer = {"authorization": f"Bearer {API_TOKEN}"}
    for url in ("/", f"/runs/{run}", "/api/runs", "/openapi.json"):
        assert stranger.get(url, headers=bearer).headers["location"] == "/login"
    decision = {"choice": "rejected", "csrf": ""}
    assert stranger.post(f"/runs/{run}/decide", decision, headers=bearer).status_code == 401
    assert ws.runs.get(run).state == "waiting_for_owner" and not ws.ledger.events(run, "signed")
    assert API_TOKEN != TOKEN and Program(app, TOKEN).get("/about").status_code == 200  # the owner's own token may look as well


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "evil.example:8765", ""])
def test_a_foreign_host_is_refused_even_with_the_token(program: Program, host: str) -> None:
    for url in ("/about", "/openapi.json"):
        trouble(program.get(url, headers={"host": host}), 421)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "https://127.0.0.1:8765", "http://127.0.0.1:8766"])
def test_a_page_of_another_place_is_refused_and_gets_no_permission(program: Program, ws: Workspace, origin: str) -> None:
    trouble(program.get("/runs", headers={"origin": origin}), 403)
    trouble(program.post("/agenda", {"question": "Does it?"}, headers={"origin": origin}), 403)
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    before = program.ask("OPTIONS", "/runs", headers=asked)
    assert before.status_code == 403 and not [h for h in before.headers if h.startswith("access-control")]
    assert program.get("/about", headers={"origin": BASE}).status_code == 200


def test_many_wrong_tokens_are_told_to_wait_and_lock_nobody_out(app: Any) -> None:
    wrong = Program(app, "wrong")
    assert {wrong.get("/about").status_code for _ in range(TRIES)} == {401}
    answer = wrong.get("/about")
    assert trouble(answer, 429) and answer.headers["retry-after"] == "60"
    assert Program(app).get("/about").status_code == 200 and Browser(app).login()
    now = [0.0]
    sessions = Sessions(TOKEN, 1, clock=lambda: now[0])
    assert [sessions.bearer("Bearer wrong") for _ in range(TRIES + 1)][-1] == 429
    now[0] = 61.0
    assert sessions.bearer("Bearer wrong") == 401


def test_every_answer_carries_the_headers(program: Program, ws: Workspace) -> None:
    plant(ws, pressed=False)
    for url in (*READS, "/nonsense", "/runs/r-planted/files/draft.html"):
        told = program.get(url).headers
        assert told["x-content-type-options"] == "nosniff" and told["content-security-policy"].startswith("default-src 'none'")
        assert "set-cookie" not in told and "access-control-allow-origin" not in told


# --- what cannot be done ---


def test_there_is_no_route_that_decides(program: Program, ws: Workspace) -> None:
    """The law: nothing is published without the owner's signature. The list of routes is closed; a new one has to be written here."""
    run = plant(ws, pressed=False)
    described = program.get("/openapi.json").json()
    assert {(m, p) for p, methods in described["paths"].items() for m in methods} == ROUTES
    for act in ("approve", "reject", "revise", "revoke", "sign", "publish", "decide", "correct", "state", "delete"):
        for url in (f"/runs/{run}/{act}", f"/{act}/{run}", f"/reviews/{run}/{act}"):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                asked = {"choice": "approved", "state": "approved", "passphrase": PASSPHRASE, "note": "yes"}
                assert program.ask(method, url, json=asked).status_code in (404, 405), url
    for method in ("PUT", "PATCH", "DELETE"):
        assert program.ask(method, f"/runs/{run}", json={"state": "approved"}).status_code == 405
    assert ws.runs.get(run).state == "waiting_for_owner" and not ws.ledger.events(run, "signed")


def test_a_request_cannot_bring_a_decision_along(program: Program, ws: Workspace, children: type[Child]) -> None:
    for more in (
        {"approve": True},
        {"state": "approved"},
        {"run_id": "r-mine"},
        {"out": "/tmp/x"},
        {"library": ["/etc/passwd"]},
        {"model": "openai:x"},
    ):
        body = trouble(program.post("/runs", {"question": "Does it lower latency?", **more}), 422)
        assert next(iter(more)) in body["error"]
    assert not ws.runs.list() and not children.begun


def test_looking_changes_nothing(program: Program, ws: Workspace) -> None:
    """The same question twice has the same answer, and no look leaves an event, a state or a file behind."""
    run = plant(ws)
    program.get("/agenda")  # makes its table where there is none

    def standing() -> Any:
        with ws.database.read() as connection:
            rows = [tuple(r) for r in connection.execute(sa.text("SELECT scope, seq, hash FROM events ORDER BY scope, seq"))]
        return rows, ws.runs.list(), sorted(str(p) for p in ws.home.rglob("*") if "sqlite3" not in p.name), working.agenda_of(ws).items()

    before = standing()
    for url in (*READS, f"/runs/{run}/files/draft.pdf", f"/runs/{run}/references/ris"):
        first, second = program.get(url), program.get(url)
        assert first.status_code == 200 and first.content == second.content, url
    assert standing() == before


TRAVERSALS = (
    "/runs/%2e%2e", "/runs/..%2f..%2fkeys%2fowner.pem", "/runs/r-planted%00", "/runs/r-planted/files/..%2f..%2f..%2fkeys%2fowner.pem",
    "/runs/r-planted/files/../../../keys/owner.pem", "/runs/r-planted/files/%2e%2e/%2e%2e/keys/owner.pem", "/runs/r-planted/files//etc/passwd",
    "/runs/r-planted/files/figures/..%2fdraft.json", "/runs/r-planted/files/.lock", "/runs/r-planted/files/worker.log",
    "/runs/..%2fr-planted/files/draft.json", "/agenda/..%2f..%2fkeys", "/runs/R-PLANTED", "/runs/workspace", "/static/console.css",
)  # fmt: skip


@pytest.mark.parametrize("url", TRAVERSALS)
def test_no_name_from_a_program_becomes_a_path(program: Program, ws: Workspace, url: str) -> None:
    plant(ws, pressed=False)
    (ws.run_folder("r-planted")).mkdir(parents=True, exist_ok=True)
    (ws.run_folder("r-planted") / "worker.log").write_text("root:")
    answer = program.get(url)
    assert answer.status_code == 404 and b"PRIVATE KEY" not in answer.content and b"root:" not in answer.content
    assert str(ws.home) not in answer.text


def test_an_id_of_a_source_is_only_a_name(program: Program, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("The secret router reduces TTFT by 14% on MMMU.")
    for name in (str(tmp_path / "secret.txt"), "../secret.txt", "file:///etc/passwd"):
        trouble(program.post("/verify", {"claim": "The secret router reduces TTFT by 14%.", "papers": [name]}), 404)
        answer = program.post(
            "/verify", {"claim": "The secret router reduces TTFT by 14%.", "texts": [{"id": name, "text": "Nothing of it."}]}
        )
        assert answer.status_code == 200 and answer.json()["verdict"] != "SUPPORTED"
        latex = {"text": f"\\input{{{name}}} Routers reduce TTFT by 14\\% \\cite{{a}}. \\bibliography{{{name}}}", "format": "latex"}
        told = program.post("/check/manuscript", latex)
        assert "secret router" not in told.text and told.status_code in (200, 422), told.text


def test_an_unknown_run_is_not_found_everywhere(program: Program, ws: Workspace) -> None:
    for tail in ("", "/progress", "/claims", "/files", "/files/draft.json", "/references/bib", "/references/csl"):
        body = trouble(program.get(f"/runs/r-ffffffffff{tail}"), 404)
        assert body["subject"] == "r-ffffffffff" and str(ws.home) not in body["error"]
    trouble(program.post("/runs/r-ffffffffff/resume"), 404)
    trouble(program.get("/agenda/q-ffffffff"), 404)
    assert trouble(program.get("/nonsense"), 404) and trouble(program.post("/about"), 405)


# --- too much, and not what was asked for ---


def test_a_huge_body_is_refused_before_it_is_read(program: Program, ws: Workspace) -> None:
    read = 0

    async def flood() -> Any:
        nonlocal read
        yield b'{"question": "'
        for _ in range(4 * MAX_SENT // 65_536):
            read += 65_536
            yield b"a" * 65_536

    trouble(program.ask("POST", "/runs", content=b"{" + b" " * MAX_SENT + b"}"), 413)
    trouble(program.ask("POST", "/runs", content=flood()), 413)
    assert read <= MAX_SENT + 2 * 65_536
    trouble(program.ask("POST", "/runs", content=b"{}", headers={"content-length": "many"}), 400)
    assert not ws.runs.list()


@pytest.mark.parametrize(
    ("url", "body", "said"),
    [
        ("/runs", {}, "question"),
        ("/runs", {"question": "  "}, "is empty"),
        ("/runs", {"question": "w" * 2_001}, "2000"),
        ("/runs", {"question": "\x00\x01"}, ""),
        ("/runs", {"question": "Does it lower latency?", "lab": "moon"}, "lab"),
        ("/runs", {"question": "Does it lower latency?", "sources": ["file:///etc/passwd"]}, "Unknown source"),
        ("/runs", {"question": "Does it lower latency?", "sources": []}, "sources"),
        ("/runs", [], ""),
        ("/runs", {"question": "Does it lower latency?", "a\nb" + "c" * 100_000: 1}, "a bccc"),
        ("/verify", {"claim": "A is 1."}, "nothing to verify against"),
        ("/verify", {"claim": "A is 1.", "texts": [{"id": "x"}]}, "texts.0.text"),
        ("/verify", {"claim": "A is 1.", "texts": [{"id": "x", "text": "y" * 200_001}]}, "200000"),
        ("/verify", {"claim": "A is 1.", "texts": [{"id": "x", "text": "y"}] * 21}, "20"),
        ("/verify", {"claim": "A is 1.", "texts": [{"id": "x", "text": "y"}] * 20, "papers": ["p"]}, "21 sources"),
        ("/check", {"text": "One is 1. " * 500, "texts": [{"id": "x", "text": NOTE}]}, "more than 200"),
        ("/check/manuscript", {"text": "Hello there."}, "no claim to check"),
        ("/check/manuscript", {"text": "A is 1 [@a].", "bib": "no entry"}, "no BibTeX entry"),
        ("/check/manuscript", {"text": "A is 1 [@a].", "sources": ["moon"]}, "Unknown source"),
        ("/check/manuscript", {"text": "A is 1 [@a].", "format": "docx"}, "format"),
        ("/agenda", {"question": "Does it lower latency?", "tags": ["a\x00b"]}, "tags"),
        ("/agenda", {"question": "Does it lower latency?", "priority": 10**30}, "priority"),
        ("/agenda", {"question": "Does it lower latency?", "budget_usd": 1.01}, "the owner's cap of 1 USD"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_its_place(program: Program, ws: Workspace, url: str, body: Any, said: str) -> None:
    answer = trouble(program.post(url, body), 422)
    assert said in answer["error"] and len(answer["error"]) < 1_000
    assert not ws.runs.list() and not working.agenda_of(ws).items()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"claim": "\\ud800 is 1.", "texts": [{"id": "a", "text": "b"}]}', 422),
        (b'{"claim": NaN}', 422),
        (b'{"question": "Does it lower latency?", "budget_usd": NaN}', 422),
    ],
)
def test_bytes_that_are_no_request_end_in_an_error_and_not_in_a_crash(program: Program, raw: bytes, status: int) -> None:
    for url in ("/verify", "/agenda"):
        trouble(program.ask("POST", url, content=raw, headers={"content-type": "application/json"}), status)


def test_a_form_is_told_to_be_json(program: Program) -> None:
    assert "not JSON" in trouble(program.ask("POST", "/verify", data={"claim": "A is 1."}), 400)["error"]


@pytest.mark.parametrize("url", ["/runs?limit=0", "/runs?limit=101", "/runs?limit=x", "/runs?state=moon", "/agenda?state=moon", "/library/search?q=", "/library/search?q=a&k=51"])  # fmt: skip
def test_a_parameter_out_of_its_range_is_refused(program: Program, url: str) -> None:
    trouble(program.get(url), 422)


def test_every_kind_of_error_has_a_status_and_only_the_unforeseen_is_500() -> None:
    def kinds(root: type[SovereignError]) -> list[type[SovereignError]]:
        return [root, *(k for s in root.__subclasses__() for k in kinds(s))]

    for kind in kinds(SovereignError)[1:]:
        made = errors.rebuild(kind, {"message": "m", "mend": "", "subject": None})
        assert v1.status_of(made) in v1.TOLD and v1.status_of(made) != 500, kind
    assert v1.status_of(SovereignError("m")) == 500


def test_a_fault_of_ours_is_told_without_its_inside(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Any:
        raise RuntimeError("/secret/folder")

    monkeypatch.setattr(Door, "metrics", broken)
    answer = program.get("/metrics")
    assert trouble(answer, 500) and "secret" not in answer.text


# --- asking ---


def test_asking_gives_the_run_at_once_and_no_more_than_two_are_worked_on(program: Program, ws: Workspace, children: type[Child]) -> None:
    answer = program.post("/runs", {"question": "Does a planted router lower latency?"})
    assert answer.status_code == 202
    run = answer.json()["run_id"]
    assert answer.headers["location"] == f"/api/v1/runs/{run}/progress" and answer.json()["working_here"]
    assert children.begun[0][3:6] == ["runs", "resume", run] and ws.runs.get(run).state == "running"
    assert program.post("/runs", {"question": "Does a planted cache lower latency?"}).status_code == 202
    busy = program.post("/runs", {"question": "Does a planted gate lower latency?"})
    assert trouble(busy, 429) and int(busy.headers["retry-after"]) > 0 and len(ws.runs.list()) == 2, "a refused question left a run behind"
    children.living[0].ended = 0
    assert program.post("/runs", {"question": "Does a planted gate lower latency?"}).status_code == 202


def test_a_run_whose_worker_is_gone_is_said_to_be_so_and_can_go_on(program: Program, ws: Workspace, children: type[Child]) -> None:
    run = program.post("/runs", {"question": "Does a planted router lower latency?"}).json()["run_id"]
    assert program.post(f"/runs/{run}/resume").status_code == 202 and len(children.begun) == 1, "a second worker for one run"
    children.living[0].ended = -9
    told = program.get(f"/runs/{run}/progress").json()
    assert told["state"] == "running" and told["working_here"] is False
    assert program.post(f"/runs/{run}/resume").json()["working_here"] and len(children.begun) == 2
    ws.runs.fail(run, "the source did not answer")
    assert program.get(f"/runs/{run}").json()["error"] == "the source did not answer"


@pytest.mark.parametrize("choice", [None, Choice.REJECTED, Choice.APPROVED])
def test_a_run_with_a_draft_is_not_worked_on_again(program: Program, ws: Workspace, children: type[Child], choice: Choice | None) -> None:
    run = plant(ws)
    if choice is not None:
        gate.decide(ws, run, choice, passphrase=PASSPHRASE, owner="Ada Owner")
    state = ws.runs.get(run).state
    assert program.post(f"/runs/{run}/resume").json()["state"] == state == ws.runs.get(run).state and not children.begun


# --- looking ---


def test_a_run_is_seen_in_one_screen_in_parts_and_in_files(program: Program, ws: Workspace) -> None:
    run = plant(ws, claims=5)
    seen = program.get(f"/runs/{run}").json()
    assert (
        seen["state"] == "waiting_for_owner"
        and seen["claims"] == 5
        and seen["decision"] == "ESCALATE_TO_OWNER"
        and "signature" in seen["note"]
    )
    files = {f["name"]: f for f in program.get(f"/runs/{run}/files").json()}
    assert set(files) == {"draft.md", "draft.json", "draft.html", "draft.pdf", "references.bib"}
    for name, file in files.items():
        got = program.get(f"/runs/{run}/files/{name}")
        assert got.headers["content-type"] == file["media_type"] and got.headers["etag"] == f'"{file["sha256"]}"'
        same = program.get(f"/runs/{run}/files/{name}", headers={"if-none-match": f'"{file["sha256"]}"'})
        assert same.status_code == 304 and not same.content
    assert program.get(f"/runs/{run}/files/draft.pdf").content.startswith(b"%PDF-")
    body = program.get(f"/runs/{run}/files/draft.json").json()
    claims = program.get(f"/runs/{run}/claims").json()["items"]
    assert [c["id"] for c in claims] == [c["id"] for c in body["claims"]] and claims[0]["evidence"][0]["quote"]
    assert program.get(f"/runs/{run}/claims?verdict=CONTRADICTED").json() == {"items": [], "next": None, "total": 0}


def test_the_references_come_in_three_formats(program: Program, ws: Workspace) -> None:
    run = plant(ws)
    assert program.get(f"/runs/{run}/references/bib").text.startswith("@misc{")
    assert program.get(f"/runs/{run}/references/ris").text.startswith("TY  - ")
    assert program.get(f"/runs/{run}/references/csl").json()[0]["title"] == "A planted paper"
    trouble(program.get(f"/runs/{run}/references/docx"), 422)


def test_before_there_is_a_draft_lists_are_empty_and_files_are_not_found(program: Program, ws: Workspace, children: type[Child]) -> None:
    run = program.post("/runs", {"question": "Does a planted router lower latency?"}).json()["run_id"]
    seen = program.get(f"/runs/{run}").json()
    assert (seen["title"], seen["decision"], seen["reasons"], seen["coverage"]) == (None, None, None, [])
    assert program.get(f"/runs/{run}/files").json() == [] and program.get(f"/runs/{run}/claims").json()["items"] == []
    trouble(program.get(f"/runs/{run}/files/draft.json"), 404)
    trouble(program.get(f"/runs/{run}/references/ris"), 409)


def test_broken_records_are_said_to_be_so(program: Program, ws: Workspace) -> None:
    good, bad = plant(ws, run_id="r-good", pressed=False), plant(ws, run_id="r-bad", title="Broken one", finding="Another.", pressed=False)
    with ws.database.write() as tx:
        for step in ("tribunal-0", "press-0"):
            tx.execute(sa.text("UPDATE blobs SET body = :b WHERE digest = :d"), {"b": b"{}", "d": ws.runs.steps(bad)[step]})
    assert "audit" in trouble(program.get(f"/runs/{bad}"), 409)["mend"]
    rows = {r["run_id"]: r for r in program.get("/reviews").json()["items"]}
    assert rows[bad]["broken"] and rows[bad]["title"] is None and rows[good]["broken"] is None and rows[good]["title"]


def test_a_long_list_comes_in_parts_that_hold_every_row_once(program: Program, ws: Workspace) -> None:
    for n in range(5):
        plant(ws, run_id=f"r-{n}", title=f"Draft {n}", finding=f"Finding {n}.", pressed=False)
    seen: list[str] = []
    after = ""
    while True:
        found = program.get(f"/runs?limit=2&after={after}").json()
        seen += [r["run_id"] for r in found["items"]]
        assert found["total"] >= 5 and len(found["items"]) <= 2
        if found["next"] is None:
            break
        after = found["next"]
        if len(seen) == 2:
            ws.runs.create("r-new", "A question that comes meanwhile?", {}, at="2999-01-01T00:00:00Z")
    assert sorted(seen) == [f"r-{n}" for n in range(5)]
    ws.runs.set_state("r-0", "approved")
    assert program.get("/runs?state=waiting_for_owner&after=r-0").status_code == 200, "a row that no longer fits must still hold its place"
    trouble(program.get("/runs?after=r-none"), 404)
    with pytest.raises(NotFound):
        part([], "id", "a", 1)


# --- judging, searching, queueing ---


def test_a_claim_and_a_text_are_judged_against_texts_and_papers(
    program: Program, settings: Settings, ws: Workspace, tmp_path: Path
) -> None:
    source = {"id": "note", "text": NOTE}
    right = program.post("/verify", {"claim": "Small Routers reduces TTFT by 14% on MMMU.", "texts": [source]}).json()
    assert right["verdict"] == "SUPPORTED" and right["evidence"][0]["quote"] == NOTE and right["evidence"][0]["paper"] == "note"
    checked = program.post(
        "/check", {"text": "Small Routers reduces TTFT by 14% on MMMU. Small Routers reduces TTFT by 41% on MMMU.", "texts": [source]}
    )
    assert [c["verdict"] for c in checked.json()["claims"]] == ["SUPPORTED", "CONTRADICTED"]
    assert checked.json()["summary"] == {"SUPPORTED": 1, "CONTRADICTED": 1}
    note = tmp_path / "note.md"
    note.write_text(f"# Small Routers: a note\n\n{NOTE}\n")
    wiring.add_to_library(ws, settings, [str(note)])
    found = program.get("/library/search?q=TTFT%20on%20MMMU&k=3").json()["passages"]
    assert found[0]["text"] == NOTE
    paper = program.post("/verify", {"claim": "Small Routers reduces TTFT by 14%.", "papers": [found[0]["paper_id"]]})
    assert paper.json()["verdict"] == "SUPPORTED"


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("markdown", "Small Routers reduces TTFT by 14% on MMMU [@r]. Small Routers reduces TTFT by 41% on MMMU [@r]."),
        ("latex", "\\documentclass{article}\\begin{document}Small Routers reduces TTFT by 14\\% on MMMU \\cite{r}. Small Routers reduces TTFT by 41\\% on MMMU \\cite{r}.\\end{document}"),
        ("html", "<html><body><p>Small Routers reduces TTFT by 14% on MMMU [1]. Small Routers reduces TTFT by 41% on MMMU [1].</p></body></html>"),
        ("text", "Small Routers reduces TTFT by 14% on MMMU [1]. Small Routers reduces TTFT by 41% on MMMU [1]."),
    ],
)  # fmt: skip
def test_a_manuscript_is_checked_against_what_comes_with_it(program: Program, format: str, text: str) -> None:
    key = "r" if "r]" in text or "{r}" in text else "1"
    bib = f"@misc{{{key}, title = {{Small Routers}}, year = {{2026}}}}"
    answer = program.post("/check/manuscript", {"text": text, "format": format, "bib": bib, "texts": [{"id": key, "text": NOTE}]})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [c["verdict"] for c in body["claims"]] == ["SUPPORTED", "CONTRADICTED"] and body["summary"]["exit_code"] == 1
    assert body["schema"] == "sovereign/check-1" and body["bibliography"]["files"] == ["references.bib"]


def test_only_a_few_are_judged_at_a_time(app: Any, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """One core per judgement: without a limit a client with many threads would keep the owner's own pages waiting."""
    import threading

    monkeypatch.setattr(v1, "PATIENCE_S", 0.01)
    go, entered = threading.Event(), threading.Semaphore(0)

    def slow(_: Door, claim: str, *more: Any) -> Any:
        entered.release()
        assert go.wait(30)
        return {"claim": claim, **told(records.Ruling("c", records.Verdict.UNRESOLVED, records.Level.L0_RECORDED, "slow"))}

    monkeypatch.setattr(Door, "verify", slow)
    body = {"claim": "A is 1.", "texts": [{"id": "a", "text": "b"}]}
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(program.post("/verify", body).status_code)) for _ in range(v1.JUDGING)]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=30)
    trouble(program.post("/verify", body), 429)
    assert program.get("/about").status_code == 200
    go.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * v1.JUDGING and program.post("/verify", body).status_code == 200


def test_a_question_is_queued_once_and_seen(program: Program, ws: Workspace) -> None:
    wish = {"question": "Does a planted router lower latency?", "priority": 3, "tags": ["group"]}
    made = program.post("/agenda", wish)
    item = made.json()
    assert made.status_code == 201 and made.headers["location"] == f"/api/v1/agenda/{item['item_id']}" and item["state"] == "queued"
    assert (item["sources"], item["origin"], item["priority"]) == (["local"], "http", 3)
    again = trouble(program.post("/agenda", wish), 409)
    assert again["subject"] == item["item_id"] and "again" in again["mend"] and "--" not in again["mend"]
    assert program.post("/agenda", {**wish, "again": True}).status_code == 201
    trouble(program.post("/agenda", {**wish, "again": True, "depends_on": ["q-none"]}), 404)
    assert program.get(f"/agenda/{item['item_id']}").json() == item
    listed = program.get("/agenda?state=queued&limit=1").json()
    assert listed["total"] == 2 and listed["next"] == item["item_id"] and listed["items"] == [item]


# --- as described ---


def test_the_shapes_are_those_of_the_records(ws: Workspace, settings: Settings) -> None:
    """Guards a field that the contract gained and the API would silently leave out."""
    run = plant(ws)
    held = gate.held(ws, run)
    fields = {
        name: set(getattr(shapes, name).model_fields) for name in ("Ruled", "RunClaim", "Evidence", "Judged", "Run", "Item", "Metrics")
    }
    assert fields["Ruled"] == set(told(held.rulings[0]))
    assert fields["RunClaim"] == set(contract.claim(held.claims[0], held.rulings[0]))
    by_trial = records.Evidence(records.Stance.SUPPORTS, None, trial_id="t-1")
    assert fields["Evidence"] == set(contract.evidence(held.rulings[0].evidence[0])) | set(contract.evidence(by_trial))
    judged = records.Ruling("c", records.Verdict.SUPPORTED, records.Level.L1_CITED, "", judgements=(records.Judgement("v", "1", records.Verdict.SUPPORTED, ""),))  # fmt: skip
    assert fields["Judged"] == set(told(judged)["judgements"][0])
    assert fields["Run"] == set(summary(Door(settings).run(run)))
    assert fields["Item"] == set(item_told(working.add(ws, settings, Wanted("Does a planted cache lower memory?"))))
    assert fields["Metrics"] == set(metrics.measure(ws))


def test_the_api_keeps_to_its_own_description(
    program: Program, ws: Workspace, children: type[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """schemathesis over the API's own OpenAPI: no server error, no undocumented status, media type or header, every body in its shape."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given
    from hypothesis import settings as how
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    monkeypatch.setattr(workers, "MOST", 10_000)
    plant(ws)
    item = working.add(ws, load(ws.home), Wanted("Does a planted cache lower memory?", sources=("local",)))
    described = program.get("/openapi.json").json()
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    names = {"run_id": ["r-planted", "r-none", ".."], "name": ["draft.json", "draft.pdf", "../x"], "item_id": [item.item_id, "q-x"]}
    for operation in (o for path in described["paths"].values() for o in path.values()):
        assert operation["security"] == [{"HTTPBearer": []}]
        for parameter in operation.get("parameters", []):
            if parameter["name"] in names:
                parameter["schema"] = {"enum": names[parameter["name"]]}
    asked = (not_a_server_error, checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance)
    seen: set[int] = set()
    for found in schemathesis.openapi.from_dict(described).get_all_operations():

        @given(case=found.ok().as_strategy())
        @how(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def probe(case: Any) -> None:
            body = {"content": json.dumps(case.body).encode(), "headers": {"content-type": "application/json"}} if case.method == "POST" and case.body.__class__.__name__ != "NotSet" else {}  # fmt: skip
            answer = program.ask(case.method, case.formatted_path, params=case.query or {}, **body)
            seen.add(answer.status_code)
            case.validate_response(answer, checks=list(asked))

        probe()
    assert {200, 202, 404, 422} <= seen, "the descriptions were never put to use"


def test_the_docs_name_every_route_and_no_other(program: Program) -> None:
    page = (Path(__file__).parents[3] / "docs" / "http-api.md").read_text(encoding="utf-8")
    named = {(method.lower(), path) for method, path in re.findall(r"^\| `(GET|POST) (\S+)`", page, re.MULTILINE)}
    assert named == ROUTES
    assert {int(code) for code in re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE)} == set(v1.TOLD)
