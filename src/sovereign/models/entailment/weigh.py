"""From pair scores to one judgement of a document: features and a calibrated logistic regression. Imports numpy; refuses to read files.

One pair is (claim, the best sentences together), the others (claim, one sentence). What the pair network says of each, how close the words are and
whether exactly one side is negated go into the regression, whose coefficients stand in head.json beside this file. Classes in the order SUPPORT,
REFUTE, NEI.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Probabilities = tuple[float, float, float]
TOGETHER = 3  # sentences that are read as one premise
_FLOOR = 1e-4
_WORD = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
_NEGATION = re.compile(
    r"\b(?:not?|never|neither|nor|without|cannot|fail(?:s|ed)?|lacks?|lacking|absence|unable|un(?:likely|affected|changed))\b|n't\b", re.I
)
FEATURES = (
    "together: log odds support against refute", "together: log odds evidence against none", "together: log P(support)", "together: log P(refute)",
    "best: log P(support)", "best: log P(refute)", "most relevant: log odds support against refute", "most relevant: log odds evidence",
    "mean by relevance: support minus refute", "sum of relevance", "words of the claim said together", "words of the claim said by the closest",
    "figures of the claim missing", "closeness of the first", "closeness of the second", "claim negated", "exactly one side negated", "length of the claim",
)  # fmt: skip


def features(claim: str, sentences: Sequence[str], closeness: Sequence[float], scores: Sequence[Probabilities]) -> Any:
    """float64 (len(FEATURES),). `sentences` best first with their closeness (0..1); `scores`: first of all together, then of each sentence."""
    together, single = np.log(np.clip(scores[0], _FLOOR, 1.0)), np.clip(np.array(scores[1:]), _FLOOR, 1.0)
    logs, relevance = np.log(single), 1.0 - single[:, 2] + _FLOOR
    best = int(np.argmax(relevance))
    words = _words(claim)
    said = [_words(s) for s in sentences]
    first = set().union(*said[:TOGETHER])
    figures = {w for w in words if w[0].isdigit()}
    negated = bool(_NEGATION.search(claim))
    return np.array([
        together[0] - together[1], math.log(max(_FLOOR, 1.0 - scores[0][2])) - together[2], together[0], together[1],
        logs[:, 0].max(), logs[:, 1].max(), logs[best, 0] - logs[best, 1], math.log(relevance[best]) - logs[best, 2],
        float((relevance * (single[:, 0] - single[:, 1])).sum() / relevance.sum()), math.log1p(float(relevance.sum())),
        len(words & first) / max(1, len(words)), max(len(words & s) for s in said) / max(1, len(words)),
        float(len(figures - first)), closeness[0], closeness[1] if len(closeness) > 1 else 0.0,
        float(negated), float(negated != bool(_NEGATION.search(sentences[best]))), math.log1p(len(words)),
    ])  # fmt: skip


def weigh(row: Any, head: Mapping[str, Any]) -> Probabilities:
    """Softmax of the regression on standardised features, at the head's temperature."""
    x = (np.asarray(row) - np.array(head["mean"])) / np.array(head["scale"])
    logits = (np.array(head["coefficients"]) @ x + np.array(head["intercepts"])) / float(head["temperature"])
    e = np.exp(logits - logits.max())
    support, refute, none = (e / e.sum()).tolist()
    return support, refute, none


def _words(text: str) -> set[str]:
    """Content words by their first six letters: enough to join an inflection to its stem."""
    return {w[:6] for w in _WORD.findall(text.lower()) if len(w) > 3 or w[0].isdigit()}
