"""A whole draft with a model's help, worded and heard again. Guards against wordings that drift and revisions that do nothing."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from planted import drafts
from planted.flaws import everywhere
from sovereign.kernel import assist, tribunal
from sovereign.kernel.verify import verify_claim
from sovereign.models import prompts
from sovereign.models.scripted import Scripted
from sovereign.records import Claim, Ruling, Severity, Verdict

PROMPTS = prompts.load()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> drafts.Good:
    held, others = drafts.build(tmp_path_factory.mktemp("assisted"), [drafts.QUESTIONS[8]])
    assert not others, others
    return held[0]


def verifier(d: tribunal.Dossier, claim: Claim) -> Ruling:
    own = next(c for c in d.claims if c.claim_id == claim.claim_id)
    assert own.span is not None
    return verify_claim(claim, [(own.paper_id or "", d.documents[own.span.doc_sha256])])


def stated(d: tribunal.Dossier) -> list[Claim]:
    supported = {r.claim_id for r in d.rulings if r.verdict is Verdict.SUPPORTED}
    return [c for c in d.claims if c.claim_id in supported and " | " not in (c.span.quote if c.span else "")]


def worded(d: tribunal.Dossier, kept: dict[str, str]) -> tribunal.Dossier:
    by_id = {c.claim_id: c for c in d.claims}

    def change(s):  # type: ignore[no-untyped-def]
        for claim_id in s.claims:
            if claim_id in kept:
                s = replace(s, text=s.text.replace(by_id[claim_id].text, kept[claim_id]))
        return s

    return replace(d, draft=everywhere(d.draft, change), reworded=frozenset(kept))


def test_a_scripted_wording_is_kept_where_it_is_faithful_and_the_hearing_stays(good: drafts.Good) -> None:
    d = good.dossier
    got = assist.reword(Scripted(), PROMPTS, stated(d), lambda c: verifier(d, c))
    assert got.kept
    before = tribunal.hold(d, revision_round=0, rounds_left=0)
    after = tribunal.hold(worded(d, got.kept), revision_round=0, rounds_left=0)
    assert after.decision == "APPROVE" and abs(after.score - before.score) <= 0.3


def test_a_lying_model_changes_no_sentence(good: drafts.Good) -> None:
    """Every number one tenth higher: nothing of it is kept."""
    d = good.dossier
    claims = [c for c in stated(d) if re.search(r"\d+\.\d", c.text)]
    lies = [{"id": c.claim_id, "text": re.sub(r"(\d+)\.(\d)", lambda m: f"{int(m.group(1)) + 1}.{m.group(2)}", c.text)} for c in claims]
    got = assist.reword(Scripted({"reword": [{"sentences": lies}]}), PROMPTS, claims, lambda c: verifier(d, c))
    assert got.kept == {} and len(got.refused) == len(claims) > 2


def test_a_wording_that_slipped_through_is_put_back_by_a_revision(good: drafts.Good) -> None:
    d = good.dossier
    claim = next(c for c in stated(d) if "reduc" in c.text or "lower" in c.text)
    wrong = re.sub(r"\b(reduces|lowers)\b", "raises", claim.text)
    spoiled = worded(d, {claim.claim_id: wrong})
    hearing = tribunal.hold(spoiled, revision_round=0, rounds_left=1)
    cure = tribunal.remedy([f for r in hearing.reviews for f in r.findings], spoiled, frozenset())
    assert hearing.decision == "REVISE" and cure.restore == {claim.claim_id}
    again = tribunal.hold(spoiled, revision_round=1, rounds_left=1, spent=frozenset({claim.claim_id}))
    assert again.decision == "REJECT"


def test_a_scripted_panel_adds_nothing_and_takes_nothing_away(good: drafts.Good) -> None:
    rule = tribunal.by_rule(good.dossier)
    panel = assist.review([Scripted(), Scripted()], PROMPTS, good.dossier, rule)
    assert [r.score for r in panel.reviews] == [r.score for r in rule] and not panel.agreement.flips
    assert not any(f.severity is Severity.BLOCKING for r in panel.reviews for f in r.findings)


def test_a_scripted_model_finds_the_same_sentences_that_stand_in_the_document(good: drafts.Good) -> None:
    d = good.dossier
    document = next(iter(d.documents.values()))
    got = assist.propose_claims(Scripted(), PROMPTS, d.question, document, "p")
    assert got.claims and all(document.text[c.span.start : c.span.end] == c.text for c in got.claims if c.span)
