"""The archive: valid schemas, escaped texts, citations that parse, links that lead somewhere, contested values, and a deposit that stays a draft."""

# ruff: noqa: E501  (tables of cases stay in one line)

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.owner_support import PASSPHRASE, plant

from sovereign import gate, seal, wiring
from sovereign.archive import Record, rebuild, write
from sovereign.archive.citations import csl, ris
from sovereign.archive.crate import crate
from sovereign.archive.graph import graph
from sovereign.archive.site import benchmark_groups
from sovereign.archive.zenodo import deposit
from sovereign.errors import IntegrityBroken, NotFound, OutsideFailed, SettingsInvalid
from sovereign.kernel.review import Choice
from sovereign.records import Paper, PaperKind
from sovereign.settings import Settings, load
from sovereign.store.workspace import Workspace

EVIL = '<script>alert(1)</script>" onload="x" </title> {{7*7}} \r\nTY  - BOOK'


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with wiring.workspace(load(tmp_path / "ws", offline=True)) as held:
        gate.create_key(held, PASSPHRASE, owner="Ada Owner")
        yield held


def published(ws: Workspace, site: Path, **texts: Any) -> Path:
    run = plant(ws, **texts)
    gate.decide(
        ws, run, Choice.APPROVED, passphrase=PASSPHRASE, owner="Ada Owner", waive=f"{texts.get('not_run', '')} waived for the test."
    )
    return Path(gate.publish(ws, run, site)["folder"])


class Page(HTMLParser):
    """Every tag, attribute, link target and id of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def test_every_json_of_a_record_satisfies_the_schema_published_beside_it(ws: Workspace, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    site = tmp_path / "site"
    folder = published(ws, site, contested=True, not_run="literature searched")
    gate.correct(ws, folder.name, type="CLAIM", note="For batch size 8 only.", claim="c-0", owner="Ada Owner")
    gate.publish(ws, folder.name, site)
    pairs = [("record-1", "manifest.json"), ("claims-1", "claims.json"), ("corrections-1", "corrections.json"), ("bundle-1", "bundle.json")]
    pairs += [("signature-1", f"signatures/{p.name}") for p in (folder / "signatures").iterdir()]
    assert len(pairs) == 5
    for schema, name in pairs:
        rules = json.loads((site / "schemas" / f"{schema}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(rules)
        body = json.loads((folder / name).read_text())
        jsonschema.Draft202012Validator(rules).validate(body)
        for key in body:  # a schema that accepts anything guards nothing
            short = {k: v for k, v in body.items() if k != key}
            assert list(jsonschema.Draft202012Validator(rules).iter_errors(short)), f"{schema} does not ask for {key}"


def test_no_text_of_a_record_becomes_markup(ws: Workspace, tmp_path: Path) -> None:
    site = tmp_path / "site"
    text = "Claim {n} " + EVIL.replace("{", "{{").replace("}", "}}").replace("\r\n", " ")
    folder = published(ws, site, title=EVIL, question=EVIL, text=text, paper_title=EVIL, finding=EVIL, not_run=EVIL)
    gate.correct(ws, folder.name, type="METADATA", note=EVIL.replace("\r\n", " "), owner=EVIL)
    gate.publish(ws, folder.name, site)
    for path in site.rglob("*.html"):
        if path.name == "draft.html":
            continue
        page = Page(path.read_text())
        assert page.tags.count("script") == (2 if path.name == "index.html" and path.parent == site else 0), path
        assert not {a for a in page.attributes if a.startswith("on")} and "style" not in page.attributes, path
        assert not [x for x in page.links if re.match(r"(?:https?:)?//|javascript:", x)], path
    for svg in [*site.rglob("*.svg")]:
        assert "<script" not in svg.read_text() and "onload=" not in svg.read_text().replace("&quot; onload=&quot;", "")
    assert "</script" not in (site / "records.js").read_text() and "\\u003cscript" in (site / "records.js").read_text()


def test_every_link_and_fragment_of_the_site_leads_somewhere(ws: Workspace, tmp_path: Path) -> None:
    site = tmp_path / "site"
    published(ws, site, run_id="r-one", contested=True)
    published(ws, site, run_id="r-two", title="Second")
    pages = {p.resolve(): Page(p.read_text()) for p in site.rglob("*.html")}
    followed = 0
    for path, page in pages.items():
        if path.name == "draft.html":
            continue
        assert len(page.ids) == len(set(page.ids)), f"an id stands twice in {path}"
        for link in page.links:
            target, _, fragment = link.partition("#")
            there = (path.parent / target).resolve() if target else path
            assert there.is_file() and there.is_relative_to(site.resolve()), f"{path} links to {link}"
            if fragment and there in pages:
                assert fragment in pages[there].ids, f"{path} links to {link}"
            followed += 1
    assert followed > 40


def test_the_same_record_gives_the_same_bytes_and_a_changed_one_is_refused(ws: Workspace, tmp_path: Path) -> None:
    site = tmp_path / "site"
    folder = published(ws, site)
    before = {p: p.read_bytes() for p in site.rglob("*") if p.is_file()}
    assert rebuild(site) == 1 and {p: p.read_bytes() for p in site.rglob("*") if p.is_file()} == before
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"level": "L7"}))
    with pytest.raises(IntegrityBroken, match="changed"):
        rebuild(site)


def test_a_record_name_cannot_leave_the_site(tmp_path: Path) -> None:
    bad = Record("../evil", "t", "CURRENT", None, "UNVERIFIED", {}, (), (), {}, {}, "", {})
    with pytest.raises(IntegrityBroken):
        write(tmp_path / "site", bad)
    assert not (tmp_path / "evil").exists()


def test_superseded_and_flagged_records_say_so_everywhere(ws: Workspace, tmp_path: Path) -> None:
    site = tmp_path / "site"
    old, new = published(ws, site, run_id="r-old"), published(ws, site, run_id="r-new", title="The new one")
    gate.correct(ws, "r-old", type="QUALITY_ASSESSMENT", note="Repeated with the full text.", superseded_by="r-new", owner="Ada Owner")
    gate.flag_sources(ws, {"file:planted": ["retracted"]})
    for run in ("r-old", "r-new"):
        gate.correct(ws, run, type="PROVENANCE", note="Known since today.", source="file:planted", owner="Ada Owner")
        gate.publish(ws, run, site)
    assert "superseded" in (site / "index.html").read_text() and "source changed" in (site / "index.html").read_text()
    assert (
        '<a href="../r-new/index.html">r-new</a>' in (old / "index.html").read_text() and "is retracted" in (new / "index.html").read_text()
    )
    claims = json.loads((new / "claims.json").read_text())["claims"]
    assert all(c["flagged"] == ["file:planted"] for c in claims)
    assert gate.audit_folder(site).sound


def test_benchmarks_gather_one_key_over_records_and_mark_contested_values() -> None:
    def claim(n: int, raw: str, paper: str, contested: bool = False, verdict: str = "SUPPORTED") -> dict[str, Any]:
        key = {"subject": "smoes", "metric": "ttft", "condition": "mmmu"}
        return {
            "id": f"c{n}",
            "key": key,
            "values": [{"raw": raw}],
            "verdict": verdict,
            "paper_title": paper,
            "paper": paper,
            "contested_by": ["x"] * contested,
        }

    manifests = [{"run_id": "r1"}, {"run_id": "r2"}]
    groups = benchmark_groups(
        manifests,
        {
            "r1": [claim(1, "22 %", "A"), claim(2, "22 %", "A")],
            "r2": [claim(3, "30 %", "B", True), claim(4, "9 %", "C", verdict="CONTRADICTED")],
        },
    )
    assert len(groups) == 1 and groups[0]["contested"]
    assert [(v["value"], v["source"]) for v in groups[0]["values"]] == [("22 %", "A"), ("30 %", "B")]


PAPERS = (
    Paper("arxiv:2604.23996", "SMoES: a {title} with \n a break", ("Zoë Müller-Lüdenscheidt", "Doe, J."), 2026, arxiv_id="2604.23996", version=2, url="https://arxiv.org/abs/2604.23996"),
    Paper("doi:10.1/x", EVIL, ("Plato",), None, doi="10.1/x", venue="A Journal"),
    Paper("note:1", "A note", (), 2025, kind=PaperKind.NOTE, about="arxiv:1", venue="abstract+code"),
)  # fmt: skip


def test_ris_entries_are_closed_and_no_value_starts_a_field() -> None:
    text = ris(PAPERS)
    lines = [line for line in text.split("\r\n") if line]
    assert all(re.match(r"[A-Z][A-Z0-9]  - ", line) for line in lines)
    assert sum(line.startswith("TY  - ") for line in lines) == sum(line.startswith("ER  -") for line in lines) == 3
    assert "DO  - 10.1/x" in lines and "AU  - Zoë Müller-Lüdenscheidt" in lines and ris([]) == ""


def test_csl_items_split_names_and_say_what_was_only_a_note() -> None:
    one, two, note = csl(PAPERS)
    assert one["author"] == [{"family": "Müller-Lüdenscheidt", "given": "Zoë"}, {"family": "Doe", "given": "J."}]
    assert one["number"] == "arXiv:2604.23996v2" and "issued" not in two and two["author"] == [{"literal": "Plato"}]
    assert "not read itself" in note["note"] and "container-title" not in note


def test_the_crate_names_every_file_with_its_digest(ws: Workspace, tmp_path: Path) -> None:
    folder = published(ws, tmp_path / "site")
    body = json.loads((folder / "ro-crate-metadata.json").read_text())
    entities = {e["@id"]: e for e in body["@graph"]}
    assert entities["ro-crate-metadata.json"]["conformsTo"]["@id"].startswith("https://w3id.org/ro/crate/1.1")
    for part in entities["./"]["hasPart"]:
        assert entities[part["@id"]]["sha256"] == seal.sha256(folder / part["@id"])
    for name in ("draft.pdf", "claims.json", "references.bib"):
        assert name in entities
    used = [
        r["@id"]
        for e in entities.values()
        for v in e.values()
        for r in (v if isinstance(v, list) else [v])
        if isinstance(r, dict) and set(r) == {"@id"}
    ]
    assert all(u in entities or u.startswith("https://") for u in used)
    assert crate(json.loads((folder / "draft.json").read_text()), (), {})["@graph"]


def test_the_graph_is_well_formed_xml_and_holds_no_script() -> None:
    from lxml import etree

    svg = graph([("s", EVIL)], [{"id": "c", "label": EVIL, "verdict": "SUPPORTED", "sources": ["s"], "contested": ["d"], "href": EVIL}, {"id": "d", "label": "d", "verdict": "CONTRADICTED", "sources": ["s", "unknown"]}], EVIL)  # fmt: skip
    root = etree.fromstring(svg.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    assert not root.findall(".//{*}script") and len(root.findall(".//{*}path")) == 3
    etree.fromstring(graph([], [], "").encode())


# --- Zenodo ---


class Zenodo(BaseHTTPRequestHandler):
    """Speaks the deposition part of Zenodo's REST API: 201 with links for a new one, PUT into its bucket, 401 without the token."""

    seen: list[tuple[str, str, bytes]]
    bucket = ""
    status = 201

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        type(self).seen.append((self.command, self.path, body))
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        if self.headers.get("authorization") != "Bearer secret-token":
            self._answer(401, {"message": "The server could not verify that you are authorized."})
        elif self.command == "POST" and self.path == "/api/deposit/depositions":
            links = {
                "bucket": type(self).bucket or f"{base}/api/files/abc",
                "html": f"{base}/deposit/7",
                "publish": f"{base}/api/deposit/depositions/7/actions/publish",
            }
            self._answer(type(self).status, {"id": 7, "state": "unsubmitted", "submitted": False, "links": links})
        elif self.command == "PUT" and self.path.startswith("/api/files/abc/"):
            self._answer(201, {"key": self.path.rsplit("/", 1)[1], "size": len(body)})
        else:
            self._answer(404, {})

    do_POST = do_PUT = do_GET = do_DELETE = _handle

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def zenodo() -> Iterator[tuple[type[Zenodo], str]]:
    handler = type("Handler", (Zenodo,), {"seen": [], "bucket": "", "status": 201})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_address[1]}/api"
    server.shutdown()
    server.server_close()
    thread.join(5)


def settings_for(base: str, tmp_path: Path, token: str | None = "secret-token") -> Settings:
    return load(tmp_path / "z", zenodo_base=base, **({"zenodo_token": token} if token else {}))


def test_a_deposit_is_a_draft_with_every_file_and_is_never_published(
    ws: Workspace, tmp_path: Path, zenodo: tuple[type[Zenodo], str]
) -> None:
    handler, base = zenodo
    folder = published(ws, tmp_path / "site", title="A <b>title</b>", question="Is 3 < 4?")
    done = deposit(settings_for(base, tmp_path), folder)
    assert done["id"] == 7 and done["state"] == "unsubmitted"
    put = {p.rsplit("/", 1)[1]: b for m, p, b in handler.seen if m == "PUT"}
    assert put["draft.pdf"] == (folder / "draft.pdf").read_bytes() and {"manifest.json", "ledger.jsonl", "references.bib"} <= set(put)
    assert not [p for _, p, _ in handler.seen if "publish" in p]
    sent = json.loads(next(b for m, _, b in handler.seen if m == "POST"))["metadata"]
    assert sent["title"] == "A <b>title</b>" and "3 &lt; 4" in sent["description"] and sent["creators"] == [{"name": "Ada Owner"}]


def test_the_token_goes_to_no_other_host_and_faults_are_one_line(ws: Workspace, tmp_path: Path, zenodo: tuple[type[Zenodo], str]) -> None:
    handler, base = zenodo
    folder = published(ws, tmp_path / "site")
    handler.bucket = "http://127.0.0.2:1/api/files/abc"
    with pytest.raises(OutsideFailed, match="another host"):
        deposit(settings_for(base, tmp_path), folder)
    assert [m for m, _, _ in handler.seen] == ["POST"]
    with pytest.raises(OutsideFailed, match="401") as told:
        deposit(settings_for(base, tmp_path, "wrong"), folder)
    assert "wrong" not in told.value.line() and told.value.exit_code == 4
    handler.bucket, handler.status = "", 500
    with pytest.raises(OutsideFailed, match="500"):
        deposit(settings_for(base, tmp_path), folder)
    with pytest.raises(OutsideFailed, match="did not answer"):
        deposit(settings_for("http://127.0.0.1:9/api", tmp_path), folder)
    with pytest.raises(SettingsInvalid, match="token"):
        deposit(settings_for(base, tmp_path, None), folder)
    with pytest.raises(NotFound):
        deposit(settings_for(base, tmp_path), tmp_path)


def test_a_gate_verdict_comes_from_trials_of_claims_only(ws: Workspace) -> None:
    from sovereign.gate.release import verdict_of
    from sovereign.records import Executed, GateVerdict, Scale

    run = gate.held(ws, plant(ws, pressed=False))
    assert verdict_of(run) is GateVerdict.UNVERIFIED  # a score of 9 verifies nothing
    for verdicts, expected in (
        ((GateVerdict.VERIFIED,), GateVerdict.VERIFIED),
        ((GateVerdict.VERIFIED, GateVerdict.FALSIFIED), GateVerdict.FALSIFIED),
    ):
        backed = dataclasses.replace(Executed(), backs=tuple(("c-0", "t", v, Scale.CONCEPTUAL, "said") for v in verdicts))
        fresh = gate.held(ws, run.run_id)
        fresh.__dict__["executed"] = backed
        assert verdict_of(fresh) is expected
