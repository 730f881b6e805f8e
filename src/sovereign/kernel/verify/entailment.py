"""The verifier `entailment`: a pair model scores the claim against the best sentences. Imports selection; the model comes through the PairScorer protocol.

Refuses to decide below its thresholds: it then says UNRESOLVED. The combination lets it settle only what the guard leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sovereign.kernel.verify.select import ranked
from sovereign.kernel.verify.slots import span_of
from sovereign.kernel.verify.units import Unit, units_of
from sovereign.records import Claim, Document, Judgement, Verdict

SENTENCES = 3  # read together as one premise; each alone for the span


@runtime_checkable
class PairScorer(Protocol):
    """Any calibrated scorer of (claim, premise) pairs: the shipped one, a cross-encoder by name, a model behind the port."""

    name: str
    version: str
    support_at: float  # probability from which "supports" is said
    refute_at: float

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, float, float]]:
        """(P(support), P(refute), P(no evidence)) per pair."""
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
        whole = " ".join(u.text for u in sorted(top, key=lambda u: u.start))
        scores = self.scorer.score([(claim.text, whole), *((claim.text, u.text) for u in top)])
        support, refute, _ = scores[0]
        best = max(range(len(top)), key=lambda i: (1.0 - scores[i + 1][2], -i))
        spans = (span_of(top[best], document),)
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


def premises(text: str, document: Document) -> list[Unit]:
    """The best sentences of the document for the claim, best first."""
    units = units_of(document)
    return [u for u, _, _ in ranked(units.plain(text), units, SENTENCES)]
