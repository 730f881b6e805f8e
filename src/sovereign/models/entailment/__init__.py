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
        self.network = network.eval().bfloat16()
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

        out: list[Probabilities] = [(0.0, 0.0, 0.0)] * len(pairs)
        for rows in alike([len(c) + len(p) for c, p in pairs]):
            with torch.inference_mode():
                logits = self.network(**encode(self.tokenizer, [pairs[i] for i in rows])).float()
            for i, (support, refute, none) in zip(rows, torch.softmax(logits, dim=-1).tolist()):
                out[i] = (support, refute, none)
        return out

    def weigh(self, claim: str, sentences: Sequence[str], closeness: Sequence[float], scores: Sequence[Probabilities]) -> Probabilities:
        """The calibrated regression over the scores of one document."""
        return weigh(features(claim, sentences, closeness, scores), self.head)


def alike(lengths: Sequence[int]) -> list[list[int]]:
    """Batches of like length, the longest at most 1.4 times the shortest: a padded token costs as much as a real one."""
    out: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if out and len(out[-1]) < BATCH and lengths[i] <= 1.4 * lengths[out[-1][0]]:
            out[-1].append(i)
        else:
            out.append([i])
    return out


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
