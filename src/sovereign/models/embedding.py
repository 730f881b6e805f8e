"""The base embedder: TF-IDF and truncated SVD fitted on the library itself. Imports scikit-learn lazily; refuses to mix generations.

Latent semantic analysis (Deerwester et al. 1990), as scikit-learn documents it: sublinear TF-IDF over words and word pairs, TruncatedSVD,
rows scaled to unit length. The name carries the dimension and a hash of the fitted weights, so that vectors of two fits are never compared.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from sovereign import seal
from sovereign.errors import IntegrityBroken

DIMENSION = 192
MAX_FEATURES = 40_000
FIT_SAMPLE = 8_000  # passages; more changes neighbours little and costs seconds
SEED = 20260701
SHARE = 0.1  # of the fused score in library search, chosen on SciFact train (benchmarks/retrieval.py)


class LatentEmbedder:
    """Satisfies ports.Embedder. Build with `fit`, store with `to_bytes`, get back with `from_bytes`."""

    def __init__(self, vocabulary: dict[str, int], idf: Any, components: Any):
        self.vocabulary, self.idf, self.components = vocabulary, idf, components
        self.dimension = int(components.shape[0])
        weights = seal.sha256(np.ascontiguousarray(components, dtype=np.float32).tobytes())
        self.name = f"tfidf-svd-{self.dimension}/{weights[:12]}"
        self._vectorizer: Any = None
        self._words: Any = None  # components by word: scipy would turn round and widen 30 MB for every query

    @classmethod
    def fit(cls, texts: Sequence[str]) -> LatentEmbedder:
        """Deterministic: a fixed sample, fixed seed, one sign convention. Works from two texts on."""
        from sklearn.decomposition import TruncatedSVD

        step = max(1, len(texts) // FIT_SAMPLE)
        sample = list(texts[::step])[:FIT_SAMPLE] or ["empty library"]
        vectorizer = _vectorizer(None)
        counts = vectorizer.fit_transform(sample)
        dimension = max(1, min(DIMENSION, counts.shape[1] - 1, counts.shape[0] - 1))
        if counts.shape[1] < 3 or counts.shape[0] < 3:
            components = np.eye(counts.shape[1], dtype=np.float32)[: max(1, dimension)]
        else:
            svd = TruncatedSVD(dimension, algorithm="randomized", n_iter=3, random_state=SEED)
            with one_thread():
                svd.fit(counts)
            components = svd.components_.astype(np.float32)
            components *= np.where(components[np.arange(len(components)), np.abs(components).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
        return cls({str(k): int(v) for k, v in vectorizer.vocabulary_.items()}, vectorizer.idf_.astype(np.float64), components)

    def embed(self, texts: Sequence[str], *, kind: str) -> Any:
        """float32 (N, dimension), unit rows; a text without a known word gives a zero row. `kind` makes no difference here."""
        if self._vectorizer is None:
            self._vectorizer = _vectorizer(self.vocabulary)
            self._vectorizer.idf_ = self.idf
            self._words = np.ascontiguousarray(self.components.T)
        with one_thread():
            vectors = np.asarray(self._vectorizer.transform(texts).astype(np.float32) @ self._words)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 1e-12)

    def to_bytes(self) -> bytes:
        words = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        buffer = io.BytesIO()
        packed = np.frombuffer("\n".join(words).encode("utf-8"), dtype=np.uint8)
        np.savez(buffer, words=packed, idf=self.idf, components=self.components)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, body: bytes) -> LatentEmbedder:
        try:
            with np.load(io.BytesIO(body), allow_pickle=False) as held:
                words = held["words"].tobytes().decode("utf-8").split("\n")
                return cls({w: i for i, w in enumerate(words)}, held["idf"], held["components"])
        except (ValueError, KeyError, OSError, EOFError) as exc:
            raise IntegrityBroken("The stored embedder cannot be read.", mend="Run: sovereign library reindex") from exc


def one_thread() -> Any:
    """One BLAS thread: on a shared machine more threads were measured 10-100 times slower; also keeps the sums in one order."""
    return _pools().limit(limits=1)


@lru_cache(maxsize=1)
def _pools() -> Any:
    """The BLAS libraries of this process: looking for them anew costs 2 ms a query."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _vectorizer(vocabulary: dict[str, int] | None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        sublinear_tf=True,
        stop_words="english",
        token_pattern=r"(?u)\b\w[\w\-]+\b",
        max_features=None if vocabulary else MAX_FEATURES,
        min_df=1,
        max_df=1.0,
        norm="l2",
        vocabulary=vocabulary,
    )
