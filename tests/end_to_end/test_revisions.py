"""A revision acts, is heard again, and stops when nothing improves. Guards against revisions that only drop, that invent, or that never end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sovereign import path, wiring
from sovereign.lab import study
from sovereign.records import (
    Claim,
    Hearing,
    Measurement,
    Prediction,
    Qualifier,
    Role,
    Scale,
    Slots,
    Span,
    Statement,
    StudyInfo,
    Trial,
    TrialState,
    Wording,
)  # fmt: skip
from sovereign.settings import Settings, load

SETTING = "All measurements use OLMoE at batch size 8."
LIMIT = "However, the gain vanishes at batch size 64."
FIGURES = (
    "Small Routers reduces TTFT by 14% compared with the unspecialized router.",
    "Small Routers reduces TPOT by 9% compared with the unspecialized router.",
)
QUESTION = "How much does Small Routers reduce TTFT and TPOT?"
BLOCKED = "How much do Small Routers and GhostGate reduce TTFT and TPOT?"  # no source on the second system: the hearing sends it back

Ask = Callable[..., tuple[Settings, dict[str, Any], list[Hearing]]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """(settings, draft.json, every hearing) of one run over one small paper; `script`: a scripted model's answers."""

    def run(question: str, *sentences: str, script: Mapping[str, list[Any]] | None = None, **how: Any) -> Any:
        home = tmp_path / "home"
        home.mkdir()
        (home / "sovereign.toml").write_text('default_library = false\nsources = ["local"]\noffline = true\n')
        paper = tmp_path / "routers.md"
        paper.write_text("# Small Routers: serving with less\n\n" + "\n\n".join(sentences) + "\n")
        settings = load(home)
        with wiring.workspace(settings) as ws:
            wiring.add_to_library(ws, settings, [str(paper)])
        if script is not None:
            (tmp_path / "script.json").write_text(json.dumps(script))
            how["model"] = f"scripted:{tmp_path / 'script.json'}"
        result = wiring.ask(settings, question, sources=["local"], **how)
        assert wiring.replay(settings, result.run_id).same
        with wiring.workspace(settings) as ws:
            steps = ws.runs.steps(result.run_id)
            heard = [ws.runs.load(Hearing, d) for k, d in sorted(steps.items()) if k.startswith("tribunal-")]
        return settings, json.loads(result.files["draft.json"].read_bytes()), heard

    return run


def score(hearing: Hearing, role: Role) -> float:
    return next(r.score for r in hearing.reviews if r.role is role)


def kinds(hearing: Hearing) -> set[str]:
    return {f.kind for r in hearing.reviews for f in r.findings}


def answer(body: Mapping[str, Any]) -> str:
    return " ".join(s["text"] for section in body["draft"]["sections"] if section["title"] == "Answer" for s in section["sentences"])


# --- requalify ---


def test_a_number_gets_the_setting_that_its_own_source_names(ask: Ask) -> None:
    _, body, (first, second) = ask(BLOCKED, SETTING, " ".join(FIGURES))
    assert "number_without_setting" in kinds(first) and "number_without_setting" not in kinds(second)
    assert score(second, Role.SKEPTIC) > score(first, Role.SKEPTIC) and second.score >= first.score
    assert any("qualification to 2 claim(s)" in act for act in second.acted)
    assert answer(body).count("of all its measurements the source says: “All measurements use OLMoE at batch size 8”") == 2
    assert all(f.rstrip(".") in answer(body) for f in FIGURES), "nothing was dropped for it"
    assert body["tribunal"]["revision_round"] == 1 and {q["span"]["quote"] for q in body["qualifiers"]} == {SETTING}


def test_where_the_source_names_no_setting_nothing_is_added_and_the_end_is_told(ask: Ask) -> None:
    _, body, heard = ask(BLOCKED, " ".join(FIGURES))
    assert "number_without_setting" in kinds(heard[-1]) and body["qualifiers"] == []
    assert heard[-1].decision == "REJECT" and "nothing more can be improved after 1 revision" in heard[-1].ended
    assert [h.score for h in heard] == sorted(h.score for h in heard)


OVERGENERAL = {
    "findings": [{"kind": "overclaim", "severity": "blocking", "targets": ["s1"], "text": "Stated for every batch size."}],
    "score": 5.0,
}


def test_an_over_general_sentence_gets_the_limit_that_follows_in_its_source(ask: Ask) -> None:
    """The model's finding leads to words of the source, not to words of the model; the second hearing approves."""
    script = {"reword": [{"sentences": []}], "review_skeptic": [OVERGENERAL]}
    _, body, (first, second) = ask(QUESTION, f"{FIGURES[0]} {LIMIT}", FIGURES[1], script=script)
    assert (first.decision, second.decision) == ("REVISE", "APPROVE") and second.score > first.score
    assert f"{FIGURES[0].rstrip('.')}.” (the source goes on: “{LIMIT.rstrip('.')}”)." in answer(body)


def test_a_source_that_says_nothing_further_leaves_the_finding_and_ends(ask: Ask) -> None:
    script = {"reword": [{"sentences": []}], "review_skeptic": [OVERGENERAL] * 3}
    _, body, heard = ask(QUESTION, *FIGURES, script=script)
    assert heard[-1].decision == "REJECT" and "nothing more can be improved" in heard[-1].ended and "overclaim" in heard[-1].ended
    assert body["qualifiers"] == [] and body["tribunal"]["hearings"][-1]["ended"] == heard[-1].ended


# --- rewrite ---

WORDED = "Small Routers lowers TTFT by 14% relative to the unspecialized router."


def test_a_sentence_that_the_panel_doubts_goes_back_to_the_claims_own_words(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    word_by(monkeypatch, {FIGURES[0]: WORDED})
    doubt = {
        "findings": [{"kind": "sentence_differs_from_claim", "severity": "blocking", "targets": ["s1"], "text": "Not its words."}],
        "score": 5,
    }
    _, body, (first, second) = ask(QUESTION, *FIGURES, script={"review_validator": [doubt]})
    assert (first.decision, second.decision) == ("REVISE", "APPROVE") and second.score > first.score
    assert WORDED not in answer(body) and FIGURES[0] in answer(body)
    check = next(c for c in body["checks"] if c["name"] == "wording verified again")
    assert "0 kept" in check["reason"] and "1 taken back by a revision" in check["reason"]


def test_a_doubt_about_the_claims_own_words_changes_nothing(ask: Ask) -> None:
    doubt = {
        "findings": [{"kind": "sentence_differs_from_claim", "severity": "blocking", "targets": ["s1"], "text": "Not its words."}],
        "score": 5,
    }
    _, _, heard = ask(QUESTION, *FIGURES, script={"reword": [{"sentences": []}], "review_validator": [doubt] * 3})
    assert heard[-1].decision == "REJECT" and heard[-1].ended and not any("own words" in act for h in heard for act in h.acted)


def word_by(monkeypatch: pytest.MonkeyPatch, sentences: Mapping[str, str]) -> None:
    """The scripted model words these statements so, and repeats all others."""
    from sovereign.models import scripted

    def words(material: Mapping[str, Any]) -> Any:
        return {"sentences": [{"id": s["id"], "text": sentences.get(s["text"], s["text"])} for s in material["statements"]]}

    monkeypatch.setattr(scripted, "_reword", words)


def test_a_faithful_wording_is_in_the_draft_and_a_lie_falls_back_to_the_claim(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    word_by(monkeypatch, {FIGURES[0]: WORDED, FIGURES[1]: FIGURES[1].replace("9%", "90%")})
    _, body, (heard,) = ask(QUESTION, *FIGURES, script={})
    assert WORDED in answer(body) and f"“{WORDED}" not in answer(body), "a wording of ours is no quotation"
    assert f"“{FIGURES[1]}”" in answer(body) and "90%" not in answer(body)
    check = next(c for c in body["checks"] if c["name"] == "wording verified again")
    assert "2 sentences given to a model: 1 kept" in check["reason"] and "1 fell back to the claim's own" in check["reason"]
    assert list(body["wording"]["kept"].values()) == [WORDED] and len(body["wording"]["refused"]) == 1
    assert heard.decision == "APPROVE" and "sentence_differs_from_claim" not in kinds(heard)


# --- ask for a trial ---

INFO = StudyInfo(
    "routers", "Small routers lower TTFT", "", "drawn scenes", "TTFT falls", "it does not", keys=("routers", "ttft"), presets={"smoke": 2.0}
)


class Bench:
    """One study that speaks to the claims' system by a name that the question does not use."""

    def __init__(self, source: str):
        self.source, self.runs = source, 0

    def studies(self) -> tuple[StudyInfo, ...]:
        return (INFO,)

    def reference_trials(self) -> tuple[Trial, ...]:
        return ()

    def figure(self, trial_id: str, name: str) -> bytes | None:
        return None

    def predictions(self, study_name: str, *, preset: str) -> tuple[Prediction, ...]:
        return (Prediction(FIGURES[0], self.source, "ttft_change", "<", 0.0),)

    def run(self, study_name: str, *, preset: str, factors: Mapping[str, str], out: Path, predictions: Sequence[Prediction] = ()) -> Trial:
        self.runs += 1
        measured = (Measurement("ttft_change", -14.0, "%", (-15.0, -13.0), n=5),)
        judged = tuple(Statement(p.statement, p.source, p, *study.judge(p, measured)) for p in self.predictions(study_name, preset=preset))
        trial = Trial("routers-smoke-1", study_name, preset, Scale.CONCEPTUAL, TrialState.DONE, {}, (0,), {}, measured, judged)
        return replace(trial, digest=study.trial_digest(trial))


def with_bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench("")

    def bench_of(settings: Settings) -> Bench:
        if not bench.source:
            with wiring.workspace(settings) as ws:
                bench.source = next(iter(ws.library.papers())).paper_id.split(":", 1)[-1]
        return bench

    monkeypatch.setattr(wiring, "bench_of", bench_of)
    return bench


def test_a_hearing_asks_for_a_trial_that_the_question_did_not_suggest(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = with_bench(monkeypatch)
    settings, body, (first, second) = ask(BLOCKED, SETTING, " ".join(FIGURES), lab="smoke")
    assert bench.runs == 1 and "asked the laboratory for routers" in second.acted
    assert score(second, Role.SKEPTIC) > score(first, Role.SKEPTIC)
    levels = {c["text"]: c["level"] for c in body["claims"]}
    assert levels[FIGURES[0]] == "L5" and levels[FIGURES[1]] != "L5"
    with wiring.workspace(settings) as ws:
        kinds_told = [e.step_key or e.kind for e in ws.ledger.events(body["run_id"])]
    assert kinds_told.index("prediction_sealed") < kinds_told.index(path.step_key("predict", 1)) < kinds_told.index("trial")


def test_without_a_laboratory_no_trial_is_asked_for(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = with_bench(monkeypatch)
    _, _, heard = ask(BLOCKED, SETTING, " ".join(FIGURES), lab="off")
    assert bench.runs == 0 and not any("laboratory" in act for h in heard for act in h.acted)


# --- bounded ---


def test_no_round_is_held_beyond_the_bound(ask: Ask) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOVEREIGN_REVISION_ROUNDS", "0")
        _, _, heard = ask(BLOCKED, SETTING, " ".join(FIGURES))
    assert len(heard) == 1 and heard[0].ended.startswith("no revision round is left")


def test_what_was_added_to_a_claim_that_a_new_search_replaced_is_let_go() -> None:
    """Searched again and requalified in one round, a run may lose the claim; its qualifier must not be heard as evidence for nothing."""
    state = path._State()
    stays, goes = (Claim(i, "x", Slots(), span=Span("d", 0, 1, "x"), paper_id="p") for i in ("c1", "c2"))
    state.claims = (stays, goes)
    state.qualifiers = {c.claim_id: Qualifier(c.claim_id, "the source goes on", Span("d", 0, 1, "x")) for c in (stays, goes)}
    state.worded(Wording(2, {"c3": "y", "c2": "y"}))
    assert set(state.qualified()) == {"c1", "c2"} and state.wordings() == {}
    state.claims = (stays,)
    assert set(state.qualified()) == {"c1"}
