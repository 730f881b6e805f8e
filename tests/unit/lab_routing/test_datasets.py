"""Official file formats, on small files written here in those formats; and NLVR where its data lies beside the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
image = pytest.importorskip("PIL.Image")

from sovereign.errors import LabInput, NotFound  # noqa: E402
from sovereign.lab.vision import nlvr  # noqa: E402
from sovereign.lab.vision.datasets import image_patches, load, vqa_accuracy  # noqa: E402
from sovereign.lab.vision.vlm import VlmSpec  # noqa: E402

pytestmark = pytest.mark.lab
SHARED = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "nlvr"


def put(path: Path, content: object, lines: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in content) if lines else json.dumps(content))


def test_vqa_v2(tmp_path: Path) -> None:
    questions = [
        {"image_id": 42, "question": "What colour is the hat?", "question_id": 42000},
        {"image_id": 1, "question": "?", "question_id": 7},
    ]
    ten = [{"answer": "red" if i < 4 else "dark red", "answer_confidence": "yes", "answer_id": i + 1} for i in range(10)]
    annotation = {"question_id": 42000, "image_id": 42, "answer_type": "other", "multiple_choice_answer": "dark red", "answers": ten}
    put(tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": questions})
    put(tmp_path / "v2_mscoco_val2014_annotations.json", {"annotations": [annotation]})
    found = load("vqa_v2", tmp_path, "val")
    (one,) = found.examples
    assert one.image == tmp_path / "val2014" / "COCO_val2014_000000000042.jpg" and len(one.answers) == 10 and one.kind == "other"
    assert found.skipped == {"no annotation": 1}
    assert vqa_accuracy("Red", one.answers) == 1.0  # 4 agree: at least 3 in every subset


def test_vqa_accuracy_is_the_official_mean_over_subsets() -> None:
    answers = ("a",) * 2 + ("b",) * 8
    # leaving out an "a" (2 of 10 times): 1/3; leaving out a "b": 2/3
    assert abs(vqa_accuracy("a", answers) - (2 * (1 / 3) + 8 * (2 / 3)) / 10) < 1e-12
    assert vqa_accuracy("c", answers) == 0.0 and vqa_accuracy("b", answers) == 1.0
    with pytest.raises(LabInput):
        vqa_accuracy("a", ())


def test_visual7w(tmp_path: Path) -> None:
    pair = {"qa_id": 5, "question": "What is it?", "answer": "A dog.", "multiple_choices": ["A cat.", "A cow.", "A fox."], "type": "what"}
    images = [
        {"image_id": 1, "filename": "v7w_1.jpg", "split": "val", "qa_pairs": [pair, {**pair, "qa_id": 6, "multiple_choices": []}]},
        {"image_id": 2, "filename": "v7w_2.jpg", "split": "test", "qa_pairs": [pair]},
    ]
    put(tmp_path / "dataset_v7w_telling.json", {"dataset": "v7w_telling", "images": images})
    found = load("visual7w", tmp_path, "val")
    assert len(found.examples) == 1 and found.skipped == {"not three wrong choices": 1}
    assert found.examples[0].answers == ("A dog.",) and set(found.examples[0].choices) == {"A dog.", "A cat.", "A cow.", "A fox."}


def test_snli_ve(tmp_path: Path) -> None:
    row = {"Flickr30K_ID": "123", "gold_label": "neutral", "sentence1": "x", "sentence2": "A man sleeps.", "pairID": "123.jpg#0r1n"}
    put(tmp_path / "snli_ve_dev.jsonl", [row, {**row, "gold_label": "-"}], lines=True)
    found = load("snli_ve", tmp_path, "dev")
    assert found.examples[0].answers == ("neutral",) and found.examples[0].image == tmp_path / "flickr30k_images" / "123.jpg"
    assert found.skipped == {"no gold label": 1}


def test_amber(tmp_path: Path) -> None:
    queries = [
        {"id": 1, "image": "AMBER_1.jpg", "query": "Describe this image."},
        {"id": 1005, "image": "AMBER_1.jpg", "query": "Is there a cloud in this image?"},
    ]
    annotations = [
        {"id": 1, "type": "generative", "truth": ["beach", "sky"], "hallu": ["boat"]},
        {"id": 1005, "type": "discriminative-hallucination", "truth": "no"},
    ]
    put(tmp_path / "data" / "query" / "query_all.json", queries)
    put(tmp_path / "data" / "annotations.json", annotations)
    first, second = load("amber", tmp_path, "all").examples
    assert first.answers == ("beach", "sky") and first.choices == () and second.answers == ("no",) and second.choices == ("yes", "no")


def test_mmmu(tmp_path: Path) -> None:
    row = {"id": "validation_Art_1", "question": "Which <image 1>?", "options": "['Cubism', 'Fauvism']", "answer": "B", "image_1": "a.png"}
    rows = [row, {**row, "id": "o", "options": "[]", "answer": "42", "image_1": None}, {**row, "answer": "?"}]
    put(tmp_path / "validation.jsonl", rows, lines=True)
    found = load("mmmu", tmp_path, "validation")
    assert found.examples[0].answers == ("Fauvism",) and found.examples[1].answers == ("42",) and found.examples[1].image is None
    assert found.skipped == {"hidden answer": 1}
    put(tmp_path / "dev.jsonl", [{**row, "answer": "E"}], lines=True)
    with pytest.raises(LabInput, match="names none of 2 options"):
        load("mmmu", tmp_path, "dev")


def test_scienceqa_img(tmp_path: Path) -> None:
    problem = {
        "question": "Which is it?",
        "choices": ["hot", "cold"],
        "answer": 1,
        "hint": "Look.",
        "image": "image.png",
        "subject": "natural science",
    }
    put(tmp_path / "problems.json", {"1": problem, "2": {**problem, "image": None}})
    put(tmp_path / "pid_splits.json", {"test": ["1", "2"]})
    found = load("scienceqa_img", tmp_path, "test")
    assert (
        found.examples[0].answers == ("cold",) and found.examples[0].question == "Look. Which is it?" and found.skipped == {"text only": 1}
    )
    assert found.examples[0].image == tmp_path / "images" / "test" / "1" / "image.png"


def test_broken_sets_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "snli_ve_dev.jsonl").write_text('{"gold_label": "neutral"}\n')
    (tmp_path / "snli_ve_test.jsonl").write_text("{broken\n")
    put(tmp_path / "snli_ve_train.jsonl", [{"gold_label": "-", "sentence2": "", "Flickr30K_ID": "1"}], lines=True)
    put(tmp_path / "problems.json", {"1": {"choices": ["a"], "answer": 3, "image": "x", "question": "?"}})
    put(tmp_path / "pid_splits.json", {"test": ["1"]})
    cases = (
        (("snli_ve", tmp_path, "dev"), LabInput, "no field 'Flickr30K_ID'"),
        (("snli_ve", tmp_path, "test"), LabInput, "line 1 is not valid JSON"),
        (("snli_ve", tmp_path, "train"), LabInput, "no usable question"),
        (("snli_ve", tmp_path, "none"), NotFound, "does not exist"),
        (("scienceqa_img", tmp_path, "test"), LabInput, "names none of 1 choices"),
        (("coco", tmp_path, "test"), LabInput, "Known: vqa_v2"),
        (("vqa_v2", tmp_path / "nowhere", "val"), NotFound, "folder"),
    )
    for arguments, kind, says in cases:
        with pytest.raises(kind) as caught:
            load(*arguments)
        assert says in caught.value.line() and "\n" not in caught.value.line()


def test_images_become_patches_and_broken_ones_are_refused(tmp_path: Path) -> None:
    picture = image.new("RGB", (40, 20), (0, 0, 0))
    picture.paste((255, 0, 0), (20, 0, 40, 20))
    picture.save(tmp_path / "a.png")
    patches = image_patches(tmp_path / "a.png", 2, 4)
    assert patches.shape == (4, 48) and patches[0].max() == 0 and patches[1].reshape(-1, 3)[:, 0].min() == 255
    assert image_patches(tmp_path / "a.png", 1, 4, (20, 0, 40, 20)).reshape(-1, 3)[:, 0].min() == 255
    (tmp_path / "b.png").write_bytes(b"not an image")
    for name, kind in (("b.png", LabInput), ("c.png", NotFound)):
        with pytest.raises(kind):
            image_patches(tmp_path / name, 2, 4)
    with pytest.raises(LabInput, match="no pixels"):
        image_patches(tmp_path / "a.png", 2, 4, (5, 5, 5, 9))


def write_nlvr(folder: Path, n: int = 30) -> None:
    rows = []
    (folder / "images").mkdir(parents=True)
    for i in range(n):
        name = f"{i // 3}-{i % 3}"
        picture = image.new("RGBA", (400, 100), (200, 200, 200, 255))
        picture.paste((255, 0, 0, 255), (10, 10, 60, 60))
        picture.save(folder / "images" / f"dev-{name}-0.png")
        rows.append({"sentence": "There is a red box", "label": "true" if i % 2 else "false", "identifier": name})
    put(folder / "dev.jsonl", rows, lines=True)


def test_nlvr_splits_by_sentence_and_encodes_boxes(tmp_path: Path) -> None:
    write_nlvr(tmp_path)
    train, test = nlvr.train_and_test(tmp_path)
    own = lambda part: {s.identifier.split("-")[0] for s in part}  # noqa: E731
    assert train and test and not own(train) & own(test) and len(train) + len(test) == 30
    vocabulary = nlvr.Vocabulary(train)
    coded = nlvr.encode(train, vocabulary)
    assert coded.pixels.shape == (len(train), nlvr.PATCHES, 192) and coded.words.shape[1] == nlvr.WORDS_PER_SENTENCE
    assert vocabulary.encode("There is a zebra")[-2] == vocabulary.words.index("<unknown>")
    mixed = nlvr.permuted(coded, torch.arange(len(train)), torch.Generator().manual_seed(0))
    assert torch.equal(mixed.flatten(1).sum(1, dtype=torch.long), coded.pixels.flatten(1).sum(1, dtype=torch.long)) and not torch.equal(
        mixed, coded.pixels
    )
    (tmp_path / "test.jsonl").write_text('{"sentence": "x"}\n')
    with pytest.raises(LabInput, match="line 1 is not an NLVR row"):
        nlvr.train_and_test(tmp_path)
    with pytest.raises(NotFound):
        nlvr.load(tmp_path / "nowhere", "dev")


def test_nlvr_trains_and_scores_end_to_end(tmp_path: Path) -> None:
    write_nlvr(tmp_path)
    spec = VlmSpec("topk", width=16, heads=2, layers=1, expert_width=8, experts=4)
    result = nlvr.train_and_score(spec, tmp_path, [0], steps=2, batch=4)
    assert 0 <= result.accuracy[0] <= 1 and 0.5 <= result.majority <= 1 and result.statements > 0


@pytest.mark.shared_data
@pytest.mark.skipif(not (SHARED / "dev.jsonl").is_file(), reason="NLVR is not beside the project (../shared/data/nlvr)")
def test_the_real_nlvr_reads_whole() -> None:
    statements = nlvr.load(SHARED, "dev")
    assert len(statements) == 989 and sum(s.truth for s in statements) == 547
    assert all(s.image.is_file() for s in statements[:50])
    assert nlvr.encode(statements[:5], nlvr.Vocabulary(statements)).pixels.shape == (5, 27, 192)
