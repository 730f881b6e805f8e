"""Drawn scenes: answers are true of the picture, classes are balanced, held-out pairs stay held out, and seeds decide everything."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import LabInput  # noqa: E402
from sovereign.lab.vision.tasks import (  # noqa: E402
    ASK,
    CELLS,
    COLOURS,
    COVERED,
    FALSE,
    HELD_OUT,
    KINDS,
    NEITHER,
    NO,
    SHAPES,
    TRUE,
    VQA,
    WORD,
    WORDS,
    YES,
    ask,
    make_scenes,
    priors,
    probe,
    render,
)

pytestmark = pytest.mark.lab
SCENES = make_scenes(1500, 3, "test")
QUESTIONS = ask(SCENES, 3, "test")


def objects(i: int) -> list[tuple[int, str, str]]:
    return [
        (cell, COLOURS[(label - 2) // len(SHAPES)], SHAPES[(label - 2) % len(SHAPES)])
        for cell, label in enumerate(SCENES.label_NC[i].tolist())
        if label >= 2
    ]


def expected(kind: str, first: str, second: str, i: int) -> str:
    """An independent reading of each question, object by object."""
    found = objects(i)
    named = [o for o in found if first in o[1:]]
    pair = [o for o in found if (o[1], o[2]) == (first, second)]
    if kind == "colour":
        return named[0][1]
    if kind == "shape":
        return named[0][2]
    if kind == "count":
        return f"n{len(named)}"
    if kind == "position":
        return f"cell{named[0][0]}"
    if kind == "compare":
        return "yes" if len(named) > sum(second == o[1] for o in found) else "no"
    if kind == "existence":
        return "yes" if pair else "no"
    seen = bool(named) if second == "<blank>" else bool(pair)
    return "true" if seen else "neither" if COVERED in SCENES.label_NC[i].tolist() else "false"


def test_every_valid_answer_is_true_of_its_scene() -> None:
    checked = 0
    for i in range(400):
        for q, kind in enumerate(KINDS):
            if QUESTIONS.valid_NQ[i, q]:
                words = [WORDS[w] for w in QUESTIONS.words_NQW[i, q].tolist()]
                assert words[0] == f"q:{kind}" and words[3] == WORDS[ASK]
                assert WORDS[int(QUESTIONS.answer_NQ[i, q])] == expected(kind, words[1], words[2], i), (i, words)
                checked += 1
    assert checked > 2400


def test_entailment_is_a_third_each_and_yes_no_half_each() -> None:
    """1500 scenes: sd of a third is 0.012, of a half 0.013; bounds are 4 sd."""
    entail = QUESTIONS.answer_NQ[:, KINDS.index("entailment")]
    for answer in (TRUE, FALSE, NEITHER):
        assert abs(float((entail == answer).float().mean()) - 1 / 3) < 0.05
    for kind in ("compare", "existence"):
        got = QUESTIONS.answer_NQ[QUESTIONS.valid_NQ[:, KINDS.index(kind)], KINDS.index(kind)]
        assert abs(float((got == YES).float().mean()) - 0.5) < 0.055 and set(got.tolist()) == {YES, NO}


def test_the_question_text_alone_tells_little() -> None:
    """The fault of the first prototype: a class prior of .6 in entailment, which nothing beat."""
    train = make_scenes(4000, 4, "train")
    bar = priors(ask(train, 4, "train"), QUESTIONS)
    assert bar["entailment"] < 0.40 and bar["existence"] < 0.58 and bar["compare"] < 0.60
    assert bar["colour"] < 0.32 and bar["position"] < 0.17 and set(bar) == set(KINDS)


def test_held_out_pairs_are_never_drawn_or_named_in_training_and_always_drawn_in_composition() -> None:
    held = {c * len(SHAPES) + s + 2 for c, s in HELD_OUT}
    train = make_scenes(2000, 5, "train")
    assert not held & set(train.label_NC.unique().tolist())
    named = {(WORD[COLOURS[c]], WORD[SHAPES[s]]) for c, s in HELD_OUT}
    asked = ask(train, 5, "train")
    assert not named & {tuple(p) for p in asked.words_NQW[:, :, 1:3].reshape(-1, 2).tolist()}
    composition = make_scenes(500, 5, "composition")
    assert all(held & set(row) for row in composition.label_NC.tolist())
    assert named & {tuple(p) for p in ask(composition, 5, "composition").words_NQW[:, :, 1:3].reshape(-1, 2).tolist()}


def test_seed_and_split_decide_everything_and_nothing_else_does() -> None:
    a, b = make_scenes(20, 7, "train"), make_scenes(20, 7, "train")
    assert torch.equal(a.pixels_NCP, b.pixels_NCP) and torch.equal(ask(a, 1).words_NQW, ask(b, 1).words_NQW)
    assert not torch.equal(a.label_NC, make_scenes(20, 8, "train").label_NC)
    assert not torch.equal(a.label_NC, make_scenes(20, 7, "test").label_NC)


def test_pixels_show_the_labels_and_covers_look_like_nothing_else() -> None:
    label = torch.tensor([[0, COVERED, 2, 2 + len(SHAPES), *[0] * (CELLS - 4)]])
    pixels = render(label, 0.0, torch.Generator().manual_seed(0)).view(CELLS, -1, 3).float() / 255
    mean = pixels.mean(1)
    assert float(mean[0].max()) < 0.12 and float(mean[1].min()) > 0.3
    assert mean[2].argmax() == 0 and mean[3].argmax() == 1  # red circle, green circle


def test_the_probe_asks_for_what_it_says() -> None:
    made = probe(SCENES, 1)
    for i in range(200):
        found = {(c, s) for _, c, s in objects(i)}
        for q in range(3):
            if not made.valid_NQ[i, q]:
                continue
            pair = (WORDS[int(made.words_NQW[i, q, 1])], WORDS[int(made.words_NQW[i, q, 2])])
            assert (pair in found) is (q == 0)
            both = pair[0] in {c for c, _ in found} and pair[1] in {s for _, s in found}
            assert both is (q != 1)
    assert float(made.valid_NQ.float().mean(0).min()) > 0.8


def test_bad_requests_are_refused() -> None:
    cases = (
        (lambda: make_scenes(0, 1), "no data"),
        (lambda: make_scenes(3, 1, "dev"), "Unknown split"),
        (lambda: make_scenes(3, 1, noise=2.0), "outside"),
        (lambda: ask(SCENES, 1, "test", ("sound",)), "Unknown kind"),
        (lambda: ask(SCENES, 1, "test", ()), "none given"),
        (lambda: render(torch.zeros(3, 0, dtype=torch.long), 0.1, torch.Generator()), "empty image"),
    )
    for make, says in cases:
        with pytest.raises(LabInput, match=says):
            make()
    assert len(VQA) == 6
