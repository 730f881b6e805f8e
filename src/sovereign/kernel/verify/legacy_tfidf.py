"""The verifier `legacy_tfidf`: the original system's rule as reconstructed from its own outputs, kept for comparison. It never decides.

TfidfVectorizer(ngram_range=(1, 2), stop_words="english", sublinear_tf=True) fitted on claim and document, cosine >= 0.15 counted as "verified". The original
fitted on all claims of a draft and read abstracts only; fitting on the pair keeps the score a function of claim and source.
"""

from __future__ import annotations

from sovereign.records import Claim, Document, Judgement, Verdict

THRESHOLD = 0.15


class LegacyTfidf:
    """Cosine of TF-IDF bigrams between the claim and the abstract (the whole text when there is none)."""

    name = "legacy_tfidf"
    version = "1"

    def judge(self, claim: Claim, document: Document) -> Judgement:
        """SUPPORTED from 0.15 on, else NOT_FOUND: what the original would have printed. The combination ignores it."""
        score = cosine(claim.text, document.abstract or document.text)
        verdict = Verdict.SUPPORTED if score >= THRESHOLD else Verdict.NOT_FOUND
        return Judgement(
            self.name, self.version, verdict, f"TF-IDF cosine {score:.3f} (the original accepted from {THRESHOLD:.2f} on; not used)"
        )


def cosine(claim: str, text: str) -> float:
    """In [0, 1]; 0 when either side has no content word."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # lazily: 2 s of import that nobody else needs

    try:
        rows = TfidfVectorizer(ngram_range=(1, 2), stop_words="english", sublinear_tf=True).fit_transform([claim, text])
    except ValueError:  # nothing but stop words
        return 0.0
    return float((rows[0] @ rows[1].T).toarray()[0, 0])
