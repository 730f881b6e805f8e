"""The verifier `semantic`: cosine of hashed character n-grams (stateless, deterministic). Informs and ranks; refuses to affirm or to refute."""

from __future__ import annotations

from sovereign.kernel.verify.select import ranked
from sovereign.kernel.verify.slots import span_of
from sovereign.kernel.verify.units import units_of
from sovereign.records import Claim, Document, Judgement, Verdict

RELATED = 0.45


class SemanticVerifier:
    """Nearest unit by cosine of hashed n-grams (1024 dimensions)."""

    name = "semantic"
    version = "1"

    def judge(self, claim: Claim, document: Document) -> Judgement:
        """UNRESOLVED when a passage is near, else NOT_FOUND; never more."""
        units = units_of(document)
        best = max(ranked(units.plain(claim.text), units, 4), default=None, key=lambda x: (x[2], -x[0].start))
        cosine = best[2] if best else 0.0
        if best is None or cosine < RELATED:
            return Judgement(self.name, self.version, Verdict.NOT_FOUND, f"cosine {cosine:.3f}, below {RELATED}")
        reason = f"cosine {cosine:.3f}: near, which proves nothing"
        return Judgement(self.name, self.version, Verdict.UNRESOLVED, reason, None, None, (span_of(best[0], document),))
