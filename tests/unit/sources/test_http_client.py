"""The way out: each test names the fault it guards against. Served by a local server or from memory; no test waits for real."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import traceback
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest
from faultserver import LITERATURE, FaultServer, arxiv_feed
from source_fakes import FakeTime, answering, ask, settings_for

from sovereign import sources
from sovereign.errors import SourceFailed, UnknownName
from sovereign.records import Empty, Failed, Found, Query
from sovereign.sources._body import is_private, shown

SECRET = "s3cr3t-KEY-0815"


class Script:
    """Faults in order, then none; `last` repeats for ever when `endless`."""

    def __init__(self, *faults: str | None, endless: bool = False):
        self.faults = list(faults)
        self.endless = endless
        self.calls = 0

    def __call__(self, path: str) -> str | None:
        self.calls += 1
        if self.endless:
            return self.faults[min(self.calls, len(self.faults)) - 1]
        return self.faults[self.calls - 1] if self.calls <= len(self.faults) else None


def built(server: FaultServer, home: Path, time: FakeTime, *names: str, **overrides: Any) -> list[Any]:
    settings = settings_for(home, server.url, **overrides)
    return list(sources.build(names, settings, state_dir=home / "state", clock=time.clock, sleep=time.sleep))


def test_a_429_without_retry_after_is_asked_again_after_a_jittered_pause(tmp_path: Path) -> None:
    time = FakeTime()
    with FaultServer(faults=Script("429", "429")) as server:
        outcome = ask(built(server, tmp_path, time, "openalex")[0])
    assert isinstance(outcome, Found)
    first, second = sorted(time.slept, reverse=True)[:2][::-1]
    assert 0.5 <= first <= 1.5 <= 2 * second and 1.0 <= second <= 3.0, time.slept


def test_retry_after_is_honoured_and_told_to_the_other_processes(tmp_path: Path) -> None:
    time = FakeTime()
    with FaultServer(faults=Script("429-after")) as server:
        start = time.now
        outcome = ask(built(server, tmp_path, time, "openalex")[0])
        assert isinstance(outcome, Found) and time.now - start >= 7.0
        rows = sources.state(settings_for(tmp_path, server.url), tmp_path / "state", now=start + 1)
    assert next(r for r in rows if r["name"] == "openalex")["blocked_until"] is not None


def test_a_refusal_that_lasts_is_failed_in_the_words_of_the_draft_and_asked_once_per_run(tmp_path: Path) -> None:
    """Guards: an outage read as absence, and four queries each spending minutes on a service that is down."""
    script = Script("429", endless=True)
    with FaultServer(faults=script) as server:
        source = built(server, tmp_path, FakeTime(), "semantic_scholar")[0]
        first = ask(source)
        calls = script.calls
        second = ask(source, "another question")
    assert first == Failed("Semantic Scholar did not answer (429)", "rate_limited", None)
    assert calls <= 3 and script.calls == calls and second == first


def test_a_retry_after_beyond_patience_fails_at_once_and_says_when(tmp_path: Path) -> None:
    time = FakeTime()
    with FaultServer(faults=Script("429-after", endless=True)) as server:
        outcome = ask(built(server, tmp_path, time, "semantic_scholar", search_deadline_s=5.0)[0])
        assert outcome == Failed("Semantic Scholar did not answer (429)", "rate_limited", 7.0)
        assert time.slept == [] and len(server.seen) == 1
        # A second process of the same workspace keeps the pause without asking.
        other = ask(built(server, tmp_path, time, "semantic_scholar", search_deadline_s=5.0)[0])
        assert isinstance(other, Failed) and other.failure == "rate_limited" and "pause" in other.reason and len(server.seen) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("500", "server_error"),
        ("503", "server_error"),
        ("slow", "timeout"),
        ("cut", "unreachable"),
        ("truncated", "bad_body"),
        ("html", "bad_body"),
        ("not-xml-nor-json", "bad_body"),
        ("drift", "bad_body"),
        ("redirect-private", "refused"),
        ("giant", "bad_body"),
    ],
)
@pytest.mark.parametrize("name", sources.NAMES)
def test_every_fault_has_its_kind_at_every_source(tmp_path: Path, name: str, fault: str, kind: str) -> None:
    with FaultServer(faults=Script(fault, endless=True), slow_s=0.5) as server:
        limit_s = 0.25 if fault == "slow" else 20.0  # a busy machine is no slow service
        outcome = ask(built(server, tmp_path, FakeTime(), name, http_timeout_s=limit_s)[0])
    assert isinstance(outcome, Failed) and outcome.failure == kind, outcome
    assert "127.0.0.1" not in outcome.reason and "\n" not in outcome.reason and not outcome.reason.endswith(".")


def test_what_retrying_cannot_help_is_not_retried(tmp_path: Path) -> None:
    for fault in ("redirect-private", "giant"):
        script = Script(fault, endless=True)
        with FaultServer(faults=script) as server:
            ask(built(server, tmp_path / fault, FakeTime(), "openalex")[0])
        assert script.calls == 1, fault


def test_nobody_listening_is_unreachable_and_named(tmp_path: Path) -> None:
    with FaultServer() as server:
        url = server.url  # closed again: the port answers nobody
    settings = settings_for(tmp_path, url)
    time = FakeTime()
    source = sources.build(["arxiv"], settings, state_dir=tmp_path / "state", clock=time.clock, sleep=time.sleep)[0]
    assert ask(source) == Failed("arXiv cannot be reached", "unreachable", None)


@pytest.mark.parametrize("name", ["arxiv", "semantic_scholar", "openalex"])
def test_who_waits_for_a_service_that_cannot_be_reached_waits_no_longer(tmp_path: Path, name: str) -> None:
    """Guards: four queries to an unreachable arXiv, three seconds apart. Pauses for a turn never end here; only giving up ends them."""
    with FaultServer() as server:
        settings = settings_for(tmp_path, server.url, arxiv_interval_s=3.0)

    async def sleep(seconds: float) -> None:
        if seconds > 1.5:  # longer than the pause before a second try: a turn
            await asyncio.Event().wait()

    (source,) = sources.build([name], settings, state_dir=tmp_path / "state", sleep=sleep)

    async def several() -> list[Any]:
        return list(await asyncio.gather(*(source.search(Query("test", f"query {n}"), 5) for n in range(4))))

    outcomes = asyncio.run(several())
    label = {"arxiv": "arXiv", "semantic_scholar": "Semantic Scholar", "openalex": "OpenAlex"}[name]
    assert outcomes == [Failed(f"{label} cannot be reached", "unreachable", None)] * 4


def test_a_host_that_opens_no_connection_is_tried_once(tmp_path: Path) -> None:
    tries: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        tries.append(request.url.path)
        assert request.extensions["timeout"]["connect"] == 5.0 < request.extensions["timeout"]["read"] == 20.0
        raise httpx.ConnectTimeout("nobody there")

    time = FakeTime()
    (source,) = sources.build(
        ["openalex"], settings_for(tmp_path), transport=answering(respond), state_dir=tmp_path, clock=time.clock, sleep=time.sleep
    )
    assert ask(source) == Failed("OpenAlex cannot be reached", "unreachable", None) == ask(source, "another") and len(tries) == 1


def test_a_refused_connection_is_tried_once_more_without_a_new_turn(tmp_path: Path) -> None:
    tries: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        tries.append(request.url.path)
        if len(tries) == 1:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, content=arxiv_feed(list(LITERATURE[:1]), 1))

    time = FakeTime()
    (source,) = sources.build(
        ["arxiv"], settings_for(tmp_path), transport=answering(respond), state_dir=tmp_path, clock=time.clock, sleep=time.sleep
    )
    assert isinstance(ask(source), Found) and len(tries) == 2 and sum(time.slept) < 3.0


def test_offline_opens_no_connection(tmp_path: Path) -> None:
    with FaultServer() as server:
        for source in built(server, tmp_path, FakeTime(), *sources.NAMES, offline=True):
            assert ask(source) == Failed("offline", "refused", None)
        assert server.seen == []


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="'scholar'") as caught:
        sources.build(["arxiv", "scholar"], settings_for(tmp_path), state_dir=tmp_path)
    assert all(name in caught.value.line() for name in sources.NAMES)


# --- redirects, private addresses, sizes ---


def moving(target: str) -> httpx.MockTransport:
    def respond(request: httpx.Request) -> httpx.Response:
        if "moved" in request.url.path or request.url.host != "api.openalex.org":
            return httpx.Response(200, json={"meta": {"count": 0}, "results": []})
        return httpx.Response(301, headers={"location": target})

    return answering(respond)


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("https://api.openalex.org/moved", True),
        ("/moved", True),
        ("https://evil.example/works", False),
        ("http://api.openalex.org/moved", False),  # no way down from https
        ("https://10.0.0.1/moved", False),
        ("https://[::1]/moved", False),
        ("file:///etc/passwd", False),
        ("https://api.openalex.org@evil.example/moved", False),
    ],
)
def test_redirects_are_followed_only_to_the_service_itself(tmp_path: Path, target: str, allowed: bool) -> None:
    time = FakeTime()
    source = sources.build(
        ["openalex"], settings_for(tmp_path), transport=moving(target), state_dir=tmp_path, clock=time.clock, sleep=time.sleep
    )[0]
    outcome = ask(source)
    assert isinstance(outcome, Empty) if allowed else isinstance(outcome, Failed) and outcome.failure == "refused", outcome


def test_a_circle_of_redirects_ends(tmp_path: Path) -> None:
    transport = answering(lambda r: httpx.Response(302, headers={"location": "/works?again"}))
    source = sources.build(["openalex"], settings_for(tmp_path), transport=transport, state_dir=tmp_path)[0]
    outcome = ask(source)
    assert isinstance(outcome, Failed) and "circle" in outcome.reason


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True), ("10.1.2.3", True), ("172.16.0.1", True), ("192.168.1.1", True), ("169.254.169.254", True), ("0.0.0.0", True),
        ("::1", True), ("fe80::1", True), ("fe80::1%eth0", True), ("fc00::1", True), ("::ffff:10.0.0.1", True), ("100.64.0.1", True),
        ("224.0.0.1", True), ("2002:0a00:0001::", True), ("8.8.8.8", False), ("2606:4700:4700::1111", False), ("arxiv.org", False),
    ],
)  # fmt: skip
def test_private_addresses_are_known(address: str, private: bool) -> None:
    assert is_private(address) is private


class Bomb(httpx.AsyncByteStream):
    """256 MiB of blanks in 256 KiB of gzip, in one piece."""

    def __init__(self) -> None:
        stream = io.BytesIO()
        with gzip.GzipFile(fileobj=stream, mode="wb") as out:
            for _ in range(64):
                out.write(b" " * 2**22)
        self.packed = stream.getvalue()

    async def __aiter__(self) -> Any:
        yield self.packed


def test_a_decompression_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    """The memory matters, not only the outcome: a bomb must not be unpacked first and measured then."""
    bomb = Bomb()

    class Bombing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=bomb)

    source = sources.build(["openalex"], settings_for(tmp_path), transport=Bombing(), state_dir=tmp_path)[0]
    tracemalloc.start()
    try:
        outcome = ask(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, Failed) and outcome.failure == "bad_body" and "too large" in outcome.reason
    assert peak < 80 * 2**20, f"{peak >> 20} MiB held for a limit of 16"


# --- keys ---


def test_keys_reach_their_service_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Guards: httpx logs whole addresses at INFO; exceptions, reprs, blobs, cache files and the budget must not hold a key either."""
    caplog.set_level(logging.DEBUG)
    kept: list[str] = []
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(500 if len(seen) < 4 else 200, json={"meta": {"count": 0}, "results": [], "total": 0, "data": []})

    time = FakeTime()
    settings = settings_for(tmp_path, openalex_key=SECRET, semantic_scholar_key=SECRET, contact_email="owner@example.org")
    for name in ("openalex", "semantic_scholar"):
        everything = sources.services(
            settings,
            transport=answering(respond),
            state_dir=tmp_path / "state",
            keep=lambda url, body: kept.append(url),
            clock=time.clock,
            sleep=time.sleep,
        )
        seen.clear()
        source: Any = everything.source(name)
        assert isinstance(ask(source), Failed)
        with pytest.raises(SourceFailed) as caught:
            asyncio.run(source.http.get(source.service, source.service.base + "/x", lambda a: a, statuses=(299,)))
        text = repr(caught.value) + "".join(traceback.format_exception(caught.value)) + repr(source) + repr(source.service) + repr(settings)
        assert SECRET not in text + caplog.text + repr(kept) + repr(sources.state(settings, tmp_path / "state"))
        sent = [SECRET in str(r.url) or SECRET in r.headers.get("x-api-key", "") for r in seen]
        assert sent and all(sent), "the key must reach its own service"
    assert "HTTP Request" in caplog.text, "the log that would leak must have been written"
    for path in (tmp_path / "state").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_a_key_does_not_follow_a_redirect_to_another_host(tmp_path: Path) -> None:
    """An open redirect at a mirror must not hand the key to the next host, allowed or not."""
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "mirror.example":
            return httpx.Response(302, headers={"location": "https://api.openalex.org/works"})
        return httpx.Response(200, json={"meta": {"count": 0}, "results": []})

    settings = settings_for(tmp_path, openalex_base="https://mirror.example", openalex_key=SECRET)
    assert isinstance(ask(sources.build(["openalex"], settings, transport=answering(respond), state_dir=tmp_path)[0]), Empty)
    assert [r.url.host for r in seen] == ["mirror.example", "api.openalex.org"]
    assert SECRET in str(seen[0].url) and SECRET not in str(seen[1].url)


def test_shown_drops_what_nobody_may_read() -> None:
    assert shown("https://u:p@host/works?search=a+b&api_key=x&mailto=me&token=z#f") == "https://host/works?search=a+b"


# --- cache ---


def counting(headers: dict[str, str], *, status: int = 200) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.headers.get("if-none-match") == '"v1"':
            return httpx.Response(304, headers=headers)
        return httpx.Response(
            status, headers=headers, json={"meta": {"count": 1}, "results": [{"id": "https://openalex.org/W77", "title": "A"}]}
        )

    return answering(respond), seen


def test_fresh_answers_are_not_asked_for_again_and_stale_ones_are_revalidated(tmp_path: Path) -> None:
    transport, seen = counting({"cache-control": "max-age=60", "etag": '"v1"'})
    time = FakeTime()
    kept: list[bytes] = []

    def fresh_run() -> Any:
        return sources.build(
            ["openalex"],
            settings_for(tmp_path),
            transport=transport,
            state_dir=tmp_path,
            keep=lambda u, b: kept.append(b),
            clock=time.clock,
            sleep=time.sleep,
        )[0]

    first = ask(fresh_run())
    assert ask(fresh_run()) == first and len(seen) == 1, "a second run within a minute must not ask"
    time.now += 61
    assert ask(fresh_run()) == first and len(seen) == 2 and seen[1].headers["if-none-match"] == '"v1"'
    time.now += 30
    assert ask(fresh_run()) == first and len(seen) == 2, "a 304 renews the lifetime"
    assert len(kept) == 4 and len(set(kept)) == 1, "every run gets the raw body for its record, cached or not"


def test_no_store_and_failures_are_not_cached(tmp_path: Path) -> None:
    for headers, status in (({"cache-control": "no-store"}, 200), ({"cache-control": "max-age=60"}, 500)):
        transport, seen = counting(headers, status=status)
        time = FakeTime()
        home = tmp_path / str(status)
        for _ in range(2):
            ask(sources.build(["openalex"], settings_for(home), transport=transport, state_dir=home, clock=time.clock, sleep=time.sleep)[0])
            time.now += 1
        assert len(seen) >= 2


def test_a_damaged_cache_entry_is_no_entry(tmp_path: Path) -> None:
    transport, seen = counting({"cache-control": "max-age=6000"})
    source = sources.build(["openalex"], settings_for(tmp_path), transport=transport, state_dir=tmp_path)[0]
    first = ask(source)
    for path in (tmp_path / "http_cache").rglob("*.body"):
        path.write_bytes(b'{"results": []}')
    assert ask(source) == first and len(seen) == 2


# --- allowance ---


def test_openalex_allowance_is_read_from_the_headers_and_kept(tmp_path: Path) -> None:
    """Guards: a day's allowance used up in a loop of 429s (300 s hang, reported for other tools)."""
    time = FakeTime()
    said = {"openalex": {"x-ratelimit-limit": "1000", "x-ratelimit-remaining": "5", "x-ratelimit-reset": "3600"}}
    with FaultServer(extra_headers=said) as server:
        assert isinstance(ask(built(server, tmp_path, time, "openalex")[0]), Found)
        outcome = ask(built(server, tmp_path, time, "openalex")[0], "something else")
        assert isinstance(outcome, Failed) and outcome.failure == "budget_spent" and outcome.retry_after_s == pytest.approx(3600, abs=2)
        assert len(server.seen) == 1, "the second search must not be sent"
        row = next(
            r for r in sources.state(settings_for(tmp_path, server.url), tmp_path / "state", now=time.now) if r["name"] == "openalex"
        )
        assert row["allowance_left"] == 5 and row["allowance"] == 1000 and "SOVEREIGN_OPENALEX_KEY" in row["mend"]
        time.now += 3601
        assert isinstance(ask(built(server, tmp_path, time, "openalex")[0], "something else"), Found), "tomorrow it works again"


def test_a_429_over_a_spent_allowance_is_not_retried(tmp_path: Path) -> None:
    script = Script("429", endless=True)
    with FaultServer(faults=script, extra_headers={"openalex": {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "100"}}) as server:
        outcome = ask(built(server, tmp_path, FakeTime(), "openalex")[0])
    assert isinstance(outcome, Failed) and outcome.failure == "budget_spent" and outcome.retry_after_s == 100 and script.calls == 1


def test_state_knows_nothing_before_anything_was_asked(tmp_path: Path) -> None:
    rows = sources.state(settings_for(tmp_path), tmp_path / "state")
    assert [r["name"] for r in rows] == list(sources.NAMES) and not (tmp_path / "state").exists()
    for row in rows:
        assert row["reachable"] is None and row["allowance_left"] is None and row["last_failure"] is None and row["key"] is False


def test_probe_says_who_can_be_reached(tmp_path: Path) -> None:
    time = FakeTime()
    with FaultServer(faults=lambda path: "503" if path.startswith("/s2") else None) as server:
        settings = settings_for(tmp_path, server.url)
        rows = asyncio.run(sources.probe(settings, tmp_path / "state", clock=time.clock, sleep=time.sleep))
    assert {r["name"] for r in rows if r["reachable"]} == {"arxiv", "openalex", "crossref", "datacite"}
    failed = next(r for r in rows if r["name"] == "semantic_scholar")
    assert failed["last_failure"]["reason"] == "Semantic Scholar did not answer (503)." and failed["mend"]


def test_a_name_that_resolves_into_a_private_network_leads_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """One private address among public ones is enough; a name that does not resolve leads nowhere."""
    import socket

    from sovereign.sources._body import leads_inside

    def resolve(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host == "gone.example":
            raise socket.gaierror("no such name")
        found = {"inside.example": ["8.8.8.8", "10.0.0.7"], "outside.example": ["8.8.8.8"]}[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    led = {h: asyncio.run(leads_inside(h, 443)) for h in ("inside.example", "outside.example", "gone.example", "localhost", "127.1.2.3")}
    assert led == {"inside.example": True, "outside.example": False, "gone.example": False, "localhost": True, "127.1.2.3": True}
