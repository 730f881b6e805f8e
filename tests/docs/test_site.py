"""The built site: complete, strict, and alone. Needs the docs extra; the pictures need a Chromium."""

from __future__ import annotations

import functools
import http.server
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from tests.browser.conftest import ARGS, chromium_path
from tests.docs.reading import ROOT

LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)[^>]*?\ssrc="(?P<src>[^"]+)|<link(?![^>]*rel="canonical")[^>]*?\shref="(?P<href>[^"]+)"""
)

AXE = (ROOT / "tests" / "browser" / "vendor" / "axe.min.js").read_text(encoding="utf-8")
# Tables that stand out of a box that does not scroll.
CUT_OFF = """[...document.querySelectorAll('article table')].map(t => [t, t.closest('.md-typeset__scrollwrap')]).filter(([t, box]) =>
  t.scrollWidth > t.clientWidth + 1 || (box && box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== 'auto')).length"""


def build(target: Path, *more: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(target), *more]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="the docs extra is not installed")
    target = tmp_path_factory.mktemp("site")
    done = build(target)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr, done.stderr[-3000:]
    return target


@pytest.mark.parametrize(
    ("where", "wrong"),
    [("docs/path.md", "[gone](gone.md)"), ("docs/path.md", "[gone](verification.md#gone)"), ("docs/nowhere.md", "# Not in the nav")],
)
def test_a_broken_link_an_anchor_and_a_page_outside_the_nav_stop_the_build(where: str, wrong: str, tmp_path: Path) -> None:
    """--quiet, or a validation option that says info, would let all three pass."""
    pytest.importorskip("material", reason="the docs extra is not installed")
    copy = tmp_path / "copy"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if name.startswith(("docs/", "scripts/site/", "src/sovereign/", "README", "mkdocs", "C", "benchmarks/questions/R", "examples/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    with (copy / where).open("a", encoding="utf-8") as page:
        page.write(f"\n{wrong}\n")
    done = build(tmp_path / "out", cwd=copy)
    assert done.returncode == 1 and done.stderr.count("WARNING") == 1, done.stderr[-2000:]


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    """Privacy: a reader's browser asks nobody but the host that serves these files."""
    for page in site.rglob("*.html"):
        for m in LOADED.finditer(page.read_text(encoding="utf-8")):
            address = m["src"] or m["href"]
            assert not urlsplit(address).netloc, f"{page.name}: {address}"
    for file in (*site.rglob("*.css"), *site.rglob("*.js")):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"unpkg\.com|googleapis|gstatic|jsdelivr|cdnjs", text), file.name
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", text), file.name


def test_every_link_and_picture_leads_to_a_file_and_its_anchor(site: Path) -> None:
    """The build sees Markdown's links only; this sees what a browser sees."""
    ids: dict[Path, set[str]] = {}
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        ids[page] = set(re.findall(r'\bid="?([^"\s>]+)', text))
    for page in ids:
        if page.name == "404.html":
            continue  # its addresses are absolute: it is served for any path
        for address in re.findall(r'(?:href|src)="([^"]+)"', page.read_text(encoding="utf-8")):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{page.name}: {address}"
            if parts.fragment and target.suffix == ".html" and parts.fragment != "__skip":
                assert unquote(parts.fragment) in ids[target], f"{page.name}: {address}"


def test_the_first_screen_says_what_it_is_and_shows_it(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    hero = page.partition('class="hero"')[2].partition('class="ways"')[0]
    assert "owner-gated research kernel" in hero and "images/evidence-light.png" in hero
    assert "<!-- readme" not in page and "docs/images" not in page


def test_front_page_and_reference_in_a_browser(site: Path) -> None:
    """Asked over a real connection by a real browser: no foreign request, no error, no sideways scrolling on a phone, no table cut off, nothing that
    keeps a reader with a screen reader or a keyboard out, and a search that finds."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    with served(site) as base, sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=list(ARGS))
        for width, scheme in ((1360, "light"), (390, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
            asked: list[str] = []
            said: list[str] = []
            page.on("request", lambda r, asked=asked: asked.append(r.url))
            page.on("console", lambda m, said=said: said.append(m.text))
            page.on("pageerror", lambda e, said=said: said.append(str(e)))
            for name in ("index.html", "tutorial.html", "reference/cli.html", "reference/settings.html", "mutations.html"):
                page.goto(urljoin(base, name))
                page.wait_for_load_state("networkidle")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
                assert page.evaluate(CUT_OFF) == 0, (name, width)
                page.evaluate(AXE)
                found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
                grave = [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found if v["impact"] in ("serious", "critical")]
                assert grave == [], (name, width, scheme)
            assert said == []
            assert [u for u in asked if not u.startswith((base, "data:"))] == []
            if width > 1000:
                page.goto(urljoin(base, "index.html"))
                picture = page.locator(".hero img:visible")
                box = picture.bounding_box()
                assert box is not None and box["y"] + box["height"] < 850, "the picture stands in the first screen"
                page.fill("input[name=query]", "waiver")
                page.wait_for_selector(".md-search-result__item:visible")
            page.close()
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        logging.getLogger(__name__).debug(format, *args)


class served:
    """The folder on a free port of this machine, until the block ends."""

    def __init__(self, folder: Path) -> None:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
