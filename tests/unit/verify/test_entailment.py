"""The entailment extra behind its protocol: it settles what the guard leaves open, abstains below its thresholds, and never overrules a slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from sovereign.kernel.verify import make_claim, verify_claim
from sovereign.kernel.verify.entailment import EntailmentVerifier, PairScorer
from sovereign.ports import Verifier
from sovereign.records import Document, State, Verdict

Make = Callable[..., Document]
TEXT = "Headaches go away sooner when patients rest in a dark room. Coffee was served in the mornings of the study."
CLAIM = "Resting in the dark shortens headaches of patients."


class Scores:
    """Fixed probabilities; remembers what it was asked."""

    name, version, support_at, refute_at = "fixed", "1", 0.8, 0.7

    def __init__(self, support: float, refute: float):
        self.answer = (support, refute, 1.0 - support - refute)
        self.asked: list[tuple[str, str]] = []

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, float, float]]:
        self.asked += pairs
        return [self.answer for _ in pairs]


@pytest.mark.parametrize(
    ("support", "refute", "verdict"),
    [(0.9, 0.05, Verdict.SUPPORTED), (0.1, 0.8, Verdict.CONTRADICTED), (0.79, 0.1, Verdict.UNRESOLVED), (0.3, 0.69, Verdict.UNRESOLVED)],
)
def test_it_speaks_only_above_its_thresholds(source: Make, support: float, refute: float, verdict: Verdict) -> None:
    verifier = EntailmentVerifier(Scores(support, refute))
    assert isinstance(verifier, Verifier)
    judged = verifier.judge(make_claim(CLAIM), source(TEXT))
    assert judged.verdict is verdict
    assert judged.probability == support
    assert judged.spans[0].quote in TEXT
    assert verifier.version == "fixed/1"


def test_it_settles_what_the_guard_leaves_open(source: Make) -> None:
    document = source(TEXT)
    claim = make_claim("Patients' headaches end when they lie in a dark room.")
    assert verify_claim(claim, [("p", document)]).verdict is Verdict.UNRESOLVED
    ruling = verify_claim(claim, [("p", document)], extra=[EntailmentVerifier(Scores(0.95, 0.01))])
    assert ruling.verdict is Verdict.SUPPORTED
    assert verify_claim(claim, [("p", document)], extra=[EntailmentVerifier(Scores(0.5, 0.1))]).verdict is Verdict.UNRESOLVED
    assert {c.name: c.state for c in ruling.checks}["entailment"] is State.PASSED


def test_it_cannot_overrule_a_wrong_figure(source: Make) -> None:
    document = source("LarkMoE lowers latency by 12.4 % on MMMU.")
    claim = make_claim("LarkMoE lowers latency by 14.2 % on MMMU.")
    assert verify_claim(claim, [("p", document)], extra=[EntailmentVerifier(Scores(0.99, 0.0))]).verdict is Verdict.CONTRADICTED


def test_an_empty_source_is_not_asked_about(source: Make) -> None:
    scores = Scores(0.99, 0.0)
    assert EntailmentVerifier(scores).judge(make_claim(CLAIM), source("")).verdict is Verdict.NOT_FOUND
    assert scores.asked == []
    assert isinstance(scores, PairScorer)


def test_the_low_rank_difference_gives_the_tuned_weights_back() -> None:
    """Guards a delta that adds the wrong tensors: a change of rank R must survive, vectors and head exactly to half precision."""
    torch = pytest.importorskip("torch")
    from sovereign.models.entailment.network import apply, difference

    torch.manual_seed(3)
    base = {
        "encoder.w": torch.randn(12, 8),
        "encoder.b": torch.randn(12),
        "encoder.same": torch.ones(4, 4),
        "out.weight": torch.randn(3, 8),
    }
    change = torch.randn(12, 2) @ torch.randn(2, 8)
    tuned = {
        "encoder.w": base["encoder.w"] + change,
        "encoder.b": base["encoder.b"] + 0.5,
        "encoder.same": base["encoder.same"],
        "out.weight": torch.randn(3, 8),
    }
    delta = difference(base, tuned, rank=2)
    assert not any(k.startswith("encoder.same") for k in delta)

    class Holder:
        def __init__(self) -> None:
            self.state = {k: v.clone() for k, v in base.items()}

        def state_dict(self) -> dict[str, object]:
            return dict(self.state)

        def load_state_dict(self, state: dict[str, object]) -> None:
            self.state = state  # type: ignore[assignment]

    holder = Holder()
    apply(holder, delta)
    for name, value in tuned.items():
        assert torch.allclose(holder.state[name], value, atol=2e-2), name
