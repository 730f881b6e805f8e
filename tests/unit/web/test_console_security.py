"""The console's door: nothing without a session, no foreign host, origin or form, nothing rendered as markup, no name that becomes a path."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.owner_support import PASSPHRASE, plant
from tests.web_support import TOKEN, Browser

from sovereign import gate
from sovereign.kernel.review import Choice
from sovereign.settings import Settings, load
from sovereign.store.workspace import Workspace
from sovereign.web.app import create_app
from sovereign.web.guard import MAX_BODY, TRIES, Sessions

XSS = (
    "<script>window.pwned=1</script>",
    '"><img src=x onerror=window.pwned=1>',
    "javascript:window.pwned=1",
    "{{ 7*7 }}{% raw %}",
    "</textarea><svg onload=window.pwned=1>",
    "<a href='javascript:1'>x</a>",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(tmp_path / "ws", offline=True)


@pytest.fixture
def stranger(settings: Settings, ws: Workspace) -> Browser:
    return Browser(create_app(settings, ws, TOKEN, 8765))


@pytest.fixture
def owner(stranger: Browser) -> Browser:
    return stranger.login()


PAGES = (
    "",
    "/claims",
    "/claims/c-0",
    "/contradictions",
    "/tribunal",
    "/trials",
    "/sources",
    "/ledger",
    "/sentences/s1",
    "/files/draft.json",
    "/files/draft.pdf",
)


def test_an_unauthenticated_request_gets_nothing_but_the_login(stranger: Browser, ws: Workspace) -> None:
    run = plant(ws, pressed=False)
    urls = [
        "/",
        "/openapi.json",
        "/docs",
        "/redoc",
        "/api/runs",
        f"/api/runs/{run}",
        "/static/icon.svg",
        "/nonsense",
        *(f"/runs/{run}{p}" for p in PAGES),
    ]
    for url in urls:
        answer = stranger.get(url)
        assert (answer.status_code, answer.headers["location"], answer.content) == (303, "/login", b""), url
    for url in (f"/runs/{run}/decide", "/logout", "/api/runs"):
        assert stranger.post(url, {"choice": "approved"}).status_code == 401
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert stranger.ask(method, f"/runs/{run}").status_code == 401
    assert "planted" not in stranger.get("/login").text and ws.runs.get(run).state == "waiting_for_owner"


def test_a_wrong_token_opens_nothing_and_many_shut_the_door_for_a_minute(stranger: Browser) -> None:
    for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", "é"):
        assert stranger.post("/login", {"token": wrong}).status_code == 401
    assert stranger.get("/").status_code == 303
    now = [0.0]
    sessions = Sessions(TOKEN, 1, clock=lambda: now[0])
    for _ in range(TRIES):
        assert sessions.enter("wrong") is None
    assert sessions.enter(TOKEN) is None
    now[0] = 61.0
    assert sessions.enter(TOKEN) is not None


def test_a_session_ends(owner: Browser) -> None:
    now = [0.0]
    sessions = Sessions(TOKEN, 1, clock=lambda: now[0])
    session = sessions.enter(TOKEN)
    assert sessions.csrf(session) and sessions.csrf("guess") is None
    now[0] = 12 * 3600 + 1.0
    assert sessions.csrf(session) is None
    assert owner.post("/logout", {"csrf": owner.csrf()}).status_code == 303
    assert owner.get("/").headers["location"] == "/login"


def test_the_cookie_cannot_be_read_by_scripts_or_sent_from_elsewhere(stranger: Browser) -> None:
    told = stranger.post("/login", {"token": TOKEN}).headers["set-cookie"].lower()
    assert "httponly" in told and "samesite=strict" in told and "path=/" in told


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "evil.example:8765", "127.0.0.1:8765.evil.example", ""])
def test_a_foreign_host_header_is_refused_even_with_a_session(owner: Browser, host: str) -> None:
    """DNS rebinding: the attacker's name resolves to 127.0.0.1; only the Host header tells."""
    for url in ("/", "/login", "/api/runs"):
        answer = owner.get(url, headers={"host": host})
        assert answer.status_code == 421 and "csrf" not in answer.text


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "https://127.0.0.1:8765", "http://127.0.0.1:8766"])
def test_a_foreign_origin_cannot_decide_or_log_in(owner: Browser, ws: Workspace, origin: str) -> None:
    run = plant(ws, pressed=False)
    csrf = owner.csrf()
    assert owner.post(f"/runs/{run}/decide", {"csrf": csrf, "choice": "rejected"}, headers={"origin": origin}).status_code == 403
    assert owner.post("/login", {"token": TOKEN}, headers={"origin": origin}).status_code == 403
    assert ws.runs.get(run).state == "waiting_for_owner"


@pytest.mark.parametrize("csrf", [None, "", "guess", "é"])
def test_a_form_without_its_token_records_nothing(owner: Browser, ws: Workspace, csrf: str | None) -> None:
    run = plant(ws, pressed=False)
    data = {"choice": "rejected"} | ({} if csrf is None else {"csrf": csrf})
    answer = owner.post(f"/runs/{run}/decide", data)
    assert answer.status_code == 409 and "nothing was recorded" in answer.text
    assert ws.runs.get(run).state == "waiting_for_owner" and not ws.ledger.events(run, "signed")


def test_every_answer_carries_the_headers_and_pages_have_no_inline_script_or_style(owner: Browser, ws: Workspace) -> None:
    run = plant(ws, contested=True, not_run="literature searched", pressed=False)
    for url in ("/", *(f"/runs/{run}{p}" for p in PAGES), "/nonsense", "/static/console.js"):
        answer = owner.get(url)
        policy = answer.headers["content-security-policy"]
        assert (
            answer.headers["x-content-type-options"] == "nosniff" and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        )
        if answer.headers["content-type"].startswith("text/html"):
            assert "unsafe-inline" not in policy and "unsafe-eval" not in policy
            assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", answer.text), url
            assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text), f"{url} asks another host"


@pytest.mark.parametrize("payload", XSS)
def test_no_text_becomes_markup(owner: Browser, ws: Workspace, payload: str) -> None:
    """Titles, questions, claims, papers, findings, section names and notes with payloads appear as the text they are."""
    run = plant(
        ws, title=f"T {payload}", question=f"Q {payload}?", text=f"Claim {{n}} {payload.replace('{', '{{').replace('}', '}}')}", paper_title=f"P {payload}",
        finding=f"F {payload}", contested=True, not_run=f"N {payload}", pressed=False,
    )  # fmt: skip
    sha = next(iter(gate.held(ws, run).texts))
    pages = [
        "/",
        *(f"/runs/{run}{p}" for p in PAGES[:-2]),
        f"/runs/{run}/texts/{sha}?start=0&end=9",
        f"/runs/{run}/claims?q={httpx.QueryParams({'q': payload})['q']}",
    ]
    refused = owner.post(
        f"/runs/{run}/decide",
        {"csrf": owner.csrf(), "choice": "approved", "note": f"note {payload}", "waive": payload, "passphrase": PASSPHRASE},
    )
    assert refused.status_code == 409
    texts = [refused.text, *(owner.get(p).text for p in pages)]
    owner.post(f"/runs/{run}/decide", {"csrf": owner.csrf(), "choice": "rejected", "note": f"note {payload}"})
    texts += [owner.get(f"/runs/{run}").text, owner.get(f"/runs/{run}/ledger?page=1").text]
    seen = 0
    for text in texts:
        seen += "pwned" in text or "7*7" in text or "&lt;a href" in text
        assert not re.search(r"<(?:script>|img src=x|svg onload|a href='javascript)", text)
        assert ">49" not in text and "onerror=window" not in re.sub(r"&gt;|&lt;.*?(?=&gt;)", "", text).split("<main")[0]
    assert seen >= 5, "the payload was never shown, so nothing was tested"


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fapp.py",
        "/runs/r-planted/files/..%2f..%2f..%2fkeys%2fowner.pem",
        "/static/../app.py", "/static/%2e%2e/guard.py", "/runs/..%2f..%2fetc%2fpasswd", "/runs/%2e%2e",
        "/runs/r-planted/files/figures/..%2f..%2f..%2f..%2fkeys%2fowner.pem", "/runs/r-planted/files/.lock",
        "/runs/r-planted/texts/..%2f..%2fkeys", "/runs/r-planted/texts/" + "0" * 64,
        "/runs/r-planted/claims/..%2f..", "/api/runs/..%2f..%2fworkspace", "/runs/r-planted%00", "/runs/workspace",
    ],
)  # fmt: skip
def test_no_name_from_the_browser_becomes_a_path(owner: Browser, ws: Workspace, path: str) -> None:
    plant(ws, pressed=False)
    answer = owner.get(path)
    assert answer.status_code in (303, 404, 307) and b"PRIVATE KEY" not in answer.content and b"root:" not in answer.content


def test_ten_thousand_claims_are_shown_in_reasonable_time_and_size(owner: Browser, ws: Workspace) -> None:
    run = plant(ws, claims=10_000, sentences=10_000, pressed=False)
    began = time.perf_counter()
    first = owner.get(f"/runs/{run}")
    assert first.status_code == 200 and first.text.count('class="sentence') == 10_001
    assert len(first.content) < 8_000_000 and time.perf_counter() - began < 30
    claims = owner.get(f"/runs/{run}/claims?page=100")
    assert "page 100 of 100" in claims.text and claims.text.count('class="row"') == 100
    assert owner.get(f"/runs/{run}/claims?page=101").status_code == 200 and owner.get(f"/runs/{run}/claims?page=0").status_code == 422
    began = time.perf_counter()
    assert owner.get(f"/runs/{run}/sentences/s9999?fragment=true").status_code == 200
    assert time.perf_counter() - began < 5


def test_a_note_of_fifty_megabytes_is_refused_before_it_is_read(owner: Browser, ws: Workspace) -> None:
    run = plant(ws, pressed=False)
    csrf = owner.csrf()
    read = 0

    async def flood() -> Any:
        nonlocal read
        yield f"csrf={csrf}&choice=rejected&note=".encode()
        for _ in range(800):
            read += 65_536
            yield b"a" * 65_536

    form = {"content-type": "application/x-www-form-urlencoded"}
    announced = owner.ask("POST", f"/runs/{run}/decide", content=b"a" * 52_428_800, headers=form)
    assert announced.status_code == 413
    try:  # without a length: cut off as soon as it is too much
        answer = owner.ask("POST", f"/runs/{run}/decide", content=flood(), headers={**form, "content-length": "100"})
        assert answer.status_code >= 400
    except Exception as exc:  # noqa: BLE001  (the server may hang up in any way it likes)
        assert "Disconnect" in type(exc).__name__ or read <= 2 * MAX_BODY + 65_536
    assert ws.runs.get(run).state == "waiting_for_owner"


def test_a_note_just_above_its_limit_is_told_and_kept_in_the_form(owner: Browser, ws: Workspace) -> None:
    run = plant(ws, pressed=False)
    answer = owner.post(f"/runs/{run}/decide", {"csrf": owner.csrf(), "choice": "rejected", "note": "a" * 20_001})
    assert answer.status_code == 409 and "20,000" in answer.text and ws.runs.get(run).state == "waiting_for_owner"


def test_approving_needs_the_passphrase_each_time(owner: Browser, ws: Workspace) -> None:
    run = plant(ws, pressed=False)
    for phrase in ("", "wrong passphrase"):
        answer = owner.post(f"/runs/{run}/decide", {"csrf": owner.csrf(), "choice": "approved", "passphrase": phrase, "note": "my words"})
        assert answer.status_code == 409 and "my words" in answer.text and ws.runs.get(run).state == "waiting_for_owner"
    done = owner.post(f"/runs/{run}/decide", {"csrf": owner.csrf(), "choice": "approved", "passphrase": PASSPHRASE, "note": "my words"})
    assert done.status_code == 303 and ws.runs.get(run).state == "approved" and gate.audit_workspace(ws).sound
    again = owner.post(f"/runs/{run}/decide", {"csrf": owner.csrf(), "choice": "rejected"})
    assert again.status_code == 409 and "decided already" in again.text
    assert PASSPHRASE not in owner.get(f"/runs/{run}").text


@pytest.mark.parametrize("choice", ["", "yes", "APPROVED", "published", "approved; rejected"])
def test_an_unknown_choice_is_no_decision(owner: Browser, ws: Workspace, choice: str) -> None:
    run = plant(ws, pressed=False)
    answer = owner.post(f"/runs/{run}/decide", {"csrf": owner.csrf(), "choice": choice, "passphrase": PASSPHRASE})
    assert answer.status_code == 409 and ws.runs.get(run).state == "waiting_for_owner"


def test_a_flag_shows_in_queue_review_and_sources(owner: Browser, ws: Workspace) -> None:
    run = plant(ws, pressed=False)
    assert "source changed" not in owner.get("/").text
    gate.flag_sources(ws, {"file:planted": ["retracted"]})
    assert "source changed" in owner.get("/").text and "file:planted is retracted" in owner.get(f"/runs/{run}").text
    assert "retracted" in owner.get(f"/runs/{run}/sources").text


def test_a_run_with_broken_records_says_so_and_the_rest_still_works(owner: Browser, ws: Workspace) -> None:
    good, bad = plant(ws, run_id="r-good", pressed=False), plant(ws, run_id="r-bad", title="Broken one", finding="Another.", pressed=False)
    digest = ws.runs.steps(bad)["tribunal-0"]
    import sqlalchemy as sa

    with ws.database.write() as tx:
        tx.execute(sa.text("UPDATE blobs SET body = :b WHERE digest = :d"), {"b": b"{}", "d": digest})
    page = owner.get("/")
    assert page.status_code == 200 and "records broken" in page.text
    assert owner.get(f"/runs/{bad}").status_code == 409 and owner.get(f"/runs/{good}").status_code == 200


def test_the_agenda_is_shown_with_its_runs(owner: Browser, ws: Workspace) -> None:
    from sovereign.store.agenda import Agenda, Wanted

    assert "Nothing is on the agenda" in owner.get("/agenda").text
    Agenda(ws.database, ws.ledger, ws.clock).add(Wanted("Does <b>this</b> question wait?", tags=("group",)))
    assert "Does &lt;b&gt;this&lt;/b&gt; question wait?" in owner.get("/agenda").text


def test_the_api_keeps_to_its_own_description(settings: Settings, ws: Workspace, owner: Browser) -> None:
    """schemathesis over the console's OpenAPI: no server error, no undocumented status, every body in its shape."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given
    from hypothesis import settings as how

    plant(ws, pressed=False)
    gate.decide(ws, "r-planted", Choice.REJECTED, passphrase=None, owner="Ada Owner")
    described = owner.get("/openapi.json").json()
    assert set(described["paths"]) == {"/api/runs", "/api/runs/{run_id}", "/api/runs/{run_id}/progress"}
    schema = schemathesis.openapi.from_dict(described)
    for operation in schema.get_all_operations():
        found = operation.ok()

        @given(case=found.as_strategy())
        @how(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def probe(case: Any) -> None:
            answer = owner.get(case.formatted_path)
            assert answer.status_code < 500, case.formatted_path

        probe()
