"""`sovereign check` from files to report: the example manuscript, what exit codes mean, the two report formats, and bad input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sovereign import api, checking
from sovereign.kernel.bibliography import Looked
from sovereign.press.check_report import page
from sovereign.press.sarif import log
from sovereign.records import Failed, Reference
from sovereign.settings import Settings, load

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "manuscript"
ACCUSED = ("CONTRADICTED", "QUALIFIED")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load(tmp_path_factory.mktemp("check"))


@pytest.fixture(scope="module")
def bodies(settings: Settings) -> dict[str, Mapping[str, Any]]:
    names = ("manuscript.md", "manuscript.tex")
    return {n: checking.check(settings, EXAMPLE / n, against=[EXAMPLE / "sources"]).body for n in names}


@pytest.fixture(scope="module")
def key() -> list[dict[str, Any]]:
    return list(json.loads((EXAMPLE / "expected.json").read_text())["claims"])


# --- the example ---


@pytest.mark.parametrize("name", ["manuscript.md", "manuscript.tex"])
def test_the_sixteen_cited_sentences_are_the_claims(name: str, bodies: dict[str, Mapping[str, Any]], key: list[dict[str, Any]]) -> None:
    """A framing sentence taken for a claim would be accused of nothing it says; a missed one would go unchecked."""
    claims = bodies[name]["claims"]
    assert [(c["text"], c["cites"]) for c in claims] == [(k["claim"], [k["cites"]]) for k in key]
    assert all(c["kind"] == "cited" and c["looked_at"] == [f"{k['cites']}.md"] for c, k in zip(claims, key, strict=True))


@pytest.mark.parametrize("name", ["manuscript.md", "manuscript.tex"])
def test_every_wrong_citation_is_found_and_no_true_one_accused(
    name: str, bodies: dict[str, Mapping[str, Any]], key: list[dict[str, Any]]
) -> None:
    for claim, known in zip(bodies[name]["claims"], key, strict=True):
        if known["truth"]:
            assert claim["verdict"] == "SUPPORTED", claim["reason"]
        else:
            assert claim["verdict"] in ACCUSED, claim["reason"]
            assert claim["mend"]


@pytest.mark.parametrize("name", ["manuscript.md", "manuscript.tex"])
def test_each_place_in_the_file_holds_the_sentence(name: str, bodies: dict[str, Mapping[str, Any]]) -> None:
    lines = (EXAMPLE / name).read_text().split("\n")
    for claim in bodies[name]["claims"]:
        place = claim["location"]
        assert place["file"] == name
        stretch = "\n".join(lines[place["line"] - 1 : place["end_line"]])
        first, last = claim["text"].split()[0], re.findall(r"\w+", claim["text"])[-1]
        begin = lines[place["line"] - 1][place["column"] - 1 :]
        assert begin.startswith(first) and last in stretch
        assert lines[place["end_line"] - 1][: place["end_column"] - 1].endswith(".")


def test_a_second_check_gives_the_same_bytes(settings: Settings, bodies: dict[str, Mapping[str, Any]]) -> None:
    again = checking.check(settings, EXAMPLE / "manuscript.md", bib=EXAMPLE / "refs.bib", against=[EXAMPLE / "sources"])
    one, two = dict(bodies["manuscript.md"]), dict(again.body)
    assert {k: v for k, v in one.items() if k != "bibliography"} == {k: v for k, v in two.items() if k != "bibliography"}
    assert page(bodies["manuscript.md"]) == page(again.body)


# --- the reports ---


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_runs_nothing_asks_nothing_and_escapes_the_source(settings: Settings, tmp_path: Path) -> None:
    """What is read is data: a source that carries markup must not become markup of the report."""
    evil = "<script>alert(1)</script><img src=http://example.org/x onerror=alert(1)>"
    (tmp_path / "m.md").write_text("# T\n\nOn MMMU with batch size 1, SMoES lowers TPOT by 15.0 % [@bo].\n")
    (tmp_path / "bo.txt").write_text(f"A title of it\n\nOn MMMU with batch size 1, SMoES lowers TPOT by 10.5 % {evil}.\n")
    html = page(checking.check(settings, tmp_path / "m.md", against=[tmp_path / "bo.txt"]).body)
    tags = _Tags()
    tags.feed(html)
    assert not {t for t, _ in tags.seen} & {"script", "img", "iframe", "link", "object", "form"}
    assert all(not a.startswith("on") and a not in ("src", "href") for _, attrs in tags.seen for a in attrs)
    policy = next(a["content"] for t, a in tags.seen if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy and "script" not in policy
    assert "15.0 %" in html and "10.5 %" in html and "alert(1)&lt;/script&gt;" in html


def test_sarif_has_the_shape_that_editors_read(bodies: dict[str, Mapping[str, Any]]) -> None:
    """SARIF 2.1.0: a level other than none only with kind fail (3.27.10), every ruleIndex points at its rule, regions are 1-based (3.30)."""
    for body in bodies.values():
        document = log(body)
        (run,) = document["runs"]
        rules = run["tool"]["driver"]["rules"]
        assert document["version"] == "2.1.0" and run["columnKind"] == "unicodeCodePoints" and len(run["results"]) >= 16
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert result["kind"] in ("pass", "fail", "review", "open", "notApplicable") and result["message"]["text"]
            assert (result["level"] == "none") == (result["kind"] != "fail")
            for where in result["locations"]:
                region = where["physicalLocation"].get("region", {"startLine": 1})
                assert region["startLine"] >= 1 and region.get("endLine", 10**9) >= region["startLine"]
        wrong = [r for r in run["results"] if r["ruleId"] == "claim-contradicted"]
        assert len(wrong) == body["summary"]["contradicted"] and all("region" in r["locations"][0]["physicalLocation"] for r in wrong)
        assert len({r["partialFingerprints"]["claim/v1"] for r in run["results"]}) == len(run["results"])


# --- what the exit code says ---

TRUE = "On MMMU with batch size 1, SMoES lowers TPOT by 10.5 %"
BIB = "@misc{bo2026, title={Soft experts for all}, author={Bo, Zi-Hao}, year={2026}}\n"


def write(folder: Path, text: str, bib: str | None = BIB, source: str | None = TRUE) -> Path:
    (folder / "m.md").write_text(f"# T\n\n{text}\n")
    if bib is not None:
        (folder / "refs.bib").write_text(bib)
    if source is not None:
        (folder / "bo2026.txt").write_text(f"A title of it\n\nSMoES was tested on MMMU. {source}.\n")
    return folder / "m.md"


def run_check(settings: Settings, folder: Path, text: str, **files: str | None) -> checking.Report:
    manuscript = write(folder, text, **files)
    given = [p for p in (folder / "bo2026.txt",) if p.exists()]
    bib = folder / "refs.bib" if (folder / "refs.bib").exists() else None
    return checking.check(settings, manuscript, bib=bib, against=given)


def test_zero_one_and_three(settings: Settings, tmp_path: Path) -> None:
    fine = run_check(settings, tmp_path, f"{TRUE} [@bo2026].")
    assert fine.exit_code == 0, fine.body["claims"]
    wrong = run_check(settings, tmp_path, f"{TRUE.replace('10.5', '15.0')} [@bo2026].")
    assert wrong.exit_code == 1 and wrong.body["claims"][0]["verdict"] == "CONTRADICTED"
    no_entry = run_check(settings, tmp_path, f"{TRUE} [@bo2026; @missing2020].")
    assert no_entry.exit_code == 1 and next(r for r in no_entry.body["references"] if r["key"] == "missing2020")["outcome"] == "no_entry"
    (tmp_path / "bo2026.txt").unlink()
    not_given = run_check(settings, tmp_path, f"{TRUE} [@bo2026].", source=None)
    claim = not_given.body["claims"][0]
    assert not_given.exit_code == 3 and claim["verdict"] == "NOT_RUN" and claim["probability"] is None and "--against" in claim["mend"]


def test_a_broken_and_a_double_entry_count_where_they_are_cited(settings: Settings, tmp_path: Path) -> None:
    broken = run_check(settings, tmp_path, f"{TRUE} [@bo2026; @torn].", bib=BIB + "@misc{torn title={x}}\n")
    row = next(r for r in broken.body["references"] if r["key"] == "torn")
    assert broken.exit_code == 1 and row["outcome"] == "broken_entry" and "refs.bib, line 2" in row["detail"]
    twice = BIB + BIB.replace("Soft experts", "Hard experts")
    assert run_check(settings, tmp_path, f"{TRUE} [@bo2026].", bib=twice).exit_code == 1
    assert run_check(settings, tmp_path, f"{TRUE} [@bo2026].", bib=BIB + twice.replace("bo2026", "unused")).exit_code == 0


def test_refuted_goes_before_degraded(settings: Settings, tmp_path: Path) -> None:
    both = BIB + "@misc{else2020, title={Another work that is not here}, author={Else, A.}, year={2020}}\n"
    report = run_check(settings, tmp_path, f"{TRUE.replace('10.5', '15.0')} [@bo2026]. Memory falls by 4 GB [@else2020].", bib=both)
    assert [c["verdict"] for c in report.body["claims"]] == ["CONTRADICTED", "NOT_RUN"] and report.exit_code == 1


def test_an_outage_of_every_service_degrades_and_accuses_nobody(settings: Settings, tmp_path: Path) -> None:
    manuscript = write(tmp_path, f"{TRUE} [@bo2026].", source=None)

    def down(references: Mapping[str, Reference]) -> dict[str, list[Looked]]:
        return {k: [Looked("arXiv", Failed("arXiv did not answer (503)", "server_error"))] for k in references}

    report = checking.check(settings, manuscript, bib=tmp_path / "refs.bib", sources=("local", "arxiv"), lookup=down)
    assert report.exit_code == 3 and report.body["references"][0]["outcome"] == "outage" and not report.body["references"][0]["fault"]


def test_offline_live_sources_are_an_outage_not_an_absence(settings: Settings, tmp_path: Path) -> None:
    bib = "@misc{bo2026, title={Soft experts for all}, author={Bo, Zi-Hao}, year={2026}, eprint={2604.99999}}\n"
    report = checking.check(settings, write(tmp_path, f"{TRUE} [@bo2026].", bib=bib), bib=tmp_path / "refs.bib", sources=("arxiv",))
    assert report.body["references"][0]["outcome"] == "outage" and report.exit_code == 3


def test_an_included_chapter_is_read_and_its_lines_are_its_own(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\n\\begin{document}\n\\input{part}\n\\bibliography{refs}\n\\end{document}\n"
    )
    (tmp_path / "part.tex").write_text("Some framing words stand here.\n" + TRUE.replace("%", "\\,\\%") + "~\\cite{bo2026}.\n")
    write(tmp_path, "unused")
    report = checking.check(settings, tmp_path / "main.tex", against=[tmp_path / "bo2026.txt"])
    (claim,) = report.body["claims"]
    assert claim["verdict"] == "SUPPORTED" and (claim["location"]["file"], claim["location"]["line"]) == ("part.tex", 2)
    assert report.body["bibliography"]["files"] == ["refs.bib"] and report.exit_code == 0


def test_a_manuscript_cannot_name_files_outside_its_folder(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret.bib").write_text(BIB)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m.md").write_text(f"---\nbibliography: ../secret.bib\n---\n\n# T\n\n{TRUE} [@bo2026].\n")
    report = checking.check(settings, tmp_path / "in" / "m.md")
    assert report.body["bibliography"]["files"] == []


def test_a_pdf_manuscript_is_checked_without_places(settings: Settings, tmp_path: Path) -> None:
    typst = pytest.importorskip("typst")
    said = TRUE.replace("%", "\\%")
    body = f"= A short manuscript about experts\n\nSome words stand before it.\n\n== Results\n\n{said} \\[1\\]. More words stand here to fill it.\n\n"
    body += "== References\n\n\\[1\\] Z. Bo. Soft modality guided expert specialization in models. 2026.\n"
    (tmp_path / "m.pdf").write_bytes(bytes(typst.compile(body.encode())))
    (tmp_path / "1.txt").write_text(f"A title of it\n\nSMoES was tested on MMMU. {TRUE}.\n")
    report = checking.check(settings, tmp_path / "m.pdf", against=[tmp_path / "1.txt"])
    (claim,) = report.body["claims"]
    assert claim["cites"] == ["1"] and claim["verdict"] == "SUPPORTED" and claim["location"] is None
    assert "region" not in log(report.body)["runs"][0]["results"][0]["locations"][0]["physicalLocation"]


def test_the_python_api_gives_the_same_report(settings: Settings, tmp_path: Path) -> None:
    manuscript = write(tmp_path, f"{TRUE} [@bo2026].")
    found = api.check(manuscript, workspace=settings.home, bib=tmp_path / "refs.bib", against=[tmp_path / "bo2026.txt"])
    assert found.exit_code == 0 and found.body["summary"]["supported"] == 1


# --- bad input and the terminal ---


def command(*args: str, home: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", "from sovereign.cli import main; main()", "check", *args, "--workspace", str(home)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False)


BAD = {
    "empty": ("m.md", b"", "empty"),
    "blank": ("m.md", b"  \n\n", "empty"),
    "no claims": ("m.md", b"# T\n\nThis is nice. We think so.\n", "no claim"),
    "a bibliography": ("m.bib", BIB.encode(), "not a manuscript"),
    "damaged": ("m.pdf", b"%PDF-1.7\nnothing of it", "m.pdf"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_manuscripts_are_refused_with_their_reason(name: str, settings: Settings, tmp_path: Path) -> None:
    from sovereign.errors import SovereignError

    file, body, expected = BAD[name]
    (tmp_path / file).write_bytes(body)
    with pytest.raises(SovereignError, match=expected) as caught:
        checking.check(settings, tmp_path / file)
    assert caught.value.exit_code == 2 and "\n" not in caught.value.line()


def test_folders_missing_files_and_unknown_sources_are_refused(settings: Settings, tmp_path: Path) -> None:
    from sovereign.errors import BadInput

    manuscript = write(tmp_path, f"{TRUE} [@bo2026].")
    for call in (
        lambda: checking.check(settings, tmp_path),
        lambda: checking.check(settings, tmp_path / "no.md"),
        lambda: checking.check(settings, manuscript, bib=tmp_path),
        lambda: checking.check(settings, manuscript, bib=tmp_path / "no.bib"),
        lambda: checking.check(settings, manuscript, against=[tmp_path / "no.pdf"]),
        lambda: checking.check(settings, manuscript, sources=("nowhere",)),
    ):
        with pytest.raises(BadInput):
            call()


def test_an_encrypted_pdf_says_so(settings: Settings, tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    from sovereign.errors import Unreadable

    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.encrypt("secret", algorithm="RC4-128")
    with (tmp_path / "m.pdf").open("wb") as file:
        writer.write(file)
    with pytest.raises(Unreadable) as caught:
        checking.check(settings, tmp_path / "m.pdf")
    assert caught.value.kind == "encrypted" and caught.value.exit_code == 2


def test_an_unreadable_file_in_a_folder_is_named_and_one_given_by_name_stops(settings: Settings, tmp_path: Path) -> None:
    from sovereign.errors import Unreadable

    manuscript = write(tmp_path, f"{TRUE} [@bo2026].")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "bo2026.pdf").write_bytes(b"%PDF-1.7\nnothing of it")
    report = checking.check(settings, manuscript, bib=tmp_path / "refs.bib", against=[tmp_path / "sources"])
    assert report.exit_code == 3 and report.body["skipped"][0]["what"] == "bo2026.pdf"
    with pytest.raises(Unreadable):
        checking.check(settings, manuscript, against=[tmp_path / "sources" / "bo2026.pdf"])


def test_the_terminal_contract(settings: Settings, tmp_path: Path) -> None:
    manuscript = write(tmp_path, f"{TRUE.replace('10.5', '15.0')} [@bo2026].")
    args = [str(manuscript), "--bib", str(tmp_path / "refs.bib"), "--against", str(tmp_path / "bo2026.txt")]
    done = command(*args, "--json", "--html", str(tmp_path / "r.html"), "--sarif", str(tmp_path / "r.sarif"), home=settings.home)
    body = json.loads(done.stdout)
    assert done.returncode == 1 == body["summary"]["exit_code"] and {"claims", "references", "summary"} <= set(body)
    assert {"id", "text", "verdict", "level", "probability", "answers", "evidence"} <= set(body["claims"][0])
    assert {"key", "status", "detail"} <= set(body["references"][0])
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>") and json.loads((tmp_path / "r.sarif").read_text())[
        "version"
    ] == "2.1.0"
    folder = command(str(tmp_path), home=settings.home)
    assert folder.returncode == 2 and folder.stdout == "" and "is a folder" in folder.stderr and "Traceback" not in folder.stderr
