"""Drawn scenes and questions about them, made on the spot from a seed: visual questions, entailment and a hallucination probe.

Imports torch and errors. Refuses empty images and splits it does not know. Training scenes never show, and training questions never name, the held-out
colour-shape pairs; the `composition` split always shows at least one. Every kind is balanced so that the question text alone tells little;
`priors` measures how little.

Axis letters: N scenes, C cells (= patches), P numbers per patch, Q questions per scene, W words per question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sovereign.errors import LabInput

COLOURS = ("red", "green", "blue", "yellow", "white")
SHAPES = ("circle", "square", "triangle", "cross")
RGB = torch.tensor([[0.9, 0.15, 0.15], [0.15, 0.8, 0.2], [0.2, 0.3, 0.95], [0.95, 0.85, 0.15], [0.95, 0.95, 0.95]])
SIDE, PATCH = 3, 8
CELLS, PIXELS = SIDE * SIDE, PATCH * PATCH * 3
EMPTY, COVERED = 0, 1  # cell labels; an object is 2 + colour * len(SHAPES) + shape
HELD_OUT = tuple((i, i) for i in range(len(SHAPES)))  # (colour, shape) pairs that training never sees
VQA = ("colour", "shape", "count", "position", "compare", "existence")
KINDS = (*VQA, "entailment")
SPLITS = ("train", "test", "composition")
COUNTS = 4  # answers 0 to 3

WORDS = (
    *("<blank>", "<ask>", "yes", "no", "true", "false", "neither", "<covered>"),
    *COLOURS,
    *SHAPES,
    *(f"n{i}" for i in range(COUNTS)),
    *(f"cell{i}" for i in range(CELLS)),
    *(f"q:{k}" for k in KINDS),
)
WORD = {w: i for i, w in enumerate(WORDS)}
BLANK, ASK, YES, NO, TRUE, FALSE, NEITHER, COVER = range(8)
QUESTION_WORDS = 4  # kind, first argument, second argument, <ask>
PAIRS = len(COLOURS) * len(SHAPES)


@dataclass(frozen=True)
class Scenes:
    """label_NC: long cell labels; covered_N: bool, the scene has one covered cell. pixels_NCP: uint8 patches, row by row."""

    label_NC: Tensor
    covered_N: Tensor
    pixels_NCP: Tensor

    def __len__(self) -> int:
        return self.label_NC.shape[0]


@dataclass(frozen=True)
class Questions:
    """words_NQW, answer_NQ (a word), kind_NQ (index into KINDS), valid_NQ (False where the scene allows no such question: never scored)."""

    words_NQW: Tensor
    answer_NQ: Tensor
    kind_NQ: Tensor
    valid_NQ: Tensor


@dataclass(frozen=True)
class Probe:
    """Existence questions for the hallucination probe, one row per scene. `sort`: 0 present, 1 absent at random, 2 absent though its colour
    and its shape are both there (the adversarial sort of POPE and AMBER-like probes)."""

    words_NQW: Tensor
    sort_NQ: Tensor
    valid_NQ: Tensor


def glyphs() -> Tensor:
    """Masks of the shapes at nine offsets, float (shapes, 9, PATCH, PATCH)."""
    y, x = torch.meshgrid(torch.arange(PATCH).float(), torch.arange(PATCH).float(), indexing="ij")
    out = []
    for shape in SHAPES:
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                v, u = y - 3.5 - dy, x - 3.5 - dx
                out.append(
                    {
                        "circle": (u * u + v * v) <= 6.5,
                        "square": (u.abs() <= 2.1) & (v.abs() <= 2.1),
                        "triangle": (v <= 2.1) & (v >= -2.6) & (u.abs() <= (v + 3.0) * 0.55),
                        "cross": ((u.abs() <= 0.6) & (v.abs() <= 2.6)) | ((v.abs() <= 0.6) & (u.abs() <= 2.6)),
                    }[shape].float()
                )
    return torch.stack(out).view(len(SHAPES), 9, PATCH, PATCH)


def make_scenes(n: int, seed: int, split: str = "train", *, noise: float = 0.06) -> Scenes:
    """n scenes of 2 to 6 objects in 9 cells; half of them have one covered cell, a grey tile under which anything may lie.

    Raises LabInput for n < 1, an unknown split or a noise outside [0, 1].
    """
    if n < 1:
        raise LabInput(f"{n} scenes are no data.", mend="Ask for at least one scene.")
    if split not in SPLITS:
        raise LabInput(f"Unknown split {split!r}.", mend=f"Known: {', '.join(SPLITS)}.")
    if not 0.0 <= noise <= 1.0:
        raise LabInput(f"Noise {noise} is outside [0, 1].", mend="Use, for instance, 0.06.")
    g = torch.Generator().manual_seed(seed * 7919 + SPLITS.index(split))
    held = torch.zeros(PAIRS, dtype=torch.bool)
    held[[c * len(SHAPES) + s for c, s in HELD_OUT]] = True
    weight_P = torch.ones(PAIRS) if split == "composition" else (~held).float()
    pair_NC = torch.multinomial(weight_P.expand(n, -1), CELLS, replacement=True, generator=g)
    objects_N1 = torch.randint(2, 7, (n, 1), generator=g)
    place_NC = torch.rand(n, CELLS, generator=g).argsort(-1)  # place < objects: an object lies here
    if split == "composition":
        named = torch.tensor([c * len(SHAPES) + s for c, s in HELD_OUT])[torch.randint(0, len(HELD_OUT), (n,), generator=g)]
        pair_NC = torch.where(place_NC == 0, named[:, None], pair_NC)
    covered_N = torch.rand(n, generator=g) < 0.5
    label_NC = torch.where(place_NC < objects_N1, pair_NC + 2, EMPTY)
    label_NC = torch.where((place_NC == CELLS - 1) & covered_N[:, None], COVERED, label_NC)
    return Scenes(label_NC, covered_N, render(label_NC, noise, g))


def render(label_NC: Tensor, noise: float, g: torch.Generator) -> Tensor:
    """Patches (N, C, P) in uint8: a dark ground, a jittered glyph in its colour with random brightness, a striped grey tile, noise."""
    n, cells = label_NC.shape
    if n == 0 or cells == 0:
        raise LabInput("An empty image has no patches.", mend="Drop empty images first.")
    pair_NC = (label_NC - 2).clamp_min(0)
    offset_NC = torch.randint(0, 9, (n, cells), generator=g)
    mask = glyphs()[pair_NC % len(SHAPES), offset_NC] * (label_NC >= 2)[..., None, None]
    bright_NC = 0.75 + 0.25 * torch.rand(n, cells, generator=g)
    colour = RGB[pair_NC // len(SHAPES)] * bright_NC[..., None]
    image = 0.1 + mask[..., None] * (colour[:, :, None, None, :] - 0.1)
    stripes = 0.35 + 0.2 * ((torch.arange(PATCH)[:, None] + torch.arange(PATCH)) % 4 < 2).float()
    image = torch.where((label_NC == COVERED)[..., None, None, None], stripes[..., None], image)
    image = image + noise * torch.randn(image.shape, generator=g)
    return (image.clamp(0, 1) * 255).to(torch.uint8).view(n, cells, PIXELS)


def _pick(candidate_NX: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """One of the candidates of each row, uniformly, and whether there was one."""
    draw = torch.rand(candidate_NX.shape, generator=g) + candidate_NX.float() * 2
    return draw.argmax(-1), candidate_NX.any(-1)


class _Facts:
    """What is true of each scene, and which names a split may use."""

    def __init__(self, scenes: Scenes, split: str):
        label = scenes.label_NC
        is_object = label >= 2
        pair = (label - 2).clamp_min(0)
        self.pair_NCP = torch.nn.functional.one_hot(pair, PAIRS).bool() & is_object[..., None]
        self.pair_NP = self.pair_NCP.any(1)
        grid = self.pair_NCP.view(len(scenes), CELLS, len(COLOURS), len(SHAPES))
        self.colour_NCK = grid.any(-1)
        self.shape_NCH = grid.any(-2)
        self.colour_NK, self.shape_NH = self.colour_NCK.sum(1), self.shape_NCH.sum(1)
        self.covered_N = scenes.covered_N
        self.label_NC = label
        held_P = torch.zeros(PAIRS, dtype=torch.bool)
        held_P[[c * len(SHAPES) + s for c, s in HELD_OUT]] = True
        self.may_P = torch.ones(PAIRS, dtype=torch.bool) if split == "composition" else ~held_P

    def colour_and_shape(self) -> Tensor:
        """(N, pairs): the colour is somewhere and the shape is somewhere, not necessarily together."""
        return ((self.colour_NK > 0)[:, :, None] & (self.shape_NH > 0)[:, None, :]).flatten(1)


def _words(kind: str, first: Tensor, second: Tensor) -> Tensor:
    head = torch.full_like(first, WORD[f"q:{kind}"])
    return torch.stack((head, first, second, torch.full_like(first, ASK)), -1)


def _pair_words(pair_N: Tensor) -> tuple[Tensor, Tensor]:
    return pair_N // len(SHAPES) + WORD[COLOURS[0]], pair_N % len(SHAPES) + WORD[SHAPES[0]]


def _colour(f: _Facts, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    shape_N, ok_N = _pick(f.shape_NH == 1, g)
    rows = torch.arange(len(ok_N))
    cell_N = f.shape_NCH[rows, :, shape_N].float().argmax(-1)
    answer_N = f.colour_NCK[rows, cell_N].float().argmax(-1) + WORD[COLOURS[0]]
    first = shape_N + WORD[SHAPES[0]]
    return _words("colour", first, torch.full_like(first, BLANK)), answer_N, ok_N


def _shape(f: _Facts, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    colour_N, ok_N = _pick(f.colour_NK == 1, g)
    rows = torch.arange(len(ok_N))
    cell_N = f.colour_NCK[rows, :, colour_N].float().argmax(-1)
    answer_N = f.shape_NCH[rows, cell_N].float().argmax(-1) + WORD[SHAPES[0]]
    first = colour_N + WORD[COLOURS[0]]
    return _words("shape", first, torch.full_like(first, BLANK)), answer_N, ok_N


def _count(f: _Facts, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    count_NX = torch.cat((f.colour_NK, f.shape_NH), -1)
    target_N1 = torch.randint(0, COUNTS, (len(count_NX), 1), generator=g)
    what_N, ok_N = _pick(count_NX == target_N1, g)
    first = what_N + WORD[COLOURS[0]]  # shapes follow the colours in the vocabulary
    return _words("count", first, torch.full_like(first, BLANK)), target_N1[:, 0] + WORD["n0"], ok_N


def _position(f: _Facts, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    once_NX = torch.cat((f.colour_NK, f.shape_NH), -1) == 1
    what_N, ok_N = _pick(once_NX, g)
    where_NCX = torch.cat((f.colour_NCK, f.shape_NCH), -1)
    cell_N = where_NCX[torch.arange(len(ok_N)), :, what_N].float().argmax(-1)
    first = what_N + WORD[COLOURS[0]]
    return _words("position", first, torch.full_like(first, BLANK)), cell_N + WORD["cell0"], ok_N


def _compare(f: _Facts, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    k = len(COLOURS)
    more_NX = (f.colour_NK[:, :, None] > f.colour_NK[:, None, :]).flatten(1)
    differ_X = ~torch.eye(k, dtype=torch.bool).flatten()
    yes_N = torch.rand(len(more_NX), generator=g) < 0.5
    what_N, ok_N = _pick((more_NX == yes_N[:, None]) & differ_X, g)
    words = _words("compare", what_N // k + WORD[COLOURS[0]], what_N % k + WORD[COLOURS[0]])
    return words, torch.where(yes_N, YES, NO), ok_N


def _existence(f: _Facts, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    n = len(f.pair_NP)
    yes_N = torch.rand(n, generator=g) < 0.5
    adversarial_N = torch.rand(n, generator=g) < 0.5
    absent_NP = ~f.pair_NP & f.may_P
    near_NP = absent_NP & f.colour_and_shape()
    near_NP = torch.where(near_NP.any(-1, keepdim=True) & adversarial_N[:, None], near_NP, absent_NP)
    pair_N, ok_N = _pick(torch.where(yes_N[:, None], f.pair_NP, near_NP), g)
    return _words("existence", *_pair_words(pair_N)), torch.where(yes_N, YES, NO), ok_N


def _entailment(f: _Facts, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Claim "there is a <colour> <shape>" or "there is something <colour>": true if it is seen; false if it is not and nothing is covered;
    neither if it is not and a cell is covered. One third each."""
    n = len(f.pair_NP)
    seen_N = torch.rand(n, generator=g) < 1 / 3
    pair_N, pair_ok_N = _pick(torch.where(seen_N[:, None], f.pair_NP, ~f.pair_NP & f.may_P), g)
    colour_N, colour_ok_N = _pick((f.colour_NK > 0) == seen_N[:, None], g)
    simple_N = torch.rand(n, generator=g) < 0.5
    first_pair, second_pair = _pair_words(pair_N)
    first = torch.where(simple_N, colour_N + WORD[COLOURS[0]], first_pair)
    second = torch.where(simple_N, BLANK, second_pair)
    answer = torch.where(seen_N, TRUE, torch.where(f.covered_N, NEITHER, FALSE))
    return _words("entailment", first, second), answer, torch.where(simple_N, colour_ok_N, pair_ok_N)


_MAKERS = {
    "colour": _colour,
    "shape": _shape,
    "count": _count,
    "position": _position,
    "compare": _compare,
    "existence": _existence,
    "entailment": _entailment,
}


def ask(scenes: Scenes, seed: int, split: str = "train", kinds: tuple[str, ...] = KINDS) -> Questions:
    """One question of every kind about every scene (Q = number of kinds). Raises LabInput for an unknown kind."""
    unknown = [k for k in kinds if k not in _MAKERS]
    if unknown or not kinds:
        raise LabInput(f"Unknown kind of question {', '.join(unknown) or '(none given)'}.", mend=f"Known: {', '.join(KINDS)}.")
    g = torch.Generator().manual_seed(seed * 104729 + SPLITS.index(split))
    facts = _Facts(scenes, split)
    made = [_MAKERS[k](facts, g) for k in kinds]
    kind_NQ = torch.tensor([KINDS.index(k) for k in kinds]).expand(len(scenes), -1)
    words, answers, valid = (torch.stack([m[i] for m in made], 1) for i in range(3))
    return Questions(words, answers, kind_NQ, valid)


def probe(scenes: Scenes, seed: int) -> Probe:
    """Three existence questions per scene: a present pair, a random absent one, an adversarial absent one (where the scene allows it)."""
    g = torch.Generator().manual_seed(seed * 15485863)
    f = _Facts(scenes, "test")
    absent_NP = ~f.pair_NP & f.may_P
    near_NP = absent_NP & f.colour_and_shape()
    picked = [_pick(c, g) for c in (f.pair_NP, absent_NP & ~near_NP, near_NP)]
    words = torch.stack([_words("existence", *_pair_words(pair)) for pair, _ in picked], 1)
    return Probe(words, torch.arange(3).expand(len(scenes), -1), torch.stack([ok for _, ok in picked], 1))


def priors(train: Questions, test: Questions) -> dict[str, float]:
    """Best accuracy on `test` without looking at the image, per kind: for each question text the most frequent training answer.

    Ties and unseen texts fall back to the kind's most frequent answer. This is the bar that "above its prior" means.
    """
    out = {}
    for q in range(train.words_NQW.shape[1]):
        text_train, text_test = _text_id(train.words_NQW[:, q]), _text_id(test.words_NQW[:, q])
        keep, score = train.valid_NQ[:, q], test.valid_NQ[:, q]
        table = torch.zeros(len(WORDS) ** 2, len(WORDS))
        table.index_put_((text_train[keep], train.answer_NQ[keep, q]), torch.ones(int(keep.sum())), accumulate=True)
        overall = table.sum(0)
        guess = (table + overall / overall.sum() * 0.5)[text_test].argmax(-1)
        hits = (guess == test.answer_NQ[:, q])[score]
        out[KINDS[int(train.kind_NQ[0, q])]] = float(hits.float().mean())
    return out


def _text_id(words_NW: Tensor) -> Tensor:
    return words_NW[:, 1] * len(WORDS) + words_NW[:, 2]
