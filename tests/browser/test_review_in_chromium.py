"""A person reviews, approves and publishes in a real browser; the site is then read and verified without any server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import Person, Served, serve
from tests.owner_support import PASSPHRASE, plant

from sovereign import gate, wiring
from sovereign.settings import load

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
TABS = ("", "/claims", "/contradictions", "/tribunal", "/trials", "/sources", "/ledger", "/sentences/s1")


def violations(page: Any) -> list[str]:
    """axe-core over the whole page; evaluated by the debugger, which the page's own policy does not bind."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']} ({v['impact']}): {n['html'][:120]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"]
    ]


def sovereign(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from sovereign.cli import main; main()", *words], capture_output=True, text=True, timeout=120, check=False
    )


def _until(page: Any, condition: str) -> None:
    """Asks again and again from outside: the page's own policy forbids the polling that wait_for_function injects."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {condition}")


def test_a_draft_is_reviewed_approved_published_and_verified_offline(person: Person, served: Served, chromium: Any, tmp_path: Path) -> None:
    page = person.page
    page.click("a.title")
    page.wait_for_selector(".before")
    assert page.locator(".reasons li").count() >= 1
    opened = []
    for sentence in page.locator("a.sentence.claim").all()[:3]:
        sentence.click()
        page.locator("#evidence", has_text=sentence.get_attribute("id")).locator(".eyebrow + .said").wait_for()
        quote = page.locator("#evidence mark").first.inner_text()
        link = page.locator("#evidence .where a").first.get_attribute("href")
        opened.append((quote, link))
    assert len(opened) == 3 and all(q.strip() for q, _ in opened)
    for quote, link in opened:
        page.goto(served.url + link)
        assert page.locator("#span").inner_text().strip() == quote.strip()
    for tab in ("", "/trials"):
        person.run(tab)
        page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
        _until(page, "[...document.images].every(i => i.complete)")
        assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)"), f"a figure of {tab or 'the draft'} is not shown"
    person.run()
    page.fill("#note", "Read on a Sunday.")
    page.fill("#passphrase", "not the passphrase")
    page.click("text=Approve and sign")
    assert "Check the passphrase" in page.locator("#problem").inner_text() and page.input_value("#note") == "Read on a Sunday."
    page.fill("#passphrase", PASSPHRASE)
    page.click("text=Approve and sign")
    page.wait_for_selector("#decided")
    assert "Read on a Sunday." in page.locator("#decided").inner_text() and page.locator("#decide").count() == 0
    assert {u.split("/")[2] for u in person.requests if u.startswith("http")} == {served.url.split("/")[2]} and not [
        m for m in person.said if "409" not in m
    ]

    site = tmp_path / "site"
    published = sovereign("publish", served.run_id, "--site", str(site), "--workspace", str(served.home))
    assert published.returncode == 0, published.stderr
    shutil.rmtree(served.home / "blobs")
    assert sovereign("audit", "verify", str(site)).returncode == 0
    read_from_disk(chromium, site, served.run_id)


def read_from_disk(browser: Any, site: Path, run_id: str) -> None:
    """The site opened as files: search works, every link leads somewhere, nothing is asked of a network."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.goto((site / "index.html").as_uri())
    page.fill("#q", "smoes mmmu")
    assert page.locator("#records > li:visible").count() == 1 and "1 of 1" in page.locator("#found").inner_text()
    page.fill("#q", "nothing like this")
    assert page.locator("#records > li:visible").count() == 0
    for name in ("index.html", "benchmarks.html", "graph.html", "about.html", f"records/{run_id}/index.html"):
        page.goto((site / name).as_uri())
        assert not violations(page), name
        for href in page.eval_on_selector_all(
            "a[href], link[href], script[src], img[src]",
            "all => all.map(e => (e.href && e.href.baseVal !== undefined ? new URL(e.href.baseVal, location).href : e.href) || e.src)",
        ):
            if href.startswith("file:"):
                target, _, fragment = href.partition("#")
                path = Path(target.removeprefix("file://"))
                assert path.is_file(), f"{name} links to {path}"
                if fragment and path == site / name:
                    assert page.locator(f'[id="{fragment}"]').count() == 1, f"{name}#{fragment}"
    assert not wrong and all(u.startswith(("file:", "data:")) for u in asked)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(chromium: Any, served: Served, scheme: str) -> None:
    with wiring.workspace(load(served.home, offline=True)) as ws:
        plant(ws, run_id="r-degraded", title="A degraded draft", not_run="literature searched", contested=True, pressed=False)
        gate.flag_sources(ws, {"file:planted": ["retracted"]})
    phone = {"color_scheme": scheme, "viewport": {"width": 390, "height": 844}, "has_touch": True}
    for context in ({"color_scheme": scheme}, phone) if scheme == "light" else ({"color_scheme": scheme},):  # colours do not change widths
        someone = Person(chromium, served, **context)
        assert not violations(someone.page)
        someone.page.goto(f"{served.url}/agenda")
        assert not violations(someone.page)
        for run in (served.run_id, "r-degraded"):
            for tab in TABS if run == served.run_id else ("", "/contradictions", "/sources"):
                someone.page.goto(f"{served.url}/runs/{run}{tab}")
                assert not violations(someone.page), (run, tab, context)
                wide = someone.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, f"{tab} is {wide} px wider than the screen"
        someone.run()
        someone.page.click("a.sentence.claim")
        someone.page.wait_for_selector("#evidence .passage")
        assert not violations(someone.page)
        someone.context.close()


def test_the_keyboard_is_enough(person: Person) -> None:
    person.run()
    page = person.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    third = page.evaluate("document.activeElement.id")
    assert page.locator("a.sentence").nth(1).get_attribute("id") == third
    page.keyboard.press("Enter")
    page.wait_for_selector("#evidence .said")
    assert third in page.locator("#evidence").inner_text()
    page.keyboard.press("d")
    assert page.evaluate("document.activeElement.id") == "note"
    page.keyboard.type("jkd")  # letters in a field are letters
    assert page.input_value("#note") == "jkd"


def test_payloads_run_nowhere(chromium: Any, served: Served) -> None:
    payload = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
    with wiring.workspace(load(served.home, offline=True)) as ws:
        plant(
            ws,
            run_id="r-evil",
            title=f"T {payload}",
            question=f"Q {payload}",
            paper_title=f"P {payload}",
            text="C {n} " + payload,
            finding=payload,
            contested=True,
        )
    someone = Person(chromium, served)
    someone.served = Served(served.url, served.token, served.home, "r-evil")
    for tab in TABS:
        someone.run(tab)
        assert someone.page.evaluate("window.pwned") is None, tab
    someone.run()
    someone.page.click("a.sentence.claim")
    someone.page.wait_for_selector("#evidence .passage")
    someone.page.fill("#note", f"</textarea>{payload}")
    someone.page.click("text=Reject")
    someone.page.wait_for_selector("#decided")
    assert someone.page.evaluate("window.pwned") is None and payload in someone.page.locator("#decided").inner_text()
    someone.page.goto(f"{served.url}/runs/r-evil/files/draft.html")
    assert someone.page.evaluate("window.pwned") is None
    someone.context.close()


def test_two_owners_at_once_one_wins_and_the_other_is_told(chromium: Any, served: Served) -> None:
    first, second = Person(chromium, served), Person(chromium, served)
    for one in (first, second):
        one.run()
    first.page.click("text=Reject")
    first.page.wait_for_selector("#decided")
    second.page.fill("#passphrase", PASSPHRASE)
    second.page.click("text=Approve and sign")
    told = second.page.locator("#problem").inner_text()
    assert "decided already: rejected" in told and "not recorded" in told
    for one in (first, second):
        one.context.close()


def test_sending_back_starts_a_run_whose_progress_is_shown(person: Person) -> None:
    person.run()
    person.page.fill("#note", "Please look at batch size 16.")
    person.page.click("text=Send back")
    person.page.wait_for_url("**/runs/*-2")
    person.page.wait_for_selector(".stations, .before", timeout=60_000)
    person.page.wait_for_selector(".before", timeout=90_000)  # the page renews itself when the draft is there
    assert (
        "batch size 16" in person.page.locator("#decided").inner_text()
        and "This run revises" in person.page.locator("#decided").inner_text()
    )


def test_a_stranger_sees_the_login_only(chromium: Any, served: Served) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{served.url}/runs/{served.run_id}")
    assert page.url == f"{served.url}/login" and "SMoES" not in page.content() and not violations(page)
    page.fill("#token", "guess")
    page.click("text=Open the console")
    assert "not the token" in page.locator("[role=alert]").inner_text()
    context.close()


def test_a_restart_ends_every_session(asked: tuple[Path, str], chromium: Any, tmp_path: Path) -> None:
    home = tmp_path / "ws"
    shutil.copytree(asked[0], home)
    first = serve(home, asked[1])
    someone = Person(chromium, next(first))
    first.close()
    second = serve(home, asked[1])
    again = next(second)
    someone.page.goto(f"{again.url}/")
    assert someone.page.url == f"{again.url}/login"
    someone.context.close()
    second.close()
