"""The study end to end on a tiny configuration: sealed, repeatable, honest about what it cannot say, and clear about bad input."""

import json

import pytest

from sovereign import seal
from sovereign.errors import LabInput, UnknownName
from sovereign.lab import __main__ as command
from sovereign.lab import study
from sovereign.records import GateVerdict, Prediction, Scale, Trial, TrialState

pytestmark = pytest.mark.lab
TINY = {
    "steps": "3", "batch": "2", "seq": "48", "vocab": "420", "layers": "2", "width": "32", "heads": "2", "experts": "6", "k": "2", "ffn": "16",
    "docs": "40", "per_kind": "5", "prompt_tokens": "24", "new_tokens": "4", "reference_docs": "30", "permutations": "99", "bootstrap": "100",
    "chance_repeats": "3",
}  # fmt: skip


def run(out, seed=0, **changes):
    return study.execute("routing_signatures", preset="smoke", factors={**TINY, **changes}, out=out, seed=seed)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    out = tmp_path_factory.mktemp("trials")
    return run(out), out


def test_the_same_seed_gives_the_same_digest(trial, tmp_path):
    first, _ = trial
    assert run(tmp_path).digest == first.digest


def test_every_mandatory_control_stands_beside_d_with_an_interval(trial):
    names = {m.name: m for m in trial[0].measurements}
    for control in (
        "untrained",
        "random_router",
        "shuffled_prompt",
        "shuffled_corpus",
        "bag",
        "matched",
        "matched_untrained",
        "token_identity",
    ):
        assert names[f"control.{control}.d"].interval is not None, control
    for name in ("d", "centred.d", "jensen_shannon.d", "variant.weighted.d", "variant.prob.d", "prefill.d", "decode.d"):
        low, high = names[name].interval
        assert low < high
    # With six experts and 27 tokens all binary signatures may be equal: then there is no value, and no noise over noise.
    binary = names["variant.binary.d"]
    assert (binary.value is None) == (binary.interval is None)
    for name in ("permutation.p", "null.U.within", "null.M.within", "null.P.within", "classifier.accuracy", "classifier.macro_f1",
                 "classifier.permuted_accuracy", "layer.0.d", "layer.slope", "pca.explained.1", "heldout_loss.trained"):  # fmt: skip
        assert names[name].value is not None


def test_every_prediction_has_a_verdict_and_was_sealed_first(trial):
    t, out = trial
    sealed = json.loads((out / t.trial_id / "predictions.json").read_text())
    assert sealed["sha256"] == t.spec["predictions_sha256"]
    assert len(sealed["sealed_before_run"]) == len(t.statements) >= 10
    measured = {m.name for m in t.measurements}
    for s in t.statements:
        assert s.prediction.statistic in measured, "a prediction about something that the study does not measure is no prediction"
        assert s.verdict in GateVerdict


def test_the_trial_on_disk_is_the_record_with_figures_and_a_page(trial):
    t, out = trial
    folder = out / t.trial_id
    assert seal.revive(Trial, (folder / "trial.json").read_bytes()) == t
    for name in t.figures:
        assert (folder / name).read_text().startswith("<?xml")
        assert (folder / name.replace(".svg", ".png")).stat().st_size > 5000
    page = (folder / "report.md").read_text()
    assert all(s.verdict.value in page for s in t.statements)
    assert "cannot say" in page


def test_a_toy_trial_never_speaks_of_the_papers_model(trial):
    t, _ = trial
    assert t.scale is Scale.CONCEPTUAL
    assert any("Nothing about OLMoE" in line for line in t.cannot_say)
    assert any("one model" in line for line in t.cannot_say)
    assert t.environment["contention"].keys() == {"others_busy_share", "steal_share"}


@pytest.mark.parametrize(
    ("factors", "error"),
    [
        ({"colour": "red"}, UnknownName),
        ({"steps": "many"}, LabInput),
        ({"steps": "-1"}, LabInput),
        ({"per_kind": "1"}, LabInput),
        ({"k": "99"}, LabInput),
        ({"device": "cuda:7"}, LabInput),
        ({"width": "65536", "ffn": "65536", "experts": "64"}, LabInput),  # terabytes
        ({"prompts_are": "mine"}, LabInput),
        ({"model": "/no/such/folder"}, LabInput),
    ],
)
def test_bad_factors_are_refused_in_one_line_and_the_failure_is_kept(factors, error, tmp_path, monkeypatch):
    if "model" in factors:
        pytest.importorskip("transformers")
    with pytest.raises(error) as caught:
        run(tmp_path, **factors)
    assert "\n" not in caught.value.line()
    kept = [seal.revive(Trial, p.read_bytes()) for p in tmp_path.glob("*/trial.json")]
    assert [t.state for t in kept] == [TrialState.FAILED]


def test_exact_scale_is_only_predicted_for_a_given_model_with_the_papers_prompts():
    load = study.load("routing_signatures")
    assert {p.scale for p in load.predictions("smoke", {})} == {Scale.CONCEPTUAL}
    assert {p.scale for p in load.predictions("smoke", {"model": "x"})} == {Scale.CONCEPTUAL}
    exact = load.predictions("smoke", {"model": "x", "prompts_are": "paper"})
    published = {p.statistic: p.threshold for p in exact if p.rule == "within"}
    assert published == {"within": 0.8435, "across": 0.6225, "d": 1.44, "classifier.accuracy": 0.925}
    assert not any("untrained" in p.statistic or "shuffled_corpus" in p.statistic for p in exact)


def test_the_command_line_of_the_lab(tmp_path, capsys):
    assert command.main(["list", "--json"]) == 0
    assert any(i["name"] == "routing_signatures" for i in json.loads(capsys.readouterr().out))
    assert command.main(["run", "routing_signatures", "--set", "colour=red", "--out", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Unknown factor 'colour'" in shown.err
    assert command.main(["run", "nothing", "--out", str(tmp_path)]) == 2
    assert command.main(["run", "routing_signatures", "--set", "steps", "--out", str(tmp_path)]) == 2


def test_predictions_of_the_caller_are_judged_too_and_another_seed_is_another_trial(trial, tmp_path):
    extra = Prediction("d is below 100", "someone", "d", "<", 100.0, claim_id="c1")
    t = study.execute("routing_signatures", preset="smoke", factors=TINY, out=tmp_path, seed=1, predictions=[extra])
    assert t.digest != trial[0].digest
    assert {m.name: m.value for m in t.measurements}["d"] != {m.name: m.value for m in trial[0].measurements}["d"]
    judged = [s for s in t.statements if s.prediction.claim_id == "c1"]
    assert [s.verdict for s in judged] == [GateVerdict.VERIFIED]
