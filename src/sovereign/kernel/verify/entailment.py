"""The verifier `entailment`: a pair model scores the claim against the best sentences. Imports selection; the model comes through a protocol.

Refuses to decide below its thresholds: it then says UNRESOLVED. The combination lets it settle only what the guard leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sovereign.kernel.verify.select import ranked
from sovereign.kernel.verify.slots import span_of
from sovereign.kernel.verify.units import Unit, units_of
from sovereign.records import Claim, Document, Judgement, Verdict

SENTENCES = 5  # read one by one
TOGETHER = 3  # the best of them read as one premise, in document order
Probabilities = tuple[float, float, float]  # of support, refutation, no evidence


@runtime_checkable
class PairScorer(Protocol):
    """Any calibrated scorer of (claim, premise) pairs: a cross-encoder by name, a model behind the port. `together` decides."""

    name: str
    version: str
    support_at: float  # probability from which "supports" is said
    refute_at: float

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Probabilities]:
        """Probabilities per pair."""
        ...


@runtime_checkable
class PassageScorer(PairScorer, Protocol):
    """A pair scorer that also weighs all it said of one document; the shipped one does."""

    def weigh(self, claim: str, sentences: Sequence[str], closeness: Sequence[float], scores: Sequence[Probabilities]) -> Probabilities:
        """One judgement from `scores` (first of the sentences together, then of each) and the closeness of each sentence (0..1), best first."""
        ...


class EntailmentVerifier:
    """Satisfies ports.Verifier."""

    name = "entailment"

    def __init__(self, scorer: PairScorer):
        self.scorer = scorer
        self.version = f"{scorer.name}/{scorer.version}"

    def judge(self, claim: Claim, document: Document) -> Judgement:
        """SUPPORTED or CONTRADICTED from the thresholds on, UNRESOLVED below, NOT_FOUND where nothing can be read. `probability` is calibrated."""
        top = premises(claim.text, document)
        if not top:
            return Judgement(self.name, self.version, Verdict.NOT_FOUND, "no passage to read")
        (support, refute, _), relevance = weighed(self.scorer, claim.text, top)
        spans = (span_of(top[max(range(len(top)), key=lambda i: (relevance[i], -i))][0], document),)
        if support >= self.scorer.support_at:
            return Judgement(
                self.name, self.version, Verdict.SUPPORTED, f"the pair model says “supports” with {support:.2f}", support, None, spans
            )
        if refute >= self.scorer.refute_at:
            return Judgement(
                self.name, self.version, Verdict.CONTRADICTED, f"the pair model says “refutes” with {refute:.2f}", support, None, spans
            )
        reason = f"the pair model abstains (supports {support:.2f}, refutes {refute:.2f})"
        return Judgement(self.name, self.version, Verdict.UNRESOLVED, reason, support, None, spans)


def weighed(scorer: PairScorer, claim: str, top: Sequence[tuple[Unit, float]]) -> tuple[Probabilities, list[float]]:
    """(the scorer's judgement of the premises, the relevance of each: one minus P(no evidence))."""
    units = [u for u, _ in top]
    scores = scorer.score([(claim, together(units)), *((claim, u.text) for u in units)])
    relevance = [1.0 - none for _, _, none in scores[1:]]
    if isinstance(scorer, PassageScorer):
        return scorer.weigh(claim, [u.text for u in units], [c for _, c in top], scores), relevance
    return scores[0], relevance


def together(units: Sequence[Unit]) -> str:
    """The best units as one premise, in document order."""
    return " ".join(u.text for u in sorted(units[:TOGETHER], key=lambda u: u.start))


def premises(text: str, document: Document) -> list[tuple[Unit, float]]:
    """The best sentences of the document for the claim with their closeness (cosine of character n-grams), best first."""
    units = units_of(document)
    return [(u, max(0.0, closeness)) for u, _, closeness in ranked(units.plain(text), units, SENTENCES)]
