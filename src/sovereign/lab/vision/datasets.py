"""Published question sets in their official file formats, from a folder the owner already has: VQA v2, Visual7W, SNLI-VE, AMBER, MMMU, ScienceQA.

Imports errors; Pillow and pyarrow lazily. Refuses to download, to guess missing fields, and to drop rows silently: what is skipped is counted by
reason. Formats: visualqa.org/download (v2), the telling set of ai.stanford.edu/~yukez/visual7w, necla-ml/SNLI-VE, junyangwang0410/AMBER, MMMU's
columns on the Hugging Face hub, and the problems.json of lupantech/ScienceQA.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sovereign.errors import LabInput, NotFound

Choices = tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """One question. answers: every accepted answer (VQA v2: all ten, with repeats). choices: empty for open questions. image: where it should be,
    None for a text-only sample. kind: the set's own type of question."""

    id: str
    question: str
    answers: tuple[str, ...]
    choices: Choices = ()
    image: Path | None = None
    kind: str = ""


@dataclass(frozen=True)
class QuestionSet:
    """examples, and why others were left out (reason -> number)."""

    name: str
    split: str
    examples: tuple[Example, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)


def load(name: str, folder: Path, split: str) -> QuestionSet:
    """Reads one split. Raises LabInput for an unknown set or malformed content, NotFound for a missing file."""
    if name not in LOADERS:
        raise LabInput(f"Unknown question set {name!r}.", mend=f"Known: {', '.join(LOADERS)}.")
    if not folder.is_dir():
        raise NotFound(f"The folder {folder} does not exist.", mend=f"Give the folder that holds {name}.", subject=str(folder))
    loaded = LOADERS[name](folder, split)
    if not loaded.examples:
        raise LabInput(f"{name} {split} in {folder} holds no usable question.", mend=f"Skipped: {dict(loaded.skipped) or 'nothing'}.")
    return loaded


def vqa_accuracy(given: str, answers: tuple[str, ...]) -> float:
    """VQA accuracy of one answer: mean over the subsets that leave one annotator out of min(1, agreeing / 3) (visualqa.org/evaluation).

    The official clean-up of articles and punctuation is reduced to case and outer spaces. Raises LabInput without annotators.
    """
    if not answers:
        raise LabInput("An answer cannot be scored without annotators.", mend="Use a split with annotations.")
    wanted = given.strip().lower()
    agree = [a.strip().lower() == wanted for a in answers]
    if len(answers) == 1:
        return float(agree[0])
    return sum(min(1.0, (sum(agree) - own) / 3) for own in agree) / len(agree)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise NotFound(f"The file {path} does not exist.", mend="Unpack the official archive into this folder.", subject=str(path))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise LabInput(f"{path.name} is not valid JSON: {exc}.", mend="Fetch the file again.") from exc


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.is_file():
        raise NotFound(f"The file {path} does not exist.", mend="Unpack the official archive into this folder.", subject=str(path))
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as exc:
            raise LabInput(f"{path.name} line {number} is not valid JSON: {exc}.", mend="Fetch the file again.") from exc
        yield number, row


def _get(row: Any, key: str, where: str) -> Any:
    if not isinstance(row, dict) or key not in row:
        raise LabInput(f"{where} has no field {key!r}.", mend="The file is not in the official format.")
    return row[key]


def _vqa_v2(folder: Path, split: str) -> QuestionSet:
    """v2_OpenEnded_mscoco_<split>2014_questions.json and v2_mscoco_<split>2014_annotations.json; images COCO_<split>2014_<12 digits>.jpg."""
    subtype = f"{split}2014"
    questions = _get(_read(folder / f"v2_OpenEnded_mscoco_{subtype}_questions.json"), "questions", "The question file")
    annotations = _get(_read(folder / f"v2_mscoco_{subtype}_annotations.json"), "annotations", "The annotation file")
    by_id = {_get(a, "question_id", "An annotation"): a for a in annotations}
    examples, skipped = [], Counter[str]()
    for row in questions:
        number = _get(row, "question_id", "A question")
        annotation = by_id.get(number)
        if annotation is None:
            skipped["no annotation"] += 1
            continue
        answers = tuple(_get(a, "answer", f"Question {number}") for a in _get(annotation, "answers", f"Question {number}"))
        image = folder / subtype / f"COCO_{subtype}_{int(_get(row, 'image_id', f'Question {number}')):012d}.jpg"
        examples.append(
            Example(str(number), _get(row, "question", f"Question {number}"), answers, (), image, annotation.get("answer_type", ""))
        )
    return QuestionSet("vqa_v2", split, tuple(examples), dict(skipped))


def _visual7w(folder: Path, split: str) -> QuestionSet:
    """dataset_v7w_telling.json: images with qa_pairs of one answer and three wrong choices."""
    examples, skipped = [], Counter[str]()
    for image in _get(_read(folder / "dataset_v7w_telling.json"), "images", "The file"):
        if _get(image, "split", "An image") != split:
            continue
        path = folder / "images" / _get(image, "filename", "An image")
        for pair in _get(image, "qa_pairs", path.name):
            answer, number = _get(pair, "answer", path.name), str(_get(pair, "qa_id", path.name))
            wrong = tuple(pair.get("multiple_choices", ()))
            if len(wrong) != 3:
                skipped["not three wrong choices"] += 1
                continue
            # Sorted, so that the right answer's place says nothing.
            examples.append(
                Example(number, _get(pair, "question", number), (answer,), tuple(sorted((answer, *wrong))), path, pair.get("type", ""))
            )
    return QuestionSet("visual7w", split, tuple(examples), dict(skipped))


def _snli_ve(folder: Path, split: str) -> QuestionSet:
    """snli_ve_<split>.jsonl: premise image Flickr30K_ID, hypothesis sentence2, gold_label."""
    labels = ("entailment", "neutral", "contradiction")
    examples, skipped = [], Counter[str]()
    for number, row in _lines(folder / f"snli_ve_{split}.jsonl"):
        where = f"Line {number}"
        gold = _get(row, "gold_label", where)
        if gold not in labels:
            skipped["no gold label" if gold == "-" else f"label {gold!r}"] += 1
            continue
        image = folder / "flickr30k_images" / f"{_get(row, 'Flickr30K_ID', where)}.jpg"
        examples.append(Example(str(row.get("pairID", number)), _get(row, "sentence2", where), (gold,), labels, image, "entailment"))
    return QuestionSet("snli_ve", split, tuple(examples), dict(skipped))


def _amber(folder: Path, split: str) -> QuestionSet:
    """data/query/query_<split>.json with data/annotations.json; split: all, generative, discriminative, discriminative-existence, ..."""
    truths = {_get(a, "id", "An annotation"): a for a in _read(folder / "data" / "annotations.json")}
    examples, skipped = [], Counter[str]()
    for row in _read(folder / "data" / "query" / f"query_{split}.json"):
        number = _get(row, "id", "A query")
        annotation = truths.get(number)
        if annotation is None:
            skipped["no annotation"] += 1
            continue
        truth, kind = _get(annotation, "truth", f"Query {number}"), _get(annotation, "type", f"Query {number}")
        answers = (truth,) if isinstance(truth, str) else tuple(truth)
        choices = ("yes", "no") if kind.startswith("discriminative") else ()
        examples.append(
            Example(str(number), _get(row, "query", f"Query {number}"), answers, choices, folder / "image" / row["image"], kind)
        )
    return QuestionSet("amber", split, tuple(examples), dict(skipped))


def _mmmu(folder: Path, split: str) -> QuestionSet:
    """<split>*.parquet with the hub's columns (needs pyarrow), or <split>.jsonl with the same columns. `options` is a Python list as text."""
    examples, skipped = [], Counter[str]()
    for where, row in _mmmu_rows(folder, split):
        options = row.get("options", "[]")
        try:
            choices = tuple(str(x) for x in (ast.literal_eval(options) if isinstance(options, str) else options))
        except (ValueError, SyntaxError) as exc:
            raise LabInput(f"{where}: options are not a list: {options!r}.", mend="The file is not in the official format.") from exc
        answer = str(_get(row, "answer", where))
        if answer == "?":
            skipped["hidden answer"] += 1
            continue
        if choices and (len(answer) != 1 or ord(answer) - 65 not in range(len(choices))):
            raise LabInput(f"{where}: answer {answer!r} names none of {len(choices)} options.", mend="Fetch the file again.")
        number = str(_get(row, "id", where))
        image = row.get("image_1")
        path = None if image is None else folder / (image if isinstance(image, str) else str(image.get("path") or f"{number}_1.png"))
        right = choices[ord(answer) - 65] if choices else answer
        examples.append(Example(number, _get(row, "question", where), (right,), choices, path, str(row.get("subfield", ""))))
    return QuestionSet("mmmu", split, tuple(examples), dict(skipped))


def _mmmu_rows(folder: Path, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    tables = sorted(folder.glob(f"{split}*.parquet"))
    if not tables:
        yield from ((f"Line {n}", row) for n, row in _lines(folder / f"{split}.jsonl"))
        return
    try:
        import pyarrow.parquet as parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as exc:
        raise LabInput("Reading MMMU's parquet files needs pyarrow.", mend=f"Run: pip install pyarrow, or export {split}.jsonl.") from exc
    for table in tables:
        for n, row in enumerate(parquet.read_table(table).to_pylist()):
            yield f"{table.name} row {n}", row


def _scienceqa(folder: Path, split: str) -> QuestionSet:
    """problems.json and pid_splits.json; only questions with an image (ScienceQA-IMG). Images: images/<split>/<id>/image.png."""
    problems, wanted = _read(folder / "problems.json"), _get(_read(folder / "pid_splits.json"), split, "pid_splits.json")
    examples, skipped = [], Counter[str]()
    for number in wanted:
        row = _get(problems, str(number), "problems.json")
        if not row.get("image"):
            skipped["text only"] += 1
            continue
        choices, answer = tuple(_get(row, "choices", f"Problem {number}")), _get(row, "answer", f"Problem {number}")
        if not isinstance(answer, int) or not 0 <= answer < len(choices):
            raise LabInput(f"Problem {number}: answer {answer!r} names none of {len(choices)} choices.", mend="Fetch the file again.")
        question = " ".join(x for x in (row.get("hint", ""), _get(row, "question", f"Problem {number}")) if x)
        path = folder / "images" / split / str(number) / row["image"]
        examples.append(Example(str(number), question, (choices[answer],), choices, path, row.get("subject", "")))
    return QuestionSet("scienceqa_img", split, tuple(examples), dict(skipped))


LOADERS: dict[str, Callable[[Path, str], QuestionSet]] = {
    "vqa_v2": _vqa_v2,
    "visual7w": _visual7w,
    "snli_ve": _snli_ve,
    "amber": _amber,
    "mmmu": _mmmu,
    "scienceqa_img": _scienceqa,
}


def image_patches(path: Path, side: int, patch: int, box: tuple[int, int, int, int] | None = None) -> Any:
    """The image (or a box of it: left, top, right, bottom) at side x side patches, uint8 array (side^2, patch^2 * 3), rows first.

    Raises NotFound for a missing file, LabInput for one that is no image or has no pixels.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise NotFound(f"The image {path} does not exist.", mend="Put the images where the set's loader names them.", subject=str(path))
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB").crop(box) if box else opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as exc:
        raise LabInput(f"{path.name} is not a readable image.", mend="Fetch the file again.") from exc
    if not all(picture.size):
        raise LabInput(f"{path.name} has no pixels.", mend="Drop empty images first.")
    pixels = np.asarray(picture.resize((side * patch, side * patch), Image.Resampling.BOX))
    return pixels.reshape(side, patch, side, patch, 3).transpose(0, 2, 1, 3, 4).reshape(side * side, patch * patch * 3)
