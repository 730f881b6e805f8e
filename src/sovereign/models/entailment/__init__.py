"""The entailment extra: a small trained pair model. Imports errors; torch, transformers and safetensors lazily. Refuses to choose passages or to rule.

`load()` gives a scorer for sovereign.kernel.verify.entailment.EntailmentVerifier; it raises MissingExtra without the extra
and NotFound without the trained weights.
The model card is card.json beside this file: data, seed, thresholds, calibration, measured figures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sovereign.errors import NotFound

HERE = Path(__file__).parent
BATCH = 32


class PairModel:
    """Satisfies kernel.verify.entailment.PairScorer. Probabilities are calibrated by one temperature."""

    def __init__(self, network: Any, tokenizer: Any, card: dict[str, Any]):
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.card = card
        self.name = str(card["name"])
        self.version = str(card["version"])
        self.support_at = float(card["support_at"])
        self.refute_at = float(card["refute_at"])

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, float, float]]:
        """(P(support), P(refute), P(no evidence)) per (claim, premise), each summing to 1."""
        import torch

        from sovereign.models.entailment.network import encode

        out: list[tuple[float, float, float]] = []
        with torch.inference_mode():
            for at in range(0, len(pairs), BATCH):
                batch = encode(self.tokenizer, list(pairs[at : at + BATCH]))
                logits = self.network(**batch).float() / float(self.card["temperature"])
                out += [(float(s), float(r), float(n)) for s, r, n in torch.softmax(logits, dim=-1)]
        return out


def load() -> PairModel:
    """The shipped pair model. Raises MissingExtra or NotFound with the command that mends it."""
    weights, card = HERE / "delta.safetensors", HERE / "card.json"
    if not weights.is_file() or not card.is_file():
        raise NotFound(
            "The entailment weights are not part of this build.", mend="Train them: python benchmarks/train_entailment.py --help"
        )
    from sovereign.models.entailment.network import apply, base_folder, build

    network, tokenizer = build(base_folder())
    from safetensors.torch import load_file

    apply(network, load_file(str(weights)))
    return PairModel(network, tokenizer, json.loads(card.read_text(encoding="utf-8")))
