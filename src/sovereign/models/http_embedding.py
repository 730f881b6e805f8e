"""Embedders over HTTP: NVIDIA NIM's nv-embedqa-e5-v5 and any OpenAI-compatible one. Imports ports' neighbours, httpx through _wire, numpy.

nv-embedqa-e5-v5 gives 1024 dimensions and tells queries from passages (`input_type`); it reads 512 tokens, and what is longer is cut at its end by the service
(`truncate: END`) rather than refused. Texts go in batches, in order; an empty text is never sent and gives a zero row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sovereign.errors import ModelFailed
from sovereign.models._wire import Wire
from sovereign.models.accounting import FREE, Budget, Price, tokens

NIM_MODEL, NIM_DIMENSION = "nvidia/nv-embedqa-e5-v5", 1024
BATCH = 64
KINDS = ("query", "passage")


class HttpEmbedder:
    """Satisfies ports.Embedder. `asymmetric`: the service wants input_type and truncate (NIM). The dimension is checked on every answer."""

    def __init__(
        self,
        wire: Wire,
        model: str,
        dimension: int,
        *,
        provider: str,
        asymmetric: bool = False,
        price: Price = FREE,
        budget: Budget | None = None,
        batch: int = BATCH,
    ):
        self.wire, self.model, self.dimension, self.asymmetric = wire, model, dimension, asymmetric
        self.price, self.budget, self.batch = price, budget or Budget(float("inf")), batch
        self.name = f"{provider}:{model}/{dimension}"

    def embed(self, texts: Sequence[str], *, kind: str) -> Any:
        """float32 (N, dimension), unit rows. Raises ModelFailed; ValueError for a kind that is neither query nor passage."""
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}, not one of {', '.join(KINDS)}")
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        filled = [i for i, t in enumerate(texts) if t.strip()]
        for start in range(0, len(filled), self.batch):
            rows = filled[start : start + self.batch]
            out[rows] = self._batch([texts[i] for i in rows], kind)
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        return np.divide(out, norms, out=np.zeros_like(out), where=norms > 1e-12)

    def _batch(self, texts: list[str], kind: str) -> Any:
        body: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": "float"}
        if self.asymmetric:
            body |= {"input_type": kind, "truncate": "END"}
        n = sum(map(tokens, texts))
        reserved = self.budget.reserve(self.price, n, 0, model=self.name)
        try:
            answer = self.wire.post("/embeddings", body)
        except ModelFailed:
            self.budget.release(reserved)
            raise
        self.budget.settle(self.price, reserved, n, 0, model=self.name)
        return self._rows(answer, len(texts))

    def _rows(self, answer: Any, wanted: int) -> Any:
        try:
            items = sorted(answer["data"], key=lambda d: d["index"])
            places = [d["index"] for d in items]
            rows = np.asarray([d["embedding"] for d in items], dtype=np.float32)
        except (KeyError, TypeError, ValueError) as exc:
            raise self._bad("answered with something that is no list of embeddings") from exc
        if places != list(range(wanted)) or rows.shape != (wanted, self.dimension):
            shape = "×".join(map(str, rows.shape))
            raise self._bad(f"gave {shape} numbers for {wanted} texts of {self.dimension} dimensions")
        if not np.isfinite(rows).all():
            raise self._bad("gave numbers that are not finite")
        return rows

    def _bad(self, what: str) -> ModelFailed:
        return ModelFailed(f"{self.name} {what}.", model=self.name, kind="bad_shape", mend="Check the embedder's name and dimension.")
