"""The laws as they show in a draft: sources for every sentence, gaps named, quotations marked, own title; driven through the real path."""

from __future__ import annotations

import json
import re

import pytest

from sovereign import wiring
from sovereign.settings import load

QUESTIONS = {
    "answerable": "How much does SMoES reduce TTFT and TPOT on MMMU compared with the unspecialized router?",
    "ill_posed": "What is the inference latency of AnyExperts on VQAv2 across batch sizes compared with fixed routing?",
    "nothing": "What is the best sourdough hydration for rye bread at high altitude?",
}


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:  # type: ignore[type-arg]
    home = tmp_path_factory.mktemp("laws")
    out = {}
    for name, question in QUESTIONS.items():
        result = wiring.ask(load(home, offline=True), question, sources=["local"])
        out[name] = json.loads(result.files["draft.json"].read_bytes()) | {"_files": {n: p.read_bytes() for n, p in result.files.items()}}
    return out


def _sentences(draft: dict) -> list[dict]:  # type: ignore[type-arg]
    return [*draft["draft"]["abstract"], *(s for x in draft["draft"]["sections"] for s in x["sentences"])]


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_stated_sentence_leads_to_evidence_whose_quote_is_in_its_document(name: str, drafts: dict) -> None:  # type: ignore[type-arg]
    draft = drafts[name]
    claims = {c["id"]: c for c in draft["claims"]}
    trials = {t["trial_id"] for t in draft["trials"]}
    for s in _sentences(draft):
        if s["kind"] == "claim":
            assert s["claims"] or set(s["trials"]) & trials
            for claim_id in s["claims"]:
                assert claims[claim_id]["evidence"], s["text"]
        if s["kind"] == "frame" and not s["trials"]:  # what a trial cannot say is told in the trial's own words
            assert not re.search(r"\d+(?:\.\d+)?\s?%", s["text"]) or "covers" in s["text"], "a frame sentence states no finding"


def test_an_ill_posed_question_is_told_part_by_part_and_not_approved(drafts: dict) -> None:  # type: ignore[type-arg]
    draft = drafts["ill_posed"]
    open_facets = {c["facet"] for c in draft["coverage"] if not c["answered"]}
    assert {"metric:latency", "dataset:vqav2"} <= open_facets
    told = {f for s in _sentences(draft) if s["kind"] == "gap" for f in s["facets"]}
    assert open_facets <= told
    assert draft["policy"]["decision"] == "ESCALATE_TO_OWNER"
    assert draft["tribunal"]["score"] < 6.5
    assert draft["tribunal"]["revision_round"] >= 1, "the promised revision round was not run"


def test_nothing_found_gives_no_score_for_nothing_and_says_not_run(drafts: dict) -> None:  # type: ignore[type-arg]
    draft = drafts["nothing"]
    assert draft["claims"] == []
    assert not any(s["admitted"] for s in draft["sources"])
    states = {c["name"]: c["state"] for c in draft["checks"]}
    assert states["claims verified"] == "NOT_RUN"
    assert draft["policy"]["decision"] == "ESCALATE_TO_OWNER"


@pytest.mark.parametrize("name", QUESTIONS)
def test_five_files_and_the_stamp_in_each(name: str, drafts: dict) -> None:  # type: ignore[type-arg]
    files = drafts[name]["_files"]
    assert {"draft.pdf", "draft.md", "draft.html", "draft.json", "references.bib"} <= set(files)
    assert files["draft.pdf"].startswith(b"%PDF")
    for text in ("draft.md", "draft.html"):
        assert "owner review required before publication" in files[text].decode()
    assert b"<script" not in files["draft.html"]


def test_claims_are_whole_sentences_of_their_documents(drafts: dict) -> None:  # type: ignore[type-arg]
    """The original cut claims at 120 characters."""
    for claim in drafts["answerable"]["claims"]:
        quote = claim["evidence"][0]["quote"]
        if " | " not in quote:
            assert quote.startswith(claim["text"].rstrip(".")[:60])
            assert claim["text"].endswith(".")


def test_the_pdf_can_be_read_back_and_nothing_overflows(drafts: dict) -> None:  # type: ignore[type-arg]
    import pypdfium2

    pdf = pypdfium2.PdfDocument(drafts["answerable"]["_files"]["draft.pdf"])
    text = "\n".join(page.get_textpage().get_text_range() for page in pdf)
    assert "Abstract" in text and "References" in text and "[1]" in text
    for page in pdf:
        width = page.get_width()
        for box in (o.get_bounds() for o in page.get_objects(filter=[1])):
            assert box[0] >= 0 and box[2] <= width + 1, "text leaves the page"
    pdf.close()
