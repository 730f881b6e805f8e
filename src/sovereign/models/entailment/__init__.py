"""The entailment extra: a small trained pair model. Imports errors; torch and safetensors lazily. Refuses to choose passages or to rule.

`load()` gives a scorer for sovereign.kernel.verify.entailment.EntailmentVerifier; it raises MissingExtra without the extra, NotFound without the
weights. The model card is card.json beside this file: data with licences, seed, thresholds, and the sha256 of delta.safetensors and head.json,
checked on loading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sovereign.errors import IntegrityBroken, NotFound
from sovereign.models.entailment.weigh import Probabilities, features, weigh

HERE = Path(__file__).parent
BATCH = 32


class PairModel:
    """Satisfies kernel.verify.entailment.PassageScorer: raw probabilities per pair, one calibrated judgement per document."""

    def __init__(self, network: Any, tokenizer: Any, card: Mapping[str, Any], head: Mapping[str, Any]):
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.card, self.head = card, head
        self.name = str(card["name"])
        self.version = str(card["version"])
        self.support_at = float(card["support_at"])
        self.refute_at = float(card["refute_at"])

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Probabilities]:
        """(P(support), P(refute), P(no evidence)) per (claim, premise), each summing to 1; multiplied in bfloat16."""
        import torch

        from sovereign.models.entailment.network import encode

        out: list[Probabilities] = []
        for at in range(0, len(pairs), BATCH):
            batch = encode(self.tokenizer, list(pairs[at : at + BATCH]))
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                logits = self.network(**batch).float()
            out += [(float(s), float(r), float(n)) for s, r, n in torch.softmax(logits, dim=-1)]
        return out

    def weigh(self, claim: str, sentences: Sequence[str], closeness: Sequence[float], scores: Sequence[Probabilities]) -> Probabilities:
        """The calibrated regression over the scores of one document."""
        return weigh(features(claim, sentences, closeness, scores), self.head)


def load(folder: Path = HERE) -> PairModel:
    """The shipped pair model. Raises MissingExtra or NotFound with the mending command; IntegrityBroken when a file is not the one on the card."""
    files = {name: folder / name for name in ("delta.safetensors", "head.json", "card.json")}
    if not all(f.is_file() for f in files.values()):
        raise NotFound(
            "The entailment weights are not part of this build.", mend="Train them: python benchmarks/train_entailment.py --help"
        )
    card = json.loads(files["card.json"].read_text(encoding="utf-8"))
    for name, digest in card["sha256"].items():
        if hashlib.sha256(files[name].read_bytes()).hexdigest() != digest:
            raise IntegrityBroken(f"{name} of the entailment extra is not the file on its card.", mend="Install sovereign-kernel again.")
    from sovereign.models.entailment.network import apply, base_folder, build

    network, tokenizer = build(base_folder())
    from safetensors.torch import load_file

    apply(network, load_file(str(files["delta.safetensors"])))
    return PairModel(network, tokenizer, card, json.loads(files["head.json"].read_text(encoding="utf-8")))
