"""The verifier `lexical`: how much of the claim's content one passage repeats. Informs and ranks; refuses to affirm or to refute."""

from __future__ import annotations

from sovereign.kernel.language.scan import scan
from sovereign.kernel.verify.align import align
from sovereign.kernel.verify.select import ranked
from sovereign.kernel.verify.slots import span_of
from sovereign.kernel.verify.units import units_of
from sovereign.records import Claim, Document, Judgement, Verdict

RELATED = 0.5


class LexicalVerifier:
    """Share of aligned content words in the best unit (BM25 and n-grams select it)."""

    name = "lexical"
    version = "1"

    def judge(self, claim: Claim, document: Document) -> Judgement:
        """UNRESOLVED when a passage is about the same things, else NOT_FOUND; never more."""
        units = units_of(document)
        plain = scan(units.plain(claim.text))
        best = max(
            ((align(plain, u).own_coverage, -u.start, u) for u, _, _ in ranked(plain.text, units, 4)), default=None, key=lambda x: x[:2]
        )
        if best is None or best[0] < RELATED:
            return Judgement(self.name, self.version, Verdict.NOT_FOUND, f"shared content {best[0] if best else 0.0:.2f}, below {RELATED}")
        return Judgement(
            self.name, self.version, Verdict.UNRESOLVED, f"shared content {best[0]:.2f}: about the same things, which proves nothing", None, None,
            (span_of(best[2], document),),
        )  # fmt: skip
