"""From texts to token ids: a byte-level BPE trained on the spot, packed training windows, prompts of equal length, prompts from a file.

Imports numpy and errors; `tokenizers` lazily. Refuses empty prompts and fewer prompts than were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput, MissingExtra, NotFound
from sovereign.lab.corpora import KINDS, LabelledText, documents, matched

END = 0  # id of the end-of-document token


@dataclass(frozen=True)
class PromptSet:
    """tokens_NS: one row per prompt, equal lengths. labels index into `kinds`. texts are what the tokens decode to."""

    tokens_NS: NDArray[np.int64]
    labels: NDArray[np.int64]
    kinds: tuple[str, ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def categories(self) -> list[str]:
        return [self.kinds[i] for i in self.labels]


def train_tokenizer(texts: Iterable[str], vocab: int) -> Any:
    """A byte-level BPE (`tokenizers.Tokenizer`) with END as id 0; no text is unknown to it. Raises MissingExtra without the library."""
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as exc:
        raise MissingExtra("lab", "Training a tokenizer") from exc
    if vocab < 300:
        raise LabInput(f"A byte-level vocabulary of {vocab} is too small.", mend="Use at least 300 tokens.")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode_documents(tokenizer: Any, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    return [np.array([*e.ids, END], dtype=np.int64) for e in tokenizer.encode_batch(list(texts))]


def pack(encoded: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One long stream of documents, each closed by END."""
    return np.concatenate(encoded)


def shuffle_within(encoded: Sequence[NDArray[np.int64]], seed: int) -> list[NDArray[np.int64]]:
    """The same documents with the order of their tokens destroyed (END stays last)."""
    rng = np.random.default_rng(seed)
    return [np.concatenate((rng.permutation(e[:-1]), e[-1:])) for e in encoded]


def heldout_prompts(tokenizer: Any, per_kind: int, length: int, seed: int) -> PromptSet:
    """per_kind prompts of exactly `length` tokens of every kind, each the opening of a different held-out document."""
    rows, labels = [], []
    for label, kind in enumerate(KINDS):
        found: list[tuple[int, ...]] = []
        for text in documents(kind, "heldout", 6 * per_kind, seed):
            ids = tuple(tokenizer.encode(text).ids[:length])
            if len(ids) == length and ids not in found:
                found.append(ids)
            if len(found) == per_kind:
                break
        if len(found) < per_kind:
            raise LabInput(
                f"Only {len(found)} of {per_kind} {kind} prompts of {length} tokens exist.", mend="Ask for fewer or shorter prompts."
            )
        rows += found
        labels += [label] * per_kind
    return _prompt_set(tokenizer, rows, labels, KINDS)


def matched_prompts(tokenizer: Any, per_kind: int, seed: int) -> PromptSet:
    """The lexically matched set: inside one quadruple all four prompts have the same multiset of tokens. Lengths differ between quadruples only
    where numbers split differently, so all are cut from quadruples of the most common length."""
    quads = []
    for quad in matched.quadruples(8 * per_kind, seed):
        ids = {kind: tuple(tokenizer.encode(text).ids) for kind, text in quad.items()}
        if len({tuple(sorted(v)) for v in ids.values()}) == 1:
            quads.append(ids)
    lengths = [len(q["code"]) for q in quads]
    common = max(sorted(set(lengths)), key=lengths.count) if lengths else 0
    kept = [q for q, n in zip(quads, lengths, strict=True) if n == common][:per_kind]
    if len(kept) < per_kind:
        raise LabInput(f"Only {len(kept)} of {per_kind} matched quadruples have one length.", mend="Ask for fewer prompts.")
    rows = [q[kind] for kind in KINDS for q in kept]
    return _prompt_set(tokenizer, rows, [i for i in range(len(KINDS)) for _ in kept], KINDS)


def read_prompts(path: Path, *, per_kind: int | None, seed: int) -> list[LabelledText]:
    """Prompts from JSONL with `category` and `prompt`; per_kind of each category drawn with the seed (None: all).

    Raises NotFound, or LabInput for a bad line, an empty prompt, one category, or fewer prompts than asked.
    """
    if not path.is_file():
        raise NotFound(f"There is no prompt file {path}.", mend="Give a JSONL file with category and prompt.", subject=str(path))
    found: list[LabelledText] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            item = LabelledText(str(row["category"]), str(row["prompt"]))
        except (json.JSONDecodeError, KeyError, TypeError) as exc:
            raise LabInput(f"Line {number} of {path.name} is not a prompt: {exc}.", mend="Needed: category and prompt.") from exc
        if not item.text.strip():
            raise LabInput(f"Line {number} of {path.name} is an empty prompt.", mend="Remove it.")
        found.append(item)
    return choose(found, per_kind=per_kind, seed=seed)


def choose(items: Sequence[LabelledText], *, per_kind: int | None, seed: int) -> list[LabelledText]:
    """A seeded, category-sorted choice. Raises LabInput for one category or too few prompts."""
    kinds = sorted({i.kind for i in items})
    if len(kinds) < 2:
        raise LabInput(f"The prompts have {len(kinds)} categories.", mend="Give at least two categories.")
    rng = np.random.default_rng(seed)
    kept = []
    for kind in kinds:
        mine = [i for i in items if i.kind == kind]
        wanted = len(mine) if per_kind is None else per_kind
        if len(mine) < max(wanted, 3):
            raise LabInput(f"Category {kind!r} has {len(mine)} prompts.", mend=f"Give at least {max(wanted, 3)} per category.")
        kept += [mine[i] for i in sorted(rng.permutation(len(mine))[:wanted])]
    return kept


def encode_prompts(tokenizer: Any, items: Sequence[LabelledText], length: int) -> PromptSet:
    """Labelled texts cut to exactly `length` tokens; shorter ones are refused by name of their category."""
    kinds = tuple(sorted({i.kind for i in items}))
    rows = [tuple(tokenizer.encode(i.text).ids[:length]) for i in items]
    short = [i.kind for i, r in zip(items, rows, strict=True) if len(r) < length]
    if short:
        raise LabInput(f"{len(short)} prompts have fewer than {length} tokens (first: {short[0]}).", mend="Set a smaller prompt_tokens.")
    return _prompt_set(tokenizer, rows, [kinds.index(i.kind) for i in items], kinds)


def _prompt_set(tokenizer: Any, rows: Sequence[tuple[int, ...]], labels: Sequence[int], kinds: tuple[str, ...]) -> PromptSet:
    texts = tuple(tokenizer.decode_batch([list(r) for r in rows]))
    return PromptSet(np.array(rows, dtype=np.int64), np.array(labels, dtype=np.int64), kinds, texts)
