"""NLVR: true or false English statements, written by people, about three boxes of drawn shapes (Suhr et al., ACL 2017; CC BY 4.0).

Imports the model, the training and the image cutter. Refuses to score on sentences it was trained on. The folder holds dev.jsonl, perhaps test.jsonl, and
images/. The authors' large training file is not needed: where test.jsonl is there, dev trains and test scores; else a fifth of dev's sentences (whole
sentences, with all their pictures) scores. Far less data than the authors used, so figures are read against the majority.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sovereign.errors import LabInput, NotFound
from sovereign.lab.vision.datasets import image_patches
from sovereign.lab.vision.tasks import PATCH, Scenes
from sovereign.lab.vision.training import Data, Recipe, answers, train_alone
from sovereign.lab.vision.vlm import VlmSpec

BOXES = ((0, 0, 100, 100), (150, 0, 250, 100), (300, 0, 400, 100))  # of the 400 x 100 picture
SIDE = 3  # patches per box side: one patch covers 33 x 33 pixels
PATCHES = len(BOXES) * SIDE * SIDE
SPECIAL = ("<blank>", "<ask>", "true", "false", "<unknown>")
WORDS_PER_SENTENCE = 24


@dataclass(frozen=True)
class Statement:
    """identifier: <sentence>-<picture>; pictures of one sentence share the first part."""

    identifier: str
    sentence: str
    truth: bool
    image: Path


def load(folder: Path, split: str) -> tuple[Statement, ...]:
    """Raises NotFound for a missing folder or file, LabInput for rows without sentence, label or identifier."""
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        raise NotFound(
            f"The file {path} does not exist.", mend="Give the folder with NLVR's dev.jsonl, test.jsonl and images.", subject=str(path)
        )
    out = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            truth = {"true": True, "false": False}[row["label"]]
            out.append(Statement(row["identifier"], row["sentence"], truth, folder / "images" / f"{split}-{row['identifier']}-0.png"))
        except (json.JSONDecodeError, KeyError, TypeError) as exc:
            raise LabInput(f"{path.name} line {number} is not an NLVR row ({exc}).", mend="Fetch the file again.") from exc
    if not out:
        raise LabInput(f"{path.name} is empty.", mend="Fetch the file again.")
    return tuple(out)


def train_and_test(folder: Path) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """Two sets that share no sentence identifier."""
    dev = load(folder, "dev")
    if (folder / "test.jsonl").is_file():
        return dev, load(folder, "test")

    def held(s: Statement) -> bool:
        return hashlib.sha256(s.identifier.split("-")[0].encode()).digest()[0] < 256 // 5

    return tuple(s for s in dev if not held(s)), tuple(s for s in dev if held(s))


class Vocabulary:
    """Words of the training sentences seen at least twice; others become <unknown>."""

    def __init__(self, statements: Sequence[Statement]):
        counted = Counter(w for s in statements for w in split_words(s.sentence))
        self.words = (*SPECIAL, *sorted(w for w, n in counted.items() if n >= 2))
        self._id = {w: i for i, w in enumerate(self.words)}

    def encode(self, sentence: str) -> list[int]:
        """Left-padded to WORDS_PER_SENTENCE, <ask> last; longer sentences lose their beginning."""
        ids = [self._id.get(w, self._id["<unknown>"]) for w in split_words(sentence)][-(WORDS_PER_SENTENCE - 1) :]
        return [0] * (WORDS_PER_SENTENCE - 1 - len(ids)) + ids + [self._id["<ask>"]]


def split_words(sentence: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", sentence.lower())


@dataclass(frozen=True)
class Encoded:
    """pixels uint8 (N, 27, P), words (N, W), answer (N,): 2 true, 3 false."""

    pixels: Tensor
    words: Tensor
    answer: Tensor


def encode(statements: Sequence[Statement], vocabulary: Vocabulary) -> Encoded:
    pictures = []
    for s in statements:
        boxes = [torch.from_numpy(image_patches(s.image, SIDE, PATCH, box).copy()) for box in BOXES]
        pictures.append(torch.cat(boxes))
    words = torch.tensor([vocabulary.encode(s.sentence) for s in statements])
    return Encoded(torch.stack(pictures), words, torch.tensor([2 if s.truth else 3 for s in statements]))


def permuted(encoded: Encoded, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures of the given rows with their boxes in random order: a statement's truth does not depend on it (the set has all 6 orders)."""
    orders = torch.tensor(list(itertools.permutations(range(len(BOXES)))))
    order_NB = orders[torch.randint(0, len(orders), (len(rows),), generator=generator)]
    boxes = encoded.pixels[rows].unflatten(1, (len(BOXES), -1))
    return boxes[torch.arange(len(rows))[:, None], order_NB].flatten(1, 2)


@dataclass(frozen=True)
class NlvrResult:
    """Accuracy per seed on statements with unseen sentences, and the share of their majority answer."""

    accuracy: tuple[float, ...]
    majority: float
    statements: int
    trained_on: int


def train_and_score(
    spec: VlmSpec, folder: Path, seeds: Sequence[int], steps: int = 400, batch: int = 64, limit: int | None = None
) -> NlvrResult:
    """One model per seed; see train_and_test. limit: use only so many statements of each (a quick look)."""
    train_set, test_set = (part[:limit] for part in train_and_test(folder))
    vocabulary = Vocabulary(train_set)
    spec = replace(spec, patches=PATCHES, vocab=len(vocabulary.words))
    recipe = Recipe(steps=steps, scenes=batch, lr=1e-3, patch_weight=0.0, weight_decay=0.1)
    seen, unseen = encode(train_set, vocabulary), encode(test_set, vocabulary)
    scores = []
    for seed in seeds:
        model = train_alone(spec, recipe, seed, data=_epochs(seen, recipe, seed))
        scenes = Scenes(torch.zeros(len(test_set), 1, dtype=torch.long), torch.zeros(len(test_set), dtype=torch.bool), unseen.pixels)
        given = answers(model, scenes, unseen.words[:, None])[:, 0]
        scores.append(float((given == unseen.answer).float().mean()))
    share = float((unseen.answer == 2).float().mean())
    return NlvrResult(tuple(scores), max(share, 1 - share), len(test_set), len(train_set))


def _epochs(encoded: Encoded, recipe: Recipe, seed: int) -> Data:
    g = torch.Generator().manual_seed(seed)
    total, n = recipe.steps * recipe.scenes, len(encoded.answer)
    rows = torch.cat([torch.randperm(n, generator=g) for _ in range(-(-total // n))])[:total]
    return Data(
        permuted(encoded, rows, g)[None],
        torch.zeros(1, total, 1, dtype=torch.long),
        encoded.words[rows][None, :, None],
        encoded.answer[rows][None, :, None],
        torch.ones(1, total, 1, dtype=torch.bool),
    )
